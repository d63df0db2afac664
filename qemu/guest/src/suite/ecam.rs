// SPDX-License-Identifier: MIT OR Apache-2.0

//! The driver on a locked-down machine whose PCI configuration space the firmware calls reserved.

use std::fs;

use anyhow::{ensure, Context, Result};
use nix::errno::Errno;

use crate::{
    errno,
    host::Host,
    kernel::{self, Region},
    lockdown::the_parameter_is_refused,
};

crate::tests! {
    the_configuration_is_reserved_and_the_kernel_is_locked_down,
    the_parameter_is_no_way_to_it,
}

/// Where it begins.
const START: u64 = 0xb000_0000;

fn the_configuration_is_reserved_and_the_kernel_is_locked_down(_: &mut Host) -> Result<()> {
    let state = fs::read_to_string("/sys/kernel/security/lockdown")?;
    ensure!(state.contains("[integrity]"), "lockdown is {state}");
    // The region may extend beyond it, in both directions.
    let is_it = |region: &Region| region.name == "Reserved" && (region.first..=region.last).contains(&START);
    ensure!(kernel::iomem()?.iter().any(is_it), "{START:#x} is not reserved");
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
