// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What userspace and the driver have agreed upon.
//!
//! `driver/uapi/map.h` says the same for C. The structures have neither padding nor pointers, and
//! the same layout for 32-bit and for 64-bit programs; enumerations go through them as numbers.

use core::{
    ffi::CStr,
    ops::Deref, //
};

use super::{
    Access,
    CacheMode,
    Entry,
    Grant,
    Limits,
    Mode,
    Name,
    Origin,
    PhysRange,
    Refused,
    Window, //
};

/// The character major number, unless the module's parameter `major` says otherwise.
pub const MAJOR: u32 = 126;

/// The minor number of the one node there is.
pub const MINOR: u32 = 0;

/// The name of the module, of its class and of its node.
pub const NAME: &CStr = c"map";

/// Where devtmpfs and udev put the node, and where the tools look for it.
pub const NODE: &str = "/dev/map";

/// The version of the ioctls. It grows when the meaning of something changes, not when something is
/// added.
pub const VERSION: u32 = 1;

/// In [`MapInfo::mode`]: there are no windows.
pub const MODE_RAW: u32 = 0;

/// In [`MapInfo::mode`]: only windows can be mapped.
pub const MODE_WINDOWS: u32 = 1;

/// In [`MapWindow::flags`]: the window is read-only.
pub const WINDOW_READ_ONLY: u32 = 1 << 0;

/// In [`MapWindow::flags`]: the driver has claimed the region, so that no other driver can.
pub const WINDOW_CLAIMED: u32 = 1 << 1;

/// In [`MapWindow::flags`]: one node of `/reserved-memory` with `no-map`, which nothing in the
/// kernel uses, holds all of the window.
pub const WINDOW_RESERVED: u32 = 1 << 2;

/// In [`MapWindow::flags`]: the window comes from the device tree, and goes with its device. The
/// others come from the module's parameter.
pub const WINDOW_DT: u32 = 1 << 3;

/// In [`MapWindow::flags`]: the administrator declares that all of the window is memory, so that
/// every load is answered.
pub const WINDOW_MEMORY: u32 = 1 << 4;

/// In [`MapWindow::flags`]: the device tree that the kernel was booted with describes the window,
/// and names its memory by `memory-region`. With [`WINDOW_RESERVED`], a locked-down kernel maps it,
/// and no others.
pub const WINDOW_BOOT: u32 = 1 << 5;

/// In [`MapCheck::verdict`]: the mapping is granted. The other verdicts are those of
/// [`Refusal::code()`](super::Refusal::code).
pub const GRANTED: u32 = 0;

/// In [`MapCheck::window`] and [`MapCheck::cache`]: there is none.
pub const NONE: u32 = u32::MAX;

/// PROT_READ of mmap(2), the same on every architecture, as are the following.
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

/// The driver as a whole: fills a [`MapInfo`].
pub const IOC_INFO: u32 = ioc(IOC_READ, 0x00, size_of::<MapInfo>());

/// One window: takes and fills a [`MapWindow`]. EINVAL if there is no window with this index:
/// devices of the device tree come and go, and their windows with them.
pub const IOC_WINDOW: u32 = ioc(IOC_READ | IOC_WRITE, 0x01, size_of::<MapWindow>());

/// Whether a mapping would be made: takes and fills a [`MapCheck`].
///
/// EINVAL if the question has bits that [`MapCheck::prot`] and [`MapCheck::flags`] do not know. A
/// mapping that is refused is an answer, not an error.
pub const IOC_CHECK: u32 = ioc(IOC_READ | IOC_WRITE, 0x02, size_of::<MapCheck>());

/// The type that all ioctls of the node share; nobody else's in the kernel's `ioctl-number.rst`.
pub const IOC_TYPE: u32 = 0xd7;

const IOC_WRITE: u32 = 1;
const IOC_READ: u32 = 2;

/// The number of an ioctl in the encoding of `asm-generic/ioctl.h`, which all architectures with
/// Rust in the kernel use.
const fn ioc(direction: u32, number: u32, size: usize) -> u32 {
    // There are 14 bits for the size, and the structures are much smaller.
    direction << 30 | (size as u32) << 16 | IOC_TYPE << 8 | number
}

/// What [`IOC_INFO`] tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct MapInfo {
    /// [`VERSION`].
    pub abi_version: u32,
    /// [`MODE_RAW`] or [`MODE_WINDOWS`].
    pub mode: u32,
    /// The number of windows now; 0 in raw mode.
    pub windows: u32,
    /// The page size in bytes.
    pub page_size: u32,
    /// The highest physical address that can be mapped.
    pub last_address: u64,
}

/// What [`IOC_WINDOW`] takes and tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct MapWindow {
    /// In: which window, from 0 in the order of their addresses.
    pub index: u32,
    /// [`WINDOW_READ_ONLY`], [`WINDOW_CLAIMED`], [`WINDOW_RESERVED`], [`WINDOW_DT`],
    /// [`WINDOW_MEMORY`], [`WINDOW_BOOT`].
    pub flags: u32,
    /// The cache type, as [`CacheMode::code()`] has it.
    pub cache: u32,
    /// 0.
    pub reserved: u32,
    /// The physical address of the first byte.
    pub start: u64,
    /// The length in bytes.
    pub length: u64,
    /// The name, followed by NUL bytes up to the end; all NUL if it has none.
    pub name: [u8; Name::MAX_LENGTH + 1],
}

