// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tomi Valkeinen's `rwmem`: the options of its releases 2 and 3, except that -d has the meaning of release 3.
//!
//! `mmap FILE` and --mmap name another device. There are no register databases, and so no names of registers and
//! fields, no `list` and no `rwmem.ini`; and there is no I2C. -v is accepted, and prints nothing. More differences from
//! the original:
//!
//! * Every place is parsed, checked and mapped before the first access: a mistake in the last changes nothing.
//! * Sizes of 24, 40, 48 and 56 bits are refused: the original accesses such a value byte by byte.
//! * A range is not empty, and ends with a whole value; in a field the high bit is not below the low one.
//! * With -R, which writes nothing, a value is an error, and with -w w, which reads nothing, a place without one. The
//!   original ignores both.
//! * -R works at every address. The original fails unless a range begins at 0.

use std::io::{self, Write};

use devmap::{Endian, Mapping, Operation, PhysRange, Width};
use lexopt::Arg::{Long, Short, Value};
use lexopt::Parser;

use super::{extent, is_help, map, number, open, print, range, unknown, value};
use crate::failure::Failure;
use crate::output::{Format, Formatted, Hex};
use crate::place::Field;

const USAGE: &str = "\
Usage: rwmem [mmap FILE] [OPTIONS] ADDRESS[+LENGTH | -END][:FIELD][=VALUE]...
  ADDRESS             where; +LENGTH or -END, the address after the last one, make it a range
  FIELD               a bit, or HIGH:LOW
  VALUE               what to write, into every value of a range
  -s, -d, --data SIZE[ORDER]
                      accesses of 8, 16, 32 (the default) or 64 bits, and the order of the bytes: le (the default),
                      be, or les or bes with the halves of the value exchanged
  -w, --write MODE    to write a value, w stores it and clears all else; rw loads the old value before; rwr (the
                      default) also loads the new one after
  -p, --print WHAT    q prints nothing, r values, rf (the default) also the field
  -f, --format BASE   print numbers in x (the default), b or d for base 16, 2 or 10; also -b, --binary and --decimal
  -R, --raw           copy the bytes of what is read to the output
  --mmap FILE         use this device, or file; as `mmap FILE`
Numbers are those of C; HIGH and LOW are decimal.
";

const NO_NAMES: &str = "register databases are not read, so registers have no names: give the address, as in 0x10:7:4";
const NO_I2C: &str = "devices on an I2C bus are not memory: use the original rwmem for them";

/// Reads the arguments.
pub fn parse(arguments: &[String]) -> Result<(Settings, Vec<Place>), String> {
    let settings = Settings::parse(arguments)?;
    let places = settings.places()?;
    Ok((settings, places))
}

pub fn run(arguments: &[String]) -> Result<(), Failure> {
    if is_help(arguments) {
        return print(USAGE);
    }
    let (settings, places) = parse(arguments).map_err(Failure::Usage)?;
    let mut mapped = Vec::with_capacity(places.len());
    for place in places {
        let operation = if place.value.is_some() { Operation::Write } else { Operation::Read };
        let mapping = map(&open(settings.file.as_deref(), operation)?, place.range, operation, settings.layout.width)?;
        mapped.push((place, mapping.with_endian(settings.layout.endian)));
    }
    let mut out: Box<dyn Write> = match settings.shown {
        Shown::Nothing if !settings.raw => Box::new(io::sink()),
        _ => Box::new(io::stdout().lock()),
    };
    for (place, mapping) in &mapped {
        for offset in (0..mapping.len()).step_by(settings.layout.width.bytes()) {
            settings.access(place, mapping, offset, &mut out)?;
        }
    }
    Ok(out.flush()?)
}

/// How a value lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pub width: Width,
    endian: Endian,
    /// Whether the halves of a value of 32 or 64 bits are exchanged.
    swapped: bool,
}

