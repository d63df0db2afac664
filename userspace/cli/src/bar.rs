// SPDX-License-Identifier: MIT OR Apache-2.0

//! The progress bar of long work.

use std::io;

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

/// Shorter work gets no bar.
const MIN_TOTAL: u64 = 1 << 20;

/// A bar for `total` steps, shown on standard error if that is a terminal and the work is long.
pub fn bar(done: &'static str, total: u64) -> ProgressBar {
    // Of what a terminal has not shown yet, Ctrl-C takes away. In one piece, that is a whole change of the bar: if only
    // the clearing of the line went, the next bar would begin behind the last one, and that one would stay.
    let terminal = Term::buffered_stderr();
    if total < MIN_TOTAL || !terminal.is_term() {
        return ProgressBar::hidden();
    }
    let target = ProgressDrawTarget::term_like_with_hz(Box::new(Narrow(terminal)), 10);
    let bar = ProgressBar::with_draw_target(Some(total), target);
    let style = ProgressStyle::with_template("{msg} {wide_bar} {percent}%, {eta} left");
    bar.set_style(style.expect("the template is constant and valid"));
    bar.set_message(done);
    bar
}

/// A terminal without its last two columns. They leave room for the ^C that a terminal echoes after the bar. Otherwise
/// it would move the cursor to the next line, which would be cleared in place of the bar.
#[derive(Debug)]
struct Narrow(Term);

impl TermLike for Narrow {
    fn width(&self) -> u16 {
        let (_, columns) = self.0.size();
        columns.saturating_sub(2).max(1)
    }

    fn height(&self) -> u16 {
        let (rows, _) = self.0.size();
        rows
    }

    fn move_cursor_up(&self, lines: usize) -> io::Result<()> {
        self.0.move_cursor_up(lines)
    }

    fn move_cursor_down(&self, lines: usize) -> io::Result<()> {
        self.0.move_cursor_down(lines)
    }

    fn move_cursor_right(&self, columns: usize) -> io::Result<()> {
        self.0.move_cursor_right(columns)
    }

    fn move_cursor_left(&self, columns: usize) -> io::Result<()> {
        self.0.move_cursor_left(columns)
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.0.write_line(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.0.write_str(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.0.clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        self.0.flush()
    }
}
