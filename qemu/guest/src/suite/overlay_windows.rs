// SPDX-License-Identifier: MIT OR Apache-2.0

//! Overlays that change windows of the boot while the driver is loaded. The boot's tree is that of
//! `qemu/kernel/tree-overlay-windows.dtso`, and the overlays are those of `qemu/kernel/overlay`.
//!
//! A device reads its windows when it is bound, and only then.

use anyhow::{ensure, Result};
use map_core::{
    Origin::{self, BootDt, Dt},
    Window,
};

use crate::{
    dt::{bind, unbind, Snapshot},
    host::Host,
    kernel::Loaded,
    overlay::Applied,
};

crate::tests! {
    an_added_child_is_a_window_from_the_next_bind_on,
    a_disabled_child_is_no_window_from_the_next_bind_on,
    a_window_that_is_moved_is_not_of_the_boot,
    no_window_of_a_node_that_is_changed_is_of_the_boot,
    no_window_onto_memory_that_is_changed_is_of_the_boot,
}

/// A window, whether its memory is reserved, and its origin.
pub type Expected = (&'static str, bool, Origin);

/// The device, as sysfs calls it.
pub const DEVICE: &str = "windows";

pub const FIFO: &str = "fifo@0xc0400000+0x10000";
const TABLE: &str = "table@0xc0500000+0x10000";
/// The window of the overlay `add`.
pub const SPARE: &str = "spare@0xc0600000+0x10000";
/// The window that the overlay `move` moves.
pub const MOVED: &str = "fifo@0xc0600000+0x10000";

/// The windows of the boot.
pub const OF_THE_BOOT: &[Expected] = &[(FIFO, true, BootDt), (TABLE, true, BootDt)];

/// Those that the overlay `disable` leaves.
pub const WITHOUT_TABLE: &[Expected] = &[(FIFO, true, BootDt)];

/// Fails unless the driver has exactly these windows.
pub fn are(expected: &[Expected]) -> Result<()> {
    let seen = Snapshot::now()?;
    let names: Vec<_> = expected.iter().map(|(name, ..)| *name).collect();
    seen.are(&names)?;
    let found: Vec<_> = seen.windows.iter().map(|window| (window.reserved, window.origin)).collect();
    let expected: Vec<_> = expected.iter().map(|(_, reserved, origin)| (*reserved, *origin)).collect();
    let windows: Vec<_> = seen.windows.iter().map(Window::to_string).collect();
    ensure!(found == expected, "whether reserved, and where from: {found:?}, not {expected:?} for {windows:?}");
    Ok(())
}

fn rebind() -> Result<()> {
    unbind(DEVICE)?;
    bind(DEVICE)
}

/// Applying this overlay results in these windows, and removing it in those of the boot, each at the next bind of the
/// device.
fn changes(overlay: &str, windows: &[Expected]) -> Result<()> {
    {
        let _loaded = Loaded::new()?;
        are(OF_THE_BOOT)?;
        let overlay = Applied::new(overlay)?;
        are(OF_THE_BOOT)?;
        rebind()?;
        are(windows)?;
        overlay.remove()?;
        are(windows)?;
        rebind()?;
        are(OF_THE_BOOT)?;
    }
    // A driver that is loaded later sees the same.
    let _overlay = Applied::new(overlay)?;
    let _loaded = Loaded::new()?;
    are(windows)
}

fn an_added_child_is_a_window_from_the_next_bind_on(_: &mut Host) -> Result<()> {
    // The others are unchanged.
    changes("add", &[(FIFO, true, BootDt), (TABLE, true, BootDt), (SPARE, true, Dt)])
}

fn a_disabled_child_is_no_window_from_the_next_bind_on(_: &mut Host) -> Result<()> {
    changes("disable", WITHOUT_TABLE)
}

fn a_window_that_is_moved_is_not_of_the_boot(_: &mut Host) -> Result<()> {
    changes("move", &[(TABLE, true, BootDt), (MOVED, true, Dt)])
}

fn no_window_of_a_node_that_is_changed_is_of_the_boot(_: &mut Host) -> Result<()> {
    changes("touch", &[(FIFO, true, Dt), (TABLE, true, Dt)])
}

fn no_window_onto_memory_that_is_changed_is_of_the_boot(_: &mut Host) -> Result<()> {
    // The kernel read the reservations at boot, and does not know the new one.
    changes("memory", &[(FIFO, false, Dt), (TABLE, true, BootDt)])
}
