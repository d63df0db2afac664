// SPDX-License-Identifier: MIT OR Apache-2.0

//! `snapshot` and `diff`: the registers of a peripheral at one time, and what is different at another.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use devmap::Width;
use serde::Serialize;

use crate::access::Reading;
use crate::context::Context;
use crate::decode::{parts, Part};
use crate::failure::Failure;
use crate::json;
use crate::number::number;
use crate::output::{counted, Format, Formatted, Hex};
use crate::place::{place, Place};
use crate::table;
use crate::target::Known;

/// A register and its value.
#[derive(Serialize)]
struct Line {
    register: String,
    #[serde(flatten, serialize_with = "json::value")]
    value: Hex,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.register, self.value)
    }
}

/// Prints a line for each register that `places` stand for.
pub fn snapshot(ctx: &mut Context, places: &[Place], force: bool) -> Result<(), Failure> {
    for reading in Reading::of(ctx, places, force)? {
        let Some(known) = reading.known() else {
            return Err(Failure::Usage("a snapshot is of registers with names: give those, and --svd".into()));
        };
        let register = known.argument();
        ctx.out.emit(&Line { register, value: reading.load(0)? })?;
    }
    Ok(())
}

/// A register whose value is different.
#[derive(Serialize)]
struct Change {
    register: String,
    #[serde(flatten, serialize_with = "json::before")]
    before: Hex,
    #[serde(flatten, serialize_with = "json::after")]
    after: Hex,
    fields: Vec<FieldChange>,
    #[serde(skip)]
    format: Format,
}

/// A field whose value is different.
#[derive(Serialize)]
pub struct FieldChange {
    name: String,
    before: String,
    after: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [before, after] = [self.before, self.after].map(|value| Formatted(value, self.format));
        write!(f, "{}: {before} -> {after}", self.register)?;
        lines(&self.fields).iter().try_for_each(|line| write!(f, "\n{line}"))
    }
}

/// A line for each field.
pub fn lines(fields: &[FieldChange]) -> Vec<String> {
    let cells: Vec<_> = fields
        .iter()
        .map(|field| [format!("  {}", field.name), format!("{} -> {}", field.before, field.after)])
        .collect();
    let rows: Vec<_> = cells.iter().map(|row| row.each_ref().map(String::as_str)).collect();
    table::lines(&rows)
}

/// The fields of a register that are different in two values of it.
pub fn changes(known: &Known, before: u64, after: u64, format: Format) -> Vec<FieldChange> {
    let pairs = parts(known, before).into_iter().zip(parts(known, after));
    let different = pairs.filter(|(before, after)| before != after);
    let change = |(before, after): (Part, Part)| FieldChange {
        name: before.name().into(),
        before: before.shown(format),
        after: after.shown(format),
    };
    different.map(change).collect()
}

/// A snapshot, by the names of registers; the values are in its order.
struct Snapshot(Vec<(Place, String, u64)>);

impl Snapshot {
    fn read(path: &Path) -> Result<Self, Failure> {
        let text = fs::read_to_string(path).map_err(Failure::file("read", path))?;
        let line = |(index, line): (usize, &str)| {
            parse(line).map_err(|error| Failure::Usage(format!("{}:{}: {error}", path.display(), index + 1)))
        };
        text.lines().enumerate().map(line).collect::<Result<_, _>>().map(Self)
    }
}

/// A line of a snapshot.
fn parse(line: &str) -> Result<(Place, String, u64), String> {
    let wrong = || format!("`{line}` is no line of a snapshot: NAME VALUE, as `devmap snapshot` writes it");
    let (name, value) = line.split_once(' ').ok_or_else(wrong)?;
    match place(name)? {
        place @ Place::Register(_) => Ok((place, name.into(), number(value)?)),
        _ => Err(wrong()),
    }
}

/// Prints what is different between the snapshot in `before`, and the one in `after` or the registers now.
pub fn diff(ctx: &mut Context, before: &Path, after: Option<&Path>) -> Result<(), Failure> {
    let Snapshot(before_lines) = Snapshot::read(before)?;
    let after_values: BTreeMap<String, u64> = match after {
        Some(path) => Snapshot::read(path)?.0.into_iter().map(|(_, name, value)| (name, value)).collect(),
        None => {
            let places: Vec<_> = before_lines.iter().map(|(place, ..)| *place).collect();
            let readings = Reading::of(ctx, &places, true)?;
            let names = before_lines.iter().map(|(_, name, _)| name.clone());
            names
                .zip(readings)
                .map(|(name, reading)| Ok((name, reading.load(0)?.value)))
                .collect::<Result<_, Failure>>()?
        }
    };
    let (mut different, mut missing) = (0, None);
    for (place, name, value) in before_lines {
        let Some(&now) = after_values.get(&name) else {
            missing = missing.or(Some(name));
            continue;
        };
        if now == value {
            continue;
        }
        different += 1;
        let target = ctx.target(place, crate::target::Purpose::ReadAll)?;
        let (width, format): (Width, Format) = (target.width, ctx.format);
        let fields = target.known.map(|known| changes(&known, value, now, format)).unwrap_or_default();
        let [before, after] = [value, now].map(|value| Hex::of(value, width));
        ctx.out.emit(&Change { register: name, before, after, fields, format })?;
    }
    ctx.out.finish()?;
    if let (Some(name), Some(after)) = (missing, after) {
        return Err(Failure::Differs(format!("{} has no {name}, which {} has", after.display(), before.display())));
    }
    match different {
        0 => Ok(()),
        _ => Err(Failure::Differs(format!("{} different", counted(different, "register")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_name_and_a_value() {
        assert_eq!(parse("UART0.CR 0x00000301").map(|(_, name, value)| (name, value)), Ok(("UART0.CR".into(), 0x301)));
        assert!(parse("ADC@fpga+0x00000000.STATUS 5").is_ok());
        for (wrong, says) in [
            ("", "is no line of a snapshot"),
            ("UART0.CR", "is no line of a snapshot"),
            ("0x1000 5", "is no line of a snapshot"),
            ("UART0.CR five", "`five` is not a number"),
        ] {
            assert!(parse(wrong).unwrap_err().contains(says), "{wrong}");
        }
    }
}
