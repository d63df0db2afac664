// SPDX-License-Identifier: MIT OR Apache-2.0

//! A mapped regular file, and what each byte of the mapping is.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;

use crate::driver::CacheMode;
use crate::no_fault::{self, CopyError};
use crate::page::PageSize;
use crate::raw::Fault;
use crate::{Device, Error, Kind, Mapping, Operation, PhysRange, Result, Value};

/// What a byte of a file's mapping is, which decides the result of an access to it.
///
/// ```
/// assert_eq!(devmap::Zone::BeyondEnd.to_string(), "beyond the end of the file");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Zone {
    /// A byte of the file.
    Data,
    /// The rest of the file's last page. The kernel fills it with zeros when it reads the page. Stores there never
    /// reach the file; whether they are visible after the file has grown depends on the file system.
    Tail,
    /// In a page wholly beyond the end of the file: an access is a SIGBUS.
    BeyondEnd,
    /// After the last mapped page: an access is a SIGSEGV, or hits another mapping.
    Outside,
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Data => "data of the file",
            Self::Tail => "rest of the file's last page",
            Self::BeyondEnd => "beyond the end of the file",
            Self::Outside => "outside of the mapping",
        })
    }
}

/// The position of a mapping relative to its file: plain numbers, which determine the [`Zone`] of each byte.
///
/// ```text
/// pages  ├───────────────────┼───────────────────┼───────────────────
/// file   ├──────────┤
/// range  ├────────────────────────────────┤
/// zones  │ Data     │ Tail   │ BeyondEnd         │ Outside
/// ```
///
/// Offsets count from the first byte of the range, which may lie within a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Where the data ends.
    data: usize,
    /// Where the file's last page ends.
    tail: usize,
    /// Where the last mapped page ends.
    rounded: usize,
}

impl Layout {
    /// The layout of `range` of a file of `file_length` bytes, on pages of `page_size`.
    ///
    /// `None` if this process cannot address so many bytes.
    ///
    /// ```
    /// use devmap::{page::PageSize, Layout, PhysRange, Zone};
    ///
    /// let page_size = PageSize::new(4096).unwrap();
    /// let layout = Layout::new(PhysRange::new(0, 8192).unwrap(), 2200, page_size).unwrap();
    /// assert_eq!(layout.zone(2199), Zone::Data);
    /// assert_eq!(layout.zone(2200), Zone::Tail);
    /// assert_eq!(layout.zone(4096), Zone::BeyondEnd);
    /// assert_eq!(layout.zone(8192), Zone::Outside);
    /// ```
    pub fn new(range: PhysRange, file_length: u64, page_size: PageSize) -> Option<Self> {
        let pages = page_size.enclose(range)?;
        let rounded = pages.length - pages.skip;
        // Bytes before the range, or after the last page, do not belong to the mapping.
        let within =
            |end: u64| usize::try_from(end.saturating_sub(range.start())).map_or(rounded, |end| end.min(rounded));
        let tail = page_size.round_up(file_length).unwrap_or(u64::MAX);
        Some(Self { data: within(file_length), tail: within(tail), rounded })
    }

    /// What the byte at `offset` is.
    ///
    /// ```
    /// # use devmap::{page::PageSize, Layout, PhysRange, Zone};
    /// let empty = Layout::new(PhysRange::new(0, 1).unwrap(), 0, PageSize::new(4096).unwrap()).unwrap();
    /// assert_eq!((empty.zone(4095), empty.zone(4096)), (Zone::BeyondEnd, Zone::Outside));
    /// ```
    pub fn zone(&self, offset: usize) -> Zone {
        if offset < self.data {
            Zone::Data
        } else if offset < self.tail {
            Zone::Tail
        } else if offset < self.rounded {
            Zone::BeyondEnd
        } else {
            Zone::Outside
        }
    }

