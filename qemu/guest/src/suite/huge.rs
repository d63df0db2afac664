// SPDX-License-Identifier: MIT OR Apache-2.0

//! Huge pages: a mapping that has them shows the same memory in the same way as one that has none.

use std::{
    fs::{self, File},
    ops::Range,
    os::{fd::AsRawFd, unix::fs::FileExt},
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
        Barrier,
    },
    thread,
};

use anyhow::{ensure, Context, Result};
use map_protocol::{pattern, CacheMode, Page};
use nix::{
    errno::Errno,
    libc,
    sys::{
        mman::{MapFlags, ProtFlags},
        resource::{getrusage, UsageWho},
        signal::Signal,
    },
};

use crate::{
    arch::{DEBUGGERS, HUGE_PAGES},
    child::{killed_by, succeeds_in_child, Child},
    host::{Host, LENGTH, PAGE, START},
    kernel::{self, Loaded},
    memory::while_spinning,
    user,
    vma::{protect_at, Vma, READ_WRITE},
    Skip, Test,
};

crate::tests! {
    a_large_mapping_has_huge_pages_of_every_cache_type,
    never_means_small_pages_that_are_all_there,
    every_page_is_reached_with_few_faults,
    a_mapping_is_aligned_to_its_memory,
    an_address_that_a_program_asks_for_is_taken,
    no_page_is_larger_than_2_mib,
    what_munmap_leaves_of_a_huge_page_stays_as_it_was,
    mprotect_changes_the_pages_that_it_names,
    a_huge_page_moves_with_its_mapping,
    a_child_reaches_what_its_parent_has_not_touched,
    a_program_may_ask_for_small_pages,
    a_debugger_reads_what_nobody_has_touched,
    the_word_after_huge_is_auto_or_never,
}

/// The tests that need two processors.
pub const RACES: &[Test] = &[Test {
    name: "threads_may_be_forbidden_huge_pages_in_the_middle",
    run: threads_may_be_forbidden_huge_pages_in_the_middle,
}];

const SIZE: usize = LENGTH as usize;
const MIB: usize = 1 << 20;
/// The size of the smallest huge page.
const HUGE: usize = 2 * MIB;
/// Offsets in both huge pages, and at their ends.
const PLACES: [usize; 8] = [0, 1, 0x1000, MIB + 0x123, HUGE - 1, HUGE, HUGE + 0x7_ffff, SIZE - 1];

/// The parameter for a window onto the free memory, with these options.
fn window(options: &str) -> String {
    format!("windows=free@{START:#x}+{LENGTH:#x}{options}")
}

/// Skips the test where Linux has no huge pages for memory of devices.
fn needs_huge_pages() -> Result<()> {
    if !HUGE_PAGES {
        return Err(Skip("this architecture has no huge pages for memory of devices".into()).into());
    }
    Ok(())
}

fn faults() -> Result<isize> {
    Ok(getrusage(UsageWho::RUSAGE_SELF)?.minor_page_faults() as isize)
}

/// Whether the byte at `offset` of a mapping from the beginning of the memory on is that of the pattern.
fn is_pattern(vma: &Vma, seed: u64, offset: usize) -> bool {
    vma.load(offset) == pattern::byte(seed, START + offset as u64)
}

/// Fails unless the mapping, whose first byte is that at `skip` of the memory, shows the pattern in `range` of it.
fn shows_pattern(vma: &Vma, seed: u64, skip: usize, range: Range<usize>) -> Result<()> {
    let ends = [range.start, range.end - 1];
    for offset in range.clone().step_by(0x1001).chain(ends) {
        let (found, expected) = (vma.load(offset), pattern::byte(seed, START + (skip + offset) as u64));
        ensure!(found == expected, "at {offset:#x}: {found:#x}, not {expected:#x}");
    }
    Ok(())
}

