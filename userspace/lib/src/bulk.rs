// SPDX-License-Identifier: MIT OR Apache-2.0

//! Operations on many bytes at once, with accesses that are safe on device memory.

use crate::dynamic::{by_width, narrow};
use crate::raw::Fault;
use crate::vector::{Memory, CHUNK, LINE};
use crate::{Error, Mapping, Operation, Result, Value, Width};

/// How many bytes are moved through a buffer on the stack at a time. A multiple of every width.
const BLOCK: usize = 4096;

/// The fewest bytes for which vector registers are used: wherever they begin, a whole chunk is among them.
const LEAST: usize = CHUNK + LINE;

/// Moves many bytes to or from a [`Mapping`].
///
/// The C library's `memcpy` and `memset` make unaligned and overlapping accesses and use instructions that clear a
/// cache line. On device memory of arm64 each of these is a SIGBUS. Here every byte is loaded or stored exactly once,
/// nothing outside the range is accessed, and the [cache type](Mapping::cache) decides the accesses:
///
/// * Uncached, unknown, or of a [BAR](crate::PciBar), whatever type that asks for: every access is aligned, and of at most the width of a register, in ascending order. Bytes up
///   to the first multiple of the widest access, then accesses of that width, then bytes for the rest.
/// * Cached or write-combining, on x86_64 and arm64: the same, but whole cache lines in between are moved by vector
///   registers. On x86_64 these have 32 bytes (AVX2) or 16, and write-combining memory is loaded by MOVNTDQA and stored
///   by non-temporal stores, where the alignment allows; on arm64 pairs of 16 bytes are moved.
///
/// [`with_width`](Self::with_width) makes all accesses of one width instead, for memory that supports no other, such as
/// a device that a virtual machine emulates behind a write-combining window.
///
/// All checks come before the first access: an operation that fails has changed nothing.
///
/// # Examples
///
/// ```no_run
/// use devmap::{Device, PhysRange, DEFAULT_DEVICE};
///
/// let sdram = Device::open(DEFAULT_DEVICE)?.map(PhysRange::new(0xc000_0000, 0x30_0000).unwrap())?;
/// let bulk = sdram.bulk();
/// bulk.fill(0, 0x1000, 0xffu8)?;
/// bulk.copy(0, &sdram, 0x10_0001, 0x1000)?;
/// # Ok::<(), devmap::Error>(())
/// ```
///
/// It cannot outlive its mapping:
///
/// ```compile_fail,E0505
/// # fn misuse(mapping: devmap::Mapping) {
/// let bulk = mapping.bulk();
/// drop(mapping);
/// bulk.fill(0, 4, 0u8);
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Bulk<'m> {
    mapping: &'m Mapping,
    /// The width of every access; `None` for the widest that fits.
    width: Option<Width>,
}

/// A byte that differs from the expected one.
///
/// ```no_run
/// use devmap::{Device, Difference, PhysRange, DEFAULT_DEVICE};
///
/// let sdram = Device::open(DEFAULT_DEVICE)?.map(PhysRange::new(0xc000_0000, 0x30_0000).unwrap())?;
/// if let Some(Difference { offset, found, expected, .. }) = sdram.bulk().compare(0x100, b"U-Boot")? {
///     println!("{:#x}: {found:#04x}, not {expected:#04x}", sdram.range().start() + offset as u64);
/// }
/// # Ok::<(), devmap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// Its offset in bytes from the start of the mapping.
    pub offset: usize,
    /// The loaded byte.
    pub found: u8,
    /// The expected byte.
    pub expected: u8,
}

impl<'m> Bulk<'m> {
    pub(crate) fn new(mapping: &'m Mapping) -> Self {
        Self { mapping, width: None }
    }

    /// The same, with every access of `width`. Offsets and lengths must then be multiples of it.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use devmap::{Device, PhysRange, Width, DEFAULT_DEVICE};
    /// let sdram = Device::open(DEFAULT_DEVICE)?.map(PhysRange::new(0xc000_0000, 0x30_0000).unwrap())?;
    /// sdram.bulk().with_width(Width::Bits16).write_from(0x100, &[1, 0, 2, 0])?;
    /// # Ok::<(), devmap::Error>(())
    /// ```
    #[must_use]
    pub fn with_width(self, width: Width) -> Self {
        Self { width: Some(width), ..self }
    }

