// SPDX-License-Identifier: MIT OR Apache-2.0

//! Other programs by their names: the arguments and the output that scripts expect.
//!
//! They open `DEVMAP_DEVICE`, or the node of the driver, where the originals open /dev/mem. They refuse what is not one
//! access: an address that is not a multiple of the width, and so every access across the end of a page. They also
//! refuse a value that does not fit, where the originals truncate it. Each module says what else differs.

mod devmem;
mod devmem2;
mod memtool;
mod rwmem;

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use devmap::{Device, Mapping, Operation, PhysRange, Width, DEFAULT_DEVICE};

use crate::failure::{report, Failure};
use crate::location::Location;

/// Runs the program called `name` on the arguments of this process; `None` if there is none. Every failure has status
/// 1, as most have in the originals.
pub fn run(name: &str) -> Option<ExitCode> {
    let program = match name {
        "devmem2" => devmem2::run,
        "devmem" => devmem::run,
        "memtool" => memtool::run,
        "md" => memtool::md,
        "mw" => memtool::mw,
        "rwmem" => rwmem::run,
        _ => return None,
    };
    let arguments: Vec<String> = env::args_os().skip(1).map(|argument| argument.to_string_lossy().into()).collect();
    // What is written after the reader has gone would be missing.
    let only_prints = name == "md";
    Some(report(false, name, only_prints, program(&arguments)).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS))
}

/// What the program called `name` would access if it got these arguments: for the fuzzer, which opens nothing.
#[cfg(any(test, fuzzing))]
pub fn accesses(name: &str, arguments: &[String]) -> Result<Vec<Store>, Failure> {
    let single = |Access { address, width, value }: Access| {
        let area = Location::from(address).area(width.bytes()).map_err(Failure::Usage)?;
        Ok(vec![Store { range: area.range, width, values: value.into_iter().collect() }])
    };
    match name {
        "devmem2" => single(devmem2::parse(arguments)?.0),
        "devmem" => single(devmem::parse(arguments)?),
        "md" => {
            let memtool::Loads { options, region, .. } = memtool::Loads::parse(arguments)?;
            Ok(vec![Store { range: region, width: options.width, values: Vec::new() }])
        }
        "mw" => {
            let memtool::Stores { options, range, values } = memtool::Stores::parse(arguments)?;
            Ok(vec![Store { range, width: options.width, values }])
        }
        _ => {
            let (settings, places) = rwmem::parse(arguments).map_err(Failure::Usage)?;
            let width = settings.layout.width;
            let each =
                |place: &rwmem::Place| Store { range: place.range, width, values: place.value.into_iter().collect() };
            Ok(places.iter().map(each).collect())
        }
    }
}

/// A range to access, and what to store there, if anything.
#[cfg(any(test, fuzzing))]
pub struct Store {
    pub range: PhysRange,
    pub width: Width,
    pub values: Vec<u64>,
}

/// Whether the usage is wanted. No number, width or file is called so.
fn is_help(arguments: &[String]) -> bool {
    arguments.iter().any(|argument| argument == "--help" || argument == "-h")
}

/// Prints `text`.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// The value of the option that `arguments` has just returned.
fn value(arguments: &mut lexopt::Parser) -> Result<String, String> {
    Ok(arguments.value().map_err(unknown)?.to_string_lossy().into())
}

/// What is wrong with an option.
fn unknown(error: lexopt::Error) -> String {
    format!("{error}: see --help")
}

/// 64 bits, if this processor has such accesses.
fn width_64() -> Option<Width> {
    Some(Width::Bits64).filter(|width| width.is_native())
}

/// Opens `file`, or else the device that DEVMAP_DEVICE names, or else the node of the driver.
fn open(file: Option<&str>, operation: Operation) -> Result<Device, Failure> {
    let path = match file {
        Some(file) => file.into(),
        None => env::var_os("DEVMAP_DEVICE").unwrap_or_else(|| DEFAULT_DEVICE.into()),
    };
    Ok(match operation {
        Operation::Read => Device::open_read_only(path),
        _ => Device::open(path),
    }?)
}

