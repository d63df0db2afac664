// SPDX-License-Identifier: MIT OR Apache-2.0

//! Counts and prints the results of tests.

use std::{
    fmt::{self, Write},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use map_protocol::Outcome;

use crate::{interrupt, ui::Ui};

/// The counts so far. Tests may end in several threads.
#[derive(Debug)]
pub struct Tally<'a> {
    ui: &'a Ui,
    groups: Mutex<Vec<Group>>,
}

/// The tests whose names begin with the same words before a colon: those of the host, or of one kernel.
#[derive(Debug)]
struct Group {
    name: String,
    counts: Counts,
    took: Duration,
}

/// The numbers of tests by their outcome.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counts {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Counts {
    fn add(&mut self, other: Counts) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// The number of tests that were counted.
    pub fn total(&self) -> u64 {
        self.passed + self.failed + self.skipped
    }

    /// Whether at least one test passed, and none failed.
    pub fn is_good(&self) -> bool {
        self.failed == 0 && self.passed > 0
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

impl<'a> Tally<'a> {
    /// Nothing is counted yet. Results are printed by `ui`.
    pub fn new(ui: &'a Ui) -> Self {
        Self { ui, groups: Mutex::default() }
    }

    /// The counts.
    pub fn counts(&self) -> Counts {
        let mut all = Counts::default();
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(|group| all.add(group.counts));
        all
    }

    /// A table of the counts, and of the time that the tests took, which may have run at the same time.
    pub fn table(&self) -> String {
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let width = groups.iter().map(|group| group.name.len()).max().unwrap_or_default();
        let mut table = format!("{:width$}  passed  failed  skipped  seconds\n", "");
        for Group { name, counts: Counts { passed, failed, skipped }, took } in groups.iter() {
            let seconds = took.as_secs();
            // Writing to a string does not fail.
            let _ = writeln!(table, "{name:width$}  {passed:6}  {failed:6}  {skipped:7}  {seconds:7}");
        }
        table
    }

    /// Counts one test, and prints its outcome.
    pub fn count(&self, name: impl fmt::Display, outcome: &Outcome, took: Duration) {
        self.count_with(name, outcome, took, "");
    }

    /// The same, with the test's note below its line.
    pub fn count_with(&self, name: impl fmt::Display, outcome: &Outcome, took: Duration, note: &str) {
        let (name, seconds) = (name.to_string(), took.as_secs_f64());
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let of = name.split_once(": ").map_or("", |(group, _)| group);
        let index = groups.iter().position(|group| group.name == of).unwrap_or_else(|| {
            groups.push(Group { name: of.to_owned(), counts: Counts::default(), took: Duration::ZERO });
            groups.len() - 1
        });
        let Group { counts, took: sum, .. } = &mut groups[index];
        *sum += took;
        let (count, mut text, reason) = match outcome {
            Outcome::Passed => (&mut counts.passed, format!("ok    {name} ({seconds:.2} s)"), ""),
            Outcome::Failed(reason) => (&mut counts.failed, format!("FAIL  {name} ({seconds:.2} s)"), reason.as_str()),
            Outcome::Skipped(reason) => (&mut counts.skipped, format!("skip  {name}: {reason}"), ""),
        };
        *count += 1;
        for line in reason.lines().chain(note.lines()) {
            // Writing to a string does not fail.
            let _ = write!(text, "\n      {line}");
        }
        // Under the lock, so that the lines of one test stay together.
        self.ui.result(text);
    }

    /// Runs a step of the host and counts it as one test.
    pub fn check<T>(&self, name: &str, step: impl FnOnce() -> Result<T>) -> Result<Option<T>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_good_if_something_passed_and_nothing_failed() {
        let ui = Ui::new();
        let tally = Tally::new(&ui);
        assert!(!tally.counts().is_good());
        tally.count("a skipped test", &Outcome::Skipped("no reason".into()), Duration::ZERO);
        assert!(!tally.counts().is_good());
        tally.count("a test that passes", &Outcome::Passed, Duration::ZERO);
        assert!(tally.counts().is_good());
        assert_eq!(tally.check("a step that fails", || Err::<(), _>(anyhow::anyhow!("broken"))).unwrap(), None);
        assert!(!tally.counts().is_good());
        assert_eq!(tally.counts().total(), 3);
        assert_eq!(tally.counts().to_string(), "1 passed, 1 failed, 1 skipped");
    }

    #[test]
    fn the_table_has_a_line_for_every_kernel() {
        let ui = Ui::new();
        let tally = Tally::new(&ui);
        for (name, outcome) in [
            ("host: a::b", Outcome::Passed),
            ("x86_64 debug: driver: loads: twice", Outcome::Failed("no".into())),
            ("host: c", Outcome::Passed),
        ] {
            tally.count(name, &outcome, Duration::from_millis(1500));
        }
        assert_eq!(
            tally.table(),
            "              passed  failed  skipped  seconds\n\
             host               2       0        0        3\n\
             x86_64 debug       0       1        0        1\n"
        );
    }
}
