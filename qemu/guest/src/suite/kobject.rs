// SPDX-License-Identifier: MIT OR Apache-2.0

//! The driver on a kernel that releases objects in sysfs seconds after their last reference is dropped.

use std::{path::Path, thread::sleep, time::Duration};

use anyhow::{ensure, Result};
use nix::errno::Errno;

use crate::{
    dt::DRIVER,
    host::Host,
    kernel::{self, Loaded},
    user,
};

crate::tests! {
    the_drivers_objects_are_released_late,
    what_is_released_late_is_nobodys_memory,
}

/// Waits for the last release of a driver that was unloaded, or did not load: until then the kernel has a directory of
/// the driver's name, and no driver of that name can be loaded. The kernel draws a delay of up to four seconds for
/// every object, and KASAN reports a use after free.
fn wait_for_release() -> Result<()> {
    sleep(Duration::from_secs(6));
    ensure!(!Path::new(DRIVER).exists(), "{DRIVER} is there six seconds after the driver went");
    Ok(())
}

fn the_drivers_objects_are_released_late(_: &mut Host) -> Result<()> {
    drop(Loaded::new()?);
    wait_for_release()?;
    let log = kernel::log_since("map-suite:")?;
    let late = |line: &str| line.contains("'map' (") && line.contains("(delayed ");
    ensure!(log.lines().any(late), "the kernel does not log a delayed release: {log}");
    Ok(())
}

fn what_is_released_late_is_nobodys_memory(_: &mut Host) -> Result<()> {
    for parameters in [&[][..], &["windows=0xc0000000+1M"][..]] {
        let loaded = Loaded::with(parameters)?;
        drop(user::open()?);
        drop(loaded);
        wait_for_release()?;
    }
    // A load that fails half way.
    let result = kernel::insmod(&["major=512"])?;
    ensure!(result == Err(Errno::EINVAL), "a major number that does not exist: {result:?}");
    wait_for_release()
}
