// SPDX-License-Identifier: MIT OR Apache-2.0

//! Shows the user what is done: steps on stderr, and the progress of long ones.

use std::{
    cell::RefCell,
    fmt,
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Without a terminal, a line of progress comes at every step of this many percent …
const PLAIN_PERCENT: u64 = 10;
/// … and after this long without a line.
const PLAIN_SILENCE: Duration = Duration::from_secs(15);

/// The output to the user.
#[derive(Debug)]
pub struct Ui {
    /// The bars, unless stderr is no terminal.
    bars: Option<MultiProgress>,
}

impl Ui {
    /// Moving bars if stderr is a terminal, plain lines if not.
    pub fn new() -> Ui {
        Ui { bars: io::stderr().is_terminal().then(MultiProgress::new) }
    }

    /// Prints the next step.
    pub fn step(&self, text: impl fmt::Display) {
        self.print(format_args!("==> {text}"));
    }

    /// Adds a line to the current step.
    pub fn note(&self, text: impl fmt::Display) {
        self.print(format_args!("    {text}"));
    }

    /// Prints a result to stdout.
    pub fn result(&self, text: impl fmt::Display) {
        match &self.bars {
            Some(bars) => bars.suspend(|| println!("{text}")),
            None => println!("{text}"),
        }
    }

    /// Prints the next step and shows its progress, out of `total` in any unit.
    pub fn bar(&self, text: impl fmt::Display, total: u64) -> Bar {
        self.step(text);
        let total = total.max(1);
        let look = match &self.bars {
            Some(bars) => {
                let bar = bars.add(ProgressBar::new(total));
                bar.set_style(
                    ProgressStyle::with_template("    [{bar:40}] {percent:>3} %  {elapsed}")
                        .expect("the template is a constant")
                        .progress_chars("=> "),
                );
                // Updates the time while the position does not change.
                bar.enable_steady_tick(Duration::from_millis(500));
                Look::Moving(bar)
            }
            None => Look::Plain(RefCell::new(Plain { percent: 0, said: Instant::now() })),
        };
        Bar { look, total, done: 0.into(), started: Instant::now() }
    }

    fn print(&self, text: fmt::Arguments<'_>) {
        match &self.bars {
            Some(bars) => bars.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }
}

impl Default for Ui {
    fn default() -> Ui {
        Ui::new()
    }
}

/// The progress of one long step. Dropped without [`Bar::finish`], it vanishes silently.
#[derive(Debug)]
pub struct Bar {
    look: Look,
    total: u64,
    done: RefCell<u64>,
    started: Instant,
}

#[derive(Debug)]
enum Look {
    Moving(ProgressBar),
    Plain(RefCell<Plain>),
}

/// The last line about a bar that cannot move.
#[derive(Debug)]
struct Plain {
    percent: u64,
    said: Instant,
}

impl Bar {
    /// `n` more are done.
    pub fn advance(&self, n: u64) {
        let done = *self.done.borrow();
        self.set(done.saturating_add(n));
    }

    /// `n` of the total are done. The total may be an estimate: only [`Bar::finish`] fills the bar.
    pub fn set(&self, n: u64) {
        *self.done.borrow_mut() = n;
        let shown = n.min(self.total - 1);
        match &self.look {
            Look::Moving(bar) => bar.set_position(shown),
            Look::Plain(plain) => {
                let mut plain = plain.borrow_mut();
                let percent = shown * 100 / self.total;
                if plain.is_due(percent, plain.said.elapsed()) {
                    eprintln!("    {percent:>3} %  {}", Span(self.started.elapsed()));
                    *plain = Plain { percent, said: Instant::now() };
                }
            }
        }
    }

    /// The step is done.
    pub fn finish(self) {
        if let Look::Moving(bar) = &self.look {
            bar.finish_and_clear();
        }
        eprintln!("    done in {}", Span(self.started.elapsed()));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Look::Moving(bar) = &self.look {
            bar.finish_and_clear();
        }
    }
}

impl Plain {
    fn is_due(&self, percent: u64, silence: Duration) -> bool {
        percent / PLAIN_PERCENT > self.percent / PLAIN_PERCENT || silence >= PLAIN_SILENCE
    }
}

/// A duration in minutes and seconds.
#[derive(Debug, Clone, Copy)]
pub struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match seconds {
            0..60 => write!(f, "{:.1} s", self.0.as_secs_f64()),
            _ => write!(f, "{} min {:02} s", seconds / 60, seconds % 60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_line_comes_every_ten_percent_or_after_a_silence() {
        let plain = Plain { percent: 17, said: Instant::now() };
        assert!(!plain.is_due(19, Duration::ZERO));
        assert!(plain.is_due(20, Duration::ZERO));
        assert!(plain.is_due(17, PLAIN_SILENCE));
    }

    #[test]
    fn an_estimate_that_was_too_low_does_no_harm() {
        let bar = Ui { bars: None }.bar("Counting", 3);
        bar.advance(2);
        bar.advance(u64::MAX);
        assert_eq!(*bar.done.borrow(), u64::MAX);
        bar.finish();
    }

    #[test]
    fn a_span_reads_well() {
        assert_eq!(Span(Duration::from_millis(1240)).to_string(), "1.2 s");
        assert_eq!(Span(Duration::from_secs(605)).to_string(), "10 min 05 s");
    }
}
