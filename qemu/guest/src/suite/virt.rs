// SPDX-License-Identifier: MIT OR Apache-2.0

//! What QEMU's board `virt` has for processors of Arm, of 64 bits and of 32.

use anyhow::{ensure, Result};
use nix::sys::signal::Signal;

use crate::vma::Vma;

/// The registers of the first serial port, and those of a clock, for which the kernel has no driver.
pub const UART: u64 = 0x0900_0000;
pub const RTC: u64 = 0x0901_0000;

/// Whether that clock is a PL031.
pub const HAS_PL031: bool = true;

/// Fails unless the two devices answer through these mappings. Both are Arm PrimeCell devices, which identify
/// themselves at the end of their page.
pub fn devices_answer(uart: &Vma, rtc: &Vma) -> Result<()> {
    for (vma, part) in [(rtc, 0x031), (uart, 0x011)] {
        let [low, high] = [0xfe0, 0xfe4].map(|offset| u32::from(vma.load(offset)));
        let found = low | (high & 0xf) << 8;
        ensure!(found == part, "part {found:#x}, not {part:#x}");
    }
    Ok(())
}

/// A page that a driver of the kernel has claimed.
pub const CLAIMED: u64 = UART;

/// Whether the free memory counts as reserved. Here the device tree reserves it.
pub const RESERVED: bool = true;

/// An address without a device, in the PCI bus's window: stores are lost, and every load gives this byte.
pub const VACANT: u64 = 0x1000_0000;
pub const VACANT_BYTE: u8 = 0xff;

/// What ends a program at an address where nothing answers, and whether a system call that is to copy from there fails,
/// instead of the kernel.
pub const UNANSWERED: Signal = Signal::SIGBUS;
pub const UNANSWERED_COPY_FAILS: bool = false;
