// SPDX-License-Identifier: MIT OR Apache-2.0

//! A window where no device answers.
//!
//! On some architectures the last test ends in a kernel panic.

use std::{
    fs::File,
    os::{fd::AsRawFd, unix::fs::FileExt},
};

use anyhow::{ensure, Result};
use nix::{errno::Errno, libc, sys::ptrace, unistd::pipe};

use crate::{
    arch::{UNANSWERED, UNANSWERED_COPY_FAILS},
    child::{killed_by, Child},
    errno,
    host::{Host, START},
    kernel::Loaded,
    program::{devmap, Scratch},
    user,
    vma::Vma,
    Test,
};

crate::tests! {
    a_program_that_loads_dies,
    devmap_says_that_nothing_answers,
    devmap_says_so_of_a_store_and_of_blocks,
    a_debugger_gets_eio,
    system_calls_take_memory_that_answers,
    a_kernel_that_loads_dies_or_fails,
}

/// An address with neither memory nor a device.
const HOLE: u64 = 0x0f00_0000;

/// The parameter for a window there.
const WINDOW: &str = "windows=hole@0x0f000000+4K";

/// A mapping of that window.
fn hole() -> Result<Vma> {
    Ok(Vma::shared(&user::open()?, HOLE, 4096)?)
}

fn a_program_that_loads_dies(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&[WINDOW])?;
    let vma = hole()?;
    killed_by(UNANSWERED, || vma.load(0))
}

/// The words of `devmap` about it, which name the signal.
fn says() -> String {
    format!("({UNANSWERED}): nothing answers at the address, or not to this width; see the device's manual")
}

fn devmap_says_that_nothing_answers(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&[WINDOW])?;
    for width in [8, 16, 32] {
        devmap(&format!("read hole+0x10 -w {width}"))?.failed(3, &["cannot access /dev/map1: ", &says()])?;
    }
    devmap("read 0x0f000ffc")?.failed(3, &["cannot access /dev/map: ", &says()])
}

/// A file that is not finished is removed, and a memory that answers is not to blame.
fn devmap_says_so_of_a_store_and_of_blocks(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&["windows=hole@0x0f000000+4K,sdram@0xc0000000+1M"])?;
    devmap("write hole 1")?.failed(3, &["cannot access /dev/map1: ", &says()])?;
    devmap("fill hole 1")?.failed(3, &["cannot access /dev/map1: ", &says()])?;
    let scratch = Scratch::new()?;
    devmap(&format!("save hole {}", scratch.path("saved")))?.failed(3, &[&says()])?;
    ensure!(scratch.names()?.is_empty(), "there are {:?}", scratch.names()?);
    // What is mapped last answers.
    devmap("read hole sdram")?.failed(3, &["cannot access /dev/map1: ", &says()])
}

/// A process can debug itself through /proc/self/mem.
fn a_debugger_gets_eio(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&[WINDOW])?;
    let vma = hole()?;
    let memory = File::options().read(true).write(true).open("/proc/self/mem")?;
    let address = vma.address() as u64;
    let read = errno::result(memory.read_at(&mut [0; 8], address));
    let written = errno::result(memory.write_at(&[0; 8], address));
    ensure!((read, written) == (Err(Errno::EIO), Err(Errno::EIO)), "a read: {read:?}, a write: {written:?}");
    let child = Child::spawn_traced()?;
    let peeked = ptrace::read(child.pid(), address as ptrace::AddressType);
    child.kill()?;
    ensure!(peeked == Err(Errno::EIO), "ptrace: {peeked:?}");
    Ok(())
}

/// The system calls of the last test are harmless where there is memory.
fn system_calls_take_memory_that_answers(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&["windows=0xc0000000+1M:wc"])?;
    let vma = Vma::shared(&user::open()?, START, 4096)?;
    vma.store(0, 0x5a);
    let (reader, writer) = pipe()?;
    // SAFETY: the bytes are mapped, and have no references.
    let written = unsafe { libc::write(writer.as_raw_fd(), vma.address() as *const libc::c_void, 8) };
    ensure!(written == 8, "write(2) gave {written}: {:?}", Errno::last());
    // SAFETY: as above.
    let read = unsafe { libc::read(reader.as_raw_fd(), (vma.address() + 64) as *mut libc::c_void, 8) };
    ensure!(read == 8 && vma.load(64) == 0x5a, "read(2) gave {read}: {:?}", Errno::last());
    Ok(())
}

/// Whether the kernel dies of this test, so that no other can follow.
pub fn is_fatal(test: &Test) -> bool {
    !UNANSWERED_COPY_FAILS && test.name == "a_kernel_that_loads_dies_or_fails"
}

/// The kernel itself loads what a program passes to write(2), and no device answers.
fn a_kernel_that_loads_dies_or_fails(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&[WINDOW])?;
    let vma = hole()?;
    let (_reader, writer) = pipe()?;
    // SAFETY: the bytes are mapped; the test is about no device answering.
    let written = unsafe { libc::write(writer.as_raw_fd(), vma.address() as *const libc::c_void, 8) };
    ensure!(UNANSWERED_COPY_FAILS && written == -1, "write(2) gave {written}: {:?}", Errno::last());
    ensure!(Errno::last() == Errno::EFAULT, "write(2): {:?}", Errno::last());
    Ok(())
}
