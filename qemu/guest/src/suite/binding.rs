// SPDX-License-Identifier: MIT OR Apache-2.0

//! Random operations of several processes on the windows of devices that are bound and unbound between them, each
//! compared with what it must give.
//!
//! In a round, all processes work at the same time; before it, a device may go or come. What a process stores, it
//! stores in pages of its own, so each knows what all of its own loads and reads give.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::File,
    io::{Read, Write},
    os::unix::{fs::FileExt, net::UnixStream},
};

use anyhow::{ensure, Context, Result};
use map_core::abi;
use map_protocol::pattern;
use nix::{
    errno::Errno,
    sys::{
        mman::{MapFlags, ProtFlags},
        signal::Signal,
    },
};

use crate::{
    arch::{self, RTC},
    child::{self, killed_by, Child},
    dt::{bind, debugged, node_of, sysfs, unbind, FIFO, MEMORY, REGISTERS, TABLE},
    errno,
    host::{Host, LENGTH, PAGE, START},
    kernel::Loaded,
    random::Random,
    user,
    vma::{Vma, READ_WRITE},
    windows::ask,
};

crate::tests! {
    every_call_gives_what_the_bound_devices_allow,
}

const SEED: u64 = 92;
const PROCESSES: u64 = 3;
const ROUNDS: u64 = 400;
/// The number of operations of a process in a round.
const OPERATIONS: usize = 8;
/// The number of files, and of mappings, that a process has at most.
const MOST: usize = 6;

/// The devices of the tree.
const DEVICES: [&str; 2] = [MEMORY, REGISTERS];

/// A window of the tree.
struct Window {
    name: &'static str,
    device: usize,
    start: u64,
    pages: u64,
    writable: bool,
}

static WINDOWS: [Window; 4] = [
    Window { name: "sdram", device: 0, start: START, pages: LENGTH / PAGE, writable: true },
    Window { name: "fifo", device: 0, start: FIFO, pages: 0x1_0000 / PAGE, writable: true },
    Window { name: "table", device: 0, start: TABLE, pages: 0x1_0000 / PAGE, writable: false },
    Window { name: "rtc", device: 1, start: RTC, pages: 1, writable: true },
];

/// How many windows each device has, with one that no operation here takes.
const WINDOWS_OF: [u32; 2] = [3, 2];

/// Which devices are bound, and for the how manieth time.
#[derive(Debug, Clone, Copy)]
struct Bound {
    is: [bool; 2],
    time: [u8; 2],
}

impl Bound {
    /// Whether the window is still the one of that time.
    fn has(&self, window: &Window, time: u8) -> bool {
        self.is[window.device] && self.time[window.device] == time
    }
}

/// An open file: of all windows, or of one, which may have gone since.
struct Node {
    file: File,
    window: Option<(&'static Window, u8)>,
}

/// A mapping of a window.
struct Mapping {
    vma: Vma,
    window: &'static Window,
    time: u8,
    /// Its first page in the window, and how many it has.
    first: u64,
    pages: u64,
    writable: bool,
}

/// How often something happened.
#[derive(Debug, Default)]
struct Counts {
    done: u64,
    refused: u64,
    gone: u64,
    signals: u64,
}

/// A process.
struct Process {
    index: u64,
    random: Random,
    bound: Bound,
    nodes: VecDeque<Node>,
    mappings: VecDeque<Mapping>,
    /// What it has stored, by the physical address.
    stored: BTreeMap<u64, u8>,
    counts: Counts,
}

/// The node of a window that may not be there, or of all.
fn open(window: Option<&Window>) -> Result<File> {
    window.map_or_else(user::open, |window| node_of(window.name))
}

impl Process {
    /// Counts a result that must be this one.
    fn compare<T>(&mut self, what: &str, found: &Result<T, Errno>, expected: Result<(), Errno>) -> Result<()> {
        let found = found.as_ref().map(drop).map_err(|errno| *errno);
        ensure!(found == expected, "{what} gives {found:?}, not {expected:?}, with {:?}", self.bound);
        *match expected {
            Ok(()) => &mut self.counts.done,
            Err(Errno::ENODEV | Errno::EIO) => &mut self.counts.gone,
            Err(_) => &mut self.counts.refused,
        } += 1;
        Ok(())
    }

