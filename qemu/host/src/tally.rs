// SPDX-License-Identifier: MIT OR Apache-2.0

//! Counts and prints the results of tests.

use std::{
    fmt,
    time::{Duration, Instant},
};

use anyhow::Result;
use map_protocol::Outcome;

use crate::interrupt;

/// The counts so far.
#[derive(Debug, Default)]
pub struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Tally {
    /// The number of tests that were counted.
    pub fn total(&self) -> u64 {
        self.passed + self.failed + self.skipped
    }

    /// Whether at least one test passed, and none failed.
    pub fn is_good(&self) -> bool {
        self.failed == 0 && self.passed > 0
    }

    /// Counts one test, and prints its outcome.
    pub fn count(&mut self, name: impl fmt::Display, outcome: &Outcome, took: Duration) {
        let seconds = took.as_secs_f64();
        match outcome {
            Outcome::Passed => {
                self.passed += 1;
                println!("ok    {name} ({seconds:.2} s)");
            }
            Outcome::Failed(reason) => {
                self.failed += 1;
                println!("FAIL  {name} ({seconds:.2} s)");
                for line in reason.lines() {
                    println!("      {line}");
                }
            }
            Outcome::Skipped(reason) => {
                self.skipped += 1;
                println!("skip  {name}: {reason}");
            }
        }
    }

    /// The same, with the test's note below its line.
    pub fn count_with(&mut self, name: impl fmt::Display, outcome: &Outcome, took: Duration, note: &str) {
        self.count(name, outcome, took);
        for line in note.lines() {
            println!("      {line}");
        }
    }

    /// Runs a step of the host and counts it as one test.
    pub fn check<T>(&mut self, name: &str, step: impl FnOnce() -> Result<T>) -> Result<Option<T>> {
        let started = Instant::now();
        match step() {
            Ok(value) => {
                self.count(name, &Outcome::Passed, started.elapsed());
                Ok(Some(value))
            }
            Err(error) if interrupt::is_interruption(&error) => Err(error),
            Err(error) => {
                self.count(name, &Outcome::Failed(format!("{error:#}")), started.elapsed());
                Ok(None)
            }
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}
