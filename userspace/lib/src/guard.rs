// SPDX-License-Identifier: MIT OR Apache-2.0

//! Copies to and from mapped memory that the kernel makes. It finds a page missing as every processor does, but tells of
//! it by an error number, where a load or store of the program's own is a signal.
//!
//! Nothing here is `unsafe` to the compiler, since the system calls are meant for the memory of another process. Their
//! addresses are ours all the same, so they come from a mapping and its checked bounds alone.

use std::io::{IoSlice, IoSliceMut};

use nix::errno::Errno;
use nix::sys::uio::{process_vm_readv, process_vm_writev, RemoteIoVec};
use nix::unistd::Pid;

use crate::raw::{Fault, VolatileSlice};

/// Why a copy was not made at all.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotCopied {
    /// It would leave the slice, or store where it may not.
    Fault(Fault),
    /// The kernel does not copy.
    Refused(Errno),
}

/// Copies what `memory` has from `offset` on into `bytes`, up to the first page that is missing. Gives how many.
pub(crate) fn load(memory: &VolatileSlice, offset: usize, bytes: &mut [u8]) -> Result<usize, NotCopied> {
    let start = locate(memory, offset, bytes.len())?;
    let length = bytes.len();
    repeat(length, |done| {
        let there = RemoteIoVec { base: start + done, len: length - done };
        process_vm_readv(Pid::this(), &mut [IoSliceMut::new(&mut bytes[done..])], &[there])
    })
}

/// Copies `bytes` to what `memory` has from `offset` on, up to the first page that is missing. Gives how many.
pub(crate) fn store(memory: &VolatileSlice, offset: usize, bytes: &[u8]) -> Result<usize, NotCopied> {
    let start = locate(memory, offset, bytes.len())?;
    if !memory.writable() {
        return Err(NotCopied::Fault(Fault::ReadOnly));
    }
    repeat(bytes.len(), |done| {
        let there = RemoteIoVec { base: start + done, len: bytes.len() - done };
        process_vm_writev(Pid::this(), &[IoSlice::new(&bytes[done..])], &[there])
    })
}

/// The address of `length` bytes from `offset` on, all of them in the memory.
fn locate(memory: &VolatileSlice, offset: usize, length: usize) -> Result<usize, NotCopied> {
    match offset.checked_add(length) {
        // In bounds, so the address does not wrap.
        Some(end) if end <= memory.length() => Ok(memory.start().addr() + offset),
        _ => Err(NotCopied::Fault(Fault::OutOfBounds)),
    }
}

/// Has `copy` go on from where it stopped, since one system call moves 2 GiB at the most.
fn repeat(length: usize, mut copy: impl FnMut(usize) -> Result<usize, Errno>) -> Result<usize, NotCopied> {
    let mut done = 0;
    while done < length {
        match copy(done) {
            Ok(0) | Err(Errno::EFAULT) => break,
            Ok(count) => done += count,
            Err(errno) => return Err(NotCopied::Refused(errno)),
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
            assert_eq!(in_steps(vec![Err(errno)]), (Err(NotCopied::Refused(errno)), vec![0]));
        }
    }
}
