// SPDX-License-Identifier: MIT OR Apache-2.0

//! A mapping with the names of its addresses.

use std::ops::{Deref, Range};

use devmap::{Device, Endian, Error, Kind, Mapping, PhysRange, Width};

use crate::base::Base;
use crate::location::{Area, Location};

/// A mapping, and where it lies in the words of the arguments.
#[derive(Clone, Debug)]
pub struct View {
    mapping: Mapping,
    start: Location,
    /// Addresses that do not depend on the device it was mapped from.
    physical: PhysRange,
    /// The width of its registers, if it has such.
    width: Option<Width>,
}

impl View {
    /// A mapping of `device`, whose address `origin` is the first of `base`.
    pub fn new(device: &Device, mapping: Mapping, base: Option<Base>, origin: u64) -> Self {
        let window = mapping.window().map(|window| window.name).filter(|name| !name.is_empty());
        let base = base.or(window.map(Base::Window));
        let range = mapping.range();
        let start = Location { base, address: range.start().wrapping_sub(origin) };
        let memory = match device.kind() {
            Kind::Window { window, .. } => window.range.start(),
            Kind::PciBar(bar) => bar.range.start(),
            _ => 0,
        };
        let physical = memory.checked_add(range.start()).and_then(|start| PhysRange::new(start, range.length()));
        Self { mapping, start, physical: physical.unwrap_or(range), width: None }
    }

    /// The same, of registers of this width.
    pub fn with_width(self, width: Option<Width>) -> Self {
        Self { width, ..self }
    }

    /// The width of its registers, if it has such.
    pub fn width(&self) -> Option<Width> {
        self.width
    }

    /// The same with values in the byte order `endian`.
    pub fn with_endian(self, endian: Endian) -> Self {
        Self { mapping: self.mapping.with_endian(endian), ..self }
    }

    /// The byte at `offset`.
    pub fn at(&self, offset: usize) -> Location {
        self.start.plus(offset)
    }

    /// All of it.
    pub fn area(&self) -> Area {
        let range = PhysRange::new(self.start.address, self.mapping.range().length());
        Area { base: self.start.base, range: range.unwrap_or(self.mapping.range()) }
    }

    /// Its physical addresses, as far as they are known.
    pub fn physical(&self) -> PhysRange {
        self.physical
    }

    /// The part with these offsets.
    pub fn slice(&self, offsets: Range<usize>) -> Result<Self, Error> {
        let mapping = self.mapping.slice(offsets.clone())?;
        let physical =
            PhysRange::new(self.physical.start().wrapping_add(offsets.start as u64), mapping.range().length());
        Ok(Self {
            start: self.at(offsets.start),
            physical: physical.unwrap_or(mapping.range()),
            mapping,
            width: self.width,
        })
    }
}

impl Deref for View {
    type Target = Mapping;

    fn deref(&self) -> &Mapping {
        &self.mapping
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A file of these bytes, mapped from `start` on.
    pub fn view(contents: &[u8], start: u64) -> View {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), contents).unwrap();
        let device = Device::open(file.path()).unwrap();
        let range = PhysRange::new(start, contents.len() as u64 - start).unwrap();
        View::new(&device, device.map(range).unwrap(), None, 0)
    }

    #[test]
    fn without_a_base_addresses_are_those_of_the_device() {
        let view = view(&[0; 16], 4);
        assert_eq!((view.at(3), view.area()), (Location::from(7), Area::from(view.range())));
        assert_eq!(view.physical(), view.range());
        let part = view.slice(4..8).unwrap();
        assert_eq!((part.at(0), part.physical()), (Location::from(8), PhysRange::new(8, 4).unwrap()));
    }

    #[test]
    fn with_a_base_they_are_offsets_in_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(0x100).unwrap();
        let device = Device::open(file.path()).unwrap();
        let base = Base::Uio { device: "uio0", map: "regs" };
        let view = View::new(&device, device.map(PhysRange::new(0x44, 8).unwrap()).unwrap(), Some(base), 0x40);
        assert_eq!((view.at(4).to_string(), view.physical().start()), ("uio0/regs+0x00000008".into(), 0x44));
        assert_eq!(view.area().to_string(), "uio0/regs+0x00000004-0x0000000b");
    }
}
