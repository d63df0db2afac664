// SPDX-License-Identifier: MIT OR Apache-2.0

//! What programs cost that read physical memory: with fork(2), execve(2), and all that the program does to its end.

use std::{
    os::unix::process::CommandExt,
    process::{Command, Stdio},
};

use anyhow::{Context, Result};
use map_protocol::PLAIN;

use super::{measure, report, MIB};
use crate::{child::succeeds_in_child, kernel::Loaded};

/// A program on some memory.
struct Program {
    /// Its name in the table.
    name: &'static str,
    /// The file.
    file: &'static str,
    /// The name by which it is called.
    called: &'static str,
    /// Its arguments, in which `{}` is the memory.
    arguments: &'static str,
}

const BUSYBOX: &str = "/bin/busybox";
const DEVMAP: &str = "/usr/bin/devmap";

/// devmem2's shape in C, linked statically as all of them are.
const PLAIN_DEVMEM2: Program =
    Program { name: "devmem2's shape in C", file: PLAIN, called: "plain", arguments: "devmem2 /dev/mem {}" };

/// The programs that read 32 bits, after one that does nothing.
const READERS: &[Program] = &[
    Program { name: "busybox true", file: BUSYBOX, called: "true", arguments: "" },
    PLAIN_DEVMEM2,
    Program { name: "busybox devmem", file: BUSYBOX, called: "devmem", arguments: "{}" },
    Program { name: "devmap by name devmem2", file: DEVMAP, called: "devmem2", arguments: "{}" },
    Program { name: "devmap read", file: DEVMAP, called: "devmap", arguments: "read {}" },
];

/// The programs that read all of a range: one writes text, the other the bytes.
const DUMPS: &[Program] = &[
    Program { name: "devmap dump", file: DEVMAP, called: "devmap", arguments: "dump {}" },
    Program { name: "devmap save", file: DEVMAP, called: "devmap", arguments: "save {} -" },
];

/// How many bytes are dumped.
const DUMP: usize = 3 * MIB;
/// How many bytes a program reads that reads 32 bits.
const WORD: usize = 4;
/// How many calls of such a program are measured of those that it takes to dump all.
const CALLS: usize = 256;

impl Program {
    /// Runs it to its end, in a process that was forked. Its output goes to /dev/null.
    fn run(&self, memory: &str) -> Result<()> {
        let arguments = self.arguments.replace("{}", memory);
        let mut command = Command::new(self.file);
        command.arg0(self.called).args(arguments.split_whitespace());
        // Standard input is the connection to the host.
        command.stdin(Stdio::null()).stdout(Stdio::null());
        succeeds_in_child(|| {
            eprintln!("{}: {}", self.name, command.exec());
            1
        })
        .with_context(|| format!("{} {arguments}", self.called))
    }

    /// Runs it on each of the first [`CALLS`] words of the memory.
    fn run_on_words(&self, start: u64) -> Result<()> {
        let words = (start..).step_by(WORD).take(CALLS);
        words.map(|address| format!("{address:#x}")).try_for_each(|address| self.run(&address))
    }
}

/// Prints the figures, on the memory at `start`.
pub fn run(start: u64) -> Result<()> {
    let _driver = Loaded::with(&[&format!("windows=bench@{start:#x}+1G")])?;
    let address = format!("{start:#x}");
    for reader in READERS {
        report(reader.name, "a program that reads 32 bits", WORD, None, measure(|| reader.run(&address))?)?;
    }
    let range = format!("{start:#x}+{DUMP:#x}");
    for dump in DUMPS {
        report(dump.name, "a dump", DUMP, None, measure(|| dump.run(&range))?)?;
    }
    let calls = measure(|| PLAIN_DEVMEM2.run_on_words(start))?;
    report(PLAIN_DEVMEM2.name, "a dump", DUMP, Some((DUMP / WORD / CALLS) as u64), calls)
}
