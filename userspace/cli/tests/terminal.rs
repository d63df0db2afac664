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
use nix::sys::termios::{tcgetattr, Termios};

const CTRL_C: &[u8] = b"\x03";

/// A terminal of 24 lines of 80 columns, with `devmap` in its foreground.
struct Terminal {
    keys: File,
    devmap: Child,
    settings: Termios,
    screen: vt100::Parser,
}

impl Terminal {
    fn new(fake: &FakeDevice, arguments: &[&str]) -> Self {
        // Not inherited by the children of other tests, which would hide the end of output.
        let keys = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).unwrap();
        grantpt(&keys).unwrap();
        unlockpt(&keys).unwrap();
        let other_end = ptsname_r(&keys).unwrap();
        let other_end =
            File::options().read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits()).open(other_end).unwrap();
        let other_ends = [(); 2].map(|()| other_end.try_clone().unwrap());
        let (rows, columns) = (24, 80);
        let line = format!("stty rows {rows} columns {columns} && exec \"$@\"");
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

    /// Presses Ctrl-C, and returns the final screen and the exit status.
    fn interrupt(mut self) -> (String, Option<i32>) {
        self.keys.write_all(CTRL_C).unwrap();
        while self.update() {}
        let status = self.devmap.wait().unwrap();
        let screen = self.screen.screen();
        assert!(!screen.alternate_screen() && !screen.hide_cursor(), "the terminal is not as it was");
        assert_eq!(tcgetattr(&self.keys).unwrap(), self.settings);
        (screen.contents(), status.code())
    }
}

#[test]
fn watch_has_a_screen_of_its_own_and_gives_it_back() {
    let fake = FakeDevice::new(&[5; 32]);
    let mut terminal = Terminal::new(&fake, &["watch", "0+32", "--interval", "1"]);
    terminal.wait_for("0x00000010  05050505");
    let screen = terminal.screen.screen();
    assert!(screen.alternate_screen() && screen.hide_cursor() && screen.contents().contains("Ctrl-C ends"));
    fake.devmap(&["write", "4", "3"]).printed("");
    terminal.wait_for("00000003");
    let (shown, status) = terminal.interrupt();
    assert_eq!(status, Some(0), "{shown}");
    assert!(shown.contains("devmap: watched 0x00000000-0x0000001f, samples: ") && shown.ends_with(", changes: 1"));
    assert!(!shown.contains("05050505"), "{shown}");
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