    /// Loads `bytes.len()` bytes from `offset` on into `bytes`.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfBounds`]; with a fixed width also [`Error::Misaligned`] and [`Error::Uneven`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use devmap::{Device, PhysRange, DEFAULT_DEVICE};
    ///
    /// let sdram = Device::open_read_only(DEFAULT_DEVICE)?.map(PhysRange::new(0xc000_0000, 0x30_0000).unwrap())?;
    /// let mut picture = vec![0; 640 * 480];
    /// sdram.bulk().read_into(0, &mut picture)?;
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn read_into(self, offset: usize, bytes: &mut [u8]) -> Result<()> {
        self.check(Operation::Read, offset, bytes.len())?;
        self.load(Width::Bits8, offset, bytes);
        Ok(())
    }

    /// Stores `bytes` from `offset` on.
    ///
    /// # Errors
    ///
    /// As for [`read_into`](Self::read_into), and [`Error::ReadOnly`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use devmap::{Device, PhysRange, DEFAULT_DEVICE};
    /// let sdram = Device::open(DEFAULT_DEVICE)?.map(PhysRange::new(0xc000_0000, 0x30_0000).unwrap())?;
    /// sdram.bulk().write_from(0x100, b"any bytes, anywhere")?;
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn write_from(self, offset: usize, bytes: &[u8]) -> Result<()> {
        self.check(Operation::Write, offset, bytes.len())?;
        self.store(Width::Bits8, offset, bytes);
        Ok(())
    }

    /// Loads as many values as `values` has, from `offset` on, in the mapping's byte order.
    ///
    /// An access has one or several whole values; [`with_width`](Self::with_width) of the values' own width makes it
    /// exactly one for each.
    ///
    /// # Errors
    ///
    /// As for [`read_into`](Self::read_into), and [`Error::Misaligned`] if `offset` is not a multiple of the width.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use devmap::{Device, Endian};
    ///
    /// let samples = Device::window("adc")?.map_all()?.with_endian(Endian::Big);
    /// let mut values = [0_u16; 1024];
    /// samples.bulk().read_values(0, &mut values)?;
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn read_values<T: Value>(self, offset: usize, values: &mut [T]) -> Result<()> {
        self.check_values::<T>(Operation::Read, offset, values.len())?;
        let endian = self.mapping.endian();
        let mut buffer = [0; BLOCK];
        let mut at = offset;
        for values in values.chunks_mut(BLOCK / T::WIDTH.bytes()) {
            let bytes = &mut buffer[..values.len() * T::WIDTH.bytes()];
            self.load(T::WIDTH, at, bytes);
            for (value, bytes) in values.iter_mut().zip(bytes.chunks_exact(T::WIDTH.bytes())) {
                *value = endian.convert(first_value(bytes));
            }
            at += bytes.len();
        }
        Ok(())
    }

    /// Stores `values` from `offset` on, in the mapping's byte order, with accesses as for
    /// [`read_values`](Self::read_values).
    ///
    /// # Errors
    ///
    /// As for [`read_values`](Self::read_values), and [`Error::ReadOnly`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # let sdram: devmap::Mapping = panic!();
    /// sdram.bulk().write_values(0x100, &[1_u32, 2, 3])?;
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn write_values<T: Value>(self, offset: usize, values: &[T]) -> Result<()> {
        self.check_values::<T>(Operation::Write, offset, values.len())?;
        let endian = self.mapping.endian();
        let mut buffer = [0; BLOCK];
        let mut at = offset;
        for values in values.chunks(BLOCK / T::WIDTH.bytes()) {
            let bytes = &mut buffer[..values.len() * T::WIDTH.bytes()];
            for (value, bytes) in values.iter().zip(bytes.chunks_exact_mut(T::WIDTH.bytes())) {
                bytes.copy_from_slice(endian.convert(*value).to_bytes().as_ref());
            }
            self.store(T::WIDTH, at, bytes);
            at += bytes.len();
        }
        Ok(())
    }

