// SPDX-License-Identifier: MIT OR Apache-2.0

//! Files that are shorter than their mapping, that grow, and that others truncate.

mod common;

use std::fs::{self, File};

use common::FakeDevice;
use devmap::page;
use devmap::{Error, FileMapping, PhysRange, Zone};

fn page() -> usize {
    page::system().bytes() as usize
}

/// A mapping of the first `length` bytes of the file, which may have fewer.
fn map(fake: &FakeDevice, length: usize) -> FileMapping {
    FileMapping::open(fake.path(), PhysRange::new(0, length as u64).unwrap()).unwrap()
}

#[test]
fn a_length_within_a_page_reaches_to_the_pages_end() {
    let page = page();
    let fake = FakeDevice::new(&vec![7; 3 * page]);
    let mapping = map(&fake, page + 1);
    assert_eq!(
        (mapping.len(), mapping.rounded_len(), mapping.file_len().unwrap()),
        (page + 1, 2 * page, 3 * page as u64)
    );
    mapping.write::<u8>(2 * page - 1, 9).unwrap();
    assert_eq!(fake.contents()[2 * page - 1], 9);
    assert_eq!(mapping.zone(2 * page).unwrap(), Zone::Outside);
    let error = mapping.read::<u8>(2 * page).unwrap_err();
    assert!(matches!(error, Error::OutOfBounds { length: 1, .. }), "{error}");
    assert!(matches!(mapping.write::<u16>(2 * page - 1, 1), Err(Error::OutOfBounds { .. })));
    assert!(matches!(mapping.read_into(usize::MAX, &mut [0; 2]), Err(Error::OutOfBounds { .. })));
    assert!(matches!(mapping.no_fault().read_into(2 * page - 1, &mut [0; 2]), Err(Error::OutOfBounds { .. })));
    assert!(matches!(mapping.read::<u16>(1), Err(Error::Misaligned { .. })));
}

#[test]
fn the_rest_of_the_last_page_is_zeros_and_never_reaches_the_file() {
    let page = page();
    let fake = FakeDevice::new(&vec![7; page / 2]);
    let mapping = map(&fake, 2 * page);
    let mut tail = vec![1; page / 2];
    mapping.read_into(page / 2, &mut tail).unwrap();
    assert!(tail.iter().all(|byte| *byte == 0));
    mapping.write_from(page / 2 - 1, &[8, 9]).unwrap();
    assert_eq!(mapping.read::<u8>(page / 2).unwrap(), 9);
    let contents = fake.contents();
    assert_eq!((contents.len(), contents[page / 2 - 1]), (page / 2, 8));
}

#[test]
fn beyond_the_end_is_an_error_and_no_signal() {
    let page = page();
    let fake = FakeDevice::new(&vec![7; page / 2]);
    let mapping = map(&fake, 2 * page);
    for offset in [page, 2 * page - 1] {
        assert_eq!(mapping.zone(offset).unwrap(), Zone::BeyondEnd);
        assert!(matches!(mapping.read::<u8>(offset), Err(Error::BeyondEnd { .. })));
        assert!(matches!(mapping.write::<u8>(offset, 1), Err(Error::BeyondEnd { .. })));
        assert!(matches!(mapping.no_fault().write_from(offset, &[1]), Err(Error::BeyondEnd { .. })));
    }
    // One byte of many is enough, and the others are not accessed.
    let error = mapping.write_from(page - 1, &[1, 2]).unwrap_err();
    let (path, at, length) = (fake.path().display(), page - 1, page / 2);
    let line = format!(
        "cannot write 0x2 bytes at offset {at:#x}: {path} ends after {length:#x} bytes, and has no page there; \
         grow it first"
    );
    assert_eq!(error.to_string(), line);
    assert_eq!(mapping.read::<u8>(page - 1).unwrap(), 0);
    // An access of no bytes always succeeds.
    mapping.read_into(page, &mut []).unwrap();
}

#[test]
fn a_file_that_grows_brings_pages_to_life() {
    let page = page();
    let fake = FakeDevice::new(&vec![7; page / 2]);
    let mapping = map(&fake, 2 * page);
    mapping.grow(2 * page as u64).unwrap();
    assert_eq!(mapping.layout().unwrap().zones().collect::<Vec<_>>(), [(0..2 * page, Zone::Data)]);
    let mut rest = vec![1; 2 * page - page / 2];
    mapping.read_into(page / 2, &mut rest).unwrap();
    assert!(rest.iter().all(|byte| *byte == 0));
    mapping.write::<u8>(page, b'X').unwrap();
    assert_eq!(fake.contents()[page], b'X');
    // It never shrinks, and another process can make it grow as well.
    mapping.grow(1).unwrap();
    assert_eq!(mapping.file_len().unwrap(), 2 * page as u64);
    let error = mapping.grow(u64::MAX).unwrap_err();
    assert!(error.to_string().starts_with("cannot grow "), "{error}");
    assert_eq!(mapping.file_len().unwrap(), 2 * page as u64);
}

