// SPDX-License-Identifier: MIT OR Apache-2.0

//! A window is disabled while threads and processes load, store, read, write, fork, move, protect and map, and read
//! what the driver tells. The host, which fills the memory after every call, is the witness that no store arrives after
//! it has returned.

use std::{
    fs::{self, File},
    io::{Read, Write},
    os::{
        fd::AsRawFd,
        unix::{fs::FileExt, net::UnixStream},
    },
    path::Path,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use anyhow::{bail, ensure, Context, Result};
use nix::{
    errno::Errno,
    libc,
    sched::{sched_setaffinity, CpuSet},
    sys::{mman::ProtFlags, signal::Signal, wait::WaitStatus},
    unistd::{pipe, Pid},
};

use crate::{
    arch::HUGE_PAGES,
    child::{in_child, killed_by, Child},
    errno,
    host::{Host, LENGTH, PAGE, START},
    kernel::{self, is_slow},
    runtime::{Config, Directory},
    user::{self, open_window as node},
    vma::{zero_at, Vma, READ_WRITE},
    Skip, Test,
};

/// Enough to see that it works.
pub const SHORT: &[Test] = &[
    Test { name: "two_processors_share_the_work", run: two_processors_share_the_work },
    Test { name: "no_store_arrives_after_a_window_is_disabled", run: no_store_arrives_after_a_window_is_disabled },
    Test { name: "a_mapping_that_is_being_made_is_taken_away", run: a_mapping_that_is_being_made_is_taken_away },
    Test {
        name: "no_fork_keeps_a_huge_page_of_a_window_that_goes",
        run: no_fork_keeps_a_huge_page_of_a_window_that_goes,
    },
];

/// As often as the promise says. It takes its time, so it is a suite of its own.
pub const LONG: &[Test] = &[Test {
    name: "ten_thousand_windows_go_and_no_store_arrives_later",
    run: ten_thousand_windows_go_and_no_store_arrives_later,
}];

/// The races need two processors.
fn two_processors_share_the_work(_: &mut Host) -> Result<()> {
    let processors = thread::available_parallelism()?.get();
    ensure!(processors >= 2, "the guest has {processors}");
    Ok(())
}

/// The size of the window: small, so that the host looks at it often, or large, so that it has huge pages. The workers
/// are forked afterwards.
static SIZE: AtomicUsize = AtomicUsize::new(0);

/// The sizes, as the driver takes them.
const SIZES: [(&str, usize); 2] = [("64K", 16 * PAGE as usize), ("3M", LENGTH as usize)];

fn size() -> usize {
    SIZE.load(Relaxed)
}

/// As long as it exists, the workers begin again.
const GO: &str = "/tmp/go";

/// How a worker ended in the middle of its work.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// There was no window when it began.
    Absent,
    /// The window went.
    Revoked,
}

/// Maps the window, by its own node or by the address.
fn map() -> Option<Vma> {
    match node(1) {
        Ok(own) => Vma::shared(&own, 0, size()).ok(),
        Err(_) => Vma::shared(&user::open().ok()?, START, size()).ok(),
    }
}

/// The work of a process, up to the end of the window.
type Work = fn() -> Result<End>;

/// All kinds of work. Stores and loads of the process itself end it by SIGBUS.
const WORK: [(&str, Work); 7] = [
    ("threads that load and store", load_and_store),
    ("threads that move, protect and map what system calls store into", move_and_protect),
    ("read(2) and write(2) of the node", read_and_write),
    ("children that store", fork),
    ("new mappings", map_anew),
    ("a debugger", debug),
    ("readers of what the driver tells", look),
];

fn load_and_store() -> Result<End> {
    let Some(vma) = map() else { return Ok(End::Absent) };
    let stores = |first: usize| {
        for value in (0..=u8::MAX).cycle() {
            (first..size()).step_by(97).for_each(|offset| vma.store(offset, value));
            std::hint::black_box(vma.load(first));
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| stores(0));
        stores(1);
    });
    bail!("the stores ended")
}

