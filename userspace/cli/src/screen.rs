// SPDX-License-Identifier: MIT OR Apache-2.0

//! The alternate screen of the terminal, which is left however the process ends or stops.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use nix::unistd::{getpgrp, tcgetpgrp};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGQUIT, SIGTSTP};
use signal_hook::flag;

use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::sigbus;

/// To the alternate screen, without a cursor, and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// The screen, which is left when this is dropped.
pub struct Screen {
    /// Set once Ctrl-Z was pressed.
    stop: Arc<AtomicBool>,
    /// Set once the stopped process goes on.
    continued: Arc<AtomicBool>,
    /// What it shows.
    frame: String,
}

impl Screen {
    /// Enters it. From now on Ctrl-\ and the end of the terminal are requests to end, too.
    pub fn enter(out: &mut Output, interrupt: &Interrupt) -> io::Result<Self> {
        sigbus::restore_terminal(LEAVE);
        interrupt.also_on(&[SIGHUP, SIGQUIT]);
        let screen = Self { stop: Arc::default(), continued: Arc::default(), frame: String::new() };
        flag::register(SIGTSTP, Arc::clone(&screen.stop))?;
        flag::register(SIGCONT, Arc::clone(&screen.continued))?;
        out.write_all(ENTER.as_bytes())?;
        Ok(screen)
    }

    /// Shows `frame`.
    pub fn show(&mut self, out: &mut Output, frame: String) -> io::Result<()> {
        self.frame = frame;
        out.write_all(self.frame.as_bytes())?;
        out.finish()
    }

    /// Leaves the screen and stops, if Ctrl-Z was pressed, and shows it again when the process goes on.
    pub fn obey(&mut self, out: &mut Output) -> io::Result<()> {
        let mut stop = take(&self.stop);
        let mut continued = take(&self.continued);
        if !stop && !continued {
            return Ok(());
        }
        out.write_all(LEAVE.as_bytes())?;
        out.finish()?;
        // In the background it would draw over what is in the foreground.
        while stop || continued && in_background() {
            sigbus::stop();
            (stop, continued) = (false, take(&self.continued));
        }
        out.write_all(ENTER.as_bytes())?;
        out.write_all(self.frame.as_bytes())?;
        out.finish()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Not through the buffer, which was flushed after the last frame. Without a terminal there is nothing to
        // restore.
        let _ = io::stdout().write_all(LEAVE.as_bytes()).and_then(|()| io::stdout().flush());
        sigbus::restore_terminal("");
    }
}

/// Whether `flag` was set; it no longer is.
fn take(flag: &AtomicBool) -> bool {
    flag.swap(false, Ordering::Relaxed)
}

/// Whether the terminal belongs to other processes now.
fn in_background() -> bool {
    tcgetpgrp(io::stdout()).is_ok_and(|foreground| foreground != getpgrp())
}
