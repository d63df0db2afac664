// SPDX-License-Identifier: MIT OR Apache-2.0

//! What can go wrong: the operation, the range in hexadecimal, and what to do about it.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::driver::{CacheMode, Name, Node, Refused, Window};
use crate::{Permissions, PhysRange, UioMap, Width, DEFAULT_DEVICE};

/// The result of everything that can fail here.
///
/// ```no_run
/// fn status() -> devmap::Result<u32> {
///     let range = devmap::PhysRange::new(0xff20_0000, 0x20).unwrap();
///     devmap::Device::open("/dev/map")?.map(range)?.read(0x10)
/// }
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An operation on mapped memory, or on an interrupt.
///
/// ```
/// assert_eq!(devmap::Operation::Copy.to_string(), "copy to");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Loading from it.
    Read,
    /// Storing to it.
    Write,
    /// Loading a value, changing bits of it, and storing it.
    Modify,
    /// Getting a register, to load and store it later.
    Access,
    /// Getting a part of a mapping.
    Slice,
    /// Filling it with one value.
    Fill,
    /// Comparing it with something else.
    Compare,
    /// Storing to it a copy of other memory.
    Copy,
    /// Extending the file behind it.
    Grow,
    /// Writing its cached bytes back to memory.
    Clean,
    /// Removing it from the caches.
    Invalidate,
    /// Both.
    CleanInvalidate,
    /// Waiting for an interrupt.
    Wait,
    /// Masking an interrupt.
    Mask,
    /// Unmasking an interrupt.
    Unmask,
    /// Setting the eventfd of an interrupt, or taking it away.
    SetEventfd,
}

impl Operation {
    /// Whether it needs a writable mapping.
    pub(crate) const fn stores(self) -> bool {
        match self {
            Self::Read | Self::Slice | Self::Compare | Self::Clean | Self::Invalidate | Self::CleanInvalidate => false,
            Self::Write | Self::Modify | Self::Access | Self::Fill | Self::Copy | Self::Grow => true,
            // Of no memory.
            Self::Wait | Self::Mask | Self::Unmask | Self::SetEventfd => false,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Modify => "modify",
            Self::Access => "access",
            Self::Slice => "cut out",
            Self::Fill => "fill",
            Self::Compare => "compare",
            Self::Copy => "copy to",
            Self::Grow => "grow",
            Self::Clean => "clean",
            Self::Invalidate => "invalidate",
            Self::CleanInvalidate => "clean and invalidate",
            Self::Wait => "wait for",
            Self::Mask => "mask",
            Self::Unmask => "unmask",
            Self::SetEventfd => "set the eventfd of",
        })
    }
}