    /// The zones of the mapping that are not empty, in the order of their offsets. Every later offset is outside.
    ///
    /// ```
    /// # use devmap::{page::PageSize, Layout, PhysRange, Zone};
    /// let page_size = PageSize::new(4096).unwrap();
    /// let layout = Layout::new(PhysRange::new(0, 6000).unwrap(), 9500, page_size).unwrap();
    /// assert_eq!(layout.zones().collect::<Vec<_>>(), [(0..8192, Zone::Data)]);
    /// ```
    pub fn zones(&self) -> impl Iterator<Item = (Range<usize>, Zone)> {
        let Self { data, tail, rounded } = *self;
        let zones = [(0..data, Zone::Data), (data..tail, Zone::Tail), (tail..rounded, Zone::BeyondEnd)];
        zones.into_iter().filter(|(bytes, _)| !bytes.is_empty())
    }
}

/// A range of a regular file, mapped shared into this process until it is dropped.
///
/// The range may be longer than the file, and the file may change its length at any time. So every access first reads
/// the length of the file, and an access that would be a signal is an error instead: [`Error::BeyondEnd`] for a SIGBUS,
/// [`Error::OutOfBounds`] for a SIGSEGV. Offsets count from the first byte of the range. All offsets below
/// [`rounded_len`](Self::rounded_len) are valid, since the kernel maps whole pages.
///
/// One race remains: if another process truncates the file between the check and the access, the access is a SIGBUS. If
/// you do not trust the other users of the file, use [`no_fault`](Self::no_fault).
///
/// # Examples
///
/// ```
/// use devmap::{Error, FileMapping, PhysRange, Zone};
///
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("shared");
/// std::fs::write(&path, b"Hello")?;
/// // More than there is, for what there will be.
/// let shared = FileMapping::open(&path, PhysRange::new(0, 0x10_0000).unwrap())?;
/// assert_eq!(shared.read::<u8>(4)?, b'o');
/// assert_eq!(shared.zone(0x8_0000)?, Zone::BeyondEnd);
/// assert!(matches!(shared.write::<u8>(0x8_0000, 1), Err(Error::BeyondEnd { .. })));
///
/// shared.grow(0x10_0000)?;
/// shared.write::<u8>(0x8_0000, 1)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FileMapping {
    device: Device,
    range: PhysRange,
    page_size: PageSize,
    /// All pages, from the first byte of the range on.
    mapping: Mapping,
}

impl FileMapping {
    /// Maps `range` of the file at `path`, for reading and writing.
    ///
    /// Neither end of the range needs to lie within the file.
    ///
    /// # Errors
    ///
    /// [`Error::Open`] with the error of open(2), [`Error::NotAFile`] for directories, FIFOs, devices and the like,
    /// [`Error::TooLong`] for more than a process can address, and [`Error::Map`] with the error of mmap(2).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use devmap::{FileMapping, PhysRange};
    ///
    /// let log = FileMapping::open("log", PhysRange::new(0, 0x10_0000).unwrap())?;
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn open(path: impl AsRef<Path>, range: PhysRange) -> Result<Self> {
        Self::of(Device::open(path), range)
    }

    /// Maps `range` of the file at `path`, for reading.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    ///
    /// # Examples
    ///
    /// ```
    /// # use devmap::{FileMapping, PhysRange};
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("shared");
    /// # std::fs::write(&path, b"Hello").unwrap();
    /// let shared = FileMapping::open_read_only(&path, PhysRange::new(0, 5).unwrap())?;
    /// assert!(shared.write::<u8>(0, 1).is_err());
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn open_read_only(path: impl AsRef<Path>, range: PhysRange) -> Result<Self> {
        Self::of(Device::open_read_only(path), range)
    }

    fn of(device: Result<Device>, range: PhysRange) -> Result<Self> {
        let device = device.map_err(|error| match error {
            Error::NotMappable { path, found } => Error::NotAFile { path, found },
            error => error,
        })?;
        if *device.kind() != Kind::File {
            return Err(Error::NotAFile { path: device.path().into(), found: "a character device" });
        }
        let page_size = device.page_size();
        let too_long = || Error::TooLong { range };
        let pages = page_size.enclose(range).ok_or_else(too_long)?;
        let mapped = PhysRange::new(range.start(), (pages.length - pages.skip) as u64).ok_or_else(too_long)?;
        let failed = |cause| Error::Map { path: device.path().into(), range, bar: false, cause };
        let memory = device.memory(&pages).map_err(failed)?;
        let mapping = Mapping::new(memory, pages.skip, mapped, device.writable()).ok_or_else(too_long)?;
        let mapping = mapping.with_cache(Some(CacheMode::Cached));
        Ok(Self { device, range, page_size, mapping })
    }