fn move_and_protect() -> Result<End> {
    let Some(vma) = map() else { return Ok(End::Absent) };
    let zeros = File::open("/dev/zero")?;
    let places = [Vma::reserve(size())?, Vma::reserve(size())?];
    let address = AtomicUsize::new(vma.address());
    thread::scope(|scope| {
        let storing = scope.spawn(|| {
            // Also where the mapping was before: nothing else comes there, since this process allocates nothing large.
            // 0 ends it.
            while address.load(Relaxed) != 0 {
                let _ = zero_at(&zeros, address.load(Relaxed), 2 * PAGE as usize);
            }
        });
        let moved = || -> Result<End> {
            let mut vma = vma;
            for place in places.into_iter().chain((0..).map_while(|_| Vma::reserve(size()).ok())) {
                vma = vma.move_to(place)?;
                address.store(vma.address(), Relaxed);
                vma.protect(ProtFlags::PROT_READ)?;
                vma.protect(READ_WRITE)?;
                vma.unmap(size() / 2..size() / 2 + PAGE as usize)?;
                let Some(another) = map() else { break };
                if zero_at(&zeros, another.address(), size()).is_err() {
                    break;
                }
                // The hole cannot be moved along.
                vma = another;
                address.store(vma.address(), Relaxed);
            }
            Ok(End::Revoked)
        };
        let end = moved();
        address.store(0, Relaxed);
        storing.join().map_err(|_| anyhow::anyhow!("the thread panicked"))?;
        end
    })
}

fn read_and_write() -> Result<End> {
    let Ok(own) = node(1) else { return Ok(End::Absent) };
    let mut bytes = vec![0; size()];
    for value in (0..=u8::MAX).cycle() {
        bytes.fill(value);
        for result in [own.write_all_at(&bytes[5..], 5), own.read_exact_at(&mut bytes, 0), own.sync_all()] {
            match errno::result(result) {
                Ok(()) => (),
                Err(Errno::ENODEV) => return Ok(End::Revoked),
                Err(errno) => bail!("it failed with {errno}"),
            }
        }
    }
    bail!("the writes ended")
}

fn fork() -> Result<End> {
    let Some(vma) = map() else { return Ok(End::Absent) };
    loop {
        let status = in_child(|| {
            (0..size()).step_by(61).for_each(|offset| vma.store(offset, 0xf0));
            0
        })?;
        match status {
            WaitStatus::Exited(_, 0) => (),
            WaitStatus::Signaled(_, Signal::SIGBUS, _) => return Ok(End::Revoked),
            other => bail!("a child ended with {other:?}"),
        }
    }
}

fn map_anew() -> Result<End> {
    let mut end = End::Absent;
    while let Some(vma) = map() {
        (0..size()).step_by(PAGE as usize).for_each(|offset| vma.store(offset + 3, 0xa0));
        end = End::Revoked;
    }
    Ok(end)
}

fn debug() -> Result<End> {
    let Some(vma) = map() else { return Ok(End::Absent) };
    let memory = File::options().read(true).write(true).open("/proc/self/mem")?;
    let mut bytes = [0xdb; 100];
    loop {
        let place = vma.address() as u64 + 200;
        if memory.write_all_at(&bytes, place).and_then(|()| memory.read_exact_at(&mut bytes, place)).is_err() {
            return Ok(End::Revoked);
        }
        bytes.fill(0xdb);
    }
}

fn look() -> Result<End> {
    let Ok(own) = node(1) else { return Ok(End::Absent) };
    let of_file = format!("/proc/self/fdinfo/{}", own.as_raw_fd());
    loop {
        for name in ["windows", "mappings", "refusals", "interrupts"] {
            fs::read(Path::new("/sys/kernel/debug/map").join(name)).with_context(|| name)?;
        }
        for name in ["name", "start", "size", "access", "cache", "huge", "origin", "mappings"] {
            match errno::result(fs::read(Path::new("/sys/class/map/map1").join(name))) {
                Ok(_) | Err(Errno::ENOENT | Errno::ENODEV) => (),
                Err(errno) => bail!("reading {name} failed with {errno}"),
            }
        }
        if fs::read_to_string(&of_file)?.contains("map-mode:\tgone") {
            return Ok(End::Revoked);
        }
    }
}

