// SPDX-License-Identifier: MIT OR Apache-2.0

//! The messages between host and guest, over a serial port of the guest.
//!
//! Before the guest boots, the host puts a [`Job`] into its initramfs. Then the guest sends messages, and the host
//! answers those that are questions. A message is a frame: postcard in COBS, ended by a zero byte, so that a corrupted
//! frame does not affect the next.

pub mod pattern;
pub mod plan;
pub mod sum;

use std::io::{self, Read, Write};

use serde::{de::DeserializeOwned, Deserialize, Serialize};

/// Where the guest finds its [`Job`], as JSON.
pub const JOB: &str = "/etc/map/job.json";

/// Where the guest finds the driver.
pub const MODULE: &str = "/root/map.ko";

/// Where the guest finds the module with which windows are added at run time.
pub const MAP_CONFIG: &str = "/root/map_config.ko";

/// Where the guest finds configfs, which that module uses. No kernel has it built in.
pub const CONFIGFS: &str = "/root/configfs.ko";

/// Where the guest finds the textbook's driver, for a benchmark.
pub const TWIN: &str = "/root/twin.ko";

/// Where the guest finds the module with a UIO device, for a benchmark.
pub const UIO: &str = "/root/uio_bench.ko";

/// Where the guest finds a C program of devmem2's shape, for a benchmark.
pub const PLAIN: &str = "/root/plain";

/// Where the guest finds the module that applies overlays to its device tree, if its suite needs one.
pub const OVERLAY: &str = "/root/overlay.ko";

/// Where the guest finds the module that raises interrupts, beside the one above.
pub const RAISE: &str = "/root/raise.ko";

/// Where the guest finds the module that adds a device with memory, beside them.
pub const DEVICE: &str = "/root/device.ko";

/// Where the guest finds the overlay of this name.
pub fn overlay(name: &str) -> String {
    format!("/root/{name}.dtbo")
}

/// What a guest is booted for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The guest's name for the serial port that carries the messages.
    pub channel: String,
    /// Who makes the nodes in /dev.
    pub dev: Dev,
    /// The parameters to load the driver with; `None` leaves it unloaded.
    pub module: Option<Vec<String>>,
    /// The task to do afterwards.
    pub task: Task,
}

/// Who makes the nodes in /dev.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dev {
    /// The kernel, in a devtmpfs.
    Devtmpfs,
    /// The guest's first process, which makes the usual nodes alone; the user runs mknod(1) for /dev/map.
    Plain,
}

/// What a guest does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Task {
    /// Runs a command and hands its output and status to the host.
    Command(Vec<String>),
    /// Runs the tests of a suite: all, or those whose name contains the text.
    Suite {
        /// Which suite.
        suite: Suite,
        /// What a test's name must contain.
        filter: String,
        /// What random operations are done, if the suite does any.
        fuzz: Fuzz,
    },
    /// Gives the serial port to a shell.
    Shell {
        /// Lines of the terminal, 0 if unknown.
        rows: u16,
        /// Columns of the terminal, 0 if unknown.
        columns: u16,
    },
}

/// The environment variable in which the suite finds its [`Fuzz`], as JSON.
pub const FUZZ: &str = "MAP_FUZZ";

/// Random operations, which the seed determines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fuzz {
    /// The seed of the first sequence; each further one has the next number.
    pub seed: u64,
    /// How many operations to do at least, in whole sequences.
    pub operations: u64,
    /// After how many seconds no further sequence begins, however few operations were done.
    pub seconds: Option<u64>,
    /// Of the first sequence only the operations with these numbers, and no other sequence.
    pub keep: Option<Vec<usize>>,
}

impl Default for Fuzz {
    /// What every run of all tests does.
    fn default() -> Self {
        Self { seed: 1, operations: 50_000, seconds: None, keep: None }
    }
}

/// A suite of tests, each of which needs a guest of its own kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Suite {
    /// The driver in a guest with devtmpfs.
    Driver,
    /// The steps of a user, in a guest without devtmpfs.
    PlainDev,
    /// The driver with windows.
    Windows,
    /// The driver with windows that are added at run time.
    RunTime,
    /// What many processes do at the same time to windows that come and go.
    Races,
    /// Stores into a window that is removed, for long.
    Revocation,
    /// The driver with windows of the device tree.
    Dt,
    /// The driver with an invalid device tree.
    DtWrong,
    /// The driver on a kernel that is locked down.
    Lockdown,
    /// The driver on a kernel that is locked down while it is loaded.
    LockdownLate,
    /// The driver on a kernel that is locked down, with windows of the device tree.
    LockdownDt,
    /// The driver with a device tree that changes.
    Overlay,
    /// The same, with windows in the boot's device tree.
    OverlayWindows,
    /// The same on a kernel that is locked down.
    LockdownOverlay,
    /// The interrupts of windows.
    Interrupts,
    /// Interrupts of UIO devices, by the same programs as those of windows.
    Uio,
    /// The command line `devmap`.
    Devmap,
    /// mmap(2) and its relatives, on the driver's node and on a file side by side.
    Mmap,
    /// Memory that is hot-plugged while the driver is loaded.
    Hotplug,
    /// The driver beside a PCI device.
    Pci,
    /// The driver on a machine whose PCI configuration space lies in reserved memory, locked down.
    Ecam,
    /// The driver beside a /dev/mem that refuses claimed regions.
    Strict,
    /// The driver on a kernel that releases kobjects late.
    Kobject,
    /// A window where no device answers. The last test ends in a kernel panic.
    Hole,
    /// Windows that are larger than the machine.
    Big,
    /// A processor whose page tables have no cache types.
    NoCacheType,
    /// Memory above 4 GiB, on a kernel of 32 bits.
    Above4Gib,
    /// A kernel whose pages are larger than 4 KiB.
    LargePages,
    /// Random operations, compared with a model.
    Model,
    /// Every allocation and every copy of the kernel fails once, in calls.
    Faults,
    /// The same in loads of the modules.
    LoadFaults,
    /// The same while devices with windows and interrupts are bound, and used.
    DeviceFaults,
    /// A little of what takes long, and a machine that sleeps.
    SoakShort,
    /// Programs that are killed and interrupted, and more mappings than anybody makes.
    Soak,
    /// Modules that are loaded and unloaded while programs use them.
    SoakLoads,
    /// A machine without memory left.
    SoakPressure,
}

