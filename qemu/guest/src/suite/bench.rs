// SPDX-License-Identifier: MIT OR Apache-2.0

//! Measures what system calls on a device cost: `map-suite bench DEVICE`, for `map-qemu exec --icount`.

use std::{
    fs::File,
    io::{Seek, SeekFrom},
    os::unix::fs::FileExt,
    time::Instant,
};

use anyhow::{Context, Result};
use devmap::{Device, PhysRange};

use crate::{
    host::{LENGTH, PAGE, START},
    vma::Vma,
};

/// How often each call is made.
const ROUNDS: u32 = 200;

/// Prints the average time of each kind of call, in nanoseconds of the guest's clock: with `--icount`, the number of
/// instructions.
pub fn run(device: &str) -> Result<()> {
    let open = || File::options().read(true).write(true).open(device).with_context(|| format!("cannot open {device}"));
    let mut node = open()?;
    // Only the node of a window has an end, and begins at 0.
    let start = match node.seek(SeekFrom::End(0)) {
        Ok(LENGTH) => 0,
        _ => START,
    };
    measure(device, "open and close", || open().map(drop))?;
    for length in [PAGE, LENGTH] {
        let what = format!("mmap and munmap of {length} bytes");
        measure(device, &what, || Ok(Vma::shared(&node, start, length as usize).map(drop)?))?;
    }
    for length in [PAGE, LENGTH] {
        let mut bytes = vec![0; length as usize];
        let what = format!("read of {length} bytes");
        if let Err(error) = measure(device, &what, || Ok(node.read_exact_at(&mut bytes, start)?)) {
            println!("{device}: {what}: {error:#}");
        }
        let what = format!("write of {length} bytes");
        if let Err(error) = measure(device, &what, || Ok(node.write_all_at(&bytes, start)?)) {
            println!("{device}: {what}: {error:#}");
        }
    }
    if start == START {
        let range = PhysRange::new(START, LENGTH).context("no range")?;
        let mapping = Device::open(device)?.map(range)?;
        for length in [PAGE, LENGTH] {
            let mut bytes = vec![0; length as usize];
            let what = format!("load of {length} bytes from a mapping");
            measure(device, &what, || Ok(mapping.bulk().read_into(0, &mut bytes)?))?;
        }
    }
    Ok(())
}

fn measure(device: &str, what: &str, mut call: impl FnMut() -> Result<()>) -> Result<()> {
    // The first one may allocate page tables, or touch memory for the first time.
    call()?;
    let started = Instant::now();
    for _ in 0..ROUNDS {
        call()?;
    }
    let each = started.elapsed() / ROUNDS;
    println!("{device}: {what}: {} ns", each.as_nanos());
    Ok(())
}