/// Does the work again and again, until the window went in the middle of it at least once.
fn keep_on((what, work): (&str, Work)) -> i32 {
    let mut revoked = false;
    while !revoked || Path::new(GO).exists() {
        let status = in_child(|| match work() {
            Ok(End::Revoked) => 0,
            Ok(End::Absent) => 2,
            Err(error) => {
                eprintln!("{what}: {error:#}");
                1
            }
        });
        match status {
            Ok(WaitStatus::Exited(_, 2)) => thread::yield_now(),
            Ok(WaitStatus::Exited(_, 0) | WaitStatus::Signaled(_, Signal::SIGBUS, _)) => revoked = true,
            other => {
                eprintln!("{what}: {other:?}");
                return 1;
            }
        }
    }
    0
}

/// Enables and disables a window of each size, `rounds` times in all.
fn stress(host: &mut Host, rounds: u64) -> Result<()> {
    let mut notes = Vec::new();
    for (word, bytes) in SIZES {
        SIZE.store(bytes, Relaxed);
        let note = stress_with(host, word, rounds / SIZES.len() as u64);
        notes.push(note.with_context(|| format!("a window of {word}"))?);
    }
    host.note(notes.join("\n"))
}

fn stress_with(host: &mut Host, word: &str, rounds: u64) -> Result<String> {
    let _config = Config::new()?;
    // On arm64 system calls store at any alignment only into memory that is no device.
    let values = [("start", "0xc0000000"), ("size", word), ("cache", "wc"), ("memory", "1")];
    let window = Directory::with("window", &values)?;
    // From now on there is no raw mode, in which a worker would map the memory with another cache type.
    window.enable()?;
    window.set("enable", "0")?;
    fs::write(GO, "")?;
    let workers = WORK.map(|work| Child::spawn(|| keep_on(work))).into_iter().collect::<Result<Vec<_>>>();
    // They have the processors when nobody else needs them, or a round would take their time slices.
    for worker in workers.iter().flatten() {
        kernel::run("busybox", &["renice", "-n", "19", "-p", &worker.pid().to_string()])?;
    }
    let began = Instant::now();
    let result = (0..rounds).try_for_each(|round| {
        let minor = window.enable()?;
        ensure!(minor == 1, "its node is {minor}");
        // Other points of their work each time; some of them just begin.
        thread::sleep(Duration::from_micros(300 * (round % 23)));
        window.set("enable", "0").with_context(|| format!("round {round}"))?;
        host.fill_first(round, size() as u64)?;
        thread::sleep(Duration::from_micros(500 * (round % 3)));
        host.first_unchanged(round, size() as u64).with_context(|| format!("round {round}"))
    });
    let took = began.elapsed();
    fs::remove_file(GO)?;
    let mut workers = workers?;
    // A worker that has ended cannot be asked again.
    let mut failed = Vec::new();
    let mut more = 0;
    let deadline = Instant::now() + Duration::from_secs(60);
    while !workers.is_empty() && Instant::now() < deadline {
        // Whoever works now, ends when the window goes.
        window.enable()?;
        thread::sleep(Duration::from_millis(1));
        window.set("enable", "0")?;
        more += 1;
        workers.retain_mut(|worker| {
            worker.is_running().unwrap_or_else(|error| {
                failed.push(error);
                false
            })
        });
    }
    result?;
    ensure!(workers.is_empty(), "for {} of the workers the window never goes in the middle", workers.len());
    failed.into_iter().next().map_or(Ok(()), Err)?;
    Ok(format!(
        "{rounds} windows of {word} in {} s; then {more} in {} s",
        took.as_secs(),
        (began.elapsed() - took).as_secs()
    ))
}

