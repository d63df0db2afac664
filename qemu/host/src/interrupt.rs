// SPDX-License-Identifier: MIT OR Apache-2.0

//! Ctrl-C and similar signals request an orderly end: they set a flag, which every wait checks.

use std::{
    fmt, fs, io,
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc, LazyLock,
    },
};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

static ASKED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// The user or the system asked the program to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted {
    /// Whether all children ended by themselves. A child that was killed may have left half a file.
    pub orderly: bool,
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// Makes SIGINT, SIGTERM and SIGHUP set the flag.
///
/// A signal that is ignored stays ignored: `nohup` relies on that.
pub fn install() -> io::Result<()> {
    let ignored = ignored_signals();
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        if ignored & (1 << (signal - 1)) == 0 {
            signal_hook::flag::register(signal, Arc::clone(&ASKED))?;
        }
    }
    Ok(())
}

/// Whether one of the signals has arrived.
pub fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}

/// Fails once one of the signals has arrived.
pub fn check() -> Result<(), Interrupted> {
    if asked() {
        Err(Interrupted { orderly: true })
    } else {
        Ok(())
    }
}

/// Whether the cause of this error is an interruption, which needs no explanation.
pub fn is_interruption(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.is::<Interrupted>())
}

/// The mask of the signals that this process ignores.
fn ignored_signals() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interruption_is_found_below_its_context() {
        let plain = anyhow::anyhow!("something else");
        assert!(!is_interruption(&plain));
        let wrapped = anyhow::Error::new(Interrupted { orderly: true }).context("unpacking").context("setting up");
        assert!(is_interruption(&wrapped));
    }
}