impl Layout {
    /// Reads a size and, after it, an order.
    fn parse(text: &str) -> Result<Self, String> {
        let (size, order) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        let widths = Width::ALL.into_iter().filter(|width| width.is_native());
        let width = widths.clone().find(|width| width.bits().to_string() == size);
        let order = match order {
            "" | "le" => Some((Endian::Little, false)),
            "be" => Some((Endian::Big, false)),
            "les" => Some((Endian::Little, true)),
            "bes" => Some((Endian::Big, true)),
            _ => None,
        };
        let (Some(width), Some((endian, swapped))) = (width, order) else {
            let sizes: Vec<_> = widths.map(|width| width.bits().to_string()).collect();
            let sizes = sizes.join(", ");
            return Err(format!(
                "`{text}` is not the size of an access: give one of {sizes}, and then le, be, les or bes"
            ));
        };
        Ok(Self { width, endian, swapped })
    }

    /// A value as it is in memory, from one as it is meant; the same both ways.
    fn exchange(self, value: u64) -> u64 {
        match self.width {
            Width::Bits32 if self.swapped => (value as u32).rotate_left(16).into(),
            Width::Bits64 if self.swapped => value.rotate_left(32),
            _ => value,
        }
    }
}

/// Which accesses write a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Write,
    ReadWrite,
    ReadWriteRead,
}

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Nothing,
    Values,
    Fields,
}

/// The options, and what is not an option.
#[derive(Debug, PartialEq, Eq)]
pub struct Settings {
    file: Option<String>,
    pub layout: Layout,
    mode: Mode,
    shown: Shown,
    format: Format,
    raw: bool,
    operands: Vec<String>,
}

