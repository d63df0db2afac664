// SPDX-License-Identifier: MIT OR Apache-2.0

//! What memory is mapped from: the driver's node, another character device, or a regular file.

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{fcntl, FcntlArg, OFlag};
use nix::sys::stat::{major, minor};
use nix::sys::statfs::{fstatfs, HUGETLBFS_MAGIC, SYSFS_MAGIC};

use crate::driver::{CacheMode, Mode, Protection, Sharing, Window};
use crate::event::Events;
use crate::options::{check_type, OpenOptions};
use crate::page::{self, PageSize, Pages};
use crate::region::{self, Region};
use crate::{pci, uio, Error, Mapping, Operation, PciBar, PhysRange, Result, UioMap};

/// The node of the map driver.
///
/// ```
/// assert_eq!(devmap::DEFAULT_DEVICE, "/dev/map");
/// ```
pub const DEFAULT_DEVICE: &str = map_core::abi::NODE;

/// An open device or file that physical memory can be mapped from.
///
/// | path | an address is | cache type |
/// |------|---------------|------------|
/// | `/dev/map` | physical | its [window](crate::driver::Window)'s; uncached where there are none |
/// | `/dev/mapN`, the node of a window | an offset in the window | the window's |
/// | `/dev/mem` | physical | uncached, by [`O_SYNC`](OpenOptions::sync); on arm64 write-combining where the kernel has it as RAM, also if it is reserved without `no-map` |
/// | another character device | its mmap offset | its own; of u-dma-buf, see [`O_SYNC`](OpenOptions::sync) |
/// | a UIO node | physical, within one of its [maps](UioMap) | the driver's choice, usually uncached |
/// | `resource0` and so on of a PCI device in sysfs | an offset in the [BAR](PciBar) | asked for: uncached, or write-combining by `resource0_wc` |
/// | another regular file | an offset in the file | the page cache |
///
/// With a regular file, programs and tests run anywhere. Files of hugetlbfs and of a file system on persistent memory
/// are memory, too, and the same as regular ones here, but those of hugetlbfs are mapped by their huge pages.
///
/// # Examples
///
/// ```no_run
/// use devmap::{Device, PhysRange, DEFAULT_DEVICE};
///
/// let device = Device::open(DEFAULT_DEVICE)?;
/// let registers = device.map(PhysRange::new(0xff20_0000, 0x20).unwrap())?;
///
/// // The same memory, if it is the window `regs`.
/// let registers = Device::window("regs")?.map_all()?;
/// # Ok::<(), devmap::Error>(())
/// ```
#[derive(Debug)]
pub struct Device {
    file: File,
    path: PathBuf,
    kind: Kind,
    writable: bool,
    /// What is mapped is a multiple of it.
    page_size: PageSize,
    /// Whether it is a node of the map driver, which can be asked.
    answers: bool,
    /// The interrupt of a UIO device.
    events: Option<Arc<Events>>,
}

/// What a [`Device`] is, which decides what an address of it means.
///
/// ```no_run
/// use devmap::{Device, Kind, DEFAULT_DEVICE};
///
/// let device = Device::open(DEFAULT_DEVICE)?;
/// assert!(matches!(device.kind(), Kind::Character { major: 126, .. }));
/// # Ok::<(), devmap::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A character device whose mmap offset is the address: `/dev/map`, `/dev/mem`, and any unknown device.
    #[non_exhaustive]
    Character {
        /// Its major number.
        major: u64,
        /// Its minor number.
        minor: u64,
    },
    /// The node of a window of the map driver. An address is an offset in the window.
    #[non_exhaustive]
    Window {
        /// The driver's major number.
        major: u64,
        /// The window's minor number.
        minor: u64,
        /// The window as it was when the node was opened, with its physical addresses.
        window: Window,
    },
    /// A UIO device with its memory.
    Uio(Vec<UioMap>),
    /// The memory of a PCI device, by its file in sysfs. An address is an offset in the BAR.
    PciBar(PciBar),
    /// A regular file.
    File,
}

