// SPDX-License-Identifier: GPL-2.0

//! The node of a window: its contents for read(2) and write(2), and what sysfs shows.

use kernel::{
    fmt::{
        self,
        Write, //
    },
    init::InPlaceInit,
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex, //
    }, //
};
use pin_init::init_array_from_fn;

use crate::{
    abstractions::{
        chrdev::Attributes,
        fs::{
            Destination,
            Source, //
        },
        io::IoMap,
        mm::PageProtection,
        task, //
    },
    error::Denial,
    interrupts::Interrupts,
    map_core::{
        may_transfer,
        transferred,
        KernelQuery,
        PhysRange,
        Refusal,
        Window,
        MAX_WINDOWS, //
    },
    reservation::Reservation,
    system::{
        limits,
        Kernel, //
    }, //
};

/// The number of minor numbers: that of the node of all memory, and one for each window.
pub(crate) const MINORS: u32 = 1 + MAX_WINDOWS as u32;

/// The length in bytes of the largest kernel mapping of a window. A 32-bit machine has little
/// address space for it, and there can be 64 windows.
const LARGEST_VIEW: u64 = if cfg!(CONFIG_64BIT) { 4 << 20 } else { 1 << 20 };

/// The number of bytes that are copied at once. They pass through a buffer, so that no user memory
/// is accessed, which may take long, while the contents are locked.
const STEP: usize = 4096;

/// A window and what its device, its open files and its mappings share. It may outlive the window.
#[pin_data]
pub(crate) struct Node {
    pub(crate) window: Window,
    /// The minor number, at least 1.
    pub(crate) minor: u32,
    /// The number of VMAs of the window that are mapped now.
    pub(crate) vmas: Atomic<isize>,
    pub(crate) interrupts: Option<Arc<Interrupts>>,
    /// Whether the window was removed. It is set with the contents locked.
    gone: Atomic<bool>,
    #[pin]
    contents: Mutex<Contents>,
}

/// The memory of a window as the kernel accesses it.
struct Contents {
    /// The number of open files.
    files: usize,
    /// The part of the window that the kernel has mapped.
    view: Option<View>,
    /// The last reservation, which most mappings need again. It stays until the window goes.
    reservation: Option<Arc<Reservation>>,
}

/// A kernel mapping of a part of a window.
struct View {
    /// The offset of its first byte in the window, a multiple of [`LARGEST_VIEW`].
    first: u64,
    map: IoMap,
}

impl Node {
    /// Creates the node of `window`.
    pub(crate) fn new(
        window: Window,
        minor: u32,
        interrupts: Option<Arc<Interrupts>>,
    ) -> Result<Arc<Self>> {
        let contents = Contents {
            files: 0,
            view: None,
            reservation: None,
        };
        Arc::pin_init(
            pin_init!(Self {
                window,
                minor,
                vmas: Atomic::new(0),
                interrupts,
                gone: Atomic::new(false),
                contents <- new_mutex!(contents),
            }),
            GFP_KERNEL,
        )
    }

    /// Counts a file that is opened.
    pub(crate) fn file_opened(&self) {
        let mut contents = self.contents.lock();
        contents.files = contents.files.saturating_add(1);
    }

    /// Counts a file that is closed. With the last one the kernel mapping goes, and all interrupts
    /// are masked, before another file can be opened.
    pub(crate) fn file_closed(&self) {
        let mut contents = self.contents.lock();
        contents.files = contents.files.saturating_sub(1);
        if contents.files == 0 {
            contents.view = None;
            if let Some(interrupts) = &self.interrupts {
                interrupts.last_file_closed();
            }
        }
    }

    /// Ends all transfers: when this returns, the kernel no longer accesses the memory.
    pub(crate) fn remove(&self) {
        let mut contents = self.contents.lock();
        self.gone.store(true, Relaxed);
        contents.view = None;
        contents.reservation = None;
    }

    /// Calls `act` unless the window was removed. [`remove()`](Self::remove) waits for it.
    pub(crate) fn while_present<T>(&self, act: impl FnOnce() -> T) -> Option<T> {
        let _contents = self.contents.lock();
        (!self.is_gone()).then(act)
    }

    /// Returns a reservation of at least `range` for mappings with the cache type of `wanted`,
    /// which is that of the window.
    ///
    /// # Errors
    ///
    /// [`Refusal::Gone`] if the window was removed, and those of [`Reservation::new()`].
    pub(crate) fn reserve(
        &self,
        range: &PhysRange,
        wanted: PageProtection,
    ) -> Result<Option<Arc<Reservation>>, Denial> {
        let mut contents = self.contents.lock();
        if self.is_gone() {
            return Err(Refusal::Gone.into());
        }
        if let Some(kept) = contents
            .reservation
            .as_ref()
            .filter(|kept| kept.covers(range))
        {
            return Ok(Some(kept.clone()));
        }
        let made = Reservation::new(*range, self.window.cache, wanted)?;
        contents.reservation = made.clone();
        Ok(made)
    }

    /// Copies from the window, from `position` on, to `to`, and returns the number of bytes: fewer
    /// than `to` can take at the end of the window or after a signal.
    ///
    /// # Errors
    ///
    /// [`Refusal::Gone`] if the window was removed, EFAULT if `to` is not accessible, and those of
    /// a kernel mapping. Whether the window may be read is for [`check()`](Self::check) to say.
    pub(crate) fn read(&self, position: u64, to: &mut Destination<'_>) -> Result<usize, Denial> {
        self.transfer(position, to.left(), |offset, bytes| {
            self.access(offset, |map, start| map.read(start, bytes))?;
            Ok(to.copy(bytes))
        })
    }

