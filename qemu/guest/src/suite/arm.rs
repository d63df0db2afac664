// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tests for arm (ARMv7) alone: offsets and addresses of more than 32 bits, and unaligned accesses.

use std::{fs, os::fd::AsRawFd, path::Path};

use anyhow::{bail, ensure, Context, Result};
use map_core::Refusal;
use map_protocol::{pattern, CacheMode};
use nix::{
    errno::Errno,
    libc,
    sys::{mman::MapFlags, wait::WaitStatus},
    unistd::Pid,
};

use crate::{
    board,
    bulk::Maintenance,
    host::{Host, LENGTH, PAGE, START},
    kernel::{load_fails, Loaded},
    memory::while_spinning,
    refusal::shared_fails,
    user,
    vma::{Vma, READ_WRITE},
    windows::{check, MIB, THREE},
    Test,
};

pub use crate::virt::*;

/// The code of a function that only returns.
pub const RETURN: [u8; 4] = [0x1e, 0xff, 0x2f, 0xe1];

/// The widest access in bits of a program of 32 bits; `None` if there are no such programs beside others.
pub const NARROW_WIDEST: Option<u32> = None;

/// More bytes than the address space of a process.
pub const ADDRESS_SPACE: u64 = 0xf000_0000;

/// Whether the page tables have long descriptors (LPAE). Only with them there are huge pages.
pub fn has_long_descriptors() -> bool {
    Path::new("/sys/kernel/mm/transparent_hugepage").exists()
}

/// The number of bits of a physical address: that of an entry of the page table.
pub fn address_bits() -> Result<u32> {
    Ok(if has_long_descriptors() { 40 } else { 32 })
}

/// Whether Linux lets debuggers access memory of devices. It has no `ioremap_prot()` here, and asks no driver without
/// it.
pub const DEBUGGERS: bool = false;

/// Whether Linux has huge pages for memory of devices.
pub const HUGE_PAGES: bool = false;

/// Whether programs may clean the processor's caches. The instructions are for the kernel alone.
pub const MAINTAINS_CACHES: bool = false;

/// The size of what such an instruction works on.
pub fn cache_line() -> Result<usize> {
    bail!("programs have no instructions for caches")
}

/// Lets a stopped process execute one instruction. The processor cannot stop after each, and neither does the kernel.
pub fn step(_: Pid) -> Result<WaitStatus> {
    bail!("no process can be stepped through")
}

/// What the next instruction of a stopped process is, if it is one for caches.
pub fn maintenance(_: Pid) -> Result<Option<Maintenance>> {
    Ok(None)
}

/// Tests of the driver without parameters.
pub const RAW: &[Test] = &[
    Test { name: "an_offset_of_32_bits_needs_no_large_files", run: an_offset_of_32_bits_needs_no_large_files },
    Test { name: "the_highest_page_of_32_bits_can_be_mapped", run: the_highest_page_of_32_bits_can_be_mapped },
    Test { name: "more_than_32_bits_of_address_need_lpae", run: more_than_32_bits_of_address_need_lpae },
];

/// Tests of the driver with windows.
pub const WINDOWS: &[Test] = &[
    board::ANOTHER_CACHE_TYPE,
    Test { name: "a_window_that_loads_can_be_mapped", run: a_window_that_loads_can_be_mapped },
];

/// Tests that need two processors. With one, QEMU translates without regard to others, and then takes an unaligned
/// access to memory of devices for an aligned one.
pub const PARALLEL: &[Test] =
    &[Test { name: "an_unaligned_store_stores_exactly_its_bytes", run: an_unaligned_store_stores_exactly_its_bytes }];

/// Tests of the command line.
pub const DEVMAP: &[Test] = &[board::UIO_DEVICE];

/// mmap(2) as a program without large files calls it, whose offsets have 32 bits and a sign.
fn map_by_short_offset(offset: u32) -> Result<Vma> {
    let node = user::open()?;
    let length = PAGE as usize;
    let place = std::ptr::null_mut();
    // SAFETY: a new mapping affects no memory of Rust.
    let address = unsafe {
        libc::mmap(place, length, READ_WRITE.bits(), libc::MAP_SHARED, node.as_raw_fd(), offset as libc::off_t)
    };
    ensure!(address != libc::MAP_FAILED, "at {offset:#x}: {:?}", Errno::last());
    // SAFETY: the mapping was just made, and nothing else knows it.
    unsafe { Vma::owned(address, length) }.context("no address")
}

fn an_offset_of_32_bits_needs_no_large_files(host: &mut Host) -> Result<()> {
    let seed = 180;
    host.fill(seed)?;
    ensure!(size_of::<libc::off_t>() == 4, "these programs have large files");
    let _loaded = Loaded::new()?;
    // Negative as a number with a sign.
    let vma = map_by_short_offset(START as u32)?;
    ensure!(vma.load(3) == pattern::byte(seed, START + 3), "it shows something else");
    vma.store(100, 3);
    host.changed(seed, &[100..101], |_| 3)
}

