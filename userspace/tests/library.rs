// SPDX-License-Identifier: MIT OR Apache-2.0

//! The library on a regular file, through what it makes public.

use std::fs;

use devmap::{Device, Error, Mapping, PhysRange};

/// A file that plays the device.
struct Bench {
    file: tempfile::NamedTempFile,
}

impl Bench {
    fn new(contents: &[u8]) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), contents).unwrap();
        Self { file }
    }

    fn map(&self, start: u64, length: u64) -> Result<Mapping, Error> {
        Device::open(self.file.path())?.map(PhysRange::new(start, length).unwrap())
    }

    fn contents(&self) -> Vec<u8> {
        fs::read(self.file.path()).unwrap()
    }
}

#[test]
fn a_store_reaches_the_file_and_nothing_beside_it() {
    let bench = Bench::new(&[0; 0x3000]);
    bench
        .map(0x1000, 0x1000)
        .unwrap()
        .write::<u32>(100, 0x0403_0201)
        .unwrap();
    let mut expected = vec![0; 0x3000];
    expected[0x1064..0x1068].copy_from_slice(&0x0403_0201u32.to_ne_bytes());
    assert!(bench.contents() == expected);
}

#[test]
fn every_width_loads_exactly_its_bytes() {
    let bench = Bench::new(&[1, 2, 3, 4, 5, 6, 7, 8]);
    let mapping = bench.map(0, 8).unwrap();
    assert_eq!(mapping.read::<u8>(7).unwrap(), 8);
    assert_eq!(mapping.read::<u16>(6).unwrap(), u16::from_ne_bytes([7, 8]));
    assert_eq!(
        mapping.read::<u32>(4).unwrap(),
        u32::from_ne_bytes([5, 6, 7, 8])
    );
    #[cfg(target_pointer_width = "64")]
    assert_eq!(
        mapping.read::<u64>(0).unwrap(),
        u64::from_ne_bytes([1, 2, 3, 4, 5, 6, 7, 8])
    );
}

#[test]
fn a_range_within_pages_shows_only_itself() {
    let bench = Bench::new(&(0..=255).cycle().take(0x3000).collect::<Vec<u8>>());
    let mapping = bench.map(0xffe, 4).unwrap();
    assert_eq!(mapping.len(), 4);
    assert_eq!(mapping.read::<u8>(0).unwrap(), 0xfe);
    assert_eq!(mapping.read::<u8>(3).unwrap(), 0x01);
    assert!(matches!(
        mapping.read::<u8>(4),
        Err(Error::OutOfBounds { offset: 4, .. })
    ));
    assert!(matches!(
        mapping.read::<u32>(0),
        Err(Error::Misaligned {
            address: 0xffe,
            width: 4,
            ..
        })
    ));
    assert!(matches!(
        mapping.read::<u32>(usize::MAX),
        Err(Error::OutOfBounds { .. })
    ));
}

#[test]
fn a_range_past_the_end_of_the_file_is_refused_before_it_is_a_sigbus() {
    let bench = Bench::new(&[7; 0x1800]);
    assert_eq!(bench.map(0x17ff, 1).unwrap().read::<u8>(0).unwrap(), 7);
    let error = bench.map(0x17ff, 2).unwrap_err();
    assert!(matches!(error, Error::PastEnd { length: 0x1800, .. }));
    assert!(
        error.to_string().contains("0x000017ff-0x00001800"),
        "{error}"
    );
}

#[test]
fn what_is_opened_for_reading_is_not_written() {
    let bench = Bench::new(&[7; 16]);
    let device = Device::open_read_only(bench.file.path()).unwrap();
    let mapping = device.map(PhysRange::new(0, 16).unwrap()).unwrap();
    assert!(!mapping.is_writable());
    assert_eq!(mapping.read::<u8>(0).unwrap(), 7);
    assert!(matches!(
        mapping.write::<u8>(0, 1),
        Err(Error::ReadOnly { .. })
    ));
    assert!(bench.contents() == [7; 16]);
}

#[test]
fn a_mapping_outlives_its_device() {
    let bench = Bench::new(&[7; 16]);
    // `map` drops the device.
    assert_eq!(bench.map(0, 16).unwrap().read::<u8>(15).unwrap(), 7);
}

#[test]
fn a_value_too_wide_is_not_cut() {
    let bench = Bench::new(&[7; 16]);
    let mapping = bench.map(0, 16).unwrap();
    let error = mapping
        .write_value(devmap::Width::Bits16, 0, 0x1_0000)
        .unwrap_err();
    assert!(matches!(
        error,
        Error::TooWide {
            value: 0x1_0000,
            ..
        }
    ));
    assert!(bench.contents() == [7; 16]);
}

#[test]
fn what_has_no_memory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(
        Device::open(directory.path()),
        Err(Error::NotMappable {
            found: "a directory",
            ..
        })
    ));
    let absent = Device::open(directory.path().join("map")).unwrap_err();
    assert!(
        absent.to_string().contains("(ENOENT); load the driver"),
        "{absent}"
    );
}
