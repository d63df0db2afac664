// SPDX-License-Identifier: MIT OR Apache-2.0

//! Interrupts: those of a window of the map driver, and that of a UIO device, by one interface.
//!
//! [`Device::interrupts`] lists them. A driver in userspace handles one like this, whichever kind its device is:
//!
//! ```no_run
//! use devmap::Device;
//!
//! let device = Device::window("rtc")?;
//! let registers = device.map_all()?;
//! let interrupts = device.interrupts()?;
//! let alarm = interrupts.first();
//! loop {
//!     alarm.arm()?;
//!     println!("it came, {} time(s)", alarm.wait(None)?);
//!     // The device ends it, or it would come again at once.
//!     registers.write::<u32>(0x1c, 1)?;
//! }
//! # #[allow(unreachable_code)]
//! # Ok::<(), devmap::Error>(())
//! ```
//!
//! What is common, and what is not:
//!
//! | | a window of the map driver | a UIO device |
//! |---|---|---|
//! | how many | up to 16, with names | one, without a name |
//! | after it was opened | masked | as its driver leaves it: `uio_pdrv_genirq` does not mask it |
//! | when it comes | masked if it is level-triggered, or its trigger is not known; otherwise only counted | as its driver does: `uio_pdrv_genirq` masks it always |
//! | unmasking what is not masked | an error | nothing happens |
//! | by an eventfd | yes | no |
//! | when the last descriptor is closed | masked | as its driver does |
//!
//! So [`Interrupt::arm`], which unmasks it where it is masked, is what a program that runs on both calls before it
//! waits.
//!
//! Counts are those of the open file: each [`Device`] that was opened by itself gets every interrupt once, from its
//! opening on, whatever others take.
//!
//! # Event loops
//!
//! [`Interrupts`] and [`Interrupt`] have the descriptor of the device, [by `AsFd`](AsFd). poll(2), epoll(7) and what is
//! made of them, such as tokio's `AsyncFd`, report that it can be read once an interrupt has come that was not taken,
//! and an error once the device is gone. [`Interrupt::take`] then takes the count without waiting. Of a window with
//! several interrupts, any makes the descriptor ready; [`Interrupt::set_eventfd`] gives one a descriptor of its own.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use map_core::abi::{self, MapIrq};
use nix::errno::Errno;

use crate::driver::Origin;
use crate::event::{Deadline, Events};
use crate::{ioctl, Device, Error, Kind, Operation, Result};

/// The interrupts of a device, of which there is at least one. [`Device::interrupts`] lists them.
///
/// It keeps the device open.
///
/// ```no_run
/// use devmap::Device;
///
/// for interrupt in &Device::window("dma")?.interrupts()? {
///     println!("{interrupt}: {} so far", interrupt.state()?.count);
/// }
/// # Ok::<(), devmap::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Interrupts {
    all: Vec<Interrupt>,
}

/// An interrupt of a device. Its text is its name, or its index if it has none.
///
/// It keeps the device open.
///
/// ```no_run
/// use std::time::Duration;
///
/// use devmap::Device;
///
/// let done = Device::window("dma")?.interrupts()?.find("done")?.clone();
/// done.arm()?;
/// if done.wait(Some(Duration::from_secs(1)))? == 0 {
///     println!("{done} has not come for a second");
/// }
/// # Ok::<(), devmap::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Interrupt {
    device: Arc<Device>,
    index: u32,
    name: String,
}

/// What is known of an interrupt at a moment. See [`Interrupt::state`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct State {
    /// What it is triggered by; `None` for UIO, which does not tell.
    pub trigger: Option<Trigger>,
    /// How often it has come since the window was added, or, modulo 2^32, since the UIO device was registered.
    pub count: u64,
    /// Whether it is masked; `None` for UIO, which does not tell.
    pub masked: Option<bool>,
    /// Whether an eventfd is set, by whichever open file.
    pub eventfd: bool,
}

/// What an interrupt is triggered by, which decides what the driver does when it comes.
///
/// ```
/// assert_eq!(devmap::interrupt::Trigger::Level.to_string(), "level");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Trigger {
    /// The level of its line, or something unknown. It is masked when it comes, since the line stays as it is until the
    /// program has dealt with the device.
    Level,
    /// An edge. It is counted, and not masked.
    Edge,
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Level => "level",
            Self::Edge => "edge",
        })
    }
}

