// SPDX-License-Identifier: MIT OR Apache-2.0

//! What every command works with: the options, the device, and where results go.

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

    /// The width that all accesses were asked to have, if one was.
    pub fn fixed_width(&self) -> Option<Width> {
        self.width
    }

    /// Maps `range`, so that it cannot be changed.
    pub fn map_for_reading(&self, range: PhysRange) -> Result<Mapping, Failure> {
        self.map(Device::open_read_only(&self.device)?, range)
    }

    /// Maps `range`, so that it can be changed.
    pub fn map_for_writing(&self, range: PhysRange) -> Result<Mapping, Failure> {
        self.map(Device::open(&self.device)?, range)
    }

    fn map(&self, device: Device, range: PhysRange) -> Result<Mapping, Failure> {
        let path = device.path().display();
        let (what, remedy) = match device.kind() {
            Kind::File => ("its end came nearer while it was mapped", "keep others from making it shorter"),
            _ => ("nothing answers at the address, or not to this width", "see the device's manual"),
        };
        let line = format!("devmap: cannot access {path}: a bus error (SIGBUS): {what}; {remedy}");
        sigbus::end_with(&line, Failure::ABSENT);
        Ok(device.map(range)?.with_endian(self.endian))
    }

    /// The way to move many bytes of `mapping`, in the accesses that were asked for.
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
