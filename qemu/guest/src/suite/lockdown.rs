// SPDX-License-Identifier: MIT OR Apache-2.0

//! The driver on a kernel that was booted with `lockdown=integrity`.

use std::fs;

use anyhow::{ensure, Result};
use map_core::Refusal;
use nix::errno::Errno;

use crate::{
    errno,
    host::Host,
    kernel::{self, Loaded},
    runtime, user,
};

crate::tests! {
    the_kernel_is_locked_down,
    raw_mode_does_not_open,
    no_window_of_the_parameter_is_taken,
    no_window_is_added_at_run_time,
}

fn the_kernel_is_locked_down(_: &mut Host) -> Result<()> {
    let state = fs::read_to_string("/sys/kernel/security/lockdown")?;
    ensure!(state.contains("[integrity]"), "lockdown is {state}");
    let mem = errno::result(fs::File::open("/dev/mem")).map(drop);
    ensure!(mem == Err(Errno::EPERM), "opening /dev/mem: {mem:?}");
    Ok(())
}

fn raw_mode_does_not_open(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let errno = user::open_error();
    ensure!(errno == Some(Errno::EPERM), "opening /dev/map: {errno:?}");
    kernel::logged(Refusal::LockedDown.to_string())
}

/// The kernel itself must refuse the load and log why; nothing is left behind.
pub fn the_parameter_is_refused(list: &str) -> Result<()> {
    let words = ["Lockdown: map-suite: unsafe module parameters is restricted", "invalid for parameter `windows'"];
    kernel::load_fails(list, Errno::EPERM, &words)
}

fn no_window_of_the_parameter_is_taken(_: &mut Host) -> Result<()> {
    // Memory that the command line, or the tree, reserves; a hole; both.
    for list in ["0xc0000000+3M", "sdram@0xc0000000+3M:memory", "0xd0000000+4K:shared", "0xc0000000+4K,0xd0000000+4K"] {
        the_parameter_is_refused(&format!("windows={list}"))?;
    }
    Ok(())
}

fn no_window_is_added_at_run_time(_: &mut Host) -> Result<()> {
    runtime::nothing_is_added_when_locked_down()
}
