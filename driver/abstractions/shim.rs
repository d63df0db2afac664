// SPDX-License-Identifier: GPL-2.0

//! The Rust side of `shim.c`: what bindgen cannot see.

use kernel::{
    bindings::{
        file,
        fwnode_handle,
        module,
        pgprot_t,
        phys_addr_t,
        pid_t,
        seq_file,
        uid_t,
        vm_area_struct, //
    },
    device::property::FwNode,
    ffi::{
        c_char,
        c_int,
        c_uint,
        c_void, //
    },
    fs::File,
    mm::virt::VmaNew,
    str::{
        CStr,
        CStrExt, //
    }, //
};

// These are the declarations of `shim.h`, word for word. Those that are `safe` take no pointer,
// keep no state that a caller could spoil, and ask for no other context than that of a process.
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

    fn map_caller(file: *const file) -> c_uint;
    fn map_clear_exec(vma: *mut vm_area_struct);
    fn map_zap(vma: *mut vm_area_struct);
    fn map_current_comm(comm: *mut [u8; COMM_LENGTH]);

    /// Whether the current process has CAP_SYS_RAWIO.
    pub(crate) safe fn map_capable_rawio() -> bool;

    /// Whether the kernel is locked down against access to memory; if so, it leaves a line in the
    /// log.
    pub(crate) safe fn map_locked_down() -> bool;

    /// Whether the memory of this machine is encrypted, so that nobody here knows what a mapping
    /// would show.
    pub(crate) safe fn map_memory_is_encrypted() -> bool;

    /// `prot` with caching taken away: every access reaches the memory, in program order.
    pub(crate) safe fn map_pgprot_noncached(prot: pgprot_t) -> pgprot_t;

    /// `prot` without caching, but with stores that may be gathered.
    pub(crate) safe fn map_pgprot_writecombine(prot: pgprot_t) -> pgprot_t;

    /// `prot` for a page that, if it can be written to, counts as written to: the first store takes
    /// no fault.
    pub(crate) safe fn map_pgprot_dirty(prot: pgprot_t) -> pgprot_t;

    /// Whether two page protections mean the same cache type.
    pub(crate) safe fn map_same_cache(one: pgprot_t, other: pgprot_t) -> bool;

    /// Whether an access by the kernel to where no device answers is an abort.
    pub(crate) safe fn map_aborts() -> bool;

    /// Whether the machine maps memory between these two addresses, the second of which belongs to
    /// it, uncached.
    pub(crate) safe fn map_gives_uncached(start: u64, last: u64) -> bool;

    /// Whether it maps it write-combining.
    pub(crate) safe fn map_gives_write_combine(start: u64, last: u64) -> bool;

    /// Whether it maps it write-back. This may make and end a mapping of the kernel's own, so none
    /// of it may be System RAM.
    pub(crate) safe fn map_gives_write_back(start: u64, last: u64) -> bool;

    /// Whether a PCI device, or a bridge, has memory between these two addresses, the second of
    /// which belongs to it.
    pub(crate) safe fn map_in_pci_bar(start: u64, last: u64) -> bool;

    /// The highest physical address that the processor takes in a page table.
    pub(crate) safe fn map_last_phys_addr() -> phys_addr_t;

    /// The size in bytes of the address space of the current process.
    pub(crate) safe fn map_task_size() -> usize;

    /// The current process.
    pub(crate) safe fn map_current_pid() -> pid_t;

    /// The user of the current process, as the first user namespace knows them: of a process in
    /// another one, who made that.
    pub(crate) safe fn map_current_user() -> uid_t;

    /// Whether the current process has CAP_SYS_RESOURCE.
    pub(crate) safe fn map_capable_resource() -> bool;

    /// The seconds since the boot.
    pub(crate) safe fn map_seconds() -> u64;

    /// Has `vetoes` asked before memory goes online.
    pub(crate) safe fn map_watch_memory(vetoes: extern "C" fn(u64, u64) -> bool) -> c_int;

    /// Undoes [`map_watch_memory()`].
    pub(crate) safe fn map_unwatch_memory();

    /// Makes the files in debugfs, which `show` writes.
    pub(crate) safe fn map_debug_create(show: unsafe extern "C" fn(*mut seq_file, c_uint));

    /// Takes them away.
    pub(crate) safe fn map_debug_remove();

    /// Has `has_windows` called when the device tree has changed and has windows.
    pub(crate) safe fn map_watch_of(has_windows: extern "C" fn()) -> c_int;

    /// Undoes [`map_watch_of()`].
    pub(crate) safe fn map_unwatch_of();

    /// Whether the device tree has an enabled node whose children are windows.
    pub(crate) safe fn map_of_has_windows() -> bool;

    fn map_of_reserved(index: c_uint, start: *mut u64, length: *mut u64) -> bool;
    fn map_of_property(
        node: *const fwnode_handle,
        name: *const c_char,
        value: *mut *const c_void,
        length: *mut usize,
    ) -> bool;
    fn map_of_memory_region(
        node: *const fwnode_handle,
        start: *mut u64,
        length: *mut u64,
        of_boot: *mut bool,
    ) -> c_int;
    fn map_of_reg(node: *const fwnode_handle, start: *mut u64, length: *mut u64) -> c_int;
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

