// SPDX-License-Identifier: MIT OR Apache-2.0

//! docs/safety.md and docs/SECURITY.md name a test for each of their promises. They exist, and are run.

mod common;

use std::fs;

use common::{root, sources};

/// The rows of the tables of promises: the promise, and what stands in its second column.
fn promises(documentation: &str) -> Vec<(&str, &str)> {
    let tables = documentation.split("\n| promise | test |\n|---|---|\n").skip(1);
    let rows = tables.flat_map(|table| table.split("\n\n").next().unwrap_or_default().lines());
    rows.map(|row| row.trim_matches('|').rsplit_once(" | ").unwrap_or_else(|| panic!("no two columns: {row}")))
        .collect()
}

/// The names between backticks.
fn names(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// Whether `name` is a test: one that libtest runs, or one in the table of a guest suite.
fn is_test(name: &str, guest: &str, host: &str) -> bool {
    let in_table = guest.contains(&format!("    {name},\n")) || guest.contains(&format!("name: \"{name}\""));
    let in_guest = in_table && guest.contains(&format!("fn {name}("));
    in_guest || host.contains(&format!("#[test]\n    fn {name}()"))
}

#[test]
fn every_promise_names_tests_that_exist() {
    let read = |name: &str| fs::read_to_string(root().join("docs").join(name)).unwrap();
    let documentation = read("safety.md") + "\n\n" + &read("SECURITY.md");
    let (mut guest, mut host) = (String::new(), String::new());
    sources(&root().join("qemu/guest/src/suite"), &mut guest);
    sources(&root().join("driver/core"), &mut host);
    let promises = promises(&documentation);
    assert!(promises.len() > 60, "{promises:#?}");
    for (promise, cell) in promises {
        let names = names(cell);
        assert!(!names.is_empty() || cell.trim().starts_with("none: "), "no test and no reason:{promise}");
        for name in names {
            assert!(is_test(name, &guest, &host), "the documents name the test {name}, which there is not:{promise}");
        }
    }
    // Where the text names one outside of the tables, it exists as well.
    for name in ["a_kernel_that_loads_dies_or_fails", "system_calls_take_memory_that_answers"] {
        assert!(documentation.contains(name) && is_test(name, &guest, &host), "{name}");
    }
}

#[test]
fn a_test_that_is_nowhere_would_be_missed() {
    let guest = "crate::tests! {\n    one,\n}\nfn one(\nfn two(";
    assert!(is_test("one", guest, "") && !is_test("two", guest, "") && !is_test("on", guest, ""));
    assert!(is_test("three", "", "#[test]\n    fn three()") && !is_test("three", "", "fn three()"));
}
