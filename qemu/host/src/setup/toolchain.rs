// SPDX-License-Identifier: MIT OR Apache-2.0

//! The compilers: rustc and the source of its library, bindgen, and LLVM.

use std::{
    env,
    ffi::OsString,
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{anyhow, bail, Context, Result};

use crate::{
    arch::Arch,
    interrupt,
    process::{self, in_path, Job},
    setup::{
        archive::{self, Archive},
        cache::BuildCache,
    },
    ui::Ui,
};

/// The package of the C compiler. Its version stands for the compiler's, which saves a call of clang.
pub const CLANG: &str = "clang-19";
/// The directory with LLVM's programs under their usual names.
const LLVM: &str = "/usr/lib/llvm-19";

/// Linux 7.3 needs this rustc …
const RUSTC_MIN: Version = Version([1, 85, 0]);
/// … and this bindgen.
const BINDGEN_MIN: Version = Version([0, 71, 1]);
/// The bindgen that is built if none is installed. Its locked dependencies build with `RUSTC_MIN`.
const BINDGEN: &str = "0.73.2";
/// The number of its crates, for the progress bar.
const BINDGEN_CRATES: u64 = 44;

/// rustc, found and checked.
#[derive(Debug)]
pub struct Rustc {
    /// The directory of its tool chain.
    pub sysroot: PathBuf,
    /// The output of `rustc -vV`.
    verbose: String,
    /// Its version, say `1.95.0`.
    pub release: String,
}

impl Rustc {
    /// Finds the rustc that RUSTC names, or the one in PATH.
    pub fn find() -> Result<Rustc> {
        let mut command = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        command.args(["--print", "sysroot"]);
        let sysroot = Job::new(command).output().with_context(|| {
            format!(
                "rustc cannot be used: install {RUSTC_MIN} or later from rustup.rs, or as Debian's package `rustc` where \
                 that is new enough"
            )
        })?;
        let sysroot = PathBuf::from(sysroot.trim_end());
        // The compiler itself instead of rustup's proxy, which delays every call.
        let mut command = Command::new(sysroot.join("bin/rustc"));
        command.arg("-vV");
        let verbose = Job::new(command).output()?;
        let release = release(&verbose).context("`rustc -vV` does not say its version")?;
        if Version::parse(&release).is_none_or(|version| version < RUSTC_MIN) {
            bail!("rustc is {release}, and Linux needs {RUSTC_MIN} or later: `rustup update stable`, or see rustup.rs");
        }
        Ok(Rustc { sysroot, verbose, release })
    }

    /// Runs rustup with these arguments to add `what`, if it manages the tool chain. Gives whether rustup succeeded; if
    /// not, prints what happens `instead`.
    pub fn ask_rustup(&self, arguments: &[&str], what: &str, instead: &str, ui: &Ui) -> Result<bool> {
        if !self.sysroot.join("lib/rustlib/components").is_file() || in_path("rustup").is_none() {
            return Ok(false);
        }
        ui.step(format_args!("Asking rustup for {what}"));
        let mut command = Command::new("rustup");
        command.args(arguments).env("RUSTUP_MAX_RETRIES", "0");
        match Job::new(command).timeout(Duration::from_secs(90)).output() {
            Ok(_) => Ok(true),
            Err(error) if interrupt::is_interruption(&error) => Err(error),
            // Whatever the reason, there is another way.
            Err(_) => {
                ui.note(format_args!("rustup cannot bring it; {instead}"));
                Ok(false)
            }
        }
    }
}

/// All the compilers.
#[derive(Debug)]
pub struct Toolchain {
    /// The output of `rustc -vV`.
    rustc: String,
    /// The directory `library` of the standard library's source.
    rust_src: PathBuf,
    bindgen: String,
    clang: String,
    path: OsString,
    arch: &'static Arch,
}

impl Toolchain {
    /// Completes rustc, and clang of this version, with the other tools.
    pub fn complete(
        arch: &'static Arch,
        rustc: &Rustc,
        clang: String,
        cache: &BuildCache,
        archive: &Archive<'_>,
        ui: &Ui,
    ) -> Result<Toolchain> {
        let rust_src = rust_src(rustc, cache, archive, ui)?;
        let (bindgen_place, bindgen) = bindgen(cache, ui)?;
        let places = [PathBuf::from(LLVM).join("bin"), bindgen_place, rustc.sysroot.join("bin")];
        let inherited = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths(places.into_iter().chain(env::split_paths(&inherited)))
            .context("there is a colon in the path of the Rust tool chain, or of bindgen")?;
        Ok(Toolchain { rustc: rustc.verbose.clone(), rust_src, bindgen, clang, path, arch })
    }

    /// Everything about the compilers that may change their output.
    pub fn identity(&self) -> String {
        format!("clang {}\nbindgen {}\n{}", self.clang, self.bindgen, self.rustc)
    }

    /// `make` for the kernel and for modules.
    ///
    /// Variables of the environment that affect a kernel's Makefile are removed.
    pub fn make(&self) -> Command {
        let mut make = Command::new("make");
        for (name, _) in env::vars_os() {
            if name.to_str().is_some_and(affects_make) {
                make.env_remove(name);
            }
        }
        make.args(["LLVM=1", &format!("ARCH={}", self.arch.kernel)]);
        make.env("PATH", &self.path);
        make.env("LIBCLANG_PATH", Path::new(LLVM).join("lib"));
        make.env("RUST_LIB_SRC", &self.rust_src);
        make.env("LC_ALL", "C");
        make
    }
}

/// Whether an environment variable affects a kernel's Makefile.
fn affects_make(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "ARCH",
        "CROSS_COMPILE",
        "GNUMAKEFLAGS",
        "HOSTCFLAGS",
        "HOSTLDFLAGS",
        "HOSTRUSTFLAGS",
        "KAFLAGS",
        "KCFLAGS",
        "KCPPFLAGS",
        "KRUSTFLAGS",
        "LLVM",
        "LLVM_IAS",
        "LOCALVERSION",
        "MAKEFLAGS",
        "MAKEFILES",
        "MAKELEVEL",
        "MAKEOVERRIDES",
        "MFLAGS",
        "SRCARCH",
        "V",
        "W",
    ];
    NAMES.contains(&name) || ["KBUILD_", "KCONFIG_"].iter().any(|prefix| name.starts_with(prefix))
}

