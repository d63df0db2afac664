// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The decisions: who may open the node, which windows may exist, and which ranges may be mapped
//! and how.

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
    PageSize,
    PhysRange,
    Refusal,
    Table,
    Window, //
};

/// The length in bytes of the longest mapping.
///
/// The driver maps the whole range at once, with mmap_lock held and without interruption. 4 GiB in
/// 4 KiB pages take about 20 ms, so a process that is killed meanwhile exits soon.
pub const LARGEST_MAPPING: u64 = 4 << 30;

/// An mmap(2) call on the node, real or queried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The physical address of offset 0: 0 on the node of all memory, the start of the window on
    /// its own node.
    pub base: u64,
    /// The offset in bytes.
    pub start: u64,
    /// The length in bytes. It is rounded up to whole pages, as in mmap(2).
    pub length: u64,
    /// Whether PROT_READ is requested. The kernel requires a readable descriptor for every
    /// protection.
    pub read: bool,
    /// Whether PROT_WRITE is requested.
    pub write: bool,
    /// Whether PROT_EXEC is requested.
    pub execute: bool,
    /// Whether the kernel adds PROT_EXEC to PROT_READ: with the personality READ_IMPLIES_EXEC,
    /// which old 32-bit programs have, on a file system that is not mounted noexec. The driver
    /// cannot tell such a PROT_EXEC from a requested one, so it makes the mapping, without execute
    /// permission.
    pub read_implies_execute: bool,
    /// Whether MAP_SHARED or MAP_SHARED_VALIDATE is requested, rather than MAP_PRIVATE.
    ///
    /// This is VM_MAYSHARE, not VM_SHARED: the kernel clears VM_SHARED for a read-only descriptor,
    /// although that mapping is shared, too.
    pub shared: bool,
    /// Whether the descriptor is open for reading.
    pub file_readable: bool,
    /// Whether the descriptor is open for writing.
    pub file_writable: bool,
}

impl Request {
    /// Converts the question of MAP_IOC_CHECK, asked by `caller` on a node whose offset 0 is the
    /// physical address `base`.
    ///
    /// Returns `None`, for which the ioctl fails with EINVAL, if `prot` has bits other than
    /// PROT_READ, PROT_WRITE and PROT_EXEC, or if `flags` is none of MAP_SHARED, MAP_PRIVATE and
    /// MAP_SHARED_VALIDATE.
    pub fn from_check(check: &abi::MapCheck, base: u64, caller: &Caller) -> Option<Self> {
        if check.prot & !(abi::PROT_READ | abi::PROT_WRITE | abi::PROT_EXEC) != 0 {
            return None;
        }
        let shared = match check.flags {
            abi::MAP_SHARED | abi::MAP_SHARED_VALIDATE => true,
            abi::MAP_PRIVATE => false,
            _ => return None,
        };
        Some(Self {
            base,
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

/// The properties of the caller and its descriptor that a [`Request`] depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// [`Request::file_readable`].
    pub file_readable: bool,
    /// [`Request::file_writable`].
    pub file_writable: bool,
    /// [`Request::read_implies_execute`].
    pub read_implies_execute: bool,
}

/// Properties of the machine and of the caller that are known without a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The page size in bytes, a power of two.
    pub page_size: u64,
    /// The highest physical address that a page table entry can hold on this processor.
    pub last_address: u64,
    /// The highest offset of mmap(2): the kernel's ULONG_MAX, so 2^32 - 1 on a 32-bit kernel. On
    /// the node of all memory, whose offsets are physical addresses, it is there the end of the
    /// last page that the system call can name, below 2^44.
    pub last_offset: u64,
    /// TASK_SIZE of the caller, in bytes. It is smaller for a 32-bit process on a 64-bit kernel.
    pub task_size: u64,
    /// Whether an access by the kernel to an address where no device responds may cause a fatal
    /// abort. On x86 it does not: such a load returns all ones.
    pub aborts: bool,
}

/// Queries to the kernel. The decisions make a query only if its result determines the outcome,
/// because a query may log a line or set a flag on the process.
pub trait KernelQuery {
    /// Returns whether the caller has CAP_SYS_RAWIO.
    fn has_rawio(&self) -> bool;

    /// Returns whether the kernel is locked down against access to physical memory.
    fn is_locked_down(&self) -> bool;

    /// Returns whether `range` contains System RAM.
    fn is_system_ram(&self, range: &PhysRange) -> bool;

    /// Returns whether /dev/mem would refuse part of `range` because a driver has exclusive use of
    /// it, or the kernel has it in its own page tables, as it has pmem.
    fn is_exclusive(&self, range: &PhysRange) -> bool;

    /// Returns whether part of `range` is a memory BAR of a PCI device.
    fn is_in_pci_bar(&self, range: &PhysRange) -> bool;

    /// Returns whether all of `range` lies in one `no-map` node of `/reserved-memory` that nothing
    /// in the kernel uses.
    fn is_reserved(&self, range: &PhysRange) -> bool;

    /// Returns whether the machine can map all of `range` with `cache`.
    fn gives(&self, range: &PhysRange, cache: CacheMode) -> bool;
}

/// A granted mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The physical memory to map: whole pages.
    pub range: PhysRange,
    /// The cache type of the mapping.
    pub cache: CacheMode,
    /// Whether the mapping may be or become writable, for example by mprotect(2).
    pub access: Access,
    /// Whether the range is [known to be memory](is_known_memory).
    pub memory: bool,
    /// The window that contains the range; `None` in raw mode.
    pub window: Option<IndexedWindow>,
}

/// A refused mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The reason.
    pub reason: Refusal,
    /// The window that contains the range, overlaps it, or is nearest to it; `None` if there are no
    /// windows or the reason is unrelated to windows.
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

/// Checks whether the caller may open the node. With windows, the permissions of the node are the
/// only check.
///
/// # Errors
///
/// [`Refusal::NotCapable`] or [`Refusal::LockedDown`], only in raw mode.
pub fn may_open<S>(mode: &Mode<S>, kernel: &impl KernelQuery) -> Result<(), Refusal> {
    match mode {
        Mode::Windows(_) => Ok(()),
        Mode::Raw if !kernel.has_rawio() => Err(Refusal::NotCapable),
        Mode::Raw if kernel.is_locked_down() => Err(Refusal::LockedDown),
        Mode::Raw => Ok(()),
    }
}

/// Checks whether `window` may be added.
///
/// # Errors
///
/// The first [`WindowError`] that applies, in the order of its variants.
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

/// The reason for which a window is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WindowError {
    /// The kernel is locked down, and the boot device tree does not describe and reserve the
    /// window.
    LockedDown,
    /// The window contains System RAM.
    SystemRam,
    /// The window overlaps a BAR of a PCI device, which exists only as long as the device.
    PciBar,
    /// The machine cannot map the memory with the cache type of the window.
    CacheType,
}

