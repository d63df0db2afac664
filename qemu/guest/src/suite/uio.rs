// SPDX-License-Identifier: MIT OR Apache-2.0

//! Interrupts of UIO devices, which `qemu/kernel/arm64-uio.dtso` describes: the library and the programs are the same
//! as on windows.

use std::{fs, io::ErrorKind, thread, time::Duration};

use anyhow::{ensure, Context, Result};
use devmap::Device;
use nix::sys::eventfd::EventFd;

use crate::{
    host::Host,
    program::devmap,
    userspace::{self, until, Clock},
};

crate::tests! {
    the_alarm_of_a_uio_device_rings,
    the_button_behind_a_uio_device_is_pressed,
    one_thread_waits_for_two_uio_devices,
    uio_counts_are_those_of_the_open_file,
    a_wait_for_a_uio_device_ends,
    the_command_line_waits_for_a_uio_device,
    a_uio_device_says_what_it_cannot_do,
    a_uio_device_that_goes_wakes_who_waits,
}

/// The driver of these devices.
const DRIVER: &str = "/sys/bus/platform/drivers/uio_pdrv_genirq";

/// The node of the UIO device that is called `name`, as `uio0`.
fn node(name: &str) -> Result<String> {
    let mut devices = fs::read_dir("/sys/class/uio")?.flatten();
    let is_it = |directory: &std::path::Path| {
        fs::read_to_string(directory.join("name")).is_ok_and(|found| found.trim() == name)
    };
    let found = devices.find(|device| is_it(&device.path()));
    let found = found.with_context(|| format!("there is no UIO device {name}"))?;
    found.file_name().into_string().ok().context("no text")
}

fn rtc() -> Result<String> {
    Ok(format!("/dev/{}", node("uio-rtc@9010000")?))
}

fn gpio() -> Result<String> {
    Ok(format!("/dev/{}", node("uio-gpio@9030000")?))
}

fn the_alarm_of_a_uio_device_rings(_: &mut Host) -> Result<()> {
    userspace::the_alarm_rings(&rtc()?)
}

fn the_button_behind_a_uio_device_is_pressed(host: &mut Host) -> Result<()> {
    userspace::the_button_is_pressed(host, &gpio()?)
}

fn one_thread_waits_for_two_uio_devices(host: &mut Host) -> Result<()> {
    userspace::one_thread_waits_for_both(host, &rtc()?, &gpio()?)
}

fn uio_counts_are_those_of_the_open_file(_: &mut Host) -> Result<()> {
    userspace::counts_are_those_of_the_open_file(&rtc()?)
}

fn a_wait_for_a_uio_device_ends(_: &mut Host) -> Result<()> {
    userspace::a_wait_ends(&rtc()?)
}

fn the_command_line_waits_for_a_uio_device(_: &mut Host) -> Result<()> {
    userspace::the_command_line_waits(&rtc()?, "0")?;
    let device = Device::open(rtc()?)?;
    let count = device.interrupts()?.first().state()?.count;
    let info = devmap(&format!("info --device {}", rtc()?))?;
    ensure!(info.out.contains(&format!("\ninterrupt 0    {count} so far\n")), "{count}: {info:?}");
    let json = devmap(&format!("info --json --device {}", rtc()?))?;
    ensure!(json.out.contains(&format!(r#""interrupts":[{{"index":0,"name":"","count":{count}}}]"#)), "{json:?}");
    // By its name in /dev, too.
    devmap(&format!("wait-irq {} --timeout 10ms", node("uio-rtc@9010000")?))?.failed(5, &["timed out: uio"])
}

fn a_uio_device_says_what_it_cannot_do(_: &mut Host) -> Result<()> {
    let without = format!("/dev/{}", node("uio@c0200000")?);
    let error = Device::open(&without)?.interrupts().err().context("it has interrupts")?;
    let line = format!("{without} has no interrupts: the driver of this UIO device has none for it");
    ensure!(error.to_string() == line, "{error}");
    devmap(&format!("wait-irq {without}"))?.failed(3, &[&line])?;
    let device = Device::open(rtc()?)?;
    let error = device.interrupts()?.first().set_eventfd(EventFd::new()?).err().context("it took an eventfd")?;
    ensure!(error.kind() == ErrorKind::Unsupported, "{error}");
    let read_only = Device::open_read_only(rtc()?)?.interrupts()?;
    let error = read_only.first().unmask().err().context("it was unmasked by a descriptor for reading")?;
    ensure!(error.to_string().ends_with("(EBADF); open the device for writing too"), "{error}");
    Ok(())
}

fn a_uio_device_that_goes_wakes_who_waits(_: &mut Host) -> Result<()> {
    let device = Device::open(rtc()?)?;
    let interrupts = device.interrupts()?;
    let interrupt = interrupts.first();
    let (ended, unbound) = thread::scope(|scope| {
        let waiting = scope.spawn(|| interrupt.wait(None));
        thread::sleep(Duration::from_millis(100));
        let unbound = fs::write(format!("{DRIVER}/unbind"), "9010000.uio-rtc");
        (waiting.join(), unbound)
    });
    unbound.context("unbinding")?;
    let error = ended.map_err(|_| anyhow::anyhow!("it panicked"))?.err().context("it came")?;
    ensure!(error.is_gone(), "{error}");
    for result in [interrupt.mask(), interrupt.unmask(), interrupt.arm(), interrupt.state().map(drop)] {
        let error = result.err().context("it works without its device")?;
        ensure!(error.is_gone(), "{error}");
    }
    ensure!(device.interrupts().err().is_some_and(|error| error.is_gone()), "it has interrupts");
    fs::write(format!("{DRIVER}/bind"), "9010000.uio-rtc").context("binding")?;
    let device = Device::open(rtc()?)?;
    let clock = Clock::new(&device)?;
    let interrupts = device.interrupts()?;
    interrupts.first().arm()?;
    clock.ring();
    until(interrupts.first(), 1)?;
    ensure!(interrupts.first().take()? == 1, "the device that is back");
    Ok(())
}
