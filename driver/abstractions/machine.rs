// SPDX-License-Identifier: GPL-2.0

//! Properties of the machine: addresses, cache types, PCI devices and memory encryption.

use kernel::{
    error::to_result,
    prelude::*, //
};

use super::shim;
pub(crate) use super::shim::{
    map_aborts as aborts,
    map_gives_uncached as gives_uncached,
    map_gives_write_back as gives_write_back,
    map_gives_write_combine as gives_write_combine,
    map_in_pci_bar as is_in_pci_bar, //
};

/// Fails with EOPNOTSUPP if the memory of this machine is encrypted.
pub(crate) fn check_encryption() -> Result {
    to_result(shim::map_check_encryption())
}

/// Returns the highest physical address that a page table entry can hold on this processor.
pub(crate) fn last_phys_addr() -> u64 {
    #[allow(
        clippy::useless_conversion,
        reason = "a physical address has 32 bits on some machines"
    )]
    u64::from(shim::map_last_phys_addr())
}

/// Returns the size in bytes of the huge pages for memory without struct pages; `None` if the
/// kernel has none.
pub(crate) fn huge_page_size() -> Option<u64> {
    Some(shim::map_huge_page_size()).filter(|size| size.is_power_of_two())
}
