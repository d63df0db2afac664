// SPDX-License-Identifier: MIT OR Apache-2.0

//! Interrupts of the windows that `qemu/kernel/arm64-interrupts.dtso` describes. The module `raise` sets lines pending
//! in the interrupt controller, so their number is known; the host presses the power button.

use std::{
    fs::{self, File},
    io::{Read, Write},
    os::{
        fd::{AsFd, AsRawFd},
        unix::{fs::FileExt, net::UnixStream},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{bail, ensure, Context, Result};
use map_core::abi::{
    self, MapIrq, MapIrqEventfd, MapIrqMask, MapIrqWait, IOC_IRQ, IOC_IRQ_EVENTFD, IOC_IRQ_MASK, IOC_IRQ_WAIT, IRQS,
    IRQ_EVENTFD, IRQ_LEVEL, IRQ_MASKED,
};
use map_protocol::RAISE;
use nix::{
    errno::Errno,
    libc,
    poll::{poll, PollFd, PollFlags, PollTimeout},
    sys::{
        epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
        eventfd::{EfdFlags, EventFd},
        mman::{MapFlags, ProtFlags},
        signal::{kill, sigaction, SaFlags, SigAction, SigHandler, SigSet, Signal},
    },
    unistd::dup,
};

#[cfg(not(target_arch = "arm"))]
use crate::ring::Ring;
#[cfg(target_arch = "arm")]
use crate::Skip;
use crate::{
    child::{self, Child},
    dt::{bind, sysfs, unbind, DRIVER},
    errno,
    host::{Host, PAGE},
    kernel::{self, Loaded},
    overlay::Applied,
    user,
    vma::{Vma, READ_WRITE},
    windows::{ask, ask_at},
};

crate::tests! {
    the_tree_gives_interrupts,
    interrupt_lines_that_cannot_be_had_are_refused_with_the_reason,
    a_window_is_called_as_a_file_of_its_line,
    every_interrupt_that_is_raised_is_counted,
    a_wait_takes_the_interrupts_before_it_and_between,
    a_wait_for_an_interrupt_ends_with_its_time_or_a_signal,
    poll_and_epoll_see_an_interrupt_until_it_is_taken,
    an_interrupt_wakes_every_file_that_is_watched_exclusively,
    a_window_that_goes_wakes_who_waits_for_nothing_else,
    io_uring_reads_and_writes_without_an_interrupt,
    an_eventfd_is_signalled_for_each_interrupt,
    an_edge_interrupt_that_comes_while_masked_comes_when_unmasked,
    a_level_interrupt_is_masked_when_it_comes,
    masking_an_interrupt_twice_is_ealready_and_changes_nothing,
    every_open_file_counts_interrupts_of_its_own,
    a_program_that_is_killed_leaves_every_interrupt_masked,
    wrong_interrupts_are_refused_and_change_nothing,
    a_window_that_goes_wakes_all_who_wait_for_interrupts,
    an_overlay_that_goes_wakes_who_waits_for_an_interrupt,
    an_interrupt_controller_that_goes_takes_its_windows_along,
    the_module_stays_while_a_program_waits_for_an_interrupt,
    a_storm_of_interrupts_starves_nobody,
    sixteen_interrupts_come_side_by_side,
    an_interrupt_of_the_clock_wakes_a_program,
    an_interrupt_of_the_power_button_reaches_a_program,
    interrupts_race_with_programs_and_windows_that_come_and_go,
}

/// The device with lines that no device has, as sysfs calls it.
pub const LINES: &str = "windows-lines";

/// The bits of the interrupts of the window `pulse`.
pub const EDGE: u32 = 1 << 0;
const LEVEL: u32 = 1 << 1;
const OTHER: u32 = 1 << 2;

/// Times in nanoseconds.
pub const NOW: i64 = 0;
const SECOND: i64 = 1_000_000_000;
const SOON: i64 = 10 * SECOND;
pub const NEVER: i64 = -1;

/// How many interrupts are raised by one call.
const CHUNK: u32 = 10_000;

/// The number of the node of a window.
pub fn node_of(window: &str) -> Result<u32> {
    for number in 1..=64 {
        let name = fs::read_to_string(format!("/sys/class/map/map{number}/name")).unwrap_or_default();
        if name.trim_end() == window {
            return Ok(number);
        }
    }
    bail!("there is no window {window}")
}

/// An open node of a window.
pub struct Window {
    pub file: File,
    name: &'static str,
}

impl Window {
    pub fn open(name: &'static str) -> Result<Self> {
        Ok(Self { file: user::open_window(node_of(name)?)?, name })
    }

    fn open_to_read(name: &'static str) -> Result<Self> {
        Ok(Self { file: File::open(format!("/dev/map{}", node_of(name)?))?, name })
    }

    pub fn irq(&self, index: u32) -> Result<MapIrq, Errno> {
        let mut irq = MapIrq { index, ..Default::default() };
        ask(&self.file, IOC_IRQ, &mut irq).map(|()| irq)
    }

    /// The counts of the interrupts in `bits` that have come.
    pub fn wait(&self, interrupts: u32, timeout: i64) -> Result<MapIrqWait, Errno> {
        // What is left in it must not count.
        let mut wait = MapIrqWait { interrupts, timeout, flags: 0, counts: [99; IRQS] };
        ask(&self.file, IOC_IRQ_WAIT, &mut wait).map(|()| wait)
    }

    /// Fails unless exactly these interrupts of those in `bits` have come, so often.
    fn came(&self, bits: u32, expected: &[(usize, u64)]) -> Result<()> {
        let came = self.wait(bits, SOON).with_context(|| format!("waiting for {bits:#x} of {}", self.name))?;
        let mut counts = [0; IRQS];
        let mut all = 0;
        for &(index, count) in expected {
            counts[index] = count;
            all |= 1 << index;
        }
        ensure!((came.interrupts, came.counts) == (all, counts), "{came:?}, not {expected:?}");
        Ok(())
    }

    /// Fails if one of the interrupts in `bits` has come.
    pub fn none_came(&self, bits: u32) -> Result<()> {
        let result = self.wait(bits, NOW);
        ensure!(result == Err(Errno::ETIMEDOUT), "{} {bits:#x}: {result:?}", self.name);
        Ok(())
    }

    pub fn set_masked(&self, interrupts: u32, masked: u32) -> Result<(), Errno> {
        ask(&self.file, IOC_IRQ_MASK, &mut MapIrqMask { interrupts, masked })
    }

    pub fn unmask(&self, interrupts: u32) -> Result<()> {
        self.set_masked(interrupts, 0).with_context(|| format!("unmasking {interrupts:#x} of {}", self.name))
    }

    pub fn set_eventfd(&self, index: u32, fd: i32) -> Result<(), Errno> {
        ask(&self.file, IOC_IRQ_EVENTFD, &mut MapIrqEventfd { index, fd })
    }

    /// The kernel's number of the line of an interrupt, from debugfs.
    pub fn line(&self, index: usize) -> Result<u32> {
        let text = fs::read_to_string("/sys/kernel/debug/map/interrupts")?;
        let line = text.lines().find(|line| line.starts_with(&format!("{} {index} ", self.name)));
        let mut words = line.with_context(|| text.clone())?.split(' ').skip_while(|word| *word != "irq");
        Ok(words.nth(1).with_context(|| text.clone())?.parse()?)
    }

    /// What poll(2) reports now.
    fn polled(&self) -> Result<PollFlags> {
        let mut fds = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO)?;
        Ok(fds[0].revents().unwrap_or(PollFlags::empty()))
    }
}

/// The module that raises interrupts.
pub struct Raiser(#[allow(dead_code, reason = "it unloads the module")] Loaded);

impl Raiser {
    pub fn new() -> Result<Self> {
        Ok(Self(Loaded::module("raise", RAISE, &[])?))
    }

    /// Raises interrupts of the line, `gap` nanoseconds apart. Each but the last must be handled.
    pub fn raise(&self, line: u32, count: u32, gap: u32) -> Result<()> {
        fs::write("/sys/module/raise/parameters/raise", format!("{line} {count} {gap}"))
            .with_context(|| format!("raising {count} interrupts of line {line}"))
    }
}

/// An eventfd that does not block.
pub fn eventfd() -> Result<EventFd> {
    Ok(EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?)
}

/// How often an eventfd was signalled since it was read last.
pub fn signals(eventfd: &EventFd) -> Result<u64> {
    match eventfd.read() {
        Err(Errno::EAGAIN) => Ok(0),
        other => Ok(other?),
    }
}

/// How many processes sleep in an ioctl of the window, from debugfs.
fn sleepers(window: &str) -> Result<usize> {
    let text = fs::read_to_string("/sys/kernel/debug/map/interrupts")?;
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{window} waiting ")));
    Ok(line.map_or(0, |line| line.split(':').next().and_then(|count| count.parse().ok()).unwrap_or(0)))
}

/// Waits until so many processes sleep in an ioctl of the window.
pub fn until_asleep(window: &str, count: usize) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(30);
    while sleepers(window)? != count {
        ensure!(Instant::now() < end, "{} processes sleep, not {count}", sleepers(window)?);
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// The exit status of a child: 0 if the result is as expected; otherwise says what it is.
pub fn verdict<T: std::fmt::Debug + PartialEq>(result: T, expected: T) -> i32 {
    if result == expected {
        return 0;
    }
    eprintln!("{result:?}, not {expected:?}");
    1
}

/// The number of interrupts that the kernel counts on the line, over all processors.
fn counted_by_kernel(line: u32) -> Result<u64> {
    let text = fs::read_to_string("/proc/interrupts")?;
    let found = text.lines().find_map(|text| text.trim_start().strip_prefix(&format!("{line}:")));
    let numbers = found.with_context(|| format!("no line {line}:\n{text}"))?.split_whitespace();
    Ok(numbers.map_while(|word| word.parse::<u64>().ok()).take(2).sum())
}

fn the_tree_gives_interrupts(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let mut info = abi::MapInfo::default();
    ask(&user::open()?, abi::IOC_INFO, &mut info)?;
    ensure!(info.abi_version == 3, "{info:?}");
    let pulse = Window::open("pulse")?;
    for (index, name, flags) in [(0, "edge", 0), (1, "level", IRQ_LEVEL), (2, "other", 0)] {
        let mut expected = MapIrq { index, flags: flags | IRQ_MASKED, ..Default::default() };
        expected.name[..name.len()].copy_from_slice(name.as_bytes());
        let found = pulse.irq(index)?;
        ensure!(found == expected, "{found:?}, not {expected:?}");
    }
    ensure!(pulse.irq(3) == Err(Errno::EINVAL), "{:?}", pulse.irq(3));
    let sixteen = Window::open("sixteen")?;
    ensure!(sixteen.irq(15)?.name == [0; 32] && sixteen.irq(16) == Err(Errno::EINVAL), "{:?}", sixteen.irq(16));
    // A window without interrupts is as it was: always ready, and not for epoll.
    let plain = Window::open("plain")?;
    ensure!(plain.irq(0) == Err(Errno::EINVAL), "{:?}", plain.irq(0));
    ensure!(plain.wait(1, NOW) == Err(Errno::EINVAL), "{:?}", plain.wait(1, NOW));
    ensure!(plain.set_masked(1, 0) == Err(Errno::EINVAL), "{:?}", plain.set_masked(1, 0));
    ensure!(plain.polled()? == PollFlags::POLLIN, "{:?}", plain.polled()?);
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let added = epoll.add(&plain.file, EpollEvent::new(EpollFlags::EPOLLIN, 0));
    ensure!(added == Err(Errno::EPERM), "{added:?}");
    // The node of all windows has no interrupts.
    let all = Window { file: user::open()?, name: "all" };
    ensure!(all.irq(0) == Err(Errno::ENOTTY), "{:?}", all.irq(0));
    ensure!(all.wait(1, NOW) == Err(Errno::ENOTTY), "{:?}", all.wait(1, NOW));
    ensure!(all.set_masked(1, 0) == Err(Errno::ENOTTY), "{:?}", all.set_masked(1, 0));
    ensure!(all.set_eventfd(0, -1) == Err(Errno::ENOTTY), "{:?}", all.set_eventfd(0, -1));
    // What people see.
    let shown = fs::read_to_string(format!("/sys/class/map/map{}/interrupts", node_of("pulse")?))?;
    ensure!(shown == "0 edge edge masked 0\n1 level level masked 0\n2 other edge masked 0\n", "{shown}");
    let shown = fs::read_to_string(format!("/sys/class/map/map{}/interrupts", node_of("gpio")?))?;
    ensure!(shown == "0 - level masked 0\n", "{shown}");
    let none = fs::read_to_string(format!("/sys/class/map/map{}/interrupts", node_of("plain")?));
    ensure!(errno::result(none) == Err(Errno::ENOENT), "a window without interrupts shows some");
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", pulse.file.as_raw_fd()))?;
    ensure!(info.contains("map-irq:\t1 level 0\n"), "{info}");
    let listed = fs::read_to_string("/proc/interrupts")?;
    ensure!(listed.lines().filter(|line| line.ends_with(" map-pulse")).count() == 3, "{listed}");
    Ok(())
}

fn interrupt_lines_that_cannot_be_had_are_refused_with_the_reason(_: &mut Host) -> Result<()> {
    let before = fs::read_to_string("/proc/interrupts")?;
    {
        let _loaded = Loaded::new()?;
        let window = "window@0xd0000000+0x1000";
        for (device, errno, words) in [
            (
                "windows-busy",
                Errno::EBUSY,
                format!("{window}: interrupt 1 (taken): another driver has this line, see /proc/interrupts; lines are not shared"),
            ),
            (
                "windows-trigger",
                Errno::EINVAL,
                format!("{window}: interrupt 0: the interrupt controller does not accept this line or its trigger"),
            ),
            (
                "windows-no-line",
                Errno::EINVAL,
                "interrupt 0 (ghost): the interrupt controller does not know this line".into(),
            ),
            (
                "windows-other-trigger",
                Errno::EINVAL,
                "interrupt 0: the interrupt controller does not know this line, has it with another trigger, or has no memory for it".into(),
            ),
            (
                "windows-per-processor",
                Errno::EINVAL,
                "interrupt 0: each processor has a line of its own with this number, and no device has one".into(),
            ),
            ("windows-twice", Errno::EBUSY, format!("{window}: interrupt 1: another driver has this line")),
        ] {
            let log = kernel::log_since("map-suite:")?;
            let line = log.lines().find(|line| line.contains(&format!("map {device}: ")));
            ensure!(line.is_some_and(|line| line.contains(&words)), "of {device} the log says {line:?}, not {words:?}");
            kernel::logged(format!("map {device}: probe with driver map failed with error -{}\n", errno as i32))?;
            ensure!(!fs::exists(format!("{DRIVER}/{device}"))?, "{device} is bound");
        }
        // A line of a window that was refused is free again.
        let now = fs::read_to_string("/proc/interrupts")?;
        ensure!(!now.lines().any(|line| line.ends_with(" map-window")), "{now}");
    }
    let names =
        |text: &str| text.lines().map(|line| line.split_whitespace().last().map(str::to_owned)).collect::<Vec<_>>();
    let after = fs::read_to_string("/proc/interrupts")?;
    ensure!(names(&before) == names(&after), "before:\n{before}\nafter:\n{after}");
    Ok(())
}

fn a_window_is_called_as_a_file_of_its_line(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let spurious = Window::open("spurious")?;
    let line = spurious.line(0)?;
    ensure!(fs::metadata(format!("/proc/irq/{line}/spurious"))?.is_file(), "the file of the kernel is gone");
    ensure!(fs::metadata(format!("/proc/irq/{line}/map-spurious"))?.is_dir(), "no directory has the name of the line");
    let log = kernel::log_since("map-suite:")?;
    ensure!(!log.contains("already registered"), "{log}");
    Ok(())
}

fn every_interrupt_that_is_raised_is_counted(host: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let raiser = Raiser::new()?;
    let pulse = Window::open("pulse")?;
    let line = pulse.line(0)?;
    // A million, unless the machine is too busy for them. On arm the emulator takes three times as long for each.
    let chunks = if kernel::is_debug() {
        2
    } else if cfg!(target_arch = "arm") {
        25
    } else {
        100
    };
    let eventfd = eventfd()?;
    pulse.set_eventfd(0, eventfd.as_fd().as_raw_fd())?;
    pulse.unmask(EDGE)?;
    let before = counted_by_kernel(line)?;
    let (mut here, mut there) = UnixStream::pair()?;
    let begin = Instant::now();
    let mut raising = Child::spawn(|| {
        let mut work = || -> Result<()> {
            let mut raised = 0_u64;
            for _ in 0..chunks {
                if begin.elapsed() < Duration::from_secs(150) {
                    raiser.raise(line, CHUNK, 0)?;
                    raised += u64::from(CHUNK);
                }
            }
            Ok(there.write_all(&raised.to_ne_bytes())?)
        };
        verdict(work().is_ok(), true)
    })?;
    let (mut sum, mut waits) = (0, 0_u64);
    let mut take = |timeout| -> Result<()> {
        match pulse.wait(EDGE, timeout) {
            Ok(came) => sum += came.counts[0],
            Err(Errno::ETIMEDOUT) => return Ok(()),
            Err(errno) => bail!("{errno}"),
        }
        waits += 1;
        Ok(())
    };
    while raising.is_running()? {
        take(SECOND)?;
        // What comes in between is counted; and the emulator is not kept busy by switching processes.
        thread::sleep(Duration::from_millis(2));
    }
    take(NOW)?;
    let mut raised = [0; 8];
    here.read_exact(&mut raised)?;
    let raised = u64::from_ne_bytes(raised);
    ensure!(sum == raised, "{sum} came of {raised}");
    let all = [pulse.irq(0)?.count, signals(&eventfd)?, counted_by_kernel(line)? - before];
    ensure!(all == [sum; 3], "{all:?}, not {sum}");
    host.note(format!("{raised} interrupts, taken by {waits} waits in {:.0?}", begin.elapsed()))
}

fn a_wait_takes_the_interrupts_before_it_and_between(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let raiser = Raiser::new()?;
    let pulse = Window::open("pulse")?;
    pulse.unmask(EDGE | LEVEL | OTHER)?;
    pulse.none_came(EDGE | LEVEL | OTHER)?;
    raiser.raise(pulse.line(0)?, 3, 0)?;
    raiser.raise(pulse.line(2)?, 1, 0)?;
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", pulse.file.as_raw_fd()))?;
    ensure!(info.contains("map-irq:\t0 edge 3\n"), "{info}");
    // Only those that are named are taken.
    pulse.none_came(LEVEL)?;
    pulse.came(EDGE | LEVEL, &[(0, 3)])?;
    pulse.none_came(EDGE)?;
    pulse.came(EDGE | LEVEL | OTHER, &[(2, 1)])?;
    // A descriptor that is a copy, and a child, are the same open file.
    raiser.raise(pulse.line(0)?, 2, 0)?;
    let copy = Window { file: File::from(dup(&pulse.file)?), name: "pulse" };
    child::succeeds_in_child(|| verdict(copy.wait(EDGE, SOON).map(|wait| wait.counts[0]), Ok(2)))?;
    pulse.none_came(EDGE)?;
    // One that comes while a process sleeps wakes it.
    let sleeper = Child::spawn(|| verdict(pulse.wait(EDGE, NEVER).map(|wait| wait.counts[0]), Ok(1)))?;
    until_asleep("pulse", 1)?;
    raiser.raise(pulse.line(2)?, 1, 0)?;
    raiser.raise(pulse.line(0)?, 1, 0)?;
    child::check(sleeper.wait()?)?;
    pulse.came(EDGE | OTHER, &[(2, 1)])?;
    // What does not reach the program is not lost.
    raiser.raise(pulse.line(0)?, 1, 0)?;
    let zeros = Vma::map(&File::open("/dev/zero")?, 0, PAGE as usize, READ_WRITE, MapFlags::MAP_PRIVATE)?;
    zeros.store(0, EDGE as u8);
    zeros.protect(ProtFlags::PROT_READ)?;
    let result = ask_at(&pulse.file, IOC_IRQ_WAIT, zeros.address());
    ensure!(result == Err(Errno::EFAULT), "{result:?}");
    pulse.came(EDGE, &[(0, 1)])
}

/// Has signal SIGUSR1 interrupt calls, or restart them.
fn catch_signals(flags: SaFlags) -> Result<()> {
    extern "C" fn caught(_: i32) {}
    let action = SigAction::new(SigHandler::Handler(caught), flags, SigSet::empty());
    // SAFETY: the handler does nothing.
    unsafe { sigaction(Signal::SIGUSR1, &action) }?;
    Ok(())
}

fn a_wait_for_an_interrupt_ends_with_its_time_or_a_signal(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let raiser = Raiser::new()?;
    let pulse = Window::open("pulse")?;
    pulse.unmask(EDGE)?;
    pulse.none_came(EDGE)?;
    for timeout in [1, 1_000_000, 60_000_000] {
        let begin = Instant::now();
        let result = pulse.wait(EDGE, timeout);
        let took = begin.elapsed();
        ensure!(
            result == Err(Errno::ETIMEDOUT) && took.as_nanos() >= timeout as u128,
            "{timeout}: {result:?} {took:?}"
        );
        ensure!(took < Duration::from_secs(20), "{timeout}: {took:?}");
    }
    // The largest times do not overflow. A signal ends a call with a time, whatever its action says.
    for (timeout, flags, restarts) in [
        (i64::MAX, SaFlags::SA_RESTART, false),
        (i64::MAX / 2, SaFlags::empty(), false),
        (i64::MAX / 2 + 1, SaFlags::empty(), false),
        (3600 * SECOND, SaFlags::SA_RESTART, false),
        (NEVER, SaFlags::empty(), false),
        (NEVER, SaFlags::SA_RESTART, true),
        (i64::MIN, SaFlags::SA_RESTART, true),
    ] {
        let expected = if restarts { Ok(1) } else { Err(Errno::EINTR) };
        let sleeper = Child::spawn_ready(|ready| {
            if catch_signals(flags).is_err() || ready.signal().is_err() {
                return 9;
            }
            verdict(pulse.wait(EDGE, timeout).map(|wait| wait.counts[0]), expected)
        })?;
        until_asleep("pulse", 1)?;
        kill(sleeper.pid(), Signal::SIGUSR1)?;
        if restarts {
            thread::sleep(Duration::from_millis(50));
            until_asleep("pulse", 1)?;
            raiser.raise(pulse.line(0)?, 1, 0)?;
        }
        child::check(sleeper.wait()?).with_context(|| format!("{timeout} {flags:?}"))?;
        until_asleep("pulse", 0)?;
    }
    // A signal that kills leaves nobody asleep.
    let sleeper = Child::spawn(|| verdict(pulse.wait(EDGE, NEVER).is_ok(), false))?;
    until_asleep("pulse", 1)?;
    sleeper.kill()?;
    until_asleep("pulse", 0)
}

fn poll_and_epoll_see_an_interrupt_until_it_is_taken(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let raiser = Raiser::new()?;
    let pulse = Window::open("pulse")?;
    let line = pulse.line(0)?;
    pulse.unmask(EDGE)?;
    let epoll = |flags| -> Result<Epoll> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&pulse.file, EpollEvent::new(EpollFlags::EPOLLIN | flags, 7))?;
        Ok(epoll)
    };
    let (by_level, by_edge) = (epoll(EpollFlags::empty())?, epoll(EpollFlags::EPOLLET)?);
    let seen = |epoll: &Epoll| -> Result<Option<EpollFlags>> {
        let mut events = [EpollEvent::empty()];
        let count = epoll.wait(&mut events, EpollTimeout::ZERO)?;
        Ok((count == 1).then(|| events[0].events()))
    };
    for _ in 0..3 {
        ensure!(pulse.polled()?.is_empty() && seen(&by_level)?.is_none() && seen(&by_edge)?.is_none(), "too early");
        raiser.raise(line, 1, 0)?;
        ensure!(pulse.polled()? == PollFlags::POLLIN, "{:?}", pulse.polled()?);
        ensure!(seen(&by_level)? == Some(EpollFlags::EPOLLIN), "by level");
        ensure!(seen(&by_level)? == Some(EpollFlags::EPOLLIN), "by level, again");
        ensure!(seen(&by_edge)? == Some(EpollFlags::EPOLLIN), "by edge");
        ensure!(seen(&by_edge)?.is_none(), "by edge, again");
        // The next interrupt is an edge for epoll, too.
        raiser.raise(line, 1, 0)?;
        ensure!(seen(&by_edge)? == Some(EpollFlags::EPOLLIN), "by edge, the next one");
        pulse.came(EDGE, &[(0, 2)])?;
    }
    // It wakes a process that sleeps in poll(2).
    let sleeper = Child::spawn_ready(|ready| {
        let mut fds = [PollFd::new(pulse.file.as_fd(), PollFlags::POLLIN)];
        if ready.signal().is_err() {
            return 9;
        }
        verdict(poll(&mut fds, PollTimeout::from(20_000_u16)), Ok(1))
    })?;
    thread::sleep(Duration::from_millis(50));
    raiser.raise(line, 1, 0)?;
    child::check(sleeper.wait()?)
}

fn an_interrupt_wakes_every_file_that_is_watched_exclusively(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let raiser = Raiser::new()?;
    let pulse = Window::open("pulse")?;
    pulse.unmask(EDGE)?;
    let waiting = (0..3)
        .map(|_| {
            Child::spawn_ready(|ready| {
                let mut wait = || -> Result<EpollFlags> {
                    let pulse = Window::open("pulse")?;
                    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
                    let exclusive = EpollFlags::EPOLLIN | EpollFlags::EPOLLEXCLUSIVE;
                    epoll.add(&pulse.file, EpollEvent::new(exclusive, 0))?;
                    ready.signal()?;
                    let mut events = [EpollEvent::empty()];
                    ensure!(epoll.wait(&mut events, EpollTimeout::from(10_000_u16))? == 1, "nothing");
                    Ok(events[0].events())
                };
                verdict(wait().ok(), Some(EpollFlags::EPOLLIN))
            })
        })
        .collect::<Result<Vec<_>>>()?;
    thread::sleep(Duration::from_millis(200));
    raiser.raise(pulse.line(0)?, 1, 0)?;
    waiting.into_iter().try_for_each(|child| child::check(child.wait()?))
}

fn a_window_that_goes_wakes_who_waits_for_nothing_else(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let gone = PollFlags::POLLERR | PollFlags::POLLHUP;
    let pulse = Window::open("pulse")?;
    let by_poll = Child::spawn_ready(|ready| {
        let mut fds = [PollFd::new(pulse.file.as_fd(), PollFlags::empty())];
        if ready.signal().is_err() {
            return 9;
        }
        let polled = poll(&mut fds, PollTimeout::from(20_000_u16));
        verdict((polled, fds[0].revents()), (Ok(1), Some(gone)))
    })?;
    let by_epoll = |flags| {
        Child::spawn_ready(move |ready| {
            let mut wait = || -> Result<EpollFlags> {
                let pulse = Window::open("pulse")?;
                let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
                epoll.add(&pulse.file, EpollEvent::new(flags, 0))?;
                ready.signal()?;
                let mut events = [EpollEvent::empty()];
                ensure!(epoll.wait(&mut events, EpollTimeout::from(20_000_u16))? == 1, "nothing");
                Ok(events[0].events())
            };
            verdict(wait().ok(), Some(EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP))
        })
    };
    let by_epoll = [by_epoll(EpollFlags::empty())?, by_epoll(EpollFlags::EPOLLHUP)?];
    thread::sleep(Duration::from_millis(100));
    let begin = Instant::now();
    unbind(LINES)?;
    child::check(by_poll.wait()?).context("poll(2)")?;
    by_epoll.into_iter().try_for_each(|child| child::check(child.wait()?)).context("epoll")?;
    ensure!(begin.elapsed() < Duration::from_secs(10), "they woke after {:?}", begin.elapsed());
    bind(LINES)
}

/// Waits until a child has ended, and fails if that takes too long or it fails.
pub fn ends_soon(child: &mut Child) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(30);
    while child.is_running()? {
        ensure!(Instant::now() < end, "it still waits");
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// What the tests of transfers write.
const TEXT: [u8; 4] = *b"text";

/// Writes a window by io_uring, and reads it.
#[cfg(not(target_arch = "arm"))]
fn by_ring(window: &Window) -> Result<()> {
    let file = window.file.as_raw_fd();
    let mut write = Child::spawn(|| {
        let written = Ring::new().map(|mut ring| ring.write(file, TEXT.as_ptr().expose_provenance(), 4, 64));
        verdict(written.ok(), Some(4))
    })?;
    ends_soon(&mut write).with_context(|| format!("writing {}", window.name))?;
    let mut read = Child::spawn(|| {
        let mut found = [0_u8; 4];
        let read = Ring::new().map(|mut ring| ring.read(file, found.as_mut_ptr().expose_provenance(), 4, 64));
        verdict((read.ok(), found), (Some(4), TEXT))
    })?;
    ends_soon(&mut read).with_context(|| format!("reading {}", window.name))
}

#[cfg(target_arch = "arm")]
fn by_ring(_: &Window) -> Result<()> {
    Err(Skip("io_uring has no bindings for this processor".into()).into())
}

fn io_uring_reads_and_writes_without_an_interrupt(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let pulse = Window::open("pulse")?;
    // One can always write.
    let mut fds = [PollFd::new(pulse.file.as_fd(), PollFlags::POLLIN | PollFlags::POLLOUT)];
    poll(&mut fds, PollTimeout::ZERO)?;
    ensure!(fds[0].revents() == Some(PollFlags::POLLOUT), "{:?}", fds[0].revents());
    // A call that must not wait does not.
    pulse.file.write_all_at(&TEXT, 32)?;
    let mut found = [0_u8; 4];
    let place = libc::iovec { iov_base: found.as_mut_ptr().cast(), iov_len: 4 };
    // SAFETY: the array is writable.
    let read = Errno::result(unsafe { libc::preadv2(pulse.file.as_raw_fd(), &place, 1, 32, libc::RWF_NOWAIT) });
    ensure!((read, found) == (Ok(4), TEXT), "{read:?}, {found:?}");
    by_ring(&Window::open("plain")?)?;
    by_ring(&pulse)
}

fn an_eventfd_is_signalled_for_each_interrupt(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let raiser = Raiser::new()?;
    let pulse = Window::open("pulse")?;
    let line = pulse.line(0)?;
    pulse.unmask(EDGE | OTHER)?;
    let (first, second) = (eventfd()?, eventfd()?);
    let raw = |eventfd: &EventFd| eventfd.as_fd().as_raw_fd();
    pulse.set_eventfd(0, raw(&first))?;
    ensure!(pulse.irq(0)?.flags == IRQ_EVENTFD && pulse.irq(1)?.flags & IRQ_EVENTFD == 0, "{:?}", pulse.irq(0)?);
    raiser.raise(line, 5, 0)?;
    raiser.raise(pulse.line(2)?, 1, 0)?;
    ensure!(signals(&first)? == 5, "the eventfd of an interrupt counts others, or not all");
    // In addition to the count.
    pulse.came(EDGE, &[(0, 5)])?;
    // The file that set it may replace it, nobody else.
    let other = Window::open("pulse")?;
    for fd in [raw(&second), -1] {
        let result = other.set_eventfd(0, fd);
        ensure!(result == Err(Errno::EBUSY), "{result:?}");
    }
    pulse.set_eventfd(0, raw(&second))?;
    raiser.raise(line, 1, 0)?;
    ensure!((signals(&first)?, signals(&second)?) == (0, 1), "the wrong eventfd was signalled");
    // It stays when its descriptor is closed, and nobody sees it.
    drop(second);
    raiser.raise(line, 1, 0)?;
    pulse.set_eventfd(0, -1)?;
    pulse.set_eventfd(0, -1)?;
    ensure!(pulse.irq(0)?.flags == 0, "{:?}", pulse.irq(0)?);
    raiser.raise(line, 1, 0)?;
    ensure!(signals(&first)? == 0, "an eventfd that was taken away was signalled");
    // Now another file may, until it is closed: this file is still open.
    other.set_eventfd(0, raw(&first))?;
    ensure!(pulse.set_eventfd(0, raw(&first)) == Err(Errno::EBUSY), "two files set one");
    drop(other);
    raiser.raise(line, 1, 0)?;
    ensure!(signals(&first)? == 0 && pulse.irq(0)?.flags == 0, "the eventfd of a closed file is left");
    // One eventfd for two interrupts.
    pulse.set_eventfd(0, raw(&first))?;
    pulse.set_eventfd(2, raw(&first))?;
    raiser.raise(line, 1, 0)?;
    raiser.raise(pulse.line(2)?, 1, 0)?;
    ensure!(signals(&first)? == 2, "two interrupts");
    // What is no eventfd.
    let (stream, _other) = UnixStream::pair()?;
    for (index, fd, errno) in [
        (1, stream.as_raw_fd(), Errno::EINVAL),
        (1, pulse.file.as_raw_fd(), Errno::EINVAL),
        (1, 999, Errno::EBADF),
        (1, -2, Errno::EBADF),
        (1, i32::MIN, Errno::EBADF),
        (3, raw(&first), Errno::EINVAL),
        (16, raw(&first), Errno::EINVAL),
        (32, -1, Errno::EINVAL),
        (u32::MAX, raw(&first), Errno::EINVAL),
    ] {
        let result = pulse.set_eventfd(index, fd);
        ensure!(result == Err(errno), "{index} {fd}: {result:?}, not {errno:?}");
    }
    let reader = Window::open_to_read("pulse")?;
    let result = reader.set_eventfd(1, raw(&first));
    ensure!(result == Err(Errno::EACCES), "{result:?}");
    ensure!(pulse.irq(1)?.flags & IRQ_EVENTFD == 0, "{:?}", pulse.irq(1)?);
    Ok(())
}

fn an_edge_interrupt_that_comes_while_masked_comes_when_unmasked(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let raiser = Raiser::new()?;
    let pulse = Window::open("pulse")?;
    let line = pulse.line(0)?;
    // Before the line is enabled for the first time, and later.
    for _ in 0..3 {
        raiser.raise(line, 1, 0)?;
        thread::sleep(Duration::from_millis(20));
        pulse.none_came(EDGE)?;
        pulse.unmask(EDGE)?;
        pulse.came(EDGE, &[(0, 1)])?;
        raiser.raise(line, 2, 0)?;
        pulse.came(EDGE, &[(0, 2)])?;
        pulse.set_masked(EDGE, 1)?;
    }
    Ok(())
}

fn a_level_interrupt_is_masked_when_it_comes(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let raiser = Raiser::new()?;
    let pulse = Window::open("pulse")?;
    let line = pulse.line(1)?;
    for _ in 0..3 {
        pulse.unmask(LEVEL)?;
        ensure!(pulse.irq(1)?.flags == IRQ_LEVEL, "{:?}", pulse.irq(1)?);
        raiser.raise(line, 1, 0)?;
        pulse.came(LEVEL, &[(1, 1)])?;
        ensure!(pulse.irq(1)?.flags == IRQ_LEVEL | IRQ_MASKED, "{:?}", pulse.irq(1)?);
        let result = pulse.set_masked(LEVEL, 1);
        ensure!(result == Err(Errno::EALREADY), "{result:?}");
    }
    Ok(())
}

fn masking_an_interrupt_twice_is_ealready_and_changes_nothing(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let raiser = Raiser::new()?;
    let pulse = Window::open("pulse")?;
    let masked =
        || -> Result<Vec<bool>> { (0..3).map(|index| Ok(pulse.irq(index)?.flags & IRQ_MASKED != 0)).collect() };
    let already = |bits, mask| {
        let result = pulse.set_masked(bits, mask);
        ensure!(result == Err(Errno::EALREADY), "{bits:#x} {mask}: {result:?}");
        Ok(())
    };
    already(EDGE, 1)?;
    already(EDGE | LEVEL | OTHER, 1)?;
    pulse.unmask(EDGE)?;
    already(EDGE, 0)?;
    // All of them or none.
    already(EDGE | LEVEL, 0)?;
    already(EDGE | LEVEL, 1)?;
    ensure!(masked()? == [false, true, true], "{:?}", masked()?);
    pulse.unmask(LEVEL | OTHER)?;
    ensure!(masked()? == [false; 3], "{:?}", masked()?);
    pulse.set_masked(EDGE | OTHER, 1)?;
    ensure!(masked()? == [true, false, true], "{:?}", masked()?);
    pulse.unmask(EDGE | OTHER)?;
    // The kernel's own count of disables is right: each line works.
    for index in 0..3 {
        raiser.raise(pulse.line(index)?, 1, 0)?;
    }
    let mut come = 0;
    while come != EDGE | LEVEL | OTHER {
        come |= pulse.wait(EDGE | LEVEL | OTHER, SOON)?.interrupts;
    }
    Ok(())
}

fn every_open_file_counts_interrupts_of_its_own(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let raiser = Raiser::new()?;
    let first = Window::open("pulse")?;
    let line = first.line(0)?;
    first.unmask(EDGE)?;
    raiser.raise(line, 2, 0)?;
    // A reader may wait; it has what came since its open.
    let second = Window::open_to_read("pulse")?;
    second.none_came(EDGE)?;
    raiser.raise(line, 3, 0)?;
    second.came(EDGE, &[(0, 3)])?;
    first.came(EDGE, &[(0, 5)])?;
    ensure!(first.irq(0)?.count == 5 && second.irq(0)?.count == 5, "{:?}", first.irq(0)?);
    let result = second.set_masked(EDGE, 1);
    ensure!(result == Err(Errno::EACCES), "{result:?}");
    // One interrupt wakes all who wait.
    let sleepers: Vec<_> = [&first, &second, &second]
        .iter()
        .map(|window| Child::spawn(move || verdict(window.wait(EDGE, SOON).is_ok(), true)))
        .collect::<Result<_>>()?;
    until_asleep("pulse", 3)?;
    // Of the two who share a file, each takes one.
    raiser.raise(line, 1, 0)?;
    let end = Instant::now() + Duration::from_secs(20);
    while self::sleepers("pulse")? > 1 {
        ensure!(Instant::now() < end, "one interrupt does not wake two files");
        thread::sleep(Duration::from_millis(5));
    }
    raiser.raise(line, 1, 0)?;
    sleepers.into_iter().try_for_each(|sleeper| child::check(sleeper.wait()?))?;
    // The line stays as long as one file is open, and only the last close masks.
    drop(second);
    ensure!(first.irq(0)?.flags & IRQ_MASKED == 0, "the first of two closes masks");
    Ok(())
}

fn a_program_that_is_killed_leaves_every_interrupt_masked(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let raiser = Raiser::new()?;
    let (line, level) = {
        let pulse = Window::open("pulse")?;
        (pulse.line(0)?, pulse.line(1)?)
    };
    for _ in 0..3 {
        // Killed with everything unmasked but the level, which has come; and with an eventfd.
        let eventfd = eventfd()?;
        let killed = Child::spawn_ready(|ready| {
            let mut work = || -> Result<()> {
                let pulse = Window::open("pulse")?;
                pulse.unmask(EDGE | LEVEL | OTHER)?;
                pulse.set_eventfd(0, eventfd.as_fd().as_raw_fd())?;
                raiser.raise(level, 1, 0)?;
                pulse.came(LEVEL, &[(1, 1)])?;
                ready.signal()?;
                pulse.wait(EDGE, NEVER)?;
                Ok(())
            };
            verdict(work().is_ok(), true)
        })?;
        until_asleep("pulse", 1)?;
        killed.kill()?;
        let shown = fs::read_to_string(format!("/sys/class/map/map{}/interrupts", node_of("pulse")?))?;
        ensure!(shown.lines().all(|line| line.contains(" masked ")), "{shown}");
        // An edge that comes now waits for the next program, which finds a defined state.
        raiser.raise(line, 1, 0)?;
        let pulse = Window::open("pulse")?;
        for (index, flags) in [(0, IRQ_MASKED), (1, IRQ_MASKED | IRQ_LEVEL), (2, IRQ_MASKED)] {
            ensure!(pulse.irq(index)?.flags == flags, "{:?}", pulse.irq(index)?);
        }
        pulse.none_came(EDGE | LEVEL | OTHER)?;
        pulse.unmask(EDGE | LEVEL | OTHER)?;
        pulse.came(EDGE, &[(0, 1)])?;
        ensure!(signals(&eventfd)? == 0, "the eventfd of a program that was killed is left");
        raiser.raise(line, 2, 0)?;
        pulse.came(EDGE | LEVEL | OTHER, &[(0, 2)])?;
    }
    Ok(())
}

fn wrong_interrupts_are_refused_and_change_nothing(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let raiser = Raiser::new()?;
    let pulse = Window::open("pulse")?;
    pulse.unmask(EDGE)?;
    raiser.raise(pulse.line(0)?, 1, 0)?;
    for bits in [0, 1 << 3, EDGE | 1 << 3, 1 << 16, 1 << 31, u32::MAX] {
        for timeout in [NOW, NEVER] {
            let result = pulse.wait(bits, timeout);
            ensure!(result == Err(Errno::EINVAL), "waiting for {bits:#x}: {result:?}");
        }
        for masked in [0, 1] {
            let result = pulse.set_masked(bits, masked);
            ensure!(result == Err(Errno::EINVAL), "masking {bits:#x}: {result:?}");
        }
    }
    for flags in [1, 1 << 31, u32::MAX] {
        let mut wait = MapIrqWait { interrupts: EDGE, flags, ..Default::default() };
        let result = ask(&pulse.file, IOC_IRQ_WAIT, &mut wait);
        ensure!(result == Err(Errno::EINVAL), "flags {flags:#x}: {result:?}");
    }
    for masked in [2, u32::MAX] {
        let result = pulse.set_masked(EDGE, masked);
        ensure!(result == Err(Errno::EINVAL), "masked {masked:#x}: {result:?}");
    }
    for index in [3, 16, 32, 1 << 31, u32::MAX] {
        let result = pulse.irq(index);
        ensure!(result == Err(Errno::EINVAL), "{index}: {result:?}");
    }
    for command in [IOC_IRQ, IOC_IRQ_WAIT, IOC_IRQ_MASK, IOC_IRQ_EVENTFD] {
        for address in [0, 1, usize::MAX - 7] {
            let result = ask_at(&pulse.file, command, address);
            ensure!(result == Err(Errno::EFAULT), "{command:#x} at {address:#x}: {result:?}");
        }
        // Another size is another command.
        let result = ask_at(&pulse.file, command + (1 << 16), 0);
        ensure!(result == Err(Errno::ENOTTY), "{command:#x}: {result:?}");
    }
    let reader = Window::open_to_read("pulse")?;
    for masked in [0, 1] {
        let result = reader.set_masked(EDGE, masked);
        ensure!(result == Err(Errno::EACCES), "{result:?}");
    }
    pulse.came(EDGE | LEVEL | OTHER, &[(0, 1)])
}

fn a_window_that_goes_wakes_all_who_wait_for_interrupts(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let raiser = Raiser::new()?;
    for round in 0..3 {
        let pulse = Window::open("pulse")?;
        let line = pulse.line(0)?;
        let eventfd = eventfd()?;
        pulse.set_eventfd(0, eventfd.as_fd().as_raw_fd())?;
        pulse.unmask(EDGE | LEVEL)?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&pulse.file, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, 1))?;
        let mut waiting: Vec<_> = [NEVER, 3600 * SECOND, i64::MAX]
            .into_iter()
            .map(|timeout| {
                let window = &pulse;
                Child::spawn(move || verdict(window.wait(EDGE | LEVEL | OTHER, timeout).map(drop), Err(Errno::ENODEV)))
            })
            .collect::<Result<_>>()?;
        waiting.push(Child::spawn_ready(|ready| {
            let mut fds = [PollFd::new(pulse.file.as_fd(), PollFlags::POLLIN)];
            if ready.signal().is_err() {
                return 9;
            }
            let polled = poll(&mut fds, PollTimeout::from(20_000_u16));
            verdict((polled, fds[0].revents()), (Ok(1), Some(PollFlags::POLLERR | PollFlags::POLLHUP)))
        })?);
        until_asleep("pulse", 3)?;
        thread::sleep(Duration::from_millis(20));
        let begin = Instant::now();
        unbind(LINES)?;
        for child in waiting {
            child::check(child.wait()?).with_context(|| format!("round {round}"))?;
        }
        ensure!(begin.elapsed() < Duration::from_secs(10), "they woke after {:?}", begin.elapsed());
        ensure!(signals(&eventfd)? == 1, "the eventfd was not signalled once");
        let mut events = [EpollEvent::empty()];
        ensure!(epoll.wait(&mut events, EpollTimeout::ZERO)? == 1, "epoll sees nothing");
        let hup = EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP;
        ensure!(events[0].events() == hup, "{:?}", events[0]);
        for result in [
            pulse.irq(0).map(drop),
            pulse.wait(EDGE, NOW).map(drop),
            pulse.wait(EDGE, NEVER).map(drop),
            pulse.set_masked(EDGE, 1),
            pulse.set_masked(EDGE, 0),
            pulse.set_eventfd(0, -1),
        ] {
            ensure!(result == Err(Errno::ENODEV), "{result:?}");
        }
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", pulse.file.as_raw_fd()))?;
        ensure!(info.contains("map-mode:\tgone\n"), "{info}");
        // The line is free, and one that comes now comes when somebody wants it.
        let listed = fs::read_to_string("/proc/interrupts")?;
        ensure!(!listed.lines().any(|line| line.ends_with(" map-pulse")), "{listed}");
        raiser.raise(line, 1, 0)?;
        bind(LINES)?;
        let again = Window::open("pulse")?;
        again.none_came(EDGE)?;
        again.unmask(EDGE)?;
        again.came(EDGE, &[(0, 1)])?;
        ensure!(signals(&eventfd)? == 0, "the eventfd of a window that is gone was signalled");
        ensure!(pulse.wait(EDGE, NOW) == Err(Errno::ENODEV), "the old file sees the new window");
    }
    Ok(())
}

