// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tests for x86_64 alone: the kernel tracks the cache types of physical memory.

use std::{
    fs::{self, File},
    os::unix::fs::{FileExt, OpenOptionsExt},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{bail, ensure, Context, Result};
use map_core::{LogLimit, Refusal, WindowError};
use nix::{
    errno::Errno,
    libc,
    sys::{
        mman::{MapFlags, ProtFlags},
        ptrace,
        signal::Signal,
        wait::{waitpid, WaitStatus},
    },
    unistd::Pid,
};

use crate::{
    bulk::Maintenance,
    errno,
    host::{Host, LENGTH, PAGE, START},
    kernel::{self, Loaded},
    program::{devmap, WHOLE},
    refusal::shared_fails,
    user,
    vma::{Vma, READ_WRITE},
    windows::{check, MIB, THREE},
    Test,
};

/// The registers of devices in a device tree. This machine has no such tree.
pub const UART: u64 = 0;
pub const RTC: u64 = 0;
pub const HAS_PL031: bool = false;

/// As above.
pub fn devices_answer(_: &Vma, _: &Vma) -> Result<()> {
    bail!("there is no device tree")
}

/// A page that a driver of the kernel has claimed: the registers of the I/O APIC.
pub const CLAIMED: u64 = 0xfec0_0000;

/// The code of a function that only returns.
pub const RETURN: [u8; 4] = [0xc3; 4];

/// Whether the free memory counts as reserved. Here only the firmware reserves it, which does not count.
pub const RESERVED: bool = false;

/// An address without a device: stores are lost, and every load gives this byte.
pub const VACANT: u64 = 0xd000_0000;
pub const VACANT_BYTE: u8 = 0;

/// What ends a program at an address where nothing answers, and whether a system call that is to copy from there fails,
/// instead of the kernel. Here such a load is no fault.
pub const UNANSWERED: Signal = Signal::SIGBUS;
pub const UNANSWERED_COPY_FAILS: bool = false;

/// The widest access in bits of a program of 32 bits; `None` if there are no such programs.
pub const NARROW_WIDEST: Option<u32> = Some(32);

/// More bytes than the address space of a process.
pub const ADDRESS_SPACE: u64 = 1 << 47;

/// Whether Linux lets debuggers access memory of devices.
pub const DEBUGGERS: bool = true;

/// Whether Linux has huge pages for memory of devices.
pub const HUGE_PAGES: bool = true;

/// Whether programs may clean the processor's caches.
pub const MAINTAINS_CACHES: bool = true;

/// The size of a cache line in bytes, as the kernel names it.
pub fn cache_line() -> Result<usize> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo")?;
    let line = cpuinfo.lines().find_map(|line| line.strip_prefix("clflush size")).context("no size of a line")?;
    Ok(line.trim_start_matches([' ', '\t', ':']).parse()?)
}

/// Lets a stopped process execute one instruction, and gives how that ended.
pub fn step(pid: Pid) -> Result<WaitStatus> {
    ptrace::step(pid, None)?;
    Ok(waitpid(pid, None)?)
}

