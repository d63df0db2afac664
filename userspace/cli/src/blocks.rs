// SPDX-License-Identifier: MIT OR Apache-2.0

//! Long work in blocks, with a progress bar, which a signal interrupts.

use indicatif::ProgressBar;

use crate::bar::bar;
use crate::failure::Failure;
use crate::interrupt::Interrupt;

/// How many bytes are moved between two updates of the bar and checks for signals.
const BLOCK: usize = 64 << 10;

/// The order of the blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Ascending,
    Descending,
}

/// A number of bytes to work on, in blocks.
pub struct Blocks {
    /// What the work does to a byte, as in "filled".
    done: &'static str,
    total: usize,
    order: Order,
    interrupt: Interrupt,
    bar: ProgressBar,
}

impl Blocks {
    /// The blocks of `total` bytes, which the work makes `done`.
    pub fn new(done: &'static str, total: usize) -> Self {
        let bar = bar(done, total as u64);
        Self { done, total, order: Order::Ascending, interrupt: Interrupt::on_signals(), bar }
    }

    /// The same blocks, in this order.
    pub fn in_order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// The same blocks, without a bar if `quiet` is set: the results appear on the same terminal.
    pub fn quiet_if(mut self, quiet: bool) -> Self {
        if quiet {
            self.bar = ProgressBar::hidden();
        }
        self
    }

    /// Calls `step` with the offset and the length of one block after the other.
    ///
    /// A step that returns false ends the work early: the rest is not needed. After a signal no further step is made,
    /// and the failure has the number of bytes that are done.
    pub fn run(self, mut step: impl FnMut(usize, usize) -> Result<bool, Failure>) -> Result<(), Failure> {
        let blocks = self.total.div_ceil(BLOCK);
        let mut bytes_done = 0;
        for count in 0..blocks {
            if self.interrupt.requested() {
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

/// Removes the bar, however the work ends.
impl Drop for Blocks {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
