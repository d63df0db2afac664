// SPDX-License-Identifier: MIT OR Apache-2.0

//! Every kind of call while signals arrive all the time, from a timer and from another process. It has the result that
//! it has without them, or a count that is short and right; nothing is lost, and nothing is done twice.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::{fd::AsRawFd, unix::fs::FileExt},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::Duration,
};

use anyhow::{bail, ensure, Context, Result};
use map_core::abi::{self, MapCheck, MapInfo, MapIrqWait, MapWindow};
use map_protocol::{pattern, CONFIGFS, MAP_CONFIG, MODULE};
use nix::{
    errno::Errno,
    libc,
    sys::{
        signal::{kill, sigaction, SaFlags, SigAction, SigHandler, SigSet, Signal},
        wait::{waitpid, WaitStatus},
    },
    unistd::{pipe, Pid},
};

use super::witness::{mappings_are, windows};
use crate::{
    child::Child,
    errno,
    host::{Host, PAGE, START},
    kernel,
    raw::{self, call, system},
    runtime::{Config, Directory},
    user::{self, open_window as node},
    vma::{Vma, READ_WRITE},
    windows::ask,
};

/// How often a signal comes from the timer, and from the other process.
const TIMER: Duration = Duration::from_micros(700);
const OTHER: Duration = Duration::from_micros(400);

/// The length of a read or a write, which takes long enough for a signal.
const LONG: usize = 512 << 10;

/// How many VMAs there are between two calls: the process that sends signals has the same one.
const VMAS: usize = 2;

/// How many signals the handler has caught.
static CAUGHT: AtomicU64 = AtomicU64::new(0);

extern "C" fn caught(_: i32) {
    CAUGHT.fetch_add(1, Relaxed);
}

/// Signals that arrive all the time; none when dropped.
struct Storm {
    _sender: Child,
}

impl Storm {
    fn new(flags: SaFlags) -> Result<Self> {
        let action = SigAction::new(SigHandler::Handler(caught), flags, SigSet::empty());
        for signal in [Signal::SIGALRM, Signal::SIGUSR1] {
            // SAFETY: the handler only counts.
            unsafe { sigaction(signal, &action) }?;
        }
        let target = Pid::this();
        let sender = Child::spawn(|| loop {
            if kill(target, Signal::SIGUSR1).is_err() {
                return 0;
            }
            thread::sleep(OTHER);
        })?;
        set_timer(TIMER)?;
        Ok(Self { _sender: sender })
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        let _ = set_timer(Duration::ZERO);
    }
}

/// Sends SIGALRM to this process again and again; never with no time.
fn set_timer(every: Duration) -> Result<()> {
    let each = [0, every.as_micros() as i64];
    // struct itimerval: how often, and when first.
    let timer = [each, each];
    let set = call(libc::SYS_setitimer, [libc::ITIMER_REAL as usize, timer.as_ptr() as usize, 0, 0, 0, 0]);
    ensure!(set == 0, "setitimer: {set}");
    Ok(())
}

/// What is called.
struct Calls {
    round: u64,
    all: File,
    /// The node of the window `kept`, which is memory.
    kept: File,
    /// A mapping of all of it.
    vma: Vma,
    window: Directory,
    /// The bytes that reads and writes use.
    bytes: Vec<u8>,
    /// How often each kind was done, and how often with a short count.
    done: BTreeMap<&'static str, (u64, u64)>,
}

/// Does a call, and tells whether it was cut short.
type Call = fn(&mut Calls) -> Result<bool>;

/// The kinds of calls.
const KINDS: [(&str, Call); 13] = [
    ("open and close", Calls::open),
    ("mmap, mprotect, mremap, msync, munmap", Calls::map),
    ("stores and loads", Calls::store),
    ("pwrite", Calls::write),
    ("pread", Calls::read),
    ("splice", Calls::splice),
    ("sendfile", Calls::send),
    ("fsync", Calls::sync),
    ("ioctl", Calls::ask),
    ("/proc/self/mem", Calls::debug),
    ("writes in configfs", Calls::configure),
    ("a window that comes and goes", Calls::enable),
    ("fork", Calls::fork),
];

impl Calls {
    fn new() -> Result<Self> {
        let (all, kept) = (user::open()?, node(1)?);
        let vma = Vma::shared(&kept, 0, 1 << 20)?;
        let window = Directory::with("late", &[("start", "0xc0200000"), ("size", "64K"), ("memory", "1")])?;
        Ok(Self { round: 0, all, kept, vma, window, bytes: vec![0; LONG], done: BTreeMap::new() })
    }

