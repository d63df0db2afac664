// SPDX-License-Identifier: MIT OR Apache-2.0

//! Measures the cost of a mapping: `map-suite bench DEVICE`, for `map-qemu exec --icount`.

use std::{fs::File, time::Instant};

use anyhow::{Context, Result};

use crate::{
    host::{LENGTH, START},
    vma::Vma,
};

/// How often each mapping is made.
const ROUNDS: u32 = 200;

/// Prints the average time of an mmap(2) with its munmap(2), in nanoseconds of the guest's clock: with `--icount`, the
/// number of instructions.
pub fn run(device: &str) -> Result<()> {
    let node = File::options().read(true).write(true).open(device).with_context(|| format!("cannot open {device}"))?;
    for length in [4096, LENGTH as usize] {
        // The first one may allocate page tables.
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
