// SPDX-License-Identifier: MIT OR Apache-2.0

//! Queries to the map driver: how it was loaded, its windows, and whether it would grant a mapping.
//!
//! [`Device::info`], [`Device::windows`] and [`Device::check`] send them. Only the map driver answers; for every other
//! device they fail with [`Error::NotMapDriver`].

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use map_core::abi::{self, MapCheck, MapInfo, MapWindow};
pub use map_core::{Access, CacheMode, Name, Origin, Refusal, Window};
use nix::errno::Errno;

pub use crate::node::{names, Node};
use crate::page::Pages;
use crate::{ioctl, page, Device, Error, Kind, PhysRange, Result};

/// How the driver was loaded, and the properties of the machine. See [`Device::info`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// The version of the ABI between the driver and programs.
    pub abi_version: u32,
    /// Which memory can be mapped.
    pub mode: Mode,
    /// The page size in bytes.
    pub page_size: u64,
    /// The highest physical address that can be mapped.
    pub last_address: u64,
}

/// Which memory can be mapped.
///
/// ```no_run
/// use devmap::{driver::Mode, Device, DEFAULT_DEVICE};
///
/// if Device::open_read_only(DEFAULT_DEVICE)?.info()?.mode == Mode::Raw {
///     println!("all but the kernel's own memory can be mapped");
/// }
/// # Ok::<(), devmap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// There are no windows: a process with CAP_SYS_RAWIO can map all memory but the kernel's own.
    Raw,
    /// A process that may open the node can map what lies inside a window.
    Windows,
    /// This is the node of one window: nothing else can be mapped, and offset 0 is the window's first byte.
    Window,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Raw => "raw",
            Self::Windows => "windows",
            Self::Window => "window",
        })
    }
}

/// The access that a mapping allows: the protection of mmap(2).
///
/// ```
/// use devmap::driver::Protection;
///
/// let none_is_default = Protection { write: true, ..Protection::default() };
/// assert_eq!(Protection { write: true, ..Protection::READ }, Protection::READ_WRITE);
/// assert!(!none_is_default.read);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Protection {
    /// PROT_READ.
    pub read: bool,
    /// PROT_WRITE.
    pub write: bool,
    /// PROT_EXEC.
    pub execute: bool,
}

impl Protection {
    /// The protection of the mappings of [`Device::open_read_only`].
    pub const READ: Self = Self { read: true, write: false, execute: false };
    /// The protection of the mappings of [`Device::open`].
    pub const READ_WRITE: Self = Self { read: true, write: true, execute: false };
}

/// Whether stores into a mapping reach the memory.
///
/// ```
/// assert_eq!(devmap::driver::Sharing::default(), devmap::driver::Sharing::Shared);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Sharing {
    /// MAP_SHARED: they do. All mappings of this crate are shared.
    #[default]
    Shared,
    /// MAP_PRIVATE: they go to a copy.
    Private,
}

/// The driver's decision on a mapping. See [`Device::check`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The driver would make the mapping.
    #[non_exhaustive]
    Granted {
        /// With this cache type.
        cache: CacheMode,
        /// In this window; `None` in raw mode.
        window: Option<Window>,
    },
    /// The driver would refuse the mapping.
    Refused(Refused),
}

impl Verdict {
    /// A grant of this cache type, in this window. The driver's own come from [`Device::check`].
    ///
    /// ```
    /// use devmap::driver::{CacheMode, Verdict};
    ///
    /// assert!(matches!(Verdict::granted(CacheMode::Cached, None), Verdict::Granted { window: None, .. }));
    /// ```
    pub const fn granted(cache: CacheMode, window: Option<Window>) -> Self {
        Self::Granted { cache, window }
    }

    /// The refusal, if it explains why mmap(2) failed with `cause`. Another error number does not come from the driver,
    /// but for example from a limit of the process.
    pub(crate) fn explains(self, cause: &io::Error) -> Option<Refused> {
        match self {
            Self::Refused(refused) => Some(refused).filter(|it| cause.raw_os_error() == Some(it.errno() as i32)),
            Self::Granted { .. } => None,
        }
    }
}

