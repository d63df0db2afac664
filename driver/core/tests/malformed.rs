// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Every list of windows in `malformed.txt` is rejected with the error given beside it.

use std::collections::BTreeSet;

mod platform;

use map_core::{
    parse,
    ParseError,
    Table,
    Window, //
};
use platform::PLATFORM;

/// Returns the name of a variant, without its fields.
fn kind(variant: &impl std::fmt::Debug) -> String {
    let text = format!("{variant:?}");
    text.split(|letter: char| !letter.is_alphanumeric())
        .next()
        .unwrap()
        .to_owned()
}

/// Returns the line of `malformed.txt` expected for `list`.
fn line(list: &str) -> String {
    let windows: Result<Vec<Window>, ParseError<'_>> = parse(list.as_bytes(), 0x1000).collect();
    let windows = match windows {
        Ok(windows) => windows,
        Err(error) => {
            let end = error.position + error.part.len();
            assert_eq!(list.as_bytes().get(error.position..end), Some(error.part));
            return format!(
                "{list}\t{}\t{}\t{}",
                kind(&error.kind),
                error.position,
                error.part.len()
            );
        }
    };
    match Table::new(windows, &PLATFORM) {
        Ok(_) => format!("{list}\tgood"),
        Err(error) => format!("{list}\t{}\t-\t-", kind(&error)),
    }
}

#[test]
fn every_malformed_list_is_refused_where_and_why_it_should_be() {
    let lines: Vec<&str> = include_str!("malformed.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    assert!(lines.len() >= 60);
    let mut kinds = BTreeSet::new();
    for expected in lines {
        let (list, rest) = expected.split_once('\t').unwrap();
        assert_eq!(line(list), expected);
        kinds.insert(rest.split('\t').next().unwrap());
    }
    // All 19 of ParseErrorKind, and all 4 of TableError.
    assert_eq!(kinds.len(), 19 + 4, "{kinds:?}");
}
