// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reads any file as a description of registers.

#![no_main]

#[path = "../../tests/description/mod.rs"]
mod description;

libfuzzer_sys::fuzz_target!(|xml: &[u8]| description::check(xml));
