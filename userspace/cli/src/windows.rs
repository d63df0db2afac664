// SPDX-License-Identifier: MIT OR Apache-2.0

//! The windows of the map driver, as JSON and as a table.

use std::fmt;
use std::iter;

use devmap::driver::{Node, Origin, Window};
use devmap::{Device, Kind as DeviceKind, PhysRange};
use serde::Serialize;

use crate::chart::{address_space, Block, Chart, Kind};
use crate::context::{Access, Context};
use crate::failure::Failure;
use crate::iomem::{self, Line};
use crate::irq::{self, Listed};
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
    /// Only where the nodes were asked for.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    node: Option<NodeOfRow>,
    /// Only of nodes that can be opened.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    interrupts: Vec<Listed>,
}

/// The node of a window.
#[derive(Serialize)]
struct NodeOfRow {
    minor: u64,
    node: String,
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
            from: window.origin.as_str(),
            node: None,
            interrupts: Vec::new(),
        }
    }
}

impl From<(Window, Option<Node>)> for Row {
    fn from((window, node): (Window, Option<Node>)) -> Self {
        let node = node.map(|node| NodeOfRow { minor: node.minor, node: node.path().display().to_string() });
        Self { node, ..window.into() }
    }
}

/// The windows of `device`, each with its node and its interrupts.
pub fn rows(device: &Device) -> devmap::Result<Vec<Row>> {
    let each = device.windows_with_nodes()?.into_iter().map(|(window, node)| {
        let interrupts = node.map(|node| interrupts_of(&window, &node)).unwrap_or_default();
        Row { interrupts, ..(window, node).into() }
    });
    Ok(each.collect())
}

/// The interrupts of `window`, if its node can be opened.
fn interrupts_of(window: &Window, node: &Node) -> Vec<Listed> {
    // Others have none.
    if !matches!(window.origin, Origin::Dt | Origin::BootDt) {
        return Vec::new();
    }
    let Ok(device) = Device::open_read_only(node.path()) else { return Vec::new() };
    match device.kind() {
        // The number may belong to the next window.
        DeviceKind::Window { window: found, .. } if found == window => irq::list(&device),
        _ => Vec::new(),
    }
}

/// A table of windows: a line for each, below a line of headings.
pub struct Table<'a>(pub &'a [Row]);

const HEADINGS: [&str; 9] = ["window", "node", "range", "size", "access", "cache", "region", "memory", "from"];

impl Row {
    /// Why it is known to be memory, if it is.
    fn memory(&self) -> &'static str {
        match (self.reserved, self.declared) {
            (true, _) => "reserved",
            (false, true) => "declared",
            (false, false) => "-",
        }
    }

    /// Its name, and the path of its node; a dash for each that it does not have.
    fn name_and_node(&self) -> [String; 2] {
        let name = Some(&self.name).filter(|name| !name.is_empty());
        let node = self.node.as_ref().map(|node| &node.node);
        // No column of a table is empty, so that scripts can split the line.
        [name, node].map(|text| text.map_or("-", String::as_str).into())
    }

    /// Its place on a chart.
    pub fn block(&self) -> Option<Block> {
        let [name, node] = self.name_and_node();
        Some(Block { range: PhysRange::new(self.start.0, self.bytes)?, kind: Kind::Window, name, node })
    }

    /// The lines of its interrupts.
    fn interrupt_cells(&self) -> impl Iterator<Item = [String; 1 + irq::HEADINGS.len()]> + '_ {
        let [name, node] = self.name_and_node();
        let window = if name == "-" { node } else { name };
        self.interrupts.iter().map(move |interrupt| {
            let [index, name, trigger, masked, count] = interrupt.cells();
            [window.clone(), index, name, trigger, masked, count]
        })
    }

    fn cells(&self) -> [String; HEADINGS.len()] {
        let [name, node] = self.name_and_node();
        [
            name,
            node,
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
        f.write_str(&table::lines(&rows).join("\n"))?;
        let interrupts: Vec<_> = self.0.iter().flat_map(Row::interrupt_cells).collect();
        if interrupts.is_empty() {
            return Ok(());
        }
        let [interrupt, name, trigger, masked, count] = irq::HEADINGS;
        let headings = ["window", interrupt, name, trigger, masked, count];
        let rows: Vec<_> =
            iter::once(headings).chain(interrupts.iter().map(|row| row.each_ref().map(String::as_str))).collect();
        write!(f, "\n\n{}", table::lines(&rows).join("\n"))
    }
}

/// All windows of the driver, with what else the kernel knows of the address space, up to this last address.
pub struct Windows<'a> {
    pub rows: &'a [Row],
    /// Those of /proc/iomem; none if the kernel hides its addresses.
    pub lines: &'a [Line],
    pub last: u64,
}

