// SPDX-License-Identifier: GPL-2.0

//! The Rust side of `shim.c`.

use kernel::{
    bindings::{
        cdev,
        inode,
        module,
        pgprot_t,
        phys_addr_t,
        pid_t, //
    },
    ffi::{
        c_char,
        c_uint, //
    },
    str::CStr, //
};

// These are the declarations of `shim.h`, word for word. Those that are `safe` take no pointer, keep no state that a
// caller could spoil, and ask for no other context than that of a process.
#[allow(
    improper_ctypes,
    reason = "only pointers go through, and some structures are empty in some configurations"
)]
unsafe extern "C" {
    /// This module, as the kernel's loader knows it.
    static __this_module: module;

    /// The parameter `major`.
    pub(crate) safe fn map_major() -> c_uint;

    fn map_windows(length: *mut usize) -> *const c_char;

    /// The character device that a node of which this is the inode is opened as.
    pub(crate) fn map_inode_cdev(inode: *mut inode) -> *mut cdev;
    fn map_current_comm(comm: *mut [u8; COMM_LENGTH]);

    /// Whether the current process has CAP_SYS_RAWIO.
    pub(crate) safe fn map_capable_rawio() -> bool;

    /// Whether the kernel is locked down against access to memory; if so, it leaves a line in the log.
    pub(crate) safe fn map_locked_down() -> bool;

    /// `prot` with caching taken away: every access reaches the memory, in program order.
    pub(crate) safe fn map_pgprot_noncached(prot: pgprot_t) -> pgprot_t;

    /// `prot` without caching, but with stores that may be gathered.
    pub(crate) safe fn map_pgprot_writecombine(prot: pgprot_t) -> pgprot_t;

    /// Whether two page protections mean the same cache type.
    pub(crate) safe fn map_same_cache(one: pgprot_t, other: pgprot_t) -> bool;

    /// The highest physical address that fits into a page table entry.
    pub(crate) safe fn map_last_phys_addr() -> phys_addr_t;

    /// The size in bytes of the address space of the current process.
    pub(crate) safe fn map_task_size() -> usize;

    /// The current process.
    pub(crate) safe fn map_current_pid() -> pid_t;

    /// Whether one more line about a refusal may go to the log now.
    pub(crate) safe fn map_may_log() -> bool;
}

const COMM_LENGTH: usize = kernel::bindings::TASK_COMM_LEN as usize;

/// The name of the current process, ended by a NUL.
pub(crate) struct Comm([u8; COMM_LENGTH]);

impl Comm {
    /// Asks for it.
    pub(crate) fn current() -> Self {
        let mut name = [0; COMM_LENGTH];
        // SAFETY: The array has the length that the function fills.
        unsafe { map_current_comm(&mut name) };
        Self(name)
    }

    /// The name without its NUL.
    pub(crate) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}

/// What C calls THIS_MODULE.
pub(crate) const fn this_module() -> *mut module {
    (&raw const __this_module).cast_mut()
}

/// The text of the parameter `windows`, if it was given.
pub(crate) fn windows() -> Option<&'static [u8]> {
    let mut length = 0;
    // SAFETY: The length can be written to.
    let text = unsafe { map_windows(&mut length) };
    if text.is_null() {
        return None;
    }
    // SAFETY: The parameter's text has this length and lives, unchanged, as long as the module.
    Some(unsafe { core::slice::from_raw_parts(text.cast(), length) })
}
