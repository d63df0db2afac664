// SPDX-License-Identifier: GPL-2.0

//! The interrupts of a window, which its open files share.
//!
//! The line of an interrupt is disabled while the interrupt is masked. Each change of the state, by
//! the handler, a program, the last close or the removal, enables or disables the line under the
//! same lock, so that both always agree and the kernel's count of disables is never off.

use core::mem;

use kernel::{
    fmt::{
        self,
        Write, //
    },
    new_mutex,
    prelude::*,
    seq_file::{
        seq_print,
        SeqFile, //
    },
    str::CString,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex, //
    }, //
};

use crate::{
    abstractions::{
        irq::{
            self,
            Awake,
            EventFd,
            Handler,
            IrqLock,
            Line,
            WaitQueue, //
        },
        task, //
    },
    display::CoreDisplay,
    error::error_of,
    map_core::{
        abi::{
            MapIrq,
            MapIrqEventfd,
            MapIrqMask,
            MapIrqWait,
            IRQS,
            IRQ_EVENTFD,
            IRQ_LEVEL,
            IRQ_MASKED, //
        },
        bit,
        come_since,
        dt,
        Arrival,
        Decimal,
        IrqRefusal,
        Irqs,
        Name,
        Trigger, //
    },
};

/// How many of the processes that wait are listed.
const LISTED_WAITERS: usize = 8;

/// The interrupts of a window. Dropping this frees their lines.
#[pin_data]
pub(crate) struct Interrupts {
    shared: Arc<Shared>,
    /// Empty before the lines are requested, and after the window was removed.
    #[pin]
    lines: Mutex<Lines>,
}

type Lines = [Option<Line<Source>>; IRQS];

/// What the handlers use. It outlives the lines.
#[pin_data]
struct Shared {
    window: Name,
    /// The name of the lines in `/proc/interrupts`.
    line: CString,
    names: [Name; IRQS],
    /// The kernel's numbers of the lines.
    numbers: [u32; IRQS],
    #[pin]
    state: IrqLock<State>,
    #[pin]
    queue: WaitQueue,
    /// The number of threads that sleep, and the processes of some of them; 0 is a free place.
    sleeping: Atomic<i32>,
    sleepers: [Atomic<i32>; LISTED_WAITERS],
}

/// What changes with interrupts.
struct State {
    irqs: Irqs,
    eventfds: Eventfds,
}

type Eventfds = [Option<Eventfd>; IRQS];

/// The eventfd of an interrupt, and the open file that has set it.
struct Eventfd {
    eventfd: EventFd,
    owner: usize,
}

/// One interrupt, as its handler knows it.
struct Source {
    shared: Arc<Shared>,
    index: usize,
}

/// How often each interrupt had come when an open file took its count last. It changes only under
/// the lock of the state.
pub(crate) struct Taken([Atomic<u64>; IRQS]);

/// Why the lines of a window cannot be had.
pub(crate) struct LineError {
    index: usize,
    name: Name,
    cause: Cause,
}

/// What is wrong with a line.
#[derive(Clone, Copy)]
pub(crate) enum Cause {
    /// The kernel gives this error.
    Kernel(Error),
    /// Each processor has a line of its own with this number.
    PerProcessor,
    /// The device cannot depend on the interrupt controller.
    Controller,
}

impl Interrupts {
    /// Creates the interrupts of the window called `window`, as `described`, with the kernel's
    /// `numbers` of their lines, which it does not request yet.
    pub(crate) fn new(
        window: Name,
        described: &dt::Interrupts,
        numbers: [u32; IRQS],
    ) -> Result<Arc<Self>> {
        // The kernel makes a directory of this name beside files such as `node` and `spurious`.
        let line = CString::try_from_fmt(fmt!("map-{}", window.as_str()))?;
        let shared = Arc::pin_init(
            pin_init!(Shared {
                window,
                line,
                names: described.names,
                numbers,
                state <- IrqLock::new(State {
                    irqs: Irqs::new(described.number),
                    eventfds: [const { None }; IRQS],
                }),
                queue <- WaitQueue::new(),
                sleeping: Atomic::new(0),
                sleepers: [const { Atomic::new(0) }; LISTED_WAITERS],
            }),
            GFP_KERNEL,
        )?;
        Arc::pin_init(
            pin_init!(Self {
                shared,
                lines <- new_mutex!([const { None }; IRQS]),
            }),
            GFP_KERNEL,
        )
    }

