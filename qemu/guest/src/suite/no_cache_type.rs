// SPDX-License-Identifier: MIT OR Apache-2.0

//! A processor whose page tables have no cache types: riscv64 without Svpbmt. Every page is as the platform has its
//! address, so the driver promises nothing else.

use anyhow::{ensure, Result};
use map_core::{Refusal, WindowError};
use map_protocol::CacheMode;
use nix::{errno::Errno, sys::mman::MapFlags};

use crate::{
    dt::Snapshot,
    host::{Host, LENGTH, START},
    kernel::{self, Loaded},
    memory::while_spinning,
    program::devmap,
    refusal::shared_fails,
    user,
    vma::{Vma, READ_WRITE},
    windows::check,
};

crate::tests! {
    a_window_whose_type_cannot_be_had_is_not_added,
    raw_mode_maps_nothing_for_it_would_not_be_uncached,
    a_cached_window_is_mapped_as_the_platform_has_it,
}

fn a_window_whose_type_cannot_be_had_is_not_added(_: &mut Host) -> Result<()> {
    for (option, text) in [("", ""), (":uc", ""), (":wc", ":wc")] {
        let result = kernel::insmod(&[&format!("windows=sdram@0xc0000000+3M{option}")])?;
        ensure!(result == Err(Errno::EINVAL), "{option}: {result:?}");
        kernel::logged(format!("windows: sdram@0xc0000000+0x300000{text}: {}", WindowError::CacheType))?;
    }
    // Nothing is left of it.
    ensure!(!kernel::iomem()?.iter().any(|region| region.name.contains("map:")), "its memory is claimed");
    Ok(())
}

fn raw_mode_maps_nothing_for_it_would_not_be_uncached(host: &mut Host) -> Result<()> {
    host.fill(171)?;
    let _loaded = Loaded::new()?;
    let node = user::open()?;
    let verdict = check(&node, START, LENGTH, READ_WRITE, MapFlags::MAP_SHARED)?;
    ensure!(verdict.verdict == Refusal::CacheType.code(), "{verdict:x?}");
    shared_fails(&node, START, LENGTH as usize, Errno::EINVAL)?;
    kernel::logged(format!("bytes at {START:#x} refused: {}", Refusal::CacheType))?;
    devmap("write 0xc0000000 1")?.failed(3, &["(EINVAL): this machine cannot map the memory with this cache type"])?;
    host.changed(171, &[], |_| 0)
}

fn a_cached_window_is_mapped_as_the_platform_has_it(host: &mut Host) -> Result<()> {
    let seed = 172;
    host.fill(seed)?;
    let _loaded = Loaded::with(&["windows=sdram@0xc0000000+3M:cached"])?;
    Snapshot::now()?.are(&["sdram@0xc0000000+0x300000:cached"])?;
    let vma = Vma::shared(&user::open()?, START, LENGTH as usize)?;
    vma.store(100, 3);
    // No bit of the entry asks for anything else.
    let page = while_spinning(|| _ = vma.load(100), || host.page(vma.address()))?;
    ensure!((page.physical, &page.cache) == (START, &CacheMode::Cached), "{page:x?}");
    host.changed(seed, &[100..101], |_| 3)
}
