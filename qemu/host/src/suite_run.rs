// SPDX-License-Identifier: MIT OR Apache-2.0

//! One run of a suite: takes the messages of its guest and gives the outcome of every test.

use std::{
    mem,
    time::{Duration, Instant},
};

use anyhow::Result;
use map_protocol::{Outcome, ToHost};

use crate::interrupt;

/// The result of one test.
#[derive(Debug, PartialEq, Eq)]
pub struct TestResult {
    /// Its name.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
    /// What it shows to people.
    pub note: String,
}

/// The state of a suite that runs.
#[derive(Debug)]
pub struct SuiteRun {
    /// The test in which the guest has to panic.
    panics_in: Option<String>,
    /// The tests that have not ended; `None` before the guest has sent their names.
    unfinished: Option<Vec<String>>,
    /// The test that began last and has not ended.
    running: Option<String>,
    started: Instant,
    test_started: Instant,
    note: String,
    output: Vec<u8>,
}

impl SuiteRun {
    /// A run that has received no message. The guest has to panic in the last test, `panics_in`, if that is given.
    pub fn new(panics_in: Option<&str>) -> Self {
        let now = Instant::now();
        Self {
            panics_in: panics_in.map(str::to_owned),
            unfinished: None,
            running: None,
            started: now,
            test_started: now,
            note: String::new(),
            output: Vec::new(),
        }
    }

    /// Takes a message of the guest; gives the result of the test that ends with it.
    pub fn recv(&mut self, message: &ToHost) -> Option<TestResult> {
        match message {
            ToHost::Plan(names) => self.unfinished = Some(names.clone()),
            ToHost::Begin(name) => {
                self.running = Some(name.clone());
                self.test_started = Instant::now();
            }
            ToHost::Note(text) => self.note += text,
            ToHost::Output(_, bytes) => self.output.extend_from_slice(bytes),
            ToHost::End(name, outcome) => return Some(self.end_test(name, outcome.clone())),
            _ => (),
        }
        None
    }

    /// Ends the run with the `end` of its guest, which was checked against the kernel's log.
    ///
    /// Gives the results of the tests that sent none, and of the run as a whole, which is a test of its own. Fails if
    /// the run was interrupted.
    pub fn finish(mut self, end: Result<i32>) -> Result<Vec<TestResult>> {
        let mut results = Vec::new();
        match (&end, self.panics_in.clone()) {
            (Err(error), _) if interrupt::is_interruption(error) => return end.map(|_| results),
            (Ok(_), Some(last)) if self.is_in_last(&last) => results.push(self.end_test(&last, Outcome::Passed)),
            _ => (),
        }
        let unfinished = self.unfinished.as_deref().unwrap_or_default();
        results.extend(unfinished.iter().map(|name| TestResult {
            name: name.clone(),
            outcome: Outcome::Failed("it did not end".into()),
            took: Duration::ZERO,
            note: String::new(),
        }));
        let name = match self.panics_in {
            Some(_) => "the guest dies of its last test and of nothing else",
            None => "the guest lives to its end, and its kernel's log is clean",
        };
        let (outcome, took) = (self.verdict(&end), self.started.elapsed());
        results.push(TestResult { name: name.into(), outcome, took, note: String::new() });
        Ok(results)
    }

    /// Whether the test called `name` is running, and no other is left.
    fn is_in_last(&self, name: &str) -> bool {
        self.running.as_deref() == Some(name) && self.unfinished.as_deref().is_some_and(|left| left == [name])
    }

    fn end_test(&mut self, name: &str, outcome: Outcome) -> TestResult {
        if let Some(unfinished) = &mut self.unfinished {
            unfinished.retain(|other| other != name);
        }
        self.running = None;
        let note = mem::take(&mut self.note);
        TestResult { name: name.to_owned(), outcome, took: self.test_started.elapsed(), note }
    }

