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
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    seq_file::SeqFile,
    types::ForeignOwnable, //
};

use super::{
    irq::WaitQueue,
    shim,
    space::AddressSpace,
    task::watched, //
};
use crate::map_core::aligned_address;

/// The events of poll(2), which have the same numbers on all architectures of Rust for Linux.
const POLLIN: u32 = 0x1;
const POLLOUT: u32 = 0x4;
const POLLERR: u32 = 0x8;
const POLLHUP: u32 = 0x10;
const POLLRDNORM: u32 = 0x40;
const POLLWRNORM: u32 = 0x100;

/// What poll(2) reports of a file with events.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// Nothing has happened.
    Idle,
    /// Something has happened.
    Readable,
    /// Nothing will happen any more.
    Gone,
}

/// The operations of a file.
pub(crate) trait FileOperations: Sized + 'static {
    /// The data that an open file owns.
    type Data: for<'a> ForeignOwnable<Borrowed<'a> = &'a Self> + Send + Sync;

    /// Opens a file of the device with the minor number `minor`. [`Self::Data`] is dropped with the
    /// last reference to the file.
    fn open(minor: u32) -> Result<Self::Data>;

    /// Returns the address space of which the VMAs of the file are part.
    fn space(&self) -> &AddressSpace;

    /// Returns the length in bytes of a file with contents; `None` for one that has neither
    /// contents nor a position. This never changes for a file.
    fn size(&self) -> Option<u64>;

    /// Returns the queue that is woken when an event happens; `None` for a file without events.
    /// This never changes for a file, which keeps the queue alive.
    fn events(&self) -> Option<&WaitQueue>;

    /// Returns what poll(2) reports.
    fn readiness(&self) -> Readiness;

    /// Copies contents from `position` on to `to`, and returns the number of bytes.
    fn read(&self, position: u64, to: &mut Destination<'_>) -> Result<usize>;

    /// Copies `from` to the contents from `position` on, and returns the number of bytes.
    fn write(&self, position: u64, from: &mut Source<'_>) -> Result<usize>;

    /// Completes the stores that the current thread has made through mappings of the file.
    fn sync(&self) -> Result;

    /// Sets up `vma` for mmap(2).
    fn mmap(&self, file: &File, vma: &VmaNew) -> Result;

    /// Returns the physical address of `offset` in the file and the alignment, a power of two, with
    /// which it is useful to map `length` bytes there: at an address that is congruent to it.
    fn alignment(&self, offset: u64, length: u64) -> Option<(u64, u64)>;

    /// Handles an ioctl. Structures must have the same layout for 32-bit and 64-bit processes.
    fn ioctl(&self, file: &File, command: u32, argument: usize) -> Result;

    /// Adds lines to `/proc/PID/fdinfo/FD`.
    fn show_fdinfo(&self, out: &SeqFile);
}

/// The flag with which mmap(2) takes every offset on a machine of 32 bits, as for `/dev/mem`.
/// Otherwise it takes those of 32 bits there, and physical addresses may have more. A file without
/// contents has no other offsets.
const UNSIGNED_OFFSET: bindings::fop_flags_t = if cfg!(CONFIG_64BIT) {
    0
} else {
    shim::FOP_UNSIGNED_OFFSET
};

/// The highest end of a mapping by its offset: on a machine of 64 bits all of them, on others that
/// of the last page whose number has 32 bits.
pub(crate) const LAST_OFFSET_OF_ALL: u64 = if cfg!(CONFIG_64BIT) {
    u64::MAX
} else {
    (u32::MAX as u64) << PAGE_SHIFT
};

/// The `file_operations` table for `T`.
pub(super) struct Vtable<T>(PhantomData<T>);

impl<T: FileOperations> Vtable<T> {
    /// With `owner` every open file, and through it every mapping, holds a reference to the module.
    const OPERATIONS: bindings::file_operations = bindings::file_operations {
        owner: shim::this_module(),
        open: Some(Self::open),
        release: Some(Self::release),
        mmap: Some(Self::mmap),
        get_unmapped_area: Some(Self::get_unmapped_area),
        fsync: Some(Self::fsync),
        unlocked_ioctl: Some(Self::ioctl),
        #[cfg(CONFIG_COMPAT)]
        compat_ioctl: bindings::compat_ptr_ioctl,
        show_fdinfo: Some(Self::show_fdinfo),
        fop_flags: UNSIGNED_OFFSET,
        ..pin_init::zeroed()
    };

    /// The operations of a file with contents. Its positions are signed.
    const WITH_CONTENTS: bindings::file_operations = bindings::file_operations {
        fop_flags: 0,
        llseek: Some(Self::llseek),
        read_iter: Some(Self::read_iter),
        write_iter: Some(Self::write_iter),
        splice_read: Some(bindings::copy_splice_read),
        splice_write: Some(bindings::iter_file_splice_write),
        ..Self::OPERATIONS
    };

    /// The operations of a file with contents and events. poll(2) takes every other file for ready.
    const WITH_EVENTS: bindings::file_operations = bindings::file_operations {
        poll: Some(Self::poll),
        ..Self::WITH_CONTENTS
    };

    pub(super) const fn get() -> &'static bindings::file_operations {
        &Self::OPERATIONS
    }

    /// # Safety
    ///
    /// `inode` and `file` must belong to a file of the device that is being opened.
    unsafe extern "C" fn open(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        from_result(|| {
            // SAFETY: By this function's contract.
            let number = unsafe { (*inode).i_rdev };
            let data = T::open(number & ((1 << bindings::MINORBITS) - 1))?.into_foreign();
            // SAFETY: By this function's contract nothing else uses the file yet.
            unsafe { (*file).private_data = data };
            // SAFETY: The pointer just came from `into_foreign()`.
            let data = unsafe { T::Data::borrow(data) };
            // SAFETY: By this function's contract; the file now owns the data.
            unsafe { data.space().adopt(file) };
            if data.size().is_some() {
                // The kernel reads the table again after this. Both have the same owner, to which
                // the file holds a reference already.
                // SAFETY: By this function's contract nothing else uses the file yet.
                unsafe {
                    if data.events().is_some() {
                        (*file).f_op = &Self::WITH_EVENTS;
                        // A transfer does not wait for an event. Without the flag io_uring would
                        // take an event that has not come for contents that are not there, and
                        // have the request wait for it.
                        (*file).f_mode |= shim::FMODE_NOWAIT;
                    } else {
                        (*file).f_op = &Self::WITH_CONTENTS;
                    }
                };
            } else {
                // SAFETY: By this function's contract, which is that of `nonseekable_open()`, which
                // cannot fail.
                unsafe { bindings::nonseekable_open(inode, file) };
            }
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
    unsafe fn data<'a>(file: *mut bindings::file) -> &'a T {
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
        watched(|| from_result(|| data.mmap(file, vma).map(|()| 0)))
    }

    /// # Safety
    ///
    /// `file` must have been opened by [`Self::open()`], and the current process must hold its
    /// mmap_lock for writing.
    unsafe extern "C" fn get_unmapped_area(
        file: *mut bindings::file,
        hint: c_ulong,
        length: c_ulong,
        offset: c_ulong,
        flags: c_ulong,
    ) -> c_ulong {
        let free = |length| {
            // SAFETY: By this function's contract.
            unsafe { shim::map_unmapped_range(file, hint, length, offset, flags) }
        };
        // An address that the program asks for, or commands by MAP_FIXED, decides if it is free.
        if hint != 0 && free(length) == hint {
            return hint;
        }
        // SAFETY: By this function's contract.
        let data = unsafe { Self::data(file) };
        // The kernel computed it from a byte offset, so the shift does not overflow.
        let aligned = || {
            let offset = (offset as u64) << PAGE_SHIFT;
            let (memory, alignment) = watched(|| data.alignment(offset, length as u64))?;
            // There may be no room for it.
            let padded = length.checked_add(usize::try_from(alignment).ok()?)?;
            let found = Some(free(padded)).filter(|found| is_address(*found))?;
            usize::try_from(aligned_address(found as u64, memory, alignment)).ok()
        };
        aligned().unwrap_or_else(|| free(length))
    }

    /// # Safety
    ///
    /// `file` must have been opened by [`Self::open()`].
    unsafe extern "C" fn fsync(
        file: *mut bindings::file,
        _start: bindings::loff_t,
        _end: bindings::loff_t,
        _datasync: c_int,
    ) -> c_int {
        // SAFETY: By this function's contract.
        let data = unsafe { Self::data(file) };
        from_result(|| data.sync().map(|()| 0))
    }

    /// # Safety
    ///
    /// `file` must have been opened by [`Self::open()`].
    unsafe extern "C" fn llseek(
        file: *mut bindings::file,
        offset: bindings::loff_t,
        whence: c_int,
    ) -> bindings::loff_t {
        // SAFETY: By this function's contract.
        let size = unsafe { Self::data(file) }.size();
        let size = size.and_then(|size| bindings::loff_t::try_from(size).ok());
        // SAFETY: By this function's contract.
        unsafe { bindings::fixed_size_llseek(file, offset, whence, size.unwrap_or(0)) }
    }

    /// # Safety
    ///
    /// `call` and `to` must be those of a read from a file that [`Self::open()`] has opened.
    unsafe extern "C" fn read_iter(
        call: *mut bindings::kiocb,
        to: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: By this function's contract.
        let data = unsafe { Self::data((*call).ki_filp) };
        // SAFETY: As above.
        let mut to = Destination(unsafe { Iter::new(to) });
        // SAFETY: By this function's contract.
        unsafe { Self::transfer(call, |position| data.read(position, &mut to)) }
    }

    /// # Safety
    ///
    /// `call` and `from` must be those of a write to a file that [`Self::open()`] has opened.
    unsafe extern "C" fn write_iter(
        call: *mut bindings::kiocb,
        from: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: By this function's contract.
        let data = unsafe { Self::data((*call).ki_filp) };
        // SAFETY: As above.
        let mut from = Source(unsafe { Iter::new(from) });
        // SAFETY: By this function's contract.
        unsafe { Self::transfer(call, |position| data.write(position, &mut from)) }
    }

    /// Advances the position of `call` by the number of bytes that `copy` returns.
    ///
    /// # Safety
    ///
    /// `call` must be that of a read or a write.
    unsafe fn transfer(
        call: *mut bindings::kiocb,
        copy: impl FnOnce(u64) -> Result<usize>,
    ) -> isize {
        // SAFETY: By this function's contract nothing else uses the field.
        let position = unsafe { (*call).ki_pos };
        from_result(|| {
            // The kernel rejects negative positions.
            let copied = copy(u64::try_from(position).map_err(|_| EINVAL)?)?;
            // The kernel permits at most `MAX_RW_COUNT` bytes at once.
            let copied = i32::try_from(copied).unwrap_or(i32::MAX);
            // SAFETY: As above.
            unsafe { (*call).ki_pos = position.saturating_add(copied.into()) };
            Ok(copied as isize)
        })
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
        from_result(|| data.ioctl(file, command, argument).map(|()| 0))
    }

    /// # Safety
    ///
    /// `file` must have been opened by [`Self::open()`], and `table` must be what poll(2) passes.
    unsafe extern "C" fn poll(
        file: *mut bindings::file,
        table: *mut bindings::poll_table_struct,
    ) -> bindings::__poll_t {
        // SAFETY: By this function's contract.
        let data = unsafe { Self::data(file) };
        if let Some(queue) = data.events() {
            // SAFETY: By this function's contract; the file keeps the queue alive.
            unsafe { queue.watch(file, table) };
        }
        // A write never waits, so the file is always ready for one.
        POLLOUT
            | POLLWRNORM
            | match data.readiness() {
                Readiness::Idle => 0,
                Readiness::Readable => POLLIN | POLLRDNORM,
                Readiness::Gone => POLLERR | POLLHUP,
            }
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
        data.show_fdinfo(out);
    }
}

/// Returns whether the result of looking for room is an address, and not an error number.
const fn is_address(found: usize) -> bool {
    found % PAGE_SIZE == 0
}

/// An iterator over the memory of a read or a write.
///
/// This does not use `kernel::iov`, which asserts the direction, and so can panic.
struct Iter<'a>(*mut bindings::iov_iter, PhantomData<&'a mut ()>);

impl Iter<'_> {
    /// # Safety
    ///
    /// `iter` must be used only through the returned value as long as that exists.
    unsafe fn new(iter: *mut bindings::iov_iter) -> Self {
        Self(iter, PhantomData)
    }

    fn left(&self) -> usize {
        // SAFETY: By the contract of `new()`.
        unsafe { shim::map_iter_count(self.0) }
    }
}

/// The memory to which a read copies.
pub(crate) struct Destination<'a>(Iter<'a>);

impl Destination<'_> {
    /// Returns the number of bytes that it can take.
    pub(crate) fn left(&self) -> usize {
        self.0.left()
    }

    /// Copies `bytes` to it, and returns the number of bytes copied, which is smaller if user
    /// memory is not accessible.
    pub(crate) fn copy(&mut self, bytes: &[u8]) -> usize {
        // SAFETY: By the contract of `Iter::new()`; the slice has so many bytes.
        unsafe { bindings::_copy_to_iter(bytes.as_ptr().cast(), bytes.len(), self.0 .0) }
    }
}

/// The memory from which a write copies.
pub(crate) struct Source<'a>(Iter<'a>);

impl Source<'_> {
    /// Returns the number of bytes that it has.
    pub(crate) fn left(&self) -> usize {
        self.0.left()
    }

    /// Copies from it to `bytes`, and returns the number of bytes copied, which is smaller if user
    /// memory is not accessible.
    pub(crate) fn copy(&mut self, bytes: &mut [u8]) -> usize {
        // SAFETY: By the contract of `Iter::new()`; the slice has so many bytes.
        unsafe { bindings::_copy_from_iter(bytes.as_mut_ptr().cast(), bytes.len(), self.0 .0) }
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