fn an_overlay_that_goes_wakes_who_waits_for_an_interrupt(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let raiser = Raiser::new()?;
    for _ in 0..2 {
        let overlay = Applied::new("interrupt")?;
        let late = Window::open("late")?;
        late.unmask(1)?;
        raiser.raise(late.line(0)?, 1, 0)?;
        late.came(1, &[(0, 1)])?;
        let waiting = Child::spawn(|| verdict(late.wait(1, NEVER).map(drop), Err(Errno::ENODEV)))?;
        until_asleep("late", 1)?;
        overlay.remove()?;
        child::check(waiting.wait()?)?;
    }
    Ok(())
}

fn an_interrupt_controller_that_goes_takes_its_windows_along(_: &mut Host) -> Result<()> {
    /// The device of the controller, and the one whose window has lines of it.
    const CONTROLLER: &str = "raise-lines";
    const BEHIND: &str = "windows-behind";
    let controller = |what: &str| {
        fs::write(format!("/sys/bus/platform/drivers/raise/{what}"), CONTROLLER).with_context(|| what.to_owned())
    };
    let is_bound = || fs::exists(format!("{DRIVER}/{BEHIND}"));
    let _loaded = Loaded::new()?;
    let overlay = Applied::new("controller")?;
    ensure!(!is_bound()?, "a device is bound without its interrupt controller");
    // The driver of the controller comes.
    let raiser = Raiser::new()?;
    for round in 0..3 {
        // A thread of the kernel binds the device when it finds the controller.
        let end = Instant::now() + Duration::from_secs(20);
        let behind = loop {
            match Window::open("behind") {
                Ok(behind) if is_bound()? => break behind,
                _ => ensure!(Instant::now() < end, "round {round}: the device is not bound"),
            }
            thread::sleep(Duration::from_millis(5));
        };
        ensure!(behind.irq(0)?.flags == IRQ_MASKED && behind.irq(1)?.flags == IRQ_LEVEL | IRQ_MASKED, "{round}");
        behind.unmask(3)?;
        let mut waiting = Child::spawn(|| verdict(behind.wait(3, NEVER).map(drop), Err(Errno::ENODEV)))?;
        until_asleep("behind", 1)?;
        controller("unbind")?;
        ensure!(!is_bound()?, "round {round}: the device is bound without its interrupt controller");
        ends_soon(&mut waiting).with_context(|| format!("round {round}"))?;
        ensure!(node_of("behind").is_err(), "round {round}: the window is there");
        ensure!(behind.set_masked(1, 1) == Err(Errno::ENODEV), "{:?}", behind.set_masked(1, 1));
        let listed = fs::read_to_string("/proc/interrupts")?;
        ensure!(!listed.contains("map-behind"), "{listed}");
        controller("bind")?;
        if !is_bound()? {
            // The kernel may be about to do so.
            let _ = sysfs("bind", BEHIND);
        }
    }
    overlay.remove()?;
    drop(raiser);
    Ok(())
}

