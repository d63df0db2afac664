// SPDX-License-Identifier: GPL-2.0

//! The properties of the machine and of the current process that the decisions depend on.

use kernel::{
    bindings,
    fs::File,
    page, //
};

use crate::{
    abstractions::{
        fs::{
            FileMode,
            LAST_OFFSET_OF_ALL, //
        },
        machine,
        of,
        resource,
        task, //
    },
    map_core::{
        CacheMode,
        Caller,
        KernelQuery,
        Limits,
        PhysRange,
        Window, //
    }, //
};

/// Returns the page size and the sizes of the address spaces.
pub(crate) fn limits() -> Limits {
    Limits {
        page_size: page::PAGE_SIZE as u64,
        last_address: machine::last_phys_addr(),
        last_offset: usize::MAX as u64,
        task_size: task::task_size() as u64,
        aborts: machine::aborts(),
    }
}

/// Returns the same for the node of all memory, whose offsets are physical addresses.
pub(crate) fn limits_of_all() -> Limits {
    Limits {
        last_offset: LAST_OFFSET_OF_ALL,
        ..limits()
    }
}

/// The running kernel.
pub(crate) struct Kernel;

impl KernelQuery for Kernel {
    fn has_rawio(&self) -> bool {
        task::has_cap_sys_rawio()
    }

    fn is_locked_down(&self) -> bool {
        task::is_locked_down()
    }

    fn is_system_ram(&self, range: &PhysRange) -> bool {
        intersects(
            range,
            bindings::IORESOURCE_SYSTEM_RAM,
            bindings::IORES_DESC_NONE,
        )
    }

    fn is_exclusive(&self, range: &PhysRange) -> bool {
        // Like `resource_is_exclusive()`, but without `iomem=relaxed`, which a module cannot read.
        let exclusive = if cfg!(CONFIG_IO_STRICT_DEVMEM) {
            bindings::IORESOURCE_BUSY
        } else {
            bindings::IORESOURCE_BUSY | bindings::IORESOURCE_EXCLUSIVE
        };
        // Memory with struct pages that is not System RAM.
        let pages = [
            bindings::IORES_DESC_PERSISTENT_MEMORY,
            bindings::IORES_DESC_PERSISTENT_MEMORY_LEGACY,
            bindings::IORES_DESC_DEVICE_PRIVATE_MEMORY,
            bindings::IORES_DESC_SOFT_RESERVED,
        ];
        intersects(range, exclusive, bindings::IORES_DESC_NONE)
            || pages
                .into_iter()
                .any(|kind| intersects(range, bindings::IORESOURCE_MEM, kind))
    }

    fn is_in_pci_bar(&self, range: &PhysRange) -> bool {
        machine::is_in_pci_bar(range.start(), range.last())
    }

    fn is_reserved(&self, range: &PhysRange) -> bool {
        (0..u32::MAX)
            .map_while(of::reserved_region)
            .filter_map(|(start, length)| PhysRange::new(start, length))
            .any(|region| region.contains(range))
    }

    fn gives(&self, range: &PhysRange, cache: CacheMode) -> bool {
        let gives = match cache {
            CacheMode::Uncached => machine::gives_uncached,
            CacheMode::WriteCombine => machine::gives_write_combine,
            CacheMode::Cached => machine::gives_write_back,
        };
        gives(range.start(), range.last())
    }
}

/// Returns whether part of `range` lies in resources with all of `flags` and this `description`.
fn intersects(range: &PhysRange, flags: u32, description: u32) -> bool {
    resource::intersects(range.start(), range.length(), flags, description as usize)
}

/// Returns the access mode of `file`, and how the current process would map it.
pub(crate) fn caller(file: &File) -> Caller {
    let mode = FileMode::of(file);
    Caller {
        file_readable: mode.is_readable(),
        file_writable: mode.is_writable(),
        read_implies_execute: mode.read_implies_execute(),
    }
}

/// Returns `window`, marked as reserved if its memory is. Every window passes here when it is made.
pub(crate) fn with_reservation(window: Window) -> Window {
    Window {
        reserved: Kernel.is_reserved(&window.range),
        ..window
    }
}
