// SPDX-License-Identifier: GPL-2.0

//! The VMA that an mmap(2) sets up: what is asked for with it, and how it is filled.

use kernel::{
    fs::File,
    mm::virt::{
        flags,
        VmaNew, //
    },
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

/// What the process asks for with `vma`, on `file`.
pub(crate) fn request(vma: &VmaNew, file: &File) -> Request {
    let caller = caller(file);
    Request {
        // The kernel made the page offset from an offset in bytes, so nothing is shifted out.
        start: (vma.page_offset() as u64) << PAGE_SHIFT,
        length: vma.length() as u64,
        read: vma.readable(),
        write: vma.writable(),
        execute: vma.executable(),
        read_implies_execute: caller.read_implies_execute,
        shared: vma.flags() & flags::MAYSHARE != 0,
        file_readable: caller.file_readable,
        file_writable: caller.file_writable,
    }
}

/// Fills `vma` with the memory that `permit` grants, all of it at once. The VMA keeps the mapping,
/// and so does every part and copy of it.
///
/// # Errors
///
/// [`Refusal::CacheConflict`] if the memory is mapped elsewhere with another cache type: the kernel
/// reports it, or silently uses that one. After a failure all pages are gone before the mapping is,
/// and with it the claim.
pub(crate) fn fill(vma: &VmaNew, permit: Permit) -> Result<(), Denial> {
    let Permit { grant, mapping } = permit;
    if vma.executable() {
        // The decision allows for the kernel to have added this by itself.
        vma.clear_exec();
    }
    // The decision excludes that either is asked for now, so neither fails.
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
    // SAFETY: A grant is for memory that is not the kernel's own, and the range has the length of
    // the VMA.
    unsafe { vma.remap_pfn(frame, wanted.dirty()) }.map_err(reason_of)?;
    // All pages were mapped as the first one.
    if !vma
        .first_page_protection()
        .is_some_and(|found: PageProtection| found.has_cache_type_of(wanted))
    {
        // The kernel would do it, too, but only after the claim is given back.
        vma.zap();
        return Err(Refusal::CacheConflict.into());
    }
    vma.set_operations(mapping);
    Ok(())
}

/// What it means that `remap_pfn_range()` has failed.
fn reason_of(error: Error) -> Denial {
    if error == ENOMEM {
        return Refusal::NoMemory.into();
    }
    // The decision has excluded everything else for which x86 gives these.
    if cfg!(CONFIG_X86) && (error == EINVAL || error == EBUSY) {
        return Refusal::CacheConflict.into();
    }
    error.into()
}
