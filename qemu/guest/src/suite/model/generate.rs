// SPDX-License-Identifier: MIT OR Apache-2.0

//! Random sequences. The model says what there is that an operation could be done on.

use std::ops::Range;

use map_core::{CacheMode, Mode, PhysRange, Property};
use nix::libc;

use super::{
    file::INTERRUPTS,
    layout::{self, Layout},
    operation::{
        Access, Buffer, Kind, Operation, Pointer, Way, ACTORS, ARENA_PAGES, DIRECTORIES, FIRST_ACTORS, ROOT, SLOTS,
        THREADS,
    },
    plan::Step,
    world::{Vma, World},
};
use crate::{
    host::{LENGTH, PAGE, START},
    random::Random,
    ring::CURRENT,
};

/// The number of operations of a sequence, at least.
const LENGTH_OF_SEQUENCE: usize = 400;
/// So many sequences, with one seed after the other, are for one way to load the driver.
pub const SAME_LAYOUT: u64 = 16;
/// Of so many seeds one ends raw mode.
const RAW_ENDS: u64 = 4 * SAME_LAYOUT * 6;
/// So many times all layouts come in one turn, at most.
const MOST_PERIODS: u64 = 30;
/// How many seconds all layouts take on a busy machine.
const PERIOD: u64 = 300;
/// The most conflicts of cache types in one sequence: the driver lets ten of them through in five seconds.
const MOST_CONFLICTS: u32 = 7;
/// One sequence of so many has a user with too many mappings, which takes long.
const FLOOD: u64 = 10;

/// How the driver is loaded for a seed.
pub fn layout_of(seed: u64) -> &'static Layout {
    &layout::ALL[(seed / SAME_LAYOUT % layout::ALL.len() as u64) as usize]
}

/// The seeds from `first` on in the order in which they are run: many that load the driver in the same way after each
/// other, since lockdep never forgets what it has seen of a module. All layouts come in so many operations and seconds.
pub fn seeds(first: u64, operations: u64, seconds: Option<u64>) -> impl Iterator<Item = u64> {
    let period = SAME_LAYOUT * layout::ALL.len() as u64;
    let in_time = seconds.map_or(MOST_PERIODS, |seconds| seconds / PERIOD);
    let periods = (operations / LENGTH_OF_SEQUENCE as u64 / period).min(in_time).min(MOST_PERIODS);
    // Those of a short run are in their own order.
    let length = (periods * period).max(1);
    (0u64..).flat_map(move |block| {
        let start = first.wrapping_add(block * length);
        let mut block: Vec<_> = (0..length).map(|number| start.wrapping_add(number)).collect();
        block.sort_by_key(|seed| layout::ALL.iter().position(|layout| std::ptr::eq(layout, layout_of(*seed))));
        block
    })
}

/// The sequence of a seed, which `world` does.
pub fn sequence(seed: u64, world: &mut World) -> Vec<Step> {
    let random = Random::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x006d_6f64_656c);
    let mut generator = Generator { seed, random, world, steps: Vec::new(), round: 0, share: None, removed: 0 };
    generator.begin();
    while generator.steps.len() < LENGTH_OF_SEQUENCE && generator.world.conflicts < MOST_CONFLICTS {
        generator.some_rounds();
    }
    if seed % FLOOD == 0 && !generator.world.layout.parameter.is_empty() {
        generator.flood();
    }
    if generator.world.layout.conflicts() {
        generator.conflict();
    }
    generator.new_round();
    generator.emit(ROOT, Kind::Look);
    generator.steps
}

/// What belongs to a process, or to a thread, in a round of several.
#[derive(Clone, Copy)]
struct Share {
    /// The physical pages: those whose number has this remainder.
    pages: usize,
    /// The part of the process's descriptors and addresses, if it is a thread's.
    thread: Option<usize>,
}

struct Generator<'a> {
    seed: u64,
    random: Random,
    world: &'a mut World,
    steps: Vec<Step>,
    round: u32,
    /// What nobody else may disturb: operations are done at the same time. `None` while one process works alone.
    share: Option<Share>,
    /// How many windows have gone.
    removed: u32,
}

/// What can be done with some memory of a file.
struct Target {
    slot: usize,
    offset: u64,
    length: u64,
}

/// The part of `count` things that a thread has.
fn part(count: usize, thread: usize) -> Range<usize> {
    let each = count / THREADS;
    thread * each..(thread + 1) * each
}