/// The bits of [`caller()`], as `shim.h` has them.
pub(crate) const CALLER_READABLE: u32 = 1;
pub(crate) const CALLER_WRITABLE: u32 = 2;
pub(crate) const CALLER_READ_IMPLIES_EXEC: u32 = 4;

/// How `file` is open, and how the current process would map it.
pub(crate) fn caller(file: &File) -> u32 {
    // SAFETY: The file is open as long as the reference lives, and with it its mount.
    unsafe { map_caller(file.as_ptr()) }
}

/// Takes away from `vma` that it is executable, and that it may become so.
pub(crate) fn clear_exec(vma: &VmaNew) {
    // SAFETY: The VMA is being set up, so nobody else looks at its flags.
    unsafe { map_clear_exec(vma.as_ptr()) };
}

/// Takes all pages of `vma` away, which must be mapped by their numbers.
pub(crate) fn zap(vma: &VmaNew) {
    // SAFETY: The VMA is being set up, with the lock of its address space held for writing.
    unsafe { map_zap(vma.as_ptr()) };
}

/// Start and length of the memory of one of the nodes in `/reserved-memory` that the kernel keeps
/// out of its page tables and does not use itself, counted from 0.
pub(crate) fn reserved_region(index: u32) -> Option<(u64, u64)> {
    let (mut start, mut length) = (0, 0);
    // SAFETY: The two numbers can be written to.
    let found = unsafe { map_of_reserved(index, &mut start, &mut length) };
    found.then_some((start, length))
}

/// The bytes of the property `name`, if `node` has it.
///
/// The kernel's own vector, which the kernel's own functions for this make, can panic.
pub(crate) fn property<'a>(node: &'a FwNode, name: &CStr) -> Option<&'a [u8]> {
    let (mut value, mut length) = (core::ptr::null(), 0);
    // SAFETY: The node is held by the reference, the name ends in a NUL, and the other two can be
    // written to.
    let found = unsafe { map_of_property(raw(node), name.as_char_ptr(), &mut value, &mut length) };
    match length {
        _ if !found => None,
        // Without a value there need not be a place for it.
        0 => Some(&[]),
        // SAFETY: The value has this length and lives, unchanged, as long as the node.
        _ => Some(unsafe { core::slice::from_raw_parts(value.cast(), length) }),
    }
}

/// The regions that a property names.
pub(crate) enum Regions {
    /// None that the kernel knows.
    None,
    /// One.
    One {
        /// The physical address of its first byte.
        start: u64,
        /// Its length in bytes, which may be 0.
        length: u64,
    },
    /// More than one.
    Several,
}

/// What the property `memory-region` of `node` comes to, and whether the tree that the kernel was
/// booted with has all of it as it is.
pub(crate) fn memory_region(node: &FwNode) -> (Regions, bool) {
    let (mut start, mut length, mut of_boot) = (0, 0, false);
    // SAFETY: The node is held by the reference, and the two numbers and the flag can be written
    // to.
    let count = unsafe { map_of_memory_region(raw(node), &mut start, &mut length, &mut of_boot) };
    (regions(count, start, length), of_boot)
}

/// What the property `reg` of `node`, which has it, comes to.
pub(crate) fn reg(node: &FwNode) -> Regions {
    let (mut start, mut length) = (0, 0);
    // SAFETY: As above.
    let count = unsafe { map_of_reg(raw(node), &mut start, &mut length) };
    regions(count, start, length)
}

/// The C side of a node, of which the Rust side is a transparent wrapper.
fn raw(node: &FwNode) -> *const fwnode_handle {
    core::ptr::from_ref(node).cast()
}

fn regions(count: c_int, start: u64, length: u64) -> Regions {
    match count {
        1 => Regions::One { start, length },
        2.. => Regions::Several,
        _ => Regions::None,
    }
}
