// SPDX-License-Identifier: MIT OR Apache-2.0

//! Copies to and from mapped memory that the kernel makes. For a missing page it returns an error number, where a load
//! or store of the program's own is a signal.
//!
//! Nothing here is `unsafe` to the compiler, since the system calls are meant for the memory of another process. Here
//! they get addresses of this process, so these come only from a mapping and its checked bounds.

use std::io::{IoSlice, IoSliceMut};

use nix::errno::Errno;
use nix::sys::uio::{process_vm_readv, process_vm_writev, RemoteIoVec};
use nix::unistd::Pid;

use crate::raw::{Fault, VolatileSlice};

/// Why nothing was copied.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CopyError {
    /// The copy would leave the slice, or store into read-only memory.
    Fault(Fault),
    /// The kernel refused to copy.
    Refused(Errno),
}

/// Copies what `memory` has from `offset` on into `bytes`, up to the first missing page, and returns how many.
pub(crate) fn load(memory: &VolatileSlice, offset: usize, bytes: &mut [u8]) -> Result<usize, CopyError> {
    let start = locate(memory, offset, bytes.len())?;
    let length = bytes.len();
    repeat(length, |done| {
        if cfg!(miri) {
            return interpreted(length - done, memory.load_run::<u8>(offset + done, &mut bytes[done..]));
        }
        let there = RemoteIoVec { base: start + done, len: length - done };
        process_vm_readv(Pid::this(), &mut [IoSliceMut::new(&mut bytes[done..])], &[there])
    })
}

/// Copies `bytes` to what `memory` has from `offset` on, up to the first missing page, and returns how many.
pub(crate) fn store(memory: &VolatileSlice, offset: usize, bytes: &[u8]) -> Result<usize, CopyError> {
    let start = locate(memory, offset, bytes.len())?;
    if !memory.writable() {
        return Err(CopyError::Fault(Fault::ReadOnly));
    }
    repeat(bytes.len(), |done| {
        if cfg!(miri) {
            return interpreted(bytes.len() - done, memory.store_run::<u8>(offset + done, &bytes[done..]));
        }
        let there = RemoteIoVec { base: start + done, len: bytes.len() - done };
        process_vm_writev(Pid::this(), &[IoSlice::new(&bytes[done..])], &[there])
    })
}

/// The address of `length` bytes from `offset` on, all of them in the memory.
fn locate(memory: &VolatileSlice, offset: usize, length: usize) -> Result<usize, CopyError> {
    match offset.checked_add(length) {
        // In bounds, so the address does not wrap.
        Some(end) if end <= memory.length() => Ok(memory.start().addr() + offset),
        _ => Err(CopyError::Fault(Fault::OutOfBounds)),
    }
}

/// What the system call would return in Miri, which has none: the program itself has copied so many bytes. No page is
/// ever missing there.
fn interpreted(length: usize, copied: Result<(), Fault>) -> Result<usize, Errno> {
    copied.map(|()| length).map_err(|_| Errno::EFAULT)
}

/// Calls `copy` again from where it stopped, since one system call moves at most 2 GiB.
fn repeat(length: usize, mut copy: impl FnMut(usize) -> Result<usize, Errno>) -> Result<usize, CopyError> {
    let mut done = 0;
    while done < length {
        match copy(done) {
            Ok(0) | Err(Errno::EFAULT) => break,
            Ok(count) => done += count,
            Err(errno) => return Err(CopyError::Refused(errno)),
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_goes_on_until_it_is_whole_or_a_page_is_missing() {
        let in_steps = |steps: Vec<Result<usize, Errno>>| {
            let mut steps = steps.into_iter();
            let mut from = Vec::new();
            let result = repeat(10, |done| {
                from.push(done);
                steps.next().unwrap()
            });
            (result, from)
        };
        assert_eq!(in_steps(vec![Ok(10)]), (Ok(10), vec![0]));
        assert_eq!(in_steps(vec![Ok(4), Ok(6)]), (Ok(10), vec![0, 4]));
        assert_eq!(in_steps(vec![Ok(4), Err(Errno::EFAULT)]), (Ok(4), vec![0, 4]));
        assert_eq!(in_steps(vec![Err(Errno::EFAULT)]), (Ok(0), vec![0]));
        assert_eq!(in_steps(vec![Ok(4), Ok(0)]), (Ok(4), vec![0, 4]));
        // A sandbox that knows the system call and forbids it, and a kernel that does not have it.
        for errno in [Errno::EPERM, Errno::ENOSYS] {
            assert_eq!(in_steps(vec![Err(errno)]), (Err(CopyError::Refused(errno)), vec![0]));
        }
    }
}