/// Why an operation failed. Its text is one line: what, where, and the remedy.
///
/// The text is complete: it has that of the system's error, too, which is its [source](std::error::Error::source).
///
/// ```no_run
/// use devmap::{Device, Error, PhysRange, DEFAULT_DEVICE};
///
/// let range = PhysRange::new(0xc000_0000, 0x30_0000).unwrap();
/// match Device::open(DEFAULT_DEVICE).and_then(|device| device.map(range)) {
///     Ok(sdram) => println!("{} is mapped", sdram.range()),
///     Err(Error::Refused { refused, .. }) => println!("the driver refuses: {}", refused.why()),
///     Err(error) => println!("{error}"),
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The device could not be opened.
    #[error(
        "cannot open {}: {}{}",
        shown(path), errno_text(cause), remedy(open_remedy(path, permissions.as_ref(), cause))
    )]
    #[non_exhaustive]
    Open {
        /// Its path.
        path: PathBuf,
        /// Its permissions, if they are the reason.
        permissions: Option<Permissions>,
        /// The error of open(2).
        #[source]
        cause: io::Error,
    },
    /// The node of a window could not be opened by the window's name.
    #[error(
        "cannot open the window {name}: its node {}: {}{}",
        shown(&node.path()), errno_text(cause), remedy(node_remedy(node, permissions.as_ref(), cause))
    )]
    #[non_exhaustive]
    OpenWindow {
        /// The name of the window.
        name: Name,
        /// Its node.
        node: Node,
        /// The permissions of the node, if they are the reason.
        permissions: Option<Permissions>,
        /// The error of open(2).
        #[source]
        cause: io::Error,
    },
    /// The driver has no window of this name.
    #[error("there is no window {}; {}", quoted(name), listed(names))]
    #[non_exhaustive]
    NoWindow {
        /// The name.
        name: String,
        /// The names there are.
        names: Vec<Name>,
    },
    /// The window has no node of its own, so it cannot be opened by its name.
    #[error("the window {name} has no node of its own; map its addresses from {DEFAULT_DEVICE}")]
    #[non_exhaustive]
    NoNode {
        /// The name of the window.
        name: Name,
    },
    /// The path names something that cannot be mapped, such as a directory.
    #[error("cannot map {}: it is {found}; give a character device or a regular file", shown(path))]
    #[non_exhaustive]
    NotMappable {
        /// The path.
        path: PathBuf,
        /// What it names.
        found: &'static str,
    },
    /// The map driver refused the range, with a reason.
    #[error(
        "cannot map {range} of {}: {}: {refused}; {}",
        shown(path), errno_text(&refused.errno().into()), refused.remedy()
    )]
    Refused {
        /// The path of the device.
        path: PathBuf,
        /// The requested range, not the pages around it.
        range: PhysRange,
        /// The reason, and the window that it concerns.
        refused: Refused,
    },
    /// mmap(2) refused the range.
    #[error("cannot map {range} of {}: {}{}", shown(path), errno_text(cause), remedy(map_remedy(cause, *bar)))]
    #[non_exhaustive]
    Map {
        /// The path of the device.
        path: PathBuf,
        /// The requested range, not the pages around it.
        range: PhysRange,
        /// Whether the device is a BAR of a PCI device.
        bar: bool,
        /// The error of mmap(2).
        #[source]
        cause: io::Error,
    },
    /// Only the map driver answers queries. This is another device, or a map driver that is too old for queries.
    #[error("cannot ask {}: it is {found}; only the map driver answers, whose node is {DEFAULT_DEVICE}", shown(path))]
    #[non_exhaustive]
    NotMapDriver {
        /// The path of the device.
        path: PathBuf,
        /// What the device is.
        found: &'static str,
    },
    /// The map driver's answer is unknown to this crate; the driver is newer or older.
    #[error(
        "cannot understand {}: its driver answers with {what} {code}, which devmap {} does not know; \
         use a driver and a devmap of the same release",
        shown(path), env!("CARGO_PKG_VERSION")
    )]
    #[non_exhaustive]
    UnknownAnswer {
        /// The path of the device.
        path: PathBuf,
        /// What the number stands for.
        what: &'static str,
        /// The unknown number.
        code: u32,
    },
    /// A query to the map driver failed, whatever its answer would be.
    #[error("cannot ask {}: {}", shown(path), errno_text(cause))]
    #[non_exhaustive]
    Ask {
        /// The path of the device.
        path: PathBuf,
        /// The error of ioctl(2).
        #[source]
        cause: io::Error,
    },
    /// The file ends before the range does.
    #[error("cannot map {range} of {}: the file ends after {length:#x} bytes; give a range within it", shown(path))]
    #[non_exhaustive]
    PastEnd {
        /// The path of the file.
        path: PathBuf,
        /// The requested range.
        range: PhysRange,
        /// The length of the file in bytes.
        length: u64,
    },
    /// The window ends before the range does.
    #[error(
        "cannot map {range} of {}: {} ends after {:#x} bytes; give a range within it",
        shown(path), titled("the window", &window.name), window.range.length()
    )]
    #[non_exhaustive]
    PastWindow {
        /// The path of the window's node.
        path: PathBuf,
        /// The requested range, in offsets from the start of the window.
        range: PhysRange,
        /// The window.
        window: Window,
    },
    /// The window of this node was removed, for example with its device of the device tree. Nothing works on this open
    /// node any more, and its mappings have lost their pages.
    #[error("cannot use {}: {} was removed; open it again when it is back", shown(path), titled("its window", name))]
    #[non_exhaustive]
    WindowGone {
        /// The path of the node.
        path: PathBuf,
        /// The name of the window; empty if it has none.
        name: Name,
    },
    /// The UIO device was removed. Nothing works on this open node any more.
    #[error("cannot use {}: its device was removed; open it again when it is back", shown(path))]
    #[non_exhaustive]
    DeviceGone {
        /// The path of the node.
        path: PathBuf,
    },
    /// The device has no interrupts that a program could wait for.
    #[error("{} has no interrupts: {why}", shown(path))]
    #[non_exhaustive]
    NoInterrupts {
        /// The path of the device.
        path: PathBuf,
        /// The reason, and the remedy.
        why: &'static str,
    },
    /// The device has no interrupt of this name or index.
    #[error("{} has no interrupt {}; it has {}", shown(path), quoted(name), numbered(names))]
    #[non_exhaustive]
    NoInterrupt {
        /// The path of the device.
        path: PathBuf,
        /// The name, or the index.
        name: String,
        /// The names there are, by index; empty for those without one.
        names: Vec<String>,
    },
    /// An interrupt could not be waited for, masked or unmasked, or its eventfd not be set.
    #[error(
        "cannot {operation} the interrupt {interrupt} of {}: {}{}",
        shown(path), errno_text(cause), remedy(interrupt_remedy(*operation, cause))
    )]
    #[non_exhaustive]
    Interrupt {
        /// The operation.
        operation: Operation,
        /// The path of the device.
        path: PathBuf,
        /// The name of the interrupt, or its index.
        interrupt: String,
        /// The error of ioctl(2), or for UIO of poll(2), read(2) or write(2).
        #[source]
        cause: io::Error,
    },
    /// A device that has no length cannot be mapped as a whole.
    #[error("{} has no length, because it is {found}: give a range", shown(path))]
    #[non_exhaustive]
    NoLength {
        /// The path of the device.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// The path of a file mapping does not name a regular file.
    #[error("cannot map {}: it is {found}; give a regular file", shown(path))]
    #[non_exhaustive]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it names.
        found: &'static str,
    },
    /// An access to a page wholly beyond the end of the file, which would be a SIGBUS.
    #[error(
        "cannot {operation} {length:#x} bytes at offset {offset:#x}: {} ends after {file_length:#x} bytes, and has no \
         page there; grow it first",
        shown(path)
    )]
    #[non_exhaustive]
    BeyondEnd {
        /// The operation.
        operation: Operation,
        /// The path of the file.
        path: PathBuf,
        /// The offset in bytes from the start of the mapping.
        offset: usize,
        /// The number of bytes.
        length: usize,
        /// The length of the file in bytes at that moment.
        file_length: u64,
    },
    /// A page of the file disappeared during the access.
    #[error(
        "cannot {operation} {length:#x} bytes at offset {offset:#x}: after {done:#x} of them {} had no page left; \
         keep others from truncating the file, and its file system from filling up",
        shown(path)
    )]
    #[non_exhaustive]
    PageLost {
        /// The operation.
        operation: Operation,
        /// The path of the file.
        path: PathBuf,
        /// The offset in bytes from the start of the mapping.
        offset: usize,
        /// The number of bytes.
        length: usize,
        /// The number of bytes that were done.
        done: usize,
    },
    /// The system has no way to access memory without faults.
    #[error(
        "cannot {operation} memory without faults: {}; \
         allow process_vm_readv(2) and process_vm_writev(2), or use plain accesses",
        errno_text(cause)
    )]
    #[non_exhaustive]
    NoFaultUnavailable {
        /// The operation.
        operation: Operation,
        /// The error of the system call.
        #[source]
        cause: io::Error,
    },
    /// The length of the file could not be read or extended.
    #[error("cannot {operation} {}: {}", shown(path), errno_text(cause))]
    #[non_exhaustive]
    File {
        /// The operation.
        operation: Operation,
        /// The path of the file.
        path: PathBuf,
        /// The error of fstat(2) or ftruncate(2).
        #[source]
        cause: io::Error,
    },
    /// No memory of the UIO device holds the whole range.
    #[error("cannot map {range} of {}: {}", shown(path), nearest_map(nearest))]
    #[non_exhaustive]
    OutsideMaps {
        /// The path of the device.
        path: PathBuf,
        /// The requested range.
        range: PhysRange,
        /// The map nearest to it, if the device has any memory.
        nearest: Option<UioMap>,
    },
    /// The range is longer than this process can address.
    #[error("cannot map {range}: that is more than one process can address; map it in parts")]
    TooLong {
        /// The requested range.
        range: PhysRange,
    },
    /// An access would leave the mapping.
    #[error(
        "cannot {operation} {length:#x} bytes at offset {offset:#x}: the mapping {range} has {:#x} bytes",
        range.length()
    )]
    #[non_exhaustive]
    OutOfBounds {
        /// The operation.
        operation: Operation,
        /// The offset in bytes from the start of the mapping.
        offset: usize,
        /// The number of bytes.
        length: usize,
        /// The range of the mapping.
        range: PhysRange,
    },
    /// A part of a mapping without a byte.
    #[error("cannot cut out 0 bytes at offset {offset:#x} of {range}: give at least one")]
    #[non_exhaustive]
    Empty {
        /// The offset in bytes from the start of the mapping.
        offset: usize,
        /// The range of the mapping.
        range: PhysRange,
    },
    /// This processor has no access of this width, and several are not taken for one.
    #[error(
        "cannot {operation} {bytes} bytes in one access: this processor has none of that width; use a smaller one"
    )]
    #[non_exhaustive]
    NoSuchWidth {
        /// The operation.
        operation: Operation,
        /// The width in bytes.
        bytes: usize,
    },
    /// The address of an access is not a multiple of its width.
    #[error("cannot {operation} {width} bytes at {address:#010x} in one access: use a multiple of {width:#x} or a smaller width")]
    #[non_exhaustive]
    Misaligned {
        /// The operation.
        operation: Operation,
        /// The physical address.
        address: u64,
        /// The width of the access in bytes.
        width: usize,
    },
    /// The mapping is not cached, so there is nothing in a cache.
    #[error("cannot {operation} the caches for {range}: its cache type is {cache}, so no cache keeps it; this is for cached windows")]
    #[non_exhaustive]
    NotCached {
        /// The operation.
        operation: Operation,
        /// The range of the mapping.
        range: PhysRange,
        /// Its cache type.
        cache: CacheMode,
    },
    /// This processor does not let programs maintain its caches.
    #[error(
        "cannot {operation} the caches for {range}: programs cannot do that on this processor; use a window that is not cached"
    )]
    #[non_exhaustive]
    NoCacheMaintenance {
        /// The operation.
        operation: Operation,
        /// The range of the mapping.
        range: PhysRange,
    },
    /// It would take loads from memory that may be registers, since the cache type of the mapping is not known.
    #[error(
        "cannot {operation} the caches for {range}: its cache type is not known, and on this processor it takes loads, \
         which may change registers; open the device for writing, or use a window of the map driver"
    )]
    #[non_exhaustive]
    UnknownCacheType {
        /// The operation.
        operation: Operation,
        /// The range of the mapping.
        range: PhysRange,
    },
    /// The length of a range is not a multiple of the width of the accesses to it.
    #[error("cannot {operation} {length:#x} bytes in accesses of {width}: give a multiple of {:#x}, or a smaller width", width.bytes())]
    Uneven {
        /// The operation.
        operation: Operation,
        /// The length in bytes.
        length: usize,
        /// The width of the accesses, or of the repeated value.
        width: Width,
    },
    /// A value has more bits than the access.
    #[error("{value:#x} does not fit into one access of {width}: use a greater width, or a smaller value")]
    TooWide {
        /// The value.
        value: u64,
        /// The width of the access.
        width: Width,
    },
    /// A store into a read-only mapping.
    #[error("cannot {operation} {range}: it is mapped for reading only; open the device for writing too")]
    #[non_exhaustive]
    ReadOnly {
        /// The operation.
        operation: Operation,
        /// The range of the mapping.
        range: PhysRange,
    },
}