impl Device {
    /// The interrupts of the window whose node this is, in the order of the device tree, or that of the UIO device.
    ///
    /// # Errors
    ///
    /// [`Error::NoInterrupts`] with the reason, [`Error::WindowGone`] or [`Error::DeviceGone`] if it was removed,
    /// [`Error::Open`] if the process may have no more descriptors, and [`Error::Ask`] with any other error of
    /// ioctl(2).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use devmap::Device;
    ///
    /// let interrupts = Device::window("rtc")?.interrupts()?;
    /// println!("the first is {}", interrupts.first());
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn interrupts(&self) -> Result<Interrupts> {
        let names = match self.kind() {
            Kind::Window { window, .. } => {
                let names = self.names_of_interrupts()?;
                if names.is_empty() {
                    return Err(self.no_interrupts(match window.origin {
                        Origin::Dt | Origin::BootDt => {
                            "its node in the device tree names none; give it the property `interrupts`"
                        }
                        _ => "only windows of the device tree have them; describe this one there",
                    }));
                }
                names
            }
            Kind::Uio(_) => match Events::exist(self.file()) {
                Ok(true) => vec![String::new()],
                Ok(false) if self.events().is_some_and(|events| events.total().is_err()) => {
                    return Err(Error::DeviceGone { path: self.path().into() });
                }
                Ok(false) => return Err(self.no_interrupts("the driver of this UIO device has none for it")),
                Err(errno) => return Err(Error::Ask { path: self.path().into(), cause: errno.into() }),
            },
            Kind::Character { .. } if self.answers() => {
                return Err(self.no_interrupts("it is the node of all windows; open that of the window that has them"));
            }
            Kind::Character { .. } => return Err(self.no_interrupts("it is no window and no UIO device")),
            Kind::PciBar(_) => {
                return Err(
                    self.no_interrupts("it is only the memory of a PCI device; bind that to uio_pci_generic or VFIO")
                );
            }
            Kind::File => return Err(self.no_interrupts("it is a regular file; give a window or a UIO device")),
        };
        let device = Arc::new(self.duplicate()?);
        let each = (0..).zip(names).map(|(index, name)| Interrupt { device: Arc::clone(&device), index, name });
        Ok(Interrupts { all: each.collect() })
    }

    /// The names of the interrupts of this window, by index.
    fn names_of_interrupts(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for index in 0..abi::IRQS as u32 {
            match ioctl::irq(self.file(), index) {
                Ok(raw) => names.push(name_of(&raw)),
                Err(Errno::EINVAL) => break,
                Err(Errno::ENOTTY) => {
                    return Err(self.no_interrupts("its driver is older than they are; load the one of this release"));
                }
                Err(errno) => return Err(self.cannot_ask(errno)),
            }
        }
        Ok(names)
    }

    fn no_interrupts(&self, why: &'static str) -> Error {
        Error::NoInterrupts { path: self.path().into(), why }
    }

    /// Waits for these interrupts, bits, and gives how often each has come; 0 for all after the time.
    fn wait_for(&self, interrupts: u32, timeout: Option<Duration>) -> Result<[u64; abi::IRQS], Errno> {
        let deadline = Deadline::after(timeout);
        if let Some(events) = self.events() {
            let mut counts = [0; abi::IRQS];
            counts[0] = events.wait(self.file(), deadline)?;
            return Ok(counts);
        }
        loop {
            match ioctl::irq_wait(self.file(), interrupts, nanoseconds(deadline.left())) {
                Ok(answer) => return Ok(answer.counts),
                Err(Errno::ETIMEDOUT) => return Ok([0; abi::IRQS]),
                Err(Errno::EINTR) => (),
                Err(errno) => return Err(errno),
            }
        }
    }
}

/// A timeout of the driver.
fn nanoseconds(left: Option<Duration>) -> i64 {
    left.map_or(-1, |left| i64::try_from(left.as_nanos()).unwrap_or(i64::MAX))
}

/// The name in an answer of the driver, which comes from the device tree.
fn name_of(raw: &MapIrq) -> String {
    let bytes = raw.name.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(bytes).into_owned()
}

