// SPDX-License-Identifier: MIT OR Apache-2.0

//! Bulk operations on a regular file, compared with the same ones on a vector.

mod common;

use common::FakeDevice;
use devmap::{Endian, Error, Width};
use proptest::prelude::*;

/// More than two blocks of the bulk operations.
const LENGTH: usize = 0x2800;

fn noise(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|i| (i as u32).wrapping_mul(0x9e37_79b1).to_le_bytes()[3] ^ seed).collect()
}

/// The start and the length of a piece of `LENGTH` bytes.
fn piece() -> impl Strategy<Value = (usize, usize)> {
    (0..=LENGTH).prop_flat_map(|start| (Just(start), 0..=LENGTH - start))
}

proptest! {
    // Each case makes a file and maps it. Miri takes seconds for one.
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 64 }))]

    #[test]
    fn what_is_read_is_what_is_there(base in 0u64..24, (start, length) in piece()) {
        let contents = noise(base as usize + LENGTH, 0);
        let mapping = FakeDevice::new(&contents).map(base, LENGTH as u64).unwrap();
        let mut bytes = vec![0xaa; length];
        mapping.bulk().read_into(start, &mut bytes).unwrap();
        prop_assert!(bytes == contents[base as usize + start..][..length]);
    }

    #[test]
    fn what_is_written_is_written_and_no_more(base in 0u64..24, (start, length) in piece()) {
        let mut contents = noise(base as usize + LENGTH, 0);
        let fake = FakeDevice::new(&contents);
        let bytes = noise(length, 0x55);
        fake.map(base, LENGTH as u64).unwrap().bulk().write_from(start, &bytes).unwrap();
        contents[base as usize + start..][..length].copy_from_slice(&bytes);
        prop_assert!(fake.contents() == contents);
    }

    #[test]
    fn a_copy_gives_what_was_there_even_onto_itself(
        base in 0u64..24,
        (from, from_length) in piece(),
        (to, to_length) in piece(),
        second_mapping: bool,
    ) {
        let length = from_length.min(to_length);
        let mut contents = noise(base as usize + LENGTH, 0);
        let fake = FakeDevice::new(&contents);
        let mapping = fake.map(base, LENGTH as u64).unwrap();
        let other = fake.map(base, LENGTH as u64).unwrap();
        let target = if second_mapping { &other } else { &mapping };
        mapping.bulk().copy(from, target, to, length).unwrap();
        let base = base as usize;
        contents.copy_within(base + from..base + from + length, base + to);
        prop_assert!(fake.contents() == contents);
    }

    #[test]
    fn a_fill_repeats_its_value(base in 0u64..24, (start, length) in piece(), value: u32) {
        let length = length / 4 * 4;
        let mut contents = noise(base as usize + LENGTH, 0);
        let fake = FakeDevice::new(&contents);
        let mapping = fake.map(base, LENGTH as u64).unwrap().with_endian(Endian::Big);
        mapping.bulk().fill(start, length, value).unwrap();
        for chunk in contents[base as usize + start..][..length].chunks_exact_mut(4) {
            chunk.copy_from_slice(&value.to_be_bytes());
        }
        prop_assert!(fake.contents() == contents);
    }

    #[test]
    fn values_have_the_byte_order_of_the_mapping(
        base in 0u64..24,
        (start, length) in piece(),
        big: bool,
        fixed in prop::option::of(prop::sample::select(vec![Width::Bits8, Width::Bits16, Width::Bits32])),
    ) {
        // To a multiple of the width.
        let aligned = start.checked_sub((base as usize + start) % 4);
        prop_assume!(aligned.is_some_and(|start| start + 4 <= LENGTH));
        let start = aligned.unwrap();
        let length = length.min(LENGTH - start) / 4 * 4;
        let contents = noise(base as usize + LENGTH, 0);
        let fake = FakeDevice::new(&contents);
        let endian = if big { Endian::Big } else { Endian::Little };
        let mapping = fake.map(base, LENGTH as u64).unwrap().with_endian(endian);
        let bulk = fixed.map_or(mapping.bulk(), |width| mapping.bulk().with_width(width));
        let expected: Vec<u32> = contents[base as usize + start..][..length]
            .chunks_exact(4)
            .map(|bytes| bytes.try_into().map(if big { u32::from_be_bytes } else { u32::from_le_bytes }).unwrap())
            .collect();
        let mut values = vec![0_u32; length / 4];
        bulk.read_values(start, &mut values).unwrap();
        prop_assert!(values == expected);
        values.iter_mut().for_each(|value| *value = !*value);
        bulk.write_values(start, &values).unwrap();
        let mut changed = contents;
        changed[base as usize + start..][..length].iter_mut().for_each(|byte| *byte = !*byte);
        prop_assert!(fake.contents() == changed);
    }

    #[test]
    fn the_first_difference_is_found(base in 0u64..24, at in 0..LENGTH, more in 0..LENGTH) {
        let contents = noise(base as usize + LENGTH, 0);
        let mapping = FakeDevice::new(&contents).map(base, LENGTH as u64).unwrap();
        let mut expected = contents[base as usize..].to_vec();
        prop_assert_eq!(mapping.bulk().compare(0, &expected).unwrap(), None);
        expected[at] ^= 0x80;
        expected[at.max(more)] = !contents[base as usize + at.max(more)];
        let difference = mapping.bulk().compare(0, &expected).unwrap().unwrap();
        prop_assert_eq!(difference.offset, at);
        prop_assert_eq!(difference.expected, expected[at]);
        prop_assert_eq!(difference.found, contents[base as usize + at]);
    }
}

