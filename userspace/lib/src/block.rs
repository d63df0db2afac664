// SPDX-License-Identifier: MIT OR Apache-2.0

//! Register blocks as structures of the crate `safe-mmio`.

#![allow(unsafe_code)]

use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;

use safe_mmio::UniqueMmioPointer;

use crate::raw::Fault;
use crate::{Mapping, Operation, Result};

/// A part of a mapping as a structure of registers, whose fields have the types of
/// [`safe_mmio::fields`]: what may be loaded or stored there, and what a load changes.
///
/// It keeps the memory mapped, so it can live in a structure. Its values have the byte order of this processor, whatever
/// [`with_endian`](Mapping::with_endian) says. Two blocks of the same memory, in this process or another, are to each other
/// as the device is: each sees what the other stores.
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
/// let mut timer = Device::open(path)?.map_all()?.block::<Timer>(0x100)?;
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
        // SAFETY: The pointer is aligned and valid for loads and stores as long as `self` keeps the mapping, and the
        // exclusive borrow makes it the only one of this block. Whatever else reaches the memory makes no references
        // to it, and single accesses, as devices do.
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
    /// let channel = Device::window("dma")?.map_all()?.block::<Channel>(0x100)?;
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn block<T>(&self, offset: usize) -> Result<Block<T>> {
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
