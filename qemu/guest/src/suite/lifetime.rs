// SPDX-License-Identifier: MIT OR Apache-2.0

//! The driver cannot be unloaded while it is in use, and leaves nothing behind.

use std::{fs::File, path::Path};

use anyhow::{ensure, Result};
use nix::errno::Errno;

use crate::{
    host::{Host, LENGTH, START},
    kernel::{self, Loaded},
    user,
    vma::Vma,
};

crate::tests! {
    rmmod_while_open_is_refused,
    rmmod_while_mapped_is_refused,
    rmmod_while_a_file_of_debugfs_is_open_is_refused,
    a_hundred_loads_and_unloads_leave_no_trace,
}

/// Fails unless the driver is in use and cannot be unloaded.
fn stays() -> Result<()> {
    // An open file counts twice, once for its operations and once for its device.
    let found = kernel::users()?;
    ensure!(found > Some(0), "/proc/modules counts {found:?} users");
    let result = kernel::rmmod()?;
    ensure!(result == Err(Errno::EAGAIN), "rmmod: {result:?}");
    ensure!(Path::new("/dev/map").exists(), "the refused rmmod took the node away");
    Ok(())
}

/// Fails unless the driver is not in use and can be unloaded.
fn goes() -> Result<()> {
    let found = kernel::users()?;
    ensure!(found == Some(0), "/proc/modules counts {found:?} users");
    kernel::rmmod()??;
    ensure!(kernel::users()?.is_none() && kernel::major()?.is_none(), "the driver is still there");
    Ok(())
}

fn rmmod_while_open_is_refused(_: &mut Host) -> Result<()> {
    let before = kernel::traces()?;
    let _loaded = Loaded::new()?;
    let (one, two) = (user::open()?, user::open()?);
    stays()?;
    drop(one);
    stays()?;
    drop(two);
    goes()?;
    let after = kernel::traces()?;
    kernel::unchanged(&before, &after)
}

fn rmmod_while_mapped_is_refused(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let node = user::open()?;
    let vma = Vma::shared(&node, START, LENGTH as usize)?;
    // The mapping alone keeps the file open.
    drop(node);
    stays()?;
    vma.store(0, 1);
    drop(vma);
    goes()
}

fn rmmod_while_a_file_of_debugfs_is_open_is_refused(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    for name in ["windows", "mappings", "refusals"] {
        let file = File::open(Path::new("/sys/kernel/debug/map").join(name))?;
        stays()?;
        drop(file);
    }
    goes()
}

fn a_hundred_loads_and_unloads_leave_no_trace(_: &mut Host) -> Result<()> {
    let before = kernel::traces()?;
    // Fewer rounds suffice where the driver's own leaks are searched, or were on other kernels.
    let rounds = if kernel::is_slow() { 10 } else { 100 };
    for _ in 0..rounds {
        let _loaded = Loaded::new()?;
        drop(Vma::shared(&user::open()?, START, LENGTH as usize)?);
        goes()?;
    }
    let after = kernel::traces()?;
    kernel::unchanged(&before, &after)
}
