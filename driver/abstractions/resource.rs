// SPDX-License-Identifier: GPL-2.0

//! Regions of physical memory in the resource tree of the kernel, `/proc/iomem`.
//!
//! This does not use `kernel::io::resource`: it releases a region by its addresses, which may
//! belong to another resource by then.
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

/// A region that excludes other drivers. Dropping this releases it.
///
/// # Invariants
///
/// `resource` belongs to this region. It has `start`, `length` and the text of `name`, and a unique
/// `desc`. It is in the tree, unless its parent was removed with all its children.
pub(crate) struct Region {
    start: u64,
    length: u64,
    resource: NonNull<bindings::resource>,
    // The resource has a pointer to the text.
    name: Option<CString>,
}

impl Region {
    /// Requests the `length` bytes at `start` as `name`.
    ///
    /// # Errors
    ///
    /// EBUSY if part of the range is already claimed, ENOMEM if there is no memory for the claim,
    /// EINVAL if the kernel has no such addresses.
    pub(crate) fn request(start: u64, length: u64, name: CString) -> Result<Self> {
        let number = |value| bindings::resource_size_t::try_from(value).map_err(|_| EINVAL);
        // SAFETY: The function locks the tree. The text lives as long as the region: it is on the
        // heap, so its address does not change.
        let resource = unsafe {
            bindings::__request_region(
                &raw mut bindings::iomem_resource,
                number(start)?,
                number(length)?,
                name.as_char_ptr(),
                0,
            )
        };
        // The function does not tell why.
        let resource = NonNull::new(resource).ok_or_else(|| {
            if intersects(
                start,
                length,
                bindings::IORESOURCE_BUSY,
                bindings::IORES_DESC_NONE as usize,
            ) {
                EBUSY
            } else {
                ENOMEM
            }
        })?;
        // SAFETY: The resource is ours. A concurrent reader of the field does not look for this
        // value.
        unsafe { (*resource.as_ptr()).desc = description(resource) };
        // INVARIANT: The resource was just requested, and its address is unique.
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
            // A resource that was inserted around ours was removed with it, and may be inserted
            // again.
            pr_warn!(
                "the claim on {:#x} bytes at {:#x} was removed with the resource around it\n",
                self.length,
                self.start
            );
            core::mem::forget(self.name.take());
            return;
        }
        // This releases the object, not its addresses, and without children inserted into it.
        // SAFETY: By the type's invariant, since the resource was just found in the tree, which the
        // function locks. Only root can have removed its parent since then.
        unsafe { bindings::remove_resource(resource) };
        // SAFETY: `__request_region()` allocated the resource with `kzalloc()`, and nothing refers
        // to it any more.
        unsafe { bindings::kfree(resource.cast()) };
    }
}

/// Returns a unique `desc` for the resource. The values of the kernel are small numbers.
fn description(resource: NonNull<bindings::resource>) -> usize {
    resource.as_ptr().addr()
}

// SAFETY: A region may be released by any thread.
unsafe impl Send for Region {}
// SAFETY: A shared reference allows no operations.
unsafe impl Sync for Region {}

/// Returns whether part of the `length` bytes at `start` lies in resources with all of `flags` and
/// this `description`.
pub(crate) fn intersects(start: u64, length: u64, flags: u32, description: usize) -> bool {
    // On a machine of 32 bits the function takes less than 4 GiB at once.
    const LONGEST: Option<u64> = if cfg!(CONFIG_64BIT) {
        None
    } else {
        Some(1 << 31)
    };
    let (mut next, mut left) = (start, length);
    while left > 0 {
        let part = LONGEST.map_or(left, |longest| left.min(longest));
        if part_intersects(next, part, flags, description) {
            return true;
        }
        // What is left has not been looked at, so neither wraps.
        next = next.wrapping_add(part);
        left = left.wrapping_sub(part);
    }
    false
}

fn part_intersects(start: u64, length: u64, flags: u32, description: usize) -> bool {
    let (Ok(start), Ok(size)) = (
        bindings::resource_size_t::try_from(start),
        usize::try_from(length),
    ) else {
        // The kernel cannot represent such a range, so no part of it may be used.
        return true;
    };
    // SAFETY: `region_intersects()` takes only numbers and locks the tree itself.
    let found = unsafe { bindings::region_intersects(start, size, flags as usize, description) };
    // REGION_MIXED counts as an intersection, too.
    u32::try_from(found) != Ok(bindings::REGION_DISJOINT)
}
