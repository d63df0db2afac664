// SPDX-License-Identifier: MIT OR Apache-2.0

//! The model: the windows, files, processes and mappings that there are if driver and kernel follow the rules.
//!
//! `map-core` decides what the driver grants. The rules of the kernel are in [`address`](super::address) and
//! [`file`](super::file), those of configfs in [`window`](super::window).

use std::{collections::VecDeque, rc::Rc};

use map_core::{CacheMode, Draft, Entry, Mode, PhysRange, Refusal, Table, Window};
use map_protocol::sum;
use nix::errno::Errno;

use super::{
    layout::Layout,
    machine::{Machine, Query},
    operation::{ACTORS, DIRECTORIES, FIRST_ACTORS, SLOTS},
};
use crate::host::{PAGE, START};

/// What an operation gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// This, or a negative error number.
    Exactly(i64),
    /// Any number above 0.
    Positive,
}

/// The prediction for an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expect {
    /// Its result.
    pub value: Value,
    /// A number for what it brings, such as the bytes that were read.
    pub data: Option<u64>,
    /// The pages of the arena where nothing is mapped any more, and how many. For a fork, those of the child.
    pub gaps: Vec<(u32, u32)>,
    /// Whether the processor itself may make the access.
    pub permitted: bool,
    /// The text that [`Kind::Look`](super::operation::Kind::Look) gives.
    pub text: String,
}

impl Expect {
    /// A result, which brings nothing.
    pub fn exactly(value: i64) -> Self {
        Self { value: Value::Exactly(value), data: None, gaps: Vec::new(), permitted: false, text: String::new() }
    }

    /// An error.
    pub fn error(errno: Errno) -> Self {
        Self::exactly(-i64::from(errno as i32))
    }

    /// A result and what it brings.
    pub fn with_data(value: i64, data: u64) -> Self {
        Self { data: Some(data), ..Self::exactly(value) }
    }
}

impl From<Errno> for Expect {
    fn from(errno: Errno) -> Self {
        Self::error(errno)
    }
}

/// The error number of a refusal.
pub fn errno_of(reason: Refusal) -> Errno {
    Errno::from_raw(reason.errno().number() as i32)
}

/// A number for some bytes.
pub fn hash(bytes: &[u8]) -> u64 {
    // FNV-1a.
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// The contents of the free memory.
#[derive(Debug)]
pub struct Memory {
    bytes: Vec<u8>,
    sum: u64,
}

impl Memory {
    /// The memory with these contents.
    pub fn new(bytes: Vec<u8>) -> Self {
        let sum = sum::of(START, &bytes);
        Self { bytes, sum }
    }

    /// The sum over all of it.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The sum over a part, both whole words.
    pub fn sum_of(&self, start: u64, length: u64) -> u64 {
        self.read(start, length).map_or(0, |bytes| sum::of(start, bytes))
    }

    /// The bytes at a physical address; `None` if they are elsewhere.
    pub fn read(&self, address: u64, length: u64) -> Option<&[u8]> {
        let start = address.checked_sub(START)?;
        self.bytes.get(usize::try_from(start).ok()?..usize::try_from(start.checked_add(length)?).ok()?)
    }

    /// Changes the bytes at a physical address, all of which are in it.
    pub fn write(&mut self, address: u64, bytes: &[u8]) {
        let start = (address - START) as usize;
        let words = start / 8 * 8..(start + bytes.len()).div_ceil(8) * 8;
        let sum_of = |memory: &[u8]| sum::of(START + words.start as u64, &memory[words.clone()]);
        let before = sum_of(&self.bytes);
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
        self.sum = self.sum.wrapping_sub(before).wrapping_add(sum_of(&self.bytes));
    }
}

/// A window in the table.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The window.
    pub window: Window,
    /// Its node, an index of [`World::nodes`].
    pub node: usize,
    /// Its minor number.
    pub minor: u32,
}

impl Entry for Listed {
    fn window(&self) -> &Window {
        &self.window
    }

    fn minor(&self) -> u32 {
        self.minor
    }
}

/// A window's node, which may have gone.
#[derive(Debug)]
pub struct Node {
    /// The window.
    pub window: Window,
    /// The minor number.
    pub minor: u32,
    /// Who may open it.
    pub mode: u32,
    /// Whether the window was removed.
    pub gone: bool,
    /// The number of open files.
    pub files: u32,
    /// Whether there is the kernel's own mapping, which read(2) and write(2) make.
    pub view: bool,
}

/// An open file.
#[derive(Debug)]
pub struct File {
    /// The node of a window; `None` for that of all memory.
    pub node: Option<usize>,
    /// Whether it is open for reading.
    pub readable: bool,
    /// Whether it is open for writing.
    pub writable: bool,
    /// Its position.
    pub position: i64,
    /// The number of descriptors, messages and mappings that hold it.
    pub holders: u32,
}

