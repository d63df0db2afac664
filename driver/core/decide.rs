// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The decisions: who may open the node, which windows may exist, and which range may be mapped how.

use core::ops::Deref;

use super::{
    abi,
    Access,
    Cache,
    Lookup,
    Mode,
    PhysRange,
    Refusal,
    Table,
    Window, //
};

/// A call of mmap(2) on the node, made or asked about.
///
/// PROT_READ is not part of it, since nothing depends on it: the kernel wants a descriptor that is open for reading
/// whatever the protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The physical address, which is the offset in bytes.
    pub start: u64,
    /// The length in bytes. It is rounded up to whole pages, as mmap(2) does.
    pub length: u64,
    /// Whether PROT_WRITE is asked for.
    pub write: bool,
    /// Whether PROT_EXEC is asked for.
    pub execute: bool,
    /// Whether MAP_SHARED or MAP_SHARED_VALIDATE is asked for, rather than MAP_PRIVATE.
    ///
    /// This is VM_MAYSHARE, not VM_SHARED: the kernel clears the latter on a descriptor that is open for reading only,
    /// and such a mapping is still a shared one.
    pub shared: bool,
    /// Whether the descriptor is open for reading.
    pub file_readable: bool,
    /// Whether the descriptor is open for writing.
    pub file_writable: bool,
}

impl Request {
    /// What MAP_IOC_CHECK asks about, on a descriptor that is open as the two arguments say.
    ///
    /// `None`, for which the ioctl fails with EINVAL, if `prot` has other bits than those of PROT_READ, PROT_WRITE and
    /// PROT_EXEC, or if `flags` is none of MAP_SHARED, MAP_PRIVATE and MAP_SHARED_VALIDATE.
    pub fn from_check(
        check: &abi::MapCheck,
        file_readable: bool,
        file_writable: bool,
    ) -> Option<Self> {
        if check.prot & !(abi::PROT_READ | abi::PROT_WRITE | abi::PROT_EXEC) != 0 {
            return None;
        }
        let shared = match check.flags {
            abi::MAP_SHARED | abi::MAP_SHARED_VALIDATE => true,
            abi::MAP_PRIVATE => false,
            _ => return None,
        };
        Some(Self {
            start: check.start,
            length: check.length,
            write: check.prot & abi::PROT_WRITE != 0,
            execute: check.prot & abi::PROT_EXEC != 0,
            shared,
            file_readable,
            file_writable,
        })
    }
}

/// What is known of the machine, and of the process that calls, before anything is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Platform {
    /// The page size in bytes, a power of two.
    pub page_size: u64,
    /// The highest physical address that the processor can put into a page table entry.
    pub last_address: u64,
    /// The highest offset that mmap(2) takes: the kernel's ULONG_MAX, so 2^32 - 1 on a 32-bit kernel.
    pub last_offset: u64,
    /// TASK_SIZE of the process that calls, in bytes: a 32-bit process has less than its neighbours.
    pub task_size: u64,
}

/// What the kernel has to be asked, and is asked only if the answer matters and nothing else does: a question may leave
/// a line in the log or a mark on the process.
pub trait Facts {
    /// Whether the process that calls has CAP_SYS_RAWIO.
    fn has_rawio(&self) -> bool;

    /// Whether the kernel is locked down against access to physical memory.
    fn is_locked_down(&self) -> bool;

    /// Whether `range` holds memory that the kernel uses as its own.
    fn is_system_ram(&self, range: &PhysRange) -> bool;
}

/// A mapping that the driver will make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The physical memory to map: whole pages.
    pub range: PhysRange,
    /// With which cache type.
    pub cache: Cache,
    /// Whether the mapping may ever become writable, by mprotect(2) for one.
    pub access: Access,
    /// The index of the window that the range lies in; `None` in raw mode.
    pub window: Option<usize>,
}

/// A mapping that the driver will not make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why not.
    pub reason: Refusal,
    /// The index of the window that the range lies in, touches, or is nearest to; `None` in raw mode, and if the reason
    /// has nothing to do with windows.
    pub nearest: Option<usize>,
}

impl From<Refusal> for Refused {
    fn from(reason: Refusal) -> Self {
        Self {
            reason,
            nearest: None,
        }
    }
}

