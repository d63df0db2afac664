// SPDX-License-Identifier: MIT OR Apache-2.0

//! A program that does every kind of call, at random. It stores in its own part of the memory alone, and each call has
//! the result that it has in a program that nobody disturbs.

use std::{
    ffi::CString,
    fs::{self, File},
    os::{
        fd::AsRawFd,
        unix::fs::{FileExt, OpenOptionsExt},
    },
    thread,
};

use map_core::abi::{self, MapCheck, MapInfo, MapIrq, MapIrqEventfd, MapIrqMask, MapIrqWait, MapWindow};
use map_protocol::{pattern, MODULE};
use nix::{
    errno::Errno,
    kmod::{delete_module, finit_module, DeleteModuleFlags, ModuleInitFlags},
    libc,
    poll::{poll, PollFd, PollFlags, PollTimeout},
    sys::{mman::ProtFlags, signal::Signal, wait::WaitStatus},
    unistd::{pause, pipe},
};

use super::{
    counts::Counts,
    witness::{added, fdinfo, own, value},
};
use crate::{
    child::Child,
    errno,
    host::{PAGE, START},
    random::Random,
    raw::system,
    runtime::{Directory, WINDOWS},
    vma::{lock_at, protect_at, sync_at, unmap_at, Vma},
    windows::ask,
};

/// What a call gives. EBADMSG says that what was loaded or read is wrong.
type Done = Result<(), Errno>;

/// Does a call.
type Call = fn(&mut Program) -> Done;

/// All kinds of calls.
pub const KINDS: [(&str, Call); 27] = [
    ("open of all memory", open_all),
    ("open of a window", open_window),
    ("open to read", open_to_read),
    ("close", close),
    ("mmap", map),
    ("mmap of all memory", map_by_address),
    ("munmap", unmap),
    ("munmap, mprotect and mremap of parts", take_apart),
    ("stores and loads", store_and_load),
    ("pread", read),
    ("pwrite", write),
    ("lseek, read and write", read_and_write),
    ("splice and sendfile", splice),
    ("msync and fsync", sync),
    ("ioctl", ask_about),
    ("ioctl of interrupts", ask_for_interrupts),
    ("fork", fork),
    ("threads", spawn),
    ("/proc/self/mem", debug),
    ("process_vm_readv", read_across),
    ("madvise and mlock", advise),
    ("poll", wait),
    ("debugfs and sysfs", look),
    ("fdinfo and smaps", look_at_itself),
    ("mkdir and enabling in configfs", add_window),
    ("disabling and rmdir in configfs", remove_window),
    (LOADING, load),
];

/// The last of them.
const LOADING: &str = "finit_module and delete_module";

/// The places in [`Counts`] that a program needs.
pub const COUNTED: usize = 1 + KINDS.len();

/// How many files and mappings a program keeps, and processes that it leaves behind.
const MOST: usize = 6;

/// The length of a mapping.
const LENGTH: u64 = 4 * PAGE;

/// A program.
pub struct Program {
    random: Random,
    place: usize,
    /// The pattern of the memory at the beginning.
    seed: u64,
    files: Vec<File>,
    /// Mappings of its own part, with their offsets in the free memory.
    mapped: Vec<(Vma, u64)>,
    /// The window that it has added.
    added: Option<Directory>,
    left: usize,
}

impl Program {
    /// The program at a place, in memory that was filled with the pattern of `seed`, which does what `random` says.
    pub fn new(place: usize, seed: u64, random: Random) -> Self {
        Self { random, place, seed, files: Vec::new(), mapped: Vec::new(), added: None, left: 0 }
    }

    /// Does one call, and gives its kind and its result. `counts` has what is being done from `first` on, and how often
    /// each kind was done.
    pub fn go_on(&mut self, counts: &Counts, first: usize) -> (usize, Done) {
        let mut kind = self.random.index(KINDS.len());
        // Loading takes long.
        while KINDS[kind].0 == LOADING && !self.random.chance(15) {
            kind = self.random.index(KINDS.len());
        }
        counts.set(first, kind as u64 + 1);
        let done = KINDS[kind].1(self);
        counts.set(first, 0);
        if done.is_ok() {
            counts.add(first + 1 + kind);
        }
        (kind, done)
    }

    fn keep(&mut self, file: File) {
        if self.files.len() == MOST {
            self.files.swap_remove(self.random.index(MOST));
        }
        self.files.push(file);
    }

    /// Maps a part of its own, and fails unless it shows what was there or what the program stores.
    fn mapping(&mut self, file: &File, base: u64) -> Result<(Vma, u64), Errno> {
        let (first, length) = own(self.place);
        let offset = first + self.random.below((length - LENGTH) / PAGE + 1) * PAGE;
        let vma = Vma::shared(file, base + offset, LENGTH as usize)?;
        self.shows(offset, vma.load(0))?;
        self.shows(offset + LENGTH - 1, vma.load(LENGTH as usize - 1))?;
        Ok((vma, offset))
    }

