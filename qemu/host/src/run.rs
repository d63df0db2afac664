// SPDX-License-Identifier: MIT OR Apache-2.0

//! Demonstrates the driver step by step: `map-qemu run`.

use std::{process::ExitCode, time::Duration};

use anyhow::{bail, ensure, Context, Result};
use map_protocol::{pattern, Dev, Difference, Job, Stream, Task, ToHost};

use crate::{
    interrupt,
    kernels::{self, KernelId, Supply},
    memory::Memory,
    programs,
    session::{Artifacts, Guest, HostView},
    ui::Ui,
    verdict::ExpectedEnd,
    Target,
};

/// The memory that the example `sdram` maps.
const START: u64 = 0xc000_0000;
const LENGTH: u64 = 0x0030_0000;
/// The address to which it stores, and the byte.
const TARGET: u64 = START + 100;
const VALUE: u8 = 3;

/// The pattern that fills the memory before the guest boots. Its byte at `TARGET` is not `VALUE`.
const SEED: u64 = 1;

const TIMEOUT: Duration = Duration::from_secs(120);

/// The commands of a user on a target, in a guest without devtmpfs.
const SCRIPT: &str = r#"
step() { echo "guest# $*"; "$@"; }
cd /root
step insmod map.ko || exit
step grep -w map /proc/devices || exit
step mknod /dev/map c 126 0 || exit
step ls -l /dev/map || exit
step sdram || exit
step rmmod map
"#;

/// Boots the guest, runs the demonstration in it, and inspects its memory from outside.
pub fn run(target: Target, ui: &Ui) -> Result<ExitCode> {
    let artifacts = artifacts(target, ui)?;
    let arch = target.arch;
    let memory = Memory::new(arch)?;
    memory.fill(SEED, START, LENGTH)?;
    ui.step(format!("Filling {LENGTH:#x} bytes of the guest's memory at {START:#x} with a pattern, from outside"));
    ui.step(format!(
        "Booting Linux {} on {} in QEMU, without devtmpfs",
        artifacts.kernel.release,
        artifacts.kernel.title()
    ));

    let command = ["sh", "-c", SCRIPT].map(String::from).to_vec();
    let job = Job { channel: arch.channel.into(), dev: Dev::Plain, module: None, task: Task::Command(command) };
    let mut seen = false;
    let status =
        Guest::new(&artifacts, "run", job, TIMEOUT)?.run(
            &memory,
            ExpectedEnd::Clean,
            |message, view| match message {
                ToHost::Output(Stream::Out | Stream::Err, bytes) => {
                    for line in String::from_utf8_lossy(bytes).lines() {
                        ui.note(line);
                    }
                    Ok(())
                }
                ToHost::Exit(0) => {
                    seen = true;
                    inspect_memory(view, ui)
                }
                ToHost::Exit(status) => bail!("the guest's commands failed with status {status}"),
                _ => Ok(()),
            },
        )?;
    ensure!(seen && status == 0, "the guest's memory was not inspected");
    ui.step("It works: a program in the guest wrote to physical memory through /dev/map, and nothing else changed");
    Ok(ExitCode::SUCCESS)
}

/// What the guest is made from. The quickest kernel is Debian's own, but it is not always to be had.
fn artifacts(target: Target, ui: &Ui) -> Result<Artifacts> {
    let make = |kernel| crate::artifacts_with(programs::build_for_run, kernel, ui);
    let named = target.kernel()?;
    let stock = kernels::ALL.iter().map(|origin| KernelId { origin, ..named });
    let stock = stock.into_iter().find(|kernel| kernel.origin.supply == Supply::Stock && kernel.check().is_ok());
    let (None, None, Some(stock)) = (target.kernel, target.flavour, stock) else {
        return make(named);
    };
    match make(stock) {
        Err(error) if !interrupt::is_interruption(&error) => {
            // The rest is what a program printed.
            let error = format!("{error:#}");
            ui.note(format!("Debian's own kernel cannot be used: {}", error.lines().next().unwrap_or_default()));
            ui.note("A kernel is built instead, which takes longer; KERNEL=7.3 begins with that");
            make(named)
        }
        made => made,
    }
}

/// Inspects the guest's memory twice: through QEMU's monitor, and in the file that is its RAM.
fn inspect_memory(view: &mut HostView<'_>, ui: &Ui) -> Result<()> {
    ui.step("Reading the guest's physical memory from outside");
    let first = TARGET - 4;
    let answer = view.machine.monitor().human(&format!("xp /8xb {first:#x}"))?;
    ui.note(format!("(qemu) xp /8xb {first:#x}"));
    ui.note(answer.trim());
    let mut expected = pattern::bytes(SEED, first, 8);
    ensure!(expected[4] != VALUE, "the pattern already has {VALUE} at {TARGET:#x}");
    expected[4] = VALUE;
    let found = bytes_of(&answer)?;
    ensure!(found == expected, "QEMU's monitor sees {found:02x?} from {first:#x} on, not {expected:02x?}");

    let (differences, count) = view.memory.differences(SEED, START, LENGTH)?;
    let [Difference { address: TARGET, found: VALUE, expected }] = differences[..] else {
        bail!("{count} bytes of {START:#x}-{:#x} changed: {differences:02x?}", START + LENGTH - 1);
    };
    ui.note(format!(
        "{TARGET:#x} was {expected:02x} and is {VALUE:02x}; the other {} bytes are as they were",
        LENGTH - 1
    ));
    Ok(())
}

/// The bytes that the monitor printed: one word each, after the address and a colon.
fn bytes_of(answer: &str) -> Result<Vec<u8>> {
    answer
        .lines()
        .filter_map(|line| line.split_once(':'))
        .flat_map(|(_, words)| words.split_whitespace())
        .map(|word| {
            let digits = word.strip_prefix("0x").context("no hexadecimal number")?;
            Ok(u8::from_str_radix(digits, 16)?)
        })
        .collect::<Result<_>>()
        .with_context(|| format!("QEMU's monitor answered {answer:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monitors_answer_is_bytes() {
        let answer = "00000000c0000060: 0x00 0x01 0xfe 0x03\n00000000c0000064: 0x04\n";
        assert_eq!(bytes_of(answer).unwrap(), [0, 1, 0xfe, 3, 4]);
        assert!(bytes_of("00: what").is_err());
    }
}