    /// Requests the lines. All interrupts are masked.
    ///
    /// # Errors
    ///
    /// [`LineError`] if one of the lines cannot be had. Those that were had are freed with this.
    pub(crate) fn request(&self) -> Result<(), LineError> {
        let all = self.shared.irqs().all();
        let mut lines = self.lines.lock();
        let places = (0..IRQS).zip(lines.iter_mut().zip(self.shared.numbers));
        for (index, (place, number)) in places.filter(|(index, _)| all & bit(*index) != 0) {
            let shared = self.shared.clone();
            let line = Arc::new(Source { shared, index }, GFP_KERNEL)
                .map_err(Error::from)
                .and_then(|source| Line::request(number, source))
                .map_err(|error| self.shared.line_error(index, error.into()))?;
            let trigger = Trigger::of(line.trigger());
            if trigger == Trigger::Level {
                // Otherwise the line would first be disabled when the interrupt comes again, at
                // once: only a program makes the device stop.
                irq::mask_at_once(number);
            }
            self.shared
                .state
                .with(|state| state.irqs.set_trigger(index, trigger));
            *place = Some(line);
        }
        Ok(())
    }

    /// Frees the lines, and wakes all who wait. Nobody gets an interrupt any more.
    pub(crate) fn remove(&self) {
        let eventfds = self.shared.state.with(|state| {
            let masked = state.irqs.remove();
            self.shared.disable(masked);
            for set in state.eventfds.iter().flatten() {
                set.eventfd.signal();
            }
            mem::replace(&mut state.eventfds, [const { None }; IRQS])
        });
        self.shared.queue.wake();
        let lines = mem::replace(&mut *self.lines.lock(), [const { None }; IRQS]);
        // Without a lock: this waits for handlers.
        drop(lines);
        drop(eventfds);
    }

    /// Returns the queue of those who wait.
    pub(crate) fn queue(&self) -> &WaitQueue {
        &self.shared.queue
    }

    /// Returns whether the window is there.
    pub(crate) fn is_present(&self) -> bool {
        !self.shared.irqs().is_gone()
    }

    /// Returns the counts of now, for a file that is opened.
    pub(crate) fn taken_now(&self) -> Taken {
        let irqs = self.shared.irqs();
        let mut counts = irqs.counts().iter();
        Taken(core::array::from_fn(|_| {
            Atomic::new(counts.next().copied().unwrap_or(0))
        }))
    }

    /// Returns whether an interrupt has come that was not taken.
    pub(crate) fn has_come(&self, taken: &Taken) -> bool {
        let left = self.shared.state.with(|state| taken.left(&state.irqs));
        left.iter().any(|left| *left != 0)
    }

    /// Describes one interrupt.
    ///
    /// # Errors
    ///
    /// ENODEV if the window was removed, EINVAL if there is no such interrupt.
    pub(crate) fn describe(&self, index: u32) -> Result<MapIrq> {
        let place = usize::try_from(index).map_err(|_| EINVAL)?;
        self.shared.state.with(|state| {
            if state.irqs.is_gone() {
                return Err(refused(IrqRefusal::Gone));
            }
            let (trigger, masked, count) = state.irqs.get(place).ok_or(EINVAL)?;
            let has_eventfd = matches!(state.eventfds.get(place), Some(Some(_)));
            let flag = |set, flag| if set { flag } else { 0 };
            let name = self.shared.names.get(place).ok_or(EINVAL)?;
            Ok(MapIrq {
                index,
                flags: flag(trigger == Trigger::Level, IRQ_LEVEL)
                    | flag(masked, IRQ_MASKED)
                    | flag(has_eventfd, IRQ_EVENTFD),
                count,
                name: name.to_bytes(),
            })
        })
    }

