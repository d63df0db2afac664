// SPDX-License-Identifier: MIT OR Apache-2.0

//! All unsafe code but the ioctls: bounds-checked volatile memory, and the instructions that access it.
//!
//! The rules that make it sound:
//!
//! * No reference to the memory ever exists. The compiler assumes that what a reference points to does not change by
//!   itself and that loading it has no effect. Neither holds here.
//! * The memory lies outside every Rust allocation: mmap(2) chose the addresses, and nothing but this file uses them.
//!   It holds plain integers, for which every bit pattern is a value.
//! * Every access is one instruction, aligned to its size, within the bounds of the slice. Two threads may race for it
//!   just as two processors or a device may; each then sees a value that one of them stored. The compiler leaves
//!   volatile accesses to such memory to the machine, so the race is the machine's to decide.
//! * A store needs a mapping that was made for writing.
//! * Vectors are the exception to the second point; see the module `vector`.

#![allow(unsafe_code)]

use std::fmt;
use std::marker::PhantomData;

use memmap2::MmapRaw;

use crate::vector::{self, Memory, CHUNK};
use crate::Value;

/// The instructions that move one value. Private to the crate, which seals [`Value`].
pub trait Access: Sized {
    /// The value as it lies in memory.
    type Bytes: AsRef<[u8]> + for<'a> TryFrom<&'a [u8], Error: fmt::Debug>;

    /// The bytes of the value, in the order of this processor.
    fn to_bytes(self) -> Self::Bytes;

    /// The value of these bytes, in the order of this processor.
    fn from_bytes(bytes: Self::Bytes) -> Self;

    /// Loads the value at `source` with one instruction.
    ///
    /// # Safety
    ///
    /// `source` must be aligned for the type and lie in a live mapping, outside of Rust's allocations.
    unsafe fn load(source: *const Self) -> Self;

    /// Stores `value` at `target` with one instruction.
    ///
    /// # Safety
    ///
    /// As for [`load`](Self::load); the mapping must be writable too.
    unsafe fn store(target: *mut Self, value: Self);
}

/// Implements [`Access`]. On arm64 the compiler may pair volatile accesses or give one an address that is written back.
/// A pair is not the access that was asked for, and a hypervisor can emulate neither, so there it is assembly.
macro_rules! access {
    ($type:ty, $load:literal, $store:literal, $register:literal) => {
        impl Access for $type {
            type Bytes = [u8; size_of::<Self>()];

            fn to_bytes(self) -> Self::Bytes {
                self.to_ne_bytes()
            }

            fn from_bytes(bytes: Self::Bytes) -> Self {
                Self::from_ne_bytes(bytes)
            }

            #[inline(always)]
            unsafe fn load(source: *const Self) -> Self {
                #[cfg(target_arch = "aarch64")]
                {
                    let value: Self;
                    // SAFETY: By the contract `source` can be loaded from. The instruction touches nothing else.
                    unsafe {
                        core::arch::asm!(
                            concat!($load, " {value:", $register, "}, [{source}]"),
                            value = out(reg) value,
                            source = in(reg) source,
                            // It changes no memory of the program, so what a loop asks of a mapping is asked once.
                            options(nostack, preserves_flags, readonly),
                        );
                    }
                    value
                }
                #[cfg(not(target_arch = "aarch64"))]
                // SAFETY: By the contract `source` can be loaded from.
                unsafe {
                    source.read_volatile()
                }
            }

            #[inline(always)]
            unsafe fn store(target: *mut Self, value: Self) {
                #[cfg(target_arch = "aarch64")]
                // SAFETY: By the contract `target` can be stored to. The instruction touches nothing else.
                unsafe {
                    core::arch::asm!(
                        concat!($store, " {value:", $register, "}, [{target}]"),
                        value = in(reg) value,
                        target = in(reg) target,
                        options(nostack, preserves_flags),
                    );
                }
                #[cfg(not(target_arch = "aarch64"))]
                // SAFETY: By the contract `target` can be stored to.
                unsafe {
                    target.write_volatile(value);
                }
            }
        }
    };
}

access!(u8, "ldrb", "strb", "w");
access!(u16, "ldrh", "strh", "w");
access!(u32, "ldr", "str", "w");
#[cfg(target_pointer_width = "64")]
access!(u64, "ldr", "str", "x");