fn a_large_mapping_has_huge_pages_of_every_cache_type(host: &mut Host) -> Result<()> {
    needs_huge_pages()?;
    let types = [(":uc", CacheMode::Uncached), (":wc", CacheMode::WriteCombine), (":cached", CacheMode::Cached)];
    for (options, cache) in types {
        for (protection, writable) in [(READ_WRITE, true), (ProtFlags::PROT_READ, false)] {
            let _loaded = Loaded::with(&[&window(options)])?;
            let vma = Vma::map(&user::open()?, START, SIZE, protection, MapFlags::MAP_SHARED)?;
            let places = [0, HUGE - 1, HUGE, SIZE - 1];
            let touch = || {
                places.iter().for_each(|place| {
                    vma.load(*place);
                })
            };
            let look = || places.iter().map(|place| host.page(vma.address() + place)).collect::<Result<Vec<_>>>();
            let pages = while_spinning(touch, look)?;
            for (place, page) in places.into_iter().zip(pages) {
                let physical = START + place as u64;
                let size = if place < HUGE { HUGE as u64 } else { PAGE };
                let cache = cache.clone();
                let expected = Page { physical, size, cache, user: true, writable, executable: false };
                ensure!(page == expected, "{options} at {place:#x}: {page:x?}, not {expected:x?}");
            }
        }
    }
    Ok(())
}

fn never_means_small_pages_that_are_all_there(host: &mut Host) -> Result<()> {
    for parameters in [vec![window(":huge=never")], vec!["huge=never".to_owned()]] {
        let parameters: Vec<_> = parameters.iter().map(String::as_str).collect();
        let _loaded = Loaded::with(&parameters)?;
        let vma = Vma::shared(&user::open()?, START, SIZE)?;
        let (start, before) = (vma.address(), faults()?);
        PLACES.iter().for_each(|place| vma.store(*place, vma.load(*place)));
        ensure!(faults()? == before, "{parameters:?}: {} faults", faults()? - before);
        // Nobody touches it in the child, unless a fork leaves entries invalid until an access.
        let touch = || {
            if !HUGE_PAGES {
                vma.load(0);
            }
        };
        let page = while_spinning(touch, || host.page(start))?;
        ensure!((page.physical, page.size) == (START, PAGE), "{parameters:?}: {page:x?}");
    }
    Ok(())
}

fn every_page_is_reached_with_few_faults(host: &mut Host) -> Result<()> {
    let seed = 150;
    host.fill(seed)?;
    for (options, most) in [("", 2), (":huge=never", 0)] {
        let _loaded = Loaded::with(&[&window(options)])?;
        let vma = Vma::shared(&user::open()?, START, SIZE)?;
        is_pattern(&vma, seed, 0);
        // Not counting what this code needs itself, and the first page.
        let before = faults()?;
        let right = (0..SIZE).step_by(PAGE as usize).all(|offset| is_pattern(&vma, seed, offset));
        let stored = (0..SIZE).step_by(PAGE as usize).all(|offset| {
            vma.store(offset, vma.load(offset));
            true
        });
        let taken = faults()? - before;
        ensure!(right && stored, "another memory than the host's");
        ensure!(taken <= most, "{options:?}: {taken} faults, not {most}");
    }
    host.changed(seed, &[], |_| 0)
}

/// Where no machine here has memory, so nobody touches it; on x86 a load gives ones.
const NOWHERE: u64 = 0x2_0000_0000;
const GIB: u64 = 1 << 30;

fn a_mapping_is_aligned_to_its_memory(_: &mut Host) -> Result<()> {
    needs_huge_pages()?;
    let _loaded = Loaded::with(&[&format!("windows=big@{:#x}+64M", NOWHERE + PAGE)])?;
    let (node, own) = (user::open()?, user::open_window(1)?);
    let page = PAGE as usize;
    for (skip, length, alignment) in [
        (0, 3 * MIB, page),
        (0, 4 * MIB, HUGE),
        // Where the kernel begins to look, an odd number of MiB ends elsewhere.
        (0, 5 * MIB, HUGE),
        (MIB, 3 * MIB, HUGE),
        (HUGE - page, HUGE, HUGE),
        (HUGE - page, HUGE - page, page),
        (0, 64 * MIB, HUGE),
    ] {
        let physical = NOWHERE as usize + page + skip;
        for (node, offset) in [(&node, physical), (&own, skip)] {
            let vma = Vma::shared(node, offset as u64, length)?;
            let at = vma.address();
            ensure!(at % alignment == physical % alignment, "{length:#x} bytes of {physical:#x} are at {at:#x}");
        }
    }
    Ok(())
}

