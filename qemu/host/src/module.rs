// SPDX-License-Identifier: MIT OR Apache-2.0

//! The driver, the tests' own modules, and configfs, built for the guest's kernel.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{bail, ensure, Context, Result};
use map_protocol::{CONFIGFS, MAP_CONFIG, MODULE};
use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget, SectionKind, SymbolKind};

use crate::{
    process::Job,
    setup::{self, Kernel},
    ui::Ui,
};

/// Kernel modules that are built together.
#[derive(Debug)]
pub struct Source {
    /// Their name in messages.
    title: &'static str,
    /// The directory where make starts.
    root: Root,
    /// The files that make builds, below its output directory, each with its place in the guest.
    files: &'static [(&'static str, &'static str)],
    /// The parent of the output directory, below the target directory.
    output: &'static str,
    /// The modules whose symbols they use.
    uses: Option<&'static Source>,
}

/// Where sources lie.
#[derive(Debug)]
enum Root {
    /// Below the project's root.
    Project(&'static str),
    /// Below the root of the kernel's source.
    Kernel(&'static str),
}

/// The modules of a kernel, each with its place in the guest.
pub type Modules = Vec<(PathBuf, &'static str)>;

/// The driver, and what adds windows at run time.
pub const DRIVER: Source = Source {
    title: "the driver",
    root: Root::Project(""),
    files: &[("driver/map.ko", MODULE), ("driver/map_config.ko", MAP_CONFIG)],
    output: "module",
    uses: Some(&CONFIGFS_MODULE),
};

/// configfs. The kernels that are built here do not have it, so that a guest shows that the driver needs none, and that
/// of a distribution is in a package that nothing else needs.
const CONFIGFS_MODULE: Source = Source {
    title: "configfs",
    root: Root::Kernel("fs/configfs"),
    files: &[("configfs.ko", CONFIGFS)],
    output: "configfs",
    uses: None,
};

/// Applies an overlay to the device tree while the guest runs, raises interrupts, and adds a device.
pub const OVERLAY: Source = Source {
    title: "the modules for overlays, interrupts and devices",
    root: Root::Project("qemu/modules"),
    files: &[
        ("overlay/overlay.ko", map_protocol::OVERLAY),
        ("raise/raise.ko", map_protocol::RAISE),
        ("device/device.ko", map_protocol::DEVICE),
    ],
    output: "test-module",
    uses: None,
};

/// The textbook's driver, and a UIO device: references for benchmarks.
pub const BENCH: Source = Source {
    title: "the C drivers to compare with",
    root: Root::Project("qemu/bench"),
    files: &[("twin.ko", map_protocol::TWIN), ("uio_bench.ko", map_protocol::UIO)],
    output: "bench-module",
    uses: None,
};

/// How a module is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compiler {
    /// By rustc.
    Rustc,
    /// By clippy, in a directory of its own.
    Clippy,
}

/// Builds modules, and those that they use. A warning is an error.
pub fn build(kernel: &Kernel, source: &Source, compiler: Compiler, ui: &Ui) -> Result<Modules> {
    let mut modules = Modules::new();
    if let Some(used) = source.uses {
        modules.extend(build(kernel, used, Compiler::Rustc, ui)?);
    }
    modules.splice(0..0, build_one(kernel, source, compiler, ui)?);
    Ok(modules)
}

/// The directory in which make builds modules.
fn output(kernel: &Kernel, source: &Source, compiler: Compiler) -> Result<PathBuf> {
    let directory = match compiler {
        Compiler::Rustc => kernel.id.arch.name.to_owned(),
        Compiler::Clippy => format!("{}-clippy", kernel.id.arch.name),
    };
    // Objects depend on the kernel's headers, so each kernel has a directory of its own.
    let place = kernel.build.parent().and_then(Path::file_name);
    let key = place.context("the kernel's build directory has no name")?;
    Ok(crate::target().join(source.output).join(directory).join(key))
}

fn build_one(kernel: &Kernel, source: &Source, compiler: Compiler, ui: &Ui) -> Result<Modules> {
    let title = source.title;
    let output = output(kernel, source, compiler)?;
    fs::create_dir_all(&output).with_context(|| format!("cannot create {}", output.display()))?;
    let _lock = setup::lock(&output, &format!("building {title}"), ui)?;
    let root = match source.root {
        Root::Project(path) => crate::root().join(path),
        Root::Kernel(path) => fs::canonicalize(kernel.build.join("source"))
            .with_context(|| format!("{} does not name its source", kernel.build.display()))?
            .join(path),
    };
    let mut make = kernel.make();
    make.arg(format!("M={}", root.display()))
        .arg(format!("MO={}", output.display()))
        // The kernel may be configured without it.
        .arg("CONFIG_CONFIGFS_FS=m")
        .arg("modules");
    if let Some(used) = source.uses {
        let symbols = self::output(kernel, used, Compiler::Rustc)?.join("Module.symvers");
        make.arg(format!("KBUILD_EXTRA_SYMBOLS={}", symbols.display()));
    }
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
    source.files.iter().map(|(file, guest)| Ok((sign(kernel, &output.join(file), &output)?, *guest))).collect()
}

/// Signs a module with the key from the kernel's build, as a distribution does: a locked-down kernel loads no other.
fn sign(kernel: &Kernel, module: &Path, output: &Path) -> Result<PathBuf> {
    let build = &kernel.build;
    let name = module.file_name().context("the module has no name")?;
    let signed = output.join(name);
    let made = |path: &Path| fs::metadata(path).and_then(|file| file.modified());
    if made(&signed).is_ok_and(|signed| made(module).is_ok_and(|module| module < signed)) {
        // Another run may be reading it.
        return Ok(signed);
    }
    let part = signed.with_extension("ko.part");
    let key = build.join("certs/signing_key.pem");
    if !key.exists() {
        // A kernel that checks no signatures has no key.
        fs::copy(module, &part).with_context(|| format!("cannot copy {}", module.display()))?;
        fs::rename(part, &signed)?;
        return Ok(signed);
    }
    let mut sign = Command::new(build.join("scripts/sign-file"));
    sign.arg("sha512").args([key, build.join("certs/signing_key.x509")]).args([module, &part]);
    Job::new(sign).output().with_context(|| format!("cannot sign {}", module.display()))?;
    fs::rename(part, &signed)?;
    Ok(signed)
}

/// Whether the line only reports what make does: `  CC [M]  shim.o`, or that it enters a directory.
fn is_progress(line: &str) -> bool {
    let verb = line.strip_prefix("  ").and_then(|line| line.split_whitespace().next());
    line.starts_with("make") && line.contains(" directory ")
        || verb.is_some_and(|verb| verb.chars().all(|letter| letter.is_ascii_uppercase()))
}

/// What rustc makes of the driver: the code of its modules, without that of `shim.c`.
const OBJECTS: [&str; 2] = ["driver/map_main.o", "driver/config/map_config_main.o"];

/// Fails if a function of one of the driver's modules can call a panic: it would take the machine down.
pub fn has_no_panic(kernel: &Kernel) -> Result<()> {
    for_each_object(kernel, |object, bytes| {
        let panics = panics(bytes).with_context(|| format!("cannot understand {object}"))?;
        ensure!(panics.is_empty(), "{object} can panic:\n{}", panics.join("\n"));
        Ok(())
    })
}

/// Fails unless the Rust code of each of the driver's modules calls what checks its accesses, as the kernel's flavour
/// says.
pub fn is_checked(kernel: &Kernel) -> Result<()> {
    for_each_object(kernel, |object, bytes| {
        let missing =
            not_called(bytes, kernel.id.flavour.checks).with_context(|| format!("cannot understand {object}"))?;
        ensure!(missing.is_empty(), "{object} calls no {}", missing.join(", "));
        Ok(())
    })
}

fn for_each_object(kernel: &Kernel, check: impl Fn(&str, &[u8]) -> Result<()>) -> Result<()> {
    let output = output(kernel, &DRIVER, Compiler::Rustc)?;
    for object in OBJECTS {
        let object = output.join(object);
        let bytes = fs::read(&object).with_context(|| format!("cannot read {}", object.display()))?;
        check(&object.display().to_string(), &bytes)?;
    }
    Ok(())
}

/// Those of the functions that an object file does not call.
fn not_called<'a>(bytes: &[u8], functions: &[&'a str]) -> Result<Vec<&'a str>> {
    let file = object::File::parse(bytes)?;
    let called: Vec<_> =
        file.symbols().filter(ObjectSymbol::is_undefined).filter_map(|symbol| symbol.name().ok()).collect();
    Ok(functions.iter().copied().filter(|function| !called.contains(function)).collect())
}

