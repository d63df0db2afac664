// SPDX-License-Identifier: GPL-2.0

//! What the driver `map` exports.

use kernel::{
    ffi::{
        c_char,
        c_int,
        c_uint, //
    },
    prelude::*, //
};

use crate::map_core::Line;

// These declarations match `shim.h` of the driver.
unsafe extern "C" {
    fn map_window_add(
        text: *const c_char,
        length: usize,
        reason: *mut c_char,
        room: usize,
    ) -> c_int;

    /// Removes the window whose node has this minor number, if it was added at run time. When this
    /// returns, no process can access its memory.
    pub(crate) safe fn map_window_remove(minor: c_uint);
}

/// Adds the window that `text` describes, and returns the minor number of its node.
///
/// # Errors
///
/// The driver has logged why, and `reason` has the line.
pub(crate) fn add(text: &[u8], reason: &mut Line) -> Result<u32> {
    let result = reason.fill(|room| {
        // SAFETY: Both have the lengths that are passed, and the second is writable.
        unsafe {
            map_window_add(
                text.as_ptr().cast(),
                text.len(),
                room.as_mut_ptr().cast(),
                room.len(),
            )
        }
    });
    match u32::try_from(result) {
        Ok(minor) => Ok(minor),
        Err(_) => Err(Error::from_errno(result)),
    }
}
