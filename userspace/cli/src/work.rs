// SPDX-License-Identifier: MIT OR Apache-2.0

//! Long work in blocks, with a bar that moves and an end that can come early.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use indicatif::ProgressBar;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::bar::bar;
use super::failure::Failure;

/// How many bytes are moved between two looks at the clock and at signals.
const BLOCK: usize = 64 << 10;

/// From which end work begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Ascending,
    Descending,
}

/// Set once a signal has asked for an end.
#[derive(Clone, Debug)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// From now on the first signal is a request, and the second ends the process.
    pub fn on_signals() -> Self {
        static STOP: LazyLock<Stop> = LazyLock::new(|| {
            let stop = Arc::new(AtomicBool::new(false));
            for signal in [SIGINT, SIGTERM] {
                flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop))
                    .and_then(|_| flag::register(signal, Arc::clone(&stop)))
                    .expect("every process may handle these signals");
            }
            Stop(stop)
        });
        STOP.clone()
    }

    /// Whether an end was asked for.
    pub fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A piece of work on a number of bytes.
pub struct Work {
    /// What has happened to a byte when it is done, as in "filled".
    done: &'static str,
    total: usize,
    order: Order,
    stop: Stop,
    bar: ProgressBar,
}

impl Work {
    /// Work on `total` bytes, after which they are `done`.
    pub fn new(done: &'static str, total: usize) -> Self {
        let bar = bar(done, total as u64);
        Self { done, total, order: Order::Ascending, stop: Stop::on_signals(), bar }
    }

    /// The same work, in this order.
    pub fn in_order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// The same work, without a bar if `quiet` is set: its results appear on the same terminal.
    pub fn quiet_if(mut self, quiet: bool) -> Self {
        if quiet {
            self.bar = ProgressBar::hidden();
        }
        self
    }

    /// Calls `step` with offset and length of one block after the other.
    ///
    /// A step that returns false ends the work early: the rest is not needed. After a signal no further step is made,
    /// and the failure says how far it went.
    pub fn run(self, mut step: impl FnMut(usize, usize) -> Result<bool, Failure>) -> Result<(), Failure> {
        let blocks = self.total.div_ceil(BLOCK);
        let mut bytes_done = 0;
        for count in 0..blocks {
            if self.stop.requested() {
                self.bar.finish_and_clear();
                let from = match self.order {
                    Order::Ascending => "from the start",
                    Order::Descending => "from the end",
                };
                return Err(Failure::Interrupted(format!(
                    "{} {bytes_done:#x} of {:#x} bytes, {from}",
                    self.done, self.total
                )));
            }
            let offset = BLOCK
                * match self.order {
                    Order::Ascending => count,
                    Order::Descending => blocks - 1 - count,
                };
            let length = BLOCK.min(self.total - offset);
            if !step(offset, length)? {
                break;
            }
            bytes_done += length;
            self.bar.set_position(bytes_done as u64);
        }
        Ok(())
    }
}

/// The bar goes, however the work ends: the terminal is left clean.
impl Drop for Work {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
