// SPDX-License-Identifier: MIT OR Apache-2.0

//! What was done, and how much of it there must have been.

use std::collections::BTreeMap;

use anyhow::{ensure, Result};
use map_core::Refusal;
use nix::errno::Errno;

use super::{
    operation::{Kind, NAMES},
    run::Ran,
    world::Value,
};

/// The reasons that no operation here can have: the kernel of this guest is not locked down, its memory suffices, and
/// on this architecture everything is taken for memory.
const ELSEWHERE: [Refusal; 3] = [Refusal::LockedDown, Refusal::NoMemory, Refusal::NotMemory];

/// The operations for which every kind, and every reason, must have occurred once.
const FOR_ONE_OF_EACH: u64 = 20_000;

/// Counts.
#[derive(Default)]
pub struct Tally {
    /// The number of sequences.
    pub sequences: u64,
    /// The number of operations.
    pub operations: u64,
    parallel: u64,
    threads: u64,
    kinds: BTreeMap<&'static str, (u64, u64)>,
    results: BTreeMap<String, u64>,
    verdicts: [u64; Refusal::ALL.len()],
}

impl Tally {
    /// Counts a sequence.
    pub fn add(&mut self, ran: &Ran) {
        self.sequences += 1;
        for (index, step) in ran.steps.iter().enumerate() {
            let Some(expect) = &step.expect else { continue };
            let errno = match expect.value {
                Value::Exactly(value) if (-4095..0).contains(&value) => Some(Errno::from_raw(-value as i32)),
                _ => None,
            };
            self.operations += 1;
            let (done, failed) = self.kinds.entry(step.operation.name()).or_default();
            *if errno.is_some() { failed } else { done } += 1;
            let signal = matches!((&step.operation.kind, &expect.value), (Kind::Signal { .. }, Value::Exactly(1..)));
            let result = match errno {
                Some(errno) => format!("{errno:?}"),
                None if signal => "a signal".into(),
                None => "success".into(),
            };
            *self.results.entry(result).or_default() += 1;
            let neighbours = || ran.steps[..index].iter().rev().take(40).chain(ran.steps[index + 1..].iter().take(40));
            let of_round =
                || neighbours().map(|other| &other.operation).filter(|other| other.round == step.operation.round);
            let (actor, thread) = (step.operation.actor, step.operation.thread);
            self.parallel += u64::from(of_round().any(|other| other.actor != actor));
            self.threads += u64::from(of_round().any(|other| other.actor == actor && other.thread != thread));
        }
        for (sum, count) in self.verdicts.iter_mut().zip(ran.verdicts) {
            *sum += count;
        }
    }

    /// The counts for people.
    pub fn table(&self) -> String {
        let kind = |name: &&'static str| {
            let (done, failed) = self.kinds.get(*name).copied().unwrap_or_default();
            format!("{name:17} {:>8} {done:>8} {failed:>8}\n", done + failed)
        };
        let results = self.results.iter().map(|(name, count)| format!("{name} {count}"));
        let verdicts = Refusal::ALL.into_iter().zip(self.verdicts).map(|(reason, count)| format!("{reason:?} {count}"));
        format!(
            "{} operations in {} sequences, {} of them beside those of other processes, {} beside those of another thread\n\
             {:17} {:>8} {:>8} {:>8}\n{}\
             results: {}\nrefusals: {}\n",
            self.operations,
            self.sequences,
            self.parallel,
            self.threads,
            "operation",
            "done",
            "success",
            "error",
            NAMES.iter().map(kind).collect::<String>(),
            results.collect::<Vec<_>>().join(", "),
            verdicts.collect::<Vec<_>>().join(", ")
        )
    }

    /// Fails if too little was done.
    pub fn check(&self) -> Result<()> {
        let least = self.operations / FOR_ONE_OF_EACH;
        let rare: Vec<_> = NAMES
            .iter()
            .filter(|name| {
                let (done, failed) = self.kinds.get(*name).copied().unwrap_or_default();
                done + failed < least
            })
            .collect();
        ensure!(rare.is_empty(), "less than {least} operations of each kind: {rare:?}");
        let reasons: Vec<_> = Refusal::ALL
            .into_iter()
            .zip(self.verdicts)
            .filter(|(reason, count)| !ELSEWHERE.contains(reason) && *count < least)
            .map(|(reason, _)| reason)
            .collect();
        ensure!(reasons.is_empty(), "less than {least} refusals of each reason: {reasons:?}");
        // What cannot happen did not.
        let impossible: Vec<_> =
            ELSEWHERE.into_iter().filter(|reason| self.verdicts[reason.code() as usize - 1] > 0).collect();
        ensure!(impossible.is_empty(), "{impossible:?}");
        ensure!(
            self.operations < FOR_ONE_OF_EACH || self.parallel > self.operations / 10,
            "only {} operations beside others",
            self.parallel
        );
        ensure!(
            self.operations < FOR_ONE_OF_EACH || self.threads > self.operations / 40,
            "only {} operations beside those of another thread",
            self.threads
        );
        let succeeded = self.results.get("success").copied().unwrap_or_default();
        ensure!(succeeded * 3 > self.operations, "only {succeeded} operations succeeded");
        Ok(())
    }
}
