// SPDX-License-Identifier: MIT OR Apache-2.0

//! mmap(2) and related system calls, with any arguments.

use std::{
    ffi::c_void,
    fs::File,
    num::NonZeroUsize,
    ops::Range,
    os::fd::{AsRawFd, RawFd},
    ptr::NonNull,
};

use devmap::page;
use nix::{
    errno::Errno,
    libc,
    sys::mman::{mprotect, munmap, MapFlags, ProtFlags},
};

use crate::host::PAGE;

/// The offset of the last page that mmap(2) can name. Programs of 32 bits pass its number in 32 bits.
pub const LAST_PAGE: u64 =
    if cfg!(target_pointer_width = "64") { u64::MAX - (PAGE - 1) } else { (u32::MAX as u64) * PAGE };

/// Read and write, the protection of most mappings here.
pub const READ_WRITE: ProtFlags = ProtFlags::PROT_READ.union(ProtFlags::PROT_WRITE);

/// A mapping; unmapped when dropped.
pub struct Vma {
    address: NonNull<c_void>,
    /// In bytes, as requested.
    length: usize,
}

impl Vma {
    /// Maps `length` bytes of `file` from `offset` on, with any arguments.
    pub fn map(file: &File, offset: u64, length: usize, protection: ProtFlags, flags: MapFlags) -> Result<Self, Errno> {
        Self::map_at(0, file.as_raw_fd(), offset, length, protection, flags)
    }

    /// A shared mapping to read and write with a gap behind it, in which an access is always a SIGSEGV.
    pub fn shared_with_gap(file: &File, offset: u64, length: usize) -> Result<Self, Errno> {
        // A reservation, whose beginning the mapping replaces. The rest stays, without access.
        let gap = std::mem::ManuallyDrop::new(Self::reserve(length + (64 << 10))?);
        let flags = MapFlags::MAP_SHARED | MapFlags::MAP_FIXED;
        Self::map_at(gap.address(), file.as_raw_fd(), offset, length, READ_WRITE, flags)
    }

    /// mmap(2) itself. With MAP_FIXED, `place` must be in a mapping that the caller has, or at no usable address at
    /// all.
    pub fn map_at(
        place: usize,
        file: RawFd,
        offset: u64,
        length: usize,
        protection: ProtFlags,
        flags: MapFlags,
    ) -> Result<Self, Errno> {
        // nix requires a length other than 0, which the tests also use.
        // SAFETY: a new mapping affects no memory of Rust; with MAP_FIXED it replaces a reservation.
        let address = unsafe {
            libc::mmap64(place as *mut c_void, length, protection.bits(), flags.bits(), file, offset as libc::off64_t)
        };
        match NonNull::new(address) {
            Some(address) if address.as_ptr() != libc::MAP_FAILED => Ok(Self { address, length }),
            _ => Err(Errno::last()),
        }
    }

    /// A mapping that was made elsewhere; `None` if there is none.
    ///
    /// # Safety
    ///
    /// The `length` bytes at `address` are a mapping that nothing else unmaps, and that has no references.
    #[cfg(target_arch = "arm")]
    pub unsafe fn owned(address: *mut c_void, length: usize) -> Option<Self> {
        Some(Self { address: NonNull::new(address)?, length })
    }

    /// A shared mapping to read and write.
    pub fn shared(file: &File, offset: u64, length: usize) -> Result<Self, Errno> {
        Self::map(file, offset, length, READ_WRITE, MapFlags::MAP_SHARED)
    }

    /// Its address in this process.
    pub fn address(&self) -> usize {
        self.address.as_ptr() as usize
    }

    /// Changes the protection.
    pub fn protect(&self, protection: ProtFlags) -> Result<(), Errno> {
        // SAFETY: no reference to the mapping exists.
        unsafe { mprotect(self.address, self.length, protection) }
    }

    /// Unmaps the bytes of `range`.
    pub fn unmap(&self, range: Range<usize>) -> Result<(), Errno> {
        let Some(length) = NonZeroUsize::new(range.len()) else { return Err(Errno::EINVAL) };
        let start = self.address.as_ptr().wrapping_byte_add(range.start);
        let start = NonNull::new(start).ok_or(Errno::EINVAL)?;
        // SAFETY: the range lies within the mapping, up to its rounded end; no reference to it exists.
        unsafe { munmap(start, length.get()) }
    }

    /// mremap(2): the new length, and where the mapping should go.
    fn remapped(&self, length: usize, to: Option<&Vma>) -> Result<NonNull<c_void>, Errno> {
        let mut flags = libc::MREMAP_MAYMOVE;
        let mut target = std::ptr::null_mut();
        if let Some(to) = to {
            flags |= libc::MREMAP_FIXED;
            target = to.address.as_ptr();
        }
        // SAFETY: no reference to either mapping exists.
        let address = unsafe { libc::mremap(self.address.as_ptr(), self.length, length, flags, target) };
        match NonNull::new(address) {
            Some(address) if address.as_ptr() != libc::MAP_FAILED => Ok(address),
            _ => Err(Errno::last()),
        }
    }

    /// Changes its length; the address may change.
    pub fn resize(&mut self, length: usize) -> Result<(), Errno> {
        self.address = self.remapped(length, None)?;
        self.length = length;
        Ok(())
    }

    /// Moves it to the address of `place`, which it replaces.
    pub fn move_to(self, place: Vma) -> Result<Vma, Errno> {
        self.remapped(place.length, Some(&place))?;
        // The mapping at `place` is replaced, and the old address of this one is unmapped.
        std::mem::forget(self);
        Ok(place)
    }

