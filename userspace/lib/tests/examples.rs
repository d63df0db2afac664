// SPDX-License-Identifier: MIT OR Apache-2.0

//! The examples, on files that play their devices. In the guests they run on the devices.

mod common;

#[path = "../examples/clock.rs"]
#[allow(dead_code, reason = "its main function is for the program")]
mod clock;
#[path = "../examples/factorial.rs"]
#[allow(dead_code, reason = "its main function is for the program")]
mod factorial;
#[path = "../examples/udmabuf.rs"]
#[allow(dead_code, reason = "its main function is for the program")]
mod udmabuf;

use std::fs;

use common::FakeDevice;
use devmap::Device;

#[test]
fn the_clock_is_read_and_its_alarm_set() {
    let mut registers = [0; 0x1000];
    registers[..4].copy_from_slice(&1_000_u32.to_le_bytes());
    // A byte in each word; what is above it does not count.
    registers[0xfe0..0xfe8].copy_from_slice(&[0x31, 0xff, 0, 0, 0x10, 0, 0, 0]);
    let fake = FakeDevice::new(&registers);
    assert_eq!(clock::run(&Device::open(fake.path()).unwrap()).unwrap(), "part 0x031, 1000 s, alarm at 1060 s");
    assert_eq!(fake.contents()[4..8], 1_060_u32.to_le_bytes());
    let short = FakeDevice::new(&[0; 0x100]);
    let error = clock::run(&Device::open(short.path()).unwrap()).unwrap_err();
    assert!(error.to_string().starts_with("cannot access 0x4 bytes at offset 0xfe0"), "{error}");
}

#[test]
fn the_device_for_exercises_is_known_by_its_identification() {
    let mut registers = vec![0; 0x100];
    registers[..4].copy_from_slice(&0x0100_00ed_u32.to_le_bytes());
    let fake = FakeDevice::new(&registers);
    // A file computes nothing: the result is what was stored.
    let line = factorial::run(&Device::open(fake.path()).unwrap(), 5).unwrap();
    assert_eq!(line, format!("{}: 5! = 5", fake.path().display()));
    let other = factorial::run(&Device::open(FakeDevice::new(&[0; 0x100]).path()).unwrap(), 5).unwrap_err();
    assert!(other.to_string().ends_with("is another device: its identification is 0x00000000"), "{other}");
}

#[test]
fn a_buffer_is_as_long_as_its_driver_says() {
    let fake = FakeDevice::new(&[0; 0x1000]);
    let attributes = tempfile::tempdir().unwrap();
    fs::write(attributes.path().join("size"), "2048\n").unwrap();
    fs::write(attributes.path().join("phys_addr"), "0x0000000040100000\n").unwrap();
    fs::write(attributes.path().join("sync_mode"), "1\n").unwrap();
    let line = udmabuf::run(fake.path(), attributes.path()).unwrap();
    assert_eq!(line, "0x800 bytes for a device at 0x40100000");
    let contents = fake.contents();
    assert_eq!(contents[..12], [1_u32, 2, 3].map(u32::to_ne_bytes).concat());
    assert!(contents[12..0x800].iter().all(|byte| *byte == 0x5a) && contents[0x800..].iter().all(|byte| *byte == 0));
    // Then it is cached, and must be cleaned.
    fs::write(attributes.path().join("sync_mode"), "0\n").unwrap();
    let cleans = cfg!(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64"));
    assert_eq!(udmabuf::run(fake.path(), attributes.path()).is_ok(), cleans);
    fs::write(attributes.path().join("size"), "0\n").unwrap();
    assert_eq!(udmabuf::run(fake.path(), attributes.path()).unwrap_err().to_string(), "the buffer is empty");
}
