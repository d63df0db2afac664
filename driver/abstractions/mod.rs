// SPDX-License-Identifier: GPL-2.0

//! Abstractions that Rust for Linux does not have yet, one file for each kernel subsystem.
//!
//! Almost all unsafe code of the driver is here. The files do not depend on the driver: their
//! interfaces are numbers and traits, so each can be replaced when the `kernel` crate has an
//! equivalent.

pub(crate) mod chrdev;
pub(crate) mod debugfs;
pub(crate) mod export;
pub(crate) mod fs;
pub(crate) mod io;
pub(crate) mod irq;
pub(crate) mod machine;
pub(crate) mod memory_hotplug;
pub(crate) mod mm;
pub(crate) mod of;
pub(crate) mod param;
pub(crate) mod resource;
mod shim;
pub(crate) mod space;
pub(crate) mod task;
