// SPDX-License-Identifier: MIT OR Apache-2.0

//! One guest from its boot to its end: what goes into it, the conversation with it, and the verdict on its kernel's log.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{anyhow, bail, Context, Result};
use map_protocol::{Job, Page, Question, ToGuest, ToHost, JOB, MODULE};

use crate::{
    arch::PageTables,
    flavour,
    initramfs::Initramfs,
    klog, libraries,
    machine::{self, Died, Hardware, Machine, Parts},
    memory::Memory,
    pages,
    programs::Programs,
    setup::{Kernel, Tools},
};

/// How long a guest that has been told to end may take.
const FAREWELL: Duration = Duration::from_secs(20);

/// How many lines of the kernel's log a failure shows.
const TAIL: usize = 30;

/// What every guest with one kernel is made from.
#[derive(Debug)]
pub struct Kit {
    /// The tools of its architecture.
    pub tools: Arc<Tools>,
    /// The kernel.
    pub kernel: Kernel,
    /// The driver, built for that kernel.
    pub module: PathBuf,
    /// Our programs, built for the guest.
    pub programs: Arc<Programs>,
}

/// Files by their names in the guest.
pub type Files = Vec<(String, Vec<u8>)>;

/// One guest.
#[derive(Debug)]
pub struct Guest<'a> {
    kit: &'a Kit,
    job: Job,
    append: Vec<String>,
    overlays: Vec<&'static str>,
    add: Vec<(PathBuf, PathBuf)>,
    files: Files,
    timeout: Duration,
    icount: bool,
    hardware: Hardware,
    log: PathBuf,
}

/// What the one who drives a guest can see and do.
#[derive(Debug)]
pub struct Outside<'a> {
    /// The guest's physical memory.
    pub memory: &'a Memory,
    /// The machine.
    pub machine: &'a mut Machine,
}

impl<'a> Guest<'a> {
    /// A guest that will do `job` within `timeout`. Its kernel's log is called `name`.
    pub fn new(kit: &'a Kit, name: &str, job: Job, timeout: Duration) -> Result<Self> {
        let directory = crate::target().join("guest");
        fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
        let stem = flavour::stem(kit.tools.arch, kit.kernel.flavour);
        let log = directory.join(format!("{name}-{stem}-{}.log", std::process::id()));
        let overlays = kit.tools.arch.tree.into_iter().collect();
        let append = vec![kit.kernel.flavour.append.to_owned()];
        Ok(Self {
            kit,
            job,
            append,
            overlays,
            add: Vec::new(),
            files: Files::new(),
            timeout,
            icount: false,
            hardware: Hardware::default(),
            log,
        })
    }

    /// Adds words to the kernel's command line.
    pub fn append(mut self, words: &[String]) -> Self {
        self.append.extend_from_slice(words);
        self
    }

    /// Puts another overlay, of this source, on the device tree.
    pub fn overlay(mut self, source: Option<&'static str>) -> Self {
        self.overlays.extend(source);
        self
    }

    /// Adds files of the host, each under its name in the guest.
    pub fn add(mut self, files: &[(PathBuf, PathBuf)]) -> Self {
        self.add.extend_from_slice(files);
        self
    }

    /// Adds files of these bytes.
    pub fn files(mut self, files: Files) -> Self {
        self.files.extend(files);
        self
    }

    /// Has the guest's clock count instructions.
    pub fn icount(mut self, icount: bool) -> Self {
        self.icount = icount;
        self
    }

    /// Builds the machine of this hardware.
    pub fn hardware(mut self, hardware: Hardware) -> Self {
        self.hardware = hardware;
        self
    }

