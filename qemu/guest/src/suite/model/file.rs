// SPDX-License-Identifier: MIT OR Apache-2.0

//! The rules for descriptors: open(2), read(2), write(2), ioctl(2) and their relatives.
//!
//! What the kernel checks, and in which order, is that of `vfs_read()`, `do_splice()`, `__io_read()` and so on in Linux
//! 7.3.

use map_core::{
    abi::{self, MapCheck, MapInfo, MapWindow},
    may_open, may_transfer, transferred, Caller, Entry, Mode, PhysRange, Refusal, Request, Table,
};
use nix::{
    errno::Errno,
    libc::{self, c_int},
};

use super::{
    operation::{Buffer, Pointer, Way, DIRECTORIES},
    world::{errno_of, hash, Expect, File, Listed, World},
};

/// The number of messages that may wait for a receiver.
const MOST_MESSAGES: usize = 4;

/// The number of a structure of the ABI.
pub fn hash_of(structure: &impl std::fmt::Debug) -> u64 {
    hash(format!("{structure:?}").as_bytes())
}

/// Why a call does not reach the driver or is refused by it.
enum Stop {
    /// With this result.
    At(Expect),
    /// The operation is not done.
    Skip,
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        Self::At(errno.into())
    }
}

/// What a read or a write transfers.
struct Transfer {
    node: usize,
    memory: Option<PhysRange>,
}

impl World {
    /// open(2).
    pub fn open(&mut self, actor: usize, slot: usize, minor: u32, access: c_int) -> Option<Expect> {
        self.close(actor, slot);
        let process = self.actors[actor].as_ref()?;
        let (mode, node) = match minor {
            0 => (self.all_mode, None),
            _ => match self.node_with(minor) {
                Some(node) => (self.nodes[node].mode, Some(node)),
                None => return Some(Errno::ENOENT.into()),
            },
        };
        // Access mode 3 asks for both, and gives neither.
        let wanted = [0o4, 0o2, 0o6, 0o6][access as usize];
        if process.user != 0 && mode & wanted != wanted {
            return Some(Errno::EACCES.into());
        }
        if node.is_none() {
            let rawio = process.rawio;
            if let Err(reason) = self.asking(rawio, |query| may_open(&self.mode, query)) {
                return Some(self.refuse(reason).into());
            }
        }
        if let Some(node) = node {
            self.nodes[node].files += 1;
        }
        let file = self.files.len();
        let (readable, writable) = (matches!(access, 0 | 2), matches!(access, 1 | 2));
        self.files.push(File { node, readable, writable, position: 0, holders: 1 });
        self.actors[actor].as_mut()?.slots[slot] = Some(file);
        Some(Expect::exactly(0))
    }

    /// close(2).
    pub fn close(&mut self, actor: usize, slot: usize) -> Option<Expect> {
        let file = self.actors[actor].as_mut()?.slots[slot].take();
        match file {
            Some(file) => self.release(file),
            None => return Some(Errno::EBADF.into()),
        }
        Some(Expect::exactly(0))
    }

    /// dup(2), which closes what was in the other place.
    pub fn duplicate(&mut self, actor: usize, from: usize, to: usize) -> Option<Expect> {
        if from == to {
            return None;
        }
        let Some(file) = self.actors[actor].as_ref()?.slots[from] else { return Some(Errno::EBADF.into()) };
        self.hold(file);
        self.close(actor, to);
        self.actors[actor].as_mut()?.slots[to] = Some(file);
        Some(Expect::exactly(0))
    }

    /// A descriptor in a message.
    pub fn send(&mut self, actor: usize, slot: usize) -> Option<Expect> {
        let Some(file) = self.actors[actor].as_ref()?.slots[slot] else { return Some(Errno::EBADF.into()) };
        if self.mailbox.len() == MOST_MESSAGES {
            return None;
        }
        self.hold(file);
        self.mailbox.push_back(file);
        Some(Expect::exactly(0))
    }

    /// The descriptor of the oldest message.
    pub fn receive(&mut self, actor: usize, slot: usize) -> Option<Expect> {
        self.actors[actor].as_ref()?;
        self.close(actor, slot);
        let Some(file) = self.mailbox.pop_front() else { return Some(Errno::EAGAIN.into()) };
        self.actors[actor].as_mut()?.slots[slot] = Some(file);
        Some(Expect::exactly(0))
    }

