// SPDX-License-Identifier: MIT OR Apache-2.0

//! Runs `devmap` and other programs, and checks their status and output.

use std::{
    fmt, fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use anyhow::{ensure, Context, Result};
use nix::{
    sys::signal::{kill, Signal},
    unistd::Pid,
};

/// All of the free memory as one window.
pub const WHOLE: &str = "windows=sdram@0xc0000000+3M";

/// The status and output of a program that has ended.
pub struct Ran {
    what: String,
    pub status: Option<i32>,
    pub out: String,
    pub err: String,
}

impl fmt::Debug for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, status, out, err } = self;
        write!(f, "`{what}` ended with status {status:?}, printed {out:?}, and wrote the errors {err:?}")
    }
}

impl Ran {
    /// Runs `command` to its end.
    pub fn new(command: &mut Command) -> Result<Self> {
        let what = format!("{command:?}").replace('"', "");
        // Standard input is the connection to the host.
        let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {what}"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Self { what, status: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) })
    }

    /// Fails unless it succeeded, and wrote exactly this to standard output and nothing to standard error.
    pub fn printed(&self, expected: &str) -> Result<()> {
        ensure!(
            (self.status, self.err.as_str()) == (Some(0), "") && self.out == expected,
            "not {expected:?}: {self:?}"
        );
        Ok(())
    }

    /// Fails unless it exited with this status, and wrote one line with all these words to standard error.
    pub fn failed(&self, status: i32, says: &[&str]) -> Result<()> {
        ensure!(self.status == Some(status), "not status {status}: {self:?}");
        ensure!(self.err.starts_with("devmap: ") && self.err.lines().count() == 1, "not one line: {self:?}");
        for words in says {
            ensure!(self.err.contains(words), "it does not say {words:?}: {self:?}");
        }
        Ok(())
    }
}

/// Runs `devmap` with these arguments, separated by blanks.
pub fn devmap(arguments: &str) -> Result<Ran> {
    Ran::new(Command::new("devmap").args(arguments.split_whitespace()))
}

/// Runs `devmap` as an ordinary user.
pub fn devmap_as_user(arguments: &str) -> Result<Ran> {
    Ran::new(Command::new("su").args(["user", "-c", &format!("exec devmap {arguments}")]))
}

/// Runs a line of the shell.
pub fn shell(line: &str) -> Result<Ran> {
    Ran::new(Command::new("sh").args(["-c", line]))
}

/// A `devmap` that runs beside the test; killed when dropped.
pub struct Running(pub Child);

impl Running {
    /// Starts it with these arguments, and with pipes for its output.
    pub fn new(arguments: &str) -> Result<Self> {
        let mut command = Command::new("devmap");
        command.args(arguments.split_whitespace()).stdin(Stdio::null());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        child.map(Self).with_context(|| format!("cannot start devmap {arguments}"))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(self.0.id() as i32), signal)?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // In a test that passes it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A directory of a test's own; removed when dropped.
pub struct Scratch(PathBuf);

impl Scratch {
    /// An empty directory.
    pub fn new() -> Result<Self> {
        let path = PathBuf::from(format!("/tmp/devmap-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }

    /// The path of `name` in it.
    pub fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    /// Makes a file of these bytes, and gives its path.
    pub fn file(&self, name: &str, contents: &[u8]) -> Result<String> {
        let path = self.path(name);
        fs::write(&path, contents).with_context(|| format!("cannot write {path}"))?;
        Ok(path)
    }

    /// The names in it.
    pub fn names(&self) -> Result<Vec<String>> {
        let entries = fs::read_dir(&self.0)?;
        let mut names = entries.map(|entry| Ok(entry?.file_name().into_string().unwrap_or_default()));
        names.by_ref().collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
