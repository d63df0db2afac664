// SPDX-License-Identifier: GPL-2.0

//! Files in debugfs that hold a reference to the module while they are open.
//!
//! This does not use `kernel::debugfs`: its `file_operations` have no owner, so the module could be
//! unloaded while a file is open, and closing the file would call freed code.
//!
//! C header: [`include/linux/debugfs.h`](srctree/include/linux/debugfs.h)

use core::marker::PhantomData;

use kernel::{
    bindings,
    seq_file::SeqFile, //
};

use super::shim;

/// The contents of the files `windows`, `mappings`, `refusals` and `interrupts`.
pub(crate) trait Contents: 'static {
    /// Writes the contents of `windows`.
    fn windows(out: &SeqFile);

    /// Writes the contents of `mappings`.
    fn mappings(out: &SeqFile);

    /// Writes the contents of `refusals`.
    fn refusals(out: &SeqFile);

    /// Writes the contents of `interrupts`.
    fn interrupts(out: &SeqFile);
}

/// The directory of the module with its files. Dropping this removes them.
pub(crate) struct Directory<T>(PhantomData<T>);

impl<T: Contents> Directory<T> {
    /// Creates the files. Without debugfs this does nothing.
    ///
    /// This must come after the last step of a module's initialization that can fail: the kernel
    /// frees a module whose initialization fails even if a file is open.
    pub(crate) fn new() -> Self {
        shim::map_debug_create(Self::show);
        Self(PhantomData)
    }

    /// # Safety
    ///
    /// `out` must be a `seq_file` in its `show` operation; `which` is the number of the file in
    /// `shim.c`.
    unsafe extern "C" fn show(out: *mut bindings::seq_file, which: u32) {
        // SAFETY: By this function's contract.
        let out = unsafe { SeqFile::from_raw(out) };
        match which {
            0 => T::windows(out),
            1 => T::mappings(out),
            2 => T::refusals(out),
            _ => T::interrupts(out),
        }
    }
}

impl<T> Drop for Directory<T> {
    fn drop(&mut self) {
        shim::map_debug_remove();
    }
}
