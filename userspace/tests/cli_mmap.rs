// SPDX-License-Identifier: MIT OR Apache-2.0

//! `devmap explain` and `devmap lab`.

#![cfg(feature = "cli")]

mod common;

use std::process::Command;

use common::Ran;

fn devmap(arguments: &[&str]) -> Ran {
    Ran::new(Command::new(env!("CARGO_BIN_EXE_devmap")).args(arguments))
}

#[test]
fn explain_takes_numbers_as_every_command_does() {
    let ran = devmap(&["explain", "0xc000_0000", "3M", "--page-size", "16K"]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), ""));
    assert!(ran.out.contains("mapped     0xc0000000-0xc02fffff, 192 pages, 3145728 bytes\n"), "{ran:?}");
    let ran = devmap(&["--json", "explain", "0xc0000ffe", "8", "--page-size", "4096"]);
    assert!(ran.out.starts_with("{\"start\":\"0xc0000ffe\"") && ran.out.lines().count() == 1, "{ran:?}");
    // Without a page size it is the machine's.
    let page_size = devmap::page::PageSize::of_system().bytes();
    let ran = devmap(&["explain", "1", "1"]);
    assert!(ran.out.contains(&format!("1 page, {page_size} bytes\n")), "{ran:?}");
}

#[test]
fn explain_refuses_what_has_no_pages() {
    devmap(&["explain", "0xc0000000", "0"]).failed(2, "0 bytes have no page");
    devmap(&["explain", "0xffffffffffffffff", "2"]).failed(2, "go beyond the last address");
    devmap(&["explain", "0", "0xffffffffffffffff"]).failed(2, "more than one process can address");
    devmap(&["explain", "0", "4", "--page-size", "5000"]).misused("`5000` is no power of two");
    devmap(&["explain", "0", "4", "--page-size", "0"]).misused("`0` is no power of two");
    devmap(&["explain", "c0000000", "4"]).misused("write 0xc0000000 for hexadecimal");
    devmap(&["explain", "0xc0000000"]).misused("<LENGTH>");
}
