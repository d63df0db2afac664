// SPDX-License-Identifier: MIT OR Apache-2.0

//! A program takes all memory, up to the kernel's OOM killer, while others do every kind of call. What fails, fails for
//! want of memory; afterwards everything works, and nothing is left.

use std::{
    collections::BTreeMap,
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{bail, ensure, Context, Result};
use nix::{
    errno::Errno,
    sys::{mman::MapFlags, signal::Signal, wait::WaitStatus},
};

use super::{
    calls::{Program, COUNTED, KINDS},
    counts::Counts,
    witness::{memory_is_whole, nothing_is_left, Programs, PARAMETER, PLACES},
};
use crate::{
    child::{self, Child},
    host::{Host, PAGE},
    kernel,
    random::Random,
    runtime::Config,
    vma::{Vma, READ_WRITE},
};

/// How often the memory ends.
const ROUNDS: u64 = 8;

/// How much the program that takes all memory takes at a time.
const PIECE: usize = 4 << 20;

/// Calls of which each must work afterwards.
const AFTERWARDS: u64 = 600;

/// For each program, behind what [`Program`] counts: how many of its calls failed.
const PLACES_OF_ONE: usize = COUNTED + 1;
/// Whether to stop.
const STOP: usize = PLACES * PLACES_OF_ONE;
/// The pages that the program has that takes all memory.
const TAKEN: usize = STOP + 1;

/// Whether a call fails with this error for want of memory.
fn is_want_of_memory(kind: &str, errno: Errno) -> bool {
    match errno {
        Errno::ENOMEM => true,
        // On x86 the kernel has one error for that and for another cache type. A thread without a stack is one, too.
        Errno::EAGAIN => true,
        // Without a kernel mapping of it there is nothing that a debugger could see.
        Errno::EIO | Errno::EFAULT => kind == "/proc/self/mem",
        // A signature that cannot be checked is not valid.
        Errno::EKEYREJECTED => kind.contains("finit_module"),
        _ => false,
    }
}

/// How many processes the OOM killer has killed.
fn killed() -> Result<u64> {
    let text = fs::read_to_string("/proc/vmstat")?;
    let count = text.lines().find_map(|line| line.strip_prefix("oom_kill ")).context("no oom_kill")?;
    Ok(count.parse()?)
}

/// Sets how gladly the OOM killer takes this process: from -1000, never, to 1000, first.
fn set_score(score: i32) -> Result<()> {
    fs::write("/proc/self/oom_score_adj", score.to_string()).context("oom_score_adj")
}

/// Takes memory until it is killed.
fn take_all(counts: &Counts) -> Result<()> {
    set_score(0)?;
    let mut pieces = Vec::new();
    loop {
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_ANONYMOUS;
        match Vma::map_at(0, -1, 0, PIECE, READ_WRITE, flags) {
            Ok(piece) => {
                for offset in (0..PIECE).step_by(PAGE as usize) {
                    piece.store(offset, 1);
                    counts.add(TAKEN);
                }
                pieces.push(piece);
            }
            Err(Errno::ENOMEM) => thread::sleep(Duration::from_millis(1)),
            Err(errno) => bail!("mmap: {errno}"),
        }
    }
}

/// Does calls until it is told to stop.
fn work(place: usize, seed: u64, first: u64, counts: &Counts) -> Result<()> {
    // One of them goes before the program that takes all memory.
    set_score(if place as u64 == first % PLACES as u64 { 1000 } else { -500 })?;
    let mut program = Program::new(place, seed, Random::new(first ^ (place as u64) << 32));
    while counts.get(STOP) == 0 {
        let (kind, done) = program.go_on(counts, place * PLACES_OF_ONE);
        let name = KINDS[kind].0;
        match done {
            Ok(()) => (),
            Err(errno) if is_want_of_memory(name, errno) => {
                counts.add(place * PLACES_OF_ONE + COUNTED);
                // The window that it has half added.
                program.forget_window();
            }
            Err(errno) => bail!("{name}: {errno}"),
        }
    }
    Ok(())
}

pub fn the_driver_outlives_the_oom_killer(host: &mut Host) -> Result<()> {
    let seed = super::seed()?;
    host.fill(seed)?;
    let overcommit = fs::read_to_string("/proc/sys/vm/overcommit_memory")?;
    fs::write("/proc/sys/vm/overcommit_memory", "1")?;
    // Neither this test nor who has started it.
    set_score(-1000)?;
    let config = Config::with(&[PARAMETER])?;
    let before = kernel::traces()?;
    let counts = Counts::new(TAKEN + 1)?;
    let (mut random, first_killed) = (Random::new(seed), killed()?);
    let (mut ends, mut lowest) = (BTreeMap::<&str, u64>::new(), u64::MAX);
    let began = Instant::now();
    for round in 1..=ROUNDS {
        let mut one = || -> Result<()> {
            let first = random.next();
            counts.set(STOP, 0);
            counts.set(TAKEN, 0);
            let programs = Programs::start(|place| {
                work(place, seed, first, &counts)
                    .inspect_err(|error| eprintln!("the program {place}: {error:#}"))
                    .is_err()
                    .into()
            })?;
            // They have begun.
            thread::sleep(Duration::from_millis(100));
            let hog = Child::spawn(|| {
                take_all(&counts).inspect_err(|error| eprintln!("taking all memory: {error:#}")).is_err().into()
            })?;
            let end = hog.wait()?;
            ensure!(matches!(end, WaitStatus::Signaled(_, Signal::SIGKILL, _)), "it was not killed: {end:?}");
            lowest = lowest.min(counts.get(TAKEN));
            // What is being done goes on with memory again.
            thread::sleep(Duration::from_millis(200));
            counts.set(STOP, 1);
            for status in programs.wait()? {
                let what = match status {
                    WaitStatus::Exited(_, 0) => "went on",
                    WaitStatus::Signaled(_, Signal::SIGKILL, _) => "were killed",
                    other => bail!("a program ended with {other:?}"),
                };
                *ends.entry(what).or_default() += 1;
            }
            nothing_is_left()?;
            kernel::unchanged(&before, &kernel::traces()?)
        };
        one().with_context(|| format!("seed {seed}, round {round}"))?;
    }
    memory_is_whole(host, seed)?;
    // With memory, nothing fails.
    let programs = Programs::start(|place| {
        let mut program = Program::new(place, seed, Random::new(seed ^ place as u64));
        for _ in 0..AFTERWARDS {
            let (kind, done) = program.go_on(&counts, place * PLACES_OF_ONE);
            if let Err(errno) = done {
                eprintln!("afterwards: {}: {errno}", KINDS[kind].0);
                return 1;
            }
        }
        0
    })?;
    programs.wait()?.into_iter().try_for_each(child::check)?;
    nothing_is_left()?;
    drop(config);
    ensure!(kernel::users()?.is_none(), "the driver stays");
    fs::write("/proc/sys/vm/overcommit_memory", overcommit.trim())?;
    let killed = killed()? - first_killed;
    let sum = |place: usize| (0..PLACES).map(|program| counts.get(program * PLACES_OF_ONE + place)).sum::<u64>();
    let done: u64 = (0..KINDS.len()).map(|kind| sum(1 + kind)).sum();
    let failed = sum(COUNTED);
    host.note(format!(
        "seed {seed}: {ROUNDS} times all memory was taken, at least {} MiB by one program; the OOM killer came \
         {killed} times; of the programs beside it {ends:?}; {done} calls worked, {failed} found no memory; {} s\n",
        (lowest * PAGE) >> 20,
        began.elapsed().as_secs()
    ))?;
    ensure!(killed >= ROUNDS, "the OOM killer came only {killed} times");
    ensure!((lowest * PAGE) >> 20 >= 64, "memory ended after {lowest} pages");
    ensure!(done >= 200 * ROUNDS, "only {done} calls worked");
    let both = ["went on", "were killed"].iter().all(|what| ends.contains_key(what));
    ensure!(both, "the programs {ends:?}");
    Ok(())
}
