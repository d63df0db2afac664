// SPDX-License-Identifier: MIT OR Apache-2.0

//! `md` and `mw`, the commands of Pengutronix' `memtool` and of barebox.
//!
//! -s and -d name another device. `mmap:` before the name is left out as in the original; `mdio:`, the registers of a
//! PHY, is refused. More differences from the original:
//!
//! * An argument that is not all a number, an unknown option, an empty region and one argument too many are errors.
//! * `mw` neither makes a file nor extends one.
//! * All of a region must exist before any of it is read.
//! * `memtool -V` prints the version of devmap.

use std::io::{self, Write};

use devmap::{Endian, Operation, PhysRange, Width};
use lexopt::Arg::{Short, Value};
use lexopt::Parser;

use super::{extent, is_help, map, number, open, print, range, unknown, value, width_64};
use crate::failure::{self, Failure};
use crate::place::check_values;

const USAGE: &str = "\
Usage: memtool md [OPTIONS] [REGION]       print a region of memory; `memtool md --help` says more
       memtool mw [OPTIONS] OFFSET DATA... write values; `memtool mw --help` says more
";

const MD_USAGE: &str = "\
Usage: md [-b | -w | -l | -q] [-x] [-s FILE] [REGION]
  REGION          START+SIZE, START-LAST, or START for 256 bytes; without it 0+256
  -b, -w, -l, -q  accesses of 8, 16, 32 (the default) or 64 bits
  -x              print the bytes of each value in the opposite order
  -s FILE         read this device, or file
Numbers are those of C, and may end with k, M or G.
";

const MW_USAGE: &str = "\
Usage: mw [-b | -w | -l | -q] [-d FILE] OFFSET DATA...
  OFFSET          where the first value goes; the others follow it
  DATA            what to write
  -b, -w, -l, -q  accesses of 8, 16, 32 (the default) or 64 bits
  -d FILE         write this device, or file
Numbers are those of C; OFFSET may end with k, M or G.
";

/// How many bytes `md` prints of a region whose size is not given.
const DEFAULT_SIZE: u64 = 0x100;

/// How many bytes a line shows.
const LINE: usize = 16;

/// The columns of a line's values, before its characters.
const VALUES: usize = 52;

/// `memtool`.
pub fn run(arguments: &[String]) -> Result<(), Failure> {
    let wrong = |what: String| Failure::Usage(format!("{what}: give md or mw, as `memtool --help` says"));
    let (command, rest) = arguments.split_first().ok_or_else(|| wrong("the command is missing".into()))?;
    match command.as_str() {
        "md" => md(rest),
        "mw" => mw(rest),
        "-V" => print(concat!("devmap ", env!("CARGO_PKG_VERSION"), "\n")),
        "-h" | "--help" => print(USAGE),
        _ => Err(wrong(format!("there is no command `{command}`"))),
    }
}

/// `md`.
pub fn md(arguments: &[String]) -> Result<(), Failure> {
    if is_help(arguments) {
        return print(MD_USAGE);
    }
    let Loads { options, region, rest } = Loads::parse(arguments)?;
    let mapping = map(&open(options.file.as_deref(), Operation::Read)?, region, Operation::Read, options.width)?;
    if rest != 0 {
        let text = options.region();
        failure::say(format!("md: `{text}` ends within a value of {}, which is left out", options.width));
    }
    let bulk = mapping.bulk().with_width(options.width);
    let mut out = io::stdout().lock();
    for offset in (0..mapping.len()).step_by(LINE) {
        let bytes = &mut [0; LINE][..LINE.min(mapping.len() - offset)];
        // One load for each value.
        bulk.read_into(offset, bytes)?;
        writeln!(out, "{}", line(region.start() + offset as u64, bytes, options.width, options.swapped))?;
    }
    Ok(out.flush()?)
}

/// What `md` loads.
pub struct Loads {
    pub options: Options,
    pub region: PhysRange,
    /// How many bytes follow the last value.
    pub rest: u64,
}

impl Loads {
    /// Reads the arguments of `md`.
    pub fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let options = Options::parse("md", 's', arguments).map_err(Failure::Usage)?;
        if let [_, more, ..] = &options.operands[..] {
            return Err(Failure::Usage(format!("`{more}` is one argument too many: give one region")));
        }
        let (region, rest) = region(options.region(), options.width).map_err(Failure::Usage)?;
        Ok(Self { options, region, rest })
    }
}