    /// lseek(2).
    pub fn seek(&mut self, actor: usize, slot: usize, offset: i64, whence: c_int) -> Option<Expect> {
        self.actors[actor].as_ref()?;
        let Some(file) = self.file_of(actor, slot) else { return Some(Errno::EBADF.into()) };
        // The kernel knows SEEK_DATA and SEEK_HOLE, and no others.
        if whence > libc::SEEK_HOLE {
            return Some(Errno::EINVAL.into());
        }
        let Some(node) = self.files[file].node else { return Some(Errno::ESPIPE.into()) };
        let size = self.nodes[node].window.range.length() as i64;
        let position = self.files[file].position;
        let sought = match whence {
            libc::SEEK_SET => Some(offset),
            libc::SEEK_CUR => position.checked_add(offset),
            libc::SEEK_END => size.checked_add(offset),
            _ => None,
        };
        let stays = whence == libc::SEEK_CUR && offset == 0;
        let Some(sought) = sought.filter(|sought| stays || (0..=size).contains(sought)) else {
            return Some(Errno::EINVAL.into());
        };
        self.files[file].position = sought;
        Some(Expect::exactly(sought))
    }

    /// fsync(2).
    pub fn sync_file(&mut self, actor: usize, slot: usize) -> Option<Expect> {
        self.actors[actor].as_ref()?;
        let Some(file) = self.file_of(actor, slot) else { return Some(Errno::EBADF.into()) };
        match self.files[file].node {
            Some(node) if self.nodes[node].gone => Some(errno_of(Refusal::Gone).into()),
            _ => Some(Expect::exactly(0)),
        }
    }

    /// The checks of read(2), or write(2) with `write`, before the driver is called: its file, and the position of the
    /// transfer.
    fn begin(&self, slot: (usize, usize), way: Way, position: i64, write: bool) -> Result<(usize, i64), Stop> {
        let (actor, slot) = slot;
        self.actors[actor].as_ref().ok_or(Stop::Skip)?;
        let is_positioned = matches!(way, Way::At | Way::Vector);
        if is_positioned && position < 0 {
            return Err(Errno::EINVAL.into());
        }
        let file = self.file_of(actor, slot).ok_or(Errno::EBADF)?;
        let it = &self.files[file];
        if is_positioned && it.node.is_none() {
            return Err(Errno::ESPIPE.into());
        }
        if !(if write { it.writable } else { it.readable }) {
            return Err(Errno::EBADF.into());
        }
        let position = if way.is_current(position) { it.position } else { position };
        if it.node.is_none() || position < 0 {
            return Err(Errno::EINVAL.into());
        }
        Ok((file, position))
    }

    /// io_uring looks at the buffer first. Fails if that is what ends a transfer.
    fn check_buffer(&self, actor: usize, way: Way, buffer: Buffer) -> Result<(), Stop> {
        self.actors[actor].as_ref().ok_or(Stop::Skip)?;
        if way == Way::Ring && buffer == Buffer::Kernel {
            return Err(Errno::EFAULT.into());
        }
        Ok(())
    }

    /// The checks of the driver, and of the kernel for the position: the memory that is transferred.
    fn transfer(&mut self, file: usize, position: i64, length: u32, write: bool) -> Result<Transfer, Stop> {
        if position.checked_add(length.into()).is_none() {
            return Err(Errno::EINVAL.into());
        }
        let node = self.files[file].node.ok_or(Stop::Skip)?;
        let window = self.nodes[node].window;
        if self.nodes[node].gone {
            return Err(self.refuse(Refusal::Gone).into());
        }
        let checked = self.asking(false, |query| may_transfer(&window, write, &self.machine.limits, query));
        if let Err(reason) = checked {
            return Err(self.refuse(reason).into());
        }
        let memory = transferred(&window, position as u64, length.into());
        if memory.is_some() && !self.nodes[node].view {
            // The kernel maps the whole window. For some conflicts it would take the type that part of it has.
            if self.is_mixed(&window.range) || window.range.length() > 4 << 20 {
                return Err(Stop::Skip);
            }
            if !self.other_types(&window.range, window.cache).is_empty() {
                self.conflicts += 1;
                return Err(self.refuse(Refusal::CacheConflict).into());
            }
            self.nodes[node].view = true;
        }
        Ok(Transfer { node, memory })
    }

