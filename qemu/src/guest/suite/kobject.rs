// SPDX-License-Identifier: MIT OR Apache-2.0

//! The driver on a kernel whose objects in sysfs live on for seconds after their last reference has gone.

use anyhow::{ensure, Result};

use crate::{
    host::Host,
    kernel::{self, Loaded},
};

crate::tests! {
    the_drivers_objects_are_released_late,
}

fn the_drivers_objects_are_released_late(_: &mut Host) -> Result<()> {
    drop(Loaded::new()?);
    let log = kernel::log_since("map-suite:")?;
    let late = |line: &str| line.contains("'map' (") && line.contains("(delayed ");
    ensure!(log.lines().any(late), "the kernel does not say that it puts off a release: {log}");
    Ok(())
}