impl Device {
    /// Opens the device at `path` for reading and writing.
    ///
    /// # Errors
    ///
    /// [`Error::Open`] with the error of open(2), and [`Error::NotMappable`] for directories and the like, and for
    /// files of sysfs that are not at the path of a [BAR](PciBar) there, or whose BAR has I/O ports.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use devmap::{Device, DEFAULT_DEVICE};
    ///
    /// let device = Device::open(DEFAULT_DEVICE)?;
    /// // One window alone, by the link that udev makes to its node.
    /// let sdram = Device::open("/dev/map-by-name/sdram")?;
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        OpenOptions::new().open(path)
    }

    /// Opens the device at `path` for reading; its mappings cannot be written.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use devmap::{Device, DEFAULT_DEVICE};
    /// let device = Device::open_read_only(DEFAULT_DEVICE)?;
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self> {
        OpenOptions::new().write(false).open(path)
    }

    /// Options for opening a device otherwise.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use devmap::Device;
    /// let buffer = Device::options().sync(true).open("/dev/udmabuf0")?;
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn options() -> OpenOptions {
        OpenOptions::new()
    }

    /// The device that `file` is, which was opened at `path`.
    pub(crate) fn new(file: File, path: &Path, metadata: &Metadata, writable: bool) -> Result<Self> {
        let failed = |cause| Error::Open { path: path.into(), permissions: None, cause };
        let number = metadata.rdev();
        let (mut page_size, mut events) = (page::system(), None);
        let kind = if cfg!(miri) && metadata.is_file() {
            // It has no fstatfs(2), and so no other files.
            Kind::File
        } else if metadata.is_file() {
            let system = fstatfs(&file).map_err(|errno| failed(errno.into()))?;
            match system.filesystem_type() {
                SYSFS_MAGIC => match pci::bar(&file, path).map_err(failed)? {
                    Ok(bar) => Kind::PciBar(bar),
                    Err(found) => return Err(Error::NotMappable { path: path.into(), found }),
                },
                HUGETLBFS_MAGIC => {
                    let huge = u64::try_from(system.block_size()).ok().and_then(PageSize::new);
                    // mmap(2) and munmap(2) want multiples of it.
                    page_size = huge.ok_or_else(|| failed(Errno::EINVAL.into()))?;
                    Kind::File
                }
                _ => Kind::File,
            }
        } else {
            let (major, minor) = (major(number), minor(number));
            let sysfs = PathBuf::from(format!("/sys/dev/char/{major}:{minor}"));
            match uio::maps(&sysfs).map_err(failed)? {
                Some(maps) => {
                    events = Some(Arc::new(Events::new(&sysfs)));
                    Kind::Uio(maps)
                }
                None => Kind::Character { major, minor },
            }
        };
        let mut device = Self { file, path: path.into(), kind, writable, page_size, answers: false, events };
        if let Kind::Character { major, minor } = device.kind {
            if let Some(mode) = device.driver_mode() {
                device.answers = true;
                if mode == Mode::Window {
                    device.kind = Kind::Window { major, minor, window: device.own_window()? };
                }
            }
        }
        Ok(device)
    }

    /// What is at `path`, which plays a device of this kind.
    #[cfg(test)]
    pub(crate) fn with_kind(path: impl AsRef<Path>, kind: Kind) -> Self {
        Self { kind, ..Self::open(path).unwrap() }
    }

    /// A UIO device that sysfs shows at `sysfs`, whose node `file` plays.
    #[cfg(test)]
    pub(crate) fn of_uio(file: File, path: impl AsRef<Path>, sysfs: &Path) -> Self {
        Self {
            file,
            path: path.as_ref().into(),
            kind: Kind::Uio(Vec::new()),
            writable: true,
            page_size: page::system(),
            answers: false,
            events: Some(Arc::new(Events::new(sysfs))),
        }
    }

    /// The same open file by another descriptor.
    pub(crate) fn duplicate(&self) -> Result<Self> {
        let failed = |cause| Error::Open { path: self.path.clone(), permissions: None, cause };
        let (path, kind, events) = (self.path.clone(), self.kind.clone(), self.events.clone());
        Ok(Self { file: self.file.try_clone().map_err(failed)?, path, kind, events, ..*self })
    }

    /// What kind of device it is.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use devmap::{Device, Kind};
    /// if let Kind::Uio(maps) = Device::open("/dev/uio0")?.kind() {
    ///     for map in maps {
    ///         println!("{}: {}", map.name, map.range);
    ///     }
    /// }
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The path that was opened.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use devmap::Device;
    /// println!("mapped from {}", Device::open("/dev/map")?.path().display());
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The number of bytes that can be mapped, from offset 0 on: the length of the window whose node this is, of the
    /// BAR, or of the regular file.
    ///
    /// # Errors
    ///
    /// [`Error::NoLength`] for every other device, and [`Error::File`] with the error of fstat(2).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use devmap::Device;
    ///
    /// println!("sdram has {} bytes", Device::window("sdram")?.len()?);
    /// # Ok::<(), devmap::Error>(())
    /// ```
    #[expect(clippy::len_without_is_empty, reason = "it can fail, and only a file can be empty")]
    pub fn len(&self) -> Result<u64> {
        match &self.kind {
            Kind::Window { window, .. } => Ok(window.range.length()),
            Kind::PciBar(bar) => Ok(bar.range.length()),
            Kind::File => match self.file.metadata() {
                Ok(metadata) => Ok(metadata.len()),
                Err(cause) => Err(Error::File { operation: Operation::Read, path: self.path.clone(), cause }),
            },
            Kind::Character { .. } => Err(self.no_length("a character device")),
            Kind::Uio(_) => Err(self.no_length("a UIO device")),
        }
    }

    fn no_length(&self, found: &'static str) -> Error {
        Error::NoLength { path: self.path.clone(), found }
    }

    /// Maps all of it: the window whose node this is, the BAR, or the regular file.
    ///
    /// # Errors
    ///
    /// As for [`len`](Self::len) and [`map`](Self::map), and [`Error::NoLength`] for an empty file.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use devmap::Device;
    ///
    /// let sdram = Device::window("sdram")?.map_all()?;
    /// sdram.write::<u8>(100, 3)?;
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn map_all(&self) -> Result<Mapping> {
        let all = PhysRange::new(0, self.len()?).ok_or_else(|| self.no_length("an empty file"))?;
        self.map(all)
    }

    /// Maps `range`, at any byte address and of any length: whole pages are mapped, but only the range is accessible.
    ///
    /// The mapping is shared with every other mapping of the same memory, and outlives the device.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with the map driver's reason, [`Error::Map`] with the error of mmap(2), [`Error::PastEnd`] if
    /// a regular file is too short, [`Error::PastWindow`] if the window is, [`Error::WindowGone`] if it was removed,
    /// [`Error::OutsideMaps`] if no map of a UIO device holds the range, and [`Error::TooLong`] for more than a process
    /// can address.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use devmap::{Device, PhysRange, DEFAULT_DEVICE};
    ///
    /// let device = Device::open(DEFAULT_DEVICE)?;
    /// let sdram = device.map(PhysRange::new(0xc000_0000, 0x30_0000).unwrap())?;
    /// assert_eq!(sdram.len(), 0x30_0000);
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn map(&self, range: PhysRange) -> Result<Mapping> {
        self.map_pages(range, self.pages(range)?)
    }

    /// Maps `range` of `map`, one of those of this UIO device, as [`map`](Self::map) does. Two maps may hold the same
    /// addresses: blocks of registers on the same page, for example. Then `map` takes the first one.
    ///
    /// # Errors
    ///
    /// As for [`map`](Self::map), and [`Error::OutsideMaps`] if the device has no such map, or it does not hold the
    /// range.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use devmap::{Device, Kind};
    ///
    /// let device = Device::open("/dev/uio0")?;
    /// if let Kind::Uio(maps) = device.kind() {
    ///     let second = device.map_in(&maps[1], maps[1].range)?;
    /// }
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn map_in(&self, map: &UioMap, range: PhysRange) -> Result<Mapping> {
        let maps = match &self.kind {
            Kind::Uio(maps) => maps.as_slice(),
            _ => &[],
        };
        let own = maps.iter().position(|own| own == map).map_or(&[][..], |index| &maps[index..=index]);
        let pages = self.uio_map(own, range)?.pages(range, self.page_size);
        self.map_pages(range, pages.ok_or(Error::TooLong { range })?)
    }

    /// The pages to map for `range`.
    fn pages(&self, range: PhysRange) -> Result<Pages> {
        let failed = |cause| Error::Map { path: self.path.clone(), range, bar: false, cause };
        let page_size = self.page_size;
        match &self.kind {
            Kind::Character { .. } => page_size.enclose(range),
            Kind::Window { window, .. } => {
                if range.last() >= window.range.length() {
                    return Err(Error::PastWindow { path: self.path.clone(), range, window: *window });
                }
                page_size.enclose(range)
            }
            Kind::Uio(maps) => self.uio_map(maps, range)?.pages(range, page_size),
            Kind::PciBar(bar) if range.last() < bar.range.length() => bar.pages(range, page_size),
            Kind::PciBar(bar) => {
                return Err(Error::PastEnd { path: self.path.clone(), range, length: bar.range.length() })
            }
            Kind::File => {
                // An access beyond the end of a file is a SIGBUS.
                let length = self.file.metadata().map_err(failed)?.len();
                if range.last() >= length {
                    return Err(Error::PastEnd { path: self.path.clone(), range, length });
                }
                page_size.enclose(range)
            }
        }
        .ok_or(Error::TooLong { range })
    }

    /// Maps `pages`, which hold `range`.
    fn map_pages(&self, range: PhysRange, pages: Pages) -> Result<Mapping> {
        let asked = self.cache_of(&pages);
        let memory = self.memory(&pages).map_err(|cause| self.map_error(range, &pages, cause))?;
        let mapping = Mapping::new(memory, pages.skip, range, self.writable).ok_or(Error::TooLong { range })?;
        // Windows may have come and gone in between. Only memory that is uncached must not be taken for another.
        let cache = match asked {
            None | Some(CacheMode::Uncached) => asked,
            Some(_) => asked.filter(|_| self.cache_of(&pages) == asked),
        };
        let mapping = mapping.with_cache(cache);
        Ok(match &self.kind {
            Kind::Window { window, .. } => mapping.in_window(*window),
            Kind::PciBar(bar) => mapping.in_bar(bar),
            _ => mapping,
        })
    }

    /// The cache type that a mapping of `pages` has, if it is known.
    fn cache_of(&self, pages: &Pages) -> Option<CacheMode> {
        match &self.kind {
            // It has one window as long as it can be mapped.
            Kind::Window { window, .. } => Some(window.cache),
            Kind::PciBar(bar) => Some(bar.cache),
            Kind::File => Some(CacheMode::Cached),
            Kind::Character { .. } if self.answers => self.granted_cache(pages),
            Kind::Character { .. } | Kind::Uio(_) => None,
        }
    }

    /// Maps `pages`, without any check.
    pub(crate) fn memory(&self, pages: &Pages) -> io::Result<Region> {
        region::map(&self.file, &self.path, pages, self.writable)
    }

    /// The error for `range`, whose `pages` could not be mapped because of `cause`.
    fn map_error(&self, range: PhysRange, pages: &Pages, cause: io::Error) -> Error {
        let errno = Errno::from_raw(cause.raw_os_error().unwrap_or_default());
        if let Some(gone) = self.gone(errno) {
            return gone;
        }
        let protection = if self.writable { Protection::READ_WRITE } else { Protection::READ };
        let path = self.path.clone();
        let verdict = self.check(pages.start, pages.length as u64, protection, Sharing::Shared);
        match verdict.ok().and_then(|verdict| verdict.explains(&cause)) {
            Some(refused) => Error::Refused { path, range, refused },
            None => Error::Map { path, range, bar: matches!(self.kind, Kind::PciBar(_)), cause },
        }
    }

    /// The size of its pages: the system's, or that of huge ones.
    pub(crate) fn page_size(&self) -> PageSize {
        self.page_size
    }

    /// Whether it was also opened for writing.
    pub(crate) fn writable(&self) -> bool {
        self.writable
    }

    /// Whether it is a node of the map driver.
    pub(crate) fn answers(&self) -> bool {
        self.answers
    }

    /// The interrupt of a UIO device.
    pub(crate) fn events(&self) -> Option<&Events> {
        self.events.as_deref()
    }

    /// The open file, for ioctl(2) and fstat(2).
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// The map that holds all of `range`.
    fn uio_map<'a>(&self, maps: &'a [UioMap], range: PhysRange) -> Result<&'a UioMap> {
        maps.iter().find(|map| map.memory.contains(&range)).ok_or_else(|| Error::OutsideMaps {
            path: self.path.clone(),
            range,
            nearest: maps.iter().min_by_key(|map| distance(&map.memory, &range)).cloned(),
        })
    }
}

