// SPDX-License-Identifier: MIT OR Apache-2.0

//! The driver on a machine whose PCI configuration lies in memory that the firmware calls reserved, locked down.

use std::fs;

use anyhow::{ensure, Result};

use crate::host::Host;

crate::tests! {
    the_configuration_is_reserved_and_the_kernel_is_locked_down,
}

/// The line of the firmware's map, as the kernel lists it.
const LINE: &str = "b0000000-bfffffff : Reserved";

fn the_configuration_is_reserved_and_the_kernel_is_locked_down(_: &mut Host) -> Result<()> {
    let state = fs::read_to_string("/sys/kernel/security/lockdown")?;
    ensure!(state.contains("[integrity]"), "lockdown is {state}");
    let list = fs::read_to_string("/proc/iomem")?;
    ensure!(list.lines().any(|line| line.trim() == LINE), "no line {LINE:?} in:\n{list}");
    Ok(())
}
