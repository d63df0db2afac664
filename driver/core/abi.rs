// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The ABI between userspace and the driver.
//!
//! `driver/uapi/map.h` is the C version. The structures have neither padding nor pointers, and the
//! same layout for 32-bit and 64-bit programs; enumerations are passed as numbers.

use core::{
    ffi::CStr,
    ops::Deref, //
};

use super::{
    Access,
    CacheMode,
    Entry,
    Grant,
    Huge,
    Limits,
    Mode,
    Name,
    Origin,
    PhysRange,
    Refused,
    Window, //
};

/// The character major number, unless the module parameter `major` overrides it.
pub const MAJOR: u32 = 126;

/// The minor number of the node of all memory. The nodes of windows have those from 1 on.
pub const MINOR: u32 = 0;

/// The name of the module, of its class and of its node.
pub const NAME: &CStr = c"map";

/// The path at which devtmpfs and udev create the node, and the tools expect it.
pub const NODE: &str = "/dev/map";

/// The version of the ioctls. 1 had no interrupts: their ioctls were ENOTTY. 2 had another
/// [`IOC_INFO`], without [`MapInfo::changes`].
pub const VERSION: u32 = 3;

/// In [`MapInfo::mode`]: there are no windows.
pub const MODE_RAW: u32 = 0;

/// In [`MapInfo::mode`]: only ranges inside windows can be mapped.
pub const MODE_WINDOWS: u32 = 1;

/// In [`MapInfo::mode`]: this is the node of one window, in which offset 0 is its first byte.
pub const MODE_WINDOW: u32 = 2;

/// In [`MapWindow::flags`]: the window is read-only.
pub const WINDOW_READ_ONLY: u32 = 1 << 0;

/// In [`MapWindow::flags`]: the driver has claimed the region, so no other driver can.
pub const WINDOW_CLAIMED: u32 = 1 << 1;

/// In [`MapWindow::flags`]: all of the window lies in one `no-map` node of `/reserved-memory` that
/// nothing in the kernel uses.
pub const WINDOW_RESERVED: u32 = 1 << 2;

/// In [`MapWindow::flags`]: the window comes from the device tree and is removed with its device.
/// Windows with neither this flag nor [`WINDOW_RUN_TIME`] come from the module parameter.
pub const WINDOW_DT: u32 = 1 << 3;

/// In [`MapWindow::flags`]: the administrator declares that all of the window is memory, so every
/// load completes.
pub const WINDOW_MEMORY: u32 = 1 << 4;

/// In [`MapWindow::flags`]: the boot device tree describes the window and refers to its memory by
/// `memory-region`. A locked-down kernel maps only windows with this flag and [`WINDOW_RESERVED`].
pub const WINDOW_BOOT: u32 = 1 << 5;

/// In [`MapWindow::flags`]: the window was added at run time, and may be removed at any time.
pub const WINDOW_RUN_TIME: u32 = 1 << 6;

/// In [`MapWindow::flags`]: mappings have no huge pages, so no access to them takes a page fault.
pub const WINDOW_NOT_HUGE: u32 = 1 << 7;

/// The largest number of interrupts of a window.
pub const IRQS: usize = 16;

/// In [`MapIrq::flags`]: the interrupt is level-triggered, or its trigger is unknown. The driver
/// masks it when it comes, until a program unmasks it.
pub const IRQ_LEVEL: u32 = 1 << 0;

/// In [`MapIrq::flags`]: the interrupt is masked now.
pub const IRQ_MASKED: u32 = 1 << 1;

/// In [`MapIrq::flags`]: an eventfd is set.
pub const IRQ_EVENTFD: u32 = 1 << 2;

/// In [`MapCheck::verdict`]: the mapping is granted. Other verdicts are codes of
/// [`Refusal::code()`](super::Refusal::code).
pub const GRANTED: u32 = 0;

/// In [`MapCheck::window`] and [`MapCheck::cache`]: none.
pub const NONE: u32 = u32::MAX;

/// PROT_READ of mmap(2). This and the following values are the same on every architecture.
pub const PROT_READ: u32 = 1;

/// PROT_WRITE of mmap(2).
pub const PROT_WRITE: u32 = 2;

