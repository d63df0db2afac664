// SPDX-License-Identifier: MIT OR Apache-2.0

//! A mapping as a stream of bytes.

use std::io::{self, Read, Seek, SeekFrom, Write};

use crate::Mapping;

/// Reads and writes the bytes of a [`Mapping`] one after the other, for everything that takes a [`Read`], a [`Write`]
/// or a
/// [`Seek`]: copies, archives, parsers.
///
/// Every call is one [bulk operation](crate::Bulk). The end of the mapping is the end of the stream: nothing more is
/// read, and a write there is an error with [`io::ErrorKind::WriteZero`] from [`write_all`](Write::write_all). A
/// position beyond the end is no error until something is written there.
///
/// # Examples
///
/// ```no_run
/// use std::io::{Read, Seek, SeekFrom};
///
/// use devmap::Device;
///
/// let mut flash = Device::window_read_only("flash")?.map_all()?.cursor();
/// flash.seek(SeekFrom::Start(0x1000))?;
/// let mut header = [0; 64];
/// flash.read_exact(&mut header)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cursor {
    mapping: Mapping,
    position: u64,
}

impl Cursor {
    /// One at the start of `mapping`.
    pub(crate) fn new(mapping: Mapping) -> Self {
        Self { mapping, position: 0 }
    }

    /// Where the next byte is read or written, in bytes from the start of the mapping.
    ///
    /// ```no_run
    /// # let mapping: devmap::Mapping = panic!();
    /// assert_eq!(mapping.cursor().position(), 0);
    /// ```
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The mapping.
    ///
    /// ```no_run
    /// # let cursor: devmap::Cursor = panic!();
    /// println!("{} of {}", cursor.position(), cursor.mapping().len());
    /// ```
    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// The mapping, without the cursor.
    ///
    /// ```no_run
    /// # let cursor: devmap::Cursor = panic!();
    /// let mapping = cursor.into_mapping();
    /// ```
    pub fn into_mapping(self) -> Mapping {
        self.mapping
    }

    /// The offset of the next byte, and how many of `wanted` bytes there are from it on.
    fn next(&self, wanted: usize) -> (usize, usize) {
        let length = self.mapping.len();
        let offset = usize::try_from(self.position).map_or(length, |position| position.min(length));
        (offset, wanted.min(length - offset))
    }
}

impl Read for Cursor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (offset, count) = self.next(buffer.len());
        self.mapping.bulk().read_into(offset, &mut buffer[..count])?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Write for Cursor {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (offset, count) = self.next(bytes.len());
        self.mapping.bulk().write_from(offset, &bytes[..count])?;
        self.position += count as u64;
        Ok(count)
    }

    /// Orders what was written before later stores, as [`Mapping::flush`] does.
    fn flush(&mut self) -> io::Result<()> {
        self.mapping.flush();
        Ok(())
    }
}

impl Seek for Cursor {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(distance) => (self.mapping.len() as u64).checked_add_signed(distance),
            SeekFrom::Current(distance) => self.position.checked_add_signed(distance),
        };
        self.position = position.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "cannot seek to before the start of the mapping, or beyond 2^64",
            )
        })?;
        Ok(self.position)
    }
}
