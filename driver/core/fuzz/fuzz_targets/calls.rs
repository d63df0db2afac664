// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Answers the structures of any ioctl.

#![no_main]

#[path = "../../tests/calls/mod.rs"]
mod calls;
#[path = "../../tests/input/mod.rs"]
mod input;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| calls::check(bytes));