/// PROT_EXEC of mmap(2).
pub const PROT_EXEC: u32 = 4;

/// MAP_SHARED of mmap(2).
pub const MAP_SHARED: u32 = 1;

/// MAP_PRIVATE of mmap(2).
pub const MAP_PRIVATE: u32 = 2;

/// MAP_SHARED_VALIDATE of mmap(2).
pub const MAP_SHARED_VALIDATE: u32 = 3;

/// Reports the state of the driver: fills a [`MapInfo`].
pub const IOC_INFO: u32 = ioc(IOC_READ, 0x00, size_of::<MapInfo>());

/// Reports one window: takes and fills a [`MapWindow`]. EINVAL if there is no window with this
/// index. Windows of the device tree come and go with their devices, and others at run time.
pub const IOC_WINDOW: u32 = ioc(IOC_READ | IOC_WRITE, 0x01, size_of::<MapWindow>());

/// Reports whether a mapping would be granted: takes and fills a [`MapCheck`].
///
/// EINVAL if [`MapCheck::prot`] or [`MapCheck::flags`] has unknown bits. A refusal is reported in
/// the structure, not as an error.
pub const IOC_CHECK: u32 = ioc(IOC_READ | IOC_WRITE, 0x02, size_of::<MapCheck>());

/// Reports one interrupt of the window of this node: takes and fills a [`MapIrq`]. EINVAL if there
/// is no interrupt with this index.
///
/// This and the following ioctls are ENOTTY on the node of all memory, and ENODEV once the window
/// is gone.
pub const IOC_IRQ: u32 = ioc(IOC_READ | IOC_WRITE, 0x03, size_of::<MapIrq>());

/// Waits until interrupts have come, and takes their counts: takes and fills a [`MapIrqWait`].
///
/// ETIMEDOUT if none has come in time, EINVAL if [`MapIrqWait::interrupts`] is 0 or has bits of
/// interrupts that do not exist, or [`MapIrqWait::flags`] is not 0. A signal is EINTR if the
/// timeout is finite; otherwise the call is restarted if the signal's action permits it.
pub const IOC_IRQ_WAIT: u32 = ioc(IOC_READ | IOC_WRITE, 0x04, size_of::<MapIrqWait>());

/// Masks or unmasks interrupts, all of those named or none: takes a [`MapIrqMask`].
///
/// EACCES if the descriptor is not open for writing, EINVAL if [`MapIrqMask::interrupts`] is 0 or
/// has bits of interrupts that do not exist, or [`MapIrqMask::masked`] is neither 0 nor 1, EALREADY
/// if one of them is masked, or unmasked, already.
pub const IOC_IRQ_MASK: u32 = ioc(IOC_WRITE, 0x05, size_of::<MapIrqMask>());

/// Sets the eventfd of an interrupt, or takes it away: takes a [`MapIrqEventfd`].
///
/// EACCES if the descriptor is not open for writing, EINVAL if there is no interrupt with this
/// index or [`MapIrqEventfd::fd`] is no eventfd, EBADF if it is no descriptor, EBUSY if another
/// open file has set one.
pub const IOC_IRQ_EVENTFD: u32 = ioc(IOC_WRITE, 0x06, size_of::<MapIrqEventfd>());

/// The type of all ioctls of the node. It is unused in `ioctl-number.rst` of the kernel.
pub const IOC_TYPE: u32 = 0xd7;

const IOC_WRITE: u32 = 1;
const IOC_READ: u32 = 2;

/// Returns an ioctl number in the encoding of `asm-generic/ioctl.h`, which all architectures that
/// support Rust in the kernel use.
const fn ioc(direction: u32, number: u32, size: usize) -> u32 {
    // The size field has 14 bits, and the structures are much smaller.
    direction << 30 | (size as u32) << 16 | IOC_TYPE << 8 | number
}

