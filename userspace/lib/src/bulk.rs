// SPDX-License-Identifier: MIT OR Apache-2.0

//! Operations on many bytes at once, with accesses that are safe on device memory.

use crate::dynamic::{by_width, narrow};
use crate::raw::Fault;
use crate::{Error, Mapping, Operation, Result, Value, Width};

/// How many bytes are moved through a buffer on the stack at a time. A multiple of every width.
const BLOCK: usize = 4096;

/// Moves many bytes to or from a [`Mapping`].
///
/// The C library's `memcpy` and `memset` make unaligned and overlapping accesses and use instructions that clear a
/// cache line. On device memory of arm64 each of these is a SIGBUS. Here every access is aligned, every byte is loaded
/// or stored exactly once, in ascending order, and nothing outside the range is accessed: bytes up to the first
/// multiple of the widest access, then accesses of that width, then bytes for the rest.
/// [`with_width`](Self::with_width) makes all accesses of one width instead, for memory that supports no other.
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
/// if let Some(Difference { offset, found, expected }) = sdram.bulk().compare(0x100, b"U-Boot")? {
///     println!("{:#x}: {found:#04x}, not {expected:#04x}", sdram.range().start() + offset as u64);
/// }
/// # Ok::<(), devmap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
        self.load(offset, bytes);
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
        self.store(offset, bytes);
        Ok(())
    }

    /// Fills `length` bytes from `offset` on with `value`, in the mapping's byte order.
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
        let mut pattern = [0; BLOCK];
        for chunk in pattern.chunks_exact_mut(T::WIDTH.bytes()) {
            chunk.copy_from_slice(self.mapping.endian().convert(value).to_bytes().as_ref());
        }
        for start in (0..length).step_by(BLOCK) {
            self.store(offset + start, &pattern[..BLOCK.min(length - start)]);
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
    /// It loads in blocks of 4 KiB, so it also loads some bytes after the first difference.
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
        let mut buffer = [0; BLOCK];
        for (block, expected) in bytes.chunks(BLOCK).enumerate() {
            let start = block * BLOCK;
            let found = &mut buffer[..expected.len()];
            self.load(offset + start, found);
            // The whole block first, which is many times faster.
            if found == expected {
                continue;
            }
            if let Some(index) = found.iter().zip(expected).position(|(found, expected)| found != expected) {
                let offset = offset + start + index;
                return Ok(Some(Difference { offset, found: found[index], expected: expected[index] }));
            }
        }
        Ok(None)
    }

    /// Copies `length` bytes from `offset` on to `target_offset` of `target`.
    ///
    /// The two may overlap, also through two mappings of the same physical addresses: the target receives what the
    /// source had before. The bytes pass through a buffer, so each side is accessed as its own alignment allows.
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
        let address = |mapping: &Mapping, offset: usize| mapping.range().start() + offset as u64;
        let backwards = address(target, target_offset) > address(self.mapping, offset);
        let blocks = length.div_ceil(BLOCK);
        let mut buffer = [0; BLOCK];
        for step in 0..blocks {
            let start = BLOCK * if backwards { blocks - 1 - step } else { step };
            let block = &mut buffer[..BLOCK.min(length - start)];
            self.load(offset + start, block);
            to.store(target_offset + start, block);
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
            if self.mapping.misalignment(offset, width) != 0 {
                return error(Fault::Misaligned, width.bytes());
            }
            check_length(operation, length, width)?;
        }
        if operation.stores() && !self.mapping.is_writable() {
            return error(Fault::ReadOnly, length);
        }
        Ok(())
    }

    /// Loads, after `check` has succeeded.
    fn load(self, offset: usize, bytes: &mut [u8]) {
        let memory = self.mapping.memory();
        let mut at = 0;
        for (width, length) in self.parts(offset, bytes.len()) {
            let part = &mut bytes[at..at + length];
            by_width!(width, T => memory.load_run::<T>(offset + at, part)).expect("bounds and alignment were checked");
            at += length;
        }
    }

    /// Stores, after `check` has succeeded.
    fn store(self, offset: usize, bytes: &[u8]) {
        let memory = self.mapping.memory();
        let mut at = 0;
        for (width, length) in self.parts(offset, bytes.len()) {
            let part = &bytes[at..at + length];
            by_width!(width, T => memory.store_run::<T>(offset + at, part)).expect("all that can fail was checked");
            at += length;
        }
    }

    /// The runs of equal accesses that move `length` bytes at `offset`: the width of the accesses, and how many bytes.
    fn parts(self, offset: usize, length: usize) -> impl Iterator<Item = (Width, usize)> {
        let parts = match self.width {
            Some(width) => [(width, length), (width, 0), (width, 0)],
            None => {
                let wide = Width::WIDEST;
                let head = match self.mapping.misalignment(offset, wide) {
                    0 => 0,
                    beyond => (wide.bytes() - beyond).min(length),
                };
                let tail = (length - head) % wide.bytes();
                [(Width::Bits8, head), (wide, length - head - tail), (Width::Bits8, tail)]
            }
        };
        parts.into_iter().filter(|(_, length)| *length > 0)
    }
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
    use crate::{Device, PhysRange};

    /// The runs of a transfer of `length` bytes from address `start` on.
    fn parts(start: u64, length: usize) -> Vec<(usize, usize)> {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(0x1000).unwrap();
        let mapping = Device::open(file.path()).unwrap().map(PhysRange::new(start, 0x100).unwrap()).unwrap();
        let parts = mapping.bulk().parts(0, length);
        parts.map(|(width, length)| (width.bytes(), length)).collect()
    }

    #[test]
    fn all_that_is_aligned_is_moved_in_the_widest_accesses() {
        let wide = Width::WIDEST.bytes();
        assert_eq!(parts(0x40, 64), [(wide, 64)]);
        assert_eq!(parts(0x41, 64), [(1, wide - 1), (wide, 64 - wide), (1, 1)]);
        assert_eq!(parts(0x40, 65), [(wide, 64), (1, 1)]);
        assert_eq!(parts(0x41, 2), [(1, 2)]);
        assert_eq!(parts(0x40, 0), []);
    }
}