impl Error {
    /// The number of the system's error, if a system call failed.
    ///
    /// ```
    /// let error = devmap::Device::open("/dev/no-such-device").unwrap_err();
    /// assert_eq!(error.raw_os_error(), Some(2));
    /// ```
    pub fn raw_os_error(&self) -> Option<i32> {
        match self {
            Self::Refused { refused, .. } => Some(refused.errno() as i32),
            error => error.cause()?.raw_os_error(),
        }
    }

    /// Whether the device was removed: the window of this node, or the UIO device. Nothing works on what is open of it.
    ///
    /// ```no_run
    /// use devmap::Device;
    ///
    /// let interrupts = Device::window("rtc")?.interrupts()?;
    /// match interrupts.wait(None) {
    ///     Err(error) if error.is_gone() => println!("the clock was removed"),
    ///     counts => println!("{:?}", counts?),
    /// }
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::WindowGone { .. } | Self::DeviceGone { .. })
    }

    /// The kind of the error: of the system's, or else what fits best.
    ///
    /// ```
    /// use std::io::ErrorKind;
    ///
    /// assert_eq!(devmap::Device::open("/dev/no-such-device").unwrap_err().kind(), ErrorKind::NotFound);
    /// ```
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Refused { refused, .. } => io::Error::from(refused.errno()).kind(),
            Self::NoWindow { .. }
            | Self::NoNode { .. }
            | Self::WindowGone { .. }
            | Self::DeviceGone { .. }
            | Self::NoInterrupt { .. } => io::ErrorKind::NotFound,
            Self::ReadOnly { .. } => io::ErrorKind::PermissionDenied,
            Self::PastEnd { .. } | Self::PastWindow { .. } | Self::BeyondEnd { .. } | Self::PageLost { .. } => {
                io::ErrorKind::UnexpectedEof
            }
            Self::NotCached { .. }
            | Self::NoCacheMaintenance { .. }
            | Self::UnknownCacheType { .. }
            | Self::NoSuchWidth { .. }
            | Self::NoLength { .. }
            | Self::NoInterrupts { .. }
            | Self::NotMapDriver { .. } => io::ErrorKind::Unsupported,
            Self::UnknownAnswer { .. } => io::ErrorKind::InvalidData,
            error => error.cause().map_or(io::ErrorKind::InvalidInput, io::Error::kind),
        }
    }

    /// The system's error.
    fn cause(&self) -> Option<&io::Error> {
        std::error::Error::source(self)?.downcast_ref()
    }
}