    /// A page of this process in a window of several, else the only one.
    fn page_of(&mut self, window: &Window) -> u64 {
        let own = window.pages / PROCESSES;
        if own == 0 {
            return 0;
        }
        self.random.below(own) * PROCESSES + self.index
    }

    /// Fails unless that is the byte at a physical address, as far as this process knows.
    fn is_there(&self, address: u64, found: u8) -> Result<()> {
        let first = (START..START + LENGTH).contains(&address).then(|| pattern::byte(SEED, address));
        let expected = self.stored.get(&address).copied().or(first);
        ensure!(expected.is_none_or(|expected| expected == found), "{address:#x} has {found:#x}, not {expected:x?}");
        Ok(())
    }

    fn open(&mut self) -> Result<()> {
        let window = (!self.random.chance(30)).then(|| &WINDOWS[self.random.index(WINDOWS.len())]);
        let node = open(window);
        let is = window.is_none_or(|window| self.bound.is[window.device]);
        let node = node.map_err(|_| Errno::ENOENT);
        self.compare("open(2)", &node, if is { Ok(()) } else { Err(Errno::ENOENT) })?;
        if let Ok(file) = node {
            let window = window.map(|window| (window, self.bound.time[window.device]));
            self.nodes.push_front(Node { file, window });
            self.nodes.truncate(MOST);
        }
        Ok(())
    }

    fn map(&mut self) -> Result<()> {
        if self.nodes.is_empty() {
            return self.open();
        }
        let node = self.random.index(self.nodes.len());
        let own = self.nodes[node].window;
        let window = own.map_or(&WINDOWS[self.random.index(WINDOWS.len())], |(window, _)| window);
        let first = self.page_of(window);
        let pages = u64::from(self.random.between(1, 4)).min(window.pages - first);
        let protection = self.random.one_of(&[READ_WRITE, READ_WRITE, ProtFlags::PROT_READ]);
        let write = protection == READ_WRITE;
        let offset = first * PAGE + if own.is_none() { window.start } else { 0 };
        let file = &self.nodes[node].file;
        let mapped = Vma::map(file, offset, (pages * PAGE) as usize, protection, MapFlags::MAP_SHARED);
        let expected = match own {
            Some((_, time)) if !self.bound.has(window, time) => Err(Errno::ENODEV),
            None if !self.bound.is[window.device] => Err(Errno::EPERM),
            _ if write && !window.writable => Err(Errno::EACCES),
            _ => Ok(()),
        };
        self.compare("mmap(2)", &mapped, expected)?;
        if let Ok(vma) = mapped {
            let time = self.bound.time[window.device];
            self.mappings.push_front(Mapping { vma, window, time, first, pages, writable: write });
            self.mappings.truncate(MOST);
        }
        Ok(())
    }

    /// A load, or a store if there may be one.
    fn access(&mut self) -> Result<()> {
        if self.mappings.is_empty() {
            return self.map();
        }
        let index = self.random.index(self.mappings.len());
        // Its own pages in a mapping are every third.
        let (offset, value) = (self.random.below(PAGE), self.random.next() as u8);
        let store = self.random.chance(50);
        let mapping = &self.mappings[index];
        let page = if mapping.pages > PROCESSES && value % 2 == 0 { PROCESSES } else { 0 };
        let at = (page * PAGE + offset) as usize;
        if !self.bound.has(mapping.window, mapping.time) {
            self.counts.signals += 1;
            return match store && mapping.writable {
                true => killed_by(Signal::SIGBUS, || mapping.vma.store(at, value)),
                false => killed_by(Signal::SIGBUS, || mapping.vma.load(at)),
            }
            .with_context(|| format!("an access to {}, which has gone: {:?}", mapping.window.name, self.bound));
        }
        self.counts.done += 1;
        if mapping.window.device == 1 {
            // Registers are not stored to.
            mapping.vma.load_word(0);
            return Ok(());
        }
        let address = mapping.window.start + mapping.first * PAGE + at as u64;
        if store && mapping.writable {
            mapping.vma.store(at, value);
            self.stored.insert(address, value);
        }
        self.is_there(address, self.mappings[index].vma.load(at))
    }

