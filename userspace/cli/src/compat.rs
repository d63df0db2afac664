// SPDX-License-Identifier: MIT OR Apache-2.0

//! `devmem2` and `devmem` by name: the arguments and the output that scripts expect.
//!
//! Both open `DEVMAP_DEVICE`, or the node of the driver, where the originals open /dev/mem. They refuse what is not one
//! access: an address that is not a multiple of the width, and so every access across the end of a page. They also
//! refuse a value that does not fit, where the originals truncate it.
//!
//! Two more differences concern devmem2. `w` is 32 bits on every machine, and `l` is 64. A write reads nothing: the
//! original loads the old value before and the new one after, and either load can change a device. So the line `Value
//! at address` is missing, and `Written` ends with the value. A script that needs the old value or `readback` gets both
//! loads and both lines with the option `--readback` or `-r`, or without a change with `DEVMEM2_READBACK` in its
//! environment.

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use devmap::page;
use devmap::{Device, Mapping, Width, DEFAULT_DEVICE};

use crate::failure::{report, Failure};
use crate::location::Location;

const DEVMEM2_USAGE: &str = "\
Usage: devmem2 [--readback] ADDRESS [TYPE [DATA]]
  ADDRESS         where
  TYPE            b, h or w for 8, 16 or 32 bits (the default), l for 64
  DATA            what to write
  -r, --readback  read before and after writing, as devmem2 always did; so does DEVMEM2_READBACK in the environment";

const DEVMEM_USAGE: &str = "\
Usage: devmem ADDRESS [WIDTH [VALUE]]
  ADDRESS     where
  WIDTH       8, 16, 32 (the default) or 64
  VALUE       what to write";

/// Runs one of them on the arguments of this process. Every failure has status 1, as most have in the originals.
pub fn run(name: &str, command: fn(&[String]) -> Result<(), Failure>) -> ExitCode {
    let arguments: Vec<String> = env::args_os().skip(1).map(|argument| argument.to_string_lossy().into()).collect();
    report(false, name, command(&arguments)).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

/// `devmem2`.
pub fn devmem2(arguments: &[String]) -> Result<(), Failure> {
    if ask_for_help(arguments) {
        return Ok(writeln!(io::stdout(), "{DEVMEM2_USAGE}")?);
    }
    let option = arguments.first().is_some_and(|first| first == "--readback" || first == "-r");
    let readback = option || env::var_os("DEVMEM2_READBACK").is_some_and(|value| !value.is_empty());
    let access = Access::parse(&arguments[usize::from(option)..], DEVMEM2_USAGE, |text| {
        Some(match text.chars().next()?.to_ascii_lowercase() {
            'b' => Width::Bits8,
            'h' => Width::Bits16,
            'w' => Width::Bits32,
            'l' => width_64()?,
            _ => return None,
        })
    })?;
    let (device, mapping) = access.map()?;
    let at = mapping.as_ptr().addr() as u64;
    let mut out = io::stdout().lock();
    writeln!(out, "{} opened.", device.path().display())?;
    writeln!(out, "Memory mapped at address {:#x}.", page::system().round_down(at))?;
    let read = || mapping.read_value(access.width, 0);
    if readback || access.value.is_none() {
        writeln!(out, "Value at address 0x{:X} ({at:#x}): 0x{:X}", access.address, read()?)?;
    }
    if let Some(value) = access.value {
        mapping.write_value(access.width, 0, value)?;
        if readback {
            writeln!(out, "Written 0x{value:X}; readback 0x{:X}", read()?)?;
        } else {
            writeln!(out, "Written 0x{value:X}")?;
        }
    }
    Ok(out.flush()?)
}

/// busybox's `devmem`.
pub fn devmem(arguments: &[String]) -> Result<(), Failure> {
    if ask_for_help(arguments) {
        return Ok(writeln!(io::stdout(), "{DEVMEM_USAGE}")?);
    }
    let access = Access::parse(arguments, DEVMEM_USAGE, |text| match text {
        "8" | "b" | "B" => Some(Width::Bits8),
        "16" | "h" | "H" => Some(Width::Bits16),
        "32" | "w" | "W" => Some(Width::Bits32),
        "64" => width_64(),
        // A `long` of C.
        "l" | "L" => Some(Width::WIDEST),
        _ => None,
    })?;
    let (_, mapping) = access.map()?;
    match access.value {
        Some(value) => Ok(mapping.write_value(access.width, 0, value)?),
        None => {
            let value = mapping.read_value(access.width, 0)?;
            let mut out = io::stdout().lock();
            writeln!(out, "0x{value:0digits$X}", digits = 2 * access.width.bytes())?;
            Ok(out.flush()?)
        }
    }
}

/// Whether the usage is wanted. No number or width is called so.
fn ask_for_help(arguments: &[String]) -> bool {
    arguments.iter().any(|argument| argument == "--help" || argument == "-h")
}

/// 64 bits, if this processor has such accesses.
fn width_64() -> Option<Width> {
    Some(Width::WIDEST).filter(|width| width.bits() == 64)
}

/// The arguments of both: where, how wide, and the value to write, if any.
#[derive(Debug, PartialEq, Eq)]
struct Access {
    address: u64,
    width: Width,
    value: Option<u64>,
}

impl Access {
    fn parse(arguments: &[String], usage: &str, width: impl Fn(&str) -> Option<Width>) -> Result<Self, Failure> {
        let wrong = |what: String| Failure::Usage(format!("{what}\n{usage}"));
        let number = |text| c_number(text).ok_or_else(|| wrong(format!("`{text}` is not a number")));
        let (address, rest) = arguments.split_first().ok_or_else(|| wrong("an address is missing".into()))?;
        let address = number(address)?;
        let (width, value) = match rest {
            [] => (Width::Bits32, None),
            [kind] | [kind, _] => {
                let width = width(kind).ok_or_else(|| wrong(format!("`{kind}` is not a width of this machine")))?;
                (width, rest.get(1).map(|text| number(text)).transpose()?)
            }
            [_, _, more, ..] => return Err(wrong(format!("`{more}` is one argument too many"))),
        };
        Ok(Self { address, width, value })
    }

    /// Opens the device that DEVMAP_DEVICE names, or the node of the driver, and maps the value.
    fn map(&self) -> Result<(Device, Mapping), Failure> {
        let path = env::var_os("DEVMAP_DEVICE").unwrap_or_else(|| DEFAULT_DEVICE.into());
        let device = match self.value {
            Some(_) => Device::open(path),
            None => Device::open_read_only(path),
        }?;
        let area = Location::from(self.address).area(self.width.bytes()).map_err(Failure::Usage)?;
        let mapping = device.map(area.range)?;
        Ok((device, mapping))
    }
}

/// Reads a number as C's `strtoull` does with base 0: 0x for hexadecimal, a leading 0 for octal.
fn c_number(text: &str) -> Option<u64> {
    let (digits, radix) = if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        (digits, 16)
    } else if text.len() > 1 && text.starts_with('0') {
        (&text[1..], 8)
    } else {
        (text, 10)
    };
    // `from_str_radix` would take a sign.
    digits.chars().all(|c| c.is_digit(radix)).then(|| u64::from_str_radix(digits, radix).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_c() {
        let table = [("0", Some(0)), ("010", Some(8)), ("10", Some(10)), ("0X1f", Some(31)), ("0x", None), ("", None)];
        for (text, value) in table {
            assert_eq!(c_number(text), value, "{text}");
        }
        for wrong in ["-1", "+1", "08", "1k", "0x-1"] {
            assert_eq!(c_number(wrong), None, "{wrong}");
        }
    }
}
