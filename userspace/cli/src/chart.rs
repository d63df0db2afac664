// SPDX-License-Identifier: MIT OR Apache-2.0

//! A chart of the address space: what is RAM, what is a window, what has something else, and what is free.

use std::fmt;

use devmap::PhysRange;

use crate::iomem::Line;
use crate::number::short;

/// Something on the chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    pub range: PhysRange,
    pub kind: Kind,
    /// What is written in it.
    pub name: String,
    /// What is written beside it.
    pub node: String,
}

/// What lies at some addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Window,
    Ram,
    /// Something else that the kernel knows.
    Other,
}

impl Kind {
    /// What its sides are drawn with.
    fn side(self) -> char {
        match self {
            Self::Window => '|',
            Self::Ram => '#',
            Self::Other => '.',
        }
    }
}

/// The blocks of `windows`, and around them those of what else /proc/iomem lists, in the order of their addresses.
pub fn address_space(windows: Vec<Block>, lines: &[Line]) -> Vec<Block> {
    let mut blocks = windows.clone();
    for line in lines.iter().filter(|line| line.depth == 0) {
        let kind = if line.name == "System RAM" { Kind::Ram } else { Kind::Other };
        let block = |range| Block { range, kind, name: line.name.clone(), node: String::new() };
        blocks.extend(without(line.range, &windows).into_iter().map(block));
    }
    blocks.sort_by_key(|block| block.range.start());
    blocks
}

/// The parts of `range` that lie in none of `windows`, which are in the order of their addresses.
fn without(range: PhysRange, windows: &[Block]) -> Vec<PhysRange> {
    let mut parts = Vec::new();
    // The part that is left behind the last window.
    let mut left = Some(range);
    for window in windows {
        let Some(rest) = left.filter(|rest| rest.overlaps(&window.range)) else { continue };
        let from_to = |start: u64, last: u64| PhysRange::new(start, last.checked_sub(start)?.checked_add(1)?);
        parts.extend(window.range.start().checked_sub(1).and_then(|last| from_to(rest.start(), last)));
        left = window.range.last().checked_add(1).and_then(|start| from_to(start, rest.last()));
    }
    parts.extend(left);
    parts
}

/// Blocks and the gaps between them, from address 0 on. It is not to scale: a window may have a page, and a gap
/// terabytes.
pub struct Chart<'a> {
    /// In the order of their addresses, and apart from each other.
    pub blocks: &'a [Block],
    /// The last address of all.
    pub last: u64,
}

/// A part of the address space.
struct Part<'a> {
    start: u64,
    length: u64,
    /// What lies there; nothing in a gap.
    block: Option<&'a Block>,
}

impl Chart<'_> {
    fn parts(&self) -> Vec<Part<'_>> {
        let mut parts = Vec::new();
        // Where the next part starts; nowhere behind the last of 64 bits.
        let mut next = Some(0);
        for block in self.blocks {
            let Block { range, .. } = block;
            if let Some(start) = next.filter(|next| *next < range.start()) {
                parts.push(Part { start, length: range.start() - start, block: None });
            }
            parts.push(Part { start: range.start(), length: range.length(), block: Some(block) });
            next = range.last().checked_add(1);
        }
        if let Some(start) = next.filter(|next| *next <= self.last) {
            parts.push(Part { start, length: (self.last - start).saturating_add(1), block: None });
        }
        parts
    }
}

/// A number of bytes in few characters. If it is rounded down to a unit, ~ precedes it.
fn rough(bytes: u64) -> String {
    let exact = short(bytes);
    if exact.len() <= "1023K".len() {
        return exact;
    }
    let units = [(50, "P"), (40, "T"), (30, "G"), (20, "M"), (10, "K")];
    // At least two digits, so that the error is small.
    match units.into_iter().find(|(shift, _)| bytes >> shift >= 10) {
        Some((shift, unit)) => format!("~{}{unit}", bytes >> shift),
        None => exact,
    }
}

