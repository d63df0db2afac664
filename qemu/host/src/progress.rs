// SPDX-License-Identifier: MIT OR Apache-2.0

//! How far the suite in a guest has come, by what it says.

use std::time::{Duration, Instant};

use anyhow::Result;
use map_protocol::{Outcome, ToHost};

/// How far a suite has come.
#[derive(Debug)]
pub struct Progress {
    /// The tests that have not ended; none before the suite has said which tests it has.
    waiting: Option<Vec<String>>,
    /// The test that began last.
    running: Option<String>,
    began: Instant,
    note: String,
    output: Vec<u8>,
}

/// A test that has ended.
#[derive(Debug)]
pub struct Ended<'a> {
    /// Its name.
    pub name: &'a str,
    /// What became of it.
    pub outcome: &'a Outcome,
    /// How long it took.
    pub took: Duration,
    /// What it has found out.
    pub note: String,
}

impl Progress {
    /// Nothing has been heard yet.
    pub fn new() -> Self {
        Self { waiting: None, running: None, began: Instant::now(), note: String::new(), output: Vec::new() }
    }

    /// Takes note of what the guest says; gives the test that has ended with it.
    pub fn hear<'a>(&mut self, message: &'a ToHost) -> Option<Ended<'a>> {
        match message {
            ToHost::Plan(names) => self.waiting = Some(names.clone()),
            ToHost::Begin(name) => {
                self.running = Some(name.clone());
                self.began = Instant::now();
            }
            ToHost::Note(text) => self.note += text,
            ToHost::Output(_, bytes) => self.output.extend_from_slice(bytes),
            ToHost::End(name, outcome) => {
                self.forget(name);
                let note = std::mem::take(&mut self.note);
                return Some(Ended { name, outcome, took: self.began.elapsed(), note });
            }
            _ => (),
        }
        None
    }

    /// The guest has died. If it was in the midst of the test of this name, and of the last, that test is over, and this
    /// is how long it took.
    pub fn die_in(&mut self, name: &str) -> Option<Duration> {
        let in_it = self.running.as_deref() == Some(name) && self.waiting.as_deref().is_some_and(|left| left == [name]);
        in_it.then(|| {
            self.forget(name);
            self.began.elapsed()
        })
    }

    /// The tests that have not ended.
    pub fn unfinished(&self) -> &[String] {
        self.waiting.as_deref().unwrap_or_default()
    }

    /// What the end of the guest says of the suite as a whole.
    pub fn verdict(&self, end: &Result<i32>) -> Outcome {
        match (end, &self.waiting) {
            (Err(error), _) => Outcome::Failed(format!("{error:#}")),
            (Ok(_), None) => Outcome::Failed("the suite never began".into()),
            (Ok(0), Some(left)) if left.is_empty() => Outcome::Passed,
            (Ok(status), Some(left)) => {
                let said = String::from_utf8_lossy(&self.output);
                Outcome::Failed(format!("the suite ended with status {status} before {} tests: {said}", left.len()))
            }
        }
    }

    fn forget(&mut self, test: &str) {
        if let Some(waiting) = &mut self.waiting {
            waiting.retain(|name| name != test);
        }
        self.running = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(names: &[&str]) -> Progress {
        let mut progress = Progress::new();
        progress.hear(&ToHost::Plan(names.iter().map(|name| (*name).to_owned()).collect()));
        progress
    }

    #[test]
    fn a_suite_passes_when_every_test_has_ended() {
        assert!(matches!(Progress::new().verdict(&Ok(0)), Outcome::Failed(_)));
        let mut progress = planned(&["one", "two"]);
        for name in ["one", "two"] {
            assert!(matches!(progress.verdict(&Ok(0)), Outcome::Failed(_)));
            progress.hear(&ToHost::Begin(name.into()));
            progress.hear(&ToHost::Note("seen".into()));
            let end = ToHost::End(name.into(), Outcome::Passed);
            let ended = progress.hear(&end).unwrap();
            assert_eq!((ended.name, ended.note.as_str()), (name, "seen"));
        }
        assert_eq!(progress.verdict(&Ok(0)), Outcome::Passed);
        assert!(matches!(progress.verdict(&Ok(1)), Outcome::Failed(_)));
        assert!(matches!(progress.verdict(&Err(anyhow::anyhow!("dead"))), Outcome::Failed(_)));
    }

    #[test]
    fn only_the_last_test_may_be_a_guests_death() {
        let mut early = planned(&["one", "two"]);
        early.hear(&ToHost::Begin("one".into()));
        assert_eq!(early.die_in("two"), None);
        assert_eq!(early.unfinished(), ["one", "two"]);

        let mut before = planned(&["two"]);
        assert_eq!(before.die_in("two"), None);
        before.hear(&ToHost::Begin("two".into()));
        assert!(before.die_in("two").is_some());
        assert_eq!(before.verdict(&Ok(0)), Outcome::Passed);
    }
}
