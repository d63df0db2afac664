// SPDX-License-Identifier: MIT OR Apache-2.0

//! The driver for long, and in bad company: loads and unloads while it is used, programs that are killed, interrupted
//! and out of memory, more mappings than anybody makes, and a machine that sleeps. Each test says how much it did, and
//! fails if that was too little to show anything.

mod calls;
mod counts;
mod kills;
mod loads;
mod mappings;
mod pressure;
mod signals;
mod suspend;
mod uevents;
mod witness;

use anyhow::{Context, Result};
use map_protocol::{Fuzz, FUZZ};

use crate::Test;

/// What takes minutes.
pub const LONG: &[Test] = &[
    Test {
        name: "a_thousand_programs_are_killed_and_leave_nothing",
        run: kills::a_thousand_programs_are_killed_and_leave_nothing,
    },
    Test {
        name: "ten_thousand_mappings_are_counted_and_taken_away",
        run: mappings::ten_thousand_mappings_are_counted_and_taken_away,
    },
    Test {
        name: "ten_thousand_mappings_of_four_programs_are_taken_away",
        run: mappings::ten_thousand_mappings_of_four_programs_are_taken_away,
    },
    Test { name: "thousands_of_signals_change_no_call", run: signals::thousands_of_signals_change_no_call },
];

/// A little of it, and a machine that sleeps.
pub const SHORT: &[Test] = &[
    Test { name: "programs_that_are_killed_leave_nothing", run: kills::programs_that_are_killed_leave_nothing },
    Test { name: "signals_change_no_call", run: signals::signals_change_no_call },
    Test { name: "mappings_outlive_a_suspend_to_idle", run: suspend::mappings_outlive_a_suspend_to_idle },
];

/// Modules that come and go.
pub const LOADS: &[Test] =
    &[Test { name: "modules_come_and_go_under_load", run: loads::modules_come_and_go_under_load }];

/// No memory left, for a guest of its own.
pub const PRESSURE: &[Test] =
    &[Test { name: "the_driver_outlives_the_oom_killer", run: pressure::the_driver_outlives_the_oom_killer }];

/// What the options say: the seed of what is random, and for how long modules come and go.
fn options() -> Result<Fuzz> {
    match std::env::var(FUZZ) {
        Ok(text) => serde_json::from_str(&text).with_context(|| format!("{FUZZ} is {text:?}")),
        Err(_) => Ok(Fuzz::default()),
    }
}

fn seed() -> Result<u64> {
    Ok(options()?.seed)
}
