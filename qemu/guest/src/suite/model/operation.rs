// SPDX-License-Identifier: MIT OR Apache-2.0

//! The operations: what a sequence consists of. They name descriptors, pages and directories by their places, so a
//! sequence from which some are left out is a sequence, too.

use map_core::Property;

use crate::host::PAGE;
use crate::ring::CURRENT;

/// The number of processes: those that a sequence begins with, and those that are forked.
pub const ACTORS: usize = 8;
/// The number of those that a sequence begins with.
pub const FIRST_ACTORS: usize = 4;
/// The process that runs the sequence; it has windows and nodes made and removed.
pub const ROOT: usize = ACTORS;
/// The number of places for descriptors of a process.
pub const SLOTS: usize = 6;
/// The number of threads of a process in a round for which it has several. Each has its part of the places for
/// descriptors, and of the arena.
pub const THREADS: usize = 2;
/// The number of places for directories in configfs.
pub const DIRECTORIES: usize = 3;
/// The number of pages of the addresses in which a process maps.
pub const ARENA_PAGES: u32 = 2048;

/// One operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// Operations of one round are done at the same time, if they are of several processes or threads.
    pub round: u32,
    /// Who does it.
    pub actor: usize,
    /// Which thread of the process: 0, or in some rounds one of several that work at the same time.
    pub thread: usize,
    /// Whether it is done as a program of 32 bits does it.
    pub narrow: bool,
    /// What is done.
    pub kind: Kind,
}

impl Operation {
    /// The name of what is done, one of [`NAMES`].
    pub fn name(&self) -> &'static str {
        match &self.kind {
            kind if !self.narrow => kind.name(),
            Kind::Map { .. } => "32-bit mmap",
            Kind::Read { .. } => "32-bit read",
            Kind::Write { .. } => "32-bit write",
            Kind::Open { .. } | Kind::Close { .. } | Kind::Duplicate { .. } | Kind::SyncFile { .. } => "32-bit file",
            kind if kind.is_ioctl() => "32-bit ioctl",
            _ => "32-bit memory",
        }
    }
}

/// How a read or a write is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// read(2), at the position of the file.
    Position,
    /// pread(2).
    At,
    /// preadv(2), with two buffers.
    Vector,
    /// io_uring, at a position or at that of the file.
    Ring,
}

impl Way {
    /// Whether a transfer that is given this position uses that of the file, and moves it.
    pub fn is_current(self, position: i64) -> bool {
        self == Self::Position || self == Self::Ring && position == CURRENT
    }
}

/// The memory of a read or a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Buffer {
    /// Ordinary memory.
    Ordinary,
    /// Addresses without access.
    Hole,
    /// An address of the kernel.
    Kernel,
}

/// How a load or a store of a process is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// By the processor, if that is permitted; otherwise by a system call.
    Direct,
    /// By the kernel, for a system call.
    Call,
    /// By /proc/self/mem.
    Memory,
    /// By process_vm_readv(2) and process_vm_writev(2).
    Process,
    /// By ptrace(2), in a forked process.
    Trace,
}

/// Whether an ioctl gets memory that it can access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pointer {
    /// It does.
    Good,
    /// It gets addresses without access.
    Bad,
}

