// SPDX-License-Identifier: MIT OR Apache-2.0

//! The modules are loaded and unloaded again and again while programs open, map, store, look and add windows, and while
//! one does udev's work. Unloading gives 0, EBUSY or EAGAIN; when it has worked, nothing of the driver is left
//! anywhere.

use std::{
    fs,
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{bail, ensure, Context, Result};
use map_protocol::{Fuzz, CONFIGFS, MAP_CONFIG};
use nix::{
    errno::Errno,
    libc,
    mount::{mount, umount, MsFlags},
    sys::stat::{makedev, mknod, Mode, SFlag},
};

use super::{calls::open, counts::Counts, uevents::Uevents, witness::nobody_has_a_node};
use crate::{
    child::{self, Child},
    errno,
    host::{Host, PAGE, START},
    kernel::{self, is_debug, Loaded},
    model::lockdep,
    random::Random,
    raw::call,
    runtime::Directory,
    vma::Vma,
};

/// Where a process makes nodes, as udev does in /dev.
pub const NODES: &str = "/tmp/nodes";

/// Where configfs is mounted.
const CONFIG: &str = "/sys/kernel/config";

/// The cache types of the window, in turn.
const CACHES: [&str; 3] = ["wc", "cached", "uc"];

/// How often the modules are loaded. Lockdep has room for what it sees of a module, and gives none back: with 2^17
/// words for stack traces a guest can do some two hundred loads. The kernel without it does what is promised.
fn most_cycles() -> u64 {
    if is_debug() {
        60
    } else {
        1000
    }
}

/// How often the unloading of a module is refused before those who use it have to pause.
const PATIENCE: u64 = 40;

/// The places in [`Counts`]: whether to stop, whether to pause, and for each worker what has worked.
const STOP: usize = 0;
const PAUSE: usize = 1;
const CYCLE: usize = 2;
const WORKED: usize = 3;

/// After so long a cycle hangs.
const HANGS: Duration = Duration::from_secs(60);

/// Writes to the kernel's log what every process does, whenever a cycle hangs.
fn watch(counts: &Counts) -> Result<()> {
    let (mut cycle, mut since) = (counts.get(CYCLE), Instant::now());
    while counts.get(STOP) == 0 {
        thread::sleep(Duration::from_millis(500));
        if counts.get(CYCLE) != cycle {
            (cycle, since) = (counts.get(CYCLE), Instant::now());
        }
        if since.elapsed() >= HANGS {
            since = Instant::now();
            for process in fs::read_dir("/proc")?.flatten() {
                let shown = |file: &str| fs::read_to_string(process.path().join(file)).unwrap_or_default();
                let doing = ["comm", "wchan", "syscall"].map(shown).join(" ").replace('\n', "");
                let process = process.file_name().into_string().unwrap_or_default();
                fs::write("/dev/kmsg", format!("<4>map-suite: cycle {cycle} hangs: {process} {doing}\n"))?;
            }
        }
    }
    Ok(())
}

/// A process that works beside the loads.
struct Worker<'a> {
    number: usize,
    counts: &'a Counts,
    random: Random,
}

impl Worker<'_> {
    /// Whether it is to go on. Waits as long as everybody pauses.
    fn goes_on(&self) -> bool {
        while self.counts.get(PAUSE) != 0 && self.counts.get(STOP) == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        self.counts.get(STOP) == 0
    }

    /// Counts what has worked. What has not must be one of `allowed`: the driver was not there, or not there any more.
    fn count<T>(&self, result: Result<T, Errno>, allowed: &[Errno]) -> Result<Option<T>> {
        match result {
            Ok(value) => {
                self.counts.add(WORKED + self.number);
                Ok(Some(value))
            }
            Err(errno) if allowed.contains(&errno) => Ok(None),
            Err(errno) => bail!("it failed with {errno}"),
        }
    }

    /// The page in which it stores, and what nobody else stores there.
    fn page(&self) -> u64 {
        self.number as u64 * PAGE
    }
}