/// The calls of panics in an object file.
fn panics(bytes: &[u8]) -> Result<Vec<String>> {
    let file = object::File::parse(bytes)?;
    let functions: Vec<_> = file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text).collect();
    ensure!(!functions.is_empty(), "it has no functions");
    let mut found = Vec::new();
    for section in file.sections().filter(|section| section.kind() == SectionKind::Text) {
        for (offset, relocation) in section.relocations() {
            let RelocationTarget::Symbol(target) = relocation.target() else { continue };
            let target = file.symbol_by_index(target)?.name()?;
            // The last one that begins before the call, in the same section.
            let of_section = functions.iter().filter(|symbol| symbol.section_index() == Some(section.index()));
            let before = of_section.filter(|symbol| symbol.address() <= offset);
            let function = before.max_by_key(|symbol| symbol.address()).map_or(Ok(""), |symbol| symbol.name())?;
            if is_panic(function, target) {
                found.push(format!("{function} calls {target}"));
            }
        }
    }
    Ok(found)
}

/// Whether a call of `target` in `function` is a panic of the driver.
///
/// The kernel's code around a driver's `probe` is compiled into the driver. In Linux 7.2 it indexes the driver's table
/// of device IDs by a number that comes from this table, and not every compiler sees that the number is right.
fn is_panic(function: &str, target: &str) -> bool {
    let of_kernel = function.contains("6kernel8platform") && function.contains("probe_callback");
    // `unwrap` and similar methods call functions of other names.
    (target.contains("panic") || target.contains("_failed") || is_decimal(target)) && !of_kernel
}