impl WindowError {
    /// Returns the errno of the module load or of the device probe.
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
                "the kernel is locked down, which permits only windows that the boot device tree \
                 describes by memory-region with no-map"
            }
            Self::SystemRam => "the range holds System RAM, which belongs to the kernel",
            Self::PciBar => {
                "part of the range is memory of a PCI device, which exists only as long as the device; \
                 map one of resource0 to resource5 of the device in sysfs, or use VFIO"
            }
            Self::CacheType => {
                "this machine cannot map the memory with this cache type, because of its MTRRs, \
                 another mapping, or a riscv processor without Svpbmt; choose another type"
            }
        })
    }
}

/// Returns whether `range` is known to be memory that the kernel itself may access, for example for
/// a debugger. `window` is the window that contains it; `None` in raw mode.
///
/// A range is known to be memory if
///
/// - no such access [aborts](Limits::aborts) on this machine, or
/// - it is reserved by `/reserved-memory` with `no-map` and nothing in the kernel uses it, or
/// - the administrator declares its window to be memory, and is responsible for that.
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

/// Checks whether read(2), or write(2) with `write`, may access the memory of `window`.
///
/// # Errors
///
/// The first [`Refusal`] that applies, in the order of its variants.
pub fn may_transfer(
    window: &Window,
    write: bool,
    limits: &Limits,
    kernel: &impl KernelQuery,
) -> Result<(), Refusal> {
    may_access(window, &window.range, write, kernel)?;
    if !is_known_memory(&window.range, Some(window), limits, kernel) {
        return Err(Refusal::NotMemory);
    }
    Ok(())
}

/// Checks whether `range`, which lies in `window`, may be accessed at all, and written with
/// `write`.
fn may_access(
    window: &Window,
    range: &PhysRange,
    write: bool,
    kernel: &impl KernelQuery,
) -> Result<(), Refusal> {
    if write && window.access == Access::ReadOnly {
        return Err(Refusal::ReadOnly);
    }
    if !window.survives_lockdown() && kernel.is_locked_down() {
        return Err(Refusal::LockedDown);
    }
    // The range was not System RAM when the window was added, but memory can be hotplugged.
    if kernel.is_system_ram(range) {
        return Err(Refusal::SystemRam);
    }
    Ok(())
}