/// What one mmap(2) call has made.
#[derive(Debug)]
pub struct Mapping {
    /// The memory.
    pub range: PhysRange,
    /// The cache type.
    pub cache: CacheMode,
    /// The node of the window; `None` in raw mode.
    pub node: Option<usize>,
    /// The file.
    pub file: usize,
    /// The user for whom it counts.
    pub user: Option<u32>,
    /// The number of VMAs.
    pub vmas: u32,
    /// In raw mode: the memory that was taken away.
    pub lost: Option<PhysRange>,
}

/// A VMA of a mapping in the arena.
#[derive(Debug, Clone, PartialEq)]
pub struct Vma {
    /// The first page of the arena.
    pub first: u32,
    /// The number of pages.
    pub pages: u32,
    /// The mapping, an index of [`World::mappings`].
    pub mapping: usize,
    /// The physical address of the first byte.
    pub physical: u64,
    /// PROT_READ.
    pub read: bool,
    /// PROT_WRITE.
    pub write: bool,
    /// Whether it may become writable.
    pub may_write: bool,
    /// VM_SHARED, which the kernel clears if the file is not open for writing.
    pub shared: bool,
    /// The advice that was given, as bits.
    pub advice: u32,
    /// Whether a fork has copied it when its window had gone. The driver clears VM_PFNMAP of such a VMA.
    pub copied_late: bool,
}

/// In [`Vma::advice`]: a fork does not copy it.
pub const DONTFORK: u32 = 1;
/// As above, for other advice.
pub const RANDOM: u32 = 2;
/// As above.
pub const SEQUENTIAL: u32 = 4;
/// As above.
pub const HUGE: u32 = 8;
/// As above.
pub const NO_HUGE: u32 = 16;

impl Vma {
    /// The page behind the last one.
    pub fn end(&self) -> u32 {
        self.first + self.pages
    }

    /// The physical address of a page of the arena in it.
    pub fn physical_of(&self, page: u32) -> u64 {
        self.physical + u64::from(page - self.first) * PAGE
    }
}

/// A process.
#[derive(Debug, Clone)]
pub struct Process {
    /// The user.
    pub user: u32,
    /// CAP_SYS_RAWIO.
    pub rawio: bool,
    /// CAP_SYS_RESOURCE.
    pub resource: bool,
    /// The personality READ_IMPLIES_EXEC.
    pub read_implies_execute: bool,
    /// The files of its descriptors.
    pub slots: [Option<usize>; SLOTS],
    /// What it maps in the arena, in the order of addresses.
    pub vmas: Vec<Vma>,
}

impl Process {
    /// The first processes: root, root without two capabilities, a user, and root with two personalities.
    pub fn first(actor: usize) -> Self {
        let root = actor != 2;
        Self {
            user: if root { 0 } else { USER },
            rawio: matches!(actor, 0 | 3),
            resource: matches!(actor, 0 | 3),
            read_implies_execute: actor == 3,
            slots: [None; SLOTS],
            vmas: Vec::new(),
        }
    }

    /// The VMA with this page of the arena.
    pub fn vma_at(&self, page: u32) -> Option<&Vma> {
        self.vmas.iter().find(|vma| (vma.first..vma.end()).contains(&page))
    }
}

/// The user without capabilities.
pub const USER: u32 = 1000;

/// A directory in configfs.
#[derive(Debug, Default)]
pub struct Directory {
    /// Its properties.
    pub draft: Draft,
    /// The node, if it is enabled.
    pub node: Option<usize>,
}

/// Everything.
#[derive(Debug)]
pub struct World {
    /// The machine.
    pub machine: Rc<Machine>,
    /// How the driver was loaded.
    pub layout: &'static Layout,
    /// The contents of the free memory.
    pub memory: Memory,
    /// The windows.
    pub mode: Mode<Vec<Listed>>,
    /// The nodes of all windows that there were.
    pub nodes: Vec<Node>,
    /// Who may open the node of all memory.
    pub all_mode: u32,
    /// The directories in configfs.
    pub directories: [Option<Directory>; DIRECTORIES],
    /// All files that there were.
    pub files: Vec<File>,
    /// All mappings that there were.
    pub mappings: Vec<Mapping>,
    /// The processes.
    pub actors: [Option<Process>; ACTORS],
    /// The files in messages that nobody has received yet.
    pub mailbox: VecDeque<usize>,
    /// How often the driver has refused a call, for each reason.
    pub refusals: [u64; Refusal::ALL.len()],
    /// The same with the answers of MAP_IOC_CHECK.
    pub verdicts: [u64; Refusal::ALL.len()],
    /// How often the cache type was another one; the driver lets only some of them through to the kernel's log.
    pub conflicts: u32,
}

