// SPDX-License-Identifier: MIT OR Apache-2.0

//! A mapping whose every byte can be accessed, and bytes after its end too, to find out what happens.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr;

use devmap::page;
use nix::libc;

/// The arguments of mmap(2). They need not be valid: the kernel's answer is what is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Where in the file the mapping begins.
    pub offset: u64,
    /// How many bytes it has.
    pub length: usize,
    /// Whether it is for writing too.
    pub writable: bool,
    /// Whether it is MAP_PRIVATE, rather than MAP_SHARED.
    pub private: bool,
}

/// A mapping, followed by reserved addresses with nothing behind them, so that an access there is always a SIGSEGV.
///
/// An access that the kernel has no page for ends the process with a signal. So this is for child processes.
///
/// # Invariants
///
/// The `reserved` bytes from `start` on belong only to this probe.
#[derive(Debug)]
pub struct Probe {
    start: *mut u8,
    reserved: usize,
}

impl Probe {
    /// Maps `file` as `request` says, with `gap` bytes of nothing after the last page.
    ///
    /// # Errors
    ///
    /// The error of mmap(2). Some addresses are then lost to this process.
    pub fn new(file: &File, request: Request, gap: usize) -> io::Result<Self> {
        let Request { offset, length, writable, private } = request;
        let rounded = page::system().round_up(length as u64).and_then(|bytes| usize::try_from(bytes).ok());
        // There are no more addresses than that, as the kernel would report.
        let reserved = rounded.and_then(|bytes| bytes.checked_add(gap)).ok_or(io::ErrorKind::OutOfMemory)?;
        let nothing = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: A new mapping takes nothing away from Rust.
        let start = unsafe { libc::mmap64(ptr::null_mut(), reserved, libc::PROT_NONE, nothing, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let protection = libc::PROT_READ | if writable { libc::PROT_WRITE } else { 0 };
        let sharing = if private { libc::MAP_PRIVATE } else { libc::MAP_SHARED };
        // An offset that is too large for the type is negative, and refused.
        let offset = offset as libc::off64_t;
        // SAFETY: It replaces addresses that were just reserved and that nothing else uses.
        let mapped =
            unsafe { libc::mmap64(start, length, protection, sharing | libc::MAP_FIXED, file.as_raw_fd(), offset) };
        if mapped == libc::MAP_FAILED {
            // The kernel may have removed the reservation, and another thread may have the addresses by now. So they
            // are left alone.
            return Err(io::Error::last_os_error());
        }
        // INVARIANT: This is the reservation; the mapping has replaced a part of it.
        Ok(Self { start: start.cast(), reserved })
    }

    /// Loads the byte at `offset`, or ends the process.
    ///
    /// # Panics
    ///
    /// Behind the gap.
    pub fn load(&self, offset: usize) -> u8 {
        let source = self.locate(offset);
        // SAFETY: By the invariant the address is the probe's. Where nothing is mapped, no instruction after this runs.
        unsafe { source.read_volatile() }
    }

    /// Stores `value` at `offset`, or ends the process.
    ///
    /// # Panics
    ///
    /// Behind the gap.
    pub fn store(&self, offset: usize, value: u8) {
        let target = self.locate(offset);
        // SAFETY: As in `load`; where the mapping is for reading only, the process ends too.
        unsafe { target.write_volatile(value) }
    }

    fn locate(&self, offset: usize) -> *mut u8 {
        assert!(offset < self.reserved, "offset {offset:#x} is behind the gap");
        self.start.wrapping_add(offset)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // SAFETY: By the invariant the addresses are the probe's, and no reference to them was ever made.
        unsafe { libc::munmap(self.start.cast(), self.reserved) };
    }
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;

    const REQUEST: Request = Request { offset: 0, length: 1, writable: true, private: false };

    #[test]
    fn what_is_mapped_is_loaded_and_stored() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(page::system().bytes()).unwrap();
        let (one, two) = (Probe::new(&file, REQUEST, 1).unwrap(), Probe::new(&file, REQUEST, 0).unwrap());
        one.store(100, 3);
        assert_eq!((two.load(100), two.load(101)), (3, 0));
        drop(one);
        assert_eq!(two.load(100), 3);
    }

    #[test]
    fn the_kernel_says_what_is_wrong() {
        let file = tempfile::tempfile().unwrap();
        for (request, errno) in
            [(Request { length: 0, ..REQUEST }, Errno::EINVAL), (Request { offset: 1, ..REQUEST }, Errno::EINVAL)]
        {
            let error = Probe::new(&file, request, 1).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(errno as i32), "{request:?}");
        }
        let endless = Request { length: usize::MAX, ..REQUEST };
        assert_eq!(Probe::new(&file, endless, 1).unwrap_err().kind(), io::ErrorKind::OutOfMemory);
    }

    #[test]
    #[should_panic = "behind the gap"]
    fn nothing_is_known_of_what_lies_behind_the_gap() {
        let file = tempfile::tempfile().unwrap();
        let page_size = page::system().bytes() as usize;
        Probe::new(&file, REQUEST, 0).unwrap().load(page_size);
    }
}
