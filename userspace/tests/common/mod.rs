// SPDX-License-Identifier: MIT OR Apache-2.0

//! A regular file that plays the device.

#![allow(dead_code, reason = "each test file is a crate of its own, and uses what it needs")]

use std::fs;
use std::path::Path;
#[cfg(feature = "cli")]
use std::process::Command;

use devmap::{Device, Mapping, PhysRange, Result};
use tempfile::NamedTempFile;

/// The file; it goes when this is dropped.
pub struct Bench {
    file: NamedTempFile,
}

impl Bench {
    /// A device with these bytes at address 0.
    pub fn new(contents: &[u8]) -> Self {
        let file = NamedTempFile::new().unwrap();
        fs::write(file.path(), contents).unwrap();
        Self { file }
    }

    /// What to open it by.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Maps it for writing.
    pub fn map(&self, start: u64, length: u64) -> Result<Mapping> {
        Device::open(self.path())?.map(PhysRange::new(start, length).unwrap())
    }

    /// Maps it for reading only.
    pub fn map_read_only(&self, start: u64, length: u64) -> Result<Mapping> {
        Device::open_read_only(self.path())?.map(PhysRange::new(start, length).unwrap())
    }

    /// What is in it now, read without a mapping.
    pub fn contents(&self) -> Vec<u8> {
        fs::read(self.path()).unwrap()
    }

    /// Runs the command line on it.
    #[cfg(feature = "cli")]
    pub fn devmap(&self, arguments: &[&str]) -> Ran {
        Ran::new(self.command().args(arguments))
    }

    /// The command line on it, without arguments yet.
    #[cfg(feature = "cli")]
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_devmap"));
        command.arg("--device").arg(self.path());
        command
    }
}

/// What a program left behind.
#[derive(Debug)]
#[cfg(feature = "cli")]
pub struct Ran {
    pub status: Option<i32>,
    pub out: String,
    pub err: String,
}

#[cfg(feature = "cli")]
impl Ran {
    /// Runs `command` to its end.
    pub fn new(command: &mut Command) -> Self {
        command.env_remove("DEVMAP_DEVICE");
        let output = command.output().unwrap();
        Self {
            status: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// It did what it should, said nothing about it on standard error, and this on standard output.
    #[track_caller]
    pub fn printed(&self, expected: &str) {
        assert_eq!((self.status, self.err.as_str()), (Some(0), ""), "{self:?}");
        assert_eq!(self.out, expected);
    }

    /// It failed with this status and one line that says this.
    #[track_caller]
    pub fn failed(&self, status: i32, says: &str) {
        assert_eq!(self.status, Some(status), "{self:?}");
        assert!(self.err.contains(says), "{self:?}");
        assert!(self.err.starts_with("devmap: ") && self.err.lines().count() == 1, "{self:?}");
    }

    /// The arguments were refused by their definition, for this reason.
    #[track_caller]
    pub fn misused(&self, says: &str) {
        assert_eq!((self.status, self.out.as_str()), (Some(2), ""), "{self:?}");
        assert!(self.err.contains(says), "{self:?}");
    }
}