/// Whether a function formats `u64` or `i64` in decimal, by its name. On a machine of 32 bits it divides by a function
/// that panics in the kernel; the driver has `Decimal` for that. The compiler has other names for `usize` and `isize`.
fn is_decimal(name: &str) -> bool {
    ["y", "x"].into_iter().any(|letter| {
        let has = |text: &str| name.contains(&format!("{text}{letter}Nt"));
        // That of core, that of the kernel's crate, and what debug output uses.
        has("4core3fmt3num3imp")
            || has("6kernel3fmt") && name.contains("7Display3fmt")
            || has("4core3fmt3num") && name.contains("5Debug3fmt")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_counts_in_our_functions_alone() {
        let bounds = "_RNv4core9panicking18panic_bounds_check";
        let probe = "_RNvMs0_NtCs1_6kernel8platformINtB5_7Adapter3map14probe_callbackBT_";
        assert!(is_panic("_RNvNt3map3add", bounds) && !is_panic(probe, bounds));
        assert!(is_panic("_RNvNt3map6remove", "_RNv4core6option13unwrap_failed"));
        assert!(!is_panic("_RNvNt3map3add", "map_add"));
    }

    #[test]
    fn a_panic_is_found_in_an_object_file() {
        let directory = tempfile::tempdir().unwrap();
        let source = "pub fn first(n: &[u8], i: usize) -> u8 { n[i] }\npub fn good(n: &[u8]) -> usize { n.len() }\n";
        fs::write(directory.path().join("a.rs"), source).unwrap();
        let mut rustc = Command::new("rustc");
        rustc.current_dir(directory.path()).args(["--crate-type=lib", "--emit=obj", "-Ccodegen-units=1", "a.rs"]);
        assert!(rustc.status().unwrap().success());
        let found = panics(&fs::read(directory.path().join("a.o")).unwrap()).unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("first") && found[0].contains("panic_bounds_check"), "{found:?}");
    }

    #[test]
    fn a_call_is_found_in_an_object_file() {
        let directory = tempfile::tempdir().unwrap();
        let source = "extern \"C\" { fn load(); fn store(); }\npub fn first() { unsafe { load() } }\n";
        fs::write(directory.path().join("a.rs"), source).unwrap();
        let mut rustc = Command::new("rustc");
        rustc.current_dir(directory.path()).args(["--crate-type=lib", "--emit=obj", "-Awarnings", "a.rs"]);
        assert!(rustc.status().unwrap().success());
        let bytes = fs::read(directory.path().join("a.o")).unwrap();
        assert_eq!(not_called(&bytes, &["load", "store"]).unwrap(), ["store"]);
    }

    #[test]
    fn a_decimal_number_of_64_bits_is_a_panic_on_32() {
        let of_core =
            |letter: &str| is_decimal(&format!("_RNvXs5_NtNtNtCs1_4core3fmt3num3imp{letter}NtB9_7Display3fmt"));
        assert_eq!(["y", "x"].map(of_core), [true; 2]);
        // Of 32 bits, and of those of a pointer.
        assert_eq!(["m", "l", "j", "i"].map(of_core), [false; 4]);
        let of_kernel =
            |letter: &str| is_decimal(&format!("_RNvXss_NtCs1EKtwoKEMO2_6kernel3fmt{letter}NtB5_7Display3fmt"));
        assert_eq!(["y", "x", "m", "j"].map(of_kernel), [true, true, false, false]);
        // Hexadecimal numbers need no division.
        let kind = |kind: &str| is_decimal(&format!("_RNvXsC_NtNtCs1_4core3fmt3numyNtB7_{kind}3fmt"));
        assert_eq!(["5Debug", "8LowerHex"].map(kind), [true, false]);
    }

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
