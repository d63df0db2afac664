// SPDX-License-Identifier: MIT OR Apache-2.0

//! A range of physical memory in the address space of this process.

use std::ops::{Bound, RangeBounds};

use crate::driver::{CacheMode, Window};
use crate::raw::{Fault, VolatileSlice};
use crate::region::Region;
use crate::register::{Access, OwnedRegister, ReadWrite, Registers};
use crate::{barrier, Bulk, Cursor, Endian, Error, Operation, PciBar, PhysRange, Register, Result, Value};

/// A range of physical memory, mapped shared into this process until it is dropped.
///
/// A clone, or a part that [`slice`](Self::slice) cuts off, is the same memory: the last of them unmaps it.
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
/// An access to an address at which no device answers ends the process, too: on arm64 and arm by a SIGBUS, and on
/// riscv64 by a SIGSEGV with the code `SEGV_ACCERR`. On x86 it loads all ones.
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
#[derive(Clone, Debug)]
pub struct Mapping {
    memory: VolatileSlice,
    range: PhysRange,
    endian: Endian,
    /// The window whose own node it was mapped from.
    window: Option<Window>,
    /// Where the BAR begins that it was mapped from.
    bar: Option<u64>,
    /// The cache type, if it is known.
    cache: Option<CacheMode>,
}

impl Mapping {
    /// The mapping of `range`, which starts at `skip` bytes into `mmap`.
    pub(crate) fn new(mmap: Region, skip: usize, range: PhysRange, writable: bool) -> Option<Self> {
        let length = usize::try_from(range.length()).ok()?;
        let memory = VolatileSlice::new(mmap, skip, length, writable)?;
        Some(Self { memory, range, endian: Endian::Native, window: None, bar: None, cache: None })
    }

    /// The same mapping, made from the node of `window`.
    pub(crate) fn in_window(self, window: Window) -> Self {
        Self { window: Some(window), ..self }
    }

    /// The same mapping, made from this BAR.
    pub(crate) fn in_bar(self, bar: &PciBar) -> Self {
        Self { bar: Some(bar.range.start()), ..self }
    }

    /// Whether it is of a BAR, whose cache type is only asked for.
    pub(crate) fn is_bar(&self) -> bool {
        self.bar.is_some()
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

    /// The part of it that has these offsets, as a mapping of its own: its offsets count from the start of the part,
    /// and it keeps the memory mapped. A part of a block of registers is that of one channel, or of one driver.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfBounds`], and [`Error::Empty`] for a part without a byte.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use devmap::Device;
    /// let channels = Device::window("dma")?.map_all()?;
    /// let second = channels.slice(0x100..0x200)?;
    /// std::thread::spawn(move || second.write::<u32>(0x10, 1));
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn slice(&self, offsets: impl RangeBounds<usize>) -> Result<Self> {
        let offset = match offsets.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match offsets.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => self.len(),
        };
        let length = end.saturating_sub(offset);
        let memory = self
            .memory
            .slice(offset, length)
            .ok_or_else(|| self.error(Fault::OutOfBounds, Operation::Slice, offset, length))?;
        let range = PhysRange::new(self.range.start() + offset as u64, length as u64);
        let range = range.ok_or(Error::Empty { offset, range: self.range })?;
        Ok(Self { memory, range, ..self.clone() })
    }