fn no_store_arrives_after_a_window_is_disabled(host: &mut Host) -> Result<()> {
    stress(host, if is_slow() { 20 } else { 150 })
}

fn ten_thousand_windows_go_and_no_store_arrives_later(host: &mut Host) -> Result<()> {
    stress(host, 10_000)
}

/// A large mapping takes a while to make, and the kernel finds it by its memory only when it has been made.
fn a_mapping_that_is_being_made_is_taken_away(host: &mut Host) -> Result<()> {
    // A kernel that checks itself takes as long for less.
    let (word, size) = if kernel::is_debug() { ("512M", 512 << 20) } else { ("4G", 4 << 30) };
    const BEFORE: i32 = 10;
    const MEANWHILE: i32 = 11;
    if cfg!(any(target_arch = "aarch64", target_arch = "arm")) {
        let reason = "where nothing answers, a load is a SIGBUS in any case, and no memory here is large enough";
        return Err(Skip(reason.into()).into());
    }
    let _config = Config::new()?;
    // Nothing is there, and nothing looks.
    let window =
        Directory::with("large", &[("start", "0x2000000000"), ("size", word), ("shared", "1"), ("huge", "never")])?;
    let (mut before, mut meanwhile, mut after) = (0, 0, 0);
    let rounds = if is_slow() { 12 } else { 40 };
    for round in 0..rounds {
        window.enable()?;
        let own = node(1)?;
        let (mut tell, mut told) = UnixStream::pair()?;
        let child = Child::spawn_ready(|ready| {
            let mut tried = || -> Result<i32> {
                ready.signal()?;
                let vma = match Vma::shared(&own, 0, size) {
                    Err(Errno::ENODEV) => return Ok(2),
                    vma => vma?,
                };
                told.set_nonblocking(true)?;
                let began = told.read(&mut [0]).is_ok();
                told.set_nonblocking(false)?;
                // One byte before the window goes, one after it.
                told.read_exact(&mut vec![0; if began { 1 } else { 2 }])?;
                killed_by(Signal::SIGBUS, || vma.load(0)).context("the first page")?;
                killed_by(Signal::SIGBUS, || vma.load(size - 1)).context("the last page")?;
                Ok(if began { MEANWHILE } else { BEFORE })
            };
            tried().unwrap_or_else(|error| {
                eprintln!("{error:#}");
                1
            })
        })?;
        // Up to 16 ms.
        thread::sleep(Duration::from_micros(16_000 / rounds * round));
        tell.write_all(b"x")?;
        window.set("enable", "0")?;
        tell.write_all(b"y")?;
        match child.wait()? {
            WaitStatus::Exited(_, BEFORE) => before += 1,
            WaitStatus::Exited(_, MEANWHILE) => meanwhile += 1,
            WaitStatus::Exited(_, 2) => after += 1,
            other => bail!("round {round}: {other:?}"),
        }
    }
    host.note(format!("mapped before {before} times, meanwhile {meanwhile} times, too late {after} times"))?;
    ensure!(meanwhile > 0, "never in the middle of mmap(2): {before} before it, {after} after it");
    Ok(())
}

/// The size of a huge page.
const HUGE: usize = 2 << 20;

