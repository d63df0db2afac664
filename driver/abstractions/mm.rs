// SPDX-License-Identifier: GPL-2.0

//! VMAs of physical memory: their setup by mmap(2), copies and splits, and access by debuggers.
//!
//! C headers: [`include/linux/mm.h`](srctree/include/linux/mm.h),
//! [`include/linux/pgtable.h`](srctree/include/linux/pgtable.h)

use core::marker::PhantomData;

#[cfg(CONFIG_HAVE_IOREMAP_PROT)]
use kernel::ffi::{
    c_int,
    c_void, //
};
use kernel::{
    bindings,
    error::to_result,
    mm::virt::{
        VmaNew,
        VmaRef, //
    },
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    },
    types::ForeignOwnable, //
};

use super::shim;

/// The protection and the cache type of a page: `pgprot_t`.
#[derive(Clone, Copy)]
pub(crate) struct PageProtection(bindings::pgprot_t);

impl PageProtection {
    /// Returns this as uncached: every access reaches the memory, in program order.
    pub(crate) fn noncached(self) -> Self {
        Self(shim::map_pgprot_noncached(self.0))
    }

    /// Returns this as write-combining: stores may be combined.
    pub(crate) fn writecombine(self) -> Self {
        Self(shim::map_pgprot_writecombine(self.0))
    }

    /// Returns this marked as dirty if it is writable, so that the first store takes no fault.
    pub(crate) fn dirty(self) -> Self {
        Self(shim::map_pgprot_dirty(self.0))
    }

    /// Returns whether the two have the same cache type.
    pub(crate) fn has_cache_type_of(self, other: Self) -> bool {
        shim::map_same_cache(self.0, other.0)
    }
}

/// Properties of a VMA whose mmap_lock is held.
pub(crate) trait VmaExt {
    /// Returns the page offset of its first page in the file.
    fn page_offset(&self) -> usize;

    /// Returns its length in bytes, a multiple of the page size.
    fn length(&self) -> usize;
}

impl VmaExt for VmaRef {
    fn page_offset(&self) -> usize {
        // SAFETY: By the type's invariant mmap_lock is held, so the field does not change.
        unsafe { (*self.as_ptr()).vm_pgoff }
    }

    fn length(&self) -> usize {
        // No VMA ends before it starts.
        self.end().wrapping_sub(self.start())
    }
}

/// Operations on a VMA that is being set up, in addition to `kernel::mm::virt`.
pub(crate) trait VmaNewExt {
    /// Returns whether MAP_SHARED was requested. VM_SHARED does not tell: the kernel clears it for a
    /// descriptor that is open for reading only.
    fn is_shared(&self) -> bool;

    /// Clears VM_EXEC and VM_MAYEXEC.
    fn clear_exec(&self);

    /// Returns the protection of its pages.
    fn page_protection(&self) -> PageProtection;

    /// Sets the page offset of its first page in the address space of its file.
    fn set_page_offset(&self, offset: usize);

    /// Sets the protection of its pages. A later mprotect(2) derives the new protection from it,
    /// including the cache type.
    fn set_page_protection(&self, protection: PageProtection);

    /// Maps the whole VMA to physical memory from page frame `frame` on, with `protection`.
    ///
    /// # Errors
    ///
    /// ENOMEM, and other errors of `remap_pfn_range()` that depend on the architecture. If this
    /// fails, or mmap(2) fails later, the kernel unmaps the pages.
    ///
    /// # Safety
    ///
    /// The memory must not contain System RAM.
    unsafe fn remap_pfn(&self, frame: usize, protection: PageProtection) -> Result;

    /// Returns the protection of the first page in the page table; `None` if it is not mapped.
    fn first_page_protection(&self) -> Option<PageProtection>;

    /// Unmaps all pages that [`remap_pfn()`](Self::remap_pfn) has mapped.
    fn zap(&self);

    /// Makes the VMA, and every part and copy of it, hold a reference to `data`. This must be the
    /// last step.
    fn set_operations<T: VmaOperations>(&self, data: Arc<T>);
}

impl VmaNewExt for VmaNew {
    fn is_shared(&self) -> bool {
        shim::is_shared(self)
    }

    fn clear_exec(&self) {
        shim::clear_exec(self);
    }

    fn page_protection(&self) -> PageProtection {
        // SAFETY: By the type's invariant nothing else uses the field.
        PageProtection(unsafe { (*self.as_ptr()).vm_page_prot })
    }

    fn set_page_offset(&self, offset: usize) {
        // SAFETY: By the type's invariant nothing else uses the field, and `VmaNew` is `!Sync`. The
        // kernel finds the VMA by this offset only after mmap(2) has set it up.
        unsafe { (*self.as_ptr()).vm_pgoff = offset };
    }

    fn set_page_protection(&self, protection: PageProtection) {
        // SAFETY: By the type's invariant nothing else uses the field, and `VmaNew` is `!Sync`.
        unsafe { (*self.as_ptr()).vm_page_prot = protection.0 };
    }