    /// Reserves addresses, without access.
    pub fn reserve(length: usize) -> Result<Self, Errno> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping affects no memory of Rust.
        let address = unsafe { libc::mmap64(std::ptr::null_mut(), length, libc::PROT_NONE, flags, -1, 0) };
        match NonNull::new(address) {
            Some(address) if address.as_ptr() != libc::MAP_FAILED => Ok(Self { address, length }),
            _ => Err(Errno::last()),
        }
    }

    /// Reserves addresses from `address` on, where this process has nothing but a reservation.
    pub fn reserve_at(address: usize, length: usize) -> Result<Self, Errno> {
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_ANONYMOUS | MapFlags::MAP_FIXED;
        Self::map_at(address, -1, 0, length, ProtFlags::PROT_NONE, flags)
    }

    /// madvise(2), with any advice.
    pub fn advise(&self, advice: i32) -> Result<(), Errno> {
        // SAFETY: no reference to the mapping exists.
        Errno::result(unsafe { libc::madvise(self.address.as_ptr(), self.length, advice) }).map(drop)
    }

    /// Loads the byte at `offset`; a fault kills this process.
    pub fn load(&self, offset: usize) -> u8 {
        // SAFETY: a load that faults ends the process, as the caller expects.
        unsafe { self.address.cast::<u8>().as_ptr().wrapping_add(offset).read_volatile() }
    }

    /// Loads the 32 bits at `offset`, as devices want it that answer no narrower access; a fault kills this process.
    pub fn load_word(&self, offset: usize) -> u32 {
        let source = self.address.cast::<u8>().as_ptr().wrapping_add(offset).cast::<u32>();
        // SAFETY: as for `load`; callers give multiples of four, and the mapping is aligned.
        unsafe { source.read_volatile() }
    }

    /// Stores a byte at `offset`; a fault kills this process.
    pub fn store(&self, offset: usize, value: u8) {
        // SAFETY: as for `load`; Rust does not use the memory.
        unsafe { self.address.cast::<u8>().as_ptr().wrapping_add(offset).write_volatile(value) }
    }

    /// Stores four bytes at any `offset` by one instruction; a fault kills this process.
    #[cfg(target_arch = "arm")]
    pub fn store_unaligned(&self, offset: usize, value: u32) {
        let target = self.address.cast::<u8>().as_ptr().wrapping_add(offset);
        // SAFETY: as for `store`; the caller passes an offset with four bytes behind it.
        unsafe { std::arch::asm!("str {value}, [{target}]", value = in(reg) value, target = in(reg) target) };
    }

    /// Stores a word at `offset`, as registers want it; a fault kills this process.
    pub fn store_word(&self, offset: usize, value: u32) {
        // SAFETY: as for `store`; the caller passes a multiple of 4.
        unsafe { self.address.cast::<u8>().as_ptr().wrapping_add(offset).cast::<u32>().write_volatile(value) }
    }
}

impl Drop for Vma {
    fn drop(&mut self) {
        let _ = self.unmap(0..self.length);
    }
}

// SAFETY: the memory is reached only by volatile accesses and system calls, and Rust does not use it.
unsafe impl Sync for Vma {}

/// Lets read(2) of /dev/zero store into memory: EFAULT where there is none. The range must belong to a [`Vma`], or be
/// unused.
pub fn zero_at(zeros: &File, address: usize, length: usize) -> Result<(), Errno> {
    // SAFETY: by the contract no reference to the memory exists.
    Errno::result(unsafe { libc::read(zeros.as_raw_fd(), address as *mut c_void, length) }).map(drop)
}

/// munmap(2) with any arguments. The range must belong to a [`Vma`], or be unused.
pub fn unmap_at(address: usize, length: usize) -> Result<(), Errno> {
    // SAFETY: by the contract no reference to the memory exists.
    Errno::result(unsafe { libc::munmap(address as *mut c_void, length) }).map(drop)
}

/// mprotect(2) with any arguments. The range must belong to a [`Vma`].
pub fn protect_at(address: usize, length: usize, protection: ProtFlags) -> Result<(), Errno> {
    // SAFETY: by the contract no reference to the memory exists.
    Errno::result(unsafe { libc::mprotect(address as *mut c_void, length, protection.bits()) }).map(drop)
}

/// msync(2) with any arguments.
pub fn sync_at(address: usize, length: usize, flags: i32) -> Result<(), Errno> {
    // SAFETY: it changes nothing in memory.
    Errno::result(unsafe { libc::msync(address as *mut c_void, length, flags) }).map(drop)
}

/// mlock(2) with any arguments.
pub fn lock_at(address: usize, length: usize) -> Result<(), Errno> {
    // SAFETY: it changes nothing in memory.
    Errno::result(unsafe { libc::mlock(address as *const c_void, length) }).map(drop)
}

/// mincore(2) with any arguments, of up to 16 pages: whether each is in memory.
pub fn resident_at(address: usize, length: usize) -> Result<[bool; 16], Errno> {
    let mut pages = [0; 16];
    assert!(length <= pages.len() * page::system().bytes() as usize, "there is no room for the answer");
    // SAFETY: the answer has a byte for each page, and there is room for them.
    Errno::result(unsafe { libc::mincore(address as *mut c_void, length, pages.as_mut_ptr()) })?;
    // The other bits are undefined.
    Ok(pages.map(|page| page & 1 != 0))
}
