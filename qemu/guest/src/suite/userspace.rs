// SPDX-License-Identifier: MIT OR Apache-2.0

//! Drivers in userspace, which sleep until their interrupt comes, and `devmap wait-irq`: the same on a window of the
//! driver as on a UIO device.

use std::{
    io::{BufRead, BufReader, Lines, Read},
    process::{Child, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{ensure, Context, Result};
use devmap::{register::OwnedRegister, Device, Interrupt, Kind, Mapping};
use nix::sys::{
    resource::{getrusage, UsageWho},
    signal::Signal,
};

use crate::{
    host::Host,
    program::{devmap, Running},
};

/// The pin of the power button.
const PIN: u32 = 3;

/// How long anything may take that takes no time.
const LONG: Duration = Duration::from_secs(60);

/// The device that is called `name`, or is at this path.
pub fn open(name: &str) -> Result<Device> {
    Ok(if name.contains('/') { Device::open(name) } else { Device::window(name) }?)
}

/// The clock, as a test rings it.
pub struct Clock {
    time: OwnedRegister<u32>,
    matching: OwnedRegister<u32>,
    enable: OwnedRegister<u32>,
    raised: OwnedRegister<u32>,
    clear: OwnedRegister<u32>,
}

impl Clock {
    /// The one behind `device`, which is silent.
    pub fn new(device: &Device) -> Result<Self> {
        let block: Mapping = match device.kind() {
            Kind::Uio(maps) => device.map(maps.first().context("no map")?.range)?,
            _ => device.map_all()?,
        };
        let register = |offset| block.owned_register(offset);
        let clock = Self {
            time: register(0x00)?,
            matching: register(0x04)?,
            enable: register(0x10)?,
            raised: register(0x14)?,
            clear: register(0x1c)?,
        };
        clock.clear.write(1);
        clock.enable.write(1);
        Ok(clock)
    }

    /// Asserts its line, at once.
    pub fn ring(&self) {
        // It rings when the time is set that it is.
        while self.raised.read() & 1 == 0 {
            self.matching.write(self.time.read());
        }
    }

    /// Ends that.
    pub fn end(&self) {
        self.clear.write(1);
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.enable.write(0);
        self.clear.write(1);
    }
}

/// Waits until it has come `count` times since the device was added.
pub fn until(interrupt: &Interrupt, count: u64) -> Result<()> {
    let start = Instant::now();
    while interrupt.state()?.count != count {
        ensure!(start.elapsed() < LONG, "it has come {} times, not {count}", interrupt.state()?.count);
        thread::yield_now();
    }
    Ok(())
}

/// A program whose output is read as it comes; killed when dropped.
pub struct Reading {
    running: Running,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Reading {
    /// Starts what the words of this line name.
    pub fn new(line: &str) -> Result<Self> {
        let mut words = line.split_whitespace();
        let mut command = Command::new(words.next().context("no program")?);
        command.args(words).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child: Child = command.spawn().with_context(|| format!("cannot start {line}"))?;
        let lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        Ok(Self { running: Running(child), lines })
    }

    fn next(&mut self) -> Result<String> {
        Ok(self.lines.next().context("it printed no more")??)
    }

    /// Fails unless its next line is this.
    pub fn prints(&mut self, expected: &str) -> Result<()> {
        let line = self.next()?;
        ensure!(line == expected, "{line:?}, not {expected:?}");
        Ok(())
    }

    /// Fails unless it ends well, and prints nothing more.
    pub fn ends(mut self) -> Result<()> {
        let rest: Vec<_> = self.lines.by_ref().collect::<Result<_, _>>()?;
        let status = self.running.0.wait()?;
        ensure!(status.success() && rest.is_empty(), "{status}, {rest:?}");
        Ok(())
    }
}

/// The number between two texts.
fn number(line: &str, before: &str, after: &str) -> Result<u32> {
    let number = line.strip_prefix(before).and_then(|line| line.strip_suffix(after));
    Ok(number.with_context(|| format!("{line:?} is not {before:?}…{after:?}"))?.parse()?)
}

/// The example `alarm` sleeps until the clock that is called `rtc` rings.
pub fn the_alarm_rings(rtc: &str) -> Result<()> {
    // Another time, it must not be the interrupt of the first.
    for _ in 0..2 {
        let used = || -> Result<Duration> {
            let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
            let times = [usage.user_time(), usage.system_time()];
            Ok(times
                .iter()
                .map(|time| Duration::from_micros(time.tv_sec() as u64 * 1_000_000 + time.tv_usec() as u64))
                .sum())
        };
        let (start, before) = (Instant::now(), used()?);
        let mut alarm = Reading::new(&format!("alarm {rtc} 3"))?;
        let set = number(&alarm.next()?, "the alarm is set to ", " s")?;
        let rang = number(&alarm.next()?, "it rang at ", " s")?;
        alarm.ends()?;
        ensure!((set..set + 60).contains(&rang), "set to {set}, it rang at {rang}");
        // The last of three seconds may have begun.
        let (slept, worked) = (start.elapsed(), used()? - before);
        ensure!(slept >= Duration::from_secs(2), "it rang after {slept:?}");
        ensure!(worked < slept / 2, "it worked for {worked:?} of {slept:?}");
    }
    Ok(())
}

/// The example `button` sleeps until the host presses the power button, by the GPIO that is called `gpio`.
pub fn the_button_is_pressed(host: &mut Host, gpio: &str) -> Result<()> {
    for _ in 0..2 {
        let mut button = Reading::new(&format!("button {gpio} {PIN}"))?;
        button.prints(&format!("waiting for pin {PIN}"))?;
        thread::sleep(Duration::from_millis(200));
        ensure!(button.running.0.try_wait()?.is_none(), "it ended before anybody pressed the button");
        host.press_power_button()?;
        button.prints(&format!("pin {PIN} has risen"))?;
        button.ends()?;
        // It is released after a tenth of a second, and can rise again.
        thread::sleep(Duration::from_millis(300));
    }
    Ok(())
}

/// The example `alarm_async` waits for both in one thread.
pub fn one_thread_waits_for_both(host: &mut Host, rtc: &str, gpio: &str) -> Result<()> {
    let mut both = Reading::new(&format!("alarm_async {rtc} 6 {gpio} {PIN}"))?;
    number(&both.next()?, "the alarm is set to ", " s")?;
    for _ in 0..2 {
        thread::sleep(Duration::from_millis(300));
        host.press_power_button()?;
        both.prints("the button was pressed")?;
    }
    both.prints("it rang")?;
    both.ends()
}

/// Each open file takes what came since it was opened, once, however often it is asked.
pub fn counts_are_those_of_the_open_file(name: &str) -> Result<()> {
    const TIMES: u64 = 50;
    let [one, other] = [open(name)?, open(name)?];
    let clock = Clock::new(&one)?;
    let [mine, theirs] = [&one, &other].map(Device::interrupts);
    let (mine, theirs) = (mine?, theirs?);
    let interrupt = mine.first();
    interrupt.take()?;
    theirs.first().take()?;
    let before = interrupt.state()?.count;
    for count in 1..=TIMES {
        interrupt.arm()?;
        clock.ring();
        until(interrupt, before + count)?;
        clock.end();
    }
    let later = open(name)?.interrupts()?;
    ensure!(interrupt.take()? == TIMES, "what the first took");
    ensure!(theirs.wait(None)? == [TIMES], "what the other took");
    ensure!(later.wait(Some(Duration::ZERO))? == [0], "what one took that was opened later");
    // Another list of the same file has no counts of its own.
    ensure!(one.interrupts()?.first().take()? == 0, "what the first took again");
    Ok(())
}

/// A wait ends with the interrupt, or with its time.
pub fn a_wait_ends(name: &str) -> Result<()> {
    let device = open(name)?;
    let clock = Clock::new(&device)?;
    let interrupts = device.interrupts()?;
    let interrupt = interrupts.first();
    interrupt.take()?;
    interrupt.arm()?;
    let start = Instant::now();
    ensure!(interrupt.wait(Some(Duration::from_millis(70)))? == 0, "it came by itself");
    ensure!(start.elapsed() >= Duration::from_millis(70), "it waited for {:?}", start.elapsed());
    let count = thread::scope(|scope| {
        let waiting = scope.spawn(|| interrupt.wait(None));
        thread::sleep(Duration::from_millis(50));
        clock.ring();
        waiting.join().map_err(|_| anyhow::anyhow!("it panicked"))?.map_err(anyhow::Error::from)
    })?;
    ensure!(count == 1, "it came {count} times");
    // It is masked now, and so does not come although its line is asserted.
    ensure!(interrupt.wait(Some(Duration::from_millis(50)))? == 0, "it came while it was masked");
    interrupt.unmask()?;
    ensure!(interrupt.wait(Some(LONG))? == 1, "it did not come when it was unmasked");
    clock.end();
    interrupt.unmask()?;
    // Masked by the program, it waits as well.
    interrupt.mask()?;
    clock.ring();
    ensure!(interrupt.wait(Some(Duration::from_millis(50)))? == 0, "it came while the program had masked it");
    interrupt.unmask()?;
    ensure!(interrupt.wait(Some(LONG))? == 1, "it was lost");
    Ok(())
}

/// `devmap wait-irq` on the clock that is called `name`, whose interrupt is called `irq` there.
pub fn the_command_line_waits(name: &str, irq: &str) -> Result<()> {
    let device = open(name)?;
    let clock = Clock::new(&device)?;
    let shown = format!("{name}/{irq}");
    devmap(&format!("wait-irq {name} --timeout 50ms"))?
        .failed(5, &[&format!("timed out: {name}: 0 of 1 interrupt")])?;
    devmap(&format!("wait-irq {name}/nothing"))?.failed(3, &["has no interrupt nothing; it has 0"])?;
    // The index is as good as a name.
    for (arguments, expected) in [
        (format!("wait-irq {name}"), format!("{shown}: 1 interrupt\n")),
        (format!("wait-irq {name}/0 -q"), "1\n".into()),
        (
            format!("wait-irq {shown} --json"),
            format!(
                "{{\"interrupt\":\"{shown}\",\"index\":0,\"name\":\"{}\",\"count\":1}}\n",
                if irq == "0" { "" } else { irq }
            ),
        ),
    ] {
        let waiting = Reading::new(&format!("devmap {arguments}"))?;
        thread::sleep(Duration::from_millis(200));
        clock.ring();
        let mut waiting = waiting;
        waiting.prints(expected.trim_end())?;
        clock.end();
        waiting.ends()?;
    }
    // Nobody ends it, so it comes again whenever it is unmasked.
    clock.ring();
    let three = devmap(&format!("wait-irq {name} --count 3 -q"))?;
    clock.end();
    let sum: u32 = three.out.lines().filter_map(|line| line.parse::<u32>().ok()).sum();
    ensure!(three.status == Some(0) && sum == 3, "{three:?}");
    let mut waiting = Running::new(&format!("wait-irq {name}"))?;
    thread::sleep(Duration::from_millis(300));
    waiting.signal(Signal::SIGINT)?;
    let status = waiting.0.wait()?;
    let mut error = String::new();
    waiting.0.stderr.take().context("no errors")?.read_to_string(&mut error)?;
    let expected = format!("devmap: interrupted: {name}: 0 of 1 interrupt\n");
    ensure!((status.code(), &error) == (Some(130), &expected), "{status}: {error:?}");
    Ok(())
}
