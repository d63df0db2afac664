// SPDX-License-Identifier: GPL-2.0

//! Formatting of the core's values by the kernel's macros, whose `Display` is a trait of its own.

use kernel::fmt;

/// A value that is formatted by its [`core::fmt::Display`].
pub(crate) struct CoreDisplay<T>(pub(crate) T);

impl<T: core::fmt::Display> fmt::Display for CoreDisplay<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        core::fmt::Display::fmt(&self.0, f)
    }
}
