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
    platform::is_set_aside,
    state::Shown,
    windows::Unfit, //
};

/// The claim on one region, given back when dropped.
///
/// It is shared by the window and by all mappings of it, so the region stays claimed until the last of them is gone,
/// even if the window goes first.
///
/// # Invariants
///
/// `region` is in the kernel's tree of resources, with `range` and the text of `_name`, below resources that stay.
pub(crate) struct Claim {
    range: PhysRange,
    region: NonNull<bindings::resource>,
    // The kernel keeps a pointer to the text of it.
    _name: CString,
}

impl Claim {
    /// Claims the region of `window` as `map: NAME`.
    ///
    /// Fails with [`Unfit::Claimed`] if somebody else has a part of it, and with [`Unfit::Inside`] if it lies inside of a
    /// region that may go: the claim would go with it, and nobody would be told.
    pub(crate) fn new(window: &Window) -> Result<Self, Unfit> {
        let (start, length) = numbers(&window.range)?;
        let name = if window.name.is_empty() {
            CString::try_from_fmt(fmt!("map"))?
        } else {
            CString::try_from_fmt(fmt!("map: {}", Shown(window.name)))?
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
            return Err(Unfit::Claimed(*window));
        };
        // INVARIANT: It was just claimed. Should the last part not hold, it is given back before anybody can remove what
        // it lies in, but for root in these few instructions.
        let claim = Self {
            range: window.range,
            region,
            _name: name,
        };
        if claim.lies_in_what_stays() {
            Ok(claim)
        } else {
            Err(Unfit::Inside(*window))
        }
    }

    /// Whether what the region lies in stays as long as the kernel runs: nothing, memory that a PC's firmware or command
    /// line reserves, or memory that the device tree sets aside.
    fn lies_in_what_stays(&self) -> bool {
        // SAFETY: By the type's invariant; nobody but the kernel changes the field, and only when what it names goes.
        let parent = unsafe { (*self.region.as_ptr()).parent };
        // SAFETY: As above. The kernel takes this from the parent, which need not be looked at: it might be going.
        let kind = unsafe { (*self.region.as_ptr()).desc };
        core::ptr::eq(parent, &raw const bindings::iomem_resource)
            || kind == bindings::IORES_DESC_RESERVED as usize
            || is_set_aside(&self.range)
    }

    /// The region.
    pub(crate) fn range(&self) -> &PhysRange {
        &self.range
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let region = self.region.as_ptr();
        // By the object, not by its numbers, which may be somebody else's by now.
        // SAFETY: By the type's invariant; the tree of resources is locked by the function.
        unsafe { bindings::release_resource(region) };
        // SAFETY: `__request_region()` has allocated it in this way, and nothing leads to it any more.
        unsafe { bindings::kfree(region.cast()) };
    }
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