/// What is done.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// open(2) of the node with this minor number, or the same by io_uring.
    Open { slot: usize, minor: u32, access: i32, ring: bool },
    /// close(2).
    Close { slot: usize },
    /// dup(2) to another place.
    Duplicate { from: usize, to: usize },
    /// Sends a descriptor to whoever receives next.
    Send { slot: usize },
    /// Receives a descriptor.
    Receive { slot: usize },
    /// lseek(2).
    Seek { slot: usize, offset: i64, whence: i32 },
    /// mmap(2), at a page of the arena or anywhere.
    Map { slot: usize, page: Option<u32>, offset: u64, length: u64, protection: i32, flags: i32 },
    /// munmap(2).
    Unmap { page: u32, pages: u32 },
    /// mprotect(2).
    Protect { page: u32, pages: u32, protection: i32 },
    /// mremap(2).
    Remap { page: u32, old: u32, new: u32, flags: i32, to: Option<u32> },
    /// madvise(2).
    Advise { page: u32, pages: u32, advice: i32 },
    /// msync(2).
    Sync { page: u32, pages: u32, flags: i32 },
    /// mlock(2), or munlock(2).
    Lock { page: u32, pages: u32, lock: bool },
    /// mincore(2).
    Resident { page: u32, pages: u32 },
    /// A load.
    Load { page: u32, offset: u32, width: u32, access: Access },
    /// A store.
    Store { page: u32, offset: u32, width: u32, value: u64, access: Access },
    /// A load or store by a child, which a signal ends if it is not permitted.
    Signal { page: u32, store: bool },
    /// read(2) and its relatives.
    Read { slot: usize, way: Way, position: i64, length: u32, buffer: Buffer },
    /// write(2) and its relatives.
    Write { slot: usize, way: Way, position: i64, length: u32, buffer: Buffer, value: u8 },
    /// read(2) of the node into a mapping.
    ReadToMapping { slot: usize, position: i64, length: u32, page: u32 },
    /// splice(2) from the node into a pipe, or sendfile(2).
    SpliceFrom { slot: usize, position: Option<i64>, length: u32, send: bool },
    /// splice(2) from a pipe into the node.
    SpliceTo { slot: usize, position: Option<i64>, length: u32, value: u8 },
    /// fsync(2), or the same by io_uring.
    SyncFile { slot: usize, ring: bool },
    /// MAP_IOC_INFO.
    Info { slot: usize, pointer: Pointer },
    /// MAP_IOC_WINDOW.
    Describe { slot: usize, index: u32, pointer: Pointer },
    /// MAP_IOC_CHECK.
    Check { slot: usize, start: u64, length: u64, protection: u32, flags: u32, pointer: Pointer },
    /// An ioctl of a window's interrupts, of which there are none.
    Interrupt { slot: usize, command: u32, pointer: Pointer },
    /// An ioctl that the node does not have.
    Unknown { slot: usize, command: u32 },
    /// The lines of the file in /proc/self/fdinfo.
    Fdinfo { slot: usize },
    /// As many mappings of the first pages of a window, each of one page, as the user may have.
    Flood { slot: usize, pages: u32 },
    /// clone(2) of the process.
    Fork { child: usize },
    /// The process ends.
    Exit { kill: bool },
    /// chmod(2) of a node.
    Mode { minor: u32, mode: u32 },
    /// mkdir(2) in configfs.
    Make { directory: usize },
    /// Writes a property of a window in configfs.
    Set { directory: usize, property: Property, text: String },
    /// Enables or disables a window in configfs.
    Enable { directory: usize, text: &'static str },
    /// rmdir(2) in configfs.
    Remove { directory: usize },
    /// What the driver tells in debugfs and sysfs.
    Look,
}

/// The names of all kinds.
pub const NAMES: [&str; 51] = [
    "open",
    "close",
    "dup",
    "send fd",
    "receive fd",
    "lseek",
    "mmap",
    "munmap",
    "mprotect",
    "mremap",
    "madvise",
    "msync",
    "mlock",
    "mincore",
    "load",
    "store",
    "load in syscall",
    "store in syscall",
    "/proc/self/mem",
    "process_vm",
    "ptrace",
    "signal",
    "read",
    "write",
    "read to mapping",
    "splice from",
    "splice to",
    "fsync",
    "IOC_INFO",
    "IOC_WINDOW",
    "IOC_CHECK",
    "IOC_IRQ",
    "unknown ioctl",
    "fdinfo",
    "flood",
    "fork",
    "exit",
    "chmod",
    "configfs dir",
    "configfs file",
    "debugfs",
    "io_uring open",
    "io_uring read",
    "io_uring write",
    "io_uring fsync",
    "32-bit file",
    "32-bit mmap",
    "32-bit memory",
    "32-bit read",
    "32-bit write",
    "32-bit ioctl",
];

