// SPDX-License-Identifier: MIT OR Apache-2.0

//! `read` and `write`: single accesses.

use std::io::Write;

use devmap::{Device, Error, PhysRange};

use super::args::Args;
use super::failure::Failure;
use super::number::Place;

/// Prints every value of `place`, one a line.
pub fn read(args: &Args, place: &Place, out: &mut dyn Write) -> Result<(), Failure> {
    let width = args.width;
    let range = place.range(width.bytes()).map_err(Failure::Usage)?;
    if range.length() % width.bytes() as u64 != 0 {
        return Err(Failure::Usage(format!(
            "{range} has {:#x} bytes, which is no multiple of {width}",
            range.length()
        )));
    }
    let mapping = Device::open_read_only(&args.device)?.map(range)?;
    for offset in (0..mapping.len()).step_by(width.bytes()) {
        let value = mapping.read_value(width, offset)?;
        let address = range.start() + offset as u64;
        writeln!(out, "{address:#010x}: {value:#0digits$x}", digits = 2 + 2 * width.bytes())?;
    }
    Ok(())
}

/// Stores `values` from `address` on.
pub fn write(args: &Args, address: u64, values: &[u64]) -> Result<(), Failure> {
    let width = args.width;
    // Before the first store: a command that fails has changed nothing.
    if let Some(&value) = values.iter().find(|value| **value > u64::MAX >> (64 - width.bits())) {
        return Err(Error::TooWide { value, width }.into());
    }
    let length = (values.len() * width.bytes()) as u64;
    let range = PhysRange::new(address, length)
        .ok_or_else(|| Failure::Usage(format!("{length:#x} bytes at {address:#x} go beyond the last address")))?;
    let mapping = Device::open(&args.device)?.map(range)?;
    for (index, value) in values.iter().enumerate() {
        mapping.write_value(width, index * width.bytes(), *value)?;
    }
    Ok(())
}
