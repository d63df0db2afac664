// SPDX-License-Identifier: GPL-2.0

//! The state of the loaded driver: windows, mappings, counters, and the limit of the log.
//!
//! Lock order: `mmap_lock`, then [`State::windows`]; the locks of memory hotplug, then
//! [`State::windows`]. So user memory must not be accessed while `windows` is held. `log` and the
//! global `STATE` are leaf locks.

use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        global_lock,
        Arc,
        Mutex, //
    }, //
};

use crate::{
    map_core::{
        LogLimit,
        Refusal, //
    },
    windows::Windows, //
};

/// State shared by all open files, mappings, devices of the device tree and debug files.
#[pin_data]
pub(crate) struct State {
    /// The windows and the mappings.
    #[pin]
    pub(crate) windows: Mutex<Windows>,
    pub(crate) counts: Counts,
    /// The rate limit for refusals in the log.
    #[pin]
    pub(crate) log: Mutex<LogLimit>,
}

impl State {
    /// Creates the state with `windows`.
    pub(crate) fn new(windows: Windows) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                windows <- new_mutex!(windows),
                counts: Counts::new(),
                log <- new_mutex!(LogLimit::new()),
            }),
            GFP_KERNEL,
        )
    }
}

global_lock! {
    // SAFETY: `Published::new()` initializes it before anything uses it.
    unsafe(uninit) static STATE: Mutex<Option<Arc<State>>> = None;
}

/// Returns the state, for callbacks that have no data of their own; `None` while the module is
/// being loaded or unloaded.
pub(crate) fn current() -> Option<Arc<State>> {
    STATE.lock().clone()
}

/// A guard: while it exists, [`current()`] returns the state.
pub(crate) struct Published(());

impl Published {
    /// # Safety
    ///
    /// This may be called only once.
    pub(crate) unsafe fn new(state: Arc<State>) -> Self {
        // SAFETY: By this function's contract the lock is not initialized yet.
        unsafe { STATE.init() };
        *STATE.lock() = Some(state);
        Self(())
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        let state = STATE.lock().take();
        // This may be the last reference, so drop it without the lock.
        drop(state);
    }
}

/// The counters.
pub(crate) struct Counts {
    /// The number of VMAs that are mapped now. fork(2) and a partial munmap(2) add VMAs.
    vmas: Atomic<i64>,
    refusals: [Atomic<u64>; Refusal::ALL.len()],
}

impl Counts {
    fn new() -> Self {
        Self {
            vmas: Atomic::new(0),
            refusals: [const { Atomic::new(0) }; Refusal::ALL.len()],
        }
    }

    /// Counts a new VMA.
    pub(crate) fn vma_opened(&self) {
        self.vmas.add(1, Relaxed);
    }

    /// Counts a VMA that is removed.
    pub(crate) fn vma_closed(&self) {
        self.vmas.add(-1, Relaxed);
    }

    /// Returns the number of VMAs that are mapped now.
    pub(crate) fn vmas(&self) -> i64 {
        self.vmas.load(Relaxed)
    }

    /// Counts a refused call.
    pub(crate) fn refused(&self, reason: Refusal) {
        for (counted, count) in Refusal::ALL.into_iter().zip(&self.refusals) {
            if counted == reason {
                count.add(1, Relaxed);
            }
        }
    }

    /// Returns every reason with the number of calls refused for it.
    pub(crate) fn refusals(&self) -> impl Iterator<Item = (Refusal, u64)> + '_ {
        let counts = self.refusals.iter().map(|count| count.load(Relaxed));
        Refusal::ALL.into_iter().zip(counts)
    }
}
