// SPDX-License-Identifier: MIT OR Apache-2.0

//! A range of physical memory in the address space of this process.

use memmap2::MmapRaw;

use crate::raw::{Fault, Window};
use crate::{Error, Operation, PhysRange, Result, Value, Width};

/// A range of physical memory, mapped shared into this process until it is dropped.
///
/// Offsets count bytes from the start of [`range`](Self::range), whatever page that lies in. Every access is one load
/// or store of exactly the width of its type, checked against the bounds and for alignment. There is no way to a
/// `&[u8]`: a reference would promise the compiler that the memory behaves like memory.
///
/// A mapping can be used from several threads. Single accesses are then whole, but nothing orders them between threads:
/// a protocol with a device wants a lock around it, as it would in any other language.
///
/// If the file behind a mapping of a regular file is made shorter, an access beyond its new end is a SIGBUS, which ends
/// the process. Device memory cannot shrink.
#[derive(Debug)]
pub struct Mapping {
    window: Window,
    range: PhysRange,
}

impl Mapping {
    /// Shows `range`, which starts at `skip` bytes into `memory`.
    pub(crate) fn new(
        memory: MmapRaw,
        skip: usize,
        range: PhysRange,
        writable: bool,
    ) -> Option<Self> {
        let length = usize::try_from(range.length()).ok()?;
        let window = Window::new(memory, skip, length, writable)?;
        Some(Self { window, range })
    }

    /// The physical addresses that it shows.
    pub fn range(&self) -> PhysRange {
        self.range
    }

    /// How many bytes it shows, at least 1: the length of the range as a number of this process's address space.
    #[expect(clippy::len_without_is_empty, reason = "there is no empty mapping")]
    pub fn len(&self) -> usize {
        self.window.length()
    }

    /// Whether it can be written.
    pub fn is_writable(&self) -> bool {
        self.window.writable()
    }

    /// Loads the value at `offset` bytes from the start, with one load of its width.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfBounds`] and [`Error::Misaligned`]; nothing was loaded then.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use devmap::{Device, PhysRange, DEFAULT_DEVICE};
    ///
    /// let registers = Device::open(DEFAULT_DEVICE)?.map(PhysRange::new(0xc000_0000, 0x100).unwrap())?;
    /// let status = registers.read::<u32>(0x10)?;
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn read<T: Value>(&self, offset: usize) -> Result<T> {
        self.window
            .load(offset)
            .map_err(|fault| self.error(fault, Operation::Read, offset, T::WIDTH.bytes()))
    }

    /// Stores `value` at `offset` bytes from the start, with one store of its width, and loads nothing.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfBounds`], [`Error::Misaligned`] and [`Error::ReadOnly`]; nothing was stored then.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use devmap::{Device, PhysRange, DEFAULT_DEVICE};
    ///
    /// let registers = Device::open(DEFAULT_DEVICE)?.map(PhysRange::new(0xc000_0000, 0x100).unwrap())?;
    /// registers.write::<u16>(0x12, 0x8001)?;
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn write<T: Value>(&self, offset: usize, value: T) -> Result<()> {
        self.window
            .store(offset, value)
            .map_err(|fault| self.error(fault, Operation::Write, offset, T::WIDTH.bytes()))
    }

    /// Loads at `offset` as [`read`](Self::read) does, with a width that is known at run time only.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read).
    pub fn read_value(&self, width: Width, offset: usize) -> Result<u64> {
        match width {
            Width::Bits8 => self.read::<u8>(offset).map(u64::from),
            Width::Bits16 => self.read::<u16>(offset).map(u64::from),
            Width::Bits32 => self.read::<u32>(offset).map(u64::from),
            #[cfg(target_pointer_width = "64")]
            Width::Bits64 => self.read::<u64>(offset),
        }
    }

    /// Stores `value` at `offset` as [`write`](Self::write) does, with a width that is known at run time only.
    ///
    /// # Errors
    ///
    /// As for [`write`](Self::write), and [`Error::TooWide`] for a value that has more bits.
    pub fn write_value(&self, width: Width, offset: usize, value: u64) -> Result<()> {
        match width {
            Width::Bits8 => self.write::<u8>(offset, narrow(value)?),
            Width::Bits16 => self.write::<u16>(offset, narrow(value)?),
            Width::Bits32 => self.write::<u32>(offset, narrow(value)?),
            #[cfg(target_pointer_width = "64")]
            Width::Bits64 => self.write::<u64>(offset, value),
        }
    }

    /// What the caller is told about an access of `length` bytes at `offset` that did not take place.
    fn error(&self, fault: Fault, operation: Operation, offset: usize, length: usize) -> Error {
        let range = self.range;
        match fault {
            Fault::OutOfBounds => Error::OutOfBounds {
                operation,
                offset,
                length,
                range,
            },
            Fault::Misaligned => Error::Misaligned {
                operation,
                address: range.start() + offset as u64,
                width: length,
            },
            Fault::ReadOnly => Error::ReadOnly { operation, range },
        }
    }
}

/// `value` as a `T`, if it has no more bits.
fn narrow<T: Value>(value: u64) -> Result<T> {
    T::try_from(value).map_err(|_| Error::TooWide {
        value,
        width: T::WIDTH,
    })
}
