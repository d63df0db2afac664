// SPDX-License-Identifier: GPL-2.0

//! What this module exports to others, in the symbol namespace `MAP`.
//!
//! `shim.c` exports the symbols, because the `kernel` crate can export only those of the kernel.

use core::marker::PhantomData;

use kernel::{
    ffi::{
        c_char,
        c_int,
        c_uint, //
    },
    prelude::*, //
};

use super::shim;

/// What other modules can do with windows.
pub(crate) trait Windows: 'static {
    /// Adds the window that `text` describes, and returns the minor number of its node. If it
    /// fails, writes the reason to `reason`, which is all NUL, and leaves its last byte so.
    fn add(text: &[u8], reason: &mut [u8]) -> Result<u32>;

    /// Removes the window whose node has the number `minor`, if it was added in this way.
    fn remove(minor: u32);
}

/// The implementation `T`, as the exported functions call it.
pub(crate) struct Export<T>(PhantomData<T>);

impl<T: Windows> Export<T> {
    /// Makes the exported functions work. They are called only between the end of the module's
    /// initialization and its removal.
    pub(crate) fn offer() {
        shim::map_offer_windows(Self::add, Self::remove);
    }

    /// # Safety
    ///
    /// `text` must have `length` bytes, and `reason` must be writable and have `room` bytes.
    unsafe extern "C" fn add(
        text: *const c_char,
        length: usize,
        reason: *mut c_char,
        room: usize,
    ) -> c_int {
        // SAFETY: By this function's contract; no other thread has it during the call.
        let text = unsafe { core::slice::from_raw_parts(text.cast(), length) };
        // SAFETY: As above.
        unsafe { reason.write_bytes(0, room) };
        // SAFETY: As above, and it was just initialized.
        let reason = unsafe { core::slice::from_raw_parts_mut(reason.cast(), room) };
        match T::add(text, reason) {
            Ok(minor) => c_int::try_from(minor).unwrap_or(EOVERFLOW.to_errno()),
            Err(error) => error.to_errno(),
        }
    }

    extern "C" fn remove(minor: c_uint) {
        T::remove(minor);
    }
}
