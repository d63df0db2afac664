// SPDX-License-Identifier: MIT OR Apache-2.0

//! busybox's `devmem`.

use devmap::Width;

use super::{is_help, print, width_64, Access};
use crate::failure::Failure;

const USAGE: &str = "\
Usage: devmem ADDRESS [WIDTH [VALUE]]
  ADDRESS     where
  WIDTH       8, 16, 32 (the default) or 64
  VALUE       what to write
";

/// Reads the arguments.
pub fn parse(arguments: &[String]) -> Result<Access, Failure> {
    Access::parse(arguments, USAGE, |text| match text {
        "8" | "b" | "B" => Some(Width::Bits8),
        "16" | "h" | "H" => Some(Width::Bits16),
        "32" | "w" | "W" => Some(Width::Bits32),
        "64" => width_64(),
        // A `long` of C.
        "l" | "L" => Some(Width::WIDEST),
        _ => None,
    })
}

pub fn run(arguments: &[String]) -> Result<(), Failure> {
    if is_help(arguments) {
        return print(USAGE);
    }
    let access = parse(arguments)?;
    let (_, mapping) = access.map()?;
    match access.value {
        Some(value) => Ok(mapping.write_value(access.width, 0, value)?),
        None => {
            let value = mapping.read_value(access.width, 0)?;
            print(&format!("0x{value:0digits$X}\n", digits = 2 * access.width.bytes()))
        }
    }
}
