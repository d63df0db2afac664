// SPDX-License-Identifier: MIT OR Apache-2.0

//! Runs one command, forwards its output to the host, and reaps the orphans that the first process adopts.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::{AsFd, OwnedFd},
    process::{Command, Stdio},
};

use anyhow::{Context, Result};
use map_protocol::{Channel, Stream, ToHost};
use nix::{
    errno::Errno,
    fcntl::{fcntl, FcntlArg, OFlag},
    poll::{poll, PollFd, PollFlags, PollTimeout},
    sys::{
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
        wait::{waitpid, WaitPidFlag, WaitStatus},
    },
    unistd::Pid,
};

/// The status that a shell gives for a program that does not exist.
const NOT_FOUND: i32 = 127;
/// The status that a shell gives for a program that cannot be run.
const NOT_EXECUTABLE: i32 = 126;

/// Runs `command` to its end and gives its exit status: its code, or 128 plus the signal's number.
///
/// A background process that the command leaves behind does not delay the end, even if it keeps the outputs open.
pub fn run(command: &mut Command, channel: &mut Channel<File>) -> Result<i32> {
    let child_ended = SigSet::from(Signal::SIGCHLD);
    // Blocked, the signal is pending in the descriptor. The standard library resets a child's mask.
    child_ended.thread_block()?;
    let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
    let signals = SignalFd::with_flags(&child_ended, flags)?;

    let mut child = match command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn() {
        Ok(child) => child,
        Err(error) => {
            let line = format!("{}: {error}\n", command.get_program().to_string_lossy());
            channel.send(&ToHost::Output(Stream::Err, line.into_bytes()))?;
            let missing = error.kind() == io::ErrorKind::NotFound;
            return Ok(if missing { NOT_FOUND } else { NOT_EXECUTABLE });
        }
    };
    let pid = Pid::from_raw(child.id().try_into()?);
    let mut pipes = vec![
        Pipe::new(Stream::Out, child.stdout.take().context("no stdout")?.into())?,
        Pipe::new(Stream::Err, child.stderr.take().context("no stderr")?.into())?,
    ];
    let mut status = None;
    while status.is_none() {
        wait(&signals, &pipes)?;
        // Reaping precedes reading: the output of a process that was reaped is complete in the pipe.
        while signals.read_signal()?.is_some() {}
        status = reap(pid)?;
        let mut open = Vec::new();
        for mut pipe in pipes {
            if pipe.forward(channel)? {
                open.push(pipe);
            }
        }
        pipes = open;
    }
    Ok(status.unwrap_or_default())
}

/// Waits until a child has ended or has written output.
fn wait(signals: &SignalFd, pipes: &[Pipe]) -> Result<()> {
    let mut watched = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
    watched.extend(pipes.iter().map(|pipe| PollFd::new(pipe.file.as_fd(), PollFlags::POLLIN)));
    match poll(&mut watched, PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Reaps every child that has ended, and gives the status of `child` if it is among them.
fn reap(child: Pid) -> Result<Option<i32>> {
    let mut found = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == child => found = Some(code),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => found = Some(128 + signal as i32),
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(found),
            Ok(_) => (),
            Err(error) => return Err(error.into()),
        }
    }
}

/// One output of the command.
struct Pipe {
    stream: Stream,
    file: File,
}

impl Pipe {
    fn new(stream: Stream, end: OwnedFd) -> Result<Self> {
        fcntl(&end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Self { stream, file: end.into() })
    }

    /// Forwards to the host what can be read; `false` at the end of the output.
    fn forward(&mut self, channel: &mut Channel<File>) -> Result<bool> {
        let mut block = [0; 4096];
        // More than a pipe holds, but bounded: the other one may be waiting.
        for _ in 0..32 {
            match self.file.read(&mut block) {
                Ok(0) => return Ok(false),
                Ok(count) => channel.send(&ToHost::Output(self.stream, block[..count].to_vec()))?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }
}
