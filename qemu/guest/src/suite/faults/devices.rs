// SPDX-License-Identifier: MIT OR Apache-2.0

//! Devices with windows and interrupts, of `qemu/kernel/arm64-interrupts.dtso`: they are bound and unbound, and programs
//! use their interrupts.

use std::{
    cell::{Cell, RefCell},
    fs,
    os::fd::{AsFd, AsRawFd},
    ptr,
};

use anyhow::{ensure, Result};
use map_core::abi::{
    MapIrq, MapIrqEventfd, MapIrqMask, MapIrqWait, IOC_IRQ, IOC_IRQ_EVENTFD, IOC_IRQ_MASK, IOC_IRQ_WAIT, IRQ_EVENTFD,
    IRQ_LEVEL, IRQ_MASKED,
};
use nix::{
    errno::Errno,
    libc,
    sys::{
        epoll::{Epoll, EpollCreateFlags},
        eventfd::EventFd,
        signal::Signal,
    },
};

use super::{nothing, open, path, read, write, Injector, COPIES};
use crate::{
    child::{killed_by, Child},
    dt::{bind, unbind, DRIVER},
    host::{Host, PAGE},
    interrupts::{
        ends_soon, eventfd, node_of, signals, until_asleep, verdict, Raiser, Window, EDGE, LINES, NEVER, NOW,
    },
    kernel::{self, Loaded},
    raw::system,
    vma::Vma,
};

crate::tests! {
    devices_are_bound_and_unbound_at_every_point,
    calls_on_interrupts_fail_at_every_point,
}

/// The windows of the device, and the numbers of their interrupts.
const WINDOWS: [(&str, usize); 3] = [("pulse", 3), ("sixteen", 16), ("plain", 0)];

/// Fails unless the device is bound, with all that its windows have.
fn is_complete() -> Result<()> {
    ensure!(fs::exists(format!("{DRIVER}/{LINES}"))?, "the device is not bound");
    let listed = fs::read_to_string("/proc/interrupts")?;
    let debugged = fs::read_to_string("/sys/kernel/debug/map/interrupts")?;
    for (name, interrupts) in WINDOWS {
        node_of(name)?;
        let lines = listed.lines().filter(|line| line.ends_with(&format!(" map-{name}"))).count();
        ensure!(lines == interrupts, "{name} has {lines} lines, not {interrupts}:\n{listed}");
        let masked = debugged.lines().filter(|line| line.starts_with(&format!("{name} ")) && line.contains(" masked "));
        ensure!(masked.count() == interrupts, "not all interrupts of {name} are masked:\n{debugged}");
    }
    Ok(())
}

/// What is there without the device.
struct Without {
    regions: String,
}

impl Without {
    /// Unbinds the device.
    fn device() -> Result<Self> {
        unbind(LINES)?;
        let without = Self { regions: fs::read_to_string("/proc/iomem")? };
        without.is_now()?;
        Ok(without)
    }

    /// Fails if the device is bound, or if something of its windows is there.
    fn is_now(&self) -> Result<()> {
        ensure!(!fs::exists(format!("{DRIVER}/{LINES}"))?, "the device is bound");
        let listed = fs::read_to_string("/proc/interrupts")?;
        let debugged = fs::read_to_string("/sys/kernel/debug/map/windows")?;
        for (name, _) in WINDOWS {
            ensure!(!listed.contains(&format!(" map-{name}\n")), "{name} has a line:\n{listed}");
            ensure!(node_of(name).is_err(), "{name} has a node");
            ensure!(!debugged.contains(&format!("{name}@")), "{name} is listed:\n{debugged}");
        }
        let regions = fs::read_to_string("/proc/iomem")?;
        ensure!(regions == self.regions, "memory is claimed, or no more:\n{}\nnow:\n{regions}", self.regions);
        Ok(())
    }
}

/// The device, bound by the attempt; unbound when dropped.
struct Bound;

impl Drop for Bound {
    fn drop(&mut self) {
        // What stays bound, the next attempt finds.
        let _ = unbind(LINES);
    }
}

