// SPDX-License-Identifier: MIT OR Apache-2.0

//! Page arithmetic: which whole pages hold a range of bytes.

pub use map_core::{PageSize, Pages};
use nix::unistd::{sysconf, SysconfVar};

/// The page size of the running kernel, which is known only at run time.
///
/// ```
/// assert!(devmap::page::system().bytes() >= 0x1000);
/// ```
pub fn system() -> PageSize {
    sysconf(SysconfVar::PAGE_SIZE)
        .ok()
        .flatten()
        .and_then(|size| u64::try_from(size).ok())
        .and_then(PageSize::new)
        .expect("POSIX requires sysconf(_SC_PAGESIZE) to return the page size, and Linux has only powers of two")
}