/// What the next instruction of a stopped process is, if it is one for caches: `clwb`, `clflushopt`, `sfence` or
/// `mfence`, with an address that is a register alone.
pub fn maintenance(pid: Pid) -> Result<Option<Maintenance>> {
    let registers = ptrace::getregset::<ptrace::regset::NT_PRSTATUS>(pid)?;
    let bytes = ptrace::read(pid, registers.rip as ptrace::AddressType)?.to_ne_bytes();
    let (prefixed, rest) = match bytes {
        [0x66, ref rest @ ..] => (true, &rest[..]),
        ref bytes => (false, &bytes[..]),
    };
    let (high, rest) = match *rest {
        [rex @ 0x40..=0x4f, ref rest @ ..] => (rex & 1 != 0, rest),
        _ => (false, rest),
    };
    let [0x0f, 0xae, modrm, displacement, ..] = *rest else { return Ok(None) };
    let line = || {
        let number = modrm & 7 | u8::from(high) << 3;
        ensure!(number & 7 != 4 && matches!((modrm >> 6, displacement), (0, _) | (1, 0)), "{bytes:02x?}");
        let of = &registers;
        let numbered = [
            of.rax, of.rcx, of.rdx, of.rbx, of.rsp, of.rbp, of.rsi, of.rdi, of.r8, of.r9, of.r10, of.r11, of.r12,
            of.r13, of.r14, of.r15,
        ];
        Ok(numbered[usize::from(number)])
    };
    Ok(match (prefixed, modrm >> 6, modrm >> 3 & 7) {
        (false, 3, 6 | 7) => Some(Maintenance::Barrier),
        (true, 0..=2, 6) => Some(Maintenance::Clean(line()?)),
        (_, 0..=2, 7) => Some(Maintenance::CleanInvalidate(line()?)),
        _ => None,
    })
}

/// Tests of the driver without parameters.
pub const RAW: &[Test] = &[
    Test { name: "the_kernel_lists_the_range_as_uncached", run: the_kernel_lists_the_range_as_uncached },
    Test { name: "memory_that_is_mapped_cached_is_eagain", run: memory_that_is_mapped_cached_is_eagain },
];

/// Tests of the driver with windows.
pub const WINDOWS: &[Test] = &[
    Test {
        name: "a_window_stays_in_the_kernels_list_until_it_goes",
        run: a_window_stays_in_the_kernels_list_until_it_goes,
    },
    Test { name: "the_kernel_lists_every_cache_type", run: the_kernel_lists_every_cache_type },
    Test { name: "another_cache_type_elsewhere_is_eagain", run: another_cache_type_elsewhere_is_eagain },
    Test {
        name: "another_cache_type_elsewhere_is_eagain_for_huge_pages_too",
        run: another_cache_type_elsewhere_is_eagain_for_huge_pages_too,
    },
    Test { name: "reading_beside_another_cache_type_is_eagain", run: reading_beside_another_cache_type_is_eagain },
    Test { name: "a_conflict_costs_few_lines_of_the_kernels_log", run: a_conflict_costs_few_lines_of_the_kernels_log },
    Test {
        name: "a_cache_type_that_the_mtrrs_do_not_give_is_einval",
        run: a_cache_type_that_the_mtrrs_do_not_give_is_einval,
    },
    Test { name: "the_isa_bus_is_cached_or_nothing", run: the_isa_bus_is_cached_or_nothing },
];

/// Tests that need two processors.
pub const PARALLEL: &[Test] = &[];

/// Tests of the command line.
pub const DEVMAP: &[Test] = &[Test {
    name: "status_3_beside_a_mapping_of_another_cache_type",
    run: status_3_beside_a_mapping_of_another_cache_type,
}];

/// The number of bits of a physical address, according to the processor.
pub fn address_bits() -> Result<u32> {
    let text = fs::read_to_string("/proc/cpuinfo")?;
    let line = text.lines().find(|line| line.starts_with("address sizes")).context("no address sizes")?;
    let (_, sizes) = line.split_once(':').context("no colon")?;
    Ok(sizes.split_whitespace().next().context("no number")?.parse()?)
}

/// The kernel's list of memory types.
const LIST: &str = "/sys/kernel/debug/x86/pat_memtype_list";

fn the_kernel_lists_the_range_as_uncached(_: &mut Host) -> Result<()> {
    // Mapped at once, the range is one; with huge pages, they are one, and what is left another.
    for (parameter, ends) in [("huge=never", &[LENGTH][..]), ("huge=auto", &[2 * MIB, LENGTH])] {
        let mut expected = Vec::new();
        let mut first = START;
        for end in ends {
            expected.push(format!("[mem {first:#018x}-{:#018x}] uncached-minus", START + end));
            first = START + end;
        }
        let lists = |list: &str, range: &str| list.lines().any(|line| line.ends_with(range));
        let any = |list: &str| expected.iter().any(|range| lists(list, range));
        let _loaded = Loaded::with(&[parameter])?;
        ensure!(!any(&fs::read_to_string(LIST)?), "it is in the list before it is mapped");
        let memory = user::map()?;
        let list = fs::read_to_string(LIST)?;
        for range in &expected {
            ensure!(lists(&list, range), "{parameter}: {LIST} does not say {range}:\n{list}");
        }
        drop(memory);
        ensure!(!any(&fs::read_to_string(LIST)?), "{parameter}: it is still in the list after munmap(2)");
    }
    Ok(())
}

