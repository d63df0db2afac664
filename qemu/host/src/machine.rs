// SPDX-License-Identifier: MIT OR Apache-2.0

//! The virtual machine: QEMU as a child process, a serial port for messages, and its monitor.

use std::{
    env,
    error::Error,
    fmt,
    fs::{self, File},
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{bail, Context, Result};
use map_protocol::{Channel, ToGuest, ToHost};
use nix::{
    fcntl::{fcntl, FcntlArg, FdFlag},
    sys::socket::{socketpair, AddressFamily, SockFlag, SockType},
};

use crate::{arch::Arch, dt, gdb::Gdb, interrupt, memory::Memory, process, qmp::Qmp};

/// How often a waiting host checks whether it was interrupted.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// How a machine differs from others of its architecture.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hardware {
    /// Another board than the architecture's.
    pub board: Option<&'static str>,
    /// Another processor than the architecture's.
    pub cpu: Option<&'static str>,
    /// Another number of processors than the architecture's.
    pub processors: Option<usize>,
    /// Another amount of RAM than the architecture's, in MiB.
    pub memory_mib: Option<u64>,
    /// Options of the memory beside its amount, as in `slots=2,maxmem=8G`.
    pub memory: Option<&'static str>,
    /// Devices, as words of QEMU's command line.
    pub devices: &'static [&'static str],
}

/// The configuration of a machine.
#[derive(Debug)]
pub struct MachineConfig<'a> {
    /// The architecture, which determines most of it.
    pub arch: &'a Arch,
    /// The kernel's image.
    pub image: &'a Path,
    /// The archive with the guest's files, which QEMU inherits.
    pub initramfs: &'a File,
    /// The overlays for QEMU's device tree; none if the machine has no tree.
    pub overlays: &'a [&'a str],
    /// More words for the kernel's command line.
    pub append: &'a [String],
    /// How many processors it has.
    pub processors: usize,
    /// Whether the guest's clock counts instructions, so that a measurement can be repeated.
    pub icount: bool,
    /// How it differs from others.
    pub hardware: Hardware,
    /// The file for the kernel's log.
    pub log: &'a Path,
}

impl MachineConfig<'_> {
    fn board(&self) -> &str {
        self.hardware.board.unwrap_or(self.arch.machine)
    }

    fn cpu(&self) -> &str {
        self.hardware.cpu.unwrap_or(self.arch.cpu)
    }
}

/// The other end of the guest's second serial port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Port {
    /// The harness, through this inherited descriptor.
    Harness(i32),
    /// The terminal of this process.
    Terminal,
}

/// A running machine; killed when dropped.
#[derive(Debug)]
pub struct Machine {
    child: process::Running,
    channel: Channel<UnixStream>,
    monitor: Qmp,
    gdb: Stub,
    processors: usize,
    /// How many memory modules were plugged in.
    plugged: usize,
}

/// QEMU's gdb stub.
#[derive(Debug)]
enum Stub {
    /// Not connected yet.
    Unconnected(Option<UnixStream>),
    /// Connected.
    Connected(Gdb),
}

