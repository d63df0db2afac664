// SPDX-License-Identifier: MIT OR Apache-2.0

//! Register blocks as structures of the crate `safe-mmio`.
//!
//! # Why the unsafe code here is sound
//!
//! `safe-mmio` makes an access of the size of a field, whatever the field's alignment is, and takes its pointer for the
//! only one to the memory. Neither can be checked here, so [`Mapping::block`] is unsafe, and its callers promise both.
//! What can be checked, is: that the block lies within the mapping, is aligned and can be written.

#![allow(unsafe_code, reason = "safe-mmio wants a pointer that its caller vouches for")]

use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;

use safe_mmio::UniqueMmioPointer;

use crate::raw::Fault;
use crate::{Mapping, Operation, Result};

/// A part of a mapping as a structure of registers, whose fields have the types of
/// [`safe_mmio::fields`]: what may be loaded or stored there, and what a load changes.
///
/// It keeps the memory mapped, so it can live in a structure. Its values have the byte order of this processor,
/// whatever [`with_endian`](Mapping::with_endian) says. [`Mapping::block`] makes it, which is unsafe: what its callers
/// promise holds as long as the block lives.
///
/// # Examples
///
/// ```
/// use devmap::Device;
/// use safe_mmio::fields::{ReadOnly, ReadPureWrite, WriteOnly};
/// use safe_mmio::field;
///
/// #[repr(C)]
/// struct Timer {
///     control: ReadPureWrite<u32>,
///     count: ReadOnly<u32>,
///     acknowledge: WriteOnly<u32>,
/// }
///
/// # let file = tempfile::NamedTempFile::new()?;
/// # file.as_file().set_len(0x1000)?;
/// # let path = file.path();
/// let mapping = Device::open(path)?.map_all()?;
/// // SAFETY: Each field is an aligned u32, and nothing else in this process accesses the timer.
/// let mut timer = unsafe { mapping.block::<Timer>(0x100) }?;
/// let mut registers = timer.registers();
/// field!(registers, control).write(1);
/// let count = field!(registers, count).read();
/// field!(registers, acknowledge).write(count);
/// # assert_eq!(count, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Block<T> {
    /// What keeps it mapped.
    mapping: Mapping,
    /// Aligned, and all of the mapping, which can be written.
    registers: NonNull<T>,
    structure: PhantomData<T>,
}

// SAFETY: The mapping can be sent, and `registers` points into it.
unsafe impl<T: Send> Send for Block<T> {}

// SAFETY: A shared block gives nothing but the mapping, which can be shared.
unsafe impl<T> Sync for Block<T> {}

impl<T> Block<T> {
    /// The registers, to load and store.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use safe_mmio::{field, fields::ReadPureWrite};
    /// # struct Timer { control: ReadPureWrite<u32> }
    /// # let mut timer: devmap::Block<Timer> = panic!();
    /// let mut registers = timer.registers();
    /// field!(registers, control).write(1);
    /// ```
    pub fn registers(&mut self) -> UniqueMmioPointer<'_, T> {
        // SAFETY: The pointer is aligned and valid for volatile loads and stores as long as `self` keeps the mapping.
        // The exclusive borrow makes it the only one of this block. Whoever has made the block has promised that the
        // fields are single accesses, and that nothing else in this process accesses the memory meanwhile.
        unsafe { UniqueMmioPointer::new(self.registers) }
    }

    /// The bytes of the block, as a mapping.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # let timer: devmap::Block<u32> = panic!();
    /// println!("{}", timer.mapping().range());
    /// ```
    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }
}

impl<T> fmt::Debug for Block<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block").field("mapping", &self.mapping).finish_non_exhaustive()
    }
}

