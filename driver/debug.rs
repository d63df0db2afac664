// SPDX-License-Identifier: GPL-2.0

//! The files in `/sys/kernel/debug/map`: the windows, how many VMAs are mapped, and how many calls were refused for what.
//!
//! They are made in C: the table of operations that `kernel::debugfs` makes has no owner, so the module could go while
//! one of them is open, and closing it would call into what is no more.

use kernel::{
    bindings,
    seq_file::{
        seq_print,
        SeqFile, //
    }, //
};

use crate::{
    shim,
    state::{
        self,
        CoreDisplay,
        State, //
    }, //
};

/// The files; they go when this is dropped, and the module stays while one is open.
pub(crate) struct Files(());

impl Files {
    /// Makes them. That they cannot be made is no reason to fail.
    pub(crate) fn new() -> Self {
        shim::map_debug_create();
        Self(())
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        shim::map_debug_remove();
    }
}

/// Writes file number `which` in the order of `shim.c` to `out`.
///
/// # Safety
///
/// `out` must be a file that is being shown.
#[no_mangle]
unsafe extern "C" fn map_debug_show(out: *mut bindings::seq_file, which: u32) {
    let Some(state) = state::current() else {
        return;
    };
    // SAFETY: By this function's contract.
    let out = unsafe { SeqFile::from_raw(out) };
    match which {
        0 => windows(&state, out),
        1 => seq_print!(out, "{}\n", state.counts.vmas()),
        _ => refusals(&state, out),
    }
}

fn windows(state: &State, out: &SeqFile) {
    for window in state.windows.lock().mode().windows() {
        seq_print!(out, "{}\n", CoreDisplay(window));
    }
}

fn refusals(state: &State, out: &SeqFile) {
    for (reason, count) in state.counts.refusals() {
        seq_print!(out, "{count:>10} {}\n", CoreDisplay(reason));
    }
}
