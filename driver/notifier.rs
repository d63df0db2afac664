// SPDX-License-Identifier: GPL-2.0

//! Notifiers: memory that is about to go online, and changes of the device tree.

use kernel::prelude::*;

use crate::{
    abstractions::{
        memory_hotplug::{
            self,
            OnlineVeto, //
        },
        of::{
            self,
            Reconfig, //
        }, //
    },
    map_core::PhysRange,
    state::{
        self,
        State, //
    }, //
};

/// The registration of both notifiers. The state must be published before this is created and until
/// it is dropped.
pub(crate) struct Notifiers {
    _memory: memory_hotplug::Notifier<Driver>,
    _of: of::Notifier<Driver>,
}

impl Notifiers {
    pub(crate) fn register(state: &State) -> Result<Self> {
        let notifiers = Self {
            _memory: memory_hotplug::Notifier::register()?,
            _of: of::Notifier::register()?,
        };
        // The tree may have changed between the first check and the registration.
        if of::has_windows() {
            state.windows.lock().leave_raw()?;
        }
        Ok(notifiers)
    }
}

/// Implements the callbacks of the notifiers.
struct Driver;

impl OnlineVeto for Driver {
    /// Keeps memory offline if a window or a mapping overlaps it.
    ///
    /// The kernel adds the memory to `/proc/iomem` as System RAM before it calls this. A mapping is
    /// registered under the same lock that is held while the driver checks that its range is not
    /// System RAM. So of two concurrent operations, the second one sees the first.
    fn vetoes(start: u64, length: u64) -> bool {
        let (Some(range), Some(state)) = (PhysRange::new(start, length), state::current()) else {
            return false;
        };
        let in_use = state.windows.lock().is_in_use(&range);
        if in_use {
            pr_warn!(
                "memory at {start:#x}, {length:#x} bytes, stays offline: a window or a mapping overlaps it\n"
            );
        }
        in_use
    }
}

impl Reconfig for Driver {
    fn has_windows() {
        let Some(state) = state::current() else {
            return;
        };
        let left = state.windows.lock().leave_raw();
        if left.is_err() {
            pr_err!("no memory to leave raw mode, although the device tree has windows now; unload the driver\n");
        }
    }
}
