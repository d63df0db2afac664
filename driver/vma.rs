// SPDX-License-Identifier: GPL-2.0

//! VMAs of the node: filled by mmap(2), copied and split by the kernel, read by debuggers.

use kernel::{
    bindings,
    error::to_result,
    ffi::{
        c_int,
        c_void, //
    },
    fs::File,
    mm::virt::{
        flags,
        VmaNew,
        VmaRef, //
    },
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    },
    types::ForeignOwnable, //
};

use crate::{
    file,
    map_core::{
        accessible,
        Access,
        CacheMode,
        KernelQuery,
        PhysRange,
        Refusal,
        Request, //
    },
    mapping::Mapping,
    shim,
    state::State,
    system::Kernel,
    windows::{
        Denial,
        Permit, //
    }, //
};

/// What the process asks for with `vma`, on `file`.
pub(crate) fn request(vma: &VmaNew, file: &File) -> Request {
    // SAFETY: `vma` is being set up, so nobody else writes to the field.
    let page_offset = unsafe { (*vma.as_ptr()).vm_pgoff };
    let caller = shim::caller(file);
    Request {
        // The kernel made the page offset from an offset in bytes, so nothing is shifted out.
        start: (page_offset as u64) << PAGE_SHIFT,
        length: length(vma) as u64,
        read: vma.readable(),
        write: vma.writable(),
        execute: vma.executable(),
        read_implies_execute: caller.read_implies_execute,
        shared: vma.flags() & flags::MAYSHARE != 0,
        file_readable: caller.file_readable,
        file_writable: caller.file_writable,
    }
}

/// The length in bytes, whole pages.
fn length(vma: &VmaNew) -> usize {
    // The kernel never sets up a VMA that ends before it starts.
    vma.end().wrapping_sub(vma.start())
}

/// Fills `vma` with the memory that `permit` grants, all of it at once. The VMA keeps the mapping, and so does every part
/// and copy of it.
///
/// Fails with [`Refusal::CacheConflict`] if the memory is mapped elsewhere with another cache type: the kernel says so, or
/// quietly gives that one. If it fails, all pages are gone before the mapping is, and with it the claim.
pub(crate) fn fill(vma: &VmaNew, permit: Permit, state: &State) -> Result<(), Denial> {
    let Permit { grant, mapping } = permit;
    if vma.executable() {
        // It was decided that the kernel may have added this by itself.
        shim::clear_exec(vma);
    }
    // The decision saw to it that neither of the two is asked for now, so neither fails.
    vma.try_clear_mayexec().map_err(|_| Refusal::Executable)?;
    if grant.access == Access::ReadOnly {
        vma.try_clear_maywrite().map_err(|_| Refusal::ReadOnly)?;
    }

    let raw = vma.as_ptr();
    // SAFETY: `vma` is being set up, so nobody else writes to the field.
    let plain = unsafe { (*raw).vm_page_prot };
    let wanted = match grant.cache {
        CacheMode::Uncached => shim::map_pgprot_noncached(plain),
        CacheMode::WriteCombine => shim::map_pgprot_writecombine(plain),
        CacheMode::Cached => plain,
    };
    // A later mprotect(2) derives the new protection from this field, and the cache type with it.
    // SAFETY: As above, and `VmaNew` is `!Sync`.
    unsafe { (*raw).vm_page_prot = wanted };

    let frame = usize::try_from(grant.range.start() >> PAGE_SHIFT).map_err(|_| Refusal::Address)?;
    let filled = shim::map_pgprot_dirty(wanted);
    // SAFETY: The call is made from the mmap operation, so the lock of the address space is held for writing; start
    // and length are those of the VMA. The decision has made sure that none of the memory is the kernel's own. What a
    // failure leaves the kernel takes away by itself.
    to_result(unsafe { bindings::remap_pfn_range(raw, vma.start(), frame, length(vma), filled) })
        .map_err(reason_of)?;
    if !has_cache_of(vma, wanted) {
        // The kernel would do it, too, but only when the claim is given back.
        shim::zap(vma);
        return Err(Refusal::CacheConflict.into());
    }

    // SAFETY: As for the other fields.
    unsafe { (*raw).vm_private_data = mapping.into_foreign() };
    // SAFETY: As above.
    unsafe { (*raw).vm_ops = &OPERATIONS.0 };
    state.counts.vma_opened();
    Ok(())
}

/// What it means that `remap_pfn_range()` has failed.
fn reason_of(error: Error) -> Denial {
    if error == ENOMEM {
        return Refusal::NoMemory.into();
    }
    // Of what x86 gives these for, the decision has left only mappings of the same memory with another cache type.
    if cfg!(CONFIG_X86) && (error == EINVAL || error == EBUSY) {
        return Refusal::CacheConflict.into();
    }
    error.into()
}

/// Whether the first page of `vma`, and with it all of them, was mapped with the cache type of `wanted`.
fn has_cache_of(vma: &VmaNew, wanted: bindings::pgprot_t) -> bool {
    let mut found = bindings::follow_pfnmap_args {
        vma: vma.as_ptr(),
        address: vma.start(),
        ..Default::default()
    };
    // SAFETY: The lock of the address space is held, and the address is the VMA's.
    if unsafe { bindings::follow_pfnmap_start(&mut found) } != 0 {
        return false;
    }
    let same = shim::map_same_cache(found.pgprot, wanted);
    // SAFETY: The start succeeded.
    unsafe { bindings::follow_pfnmap_end(&mut found) };
    same
}

