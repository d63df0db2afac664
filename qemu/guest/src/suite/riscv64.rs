// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tests for riscv64 alone: a page has a cache type only where the processor has Svpbmt.

use std::fs;

use anyhow::{ensure, Context, Result};
use devmap::{Device, Error, PhysRange};
use nix::{
    libc,
    sys::{
        ptrace,
        signal::Signal,
        wait::{waitpid, WaitStatus},
    },
    unistd::Pid,
};

use crate::{board, bulk::Maintenance, host::Host, vma::Vma, Test};

/// The registers of the serial port, and those of a clock, for which the kernel has no driver.
pub const UART: u64 = 0x1000_0000;
pub const RTC: u64 = 0x0010_1000;

/// Whether that clock is a PL031.
pub const HAS_PL031: bool = false;

/// Fails unless the two devices answer through these mappings: the serial port, a 16550, has sent everything, and the
/// clock, Goldfish's, shows nanoseconds of this century.
pub fn devices_answer(uart: &Vma, rtc: &Vma) -> Result<()> {
    const SENT: u8 = 0x60;
    let status = uart.load(5);
    ensure!(status & SENT == SENT, "the serial port's line status is {status:#x}");
    // Its registers have 32 bits. The load of the lower half keeps the other one for the second load.
    let [low, high] = [0, 4].map(|offset| u64::from(rtc.load_word(offset)));
    let seconds = (high << 32 | low) / 1_000_000_000;
    ensure!((946_684_800..4_102_444_800).contains(&seconds), "the clock shows {high:#x} and {low:#x}");
    Ok(())
}

/// A page that a driver of the kernel has claimed.
pub const CLAIMED: u64 = UART;

/// The code of a function that only returns.
pub const RETURN: [u8; 4] = [0x67, 0x80, 0x00, 0x00];

/// Whether the free memory counts as reserved. Here the device tree reserves it.
pub const RESERVED: bool = true;

/// An address without a device, in the PCI bus's window: stores are lost, and every load gives this byte.
pub const VACANT: u64 = 0x4000_0000;
pub const VACANT_BYTE: u8 = 0xff;

/// What ends a program at an address where nothing answers, and whether a system call that is to copy from there fails,
/// instead of the kernel: here Linux looks for a fixup before it takes the
/// fault for fatal.
pub const UNANSWERED: Signal = Signal::SIGSEGV;
pub const UNANSWERED_COPY_FAILS: bool = true;

/// The widest access in bits of a program of 32 bits; `None` if there are no such programs.
pub const NARROW_WIDEST: Option<u32> = None;

/// More bytes than the address space of a process.
pub const ADDRESS_SPACE: u64 = 1 << 48;

/// The number of bits of a physical address: that of an entry of the page table.
pub fn address_bits() -> Result<u32> {
    Ok(56)
}

/// Whether Linux lets debuggers access memory of devices.
pub const DEBUGGERS: bool = true;

/// Whether Linux has huge pages for memory of devices.
pub const HUGE_PAGES: bool = true;

/// Whether programs may clean the processor's caches.
pub const MAINTAINS_CACHES: bool = true;

/// The size in bytes of what an instruction for caches works on, as the device tree names it.
pub fn cache_line() -> Result<usize> {
    let bytes = fs::read("/proc/device-tree/cpus/cpu@0/riscv,cbom-block-size").context("no size of a block")?;
    Ok(u32::from_be_bytes(bytes.as_slice().try_into()?) as usize)
}

/// The value of a register, by its number.
fn register(registers: &libc::user_regs_struct, number: u32) -> u64 {
    let of = registers;
    let numbered = [
        0, of.ra, of.sp, of.gp, of.tp, of.t0, of.t1, of.t2, of.s0, of.s1, of.a0, of.a1, of.a2, of.a3, of.a4, of.a5,
        of.a6, of.a7, of.s2, of.s3, of.s4, of.s5, of.s6, of.s7, of.s8, of.s9, of.s10, of.s11, of.t3, of.t4, of.t5,
        of.t6,
    ];
    numbered[(number & 0x1f) as usize]
}

