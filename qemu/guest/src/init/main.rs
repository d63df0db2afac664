// SPDX-License-Identifier: MIT OR Apache-2.0

//! The first process of the guest: sets up a small ordinary system, does the [`Job`], and ends the guest.

mod mount;
mod supervise;

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    process::{Command, ExitCode, Stdio},
};

use anyhow::{bail, Context, Result};
use map_protocol::{Channel, Dev, Job, Suite, Task, ToGuest, ToHost, FUZZ, JOB, MODULE};
use nix::{
    libc,
    sys::{
        reboot::{reboot, RebootMode},
        termios::{cfmakeraw, tcgetattr, tcsetattr, SetArg},
    },
    unistd::{chdir, sethostname, sync},
};

const BUSYBOX: &str = "/bin/busybox";
const SUITE: &str = "/bin/map-suite";

/// The environment. The kernel itself sets HOME and TERM alone.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("HOME", "/root"),
    ("USER", "root"),
    ("LOGNAME", "root"),
    ("SHELL", "/bin/sh"),
    ("TERM", "linux"),
];

fn main() -> ExitCode {
    if std::process::id() != 1 {
        eprintln!("map-init only works as the first process of a guest; see map-qemu");
        return ExitCode::FAILURE;
    }
    if let Err(error) = run_job() {
        // The host has not received it, so it goes to the kernel's log.
        let _ = fs::write("/dev/kmsg", format!("<2>map-init: {error:#}\n"));
    }
    sync();
    // On a PC without ACPI this is a triple fault, which ends QEMU because of -no-reboot.
    let _ = reboot(RebootMode::RB_AUTOBOOT);
    ExitCode::FAILURE
}

fn run_job() -> Result<()> {
    for (name, value) in ENVIRONMENT {
        std::env::set_var(name, value);
    }
    let job: Job = serde_json::from_slice(&fs::read(JOB)?).context("the job is not JSON of this version")?;
    mount::system(job.dev)?;
    sethostname("guest")?;
    chdir("/root")?;

    let port = open_port(&job.channel)?;
    if let Task::Shell { rows, columns } = job.task {
        prepare(&job)?;
        return shell(port, rows, columns);
    }
    let mut channel = Channel::new(port);
    let last = match prepare(&job).and_then(|()| perform(&job.task, &mut channel)) {
        Ok(status) => ToHost::Exit(status),
        Err(error) => ToHost::Broken(format!("{error:#}")),
    };
    channel.send(&last)?;
    match channel.recv()? {
        ToGuest::Done => Ok(()),
        answer => bail!("the host answered {answer:?} to the last message"),
    }
}

/// Opens the serial port for messages in raw mode, which passes every byte unchanged.
fn open_port(name: &str) -> Result<File> {
    let path = Path::new("/dev").join(name);
    let port = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    let mut settings = tcgetattr(&port)?;
    cfmakeraw(&mut settings);
    tcsetattr(&port, SetArg::TCSANOW, &settings)?;
    Ok(port)
}

/// Installs busybox's applets and loads the driver.
fn prepare(job: &Job) -> Result<()> {
    run(Command::new(BUSYBOX).args(["--install", "-s"]))?;
    if let Some(parameters) = &job.module {
        run(Command::new("insmod").arg(MODULE).args(parameters))?;
        if job.dev == Dev::Devtmpfs && !Path::new("/dev/map").exists() {
            bail!("the driver is loaded, but /dev/map has not appeared");
        }
    }
    Ok(())
}

/// Runs a command of the set-up. Fails if the command does.
fn run(command: &mut Command) -> Result<()> {
    let name = format!("{command:?}").replace('"', "");
    let output = command.output().with_context(|| format!("cannot run {name}"))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{name} failed: {}", errors.trim());
    }
    Ok(())
}

/// Does the task and gives its exit status.
fn perform(task: &Task, channel: &mut Channel<File>) -> Result<i32> {
    let mut command;
    match task {
        Task::Command(words) => {
            let (program, arguments) = words.split_first().context("the command is empty")?;
            command = Command::new(program);
            command.args(arguments).stdin(Stdio::null());
        }
        Task::Suite { suite, filter, fuzz } => {
            command = Command::new(SUITE);
            command.env(FUZZ, serde_json::to_string(fuzz)?);
            if matches!(suite, Suite::Faults | Suite::LoadFaults | Suite::DeviceFaults) {
                // The kernel writes to what rseq(2) has registered whenever it schedules a thread. After a fork(2) that
                // needs a page, and if this fails, the thread gets SIGSEGV.
                command.env("GLIBC_TUNABLES", "glibc.pthread.rseq=0");
            }
            // The suite exchanges messages with the host by itself, on its standard input.
            command.arg(serde_json::to_string(suite)?).arg(filter).stdin(channel.get_ref().try_clone()?);
        }
        Task::Shell { .. } => bail!("a shell needs the serial port for itself"),
    }
    supervise::run(&mut command, channel)
}

/// Gives the serial port to a shell as its terminal, until the shell ends.
fn shell(port: File, rows: u16, columns: u16) -> Result<()> {
    // Undo the raw mode: a shell needs echo and line editing.
    let mut size = vec!["sane".to_owned()];
    if rows > 0 && columns > 0 {
        size.extend(["rows".into(), rows.to_string(), "cols".into(), columns.to_string()]);
    }
    run(Command::new("stty").args(size).stdin(port.try_clone()?))?;
    // setsid's -c makes the standard input the controlling terminal, so that Ctrl-C and job control work.
    Command::new("setsid")
        .args(["-c", "/bin/sh", "-l"])
        .stdin(port.try_clone()?)
        .stdout(port.try_clone()?)
        .stderr(port)
        .status()?;
    Ok(())
}