impl fmt::Display for Chart<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.blocks.last().map_or(self.last, |block| block.range.last().max(self.last));
        let digits = format!("{last:#010x}").len();
        let names = self.blocks.iter().map(|block| block.name.len()).max().unwrap_or_default();
        let border = format!("+{:-<1$}+", "", names + 2);
        for Part { start, length, block } in self.parts() {
            writeln!(f, "{start:#0digits$x}  {border}")?;
            let (side, name, size, node) = match block {
                Some(Block { kind: Kind::Window, name, node, .. }) => {
                    ('|', name.as_str(), short(length), node.as_str())
                }
                Some(Block { kind, name, .. }) => (kind.side(), name.as_str(), rough(length), ""),
                None => (':', "", rough(length), ""),
            };
            let line = format!("{:digits$}  {side} {name:names$} {side}  {size:<6} {node}", "");
            writeln!(f, "{}", line.trim_end())?;
        }
        write!(f, "{last:#0digits$x}  {border}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(start: u64, length: u64, name: &str, node: &str) -> Block {
        let range = PhysRange::new(start, length).unwrap();
        Block { range, kind: Kind::Window, name: name.into(), node: node.into() }
    }

    fn line(start: u64, length: u64, depth: usize, name: &str) -> Line {
        Line { depth, range: PhysRange::new(start, length).unwrap(), name: name.into() }
    }

    #[test]
    fn what_else_there_is_lies_around_the_windows() {
        let windows = vec![block(0xc000_0000, 0x20_0000, "sdram", "/dev/map1"), block(0xc020_0000, 0x1_0000, "-", "-")];
        let lines = [
            line(0x1000, 0x9_f000, 0, "System RAM"),
            line(0x4000_0000, 0x8000_0000, 0, "System RAM"),
            line(0x4100_0000, 0x100_0000, 1, "Kernel code"),
            line(0xc000_0000, 0x30_0000, 0, "Reserved"),
            line(0xc000_0000, 0x20_0000, 1, "map: sdram"),
        ];
        assert_eq!(
            Chart { blocks: &address_space(windows, &lines), last: u64::from(u32::MAX) }.to_string(),
            "0x00000000  +------------+\n\
             \u{20}           :            :  4K\n\
             0x00001000  +------------+\n\
             \u{20}           # System RAM #  636K\n\
             0x000a0000  +------------+\n\
             \u{20}           :            :  ~1023M\n\
             0x40000000  +------------+\n\
             \u{20}           # System RAM #  2G\n\
             0xc0000000  +------------+\n\
             \u{20}           | sdram      |  2M     /dev/map1\n\
             0xc0200000  +------------+\n\
             \u{20}           | -          |  64K    -\n\
             0xc0210000  +------------+\n\
             \u{20}           . Reserved   .  960K\n\
             0xc0300000  +------------+\n\
             \u{20}           :            :  1021M\n\
             0xffffffff  +------------+"
        );
    }

    #[test]
    fn a_window_cuts_a_range_in_two_or_hides_it() {
        let range = |start, length| PhysRange::new(start, length).unwrap();
        let windows = [block(0x2000, 0x1000, "a", "-"), block(0x4000, 0x1000, "b", "-")];
        assert_eq!(
            without(range(0x1000, 0x5000), &windows),
            [range(0x1000, 0x1000), range(0x3000, 0x1000), range(0x5000, 0x1000)]
        );
        assert_eq!(without(range(0x2000, 0x1000), &windows), []);
        assert_eq!(without(range(0x2800, 0x1000), &windows), [range(0x3000, 0x800)]);
        assert_eq!(without(range(0x8000, 0x1000), &windows), [range(0x8000, 0x1000)]);
        assert_eq!(without(range(0, 0x1000), &[block(0, 0x1000, "a", "-")]), []);
        let top = range(u64::MAX - 0xfff, 0x1000);
        assert_eq!(without(top, &[block(top.start(), 0x1000, "a", "-")]), []);
    }

    #[test]
    fn windows_lie_between_gaps_or_touch() {
        let blocks = [
            block(0xc000_0000, 0x20_0000, "sdram", "/dev/map1"),
            block(0xc020_0000, 0x1_0000, "-", "-"),
            block(0x12_3456_7000, 0x1000, "fifo", "/dev/map3"),
        ];
        assert_eq!(
            Chart { blocks: &blocks, last: (1 << 40) - 1 }.to_string(),
            "0x0000000000  +-------+\n\
             \u{20}             :       :  3G\n\
             0x00c0000000  +-------+\n\
             \u{20}             | sdram |  2M     /dev/map1\n\
             0x00c0200000  +-------+\n\
             \u{20}             | -     |  64K    -\n\
             0x00c0210000  +-------+\n\
             \u{20}             :       :  ~69G\n\
             0x1234567000  +-------+\n\
             \u{20}             | fifo  |  4K     /dev/map3\n\
             0x1234568000  +-------+\n\
             \u{20}             :       :  ~951G\n\
             0xffffffffff  +-------+"
        );
    }

    #[test]
    fn a_window_may_be_first_or_last_or_all() {
        let first = Chart { blocks: &[block(0, 0x1000, "boot", "-")], last: u64::from(u32::MAX) }.to_string();
        assert!(first.starts_with("0x00000000  +------+\n            | boot |  4K     -\n0x00001000"), "{first}");
        let last = Chart { blocks: &[block(u64::MAX - 0xfff, 0x1000, "top", "-")], last: u64::MAX }.to_string();
        assert!(last.ends_with("| top |  4K     -\n0xffffffffffffffff  +-----+"), "{last}");
        let all = Chart { blocks: &[block(0, 0x10_0000, "all", "-")], last: 0xf_ffff }.to_string();
        assert_eq!(all.lines().count(), 3, "{all}");
    }

    #[test]
    fn long_sizes_are_rounded() {
        let table = [
            (0x1000, "4K"),
            (3 << 30, "3G"),
            (0x1ff_f000, "~31M"),
            (9 << 30 | 1, "~9216M"),
            (u64::MAX, "~16383P"),
            (1023 << 10, "1023K"),
            (12345, "12345"),
        ];
        for (bytes, text) in table {
            assert_eq!(rough(bytes), text);
        }
    }
}
