// SPDX-License-Identifier: MIT OR Apache-2.0

//! What memory is reached through: the driver's node, another character device, or a regular file.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use memmap2::MmapOptions;
use nix::fcntl::OFlag;
use nix::sys::stat::makedev;

use crate::page::PageSize;
use crate::{Error, Mapping, PhysRange, Result};

/// The node of the map driver.
pub const DEFAULT_DEVICE: &str = map_core::abi::NODE;

/// Something open that physical memory can be mapped from.
///
/// | path | an address is | cache type |
/// |------|---------------|------------|
/// | `/dev/map` | physical | uncached |
/// | `/dev/mem` | physical | uncached, by `O_SYNC` |
/// | another character device | what its mmap offset means | its own |
/// | a regular file | an offset in the file | the page cache |
///
/// A regular file lets programs and tests run anywhere.
#[derive(Debug)]
pub struct Device {
    file: File,
    path: PathBuf,
    writable: bool,
}

impl Device {
    /// Opens the device at `path` for reading and writing.
    ///
    /// # Errors
    ///
    /// [`Error::Open`] with what open(2) said, and [`Error::NotMappable`] for directories and the like.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use devmap::{Device, DEFAULT_DEVICE};
    ///
    /// let device = Device::open(DEFAULT_DEVICE)?;
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_as(path.as_ref(), true)
    }

    /// Opens the device at `path` for reading; its mappings cannot be written.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_as(path.as_ref(), false)
    }

    fn open_as(path: &Path, writable: bool) -> Result<Self> {
        let failed = |cause| Error::Open {
            path: path.into(),
            cause,
        };
        // Looked at first, because opening a FIFO would wait for its other end.
        let metadata = fs::metadata(path).map_err(failed)?;
        let file_type = metadata.file_type();
        if !file_type.is_file() && !file_type.is_char_device() {
            return Err(Error::NotMappable {
                path: path.into(),
                found: if file_type.is_dir() {
                    "a directory"
                } else if file_type.is_block_device() {
                    "a block device"
                } else {
                    "a pipe or socket"
                },
            });
        }
        // /dev/mem maps uncached what was opened with O_SYNC; no other device heeds it here.
        let is_dev_mem = file_type.is_char_device() && metadata.rdev() == makedev(1, 1);
        let flags = if is_dev_mem {
            OFlag::O_SYNC
        } else {
            OFlag::empty()
        };
        let file = OpenOptions::new()
            .read(true)
            .write(writable)
            .custom_flags(flags.bits())
            .open(path)
            .map_err(failed)?;
        Ok(Self {
            file,
            path: path.into(),
            writable,
        })
    }

    /// The path that it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Maps `range`, at any byte address and of any length: the pages around it are mapped, the range alone is shown.
    ///
    /// The mapping is shared with every other one of the same memory, and outlives the device.
    ///
    /// # Errors
    ///
    /// [`Error::Map`] with what mmap(2) said, [`Error::PastEnd`] where a regular file is too short, and
    /// [`Error::TooLong`] for more than a process can address.
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
        let failed = |cause| Error::Map {
            path: self.path.clone(),
            range,
            cause,
        };
        let metadata = self.file.metadata().map_err(failed)?;
        // An access beyond the end of a file is a SIGBUS. A device has no end that could be asked for.
        if metadata.is_file() && range.last() >= metadata.len() {
            return Err(Error::PastEnd {
                path: self.path.clone(),
                range,
                length: metadata.len(),
            });
        }
        let too_long = Error::TooLong { range };
        let Some(pages) = PageSize::of_system().enclose(range) else {
            return Err(too_long);
        };
        let mut options = MmapOptions::new();
        options.offset(pages.start).len(pages.length);
        let memory = if self.writable {
            options.map_raw(&self.file)
        } else {
            options.map_raw_read_only(&self.file)
        }
        .map_err(failed)?;
        Mapping::new(memory, pages.skip, range, self.writable).ok_or(too_long)
    }
}
