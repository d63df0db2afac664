// SPDX-License-Identifier: MIT OR Apache-2.0

//! The library's bulk operations on memory of each cache type, and what it does about the processor's caches.

use anyhow::{bail, ensure, Context, Result};
use devmap::{driver::CacheMode, Device, Error, Mapping, PhysRange, Width};
use map_protocol::pattern;
use nix::sys::{
    ptrace,
    signal::{raise, Signal},
    wait::{waitpid, WaitStatus},
};

use crate::{
    arch,
    child::Child,
    devmap::Expected,
    host::{Host, LENGTH, START},
    kernel::Loaded,
    program::devmap,
    Skip,
};

crate::tests! {
    a_mapping_knows_its_cache_type,
    bulk_operations_move_exactly_their_bytes_on_every_cache_type,
    a_copy_between_cache_types_and_nodes_moves_exactly_its_bytes,
    cache_lines_are_maintained_each_by_one_instruction,
    caches_are_maintained_for_cached_windows_alone,
}

/// A window of each cache type, a MiB each.
const WINDOWS: &str = "windows=uc@0xc0000000+1M,wc@0xc0100000+1M:wc,wb@0xc0200000+1M:cached";

const TYPES: [CacheMode; 3] = [CacheMode::Uncached, CacheMode::WriteCombine, CacheMode::Cached];

const MIB: usize = 1 << 20;

/// All of the window with this index, by its physical addresses.
fn map(index: usize) -> Result<Mapping> {
    let range = PhysRange::new(START + (index * MIB) as u64, MIB as u64).context("no range")?;
    Ok(Device::open("/dev/map")?.map(range)?)
}

/// Fails unless the memory has the expected contents, as seen through one mapping of all of it, and by the host. No
/// window is loaded.
fn holds(expected: &Expected, host: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    expected.holds(host)
}

fn a_mapping_knows_its_cache_type(_: &mut Host) -> Result<()> {
    {
        let _loaded = Loaded::with(&[WINDOWS])?;
        for (index, cache) in TYPES.into_iter().enumerate() {
            let own = Device::open(format!("/dev/map{}", index + 1))?.map_all()?;
            ensure!((map(index)?.cache(), own.cache()) == (Some(cache), Some(cache)), "{cache}: {own:?}");
        }
        // Nobody can be asked about another driver's memory.
        if let Ok(mem) = Device::open_read_only("/dev/mem")?.map(PhysRange::new(0xfee0_0000, 4).context("no range")?) {
            ensure!(mem.cache().is_none(), "{mem:?}");
        }
    }
    let _loaded = Loaded::new()?;
    ensure!(map(2)?.cache() == Some(CacheMode::Uncached), "in raw mode");
    Ok(())
}

/// Where transfers begin and how long they are: aligned and not, shorter and longer than a block.
const PIECES: [(usize, usize); 8] = [
    (0, 0x2000),
    (1, 1),
    (0x3007, 0x1234),
    (0x8010, 0x0fff),
    (0xa020, 0x2_0001),
    (0x4_0033, 0x100),
    (0x5_0040, 0xbf),
    (0x6_003f, 0xc1),
];

fn bulk_operations_move_exactly_their_bytes_on_every_cache_type(host: &mut Host) -> Result<()> {
    let mut expected = Expected::new(host, 160)?;
    let loaded = Loaded::with(&[WINDOWS])?;
    for (index, cache) in TYPES.into_iter().enumerate() {
        let mapping = map(index)?;
        let bulk = mapping.bulk();
        for (start, length) in PIECES {
            let what = format!("{length:#x} bytes from {start:#x} on, {cache}");
            let at = index * MIB + start;
            let mut found = vec![0; length];
            bulk.read_into(start, &mut found)?;
            ensure!(found == expected.bytes[at..at + length], "{what}: something else was read");
            ensure!(bulk.compare(start, &found)?.is_none(), "{what}: equal bytes differ");
            for different in [0, length / 2, length - 1] {
                let mut other = found.clone();
                other[different] ^= 0x80;
                let first = bulk.compare(start, &other)?;
                let is = (start + different, found[different], other[different]);
                let first = first.map(|first| (first.offset, first.found, first.expected));
                ensure!(first == Some(is), "{what}: {first:x?}, not {is:x?}");
            }
            let bytes = pattern::bytes(1160 + index as u64, start as u64, length);
            bulk.write_from(start, &bytes)?;
            expected.put(at, &bytes);
            // Further up, so that not all of it is overwritten.
            bulk.fill(start + MIB / 2, length & !3, 0x1122_3344u32.to_be())?;
            expected.put(at + MIB / 2, &[0x11, 0x22, 0x33, 0x44].repeat(length / 4));
        }
        bulk.with_width(Width::Bits16).fill(0xf_0000, 0x400, 0x5aa5u16)?;
        expected.put(index * MIB + 0xf_0000, &0x5aa5u16.to_ne_bytes().repeat(0x200));
        mapping.flush();
    }
    drop(loaded);
    holds(&expected, host)
}

