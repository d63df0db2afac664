// SPDX-License-Identifier: GPL-2.0

//! What the decisions have to know of this machine and of the process that calls.

use kernel::{
    bindings,
    page, //
};

use crate::{
    map_core::{
        CacheMode,
        KernelQuery,
        Limits, //
        PhysRange,
    },
    shim, //
};

/// The page size, and the sizes of the address spaces.
pub(crate) fn limits() -> Limits {
    Limits {
        page_size: page::PAGE_SIZE as u64,
        #[allow(
            clippy::useless_conversion,
            reason = "a physical address has 32 bits on some machines"
        )]
        last_address: u64::from(shim::map_last_phys_addr()),
        last_offset: usize::MAX as u64,
        task_size: shim::map_task_size() as u64,
        aborts: shim::map_aborts(),
    }
}

/// The kernel, to be asked.
pub(crate) struct Kernel;

impl KernelQuery for Kernel {
    fn has_rawio(&self) -> bool {
        shim::map_capable_rawio()
    }

    fn is_locked_down(&self) -> bool {
        shim::map_locked_down()
    }

    fn is_system_ram(&self, range: &PhysRange) -> bool {
        intersects(
            range,
            bindings::IORESOURCE_SYSTEM_RAM,
            bindings::IORES_DESC_NONE as usize,
        )
    }

    fn is_exclusive(&self, range: &PhysRange) -> bool {
        // As `resource_is_exclusive()` has it, but for `iomem=relaxed`, which nobody tells a module.
        let exclusive = if cfg!(CONFIG_IO_STRICT_DEVMEM) {
            bindings::IORESOURCE_BUSY
        } else {
            bindings::IORESOURCE_BUSY | bindings::IORESOURCE_EXCLUSIVE
        };
        // What has pages of its own without being System RAM.
        let pages = [
            bindings::IORES_DESC_PERSISTENT_MEMORY,
            bindings::IORES_DESC_PERSISTENT_MEMORY_LEGACY,
            bindings::IORES_DESC_DEVICE_PRIVATE_MEMORY,
            bindings::IORES_DESC_SOFT_RESERVED,
        ];
        intersects(range, exclusive, bindings::IORES_DESC_NONE as usize)
            || pages
                .into_iter()
                .any(|kind| intersects(range, bindings::IORESOURCE_MEM, kind as usize))
    }

    fn is_in_pci_bar(&self, range: &PhysRange) -> bool {
        shim::map_in_pci_bar(range.start(), range.last())
    }

    fn is_reserved(&self, range: &PhysRange) -> bool {
        (0..u32::MAX)
            .map_while(shim::reserved_region)
            .filter_map(|(start, length)| PhysRange::new(start, length))
            .any(|region| region.contains(range))
    }

    fn gives(&self, range: &PhysRange, cache: CacheMode) -> bool {
        let gives = match cache {
            CacheMode::Uncached => shim::map_gives_uncached,
            CacheMode::WriteCombine => shim::map_gives_write_combine,
            CacheMode::Cached => shim::map_gives_write_back,
        };
        gives(range.start(), range.last())
    }
}

/// Whether a part of `range` lies in resources that have all of `flags` and are of the kind `description`.
pub(crate) fn intersects(range: &PhysRange, flags: u32, description: usize) -> bool {
    let (Ok(start), Ok(size)) = (
        bindings::resource_size_t::try_from(range.start()),
        usize::try_from(range.length()),
    ) else {
        // The kernel cannot be asked about so much, and has nothing there that it could give.
        return true;
    };
    // SAFETY: `region_intersects()` takes numbers only and locks the resource tree itself.
    let found = unsafe { bindings::region_intersects(start, size, flags as usize, description) };
    // Anything but "disjoint", a mixture too.
    u32::try_from(found) != Ok(bindings::REGION_DISJOINT)
}
