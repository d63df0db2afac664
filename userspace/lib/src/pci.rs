// SPDX-License-Identifier: MIT OR Apache-2.0

//! The memory of a PCI device, as sysfs offers it: a file for each of its base address registers (BARs).
//!
//! The file `resourceN` is as long as the BAR and maps its registers uncached; `resourceN_wc`, which prefetchable ones
//! have, maps them write-combining. They look like regular files, and are none: nothing may treat them as memory in the
//! page cache.

use std::fs;
use std::io;
use std::path::Path;

use nix::sys::statfs::{fstatfs, SYSFS_MAGIC};

use crate::driver::CacheMode;
use crate::page::{PageSize, Pages};
use crate::PhysRange;

/// Which BAR of which PCI device a file in sysfs is.
///
/// ```no_run
/// use devmap::{Device, Kind};
///
/// let device = Device::open("/sys/bus/pci/devices/0000:00:04.0/resource0")?;
/// if let Kind::PciBar(bar) = device.kind() {
///     println!("BAR {} of {} is at {}", bar.index, bar.address, bar.range);
/// }
/// # Ok::<(), devmap::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PciBar {
    /// The address of the device: domain, bus, device and function, as in `0000:00:04.0`.
    pub address: String,
    /// The number of the BAR, 0 to 5; 6 is the expansion ROM.
    pub index: usize,
    /// Its physical addresses.
    pub range: PhysRange,
    /// Its cache type.
    pub cache: CacheMode,
}

impl PciBar {
    /// The pages to map for `range`, offsets in the BAR. One that is shorter than a page may begin within one.
    pub(crate) fn pages(&self, range: PhysRange, page_size: PageSize) -> Option<Pages> {
        let (_, within) = page_size.split(self.range.start());
        page_size.enclose(PhysRange::new(range.start().checked_add(within)?, range.length())?)
    }
}

/// The BAR that the open file at `path` is; `None` if it is another file.
pub(crate) fn bar(file: &fs::File, path: &Path) -> io::Result<Option<PciBar>> {
    if fstatfs(file)?.filesystem_type() != SYSFS_MAGIC {
        return Ok(None);
    }
    bar_at(&fs::canonicalize(path)?)
}

/// The BAR that the file at `path` in sysfs is, whose path has no links.
fn bar_at(path: &Path) -> io::Result<Option<PciBar>> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Ok(None);
    };
    let Some(number) = name.strip_prefix("resource") else { return Ok(None) };
    let (number, cache) = match number.strip_suffix("_wc") {
        Some(number) => (number, CacheMode::WriteCombine),
        None => (number, CacheMode::Uncached),
    };
    let Ok(index) = number.parse() else { return Ok(None) };
    let list = fs::read_to_string(directory.join("resource"))?;
    let wrong = || {
        let what = format!("{}/resource has no range for BAR {index}", directory.display());
        io::Error::new(io::ErrorKind::InvalidData, what)
    };
    let range = list.lines().nth(index).and_then(range).ok_or_else(wrong)?;
    let address = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Some(PciBar { address, index, range, cache }))
}

/// The range in a line of the file `resource`: first address, last address and flags.
fn range(line: &str) -> Option<PhysRange> {
    let mut numbers = line.split_whitespace().map(|number| u64::from_str_radix(number.strip_prefix("0x")?, 16).ok());
    let (first, last) = (numbers.next()??, numbers.next()??);
    PhysRange::new(first, last.checked_sub(first)?.checked_add(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "0x00000000febc1100 0x00000000febc11ff 0x0000000000040200\n\
                        0x000000000000c000 0x000000000000c03f 0x0000000000040101\n\
                        0x0000000000000000 0x0000000000000000 0x0000000000000000\n";

    fn device() -> tempfile::TempDir {
        let device = tempfile::Builder::new().prefix("0000:00:04.").tempdir().unwrap();
        fs::write(device.path().join("resource"), LIST).unwrap();
        device
    }

    #[test]
    fn the_files_of_a_device_are_its_bars() {
        let device = device();
        let address = device.path().file_name().unwrap().to_str().unwrap();
        let bar = |name: &str| bar_at(&device.path().join(name)).unwrap();
        let first = bar("resource0").unwrap();
        let range = PhysRange::new(0xfebc_1100, 0x100).unwrap();
        assert_eq!(first, PciBar { address: address.into(), index: 0, range, cache: CacheMode::Uncached });
        assert_eq!(bar("resource0_wc"), Some(PciBar { cache: CacheMode::WriteCombine, ..first }));
        for other in ["resource", "config", "resource_wc", "resourcex", "rom"] {
            assert_eq!(bar(other), None, "{other}");
        }
        // One that sysfs does not list.
        let error = bar_at(&device.path().join("resource9")).unwrap_err();
        assert!(error.to_string().ends_with("/resource has no range for BAR 9"), "{error}");
    }

    #[test]
    fn a_bar_that_begins_within_a_page_is_mapped_from_there_on() {
        let device = device();
        let bar = bar_at(&device.path().join("resource0")).unwrap().unwrap();
        let pages = bar.pages(PhysRange::new(0x10, 4).unwrap(), PageSize::new(0x1000).unwrap());
        assert_eq!(pages, Some(Pages { start: 0, length: 0x1000, skip: 0x110 }));
    }

    #[test]
    fn a_file_elsewhere_is_no_bar() {
        let directory = device();
        let path = directory.path().join("resource0");
        let file = fs::File::create(&path).unwrap();
        assert_eq!(bar(&file, &path).unwrap(), None);
    }
}
