// SPDX-License-Identifier: GPL-2.0

//! What the decision has to know of this machine.

use kernel::{
    bindings,
    num::casts::u32_as_usize,
    page, //
};

use crate::{
    map_core::{
        PhysRange,
        Platform, //
    },
    shim, //
};

/// The page size and the width of a physical address.
pub(crate) fn platform() -> Platform {
    Platform {
        // A shift is below 64.
        page_shift: page::PAGE_SHIFT as u32,
        // `phys_addr_t` has 32 bits on some machines.
        #[allow(clippy::useless_conversion)]
        last_address: u64::from(shim::map_last_phys_addr()),
    }
}

/// Whether `range` holds memory that the kernel uses as its own.
pub(crate) fn is_system_ram(range: &PhysRange) -> bool {
    let Ok(size) = usize::try_from(range.length()) else {
        // More than the kernel could ask about at once: there is RAM somewhere in it.
        return true;
    };
    // SAFETY: `region_intersects()` takes numbers only and locks the resource tree itself.
    let found = unsafe {
        bindings::region_intersects(
            range.start(),
            size,
            u32_as_usize(bindings::IORESOURCE_SYSTEM_RAM),
            u32_as_usize(bindings::IORES_DESC_NONE),
        )
    };
    // Anything but "disjoint", a mixture too, is the kernel's.
    u32::try_from(found) != Ok(bindings::REGION_DISJOINT)
}