    /// Fills `length` bytes from `offset` on with `value`, in the mapping's byte order.
    ///
    /// If `offset` is a multiple of the value's width, no access is narrower than the value.
    ///
    /// # Errors
    ///
    /// As for [`write_from`](Self::write_from), and [`Error::Uneven`] if `length` is not a multiple of the value's
    /// width.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use devmap::{Device, PhysRange, DEFAULT_DEVICE};
    ///
    /// let sdram = Device::open(DEFAULT_DEVICE)?.map(PhysRange::new(0xc000_0000, 0x30_0000).unwrap())?;
    /// sdram.bulk().fill(0, sdram.len(), 0u8)?;
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn fill<T: Value>(self, offset: usize, length: usize, value: T) -> Result<()> {
        self.check(Operation::Fill, offset, length)?;
        check_length(Operation::Fill, length, T::WIDTH)?;
        // Wherever a step begins, also within a value, a chunk of it follows.
        let mut pattern = [0; CHUNK + Width::Bits64.bytes()];
        for chunk in pattern.chunks_exact_mut(T::WIDTH.bytes()) {
            chunk.copy_from_slice(self.mapping.endian().convert(value).to_bytes().as_ref());
        }
        let memory = self.mapping.memory();
        let aligned = self.mapping.misalignment(offset, T::WIDTH.bytes()) == 0 && T::WIDTH.is_native();
        let least = if aligned { T::WIDTH } else { Width::Bits8 };
        let mut at = 0;
        for (step, length) in self.parts(least, offset, length) {
            let pattern: &[u8; CHUNK] =
                pattern[at % T::WIDTH.bytes()..].first_chunk().expect("it is longer than a chunk by a value");
            match step {
                Step::Vectors(kind) => memory.fill_vectors(kind, offset + at, pattern, length),
                // Each access stores the same.
                Step::Values(width) if width >= T::WIDTH => by_width!(width, W => {
                    memory.fill_run(offset + at, first_value::<W>(&pattern[..]), length)
                }),
                Step::Values(width) => by_width!(width, W => (0..length).step_by(CHUNK).try_for_each(|start| {
                    memory.store_run::<W>(offset + at + start, &pattern[..CHUNK.min(length - start)])
                })),
            }
            .expect(CHECKED);
            at += length;
        }
        Ok(())
    }

    /// [Fills](Self::fill) with a value whose width is known only at run time.
    ///
    /// # Errors
    ///
    /// As for [`fill`](Self::fill), and [`Error::TooWide`] for a value that has more bits.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use devmap::{Device, PhysRange, Width, DEFAULT_DEVICE};
    /// let sdram = Device::open(DEFAULT_DEVICE)?.map(PhysRange::new(0xc000_0000, 0x30_0000).unwrap())?;
    /// sdram.bulk().fill_value(Width::Bits32, 0, 0x1000, 0xdead_beef)?;
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn fill_value(self, width: Width, offset: usize, length: usize, value: u64) -> Result<()> {
        by_width!(width, T => self.fill::<T>(offset, length, narrow(value)?))
    }

    /// Compares the bytes from `offset` on with `bytes`. Returns the first difference, if there is one.
    ///
    /// It loads in blocks of at most 4 KiB, so it also loads some bytes after the first difference.
    ///
    /// # Errors
    ///
    /// As for [`read_into`](Self::read_into).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use devmap::{Device, PhysRange, DEFAULT_DEVICE};
    /// let sdram = Device::open(DEFAULT_DEVICE)?.map(PhysRange::new(0xc000_0000, 0x30_0000).unwrap())?;
    /// if let Some(difference) = sdram.bulk().compare(0x100, b"expected")? {
    ///     println!("differs {:#x} bytes from the start", difference.offset);
    /// }
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn compare(self, offset: usize, bytes: &[u8]) -> Result<Option<Difference>> {
        self.check(Operation::Compare, offset, bytes.len())?;
        let mut at = 0;
        for (step, length) in self.parts(Width::Bits8, offset, bytes.len()) {
            let expected = &bytes[at..at + length];
            let difference = match step {
                Step::Vectors(kind) => self.compare_vectors(kind, offset + at, expected),
                Step::Values(width) => self.compare_values(width, offset + at, expected),
            };
            if difference.is_some() {
                return Ok(difference);
            }
            at += length;
        }
        Ok(None)
    }

