// SPDX-License-Identifier: MIT OR Apache-2.0

//! The files that commands read.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;

use devmap::PhysRange;

use crate::failure::Failure;
use crate::location::Area;
use crate::place::Place;

/// A file whose length is known.
pub struct Input {
    pub reader: Box<dyn Read>,
    length: u64,
}

impl Input {
    /// Opens the file at `path`, or standard input for `-`. Anything but a regular file is read to its end first, so
    /// that no memory changes before the length is known to fit.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let failed = Failure::file("read", path);
        let mut stream: Box<dyn Read> = if path == Path::new("-") {
            Box::new(io::stdin())
        } else {
            let file = File::open(path).map_err(&failed)?;
            let metadata = file.metadata().map_err(&failed)?;
            if metadata.is_file() {
                return Ok(Self { reader: Box::new(file), length: metadata.len() });
            }
            Box::new(file)
        };
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).map_err(&failed)?;
        Ok(Self { length: bytes.len() as u64, reader: Box::new(Cursor::new(bytes)) })
    }

    /// The memory for the file at `place`.
    pub fn area(&self, path: &Path, place: Place) -> Result<Area, Failure> {
        match place {
            Place::Address(_) if self.length == 0 => {
                Err(Failure::Usage(format!("{} is empty: give a file of at least one byte", path.display())))
            }
            Place::Address(location) => match PhysRange::new(location.address, self.length) {
                Some(range) => Ok(Area { window: location.window, range }),
                None => Err(Failure::Usage(format!(
                    "the {:#x} bytes of {} at {location} go beyond the last address: start lower",
                    self.length,
                    path.display()
                ))),
            },
            Place::Range(area) if area.range.length() <= self.length => Ok(area),
            Place::Range(area) => Err(Failure::Usage(format!(
                "{} has {:#x} bytes, and {area} has {:#x}: give a range that is no longer than the file",
                path.display(),
                self.length,
                area.range.length()
            ))),
            Place::Field(location, field) => {
                Err(Failure::Usage(format!("{location}{field} is a bit field: give an address or a range")))
            }
        }
    }
}
