// SPDX-License-Identifier: MIT OR Apache-2.0

//! A range of physical memory in the address space of this process.

use memmap2::MmapRaw;

use crate::raw::{store_barrier, Fault, VolatileSlice};
use crate::{Bulk, Endian, Error, Operation, PhysRange, Register, Result, Value, Width};

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
///
/// # Examples
///
/// ```no_run
/// use devmap::{Device, PhysRange, DEFAULT_DEVICE};
///
/// let sdram = Device::open(DEFAULT_DEVICE)?.map(PhysRange::new(0xc000_0000, 0x30_0000).unwrap())?;
/// sdram.write::<u16>(0x64, 3)?;
/// assert_eq!(sdram.read::<u16>(0x64)?, 3);
/// # Ok::<(), devmap::Error>(())
/// ```
///
/// It is no slice, and does not become one:
///
/// ```compile_fail,E0308
/// # let mapping: devmap::Mapping = panic!();
/// let bytes: &[u8] = &mapping;
/// ```
///
/// ```compile_fail,E0608
/// # let mapping: devmap::Mapping = panic!();
/// let first = mapping[0];
/// ```
#[derive(Debug)]
pub struct Mapping {
    memory: VolatileSlice,
    range: PhysRange,
    endian: Endian,
}

impl Mapping {
    /// The mapping of `range`, which starts at `skip` bytes into `mmap`.
    pub(crate) fn new(mmap: MmapRaw, skip: usize, range: PhysRange, writable: bool) -> Option<Self> {
        let length = usize::try_from(range.length()).ok()?;
        Some(Self { memory: VolatileSlice::new(mmap, skip, length, writable)?, range, endian: Endian::Native })
    }

    /// The same mapping, whose values have their bytes in the order `endian`.
    ///
    /// Bytes that are moved in [bulk](Self::bulk) are just bytes, and stay as they are.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use devmap::{Device, Endian, PhysRange, DEFAULT_DEVICE};
    ///
    /// let range = PhysRange::new(0xc000_0000, 0x100).unwrap();
    /// let registers = Device::open(DEFAULT_DEVICE)?.map(range)?.with_endian(Endian::Big);
    /// # Ok::<(), devmap::Error>(())
    /// ```
    #[must_use]
    pub fn with_endian(self, endian: Endian) -> Self {
        Self { endian, ..self }
    }

    /// The physical addresses that it shows.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use devmap::{Device, PhysRange, DEFAULT_DEVICE};
    /// let range = PhysRange::new(0xc000_0064, 4).unwrap();
    /// // Not the page around it, which is what mmap(2) maps.
    /// assert_eq!(Device::open(DEFAULT_DEVICE)?.map(range)?.range(), range);
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn range(&self) -> PhysRange {
        self.range
    }

    /// How many bytes it shows, at least 1: the length of the range as a number of this process's address space.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use devmap::{Device, PhysRange, DEFAULT_DEVICE};
    /// let sdram = Device::open(DEFAULT_DEVICE)?.map(PhysRange::new(0xc000_0000, 0x30_0000).unwrap())?;
    /// let last = sdram.read::<u8>(sdram.len() - 1)?;
    /// # Ok::<(), devmap::Error>(())
    /// ```
    #[expect(clippy::len_without_is_empty, reason = "there is no empty mapping")]
    pub fn len(&self) -> usize {
        self.memory.length()
    }

    /// Whether it can be written.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use devmap::{Device, PhysRange, DEFAULT_DEVICE};
    /// let range = PhysRange::new(0xc000_0000, 0x100).unwrap();
    /// assert!(!Device::open_read_only(DEFAULT_DEVICE)?.map(range)?.is_writable());
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn is_writable(&self) -> bool {
        self.memory.writable()
    }

    /// The order of the bytes of its values.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use devmap::{Device, Endian, PhysRange, DEFAULT_DEVICE};
    /// let registers = Device::open(DEFAULT_DEVICE)?.map(PhysRange::new(0xc000_0000, 0x100).unwrap())?;
    /// assert_eq!(registers.endian(), Endian::Native);
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn endian(&self) -> Endian {
        self.endian
    }

