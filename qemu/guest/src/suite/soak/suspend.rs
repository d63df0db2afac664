// SPDX-License-Identifier: MIT OR Apache-2.0

//! The machine sleeps (suspend to idle) and wakes while programs have windows open and mapped.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{ensure, Context, Result};
use map_protocol::pattern;

use super::{counts::Counts, witness::mappings_are};
use crate::{
    child::{self, Child},
    host::{Host, PAGE, START},
    kernel,
    runtime::{Config, Directory},
    user::{self, open_window as node},
    vma::Vma,
    Skip,
};

/// The file that puts the machine to sleep.
const STATE: &str = "/sys/power/state";
/// How far it goes, up to "none": all the way.
const TEST: &str = "/sys/power/pm_test";
/// For how many seconds it waits then.
const TEST_DELAY: &str = "/sys/module/suspend/parameters/pm_test_delay";
/// How often it has slept.
const SLEPT: &str = "/sys/power/suspend_stats/success";
/// Whether the serial port to the host wakes the machine.
const WAKES: &str = "/sys/class/tty/ttyS1/power/wakeup";

/// How far, and how often.
const LEVELS: [(&str, u32); 4] = [("freezer", 1), ("devices", 1), ("platform", 1), ("none", 3)];

/// After so long the host wakes the machine.
const SLEEP: Duration = Duration::from_millis(1500);

/// The windows: one of each cache type, and one that is added at run time.
const WINDOWS: &str =
    "windows=gathered@0xc0000000+512K:wc:memory,cached@0xc0080000+512K:cached:memory,plain@0xc0100000+512K:memory";
/// The offset of the last one, and its size.
const LATE: u64 = 1 << 20 | 512 << 10;

/// The places in [`Counts`].
const STOP: usize = 0;
const ROUNDS: usize = 1;

/// The offset in the windows of what the other program stores.
const OTHER: u64 = 64 << 10;

/// The windows by their numbers, with their offsets in the free memory.
const OFFSETS: [(u32, u64); 4] = [(1, 0), (2, 512 << 10), (3, 1 << 20), (4, LATE)];

/// Stores in all windows until it is told to stop, and finds each time what it stored before.
fn store(counts: &Counts) -> Result<()> {
    let vmas = OFFSETS.map(|(number, _)| {
        let own = node(number)?;
        anyhow::Ok((Vma::shared(&own, OTHER, PAGE as usize)?, own))
    });
    let vmas = vmas.into_iter().collect::<Result<Vec<_>>>()?;
    let mut value = 0_u8;
    while counts.get(STOP) == 0 {
        for (vma, own) in &vmas {
            let mut byte = [0];
            own.read_exact_at(&mut byte, OTHER + 1)?;
            let first = counts.get(ROUNDS) == 0;
            ensure!(first || (vma.load(0), byte[0]) == (value, value), "{value} became {} or {}", vma.load(0), byte[0]);
        }
        value = value.wrapping_add(1);
        for (vma, own) in &vmas {
            vma.store(0, value);
            own.write_all_at(&[value], OTHER + 1)?;
        }
        counts.add(ROUNDS);
    }
    Ok(())
}