impl Machine {
    /// Starts QEMU with `memory` as its RAM.
    pub fn start(config: &MachineConfig<'_>, memory: &Memory) -> Result<Self> {
        let (channel, guest_end) = pair()?;
        let (monitor, qemu_end) = pair()?;
        let (gdb, stub_end) = pair()?;
        channel.set_read_timeout(Some(POLL_INTERVAL))?;
        let dtb = device_tree(config, memory)?;
        let port = Port::Harness(guest_end.as_raw_fd());
        let control = Some(ControlFds { monitor: qemu_end.as_raw_fd(), gdb: stub_end.as_raw_fd() });
        let arguments = arguments(config, memory, dtb.as_ref(), port, control, accelerator());
        let errors = config.log.with_extension("qemu");
        let mut command = Command::new(config.arch.qemu);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&errors)?);
        let mut child = process::Job::new(command).spawn()?;
        // Only QEMU has them open from here on, so its death ends the streams.
        drop((guest_end, qemu_end, stub_end));
        let monitor = match Qmp::connect(monitor) {
            Ok(monitor) => monitor,
            Err(error) => {
                child.kill();
                let output = fs::read_to_string(&errors).unwrap_or_default();
                let _ = fs::remove_file(&errors);
                return Err(error.context(format!("{} did not start: {}", config.arch.qemu, output.trim())));
            }
        };
        let _ = fs::remove_file(&errors);
        let gdb = Stub::Unconnected(Some(gdb));
        Ok(Self { child, channel: Channel::new(channel), monitor, gdb, processors: config.processors, plugged: 0 })
    }

    /// The guest's next message; `None` if it ended without one.
    pub fn next(&mut self, deadline: Instant) -> Result<Option<ToHost>> {
        loop {
            if let Some(message) = self.channel.try_recv()? {
                return Ok(Some(message));
            }
            interrupt::check()?;
            if Instant::now() >= deadline {
                bail!(TimedOut);
            }
            match self.channel.fill() {
                Ok(true) => (),
                Ok(false) => return Ok(None),
                // The interval is over, or a signal arrived: the top of the loop checks both.
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => (),
                // QEMU died before it read everything.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(error).context("the connection to the guest broke"),
            }
        }
    }

    /// Answers the guest.
    pub fn send(&mut self, message: &ToGuest) -> Result<()> {
        self.channel.send(message).context("the guest does not receive any more")
    }

    /// QEMU's monitor.
    pub fn monitor(&mut self) -> &mut Qmp {
        &mut self.monitor
    }

    /// Plugs in another memory module of `size` bytes. It is not part of the machine's [`Memory`].
    pub fn plug_memory(&mut self, size: u64) -> Result<()> {
        self.monitor.plug_memory(self.plugged, size)?;
        self.plugged += 1;
        Ok(())
    }

    /// Stops the machine, calls `look` with its registers and the number of its processors, and resumes it.
    pub fn stopped<T>(&mut self, look: impl FnOnce(&mut Gdb, usize) -> Result<T>) -> Result<T> {
        self.monitor.stop()?;
        let seen = self.gdb().and_then(|(gdb, processors)| look(gdb, processors));
        self.monitor.cont()?;
        seen
    }

    fn gdb(&mut self) -> Result<(&mut Gdb, usize)> {
        if let Stub::Unconnected(stream) = &mut self.gdb {
            let stream = stream.take().context("QEMU's gdb stub did not answer before")?;
            let answer = self.monitor.human(&format!("gdbserver chardev:{GDB}"))?;
            let gdb = Gdb::connect(stream).with_context(|| format!("QEMU's monitor answered {answer:?}"))?;
            self.gdb = Stub::Connected(gdb);
        }
        match &mut self.gdb {
            Stub::Connected(gdb) => Ok((gdb, self.processors)),
            Stub::Unconnected(_) => bail!("QEMU's gdb stub is not connected"),
        }
    }

    /// Waits until QEMU exits by itself.
    pub fn wait(&mut self, deadline: Instant) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            interrupt::check()?;
            if Instant::now() >= deadline {
                bail!(TimedOut);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The guest ended before its task did.
#[derive(Debug)]
pub struct Died(pub ExitStatus);

impl fmt::Display for Died {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the guest ended before its task did (QEMU: {})", self.0)
    }
}

impl Error for Died {}

/// The guest did not end before its deadline.
#[derive(Debug)]
pub struct TimedOut;

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the guest did not end in its time")
    }
}

impl Error for TimedOut {}

/// Runs the machine with its second serial port on this terminal, until the guest ends.
pub fn attach(config: &MachineConfig<'_>, memory: &Memory) -> Result<()> {
    let dtb = device_tree(config, memory)?;
    let mut command = Command::new(config.arch.qemu);
    command.args(arguments(config, memory, dtb.as_ref(), Port::Terminal, None, accelerator()));
    process::Job::new(command).interactive()
}

/// Two ends of one stream: ours, and one that a child inherits.
fn pair() -> Result<(UnixStream, OwnedFd)> {
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::empty())?;
    fcntl(&ours, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    Ok((ours.into(), theirs))
}

/// TCG, unless the user chooses another accelerator: `/dev/kvm` can exist and still hang forever.
fn accelerator() -> String {
    env::var("MAP_QEMU_ACCEL").unwrap_or_else(|_| "tcg".into())
}

/// The descriptors of the monitor and of the gdb stub, which QEMU inherits.
#[derive(Debug, Clone, Copy)]
struct ControlFds {
    monitor: i32,
    gdb: i32,
}

/// The name of the stub's end of the stream.
const GDB: &str = "gdb";

/// The device tree of the machine, if it has one.
fn device_tree(config: &MachineConfig<'_>, memory: &Memory) -> Result<Option<File>> {
    if config.overlays.is_empty() {
        return Ok(None);
    }
    let mut qemu = Command::new(config.arch.qemu);
    qemu.args(hardware(config, memory)).args(["-serial", "null", "-serial", "null", "-nodefaults", "-no-user-config"]);
    dt::make(qemu, config.board(), config.overlays, config.arch.devices).map(Some)
}

/// The options of the machine, except its board and its memory's backend.
fn hardware(config: &MachineConfig<'_>, memory: &Memory) -> Vec<String> {
    let mut size = format!("{}M", memory.size() >> 20);
    if let Some(more) = config.hardware.memory {
        size += &format!(",{more}");
    }
    // One socket each: to a kernel that reads no ACPI tables, the firmware lists one processor per socket.
    let processors = format!("{0},sockets={0}", config.processors);
    let words = ["-cpu", config.cpu(), "-smp", &processors, "-m", &size, "-display", "none"];
    words.iter().chain(config.hardware.devices).map(|word| (*word).to_owned()).collect()
}

