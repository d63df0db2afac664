// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tests for arm64 alone: Device memory forbids unaligned accesses, and the kernel tracks no cache types.

use std::{arch::asm, fs};

use anyhow::{bail, Context, Result};
use nix::{
    libc,
    sys::{
        ptrace,
        signal::Signal,
        wait::{waitpid, WaitStatus},
    },
    unistd::Pid,
};

use crate::{
    board,
    bulk::Maintenance,
    child::{killed_by, succeeds_in_child},
    host::{Host, LENGTH, START},
    kernel::Loaded,
    user,
    vma::Vma,
    windows::{MIB, THREE},
    Test,
};

pub use crate::virt::*;

/// The code of a function that only returns.
pub const RETURN: [u8; 4] = [0xc0, 0x03, 0x5f, 0xd6];

/// The widest access in bits of a program of 32 bits, by LDRD; `None` if there are no such programs.
pub const NARROW_WIDEST: Option<u32> = Some(64);

/// More bytes than the address space of a process.
pub const ADDRESS_SPACE: u64 = 1 << 49;

/// The number of bits of a physical address: that of the guest's processor, which no program can query.
pub fn address_bits() -> Result<u32> {
    let processors = fs::read_to_string("/proc/cpuinfo")?;
    let part = processors.lines().find_map(|line| line.strip_prefix("CPU part\t: ")).context("no part")?;
    match part {
        // Cortex-A72.
        "0xd08" => Ok(44),
        // Cortex-A76.
        "0xd0b" => Ok(40),
        other => bail!("no processor {other} is known"),
    }
}

/// Whether Linux lets debuggers access memory of devices.
pub const DEBUGGERS: bool = true;

/// Whether Linux has huge pages for memory of devices.
pub const HUGE_PAGES: bool = true;

/// Whether programs may clean the processor's caches.
pub const MAINTAINS_CACHES: bool = true;

/// The size of a cache line in bytes: that of the processors that QEMU has.
pub fn cache_line() -> Result<usize> {
    Ok(64)
}

/// Lets a stopped process execute one instruction, and gives how that ended.
pub fn step(pid: Pid) -> Result<WaitStatus> {
    ptrace::step(pid, None)?;
    Ok(waitpid(pid, None)?)
}

/// What the next instruction of a stopped process is, if it is one for caches: `dc cvac`, `dc civac` or `dsb sy`.
pub fn maintenance(pid: Pid) -> Result<Option<Maintenance>> {
    let registers = ptrace::getregset::<ptrace::regset::NT_PRSTATUS>(pid)?;
    let instruction = ptrace::read(pid, registers.pc as ptrace::AddressType)? as u32;
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
pub const RAW: &[Test] = &[];

/// Tests of the driver with windows.
pub const WINDOWS: &[Test] = &[board::ANOTHER_CACHE_TYPE];

/// Tests that need two processors. With one, QEMU translates without regard to others, and then takes an unaligned
/// access to memory of devices for an aligned one.
pub const PARALLEL: &[Test] = &[
    Test { name: "memcpy_on_uncached_memory_is_sigbus", run: memcpy_on_uncached_memory_is_sigbus },
    Test {
        name: "an_unaligned_access_is_sigbus_on_uncached_memory_alone",
        run: an_unaligned_access_is_sigbus_on_uncached_memory_alone,
    },
];

/// Tests of the command line.
pub const DEVMAP: &[Test] = &[board::UIO_DEVICE];

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
