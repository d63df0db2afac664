// SPDX-License-Identifier: MIT OR Apache-2.0

//! System calls as a program of 32 bits makes them. On x86_64 every program can: what decides is how it enters the
//! kernel.

use std::{
    ffi::c_void,
    num::NonZeroUsize,
    ops::{Deref, DerefMut},
    ptr::NonNull,
};

use anyhow::{Context, Result};
use nix::{
    libc::{self, c_long},
    sys::mman::{mmap_anonymous, munmap, MapFlags, ProtFlags},
};

use crate::{host::PAGE, raw};

/// The result of a call that cannot be made so, which a correct sequence does not have. No error number is so large.
const TOO_WIDE: i64 = -1_000_001;

#[cfg(target_arch = "x86_64")]
const LOW: MapFlags = MapFlags::MAP_32BIT;
#[cfg(not(target_arch = "x86_64"))]
const LOW: MapFlags = MapFlags::empty();

/// Memory whose addresses have 32 bits.
pub struct Memory {
    address: NonNull<c_void>,
    length: usize,
}

// SAFETY: it owns its bytes, which are no thread's own.
unsafe impl Send for Memory {}

impl Memory {
    /// So many bytes.
    pub fn new(length: usize) -> Result<Self> {
        let pages = NonZeroUsize::new(length).context("no memory")?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping affects no memory of Rust.
        let address = unsafe { mmap_anonymous(None, pages, access, MapFlags::MAP_PRIVATE | LOW) };
        Ok(Self { address: address.context("no memory below 4 GiB")?, length })
    }

    /// Has a structure at its beginning while `with` works, which gets its address and may have the kernel change it.
    /// Gives the structure of afterwards.
    pub fn lend<T: Copy, R>(&mut self, structure: T, with: impl FnOnce(usize) -> R) -> (R, T) {
        assert!(size_of::<T>() <= self.length && PAGE as usize % align_of::<T>() == 0, "it does not fit");
        let place = self.address.cast::<T>();
        // SAFETY: it fits, a mapping begins with a page, and the memory is nobody else's.
        unsafe { place.write(structure) };
        let result = with(place.as_ptr() as usize);
        // SAFETY: as above. By the contract of system calls the kernel leaves a structure.
        (result, unsafe { place.read() })
    }
}

impl Deref for Memory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: so much is mapped, and nobody else's.
        unsafe { std::slice::from_raw_parts(self.address.as_ptr().cast(), self.length) }
    }
}

impl DerefMut for Memory {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.address.as_ptr().cast(), self.length) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: it was mapped when it was made, and nothing refers to it any more. What stays mapped is lost, and
        // harmless.
        let _ = unsafe { munmap(self.address, self.length) };
    }
}

/// A system call, as a program of 32 bits makes it with `narrow`. Number and arguments are those of 64 bits, and result
/// and conditions those of [`raw::call`].
pub fn call(narrow: bool, number: c_long, arguments: [usize; 6]) -> i64 {
    if !narrow {
        return raw::call(number, arguments);
    }
    let [a, b, c, mut d, mut e, mut f] = arguments;
    let number = match number {
        libc::SYS_read => 3,
        libc::SYS_write => 4,
        libc::SYS_close => 6,
        libc::SYS_dup => 41,
        libc::SYS_ioctl => 54,
        libc::SYS_munmap => 91,
        libc::SYS_fsync => 118,
        libc::SYS_mprotect => 125,
        libc::SYS_msync => 144,
        libc::SYS_mlock => 150,
        libc::SYS_munlock => 151,
        libc::SYS_mremap => 163,
        libc::SYS_mincore => 218,
        libc::SYS_madvise => 219,
        libc::SYS_openat => 295,
        // mmap2, whose offset is in pages.
        libc::SYS_mmap if f % PAGE as usize == 0 => {
            f /= PAGE as usize;
            192
        }
        libc::SYS_pread64 | libc::SYS_pwrite64 | libc::SYS_preadv | libc::SYS_pwritev => {
            // The position in two halves.
            (d, e) = (d & 0xffff_ffff, d >> 32);
            match number {
                libc::SYS_pread64 => 180,
                libc::SYS_pwrite64 => 181,
                libc::SYS_preadv => 333,
                _ => 334,
            }
        }
        _ => return TOO_WIDE,
    };
    // A descriptor may be negative.
    let narrow =
        |argument: usize| u32::try_from(argument).or_else(|_| i32::try_from(argument as isize).map(|it| it as u32));
    match [a, b, c, d, e, f].map(narrow) {
        [Ok(a), Ok(b), Ok(c), Ok(d), Ok(e), Ok(f)] => raw::call_32(number, [a, b, c, d, e, f]),
        _ => TOO_WIDE,
    }
}
