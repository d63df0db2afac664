// SPDX-License-Identifier: GPL-2.0

//! The files in `/sys/kernel/debug/map`: the windows, how many VMAs are mapped, and how many calls
//! were refused for which reason.

use kernel::seq_file::{
    seq_print,
    SeqFile, //
};

use crate::{
    abstractions::debugfs::{
        Contents,
        Directory, //
    },
    display::CoreDisplay,
    map_core::Entry,
    state, //
};

/// The files; they go when this is dropped.
pub(crate) type DebugFiles = Directory<Driver>;

/// The driver, as debugfs shows it.
pub(crate) struct Driver;

impl Contents for Driver {
    fn windows(out: &SeqFile) {
        let Some(state) = state::current() else {
            return;
        };
        for entry in state.windows.lock().mode().windows() {
            seq_print!(out, "{}\n", CoreDisplay(entry.window()));
        }
    }

    fn mappings(out: &SeqFile) {
        if let Some(state) = state::current() {
            seq_print!(out, "{}\n", state.counts.vmas());
        }
    }

    fn refusals(out: &SeqFile) {
        let Some(state) = state::current() else {
            return;
        };
        for (reason, count) in state.counts.refusals() {
            seq_print!(out, "{count:>10} {}\n", CoreDisplay(reason));
        }
    }
}
