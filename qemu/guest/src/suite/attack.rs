// SPDX-License-Identifier: MIT OR Apache-2.0

//! Misuse by programs that may open the node, hostile or merely old.

use std::{
    collections::BTreeSet,
    fs::{self, File, Permissions},
    os::unix::fs::{FileExt, PermissionsExt},
    thread::sleep,
    time::Duration,
};

use anyhow::{ensure, Context, Result};
use map_core::{LogLimit, Refusal, LARGEST_MAPPING, MAPPINGS_IN_ALL, MAPPINGS_PER_USER};
use map_protocol::pattern;
use nix::{
    errno::Errno,
    fcntl::{open, OFlag},
    sys::{
        mman::{MapFlags, ProtFlags},
        personality::{self, Persona},
        signal::Signal,
        stat::Mode,
    },
};

use crate::{
    arch::{DEBUGGERS, RETURN},
    child::{become_user, killed_by, succeeds_as_user, Child},
    errno,
    host::{Host, LENGTH, PAGE, START},
    kernel::{self, Loaded},
    user,
    vma::{Vma, READ_WRITE},
    windows::MIB,
    Skip,
};

crate::tests! {
    a_debugger_reads_no_byte_beyond_the_mapping,
    a_debugger_sees_nothing_that_the_process_does_not,
    an_old_program_gets_its_mapping_and_it_is_not_executable,
    a_mapping_of_more_than_4_gib_is_einval,
    a_user_has_so_many_mappings_and_no_more,
    one_user_does_not_hide_anothers_refusals,
    counts_may_have_many_digits,
    the_parameter_is_for_root_and_whole_or_marked,
    an_open_without_read_or_write_maps_nothing,
}

/// The offset at which a test stores the code of a function.
const CODE: u64 = 8;

/// Lets everybody open the node.
fn open_to_all() -> Result<()> {
    Ok(fs::set_permissions("/dev/map", Permissions::from_mode(0o666))?)
}

fn a_debugger_reads_no_byte_beyond_the_mapping(host: &mut Host) -> Result<()> {
    if !DEBUGGERS {
        return Err(Skip("Linux lets no debugger access memory of devices on this architecture".into()).into());
    }
    let seed = 200;
    host.fill(seed)?;
    let _loaded = Loaded::with(&["windows=0xc0000000+1M:memory"])?;
    let node = user::open()?;
    let vma = Vma::shared_with_gap(&node, START, 2 * PAGE as usize)?;
    let memory = File::options().read(true).write(true).open("/proc/self/mem")?;
    let end = 2 * PAGE;
    for (offset, wanted, expected) in [
        (0, PAGE, PAGE),
        // Across two pages, which the kernel asks for one by one.
        (0, 2 * PAGE, 2 * PAGE),
        (PAGE - 8, 16, 16),
        // As far as the mapping goes.
        (end - 1, PAGE, 1),
        (end - PAGE - 1, 3 * PAGE, PAGE + 1),
        (8, 3 * PAGE, end - 8),
    ] {
        let mut bytes = vec![0; wanted as usize];
        let read = memory.read_at(&mut bytes, vma.address() as u64 + offset);
        let read = read.with_context(|| format!("{wanted} bytes at {offset:#x}"))?;
        ensure!(read as u64 == expected, "{read} of {wanted} bytes at {offset:#x}, not {expected}");
        let there = pattern::bytes(seed, START + offset, read);
        ensure!(bytes[..read] == there[..], "{wanted} bytes at {offset:#x} are others");
    }
    let past = memory.read_at(&mut [0; 8], vma.address() as u64 + end);
    let past = errno::result(past);
    ensure!(past == Err(Errno::EIO), "beyond the end: {past:?}");
    // A write past the end stores none either.
    let written = memory.write_at(&[0x5a; 4096], vma.address() as u64 + end - 1)?;
    ensure!(written == 1, "{written} bytes were written at the last one");
    host.changed(seed, &[end - 1..end], |_| 0x5a)
}