/// The addresses at which the instruction after this one may be.
fn next(instruction: u32, registers: &libc::user_regs_struct) -> Vec<u64> {
    let bits = |first: u32, count: u32| instruction >> first & ((1 << count) - 1);
    // A number of `width` bits in two's complement.
    let signed = |value: u32, width: u32| i64::from((value << (32 - width)) as i32 >> (32 - width));
    let at = |offset: i64| registers.pc.wrapping_add_signed(offset);
    match (bits(0, 2), bits(13, 3), bits(0, 7)) {
        (3, _, 0x6f) => {
            let offset = bits(31, 1) << 20 | bits(12, 8) << 12 | bits(20, 1) << 11 | bits(21, 10) << 1;
            vec![at(signed(offset, 21))]
        }
        (3, _, 0x67) => vec![register(registers, bits(15, 5)).wrapping_add_signed(signed(bits(20, 12), 12)) & !1],
        (3, _, 0x63) => {
            let offset = bits(31, 1) << 12 | bits(7, 1) << 11 | bits(25, 6) << 5 | bits(8, 4) << 1;
            vec![at(4), at(signed(offset, 13))]
        }
        (3, _, _) => vec![at(4)],
        // Compressed: a jump, a branch, a jump to a register.
        (1, 5, _) => {
            let offset = bits(12, 1) << 11
                | bits(8, 1) << 10
                | bits(9, 2) << 8
                | bits(6, 1) << 7
                | bits(7, 1) << 6
                | bits(2, 1) << 5
                | bits(11, 1) << 4
                | bits(3, 3) << 1;
            vec![at(signed(offset, 12))]
        }
        (1, 6 | 7, _) => {
            let offset = bits(12, 1) << 8 | bits(5, 2) << 6 | bits(2, 1) << 5 | bits(10, 2) << 3 | bits(3, 2) << 1;
            vec![at(2), at(signed(offset, 9))]
        }
        (2, 4, _) if bits(2, 5) == 0 && bits(7, 5) != 0 => vec![register(registers, bits(7, 5)) & !1],
        _ => vec![at(2)],
    }
}

/// The instruction at an address, with what follows it.
fn word(pid: Pid, address: u64) -> Result<i64> {
    Ok(ptrace::read(pid, address as ptrace::AddressType)?)
}

/// Lets a stopped process execute one instruction, and gives how that ended. The processor cannot stop after each, so
/// wherever the next one may be there is a breakpoint meanwhile.
pub fn step(pid: Pid) -> Result<WaitStatus> {
    const BREAKPOINT: i64 = 0x9002;
    let registers = ptrace::getregset::<ptrace::regset::NT_PRSTATUS>(pid)?;
    let mut places = next(word(pid, registers.pc)? as u32, &registers);
    // A branch to itself is no step.
    places.retain(|place| *place != registers.pc);
    let mut replaced = Vec::new();
    for place in places {
        let old = word(pid, place)?;
        ptrace::write(pid, place as ptrace::AddressType, old & !0xffff | BREAKPOINT)?;
        replaced.push((place, old));
    }
    ptrace::cont(pid, None)?;
    let status = waitpid(pid, None)?;
    // Two places may overlap: the last one was written over the others.
    for (place, old) in replaced.into_iter().rev() {
        ptrace::write(pid, place as ptrace::AddressType, old)?;
    }
    Ok(status)
}

/// What the next instruction of a stopped process is, if it is one for caches: `cbo.clean`, `cbo.flush`, or the fence
/// of everything.
pub fn maintenance(pid: Pid) -> Result<Option<Maintenance>> {
    let registers = ptrace::getregset::<ptrace::regset::NT_PRSTATUS>(pid)?;
    let instruction = word(pid, registers.pc)? as u32;
    let block = || register(&registers, instruction >> 15);
    Ok(match instruction & !(0x1f << 15) {
        0x0010_200f => Some(Maintenance::Clean(block())),
        0x0020_200f => Some(Maintenance::CleanInvalidate(block())),
        _ if instruction == 0x0ff0_000f => Some(Maintenance::Barrier),
        _ => None,
    })
}

/// Tests of the driver without parameters.
pub const RAW: &[Test] = &[];

/// Tests of the driver with windows.
pub const WINDOWS: &[Test] = &[board::ANOTHER_CACHE_TYPE];

/// Tests that need two processors.
pub const PARALLEL: &[Test] = &[];

/// Tests of the command line.
pub const DEVMAP: &[Test] = &[
    board::UIO_DEVICE,
    Test { name: "registers_are_not_loaded_to_maintain_caches", run: registers_are_not_loaded_to_maintain_caches },
];

/// A page is loaded from only if it is known to be cached.
fn registers_are_not_loaded_to_maintain_caches(_: &mut Host) -> Result<()> {
    let range = PhysRange::new(RTC + 4, 4).context("no range")?;
    let registers = Device::open_read_only("/dev/mem")?.map(range)?;
    ensure!(registers.cache().is_none(), "{:?}", registers.cache());
    for result in [registers.clean(0, 4), registers.invalidate(0, 4), registers.clean_invalidate(0, 4)] {
        ensure!(matches!(result, Err(Error::UnknownCacheType { .. })), "{result:?}");
    }
    Ok(())
}
