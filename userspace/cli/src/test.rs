// SPDX-License-Identifier: MIT OR Apache-2.0

//! `test`: the memory tests on a mapping.

use std::fmt;
use std::ops::Range;

use devmap::{Operation, Width};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::bar::bar;
use crate::context::Context;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::json;
use crate::location::Location;
use crate::memtest::{Algorithm, Memory};
use crate::output::{counted, Hex, Output};
use crate::place::Extent;
use crate::tally::Tally;
use crate::view::View;

/// How many faults of one test are printed; the others are only counted.
const PRINTED: u64 = 10;

/// How many accesses are made between two checks for signals.
const ACCESSES: u64 = 1 << 16;

/// A word that differs from what was stored.
#[derive(Serialize)]
struct Fault {
    pass: u64,
    test: &'static str,
    address: Location,
    #[serde(flatten, serialize_with = "json::expected")]
    expected: Hex,
    #[serde(flatten, serialize_with = "json::found")]
    found: Hex,
    #[serde(flatten, serialize_with = "json::bits")]
    bits: Hex,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { test, address, expected, found, bits, .. } = self;
        write!(f, "{address}: {test}: stored {expected}, found {found}, wrong bits {bits}")
    }
}

/// How one test of one pass ended.
#[derive(Serialize)]
struct Outcome {
    pass: u64,
    test: &'static str,
    faults: u64,
    /// How many words had them.
    words: u64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pass, test, faults, words } = *self;
        match faults {
            0 => write!(f, "pass {pass}: {test}: ok"),
            _ => write!(f, "pass {pass}: {test}: {} in {}", counted(faults, "fault"), counted(words, "word")),
        }
    }
}

/// The memory under test.
struct Words<'a> {
    mapping: &'a View,
    width: Width,
    /// Whether caches are written back, and dropped, between stores and loads.
    sync_cache: bool,
    out: &'a mut Output,
    interrupt: &'a Interrupt,
    pass: u64,
    test: &'static str,
    bar: ProgressBar,
    accesses: u64,
    tally: Tally,
}

impl Words<'_> {
    /// Counts an access, and ends the test after a signal.
    fn count(&mut self) -> Result<(), Failure> {
        self.accesses += 1;
        if self.accesses % ACCESSES != 0 {
            return Ok(());
        }
        self.bar.set_position(self.accesses);
        if self.interrupt.requested() {
            self.bar.finish_and_clear();
            return Err(Failure::Interrupted(format!(
                "in the test `{}` of {}, whose contents are lost",
                self.test,
                self.mapping.area()
            )));
        }
        Ok(())
    }
}

impl Memory for Words<'_> {
    fn words(&self) -> usize {
        self.mapping.len() / self.width.bytes()
    }

    fn ones(&self) -> u64 {
        self.width.max()
    }

    fn load(&mut self, index: usize) -> Result<u64, Failure> {
        self.count()?;
        Ok(self.mapping.read_value(self.width, index * self.width.bytes())?)
    }

    fn store(&mut self, index: usize, value: u64) -> Result<(), Failure> {
        self.count()?;
        Ok(self.mapping.write_value(self.width, index * self.width.bytes(), value)?)
    }

    fn settle(&mut self, words: Range<usize>) -> Result<(), Failure> {
        if self.sync_cache {
            let bytes = self.width.bytes();
            self.mapping.clean_invalidate(words.start * bytes, words.len() * bytes)?;
        }
        Ok(())
    }

    fn mismatch(&mut self, index: usize, expected: u64, found: u64) -> Result<(), Failure> {
        self.tally.add(index);
        if self.tally.faults() <= PRINTED {
            let hex = |value| Hex::of(value, self.width);
            let fault = Fault {
                pass: self.pass,
                test: self.test,
                address: self.mapping.at(index * self.width.bytes()),
                expected: hex(expected),
                found: hex(found),
                bits: hex(expected ^ found),
            };
            self.bar.suspend(|| self.out.emit(&fault).and_then(|()| self.out.finish()))?;
        }
        Ok(())
    }
}

/// Tests `extent` in `passes` passes, with the tests in `only`, or all.
pub fn test(ctx: &mut Context, extent: Extent, passes: u64, only: &[Algorithm], seed: u64) -> Result<(), Failure> {
    let mapping = ctx.map_for_writing(extent)?;
    let width = ctx.fixed_width().unwrap_or(Width::WIDEST);
    mapping.bulk().with_width(width).check(Operation::Write, 0, mapping.len())?;
    let interrupt = Interrupt::on_signals();
    let length = mapping.len() / width.bytes();
    let mut total = Tally::new(length);
    let sync_cache = ctx.syncs_cache();
    for pass in 1..=passes {
        for algorithm in Algorithm::ALL.into_iter().filter(|one| only.is_empty() || only.contains(one)) {
            let test = algorithm.name();
            let bar = bar(test, algorithm.accesses(length));
            let (mapping, out, interrupt) = (&mapping, &mut ctx.out, &interrupt);
            let tally = Tally::new(length);
            let mut words = Words { mapping, width, sync_cache, out, interrupt, pass, test, bar, accesses: 0, tally };
            algorithm.run(&mut words, seed.wrapping_add(pass - 1))?;
            words.bar.finish_and_clear();
            let outcome = Outcome { pass, test, faults: words.tally.faults(), words: words.tally.words() };
            total.add_all(&words.tally);
            ctx.out.emit(&outcome)?;
            ctx.out.finish()?;
        }
    }
    match total.faults() {
        0 => Ok(()),
        _ => Err(Failure::Differs(format!("{} is faulty: {total}", mapping.area()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_counts_faults_and_the_words_that_have_them() {
        let text = |faults, words| Outcome { pass: 2, test: "data", faults, words }.to_string();
        assert_eq!(text(0, 0), "pass 2: data: ok");
        assert_eq!(text(1, 1), "pass 2: data: 1 fault in 1 word");
        assert_eq!(text(18, 2), "pass 2: data: 18 faults in 2 words");
    }

    #[test]
    fn programs_get_the_pass_of_a_fault() {
        let hex = |value| Hex::of(value, Width::Bits8);
        let fault = Fault { pass: 2, test: "data", address: 7.into(), expected: hex(1), found: hex(3), bits: hex(2) };
        assert_eq!(
            serde_json::to_string(&fault).unwrap(),
            "{\"pass\":2,\"test\":\"data\",\"address\":\"0x00000007\",\"expected\":\"0x01\",\"expected_number\":1,\
             \"found\":\"0x03\",\"found_number\":3,\"bits\":\"0x02\",\"bits_number\":2}"
        );
    }
}
