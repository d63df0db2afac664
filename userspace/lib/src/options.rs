// SPDX-License-Identifier: MIT OR Apache-2.0

//! How a device is opened.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::device::is_dev_mem;
use crate::{Device, Error, Permissions, Result};

/// Options for opening a [`Device`]; [`Device::options`] makes them. Without a call they are those of [`Device::open`].
///
/// # Examples
///
/// ```no_run
/// use devmap::Device;
///
/// // On arm, buffers of u-dma-buf are cached unless they are opened with O_SYNC, or their `sync_mode` is another.
/// let buffer = Device::options().sync(true).open("/dev/udmabuf0")?;
/// // For programs that wait for its interrupts in an event loop.
/// let uio = Device::options().nonblocking(true).open("/dev/uio0")?;
/// // A window by its name, for reading.
/// let status = Device::options().write(false).window("status")?;
/// # Ok::<(), devmap::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct OpenOptions {
    pub(crate) write: bool,
    sync: Option<bool>,
    nonblocking: bool,
}

impl OpenOptions {
    /// For reading and writing.
    pub(crate) fn new() -> Self {
        Self { write: true, sync: None, nonblocking: false }
    }

    /// Whether mappings can be written; without this call they can. Reading is always possible, since the kernel maps
    /// nothing for writing alone.
    #[must_use]
    pub fn write(self, write: bool) -> Self {
        Self { write, ..self }
    }

    /// Whether it is opened with O_SYNC, by which drivers decide on the cache type: `/dev/mem` maps uncached or
    /// write-combining with it, and RAM cached without it. So does u-dma-buf on arm, if its attribute `sync_mode` is 1
    /// to 3; with 0 or 4, and on x86, it maps cached all the same, and with 5 to 7 never. The map driver and UIO do not
    /// heed it. Without this call, `/dev/mem` is opened with it and nothing else is.
    #[must_use]
    pub fn sync(self, sync: bool) -> Self {
        Self { sync: Some(sync), ..self }
    }

    /// Whether it is opened with O_NONBLOCK, so that a read(2) for an interrupt never waits. Without this call, it is
    /// not.
    #[must_use]
    pub fn nonblocking(self, nonblocking: bool) -> Self {
        Self { nonblocking, ..self }
    }

    /// Opens the device at `path`.
    ///
    /// # Errors
    ///
    /// As for [`Device::open`].
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Device> {
        let path = path.as_ref();
        // Checked first, because opening a FIFO would wait for its other end.
        let metadata =
            fs::metadata(path).map_err(|cause| Error::Open { path: path.into(), permissions: None, cause })?;
        check_type(path, &metadata)?;
        let sync = self.sync.unwrap_or_else(|| is_dev_mem(&metadata));
        let mut flags = OFlag::empty();
        flags.set(OFlag::O_SYNC, sync);
        flags.set(OFlag::O_NONBLOCK, self.nonblocking);
        let options = File::options().read(true).write(self.write).custom_flags(flags.bits()).clone();
        let file = options.open(path).map_err(|cause: io::Error| Error::Open {
            path: path.into(),
            // EPERM is the driver's own, whatever the permissions are.
            permissions: (cause.raw_os_error() == Some(Errno::EACCES as i32))
                .then(|| Permissions::new(&metadata, self.write)),
            cause,
        })?;
        // A link may have changed in between.
        let opened = file.metadata().map_err(|cause| Error::Open { path: path.into(), permissions: None, cause })?;
        check_type(path, &opened)?;
        if self.sync.is_none() && is_dev_mem(&opened) != sync {
            return Err(Error::NotMappable { path: path.into(), found: "not what it was before it was opened" });
        }
        Device::new(file, path, &opened, self.write)
    }
}

/// Fails unless it is a character device or a regular file.
pub(crate) fn check_type(path: &Path, metadata: &Metadata) -> Result<()> {
    let file_type = metadata.file_type();
    if file_type.is_file() || file_type.is_char_device() {
        return Ok(());
    }
    Err(Error::NotMappable {
        path: path.into(),
        found: if file_type.is_dir() {
            "a directory"
        } else if file_type.is_block_device() {
            "a block device"
        } else if file_type.is_fifo() || file_type.is_socket() {
            "a pipe or socket"
        } else {
            // As of eventfd(2).
            "neither a device nor a file"
        },
    })
}
