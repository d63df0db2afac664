// SPDX-License-Identifier: MIT OR Apache-2.0

//! Opens and maps the node as a user does.

use std::{fs::File, io};

use anyhow::{Context, Result};
use devmap::{Device, Mapping, PhysRange};
use nix::errno::Errno;

use crate::{
    errno,
    host::{LENGTH, START},
};

/// The node, opened to read and write.
pub fn open() -> Result<File> {
    File::options().read(true).write(true).open("/dev/map").context("cannot open /dev/map")
}

/// The node of the window with this number, opened in the same way.
pub fn open_window(number: u32) -> Result<File> {
    let path = format!("/dev/map{number}");
    File::options().read(true).write(true).open(&path).with_context(|| format!("cannot open {path}"))
}

/// The error of opening the node to read and write; `None` if it can be opened.
pub fn open_error() -> Option<Errno> {
    let error = open().err()?;
    error.downcast_ref::<io::Error>().map(errno::of)
}

/// The free memory, mapped through the library.
pub fn map() -> Result<Mapping> {
    let range = PhysRange::new(START, LENGTH).context("no range")?;
    Ok(Device::open("/dev/map")?.map(range)?)
}