fn the_module_stays_while_a_program_waits_for_an_interrupt(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let waiting = {
        let pulse = Window::open("pulse")?;
        pulse.unmask(EDGE)?;
        Child::spawn(move || verdict(pulse.wait(EDGE, NEVER).is_ok(), true))?
    };
    until_asleep("pulse", 1)?;
    let result = kernel::rmmod()?;
    ensure!(result == Err(Errno::EAGAIN) || result == Err(Errno::EBUSY), "{result:?}");
    waiting.kill()?;
    Ok(())
}

fn a_storm_of_interrupts_starves_nobody(host: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let raiser = Raiser::new()?;
    let pulse = Window::open("pulse")?;
    let line = pulse.line(0)?;
    pulse.unmask(EDGE)?;
    let chunks = if kernel::is_debug() { 1 } else { 20 };
    // 100,000 a second, or as many as the emulator can.
    let begin = Instant::now();
    let mut raising = Child::spawn(|| {
        let work = || {
            (0..chunks).try_for_each(|_| match begin.elapsed() {
                late if late > Duration::from_secs(60) => Ok(()),
                _ => raiser.raise(line, CHUNK, 10_000),
            })
        };
        verdict(work().is_ok(), true)
    })?;
    let (mut sum, mut turns, mut longest) = (0, 0_u64, Duration::ZERO);
    let mut last = Instant::now();
    while raising.is_running()? {
        // Another program's work: system calls, sleeps and files.
        fs::read_to_string("/proc/self/stat")?;
        thread::sleep(Duration::from_millis(1));
        if let Ok(came) = pulse.wait(EDGE, NOW) {
            sum += came.counts[0];
        }
        turns += 1;
        longest = longest.max(last.elapsed());
        last = Instant::now();
    }
    let took = begin.elapsed();
    if let Ok(came) = pulse.wait(EDGE, NOW) {
        sum += came.counts[0];
    }
    ensure!(sum == pulse.irq(0)?.count && sum % u64::from(CHUNK) == 0 && sum > 0, "{sum} came");
    ensure!(turns > 20 && longest < Duration::from_secs(10), "{turns} turns in {took:?}, the longest {longest:?}");
    let rate = sum as f64 / took.as_secs_f64();
    host.note(format!("{sum} interrupts, {rate:.0} a second; {turns} turns, the longest {longest:?}"))
}

