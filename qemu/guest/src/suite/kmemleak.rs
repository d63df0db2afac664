// SPDX-License-Identifier: MIT OR Apache-2.0

//! Memory leaks in the kernel, checked at the end of a suite.

use std::{
    fs,
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{ensure, Context, Result};

use crate::{host::Host, Skip, Test};

/// The file in which kmemleak reports leaks.
const FILE: &str = "/sys/kernel/debug/kmemleak";

/// The minimum age of memory that is reported.
const AGE: Duration = Duration::from_secs(5);

/// The last test of every suite.
pub const TEST: Test = Test { name: "kmemleak_finds_nothing", run: kmemleak_finds_nothing };

/// Whether this kernel has kmemleak, and its command line does not switch it off.
pub fn is_available() -> bool {
    let line = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    Path::new(FILE).exists() && !line.split_whitespace().any(|word| word == "kmemleak=off")
}

fn kmemleak_finds_nothing(_: &mut Host) -> Result<()> {
    let lockdown = fs::read_to_string("/sys/kernel/security/lockdown").unwrap_or_default();
    if lockdown.contains("[integrity]") || lockdown.contains("[confidentiality]") {
        return Err(Skip("a kernel that is locked down refuses writes to debugfs".into()).into());
    }
    // A scan only remembers what it finds for the first time, of any age …
    let started = Instant::now();
    scan()?;
    // … and reports what is still there and was old enough when it began.
    sleep(AGE.saturating_sub(started.elapsed()));
    scan()?;
    if !report()?.is_empty() {
        // A pointer may have been in a register, or between two lists.
        sleep(AGE);
        scan()?;
    }
    let report = report()?;
    ensure!(report.is_empty(), "{report}");
    Ok(())
}

fn scan() -> Result<()> {
    fs::write(FILE, "scan").with_context(|| format!("cannot write to {FILE}"))
}

fn report() -> Result<String> {
    let bytes = fs::read(FILE).with_context(|| format!("cannot read {FILE}"))?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}
