// SPDX-License-Identifier: GPL-2.0

//! What the kernel tells and asks the driver while it is loaded: memory that comes, and a device tree that changes.

use kernel::prelude::*;

use crate::{
    map_core::PhysRange,
    shim,
    state::{
        self,
        State, //
    }, //
};

/// The registration of both notifiers. The state must be published before, and until this is dropped.
pub(crate) struct Notifiers {
    _memory: Memory,
    _of: OfChanges,
}

impl Notifiers {
    pub(crate) fn register(state: &State) -> Result<Self> {
        let notifiers = Self {
            _memory: Memory::watch()?,
            _of: OfChanges::watch()?,
        };
        // The tree was asked before, but a change may have come between.
        if shim::map_of_has_windows() {
            state.windows.lock().leave_raw()?;
        }
        Ok(notifiers)
    }
}

/// Memory that is to go online is asked about.
struct Memory(());

impl Memory {
    fn watch() -> Result<Self> {
        shim::watch_memory()?;
        Ok(Self(()))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        shim::map_unwatch_memory();
    }
}

/// Changes of the device tree are told.
struct OfChanges(());

impl OfChanges {
    fn watch() -> Result<Self> {
        shim::watch_of()?;
        Ok(Self(()))
    }
}

impl Drop for OfChanges {
    fn drop(&mut self) {
        shim::map_unwatch_of();
    }
}

/// Whether a window or a mapping has a part of the `length` bytes at `start`, so that they must not become memory of the
/// kernel's.
///
/// The kernel has them in `/proc/iomem` as System RAM before it asks, and a mapping is registered under the lock under
/// which that was found not to be so. So whoever comes second sees the other.
#[no_mangle]
extern "C" fn map_is_in_use(start: u64, length: u64) -> bool {
    let (Some(range), Some(state)) = (PhysRange::new(start, length), state::current()) else {
        return false;
    };
    let in_use = state.windows.lock().is_in_use(&range);
    if in_use {
        pr_warn!(
            "memory at {start:#x}, {length:#x} bytes, stays offline: a window, or a mapping, has a part of it\n"
        );
    }
    in_use
}

/// Leaves raw mode: the device tree has windows now.
#[no_mangle]
extern "C" fn map_leave_raw() {
    let Some(state) = state::current() else {
        return;
    };
    let left = state.windows.lock().leave_raw();
    if left.is_err() {
        pr_err!("no memory to leave raw mode with, now that the device tree has windows; unload the driver\n");
    }
}
