// SPDX-License-Identifier: GPL-2.0

//! What the loaded driver knows: which windows there are, and what has been counted.

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

/// What every open file, every mapping, the devices of the device tree and the debug files share.
#[pin_data]
pub(crate) struct State {
    /// Lock order: mmap_lock, then this. So nothing may touch a process's memory while it is held.
    #[pin]
    pub(crate) windows: Mutex<Windows>,
    pub(crate) counts: Counts,
    /// What the log takes of refusals.
    #[pin]
    pub(crate) log: Mutex<LogLimit>,
}

impl State {
    /// Begins with `windows`.
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

/// The state, for those whom the kernel calls without saying of what they are part; `None` while
/// the module comes or goes.
pub(crate) fn current() -> Option<Arc<State>> {
    STATE.lock().clone()
}

/// While this exists, [`current()`] gives the state.
pub(crate) struct Published(());

impl Published {
    /// # Safety
    ///
    /// It may be called only once.
    pub(crate) unsafe fn new(state: Arc<State>) -> Self {
        // SAFETY: By this function's contract it is not initialized yet.
        unsafe { STATE.init() };
        *STATE.lock() = Some(state);
        Self(())
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        let state = STATE.lock().take();
        // Its last reference may be this one, and is not to go under the lock.
        drop(state);
    }
}

/// What is counted.
pub(crate) struct Counts {
    /// The VMAs that are mapped now. A fork or a partial munmap(2) makes more of them.
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

    /// One more VMA is mapped.
    pub(crate) fn vma_opened(&self) {
        self.vmas.add(1, Relaxed);
    }

    /// A VMA is gone.
    pub(crate) fn vma_closed(&self) {
        self.vmas.add(-1, Relaxed);
    }

    /// The VMAs that are mapped now.
    pub(crate) fn vmas(&self) -> i64 {
        self.vmas.load(Relaxed)
    }

    /// One more call was refused.
    pub(crate) fn refused(&self, reason: Refusal) {
        for (counted, count) in Refusal::ALL.into_iter().zip(&self.refusals) {
            if counted == reason {
                count.add(1, Relaxed);
            }
        }
    }

    /// Every reason with the number of calls that were refused for it.
    pub(crate) fn refusals(&self) -> impl Iterator<Item = (Refusal, u64)> + '_ {
        let counts = self.refusals.iter().map(|count| count.load(Relaxed));
        Refusal::ALL.into_iter().zip(counts)
    }
}
