// SPDX-License-Identifier: MIT OR Apache-2.0

//! The driver on a machine with a PCI device whose registers are memory.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{ensure, Context, Result};

use crate::host::Host;

crate::tests! {
    the_device_is_on_the_bus_and_in_the_list_of_memory,
}

/// Where PCI devices are.
const DEVICES: &str = "/sys/bus/pci/devices";

/// QEMU's device for exercises: its vendor and its number.
const EDU: (&str, &str) = ("0x1234", "0x11e8");

/// The device's directory.
pub fn device() -> Result<PathBuf> {
    let is = |place: &Path, file: &str, value: &str| {
        fs::read_to_string(place.join(file)).is_ok_and(|text| text.trim() == value)
    };
    let mut places = fs::read_dir(DEVICES)?.flatten().map(|entry| entry.path());
    let found = places.find(|place| is(place, "vendor", EDU.0) && is(place, "device", EDU.1));
    found.context("there is no such device on the bus")
}

/// Where the device's registers are: the first address and the last.
pub fn registers(device: &Path) -> Result<(u64, u64)> {
    let text = fs::read_to_string(device.join("resource"))?;
    let line = text.lines().next().context("the device has no registers")?;
    let number = |word: &str| u64::from_str_radix(word.trim_start_matches("0x"), 16);
    let mut words = line.split_whitespace();
    let mut next = || Ok::<_, anyhow::Error>(number(words.next().context("too few words")?)?);
    Ok((next()?, next()?))
}

fn the_device_is_on_the_bus_and_in_the_list_of_memory(_: &mut Host) -> Result<()> {
    let device = device()?;
    let (first, last) = registers(&device)?;
    ensure!(first > 0 && last - first == 0xf_ffff, "its registers are at {first:#x}-{last:#x}");
    let name = device.file_name().and_then(|name| name.to_str()).context("no name")?;
    let expected = format!("{first:08x}-{last:08x} : {name}");
    let list = fs::read_to_string("/proc/iomem")?;
    ensure!(list.lines().any(|line| line.trim() == expected), "no line {expected:?} in:\n{list}");
    Ok(())
}