    /// Copies `from` to the window, from `position` on, and returns the number of bytes: fewer than
    /// `from` has at the end of the window or after a signal.
    ///
    /// # Errors
    ///
    /// As [`read()`](Self::read), and ENOSPC at the window's end.
    pub(crate) fn write(&self, position: u64, from: &mut Source<'_>) -> Result<usize, Denial> {
        let wanted = from.left();
        let written = self.transfer(position, wanted, |offset, bytes| {
            let copied = from.copy(bytes);
            let bytes = bytes.get(..copied).unwrap_or_default();
            self.access(offset, |map, start| map.write(start, bytes))?;
            Ok(bytes.len())
        })?;
        if written == 0 && wanted != 0 {
            return Err(ENOSPC.into());
        }
        Ok(written)
    }

    /// Checks whether the window is there and may be read, or written with `write`.
    ///
    /// # Errors
    ///
    /// [`Denial::Refused`] with the reason.
    pub(crate) fn check(&self, write: bool) -> Result<(), Denial> {
        if self.is_gone() {
            return Err(Refusal::Gone.into());
        }
        Ok(may_transfer(&self.window, write, &limits(), &Kernel)?)
    }

    /// Calls `step` for the parts of the `wanted` bytes at `position` that lie in the window, with
    /// the offset in the window and a buffer, and sums what it returns: the number of bytes copied.
    fn transfer(
        &self,
        position: u64,
        wanted: usize,
        mut step: impl FnMut(u64, &mut [u8]) -> Result<usize, Denial>,
    ) -> Result<usize, Denial> {
        let Some(part) = transferred(&self.window, position, wanted as u64) else {
            return Ok(0);
        };
        // In place: the stack is too small for it.
        let mut buffer = KBox::init(init_array_from_fn::<u8, STEP, u8, _>(|_| 0), GFP_KERNEL)?;
        let mut done = 0;
        while let Some(left) = part.length().checked_sub(done).filter(|left| *left > 0) {
            // The part lies in the window, so this does not wrap.
            let offset = position.wrapping_add(done);
            let in_view = LARGEST_VIEW.wrapping_sub(offset % LARGEST_VIEW);
            let length = left.min(in_view).min(STEP as u64) as usize;
            let copied = match step(offset, buffer.get_mut(..length).unwrap_or_default()) {
                Ok(copied) => copied,
                Err(denial) if done == 0 => return Err(denial),
                Err(_) => break,
            };
            done = done.saturating_add(copied as u64);
            if done == 0 {
                return Err(EFAULT.into());
            }
            if copied < length || !task::may_go_on() {
                break;
            }
        }
        Ok(done as usize)
    }

    /// Calls `access` with a kernel mapping of the window and the place of `offset` in it. The
    /// mapping reaches at least to the next multiple of [`LARGEST_VIEW`], or the window's end.
    fn access(&self, offset: u64, access: impl FnOnce(&IoMap, usize)) -> Result<(), Denial> {
        let mut contents = self.contents.lock();
        if self.is_gone() {
            return Err(Refusal::Gone.into());
        }
        let within = offset % LARGEST_VIEW;
        let first = offset.wrapping_sub(within);
        if contents
            .view
            .as_ref()
            .is_none_or(|view| view.first != first)
        {
            // First, because it may need the address space of the old one.
            contents.view = None;
            contents.view = Some(View::new(&self.window, first)?);
        }
        if let Some(view) = &contents.view {
            access(&view.map, within as usize);
        }
        Ok(())
    }

    /// Returns whether the window was removed. Without the lock that may be so a moment later.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Relaxed)
    }
}

impl View {
    /// Maps the part of `window` from `first` on.
    ///
    /// # Errors
    ///
    /// [`Refusal::SystemRam`] if memory was plugged in there, [`Refusal::CacheConflict`] if the
    /// memory is mapped with another cache type, and [`Refusal::NoMemory`].
    fn new(window: &Window, first: u64) -> Result<Self, Denial> {
        let part = transferred(window, first, LARGEST_VIEW).ok_or(EINVAL)?;
        // It stays offline, but the kernel would take it for its own, and map it in its way.
        if Kernel.is_system_ram(&part) {
            return Err(Refusal::SystemRam.into());
        }
        let map = IoMap::new(part.start(), part.length() as usize, window.cache.code());
        let map = map.map_err(|_| {
            // The kernel does not tell.
            if cfg!(CONFIG_X86) {
                Refusal::CacheConflict
            } else {
                Refusal::NoMemory
            }
        })?;
        // For some conflicts it silently takes the other type.
        if !map.has_its_cache_type() {
            return Err(Refusal::CacheConflict.into());
        }
        Ok(Self { first, map })
    }
}

impl Attributes for Node {
    fn name(&self) -> &CStr {
        self.window.name.as_c_str()
    }

    fn has_interrupts(&self) -> bool {
        self.interrupts.is_some()
    }

    fn show(&self, attribute: u32, out: &mut impl Write) -> fmt::Result {
        let Window {
            range,
            name,
            access,
            cache,
            huge,
            origin,
            ..
        } = self.window;
        match attribute {
            0 => out.write_str(name.as_str()),
            1 => write!(out, "{:#x}", range.start()),
            2 => write!(out, "{:#x}", range.length()),
            3 => out.write_str(access.as_str()),
            4 => out.write_str(cache.as_str()),
            5 => out.write_str(origin.as_str()),
            6 => write!(out, "{}", self.vmas.load(Relaxed)),
            7 => out.write_str(huge.as_str()),
            _ => match &self.interrupts {
                Some(interrupts) => interrupts.show(out),
                None => Ok(()),
            },
        }
    }
}
