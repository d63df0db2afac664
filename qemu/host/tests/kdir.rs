// SPDX-License-Identifier: MIT OR Apache-2.0

//! `driver/kdir.sh` and `driver/prepare.sh`: the right compilers for a kernel tree, and one clear error for every tree
//! against which the driver cannot be built.

use std::{
    fs,
    os::unix::fs::{symlink, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

const RUSTC: &str = "rustc 1.95.0 (59807616e 2026-04-14)";

/// A kernel tree and a directory of programs, both made up.
struct Fake {
    directory: TempDir,
}

impl Fake {
    /// A tree with this configuration and Rust metadata, and `rustc` of the version that built it.
    fn new(config: &str) -> Self {
        let fake = Self { directory: tempfile::tempdir().unwrap() };
        fs::create_dir_all(fake.kdir().join("include/config")).unwrap();
        fs::create_dir_all(fake.kdir().join("rust")).unwrap();
        fs::write(fake.kdir().join("include/config/auto.conf"), config).unwrap();
        fs::write(fake.kdir().join("rust/libkernel.rmeta"), "").unwrap();
        fs::create_dir(fake.programs()).unwrap();
        let sed = ["/bin/sed", "/usr/bin/sed"].into_iter().find(|path| Path::new(path).exists()).unwrap();
        symlink(sed, fake.programs().join("sed")).unwrap();
        fake.program("rustc", RUSTC);
        fake.program("gcc", "gcc 12");
        fake
    }

    /// What the script prints if it finds that make needs these arguments.
    fn make(&self, arguments: &str) -> Result<String, String> {
        Ok(format!("-C {}{arguments}", self.kdir().display()))
    }

    fn kdir(&self) -> PathBuf {
        self.directory.path().join("kernel")
    }

    fn programs(&self) -> PathBuf {
        self.directory.path().join("bin")
    }

    fn root(&self) -> std::path::Display<'_> {
        self.directory.path().display()
    }

    /// Adds a program that prints this line.
    fn program(&self, name: &str, line: &str) {
        self.script(name, &format!("echo '{line}'"));
    }

    /// Adds a program.
    fn script(&self, name: &str, script: &str) {
        let path = self.programs().join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs the script: what it prints to stdout, or the error with which it exits.
    fn run(&self) -> Result<String, String> {
        self.run_with(&[])
    }

    fn run_with(&self, variables: &[(&str, &str)]) -> Result<String, String> {
        let cache = self.directory.path().join("cache").display().to_string();
        run_with(&self.kdir(), &self.programs(), &[variables, &[("MAP_CACHE", &cache)]].concat())
    }
}

fn run(kdir: &Path, path: &Path) -> Result<String, String> {
    run_with(kdir, path, &[])
}

fn run_with(kdir: &Path, path: &Path, variables: &[(&str, &str)]) -> Result<String, String> {
    run_in(Path::new("/"), kdir, path, variables)
}

/// Runs the script in a clone.
fn run_in(clone: &Path, kdir: &Path, path: &Path, variables: &[(&str, &str)]) -> Result<String, String> {
    let output = Command::new("/bin/sh")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../driver/kdir.sh"))
        .arg(kdir)
        .current_dir(clone)
        // As a shell that went through a link sets it.
        .env("PWD", clone)
        .env("PATH", path)
        .env_remove("RUSTC")
        .env_remove("KERNEL_SRC")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
    match output.status.code() {
        Some(0) => Ok(text(output.stdout)),
        code => {
            assert_eq!(code, Some(2));
            let error = text(output.stderr);
            assert_eq!(error.lines().count(), 1, "{error}");
            Err(error)
        }
    }
}

fn config(compiler: &str) -> String {
    format!("CONFIG_RUST=y\nCONFIG_RUSTC_VERSION_TEXT=\"{RUSTC}\"\n{compiler}")
}

const CLANG: &str = "CONFIG_CC_IS_CLANG=y\nCONFIG_CC_VERSION_TEXT=\"Debian clang version 19.1.7 (3~deb12u1)\"\n";

#[test]
fn the_compiler_is_the_kernels() {
    let fake = Fake::new(&config("CONFIG_CC_IS_GCC=y\nCONFIG_CC_VERSION_TEXT=\"gcc (Debian 12.2.0-14) 12.2.0\"\n"));
    assert_eq!(fake.run(), fake.make(""));
    let fake = Fake::new(&config(CLANG));
    let error = fake.run().unwrap_err();
    assert!(error.contains("was built with clang 19; install it (clang-19, lld-19 and llvm-19 in Debian)"), "{error}");
    fake.program("clang-18", "");
    fake.program("ld.lld-18", "");
    assert!(fake.run().is_err());
    fake.program("clang-19", "");
    fake.program("ld.lld-19", "");
    assert_eq!(fake.run(), fake.make(" LLVM=-19"));
    fake.program("clang", "");
    assert_eq!(fake.run(), fake.make(" LLVM=1"));
}

/// As in Debian's kernels.
const GCC: &str = "CONFIG_ARM64=y\nCONFIG_CC_VERSION_TEXT=\"aarch64-linux-gnu-gcc-14 (Debian 14.2.0-19) 14.2.0\"\n";

#[test]
fn a_gcc_with_a_version_or_a_target_in_its_name_is_found() {
    let fake = Fake::new(&config(GCC));
    let error = fake.run().unwrap_err();
    assert!(error.ends_with("was built with aarch64-linux-gnu-gcc-14; install it (gcc-14 in Debian)"), "{error}");
    fake.program("aarch64-linux-gnu-gcc-14", "");
    assert_eq!(fake.run(), fake.make(" CC=aarch64-linux-gnu-gcc-14 CROSS_COMPILE=aarch64-linux-gnu- ARCH=arm64"));
}

#[test]
fn another_rustc_is_an_error() {
    let fake = Fake::new(&config(""));
    fake.program("rustc", "rustc 1.85.1");
    let error = fake.run().unwrap_err();
    assert!(error.contains(&format!("was built with {RUSTC}, but rustc is rustc 1.85.1")), "{error}");
    fs::remove_file(fake.programs().join("rustc")).unwrap();
    let error = fake.run().unwrap_err();
    assert!(error.contains("there is no rustc"), "{error}");
}

#[test]
fn the_right_rustc_may_come_later_in_the_path() {
    let (fake, other) = (Fake::new(&config("")), Fake::new(""));
    other.program("rustc", "rustc 1.96.1");
    let path = std::env::join_paths([other.programs(), fake.programs()]).unwrap();
    let rustc = fake.programs().join("rustc").display().to_string();
    assert_eq!(run(&fake.kdir(), Path::new(&path)), fake.make(&format!(" RUSTC={rustc} HOSTRUSTC={rustc}")));
}

#[test]
fn a_tree_that_is_not_prepared_is_an_error() {
    let fake = Fake::new("CONFIG_MODULES=y\n");
    assert!(fake.run().unwrap_err().contains("has no Rust (CONFIG_RUST=y)"));
    fs::remove_dir_all(fake.kdir()).unwrap();
    assert!(fake.run().unwrap_err().contains("is no prepared kernel tree"));
    let error = run(Path::new("/lib/modules/0.0-none/build"), &fake.programs()).unwrap_err();
    assert!(
        error.contains("the headers of Linux 0.0-none are not installed: install linux-headers-0.0-none"),
        "{error}"
    );
}

#[test]
fn a_source_tree_without_metadata_must_be_built() {
    let fake = Fake::new(&config(""));
    fs::remove_file(fake.kdir().join("rust/libkernel.rmeta")).unwrap();
    fs::write(fake.kdir().join("Makefile"), "").unwrap();
    fs::write(fake.kdir().join("rust/Makefile"), "").unwrap();
    assert!(fake.run().unwrap_err().contains("is the kernel's source, and not built"));
}

/// Headers without Rust's metadata.
fn headers() -> Fake {
    let fake = Fake::new(&config(""));
    fs::remove_dir_all(fake.kdir().join("rust")).unwrap();
    fs::write(fake.kdir().join(".config"), config("")).unwrap();
    fs::write(fake.kdir().join("Module.symvers"), "").unwrap();
    fs::write(fake.kdir().join("include/config/kernel.release"), "7.3.4+deb13-amd64\n").unwrap();
    // The script's own needs.
    for name in ["cat", "grep", "cut", "sha256sum", "mkdir", "rm", "ln", "touch", "flock"] {
        let path = ["/bin", "/usr/bin"].map(|place| Path::new(place).join(name));
        symlink(path.iter().find(|path| path.exists()).unwrap(), fake.programs().join(name)).unwrap();
    }
    fake
}

#[test]
fn what_preparing_needs_is_named_at_once() {
    let fake = headers();
    // It finds no header of a library.
    fake.script("gcc", "exit 1");
    let error = fake.run().unwrap_err();
    let names = "bindgen make flex bison bc openssl perl xz-utils rust-src libelf-dev libssl-dev";
    assert!(error.ends_with(&format!("these packages are needed (their names in Debian): {names}")), "{error}");
    fs::remove_file(fake.kdir().join(".config")).unwrap();
    assert!(fake.run().unwrap_err().contains("has no .config, so nothing can be prepared from it"));
}

#[test]
fn the_kernels_own_source_is_needed() {
    let fake = headers();
    let library = fake.directory.path().join("lib/rustlib/src/rust/library/core/src");
    fs::create_dir_all(&library).unwrap();
    fs::write(library.join("lib.rs"), "").unwrap();
    for name in ["bindgen", "flex", "bison", "bc", "openssl", "perl", "xz"] {
        fake.program(name, "");
    }
    fake.script("rustc", &format!("[ $1 != --print ] || {{ echo {}; exit; }}; echo '{RUSTC}'", fake.root()));
    // The headers of the libraries are there.
    fake.script("gcc", "exit 0");
    fake.script("make", "case $* in *kernelversion) echo 7.3.5 ;; esac");
    let error = fake.run().unwrap_err();
    assert!(
        error.ends_with("the source of Linux 7.3.4+deb13-amd64 is needed: set KERNEL_SRC to it, unpacked"),
        "{error}"
    );
    let error = fake.run_with(&[("KERNEL_SRC", "/src")]).unwrap_err();
    assert!(error.contains("/src is not the source of Linux 7.3.4, which the kernel was built from"), "{error}");
    // Nothing counts as prepared.
    let prepared = fs::read_dir(fake.directory.path().join("cache/prepared")).unwrap();
    assert!(prepared.flatten().all(|entry| !entry.path().join("complete").exists()));
}

#[test]
fn a_path_that_make_would_split_is_an_error() {
    let fake = Fake::new(&config(""));
    let link = fake.directory.path().join("link");
    for name in ["two words", "a:b"] {
        let place = fake.directory.path().join(name);
        fs::create_dir(&place).unwrap();
        symlink(&place, &link).unwrap();
        for (clone, kdir) in [(Path::new("/"), &place), (&place, &fake.kdir()), (&link, &fake.kdir())] {
            let error = run_in(clone, kdir, &fake.programs(), &[]).unwrap_err();
            assert!(error.contains("must have no space and no colon"), "{error}");
        }
        fs::remove_file(&link).unwrap();
    }
}