/// The output of [`IOC_INFO`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct MapInfo {
    /// [`VERSION`].
    pub abi_version: u32,
    /// [`MODE_RAW`], [`MODE_WINDOWS`] or [`MODE_WINDOW`].
    pub mode: u32,
    /// The current number of windows; 0 in raw mode, 1 on the node of a window.
    pub windows: u32,
    /// The page size in bytes.
    pub page_size: u32,
    /// The highest physical address that can be mapped.
    pub last_address: u64,
    /// How often windows were added or removed since the driver was loaded; 0 on the node of a
    /// window. A list of windows is whole if this was the same before it was read and after.
    pub changes: u64,
}

/// The input and output of [`IOC_WINDOW`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct MapWindow {
    /// In: the index of the window, from 0 in the order of addresses.
    pub index: u32,
    /// [`WINDOW_READ_ONLY`], [`WINDOW_CLAIMED`], [`WINDOW_RESERVED`], [`WINDOW_DT`],
    /// [`WINDOW_MEMORY`], [`WINDOW_BOOT`], [`WINDOW_RUN_TIME`], [`WINDOW_NOT_HUGE`].
    pub flags: u32,
    /// The cache type: a [`CacheMode::code()`].
    pub cache: u32,
    /// The minor number of the window's own node; 0 if it has none.
    pub minor: u32,
    /// The physical address of the first byte.
    pub start: u64,
    /// The length in bytes.
    pub length: u64,
    /// The name, padded with NUL bytes; all NUL if the window has no name.
    pub name: [u8; Name::MAX_LENGTH + 1],
}

/// The input and output of [`IOC_CHECK`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct MapCheck {
    /// In: the offset of the first byte in the node: its physical address, or on the node of a
    /// window its distance from the start of the window.
    pub start: u64,
    /// In: the length in bytes. It is rounded up to whole pages, as in mmap(2).
    pub length: u64,
    /// In: bits of [`PROT_READ`], [`PROT_WRITE`] and [`PROT_EXEC`], or 0. Other bits are EINVAL.
    pub prot: u32,
    /// In: [`MAP_SHARED`], [`MAP_PRIVATE`] or [`MAP_SHARED_VALIDATE`]. Anything else is EINVAL.
    pub flags: u32,
    /// Out: [`GRANTED`], or the code of the refusal.
    pub verdict: u32,
    /// Out: the errno of the mmap(2) call; 0 if it is granted.
    pub error: u32,
    /// Out: the index of the window that contains the range, overlaps it, or is nearest to it.
    /// [`NONE`] if there are no windows or the reason is unrelated to windows.
    pub window: u32,
    /// Out: the cache type of the mapping, a [`CacheMode::code()`]; [`NONE`] if it is refused.
    pub cache: u32,
    /// Out: the physical address of the first byte of `window`; 0 if there is none.
    pub near_start: u64,
    /// Out: the length of `window` in bytes; 0 if there is none.
    pub near_length: u64,
}

/// The input and output of [`IOC_IRQ`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct MapIrq {
    /// In: the index of the interrupt, from 0 in the order of the device tree.
    pub index: u32,
    /// Out: [`IRQ_LEVEL`], [`IRQ_MASKED`], [`IRQ_EVENTFD`].
    pub flags: u32,
    /// Out: how often the interrupt has come since the window was added.
    pub count: u64,
    /// Out: the name from `interrupt-names`, padded with NUL bytes; all NUL if there is none.
    pub name: [u8; Name::MAX_LENGTH + 1],
}

/// The input and output of [`IOC_IRQ_WAIT`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct MapIrqWait {
    /// In: bits of the interrupts to wait for: 1 << index. Out: those that have come.
    pub interrupts: u32,
    /// In: 0.
    pub flags: u32,
    /// In: the longest time to wait in nanoseconds; 0 does not wait, and a negative number waits
    /// for ever.
    pub timeout: i64,
    /// Out: for each interrupt that has come, by its index, how often since this open file took its
    /// count last, or was opened; 0 for the others.
    pub counts: [u64; IRQS],
}

/// The input of [`IOC_IRQ_MASK`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct MapIrqMask {
    /// In: bits of the interrupts: 1 << index.
    pub interrupts: u32,
    /// In: 1 masks them, 0 unmasks them.
    pub masked: u32,
}