    /// The addresses of the mapping as its device counts them: physical for `/dev/map` and most others, offsets for the
    /// node of a [window](Self::window), for a [BAR](crate::PciBar) and for a regular file.
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
    /// That of a window comes from the driver. A regular file is in the page cache. That of a [BAR](crate::PciBar) is
    /// the one asked for: on x86 the kernel may give another, which nothing tells a program. [Bulk](Self::bulk)
    /// operations treat an unknown type, and every BAR, as uncached.
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
        Ok(self.register_for::<T, ReadWrite>(Operation::Modify, offset)?.modify(mask, value))
    }

    /// The register at `offset`, to be loaded and stored to. Bounds, alignment and permission are checked here, so its
    /// accesses cannot fail.
    ///
    /// # Errors
    ///
    /// As for [`write`](Self::write). A read-only mapping has [others](Self::register_as).
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
        self.register_as(offset)
    }

    /// The register at `offset`, for these accesses: [`ReadWrite`], [`ReadOnly`](crate::register::ReadOnly) or
    /// [`WriteOnly`](crate::register::WriteOnly).
    ///
    /// # Errors
    ///
    /// [`Error::OutOfBounds`], [`Error::Misaligned`] and [`Error::NoSuchWidth`], and [`Error::ReadOnly`] if it is
    /// stored to and the mapping cannot be written.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use devmap::register::ReadOnly;
    /// use devmap::Device;
    ///
    /// let block = Device::window_read_only("status")?.map_all()?;
    /// let version = block.register_as::<u32, ReadOnly>(0)?.read();
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn register_as<T: Value, A: Access>(&self, offset: usize) -> Result<Register<'_, T, A>> {
        self.register_for(Operation::Access, offset)
    }

    /// `count` registers from `offset` on, one behind the other, to be loaded and stored to.
    ///
    /// # Errors
    ///
    /// As for [`register`](Self::register).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use devmap::Device;
    /// let block = Device::window("gpio")?.map_all()?;
    /// block.registers::<u32>(0x100, 32)?.iter().for_each(|pin| pin.write(0));
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn registers<T: Value>(&self, offset: usize, count: usize) -> Result<Registers<'_, T>> {
        self.registers_as::<T, ReadWrite>(offset, count)
    }

    /// `count` registers from `offset` on, one behind the other, for these accesses.
    ///
    /// # Errors
    ///
    /// As for [`register_as`](Self::register_as).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use devmap::register::ReadOnly;
    /// # use devmap::Device;
    /// let block = Device::window_read_only("counters")?.map_all()?;
    /// let total: u64 = block.registers_as::<u32, ReadOnly>(0, 8)?.iter().map(|counter| u64::from(counter.read())).sum();
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn registers_as<T: Value, A: Access>(&self, offset: usize, count: usize) -> Result<Registers<'_, T, A>> {
        match self.memory.places(offset, count, A::WRITES) {
            Ok(places) => Ok(Registers::new(places, self.endian)),
            Err(Fault::OutOfBounds) => {
                let length = count.saturating_mul(T::WIDTH.bytes());
                Err(self.error(Fault::OutOfBounds, Operation::Access, offset, length))
            }
            Err(fault) => Err(self.error(fault, Operation::Access, offset, T::WIDTH.bytes())),
        }
    }

    /// The register at `offset`, which keeps the memory mapped: it can live in a structure, beside the mapping or
    /// without it.
    ///
    /// # Errors
    ///
    /// As for [`register_as`](Self::register_as).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use devmap::register::{OwnedRegister, ReadOnly};
    /// use devmap::Device;
    ///
    /// let count: OwnedRegister<u32, ReadOnly> = Device::window("timer")?.map_all()?.owned_register(4)?;
    /// println!("{}", count.read());
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn owned_register<T: Value, A: Access>(&self, offset: usize) -> Result<OwnedRegister<T, A>> {
        match self.memory.owned_place(offset, A::WRITES) {
            Ok(place) => Ok(OwnedRegister::new(place, self.endian)),
            Err(fault) => Err(self.error(fault, Operation::Access, offset, T::WIDTH.bytes())),
        }
    }

    /// A reader and writer of its bytes, from the start on.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use devmap::Device;
    /// let sdram = Device::window("sdram")?.map_all()?;
    /// std::io::copy(&mut std::fs::File::open("image")?, &mut sdram.cursor())?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn cursor(&self) -> Cursor {
        Cursor::new(self.clone())
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
        barrier::flush();
    }

    /// Orders the loads before it before the loads after it.
    ///
    /// Processors load from write-combining and cached memory out of order, and before an earlier load of an uncached
    /// register has its result. So: poll the device until it is done, `acquire`, then read the buffer that it has
    /// filled. [The instruction](crate#the-order-of-loads) depends on the architecture. It does not drop what is in
    /// processor caches; that is [`invalidate`](Self::invalidate).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use devmap::Device;
    /// let (registers, frame) = (Device::window("camera")?.map_all()?, Device::window("frame")?.map_all()?);
    /// let status = registers.register::<u32>(0x10)?;
    /// while status.read() & 1 == 0 {}
    /// registers.acquire();
    /// let mut picture = vec![0; frame.len()];
    /// frame.bulk().read_into(0, &mut picture)?;
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn acquire(&self) {
        barrier::acquire();
    }

    /// The distance in bytes of the address of `offset` from the multiple of `alignment` below it, a power of two.
    pub(crate) fn misalignment(&self, offset: usize, alignment: usize) -> usize {
        // A power of two divides 2^64, so the sum may wrap.
        (self.range.start() as usize).wrapping_add(offset) % alignment
    }

    /// The physical address of `offset`, as far as it is known: for a device whose addresses are others, one of its
    /// own.
    pub(crate) fn physical(&self, offset: usize) -> u64 {
        let first = self.window.map(|window| window.range.start()).or(self.bar).unwrap_or(0);
        first.wrapping_add(self.range.start()).wrapping_add(offset as u64)
    }

    pub(crate) fn memory(&self) -> &VolatileSlice {
        &self.memory
    }

    fn register_for<T: Value, A: Access>(&self, operation: Operation, offset: usize) -> Result<Register<'_, T, A>> {
        match self.memory.place(offset, A::WRITES) {
            Ok(place) => Ok(Register::<T, A>::new(place, self.endian)),
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
            Fault::NoSuchWidth => Error::NoSuchWidth { operation, bytes: length },
        }
    }
}
