// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tests for machines with a device tree, whose kernel tracks no cache types. The module of the architecture names
//! those that it has.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::{ensure, Context, Result};
use map_protocol::{pattern, CacheMode};
use nix::{
    libc,
    sys::mman::{MapFlags, ProtFlags},
};

use crate::{
    host::{Host, LENGTH, PAGE, START},
    kernel::{self, Loaded},
    memory::while_spinning,
    program::{devmap, Running},
    user,
    vma::Vma,
    windows::{MIB, THREE},
    Skip, Test,
};

/// For the driver with windows.
pub const ANOTHER_CACHE_TYPE: Test =
    Test { name: "another_cache_type_elsewhere_changes_nothing", run: another_cache_type_elsewhere_changes_nothing };

/// For the command line.
pub const UIO_DEVICE: Test = Test { name: "a_uio_device_is_read_and_written", run: a_uio_device_is_read_and_written };

fn another_cache_type_elsewhere_changes_nothing(host: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&[&THREE.replace(":ro", "")])?;
    let node = user::open()?;
    for flags in [libc::O_SYNC, 0] {
        let mem = File::options().read(true).write(true).custom_flags(flags).open("/dev/mem")?;
        let other = Vma::map(&mem, START, LENGTH as usize, ProtFlags::PROT_READ, MapFlags::MAP_SHARED)?;
        other.load(0);
        for (index, cache) in (0..).zip([CacheMode::Uncached, CacheMode::WriteCombine, CacheMode::Cached]) {
            let vma = Vma::shared(&node, START + index * MIB, MIB as usize)?;
            let page = while_spinning(|| _ = vma.load(0), || host.page(vma.address()))?;
            ensure!(page.cache == cache, "beside /dev/mem with flags {flags:o}: {page:x?}");
        }
    }
    Ok(())
}

fn a_uio_device_is_read_and_written(host: &mut Host) -> Result<()> {
    let seed = 140;
    host.fill(seed)?;
    if !Path::new("/sys/class/uio/uio0").exists() {
        ensure!(kernel::is_stock(), "there is no UIO device");
        return Err(Skip("this kernel has no uio_pdrv_genirq".into()).into());
    }
    // The device tree describes it: the last megabyte of the free memory. Our driver is not loaded.
    let name = fs::read_to_string("/sys/class/uio/uio0/maps/map0/addr")?;
    // It has as many digits as a physical address.
    ensure!(["0x00000000c0200000", "0xc0200000"].contains(&name.trim()), "/dev/uio0 is at {name:?}");
    let at = START + 2 * MIB;
    let word = |address| u32::from_ne_bytes([0, 1, 2, 3].map(|byte| pattern::byte(seed, address + byte)));
    for offset in [0, 0x1004, MIB - 4] {
        let address = at + offset;
        let read = devmap(&format!("read {address:#x} --device /dev/uio0"))?;
        read.printed(&format!("{address:#x}: {:#010x}\n", word(address)))?;
        devmap(&format!("write {address:#x} {:#x} --device /dev/uio0", !word(address)))?.printed("")?;
    }
    for outside in [at - 4, at + MIB] {
        devmap(&format!("read {outside:#x} --device /dev/uio0"))?.failed(3, &[&format!("{outside:#x}")])?;
    }
    // The registers of the second map begin within a page, which UIO maps as a whole.
    let block = START + MIB + 0x400;
    let attribute = |name: &str| fs::read_to_string(format!("/sys/class/uio/uio0/maps/map1/{name}"));
    ensure!(attribute("offset")?.trim() == "0x400", "the second map begins at {:?}", attribute("offset")?);
    devmap("read -q uio0/1+0x10")?.printed(&format!("{:#010x}\n", word(block + 0x10)))?;
    // All are called as the device.
    let name = attribute("name")?;
    devmap(&format!("read uio0/{}+0x10", name.trim()))?.failed(2, &["uio0 has 3 maps", "give the number of one"])?;
    devmap("read uio0/1+0xfc -q")?.printed(&format!("{:#010x}\n", word(block + 0xfc)))?;
    devmap(&format!("write uio0/1+0x10={:#x}", !word(block + 0x10)))?.printed("")?;
    // The third is on the page of the second, but UIO maps it by another offset, which is its number.
    let third = START + MIB + 0x800;
    let mut watch = Running::new("watch uio0/2+0x10")?;
    let mut line = String::new();
    // It ends when nobody reads any more.
    let mut output = BufReader::new(watch.0.stdout.take().context("no stdout")?);
    output.read_line(&mut line)?;
    ensure!(line == format!("uio0/2+0x00000010: {:#010x}\n", word(third + 0x10)), "it printed {line:?}");
    let maps = fs::read_to_string(format!("/proc/{}/maps", watch.0.id()))?;
    let mapped = maps.lines().find(|line| line.ends_with("/dev/uio0")).context("it is not mapped")?;
    let offset = mapped.split_whitespace().nth(2).context("no offset")?;
    ensure!(u64::from_str_radix(offset, 16)? == 2 * PAGE, "it has mapped {mapped}");
    drop((watch, output));
    devmap("read uio0/regs+4")?.failed(2, &["uio0 has no map regs: its maps are 0 (", "1 ("])?;
    let stored = [2 * MIB, 2 * MIB + 0x1004, 3 * MIB - 4, MIB + 0x410].map(|offset| offset..offset + 4);
    host.changed(seed, &stored, |offset| !pattern::byte(seed, START + offset))
}
