// SPDX-License-Identifier: MIT OR Apache-2.0

//! Places in memory, as the arguments name them.

use std::fmt;

use devmap::page::PageSize;
use devmap::{Error, PhysRange, Width};

use crate::number::number;

/// A place in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// One value at this address.
    Address(u64),
    /// A bit field of the value at this address.
    Field(u64, Field),
    /// Every value of this range.
    Range(PhysRange),
}

/// Bits `high` to `low` of a value, both of them included; 63 >= `high` >= `low`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    high: u32,
    low: u32,
}

impl Place {
    /// Its bytes, with values of `width`.
    pub fn range(self, width: Width) -> Result<PhysRange, String> {
        match self {
            Self::Range(range) => Ok(range),
            Self::Address(address) => bytes_at(address, width.bytes()),
            Self::Field(address, field) if field.high < width.bits() => bytes_at(address, width.bytes()),
            Self::Field(address, field) => Err(format!(
                "{address:#010x}{field}: a value of {width} has no bit {}; use a greater --width",
                field.high
            )),
        }
    }

    /// The bit field, if it is one.
    pub fn field(self) -> Option<Field> {
        match self {
            Self::Field(_, field) => Some(field),
            Self::Address(_) | Self::Range(_) => None,
        }
    }
}

impl Field {
    /// The bits of the field within the value.
    pub fn mask(self) -> u64 {
        self.max() << self.low
    }

    /// The greatest value that fits into the field.
    pub fn max(self) -> u64 {
        u64::MAX >> (63 - (self.high - self.low))
    }

    /// The value of the field in the whole value `whole`.
    pub fn get(self, whole: u64) -> u64 {
        (whole & self.mask()) >> self.low
    }

    /// `value` shifted to the field's bits; `None` if it does not fit.
    pub fn put(self, value: u64) -> Option<u64> {
        (value <= self.max()).then(|| value << self.low)
    }

    /// How many hexadecimal digits its values have.
    pub fn digits(self) -> usize {
        ((self.high - self.low) / 4 + 1) as usize
    }
}

/// As in the arguments, after an address.
impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ":{}:{}", self.high, self.low)
    }
}

/// The `length` bytes, at least one, from `address` on.
pub fn bytes_at(address: u64, length: usize) -> Result<PhysRange, String> {
    PhysRange::new(address, length as u64)
        .ok_or_else(|| format!("{length:#x} bytes at {address:#010x} go beyond the last address: start lower"))
}

/// The whole pages that hold `range`.
pub fn pages_of(range: PhysRange, page_size: PageSize) -> Result<PhysRange, Error> {
    let pages = page_size.enclose(range).and_then(|pages| PhysRange::new(pages.start, pages.length as u64));
    pages.ok_or(Error::TooLong { range })
}

/// Fails unless every one of `values` fits into `width`. Before the first store: a command that fails has changed
/// nothing.
pub fn check_values(values: &[u64], width: Width) -> Result<(), Error> {
    match values.iter().find(|value| **value > width.max()) {
        Some(&value) => Err(Error::TooWide { value, width }),
        None => Ok(()),
    }
}

/// Reads an address that is not a range or field.
pub fn address(text: &str) -> Result<u64, String> {
    match place(text)? {
        Place::Address(address) => Ok(address),
        Place::Range(range) => Err(format!("`{text}` is a range: give its address alone, {:#x}", range.start())),
        Place::Field(address, _) => Err(format!("`{text}` is a bit field: give its address alone, {address:#x}")),
    }
}

/// Reads START+LENGTH, or START-LAST as in /proc/iomem.
pub fn range(text: &str) -> Result<PhysRange, String> {
    match place(text)? {
        Place::Range(range) => Ok(range),
        Place::Address(_) | Place::Field(..) => {
            Err(format!("`{text}` is not a range: write START+LENGTH or START-LAST"))
        }
    }
}

/// Reads an address, a bit field, or a range.
pub fn place(text: &str) -> Result<Place, String> {
    if let Some((start, length)) = text.split_once('+') {
        let (start, length) = (number(start)?, number(length)?);
        return PhysRange::new(start, length).map(Place::Range).ok_or_else(|| match length {
            0 => format!("`{text}` is empty: give a length of at least 1"),
            _ => format!("`{text}` goes beyond the last address: start lower, or use less"),
        });
    }
    if let Some((start, last)) = text.split_once('-') {
        let (start, last) = (number(start)?, number(last)?);
        let beyond_first = last.checked_sub(start).ok_or_else(|| {
            format!("`{text}` ends before it starts: the last address comes second, a length after +")
        })?;
        return beyond_first
            .checked_add(1)
            .and_then(|length| PhysRange::new(start, length))
            .map(Place::Range)
            .ok_or_else(|| format!("`{text}` holds every address: use less"));
    }
    if let Some((address, field)) = text.split_once(':') {
        let (high, low) = field.split_once(':').unwrap_or((field, field));
        let bit = |bit: &str| match number(bit)? {
            number @ 0..64 => Ok(number as u32),
            _ => Err(format!("`{text}`: there is no bit {bit}; the highest is 63")),
        };
        let (high, low) = (bit(high)?, bit(low)?);
        if high < low {
            return Err(format!("`{text}`: the high bit comes first, as in {address}:{low}:{high}"));
        }
        return Ok(Place::Field(number(address)?, Field { high, low }));
    }
    number(text).map(Place::Address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let range = |start, length| Ok(Place::Range(PhysRange::new(start, length).unwrap()));
        assert_eq!(place("0x64"), Ok(Place::Address(0x64)));
        assert_eq!(place("0xc0000000+3M"), range(0xc000_0000, 0x30_0000));
        assert_eq!(place("0xc0000000-0xc02fffff"), range(0xc000_0000, 0x30_0000));
        assert_eq!(place("8-8"), range(8, 1));
        for wrong in ["8+0", "8-7", "2+0xffffffffffffffff", "0-0xffffffffffffffff", "+4", "4+", "1+2+3", "1-2-3"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
        assert!(super::range("8").unwrap_err().contains("START+LENGTH"));
        assert_eq!(address("0x10"), Ok(0x10));
        assert!(address("0x10+4").unwrap_err().contains("address alone, 0x10"));
        assert!(address("0x10:3").unwrap_err().contains("address alone, 0x10"));
    }

    #[test]
    fn fields() {
        let Ok(Place::Field(0x10, field)) = place("0x10:7:4") else { panic!() };
        assert_eq!((field.mask(), field.max(), field.digits()), (0xf0, 0xf, 1));
        assert_eq!((field.get(0x1234), field.put(5), field.put(0x10)), (3, Some(0x50), None));
        let Ok(Place::Field(0, bit)) = place("0:63") else { panic!() };
        assert_eq!((bit.mask(), bit.max()), (1 << 63, 1));
        let Ok(Place::Field(0, all)) = place("0:63:0") else { panic!() };
        assert_eq!((all.mask(), all.digits()), (u64::MAX, 16));
        for wrong in ["0:64", "0:4:7", "0:", "0:1:2:3", ":1", "0:-1"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_field_must_lie_within_the_width() {
        let field = place("0x10:31:16").unwrap();
        assert!(field.range(Width::Bits32).is_ok());
        assert!(field.range(Width::Bits16).unwrap_err().contains("no bit 31"));
        assert!(place("0xffffffffffffffff").unwrap().range(Width::Bits16).is_err());
    }
}