/// Why the driver refuses a mapping. The text has the reason and the window.
///
/// ```
/// use devmap::driver::{Refusal, Refused};
///
/// let refused = Refused::new(Refusal::ReadOnly, None);
/// assert_eq!(refused.errno_name(), "EACCES");
/// assert_eq!(refused.why(), "the window is read-only");
/// assert_eq!(refused.remedy(), "only read it, or load the driver with this window not `ro`");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// The reason. If several apply, it is the first in the order of [`Refusal`].
    pub reason: Refusal,
    /// The window that the range lies in, overlaps, or is nearest to; `None` in raw mode, and if the reason does not
    /// concern windows.
    pub nearest: Option<Window>,
}

impl Refused {
    /// A refusal for this reason, which concerns this window. The driver's own come from [`Device::check`] and
    /// [`Error::Refused`].
    ///
    /// ```
    /// use devmap::driver::{Refusal, Refused};
    ///
    /// assert_eq!(Refused::new(Refusal::Empty, None).why(), "the length is 0");
    /// ```
    pub const fn new(reason: Refusal, nearest: Option<Window>) -> Self {
        Self { reason, nearest }
    }

    /// The error number that mmap(2) returns.
    pub(crate) fn errno(&self) -> Errno {
        // These numbers are the same on all architectures that the driver supports.
        Errno::from_raw(self.reason.errno().number() as i32)
    }

    /// The name of the error number that mmap(2) returns, such as `EPERM`.
    pub fn errno_name(&self) -> String {
        format!("{:?}", self.errno())
    }

    /// The reason as text, without the window and without the remedy.
    ///
    /// The text of [`Refusal`] is that of the driver's log, which addresses programs that call mmap(2).
    pub fn why(&self) -> String {
        match self.reason {
            Refusal::NotWritable => "the device is open for reading only".into(),
            Refusal::NotReadable => "the device is not open for reading".into(),
            Refusal::Private => "what is stored into a private mapping never reaches the memory".into(),
            Refusal::ReadOnly => "the window is read-only".into(),
            Refusal::TooLarge => "it is longer than one mapping may be, 4 GiB".into(),
            Refusal::TooMany => "there are as many mappings as a user, or all users together, may have".into(),
            Refusal::Gone => "the window of this node was removed".into(),
            Refusal::NotMemory => "the window may have registers, which can only be mapped".into(),
            reason => reason.to_string(),
        }
    }

    /// The remedy as text.
    pub fn remedy(&self) -> &'static str {
        match self.reason {
            Refusal::NotCapable => "run as root, or load the driver with windows",
            Refusal::Unaligned => "start at a multiple of the page size",
            Refusal::Empty => "map at least one byte",
            Refusal::TooLong => "map it in parts",
            Refusal::Wraps | Refusal::Address => "`devmap info` shows the highest address",
            Refusal::NotWritable | Refusal::NotReadable => "open it for reading and writing",
            Refusal::Executable => "copy code to ordinary memory, and run it there",
            Refusal::Private => "map it shared",
            Refusal::Outside => "stay inside a window, or load the driver with one that holds the range",
            Refusal::Partial => "stay inside one window at a time",
            Refusal::ReadOnly => "only read it, or load the driver with this window not `ro`",
            Refusal::LockedDown => "describe the window in the device tree that the kernel boots with",
            Refusal::SystemRam => "choose memory that /proc/iomem shows as reserved",
            Refusal::CacheConflict => "end the other mapping first",
            Refusal::CacheType => "load the driver with a window of another cache type that holds the range",
            Refusal::TooLarge => "map it in parts",
            Refusal::Exclusive => "use the driver that has it, see /proc/iomem",
            Refusal::TooMany => "unmap what is not needed",
            Refusal::NoMemory => "map less at a time, or free memory",
            Refusal::Gone => "open the node again when the window is back",
            Refusal::NotMemory => "map it, or declare the window with the option `memory` if it is memory",
            _ => UNKNOWN,
        }
    }
}

