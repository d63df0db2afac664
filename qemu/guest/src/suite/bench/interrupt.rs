// SPDX-License-Identifier: MIT OR Apache-2.0

//! What it costs from an interrupt of the board's clock to the program that waits for it: the handler, the wake-up and
//! the system call's return. UIO has the device first, then a window.

use std::{
    fs::{self, File},
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{ensure, Context, Result};
use map_core::abi::{MapIrqMask, MapIrqWait, IOC_IRQ_MASK, IOC_IRQ_WAIT};
use map_protocol::MODULE;
use nix::sys::mman::MapFlags;

use super::{report, Node, PAGE, REPEATS};
use crate::{
    child::{self, Child},
    kernel::Loaded,
    overlay::Applied,
    user,
    vma::{Vma, READ_WRITE},
    windows::ask,
};

/// The driver of UIO devices in sysfs, and its device with the clock.
const UIO_DRIVER: &str = "/sys/bus/platform/drivers/uio_pdrv_genirq";
const UIO_DEVICE: &str = "9010000.uio-clock";

/// Registers of the PL031.
const DATA: usize = 0x00;
const MATCH: usize = 0x04;
const MASK: usize = 0x10;
const STATUS: usize = 0x14;
const CLEAR: usize = 0x1c;

/// Prints the figures, if the device tree describes the clock for this.
pub fn run() -> Result<()> {
    if !Path::new(UIO_DRIVER).join(UIO_DEVICE).exists() {
        return Ok(());
    }
    {
        let node = File::options().read(true).write(true).open(Node::Uio("clock").path()?)?;
        let wait = || {
            (&node).read_exact(&mut [0; 4])?;
            Ok(())
        };
        let unmask = || Ok((&node).write_all(&1_u32.to_ne_bytes())?);
        report("UIO", "interrupt to program", 0, None, measure(&node, wait, unmask)?)?;
    }
    fs::write(format!("{UIO_DRIVER}/unbind"), UIO_DEVICE).context("unbinding the UIO device")?;
    let _loaded = Loaded::module("map", MODULE, &[])?;
    let _overlay = Applied::new("clock")?;
    let node = user::open_window(1)?;
    let wait = || {
        let mut wait = MapIrqWait { interrupts: 1, timeout: -1, ..Default::default() };
        Ok(ask(&node, IOC_IRQ_WAIT, &mut wait)?)
    };
    // The first time it is masked because nobody had the node open, later because it has come.
    let unmask = || Ok(ask(&node, IOC_IRQ_MASK, &mut MapIrqMask { interrupts: 1, masked: 0 })?);
    report("window", "interrupt to program", 0, None, measure(&node, wait, unmask)?)
}

/// The costs of each interrupt of the clock whose registers `node` shows.
fn measure(node: &File, wait: impl Fn() -> Result<()>, unmask: impl Fn() -> Result<()>) -> Result<Vec<u64>> {
    let registers = Vma::shared(node, 0, PAGE)?;
    let flags = MapFlags::MAP_SHARED | MapFlags::MAP_ANONYMOUS;
    let shared = Vma::map_at(0, -1, 0, PAGE, READ_WRITE, flags)?;
    let (mut here, mut there) = UnixStream::pair()?;
    let rounds = REPEATS + 1;
    let waiting = Child::spawn(|| {
        let mut work = || -> Result<()> {
            for _ in 0..rounds {
                there.write_all(&[0])?;
                wait()?;
                let cost = now()?.wrapping_sub(shared.load_word(0));
                there.write_all(&cost.to_ne_bytes())?;
            }
            Ok(())
        };
        work().map_or(1, |()| 0)
    })?;
    let mut costs = Vec::new();
    for _ in 0..rounds {
        registers.store_word(CLEAR, 1);
        registers.store_word(MASK, 1);
        unmask()?;
        here.read_exact(&mut [0])?;
        // The other process falls asleep.
        thread::sleep(Duration::from_millis(1));
        // The alarm is now, unless the second ends in between.
        for _ in 0..3 {
            let second = registers.load_word(DATA);
            shared.store_word(0, now()?);
            registers.store_word(MATCH, second);
            if registers.load_word(STATUS) != 0 {
                break;
            }
        }
        let mut cost = [0; 4];
        here.read_exact(&mut cost)?;
        costs.push(u32::from_ne_bytes(cost).into());
    }
    registers.store_word(MASK, 0);
    registers.store_word(CLEAR, 1);
    child::check(waiting.wait()?)?;
    ensure!(costs.len() == rounds, "{costs:?}");
    // The first touches memory and code for the first time.
    Ok(costs.split_off(1))
}

/// The low bits of the time in nanoseconds: instructions.
fn now() -> Result<u32> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u32)
}