fn the_highest_page_of_32_bits_can_be_mapped(host: &mut Host) -> Result<()> {
    const LAST: u64 = (1 << 32) - PAGE;
    // No device answers there, so nothing is loaded; and until then a child's short descriptors are invalid.
    let mut is_there = |vma: &Vma| -> Result<()> {
        if has_long_descriptors() {
            let page = while_spinning(|| (), || host.page(vma.address()))?;
            ensure!((page.physical, &page.cache) == (LAST, &CacheMode::Uncached), "{page:x?}");
        }
        Ok(())
    };
    {
        let _loaded = Loaded::new()?;
        is_there(&map_by_short_offset(LAST as u32)?)?;
        is_there(&Vma::shared(&user::open()?, LAST, PAGE as usize)?)?;
    }
    let _loaded = Loaded::with(&[&format!("windows=last@{LAST:#x}+4K")])?;
    for (node, offset) in [(user::open()?, LAST), (user::open_window(1)?, 0)] {
        is_there(&Vma::shared(&node, offset, PAGE as usize)?)?;
    }
    Ok(())
}

/// Physical addresses above 4 GiB, where nothing answers.
const ABOVE: [u64; 3] = [1 << 32, 0x8_0000_0000, (1 << 40) - PAGE];

fn more_than_32_bits_of_address_need_lpae(host: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let node = user::open()?;
    for start in ABOVE {
        if has_long_descriptors() {
            let vma = Vma::shared(&node, start, PAGE as usize)?;
            let page = while_spinning(|| (), || host.page(vma.address()))?;
            ensure!(page.physical == start, "{page:x?}");
            continue;
        }
        shared_fails(&node, start, PAGE as usize, Errno::EINVAL)?;
        let verdict = check(&node, start, PAGE, READ_WRITE, MapFlags::MAP_SHARED)?;
        ensure!(verdict.verdict == Refusal::Address.code(), "{start:#x}: {verdict:x?}");
    }
    // Across the border.
    let across = Vma::shared(&node, (1 << 32) - PAGE, 2 * PAGE as usize).map(drop);
    let expected = if has_long_descriptors() { Ok(()) } else { Err(Errno::EINVAL) };
    ensure!(across == expected, "across 4 GiB: {across:?}");
    Ok(())
}

fn a_window_that_loads_can_be_mapped(host: &mut Host) -> Result<()> {
    for start in ABOVE {
        let window = format!("windows=above@{start:#x}+{PAGE:#x}");
        if !has_long_descriptors() {
            let reason = format!("the window above@{start:#x}+{PAGE:#x} ends beyond 0xffffffff");
            load_fails(&window, Errno::EINVAL, &[&reason])?;
            continue;
        }
        let _loaded = Loaded::with(&[&window])?;
        for (node, offset) in [(user::open()?, start), (user::open_window(1)?, 0)] {
            let vma = Vma::shared(&node, offset, PAGE as usize)?;
            let page = while_spinning(|| (), || host.page(vma.address()))?;
            ensure!(page.physical == start, "{offset:#x}: {page:x?}");
        }
    }
    if has_long_descriptors() {
        // Larger than any process, and than what the kernel can look up at once.
        let _loaded = Loaded::with(&["windows=large@0x1000000000+12G"])?;
        let node = user::open()?;
        for offset in [0, (4 << 30) - PAGE, 8 << 30, (12 << 30) - PAGE] {
            let vma = Vma::shared(&node, 0x10_0000_0000 + offset, PAGE as usize)?;
            let page = while_spinning(|| (), || host.page(vma.address()))?;
            ensure!(page.physical == 0x10_0000_0000 + offset, "{offset:#x}: {page:x?}");
        }
    }
    Ok(())
}

/// How often the kernel has done an unaligned access for a program.
fn fixed() -> Result<u64> {
    let text = fs::read_to_string("/proc/cpu/alignment")?;
    let count = text.lines().find_map(|line| line.strip_prefix("User:")).context("no count")?;
    Ok(count.trim().parse()?)
}

fn an_unaligned_store_stores_exactly_its_bytes(host: &mut Host) -> Result<()> {
    let seed = 181;
    host.fill(seed)?;
    let _loaded = Loaded::with(&[&THREE.replace(":ro", "")])?;
    let node = user::open()?;
    for index in 0..3 {
        let vma = Vma::shared(&node, START + index * MIB, MIB as usize)?;
        let before = fixed()?;
        vma.store_unaligned(65, 0x0403_0201);
        let taken = fixed()? - before;
        // Strongly-ordered memory takes none, so the kernel stores byte by byte. QEMU 10 sees to it with long
        // descriptors.
        let expected = u64::from(index == 0 && has_long_descriptors());
        ensure!(taken == expected, "window {index}: {taken} accesses were done by the kernel");
    }
    let stored = [65, MIB + 65, 2 * MIB + 65].map(|start| start..start + 4);
    ensure!(stored.iter().all(|range| range.end <= LENGTH), "outside");
    host.changed(seed, &stored, |offset| (offset % MIB - 64) as u8)
}
