// SPDX-License-Identifier: GPL-2.0

//! Events while the driver is loaded: memory that is about to go online, and a device tree that
//! changes.

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

/// The registration of both notifiers. The state must be published before, and until this is
/// dropped.
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
        // A change may have come between the first look at the tree and the registration.
        if of::has_windows() {
            state.windows.lock().leave_raw()?;
        }
        Ok(notifiers)
    }
}

/// The driver, as notifiers know it.
struct Driver;

impl OnlineVeto for Driver {
    /// Memory stays offline if a window or a mapping has a part of it.
    ///
    /// The kernel has it in `/proc/iomem` as System RAM before it asks, and a mapping is registered
    /// under the lock under which that was found not to be so. So whoever comes second sees the
    /// other.
    fn vetoes(start: u64, length: u64) -> bool {
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
}

impl Reconfig for Driver {
    fn has_windows() {
        let Some(state) = state::current() else {
            return;
        };
        let left = state.windows.lock().leave_raw();
        if left.is_err() {
            pr_err!("no memory to leave raw mode with, now that the device tree has windows; unload the driver\n");
        }
    }
}