/// A window that goes while a program waits for its interrupt, maps it, and has an eventfd of it.
struct Used {
    waiting: RefCell<Child>,
    eventfd: EventFd,
    mapped: Vma,
    window: Window,
    _bound: Bound,
}

impl Used {
    fn new() -> Result<Self> {
        bind(LINES)?;
        let bound = Bound;
        let window = Window::open("pulse")?;
        let eventfd = eventfd()?;
        window.set_eventfd(1, eventfd.as_fd().as_raw_fd())?;
        window.unmask(EDGE)?;
        let mapped = Vma::shared(&window.file, 0, PAGE as usize)?;
        mapped.load_word(0);
        let waiting = Child::spawn(|| verdict(window.wait(EDGE, NEVER).map(drop), Err(Errno::ENODEV)))?;
        until_asleep("pulse", 1)?;
        Ok(Self { waiting: RefCell::new(waiting), eventfd, mapped, window, _bound: bound })
    }

    /// Fails unless the window is as before.
    fn is_there(&self) -> Result<()> {
        ensure!(fs::exists(format!("{DRIVER}/{LINES}"))?, "the device is not bound");
        ensure!(self.waiting.borrow_mut().is_running()?, "the program waits no more");
        ensure!(signals(&self.eventfd)? == 0, "the eventfd was signalled");
        let flags = [self.window.irq(0)?.flags, self.window.irq(1)?.flags];
        ensure!(flags == [0, IRQ_LEVEL | IRQ_MASKED | IRQ_EVENTFD], "{flags:?}");
        self.mapped.load_word(0);
        Ok(())
    }

    /// Fails unless everybody is told that the window has gone.
    fn has_gone(&self) -> Result<()> {
        ends_soon(&mut self.waiting.borrow_mut())?;
        ensure!(signals(&self.eventfd)? == 1, "the eventfd was not signalled once");
        let late = self.window.wait(EDGE, NOW).map(drop);
        ensure!(late == Err(Errno::ENODEV), "{late:?}");
        killed_by(Signal::SIGBUS, || self.mapped.load_word(0))
    }
}

fn devices_are_bound_and_unbound_at_every_point(host: &mut Host) -> Result<()> {
    let mut injector = Injector { every: 10, ..Injector::new()? };
    let before = kernel::traces()?;
    let loaded = Loaded::new()?;
    is_complete()?;
    let without = Without::device()?;
    let bind = path(&format!("{DRIVER}/bind"))?;
    injector.each_checked(
        ("binding a device", COPIES, 100),
        || without.is_now(),
        |()| write(&bind, LINES).map(|_| Bound),
        |(), bound| bound.map_or_else(|_| without.is_now(), |_| is_complete()),
    )?;
    let unbind = path(&format!("{DRIVER}/unbind"))?;
    injector.each_checked(
        ("unbinding a device that is used", COPIES, 1),
        Used::new,
        |_| write(&unbind, LINES),
        |used, result| match result {
            Ok(_) => without.is_now().and_then(|()| used.has_gone()),
            Err(_) => used.is_there(),
        },
    )?;
    without.is_now()?;
    drop(loaded);
    kernel::unchanged(&before, &kernel::traces()?)?;
    injector.finish(host)
}

