// SPDX-License-Identifier: GPL-2.0

//! VMAs of physical memory: set up by mmap(2), copied and split by the kernel, read by debuggers.
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
    /// Without caching: every access reaches the memory, in program order.
    pub(crate) fn noncached(self) -> Self {
        Self(shim::map_pgprot_noncached(self.0))
    }

    /// Without caching, but stores may be gathered.
    pub(crate) fn writecombine(self) -> Self {
        Self(shim::map_pgprot_writecombine(self.0))
    }

    /// For a page that counts as written to, if it can be written to: the first store takes no
    /// fault.
    pub(crate) fn dirty(self) -> Self {
        Self(shim::map_pgprot_dirty(self.0))
    }

    /// Whether the two mean the same cache type.
    pub(crate) fn has_cache_type_of(self, other: Self) -> bool {
        shim::map_same_cache(self.0, other.0)
    }
}

/// What is known of a VMA as long as its address space is locked.
pub(crate) trait VmaExt {
    /// The page offset in the file of its first page.
    fn page_offset(&self) -> usize;

    /// Its length in bytes: whole pages.
    fn length(&self) -> usize;
}

impl VmaExt for VmaRef {
    fn page_offset(&self) -> usize {
        // SAFETY: By the type's invariant the lock is held, so nobody changes the field.
        unsafe { (*self.as_ptr()).vm_pgoff }
    }

    fn length(&self) -> usize {
        // No VMA ends before it starts.
        self.end().wrapping_sub(self.start())
    }
}

/// What can be done with a VMA while it is set up, beside what `kernel::mm::virt` offers.
pub(crate) trait VmaNewExt {
    /// Takes away that it is executable, and that it may become so.
    fn clear_exec(&self);

    /// The protection of its pages.
    fn page_protection(&self) -> PageProtection;

    /// Sets it. A later mprotect(2) derives the new protection from this one, and the cache type
    /// with it.
    fn set_page_protection(&self, protection: PageProtection);

    /// Maps physical memory from page frame `frame` on, as many pages as the VMA has, with
    /// `protection`.
    ///
    /// # Errors
    ///
    /// As `remap_pfn_range()`: ENOMEM, and what the architecture gives. After a failure of this, or
    /// of mmap(2) later, the kernel takes the pages away by itself.
    ///
    /// # Safety
    ///
    /// No part of the memory may be the kernel's own.
    unsafe fn remap_pfn(&self, frame: usize, protection: PageProtection) -> Result;

    /// The protection with which the first page was mapped; `None` if there is no such page.
    fn first_page_protection(&self) -> Option<PageProtection>;

    /// Takes all pages away that [`remap_pfn()`](Self::remap_pfn) has mapped.
    fn zap(&self);

    /// Has `data` kept by the VMA, and by every part and copy of it. It must be the last step.
    fn set_operations<T: VmaOperations>(&self, data: Arc<T>);
}

impl VmaNewExt for VmaNew {
    fn clear_exec(&self) {
        shim::clear_exec(self);
    }

    fn page_protection(&self) -> PageProtection {
        // SAFETY: By the type's invariant nobody else uses the field.
        PageProtection(unsafe { (*self.as_ptr()).vm_page_prot })
    }

    fn set_page_protection(&self, protection: PageProtection) {
        // SAFETY: By the type's invariant nobody else uses the field, and `VmaNew` is `!Sync`.
        unsafe { (*self.as_ptr()).vm_page_prot = protection.0 };
    }

    unsafe fn remap_pfn(&self, frame: usize, protection: PageProtection) -> Result {
        // SAFETY: By the type's invariant the lock of the address space is held for writing; start
        // and length are those of the VMA. The memory is as this function's contract says.
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
        // SAFETY: The lock of the address space is held, and the address is the VMA's.
        if unsafe { bindings::follow_pfnmap_start(&mut found) } != 0 {
            return None;
        }
        let protection = PageProtection(found.pgprot);
        // SAFETY: The start succeeded.
        unsafe { bindings::follow_pfnmap_end(&mut found) };
        Some(protection)
    }

    fn zap(&self) {
        shim::zap(self);
    }

    fn set_operations<T: VmaOperations>(&self, data: Arc<T>) {
        data.opened();
        // SAFETY: By the type's invariant nobody else uses the field.
        unsafe { (*self.as_ptr()).vm_private_data = data.into_foreign() };
        // SAFETY: As above.
        unsafe { (*self.as_ptr()).vm_ops = Vtable::<T>::get() };
    }
}

/// What the VMAs of one mmap(2) keep.
pub(crate) trait VmaOperations: Send + Sync + 'static {
    /// One more VMA keeps the value.
    fn opened(&self);

    /// A VMA that kept the value is going, and has no page any more.
    fn closed(&self);

    /// How many bytes a debugger may access from `address` on, which lies in `vma`, of the `wanted`
    /// ones; `None` for none, which is EIO.
    ///
    /// The kernel itself makes the access, and where no device answers, that is the end of the
    /// machine on some.
    fn accessible(&self, vma: &VmaRef, address: usize, wanted: u64) -> Option<u64>;
}

/// The table of function pointers for `T`.
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
    /// `vma` must have these operations; what is returned must be used only as long as it, or the
    /// VMA it is a copy of, is there.
    unsafe fn data<'a>(vma: *mut bindings::vm_area_struct) -> ArcBorrow<'a, T> {
        // SAFETY: By this function's contract.
        let held = unsafe { (*vma).vm_private_data };
        // SAFETY: `set_operations()` has put it there, or the kernel has copied it.
        unsafe { Arc::<T>::borrow(held) }
    }

    /// # Safety
    ///
    /// `vma` must be a copy or a part of a VMA with these operations.
    unsafe extern "C" fn open(vma: *mut bindings::vm_area_struct) {
        // SAFETY: By this function's contract; the VMA that this one is a copy of still keeps the
        // value.
        let data = unsafe { Self::data(vma) };
        data.opened();
        // The pointer is in its place already: the VMA was copied with it.
        let _ = Arc::from(data).into_foreign();
    }

    /// # Safety
    ///
    /// `vma` must have these operations, and be about to go, without a page.
    unsafe extern "C" fn close(vma: *mut bindings::vm_area_struct) {
        // SAFETY: By this function's contract.
        let held = unsafe { (*vma).vm_private_data };
        // SAFETY: `set_operations()` or `open()` has made a reference for this VMA, which nobody
        // uses any more.
        let data = unsafe { Arc::<T>::from_foreign(held) };
        data.closed();
    }

    /// # Safety
    ///
    /// `vma` must have these operations, with the lock of the address space held; `buffer` must be
    /// memory of `length` bytes.
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
        // SAFETY: By this function's contract, as no more is accessed than was asked for.
        unsafe { bindings::generic_access_phys(vma, address, buffer, granted, write) }
    }
}
