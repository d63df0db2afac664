// SPDX-License-Identifier: MIT OR Apache-2.0

//! Memory that is hot-plugged.

use std::{
    fs,
    os::unix::fs::FileExt,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{bail, ensure, Context, Result};
use map_core::Refusal;
use nix::{errno::Errno, sys::signal::Signal};

use crate::{
    child::killed_by,
    errno,
    host::Host,
    kernel::{self, Loaded},
    refusal::shared_fails,
    user,
    vma::Vma,
};

crate::tests! {
    memory_over_a_shared_window_stays_offline,
    memory_of_which_a_window_has_the_first_page_stays_offline,
    memory_over_a_mapping_of_raw_mode_stays_offline,
    memory_over_a_claimed_window_is_not_added,
    memory_that_is_plugged_in_is_used_at_once,
}

/// The size of a memory block on x86_64, the smallest that can be plugged in.
pub const BLOCK: u64 = 128 << 20;

/// How long the kernel may take to use memory that was plugged in.
const PLUG_TIMEOUT: Duration = Duration::from_secs(30);

/// Plugs in memory, waits until the kernel uses it, and gives its first address.
pub fn plug(host: &mut Host, size: u64) -> Result<u64> {
    let before = ram()?;
    host.plug_memory(size)?;
    let deadline = Instant::now() + PLUG_TIMEOUT;
    loop {
        if let Some(&(start, end)) = ram()?.iter().find(|range| !before.contains(range)) {
            ensure!(end - start >= size, "{start:#x}-{end:#x} is less than {size:#x} bytes");
            // Memory that adjoins older memory shares its line.
            let start = end - size;
            if state(start)? == "online" {
                return Ok(start);
            }
        }
        if Instant::now() > deadline {
            bail!("no memory has arrived: {:x?}", ram()?);
        }
        sleep(Duration::from_millis(50));
    }
}

/// The ranges of memory that the kernel uses: the first address of each, and the one after the last.
fn ram() -> Result<Vec<(u64, u64)>> {
    let regions = kernel::iomem()?.into_iter().filter(|region| region.name == "System RAM");
    regions.map(|region| Ok((region.first, region.last.checked_add(1).context("a range to the end")?))).collect()
}

/// The state of the memory block at `address`.
fn state(address: u64) -> Result<String> {
    let path = format!("/sys/devices/system/memory/memory{}/state", address / BLOCK);
    Ok(fs::read_to_string(path).unwrap_or_default().trim().to_owned())
}

/// Where memory is plugged in: above the machine's other memory.
const PLACE: u64 = 1 << 32;

/// Plugs in memory that a window or mapping may overlap, waits until the kernel has a block of it, and gives its first
/// address.
fn plug_block(host: &mut Host) -> Result<u64> {
    let blocks = || Ok::<_, anyhow::Error>(fs::read_dir("/sys/devices/system/memory")?.count());
    let before = blocks()?;
    host.plug_memory(BLOCK)?;
    let deadline = Instant::now() + PLUG_TIMEOUT;
    while blocks()? == before {
        ensure!(Instant::now() < deadline, "no memory block has arrived");
        sleep(Duration::from_millis(50));
    }
    // Gives the kernel time to bring it online.
    sleep(Duration::from_secs(2));
    let ranges = ram()?;
    let &(_, end) = ranges.iter().filter(|range| range.0 >= PLACE).max().context("no memory above 4 GiB")?;
    Ok(end - BLOCK)
}

/// Brings the block at `address` online, as root would.
fn online(address: u64) -> Result<(), Errno> {
    let path = format!("/sys/devices/system/memory/memory{}/state", address / BLOCK);
    errno::result(fs::write(path, "online"))
}

/// Fails unless the block at `address` is offline, stays so even if root brings it online, and the log has a line.
fn stays_offline(address: u64) -> Result<()> {
    ensure!(state(address)? == "offline", "the block at {address:#x} is {}", state(address)?);
    let result = online(address);
    ensure!(result == Err(Errno::EBUSY), "bringing it online: {result:?}");
    ensure!(state(address)? == "offline", "the block at {address:#x} is {}", state(address)?);
    kernel::logged(format!("map: memory at {address:#x}, {BLOCK:#x} bytes, stays offline"))
}

fn memory_over_a_shared_window_stays_offline(host: &mut Host) -> Result<()> {
    let loaded = Loaded::with(&[&format!("windows=later@{PLACE:#x}+3G:shared")])?;
    let node = user::open()?;
    // It was no memory when the window was added and mapped.
    let vma = Vma::shared(&node, PLACE, 4096)?;
    // The kernel has a mapping for read(2), and one that keeps the cache type of huge pages, which ends beyond the
    // block.
    let free = ram()?.iter().map(|range| range.1).max().context("no memory")?.max(PLACE);
    let own = user::open_window(1)?;
    own.read_exact_at(&mut [0], free - PLACE)?;
    let large = Vma::shared(&node, free + BLOCK - (4 << 20), 8 << 20)?;
    let start = plug_block(host)?;
    ensure!(start == free, "the block arrived at {start:#x}, not at {free:#x}");
    stays_offline(start)?;
    // Now it cannot be mapped any more, but the rest can.
    shared_fails(&node, start, 4096, Errno::EPERM)?;
    kernel::logged(Refusal::SystemRam.to_string())?;
    Vma::shared(&node, start + BLOCK, 4096)?;
    // Nor is any more of it, in a mapping that is there, or by read(2) and write(2).
    killed_by(Signal::SIGBUS, || large.load(0))?;
    let more = start - PLACE + (16 << 20);
    for done in [own.read_at(&mut [0], more), own.write_at(&[0], more)] {
        ensure!(errno::result(done) == Err(Errno::EPERM), "more of the memory is accessed");
    }
    // What is behind it can be accessed.
    let _ = large.load(4 << 20);
    drop((vma, large, own, node, loaded));
    online(start).context("with the driver unloaded")
}

/// The kernel keeps its structures for a block at the block's beginning (`memmap_on_memory`), and does not notify about
/// these pages.
fn memory_of_which_a_window_has_the_first_page_stays_offline(host: &mut Host) -> Result<()> {
    let free = ram()?.iter().map(|range| range.1).max().context("no memory")?.max(PLACE);
    let loaded = Loaded::with(&[&format!("windows=first@{free:#x}+4K:shared")])?;
    let start = plug_block(host)?;
    ensure!(start == free, "the block arrived at {start:#x}, not at {free:#x}");
    stays_offline(start)?;
    drop(loaded);
    online(start).context("with the driver unloaded")
}

fn memory_over_a_mapping_of_raw_mode_stays_offline(host: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let node = user::open()?;
    let free = ram()?.iter().map(|range| range.1).max().context("no memory")?.max(PLACE);
    let vma = Vma::shared(&node, free, 2 << 30)?;
    // The last part of it suffices.
    vma.unmap(0..4096)?;
    let start = plug_block(host)?;
    stays_offline(start)?;
    drop(vma);
    online(start).context("after munmap(2)")
}

fn memory_over_a_claimed_window_is_not_added(host: &mut Host) -> Result<()> {
    let free = ram()?.iter().map(|range| range.1).max().context("no memory")?.max(PLACE);
    let _loaded = Loaded::with(&[&format!("windows=mine@{free:#x}+1G")])?;
    let vma = Vma::shared(&user::open()?, free, 4096)?;
    let before = ram()?;
    host.plug_memory(BLOCK)?;
    sleep(Duration::from_secs(5));
    ensure!(ram()? == before, "memory was added over a claim: {:x?}", ram()?);
    vma.load(0);
    Ok(())
}

fn memory_that_is_plugged_in_is_used_at_once(host: &mut Host) -> Result<()> {
    let start = plug(host, BLOCK)?;
    ensure!(start >= 1 << 32, "it arrived at {start:#x}, below the machine's other memory");
    Ok(())
}