/// The state in an answer of the driver.
fn state_of(raw: &MapIrq) -> State {
    let has = |flag| raw.flags & flag != 0;
    State {
        trigger: Some(if has(abi::IRQ_LEVEL) { Trigger::Level } else { Trigger::Edge }),
        count: raw.count,
        masked: Some(has(abi::IRQ_MASKED)),
        eventfd: has(abi::IRQ_EVENTFD),
    }
}

impl Interrupts {
    /// All of them, by index.
    pub fn iter(&self) -> slice::Iter<'_, Interrupt> {
        self.all.iter()
    }

    /// The one that has the index 0, which every device with interrupts has.
    pub fn first(&self) -> &Interrupt {
        &self.all[0]
    }

    /// The one that has this index, or else this name.
    ///
    /// # Errors
    ///
    /// [`Error::NoInterrupt`] with those that there are.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use devmap::Device;
    /// let interrupts = Device::window("dma")?.interrupts()?;
    /// let done = interrupts.find("done")?;
    /// let failed = interrupts.find("1")?;
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn find(&self, which: &str) -> Result<&Interrupt> {
        let by_index = which.parse().ok().and_then(|index: usize| self.all.get(index));
        let by_name = || self.all.iter().find(|interrupt| !which.is_empty() && interrupt.name == which);
        by_index.or_else(by_name).ok_or_else(|| Error::NoInterrupt {
            path: self.first().device.path().into(),
            name: which.into(),
            names: self.all.iter().map(|interrupt| interrupt.name.clone()).collect(),
        })
    }

    /// Waits until any of them comes, for `timeout` at most or for ever, and takes how often each has come since it was
    /// last taken, by index. All counts are 0 after the time.
    ///
    /// # Errors
    ///
    /// As for [`Interrupt::wait`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use devmap::Device;
    /// let interrupts = Device::window("dma")?.interrupts()?;
    /// for (interrupt, count) in interrupts.iter().zip(interrupts.wait(None)?) {
    ///     println!("{interrupt}: {count}");
    /// }
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn wait(&self, timeout: Option<Duration>) -> Result<Vec<u64>> {
        let bits = self.all.iter().fold(0, |bits, interrupt| bits | 1 << interrupt.index);
        let counts = self.first().device.wait_for(bits, timeout);
        let counts = counts.map_err(|errno| self.first().failed(Operation::Wait, errno))?;
        Ok(counts[..self.all.len()].to_vec())
    }
}

impl<'a> IntoIterator for &'a Interrupts {
    type Item = &'a Interrupt;
    type IntoIter = slice::Iter<'a, Interrupt>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for Interrupts {
    type Item = Interrupt;
    type IntoIter = std::vec::IntoIter<Interrupt>;

    fn into_iter(self) -> Self::IntoIter {
        self.all.into_iter()
    }
}

impl Interrupt {
    /// Its index, from 0.
    pub fn index(&self) -> usize {
        self.index as usize
    }