/// A window keeps its record, so that the next mapping need not make it. It goes with the window.
fn a_window_stays_in_the_kernels_list_until_it_goes(_: &mut Host) -> Result<()> {
    let range = format!("[mem {START:#018x}-{:#018x}] write-combining", START + 2 * MIB);
    let lists = || -> Result<bool> { Ok(fs::read_to_string(LIST)?.lines().any(|line| line.ends_with(&range))) };
    {
        let _loaded = Loaded::with(&[&format!("windows={START:#x}+{LENGTH:#x}:wc")])?;
        ensure!(!lists()?, "it is in the list before it is mapped");
        drop(user::map()?);
        ensure!(lists()?, "it is not in the list after it was mapped");
    }
    ensure!(!lists()?, "it is still in the list without a driver");
    Ok(())
}

fn a_cache_type_that_the_mtrrs_do_not_give_is_einval(_: &mut Host) -> Result<()> {
    // The firmware's memory, which the processor never caches.
    let result = kernel::insmod(&["windows=fw@0xfffc0000+256K:cached"])?;
    ensure!(result == Err(Errno::EINVAL), "{result:?}");
    kernel::logged(format!("windows: fw@0xfffc0000+0x40000:cached: {}", WindowError::CacheType))?;
    for cache in ["uncached", "wc"] {
        let _loaded = Loaded::with(&[&format!("windows=fw@0xfffc0000+256K:{cache}")])?;
        Vma::map(&user::open()?, 0xfffc_0000, 0x4_0000, ProtFlags::PROT_READ, MapFlags::MAP_SHARED)?;
    }
    Ok(())
}

fn the_isa_bus_is_cached_or_nothing(_: &mut Host) -> Result<()> {
    for list in ["0xa0000+4K:shared", "0xc0000+4K:wc:shared", "0xff000+4K:shared", "0xa0000-0xfffff:shared"] {
        let result = kernel::insmod(&[&format!("windows={list}")])?;
        ensure!(result == Err(Errno::EINVAL), "{list}: {result:?}");
        kernel::logged(WindowError::CacheType.to_string())?;
    }
    {
        let _loaded = Loaded::with(&["windows=0xa0000+4K:cached:shared"])?;
        Vma::shared(&user::open()?, 0xa_0000, 4096)?;
    }
    // In raw mode the check agrees with mmap(2).
    let _loaded = Loaded::new()?;
    let node = user::open()?;
    for start in [0xa_0000, 0xc_0000, 0xf_f000] {
        let verdict = check(&node, start, 4096, READ_WRITE, MapFlags::MAP_SHARED)?;
        ensure!(verdict.verdict == Refusal::CacheType.code(), "{start:#x}: {verdict:x?}");
        shared_fails(&node, start, 4096, Errno::EINVAL)?;
    }
    Ok(())
}

fn the_kernel_lists_every_cache_type(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&[THREE])?;
    let node = user::open()?;
    for (index, kind) in (0..).zip(["uncached-minus", "write-combining", "write-back"]) {
        let start = START + index * MIB;
        let _area = Vma::map(&node, start, MIB as usize, ProtFlags::PROT_READ, MapFlags::MAP_SHARED)?;
        let line = format!("[mem {start:#018x}-{:#018x}] {kind}", start + MIB);
        let list = fs::read_to_string(LIST)?;
        ensure!(list.lines().any(|found| found.ends_with(&line)), "the list does not say {line}:\n{list}");
    }
    Ok(())
}

