// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reads any lines as a script.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| devmap_cli::property::script(bytes));
