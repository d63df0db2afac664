// SPDX-License-Identifier: MIT OR Apache-2.0

//! The windows of the map driver, as JSON and as a table.

use std::fmt;
use std::iter;

use devmap::driver::{Origin, Window};
use serde::Serialize;

use crate::number::short;
use crate::output::Address;
use crate::table;

/// A window, for programs.
#[derive(Serialize)]
pub struct Row {
    name: String,
    start: Address,
    last: Address,
    bytes: u64,
    access: &'static str,
    cache: &'static str,
    claimed: bool,
    reserved: bool,
    declared: bool,
    survives_lockdown: bool,
    from: &'static str,
}

impl From<Window> for Row {
    fn from(window: Window) -> Self {
        Self {
            name: window.name.as_str().into(),
            start: Address(window.range.start()),
            last: Address(window.range.last()),
            bytes: window.range.length(),
            access: window.access.as_str(),
            cache: window.cache.as_str(),
            claimed: window.claim,
            reserved: window.reserved,
            declared: window.memory,
            survives_lockdown: window.survives_lockdown(),
            from: match window.origin {
                Origin::Parameter => "parameter",
                Origin::Dt | Origin::BootDt => "tree",
            },
        }
    }
}

/// A table of windows: a line for each, below a line of headings.
pub struct Table<'a>(pub &'a [Row]);

const HEADINGS: [&str; 8] = ["window", "range", "size", "access", "cache", "region", "memory", "from"];

impl Row {
    /// Why it is known to be memory, if it is.
    fn memory(&self) -> &'static str {
        match (self.reserved, self.declared) {
            (true, _) => "reserved",
            (false, true) => "declared",
            (false, false) => "-",
        }
    }

    fn cells(&self) -> [String; HEADINGS.len()] {
        [
            // No column is empty, so that scripts can split the line.
            if self.name.is_empty() { "-".into() } else { self.name.clone() },
            format!("{}-{}", self.start, self.last),
            short(self.bytes),
            self.access.into(),
            self.cache.into(),
            if self.claimed { "claimed" } else { "shared" }.into(),
            self.memory().into(),
            self.from.into(),
        ]
    }
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cells: Vec<_> = self.0.iter().map(Row::cells).collect();
        let rows: Vec<_> =
            iter::once(HEADINGS).chain(cells.iter().map(|row| row.each_ref().map(String::as_str))).collect();
        f.write_str(&table::lines(&rows).join("\n"))
    }
}

#[cfg(test)]
pub mod tests {
    use devmap::driver::{Access, CacheMode, Name};
    use devmap::PhysRange;

    use super::*;

    pub fn sdram() -> Window {
        Window {
            name: Name::new(b"sdram").unwrap(),
            reserved: true,
            origin: Origin::Dt,
            ..Window::new(PhysRange::new(0xc000_0000, 0x10_0000).unwrap())
        }
    }

    pub fn nameless() -> Window {
        Window {
            access: Access::ReadOnly,
            cache: CacheMode::WriteCombine,
            claim: false,
            memory: true,
            ..Window::new(PhysRange::new(0x12_3456_7000, 0x1000).unwrap())
        }
    }

    #[test]
    fn the_columns_are_as_wide_as_their_widest_cell() {
        let rows = [sdram().into(), nameless().into()];
        assert_eq!(
            Table(&rows).to_string(),
            "window  range                      size  access  cache     region   memory    from\n\
             sdram   0xc0000000-0xc00fffff      1M    rw      uncached  claimed  reserved  tree\n\
             -       0x1234567000-0x1234567fff  4K    ro      wc        shared   declared  parameter"
        );
        let long = Window { name: Name::new(&[b'z'; 31]).unwrap(), ..sdram() };
        let table = Table(&[long.into(), nameless().into()]).to_string();
        let columns: Vec<_> = table.lines().map(|line| line.find(" 0x").or(line.find(" range"))).collect();
        assert_eq!(columns, [Some(32); 3], "{table}");
    }

    #[test]
    fn without_windows_there_are_headings() {
        assert_eq!(Table(&[]).to_string(), "window  range  size  access  cache  region  memory  from");
    }

    #[test]
    fn programs_get_numbers_and_flags() {
        assert_eq!(
            serde_json::to_string(&Row::from(nameless())).unwrap(),
            r#"{"name":"","start":"0x1234567000","last":"0x1234567fff","bytes":4096,"access":"ro","cache":"wc","claimed":false,"reserved":false,"declared":true,"survives_lockdown":false,"from":"parameter"}"#
        );
    }
}
