// SPDX-License-Identifier: GPL-2.0

//! The Rust side of `shim.c`.

use kernel::bindings::{
    pgprot_t,
    phys_addr_t,
    pid_t, //
};

// These are the declarations of `shim.h`, word for word. The functions are `safe` because none of them takes a pointer,
// keeps state that a caller could spoil, or asks for another context than that of a process.
unsafe extern "C" {
    /// Whether the current process has CAP_SYS_RAWIO.
    pub(crate) safe fn map_capable_rawio() -> bool;

    /// `prot` with caching taken away: every access reaches the memory, in program order.
    pub(crate) safe fn map_pgprot_noncached(prot: pgprot_t) -> pgprot_t;

    /// The highest physical address that fits into a page table entry.
    pub(crate) safe fn map_last_phys_addr() -> phys_addr_t;

    /// The process that is in the kernel now.
    pub(crate) safe fn map_current_pid() -> pid_t;

    /// Whether one more line about a refusal may go to the log now.
    pub(crate) safe fn map_may_log() -> bool;
}
