// SPDX-License-Identifier: MIT OR Apache-2.0

//! A window where no device answers.
//!
//! The last test is the guest's end.

use anyhow::{bail, Result};
use nix::{errno::Errno, libc, sys::signal::Signal, unistd::pipe};
use std::os::fd::AsRawFd;

use crate::{
    area::{dies_of, Area},
    host::Host,
    kernel::Loaded,
    user,
};

crate::tests! {
    a_program_that_loads_dies_of_sigbus,
    a_kernel_that_loads_dies,
}

/// Where the machine has neither memory nor a device.
const HOLE: u64 = 0x0f00_0000;

/// The list of windows with a window there.
const WINDOW: &str = "windows=hole@0x0f000000+4K";

/// A mapping of that window.
fn hole() -> Result<Area> {
    Ok(Area::shared(&user::open()?, HOLE, 4096)?)
}

fn a_program_that_loads_dies_of_sigbus(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&[WINDOW])?;
    let area = hole()?;
    dies_of(Signal::SIGBUS, || area.load(0))
}

/// The kernel copies what a program hands to write(2), and nobody answers.
fn a_kernel_that_loads_dies(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&[WINDOW])?;
    let area = hole()?;
    let (_reader, writer) = pipe()?;
    // SAFETY: The bytes are mapped. That no device answers is what this is about.
    let written = unsafe { libc::write(writer.as_raw_fd(), area.address() as *const libc::c_void, 8) };
    bail!("write(2) gave {written}: {:?}", Errno::last());
}
