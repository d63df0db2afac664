// SPDX-License-Identifier: MIT OR Apache-2.0

//! Memory above 4 GiB, and across the border, on a kernel of 32 bits that has it: arm with LPAE.

use std::{fs::File, os::unix::fs::FileExt};

use anyhow::{ensure, Result};
use map_protocol::{pattern, CacheMode};
use nix::errno::Errno;

use crate::{
    arch::DEBUGGERS,
    errno,
    host::{Host, PAGE},
    kernel::Loaded,
    memory::while_spinning,
    program::devmap,
    user,
    vma::Vma,
};

crate::tests! {
    raw_mode_reaches_memory_above_4_gib,
    a_window_across_4_gib_is_mapped_by_both_nodes,
    every_cache_type_is_mapped_above_4_gib,
    the_kernel_copies_memory_above_4_gib,
    the_command_line_reads_and_writes_above_4_gib,
}

/// The memory that the device tree reserves: a MiB on each side of the border.
const MEMORY: (u64, u64) = (BORDER - MIB, 2 * MIB);
const BORDER: u64 = 1 << 32;
const MIB: u64 = 1 << 20;

/// The parameter for a window onto it.
const WINDOW: &str = "windows=border@0xfff00000+2M";

fn other(seed: u64, offset: u64) -> u8 {
    !pattern::byte(seed, MEMORY.0 + offset)
}

/// Fails unless `vma`, whose first byte is at `offset` of the memory, shows and changes these bytes of it.
fn shows_and_stores(vma: &Vma, offset: u64, places: &[u64], seed: u64) -> Result<()> {
    for place in places {
        let at = (place - offset) as usize;
        let expected = pattern::byte(seed, MEMORY.0 + place);
        ensure!(vma.load(at) == expected, "at {place:#x}: {:#04x}, not {expected:#04x}", vma.load(at));
        vma.store(at, other(seed, *place));
    }
    Ok(())
}

fn raw_mode_reaches_memory_above_4_gib(host: &mut Host) -> Result<()> {
    let (seed, places) = (190, [MIB, MIB + 0x1003, 2 * MIB - 1]);
    host.fill_range(seed, MEMORY.0, MEMORY.1)?;
    let _loaded = Loaded::new()?;
    let vma = Vma::shared(&user::open()?, BORDER, MIB as usize)?;
    shows_and_stores(&vma, MIB, &places, seed)?;
    let stored = places.map(|place| place..place + 1);
    host.changed_range(seed, MEMORY, &stored, |offset| other(seed, offset))
}

fn a_window_across_4_gib_is_mapped_by_both_nodes(host: &mut Host) -> Result<()> {
    let places = [0, MIB - 1, MIB, MIB + 5, 2 * MIB - 1];
    let _loaded = Loaded::with(&[WINDOW])?;
    for (seed, node, base) in [(191, user::open()?, MEMORY.0), (192, user::open_window(1)?, 0)] {
        host.fill_range(seed, MEMORY.0, MEMORY.1)?;
        let vma = Vma::shared(&node, base, MEMORY.1 as usize)?;
        shows_and_stores(&vma, 0, &places, seed)?;
        for offset in [MIB - PAGE, MIB] {
            let page = while_spinning(|| (), || host.page(vma.address() + offset as usize))?;
            ensure!(page.physical == MEMORY.0 + offset && page.cache == CacheMode::Uncached, "{page:x?}");
        }
        let stored = places.map(|place| place..place + 1);
        host.changed_range(seed, MEMORY, &stored, |offset| other(seed, offset))?;
    }
    Ok(())
}

fn every_cache_type_is_mapped_above_4_gib(host: &mut Host) -> Result<()> {
    for (option, cache) in [("uc", CacheMode::Uncached), ("wc", CacheMode::WriteCombine), ("cached", CacheMode::Cached)]
    {
        let _loaded = Loaded::with(&[&format!("{WINDOW}:{option}")])?;
        let vma = Vma::shared(&user::open()?, BORDER, PAGE as usize)?;
        let page = while_spinning(|| (), || host.page(vma.address()))?;
        ensure!((page.physical, &page.cache) == (BORDER, &cache), "{option}: {page:x?}");
    }
    Ok(())
}

fn the_kernel_copies_memory_above_4_gib(host: &mut Host) -> Result<()> {
    let seed = 193;
    host.fill_range(seed, MEMORY.0, MEMORY.1)?;
    let _loaded = Loaded::with(&[WINDOW])?;
    let node = user::open_window(1)?;
    // By read(2) and write(2), across the border.
    let mut bytes = [0; 0x3000];
    node.read_exact_at(&mut bytes, MIB - 0x1800)?;
    ensure!(bytes[..] == pattern::bytes(seed, BORDER - 0x1800, bytes.len())[..], "read(2) gave something else");
    let written: Vec<_> = (MIB - 2..MIB + 2).map(|offset| other(seed, offset)).collect();
    node.write_all_at(&written, MIB - 2)?;
    // For a debugger.
    let vma = Vma::shared(&node, MIB, PAGE as usize)?;
    let memory = File::open("/proc/self/mem")?;
    let peeked = errno::result(memory.read_at(&mut [0], vma.address() as u64 + 9));
    let expected = if DEBUGGERS { Ok(1) } else { Err(Errno::EIO) };
    ensure!(peeked == expected, "a debugger: {peeked:?}");
    host.changed_range(seed, MEMORY, &[MIB - 2..MIB + 2], |offset| other(seed, offset))
}

fn the_command_line_reads_and_writes_above_4_gib(host: &mut Host) -> Result<()> {
    let seed = 194;
    host.fill_range(seed, MEMORY.0, MEMORY.1)?;
    let _loaded = Loaded::with(&[WINDOW])?;
    let words =
        |start: u64| -> Result<u32> { Ok(u32::from_le_bytes(pattern::bytes(seed, start, 4).as_slice().try_into()?)) };
    for place in ["0x100000000", "border+0x100000"] {
        let read = devmap(&format!("read -q {place}"))?;
        read.printed(&format!("{:#010x}\n", words(BORDER)?))?;
    }
    devmap("write 0x100000004 0x11223344")?.printed("")?;
    devmap("read 0x100200000")?.failed(3, &["the range is outside of every window"])?;
    let stored = [0x44, 0x33, 0x22, 0x11];
    host.changed_range(seed, MEMORY, &[MIB + 4..MIB + 8], |offset| stored[(offset - MIB - 4) as usize])
}