/// The remedy for a reason that has none here.
const UNKNOWN: &str = "the kernel's log says more";

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why())?;
        let Some(window) = self.nearest else { return Ok(()) };
        let it_is = match self.reason {
            Refusal::Outside => "the nearest is",
            Refusal::Partial => "it touches",
            Refusal::ReadOnly => "it is",
            _ => "the window is",
        };
        write!(f, "; {it_is} {window}")
    }
}

impl Device {
    /// Queries how the driver was loaded.
    ///
    /// # Errors
    ///
    /// [`Error::NotMapDriver`] for other devices, [`Error::UnknownAnswer`] if the driver has a version of the ABI that
    /// is newer than this crate, [`Error::WindowGone`] if this is the node of a window that was removed, and
    /// [`Error::Ask`] with any other error of ioctl(2).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use devmap::{Device, DEFAULT_DEVICE};
    ///
    /// let info = Device::open_read_only(DEFAULT_DEVICE)?.info()?;
    /// println!("the highest address is {:#x}", info.last_address);
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn info(&self) -> Result<Info> {
        info_of(&self.ask_info()?).map_err(|unknown| self.unknown(unknown))
    }

    /// Queries the windows, in the order of their addresses. In raw mode there are none, and the node of a window has
    /// this one alone.
    ///
    /// # Errors
    ///
    /// As for [`info`](Self::info).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use devmap::{Device, DEFAULT_DEVICE};
    ///
    /// let device = Device::open(DEFAULT_DEVICE)?;
    /// let windows = device.windows()?;
    /// if let Some(sdram) = windows.iter().find(|window| window.name.as_str() == "sdram") {
    ///     let mapping = device.map(sdram.range)?;
    /// }
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn windows(&self) -> Result<Vec<Window>> {
        Ok(self.windows_with_nodes()?.into_iter().map(|(window, _)| window).collect())
    }

    /// Queries the windows as [`windows`](Self::windows) does, each with its own node, if it has one.
    ///
    /// # Errors
    ///
    /// As for [`info`](Self::info).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use devmap::{Device, DEFAULT_DEVICE};
    ///
    /// for (window, node) in Device::open_read_only(DEFAULT_DEVICE)?.windows_with_nodes()? {
    ///     println!("{window}: {}", node.map_or("no node".into(), |node| node.path().display().to_string()));
    /// }
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn windows_with_nodes(&self) -> Result<Vec<(Window, Option<Node>)>> {
        let start = |(window, _): &(Window, Option<Node>)| window.range.start();
        whole(start, || {
            let MapInfo { windows, changes, .. } = self.ask_info()?;
            let found = (0..windows).map_while(|index| self.ask_window(index).transpose()).collect::<Result<_>>()?;
            Ok((found, self.ask_info()?.changes == changes))
        })
    }

    /// Whether the window that `range` was mapped from has been removed. The driver is asked.
    ///
    /// The pages of a removed window leave every process, so the next access to a mapping of it is a SIGBUS. A handler
    /// of that signal may call this, to tell it from an address at which no device answers, which on riscv64 is another
    /// signal: it makes one system call, and allocates nothing.
    ///
    /// It is false for every device but those of the map driver.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use devmap::Device;
    ///
    /// let device = Device::window("sdram")?;
    /// let sdram = device.map_all()?;
    /// if device.is_gone(sdram.range()) {
    ///     println!("the window was removed: touch its mappings no more");
    /// }
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn is_gone(&self, range: PhysRange) -> bool {
        match self.kind() {
            Kind::Window { .. } => ioctl::info(self.file()) == Err(Errno::ENODEV),
            Kind::Character { .. } => page::system().enclose(range).is_some_and(|pages| {
                let question = question(pages.start, pages.length as u64, Protection::READ, Sharing::Shared);
                ioctl::check(self.file(), question).is_ok_and(|answer| lies_in_no_window(&answer))
            }),
            Kind::Uio(_) | Kind::PciBar(_) | Kind::File => false,
        }
    }