fn sixteen_interrupts_come_side_by_side(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let raiser = Raiser::new()?;
    let sixteen = Window::open("sixteen")?;
    sixteen.unmask(0xffff)?;
    for index in 0..16 {
        raiser.raise(sixteen.line(index)?, index as u32 + 1, 0)?;
    }
    let expected: Vec<_> = (0..16).map(|index| (index, index as u64 + 1)).collect();
    sixteen.came(0xffff, &expected)?;
    let result = sixteen.wait(0x1_ffff, NOW);
    ensure!(result == Err(Errno::EINVAL), "{result:?}");
    Ok(())
}

fn an_interrupt_of_the_clock_wakes_a_program(_: &mut Host) -> Result<()> {
    /// Registers of the PL031.
    const DATA: usize = 0x00;
    const MATCH: usize = 0x04;
    const MASK: usize = 0x10;
    const CLEAR: usize = 0x1c;
    let _loaded = Loaded::new()?;
    let rtc = Window::open("rtc")?;
    let registers = Vma::shared(&rtc.file, 0, PAGE as usize)?;
    for _ in 0..2 {
        let now = registers.load_word(DATA);
        registers.store_word(CLEAR, 1);
        registers.store_word(MATCH, now + 2);
        registers.store_word(MASK, 1);
        rtc.unmask(1)?;
        rtc.came(1, &[(0, 1)])?;
        let woken = registers.load_word(DATA);
        ensure!((now + 2..now + 10).contains(&woken), "the alarm for {} came at {woken}", now + 2);
        // Masked until it is unmasked, although the device still asserts the line.
        thread::sleep(Duration::from_millis(20));
        rtc.none_came(1)?;
        ensure!(rtc.irq(0)?.flags == IRQ_LEVEL | IRQ_MASKED, "{:?}", rtc.irq(0)?);
        // Unmasked too early, it comes again, once.
        rtc.unmask(1)?;
        rtc.came(1, &[(0, 1)])?;
        registers.store_word(CLEAR, 1);
        rtc.unmask(1)?;
        thread::sleep(Duration::from_millis(20));
        rtc.none_came(1)?;
        rtc.set_masked(1, 1)?;
        registers.store_word(MASK, 0);
    }
    Ok(())
}