/// The input of [`IOC_IRQ_EVENTFD`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct MapIrqEventfd {
    /// In: the index of the interrupt.
    pub index: u32,
    /// In: the descriptor of the eventfd; -1 takes it away.
    pub fd: i32,
}

// The sum counts every field, so there is no padding that could leak kernel memory to userspace.
const _: () = assert!(size_of::<MapInfo>() == 4 * 4 + 2 * 8);
const _: () = assert!(size_of::<MapWindow>() == 4 * 4 + 2 * 8 + 32);
const _: () = assert!(size_of::<MapCheck>() == 2 * 8 + 6 * 4 + 2 * 8);
const _: () = assert!(size_of::<MapIrq>() == 2 * 4 + 8 + 32);
const _: () = assert!(size_of::<MapIrqWait>() == 2 * 4 + 8 + IRQS * 8);
const _: () = assert!(size_of::<MapIrqMask>() == 2 * 4);
const _: () = assert!(size_of::<MapIrqEventfd>() == 2 * 4);

impl MapInfo {
    /// Describes the driver in `mode`, whose windows have changed so often, on a machine with
    /// `limits`.
    pub fn new<S, E>(mode: &Mode<S>, changes: u64, limits: &Limits) -> Self
    where
        S: Deref<Target = [E]>,
        E: Entry,
    {
        Self {
            abi_version: VERSION,
            mode: match mode {
                Mode::Raw => MODE_RAW,
                Mode::Windows(_) => MODE_WINDOWS,
            },
            windows: index_code(mode.windows().len()),
            page_size: u32::try_from(limits.page_size).unwrap_or(0),
            last_address: limits.last_address,
            changes,
        }
    }
}

impl MapInfo {
    /// Describes the node of a window, given the description of the window alone.
    pub const fn on_its_node(self) -> Self {
        Self {
            mode: MODE_WINDOW,
            changes: 0,
            ..self
        }
    }
}

impl MapWindow {
    /// Describes the window with `index` in `mode`; `None` if there is none.
    pub fn new<S, E>(mode: &Mode<S>, index: u32) -> Option<Self>
    where
        S: Deref<Target = [E]>,
        E: Entry,
    {
        let entry = mode.windows().get(usize::try_from(index).ok()?)?;
        let window = entry.window();
        let flag = |set, flag| if set { flag } else { 0 };
        let origin = match window.origin {
            Origin::Parameter => 0,
            Origin::Dt => WINDOW_DT,
            Origin::BootDt => WINDOW_DT | WINDOW_BOOT,
            Origin::RunTime => WINDOW_RUN_TIME,
        };
        Some(Self {
            index,
            flags: flag(window.access == Access::ReadOnly, WINDOW_READ_ONLY)
                | flag(window.claim, WINDOW_CLAIMED)
                | flag(window.reserved, WINDOW_RESERVED)
                | flag(window.memory, WINDOW_MEMORY)
                | flag(window.huge == Huge::Never, WINDOW_NOT_HUGE)
                | origin,
            cache: window.cache.code(),
            minor: entry.minor(),
            start: window.range.start(),
            length: window.range.length(),
            name: window.name.to_bytes(),
        })
    }

    /// Converts this to a window, ignoring flags that a newer driver may have added.
    ///
    /// Returns `None` if the fields are not valid for a window, or the cache type is unknown to
    /// this library.
    pub fn window(&self) -> Option<Window> {
        // The compiler cannot prove that the arithmetic in the methods of `CStr` does not panic.
        let name = self.name.split(|&byte| byte == 0).next()?;
        let has = |flag| self.flags & flag != 0;
        Some(Window {
            range: PhysRange::new(self.start, self.length)?,
            name: Name::new(name)?,
            access: if has(WINDOW_READ_ONLY) {
                Access::ReadOnly
            } else {
                Access::ReadWrite
            },
            cache: CacheMode::from_code(self.cache)?,
            claim: has(WINDOW_CLAIMED),
            memory: has(WINDOW_MEMORY),
            huge: if has(WINDOW_NOT_HUGE) {
                Huge::Never
            } else {
                Huge::Auto
            },
            reserved: has(WINDOW_RESERVED),
            origin: match (has(WINDOW_DT), has(WINDOW_BOOT)) {
                (false, _) if has(WINDOW_RUN_TIME) => Origin::RunTime,
                (false, _) => Origin::Parameter,
                (true, false) => Origin::Dt,
                (true, true) => Origin::BootDt,
            },
        })
    }
}

