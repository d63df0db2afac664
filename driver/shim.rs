// SPDX-License-Identifier: GPL-2.0

//! The Rust side of `shim.c`.

use kernel::{
    bindings::{
        cdev,
        fwnode_handle,
        inode,
        module,
        pgprot_t,
        phys_addr_t,
        pid_t, //
    },
    device::property::FwNode,
    ffi::{
        c_char,
        c_int,
        c_uint,
        c_void, //
    },
    str::{
        CStr,
        CStrExt, //
    }, //
};

use crate::map_core::tree::Place;

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

    /// `prot` for a page that, if it can be written to, counts as written to: the first store takes no fault.
    pub(crate) safe fn map_pgprot_dirty(prot: pgprot_t) -> pgprot_t;

    /// Whether two page protections mean the same cache type.
    pub(crate) safe fn map_same_cache(one: pgprot_t, other: pgprot_t) -> bool;

    /// The highest physical address that the processor takes in a page table.
    pub(crate) safe fn map_last_phys_addr() -> phys_addr_t;

    /// The size in bytes of the address space of the current process.
    pub(crate) safe fn map_task_size() -> usize;

    /// The current process.
    pub(crate) safe fn map_current_pid() -> pid_t;

    /// Whether one more line about a refusal may go to the log now.
    pub(crate) safe fn map_may_log() -> bool;

    /// Whether the device tree has an enabled node whose children are windows.
    pub(crate) safe fn map_tree_has_windows() -> bool;

    fn map_tree_reserved(index: c_uint, start: *mut u64, length: *mut u64) -> bool;
    fn map_tree_property(
        node: *const fwnode_handle,
        name: *const c_char,
        value: *mut *const c_void,
        length: *mut usize,
    ) -> bool;
    fn map_tree_memory_region(
        node: *const fwnode_handle,
        start: *mut u64,
        length: *mut u64,
    ) -> c_int;
    fn map_tree_reg(node: *const fwnode_handle, start: *mut u64, length: *mut u64) -> c_int;
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

/// Start and length of the memory of one of the nodes in `/reserved-memory` that the kernel keeps out of its page tables,
/// counted from 0.
pub(crate) fn reserved_region(index: u32) -> Option<(u64, u64)> {
    let (mut start, mut length) = (0, 0);
    // SAFETY: The two numbers can be written to.
    let found = unsafe { map_tree_reserved(index, &mut start, &mut length) };
    found.then_some((start, length))
}

/// The bytes of the property `name`, if `node` has it.
///
/// The kernel's own vector, which the kernel's own functions for this make, can panic.
pub(crate) fn property<'a>(node: &'a FwNode, name: &CStr) -> Option<&'a [u8]> {
    let (mut value, mut length) = (core::ptr::null(), 0);
    // SAFETY: The node is held by the reference, the name ends in a NUL, and the other two can be written to.
    let found =
        unsafe { map_tree_property(raw(node), name.as_char_ptr(), &mut value, &mut length) };
    match length {
        _ if !found => None,
        // Without a value there need not be a place for it.
        0 => Some(&[]),
        // SAFETY: The value has this length and lives, unchanged, as long as the node.
        _ => Some(unsafe { core::slice::from_raw_parts(value.cast(), length) }),
    }
}

/// What the property `memory-region` of `node`, which has it, comes to.
pub(crate) fn memory_region(node: &FwNode) -> Place {
    let (mut start, mut length) = (0, 0);
    // SAFETY: The node is held by the reference, and the two numbers can be written to.
    let count = unsafe { map_tree_memory_region(raw(node), &mut start, &mut length) };
    place(count, start, length)
}

/// What the property `reg` of `node`, which has it, comes to.
pub(crate) fn reg(node: &FwNode) -> Place {
    let (mut start, mut length) = (0, 0);
    // SAFETY: As above.
    let count = unsafe { map_tree_reg(raw(node), &mut start, &mut length) };
    place(count, start, length)
}

/// The C side of a node, of which the Rust side is a transparent wrapper.
fn raw(node: &FwNode) -> *const fwnode_handle {
    core::ptr::from_ref(node).cast()
}

fn place(count: c_int, start: u64, length: u64) -> Place {
    match count {
        1 => Place::Region { start, length },
        2.. => Place::Several,
        _ => Place::Nowhere,
    }
}
