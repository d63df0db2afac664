// SPDX-License-Identifier: MIT OR Apache-2.0

//! System calls with any arguments, and loads and stores at any address.

use nix::{errno::Errno, libc};

/// A system call with any arguments: its result, or the negative error number.
///
/// The caller passes only memory that Rust does not use: addresses of mappings that are no objects of Rust's, those of
/// buffers that exist during the call and are large enough for it, and such that nobody has.
pub fn call(number: libc::c_long, arguments: [usize; 6]) -> i64 {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: by the contract the kernel changes no memory that Rust relies on.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result == -1 {
        -i64::from(Errno::last_raw())
    } else {
        result
    }
}

/// A system call of a program of 32 bits, by its number there, under the same conditions.
#[cfg(target_arch = "x86_64")]
pub fn call_32(number: u32, arguments: [u32; 6]) -> i64 {
    let [a, b, c, d, e, f] = arguments;
    let result: i64;
    // SAFETY: as for `call`. What Rust may not name, and the compiler may use, is saved.
    unsafe {
        std::arch::asm!(
            "push rbx",
            "push rbp",
            "mov ebx, r8d",
            "mov ebp, r9d",
            "int 0x80",
            "pop rbp",
            "pop rbx",
            inlateout("rax") i64::from(number) => result,
            in("rcx") b,
            in("rdx") c,
            in("rsi") d,
            in("rdi") e,
            inlateout("r8") a => _,
            inlateout("r9") f => _,
            lateout("r10") _,
            lateout("r11") _,
        );
    }
    result
}

/// [`call`], with the error number as an error.
pub fn system(number: libc::c_long, arguments: [usize; 6]) -> Result<usize, Errno> {
    let value = call(number, arguments);
    usize::try_from(value).map_err(|_| Errno::from_raw(-value as i32))
}

/// Loads `width` bytes, 1, 2, 4 or 8, at an aligned address of a mapping that Rust does not use. If nothing can be
/// loaded there, the process ends, as the caller expects.
pub fn load(address: usize, width: u32) -> u64 {
    macro_rules! load {
        ($kind:ty) => {{
            // SAFETY: a load that faults ends the process, and Rust does not use the memory.
            u64::from(unsafe { (address as *const $kind).read_volatile() })
        }};
    }
    match width {
        1 => load!(u8),
        2 => load!(u16),
        4 => load!(u32),
        _ => load!(u64),
    }
}

/// Stores the lowest `width` bytes of `value`, under the conditions of [`load`].
pub fn store(address: usize, width: u32, value: u64) {
    macro_rules! store {
        ($kind:ty) => {{
            // SAFETY: as for `load`.
            unsafe { (address as *mut $kind).write_volatile(value as $kind) }
        }};
    }
    match width {
        1 => store!(u8),
        2 => store!(u16),
        4 => store!(u32),
        _ => store!(u64),
    }
}
