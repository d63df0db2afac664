// SPDX-License-Identifier: MIT OR Apache-2.0

//! `info`: what the device is, and what this processor can do.

use std::fmt;
use std::fs;

use devmap::page::PageSize;
use devmap::{Device, Kind, Width};
use serde::Serialize;

use super::context::Context;
use super::failure::Failure;
use super::output::Address;

/// All of it.
#[derive(Serialize)]
struct Info {
    device: String,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    maps: Vec<Map>,
    page_size: u64,
    widest_access: u32,
    endian: &'static str,
    version: &'static str,
}

/// A map of a UIO device.
#[derive(Serialize)]
struct Map {
    index: u64,
    name: String,
    start: Address,
    last: Address,
}

impl fmt::Display for Info {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "device         {}, {}", self.device, self.kind)?;
        if let Some(number) = &self.number {
            write!(f, " {number}")?;
        }
        if let Some(bytes) = self.bytes {
            write!(f, " of {bytes:#x} bytes")?;
        }
        for Map { index, name, start, last } in &self.maps {
            write!(f, "\nmap {index:<10} {start}-{last} {name}")?;
        }
        write!(f, "\npage size      {:#x} bytes", self.page_size)?;
        write!(f, "\nwidest access  {} bits", self.widest_access)?;
        write!(f, "\nbyte order     {}", self.endian)?;
        write!(f, "\ndevmap         {}", self.version)
    }
}

/// Prints all there is to know.
pub fn info(it: &mut Context) -> Result<(), Failure> {
    let device = Device::open_read_only(&it.device)?;
    let (mut number, mut bytes, mut maps) = (None, None, Vec::new());
    let kind = match device.kind() {
        Kind::Character { major, minor } => {
            number = Some(format!("{major}:{minor}"));
            "character device"
        }
        Kind::Uio(found) => {
            maps = found
                .iter()
                .map(|map| Map {
                    index: map.index,
                    name: map.name.clone(),
                    start: Address(map.range.start()),
                    last: Address(map.range.last()),
                })
                .collect();
            "UIO device"
        }
        Kind::File => {
            let metadata = fs::metadata(device.path()).map_err(Failure::file("read", device.path()))?;
            bytes = Some(metadata.len());
            "regular file"
        }
        _ => "device",
    };
    it.out.emit(&Info {
        device: device.path().display().to_string(),
        kind,
        number,
        bytes,
        maps,
        page_size: PageSize::of_system().bytes(),
        widest_access: Width::WIDEST.bits(),
        endian: if cfg!(target_endian = "big") { "big" } else { "little" },
        version: env!("CARGO_PKG_VERSION"),
    })?;
    Ok(())
}
