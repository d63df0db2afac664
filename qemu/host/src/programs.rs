// SPDX-License-Identifier: MIT OR Apache-2.0

//! Our own programs for the guest, statically linked, so that they need no libraries there.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use map_protocol::PLAIN;

use crate::{
    arch::Target,
    process::{self, Job},
    setup::{self, Tools},
    ui::Ui,
};

/// The number of crates to build, for the progress bar …
const CRATES: u64 = 76;
/// … and of those for the command line alone.
const CRATES_32: u64 = 56;

/// The packages of the programs.
const PACKAGES: [&str; 3] = ["--package=devmap", "--package=devmap-cli", "--package=map-guest"];

/// The programs, each with its path in the guest.
#[derive(Debug)]
pub struct Programs(pub Vec<(PathBuf, &'static str)>);

impl Programs {
    /// The program with the tests, if it was built.
    pub fn suite(&self) -> Option<&Path> {
        self.0.iter().find(|(_, guest)| *guest == SUITE).map(|(host, _)| host.as_path())
    }
}

/// Where the guest has the tests.
const SUITE: &str = "/bin/map-suite";

/// Builds all programs for a guest.
pub fn build(tools: &Tools, ui: &Ui) -> Result<Programs> {
    let all = [&PACKAGES[..], &["--bins", "--examples"]].concat();
    let directory = build_these(&all, tools, ui)?;
    let mut programs = demonstration(&directory);
    programs.extend([
        (directory.join("map-suite"), SUITE),
        (directory.join("devmap"), "/usr/bin/devmap"),
        (directory.join("examples/alarm"), "/usr/bin/alarm"),
        (directory.join("examples/alarm_async"), "/usr/bin/alarm_async"),
        (directory.join("examples/button"), "/usr/bin/button"),
        (directory.join("examples/clock"), "/usr/bin/clock"),
        (directory.join("examples/factorial"), "/usr/bin/factorial"),
    ]);
    // What describes the registers of devices that the guests have.
    let descriptions = crate::root().join("userspace/lib/examples/svd");
    for (name, guest) in [
        ("pl031.svd", "/usr/share/pl031.svd"),
        ("pl061.svd", "/usr/share/pl061.svd"),
        ("edu.svd", "/usr/share/edu.svd"),
    ] {
        programs.push((descriptions.join(name), guest));
    }
    Ok(Programs(programs))
}

/// Builds only what the demonstration takes.
pub fn build_for_run(tools: &Tools, ui: &Ui) -> Result<Programs> {
    let few = ["--package=devmap", "--package=map-guest", "--bin=map-init", "--example=sdram"];
    Ok(Programs(demonstration(&build_these(&few, tools, ui)?)))
}

/// The guest's first process, and the example.
fn demonstration(directory: &Path) -> Vec<(PathBuf, &'static str)> {
    vec![(directory.join("map-init"), "/init"), (directory.join("examples/sdram"), "/usr/bin/sdram")]
}

fn build_these(arguments: &[&str], tools: &Tools, ui: &Ui) -> Result<PathBuf> {
    let what = format!("Building the guest's programs for {}", tools.arch);
    cargo(arguments, tools.arch.programs, tools.sysroot.as_deref(), (&what, CRATES), ui)
}

/// Builds the programs for a guest that runs tests.
pub fn build_for_tests(tools: &Tools, ui: &Ui) -> Result<Programs> {
    let arch = tools.arch;
    let sysroot = setup::prepare_tests(tools, ui)?;
    let mut programs = build(tools, ui)?;
    if let Some(target) = arch.programs_32 {
        let one = ["--package=devmap-cli", "--bin=devmap"];
        let what = format!("Building a program of 32 bits for {arch}");
        let directory = cargo(&one, target, sysroot.as_deref(), (&what, CRATES_32), ui)?;
        programs.0.push((directory.join("devmap"), "/usr/bin/devmap32"));
    }
    Ok(programs)
}

/// Compiles the program that has devmem2's shape in plain C, for a benchmark.
pub fn build_plain(tools: &Tools, ui: &Ui) -> Result<(PathBuf, PathBuf)> {
    let directory = crate::target().join("bench-program").join(tools.arch.name);
    fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let _lock = setup::lock(&directory, "building a C program", ui)?;
    let program = directory.join("plain");
    let mut compiler = Command::new(tools.arch.programs.linker);
    compiler.args(["-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o"]);
    compiler.arg(&program).arg(crate::root().join("userspace/cli/benches/plain.c"));
    Job::new(compiler).output().context("cannot build the C program to compare with")?;
    Ok((program, PLAIN.into()))
}

/// Runs clippy on the programs for a guest, compiled for its architecture.
pub fn lint(tools: &Tools) -> Result<()> {
    let mut cargo = command("clippy", tools.arch.programs, tools.sysroot.as_deref());
    cargo.args(PACKAGES).args(["--bins", "--examples", "--quiet", "--", "-D", "warnings"]);
    cargo.arg(process::of_this_clone());
    Job::new(cargo).lines(|_| ())
}

/// A command of Cargo for static programs for `target`.
fn command(subcommand: &str, target: Target, sysroot: Option<&Path>) -> Command {
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned(), format!("-Clinker={}", target.linker)];
    flags.extend(sysroot.map(|sysroot| format!("--sysroot={}", sysroot.display())));
    let mut cargo = process::cargo();
    cargo
        .current_dir(crate::root())
        .args([subcommand, "--locked", "--target", target.rust])
        // With --target these flags are not those of build scripts and procedural macros.
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    cargo
}

/// Builds what the arguments name, and gives the directory of the results.
fn cargo(
    arguments: &[&str],
    target: Target,
    sysroot: Option<&Path>,
    (what, crates): (&str, u64),
    ui: &Ui,
) -> Result<PathBuf> {
    let mut cargo = command("build", target, sysroot);
    cargo.arg("--release").args(arguments);
    // The bar starts with the first crate: often there is nothing to build.
    let mut bar = None;
    let built = Job::new(cargo).lines(|line| {
        if line.trim_start().starts_with("Compiling ") {
            bar.get_or_insert_with(|| ui.bar(what, crates)).advance(1);
        }
    });
    built.context("cannot build the guest's programs")?;
    if let Some(bar) = bar {
        bar.finish();
    }
    Ok(crate::target().join(target.rust).join("release"))
}
