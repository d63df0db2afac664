// SPDX-License-Identifier: MIT OR Apache-2.0

//! A driver for pins of ARM's GPIO (PL061): it sleeps until a button is pressed.
//!
//! `button gpio 3` waits for a rising edge at pin 3, by the window `gpio` of the map driver; `button /dev/uio0 3` by a
//! UIO device. On QEMU's machine `virt`, pin 3 is the power button, which the monitor's `system_powerdown` presses.

use std::env;
use std::process::ExitCode;

use devmap::register::{OwnedRegister, ReadOnly, WriteOnly};
use devmap::{Device, Endian, Interrupt, Kind};

/// The registers, with the names of the manual (ARM DDI 0190), and the interrupt.
pub struct Button {
    /// Its bit in each of them.
    pin: u8,
    /// GPIOMIS: the pins that raise the interrupt.
    raising: OwnedRegister<u8, ReadOnly>,
    /// GPIOIC: ends the interrupt.
    clear: OwnedRegister<u8, WriteOnly>,
    interrupt: Interrupt,
}

impl Button {
    /// The button at pin `number` of the GPIO behind `device`, which raises the interrupt at rising edges from now on.
    pub fn new(device: &Device, number: u32) -> devmap::Result<Self> {
        let block = match device.kind() {
            Kind::Uio(maps) if !maps.is_empty() => device.map(maps[0].range)?,
            _ => device.map_all()?,
        }
        .with_endian(Endian::Little);
        let pin = 1 << (number & 7);
        let (raising, clear) = (block.owned_register(0x418)?, block.owned_register(0x41c)?);
        let button = Self { pin, raising, clear, interrupt: device.interrupts()?.first().clone() };
        // GPIODIR: an input. GPIOIS and GPIOIBE: one edge. GPIOIEV: the rising one.
        for (offset, set) in [(0x400, 0), (0x404, 0), (0x408, 0), (0x40c, pin)] {
            block.register::<u8>(offset)?.modify(pin, set);
        }
        button.acknowledge();
        // GPIOIE: it raises the interrupt.
        block.register::<u8>(0x410)?.modify(pin, pin);
        button.interrupt.arm()?;
        Ok(button)
    }

    /// Sleeps until it is pressed.
    pub fn wait(&self) -> devmap::Result<()> {
        loop {
            self.interrupt.wait(None)?;
            if self.acknowledge() {
                return Ok(());
            }
            // Another pin has the same interrupt, and that one's driver ends it.
            self.interrupt.arm()?;
        }
    }

    /// Ends the interrupt. False if it was not this button's.
    pub fn acknowledge(&self) -> bool {
        let pressed = self.raising.read() & self.pin != 0;
        self.clear.write(self.pin);
        pressed
    }

    /// Its interrupt, for event loops.
    pub fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }
}

/// Waits for the button at pin `number` of the GPIO that is called `name`.
pub fn run(name: &str, number: u32) -> devmap::Result<()> {
    let device = if name.contains('/') { Device::open(name) } else { Device::window(name) }?;
    let button = Button::new(&device, number)?;
    println!("waiting for pin {number}");
    button.wait()?;
    println!("pin {number} has risen");
    Ok(())
}

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let (Some(name), Some(Ok(number @ 0..8))) = (arguments.next(), arguments.next().map(|number| number.parse()))
    else {
        eprintln!("button: give the name of a window, or the path of a device, and the number of a pin, 0 to 7");
        return ExitCode::from(2);
    };
    match run(&name, number) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("button: {error}");
            ExitCode::FAILURE
        }
    }
}