fn a_copy_between_cache_types_and_nodes_moves_exactly_its_bytes(host: &mut Host) -> Result<()> {
    let mut expected = Expected::new(host, 161)?;
    let loaded = Loaded::with(&[WINDOWS])?;
    let all = [map(0)?, map(1)?, map(2)?];
    for (from, source) in all.iter().enumerate() {
        // By its own node as well: the same memory has other addresses there.
        let own = Device::open(format!("/dev/map{}", from + 1))?.map_all()?;
        for (to, target) in all.iter().enumerate() {
            for (index, (start, length)) in PIECES.into_iter().enumerate() {
                let target_start = [0x8_0000, 0x8_0021, 0x8_0040][index % 3] + start;
                own.bulk().copy(start, target, target_start, length)?;
                let from = from * MIB + start;
                expected.bytes.copy_within(from..from + length, to * MIB + target_start);
            }
        }
        // Onto itself, up and down, through the two mappings.
        for (start, onto) in [(0x1000, 0x1021), (0x4_0040, 0x4_0000), (0x6_0000, 0x6_0010), (0x6_0033, 0x6_0032)] {
            own.bulk().copy(start, source, onto, 0x1_2345)?;
            let at = from * MIB;
            expected.bytes.copy_within(at + start..at + start + 0x1_2345, at + onto);
        }
        source.flush();
    }
    drop((all, loaded));
    holds(&expected, host)
}

/// An instruction for a cache line, or one that waits for those.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maintenance {
    /// Writes back the line at this address.
    Clean(u64),
    /// Writes it back and removes it.
    CleanInvalidate(u64),
    /// Waits.
    Barrier,
}

/// The instructions for caches that a child executes in `act`, which another process steps through.
fn instructions(act: impl FnOnce() -> bool) -> Result<Vec<Maintenance>> {
    let child = Child::spawn(|| {
        let stopped = |_: ()| raise(Signal::SIGSTOP).is_ok();
        let begun = ptrace::traceme().is_ok_and(stopped);
        i32::from(!(begun && act() && stopped(())))
    })?;
    let pid = child.pid();
    let mut found = Vec::new();
    waitpid(pid, None)?;
    loop {
        match arch::step(pid)? {
            WaitStatus::Stopped(_, Signal::SIGTRAP) => {}
            WaitStatus::Stopped(_, Signal::SIGSTOP) => break,
            other => bail!("it ended too early: {other:?}"),
        }
        found.extend(arch::maintenance(pid)?);
    }
    Ok(found)
}

