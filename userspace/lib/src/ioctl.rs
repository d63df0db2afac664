// SPDX-License-Identifier: MIT OR Apache-2.0

//! The ioctls of the map driver. This module does not interpret the answers.

#![allow(unsafe_code)]

use std::fs::File;
use std::os::fd::AsRawFd;

use map_core::abi::{MapCheck, MapInfo, MapWindow};
use nix::errno::Errno;

mod raw {
    use map_core::abi::{self, MapCheck, MapInfo, MapWindow};

    // "Bad" means that the macro does not compose the number. These are the constants that the driver uses.
    nix::ioctl_read_bad!(info, abi::IOC_INFO, MapInfo);
    nix::ioctl_readwrite_bad!(window, abi::IOC_WINDOW, MapWindow);
    nix::ioctl_readwrite_bad!(check, abi::IOC_CHECK, MapCheck);
}

/// The driver as a whole.
pub(crate) fn info(file: &File) -> Result<MapInfo, Errno> {
    let mut answer = MapInfo::default();
    // SAFETY: The descriptor is open, and the structure is writable for the whole call. Its size is in the number of
    // the ioctl, so a driver that uses this number for something else does not write more. Its fields are integers, for
    // which every bit pattern is valid.
    unsafe { raw::info(file.as_raw_fd(), &mut answer) }?;
    Ok(answer)
}

/// The window that has this index.
pub(crate) fn window(file: &File, index: u32) -> Result<MapWindow, Errno> {
    let mut answer = MapWindow { index, ..MapWindow::default() };
    // SAFETY: As in `info`; the structure can be read too.
    unsafe { raw::window(file.as_raw_fd(), &mut answer) }?;
    Ok(answer)
}

/// The answer to `question`, with the question's own fields unchanged.
pub(crate) fn check(file: &File, question: MapCheck) -> Result<MapCheck, Errno> {
    let mut answer = question;
    // SAFETY: As in `window`.
    unsafe { raw::check(file.as_raw_fd(), &mut answer) }?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use map_core::abi;

    use super::*;

    #[test]
    fn the_numbers_are_those_of_this_architecture() {
        let ours = [abi::IOC_INFO, abi::IOC_WINDOW, abi::IOC_CHECK];
        let theirs = [
            nix::request_code_read!(abi::IOC_TYPE, 0, size_of::<MapInfo>()),
            nix::request_code_readwrite!(abi::IOC_TYPE, 1, size_of::<MapWindow>()),
            nix::request_code_readwrite!(abi::IOC_TYPE, 2, size_of::<MapCheck>()),
        ];
        // Their type depends on the C library; the kernel looks at 32 bits.
        assert_eq!(ours, theirs.map(|number| number as u32));
    }

    #[test]
    fn a_file_has_no_such_ioctl() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(info(&file), Err(Errno::ENOTTY));
        assert_eq!(window(&file, 0), Err(Errno::ENOTTY));
        assert_eq!(check(&file, MapCheck::default()), Err(Errno::ENOTTY));
    }
}
