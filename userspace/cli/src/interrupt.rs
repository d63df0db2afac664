// SPDX-License-Identifier: MIT OR Apache-2.0

//! The request of a signal to end.

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::sigbus;

/// How long it sleeps at most before it looks for a signal.
pub const NAP: Duration = Duration::from_millis(20);

/// A flag that is set once a signal has asked the command to end.
#[derive(Clone, Debug)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on the first signal is a request, and the second ends the process.
    pub fn on_signals() -> Self {
        static INTERRUPT: LazyLock<Interrupt> = LazyLock::new(|| {
            let interrupt = Interrupt(Arc::default());
            interrupt.also_on(&[SIGINT, SIGTERM]);
            interrupt
        });
        INTERRUPT.clone()
    }

    /// From now on these signals, too, are such requests.
    pub fn also_on(&self, signals: &[c_int]) {
        for &signal in signals {
            sigbus::end_if(Arc::clone(&self.0), signal)
                .and_then(|()| flag::register(signal, Arc::clone(&self.0)))
                .expect("every process may handle these signals");
        }
    }

    /// Sleeps until `end`. False if a signal has asked for the end before that.
    pub fn sleep_until(&self, end: Instant) -> bool {
        while !self.requested() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            thread::sleep(left.min(NAP));
        }
        false
    }

    /// Whether a signal has asked for the end.
    pub fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
