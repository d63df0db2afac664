// SPDX-License-Identifier: MIT OR Apache-2.0

//! A process that does operations when it is told to, and tells what they gave.

use std::{
    ffi::CString,
    fs::{self, File},
    io::{IoSlice, IoSliceMut, Read, Write},
    os::{
        fd::{AsRawFd, OwnedFd, RawFd},
        unix::net::{UnixDatagram, UnixStream},
    },
    process,
    sync::Barrier,
    thread,
};

use anyhow::{bail, Context, Result};
use caps::{CapSet, Capability};
use map_core::abi::{self, MapCheck, MapInfo, MapIrqWait, MapWindow};
use nix::{
    cmsg_space,
    errno::Errno,
    libc,
    sys::{
        personality::{self, Persona},
        prctl, ptrace,
        socket::{recvmsg, sendmsg, ControlMessage, ControlMessageOwned, MsgFlags},
        wait::WaitStatus,
    },
    unistd::pipe,
};

use super::{
    file::{counting, hash_of},
    narrow,
    operation::{Access, Buffer, Kind, Pointer, Way, ACTORS, ARENA_PAGES, SLOTS, THREADS},
    plan::Step,
    world::{hash, USER},
};
use crate::{
    child::{self, Child},
    host::PAGE,
    model::address::HUGE_PAGE,
    raw::{self, call},
    ring::Ring,
};

/// The address of the arena, the same in every process. A huge page can begin there, and programs of 32 bits can name
/// it.
pub const ARENA: usize = 0x2000_0000;
/// Its size with a gap behind it in which nothing is ever mapped, in bytes.
pub const ARENA_ROOM: usize = (ARENA_PAGES as usize + 64) * PAGE as usize;
/// An address in that gap.
const HOLE: usize = ARENA + (ARENA_PAGES as usize + 16) * PAGE as usize;
/// An address of the kernel.
const KERNEL: usize = 0xffff_8880_0000_0000;
/// The result of an operation after which pages that the model takes for gaps are mapped. No error number is so large.
const NO_GAP: i64 = -1_000_000;

/// The length of the memory for reads and writes.
const BUFFER: usize = 16384;

/// What an operation gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Its result, or a negative error number.
    pub value: i64,
    /// A number for what it brought.
    pub data: u64,
}

impl Outcome {
    /// The length of an outcome as bytes.
    pub const BYTES: usize = 16;

    fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.value.to_le_bytes());
        bytes[8..].copy_from_slice(&self.data.to_le_bytes());
        bytes
    }

    /// The outcome from its bytes.
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let [value, data] = [&bytes[..8], &bytes[8..]].map(|half| half.try_into().unwrap_or_default());
        Self { value: i64::from_le_bytes(value), data: u64::from_le_bytes(data) }
    }
}

impl From<i64> for Outcome {
    fn from(value: i64) -> Self {
        Self { value, data: 0 }
    }
}

impl From<Errno> for Outcome {
    fn from(errno: Errno) -> Self {
        Self::from(-i64::from(errno as i32))
    }
}

/// What all processes of a sequence share.
pub struct Shared {
    /// The operations.
    pub steps: Vec<Step>,
    /// The connections of the processes: the end of whoever tells them what to do, and their own.
    pub channels: Vec<(UnixStream, UnixStream)>,
    /// Where descriptors are sent, and received.
    pub mailbox: (UnixDatagram, UnixDatagram),
}

impl Shared {
    /// Connections for these operations.
    pub fn new(steps: Vec<Step>) -> Result<Self> {
        let channels = (0..ACTORS).map(|_| Ok(UnixStream::pair()?)).collect::<Result<_>>()?;
        let mailbox = UnixDatagram::pair()?;
        mailbox.1.set_nonblocking(true)?;
        Ok(Self { steps, channels, mailbox })
    }
}

/// Tells a process to do some steps, or to end.
pub fn order(steps: Option<std::ops::Range<usize>>) -> [u8; 8] {
    let (start, end) = steps.map_or((u32::MAX, 0), |steps| (steps.start as u32, steps.end as u32));
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&start.to_le_bytes());
    bytes[4..].copy_from_slice(&end.to_le_bytes());
    bytes
}

