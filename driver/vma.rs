// SPDX-License-Identifier: GPL-2.0

//! The VMA of an mmap(2) call: what it requests, and how it is filled.

use kernel::{
    fs::File,
    mm::virt::VmaNew,
    page::PAGE_SHIFT,
    prelude::*, //
};

use crate::{
    abstractions::mm::{
        PageProtection,
        VmaExt,
        VmaNewExt, //
    },
    error::Denial,
    map_core::{
        Access,
        CacheMode,
        Refusal,
        Request, //
    },
    mapping::Permit,
    system::caller, //
};

/// Returns the request that `vma` on `file` stands for, whose offset 0 is the physical address
/// `base`.
pub(crate) fn request(vma: &VmaNew, file: &File, base: u64) -> Request {
    let caller = caller(file);
    Request {
        base,
        // The kernel computed the page offset from a byte offset, so the shift does not overflow.
        start: (vma.page_offset() as u64) << PAGE_SHIFT,
        length: vma.length() as u64,
        read: vma.readable(),
        write: vma.writable(),
        execute: vma.executable(),
        read_implies_execute: caller.read_implies_execute,
        shared: vma.is_shared(),
        file_readable: caller.file_readable,
        file_writable: caller.file_writable,
    }
}

/// Sets up `vma` for the memory that `permit` grants, and maps it at once unless its pages are
/// mapped on demand. The VMA, and every part and copy of it, holds a reference to the mapping.
///
/// # Errors
///
/// [`Refusal::CacheConflict`] if the memory is already mapped with another cache type, which the
/// kernel reports, or silently uses instead. [`Refusal::NoMemory`] if there is no memory for page
/// tables. After a failure all pages are unmapped before the mapping is dropped.
pub(crate) fn fill(vma: &VmaNew, permit: Permit) -> Result<(), Denial> {
    let Permit { grant, mut mapping } = permit;
    if vma.executable() {
        // `decide()` permits it only if the kernel may have added it (READ_IMPLIES_EXEC).
        vma.clear_exec();
    }
    // `decide()` has refused requests for either, so neither call fails.
    vma.try_clear_mayexec().map_err(|_| Refusal::Executable)?;
    if grant.access == Access::ReadOnly {
        vma.try_clear_maywrite().map_err(|_| Refusal::ReadOnly)?;
    }

    let plain = vma.page_protection();
    let wanted = match grant.cache {
        CacheMode::Uncached => plain.noncached(),
        CacheMode::WriteCombine => plain.writecombine(),
        CacheMode::Cached => plain,
    };
    vma.set_page_protection(wanted);

    let frame = usize::try_from(grant.range.start() >> PAGE_SHIFT).map_err(|_| Refusal::Address)?;
    // On every node, so that the VMA is found by its memory.
    vma.set_page_offset(frame);
    if mapping.reserve(&grant, wanted)? {
        vma.set_pfn_map();
    } else {
        map_all(vma, frame, wanted)?;
    }
    vma.set_operations(mapping.into());
    Ok(())
}

/// Maps all pages of `vma` to the memory from page frame `frame` on.
fn map_all(vma: &VmaNew, frame: usize, wanted: PageProtection) -> Result<(), Denial> {
    // SAFETY: A grant never covers System RAM, and the range has the length of the VMA.
    unsafe { vma.remap_pfn(frame, wanted.dirty()) }.map_err(reason_of)?;
    // All pages have the protection of the first one.
    if !vma
        .first_page_protection()
        .is_some_and(|found: PageProtection| found.has_cache_type_of(wanted))
    {
        // The kernel would unmap the pages, too, but only after the registration is removed.
        vma.zap();
        return Err(Refusal::CacheConflict.into());
    }
    Ok(())
}

/// Converts an error of `remap_pfn_range()`.
fn reason_of(error: Error) -> Denial {
    if error == ENOMEM {
        return Refusal::NoMemory.into();
    }
    // `decide()` has ruled out all other causes of these errors on x86.
    if cfg!(CONFIG_X86) && (error == EINVAL || error == EBUSY) {
        return Refusal::CacheConflict.into();
    }
    error.into()
}
