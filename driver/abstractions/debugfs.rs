// SPDX-License-Identifier: GPL-2.0

//! Files in debugfs that hold a reference on the module while they are open.
//!
//! The table of operations that `kernel::debugfs` makes has no owner, so the module could go while
//! a file is open, and closing it would call into what is no more.
//!
//! C header: [`include/linux/debugfs.h`](srctree/include/linux/debugfs.h)

use core::marker::PhantomData;

use kernel::{
    bindings,
    seq_file::SeqFile, //
};

use super::shim;

/// The contents of the files `windows`, `mappings` and `refusals`.
pub(crate) trait Contents: 'static {
    /// Writes the file `windows`.
    fn windows(out: &SeqFile);

    /// Writes the file `mappings`.
    fn mappings(out: &SeqFile);

    /// Writes the file `refusals`.
    fn refusals(out: &SeqFile);
}

/// The directory of the module with its files, which go when this is dropped.
pub(crate) struct Directory<T>(PhantomData<T>);

impl<T: Contents> Directory<T> {
    /// Makes the files. It is no failure if there is no debugfs.
    pub(crate) fn new() -> Self {
        shim::map_debug_create(Self::show);
        Self(PhantomData)
    }

    /// # Safety
    ///
    /// `out` must be a file that is being shown; `which` is its number in `shim.c`.
    unsafe extern "C" fn show(out: *mut bindings::seq_file, which: u32) {
        // SAFETY: By this function's contract.
        let out = unsafe { SeqFile::from_raw(out) };
        match which {
            0 => T::windows(out),
            1 => T::mappings(out),
            _ => T::refusals(out),
        }
    }
}

impl<T> Drop for Directory<T> {
    fn drop(&mut self) {
        shim::map_debug_remove();
    }
}
