// SPDX-License-Identifier: MIT OR Apache-2.0

//! The driver beside a /dev/mem that refuses what somebody has claimed.

use std::fs::File;

use anyhow::{ensure, Result};
use nix::errno::Errno;

use crate::{arch::VACANT, area::Area, host::Host, kernel::Loaded};

crate::tests! {
    dev_mem_refuses_what_the_driver_has_claimed,
}

/// With which error /dev/mem does not map the page at `address`, if it does not.
fn error_of_dev_mem(address: u64) -> Result<Option<Errno>> {
    let memory = File::options().read(true).write(true).open("/dev/mem")?;
    Ok(Area::shared(&memory, address, 4096).err())
}

fn dev_mem_refuses_what_the_driver_has_claimed(_: &mut Host) -> Result<()> {
    let error = error_of_dev_mem(VACANT)?;
    ensure!(error.is_none(), "nobody has claimed it, and yet /dev/mem says {error:?}");
    let loaded = Loaded::with(&[&format!("windows=mine@{VACANT:#x}+4K")])?;
    let error = error_of_dev_mem(VACANT)?;
    ensure!(error == Some(Errno::EPERM), "the driver has claimed it, and /dev/mem says {error:?}");
    drop(loaded);
    let error = error_of_dev_mem(VACANT)?;
    ensure!(error.is_none(), "the claim is gone, and yet /dev/mem says {error:?}");
    Ok(())
}
