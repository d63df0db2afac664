// SPDX-License-Identifier: MIT OR Apache-2.0

//! Memory that is plugged in while the guest runs.

use std::{
    fs,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{bail, ensure, Context, Result};

use crate::host::Host;

crate::tests! {
    memory_that_is_plugged_in_is_used_at_once,
}

/// The size of a memory block on x86_64, the least that can be plugged in.
pub const BLOCK: u64 = 128 << 20;

/// How long the kernel may take to use memory that was plugged in.
const PATIENCE: Duration = Duration::from_secs(30);

/// Plugs in memory, waits until the kernel uses it, and gives its first address.
pub fn plug(host: &mut Host, size: u64) -> Result<u64> {
    let before = ram()?;
    host.plug_memory(size)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(&(start, end)) = ram()?.iter().find(|range| !before.contains(range)) {
            ensure!(end - start >= size, "{start:#x}-{end:#x} is less than {size:#x} bytes");
            // What touches older memory stands in one line with it.
            let start = end - size;
            if state(start)? == "online" {
                return Ok(start);
            }
        }
        if Instant::now() > deadline {
            bail!("no memory has come: {:x?}", ram()?);
        }
        sleep(Duration::from_millis(50));
    }
}

/// The ranges of memory that the kernel uses: the first address of each, and the one behind the last.
fn ram() -> Result<Vec<(u64, u64)>> {
    let text = fs::read_to_string("/proc/iomem")?;
    let lines = text.lines().filter_map(|line| line.strip_suffix(" : System RAM"));
    lines.map(|range| range_of(range).with_context(|| format!("{range:?} is no range"))).collect()
}

fn range_of(text: &str) -> Option<(u64, u64)> {
    let (first, last) = text.trim().split_once('-')?;
    let number = |digits| u64::from_str_radix(digits, 16).ok();
    Some((number(first)?, number(last)?.checked_add(1)?))
}

/// What the kernel says of the memory block at `address`.
fn state(address: u64) -> Result<String> {
    let path = format!("/sys/devices/system/memory/memory{}/state", address / BLOCK);
    Ok(fs::read_to_string(path).unwrap_or_default().trim().to_owned())
}

fn memory_that_is_plugged_in_is_used_at_once(host: &mut Host) -> Result<()> {
    let start = plug(host, BLOCK)?;
    ensure!(start >= 1 << 32, "it came at {start:#x}, below what the machine had");
    Ok(())
}
