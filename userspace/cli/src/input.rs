// SPDX-License-Identifier: MIT OR Apache-2.0

//! The files that commands read.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use devmap::PhysRange;

use crate::failure::Failure;
use crate::location::{Area, Location};
use crate::place::Place;

/// A file whose length is known.
pub struct Input {
    path: PathBuf,
    reader: Box<dyn Read>,
    length: u64,
}

impl Input {
    /// Opens the file at `path`, or standard input for `-`, and gives the memory for it at `place`.
    ///
    /// Anything but a regular file of the length that it claims is read first, so that no memory changes before the
    /// length is known to fit: as many bytes as a range has, since the file may have no end, or else all.
    pub fn open(path: &Path, place: Place) -> Result<(Self, Area), Failure> {
        let (start, range) = match place {
            Place::Address(location) => (location, None),
            Place::Range(area) => (area.start(), Some(area)),
            Place::Register(symbol) => {
                return Err(Failure::Usage(format!("{symbol} is the name of a register: give an address or a range")))
            }
            Place::Field(location, field) => {
                return Err(Failure::Usage(format!("{location}{field} is a bit field: give an address or a range")))
            }
        };
        let input = Self::read_up_to(path, range.map_or(u64::MAX, |area| area.range.length()))?;
        let area = match range {
            Some(area) => input.part(area)?,
            None => input.all_from(start)?,
        };
        Ok((input, area))
    }

    /// Opens the file, and reads `most` bytes of what has no length.
    fn read_up_to(path: &Path, most: u64) -> Result<Self, Failure> {
        let failed = Failure::file("read", path);
        let stream: Box<dyn Read> = if path == Path::new("-") {
            Box::new(io::stdin())
        } else {
            let file = File::open(path).map_err(&failed)?;
            let metadata = file.metadata().map_err(&failed)?;
            let length = metadata.len();
            if metadata.is_file() && has_length(&file, length) {
                return Ok(Self { path: path.into(), reader: Box::new(file), length });
            }
            Box::new(file)
        };
        let mut bytes = Vec::new();
        stream.take(most).read_to_end(&mut bytes).map_err(&failed)?;
        Ok(Self { path: path.into(), length: bytes.len() as u64, reader: Box::new(Cursor::new(bytes)) })
    }

    /// Reads as many bytes as `buffer` has. They must be there, as those of the memory for it are.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<(), Failure> {
        let length = self.length;
        self.reader.read_exact(buffer).map_err(|error| {
            let error = match error.kind() {
                io::ErrorKind::UnexpectedEof => {
                    io::Error::other(format!("it has become shorter than the {length:#x} bytes that it had"))
                }
                _ => error,
            };
            Failure::file("read", &self.path)(error)
        })
    }

    /// The memory for the whole file from `start` on.
    fn all_from(&self, start: Location) -> Result<Area, Failure> {
        let path = self.path.display();
        if self.length == 0 {
            return Err(Failure::Usage(format!("{path} is empty: give a file of at least one byte")));
        }
        match PhysRange::new(start.address, self.length) {
            Some(range) => Ok(Area { base: start.base, range }),
            None => Err(Failure::Usage(format!(
                "the {:#x} bytes of {path} at {start} go beyond the last address: start lower",
                self.length
            ))),
        }
    }

    /// `area`, if the file has as many bytes.
    fn part(&self, area: Area) -> Result<Area, Failure> {
        if area.range.length() <= self.length {
            return Ok(area);
        }
        Err(Failure::Usage(format!(
            "{} has {:#x} bytes, and {area} has {:#x}: give a range that is no longer than the file",
            self.path.display(),
            self.length,
            area.range.length()
        )))
    }
}

/// Whether `file` has as many bytes as it claims. Files in /proc and /sys have others.
fn has_length(file: &File, length: u64) -> bool {
    let has = |offset| file.read_at(&mut [0], offset).is_ok_and(|count| count == 1);
    !has(length) && length.checked_sub(1).is_none_or(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_becomes_shorter_is_an_error_that_says_so() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(0x2000).unwrap();
        let mut input = Input::read_up_to(file.path(), u64::MAX).unwrap();
        let mut buffer = [0; 0x1000];
        input.read(&mut buffer).unwrap();
        file.as_file().set_len(0x1800).unwrap();
        let failure = input.read(&mut buffer).unwrap_err();
        let path = file.path().display();
        let line = format!("cannot read {path}: it has become shorter than the 0x2000 bytes that it had");
        assert_eq!((failure.to_string(), failure.status()), (line, 4));
    }

    #[test]
    fn a_file_of_the_kernel_has_what_can_be_read() {
        // The first claims no bytes, the second a page.
        for path in ["/proc/version", "/sys/devices/system/cpu/online"] {
            let Ok(bytes) = std::fs::read(path) else { continue };
            let mut input = Input::read_up_to(path.as_ref(), u64::MAX).unwrap();
            assert_eq!(input.length, bytes.len() as u64, "{path}");
            input.read(&mut vec![0; bytes.len()]).unwrap();
        }
    }
}
