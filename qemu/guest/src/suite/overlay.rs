// SPDX-License-Identifier: MIT OR Apache-2.0

//! Overlays that are applied to the device tree, and removed, while the driver is loaded. The boot's tree is that of
//! `qemu/kernel/tree-overlay.dtso`, without any window, and the overlays are those of `qemu/kernel/overlay`.

use std::{fs, path::Path};

use anyhow::{bail, ensure, Context, Result};
use map_core::{abi, Origin};
use map_protocol::{overlay, DEVICE, OVERLAY};
use nix::{
    errno::Errno,
    sys::{signal::Signal, wait::WaitStatus},
};

use crate::{
    arch,
    child::{in_child, killed_by, Child},
    dt::{Snapshot, DRIVER},
    host::{Host, LENGTH, PAGE, START},
    kernel::{self, Loaded},
    program::devmap,
    user,
    vma::Vma,
    windows::ask,
};

crate::tests! {
    raw_mode_ends_when_a_device_with_windows_comes,
    raw_mode_ends_for_a_node_of_which_no_device_is_made,
    raw_mode_ends_when_a_node_is_enabled,
    a_disabled_node_leaves_raw_mode,
    a_window_that_comes_late_is_not_of_the_boot,
    a_window_that_is_enabled_late_is_not_of_the_boot,
    an_overlay_that_goes_takes_mappings_along,
    memory_that_an_overlay_sets_aside_is_no_window,
    a_claim_that_goes_with_a_device_is_logged_and_nothing_else_changes,
    overlays_come_and_go_while_a_process_maps,
}

/// The directory of platform devices.
pub const DEVICES: &str = "/sys/bus/platform/devices";

/// The directory of the device tree.
const TREE: &str = "/sys/firmware/devicetree/base";

/// The window of the overlay `late`.
pub const LATE: &str = "late@0xc0000000+0x300000";

/// The window of the overlay `enable`.
const FIFO: &str = "fifo@0xc0400000+0x10000";

/// An address with neither memory nor a device.
const HOLE: u64 = 0xd000_0000;

/// The registers of a clock, which are in no window.
const RTC: u64 = arch::RTC;

/// An overlay that is applied to the device tree; removed when dropped.
pub struct Applied(());

impl Applied {
    /// Applies the overlay of this name to the device tree.
    pub fn new(name: &str) -> Result<Self> {
        let put = kernel::load(OVERLAY, &[&format!("path={}", overlay(name))])?;
        put.with_context(|| format!("applying the overlay {name}"))?;
        Ok(Self(()))
    }

    /// Removes it. Fails if the kernel reports a problem.
    pub fn remove(self) -> Result<()> {
        std::mem::forget(self);
        kernel::unload("overlay")?.context("removing the overlay")?;
        let log = kernel::log_since("map-suite:")?;
        ensure!(!log.contains("is not taken off the device tree"), "the overlay is left:\n{log}");
        Ok(())
    }
}

impl Drop for Applied {
    fn drop(&mut self) {
        // A test that fails may leave it in use; `clean_up` reports that.
        let _ = kernel::unload("overlay");
    }
}

/// All traces that an overlay could leave: nodes, devices, and those of the driver.
fn traces() -> Result<String> {
    let mut traces = kernel::traces()?;
    for directory in [TREE, "/sys/firmware/devicetree/base/reserved-memory", DEVICES] {
        traces += &kernel::listing(directory)?;
    }
    Ok(traces)
}

fn is_raw() -> Result<()> {
    let mode = Snapshot::now()?.mode;
    ensure!(mode == abi::MODE_RAW, "the mode is {mode}");
    Ok(())
}

/// The result of mapping a page at `start` through a node that may have been opened before.
fn map_page(node: &fs::File, start: u64) -> Result<(), Errno> {
    Vma::shared(node, start, PAGE as usize).map(drop)
}

/// The overlay ends raw mode and adds these windows; removing it does not restore raw mode.
fn raw_mode_ends(name: &str, windows: &[&str]) -> Result<()> {
    {
        let _loaded = Loaded::new()?;
        is_raw()?;
        let node = user::open()?;
        let mapped = Vma::shared(&node, RTC, PAGE as usize)?;
        map_page(&node, HOLE)?;

        let overlay = Applied::new(name)?;
        Snapshot::now()?.are(windows)?;
        for start in [RTC, HOLE] {
            let result = map_page(&node, start);
            ensure!(result == Err(Errno::EPERM), "{start:#x}, of an earlier open: {result:?}");
        }
        let info = devmap("info")?;
        ensure!(info.status == Some(0) && info.out.contains("mode           windows"), "{info:?}");
        // Existing mappings stay.
        mapped.load_word(0);

        overlay.remove()?;
        Snapshot::now()?.are(&[])?;
        for start in [START, RTC, HOLE] {
            let result = map_page(&node, start);
            ensure!(result == Err(Errno::EPERM), "{start:#x}, with the overlay removed: {result:?}");
        }
    }
    let _loaded = Loaded::new()?;
    is_raw()?;
    let node = user::open()?;
    map_page(&node, HOLE).context("the driver is loaded anew")
}

