// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The decisions: who may open the node, which windows may exist, and which range may be mapped
//! how.

use core::{
    fmt,
    ops::Deref, //
};

use super::{
    abi,
    Access,
    CacheMode,
    Entry,
    Errno,
    IndexedWindow,
    Lookup,
    Mode,
    PhysRange,
    Refusal,
    Table,
    Window, //
};

/// The length in bytes of the longest mapping.
///
/// A mapping is made whole, with the lock of the address space held, and nothing can interrupt it.
/// This is some 20 ms of work in pages of 4 KiB, so a process that is killed meanwhile is gone
/// soon.
pub const LARGEST_MAPPING: u64 = 4 << 30;

/// A call of mmap(2) on the node, made or asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The physical address, which is the offset in bytes.
    pub start: u64,
    /// The length in bytes. It is rounded up to whole pages, as mmap(2) does.
    pub length: u64,
    /// Whether PROT_READ is asked for. The kernel wants a descriptor that is open for reading
    /// whatever the protection.
    pub read: bool,
    /// Whether PROT_WRITE is asked for.
    pub write: bool,
    /// Whether PROT_EXEC is asked for.
    pub execute: bool,
    /// Whether the kernel adds PROT_EXEC to PROT_READ by itself: the personality READ_IMPLIES_EXEC,
    /// which every old 32-bit program has, on a file that is not mounted noexec. Nobody can tell
    /// then who asked for it, so the mapping is made, and is not executable.
    pub read_implies_execute: bool,
    /// Whether MAP_SHARED or MAP_SHARED_VALIDATE is asked for, rather than MAP_PRIVATE.
    ///
    /// This is VM_MAYSHARE, not VM_SHARED: the kernel clears the latter on a descriptor that is
    /// open for reading only, and such a mapping is still a shared one.
    pub shared: bool,
    /// Whether the descriptor is open for reading.
    pub file_readable: bool,
    /// Whether the descriptor is open for writing.
    pub file_writable: bool,
}

impl Request {
    /// What MAP_IOC_CHECK asks about, by a process and on a descriptor that are as `caller` says.
    ///
    /// `None`, for which the ioctl fails with EINVAL, if `prot` has other bits than those of
    /// PROT_READ, PROT_WRITE and PROT_EXEC, or if `flags` is none of MAP_SHARED, MAP_PRIVATE and
    /// MAP_SHARED_VALIDATE.
    pub fn from_check(check: &abi::MapCheck, caller: &Caller) -> Option<Self> {
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
            read: check.prot & abi::PROT_READ != 0,
            write: check.prot & abi::PROT_WRITE != 0,
            execute: check.prot & abi::PROT_EXEC != 0,
            read_implies_execute: caller.read_implies_execute,
            shared,
            file_readable: caller.file_readable,
            file_writable: caller.file_writable,
        })
    }
}

/// What a request depends on beside its arguments, as [`Request`] has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// [`Request::file_readable`].
    pub file_readable: bool,
    /// [`Request::file_writable`].
    pub file_writable: bool,
    /// [`Request::read_implies_execute`].
    pub read_implies_execute: bool,
}

/// What is known of the machine, and of the process that calls, before anything is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The page size in bytes, a power of two.
    pub page_size: u64,
    /// The highest physical address that the processor can put into a page table entry.
    pub last_address: u64,
    /// The highest offset that mmap(2) takes: the kernel's ULONG_MAX, so 2^32 - 1 on a 32-bit
    /// kernel.
    pub last_offset: u64,
    /// TASK_SIZE of the process that calls, in bytes: a 32-bit process has less than its
    /// neighbours.
    pub task_size: u64,
    /// Whether an access by the kernel itself, to an address at which no device answers, may be an
    /// abort that takes the machine down. On x86 it is not: such a load gives ones.
    pub aborts: bool,
}

/// What the kernel has to be asked, and is asked only if the answer matters and nothing else does:
/// a question may leave a line in the log or a mark on the process.
pub trait KernelQuery {
    /// Whether the process that calls has CAP_SYS_RAWIO.
    fn has_rawio(&self) -> bool;

    /// Whether the kernel is locked down against access to physical memory.
    fn is_locked_down(&self) -> bool;

    /// Whether `range` holds memory that the kernel uses as its own.
    fn is_system_ram(&self, range: &PhysRange) -> bool;

