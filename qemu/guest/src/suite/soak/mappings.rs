// SPDX-License-Identifier: MIT OR Apache-2.0

//! Ten thousand mappings of one window.

use std::{
    fs::{self, File},
    io::{Read, Write},
    os::unix::net::UnixStream,
    time::Instant,
};

use anyhow::{ensure, Context, Result};
use map_protocol::pattern;
use nix::errno::Errno;

use super::witness::mappings_are;
use crate::{
    child::{self, Child},
    host::{Host, LENGTH, PAGE, START},
    runtime::{Config, Directory},
    user::open_window as node,
    vma::{zero_at, Vma},
};

/// How many mappings there are: far more than any limit of the driver's, and less than a process may have (65,530).
const MANY: usize = 10_000;
/// How many processes share them.
const PROCESSES: usize = 4;
/// How many there are of one page. On x86 the kernel searches all of them for each one.
const OF_ONE_PAGE: usize = 1000;

/// A window onto all of the free memory.
fn window() -> Result<(Directory, u32)> {
    let values = [("start", "0xc0000000"), ("size", "3M"), ("cache", "wc"), ("memory", "1")];
    let window = Directory::with("window", &values)?;
    let minor = window.enable()?;
    Ok((window, minor))
}

/// The byte of the window that mapping `index` shows first.
fn offset(index: usize) -> u64 {
    index as u64 % (LENGTH / PAGE) * PAGE
}

/// Mappings of a page each, of all pages of the window in turn.
fn mapped(file: &File, indexes: std::ops::Range<usize>) -> Result<Vec<Vma>, Errno> {
    indexes.map(|index| Vma::shared(file, offset(index), PAGE as usize)).collect()
}

/// Fails unless debugfs and the node of the window count so many.
fn counted(minor: u32, expected: usize) -> Result<()> {
    mappings_are(expected)?;
    let shown = fs::read_to_string(format!("/sys/class/map/map{minor}/mappings"))?;
    ensure!(shown.trim() == expected.to_string(), "the window has {} mappings, not {expected}", shown.trim());
    Ok(())
}

/// Fails unless each shows its page.
fn show(vmas: &[Vma], seed: u64) -> Result<()> {
    for (index, vma) in vmas.iter().enumerate() {
        let place = offset(index) + 3;
        let expected = pattern::byte(seed, START + place);
        ensure!(vma.load(3) == expected, "the mapping {index} shows {:#x}, not {expected:#x}", vma.load(3));
    }
    Ok(())
}

/// Fails unless a system call cannot store through any of them.
fn show_nothing(vmas: &[Vma]) -> Result<()> {
    let zeros = File::open("/dev/zero")?;
    for (index, vma) in vmas.iter().enumerate() {
        let stored = zero_at(&zeros, vma.address() + 5, 1);
        ensure!(stored == Err(Errno::EFAULT), "the mapping {index} is still there: {stored:?}");
    }
    Ok(())
}