/// A message from the guest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToHost {
    /// The command wrote this.
    Output(Stream, Vec<u8>),
    /// A suite begins, with tests of these names.
    Plan(Vec<String>),
    /// A test begins.
    Begin(String),
    /// The test reports something that people want to see, whatever its outcome.
    Note(String),
    /// The test ended.
    End(String, Outcome),
    /// A question, which the host answers with one [`ToGuest`].
    Ask(Question),
    /// The task ended with this exit status; the host answers [`ToGuest::Done`] when it needs the guest no more.
    Exit(i32),
    /// The guest could not start its task, for this reason.
    Broken(String),
}

/// One of the two outputs of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// All its assertions hold.
    Passed,
    /// An assertion does not hold.
    Failed(String),
    /// It could not run, for this reason.
    Skipped(String),
}

/// A question of a test in the guest, which the host answers from outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Question {
    /// Fill physical memory with the pattern of this seed.
    Fill {
        /// Which pattern.
        seed: u64,
        /// The first physical address.
        start: u64,
        /// How many bytes.
        length: u64,
    },
    /// List the bytes of physical memory that differ from the pattern of this seed.
    Differences {
        /// Which pattern.
        seed: u64,
        /// The first physical address.
        start: u64,
        /// How many bytes.
        length: u64,
    },
    /// Sum up physical memory.
    Sum {
        /// The first physical address, a multiple of 8.
        start: u64,
        /// How many bytes, a multiple of 8.
        length: u64,
    },
    /// Plug another piece of memory into the machine.
    PlugMemory {
        /// How many bytes.
        size: u64,
    },
    /// Press the machine's power button.
    PressPowerButton,
    /// Answer after this time: the interrupt of the serial port wakes a guest that sleeps.
    Wake {
        /// The time in milliseconds.
        milliseconds: u64,
    },
    /// Walk the processor's page table for this virtual address.
    PageTable {
        /// An address in a page of the process that spins on the processor.
        address: u64,
    },
}

/// A byte that differs from the pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Its physical address.
    pub address: u64,
    /// Its value in the pattern.
    pub expected: u8,
    /// Its value in memory.
    pub found: u8,
}

/// What some work costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Who does it.
    pub contender: String,
    /// What is done.
    pub work: String,
    /// On how many bytes of memory.
    pub bytes: u64,
    /// If only a part of the work was done and measured: how many such parts the whole has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<u64>,
    /// What it cost each time, in instructions; with `parts`, what the part cost.
    pub costs: Vec<u64>,
}

impl Figure {
    /// The median of what was measured; 0 without any.
    fn measured(&self) -> u64 {
        let mut costs = self.costs.clone();
        costs.sort_unstable();
        costs.get(costs.len() / 2).copied().unwrap_or(0)
    }

    /// What the whole work costs: the median, multiplied if only a part was measured.
    pub fn cost(&self) -> u64 {
        self.measured() * self.parts.unwrap_or(1)
    }

    /// Half of the distance between the lowest and the highest cost, as a part of the median.
    pub fn spread(&self) -> f64 {
        let (least, most) = (self.costs.iter().min(), self.costs.iter().max());
        match (least, most) {
            (Some(least), Some(most)) if *most > 0 => (most - least) as f64 / 2.0 / self.measured() as f64,
            _ => 0.0,
        }
    }
}

/// The figures of an architecture, as they are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// The command that measures them.
    pub command: String,
    /// The date.
    pub date: String,
    /// The version of the guest's kernel.
    pub kernel: String,
    /// The version of the emulator.
    pub emulator: String,
    /// The figures.
    pub figures: Vec<Figure>,
}

/// A page, according to the processor's page table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Its physical address.
    pub physical: u64,
    /// Its size in bytes.
    pub size: u64,
    /// How the processor caches it.
    pub cache: CacheMode,
    /// Whether programs can reach it.
    pub user: bool,
    /// Whether it can be written to.
    pub writable: bool,
    /// Whether programs can run code in it.
    pub executable: bool,
}