fn cache_lines_are_maintained_each_by_one_instruction(host: &mut Host) -> Result<()> {
    if !arch::MAINTAINS_CACHES {
        return Err(Skip("programs have no instructions for caches on this architecture".into()).into());
    }
    host.fill(162)?;
    let _loaded = Loaded::with(&[WINDOWS])?;
    let mapping = map(2)?;
    let line = arch::cache_line()?;
    // What the library asks once, it asks here: where breakpoints stand in for steps, a child would lose a reservation
    // at each of them, and never get through an atomic operation.
    mapping.clean(0, 0)?;
    let base = mapping.as_ptr().addr() as u64;
    for (offset, length) in [(0, 1), (1, 0), (line - 1, 1), (line - 1, 2), (8, 2 * line), (MIB - line - 4, line + 4)] {
        let end = base + (offset + length) as u64;
        let first = base + (offset / line * line) as u64;
        let lines: Vec<_> = (first..end).step_by(line).filter(|_| length > 0).collect();
        let executed = |act: &dyn Fn() -> devmap::Result<()>| instructions(|| act().is_ok());
        let with = |kind: fn(u64) -> Maintenance| -> Vec<_> {
            lines.iter().copied().map(kind).chain([Maintenance::Barrier]).collect()
        };
        let what = format!("{length:#x} bytes from {offset:#x} on");
        let clean = executed(&|| mapping.clean(offset, length))?;
        ensure!(clean == with(Maintenance::Clean), "clean {what}: {clean:x?}, not {lines:x?}");
        let invalidate = executed(&|| mapping.invalidate(offset, length))?;
        ensure!(invalidate == with(Maintenance::CleanInvalidate), "invalidate {what}: {invalidate:x?}, not {lines:x?}");
        let both = executed(&|| mapping.clean_invalidate(offset, length))?;
        ensure!(both == invalidate, "clean_invalidate {what}: {both:x?}, not {lines:x?}");
    }
    host.changed(162, &[], |_| 0)
}

fn caches_are_maintained_for_cached_windows_alone(host: &mut Host) -> Result<()> {
    let mut expected = Expected::new(host, 163)?;
    {
        let _loaded = Loaded::with(&[WINDOWS])?;
        for (index, cache) in [(0, CacheMode::Uncached), (1, CacheMode::WriteCombine)] {
            let mapping = map(index)?;
            for result in [mapping.clean(0, 4), mapping.invalidate(0, 4), mapping.clean_invalidate(0, 4)] {
                ensure!(
                    matches!(&result, Err(Error::NotCached { cache: c, .. }) if *c == cache),
                    "{cache}: {result:?}"
                );
            }
        }
        let beyond = map(2)?.clean(MIB, 1);
        ensure!(matches!(beyond, Err(Error::OutOfBounds { .. })), "{beyond:?}");
        let text =
            "cannot invalidate the caches for 0xc0100000-0xc0100003: its cache type is wc, so no cache keeps it; \
                    this is for cached windows";
        devmap("--sync-cache read 0xc0100000")?.failed(3, &[text])?;
        // Refused before the store.
        devmap("--sync-cache write 0xc0000000 1")?.failed(3, &["its cache type is uncached"])?;

        if !arch::MAINTAINS_CACHES {
            let mapping = map(2)?;
            for result in [mapping.clean(0, 4), mapping.invalidate(0, 4), mapping.clean_invalidate(0, 4)] {
                ensure!(matches!(result, Err(Error::NoCacheMaintenance { .. })), "{result:?}");
            }
            devmap("--sync-cache read 0xc0200000")?.failed(3, &["programs cannot do that on this processor"])?;
            devmap("--sync-cache write 0xc0200000 1")?.failed(3, &["programs cannot do that on this processor"])?;
            return host.changed(163, &[], |_| 0);
        }
        devmap("--sync-cache fill wb+0x100-0x10ff 0xa5 -w 8 --verify")?.printed("")?;
        expected.put(0x20_0100, &[0xa5; 0x1000]);
        devmap("--sync-cache copy wb+0x100-0x4ff wb+0x8001 --verify")?.printed("")?;
        expected.put(0x20_8001, &[0xa5; 0x400]);
        devmap("--sync-cache write wb+0x10000 0x11223344 --endian big --verify")?.printed("")?;
        expected.put(0x21_0000, &[0x11, 0x22, 0x33, 0x44]);
        devmap("--sync-cache modify wb+0x10000 --set 0x80 --endian big")?
            .printed("wb+0x00010000: 0x11223344 -> 0x112233c4\n")?;
        expected.put(0x21_0000, &[0x11, 0x22, 0x33, 0xc4]);
        devmap("--sync-cache read wb+0x10000 --endian big")?.printed("wb+0x00010000: 0x112233c4\n")?;
    }
    {
        // A mapping that cannot be written needs no more than to be read.
        let _loaded = Loaded::with(&["windows=0xc0000000+3M:ro:cached"])?;
        let mapping = Device::open_read_only("/dev/map")?.map(PhysRange::new(START, LENGTH).context("no range")?)?;
        mapping.clean(0, 0x1000)?;
        mapping.invalidate(0x20_0000, 0x1000)?;
    }
    holds(&expected, host)
}