    /// Boots the guest with `memory`, and lets `hear` have every message but questions, which are answered here.
    ///
    /// Gives the exit status of the guest's task. The kernel's log stays, and is named, only if something failed:
    /// the guest died or hung, its kernel reported a fault, or `hear` did not like what it heard.
    pub fn run(self, memory: &Memory, mut hear: impl FnMut(&ToHost, &mut Outside<'_>) -> Result<()>) -> Result<i32> {
        let initramfs = self.pack()?;
        let result = self.converse(&initramfs, memory, &mut hear);
        self.judge(result)
    }

    /// As [`Guest::run`], but the guest must die, and the first fault in its kernel's log must be this one.
    pub fn die(
        self,
        memory: &Memory,
        fault: &str,
        mut hear: impl FnMut(&ToHost, &mut Outside<'_>) -> Result<()>,
    ) -> Result<()> {
        let initramfs = self.pack()?;
        match self.converse(&initramfs, memory, &mut hear) {
            Ok(_) => self.judge(Err(anyhow!("the guest has outlived what should have been its end"))).map(drop),
            Err(error) if error.is::<Died>() => {
                let log = fs::read(&self.log).unwrap_or_default();
                let log = String::from_utf8_lossy(&log);
                match klog::splats(&log).first() {
                    Some(first) if first.contains(fault) => {
                        let _ = fs::remove_file(&self.log);
                        Ok(())
                    }
                    _ => self
                        .judge(Err(error.context(format!("its kernel's log does not begin to fail with {fault:?}"))))
                        .map(drop),
                }
            }
            Err(error) => self.judge(Err(error)).map(drop),
        }
    }

    /// Boots the guest with its serial port on this terminal.
    pub fn attach(self, memory: &Memory) -> Result<()> {
        let initramfs = self.pack()?;
        let result = machine::attach(&self.parts(&initramfs), memory);
        self.judge(result.map(|()| 0)).map(|_| ())
    }

    fn parts<'b>(&'b self, initramfs: &'b File) -> Parts<'b> {
        let flavour = self.kit.kernel.flavour;
        Parts {
            arch: self.kit.tools.arch,
            image: &self.kit.kernel.image,
            initramfs,
            overlays: &self.overlays,
            append: &self.append,
            // A clock that counts the instructions of one processor is no clock for another.
            processors: if self.icount { 1 } else { self.hardware.processors.unwrap_or(flavour.processors) },
            icount: self.icount,
            hardware: self.hardware,
            log: &self.log,
        }
    }

    fn converse(
        &self,
        initramfs: &File,
        memory: &Memory,
        hear: &mut dyn FnMut(&ToHost, &mut Outside<'_>) -> Result<()>,
    ) -> Result<i32> {
        let deadline = Instant::now() + self.timeout;
        let mut machine = Machine::start(&self.parts(initramfs), memory)?;
        loop {
            let Some(message) = machine.next(deadline)? else {
                let status = machine.wait(Instant::now() + FAREWELL)?;
                bail!(Died(status));
            };
            match &message {
                ToHost::Ask(question) => {
                    let answer = answer(question, self.kit.tools.arch.page_tables, memory, &mut machine);
                    machine.say(&answer.unwrap_or_else(|error| ToGuest::Failed(format!("{error:#}"))))?;
                }
                ToHost::Broken(reason) => bail!("the guest could not begin: {reason}"),
                other => hear(other, &mut Outside { memory, machine: &mut machine })?,
            }
            if let ToHost::Exit(status) = message {
                machine.say(&ToGuest::Done)?;
                machine.wait(Instant::now() + FAREWELL).context("its task is done")?;
                return Ok(status);
            }
        }
    }

    /// A fault in the kernel's log is a failure, whatever else was said.
    fn judge(&self, result: Result<i32>) -> Result<i32> {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let splats = klog::splats(&log);
        let error = match result {
            Ok(status) if splats.is_empty() => {
                let _ = fs::remove_file(&self.log);
                return Ok(status);
            }
            Ok(_) => {
                let during = klog::culprit(&log).map(|test| format!(" during {test}")).unwrap_or_default();
                anyhow!("the guest's kernel reports a fault{during}: {}", splats[0].trim())
            }
            Err(error) if crate::interrupt::is_interruption(&error) => {
                let _ = fs::remove_file(&self.log);
                return Err(error);
            }
            Err(error) => error,
        };
        let (part, lines) = if splats.is_empty() {
            ("The end of the guest's log", klog::tail(&log, TAIL))
        } else {
            ("The first fault in the guest's log", klog::from_fault(&log, TAIL))
        };
        Err(anyhow!("{error:#}\n{part}, {}:\n{lines}", self.log.display()))
    }

    /// Makes the guest's file system.
    fn pack(&self) -> Result<File> {
        let kit = self.kit;
        let mut archive = Initramfs::new()?;
        for path in ["/proc", "/sys", "/dev", "/tmp", "/run", "/mnt", "/sbin", "/usr/sbin", "/usr/local/bin"] {
            archive.directory(Path::new(path))?;
        }
        archive.copy(&kit.programs.init, Path::new("/init"))?;
        archive.copy(&kit.programs.suite, Path::new("/bin/map-suite"))?;
        archive.copy(&kit.programs.devmap, Path::new("/usr/bin/devmap"))?;
        if let Some(program) = &kit.programs.devmap_32 {
            archive.copy(program, Path::new("/usr/bin/devmap32"))?;
        }
        archive.copy(&kit.programs.sdram, Path::new("/usr/bin/sdram"))?;
        archive.copy(&kit.tools.busybox, Path::new("/bin/busybox"))?;
        archive.copy(&kit.module, Path::new(MODULE))?;
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

/// The guest's users: root, one without any right, and one for tests of group permissions.
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
        Question::PlugMemory { size } => machine.plug_memory(size).map(|()| ToGuest::Done),
        Question::PageTable { address } => page(tables, address, memory, machine).map(ToGuest::Page),
    }
}

/// The page at the virtual `address` of the process that spins on a processor just now.
fn page(tables: PageTables, address: u64, memory: &Memory, machine: &mut Machine) -> Result<Page> {
    // The process that asks has left the processor to the one that spins, but not always at once.
    for _ in 0..50 {
        if let Some(page) = pages::look(tables, address, memory, machine)? {
            return Ok(page);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    bail!("no page table of the machine has a page at {address:#x}")
}
