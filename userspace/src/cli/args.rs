// SPDX-License-Identifier: MIT OR Apache-2.0

//! The arguments.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use devmap::{Width, DEFAULT_DEVICE};

use super::number::{number, place, Place};

/// Reads and writes physical memory, with accesses of exactly the width that is asked for.
///
/// Numbers are decimal, or start with 0x, 0o or 0b; K, M and G behind them count in 1024; _ may stand between digits.
#[derive(Debug, Parser)]
#[command(version, after_long_help = EXIT_STATUS)]
pub struct Args {
    /// The device, or a regular file, in which an address is an offset
    #[arg(long, global = true, value_name = "PATH", default_value = DEFAULT_DEVICE)]
    pub device: PathBuf,

    /// The bits of one access: 8, 16, 32 or 64
    #[arg(short, long, global = true, value_name = "BITS", default_value = "32", value_parser = width)]
    pub width: Width,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_STATUS: &str = "\
Exit status:
  0  done
  2  the arguments are wrong
  3  the device is absent, or refuses
  4  another file or the output could not be read or written";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the value at an address, or each value of a range
    #[command(after_help = "\
Examples:
  devmap read 0xc0000064             one value of 32 bits
  devmap read 0xc0000000+16 -w 8     sixteen bytes")]
    Read {
        /// ADDRESS, START+LENGTH, or START-LAST as in /proc/iomem
        #[arg(value_name = "PLACE", value_parser = place)]
        place: Place,
    },
    /// Store values at an address and those behind it, reading nothing
    #[command(after_help = "\
Examples:
  devmap write 0xc0000064 3 -w 8     one byte
  devmap write 0xc0000000 1 2 3      three values of 32 bits")]
    Write {
        /// The address of the first value
        #[arg(value_parser = number)]
        address: u64,
        /// The values
        #[arg(value_name = "VALUE", value_parser = number, required = true)]
        values: Vec<u64>,
    },
}

/// Reads the number of bits of an access.
fn width(text: &str) -> Result<Width, String> {
    match text {
        "8" => Ok(Width::Bits8),
        "16" => Ok(Width::Bits16),
        "32" => Ok(Width::Bits32),
        #[cfg(target_pointer_width = "64")]
        "64" => Ok(Width::Bits64),
        #[cfg(not(target_pointer_width = "64"))]
        "64" => Err("this processor has no single access of 64 bits: use 32".into()),
        _ => Err("use 8, 16, 32 or 64".into()),
    }
}