    /// read(2) or write(2), by the node of a window of memory.
    fn transfer(&mut self) -> Result<()> {
        let of_memory = |node: &&Node| node.window.is_some_and(|(window, _)| window.device == 0);
        let Some((window, time)) = self.nodes.iter().find(of_memory).and_then(|node| node.window) else {
            return self.open();
        };
        let (page, offset) = (self.page_of(window), self.random.below(PAGE - 16));
        let position = page * PAGE + offset;
        let write = window.writable && self.random.chance(50);
        let mut bytes = self.random.next().to_le_bytes();
        let Some(Node { file, .. }) = self.nodes.iter().find(of_memory) else { return Ok(()) };
        let done = match write {
            true => errno::result(file.write_all_at(&bytes, position)),
            false => errno::result(file.read_exact_at(&mut bytes, position)),
        };
        let expected = if self.bound.has(window, time) { Ok(()) } else { Err(Errno::ENODEV) };
        self.compare("read(2) or write(2)", &done, expected)?;
        if done.is_ok() {
            for (address, byte) in (window.start + position..).zip(bytes) {
                if write {
                    self.stored.insert(address, byte);
                }
                self.is_there(address, byte)?;
            }
        }
        Ok(())
    }

    /// What a debugger reads in a mapping.
    fn debug(&mut self) -> Result<()> {
        let Some(mapping) = self.mappings.front() else { return self.map() };
        let may = arch::DEBUGGERS && mapping.window.device == 0 && self.bound.has(mapping.window, mapping.time);
        let found = debugged(&mapping.vma)?;
        self.compare("a debugger's read", &found, if may { Ok(()) } else { Err(Errno::EIO) })
    }

    /// How many windows the driver says that there are.
    fn count(&mut self) -> Result<()> {
        let Some(Node { file, window }) = self.nodes.back() else { return self.open() };
        let mut info = abi::MapInfo::default();
        let found = ask(file, abi::IOC_INFO, &mut info);
        let gone = window.is_some_and(|(window, time)| !self.bound.has(window, time));
        let windows: u32 = WINDOWS_OF.iter().zip(self.bound.is).filter(|(_, is)| *is).map(|(count, _)| count).sum();
        let expected = if window.is_some() { 1 } else { windows };
        ensure!(
            found.is_err() || info.windows == expected,
            "{} windows, not {expected}, {:?}",
            info.windows,
            self.bound
        );
        self.compare("MAP_IOC_INFO", &found, if gone { Err(Errno::ENODEV) } else { Ok(()) })
    }

    /// mremap(2) to another place.
    fn relocate(&mut self) -> Result<()> {
        let Some(mapping) = self.mappings.pop_back() else { return self.map() };
        let place = Vma::reserve((mapping.pages * PAGE) as usize)?;
        let moved = mapping.vma.move_to(place);
        self.compare("mremap(2)", &moved, Ok(()))?;
        self.mappings.push_front(Mapping { vma: moved?, ..mapping });
        Ok(())
    }

    fn operation(&mut self) -> Result<()> {
        match self.random.below(20) {
            0..=2 => self.open(),
            3..=7 => self.map(),
            8..=12 => self.access(),
            13..=15 => self.transfer(),
            16 => self.debug(),
            17 => self.count(),
            18 => self.relocate(),
            _ => {
                // munmap(2), and close(2).
                self.mappings.pop_back();
                self.nodes.pop_back();
                Ok(())
            }
        }
    }

