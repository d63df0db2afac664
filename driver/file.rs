// SPDX-License-Identifier: GPL-2.0

//! The file operations of the node.
//!
//! The `extern "C"` functions turn raw pointers into references, call one safe function, and its `Result` into an error
//! number. Nothing is decided here.

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
    sync::{
        Arc,
        ArcBorrow, //
    },
    types::ForeignOwnable, //
};

use crate::{
    ioctl,
    map_core::{
        may_open,
        Refusal, //
    },
    report,
    shim,
    state::{
        self,
        State, //
    },
    system::Kernel,
    vma,
    windows::{
        error_of,
        Denial,
        Permit, //
    }, //
};

/// The table that the kernel calls the driver by. Its owner makes every open file, and through the file every mapping,
/// hold a reference on the module.
static OPERATIONS: Operations = Operations(bindings::file_operations {
    owner: shim::this_module(),
    open: Some(open_raw),
    release: Some(release_raw),
    mmap: Some(mmap_raw),
    unlocked_ioctl: Some(ioctl_raw),
    #[cfg(CONFIG_COMPAT)]
    compat_ioctl: bindings::compat_ptr_ioctl,
    show_fdinfo: Some(show_fdinfo_raw),
    ..pin_init::zeroed()
});

struct Operations(bindings::file_operations);

// SAFETY: The table is never written to, and what it points at is made for use by any thread.
unsafe impl Sync for Operations {}

/// The table, as a character device takes it.
pub(crate) fn operations() -> &'static bindings::file_operations {
    &OPERATIONS.0
}

/// # Safety
///
/// `inode` and `file` must be those of a file of the node that is being opened.
unsafe extern "C" fn open_raw(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
    from_result(|| {
        // The number may be found before there is a state, and after it.
        let state = state::current().ok_or(ENXIO)?;
        open(&state)?;
        // SAFETY: By this function's contract, which is that of `nonseekable_open()`. It cannot fail.
        unsafe { bindings::nonseekable_open(inode, file) };
        // SAFETY: By this function's contract nobody else has the file yet.
        unsafe { (*file).private_data = state.into_foreign() };
        Ok(0)
    })
}

/// # Safety
///
/// `file` must be a file that [`open_raw()`] has opened, for the last time.
unsafe extern "C" fn release_raw(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
    // SAFETY: By this function's contract.
    let state = unsafe { (*file).private_data };
    // SAFETY: It came from `into_foreign()`, and nobody will borrow it any more.
    drop(unsafe { Arc::<State>::from_foreign(state) });
    0
}

/// # Safety
///
/// `file` must be a file that [`open_raw()`] has opened, and stay open as long as what is returned is used.
pub(crate) unsafe fn state_of<'a>(file: *mut bindings::file) -> ArcBorrow<'a, State> {
    // SAFETY: By this function's contract.
    let state = unsafe { (*file).private_data };
    // SAFETY: It came from `into_foreign()`, and is taken back only when the file is released.
    unsafe { Arc::<State>::borrow(state) }
}

/// # Safety
///
/// `file` must be one that [`open_raw()`] has opened; `vma` must be a VMA that is being set up on it, with the lock of
/// its address space held for writing.
unsafe extern "C" fn mmap_raw(
    file: *mut bindings::file,
    vma: *mut bindings::vm_area_struct,
) -> c_int {
    // SAFETY: By this function's contract.
    let state = unsafe { state_of(file) };
    // SAFETY: By this function's contract; the system call holds no position of the file.
    let file = unsafe { File::from_raw_file(file) };
    // SAFETY: By this function's contract.
    let vma = unsafe { VmaNew::from_raw(vma) };
    from_result(|| mmap(state, file, vma).map(|()| 0))
}

/// # Safety
///
/// `file` must be one that [`open_raw()`] has opened.
unsafe extern "C" fn ioctl_raw(
    file: *mut bindings::file,
    command: c_uint,
    argument: c_ulong,
) -> c_long {
    // SAFETY: By this function's contract.
    let state = unsafe { state_of(file) };
    // SAFETY: By this function's contract; the system call holds no position of the file.
    let file = unsafe { File::from_raw_file(file) };
    from_result(|| ioctl::ioctl(state, file, command, argument).map(|()| 0))
}

/// # Safety
///
/// `file` must be one that [`open_raw()`] has opened, and `out` the file that its information is written to.
unsafe extern "C" fn show_fdinfo_raw(out: *mut bindings::seq_file, file: *mut bindings::file) {
    // SAFETY: By this function's contract.
    let state = unsafe { state_of(file) };
    // SAFETY: By this function's contract.
    let out = unsafe { SeqFile::from_raw(out) };
    report::fdinfo(&state, out);
}

fn open(state: &State) -> Result {
    let allowed = may_open(state.windows.lock().mode(), &Kernel);
    allowed.map_err(|reason| {
        report::refused_open(state, reason);
        error_of(reason.errno())
    })
}

fn mmap(state: ArcBorrow<'_, State>, file: &File, vma: &VmaNew) -> Result {
    let request = vma::request(vma, file);
    // The lock is not held while the VMA is filled, which takes long: if the window goes meanwhile, it is as if the
    // mapping had been made before. The mapping is registered, and its claim held, by now.
    let made = Permit::new(state, &request).and_then(|permit| {
        let grant = permit.grant;
        vma::fill(vma, permit, &state).inspect_err(|denial| {
            if matches!(denial, Denial::Refused(Refusal::CacheConflict, _)) {
                state.windows.lock().conflicts(&grant);
            }
        })
    });
    made.map_err(|denial| {
        report::refused_mmap(&state, &request, &denial);
        denial.error()
    })
}