    /// Moves the position of a file, if it is the one of the transfer.
    fn advance(&mut self, file: usize, is_current: bool, done: u64) {
        if is_current {
            self.files[file].position += done as i64;
        }
    }

    /// read(2) and its relatives.
    pub fn read(
        &mut self,
        who: (usize, usize),
        way: Way,
        position: i64,
        length: u32,
        buffer: Buffer,
    ) -> Option<Expect> {
        resolve((|| {
            self.check_buffer(who.0, way, buffer)?;
            let is_current = way.is_current(position);
            let (file, position) = self.begin(who, way, position, false)?;
            if buffer == Buffer::Kernel {
                return Err(Errno::EFAULT.into());
            }
            if way == Way::Vector && length == 0 {
                return Ok(Expect::with_data(0, hash(&[])));
            }
            let Transfer { memory, .. } = self.transfer(file, position, length, false)?;
            let Some(memory) = memory else { return Ok(Expect::with_data(0, hash(&[]))) };
            if buffer == Buffer::Hole {
                return Err(Errno::EFAULT.into());
            }
            let bytes = self.memory.read(memory.start(), memory.length()).ok_or(Stop::Skip)?;
            let data = hash(bytes);
            self.advance(file, is_current, memory.length());
            Ok(Expect::with_data(memory.length() as i64, data))
        })())
    }

    /// write(2) and its relatives, of bytes that count up from `value`.
    pub fn write(
        &mut self,
        who: (usize, usize),
        way: Way,
        position: i64,
        length: u32,
        (buffer, value): (Buffer, u8),
    ) -> Option<Expect> {
        resolve((|| {
            self.check_buffer(who.0, way, buffer)?;
            let is_current = way.is_current(position);
            let (file, position) = self.begin(who, way, position, true)?;
            if buffer == Buffer::Kernel {
                return Err(Errno::EFAULT.into());
            }
            if way == Way::Vector && length == 0 {
                return Ok(Expect::exactly(0));
            }
            let Transfer { memory, .. } = self.transfer(file, position, length, true)?;
            let Some(memory) = memory else {
                return if length == 0 { Ok(Expect::exactly(0)) } else { Err(Errno::ENOSPC.into()) };
            };
            if buffer == Buffer::Hole {
                return Err(Errno::EFAULT.into());
            }
            self.memory.read(memory.start(), memory.length()).ok_or(Stop::Skip)?;
            self.memory.write(memory.start(), &counting(value, memory.length() as usize));
            self.advance(file, is_current, memory.length());
            Ok(Expect::exactly(memory.length() as i64))
        })())
    }

    /// pread(2) into a page of the arena.
    pub fn read_to_mapping(&mut self, who: (usize, usize), position: i64, length: u32, page: u32) -> Option<Expect> {
        resolve((|| {
            let (file, position) = self.begin(who, Way::At, position, false)?;
            let target = self.reached(who.0, page, 0, true);
            if target.is_some_and(|target| self.memory.read(target, length.into()).is_none()) {
                return Err(Stop::Skip);
            }
            let Transfer { memory, .. } = self.transfer(file, position, length, false)?;
            let Some(memory) = memory else { return Ok(Expect::with_data(0, hash(&[]))) };
            let target = target.ok_or(Errno::EFAULT)?;
            let bytes = self.memory.read(memory.start(), memory.length()).ok_or(Stop::Skip)?.to_vec();
            self.memory.write(target, &bytes);
            Ok(Expect::with_data(memory.length() as i64, hash(&[])))
        })())
    }

    /// splice(2) from a node, or sendfile(2), into an empty pipe.
    pub fn splice_from(
        &mut self,
        who: (usize, usize),
        position: Option<i64>,
        length: u32,
        send: bool,
    ) -> Option<Expect> {
        resolve((|| {
            self.actors[who.0].as_ref().ok_or(Stop::Skip)?;
            let file = self.file_of(who.0, who.1).ok_or(Errno::EBADF)?;
            let it = &self.files[file];
            if !it.readable {
                return Err(Errno::EBADF.into());
            }
            if it.node.is_none() {
                let no_position = if send { Errno::ESPIPE } else { Errno::EINVAL };
                return Err(if position.is_some() { no_position.into() } else { Errno::EINVAL.into() });
            }
            let at = position.unwrap_or(it.position);
            if at < 0 {
                return Err(Errno::EINVAL.into());
            }
            let Transfer { memory, .. } = self.transfer(file, at, length, false)?;
            let Some(memory) = memory else { return Ok(Expect::with_data(0, hash(&[]))) };
            let data = hash(self.memory.read(memory.start(), memory.length()).ok_or(Stop::Skip)?);
            self.advance(file, position.is_none(), memory.length());
            Ok(Expect::with_data(memory.length() as i64, data))
        })())
    }