/// For functions that return the errors of the system. The text and the [kind](Error::kind) stay the same, but
/// [`io::Error::raw_os_error`] is `None`. The error of this crate, with [the number](Error::raw_os_error), is what
/// [`io::Error::get_ref`] refers to, and [`io::Error::downcast`] returns.
///
/// ```
/// let error = std::io::Error::from(devmap::Device::open("/dev/no-such-device").unwrap_err());
/// assert_eq!(error.raw_os_error(), None);
/// let number = error.downcast::<devmap::Error>().ok().and_then(|error| error.raw_os_error());
/// assert_eq!(number, Some(2));
/// ```
///
/// ```
/// fn first_byte() -> std::io::Result<u8> {
///     Ok(devmap::Device::open("/dev/no-such-device")?.map_all()?.read(0)?)
/// }
///
/// assert!(first_byte().unwrap_err().to_string().starts_with("cannot open /dev/no-such-device: "));
/// ```
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error)
    }
}

/// The text of an error of the system in the messages of this crate: the meaning and the name of its number.
///
/// ```
/// let absent = std::io::Error::from_raw_os_error(2);
/// assert_eq!(devmap::errno_text(&absent), "No such file or directory (ENOENT)");
/// ```
pub fn errno_text(error: &io::Error) -> String {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(errno) => format!("{} ({errno:?})", errno.desc()),
        None => error.to_string(),
    }
}

