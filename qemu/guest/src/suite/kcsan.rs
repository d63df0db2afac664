// SPDX-License-Identifier: MIT OR Apache-2.0

//! Data races in the kernel: at the end of a suite, whether they were looked for. What was found is in the log.

use std::{fs, path::Path};

use anyhow::{ensure, Context, Result};

use crate::{host::Host, Test};

/// The file in which KCSAN counts.
const FILE: &str = "/sys/kernel/debug/kcsan";

/// How many accesses must have been watched at least. A boot alone has a few hundred.
const LEAST: u64 = 1000;

/// The last test of every suite.
pub const TEST: Test = Test { name: "kcsan_has_looked", run: kcsan_has_looked };

/// Whether this kernel has KCSAN.
pub fn is_available() -> bool {
    Path::new(FILE).exists()
}

/// The parameter that says of how many accesses one is watched, at most.
const SKIP: &str = "/sys/module/kcsan/parameters/skip_watch";

/// Has many more accesses watched as long as it exists, which takes time.
pub struct Often(String);

impl Often {
    /// One of a hundred, instead of 4000: few of all are the driver's.
    pub fn new() -> Result<Self> {
        let before = fs::read_to_string(SKIP).with_context(|| format!("cannot read {SKIP}"))?;
        fs::write(SKIP, "100").with_context(|| format!("cannot write to {SKIP}"))?;
        Ok(Self(before))
    }
}

impl Drop for Often {
    fn drop(&mut self) {
        let _ = fs::write(SKIP, &self.0);
    }
}

fn kcsan_has_looked(host: &mut Host) -> Result<()> {
    let text = fs::read_to_string(FILE).with_context(|| format!("cannot read {FILE}"))?;
    let number = |name: &str| -> Result<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        Ok(line.with_context(|| format!("no {name}:\n{text}"))?.trim().parse()?)
    };
    ensure!(number("enabled")? == 1, "it was disabled:\n{text}");
    let (watched, races) = (number("setup_watchpoints")?, number("data_races")?);
    host.note(format!(
        "{watched} accesses were watched, in {races} data races; if one is the driver's, the run fails"
    ))?;
    ensure!(watched >= LEAST, "only {watched} accesses were watched:\n{text}");
    ensure!(number("no_capacity")? <= watched / 100, "accesses could not be watched:\n{text}");
    Ok(())
}