/// Whether it is the device of all physical memory.
pub(crate) fn is_dev_mem(metadata: &Metadata) -> bool {
    !metadata.is_file() && (major(metadata.rdev()), minor(metadata.rdev())) == (1, 1)
}

/// The open file, for poll(2), ioctl(2) and the like. [`Device::interrupts`] waits for interrupts.
impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Keeps the open file; what has been mapped stays mapped.
impl From<Device> for OwnedFd {
    fn from(device: Device) -> Self {
        device.file.into()
    }
}

/// A device that something else has opened: another process, which sent it, or a service manager. Its mappings can be
/// written if it is open for writing.
///
/// It fails for what is not open for reading, since nothing could be mapped, and as [`Device::open`] does: only a
/// character device or a regular file is a device. The path in errors is that of the open file.
///
/// ```
/// use std::os::fd::OwnedFd;
///
/// use devmap::Device;
///
/// let file = tempfile::tempfile()?;
/// file.set_len(0x1000)?;
/// let mapping = Device::try_from(OwnedFd::from(file))?.map_all()?;
/// mapping.write::<u32>(0, 3)?;
///
/// let (socket, _) = std::os::unix::net::UnixStream::pair()?;
/// assert!(Device::try_from(OwnedFd::from(socket)).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl TryFrom<OwnedFd> for Device {
    type Error = Error;

    fn try_from(fd: OwnedFd) -> Result<Self> {
        let path = PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()));
        // Where /proc is not mounted, the link is as good a name as any.
        let path = path.read_link().unwrap_or(path);
        let failed = |cause| Error::Open { path: path.clone(), permissions: None, cause };
        let flags = fcntl(&fd, FcntlArg::F_GETFL).map_err(|errno| failed(errno.into()))?;
        let flags = OFlag::from_bits_retain(flags);
        let file = File::from(fd);
        let metadata = file.metadata().map_err(failed)?;
        check_type(&path, &metadata)?;
        let writable = match flags & OFlag::O_ACCMODE {
            OFlag::O_RDWR => true,
            // One of O_PATH has this number, too.
            OFlag::O_RDONLY if !flags.contains(OFlag::O_PATH) => false,
            _ => return Err(Error::NotMappable { path, found: "not open for reading" }),
        };
        Self::new(file, &path, &metadata, writable)
    }
}

