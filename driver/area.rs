// SPDX-License-Identifier: GPL-2.0

//! The area of a process's address space that an mmap(2) is about to fill.

use kernel::{
    bindings,
    error::to_result,
    mm::virt::{
        flags,
        VmaNew, //
    },
    page::PAGE_SHIFT,
    prelude::*, //
};

use crate::{
    map_core::{
        Cache,
        Grant,
        Request, //
    },
    shim, //
};

/// What the process asks for with `vma`.
pub(crate) fn request(vma: &VmaNew) -> Request {
    // SAFETY: `vma` is being set up, so nobody else writes to the field.
    let page_offset = unsafe { (*vma.as_ptr()).vm_pgoff };
    Request {
        page_offset: page_offset as u64,
        // The kernel never sets up an area that ends before it starts.
        length: vma.end().wrapping_sub(vma.start()) as u64,
        shared: vma.flags() & flags::MAYSHARE != 0,
        execute: vma.executable(),
    }
}

/// Fills `vma` with the memory of `grant`, all of it at once.
///
/// Fails with EAGAIN if the kernel cannot make the mapping, for one because the memory is mapped elsewhere with
/// another cache type. Fails with EINVAL if the grant is not for this area.
pub(crate) fn fill(vma: &VmaNew, grant: &Grant) -> Result {
    let length = vma.end().wrapping_sub(vma.start());
    if length as u64 != grant.range.length() {
        return Err(EINVAL);
    }
    vma.try_clear_mayexec()?;

    let area = vma.as_ptr();
    // SAFETY: `vma` is being set up, so nobody else writes to the field.
    let plain = unsafe { (*area).vm_page_prot };
    let protection = match grant.cache {
        Cache::Uncached => shim::map_pgprot_noncached(plain),
    };
    // A later mprotect(2) derives the new protection from this field, and the cache type with it.
    // SAFETY: As above, and `VmaNew` is `!Sync`.
    unsafe { (*area).vm_page_prot = protection };

    let frame = usize::try_from(grant.range.start() >> PAGE_SHIFT).map_err(|_| EINVAL)?;
    // SAFETY: The call is made from the mmap operation, so the lock of the address space is held for writing; start
    // and length are those of the area. The decision has made sure that none of the memory is the kernel's own.
    let result = unsafe { bindings::remap_pfn_range(area, vma.start(), frame, length, protection) };
    to_result(result).map_err(|_| EAGAIN)
}