/// `mw`.
pub fn mw(arguments: &[String]) -> Result<(), Failure> {
    if is_help(arguments) {
        return print(MW_USAGE);
    }
    let Stores { options, range, values } = Stores::parse(arguments)?;
    let mapping = map(&open(options.file.as_deref(), Operation::Write)?, range, Operation::Write, options.width)?;
    for (index, value) in values.into_iter().enumerate() {
        mapping.write_value(options.width, index * options.width.bytes(), value)?;
    }
    Ok(())
}

/// What `mw` stores, and where.
pub struct Stores {
    pub options: Options,
    pub range: PhysRange,
    pub values: Vec<u64>,
}

impl Stores {
    /// Reads the arguments of `mw`.
    pub fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let options = Options::parse("mw", 'd', arguments).map_err(Failure::Usage)?;
        let [offset, data @ ..] = &options.operands[..] else {
            return Err(Failure::Usage("the offset is missing: give it, and then the data".into()));
        };
        let values: Result<Vec<u64>, String> = data.iter().map(|text| number(text)).collect();
        let (start, values) = suffixed(offset).and_then(|start| Ok((start, values?))).map_err(Failure::Usage)?;
        if values.is_empty() {
            return Err(Failure::Usage("the data is missing: give it after the offset".into()));
        }
        check_values(&values, options.width)?;
        let length = values.len() * options.width.bytes();
        let range = range(offset, start, length as u64).map_err(Failure::Usage)?;
        Ok(Self { options, range, values })
    }
}

/// The options of both, and what is not an option.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    pub width: Width,
    file: Option<String>,
    swapped: bool,
    operands: Vec<String>,
}

impl Options {
    /// Reads the arguments of `command`, whose option `file` names a file.
    fn parse(command: &str, file: char, arguments: &[String]) -> Result<Self, String> {
        let mut options = Self { width: Width::Bits32, file: None, swapped: false, operands: Vec::new() };
        let mut arguments = Parser::from_args(arguments);
        while let Some(argument) = arguments.next().map_err(unknown)? {
            match argument {
                Short('b') => options.width = Width::Bits8,
                Short('w') => options.width = Width::Bits16,
                Short('l') => options.width = Width::Bits32,
                Short('q') => {
                    options.width = width_64().ok_or("-q: this processor has no access of 64 bits: use -l")?;
                }
                Short('x') if command == "md" => options.swapped = true,
                Short(letter) if letter == file => {
                    let path = value(&mut arguments)?;
                    if path.starts_with("mdio:") {
                        return Err(format!(
                            "`{path}`: the registers of a PHY are not memory: use the original memtool"
                        ));
                    }
                    options.file = Some(path.strip_prefix("mmap:").unwrap_or(&path).into());
                }
                Value(text) => options.operands.push(text.to_string_lossy().into()),
                other => return Err(unknown(other.unexpected())),
            }
        }
        Ok(options)
    }

    /// The region that `md` prints.
    fn region(&self) -> &str {
        self.operands.first().map_or("0", String::as_str)
    }
}

/// Reads a region: the whole values in it, and how many bytes follow the last of them.
fn region(text: &str, width: Width) -> Result<(PhysRange, u64), String> {
    let (start, size) = extent(text, suffixed, true)?;
    let size = size.unwrap_or(DEFAULT_SIZE);
    let rest = size % width.bytes() as u64;
    Ok((range(text, start, size - rest)?, rest))
}

/// Reads a number of C that may end with a unit.
fn suffixed(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.char_indices().next_back() {
        Some((at, 'k' | 'K')) => (&text[..at], 10),
        Some((at, 'M')) => (&text[..at], 20),
        Some((at, 'G')) => (&text[..at], 30),
        _ => (text, 0),
    };
    let value = number(digits)?;
    value.checked_mul(1 << shift).ok_or_else(|| format!("`{text}` has more than 64 bits: give a smaller number"))
}

