// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a mapping costs: `map-suite bench DEVICE`, to be run with `map-qemu exec --icount`.

use std::{fs::File, time::Instant};

use anyhow::{Context, Result};

use crate::{
    host::{LENGTH, START},
    vma::Vma,
};

/// How often each mapping is made.
const ROUNDS: u32 = 200;

/// Prints what an mmap(2) with its munmap(2) takes on average, in nanoseconds of the guest's clock: with `--icount` that
/// is the number of instructions.
pub fn run(device: &str) -> Result<()> {
    let node = File::options().read(true).write(true).open(device).with_context(|| format!("cannot open {device}"))?;
    for length in [4096, LENGTH as usize] {
        // The first one may have page tables to allocate.
        drop(Vma::shared(&node, START, length)?);
        let started = Instant::now();
        for _ in 0..ROUNDS {
            drop(Vma::shared(&node, START, length)?);
        }
        let each = started.elapsed() / ROUNDS;
        println!("{device}: mmap and munmap of {length} bytes: {} ns", each.as_nanos());
    }
    Ok(())
}
