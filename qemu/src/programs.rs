// SPDX-License-Identifier: MIT OR Apache-2.0

//! Our own programs for the guest, static, so that they need nothing there.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{process::Job, setup::Tools, ui::Ui};

/// How many crates that is, for the bar.
const CRATES: u64 = 75;

/// Where the programs are.
#[derive(Debug)]
pub struct Programs {
    /// The guest's first process.
    pub init: PathBuf,
    /// The tests.
    pub suite: PathBuf,
    /// The command line.
    pub devmap: PathBuf,
    /// The example.
    pub sdram: PathBuf,
}

/// Builds the programs for a guest.
pub fn build(tools: &Tools, ui: &Ui) -> Result<Programs> {
    let arch = tools.arch;
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned(), format!("-Clinker={}", arch.linker)];
    flags.extend(tools.sysroot.iter().map(|sysroot| format!("--sysroot={}", sysroot.display())));
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(crate::root())
        .args(["build", "--release", "--locked", "--target", arch.rust_target])
        .args(["--package", "devmap", "--package", "map-qemu", "--bins", "--examples"])
        .args(["--no-default-features", "--features", "map-qemu/guest,devmap/cli"])
        // With --target these flags are not those of build scripts and procedural macros.
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    // Nothing is said, and no bar begun, while there is nothing to build.
    let mut bar = None;
    let built = Job::new(cargo).lines(|line| {
        if line.trim_start().starts_with("Compiling ") {
            bar.get_or_insert_with(|| ui.bar(format!("Building the guest's programs for {arch}"), CRATES)).advance(1);
        }
    });
    built.context("cannot build the guest's programs")?;
    if let Some(bar) = bar {
        bar.finish();
    }
    let directory = crate::target().join(arch.rust_target).join("release");
    Ok(Programs {
        init: directory.join("map-init"),
        suite: directory.join("map-suite"),
        devmap: directory.join("devmap"),
        sdram: directory.join("examples/sdram"),
    })
}
