// SPDX-License-Identifier: MIT OR Apache-2.0

//! Parses any arguments, quickly and by the whole definition.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| devmap_cli::property::arguments(bytes));
