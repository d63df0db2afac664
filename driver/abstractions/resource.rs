// SPDX-License-Identifier: GPL-2.0

//! Regions of physical memory in the kernel's tree of resources, `/proc/iomem`.
//!
//! `kernel::io::resource` releases a region by its numbers, and by then they may be somebody
//! else's.
//!
//! C header: [`include/linux/ioport.h`](srctree/include/linux/ioport.h)

use core::ptr::NonNull;

use kernel::{
    bindings,
    prelude::*,
    str::{
        CStrExt,
        CString, //
    }, //
};

/// A region that keeps other drivers out, given back when dropped.
///
/// # Invariants
///
/// `resource` is the region's own, with `start`, `length` and the text of `name`, and with a
/// description that no other resource has. It is in the kernel's tree, unless what it lay in was
/// removed with all that is in it.
pub(crate) struct Region {
    start: u64,
    length: u64,
    resource: NonNull<bindings::resource>,
    // The kernel keeps a pointer to the text of it.
    name: Option<CString>,
}

impl Region {
    /// Requests the `length` bytes at `start` under `name`.
    ///
    /// # Errors
    ///
    /// EBUSY if somebody else has a part of it, EINVAL if the kernel has no such addresses.
    pub(crate) fn request(start: u64, length: u64, name: CString) -> Result<Self> {
        let number = |value| bindings::resource_size_t::try_from(value).map_err(|_| EINVAL);
        // SAFETY: The function locks the tree. The text lives as long as the region: it is on the
        // heap, and moves with nothing.
        let resource = unsafe {
            bindings::__request_region(
                &raw mut bindings::iomem_resource,
                number(start)?,
                number(length)?,
                name.as_char_ptr(),
                0,
            )
        };
        let resource = NonNull::new(resource).ok_or(EBUSY)?;
        // SAFETY: The resource is ours. A concurrent reader of the field finds no description that
        // it looks for.
        unsafe { (*resource.as_ptr()).desc = description(resource) };
        // INVARIANT: It was just requested, and nothing else has its address.
        Ok(Self {
            start,
            length,
            resource,
            name: Some(name),
        })
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        let resource = self.resource.as_ptr();
        let kind = description(self.resource);
        if !intersects(self.start, self.length, bindings::IORESOURCE_BUSY, kind) {
            // A device whose region was laid around ours has taken it along, and may bring it back.
            pr_warn!(
                "the claim on {:#x} bytes at {:#x} went with the resource around it\n",
                self.length,
                self.start
            );
            core::mem::forget(self.name.take());
            return;
        }
        // By the object, not by its numbers; and without what was laid into it. SAFETY: By the
        // type's invariant, as it was just found in the tree, which the function locks. Only root
        // can have removed what it lies in since then.
        unsafe { bindings::remove_resource(resource) };
        // SAFETY: `__request_region()` has allocated it in this way, and nothing leads to it any
        // more.
        unsafe { bindings::kfree(resource.cast()) };
    }
}

/// A description of the resource that no other one has: the kernel's own are small numbers.
fn description(resource: NonNull<bindings::resource>) -> usize {
    resource.as_ptr().addr()
}

// SAFETY: A region may be given back by another thread than the one that requested it.
unsafe impl Send for Region {}
// SAFETY: Nothing can be done through a shared reference.
unsafe impl Sync for Region {}

/// Whether a part of the `length` bytes at `start` lies in resources that have all of `flags` and
/// are of the kind `description`.
pub(crate) fn intersects(start: u64, length: u64, flags: u32, description: usize) -> bool {
    let (Ok(start), Ok(size)) = (
        bindings::resource_size_t::try_from(start),
        usize::try_from(length),
    ) else {
        // The kernel cannot be asked about so much, and has nothing there that it could give.
        return true;
    };
    // SAFETY: `region_intersects()` takes numbers only and locks the tree itself.
    let found = unsafe { bindings::region_intersects(start, size, flags as usize, description) };
    // Anything but "disjoint", a mixture too.
    u32::try_from(found) != Ok(bindings::REGION_DISJOINT)
}
