// SPDX-License-Identifier: MIT OR Apache-2.0

//! Interrupts of windows, as the library and the command line give them to programs. The windows `rtc` and `gpio` of
//! the suite's device tree have one each.

use std::{
    fs,
    io::ErrorKind,
    os::fd::AsFd,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{ensure, Context, Result};
use devmap::{
    interrupt::{State, Trigger},
    Device, Error, Interrupt,
};
use map_protocol::RAISE;
use nix::{
    poll::{poll, PollFd, PollFlags, PollTimeout},
    sys::eventfd::{EfdFlags, EventFd},
};

use crate::{
    arch::NARROW_WIDEST,
    dt,
    host::Host,
    kernel::Loaded,
    program::{devmap, shell, Ran, Running},
    userspace::{self, until, Clock, Reading},
};

crate::tests! {
    the_alarm_of_a_window_rings,
    the_button_behind_a_window_is_pressed,
    one_thread_waits_for_two_windows,
    window_counts_are_those_of_the_open_file,
    a_wait_for_a_window_ends,
    the_command_line_waits_for_a_window,
    interrupts_are_listed_with_their_windows,
    several_interrupts_have_names,
    a_window_says_what_it_refuses,
    an_eventfd_has_every_interrupt,
    a_program_that_is_killed_leaves_a_masked_interrupt,
    a_window_that_goes_wakes_who_waits,
}

const RTC: &str = "rtc";
const GPIO: &str = "gpio";

/// The path of the clock's node.
fn node() -> Result<String> {
    let is_it = |node: &Path| fs::read_to_string(node.join("name")).is_ok_and(|name| name.trim() == RTC);
    let found = fs::read_dir("/sys/class/map")?.flatten().find(|node| is_it(&node.path()));
    let name = found.context("there is no such window")?.file_name();
    Ok(format!("/dev/{}", name.to_str().context("no text")?))
}

/// The name of the clock's interrupt, or its index.
fn irq() -> Result<String> {
    Ok(Device::window(RTC)?.interrupts()?.first().to_string())
}

fn the_alarm_of_a_window_rings(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    userspace::the_alarm_rings(RTC)
}

fn the_button_behind_a_window_is_pressed(host: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    userspace::the_button_is_pressed(host, GPIO)
}

fn one_thread_waits_for_two_windows(host: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    userspace::one_thread_waits_for_both(host, RTC, GPIO)
}

fn window_counts_are_those_of_the_open_file(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    userspace::counts_are_those_of_the_open_file(RTC)
}

fn a_wait_for_a_window_ends(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    userspace::a_wait_ends(RTC)
}

fn the_command_line_waits_for_a_window(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let irq = irq()?;
    userspace::the_command_line_waits(RTC, &irq)?;
    // By the path of its node, too.
    let path = node()?;
    devmap(&format!("wait-irq {path} --timeout 10ms"))?.failed(5, &[&format!("timed out: {path}: 0 of 1")])?;
    devmap(&format!("wait-irq {path}/{irq} --timeout 10ms"))?
        .failed(5, &[&format!("timed out: {path}/{irq}: 0 of 1")])?;
    devmap("wait-irq /dev/map")?.failed(3, &["it is the node of all windows"])
}

fn interrupts_are_listed_with_their_windows(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&["windows=sdram@0xc0000000+1M"])?;
    let device = Device::window(RTC)?;
    let interrupts = device.interrupts()?;
    let interrupt = interrupts.first();
    let (name, count) = (interrupt.name(), interrupt.state()?.count);
    is_masked(interrupt.state()?, count)?;
    let shown = if name.is_empty() { "-" } else { name };
    let listed = |command: &str, masked: &str| -> Result<()> {
        let expected = [RTC, "0", shown, "level", masked, &count.to_string()].join(" ");
        let ran = devmap(command)?;
        let mut lines = ran.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        ensure!(lines.any(|line| line == expected), "no line {expected:?}: {ran:?}");
        Ok(())
    };
    for command in ["windows", "info", &format!("info --device {}", node()?)] {
        listed(command, "yes")?;
        interrupt.unmask()?;
        listed(command, "no")?;
        interrupt.mask()?;
    }
    let json = devmap("windows --json")?;
    let object =
        format!(r#""interrupts":[{{"index":0,"name":"{name}","trigger":"level","masked":true,"count":{count}}}]"#);
    let has = |name: &str| {
        json.out.lines().any(|line| line.contains(&format!("\"name\":\"{name}\"")) && line.contains(&object))
    };
    ensure!(has(RTC) && !has("sdram"), "{object}: {json:?}");
    // Shells complete the names of those windows that have interrupts.
    let proposed = shell("DEVMAP_COMPLETE=fish _CLAP_COMPLETE_INDEX=2 devmap -- devmap wait-irq ''")?;
    let has = |word: &str| proposed.out.lines().any(|line| line.split_whitespace().next() == Some(word));
    ensure!(has(RTC) && has(GPIO) && has("uio0") && !has("sdram"), "{proposed:?}");
    Ok(())
}

/// Fails unless this is the state of a level-triggered interrupt without an eventfd, which is masked.
fn is_masked(state: State, count: u64) -> Result<()> {
    let found = (state.trigger, state.count, state.masked, state.eventfd);
    ensure!(found == (Some(Trigger::Level), count, Some(true), false), "{state:?}");
    Ok(())
}

/// Raises an interrupt of the window `pulse`, by the module for that.
fn raise(index: usize) -> Result<()> {
    let text = fs::read_to_string("/sys/kernel/debug/map/interrupts")?;
    let line = text.lines().find(|line| line.starts_with(&format!("pulse {index} ")));
    let mut words = line.with_context(|| text.clone())?.split(' ').skip_while(|word| *word != "irq");
    let number = words.nth(1).with_context(|| text.clone())?;
    fs::write("/sys/module/raise/parameters/raise", format!("{number} 1 0")).context("raising an interrupt")
}

fn several_interrupts_have_names(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let _raise = Loaded::module("raise", RAISE, &[])?;
    let interrupts = Device::window("pulse")?.interrupts()?;
    let names: Vec<_> = interrupts.iter().map(Interrupt::name).collect();
    ensure!(names == ["edge", "level", "other"], "{names:?}");
    let [edge, other] = [interrupts.find("edge")?, interrupts.find("2")?];
    ensure!((edge.index(), other.name()) == (0, "other"), "{edge:?}, {other:?}");
    ensure!(edge.state()?.trigger == Some(Trigger::Edge), "{:?}", edge.state()?);
    edge.arm()?;
    other.arm()?;
    for (index, count) in [(0, 1), (0, 2), (2, 1)] {
        raise(index)?;
        until([edge, other][index / 2], count)?;
    }
    // An edge is not masked when it comes.
    ensure!(edge.state()?.masked == Some(false), "{:?}", edge.state()?);
    ensure!(interrupts.wait(None)? == [2, 0, 1], "all of them");
    raise(0)?;
    ensure!(other.wait(Some(Duration::from_millis(50)))? == 0, "the other took what is not its own");
    ensure!(edge.wait(None)? == 1, "the first lost it");

    // A program of 32 bits has the same structures.
    let programs = if NARROW_WIDEST.is_some() { &["devmap", "devmap32"][..] } else { &["devmap"] };
    for program in programs {
        let mut all = Reading::new(&format!("{program} wait-irq pulse --count 3"))?;
        let mut one = Reading::new(&format!("{program} wait-irq pulse/other"))?;
        thread::sleep(Duration::from_millis(500));
        for (index, name) in [(0, "edge"), (2, "other"), (0, "edge")] {
            raise(index)?;
            all.prints(&format!("pulse/{name}: 1 interrupt"))?;
        }
        all.ends()?;
        one.prints("pulse/other: 1 interrupt")?;
        one.ends()?;
        let listed = Ran::new(Command::new(program).args(["windows", "--json"]))?;
        ensure!(listed.out == devmap("windows --json")?.out, "{listed:?}");
        Ran::new(Command::new(program).args(["wait-irq", "pulse/level", "--timeout", "10ms"]))?
            .failed(5, &["timed out: pulse/level: 0 of 1"])?;
    }
    devmap("wait-irq pulse/tx")?.failed(3, &["has no interrupt tx; it has 0 (edge), 1 (level), 2 (other)"])?;
    let proposed = shell("DEVMAP_COMPLETE=fish _CLAP_COMPLETE_INDEX=2 devmap -- devmap wait-irq p")?;
    ensure!(["pulse", "pulse/edge", "pulse/other"].iter().all(|name| proposed.out.contains(name)), "{proposed:?}");
    ensure!(!proposed.out.contains("plain"), "{proposed:?}");
    Ok(())
}

/// Fails unless it failed with a line that ends like this.
fn refused<T>(result: devmap::Result<T>, end: &str) -> Result<()> {
    let error = result.err().with_context(|| format!("it worked, instead of: {end}"))?;
    ensure!(error.to_string().ends_with(end), "{error}, not {end}");
    Ok(())
}

fn a_window_says_what_it_refuses(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&["windows=sdram@0xc0000000+1M"])?;
    refused(
        Device::window("sdram")?.interrupts(),
        "has no interrupts: only windows of the device tree have them; describe this one there",
    )?;
    refused(
        Device::open("/dev/map")?.interrupts(),
        "/dev/map has no interrupts: it is the node of all windows; open that of the window that has them",
    )?;
    let device = Device::window(RTC)?;
    let interrupts = device.interrupts()?;
    let interrupt = interrupts.first();
    refused(interrupts.find("nothing").cloned(), &format!("has no interrupt nothing; it has {}", numbered(interrupt)))?;
    refused(interrupt.mask(), "(EALREADY); it is masked already: a level-triggered one is, once it has come")?;
    interrupt.arm()?;
    interrupt.arm()?;
    refused(interrupt.unmask(), "(EALREADY); it is not masked: an edge-triggered one stays as it is when it comes")?;
    interrupt.mask()?;
    let no_eventfd = fs::File::open("/dev/null")?;
    refused(interrupt.set_eventfd(&no_eventfd), "(EINVAL); the descriptor is no eventfd: make it with eventfd(2)")?;
    interrupt.set_eventfd(EventFd::new()?)?;
    let other = Device::window(RTC)?.interrupts()?;
    refused(
        other.first().set_eventfd(EventFd::new()?),
        "(EBUSY); another open file has set one: let that take it away first",
    )?;
    // The file that has set it may set another.
    interrupt.set_eventfd(EventFd::new()?)?;
    interrupt.clear_eventfd()?;
    other.first().set_eventfd(EventFd::new()?)?;
    let read_only = Device::window_read_only(RTC)?.interrupts()?;
    for result in [read_only.first().mask(), read_only.first().unmask(), read_only.first().set_eventfd(EventFd::new()?)]
    {
        refused(result, "(EACCES); open the device for writing too")?;
    }
    // Waiting needs no more than to read.
    ensure!(read_only.first().take()? == 0, "it has come");
    Ok(())
}

