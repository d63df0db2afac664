// SPDX-License-Identifier: MIT OR Apache-2.0

//! The driver on a kernel whose objects in sysfs live on for seconds after their last reference has gone.

use std::{thread::sleep, time::Duration};

use anyhow::{ensure, Result};

use crate::{
    host::Host,
    kernel::{self, Loaded},
    user,
};

crate::tests! {
    the_drivers_objects_are_released_late,
    what_is_released_late_is_nobodys_memory,
}

fn the_drivers_objects_are_released_late(_: &mut Host) -> Result<()> {
    drop(Loaded::new()?);
    let log = kernel::log_since("map-suite:")?;
    let late = |line: &str| line.contains("'map' (") && line.contains("(delayed ");
    ensure!(log.lines().any(late), "the kernel does not say that it puts off a release: {log}");
    Ok(())
}

fn what_is_released_late_is_nobodys_memory(_: &mut Host) -> Result<()> {
    for parameters in [&[][..], &["windows=0xc0000000+1M"][..]] {
        let loaded = Loaded::with(parameters)?;
        drop(user::open()?);
        drop(loaded);
        // The last release comes after four seconds; a use of memory that is gone is a line of KASAN's.
        sleep(Duration::from_secs(6));
    }
    // And of a load that fails half way.
    let result = kernel::insmod(&["major=512"])?;
    ensure!(result == Err(nix::errno::Errno::EINVAL), "a major number that there is not: {result:?}");
    sleep(Duration::from_secs(6));
    Ok(())
}
