// SPDX-License-Identifier: MIT OR Apache-2.0

//! A driver for a clock of ARM's (PL031): a block of registers in a structure.
//!
//! `clock rtc` reads the clock whose registers are the window `rtc`; `clock /dev/uio0` that of a UIO device, and any
//! other path that of a device or file there.

use std::env;
use std::process::ExitCode;

use devmap::register::{OwnedRegister, ReadOnly};
use devmap::{Device, Endian, Kind, Mapping};

/// The registers, with the names of the manual (ARM DDI 0224).
pub struct Clock {
    /// RTCDR: seconds.
    data: OwnedRegister<u32, ReadOnly>,
    /// RTCMR: the second in which the alarm rings.
    matching: OwnedRegister<u32>,
    /// RTCPeriphID0 to 3, a byte in each.
    identification: [OwnedRegister<u32, ReadOnly>; 4],
}

impl Clock {
    /// The clock whose registers `block` are; an error if they lie outside of it.
    pub fn new(block: Mapping) -> devmap::Result<Self> {
        let block = block.with_endian(Endian::Little);
        let id = |index: usize| block.owned_register(0xfe0 + 4 * index);
        Ok(Self {
            data: block.owned_register(0x00)?,
            matching: block.owned_register(0x04)?,
            identification: [id(0)?, id(1)?, id(2)?, id(3)?],
        })
    }

    /// The part number: 0x031 for this clock.
    pub fn part(&self) -> u32 {
        let bytes = self.identification.each_ref().map(|register| register.read() & 0xff);
        (bytes[0] | bytes[1] << 8) & 0xfff
    }

    /// The time in seconds.
    pub fn seconds(&self) -> u32 {
        self.data.read()
    }

    /// Sets the alarm to `seconds`, and returns what the clock took.
    pub fn set_alarm(&self, seconds: u32) -> u32 {
        self.matching.write(seconds);
        self.matching.read()
    }
}

/// What the program prints for the clock behind `device`.
pub fn run(device: &Device) -> devmap::Result<String> {
    let block = match device.kind() {
        Kind::Uio(maps) if !maps.is_empty() => device.map(maps[0].range)?,
        _ => device.map_all()?,
    };
    let clock = Clock::new(block)?;
    let now = clock.seconds();
    let alarm = clock.set_alarm(now.wrapping_add(60));
    Ok(format!("part {:#05x}, {now} s, alarm at {alarm} s", clock.part()))
}

fn main() -> ExitCode {
    let Some(name) = env::args().nth(1) else {
        eprintln!("clock: give the name of a window, or the path of a device");
        return ExitCode::from(2);
    };
    let device = if name.contains('/') { Device::open(name) } else { Device::window(&name) };
    match device.and_then(|device| run(&device)) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("clock: {error}");
            ExitCode::FAILURE
        }
    }
}