    /// Waits until an interrupt has come, and takes the counts.
    ///
    /// # Errors
    ///
    /// ENODEV, EINVAL, ETIMEDOUT, EINTR or ERESTARTSYS, as `IOC_IRQ_WAIT` documents.
    pub(crate) fn wait(&self, taken: &Taken, mut wait: MapIrqWait) -> Result<MapIrqWait> {
        let shared = &self.shared;
        shared
            .state
            .with(|state| state.irqs.check_wait(&wait))
            .map_err(refused)?;
        let wanted = wait.interrupts;
        wait.counts = [0; IRQS];
        let mut present = true;
        let mut take = || {
            shared.state.with(|state| {
                present = !state.irqs.is_gone();
                wait.interrupts = taken.take(&state.irqs, wanted, &mut wait.counts);
                !present || wait.interrupts != 0
            })
        };
        if !take() {
            if wait.timeout == 0 {
                return Err(ETIMEDOUT);
            }
            let sleeper = Sleeper::new(shared);
            let slept = shared.queue.sleep(wait.timeout, take);
            drop(sleeper);
            slept.map_err(|awake| match awake {
                Awake::TimedOut => ETIMEDOUT,
                // The time that is left is not known to a restarted call.
                Awake::Signal if wait.timeout > 0 => EINTR,
                Awake::Signal => ERESTARTSYS,
            })?;
        }
        if wait.interrupts == 0 && !present {
            return Err(refused(IrqRefusal::Gone));
        }
        Ok(wait)
    }

    /// Masks or unmasks interrupts.
    ///
    /// # Errors
    ///
    /// ENODEV, EINVAL, EACCES or EALREADY, as `IOC_IRQ_MASK` documents.
    pub(crate) fn set_masked(&self, mask: &MapIrqMask, writable: bool) -> Result {
        self.shared
            .state
            .with(|state| {
                state.irqs.set_masked(mask, writable)?;
                if mask.masked == 0 {
                    self.shared.enable(mask.interrupts);
                } else {
                    self.shared.disable(mask.interrupts);
                }
                Ok(())
            })
            .map_err(refused)
    }

    /// Sets the eventfd of an interrupt, or takes it away, for the open file `owner`.
    ///
    /// # Errors
    ///
    /// ENODEV, EINVAL, EACCES, EBADF or EBUSY, as `IOC_IRQ_EVENTFD` documents.
    pub(crate) fn set_eventfd(
        &self,
        request: &MapIrqEventfd,
        owner: usize,
        writable: bool,
    ) -> Result {
        let index = usize::try_from(request.index).map_err(|_| EINVAL)?;
        let check = |state: &State| {
            let set_by = match state.eventfds.get(index) {
                Some(Some(set)) => Some(set.owner),
                _ => None,
            };
            state.irqs.check_eventfd(index, writable, set_by, owner)
        };
        // First, so that the descriptor is looked at only if nothing else is wrong.
        self.shared
            .state
            .with(|state| check(state))
            .map_err(refused)?;
        let mut new = match request.fd {
            -1 => None,
            fd => Some(Eventfd {
                eventfd: EventFd::get(fd)?,
                owner,
            }),
        };
        let set = self.shared.state.with(|state| {
            check(state)?;
            if let Some(place) = state.eventfds.get_mut(index) {
                mem::swap(place, &mut new);
            }
            Ok(())
        });
        // The one that was replaced, or was not set.
        drop(new);
        set.map_err(refused)
    }

    /// Takes away the eventfds that the open file `owner` has set.
    pub(crate) fn file_closed(&self, owner: usize) {
        let eventfds = self.shared.state.with(|state| {
            let mut taken: Eventfds = [const { None }; IRQS];
            for (place, taken) in state.eventfds.iter_mut().zip(&mut taken) {
                if place.as_ref().is_some_and(|set| set.owner == owner) {
                    *taken = place.take();
                }
            }
            taken
        });
        drop(eventfds);
    }

    /// Masks all interrupts, because no file is open any more.
    pub(crate) fn last_file_closed(&self) {
        self.shared.state.with(|state| {
            let masked = state.irqs.close();
            self.shared.disable(masked);
        });
    }

    /// Calls `show` for each interrupt of `irqs`, with its index, name, trigger, whether it is
    /// masked, and how often it has come.
    fn each(
        &self,
        irqs: &Irqs,
        mut show: impl FnMut(usize, Name, (Trigger, bool, u64)) -> fmt::Result,
    ) -> fmt::Result {
        for (index, name) in (0..IRQS).zip(self.shared.names) {
            if let Some(state) = irqs.get(index) {
                show(index, name, state)?;
            }
        }
        Ok(())
    }

