// SPDX-License-Identifier: MIT OR Apache-2.0

//! The command line `devmap`: reads and writes physical memory exactly.

#![deny(unsafe_code)]

mod access;
mod args;
mod bar;
mod blocks;
mod chart;
mod check;
mod compare;
mod compat;
mod context;
mod drawing;
mod dump;
mod explain;
mod failure;
mod generate;
mod info;
mod input;
mod interrupt;
mod lab;
mod location;
mod memtest;
mod number;
mod output;
mod place;
mod probe;
mod search;
mod sigbus;
mod table;
mod test;
mod transfer;
mod watch;
mod windows;

use std::env;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use devmap::driver::{Protection, Sharing};

use args::{Args, Command};
use context::Context;
use failure::Failure;

/// What `devmap` prints without arguments.
const INTRODUCTION: &str = "\
devmap reads and writes physical memory through the map driver's node, /dev/map.

  devmap info                              what the device is, and which windows it has
  devmap check 0xc0000000+3M --write       whether it can be mapped, and if not, why not
  devmap read 0xc0000064                   one value of 32 bits
  devmap read sdram+0x64                   the same, in the window sdram
  devmap write 0xc0000064 3 -w 8           store one byte
  devmap modify 0xc0000010 --set 0x80      change bits of a value
  devmap dump 0xc0000000+256               look at a range
  devmap fill 0xc0000000+3M 0              store one value all over a range
  devmap save 0xc0000000+3M sdram.bin      a range into a file; `load` brings it back
  devmap test 0xc0000000+3M                test memory

With `--device FILE` every command works on a regular file, to try things out.
`devmap help` lists the commands, and `devmap help COMMAND` explains one.
";

fn main() -> ExitCode {
    let name = env::args_os().next().unwrap_or_default();
    match Path::new(&name).file_name().and_then(|name| name.to_str()) {
        Some("devmem2") => return compat::run("devmem2", compat::devmem2),
        Some("devmem") => return compat::run("devmem", compat::devmem),
        _ => (),
    }
    generate::complete();
    failure::report("devmap", dispatch(Args::parse())).map_or_else(ExitCode::from, |()| ExitCode::SUCCESS)
}

fn dispatch(args: Args) -> Result<(), Failure> {
    let ctx = &mut Context::new(args.options);
    match args.command {
        None => ctx.print(INTRODUCTION),
        Some(Command::Read { places }) => access::read(ctx, &places),
        Some(Command::Write { place, values, verify }) => access::write(ctx, place, &values, verify),
        Some(Command::Modify { address, value, mask, set, clear, verify }) => {
            let change = access::Change::new(mask.zip(value), set, clear)?;
            access::modify(ctx, address, change, verify)
        }
        Some(Command::Dump { range, all }) => dump::dump(ctx, range, all),
        Some(Command::Fill { range, value, verify }) => transfer::fill(ctx, range, value, verify),
        Some(Command::Load { file, place, verify }) => transfer::load(ctx, &file, place, verify),
        Some(Command::Save { range, file }) => transfer::save(ctx, range, &file),
        Some(Command::Copy { range, target, verify }) => transfer::copy(ctx, range, target, verify),
        Some(Command::Compare { range, other }) => compare::compare(ctx, range, other),
        Some(Command::Verify { file, place }) => compare::verify(ctx, &file, place),
        Some(Command::Search { range, values, text, bytes, max_count }) => {
            let pattern = search::Pattern::new(ctx, &values, text, bytes.as_deref())?;
            search::search(ctx, range, &pattern, max_count)
        }
        Some(Command::Test { range, passes, only, seed }) => test::test(ctx, range, passes, &only, seed),
        Some(Command::Watch { place, interval, count }) => watch::watch(ctx, place, interval, count),
        Some(Command::Info) => info::info(ctx),
        Some(Command::Check { place, read: _, write, exec, private }) => {
            // Every command reads, even one that only checks for writing.
            let protection = Protection { read: true, write, execute: exec };
            check::check(ctx, place, protection, if private { Sharing::Private } else { Sharing::Shared })
        }
        Some(Command::Explain { address, length, page_size }) => explain::explain(ctx, address, length, page_size),
        Some(Command::Lab { experiment, address }) => lab::lab(ctx, experiment, address),
        Some(Command::LabTouch(errand)) => lab::child(errand),
        Some(Command::Completions { shell }) => generate::completions(ctx, shell),
        Some(Command::Man { directory }) => generate::man(&directory),
    }?;
    Ok(ctx.out.finish()?)
}
