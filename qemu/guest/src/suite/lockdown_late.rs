// SPDX-License-Identifier: MIT OR Apache-2.0

//! A kernel that is locked down while the driver is loaded.

use std::{fs, os::unix::fs::FileExt};

use anyhow::{ensure, Result};
use map_core::Refusal;
use map_protocol::pattern;
use nix::{errno::Errno, sys::mman::MapFlags};

use crate::{
    errno,
    host::{Host, START},
    kernel::{self, Loaded},
    refusal::shared_fails,
    user,
    vma::{Vma, READ_WRITE},
    windows::check,
};

crate::tests! {
    a_lockdown_ends_the_mapping_of_windows,
}

/// A lockdown cannot be undone, so this is the only test.
fn a_lockdown_ends_the_mapping_of_windows(host: &mut Host) -> Result<()> {
    let seed = 83;
    host.fill(seed)?;
    let _loaded = Loaded::with(&["windows=sdram@0xc0000000+1M"])?;
    let node = user::open()?;
    let vma = Vma::shared(&node, START, 4096)?;
    let own = user::open_window(1)?;
    let mut bytes = [0; 8];
    own.read_exact_at(&mut bytes, 0)?;
    fs::write("/sys/kernel/security/lockdown", "integrity")?;
    let verdict = check(&node, START, 4096, READ_WRITE, MapFlags::MAP_SHARED)?;
    ensure!(verdict.verdict == Refusal::LockedDown.code(), "{verdict:x?}");
    shared_fails(&node, START, 4096, Errno::EPERM)?;
    kernel::logged(Refusal::LockedDown.to_string())?;
    ensure!(errno::result(own.read_at(&mut bytes, 0)) == Err(Errno::EPERM), "read(2)");
    ensure!(errno::result(own.write_at(&bytes, 0)) == Err(Errno::EPERM), "write(2)");
    // Existing mappings stay.
    ensure!(vma.load(7) == pattern::byte(seed, START + 7), "it shows something else");
    host.changed(seed, &[], |_| 0)
}