/// The remedy, as the end of a line, or nothing.
fn remedy(text: Option<impl AsRef<str>>) -> String {
    text.map(|text| format!("; {}", text.as_ref())).unwrap_or_default()
}

/// The path, on one line whatever its name is.
pub(crate) fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    if text.contains(char::is_control) {
        text.escape_debug().to_string()
    } else {
        text
    }
}

/// `name`, in quotation marks unless it is a word.
fn quoted(name: &str) -> String {
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
        format!("`{}`", name.escape_debug())
    } else {
        name.into()
    }
}

/// The names of all windows.
fn listed(names: &[Name]) -> String {
    if names.is_empty() {
        return "no window has a name".into();
    }
    let names: Vec<_> = names.iter().map(Name::as_str).collect();
    format!("the windows are {}", names.join(", "))
}

/// The interrupts that there are: their indices, with the names of those that have one.
fn numbered(names: &[String]) -> String {
    let one = |(index, name): (usize, &String)| match name.as_str() {
        "" => index.to_string(),
        name => format!("{index} ({})", name.escape_debug()),
    };
    names.iter().enumerate().map(one).collect::<Vec<_>>().join(", ")
}

/// A window after `noun`, by its name if it has one.
fn titled(noun: &str, name: &Name) -> String {
    if name.is_empty() {
        noun.into()
    } else {
        format!("{noun} {name}")
    }
}

