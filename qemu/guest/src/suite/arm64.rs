// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tests for arm64 alone: Device memory forbids unaligned accesses, and the kernel tracks no cache types.

use std::{
    arch::asm,
    fs::{self, File},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use anyhow::{ensure, Context, Result};
use map_protocol::{pattern, CacheMode};
use nix::{
    libc,
    sys::{
        mman::{MapFlags, ProtFlags},
        signal::Signal,
    },
};

use crate::{
    bulk::Maintenance,
    child::{killed_by, succeeds_in_child},
    host::{Host, LENGTH, START},
    kernel::{self, Loaded},
    memory::while_spinning,
    program::devmap,
    user,
    vma::Vma,
    windows::{MIB, THREE},
    Skip, Test,
};

/// A page that a driver of the kernel has claimed: the registers of the first serial port.
pub const CLAIMED: u64 = 0x0900_0000;

/// The code of a function that only returns.
pub const RETURN: [u8; 4] = [0xc0, 0x03, 0x5f, 0xd6];

/// Whether the free memory counts as reserved. Here the device tree reserves it.
pub const RESERVED: bool = true;

/// An address without a device, in the PCI bus's window: stores are lost, and every load gives this byte.
pub const VACANT: u64 = 0x1000_0000;
pub const VACANT_BYTE: u8 = 0xff;

/// More bytes than the address space of a process.
pub const ADDRESS_SPACE: u64 = 1 << 49;

/// The number of bits of a physical address: that of the guest's Cortex-A72, which no program can query.
pub fn address_bits() -> Result<u32> {
    Ok(44)
}

/// The size of a cache line in bytes: that of the processors that QEMU has.
pub fn cache_line() -> Result<usize> {
    Ok(64)
}

/// What the instruction is that these registers point to, if it is one for caches: `dc cvac`, `dc civac` or `dsb sy`.
/// `read` gives the bytes at an address.
pub fn maintenance(
    registers: &libc::user_regs_struct,
    read: impl Fn(u64) -> Result<[u8; 8]>,
) -> Result<Option<Maintenance>> {
    let [a, b, c, d, ..] = read(registers.pc)?;
    let instruction = u32::from_le_bytes([a, b, c, d]);
    // Register 31 is no address, but zero.
    let line = || registers.regs.get((instruction & 0x1f) as usize).copied().unwrap_or(0);
    Ok(match instruction & !0x1f {
        0xd50b_7a20 => Some(Maintenance::Clean(line())),
        0xd50b_7e20 => Some(Maintenance::CleanInvalidate(line())),
        _ if instruction == 0xd503_3f9f => Some(Maintenance::Barrier),
        _ => None,
    })
}

/// Tests of the driver without parameters.
pub const RAW: &[Test] =
    &[Test { name: "memcpy_on_uncached_memory_is_sigbus", run: memcpy_on_uncached_memory_is_sigbus }];

/// Tests of the driver with windows.
pub const WINDOWS: &[Test] = &[
    Test {
        name: "an_unaligned_access_is_sigbus_on_uncached_memory_alone",
        run: an_unaligned_access_is_sigbus_on_uncached_memory_alone,
    },
    Test { name: "another_cache_type_elsewhere_changes_nothing", run: another_cache_type_elsewhere_changes_nothing },
];

/// Tests of the command line.
pub const DEVMAP: &[Test] = &[Test { name: "a_uio_device_is_read_and_written", run: a_uio_device_is_read_and_written }];

/// One store of four bytes, at any alignment.
fn store_four(address: usize) {
    // SAFETY: the address lies in a mapping without references; a fault ends the process, as the caller expects.
    unsafe { asm!("str {value:w}, [{address}]", value = in(reg) 3, address = in(reg) address) };
}

fn an_unaligned_access_is_sigbus_on_uncached_memory_alone(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&[&THREE.replace(":ro", "")])?;
    let node = user::open()?;
    for (index, faults) in (0..).zip([true, false, false]) {
        let vma = Vma::shared(&node, START + index * MIB, MIB as usize)?;
        let aligned = vma.address() + 64;
        succeeds_in_child(|| {
            store_four(aligned);
            0
        })?;
        // On hardware `dc zva` faults as well; QEMU allows it.
        let result = if faults {
            killed_by(Signal::SIGBUS, || store_four(aligned + 1))
        } else {
            succeeds_in_child(|| {
                store_four(aligned + 1);
                0
            })
        };
        result.with_context(|| format!("window {index}"))?;
    }
    Ok(())
}

fn memcpy_on_uncached_memory_is_sigbus(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let vma = Vma::shared(&user::open()?, START, LENGTH as usize)?;
    let bytes = [0x5a; 77];
    let copy = || {
        let target = (vma.address() + 1) as *mut libc::c_void;
        // SAFETY: both ends hold 77 bytes, and the mapping has no references; a fault is expected.
        unsafe { libc::memcpy(target, bytes.as_ptr().cast(), bytes.len()) };
    };
    killed_by(Signal::SIGBUS, copy)
}

fn another_cache_type_elsewhere_changes_nothing(host: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&[&THREE.replace(":ro", "")])?;
    let node = user::open()?;
    for flags in [libc::O_SYNC, 0] {
        let mem = File::options().read(true).write(true).custom_flags(flags).open("/dev/mem")?;
        let other = Vma::map(&mem, START, LENGTH as usize, ProtFlags::PROT_READ, MapFlags::MAP_SHARED)?;
        other.load(0);
        for (index, cache) in (0..).zip([CacheMode::Uncached, CacheMode::WriteCombine, CacheMode::Cached]) {
            let vma = Vma::shared(&node, START + index * MIB, MIB as usize)?;
            let page = while_spinning(|| (), || host.page(vma.address()))?;
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
    ensure!(name.trim() == "0x00000000c0200000", "/dev/uio0 is at {name:?}");
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
    // Both are called as the device.
    let name = attribute("name")?;
    devmap(&format!("read uio0/{}+0x10", name.trim()))?.failed(2, &["uio0 has 2 maps", "give the number of one"])?;
    devmap("read uio0/1+0xfc -q")?.printed(&format!("{:#010x}\n", word(block + 0xfc)))?;
    devmap(&format!("write uio0/1+0x10={:#x}", !word(block + 0x10)))?.printed("")?;
    devmap("read uio0/regs+4")?.failed(2, &["uio0 has no map regs: its maps are 0 (", "1 ("])?;
    let stored = [2 * MIB, 2 * MIB + 0x1004, 3 * MIB - 4, MIB + 0x410].map(|offset| offset..offset + 4);
    host.changed(seed, &stored, |offset| !pattern::byte(seed, START + offset))
}
