// SPDX-License-Identifier: MIT OR Apache-2.0

//! Parts of a mapping that live on their own: slices, registers, cursors.

mod common;

use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};

use common::FakeDevice;
use devmap::register::{OwnedRegister, ReadOnly, ReadWrite, WriteOnly};
use devmap::{Endian, Error, Mapping, PhysRange};

#[test]
fn a_slice_is_the_same_memory_with_offsets_of_its_own() {
    let fake = FakeDevice::new(&[0; 0x3000]);
    let whole = fake.map(0x800, 0x2000).unwrap().with_endian(Endian::Big);
    let slice = whole.slice(0x804..0x80c).unwrap();
    assert_eq!((slice.range(), slice.len()), (PhysRange::new(0x1004, 8).unwrap(), 8));
    assert_eq!((slice.endian(), slice.cache()), (whole.endian(), whole.cache()));
    slice.write::<u32>(4, 0x0102_0304).unwrap();
    assert_eq!(whole.read::<u32>(0x808).unwrap(), 0x0102_0304);
    assert!(matches!(slice.read::<u32>(8), Err(Error::OutOfBounds { offset: 8, .. })));
    let within = slice.slice(4..).unwrap();
    assert_eq!(within.read::<u8>(3).unwrap(), 4);
    assert_eq!(whole.slice(..).unwrap().range(), whole.range());
    assert_eq!(whole.slice(..=0).unwrap().len(), 1);
}

#[test]
fn a_slice_lies_within_and_has_a_byte() {
    let mapping = FakeDevice::new(&[0; 16]).map(0, 16).unwrap();
    for wrong in [0..17, 16..17, 17..18, usize::MAX - 1..usize::MAX] {
        assert!(matches!(mapping.slice(wrong.clone()), Err(Error::OutOfBounds { .. })), "{wrong:?}");
    }
    assert!(matches!(mapping.slice(0..=usize::MAX), Err(Error::OutOfBounds { .. })));
    #[expect(clippy::reversed_empty_ranges, reason = "it is what is tested")]
    for empty in [0..0, 16..16, 8..4] {
        assert!(matches!(mapping.slice(empty.clone()), Err(Error::Empty { .. })), "{empty:?}");
    }
    let line = mapping.slice(4..4).unwrap_err().to_string();
    assert_eq!(line, "cannot cut out 0 bytes at offset 0x4 of 0x00000000-0x0000000f: give at least one");
}

