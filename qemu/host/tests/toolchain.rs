// SPDX-License-Identifier: MIT OR Apache-2.0

//! `qemu/toolchain.sh`, which `make` calls first: it refuses a clone whose path make would split, and lists packages
//! before it installs them.

use std::{
    fs,
    os::unix::fs::{symlink, PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

/// The targets that build or run something.
const TARGETS: &[&str] = &["run", "test", "test-all", "shell", "setup", "tools", "pictures"];

/// A clone as far as `make` needs it, and a directory of programs, most of them made up.
struct Fake {
    directory: TempDir,
    clone: PathBuf,
}

impl Fake {
    /// A clone in a directory of this name, and the tools that building map-qemu needs.
    fn new(name: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clone = directory.path().join(name);
        fs::create_dir_all(clone.join("qemu")).unwrap();
        for file in ["Makefile", "qemu/toolchain.sh"] {
            fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file), clone.join(file)).unwrap();
        }
        let fake = Self { directory, clone };
        fs::create_dir(fake.programs()).unwrap();
        for tool in ["make", "sh", "awk", "cut", "dirname", "du", "head", "sed", "sort", "tr"] {
            let place =
                ["/usr/bin", "/bin"].map(|place| Path::new(place).join(tool)).into_iter().find(|path| path.exists());
            symlink(place.unwrap(), fake.programs().join(tool)).unwrap();
        }
        fake.program("rustc", "echo rustc 1.95.0");
        fake.program("cargo", "echo \"cargo $*\"");
        for tool in ["cc", "rustfmt", "cargo-clippy"] {
            fake.program(tool, "");
        }
        fake
    }

    fn programs(&self) -> PathBuf {
        self.directory.path().join("bin")
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.programs().join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Makes a target in this directory.
    fn make_in(&self, place: &Path, target: &str) -> Output {
        let mut make = Command::new(self.programs().join("make"));
        make.arg(target).current_dir(place).env_clear();
        // A shell would say where it is.
        make.env("PWD", place).env("PATH", self.programs()).env("HOME", self.directory.path()).output().unwrap()
    }

    fn make(&self, target: &str) -> Output {
        self.make_in(&self.clone, target)
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// What the script itself says, without make's own line about it.
fn lines(output: &Output) -> Vec<&str> {
    text(&output.stderr).lines().filter(|line| !line.starts_with("make: ")).collect()
}

#[test]
fn a_clone_whose_path_make_would_split_is_refused_in_one_line_before_anything_is_compiled() {
    for name in ["two words", "a:b"] {
        let fake = Fake::new(name);
        let refusal = format!(
            "map: the path of this clone must have no space and no colon: move {}",
            fake.clone.canonicalize().unwrap().display()
        );
        let link = fake.directory.path().join("link");
        symlink(&fake.clone, &link).unwrap();
        for target in TARGETS {
            for place in [&fake.clone, &link] {
                let output = fake.make_in(place, target);
                assert!(!output.status.success(), "{target}");
                assert_eq!(lines(&output), [&refusal], "{target}");
                assert_eq!(text(&output.stdout), "", "{target}");
            }
        }
        assert!(text(&fake.make("help").stdout).contains("make run"));
    }
}

#[test]
fn a_clone_elsewhere_is_built() {
    let fake = Fake::new("map-1.0_x");
    for target in TARGETS {
        let output = fake.make(target);
        assert!(output.status.success(), "{target}: {}", text(&output.stderr));
        assert!(text(&output.stdout).lines().any(|line| line.starts_with("cargo ")), "{target}");
    }
}

#[test]
fn map_qemu_itself_refuses_such_a_path_in_one_line() {
    let target = tempfile::tempdir().unwrap().path().join("two words");
    let output =
        Command::new(env!("CARGO_BIN_EXE_map-qemu")).arg("setup").env("CARGO_TARGET_DIR", &target).output().unwrap();
    assert_eq!(output.status.code(), Some(69));
    let expected = format!(
        "map-qemu: the path of the target directory must have no space and no colon: set CARGO_TARGET_DIR instead of \
         {}",
        target.display()
    );
    assert_eq!(lines(&output), [expected]);
}

#[test]
fn packages_are_listed_with_the_reason_before_they_are_installed() {
    let fake = Fake::new("map");
    for tool in ["cc", "rustfmt"] {
        fs::remove_file(fake.programs().join(tool)).unwrap();
    }
    fake.program("apt-get", "echo apt-get $*");
    fake.program("apt-cache", "echo '  Candidate: 1.85.0'");
    let list = [
        "==> These packages are missing, by their names in Debian:",
        "    gcc          links what cargo builds",
        "    libc6-dev    is the C library that it is linked with",
        "    rustfmt      checks the format in the tests",
    ];

    // Without sudo a user is told what to type …
    fake.program("id", "echo 1000");
    let output = fake.make("run");
    assert!(!output.status.success());
    let manual = "map: only root can install packages; as root, type: apt-get install gcc libc6-dev rustfmt ";
    assert_eq!(lines(&output), [&list[..], &[manual]].concat());

    // … with it, and as root, they are installed.
    let install = "apt-get install -q -y --no-install-recommends gcc libc6-dev rustfmt";
    // `sudo -n true` asks whether it needs no password.
    fake.program("sudo", "[ \"$1\" = -n ] && exit\necho sudo\n\"$@\"");
    let output = fake.make("run");
    let installing = ["==> Installing them with apt-get, through sudo", "sudo", "apt-get update -q", "sudo", install];
    assert_eq!(lines(&output), [&list[..], &installing].concat());
    fake.program("id", "echo 0");
    let output = fake.make("run");
    let installing = ["==> Installing them with apt-get", "apt-get update -q", install];
    assert_eq!(lines(&output), [&list[..], &installing].concat());

    fs::remove_file(fake.programs().join("apt-get")).unwrap();
    let output = fake.make("run");
    assert_eq!(lines(&output), [&list[..], &["map: there is no apt-get to install them with"]].concat());
}