    /// Writes a line for each interrupt to a file in sysfs.
    pub(crate) fn show(&self, out: &mut impl Write) -> fmt::Result {
        let irqs = self.shared.irqs();
        self.each(&irqs, |index, name, (trigger, masked, count)| {
            // The last line gets its end from the caller.
            let separator = if index == 0 { "" } else { "\n" };
            let count = Decimal(count);
            write!(
                out,
                "{separator}{index} {} {} {} {count}",
                shown(&name),
                trigger.as_str(),
                shown_mask(masked)
            )
        })
    }

    /// Writes a line for each interrupt, with its line, its eventfd and who waits, to a file in
    /// debugfs.
    pub(crate) fn show_debug(&self, out: &SeqFile) {
        let (irqs, has_eventfd) = self.shared.state.with(|state| {
            let bits = (0..IRQS).zip(&state.eventfds);
            let has_eventfd = bits
                .filter(|(_, set)| set.is_some())
                .fold(0, |bits, (index, _)| bits | bit(index));
            (state.irqs, has_eventfd)
        });
        let numbers = self.shared.numbers;
        let _ = self.each(&irqs, |index, name, (trigger, masked, count)| {
            let eventfd = if has_eventfd & bit(index) != 0 {
                "eventfd "
            } else {
                ""
            };
            let count = CoreDisplay(Decimal(count));
            seq_print!(
                out,
                "{} {index} {} irq {} {} {} {eventfd}{count}\n",
                shown(&self.shared.window),
                shown(&name),
                numbers.get(index).copied().unwrap_or(0),
                trigger.as_str(),
                shown_mask(masked)
            );
            Ok(())
        });
        let sleeping = self.shared.sleeping.load(Relaxed);
        if sleeping > 0 {
            seq_print!(out, "{} waiting {sleeping}:", shown(&self.shared.window));
            for place in &self.shared.sleepers {
                match place.load(Relaxed) {
                    0 => {}
                    process => seq_print!(out, " {process}"),
                }
            }
            seq_print!(out, "\n");
        }
    }

    /// Gives back what [`wait()`](Self::wait) took, because it did not reach the program.
    pub(crate) fn give_back(&self, taken: &Taken, wait: &MapIrqWait) {
        self.shared.state.with(|_| {
            for (taken, count) in taken.0.iter().zip(wait.counts) {
                taken.store(taken.load(Relaxed).wrapping_sub(count), Relaxed);
            }
        });
        self.shared.queue.wake();
    }

    /// Writes how often each interrupt has come that an open file has not taken.
    pub(crate) fn show_file(&self, taken: &Taken, out: &SeqFile) {
        // Both at once: a count that is taken in between would be more than has come.
        let (irqs, left) = self
            .shared
            .state
            .with(|state| (state.irqs, taken.left(&state.irqs)));
        let _ = self.each(&irqs, |index, name, _| {
            let left = CoreDisplay(Decimal(left.get(index).copied().unwrap_or(0)));
            seq_print!(out, "map-irq:\t{index} {} {left}\n", shown(&name));
            Ok(())
        });
    }
}

impl Shared {
    /// Returns a copy of the state.
    fn irqs(&self) -> Irqs {
        self.state.with(|state| state.irqs)
    }

    /// Enables the lines of these interrupts, with the lock held.
    fn enable(&self, bits: u32) {
        self.lines(bits).for_each(|number| irq::enable(number));
    }

    /// Disables the lines of these interrupts, with the lock held.
    fn disable(&self, bits: u32) {
        self.lines(bits).for_each(|number| irq::disable(number));
    }

    /// Returns the numbers of the lines of these interrupts.
    fn lines(&self, bits: u32) -> impl Iterator<Item = u32> + '_ {
        let lines = (0..IRQS).zip(&self.numbers);
        lines.filter_map(move |(index, number)| (bits & bit(index) != 0).then_some(*number))
    }

    fn line_error(&self, index: usize, cause: Cause) -> LineError {
        LineError {
            index,
            name: self.names.get(index).copied().unwrap_or(Name::NONE),
            cause,
        }
    }
}

impl Handler for Source {
    fn name(&self) -> &CStr {
        &self.shared.line
    }

