// SPDX-License-Identifier: GPL-2.0

//! File operations of a character device.
//!
//! The trait follows `kernel::miscdevice::MiscDevice`. It uses `mmap`, not `mmap_prepare`: the
//! driver compares the page table with the request after the pages are mapped. `mmap_prepare` runs
//! before that, `vm_ops->mapped` of Linux 7.3 gets no VMA to look up, and Linux 7.2 is supported,
//! too.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use core::marker::PhantomData;

use kernel::{
    bindings,
    error::from_result,
    ffi::{
        c_int,
        c_long,
        c_uint,
        c_ulong, //
    },
    fs::File,
    mm::virt::VmaNew,
    prelude::*,
    seq_file::SeqFile,
    types::ForeignOwnable, //
};

use super::shim;

/// The operations of a file, except `read`, `write` and `llseek`.
pub(crate) trait FileOperations: Sized + 'static {
    /// The data that an open file owns.
    type Data: ForeignOwnable + Send + Sync;

    /// Opens a file. [`Self::Data`] is dropped with the last reference to the file.
    fn open() -> Result<Self::Data>;

    /// Sets up `vma` for mmap(2).
    fn mmap(
        data: <Self::Data as ForeignOwnable>::Borrowed<'_>,
        file: &File,
        vma: &VmaNew,
    ) -> Result;

    /// Handles an ioctl. Structures must have the same layout for 32-bit and 64-bit processes.
    fn ioctl(
        data: <Self::Data as ForeignOwnable>::Borrowed<'_>,
        file: &File,
        command: u32,
        argument: usize,
    ) -> Result;

    /// Adds lines to `/proc/PID/fdinfo/FD`.
    fn show_fdinfo(data: <Self::Data as ForeignOwnable>::Borrowed<'_>, out: &SeqFile);
}

/// The `file_operations` table for `T`.
pub(super) struct Vtable<T>(PhantomData<T>);

impl<T: FileOperations> Vtable<T> {
    /// With `owner` every open file, and through it every mapping, holds a reference to the module.
    const OPERATIONS: bindings::file_operations = bindings::file_operations {
        owner: shim::this_module(),
        open: Some(Self::open),
        release: Some(Self::release),
        mmap: Some(Self::mmap),
        unlocked_ioctl: Some(Self::ioctl),
        #[cfg(CONFIG_COMPAT)]
        compat_ioctl: bindings::compat_ptr_ioctl,
        show_fdinfo: Some(Self::show_fdinfo),
        ..pin_init::zeroed()
    };

    pub(super) const fn get() -> &'static bindings::file_operations {
        &Self::OPERATIONS
    }

    /// # Safety
    ///
    /// `inode` and `file` must belong to a file of the device that is being opened.
    unsafe extern "C" fn open(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        from_result(|| {
            let data = T::open()?;
            // SAFETY: By this function's contract, which is that of `nonseekable_open()`, which
            // cannot fail.
            unsafe { bindings::nonseekable_open(inode, file) };
            // SAFETY: By this function's contract nothing else uses the file yet.
            unsafe { (*file).private_data = data.into_foreign() };
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `file` must have been opened by [`Self::open()`], and must not be used afterwards.
    unsafe extern "C" fn release(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: By this function's contract.
        let data = unsafe { (*file).private_data };
        // SAFETY: The pointer came from `into_foreign()`, and nothing borrows the value any more.
        drop(unsafe { T::Data::from_foreign(data) });
        0
    }

    /// # Safety
    ///
    /// `file` must have been opened by [`Self::open()`], and stay open as long as the returned
    /// value is used.
    unsafe fn data<'a>(file: *mut bindings::file) -> <T::Data as ForeignOwnable>::Borrowed<'a> {
        // SAFETY: By this function's contract.
        let data = unsafe { (*file).private_data };
        // SAFETY: The pointer came from `into_foreign()`, and is taken back only when the file is
        // released.
        unsafe { T::Data::borrow(data) }
    }

    /// # Safety
    ///
    /// `file` must have been opened by [`Self::open()`]. `vma` must be a VMA that is being set up
    /// for it, with mmap_lock held for writing.
    unsafe extern "C" fn mmap(
        file: *mut bindings::file,
        vma: *mut bindings::vm_area_struct,
    ) -> c_int {
        // SAFETY: By this function's contract.
        let data = unsafe { Self::data(file) };
        // SAFETY: By this function's contract; the system call does not hold the file position.
        let file = unsafe { File::from_raw_file(file) };
        // SAFETY: By this function's contract.
        let vma = unsafe { VmaNew::from_raw(vma) };
        from_result(|| T::mmap(data, file, vma).map(|()| 0))
    }

    /// # Safety
    ///
    /// `file` must have been opened by [`Self::open()`].
    unsafe extern "C" fn ioctl(
        file: *mut bindings::file,
        command: c_uint,
        argument: c_ulong,
    ) -> c_long {
        // SAFETY: By this function's contract.
        let data = unsafe { Self::data(file) };
        // SAFETY: By this function's contract; the system call does not hold the file position.
        let file = unsafe { File::from_raw_file(file) };
        from_result(|| T::ioctl(data, file, command, argument).map(|()| 0))
    }

    /// # Safety
    ///
    /// `file` must have been opened by [`Self::open()`], and `out` must be the `seq_file` of its
    /// fdinfo.
    unsafe extern "C" fn show_fdinfo(out: *mut bindings::seq_file, file: *mut bindings::file) {
        // SAFETY: By this function's contract.
        let data = unsafe { Self::data(file) };
        // SAFETY: By this function's contract.
        let out = unsafe { SeqFile::from_raw(out) };
        T::show_fdinfo(data, out);
    }
}

/// The access mode of a file, and how the current process would map it.
#[derive(Clone, Copy)]
pub(crate) struct FileMode(u32);

impl FileMode {
    /// Returns the mode of `file`.
    pub(crate) fn of(file: &File) -> Self {
        Self(shim::caller(file))
    }

    /// Returns whether it is open for reading. Access mode 3 is neither readable nor writable,
    /// which `f_flags` does not show.
    pub(crate) fn is_readable(self) -> bool {
        self.0 & shim::CALLER_READABLE != 0
    }

    /// Returns whether it is open for writing.
    pub(crate) fn is_writable(self) -> bool {
        self.0 & shim::CALLER_WRITABLE != 0
    }

    /// Returns whether the kernel adds PROT_EXEC to PROT_READ when the current process maps it.
    pub(crate) fn read_implies_execute(self) -> bool {
        self.0 & shim::CALLER_READ_IMPLIES_EXEC != 0
    }
}