fn an_address_that_a_program_asks_for_is_taken(host: &mut Host) -> Result<()> {
    let seed = 157;
    host.fill(seed)?;
    let _loaded = Loaded::with(&[&window("")])?;
    let node = user::open()?;
    let free = Vma::reserve(3 * SIZE)?;
    let odd = (free.address() + HUGE) / HUGE * HUGE + 5 * PAGE as usize;
    let fixed = MapFlags::MAP_SHARED | MapFlags::MAP_FIXED;
    let vma = Vma::map_at(odd, node.as_raw_fd(), START, SIZE, READ_WRITE, fixed)?;
    ensure!(vma.address() == odd, "at {:#x}, not {odd:#x}", vma.address());
    shows_pattern(&vma, seed, 0, 0..SIZE)?;
    drop(vma);
    // As a hint, where nothing is.
    drop(free);
    let vma = Vma::map_at(odd, node.as_raw_fd(), START, SIZE, READ_WRITE, MapFlags::MAP_SHARED)?;
    ensure!(vma.address() == odd, "at {:#x}, not at the hint {odd:#x}", vma.address());
    shows_pattern(&vma, seed, 0, 0..SIZE)?;
    drop(vma);
    // Where there is room for it, but none to align it.
    let full = Vma::reserve(3 * SIZE)?;
    let gap = 5 * PAGE as usize;
    full.unmap(gap..gap + SIZE)?;
    let hint = full.address() + gap;
    let vma = Vma::map_at(hint, node.as_raw_fd(), START, SIZE, READ_WRITE, MapFlags::MAP_SHARED)?;
    ensure!(vma.address() == hint, "at {:#x}, not at the hint {hint:#x} in a gap", vma.address());
    shows_pattern(&vma, seed, 0, 0..SIZE)
}

/// x86 has pages of 1 GiB, too, but Linux cannot move them: it takes them for bad entries of the page table.
fn no_page_is_larger_than_2_mib(host: &mut Host) -> Result<()> {
    if !cfg!(target_arch = "x86_64") {
        return Err(Skip("there is no memory of 1 GiB, and where nothing answers a load is a SIGBUS".into()).into());
    }
    if kernel::is_debug() {
        return Err(Skip("KASAN would take 256 MiB to watch a kernel mapping of 2 GiB".into()).into());
    }
    let [gib, two, five] = [1, 2, 5].map(|count: u64| usize::try_from(count * GIB));
    let (gib, two, five) = (gib?, two?, five?);
    let _loaded = Loaded::with(&[&format!("windows=big@{NOWHERE:#x}+2G")])?;
    let vma = Vma::shared(&user::open()?, NOWHERE, two)?;
    let room = Vma::reserve(five)?;
    // A mapping of whole GiB, aligned to GiB, and then to less.
    let aligned = room.address().next_multiple_of(gib);
    let vma = vma.move_to(Vma::reserve_at(aligned, two)?)?;
    let mut page_at = |vma: &Vma| while_spinning(|| _ = vma.load(gib + 5), || host.page(vma.address() + gib + 5));
    let expected = (NOWHERE + GIB + 5, HUGE as u64);
    let page = page_at(&vma)?;
    ensure!((page.physical, page.size) == expected, "{page:x?}");
    let vma = vma.move_to(Vma::reserve_at(aligned + two + HUGE, two)?)?;
    let page = page_at(&vma)?;
    ensure!((page.physical, page.size) == expected, "after mremap: {page:x?}");
    Ok(())
}

fn what_munmap_leaves_of_a_huge_page_stays_as_it_was(host: &mut Host) -> Result<()> {
    let seed = 151;
    host.fill(seed)?;
    let _loaded = Loaded::with(&[&window("")])?;
    let vma = Vma::shared(&user::open()?, START, SIZE)?;
    vma.load(0);
    for hole in [MIB..MIB + PAGE as usize, 0..PAGE as usize, HUGE - 2 * PAGE as usize..HUGE + PAGE as usize] {
        vma.unmap(hole.clone())?;
        killed_by(Signal::SIGSEGV, || vma.load(hole.start))?;
        killed_by(Signal::SIGSEGV, || vma.load(hole.end - 1))?;
    }
    shows_pattern(&vma, seed, 0, PAGE as usize..MIB)?;
    shows_pattern(&vma, seed, 0, MIB + PAGE as usize..HUGE - 2 * PAGE as usize)?;
    shows_pattern(&vma, seed, 0, HUGE + PAGE as usize..SIZE)?;
    vma.store(MIB - 1, 9);
    host.changed(seed, &[MIB as u64 - 1..MIB as u64], |_| 9)
}