    /// Works in every round, until there are no more. Then it sends what it has counted and stored.
    fn serve(&mut self, mut channel: &UnixStream) -> Result<()> {
        loop {
            let mut order = [0; 5];
            channel.read_exact(&mut order)?;
            let [go, first, second, time @ ..] = order;
            if go == 0 {
                break;
            }
            self.bound = Bound { is: [first != 0, second != 0], time };
            (0..OPERATIONS).try_for_each(|_| self.operation())?;
            channel.write_all(&[1])?;
        }
        let Counts { done, refused, gone, signals } = self.counts;
        for number in [done, refused, gone, signals] {
            channel.write_all(&number.to_le_bytes())?;
        }
        let seen = self.stored.range(START..START + LENGTH);
        let seen: Vec<_> = seen.filter(|(address, byte)| **byte != pattern::byte(SEED, **address)).collect();
        channel.write_all(&(seen.len() as u64).to_le_bytes())?;
        for (address, byte) in seen {
            channel.write_all(&(address - START).to_le_bytes())?;
            channel.write_all(&[*byte])?;
        }
        Ok(())
    }
}

/// Binds or unbinds devices before a round.
fn change(random: &mut Random, bound: &mut Bound) -> Result<()> {
    let device = random.index(DEVICES.len());
    match (random.below(10), bound.is[device]) {
        // What it already is.
        (0, true) => ensure!(sysfs("bind", DEVICES[device]) == Err(Errno::EBUSY), "it is bound twice"),
        (0, false) => ensure!(sysfs("unbind", DEVICES[device]) == Err(Errno::ENODEV), "it is unbound twice"),
        (1..=6, true) => {
            unbind(DEVICES[device])?;
            bound.is[device] = false;
        }
        (1..=6, false) => {
            bind(DEVICES[device])?;
            bound.is[device] = true;
            bound.time[device] += 1;
        }
        // It goes and comes again, perhaps before anybody looks.
        (7, true) => {
            unbind(DEVICES[device])?;
            bind(DEVICES[device])?;
            bound.time[device] += 1;
        }
        _ => (),
    }
    Ok(())
}

fn number(mut channel: &UnixStream) -> Result<u64> {
    let mut bytes = [0; 8];
    channel.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

fn every_call_gives_what_the_bound_devices_allow(host: &mut Host) -> Result<()> {
    host.fill(SEED)?;
    let _loaded = Loaded::new()?;
    let mut bound = Bound { is: [true; 2], time: [0; 2] };
    let processes = (0..PROCESSES).map(|index| {
        let (ours, theirs) = UnixStream::pair()?;
        let random = Random::new(SEED + index);
        let (nodes, mappings) = (VecDeque::new(), VecDeque::new());
        let stored = BTreeMap::new();
        let mut process = Process { index, random, bound, nodes, mappings, stored, counts: Counts::default() };
        let child = Child::spawn(|| match process.serve(&theirs) {
            Ok(()) => 0,
            Err(error) => {
                eprintln!("process {index}: {error:#}");
                1
            }
        })?;
        Ok((child, ours))
    });
    let processes = processes.collect::<Result<Vec<_>>>()?;
    let mut random = Random::new(SEED);
    for round in 0..ROUNDS {
        change(&mut random, &mut bound).with_context(|| format!("round {round}"))?;
        let [first, second] = bound.is.map(u8::from);
        for (_, channel) in &processes {
            (&*channel).write_all(&[1, first, second, bound.time[0], bound.time[1]])?;
        }
        for (index, (_, channel)) in processes.iter().enumerate() {
            (&*channel).read_exact(&mut [0]).with_context(|| format!("round {round}, process {index} has ended"))?;
        }
    }
    let (mut sums, mut stored) = ([0; 4], BTreeMap::new());
    for (child, mut channel) in processes {
        channel.write_all(&[0; 5])?;
        for sum in &mut sums {
            *sum += number(&channel)?;
        }
        for _ in 0..number(&channel)? {
            let offset = number(&channel)?;
            let mut byte = [0];
            channel.read_exact(&mut byte)?;
            stored.insert(offset, byte[0]);
        }
        child::check(child.wait()?)?;
    }
    let ranges: Vec<_> = stored.keys().map(|offset| *offset..offset + 1).collect();
    host.changed(SEED, &ranges, |offset| stored.get(&offset).copied().unwrap_or_default())?;
    let [done, refused, gone, signals] = sums;
    let binds = bound.time.map(u64::from).iter().sum::<u64>();
    host.note(format!(
        "{done} calls and accesses done, {refused} refused, {gone} told that the window has gone, {signals} ended by SIGBUS; \
         devices came {binds} times"
    ))?;
    ensure!(done > 2000 && refused > 400 && gone > 400 && signals > 400 && binds > 60, "too little happened");
    Ok(())
}
