// SPDX-License-Identifier: GPL-2.0

//! Claims on the memory of windows. They appear in `/proc/iomem` and exclude other drivers.

use kernel::{
    prelude::*,
    str::CString,
    sync::Arc, //
};

use crate::{
    abstractions::resource::Region,
    display::CoreDisplay,
    map_core::Window, //
};

/// A claim. It is shared only with the copy of the window in the next table.
pub(crate) type Claim = Arc<Region>;

/// Claims the memory of `window` as `map: NAME`.
///
/// # Errors
///
/// EBUSY if part of it is already claimed, ENOMEM if there is no memory for the claim.
pub(crate) fn claim(window: &Window) -> Result<Claim> {
    let name = if window.name.is_empty() {
        CString::try_from_fmt(fmt!("map"))?
    } else {
        CString::try_from_fmt(fmt!("map: {}", CoreDisplay(window.name)))?
    };
    let region = Region::request(window.range.start(), window.range.length(), name)?;
    Ok(Arc::new(region, GFP_KERNEL)?)
}