impl Settings {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut settings = Self {
            file: None,
            layout: Layout { width: Width::Bits32, endian: Endian::Little, swapped: false },
            mode: Mode::ReadWriteRead,
            shown: Shown::Fields,
            format: Format::Hex,
            raw: false,
            operands: Vec::new(),
        };
        let mut arguments = Parser::from_args(arguments);
        while let Some(argument) = arguments.next().map_err(unknown)? {
            match argument {
                Short('s' | 'd') | Long("data") => settings.layout = Layout::parse(&value(&mut arguments)?)?,
                Short('w') | Long("write") => {
                    let modes = [("w", Mode::Write), ("rw", Mode::ReadWrite), ("rwr", Mode::ReadWriteRead)];
                    settings.mode = choose("--write", &value(&mut arguments)?, modes)?;
                }
                Short('p') | Long("print") => {
                    let shown = [("q", Shown::Nothing), ("r", Shown::Values), ("rf", Shown::Fields)];
                    settings.shown = choose("--print", &value(&mut arguments)?, shown)?;
                }
                Short('f') | Long("format") => {
                    let bases = [("x", Format::Hex), ("b", Format::Binary), ("d", Format::Decimal)];
                    settings.format = choose("--format", &value(&mut arguments)?, bases)?;
                }
                Short('b') | Long("binary") => settings.format = Format::Binary,
                Long("decimal") => settings.format = Format::Decimal,
                Short('R') | Long("raw") => settings.raw = true,
                Short('v') | Long("verbose") => (),
                Long("mmap") => settings.file = Some(value(&mut arguments)?),
                Short('r') | Long("regs" | "ignore-base" | "list") => return Err(NO_NAMES.into()),
                Short('a' | 'S') | Long("addr" | "i2c") => return Err(NO_I2C.into()),
                Value(text) => settings.operands.push(text.to_string_lossy().into()),
                other => return Err(unknown(other.unexpected())),
            }
        }
        match settings.operands.first().map(String::as_str) {
            Some("mmap") if settings.operands.len() == 1 => {
                return Err("the file is missing: give it after mmap".into());
            }
            Some("mmap") => settings.file = settings.operands.drain(..2).next_back(),
            Some("list") => return Err(NO_NAMES.into()),
            Some("i2c") => return Err(NO_I2C.into()),
            _ => (),
        }
        Ok(settings)
    }

    /// What to access.
    fn places(&self) -> Result<Vec<Place>, String> {
        if self.operands.is_empty() {
            return Err("an address is missing: give one or more, as `rwmem --help` says".into());
        }
        self.operands.iter().map(|text| self.place(text)).collect()
    }

    /// Reads a place.
    fn place(&self, text: &str) -> Result<Place, String> {
        let width = self.layout.width;
        let (rest, value) = split(text, '=');
        let (extended, field) = split(rest, ':');
        if extended.starts_with(|first: char| first.is_alphabetic()) {
            return Err(format!("`{text}`: {NO_NAMES}"));
        }
        let (start, length) = extent(extended, number, false)?;
        let range = range(extended, start, length.unwrap_or(width.bytes() as u64))?;
        let field = field.map(|field| self::field(field, width)).transpose()?;
        let value = value.map(number).transpose()?;
        match value {
            Some(_) if self.raw => {
                return Err(format!("`{text}`: -R prints what is read, and writes nothing: leave out -R or the value"));
            }
            None if self.mode == Mode::Write && !self.raw => {
                return Err(format!("`{text}`: -w w reads nothing: give a value, or use another mode"));
            }
            _ => (),
        }
        let place = Place { range, field, value };
        let max = place.bits(width).max();
        match value {
            Some(value) if value > max => {
                Err(format!("`{text}`: {value:#x} does not fit: the greatest value for these bits is {max:#x}"))
            }
            _ => Ok(place),
        }
    }

    /// Reads or writes the value at `offset` of `mapping`, which `place` is a part of, and prints it.
    fn access(&self, place: &Place, mapping: &Mapping, offset: usize, out: &mut impl Write) -> Result<(), Failure> {
        let width = self.layout.width;
        let load = || mapping.read_value(width, offset).map(|value| self.layout.exchange(value));
        if self.raw {
            let bytes = load()?.to_ne_bytes();
            let first = if Endian::Native.is_big() { bytes.len() - width.bytes() } else { 0 };
            return Ok(out.write_all(&bytes[first..][..width.bytes()])?);
        }
        let columns = columns(self.format, width);
        let number = |value| format!("{:>columns$}", self.digits(value));
        let start = place.range.start();
        write!(out, "{:#04x} ", start + offset as u64)?;
        if start != 0 {
            let digits = place.range.length().ilog2().div_ceil(4) as usize;
            write!(out, "(+{offset:#0digits$x}) ")?;
        }
        let old = if self.mode == Mode::Write { None } else { Some(load()?) };
        if let Some(old) = old {
            write!(out, "= {}", number(old))?;
        }
        let (mut stored, mut new) = (None, None);
        if let Some(value) = place.value {
            let bits = place.bits(width);
            let value = (old.unwrap_or(0) & !bits.mask()) | (value << bits.low);
            write!(out, " := {}", number(value))?;
            // If the store hangs the machine, its line is on the screen.
            out.flush()?;
            mapping.write_value(width, offset, self.layout.exchange(value))?;
            stored = Some(value);
            if self.mode == Mode::ReadWriteRead {
                let value = load()?;
                write!(out, " -> {}", number(value))?;
                new = Some(value);
            }
        }
        writeln!(out)?;
        if let (Some(field), Shown::Fields) = (place.field, self.shown) {
            writeln!(out, "{}", self.field_line(field, [old, stored, new]))?;
        }
        Ok(())
    }

    /// `value`, with all digits of the width unless they are decimal.
    fn digits(&self, value: u64) -> String {
        Formatted(Hex::of(value, self.layout.width), self.format).to_string()
    }

    /// The line for a field of the value that was loaded, of the one stored, and of the one loaded again.
    fn field_line(&self, field: Field, values: [Option<u64>; 3]) -> String {
        let Field { high, low } = field;
        let columns = columns(self.format, self.layout.width);
        let mut line = if high == low { format!("     {low:<2} = ") } else { format!("  {high:2}:{low:<2} = ") };
        for (sign, value) in ["", ":= ", "-> "].into_iter().zip(values) {
            if let Some(value) = value {
                line += &format!("{sign}{:<columns$} ", self.digits(field.get(value)));
            }
        }
        line
    }
}