/// Why an access does not take place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A byte of it lies outside the slice.
    OutOfBounds,
    /// Its address is not a multiple of its width.
    Misaligned,
    /// It stores, and the mapping is for reading only.
    ReadOnly,
}

/// The bytes of a mapping that the caller asked for, which may begin and end within a page.
///
/// # Invariants
///
/// `skip + length` is at most the length of `mmap`. `writable` is set only if `mmap` was mapped for writing.
#[derive(Debug)]
pub(crate) struct VolatileSlice {
    mmap: MmapRaw,
    skip: usize,
    length: usize,
    writable: bool,
}

impl VolatileSlice {
    /// The `length` bytes of `mmap` from `skip` on; `None` if it has fewer.
    ///
    /// `writable` must be false for memory that was mapped for reading only: a store would end the process.
    pub(crate) fn new(mmap: MmapRaw, skip: usize, length: usize, writable: bool) -> Option<Self> {
        let end = skip.checked_add(length)?;
        // INVARIANT: the bound is checked here, and `writable` by the caller.
        (end <= mmap.len()).then_some(Self { mmap, skip, length, writable })
    }

    /// How many bytes it has.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Whether stores are possible.
    pub(crate) fn writable(&self) -> bool {
        self.writable
    }

    /// The address of its first byte in this process.
    pub(crate) fn start(&self) -> *mut u8 {
        // By the invariant this stays within the mapping.
        self.mmap.as_mut_ptr().wrapping_add(self.skip)
    }

    /// Loads the value at `offset`.
    #[inline]
    pub(crate) fn load<T: Value>(&self, offset: usize) -> Result<T, Fault> {
        let source = self.locate::<T>(offset, 1)?;
        // SAFETY: `locate` has checked bounds and alignment, and the mapping lives as long as `self`.
        Ok(unsafe { T::load(source) })
    }

    /// Stores `value` at `offset`.
    #[inline]
    pub(crate) fn store<T: Value>(&self, offset: usize, value: T) -> Result<(), Fault> {
        let target = self.locate_for_store::<T>(offset, 1)?;
        // SAFETY: `locate_for_store` has checked bounds, alignment and that the mapping is writable; it lives as long
        // as `self`.
        unsafe { T::store(target, value) };
        Ok(())
    }