/// Returns the part of `window` that a transfer of `length` bytes from the file position `position`
/// covers; `None` if it covers no byte.
pub fn transferred(window: &Window, position: u64, length: u64) -> Option<PhysRange> {
    let left = window.range.length().checked_sub(position)?;
    let start = window.range.start().checked_add(position)?;
    PhysRange::new(start, length.min(left))
}

/// Returns how many bytes a debugger may access at `address`, of the requested `length`, in a VMA
/// that ends before `end`: none beyond the page, and none beyond the VMA.
pub fn accessible(address: u64, length: u64, end: u64, page_size: u64) -> u64 {
    let (_, offset) = PageSize::of_kernel(page_size).split(address);
    let in_page = page_size.saturating_sub(offset);
    length.min(in_page).min(end.saturating_sub(address))
}

/// Decides on `request`.
///
/// Both mmap(2) and MAP_IOC_CHECK use this function, so they cannot disagree. The kernel rejects
/// malformed mmap(2) calls before it calls the driver; MAP_IOC_CHECK passes anything. Errors of the
/// kernel that depend on other mappings and limits of the process are not predicted: ENOMEM,
/// EAGAIN, and those of a security module.
///
/// # Errors
///
/// The first [`Refusal`] that applies, in the order of its variants.
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
    let offsets = whole_pages(request, limits)?;
    check_protection(request)?;
    let range = request
        .base
        .checked_add(offsets.start())
        .and_then(|start| PhysRange::new(start, offsets.length()))
        .filter(|range| range.last() <= limits.last_address)
        .ok_or(Refusal::Address)?;
    match mode {
        Mode::Raw => decide_raw(range, limits, kernel),
        Mode::Windows(table) => decide_in(table, range, request.write, limits, kernel),
    }
}

/// Returns the pages of the file that `request` covers, by the rules of mmap(2).
fn whole_pages(request: &Request, limits: &Limits) -> Result<PhysRange, Refusal> {
    let page_size = PageSize::of_kernel(limits.page_size);
    if !page_size.is_aligned(request.start) {
        return Err(Refusal::Unaligned);
    }
    if request.length == 0 {
        return Err(Refusal::Empty);
    }
    let length = page_size
        .round_up(request.length)
        .filter(|length| *length <= limits.task_size)
        .ok_or(Refusal::TooLong)?;
    // The kernel requires the address after the last byte to be a valid offset, too.
    request
        .start
        .checked_add(length)
        .filter(|end| *end <= limits.last_offset)
        .and_then(|_| PhysRange::new(request.start, length))
        .ok_or(Refusal::Wraps)
}

