// SPDX-License-Identifier: MIT OR Apache-2.0

//! How `devmap` ends on /dev/map: every exit status, and the one line that says why.

pub const TESTS: &[crate::Test] = &[];