fn mprotect_changes_the_pages_that_it_names(host: &mut Host) -> Result<()> {
    let seed = 152;
    host.fill(seed)?;
    let _loaded = Loaded::with(&[&window(":wc")])?;
    let vma = Vma::shared(&user::open()?, START, SIZE)?;
    vma.store(0, vma.load(0));
    let page = PAGE as usize;
    protect_at(vma.address() + MIB, page, ProtFlags::PROT_READ)?;
    killed_by(Signal::SIGSEGV, || vma.store(MIB, 1))?;
    killed_by(Signal::SIGSEGV, || vma.store(MIB + page - 1, 1))?;
    protect_at(vma.address() + MIB + page, page, ProtFlags::PROT_NONE)?;
    killed_by(Signal::SIGSEGV, || vma.load(MIB + page))?;
    shows_pattern(&vma, seed, 0, 0..MIB + page)?;
    shows_pattern(&vma, seed, 0, MIB + 2 * page..SIZE)?;
    let seen = while_spinning(|| _ = vma.load(MIB), || host.page(vma.address() + MIB))?;
    ensure!((seen.size, seen.cache, seen.writable) == (PAGE, CacheMode::WriteCombine, false), "not what was asked for");
    // And back: the pages are one VMA again.
    protect_at(vma.address(), SIZE, READ_WRITE)?;
    vma.store(MIB + page, 7);
    vma.store(MIB, 7);
    host.changed(seed, &[MIB as u64..MIB as u64 + 1, (MIB + page) as u64..(MIB + page) as u64 + 1], |_| 7)
}

fn a_huge_page_moves_with_its_mapping(host: &mut Host) -> Result<()> {
    needs_huge_pages()?;
    let seed = 153;
    host.fill(seed)?;
    let _loaded = Loaded::with(&[&window("")])?;
    let node = user::open()?;
    // To addresses with the same alignment and with another, touched before and not.
    for skew in [0, 3 * PAGE as usize] {
        for touched in [false, true] {
            let vma = Vma::shared(&node, START, SIZE)?;
            if touched {
                vma.load(5);
            }
            let room = Vma::reserve(4 * SIZE)?;
            let target = (room.address() + HUGE) / HUGE * HUGE + skew;
            let moved = vma.move_to(Vma::reserve_at(target, SIZE)?)?;
            ensure!(moved.address() == target, "at {:#x}", moved.address());
            shows_pattern(&moved, seed, 0, 0..SIZE)?;
            moved.store(SIZE - 1, moved.load(SIZE - 1));
            let seen = while_spinning(|| _ = moved.load(1), || host.page(moved.address()))?;
            let size = if skew == 0 { HUGE as u64 } else { PAGE };
            ensure!((seen.physical, seen.size) == (START, size), "skew {skew:#x}: {seen:x?}");
        }
    }
    host.changed(seed, &[], |_| 0)
}

fn a_child_reaches_what_its_parent_has_not_touched(host: &mut Host) -> Result<()> {
    let seed = 154;
    host.fill(seed)?;
    let _loaded = Loaded::with(&[&window("")])?;
    let vma = Vma::shared(&user::open()?, START, SIZE)?;
    // Only the tail.
    vma.load(SIZE - 1);
    succeeds_in_child(|| {
        let right = PLACES.iter().all(|place| is_pattern(&vma, seed, *place));
        vma.store(4, 11);
        i32::from(!right || vma.unmap(0..SIZE).is_err())
    })?;
    ensure!(vma.load(4) == 11, "the child stored elsewhere");
    shows_pattern(&vma, seed, 0, 5..SIZE)?;
    host.changed(seed, &[4..5], |_| 11)
}

fn a_program_may_ask_for_small_pages(host: &mut Host) -> Result<()> {
    needs_huge_pages()?;
    let seed = 155;
    host.fill(seed)?;
    let _loaded = Loaded::with(&[&window("")])?;
    let vma = Vma::shared(&user::open()?, START, SIZE)?;
    vma.advise(libc::MADV_NOHUGEPAGE)?;
    vma.load(0);
    let before = faults()?;
    shows_pattern(&vma, seed, 0, 0..SIZE)?;
    let taken = faults()? - before;
    ensure!(taken <= 2, "{taken} faults");
    let seen = while_spinning(|| _ = vma.load(0), || host.page(vma.address()))?;
    ensure!((seen.physical, seen.size) == (START, PAGE), "{seen:x?}");
    Ok(())
}

