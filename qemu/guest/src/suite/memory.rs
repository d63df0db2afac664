// SPDX-License-Identifier: MIT OR Apache-2.0

//! Stores through a mapping change exactly those bytes of memory, as the host sees it.

use std::fs::File;

use anyhow::{ensure, Context, Result};
use map_protocol::{pattern, CacheMode, Page};
use nix::{
    errno::Errno,
    sched::{sched_setaffinity, CpuSet},
    sys::{
        mman::{MapFlags, ProtFlags},
        resource::{getrusage, UsageWho},
        signal::Signal,
    },
    unistd::{sysconf, Pid, SysconfVar},
};

use crate::{
    child::{killed_by, succeeds_in_child, Child},
    host::{Host, LENGTH, START},
    kernel::{self, Loaded},
    user,
    vma::{Vma, READ_WRITE},
};

crate::tests! {
    the_sdram_program_stores_3_at_byte_100_and_nothing_else,
    a_pattern_written_by_the_host_is_read_in_the_guest,
    the_first_and_the_last_byte_are_stored,
    every_width_stores_exactly_its_bytes,
    a_mapping_of_one_page_is_one_page,
    a_length_within_a_page_maps_the_whole_page,
    two_mappings_see_each_others_stores,
    a_forked_child_sees_and_changes_the_memory,
    a_descriptor_for_reading_maps_for_reading,
    bulk_operations_work_at_every_alignment_and_length,
    an_access_takes_no_fault,
    an_access_after_munmap_is_sigsegv,
    the_page_table_says_uncached,
}

const SIZE: usize = LENGTH as usize;

/// The byte that a test stores at `offset`: never that of the pattern.
fn other(seed: u64, offset: u64) -> u8 {
    !pattern::byte(seed, START + offset)
}

fn page_size() -> Result<usize> {
    let size = sysconf(SysconfVar::PAGE_SIZE)?.context("no page size")?;
    Ok(usize::try_from(size)?)
}

fn the_sdram_program_stores_3_at_byte_100_and_nothing_else(host: &mut Host) -> Result<()> {
    let seed = 1;
    host.fill(seed)?;
    ensure!(host.differences(seed)?.1 == 0, "the host does not find its own pattern");
    let _loaded = Loaded::new()?;
    let output = kernel::run("sdram", &[])?;
    ensure!(output.trim_end().ends_with("is 3"), "sdram printed {output:?}");
    host.changed(seed, &[100..101], |_| 3)
}

fn a_pattern_written_by_the_host_is_read_in_the_guest(host: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let memory = user::map()?;
    // Twice with the same mapping: nothing may be cached from the first time.
    for seed in [2, 3] {
        host.fill(seed)?;
        for offset in (0..SIZE).step_by(4) {
            let found = memory.read::<u32>(offset)?;
            let expected = pattern::bytes(seed, START + offset as u64, 4);
            ensure!(found.to_ne_bytes() == expected[..], "at {offset:#x}: {found:#x}, not {expected:02x?}");
        }
    }
    Ok(())
}

fn the_first_and_the_last_byte_are_stored(host: &mut Host) -> Result<()> {
    let seed = 4;
    host.fill(seed)?;
    let _loaded = Loaded::new()?;
    let memory = user::map()?;
    let last = SIZE - 1;
    for offset in [0, last] {
        let value = other(seed, offset as u64);
        memory.write::<u8>(offset, value)?;
        ensure!(memory.read::<u8>(offset)? == value, "byte {offset:#x} is not what was stored");
    }
    host.changed(seed, &[0..1, last as u64..LENGTH], |offset| other(seed, offset))
}

fn every_width_stores_exactly_its_bytes(host: &mut Host) -> Result<()> {
    let seed = 5;
    host.fill(seed)?;
    let _loaded = Loaded::new()?;
    let memory = user::map()?;
    let bytes = |offset: u64| [0, 1, 2, 3, 4, 5, 6, 7].map(|index| other(seed, offset + index));
    let take = |offset: u64| u64::from_ne_bytes(bytes(offset));
    memory.write::<u8>(0x1001, take(0x1001) as u8)?;
    memory.write::<u16>(0x2002, take(0x2002) as u16)?;
    memory.write::<u32>(0x3004, take(0x3004) as u32)?;
    memory.write::<u64>(0x4008, take(0x4008))?;
    ensure!(memory.read::<u8>(0x1001)? == take(0x1001) as u8, "8 bits");
    ensure!(memory.read::<u16>(0x2002)? == take(0x2002) as u16, "16 bits");
    ensure!(memory.read::<u32>(0x3004)? == take(0x3004) as u32, "32 bits");
    ensure!(memory.read::<u64>(0x4008)? == take(0x4008), "64 bits");
    let stored = [0x1001..0x1002, 0x2002..0x2004, 0x3004..0x3008, 0x4008..0x4010];
    host.changed(seed, &stored, |offset| other(seed, offset))
}