/// What the kernel lists of this process's mappings of a file.
fn mappings_of(fake: &FakeDevice) -> usize {
    let path = fake.path().display().to_string();
    std::fs::read_to_string("/proc/self/maps").unwrap().lines().filter(|line| line.ends_with(&path)).count()
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no /proc")]
fn the_last_part_unmaps_the_memory() {
    let fake = FakeDevice::new(&[7; 0x2000]);
    let mapping = fake.map(0, 0x2000).unwrap();
    let slice = mapping.slice(0x1000..).unwrap();
    let register: OwnedRegister<u32, ReadOnly> = slice.owned_register(0).unwrap();
    let cursor = slice.cursor();
    assert_eq!(mappings_of(&fake), 1);
    drop(mapping);
    drop(slice);
    assert_eq!((register.read(), mappings_of(&fake)), (0x0707_0707, 1));
    drop(register);
    assert_eq!(mappings_of(&fake), 1);
    drop(cursor);
    assert_eq!(mappings_of(&fake), 0);
}

/// A driver, which keeps the block and its registers in one structure.
struct Timer {
    block: Mapping,
    control: OwnedRegister<u32>,
    count: OwnedRegister<u32, ReadOnly>,
    reset: OwnedRegister<u32, WriteOnly>,
}

impl Timer {
    fn new(block: Mapping) -> devmap::Result<Self> {
        let (control, count, reset) = (block.owned_register(0)?, block.owned_register(4)?, block.owned_register(8)?);
        Ok(Self { block, control, count, reset })
    }
}

#[test]
fn owned_registers_live_beside_their_mapping_and_move_between_threads() {
    let fake = FakeDevice::new(&[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]);
    let timer = Timer::new(fake.map(0, 12).unwrap().with_endian(Endian::Big)).unwrap();
    let timer = std::thread::spawn(move || {
        assert_eq!((timer.control.modify(0xf, 5), timer.count.read()), (1, 2));
        timer.reset.write(9);
        timer
    });
    let timer = timer.join().unwrap();
    assert_eq!(timer.block.len(), 12);
    assert_eq!(timer.control.as_register().read(), 5);
    assert_eq!(fake.contents(), [0, 0, 0, 5, 0, 0, 0, 2, 0, 0, 0, 9]);
}

#[test]
fn a_read_only_mapping_has_registers_for_reading() {
    let fake = FakeDevice::new(&[7; 16]);
    let mapping = fake.map_read_only(0, 16).unwrap();
    assert_eq!(mapping.register_as::<u32, ReadOnly>(4).unwrap().read(), 0x0707_0707);
    assert_eq!(mapping.registers_as::<u16, ReadOnly>(0, 8).unwrap().iter().filter(|it| it.read() == 0x0707).count(), 8);
    assert!(matches!(mapping.register_as::<u32, WriteOnly>(4), Err(Error::ReadOnly { .. })));
    assert!(matches!(mapping.register_as::<u32, ReadWrite>(4), Err(Error::ReadOnly { .. })));
    assert!(matches!(mapping.registers::<u32>(0, 4), Err(Error::ReadOnly { .. })));
    assert!(matches!(mapping.owned_register::<u32, WriteOnly>(4), Err(Error::ReadOnly { .. })));
}

#[test]
fn a_row_of_registers_is_checked_once_and_ends() {
    let fake = FakeDevice::new(&[0; 16]);
    let mapping = fake.map(0, 16).unwrap().with_endian(Endian::Little);
    let row = mapping.registers::<u16>(4, 5).unwrap();
    for (index, register) in row.into_iter().enumerate() {
        register.write(index as u16 + 1);
    }
    assert_eq!(fake.contents(), [0, 0, 0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 0, 0]);
    assert_eq!((row.len(), row.iter().len(), row.get(4).unwrap().read()), (5, 5, 5));
    assert!(row.get(5).is_none() && row.get(usize::MAX).is_none());
    let mut rest = row.iter();
    assert_eq!(rest.nth(3).unwrap().read(), 4);
    assert_eq!(
        (rest.len(), rest.next().is_some(), rest.next().is_none(), rest.next().is_none()),
        (1, true, true, true)
    );
    assert!(mapping.registers::<u32>(16, 0).unwrap().iter().next().is_none());
    for (offset, count) in [(0, 9), (16, 1), (0, usize::MAX), (usize::MAX - 1, 2), (18, 0)] {
        assert!(matches!(mapping.registers::<u16>(offset, count), Err(Error::OutOfBounds { .. })), "{offset} {count}");
    }
    assert!(matches!(mapping.registers::<u16>(1, 2), Err(Error::Misaligned { width: 2, .. })));
}

#[test]
fn a_cursor_reads_and_writes_up_to_the_end() {
    let fake = FakeDevice::new(b"0123456789");
    let mut cursor = fake.map(2, 6).unwrap().cursor();
    let mut text = String::new();
    cursor.read_to_string(&mut text).unwrap();
    assert_eq!((text.as_str(), cursor.position()), ("234567", 6));
    assert_eq!(cursor.read(&mut [0; 4]).unwrap(), 0);
    cursor.seek(SeekFrom::End(-4)).unwrap();
    assert_eq!(cursor.write(b"abcdef").unwrap(), 4);
    assert_eq!(cursor.write_all(b"g").unwrap_err().kind(), ErrorKind::WriteZero);
    cursor.flush().unwrap();
    cursor.seek(SeekFrom::Start(1)).unwrap();
    assert_eq!(cursor.seek(SeekFrom::Current(-1)).unwrap(), 0);
    cursor.write_all(b"x").unwrap();
    assert_eq!(fake.contents(), b"01x3abcd89");
    assert_eq!(cursor.seek(SeekFrom::Start(u64::MAX)).unwrap(), u64::MAX);
    assert_eq!(cursor.read(&mut [0; 4]).unwrap(), 0);
    for beyond in [SeekFrom::Current(1), SeekFrom::End(-7)] {
        assert_eq!(cursor.seek(beyond).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    assert_eq!(cursor.into_mapping().range(), PhysRange::new(2, 6).unwrap());
}

#[test]
fn a_cursor_of_a_read_only_mapping_says_so() {
    let fake = FakeDevice::new(&[7; 4]);
    let error = io::copy(&mut &b"abc"[..], &mut fake.map_read_only(0, 4).unwrap().cursor()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(matches!(error.get_ref().unwrap().downcast_ref(), Some(Error::ReadOnly { .. })), "{error}");
    assert_eq!(fake.contents(), [7; 4]);
}

#[test]
fn handles_are_small() {
    let word = size_of::<usize>();
    assert_eq!(size_of::<devmap::Register<'_, u32>>(), 2 * word);
    assert_eq!(size_of::<Option<OwnedRegister<u32>>>(), 3 * word);
}
