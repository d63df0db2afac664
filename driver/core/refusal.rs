// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The reasons for which the driver refuses a call.

use core::fmt;

use super::{
    LARGEST_MAPPING,
    MAPPINGS_IN_ALL,
    MAPPINGS_PER_USER, //
};

/// The reason for which a call is refused. The values are the codes of the ABI.
///
/// If several reasons apply, the first one listed here is reported. The order starts with the
/// checks that the kernel makes in mmap(2) before it calls the driver; MAP_IOC_CHECK must return
/// the same result without them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u32)]
pub enum Refusal {
    /// There are no windows, and the opener lacks CAP_SYS_RAWIO.
    NotCapable = 1,
    /// The physical address is not a multiple of the page size.
    Unaligned = 2,
    /// The length is 0.
    Empty = 3,
    /// The length, in whole pages, exceeds the address space of the process.
    TooLong = 4,
    /// The range, in whole pages, ends beyond the highest offset of mmap(2).
    Wraps = 5,
    /// A writable shared mapping of a descriptor that is not open for writing.
    NotWritable = 6,
    /// The descriptor is not open for reading.
    NotReadable = 7,
    /// An executable mapping.
    Executable = 8,
    /// A private mapping: stores would never reach the memory.
    Private = 9,
    /// The range ends beyond the highest physical address.
    Address = 10,
    /// No byte of the range is inside a window.
    Outside = 11,
    /// The range overlaps a window but is not wholly inside a single window.
    Partial = 12,
    /// A writable mapping of a read-only window.
    ReadOnly = 13,
    /// The kernel is locked down, and the range is not in a window that the boot device tree
    /// describes and reserves.
    LockedDown = 14,
    /// The range contains System RAM.
    SystemRam = 15,
    /// The memory is already mapped with a conflicting cache type. This cannot be known
    /// beforehand; the driver finds out when it makes the mapping.
    CacheConflict = 16,
    /// The machine cannot map this memory with the cache type at all.
    CacheType = 17,
    /// The length, in whole pages, exceeds [`LARGEST_MAPPING`].
    TooLarge = 18,
    /// There are no windows, and another driver has exclusive use of part of the range.
    Exclusive = 19,
    /// The user, or all users together, have reached the limit on mappings. Only mmap(2) returns
    /// this.
    TooMany = 20,
    /// The kernel has no memory left for the page tables. Only mmap(2) returns this.
    NoMemory = 21,
    /// The window of this node was removed.
    Gone = 22,
    /// The window is not [known to be memory](super::is_known_memory), so read(2) and write(2) may
    /// not access it. Only they return this.
    NotMemory = 23,
}

impl Refusal {
    /// All reasons in the order of precedence, which is the order of their codes.
    pub const ALL: [Self; 23] = [
        Self::NotCapable,
        Self::Unaligned,
        Self::Empty,
        Self::TooLong,
        Self::Wraps,
        Self::NotWritable,
        Self::NotReadable,
        Self::Executable,
        Self::Private,
        Self::Address,
        Self::Outside,
        Self::Partial,
        Self::ReadOnly,
        Self::LockedDown,
        Self::SystemRam,
        Self::CacheConflict,
        Self::CacheType,
        Self::TooLarge,
        Self::Exclusive,
        Self::TooMany,
        Self::NoMemory,
        Self::Gone,
        Self::NotMemory,
    ];

    /// Returns the code in the ABI, at least 1.
    pub const fn code(self) -> u32 {
        self as u32
    }

