// SPDX-License-Identifier: GPL-2.0

//! What the loaded driver knows: which windows there are, and what has been counted.

use kernel::{
    fmt,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    }, //
};

use crate::{
    claim::Claim,
    list::List,
    map_core::{
        Mode,
        Refusal,
        Window, //
    },
    windows, //
};

/// What every open file, every mapping and the debug files share. Only the counts ever change.
pub(crate) struct State {
    pub(crate) mode: Mode<List<Window>>,
    pub(crate) counts: Counts,
    _claims: List<Option<Claim>>,
}

impl State {
    /// Reads the parameter `windows` and claims what it lists.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let mode = windows::from_parameter()?;
        let claims = windows::claim(mode.windows())?;
        let state = Self {
            mode,
            counts: Counts::new(),
            _claims: claims,
        };
        Ok(Arc::new(state, GFP_KERNEL)?)
    }

    /// Which mode the driver is in, in a word.
    pub(crate) fn mode_name(&self) -> &'static str {
        match self.mode {
            Mode::Raw => "raw",
            Mode::Windows(_) => "windows",
        }
    }
}

/// What is counted.
pub(crate) struct Counts {
    /// The areas of address spaces that are mapped now. A fork or a partial munmap(2) makes more of them.
    areas: Atomic<i64>,
    refusals: [Atomic<u64>; Refusal::ALL.len()],
}

impl Counts {
    fn new() -> Self {
        Self {
            areas: Atomic::new(0),
            refusals: [const { Atomic::new(0) }; Refusal::ALL.len()],
        }
    }

    /// One more area is mapped.
    pub(crate) fn area_opened(&self) {
        self.areas.add(1, Relaxed);
    }

    /// An area is gone.
    pub(crate) fn area_closed(&self) {
        self.areas.add(-1, Relaxed);
    }

    /// The areas that are mapped now.
    pub(crate) fn areas(&self) -> i64 {
        self.areas.load(Relaxed)
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

/// A value of `map_core` for the kernel's printing macros, whose `Display` is a trait of their own.
pub(crate) struct Shown<T>(pub(crate) T);

impl<T: core::fmt::Display> fmt::Display for Shown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        core::fmt::Display::fmt(&self.0, f)
    }
}
