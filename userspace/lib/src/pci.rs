// SPDX-License-Identifier: MIT OR Apache-2.0

//! The memory of a PCI device, as sysfs offers it: a file for each of its base address registers (BARs).
//!
//! The file `resourceN` is as long as the BAR and asks for uncached registers; `resourceN_wc`, which prefetchable ones
//! have, for write-combining ones. On x86 the kernel may give the other type. They look like regular files, and are
//! none: nothing may treat them as memory in the page cache.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::driver::CacheMode;
use crate::error::shown;
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
    /// The number of the BAR, 0 to 5.
    pub index: usize,
    /// Its physical addresses.
    pub range: PhysRange,
    /// The cache type that the file asks the kernel for: write-combining by `resourceN_wc`, uncached by `resourceN`. On
    /// x86 another mapping of the memory, or a firmware's register for it (MTRR), can make it the other one.
    pub cache: CacheMode,
}

impl PciBar {
    /// The pages to map for `range`, offsets in the BAR. One that is shorter than a page may begin within one.
    pub(crate) fn pages(&self, range: PhysRange, page_size: PageSize) -> Option<Pages> {
        let (_, within) = page_size.split(self.range.start());
        page_size.enclose(PhysRange::new(range.start().checked_add(within)?, range.length())?)
    }
}

/// Why a file of sysfs cannot be mapped.
const NO_BAR: &str = "a file of sysfs, but not at the path of a PCI device's BAR there";

/// The flag of a BAR that has I/O ports, in the file `resource`.
const PORTS: u64 = 0x100;

/// The flag of one that has memory.
const MEMORY: u64 = 0x200;

/// The BAR that `file` of sysfs is, which was opened at `path`; or else what it is.
///
/// Its path says which BAR it is, so it must be the one in sysfs. A container may have it elsewhere, and a descriptor
/// may come from where other things are mounted: nothing tells then what the memory is.
pub(crate) fn bar(file: &fs::File, path: &Path) -> io::Result<Result<PciBar, &'static str>> {
    let opened = file.metadata()?;
    let is_it = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == (opened.dev(), opened.ino()))
    };
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    let mut paths = [fs::canonicalize(path), fs::read_link(link)].into_iter().flatten();
    let Some(path) = paths.find(is_it) else { return Ok(Err(NO_BAR)) };
    let found = bar_at(&path, |list| Ok(list.metadata()?.dev() == opened.dev()))?;
    // The kernel makes the file as long as the BAR.
    Ok(found.and_then(|bar| if bar.range.length() == opened.len() { Ok(bar) } else { Err(NO_BAR) }))
}

/// The BAR that the file at `path` is, which has no links, if the list of BARs beside it `belongs` to it.
fn bar_at(path: &Path, belongs: impl Fn(&fs::File) -> io::Result<bool>) -> io::Result<Result<PciBar, &'static str>> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Ok(Err(NO_BAR));
    };
    let Some(number) = name.strip_prefix("resource") else { return Ok(Err(NO_BAR)) };
    let (number, cache) = match number.strip_suffix("_wc") {
        Some(number) => (number, CacheMode::WriteCombine),
        None => (number, CacheMode::Uncached),
    };
    let index = match number.as_bytes() {
        [digit @ b'0'..=b'5'] => usize::from(digit - b'0'),
        _ => return Ok(Err(NO_BAR)),
    };
    let mut list = match fs::File::open(directory.join("resource")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Err(NO_BAR)),
        list => list?,
    };
    if !belongs(&list)? {
        return Ok(Err(NO_BAR));
    }
    let lines = io::read_to_string(&mut list)?;
    match lines.lines().nth(index).and_then(range) {
        Some((_, flags)) if flags & PORTS != 0 => Ok(Err("a BAR of I/O ports, which are no memory")),
        Some((range, flags)) if flags & MEMORY != 0 => {
            let address = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Ok(Ok(PciBar { address, index, range, cache }))
        }
        _ => {
            let what = format!("{}/resource has no range for BAR {index}", shown(directory));
            Err(io::Error::new(io::ErrorKind::InvalidData, what))
        }
    }
}