/// Reserves the arena, in which nothing can be accessed then.
pub fn reserve_arena() -> Result<()> {
    let reserved = reserve(0, (ARENA_ROOM as u64 / PAGE) as u32);
    anyhow::ensure!(reserved == ARENA as i64, "the arena cannot be reserved: {reserved}");
    Ok(())
}

fn address_of(page: u32) -> usize {
    ARENA + page as usize * PAGE as usize
}

/// Maps pages without access where nothing is.
fn reserve(page: u32, pages: u32) -> i64 {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE | libc::MAP_NORESERVE;
    let length = pages as usize * PAGE as usize;
    call(libc::SYS_mmap, [address_of(page), length, 0, flags as usize, usize::MAX, 0])
}

/// The process.
struct Actor<'a> {
    index: usize,
    shared: &'a Shared,
    slots: [RawFd; SLOTS],
    own: Own,
    /// What a second thread has for itself, once there was one. It stays: when rings go, the kernel interrupts
    /// everybody who has used them, and a long transfer ends early.
    second: Option<Own>,
    buffer: narrow::Memory,
    /// Whether it does an operation as a program of 32 bits.
    narrow: bool,
}

/// What every process, and every thread, has for itself.
struct Own {
    pipe: (OwnedFd, OwnedFd),
    memory: File,
    zeros: File,
    ring: Ring,
}

impl Own {
    fn new() -> Result<Self> {
        let memory = File::options().read(true).write(true).open("/proc/self/mem").context("/proc/self/mem")?;
        Ok(Self { pipe: pipe()?, memory, zeros: File::open("/dev/zero")?, ring: Ring::new()? })
    }
}

/// Does the operations of one of the first processes, until it is told to end. Gives the status of the process.
pub fn run(index: usize, shared: &Shared) -> i32 {
    let actor = || -> Result<Actor<'_>> {
        let own = Own::new()?;
        match index {
            1 => {
                for capability in [Capability::CAP_SYS_RAWIO, Capability::CAP_SYS_RESOURCE] {
                    caps::drop(None, CapSet::Effective, capability)?;
                }
            }
            2 => {
                child::become_user(USER)?;
                // Its children open their own /proc/self/mem.
                prctl::set_dumpable(true)?;
            }
            // What old programs of 32 bits have.
            3 => drop(personality::set(Persona::READ_IMPLIES_EXEC | Persona::ADDR_LIMIT_32BIT)?),
            _ => (),
        }
        Ok(Actor {
            index,
            shared,
            slots: [-1; SLOTS],
            own,
            second: None,
            buffer: narrow::Memory::new(BUFFER)?,
            narrow: false,
        })
    };
    match actor().and_then(|mut actor| actor.serve()) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("process {index}: {error:#}");
            1
        }
    }
}