fn calls_on_interrupts_fail_at_every_point(host: &mut Host) -> Result<()> {
    let mut injector = Injector::new()?;
    let loaded = Loaded::new()?;
    let raiser = Raiser::new()?;
    let window = Window::open("pulse")?;
    let (line, file) = (window.line(0)?, window.file.as_raw_fd() as usize);
    let ask = |command: u32, address: usize| system(libc::SYS_ioctl, [file, command as usize, address, 0, 0, 0]);
    let name = path(&format!("/dev/map{}", node_of("pulse")?))?;
    injector.each(("open of a window with interrupts", COPIES, 4), nothing, |()| open(&name, libc::O_RDWR))?;
    injector.each(("MAP_IOC_IRQ", COPIES, 2), nothing, |()| {
        let mut interrupt = MapIrq { index: 1, ..Default::default() };
        ask(IOC_IRQ, ptr::from_mut(&mut interrupt) as usize)
    })?;

    // A failure changes nothing; afterwards the interrupt is masked again.
    struct Masked<'a>(&'a Window);
    impl Drop for Masked<'_> {
        fn drop(&mut self) {
            let _ = self.0.set_masked(EDGE, 1);
        }
    }
    injector.each_checked(
        ("MAP_IOC_IRQ_MASK", COPIES, 1),
        || Ok(Masked(&window)),
        |_| {
            let mut mask = MapIrqMask { interrupts: EDGE, masked: 0 };
            ask(IOC_IRQ_MASK, ptr::from_mut(&mut mask) as usize)
        },
        |_, result| {
            let (flags, masked) = (window.irq(0)?.flags, if result.is_ok() { 0 } else { IRQ_MASKED });
            ensure!(flags == masked, "{flags:#x}");
            Ok(())
        },
    )?;

    let eventfd = eventfd()?;
    struct Set<'a>(&'a Window);
    impl Drop for Set<'_> {
        fn drop(&mut self) {
            let _ = self.0.set_eventfd(0, -1);
        }
    }
    injector.each_checked(
        ("MAP_IOC_IRQ_EVENTFD", COPIES, 1),
        || Ok(Set(&window)),
        |_| {
            let mut set = MapIrqEventfd { index: 0, fd: eventfd.as_fd().as_raw_fd() };
            ask(IOC_IRQ_EVENTFD, ptr::from_mut(&mut set) as usize)
        },
        |_, result| {
            let (flags, set) = (window.irq(0)?.flags, if result.is_ok() { IRQ_EVENTFD } else { 0 });
            ensure!(flags == IRQ_MASKED | set, "{flags:#x}");
            Ok(())
        },
    )?;

    // Interrupts that a call could not tell of are told of by the next one.
    window.unmask(EDGE)?;
    let expected = Cell::new(0);
    injector.each_checked(
        ("MAP_IOC_IRQ_WAIT", COPIES, 2),
        || {
            expected.set(expected.get() + 3);
            raiser.raise(line, 3, 0)
        },
        |()| {
            let mut wait = MapIrqWait { interrupts: EDGE, ..Default::default() };
            ask(IOC_IRQ_WAIT, ptr::from_mut(&mut wait) as usize).map(|_| wait.counts[0])
        },
        |(), result| match result {
            Ok(came) => {
                ensure!(*came == expected.replace(0), "{came} came");
                Ok(())
            }
            Err(_) => Ok(()),
        },
    )?;
    window.none_came(EDGE)?;

    let polled = || {
        let mut fds = libc::pollfd { fd: file as i32, events: libc::POLLIN, revents: 0 };
        let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let (fds, now) = (ptr::from_mut(&mut fds) as usize, ptr::from_ref(&now) as usize);
        system(libc::SYS_ppoll, [fds, 1, now, 0, 0, 0])
    };
    injector.each(("poll", COPIES, 2), nothing, |()| polled())?;
    let epoll = || Ok(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?);
    injector.each(("adding to epoll", COPIES, 2), epoll, |epoll| {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 1 };
        let (epoll, event) = (epoll.0.as_raw_fd() as usize, ptr::from_mut(&mut event) as usize);
        system(libc::SYS_epoll_ctl, [epoll, libc::EPOLL_CTL_ADD as usize, file, event, 0, 0])
    })?;
    for (what, name) in [
        ("read of fdinfo", format!("/proc/self/fdinfo/{file}")),
        ("read of the interrupts in sysfs", format!("/sys/class/map/map{}/interrupts", node_of("pulse")?)),
        ("read of the interrupts in debugfs", "/sys/kernel/debug/map/interrupts".into()),
    ] {
        let name = path(&name)?;
        injector.each((what, COPIES, 3), nothing, |()| read(&name))?;
    }
    drop((window, raiser, loaded));
    injector.finish(host)
}