fn a_debugger_sees_nothing_that_the_process_does_not(host: &mut Host) -> Result<()> {
    let seed = 201;
    host.fill(seed)?;
    let _loaded = Loaded::with(&["windows=0xc0000000+1M:memory,0xc0100000+1M:memory:ro"])?;
    let node = user::open()?;
    let memory = File::options().read(true).write(true).open("/proc/self/mem")?;
    let read_only = Vma::map(&node, START + MIB, PAGE as usize, ProtFlags::PROT_READ, MapFlags::MAP_SHARED)?;
    let forced = memory.write_at(&[0], read_only.address() as u64);
    ensure!(forced.is_err(), "/proc/self/mem wrote to a read-only window");
    let hidden = Vma::map(&node, START, PAGE as usize, ProtFlags::PROT_NONE, MapFlags::MAP_SHARED)?;
    let shown = memory.read_at(&mut [0; 8], hidden.address() as u64);
    let shown = errno::result(shown);
    ensure!(shown == Err(Errno::EIO), "a mapping without access: {shown:?}");
    host.changed(seed, &[], |_| 0)
}

/// The permissions of the mapping at `address` in /proc/self/maps.
fn access(address: usize) -> Result<String> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    let start = format!("{address:x}-");
    let line = maps.lines().find(|line| line.trim_start_matches('0').starts_with(&start));
    let access = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(access.with_context(|| format!("no mapping at {address:#x}:\n{maps}"))?.to_owned())
}

fn an_old_program_gets_its_mapping_and_it_is_not_executable(host: &mut Host) -> Result<()> {
    let seed = 202;
    host.fill(seed)?;
    let _loaded = Loaded::with(&["windows=0xc0000000+1M"])?;
    {
        let vma = Vma::shared(&user::open()?, START, PAGE as usize)?;
        (0..).zip(RETURN).for_each(|(offset, byte)| vma.store(CODE as usize + offset, byte));
    }
    // The kernel's setting for a program of 32 bits without a PT_GNU_STACK header.
    personality::set(Persona::READ_IMPLIES_EXEC)?;
    let node = user::open()?;
    let ordinary = Vma::map_at(0, -1, 0, PAGE as usize, READ_WRITE, MapFlags::MAP_PRIVATE | MapFlags::MAP_ANONYMOUS)?;
    ensure!(access(ordinary.address())? == "rwxp", "the personality changes nothing");
    for protection in [READ_WRITE, ProtFlags::PROT_READ, READ_WRITE | ProtFlags::PROT_EXEC] {
        let vma = Vma::map(&node, START, PAGE as usize, protection, MapFlags::MAP_SHARED)
            .with_context(|| format!("{protection:?}"))?;
        let found = access(vma.address())?;
        ensure!(!found.contains('x'), "{protection:?}: {found}");
        // The processor agrees: otherwise a function that only returns would succeed.
        let code = vma.address() + CODE as usize;
        killed_by(Signal::SIGSEGV, || {
            // SAFETY: nothing is executed there: the child is killed, as intended.
            unsafe { std::mem::transmute::<usize, extern "C" fn()>(code)() }
        })?;
        // It does not become executable by mprotect(2), implicitly or explicitly.
        vma.protect(READ_WRITE)?;
        ensure!(access(vma.address())? == "rw-s", "after mprotect(2)");
        let result = vma.protect(READ_WRITE | ProtFlags::PROT_EXEC);
        ensure!(result == Err(Errno::EACCES), "mprotect(2) to executable: {result:?}");
    }
    let result = Vma::map(&node, START, PAGE as usize, ProtFlags::PROT_EXEC, MapFlags::MAP_SHARED).map(drop);
    ensure!(result == Err(Errno::EPERM), "PROT_EXEC that the program itself requests: {result:?}");
    host.changed(seed, &[CODE..CODE + 4], |offset| RETURN[(offset - CODE) as usize])
}

fn a_mapping_of_more_than_4_gib_is_einval(_: &mut Host) -> Result<()> {
    let Ok(largest) = usize::try_from(LARGEST_MAPPING) else {
        return Err(Skip("no process of 32 bits has so much address space".into()).into());
    };
    let list = format!("windows=big@{:#x}+64G:shared", 1u64 << 36);
    let _loaded = Loaded::with(&[&list])?;
    let node = user::open()?;
    let result = Vma::shared(&node, 1 << 36, largest + 1).map(drop);
    ensure!(result == Err(Errno::EINVAL), "a byte more: {result:?}");
    kernel::logged(Refusal::TooLarge.to_string())?;
    Vma::shared(&node, 1 << 36, largest)?;
    Ok(())
}

