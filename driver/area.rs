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
    sync::{
        Arc,
        ArcBorrow, //
    },
    types::ForeignOwnable, //
};

use crate::{
    claim::Claim,
    file,
    map_core::{
        Access,
        Cache,
        Refusal,
        Request, //
    },
    shim,
    state::State,
    windows::Permit, //
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

/// Fills `vma` with the memory that `permit` grants, all of it at once. The area keeps the claim, and so does every part
/// and copy of it.
///
/// Fails with [`Refusal::CacheConflict`] if the kernel cannot make the mapping, or quietly gave it another cache type:
/// both come from the memory being mapped elsewhere with another one. Whatever was mapped, the kernel then takes away.
pub(crate) fn fill(vma: &VmaNew, permit: Permit, state: &State) -> Result<(), Refusal> {
    let Permit { grant, claim } = permit;
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
    let filled = shim::map_pgprot_dirty(wanted);
    // SAFETY: The call is made from the mmap operation, so the lock of the address space is held for writing; start
    // and length are those of the area. The decision has made sure that none of the memory is the kernel's own.
    let mapped = to_result(unsafe {
        bindings::remap_pfn_range(area, vma.start(), frame, length(vma), filled)
    });
    if mapped.is_err() || !has_cache_of(vma, wanted) {
        return Err(Refusal::CacheConflict);
    }

    let held = claim.map_or(core::ptr::null_mut(), Arc::into_foreign);
    // SAFETY: As for the other fields.
    unsafe { (*area).vm_private_data = held };
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
    // SAFETY: By this function's contract.
    let held = unsafe { (*vma).vm_private_data };
    if !held.is_null() {
        // SAFETY: `fill()` has put a claim there, and the area that this one is a copy of still holds it.
        let claim = unsafe { Arc::<Claim>::borrow(held) };
        // The pointer is in its place already: the area was copied with it.
        let _ = Arc::from(claim).into_foreign();
    }
}

/// # Safety
///
/// As for [`open_raw()`]; and the area must be about to go.
unsafe extern "C" fn close_raw(vma: *mut bindings::vm_area_struct) {
    // SAFETY: By this function's contract.
    unsafe { state_of(vma) }.counts.area_closed();
    // SAFETY: By this function's contract.
    let held = unsafe { (*vma).vm_private_data };
    // SAFETY: It is null, or `fill()` or `open_raw()` has put a claim there for this area, which nobody uses any more.
    drop(unsafe { Arc::<Claim>::try_from_foreign(held) });
}

/// # Safety
///
/// As for [`open_raw()`].
unsafe fn state_of<'a>(vma: *mut bindings::vm_area_struct) -> ArcBorrow<'a, State> {
    // SAFETY: By this function's contract.
    let file = unsafe { (*vma).vm_file };
    // SAFETY: It is the file that the area was made on, and the area keeps it open.
    unsafe { file::state_of(file) }
}
