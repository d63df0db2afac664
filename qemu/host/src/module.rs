// SPDX-License-Identifier: MIT OR Apache-2.0

//! The driver, and the tests' own modules, built for the guest's kernel.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{bail, ensure, Context, Result};

use crate::{
    process::Job,
    setup::{self, Kernel},
    ui::Ui,
};

/// A kernel module in this project.
#[derive(Debug)]
pub struct Source {
    /// Its name in messages.
    title: &'static str,
    /// The directory where make starts, below the project's root.
    root: &'static str,
    /// The file that make builds, below its output directory.
    file: &'static str,
    /// The parent of the output directory, below the target directory.
    output: &'static str,
}

/// The driver.
pub const DRIVER: Source = Source { title: "the driver", root: "", file: "driver/map.ko", output: "module" };

/// Applies an overlay to the device tree while the guest runs.
pub const OVERLAY: Source = Source {
    title: "the module for overlays",
    root: "qemu/modules",
    file: "overlay/overlay.ko",
    output: "test-module",
};

/// How a module is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compiler {
    /// By rustc.
    Rustc,
    /// By clippy, in a directory of its own.
    Clippy,
}

/// Builds a module and gives its path. A warning is an error.
pub fn build(kernel: &Kernel, source: &Source, compiler: Compiler, ui: &Ui) -> Result<PathBuf> {
    let title = source.title;
    let directory = match compiler {
        Compiler::Rustc => kernel.id.arch.name.to_owned(),
        Compiler::Clippy => format!("{}-clippy", kernel.id.arch.name),
    };
    // Objects depend on the kernel's headers, so each kernel has a directory of its own.
    let place = kernel.build.parent().and_then(Path::file_name);
    let key = place.context("the kernel's build directory has no name")?;
    let output = crate::target().join(source.output).join(directory).join(key);
    fs::create_dir_all(&output).with_context(|| format!("cannot create {}", output.display()))?;
    let _lock = setup::lock(&output, &format!("building {title}"), ui)?;
    let mut make = kernel.make();
    make.arg(format!("M={}", crate::root().join(source.root).display()))
        .arg(format!("MO={}", output.display()))
        .arg("modules");
    if compiler == Compiler::Clippy {
        make.arg("CLIPPY=1");
    }
    let mut warnings = Vec::new();
    let mut building = false;
    let built = Job::new(make).lines(|line| {
        if !is_progress(line) {
            warnings.push(line.to_owned());
        } else if line.contains("[M]") && !building {
            building = true;
            ui.step(format!("Building {title} for Linux {} on {}", kernel.release, kernel.title()));
        }
    });
    built.with_context(|| format!("cannot build {title}"))?;
    if !warnings.is_empty() {
        bail!("building {title} gave warnings:\n{}", warnings.join("\n"));
    }
    sign(kernel, source, &output)
}

/// Signs a module with the key from the kernel's build, as a distribution does: a locked-down kernel loads no other.
fn sign(kernel: &Kernel, source: &Source, output: &Path) -> Result<PathBuf> {
    let build = &kernel.build;
    let module = output.join(source.file);
    let name = module.file_name().context("the module has no name")?;
    let signed = output.join(name);
    let made = |path| fs::metadata(path).and_then(|file| file.modified());
    if made(&signed).is_ok_and(|signed| made(&module).is_ok_and(|module| module < signed)) {
        // Another run may be reading it.
        return Ok(signed);
    }
    let part = signed.with_extension("ko.part");
    let key = build.join("certs/signing_key.pem");
    if !key.exists() {
        // A kernel that checks no signatures has no key.
        fs::copy(&module, &part).with_context(|| format!("cannot copy {}", module.display()))?;
        fs::rename(part, &signed)?;
        return Ok(signed);
    }
    let mut sign = Command::new(build.join("scripts/sign-file"));
    sign.arg("sha512").args([key, build.join("certs/signing_key.x509")]).args([&module, &part]);
    Job::new(sign).output().with_context(|| format!("cannot sign {}", source.title))?;
    fs::rename(part, &signed)?;
    Ok(signed)
}

/// Whether the line only reports what make does: `  CC [M]  shim.o`, or that it enters a directory.
fn is_progress(line: &str) -> bool {
    let verb = line.strip_prefix("  ").and_then(|line| line.split_whitespace().next());
    line.starts_with("make") && line.contains(" directory ")
        || verb.is_some_and(|verb| verb.chars().all(|letter| letter.is_ascii_uppercase()))
}

/// Fails if a panic is linked into the driver: it would take the machine down.
pub fn has_no_panic(module: &Path) -> Result<()> {
    let object = module.with_file_name("driver/map_main.o");
    let mut nm = setup::llvm("llvm-nm");
    nm.arg(&object);
    let symbols = Job::new(nm).output()?;
    ensure!(!symbols.is_empty(), "{} has no symbols", object.display());
    // `unwrap` and similar methods call functions of other names.
    let panics = |line: &&str| line.contains("panic") || line.contains("_failed");
    let panics: Vec<_> = symbols.lines().filter(panics).collect();
    ensure!(panics.is_empty(), "{} can panic:\n{}", object.display(), panics.join("\n"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_no_progress() {
        for line in ["  CC [M]  driver/shim.o", "  CLIPPY [M] driver/map_main.o", "make[1]: Entering directory '/x'"] {
            assert!(is_progress(line), "{line}");
        }
        for line in ["warning: unused variable: `x`", "  --> driver/area.rs:3:1", "   |", "make: *** [x] Error 1"] {
            assert!(!is_progress(line), "{line}");
        }
    }
}
