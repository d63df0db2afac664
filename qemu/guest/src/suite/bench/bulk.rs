// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the library's bulk operations cost on each cache type, beside a plain loop and the C library's functions.

use std::{env, hint::black_box, process::Command};

use anyhow::{ensure, Context, Result};
use devmap::{Device, Mapping, PhysRange};

use super::{measure, report, KIB, MIB};
use crate::kernel::Loaded;

/// How much is moved.
const SIZES: [usize; 2] = [4 * KIB, 3 * MIB];

/// Where the second half of the memory begins, for a copy.
const APART: usize = 16 * MIB;

/// The byte that is stored.
const BYTE: u8 = 0x5a;

/// Where the memory begins that is moved: behind what the programs dump.
const OFFSET: u64 = 512 * MIB as u64;

/// The C library's settings without which it uses one `rep movsb` or `rep stosb`, which counts as an instruction for
/// each byte, and stores past the caches, which the guest does not have.
const TUNABLES: &str = "glibc.cpu.x86_rep_movsb_threshold=0x40000000:glibc.cpu.x86_rep_stosb_threshold=0x40000000:\
                        glibc.cpu.x86_non_temporal_threshold=0x40000000";

/// Prints the figures, on the memory at `start`: in a process of its own, since the C library reads its settings when
/// it starts.
pub fn run(start: &str) -> Result<()> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["bench", "bulk", start]).env("GLIBC_TUNABLES", TUNABLES);
    let status = command.status().context("cannot begin again")?;
    ensure!(status.success(), "the bulk operations: {status}");
    Ok(())
}

/// What the process does.
pub fn measure_all(start: &str) -> Result<()> {
    let start = super::parse(start)? + OFFSET;
    let mut one = vec![0; SIZES[1]];
    let mut other = vec![0; SIZES[1]];
    for (name, options) in [("window", ""), ("window, wc", ":wc"), ("window, cached", ":cached")] {
        let _driver = Loaded::with(&[&format!("windows=bench@{start:#x}+{:#x}{options}", 2 * APART)])?;
        let range = PhysRange::new(start, 2 * APART as u64).context("no range")?;
        let mapping = Device::open("/dev/map")?.map(range)?;
        for size in SIZES {
            by_library(name, &mapping, &mut one[..size])?;
            if options.is_empty() {
                by_loop(&mapping, &mut one[..size])?;
            }
        }
    }
    SIZES.into_iter().try_for_each(|size| by_libc(&mut one[..size], &mut other[..size]))
}

fn by_library(name: &str, mapping: &Mapping, bytes: &mut [u8]) -> Result<()> {
    let (bulk, size) = (mapping.bulk(), bytes.len());
    let report = |work: &str, costs| report(name, work, size, None, costs);
    report("bulk: fill", measure(|| Ok(bulk.fill(0, size, BYTE)?))?)?;
    report("bulk: load", measure(|| Ok(bulk.write_from(0, bytes)?))?)?;
    report("bulk: save", measure(|| Ok(bulk.read_into(0, bytes)?))?)?;
    report("bulk: copy", measure(|| Ok(bulk.copy(0, mapping, APART, size)?))?)?;
    let compare = || -> Result<()> {
        ensure!(bulk.compare(0, bytes)?.is_none(), "the memory differs from what was read");
        Ok(())
    };
    report("bulk: compare", measure(compare)?)
}

/// Measures what cannot fail.
fn each(mut act: impl FnMut()) -> Result<Vec<u64>> {
    measure(|| {
        act();
        Ok(())
    })
}

/// The same by loops over volatile values of 64 bits.
fn by_loop(mapping: &Mapping, bytes: &mut [u8]) -> Result<()> {
    let size = bytes.len();
    let words = size / size_of::<u64>();
    let mapped = mapping.as_ptr().cast::<u64>();
    let copied = mapping.as_ptr().wrapping_add(APART).cast::<u64>();
    let mut values: Vec<u64> = vec![0; words];
    // SAFETY: The index is below `words`, so the value lies in the mapping, and it is aligned as its page is.
    let load = |index: usize| unsafe { mapped.wrapping_add(index).read_volatile() };
    // SAFETY: As above; the mapping is writable. `copied` has as many bytes behind it.
    let store = |start: *mut u64, index: usize, value: u64| unsafe { start.wrapping_add(index).write_volatile(value) };
    let report = |work: &str, costs| report("volatile loop, uncached", work, size, None, costs);
    report("bulk: fill", each(|| (0..words).for_each(|index| store(mapped, index, u64::MAX / 255 * 0x5a)))?)?;
    report("bulk: load", each(|| (0..words).for_each(|index| store(mapped, index, values[index])))?)?;
    report("bulk: save", each(|| (0..words).for_each(|index| values[index] = load(index)))?)?;
    report("bulk: copy", each(|| (0..words).for_each(|index| store(copied, index, load(index))))?)?;
    let compare = || -> Result<()> {
        ensure!((0..words).all(|index| load(index) == values[index]), "the memory differs from what was read");
        Ok(())
    };
    report("bulk: compare", measure(compare)?)
}

/// The same by memset, memcpy and memcmp, on ordinary memory. For a copy to and from other memory there is one
/// function.
fn by_libc(one: &mut [u8], other: &mut [u8]) -> Result<()> {
    let size = one.len();
    let report = |work: &str, costs| report("C library, memory", work, size, None, costs);
    report("bulk: fill", each(|| black_box(&mut *one).fill(black_box(BYTE)))?)?;
    let costs = each(|| black_box(&mut *one).copy_from_slice(black_box(other)))?;
    for work in ["bulk: load", "bulk: save", "bulk: copy"] {
        report(work, costs.clone())?;
    }
    let compare = || -> Result<()> {
        ensure!(black_box(&*one) == black_box(&*other), "the copy differs");
        Ok(())
    };
    report("bulk: compare", measure(compare)?)
}