/// Whether the process that calls may open the node. With windows the node's permissions have said so already.
pub fn may_open<S>(mode: &Mode<S>, facts: &impl Facts) -> Result<(), Refusal> {
    match mode {
        Mode::Windows(_) => Ok(()),
        Mode::Raw if !facts.has_rawio() => Err(Refusal::NotCapable),
        Mode::Raw if facts.is_locked_down() => Err(Refusal::LockedDown),
        Mode::Raw => Ok(()),
    }
}

/// Whether the driver may be loaded with `window`.
pub fn admit(window: &Window, facts: &impl Facts) -> Result<(), Refusal> {
    if !window.reserved && facts.is_locked_down() {
        return Err(Refusal::LockedDown);
    }
    if facts.is_system_ram(&window.range) {
        return Err(Refusal::SystemRam);
    }
    Ok(())
}

/// Whether `request` is granted, and as what.
///
/// It serves mmap(2), of which the kernel has refused the worst before the driver is asked, and MAP_IOC_CHECK, which
/// takes anything; the two cannot disagree. What the kernel refuses for the sake of a process's other mappings and
/// limits is not foreseen: ENOMEM, EAGAIN, and what a security module says.
///
/// # Errors
///
/// With the first reason in the order of [`Refusal`] that holds.
pub fn decide<S>(
    request: &Request,
    mode: &Mode<S>,
    platform: &Platform,
    facts: &impl Facts,
) -> Result<Grant, Refused>
where
    S: Deref<Target = [Window]>,
{
    let range = whole_pages(request, platform)?;
    check_protection(request)?;
    if range.last() > platform.last_address {
        return Err(Refusal::Address.into());
    }
    match mode {
        Mode::Raw => decide_raw(range, facts),
        Mode::Windows(table) => decide_in(table, range, request.write, facts),
    }
}

/// The pages that `request` touches, by the rules of mmap(2).
fn whole_pages(request: &Request, platform: &Platform) -> Result<PhysRange, Refusal> {
    let page_mask = platform.page_size.wrapping_sub(1);
    if request.start & page_mask != 0 {
        return Err(Refusal::Unaligned);
    }
    if request.length == 0 {
        return Err(Refusal::Empty);
    }
    let length = request
        .length
        .checked_add(page_mask)
        .map(|length| length & !page_mask)
        .filter(|length| *length <= platform.task_size)
        .ok_or(Refusal::TooLong)?;
    // The kernel wants the address after the last byte to be an offset as well.
    request
        .start
        .checked_add(length)
        .filter(|end| *end <= platform.last_offset)
        .and_then(|_| PhysRange::new(request.start, length))
        .ok_or(Refusal::Wraps)
}

/// Whether a mapping of this kind is ever made on a descriptor that is open in this way.
fn check_protection(request: &Request) -> Result<(), Refusal> {
    if request.shared && request.write && !request.file_writable {
        return Err(Refusal::NotWritable);
    }
    if !request.file_readable {
        return Err(Refusal::NotReadable);
    }
    if request.execute {
        return Err(Refusal::Executable);
    }
    if !request.shared {
        return Err(Refusal::Private);
    }
    Ok(())
}

fn decide_raw(range: PhysRange, facts: &impl Facts) -> Result<Grant, Refused> {
    if facts.is_locked_down() {
        return Err(Refusal::LockedDown.into());
    }
    if facts.is_system_ram(&range) {
        return Err(Refusal::SystemRam.into());
    }
    Ok(Grant {
        range,
        cache: Cache::Uncached,
        access: Access::ReadWrite,
        window: None,
    })
}

fn decide_in<S>(
    table: &Table<S>,
    range: PhysRange,
    write: bool,
    facts: &impl Facts,
) -> Result<Grant, Refused>
where
    S: Deref<Target = [Window]>,
{
    let refuse = |reason, index| {
        Err(Refused {
            reason,
            nearest: Some(index),
        })
    };
    let index = match table.find(&range) {
        Lookup::Inside(index) => index,
        Lookup::Partial(index) => return refuse(Refusal::Partial, index),
        Lookup::Outside(index) => return refuse(Refusal::Outside, index),
    };
    let Some(window) = table.windows().get(index) else {
        // The table gives no such index.
        return refuse(Refusal::Outside, index);
    };
    if write && window.access == Access::ReadOnly {
        return refuse(Refusal::ReadOnly, index);
    }
    if !window.reserved && facts.is_locked_down() {
        return refuse(Refusal::LockedDown, index);
    }
    Ok(Grant {
        range,
        cache: window.cache,
        access: window.access,
        window: Some(index),
    })
}
