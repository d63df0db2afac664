// SPDX-License-Identifier: MIT OR Apache-2.0

//! Programs are killed at random moments of every kind of call. What they had open, mapped and added is gone
//! afterwards, and no byte has changed in which they do not store.

use std::{collections::BTreeMap, fs, thread, time::Duration};

use anyhow::{ensure, Context, Result};
use nix::mount::umount;

use super::{
    calls::{Program, COUNTED, KINDS},
    counts::Counts,
    witness::{memory_is_whole, nothing_is_left, Programs, PARAMETER, PLACES},
};
use crate::{host::Host, kernel, random::Random, runtime::Config};

/// After so many rounds the host looks at the memory.
const ROUNDS_BETWEEN: u64 = 10;

/// After how many calls of all programs, at most, they are killed.
const MOST_CALLS: u64 = 120;

/// How many calls have been done.
fn calls(counts: &Counts) -> u64 {
    (0..KINDS.len()).map(|kind| of_kind(counts, kind)).sum()
}

/// How many of a kind have been done.
fn of_kind(counts: &Counts, kind: usize) -> u64 {
    (0..PLACES).map(|place| counts.get(place * COUNTED + 1 + kind)).sum()
}

pub fn programs_that_are_killed_leave_nothing(host: &mut Host) -> Result<()> {
    kill_programs(host, 10)
}

pub fn a_thousand_programs_are_killed_and_leave_nothing(host: &mut Host) -> Result<()> {
    kill_programs(host, 1000 / PLACES as u64)
}

/// Kills all programs `rounds` times.
fn kill_programs(host: &mut Host, rounds: u64) -> Result<()> {
    let seed = super::seed()?;
    let mut random = Random::new(seed);
    host.fill(seed)?;
    let config = Config::with(&[PARAMETER])?;
    let before = kernel::traces()?;
    let counts = Counts::new(PLACES * COUNTED)?;
    let (mut directories, mut killed) = (0, BTreeMap::<&str, u64>::new());
    for round in 1..=rounds {
        if round % ROUNDS_BETWEEN == 0 {
            fs::write("/dev/kmsg", format!("<6>map-suite: programs that are killed, seed {seed}, round {round}\n"))?;
        }
        let mut one = || -> Result<()> {
            let first = random.next();
            let programs = Programs::start(|place| work(place, seed, first, &counts))?;
            // After some calls or none, and in the middle of one.
            let until = calls(&counts) + random.below(MOST_CALLS);
            while calls(&counts) < until && programs.are_running()? {
                thread::sleep(Duration::from_millis(1));
            }
            thread::sleep(Duration::from_micros(random.below(20_000)));
            programs.kill()?;
            for place in 0..PLACES {
                // What each was doing.
                if let Some(kind) = counts.get(place * COUNTED).checked_sub(1) {
                    *killed.entry(KINDS[kind as usize].0).or_default() += 1;
                }
                counts.set(place * COUNTED, 0);
            }
            directories += nothing_is_left()?;
            if round % ROUNDS_BETWEEN == 0 || round == rounds {
                memory_is_whole(host, seed)?;
            }
            kernel::unchanged(&before, &kernel::traces()?)
        };
        one().with_context(|| format!("seed {seed}, round {round}"))?;
    }
    umount("/sys/kernel/config")?;
    kernel::unload("map_config")?.context("map_config stays")?;
    kernel::rmmod()?.context("map stays")?;
    drop(config);
    let done: Vec<_> = (0..KINDS.len()).map(|kind| of_kind(&counts, kind)).collect();
    let lines: Vec<_> = KINDS.iter().zip(&done).map(|((name, _), count)| format!("{count} {name}")).collect();
    let sum: u64 = done.iter().sum();
    host.note(format!(
        "seed {seed}: {} programs killed, in {} kinds of calls ({killed:?}), after {sum} calls; {directories} \
         directories removed\n{}\n",
        rounds * PLACES as u64,
        killed.len(),
        lines.join(", ")
    ))?;
    // All of them were done, and many were cut short.
    ensure!(sum >= rounds * MOST_CALLS / 3, "only {sum} calls");
    ensure!(done.iter().all(|count| *count > 0), "a kind of call was never done: {}", lines.join(", "));
    let cut: u64 = killed.values().sum();
    let enough = if rounds < 100 { (rounds, 6) } else { (rounds * 2, KINDS.len() / 2) };
    ensure!(cut >= enough.0 && killed.len() >= enough.1, "only {cut} calls were cut short: {killed:?}");
    Ok(())
}

/// Does calls until it is killed.
fn work(place: usize, seed: u64, first: u64, counts: &Counts) -> i32 {
    let mut program = Program::new(place, seed, Random::new(first ^ (place as u64) << 32));
    loop {
        let (kind, done) = program.go_on(counts, place * COUNTED);
        if let Err(errno) = done {
            eprintln!("the program {place}: {}: {errno}", KINDS[kind].0);
            return 1;
        }
    }
}