    /// Queries whether mmap(2) would map `length` bytes from `start` on, a physical address or an offset in the window
    /// whose node this is. It maps nothing.
    ///
    /// The driver decides by the same rules as for mmap(2), and knows how the device was opened. Unlike
    /// [`map`](Self::map) this passes any range on, and does not extend it to whole pages.
    ///
    /// It cannot predict what only a mapping shows: [`Refusal::CacheConflict`], and the limits of the process.
    ///
    /// # Errors
    ///
    /// As for [`info`](Self::info). A refusal is not an error here.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use devmap::driver::{Protection, Sharing, Verdict};
    /// use devmap::{Device, DEFAULT_DEVICE};
    ///
    /// let device = Device::open(DEFAULT_DEVICE)?;
    /// match device.check(0xc000_0000, 0x30_0000, Protection::READ_WRITE, Sharing::Shared)? {
    ///     Verdict::Granted { cache, .. } => println!("granted, {cache}"),
    ///     Verdict::Refused(refused) => println!("refused: {refused}"),
    /// }
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn check(&self, start: u64, length: u64, protection: Protection, sharing: Sharing) -> Result<Verdict> {
        self.ask_info()?;
        let question = question(start, length, protection, sharing);
        let mut answer = MapCheck::default();
        let mut window = None;
        for _ in 0..TRIES {
            answer = ioctl::check(self.file(), question).map_err(|errno| self.cannot_ask(errno))?;
            if answer.window == abi::NONE {
                break;
            }
            // The index may be that of another window by now.
            window =
                self.ask_window(answer.window)?.map(|(window, _)| window).filter(|window| is_near(window, &answer));
            if window.is_some() {
                break;
            }
        }
        verdict_of(&answer, window).map_err(|unknown| self.unknown(unknown))
    }

    /// Queries the driver as a whole, and checks that its answers have the meaning that this crate knows.
    fn ask_info(&self) -> Result<MapInfo> {
        let found = match self.kind() {
            Kind::File => Some("a regular file"),
            Kind::PciBar(_) => Some("the memory of a PCI device"),
            Kind::Uio(_) => Some("a UIO device"),
            Kind::Character { .. } | Kind::Window { .. } => None,
        };
        if let Some(found) = found {
            return Err(Error::NotMapDriver { path: self.path().into(), found });
        }
        let raw = ioctl::info(self.file()).map_err(|errno| self.cannot_ask(errno))?;
        self.check_version(raw)
    }

    /// `raw`, if the ABI is one that this crate knows.
    fn check_version(&self, raw: MapInfo) -> Result<MapInfo> {
        match raw.abi_version {
            version if is_known(version) => Ok(raw),
            // This version does not exist. Some drivers succeed at every ioctl and answer nothing.
            0 => Err(self.cannot_ask(Errno::ENOTTY)),
            version => Err(self.unknown(Unknown { what: "ABI version", code: version })),
        }
    }

    /// The window with this index and its node; `None` if it has been removed, with its device, since the driver
    /// counted it.
    fn ask_window(&self, index: u32) -> Result<Option<(Window, Option<Node>)>> {
        match ioctl::window(self.file(), index) {
            Ok(raw) => match window_of(&raw) {
                Ok(window) => Ok(Some((window, self.node_with(raw.minor)))),
                Err(unknown) => Err(self.unknown(unknown)),
            },
            Err(Errno::EINVAL) => Ok(None),
            Err(errno) => Err(self.cannot_ask(errno)),
        }
    }

    /// The driver's node with this minor number. The number 0, which is that of all windows, stands for none.
    fn node_with(&self, minor: u32) -> Option<Node> {
        match *self.kind() {
            Kind::Character { major, .. } | Kind::Window { major, .. } if minor != 0 => {
                Some(Node { major, minor: minor.into() })
            }
            _ => None,
        }
    }

