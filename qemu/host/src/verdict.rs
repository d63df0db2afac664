// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whether a guest ended as it should, by its exit status and its kernel's log.

use std::path::Path;

use anyhow::{anyhow, Result};

use crate::{interrupt, klog, machine::Died};

/// How many lines of the kernel's log a failure shows.
const TAIL: usize = 30;

/// How a guest is expected to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedEnd<'a> {
    /// By shutting down after its task, with no fault in its kernel's log.
    Clean,
    /// In a kernel panic, with this as the first fault in its kernel's log.
    Panic(&'a str),
}

/// Checks the `end` of a guest, an exit status or an error, against its kernel's `log`, which lies at `path`.
///
/// A fault in the log is a failure, whatever the status. An interruption comes back unchanged.
pub fn check(end: Result<i32>, log: &str, path: &Path, expected: ExpectedEnd<'_>) -> Result<i32> {
    let splats = klog::splats(log);
    let error = match (end, expected) {
        (Err(error), _) if interrupt::is_interruption(&error) => return Err(error),
        (Ok(status), ExpectedEnd::Clean) if splats.is_empty() => return Ok(status),
        (Ok(_), ExpectedEnd::Clean) => {
            let during = klog::test_at_fault(log).map(|test| format!(" during {test}")).unwrap_or_default();
            anyhow!("the guest's kernel reports a fault{during}: {}", splats[0].trim())
        }
        (Ok(_), ExpectedEnd::Panic(_)) => anyhow!("the guest has survived the test that should have ended it"),
        (Err(error), ExpectedEnd::Panic(fault)) if error.is::<Died>() => {
            if splats.first().is_some_and(|first| first.contains(fault)) {
                return Ok(0);
            }
            error.context(format!("the first fault in its kernel's log is not {fault:?}"))
        }
        (Err(error), _) => error,
    };
    let (part, lines) = if splats.is_empty() {
        ("The end of the guest's log", klog::tail(log, TAIL))
    } else {
        ("The first fault in the guest's log", klog::from_fault(log, TAIL))
    };
    Err(anyhow!("{error:#}\n{part}, {}:\n{lines}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::process::ExitStatus;

    use super::*;
    use crate::interrupt::Interrupted;

    const CLEAN: &str = "[ 1.0] map-suite: one\n";
    const FAULT: &str = "[ 1.0] map-suite: one\n[ 1.1] Internal error: synchronous external abort\n";

    fn check_log(end: Result<i32>, log: &str, expected: ExpectedEnd<'_>) -> Result<i32> {
        check(end, log, Path::new("/log"), expected)
    }

    fn died() -> Result<i32> {
        Err(Died(ExitStatus::default()).into())
    }

    #[test]
    fn a_fault_in_the_log_is_a_failure_whatever_the_status() {
        assert_eq!(check_log(Ok(3), CLEAN, ExpectedEnd::Clean).unwrap(), 3);
        let error = check_log(Ok(0), FAULT, ExpectedEnd::Clean).unwrap_err().to_string();
        assert!(error.starts_with("the guest's kernel reports a fault during one: [ 1.1] Internal error"), "{error}");
        assert!(error.contains("The first fault in the guest's log, /log:\n[ 1.1] Internal error"), "{error}");
    }

    #[test]
    fn a_dead_guest_is_a_failure_unless_it_panics_as_expected() {
        let error = check_log(died(), CLEAN, ExpectedEnd::Clean).unwrap_err().to_string();
        assert!(error.ends_with("The end of the guest's log, /log:\n[ 1.0] map-suite: one"), "{error}");
        assert!(check_log(died(), FAULT, ExpectedEnd::Panic("external abort")).is_ok());
        assert!(check_log(died(), FAULT, ExpectedEnd::Panic("BUG:")).is_err());
        assert!(check_log(died(), CLEAN, ExpectedEnd::Panic("external abort")).is_err());
        assert!(check_log(Ok(0), FAULT, ExpectedEnd::Panic("external abort")).is_err());
        assert!(check_log(Err(anyhow!("hung")), FAULT, ExpectedEnd::Panic("external abort")).is_err());
    }

    #[test]
    fn an_interruption_is_neither() {
        for expected in [ExpectedEnd::Clean, ExpectedEnd::Panic("external abort")] {
            let error = check_log(Err(Interrupted { orderly: true }.into()), FAULT, expected).unwrap_err();
            assert!(interrupt::is_interruption(&error));
        }
    }
}
