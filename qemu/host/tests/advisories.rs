// SPDX-License-Identifier: MIT OR Apache-2.0

//! `qemu/advisories.sh` on machines without a database: nothing that was not checked passes.

mod common;

use std::{fs, path::Path, process::Command};

use common::root;

/// The exit status of the script with this database, and what it says.
fn with(database: &Path) -> (Option<i32>, String) {
    let mut script = Command::new(root().join("qemu/advisories.sh"));
    // It needs no cache until there is a database.
    let output = script.arg("/nonexistent").env("ADVISORY_DB", database).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn without_a_database_nothing_is_checked_and_the_script_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let absent = directory.path().join("absent");
    for place in [absent.as_path(), directory.path()] {
        let (status, says) = with(place);
        let reason = format!("skipped: there is no database of advisories in {};", place.display());
        assert!(status == Some(77) && says.starts_with(&reason), "{status:?} {says}");
    }
}

#[test]
fn a_database_without_advisories_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("crates")).unwrap();
    let (status, says) = with(directory.path());
    assert!(status == Some(1) && says.starts_with("there are no advisories in "), "{status:?} {says}");
}