fn release(rustc: &str) -> Option<String> {
    rustc.lines().find_map(|line| line.strip_prefix("release: ")).map(str::to_owned)
}

/// The source of the standard library: from the tool chain, else from rustup, else from Debian.
pub fn rust_src(rustc: &Rustc, cache: &BuildCache, archive: &Archive<'_>, ui: &Ui) -> Result<PathBuf> {
    let Rustc { sysroot, release, .. } = rustc;
    const BUCKET: &str = "rust-src";
    let own = sysroot.join("lib/rustlib/src/rust/library");
    let kept = cache.path(BUCKET).join(release).join("library");
    let found = || [&own, &kept].into_iter().find(|library| library.join("core/src/lib.rs").is_file()).cloned();
    if let Some(library) = found() {
        return Ok(library);
    }
    let _lock = cache.lock(BUCKET, "the source of Rust's library", ui)?;
    if let Some(library) = found() {
        return Ok(library);
    }
    let from_rustup = ["component", "add", "rust-src"];
    if rustc.ask_rustup(&from_rustup, "the source of Rust's library", "looking for it in Debian's archive", ui)?
        && own.is_dir()
    {
        return Ok(own);
    }
    let remedy = || {
        format!(
            "rustc {release} lacks the source of its library, which the kernel needs: `rustup component add rust-src` \
                 brings it, or Debian's package `rust-src` {release}"
        )
    };
    let same = |version: &str| version.split(['+', '-']).next() == Some(release.as_str());
    let package = archive.newest("rust-src", same).with_context(remedy)?;
    let package = package.ok_or_else(|| archive.lacks(&format!("rust-src {release}")).context(remedy()))?;
    cache.require_space(1_200_000_000)?;
    cache.make(BUCKET, release, |part| {
        archive.unpack(&package, part)?;
        let whole = part.join(format!("usr/src/rustc-{release}"));
        archive::rename_into(&whole.join("library"), &part.join("library"))?;
        // The package also has the source of the compiler.
        Ok(fs::remove_dir_all(part.join("usr"))?)
    })?;
    found().ok_or_else(|| anyhow!("Debian's rust-src {release} has no library/core").context(remedy()))
}