impl MapCheck {
    /// Fills in the output fields from `verdict`.
    pub fn answer(&mut self, verdict: &Result<Grant, Refused>) {
        let found = match verdict {
            Ok(grant) => {
                self.verdict = GRANTED;
                self.error = 0;
                self.cache = grant.cache.code();
                grant.window
            }
            Err(refused) => {
                self.verdict = refused.reason.code();
                self.error = refused.reason.errno().number();
                self.cache = NONE;
                refused.nearest
            }
        };
        let range = found.map(|found| found.window.range);
        self.window = found.map_or(NONE, |found| index_code(found.index));
        self.near_start = range.map_or(0, |range| range.start());
        self.near_length = range.map_or(0, |range| range.length());
    }
}

/// Converts an index or a number of windows. It fits: there are at most
/// [`MAX_WINDOWS`](super::MAX_WINDOWS).
fn index_code(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(NONE)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::{
        vec,
        vec::Vec, //
    };

    use super::{
        super::{
            IndexedWindow,
            Refusal,
            Table, //
        },
        *,
    };

    const PC: Limits = Limits {
        page_size: 0x1000,
        last_address: (1 << 40) - 1,
        last_offset: u64::MAX,
        task_size: 0x7fff_ffff_f000,
        aborts: false,
    };

    const RAW: Mode<Vec<Window>> = Mode::Raw;

    fn windows() -> Mode<Vec<Window>> {
        let sdram = Window {
            name: Name::new(b"sdram").unwrap(),
            access: Access::ReadOnly,
            cache: CacheMode::Cached,
            reserved: true,
            ..Window::new(PhysRange::new(0xc000_0000, 0x30_0000).unwrap())
        };
        let registers = Window {
            claim: false,
            memory: true,
            origin: Origin::BootDt,
            ..Window::new(PhysRange::new(0xff20_0000, 0x1000).unwrap())
        };
        Mode::Windows(Table::new(vec![registers, sdram], &PC).unwrap())
    }

    /// Returns the window of [`windows()`] with this index.
    fn at(index: usize) -> Option<IndexedWindow> {
        let window = windows().windows()[index];
        Some(IndexedWindow { index, window })
    }

    #[test]
    fn the_driver_tells_of_itself() {
        let info = MapInfo {
            abi_version: 3,
            mode: MODE_RAW,
            windows: 0,
            page_size: 0x1000,
            last_address: (1 << 40) - 1,
            changes: 0,
        };
        assert_eq!(MapInfo::new(&RAW, 0, &PC), info);
        let info = MapInfo {
            mode: MODE_WINDOWS,
            windows: 2,
            changes: 5,
            ..info
        };
        assert_eq!(MapInfo::new(&windows(), 5, &PC), info);
    }

    /// A window with a node.
    struct Noded(Window);

    impl Entry for Noded {
        fn window(&self) -> &Window {
            &self.0
        }

        fn minor(&self) -> u32 {
            7
        }
    }

    #[test]
    fn the_node_of_a_window_tells_of_it_alone() {
        let entry = Noded(windows().windows()[1]);
        let mode = Mode::Windows(Table::of(&entry));
        let info = MapInfo::new(&mode, 5, &PC).on_its_node();
        assert_eq!((info.mode, info.windows, info.changes), (MODE_WINDOW, 1, 0));
        assert_eq!(info.last_address, PC.last_address);
        let reported = MapWindow::new(&mode, 0).unwrap();
        assert_eq!((reported.minor, reported.window()), (7, Some(entry.0)));
        assert_eq!(MapWindow::new(&mode, 1), None);
    }

    #[test]
    fn a_window_goes_through_the_abi_unchanged() {
        let mode = windows();
        for (index, window) in (0..).zip(mode.windows()) {
            let reported = MapWindow::new(&mode, index).unwrap();
            assert_eq!((reported.index, reported.minor), (index, 0));
            assert_eq!(reported.window(), Some(*window));
        }
        let sdram = MapWindow::new(&mode, 0).unwrap();
        assert_eq!(
            sdram.flags,
            WINDOW_READ_ONLY | WINDOW_CLAIMED | WINDOW_RESERVED
        );
        assert_eq!(
            (sdram.start, sdram.length, sdram.cache),
            (0xc000_0000, 0x30_0000, 2)
        );
        assert!(sdram.name.starts_with(b"sdram\0"));
        assert_eq!(
            MapWindow::new(&mode, 1).unwrap().flags,
            WINDOW_DT | WINDOW_MEMORY | WINDOW_BOOT
        );

        for index in [2, 64, u32::MAX] {
            assert_eq!(MapWindow::new(&mode, index), None);
        }
        assert_eq!(MapWindow::new(&RAW, 0), None);
    }

    #[test]
    fn every_origin_has_flags_of_its_own() {
        let mut seen = Vec::new();
        for origin in [
            Origin::Parameter,
            Origin::Dt,
            Origin::BootDt,
            Origin::RunTime,
        ] {
            let window = Window {
                origin,
                ..windows().windows()[0]
            };
            let reported = MapWindow::new(&Mode::Windows(Table::of(&window)), 0).unwrap();
            assert_eq!(reported.window(), Some(window));
            assert!(!seen.contains(&reported.flags), "{origin:?}");
            seen.push(reported.flags);
        }
    }

    #[test]
    fn what_can_be_no_window_is_none_and_new_flags_are_passed_over() {
        let sdram = MapWindow::new(&windows(), 0).unwrap();
        let newer = MapWindow {
            flags: sdram.flags | 1 << 31,
            ..sdram
        };
        assert_eq!(newer.window(), sdram.window());
        let mut shouted = sdram;
        shouted.name[0] = b'S';
        let cache = MapWindow { cache: 3, ..sdram };
        let empty = MapWindow { length: 0, ..sdram };
        let endless = MapWindow {
            name: [b'a'; 32],
            ..sdram
        };
        for wrong in [shouted, cache, empty, endless] {
            assert_eq!(wrong.window(), None);
        }
    }

    #[test]
    fn an_answer_overwrites_all_that_was_not_asked() {
        let question = MapCheck {
            start: 0xc000_0000,
            length: 0x1000,
            prot: PROT_READ,
            flags: MAP_SHARED,
            ..MapCheck::default()
        };
        let rubbish = MapCheck {
            verdict: 77,
            error: 77,
            window: 77,
            cache: 77,
            near_start: 77,
            near_length: 77,
            ..question
        };
        let grant = Grant {
            range: PhysRange::new(0xc000_0000, 0x1000).unwrap(),
            cache: CacheMode::Cached,
            access: Access::ReadOnly,
            memory: true,
            window: at(0),
        };
        let mut check = rubbish;
        check.answer(&Ok(grant));
        let expected = MapCheck {
            verdict: GRANTED,
            error: 0,
            window: 0,
            cache: 2,
            near_start: 0xc000_0000,
            near_length: 0x30_0000,
            ..question
        };
        assert_eq!(check, expected);

        let refused = Refused {
            reason: Refusal::Outside,
            nearest: at(1),
        };
        let mut check = rubbish;
        check.answer(&Err(refused));
        let expected = MapCheck {
            verdict: 11,
            error: 1,
            window: 1,
            cache: NONE,
            near_start: 0xff20_0000,
            near_length: 0x1000,
            ..question
        };
        assert_eq!(check, expected);

        // No window is the nearest.
        let mut check = rubbish;
        let refused = Refused {
            nearest: None,
            ..refused
        };
        check.answer(&Err(refused));
        let expected = MapCheck {
            window: NONE,
            near_start: 0,
            near_length: 0,
            ..expected
        };
        assert_eq!(check, expected);

        let mut check = rubbish;
        check.answer(&Err(Refusal::Wraps.into()));
        let expected = MapCheck {
            verdict: 5,
            error: 75,
            window: NONE,
            cache: NONE,
            near_start: 0,
            near_length: 0,
            ..question
        };
        assert_eq!(check, expected);
    }
}
