// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Parses any text as a list of windows.

#![no_main]

#[path = "../../tests/list/mod.rs"]
mod list;

libfuzzer_sys::fuzz_target!(|text: &[u8]| list::check(text));
