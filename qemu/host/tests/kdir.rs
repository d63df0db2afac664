// SPDX-License-Identifier: MIT OR Apache-2.0

//! `driver/kdir.sh`: one clear error for every kernel tree against which the driver cannot be built.

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
        fake
    }

    fn kdir(&self) -> PathBuf {
        self.directory.path().join("kernel")
    }

    fn programs(&self) -> PathBuf {
        self.directory.path().join("bin")
    }

    /// Adds a program that prints this line.
    fn program(&self, name: &str, line: &str) {
        let path = self.programs().join(name);
        fs::write(&path, format!("#!/bin/sh\necho '{line}'\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs the script: what it prints to stdout, or the error with which it exits.
    fn run(&self) -> Result<String, String> {
        run(&self.kdir(), &self.programs())
    }
}

fn run(kdir: &Path, programs: &Path) -> Result<String, String> {
    let output = Command::new("/bin/sh")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../driver/kdir.sh"))
        .arg(kdir)
        .current_dir("/")
        .env("PATH", programs)
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
    assert_eq!(Fake::new(&config("CONFIG_CC_IS_GCC=y\n")).run(), Ok(String::new()));
    let fake = Fake::new(&config(CLANG));
    let error = fake.run().unwrap_err();
    assert!(error.contains("was built with clang 19; install it (clang-19, lld-19 and llvm-19 in Debian)"), "{error}");
    fake.program("clang-18", "");
    fake.program("ld.lld-18", "");
    assert!(fake.run().is_err());
    fake.program("clang-19", "");
    fake.program("ld.lld-19", "");
    assert_eq!(fake.run(), Ok("LLVM=-19".to_owned()));
    fake.program("clang", "");
    assert_eq!(fake.run(), Ok("LLVM=1".to_owned()));
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
fn a_tree_that_is_not_prepared_is_an_error() {
    let fake = Fake::new("CONFIG_MODULES=y\n");
    assert!(fake.run().unwrap_err().contains("has no Rust (CONFIG_RUST=y)"));
    let fake = Fake::new(&config(""));
    fs::remove_file(fake.kdir().join("rust/libkernel.rmeta")).unwrap();
    assert!(fake.run().unwrap_err().contains("has no Rust metadata"));
    fs::remove_dir_all(fake.kdir()).unwrap();
    assert!(fake.run().unwrap_err().contains("is no prepared kernel tree"));
}

#[test]
fn a_path_that_make_would_split_is_an_error() {
    let fake = Fake::new(&config(""));
    for name in ["two words", "a:b"] {
        let error = run(&fake.directory.path().join(name), &fake.programs()).unwrap_err();
        assert!(error.contains("must have no space and no colon"), "{error}");
    }
}
