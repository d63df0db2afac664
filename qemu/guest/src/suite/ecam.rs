// SPDX-License-Identifier: MIT OR Apache-2.0

//! The driver on a locked-down machine whose PCI configuration space the firmware calls reserved.

use std::fs;

use anyhow::{ensure, Context, Result};
use nix::errno::Errno;

use crate::{errno, host::Host, lockdown::the_parameter_is_refused};

crate::tests! {
    the_configuration_is_reserved_and_the_kernel_is_locked_down,
    the_parameter_is_no_way_to_it,
}

/// The beginning and the end of its line in /proc/iomem; the region may extend beyond it.
const LINE: (&str, &str) = ("b0000000-", " : Reserved");

fn the_configuration_is_reserved_and_the_kernel_is_locked_down(_: &mut Host) -> Result<()> {
    let state = fs::read_to_string("/sys/kernel/security/lockdown")?;
    ensure!(state.contains("[integrity]"), "lockdown is {state}");
    let list = fs::read_to_string("/proc/iomem")?;
    let is = |line: &str| line.starts_with(LINE.0) && line.ends_with(LINE.1);
    ensure!(list.lines().any(is), "no line {LINE:?} in:\n{list}");
    Ok(())
}

fn the_parameter_is_no_way_to_it(_: &mut Host) -> Result<()> {
    // sysfs does not let root write it either.
    let config = fs::read_dir("/sys/bus/pci/devices")?.flatten().next().context("no device")?.path().join("config");
    let written = errno::result(fs::write(&config, [0; 64]));
    ensure!(written == Err(Errno::EPERM), "writing {}: {written:?}", config.display());
    for options in ["", ":shared", ":shared:memory"] {
        the_parameter_is_refused(&format!("windows=ecam@0xb0000000+256M{options}"))?;
    }
    Ok(())
}