/// A mapping with huge pages is made at the accesses; what it asks of the kernel before that is another call.
fn another_cache_type_elsewhere_is_eagain_for_huge_pages_too(_: &mut Host) -> Result<()> {
    for (cache, granted) in [("uncached", [true, false]), ("wc", [false, false]), ("cached", [false, true])] {
        for (flags, granted) in [libc::O_SYNC, 0].into_iter().zip(granted) {
            // A window keeps what it has asked for, and /dev/mem would get that, too.
            let _loaded = Loaded::with(&[&format!("windows=0xc0000000+3M:{cache}")])?;
            let window = user::open_window(1)?;
            let mem = File::options().read(true).write(true).custom_flags(flags).open("/dev/mem")?;
            let other = Vma::shared(&mem, START, LENGTH as usize)?;
            let result = Vma::shared(&window, 0, LENGTH as usize).map(drop);
            let expected = if granted { Ok(()) } else { Err(Errno::EAGAIN) };
            ensure!(result == expected, "{cache} beside /dev/mem with flags {flags:o}: {result:?}");
            drop(other);
            Vma::shared(&window, 0, LENGTH as usize).with_context(|| format!("{cache} alone"))?;
        }
    }
    Ok(())
}

fn another_cache_type_elsewhere_is_eagain(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&[&THREE.replace(":ro", "")])?;
    let node = user::open()?;
    // /dev/mem maps the windows although they are claimed: uncached with O_SYNC, cached without.
    for (flags, granted) in [(libc::O_SYNC, [true, false, false]), (0, [false, false, true])] {
        let mem = File::options().read(true).write(true).custom_flags(flags).open("/dev/mem")?;
        let _other = Vma::shared(&mem, START, LENGTH as usize)?;
        for (index, granted) in (0..).zip(granted) {
            let result = Vma::shared(&node, START + index * MIB, MIB as usize).map(drop);
            let expected = if granted { Ok(()) } else { Err(Errno::EAGAIN) };
            ensure!(result == expected, "window {index} beside /dev/mem with flags {flags:o}: {result:?}");
        }
    }
    // The refused mappings leave nothing behind.
    for index in 0..3 {
        Vma::shared(&node, START + index * MIB, MIB as usize).with_context(|| format!("window {index} alone"))?;
    }
    Ok(())
}

/// The kernel would silently map write-combining memory as uncached where it is mapped so elsewhere.
fn reading_beside_another_cache_type_is_eagain(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&[&THREE.replace(":ro", "")])?;
    let open = || [1, 2, 3].map(user::open_window).into_iter().collect::<Result<Vec<_>>>();
    for (flags, granted) in [(libc::O_SYNC, [true, false, false]), (0, [false, false, true])] {
        let mem = File::options().read(true).write(true).custom_flags(flags).open("/dev/mem")?;
        let _other = Vma::shared(&mem, START, LENGTH as usize)?;
        // What the kernel has mapped for a file goes with it.
        for (window, granted) in open()?.iter().zip(granted) {
            let expected = if granted { Ok(1) } else { Err(Errno::EAGAIN) };
            let read = errno::result(window.read_at(&mut [0], 0));
            let written = errno::result(window.write_at(&[0], 0));
            ensure!((read, written) == (expected, expected), "{flags:o}: {window:?}: {read:?}, {written:?}");
        }
    }
    let windows = open()?;
    windows.iter().try_for_each(|window| Ok(window.read_exact_at(&mut [0], 0)?))
}