    /// Does each kind once.
    fn all_kinds(&mut self) -> Result<()> {
        self.round += 1;
        for (name, act) in KINDS {
            let short = act(self).with_context(|| format!("{name}, round {}", self.round))?;
            let (done, cut) = self.done.entry(name).or_default();
            *done += 1;
            *cut += u64::from(short);
        }
        Ok(())
    }

    /// The byte that is stored in this round.
    fn value(&self) -> u8 {
        (self.round % 251) as u8
    }

    fn open(&mut self) -> Result<bool> {
        for path in [c"/dev/map", c"/dev/map1"] {
            let flags = (libc::O_RDWR | libc::O_CLOEXEC) as usize;
            let file = system(libc::SYS_openat, [libc::AT_FDCWD as usize, path.as_ptr() as usize, flags, 0, 0, 0])?;
            system(libc::SYS_close, [file, 0, 0, 0, 0, 0])?;
        }
        Ok(false)
    }

    fn map(&mut self) -> Result<bool> {
        let (page, place) = (PAGE as usize, 3 * PAGE as usize);
        let protection = READ_WRITE.bits() as usize;
        let file = self.kept.as_raw_fd() as usize;
        let address =
            system(libc::SYS_mmap, [0, 4 * page, protection, libc::MAP_SHARED as usize, file, (1 << 20) - 4 * page])?;
        let value = self.value();
        raw::store(address + place, 1, u64::from(value));
        system(libc::SYS_mprotect, [address, 4 * page, libc::PROT_READ as usize, 0, 0, 0])?;
        system(libc::SYS_munmap, [address + page, page, 0, 0, 0, 0])?;
        let flags = (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as usize;
        system(libc::SYS_mremap, [address + place, page, page, flags, address + page, 0])?;
        system(libc::SYS_msync, [address, 3 * page, libc::MS_SYNC as usize, 0, 0, 0])?;
        mappings_are(VMAS + 3)?;
        let found = raw::load(address + page, 1) as u8;
        ensure!(found == value, "{found} instead of {value} was moved");
        system(libc::SYS_munmap, [address, 4 * page, 0, 0, 0, 0])?;
        mappings_are(VMAS)?;
        Ok(false)
    }

    fn store(&mut self) -> Result<bool> {
        // Each is done once, whatever comes between the load and the store.
        let before = self.vma.load(0);
        for _ in 0..5000 {
            self.vma.store(0, self.vma.load(0).wrapping_add(1));
        }
        let found = self.vma.load(0);
        ensure!(found == before.wrapping_add((5000 % 256) as u8), "{before} became {found}");
        Ok(false)
    }

    /// Fails unless the window has `value` up to `count`, and what it had before behind that.
    fn is_written(&self, count: usize, value: u8, before: u8) -> Result<()> {
        for offset in [0, 1, count / 2, count.saturating_sub(1)].into_iter().filter(|offset| *offset < count) {
            let found = self.vma.load(offset);
            ensure!(found == value, "{found} at {offset:#x} of {count:#x} written bytes, not {value}");
        }
        for offset in [count, count + 1, count + PAGE as usize - 1, LONG - 1] {
            let found = self.vma.load(offset);
            let untouched = offset >= LONG || found == before;
            ensure!(offset < count || untouched, "{found} at {offset:#x}, behind {count:#x} written bytes");
        }
        Ok(())
    }

    fn write(&mut self) -> Result<bool> {
        // What was there before is another value.
        let (value, before) = (self.value(), self.value() ^ 0xff);
        for offset in (0..LONG).step_by(PAGE as usize) {
            for offset in [offset, offset + 1, offset + PAGE as usize - 1] {
                self.vma.store(offset, before);
            }
        }
        let (file, buffer) = (self.kept.as_raw_fd() as usize, self.bytes.as_ptr() as usize);
        self.bytes.fill(value);
        let count = system(libc::SYS_pwrite64, [file, buffer, LONG, 0, 0, 0])?;
        ensure!(count > 0 && count <= LONG && count % PAGE as usize == 0, "{count} bytes");
        self.is_written(count, value, before)?;
        // The rest, as a program does that wants all of it.
        let mut all = count;
        while all < LONG {
            all += system(libc::SYS_pwrite64, [file, buffer + all, LONG - all, all, 0, 0])?;
        }
        self.is_written(LONG, value, before)?;
        Ok(count < LONG)
    }

    fn read(&mut self) -> Result<bool> {
        let value = self.value();
        self.vma.store(0, value);
        self.bytes.fill(!value);
        let (file, buffer) = (self.kept.as_raw_fd() as usize, self.bytes.as_mut_ptr() as usize);
        let count = system(libc::SYS_pread64, [file, buffer, LONG, 0, 0, 0])?;
        ensure!(count > 0 && count <= LONG, "{count} bytes");
        // All of the window was written by the call before.
        let right =
            self.bytes.iter().enumerate().all(|(place, byte)| *byte == if place < count { value } else { !value });
        ensure!(right, "not {count} bytes were read, or not those of the window");
        Ok(count < LONG)
    }

    fn splice(&mut self) -> Result<bool> {
        const WANTED: usize = 64 << 10;
        let (out, into) = pipe()?;
        let mut offset = 0_i64;
        let place = std::ptr::from_mut(&mut offset) as usize;
        let (file, pipe) = (self.kept.as_raw_fd() as usize, into.as_raw_fd() as usize);
        let count = system(libc::SYS_splice, [file, place, pipe, 0, WANTED, 0])?;
        ensure!(count > 0 && offset == count as i64, "{count} bytes, and the offset is {offset}");
        let mut done = 0;
        while done < count {
            let to = self.bytes[done..count].as_mut_ptr() as usize;
            done += system(libc::SYS_read, [out.as_raw_fd() as usize, to, count - done, 0, 0, 0])?;
        }
        let value = self.value();
        ensure!(self.bytes[..count].iter().all(|byte| *byte == value), "other bytes");
        Ok(count < WANTED)
    }

    fn send(&mut self) -> Result<bool> {
        let copy = File::options().read(true).write(true).create(true).truncate(true).open("/tmp/copy")?;
        let mut offset = 0_i64;
        let place = std::ptr::from_mut(&mut offset) as usize;
        let (file, target) = (self.kept.as_raw_fd() as usize, copy.as_raw_fd() as usize);
        let sent = system(libc::SYS_sendfile, [target, file, place, LONG, 0, 0]);
        let bytes = fs::read("/tmp/copy")?;
        // The kernel looks for a signal before it writes the first of what it has read.
        if sent == Err(Errno::EINTR) {
            ensure!(offset == 0 && bytes.is_empty(), "nothing was sent, but {} bytes are there", bytes.len());
            return Ok(true);
        }
        let count = sent?;
        ensure!(count > 0 && offset == count as i64, "{count} bytes, and the offset is {offset}");
        let value = self.value();
        ensure!(bytes.len() == count && bytes.iter().all(|byte| *byte == value), "{} of {count} bytes", bytes.len());
        Ok(count < LONG)
    }

    fn sync(&mut self) -> Result<bool> {
        for number in [libc::SYS_fsync, libc::SYS_fdatasync] {
            system(number, [self.kept.as_raw_fd() as usize, 0, 0, 0, 0, 0])?;
        }
        Ok(false)
    }

    fn ask(&mut self) -> Result<bool> {
        let (mut info, mut window) = (MapInfo::default(), MapWindow::default());
        ask(&self.all, abi::IOC_INFO, &mut info)?;
        ask(&self.kept, abi::IOC_WINDOW, &mut window)?;
        ensure!((window.start, window.length) == (START, 1 << 20), "{window:x?}");
        let mut check = MapCheck { start: START, length: PAGE, prot: 3, flags: 1, ..Default::default() };
        ask(&self.all, abi::IOC_CHECK, &mut check)?;
        // It has no interrupt to wait for, and says so.
        let waited = ask(&self.kept, abi::IOC_IRQ_WAIT, &mut MapIrqWait { interrupts: 1, ..Default::default() });
        ensure!(waited == Err(Errno::EINVAL), "a wait: {waited:?}");
        Ok(false)
    }

    fn debug(&mut self) -> Result<bool> {
        let memory = File::options().read(true).write(true).open("/proc/self/mem")?;
        let (place, value) = (self.vma.address() + (600 << 10), self.value());
        let length = 16 * PAGE as usize;
        let file = memory.as_raw_fd() as usize;
        self.bytes[..length].fill(value);
        let written = system(libc::SYS_pwrite64, [file, self.bytes.as_ptr() as usize, length, place, 0, 0])?;
        self.bytes[..length].fill(!value);
        let read = system(libc::SYS_pread64, [file, self.bytes.as_mut_ptr() as usize, length, place, 0, 0])?;
        ensure!(written > 0 && read > 0, "{written} bytes were written, {read} were read");
        let both = written.min(read);
        ensure!(self.bytes[..both].iter().all(|byte| *byte == value), "other bytes were read");
        ensure!(self.bytes[read..length].iter().all(|byte| *byte == !value), "more than {read} bytes were read");
        Ok(both < length)
    }

    fn configure(&mut self) -> Result<bool> {
        let cache = ["uncached", "wc", "cached"][self.round as usize % 3];
        self.window.set("cache", cache)?;
        ensure!(self.window.get("cache")? == cache, "it is {}", self.window.get("cache")?);
        let made = Directory::make("another")?;
        ensure!(Directory::make("another").map(drop) == Err(Errno::EEXIST), "it was made twice");
        made.remove()?;
        Ok(false)
    }

    fn enable(&mut self) -> Result<bool> {
        let minor = self.window.enable()?;
        ensure!(windows()?.lines().count() == 2, "the windows are {}", windows()?);
        let own = node(minor)?;
        let vma = Vma::shared(&own, 0, PAGE as usize)?;
        vma.store(0, self.value());
        self.window.set("enable", "0")?;
        ensure!(windows()?.lines().count() == 1, "the windows are {}", windows()?);
        let read = errno::result(own.read_at(&mut [0], 0));
        ensure!(read == Err(Errno::ENODEV), "read(2) of a window that is gone: {read:?}");
        Ok(false)
    }

    fn fork(&mut self) -> Result<bool> {
        let (place, value) = (800 << 10, self.value());
        let child = Child::spawn(|| {
            self.vma.store(place, value);
            0
        })?;
        let pid = child.pid();
        let status = loop {
            match waitpid(pid, None) {
                Err(Errno::EINTR) => (),
                status => break status?,
            }
        };
        std::mem::forget(child);
        ensure!(status == WaitStatus::Exited(pid, 0), "{status:?}");
        ensure!(self.vma.load(place) == value, "its store did not arrive");
        mappings_are(VMAS)?;
        Ok(false)
    }
}

pub fn signals_change_no_call(host: &mut Host) -> Result<()> {
    interrupt_calls(host, 15, 2)
}

pub fn thousands_of_signals_change_no_call(host: &mut Host) -> Result<()> {
    interrupt_calls(host, 300, 10)
}

/// Does all calls `rounds` times, and loads the modules `loads` times, with each action of the signals.
fn interrupt_calls(host: &mut Host, rounds: u64, loads: u64) -> Result<()> {
    let seed = super::seed()?;
    host.fill(seed)?;
    for (action, flags) in [("with SA_RESTART", SaFlags::SA_RESTART), ("without SA_RESTART", SaFlags::empty())] {
        CAUGHT.store(0, Relaxed);
        let storm = Storm::new(flags)?;
        interrupted_loads(loads).with_context(|| action.to_owned())?;
        let in_loads = CAUGHT.load(Relaxed);
        drop(storm);
        let config = Config::with(&["windows=kept@0xc0000000+1M:wc:memory"])?;
        let mut calls = Calls::new()?;
        let storm = Storm::new(flags)?;
        for _ in 0..rounds {
            calls.all_kinds().with_context(|| action.to_owned())?;
        }
        drop(storm);
        let caught = CAUGHT.load(Relaxed);
        let done = std::mem::take(&mut calls.done);
        // Behind the window `kept`, only the first byte of the other one.
        let value = calls.value();
        host.changed_range(seed, (START + (1 << 20), 1 << 20), &[], |_| 0)?;
        let second = (START + (2 << 20), 1 << 20);
        let same = value == pattern::byte(seed, second.0);
        host.changed_range(seed, second, if same { &[] } else { &[0..1] }, |_| value)?;
        drop(calls);
        mappings_are(0)?;
        drop(config);
        let lines: Vec<_> =
            done.iter().map(|(name, (count, short))| format!("{count} {name} ({short} short)")).collect();
        host.note(format!("{action}: {caught} signals, {in_loads} of them in {loads} loads; {}\n", lines.join(", ")))?;
        ensure!(caught >= rounds * KINDS.len() as u64, "only {caught} signals were caught");
        ensure!(in_loads >= loads, "only {in_loads} signals during {loads} loads");
        for name in ["pwrite", "pread"] {
            let short = done.get(name).map_or(0, |(_, short)| *short);
            ensure!(short > 0, "no signal came in the middle of {name}");
        }
    }
    Ok(())
}

/// Loads and unloads all modules.
fn interrupted_loads(loads: u64) -> Result<()> {
    let before = kernel::traces()?;
    for _ in 0..loads {
        for (file, parameters) in [(MODULE, "windows=kept@0xc0000000+1M"), (CONFIGFS, ""), (MAP_CONFIG, "")] {
            kernel::load(file, &[parameters])?.context(file)?;
        }
        for name in ["map_config", "configfs", "map"] {
            match kernel::unload(name)? {
                Ok(()) => (),
                Err(errno) => bail!("unloading {name}: {errno}"),
            }
        }
        kernel::unchanged(&before, &kernel::traces()?)?;
    }
    Ok(())
}
