// SPDX-License-Identifier: GPL-2.0

//! The Rust side of `shim.c`: macros, inline functions and configuration that bindgen does not
//! cover.

use kernel::{
    bindings::{
        class,
        dev_t,
        device,
        file,
        fwnode_handle,
        inode,
        iov_iter,
        module,
        pgprot_t,
        phys_addr_t,
        pid_t,
        poll_table_struct,
        seq_file,
        spinlock_t,
        uid_t,
        vfsmount,
        vm_area_struct, //
        vm_fault,
        wait_queue_head,
    },
    device::{
        property::FwNode,
        Device, //
    },
    error::to_result,
    ffi::{
        c_char,
        c_int,
        c_uint,
        c_void, //
    },
    fs::File,
    mm::virt::VmaNew,
    prelude::*,
    str::{
        CStr,
        CStrExt, //
    }, //
};

// These declarations match `shim.h`. The `safe` ones take no data pointers, and no order of calls
// makes them access memory that is not theirs. Some change the state of the kernel, so they are for
// whoever has registered or requested what they change. They require process context unless they
// say otherwise.
#[allow(
    improper_ctypes,
    reason = "only pointers go through, and some structures are empty in some configurations"
)]
unsafe extern "C" {
    /// THIS_MODULE.
    static __this_module: module;

    /// Returns the parameter `major`.
    pub(crate) safe fn map_major() -> c_uint;

    /// Returns whether mappings in raw mode may have huge pages: the parameter `huge`.
    pub(crate) safe fn map_huge() -> bool;

    /// Returns the size in bytes of the huge pages for memory without struct pages; 0 if there are
    /// none.
    pub(crate) safe fn map_huge_page_size() -> u64;

    fn map_windows(length: *mut usize) -> *const c_char;

    fn map_caller(file: *const file) -> c_uint;
    fn map_is_shared(vma: *const vm_area_struct) -> bool;
    fn map_clear_exec(vma: *mut vm_area_struct);
    fn map_zap(vma: *mut vm_area_struct);
    fn map_set_pfn_map(vma: *mut vm_area_struct);
    pub(super) fn map_fault_vma(fault: *const vm_fault, address: *mut usize)
        -> *mut vm_area_struct;
    pub(super) fn map_fault_insert_huge(
        fault: *mut vm_fault,
        order: c_uint,
        frame: usize,
    ) -> c_uint;
    pub(super) fn map_fault_insert(
        fault: *mut vm_fault,
        address: usize,
        frame: usize,
        pages: usize,
    ) -> c_uint;
    pub(super) fn map_unmapped_range(
        file: *mut file,
        address: usize,
        length: usize,
        offset: usize,
        flags: usize,
    ) -> usize;
    fn map_current_comm(comm: *mut [u8; COMM_LENGTH]);

    pub(super) fn map_iter_count(iter: *const iov_iter) -> usize;
    pub(super) fn map_io_map(start: u64, length: usize, cache: u32) -> *mut c_void;
    pub(super) fn map_io_unmap(io: *mut c_void, start: u64, length: usize, cache: u32);
    pub(super) fn map_io_is_huge(io: *const c_void) -> bool;
    pub(super) fn map_io_has_cache(io: *const c_void, wanted: pgprot_t) -> bool;
    pub(super) fn map_io_is(io: *const c_void, cache: u32) -> bool;
    pub(super) fn map_io_read(to: *mut c_void, io: *const c_void, length: usize);
    pub(super) fn map_io_write(io: *mut c_void, from: *const c_void, length: usize);
    pub(super) fn map_space_create(mount: *mut *mut vfsmount) -> *mut inode;
    pub(super) fn map_space_destroy(mount: *mut vfsmount, inode: *mut inode);
    pub(super) fn map_space_adopt(inode: *mut inode, file: *mut file);
    pub(super) fn map_space_unmap(inode: *mut inode, start: u64, length: u64);
    pub(super) fn map_space_unmap_each(inode: *mut inode, start: u64, length: u64);
    pub(super) fn map_copy_no_page(vma: *mut vm_area_struct);
    pub(super) fn map_class_init(
        class: *mut class,
        show: unsafe extern "C" fn(*const c_void, c_uint, *mut u8) -> isize,
        name: unsafe extern "C" fn(*const c_void) -> *const c_char,
    );
    pub(super) fn map_device_create(
        class: *mut class,
        number: dev_t,
        node: *mut c_void,
        interrupts: bool,
    ) -> *mut device;

    pub(super) fn map_irq_request(
        number: c_uint,
        handler: Option<unsafe extern "C" fn(c_int, *mut c_void) -> c_uint>,
        name: *const c_char,
        data: *mut c_void,
    ) -> c_int;
    pub(super) fn map_irq_lock_init(lock: *mut spinlock_t);
    pub(super) fn map_irq_lock(lock: *mut spinlock_t) -> usize;
    pub(super) fn map_irq_unlock(lock: *mut spinlock_t, flags: usize);
    pub(super) fn map_wait_init(queue: *mut wait_queue_head);
    pub(super) fn map_wait_wake(queue: *mut wait_queue_head);
    pub(super) fn map_wait_sleep(
        queue: *mut wait_queue_head,
        ready: unsafe extern "C" fn(*mut c_void) -> bool,
        data: *mut c_void,
        timeout: i64,
    ) -> c_int;
    pub(super) fn map_poll_wait(
        file: *mut file,
        queue: *mut wait_queue_head,
        table: *mut poll_table_struct,
    );
    pub(super) fn map_eventfd_signal(eventfd: *mut c_void);
    pub(super) fn map_eventfd_put(eventfd: *mut c_void);

    /// Gets a reference to the eventfd with this descriptor.
    pub(super) safe fn map_eventfd_get(fd: c_int) -> *mut c_void;

    /// Returns whether each processor has a line of its own with this number.
    pub(crate) safe fn map_irq_is_per_processor(number: c_uint) -> bool;

    /// Returns the trigger type of a line that was requested.
    pub(super) safe fn map_irq_trigger(number: c_uint) -> u32;

    /// Makes [`map_irq_disable()`] disable this line at once, and not when it comes again.
    pub(crate) safe fn map_irq_set_unlazy(number: c_uint);

    /// Enables this line. This may be called by a handler.
    pub(crate) safe fn map_irq_enable(number: c_uint);

    /// Disables this line, without waiting for its handler. This may be called by a handler.
    pub(crate) safe fn map_irq_disable(number: c_uint);

    /// Returns whether a long transfer may go on: no signal is pending. First lets other processes
    /// run.
    pub(crate) safe fn map_may_go_on() -> bool;

    /// Orders all stores of the current processor before what follows.
    pub(crate) safe fn map_barrier();

    /// Returns whether the current process has CAP_SYS_RAWIO.
    pub(crate) safe fn map_capable_rawio() -> bool;

    /// Returns whether the kernel is locked down against access to memory. If so, it logs a line.
    pub(crate) safe fn map_locked_down() -> bool;

    /// Returns `-EOPNOTSUPP` if the memory of this machine is encrypted, so that the contents of a
    /// mapping are undefined.
    pub(crate) safe fn map_check_encryption() -> c_int;

    /// Returns `prot` as uncached: every access reaches the memory, in program order.
    pub(crate) safe fn map_pgprot_noncached(prot: pgprot_t) -> pgprot_t;

    /// Returns `prot` as write-combining: stores may be combined.
    pub(crate) safe fn map_pgprot_writecombine(prot: pgprot_t) -> pgprot_t;

    /// Returns `prot` marked as dirty if it is writable, so that the first store takes no fault.
    pub(crate) safe fn map_pgprot_dirty(prot: pgprot_t) -> pgprot_t;

    /// Returns whether two page protections have the same cache type.
    pub(crate) safe fn map_same_cache(one: pgprot_t, other: pgprot_t) -> bool;

    /// Returns whether an access by the kernel aborts where no device responds.
    pub(crate) safe fn map_aborts() -> bool;

    /// Returns whether the machine can map `start` to `last` (inclusive) uncached.
    pub(crate) safe fn map_gives_uncached(start: u64, last: u64) -> bool;

    /// Returns whether the machine can map `start` to `last` (inclusive) write-combining.
    pub(crate) safe fn map_gives_write_combine(start: u64, last: u64) -> bool;

    /// Returns whether the machine can map `start` to `last` (inclusive) write-back. This may
    /// create a temporary kernel mapping, so the range must not contain System RAM.
    pub(crate) safe fn map_gives_write_back(start: u64, last: u64) -> bool;

    /// Returns whether a PCI device or bridge has memory in `start` to `last` (inclusive).
    pub(crate) safe fn map_in_pci_bar(start: u64, last: u64) -> bool;

    /// Returns the highest physical address that a page table entry can hold on this processor.
    pub(crate) safe fn map_last_phys_addr() -> phys_addr_t;

    /// Returns the size in bytes of the address space of the current process.
    pub(crate) safe fn map_task_size() -> usize;

    /// Sets how deep the current process is in sections whose accesses KCSAN takes for atomic, and
    /// returns how deep it was.
    #[cfg(CONFIG_KCSAN)]
    pub(crate) safe fn map_kcsan_nest(depth: c_int) -> c_int;

    /// Returns the thread group ID of the current process.
    pub(crate) safe fn map_current_pid() -> pid_t;

    /// Returns the user of the current process in the initial user namespace. For a process in
    /// another namespace this is the creator of the outermost namespace below the initial one.
    pub(crate) safe fn map_current_user() -> uid_t;

    /// Returns whether the current process has CAP_SYS_RESOURCE.
    pub(crate) safe fn map_capable_resource() -> bool;

    /// Returns the seconds since boot.
    pub(crate) safe fn map_seconds() -> u64;

    /// Registers `vetoes` to be called before memory goes online.
    pub(crate) safe fn map_watch_memory(vetoes: extern "C" fn(u64, u64) -> bool) -> c_int;

    /// Undoes [`map_watch_memory()`].
    pub(crate) safe fn map_unwatch_memory();

    /// Creates the files in debugfs. `show` writes their contents.
    pub(crate) safe fn map_debug_create(show: unsafe extern "C" fn(*mut seq_file, c_uint));

    /// Removes the files in debugfs.
    pub(crate) safe fn map_debug_remove();

    /// Registers `has_windows` to be called when the device tree has changed and describes windows.
    pub(crate) safe fn map_watch_of(has_windows: extern "C" fn()) -> c_int;

    /// Undoes [`map_watch_of()`].
    pub(crate) safe fn map_unwatch_of();

    /// Returns whether the device tree has an enabled node whose children are windows.
    pub(crate) safe fn map_of_has_windows() -> bool;

    /// Registers what other modules call. `add` must write at most `room` bytes.
    pub(super) safe fn map_offer_windows(
        add: unsafe extern "C" fn(*const c_char, usize, *mut c_char, usize) -> c_int,
        remove: extern "C" fn(c_uint),
    );

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
    fn map_of_interrupts_extended(node: *const fwnode_handle) -> c_int;
    fn map_of_interrupt_cells(node: *const fwnode_handle, cells: *mut u32) -> bool;
    fn map_of_interrupt(node: *const fwnode_handle, index: c_uint) -> c_int;
    fn map_irq_depend(device: *mut device, number: c_uint) -> c_int;
}

