// SPDX-License-Identifier: MIT OR Apache-2.0

//! Queries to devices of other drivers. The guest's tests query the map driver.

mod common;

use common::FakeDevice;
use devmap::driver::{Protection, Sharing};
use devmap::{Device, Error, PhysRange};

#[track_caller]
fn no_map_driver<T: std::fmt::Debug>(asked: devmap::Result<T>, line: &str) {
    let error = asked.unwrap_err();
    assert!(matches!(error, Error::NotMapDriver { .. }), "{error:?}");
    assert_eq!(error.to_string(), line);
}

#[test]
fn a_file_is_not_asked() {
    let fake = FakeDevice::new(&[7; 16]);
    let device = Device::open(fake.path()).unwrap();
    let line = format!(
        "cannot ask {}: it is a regular file; only the map driver answers, whose node is /dev/map",
        fake.path().display()
    );
    no_map_driver(device.info(), &line);
    no_map_driver(device.windows(), &line);
    no_map_driver(device.check(0, 16, Protection::READ_WRITE, Sharing::Shared), &line);
    assert_eq!(fake.contents(), [7; 16]);
}

#[test]
#[cfg_attr(miri, ignore = "Miri knows no devices")]
fn another_device_does_not_answer() {
    let device = Device::open("/dev/zero").unwrap();
    let line = "cannot ask /dev/zero: it is a device of another driver, or of a map driver too old to be asked; \
                only the map driver answers, whose node is /dev/map";
    no_map_driver(device.info(), line);
    no_map_driver(device.windows(), line);
    no_map_driver(device.check(0, 16, Protection::READ, Sharing::Private), line);
}

#[test]
#[cfg_attr(miri, ignore = "Miri knows no devices")]
fn without_an_answer_the_error_number_has_to_do() {
    let device = Device::open("/dev/null").unwrap();
    let error = device.map(PhysRange::new(0x1234, 4).unwrap()).unwrap_err();
    assert!(matches!(error, Error::Map { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "cannot map 0x00001234-0x00001237 of /dev/null: No such device (ENODEV); there is no memory to map behind it"
    );
}
