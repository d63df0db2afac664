// SPDX-License-Identifier: MIT OR Apache-2.0

//! Advisories against what the project is built from, in `make test-all`.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use anyhow::Result;
use map_protocol::Outcome;

use crate::{interrupt, process::Job, setup::BuildCache, tally::Tally, ui::Ui};

const NAME: &str = "host: no advisory is known against a dependency";

/// The exit status of the script without a database.
const SKIPPED: i32 = 77;

/// Asks the database on this machine, and skips the check if there is none.
pub fn check(tally: &Tally<'_>, ui: &Ui) -> Result<()> {
    ui.step(NAME);
    let mut script = Command::new(crate::root().join("qemu/advisories.sh"));
    script.arg(BuildCache::find()?.root());
    let (mut skipped, started) = (None, Instant::now());
    let ran = Job::new(script).accept(SKIPPED).lines(|line| {
        if let Some(reason) = line.strip_prefix("skipped: ") {
            skipped = Some(reason.to_owned());
        }
    });
    match (ran, skipped) {
        (Err(error), _) if interrupt::is_interruption(&error) => return Err(error),
        (Err(error), _) => tally.count(NAME, &Outcome::Failed(format!("{error:#}")), started.elapsed()),
        (Ok(()), Some(reason)) => tally.count(NAME, &Outcome::Skipped(reason), Duration::ZERO),
        (Ok(()), None) => tally.count(NAME, &Outcome::Passed, started.elapsed()),
    }
    Ok(())
}
