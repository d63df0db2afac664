// SPDX-License-Identifier: MIT OR Apache-2.0

//! Addresses and ranges: numbers, or offsets in a window.

use std::fmt;

use devmap::{Device, Kind, PhysRange};
use serde::{Serialize, Serializer};

use crate::base::Base;
use crate::output::Address;

/// An address of the device, or an offset in what has a name. It is written as the arguments are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    pub base: Option<Base>,
    pub address: u64,
}

/// A range of the device, or of what has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    pub base: Option<Base>,
    pub range: PhysRange,
}

impl From<u64> for Location {
    fn from(address: u64) -> Self {
        Self { base: None, address }
    }
}

impl From<PhysRange> for Area {
    fn from(range: PhysRange) -> Self {
        Self { base: None, range }
    }
}

impl Location {
    /// An address of the device, whatever --base says.
    pub fn absolute(address: u64) -> Self {
        Self { base: Some(Base::Absolute { within: None }), address }
    }

    /// The location `offset` bytes further on.
    pub fn plus(self, offset: usize) -> Self {
        Self { address: self.address.wrapping_add(offset as u64), ..self }
    }

    /// The `length` bytes, at least one, from here on.
    pub fn area(self, length: usize) -> Result<Area, String> {
        match PhysRange::new(self.address, length as u64) {
            Some(range) => Ok(Area { base: self.base, range }),
            None => Err(format!("{length:#x} bytes at {self} go beyond the last address: start lower")),
        }
    }
}

impl Area {
    /// The `range` of `device`.
    pub fn on(device: &Device, range: PhysRange) -> Self {
        let base = match device.kind() {
            Kind::Window { window, .. } if !window.name.is_empty() => Some(Base::Window(window.name)),
            _ => None,
        };
        Self { base, range }
    }

    /// The first byte.
    pub fn start(self) -> Location {
        Location { base: self.base, address: self.range.start() }
    }

    /// The last byte.
    pub fn last(self) -> Location {
        Location { base: self.base, address: self.range.last() }
    }
}

/// What precedes the number.
fn prefix(f: &mut fmt::Formatter<'_>, base: Option<Base>) -> fmt::Result {
    match base {
        None | Some(Base::Absolute { .. }) => Ok(()),
        Some(base) => write!(f, "{base}+"),
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        prefix(f, self.base)?;
        Address(self.address).fmt(f)
    }
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        prefix(f, self.base)?;
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
        for base in [None, Some("dsp-0"), Some("uio3/regs"), Some("pci/0000:01:00.0/2")] {
            let base = base.map(|text| Base::split(text).unwrap().0);
            let location = Location { base, address: 0xfff8 };
            assert_eq!(place(&location.to_string()), Ok(Place::Address(location)));
            let area = location.area(16).unwrap();
            assert_eq!(place(&area.to_string()), Ok(Place::Range(area)));
            assert_eq!(area.start().plus(8), Location { base, address: 0x1_0000 });
        }
        let base = Some(Base::split("dsp-0").unwrap().0);
        assert_eq!(Location { base, address: 0x64 }.to_string(), "dsp-0+0x00000064");
        let beyond = Location { base, address: u64::MAX }.area(2).unwrap_err();
        assert_eq!(beyond, "0x2 bytes at dsp-0+0xffffffffffffffff go beyond the last address: start lower");
    }
}
