// SPDX-License-Identifier: MIT OR Apache-2.0

//! `devmap` on a terminal, and the state in which it leaves it.

mod common;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command};

use common::FakeDevice;
use nix::fcntl::OFlag;
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::{kill, Signal};
use nix::sys::termios::{tcgetattr, Termios};
use nix::unistd::{tcgetpgrp, Pid};

const CTRL_C: &[u8] = b"\x03";
const CTRL_Z: &[u8] = b"\x1a";
const CTRL_BACKSLASH: &[u8] = b"\x1c";

/// A terminal of 24 lines of 80 columns, with `devmap` in its foreground.
struct Terminal {
    keys: File,
    devmap: Child,
    settings: Termios,
    screen: vt100::Parser,
}

impl Terminal {
    fn new(fake: &FakeDevice, arguments: &[&str]) -> Self {
        Self::with_shell("exec \"$@\"", fake, arguments)
    }

    /// The same, started by these commands of a shell.
    fn with_shell(commands: &str, fake: &FakeDevice, arguments: &[&str]) -> Self {
        // Not inherited by the children of other tests, which would hide the end of output.
        let keys = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).unwrap();
        grantpt(&keys).unwrap();
        unlockpt(&keys).unwrap();
        let other_end = ptsname_r(&keys).unwrap();
        let other_end =
            File::options().read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits()).open(other_end).unwrap();
        let other_ends = [(); 2].map(|()| other_end.try_clone().unwrap());
        let (rows, columns) = (24, 80);
        let line = format!("stty rows {rows} columns {columns} && {commands}");
        // Keys send signals only to processes whose controlling terminal it is, which setsid(1) arranges.
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait", "sh", "-c", &line, "sh", env!("CARGO_BIN_EXE_devmap"), "--device"]);
        command.arg(fake.path()).args(arguments).env("TERM", "xterm");
        let [out, err] = other_ends;
        let devmap = command.stdin(other_end).stdout(out).stderr(err).spawn().unwrap();
        let keys = File::from(OwnedFd::from(keys));
        let settings = tcgetattr(&keys).unwrap();
        Self { keys, devmap, settings, screen: vt100::Parser::new(rows, columns, 0) }
    }

    /// Updates the screen with what `devmap` prints; false at the end of its output.
    fn update(&mut self) -> bool {
        let mut bytes = [0; 4096];
        // With the other end closed, a read fails with EIO.
        let count = self.keys.read(&mut bytes).unwrap_or(0);
        self.screen.process(&bytes[..count]);
        count > 0
    }

    /// Waits until these words are on the screen.
    fn wait_for(&mut self, words: &str) {
        while !self.screen.screen().contents().contains(words) {
            assert!(self.update(), "it has ended: {}", self.screen.screen().contents());
        }
    }

    fn press(&mut self, keys: &[u8]) {
        self.keys.write_all(keys).unwrap();
    }

    /// The process group of `devmap`.
    fn foreground(&self) -> Pid {
        Pid::from_raw(-tcgetpgrp(&self.keys).unwrap().as_raw())
    }

    fn has_own_screen(&self) -> bool {
        let screen = self.screen.screen();
        assert_eq!(screen.alternate_screen(), screen.hide_cursor());
        screen.alternate_screen()
    }

    /// Presses Ctrl-C, and returns the final screen and the exit status.
    fn interrupt(mut self) -> (String, Option<i32>) {
        self.press(CTRL_C);
        self.end()
    }

    /// Waits for the end, and returns the final screen and the exit status.
    fn end(mut self) -> (String, Option<i32>) {
        while self.update() {}
        let status = self.devmap.wait().unwrap();
        // The kernel looks for output first, and then whether the other end is closed: what was printed between the two
        // is still there after that error.
        while self.update() {}
        assert!(!self.has_own_screen(), "the terminal is not as it was");
        assert_eq!(tcgetattr(&self.keys).unwrap(), self.settings);
        (self.screen.screen().contents(), status.code())
    }
}

#[test]
fn watch_has_a_screen_of_its_own_and_gives_it_back() {
    let fake = FakeDevice::new(&[5; 32]);
    let mut terminal = Terminal::new(&fake, &["watch", "0+32", "--interval", "1"]);
    terminal.wait_for("0x00000010  05050505");
    assert!(terminal.has_own_screen() && terminal.screen.screen().contents().contains("Ctrl-C ends"));
    fake.devmap(&["write", "4", "3"]).printed("");
    terminal.wait_for("00000003");
    let (shown, status) = terminal.interrupt();
    assert_eq!(status, Some(130), "{shown}");
    let line = "devmap: interrupted: watched 0x00000000-0x0000001f, samples: ";
    assert!(shown.contains(line) && shown.ends_with(", changes: 1"), "{shown}");
    assert!(!shown.contains("05050505"), "{shown}");
}