/// Waits until the other program has gone on.
fn goes_on(counts: &Counts) -> Result<()> {
    let (before, began) = (counts.get(ROUNDS), Instant::now());
    while counts.get(ROUNDS) < before + 5 {
        ensure!(began.elapsed() < Duration::from_secs(60), "the other program does not go on");
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn number(path: &str) -> Result<u64> {
    fs::read_to_string(path)?.trim().parse().with_context(|| path.to_owned())
}

/// Lets the machine sleep, and gives for how long this process did not run.
fn sleep(host: &mut Host, level: &str) -> Result<Duration> {
    fs::write(TEST, level).context(TEST)?;
    let (before, began) = (number(SLEPT)?, Instant::now());
    let all_the_way = level == "none";
    if all_the_way {
        host.wake_after(SLEEP)?;
    }
    let slept = fs::write(STATE, "freeze");
    let took = began.elapsed();
    if all_the_way {
        host.woken()?;
    }
    slept.context("the machine does not sleep")?;
    ensure!(number(SLEPT)? == before + 1, "it has slept {} times, not {}", number(SLEPT)?, before + 1);
    Ok(took)
}

/// What this process has of a window.
struct Used {
    /// The offset of the window in the free memory.
    offset: u64,
    file: File,
    by_node: Vma,
    /// The first page alone, through the node of all memory.
    by_address: Vma,
}

impl Used {
    fn all() -> Result<Vec<Self>> {
        let all = user::open()?;
        let used = OFFSETS.iter().map(|&(number, offset)| {
            let file = node(number)?;
            let by_node = Vma::shared(&file, 0, OTHER as usize)?;
            let by_address = Vma::shared(&all, START + offset, PAGE as usize)?;
            Ok(Self { offset, file, by_node, by_address })
        });
        used.collect()
    }

    /// Fails unless every way shows this byte at `place`.
    fn shows(&self, place: u64, value: u8) -> Result<()> {
        let mut byte = [0];
        self.file.read_exact_at(&mut byte, place)?;
        let found = (self.by_node.load(place as usize), byte[0]);
        ensure!(found == (value, value), "{value:#x} became {found:x?} in the window at {:#x}", self.offset);
        if place < PAGE {
            let found = self.by_address.load(place as usize);
            ensure!(found == value, "the node of all memory shows {found:#x} at {:#x}, not {value:#x}", self.offset);
        }
        Ok(())
    }
}

pub fn mappings_outlive_a_suspend_to_idle(host: &mut Host) -> Result<()> {
    if !Path::new(TEST).exists() {
        return Err(Skip("this kernel cannot suspend".into()).into());
    }
    let seed = 310;
    host.fill(seed)?;
    fs::write(WAKES, "enabled").context(WAKES)?;
    fs::write(TEST_DELAY, "1").context(TEST_DELAY)?;
    let config = Config::with(&[WINDOWS])?;
    let late = Directory::with("late", &[("start", "0xc0180000"), ("size", "1536K"), ("memory", "1")])?;
    ensure!(late.enable()? == 4, "the window at run time has another number");
    let counts = Counts::new(2)?;
    let storing = Child::spawn(|| store(&counts).inspect_err(|error| eprintln!("{error:#}")).is_err().into())?;
    let used = Used::all()?;
    goes_on(&counts)?;
    let before = kernel::traces()?;
    let mut took = Vec::new();
    // What this process has stored: in each window, a byte of another page before each sleep.
    let mut stored = Vec::new();
    for level in LEVELS.iter().flat_map(|&(level, times)| (0..times).map(move |_| level)) {
        goes_on(&counts)?;
        stored.push((stored.len() as u64 * PAGE, 0x41 + stored.len() as u8));
        let (place, value) = stored[stored.len() - 1];
        used.iter().for_each(|window| window.by_node.store(place as usize, value));
        let slept = sleep(host, level).with_context(|| format!("{level}, after {took:?}"))?;
        took.push(format!("{level} {} ms", slept.as_millis()));
        ensure!(level != "none" || slept >= SLEEP / 2, "it slept for {slept:?} only");
        for window in &used {
            stored.iter().try_for_each(|&(place, value)| window.shows(place, value))?;
        }
        goes_on(&counts)?;
        mappings_are(3 * OFFSETS.len())?;
        kernel::unchanged(&before, &kernel::traces()?)?;
    }
    counts.set(STOP, 1);
    child::check(storing.wait()?)?;
    // The other program has stored one more each time.
    let (rounds, slept) = (counts.get(ROUNDS), took.len() as u64);
    let last = rounds as u8;
    let of_window = stored.iter().copied().chain([(OTHER, last), (OTHER + 1, last)]);
    let all: BTreeMap<_, _> = of_window
        .flat_map(|(place, value)| OFFSETS.map(|(_, offset)| (offset + place, value)))
        .filter(|(place, value)| pattern::byte(seed, START + place) != *value)
        .collect();
    let ranges: Vec<_> = all.keys().map(|place| *place..place + 1).collect();
    host.changed(seed, &ranges, |place| all.get(&place).copied().unwrap_or_default())?;
    drop(used);
    mappings_are(0)?;
    drop((late, config));
    host.note(format!("slept {slept} times: {}; the other program went on for {rounds} rounds\n", took.join(", ")))?;
    ensure!(rounds >= 10 * slept, "the other program did only {rounds} rounds");
    Ok(())
}
