// SPDX-License-Identifier: MIT OR Apache-2.0

//! Rust's standard library for the guest's architecture, where the tool chain has none.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{ensure, Context, Result};

use crate::arch::Arch;
use crate::interrupt;
use crate::process::{in_path, Job};
use crate::setup::cache::Cache;
use crate::setup::toolchain::Toolchain;
use crate::ui::Ui;

const SHELF: &str = "sysroot";
/// How many crates that is, for the bar.
const CRATES: u64 = 20;
/// The room that it takes while it is made.
const SPACE: u64 = 500_000_000;

/// A directory for rustc's `--sysroot`, or `None` if the tool chain's own has the library.
pub fn find(arch: &Arch, toolchain: &Toolchain, cache: &Cache, ui: &Ui) -> Result<Option<PathBuf>> {
    let rustc = &toolchain.rustc;
    let own = || has_library(&rustc.sysroot, arch);
    let kept = cache.path(SHELF).join(name(arch, &rustc.release));
    let found = || [(own(), None), (has_library(&kept, arch), Some(kept.clone()))].into_iter().find(|(is, _)| *is);
    if let Some((_, sysroot)) = found() {
        return Ok(sysroot);
    }
    let lock = cache.lock(SHELF, "building Rust's library", ui)?;
    if let Some((_, sysroot)) = found() {
        return Ok(sysroot);
    }
    if rustc.is_rustups() && in_path("rustup").is_some() {
        ui.step(format_args!("Asking rustup for Rust's library for {arch}"));
        let mut command = Command::new("rustup");
        command.args(["target", "add", arch.rust_target]).env("RUSTUP_MAX_RETRIES", "0");
        match Job::new(command).timeout(Duration::from_secs(90)).output() {
            Err(error) if interrupt::is_interruption(&error) => return Err(error),
            // Whatever the reason: it can be built.
            Err(_) => ui.note("rustup cannot bring it; building it"),
            Ok(_) if own() => return Ok(None),
            Ok(_) => {}
        }
    }
    cache.need(SPACE)?;
    let log = cache.path(SHELF).join("build.log");
    // Gone, or never there: the log begins anew.
    let _ = fs::remove_file(&log);
    let bar = ui.bar(format_args!("Building Rust's library for {arch}"), CRATES);
    cache.make(SHELF, &name(arch, &rustc.release), |part| {
        let work = part.join("work");
        let crates = |line: &str| bar.advance(u64::from(line.trim_start().starts_with("Compiling ")));
        Job::new(cargo(arch, toolchain, &work)?).log(&log).hold(&lock)?.lines(crates).with_context(|| {
            format!(
                "cannot build Rust's library for {}; is there a way to the crates' registry from here? With rustup, \
                 `rustup target add {}` brings it",
                arch, arch.rust_target
            )
        })?;
        let made = work.join("target").join(arch.rust_target).join("release/deps");
        take(&made, &library(part, arch)).with_context(|| format!("nothing usable is in {}", made.display()))?;
        Ok(fs::remove_dir_all(work)?)
    })?;
    bar.finish();
    Ok(Some(kept))
}

fn name(arch: &Arch, release: &str) -> String {
    format!("{}-{release}", arch.rust_target)
}

/// Where a tool chain keeps the library for an architecture.
fn library(sysroot: &Path, arch: &Arch) -> PathBuf {
    sysroot.join("lib/rustlib").join(arch.rust_target).join("lib")
}

fn has_library(sysroot: &Path, arch: &Arch) -> bool {
    let names = fs::read_dir(library(sysroot, arch)).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.into_iter().any(|name| name.to_string_lossy().starts_with("libstd-"))
}

/// Cargo, about to build the library in `work` as the dependency of an empty crate.
fn cargo(arch: &Arch, toolchain: &Toolchain, work: &Path) -> Result<Command> {
    fs::create_dir_all(work.join("src"))?;
    fs::write(work.join("src/lib.rs"), "#![no_std]\n")?;
    fs::write(work.join("Cargo.toml"), "[package]\nname = \"empty\"\nedition = \"2021\"\n\n[workspace]\n")?;
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--release", "-Zbuild-std=std,panic_abort", "--target", arch.rust_target]);
    command.current_dir(work).env("CARGO_TARGET_DIR", work.join("target")).env("CARGO_TERM_PROGRESS_WHEN", "never");
    // The option is one of unreleased compilers, and so is what the library itself is written in.
    command.env("RUSTC_BOOTSTRAP", "1").env("__CARGO_TESTS_ONLY_SRC_ROOT", &toolchain.rust_src);
    // Neither the user's flags nor a make's above us are meant for this.
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "MAKEFLAGS", "CARGO_MAKEFLAGS"] {
        command.env_remove(name);
    }
    Ok(command)
}

/// Copies the libraries among what Cargo has made.
fn take(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let mut found = false;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(OsStr::to_str) else { continue };
        if name.ends_with(".rlib") && !name.starts_with("libempty-") {
            fs::copy(&path, to.join(name))?;
            found |= name.starts_with("libstd-");
        }
    }
    ensure!(found, "there is no libstd");
    Ok(())
}