    /// Copies `length` bytes from `offset` on to `target_offset` of `target`.
    ///
    /// The two may overlap, also through two mappings of the same physical addresses: the target receives what the
    /// source had before. If it lies within the source, above its start, the bytes are copied in blocks of 4 KiB from
    /// the last to the first. If the two differ in alignment or in cache type, the bytes pass through a buffer, so that
    /// each side is accessed as it allows.
    ///
    /// # Errors
    ///
    /// As for [`read_into`](Self::read_into) and [`write_from`](Self::write_from).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use devmap::{Device, PhysRange, DEFAULT_DEVICE};
    /// let sdram = Device::open(DEFAULT_DEVICE)?.map(PhysRange::new(0xc000_0000, 0x30_0000).unwrap())?;
    /// sdram.bulk().copy(0, &sdram, 0x10_0000, 0x1000)?;
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn copy(self, offset: usize, target: &Mapping, target_offset: usize, length: usize) -> Result<()> {
        let to = Bulk { mapping: target, width: self.width };
        self.check(Operation::Read, offset, length)?;
        to.check(Operation::Copy, target_offset, length)?;
        let (source, onto) = (self.mapping.physical(offset), target.physical(target_offset));
        if (1..length as u64).contains(&onto.wrapping_sub(source)) {
            let mut buffer = [0; BLOCK];
            for start in (0..length).step_by(BLOCK).rev() {
                let block = &mut buffer[..BLOCK.min(length - start)];
                self.load(Width::Bits8, offset + start, block);
                to.store(Width::Bits8, target_offset + start, block);
            }
        } else {
            self.copy_ascending(offset, to, target_offset, length);
        }
        Ok(())
    }

    /// Checks whether `operation` on `length` bytes from `offset` on is possible, and accesses nothing.
    ///
    /// Every operation does so itself. Before a sequence of operations, this check prevents that only some of them are
    /// done.
    ///
    /// # Errors
    ///
    /// Those of the operation.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use devmap::{Device, Operation, PhysRange, DEFAULT_DEVICE};
    /// let sdram = Device::open(DEFAULT_DEVICE)?.map(PhysRange::new(0xc000_0000, 0x30_0000).unwrap())?;
    /// sdram.bulk().check(Operation::Write, 0, 0x2000)?;
    /// for page in [0, 0x1000] {
    ///     sdram.bulk().write_from(page, &[0xff; 0x1000])?;
    /// }
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn check(self, operation: Operation, offset: usize, length: usize) -> Result<()> {
        let error = |fault, width| Err(self.mapping.error(fault, operation, offset, width));
        if offset.checked_add(length).is_none_or(|end| end > self.mapping.len()) {
            return error(Fault::OutOfBounds, length);
        }
        if let Some(width) = self.width {
            if !width.is_native() {
                return error(Fault::NoSuchWidth, width.bytes());
            }
            if self.mapping.misalignment(offset, width.bytes()) != 0 {
                return error(Fault::Misaligned, width.bytes());
            }
            check_length(operation, length, width)?;
        }
        if operation.stores() && !self.mapping.is_writable() {
            return error(Fault::ReadOnly, length);
        }
        Ok(())
    }

    /// Checks as [`check`](Self::check) does, for an operation on `count` values.
    fn check_values<T: Value>(self, operation: Operation, offset: usize, count: usize) -> Result<()> {
        let bytes = T::WIDTH.bytes();
        // So many bytes are out of bounds.
        self.check(operation, offset, count.saturating_mul(bytes))?;
        let fault = if !T::WIDTH.is_native() {
            Fault::NoSuchWidth
        } else if self.mapping.misalignment(offset, bytes) != 0 {
            Fault::Misaligned
        } else {
            return Ok(());
        };
        Err(self.mapping.error(fault, operation, offset, bytes))
    }

