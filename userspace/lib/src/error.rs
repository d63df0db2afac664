// SPDX-License-Identifier: MIT OR Apache-2.0

//! What can go wrong: the operation, the range in hexadecimal, and what to do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::driver::Refused;
use crate::{PhysRange, UioMap, Width, DEFAULT_DEVICE};

/// The result of everything that can fail here.
///
/// ```no_run
/// fn status() -> devmap::Result<u32> {
///     let range = devmap::PhysRange::new(0xff20_0000, 0x20).unwrap();
///     devmap::Device::open("/dev/map")?.map(range)?.read(0x10)
/// }
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What was to be done with mapped memory.
///
/// ```
/// assert_eq!(devmap::Operation::Copy.to_string(), "copy to");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Loading from it.
    Read,
    /// Storing to it.
    Write,
    /// Loading a value, changing bits of it, and storing it.
    Modify,
    /// Getting hold of a register, to load and store it later.
    Access,
    /// Storing one value all over it.
    Fill,
    /// Comparing it with something else.
    Compare,
    /// Storing to it what lies elsewhere.
    Copy,
    /// Making the file behind it longer.
    Grow,
}

impl Operation {
    /// Whether it takes a mapping that is writable.
    pub(crate) const fn stores(self) -> bool {
        match self {
            Self::Read | Self::Compare => false,
            Self::Write | Self::Modify | Self::Access | Self::Fill | Self::Copy | Self::Grow => true,
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
            Self::Fill => "fill",
            Self::Compare => "compare",
            Self::Copy => "copy to",
            Self::Grow => "grow",
        })
    }
}

