// SPDX-License-Identifier: GPL-2.0

//! The file operations of the node.
//!
//! The `extern "C"` functions turn raw pointers into references, call one safe function, and its `Result` into an error
//! number. Nothing is decided here.

use kernel::{
    bindings,
    error::from_result,
    ffi::c_int,
    mm::virt::VmaNew,
    module::this_module,
    prelude::*, //
};

use crate::{
    area,
    map_core::{
        decide,
        may_open,
        Errno,
        Refusal, //
    },
    platform,
    shim, //
};

/// The table that the kernel calls the driver by. Its owner makes every open file, and through the file every mapping,
/// hold a reference on the module.
static OPERATIONS: Operations = Operations(bindings::file_operations {
    owner: this_module::<crate::Map>().as_ptr(),
    open: Some(open_raw),
    mmap: Some(mmap_raw),
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
/// `inode` and `file` must be those of a file that is being opened.
unsafe extern "C" fn open_raw(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
    if let Err(error) = open() {
        return error.to_errno();
    }
    // SAFETY: By this function's contract, which is that of `nonseekable_open()`.
    unsafe { bindings::nonseekable_open(inode, file) }
}

/// # Safety
///
/// `vma` must be an area that is being set up, with the lock of its address space held for writing.
unsafe extern "C" fn mmap_raw(
    _file: *mut bindings::file,
    vma: *mut bindings::vm_area_struct,
) -> c_int {
    // SAFETY: By this function's contract.
    let vma = unsafe { VmaNew::from_raw(vma) };
    from_result(|| mmap(vma).map(|()| 0))
}

fn open() -> Result {
    may_open(shim::map_capable_rawio()).map_err(|refusal| refuse("open", refusal))
}

fn mmap(vma: &VmaNew) -> Result {
    let request = area::request(vma);
    let grant = decide(&request, &platform::platform(), platform::is_system_ram)
        .map_err(|refusal| refuse("mmap", refusal))?;
    area::fill(vma, &grant)
}

/// Says in the log why `call` fails, and turns the reason into what the process gets.
fn refuse(call: &str, refusal: Refusal) -> Error {
    if shim::map_may_log() {
        pr_warn!(
            "{call} by process {} refused: {}\n",
            shim::map_current_pid(),
            core::format_args!("{refusal}")
        );
    }
    match refusal.errno() {
        Errno::NotPermitted => EPERM,
        Errno::Invalid => EINVAL,
    }
}
