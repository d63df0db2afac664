// SPDX-License-Identifier: MIT OR Apache-2.0

//! A chart of the address space, with the windows in it.

use std::fmt;

use devmap::PhysRange;

use crate::number::short;

/// A window on the chart.
pub struct Block {
    pub range: PhysRange,
    /// What is written in it.
    pub name: String,
    /// What is written beside it.
    pub node: String,
}

/// The windows and the gaps between them, from address 0 on. It is not to scale: a window may have a page, and a gap
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
                Some(block) => ('|', block.name.as_str(), short(length), block.node.as_str()),
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
        Block { range: PhysRange::new(start, length).unwrap(), name: name.into(), node: node.into() }
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
