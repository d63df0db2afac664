// SPDX-License-Identifier: MIT OR Apache-2.0

//! The compilers: rustc and the source of its library, bindgen, and LLVM.

use std::{
    env,
    ffi::OsString,
    fs,
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

/// The package of the C compiler. Its version is the kernel's compiler's, which spares a call of clang.
pub const CLANG: &str = "clang-19";
/// Where that package, and the others of LLVM, keep their programs under their usual names.
const LLVM: &str = "/usr/lib/llvm-19";

/// Linux 7.3 wants this rustc …
const RUSTC_MIN: Version = Version([1, 85, 0]);
/// … and this bindgen.
const BINDGEN_MIN: Version = Version([0, 71, 1]);
/// The bindgen that is built where none is installed. Its locked dependencies build with `RUSTC_MIN`.
const BINDGEN: &str = "0.73.2";
/// How many crates that is, for the bar.
const BINDGEN_CRATES: u64 = 44;

/// rustc, found and checked.
#[derive(Debug)]
pub struct Rustc {
    /// The directory of its tool chain.
    pub sysroot: PathBuf,
    /// All that `rustc -vV` says.
    verbose: String,
    /// Its version, say `1.95.0`.
    pub release: String,
}

impl Rustc {
    /// Finds the rustc in PATH, or the one that RUSTC names.
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
        // The compiler itself instead of rustup's stand-in, which takes its time at each call.
        let mut command = Command::new(sysroot.join("bin/rustc"));
        command.arg("-vV");
        let verbose = Job::new(command).output()?;
        let release = release(&verbose).context("`rustc -vV` does not say its version")?;
        if Version::parse(&release).is_none_or(|version| version < RUSTC_MIN) {
            bail!("rustc is {release}, and Linux needs {RUSTC_MIN} or later: `rustup update stable`, or see rustup.rs");
        }
        Ok(Rustc { sysroot, verbose, release })
    }

    /// Asks rustup, if it manages the tool chain, for more of it: for `what`, with these arguments. Gives whether it says
    /// that it has brought it; if it cannot, the user hears what happens `instead`.
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
            // Whatever the reason: there is another way.
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
    /// rustc.
    pub rustc: Rustc,
    /// The directory `library` of the standard library's source.
    pub rust_src: PathBuf,
    bindgen: String,
    clang: String,
    path: OsString,
    arch: &'static Arch,
}

impl Toolchain {
    /// Adds to rustc, and to clang of this version, what is missing.
    pub fn complete(
        arch: &'static Arch,
        rustc: Rustc,
        clang: String,
        cache: &BuildCache,
        archive: &Archive<'_>,
        ui: &Ui,
    ) -> Result<Toolchain> {
        let rust_src = rust_src(&rustc, cache, archive, ui)?;
        let (bindgen_place, bindgen) = bindgen(cache, ui)?;
        let places = [PathBuf::from(LLVM).join("bin"), bindgen_place, rustc.sysroot.join("bin")];
        let inherited = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths(places.into_iter().chain(env::split_paths(&inherited)))
            .context("there is a colon in the path of the Rust tool chain, or of bindgen")?;
        Ok(Toolchain { rustc, rust_src, bindgen, clang, path, arch })
    }

    /// Everything about the compilers that may change what they make.
    pub fn identity(&self) -> String {
        format!("clang {}\nbindgen {}\n{}", self.clang, self.bindgen, self.rustc.verbose)
    }

    /// One of LLVM's own programs.
    pub fn llvm(&self, program: &str) -> Command {
        Command::new(Path::new(LLVM).join("bin").join(program))
    }

    /// `make` as the kernel wants it, for the kernel itself and for modules.
    ///
    /// What the environment would say to a kernel's Makefile, or has said to our own, stays outside.
    pub fn make(&self) -> Command {
        let mut make = Command::new("make");
        for (name, _) in env::vars_os() {
            if name.to_str().is_some_and(speaks_to_make) {
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

/// Whether a variable of the environment changes what a kernel's Makefile does.
fn speaks_to_make(name: &str) -> bool {
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

/// The source of the standard library: the tool chain's own, else rustup's, else Debian's.
fn rust_src(rustc: &Rustc, cache: &BuildCache, archive: &Archive<'_>, ui: &Ui) -> Result<PathBuf> {
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
    cache.need(1_200_000_000)?;
    cache.make(BUCKET, release, |part| {
        archive.unpack(&package, part)?;
        let whole = part.join(format!("usr/src/rustc-{release}"));
        archive::lift(&whole.join("library"), &part.join("library"))?;
        // The compiler's own source is in the package too.
        Ok(fs::remove_dir_all(part.join("usr"))?)
    })?;
    found().ok_or_else(|| anyhow!("Debian's rust-src {release} has no library/core").context(remedy()))
}

/// Cargo, about to build a tool in `place`, where its `target` will be.
///
/// Neither the project's settings for Cargo nor the user's flags and directories are meant for that.
pub fn cargo_in(place: &Path) -> Command {
    let mut command = process::cargo();
    command.current_dir(place).env("CARGO_TARGET_DIR", place.join("target")).env("CARGO_TERM_PROGRESS_WHEN", "never");
    for name in [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "CARGO_BUILD_BUILD_DIR",
        "MAKEFLAGS",
        "CARGO_MAKEFLAGS",
    ] {
        command.env_remove(name);
    }
    command
}

/// The directory with a bindgen that is new enough, and its version.
fn bindgen(cache: &BuildCache, ui: &Ui) -> Result<(PathBuf, String)> {
    const BUCKET: &str = "bindgen";
    if let Some(file) = in_path("bindgen") {
        let mut command = Command::new(&file);
        command.arg("--version");
        // A stand-in that does not work is as good as none.
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
    // Gone, or never there: the log begins anew.
    let _ = fs::remove_file(&log);
    let bar = ui.bar(format_args!("Building bindgen {BINDGEN}"), BINDGEN_CRATES);
    cache.make(BUCKET, BINDGEN, |part| {
        let mut command = cargo_in(part);
        command.args(["install", "--locked", "bindgen-cli", "--version", BINDGEN, "--root"]).arg(part);
        // It runs three times for a kernel: to optimize it takes minutes, and would save seconds there.
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
    found().context("`cargo install` has ended without an error, and yet there is no bindgen")
}

/// A version of three numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub [u32; 3]);

impl Version {
    /// Reads `1.2.3` and `1.2`, and what a pre-release or a patch adds after that.
    pub fn parse(text: &str) -> Option<Version> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let mut numbers = text[..end].split('.').map(|number| number.parse().ok());
        let version = [numbers.next()??, numbers.next()??, numbers.next().unwrap_or(Some(0))?];
        numbers.next().is_none().then_some(Version(version))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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
        assert!(["MAKEFLAGS", "KBUILD_OUTPUT", "KCONFIG_ALLCONFIG", "ARCH"].into_iter().all(speaks_to_make));
        assert!(!["PATH", "HOME", "TMPDIR", "http_proxy"].into_iter().any(speaks_to_make));
    }
}
