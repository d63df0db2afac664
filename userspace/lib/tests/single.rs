// SPDX-License-Identifier: MIT OR Apache-2.0

//! Opening, mapping and single accesses, on a regular file.

mod common;

use common::FakeDevice;
use devmap::{Device, Endian, Error, Kind, Width};

#[test]
fn a_store_reaches_the_file_and_nothing_beside_it() {
    let fake = FakeDevice::new(&[0; 0x3000]);
    fake.map(0x1000, 0x1000).unwrap().write::<u32>(100, 0x0403_0201).unwrap();
    let mut expected = vec![0; 0x3000];
    expected[0x1064..0x1068].copy_from_slice(&0x0403_0201u32.to_ne_bytes());
    assert!(fake.contents() == expected);
}

#[test]
fn every_width_loads_exactly_its_bytes() {
    let fake = FakeDevice::new(&[1, 2, 3, 4, 5, 6, 7, 8]);
    let mapping = fake.map(0, 8).unwrap();
    assert_eq!(mapping.read::<u8>(7).unwrap(), 8);
    assert_eq!(mapping.read::<u16>(6).unwrap(), u16::from_ne_bytes([7, 8]));
    assert_eq!(mapping.read::<u32>(4).unwrap(), u32::from_ne_bytes([5, 6, 7, 8]));
    #[cfg(target_pointer_width = "64")]
    assert_eq!(mapping.read::<u64>(0).unwrap(), u64::from_ne_bytes([1, 2, 3, 4, 5, 6, 7, 8]));
}

#[test]
fn the_order_of_bytes_is_the_mappings() {
    let fake = FakeDevice::new(&[1, 2, 3, 4]);
    let little = fake.map(0, 4).unwrap().with_endian(Endian::Little);
    let big = fake.map(0, 4).unwrap().with_endian(Endian::Big);
    assert_eq!(little.read::<u32>(0).unwrap(), 0x0403_0201);
    assert_eq!(big.read::<u32>(0).unwrap(), 0x0102_0304);
    assert_eq!(big.read_value(Width::Bits16, 2).unwrap(), 0x0304);
    big.register::<u16>(0).unwrap().write(0xaabb);
    assert_eq!(big.modify::<u16>(2, 0x00ff, 0x77).unwrap(), 0x0304);
    assert_eq!(fake.contents(), [0xaa, 0xbb, 3, 0x77]);
}

#[test]
fn modify_changes_the_bits_of_the_mask_alone_and_gives_what_was_there() {
    let fake = FakeDevice::new(&[0b1010_1010]);
    let mapping = fake.map(0, 1).unwrap();
    assert_eq!(mapping.modify::<u8>(0, 0b1111_0000, 0b0101_0101).unwrap(), 0b1010_1010);
    assert_eq!(fake.contents(), [0b0101_1010]);
    assert_eq!(mapping.register::<u8>(0).unwrap().modify(1, 1), 0b0101_1010);
    assert_eq!(fake.contents(), [0b0101_1011]);
}

#[test]
fn a_range_within_pages_shows_only_itself() {
    let fake = FakeDevice::new(&(0..=255).cycle().take(0x3000).collect::<Vec<u8>>());
    let mapping = fake.map(0xffe, 4).unwrap();
    assert_eq!(mapping.len(), 4);
    assert_eq!(mapping.read::<u8>(0).unwrap(), 0xfe);
    assert_eq!(mapping.read::<u8>(3).unwrap(), 0x01);
    assert!(matches!(mapping.read::<u8>(4), Err(Error::OutOfBounds { offset: 4, .. })));
    assert!(matches!(mapping.read::<u32>(0), Err(Error::Misaligned { address: 0xffe, width: 4, .. })));
    assert!(matches!(mapping.read::<u32>(usize::MAX), Err(Error::OutOfBounds { .. })));
    assert!(matches!(mapping.register::<u16>(3), Err(Error::OutOfBounds { .. })));
    assert!(matches!(mapping.register::<u16>(1), Err(Error::Misaligned { .. })));
}

