// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Reads any node of a device tree.

#![no_main]

#[path = "../../tests/tree/mod.rs"]
mod tree;
#[path = "../../tests/input/mod.rs"]
mod input;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tree::check(bytes));
