// SPDX-License-Identifier: MIT OR Apache-2.0

//! What only x86_64 has: a list of the memory types by address, which the kernel keeps consistent.

use std::{
    fs::{self, File},
    os::unix::fs::OpenOptionsExt,
};

use anyhow::{ensure, Context, Result};
use nix::{
    errno::Errno,
    libc,
    sys::mman::{MapFlags, ProtFlags},
};

use crate::{
    area::Area,
    host::{Host, LENGTH, START},
    kernel::Loaded,
    user,
    windows::{MIB, THREE},
    Test,
};

/// A page that somebody in the kernel has claimed: the ROM of the PC's video card.
pub const CLAIMED: u64 = 0xc0000;

/// Tests of the driver as it is loaded without parameters.
pub const RAW: &[Test] =
    &[Test { name: "the_kernel_lists_the_range_as_uncached", run: the_kernel_lists_the_range_as_uncached }];

/// Tests of the driver with windows.
pub const WINDOWS: &[Test] = &[
    Test { name: "the_kernel_lists_every_cache_type", run: the_kernel_lists_every_cache_type },
    Test { name: "another_cache_type_elsewhere_is_eagain", run: another_cache_type_elsewhere_is_eagain },
];

/// The kernel's list of memory types.
const LIST: &str = "/sys/kernel/debug/x86/pat_memtype_list";

fn the_kernel_lists_the_range_as_uncached(_: &mut Host) -> Result<()> {
    let expected = format!("[mem {START:#018x}-{:#018x}] uncached-minus", START + LENGTH);
    let lists = |list: &str| list.lines().any(|line| line.ends_with(&expected));
    let _loaded = Loaded::new()?;
    ensure!(!lists(&fs::read_to_string(LIST)?), "it is in the list before it is mapped");
    let memory = user::map()?;
    let list = fs::read_to_string(LIST)?;
    ensure!(lists(&list), "{LIST} does not say {expected}:\n{list}");
    drop(memory);
    ensure!(!lists(&fs::read_to_string(LIST)?), "it is still in the list after munmap(2)");
    Ok(())
}

fn the_kernel_lists_every_cache_type(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&[THREE])?;
    let node = user::open()?;
    for (index, kind) in (0..).zip(["uncached-minus", "write-combining", "write-back"]) {
        let start = START + index * MIB;
        let _area = Area::map(&node, start, MIB as usize, ProtFlags::PROT_READ, MapFlags::MAP_SHARED)?;
        let line = format!("[mem {start:#018x}-{:#018x}] {kind}", start + MIB);
        let list = fs::read_to_string(LIST)?;
        ensure!(list.lines().any(|found| found.ends_with(&line)), "the list does not say {line}:\n{list}");
    }
    Ok(())
}

fn another_cache_type_elsewhere_is_eagain(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&[&THREE.replace(":ro", "")])?;
    let node = user::open()?;
    // The windows are claimed, and yet /dev/mem maps them: uncached with O_SYNC, cached without.
    for (flags, granted) in [(libc::O_SYNC, [true, false, false]), (0, [false, false, true])] {
        let mem = File::options().read(true).write(true).custom_flags(flags).open("/dev/mem")?;
        let _other = Area::shared(&mem, START, LENGTH as usize)?;
        for (index, granted) in (0..).zip(granted) {
            let result = Area::shared(&node, START + index * MIB, MIB as usize).map(drop);
            let expected = if granted { Ok(()) } else { Err(Errno::EAGAIN) };
            ensure!(result == expected, "window {index} beside /dev/mem with flags {flags:o}: {result:?}");
        }
    }
    // Nothing of the refused mappings is left.
    for index in 0..3 {
        Area::shared(&node, START + index * MIB, MIB as usize).with_context(|| format!("window {index} alone"))?;
    }
    Ok(())
}