fn a_mapping_of_one_page_is_one_page(host: &mut Host) -> Result<()> {
    let seed = 6;
    host.fill(seed)?;
    let page = page_size()?;
    let _loaded = Loaded::new()?;
    let vma = Vma::shared_with_gap(&user::open()?, START + page as u64, page)?;
    vma.store(page - 1, other(seed, 2 * page as u64 - 1));
    killed_by(Signal::SIGSEGV, || vma.store(page, 0))?;
    let last = 2 * page as u64 - 1;
    host.changed(seed, &[last..last + 1], |offset| other(seed, offset))
}

fn a_length_within_a_page_maps_the_whole_page(host: &mut Host) -> Result<()> {
    let seed = 7;
    host.fill(seed)?;
    let page = page_size()?;
    let _loaded = Loaded::new()?;
    let node = user::open()?;
    for (length, mapped) in
        [(1, page), (page - 1, page), (page + 1, 2 * page), (SIZE - 1, SIZE), (SIZE - page + 1, SIZE)]
    {
        let vma = Vma::shared_with_gap(&node, START, length)?;
        let last = mapped - 1;
        vma.store(last, other(seed, last as u64));
        killed_by(Signal::SIGSEGV, || vma.load(mapped))
            .with_context(|| format!("{length} bytes: the byte after {mapped}"))?;
    }
    let stored = [page, 2 * page, SIZE].map(|end| end as u64 - 1..end as u64);
    host.changed(seed, &stored, |offset| other(seed, offset))
}

fn two_mappings_see_each_others_stores(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let (one, two) = (user::map()?, user::map()?);
    for value in [0x0123_4567_u32, 0x89ab_cdef] {
        one.write(0x8000, value)?;
        ensure!(two.read::<u32>(0x8000)? == value, "the second mapping does not see {value:#x}");
    }
    Ok(())
}

fn a_forked_child_sees_and_changes_the_memory(host: &mut Host) -> Result<()> {
    let seed = 8;
    host.fill(seed)?;
    let _loaded = Loaded::new()?;
    let vma = Vma::shared(&user::open()?, START, SIZE)?;
    vma.store(10, other(seed, 10));
    succeeds_in_child(|| {
        vma.store(11, other(seed, 11));
        i32::from(vma.load(10) != other(seed, 10))
    })?;
    ensure!(vma.load(11) == other(seed, 11), "the parent does not see what the child stored");
    host.changed(seed, &[10..12], |offset| other(seed, offset))
}

fn a_descriptor_for_reading_maps_for_reading(host: &mut Host) -> Result<()> {
    let seed = 9;
    host.fill(seed)?;
    let _loaded = Loaded::new()?;
    let node = File::open("/dev/map")?;
    let vma = Vma::map(&node, START, SIZE, ProtFlags::PROT_READ, MapFlags::MAP_SHARED)?;
    ensure!(vma.load(5) == pattern::byte(seed, START + 5), "the mapping shows something else");
    killed_by(Signal::SIGSEGV, || vma.store(5, 0))?;
    ensure!(vma.protect(READ_WRITE) == Err(Errno::EACCES), "mprotect(2) makes it writable");
    ensure!(Vma::shared(&node, START, SIZE).err() == Some(Errno::EACCES), "it can be mapped for writing");
    host.changed(seed, &[], |_| 0)
}

fn bulk_operations_work_at_every_alignment_and_length(host: &mut Host) -> Result<()> {
    const ROOM: usize = 128;
    let seed = 9;
    host.fill(seed)?;
    let _loaded = Loaded::new()?;
    let memory = user::map()?;
    let bulk = memory.bulk();
    // The expected memory: two places, for copies from one to the other.
    let mut expected = pattern::bytes(seed, START, 2 * ROOM);
    // On arm64 a single unaligned access would end this process with SIGBUS.
    for (count, (offset, length)) in (0..16).flat_map(|offset| (0..=80).map(move |length| (offset, length))).enumerate()
    {
        let bytes = pattern::bytes(count as u64, 0, length + 8);
        // The buffer in the program is also at any alignment.
        let bytes = &bytes[count % 8..count % 8 + length];
        bulk.write_from(offset, bytes)?;
        expected[offset..offset + length].copy_from_slice(bytes);
        ensure!(bulk.compare(offset, bytes)?.is_none(), "compare: {length} bytes at {offset}");
        let target = ROOM + (count * 7) % 16;
        bulk.copy(offset, &memory, target, length)?;
        expected[target..target + length].copy_from_slice(bytes);
        bulk.fill::<u8>(offset, length / 2, count as u8)?;
        expected[offset..offset + length / 2].fill(count as u8);
        let mut found = vec![0; 2 * ROOM + 8];
        let found = &mut found[count % 8..count % 8 + 2 * ROOM];
        bulk.read_into(0, found)?;
        ensure!(*found == expected[..], "{length} bytes at {offset}, copied to {target}");
    }
    // Nothing outside the two places has changed.
    let last: Vec<_> = (0..2 * ROOM as u64).map(|offset| other(seed, offset)).collect();
    bulk.write_from(0, &last)?;
    host.changed(seed, &[0..2 * ROOM as u64], |offset| other(seed, offset))
}

