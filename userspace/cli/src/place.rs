// SPDX-License-Identifier: MIT OR Apache-2.0

//! Places in memory, as the arguments name them.

use std::fmt;

use devmap::page::PageSize;
use devmap::{Error, PhysRange, RangeError, Width};

use crate::base::Base;
use crate::iomem;
use crate::location::{Area, Location};
use crate::number::number;
use crate::symbol::Symbol;

/// A place in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// One value at this address.
    Address(Location),
    /// A bit field of the value at this address.
    Field(Location, Field),
    /// Every value of this range.
    Range(Area),
    /// What has this name in a description of registers.
    Register(Symbol),
}

/// A range, whose end may be that of what has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// This range.
    Area(Area),
    /// All of what has this name.
    Whole(Base),
    /// All of what has this name in a description of registers.
    Register(Symbol),
}

impl From<Area> for Extent {
    fn from(area: Area) -> Self {
        Self::Area(area)
    }
}

/// Bits `high` to `low` of a value, both of them included; 63 >= `high` >= `low`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    pub high: u32,
    pub low: u32,
}

impl Place {
    /// Its bytes, with values of `width`. A name must have been resolved.
    pub fn area(self, width: Width) -> Result<Area, String> {
        match self {
            Self::Register(symbol) => Err(format!("{symbol} is the name of a register: give its address")),
            Self::Range(area) => Ok(area),
            Self::Address(location) => location.area(width.bytes()),
            Self::Field(location, field) if field.high < width.bits() => location.area(width.bytes()),
            Self::Field(location, field) => {
                Err(format!("{location}{field}: a value of {width} has no bit {}; use a greater --width", field.high))
            }
        }
    }

    /// The base that it names, if it names one.
    pub fn base(self) -> Option<Base> {
        match self {
            Self::Address(location) | Self::Field(location, _) => location.base,
            Self::Range(area) => area.base,
            Self::Register(_) => None,
        }
    }

    /// The bit field, if it is one.
    pub fn field(self) -> Option<Field> {
        match self {
            Self::Field(_, field) => Some(field),
            Self::Address(_) | Self::Range(_) | Self::Register(_) => None,
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

    /// How many bits its values have.
    pub fn bits(self) -> u32 {
        self.high - self.low + 1
    }
}

/// As in the arguments, after an address.
impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ":{}:{}", self.high, self.low)
    }
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
pub fn address(text: &str) -> Result<Location, String> {
    match place(text)? {
        Place::Address(location) => Ok(location),
        Place::Range(area) => Err(format!("`{text}` is a range: give its address alone, {}", area.start())),
        Place::Field(location, _) => Err(format!("`{text}` is a bit field: give its address alone, {location}")),
        Place::Register(_) => Err(format!("`{text}` is the name of a register: give an address")),
    }
}

/// Reads an address, or the name of a register.
pub fn value(text: &str) -> Result<Place, String> {
    match place(text)? {
        register @ Place::Register(_) => Ok(register),
        _ => address(text).map(Place::Address),
    }
}

/// Reads a range: START+LENGTH, or START-LAST as in /proc/iomem, either also after NAME+; or NAME for all of it.
pub fn range(text: &str) -> Result<Extent, String> {
    match parse(text)? {
        Parsed::Whole(extent) => Ok(extent),
        Parsed::Place(Place::Range(area)) => Ok(area.into()),
        Parsed::Place(Place::Register(symbol)) => Ok(Extent::Register(symbol)),
        Parsed::Place(Place::Address(Location { base: Some(_), .. })) => Err(format!(
            "`{text}` is one address, since the first number after a name is an offset: \
             write {text}+LENGTH or {text}-LAST"
        )),
        Parsed::Place(_) => Err(format!("`{text}` is not a range: write START+LENGTH or START-LAST")),
    }
}