/// What to access: every value of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub range: PhysRange,
    /// The field to print and write, if not the whole value.
    pub field: Option<Field>,
    /// What to write, which fits.
    pub value: Option<u64>,
}

impl Place {
    /// The bits to write.
    fn bits(&self, width: Width) -> Field {
        self.field.unwrap_or(Field { high: width.bits() - 1, low: 0 })
    }
}

/// Reads the bits of a field: one, or the high and the low one.
fn field(text: &str, width: Width) -> Result<Field, String> {
    let bits = match text.split_once(':') {
        Some((high, low)) => high.parse().ok().zip(low.parse().ok()),
        None => number(text).ok().map(|bit| (bit, bit)),
    };
    match bits {
        Some((high, _)) if high >= width.bits().into() => {
            Err(format!("`{text}`: a value of {width} has no bit {high}: use a greater -s"))
        }
        Some((high, low)) if high < low => Err(format!("`{text}`: the high bit comes first: write {low}:{high}")),
        Some((high, low)) => Ok(Field { high: high as u32, low: low as u32 }),
        None => Err(format!("`{text}` is not a bit field: write BIT, or HIGH:LOW in decimal; names are not known")),
    }
}

/// `text` up to the first `mark`, and what follows that.
fn split(text: &str, mark: char) -> (&str, Option<&str>) {
    text.split_once(mark).map_or((text, None), |(before, after)| (before, Some(after)))
}

/// The columns that the original keeps for a value of `width`.
fn columns(format: Format, width: Width) -> usize {
    2 + match format {
        Format::Hex => 2 * width.bytes(),
        Format::Binary => 8 * width.bytes(),
        // The logarithm of 2 to base 10, but rounded down.
        Format::Decimal => 8 * width.bytes() * 30_103 / 100_000,
    }
}