/// The memory of a UIO device that is nearest to a range.
fn nearest_map(nearest: &Option<UioMap>) -> String {
    match nearest {
        Some(map) => format!("the nearest memory of the device is its map {} at {}", map.index, map.range),
        None => "the device has no memory".into(),
    }
}

/// The remedy for an error number of open(2).
fn open_remedy(path: &Path, permissions: Option<&Permissions>, cause: &io::Error) -> Option<Cow<'static, str>> {
    if let Some(permissions) = permissions {
        return Some(denied(permissions).into());
    }
    let is_ours = path == Path::new(DEFAULT_DEVICE);
    let text = match Errno::from_raw(cause.raw_os_error()?) {
        Errno::ENOENT if is_ours => {
            "load the driver with `insmod map.ko`; without devtmpfs or udev also `mknod /dev/map c 126 0`"
        }
        Errno::ENOENT | Errno::ENXIO | Errno::ENODEV if is_of_a_window(path) => {
            "no window has this node: `devmap info` lists the windows and their nodes"
        }
        Errno::ENXIO | Errno::ENODEV if is_ours => "no driver is behind the node: load it with `insmod map.ko`",
        Errno::ENXIO | Errno::ENODEV => "no driver is behind the node: load its driver",
        Errno::EPERM if is_ours => {
            "without windows it takes CAP_SYS_RAWIO and a kernel that is not locked down: \
             run as root, or load the driver with windows"
        }
        Errno::EPERM => "it takes the capability CAP_SYS_RAWIO: run as root",
        Errno::EACCES => "its permissions forbid it: run as root, or change its group or mode",
        Errno::EROFS => "it can be opened for reading only",
        _ => return None,
    };
    Some(text.into())
}

/// Whether the node of a window, or the link to it by name, would be at `path`.
fn is_of_a_window(path: &Path) -> bool {
    let rest = path.to_str().and_then(|path| path.strip_prefix(DEFAULT_DEVICE)).unwrap_or_default();
    rest.starts_with("-by-name/") || !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit())
}

/// The remedy for an error number of open(2) on the node of a window.
fn node_remedy(node: &Node, permissions: Option<&Permissions>, cause: &io::Error) -> Option<String> {
    if let Some(permissions) = permissions {
        return Some(denied(permissions));
    }
    let path = node.path();
    Some(match cause.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT) => {
            format!("mount devtmpfs, or create it with `mknod {} c {} {}`", shown(&path), node.major, node.minor)
        }
        Some(Errno::ENXIO | Errno::ENODEV) => "the window was removed: open it again when it is back".into(),
        Some(_) => return open_remedy(&path, None, cause).map(Cow::into_owned),
        // It was opened.
        None => format!("replace it by the device c {} {}", node.major, node.minor),
    })
}

/// The remedy for missing permissions.
fn denied(permissions: &Permissions) -> String {
    format!("its permissions forbid it ({permissions}): {}", permissions.remedy())
}