/// Why an operation was not done. Its text is one line: what, where, and the remedy.
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
    #[error("cannot open {}: {}{}", path.display(), errno_text(cause), remedy(open_remedy(path, cause)))]
    Open {
        /// Its path.
        path: PathBuf,
        /// What open(2) said.
        cause: io::Error,
    },
    /// The path names something that has no memory to map, such as a directory.
    #[error("cannot map {}: it is {found}; give a character device or a regular file", path.display())]
    NotMappable {
        /// The path.
        path: PathBuf,
        /// What is there instead.
        found: &'static str,
    },
    /// The map driver refused the range, and said why.
    #[error(
        "cannot map {range} of {}: {}: {refused}; {}",
        path.display(), errno_text(&refused.errno().into()), refused.remedy()
    )]
    Refused {
        /// The path of the device.
        path: PathBuf,
        /// The range that was asked for, not the pages around it.
        range: PhysRange,
        /// The reason, and the window that it has to do with.
        refused: Refused,
    },
    /// mmap(2) refused the range.
    #[error("cannot map {range} of {}: {}{}", path.display(), errno_text(cause), remedy(map_remedy(cause)))]
    Map {
        /// The path of the device.
        path: PathBuf,
        /// The range that was asked for, not the pages around it.
        range: PhysRange,
        /// What mmap(2) said.
        cause: io::Error,
    },
    /// Only the map driver answers questions, and this is another device, or a driver from before there were questions.
    #[error("cannot ask {}: it is {found}; only the map driver answers, whose node is {DEFAULT_DEVICE}", path.display())]
    NotMapDriver {
        /// The path of the device.
        path: PathBuf,
        /// What it is instead.
        found: &'static str,
    },
    /// The map driver answered with something that has no meaning here; it is newer, or older, than this crate.
    #[error(
        "cannot understand {}: its driver answers with {what} {code}, which devmap {} does not know; \
         use a driver and a devmap of the same release",
        path.display(), env!("CARGO_PKG_VERSION")
    )]
    UnknownAnswer {
        /// The path of the device.
        path: PathBuf,
        /// Of what there is one more than is known.
        what: &'static str,
        /// Its number.
        code: u32,
    },
    /// A question to the map driver failed, which has nothing to do with its answer.
    #[error("cannot ask {}: {}", path.display(), errno_text(cause))]
    Ask {
        /// The path of the device.
        path: PathBuf,
        /// What ioctl(2) said.
        cause: io::Error,
    },
    /// The file ends before the range does.
    #[error("cannot map {range} of {}: the file ends after {length:#x} bytes; give a range within it", path.display())]
    PastEnd {
        /// The path of the file.
        path: PathBuf,
        /// The range that was asked for.
        range: PhysRange,
        /// The length of the file in bytes.
        length: u64,
    },
    /// A file was to be mapped as one, and the path names something else.
    #[error("cannot map {}: it is {found}; give a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What is there instead.
        found: &'static str,
    },
    /// An access to a page that lies wholly beyond the end of the file, where it would be a SIGBUS.
    #[error(
        "cannot {operation} {length:#x} bytes at offset {offset:#x}: {} ends after {file_length:#x} bytes, and has no \
         page there; grow it first",
        path.display()
    )]
    BeyondEnd {
        /// What was to be done.
        operation: Operation,
        /// The path of the file.
        path: PathBuf,
        /// Where, in bytes from the start of the mapping.
        offset: usize,
        /// With how many bytes.
        length: usize,
        /// The length of the file in bytes, just now.
        file_length: u64,
    },
    /// A page of the file went away while it was being accessed.
    #[error(
        "cannot {operation} {length:#x} bytes at offset {offset:#x}: after {done:#x} of them {} had no page any more; \
         keep others from making the file shorter, and its file system from running full",
        path.display()
    )]
    PageLost {
        /// What was to be done.
        operation: Operation,
        /// The path of the file.
        path: PathBuf,
        /// Where, in bytes from the start of the mapping.
        offset: usize,
        /// With how many bytes.
        length: usize,
        /// With how many it was done.
        done: usize,
    },
    /// The system has no way to access memory without faults.
    #[error(
        "cannot {operation} memory without faults: {}; allow process_vm_readv(2) and process_vm_writev(2), or do without",
        errno_text(cause)
    )]
    NoFaultUnavailable {
        /// What was to be done.
        operation: Operation,
        /// What the system call said.
        cause: io::Error,
    },
    /// The file could not be asked for its length, or could not be made longer.
    #[error("cannot {operation} {}: {}", path.display(), errno_text(cause))]
    File {
        /// What was to be done.
        operation: Operation,
        /// The path of the file.
        path: PathBuf,
        /// What fstat(2) or ftruncate(2) said.
        cause: io::Error,
    },
    /// No memory of the UIO device holds the whole range.
    #[error("cannot map {range} of {}: {}", path.display(), nearest_map(nearest))]
    OutsideMaps {
        /// The path of the device.
        path: PathBuf,
        /// The range that was asked for.
        range: PhysRange,
        /// The map that lies nearest to it, if the device has memory at all.
        nearest: Option<UioMap>,
    },
    /// The range is longer than this process can address.
    #[error("cannot map {range}: that is more than one process can address; map it in parts")]
    TooLong {
        /// The range that was asked for.
        range: PhysRange,
    },
    /// An access would leave the mapping.
    #[error(
        "cannot {operation} {length:#x} bytes at offset {offset:#x}: the mapping {range} has {:#x} bytes",
        range.length()
    )]
    OutOfBounds {
        /// What was to be done.
        operation: Operation,
        /// Where, in bytes from the start of the mapping.
        offset: usize,
        /// With how many bytes.
        length: usize,
        /// The range of the mapping.
        range: PhysRange,
    },
    /// The address of an access is no multiple of its width.
    #[error("cannot {operation} {width} bytes at {address:#010x} in one access: use a multiple of {width:#x} or a smaller width")]
    Misaligned {
        /// What was to be done.
        operation: Operation,
        /// Where, as a physical address.
        address: u64,
        /// The width of the access in bytes.
        width: usize,
    },
    /// The length of a range is no multiple of the width of the accesses to it.
    #[error("cannot {operation} {length:#x} bytes in accesses of {width}: give a multiple of {:#x}, or a smaller width", width.bytes())]
    Uneven {
        /// What was to be done.
        operation: Operation,
        /// The length in bytes.
        length: usize,
        /// The width of the accesses, or of the value that is repeated.
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
    /// A store into a mapping for reading only.
    #[error("cannot {operation} {range}: it is mapped for reading only; open the device for writing too")]
    ReadOnly {
        /// What was to be done.
        operation: Operation,
        /// The range of the mapping.
        range: PhysRange,
    },
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

/// A remedy as the end of a line, or nothing.
fn remedy(text: Option<&str>) -> String {
    text.map(|text| format!("; {text}")).unwrap_or_default()
}

/// Where a UIO device has memory.
fn nearest_map(nearest: &Option<UioMap>) -> String {
    match nearest {
        Some(map) => format!("the nearest memory of the device is its map {} at {}", map.index, map.range),
        None => "the device has no memory".into(),
    }
}

/// What an error number of open(2) calls for.
fn open_remedy(path: &Path, cause: &io::Error) -> Option<&'static str> {
    let is_ours = path == Path::new(DEFAULT_DEVICE);
    Some(match Errno::from_raw(cause.raw_os_error()?) {
        Errno::ENOENT if is_ours => {
            "load the driver with `insmod map.ko`; without devtmpfs or udev also `mknod /dev/map c 126 0`"
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
    })
}

/// What an error number of mmap(2) most likely means, as drivers for physical memory use them that cannot be asked.
fn map_remedy(cause: &io::Error) -> Option<&'static str> {
    Some(match Errno::from_raw(cause.raw_os_error()?) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::{Name, Refusal, Window};

    #[test]
    fn an_error_line_says_what_where_and_what_to_do() {
        let refused = Error::Map {
            path: "/dev/map".into(),
            range: PhysRange::new(0x10_0000, 0x1000).unwrap(),
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
    fn a_refusal_has_the_reason_the_window_and_the_remedy() {
        let sdram = Window {
            name: Name::new(b"sdram").unwrap(),
            ..Window::new(PhysRange::new(0xc000_0000, 0x10_0000).unwrap())
        };
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
    fn an_answer_that_is_not_understood_calls_for_the_same_release() {
        let odd = Error::UnknownAnswer { path: "/dev/map".into(), what: "ABI version", code: 2 };
        let line = odd.to_string();
        assert!(line.starts_with("cannot understand /dev/map: its driver answers with ABI version 2, which devmap 0."));
        assert!(line.ends_with(" does not know; use a driver and a devmap of the same release"), "{line}");
    }

    #[test]
    fn an_error_without_a_number_is_told_in_its_own_words() {
        let odd = Error::Open { path: "x".into(), cause: io::Error::new(io::ErrorKind::InvalidInput, "a zero byte") };
        assert_eq!(odd.to_string(), "cannot open x: a zero byte");
    }
}