    /// Returns the reason with this code in the ABI.
    pub fn from_code(code: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|refusal| refusal.code() == code)
    }

    /// Returns the errno of the refused system call.
    pub const fn errno(self) -> Errno {
        match self {
            Self::Unaligned
            | Self::Empty
            | Self::Private
            | Self::Address
            | Self::CacheType
            | Self::TooLarge => Errno::Invalid,
            Self::TooLong | Self::TooMany | Self::NoMemory => Errno::NoMemory,
            Self::Wraps => Errno::Overflow,
            Self::NotWritable | Self::NotReadable | Self::ReadOnly => Errno::Access,
            // For PROT_EXEC the kernel returns the same errno on a file system mounted noexec, as
            // /dev often is.
            Self::NotCapable
            | Self::Executable
            | Self::Outside
            | Self::Partial
            | Self::LockedDown
            | Self::SystemRam
            | Self::Exclusive => Errno::NotPermitted,
            Self::CacheConflict => Errno::Again,
            Self::Gone => Errno::NoDevice,
            Self::NotMemory => Errno::NoAddress,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotCapable => "without windows, opening the node requires CAP_SYS_RAWIO",
            Self::Unaligned => "the address is not a multiple of the page size",
            Self::Empty => "the length is 0",
            Self::TooLong => "the length is more than the address space of a process",
            Self::Wraps => "the range ends beyond the highest offset of mmap(2)",
            Self::NotWritable => "the descriptor is not open for writing; open with O_RDWR",
            Self::NotReadable => "the descriptor is not open for reading; open with O_RDWR",
            Self::Executable => "physical memory is never mapped executable",
            Self::Private => "a private mapping would never reach the memory; use MAP_SHARED",
            Self::Address => "the range leaves the physical address space",
            Self::Outside => "the range is outside of every window",
            Self::Partial => "the range is not wholly inside one window",
            Self::ReadOnly => "the window is read-only; map it without PROT_WRITE",
            Self::LockedDown => {
                "the kernel is locked down, which permits only windows that the boot device tree \
                 describes by memory-region with no-map"
            }
            Self::SystemRam => "the range holds System RAM, which belongs to the kernel",
            Self::CacheConflict => "the memory is mapped elsewhere with another cache type",
            Self::CacheType => "this machine cannot map the memory with this cache type",
            Self::TooLarge => {
                return write!(
                    f,
                    "a mapping has at most {:#x} bytes; map the range in parts",
                    LARGEST_MAPPING
                );
            }
            Self::Exclusive => "another driver has exclusive use of part of the range",
            Self::TooMany => {
                return write!(
                    f,
                    "a user may have at most {MAPPINGS_PER_USER} mappings, and all users together \
                     {MAPPINGS_IN_ALL}; unmap unused ones"
                );
            }
            Self::NoMemory => "the kernel has no memory left for the page tables",
            Self::Gone => "the window of this node was removed; open the node again",
            Self::NotMemory => {
                "the window may have registers, which can only be mapped; the option memory declares \
                 that it is memory"
            }
        })
    }
}

/// The error numbers that the driver returns. All architectures that support Rust in the kernel
/// share these values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Errno {
    /// EPERM: not permitted with any form of the arguments.
    NotPermitted = 1,
    /// ENXIO: the device does not have this operation.
    NoAddress = 6,
    /// EAGAIN: not possible now.
    Again = 11,
    /// ENOMEM: out of memory, address space or quota.
    NoMemory = 12,
    /// EACCES: not permitted with this access, but possibly with another.
    Access = 13,
    /// EBUSY: somebody else has it.
    Busy = 16,
    /// ENODEV: what the node stood for is gone.
    NoDevice = 19,
    /// EINVAL: the arguments are never valid.
    Invalid = 22,
    /// EOVERFLOW: the offset cannot be represented.
    Overflow = 75,
    /// EALREADY: it is so already.
    Already = 114,
}

impl Errno {
    /// Returns the number, which is positive.
    pub const fn number(self) -> u32 {
        self as u32
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::{
        collections::BTreeSet,
        string::ToString, //
    };

    use super::*;

    #[test]
    fn every_refusal_has_the_documented_code_and_errno() {
        let table = [
            (1, Refusal::NotCapable, 1),
            (2, Refusal::Unaligned, 22),
            (3, Refusal::Empty, 22),
            (4, Refusal::TooLong, 12),
            (5, Refusal::Wraps, 75),
            (6, Refusal::NotWritable, 13),
            (7, Refusal::NotReadable, 13),
            (8, Refusal::Executable, 1),
            (9, Refusal::Private, 22),
            (10, Refusal::Address, 22),
            (11, Refusal::Outside, 1),
            (12, Refusal::Partial, 1),
            (13, Refusal::ReadOnly, 13),
            (14, Refusal::LockedDown, 1),
            (15, Refusal::SystemRam, 1),
            (16, Refusal::CacheConflict, 11),
            (17, Refusal::CacheType, 22),
            (18, Refusal::TooLarge, 22),
            (19, Refusal::Exclusive, 1),
            (20, Refusal::TooMany, 12),
            (21, Refusal::NoMemory, 12),
            (22, Refusal::Gone, 19),
            (23, Refusal::NotMemory, 6),
        ];
        assert_eq!(table.map(|(_, refusal, _)| refusal), Refusal::ALL);
        for (code, refusal, errno) in table {
            assert_eq!(refusal.code(), code, "{refusal}");
            assert_eq!(Refusal::from_code(code), Some(refusal));
            assert_eq!(refusal.errno().number(), errno, "{refusal}");
        }
        assert_eq!(Refusal::from_code(0), None);
        assert_eq!(Refusal::from_code(24), None);
    }

    #[test]
    fn every_refusal_has_words_of_its_own() {
        let words: BTreeSet<_> = Refusal::ALL.iter().map(Refusal::to_string).collect();
        assert_eq!(words.len(), Refusal::ALL.len());
        assert!(!words.contains(""));
    }
}