    /// Its name, from `interrupt-names` of the device tree; empty if it has none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its state now.
    ///
    /// # Errors
    ///
    /// [`Error::WindowGone`] or [`Error::DeviceGone`] if the device was removed, and [`Error::Ask`] with any other
    /// error of ioctl(2), or of reading the count of a UIO device in sysfs.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use devmap::Device;
    /// let state = Device::window("rtc")?.interrupts()?.first().state()?;
    /// println!("it has come {} times", state.count);
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn state(&self) -> Result<State> {
        if let Some(events) = self.device.events() {
            return match events.total() {
                Ok(count) => Ok(State { trigger: None, count: count.into(), masked: None, eventfd: false }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Err(self.gone()),
                Err(cause) => Err(Error::Ask { path: self.device.path().into(), cause }),
            };
        }
        let raw = ioctl::irq(self.device.file(), self.index).map_err(|errno| self.device.cannot_ask(errno))?;
        Ok(state_of(&raw))
    }

    /// Waits until it comes, for `timeout` at most or for ever, and takes how often it has come since it was last
    /// taken, or since the device was opened. 0 is the end of the time.
    ///
    /// A signal does not end it. A program that shall end by one waits with a timeout again and again, or uses
    /// [poll(2) with a signalfd](self#event-loops).
    ///
    /// Of a UIO device that was opened by somebody else and [converted](Device#impl-TryFrom<OwnedFd>-for-Device), what
    /// had come before the conversion counts as one.
    ///
    /// # Errors
    ///
    /// [`Error::WindowGone`] or [`Error::DeviceGone`] if the device was removed, also meanwhile, and
    /// [`Error::Interrupt`] with any other error of the system.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use devmap::Device;
    /// use std::time::Duration;
    ///
    /// let interrupts = Device::window("rtc")?.interrupts()?;
    /// let came = interrupts.first().wait(Some(Duration::from_millis(1500)))?;
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn wait(&self, timeout: Option<Duration>) -> Result<u64> {
        let counts = self.device.wait_for(1 << self.index, timeout);
        let counts = counts.map_err(|errno| self.failed(Operation::Wait, errno))?;
        Ok(counts[self.index()])
    }

    /// Takes how often it has come since it was last taken, without waiting; 0 if it has not.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait).
    pub fn take(&self) -> Result<u64> {
        self.wait(Some(Duration::ZERO))
    }

    /// Masks it: what comes from now on is delivered only when it is unmasked.
    ///
    /// # Errors
    ///
    /// [`Error::WindowGone`] or [`Error::DeviceGone`] if the device was removed, and [`Error::Interrupt`] with the
    /// error of the system: EALREADY if it is masked, EACCES or EBADF if the device was opened for reading only, and
    /// ENOSYS if the driver of the UIO device cannot mask it.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use devmap::Device;
    /// let interrupts = Device::window("dma")?.interrupts()?;
    /// interrupts.find("error")?.mask()?;
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn mask(&self) -> Result<()> {
        self.set_masked(true).map_err(|errno| self.failed(Operation::Mask, errno))
    }

    /// Unmasks it.
    ///
    /// # Errors
    ///
    /// As for [`mask`](Self::mask), with EALREADY if it is not masked.
    pub fn unmask(&self) -> Result<()> {
        self.set_masked(false).map_err(|errno| self.failed(Operation::Unmask, errno))
    }

    /// Lets it come: unmasks it if it is masked, and if its driver can.
    ///
    /// # Errors
    ///
    /// As for [`unmask`](Self::unmask), but neither EALREADY nor ENOSYS.
    pub fn arm(&self) -> Result<()> {
        match self.set_masked(false) {
            Ok(()) | Err(Errno::EALREADY | Errno::ENOSYS) => Ok(()),
            Err(errno) => Err(self.failed(Operation::Unmask, errno)),
        }
    }

    fn set_masked(&self, masked: bool) -> Result<(), Errno> {
        match self.device.events() {
            Some(_) => Events::control(self.device.file(), !masked),
            None => ioctl::irq_mask(self.device.file(), 1 << self.index, masked),
        }
    }

    /// Sets an eventfd that is signalled once each time it comes, beside the count, and once when the window is
    /// removed. It replaces one that was set before. The driver keeps the eventfd; the program may close its own
    /// descriptor.
    ///
    /// # Errors
    ///
    /// [`Error::WindowGone`] if the window was removed, and [`Error::Interrupt`]: with EINVAL if it is no eventfd, with
    /// EBUSY if another open file has set one, with EACCES if the device was opened for reading only, and of kind
    /// [`Unsupported`](io::ErrorKind::Unsupported) for UIO.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use devmap::Device;
    /// use nix::sys::eventfd::EventFd;
    ///
    /// let eventfd = EventFd::new()?;
    /// let dma = Device::window("dma")?;
    /// dma.interrupts()?.find("done")?.set_eventfd(&eventfd)?;
    /// println!("it has come {} time(s)", eventfd.read()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_eventfd(&self, eventfd: impl AsFd) -> Result<()> {
        self.replace_eventfd(Some(eventfd.as_fd()))
    }

    /// Takes the eventfd away that was set. So does the end of the open file.
    ///
    /// # Errors
    ///
    /// As for [`set_eventfd`](Self::set_eventfd).
    pub fn clear_eventfd(&self) -> Result<()> {
        self.replace_eventfd(None)
    }