impl Actor<'_> {
    fn serve(&mut self) -> Result<()> {
        loop {
            let mut bytes = [0; 8];
            (&self.shared.channels[self.index].1).read_exact(&mut bytes)?;
            let [start, end] = [&bytes[..4], &bytes[4..]].map(|half| half.try_into().unwrap_or_default());
            let (start, end) = (u32::from_le_bytes(start), u32::from_le_bytes(end));
            if start == u32::MAX {
                return Ok(());
            }
            let steps = &self.shared.steps[start as usize..end as usize];
            let is_own = |step: &&Step| step.operation.actor == self.index && step.expect.is_some();
            let (first, others): (Vec<_>, Vec<_>) =
                steps.iter().filter(is_own).partition(|step| step.operation.thread == 0);
            let mut outcomes = match others.is_empty() {
                true => self.steps(&first)?,
                false => self.steps_of_threads(&first, &others)?,
            };
            // In their order, whichever thread did them.
            outcomes.sort_by_key(|(number, _)| *number);
            let bytes: Vec<_> = outcomes.into_iter().flat_map(|(_, outcome)| outcome.to_bytes()).collect();
            if !bytes.is_empty() {
                (&self.shared.channels[self.index].1).write_all(&bytes)?;
            }
        }
    }

    /// Does operations, and gives their outcomes with their numbers; none in a process that was just forked.
    fn steps(&mut self, steps: &[&Step]) -> Result<Vec<(usize, Outcome)>> {
        let mut outcomes = Vec::new();
        for step in steps {
            match self.step(step)? {
                Some(outcome) => outcomes.push((step.number, outcome)),
                // This is the child now, which nobody has asked for anything.
                None => return Ok(Vec::new()),
            }
        }
        Ok(outcomes)
    }

    /// The same, with another thread for the `others`.
    fn steps_of_threads(&mut self, first: &[&Step], others: &[&Step]) -> Result<Vec<(usize, Outcome)>> {
        let own = self.second.take().map_or_else(Own::new, Ok)?;
        let mut second = Actor { own, second: None, buffer: narrow::Memory::new(BUFFER)?, ..*self };
        let both = Barrier::new(THREADS);
        let (mut outcomes, more) = thread::scope(|scope| {
            let more = scope.spawn(|| {
                both.wait();
                let outcomes = second.steps(others)?;
                Ok((outcomes, second))
            });
            both.wait();
            (self.steps(first), more.join().unwrap_or_else(|_| bail!("the thread panicked")))
        });
        let (more, second) = more?;
        // Each has its part of the places, and the first thread that of before.
        self.slots[SLOTS / THREADS..].copy_from_slice(&second.slots[SLOTS / THREADS..]);
        self.second = Some(second.own);
        if let Ok(outcomes) = &mut outcomes {
            outcomes.extend(more);
        }
        outcomes
    }

    /// Does an operation; `None` in a process that was just forked.
    fn step(&mut self, step: &Step) -> Result<Option<Outcome>> {
        let Some(expect) = &step.expect else { return Ok(None) };
        if let Kind::Fork { child } = step.operation.kind {
            // A sibling, so that whoever runs the sequence can wait for it.
            let flags = libc::CLONE_PARENT | libc::SIGCHLD;
            let pid = call(libc::SYS_clone, [flags as usize, 0, 0, 0, 0, 0]);
            if pid != 0 {
                return Ok(Some(pid.into()));
            }
            self.index = child;
            (self.own, self.second) = (Own::new()?, None);
            let filled = expect.gaps.iter().all(|(page, pages)| reserve(*page, *pages) == address_of(*page) as i64);
            anyhow::ensure!(filled, "a forked process has mappings that it should not have");
            return Ok(None);
        }
        self.narrow = step.operation.narrow;
        let mut outcome = self.perform(&step.operation.kind, expect.permitted);
        for (page, pages) in &expect.gaps {
            let reserved = reserve(*page, *pages);
            if reserved != address_of(*page) as i64 {
                outcome = Outcome { value: NO_GAP, data: outcome.value as u64 };
            }
        }
        Ok(Some(outcome))
    }

    fn call(&self, number: libc::c_long, arguments: [usize; 6]) -> i64 {
        narrow::call(self.narrow, number, arguments)
    }

    fn close(&mut self, slot: usize) -> i64 {
        let file = std::mem::replace(&mut self.slots[slot], -1);
        self.call(libc::SYS_close, [file as usize, 0, 0, 0, 0, 0])
    }

    fn perform(&mut self, kind: &Kind, permitted: bool) -> Outcome {
        match *kind {
            Kind::Open { slot, minor, access, ring } => {
                if self.slots[slot] >= 0 {
                    self.close(slot);
                }
                let path = path_of(minor);
                let file = if ring {
                    self.own.ring.open(&path, access)
                } else {
                    let bytes = path.as_bytes_with_nul();
                    self.buffer[..bytes.len()].copy_from_slice(bytes);
                    let arguments = [libc::AT_FDCWD as usize, self.buffer.as_ptr() as usize, access as usize, 0, 0, 0];
                    self.call(libc::SYS_openat, arguments)
                };
                self.put(slot, file)
            }
            Kind::Close { slot } => self.close(slot).into(),
            Kind::Duplicate { from, to } => {
                let file = self.call(libc::SYS_dup, [self.slots[from] as usize, 0, 0, 0, 0, 0]);
                if file >= 0 && self.slots[to] >= 0 {
                    self.close(to);
                }
                self.put(to, file)
            }
            Kind::Send { slot } => {
                let message = [ControlMessage::ScmRights(&[self.slots[slot]])];
                let mailbox = self.shared.mailbox.0.as_raw_fd();
                match sendmsg::<()>(mailbox, &[IoSlice::new(b".")], &message, MsgFlags::empty(), None) {
                    Ok(_) => 0.into(),
                    Err(errno) => errno.into(),
                }
            }
            Kind::Receive { slot } => {
                if self.slots[slot] >= 0 {
                    self.close(slot);
                }
                match self.receive() {
                    Ok(file) => self.put(slot, file.into()),
                    Err(errno) => errno.into(),
                }
            }
            Kind::Seek { slot, offset, whence } => self
                .call(libc::SYS_lseek, [self.slots[slot] as usize, offset as usize, whence as usize, 0, 0, 0])
                .into(),
            Kind::Map { slot, page, offset, length, protection, flags } => {
                let (address, flags) = match page {
                    Some(page) => (address_of(page), flags | libc::MAP_FIXED),
                    None => (0, flags),
                };
                let file = self.slots[slot] as usize;
                let arguments = [address, length as usize, protection as usize, flags as usize, file, offset as usize];
                let mapped = self.call(libc::SYS_mmap, arguments);
                if page.is_none() && mapped > 0 {
                    self.call(libc::SYS_munmap, [mapped as usize, length as usize, 0, 0, 0, 0]);
                }
                Outcome { value: mapped, data: mapped as u64 % HUGE_PAGE }
            }
            Kind::Unmap { page, pages } => self.of_pages(libc::SYS_munmap, page, pages, 0),
            Kind::Protect { page, pages, protection } => self.of_pages(libc::SYS_mprotect, page, pages, protection),
            Kind::Remap { page, old, new, flags, to } => {
                let [old, new] = [old, new].map(|pages| pages as usize * PAGE as usize);
                let to = address_of(to.unwrap_or(0));
                self.call(libc::SYS_mremap, [address_of(page), old, new, flags as usize, to, 0]).into()
            }
            Kind::Advise { page, pages, advice } => self.of_pages(libc::SYS_madvise, page, pages, advice),
            Kind::Sync { page, pages, flags } => self.of_pages(libc::SYS_msync, page, pages, flags),
            Kind::Lock { page, pages, lock: true } => self.of_pages(libc::SYS_mlock, page, pages, 0),
            Kind::Lock { page, pages, lock: false } => self.of_pages(libc::SYS_munlock, page, pages, 0),
            Kind::Resident { page, pages } => {
                let length = pages as usize * PAGE as usize;
                let answer = self.buffer.as_mut_ptr() as usize;
                self.call(libc::SYS_mincore, [address_of(page), length, answer, 0, 0, 0]).into()
            }
            Kind::Load { page, offset, width, access } => self.load(page, offset, width, access, permitted),
            Kind::Store { page, offset, width, value, access } => {
                self.store((page, offset, width), value, access, permitted)
            }
            Kind::Signal { page, store } => signal(address_of(page), store),
            Kind::Read { slot, way, position, length, buffer } => {
                let done = self.transfer(slot, false, way, position, length, buffer);
                Outcome { value: done, data: if done >= 0 { hash(&self.buffer[..done as usize]) } else { 0 } }
            }
            Kind::Write { slot, way, position, length, buffer, value } => {
                self.buffer[..length as usize].copy_from_slice(&counting(value, length as usize));
                self.transfer(slot, true, way, position, length, buffer).into()
            }
            Kind::ReadToMapping { slot, position, length, page } => {
                let file = self.slots[slot] as usize;
                let arguments = [file, address_of(page), length as usize, position as usize, 0, 0];
                Outcome { value: self.call(libc::SYS_pread64, arguments), data: hash(&[]) }
            }
            Kind::SpliceFrom { slot, position, length, send } => self.splice_from(slot, position, length, send),
            Kind::SpliceTo { slot, position, length, value } => self.splice_to(slot, position, length, value),
            Kind::SyncFile { slot, ring: true } => self.own.ring.sync(self.slots[slot]).into(),
            Kind::SyncFile { slot, .. } => {
                self.call(libc::SYS_fsync, [self.slots[slot] as usize, 0, 0, 0, 0, 0]).into()
            }
            Kind::Info { slot, pointer } => {
                let (value, info) = self.asked(slot, abi::IOC_INFO, pointer, MapInfo::default());
                // The changes since the driver was loaded are those of earlier sequences, too.
                Outcome { value, data: hash_of(&MapInfo { changes: 0, ..info }) }
            }
            Kind::Describe { slot, index, pointer } => {
                self.ask(slot, abi::IOC_WINDOW, pointer, MapWindow { index, ..Default::default() })
            }
            Kind::Check { slot, start, length, protection, flags, pointer } => {
                let check = MapCheck { start, length, prot: protection, flags, ..Default::default() };
                self.ask(slot, abi::IOC_CHECK, pointer, check)
            }
            // The largest of the structures.
            Kind::Interrupt { slot, command, pointer } => self.ask(slot, command, pointer, MapIrqWait::default()),
            Kind::Unknown { slot, command } => {
                self.call(libc::SYS_ioctl, [self.slots[slot] as usize, command as usize, HOLE, 0, 0, 0]).into()
            }
            Kind::Fdinfo { slot } => match fs::read_to_string(format!("/proc/self/fdinfo/{}", self.slots[slot])) {
                Ok(text) => {
                    let lines = text.lines().filter(|line| line.starts_with("map-"));
                    let lines: String = lines.map(|line| format!("{line}\n")).collect();
                    Outcome { value: 0, data: hash(lines.as_bytes()) }
                }
                Err(error) => crate::errno::of(&error).into(),
            },
            Kind::Flood { slot, pages } => self.flood(slot, pages),
            // Those are done elsewhere.
            Kind::Fork { .. }
            | Kind::Exit { .. }
            | Kind::Mode { .. }
            | Kind::Make { .. }
            | Kind::Set { .. }
            | Kind::Enable { .. }
            | Kind::Remove { .. }
            | Kind::Look => Errno::ENOSYS.into(),
        }
    }

    /// Keeps a descriptor, if it is one.
    fn put(&mut self, slot: usize, file: i64) -> Outcome {
        if file < 0 {
            return file.into();
        }
        self.slots[slot] = file as RawFd;
        0.into()
    }

    fn receive(&self) -> Result<RawFd, Errno> {
        let mut byte = [0];
        let mut vectors = [IoSliceMut::new(&mut byte)];
        let mut room = cmsg_space!(RawFd);
        let mailbox = self.shared.mailbox.1.as_raw_fd();
        let message = recvmsg::<()>(mailbox, &mut vectors, Some(&mut room), MsgFlags::MSG_DONTWAIT)?;
        let mut rights = message.cmsgs()?.filter_map(|message| match message {
            ControlMessageOwned::ScmRights(files) => files.first().copied(),
            _ => None,
        });
        rights.next().ok_or(Errno::ENOMSG)
    }

    /// A system call for some pages.
    fn of_pages(&self, number: libc::c_long, page: u32, pages: u32, third: i32) -> Outcome {
        self.call(number, [address_of(page), pages as usize * PAGE as usize, third as usize, 0, 0, 0]).into()
    }

    fn load(&mut self, page: u32, offset: u32, width: u32, access: Access, permitted: bool) -> Outcome {
        let address = address_of(page) + offset as usize;
        let (reader, writer) = (self.own.pipe.0.as_raw_fd() as usize, self.own.pipe.1.as_raw_fd() as usize);
        let (buffer, length) = (self.buffer.as_mut_ptr() as usize, width as usize);
        let done = match access {
            Access::Direct if permitted => {
                let bytes = raw::load(address, width).to_le_bytes();
                return Outcome { value: 0, data: hash(&bytes[..length]) };
            }
            Access::Direct | Access::Call => {
                let written = self.call(libc::SYS_write, [writer, address, length, 0, 0, 0]);
                if written > 0 {
                    self.call(libc::SYS_read, [reader, buffer, written as usize, 0, 0, 0]);
                }
                written
            }
            Access::Memory => {
                let memory = self.own.memory.as_raw_fd() as usize;
                self.call(libc::SYS_pread64, [memory, buffer, length, address, 0, 0])
            }
            Access::Process => self.process_vm(libc::SYS_process_vm_readv, address, length),
            Access::Trace => return trace(address, None),
        };
        Outcome { value: done, data: if done > 0 { hash(&self.buffer[..done as usize]) } else { 0 } }
    }

    fn store(
        &mut self,
        (page, offset, width): (u32, u32, u32),
        value: u64,
        access: Access,
        permitted: bool,
    ) -> Outcome {
        let address = address_of(page) + offset as usize;
        let length = width as usize;
        self.buffer[..8].copy_from_slice(&value.to_le_bytes());
        match access {
            Access::Direct if permitted => {
                raw::store(address, width, value);
                0.into()
            }
            Access::Direct | Access::Call => {
                let zeros = self.own.zeros.as_raw_fd() as usize;
                self.call(libc::SYS_read, [zeros, address, length, 0, 0, 0]).into()
            }
            Access::Memory => {
                let (memory, buffer) = (self.own.memory.as_raw_fd() as usize, self.buffer.as_ptr() as usize);
                self.call(libc::SYS_pwrite64, [memory, buffer, length, address, 0, 0]).into()
            }
            Access::Process => self.process_vm(libc::SYS_process_vm_writev, address, length).into(),
            Access::Trace => trace(address, Some(value)),
        }
    }

    fn process_vm(&mut self, number: libc::c_long, address: usize, length: usize) -> i64 {
        let local = [self.buffer.as_mut_ptr() as usize, length];
        let remote = [address, length];
        let (local, remote) = (local.as_ptr() as usize, remote.as_ptr() as usize);
        self.call(number, [process::id() as usize, local, 1, remote, 1, 0])
    }

    fn transfer(&mut self, slot: usize, write: bool, way: Way, position: i64, length: u32, buffer: Buffer) -> i64 {
        let address = match buffer {
            Buffer::Ordinary => self.buffer.as_mut_ptr() as usize,
            Buffer::Hole => HOLE,
            Buffer::Kernel => KERNEL,
        };
        let (file, ring) = (self.slots[slot], &mut self.own.ring);
        let number = match (way, write) {
            (Way::Ring, false) => return ring.read(file, address, length, position),
            (Way::Ring, true) => return ring.write(file, address, length, position),
            (Way::Position, false) => libc::SYS_read,
            (Way::Position, true) => libc::SYS_write,
            (Way::At, false) => libc::SYS_pread64,
            (Way::At, true) => libc::SYS_pwrite64,
            (Way::Vector, false) => libc::SYS_preadv,
            (Way::Vector, true) => libc::SYS_pwritev,
        };
        let (file, length) = (file as usize, length as usize);
        let position = if way == Way::Position { 0 } else { position as usize };
        if way != Way::Vector {
            return self.call(number, [file, address, length, position, 0, 0]);
        }
        let half = length / 2;
        let vectors = [address, half, address + half, length - half];
        let vectors: Vec<u8> = match self.narrow {
            true => vectors.iter().flat_map(|word| (*word as u32).to_ne_bytes()).collect(),
            false => vectors.iter().flat_map(|word| word.to_ne_bytes()).collect(),
        };
        // No transfer is so long.
        let place = &mut self.buffer[BUFFER - vectors.len()..];
        place.copy_from_slice(&vectors);
        let vectors = place.as_ptr() as usize;
        self.call(number, [file, vectors, 2, position, 0, 0])
    }

    fn splice_from(&mut self, slot: usize, position: Option<i64>, length: u32, send: bool) -> Outcome {
        let file = self.slots[slot] as usize;
        let (reader, writer) = (self.own.pipe.0.as_raw_fd() as usize, self.own.pipe.1.as_raw_fd() as usize);
        let mut offset = position.unwrap_or(0);
        let pointer = if position.is_some() { std::ptr::from_mut(&mut offset) as usize } else { 0 };
        let done = match send {
            true => self.call(libc::SYS_sendfile, [writer, file, pointer, length as usize, 0, 0]),
            false => self.call(libc::SYS_splice, [file, pointer, writer, 0, length as usize, 0]),
        };
        let mut data = 0;
        if done >= 0 {
            let buffer = self.buffer.as_mut_ptr() as usize;
            if done > 0 {
                self.call(libc::SYS_read, [reader, buffer, done as usize, 0, 0, 0]);
            }
            data = hash(&self.buffer[..done as usize]);
        }
        Outcome { value: done, data }
    }

    fn splice_to(&mut self, slot: usize, position: Option<i64>, length: u32, value: u8) -> Outcome {
        let (file, length) = (self.slots[slot] as usize, length as usize);
        let (reader, writer) = (self.own.pipe.0.as_raw_fd() as usize, self.own.pipe.1.as_raw_fd() as usize);
        self.buffer[..length].copy_from_slice(&counting(value, length));
        let buffer = self.buffer.as_mut_ptr() as usize;
        self.call(libc::SYS_write, [writer, buffer, length, 0, 0, 0]);
        let mut offset = position.unwrap_or(0);
        let pointer = if position.is_some() { std::ptr::from_mut(&mut offset) as usize } else { 0 };
        let done = self.call(libc::SYS_splice, [reader, 0, file, pointer, length, 0]);
        let left = length - done.max(0) as usize;
        if left > 0 {
            self.call(libc::SYS_read, [reader, buffer, left, 0, 0, 0]);
        }
        done.into()
    }

    fn ask<T: Copy + std::fmt::Debug>(&mut self, slot: usize, command: u32, pointer: Pointer, structure: T) -> Outcome {
        let (value, structure) = self.asked(slot, command, pointer, structure);
        Outcome { value, data: hash_of(&structure) }
    }

    fn asked<T: Copy>(&mut self, slot: usize, command: u32, pointer: Pointer, structure: T) -> (i64, T) {
        let (file, narrow) = (self.slots[slot] as usize, self.narrow);
        self.buffer.lend(structure, |address| {
            let address = if pointer == Pointer::Bad { HOLE } else { address };
            narrow::call(narrow, libc::SYS_ioctl, [file, command as usize, address, 0, 0, 0])
        })
    }

    fn flood(&self, slot: usize, pages: u32) -> Outcome {
        let (file, length) = (self.slots[slot] as usize, PAGE as usize);
        let mut mapped = Vec::new();
        let error = loop {
            let offset = mapped.len() % pages as usize * length;
            let protection = libc::PROT_READ as usize;
            let address = self.call(libc::SYS_mmap, [0, length, protection, libc::MAP_SHARED as usize, file, offset]);
            match address {
                error if error < 0 => break error,
                // The model never lets it come so far.
                _ if mapped.len() > 10_000 => break 0,
                address => mapped.push(address as usize),
            }
        };
        for address in &mapped {
            self.call(libc::SYS_munmap, [*address, length, 0, 0, 0, 0]);
        }
        Outcome { value: mapped.len() as i64, data: error.unsigned_abs() }
    }
}

