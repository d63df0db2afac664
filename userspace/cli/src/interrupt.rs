// SPDX-License-Identifier: MIT OR Apache-2.0

//! The request of a signal to end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// A flag that is set once a signal has asked the command to end.
#[derive(Clone, Debug)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on the first signal is a request, and the second ends the process.
    pub fn on_signals() -> Self {
        static INTERRUPT: LazyLock<Interrupt> = LazyLock::new(|| {
            let requested = Arc::new(AtomicBool::new(false));
            for signal in [SIGINT, SIGTERM] {
                flag::register_conditional_shutdown(signal, 130, Arc::clone(&requested))
                    .and_then(|_| flag::register(signal, Arc::clone(&requested)))
                    .expect("every process may handle these signals");
            }
            Interrupt(requested)
        });
        INTERRUPT.clone()
    }

    /// Whether a signal has asked for the end.
    pub fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
