// SPDX-License-Identifier: GPL-2.0

//! The address space that all files of the driver share, by which VMAs are found.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h),
//! [`include/linux/mm.h`](srctree/include/linux/mm.h)

use core::ptr::NonNull;

use kernel::{
    bindings,
    error::from_err_ptr,
    prelude::*, //
};

use super::shim;

/// An address space: the offset of a page in it is its physical address.
///
/// # Invariants
///
/// Both pointers are what `map_space_create()` has returned.
pub(crate) struct AddressSpace {
    mount: NonNull<bindings::vfsmount>,
    inode: NonNull<bindings::inode>,
}

impl AddressSpace {
    /// Creates an address space without VMAs.
    ///
    /// # Errors
    ///
    /// ENOMEM if there is no memory.
    pub(crate) fn new() -> Result<Self> {
        let mut mount = core::ptr::null_mut();
        // SAFETY: `mount` is writable.
        let inode = from_err_ptr(unsafe { shim::map_space_create(&mut mount) })?;
        // INVARIANT: They were just created.
        Ok(Self {
            mount: NonNull::new(mount).ok_or(ENOMEM)?,
            inode: NonNull::new(inode).ok_or(ENOMEM)?,
        })
    }

    /// Makes the VMAs of `file` part of this address space.
    ///
    /// # Safety
    ///
    /// `file` must be a file that is being opened, and its data must keep this alive.
    pub(super) unsafe fn adopt(&self, file: *mut bindings::file) {
        // SAFETY: By this function's contract; the inode exists as long as this.
        unsafe { shim::map_space_adopt(self.inode.as_ptr(), file) };
    }

    /// Unmaps the `length` bytes at the physical address `start`, whole pages, from every VMA of
    /// the address space. When this returns, no processor can access them through one, but fork(2)
    /// may still be copying huge pages that it has seen before. At a later access the kernel asks
    /// [`VmaOperations::fault()`](super::mm::VmaOperations::fault).
    ///
    /// A VMA is part of the address space only after the operation `mmap` has returned, so the
    /// caller must wait for the operations that are running.
    pub(crate) fn unmap(&self, start: u64, length: u64) {
        // SAFETY: The inode exists as long as this; the function takes the locks that it needs.
        unsafe { shim::map_space_unmap(self.inode.as_ptr(), start, length) };
    }

    /// Does the same in one process after the other, each while it does not fork. When this
    /// returns, every fork(2) has ended that had begun before, and the pages that it has copied are
    /// unmapped, too, if its VMA was part of the address space by then.
    ///
    /// It waits for the `mmap_lock` of each process, so the caller must hold no lock.
    pub(crate) fn unmap_each(&self, start: u64, length: u64) {
        // SAFETY: As above.
        unsafe { shim::map_space_unmap_each(self.inode.as_ptr(), start, length) };
    }
}

impl Drop for AddressSpace {
    fn drop(&mut self) {
        // SAFETY: By the type's invariant, and no file uses the inode any more.
        unsafe { shim::map_space_destroy(self.mount.as_ptr(), self.inode.as_ptr()) };
    }
}

// SAFETY: The kernel protects both objects by locks of its own.
unsafe impl Send for AddressSpace {}
// SAFETY: As above.
unsafe impl Sync for AddressSpace {}
