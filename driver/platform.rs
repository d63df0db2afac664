// SPDX-License-Identifier: GPL-2.0

//! What the decisions have to know of this machine and of the process that calls.

use kernel::{
    bindings,
    ffi::{
        c_int,
        c_void, //
    },
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
        intersection_with_ram(range) != Some(bindings::REGION_DISJOINT)
    }
}

/// Whether all of `range` is memory that the firmware or the kernel's command line has reserved.
pub(crate) fn is_reserved(range: &PhysRange) -> bool {
    is_reserved_on_a_pc(range) || is_reserved_in_the_tree(range)
}

/// Whether all of `range` lies in one node of `/reserved-memory` that the kernel has not mapped for itself.
fn is_reserved_in_the_tree(range: &PhysRange) -> bool {
    (0..u32::MAX)
        .map_while(shim::reserved_region)
        .filter_map(|(start, length)| PhysRange::new(start, length))
        .any(|region| region.contains(range))
}

/// Whether `/proc/iomem` calls all of `range` reserved, and by the descriptor that only a PC's resources have.
fn is_reserved_on_a_pc(range: &PhysRange) -> bool {
    let mut found = 0u64;
    // SAFETY: The tree of resources is locked by the function, which hands the last but one argument to the last.
    unsafe {
        bindings::walk_iomem_res_desc(
            bindings::IORES_DESC_RESERVED as usize,
            bindings::IORESOURCE_MEM as usize,
            range.start(),
            range.last(),
            (&raw mut found).cast(),
            Some(add_length_raw),
        )
    };
    // Resources of one level do not overlap, so as many bytes as the range has are all of them.
    found == range.length()
}

/// # Safety
///
/// `resource` must be a resource, and `sum` a number that nobody else uses.
unsafe extern "C" fn add_length_raw(resource: *mut bindings::resource, sum: *mut c_void) -> c_int {
    // SAFETY: By this function's contract.
    let resource = unsafe { &*resource };
    // SAFETY: By this function's contract.
    let sum = unsafe { &mut *sum.cast::<u64>() };
    // The part of a resource that lies in a range, whose length fits.
    let last = resource.end.wrapping_sub(resource.start);
    *sum = sum.wrapping_add(last.wrapping_add(1));
    0
}

/// How `range` lies to the kernel's own memory; `None` if it is longer than the kernel can be asked about.
fn intersection_with_ram(range: &PhysRange) -> Option<u32> {
    let size = usize::try_from(range.length()).ok()?;
    let start = bindings::resource_size_t::try_from(range.start()).ok()?;
    // SAFETY: `region_intersects()` takes numbers only and locks the resource tree itself.
    let found = unsafe {
        bindings::region_intersects(
            start,
            size,
            bindings::IORESOURCE_SYSTEM_RAM as usize,
            bindings::IORES_DESC_NONE as usize,
        )
    };
    u32::try_from(found).ok()
}