    /// The mode of the map driver, if this character device is a node of a driver that this crate knows.
    pub(crate) fn driver_mode(&self) -> Option<Mode> {
        let raw = ioctl::info(self.file()).ok().filter(|raw| is_known(raw.abi_version))?;
        info_of(&raw).ok().map(|info| info.mode)
    }

    /// The cache type that the map driver would give a mapping of `pages` for reading; `None` if it refuses it.
    pub(crate) fn granted_cache(&self, pages: &Pages) -> Option<CacheMode> {
        let question = question(pages.start, pages.length as u64, Protection::READ, Sharing::Shared);
        ioctl::check(self.file(), question).ok().and_then(|answer| CacheMode::from_code(answer.cache))
    }

    /// The window whose own node this is.
    pub(crate) fn own_window(&self) -> Result<Window> {
        match ioctl::window(self.file(), 0) {
            Ok(raw) => window_of(&raw).map_err(|unknown| self.unknown(unknown)),
            // It was there a moment ago.
            Err(Errno::ENODEV | Errno::EINVAL) => Err(Error::WindowGone { path: self.path().into(), name: Name::NONE }),
            Err(errno) => Err(self.cannot_ask(errno)),
        }
    }

    pub(crate) fn cannot_ask(&self, errno: Errno) -> Error {
        if let Some(gone) = self.gone(errno) {
            return gone;
        }
        let path = self.path().into();
        match errno {
            // Drivers return these for an ioctl that they do not have.
            Errno::ENOTTY | Errno::EINVAL | Errno::ENOSYS => Error::NotMapDriver {
                path,
                found: "a device of another driver, or of a map driver too old to be asked",
            },
            errno => Error::Ask { path, cause: errno.into() },
        }
    }

    /// The error for `errno`, if it means that the window of this node was removed.
    pub(crate) fn gone(&self, errno: Errno) -> Option<Error> {
        match self.kind() {
            Kind::Window { window, .. } if errno == Errno::ENODEV => {
                Some(Error::WindowGone { path: self.path().into(), name: window.name })
            }
            _ => None,
        }
    }

    fn unknown(&self, Unknown { what, code }: Unknown) -> Error {
        Error::UnknownAnswer { path: self.path().into(), what, code }
    }
}

/// Whether answers of this version of the ABI have the meaning that this crate knows. Drivers of earlier versions, which
/// were never released, do not know the question.
fn is_known(version: u32) -> bool {
    version == abi::VERSION
}

/// A number in an answer that this crate does not know. It may come from a newer driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unknown {
    what: &'static str,
    code: u32,
}

fn info_of(raw: &MapInfo) -> Result<Info, Unknown> {
    Ok(Info {
        abi_version: raw.abi_version,
        mode: match raw.mode {
            abi::MODE_RAW => Mode::Raw,
            abi::MODE_WINDOWS => Mode::Windows,
            abi::MODE_WINDOW => Mode::Window,
            code => return Err(Unknown { what: "mode", code }),
        },
        page_size: raw.page_size.into(),
        last_address: raw.last_address,
    })
}

fn window_of(raw: &MapWindow) -> Result<Window, Unknown> {
    raw.window().ok_or(match CacheMode::from_code(raw.cache) {
        None => Unknown { what: "cache type", code: raw.cache },
        Some(_) => Unknown { what: "window", code: raw.index },
    })
}

fn question(start: u64, length: u64, protection: Protection, sharing: Sharing) -> MapCheck {
    let bit = |set, bit| if set { bit } else { 0 };
    MapCheck {
        start,
        length,
        prot: bit(protection.read, abi::PROT_READ)
            | bit(protection.write, abi::PROT_WRITE)
            | bit(protection.execute, abi::PROT_EXEC),
        flags: match sharing {
            Sharing::Shared => abi::MAP_SHARED,
            Sharing::Private => abi::MAP_PRIVATE,
        },
        ..MapCheck::default()
    }
}

