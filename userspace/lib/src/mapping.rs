// SPDX-License-Identifier: MIT OR Apache-2.0

//! A range of physical memory in the address space of this process.

use memmap2::MmapRaw;

use crate::driver::{CacheMode, Window};
use crate::raw::{store_barrier, Fault, VolatileSlice};
use crate::{Bulk, Endian, Error, Operation, PhysRange, Register, Result, Value};

/// A range of physical memory, mapped shared into this process until it is dropped.
///
/// Offsets count bytes from the start of [`range`](Self::range), not of its page. Every access is one load or store of
/// exactly the width of its type, with its bounds and alignment checked. There is no `&[u8]` of it: the compiler
/// assumes that what a reference points to changes only through the program, which device memory does not guarantee.
///
/// Several threads can use a mapping. Single accesses are not torn, but nothing orders them between threads: a protocol
/// with a device needs a lock around it.
///
/// Two things make an access a SIGBUS, which ends the process: a mapped regular file is truncated, and the access is
/// beyond its new end; or a window of the map driver is removed, as with its device of the device tree.
/// [`Device::is_gone`](crate::Device::is_gone) asks the driver about the latter.
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
/// It is not a slice, and does not become one:
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
    /// The window whose own node it was mapped from.
    window: Option<Window>,
    /// The cache type, if it is known.
    cache: Option<CacheMode>,
}

impl Mapping {
    /// The mapping of `range`, which starts at `skip` bytes into `mmap`.
    pub(crate) fn new(mmap: MmapRaw, skip: usize, range: PhysRange, writable: bool) -> Option<Self> {
        let length = usize::try_from(range.length()).ok()?;
        let memory = VolatileSlice::new(mmap, skip, length, writable)?;
        Some(Self { memory, range, endian: Endian::Native, window: None, cache: None })
    }

    /// The same mapping, made from the node of `window`.
    pub(crate) fn in_window(self, window: Window) -> Self {
        Self { window: Some(window), ..self }
    }

    /// The same mapping, whose memory has this cache type, if it is known.
    pub(crate) fn with_cache(self, cache: Option<CacheMode>) -> Self {
        Self { cache, ..self }
    }

    /// The same mapping, with values in the byte order `endian`.
    ///
    /// It does not affect bytes that are moved in [bulk](Self::bulk).
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

    /// The addresses of the mapping as its device counts them: physical for `/dev/map` and most others, offsets for the
    /// node of a [window](Self::window) and for a regular file.
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

    /// The window whose own node it was mapped from; `None` if it was mapped from another device.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use devmap::Device;
    /// let buffer = Device::window("sdram")?.map_all()?;
    /// // What to tell the device that fills the buffer.
    /// let physical = buffer.window().unwrap().range.start() + buffer.range().start();
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn window(&self) -> Option<&Window> {
        self.window.as_ref()
    }

    /// The length of the range in bytes, at least 1, as a `usize`.
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

    /// Its cache type; `None` if it is unknown, as for a device of another driver.
    ///
    /// That of a window comes from the driver. A regular file is in the page cache. [Bulk](Self::bulk) operations treat
    /// an unknown type as uncached.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use devmap::{driver::CacheMode, Device};
    ///
    /// let frame = Device::window("framebuffer")?.map_all()?;
    /// assert_eq!(frame.cache(), Some(CacheMode::WriteCombine));
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn cache(&self) -> Option<CacheMode> {
        self.cache
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

    /// The address of its first byte in this process, for accesses that this crate does not offer.
    ///
    /// The pointer is valid for [`len`](Self::len) bytes until the mapping is dropped. Using it is unsafe: use only
    /// volatile accesses or assembly, and never make a reference of it.
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

    /// Replaces the bits of `mask` at `offset` by those of `value`: one load, then one store.
    ///
    /// The store takes place even if it changes nothing, since a register may depend on it. Returns the loaded value.
    /// Others may store between the two accesses: this is not an atomic operation.
    ///
    /// # Errors
    ///
    /// As for [`write`](Self::write); nothing was loaded or stored in that case.
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

    /// The register at `offset`. Bounds, alignment and permission are checked here, so its accesses cannot fail.
    ///
    /// # Errors
    ///
    /// As for [`write`](Self::write). A read-only mapping has no registers; use [`read`](Self::read).
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

    /// Operations on many bytes at once, with the widest accesses that the alignment allows.
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

    /// Orders the stores before it before the stores after it.
    ///
    /// Write-combining memory gathers stores; a device that is notified too early finds old data. So: store the data,
    /// `flush`, then notify the device. Stores to an uncached mapping do not need it. [The
    /// instruction](crate#the-order-of-stores) depends on the architecture. It does not write back processor caches.
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

    /// The distance in bytes of the address of `offset` from the multiple of `alignment` below it, a power of two.
    pub(crate) fn misalignment(&self, offset: usize, alignment: usize) -> usize {
        // A power of two divides 2^64, so the sum may wrap.
        (self.range.start() as usize).wrapping_add(offset) % alignment
    }

    /// The physical address of `offset`, as far as it is known: for a device whose addresses are others, one of its own.
    pub(crate) fn physical(&self, offset: usize) -> u64 {
        let window = self.window.map_or(0, |window| window.range.start());
        window.wrapping_add(self.range.start()).wrapping_add(offset as u64)
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

    /// The error for an access of `length` bytes at `offset` that did not take place.
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