type Work = fn(&mut Worker<'_>) -> Result<()>;

/// Who works. Each of the first ones has a page of the window for itself.
const WORKERS: [(&str, Work); 7] = [
    ("open, mmap, store", open_and_store),
    ("the same through nodes that udev makes", open_and_store_by_nodes),
    ("fork with a mapping", fork_and_hold),
    ("readers of debugfs, sysfs and proc", look),
    ("udev", make_nodes),
    ("configfs", add_windows),
    ("pread and pwrite", read_and_write),
];

/// The driver is not loaded, is being loaded or unloaded, or its window went.
const ABSENT: &[Errno] = &[Errno::ENOENT, Errno::ENXIO, Errno::ENODEV];

/// Stores through nodes of these paths, and finds what was stored before, across loads.
fn stores(worker: &mut Worker<'_>, paths: &[(&str, u64)]) -> Result<()> {
    let mut stored: Option<u8> = None;
    while worker.goes_on() {
        let (path, base) = worker.random.one_of(paths);
        let Some(file) = worker.count(open(path, true), ABSENT)? else {
            thread::yield_now();
            continue;
        };
        // The driver cannot go now, and the window is that of its parameter.
        let vma = Vma::shared(&file, base + worker.page(), PAGE as usize).context("mmap")?;
        drop(file);
        if let Some(stored) = stored {
            ensure!(vma.load(5) == stored, "{:#x} was stored, and {:#x} is there", stored, vma.load(5));
        }
        let value = worker.random.next() as u8;
        vma.store(5, value);
        stored = Some(value);
        ensure!(vma.load(5) == value, "it does not keep what is stored");
        drop(vma);
        // The driver can go only while nobody has it.
        thread::sleep(Duration::from_micros(worker.random.below(500)));
    }
    Ok(())
}

fn open_and_store(worker: &mut Worker<'_>) -> Result<()> {
    stores(worker, &[("/dev/map", START), ("/dev/map1", 0)])
}

fn open_and_store_by_nodes(worker: &mut Worker<'_>) -> Result<()> {
    stores(worker, &[("/tmp/nodes/map", START), ("/tmp/nodes/map1", 0)])
}

fn fork_and_hold(worker: &mut Worker<'_>) -> Result<()> {
    while worker.goes_on() {
        let Some(file) = worker.count(open("/dev/map1", true), ABSENT)? else {
            thread::yield_now();
            continue;
        };
        let vma = Vma::shared(&file, worker.page(), PAGE as usize).context("mmap")?;
        drop(file);
        let value = worker.random.next() as u8;
        child::check(child::in_child(|| {
            vma.store(9, value);
            thread::sleep(Duration::from_micros(200));
            0
        })?)?;
        ensure!(vma.load(9) == value, "the child's store did not arrive");
        drop(vma);
        thread::sleep(Duration::from_micros(worker.random.below(3000)));
    }
    Ok(())
}

fn look(worker: &mut Worker<'_>) -> Result<()> {
    let names = ["name", "start", "size", "access", "cache", "huge", "origin", "mappings", "uevent", "dev"];
    // A file of sysfs or debugfs that outlives its object gives EIO.
    let allowed = &[ABSENT, &[Errno::EIO]].concat();
    while worker.goes_on() {
        for name in ["windows", "mappings", "refusals", "interrupts"] {
            worker.count(errno::result(fs::read(format!("/sys/kernel/debug/map/{name}"))), allowed)?;
        }
        let node = format!("/sys/class/map/map{}", 1 + worker.random.below(2));
        for name in names {
            worker.count(errno::result(fs::read(format!("{node}/{name}"))), allowed)?;
        }
        worker.count(errno::result(fs::read("/sys/module/map/refcnt")), allowed)?;
        for name in ["iomem", "devices", "modules"] {
            worker.count(errno::result(fs::read(format!("/proc/{name}"))), allowed)?;
        }
        if let Some(file) = worker.count(open("/dev/map", true), ABSENT)? {
            let shown = fs::read_to_string(super::witness::fdinfo(&file))?;
            ensure!(shown.contains("map-mode:\twindows\n"), "{shown}");
        }
        thread::sleep(Duration::from_micros(500));
    }
    Ok(())
}

/// Does what udev does: makes a node for each device that comes, looks at it and at the kernel's own, opens it, and
/// removes it when the device goes.
fn make_nodes(worker: &mut Worker<'_>) -> Result<()> {
    let uevents = Uevents::new()?;
    fs::create_dir_all(NODES)?;
    while worker.goes_on() {
        let Some(event) = uevents.next()? else { continue };
        if event.get("SUBSYSTEM") != "map" {
            continue;
        }
        let name = event.get("DEVNAME").trim_start_matches("/dev/").to_owned();
        let node = format!("{NODES}/{name}");
        if event.get("ACTION") == "remove" {
            worker.count(errno::result(fs::remove_file(&node)), &[Errno::ENOENT])?;
            continue;
        }
        ensure!(event.get("ACTION") == "add", "{} of {name}", event.get("ACTION"));
        let (major, minor) = (event.get("MAJOR").parse()?, event.get("MINOR").parse()?);
        let owner = Mode::S_IRUSR | Mode::S_IWUSR;
        let number = makedev(major, minor);
        worker.count(mknod(Path::new(&node), SFlag::S_IFCHR, owner, number), &[Errno::EEXIST])?;
        if let Some(own) = worker.count(errno::result(fs::metadata(format!("/dev/{name}"))), ABSENT)? {
            ensure!(own.rdev() == number, "/dev/{name} is {:#x}, and the event says {number:#x}", own.rdev());
        }
        if let Some(file) = worker.count(open(&node, true), ABSENT)? {
            // Its window may be one that goes.
            let length = PAGE as usize;
            let offset = if minor == 0 { START } else { 0 };
            worker.count(Vma::shared(&file, offset, length).map(drop), &[Errno::ENODEV, Errno::EPERM])?;
        }
        let shown = fs::read_to_string(format!("/sys{}/name", event.get("DEVPATH")));
        if let Some(shown) = worker.count(errno::result(shown), &[ABSENT, &[Errno::EIO]].concat())? {
            ensure!(["kept\n", "late\n"].contains(&shown.as_str()), "{name} is called {shown:?}");
        }
    }
    Ok(())
}

fn add_windows(worker: &mut Worker<'_>) -> Result<()> {
    let mut added = 0;
    while worker.goes_on() {
        // While the module is unloaded there is no such directory, and none can be made in it.
        let Some(directory) = worker.count(Directory::make("late"), &[Errno::ENOENT, Errno::EINVAL, Errno::EPERM])?
        else {
            thread::sleep(Duration::from_micros(200));
            continue;
        };
        // From here on the module cannot go.
        for (file, value) in [("start", "0xc0200000"), ("size", "64K"), ("memory", "1"), ("enable", "1")] {
            directory.set(file, value).with_context(|| format!("{value} in {file}"))?;
        }
        let minor = directory.get("minor")?;
        let file = open(&format!("/dev/map{minor}"), true).with_context(|| format!("the node {minor}"))?;
        let vma = Vma::shared(&file, 0, PAGE as usize)?;
        added += 1;
        let value = added as u8;
        vma.store(5, value);
        let mut byte = [0];
        file.read_exact_at(&mut byte, 5)?;
        ensure!(byte == [value], "{value:#x} was stored, and {:#x} was read", byte[0]);
        if worker.random.chance(50) {
            directory.set("enable", "0").context("disabling")?;
        }
        directory.remove().context("rmdir")?;
        drop((vma, file));
        thread::sleep(Duration::from_micros(worker.random.below(2000)));
    }
    ensure!(added > 0, "no window was added");
    Ok(())
}

fn read_and_write(worker: &mut Worker<'_>) -> Result<()> {
    while worker.goes_on() {
        let Some(file) = worker.count(open("/dev/map1", true), ABSENT)? else {
            thread::yield_now();
            continue;
        };
        let mut bytes = [worker.random.next() as u8; 64];
        let expected = bytes;
        file.write_all_at(&bytes, worker.page() + 100)?;
        bytes.fill(0);
        file.read_exact_at(&mut bytes, worker.page() + 100)?;
        ensure!(bytes == expected, "other bytes were read than written");
        file.sync_all()?;
        drop(file);
        thread::sleep(Duration::from_micros(worker.random.below(1000)));
    }
    Ok(())
}

/// configfs, mounted; all of it goes when dropped.
struct Mounted {
    _module: Loaded,
}

impl Mounted {
    fn new() -> Result<Self> {
        let module = Loaded::module("configfs", CONFIGFS, &[])?;
        let mounted = Self { _module: module };
        mount(None::<&str>, CONFIG, Some("configfs"), MsFlags::empty(), None::<&str>)?;
        Ok(mounted)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = umount(CONFIG);
    }
}

/// How unloading went.
#[derive(Default)]
struct Unloads {
    refused: u64,
    paused: u64,
}

impl Unloads {
    /// Unloads a module, as often as it takes.
    fn unload(&mut self, name: &str, counts: &Counts) -> Result<()> {
        let mut refused = 0;
        loop {
            match kernel::unload(name)? {
                Ok(()) => break,
                Err(Errno::EAGAIN | Errno::EBUSY) => refused += 1,
                Err(errno) => bail!("unloading {name}: {errno}"),
            }
            if refused == PATIENCE {
                counts.set(PAUSE, 1);
                self.paused += 1;
            }
            ensure!(refused < 1000 * PATIENCE, "{name} is always in use: {:?}", kernel::users()?);
            thread::sleep(Duration::from_micros(if refused < PATIENCE { 30 } else { 1000 }));
        }
        counts.set(PAUSE, 0);
        self.refused += refused;
        Ok(())
    }
}

/// Where the kernel says which program loads modules on demand.
const MODPROBE: &str = "/proc/sys/kernel/modprobe";

pub fn modules_come_and_go_under_load(host: &mut Host) -> Result<()> {
    let Fuzz { seed, seconds, .. } = super::options()?;
    host.fill(seed)?;
    // For a node without a driver the kernel would start it, twice for each open(2).
    let modprobe = fs::read_to_string(MODPROBE)?;
    fs::write(MODPROBE, "\n")?;
    let mounted = Mounted::new()?;
    let before = kernel::traces()?;
    let counts = Counts::new(WORKED + WORKERS.len())?;
    let mut workers = Vec::new();
    for (number, (name, work)) in WORKERS.into_iter().enumerate() {
        let random = Random::new(seed ^ (number as u64) << 32);
        workers.push(Child::spawn(|| {
            // The loads have the processors first, or a cycle would take the time slices of all.
            call(libc::SYS_setpriority, [libc::PRIO_PROCESS as usize, 0, 19, 0, 0, 0]);
            let mut worker = Worker { number, counts: &counts, random };
            match work(&mut worker) {
                Ok(()) => 0,
                Err(error) => {
                    eprintln!("{name}: {error:#}");
                    1
                }
            }
        })?);
    }
    workers.push(Child::spawn(|| watch(&counts).is_err().into())?);
    let (mut random, mut unloads) = (Random::new(!seed), Unloads::default());
    let began = Instant::now();
    let (mut cycles, mut with_config) = (0, 0);
    for cycle in 0..most_cycles() {
        if seconds.is_some_and(|seconds| began.elapsed() >= Duration::from_secs(seconds)) {
            break;
        }
        counts.set(CYCLE, cycle + 1);
        if cycle % 100 == 0 {
            fs::write("/dev/kmsg", format!("<6>map-suite: modules_come_and_go_under_load, cycle {cycle}\n"))?;
        }
        let mut one = || -> Result<()> {
            let cache = CACHES[cycle as usize % CACHES.len()];
            kernel::insmod(&[&format!("windows=kept@0xc0000000+1M:{cache}:memory")])?.context("loading map")?;
            let configured = cycle % 3 != 0;
            if configured {
                kernel::load(MAP_CONFIG, &[])?.context("loading map_config")?;
                with_config += 1;
            }
            thread::sleep(Duration::from_micros(random.below(if cycle % 8 == 0 { 30_000 } else { 5000 })));
            if configured {
                unloads.unload("map_config", &counts)?;
            }
            unloads.unload("map", &counts)?;
            nobody_has_a_node()?;
            kernel::unchanged(&before, &kernel::traces()?)
        };
        one().with_context(|| format!("seed {seed}, cycle {cycle}"))?;
        cycles += 1;
        workers.iter_mut().try_for_each(|worker| {
            ensure!(worker.is_running()?, "a worker has ended by itself");
            Ok(())
        })?;
    }
    let took = began.elapsed();
    counts.set(STOP, 1);
    for worker in workers {
        child::check(worker.wait()?)?;
    }
    fs::remove_dir_all(NODES)?;
    drop(mounted);
    fs::write(MODPROBE, modprobe)?;
    // The pages of the workers, and the window that was added.
    let pages = WORKERS.len() as u64 * PAGE;
    host.changed_range(seed, (START + pages, (2 << 20) - pages), &[], |_| 0)?;
    host.changed_range(seed, (START + (2 << 20) + PAGE, (1 << 20) - PAGE), &[], |_| 0)?;
    let done: Vec<_> = (0..WORKERS.len()).map(|number| counts.get(WORKED + number)).collect();
    let lines: Vec<_> = WORKERS.iter().zip(&done).map(|((name, _), count)| format!("{count} {name}")).collect();
    host.note(format!(
        "seed {seed}: {cycles} loads and unloads of map, {with_config} of map_config, {} s; unloading was refused {} \
         times, and {} times everybody had to pause; meanwhile: {}\n{}\n",
        took.as_secs(),
        unloads.refused,
        unloads.paused,
        lines.join(", "),
        lockdep()?
    ))?;
    ensure!(cycles >= 20, "only {cycles} loads");
    ensure!(unloads.refused >= cycles / 4, "unloading was refused only {} times", unloads.refused);
    for ((name, _), count) in WORKERS.iter().zip(&done) {
        ensure!(*count >= cycles / 4, "only {count} times: {name}");
    }
    Ok(())
}