    /// Fails unless a byte at this offset of its own part can be what was found.
    fn shows(&self, offset: u64, found: u8) -> Done {
        let fits = found == value(self.place) || found == pattern::byte(self.seed, START + offset);
        if fits {
            Ok(())
        } else {
            Err(Errno::EBADMSG)
        }
    }

    fn keep_mapping(&mut self, mapping: (Vma, u64)) {
        if self.mapped.len() == MOST {
            self.mapped.swap_remove(self.random.index(MOST));
        }
        self.mapped.push(mapping);
    }

    /// Leaves no directory behind, whichever part of adding a window has failed.
    pub fn forget_window(&mut self) {
        self.added = None;
        let _ = fs::remove_dir(std::path::Path::new(WINDOWS).join(self.name()));
    }

    /// The name of the window that it adds.
    fn name(&self) -> String {
        format!("added-{}", self.place)
    }
}

pub fn open(path: &str, write: bool) -> Result<File, Errno> {
    errno::result(File::options().read(true).write(write).open(path))
}

fn kept() -> Result<File, Errno> {
    open("/dev/map1", true)
}

/// Fails unless the result is this error.
fn fails<T>(result: Result<T, Errno>, expected: Errno) -> Done {
    match result {
        Ok(_) => Err(Errno::EBADMSG),
        Err(errno) if errno == expected => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// The error number of an error that has one.
fn number(error: &anyhow::Error) -> Errno {
    let of_io = error.downcast_ref::<std::io::Error>().map(errno::of);
    error.downcast_ref::<Errno>().copied().or(of_io).unwrap_or(Errno::EBADMSG)
}

fn open_all(program: &mut Program) -> Done {
    let file = open("/dev/map", true)?;
    program.keep(file);
    Ok(())
}

fn open_window(program: &mut Program) -> Done {
    let file = kept()?;
    program.keep(file);
    Ok(())
}

fn open_to_read(program: &mut Program) -> Done {
    let file = errno::result(File::options().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/map2"))?;
    program.keep(file);
    Ok(())
}

fn close(program: &mut Program) -> Done {
    if program.files.is_empty() {
        open_window(program)?;
    }
    program.files.pop();
    Ok(())
}

fn map(program: &mut Program) -> Done {
    let mapping = program.mapping(&kept()?, 0)?;
    program.keep_mapping(mapping);
    Ok(())
}

fn map_by_address(program: &mut Program) -> Done {
    let mapping = program.mapping(&open("/dev/map", true)?, START)?;
    program.keep_mapping(mapping);
    Ok(())
}

fn unmap(program: &mut Program) -> Done {
    if program.mapped.is_empty() {
        map(program)?;
    }
    program.mapped.pop();
    Ok(())
}

fn take_apart(program: &mut Program) -> Done {
    let (vma, offset) = program.mapping(&kept()?, 0)?;
    let (page, address) = (PAGE as usize, vma.address());
    let last = vma.load(3 * page);
    unmap_at(address + page, page)?;
    protect_at(address + 2 * page, page, ProtFlags::PROT_READ)?;
    let flags = (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as usize;
    system(libc::SYS_mremap, [address + 3 * page, page, page, flags, address + page, 0])?;
    if vma.load(page) != last {
        return Err(Errno::EBADMSG);
    }
    program.shows(offset + 2 * PAGE, vma.load(2 * page))?;
    vma.store(page, value(program.place));
    vma.store(0, value(program.place));
    Ok(())
}

fn store_and_load(program: &mut Program) -> Done {
    if program.mapped.is_empty() {
        map(program)?;
    }
    let index = program.random.index(program.mapped.len());
    let stored = value(program.place);
    let (vma, _) = &program.mapped[index];
    for offset in (index..LENGTH as usize).step_by(61) {
        vma.store(offset, stored);
        if vma.load(offset) != stored {
            return Err(Errno::EBADMSG);
        }
    }
    Ok(())
}

fn read(program: &mut Program) -> Done {
    let (first, length) = own(program.place);
    let (from, file) = (program.random.below(length), kept()?);
    let mut bytes = vec![0; program.random.between(1, 40_000) as usize];
    let count = errno::result(file.read_at(&mut bytes, first + from))?;
    if count == 0 {
        return Err(Errno::EBADMSG);
    }
    let within = count.min((length - from) as usize);
    let mut places = first + from..;
    bytes[..within].iter().zip(&mut places).step_by(101).try_for_each(|(byte, place)| program.shows(place, *byte))
}

fn write(program: &mut Program) -> Done {
    let (first, length) = own(program.place);
    let (from, file) = (program.random.below(length), kept()?);
    let most = (length - from).min(40_000);
    let bytes = vec![value(program.place); 1 + program.random.below(most) as usize];
    match errno::result(file.write_at(&bytes, first + from))? {
        count if count == bytes.len() => Ok(()),
        // A signal ends it after a part, and here none comes but the last.
        _ => Err(Errno::EBADMSG),
    }
}

fn read_and_write(program: &mut Program) -> Done {
    let (first, _) = own(program.place);
    let file = kept()?;
    let descriptor = file.as_raw_fd() as usize;
    let mut bytes = [value(program.place); 100];
    system(libc::SYS_lseek, [descriptor, first as usize, libc::SEEK_SET as usize, 0, 0, 0])?;
    system(libc::SYS_write, [descriptor, bytes.as_ptr() as usize, bytes.len(), 0, 0, 0])?;
    system(libc::SYS_lseek, [descriptor, first as usize, libc::SEEK_SET as usize, 0, 0, 0])?;
    bytes.fill(0);
    system(libc::SYS_read, [descriptor, bytes.as_mut_ptr() as usize, bytes.len(), 0, 0, 0])?;
    if bytes == [value(program.place); 100] {
        Ok(())
    } else {
        Err(Errno::EBADMSG)
    }
}

fn splice(program: &mut Program) -> Done {
    let (first, _) = own(program.place);
    let (file, (out, into)) = (kept()?, pipe()?);
    let mut offsets = [first as i64; 2];
    let [spliced_from, sent_from] = offsets.each_mut().map(|offset| std::ptr::from_mut(offset) as usize);
    let descriptor = file.as_raw_fd() as usize;
    let pipe = into.as_raw_fd() as usize;
    let spliced = system(libc::SYS_splice, [descriptor, spliced_from, pipe, 0, 16 << 10, 0])?;
    let mut byte = [0];
    system(libc::SYS_read, [out.as_raw_fd() as usize, byte.as_mut_ptr() as usize, 1, 0, 0, 0])?;
    program.shows(first, byte[0])?;
    let null = errno::result(File::options().write(true).open("/dev/null"))?;
    let sent = system(libc::SYS_sendfile, [null.as_raw_fd() as usize, descriptor, sent_from, 8 << 10, 0, 0])?;
    if spliced > 0 && sent > 0 {
        Ok(())
    } else {
        Err(Errno::EBADMSG)
    }
}

fn sync(program: &mut Program) -> Done {
    errno::result(kept()?.sync_all())?;
    for (vma, _) in &program.mapped {
        sync_at(vma.address(), LENGTH as usize, libc::MS_SYNC)?;
    }
    Ok(())
}

fn ask_about(program: &mut Program) -> Done {
    let (all, window) = (open("/dev/map", true)?, kept()?);
    for file in [&all, &window] {
        ask(file, abi::IOC_INFO, &mut MapInfo::default())?;
        ask(file, abi::IOC_WINDOW, &mut MapWindow::default())?;
    }
    let (offset, _) = own(program.place);
    let mut check = MapCheck { start: START + offset, length: PAGE, prot: 3, flags: 1, ..Default::default() };
    ask(&all, abi::IOC_CHECK, &mut check)
}

fn ask_for_interrupts(_: &mut Program) -> Done {
    let (all, window) = (open("/dev/map", true)?, kept()?);
    // Only windows of the device tree have some.
    for (file, errno) in [(&all, Errno::ENOTTY), (&window, Errno::EINVAL)] {
        fails(ask(file, abi::IOC_IRQ, &mut MapIrq::default()), errno)?;
        fails(ask(file, abi::IOC_IRQ_WAIT, &mut MapIrqWait { interrupts: 1, ..Default::default() }), errno)?;
        fails(ask(file, abi::IOC_IRQ_MASK, &mut MapIrqMask { interrupts: 1, ..Default::default() }), errno)?;
        fails(ask(file, abi::IOC_IRQ_EVENTFD, &mut MapIrqEventfd { fd: -1, ..Default::default() }), errno)?;
    }
    Ok(())
}

fn fork(program: &mut Program) -> Done {
    let stays = program.left < MOST && program.random.chance(20);
    let child = Child::spawn(|| {
        let done = store_and_load(program).and_then(|()| map(program));
        if stays {
            // Until it is killed with the others.
            pause();
        }
        i32::from(done.is_err())
    });
    let child = child.map_err(|error| number(&error))?;
    if stays {
        program.left += 1;
        std::mem::forget(child);
        return Ok(());
    }
    match child.wait() {
        Ok(WaitStatus::Exited(_, 0)) => Ok(()),
        // Where there is no memory left, it may be the one that has to go.
        Ok(WaitStatus::Signaled(_, Signal::SIGKILL, _)) => Err(Errno::ENOMEM),
        _ => Err(Errno::ECHILD),
    }
}

fn spawn(program: &mut Program) -> Done {
    let file = kept()?;
    let (offset, _) = own(program.place);
    let stored = value(program.place);
    let work = |first: u64| -> Done {
        let vma = Vma::shared(&file, offset + first * PAGE, PAGE as usize)?;
        (0..PAGE as usize).step_by(67).for_each(|offset| vma.store(offset, stored));
        if vma.load(67) == stored {
            Ok(())
        } else {
            Err(Errno::EBADMSG)
        }
    };
    thread::scope(|scope| {
        let builder = thread::Builder::new().stack_size(64 << 10);
        let other = errno::result(builder.spawn_scoped(scope, || work(0)))?;
        let own = work(1);
        other.join().unwrap_or(Err(Errno::EBADMSG)).and(own)
    })
}

fn debug(program: &mut Program) -> Done {
    let (vma, offset) = program.mapping(&kept()?, 0)?;
    let memory = open("/proc/self/mem", true)?;
    let mut bytes = [0; 32];
    errno::result(memory.read_exact_at(&mut bytes, vma.address() as u64))?;
    program.shows(offset, bytes[0])?;
    errno::result(memory.write_all_at(&[value(program.place); 32], vma.address() as u64 + 100))
}

fn read_across(program: &mut Program) -> Done {
    let (vma, _) = program.mapping(&kept()?, 0)?;
    let mut bytes = [0; 8];
    let (here, there) = ([bytes.as_mut_ptr() as usize, 8], [vma.address(), 8]);
    let (here, there) = (here.as_ptr() as usize, there.as_ptr() as usize);
    // There are no struct pages to pin.
    fails(system(libc::SYS_process_vm_readv, [std::process::id() as usize, here, 1, there, 1, 0]), Errno::EFAULT)
}

fn advise(program: &mut Program) -> Done {
    let (vma, _) = program.mapping(&kept()?, 0)?;
    vma.advise(libc::MADV_RANDOM)?;
    vma.advise(libc::MADV_DONTFORK)?;
    lock_at(vma.address(), LENGTH as usize)
}

fn wait(_: &mut Program) -> Done {
    use std::os::fd::AsFd;
    let file = kept()?;
    let mut watched = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
    // A node without interrupts is always ready.
    if poll(&mut watched, PollTimeout::NONE)? == 1 {
        Ok(())
    } else {
        Err(Errno::EBADMSG)
    }
}

fn look(_: &mut Program) -> Done {
    for name in ["windows", "mappings", "refusals", "interrupts"] {
        errno::result(fs::read(format!("/sys/kernel/debug/map/{name}")))?;
    }
    for name in ["name", "start", "size", "access", "cache", "huge", "origin", "mappings"] {
        errno::result(fs::read(format!("/sys/class/map/map1/{name}")))?;
    }
    Ok(())
}

fn look_at_itself(_: &mut Program) -> Done {
    let file = kept()?;
    let shown = errno::result(fs::read_to_string(fdinfo(&file)))?;
    errno::result(fs::read("/proc/self/smaps"))?;
    if shown.contains("map-window:\tkept@") {
        Ok(())
    } else {
        Err(Errno::EBADMSG)
    }
}

fn add_window(program: &mut Program) -> Done {
    if program.added.is_some() {
        remove_window(program)?;
    }
    let (offset, _) = added(program.place);
    let directory = Directory::make(&program.name())?;
    directory.set("start", &format!("{:#x}", START + offset))?;
    directory.set("size", "64K")?;
    directory.set("memory", "1")?;
    directory.set("enable", "1")?;
    let minor = directory.get("minor").map_err(|error| number(&error))?;
    let file = open(&format!("/dev/map{minor}"), true)?;
    let vma = Vma::shared(&file, 0, PAGE as usize)?;
    vma.store(0, value(program.place));
    program.added = Some(directory);
    program.keep(file);
    Ok(())
}

fn remove_window(program: &mut Program) -> Done {
    if program.added.is_none() {
        add_window(program)?;
    }
    let directory = program.added.take().ok_or(Errno::EBADMSG)?;
    if program.random.chance(50) {
        directory.set("enable", "0")?;
    }
    directory.remove()
}

fn load(_: &mut Program) -> Done {
    let module = open(MODULE, false)?;
    fails(finit_module(&module, c"", ModuleInitFlags::empty()), Errno::EEXIST)?;
    let name = CString::from(c"map");
    fails(delete_module(&name, DeleteModuleFlags::O_NONBLOCK), Errno::EAGAIN)
}