/// How the processor caches a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CacheMode {
    /// Not at all, every access in its order: x86 UC-, arm64 Device-nGnRnE.
    Uncached,
    /// Not at all, but stores may be gathered: x86 WC, arm64 Normal non-cacheable.
    WriteCombine,
    /// As ordinary memory: write-back.
    Cached,
    /// In another way, in the processor's own terms.
    Other(String),
}

/// The largest number of differences that an answer lists.
pub const MOST_DIFFERENCES: usize = 16;

/// A message from the host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToGuest {
    /// The request is done.
    Done,
    /// The first of the differences, and how many there are.
    Differences(Vec<Difference>, u64),
    /// The page.
    Page(Page),
    /// The [`sum`] of the memory.
    Sum(u64),
    /// The host could not do it.
    Failed(String),
}

/// One end of the connection: sends and receives messages.
#[derive(Debug)]
pub struct Channel<S> {
    stream: S,
    pending: Vec<u8>,
}

impl<S> Channel<S> {
    /// A connection over `stream`, which must pass every byte unchanged.
    pub fn new(stream: S) -> Self {
        Self { stream, pending: Vec::new() }
    }

    /// The stream below.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }
}

impl<S: Write> Channel<S> {
    /// Sends `message` in one write: two processes may take turns on one serial port.
    pub fn send<M: Serialize>(&mut self, message: &M) -> io::Result<()> {
        let frame = postcard::to_stdvec_cobs(message).map_err(io::Error::other)?;
        self.stream.write_all(&frame)?;
        self.stream.flush()
    }
}

impl<S: Read> Channel<S> {
    /// The next message, if it has arrived in full; `None` if more must be read first.
    ///
    /// Fails if a frame is not a message: something else wrote to the serial port.
    pub fn try_recv<M: DeserializeOwned>(&mut self) -> io::Result<Option<M>> {
        while let Some(end) = self.pending.iter().position(|&byte| byte == 0) {
            let mut frame: Vec<u8> = self.pending.drain(..=end).collect();
            // A lone zero ends whatever was on the line before.
            if frame.len() > 1 {
                let message = postcard::from_bytes_cobs(&mut frame);
                return message.map(Some).map_err(|error| {
                    io::Error::new(io::ErrorKind::InvalidData, format!("a garbled message: {error}"))
                });
            }
        }
        Ok(None)
    }

    /// Reads what has arrived, and waits for at least one byte; `false` at the end of the stream.
    pub fn fill(&mut self) -> io::Result<bool> {
        let mut block = [0; 16 * 1024];
        let count = self.stream.read(&mut block)?;
        self.pending.extend_from_slice(&block[..count]);
        Ok(count > 0)
    }

    /// Waits for the next message.
    pub fn recv<M: DeserializeOwned>(&mut self) -> io::Result<M> {
        loop {
            if let Some(message) = self.try_recv()? {
                return Ok(message);
            }
            if !self.fill()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_in_pieces_and_in_lumps() {
        let mut wire = Channel::new(Vec::new());
        let first = ToHost::Output(Stream::Out, vec![0, 1, 0, 255]);
        wire.send(&first).unwrap();
        wire.send(&ToHost::Exit(7)).unwrap();
        let bytes = wire.get_ref().clone();

        let mut reader = Channel::new(bytes.as_slice());
        assert_eq!(reader.recv::<ToHost>().unwrap(), first);
        assert_eq!(reader.recv::<ToHost>().unwrap(), ToHost::Exit(7));
        assert_eq!(reader.recv::<ToHost>().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);

        let mut half = Channel::new(&bytes[..bytes.len() - 1]);
        half.fill().unwrap();
        assert_eq!(half.try_recv::<ToHost>().unwrap(), Some(first));
        assert_eq!(half.try_recv::<ToHost>().unwrap(), None);
    }

    #[test]
    fn a_part_that_was_measured_is_multiplied() {
        let figure = |parts| Figure {
            contender: "a".into(),
            work: "dump".into(),
            bytes: 1 << 20,
            parts,
            costs: vec![120, 80, 100],
        };
        assert_eq!((figure(None).cost(), figure(Some(1000)).cost()), (100, 100_000));
        assert_eq!(figure(None).spread(), figure(Some(1000)).spread());
        let [whole, part] = [None, Some(7)].map(|parts| serde_json::to_string(&figure(parts)).unwrap());
        assert!(!whole.contains("parts") && part.contains(r#""parts":7"#), "{whole} {part}");
        assert_eq!(serde_json::from_str::<Figure>(&whole).unwrap(), figure(None));
    }

    #[test]
    fn a_spoilt_frame_is_an_error_and_the_next_is_heard() {
        let mut wire = Channel::new(b"login: \x00".to_vec());
        wire.send(&ToHost::Exit(0)).unwrap();
        let mut reader = Channel::new(wire.get_ref().as_slice());
        assert_eq!(reader.recv::<ToHost>().unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(reader.recv::<ToHost>().unwrap(), ToHost::Exit(0));
    }
}
