// SPDX-License-Identifier: MIT OR Apache-2.0

//! Touching every byte of a mapping in child processes, which a signal may end.
//!
//! A child maps its standard input and writes every byte to its standard output as soon as it has loaded it. When a
//! signal ends the child, the output has the bytes up to then, and the next byte is the one that was fatal.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};

use devmap::page;
use nix::sys::prctl;
use nix::sys::signal::Signal;

use crate::failure::Failure;
use crate::probe::{Probe, Request};

/// The outcome of touching a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// It had this value.
    Value(u8),
    /// This signal ended the process.
    Killed(Signal),
}

/// The arguments of a child, which is a command that the help does not list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Args)]
pub struct TouchArgs {
    /// Where in the file the mapping begins
    pub offset: u64,
    /// How many bytes to map
    pub length: usize,
    /// The first byte to touch, from the start of the mapping
    pub first: usize,
    /// Where to stop touching
    pub end: usize,
    /// Extend the file to this length after mapping it
    #[arg(long)]
    pub grow: Option<u64>,
    /// Store this in each byte before it is loaded
    #[arg(long)]
    pub store: Option<u8>,
}

impl TouchArgs {
    /// Loads the bytes from the mapping's start up to `end`.
    pub fn load(offset: u64, length: usize, end: usize) -> Self {
        Self { offset, length, first: 0, end, grow: None, store: None }
    }
}

/// This program, even if its file has been replaced meanwhile.
const SELF_EXE: &str = "/proc/self/exe";

/// Lets children touch the bytes of `args` in `file`, and returns the outcome of each.
///
/// In a page that is fatal, only the first and the last byte are touched, since pages are mapped as a whole.
pub fn touch(file: &File, args: TouchArgs) -> Result<Vec<Touch>, Failure> {
    let page_size = page::system();
    let mut found = Vec::with_capacity(args.end - args.first);
    let mut next = args.first;
    while next < args.end {
        let (values, killed) = run(file, TouchArgs { first: next, ..args })?;
        next += values.len();
        found.extend(values.into_iter().map(Touch::Value));
        let Some(signal) = killed else { continue };
        let page_end = page_size.round_down(next as u64) + page_size.bytes();
        let end = usize::try_from(page_end).map_or(args.end, |end| end.min(args.end));
        let last = match run(file, TouchArgs { first: end - 1, end, ..args })? {
            (_, Some(signal)) => Touch::Killed(signal),
            (values, None) => Touch::Value(values[0]),
        };
        found.resize(end - args.first - 1, Touch::Killed(signal));
        found.push(last);
        next = end;
    }
    Ok(found)
}

/// Runs one child with `args`, and returns what it loaded and the signal that ended it.
fn run(file: &File, args: TouchArgs) -> Result<(Vec<u8>, Option<Signal>), Failure> {
    let TouchArgs { offset, length, first, end, grow, store } = args;
    let mut command = Command::new(SELF_EXE);
    command
        .arg0("devmap")
        .arg("lab-touch")
        .args([offset, length as u64, first as u64, end as u64].map(|n| n.to_string()));
    command.args(grow.map(|length| format!("--grow={length}"))).args(store.map(|value| format!("--store={value}")));
    let failed = Failure::file("run", Path::new(SELF_EXE));
    let input = file.try_clone().map_err(&failed)?;
    let output = command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped()).output().map_err(&failed)?;
    let killed = output.status.signal().and_then(|signal| Signal::try_from(signal).ok());
    if killed.is_none() && !(output.status.success() && output.stdout.len() == end - first) {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let what = format!("a child did not touch all bytes ({}): {}", output.status, stderr.trim());
        return Err(failed(io::Error::other(what)));
    }
    Ok((output.stdout, killed))
}

/// The work of a child.
pub fn child(args: TouchArgs) -> Result<(), Failure> {
    let TouchArgs { offset, length, first, end, grow, store } = args;
    // A fatal signal is an expected outcome, so it leaves no core file.
    prctl::set_dumpable(false).map_err(io::Error::from)?;
    let file = File::from(own(io::stdin())?);
    let mut out = File::from(own(io::stdout())?);
    let failed = Failure::file("map", Path::new("standard input"));
    let request = Request { offset, length, writable: store.is_some(), private: false };
    let probe = Probe::new(&file, request, end.saturating_sub(length)).map_err(&failed)?;
    if let Some(length) = grow {
        file.set_len(length).map_err(&failed)?;
    }
    for offset in first..end {
        if let Some(value) = store {
            probe.store(offset, value);
        }
        out.write_all(&[probe.load(offset)])?;
    }
    Ok(())
}

/// A descriptor that bypasses the standard library's buffer.
fn own(stream: impl AsFd) -> io::Result<OwnedFd> {
    stream.as_fd().try_clone_to_owned()
}