fn a_conflict_costs_few_lines_of_the_kernels_log(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&["windows=one@0xc0000000+1M:ro,two@0xc0100000+1M"])?;
    let node = user::open()?;
    let map = || Vma::map(&node, START, PAGE as usize, ProtFlags::PROT_READ, MapFlags::MAP_SHARED);
    // Cached, because it is opened without O_SYNC.
    let mem = File::options().read(true).write(true).open("/dev/mem")?;
    let other = Vma::shared(&mem, START, PAGE as usize)?;
    let begin = Instant::now();
    let attempts = 200;
    for _ in 0..attempts {
        let result = map().map(drop);
        ensure!(result == Err(Errno::EAGAIN), "beside another type: {result:?}");
    }
    // The driver's clock counts whole seconds: 4.1 of this one's may be 5 of that one's, and here the
    // last second is cut off.
    let intervals = (begin.elapsed().as_secs() + 2) / LogLimit::INTERVAL + 1;
    let log = kernel::log_since("map-suite: a_conflict")?;
    // The line of the kernel's own: `x86/PAT: … map pfn expected mapping type uncached-minus for …, got write-back`.
    let lines = log.lines().filter(|line| line.contains("expected mapping type")).count() as u64;
    let limit = intervals * u64::from(LogLimit::BURST);
    ensure!(limit < attempts, "{attempts} attempts took too long for this test");
    ensure!((1..=limit).contains(&lines), "{lines} lines in {intervals} intervals: {log}");
    // What does not depend on the conflict is said first.
    let own = user::open_window(1)?;
    let error = |result: std::io::Result<usize>| result.err().and_then(|error| error.raw_os_error());
    ensure!(error(own.write_at(&[1], 0)) == Some(Refusal::ReadOnly.errno().number() as i32), "written in a conflict");
    ensure!(error(own.read_at(&mut [0], 0)) == Some(libc::EAGAIN), "read in a conflict");
    // The other window still maps.
    Vma::shared(&node, START + MIB, PAGE as usize).context("the other window")?;
    drop(other);
    // The conflict is over, and the driver asks the kernel again after the interval.
    sleep(Duration::from_secs(LogLimit::INTERVAL + 1));
    map().context("after the conflict is over")?;
    Ok(())
}

fn memory_that_is_mapped_cached_is_eagain(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let node = user::open()?;
    // Without O_SYNC, /dev/mem maps memory write-back, and the kernel allows no second type for it.
    let mem = File::options().read(true).write(true).open("/dev/mem")?;
    let cached = Vma::shared(&mem, START, LENGTH as usize)?;
    shared_fails(&node, START, LENGTH as usize, Errno::EAGAIN)?;
    shared_fails(&node, START + PAGE, PAGE as usize, Errno::EAGAIN)?;
    drop(cached);
    Vma::shared(&node, START, LENGTH as usize).context("after the cached mapping is gone")?;
    // An uncached mapping does not conflict.
    let mem = File::options().read(true).write(true).custom_flags(libc::O_SYNC).open("/dev/mem")?;
    let _uncached = Vma::shared(&mem, START, LENGTH as usize)?;
    Vma::shared(&node, START, LENGTH as usize).context("beside an uncached mapping")?;
    Ok(())
}

fn status_3_beside_a_mapping_of_another_cache_type(host: &mut Host) -> Result<()> {
    let seed = 113;
    host.fill(seed)?;
    let _loaded = Loaded::with(&[WHOLE])?;
    // Cached, because it is opened without O_SYNC.
    let mem = File::options().read(true).write(true).open("/dev/mem")?;
    let other = Vma::shared(&mem, START, 4096)?;
    devmap("write 0xc0000000 1")?.failed(
        3,
        &[
            "cannot map 0xc0000000-0xc0000003 of /dev/map: Try again (EAGAIN)",
            "another mapping has a different one: end that one first",
        ],
    )?;
    drop(other);
    devmap("write 0xc0000000 1 -w 8")?.printed("")?;
    // A mapping of the same cache type does not conflict.
    let mem = File::options().read(true).write(true).custom_flags(libc::O_SYNC).open("/dev/mem")?;
    let _other = Vma::shared(&mem, START, 4096)?;
    devmap("write 0xc0000000 3 -w 8")?.printed("")?;
    host.changed(seed, &[0..1], |_| 3)
}