    fn replace_eventfd(&self, eventfd: Option<BorrowedFd<'_>>) -> Result<()> {
        if self.device.events().is_some() {
            let cause = io::Error::new(io::ErrorKind::Unsupported, "UIO has no eventfds");
            return Err(self.failed(Operation::SetEventfd, cause));
        }
        let set = ioctl::irq_eventfd(self.device.file(), self.index, eventfd);
        set.map_err(|errno| self.failed(Operation::SetEventfd, errno))
    }

    /// The error of `operation`.
    fn failed(&self, operation: Operation, cause: impl Into<io::Error>) -> Error {
        let cause = cause.into();
        if cause.raw_os_error() == Some(Errno::ENODEV as i32) {
            return self.gone();
        }
        Error::Interrupt { operation, path: self.device.path().into(), interrupt: self.to_string(), cause }
    }

    /// The error of a device that was removed.
    fn gone(&self) -> Error {
        let gone = self.device.gone(Errno::ENODEV);
        gone.unwrap_or_else(|| Error::DeviceGone { path: self.device.path().into() })
    }
}

impl fmt::Display for Interrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.as_str() {
            "" => f.pad(&self.index.to_string()),
            name => f.pad(name),
        }
    }
}

/// The descriptor of the device, which can be read once any of its interrupts has come. See [Event
/// loops](self#event-loops).
impl AsFd for Interrupts {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.first().as_fd()
    }
}

/// The descriptor of the device, which can be read once any of its interrupts has come, not only this one. See
/// [Event loops](self#event-loops).
impl AsFd for Interrupt {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

/// For tokio's `AsyncFd` and other interfaces that want a number. It is the same as long as this exists.
impl AsRawFd for Interrupts {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

/// For tokio's `AsyncFd` and other interfaces that want a number. It is the same as long as this exists, and that of
/// every other interrupt of the device, so an event loop takes it once.
impl AsRawFd for Interrupt {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::net::UnixDatagram;

    use super::*;
    use crate::driver::{Name, Window};
    use crate::event::tests::{come, node, sysfs};
    use crate::PhysRange;

    /// The interrupts of a UIO device, the kernel's end of its node, and its directory in sysfs.
    fn uio() -> (Interrupts, UnixDatagram, tempfile::TempDir) {
        let ((node, kernel), sysfs) = (node(), sysfs("10\n"));
        let device = Device::of_uio(node, "/dev/uio9", sysfs.path());
        (device.interrupts().unwrap(), kernel, sysfs)
    }

    /// A window, by a file that plays its node.
    fn window(origin: Origin, path: &str) -> Device {
        let mut window = Window::new(PhysRange::new(0x901_0000, 0x1000).unwrap());
        window.name = Name::new(b"rtc").unwrap();
        window.origin = origin;
        Device::with_kind(path, Kind::Window { major: 126, minor: 1, window })
    }