#[test]
fn every_fixed_width_moves_the_same_bytes() {
    let contents = noise(LENGTH, 0);
    let widths = Width::ALL.into_iter().filter(|width| width.is_native());
    for width in widths {
        let fake = FakeDevice::new(&vec![0; LENGTH]);
        let mapping = fake.map(0, LENGTH as u64).unwrap();
        mapping.bulk().with_width(width).write_from(0, &contents).unwrap();
        assert!(fake.contents() == contents, "{width}");
        let mut bytes = vec![0; LENGTH];
        mapping.bulk().with_width(width).read_into(0, &mut bytes).unwrap();
        assert!(bytes == contents, "{width}");
    }
}

#[test]
fn a_fill_by_another_width_than_its_value_stores_the_same() {
    let expected = [0x12, 0x34, 0x56, 0x78].repeat(LENGTH / 4);
    for width in [Width::Bits8, Width::Bits16, Width::Bits32, Width::WIDEST] {
        let fake = FakeDevice::new(&vec![0; LENGTH]);
        let mapping = fake.map(0, LENGTH as u64).unwrap().with_endian(Endian::Big);
        mapping.bulk().with_width(width).fill(0, LENGTH, 0x1234_5678u32).unwrap();
        assert!(fake.contents() == expected, "{width}");
        // Narrower accesses can begin within a value of the memory.
        mapping.bulk().with_width(width).fill(width.bytes(), LENGTH - 8, 0x5678_1234u32).unwrap();
        assert!(fake.contents()[width.bytes()..][..LENGTH - 8] == [0x56, 0x78, 0x12, 0x34].repeat(LENGTH / 4 - 2));
    }
}

#[test]
fn a_fixed_width_wants_multiples_of_itself_and_changes_nothing_otherwise() {
    let fake = FakeDevice::new(&[7; 32]);
    let mapping = fake.map(0, 32).unwrap();
    let bulk = mapping.bulk().with_width(Width::Bits32);
    assert!(matches!(bulk.write_from(2, &[0; 4]), Err(Error::Misaligned { address: 2, width: 4, .. })));
    assert!(matches!(bulk.write_from(0, &[0; 6]), Err(Error::Uneven { length: 6, .. })));
    assert!(matches!(bulk.copy(0, &mapping, 18, 4), Err(Error::Misaligned { .. })));
    // The length is right for the accesses, not for the value.
    let narrow = mapping.bulk().with_width(Width::Bits16);
    assert!(matches!(narrow.fill(0, 6, 0u32), Err(Error::Uneven { length: 6, width: Width::Bits32, .. })));
    assert_eq!(fake.contents(), [7; 32]);
}

#[test]
fn a_byte_too_many_changes_nothing() {
    let fake = FakeDevice::new(&[7; 32]);
    let mapping = fake.map(0, 32).unwrap();
    assert!(matches!(mapping.bulk().write_from(1, &[0; 32]), Err(Error::OutOfBounds { length: 32, .. })));
    assert!(matches!(mapping.bulk().fill(usize::MAX, 2, 0u8), Err(Error::OutOfBounds { .. })));
    assert!(matches!(mapping.bulk().copy(0, &mapping, 16, 17), Err(Error::OutOfBounds { .. })));
    assert_eq!(fake.contents(), [7; 32]);
}

#[test]
fn a_mapping_for_reading_takes_no_bulk_either() {
    let fake = FakeDevice::new(&[7; 32]);
    let mapping = fake.map_read_only(0, 32).unwrap();
    assert!(matches!(mapping.bulk().write_from(0, &[0; 4]), Err(Error::ReadOnly { .. })));
    assert!(matches!(mapping.bulk().fill(0, 4, 0u8), Err(Error::ReadOnly { .. })));
    assert!(matches!(fake.map(0, 32).unwrap().bulk().copy(0, &mapping, 8, 4), Err(Error::ReadOnly { .. })));
    assert_eq!(mapping.bulk().compare(0, &[7; 32]).unwrap(), None);
}

#[test]
fn values_lie_within_the_mapping_and_at_multiples_of_their_width() {
    let fake = FakeDevice::new(&[7; 16]);
    let mapping = fake.map(0, 16).unwrap();
    let mut values = [0_u32; 5];
    assert!(matches!(mapping.bulk().read_values(0, &mut values), Err(Error::OutOfBounds { length: 20, .. })));
    assert!(matches!(mapping.bulk().read_values(2, &mut values[..2]), Err(Error::Misaligned { width: 4, .. })));
    assert!(matches!(mapping.bulk().write_values(2, &values[..2]), Err(Error::Misaligned { width: 4, .. })));
    let read_only = fake.map_read_only(0, 16).unwrap();
    assert!(matches!(read_only.bulk().write_values(0, &values[..2]), Err(Error::ReadOnly { .. })));
    assert_eq!((values, fake.contents()), ([0; 5], vec![7; 16]));
}
