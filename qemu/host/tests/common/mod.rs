// SPDX-License-Identifier: MIT OR Apache-2.0

//! The project's files, as the tests of its documents read them.

#![allow(dead_code, reason = "each test file is a crate of its own, and uses what it needs")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The top of the project.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The text of every source file below `directory`.
pub fn sources(directory: &Path, text: &mut String) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            *text += &fs::read_to_string(path).unwrap();
        }
    }
}
