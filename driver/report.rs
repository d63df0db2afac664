// SPDX-License-Identifier: GPL-2.0

//! Reports: refusals in the log, windows in fdinfo.

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
    file::NodeFile,
    map_core::{
        Decimal,
        Entry,
        LeftOut,
        LogLimit,
        Mode,
        Refusal,
        Request, //
    },
    node::Node,
    state::State, //
};

/// Warns if nothing can be mapped after the load. The node that describes windows may be in a place
/// where the kernel creates no device for it, which nothing else reports.
pub(crate) fn loaded(state: &State) {
    if matches!(state.windows.lock().mode(), Mode::Windows(table) if table.windows().is_empty()) {
        pr_warn!("there are no windows yet, so nothing can be mapped\n");
    }
}

/// Counts a refused open(2) and logs the reason.
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

/// Counts a failed mmap(2) if it was refused, and logs the reason and the nearest window.
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
        request.base.wrapping_add(request.start),
        denial
    );
}

/// Counts a failed read(2) or write(2) if it was refused, and logs the reason.
pub(crate) fn refused_transfer(state: &State, node: &Node, call: &str, denial: &Denial) {
    // The end of the window and a wrong pointer concern only the caller.
    let Denial::Refused(refused) = denial else {
        return;
    };
    state.counts.refused(refused.reason);
    if may_log(state) {
        pr_warn!(
            "{}[{}]: {call} of the window {} {}\n",
            Comm::current().as_c_str(),
            task::pid(),
            CoreDisplay(node.window),
            denial
        );
    }
}

/// Returns whether a line about the current user may be logged now. First logs the counts of
/// suppressed lines that are due.
fn may_log(state: &State) -> bool {
    let (user, now) = (task::user(), task::seconds_since_boot());
    let mut limit = state.log.lock();
    say_left_out(&mut limit, Some(now));
    limit.passes(user, now)
}

/// Logs the counts of suppressed lines that are due at `now`, or all of them.
fn say_left_out(limit: &mut LogLimit, now: Option<u64>) {
    while let Some(LeftOut { user, count }) = limit.take_left_out(now) {
        let count = CoreDisplay(Decimal(count));
        match user {
            Some(user) => pr_warn!("{count} more refusals of user {user} were not logged\n"),
            None => pr_warn!("{count} more refusals of other users were not logged\n"),
        }
    }
}

/// Logs the counts of suppressed lines when it is dropped.
pub(crate) struct LastWords(pub(crate) Arc<State>);

impl Drop for LastWords {
    fn drop(&mut self) {
        say_left_out(&mut self.0.log.lock(), None);
    }
}

/// Writes the lines of a file of a node in `/proc/PID/fdinfo`.
pub(crate) fn fdinfo(file: &NodeFile, out: &SeqFile) {
    let NodeFile { state, node, .. } = file;
    if let Some(node) = node {
        let mode = if node.is_gone() { "gone" } else { "window" };
        seq_print!(out, "map-mode:\t{mode}\n");
        seq_print!(out, "map-window:\t{}\n", CoreDisplay(node.window));
        if let Some((interrupts, taken)) = file.interrupts() {
            interrupts.show_file(taken, out);
        }
        return;
    }
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