    /// Whether /dev/mem would refuse a part of `range` because a driver has it for itself alone, or
    /// the kernel has it in its own page tables as it has pmem.
    fn is_exclusive(&self, range: &PhysRange) -> bool;

    /// Whether a device on a PCI bus has a part of `range` as its memory.
    fn is_in_pci_bar(&self, range: &PhysRange) -> bool;

    /// Whether one node of `/reserved-memory` with `no-map`, which nothing in the kernel uses,
    /// holds all of `range`.
    fn is_reserved(&self, range: &PhysRange) -> bool;

    /// Whether the machine can map all of `range` with `cache`.
    fn gives(&self, range: &PhysRange, cache: CacheMode) -> bool;
}

/// A mapping that the driver will make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The physical memory to map: whole pages.
    pub range: PhysRange,
    /// With which cache type.
    pub cache: CacheMode,
    /// Whether the mapping may ever become writable, by mprotect(2) for one.
    pub access: Access,
    /// Whether the range is [known to be memory](is_known_memory).
    pub memory: bool,
    /// The window that the range lies in; `None` in raw mode.
    pub window: Option<IndexedWindow>,
}

/// A mapping that the driver will not make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why not.
    pub reason: Refusal,
    /// The window that the range lies in, touches, or is nearest to; `None` if there
    /// are no windows, and if the reason has nothing to do with them.
    pub nearest: Option<IndexedWindow>,
}

impl From<Refusal> for Refused {
    fn from(reason: Refusal) -> Self {
        Self {
            reason,
            nearest: None,
        }
    }
}

/// Whether the process that calls may open the node. With windows the node's permissions have said
/// so already.
pub fn may_open<S>(mode: &Mode<S>, kernel: &impl KernelQuery) -> Result<(), Refusal> {
    match mode {
        Mode::Windows(_) => Ok(()),
        Mode::Raw if !kernel.has_rawio() => Err(Refusal::NotCapable),
        Mode::Raw if kernel.is_locked_down() => Err(Refusal::LockedDown),
        Mode::Raw => Ok(()),
    }
}

/// Whether there may be `window`.
///
/// # Errors
///
/// With the first reason in the order of [`WindowError`] that holds.
pub fn check_window(window: &Window, kernel: &impl KernelQuery) -> Result<(), WindowError> {
    if !window.survives_lockdown() && kernel.is_locked_down() {
        return Err(WindowError::LockedDown);
    }
    if kernel.is_system_ram(&window.range) {
        return Err(WindowError::SystemRam);
    }
    if kernel.is_in_pci_bar(&window.range) {
        return Err(WindowError::PciBar);
    }
    if !kernel.gives(&window.range, window.cache) {
        return Err(WindowError::CacheType);
    }
    Ok(())
}

/// Why there may not be a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WindowError {
    /// The kernel is locked down, and the boot's device tree does not describe and reserve the
    /// window.
    LockedDown,
    /// It holds memory that the kernel uses as its own.
    SystemRam,
    /// It lies, at least in part, inside a BAR of a PCI device: the region comes and goes with the
    /// device.
    PciBar,
    /// The machine cannot map the memory with the window's cache type.
    CacheType,
}

impl WindowError {
    /// What the load, or the probe of the device, fails with.
    pub const fn errno(self) -> Errno {
        match self {
            Self::LockedDown | Self::SystemRam | Self::PciBar => Errno::NotPermitted,
            Self::CacheType => Errno::Invalid,
        }
    }
}

impl fmt::Display for WindowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LockedDown => {
                "the kernel is locked down, which leaves only windows that the boot's device tree \
                 describes, by memory-region and no-map"
            }
            Self::SystemRam => "the range holds System RAM, which belongs to the kernel",
            Self::PciBar => {
                "a part of it is memory of a PCI device, and comes and goes with that; \
                 map the device's file resource0 to resource5 in sysfs, or use VFIO"
            }
            Self::CacheType => {
                "the machine cannot give this memory the cache type, because of its MTRRs or of another \
                 mapping; choose another type"
            }
        })
    }
}

/// Whether `range`, which lies in `window` unless there are no windows, is known to be memory, so
/// that the kernel itself may load from it and store into it, for a debugger for one.
///
/// That is so
///
/// - on a machine where no such access [aborts](Limits::aborts);
/// - in memory that `/reserved-memory` sets aside with `no-map`, and that nothing in the kernel
///   uses;
/// - in a window that the administrator declares to be memory, who answers for it.
pub fn is_known_memory(
    range: &PhysRange,
    window: Option<&Window>,
    limits: &Limits,
    kernel: &impl KernelQuery,
) -> bool {
    !limits.aborts
        || match window {
            Some(window) => window.memory || window.reserved,
            None => kernel.is_reserved(range),
        }
}