    /// splice(2) into a node, of bytes that count up from `value`.
    pub fn splice_to(&mut self, who: (usize, usize), position: Option<i64>, length: u32, value: u8) -> Option<Expect> {
        resolve((|| {
            self.actors[who.0].as_ref().ok_or(Stop::Skip)?;
            let file = self.file_of(who.0, who.1).ok_or(Errno::EBADF)?;
            let it = &self.files[file];
            if !it.writable {
                return Err(Errno::EBADF.into());
            }
            if it.node.is_none() {
                return Err(Errno::EINVAL.into());
            }
            let at = position.unwrap_or(it.position);
            if at < 0 {
                return Err(Errno::EINVAL.into());
            }
            let Transfer { memory, node } = self.transfer(file, at, length, true)?;
            let Some(memory) = memory else { return Err(Errno::ENOSPC.into()) };
            if memory.length() < length.into() {
                // The kernel tries the rest, which the driver refuses without a reason of its own.
                debug_assert!(!self.nodes[node].gone);
            }
            self.memory.read(memory.start(), memory.length()).ok_or(Stop::Skip)?;
            self.memory.write(memory.start(), &counting(value, memory.length() as usize));
            self.advance(file, position.is_none(), memory.length());
            Ok(Expect::exactly(memory.length() as i64))
        })())
    }

    /// MAP_IOC_INFO.
    pub fn info(&mut self, actor: usize, slot: usize, pointer: Pointer) -> Option<Expect> {
        self.actors[actor].as_ref()?;
        let Some(file) = self.file_of(actor, slot) else { return Some(Errno::EBADF.into()) };
        let limits = &self.machine.limits;
        let info = match self.files[file].node {
            None => MapInfo::new(&self.mode, 0, limits),
            Some(_) => match self.alone(file) {
                Ok(mode) => MapInfo::new(&mode, 0, limits).on_its_node(),
                Err(errno) => return Some(errno.into()),
            },
        };
        Some(match pointer {
            Pointer::Bad => Errno::EFAULT.into(),
            Pointer::Good => Expect::with_data(0, hash_of(&info)),
        })
    }

    /// What the node of a window shows.
    fn alone(&self, file: usize) -> Result<Mode<&[Listed]>, Errno> {
        let node = self.files[file].node.ok_or(Errno::ENOTTY)?;
        let listed = self.mode.windows().iter().find(|listed| listed.node == node);
        Ok(Mode::Windows(Table::of(listed.ok_or(errno_of(Refusal::Gone))?)))
    }

    /// MAP_IOC_WINDOW.
    pub fn describe(&mut self, actor: usize, slot: usize, index: u32, pointer: Pointer) -> Option<Expect> {
        self.actors[actor].as_ref()?;
        let Some(file) = self.file_of(actor, slot) else { return Some(Errno::EBADF.into()) };
        if pointer == Pointer::Bad {
            return Some(Errno::EFAULT.into());
        }
        let window = match self.files[file].node {
            None => MapWindow::new(&self.mode, index),
            Some(_) => match self.alone(file) {
                Ok(mode) => MapWindow::new(&mode, index),
                Err(errno) => return Some(errno.into()),
            },
        };
        Some(match window {
            Some(window) => Expect::with_data(0, hash_of(&window)),
            None => Errno::EINVAL.into(),
        })
    }