    unsafe fn remap_pfn(&self, frame: usize, protection: PageProtection) -> Result {
        // SAFETY: By the type's invariant mmap_lock is held for writing; start and length are those
        // of the VMA. This function's contract covers the memory.
        to_result(unsafe {
            bindings::remap_pfn_range(
                self.as_ptr(),
                self.start(),
                frame,
                self.length(),
                protection.0,
            )
        })
    }

    fn first_page_protection(&self) -> Option<PageProtection> {
        let mut found = bindings::follow_pfnmap_args {
            vma: self.as_ptr(),
            address: self.start(),
            ..Default::default()
        };
        // SAFETY: mmap_lock is held, and the address is in the VMA.
        if unsafe { bindings::follow_pfnmap_start(&mut found) } != 0 {
            return None;
        }
        let protection = PageProtection(found.pgprot);
        // SAFETY: `follow_pfnmap_start()` succeeded.
        unsafe { bindings::follow_pfnmap_end(&mut found) };
        Some(protection)
    }

    fn zap(&self) {
        shim::zap(self);
    }

    fn set_operations<T: VmaOperations>(&self, data: Arc<T>) {
        data.opened();
        // SAFETY: By the type's invariant nothing else uses the field.
        unsafe { (*self.as_ptr()).vm_private_data = data.into_foreign() };
        // SAFETY: As above.
        unsafe { (*self.as_ptr()).vm_ops = Vtable::<T>::get() };
    }
}

/// Data shared by the VMAs of one mmap(2) call.
pub(crate) trait VmaOperations: Send + Sync + 'static {
    /// Called when one more VMA holds the value.
    fn opened(&self);

    /// Called when a VMA that holds the value is removed, after its pages are unmapped.
    fn closed(&self);

    /// Returns how many of `wanted` bytes a debugger may access at `address` in `vma`; `None` fails
    /// with EIO.
    ///
    /// The kernel itself makes the access. On some machines it is fatal where no device responds.
    fn accessible(&self, vma: &VmaRef, address: usize, wanted: u64) -> Option<u64>;
}

/// The `vm_operations_struct` table for `T`.
struct Vtable<T>(PhantomData<T>);

impl<T: VmaOperations> Vtable<T> {
    const OPERATIONS: bindings::vm_operations_struct = bindings::vm_operations_struct {
        open: Some(Self::open),
        close: Some(Self::close),
        #[cfg(CONFIG_HAVE_IOREMAP_PROT)]
        access: Some(Self::access),
        ..pin_init::zeroed()
    };

    const fn get() -> &'static bindings::vm_operations_struct {
        &Self::OPERATIONS
    }

    /// # Safety
    ///
    /// `vma` must have these operations. The returned value must be used only as long as `vma`, or
    /// the VMA that it is a copy of, exists.
    unsafe fn data<'a>(vma: *mut bindings::vm_area_struct) -> ArcBorrow<'a, T> {
        // SAFETY: By this function's contract.
        let held = unsafe { (*vma).vm_private_data };
        // SAFETY: `set_operations()` has set the pointer, or the kernel has copied it.
        unsafe { Arc::<T>::borrow(held) }
    }

    /// # Safety
    ///
    /// `vma` must be a copy or a part of a VMA with these operations.
    unsafe extern "C" fn open(vma: *mut bindings::vm_area_struct) {
        // SAFETY: By this function's contract; the VMA that this one is a copy of still holds the
        // value.
        let data = unsafe { Self::data(vma) };
        data.opened();
        // `vm_private_data` already has the pointer: it was copied with the VMA.
        let _ = Arc::from(data).into_foreign();
    }

    /// # Safety
    ///
    /// `vma` must have these operations, be about to be freed, and have no pages.
    unsafe extern "C" fn close(vma: *mut bindings::vm_area_struct) {
        // SAFETY: By this function's contract.
        let held = unsafe { (*vma).vm_private_data };
        // SAFETY: `set_operations()` or `open()` has created a reference for this VMA, and nothing
        // uses it any more.
        let data = unsafe { Arc::<T>::from_foreign(held) };
        data.closed();
    }

    /// # Safety
    ///
    /// `vma` must have these operations, with mmap_lock held; `buffer` must have `length` bytes.
    #[cfg(CONFIG_HAVE_IOREMAP_PROT)]
    unsafe extern "C" fn access(
        vma: *mut bindings::vm_area_struct,
        address: usize,
        buffer: *mut c_void,
        length: c_int,
        write: c_int,
    ) -> c_int {
        // SAFETY: By this function's contract.
        let data = unsafe { Self::data(vma) };
        // SAFETY: By this function's contract.
        let known = unsafe { VmaRef::from_raw(vma) };
        let wanted = u64::try_from(length).unwrap_or(0);
        let Some(granted) = data.accessible(known, address, wanted) else {
            return EIO.to_errno();
        };
        let granted = c_int::try_from(granted.min(wanted)).unwrap_or(0);
        // SAFETY: By this function's contract; `granted` is at most `length`.
        unsafe { bindings::generic_access_phys(vma, address, buffer, granted, write) }
    }
}
