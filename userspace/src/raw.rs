// SPDX-License-Identifier: MIT OR Apache-2.0

//! The unsafe part, all of it: a checked window onto mapped memory, and the instructions that reach into it.
//!
//! The rules that make it sound:
//!
//! * No reference to the memory ever exists. It changes at any time behind the program's back, and a load from it may
//!   have an effect, both of which the compiler rules out for what a reference points to.
//! * The memory lies outside every Rust allocation: mmap(2) chose the addresses, and nothing but this file uses them.
//!   It holds plain integers, for which every bit pattern is a value.
//! * Every access is one instruction, aligned to its size, within the range that the window shows. Two threads may
//!   race for it just as two processors or a device may; each then sees a value that one of them stored. Volatile
//!   accesses to such memory are left by the compiler to the machine, so the race is the machine's to decide.
//! * A store needs a mapping that was made for writing.

#![allow(unsafe_code)]

use memmap2::MmapRaw;

use crate::Value;

/// The instructions that move one value. Private to the crate, which seals [`Value`].
pub trait Access: Sized {
    /// Loads the value at `source` with one instruction.
    ///
    /// # Safety
    ///
    /// `source` must be aligned for the type and lie in a live mapping, outside of Rust's allocations.
    unsafe fn load(source: *const Self) -> Self;

    /// Stores `value` at `target` with one instruction.
    ///
    /// # Safety
    ///
    /// As for [`load`](Self::load); the mapping must be writable too.
    unsafe fn store(target: *mut Self, value: Self);
}

/// Implements [`Access`]. On arm64 a volatile access may become one of a pair or get an address that is written back;
/// the first is not the access that was asked for, and a hypervisor can emulate neither. Assembly settles it there.
macro_rules! access {
    ($type:ty, $load:literal, $store:literal, $register:literal) => {
        impl Access for $type {
            #[inline(always)]
            unsafe fn load(source: *const Self) -> Self {
                #[cfg(target_arch = "aarch64")]
                {
                    let value: Self;
                    // SAFETY: by the contract `source` can be loaded from. The instruction touches nothing else.
                    unsafe {
                        core::arch::asm!(
                            concat!($load, " {value:", $register, "}, [{source}]"),
                            value = out(reg) value,
                            source = in(reg) source,
                            options(nostack, preserves_flags),
                        );
                    }
                    value
                }
                #[cfg(not(target_arch = "aarch64"))]
                // SAFETY: by the contract `source` can be loaded from.
                unsafe {
                    source.read_volatile()
                }
            }

            #[inline(always)]
            unsafe fn store(target: *mut Self, value: Self) {
                #[cfg(target_arch = "aarch64")]
                // SAFETY: by the contract `target` can be stored to. The instruction touches nothing else.
                unsafe {
                    core::arch::asm!(
                        concat!($store, " {value:", $register, "}, [{target}]"),
                        value = in(reg) value,
                        target = in(reg) target,
                        options(nostack, preserves_flags),
                    );
                }
                #[cfg(not(target_arch = "aarch64"))]
                // SAFETY: by the contract `target` can be stored to.
                unsafe {
                    target.write_volatile(value);
                }
            }
        }
    };
}

access!(u8, "ldrb", "strb", "w");
access!(u16, "ldrh", "strh", "w");
access!(u32, "ldr", "str", "w");
#[cfg(target_pointer_width = "64")]
access!(u64, "ldr", "str", "x");

/// Why an access does not take place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A byte of it lies outside the window.
    OutOfBounds,
    /// Its address is no multiple of its width.
    Misaligned,
    /// It stores, and the mapping is for reading only.
    ReadOnly,
}

/// The bytes of a mapping that the caller asked for, which may begin and end within a page.
///
/// # Invariants
///
/// `skip + length` is at most the length of `memory`. `writable` is set only if `memory` was mapped for writing.
#[derive(Debug)]
pub(crate) struct Window {
    memory: MmapRaw,
    skip: usize,
    length: usize,
    writable: bool,
}

impl Window {
    /// Shows `length` bytes of `memory` from `skip` on; `None` if it has fewer.
    ///
    /// `writable` must be false for memory that was mapped for reading only: a store would end the process.
    pub(crate) fn new(memory: MmapRaw, skip: usize, length: usize, writable: bool) -> Option<Self> {
        let end = skip.checked_add(length)?;
        // INVARIANT: the bound is checked here, and `writable` by the caller.
        (end <= memory.len()).then_some(Self {
            memory,
            skip,
            length,
            writable,
        })
    }

    /// How many bytes it shows.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Whether stores are possible.
    pub(crate) fn writable(&self) -> bool {
        self.writable
    }

    /// Loads the value at `offset`.
    pub(crate) fn load<T: Value>(&self, offset: usize) -> Result<T, Fault> {
        let source = self.locate::<T>(offset)?;
        // SAFETY: `locate` has checked bounds and alignment, and the mapping lives as long as `self`.
        Ok(unsafe { T::load(source) })
    }

    /// Stores `value` at `offset`.
    pub(crate) fn store<T: Value>(&self, offset: usize, value: T) -> Result<(), Fault> {
        let target = self.locate::<T>(offset)?;
        if !self.writable {
            return Err(Fault::ReadOnly);
        }
        // SAFETY: `locate` has checked bounds and alignment, the mapping is writable and lives as long as `self`.
        unsafe { T::store(target, value) };
        Ok(())
    }

    /// The address of the `T` at `offset`: within the window and aligned.
    fn locate<T: Value>(&self, offset: usize) -> Result<*mut T, Fault> {
        let end = offset.checked_add(size_of::<T>());
        if end.is_none_or(|end| end > self.length) {
            return Err(Fault::OutOfBounds);
        }
        // By the invariant this stays within the mapping, so neither the sum nor the address wraps.
        let address = self
            .memory
            .as_mut_ptr()
            .wrapping_add(self.skip + offset)
            .cast::<T>();
        // The widths themselves, not `align_of`, which is smaller for u64 on some 32-bit processors.
        if address.addr() % size_of::<T>() == 0 {
            Ok(address)
        } else {
            Err(Fault::Misaligned)
        }
    }
}
