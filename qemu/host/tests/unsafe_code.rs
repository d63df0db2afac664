// SPDX-License-Identifier: MIT OR Apache-2.0

//! docs/safety.md has every file with unsafe code, and how often the word is in it.

mod common;

use std::{collections::BTreeMap, fs, path::Path};

use common::root;

/// How often `unsafe` is in the code, without comments and texts.
fn count(code: &str) -> usize {
    let words = |line: &str| {
        let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
        line.split(|letter| !is_part(letter)).filter(|word| *word == "unsafe").count()
    };
    code.lines().map(|line| words(without_text(line).split("//").next().unwrap_or_default())).sum()
}

/// A line without what stands between quotes.
fn without_text(line: &str) -> String {
    let mut quoted = false;
    let mut escaped = false;
    line.chars()
        .filter(|letter| {
            let ends = *letter == '"' && !escaped;
            escaped = *letter == '\\' && !escaped;
            quoted ^= ends;
            !quoted
        })
        .collect()
}

/// The files below `directory` with unsafe code, by their paths below the project.
fn find(directory: &Path, found: &mut BTreeMap<String, usize>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let number = count(&fs::read_to_string(&path).unwrap());
            if number > 0 {
                let name = path.strip_prefix(root()).unwrap();
                found.insert(name.to_str().unwrap().to_owned(), number);
            }
        }
    }
}

/// What the tables below the last line with `directory` in it say: files, and how often the word is in each.
fn listed(documentation: &str, directory: &str) -> BTreeMap<String, usize> {
    let (_, rest) = documentation.split_once(directory).unwrap_or_else(|| panic!("there is no {directory:?}"));
    let (_, table) = rest.split_once("|---|---|---|---|\n").unwrap();
    let rows = table.split("\n\n").next().unwrap_or_default().lines();
    let mut found = BTreeMap::new();
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        for (name, number) in cells[0].split(", ").zip(cells[1].split(", ")) {
            found.insert(name.trim_matches('`').to_owned(), number.parse().unwrap());
        }
    }
    found
}

#[test]
fn every_unsafe_block_is_accounted_for() {
    let documentation = fs::read_to_string(root().join("docs/safety.md")).unwrap();
    let mut there = BTreeMap::new();
    for directory in ["driver", "userspace", "qemu/host"] {
        find(&root().join(directory), &mut there);
    }
    let mut said = BTreeMap::new();
    for (directory, line) in [
        ("driver/", "In `map.ko`, unsafe code is in"),
        ("driver/config/", "`map_config.ko` has unsafe code in"),
        ("userspace/lib/", "In `userspace/lib/`:"),
        ("userspace/cli/", "In `userspace/cli/`:"),
        ("qemu/host/", "In `qemu/host/`:"),
    ] {
        said.extend(
            listed(&documentation, line).into_iter().map(|(name, number)| (format!("{directory}{name}"), number)),
        );
    }
    assert!(there.len() > 25, "{there:#?}");
    assert_eq!(there, said, "left: the files; right: docs/safety.md");
}

#[test]
fn only_code_counts() {
    let code = "unsafe { a() } // unsafe\n#![allow(unsafe_code)]\nlet b = \"unsafe\"; unsafe { c(\"\\\"\") };\n";
    assert_eq!(count(code), 2);
    assert_eq!(listed("x\n|---|---|---|---|\n| `a`, `b` | 1, 2 | c | d |\n\n", "x")["b"], 2);
}
