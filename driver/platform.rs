// SPDX-License-Identifier: GPL-2.0

//! What the decisions have to know of this machine and of the process that calls.

use kernel::{
    bindings,
    num::casts::u32_as_usize,
    page, //
};

use crate::{
    map_core::{
        Facts,
        PhysRange,
        Platform, //
    },
    shim, //
};

/// The page size, and the sizes of the address spaces.
pub(crate) fn platform() -> Platform {
    Platform {
        page_size: page::PAGE_SIZE as u64,
        #[allow(
            clippy::useless_conversion,
            reason = "a physical address has 32 bits on some machines"
        )]
        last_address: u64::from(shim::map_last_phys_addr()),
        last_offset: usize::MAX as u64,
        task_size: shim::map_task_size() as u64,
    }
}

/// The kernel, to be asked.
pub(crate) struct Kernel;

impl Facts for Kernel {
    fn has_rawio(&self) -> bool {
        shim::map_capable_rawio()
    }

    fn is_locked_down(&self) -> bool {
        shim::map_locked_down()
    }

    fn is_system_ram(&self, range: &PhysRange) -> bool {
        // Anything but "disjoint", a mixture too, is the kernel's.
        intersection(
            range,
            bindings::IORESOURCE_SYSTEM_RAM,
            bindings::IORES_DESC_NONE,
        ) != Some(bindings::REGION_DISJOINT)
    }
}

/// Whether all of `range` is memory that the firmware or the kernel's command line has reserved.
pub(crate) fn is_reserved(range: &PhysRange) -> bool {
    intersection(
        range,
        bindings::IORESOURCE_MEM,
        bindings::IORES_DESC_RESERVED,
    ) == Some(bindings::REGION_INTERSECTS)
}

/// How `range` lies to the resources of this kind; `None` if it is longer than the kernel can be asked about.
fn intersection(range: &PhysRange, flags: u32, description: u32) -> Option<u32> {
    let size = usize::try_from(range.length()).ok()?;
    let start = bindings::resource_size_t::try_from(range.start()).ok()?;
    // SAFETY: `region_intersects()` takes numbers only and locks the resource tree itself.
    let found = unsafe {
        bindings::region_intersects(start, size, u32_as_usize(flags), u32_as_usize(description))
    };
    u32::try_from(found).ok()
}