/// The most likely meaning of an error number of mmap(2) from a driver for physical memory that answers no queries, or
/// from a BAR.
fn map_remedy(cause: &io::Error, bar: bool) -> Option<&'static str> {
    Some(match Errno::from_raw(cause.raw_os_error()?) {
        Errno::EINVAL if bar => {
            "a driver of the kernel has it for itself: unbind the device from that, or boot with iomem=relaxed"
        }
        Errno::EPERM if bar => {
            "the kernel is locked down, or a driver has it for itself: see /sys/kernel/security/lockdown, unbind the \
             device from its driver, or boot with iomem=relaxed"
        }
        Errno::EPERM => {
            "the range holds System RAM, which belongs to the kernel, or is otherwise kept from users: \
             see /proc/iomem, and choose a range that is reserved"
        }
        Errno::EINVAL => "the range leaves the physical addresses that this machine or device has: see /proc/iomem",
        Errno::EAGAIN => {
            "the kernel could not give the mapping its cache type, as when another mapping has a different one: \
             end that one first"
        }
        Errno::EACCES => "the device is not open for this kind of access",
        Errno::ENODEV => "there is no memory to map behind it",
        Errno::ENOMEM => "the process has no address space left for it: map less at once",
        _ => return None,
    })
}

/// The most likely meaning of an error number of an operation on an interrupt.
fn interrupt_remedy(operation: Operation, cause: &io::Error) -> Option<&'static str> {
    if cause.kind() == io::ErrorKind::Unsupported && operation == Operation::SetEventfd {
        return Some("poll(2) and epoll(7) take the descriptor of the device itself");
    }
    Some(match (operation, Errno::from_raw(cause.raw_os_error()?)) {
        (Operation::Mask, Errno::EALREADY) => "it is masked already: a level-triggered one is, once it has come",
        (Operation::Unmask, Errno::EALREADY) => "it is not masked: an edge-triggered one stays as it is when it comes",
        (Operation::Mask | Operation::Unmask, Errno::ENOSYS) => {
            "the driver of this UIO device has no irqcontrol(): it deals with the device itself, and masks nothing"
        }
        (_, Errno::EACCES | Errno::EBADF) => "open the device for writing too",
        (Operation::SetEventfd, Errno::EINVAL) => "the descriptor is no eventfd: make it with eventfd(2)",
        (Operation::SetEventfd, Errno::EBUSY) => "another open file has set one: let that take it away first",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::Refusal;

    #[test]
    fn an_error_line_says_what_where_and_what_to_do() {
        let refused = Error::Map {
            path: "/dev/map".into(),
            range: PhysRange::new(0x10_0000, 0x1000).unwrap(),
            bar: false,
            cause: io::Error::from_raw_os_error(1),
        };
        let line = refused.to_string();
        assert!(
            line.starts_with(
                "cannot map 0x00100000-0x00100fff of /dev/map: Operation not permitted (EPERM); the range"
            ),
            "{line}"
        );
        assert!(!line.contains('\n'));
    }

    #[test]
    fn a_bar_that_is_not_mapped_has_its_own_remedies() {
        for (number, remedy) in [
            (Errno::EINVAL, "(EINVAL); a driver of the kernel has it for itself: unbind"),
            (Errno::EPERM, "(EPERM); the kernel is locked down, or"),
            (Errno::ENOMEM, "(ENOMEM); the process has no address space left"),
        ] {
            let error = Error::Map {
                path: "/sys/bus/pci/devices/0000:00:04.0/resource0".into(),
                range: PhysRange::new(0, 0x1000).unwrap(),
                bar: true,
                cause: number.into(),
            };
            assert!(error.to_string().contains(remedy), "{error}");
        }
    }

    #[test]
    fn a_refusal_has_the_reason_the_window_and_the_remedy() {
        let mut sdram = Window::new(PhysRange::new(0xc000_0000, 0x10_0000).unwrap());
        sdram.name = Name::new(b"sdram").unwrap();
        let refused = Error::Refused {
            path: "/dev/map".into(),
            range: PhysRange::new(0xd000_0064, 4).unwrap(),
            refused: Refused { reason: Refusal::Outside, nearest: Some(sdram) },
        };
        assert_eq!(
            refused.to_string(),
            "cannot map 0xd0000064-0xd0000067 of /dev/map: Operation not permitted (EPERM): \
             the range is outside of every window; the nearest is sdram@0xc0000000+0x100000; \
             stay inside a window, or load the driver with one that holds the range"
        );
    }

    #[test]
    fn an_unknown_answer_asks_for_the_same_release() {
        let odd = Error::UnknownAnswer { path: "/dev/map".into(), what: "ABI version", code: 2 };
        let line = odd.to_string();
        assert!(line.starts_with("cannot understand /dev/map: its driver answers with ABI version 2, which devmap 0."));
        assert!(line.ends_with(" does not know; use a driver and a devmap of the same release"), "{line}");
    }

    #[test]
    fn a_window_that_does_not_open_names_its_node_and_what_that_lacks() {
        let node = Node { major: 240, minor: 2 };
        let (name, permissions) = (Name::new(b"sdram").unwrap(), None);
        let line = |cause| Error::OpenWindow { name, node, permissions, cause }.to_string();
        assert_eq!(
            line(io::Error::from_raw_os_error(2)),
            "cannot open the window sdram: its node /dev/map2: No such file or directory (ENOENT); \
             mount devtmpfs, or create it with `mknod /dev/map2 c 240 2`"
        );
        let removed = line(io::Error::from_raw_os_error(6));
        assert!(removed.ends_with("(ENXIO); the window was removed: open it again when it is back"), "{removed}");
        let other = line(io::Error::new(io::ErrorKind::InvalidData, "it is something else"));
        assert!(other.ends_with("/dev/map2: it is something else; replace it by the device c 240 2"), "{other}");
    }

    #[test]
    fn a_path_that_only_a_window_could_have_is_looked_up_among_them() {
        let remedy = |path: &str| open_remedy(Path::new(path), None, &io::Error::from_raw_os_error(2));
        for path in ["/dev/map1", "/dev/map12", "/dev/map-by-name/sdram"] {
            assert!(remedy(path).unwrap().starts_with("no window has this node"), "{path}");
        }
        assert!(remedy("/dev/map").unwrap().starts_with("load the driver"));
        assert_eq!((remedy("/dev/mapper"), remedy("/dev/map1x"), remedy("/dev/mem")), (None, None, None));
    }

    #[test]
    fn permissions_are_shown_if_they_are_the_reason() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let permissions = Permissions::new(&file.as_file().metadata().unwrap(), true);
        let cause = || io::Error::from_raw_os_error(13);
        let denied = format!("(EACCES); its permissions forbid it ({permissions}): {}", permissions.remedy());
        let (name, node) = (Name::new(b"sdram").unwrap(), Node { major: 126, minor: 1 });
        for error in [
            Error::Open { path: "/dev/map".into(), permissions: Some(permissions), cause: cause() },
            Error::OpenWindow { name, node, permissions: Some(permissions), cause: cause() },
        ] {
            assert!(error.to_string().ends_with(&denied), "{error}");
        }
        // Those of a directory on the way are not known.
        let on_the_way = Error::Open { path: "/dev/map".into(), permissions: None, cause: cause() }.to_string();
        assert!(on_the_way.ends_with("forbid it: run as root, or change its group or mode"), "{on_the_way}");
    }

    #[test]
    fn a_path_with_a_newline_stays_on_its_line() {
        let gone = Error::WindowGone { path: "/dev/a\nb\u{1b}[m".into(), name: Name::NONE };
        let line = gone.to_string();
        assert!(line.starts_with("cannot use /dev/a\\nb\\u{1b}[m: its window"), "{line}");
        assert_eq!(shown(Path::new("/dev/it's \"é\"")), "/dev/it's \"é\"");
    }

    #[test]
    fn a_window_without_a_name_is_not_named() {
        let gone = Error::WindowGone { path: "/dev/map1".into(), name: Name::NONE };
        assert_eq!(gone.to_string(), "cannot use /dev/map1: its window was removed; open it again when it is back");
    }

    #[test]
    fn an_error_without_a_number_keeps_its_own_text() {
        let odd = Error::Open {
            path: "x".into(),
            permissions: None,
            cause: io::Error::new(io::ErrorKind::InvalidInput, "a zero byte"),
        };
        assert_eq!(odd.to_string(), "cannot open x: a zero byte");
    }
}
