// SPDX-License-Identifier: MIT OR Apache-2.0

//! Overlays that are applied to the device tree, and removed, on a kernel that was booted with `lockdown=integrity`.
//! The boot's tree is that of `qemu/kernel/tree-overlay-windows.dtso`, and the overlays are those of
//! `qemu/kernel/overlay`.

use std::{fs, path::Path};

use anyhow::{ensure, Context, Result};
use map_core::WindowError;
use nix::errno::Errno;

use crate::{
    dt::{bind, sysfs, unbind, Snapshot, DRIVER},
    host::{Host, PAGE, START},
    kernel::{self, Loaded},
    overlay::{Applied, DEVICES, LATE},
    overlay_windows::{are, DEVICE, FIFO, MOVED, OF_THE_BOOT, SPARE, WITHOUT_TABLE},
    user,
    vma::Vma,
};

crate::tests! {
    a_window_that_comes_late_is_refused,
    a_device_that_is_changed_is_refused_at_the_next_bind,
    a_device_that_loses_a_window_keeps_the_others,
}

/// The first address of the boot's window `fifo`.
const START_OF_FIFO: u64 = 0xc040_0000;

/// Fails unless the windows of the boot exist and can be mapped.
fn the_boots_windows_are_there() -> Result<()> {
    are(OF_THE_BOOT)?;
    Vma::shared(&user::open()?, START_OF_FIFO, PAGE as usize).map(drop).context("a window of the boot")
}

/// Fails unless the log since `marker` reports that lockdown forbids this window of the device (or any, if empty).
fn refused(device: &str, window: &str, marker: &str) -> Result<()> {
    let log = kernel::log_since(marker)?;
    let words = format!(": {}", WindowError::LockedDown);
    let is_it = |line: &str| {
        let rest = line.split_once(&format!("map {device}: ")).map(|(_, rest)| rest);
        rest.and_then(|rest| rest.strip_suffix(&words)).is_some_and(|named| window.is_empty() || named == window)
    };
    ensure!(log.lines().any(is_it), "the log does not say of {window:?} of {device}{words}:\n{log}");
    Ok(())
}

fn a_window_that_comes_late_is_refused(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let overlay = Applied::new("late")?;
    ensure!(Path::new(DEVICES).join("windows-late").exists(), "there is no device");
    ensure!(!Path::new(DRIVER).join("windows-late").exists(), "the device is bound");
    refused("windows-late", LATE, "map-suite:")?;
    the_boots_windows_are_there()?;
    let again = sysfs("bind", "windows-late");
    ensure!(again == Err(Errno::EPERM), "binding it: {again:?}");
    let result = Vma::shared(&user::open()?, START, PAGE as usize).map(drop);
    ensure!(result == Err(Errno::EPERM), "its memory: {result:?}");
    overlay.remove()?;
    the_boots_windows_are_there()
}

fn a_device_that_is_changed_is_refused_at_the_next_bind(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    for (name, window) in [("add", SPARE), ("move", MOVED), ("memory", FIFO), ("touch", "")] {
        fs::write("/dev/kmsg", format!("<6>map-suite: {name}\n"))?;
        let overlay = Applied::new(name)?;
        // They were read before the overlay.
        the_boots_windows_are_there()?;
        unbind(DEVICE)?;
        let bound = sysfs("bind", DEVICE);
        ensure!(bound == Err(Errno::EPERM), "binding the device with {name}: {bound:?}");
        refused(DEVICE, window, &format!("map-suite: {name}"))?;
        Snapshot::now()?.are(&[])?;
        for start in [START_OF_FIFO, 0xc060_0000] {
            let result = Vma::shared(&user::open()?, start, PAGE as usize).map(drop);
            ensure!(result == Err(Errno::EPERM), "{start:#x} with {name}: {result:?}");
        }
        // Removing the overlay undoes the change.
        overlay.remove()?;
        bind(DEVICE)?;
        the_boots_windows_are_there()?;
    }
    Ok(())
}

fn a_device_that_loses_a_window_keeps_the_others(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let overlay = Applied::new("disable")?;
    the_boots_windows_are_there()?;
    unbind(DEVICE)?;
    bind(DEVICE)?;
    are(WITHOUT_TABLE)?;
    overlay.remove()?;
    unbind(DEVICE)?;
    bind(DEVICE)?;
    the_boots_windows_are_there()
}