    /// MAP_IOC_CHECK.
    pub fn check(&mut self, actor: usize, slot: usize, mut check: MapCheck, pointer: Pointer) -> Option<Expect> {
        let process = self.actors[actor].as_ref()?;
        let (rie, rawio) = (process.read_implies_execute, process.rawio);
        let Some(file) = self.file_of(actor, slot) else { return Some(Errno::EBADF.into()) };
        if pointer == Pointer::Bad {
            return Some(Errno::EFAULT.into());
        }
        let it = &self.files[file];
        let caller = Caller { file_readable: it.readable, file_writable: it.writable, read_implies_execute: rie };
        let Some(request) = Request::from_check(&check, self.base(file), &caller) else {
            return Some(Errno::EINVAL.into());
        };
        let verdict = self.decide(file, &request, rawio);
        let reason = verdict.as_ref().err().map(|refused| refused.reason);
        self.decided(reason);
        if reason == Some(Refusal::Gone) {
            return Some(errno_of(Refusal::Gone).into());
        }
        check.answer(&verdict);
        Some(Expect::with_data(0, hash_of(&check)))
    }

    /// An ioctl of a window's interrupts; no window here has any.
    pub fn interrupt(&mut self, actor: usize, slot: usize, pointer: Pointer) -> Option<Expect> {
        self.actors[actor].as_ref()?;
        let Some(file) = self.file_of(actor, slot) else { return Some(Errno::EBADF.into()) };
        let errno = match self.files[file].node {
            _ if pointer == Pointer::Bad => Errno::EFAULT,
            None => Errno::ENOTTY,
            Some(node) if self.nodes[node].gone => errno_of(Refusal::Gone),
            Some(_) => Errno::EINVAL,
        };
        Some(errno.into())
    }

    /// An ioctl that no node has.
    pub fn unknown(&mut self, actor: usize, slot: usize) -> Option<Expect> {
        self.actors[actor].as_ref()?;
        let file = self.file_of(actor, slot);
        Some(if file.is_some() { Errno::ENOTTY } else { Errno::EBADF }.into())
    }

    /// The lines of the driver in fdinfo.
    pub fn fdinfo(&mut self, actor: usize, slot: usize) -> Option<Expect> {
        self.actors[actor].as_ref()?;
        let Some(file) = self.file_of(actor, slot) else { return Some(Errno::ENOENT.into()) };
        let lines = match (self.files[file].node, &self.mode) {
            (Some(node), _) => {
                let node = &self.nodes[node];
                let mode = if node.gone { "gone" } else { "window" };
                format!("map-mode:\t{mode}\nmap-window:\t{}\n", node.window)
            }
            (None, mode) => {
                let word = if matches!(mode, Mode::Raw) { "raw" } else { "windows" };
                let windows = mode.windows().iter().map(|listed| format!("map-window:\t{}\n", listed.window()));
                format!("map-mode:\t{word}\n{}", windows.collect::<String>())
            }
        };
        Some(Expect::with_data(0, hash(lines.as_bytes())))
    }

    /// chmod(2) of a node.
    pub fn change_mode(&mut self, minor: u32, mode: u32) -> Option<Expect> {
        match minor {
            0 => self.all_mode = mode,
            _ => {
                let Some(node) = self.node_with(minor) else { return Some(Errno::ENOENT.into()) };
                self.nodes[node].mode = mode;
            }
        }
        Some(Expect::exactly(0))
    }

    /// The windows in debugfs, with the number of VMAs of each and of all.
    pub fn look(&self) -> String {
        let windows = self.mode.windows().iter();
        let line = |listed: &Listed| format!("{} {} {}\n", listed.window, listed.minor, self.vmas(Some(listed.node)));
        let lines = windows.map(line);
        let directories = (0..DIRECTORIES).map(|index| match &self.directories[index] {
            Some(directory) => format!("{} ", directory.node.map_or(0, |node| self.nodes[node].minor)),
            None => "- ".to_owned(),
        });
        format!("{}{}\n{}", lines.collect::<String>(), self.vmas(None), directories.collect::<String>())
    }
}

/// Bytes that count up from `value`.
pub fn counting(value: u8, length: usize) -> Vec<u8> {
    (0..length).map(|index| value.wrapping_add(index as u8)).collect()
}

fn resolve(result: Result<Expect, Stop>) -> Option<Expect> {
    match result {
        Ok(expect) | Err(Stop::At(expect)) => Some(expect),
        Err(Stop::Skip) => None,
    }
}

/// The commands of a window's interrupts.
pub const INTERRUPTS: [u32; 4] = [abi::IOC_IRQ, abi::IOC_IRQ_WAIT, abi::IOC_IRQ_MASK, abi::IOC_IRQ_EVENTFD];