fn a_user_has_so_many_mappings_and_no_more(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&["windows=0xc0000000+1M"])?;
    open_to_all()?;
    let map = |node: &File| Vma::shared(node, START, PAGE as usize);
    // As many in all as all users together may have at a time; a kernel that checks itself takes a minute for that.
    let one_by_one = if kernel::is_debug() { MAPPINGS_PER_USER } else { MAPPINGS_IN_ALL };
    let fill = || {
        let Ok(node) = user::open() else { return 1 };
        let map_rest = |vmas: &mut Vec<_>| {
            let rest = vmas.len() as u32..MAPPINGS_PER_USER;
            vmas.extend(rest.map_while(|number| map_one_of_many(&node, number).ok()));
            vmas.len() == MAPPINGS_PER_USER as usize
        };
        let mut vmas = Vec::new();
        if !map_rest(&mut vmas) {
            return 2;
        }
        // Another open file does not raise the limit.
        let other = user::open().ok().map(|node| map(&node).map(drop));
        if other != Some(Err(Errno::ENOMEM)) {
            return 3;
        }
        // What is unmapped can be mapped again, and no more, whichever is left.
        vmas.truncate(1);
        if !map_rest(&mut vmas) || map(&node).map(drop) != Err(Errno::ENOMEM) {
            return 4;
        }
        drop(vmas);
        i32::from(!(0..one_by_one).all(|_| map(&node).is_ok())) * 5
    };
    succeeds_as_user(1000, fill)?;
    kernel::logged(Refusal::TooMany.to_string())?;
    // The process has ended, and its mappings count no more.
    let mappings = fs::read_to_string("/sys/kernel/debug/map/mappings")?;
    ensure!(mappings.trim() == "0", "{mappings} mappings are left");
    // The user can have as many again. Another user has a limit of their own, while these mappings exist.
    let busy = with_all_mappings(1000)?;
    succeeds_as_user(1001, || i32::from(user::open().ok().and_then(|node| map(&node).ok()).is_none()))?;
    drop(busy);
    // Root has no limit.
    let node = user::open()?;
    let vmas: Result<Vec<_>, _> = (0..=MAPPINGS_PER_USER).map(|number| map_one_of_many(&node, number)).collect();
    ensure!(vmas.is_ok(), "root: {:?}", vmas.err());
    Ok(())
}

/// Maps one page, each time another one: x86 compares the cache type of a mapping with all others of its page.
fn map_one_of_many(node: &File, number: u32) -> Result<Vma, Errno> {
    Vma::shared(node, START + u64::from(number % 256) * PAGE, PAGE as usize)
}

/// A process of this user that has as many mappings as one user may have.
fn with_all_mappings(user: u32) -> Result<Child> {
    Child::spawn_ready(|ready| {
        if let (Ok(()), Ok(node)) = (become_user(user), user::open()) {
            let vmas: Vec<_> = (0..MAPPINGS_PER_USER).map_while(|number| map_one_of_many(&node, number).ok()).collect();
            if vmas.len() == MAPPINGS_PER_USER as usize && ready.signal().is_ok() {
                sleep(Duration::from_secs(60));
            }
        }
        1
    })
}

fn one_user_does_not_hide_anothers_refusals(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&["windows=0xc0000000+1M"])?;
    open_to_all()?;
    // Each user asks for other addresses, which distinguish the lines.
    let refused = |first: u64, count: u64| {
        move || {
            let Ok(node) = user::open() else { return 1 };
            let granted = (first..first + count).find(|page| Vma::shared(&node, page * PAGE, PAGE as usize).is_ok());
            i32::from(granted.is_some()) * 2
        }
    };
    let burst = u64::from(LogLimit::BURST);
    let many = burst + 17;
    succeeds_as_user(1000, refused(0x1000, many))?;
    succeeds_as_user(1001, refused(0x2000, 1))?;
    let log = kernel::log_since("map-suite:")?;
    let lines = |log: &str, first: u64, count: u64| {
        let pages: BTreeSet<_> = (first..first + count).map(|page| format!(" at {:#x} refused", page * PAGE)).collect();
        pages.iter().filter(|page| log.contains(*page)).count() as u64
    };
    ensure!(lines(&log, 0x1000, many) == burst, "of the first user {} lines:\n{log}", lines(&log, 0x1000, many));
    ensure!(lines(&log, 0x2000, 1) == 1, "the second user's refusal is hidden:\n{log}");
    // The suppressed lines are reported at the next refusal of any user,
    sleep(Duration::from_secs(LogLimit::INTERVAL + 1));
    succeeds_as_user(1001, refused(0x3000, 1))?;
    kernel::logged(format!("map: {} more refusals of user 1000 were not logged", many - burst))?;
    // or when the driver is unloaded.
    succeeds_as_user(1002, refused(0x4000, burst + 3))?;
    drop(_loaded);
    kernel::logged("map: 3 more refusals of user 1002 were not logged")?;
    Ok(())
}