fn an_access_takes_no_fault(host: &mut Host) -> Result<()> {
    let seed = 10;
    host.fill(seed)?;
    let page_size = page_size()?;
    let faults = || getrusage(UsageWho::RUSAGE_SELF).map(|usage| usage.minor_page_faults() + usage.major_page_faults());
    let _loaded = Loaded::with(&["huge=never"])?;
    let vma = Vma::shared(&user::open()?, START, SIZE)?;
    let ordinary = Vma::reserve(SIZE)?;
    ordinary.protect(READ_WRITE)?;
    // Large pages would take fewer faults; a kernel may have none.
    let _ = ordinary.advise(nix::libc::MADV_NOHUGEPAGE);
    let mut counts = Vec::new();
    // The first round faults in the code, and shows that faults are counted.
    for vma in [&ordinary, &vma] {
        let before = faults()?;
        for offset in (0..SIZE).step_by(page_size) {
            vma.store(offset, other(seed, offset as u64));
            vma.load(offset + 1);
        }
        counts.push(faults()? - before);
    }
    let pages = (SIZE / page_size) as nix::libc::c_long;
    ensure!(counts[0] >= pages && counts[1] == 0, "faults of ordinary memory and of the window: {counts:?}");
    let stored: Vec<_> = (0..LENGTH).step_by(page_size).map(|offset| offset..offset + 1).collect();
    host.changed(seed, &stored, |offset| other(seed, offset))
}

fn an_access_after_munmap_is_sigsegv(_: &mut Host) -> Result<()> {
    let page = page_size()?;
    let _loaded = Loaded::new()?;
    let vma = Vma::shared(&user::open()?, START, 4 * page)?;
    vma.unmap(page..2 * page)?;
    killed_by(Signal::SIGSEGV, || vma.load(page))?;
    killed_by(Signal::SIGSEGV, || vma.store(2 * page - 1, 0))?;
    // Its neighbours stay mapped.
    vma.load(page - 1);
    vma.load(2 * page);
    vma.unmap(0..4 * page)?;
    killed_by(Signal::SIGSEGV, || vma.load(0))
}

/// Calls `look` while a child with this process's mappings spins on the first processor.
///
/// Both processes call `touch` before: a page that a process has not written may be read-only in its page table.
pub fn while_spinning<T>(touch: impl Fn(), look: impl FnOnce() -> Result<T>) -> Result<T> {
    let _child = Child::spawn_ready(|ready| {
        touch();
        let mut first = CpuSet::new();
        let pinned = first.set(0).and_then(|()| sched_setaffinity(Pid::from_raw(0), &first));
        if pinned.is_ok() && ready.signal().is_ok() {
            loop {
                std::hint::spin_loop();
            }
        }
        1
    })?;
    touch();
    look()
}

fn the_page_table_says_uncached(host: &mut Host) -> Result<()> {
    let page_size = page_size()?;
    let _loaded = Loaded::with(&["huge=never"])?;
    let vma = Vma::shared(&user::open()?, START, SIZE)?;
    let ordinary = vec![1u8; 3 * page_size];
    let ordinary_page = (ordinary.as_ptr() as usize).next_multiple_of(page_size);
    let last_page = vma.address() + SIZE - page_size;
    let touch = || [0, SIZE - page_size].into_iter().for_each(|offset| vma.store(offset, vma.load(offset)));
    let (first, last, other) =
        while_spinning(touch, || Ok((host.page(vma.address())?, host.page(last_page)?, host.page(ordinary_page)?)))?;
    for (page, physical) in [(first, START), (last, START + LENGTH - page_size as u64)] {
        let size = page_size as u64;
        let expected =
            Page { physical, size, cache: CacheMode::Uncached, user: true, writable: true, executable: false };
        ensure!(page == expected, "{page:x?}");
    }
    ensure!(other.cache == CacheMode::Cached, "ordinary memory is not cached: {other:x?}");
    Ok(())
}
