// SPDX-License-Identifier: MIT OR Apache-2.0

//! Bounds-checked volatile memory.
//!
//! The rules that make it sound:
//!
//! * No reference to the memory ever exists. The compiler assumes that what a reference points to does not change by
//!   itself and that loading it has no effect. Neither holds here.
//! * The memory lies outside every Rust allocation: mmap(2) chose the addresses, and nothing else uses them. (For Miri the
//!   module `region` allocates it, and uses it only while there is no mapping.) It holds plain integers, for which every bit
//!   pattern is a value.
//! * Every access is one instruction, aligned to its size, within the bounds of the slice. Two threads may race for it
//!   just as two processors or a device may; each then sees a value that one of them stored. The compiler leaves
//!   volatile accesses to such memory to the machine, so the race is the machine's to decide.
//! * A store needs a mapping that was made for writing.
//! * Vectors are the exception to the second point; see the module `vector`.

#![allow(unsafe_code)]

use std::sync::Arc;

use crate::access::{Place, Places};
use crate::region::Region;
use crate::vector::{self, Memory, CHUNK};
use crate::Value;

/// Why an access does not take place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A byte of it lies outside the slice.
    OutOfBounds,
    /// Its address is not a multiple of its width.
    Misaligned,
    /// It stores, and the mapping is for reading only.
    ReadOnly,
    /// This processor has no access of its width.
    NoSuchWidth,
}

/// Some bytes of a mapping, which may begin and end within a page. Several can share the mapping, which the last of
/// them unmaps.
///
/// # Invariants
///
/// The `length` bytes from `start` on lie in `mmap`. `writable` is set only if it was mapped for writing.
#[derive(Clone, Debug)]
pub(crate) struct VolatileSlice {
    mmap: Arc<Region>,
    /// Not an offset, so that an access loads nothing else first.
    start: *mut u8,
    length: usize,
    writable: bool,
}

// SAFETY: The memory belongs to no thread, and `start` points into `mmap`, which threads can send and share.
unsafe impl Send for VolatileSlice {}

// SAFETY: As for `Send`; accesses need only a shared reference, by the rules above.
unsafe impl Sync for VolatileSlice {}

impl VolatileSlice {
    /// The `length` bytes of `mmap` from `skip` on; `None` if it has fewer.
    ///
    /// `writable` must be false for memory that was mapped for reading only: a store would end the process.
    pub(crate) fn new(mmap: Region, skip: usize, length: usize, writable: bool) -> Option<Self> {
        let end = skip.checked_add(length)?;
        let start = mmap.as_mut_ptr().wrapping_add(skip);
        // INVARIANT: the bound is checked here, and `writable` by the caller.
        (end <= mmap.len()).then(|| Self { mmap: Arc::new(mmap), start, length, writable })
    }

    /// The `length` of its bytes from `offset` on; `None` if it has fewer.
    pub(crate) fn slice(&self, offset: usize, length: usize) -> Option<Self> {
        let end = offset.checked_add(length)?;
        // INVARIANT: They lie in this one, and so in the mapping.
        (end <= self.length).then(|| Self { start: self.start.wrapping_add(offset), length, ..self.clone() })
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
        self.start
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

    /// The places of `count` values from `offset` on, checked once for all their accesses: for stores, too, if `stores`
    /// is set, and otherwise nothing may store there.
    pub(crate) fn places<T: Value>(&self, offset: usize, count: usize, stores: bool) -> Result<Places<'_, T>, Fault> {
        let first = if stores { self.locate_for_store(offset, count) } else { self.locate(offset, count) }?;
        // SAFETY: Bounds, alignment, width and permission were checked, and the lifetime is that of `self`.
        Ok(unsafe { Places::new(first, count) })
    }

    /// The place of the value at `offset`, checked in the same way.
    pub(crate) fn place<T: Value>(&self, offset: usize, stores: bool) -> Result<Place<'_, T>, Fault> {
        Ok(self.places(offset, 1, stores)?.get(0).expect("one place was checked"))
    }

    /// The same place, which keeps the memory mapped.
    pub(crate) fn owned_place<T: Value>(&self, offset: usize, stores: bool) -> Result<OwnedPlace<T>, Fault> {
        let place = self.place::<T>(offset, stores)?;
        // SAFETY: `memory` keeps the mapping for as long as anything can reach the place.
        let place = unsafe { place.extended() };
        Ok(OwnedPlace { place, memory: Arc::clone(&self.mmap) })
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

    /// Copies `length` bytes from `offset` on to `target`, from `target_offset` on, as values that are loaded and
    /// stored each once, in ascending order.
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

    /// The address of `count` values from `offset` on: within the slice, aligned, and of a width that is one access.
    #[inline]
    fn locate<T: Value>(&self, offset: usize, count: usize) -> Result<*mut T, Fault> {
        if !T::WIDTH.is_native() {
            return Err(Fault::NoSuchWidth);
        }
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

/// A place that keeps its memory mapped.
#[derive(Clone, Debug)]
pub(crate) struct OwnedPlace<T> {
    /// Never handed out with this lifetime, which is longer than that of the memory.
    place: Place<'static, T>,
    #[expect(dead_code, reason = "it is there to be dropped")]
    memory: Arc<Region>,
}

impl<T: Value> OwnedPlace<T> {
    /// The place, for as long as this is borrowed.
    #[inline]
    pub(crate) fn get(&self) -> Place<'_, T> {
        self.place
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