/// Checks the kind of the mapping against the access mode of the descriptor.
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
        // The table returns only indices of existing windows.
        Lookup::Inside(index) => table.get(index).ok_or(Refusal::Outside)?,
        Lookup::Partial(index) => return refuse(Refusal::Partial, table.get(index)),
        Lookup::Outside(index) => {
            return refuse(Refusal::Outside, index.and_then(|index| table.get(index)));
        }
    };
    let refused = |reason| Refused {
        reason,
        nearest: Some(found),
    };
    let window = &found.window;
    may_access(window, &range, write, kernel).map_err(refused)?;
    if range.length() > LARGEST_MAPPING {
        return Err(refused(Refusal::TooLarge));
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
        base: 0,
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

    /// A kernel that counts the queries.
    #[derive(Default)]
    struct Kernel {
        rawio: bool,
        locked_down: bool,
        system_ram: bool,
        exclusive: bool,
        pci: bool,
        reserved: bool,
        /// The cache type that it does not support.
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

    /// Returns the window of [`windows()`] with this index.
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

    /// Returns the SDRAM as write-combine, and read-only memory below it.
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
        // This range ends exactly at 2^64.
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
    fn the_node_of_a_window_shows_nothing_else() {
        let low = Window::new(PhysRange::new(0xc000_0000, 0x2000).unwrap());
        let high = Window::new(PhysRange::new(0xc000_2000, 0x1000).unwrap());
        let table = Table::new(vec![low, high], &PC).unwrap();
        let kernel = Kernel::default();
        let at = |window: &Window, start, length| {
            let request = Request {
                base: window.range.start(),
                start,
                length,
                ..SDRAM
            };
            decide(&request, &Mode::Windows(Table::of(window)), &PC, &kernel)
        };
        let [low, high] = [&table.windows()[0], &table.windows()[1]];
        let grant = at(high, 0, 0x1000).unwrap();
        assert_eq!(grant.range, high.range);
        assert_eq!(grant.window.unwrap().index, 0);
        let grant = at(low, 0x1000, 1).unwrap();
        assert_eq!(grant.range, PhysRange::new(0xc000_1000, 0x1000).unwrap());
        let reason = |window, start, length| at(window, start, length).unwrap_err().reason;
        // The window behind it cannot be reached, nor the one before it.
        assert_eq!(reason(low, 0x2000, 0x1000), Refusal::Outside);
        assert_eq!(reason(low, 0x1000, 0x2000), Refusal::Partial);
        assert_eq!(
            reason(high, 0u64.wrapping_sub(0x2000), 0x1000),
            Refusal::Address
        );
        assert_eq!(
            reason(high, 0u64.wrapping_sub(0x1000), 0x1000),
            Refusal::Wraps
        );
        assert_eq!(reason(high, 1, 0x1000), Refusal::Unaligned);
    }

    #[test]
    fn what_is_known_to_be_memory_can_be_read_and_written() {
        let sdram = Window::new(PhysRange::new(0xc000_0000, 0x2000).unwrap());
        let arm = Limits { aborts: true, ..PC };
        let kernel = Kernel::default();
        assert_eq!(may_transfer(&sdram, true, &PC, &kernel), Ok(()));
        assert_eq!(
            may_transfer(&sdram, false, &arm, &kernel),
            Err(Refusal::NotMemory)
        );
        let declared = Window {
            memory: true,
            ..sdram
        };
        assert_eq!(may_transfer(&declared, true, &arm, &kernel), Ok(()));
        let reserved = Window {
            reserved: true,
            ..sdram
        };
        assert_eq!(may_transfer(&reserved, true, &arm, &kernel), Ok(()));

        let rom = Window {
            access: Access::ReadOnly,
            ..sdram
        };
        assert_eq!(may_transfer(&rom, false, &PC, &kernel), Ok(()));
        assert_eq!(
            may_transfer(&rom, true, &arm, &kernel),
            Err(Refusal::ReadOnly)
        );
        let locked = Kernel {
            locked_down: true,
            ..Kernel::default()
        };
        assert_eq!(
            may_transfer(&declared, false, &PC, &locked),
            Err(Refusal::LockedDown)
        );
        let boot = Window {
            origin: Origin::BootDt,
            ..reserved
        };
        assert_eq!(may_transfer(&boot, false, &arm, &locked), Ok(()));
        let online = Kernel {
            system_ram: true,
            ..Kernel::default()
        };
        assert_eq!(
            may_transfer(&declared, false, &PC, &online),
            Err(Refusal::SystemRam)
        );
    }

    #[test]
    fn a_transfer_ends_with_its_window() {
        let window = Window::new(PhysRange::new(0xc000_0000, 0x2000).unwrap());
        let part = |position, length| transferred(&window, position, length);
        assert_eq!(part(0, 0x2000), Some(window.range));
        assert_eq!(part(0, u64::MAX), Some(window.range));
        assert_eq!(part(0x1fff, 2), PhysRange::new(0xc000_1fff, 1));
        assert_eq!(part(1, 1), PhysRange::new(0xc000_0001, 1));
        for (position, length) in [(0x2000, 1), (0, 0), (u64::MAX, 1), (0x2001, u64::MAX)] {
            assert_eq!(part(position, length), None);
        }
    }

    #[test]
    fn the_first_reason_in_order_is_the_one_given() {
        let mut request = Request {
            base: 0,
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
        // Only the program can have requested this.
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
        // The grant reports it.
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
        // With larger pages a VMA may still end anywhere.
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

        // A window of the boot device tree survives a lockdown.
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
        // What other drivers may have at the same time, the kernel must not have either.
        let shared = Window {
            claim: false,
            ..plain
        };
        assert_eq!(check_window(&shared, &free()), Ok(()));
        assert_eq!(check_window(&shared, &ram()), Err(WindowError::SystemRam));
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
        let shared = Window {
            claim: false,
            ..plain
        };
        assert_eq!(check_window(&shared, &pci), Err(WindowError::PciBar));
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
        let ask =
            |prot, flags| Request::from_check(&question(prot, flags), 0, &caller(true, false));
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
        let writer = Request::from_check(&question(0, abi::MAP_SHARED), 0, &caller(false, true));
        let writer = writer.unwrap();
        assert!(!writer.file_readable && writer.file_writable && writer.read_implies_execute);
    }
}