/// How many bytes one access of a debugger may take that begins at `address`, wants `length`, and
/// is in a VMA that ends before `end`: none beyond the page, and none beyond the VMA.
pub fn accessible(address: u64, length: u64, end: u64, page_size: u64) -> u64 {
    let in_page = page_size.saturating_sub(address & page_size.wrapping_sub(1));
    length.min(in_page).min(end.saturating_sub(address))
}

/// Whether `request` is granted, and as what.
///
/// It serves mmap(2), of which the kernel has refused the worst before the driver is asked, and
/// MAP_IOC_CHECK, which takes anything; the two cannot disagree. What the kernel refuses for the
/// sake of a process's other mappings and limits is not foreseen: ENOMEM, EAGAIN, and what a
/// security module says.
///
/// # Errors
///
/// With the first reason in the order of [`Refusal`] that holds.
pub fn decide<S, E>(
    request: &Request,
    mode: &Mode<S>,
    limits: &Limits,
    kernel: &impl KernelQuery,
) -> Result<Grant, Refused>
where
    S: Deref<Target = [E]>,
    E: Entry,
{
    let range = whole_pages(request, limits)?;
    check_protection(request)?;
    if range.last() > limits.last_address {
        return Err(Refusal::Address.into());
    }
    match mode {
        Mode::Raw => decide_raw(range, limits, kernel),
        Mode::Windows(table) => decide_in(table, range, request.write, limits, kernel),
    }
}

/// The pages that `request` touches, by the rules of mmap(2).
fn whole_pages(request: &Request, limits: &Limits) -> Result<PhysRange, Refusal> {
    let page_mask = limits.page_size.wrapping_sub(1);
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
        .filter(|length| *length <= limits.task_size)
        .ok_or(Refusal::TooLong)?;
    // The kernel wants the address after the last byte to be an offset as well.
    request
        .start
        .checked_add(length)
        .filter(|end| *end <= limits.last_offset)
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
    if request.execute && !(request.read && request.read_implies_execute) {
        return Err(Refusal::Executable);
    }
    if !request.shared {
        return Err(Refusal::Private);
    }
    Ok(())
}

fn decide_raw(
    range: PhysRange,
    limits: &Limits,
    kernel: &impl KernelQuery,
) -> Result<Grant, Refused> {
    const CACHE: CacheMode = CacheMode::Uncached;
    if kernel.is_locked_down() {
        return Err(Refusal::LockedDown.into());
    }
    if kernel.is_system_ram(&range) {
        return Err(Refusal::SystemRam.into());
    }
    if !kernel.gives(&range, CACHE) {
        return Err(Refusal::CacheType.into());
    }
    if range.length() > LARGEST_MAPPING {
        return Err(Refusal::TooLarge.into());
    }
    if kernel.is_exclusive(&range) {
        return Err(Refusal::Exclusive.into());
    }
    Ok(Grant {
        range,
        cache: CACHE,
        access: Access::ReadWrite,
        memory: is_known_memory(&range, None, limits, kernel),
        window: None,
    })
}

