// SPDX-License-Identifier: MIT OR Apache-2.0

//! Large windows: larger than what the kernel maps in one piece for read(2), or than the machine's memory.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{FileExt, PermissionsExt},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{ensure, Context, Result};
use map_core::LARGEST_MAPPING;
use map_protocol::pattern;
use nix::{
    errno::Errno,
    sys::{signal::Signal, wait::WaitStatus},
};

use crate::{
    child::{become_user, Child},
    host::{Host, START},
    kernel::{self, Loaded},
    refusal::shared_fails,
    user,
    vma::Vma,
};

crate::tests! {
    a_large_window_is_read_and_written_everywhere,
    a_window_of_64_gib_is_loaded_and_unloaded,
    nobody_maps_960_gib_in_one_piece,
    processes_that_map_all_they_can_are_killed_and_leave_nothing,
    mappings_with_huge_pages_leave_the_kernel_its_address_space,
}

/// The kernel maps 4 MiB of a window at a time.
fn a_large_window_is_read_and_written_everywhere(host: &mut Host) -> Result<()> {
    let (seed, length) = (149, 10 * MIB);
    let expected = |offset, count| pattern::bytes(seed, START + offset, count);
    host.fill_range(seed, START, length)?;
    let _loaded = Loaded::with(&["windows=0xc0000000+10M"])?;
    let window = user::open_window(1)?;
    let mut all = vec![0; length as usize];
    window.read_exact_at(&mut all, 0)?;
    ensure!(all == expected(0, all.len()), "what was read is not what the host wrote");
    // Further up than the last one, further down, and across.
    let places = [9 * MIB + 5, 5, 4 * MIB + 60, 4 * MIB - 50, 8 * MIB - 1, 10 * MIB - 100];
    for offset in places {
        let mut bytes = vec![0; 100];
        window.read_exact_at(&mut bytes, offset)?;
        ensure!(bytes == expected(offset, 100), "100 bytes at {offset:#x}");
        bytes.iter_mut().for_each(|byte| *byte = !*byte);
        window.write_all_at(&bytes, offset)?;
    }
    let changed = places.map(|offset| offset..offset + 100);
    host.changed_range(seed, (START, length), &changed, |offset| !pattern::byte(seed, START + offset))
}

fn a_window_of_64_gib_is_loaded_and_unloaded(_: &mut Host) -> Result<()> {
    let before = kernel::traces()?;
    drop(Loaded::with(&["windows=big@0x200000000+64G:shared"])?);
    let after = kernel::traces()?;
    kernel::unchanged(&before, &after)
}

/// Loads the driver with a window of 960 GiB that every user may map, each piece at once.
fn load() -> Result<Loaded> {
    let loaded = Loaded::with(&["windows=big@0x200000000+960G:huge=never"])?;
    fs::set_permissions("/dev/map", Permissions::from_mode(0o666))?;
    Ok(loaded)
}

const MIB: u64 = 1 << 20;

const BIG: u64 = 0x2_0000_0000;

fn nobody_maps_960_gib_in_one_piece(_: &mut Host) -> Result<()> {
    let _loaded = load()?;
    let node = user::open()?;
    // Its page tables would take 1.9 GB, and making them could not be interrupted.
    for length in [960 << 30, LARGEST_MAPPING + 4096] {
        shared_fails(&node, BIG, length as usize, Errno::EINVAL)?;
    }
    // All of it can be mapped in pieces.
    for part in [0, 1, 239] {
        Vma::shared(&node, BIG + part * LARGEST_MAPPING, LARGEST_MAPPING as usize)?;
    }
    Ok(())
}

/// The kilobytes of page tables in /proc/meminfo.
fn page_tables() -> Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("PageTables:")).context("no line")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// A process of uid 65534 that maps the largest pieces over and over, until it is killed.
fn attacker() -> Result<Child> {
    Child::spawn_ready(|ready| {
        let mut kept = Vec::new();
        if let (Ok(()), Ok(node)) = (become_user(65534), user::open()) {
            for part in 0.. {
                // A hundred pieces take 800 MB of page tables; then it starts again.
                if part % 100 == 0 {
                    kept.clear();
                }
                let start = BIG + part % 240 * LARGEST_MAPPING;
                let Ok(vma) = Vma::shared(&node, start, LARGEST_MAPPING as usize) else { break };
                kept.push(vma);
                if part == 2 && ready.signal().is_err() {
                    break;
                }
            }
        }
        1
    })
}

fn processes_that_map_all_they_can_are_killed_and_leave_nothing(_: &mut Host) -> Result<()> {
    let _loaded = load()?;
    let before = page_tables()?;
    let attackers = [attacker()?, attacker()?];
    for attacker in &attackers {
        // Root can inspect them …
        let name = fs::read(format!("/proc/{}/cmdline", attacker.pid()))?;
        ensure!(!name.is_empty(), "it is gone already");
    }
    for attacker in attackers {
        // … and kill them.
        let status = attacker.kill()?;
        ensure!(matches!(status, WaitStatus::Signaled(_, Signal::SIGKILL, _)), "{status:?}");
    }
    // The kernel frees page tables only when no processor can use them any more.
    let deadline = Instant::now() + Duration::from_secs(20);
    while page_tables()? > before + 4096 {
        ensure!(Instant::now() < deadline, "{before} kB of page tables before, {} after", page_tables()?);
        sleep(Duration::from_millis(50));
    }
    let mappings = fs::read_to_string("/sys/kernel/debug/map/mappings")?;
    ensure!(mappings.trim() == "0", "{mappings} mappings are left");
    Ok(())
}

/// The bytes of the kernel's own mappings of physical memory.
fn io_mapped() -> Result<u64> {
    let list = fs::read_to_string("/proc/vmallocinfo")?;
    let sizes = list.lines().filter(|line| line.contains("ioremap")).filter_map(|line| line.split_whitespace().nth(1));
    sizes.map(|size| Ok(size.parse::<u64>()?)).sum()
}

/// On x86 the cache type of huge pages is kept by a mapping of the kernel's. Each of these mappings needs another one.
fn mappings_with_huge_pages_leave_the_kernel_its_address_space(_: &mut Host) -> Result<()> {
    const TIB: u64 = 1 << 40;
    let loaded = Loaded::with(&["windows=big@0x200000000+960G"])?;
    let node = user::open()?;
    let before = io_mapped()?;
    let pieces = TIB / LARGEST_MAPPING + 4;
    let mapped: Result<Vec<_>, _> =
        (0..pieces).map(|piece| Vma::shared(&node, BIG + (piece << 21), LARGEST_MAPPING as usize)).collect();
    let mapped = mapped.context("all of them are granted")?;
    let taken = io_mapped()? - before;
    // Each has a page behind it.
    ensure!((TIB / 2..=TIB + pieces * 4096).contains(&taken), "they take {taken:#x} bytes");
    mapped.iter().for_each(|vma| {
        vma.load((LARGEST_MAPPING - 1) as usize);
    });
    drop((mapped, node, loaded));
    let left = io_mapped()?;
    ensure!(left <= before, "{left:#x} bytes are left, {before:#x} were there before");
    Ok(())
}
