// SPDX-License-Identifier: GPL-2.0

//! Claims on regions of physical memory, which keep other drivers out and stand in `/proc/iomem`.

use core::ptr::NonNull;

use kernel::{
    bindings,
    prelude::*,
    str::{
        CStrExt,
        CString, //
    }, //
};

use crate::{
    map_core::{
        PhysRange,
        Window, //
    },
    state::CoreDisplay,
    system::intersects,
    windows::AddError, //
};

/// The claim on one region, given back when dropped.
///
/// It is shared by the window and by all mappings of it, so the region stays claimed until the last of them is gone,
/// even if the window goes first.
///
/// # Invariants
///
/// `region` is the claim's own, with `range` and the text of `name`, and with a description that no other resource has. It
/// is in the kernel's tree of resources, unless what it lay in was taken out with all that is in it.
pub(crate) struct Claim {
    range: PhysRange,
    region: NonNull<bindings::resource>,
    // The kernel keeps a pointer to the text of it.
    name: Option<CString>,
}

impl Claim {
    /// Claims the region of `window` as `map: NAME`.
    ///
    /// Fails with [`AddError::Claimed`] if somebody else has a part of it.
    pub(crate) fn new(window: &Window) -> Result<Self, AddError> {
        let (start, length) = numbers(&window.range)?;
        let name = if window.name.is_empty() {
            CString::try_from_fmt(fmt!("map"))?
        } else {
            CString::try_from_fmt(fmt!("map: {}", CoreDisplay(window.name)))?
        };
        // SAFETY: The tree of resources is locked by the function. The text lives as long as the claim: it is on the
        // heap, and moves with nothing.
        let region = unsafe {
            bindings::__request_region(
                &raw mut bindings::iomem_resource,
                start,
                length,
                name.as_char_ptr(),
                0,
            )
        };
        let Some(region) = NonNull::new(region) else {
            return Err(AddError::Claimed(*window));
        };
        // SAFETY: The resource is ours. Who looks at the field meanwhile finds no description that they look for.
        unsafe { (*region.as_ptr()).desc = description(region) };
        // INVARIANT: It was just claimed, and nothing else has its address.
        Ok(Self {
            range: window.range,
            region,
            name: Some(name),
        })
    }

    /// The region.
    pub(crate) fn range(&self) -> &PhysRange {
        &self.range
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let region = self.region.as_ptr();
        if !intersects(
            &self.range,
            bindings::IORESOURCE_BUSY,
            description(self.region),
        ) {
            // A device whose region was laid around ours has taken it along, and may bring it back.
            pr_warn!(
                "the claim on {} went with what it lay in\n",
                CoreDisplay(self.range)
            );
            core::mem::forget(self.name.take());
            return;
        }
        // By the object, not by its numbers, which may be somebody else's by now; and without what was laid into it.
        // SAFETY: By the type's invariant, as it was just found in the tree, which the function locks. Only root can have
        // taken out since then what it lies in.
        unsafe { bindings::remove_resource(region) };
        // SAFETY: `__request_region()` has allocated it in this way, and nothing leads to it any more.
        unsafe { bindings::kfree(region.cast()) };
    }
}

/// A description of the resource that no other one has: the kernel's own are small numbers.
fn description(region: NonNull<bindings::resource>) -> usize {
    region.as_ptr().addr()
}

// SAFETY: A region may be given back by another thread than the one that claimed it.
unsafe impl Send for Claim {}
// SAFETY: Nothing can be done through a shared reference but look at the range.
unsafe impl Sync for Claim {}

/// Start and length in the kernel's type, which has 32 bits on some machines.
fn numbers(range: &PhysRange) -> Result<(bindings::resource_size_t, bindings::resource_size_t)> {
    let number = |value| bindings::resource_size_t::try_from(value).map_err(|_| EINVAL);
    Ok((number(range.start())?, number(range.length())?))
}