fn an_interrupt_of_the_power_button_reaches_a_program(host: &mut Host) -> Result<()> {
    /// Registers of the PL061, and the line of the button.
    const BOTH_EDGES: usize = 0x408;
    const RISING: usize = 0x40c;
    const ENABLE: usize = 0x410;
    const STATUS: usize = 0x418;
    const CLEAR: usize = 0x41c;
    const BUTTON: u32 = 1 << 3;
    let _loaded = Loaded::new()?;
    let gpio = Window::open("gpio")?;
    let registers = Vma::shared(&gpio.file, 0, PAGE as usize)?;
    registers.store_word(BOTH_EDGES, 0);
    registers.store_word(RISING, BUTTON);
    registers.store_word(CLEAR, 0xff);
    registers.store_word(ENABLE, BUTTON);
    for _ in 0..2 {
        gpio.unmask(1)?;
        gpio.none_came(1)?;
        host.press_power_button()?;
        gpio.came(1, &[(0, 1)])?;
        let status = registers.load_word(STATUS);
        ensure!(status == BUTTON, "{status:#x}");
        registers.store_word(CLEAR, BUTTON);
        // The button comes up again.
        thread::sleep(Duration::from_millis(300));
    }
    registers.store_word(ENABLE, 0);
    Ok(())
}