    /// The requested bytes of the file.
    ///
    /// # Examples
    ///
    /// ```
    /// # use devmap::{FileMapping, PhysRange};
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("shared");
    /// # std::fs::write(&path, b"Hello").unwrap();
    /// # let shared = FileMapping::open(&path, PhysRange::new(0, 0x10_0000).unwrap())?;
    /// assert_eq!(shared.range(), PhysRange::new(0, 0x10_0000).unwrap());
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn range(&self) -> PhysRange {
        self.range
    }

    /// The length of the requested range in bytes, at least 1.
    ///
    /// # Examples
    ///
    /// ```
    /// # use devmap::{FileMapping, PhysRange};
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("shared");
    /// # std::fs::write(&path, b"Hello").unwrap();
    /// # let shared = FileMapping::open(&path, PhysRange::new(0, 0x10_0000).unwrap())?;
    /// assert_eq!(shared.len(), 0x10_0000);
    /// # Ok::<(), devmap::Error>(())
    /// ```
    #[expect(clippy::len_without_is_empty, reason = "there is no empty mapping")]
    pub fn len(&self) -> usize {
        // It is at most `rounded_len`, which is a `usize`.
        self.range.length() as usize
    }

    /// The number of mapped bytes from the first byte of the range on, up to the end of its last page, which is a huge
    /// one in hugetlbfs.
    ///
    /// # Examples
    ///
    /// ```
    /// # use devmap::{FileMapping, PhysRange};
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("shared");
    /// # std::fs::write(&path, b"Hello").unwrap();
    /// let one = FileMapping::open(&path, PhysRange::new(0, 1).unwrap())?;
    /// assert_eq!(one.rounded_len() as u64, devmap::page::system().bytes());
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn rounded_len(&self) -> usize {
        self.mapping.len()
    }

    /// The current length of the file in bytes.
    ///
    /// # Errors
    ///
    /// [`Error::File`] with the error of fstat(2).
    ///
    /// # Examples
    ///
    /// ```
    /// # use devmap::{FileMapping, PhysRange};
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("shared");
    /// # std::fs::write(&path, b"Hello").unwrap();
    /// # let shared = FileMapping::open(&path, PhysRange::new(0, 0x10_0000).unwrap())?;
    /// assert_eq!(shared.file_len()?, 5);
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn file_len(&self) -> Result<u64> {
        let metadata = self.device.file().metadata().map_err(|cause| self.failed(Operation::Read, cause))?;
        Ok(metadata.len())
    }

    /// The current layout of the mapping.
    ///
    /// # Errors
    ///
    /// As for [`file_len`](Self::file_len).
    ///
    /// # Examples
    ///
    /// ```
    /// # use devmap::{FileMapping, PhysRange};
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("shared");
    /// # std::fs::write(&path, b"Hello").unwrap();
    /// # let shared = FileMapping::open(&path, PhysRange::new(0, 0x10_0000).unwrap())?;
    /// for (bytes, zone) in shared.layout()?.zones() {
    ///     println!("{bytes:?}: {zone}");
    /// }
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn layout(&self) -> Result<Layout> {
        self.layout_over(self.file_len()?)
    }

    fn layout_over(&self, file_length: u64) -> Result<Layout> {
        Layout::new(self.range, file_length, self.page_size).ok_or(Error::TooLong { range: self.range })
    }

