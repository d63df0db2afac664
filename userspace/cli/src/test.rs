// SPDX-License-Identifier: MIT OR Apache-2.0

//! `test`: the memory tests on a mapping.

use std::fmt;

use devmap::{Mapping, Operation, Width};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::bar::bar;
use crate::context::Context;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::location::{Area, Location};
use crate::memtest::{Algorithm, Memory};
use crate::output::{Hex, Output};
use crate::place::Extent;

/// How many faults of one test are printed; the others are only counted.
const PRINTED: u64 = 10;

/// How many accesses are made between two checks for signals.
const ACCESSES: u64 = 1 << 16;

/// A word that differs from what was stored.
#[derive(Serialize)]
struct Fault {
    test: &'static str,
    address: Location,
    expected: Hex,
    found: Hex,
    bits: Hex,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { test, address, expected, found, bits } = self;
        write!(f, "{address}: {test}: stored {expected}, found {found}, wrong bits {bits}")
    }
}

/// How one test of one pass ended.
#[derive(Serialize)]
struct Outcome {
    pass: u64,
    test: &'static str,
    faults: u64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pass, test, faults } = self;
        match faults {
            0 => write!(f, "pass {pass}: {test}: ok"),
            faults => write!(f, "pass {pass}: {test}: {faults} faults"),
        }
    }
}

/// The memory under test.
struct Words<'a> {
    mapping: &'a Mapping,
    width: Width,
    out: &'a mut Output,
    interrupt: &'a Interrupt,
    test: &'static str,
    bar: ProgressBar,
    accesses: u64,
    faults: u64,
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
                Area::of(self.mapping)
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

    fn mismatch(&mut self, index: usize, expected: u64, found: u64) -> Result<(), Failure> {
        self.faults += 1;
        if self.faults <= PRINTED {
            let hex = |value| Hex::of(value, self.width);
            let fault = Fault {
                test: self.test,
                address: Location::of(self.mapping, index * self.width.bytes()),
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
    let mut faults = 0;
    for pass in 1..=passes {
        for algorithm in Algorithm::ALL.into_iter().filter(|one| only.is_empty() || only.contains(one)) {
            let test = algorithm.name();
            let bar = bar(test, algorithm.accesses(mapping.len() / width.bytes()));
            let out = &mut ctx.out;
            let mut words =
                Words { mapping: &mapping, width, out, interrupt: &interrupt, test, bar, accesses: 0, faults: 0 };
            algorithm.run(&mut words, seed.wrapping_add(pass - 1))?;
            words.bar.finish_and_clear();
            let outcome = Outcome { pass, test, faults: words.faults };
            faults += words.faults;
            ctx.out.emit(&outcome)?;
            ctx.out.finish()?;
        }
    }
    match faults {
        0 => Ok(()),
        faults => {
            Err(Failure::Differs(format!("{} is faulty: {faults} words were not what was stored", Area::of(&mapping))))
        }
    }
}