/// The range in a line of the file `resource`, and its flags: first address, last address and flags.
fn range(line: &str) -> Option<(PhysRange, u64)> {
    let mut numbers = line.split_whitespace().map(|number| u64::from_str_radix(number.strip_prefix("0x")?, 16).ok());
    let (first, last, flags) = (numbers.next()??, numbers.next()??, numbers.next()??);
    Some((PhysRange::new(first, last.checked_sub(first)?.checked_add(1)?)?, flags))
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use nix::sys::statfs::{fstatfs, SYSFS_MAGIC};

    use super::*;
    use crate::{Device, Error};

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
        let bar = |name: &str| bar_at(&device.path().join(name), |_| Ok(true)).unwrap();
        let first = bar("resource0").unwrap();
        let range = PhysRange::new(0xfebc_1100, 0x100).unwrap();
        assert_eq!(first, PciBar { address: address.into(), index: 0, range, cache: CacheMode::Uncached });
        assert_eq!(bar("resource0_wc"), Ok(PciBar { cache: CacheMode::WriteCombine, ..first }));
        assert_eq!(bar("resource1"), Err("a BAR of I/O ports, which are no memory"));
        let others = ["resource", "config", "resource_wc", "resourcex", "rom", "resource6", "resource00", "resource+0"];
        for other in others {
            assert_eq!(bar(other), Err(NO_BAR), "{other}");
        }
        // Ones that sysfs does not list.
        for absent in [2, 5] {
            let error = bar_at(&device.path().join(format!("resource{absent}")), |_| Ok(true)).unwrap_err();
            assert!(error.to_string().ends_with(&format!("/resource has no range for BAR {absent}")), "{error}");
        }
    }

    #[test]
    fn a_bar_has_its_list_beside_it() {
        let path = device().path().join("resource0");
        assert_eq!(bar_at(&path, |_| Ok(true)).unwrap(), Err(NO_BAR), "the directory is gone");
        let device = device();
        assert_eq!(bar_at(&device.path().join("resource0"), |_| Ok(false)).unwrap(), Err(NO_BAR));
    }

    #[test]
    fn a_bar_that_begins_within_a_page_is_mapped_from_there_on() {
        let device = device();
        let bar = bar_at(&device.path().join("resource0"), |_| Ok(true)).unwrap().unwrap();
        let pages = bar.pages(PhysRange::new(0x10, 4).unwrap(), PageSize::new(0x1000).unwrap());
        assert_eq!(pages, Some(Pages { start: 0, length: 0x1000, skip: 0x110 }));
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri gives every file the same number")]
    fn the_file_must_be_the_one_at_the_path_and_as_long_as_the_bar() {
        let directory = device();
        let [path, other] = ["resource0", "other"].map(|name| directory.path().join(name));
        let file = fs::File::create(&path).unwrap();
        assert_eq!(bar(&file, &path).unwrap(), Err(NO_BAR), "it is empty");
        file.set_len(0x100).unwrap();
        assert_eq!(bar(&file, &path).unwrap().unwrap().index, 0);
        // Where the path does not lead to it, the open file has its own.
        assert_eq!(bar(&file, Path::new("/nowhere")).unwrap().unwrap().index, 0);
        fs::write(&other, "").unwrap();
        assert_eq!(bar(&file, &other).unwrap().unwrap().index, 0);
        // One that is known by another name, as a bind mount is.
        fs::rename(&path, &other).unwrap();
        assert_eq!(bar(&file, &other).unwrap(), Err(NO_BAR));
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no fstatfs(2)")]
    fn another_file_of_sysfs_is_no_device() {
        let path = Path::new("/sys/kernel/mm/transparent_hugepage/enabled");
        let path = if path.exists() { path } else { Path::new("/sys/kernel/notes") };
        let Ok(file) = fs::File::open(path) else { return };
        if fstatfs(&file).unwrap().filesystem_type() == SYSFS_MAGIC {
            let error = Device::try_from(OwnedFd::from(file)).unwrap_err();
            assert!(matches!(error, Error::NotMappable { found: NO_BAR, .. }), "{error}");
            assert!(matches!(Device::open_read_only(path), Err(Error::NotMappable { found: NO_BAR, .. })));
        }
    }
}
