// SPDX-License-Identifier: MIT OR Apache-2.0

//! /proc/iomem: what the kernel knows of physical addresses.

use std::fs;

use devmap::PhysRange;

/// The file.
const PATH: &str = "/proc/iomem";

/// A line: a range, and what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How many ranges it lies in.
    pub depth: usize,
    pub range: PhysRange,
    pub name: String,
}

/// Reads the file. The kernel hides the addresses from processes without CAP_SYS_ADMIN.
pub fn read() -> Result<Vec<Line>, String> {
    lines(&fs::read_to_string(PATH).map_err(|error| format!("cannot read {PATH}: {}", devmap::errno_text(&error)))?)
}

fn lines(text: &str) -> Result<Vec<Line>, String> {
    let lines: Vec<_> = text.lines().filter_map(line).collect();
    // No line but the first can have address 0 alone.
    if lines.len() > 1 && lines.iter().all(|line| line.range.last() == 0) {
        return Err(format!("the kernel hides the addresses in {PATH} from this process: run as root"));
    }
    Ok(lines)
}

/// A line: two spaces for each level, then `first-last : name`.
fn line(text: &str) -> Option<Line> {
    let depth = (text.len() - text.trim_start().len()) / 2;
    let (range, name) = text.trim().split_once(" : ")?;
    let (first, last) = range.split_once('-')?;
    let [first, last] = [first, last].map(|number| u64::from_str_radix(number, 16).ok());
    let length = last?.checked_sub(first?)?.checked_add(1)?;
    Some(Line { depth, range: PhysRange::new(first?, length)?, name: name.into() })
}

/// The range that is called `name`.
pub fn find(name: &str) -> Result<PhysRange, String> {
    find_in(&read()?, name)
}

/// The range that is called `name` in `lines`.
pub fn find_in(lines: &[Line], name: &str) -> Result<PhysRange, String> {
    let mut found = lines.iter().filter(|line| line.name == name).map(|line| line.range);
    let Some(first) = found.next() else { return Err(format!("no line in {PATH} is called `{name}`")) };
    // A device and its driver often have the same range and name.
    let others: Vec<_> = found.filter(|range| *range != first).collect();
    if others.is_empty() {
        return Ok(first);
    }
    let ranges: Vec<_> = std::iter::once(first).chain(others).map(|range| range.to_string()).collect();
    Err(format!("`{name}` is {} ranges in {PATH}: give the addresses of one, {}", ranges.len(), ranges.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
00001000-0009fbff : System RAM
09000000-09000fff : pl011@9000000
  09000000-09000fff : 9000000.pl011 pl011@9000000
40000000-bfffffff : System RAM
  40010000-418fffff : Kernel code
c0000000-c02fffff : map: sdram
4000000000-7fffffffff : PCI Bus 0000:00
";

    fn range(start: u64, length: u64) -> PhysRange {
        PhysRange::new(start, length).unwrap()
    }

    #[test]
    fn the_lines_have_a_depth_a_range_and_a_name() {
        let lines = lines(TEXT).unwrap();
        assert_eq!(lines.len(), 7);
        assert_eq!(lines[4], Line { depth: 1, range: range(0x4001_0000, 0x18f_0000), name: "Kernel code".into() });
        assert_eq!(lines[6].name, "PCI Bus 0000:00");
    }

    #[test]
    fn a_name_is_one_range() {
        let lines = lines(TEXT).unwrap();
        assert_eq!(find_in(&lines, "map: sdram"), Ok(range(0xc000_0000, 0x30_0000)));
        assert_eq!(find_in(&lines, "sdram"), Err("no line in /proc/iomem is called `sdram`".into()));
        assert_eq!(
            find_in(&lines, "System RAM"),
            Err("`System RAM` is 2 ranges in /proc/iomem: give the addresses of one, 0x00001000-0x0009fbff, \
                 0x40000000-0xbfffffff"
                .into())
        );
        // Twice the same is once.
        let twice = [lines[5].clone(), Line { depth: 1, ..lines[5].clone() }];
        assert_eq!(find_in(&twice, "map: sdram"), Ok(range(0xc000_0000, 0x30_0000)));
    }

    #[test]
    fn hidden_addresses_are_an_error() {
        let hidden = "00000000-00000000 : System RAM\n  00000000-00000000 : Kernel code\n";
        assert!(lines(hidden).unwrap_err().ends_with("run as root"));
        assert_eq!(lines("").unwrap(), []);
    }
}