#[test]
#[cfg_attr(miri, ignore = "Miri maps no files, so no page can go")]
fn a_file_that_others_make_shorter_is_an_error() {
    let page = page();
    let fake = FakeDevice::new(&vec![7; 2 * page]);
    let mapping = map(&fake, 2 * page);
    mapping.no_fault().write_from(page - 1, &[8, 9]).unwrap();
    assert_eq!(fake.contents()[page - 1..][..2], [8, 9]);
    File::options().write(true).open(fake.path()).unwrap().set_len(0).unwrap();
    let mut bytes = [0; 2];
    assert!(matches!(mapping.read::<u8>(0), Err(Error::BeyondEnd { file_length: 0, .. })));
    assert!(matches!(mapping.no_fault().read_into(0, &mut bytes), Err(Error::BeyondEnd { .. })));
    assert!(matches!(mapping.no_fault().write_from(0, &bytes), Err(Error::BeyondEnd { .. })));
    fs::write(fake.path(), [1, 2]).unwrap();
    mapping.no_fault().read_into(0, &mut bytes).unwrap();
    assert_eq!(bytes, [1, 2]);
}

/// A program that does not trust the other users of its file, while one of them changes the length.
#[test]
#[cfg_attr(miri, ignore = "Miri maps no files, so no page can go")]
fn no_fault_accesses_survive_a_neighbour_that_changes_the_length_all_the_time() {
    let page = page();
    let fake = FakeDevice::new(&vec![7; 2 * page]);
    let mapping = map(&fake, 2 * page);
    let neighbour = File::options().write(true).open(fake.path()).unwrap();
    std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            let mut bytes = vec![0; 2 * page];
            for _ in 0..2000 {
                for result in [mapping.no_fault().read_into(0, &mut bytes), mapping.no_fault().write_from(page, &[1])] {
                    match result {
                        Ok(()) | Err(Error::BeyondEnd { .. } | Error::PageLost { .. }) => (),
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        });
        while !work.is_finished() {
            neighbour.set_len(0).unwrap();
            neighbour.set_len(2 * page as u64).unwrap();
        }
    });
}

#[test]
fn an_empty_file_maps_and_has_no_byte_until_it_grows() {
    let fake = FakeDevice::new(&[]);
    let mapping = map(&fake, 1);
    let error = mapping.read::<u8>(0).unwrap_err();
    assert!(error.to_string().contains("ends after 0x0 bytes, and has no page there; grow it first"), "{error}");
    mapping.grow(1).unwrap();
    mapping.write::<u8>(0, 3).unwrap();
    assert_eq!(fake.contents(), [3]);
}

#[test]
fn a_range_that_begins_within_a_page_is_counted_from_there() {
    let page = page();
    let fake = FakeDevice::new(&vec![7; page + 10]);
    let range = PhysRange::new(page as u64 + 4, 2).unwrap();
    let mapping = FileMapping::open(fake.path(), range).unwrap();
    assert_eq!((mapping.range(), mapping.len(), mapping.rounded_len()), (range, 2, page - 4));
    mapping.write::<u8>(0, 1).unwrap();
    assert_eq!(fake.contents()[page + 3..page + 6], [7, 1, 7]);
    assert_eq!((mapping.zone(5).unwrap(), mapping.zone(6).unwrap()), (Zone::Data, Zone::Tail));
}

#[test]
fn a_file_open_for_reading_is_not_changed() {
    let fake = FakeDevice::new(&[7; 4]);
    let mapping = FileMapping::open_read_only(fake.path(), PhysRange::new(0, 4).unwrap()).unwrap();
    assert_eq!(mapping.read::<u8>(3).unwrap(), 7);
    assert!(matches!(mapping.write::<u8>(0, 1), Err(Error::ReadOnly { .. })));
    assert!(matches!(mapping.no_fault().write_from(0, &[1]), Err(Error::ReadOnly { .. })));
    let error = mapping.grow(100).unwrap_err();
    assert!(
        error.to_string().starts_with("cannot grow 0x00000000-0x00000003: it is mapped for reading only"),
        "{error}"
    );
    assert_eq!(fake.contents(), [7; 4]);
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no FIFOs")]
fn what_is_no_regular_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRUSR).unwrap();
    let range = PhysRange::new(0, 1).unwrap();
    for (path, found) in
        [(directory.path(), "a directory"), (&fifo, "a pipe or socket"), ("/dev/zero".as_ref(), "a character device")]
    {
        let line = format!("cannot map {}: it is {found}; give a regular file", path.display());
        assert_eq!(FileMapping::open(path, range).unwrap_err().to_string(), line);
        assert_eq!(FileMapping::open_read_only(path, range).unwrap_err().to_string(), line);
    }
    let absent = FileMapping::open(directory.path().join("absent"), range).unwrap_err();
    assert!(absent.to_string().ends_with("No such file or directory (ENOENT)"), "{absent}");
}

#[test]
fn lengths_that_no_process_has_are_refused() {
    let fake = FakeDevice::new(&[7; 4]);
    for (start, length, says) in [
        (0, u64::MAX, "more than one process can address"),
        (0, 1 << 62, "(ENOMEM)"),
        (u64::MAX, 1, "cannot map 0xffffffffffffffff-0xffffffffffffffff"),
    ] {
        let error = FileMapping::open(fake.path(), PhysRange::new(start, length).unwrap()).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
    assert_eq!(fake.contents(), [7; 4]);
}