fn raw_mode_ends_when_a_device_with_windows_comes(_: &mut Host) -> Result<()> {
    raw_mode_ends("late", &[LATE])
}

fn raw_mode_ends_for_a_node_of_which_no_device_is_made(_: &mut Host) -> Result<()> {
    {
        // The overlay makes such a node.
        let _overlay = Applied::new("no-bus")?;
        ensure!(Path::new(TREE).join("no-bus/windows").exists(), "there is no node");
        for device in fs::read_dir(DEVICES)? {
            let name = device?.file_name();
            ensure!(!name.to_string_lossy().contains("windows"), "there is a device {name:?}");
        }
        // A driver that is loaded now does not get raw mode either.
        let _loaded = Loaded::new()?;
        Snapshot::now()?.are(&[])?;
    }
    raw_mode_ends("no-bus", &[])
}

fn raw_mode_ends_when_a_node_is_enabled(_: &mut Host) -> Result<()> {
    raw_mode_ends("enable", &[FIFO])
}

fn a_disabled_node_leaves_raw_mode(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let node = user::open()?;
    let overlay = Applied::new("no-bus-disabled")?;
    ensure!(Path::new(TREE).join("no-bus/windows").exists(), "there is no node");
    is_raw()?;
    map_page(&node, HOLE).context("with the overlay")?;
    overlay.remove()?;
    is_raw()?;
    map_page(&node, HOLE).context("with the overlay removed")
}

/// Fails unless this is the only window, its memory is reserved, and it is not of the boot's tree.
fn is_late(expected: &str) -> Result<()> {
    let seen = Snapshot::now()?;
    seen.are(&[expected])?;
    let window = seen.windows[0];
    ensure!(window.reserved && window.origin == Origin::Dt, "{window} is {window:?}");
    // The raw flags of the ABI.
    let mut raw = abi::MapWindow::default();
    ask(&user::open()?, abi::IOC_WINDOW, &mut raw)?;
    let flags = raw.flags & (abi::WINDOW_RESERVED | abi::WINDOW_DT | abi::WINDOW_BOOT);
    ensure!(flags == abi::WINDOW_RESERVED | abi::WINDOW_DT, "its flags are {:#x}", raw.flags);
    Ok(())
}

fn a_window_that_comes_late_is_not_of_the_boot(host: &mut Host) -> Result<()> {
    let seed = 95;
    host.fill(seed)?;
    let before = traces()?;
    {
        let _loaded = Loaded::new()?;
        let overlay = Applied::new("late")?;
        ensure!(Path::new(DRIVER).join("windows-late").exists(), "the device is not bound");
        is_late(LATE)?;
        let node = user::open()?;
        let vma = Vma::shared(&node, START, LENGTH as usize)?;
        vma.store(100, 3);
        drop(vma);
        overlay.remove()?;
        Snapshot::now()?.are(&[])?;
        let result = map_page(&node, START);
        ensure!(result == Err(Errno::EPERM), "a window that is gone: {result:?}");
        let iomem = fs::read_to_string("/proc/iomem")?;
        ensure!(!iomem.contains("map: late"), "it is still claimed:\n{iomem}");
    }
    {
        // The driver may also be loaded after the overlay, and unloaded before it.
        let _overlay = Applied::new("late")?;
        let _loaded = Loaded::new()?;
        is_late(LATE)?;
    }
    let after = traces()?;
    kernel::unchanged(&before, &after)?;
    host.changed(seed, &[100..101], |_| 3)
}

fn a_window_that_is_enabled_late_is_not_of_the_boot(_: &mut Host) -> Result<()> {
    let before = traces()?;
    {
        let _loaded = Loaded::new()?;
        let overlay = Applied::new("enable")?;
        is_late(FIFO)?;
        overlay.remove()?;
        Snapshot::now()?.are(&[])?;
    }
    let after = traces()?;
    kernel::unchanged(&before, &after)
}