/// What [`map_wait_sleep()`] returns if its time is over, as in `shim.h`.
pub(super) const TIMED_OUT: c_int = 1;

/// The flag of `file_operations` of this name, a macro with a cast; `shim.c` compares it.
pub(super) const FOP_UNSIGNED_OFFSET: kernel::bindings::fop_flags_t = 1 << 5;

/// The flag of a file's mode of this name, as above.
pub(super) const FMODE_NOWAIT: kernel::bindings::fmode_t = 1 << 27;

const COMM_LENGTH: usize = kernel::bindings::TASK_COMM_LEN as usize;

/// The name of a process, terminated by a NUL.
pub(crate) struct Comm([u8; COMM_LENGTH]);

impl Comm {
    /// Returns the name of the current process.
    pub(crate) fn current() -> Self {
        let mut name = [0; COMM_LENGTH];
        // SAFETY: The array has the length that the function fills.
        unsafe { map_current_comm(&mut name) };
        Self(name)
    }

    /// Returns the name as a C string.
    pub(crate) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}

/// Returns THIS_MODULE.
pub(crate) const fn this_module() -> *mut module {
    (&raw const __this_module).cast_mut()
}

/// Returns the text of the parameter `windows`, if it was given.
pub(crate) fn windows() -> Option<&'static [u8]> {
    let mut length = 0;
    // SAFETY: `length` is writable.
    let text = unsafe { map_windows(&mut length) };
    if text.is_null() {
        return None;
    }
    // SAFETY: The text has this length, and it exists unchanged as long as the module.
    Some(unsafe { core::slice::from_raw_parts(text.cast(), length) })
}

