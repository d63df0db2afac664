// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reads any text as a place, a value and whatever else an argument may be.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| devmap_cli::property::text(bytes));
