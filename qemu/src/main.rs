// SPDX-License-Identifier: MIT OR Apache-2.0

//! Boots a Linux guest with the map driver in it, and judges both from outside.

mod arch;
mod exec;
mod gdb;
mod initramfs;
mod interrupt;
mod klog;
mod libraries;
mod machine;
mod memory;
mod module;
mod pages;
mod process;
mod programs;
mod qmp;
mod run;
mod session;
mod setup;
mod shell;
mod test;
mod tree;
mod ui;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::{arch::Arch, module::Compiler, session::Kit, ui::Ui};

/// The harness itself failed: sysexits' EX_UNAVAILABLE.
const UNAVAILABLE: u8 = 69;
/// As a shell says it: ended by SIGINT.
const INTERRUPTED: u8 = 130;

/// Boots a Linux guest with the map driver in it, and judges both from outside.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Installs and builds all that a guest needs; the other commands do it as well.
    Setup(Target),
    /// Shows the main job: load the driver, make the node, write through it, look from outside.
    Run(Target),
    /// Runs the checks of the host and the tests in guests.
    Test(test::Options),
    /// Gives a shell in a guest with the driver loaded.
    Shell(Target),
    /// Runs a command in a guest with the driver loaded, and exits with its status.
    Exec(exec::Options),
}

/// Which guest.
#[derive(Debug, Clone, Copy, clap::Args)]
struct Target {
    /// The architecture of the guest.
    #[arg(long, default_value = "x86_64", value_parser = find_arch)]
    arch: &'static Arch,
}

fn find_arch(name: &str) -> Result<&'static Arch, String> {
    Arch::find(name).ok_or_else(|| {
        let names: Vec<_> = arch::ALL.iter().map(|arch| arch.name).collect();
        format!("there are guests of {}", names.join(", "))
    })
}

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            let _ = error.print();
            // Clap's own code for wrong usage is 2, which could as well be that of a command in the guest.
            return if error.use_stderr() { ExitCode::from(UNAVAILABLE) } else { ExitCode::SUCCESS };
        }
    };
    let ui = Ui::new();
    match interrupt::install().map_err(Into::into).and_then(|()| perform(options.command, &ui)) {
        Ok(code) => code,
        Err(error) if interrupt::is_interruption(&error) => {
            eprintln!("map-qemu: interrupted; nothing is left running");
            ExitCode::from(INTERRUPTED)
        }
        Err(error) => {
            eprintln!("map-qemu: {error:#}");
            ExitCode::from(UNAVAILABLE)
        }
    }
}

fn perform(command: Command, ui: &Ui) -> Result<ExitCode> {
    match command {
        Command::Setup(target) => kit(target.arch, ui).map(|_| ExitCode::SUCCESS),
        Command::Run(target) => run::run(target.arch, ui),
        Command::Test(options) => test::test(&options, ui),
        Command::Shell(target) => shell::shell(target.arch, ui),
        Command::Exec(options) => exec::exec(&options, ui),
    }
}

/// Everything that a guest of `arch` is made from, built where it is missing.
fn kit(arch: &'static Arch, ui: &Ui) -> Result<Kit> {
    let tools = setup::prepare(arch, ui)?;
    let module = module::build(&tools, Compiler::Rustc, ui)?;
    let programs = programs::build(&tools, ui)?;
    Ok(Kit { tools, module, programs })
}

/// The root of the project, in which this program was built.
fn root() -> &'static Path {
    let crate_root = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_root.parent().unwrap_or(crate_root)
}

/// Where Cargo, and we, put what was built.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |path| root().join(path))
}