    /// Copies, after `check` has succeeded, what does not overlap or lies above its target.
    fn copy_ascending(self, offset: usize, to: Bulk<'_>, target_offset: usize, length: usize) {
        let (source, target) = (self.mapping.memory(), to.mapping.memory());
        let mut at = 0;
        match (self.vectors(), to.vectors()) {
            (Some(from), Some(into)) => {
                // Unaligned loads from write-combining memory are the slowest of all accesses.
                let parts = match from {
                    Memory::WriteCombine => self.parts(Width::Bits8, offset, length),
                    Memory::Cached => to.parts(Width::Bits8, target_offset, length),
                };
                for (step, length) in parts {
                    let (from_offset, to_offset) = (offset + at, target_offset + at);
                    match step {
                        Step::Vectors(_) => {
                            source.copy_vectors([from, into], from_offset, target, to_offset, length).expect(CHECKED)
                        }
                        Step::Values(_) => self.copy_buffered(&mut [0; LEAST], from_offset, to, to_offset, length),
                    }
                    at += length;
                }
            }
            (None, None) if self.alignment(offset) == to.alignment(target_offset) => {
                for (step, length) in self.parts(Width::Bits8, offset, length) {
                    if let Step::Values(width) = step {
                        by_width!(width, T => source.copy_run::<T>(offset + at, target, target_offset + at, length))
                            .expect(CHECKED);
                    }
                    at += length;
                }
            }
            _ => self.copy_buffered(&mut [0; BLOCK], offset, to, target_offset, length),
        }
    }

    /// Copies through `buffer`, after `check` has succeeded.
    fn copy_buffered(self, buffer: &mut [u8], offset: usize, to: Bulk<'_>, target_offset: usize, length: usize) {
        for start in (0..length).step_by(buffer.len()) {
            let count = buffer.len().min(length - start);
            self.load(Width::Bits8, offset + start, &mut buffer[..count]);
            to.store(Width::Bits8, target_offset + start, &buffer[..count]);
        }
    }

    /// Compares, after `check` has succeeded.
    fn compare_vectors(self, kind: Memory, offset: usize, bytes: &[u8]) -> Option<Difference> {
        let mut found = [0; CHUNK];
        let equal = self.mapping.memory().compare_vectors(kind, offset, bytes, &mut found).expect(CHECKED);
        first_difference(offset + equal, &found, bytes[equal..].chunks(CHUNK).next()?)
    }

    /// The same by values.
    fn compare_values(self, width: Width, offset: usize, bytes: &[u8]) -> Option<Difference> {
        let memory = self.mapping.memory();
        let mut buffer = [0; BLOCK];
        bytes.chunks(BLOCK).enumerate().find_map(|(block, expected)| {
            let (start, found) = (offset + block * BLOCK, &mut buffer[..expected.len()]);
            by_width!(width, T => memory.load_run::<T>(start, found)).expect(CHECKED);
            first_difference(start, found, expected)
        })
    }

    /// Loads, after `check` has succeeded, in no narrower accesses than `least`, of which `offset` is a multiple.
    fn load(self, least: Width, offset: usize, bytes: &mut [u8]) {
        let memory = self.mapping.memory();
        let mut at = 0;
        for (step, length) in self.parts(least, offset, bytes.len()) {
            let part = &mut bytes[at..at + length];
            match step {
                Step::Vectors(kind) => memory.load_vectors(kind, offset + at, part),
                Step::Values(width) => by_width!(width, T => memory.load_run::<T>(offset + at, part)),
            }
            .expect(CHECKED);
            at += length;
        }
    }

    /// Stores in the same way.
    fn store(self, least: Width, offset: usize, bytes: &[u8]) {
        let memory = self.mapping.memory();
        let mut at = 0;
        for (step, length) in self.parts(least, offset, bytes.len()) {
            let part = &bytes[at..at + length];
            match step {
                Step::Vectors(kind) => memory.store_vectors(kind, offset + at, part),
                Step::Values(width) => by_width!(width, T => memory.store_run::<T>(offset + at, part)),
            }
            .expect(CHECKED);
            at += length;
        }
    }

    /// The memory, if vector registers may be used.
    fn vectors(self) -> Option<Memory> {
        // What a BAR has is not known for certain, and may be registers.
        Memory::of(self.mapping.cache()).filter(|_| self.width.is_none() && !self.mapping.is_bar())
    }

    /// How far `offset` is from where an access of the widest kind may begin. A fixed width was checked.
    fn alignment(self, offset: usize) -> usize {
        match self.width {
            Some(_) => 0,
            None => self.mapping.misalignment(offset, Width::WIDEST.bytes()),
        }
    }

