// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Takes anything that is written to the files of a window's directory.

#![no_main]

#[path = "../../tests/draft/mod.rs"]
mod draft;
#[path = "../../tests/input/mod.rs"]
mod input;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| draft::check(bytes));
