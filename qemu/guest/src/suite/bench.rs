// SPDX-License-Identifier: MIT OR Apache-2.0

//! Measures what system calls on a device cost: `map-suite bench`, for `map-qemu bench`, whose guest's clock counts
//! instructions.

pub mod bulk;
mod commands;
mod interrupt;

use std::{
    fs::{self, File},
    hint::black_box,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{bail, Context, Result};
use map_core::abi;
use map_protocol::{Figure, MODULE, TWIN, UIO};
use nix::libc;

use crate::{
    child::succeeds_in_child,
    kernel::Loaded,
    runtime::{Config, Directory},
    user,
    vma::Vma,
    windows::ask,
};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;
const PAGE: usize = 4 * KIB;
/// The distance of the touches that reach every huge page.
const HUGE: usize = 2 * MIB;

/// The sizes that are mapped.
const SIZES: [usize; 6] = [4 * KIB, 64 * KIB, 3 * MIB, 64 * MIB, 512 * MIB, GIB];

/// How often each call is measured.
const REPEATS: usize = 5;

/// What is measured beside each other.
struct Contender {
    /// Its name in the table.
    name: &'static str,
    /// What it loads: a module, its file, and its parameters, in which `{}` is the start of the memory.
    module: Option<(&'static str, &'static str, &'static str)>,
    /// Where it has the memory.
    node: Node,
    /// Flags for open(2).
    flags: i32,
}

/// The device with the memory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Node {
    /// This one, in which the offset is the physical address.
    Physical(&'static str),
    /// The UIO device of this name, in which offset 0 is the first region.
    Uio(&'static str),
}

/// The driver's own node.
const MAP: Node = Node::Physical("/dev/map");

/// All of them, on the same memory.
const CONTENDERS: &[Contender] = &[
    Contender { name: "/dev/mem", module: None, node: Node::Physical("/dev/mem"), flags: libc::O_SYNC },
    Contender { name: "C twin", module: Some(("twin", TWIN, "")), node: Node::Physical("/dev/twin"), flags: 0 },
    Contender {
        name: "UIO",
        module: Some(("uio_bench", UIO, "start={} size=0x40000000")),
        node: Node::Uio("uio_bench"),
        flags: 0,
    },
    Contender::map("window", "windows=bench@{}+1G"),
    Contender::map("window, wc", "windows=bench@{}+1G:wc"),
    Contender::map("window, cached", "windows=bench@{}+1G:cached"),
    Contender::map("window, huge=never", "windows=bench@{}+1G:huge=never"),
    Contender::map("raw mode", ""),
    Contender::map("raw mode, huge=never", "huge=never"),
];

impl Contender {
    const fn map(name: &'static str, parameters: &'static str) -> Self {
        Self { name, module: Some(("map", MODULE, parameters)), node: MAP, flags: 0 }
    }

    /// Loads its module, on the memory at `start`.
    fn load(&self, start: &str) -> Result<Option<Loaded>> {
        let load = |(name, file, parameters): (&'static str, &str, &str)| {
            Loaded::module(name, file, &[&parameters.replace("{}", start)])
        };
        self.module.map(load).transpose()
    }
}

impl Node {
    /// Its path in /dev.
    fn path(self) -> Result<PathBuf> {
        let name = match self {
            Node::Physical(path) => return Ok(path.into()),
            Node::Uio(name) => name,
        };
        for device in fs::read_dir("/sys/class/uio")? {
            let device = device?;
            if fs::read_to_string(device.path().join("name"))?.trim() == name {
                return Ok(Path::new("/dev").join(device.file_name()));
            }
        }
        bail!("there is no UIO device {name}")
    }

    /// The offset of the memory at `start`.
    fn offset(self, start: u64) -> u64 {
        match self {
            Node::Physical(_) => start,
            Node::Uio(_) => 0,
        }
    }
}

/// Prints a figure a line: what each kind of call costs each contender, on the GiB of memory at `start`, and what
/// programs cost that read it.
pub fn run(start: &str) -> Result<()> {
    let memory = parse(start)?;
    for contender in CONTENDERS {
        let _module = contender.load(start).context(contender.name)?;
        // In a process of its own: the heap of one that has read 3 MiB is larger, and so every fork of it costs more.
        succeeds_in_child(|| match measure_contender(contender, memory) {
            Ok(()) => 0,
            Err(error) => {
                eprintln!("{error:#}");
                1
            }
        })
        .context(contender.name)?;
    }
    bulk::run(start)?;
    commands::run(memory)?;
    revocation(memory)?;
    interrupt::run()
}

fn parse(start: &str) -> Result<u64> {
    let digits = start.strip_prefix("0x").context("give the start in hexadecimal, after 0x")?;
    Ok(u64::from_str_radix(digits, 16)?)
}

fn measure_contender(contender: &Contender, start: u64) -> Result<()> {
    let path = contender.node.path()?;
    let offset = contender.node.offset(start);
    let open = || {
        let mut options = File::options();
        options.read(true).write(true).custom_flags(contender.flags);
        options.open(&path).with_context(|| format!("cannot open {}", path.display()))
    };
    let file = open()?;
    let report = |work: &str, bytes: usize, costs: Vec<u64>| report(contender.name, work, bytes, None, costs);
    report("open and close", 0, measure(|| open().map(drop))?)?;
    for size in SIZES {
        let map = || Vma::shared(&file, offset, size);
        report("mmap and munmap", size, measure(|| Ok(map().map(drop)?))?)?;
        report("the same, one load", size, measure(|| Ok(map().map(|vma| touch(&vma, size, size))?))?)?;
        if size > HUGE {
            report("the same, a load each 2 MiB", size, measure(|| Ok(map().map(|vma| touch(&vma, size, HUGE))?))?)?;
        }
        if size <= 64 * MIB {
            report("the same, a load each page", size, measure(|| Ok(map().map(|vma| touch(&vma, size, PAGE))?))?)?;
        }
        let vma = map()?;
        touch(&vma, size, PAGE.max(size / 512));
        report("fork while it is mapped", size, measure(|| succeeds_in_child(|| 0))?)?;
    }
    if contender.node == MAP {
        let question = abi::MapCheck {
            start,
            length: 3 * MIB as u64,
            prot: abi::PROT_READ,
            flags: abi::MAP_SHARED,
            ..Default::default()
        };
        report("MAP_IOC_CHECK", 3 * MIB, measure(|| Ok(ask(&file, abi::IOC_CHECK, &mut question.clone())?))?)?;
    }
    let own = if Path::new("/dev/map1").exists() { Some(user::open_window(1)?) } else { None };
    for size in [4 * KIB, 3 * MIB] {
        let mut bytes = vec![0; size];
        match &own {
            Some(own) => report("read", size, measure(|| Ok(own.read_exact_at(&mut bytes, 0)?))?)?,
            // A STRICT_DEVMEM kernel reads only the first MiB.
            // That of UIO waits for interrupts.
            None if file.read_exact_at(&mut bytes, offset).is_ok() => {
                report("read", size, measure(|| Ok(file.read_exact_at(&mut bytes, offset)?))?)?;
            }
            None => (),
        }
    }
    Ok(())
}

/// Loads a byte of each `step` bytes.
fn touch(vma: &Vma, size: usize, step: usize) {
    for offset in (0..size).step_by(step) {
        black_box(vma.load(offset));
    }
}

/// What it costs to take a window from processes that have mapped it.
fn revocation(start: u64) -> Result<()> {
    let _config = Config::new()?;
    let window = Directory::of("bench", start, 3 * MIB as u64)?;
    for mappings in [0, 1, 10, 100] {
        let mut costs = Vec::new();
        for _ in 0..REPEATS {
            window.enable()?;
            let node = user::open()?;
            let mapped: Vec<_> = (0..mappings).map(|_| Vma::shared(&node, start, 3 * MIB)).collect::<Result<_, _>>()?;
            mapped.iter().for_each(|vma| touch(vma, 3 * MIB, PAGE));
            let began = Instant::now();
            window.set("enable", "0")?;
            costs.push(nanoseconds(began)?);
        }
        report("window", &format!("disable with {mappings} mappings"), 3 * MIB, None, costs)?;
    }
    Ok(())
}

/// What each of some calls costs, after one that may allocate or touch memory for the first time.
fn measure(mut call: impl FnMut() -> Result<()>) -> Result<Vec<u64>> {
    call()?;
    (0..REPEATS)
        .map(|_| {
            let began = Instant::now();
            call()?;
            nanoseconds(began)
        })
        .collect()
}

fn nanoseconds(began: Instant) -> Result<u64> {
    Ok(u64::try_from(began.elapsed().as_nanos())?)
}

/// Prints a figure. With `parts`, the costs are those of one of so many parts of the work.
fn report(contender: &str, work: &str, bytes: usize, parts: Option<u64>, costs: Vec<u64>) -> Result<()> {
    let figure = Figure { contender: contender.into(), work: work.into(), bytes: bytes as u64, parts, costs };
    println!("{}", serde_json::to_string(&figure)?);
    Ok(())
}