impl Mapping {
    /// The registers at `offset`, as a structure of `safe-mmio` that is as long as `T`.
    ///
    /// # Safety
    ///
    /// * Every field of `T` that is accessed is one access of the processor: it has 1, 2 or 4 bytes, or 8 on a processor of
    ///   64 bits, and its offset in `T` is a multiple of its size. `safe-mmio` chooses the access by the size alone: a
    ///   `ReadWrite<[u8; 4]>`, whose alignment is 1, may only be where a `ReadWrite<u32>` could be.
    /// * The fields may be loaded and stored as their types say, and every value that they may have is one of the type in
    ///   them.
    /// * While the pointer that [`registers`](Block::registers) returns, or one made of it, is used, nothing else in this
    ///   process accesses the same memory: no other block, mapping, register, cursor or bulk operation, and no reference.
    /// * The memory is mapped as device memory, which uncached windows and UIO devices usually are; or it is at least no
    ///   memory that the compiler knows, as no mapping of this crate is, such as a file that plays the device in a test.
    ///
    /// [`register`](Self::register) and [`owned_register`](Self::owned_register) are safe, and need none of these.
    ///
    /// # Errors
    ///
    /// As for [`slice`](Self::slice), [`Error::Misaligned`](crate::Error::Misaligned) if the address is no multiple of
    /// the alignment of `T`, and [`Error::ReadOnly`](crate::Error::ReadOnly).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use devmap::Device;
    /// use safe_mmio::fields::{ReadOnly, ReadWrite};
    ///
    /// #[repr(C)]
    /// struct Channel {
    ///     control: ReadWrite<u32>,
    ///     status: ReadOnly<u32>,
    /// }
    ///
    /// let dma = Device::window("dma")?.map_all()?;
    /// // SAFETY: Each field is an aligned u32, and the program accesses this channel by nothing else.
    /// let channel = unsafe { dma.block::<Channel>(0x100) }?;
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub unsafe fn block<T>(&self, offset: usize) -> Result<Block<T>> {
        let mapping = self.slice(offset..offset.saturating_add(size_of::<T>()))?;
        let error = |fault, width| Err(self.error(fault, Operation::Access, offset, width));
        let registers = match NonNull::new(mapping.as_ptr().cast::<T>()) {
            Some(registers) if registers.is_aligned() => registers,
            _ => return error(Fault::Misaligned, align_of::<T>()),
        };
        if !self.is_writable() {
            return error(Fault::ReadOnly, size_of::<T>());
        }
        Ok(Block { mapping, registers, structure: PhantomData })
    }
}

#[cfg(test)]
mod tests {
    use safe_mmio::field;
    use safe_mmio::fields::ReadWrite;

    use super::*;
    use crate::{Device, Error};

    #[repr(C)]
    struct Pair {
        first: ReadWrite<u32>,
        second: ReadWrite<u32>,
    }

    #[test]
    #[cfg_attr(all(miri, target_arch = "aarch64"), ignore = "there the accesses of safe-mmio are assembly")]
    fn a_block_lies_within_its_mapping_and_is_aligned() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(0x10).unwrap();
        let mapping = Device::open(file.path()).unwrap().map_all().unwrap();
        // SAFETY: Both fields are aligned values of 4 bytes, and no two blocks are used at once.
        let block = |mapping: &Mapping, offset| unsafe { mapping.block::<Pair>(offset) };
        assert!(matches!(block(&mapping, 0xc), Err(Error::OutOfBounds { .. })));
        assert!(matches!(block(&mapping, usize::MAX), Err(Error::OutOfBounds { .. })));
        assert!(matches!(block(&mapping, 2), Err(Error::Misaligned { width: 4, .. })));
        let read_only = Device::open_read_only(file.path()).unwrap().map_all().unwrap();
        assert!(matches!(block(&read_only, 0), Err(Error::ReadOnly { .. })));
        let mut last = block(&mapping, 8).unwrap();
        let mut registers = last.registers();
        field!(registers, second).write(5);
        assert_eq!(field!(registers, first).read(), 0);
        assert_eq!((last.mapping().len(), mapping.read::<u32>(0xc).unwrap()), (8, 5));
    }
}