impl Kind {
    fn is_ioctl(&self) -> bool {
        matches!(
            self,
            Self::Info { .. }
                | Self::Describe { .. }
                | Self::Check { .. }
                | Self::Interrupt { .. }
                | Self::Unknown { .. }
        )
    }

    /// Whether a program of 32 bits can do it, with the same result.
    pub fn fits_32_bits(&self) -> bool {
        match *self {
            Self::Open { ring, .. } | Self::SyncFile { ring, .. } => !ring,
            // The offset is in pages. Long mappings have no room below 4 GiB.
            Self::Map { offset, length, .. } => {
                offset % PAGE == 0 && offset / PAGE <= u32::MAX.into() && length <= 256 << 20
            }
            Self::Read { way, buffer, .. } | Self::Write { way, buffer, .. } => {
                way != Way::Ring && buffer != Buffer::Kernel
            }
            Self::Close { .. }
            | Self::Duplicate { .. }
            | Self::Unmap { .. }
            | Self::Protect { .. }
            | Self::Remap { .. }
            | Self::Advise { .. }
            | Self::Sync { .. }
            | Self::Lock { .. }
            | Self::Resident { .. } => true,
            _ => self.is_ioctl(),
        }
    }

    /// Its name as a program of 64 bits does it.
    fn name(&self) -> &'static str {
        match self {
            Self::Open { ring: true, .. } => "io_uring open",
            Self::Open { .. } => "open",
            Self::Close { .. } => "close",
            Self::Duplicate { .. } => "dup",
            Self::Send { .. } => "send fd",
            Self::Receive { .. } => "receive fd",
            Self::Seek { .. } => "lseek",
            Self::Map { .. } => "mmap",
            Self::Unmap { .. } => "munmap",
            Self::Protect { .. } => "mprotect",
            Self::Remap { .. } => "mremap",
            Self::Advise { .. } => "madvise",
            Self::Sync { .. } => "msync",
            Self::Lock { .. } => "mlock",
            Self::Resident { .. } => "mincore",
            Self::Load { access: Access::Direct, .. } => "load",
            Self::Store { access: Access::Direct, .. } => "store",
            Self::Load { access: Access::Call, .. } => "load in syscall",
            Self::Store { access: Access::Call, .. } => "store in syscall",
            Self::Load { access: Access::Memory, .. } | Self::Store { access: Access::Memory, .. } => "/proc/self/mem",
            Self::Load { access: Access::Process, .. } | Self::Store { access: Access::Process, .. } => "process_vm",
            Self::Load { access: Access::Trace, .. } | Self::Store { access: Access::Trace, .. } => "ptrace",
            Self::Signal { .. } => "signal",
            Self::Read { way: Way::Ring, .. } => "io_uring read",
            Self::Write { way: Way::Ring, .. } => "io_uring write",
            Self::Read { .. } => "read",
            Self::Write { .. } => "write",
            Self::ReadToMapping { .. } => "read to mapping",
            Self::SpliceFrom { .. } => "splice from",
            Self::SpliceTo { .. } => "splice to",
            Self::SyncFile { ring: true, .. } => "io_uring fsync",
            Self::SyncFile { .. } => "fsync",
            Self::Info { .. } => "IOC_INFO",
            Self::Describe { .. } => "IOC_WINDOW",
            Self::Check { .. } => "IOC_CHECK",
            Self::Interrupt { .. } => "IOC_IRQ",
            Self::Unknown { .. } => "unknown ioctl",
            Self::Fdinfo { .. } => "fdinfo",
            Self::Flood { .. } => "flood",
            Self::Fork { .. } => "fork",
            Self::Exit { .. } => "exit",
            Self::Mode { .. } => "chmod",
            Self::Make { .. } | Self::Remove { .. } => "configfs dir",
            Self::Set { .. } | Self::Enable { .. } => "configfs file",
            Self::Look => "debugfs",
        }
    }
}
