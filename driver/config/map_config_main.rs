// SPDX-License-Identifier: GPL-2.0

//! Windows of the driver `map` that root adds and removes at run time, through configfs.
//!
//! A directory in `/sys/kernel/config/map` is a window, and its name is that of the window. The
//! files `start`, `size`, `access`, `cache`, `shared`, `memory` and `huge` describe it, in any
//! order; `1` in `enable` adds it, and `0` removes it, as removing the directory does. `reason` has
//! the reason for which the last write was refused. The driver decides, by the same rules as for
//! windows of its parameter. On a locked-down kernel it refuses all of these windows.
//!
//! This is a module of its own so that the driver needs no configfs, which is itself a module in
//! most distributions. It uses the driver, which therefore stays loaded as long as this module; and
//! this module stays loaded as long as there is a directory.
//!
//! # Locking
//!
//! The mutex of a directory serializes everything that is done with it. configfs calls `store` with
//! its lock of the file and the directory's fragment for reading. It calls `drop_item` with the
//! locks of both directories' inodes and of the subsystem, after it has waited for all `store`s in
//! the directory: no later one begins. The driver takes none of these locks, and nobody waits for
//! them with `mmap_lock`, for which removing a window waits.

use kernel::prelude::*;

mod configfs;
mod directory;
mod driver;
#[path = "../core/mod.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "the files are those of the driver, which uses more of them"
)]
mod map_core;

use configfs::Subsystem;
use directory::WindowDirectory;

module! {
    type: MapConfig,
    name: "map_config",
    authors: ["The map developers"],
    description: "Windows of the driver map in configfs",
    license: "GPL",
    imports_ns: ["MAP"],
}

/// The loaded module, and with it `/sys/kernel/config/map`.
#[pin_data]
struct MapConfig {
    #[pin]
    _subsystem: Subsystem<WindowDirectory>,
}

impl kernel::InPlaceModule for MapConfig {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _subsystem <- Subsystem::register(c"map"),
        })
    }
}