    /// The value at `offset`, checked once for all its accesses.
    pub(crate) fn get_ref<T: Value>(&self, offset: usize) -> Result<VolatileRef<'_, T>, Fault> {
        // INVARIANT: `locate_for_store` checks what the type promises, and the lifetime is that of `self`.
        Ok(VolatileRef { pointer: self.locate_for_store(offset, 1)?, slice: PhantomData })
    }

    /// Fills `bytes` with the values from `offset` on: loads each once, in ascending order.
    pub(crate) fn load_run<T: Value>(&self, offset: usize, bytes: &mut [u8]) -> Result<(), Fault> {
        let source = self.locate::<T>(offset, count_of::<T>(bytes.len())?)?;
        for (index, chunk) in bytes.chunks_exact_mut(size_of::<T>()).enumerate() {
            // SAFETY: `locate` has checked the bounds of the whole run and the alignment of its start.
            let value = unsafe { T::load(source.wrapping_add(index)) };
            chunk.copy_from_slice(value.to_bytes().as_ref());
        }
        Ok(())
    }

    /// Stores the values in `bytes` from `offset` on, each once, in ascending order.
    pub(crate) fn store_run<T: Value>(&self, offset: usize, bytes: &[u8]) -> Result<(), Fault> {
        let target = self.locate_for_store::<T>(offset, count_of::<T>(bytes.len())?)?;
        for (index, chunk) in bytes.chunks_exact(size_of::<T>()).enumerate() {
            let value = T::from_bytes(T::Bytes::try_from(chunk).expect("a chunk has the width it was cut with"));
            // SAFETY: `locate_for_store` has checked the bounds of the whole run, the alignment of its start, and that
            // the mapping is writable.
            unsafe { T::store(target.wrapping_add(index), value) };
        }
        Ok(())
    }

    /// Stores `value` over and over into `length` bytes from `offset` on, in ascending order.
    pub(crate) fn fill_run<T: Value>(&self, offset: usize, value: T, length: usize) -> Result<(), Fault> {
        let count = count_of::<T>(length)?;
        let target = self.locate_for_store::<T>(offset, count)?;
        let store = |index: usize| {
            // SAFETY: `locate_for_store` has checked the bounds of the whole run, the alignment of its start, and that
            // the mapping is writable. Every index is below `count`.
            unsafe { T::store(target.wrapping_add(index), value) };
        };
        // Several in a row: the compiler does not unroll a loop over assembly.
        const ROW: usize = 8;
        let rows = count / ROW;
        for row in 0..rows {
            (0..ROW).for_each(|index| store(row * ROW + index));
        }
        (rows * ROW..count).for_each(store);
        Ok(())
    }

    /// Copies `length` bytes from `offset` on to `target`, from `target_offset` on, as values that are loaded and stored
    /// each once, in ascending order.
    pub(crate) fn copy_run<T: Value>(
        &self,
        offset: usize,
        target: &Self,
        target_offset: usize,
        length: usize,
    ) -> Result<(), Fault> {
        let count = count_of::<T>(length)?;
        let source = self.locate::<T>(offset, count)?;
        let target = target.locate_for_store::<T>(target_offset, count)?;
        for index in 0..count {
            // SAFETY: `locate` has checked the bounds of the whole run and the alignment of its start.
            let value = unsafe { T::load(source.wrapping_add(index)) };
            // SAFETY: `locate_for_store` has checked the same, and that the target is writable.
            unsafe { T::store(target.wrapping_add(index), value) };
        }
        Ok(())
    }

    /// Fills `bytes` with what is there from `offset` on, by vector registers. Its length is a multiple of [`CHUNK`].
    pub(crate) fn load_vectors(&self, memory: Memory, offset: usize, bytes: &mut [u8]) -> Result<(), Fault> {
        let source = self.locate_chunks(offset, bytes.len())?;
        if !bytes.is_empty() {
            // SAFETY: `locate_chunks` has checked the bounds and the length, and a slice does not overlap a mapping.
            unsafe { vector::copy(source, memory, bytes.as_mut_ptr(), Memory::Cached, bytes.len()) };
        }
        Ok(())
    }

    /// Stores `bytes` from `offset` on, by vector registers. Their length is a multiple of [`CHUNK`].
    pub(crate) fn store_vectors(&self, memory: Memory, offset: usize, bytes: &[u8]) -> Result<(), Fault> {
        let target = self.locate_chunks_for_store(offset, bytes.len())?;
        if !bytes.is_empty() {
            // SAFETY: As for `load_vectors`, and the mapping is writable.
            unsafe { vector::copy(bytes.as_ptr(), Memory::Cached, target, memory, bytes.len()) };
        }
        Ok(())
    }

    /// Stores `pattern`, which repeats its first 16 bytes, over and over into `length` bytes from `offset` on, a
    /// multiple of [`CHUNK`], by vector registers.
    pub(crate) fn fill_vectors(
        &self,
        memory: Memory,
        offset: usize,
        pattern: &[u8; CHUNK],
        length: usize,
    ) -> Result<(), Fault> {
        let target = self.locate_chunks_for_store(offset, length)?;
        if length > 0 {
            // SAFETY: `locate_chunks_for_store` has checked the bounds, the length, and that the mapping is writable.
            unsafe { vector::fill(target, memory, pattern, length) };
        }
        Ok(())
    }

    /// Compares what is there from `offset` on with `bytes`, whose length is a multiple of [`CHUNK`], by vector
    /// registers. Returns how many bytes are equal, in whole chunks. If that is not all, the next chunk is in `found`.
    pub(crate) fn compare_vectors(
        &self,
        memory: Memory,
        offset: usize,
        bytes: &[u8],
        found: &mut [u8; CHUNK],
    ) -> Result<usize, Fault> {
        let source = self.locate_chunks(offset, bytes.len())?;
        if bytes.is_empty() {
            return Ok(0);
        }
        // SAFETY: `locate_chunks` has checked the bounds and the length.
        Ok(unsafe { vector::compare(source, memory, bytes.as_ptr(), bytes.len(), found) })
    }

    /// Copies `length` bytes, a multiple of [`CHUNK`], from `offset` on to `target_offset` of `target`, by vector
    /// registers and in ascending order: where both lie in the same memory, the target must not be above the source.
    pub(crate) fn copy_vectors(
        &self,
        memories: [Memory; 2],
        offset: usize,
        target: &Self,
        target_offset: usize,
        length: usize,
    ) -> Result<(), Fault> {
        let source = self.locate_chunks(offset, length)?;
        let target = target.locate_chunks_for_store(target_offset, length)?;
        if length > 0 {
            // SAFETY: Both have been checked. Where they overlap, the result depends on the order of the accesses, and
            // nothing else does: both are in mappings, of which the compiler knows nothing.
            unsafe { vector::copy(source, memories[0], target, memories[1], length) };
        }
        Ok(())
    }

    /// The address of `length` bytes from `offset` on, a multiple of [`CHUNK`].
    fn locate_chunks(&self, offset: usize, length: usize) -> Result<*mut u8, Fault> {
        check_chunks(length)?;
        self.locate(offset, length)
    }

    /// The same, all of them writable.
    fn locate_chunks_for_store(&self, offset: usize, length: usize) -> Result<*mut u8, Fault> {
        check_chunks(length)?;
        self.locate_for_store(offset, length)
    }

    /// The address of `count` values from `offset` on, all of them writable.
    #[inline]
    fn locate_for_store<T: Value>(&self, offset: usize, count: usize) -> Result<*mut T, Fault> {
        let target = self.locate(offset, count)?;
        if self.writable {
            Ok(target)
        } else {
            Err(Fault::ReadOnly)
        }
    }

    /// The address of `count` values from `offset` on: within the slice and aligned.
    #[inline]
    fn locate<T: Value>(&self, offset: usize, count: usize) -> Result<*mut T, Fault> {
        let end = count.checked_mul(size_of::<T>()).and_then(|length| offset.checked_add(length));
        if end.is_none_or(|end| end > self.length) {
            return Err(Fault::OutOfBounds);
        }
        // In bounds, so the address does not wrap.
        let address = self.start().wrapping_add(offset).cast::<T>();
        // The width itself, not `align_of`, which is smaller for u64 on some 32-bit processors.
        if address.addr() % size_of::<T>() == 0 {
            Ok(address)
        } else {
            Err(Fault::Misaligned)
        }
    }
}

