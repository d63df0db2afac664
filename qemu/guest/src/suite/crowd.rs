// SPDX-License-Identifier: MIT OR Apache-2.0

//! Several programs make the same calls again and again, on the same windows, so that the driver does the same things
//! at the same time.

use std::{
    fs::{self, File},
    io::{Read, Write},
    os::{
        fd::AsRawFd,
        unix::{fs::FileExt, net::UnixStream},
    },
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{ensure, Context, Result};
use map_core::abi;
use nix::{
    errno::Errno,
    sys::mman::{MapFlags, ProtFlags},
};

use crate::{
    child::{self, Child},
    host::{Host, PAGE, START},
    kcsan,
    kernel::Loaded,
    user,
    vma::Vma,
    windows::{ask, check},
    Test,
};

/// For a guest with two processors.
pub const RACES: &[Test] =
    &[Test { name: "a_crowd_makes_the_same_calls_at_once", run: a_crowd_makes_the_same_calls_at_once }];

/// The number of programs, each with a page of its own.
const PROGRAMS: usize = 4;

/// How many times each program must have made each call.
const LEAST: u64 = 10;

/// Two windows: one with room for huge pages, and one that is mapped at once.
const WINDOWS: &str = "windows=large@0xc0000000+2560K:wc,small@0xc0280000+64K:memory";

/// Where the small one is, from the beginning of the free memory.
const SMALL: u64 = 2560 << 10;

/// What each program stores in the first byte of its page.
const VALUE: u8 = 0x5a;

/// The nodes: of all memory, of the large window, and of the small one.
struct Nodes {
    all: File,
    large: File,
    small: File,
}

impl Nodes {
    fn open() -> Result<Self> {
        Ok(Self { all: user::open()?, large: user::open_window(1)?, small: user::open_window(2)? })
    }
}

/// What is called, by the program with this number.
type Call = fn(&Nodes, u64) -> Result<()>;

/// All calls. Each part of the time is for one of them and the next, so that their share of what the kernel does is
/// large.
const CALLS: [(&str, Call); 8] = [
    ("mmap", map_small),
    ("debugfs", read_debugfs),
    ("huge page", map_large),
    ("ioctl", ask_all),
    ("refusal", be_refused),
    ("open", open_and_close),
    ("read and write", transfer),
    ("sysfs and fdinfo", read_what_a_node_tells),
];

/// The number of the call that is refused.
const REFUSAL: usize = 4;

fn a_crowd_makes_the_same_calls_at_once(host: &mut Host) -> Result<()> {
    let _often = kcsan::is_available().then(kcsan::Often::new).transpose()?;
    // Of the driver's accesses, only some are watched.
    let time = Duration::from_millis(if kcsan::is_available() { 5_000 } else { 500 });
    let seed = 230;
    host.fill(seed)?;
    let loaded = Loaded::with(&[WINDOWS])?;
    let began = Instant::now();
    let mut programs = Vec::new();
    for number in 0..PROGRAMS {
        let (mut tell, told) = UnixStream::pair()?;
        let program = Child::spawn(|| {
            let told = work(number, began, time).and_then(|counts| {
                let bytes: Vec<_> = counts.into_iter().flat_map(u64::to_le_bytes).collect();
                Ok(tell.write_all(&bytes)?)
            });
            told.inspect_err(|error| eprintln!("program {number}: {error:#}")).is_err().into()
        })?;
        programs.push((program, told));
    }
    let mut all = [0; CALLS.len()];
    for (program, mut told) in programs {
        child::check(program.wait()?)?;
        for (sum, (name, _)) in all.iter_mut().zip(CALLS) {
            let mut count = [0; 8];
            told.read_exact(&mut count)?;
            let count = u64::from_le_bytes(count);
            ensure!(count >= LEAST, "a program made only {count} calls: {name}");
            *sum += count;
        }
    }
    let counts: Vec<_> = CALLS.iter().zip(all).map(|((name, _), count)| format!("{name} {count}")).collect();
    host.note(format!("{PROGRAMS} programs: {}", counts.join(", ")))?;
    let told = |file: &str| fs::read_to_string(Path::new("/sys/kernel/debug/map").join(file));
    ensure!(told("mappings")?.trim() == "0", "mappings are left: {}", told("mappings")?);
    let refused = format!(" {} ", all[REFUSAL]);
    ensure!(told("refusals")?.contains(&refused), "not {refused}refusals were counted: {}", told("refusals")?);
    drop(loaded);
    let own = (0..PROGRAMS as u64).map(|number| SMALL + number * PAGE).map(|place| place..place + 1);
    host.changed(seed, &own.collect::<Vec<_>>(), |_| VALUE)
}

/// Makes the calls, each in its part of the time, and gives how many of each.
fn work(number: usize, began: Instant, time: Duration) -> Result<[u64; CALLS.len()]> {
    let nodes = Nodes::open()?;
    let mut counts = [0; CALLS.len()];
    for part in 0..CALLS.len() {
        // One half of the programs makes the next call.
        let chosen = (part + number / (PROGRAMS / 2)) % CALLS.len();
        let (name, call) = CALLS[chosen];
        let end = began + time * (part as u32 + 1);
        while Instant::now() < end || counts[chosen] < LEAST {
            call(&nodes, number as u64).with_context(|| name)?;
            counts[chosen] += 1;
        }
    }
    Ok(counts)
}

fn map_small(nodes: &Nodes, _: u64) -> Result<()> {
    let by_node = Vma::shared(&nodes.small, 0, PAGE as usize)?;
    let by_address = Vma::shared(&nodes.all, START + SMALL, 2 * PAGE as usize)?;
    by_node.load(0);
    Ok(by_address.protect(ProtFlags::PROT_READ)?)
}

fn map_large(nodes: &Nodes, _: u64) -> Result<()> {
    let vma = Vma::shared(&nodes.large, 0, SMALL as usize)?;
    vma.load(0);
    vma.load(SMALL as usize - 1);
    Ok(vma.unmap(0..PAGE as usize)?)
}

fn be_refused(nodes: &Nodes, _: u64) -> Result<()> {
    let refused = Vma::shared(&nodes.all, START - PAGE, PAGE as usize).map(drop);
    ensure!(refused == Err(Errno::EPERM), "outside of all windows: {refused:?}");
    Ok(())
}

fn ask_all(nodes: &Nodes, number: u64) -> Result<()> {
    let mut info = abi::MapInfo::default();
    ask(&nodes.all, abi::IOC_INFO, &mut info)?;
    ensure!(info.windows == 2, "{info:?}");
    let index = number as u32 % info.windows;
    ask(&nodes.all, abi::IOC_WINDOW, &mut abi::MapWindow { index, ..Default::default() })?;
    let checked = check(&nodes.small, number * PAGE, PAGE, ProtFlags::PROT_READ, MapFlags::MAP_SHARED)?;
    ensure!(checked.verdict == 0, "{checked:?}");
    Ok(())
}

fn open_and_close(_: &Nodes, _: u64) -> Result<()> {
    Nodes::open().map(drop)
}

fn transfer(nodes: &Nodes, number: u64) -> Result<()> {
    let place = number * PAGE;
    nodes.small.write_all_at(&[VALUE], place)?;
    let mut byte = [0];
    nodes.small.read_exact_at(&mut byte, place)?;
    ensure!(byte == [VALUE], "{byte:?}");
    Ok(nodes.large.sync_all()?)
}

fn read_debugfs(_: &Nodes, _: u64) -> Result<()> {
    for file in ["windows", "mappings", "refusals"] {
        fs::read(Path::new("/sys/kernel/debug/map").join(file))?;
    }
    Ok(())
}

fn read_what_a_node_tells(nodes: &Nodes, _: u64) -> Result<()> {
    fs::read("/sys/class/map/map2/mappings")?;
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", nodes.small.as_raw_fd()))?;
    ensure!(text.contains("map-mode:\twindow"), "{text}");
    Ok(())
}