/// Reads an address, a bit field, or a range.
///
/// The first character decides. A digit begins a number, and so a place of the device. A letter begins a name, which
/// reaches up to the first + or : and may have digits and - in it; after + comes the place in what has the name, whose
/// numbers are offsets. So no text has two meanings, whatever windows there are. A name with / is not that of a window,
/// and one with a capital or a point is that of a register.
pub fn place(text: &str) -> Result<Place, String> {
    Ok(match parse(text)? {
        Parsed::Place(place) => place,
        Parsed::Whole(Extent::Area(area)) => Place::Address(area.start()),
        Parsed::Whole(Extent::Whole(base)) => Place::Address(Location { base: Some(base), address: 0 }),
        Parsed::Whole(Extent::Register(symbol)) => Place::Register(symbol),
    })
}

/// What a text says.
enum Parsed {
    Place(Place),
    /// A name alone: its first address, or all of it.
    Whole(Extent),
}

fn parse(text: &str) -> Result<Parsed, String> {
    if !text.starts_with(|first: char| first.is_alphabetic() || first == '_') {
        return place_of_numbers(text, text, None).map(Parsed::Place);
    }
    if let Some(rest) = text.strip_prefix("iomem/") {
        return in_iomem(text, rest);
    }
    if !Base::has_path(text) && Symbol::is(text) {
        return Symbol::parse(text).map(|symbol| Parsed::Place(Place::Register(symbol)));
    }
    let (base, rest) = Base::split(text)?;
    match rest.strip_prefix('+') {
        Some(offset) => place_of_numbers(text, offset, Some(base)).map(Parsed::Place),
        None if rest.is_empty() => Ok(Parsed::Whole(Extent::Whole(base))),
        // A bit field of the first value.
        None => place_of_numbers(text, &format!("0{rest}"), Some(base)).map(Parsed::Place),
    }
}

/// Reads the name in `rest` of a line of /proc/iomem, and the place in its range.
fn in_iomem(text: &str, rest: &str) -> Result<Parsed, String> {
    // Such names have colons, and blanks.
    let (name, offset) = match rest.split_once('+') {
        Some((name, offset)) => (name, Some(offset)),
        None => (rest, None),
    };
    let range = iomem::find(name)?;
    let base = Some(Base::Absolute { within: Some(range) });
    let Some(offset) = offset else { return Ok(Parsed::Whole(Extent::Area(Area { base, range }))) };
    let beyond = || format!("`{text}` goes beyond the end of {name}, which is {range}");
    let moved = |offset: u64, length: u64| {
        let start = range.start().checked_add(offset);
        let moved = start.and_then(|start| PhysRange::new(start, length)).ok_or_else(beyond)?;
        range.contains(&moved).then_some(moved).ok_or_else(beyond)
    };
    let location =
        |location: Location| Ok::<_, String>(Location { base, address: moved(location.address, 1)?.start() });
    Ok(Parsed::Place(match place_of_numbers(text, offset, None)? {
        Place::Range(area) => Place::Range(Area { base, range: moved(area.range.start(), area.range.length())? }),
        Place::Address(address) => Place::Address(location(address)?),
        Place::Field(address, field) => Place::Field(location(address)?, field),
        // Numbers are none.
        name @ Place::Register(_) => name,
    }))
}

/// Reads the `numbers` in `text`, of the device or of what has a name.
fn place_of_numbers(text: &str, numbers: &str, base: Option<Base>) -> Result<Place, String> {
    match numbers.parse::<PhysRange>() {
        Ok(range) => return Ok(Place::Range(Area { base, range })),
        Err(RangeError::NotARange) => (),
        Err(error @ (RangeError::Start(_) | RangeError::End(_))) => return Err(error.of(numbers).to_string()),
        Err(error) => return Err(error.of(text).to_string()),
    }
    let location = |address| Ok(Location { base, address: number(address)? });
    if let Some((address, field)) = numbers.split_once(':') {
        let field = bits(text, field)?;
        return Ok(Place::Field(location(address)?, field));
    }
    location(numbers).map(Place::Address)
}