/// What the kernel calls when a VMA is copied, split, or goes away, and when a debugger looks into one.
static OPERATIONS: Operations = Operations(bindings::vm_operations_struct {
    open: Some(open_raw),
    close: Some(close_raw),
    #[cfg(CONFIG_HAVE_IOREMAP_PROT)]
    access: Some(access_raw),
    ..pin_init::zeroed()
});

struct Operations(bindings::vm_operations_struct);

// SAFETY: The table is never written to, and what it points at is made for use by any thread.
unsafe impl Sync for Operations {}

/// # Safety
///
/// `vma` must be a VMA that [`fill()`] has filled, or a copy or a part of one.
unsafe extern "C" fn open_raw(vma: *mut bindings::vm_area_struct) {
    // SAFETY: By this function's contract.
    unsafe { state_of(vma) }.counts.vma_opened();
    // SAFETY: By this function's contract; the VMA that this one is a copy of still holds the mapping.
    let mapping = unsafe { mapping_of(vma) };
    // The pointer is in its place already: the VMA was copied with it.
    let _ = Arc::from(mapping).into_foreign();
}

/// # Safety
///
/// As for [`open_raw()`]; and the VMA must be about to go, without a page.
unsafe extern "C" fn close_raw(vma: *mut bindings::vm_area_struct) {
    // SAFETY: By this function's contract.
    unsafe { state_of(vma) }.counts.vma_closed();
    // SAFETY: By this function's contract.
    let held = unsafe { (*vma).vm_private_data };
    // SAFETY: `fill()` or `open_raw()` has put a mapping there for this VMA, which nobody uses any more.
    drop(unsafe { Arc::<Mapping>::from_foreign(held) });
}

/// Reads from a VMA, or writes into it, for a debugger: in the kernel, where an access that nothing answers is the end of
/// the machine on some. So this is for what is known to be memory alone.
///
/// # Safety
///
/// As for [`open_raw()`], with the lock of the address space held; `buffer` must be memory of `length` bytes.
#[cfg(CONFIG_HAVE_IOREMAP_PROT)]
unsafe extern "C" fn access_raw(
    raw: *mut bindings::vm_area_struct,
    address: usize,
    buffer: *mut c_void,
    length: c_int,
    write: c_int,
) -> c_int {
    // SAFETY: By this function's contract.
    let mapping = unsafe { mapping_of(raw) };
    // SAFETY: By this function's contract.
    let vma = unsafe { VmaRef::from_raw(raw) };
    // What the process cannot load itself has, on some kernels, a page table entry that they warn of; and so do they of
    // memory that came after it was mapped, and that stays offline for that.
    let hidden = vma.flags() & (flags::READ | flags::WRITE) == 0;
    if !mapping.is_memory()
        || hidden
        || page_of(vma, address).is_none_or(|page| Kernel.is_system_ram(&page))
    {
        return EIO.to_errno();
    }
    let wanted = u64::try_from(length).unwrap_or(0);
    let length = accessible(address as u64, wanted, vma.end() as u64, PAGE_SIZE as u64);
    // It is at most what was asked for.
    let length = c_int::try_from(length).unwrap_or(0);
    // SAFETY: By this function's contract, as no more is accessed than was asked for.
    unsafe { bindings::generic_access_phys(raw, address, buffer, length, write) }
}

/// The physical page behind `address`, which lies in `vma`.
#[cfg(CONFIG_HAVE_IOREMAP_PROT)]
fn page_of(vma: &VmaRef, address: usize) -> Option<PhysRange> {
    // SAFETY: The lock of the address space is held, so nobody changes the field.
    let first = unsafe { (*vma.as_ptr()).vm_pgoff };
    let page = address
        .checked_sub(vma.start())?
        .checked_shr(PAGE_SHIFT as u32)?;
    let frame = u64::try_from(first.checked_add(page)?).ok()?;
    PhysRange::new(frame.checked_mul(PAGE_SIZE as u64)?, PAGE_SIZE as u64)
}

/// # Safety
///
/// As for [`open_raw()`]; what is returned must be used only as long as the VMA, or the one it is a copy of, is there.
unsafe fn mapping_of<'a>(vma: *mut bindings::vm_area_struct) -> ArcBorrow<'a, Mapping> {
    // SAFETY: By this function's contract.
    let held = unsafe { (*vma).vm_private_data };
    // SAFETY: `fill()` has put a mapping there.
    unsafe { Arc::<Mapping>::borrow(held) }
}

/// # Safety
///
/// As for [`open_raw()`].
unsafe fn state_of<'a>(vma: *mut bindings::vm_area_struct) -> ArcBorrow<'a, State> {
    // SAFETY: By this function's contract.
    let file = unsafe { (*vma).vm_file };
    // SAFETY: It is the file that the VMA was made on, and the VMA keeps it open.
    unsafe { file::state_of(file) }
}
