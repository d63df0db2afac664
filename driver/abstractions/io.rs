// SPDX-License-Identifier: GPL-2.0

//! Kernel mappings of physical memory.
//!
//! This does not use `kernel::io::mem`, which maps resources of devices, always uncached.
//!
//! C header: [`include/linux/io.h`](srctree/include/linux/io.h)

use core::ptr::NonNull;

use kernel::{
    ffi::c_void,
    prelude::*, //
};

pub(crate) use super::shim::map_barrier as barrier;
use super::{
    mm::PageProtection,
    shim, //
};

/// A kernel mapping of physical memory. Dropping this unmaps it.
///
/// # Invariants
///
/// `mapped` is a mapping of `length` bytes from the physical address `start` on that `map_io_map()`
/// made with `cache`.
pub(crate) struct IoMap {
    mapped: NonNull<c_void>,
    start: u64,
    length: usize,
    cache: u32,
}

impl IoMap {
    /// Maps the `length` bytes at the physical address `start` with a cache type of the ABI.
    ///
    /// # Errors
    ///
    /// ENOMEM if there is no memory, or if the memory is mapped with a conflicting cache type.
    pub(crate) fn new(start: u64, length: usize, cache: u32) -> Result<Self> {
        // SAFETY: The function has no requirements but a context that may sleep.
        let mapped = NonNull::new(unsafe { shim::map_io_map(start, length, cache) });
        // INVARIANT: It was just made.
        let mapped = mapped.ok_or(ENOMEM)?;
        Ok(Self {
            mapped,
            start,
            length,
            cache,
        })
    }

    /// Returns whether it begins with a huge page.
    pub(crate) fn is_huge(&self) -> bool {
        // SAFETY: By the type's invariant.
        unsafe { shim::map_io_is_huge(self.mapped.as_ptr()) }
    }

    /// Returns whether it has the cache type of `wanted`, rather than one that the kernel prefers
    /// because the memory is mapped elsewhere.
    pub(crate) fn has_cache_type_of(&self, wanted: PageProtection) -> bool {
        // SAFETY: By the type's invariant.
        unsafe { shim::map_io_has_cache(self.mapped.as_ptr(), wanted.raw()) }
    }

    /// Returns whether it has the cache type that it was asked for.
    pub(crate) fn has_its_cache_type(&self) -> bool {
        // SAFETY: By the type's invariant.
        unsafe { shim::map_io_is(self.mapped.as_ptr(), self.cache) }
    }

    /// Loads the bytes from `offset` on. Bytes beyond the end are left as they are.
    pub(crate) fn read(&self, offset: usize, bytes: &mut [u8]) {
        let Some(length) = self.part(offset, bytes.len()) else {
            return;
        };
        // SAFETY: Both have so many bytes.
        unsafe {
            shim::map_io_read(
                bytes.as_mut_ptr().cast(),
                self.mapped.as_ptr().byte_add(offset),
                length,
            );
        }
    }

    /// Stores the bytes from `offset` on. Bytes beyond the end are not stored.
    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) {
        let Some(length) = self.part(offset, bytes.len()) else {
            return;
        };
        // SAFETY: Both have so many bytes.
        unsafe {
            shim::map_io_write(
                self.mapped.as_ptr().byte_add(offset),
                bytes.as_ptr().cast(),
                length,
            );
        }
    }

    /// Returns how many of the `length` bytes at `offset` lie in the mapping.
    fn part(&self, offset: usize, length: usize) -> Option<usize> {
        Some(length.min(self.length.checked_sub(offset)?))
    }
}

impl Drop for IoMap {
    fn drop(&mut self) {
        // SAFETY: By the type's invariant.
        unsafe { shim::map_io_unmap(self.mapped.as_ptr(), self.start, self.length, self.cache) };
    }
}

// SAFETY: A mapping of the kernel is the same for every thread.
unsafe impl Send for IoMap {}
// SAFETY: Concurrent accesses to device memory are defined: each is made by the processor as it is
// written in C.
unsafe impl Sync for IoMap {}
