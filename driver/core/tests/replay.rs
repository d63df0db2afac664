// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Replays the corpus of the fuzzer and the lists of `malformed.txt`.

mod calls;
mod draft;
mod input;
mod list;
mod tree;

use std::{
    fs,
    path::Path, //
};

/// Checks every file of the corpus called `name`, of which there are at least `least`.
fn replay(name: &str, least: usize, check: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(name);
    let files: Vec<_> = fs::read_dir(&directory).unwrap().collect();
    assert!(
        files.len() >= least,
        "{} holds {} files only",
        directory.display(),
        files.len()
    );
    // Miri would take hours for all of them.
    for entry in files.into_iter().step_by(if cfg!(miri) { 50 } else { 1 }) {
        check(&fs::read(entry.unwrap().path()).unwrap());
    }
}

#[test]
fn the_fuzzers_lists_are_still_fine() {
    replay("windows", 100, list::check);
}

#[test]
fn the_fuzzers_nodes_are_still_fine() {
    replay("tree", 100, tree::check);
}

#[test]
fn the_fuzzers_calls_are_still_fine() {
    replay("calls", 100, calls::check);
}

#[test]
fn the_fuzzers_drafts_are_still_fine() {
    replay("draft", 100, draft::check);
}

#[test]
fn malformed_lists_are_errors_that_can_be_displayed() {
    for line in include_str!("malformed.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        list::check(line.split('\t').next().unwrap().as_bytes());
    }
}