    /// The runs of equal accesses that move `length` bytes at `offset`, both multiples of the width `least`: what they
    /// are, and how many bytes. None is narrower than `least`.
    fn parts(self, least: Width, offset: usize, length: usize) -> impl Iterator<Item = (Step, usize)> {
        let widest = Ord::max(Width::WIDEST, least);
        let (narrow, wide) = (Step::Values(least), Step::Values(widest));
        let parts = match self.width {
            Some(width) => [(Step::Values(width), length), (narrow, 0), (narrow, 0), (narrow, 0), (narrow, 0)],
            None => {
                let up_to = |alignment| self.mapping.misalignment(offset, alignment).wrapping_neg() % alignment;
                let head = up_to(widest.bytes()).min(length);
                let tail = (length - head) % widest.bytes();
                let middle = length - head - tail;
                let (step, before, lines) = match self.vectors() {
                    Some(memory) if middle >= LEAST => {
                        let before = up_to(LINE) - head;
                        (Step::Vectors(memory), before, (middle - before) / CHUNK * CHUNK)
                    }
                    _ => (wide, middle, 0),
                };
                [(narrow, head), (wide, before), (step, lines), (wide, middle - before - lines), (narrow, tail)]
            }
        };
        parts.into_iter().filter(|(_, length)| *length > 0)
    }
}

/// Why an access cannot fail: `check` has succeeded, and the steps keep within what it has checked.
const CHECKED: &str = "bounds, alignment and permission were checked";

/// How a run of bytes is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// By aligned values of this width.
    Values(Width),
    /// By vector registers, in whole chunks.
    Vectors(Memory),
}

/// The value that `bytes` begin with, in the order of this processor. They have one at least.
fn first_value<T: Value>(bytes: &[u8]) -> T {
    T::from_bytes(T::Bytes::try_from(&bytes[..size_of::<T>()]).expect("the slice has the width of a value"))
}

/// The first byte from `offset` on that is not the expected one.
fn first_difference(offset: usize, found: &[u8], expected: &[u8]) -> Option<Difference> {
    // All of them first, which is many times faster.
    if found == expected {
        return None;
    }
    let index = found.iter().zip(expected).position(|(found, expected)| found != expected)?;
    Some(Difference { offset: offset + index, found: found[index], expected: expected[index] })
}

