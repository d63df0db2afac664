// SPDX-License-Identifier: GPL-2.0

//! VMAs of physical memory: their setup by mmap(2), faults, copies and splits, and access by
//! debuggers.
//!
//! C headers: [`include/linux/mm.h`](srctree/include/linux/mm.h),
//! [`include/linux/pgtable.h`](srctree/include/linux/pgtable.h)

use core::marker::PhantomData;

use kernel::{
    bindings,
    error::to_result,
    ffi::{
        c_int,
        c_uint,
        c_void, //
    },
    mm::virt::{
        VmaNew,
        VmaRef, //
    },
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    },
    types::ForeignOwnable, //
};

use super::{
    shim,
    task::watched, //
};

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

    pub(super) fn raw(self) -> bindings::pgprot_t {
        self.0
    }
}

/// Properties of a VMA that is locked: by mmap_lock, or by its own lock during a fault.
pub(crate) trait VmaExt {
    /// Returns the page offset of its first page in the file.
    fn page_offset(&self) -> usize;

    /// Returns its length in bytes, a multiple of the page size.
    fn length(&self) -> usize;
}

impl VmaExt for VmaRef {
    fn page_offset(&self) -> usize {
        // SAFETY: By the type's invariant the VMA is locked, so the field does not change.
        unsafe { (*self.as_ptr()).vm_pgoff }
    }

    fn length(&self) -> usize {
        // No VMA ends before it starts.
        self.end().wrapping_sub(self.start())
    }
}

/// Operations on a VMA that is being set up, in addition to `kernel::mm::virt`.
pub(crate) trait VmaNewExt {
    /// Returns whether MAP_SHARED was requested. VM_SHARED does not tell: the kernel clears it for
    /// a descriptor that is open for reading only.
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

    /// Marks it as a mapping of physical memory, as [`remap_pfn()`](Self::remap_pfn) does, but maps
    /// no page: [`VmaOperations::fault()`] does.
    fn set_pfn_map(&self);

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

    fn set_pfn_map(&self) {
        shim::set_pfn_map(self);
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

    /// Returns whether no page will ever be mapped again, so that fork(2) need copy none.
    fn is_gone(&self) -> bool;

    /// Makes an access of a debugger at `address` in `vma`, and returns the number of bytes; `None`
    /// fails with EIO.
    ///
    /// The kernel itself makes the access. On some machines it is fatal where no device responds.
    /// `generic_access_phys()` is of no use: on x86 it takes the bit of a huge page for one of its
    /// cache type, and it finds only pages that are mapped.
    fn access(&self, vma: &VmaRef, address: usize, bytes: Bytes<'_>) -> Option<usize>;

    /// Called at an access to a page that is not mapped. Maps it, or tells what happens instead.
    fn fault(&self, fault: &Fault) -> Outcome;
}

/// The bytes of an access.
pub(crate) enum Bytes<'a> {
    /// Those that it loads.
    Read(&'a mut [u8]),
    /// Those that it stores.
    Write(&'a [u8]),
}

impl Bytes<'_> {
    /// Returns their number.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Read(bytes) => bytes.len(),
            Self::Write(bytes) => bytes.len(),
        }
    }
}

/// An access to a page that is not mapped.
///
/// # Invariants
///
/// `vma` is the VMA of the fault `raw`, which is being handled, and `address` its address.
pub(crate) struct Fault {
    raw: *mut bindings::vm_fault,
    vma: *mut bindings::vm_area_struct,
    address: usize,
    order: c_uint,
}

impl Fault {
    /// # Safety
    ///
    /// `raw` must be a fault that is being handled, for as long as the returned value exists.
    unsafe fn new(raw: *mut bindings::vm_fault, order: c_uint) -> Self {
        let mut address = 0;
        // SAFETY: By this function's contract; `address` is writable.
        let vma = unsafe { shim::map_fault_vma(raw, &mut address) };
        // INVARIANT: They were just read.
        Self {
            raw,
            vma,
            address,
            order,
        }
    }

    /// Returns the VMA.
    pub(crate) fn vma(&self) -> &VmaRef {
        // SAFETY: By the type's invariant; the VMA is locked while a fault is handled.
        unsafe { VmaRef::from_raw(self.vma) }
    }

    /// Returns the address that is accessed.
    pub(crate) fn address(&self) -> usize {
        self.address
    }