/// QEMU's command line.
fn arguments(
    config: &MachineConfig<'_>,
    memory: &Memory,
    dtb: Option<&File>,
    port: Port,
    control: Option<ControlFds>,
    accelerator: String,
) -> Vec<String> {
    let arch = config.arch;
    let bytes = memory.size();
    let file = |path: &Path| path.display().to_string();
    let mut words = hardware(config, memory);
    let mut add = |option: &str, value: String| words.extend([option.to_owned(), value]);
    add("-machine", format!("{},memory-backend=ram", config.board()));
    add("-accel", accelerator);
    if config.icount {
        add("-icount", "shift=0,sleep=off".into());
    }
    add("-object", format!("memory-backend-file,id=ram,size={bytes},share=on,mem-path={}", inherited(memory.file())));
    add("-chardev", format!("file,id=log,path={}", escape(&file(config.log))));
    add("-serial", "chardev:log".into());
    add(
        "-chardev",
        match port {
            Port::Harness(descriptor) => format!("socket,id=port,fd={descriptor}"),
            // Ctrl-C belongs to the shell in the guest.
            Port::Terminal => "stdio,id=port,signal=off".into(),
        },
    );
    if let Some(ControlFds { monitor, gdb }) = control {
        add("-chardev", format!("socket,id=monitor,fd={monitor}"));
        add("-mon", "chardev=monitor,mode=control".into());
        add("-chardev", format!("socket,id={GDB},fd={gdb}"));
    }
    if let Some(dtb) = dtb {
        add("-dtb", inherited(dtb));
    }
    add("-kernel", file(config.image));
    add("-initrd", inherited(config.initramfs));
    add("-append", append(arch, config.append));
    words.extend(arch.port.iter().map(|word| (*word).to_owned()));
    words.extend(["-nodefaults", "-no-user-config", "-no-reboot"].map(String::from));
    words
}

/// The name by which a child of this process opens a file that it inherits.
pub fn inherited(file: &File) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// The kernel's command line.
fn append(arch: &Arch, more: &[String]) -> String {
    // A kernel that oopses panics, which ends the guest at once; the log has the reason.
    let mut words = vec![format!("console={}", arch.console), "loglevel=8 panic=-1 oops=panic".into()];
    words.push(arch.append.into());
    words.extend_from_slice(more);
    words.join(" ")
}

/// A comma separates QEMU's options; a doubled one is a comma.
fn escape(path: &str) -> String {
    path.replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::arch;

    fn words(port: Port, control: Option<ControlFds>) -> Vec<String> {
        words_of(Hardware::default(), port, control)
    }

    fn words_of(hardware: Hardware, port: Port, control: Option<ControlFds>) -> Vec<String> {
        let arch = &arch::ALL[0];
        let memory = Memory::new(arch).unwrap();
        let append = ["lockdown=integrity".to_owned()];
        let path = PathBuf::from("/tmp/a,b");
        let initramfs = File::open("/dev/null").unwrap();
        let config = MachineConfig {
            arch,
            image: &path,
            initramfs: &initramfs,
            overlays: &[],
            append: &append,
            processors: 2,
            icount: false,
            hardware,
            log: &path,
        };
        arguments(&config, &memory, None, port, control, "tcg".into())
    }

    #[test]
    fn the_command_line_holds_what_the_user_appends_last() {
        let words = words(Port::Harness(7), Some(ControlFds { monitor: 8, gdb: 9 }));
        let append = &words[words.iter().position(|word| word == "-append").unwrap() + 1];
        assert!(append.starts_with("console=ttyS0 "), "{append}");
        assert!(append.ends_with(" lockdown=integrity"), "{append}");
        assert!(words.contains(&"socket,id=port,fd=7".to_owned()));
        assert!(words.contains(&"socket,id=monitor,fd=8".to_owned()));
    }

    #[test]
    fn a_machine_can_have_more_than_its_architecture_says() {
        let hardware = Hardware {
            board: Some("q35"),
            memory: Some("slots=2,maxmem=8G"),
            devices: &["-device", "edu"],
            ..Hardware::default()
        };
        let words = words_of(hardware, Port::Terminal, None);
        assert!(words.windows(2).any(|pair| pair == ["-machine", "q35,memory-backend=ram"]), "{words:?}");
        assert!(words.windows(2).any(|pair| pair == ["-m", "3100M,slots=2,maxmem=8G"]), "{words:?}");
        assert!(words.windows(2).any(|pair| pair == ["-smp", "2,sockets=2"]), "{words:?}");
        assert!(words.windows(2).any(|pair| pair == ["-device", "edu"]), "{words:?}");
    }

    #[test]
    fn a_comma_in_a_path_is_no_option() {
        assert!(words(Port::Terminal, None).contains(&"file,id=log,path=/tmp/a,,b".to_owned()));
    }
}
