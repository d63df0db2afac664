// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What the map driver promises and what it decides.
//!
//! Everything here is a pure function of its arguments: no allocation, no dependency, no panic. The kernel module
//! gathers the facts, asks [`decide()`], and carries the answer out; userspace and the tests use the same code.

pub mod abi;
mod decide;
mod range;

pub use decide::{
    decide,
    may_open,
    Cache,
    Errno,
    Grant,
    Platform,
    Refusal,
    Request, //
};
pub use range::PhysRange;