/// On a machine of 32 bits the kernel's Rust panics if it divides 64 bits, as decimal numbers usually are made.
fn counts_may_have_many_digits(_: &mut Host) -> Result<()> {
    const MANY: u64 = 2345;
    let loaded = Loaded::with(&["windows=0xc0000000+1M"])?;
    let node = user::open()?;
    for _ in 0..MANY {
        let result = Vma::shared(&node, START + MIB, PAGE as usize).map(drop);
        ensure!(result == Err(Errno::EPERM), "{result:?}");
    }
    let refusals = fs::read_to_string("/sys/kernel/debug/map/refusals")?;
    let line = format!("{MANY:>10} {}", Refusal::Outside);
    ensure!(refusals.lines().any(|found| found == line), "debugfs does not say {line:?}:\n{refusals}");
    drop((node, loaded));
    let log = kernel::log_since("map-suite:")?;
    let count = |line: &str| -> Option<u64> {
        line.strip_prefix("map: ")?.strip_suffix(" more refusals of user 0 were not logged")?.parse().ok()
    };
    let left_out: u64 = log.lines().filter_map(count).sum();
    let logged = log.lines().filter(|line| line.contains(" refused: ")).count() as u64;
    ensure!(left_out > 1000 && left_out + logged == MANY, "{left_out} were left out, and {logged} logged");
    Ok(())
}

fn the_parameter_is_for_root_and_whole_or_marked(_: &mut Host) -> Result<()> {
    const PATH: &str = "/sys/module/map/parameters/windows";
    let list = |count: u64, name: usize| {
        let windows = (0..count).map(|index| {
            let name = format!("{index:0name$}");
            format!("{name}@{:#x}+4K:rw:writecombine:shared", START + 2 * PAGE * index)
        });
        windows.collect::<Vec<_>>().join(",")
    };
    let short = list(3, 8);
    {
        let _loaded = Loaded::with(&[&format!("windows={short}")])?;
        let mode = fs::metadata(PATH)?.permissions().mode() & 0o777;
        ensure!(mode == 0o400, "the parameter has mode {mode:o}");
        ensure!(fs::read_to_string(PATH)? == format!("{short}\n"), "it is not what was given");
        succeeds_as_user(1000, || i32::from(fs::read(PATH).is_ok()))?;
    }
    // The kernel limits a file in sysfs to one page.
    let long = list(64, 31);
    ensure!(long.len() > PAGE as usize, "only {} bytes", long.len());
    let _loaded = Loaded::with(&[&format!("windows={long}")])?;
    let found = fs::read_to_string(PATH)?;
    let kept = found.strip_suffix(",...\n").with_context(|| format!("not marked as cut: {found:?}"))?;
    ensure!(found.len() <= PAGE as usize && long.starts_with(kept), "{found:?}");
    ensure!(long[kept.len()..].starts_with(','), "it is cut inside a window: {found:?}");
    ensure!(PAGE as usize - found.len() < 100, "more is cut than necessary: {} bytes", found.len());
    Ok(())
}

fn an_open_without_read_or_write_maps_nothing(host: &mut Host) -> Result<()> {
    let seed = 203;
    host.fill(seed)?;
    let _loaded = Loaded::with(&["windows=0xc0000000+1M"])?;
    let node = open("/dev/map", OFlag::from_bits_retain(3), Mode::empty())?;
    let node = File::from(node);
    for protection in [READ_WRITE, ProtFlags::PROT_READ, ProtFlags::PROT_NONE] {
        let result = Vma::map(&node, START, LENGTH as usize / 3, protection, MapFlags::MAP_SHARED).map(drop);
        ensure!(result == Err(Errno::EACCES), "{protection:?}: {result:?}");
    }
    host.changed(seed, &[], |_| 0)
}