fn decide_in<S, E>(
    table: &Table<S>,
    range: PhysRange,
    write: bool,
    limits: &Limits,
    kernel: &impl KernelQuery,
) -> Result<Grant, Refused>
where
    S: Deref<Target = [E]>,
    E: Entry,
{
    let refuse = |reason, nearest| Err(Refused { reason, nearest });
    let found = match table.find(&range) {
        // The table gives no index without a window.
        Lookup::Inside(index) => table.get(index).ok_or(Refusal::Outside)?,
        Lookup::Partial(index) => return refuse(Refusal::Partial, table.get(index)),
        Lookup::Outside(index) => {
            return refuse(Refusal::Outside, index.and_then(|index| table.get(index)));
        }
    };
    let refuse = |reason| refuse(reason, Some(found));
    let window = &found.window;
    if write && window.access == Access::ReadOnly {
        return refuse(Refusal::ReadOnly);
    }
    if !window.survives_lockdown() && kernel.is_locked_down() {
        return refuse(Refusal::LockedDown);
    }
    // It was none when the window was added, but memory can come while the kernel runs.
    if kernel.is_system_ram(&range) {
        return refuse(Refusal::SystemRam);
    }
    if range.length() > LARGEST_MAPPING {
        return refuse(Refusal::TooLarge);
    }
    Ok(Grant {
        range,
        cache: window.cache,
        access: window.access,
        memory: is_known_memory(&range, Some(window), limits, kernel),
        window: Some(found),
    })
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::{
        cell::Cell,
        collections::BTreeSet,
        string::ToString,
        vec,
        vec::Vec, //
    };

    use super::{
        super::Origin,
        *, //
    };

    const PC: Limits = Limits {
        page_size: 0x1000,
        last_address: (1 << 40) - 1,
        last_offset: u64::MAX,
        task_size: 0x7fff_ffff_f000,
        aborts: false,
    };

    const SDRAM: Request = Request {
        start: 0xc000_0000,
        length: 0x30_0000,
        read: true,
        write: true,
        execute: false,
        read_implies_execute: false,
        shared: true,
        file_readable: true,
        file_writable: true,
    };

    const RAW: Mode<Vec<Window>> = Mode::Raw;

    /// A kernel that counts how often it is asked.
    #[derive(Default)]
    struct Kernel {
        rawio: bool,
        locked_down: bool,
        system_ram: bool,
        exclusive: bool,
        pci: bool,
        reserved: bool,
        /// The cache type that it does not give.
        lacks: Option<CacheMode>,
        asked: Cell<[u32; 3]>,
    }

    impl Kernel {
        fn count(&self, question: usize) {
            let mut asked = self.asked.get();
            asked[question] += 1;
            self.asked.set(asked);
        }
    }

    impl KernelQuery for Kernel {
        fn has_rawio(&self) -> bool {
            self.count(0);
            self.rawio
        }

        fn is_locked_down(&self) -> bool {
            self.count(1);
            self.locked_down
        }

        fn is_system_ram(&self, _: &PhysRange) -> bool {
            self.count(2);
            self.system_ram
        }

        fn is_exclusive(&self, _: &PhysRange) -> bool {
            self.exclusive
        }

        fn is_in_pci_bar(&self, _: &PhysRange) -> bool {
            self.pci
        }

        fn is_reserved(&self, _: &PhysRange) -> bool {
            self.reserved
        }

        fn gives(&self, _: &PhysRange, cache: CacheMode) -> bool {
            self.lacks != Some(cache)
        }
    }

    fn free() -> Kernel {
        Kernel {
            rawio: true,
            ..Kernel::default()
        }
    }

    fn locked_down() -> Kernel {
        Kernel {
            locked_down: true,
            ..free()
        }
    }

    fn ram() -> Kernel {
        Kernel {
            system_ram: true,
            ..free()
        }
    }

    fn raw(request: Request) -> Result<Grant, Refusal> {
        decide(&request, &RAW, &PC, &free()).map_err(|refused| refused.reason)
    }

    /// The window of [`windows()`] with this index.
    fn at(index: usize) -> Option<IndexedWindow> {
        let window = windows().windows()[index];
        Some(IndexedWindow { index, window })
    }

    fn refused(reason: Refusal, nearest: usize) -> Result<Grant, Refused> {
        Err(Refused {
            reason,
            nearest: at(nearest),
        })
    }

    fn window(start: u64, length: u64) -> Window {
        Window::new(PhysRange::new(start, length).unwrap())
    }

    /// The SDRAM in write-combine, and read-only memory below it.
    fn windows() -> Mode<Vec<Window>> {
        let rom = Window {
            access: Access::ReadOnly,
            reserved: true,
            origin: Origin::BootDt,
            ..window(0xa000_0000, 0x1000)
        };
        let sdram = Window {
            cache: CacheMode::WriteCombine,
            ..window(SDRAM.start, SDRAM.length)
        };
        Mode::Windows(Table::new(vec![sdram, rom], &PC).unwrap())
    }

    #[test]
    fn without_windows_three_megabytes_of_sdram_are_granted_uncached() {
        let grant = Grant {
            range: PhysRange::new(0xc000_0000, 0x30_0000).unwrap(),
            cache: CacheMode::Uncached,
            access: Access::ReadWrite,
            memory: true,
            window: None,
        };
        assert_eq!(raw(SDRAM), Ok(grant));
    }

    #[test]
    fn windows_mode_without_windows_grants_nothing() {
        let empty = Mode::Windows(Table::<Vec<Window>>::new(vec![], &PC).unwrap());
        let kernel = free();
        assert_eq!(
            decide(&SDRAM, &empty, &PC, &kernel),
            Err(Refusal::Outside.into())
        );
        assert_eq!(may_open(&empty, &kernel), Ok(()));
        assert_eq!(kernel.asked.get(), [0; 3]);
    }

    #[test]
    fn a_window_gives_its_cache_type_access_and_index() {
        let grant = Grant {
            range: PhysRange::new(0xc000_0000, 0x30_0000).unwrap(),
            cache: CacheMode::WriteCombine,
            access: Access::ReadWrite,
            memory: true,
            window: at(1),
        };
        assert_eq!(decide(&SDRAM, &windows(), &PC, &free()), Ok(grant));
        let rom = Request {
            start: 0xa000_0000,
            length: 1,
            write: false,
            ..SDRAM
        };
        let grant = Grant {
            range: PhysRange::new(0xa000_0000, 0x1000).unwrap(),
            cache: CacheMode::Uncached,
            access: Access::ReadOnly,
            memory: true,
            window: at(0),
        };
        assert_eq!(decide(&rom, &windows(), &PC, &free()), Ok(grant));
    }

    #[test]
    fn a_length_is_rounded_up_to_pages() {
        for (length, pages) in [(1, 1), (0xfff, 1), (0x1000, 1), (0x1001, 2)] {
            let grant = raw(Request { length, ..SDRAM }).unwrap();
            assert_eq!(grant.range.length(), pages * 0x1000, "{length:#x}");
        }
    }

    #[test]
    fn one_byte_beyond_a_window_is_a_page_beyond_it() {
        let beyond = Request {
            length: SDRAM.length + 1,
            ..SDRAM
        };
        let verdict = decide(&beyond, &windows(), &PC, &free());
        assert_eq!(verdict, refused(Refusal::Partial, 1));
        let next = Request {
            start: SDRAM.start + SDRAM.length,
            length: 1,
            ..SDRAM
        };
        let verdict = decide(&next, &windows(), &PC, &free());
        assert_eq!(verdict, refused(Refusal::Outside, 1));
    }

    #[test]
    fn a_read_only_window_is_not_written_to() {
        let rom = Request {
            start: 0xa000_0000,
            length: 0x1000,
            ..SDRAM
        };
        let verdict = decide(&rom, &windows(), &PC, &free());
        assert_eq!(verdict, refused(Refusal::ReadOnly, 0));
    }

    #[test]
    fn the_last_page_of_the_address_space_is_granted_and_the_next_is_not() {
        let page = Request {
            start: (1 << 40) - 0x1000,
            length: 0x1000,
            ..SDRAM
        };
        assert!(raw(page).is_ok());
        let next = Request {
            start: 1 << 40,
            ..page
        };
        assert_eq!(raw(next), Err(Refusal::Address));
        let both = Request {
            length: 0x1001,
            ..page
        };
        assert_eq!(raw(both), Err(Refusal::Address));
    }

    #[test]
    fn a_length_is_at_most_the_address_space() {
        let whole = Request {
            start: 0,
            length: PC.task_size,
            ..SDRAM
        };
        assert_eq!(raw(whole), Err(Refusal::Address));
        for length in [
            PC.task_size + 1,
            u64::MAX - 0xfff,
            u64::MAX - 0xffe,
            u64::MAX,
        ] {
            assert_eq!(
                raw(Request { length, ..whole }),
                Err(Refusal::TooLong),
                "{length:#x}"
            );
        }
    }

    #[test]
    fn the_address_after_the_range_must_be_an_offset() {
        let below = Request {
            start: u64::MAX - 0x1fff,
            length: 0x1000,
            ..SDRAM
        };
        assert_eq!(raw(below), Err(Refusal::Address));
        // This range ends at 2^64 exactly.
        let top = Request {
            start: u64::MAX - 0xfff,
            ..below
        };
        assert_eq!(raw(top), Err(Refusal::Wraps));
        let across = Request {
            length: 0x1001,
            ..below
        };
        assert_eq!(raw(across), Err(Refusal::Wraps));

        let small = Limits {
            last_offset: u64::from(u32::MAX),
            ..PC
        };
        let verdict = |start| {
            let request = Request { start, ..below };
            decide(&request, &RAW, &small, &free()).map_err(|refused| refused.reason)
        };
        assert!(verdict(0xffff_e000).is_ok());
        assert_eq!(verdict(0xffff_f000), Err(Refusal::Wraps));
        assert_eq!(verdict(0x1_0000_0000), Err(Refusal::Wraps));
    }

    #[test]
    fn a_descriptor_for_reading_only_maps_shared_but_not_writable() {
        let reader = Request {
            file_writable: false,
            ..SDRAM
        };
        assert_eq!(raw(reader), Err(Refusal::NotWritable));
        assert!(raw(Request {
            write: false,
            ..reader
        })
        .is_ok());
        let writer = Request {
            file_readable: false,
            write: false,
            ..SDRAM
        };
        assert_eq!(raw(writer), Err(Refusal::NotReadable));
    }

    #[test]
    fn a_page_size_that_no_machine_has_is_refused_rather_than_wrapped() {
        for page_size in [0, 3, 0x1001, u64::MAX] {
            for start in [0, 1, SDRAM.start, u64::MAX] {
                for length in [1, 2, SDRAM.length, u64::MAX] {
                    let odd = Limits { page_size, ..PC };
                    let request = Request {
                        start,
                        length,
                        ..SDRAM
                    };
                    if let Ok(grant) = decide(&request, &RAW, &odd, &free()) {
                        assert!(grant.range.last() <= odd.last_address);
                    }
                }
            }
        }
    }

    #[test]
    fn the_first_reason_in_order_is_the_one_given() {
        let mut request = Request {
            start: u64::MAX,
            length: 0,
            read: true,
            write: true,
            execute: true,
            read_implies_execute: false,
            shared: true,
            file_readable: false,
            file_writable: false,
        };
        assert_eq!(raw(request), Err(Refusal::Unaligned));
        request.start = u64::MAX - 0xfff;
        assert_eq!(raw(request), Err(Refusal::Empty));
        request.length = u64::MAX;
        assert_eq!(raw(request), Err(Refusal::TooLong));
        request.length = 0x2000;
        assert_eq!(raw(request), Err(Refusal::Wraps));
        request.start = 1 << 40;
        assert_eq!(raw(request), Err(Refusal::NotWritable));
        request.shared = false;
        assert_eq!(raw(request), Err(Refusal::NotReadable));
        request.file_readable = true;
        assert_eq!(raw(request), Err(Refusal::Executable));
        request.execute = false;
        assert_eq!(raw(request), Err(Refusal::Private));
        request.shared = true;
        request.file_writable = true;
        assert_eq!(raw(request), Err(Refusal::Address));
        request.start = SDRAM.start;
        let kernel = Kernel {
            system_ram: true,
            ..locked_down()
        };
        let verdict = decide(&request, &RAW, &PC, &kernel);
        assert_eq!(verdict, Err(Refusal::LockedDown.into()));
        request.length = LARGEST_MAPPING + 1;
        let mut kernel = Kernel {
            system_ram: true,
            lacks: Some(CacheMode::Uncached),
            exclusive: true,
            ..free()
        };
        let first = || decide(&request, &RAW, &PC, &kernel).map_err(|refused| refused.reason);
        assert_eq!(first(), Err(Refusal::SystemRam));
        kernel.system_ram = false;
        let first = || decide(&request, &RAW, &PC, &kernel).map_err(|refused| refused.reason);
        assert_eq!(first(), Err(Refusal::CacheType));
        kernel.lacks = Some(CacheMode::Cached);
        let first = || decide(&request, &RAW, &PC, &kernel).map_err(|refused| refused.reason);
        assert_eq!(first(), Err(Refusal::TooLarge));
        request.length = SDRAM.length;
        let verdict = decide(&request, &RAW, &PC, &kernel);
        assert_eq!(verdict, Err(Refusal::Exclusive.into()));
    }

    #[test]
    fn a_mapping_has_at_most_4_gib() {
        let huge = Mode::Windows(Table::new(vec![window(0, 1 << 39)], &PC).unwrap());
        for length in [LARGEST_MAPPING - 1, LARGEST_MAPPING] {
            let request = Request {
                start: 0x1_0000_0000,
                length,
                ..SDRAM
            };
            assert!(raw(request).is_ok(), "{length:#x}");
            assert!(decide(&request, &huge, &PC, &free()).is_ok(), "{length:#x}");
        }
        let request = Request {
            start: 0x1_0000_0000,
            length: LARGEST_MAPPING + 1,
            ..SDRAM
        };
        assert_eq!(raw(request), Err(Refusal::TooLarge));
        let refused = decide(&request, &huge, &PC, &free()).unwrap_err();
        assert_eq!(refused.reason, Refusal::TooLarge);
        assert_eq!(refused.nearest.map(|found| found.index), Some(0));
    }

    #[test]
    fn ram_that_came_later_is_refused_in_a_window_too() {
        let verdict = decide(&SDRAM, &windows(), &PC, &ram());
        assert_eq!(verdict, refused(Refusal::SystemRam, 1));
    }

    #[test]
    fn execution_is_refused_unless_the_kernel_may_have_added_it_by_itself() {
        let ask = |read, execute, read_implies_execute| {
            raw(Request {
                read,
                execute,
                read_implies_execute,
                ..SDRAM
            })
        };
        assert_eq!(ask(true, true, false), Err(Refusal::Executable));
        assert_eq!(ask(false, true, false), Err(Refusal::Executable));
        // Nobody but the program can have asked for this.
        assert_eq!(ask(false, true, true), Err(Refusal::Executable));
        assert!(ask(true, true, true).is_ok());
        assert!(ask(true, false, true).is_ok());
    }

    #[test]
    fn memory_is_known_by_the_machine_the_tree_or_the_administrator() {
        let arm = Limits { aborts: true, ..PC };
        let set_aside = Kernel {
            reserved: true,
            ..free()
        };
        let range = PhysRange::new(0xc000_0000, 0x1000).unwrap();
        let plain = window(0xc000_0000, 0x1000);
        let declared = Window {
            memory: true,
            ..plain
        };
        let reserved = Window {
            reserved: true,
            ..plain
        };
        for window in [None, Some(&plain)] {
            assert!(is_known_memory(&range, window, &PC, &free()));
            assert!(!is_known_memory(&range, window, &arm, &free()));
        }
        assert!(is_known_memory(&range, None, &arm, &set_aside));
        for window in [&declared, &reserved] {
            assert!(is_known_memory(&range, Some(window), &arm, &free()));
        }
        // And a grant says so.
        let request = Request {
            length: 0x1000,
            ..SDRAM
        };
        for (known, kernel) in [(false, &free()), (true, &set_aside)] {
            let grant = decide(&request, &RAW, &arm, kernel).unwrap();
            assert_eq!(grant.memory, known);
        }
        let grant = decide(&request, &windows(), &arm, &free()).unwrap();
        assert!(!grant.memory);
    }

    #[test]
    fn a_debugger_stays_in_the_page_and_in_the_vma() {
        let end = 0x7000_3000;
        for (address, length, expected) in [
            (0x7000_0000, 8, 8),
            (0x7000_0000, 0x1000, 0x1000),
            (0x7000_0000, 0x1001, 0x1000),
            (0x7000_0ff8, 0x1000, 8),
            (0x7000_2fff, 0x1000, 1),
            (0x7000_3000, 1, 0),
            (0x7000_4000, 1, 0),
            (0x7000_0000, 0, 0),
        ] {
            let found = accessible(address, length, end, 0x1000);
            assert_eq!(found, expected, "{length:#x} at {address:#x}");
        }
        // In larger pages a VMA may still end anywhere.
        assert_eq!(accessible(0x7000_2fff, 9, end, 0x1_0000), 1);
    }

    #[test]
    fn the_kernel_is_asked_only_about_a_sound_request_and_only_once() {
        let kernel = ram();
        let private = Request {
            shared: false,
            ..SDRAM
        };
        assert!(decide(&private, &RAW, &PC, &kernel).is_err());
        assert_eq!(kernel.asked.get(), [0, 0, 0]);
        assert!(decide(&SDRAM, &RAW, &PC, &kernel).is_err());
        assert_eq!(kernel.asked.get(), [0, 1, 1]);

        // A window of the boot's tree outlasts a lockdown.
        let kernel = locked_down();
        let verdict = decide(&SDRAM, &windows(), &PC, &kernel);
        assert_eq!(verdict, refused(Refusal::LockedDown, 1));
        assert_eq!(kernel.asked.get(), [0, 1, 0]);
        let rom = Request {
            start: 0xa000_0000,
            length: 0x1000,
            write: false,
            ..SDRAM
        };
        assert!(decide(&rom, &windows(), &PC, &kernel).is_ok());
        assert_eq!(kernel.asked.get(), [0, 1, 1]);
    }

    #[test]
    fn without_windows_only_rawio_opens_and_only_an_open_kernel() {
        assert_eq!(may_open(&RAW, &free()), Ok(()));
        assert_eq!(may_open(&RAW, &locked_down()), Err(Refusal::LockedDown));
        let kernel = Kernel {
            rawio: false,
            ..locked_down()
        };
        assert_eq!(may_open(&RAW, &kernel), Err(Refusal::NotCapable));
        assert_eq!(kernel.asked.get(), [1, 0, 0]);
    }

    #[test]
    fn with_windows_the_nodes_permissions_decide_and_nothing_is_asked() {
        let kernel = locked_down();
        assert_eq!(may_open(&windows(), &kernel), Ok(()));
        assert_eq!(kernel.asked.get(), [0, 0, 0]);
    }

    #[test]
    fn a_window_of_ram_or_of_a_locked_down_kernel_is_not_admitted() {
        let plain = window(0xc000_0000, 0x1000);
        let parameter = Window {
            reserved: true,
            ..plain
        };
        let boot = Window {
            origin: Origin::BootDt,
            ..parameter
        };
        assert_eq!(check_window(&plain, &free()), Ok(()));
        assert_eq!(check_window(&plain, &ram()), Err(WindowError::SystemRam));
        for window in [&plain, &parameter] {
            let verdict = check_window(window, &locked_down());
            assert_eq!(verdict, Err(WindowError::LockedDown));
        }
        assert_eq!(check_window(&boot, &locked_down()), Ok(()));
        assert_eq!(check_window(&boot, &ram()), Err(WindowError::SystemRam));
    }

    #[test]
    fn a_window_is_of_no_pci_device_and_of_a_cache_type_that_there_is() {
        let plain = window(0xc000_0000, 0x1000);
        let pci = Kernel {
            pci: true,
            lacks: Some(CacheMode::Uncached),
            ..free()
        };
        assert_eq!(check_window(&plain, &pci), Err(WindowError::PciBar));
        let isa = Kernel { pci: false, ..pci };
        assert_eq!(check_window(&plain, &isa), Err(WindowError::CacheType));
        let cached = Window {
            cache: CacheMode::Cached,
            ..plain
        };
        assert_eq!(check_window(&cached, &isa), Ok(()));
    }

    #[test]
    fn every_reason_for_no_window_has_words_and_an_errno() {
        let all = [
            (WindowError::LockedDown, 1),
            (WindowError::SystemRam, 1),
            (WindowError::PciBar, 1),
            (WindowError::CacheType, 22),
        ];
        for (error, errno) in all {
            assert_eq!(error.errno().number(), errno, "{error}");
        }
        let words: BTreeSet<_> = all.iter().map(|(error, _)| error.to_string()).collect();
        assert_eq!(words.len(), all.len());
    }

    #[test]
    fn a_question_has_known_bits_only() {
        let question = |prot, flags| abi::MapCheck {
            start: SDRAM.start,
            length: SDRAM.length,
            prot,
            flags,
            ..abi::MapCheck::default()
        };
        let caller = |file_readable, read_implies_execute| Caller {
            file_readable,
            file_writable: true,
            read_implies_execute,
        };
        let ask = |prot, flags| Request::from_check(&question(prot, flags), &caller(true, false));
        for flags in [abi::MAP_SHARED, abi::MAP_SHARED_VALIDATE] {
            assert_eq!(ask(abi::PROT_READ | abi::PROT_WRITE, flags), Some(SDRAM));
        }
        let reader = Request {
            write: false,
            ..SDRAM
        };
        assert_eq!(ask(abi::PROT_READ, abi::MAP_SHARED), Some(reader));
        let nothing = Request {
            read: false,
            ..reader
        };
        assert_eq!(ask(0, abi::MAP_SHARED), Some(nothing));
        let program = Request {
            execute: true,
            shared: false,
            ..nothing
        };
        assert_eq!(ask(abi::PROT_EXEC, abi::MAP_PRIVATE), Some(program));
        for bit in 3..32 {
            assert_eq!(ask(1 << bit, abi::MAP_SHARED), None, "{bit}");
            assert_eq!(ask(0, abi::MAP_SHARED | 1 << bit), None, "{bit}");
        }
        assert_eq!(ask(0, 0), None);
        let writer = Request::from_check(&question(0, abi::MAP_SHARED), &caller(false, true));
        let writer = writer.unwrap();
        assert!(!writer.file_readable && writer.file_writable && writer.read_implies_execute);
    }
}