    /// Returns the size in bytes of the page that the kernel asks for.
    pub(crate) fn size(&self) -> usize {
        PAGE_SIZE.checked_shl(self.order).unwrap_or(0)
    }

    /// Returns whether the kernel asks for a huge page.
    pub(crate) fn is_huge(&self) -> bool {
        self.order != 0
    }

    /// Maps the huge page that holds the address, of the size that the kernel asks for, to physical
    /// memory from page frame `frame` on, with the protection of the VMA.
    ///
    /// # Safety
    ///
    /// The page must lie in the VMA, and no other thread may be mapping a part of it. The memory
    /// must not contain System RAM.
    pub(crate) unsafe fn insert_huge(&self, frame: usize) -> Outcome {
        // SAFETY: By the type's invariant and this function's contract.
        Outcome(unsafe { shim::map_fault_insert_huge(self.raw, self.order, frame) })
    }

    /// Maps the `length` bytes at `address`, whole pages, to physical memory from page frame
    /// `frame` on, with the protection of the VMA.
    ///
    /// # Safety
    ///
    /// The bytes must lie in the VMA and in one huge page of the address space, and include the
    /// address that is accessed. No other thread may be mapping one of them. The memory must not
    /// contain System RAM.
    pub(crate) unsafe fn insert(&self, address: usize, frame: usize, length: usize) -> Outcome {
        // SAFETY: By the type's invariant and this function's contract.
        Outcome(unsafe { shim::map_fault_insert(self.raw, address, frame, length / PAGE_SIZE) })
    }
}

/// What the handler of a fault did: `vm_fault_t`.
pub(crate) struct Outcome(c_uint);

impl Outcome {
    /// The access fails with SIGBUS.
    pub(crate) const SIGBUS: Self = Self(bindings::vm_fault_reason_VM_FAULT_SIGBUS);

    /// There is no huge page of this size, so the kernel asks for a smaller one.
    pub(crate) const FALLBACK: Self = Self(bindings::vm_fault_reason_VM_FAULT_FALLBACK);
}

/// The `vm_operations_struct` table for `T`.
struct Vtable<T>(PhantomData<T>);

impl<T: VmaOperations> Vtable<T> {
    const OPERATIONS: bindings::vm_operations_struct = bindings::vm_operations_struct {
        open: Some(Self::open),
        close: Some(Self::close),
        fault: Some(Self::fault),
        huge_fault: Some(Self::huge_fault),
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
        if watched(|| {
            data.opened();
            data.is_gone()
        }) {
            // SAFETY: By this function's contract; mmap_lock is held for writing.
            unsafe { shim::map_copy_no_page(vma) };
        }
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
        watched(|| {
            data.closed();
            drop(data);
        });
    }

    /// # Safety
    ///
    /// `fault` must be a fault that is being handled, in a VMA with these operations.
    unsafe extern "C" fn fault(fault: *mut bindings::vm_fault) -> bindings::vm_fault_t {
        // SAFETY: By this function's contract.
        unsafe { Self::huge_fault(fault, 0) }
    }

    /// # Safety
    ///
    /// `fault` must be a fault that is being handled, in a VMA with these operations.
    unsafe extern "C" fn huge_fault(
        fault: *mut bindings::vm_fault,
        order: c_uint,
    ) -> bindings::vm_fault_t {
        // SAFETY: By this function's contract.
        let fault = unsafe { Fault::new(fault, order) };
        // SAFETY: By this function's contract; the VMA is locked while the fault is handled.
        let data = unsafe { Self::data(fault.vma) };
        data.fault(&fault).0
    }

    /// # Safety
    ///
    /// `vma` must have these operations, with mmap_lock held; `buffer` must have `length` bytes.
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
        let vma = unsafe { VmaRef::from_raw(vma) };
        let length = usize::try_from(length).unwrap_or(0);
        let buffer = buffer.cast::<u8>();
        let bytes = if write == 0 {
            // SAFETY: By this function's contract.
            unsafe { buffer.write_bytes(0, length) };
            // SAFETY: As above, and it was just initialized.
            Bytes::Read(unsafe { core::slice::from_raw_parts_mut(buffer, length) })
        } else {
            // SAFETY: By this function's contract.
            Bytes::Write(unsafe { core::slice::from_raw_parts(buffer, length) })
        };
        let done = data.access(vma, address, bytes);
        done.and_then(|done| c_int::try_from(done).ok())
            .unwrap_or(EIO.to_errno())
    }
}
