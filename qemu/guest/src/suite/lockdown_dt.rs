// SPDX-License-Identifier: MIT OR Apache-2.0

//! Windows of the device tree on a kernel that was booted with `lockdown=integrity`, as
//! `qemu/kernel/tree-lockdown.dtso` describes them.

use std::path::Path;

use anyhow::{ensure, Result};
use map_core::{Origin, WindowError};
use nix::errno::Errno;

use crate::{
    arch,
    dt::{Snapshot, DRIVER},
    host::{Host, LENGTH, START},
    kernel::{self, Loaded},
    lockdown::the_parameter_is_refused,
    user,
    vma::Vma,
};

crate::tests! {
    memory_that_the_boots_tree_sets_aside_is_mapped,
    what_the_kernel_uses_and_what_is_not_set_aside_is_refused,
    the_parameter_adds_nothing,
}

/// The only window.
const SDRAM: &str = "sdram@0xc0000000+0x300000";

fn memory_that_the_boots_tree_sets_aside_is_mapped(host: &mut Host) -> Result<()> {
    let seed = 82;
    host.fill(seed)?;
    let _loaded = Loaded::new()?;
    let seen = Snapshot::now()?;
    seen.are(&[SDRAM])?;
    let window = seen.windows[0];
    ensure!(window.reserved && window.origin == Origin::BootDt, "{window:?}");
    let vma = Vma::shared(&user::open()?, START, LENGTH as usize)?;
    vma.store(100, 3);
    host.changed(seed, &[100..101], |_| 3)
}

fn what_the_kernel_uses_and_what_is_not_set_aside_is_refused(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let log = kernel::log_since("map-suite:")?;
    for (device, window) in [
        ("windows-pool", "pool@0xb0000000+0x100000"),
        ("windows-dice", "dice@0xb0200000+0x1000"),
        ("windows-registers", &format!("rtc@{:#x}+0x1000", arch::RTC)),
        ("windows-address", "spare@0xb0300000+0x1000"),
    ] {
        ensure!(Path::new("/sys/bus/platform/devices").join(device).exists(), "there is no device {device}");
        ensure!(!Path::new(DRIVER).join(device).exists(), "{device} is bound");
        let words = format!("map {device}: {window}: {}", WindowError::LockedDown);
        ensure!(log.contains(&words), "the log does not say {words:?}:\n{log}");
    }
    let node = user::open()?;
    for start in [0xb000_0000, 0xb020_0000, 0xb030_0000, arch::RTC, 0xd000_0000, 0xbf00_0000] {
        let result = Vma::shared(&node, start, 4096).map(drop);
        ensure!(result == Err(Errno::EPERM), "{start:#x}: {result:?}");
    }
    Ok(())
}

fn the_parameter_adds_nothing(_: &mut Host) -> Result<()> {
    for list in ["pool@0xb0000000+1M,dice@0xb0200000+4K", "0xd0000000+4K", "0xc0000000+4K:memory"] {
        the_parameter_is_refused(&format!("windows={list}"))?;
    }
    Ok(())
}
