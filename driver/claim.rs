// SPDX-License-Identifier: GPL-2.0

//! Claims on regions of physical memory, which keep other drivers out and stand in `/proc/iomem`.

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
    state::Shown, //
};

/// The claim on one region, given back when dropped.
///
/// It is shared by the window and by all mappings of it, so the region stays claimed until the last of them is gone,
/// even if the window goes first.
///
/// # Invariants
///
/// The region of `start` and `length`, which is `range`, is claimed under `name`.
pub(crate) struct Claim {
    range: PhysRange,
    start: bindings::resource_size_t,
    length: bindings::resource_size_t,
    // The kernel keeps a pointer to the text of it.
    _name: CString,
}

impl Claim {
    /// Claims the region of `window` as `map: NAME`.
    ///
    /// Fails with EBUSY if somebody else has a part of it.
    pub(crate) fn new(window: &Window) -> Result<Self> {
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
        if region.is_null() {
            return Err(EBUSY);
        }
        // INVARIANT: It was just claimed.
        Ok(Self {
            range: window.range,
            start,
            length,
            _name: name,
        })
    }

    /// The region.
    pub(crate) fn range(&self) -> &PhysRange {
        &self.range
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // SAFETY: By the type's invariant; the tree of resources is locked by the function.
        unsafe {
            bindings::__release_region(&raw mut bindings::iomem_resource, self.start, self.length)
        };
    }
}

/// Start and length in the kernel's type, which has 32 bits on some machines.
fn numbers(range: &PhysRange) -> Result<(bindings::resource_size_t, bindings::resource_size_t)> {
    let number = |value| bindings::resource_size_t::try_from(value).map_err(|_| EINVAL);
    Ok((number(range.start())?, number(range.length())?))
}