/// As an error lists it.
fn numbered(interrupt: &Interrupt) -> String {
    match interrupt.name() {
        "" => "0".into(),
        name => format!("0 ({name})"),
    }
}

/// Whether a descriptor is ready, and how.
fn events(fd: impl AsFd) -> Result<PollFlags> {
    let mut polled = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    poll(&mut polled, PollTimeout::ZERO)?;
    polled[0].revents().context("an unknown event")
}

fn an_eventfd_has_every_interrupt(_: &mut Host) -> Result<()> {
    const TIMES: u64 = 20;
    let _loaded = Loaded::new()?;
    let device = Device::window(RTC)?;
    let clock = Clock::new(&device)?;
    let interrupts = device.interrupts()?;
    let interrupt = interrupts.first();
    let eventfd = EventFd::from_flags(EfdFlags::EFD_NONBLOCK)?;
    interrupt.set_eventfd(&eventfd)?;
    ensure!(interrupt.state()?.eventfd, "it has no eventfd");
    let before = interrupt.state()?.count;
    for count in 1..=TIMES {
        ensure!(events(&interrupts)?.is_empty() == (count == 1), "the node before the interrupt {count}");
        interrupt.unmask()?;
        clock.ring();
        until(interrupt, before + count)?;
        clock.end();
        ensure!(events(&interrupts)? == PollFlags::POLLIN, "the node after the interrupt {count}");
    }
    ensure!(eventfd.read()? == TIMES, "the eventfd");
    // The count stays, beside the eventfd.
    ensure!(interrupt.take()? == TIMES && events(interrupt)?.is_empty(), "the count");
    interrupt.clear_eventfd()?;
    interrupt.unmask()?;
    clock.ring();
    ensure!(interrupt.wait(None)? == 1 && eventfd.read().is_err(), "it was signalled after it was taken away");
    Ok(())
}

