// SPDX-License-Identifier: MIT OR Apache-2.0

//! Replays the corpus of the fuzzer.

mod description;

use std::fs;
use std::path::Path;

/// Checks every file of a directory, and gives their number.
fn replay(directory: &str) -> usize {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let files = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    // Miri would take hours for all of them.
    for file in files.iter().step_by(if cfg!(miri) { 100 } else { 1 }) {
        description::check(&fs::read(file).unwrap());
    }
    files.len()
}

#[test]
fn the_fuzzers_descriptions_are_still_fine() {
    assert!(replay("fuzz/corpus/description") >= 100);
}

#[test]
fn the_examples_are_fine() {
    assert!(replay("examples/svd") >= 4);
}