/// What the value of `option` stands for.
fn choose<T>(option: &str, value: &str, among: [(&str, T); 3]) -> Result<T, String> {
    let names = among.each_ref().map(|(name, _)| *name);
    let found = among.into_iter().find(|(name, _)| *name == value);
    found.map(|(_, meaning)| meaning).ok_or_else(|| format!("`{option} {value}`: give one of {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<T>(line: &str, then: impl FnOnce(Settings) -> Result<T, String>) -> Result<T, String> {
        let arguments: Vec<String> = line.split_whitespace().map(String::from).collect();
        Settings::parse(&arguments).and_then(then)
    }

    fn places(line: &str) -> Result<Vec<Place>, String> {
        parse(line, |settings| settings.places())
    }

    #[test]
    fn a_place_has_a_range_a_field_and_a_value() {
        let place = |start, length, field: Option<(u32, u32)>, value| {
            let range = PhysRange::new(start, length).unwrap();
            Place { range, field: field.map(|(high, low)| Field { high, low }), value }
        };
        for (text, expected) in [
            ("0x10", place(0x10, 4, None, None)),
            ("-s 16be 0x10", place(0x10, 2, None, None)),
            ("0x10 -s8", place(0x10, 1, None, None)),
            ("0x10+0x20", place(0x10, 0x20, None, None)),
            ("0x10-0x20", place(0x10, 0x10, None, None)),
            ("0x10:7", place(0x10, 4, Some((7, 7)), None)),
            ("0x10:0x7", place(0x10, 4, Some((7, 7)), None)),
            ("0x10+8:7:04=0xf", place(0x10, 8, Some((7, 4)), Some(15))),
            ("0x10=0xffffffff", place(0x10, 4, None, Some(0xffff_ffff))),
            ("0x10:31:0=010", place(0x10, 4, Some((31, 0)), Some(8))),
        ] {
            assert_eq!(places(text), Ok(vec![expected]), "{text}");
        }
        assert_eq!(places("0 4 8").unwrap().len(), 3);
    }

    #[test]
    fn a_wrong_place_says_why() {
        for (wrong, says) in [
            ("", "an address is missing"),
            ("mmap f", "an address is missing"),
            ("mmap", "the file is missing"),
            ("0x", "`0x` is not a number"),
            (":3", "`` is not a number"),
            ("0=", "`` is not a number"),
            ("0=-1", "`-1` is not a number"),
            ("0+", "`` is not a number"),
            ("0:", "`` is not a bit field"),
            ("0:x", "names are not known"),
            ("0:0x7:4", "is not a bit field"),
            ("0:4:7", "the high bit comes first: write 7:4"),
            ("0:32", "a value of 32 bits has no bit 32"),
            ("-s 8 0:8:0", "a value of 8 bits has no bit 8"),
            ("0:7:4=16", "0x10 does not fit: the greatest value for these bits is 0xf"),
            ("-s 16 0=0x10000", "the greatest value for these bits is 0xffff"),
            ("0+0", "`0+0` is empty"),
            ("8-8", "`8-8` is empty"),
            ("8-4", "`8-4` ends before it begins"),
            ("0xffffffffffffffff", "goes beyond the last address"),
            ("-R 0=1", "-R prints what is read"),
            ("-w w 0=1 4", "`4`: -w w reads nothing"),
            ("DISPC.SYSCONFIG:MIDLEMODE=1", "registers have no names"),
        ] {
            let error = places(wrong).unwrap_err();
            assert!(error.contains(says), "{wrong}: {error}");
        }
    }

    #[test]
    fn both_releases_options_are_taken() {
        let debug = |line| parse(line, |settings| Ok(format!("{settings:?}"))).unwrap();
        for (old, new) in [
            ("-s 16be --mmap f 0", "mmap f -d 16be 0"),
            ("--mmap=f -b 0", "mmap f --format b 0"),
            ("-Rp q -w rw --decimal 0", "--raw --print=q --write=rw -fd 0"),
            ("-v 0", "--verbose -- 0"),
        ] {
            assert_eq!(debug(old), debug(new), "{old}");
        }
        for (wrong, says) in [
            ("-s 24 0", "`24` is not the size of an access: give one of 8, 16, 32"),
            ("-s 16BE 0", "and then le, be, les or bes"),
            ("-d 0x10", "`0x10` is not the size"),
            ("-w r 0", "`--write r`: give one of w, rw, rwr"),
            ("--print=x 0", "`--print x`: give one of q, r, rf"),
            ("--regs f 0", "register databases are not read"),
            ("list", "register databases are not read"),
            ("i2c 1:0x50 0", "devices on an I2C bus"),
            ("--i2c=1:0x50 0", "devices on an I2C bus"),
            ("-z", "invalid option '-z': see --help"),
            ("--raw=1 0", "unexpected argument for option '--raw'"),
            ("0 -s", "missing argument for option '-s'"),
        ] {
            let error = places(wrong).unwrap_err();
            assert!(error.contains(says), "{wrong}: {error}");
        }
    }

    #[test]
    fn orders_exchange_halves() {
        let exchange = |layout, value| Layout::parse(layout).unwrap().exchange(value);
        assert_eq!(exchange("32be", 0x1234_5678), 0x1234_5678);
        assert_eq!(exchange("32bes", 0x1234_5678), 0x5678_1234);
        assert_eq!(exchange("16les", 0x1234), 0x1234);
        if Width::Bits64.is_native() {
            assert_eq!(exchange("64les", 0x0123_4567_89ab_cdef), 0x89ab_cdef_0123_4567);
        }
    }

    #[test]
    fn numbers_have_the_columns_of_their_width() {
        let columns = |format| Width::ALL.map(|width| columns(format, width));
        assert_eq!(columns(Format::Hex), [4, 6, 10, 18]);
        assert_eq!(columns(Format::Binary), [10, 18, 34, 66]);
        assert_eq!(columns(Format::Decimal), [4, 6, 11, 21]);
    }
}