/// Fails unless `length` bytes are whole chunks.
fn check_chunks(length: usize) -> Result<(), Fault> {
    if length % CHUNK == 0 {
        Ok(())
    } else {
        Err(Fault::Misaligned)
    }
}

/// How many whole values `length` bytes are.
fn count_of<T: Value>(length: usize) -> Result<usize, Fault> {
    if length % size_of::<T>() == 0 {
        Ok(length / size_of::<T>())
    } else {
        Err(Fault::Misaligned)
    }
}

/// One value in a [`VolatileSlice`].
///
/// # Invariants
///
/// `pointer` is aligned and lies in a mapping that is writable and lives for `'s`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VolatileRef<'s, T> {
    pointer: *mut T,
    slice: PhantomData<&'s VolatileSlice>,
}

// SAFETY: It can do no more than the `&VolatileSlice` it was made from, which threads can share.
unsafe impl<T: Value> Send for VolatileRef<'_, T> {}

// SAFETY: As for `Send`: its methods are those of a shared slice.
unsafe impl<T: Value> Sync for VolatileRef<'_, T> {}

impl<T: Value> VolatileRef<'_, T> {
    /// Loads the value.
    #[inline]
    pub(crate) fn load(self) -> T {
        // SAFETY: By the invariant of the type.
        unsafe { T::load(self.pointer) }
    }

    /// Stores a value.
    #[inline]
    pub(crate) fn store(self, value: T) {
        // SAFETY: By the invariant of the type.
        unsafe { T::store(self.pointer, value) }
    }
}

/// Orders the stores before it before the stores after it, for devices too.
#[inline]
pub(crate) fn store_barrier() {
    #[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
    // SAFETY: The instruction empties the write-combining buffers and changes nothing else.
    unsafe {
        core::arch::asm!("sfence", options(nostack, preserves_flags));
    }
    #[cfg(any(target_arch = "aarch64", target_arch = "arm"))]
    // SAFETY: The instruction waits for stores to complete, gathered ones too, and changes nothing else.
    unsafe {
        core::arch::asm!("dsb st", options(nostack, preserves_flags));
    }
    #[cfg(any(target_arch = "riscv64", target_arch = "riscv32"))]
    // SAFETY: The instruction orders stores to memory and to devices, and changes nothing else.
    unsafe {
        core::arch::asm!("fence ow, ow", options(nostack, preserves_flags));
    }
    // Everywhere: the compiler keeps the order too, and an architecture that is not listed gets its full barrier.
    std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
}
