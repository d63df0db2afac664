// SPDX-License-Identifier: MIT OR Apache-2.0

//! What every command needs: the options, the device, and the output.

use std::io::Write;
use std::path::PathBuf;

use devmap::{Bulk, Device, Endian, Kind, Mapping, PhysRange, Width};

use crate::failure::Failure;
use crate::output::Output;
use crate::sigbus;

/// The options, validated, and standard output.
pub struct Context {
    pub device: PathBuf,
    pub endian: Endian,
    pub out: Output,
    width: Option<Width>,
}

impl Context {
    pub fn new(device: PathBuf, width: Option<Width>, endian: Endian, json: bool) -> Self {
        Self { device, endian, out: Output::new(json), width }
    }

    /// The width of a value.
    pub fn value_width(&self) -> Width {
        self.width.unwrap_or(Width::Bits32)
    }

    /// The width that --width gives for all accesses, if it is present.
    pub fn fixed_width(&self) -> Option<Width> {
        self.width
    }

    /// Maps `range` for reading.
    pub fn map_for_reading(&self, range: PhysRange) -> Result<Mapping, Failure> {
        self.map(Device::open_read_only(&self.device)?, range)
    }

    /// Maps `range` for reading and writing.
    pub fn map_for_writing(&self, range: PhysRange) -> Result<Mapping, Failure> {
        self.map(Device::open(&self.device)?, range)
    }

    fn map(&self, device: Device, range: PhysRange) -> Result<Mapping, Failure> {
        let path = device.path().display();
        let (what, remedy) = match device.kind() {
            Kind::File => ("the file was truncated while mapped", "keep others from truncating it"),
            _ => ("nothing answers at the address, or not to this width", "see the device's manual"),
        };
        let line = format!("devmap: cannot access {path}: a bus error (SIGBUS): {what}; {remedy}");
        sigbus::end_with(&line, Failure::ABSENT);
        Ok(device.map(range)?.with_endian(self.endian))
    }

    /// Bulk operations on `mapping`, with accesses of the width that --width gives.
    pub fn bulk<'m>(&self, mapping: &'m Mapping) -> Bulk<'m> {
        match self.width {
            Some(width) => mapping.bulk().with_width(width),
            None => mapping.bulk(),
        }
    }

    /// Prints plain text.
    pub fn print(&mut self, text: &str) -> Result<(), Failure> {
        Ok(self.out.write_all(text.as_bytes())?)
    }
}