    /// What the byte at `offset` currently is.
    ///
    /// # Errors
    ///
    /// As for [`file_len`](Self::file_len).
    ///
    /// # Examples
    ///
    /// ```
    /// # use devmap::{FileMapping, PhysRange};
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("shared");
    /// # std::fs::write(&path, b"Hello").unwrap();
    /// # let shared = FileMapping::open(&path, PhysRange::new(0, 0x10_0000).unwrap())?;
    /// assert_eq!(shared.zone(5)?, devmap::Zone::Tail);
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn zone(&self, offset: usize) -> Result<Zone> {
        Ok(self.layout()?.zone(offset))
    }

    /// Loads the value at `offset`.
    ///
    /// # Errors
    ///
    /// [`Error::BeyondEnd`], [`Error::OutOfBounds`] and [`Error::Misaligned`], with nothing loaded, and those of
    /// [`file_len`](Self::file_len).
    ///
    /// # Examples
    ///
    /// ```
    /// # use devmap::{FileMapping, PhysRange};
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("shared");
    /// # std::fs::write(&path, b"Hello").unwrap();
    /// # let shared = FileMapping::open(&path, PhysRange::new(0, 0x10_0000).unwrap())?;
    /// assert_eq!(shared.read::<u8>(1)?, b'e');
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn read<T: Value>(&self, offset: usize) -> Result<T> {
        self.check(Operation::Read, offset, T::WIDTH.bytes())?;
        self.mapping.read(offset)
    }

    /// Stores `value` at `offset`.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read), and [`Error::ReadOnly`]; nothing was stored in that case.
    ///
    /// # Examples
    ///
    /// ```
    /// # use devmap::{FileMapping, PhysRange};
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("shared");
    /// # std::fs::write(&path, b"Hello").unwrap();
    /// # let shared = FileMapping::open(&path, PhysRange::new(0, 0x10_0000).unwrap())?;
    /// shared.write::<u8>(0, b'h')?;
    /// assert_eq!(std::fs::read(&path).unwrap(), b"hello");
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn write<T: Value>(&self, offset: usize, value: T) -> Result<()> {
        self.check(Operation::Write, offset, T::WIDTH.bytes())?;
        self.mapping.write(offset, value)
    }

    /// Loads `bytes.len()` bytes from `offset` on into `bytes`.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read), but every offset is aligned.
    ///
    /// # Examples
    ///
    /// ```
    /// # use devmap::{FileMapping, PhysRange};
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("shared");
    /// # std::fs::write(&path, b"Hello").unwrap();
    /// # let shared = FileMapping::open(&path, PhysRange::new(0, 0x10_0000).unwrap())?;
    /// let mut bytes = [0; 4];
    /// shared.read_into(1, &mut bytes)?;
    /// assert_eq!(bytes, *b"ello");
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn read_into(&self, offset: usize, bytes: &mut [u8]) -> Result<()> {
        self.check(Operation::Read, offset, bytes.len())?;
        self.mapping.bulk().read_into(offset, bytes)
    }

    /// Stores `bytes` from `offset` on.
    ///
    /// # Errors
    ///
    /// As for [`write`](Self::write), but every offset is aligned.
    ///
    /// # Examples
    ///
    /// ```
    /// # use devmap::{FileMapping, PhysRange};
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("shared");
    /// # std::fs::write(&path, b"Hello").unwrap();
    /// # let shared = FileMapping::open(&path, PhysRange::new(0, 0x10_0000).unwrap())?;
    /// shared.write_from(1, b"ippo")?;
    /// assert_eq!(std::fs::read(&path).unwrap(), b"Hippo");
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn write_from(&self, offset: usize, bytes: &[u8]) -> Result<()> {
        self.check(Operation::Write, offset, bytes.len())?;
        self.mapping.bulk().write_from(offset, bytes)
    }

