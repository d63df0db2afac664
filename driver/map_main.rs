// SPDX-License-Identifier: GPL-2.0

//! A window onto physical memory: `/dev/map`, whose offsets are physical addresses.
//!
//! A mapping is shared, uncached and never executable; it is made whole at the call of mmap(2), so it cannot fault
//! later. Opening the node takes CAP_SYS_RAWIO, and memory that the kernel uses itself is refused. The way of a
//! request through these files is drawn in `docs/architecture.md`.
//!
//! # Limitations
//!
//! There is no read(2) and no write(2), and no cache type but uncached.

use kernel::prelude::*;

mod area;
mod file;
#[path = "core/mod.rs"]
pub mod map_core;
mod node;
mod platform;
mod shim;

module! {
    type: Map,
    name: "map",
    authors: ["The map developers"],
    description: "A window onto physical memory",
    license: "GPL",
    params: {
        major: u32 {
            default: crate::map_core::abi::MAJOR,
            description: "Character major number; 0 lets the kernel choose one",
        },
    },
}

/// The loaded module: while it exists, so does the node.
struct Map {
    _node: node::Node,
}

impl kernel::Module for Map {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let node = node::Node::register(module_parameters::major.value())?;
        pr_info!(
            "/dev/{} is character device {}\n",
            map_core::abi::NAME,
            node.number()
        );
        Ok(Self { _node: node })
    }
}
