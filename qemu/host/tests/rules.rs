// SPDX-License-Identifier: MIT OR Apache-2.0

//! docs/mmap.md names tests for its rules. They exist, and no test of the suite is without a rule.

mod common;

use std::{collections::BTreeSet, fs};

use common::{root, sources};

fn read(path: &str) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands in the text between `` `KIND: `` and the next backtick.
fn named<'a>(text: &'a str, kind: &str) -> BTreeSet<&'a str> {
    let start = format!("`{kind}: ");
    let names = text.split(start.as_str()).skip(1).map(|rest| rest.split('`').next().unwrap_or_default());
    // The first of them explains the notation.
    names.filter(|name| *name != "…").collect()
}

#[test]
fn every_test_of_the_suite_proves_a_rule_and_every_rule_has_its_test() {
    let suite = read("qemu/guest/src/suite/mmap.rs");
    let (_, list) = suite.split_once("crate::tests! {").unwrap();
    let (list, _) = list.split_once('}').unwrap();
    let tests: BTreeSet<_> = list.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    assert!(tests.len() > 10, "{tests:?}");
    assert_eq!(named(&read("docs/mmap.md"), "mmap"), tests);
}

#[test]
fn every_rule_has_a_test_in_its_section() {
    let documentation = read("docs/mmap.md");
    let mut count = 0;
    for section in documentation.split("\n## ") {
        let mut named = false;
        // A rule is an item of a list, up to the next one or an empty line.
        for rule in section.split("\n- ").skip(1).filter_map(|text| text.split("\n\n").next()) {
            // A test is named at the first rule of the section that it covers.
            named |= rule.contains("`mmap: ") || rule.contains("`host: ");
            assert!(named || rule.contains("no test asks"), "no test is named: {rule}");
            count += 1;
        }
    }
    assert!(count > 20, "only {count} rules");
}

#[test]
fn the_unit_tests_that_rules_name_exist() {
    let mut text = String::new();
    for directory in ["driver/core", "userspace/lib", "userspace/cli"] {
        sources(&root().join(directory), &mut text);
    }
    let documentation = read("docs/mmap.md");
    let names = named(&documentation, "host");
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        let function = format!("fn {}(", name.rsplit("::").next().unwrap_or_default());
        assert!(text.contains(&function), "docs/mmap.md names the test {name}, which there is not");
    }
}
