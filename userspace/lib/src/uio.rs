// SPDX-License-Identifier: MIT OR Apache-2.0

//! The memory of a UIO device, as sysfs describes it.
//!
//! The offset of mmap(2) on a UIO node is not an address: N times the page size selects the device's map N, from its
//! start on. This crate hides that. A range of a UIO device is physical, as for every other device, and the crate finds
//! the map that holds it.

use std::fs;
use std::io;
use std::path::Path;

use crate::page::{PageSize, Pages};
use crate::PhysRange;

/// A piece of memory that a UIO device offers.
///
/// ```no_run
/// use devmap::{Device, Kind};
///
/// let device = Device::open("/dev/uio0")?;
/// if let Kind::Uio(maps) = device.kind() {
///     let first = device.map(maps[0].range)?;
/// }
/// # Ok::<(), devmap::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UioMap {
    /// Its number.
    pub index: u64,
    /// Its name; empty if the driver did not name it.
    pub name: String,
    /// Its physical addresses, from the first one that belongs to the device on.
    pub range: PhysRange,
    /// The physical addresses that can be mapped. They begin at a page, and so may begin before the device's own: in
    /// sysfs, by the attribute `offset`.
    pub memory: PhysRange,
}

impl UioMap {
    /// The pages to map for `range`: those from the map's start on, with the offset that selects this map.
    pub(crate) fn pages(&self, range: PhysRange, page_size: PageSize) -> Option<Pages> {
        let up_to_its_end = PhysRange::new(self.memory.start(), range.last() - self.memory.start() + 1)?;
        let pages = page_size.enclose(up_to_its_end)?;
        Some(Pages {
            start: self.index.checked_mul(page_size.bytes())?,
            length: pages.length,
            skip: usize::try_from(range.start() - pages.start).ok()?,
        })
    }
}

/// The maps of the UIO device that sysfs shows at `device`, by number; `None` if it is not a UIO device.
pub(crate) fn maps(device: &Path) -> io::Result<Option<Vec<UioMap>>> {
    if !fs::read_link(device.join("subsystem")).is_ok_and(|class| class.ends_with("uio")) {
        return Ok(None);
    }
    let mut maps = Vec::new();
    // The kernel numbers them without gaps; a device without memory has no directory `maps` at all.
    loop {
        let directory = device.join(format!("maps/map{}", maps.len()));
        if !directory.exists() {
            return Ok(Some(maps));
        }
        let name = fs::read_to_string(directory.join("name")).unwrap_or_default();
        let memory = PhysRange::new(attribute(&directory, "addr")?, attribute(&directory, "size")?)
            .ok_or_else(|| invalid(&directory, "its address and size are not a valid range"))?;
        let range = behind(memory, attribute(&directory, "offset")?)
            .ok_or_else(|| invalid(&directory, "its offset is not less than its size"))?;
        maps.push(UioMap { index: maps.len() as u64, name: name.trim_end().into(), range, memory });
    }
}

/// What is left of `memory` behind its first `offset` bytes.
fn behind(memory: PhysRange, offset: u64) -> Option<PhysRange> {
    PhysRange::new(memory.start().checked_add(offset)?, memory.length().checked_sub(offset)?)
}

/// The number in an attribute, which the kernel writes as `0x…`.
fn attribute(directory: &Path, name: &str) -> io::Result<u64> {
    let text = fs::read_to_string(directory.join(name))?;
    let digits = text.trim_end();
    u64::from_str_radix(digits.strip_prefix("0x").unwrap_or(digits), 16)
        .map_err(|_| invalid(directory, &format!("`{name}` is not a number")))
}

fn invalid(directory: &Path, what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{}: {what}", directory.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const PAGE: PageSize = PageSize::new(0x1000).unwrap();

    fn map(index: u64, start: u64, length: u64) -> UioMap {
        let memory = PhysRange::new(start, length).unwrap();
        UioMap { index, name: "regs".into(), range: memory, memory }
    }

    #[test]
    fn sysfs_is_read() {
        let sysfs = tempfile::tempdir().unwrap();
        symlink("../../class/uio", sysfs.path().join("subsystem")).unwrap();
        for (index, addr) in ["0x40000000", "0x0000000050001000"].iter().enumerate() {
            let directory = sysfs.path().join(format!("maps/map{index}"));
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("addr"), format!("{addr}\n")).unwrap();
            fs::write(directory.join("size"), "0x2000\n").unwrap();
            fs::write(directory.join("offset"), format!("{:#x}\n", index * 0x400)).unwrap();
            fs::write(directory.join("name"), "regs\n").unwrap();
        }
        // The registers of the second begin within a page.
        let second = UioMap { range: PhysRange::new(0x5000_1400, 0x1c00).unwrap(), ..map(1, 0x5000_1000, 0x2000) };
        let expected = vec![map(0, 0x4000_0000, 0x2000), second];
        assert_eq!(maps(sysfs.path()).unwrap(), Some(expected));

        fs::write(sysfs.path().join("maps/map1/offset"), "0x2000\n").unwrap();
        let error = maps(sysfs.path()).unwrap_err();
        assert!(error.to_string().ends_with("maps/map1: its offset is not less than its size"), "{error}");

        fs::write(sysfs.path().join("maps/map1/size"), "0x0\n").unwrap();
        let error = maps(sysfs.path()).unwrap_err();
        assert!(error.to_string().contains("maps/map1: its address and size"), "{error}");
    }

    #[test]
    fn another_class_is_no_uio_device() {
        let sysfs = tempfile::tempdir().unwrap();
        assert_eq!(maps(sysfs.path()).unwrap(), None);
        symlink("../../class/mem", sysfs.path().join("subsystem")).unwrap();
        assert_eq!(maps(sysfs.path()).unwrap(), None);
    }

    #[test]
    fn the_offset_is_the_number_and_the_rest_is_skipped() {
        let pages = map(3, 0x4000_0000, 0x4000).pages(PhysRange::new(0x4000_1ffe, 4).unwrap(), PAGE);
        assert_eq!(pages, Some(Pages { start: 0x3000, length: 0x3000, skip: 0x1ffe }));
    }

    #[test]
    fn a_map_that_starts_within_a_page_is_mapped_from_that_page_on() {
        let pages = map(0, 0x4000_0800, 0x100).pages(PhysRange::new(0x4000_0810, 4).unwrap(), PAGE);
        assert_eq!(pages, Some(Pages { start: 0, length: 0x1000, skip: 0x810 }));
    }
}
