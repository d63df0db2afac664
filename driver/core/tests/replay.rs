// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Replays the corpus of the fuzzer and the lists of `malformed.txt`.

mod list;

use std::{
    fs,
    path::Path, //
};

#[test]
fn the_fuzzers_corpus_is_still_fine() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/windows");
    let mut count = 0;
    for entry in fs::read_dir(&directory).unwrap() {
        list::check(&fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(
        count >= 20,
        "{} holds {count} files only",
        directory.display()
    );
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