impl fmt::Display for Windows<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, lines, last } = *self;
        let blocks = address_space(rows.iter().filter_map(Row::block).collect(), lines);
        if !blocks.is_empty() {
            write!(f, "{}\n\n", Chart { blocks: &blocks, last })?;
        }
        match rows {
            [] => f.write_str("no windows: all but RAM can be mapped, with CAP_SYS_RAWIO"),
            rows => Table(rows).fmt(f),
        }
    }
}

/// `windows`: prints where the windows lie, and their properties; for programs, a line for each.
pub fn windows(ctx: &mut Context) -> Result<(), Failure> {
    let device = ctx.open(None, Access::Read)?;
    let last = device.info()?.last_address;
    let rows = rows(&device)?;
    if ctx.out.is_json() {
        return Ok(rows.iter().try_for_each(|row| ctx.out.emit_json(row))?);
    }
    let lines = iomem::read().unwrap_or_default();
    ctx.print(&format!("{}\n", Windows { rows: &rows, lines: &lines, last }))
}

#[cfg(test)]
pub mod tests {
    use devmap::driver::{Access, CacheMode, Name, Origin};

    use super::*;

    pub fn sdram() -> Window {
        let mut window = Window::new(PhysRange::new(0xc000_0000, 0x10_0000).unwrap());
        window.name = Name::new(b"sdram").unwrap();
        window.reserved = true;
        window.origin = Origin::Dt;
        window
    }

    pub fn nameless() -> Window {
        let mut window = Window::new(PhysRange::new(0x12_3456_7000, 0x1000).unwrap());
        window.access = Access::ReadOnly;
        window.cache = CacheMode::WriteCombine;
        window.claim = false;
        window.memory = true;
        window
    }

    #[test]
    fn the_columns_are_as_wide_as_their_widest_cell() {
        let node = Some(Node { major: 126, minor: 1 });
        let rows = [(sdram(), node).into(), (nameless(), None).into()];
        assert_eq!(
            Table(&rows).to_string(),
            "window  node       range                      size  access  cache     region   memory    from\n\
             sdram   /dev/map1  0xc0000000-0xc00fffff      1M    rw      uncached  claimed  reserved  tree\n\
             -       -          0x1234567000-0x1234567fff  4K    ro      wc        shared   declared  parameter"
        );
        let mut long = sdram();
        long.name = Name::new(&[b'z'; 31]).unwrap();
        let table = Table(&[long.into(), nameless().into()]).to_string();
        let columns: Vec<_> = table.lines().map(|line| line.find(" 0x").or(line.find(" range"))).collect();
        assert_eq!(columns, [Some(38); 3], "{table}");
    }

    #[test]
    fn without_windows_there_are_headings() {
        assert_eq!(Table(&[]).to_string(), "window  node  range  size  access  cache  region  memory  from");
    }

    #[test]
    fn interrupts_have_a_table_of_their_own() {
        let node = Some(Node { major: 126, minor: 4 });
        let interrupts = vec![irq::tests::alarm()];
        let rows = [sdram().into(), Row { interrupts: interrupts.clone(), ..(nameless(), node).into() }];
        let table = Table(&rows).to_string();
        assert!(
            table.ends_with(
                "parameter\n\nwindow     interrupt  name   trigger  masked  count\n\
                 /dev/map4  0          alarm  level    yes     3"
            ),
            "{table}"
        );
        let json = serde_json::to_string(&Row { interrupts, ..sdram().into() }).unwrap();
        let listed = serde_json::to_string(&irq::tests::alarm()).unwrap();
        assert!(json.ends_with(&format!(r#","interrupts":[{listed}]}}"#)), "{json}");
    }

    #[test]
    fn programs_get_numbers_and_flags() {
        assert_eq!(
            serde_json::to_string(&Row::from(nameless())).unwrap(),
            r#"{"name":"","start":"0x1234567000","last":"0x1234567fff","bytes":4096,"access":"ro","cache":"wc","claimed":false,"reserved":false,"declared":true,"survives_lockdown":false,"from":"parameter"}"#
        );
        let with_node = serde_json::to_string(&Row::from((sdram(), Some(Node { major: 126, minor: 7 })))).unwrap();
        assert!(with_node.ends_with(r#""from":"tree","minor":7,"node":"/dev/map7"}"#), "{with_node}");
        assert_eq!(
            serde_json::to_string(&Row::from((sdram(), None))).unwrap(),
            serde_json::to_string(&Row::from(sdram())).unwrap()
        );
    }
}