fn interrupts_race_with_programs_and_windows_that_come_and_go(host: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let raiser = Raiser::new()?;
    let (line, level) = {
        let pulse = Window::open("pulse")?;
        (pulse.line(0)?, pulse.line(1)?)
    };
    let rounds = if kernel::is_debug() { 15 } else { 60 };
    // Interrupts all the time, whether somebody takes them or not.
    let raising = Child::spawn(|| loop {
        let _ = raiser.raise(line, 1, 1000);
        let _ = raiser.raise(level, 1, 1000);
    })?;
    // Programs that open, unmask, wait, watch, fork, and close in any state.
    let users: Vec<_> = (0..3)
        .map(|seed| {
            Child::spawn(move || {
                let mut number = seed + 1_u32;
                let _ = catch_signals(SaFlags::empty());
                loop {
                    number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let Ok(pulse) = Window::open("pulse") else { continue };
                    let Ok(eventfd) = eventfd() else { continue };
                    let _ = pulse.set_masked(number >> 8 & 7, number >> 16 & 1);
                    let _ = pulse.set_eventfd(number >> 4 & 3, eventfd.as_fd().as_raw_fd());
                    if number & 1 << 20 == 0 {
                        let _ = pulse.wait(number >> 12 & 7, i64::from(number >> 10 & 0xf_ffff));
                    }
                    if number & 3 << 21 == 0 {
                        let _ = Child::spawn(|| {
                            let _ = pulse.set_masked(7, 0);
                            let _ = pulse.wait(7, 1_000_000);
                            0
                        });
                    }
                    let _ = pulse.polled();
                    let _ = pulse.set_masked(7, number >> 24 & 1);
                }
            })
        })
        .collect::<Result<_>>()?;
    for round in 0..rounds {
        thread::sleep(Duration::from_millis(10));
        for user in &users {
            kill(user.pid(), Signal::SIGUSR1)?;
        }
        unbind(LINES)?;
        if round % 3 == 0 {
            thread::sleep(Duration::from_millis(5));
        }
        bind(LINES)?;
    }
    for user in users {
        user.kill()?;
    }
    raising.kill()?;
    // Everything works as at the beginning, once the programs have ended that those have forked.
    let shown = format!("/sys/class/map/map{}/interrupts", node_of("pulse")?);
    let end = Instant::now() + Duration::from_secs(20);
    while fs::read_to_string(&shown)?.contains(" unmasked ") {
        ensure!(Instant::now() < end, "{}", fs::read_to_string(&shown)?);
        thread::sleep(Duration::from_millis(5));
    }
    let pulse = Window::open("pulse")?;
    pulse.unmask(EDGE | LEVEL | OTHER)?;
    thread::sleep(Duration::from_millis(20));
    // What was pending.
    let _ = pulse.wait(EDGE | LEVEL | OTHER, NOW);
    raiser.raise(line, 10, 0)?;
    pulse.came(EDGE, &[(0, 10)])?;
    host.note(format!("{rounds} times unbound and bound"))
}