/// Reads the bit field `field`, HIGH:LOW or BIT, that `text` ends with.
pub fn bits(text: &str, field: &str) -> Result<Field, String> {
    let (high, low) = field.split_once(':').unwrap_or((field, field));
    let bit = |bit: &str| match number(bit)? {
        number @ 0..64 => Ok(number as u32),
        _ => Err(format!("`{text}`: there is no bit {bit}; the highest is 63")),
    };
    let (high, low) = (bit(high)?, bit(low)?);
    if high < low {
        let before = text.strip_suffix(field).unwrap_or_default();
        return Err(format!("`{text}`: the high bit comes first, as in {before}{low}:{high}"));
    }
    Ok(Field { high, low })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::assignment::{first, item};
    use crate::base;

    /// Pieces of what arguments are made of.
    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "",
            "+",
            "-",
            ":",
            "@",
            ".",
            "/",
            "=",
            "[",
            "]",
            "*",
            "?",
            "0",
            "7",
            "0x10",
            "4K",
            "18446744073709551615",
            "sdram",
            "uio0",
            "pci",
            "0000:01:00.0",
            "iomem",
            "UART0",
            "CR",
            "GPIO[3]",
            "é",
            " ",
            "_",
        ]);
        prop::collection::vec(piece, 0..9).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn whatever_is_typed_is_a_place_or_an_error_of_one_line(text in prop_oneof![pieces(), any::<String>()]) {
            let mut errors = vec![place(&text).map(drop), range(&text).map(drop), address(&text).map(drop)];
            errors.extend([value(&text).map(drop), first(&text).map(drop), item(&text).map(drop)]);
            for error in errors.into_iter().filter_map(Result::err) {
                prop_assert!(!error.is_empty() && (error.lines().count() == 1 || text.contains(['\n', '\r'])), "{error}");
            }
            // What is shown is read back.
            if let Ok(place @ Place::Address(location)) = place(&text) {
                prop_assert_eq!(super::place(&location.to_string()), Ok(place));
            }
        }
    }

    #[test]
    fn ranges() {
        let range = |start, length| Ok(Place::Range(PhysRange::new(start, length).unwrap().into()));
        assert_eq!(place("0x64"), Ok(Place::Address(0x64.into())));
        assert_eq!(place("0xc0000000+3M"), range(0xc000_0000, 0x30_0000));
        assert_eq!(place("0xc0000000-0xc02fffff"), range(0xc000_0000, 0x30_0000));
        assert_eq!(place("8-8"), range(8, 1));
        for wrong in ["8+0", "8-7", "2+0xffffffffffffffff", "0-0xffffffffffffffff", "+4", "4+", "1+2+3", "1-2-3"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
        assert!(super::range("8").unwrap_err().contains("START+LENGTH"));
        assert_eq!(address("0x10"), Ok(0x10.into()));
        assert!(address("0x10+4").unwrap_err().ends_with("address alone, 0x00000010"));
        assert!(address("0x10:3").unwrap_err().ends_with("address alone, 0x00000010"));
    }

    /// The location in a window.
    fn at(window: &str, address: u64) -> Location {
        Location { base: Some(Base::Window(base::window(window).unwrap())), address }
    }

    #[test]
    fn a_name_is_followed_by_an_offset() {
        assert_eq!(place("sdram"), Ok(Place::Address(at("sdram", 0))));
        assert_eq!(place("sdram+0x64"), Ok(Place::Address(at("sdram", 0x64))));
        assert_eq!(place("sdram+100"), Ok(Place::Address(at("sdram", 100))));
        assert_eq!(place("sdram+4K"), Ok(Place::Address(at("sdram", 0x1000))));
        let area = Place::Range(at("sdram", 0x100).area(16).unwrap());
        assert_eq!(place("sdram+0x100+16"), Ok(area));
        assert_eq!(place("sdram+0x100-0x10f"), Ok(area));
        let Ok(Place::Field(location, field)) = place("sdram+0x10:7:4") else { panic!() };
        assert_eq!((location, field.mask()), (at("sdram", 0x10), 0xf0));
        let Ok(Place::Field(location, field)) = place("sdram:3") else { panic!() };
        assert_eq!((location, field.mask()), (at("sdram", 0), 8));
        for wrong in ["sdram+", "sdram+c0", "sdram+regs", "sdram+1+", "sdram+1+2+3", "sdram+8+0", "sdram+8-7", "sdram:"]
        {
            assert!(place(wrong).is_err(), "{wrong}");
        }
        assert!(place("sdram+1:2:3").unwrap_err().ends_with("as in sdram+1:3:2"));
    }

    #[test]
    fn the_first_character_decides_between_a_name_and_a_number() {
        // What is between a name and + belongs to the name.
        assert_eq!(place("dsp-regs_0+8"), Ok(Place::Address(at("dsp-regs_0", 8))));
        assert_eq!(place("a-0xff"), Ok(Place::Address(at("a-0xff", 0))));
        // It is no number without 0x.
        assert_eq!(place("c0000000"), Ok(Place::Address(at("c0000000", 0))));
        assert_eq!(place("beef+4"), Ok(Place::Address(at("beef", 4))));
        assert_eq!(place("_0"), Ok(Place::Address(at("_0", 0))));
        // Windows may have these names, too, but not here.
        assert_eq!(place("0x100-0x1ff"), Ok(Place::Range(Location::from(0x100).area(0x100).unwrap())));
        assert_eq!(place("4"), Ok(Place::Address(4.into())));
        assert!(place("3d+4").unwrap_err().contains("write 0x3d for hexadecimal"));
        assert!(place("-regs").is_err() && place("").is_err());
        for wrong in ["sdram 1+4", "é", &"z".repeat(32)] {
            assert!(place(wrong).unwrap_err().contains("is not the name of a window"), "{wrong}");
        }
        assert!(place(&"z".repeat(31)).is_ok());
        for name in ["SDRAM", "Sdram.CR", "a.b", "adc@fpga.STATUS:3"] {
            assert!(matches!(place(name), Ok(Place::Register(_))), "{name}");
        }
        assert!(matches!(range("UART0"), Ok(Extent::Register(_))));
    }

    #[test]
    fn a_name_alone_is_an_address_or_the_whole_window() {
        let sdram = Base::Window(base::window("sdram").unwrap());
        assert_eq!(address("sdram"), Ok(at("sdram", 0)));
        assert_eq!(range("sdram"), Ok(Extent::Whole(sdram)));
        assert_eq!(range("sdram+0+8"), Ok(at("sdram", 0).area(8).unwrap().into()));
        assert!(range("sdram+8").unwrap_err().ends_with("is an offset: write sdram+8+LENGTH or sdram+8-LAST"));
        assert!(range("sdram:3").unwrap_err().contains("not a range"));
        assert!(address("sdram+1+2").unwrap_err().ends_with("give its address alone, sdram+0x00000001"));
        // The option takes every name.
        let name = base::window;
        assert!(name("3d").is_ok() && name("-regs").is_ok() && name("").is_err() && name("a+4").is_err());
    }

    #[test]
    fn fields() {
        let Ok(Place::Field(location, field)) = place("0x10:7:4") else { panic!() };
        assert_eq!(location, 0x10.into());
        assert_eq!((field.mask(), field.max(), field.bits()), (0xf0, 0xf, 4));
        assert_eq!((field.get(0x1234), field.put(5), field.put(0x10)), (3, Some(0x50), None));
        let Ok(Place::Field(_, bit)) = place("0:63") else { panic!() };
        assert_eq!((bit.mask(), bit.max()), (1 << 63, 1));
        let Ok(Place::Field(_, all)) = place("0:63:0") else { panic!() };
        assert_eq!((all.mask(), all.bits()), (u64::MAX, 64));
        for wrong in ["0:64", "0:4:7", "0:", "0:1:2:3", ":1", "0:-1"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_field_must_lie_within_the_width() {
        let field = place("0x10:31:16").unwrap();
        assert!(field.area(Width::Bits32).is_ok());
        assert!(field.area(Width::Bits16).unwrap_err().contains("no bit 31"));
        assert!(place("0xffffffffffffffff").unwrap().area(Width::Bits16).is_err());
    }
}
