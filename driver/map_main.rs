// SPDX-License-Identifier: GPL-2.0

//! A window onto physical memory: `/dev/map`, whose offsets are physical addresses.
//!
//! A mapping is shared and never executable; it is made whole at the call of mmap(2), so it cannot fault later. With
//! the parameter `windows`, only what it lists can be mapped, with the access and the cache type that it says, by whoever
//! may open the node. Without it the driver is in raw mode: everything but System RAM, uncached, for CAP_SYS_RAWIO.
//! The way of a request through these files is drawn in `docs/architecture.md`.
//!
//! # Limitations
//!
//! There is no read(2) and no write(2). Windows are given at load and stay as they are.

use kernel::{
    prelude::*,
    sync::Arc, //
};

mod area;
mod claim;
mod file;
mod ioctl;
mod list;
#[path = "core/mod.rs"]
pub mod map_core;
mod node;
mod platform;
mod report;
mod shim;
mod state;
mod windows;

use node::Node;
use state::State;
use windows::Windows;

module! {
    type: Map,
    name: "map",
    authors: ["The map developers"],
    description: "A window onto physical memory",
    license: "GPL",
}

/// The loaded module: while it exists, so does the node.
///
/// The fields are dropped in this order: the node goes first, so that nobody can come in any more, and the windows are
/// given back with the last reference on the state.
#[pin_data]
struct Map {
    #[pin]
    _node: Node,
    #[pin]
    _debug: report::Debug,
    _state: Arc<State>,
}

impl kernel::InPlaceModule for Map {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        pin_init::pin_init_scope(|| {
            let state = State::new(Windows::from_parameter()?)?;
            Ok(try_pin_init!(Self {
                _state: state.clone(),
                _debug <- report::debug(state.clone()),
                _node <- Node::register(shim::map_major(), state),
            }))
        })
    }
}