    /// Where its first byte lies in this process, for what this crate does not do.
    ///
    /// The pointer is good for [`len`](Self::len) bytes until the mapping is dropped. To use it is unsafe: reach through
    /// it with volatile accesses or assembly alone, and never make a reference of it.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use devmap::{Device, PhysRange, DEFAULT_DEVICE};
    /// let sdram = Device::open(DEFAULT_DEVICE)?.map(PhysRange::new(0xc000_0000, 0x30_0000).unwrap())?;
    /// let address = sdram.as_ptr().addr();
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn as_ptr(&self) -> *mut u8 {
        self.memory.start()
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
    #[inline]
    pub fn read<T: Value>(&self, offset: usize) -> Result<T> {
        match self.memory.load(offset) {
            Ok(value) => Ok(self.endian.convert(value)),
            Err(fault) => Err(self.error(fault, Operation::Read, offset, T::WIDTH.bytes())),
        }
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
    #[inline]
    pub fn write<T: Value>(&self, offset: usize, value: T) -> Result<()> {
        self.memory
            .store(offset, self.endian.convert(value))
            .map_err(|fault| self.error(fault, Operation::Write, offset, T::WIDTH.bytes()))
    }

    /// Gives the bits of `mask` at `offset` the values that they have in `value`: one load, then one store.
    ///
    /// The store takes place even where it changes nothing, since a register may wait for it. Returns what was loaded.
    /// Between the two accesses others may store: this is no atomic operation.
    ///
    /// # Errors
    ///
    /// As for [`write`](Self::write); nothing was loaded or stored then.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use devmap::{Device, PhysRange, DEFAULT_DEVICE};
    ///
    /// let registers = Device::open(DEFAULT_DEVICE)?.map(PhysRange::new(0xc000_0000, 0x100).unwrap())?;
    /// let before = registers.modify::<u32>(0x10, 0x0000_00f0, 0x50)?;
    /// # Ok::<(), devmap::Error>(())
    /// ```
    #[inline]
    pub fn modify<T: Value>(&self, offset: usize, mask: T, value: T) -> Result<T> {
        Ok(self.register_at(Operation::Modify, offset)?.modify(mask, value))
    }

    /// The register at `offset`: bounds, alignment and permission are checked here, so that its accesses cannot fail.
    ///
    /// # Errors
    ///
    /// As for [`write`](Self::write). A mapping for reading only has no registers; [`read`](Self::read) it.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use devmap::{Device, PhysRange, DEFAULT_DEVICE};
    ///
    /// let registers = Device::open(DEFAULT_DEVICE)?.map(PhysRange::new(0xc000_0000, 0x100).unwrap())?;
    /// let control = registers.register::<u32>(0x10)?;
    /// control.write(control.read() | 1);
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn register<T: Value>(&self, offset: usize) -> Result<Register<'_, T>> {
        self.register_at(Operation::Access, offset)
    }

    /// The way to move many bytes at once, with the widest accesses that their alignment allows.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use devmap::{Device, PhysRange, DEFAULT_DEVICE};
    /// let sdram = Device::open(DEFAULT_DEVICE)?.map(PhysRange::new(0xc000_0000, 0x30_0000).unwrap())?;
    /// sdram.bulk().write_from(0x100, &[1, 2, 3])?;
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn bulk(&self) -> Bulk<'_> {
        Bulk::new(self)
    }

    /// Makes what was stored before arrive before what is stored afterwards.
    ///
    /// Memory that is mapped write-combining gathers stores; a device that is told about them too early finds old data.
    /// So: store the data, `flush`, then tell the device. On an uncached mapping the stores are on their way without it.
    /// [What it is](crate#the-order-of-stores) depends on the architecture. It does not write back processor caches.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use devmap::{Device, PhysRange, DEFAULT_DEVICE};
    /// let sdram = Device::open(DEFAULT_DEVICE)?.map(PhysRange::new(0xc000_0000, 0x30_0000).unwrap())?;
    /// sdram.bulk().write_from(0, &[0xff; 0x1000])?;
    /// sdram.flush();
    /// sdram.write::<u32>(0x2000, 1)?; // go
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn flush(&self) {
        store_barrier();
    }

    /// How many bytes the address of `offset` lies behind a multiple of `width`.
    pub(crate) fn misalignment(&self, offset: usize, width: Width) -> usize {
        // A width divides 2^64, so it does no harm that the sum may wrap.
        (self.range.start() as usize).wrapping_add(offset) % width.bytes()
    }

    pub(crate) fn memory(&self) -> &VolatileSlice {
        &self.memory
    }

    fn register_at<T: Value>(&self, operation: Operation, offset: usize) -> Result<Register<'_, T>> {
        match self.memory.get_ref(offset) {
            Ok(value) => Ok(Register::new(value, self.endian)),
            Err(fault) => Err(self.error(fault, operation, offset, T::WIDTH.bytes())),
        }
    }

    /// What the caller is told about an access of `length` bytes at `offset` that did not take place.
    #[cold]
    pub(crate) fn error(&self, fault: Fault, operation: Operation, offset: usize, length: usize) -> Error {
        let range = self.range;
        match fault {
            Fault::OutOfBounds => Error::OutOfBounds { operation, offset, length, range },
            Fault::Misaligned => Error::Misaligned { operation, address: range.start() + offset as u64, width: length },
            Fault::ReadOnly => Error::ReadOnly { operation, range },
        }
    }
}