fn an_overlay_that_goes_takes_mappings_along(host: &mut Host) -> Result<()> {
    let seed = 96;
    host.fill(seed)?;
    let _loaded = Loaded::new()?;
    let claimed = || Ok::<_, anyhow::Error>(fs::read_to_string("/proc/iomem")?.contains("map: late"));
    let overlay = Applied::new("late")?;
    let vma = Vma::shared(&user::open()?, START, LENGTH as usize)?;
    vma.store(100, 3);
    overlay.remove()?;
    ensure!(!claimed()?, "the claim is left");
    killed_by(Signal::SIGBUS, || vma.store(101, 3))?;
    // Although the old mapping is still there, the overlay can be applied again.
    let _overlay = Applied::new("late")?;
    is_late(LATE)?;
    killed_by(Signal::SIGBUS, || vma.load(100))?;
    ensure!(Vma::shared(&user::open()?, START, PAGE as usize)?.load(100) == 3, "what was stored is not there");
    host.changed(seed, &[100..101], |_| 3)
}

fn memory_that_an_overlay_sets_aside_is_no_window(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let _overlay = Applied::new("own")?;
    ensure!(Path::new(TREE).join("reserved-memory/own@c0800000").exists(), "there is no node");
    ensure!(!Path::new(DRIVER).join("windows-own").exists(), "the device is bound");
    Snapshot::now()?.are(&[])?;
    kernel::logged("memory-region: the kernel has reserved no memory for it")?;
    let result = map_page(&user::open()?, 0xc080_0000);
    ensure!(result == Err(Errno::EPERM), "the kernel's memory: {result:?}");
    Ok(())
}

fn a_claim_that_goes_with_a_device_is_logged_and_nothing_else_changes(_: &mut Host) -> Result<()> {
    // The memory of a device whose driver is not there yet.
    let (start, claim) = (0xd100_0000_u64, "d1010000-d101ffff : map: was");
    let parameters = [format!("start={start:#x}"), "size=0x100000".into()];
    let add = || Loaded::module("device", DEVICE, &parameters.each_ref().map(String::as_str));
    let listed = || fs::read_to_string("/proc/iomem").context("/proc/iomem");
    let before = listed()?;
    {
        let _loaded = Loaded::with(&["windows=was@0xd1010000+64K"])?;
        ensure!(listed()?.contains(claim), "there is no claim");
        // The kernel inserts the device around the claim, and takes both away.
        let device = add()?;
        let both = format!("d1000000-d10fffff : device\n  {claim}\n");
        ensure!(listed()?.contains(&both), "the claim is not in the device:\n{}", listed()?);
        drop(device);
        kernel::unchanged(&before, &listed()?)?;
        // What is there afterwards belongs to others.
        let _device = add()?;
        let others = listed()?;
        kernel::rmmod()??;
        kernel::logged("the claim on 0x10000 bytes at 0xd1010000 was removed with the resource around it")?;
        kernel::unchanged(&others, &listed()?)?;
    }
    kernel::unchanged(&before, &listed()?)
}

fn overlays_come_and_go_while_a_process_maps(_: &mut Host) -> Result<()> {
    let before = traces()?;
    {
        let _loaded = Loaded::new()?;
        let node = user::open()?;
        // Ends raw mode, in which the memory could be mapped without a window.
        Applied::new("late")?.remove()?;
        let mut child = Child::spawn(|| {
            let toggled = (0..50).try_for_each(|_| Applied::new("late")?.remove());
            if let Err(error) = &toggled {
                eprintln!("{error:#}");
            }
            i32::from(toggled.is_err())
        })?;
        let (mut mapped, mut refused) = (0, 0);
        while child.is_running().context("the process that applies and removes the overlay")? {
            let status = in_child(|| match Vma::shared(&node, START, LENGTH as usize) {
                Ok(vma) => {
                    vma.store(0, vma.load(LENGTH as usize - 1));
                    0
                }
                Err(errno) => errno as i32,
            })?;
            match status {
                WaitStatus::Exited(_, 0) | WaitStatus::Signaled(_, Signal::SIGBUS, _) => mapped += 1,
                WaitStatus::Exited(_, status) if status == Errno::EPERM as i32 => refused += 1,
                _ => bail!("mmap: {status:?}"),
            }
        }
        ensure!(mapped > 0 && refused > 0, "{mapped} times mapped, {refused} times refused");
        Snapshot::now()?.are(&[])?;
        let overlay = Applied::new("late")?;
        is_late(LATE)?;
        map_page(&node, START).context("at the end")?;
        overlay.remove()?;
    }
    let after = traces()?;
    kernel::unchanged(&before, &after)
}
