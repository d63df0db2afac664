// SPDX-License-Identifier: MIT OR Apache-2.0

//! Stores and loads values through registers in every byte order, and compares the bytes. It exits with 0 if all of
//! them are right.
//!
//! On a system it is an ordinary program. For a target without one it is a program of Linux on arm64 that needs no
//! library at all, which QEMU's emulator of programs runs: so it shows the orders of a big-endian processor.

#![cfg_attr(target_os = "none", no_std, no_main)]

use core::cell::UnsafeCell;

use devmap::{Endian, Register, Value};

/// The memory that the registers are in. Nothing makes a reference to its bytes.
#[repr(align(8))]
struct Memory(UnsafeCell<[u8; 8]>);

// SAFETY: There is one thread.
unsafe impl Sync for Memory {}

static MEMORY: Memory = Memory(UnsafeCell::new([0; 8]));

/// Whether `value` is stored in this order as `bytes`, and loaded from there again.
fn is_right<T: Value, const N: usize>(endian: Endian, value: T, bytes: [u8; N]) -> bool {
    let memory = MEMORY.0.get();
    // SAFETY: The memory is aligned and lives for ever, and is accessed by pointers alone.
    let register = unsafe { Register::<T>::from_ptr(memory.cast(), endian) };
    register.write(value);
    // SAFETY: As above.
    let found: [u8; 8] = unsafe { memory.read_volatile() };
    found[..N] == bytes && register.read() == value
}

fn all_are_right() -> bool {
    use Endian::{Big, Little, Native};
    let native = |big: [u8; 4]| if cfg!(target_endian = "big") { big } else { [big[3], big[2], big[1], big[0]] };
    is_right(Big, 0x12u8, [0x12])
        && is_right(Little, 0x12u8, [0x12])
        && is_right(Big, 0x1234u16, [0x12, 0x34])
        && is_right(Little, 0x1234u16, [0x34, 0x12])
        && is_right(Big, 0x1234_5678u32, [0x12, 0x34, 0x56, 0x78])
        && is_right(Little, 0x1234_5678u32, [0x78, 0x56, 0x34, 0x12])
        && is_right(Native, 0x1234_5678u32, native([0x12, 0x34, 0x56, 0x78]))
        && is_right(Big, 0x0102_0304_0506_0708u64, [1, 2, 3, 4, 5, 6, 7, 8])
        && is_right(Little, 0x0102_0304_0506_0708u64, [8, 7, 6, 5, 4, 3, 2, 1])
        && Native.is_big() == cfg!(target_endian = "big")
}

#[cfg(not(target_os = "none"))]
fn main() -> std::process::ExitCode {
    if all_are_right() {
        std::process::ExitCode::SUCCESS
    } else {
        std::process::ExitCode::FAILURE
    }
}

/// exit_group(2).
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
fn exit(status: usize) -> ! {
    // SAFETY: The call ends the process.
    unsafe { core::arch::asm!("svc #0", in("x8") 94, in("x0") status, options(noreturn, nostack)) }
}

/// Where the program begins.
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
#[no_mangle]
extern "C" fn _start() -> ! {
    exit(usize::from(!all_are_right()))
}

#[cfg(all(target_os = "none", target_arch = "aarch64"))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit(101)
}