/// Whether `answer` says that the range is not, or no longer, within one window.
fn lies_in_no_window(answer: &MapCheck) -> bool {
    matches!(Refusal::from_code(answer.verdict), Some(Refusal::Outside | Refusal::Partial))
}

/// Whether `answer` is about this window.
fn is_near(window: &Window, answer: &MapCheck) -> bool {
    (window.range.start(), window.range.length()) == (answer.near_start, answer.near_length)
}

/// How often the driver is asked again if windows came or went between two questions.
const TRIES: usize = 16;

/// What `list` gives when it says that this is whole. An index is a position in the order of `key`, so a list that is read
/// while windows come and go may lack others. Where they never rest it is all that was seen.
fn whole<T>(key: impl Fn(&T) -> u64, mut list: impl FnMut() -> Result<(Vec<T>, bool)>) -> Result<Vec<T>> {
    let mut seen = BTreeMap::new();
    for _ in 0..TRIES {
        let (found, is_whole) = list()?;
        if is_whole {
            return Ok(found);
        }
        seen.extend(found.into_iter().map(|item| (key(&item), item)));
    }
    Ok(seen.into_values().collect())
}

/// The verdict in `answer`, whose window is `window`.
fn verdict_of(answer: &MapCheck, window: Option<Window>) -> Result<Verdict, Unknown> {
    if answer.verdict == abi::GRANTED {
        return match CacheMode::from_code(answer.cache) {
            Some(cache) => Ok(Verdict::Granted { cache, window }),
            None => Err(Unknown { what: "cache type", code: answer.cache }),
        };
    }
    match Refusal::from_code(answer.verdict) {
        Some(reason) => Ok(Verdict::Refused(Refused { reason, nearest: window })),
        None => Err(Unknown { what: "verdict", code: answer.verdict }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: MapInfo = MapInfo {
        abi_version: abi::VERSION,
        mode: abi::MODE_WINDOWS,
        windows: 2,
        page_size: 0x4000,
        last_address: 0xff_ffff_ffff,
        changes: 0,
    };

    fn registers() -> Window {
        let mut window = Window::new(PhysRange::new(0xc010_0000, 0x1_0000).unwrap());
        window.name = Name::new(b"regs").unwrap();
        window.access = Access::ReadOnly;
        window
    }

    #[test]
    fn info_is_converted() {
        let info =
            Info { abi_version: abi::VERSION, mode: Mode::Windows, page_size: 0x4000, last_address: 0xff_ffff_ffff };
        assert_eq!(info_of(&INFO), Ok(info));
        let raw = MapInfo { mode: abi::MODE_RAW, windows: 0, ..INFO };
        assert_eq!(info_of(&raw), Ok(Info { mode: Mode::Raw, ..info }));
        let node = MapInfo { mode: abi::MODE_WINDOW, windows: 1, ..INFO };
        assert_eq!(info_of(&node), Ok(Info { mode: Mode::Window, ..info }));
    }

    #[test]
    fn unknown_numbers_of_a_newer_driver_are_errors() {
        assert_eq!(info_of(&MapInfo { mode: 3, ..INFO }), Err(Unknown { what: "mode", code: 3 }));
        let granted = MapCheck { verdict: abi::GRANTED, cache: 3, ..MapCheck::default() };
        assert_eq!(verdict_of(&granted, None), Err(Unknown { what: "cache type", code: 3 }));
        let refused = MapCheck { verdict: 99, cache: abi::NONE, ..MapCheck::default() };
        assert_eq!(verdict_of(&refused, None), Err(Unknown { what: "verdict", code: 99 }));
        let window = MapWindow { index: 5, length: 0x1000, cache: 7, ..MapWindow::default() };
        assert_eq!(window_of(&window), Err(Unknown { what: "cache type", code: 7 }));
        let empty = MapWindow { length: 0, cache: 0, ..window };
        assert_eq!(window_of(&empty).unwrap_err().code, 5);
    }

    #[test]
    fn a_driver_with_another_abi_is_not_asked_more() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let device = Device::open(file.path()).unwrap();
        let answer = |abi_version| device.check_version(MapInfo { abi_version, ..INFO });
        assert_eq!(answer(abi::VERSION).unwrap(), INFO);
        for other in [abi::VERSION - 1, abi::VERSION + 1] {
            let error = answer(other).unwrap_err();
            assert!(matches!(error, Error::UnknownAnswer { what: "ABI version", .. }), "{error:?}");
        }
        assert!(matches!(answer(0), Err(Error::NotMapDriver { .. })));
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri knows no devices")]
    fn an_ioctl_that_fails_for_another_reason_says_so() {
        let device = Device::open("/dev/null").unwrap();
        assert!(matches!(device.cannot_ask(Errno::EINVAL), Error::NotMapDriver { .. }));
        let error = device.cannot_ask(Errno::EIO);
        assert_eq!(error.to_string(), "cannot ask /dev/null: I/O error (EIO)");
    }

    #[test]
    fn a_verdict_explains_its_own_error_number_alone() {
        let refused = Refused { reason: Refusal::Outside, nearest: None };
        let (eperm, enomem) = (io::Error::from_raw_os_error(1), io::Error::from_raw_os_error(12));
        assert_eq!(Verdict::Refused(refused).explains(&eperm), Some(refused));
        assert_eq!(Verdict::Refused(refused).explains(&enomem), None);
        assert_eq!(Verdict::Granted { cache: CacheMode::Cached, window: None }.explains(&eperm), None);
    }

    #[test]
    fn a_question_has_the_bits_of_mmap() {
        let asked = question(0x1001, 5, Protection::READ, Sharing::Shared);
        let expected = MapCheck { start: 0x1001, length: 5, prot: 1, flags: 1, ..MapCheck::default() };
        assert_eq!(asked, expected);
        let all = Protection { execute: true, ..Protection::READ_WRITE };
        assert_eq!(question(0x1001, 5, all, Sharing::Private), MapCheck { prot: 7, flags: 2, ..expected });
        assert_eq!(question(0x1001, 5, Protection::default(), Sharing::Shared).prot, 0);
    }

    #[test]
    fn verdicts() {
        let granted = MapCheck { verdict: abi::GRANTED, cache: CacheMode::WriteCombine.code(), ..MapCheck::default() };
        let window = Some(registers());
        assert_eq!(verdict_of(&granted, window), Ok(Verdict::Granted { cache: CacheMode::WriteCombine, window }));
        for reason in Refusal::ALL {
            let refused = MapCheck { verdict: reason.code(), cache: abi::NONE, ..MapCheck::default() };
            assert_eq!(verdict_of(&refused, window), Ok(Verdict::Refused(Refused { reason, nearest: window })));
        }
    }

    #[test]
    fn a_list_that_changed_while_it_was_read_is_read_again() {
        let mut lists = [(vec![1, 3], false), (vec![2, 3], true), (vec![4], true)].into_iter();
        assert_eq!(whole(|item| *item, || Ok(lists.next().unwrap())).unwrap(), [2, 3]);
        assert_eq!(lists.len(), 1);
        // It ends with all that was there at any time, and an error ends it as well.
        let mut count = 0;
        let restless = whole(
            |item| *item,
            || {
                count += 1;
                Ok((vec![20 - count % 3, 30], false))
            },
        );
        assert_eq!((restless.unwrap(), count), (vec![18, 19, 20, 30], TRIES as u64));
        let mut once = Some((vec![1], false));
        assert!(whole(|item| *item, || once.take().ok_or(Error::NoNode { name: Name::NONE })).is_err());
    }

    #[test]
    fn an_answer_is_about_the_window_of_its_range() {
        let answer = MapCheck { near_start: 0xc010_0000, near_length: 0x1_0000, window: 5, ..MapCheck::default() };
        assert!(is_near(&registers(), &answer));
        assert!(!is_near(&registers(), &MapCheck { near_start: 0xc020_0000, ..answer }));
        assert!(!is_near(&registers(), &MapCheck { near_length: 0x1000, ..answer }));
    }

    #[test]
    fn a_range_that_has_lost_its_window_lies_outside_or_between_windows() {
        for (reason, gone) in [
            (Refusal::Outside, true),
            // A part of the window is there again, with another size.
            (Refusal::Partial, true),
            (Refusal::ReadOnly, false),
            (Refusal::LockedDown, false),
        ] {
            let answer = MapCheck { verdict: reason.code(), ..MapCheck::default() };
            assert_eq!(lies_in_no_window(&answer), gone, "{reason}");
        }
        assert!(!lies_in_no_window(&MapCheck { verdict: abi::GRANTED, ..MapCheck::default() }));
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri knows no devices")]
    fn a_window_that_was_removed_is_an_error_of_its_own() {
        let window = registers();
        let device = Device::with_kind("/dev/null", Kind::Window { major: 126, minor: 2, window });
        let error = device.cannot_ask(Errno::ENODEV);
        assert!(matches!(error, Error::WindowGone { name, .. } if name == window.name), "{error:?}");
        let line = "cannot use /dev/null: its window regs was removed; open it again when it is back";
        assert_eq!(error.to_string(), line);
        assert!(matches!(device.cannot_ask(Errno::EIO), Error::Ask { .. }));
        let another = Device::open("/dev/null").unwrap();
        assert!(matches!(another.cannot_ask(Errno::ENODEV), Error::Ask { .. }));
        let range = PhysRange::new(0, 4).unwrap();
        assert!(!another.is_gone(range) && !device.is_gone(range));
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri knows no devices")]
    fn a_node_has_the_major_number_of_its_driver() {
        let window = registers();
        let device = Device::with_kind("/dev/null", Kind::Window { major: 240, minor: 2, window });
        assert_eq!(device.node_with(2), Some(Node { major: 240, minor: 2 }));
        assert_eq!(device.node_with(0), None);
    }

    #[test]
    fn a_refusal_names_its_window_and_its_error_number() {
        let refused = |reason, nearest| Refused { reason, nearest };
        let window = Some(registers());
        for (refused, text, errno) in [
            (
                refused(Refusal::Outside, window),
                "the range is outside of every window; the nearest is regs@0xc0100000+0x10000:ro",
                "EPERM",
            ),
            (
                refused(Refusal::Partial, window),
                "the range is not wholly inside one window; it touches regs@0xc0100000+0x10000:ro",
                "EPERM",
            ),
            (refused(Refusal::ReadOnly, window), "the window is read-only; it is regs@0xc0100000+0x10000:ro", "EACCES"),
            (
                refused(Refusal::LockedDown, window),
                "the kernel is locked down, which permits only windows that the boot device tree describes \
                 by memory-region with no-map; the window is regs@0xc0100000+0x10000:ro",
                "EPERM",
            ),
            (refused(Refusal::Address, None), "the range leaves the physical address space", "EINVAL"),
            (refused(Refusal::TooLong, None), "the length is more than the address space of a process", "ENOMEM"),
            (refused(Refusal::Wraps, None), "the range ends beyond the highest offset of mmap(2)", "EOVERFLOW"),
            (refused(Refusal::CacheConflict, None), "the memory is mapped elsewhere with another cache type", "EAGAIN"),
        ] {
            assert_eq!(refused.to_string(), text);
            assert_eq!(refused.errno_name(), errno, "{refused}");
        }
    }

    #[test]
    fn no_refusal_mentions_system_calls() {
        for reason in Refusal::ALL {
            let refused = Refused { reason, nearest: None };
            let line = format!("{refused}; {}", refused.remedy());
            assert!(!["PROT_", "MAP_", "O_RD"].iter().any(|word| line.contains(word)), "{line}");
            assert_ne!(refused.remedy(), UNKNOWN, "{reason:?}");
            // The error joins one reason and one remedy.
            assert!(!refused.why().contains(';') && !refused.remedy().contains(';'), "{line}");
        }
    }
}
