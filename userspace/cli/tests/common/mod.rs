// SPDX-License-Identifier: MIT OR Apache-2.0

//! The command line on a regular file that plays the device.

#![allow(dead_code, reason = "each test file is a crate of its own, and uses what it needs")]

use std::process::{Child, Command, Output, Stdio};

#[path = "../../../lib/tests/common/mod.rs"]
mod fake_device;

pub use fake_device::FakeDevice;

/// The command line, without arguments yet.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_devmap"));
    command.env_remove("DEVMAP_DEVICE");
    command
}

/// The command line, started by this line of a shell, which ends with `exec "$@"`.
pub fn program_in_shell(line: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", line, "sh", env!("CARGO_BIN_EXE_devmap")]).env_remove("DEVMAP_DEVICE");
    command
}

/// Starts `command` with pipes for both outputs.
pub fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

impl FakeDevice {
    /// Runs the command line on it.
    pub fn devmap(&self, arguments: &[&str]) -> Ran {
        Ran::new(self.command().args(arguments))
    }

    /// The command line on it, without arguments yet.
    pub fn command(&self) -> Command {
        let mut command = program();
        command.arg("--device").arg(self.path());
        command
    }
}

/// The exit status and the outputs of a program.
#[derive(Debug)]
pub struct Ran {
    pub status: Option<i32>,
    pub out: String,
    pub err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    /// Runs `command` to its end.
    pub fn new(command: &mut Command) -> Self {
        Self::from(command.output().unwrap())
    }

    /// Waits for the end of what [`start`] has started.
    pub fn wait(child: Child) -> Self {
        Self::from(child.wait_with_output().unwrap())
    }

    /// It succeeded with this on standard output and nothing on standard error.
    #[track_caller]
    pub fn printed(&self, expected: &str) {
        assert_eq!((self.status, self.err.as_str()), (Some(0), ""), "{self:?}");
        assert_eq!(self.out, expected);
    }

    /// It failed with this status and one line that contains these words.
    #[track_caller]
    pub fn failed(&self, status: i32, says: &str) {
        assert_eq!(self.status, Some(status), "{self:?}");
        assert!(self.err.contains(says), "{self:?}");
        assert!(self.err.starts_with("devmap: ") && self.err.lines().count() == 1, "{self:?}");
    }

    /// The definition of the arguments rejected them, for this reason.
    #[track_caller]
    pub fn misused(&self, says: &str) {
        assert_eq!((self.status, self.out.as_str()), (Some(2), ""), "{self:?}");
        assert!(self.err.contains(says), "{self:?}");
    }
}
