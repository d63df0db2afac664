// SPDX-License-Identifier: MIT OR Apache-2.0

//! The command line `devmap`: reads and writes physical memory exactly.

#![deny(unsafe_code)]
// The fuzzer takes this file for a library, of which it calls the parsers alone.
#![cfg_attr(fuzzing, allow(dead_code))]

mod access;
mod args;
mod assignment;
mod bar;
mod base;
mod blocks;
mod catalog;
mod chart;
mod check;
mod compare;
mod compat;
mod context;
mod decode;
mod drawing;
mod dump;
mod explain;
mod failure;
mod generate;
mod info;
mod input;
mod interrupt;
mod iomem;
mod irq;
mod json;
mod lab;
mod location;
mod memtest;
mod number;
mod output;
mod place;
mod probe;
#[cfg(any(test, fuzzing))]
pub mod property;
mod quick;
mod registers;
mod screen;
mod script;
mod search;
mod sigbus;
mod snapshot;
mod symbol;
mod table;
mod tally;
mod target;
mod test;
mod transfer;
mod view;
mod wait;
mod watch;
mod windows;

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use devmap::driver::{Protection, Sharing};

use args::{Args, CheckArgs, Command, NoArgs, WaitArgs, WaitIrqArgs};
use assignment::assignments;
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
    let arguments: Vec<OsString> = env::args_os().collect();
    // Empty is none, as for other variables. This process has no other thread yet.
    if env::var_os("DEVMAP_DEVICE").is_some_and(|path| path.is_empty()) {
        env::remove_var("DEVMAP_DEVICE");
    }
    let name = arguments.first().and_then(|name| Path::new(name).file_name()?.to_str());
    if let Some(status) = name.and_then(compat::run) {
        return status;
    }
    generate::complete();
    let args = quick::parse(&arguments).unwrap_or_else(|| Args::parse_from(arguments));
    let only_prints = args.command.as_ref().is_none_or(Command::only_prints);
    failure::report(args.options.json, "devmap", only_prints, dispatch(args))
        .map_or_else(ExitCode::from, |()| ExitCode::SUCCESS)
}

fn dispatch(args: Args) -> Result<(), Failure> {
    let ctx = &mut Context::new(args.options);
    match args.command {
        None => ctx.print(INTRODUCTION),
        Some(Command::Read(args)) => access::read(ctx, &args.places, args.quiet, args.force),
        Some(Command::Write(args)) => {
            access::write(ctx, &assignments(args.first, args.others)?, args.neighbours, args.verify)
        }
        Some(Command::Modify(args)) => {
            let change = access::Change::new(args.mask.zip(args.value), args.set, args.clear)?;
            access::modify(ctx, args.place, change, args.neighbours, args.verify)
        }
        Some(Command::Wait(args)) => {
            let WaitArgs { place, value, mask, timeout, interval, quiet } = args;
            wait::Waiting::of(ctx, place, mask, value, timeout, interval)?.run(ctx, quiet)
        }
        Some(Command::WaitIrq(args)) => {
            let WaitIrqArgs { line, count, timeout, quiet } = args;
            irq::wait(ctx, line, count, timeout, quiet)
        }
        Some(Command::Run(args)) => script::run(ctx, &args.script),
        Some(Command::Registers(args)) => registers::registers(ctx, args.pattern),
        Some(Command::Snapshot(args)) => snapshot::snapshot(ctx, &args.places, args.force),
        Some(Command::Diff(args)) => snapshot::diff(ctx, &args.before, args.after.as_deref()),
        Some(Command::Dump(args)) => dump::dump(ctx, args.range, args.all),
        Some(Command::Fill(args)) => transfer::fill(ctx, args.range, args.value, args.verify),
        Some(Command::Load(args)) => transfer::load(ctx, &args.file, args.place, args.verify),
        Some(Command::Save(args)) => transfer::save(ctx, args.range, &args.file),
        Some(Command::Copy(args)) => transfer::copy(ctx, args.range, args.target, args.verify),
        Some(Command::Compare(args)) => compare::compare(ctx, args.range, args.other),
        Some(Command::Verify(args)) => compare::verify(ctx, &args.file, args.place),
        Some(Command::Search(args)) => {
            let pattern = search::Pattern::new(ctx, &args.values, args.text, args.bytes.as_deref())?;
            search::search(ctx, args.range, &pattern, args.max_count)
        }
        Some(Command::Test(args)) => test::test(ctx, args.range, args.passes, &args.only, args.seed),
        Some(Command::Watch(args)) => watch::watch(ctx, args.place, args.interval, args.count),
        Some(Command::Info(NoArgs {})) => info::info(ctx),
        Some(Command::Windows(NoArgs {})) => windows::windows(ctx),
        Some(Command::Check(CheckArgs { place, read: _, write, exec, private })) => {
            // Every command reads, even one that only checks for writing.
            let protection = Protection { read: true, write, execute: exec };
            check::check(ctx, ctx.plain(place)?, protection, if private { Sharing::Private } else { Sharing::Shared })
        }
        Some(Command::Explain(args)) => explain::explain(ctx, args.asked, args.length, args.page_size),
        Some(Command::Lab(args)) => lab::lab(ctx, args.experiment, args.address),
        Some(Command::LabTouch(errand)) => lab::child(errand),
        Some(Command::Completions(args)) => generate::completions(ctx, args.shell),
        Some(Command::Man(args)) => generate::man(&args.directory),
    }?;
    Ok(ctx.out.finish()?)
}