/// How many addresses lie between two ranges.
fn distance(one: &PhysRange, other: &PhysRange) -> u64 {
    let behind = one.start().saturating_sub(other.last());
    let before = other.start().saturating_sub(one.last());
    behind.max(before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::Name;

    fn sdram() -> Kind {
        let range = PhysRange::new(0xc000_0000, 0x2000).unwrap();
        let mut window = Window::new(range);
        window.name = Name::new(b"sdram").unwrap();
        Kind::Window { major: 126, minor: 1, window }
    }

    #[test]
    fn a_window_is_mapped_by_offsets_up_to_its_end() {
        // A longer file plays the node.
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(0x4000).unwrap();
        let device = Device::with_kind(file.path(), sdram());
        assert_eq!(device.len().unwrap(), 0x2000);
        let all = device.map_all().unwrap();
        assert_eq!(all.range(), PhysRange::new(0, 0x2000).unwrap());
        assert_eq!(all.window().unwrap().range.start(), 0xc000_0000);
        assert_eq!(device.map(PhysRange::new(0x1fff, 1).unwrap()).unwrap().len(), 1);
        let error = device.map(PhysRange::new(0x1ffe, 4).unwrap()).unwrap_err();
        assert!(matches!(error, Error::PastWindow { .. }));
        assert_eq!(
            error.to_string(),
            format!(
                "cannot map 0x00001ffe-0x00002001 of {}: the window sdram ends after 0x2000 bytes; \
                 give a range within it",
                file.path().display()
            )
        );
    }

    #[test]
    fn the_map_that_was_chosen_is_mapped_if_another_holds_the_range_as_well() {
        let page = page::system().bytes();
        let file = tempfile::NamedTempFile::new().unwrap();
        let bytes: Vec<_> = (0..3 * page).map(|at| (at / page) as u8).collect();
        std::fs::write(file.path(), bytes).unwrap();
        let memory = PhysRange::new(0x4000_0000, page).unwrap();
        let map = |index, offset| UioMap {
            index,
            name: String::new(),
            range: PhysRange::new(memory.start() + offset, 0x100).unwrap(),
            memory,
        };
        let maps = [map(0, 0), map(1, 0x400), map(2, 0x800)];
        // A longer file plays the node, and each of its pages a map.
        let device = Device::with_kind(file.path(), Kind::Uio(maps.to_vec()));
        let registers = maps[2].range;
        assert_eq!(device.map(registers).unwrap().read::<u8>(0).unwrap(), 0);
        for map in &maps {
            let mapping = device.map_in(map, registers).unwrap();
            assert_eq!((mapping.read::<u8>(0).unwrap(), mapping.range()), (map.index as u8, registers));
        }
        let error = device.map_in(&maps[1], PhysRange::new(memory.start() + page, 4).unwrap()).unwrap_err();
        assert!(matches!(&error, Error::OutsideMaps { nearest: Some(map), .. } if map.index == 1), "{error:?}");
        for (device, map) in [(&device, map(3, 0)), (&Device::open(file.path()).unwrap(), map(0, 0))] {
            let error = device.map_in(&map, registers).unwrap_err();
            assert!(matches!(error, Error::OutsideMaps { nearest: None, .. }), "{error:?}");
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no memfd_create(2)")]
    fn a_file_of_hugetlbfs_is_mapped_by_its_own_pages() {
        use nix::sys::memfd::{memfd_create, MFdFlags};

        // Not every kernel has it, and few have free pages.
        let Ok(fd) = memfd_create("huge", MFdFlags::MFD_HUGETLB) else { return };
        let file = File::from(fd);
        let huge = fstatfs(&file).unwrap().block_size() as u64;
        file.set_len(2 * huge).unwrap();
        let device = Device::try_from(OwnedFd::from(file)).unwrap();
        assert_eq!((device.page_size().bytes(), &device.kind), (huge, &Kind::File));
        assert!(huge > page::system().bytes());
        match device.map(PhysRange::new(huge + 0x10, 4).unwrap()) {
            Ok(mapping) => {
                mapping.write::<u32>(0, 5).unwrap();
                let maps = || std::fs::read_to_string("/proc/self/maps").unwrap();
                assert!(maps().contains("memfd:huge"));
                drop(mapping);
                assert!(!maps().contains("memfd:huge"));
            }
            Err(error) => assert_eq!(error.raw_os_error(), Some(Errno::ENOMEM as i32), "{error}"),
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri knows no devices")]
    fn mmap_of_a_window_that_was_removed_is_an_error_of_its_own() {
        // It has no mmap, which is the same error number.
        let error = Device::with_kind("/dev/null", sdram()).map_all().unwrap_err();
        assert!(matches!(error, Error::WindowGone { .. }), "{error:?}");
    }
}
