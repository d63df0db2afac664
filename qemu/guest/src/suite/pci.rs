// SPDX-License-Identifier: MIT OR Apache-2.0

//! The driver on a machine with a PCI device whose registers are memory.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{ensure, Context, Result};
use map_core::WindowError;
use nix::errno::Errno;

use crate::{host::Host, kernel, program, user, vma::Vma};

crate::tests! {
    the_device_is_on_the_bus_and_in_the_list_of_memory,
    a_window_in_a_bar_is_eperm,
    a_program_drives_the_device_through_its_bar,
    a_device_that_is_removed_takes_no_claim_along,
}

/// The directory of PCI devices.
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

/// The first and the last address of the device's registers.
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

fn a_window_in_a_bar_is_eperm(_: &mut Host) -> Result<()> {
    let (first, last) = registers(&device()?)?;
    let words = WindowError::PciBar.to_string();
    ensure!(words.contains("resource0") && words.contains("VFIO"), "it names no other way: {words}");
    for list in [
        // All of it, its first page, its last, one page too many on each side, and without a claim.
        format!("{first:#x}-{last:#x}"),
        format!("{first:#x}+4K"),
        format!("{:#x}+4K", last - 0xfff),
        format!("{:#x}+8K", first - 0x1000),
        format!("{:#x}+8K", last - 0xfff),
        format!("{first:#x}+4K:shared"),
        format!("{first:#x}+4K:shared:memory:wc"),
    ] {
        kernel::load_fails(&format!("windows={list}"), Errno::EPERM, &[&words])?;
    }
    Ok(())
}

fn a_program_drives_the_device_through_its_bar(_: &mut Host) -> Result<()> {
    let place = device()?;
    let (first, last) = registers(&place)?;
    let address = place.file_name().and_then(|name| name.to_str()).context("no name")?;
    fs::write(place.join("enable"), "1")?;
    let file = place.join("resource0");
    let bar = format!("{first:#010x}-{last:#010x}");
    program::shell(&format!("factorial {} 10", file.display()))?
        .printed(&format!("BAR 0 of {address} at {bar}: 10! = 3628800\n"))?;
    // The command line, by offsets in the BAR. The register at 4 has the complement of what was stored.
    let devmap = |arguments: &str| program::devmap(&format!("--device {} {arguments}", file.display()));
    devmap("read 0")?.printed("0x00000000: 0x010000ed\n")?;
    devmap("write 4 0x12345678")?.printed("")?;
    devmap("read 4")?.printed("0x00000004: 0xedcba987\n")?;
    // Its registers by name, where the bus has put them.
    let named = |arguments: &str| program::devmap(&format!("{arguments} --svd /usr/share/edu.svd"));
    let register = |name: &str| format!("EDU@pci/{address}/0.{name}");
    named(&format!("read -q {}", register("LIVENESS")))?.printed("0xedcba987\n")?;
    named(&format!("write {}=5", register("FACTORIAL")))?.printed("")?;
    named(&format!("wait {} --value 0 --timeout 10s -q", register("STATUS.COMPUTING")))?.printed("0x0\n")?;
    named(&format!("read -q {} --format decimal", register("FACTORIAL")))?.printed("120\n")?;
    named(&format!("write {}=1", register("ID")))?.failed(2, &["is read-only: it cannot be written"])?;
    devmap("read 0x100000")?.failed(3, &["the file ends after 0x100000 bytes"])?;
    fs::write(place.join("enable"), "0")?;
    Ok(())
}

fn a_device_that_is_removed_takes_no_claim_along(_: &mut Host) -> Result<()> {
    let place = device()?;
    let (first, _) = registers(&place)?;
    fs::write(place.join("remove"), "1")?;
    ensure!(device().is_err(), "the device is still there");
    // Now no device claims the range.
    kernel::insmod(&[&format!("windows=was@{first:#x}+4K")])??;
    let vma = Vma::shared(&user::open()?, first, 4096)?;
    // The device returns, and its registers must be placed beside the claim.
    fs::write("/sys/bus/pci/rescan", "1")?;
    let (again, _) = registers(&device()?)?;
    ensure!(again != first, "the device has its registers over a claim");
    fs::write(device()?.join("remove"), "1")?;
    drop(vma);
    kernel::rmmod()??;
    let list = fs::read_to_string("/proc/iomem")?;
    ensure!(!list.contains("map"), "the claim is left:\n{list}");
    fs::write("/sys/bus/pci/rescan", "1")?;
    device().map(drop)
}
