// SPDX-License-Identifier: MIT OR Apache-2.0

//! Replays the corpus of the fuzzer.

mod description;

use std::fs;
use std::path::Path;

/// Checks every file of a directory, and gives their number.
fn replay(directory: &str) -> usize {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let files = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    files.map(|file| description::check(&fs::read(file.unwrap().path()).unwrap())).count()
}

#[test]
fn the_fuzzers_descriptions_are_still_fine() {
    assert!(replay("fuzz/corpus/description") >= 100);
}

#[test]
fn the_examples_are_fine() {
    assert!(replay("examples/svd") >= 4);
}