pub fn ten_thousand_mappings_are_counted_and_taken_away(host: &mut Host) -> Result<()> {
    let seed = 300;
    host.fill(seed)?;
    let _config = Config::new()?;
    let (window, minor) = window()?;
    let own = node(minor)?;
    let mut took = Vec::new();
    let mut timed = |what: &str, began: Instant| took.push(format!("{what} {} ms", began.elapsed().as_millis()));

    let began = Instant::now();
    let vmas = mapped(&own, 0..MANY)?;
    timed("mapped in", began);
    counted(minor, MANY)?;
    let maps = fs::read_to_string("/proc/self/maps")?;
    let lines = maps.lines().filter(|line| line.contains("/dev/map")).count();
    ensure!(lines == MANY, "the process has {lines} of {MANY} VMAs");
    show(&vmas, seed)?;

    // A child has all of them as well.
    let began = Instant::now();
    let (mut tell, mut told) = UnixStream::pair()?;
    let child = Child::spawn_ready(|ready| {
        let shown = show(&vmas, seed).and_then(|()| Ok(ready.signal()?)).and_then(|()| Ok(told.read_exact(&mut [0])?));
        shown.inspect_err(|error| eprintln!("{error:#}")).is_err().into()
    })?;
    timed("copied in", began);
    counted(minor, 2 * MANY)?;
    tell.write_all(b"x")?;
    child::check(child.wait()?)?;
    counted(minor, MANY)?;

    // Another child has lost them with its parent.
    let (mut tell, mut told) = UnixStream::pair()?;
    let child = Child::spawn_ready(|ready| {
        let shown = ready.signal().and_then(|()| told.read_exact(&mut [0])).context("waiting");
        shown.and_then(|()| show_nothing(&vmas)).inspect_err(|error| eprintln!("{error:#}")).is_err().into()
    })?;
    let began = Instant::now();
    window.set("enable", "0")?;
    timed("twice as many taken away in", began);
    show_nothing(&vmas)?;
    // They are VMAs all the same, up to munmap(2).
    mappings_are(2 * MANY)?;
    tell.write_all(b"x")?;
    child::check(child.wait()?)?;
    mappings_are(MANY)?;
    host.changed(seed, &[], |_| 0)?;
    let began = Instant::now();
    drop(vmas);
    timed("unmapped in", began);
    mappings_are(0)?;

    // All of one page, and of the node of a window that has come back.
    let minor = window.enable()?;
    ensure!(Vma::shared(&own, 0, PAGE as usize).map(drop) == Err(Errno::ENODEV), "the old file maps the new window");
    let again = node(minor)?;
    let began = Instant::now();
    let one = (0..OF_ONE_PAGE).map(|_| Vma::shared(&again, PAGE, PAGE as usize)).collect::<Result<Vec<_>, _>>()?;
    timed("of one page mapped in", began);
    counted(minor, OF_ONE_PAGE)?;
    one[OF_ONE_PAGE - 1].store(9, 0x99);
    ensure!(one.iter().all(|vma| vma.load(9) == 0x99), "they do not show the same page");
    window.remove()?;
    show_nothing(&one)?;
    drop((one, again));
    mappings_are(0)?;
    host.changed(seed, &[PAGE + 9..PAGE + 10], |_| 0x99)?;
    host.note(format!("{MANY} mappings: {}\n", took.join(", ")))
}

pub fn ten_thousand_mappings_of_four_programs_are_taken_away(host: &mut Host) -> Result<()> {
    let seed = 301;
    host.fill(seed)?;
    let _config = Config::new()?;
    let (window, mut minor) = window()?;
    let mut rounds = 0;
    for killed in [false, true, false] {
        let (mut tells, mut children) = (Vec::new(), Vec::new());
        for process in 0..PROCESSES {
            let (tell, mut told) = UnixStream::pair()?;
            children.push(Child::spawn_ready(|ready| {
                let mut work = || -> Result<()> {
                    let each = MANY / PROCESSES;
                    let vmas = mapped(&node(minor)?, process * each..(process + 1) * each)?;
                    ready.signal()?;
                    told.read_exact(&mut [0])?;
                    show_nothing(&vmas)
                };
                work().inspect_err(|error| eprintln!("{error:#}")).is_err().into()
            })?);
            tells.push(tell);
        }
        counted(minor, MANY)?;
        if killed {
            // While they have all of them.
            for child in children {
                child.kill()?;
            }
            counted(minor, 0)?;
        } else {
            window.set("enable", "0")?;
            tells.iter_mut().try_for_each(|tell| tell.write_all(b"x"))?;
            for child in children {
                child::check(child.wait()?)?;
            }
            mappings_are(0)?;
            minor = window.enable()?;
            counted(minor, 0)?;
        }
        rounds += 1;
    }
    host.changed(seed, &[], |_| 0)?;
    host.note(format!("{rounds} times {MANY} mappings of {PROCESSES} processes\n"))
}