    /// Accesses to a file that others may truncate at any moment.
    ///
    /// # Examples
    ///
    /// ```
    /// # use devmap::{FileMapping, PhysRange};
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("shared");
    /// # std::fs::write(&path, b"Hello").unwrap();
    /// let shared = FileMapping::open(&path, PhysRange::new(0, 5).unwrap())?;
    /// let mut bytes = [0; 5];
    /// shared.no_fault().read_into(0, &mut bytes)?;
    /// assert_eq!(bytes, *b"Hello");
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn no_fault(&self) -> NoFault<'_> {
        NoFault { file: self }
    }

    /// Extends the file to `length` bytes, if it is shorter. The mapped pages up to there become accessible, as zeros.
    ///
    /// A file of that length or more is not changed. No other process should change the length at the same moment:
    /// bytes that it appends between the check of the length and the extension are cut off.
    ///
    /// This does not allocate disk space. If there is none left, a store is still a SIGBUS.
    ///
    /// # Errors
    ///
    /// [`Error::ReadOnly`], and [`Error::File`] with the error of fstat(2) or ftruncate(2).
    ///
    /// # Examples
    ///
    /// ```
    /// # use devmap::{FileMapping, PhysRange};
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("shared");
    /// # std::fs::write(&path, b"Hello").unwrap();
    /// # let shared = FileMapping::open(&path, PhysRange::new(0, 0x10_0000).unwrap())?;
    /// shared.grow(0x10_0000)?;
    /// assert_eq!(shared.read::<u8>(0xf_ffff)?, 0);
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn grow(&self, length: u64) -> Result<()> {
        if !self.mapping.is_writable() {
            return Err(Error::ReadOnly { operation: Operation::Grow, range: self.range });
        }
        if length > self.file_len()? {
            self.device.file().set_len(length).map_err(|cause| self.failed(Operation::Grow, cause))?;
        }
        Ok(())
    }

    /// Fails unless `length` bytes at `offset` can be accessed with the file's current length.
    fn check(&self, operation: Operation, offset: usize, length: usize) -> Result<()> {
        let in_mapping = offset.checked_add(length).filter(|end| *end <= self.mapping.len());
        let Some(end) = in_mapping else {
            return Err(self.mapping.error(Fault::OutOfBounds, operation, offset, length));
        };
        if operation.stores() && !self.mapping.is_writable() {
            return Err(Error::ReadOnly { operation, range: self.range });
        }
        let file_length = self.file_len()?;
        // The zones are in order, so the last byte decides.
        if length > 0 && self.layout_over(file_length)?.zone(end - 1) == Zone::BeyondEnd {
            let path = self.device.path().into();
            return Err(Error::BeyondEnd { operation, path, offset, length, file_length });
        }
        Ok(())
    }

    fn failed(&self, operation: Operation, cause: io::Error) -> Error {
        Error::File { operation, path: self.device.path().into(), cause }
    }
}

/// Accesses to a [`FileMapping`] that fail with an error where plain ones end the process with a SIGBUS.
///
/// The kernel makes them, with process_vm_readv(2) and process_vm_writev(2) on the process itself. For a missing page
/// it returns an error number: no signal handler is involved, and none of the program's interferes.
///
/// The limits:
///
/// * Each access costs an additional system call.
/// * Bytes are copied in no particular width or order, so it is not for values that others change at the same time.
/// * It works for files only. The kernel does not copy to or from device memory in this way.
/// * If a page in the middle is missing, the bytes before it have been copied, and the error has their number.
/// * A store into a page that is being truncated is lost without an error, as with write(2).
/// * Without `CONFIG_CROSS_MEMORY_ATTACH` in the kernel, or in a sandbox that forbids the calls, every access fails
///   with [`Error::NoFaultUnavailable`].
///
/// # Examples
///
/// ```
/// use devmap::{Error, FileMapping, PhysRange};
///
/// /// A message in a file that another process may truncate at any moment.
/// fn message(file: &FileMapping) -> Result<Option<[u8; 64]>, Error> {
///     let mut bytes = [0; 64];
///     match file.no_fault().read_into(0, &mut bytes) {
///         Ok(()) => Ok(Some(bytes)),
///         Err(Error::BeyondEnd { .. } | Error::PageLost { .. }) => Ok(None),
///         Err(error) => Err(error),
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct NoFault<'m> {
    file: &'m FileMapping,
}

