// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What userspace and the driver have agreed upon.

use core::ffi::CStr;

/// The character major number, unless the module's parameter `major` says otherwise.
pub const MAJOR: u32 = 126;

/// The minor number of the one node there is.
pub const MINOR: u32 = 0;

/// The name of the module, of its class and of its node.
pub const NAME: &CStr = c"map";

/// Where devtmpfs and udev put the node, and where the tools look for it.
pub const NODE: &str = "/dev/map";
