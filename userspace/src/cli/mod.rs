// SPDX-License-Identifier: MIT OR Apache-2.0

//! From the arguments to the exit status.

mod access;
mod args;
mod failure;
mod number;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};
use failure::Failure;

/// Does what the arguments say, and tells how it went.
pub fn run() -> ExitCode {
    let args = Args::parse();
    let mut out = io::stdout().lock();
    match dispatch(&args, &mut out).and_then(|()| Ok(out.flush()?)) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("devmap: {failure}");
            failure.exit_code()
        }
    }
}

fn dispatch(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    match &args.command {
        Command::Read { place } => access::read(args, place, out),
        Command::Write { address, values } => access::write(args, *address, values),
    }
}
