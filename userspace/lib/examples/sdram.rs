// SPDX-License-Identifier: MIT OR Apache-2.0

//! Maps 3 MB of SDRAM, uncached, and writes to it.

use std::process::ExitCode;

use devmap::{Device, PhysRange};

const SDRAM: PhysRange = PhysRange::new(0xc000_0000, 0x0030_0000).unwrap();

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sdram: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> devmap::Result<()> {
    let device = Device::open("/dev/map")?;
    let data = device.map(SDRAM)?;

    data.write::<u8>(100, 3)?;
    println!("byte 100 of {SDRAM} is {}", data.read::<u8>(100)?);

    drop(data); // munmap
    Ok(())
}
