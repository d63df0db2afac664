// SPDX-License-Identifier: GPL-2.0

//! The files in `/sys/kernel/debug/map`: the windows, the number of mapped VMAs, the number of
//! refused calls for each reason, and the interrupts.

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
    map_core::{
        Decimal,
        Entry, //
    },
    state, //
};

/// The files. Dropping this removes them.
pub(crate) type DebugFiles = Directory<Driver>;

/// Implements the contents of the files.
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
            let count = CoreDisplay(Decimal(count));
            seq_print!(out, "{count:>10} {}\n", CoreDisplay(reason));
        }
    }

    fn interrupts(out: &SeqFile) {
        let Some(state) = state::current() else {
            return;
        };
        for entry in state.windows.lock().mode().windows() {
            if let Some(interrupts) = entry.interrupts() {
                interrupts.show_debug(out);
            }
        }
    }
}