/// The bits of [`caller()`], as in `shim.h`.
pub(crate) const CALLER_READABLE: u32 = 1;
pub(crate) const CALLER_WRITABLE: u32 = 2;
pub(crate) const CALLER_READ_IMPLIES_EXEC: u32 = 4;

/// Returns the access mode of `file`, and how the current process would map it.
pub(crate) fn caller(file: &File) -> u32 {
    // SAFETY: The file is open as long as the reference lives, and keeps its mount alive.
    unsafe { map_caller(file.as_ptr()) }
}

/// Returns whether `vma` has VM_MAYSHARE.
pub(crate) fn is_shared(vma: &VmaNew) -> bool {
    // SAFETY: The VMA is being set up, so nothing else changes its flags.
    unsafe { map_is_shared(vma.as_ptr()) }
}

/// Clears VM_EXEC and VM_MAYEXEC of `vma`.
pub(crate) fn clear_exec(vma: &VmaNew) {
    // SAFETY: The VMA is being set up, so nothing else reads its flags.
    unsafe { map_clear_exec(vma.as_ptr()) };
}

/// Unmaps all pages of `vma`, which must be a PFN mapping.
pub(crate) fn zap(vma: &VmaNew) {
    // SAFETY: The VMA is being set up, with mmap_lock held for writing.
    unsafe { map_zap(vma.as_ptr()) };
}