/// A command of Cargo for a tool in `place`, where its `target` is.
///
/// The project's settings, and the user's flags and directories, do not apply.
pub fn cargo_in(place: &Path) -> Command {
    let mut command = process::cargo();
    command.current_dir(place).env("CARGO_TARGET_DIR", place.join("target")).env("CARGO_TERM_PROGRESS_WHEN", "never");
    for name in [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "CARGO_BUILD_BUILD_DIR",
        "RUSTC_WORKSPACE_WRAPPER",
        "MAKEFLAGS",
        "CARGO_MAKEFLAGS",
    ] {
        command.env_remove(name);
    }
    command
}

/// The directory of a bindgen that is new enough, and its version.
fn bindgen(cache: &BuildCache, ui: &Ui) -> Result<(PathBuf, String)> {
    const BUCKET: &str = "bindgen";
    if let Some(file) = in_path("bindgen") {
        let mut command = Command::new(&file);
        command.arg("--version");
        // A proxy that does not work counts as none.
        let version = Job::new(command).timeout(Duration::from_secs(10)).output().unwrap_or_default();
        let version = version.trim().strip_prefix("bindgen ").and_then(Version::parse);
        if let (Some(version), Some(place)) = (version.filter(|version| *version >= BINDGEN_MIN), file.parent()) {
            return Ok((place.to_owned(), version.to_string()));
        }
    }
    interrupt::check()?;
    let place = cache.path(BUCKET).join(BINDGEN).join("bin");
    let found = || place.join("bindgen").is_file().then(|| (place.clone(), BINDGEN.to_owned()));
    if let Some(found) = found() {
        return Ok(found);
    }
    let lock = cache.lock(BUCKET, "building bindgen", ui)?;
    if let Some(found) = found() {
        return Ok(found);
    }
    let log = cache.path(BUCKET).join("build.log");
    // A new log for every attempt.
    let _ = fs::remove_file(&log);
    let bar = ui.bar(format_args!("Building bindgen {BINDGEN}"), BINDGEN_CRATES);
    cache.make(BUCKET, BINDGEN, |part| {
        let mut command = cargo_in(part);
        command.args(["install", "--locked", "bindgen-cli", "--version", BINDGEN, "--root"]).arg(part);
        // It runs three times per kernel: optimizing it takes minutes and saves seconds.
        command.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0");
        let crates = |line: &str| bar.advance(u64::from(line.trim_start().starts_with("Compiling ")));
        Job::new(command).log(&log).hold(&lock)?.lines(crates).with_context(|| {
            format!(
                "cannot build bindgen {BINDGEN}, which the kernel needs; is there a way to the crates' registry from \
                     here? A bindgen of {BINDGEN_MIN} or later in PATH would do as well"
            )
        })?;
        Ok(fs::remove_dir_all(part.join("target"))?)
    })?;
    bar.finish();
    found().context("`cargo install` reported no error, but there is no bindgen")
}

/// A version of three numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub [u32; 3]);

impl Version {
    /// Parses `1.2.3` and `1.2`, and ignores a suffix.
    pub fn parse(text: &str) -> Option<Version> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let mut numbers = text[..end].split('.').map(|number| number.parse().ok());
        let version = [numbers.next()??, numbers.next()??, numbers.next().unwrap_or(Some(0))?];
        numbers.next().is_none().then_some(Version(version))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.0;
        write!(f, "{major}.{minor}.{patch}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers_in_order() {
        assert_eq!(Version::parse("1.95.0"), Some(Version([1, 95, 0])));
        assert_eq!(Version::parse("1.97.0-nightly"), Some(Version([1, 97, 0])));
        assert_eq!(Version::parse("7.3"), Some(Version([7, 3, 0])));
        for text in ["", "7", "x.y", "1..2", "1.2.3.4"] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
        assert!(Version::parse("0.9.0") < Version::parse("0.71.1"));
        assert!(Version::parse("1.100.0") > Version::parse("1.85.0"));
    }

    #[test]
    fn the_release_is_one_line_of_many() {
        assert_eq!(release("rustc 1.95.0 (5 x)\nhost: a\nrelease: 1.95.0\nLLVM version: 22\n").unwrap(), "1.95.0");
        assert_eq!(release("rustc 1.95.0"), None);
    }

    #[test]
    fn our_own_make_does_not_reach_the_kernels() {
        assert!(["MAKEFLAGS", "KBUILD_OUTPUT", "KCONFIG_ALLCONFIG", "ARCH"].into_iter().all(affects_make));
        assert!(!["PATH", "HOME", "TMPDIR", "http_proxy"].into_iter().any(affects_make));
    }
}
