// SPDX-License-Identifier: MIT OR Apache-2.0

//! Parses any arguments of the other programs by whose names the command line may be called.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| devmap_cli::property::program(bytes));
