// SPDX-License-Identifier: MIT OR Apache-2.0

//! A buffer of u-dma-buf: filled by a program, at an address that a device is told.
//!
//! `udmabuf udmabuf0` fills /dev/udmabuf0. The driver describes it in /sys/class/u-dma-buf/udmabuf0.

use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use devmap::{Device, Mapping, PhysRange};

/// A buffer, and the address at which devices find it.
pub struct Buffer {
    /// The memory; offset 0 is its first byte.
    pub memory: Mapping,
    /// What a device is told: the attribute `phys_addr`.
    pub physical: u64,
    /// Whether it is cached in spite of O_SYNC, by the attribute `sync_mode`.
    pub cached: bool,
}

impl Buffer {
    /// The buffer behind `node` that the directory `attributes` of sysfs describes.
    pub fn open(node: &Path, attributes: &Path) -> Result<Self, Box<dyn Error>> {
        let attribute = |name| fs::read_to_string(attributes.join(name));
        let size: u64 = attribute("size")?.trim().parse()?;
        let physical = devmap::number(attribute("phys_addr")?.trim())?;
        let cached = matches!(attribute("sync_mode")?.trim(), "0" | "4");
        let range = PhysRange::new(0, size).ok_or("the buffer is empty")?;
        // With O_SYNC the driver maps it uncached or write-combining, so that a device sees every store after `flush`.
        // But it heeds O_SYNC only on arm, and not if `sync_mode` is 0 or 4. On x86 devices look into the caches.
        let memory = Device::options().sync(true).open(node)?.map(range)?;
        Ok(Self { memory, physical, cached })
    }
}

/// What the program prints for the buffer.
pub fn run(node: &Path, attributes: &Path) -> Result<String, Box<dyn Error>> {
    let buffer = Buffer::open(node, attributes)?;
    let length = buffer.memory.len();
    buffer.memory.bulk().fill(0, length, 0x5a_u8)?;
    buffer.memory.bulk().write_values(0, &[1_u32, 2, 3])?;
    // Before the device is told.
    if buffer.cached {
        buffer.memory.clean(0, length)?;
    } else {
        buffer.memory.flush();
    }
    Ok(format!("{length:#x} bytes for a device at {:#010x}", buffer.physical))
}

fn main() -> ExitCode {
    let Some(name) = env::args().nth(1) else {
        eprintln!("udmabuf: give the name of a buffer, as in /dev");
        return ExitCode::from(2);
    };
    match run(&Path::new("/dev").join(&name), &Path::new("/sys/class/u-dma-buf").join(&name)) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("udmabuf: {error}");
            ExitCode::FAILURE
        }
    }
}
