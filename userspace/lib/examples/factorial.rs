// SPDX-License-Identifier: MIT OR Apache-2.0

//! A driver for QEMU's PCI device for exercises (`-device edu`): its BAR through sysfs, by nobody's driver.
//!
//! `factorial /sys/bus/pci/devices/0000:00:04.0/resource0 10` lets the device compute 10!.

use std::env;
use std::error::Error;
use std::process::ExitCode;

use devmap::register::ReadOnly;
use devmap::{Device, Endian, Kind, Mapping};

/// The registers that it needs, by their offsets (docs/specs/edu.rst of QEMU).
const IDENTIFICATION: usize = 0x00;
const FACTORIAL: usize = 0x08;
const STATUS: usize = 0x20;

/// The bit of the status that says that it is computing.
const COMPUTING: u32 = 0x01;

/// The factorial of `number`, modulo 2^32, as the device with these registers computes it.
pub fn factorial(registers: &Mapping, number: u32) -> devmap::Result<u32> {
    let value = registers.register::<u32>(FACTORIAL)?;
    let status = registers.register_as::<u32, ReadOnly>(STATUS)?;
    value.write(number);
    while status.read() & COMPUTING != 0 {
        std::hint::spin_loop();
    }
    // The result must not have been loaded before the status.
    registers.acquire();
    Ok(value.read())
}

/// What the program prints for the device behind `device`.
pub fn run(device: &Device, number: u32) -> Result<String, Box<dyn Error>> {
    let registers = device.map_all()?.with_endian(Endian::Little);
    let id = registers.read::<u32>(IDENTIFICATION)?;
    if id & 0xffff != 0x00ed {
        return Err(format!("{} is another device: its identification is {id:#010x}", device.path().display()).into());
    }
    let place = match device.kind() {
        Kind::PciBar(bar) => format!("BAR {} of {} at {}", bar.index, bar.address, bar.range),
        _ => device.path().display().to_string(),
    };
    Ok(format!("{place}: {number}! = {}", factorial(&registers, number)?))
}

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let (Some(path), Some(Ok(number))) = (arguments.next(), arguments.next().map(|number| number.parse())) else {
        eprintln!("factorial: give the path of the device's resource0, and a number");
        return ExitCode::from(2);
    };
    match Device::open(path).map_err(Into::into).and_then(|device| run(&device, number)) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("factorial: {error}");
            ExitCode::FAILURE
        }
    }
}