    /// Interrupts with these names, of a window that cannot be asked.
    fn named(names: &[&str]) -> Interrupts {
        let device = Arc::new(window(Origin::Dt, "/dev/null"));
        let each = (0..).zip(names);
        let interrupt =
            |(index, name): (u32, &&str)| Interrupt { device: Arc::clone(&device), index, name: (*name).into() };
        Interrupts { all: each.map(interrupt).collect() }
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no sockets that can be polled")]
    fn a_uio_device_is_waited_for_and_unmasked() {
        let (interrupts, kernel, sysfs) = uio();
        let only = interrupts.first();
        assert_eq!((interrupts.iter().count(), only.name(), only.index(), only.to_string()), (1, "", 0, "0".into()));
        assert_eq!(only.state().unwrap(), State { trigger: None, count: 10, masked: None, eventfd: false });
        only.arm().unwrap();
        only.unmask().unwrap();
        only.mask().unwrap();
        let mut written = [[0; 4]; 3];
        written.iter_mut().for_each(|number| drop(kernel.recv(number)));
        assert_eq!(written.map(u32::from_ne_bytes), [1, 1, 0]);
        assert_eq!(only.take().unwrap(), 0);
        come(&kernel, 12);
        assert_eq!(only.wait(None).unwrap(), 2);
        come(&kernel, 13);
        assert_eq!(interrupts.wait(Some(Duration::from_secs(60))).unwrap(), [1]);
        // Another handle on the same open file does not count it again.
        assert_eq!(only.clone().take().unwrap(), 0);
        drop(sysfs);
        assert!(only.state().unwrap_err().is_gone());
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no sockets that can be polled")]
    fn every_list_of_one_open_file_takes_the_same_counts() {
        let ((node, kernel), sysfs) = (node(), sysfs("10\n"));
        let device = Device::of_uio(node, "/dev/uio9", sysfs.path());
        let lists = [device.interrupts().unwrap(), device.interrupts().unwrap()];
        come(&kernel, 15);
        assert_eq!(lists[0].wait(None).unwrap(), [5]);
        come(&kernel, 17);
        assert_eq!(lists[1].wait(None).unwrap(), [2]);
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no sockets that can be polled")]
    #[allow(unsafe_code, reason = "AsyncFd takes the number of a descriptor")]
    fn an_event_loop_wakes_up_when_it_comes_and_when_the_device_goes() {
        use tokio::io::{unix::AsyncFd, Interest};

        let (ours, mut kernel) = std::os::unix::net::UnixStream::pair().unwrap();
        let sysfs = sysfs("0\n");
        let device = Device::of_uio(File::from(std::os::fd::OwnedFd::from(ours)), "/dev/uio9", sysfs.path());
        let interrupt = device.interrupts().unwrap().first().clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async {
            let either = Interest::READABLE | Interest::ERROR;
            // SAFETY: An interrupt keeps its device open, with the same descriptor, as long as it exists.
            let events = unsafe { AsyncFd::register_with_interest(interrupt, either) }.unwrap();
            let next = async || loop {
                let mut ready = events.ready(either).await.unwrap();
                let count = events.get_ref().take();
                ready.clear_ready();
                if !matches!(count, Ok(0)) {
                    return count;
                }
            };
            let come = |kernel: &mut std::os::unix::net::UnixStream, count: u32| {
                io::Write::write_all(kernel, &count.to_ne_bytes()).unwrap();
            };
            for (total, count) in [(3, 3), (4, 1), (10, 6)] {
                let waiting = tokio::spawn({
                    let mut kernel = kernel.try_clone().unwrap();
                    // Another task, which runs once this one waits.
                    async move { come(&mut kernel, total) }
                });
                assert_eq!(next().await.unwrap(), count);
                waiting.await.unwrap();
            }
            come(&mut kernel, 11);
            assert_eq!(next().await.unwrap(), 1);
            tokio::spawn(async move { drop(kernel) });
            assert!(next().await.unwrap_err().is_gone());
        });
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no sockets that can be polled")]
    fn uio_has_no_eventfd() {
        let (interrupts, _kernel, _sysfs) = uio();
        let error = interrupts.first().set_eventfd(File::open("/dev/null").unwrap()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert_eq!(
            error.to_string(),
            "cannot set the eventfd of the interrupt 0 of /dev/uio9: UIO has no eventfds; \
             poll(2) and epoll(7) take the descriptor of the device itself"
        );
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no sockets that can be polled")]
    fn a_device_that_goes_ends_a_wait_with_an_error_of_its_own() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let sysfs = sysfs("0\n");
        let device = Device::of_uio(File::from(std::os::fd::OwnedFd::from(ours)), "/dev/uio9", sysfs.path());
        let interrupts = device.interrupts().unwrap();
        let error = std::thread::scope(|scope| {
            let waiter = scope.spawn(|| interrupts.wait(None).unwrap_err());
            std::thread::sleep(Duration::from_millis(20));
            drop(theirs);
            waiter.join().unwrap()
        });
        assert!(error.is_gone(), "{error:?}");
        assert_eq!(error.to_string(), "cannot use /dev/uio9: its device was removed; open it again when it is back");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        // The list of a device that is there and has none.
        let error = device.interrupts().unwrap_err();
        assert_eq!(error.to_string(), "/dev/uio9 has no interrupts: the driver of this UIO device has none for it");
        drop(sysfs);
        assert!(device.interrupts().unwrap_err().is_gone());
        let window = named(&[""]).first().failed(Operation::Wait, Errno::ENODEV);
        assert!(matches!(window, Error::WindowGone { .. }) && window.is_gone(), "{window:?}");
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri knows no devices")]
    fn what_has_no_interrupts_says_why() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        for (device, why) in [
            (Device::open(path).unwrap(), "it is a regular file; give a window or a UIO device"),
            (Device::open("/dev/zero").unwrap(), "it is no window and no UIO device"),
            // It does not know the ioctl.
            (window(Origin::Dt, path), "its driver is older than they are; load the one of this release"),
        ] {
            let error = device.interrupts().unwrap_err();
            assert!(matches!(error, Error::NoInterrupts { .. }), "{error:?}");
            assert_eq!(error.to_string(), format!("{} has no interrupts: {why}", device.path().display()));
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri knows no devices")]
    fn an_interrupt_is_found_by_its_index_or_its_name() {
        let interrupts = named(&["done", "", "1", "error"]);
        let index = |which| interrupts.find(which).map(Interrupt::index).ok();
        assert_eq!([index("done"), index("error"), index("0"), index("3")], [Some(0), Some(3), Some(0), Some(3)]);
        // An index goes before a name.
        assert_eq!(index("1"), Some(1));
        assert_eq!([index(""), index("4"), index("don"), index("-1")], [None; 4]);
        let error = interrupts.find("tx").unwrap_err();
        assert_eq!(error.to_string(), "/dev/null has no interrupt tx; it has 0 (done), 1, 2 (1), 3 (error)");
        let error = named(&[""]).find("").unwrap_err();
        assert_eq!(error.to_string(), "/dev/null has no interrupt ``; it has 0");
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri knows no devices")]
    fn the_error_numbers_of_the_driver_are_explained() {
        let interrupts = named(&["done", ""]);
        let line = |index: usize, operation, errno: Errno| interrupts.all[index].failed(operation, errno).to_string();
        assert_eq!(
            line(0, Operation::Unmask, Errno::EALREADY),
            "cannot unmask the interrupt done of /dev/null: Operation already in progress (EALREADY); it is not masked: an \
             edge-triggered one stays as it is when it comes"
        );
        for (operation, errno, says) in [
            (Operation::Mask, Errno::EALREADY, "it is masked already: "),
            (Operation::Unmask, Errno::EACCES, "open the device for writing too"),
            (Operation::Mask, Errno::EBADF, "open the device for writing too"),
            (Operation::Unmask, Errno::ENOSYS, "has no irqcontrol(): "),
            (Operation::SetEventfd, Errno::EINVAL, "is no eventfd: "),
            (Operation::SetEventfd, Errno::EBUSY, "another open file has set one: "),
        ] {
            let line = line(1, operation, errno);
            assert!(line.starts_with(&format!("cannot {operation} the interrupt 1 of /dev/null: ")), "{line}");
            assert!(line.contains(&format!("({errno:?}); ")) && line.contains(says), "{line}");
        }
        assert!(line(1, Operation::Wait, Errno::EINVAL).ends_with("Invalid argument (EINVAL)"));
    }

    #[test]
    fn answers_are_converted() {
        let mut raw = MapIrq { index: 3, flags: abi::IRQ_LEVEL | abi::IRQ_MASKED, count: 7, ..MapIrq::default() };
        let state = State { trigger: Some(Trigger::Level), count: 7, masked: Some(true), eventfd: false };
        assert_eq!((state_of(&raw), name_of(&raw)), (state, String::new()));
        raw.flags = abi::IRQ_EVENTFD;
        raw.name[..4].copy_from_slice(b"done");
        let edge = State { trigger: Some(Trigger::Edge), masked: Some(false), eventfd: true, ..state };
        assert_eq!((state_of(&raw), name_of(&raw)), (edge, "done".into()));
        raw.name = [b'z'; 32];
        assert_eq!(name_of(&raw).len(), 32);
    }

    #[test]
    fn no_timeout_is_for_ever_and_the_longest_is_long() {
        assert_eq!(nanoseconds(None), -1);
        assert_eq!(nanoseconds(Some(Duration::ZERO)), 0);
        assert_eq!(nanoseconds(Some(Duration::from_micros(3))), 3_000);
        assert_eq!(nanoseconds(Some(Duration::MAX)), i64::MAX);
    }
}
