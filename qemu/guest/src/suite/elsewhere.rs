// SPDX-License-Identifier: MIT OR Apache-2.0

//! The suites of x86_64 alone, which have no tests elsewhere.

/// Random operations: the model knows the rules of x86_64.
pub mod model {
    pub const TESTS: &[crate::Test] = &[];
}

/// What fails on purpose: the kernel that can do that is of x86_64.
pub mod faults {
    pub const TESTS: &[crate::Test] = &[];
    pub const LOADS: &[crate::Test] = &[];
}

/// What takes long: the kernel that sees most of it is of x86_64.
pub mod soak {
    pub const LONG: &[crate::Test] = &[];
    pub const SHORT: &[crate::Test] = &[];
    pub const LOADS: &[crate::Test] = &[];
    pub const PRESSURE: &[crate::Test] = &[];
}
