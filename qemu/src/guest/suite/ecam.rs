// SPDX-License-Identifier: MIT OR Apache-2.0

//! The driver on a machine whose PCI configuration lies in memory that the firmware calls reserved, locked down.

use std::fs;

use anyhow::{ensure, Result};

use crate::host::Host;

crate::tests! {
    the_configuration_is_reserved_and_the_kernel_is_locked_down,
}

/// Where the board keeps its PCI configuration: the first address and the last.
const CONFIGURATION: (u64, u64) = (0xb000_0000, 0xbfff_ffff);

fn the_configuration_is_reserved_and_the_kernel_is_locked_down(_: &mut Host) -> Result<()> {
    let state = fs::read_to_string("/sys/kernel/security/lockdown")?;
    ensure!(state.contains("[integrity]"), "lockdown is {state}");
    let list = fs::read_to_string("/proc/iomem")?;
    // The kernel's command line reserves what comes behind it, and the two are one range.
    let holds = |line: &str| {
        let (first, last) = line.strip_suffix(" : Reserved")?.split_once('-')?;
        let number = |digits: &str| u64::from_str_radix(digits.trim(), 16).ok();
        Some(number(first)? <= CONFIGURATION.0 && number(last)? >= CONFIGURATION.1)
    };
    ensure!(list.lines().any(|line| holds(line) == Some(true)), "{CONFIGURATION:x?} is not reserved in:\n{list}");
    Ok(())
}