/// Marks `vma` as a PFN mapping.
pub(crate) fn set_pfn_map(vma: &VmaNew) {
    // SAFETY: The VMA is being set up, so nothing else reads its flags.
    unsafe { map_set_pfn_map(vma.as_ptr()) };
}

/// Returns start and length of the region with `index`, counted from 0, among the nodes of
/// `/reserved-memory` that the kernel neither maps nor uses.
pub(crate) fn reserved_region(index: u32) -> Option<(u64, u64)> {
    let (mut start, mut length) = (0, 0);
    // SAFETY: The two numbers are writable.
    let found = unsafe { map_of_reserved(index, &mut start, &mut length) };
    found.then_some((start, length))
}

/// Returns the bytes of the property `name`, if `node` has it.
///
/// The functions of the `kernel` crate for this return a `KVec`, which can panic.
pub(crate) fn property<'a>(node: &'a FwNode, name: &CStr) -> Option<&'a [u8]> {
    let (mut value, mut length) = (core::ptr::null(), 0);
    // SAFETY: The reference keeps the node alive, the name is a C string, and the other two are
    // writable.
    let found = unsafe { map_of_property(raw(node), name.as_char_ptr(), &mut value, &mut length) };
    match length {
        _ if !found => None,
        // The pointer may be null if the value is empty.
        0 => Some(&[]),
        // SAFETY: The value has this length, and it exists unchanged as long as the node.
        _ => Some(unsafe { core::slice::from_raw_parts(value.cast(), length) }),
    }
}

/// The regions that a property refers to.
pub(crate) enum Regions {
    /// No region known to the kernel.
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

/// Resolves the property `memory-region` of `node`. Also returns whether the nodes involved are
/// unchanged since boot.
pub(crate) fn memory_region(node: &FwNode) -> (Regions, bool) {
    let (mut start, mut length, mut of_boot) = (0, 0, false);
    // SAFETY: The reference keeps the node alive, and the two numbers and the flag are writable.
    let count = unsafe { map_of_memory_region(raw(node), &mut start, &mut length, &mut of_boot) };
    (regions(count, start, length), of_boot)
}

/// Resolves the property `reg` of `node`, which must have it.
pub(crate) fn reg(node: &FwNode) -> Regions {
    let (mut start, mut length) = (0, 0);
    // SAFETY: The reference keeps the node alive, and the two numbers are writable.
    let count = unsafe { map_of_reg(raw(node), &mut start, &mut length) };
    regions(count, start, length)
}

/// Returns the number of interrupts in the property `interrupts-extended` of `node`; `None` if one
/// of them is not valid.
pub(crate) fn interrupts_extended(node: &FwNode) -> Option<usize> {
    // SAFETY: The reference keeps the node alive.
    let count = unsafe { map_of_interrupts_extended(raw(node)) };
    usize::try_from(count).ok()
}

/// Returns the number of cells of an interrupt in the property `interrupts` of `node`; `None` if it
/// has no interrupt controller.
pub(crate) fn interrupt_cells(node: &FwNode) -> Option<u32> {
    let mut cells = 0;
    // SAFETY: The reference keeps the node alive, and the number is writable.
    let found = unsafe { map_of_interrupt_cells(raw(node), &mut cells) };
    found.then_some(cells)
}

/// Returns the kernel's number of the line of the interrupt with `index` of `node`.
///
/// # Errors
///
/// EPROBE_DEFER if the driver of its interrupt controller is not bound yet, ENXIO if there is no
/// such line, or no memory for it: the kernel does not tell which.
pub(crate) fn of_interrupt(node: &FwNode, index: usize) -> Result<u32> {
    let index = c_uint::try_from(index).map_err(|_| ENXIO)?;
    // SAFETY: The reference keeps the node alive.
    let number = unsafe { map_of_interrupt(raw(node), index) };
    match u32::try_from(number) {
        Ok(0) => Err(ENXIO),
        Ok(number) => Ok(number),
        Err(_) if number == EPROBE_DEFER.to_errno() => Err(EPROBE_DEFER),
        Err(_) => Err(ENXIO),
    }
}

/// Has `device`, which is being probed, unbound before the drivers that keep this interrupt line.
///
/// # Errors
///
/// EPROBE_DEFER if one of these drivers is being bound or unbound; another one if one of them
/// depends on `device`, or there is no memory.
pub(crate) fn depend_on_controllers(device: &Device, number: u32) -> Result {
    let device = core::ptr::from_ref(device).cast_mut().cast();
    // SAFETY: The reference keeps the device, and `Device` is a transparent wrapper of it.
    to_result(unsafe { map_irq_depend(device, number) })
}

/// Returns the C node; `FwNode` is a transparent wrapper of it.
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