#[test]
fn a_range_past_the_end_of_the_file_is_refused_before_it_is_a_sigbus() {
    let fake = FakeDevice::new(&[7; 0x1800]);
    assert_eq!(fake.map(0x17ff, 1).unwrap().read::<u8>(0).unwrap(), 7);
    let error = fake.map(0x17ff, 2).unwrap_err();
    assert!(matches!(error, Error::PastEnd { length: 0x1800, .. }));
    assert!(error.to_string().contains("0x000017ff-0x00001800"), "{error}");
}

#[test]
fn what_is_opened_for_reading_is_not_written() {
    let fake = FakeDevice::new(&[7; 16]);
    let mapping = fake.map_read_only(0, 16).unwrap();
    assert!(!mapping.is_writable());
    assert_eq!(mapping.read::<u8>(0).unwrap(), 7);
    assert!(matches!(mapping.write::<u8>(0, 1), Err(Error::ReadOnly { .. })));
    assert!(matches!(mapping.modify::<u8>(0, 1, 1), Err(Error::ReadOnly { .. })));
    assert!(matches!(mapping.register::<u8>(0), Err(Error::ReadOnly { .. })));
    assert_eq!(fake.contents(), [7; 16]);
}

#[test]
fn a_mapping_outlives_its_device() {
    let fake = FakeDevice::new(&[7; 16]);
    // `map` drops the device.
    assert_eq!(fake.map(0, 16).unwrap().read::<u8>(15).unwrap(), 7);
}

#[test]
#[cfg_attr(miri, ignore = "Miri knows no devices")]
fn all_of_a_file_is_mapped_without_its_length() {
    let fake = FakeDevice::new(&[7; 16]);
    let device = Device::open(fake.path()).unwrap();
    assert_eq!((device.len().unwrap(), device.map_all().unwrap().len()), (16, 16));
    assert_eq!(device.map_all().unwrap().window(), None);
    std::fs::write(fake.path(), b"").unwrap();
    let error = device.map_all().unwrap_err();
    let line = format!("{} has no length, because it is an empty file: give a range", fake.path().display());
    assert_eq!(error.to_string(), line);
    assert!(matches!(Device::open("/dev/null").unwrap().map_all(), Err(Error::NoLength { .. })));
}

#[test]
fn a_value_too_wide_is_not_cut() {
    let fake = FakeDevice::new(&[7; 16]);
    let mapping = fake.map(0, 16).unwrap();
    let error = mapping.write_value(Width::Bits16, 0, 0x1_0000).unwrap_err();
    assert!(matches!(error, Error::TooWide { value: 0x1_0000, .. }));
    let error = mapping.modify_value(Width::Bits16, 0, 0x1_0000, 0).unwrap_err();
    assert!(matches!(error, Error::TooWide { value: 0x1_0000, .. }));
    assert_eq!(fake.contents(), [7; 16]);
}

#[test]
#[cfg_attr(miri, ignore = "Miri knows no devices")]
fn what_has_no_memory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(Device::open(directory.path()), Err(Error::NotMappable { found: "a directory", .. })));
    let absent = Device::open(directory.path().join("map")).unwrap_err();
    assert!(absent.to_string().ends_with("No such file or directory (ENOENT)"), "{absent}");
    // A character device that has no mmap.
    let null = Device::open("/dev/null").unwrap();
    assert!(matches!(null.kind(), Kind::Character { major: 1, minor: 3, .. }), "{null:?}");
    let refused = null.map(devmap::PhysRange::new(0x1000, 4).unwrap()).unwrap_err();
    assert!(refused.to_string().contains("(ENODEV); there is no memory"), "{refused}");
}

#[test]
fn threads_share_a_mapping_and_its_registers() {
    let fake = FakeDevice::new(&[0; 16]);
    let mapping = fake.map(0, 16).unwrap();
    let register = mapping.register::<u32>(0).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| register.write(1));
        scope.spawn(|| mapping.write::<u32>(4, 2));
    });
    assert_eq!((register.read(), mapping.read::<u32>(4).unwrap()), (1, 2));
}
