// SPDX-License-Identifier: GPL-2.0

//! A window onto physical memory: `/dev/map`, whose offsets are physical addresses.
//!
//! A mapping is shared and never executable; it is made whole at the call of mmap(2), so it cannot
//! fault later. With windows, which come from the parameter `windows` and from the device tree,
//! only they can be mapped, with the access and the cache type that each has, by whoever may open
//! the node. If neither says anything of windows, the driver is in raw mode: everything but System
//! RAM, uncached, for CAP_SYS_RAWIO. The way of a request through these files is drawn in
//! `docs/architecture.md`.
//!
//! # Limitations
//!
//! There is no read(2) and no write(2). The windows of the parameter stay as they are, and what is
//! mapped of a window that goes stays mapped.

use kernel::{
    prelude::*,
    ModuleMetadata, //
};

mod abstractions;
mod array_vec;
mod claim;
mod debug;
mod display;
mod error;
mod file;
mod ioctl;
#[path = "core/mod.rs"]
pub mod map_core;
mod mapping;
mod notifier;
mod of;
mod registry;
mod report;
mod state;
mod system;
mod vma;
mod windows;

use abstractions::{
    chrdev,
    machine,
    param, //
};
use debug::DebugFiles;
use file::NodeFile;
use map_core::abi;
use notifier::Notifiers;
use of::OfDriver;
use state::{
    Published,
    State, //
};
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
/// The fields are dropped in this order: the node goes first, so that nobody can come in any more,
/// then the devices of the device tree with their windows; the others are given back with the last
/// reference on the state.
#[pin_data]
struct Map {
    _chrdev: chrdev::Registration<NodeFile>,
    _debug: DebugFiles,
    #[pin]
    _of: OfDriver,
    _notifiers: Notifiers,
    _published: Published,
    _last_words: report::LastWords,
}

impl kernel::InPlaceModule for Map {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        pin_init::pin_init_scope(move || {
            if machine::memory_is_encrypted() {
                pr_err!("the memory of this machine is encrypted, and nobody knows what a mapping would show\n");
                return Err(EOPNOTSUPP);
            }
            let state = State::new(Windows::at_load()?)?;
            Ok(try_pin_init!(Self {
                _last_words: report::LastWords(state.clone()),
                // SAFETY: A module is initialized only once.
                _published: unsafe { Published::new(state.clone()) },
                _notifiers: Notifiers::register(&state)?,
                _debug: DebugFiles::new(),
                _of <- OfDriver::register(Self::NAME, module),
                // The last step that can fail.
                _chrdev: chrdev::Registration::new(abi::NAME, param::major(), abi::MINOR)?,
                _: { report::loaded(&state) },
            }))
        })
    }
}