    fn handle(&self) {
        let Self { shared, index } = self;
        let counted = shared.state.with(|state| {
            match state.irqs.came(*index) {
                Arrival::Ignored => return false,
                Arrival::Counted => {}
                Arrival::Masked => shared.disable(bit(*index)),
            }
            if let Some(Some(set)) = state.eventfds.get(*index) {
                set.eventfd.signal();
            }
            true
        });
        if counted {
            shared.queue.wake();
        }
    }
}

impl Taken {
    /// Returns how often each interrupt has come since it was taken. The lock of the state is held.
    fn left(&self, irqs: &Irqs) -> [u64; IRQS] {
        let mut left = [0; IRQS];
        for (left, (now, taken)) in left.iter_mut().zip(irqs.counts().iter().zip(&self.0)) {
            *left = come_since(*now, taken.load(Relaxed));
        }
        left
    }

    /// Takes the counts of the interrupts in `wanted`, and returns the bits of those that have
    /// come.
    fn take(&self, irqs: &Irqs, wanted: u32, counts: &mut [u64; IRQS]) -> u32 {
        let mut come = 0;
        let places = (0..IRQS).zip(self.0.iter().zip(irqs.counts()).zip(counts));
        for (index, ((taken, now), count)) in places.filter(|(index, _)| wanted & bit(*index) != 0)
        {
            *count = come_since(*now, taken.load(Relaxed));
            if *count != 0 {
                taken.store(*now, Relaxed);
                come |= bit(index);
            }
        }
        come
    }
}

/// Lists the current process as one that sleeps.
struct Sleeper<'a> {
    shared: &'a Shared,
    place: Option<&'a Atomic<i32>>,
}

impl<'a> Sleeper<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.sleeping.add(1, Relaxed);
        let process = task::pid();
        let place = shared
            .sleepers
            .iter()
            .find(|place| place.cmpxchg(0, process, Relaxed).is_ok());
        Self { shared, place }
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            place.store(0, Relaxed);
        }
        self.shared.sleeping.add(-1, Relaxed);
    }
}

fn refused(reason: IrqRefusal) -> Error {
    error_of(reason.errno())
}

fn shown(name: &Name) -> &str {
    if name.is_empty() {
        "-"
    } else {
        name.as_str()
    }
}

fn shown_mask(masked: bool) -> &'static str {
    if masked {
        "masked"
    } else {
        "unmasked"
    }
}

impl From<Error> for Cause {
    fn from(error: Error) -> Self {
        Self::Kernel(error)
    }
}

impl LineError {
    /// Creates the error of an interrupt whose line cannot be requested.
    pub(crate) fn new(index: usize, described: &dt::Interrupts, cause: impl Into<Cause>) -> Self {
        Self {
            index,
            name: described.names.get(index).copied().unwrap_or(Name::NONE),
            cause: cause.into(),
        }
    }

    /// Returns the error of the probe.
    pub(crate) fn error(&self) -> Error {
        match self.cause {
            Cause::Kernel(error) => error,
            Cause::PerProcessor | Cause::Controller => EINVAL,
        }
    }
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "interrupt {}", self.index)?;
        if !self.name.is_empty() {
            write!(f, " ({})", self.name.as_str())?;
        }
        f.write_str(": ")?;
        let error = match self.cause {
            Cause::Kernel(error) => error,
            Cause::PerProcessor => {
                return f.write_str(
                    "each processor has a line of its own with this number, and no device has one",
                );
            }
            Cause::Controller => {
                return f.write_str(
                    "the kernel cannot note that this device goes before the interrupt controller, \
                     which depends on this device, or for which there is no memory",
                );
            }
        };
        if error == EBUSY {
            return f.write_str(
                "another driver has this line, see /proc/interrupts; lines are not shared, because \
                 only the driver of a device knows whose interrupt it is",
            );
        }
        if error == ENXIO {
            return f.write_str(
                "the interrupt controller does not know this line, has it with another trigger, or \
                 has no memory for it",
            );
        }
        if error == EINVAL {
            return f
                .write_str("the interrupt controller does not accept this line or its trigger");
        }
        if error.to_errno() == -(kernel::bindings::EOPNOTSUPP as i32) {
            return f.write_str(
                "the interrupt controller is on a slow bus, so a handler cannot mask this line",
            );
        }
        write!(f, "error {}", error.to_errno())
    }
}
