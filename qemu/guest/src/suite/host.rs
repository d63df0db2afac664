// SPDX-License-Identifier: MIT OR Apache-2.0

//! The host, which fills and compares this guest's memory from outside.

use std::{fs::File, ops::Range};

use anyhow::{bail, ensure, Result};
use map_protocol::{Channel, Difference, Page, Question, ToGuest, ToHost};

/// The size of a page, in bytes.
pub const PAGE: u64 = 4096;

/// The memory that the kernel leaves free for the driver.
pub const START: u64 = 0xc000_0000;
/// Its size in bytes.
pub const LENGTH: u64 = 0x0030_0000;

/// The host, at the other end of the connection.
pub struct Host {
    channel: Channel<File>,
}

impl Host {
    /// The host behind `channel`.
    pub fn new(channel: Channel<File>) -> Self {
        Self { channel }
    }

    fn ask(&mut self, question: Question) -> Result<ToGuest> {
        self.channel.send(&ToHost::Ask(question))?;
        self.answer()
    }

    fn answer(&mut self) -> Result<ToGuest> {
        match self.channel.recv()? {
            ToGuest::Failed(reason) => bail!("the host cannot answer: {reason}"),
            answer => Ok(answer),
        }
    }

    /// Shows text to people, below the test's result.
    pub fn note(&mut self, text: String) -> Result<()> {
        Ok(self.channel.send(&ToHost::Note(text))?)
    }

    /// Fills the free memory with a pattern.
    pub fn fill(&mut self, seed: u64) -> Result<()> {
        self.fill_range(seed, START, LENGTH)
    }

    /// Fills the first `length` bytes of the free memory with a pattern, and leaves the others.
    pub fn fill_first(&mut self, seed: u64, length: u64) -> Result<()> {
        self.fill_range(seed, START, length)
    }

    /// Fills `length` bytes of physical memory from `start` on with a pattern.
    pub fn fill_range(&mut self, seed: u64, start: u64, length: u64) -> Result<()> {
        match self.ask(Question::Fill { seed, start, length })? {
            ToGuest::Done => Ok(()),
            answer => bail!("the host answered {answer:?}"),
        }
    }

    /// Fails if one of the first `length` bytes of the free memory differs from the pattern.
    pub fn first_unchanged(&mut self, seed: u64, length: u64) -> Result<()> {
        match self.ask(Question::Differences { seed, start: START, length })? {
            ToGuest::Differences(_, 0) => Ok(()),
            answer => bail!("the host answered {answer:02x?}"),
        }
    }

    /// Plugs another memory module into the machine; the kernel is notified a little later.
    pub fn plug_memory(&mut self, size: u64) -> Result<()> {
        match self.ask(Question::PlugMemory { size })? {
            ToGuest::Done => Ok(()),
            answer => bail!("the host answered {answer:?}"),
        }
    }

    /// Presses the machine's power button for a moment.
    pub fn press_power_button(&mut self) -> Result<()> {
        match self.ask(Question::PressPowerButton)? {
            ToGuest::Done => Ok(()),
            answer => bail!("the host answered {answer:?}"),
        }
    }

    /// Lets the host send something after this time, which interrupts and so wakes this machine. [`Host::woken`] takes
    /// it.
    #[cfg(target_arch = "x86_64")]
    pub fn wake_after(&mut self, time: std::time::Duration) -> Result<()> {
        let milliseconds = u64::try_from(time.as_millis())?;
        Ok(self.channel.send(&ToHost::Ask(Question::Wake { milliseconds }))?)
    }

    /// Takes what has woken this machine.
    #[cfg(target_arch = "x86_64")]
    pub fn woken(&mut self) -> Result<()> {
        match self.answer()? {
            ToGuest::Done => Ok(()),
            answer => bail!("the host answered {answer:?}"),
        }
    }

    /// The first bytes of the free memory that differ from the pattern, and the number of all that do.
    pub fn differences(&mut self, seed: u64) -> Result<(Vec<Difference>, u64)> {
        self.differences_in(seed, START, LENGTH)
    }

    /// The same in `length` bytes of physical memory from `start` on.
    fn differences_in(&mut self, seed: u64, start: u64, length: u64) -> Result<(Vec<Difference>, u64)> {
        match self.ask(Question::Differences { seed, start, length })? {
            ToGuest::Differences(first, count) => Ok((first, count)),
            answer => bail!("the host answered {answer:?}"),
        }
    }

    /// Fails unless exactly the bytes at these offsets differ from the pattern, and each has the value that `value`
    /// gives.
    pub fn changed(&mut self, seed: u64, offsets: &[Range<u64>], value: impl Fn(u64) -> u8) -> Result<()> {
        self.changed_range(seed, (START, LENGTH), offsets, value)
    }

    /// The same in memory with this start and length.
    pub fn changed_range(
        &mut self,
        seed: u64,
        (start, length): (u64, u64),
        offsets: &[Range<u64>],
        value: impl Fn(u64) -> u8,
    ) -> Result<()> {
        let (found, count) = self.differences_in(seed, start, length)?;
        let expected: u64 = offsets.iter().map(|range| range.end - range.start).sum();
        ensure!(count == expected, "{count} bytes changed, not {expected}: {found:02x?}");
        for difference in found {
            let offset = difference.address - start;
            let inside = offsets.iter().any(|range| range.contains(&offset));
            ensure!(inside && difference.found == value(offset), "changed: {difference:02x?}");
        }
        Ok(())
    }

    /// The sum of `length` bytes from `start` on, both multiples of 8.
    pub fn sum(&mut self, start: u64, length: u64) -> Result<u64> {
        match self.ask(Question::Sum { start, length })? {
            ToGuest::Sum(sum) => Ok(sum),
            answer => bail!("the host answered {answer:?}"),
        }
    }

    /// The page-table entry of a page of the process that spins on the processor.
    pub fn page(&mut self, address: usize) -> Result<Page> {
        match self.ask(Question::PageTable { address: address as u64 })? {
            ToGuest::Page(page) => Ok(page),
            answer => bail!("the host answered {answer:?}"),
        }
    }
}