/// The path of a node.
pub fn path_of(minor: u32) -> CString {
    let path = if minor == 0 { abi::NODE.to_owned() } else { format!("{}{minor}", abi::NODE) };
    // It has no NUL byte.
    CString::new(path).unwrap_or_default()
}

/// A load or store by a child: the signal that ends it, or 0.
fn signal(address: usize, store: bool) -> Outcome {
    let status = child::in_child(|| {
        if store {
            raw::store(address, 1, 0);
        } else {
            raw::load(address, 1);
        }
        0
    });
    match status {
        Ok(WaitStatus::Exited(_, 0)) => 0.into(),
        Ok(WaitStatus::Signaled(_, signal, _)) => i64::from(signal as i32).into(),
        _ => Errno::ECHILD.into(),
    }
}

/// A load or store by a debugger in a child that has copies of all mappings.
fn trace(address: usize, value: Option<u64>) -> Outcome {
    let traced = || -> Result<Outcome> {
        let child = Child::spawn_traced()?;
        let result = match value {
            None => ptrace::read(child.pid(), address as ptrace::AddressType).map(|word| hash(&word.to_le_bytes())),
            Some(value) => ptrace::write(child.pid(), address as ptrace::AddressType, value as i64).map(|()| 0),
        };
        child.kill()?;
        Ok(match result {
            Ok(data) => Outcome { value: 0, data },
            Err(errno) => errno.into(),
        })
    };
    traced().unwrap_or(Outcome { value: NO_GAP, data: 0 })
}