/// Maps `range`, after which `operation` on all of it in accesses of `width` cannot fail.
fn map(device: &Device, range: PhysRange, operation: Operation, width: Width) -> Result<Mapping, Failure> {
    let mapping = device.map(range)?;
    mapping.bulk().with_width(width).check(operation, 0, mapping.len())?;
    Ok(mapping)
}

/// Reads START, START+SIZE or START-END: the start, and the size if there is one. END is the last address if it is
/// `included`, and else the one after it.
fn extent(
    text: &str,
    number: impl Fn(&str) -> Result<u64, String>,
    included: bool,
) -> Result<(u64, Option<u64>), String> {
    let Some(at) = text.find(['+', '-']) else { return Ok((number(text)?, None)) };
    let (start, second) = (number(&text[..at])?, number(&text[at + 1..])?);
    if text[at..].starts_with('+') {
        return Ok((start, Some(second)));
    }
    let size = second.checked_sub(start).ok_or_else(|| format!("`{text}` ends before it begins: give the end last"))?;
    let size = size.checked_add(included.into()).ok_or_else(|| format!("`{text}` is longer than 64 bits can say"))?;
    Ok((start, Some(size)))
}

/// The `length` bytes from `start` on, which `text` stands for.
fn range(text: &str, start: u64, length: u64) -> Result<PhysRange, String> {
    if length == 0 {
        return Err(format!("`{text}` is empty: give the size of at least one value"));
    }
    PhysRange::new(start, length).ok_or_else(|| format!("`{text}` goes beyond the last address: start lower"))
}

/// The arguments of devmem2 and devmem: where, how wide, and the value to write, if any.
#[derive(Debug, PartialEq, Eq)]
pub struct Access {
    address: u64,
    width: Width,
    value: Option<u64>,
}

impl Access {
    fn parse(arguments: &[String], usage: &str, width: impl Fn(&str) -> Option<Width>) -> Result<Self, Failure> {
        let wrong = |what: String| Failure::Usage(format!("{what}\n{}", usage.trim_end()));
        let number = |text: &String| number(text).map_err(wrong);
        let (address, rest) = arguments.split_first().ok_or_else(|| wrong("an address is missing".into()))?;
        let address = number(address)?;
        let (width, value) = match rest {
            [] => (Width::Bits32, None),
            [kind] | [kind, _] => {
                let width = width(kind).ok_or_else(|| wrong(format!("`{kind}` is not a width of this machine")))?;
                (width, rest.get(1).map(number).transpose()?)
            }
            [_, _, more, ..] => return Err(wrong(format!("`{more}` is one argument too many"))),
        };
        Ok(Self { address, width, value })
    }

    /// Opens the device, and maps the value.
    fn map(&self) -> Result<(Device, Mapping), Failure> {
        let operation = if self.value.is_some() { Operation::Write } else { Operation::Read };
        let area = Location::from(self.address).area(self.width.bytes()).map_err(Failure::Usage)?;
        let device = open(None, operation)?;
        let mapping = map(&device, area.range, operation, self.width)?;
        Ok((device, mapping))
    }
}

/// Reads a number as C's `strtoull` does with base 0: 0x for hexadecimal, a leading 0 for octal.
fn number(text: &str) -> Result<u64, String> {
    let (digits, radix) = if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        (digits, 16)
    } else if text.len() > 1 && text.starts_with('0') {
        (&text[1..], 8)
    } else {
        (text, 10)
    };
    // `from_str_radix` would take a sign.
    let number = digits.chars().all(|c| c.is_digit(radix)).then(|| u64::from_str_radix(digits, radix).ok());
    number.flatten().ok_or_else(|| format!("`{text}` is not a number: write one of up to 64 bits, such as 0x1f or 31"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_c() {
        for (text, value) in [("0", 0), ("010", 8), ("10", 10), ("0X1f", 31), ("0xffffffffffffffff", u64::MAX)] {
            assert_eq!(number(text), Ok(value), "{text}");
        }
        for wrong in ["", "0x", "-1", "+1", "08", "1k", "0x-1", "0x10000000000000000"] {
            assert!(number(wrong).unwrap_err().contains("is not a number"), "{wrong}");
        }
    }
}
