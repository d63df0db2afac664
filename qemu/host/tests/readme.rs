// SPDX-License-Identifier: MIT OR Apache-2.0

//! README.md shows a part of an example, which is what the guests run.

mod common;

use std::fs;

use common::root;

/// A text with four blanks before each line that has any.
fn indented(text: &str) -> String {
    text.lines().map(|line| if line.is_empty() { "\n".into() } else { format!("    {line}\n") }).collect()
}

#[test]
fn the_driver_in_userspace_is_that_of_the_example() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let section = readme.split("\n### Interrupts\n").nth(1).expect("README has such a section");
    let code = section.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next()).expect("it has code");
    let example = fs::read_to_string(root().join("userspace/lib/examples/alarm.rs")).unwrap();
    assert!(code.lines().count() > 10 && example.contains(&indented(code)), "{code}");
}