fn a_debugger_reads_what_nobody_has_touched(host: &mut Host) -> Result<()> {
    if !DEBUGGERS {
        return Err(Skip("Linux lets no debugger access memory of devices on this architecture".into()).into());
    }
    let seed = 156;
    host.fill(seed)?;
    let _loaded = Loaded::with(&[&window(":memory")])?;
    let vma = Vma::shared(&user::open()?, START, SIZE)?;
    let memory = File::options().read(true).write(true).open("/proc/self/mem")?;
    for place in PLACES {
        let mut byte = [0];
        memory.read_exact_at(&mut byte, (vma.address() + place) as u64).with_context(|| format!("at {place:#x}"))?;
        ensure!(byte[0] == pattern::byte(seed, START + place as u64), "at {place:#x}: {byte:02x?}");
    }
    // In another process, and in a mapping only to write, which a store has to fill.
    let other = Vma::map(&user::open()?, START, SIZE, ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED)?;
    let child = Child::spawn_ready(|ready| {
        let _ = ready.signal();
        loop {
            thread::park();
        }
    })?;
    let memory = File::options().read(true).write(true).open(format!("/proc/{}/mem", child.pid()))?;
    memory.write_all_at(&[21], (other.address() + HUGE + 3) as u64)?;
    host.changed(seed, &[HUGE as u64 + 3..HUGE as u64 + 4], |_| 21)
}

fn the_word_after_huge_is_auto_or_never(_: &mut Host) -> Result<()> {
    for bad in
        ["huge=always", "huge=", "huge=1", &window(":huge=always"), &window(":huge"), &window(":huge=auto:huge=never")]
    {
        ensure!(kernel::insmod(&[bad])? == Err(Errno::EINVAL), "{bad} is accepted");
    }
    for good in ["huge=auto", "huge=never"] {
        let _loaded = Loaded::with(&[good])?;
        let shown = fs::read_to_string("/sys/module/map/parameters/huge")?;
        ensure!(format!("huge={}", shown.trim()) == good, "{good} is shown as {shown:?}");
    }
    for (options, shown) in [("", "auto"), (":huge=auto", "auto"), (":huge=never", "never")] {
        let _loaded = Loaded::with(&[&window(options)])?;
        let found = fs::read_to_string("/sys/class/map/map1/huge")?;
        ensure!(found.trim() == shown, "{options:?} is shown as {found:?}");
    }
    Ok(())
}

/// PR_SET_THP_DISABLE takes huge pages from a process, but no thread out of a fault: one is given a huge page, and
/// another one the small pages of the same place.
fn threads_may_be_forbidden_huge_pages_in_the_middle(host: &mut Host) -> Result<()> {
    needs_huge_pages()?;
    let seed = 253;
    host.fill(seed)?;
    let _loaded = Loaded::with(&[&window("")])?;
    let file = user::open_window(1)?;
    let rounds = if kernel::is_slow() { 1000 } else { 5000 };
    succeeds_in_child(|| {
        let over = AtomicBool::new(false);
        let (begin, end) = (Barrier::new(3), Barrier::new(3));
        let forbid = |forbidden: usize| {
            // SAFETY: It takes numbers only.
            unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, forbidden, 0, 0, 0) }
        };
        let mapped = AtomicUsize::new(0);
        let touch = |offset: usize, forbidding: bool| {
            let mut right = true;
            for _ in 0..rounds {
                begin.wait();
                if forbidding {
                    forbid(1);
                }
                let byte = (mapped.load(Relaxed) + offset) as *const u8;
                // SAFETY: The mapping stays until both threads are behind the second barrier.
                right &= unsafe { byte.read_volatile() } == pattern::byte(seed, START + offset as u64);
                end.wait();
            }
            right
        };
        let right = thread::scope(|scope| {
            // While it reads, nobody else has the lock under which pages are mapped.
            scope.spawn(|| {
                let mut bytes = vec![0; 64 << 10];
                while !over.load(Relaxed) {
                    let _ = file.read_at(&mut bytes, 0);
                }
            });
            let threads = [scope.spawn(|| touch(0x1000, false)), scope.spawn(|| touch(0x2000, true))];
            for _ in 0..rounds {
                forbid(0);
                // A thread that loads where nothing is ends the process.
                let vma = Vma::shared(&file, 0, SIZE).ok();
                mapped.store(vma.as_ref().map_or(0, Vma::address), Relaxed);
                begin.wait();
                end.wait();
            }
            let right = threads.into_iter().all(|thread| thread.join().unwrap_or(false));
            over.store(true, Relaxed);
            right
        });
        i32::from(!right)
    })
}
