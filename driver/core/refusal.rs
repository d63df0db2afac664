// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Why the driver says no.

use core::fmt;

/// Why a call is refused. The values are the codes of the ABI.
///
/// When several reasons hold, the one that stands first here is given. The order begins as that of the kernel, which
/// refuses some calls of mmap(2) before the driver is asked; MAP_IOC_CHECK must give the same answer without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Refusal {
    /// The process that opens the node lacks CAP_SYS_RAWIO, and there are no windows.
    NotCapable = 1,
    /// The physical address is no multiple of the page size.
    Unaligned = 2,
    /// The length is 0.
    Empty = 3,
    /// The length, in whole pages, is more than the address space of the process.
    TooLong = 4,
    /// The range, in whole pages, ends beyond the highest offset that mmap(2) takes.
    Wraps = 5,
    /// A shared mapping is to be writable, and the descriptor is not open for writing.
    NotWritable = 6,
    /// The descriptor is not open for reading.
    NotReadable = 7,
    /// The mapping is to be executable.
    Executable = 8,
    /// The mapping is private: what is stored into it would never reach the memory.
    Private = 9,
    /// The range ends beyond the highest physical address.
    Address = 10,
    /// No byte of the range is inside a window.
    Outside = 11,
    /// The range touches a window, but is not wholly inside one.
    Partial = 12,
    /// The mapping is to be writable, and the window is read-only.
    ReadOnly = 13,
    /// The kernel is locked down, and the memory is not that of a window which is reserved.
    LockedDown = 14,
    /// The range holds memory that the kernel uses as its own.
    SystemRam = 15,
    /// The kernel cannot give the cache type, as the memory is mapped elsewhere with another. Nobody can decide that
    /// beforehand; the driver finds out when it makes the mapping.
    CacheConflict = 16,
}

impl Refusal {
    /// All reasons, in the order of precedence, which is that of their codes.
    pub const ALL: [Self; 16] = [
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
    ];

    /// The code in the ABI, at least 1.
    pub const fn code(self) -> u32 {
        self as u32
    }

    /// The reason with this code in the ABI.
    pub fn from_code(code: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|refusal| refusal.code() == code)
    }

    /// The error number that the system call fails with.
    pub const fn errno(self) -> Errno {
        match self {
            Self::Unaligned | Self::Empty | Self::Private | Self::Address => Errno::Invalid,
            Self::TooLong => Errno::NoMemory,
            Self::Wraps => Errno::Overflow,
            Self::NotWritable | Self::NotReadable | Self::ReadOnly => Errno::Access,
            // For PROT_EXEC the kernel gives the same on a file system mounted noexec, as /dev often is.
            Self::NotCapable
            | Self::Executable
            | Self::Outside
            | Self::Partial
            | Self::LockedDown
            | Self::SystemRam => Errno::NotPermitted,
            Self::CacheConflict => Errno::Again,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotCapable => "without windows, opening it takes CAP_SYS_RAWIO",
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
                "the kernel is locked down, and only windows in reserved memory are left"
            }
            Self::SystemRam => "the range holds System RAM, which belongs to the kernel",
            Self::CacheConflict => "the memory is mapped elsewhere with another cache type",
        })
    }
}

/// The error numbers that the driver gives, with the values that all architectures with Rust in the kernel share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Errno {
    /// EPERM: not permitted, whatever the arguments' form.
    NotPermitted = 1,
    /// EAGAIN: not possible now.
    Again = 11,
    /// ENOMEM: there is no room for it in the address space.
    NoMemory = 12,
    /// EACCES: not permitted in this way, but perhaps in another.
    Access = 13,
    /// EINVAL: the arguments can never be right.
    Invalid = 22,
    /// EOVERFLOW: the offset cannot be represented.
    Overflow = 75,
}

impl Errno {
    /// The number, which is positive.
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
        ];
        assert_eq!(table.map(|(_, refusal, _)| refusal), Refusal::ALL);
        for (code, refusal, errno) in table {
            assert_eq!(refusal.code(), code, "{refusal}");
            assert_eq!(Refusal::from_code(code), Some(refusal));
            assert_eq!(refusal.errno().number(), errno, "{refusal}");
        }
        assert_eq!(Refusal::from_code(0), None);
        assert_eq!(Refusal::from_code(17), None);
    }

    #[test]
    fn every_refusal_has_words_of_its_own() {
        let words: BTreeSet<_> = Refusal::ALL.iter().map(Refusal::to_string).collect();
        assert_eq!(words.len(), Refusal::ALL.len());
        assert!(!words.contains(""));
    }
}
