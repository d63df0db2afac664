// SPDX-License-Identifier: MIT OR Apache-2.0

//! io_uring: one request at a time, which a thread of the kernel does in the name of the process if it may sleep.

use std::{ffi::CStr, os::fd::RawFd};

use anyhow::{Context, Result};
use io_uring::{
    opcode,
    squeue::Entry,
    types::{Fd, FsyncFlags},
    IoUring,
};
use nix::{errno::Errno, libc};

use crate::errno;

/// The position that stands for that of the file.
pub const CURRENT: i64 = -1;

/// The number of requests that have room; the least that there can be.
const ENTRIES: u32 = 1;

/// The rings of a process, or of a thread.
pub struct Ring(IoUring);

impl Ring {
    /// Makes them.
    pub fn new() -> Result<Self> {
        IoUring::new(ENTRIES).map(Self).context("io_uring_setup(2)")
    }

    /// Has a request done: its result, or the negative error number.
    fn call(&mut self, request: &Entry) -> i64 {
        // SAFETY: whoever has made the request passes memory under the conditions of `raw::call`, and it is done when
        // this returns, or the process ends.
        if unsafe { self.0.submission().push(request) }.is_err() {
            return -i64::from(Errno::EBUSY as i32);
        }
        loop {
            match errno::result(self.0.submit_and_wait(1)) {
                Ok(_) | Err(Errno::EINTR) => (),
                Err(errno) => return -i64::from(errno as i32),
            }
            if let Some(done) = self.0.completion().next() {
                return done.result().into();
            }
        }
    }

    /// As read(2) of `length` bytes to `address`, from a position or [`CURRENT`].
    pub fn read(&mut self, file: RawFd, address: usize, length: u32, position: i64) -> i64 {
        self.call(&opcode::Read::new(Fd(file), address as *mut u8, length).offset(position as u64).build())
    }

    /// As write(2), likewise.
    pub fn write(&mut self, file: RawFd, address: usize, length: u32, position: i64) -> i64 {
        self.call(&opcode::Write::new(Fd(file), address as *const u8, length).offset(position as u64).build())
    }

    /// As fsync(2).
    pub fn sync(&mut self, file: RawFd) -> i64 {
        self.call(&opcode::Fsync::new(Fd(file)).flags(FsyncFlags::empty()).build())
    }

    /// As open(2).
    pub fn open(&mut self, path: &CStr, flags: i32) -> i64 {
        self.call(&opcode::OpenAt::new(Fd(libc::AT_FDCWD), path.as_ptr()).flags(flags).build())
    }
}
