// SPDX-License-Identifier: MIT OR Apache-2.0

//! The driver on a kernel that was booted with `lockdown=integrity`.

use std::fs;

use anyhow::{ensure, Context, Result};
use map_core::{abi, Refusal};
use nix::errno::Errno;

use crate::{
    area::Area,
    host::{Host, LENGTH, START},
    kernel::{self, Loaded},
    user,
};

crate::tests! {
    the_kernel_is_locked_down,
    raw_mode_does_not_open,
    a_window_in_reserved_memory_is_mapped,
    a_window_elsewhere_is_not_loaded,
}

fn the_kernel_is_locked_down(_: &mut Host) -> Result<()> {
    let state = fs::read_to_string("/sys/kernel/security/lockdown")?;
    ensure!(state.contains("[integrity]"), "lockdown is {state}");
    let mem = fs::File::open("/dev/mem").err().and_then(|error| error.raw_os_error());
    ensure!(mem == Some(Errno::EPERM as i32), "opening /dev/mem: {mem:?}");
    Ok(())
}

fn raw_mode_does_not_open(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let errno = user::open_error();
    ensure!(errno == Some(Errno::EPERM), "opening /dev/map: {errno:?}");
    let log = kernel::log_since("map-suite:")?;
    let words = Refusal::LockedDown.to_string();
    ensure!(log.contains(&words), "the log does not say {words:?}: {log}");
    Ok(())
}

fn a_window_in_reserved_memory_is_mapped(host: &mut Host) -> Result<()> {
    let seed = 80;
    host.fill(seed)?;
    let _loaded = Loaded::with(&["windows=sdram@0xc0000000+3M"])?;
    let node = user::open()?;
    let area = Area::shared(&node, START, LENGTH as usize)?;
    area.store(100, 3);
    host.changed(seed, &[100..101], |_| 3)?;
    let mut window = abi::MapWindow::default();
    crate::windows::ask(&node, abi::IOC_WINDOW, &mut window)?;
    ensure!(window.flags & abi::WINDOW_RESERVED != 0, "the window is not reserved: {window:x?}");
    Ok(())
}

fn a_window_elsewhere_is_not_loaded(_: &mut Host) -> Result<()> {
    let before = kernel::traces()?;
    // A hole; memory that is reserved in part.
    for list in ["windows=0xd0000000+4K", "windows=ok@0xc0000000+4K,0xd0000000+4K"] {
        let result = kernel::insmod(&[list])?;
        ensure!(result == Err(Errno::EPERM), "insmod map.ko {list}: {result:?}");
        let log = kernel::log_since("map-suite:")?;
        let words = format!("0xd0000000+0x1000: {}", Refusal::LockedDown);
        ensure!(log.contains(&words), "the log does not say {words:?}: {log}");
    }
    let after = kernel::traces().context("after the refused loads")?;
    ensure!(before == after, "before:\n{before}\nafter:\n{after}");
    Ok(())
}