fn a_program_that_is_killed_leaves_a_masked_interrupt(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    // It unmasks, and waits.
    let waiting = Running::new(&format!("wait-irq {RTC}"))?;
    let masked =
        || -> Result<Option<bool>> { Ok(Device::window_read_only(RTC)?.interrupts()?.first().state()?.masked) };
    let start = Instant::now();
    while masked()? == Some(true) {
        ensure!(start.elapsed() < Duration::from_secs(60), "it does not unmask it");
    }
    drop(waiting);
    ensure!(masked()? == Some(true), "it is not masked");
    // What comes meanwhile waits for the next one.
    let device = Device::window(RTC)?;
    let clock = Clock::new(&device)?;
    clock.ring();
    let interrupts = device.interrupts()?;
    ensure!(interrupts.wait(Some(Duration::from_millis(50)))? == [0], "it came while it was masked");
    interrupts.first().unmask()?;
    ensure!(interrupts.wait(None)? == [1], "it was lost");
    Ok(())
}

/// The device of the driver with the window `rtc`, as sysfs calls it.
fn device_of_the_clock() -> Result<String> {
    let is_it = |device: &Path| {
        let children = fs::read_dir(device.join("of_node")).into_iter().flatten().flatten();
        children.into_iter().any(|child| child.file_name().to_string_lossy().starts_with(RTC))
    };
    let found = fs::read_dir(dt::DRIVER)?.flatten().find(|device| is_it(&device.path()));
    found.context("no device has the window")?.file_name().into_string().ok().context("no text")
}

