// SPDX-License-Identifier: GPL-2.0

//! What the driver tells people: refusals in the log, windows in fdinfo.

use kernel::{
    prelude::*,
    seq_file::{
        seq_print,
        SeqFile, //
    },
    sync::Arc, //
};

use crate::{
    abstractions::task::{
        self,
        Comm, //
    },
    display::CoreDisplay,
    error::Denial,
    map_core::{
        Entry,
        LeftOut,
        LogLimit,
        Mode,
        Refusal,
        Request, //
    },
    state::State, //
};

/// Says in the log if the driver is of no use as it was loaded: the node that describes windows may
/// stand where the kernel makes no device of it, and nothing else would tell.
pub(crate) fn loaded(state: &State) {
    if matches!(state.windows.lock().mode(), Mode::Windows(table) if table.windows().is_empty()) {
        pr_warn!("there are no windows yet, and nothing else can be mapped\n");
    }
}

/// Counts a refused open and says in the log why.
pub(crate) fn refused_open(state: &State, reason: Refusal) {
    state.counts.refused(reason);
    if may_log(state) {
        pr_warn!(
            "{}[{}]: open refused: {}\n",
            Comm::current().as_c_str(),
            task::pid(),
            CoreDisplay(reason)
        );
    }
}

/// Counts an mmap(2) that was not made, if it was refused, and says in the log why, and which
/// window is nearest.
pub(crate) fn refused_mmap(state: &State, request: &Request, denial: &Denial) {
    if let Denial::Refused(refused) = denial {
        state.counts.refused(refused.reason);
    }
    if !may_log(state) {
        return;
    }
    pr_warn!(
        "{}[{}]: mmap of {:#x} bytes at {:#x} {}\n",
        Comm::current().as_c_str(),
        task::pid(),
        request.length,
        request.start,
        denial
    );
}

/// Whether one more line about the user of the current process may go to the log now. What was left
/// out before of anybody is said first.
fn may_log(state: &State) -> bool {
    let (user, now) = (task::user(), task::seconds_since_boot());
    let mut limit = state.log.lock();
    say_left_out(&mut limit, Some(now));
    limit.passes(user, now)
}

/// Says what was left out of the log until `now`, or in all.
fn say_left_out(limit: &mut LogLimit, now: Option<u64>) {
    while let Some(LeftOut { user, count }) = limit.take_left_out(now) {
        match user {
            Some(user) => pr_warn!("{count} more refusals of user {user} were not logged\n"),
            None => pr_warn!("{count} more refusals of other users were not logged\n"),
        }
    }
}

/// Says, when it is dropped, what was left out of the log until then.
pub(crate) struct LastWords(pub(crate) Arc<State>);

impl Drop for LastWords {
    fn drop(&mut self) {
        say_left_out(&mut self.0.log.lock(), None);
    }
}

/// What `/proc/PID/fdinfo` shows of a file of the node.
pub(crate) fn fdinfo(state: &State, out: &SeqFile) {
    let windows = state.windows.lock();
    let mode = match windows.mode() {
        Mode::Raw => "raw",
        Mode::Windows(_) => "windows",
    };
    seq_print!(out, "map-mode:\t{mode}\n");
    for entry in windows.mode().windows() {
        seq_print!(out, "map-window:\t{}\n", CoreDisplay(entry.window()));
    }
}
