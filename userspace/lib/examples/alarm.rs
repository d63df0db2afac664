// SPDX-License-Identifier: MIT OR Apache-2.0

//! A driver for the alarm of ARM's clock (PL031): it sleeps until the interrupt.
//!
//! `alarm rtc 2` rings two seconds from now, by the window `rtc` of the map driver; `alarm /dev/uio0 2` by a UIO
//! device.

use std::env;
use std::process::ExitCode;

use devmap::register::{OwnedRegister, ReadOnly, WriteOnly};
use devmap::{Device, Endian, Interrupt, Kind};

/// The registers, with the names of the manual (ARM DDI 0224), and the interrupt.
pub struct Alarm {
    /// RTCDR: the time in seconds.
    time: OwnedRegister<u32, ReadOnly>,
    /// RTCMR: when it rings.
    matching: OwnedRegister<u32>,
    /// RTCIMSC: whether it raises the interrupt.
    enable: OwnedRegister<u32>,
    /// RTCICR: ends the interrupt.
    clear: OwnedRegister<u32, WriteOnly>,
    interrupt: Interrupt,
}

impl Alarm {
    /// The alarm of the clock behind `device`.
    pub fn new(device: &Device) -> devmap::Result<Self> {
        let block = match device.kind() {
            Kind::Uio(maps) if !maps.is_empty() => device.map(maps[0].range)?,
            _ => device.map_all()?,
        }
        .with_endian(Endian::Little);
        Ok(Self {
            time: block.owned_register(0x00)?,
            matching: block.owned_register(0x04)?,
            enable: block.owned_register(0x10)?,
            clear: block.owned_register(0x1c)?,
            interrupt: device.interrupts()?.first().clone(),
        })
    }

    /// Sets it to `seconds` from now, and gives that time.
    pub fn set(&self, seconds: u32) -> devmap::Result<u32> {
        let rings = self.time.read().wrapping_add(seconds);
        self.clear.write(1);
        self.matching.write(rings);
        self.enable.write(1);
        self.interrupt.arm()?;
        Ok(rings)
    }

    /// Sleeps until it rings, and gives the time then.
    pub fn wait(&self) -> devmap::Result<u32> {
        self.interrupt.wait(None)?;
        self.acknowledge();
        Ok(self.time.read())
    }

    /// Ends the interrupt, which would come again at once when it is unmasked.
    pub fn acknowledge(&self) {
        self.clear.write(1);
    }

    /// Its interrupt, for event loops.
    pub fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }
}

/// The device that is called `name`, or is at this path.
pub fn open(name: &str) -> devmap::Result<Device> {
    match name.contains('/') {
        true => Device::open(name),
        false => Device::window(name),
    }
}

/// Sets the alarm of the clock that is called `name`, and waits for it.
pub fn run(name: &str, seconds: u32) -> devmap::Result<()> {
    let alarm = Alarm::new(&open(name)?)?;
    let rings = alarm.set(seconds)?;
    println!("the alarm is set to {rings} s");
    println!("it rang at {} s", alarm.wait()?);
    Ok(())
}

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let (Some(name), Some(Ok(seconds))) = (arguments.next(), arguments.next().map(|number| number.parse())) else {
        eprintln!("alarm: give the name of a window, or the path of a device, and a number of seconds");
        return ExitCode::from(2);
    };
    match run(&name, seconds) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("alarm: {error}");
            ExitCode::FAILURE
        }
    }
}
