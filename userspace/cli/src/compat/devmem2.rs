// SPDX-License-Identifier: MIT OR Apache-2.0

//! `devmem2`.
//!
//! Two more differences from the original: `w` is 32 bits on every machine, and `l` is 64. A write reads nothing: the
//! original loads the old value before and the new one after, and either load can change a device. So the line `Value
//! at address` is missing, and `Written` ends with the value. A script that needs the old value or `readback` gets both
//! loads and both lines with the option `--readback` or `-r`, or without a change with `DEVMEM2_READBACK` in its
//! environment.

use std::env;
use std::io::{self, Write};

use devmap::{page, Width};

use super::{is_help, print, width_64, Access};
use crate::failure::Failure;
use crate::place::check_values;

const USAGE: &str = "\
Usage: devmem2 [--readback] ADDRESS [TYPE [DATA]]
  ADDRESS         where
  TYPE            b, h or w for 8, 16 or 32 bits (the default), l for 64
  DATA            what to write
  -r, --readback  read before and after writing, as devmem2 always did; so does DEVMEM2_READBACK in the environment
";

/// Reads the arguments, and whether `--readback` is among them.
pub fn parse(arguments: &[String]) -> Result<(Access, bool), Failure> {
    let option = arguments.first().is_some_and(|first| first == "--readback" || first == "-r");
    let access = Access::parse(&arguments[usize::from(option)..], USAGE, |text| {
        Some(match text.chars().next()?.to_ascii_lowercase() {
            'b' => Width::Bits8,
            'h' => Width::Bits16,
            'w' => Width::Bits32,
            'l' => width_64()?,
            _ => return None,
        })
    })?;
    check_values(access.value.as_slice(), access.width)?;
    Ok((access, option))
}

pub fn run(arguments: &[String]) -> Result<(), Failure> {
    if is_help(arguments) {
        return print(USAGE);
    }
    let (access, option) = parse(arguments)?;
    let readback = option || env::var_os("DEVMEM2_READBACK").is_some_and(|value| !value.is_empty());
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
