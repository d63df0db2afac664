// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the two sides of the harness share: the host's `map-qemu`, and the guest's `map-init` and `map-suite`.

pub mod pattern;
pub mod plan;
pub mod protocol;
