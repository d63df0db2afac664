// SPDX-License-Identifier: GPL-2.0

//! The area of a process's address space that an mmap(2) is about to fill, and its life afterwards.

use kernel::{
    bindings,
    error::to_result,
    fs::File,
    mm::virt::{
        flags,
        VmaNew, //
    },
    page::PAGE_SHIFT,
    prelude::*,
    sync::ArcBorrow, //
};

use crate::{
    file,
    map_core::{
        Access,
        Cache,
        Grant,
        Refusal,
        Request, //
    },
    shim,
    state::State, //
};

/// What the process asks for with `vma`, on `file`.
pub(crate) fn request(vma: &VmaNew, file: &File) -> Request {
    // SAFETY: `vma` is being set up, so nobody else writes to the field.
    let page_offset = unsafe { (*vma.as_ptr()).vm_pgoff };
    let (file_readable, file_writable) = file::modes(file);
    Request {
        // The kernel made the page offset from an offset in bytes, so nothing is shifted out.
        start: (page_offset as u64) << PAGE_SHIFT,
        length: length(vma) as u64,
        write: vma.writable(),
        execute: vma.executable(),
        shared: vma.flags() & flags::MAYSHARE != 0,
        file_readable,
        file_writable,
    }
}

/// The length in bytes, whole pages.
fn length(vma: &VmaNew) -> usize {
    // The kernel never sets up an area that ends before it starts.
    vma.end().wrapping_sub(vma.start())
}

/// Fills `vma` with the memory of `grant`, all of it at once.
///
/// Fails with [`Refusal::CacheConflict`] if the kernel cannot make the mapping, or quietly gave it another cache type:
/// both come from the memory being mapped elsewhere with another one. Whatever was mapped, the kernel then takes away.
pub(crate) fn fill(
    vma: &VmaNew,
    grant: &Grant,
    state: ArcBorrow<'_, State>,
) -> Result<(), Refusal> {
    // The decision saw to it that neither of the two is asked for now, so neither fails.
    vma.try_clear_mayexec().map_err(|_| Refusal::Executable)?;
    if grant.access == Access::ReadOnly {
        vma.try_clear_maywrite().map_err(|_| Refusal::ReadOnly)?;
    }

    let area = vma.as_ptr();
    // SAFETY: `vma` is being set up, so nobody else writes to the field.
    let plain = unsafe { (*area).vm_page_prot };
    let wanted = match grant.cache {
        Cache::Uncached => shim::map_pgprot_noncached(plain),
        Cache::WriteCombine => shim::map_pgprot_writecombine(plain),
        Cache::Cached => plain,
    };
    // A later mprotect(2) derives the new protection from this field, and the cache type with it.
    // SAFETY: As above, and `VmaNew` is `!Sync`.
    unsafe { (*area).vm_page_prot = wanted };

    let frame = usize::try_from(grant.range.start() >> PAGE_SHIFT).map_err(|_| Refusal::Address)?;
    // SAFETY: The call is made from the mmap operation, so the lock of the address space is held for writing; start
    // and length are those of the area. The decision has made sure that none of the memory is the kernel's own.
    let mapped = to_result(unsafe {
        bindings::remap_pfn_range(area, vma.start(), frame, length(vma), wanted)
    });
    if mapped.is_err() || !has_cache_of(vma, wanted) {
        return Err(Refusal::CacheConflict);
    }

    // SAFETY: As for the other fields. The state lives as long as the file, which the area keeps open.
    unsafe { (*area).vm_private_data = (&raw const *state).cast_mut().cast() };
    // SAFETY: As above.
    unsafe { (*area).vm_ops = &OPERATIONS.0 };
    state.counts.area_opened();
    Ok(())
}

/// Whether the first page of `vma`, and with it all of them, was mapped with the cache type of `wanted`.
fn has_cache_of(vma: &VmaNew, wanted: bindings::pgprot_t) -> bool {
    let mut found = bindings::follow_pfnmap_args {
        vma: vma.as_ptr(),
        address: vma.start(),
        ..Default::default()
    };
    // SAFETY: The lock of the address space is held, and the address is the area's.
    if unsafe { bindings::follow_pfnmap_start(&mut found) } != 0 {
        return false;
    }
    let same = shim::map_same_cache(found.pgprot, wanted);
    // SAFETY: The start succeeded.
    unsafe { bindings::follow_pfnmap_end(&mut found) };
    same
}

/// What the kernel calls when an area is copied, split, or goes away, and when a debugger looks into one.
static OPERATIONS: Operations = Operations(bindings::vm_operations_struct {
    open: Some(open_raw),
    close: Some(close_raw),
    #[cfg(CONFIG_HAVE_IOREMAP_PROT)]
    access: Some(bindings::generic_access_phys),
    ..pin_init::zeroed()
});

struct Operations(bindings::vm_operations_struct);

// SAFETY: The table is never written to, and what it points at is made for use by any thread.
unsafe impl Sync for Operations {}

/// # Safety
///
/// `vma` must be an area that [`fill()`] has filled, or a copy or a part of one.
unsafe extern "C" fn open_raw(vma: *mut bindings::vm_area_struct) {
    // SAFETY: By this function's contract.
    unsafe { state_of(vma) }.counts.area_opened();
}

/// # Safety
///
/// As for [`open_raw()`].
unsafe extern "C" fn close_raw(vma: *mut bindings::vm_area_struct) {
    // SAFETY: By this function's contract.
    unsafe { state_of(vma) }.counts.area_closed();
}

/// # Safety
///
/// As for [`open_raw()`].
unsafe fn state_of<'a>(vma: *mut bindings::vm_area_struct) -> &'a State {
    // SAFETY: By this function's contract.
    let state = unsafe { (*vma).vm_private_data }.cast::<State>();
    // SAFETY: `fill()` put it there; it lives as long as the file, which the area keeps open.
    unsafe { &*state }
}