/// What [`IOC_CHECK`] takes and tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct MapCheck {
    /// In: the physical address of the first byte.
    pub start: u64,
    /// In: the length in bytes. It is rounded up to whole pages, as mmap(2) does.
    pub length: u64,
    /// In: [`PROT_READ`], [`PROT_WRITE`], [`PROT_EXEC`], or 0. Other bits are EINVAL.
    pub prot: u32,
    /// In: [`MAP_SHARED`], [`MAP_PRIVATE`] or [`MAP_SHARED_VALIDATE`]. Anything else is EINVAL.
    pub flags: u32,
    /// Out: [`GRANTED`], or the code of the reason for the refusal.
    pub verdict: u32,
    /// Out: the error number that mmap(2) would give; 0 if it is granted.
    pub error: u32,
    /// Out: the index of the window that the range lies in, touches, or is nearest to. [`NONE`] if
    /// there are no windows, and if the reason has nothing to do with them.
    pub window: u32,
    /// Out: the cache type of the mapping, as [`CacheMode::code()`] has it; [`NONE`] if it is
    /// refused.
    pub cache: u32,
    /// Out: the physical address of the first byte of `window`; 0 if there is none.
    pub near_start: u64,
    /// Out: the length of `window` in bytes; 0 if there is none.
    pub near_length: u64,
}

// Every field is counted, so there is no padding that could tell userspace what was in memory
// before.
const _: () = assert!(size_of::<MapInfo>() == 4 * 4 + 8);
const _: () = assert!(size_of::<MapWindow>() == 4 * 4 + 2 * 8 + 32);
const _: () = assert!(size_of::<MapCheck>() == 2 * 8 + 6 * 4 + 2 * 8);

impl MapInfo {
    /// The driver in `mode` on `limits`.
    pub fn new<S, E>(mode: &Mode<S>, limits: &Limits) -> Self
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
        }
    }
}

impl MapWindow {
    /// The window that has `index` in `mode`.
    pub fn new<S, E>(mode: &Mode<S>, index: u32) -> Option<Self>
    where
        S: Deref<Target = [E]>,
        E: Entry,
    {
        let window = mode.windows().get(usize::try_from(index).ok()?)?.window();
        let flag = |set, flag| if set { flag } else { 0 };
        Some(Self {
            index,
            flags: flag(window.access == Access::ReadOnly, WINDOW_READ_ONLY)
                | flag(window.claim, WINDOW_CLAIMED)
                | flag(window.reserved, WINDOW_RESERVED)
                | flag(window.origin != Origin::Parameter, WINDOW_DT)
                | flag(window.memory, WINDOW_MEMORY)
                | flag(window.origin == Origin::BootDt, WINDOW_BOOT),
            cache: window.cache.code(),
            reserved: 0,
            start: window.range.start(),
            length: window.range.length(),
            name: window.name.to_bytes(),
        })
    }

    /// The window that this tells of, without the flags that a newer driver may have added.
    ///
    /// `None` if there can be no such window, or if its cache type is one that this library does
    /// not know.
    pub fn window(&self) -> Option<Window> {
        // The methods of `CStr` do arithmetic that can panic, as far as the compiler sees.
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
            reserved: has(WINDOW_RESERVED),
            origin: match (has(WINDOW_DT), has(WINDOW_BOOT)) {
                (false, _) => Origin::Parameter,
                (true, false) => Origin::Dt,
                (true, true) => Origin::BootDt,
            },
        })
    }
}

impl MapCheck {
    /// Fills in the answer to the question.
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

/// An index or a number of windows: there are no more than [`MAX_WINDOWS`](super::MAX_WINDOWS).
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

    /// The window of [`windows()`] with this index.
    fn at(index: usize) -> Option<IndexedWindow> {
        let window = windows().windows()[index];
        Some(IndexedWindow { index, window })
    }

    #[test]
    fn the_driver_tells_of_itself() {
        let info = MapInfo {
            abi_version: 1,
            mode: MODE_RAW,
            windows: 0,
            page_size: 0x1000,
            last_address: (1 << 40) - 1,
        };
        assert_eq!(MapInfo::new(&RAW, &PC), info);
        let info = MapInfo {
            mode: MODE_WINDOWS,
            windows: 2,
            ..info
        };
        assert_eq!(MapInfo::new(&windows(), &PC), info);
    }

    #[test]
    fn a_window_goes_through_the_abi_unchanged() {
        let mode = windows();
        for (index, window) in (0..).zip(mode.windows()) {
            let told = MapWindow::new(&mode, index).unwrap();
            assert_eq!(told.index, index);
            assert_eq!(told.window(), Some(*window));
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

        // There is no window that could be the nearest.
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
