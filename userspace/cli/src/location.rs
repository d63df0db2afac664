// SPDX-License-Identifier: MIT OR Apache-2.0

//! Addresses and ranges: numbers, or offsets in a window.

use std::fmt;

use devmap::driver::{Name, Window};
use devmap::{Device, Kind, Mapping, PhysRange};
use serde::{Serialize, Serializer};

use crate::output::Address;

/// An address of the device, or an offset in the window of this name. It is written as the arguments are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    pub window: Option<Name>,
    pub address: u64,
}

/// A range of the device, or of the window of this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    pub window: Option<Name>,
    pub range: PhysRange,
}

impl From<u64> for Location {
    fn from(address: u64) -> Self {
        Self { window: None, address }
    }
}

impl From<PhysRange> for Area {
    fn from(range: PhysRange) -> Self {
        Self { window: None, range }
    }
}

impl Location {
    /// The byte at `offset` of `mapping`.
    pub fn of(mapping: &Mapping, offset: usize) -> Self {
        Area::of(mapping).start().plus(offset)
    }

    /// The location `offset` bytes further on.
    pub fn plus(self, offset: usize) -> Self {
        Self { address: self.address.wrapping_add(offset as u64), ..self }
    }

    /// The `length` bytes, at least one, from here on.
    pub fn area(self, length: usize) -> Result<Area, String> {
        match PhysRange::new(self.address, length as u64) {
            Some(range) => Ok(Area { window: self.window, range }),
            None => Err(format!("{length:#x} bytes at {self} go beyond the last address: start lower")),
        }
    }
}

impl Area {
    /// All of `mapping`.
    pub fn of(mapping: &Mapping) -> Self {
        Self { window: name_of(mapping.window()), range: mapping.range() }
    }

    /// The `range` of `device`.
    pub fn on(device: &Device, range: PhysRange) -> Self {
        let window = match device.kind() {
            Kind::Window { window, .. } => Some(window),
            _ => None,
        };
        Self { window: name_of(window), range }
    }

    /// The first byte.
    pub fn start(self) -> Location {
        Location { window: self.window, address: self.range.start() }
    }

    /// The last byte.
    pub fn last(self) -> Location {
        Location { window: self.window, address: self.range.last() }
    }
}

fn name_of(window: Option<&Window>) -> Option<Name> {
    window.map(|window| window.name).filter(|name| !name.is_empty())
}

/// The addresses of `mapping` that do not depend on the node it was mapped from.
pub fn physical(mapping: &Mapping) -> PhysRange {
    let range = mapping.range();
    let in_window = mapping.window().and_then(|window| {
        let start = window.range.start().checked_add(range.start())?;
        PhysRange::new(start, range.length())
    });
    in_window.unwrap_or(range)
}

/// What precedes the number.
fn prefix(f: &mut fmt::Formatter<'_>, window: Option<Name>) -> fmt::Result {
    window.map_or(Ok(()), |name| write!(f, "{name}+"))
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        prefix(f, self.window)?;
        Address(self.address).fmt(f)
    }
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        prefix(f, self.window)?;
        self.range.fmt(f)
    }
}

impl Serialize for Location {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::{place, Place};

    #[test]
    fn what_is_written_is_read_back() {
        let window = Some(Name::new(b"dsp-0").unwrap());
        for window in [None, window] {
            let location = Location { window, address: 0xfff8 };
            assert_eq!(place(&location.to_string()), Ok(Place::Address(location)));
            let area = location.area(16).unwrap();
            assert_eq!(place(&area.to_string()), Ok(Place::Range(area)));
            assert_eq!(area.start().plus(8), Location { window, address: 0x1_0000 });
        }
        assert_eq!(Location { window, address: 0x64 }.to_string(), "dsp-0+0x00000064");
        let beyond = Location { window, address: u64::MAX }.area(2).unwrap_err();
        assert_eq!(beyond, "0x2 bytes at dsp-0+0xffffffffffffffff go beyond the last address: start lower");
    }

    #[test]
    fn a_mapping_without_a_window_has_plain_addresses() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(16).unwrap();
        let mapping = Device::open(file.path()).unwrap().map(PhysRange::new(4, 8).unwrap()).unwrap();
        assert_eq!(Location::of(&mapping, 3), Location::from(7));
        assert_eq!(Area::of(&mapping), Area::from(mapping.range()));
        assert_eq!(physical(&mapping), mapping.range());
    }
}