/// What makes `watch` end.
type Event = fn(&mut Terminal, &FakeDevice);

#[test]
fn watch_gives_its_screen_back_however_it_ends() {
    let terminate: Event = |terminal, _| kill(terminal.foreground(), Signal::SIGTERM).unwrap();
    let hang_up: Event = |terminal, _| kill(terminal.foreground(), Signal::SIGHUP).unwrap();
    let quit: Event = |terminal, _| terminal.press(CTRL_BACKSLASH);
    // Both arrive before the first can be heeded.
    let twice: Event = |terminal, _| {
        for signal in [Signal::SIGSTOP, Signal::SIGINT, Signal::SIGTERM, Signal::SIGCONT] {
            kill(terminal.foreground(), signal).unwrap();
        }
    };
    let bus_error: Event = |_, fake| File::options().write(true).open(fake.path()).unwrap().set_len(0).unwrap();
    for (event, ends, says) in [
        (terminate, 130, "interrupted: watched 0x00000000-"),
        (hang_up, 130, "interrupted: watched 0x00000000-"),
        (quit, 130, "interrupted: watched 0x00000000-"),
        (twice, 130, ""),
        (bus_error, 3, "a bus error (SIGBUS): the file was truncated while mapped"),
    ] {
        let fake = FakeDevice::new(&[5; 32]);
        let mut terminal = Terminal::new(&fake, &["watch", "0+32", "--interval", "1"]);
        terminal.wait_for("0x00000010  05050505");
        assert!(terminal.has_own_screen());
        event(&mut terminal, &fake);
        let (shown, status) = terminal.end();
        assert_eq!(status, Some(ends), "{shown}");
        // The message may be wider than the screen.
        assert!(shown.replace('\n', "").contains(says) && !shown.contains("05050505"), "{shown}");
    }
}

#[test]
fn watch_ends_with_its_terminal() {
    let fake = FakeDevice::new(&[5; 32]);
    let mut terminal = Terminal::new(&fake, &["watch", "0+32"]);
    terminal.wait_for("0x00000010  05050505");
    let Terminal { keys, mut devmap, .. } = terminal;
    drop(keys);
    // No reader, no output, or the signal ends it, whichever comes first, but never a panic for want of standard error.
    let status = devmap.wait().unwrap().code();
    assert!(matches!(status, Some(0 | 4 | 130)), "{status:?}");
}

#[test]
fn watch_gives_its_screen_back_while_it_is_stopped() {
    let fake = FakeDevice::new(&[5; 32]);
    let commands = "set -m; \"$@\"; echo stopped: $?; read line; fg";
    let mut terminal = Terminal::with_shell(commands, &fake, &["watch", "0+32"]);
    terminal.wait_for("0x00000010  05050505");
    terminal.press(CTRL_Z);
    terminal.wait_for("stopped: 148");
    assert!(!terminal.has_own_screen());
    terminal.press(b"\n");
    terminal.wait_for("0x00000010  05050505");
    assert!(terminal.has_own_screen());
    let (shown, status) = terminal.interrupt();
    assert!(status == Some(130) && shown.contains("stopped: 148"), "{shown}");
}

#[test]
fn watch_goes_on_where_nobody_could_continue_it() {
    let fake = FakeDevice::new(&[5; 32]);
    // No shell waits for it, so the kernel does not stop it.
    let mut terminal = Terminal::new(&fake, &["watch", "0+32", "--interval", "1"]);
    terminal.wait_for("0x00000010  05050505");
    terminal.press(CTRL_Z);
    fake.devmap(&["write", "4", "3"]).printed("");
    terminal.wait_for("00000003");
    assert!(terminal.has_own_screen());
    assert_eq!(terminal.interrupt().1, Some(130));
}

#[test]
fn the_bar_of_long_work_goes_when_it_is_interrupted() {
    let fake = FakeDevice::new(&vec![0; 16 << 20]);
    // A command that never ends.
    let mut terminal = Terminal::new(&fake, &["test", "0+16M", "--only", "random", "--passes", "1G"]);
    terminal.wait_for(" left");
    let (shown, status) = terminal.interrupt();
    assert_eq!(status, Some(130), "{shown}");
    assert!(!shown.contains('%'), "{shown}");
    assert!(
        shown.contains("devmap: interrupted: in the test `random` of 0x00000000-0x00ffffff, whose contents"),
        "{shown}"
    );
}
