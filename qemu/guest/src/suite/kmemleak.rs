// SPDX-License-Identifier: MIT OR Apache-2.0

//! Memory that nothing in the kernel points at any more, at the end of a suite.

use std::{fs, path::Path, thread::sleep, time::Duration};

use anyhow::{ensure, Context, Result};

use crate::{host::Host, Skip, Test};

/// Where a kernel that looks for such memory reports it.
const FILE: &str = "/sys/kernel/debug/kmemleak";

/// What is younger than this is not reported.
const AGE: Duration = Duration::from_secs(5);

/// The test that comes last.
pub const TEST: Test = Test { name: "kmemleak_finds_nothing", run: kmemleak_finds_nothing };

/// Whether this kernel looks for such memory.
pub fn can_be_asked() -> bool {
    Path::new(FILE).exists()
}

fn kmemleak_finds_nothing(_: &mut Host) -> Result<()> {
    let lockdown = fs::read_to_string("/sys/kernel/security/lockdown").unwrap_or_default();
    if lockdown.contains("[integrity]") || lockdown.contains("[confidentiality]") {
        return Err(Skip("a kernel that is locked down lets nobody write to debugfs".into()).into());
    }
    sleep(AGE);
    // What the first scan sees for the first time it only remembers.
    scan()?;
    scan()?;
    if !report()?.is_empty() {
        // A pointer may have been in a register, or on its way from one list to another.
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
