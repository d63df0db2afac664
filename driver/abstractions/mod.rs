// SPDX-License-Identifier: GPL-2.0

//! What Rust for Linux does not have yet: one file for each subsystem of the kernel.
//!
//! Almost all unsafe code of the driver is here. The files do not know the driver: they take
//! numbers and traits, so that each can be replaced when the `kernel` crate has the like.

pub(crate) mod chrdev;
pub(crate) mod debugfs;
pub(crate) mod fs;
pub(crate) mod machine;
pub(crate) mod memory_hotplug;
pub(crate) mod mm;
pub(crate) mod of;
pub(crate) mod param;
pub(crate) mod resource;
mod shim;
pub(crate) mod task;
