// SPDX-License-Identifier: MIT OR Apache-2.0

//! The driver, built for the guest's kernel.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{bail, ensure, Context, Result};

use crate::{process::Job, setup::Tools, ui::Ui};

/// How the module is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compiler {
    /// By rustc.
    Rustc,
    /// By clippy, which is stricter, in a directory of its own.
    Clippy,
}

/// Builds the driver and gives its path. A warning is an error.
pub fn build(tools: &Tools, compiler: Compiler, ui: &Ui) -> Result<PathBuf> {
    let directory = match compiler {
        Compiler::Rustc => tools.arch.name.to_owned(),
        Compiler::Clippy => format!("{}-clippy", tools.arch.name),
    };
    ui.step(format!("Building the driver for Linux {} on {}", tools.kernel.release, tools.arch));
    // Objects that another kernel's headers went into are no good: each kernel has a directory of its own.
    let key = tools.kernel.build.file_name().context("the kernel's build directory has no name")?;
    let output = crate::target().join("module").join(directory).join(key);
    fs::create_dir_all(&output).with_context(|| format!("cannot create {}", output.display()))?;
    let mut make = tools.toolchain.make();
    make.arg("--silent")
        .arg("-C")
        .arg(&tools.kernel.build)
        .arg(format!("M={}", crate::root().display()))
        .arg(format!("MO={}", output.display()))
        .arg("modules");
    if compiler == Compiler::Clippy {
        make.arg("CLIPPY=1");
    }
    let mut said = Vec::new();
    Job::new(make).lines(|line| said.push(line.to_owned())).context("cannot build the driver")?;
    said.retain(|line| !line.starts_with("make["));
    if !said.is_empty() {
        bail!("building the driver gave warnings:\n{}", said.join("\n"));
    }
    Ok(output.join("driver/map.ko"))
}

/// Fails if a panic is linked into the driver: in the kernel it would take the machine down.
pub fn has_no_panic(tools: &Tools, module: &Path) -> Result<()> {
    let object = module.with_file_name("map_main.o");
    let mut nm = tools.toolchain.llvm("llvm-nm");
    nm.arg(&object);
    let symbols = Job::new(nm).output()?;
    ensure!(!symbols.is_empty(), "{} has no symbols", object.display());
    let panics: Vec<_> = symbols.lines().filter(|line| line.contains("panicking")).collect();
    ensure!(panics.is_empty(), "{} can panic:\n{}", object.display(), panics.join("\n"));
    Ok(())
}