impl World {
    /// The world after the driver was loaded as `layout` says, with the first processes.
    pub fn new(machine: Rc<Machine>, layout: &'static Layout, memory: Memory) -> Self {
        let mut world = Self {
            layout,
            memory,
            mode: Mode::Raw,
            nodes: Vec::new(),
            all_mode: 0o600,
            directories: [const { None }; DIRECTORIES],
            files: Vec::new(),
            mappings: Vec::new(),
            actors: std::array::from_fn(|actor| (actor < FIRST_ACTORS).then(|| Process::first(actor))),
            mailbox: VecDeque::new(),
            refusals: [0; Refusal::ALL.len()],
            verdicts: [0; Refusal::ALL.len()],
            conflicts: 0,
            machine,
        };
        let windows = layout.windows();
        if !windows.is_empty() {
            let mut listed = Vec::new();
            for (minor, window) in (1..).zip(windows) {
                listed.push(Listed { window, node: world.nodes.len(), minor });
                world.nodes.push(Node { window, minor, mode: 0o600, gone: false, files: 0, view: false });
            }
            // The layouts are right.
            if let Ok(table) = Table::new(listed, &world.machine.limits) {
                world.mode = Mode::Windows(table);
            }
        }
        world
    }

    /// Calls `act` with what the kernel would answer to a decision for this process.
    pub fn asking<T>(&self, rawio: bool, act: impl FnOnce(&Query<'_>) -> T) -> T {
        let held = self.held();
        act(&Query { machine: &self.machine, rawio, held: &held })
    }

    /// The memory that has a cache type, as x86 remembers it: that of mappings, also without pages, and of the kernel's
    /// own mappings.
    pub fn held(&self) -> Vec<(PhysRange, CacheMode)> {
        let mappings = self.mappings.iter().filter(|mapping| mapping.vmas > 0);
        let views = self.nodes.iter().filter(|node| node.view).map(|node| (node.window.range, node.window.cache));
        mappings.map(|mapping| (mapping.range, mapping.cache)).chain(views).collect()
    }

    /// The cache types other than `cache` that part of `range` has.
    pub fn other_types(&self, range: &PhysRange, cache: CacheMode) -> Vec<CacheMode> {
        let others = self.held().into_iter().filter(|(held, kind)| held.overlaps(range) && *kind != cache);
        others.map(|(_, kind)| kind).collect()
    }

    /// Whether part of `range` has several cache types, which the kernel's log would tell.
    pub fn is_mixed(&self, range: &PhysRange) -> bool {
        let mut kinds = self.held().into_iter().filter(|(held, _)| held.overlaps(range)).map(|(_, kind)| kind);
        let first = kinds.next();
        kinds.any(|kind| Some(kind) != first)
    }

    /// Counts a refusal of the driver, and gives the error.
    pub fn refuse(&mut self, reason: Refusal) -> Errno {
        self.refusals[reason.code() as usize - 1] += 1;
        self.decided(Some(reason));
        errno_of(reason)
    }

    /// Counts a decision, if it was a refusal.
    pub fn decided(&mut self, reason: Option<Refusal>) {
        if let Some(reason) = reason {
            self.verdicts[reason.code() as usize - 1] += 1;
        }
    }

    /// The node with this minor number.
    pub fn node_with(&self, minor: u32) -> Option<usize> {
        self.mode.windows().iter().find(|listed| listed.minor == minor).map(|listed| listed.node)
    }

    /// The file of a descriptor.
    pub fn file_of(&self, actor: usize, slot: usize) -> Option<usize> {
        self.actors[actor].as_ref()?.slots[slot]
    }

    /// One more holds the file.
    pub fn hold(&mut self, file: usize) {
        self.files[file].holders += 1;
    }

    /// One fewer holds the file; the last one closes it.
    pub fn release(&mut self, file: usize) {
        let it = &mut self.files[file];
        it.holders -= 1;
        if let (0, Some(node)) = (it.holders, it.node) {
            let node = &mut self.nodes[node];
            node.files -= 1;
            if node.files == 0 {
                node.view = false;
            }
        }
    }

    /// Whether the memory at a physical address was taken away from a mapping.
    pub fn is_lost(&self, mapping: usize, physical: u64) -> bool {
        let mapping = &self.mappings[mapping];
        match mapping.node {
            Some(node) => self.nodes[node].gone,
            None => mapping.lost.is_some_and(|lost| (lost.start()..=lost.last()).contains(&physical)),
        }
    }

    /// The number of VMAs of a window, or of all.
    pub fn vmas(&self, node: Option<usize>) -> u32 {
        let of = self.mappings.iter().filter(|mapping| node.is_none() || mapping.node == node);
        of.map(|mapping| mapping.vmas).sum()
    }

    /// A process ends.
    pub fn end(&mut self, actor: usize) {
        let Some(process) = self.actors[actor].take() else { return };
        for vma in process.vmas {
            self.drop_vma(vma.mapping);
        }
        for file in process.slots.into_iter().flatten() {
            self.release(file);
        }
    }

    /// A VMA goes, and with the last one the mapping.
    pub fn drop_vma(&mut self, mapping: usize) {
        self.mappings[mapping].vmas -= 1;
        if self.mappings[mapping].vmas == 0 {
            self.release(self.mappings[mapping].file);
        }
    }
}