fn a_window_that_goes_wakes_who_waits(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let device = Device::window(RTC)?;
    let interrupts = device.interrupts()?;
    let interrupt = interrupts.first();
    let eventfd = EventFd::from_flags(EfdFlags::EFD_NONBLOCK)?;
    interrupt.set_eventfd(&eventfd)?;
    let name = device_of_the_clock()?;
    let (ended, unbound) = thread::scope(|scope| {
        let waiting = scope.spawn(|| interrupt.wait(None));
        thread::sleep(Duration::from_millis(100));
        let unbound = dt::unbind(&name);
        (waiting.join(), unbound)
    });
    unbound?;
    let error = ended.map_err(|_| anyhow::anyhow!("it panicked"))?.err().context("it came")?;
    ensure!(error.is_gone() && error.kind() == ErrorKind::NotFound, "{error}");
    ensure!(matches!(&error, Error::WindowGone { name, .. } if name.as_str() == RTC), "{error:?}");
    ensure!(events(interrupt)?.contains(PollFlags::POLLERR | PollFlags::POLLHUP), "the node is not an error");
    ensure!(eventfd.read()? == 1, "the eventfd");
    for result in [
        interrupt.take().map(drop),
        interrupt.mask(),
        interrupt.unmask(),
        interrupt.arm(),
        interrupt.set_eventfd(&eventfd),
        interrupt.state().map(drop),
        device.interrupts().map(drop),
    ] {
        let error = result.err().context("it works without its window")?;
        ensure!(error.is_gone(), "{error}");
    }
    dt::bind(&name)?;
    let device = Device::window(RTC)?;
    let clock = Clock::new(&device)?;
    let interrupts = device.interrupts()?;
    is_masked(interrupts.first().state()?, 0)?;
    interrupts.first().arm()?;
    clock.ring();
    ensure!(interrupts.wait(None)? == [1], "the window that is back");
    Ok(())
}
