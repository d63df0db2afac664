// SPDX-License-Identifier: MIT OR Apache-2.0

//! The ioctls of the map driver. This module does not interpret the answers.

#![allow(unsafe_code)]

use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd};

use map_core::abi::{MapCheck, MapInfo, MapIrq, MapIrqEventfd, MapIrqMask, MapIrqWait, MapWindow};
use nix::errno::Errno;

/// Miri calls none: there every device is one that has none.
fn supported() -> Result<(), Errno> {
    match cfg!(miri) {
        true => Err(Errno::ENOTTY),
        false => Ok(()),
    }
}

mod raw {
    use map_core::abi::{self, MapCheck, MapInfo, MapIrq, MapIrqEventfd, MapIrqMask, MapIrqWait, MapWindow};

    // "Bad" means that the macro does not compose the number. These are the constants that the driver uses.
    nix::ioctl_read_bad!(info, abi::IOC_INFO, MapInfo);
    nix::ioctl_readwrite_bad!(window, abi::IOC_WINDOW, MapWindow);
    nix::ioctl_readwrite_bad!(check, abi::IOC_CHECK, MapCheck);
    nix::ioctl_readwrite_bad!(irq, abi::IOC_IRQ, MapIrq);
    nix::ioctl_readwrite_bad!(irq_wait, abi::IOC_IRQ_WAIT, MapIrqWait);
    nix::ioctl_write_ptr_bad!(irq_mask, abi::IOC_IRQ_MASK, MapIrqMask);
    nix::ioctl_write_ptr_bad!(irq_eventfd, abi::IOC_IRQ_EVENTFD, MapIrqEventfd);
}

/// The driver as a whole.
pub(crate) fn info(file: &File) -> Result<MapInfo, Errno> {
    supported()?;
    let mut answer = MapInfo::default();
    // SAFETY: The descriptor is open, and the structure is writable for the whole call. Its size is in the number of
    // the ioctl, so a driver that uses this number for something else does not write more. Its fields are integers, for
    // which every bit pattern is valid.
    unsafe { raw::info(file.as_raw_fd(), &mut answer) }?;
    Ok(answer)
}

/// The window that has this index.
pub(crate) fn window(file: &File, index: u32) -> Result<MapWindow, Errno> {
    supported()?;
    let mut answer = MapWindow { index, ..MapWindow::default() };
    // SAFETY: As in `info`; the structure can be read too.
    unsafe { raw::window(file.as_raw_fd(), &mut answer) }?;
    Ok(answer)
}

/// The answer to `question`, with the question's own fields unchanged.
pub(crate) fn check(file: &File, question: MapCheck) -> Result<MapCheck, Errno> {
    supported()?;
    let mut answer = question;
    // SAFETY: As in `window`.
    unsafe { raw::check(file.as_raw_fd(), &mut answer) }?;
    Ok(answer)
}

/// The interrupt that has this index.
pub(crate) fn irq(file: &File, index: u32) -> Result<MapIrq, Errno> {
    supported()?;
    let mut answer = MapIrq { index, ..MapIrq::default() };
    // SAFETY: As in `window`.
    unsafe { raw::irq(file.as_raw_fd(), &mut answer) }?;
    Ok(answer)
}

/// What has come of these interrupts, bits, within `timeout`, nanoseconds or for ever if it is negative.
pub(crate) fn irq_wait(file: &File, interrupts: u32, timeout: i64) -> Result<MapIrqWait, Errno> {
    supported()?;
    let mut answer = MapIrqWait { interrupts, timeout, ..MapIrqWait::default() };
    // SAFETY: As in `window`.
    unsafe { raw::irq_wait(file.as_raw_fd(), &mut answer) }?;
    Ok(answer)
}

/// Masks these interrupts, bits, or unmasks them.
pub(crate) fn irq_mask(file: &File, interrupts: u32, masked: bool) -> Result<(), Errno> {
    supported()?;
    let request = MapIrqMask { interrupts, masked: masked.into() };
    // SAFETY: The descriptor is open, and the structure can be read for the whole call. Its size is in the number.
    unsafe { raw::irq_mask(file.as_raw_fd(), &request) }.map(drop)
}

/// Sets the eventfd of the interrupt that has this index, or takes it away.
pub(crate) fn irq_eventfd(file: &File, index: u32, eventfd: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
    supported()?;
    let request = MapIrqEventfd { index, fd: eventfd.map_or(-1, |eventfd| eventfd.as_raw_fd()) };
    // SAFETY: As in `irq_mask`. The driver has a reference of its own to the eventfd when the call returns.
    unsafe { raw::irq_eventfd(file.as_raw_fd(), &request) }.map(drop)
}

#[cfg(test)]
mod tests {
    use map_core::abi;

    use super::*;

    #[test]
    fn the_numbers_are_those_of_this_architecture() {
        let ours = [
            abi::IOC_INFO,
            abi::IOC_WINDOW,
            abi::IOC_CHECK,
            abi::IOC_IRQ,
            abi::IOC_IRQ_WAIT,
            abi::IOC_IRQ_MASK,
            abi::IOC_IRQ_EVENTFD,
        ];
        let theirs = [
            nix::request_code_read!(abi::IOC_TYPE, 0, size_of::<MapInfo>()),
            nix::request_code_readwrite!(abi::IOC_TYPE, 1, size_of::<MapWindow>()),
            nix::request_code_readwrite!(abi::IOC_TYPE, 2, size_of::<MapCheck>()),
            nix::request_code_readwrite!(abi::IOC_TYPE, 3, size_of::<MapIrq>()),
            nix::request_code_readwrite!(abi::IOC_TYPE, 4, size_of::<MapIrqWait>()),
            nix::request_code_write!(abi::IOC_TYPE, 5, size_of::<MapIrqMask>()),
            nix::request_code_write!(abi::IOC_TYPE, 6, size_of::<MapIrqEventfd>()),
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
        assert_eq!(irq(&file, 0), Err(Errno::ENOTTY));
        assert_eq!(irq_wait(&file, 1, 0), Err(Errno::ENOTTY));
        assert_eq!(irq_mask(&file, 1, true), Err(Errno::ENOTTY));
        assert_eq!(irq_eventfd(&file, 0, None), Err(Errno::ENOTTY));
    }
}
