// SPDX-License-Identifier: MIT OR Apache-2.0

//! How a device is opened, and what its errors are to others.

mod common;

use std::error::Error as _;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};

use common::FakeDevice;
use devmap::{Device, Error, Kind, PhysRange};
use nix::fcntl::{fcntl, FcntlArg, OFlag};

fn flags(device: &Device) -> OFlag {
    OFlag::from_bits_retain(fcntl(device.as_fd(), FcntlArg::F_GETFL).unwrap())
}

#[test]
#[cfg_attr(miri, ignore = "Miri opens no file with O_SYNC")]
fn the_options_become_flags_of_the_open_file() {
    let fake = FakeDevice::new(&[7; 16]);
    let [sync, nonblocking] = [OFlag::O_SYNC, OFlag::O_NONBLOCK];
    let plain = flags(&Device::open(fake.path()).unwrap());
    assert_eq!(
        (plain & OFlag::O_ACCMODE, plain.intersects(nonblocking), plain.contains(sync)),
        (OFlag::O_RDWR, false, false)
    );
    let device = Device::options().write(false).sync(true).nonblocking(true).open(fake.path()).unwrap();
    assert_eq!(flags(&device) & (OFlag::O_ACCMODE | sync | nonblocking), sync | nonblocking);
    assert!(!device.map_all().unwrap().is_writable());
    assert!(matches!(Device::options().open("/dev"), Err(Error::NotMappable { found: "a directory", .. })));
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no /proc")]
fn a_descriptor_is_a_device_as_its_path_is() {
    let fake = FakeDevice::new(&[7; 16]);
    let of = |options: &mut fs::OpenOptions| Device::try_from(OwnedFd::from(options.open(fake.path()).unwrap()));
    let device = of(File::options().read(true).write(true)).unwrap();
    assert_eq!((device.path(), device.kind()), (fake.path(), &Kind::File));
    device.map_all().unwrap().write::<u8>(15, 8).unwrap();
    assert_eq!(fake.contents()[15], 8);
    assert!(!of(File::options().read(true)).unwrap().map_all().unwrap().is_writable());
    let error = of(File::options().write(true)).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot map {}: it is not open for reading; give a character device or a regular file",
            fake.path().display()
        )
    );
    let null = Device::try_from(OwnedFd::from(File::open("/dev/null").unwrap())).unwrap();
    assert!(matches!(null.kind(), Kind::Character { major: 1, minor: 3, .. }), "{null:?}");
    let path = of(File::options().read(true).custom_flags(OFlag::O_PATH.bits()));
    assert!(matches!(path, Err(Error::NotMappable { found: "not open for reading", .. })), "{path:?}");
    let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    let socket = Device::try_from(OwnedFd::from(socket));
    assert!(matches!(socket, Err(Error::NotMappable { found: "a pipe or socket", .. })), "{socket:?}");
    let mut link = File::options();
    link.read(true).custom_flags((OFlag::O_PATH | OFlag::O_NOFOLLOW).bits());
    let other = Device::try_from(OwnedFd::from(link.open("/proc/self/exe").unwrap()));
    assert!(matches!(other, Err(Error::NotMappable { found: "neither a device nor a file", .. })), "{other:?}");
    // And back.
    let file = File::from(OwnedFd::from(device));
    assert_eq!(file.metadata().unwrap().len(), 16);
}

#[test]
#[cfg_attr(miri, ignore = "Miri knows no devices")]
fn an_error_has_its_cause_its_number_and_its_kind() {
    let absent = Device::open("/dev/no-such-device").unwrap_err();
    let cause: &io::Error = absent.source().unwrap().downcast_ref().unwrap();
    assert_eq!((cause.raw_os_error(), absent.raw_os_error(), absent.kind()), (Some(2), Some(2), ErrorKind::NotFound));
    let line = absent.to_string();
    let error = io::Error::from(absent);
    assert_eq!((error.to_string(), error.kind()), (line, ErrorKind::NotFound));

    let mapping = FakeDevice::new(&[7; 16]).map(0, 16).unwrap();
    let outside = mapping.read::<u32>(16).unwrap_err();
    assert!(outside.source().is_none());
    assert_eq!((outside.raw_os_error(), outside.kind()), (None, ErrorKind::InvalidInput));
    let null = Device::open("/dev/null").unwrap().map(PhysRange::new(0, 4).unwrap()).unwrap_err();
    assert_eq!(null.raw_os_error(), Some(19));
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no chmod(2)")]
fn permissions_are_those_of_the_access_that_was_asked_for() {
    let fake = FakeDevice::new(&[7; 16]);
    fs::set_permissions(fake.path(), fs::Permissions::from_mode(0o400)).unwrap();
    // Root may open everything.
    if let Err(error) = Device::open(fake.path()) {
        assert!(matches!(error, Error::Open { permissions: Some(_), .. }), "{error}");
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    }
    assert!(Device::options().write(false).open(fake.path()).is_ok());
}
