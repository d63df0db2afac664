// SPDX-License-Identifier: GPL-2.0

//! A window onto physical memory: `/dev/map`, whose offsets are physical addresses, and a node for
//! each window, `/dev/map1` and so on, whose offset 0 is the first byte of the window.
//!
//! A mapping is shared and never executable. mmap(2) maps all pages at once, except where huge
//! pages are possible: these are mapped at the first access. Windows come from the parameter
//! `windows`, from the device tree, and at run time from other modules: `map_config.ko` has a
//! directory in configfs for each. With windows, only they can be mapped, with the access and the
//! cache type of each, by every process that may open the node. `docs/architecture.md` shows how a
//! request passes through these files.
//!
//! Without a description of windows the driver is in raw mode: with CAP_SYS_RAWIO, everything but
//! System RAM can be mapped, uncached. Raw mode replaces /dev/mem on machines where nobody has
//! described windows. Describing windows, even invalidly, disables it until reload.
//!
//! # Limitations
//!
//! Windows of the parameter are fixed at load time. Only the node of a window can be read and
//! written, and only if the window is known to be memory.

use kernel::{
    prelude::*,
    sync::Arc,
    ModuleMetadata, //
};

mod abstractions;
mod array_vec;
mod claim;
mod debug;
mod display;
mod error;
mod file;
mod interrupts;
mod ioctl;
#[path = "core/mod.rs"]
pub mod map_core;
mod mapping;
mod node;
mod notifier;
mod of;
mod registry;
mod report;
mod reservation;
mod runtime;
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
use node::{
    Node,
    MINORS, //
};
use notifier::Notifiers;
use of::OfDriver;
use state::{
    Published,
    State, //
};

module! {
    type: Map,
    name: "map",
    authors: ["The map developers"],
    description: "A window onto physical memory",
    license: "GPL",
}

/// The loaded module. The node exists as long as this does.
///
/// The fields are dropped in this order: first the files in debugfs and the node of all memory,
/// after which nothing can be opened any more, then the driver of the device tree with its devices
/// and their windows. The other windows are released with the last reference to the state.
#[pin_data]
struct Map {
    _debug: DebugFiles,
    _chrdev: chrdev::Registration<NodeFile, Node>,
    #[pin]
    _of: OfDriver,
    _notifiers: Notifiers,
    _published: Published,
    _last_words: report::LastWords,
}

impl kernel::InPlaceModule for Map {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        pin_init::pin_init_scope(move || {
            machine::check_encryption().inspect_err(|_| {
                pr_err!("the memory of this machine is encrypted, so mappings would show undefined data\n");
            })?;
            let devices = chrdev::Devices::new(abi::NAME, param::major(), MINORS)?;
            let devices = Arc::new(devices, GFP_KERNEL)?;
            let state = State::new(devices.clone())?;
            windows::add_at_load(&state)?;
            Ok(try_pin_init!(Self {
                _last_words: report::LastWords(state.clone()),
                // SAFETY: A module is initialized only once.
                _published: unsafe { Published::new(state.clone()) },
                _notifiers: Notifiers::register(&state)?,
                _: { runtime::offer() },
                _of <- OfDriver::register(Self::NAME, module),
                // The last step that can fail.
                _chrdev: chrdev::Registration::new(&devices)?,
                // After that: the kernel frees a module whose initialization fails, even if a file
                // is open.
                _debug: DebugFiles::new(),
                _: { report::loaded(&state) },
            }))
        })
    }
}
