// SPDX-License-Identifier: MIT OR Apache-2.0

//! One guest from its boot to its end: its files, its messages, and the check of its kernel's log.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{bail, Context, Result};
use map_protocol::{Job, Page, Question, ToGuest, ToHost, JOB};

use crate::{
    arch::PageTables,
    flavour::Variant,
    initramfs::Initramfs,
    interrupt,
    kernels::KernelId,
    klog, libraries,
    machine::{self, Died, Hardware, Machine, MachineConfig},
    memory::Memory,
    module::Modules,
    pages,
    programs::Programs,
    setup::{Kernel, Tools},
    verdict::{self, ExpectedEnd},
};

/// How long a guest may take to shut down.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(20);

/// The files that every guest with one kernel is made from.
#[derive(Debug)]
pub struct Artifacts {
    /// The tools of its architecture.
    pub tools: Arc<Tools>,
    /// The kernel.
    pub kernel: Kernel,
    /// The driver and what it takes, built for that kernel.
    pub modules: Modules,
    /// Our programs, built for the guest.
    pub programs: Arc<Programs>,
}

/// Files by their names in the guest.
pub type Files = Vec<(String, Vec<u8>)>;

/// One guest.
#[derive(Debug)]
pub struct Guest<'a> {
    artifacts: &'a Artifacts,
    job: Job,
    append: Vec<String>,
    overlays: Vec<&'static str>,
    add: Vec<(PathBuf, PathBuf)>,
    files: Files,
    timeout: Duration,
    icount: bool,
    hardware: Hardware,
    /// What the kernel needs on this architecture alone.
    variant: Option<&'static Variant>,
    reports: &'static [&'static str],
    log: PathBuf,
}

/// What the host can see of a guest, and do to it.
#[derive(Debug)]
pub struct HostView<'a> {
    /// The guest's physical memory.
    pub memory: &'a Memory,
    /// The machine.
    pub machine: &'a mut Machine,
}

impl<'a> Guest<'a> {
    /// A guest that does `job` within `timeout`. `name` is part of the name of its kernel's log.
    pub fn new(artifacts: &'a Artifacts, name: &str, job: Job, timeout: Duration) -> Result<Self> {
        let directory = crate::target().join("guest");
        fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
        let stem = artifacts.kernel.id.stem();
        let log = directory.join(format!("{name}-{stem}-{}.log", process::id()));
        let overlays = artifacts.tools.arch.dt_overlay.into_iter().collect();
        let KernelId { arch, origin, flavour } = artifacts.kernel.id;
        let variant = flavour.variant(arch);
        let own = variant.map_or("", |variant| variant.append);
        let append = [origin.append, flavour.append, own].map(str::to_owned).to_vec();
        Ok(Self {
            artifacts,
            job,
            append,
            overlays,
            add: Vec::new(),
            files: Files::new(),
            timeout,
            icount: false,
            hardware: Hardware::default(),
            variant,
            reports: &[],
            log,
        })
    }

    /// Adds words to the kernel's command line.
    pub fn append(mut self, words: &[String]) -> Self {
        self.append.extend_from_slice(words);
        self
    }

    /// Adds an overlay of this source to the device tree.
    pub fn overlay(mut self, source: Option<&'static str>) -> Self {
        self.overlays.extend(source);
        self
    }

    /// Adds files of the host, each under its name in the guest.
    pub fn add(mut self, files: &[(PathBuf, PathBuf)]) -> Self {
        self.add.extend_from_slice(files);
        self
    }

    /// Adds files by their contents.
    pub fn files(mut self, files: Files) -> Self {
        self.files.extend(files);
        self
    }

    /// Makes the guest's clock count instructions.
    pub fn icount(mut self, icount: bool) -> Self {
        self.icount = icount;
        self
    }

    /// Sets how the machine differs from others.
    pub fn hardware(mut self, hardware: Hardware) -> Self {
        self.hardware = hardware;
        self
    }