/// fork(2) looks at a huge page, and copies it a moment later: a window goes in between. That is so short that whoever
/// forks must be interrupted just there, by whoever removes the window on the same processor.
fn no_fork_keeps_a_huge_page_of_a_window_that_goes(host: &mut Host) -> Result<()> {
    if !HUGE_PAGES {
        return Err(Skip("this architecture has no huge pages for memory of devices".into()).into());
    }
    if !cfg!(target_arch = "x86_64") {
        let reason = "where nothing answers, a load is a signal, and no memory here is large enough";
        return Err(Skip(reason.into()).into());
    }
    const MOST_CHILDREN: usize = 60;
    // On a kernel that checks itself no larger mapping has huge pages.
    let (word, size) = if kernel::is_debug() { ("64M", 64 << 20) } else { ("1G", 1 << 30) };
    let _config = Config::new()?;
    let window = Directory::with("large", &[("start", "0x2000000000"), ("size", word), ("shared", "1")])?;
    let (mut forked, mut inherited) = (0, 0);
    let rounds = if is_slow() { 40 } else { 80 };
    for round in 0..rounds {
        window.enable()?;
        let vma = Vma::shared(&node(1)?, 0, size)?;
        (0..size).step_by(HUGE).for_each(|offset| {
            vma.load(offset);
        });
        ensure!(readable(&vma, size)? == size / HUGE, "the mapping does not have all its pages");
        // Whoever made the mapping is waited for in any case, so a child forks the others.
        let (mut tell, mut told) = UnixStream::pair()?;
        let parent = Child::spawn_ready(|ready| {
            let mut forks = || -> Result<i32> {
                pin(1)?;
                ready.signal()?;
                told.set_nonblocking(true)?;
                let mut children = Vec::new();
                while told.read(&mut [0]).is_err() {
                    if children.len() == MOST_CHILDREN {
                        // They must not look before the window has gone.
                        thread::yield_now();
                        continue;
                    }
                    let (go, mut gone) = UnixStream::pair()?;
                    let child = Child::spawn(|| {
                        // Until the window has gone.
                        let waited = gone.read_exact(&mut [0]);
                        waited.map_or(2, |()| readable(&vma, size).map_or(3, |pages| i32::from(pages > 0)))
                    })?;
                    children.push((child, go));
                }
                let count = children.len() as i32;
                for (mut child, mut go) in children {
                    go.write_all(b"x")?;
                    drop(go);
                    while child.is_running().context("a child still has pages of the window")? {
                        thread::yield_now();
                    }
                }
                Ok(100 + count)
            };
            forks().unwrap_or_else(|error| {
                eprintln!("{error:#}");
                1
            })
        })?;
        let (delay, enable) = (Duration::from_micros(20_000 / rounds * round), &window);
        thread::scope(|scope| {
            let remover = scope.spawn(move || -> Result<()> {
                // The process that forks leaves the processor to nobody else.
                hurry()?;
                pin(1)?;
                thread::sleep(delay);
                Ok(enable.set("enable", "0")?)
            });
            remover.join().map_err(|_| anyhow::anyhow!("the thread panicked"))?
        })?;
        ensure!(readable(&vma, size)? == 0, "this process still has pages of the window");
        tell.write_all(b"x")?;
        match parent.wait()? {
            WaitStatus::Exited(_, status @ 100..) => {
                inherited += status - 100;
                forked += i32::from(status > 100);
            }
            other => bail!("round {round}: {other:?}"),
        }
    }
    host.note(format!("{inherited} children of {rounds} processes, of which {forked} forked in time"))?;
    ensure!(forked > 0, "no process forked while the window went");
    Ok(())
}

/// How many huge pages of a mapping can be read: the kernel itself tries, for which there is no SIGBUS.
fn readable(vma: &Vma, size: usize) -> Result<usize> {
    let (from, to) = pipe()?;
    let is_readable = |offset: &usize| {
        // SAFETY: The kernel checks the address.
        let written = unsafe { libc::write(to.as_raw_fd(), (vma.address() + offset) as *const libc::c_void, 1) };
        written == 1
    };
    let count = (0..size).step_by(HUGE).filter(is_readable).count();
    drop(from);
    Ok(count)
}

/// Runs this thread on one processor only.
fn pin(processor: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(processor)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// From now on this thread runs as soon as it can, whatever else its processor does.
fn hurry() -> Result<()> {
    let priority = libc::sched_param { sched_priority: 1 };
    // SAFETY: The structure is valid.
    Errno::result(unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const priority) })?;
    Ok(())
}