/// The line of `md` for these bytes of values at `address`.
fn line(address: u64, bytes: &[u8], width: Width, swapped: bool) -> String {
    let big = Endian::Native.is_big() != swapped;
    let mut values = String::with_capacity(VALUES);
    for value in bytes.chunks(width.bytes()) {
        values.push(' ');
        let digits = |byte: &u8| values.push_str(&format!("{byte:02x}"));
        if big {
            value.iter().for_each(digits);
        } else {
            value.iter().rev().for_each(digits);
        }
    }
    // Not `escape_ascii`: every other character is a point.
    let text: String =
        bytes.iter().map(|byte| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '.' }).collect();
    format!("{address:08x}:{values:VALUES$}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[String]) -> Result<Options, String> {
        Options::parse("md", 's', arguments)
    }

    fn split(line: &str) -> Vec<String> {
        line.split_whitespace().map(String::from).collect()
    }

    #[test]
    fn a_region_has_a_size_or_a_last_address() {
        let range = |start, length| Ok((PhysRange::new(start, length).unwrap(), 0));
        for (text, expected) in [
            ("0x1000", range(0x1000, 0x100)),
            ("0x1000+0x20", range(0x1000, 0x20)),
            ("0x1000-0x100f", range(0x1000, 0x10)),
            ("1M+1k", range(0x10_0000, 0x400)),
            ("1G-1G", range(0x4000_0000, 1)),
            ("010+010", range(8, 8)),
            ("0+2K", range(0, 0x800)),
        ] {
            assert_eq!(region(text, Width::Bits8), expected, "{text}");
        }
        let whole = PhysRange::new(0x1000, 0x10).unwrap();
        assert_eq!(region("0x1000-0x1010", Width::Bits32), Ok((whole, 1)));
        for (wrong, says) in [
            ("", "`` is not a number"),
            ("1m", "`1m` is not a number"),
            ("+4", "`` is not a number"),
            ("4+", "`` is not a number"),
            ("1+2+3", "`2+3` is not a number"),
            ("8-7", "`8-7` ends before it begins"),
            ("8+0", "`8+0` is empty"),
            ("8+3", "`8+3` is empty"),
            ("0-0xffffffffffffffff", "`0-0xffffffffffffffff` is longer"),
            ("0xffffffffffffffff+8", "goes beyond the last address"),
            ("0x10000000000000G", "has more than 64 bits"),
        ] {
            let error = region(wrong, Width::Bits32).unwrap_err();
            assert!(error.contains(says), "{wrong}: {error}");
        }
    }

    #[test]
    fn the_last_width_counts_and_a_file_may_have_a_prefix() {
        let arguments = split("-bxq 0 -ws mmap:f 5");
        let expected = Options { width: Width::Bits16, file: Some("f".into()), swapped: true, operands: split("0 5") };
        if Width::Bits64.is_native() {
            assert_eq!(parse(&arguments), Ok(expected));
        }
        for (wrong, says) in [
            ("-d f", "invalid option '-d': see --help"),
            ("--width=8", "invalid option '--width'"),
            ("-s", "missing argument for option '-s'"),
            ("-s mdio:eth0.1", "not memory"),
        ] {
            let error = parse(&split(wrong)).unwrap_err();
            assert!(error.contains(says), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_line_shows_values_in_their_order_and_bytes_in_that_of_memory() {
        let bytes = b"Hello, world ~\x7f\0";
        let line = |width, swapped| line(0x1000, bytes, width, swapped);
        let big = Endian::Native.is_big();
        assert_eq!(line(Width::Bits8, false), line(Width::Bits8, true));
        assert_eq!(
            line(Width::Bits8, false),
            "00001000: 48 65 6c 6c 6f 2c 20 77 6f 72 6c 64 20 7e 7f 00    Hello, world ~.."
        );
        assert_eq!(
            line(Width::Bits16, !big),
            "00001000: 4865 6c6c 6f2c 2077 6f72 6c64 207e 7f00            Hello, world ~.."
        );
        assert_eq!(
            line(Width::Bits32, big),
            "00001000: 6c6c6548 77202c6f 646c726f 007f7e20                Hello, world ~.."
        );
        assert_eq!(
            line(Width::Bits64, big),
            "00001000: 77202c6f6c6c6548 007f7e20646c726f                  Hello, world ~.."
        );
        let end = super::line(0x1_0000_0000, b"abc", Width::Bits8, false);
        assert_eq!(end, format!("100000000: 61 62 63{:43}abc", ""));
    }
}
