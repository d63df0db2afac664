// SPDX-License-Identifier: GPL-2.0

//! Formatting of core types with the macros of the kernel, which use a separate `Display` trait.

use kernel::fmt;

/// A wrapper that formats a value by its [`core::fmt::Display`].
pub(crate) struct CoreDisplay<T>(pub(crate) T);

impl<T: core::fmt::Display> fmt::Display for CoreDisplay<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        core::fmt::Display::fmt(&self.0, f)
    }
}