impl Generator<'_> {
    /// Adds an operation, if it can be done. Tells whether it was added.
    fn emit(&mut self, actor: usize, kind: Kind) -> bool {
        let Some(expect) = self.world.predict(actor, &kind) else { return false };
        let narrow = kind.fits_32_bits() && self.random.chance(20);
        let operation = Operation { round: self.round, actor, thread: self.thread().unwrap_or(0), narrow, kind };
        self.steps.push(Step { number: self.steps.len(), operation, expect: Some(expect) });
        true
    }

    fn new_round(&mut self) {
        self.round += 1;
        self.share = None;
    }

    /// The thread whose operations are made, in a round of threads.
    fn thread(&self) -> Option<usize> {
        self.share?.thread
    }

    /// The places for descriptors that may be used now.
    fn slots(&self) -> Range<usize> {
        self.thread().map_or(0..SLOTS, |thread| part(SLOTS, thread))
    }

    /// The pages of the arena that may be used now.
    fn arena(&self) -> Range<u32> {
        let all = ARENA_PAGES as usize;
        let Range { start, end } = self.thread().map_or(0..all, |thread| part(all, thread));
        start as u32..end as u32
    }

    /// Any place for a descriptor.
    fn any_slot(&mut self) -> usize {
        let slots = self.slots();
        slots.start + self.random.index(slots.len())
    }

    /// Lets some users open some nodes, and opens them.
    fn begin(&mut self) {
        self.emit(ROOT, Kind::Mode { minor: 0, mode: 0o666 });
        for minor in 1..=self.world.nodes.len() as u32 {
            let mode = self.random.one_of(&[0o666, 0o666, 0o644, 0o600, 0o622]);
            self.emit(ROOT, Kind::Mode { minor, mode });
        }
        for actor in 0..FIRST_ACTORS {
            self.new_round();
            for slot in 0..2 {
                let minor = self.minor();
                self.emit(actor, Kind::Open { slot, minor, access: libc::O_RDWR, ring: false });
            }
            for _ in 0..2 {
                let kind = self.map(actor);
                self.emit(actor, kind);
            }
        }
        // Who cannot open one, gets one.
        for actor in 1..FIRST_ACTORS {
            if self.world.file_of(actor, 0).is_none() {
                self.new_round();
                self.emit(0, Kind::Send { slot: 0 });
                self.new_round();
                self.emit(actor, Kind::Receive { slot: 0 });
            }
        }
    }

    fn some_rounds(&mut self) {
        self.new_round();
        let chance = self.random.below(100);
        // Raw mode cannot come back, so it rarely ends.
        let keeps_raw = self.world.layout.removals == 1 && self.seed % RAW_ENDS != 2 * SAME_LAYOUT - 1;
        let windows = self.world.layout.removals > 0 && !keeps_raw;
        match chance {
            0..=2 => drop(self.emit(ROOT, Kind::Look)),
            3..=8 => {
                let minor = self.random.between(0, 6);
                let mode = self.random.one_of(&[0o666, 0o600, 0o644, 0o622, 0o000]);
                self.emit(ROOT, Kind::Mode { minor, mode });
            }
            9..=24 if windows => self.change_windows(),
            25..=26 => self.fork_or_end(),
            27..=56 if self.world.layout.parallel => {
                for actor in 0..FIRST_ACTORS {
                    self.share = Some(Share { pages: actor, thread: None });
                    let count = self.random.between(3, 10);
                    self.operations(actor, count);
                }
            }
            57..=70 if self.world.layout.parallel => {
                let actor = self.living();
                for thread in 0..THREADS {
                    self.share = Some(Share { pages: thread, thread: Some(thread) });
                    let count = self.random.between(3, 10);
                    self.operations(actor, count);
                }
            }
            _ => {
                let actor = self.living();
                let count = self.random.between(2, 12);
                self.operations(actor, count);
            }
        }
    }

    /// One of the processes.
    fn living(&mut self) -> usize {
        let living: Vec<_> = (0..ACTORS).filter(|actor| self.world.actors[*actor].is_some()).collect();
        self.random.one_of(&living)
    }

    /// Some operations of one process.
    fn operations(&mut self, actor: usize, count: u32) {
        let mut done = 0;
        for _ in 0..4 * count {
            let kind = self.operation(actor);
            done += u32::from(kind.is_some_and(|kind| self.emit(actor, kind)));
            if done == count || self.world.conflicts >= MOST_CONFLICTS {
                return;
            }
        }
    }

    /// The first page of the memory for windows of a directory, and how many it has.
    fn zone(&self, directory: usize) -> (u64, u64) {
        let layout = self.world.layout;
        let (first, pages) = layout.zones[directory];
        // Each sequence has a place of its own: the driver remembers conflicts for some seconds.
        let place = if layout.conflicts() { self.seed % SAME_LAYOUT * pages } else { 0 };
        (first + place, pages)
    }

    /// Makes, changes and removes windows in configfs.
    fn change_windows(&mut self) {
        let directory = self.random.index(DIRECTORIES);
        let layout = self.world.layout;
        let may_go = self.removed < layout.removals;
        let enabled = self.world.is_enabled(directory);
        if enabled && may_go && self.random.chance(60) {
            let kind =
                if self.random.chance(50) { Kind::Enable { directory, text: "0" } } else { Kind::Remove { directory } };
            self.removed += 1;
            self.emit(ROOT, kind);
            self.access_what_is_lost();
            return;
        }
        // In raw mode only one window may go, so there is only one.
        let another = (0..DIRECTORIES).any(|other| self.world.is_enabled(other));
        if layout.removals == 1 && (another || self.removed > 0) {
            self.emit(ROOT, Kind::Look);
            return;
        }
        if self.world.directories[directory].is_none() || self.random.chance(10) {
            self.emit(ROOT, Kind::Make { directory });
        }
        let (first, pages) = self.zone(directory);
        let start = self.random.below(pages);
        let length = 1 + self.random.below(pages - start);
        let wrong = self.random.chance(12);
        let start = START + (first + start) * PAGE;
        let (start, length) = match self.random.below(5) {
            0 if wrong => (self.world.machine.some_ram(), 1),
            1 if wrong => (self.world.machine.claimed().start(), 1),
            2 if wrong => (START, 2),
            3 if wrong => (self.world.machine.limits.last_address + 1, 1),
            _ => (start, length),
        };
        let cache = match layout.caches[directory] {
            Some(cache) => cache,
            None => self.random.one_of(&[CacheMode::Uncached, CacheMode::WriteCombine, CacheMode::Cached]),
        };
        let set = |property, text: String| Kind::Set { directory, property, text };
        self.emit(ROOT, set(Property::Start, format!("{start:#x}")));
        self.emit(ROOT, set(Property::Size, format!("{}", length * PAGE)));
        self.emit(ROOT, set(Property::Cache, cache.as_str().to_owned()));
        for (property, texts) in [
            (Property::Access, &["rw", "rw", "ro", "rx", ""][..]),
            (Property::Shared, &["0", "1", "2"]),
            (Property::Memory, &["0", "1", "yes"]),
            (Property::Huge, &["auto", "never", "always"]),
        ] {
            if self.random.chance(30) {
                let text = self.random.one_of(texts).to_owned();
                self.emit(ROOT, set(property, text));
            }
        }
        if self.random.chance(10) {
            let (property, text) = self.random.one_of(&[
                (Property::Start, "0x800"),
                (Property::Start, "c0000000"),
                (Property::Size, "0"),
                (Property::Size, "1K"),
                (Property::Size, "-4096"),
                (Property::Cache, "none"),
            ]);
            self.emit(ROOT, set(property, text.to_owned()));
        }
        let text = self.random.one_of(&["1", "1", "1", "1", "1", "1", "0", "yes"]);
        let was = self.world.is_enabled(directory);
        if text == "0" && was {
            self.removed += 1;
        }
        self.emit(ROOT, Kind::Enable { directory, text });
        if self.world.is_enabled(directory) && !was {
            let minor = self.world.directories[directory].as_ref().and_then(|it| it.node);
            let minor = minor.map_or(0, |node| self.world.nodes[node].minor);
            if self.random.chance(70) {
                self.emit(ROOT, Kind::Mode { minor, mode: 0o666 });
            }
            // Somebody uses it at once.
            self.new_round();
            let actor = self.random.index(FIRST_ACTORS);
            let slot = self.random.index(SLOTS);
            self.emit(actor, Kind::Open { slot, minor, access: libc::O_RDWR, ring: false });
            // A conflict takes an older mapping of another type that is still there.
            let maps = if layout.conflicts() { 8 } else { 2 };
            for _ in 0..maps {
                if self.world.conflicts < MOST_CONFLICTS {
                    let kind = self.map(actor);
                    self.emit(actor, kind);
                }
            }
        }
    }

    /// Those who have mapped a window that has gone try its first and its last page, in every way.
    fn access_what_is_lost(&mut self) {
        for actor in 0..ACTORS {
            let Some(process) = &self.world.actors[actor] else { continue };
            let lost = |vma: &&Vma| {
                let last = vma.physical_of(vma.end() - 1);
                self.world.is_lost(vma.mapping, vma.physical) || self.world.is_lost(vma.mapping, last)
            };
            let lost: Vec<_> = process.vmas.iter().filter(lost).map(|vma| (vma.first, vma.end() - 1)).collect();
            self.new_round();
            for (first, last) in lost.into_iter().rev().take(3) {
                for page in [first, last] {
                    let access = self.random.one_of(&[Access::Direct, Access::Call, Access::Memory]);
                    self.emit(actor, Kind::Load { page, offset: 0, width: 8, access });
                    let value = self.random.next();
                    self.emit(actor, Kind::Store { page, offset: PAGE as u32 - 8, width: 8, value, access });
                }
            }
        }
    }

    fn fork_or_end(&mut self) {
        let forked: Vec<_> = (FIRST_ACTORS..ACTORS).filter(|actor| self.world.actors[*actor].is_some()).collect();
        let child = match forked.is_empty() || self.random.chance(50) {
            true => self.random.between(FIRST_ACTORS as u32, ACTORS as u32 - 1) as usize,
            false => self.random.one_of(&forked),
        };
        if self.world.actors[child].is_some() {
            let kill = self.random.chance(50);
            self.emit(child, Kind::Exit { kill });
        } else {
            let actor = self.living();
            self.emit(actor, Kind::Fork { child });
        }
    }

    /// A user maps as often as they may.
    fn flood(&mut self) {
        for minor in 1..=4 {
            self.new_round();
            self.emit(ROOT, Kind::Mode { minor, mode: 0o666 });
            self.new_round();
            self.emit(2, Kind::Open { slot: 0, minor, access: libc::O_RDONLY, ring: false });
            if self.emit(2, Kind::Flood { slot: 0, pages: 16 }) {
                return;
            }
        }
    }

    /// A window of another cache type than an older mapping of its memory, which stays.
    fn conflict(&mut self) {
        let (first, pages) = self.zone(0);
        let held = self.world.held();
        let mut ranges = (first..first + pages).filter_map(|page| PhysRange::new(START + page * PAGE, PAGE));
        let Some(range) = ranges.find(|range| !held.iter().any(|(held, _)| held.overlaps(range))) else { return };
        for (page, cache) in [(0, CacheMode::Uncached), (1, CacheMode::WriteCombine)] {
            self.new_round();
            for directory in 0..DIRECTORIES {
                self.emit(ROOT, Kind::Remove { directory });
            }
            let directory = 0;
            self.emit(ROOT, Kind::Make { directory });
            for (property, text) in [
                (Property::Start, format!("{:#x}", range.start())),
                (Property::Size, format!("{PAGE}")),
                (Property::Cache, cache.as_str().to_owned()),
            ] {
                self.emit(ROOT, Kind::Set { directory, property, text });
            }
            self.emit(ROOT, Kind::Enable { directory, text: "1" });
            let node = self.world.directories[directory].as_ref().and_then(|it| it.node);
            let Some(minor) = node.map(|node| self.world.nodes[node].minor) else { return };
            self.new_round();
            self.emit(0, Kind::Open { slot: 0, minor, access: libc::O_RDWR, ring: false });
            let (protection, flags) = (libc::PROT_READ, libc::MAP_SHARED);
            self.emit(0, Kind::Map { slot: 0, page: Some(page), offset: 0, length: PAGE, protection, flags });
        }
    }

    /// The minor number of a node, which mostly exists.
    fn minor(&mut self) -> u32 {
        let mut minors: Vec<_> = self.world.mode.windows().iter().map(|listed| listed.minor).collect();
        minors.push(0);
        if matches!(self.world.mode, Mode::Raw) || self.random.chance(35) {
            return 0;
        }
        if self.random.chance(3) {
            return self.random.between(1, 64);
        }
        self.random.one_of(&minors)
    }

    /// A place for a descriptor, mostly with one.
    fn slot(&mut self, actor: usize) -> usize {
        let Some(process) = &self.world.actors[actor] else { return 0 };
        let used: Vec<_> = self.slots().filter(|slot| process.slots[*slot].is_some()).collect();
        if used.is_empty() || self.random.chance(4) {
            return self.any_slot();
        }
        self.random.one_of(&used)
    }

    /// A place with a window's node, if there is one.
    fn window_slot(&mut self, actor: usize) -> usize {
        let slots: Vec<_> = self
            .slots()
            .filter(|slot| {
                let file = self.world.file_of(actor, *slot);
                file.is_some_and(|file| self.world.files[file].node.is_some())
            })
            .collect();
        if slots.is_empty() || self.random.chance(8) {
            return self.slot(actor);
        }
        self.random.one_of(&slots)
    }

    /// A VMA of the process, all of which may be used now.
    fn vma(&mut self, actor: usize) -> Option<Vma> {
        let arena = self.arena();
        let within = |vma: &&Vma| arena.start <= vma.first && vma.end() <= arena.end;
        let vmas: Vec<_> = self.world.actors[actor].as_ref()?.vmas.iter().filter(within).collect();
        if vmas.is_empty() {
            return None;
        }
        let index = self.random.index(vmas.len());
        Some(vmas[index].clone())
    }

    /// Some pages of the arena: mostly of a VMA, sometimes with some behind it.
    fn pages(&mut self, actor: usize) -> (u32, u32) {
        let arena = self.arena();
        let Some(vma) = self.vma(actor) else {
            return (self.random.between(arena.start, arena.end - 16), self.random.between(1, 16));
        };
        let skip = if self.random.chance(50) { 0 } else { self.random.between(0, vma.pages - 1) };
        let left = vma.pages - skip;
        let pages = match self.random.below(10) {
            0..=3 => left,
            4 => left + self.random.between(1, 8),
            _ => self.random.between(1, left),
        };
        let page = vma.first + skip;
        (page, pages.min(arena.end - page))
    }

    /// A page of the arena that this process may change in this round, and the physical page behind it.
    fn page(&mut self, actor: usize) -> Option<u32> {
        if self.share.is_none() && self.random.chance(3) {
            return Some(self.random.between(0, ARENA_PAGES - 1));
        }
        let vma = self.vma(actor)?;
        // Where nothing happens between two operations, the first and the last page matter most.
        let page = match self.random.below(4) {
            0 => vma.first,
            1 => vma.end() - 1,
            _ => self.random.between(vma.first, vma.end() - 1),
        };
        let Some(share) = self.share else { return Some(page) };
        let owner = |page: u32| (vma.physical_of(page) / PAGE % FIRST_ACTORS as u64) as usize;
        (page..vma.end()).chain(vma.first..page).find(|page| owner(*page) == share.pages)
    }

    /// Memory of a file, mostly in a window.
    fn target(&mut self, actor: usize) -> Target {
        let slot = self.slot(actor);
        let file = self.world.file_of(actor, slot);
        let node = file.and_then(|file| self.world.files[file].node);
        // The part that is aimed at, by its offset in the file.
        let (first, length) = match node {
            Some(node) => (0, self.world.nodes[node].window.range.length()),
            None => {
                let ranges: Vec<_> = self.world.mode.windows().iter().map(|listed| listed.window.range).collect();
                match ranges.is_empty() {
                    true => (START, LENGTH),
                    false => {
                        let range = self.random.one_of(&ranges);
                        (range.start(), range.length())
                    }
                }
            }
        };
        let all = length / PAGE;
        // What lies where no memory is, is only mapped in small parts.
        let most = if all > LENGTH / PAGE { 4 } else { all };
        let page = if self.random.chance(40) { 0 } else { self.random.below(most) };
        let mut pages = match self.random.below(6) {
            0 | 1 => most - page,
            2 => 1,
            _ => 1 + self.random.below((most - page).min(16)),
        };
        let mut offset = first + page * PAGE;
        match self.random.below(24) {
            // Up to the end, over it, behind it, and before the beginning.
            0 | 1 => offset = first + length - pages.min(all) * PAGE,
            2 | 3 => offset = (first + length).wrapping_sub(pages.min(all) * PAGE).wrapping_add(PAGE),
            4 => offset = first + length,
            5 => offset = first.wrapping_sub(PAGE),
            6 | 7 => (offset, pages) = (self.strange_offset(), 1 + self.random.below(2)),
            // More than 4 GiB, where nothing else is wrong if that is possible.
            8 if all > LENGTH / PAGE || matches!(self.world.mode, Mode::Raw) => {
                offset = if node.is_none() && all <= LENGTH / PAGE { 1 << 36 } else { first };
                pages = (4 << 30) / PAGE + 1;
            }
            _ => (),
        }
        let length = pages * PAGE - if self.random.chance(15) { self.random.below(PAGE) } else { 0 };
        Target { slot, offset, length }
    }

    fn strange_offset(&mut self) -> u64 {
        let machine = &self.world.machine;
        let offsets = [
            machine.some_ram(),
            machine.claimed().start(),
            0xa_0000,
            machine.limits.last_address + 1 - PAGE,
            machine.limits.last_address + 1,
            1 << 62,
            u64::MAX - PAGE + 1,
            START + 1,
            START + LENGTH - PAGE,
            1 << 36,
            (1 << 36) + PAGE - 1,
        ];
        self.random.one_of(&offsets)
    }

    fn protection(&mut self) -> i32 {
        let read_write = libc::PROT_READ | libc::PROT_WRITE;
        match self.random.below(20) {
            0..=10 => read_write,
            11..=15 => libc::PROT_READ,
            16 => libc::PROT_NONE,
            17 => libc::PROT_WRITE,
            18 => libc::PROT_READ | libc::PROT_EXEC,
            _ => self.random.one_of(&[libc::PROT_EXEC, read_write | libc::PROT_EXEC]),
        }
    }

    fn map(&mut self, actor: usize) -> Kind {
        let Target { slot, offset, mut length } = self.target(actor);
        let protection = self.protection();
        let flags = match self.random.below(40) {
            0..=25 => libc::MAP_SHARED,
            26..=29 => libc::MAP_SHARED_VALIDATE,
            30 => libc::MAP_PRIVATE,
            31 => self.random.one_of(&[0, 4, 15]),
            32 => libc::MAP_SHARED | libc::MAP_POPULATE,
            33 => libc::MAP_SHARED | libc::MAP_NORESERVE,
            34 => libc::MAP_SHARED | self.random.one_of(&[libc::MAP_GROWSDOWN, libc::MAP_HUGETLB]),
            35 => self.random.one_of(&[libc::MAP_SHARED, libc::MAP_SHARED_VALIDATE]) | libc::MAP_SYNC,
            36 => libc::MAP_SHARED | libc::MAP_FIXED_NOREPLACE,
            37 => libc::MAP_SHARED | libc::MAP_LOCKED,
            38 => libc::MAP_PRIVATE | libc::MAP_LOCKED,
            _ => libc::MAP_SHARED_VALIDATE | libc::MAP_STACK,
        };
        let mut anywhere = flags & (libc::MAP_LOCKED | libc::MAP_FIXED_NOREPLACE) == 0 && self.random.chance(8);
        if self.random.chance(3) {
            length =
                self.random.one_of(&[0, (4 << 30) + PAGE, (4 << 30) + 1, 1 << 47, 1 << 62, u64::MAX, u64::MAX - PAGE]);
            anywhere = true;
        }
        let pages = length.div_ceil(PAGE);
        let arena = self.arena();
        if anywhere || pages > arena.len() as u64 {
            let flags = flags & !(libc::MAP_LOCKED | libc::MAP_FIXED_NOREPLACE);
            return Kind::Map { slot, page: None, offset, length, protection, flags };
        }
        let pages = pages.max(1) as u32;
        let file = self.world.file_of(actor, slot);
        let physical = file.map_or(0, |file| self.world.base(file)).wrapping_add(offset);
        let last = arena.len() as u32 - pages;
        let page = if pages >= 512 && self.random.chance(70) {
            // Where huge pages fit.
            let huge = (physical / PAGE % 512) as u32;
            [huge, huge + 512].into_iter().find(|page| *page <= last).unwrap_or(0)
        } else if self.random.chance(60) {
            self.random.between(0, last / 16) * 16
        } else {
            self.random.between(0, last)
        };
        let page = arena.start + page;
        Kind::Map { slot, page: Some(page), offset, length, protection, flags }
    }

    fn buffer(&mut self) -> Buffer {
        match self.random.below(20) {
            0 => Buffer::Hole,
            1 => Buffer::Kernel,
            _ => Buffer::Ordinary,
        }
    }

    fn pointer(&mut self) -> Pointer {
        if self.random.chance(8) {
            Pointer::Bad
        } else {
            Pointer::Good
        }
    }

    /// A position and a length in a window, in the pages of whoever shares them with others that work, too.
    fn extent(&mut self, actor: usize, slot: usize) -> Option<(i64, u32)> {
        let file = self.world.file_of(actor, slot);
        let node = file.and_then(|file| self.world.files[file].node);
        let window = node.map(|node| self.world.nodes[node].window.range);
        let size = window.map_or(PAGE, |range| range.length());
        if let Some(share) = self.share {
            let first = window.map_or(0, |range| range.start() / PAGE);
            let page = self.random.below(size / PAGE);
            let own = (page..size / PAGE).find(|page| (first + page) % FIRST_ACTORS as u64 == share.pages as u64)?;
            let within = self.random.below(PAGE);
            let length = self.random.below(PAGE - within + 1);
            return Some(((own * PAGE + within) as i64, length as u32));
        }
        let length = match self.random.below(8) {
            0 => self.random.one_of(&[0, 1, 4096, 8192]),
            1 => self.random.between(4000, 8192),
            _ => self.random.between(1, 300),
        };
        let position = match self.random.below(12) {
            0 => size - self.random.below(size.min(64)) - 1,
            1 => size,
            2 => size + self.random.below(PAGE),
            3 => self.random.one_of(&[u64::MAX, i64::MAX as u64, 1 << 63, 1 << 40]),
            4 => 0,
            _ => self.random.below(size),
        };
        Some((position as i64, length))
    }

    fn width(&mut self) -> (u32, u32) {
        let width = self.random.one_of(&[1, 2, 4, 8]);
        let last = PAGE as u32 / width - 1;
        let place = match self.random.below(4) {
            0 => 0,
            1 => last,
            _ => self.random.between(0, last),
        };
        (place * width, width)
    }

    /// An operation of a process; it may turn out to be impossible.
    fn operation(&mut self, actor: usize) -> Option<Kind> {
        let alone = self.share.is_none();
        // A process with several threads does not fork: only the one would be there, and not what the others have
        // locked.
        let may_fork = self.thread().is_none();
        let access = move |random: &mut Random| match random.below(100) {
            0..=59 => Access::Direct,
            60..=79 => Access::Call,
            80..=91 => Access::Memory,
            92..=98 => Access::Process,
            _ if may_fork => Access::Trace,
            _ => Access::Memory,
        };
        Some(match self.random.below(200) {
            0..=9 => {
                let (slot, minor) = (self.any_slot(), self.minor());
                let access = self.random.one_of(&[0, 1, 2, 2, 2, 2, 2, 3]);
                Kind::Open { slot, minor, access, ring: self.random.chance(25) }
            }
            10..=12 => Kind::Close { slot: self.slot(actor) },
            13..=15 => Kind::Duplicate { from: self.slot(actor), to: self.any_slot() },
            16..=18 if alone => Kind::Send { slot: self.slot(actor) },
            19..=21 if alone => Kind::Receive { slot: self.random.index(SLOTS) },
            22..=24 if alone => {
                let slot = self.window_slot(actor);
                let (position, _) = self.extent(actor, slot).unwrap_or((0, 0));
                let whence = self.random.one_of(&[0, 0, 0, 1, 2, 3, 4, 5, 17]);
                let offset = if whence == 2 { -(position & 0xffff) } else { position };
                Kind::Seek { slot, offset: if whence == 1 { position & 0xfff } else { offset }, whence }
            }
            25..=49 => self.map(actor),
            50..=57 => {
                let (page, pages) = self.pages(actor);
                Kind::Unmap { page, pages: if self.random.chance(2) { 0 } else { pages } }
            }
            58..=66 => {
                let (page, pages) = self.pages(actor);
                let protection = if self.random.chance(3) { 1 << 10 } else { self.protection() };
                Kind::Protect { page, pages, protection }
            }
            67..=74 => {
                let (page, old) = self.pages(actor);
                let moves = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
                let flags = match self.random.below(12) {
                    0 => 0,
                    1 => libc::MREMAP_FIXED,
                    2 => libc::MREMAP_MAYMOVE | libc::MREMAP_DONTUNMAP,
                    3 => moves | libc::MREMAP_DONTUNMAP,
                    4 => 64,
                    _ => moves,
                };
                let new = match self.random.below(8) {
                    0 => old + 1,
                    1 => self.random.between(0, old),
                    2 => old * 2,
                    _ => old,
                };
                let old = if self.random.chance(3) { 0 } else { old };
                let arena = self.arena();
                let to = self.random.between(arena.start, arena.end.saturating_sub(new).max(arena.start));
                if to + new > arena.end || page + old.max(new) > arena.end {
                    return None;
                }
                // In place it cannot grow or move.
                let flags = if flags == 0 && new > old { moves } else { flags };
                Kind::Remap { page, old, new, flags, to: Some(to) }
            }
            75..=80 => {
                let (page, pages) = self.pages(actor);
                let advice = self.random.one_of(&[
                    libc::MADV_NORMAL,
                    libc::MADV_RANDOM,
                    libc::MADV_SEQUENTIAL,
                    libc::MADV_WILLNEED,
                    libc::MADV_DONTNEED,
                    libc::MADV_FREE,
                    libc::MADV_REMOVE,
                    libc::MADV_DONTFORK,
                    libc::MADV_DOFORK,
                    libc::MADV_HUGEPAGE,
                    libc::MADV_NOHUGEPAGE,
                    libc::MADV_DONTDUMP,
                    libc::MADV_DODUMP,
                    libc::MADV_WIPEONFORK,
                    libc::MADV_KEEPONFORK,
                    libc::MADV_COLD,
                    libc::MADV_PAGEOUT,
                    libc::MADV_POPULATE_READ,
                    libc::MADV_POPULATE_WRITE,
                    9999,
                ]);
                Kind::Advise { page, pages, advice }
            }
            81..=84 => {
                let (page, pages) = self.pages(actor);
                let flags = self.random.one_of(&[libc::MS_SYNC, libc::MS_SYNC, libc::MS_ASYNC, 5, 6, 8]);
                Kind::Sync { page, pages, flags }
            }
            85..=86 => {
                let (page, pages) = self.pages(actor);
                Kind::Lock { page, pages, lock: self.random.chance(60) }
            }
            87..=88 => {
                let (page, pages) = self.pages(actor);
                Kind::Resident { page, pages }
            }
            89..=109 => {
                let page = self.page(actor)?;
                let access = access(&mut self.random);
                let (offset, width) = if access == Access::Trace { (0, 8) } else { self.width() };
                Kind::Load { page, offset, width, access }
            }
            110..=130 => {
                let page = self.page(actor)?;
                let access = access(&mut self.random);
                let (offset, width) = if access == Access::Trace { (8, 8) } else { self.width() };
                Kind::Store { page, offset, width, value: self.random.next(), access }
            }
            131 if may_fork => {
                let page = self.page(actor)?;
                Kind::Signal { page, store: self.random.chance(50) }
            }
            132..=155 => {
                let write = self.random.chance(50);
                let slot = self.window_slot(actor);
                let (mut position, length) = self.extent(actor, slot)?;
                let ways = [Way::At, Way::At, Way::Vector, Way::Ring, Way::Position, Way::Position];
                let way = self.random.one_of(if alone { &ways[..] } else { &ways[..4] });
                if way == Way::Ring && alone && self.random.chance(30) {
                    position = CURRENT;
                }
                let buffer = self.buffer();
                match write {
                    true => Kind::Write { slot, way, position, length, buffer, value: self.random.next() as u8 },
                    false => Kind::Read { slot, way, position, length, buffer },
                }
            }
            156..=158 if alone => {
                let slot = self.window_slot(actor);
                let (position, _) = self.extent(actor, slot).unwrap_or((0, 0));
                let page = self.page(actor)?;
                Kind::ReadToMapping { slot, position, length: self.random.between(1, 256), page }
            }
            159..=164 if alone => {
                let slot = self.window_slot(actor);
                let (position, length) = self.extent(actor, slot).unwrap_or((0, 1));
                let position = self.random.chance(70).then_some(position.min(1 << 40));
                let length = length.max(1);
                match self.random.chance(60) {
                    true => Kind::SpliceFrom { slot, position, length, send: self.random.chance(40) },
                    false => Kind::SpliceTo { slot, position, length, value: self.random.next() as u8 },
                }
            }
            165..=167 => Kind::SyncFile { slot: self.slot(actor), ring: self.random.chance(40) },
            168..=170 => Kind::Info { slot: self.slot(actor), pointer: self.pointer() },
            171..=173 => {
                let index = self.random.one_of(&[0, 0, 1, 2, 3, 4, 5, 7, 64, u32::MAX]);
                Kind::Describe { slot: self.slot(actor), index, pointer: self.pointer() }
            }
            174..=187 => {
                let Target { slot, offset, length } = self.target(actor);
                let start = if self.random.chance(8) { offset.wrapping_add(1) } else { offset };
                let length = match self.random.chance(15) {
                    true => self.random.one_of(&[0, 1 << 47, u64::MAX, (4 << 30) + 1, u64::MAX - PAGE]),
                    false => length,
                };
                let protection = match self.random.chance(5) {
                    true => 8,
                    false => self.protection() as u32,
                };
                let flags = self.random.one_of(&[1, 1, 1, 1, 1, 3, 2, 0, 0x8001]);
                Kind::Check { slot, start, length, protection, flags, pointer: self.pointer() }
            }
            188..=190 => {
                let command = self.random.one_of(&INTERRUPTS);
                Kind::Interrupt { slot: self.slot(actor), command, pointer: self.pointer() }
            }
            191..=193 => {
                // One of each kind: another number, another size, another direction, and of somebody else.
                let command = self.random.one_of(&[0xc018_d707, 0x8019_d700, 0x4018_d700, 0x5401]);
                Kind::Unknown { slot: self.slot(actor), command }
            }
            194..=195 => Kind::Fdinfo { slot: self.slot(actor) },
            _ => self.map(actor),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, rc::Rc};

    use map_core::Refusal;

    use super::*;
    use crate::model::{machine::Machine, operation::NAMES, world::Memory};

    fn world(seed: u64) -> World {
        World::new(Rc::new(Machine::example()), layout_of(seed), Memory::new(vec![0; LENGTH as usize]))
    }

    fn steps(seed: u64) -> Vec<Step> {
        sequence(seed, &mut world(seed))
    }

    #[test]
    fn a_seed_gives_the_same_sequence_and_its_parts_are_predicted_alike() {
        for seed in [0, 16, 33, 50, 70, 90] {
            let (one, two) = (steps(seed), steps(seed));
            assert!(one.len() > 50, "{seed}");
            assert!(one.iter().zip(&two).all(|(one, two)| one.operation == two.operation && one.expect == two.expect));
            let all: Vec<_> = one.iter().map(|step| (step.number, step.operation.clone())).collect();
            let again = world(seed).predict_all(&all);
            assert!(one.iter().zip(&again).all(|(one, two)| one.expect == two.expect));
            // Whatever is left out, the model finds its way.
            for skip in 0..7 {
                let some: Vec<_> = all.iter().filter(|(number, _)| number % 7 != skip).cloned().collect();
                world(seed).predict_all(&some);
            }
        }
    }

    #[test]
    fn every_seed_comes_once_and_few_ways_to_load_the_driver_follow_each_other() {
        assert!(seeds(7, 30_000, None).take(100).eq(7..107));
        let period = SAME_LAYOUT * layout::ALL.len() as u64;
        let same = |two: &[u64]| std::ptr::eq(layout_of(two[0]), layout_of(two[1]));
        for (operations, seconds, periods) in
            [(50_000, None, 1), (1_000_000, None, 26), (1_000_000, Some(600), 2), (9_000_000, None, 30)]
        {
            // The first two turns.
            let found: Vec<_> = seeds(7, operations, seconds).take((2 * periods * period) as usize).collect();
            assert!(BTreeSet::from_iter(found.iter().copied()).into_iter().eq(7..7 + 2 * periods * period));
            let loads = found.windows(2).filter(|two| !same(two)).count();
            assert_eq!(loads, 2 * layout::ALL.len() - 1, "{operations}, {seconds:?}");
        }
    }

    #[test]
    fn cache_types_conflict_wherever_they_can() {
        let conflicts = |seed| {
            let mut world = world(seed);
            sequence(seed, &mut world);
            world.verdicts[Refusal::CacheConflict.code() as usize - 1]
        };
        let without = (0..960).filter(|seed| layout_of(*seed).conflicts() && conflicts(*seed) == 0);
        assert!(without.clone().count() < 5, "{:?}", without.collect::<Vec<_>>());
    }

    #[test]
    fn every_kind_of_operation_occurs() {
        let found: BTreeSet<_> = (0..96).flat_map(|seed| steps(seed * 5)).map(|step| step.operation.name()).collect();
        let missing: Vec<_> = NAMES.iter().filter(|name| !found.contains(*name)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
