// SPDX-License-Identifier: MIT OR Apache-2.0

//! The order of accesses. [The order of stores](crate#the-order-of-stores) and [of loads](crate#the-order-of-loads) say
//! when a program needs them.

#![allow(unsafe_code, reason = "Rust has no function for these instructions")]

/// Orders the stores before it before the stores after it, for devices too: what
/// [`Mapping::flush`](crate::Mapping::flush) does.
///
/// ```
/// devmap::barrier::flush();
/// ```
#[inline]
pub fn flush() {
    #[cfg(not(miri))]
    instruction::flush();
    // Everywhere: the compiler keeps the order too, and an architecture that is not listed below gets its full barrier.
    core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
}

/// Orders the loads before it before the loads after it, from devices too: what
/// [`Mapping::acquire`](crate::Mapping::acquire) does.
///
/// ```
/// devmap::barrier::acquire();
/// ```
#[inline]
pub fn acquire() {
    #[cfg(not(miri))]
    instruction::acquire();
    // As above.
    core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
}

/// What the processor has for it. Miri interprets no assembly.
#[cfg(not(miri))]
mod instruction {
    #[inline]
    pub(super) fn flush() {
        #[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
        // SAFETY: The instruction empties the write-combining buffers and changes nothing else.
        unsafe {
            core::arch::asm!("sfence", options(nostack, preserves_flags));
        }
        #[cfg(any(target_arch = "aarch64", arm_barriers = "instructions"))]
        // SAFETY: The instruction waits for stores to complete, gathered ones too, and changes nothing else.
        unsafe {
            core::arch::asm!("dsb st", options(nostack, preserves_flags));
        }
        #[cfg(arm_barriers = "cp15")]
        // SAFETY: As above; it is the DSB of ARMv6, which programs may use, and waits for loads too.
        unsafe {
            core::arch::asm!("mcr p15, 0, {0}, c7, c10, 4", in(reg) 0_u32, options(nostack, preserves_flags));
        }
        #[cfg(any(target_arch = "riscv64", target_arch = "riscv32"))]
        // SAFETY: The instruction orders stores to memory and to devices, and changes nothing else.
        unsafe {
            core::arch::asm!("fence ow, ow", options(nostack, preserves_flags));
        }
    }

    #[inline]
    pub(super) fn acquire() {
        #[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
        // SAFETY: The instruction waits for loads and stores, and changes nothing else. LFENCE would not do for
        // MOVNTDQA.
        unsafe {
            core::arch::asm!("mfence", options(nostack, preserves_flags));
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: The instruction orders loads of every kind of memory, and changes nothing else.
        unsafe {
            core::arch::asm!("dmb oshld", options(nostack, preserves_flags));
        }
        #[cfg(arm_barriers = "instructions")]
        // SAFETY: As above; it has no form for loads alone.
        unsafe {
            core::arch::asm!("dmb osh", options(nostack, preserves_flags));
        }
        #[cfg(arm_barriers = "cp15")]
        // SAFETY: As above; it is the DMB of ARMv6, which programs may use.
        unsafe {
            core::arch::asm!("mcr p15, 0, {0}, c7, c10, 5", in(reg) 0_u32, options(nostack, preserves_flags));
        }
        #[cfg(any(target_arch = "riscv64", target_arch = "riscv32"))]
        // SAFETY: The instruction orders loads from memory and from devices, and changes nothing else.
        unsafe {
            core::arch::asm!("fence ir, ir", options(nostack, preserves_flags));
        }
    }
}
