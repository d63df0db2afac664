// SPDX-License-Identifier: MIT OR Apache-2.0

//! Runs any program against the driver: `map-qemu exec`.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result};
use map_protocol::{Dev, Job, Stream, Task, ToHost};

use crate::{memory::Memory, session::Guest, ui::Ui, verdict::ExpectedEnd, Target};

/// Options of `exec`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit status: that of the command; 128 plus the number of the signal that ended it; 127 if the guest has no such \
command; 69 if the harness failed, the guest timed out, or its kernel reported a fault.

The guest is a small ordinary system: /proc, /sys, /dev (devtmpfs), /tmp, a busybox shell, root; the command's \
standard input is empty. 3 MB of memory at 0xc0000000 are reserved, and map.ko, map_config.ko and configfs.ko are in /root.

Examples:
  map-qemu exec -- sdram
  map-qemu exec -- sh -c 'devmap write 0xc0000000 42 && devmap read 0xc0000000'
  map-qemu exec --add ./prog:/bin/prog --params major=0 -- prog --verbose")]
pub struct Options {
    #[command(flatten)]
    target: Target,
    /// Parameters for the driver, separated by spaces; "none" leaves it unloaded.
    #[arg(long, default_value = "", value_name = "\"NAME=VALUE …\"")]
    params: String,
    /// Words to add to the kernel's command line.
    #[arg(long, value_name = "\"WORD …\"", allow_hyphen_values = true)]
    append: Vec<String>,
    /// Copies a file, a program with its libraries, or a whole directory into the guest.
    #[arg(long, value_name = "HOSTFILE:GUESTPATH", value_parser = parse_add)]
    add: Vec<(PathBuf, PathBuf)>,
    /// How long the guest may run, from its boot to its end, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    /// Makes the guest's clock count instructions, a nanosecond each, on one processor, so that times can be compared.
    #[arg(long)]
    icount: bool,
    /// The command to run in the guest, with its arguments.
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<String>,
}

fn parse_add(text: &str) -> Result<(PathBuf, PathBuf), String> {
    match text.rsplit_once(':') {
        Some((host, guest)) if !host.is_empty() && guest.starts_with('/') => Ok((host.into(), guest.into())),
        _ => Err("give a file of the host, a colon, and an absolute path of the guest".into()),
    }
}

/// The parameters as words, or `None` for no module.
fn parameters(text: &str) -> Option<Vec<String>> {
    (text.trim() != "none").then(|| text.split_whitespace().map(String::from).collect())
}

/// Runs the command and forwards its output and its exit status.
pub fn exec(options: &Options, ui: &Ui) -> Result<ExitCode> {
    let artifacts = crate::artifacts(options.target.kernel()?, ui)?;
    let job = Job {
        channel: artifacts.tools.arch.channel.into(),
        dev: Dev::Devtmpfs,
        module: parameters(&options.params),
        task: Task::Command(options.command.clone()),
    };
    let memory = Memory::new(artifacts.tools.arch)?;
    let status = Guest::new(&artifacts, "exec", job, Duration::from_secs(options.timeout))?
        .append(&options.append)
        .add(&options.add)
        .icount(options.icount)
        .run(&memory, ExpectedEnd::Clean, |message, _| match message {
            ToHost::Output(stream, bytes) => forward(*stream, bytes),
            _ => Ok(()),
        })?;
    Ok(ExitCode::from(u8::try_from(status).context("the guest sent an invalid exit status")?))
}

fn forward(stream: Stream, bytes: &[u8]) -> Result<()> {
    let written = match stream {
        Stream::Out => io::stdout().write_all(bytes).and_then(|()| io::stdout().flush()),
        Stream::Err => io::stderr().write_all(bytes),
    };
    written.context("cannot write the command's output")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameters_are_words_and_none_is_no_module() {
        assert_eq!(parameters("none"), None);
        assert_eq!(parameters(""), Some(vec![]));
        assert_eq!(parameters(" major=0  x=1 "), Some(vec!["major=0".into(), "x=1".into()]));
    }

    #[test]
    fn what_is_added_names_both_sides() {
        assert_eq!(parse_add("a:b:/c").unwrap(), ("a:b".into(), "/c".into()));
        for bad in ["a", "a:", ":/c", "a:c"] {
            assert!(parse_add(bad).is_err(), "{bad}");
        }
    }
}