impl NoFault<'_> {
    /// Copies `bytes.len()` bytes from `offset` on into `bytes`.
    ///
    /// # Errors
    ///
    /// Those of [`FileMapping::read_into`], [`Error::PageLost`] for a page that disappeared meanwhile, and
    /// [`Error::NoFaultUnavailable`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use devmap::{FileMapping, PhysRange};
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("shared");
    /// # std::fs::write(&path, b"Hello").unwrap();
    /// # let shared = FileMapping::open(&path, PhysRange::new(0, 0x10_0000).unwrap())?;
    /// let mut bytes = [0; 5];
    /// shared.no_fault().read_into(0, &mut bytes)?;
    /// assert_eq!(bytes, *b"Hello");
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn read_into(self, offset: usize, bytes: &mut [u8]) -> Result<()> {
        let length = bytes.len();
        self.file.check(Operation::Read, offset, length)?;
        self.finish(Operation::Read, offset, length, no_fault::load(self.file.mapping.memory(), offset, bytes))
    }

    /// Copies `bytes` to `offset` and the bytes after it.
    ///
    /// # Errors
    ///
    /// Those of [`FileMapping::write_from`], [`Error::PageLost`] for a page that disappeared meanwhile, and
    /// [`Error::NoFaultUnavailable`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use devmap::{FileMapping, PhysRange};
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("shared");
    /// # std::fs::write(&path, b"Hello").unwrap();
    /// # let shared = FileMapping::open(&path, PhysRange::new(0, 0x10_0000).unwrap())?;
    /// shared.no_fault().write_from(4, b"!")?;
    /// assert_eq!(std::fs::read(&path).unwrap(), b"Hell!");
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn write_from(self, offset: usize, bytes: &[u8]) -> Result<()> {
        self.file.check(Operation::Write, offset, bytes.len())?;
        self.finish(Operation::Write, offset, bytes.len(), no_fault::store(self.file.mapping.memory(), offset, bytes))
    }

    /// Turns the outcome of a copy into the caller's result.
    fn finish(
        self,
        operation: Operation,
        offset: usize,
        length: usize,
        copied: Result<usize, CopyError>,
    ) -> Result<()> {
        match copied {
            Ok(done) if done == length => Ok(()),
            Ok(done) => {
                let path = self.file.device.path().into();
                Err(Error::PageLost { operation, path, offset, length, done })
            }
            Err(CopyError::Fault(fault)) => Err(self.file.mapping.error(fault, operation, offset, length)),
            Err(CopyError::Refused(errno)) => Err(Error::NoFaultUnavailable { operation, cause: errno.into() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tempfile::NamedTempFile;

    use super::*;

    fn layout(start: u64, length: u64, file_length: u64, page_size: u64) -> Option<Layout> {
        Layout::new(PhysRange::new(start, length)?, file_length, PageSize::new(page_size)?)
    }

    fn zones(start: u64, length: u64, file_length: u64, page_size: u64) -> Vec<(Range<usize>, Zone)> {
        layout(start, length, file_length, page_size).unwrap().zones().collect()
    }

    #[test]
    fn the_tutorials_mappings_have_the_tutorials_zones() {
        assert_eq!(zones(0, 6000, 9500, 4096), [(0..8192, Zone::Data)]);
        let beyond = [(0..2200, Zone::Data), (2200..4096, Zone::Tail), (4096..8192, Zone::BeyondEnd)];
        assert_eq!(zones(0, 8192, 2200, 4096), beyond);
        // On larger pages the same file and the same length make other zones.
        assert_eq!(zones(0, 8192, 2200, 0x4000), [(0..2200, Zone::Data), (2200..0x4000, Zone::Tail)]);
        assert_eq!(zones(0, 6000, 9500, 0x1_0000), [(0..9500, Zone::Data), (9500..0x1_0000, Zone::Tail)]);
    }

    #[test]
    fn a_file_that_ends_with_a_page_has_no_tail_and_an_empty_one_no_data() {
        assert_eq!(zones(0, 8192, 4096, 4096), [(0..4096, Zone::Data), (4096..8192, Zone::BeyondEnd)]);
        assert_eq!(zones(0, 1, 0, 4096), [(0..4096, Zone::BeyondEnd)]);
    }

    #[test]
    fn offsets_count_from_the_first_byte_asked_for() {
        assert_eq!(zones(4000, 200, 4100, 4096), [(0..100, Zone::Data), (100..4192, Zone::Tail)]);
        assert_eq!(zones(8192, 1, 100, 4096), [(0..4096, Zone::BeyondEnd)]);
        assert_eq!(zones(200, 1, 100, 4096), [(0..3896, Zone::Tail)]);
        assert_eq!(layout(0, u64::MAX, 0, 4096), None);
    }

    proptest! {
        #[test]
        fn the_zone_of_a_byte_is_what_the_rules_say(
            shift in 12u32..17,
            start in 0u64..0x4_0000,
            length in 1u64..0x4_0000,
            file_length in prop_oneof![0u64..0x8_0000, Just(u64::MAX)],
            offset in 0u64..0x6_0000,
        ) {
            let page = 1 << shift;
            let layout = layout(start, length, file_length, page).unwrap();
            let at = start + offset;
            // The rules in terms of page numbers, where the code uses ends.
            let expected = if at / page > (start + length - 1) / page {
                Zone::Outside
            } else if at < file_length {
                Zone::Data
            } else if file_length % page != 0 && at / page == file_length / page {
                Zone::Tail
            } else {
                Zone::BeyondEnd
            };
            prop_assert_eq!(layout.zone(offset as usize), expected);
            let listed = layout.zones().find(|(bytes, _)| bytes.contains(&(offset as usize)));
            prop_assert_eq!(listed.map_or(Zone::Outside, |(_, zone)| zone), expected);
        }
    }

    /// Another process truncates the file between the check and the access.
    #[test]
    #[cfg_attr(miri, ignore = "Miri maps no files, so no page can go")]
    fn a_page_that_goes_away_under_a_no_fault_access_is_an_error() {
        let file = NamedTempFile::new().unwrap();
        let page = crate::page::system().bytes();
        file.as_file().set_len(2 * page).unwrap();
        let mapping = FileMapping::open(file.path(), PhysRange::new(0, 2 * page).unwrap()).unwrap();
        let (memory, page) = (mapping.mapping.memory(), page as usize);
        mapping.write_from(page - 2, b"abcd").unwrap();
        file.as_file().set_len(page as u64).unwrap();

        let mut bytes = [0; 4];
        let copied = no_fault::load(memory, page - 2, &mut bytes);
        assert_eq!((&copied, bytes), (&Ok(2), [b'a', b'b', 0, 0]));
        let error = mapping.no_fault().finish(Operation::Read, page - 2, 4, copied).unwrap_err();
        assert!(matches!(error, Error::PageLost { done: 2, length: 4, .. }), "{error}");
        assert_eq!(no_fault::store(memory, page - 1, b"xy"), Ok(1));
        assert_eq!(no_fault::store(memory, page, b"z"), Ok(0));
        assert_eq!(mapping.read::<u8>(page - 1).unwrap(), b'x');
        // The copies check bounds too, whatever was checked before.
        let outside = CopyError::Fault(Fault::OutOfBounds);
        assert_eq!(no_fault::store(memory, 2 * page - 1, b"xy"), Err(outside));
        assert_eq!(no_fault::load(memory, usize::MAX, &mut bytes), Err(CopyError::Fault(Fault::OutOfBounds)));
    }

    #[test]
    fn without_the_system_calls_there_are_no_accesses_without_faults() {
        let file = NamedTempFile::new().unwrap();
        let mapping = FileMapping::open(file.path(), PhysRange::new(0, 1).unwrap()).unwrap();
        let refused = Err(CopyError::Refused(nix::errno::Errno::ENOSYS));
        let error = mapping.no_fault().finish(Operation::Write, 0, 1, refused).unwrap_err();
        let line = error.to_string();
        assert!(
            line.starts_with("cannot write memory without faults: Function not implemented (ENOSYS); allow"),
            "{line}"
        );
    }
}
