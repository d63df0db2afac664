// SPDX-License-Identifier: MIT OR Apache-2.0

//! Rust's standard library for the guest's programs, if the tool chain has none.

use std::{
    ffi::OsStr,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{ensure, Context, Result};

use crate::{
    process::Job,
    setup::{
        archive::Archive,
        cache::BuildCache,
        toolchain::{self, cargo_in, Rustc},
    },
    ui::Ui,
};

const BUCKET: &str = "sysroot";
/// The number of its crates, for the progress bar.
const CRATES: u64 = 20;
/// The disk space that building it takes.
const SPACE: u64 = 500_000_000;

/// What the library is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Programs.
    Programs,
    /// Unit tests, for which it has one crate more.
    Tests,
}

impl Use {
    /// The crates that are built, as Cargo's option names them.
    fn crates(self) -> &'static str {
        match self {
            Self::Programs => "std,panic_abort",
            Self::Tests => "std,panic_abort,test",
        }
    }

    /// The name in the cache.
    fn name(self, target: &str, release: &str) -> String {
        match self {
            Self::Programs => format!("{target}-whole-{release}"),
            Self::Tests => format!("{target}-whole-tests-{release}"),
        }
    }
}

/// A directory for rustc's `--sysroot`, or `None` if the tool chain's own has the library.
pub fn find(
    target: &str,
    purpose: Use,
    rustc: &Rustc,
    cache: &BuildCache,
    archive: &Archive<'_>,
    ui: &Ui,
) -> Result<Option<PathBuf>> {
    let own = || has_library(&rustc.sysroot, target);
    let name = purpose.name(target, &rustc.release);
    let kept = cache.path(BUCKET).join(&name);
    let found = || [(own(), None), (has_library(&kept, target), Some(kept.clone()))].into_iter().find(|(is, _)| *is);
    if let Some((_, sysroot)) = found() {
        return Ok(sysroot);
    }
    let lock = cache.lock(BUCKET, "building Rust's library", ui)?;
    if let Some((_, sysroot)) = found() {
        return Ok(sysroot);
    }
    let what = format!("Rust's library for {target}");
    if rustc.ask_rustup(&["target", "add", target], &what, "building it", ui)? && own() {
        return Ok(None);
    }
    let source = toolchain::rust_src(rustc, cache, archive, ui)?;
    cache.require_space(SPACE)?;
    let log = cache.path(BUCKET).join("build.log");
    // A new log for every attempt.
    let _ = fs::remove_file(&log);
    let bar = ui.bar(format_args!("Building {what}"), CRATES);
    cache.make(BUCKET, &name, |part| {
        let work = part.join("work");
        let crates = |line: &str| bar.advance(u64::from(line.trim_start().starts_with("Compiling ")));
        Job::new(cargo(target, purpose, &source, &work)?).log(&log).hold(&lock)?.lines(crates).with_context(|| {
            format!(
                "cannot build {what}; is there a way to the crates' registry from here? With rustup, \
                 `rustup target add {target}` brings it"
            )
        })?;
        let made = work.join("target").join(target).join("release/deps");
        take(&made, &library(part, target)).with_context(|| format!("nothing usable is in {}", made.display()))?;
        Ok(fs::remove_dir_all(work)?)
    })?;
    bar.finish();
    Ok(Some(kept))
}

/// The directory in which a tool chain keeps the library for a target.
fn library(sysroot: &Path, target: &str) -> PathBuf {
    sysroot.join("lib/rustlib").join(target).join("lib")
}

fn has_library(sysroot: &Path, target: &str) -> bool {
    let names = fs::read_dir(library(sysroot, target)).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.into_iter().any(|name| name.to_string_lossy().starts_with("libstd-"))
}

/// What calls rustc: programs that abort on a panic take the crate that does so only if it was compiled like that
/// itself, and programs that unwind take the others only if they were not. So Rust's own build compiles it in this way,
/// too. And it keeps the code that programs of the profile `small` optimize as a whole, which Cargo leaves out.
const WRAPPER: &str = "\
#!/bin/sh
case \" $* \" in
*' --crate-name panic_abort '*) exec \"$@\" -Cembed-bitcode=yes -Cpanic=abort ;;
*) exec \"$@\" -Cembed-bitcode=yes ;;
esac
";

/// A command of Cargo that builds the library in `work`, as the dependency of an empty crate.
fn cargo(target: &str, purpose: Use, source: &Path, work: &Path) -> Result<Command> {
    fs::create_dir_all(work.join("src"))?;
    fs::write(work.join("src/lib.rs"), "#![no_std]\n")?;
    fs::write(work.join("Cargo.toml"), "[package]\nname = \"empty\"\nedition = \"2021\"\n\n[workspace]\n")?;
    let wrapper = work.join("rustc.sh");
    fs::write(&wrapper, WRAPPER)?;
    fs::set_permissions(&wrapper, Permissions::from_mode(0o755))?;
    let mut command = cargo_in(work);
    command.env("RUSTC_WRAPPER", wrapper);
    command.args(["build", "--release", &format!("-Zbuild-std={}", purpose.crates()), "--target", target]);
    // The option, and the library itself, need unstable features.
    command.env("RUSTC_BOOTSTRAP", "1").env("__CARGO_TESTS_ONLY_SRC_ROOT", source);
    Ok(command)
}

/// Copies the libraries that Cargo has built.
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
