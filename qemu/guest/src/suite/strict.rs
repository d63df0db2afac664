// SPDX-License-Identifier: MIT OR Apache-2.0

//! The driver beside a /dev/mem that refuses claimed regions.

use std::{
    fs::{self, File},
    os::unix::fs::OpenOptionsExt,
};

use anyhow::{ensure, Result};
use map_core::Refusal;
use nix::{errno::Errno, libc};

use crate::{
    host::{Host, START},
    kernel::{self, Loaded},
    refusal::shared_fails,
    user,
    vma::Vma,
    Test,
};

crate::tests! {
    dev_mem_refuses_what_the_driver_has_claimed,
    raw_mode_is_nowhere_looser_than_dev_mem,
    persistent_memory_is_the_kernels,
}

/// Tests for any /dev/mem, strict or not.
pub const RAW: &[Test] =
    &[Test { name: "raw_mode_is_nowhere_looser_than_dev_mem", run: raw_mode_is_nowhere_looser_than_dev_mem }];

/// The error of mapping the page at `address` of /dev/mem, if it fails.
fn error_of_dev_mem(address: u64) -> Result<Option<Errno>> {
    let memory = File::options().read(true).write(true).open("/dev/mem")?;
    Ok(Vma::shared(&memory, address, 4096).err())
}

fn dev_mem_refuses_what_the_driver_has_claimed(_: &mut Host) -> Result<()> {
    let error = error_of_dev_mem(START)?;
    ensure!(error.is_none(), "it is not claimed, but /dev/mem gives {error:?}");
    let loaded = Loaded::with(&[&format!("windows=mine@{START:#x}+4K")])?;
    let error = error_of_dev_mem(START)?;
    ensure!(error == Some(Errno::EPERM), "the driver has claimed it, but /dev/mem gives {error:?}");
    drop(loaded);
    let error = error_of_dev_mem(START)?;
    ensure!(error.is_none(), "the claim is released, but /dev/mem gives {error:?}");
    Ok(())
}

/// The first page of every region that /proc/iomem lists, and the last, with the region's name.
fn pages() -> Result<Vec<(u64, String)>> {
    let regions = kernel::iomem()?.into_iter();
    Ok(regions
        .flat_map(|region| [region.first, region.last].map(|page| (page & !0xfff, region.name.clone())))
        .collect())
}

/// Raw mode refuses whatever /dev/mem refuses, over all that /proc/iomem lists.
fn raw_mode_is_nowhere_looser_than_dev_mem(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let node = user::open()?;
    let memory = File::options().read(true).write(true).custom_flags(libc::O_SYNC).open("/dev/mem")?;
    let (mut both, mut neither) = (0, 0);
    for (page, name) in pages()? {
        let ours = Vma::shared(&node, page, 4096).map(drop);
        let theirs = Vma::shared(&memory, page, 4096).map(drop);
        match (ours, theirs) {
            (Ok(()), Err(errno)) => anyhow::bail!("/dev/mem refuses {page:#x} ({errno}), raw mode does not: {name}"),
            (Ok(()), Ok(())) => both += 1,
            (Err(_), Err(_)) => neither += 1,
            (Err(_), Ok(())) => (),
        }
    }
    ensure!(both >= 2 && neither >= 4, "{both} pages that both map, {neither} that neither does");
    Ok(())
}

fn persistent_memory_is_the_kernels(_: &mut Host) -> Result<()> {
    let list = fs::read_to_string("/proc/iomem")?;
    let line = "c1000000-c11fffff : Persistent Memory (legacy)";
    ensure!(list.lines().any(|found| found.trim() == line), "no line {line:?} in:\n{list}");
    let _loaded = Loaded::new()?;
    let node = user::open()?;
    for page in [0xc100_0000, 0xc11f_f000] {
        shared_fails(&node, page, 4096, Errno::EPERM)?;
    }
    kernel::logged(Refusal::Exclusive.to_string())?;
    Ok(())
}