    /// Sets the reports of the kernel, by a text in their first lines, whose call traces are no fault.
    pub fn reports(mut self, reports: &'static [&'static str]) -> Self {
        self.reports = reports;
        self
    }

    /// Boots the guest with `memory` and hands every message to `each`, except questions, which are answered here.
    ///
    /// Gives the exit status of the guest's task. The kernel's log is kept, and named in the error, only if something
    /// failed: the guest did not end as expected, or `each` failed.
    pub fn run(
        self,
        memory: &Memory,
        expected: ExpectedEnd<'_>,
        mut each: impl FnMut(&ToHost, &mut HostView<'_>) -> Result<()>,
    ) -> Result<i32> {
        let initramfs = self.pack()?;
        let end = self.serve(&initramfs, memory, &mut each);
        self.check(end, expected)
    }

    /// Boots the guest with its second serial port on this terminal.
    pub fn attach(self, memory: &Memory) -> Result<()> {
        let initramfs = self.pack()?;
        let end = machine::attach(&self.config(&initramfs), memory).map(|()| 0);
        self.check(end, ExpectedEnd::Clean).map(drop)
    }

    fn config<'b>(&'b self, initramfs: &'b File) -> MachineConfig<'b> {
        let arch = self.artifacts.tools.arch;
        let cpu = self.variant.and_then(|variant| variant.cpu);
        let processors = self.variant.and_then(|variant| variant.processors).unwrap_or(arch.processors);
        MachineConfig {
            arch,
            image: &self.artifacts.kernel.image,
            initramfs,
            overlays: &self.overlays,
            append: &self.append,
            // A clock that counts the instructions of one processor cannot serve another.
            processors: if self.icount { 1 } else { self.hardware.processors.unwrap_or(processors) },
            icount: self.icount,
            hardware: Hardware { cpu: self.hardware.cpu.or(cpu), ..self.hardware },
            log: &self.log,
        }
    }

    fn serve(
        &self,
        initramfs: &File,
        memory: &Memory,
        each: &mut dyn FnMut(&ToHost, &mut HostView<'_>) -> Result<()>,
    ) -> Result<i32> {
        let deadline = Instant::now() + self.timeout;
        let mut machine = Machine::start(&self.config(initramfs), memory)?;
        loop {
            let Some(message) = machine.next(deadline)? else {
                let status = machine.wait(Instant::now() + SHUTDOWN_TIMEOUT)?;
                bail!(Died(status));
            };
            match &message {
                ToHost::Ask(question) => {
                    let answer = answer(question, self.artifacts.tools.arch.page_tables, memory, &mut machine);
                    machine.send(&answer.unwrap_or_else(|error| ToGuest::Failed(format!("{error:#}"))))?;
                }
                ToHost::Broken(reason) => bail!("the guest could not start its task: {reason}"),
                other => each(other, &mut HostView { memory, machine: &mut machine })?,
            }
            if let ToHost::Exit(status) = message {
                machine.send(&ToGuest::Done)?;
                machine.wait(Instant::now() + SHUTDOWN_TIMEOUT).context("its task is done")?;
                return Ok(status);
            }
        }
    }

    /// Checks the `end` against the kernel's log, and removes the log unless a failure names it.
    fn check(&self, end: Result<i32>, expected: ExpectedEnd<'_>) -> Result<i32> {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = klog::without_races_of_the_kernel(&String::from_utf8_lossy(&log));
        let log = klog::without(&log, self.reports);
        let end = verdict::check(end, &log, &self.log, expected);
        if end.as_ref().err().is_none_or(interrupt::is_interruption) {
            let _ = fs::remove_file(&self.log);
        }
        end
    }

    /// Makes the guest's file system.
    fn pack(&self) -> Result<File> {
        let artifacts = self.artifacts;
        let mut archive = Initramfs::new()?;
        for path in ["/proc", "/sys", "/dev", "/tmp", "/run", "/mnt", "/sbin", "/usr/sbin", "/usr/local/bin"] {
            archive.directory(Path::new(path))?;
        }
        for (host, guest) in &artifacts.programs.0 {
            archive.copy(host, Path::new(guest))?;
        }
        archive.copy(&artifacts.tools.busybox, Path::new("/bin/busybox"))?;
        for (host, guest) in &artifacts.modules {
            archive.copy(host, Path::new(guest))?;
        }
        archive.text(Path::new("/etc/passwd"), 0o644, PASSWD.as_bytes())?;
        archive.text(Path::new("/etc/group"), 0o644, GROUP.as_bytes())?;
        archive.text(Path::new(JOB), 0o644, &serde_json::to_vec_pretty(&self.job)?)?;
        for (guest, bytes) in &self.files {
            archive.text(Path::new(guest), 0o644, bytes)?;
        }
        for (host, guest) in &self.add {
            libraries::add(&mut archive, host, guest)
                .with_context(|| format!("cannot add {}:{}", host.display(), guest.display()))?;
        }
        archive.finish()
    }
}

/// The guest's users: root, an ordinary user, and nobody.
const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/sh
user:x:1000:1000:user:/tmp:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/bin/false
";

const GROUP: &str = "\
root:x:0:
map:x:126:
user:x:1000:
nogroup:x:65534:
";

fn answer(question: &Question, tables: PageTables, memory: &Memory, machine: &mut Machine) -> Result<ToGuest> {
    match *question {
        Question::Fill { seed, start, length } => {
            memory.fill(seed, start, length)?;
            Ok(ToGuest::Done)
        }
        Question::Differences { seed, start, length } => {
            let (first, count) = memory.differences(seed, start, length)?;
            Ok(ToGuest::Differences(first, count))
        }
        Question::Sum { start, length } => memory.sum(start, length).map(ToGuest::Sum),
        Question::PlugMemory { size } => machine.plug_memory(size).map(|()| ToGuest::Done),
        Question::PressPowerButton => machine.monitor().press_power_button().map(|()| ToGuest::Done),
        Question::Wake { milliseconds } => {
            thread::sleep(Duration::from_millis(milliseconds));
            Ok(ToGuest::Done)
        }
        Question::PageTable { address } => page(tables, address, memory, machine).map(ToGuest::Page),
    }
}

/// The page at the virtual `address` of the process that spins on a processor.
fn page(tables: PageTables, address: u64, memory: &Memory, machine: &mut Machine) -> Result<Page> {
    // The process that asks yields the processor to the one that spins, but not always at once.
    for _ in 0..50 {
        if let Some(page) = pages::find_page(tables, address, memory, machine)? {
            return Ok(page);
        }
        thread::sleep(Duration::from_millis(20));
    }
    bail!("no page table of the machine has a page at {address:#x}")
}