    /// The outcome of the run as a whole.
    fn verdict(&self, end: &Result<i32>) -> Outcome {
        match (end, &self.unfinished) {
            (Err(error), _) => Outcome::Failed(format!("{error:#}")),
            (Ok(_), None) => Outcome::Failed("the suite never began".into()),
            (Ok(0), Some(left)) if left.is_empty() => Outcome::Passed,
            (Ok(status), Some(left)) => {
                let output = String::from_utf8_lossy(&self.output);
                Outcome::Failed(format!("the suite ended with status {status} before {} tests: {output}", left.len()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, process::ExitStatus};

    use map_protocol::Stream;

    use super::*;
    use crate::{
        interrupt::Interrupted,
        machine::Died,
        verdict::{self, ExpectedEnd},
    };

    fn plan(names: &[&str]) -> ToHost {
        ToHost::Plan(names.iter().map(|name| (*name).to_owned()).collect())
    }

    fn begin(name: &str) -> ToHost {
        ToHost::Begin(name.into())
    }

    fn passed(name: &str) -> ToHost {
        ToHost::End(name.into(), Outcome::Passed)
    }

    /// A run that has received these messages.
    fn run(panics_in: Option<&str>, messages: &[ToHost]) -> SuiteRun {
        let mut run = SuiteRun::new(panics_in);
        for message in messages {
            run.recv(message);
        }
        run
    }

    /// The names of the results of the run's end, each with whether it passed.
    fn finish(run: SuiteRun, end: Result<i32>) -> Vec<(String, bool)> {
        let results = run.finish(end).unwrap();
        results.into_iter().map(|result| (result.name, result.outcome == Outcome::Passed)).collect()
    }

    const CLEAN: &str = "the guest lives to its end, and its kernel's log is clean";
    const PANIC: &str = "the guest dies of its last test and of nothing else";

    fn expect(results: &[(&str, bool)]) -> Vec<(String, bool)> {
        results.iter().map(|(name, passed)| ((*name).to_owned(), *passed)).collect()
    }

    #[test]
    fn a_test_that_ends_gives_its_outcome_and_its_note() {
        let mut run = run(None, &[plan(&["one", "two"]), begin("one"), ToHost::Note("seen".into())]);
        let result = run.recv(&passed("one")).unwrap();
        assert_eq!((result.name.as_str(), result.outcome, result.note.as_str()), ("one", Outcome::Passed, "seen"));
        assert_eq!(run.recv(&begin("two")), None);
        let outcome = Outcome::Failed("no".into());
        let result = run.recv(&ToHost::End("two".into(), outcome.clone())).unwrap();
        assert_eq!((result.outcome, result.note.as_str()), (outcome, ""));
        // The failure was counted with its test; the guest itself did well.
        assert_eq!(finish(run, Ok(0)), expect(&[(CLEAN, true)]));
    }

    #[test]
    fn a_test_that_begins_and_does_not_end_has_failed() {
        let messages = [plan(&["one", "two"]), begin("one"), passed("one"), begin("two")];
        assert_eq!(finish(run(None, &messages), Ok(0)), expect(&[("two", false), (CLEAN, false)]));
    }

    #[test]
    fn a_test_that_never_begins_has_failed() {
        let messages = [plan(&["one", "two"]), begin("one"), passed("one")];
        assert_eq!(finish(run(None, &messages), Ok(0)), expect(&[("two", false), (CLEAN, false)]));
    }

    #[test]
    fn a_suite_without_a_plan_has_failed() {
        assert_eq!(finish(run(None, &[]), Ok(0)), expect(&[(CLEAN, false)]));
    }

    #[test]
    fn a_suite_that_ends_with_an_error_has_failed_with_its_output() {
        let output = ToHost::Output(Stream::Err, b"map-suite: no".to_vec());
        let results = run(None, &[plan(&[]), output]).finish(Ok(1)).unwrap();
        let text = "the suite ended with status 1 before 0 tests: map-suite: no";
        assert_eq!(results[0].outcome, Outcome::Failed(text.into()));
        assert_eq!(finish(run(None, &[plan(&[])]), Err(anyhow::anyhow!("hung"))), expect(&[(CLEAN, false)]));
    }

    #[test]
    fn a_fault_in_the_log_fails_a_run_whose_tests_all_passed() {
        let messages = [plan(&["one"]), begin("one"), passed("one"), ToHost::Exit(0)];
        let log = "[ 1.0] map-suite: one\n[ 1.1] BUG: KASAN: use-after-free in map_load\n";
        let end = verdict::check(Ok(0), log, Path::new("/log"), ExpectedEnd::Clean);
        let results = run(None, &messages).finish(end).unwrap();
        let [TestResult { outcome: Outcome::Failed(reason), .. }] = &results[..] else { panic!("{results:?}") };
        assert!(reason.starts_with("the guest's kernel reports a fault during one: [ 1.1] BUG: KASAN"), "{reason}");
    }

    #[test]
    fn a_guest_may_panic_in_its_last_test_alone() {
        let log = "[ 1.0] map-suite: two\n[ 1.1] Internal error: synchronous external abort\n";
        let end = || {
            let died = Err(Died(ExitStatus::default()).into());
            verdict::check(died, log, Path::new("/log"), ExpectedEnd::Panic("external abort"))
        };
        let in_last = [plan(&["one", "two"]), begin("one"), passed("one"), begin("two")];
        assert_eq!(finish(run(Some("two"), &in_last), end()), expect(&[("two", true), (PANIC, true)]));
        // In another test, before the last one begins, and while others are left.
        for messages in [
            &[plan(&["one", "two"]), begin("one")][..],
            &[plan(&["one", "two"]), begin("one"), passed("one")],
            &[plan(&["one", "two"]), begin("two")],
        ] {
            let results = finish(run(Some("two"), messages), end());
            assert!(results.iter().all(|(_, passed)| !passed) && results.len() >= 2, "{results:?}");
        }
    }

    #[test]
    fn a_guest_that_survives_its_last_test_has_failed() {
        let messages = [plan(&["two"]), begin("two"), passed("two"), ToHost::Exit(0)];
        let end = verdict::check(Ok(0), "", Path::new("/log"), ExpectedEnd::Panic("external abort"));
        assert_eq!(finish(run(Some("two"), &messages), end), expect(&[(PANIC, false)]));
    }

    #[test]
    fn an_interrupted_run_has_no_results() {
        let error = run(None, &[plan(&["one"])]).finish(Err(Interrupted { orderly: true }.into())).unwrap_err();
        assert!(interrupt::is_interruption(&error));
    }
}
