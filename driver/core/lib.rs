// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The ABI and the decisions of the map driver, as a crate.
//!
//! The driver includes the same files by `#[path]`, so the tests run the code that runs in the
//! kernel.

#![no_std]

#[path = "mod.rs"]
mod map_core;
mod notation;

pub use map_core::*;
pub use notation::{
    number,
    NumberError,
    RangeError, //
};
