// SPDX-License-Identifier: MIT OR Apache-2.0

//! The suites of some architectures, which have no tests elsewhere.

/// Random operations: the model knows the rules of x86_64.
pub mod model {
    pub const TESTS: &[crate::Test] = &[];
}

/// What fails on purpose: the kernels that can do that are of x86_64 and arm64.
#[cfg(not(target_arch = "aarch64"))]
pub mod faults {
    pub const TESTS: &[crate::Test] = &[];
    pub const LOADS: &[crate::Test] = &[];
    pub const DEVICES: &[crate::Test] = &[];
}

/// What takes long: the kernel that sees most of it is of x86_64.
pub mod soak {
    pub const LONG: &[crate::Test] = &[];
    pub const SHORT: &[crate::Test] = &[];
    pub const LOADS: &[crate::Test] = &[];
    pub const PRESSURE: &[crate::Test] = &[];
}
