// SPDX-License-Identifier: MIT OR Apache-2.0

//! Boots a Linux guest with the map driver in it, and tests both from outside.

mod advisories;
mod arch;
mod bench;
mod dt;
mod exec;
mod flavour;
mod fuzz;
mod gdb;
mod initramfs;
mod interrupt;
mod join;
mod kernels;
mod klog;
mod libraries;
mod machine;
mod memory;
mod module;
mod mutants;
mod pages;
mod place;
mod process;
mod processors;
mod programs;
mod qmp;
mod run;
mod session;
mod setup;
mod shell;
mod suite_run;
mod suites;
mod tally;
mod test;
mod ui;
mod verdict;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
};

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::{
    arch::Arch,
    flavour::Flavour,
    kernels::{KernelId, Origin},
    module::Compiler,
    programs::Programs,
    session::Artifacts,
    setup::Tools,
    suites::SuiteSpec,
    ui::Ui,
};

/// The harness itself failed: sysexits' EX_UNAVAILABLE.
const UNAVAILABLE: u8 = 69;
/// The status that a shell gives for a program ended by SIGINT.
const INTERRUPTED: u8 = 130;

/// Boots a Linux guest with the map driver in it, and tests both from outside.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Installs and builds everything that a guest needs; the other commands do this as well.
    Setup(Target),
    /// Demonstrates the driver: load it, make the node, write through it, check the memory from outside.
    Run(Target),
    /// Runs the checks of the host and the tests in guests.
    Test(test::Options),
    /// Runs the library's unit tests, and its tools, for processors of boards, as `test --all` does.
    Processors(processors::Options),
    /// Opens a shell in a guest with the driver loaded.
    Shell(Target),
    /// Runs a command in a guest with the driver loaded, and exits with its status.
    Exec(exec::Options),
    /// Measures the driver beside its peers, in instructions.
    Bench(bench::Options),
    /// Plants bugs, one after the other, and looks whether a test notices.
    Mutants(mutants::Options),
}

/// The guest to boot.
#[derive(Debug, Clone, Copy, clap::Args)]
struct Target {
    /// The architecture of the guest.
    #[arg(long, default_value = "x86_64", value_parser = find_arch)]
    arch: &'static Arch,
    /// Its kernel: 7.3 or 7.2, built from the source; or debian, which Debian has built.
    #[arg(long, value_parser = find_origin)]
    kernel: Option<&'static Origin>,
    /// The flavour of its kernel: plain; debug, which checks itself; kobject, which frees late; kcsan, which looks for
    /// data races; short, without LPAE; 64k and 16k, with larger pages.
    #[arg(long, value_parser = find_flavour)]
    flavour: Option<&'static Flavour>,
}

impl Target {
    /// The kernel that the options name.
    fn kernel(self) -> Result<KernelId> {
        let Self { arch, kernel, flavour } = self;
        let id =
            KernelId { arch, origin: kernel.unwrap_or(&kernels::ALL[0]), flavour: flavour.unwrap_or(&flavour::ALL[0]) };
        id.check().map(|()| id)
    }
}

fn find_arch(name: &str) -> Result<&'static Arch, String> {
    Arch::find(name).ok_or_else(|| {
        let names: Vec<_> = arch::ALL.iter().map(|arch| arch.name).collect();
        format!("there are guests of {}", names.join(", "))
    })
}

fn find_origin(name: &str) -> Result<&'static Origin, String> {
    Origin::find(name).ok_or_else(|| {
        let names: Vec<_> = kernels::ALL.iter().map(|origin| origin.name).collect();
        format!("there are the kernels {}", names.join(", "))
    })
}

fn find_flavour(name: &str) -> Result<&'static Flavour, String> {
    Flavour::find(name).ok_or_else(|| {
        let names: Vec<_> = flavour::ALL.iter().map(|flavour| flavour.name).collect();
        format!("there are kernels of the flavours {}", names.join(", "))
    })
}

/// The suite called `name`, or an error that names them all.
fn find_suite(name: &str) -> Result<&'static SuiteSpec, String> {
    SuiteSpec::find(name).ok_or_else(|| {
        let names: Vec<_> = suites::ALL.iter().map(|spec| spec.name).collect();
        format!("there are the suites {}", names.join(", "))
    })
}

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            let _ = error.print();
            // Clap's own status for wrong usage, 2, could also be that of a command in the guest.
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
    place::check(root(), &target())?;
    match command {
        Command::Setup(target) => artifacts(target.kernel()?, ui).map(|_| ExitCode::SUCCESS),
        Command::Run(target) => run::run(target, ui),
        Command::Test(options) => test::test(&options, ui),
        Command::Processors(options) => processors::run(&options, ui),
        Command::Shell(target) => shell::shell(target, ui),
        Command::Exec(options) => exec::exec(&options, ui),
        Command::Bench(options) => bench::bench(&options, ui),
        Command::Mutants(options) => mutants::mutants(&options, ui),
    }
}

/// Everything that a guest is made from; builds what is missing.
fn artifacts(kernel: KernelId, ui: &Ui) -> Result<Artifacts> {
    artifacts_with(programs::build, kernel, ui)
}

/// The same, with these programs.
fn artifacts_with(
    build: impl FnOnce(&Tools, &Ui) -> Result<Programs> + Send,
    kernel: KernelId,
    ui: &Ui,
) -> Result<Artifacts> {
    let tools = setup::prepare(kernel.arch, ui)?;
    let (kernel, programs) = thread::scope(|scope| {
        // Downloads, and the beginning of a kernel's build, leave processors idle.
        let programs = scope.spawn(|| build(&tools, ui));
        let kernel = tools.kernel(kernel, ui);
        (kernel, join::join(programs))
    });
    let (kernel, programs) = (kernel?, programs?);
    let modules = module::build(&kernel, &module::DRIVER, Compiler::Rustc, ui)?;
    Ok(Artifacts { tools: tools.into(), kernel, modules, programs: programs.into() })
}

/// The root of the project in which this program was built.
fn root() -> &'static Path {
    let crate_root = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_root.ancestors().nth(2).unwrap_or(crate_root)
}

/// The directory for what Cargo and this program build.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |path| root().join(path))
}