/// Fails unless `length` is a multiple of `width`.
fn check_length(operation: Operation, length: usize, width: Width) -> Result<()> {
    if length % width.bytes() == 0 {
        Ok(())
    } else {
        Err(Error::Uneven { operation, length, width })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::{CacheMode, Window};
    use crate::{Device, Kind, PciBar, PhysRange};

    /// The runs of a transfer of `length` bytes from address `start` on, in memory of this cache type.
    fn parts(cache: Option<CacheMode>, start: u64, length: usize) -> Vec<(Step, usize)> {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(0x1000).unwrap();
        let mapping = Device::open(file.path()).unwrap().map(PhysRange::new(start, 0x800).unwrap()).unwrap();
        mapping.with_cache(cache).bulk().parts(Width::Bits8, 0, length).collect()
    }

    const BYTES: Step = Step::Values(Width::Bits8);
    const WIDE: Step = Step::Values(Width::WIDEST);

    #[test]
    fn all_that_is_aligned_is_moved_in_the_widest_accesses() {
        let wide = Width::WIDEST.bytes();
        for cache in [None, Some(CacheMode::Uncached)] {
            assert_eq!(parts(cache, 0x40, 64), [(WIDE, 64)]);
            assert_eq!(parts(cache, 0x41, 64), [(BYTES, wide - 1), (WIDE, 64 - wide), (BYTES, 1)]);
            assert_eq!(parts(cache, 0x40, 65), [(WIDE, 64), (BYTES, 1)]);
            assert_eq!(parts(cache, 0x41, 2), [(BYTES, 2)]);
            assert_eq!(parts(cache, 0x40, 0), []);
            assert_eq!(parts(cache, 0x40, 0x400), [(WIDE, 0x400)]);
        }
    }

    #[test]
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    fn vector_registers_move_whole_lines_of_memory_that_is_not_uncached() {
        for (cache, memory) in [(CacheMode::Cached, Memory::Cached), (CacheMode::WriteCombine, Memory::WriteCombine)] {
            let lines = Step::Vectors(memory);
            assert_eq!(parts(Some(cache), 0x40, 0x400), [(lines, 0x400)]);
            assert_eq!(parts(Some(cache), 0x40, LEAST - 1), [(WIDE, LEAST - 8), (BYTES, 7)]);
            let ragged = [(BYTES, 7), (WIDE, 48), (lines, 0x380), (WIDE, 0x40), (BYTES, 1)];
            assert_eq!(parts(Some(cache), 0x49, 7 + 48 + 0x380 + 0x40 + 1), ragged);
        }
    }

    /// A BAR at 0xfebc0000 that a file plays, write-combining by its name.
    fn bar() -> (tempfile::NamedTempFile, Mapping) {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(0x4000).unwrap();
        let range = PhysRange::new(0xfebc_0000, 0x4000).unwrap();
        let bar = PciBar { address: "0000:00:04.0".into(), index: 0, range, cache: CacheMode::WriteCombine };
        let mapping = Device::with_kind(file.path(), Kind::PciBar(bar)).map_all().unwrap();
        (file, mapping)
    }

    #[test]
    fn a_bar_is_moved_by_values_whatever_type_it_asks_for() {
        let (_file, bar) = bar();
        assert_eq!(bar.cache(), Some(CacheMode::WriteCombine));
        assert_eq!(bar.bulk().parts(Width::Bits8, 0, 0x400).collect::<Vec<_>>(), [(WIDE, 0x400)]);
        assert_eq!(bar.slice(0x40..).unwrap().bulk().vectors(), None);
    }

    #[test]
    fn an_overlap_is_seen_through_a_bar_and_by_physical_addresses() {
        let (file, bar) = bar();
        assert_eq!((bar.physical(0x10), bar.slice(0x100..).unwrap().physical(0x10)), (0xfebc_0010, 0xfebc_0110));
        // The same memory at its physical addresses, as /dev/mem has it.
        let window = Window::new(PhysRange::new(0xfebc_0000, 0x4000).unwrap());
        let other = Device::open(file.path()).unwrap().map_all().unwrap().in_window(window);
        let before: Vec<u8> = (0..0x3000).map(|index| (index % 251) as u8).collect();
        bar.bulk().write_from(0, &before).unwrap();
        bar.slice(0..0x3000).unwrap().bulk().copy(0, &other, 0x800, 0x3000).unwrap();
        assert_eq!(other.bulk().compare(0x800, &before).unwrap(), None);
    }

    #[test]
    fn a_difference_is_found_in_every_block_of_uncached_memory() {
        const LENGTH: usize = 2 * BLOCK + 100;
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(0x4000).unwrap();
        let mapping = Device::open(file.path()).unwrap().map(PhysRange::new(3, 0x3000).unwrap()).unwrap();
        let mapping = mapping.with_cache(Some(CacheMode::Uncached));
        let mut bytes: Vec<u8> = (0..LENGTH).map(|index| (index % 251) as u8).collect();
        mapping.bulk().write_from(0, &bytes).unwrap();
        assert_eq!(mapping.bulk().compare(0, &bytes).unwrap(), None);
        for offset in [0, 4, BLOCK - 1, BLOCK, BLOCK + 5, 2 * BLOCK, 2 * BLOCK + 8, LENGTH - 1] {
            let found = bytes[offset];
            bytes[offset] = !found;
            let difference = Difference { offset, found, expected: !found };
            assert_eq!(mapping.bulk().compare(0, &bytes).unwrap(), Some(difference));
            bytes[offset] = found;
        }
    }

    #[test]
    fn a_fixed_width_moves_everything() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(0x1000).unwrap();
        let mapping = Device::open(file.path()).unwrap().map(PhysRange::new(0, 0x1000).unwrap()).unwrap();
        let narrow = mapping.bulk().with_width(Width::Bits16);
        assert_eq!(narrow.parts(Width::Bits8, 0, 0x1000).collect::<Vec<_>>(), [(Step::Values(Width::Bits16), 0x1000)]);
    }
}
