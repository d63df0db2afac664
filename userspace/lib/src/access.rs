// SPDX-License-Identifier: MIT OR Apache-2.0

//! Single accesses: the instructions that load and store a value, and a place that was checked.
//!
//! The rules that make them sound are those of the module `raw`, which makes the places. Without the standard library a
//! program makes them itself, by [`Register::from_ptr`](crate::Register::from_ptr).

#![allow(unsafe_code, reason = "an access is a load or store through a pointer")]

use core::fmt;
use core::marker::PhantomData;

use crate::Value;

/// The instructions that move one value. Private to the crate, which seals [`Value`].
pub trait Access: Sized {
    /// The value as it lies in memory.
    type Bytes: AsRef<[u8]> + for<'a> TryFrom<&'a [u8], Error: fmt::Debug>;

    /// The bytes of the value, in the order of this processor.
    fn to_bytes(self) -> Self::Bytes;

    /// The value of these bytes, in the order of this processor.
    fn from_bytes(bytes: Self::Bytes) -> Self;

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

/// Implements [`Access`]. On arm64 the compiler may pair volatile accesses or give one an address that is written back.
/// A pair is not the access that was asked for, and a hypervisor can emulate neither, so there it is assembly, which
/// Miri cannot interpret.
macro_rules! access {
    ($type:ty, $load:literal, $store:literal, $register:literal) => {
        impl Access for $type {
            type Bytes = [u8; size_of::<Self>()];

            fn to_bytes(self) -> Self::Bytes {
                self.to_ne_bytes()
            }

            fn from_bytes(bytes: Self::Bytes) -> Self {
                Self::from_ne_bytes(bytes)
            }

            #[inline(always)]
            unsafe fn load(source: *const Self) -> Self {
                #[cfg(all(target_arch = "aarch64", not(miri)))]
                {
                    let value: Self;
                    // SAFETY: By the contract `source` can be loaded from. The instruction touches nothing else.
                    unsafe {
                        core::arch::asm!(
                            concat!($load, " {value:", $register, "}, [{source}]"),
                            value = out(reg) value,
                            source = in(reg) source,
                            // It changes no memory of the program, so what a loop asks of a mapping is asked once.
                            options(nostack, preserves_flags, readonly),
                        );
                    }
                    value
                }
                #[cfg(any(not(target_arch = "aarch64"), miri))]
                // SAFETY: By the contract `source` can be loaded from.
                unsafe {
                    source.read_volatile()
                }
            }

            #[inline(always)]
            unsafe fn store(target: *mut Self, value: Self) {
                #[cfg(all(target_arch = "aarch64", not(miri)))]
                // SAFETY: By the contract `target` can be stored to. The instruction touches nothing else.
                unsafe {
                    core::arch::asm!(
                        concat!($store, " {value:", $register, "}, [{target}]"),
                        value = in(reg) value,
                        target = in(reg) target,
                        options(nostack, preserves_flags),
                    );
                }
                #[cfg(any(not(target_arch = "aarch64"), miri))]
                // SAFETY: By the contract `target` can be stored to.
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
// Where it would be two accesses, nothing calls it: no place of this width passes the check.
#[cfg(any(not(target_arch = "arm"), miri))]
access!(u64, "ldr", "str", "x");

/// Whether a program of 32 bits has one access of 64: if the processor's LDRD and STRD are one, which comes with LPAE.
#[cfg(all(target_arch = "arm", feature = "std", not(miri)))]
pub(crate) fn has_double() -> bool {
    const LPAE: u64 = 1 << 20;
    // SAFETY: The function only looks up what the kernel told the process when it began.
    let capabilities = unsafe { nix::libc::getauxval(nix::libc::AT_HWCAP) };
    u64::from(capabilities) & LPAE != 0
}

/// As above; nobody can be asked.
#[cfg(not(all(target_arch = "arm", feature = "std", not(miri))))]
pub(crate) const fn has_double() -> bool {
    false
}

#[cfg(all(target_arch = "arm", not(miri)))]
impl Access for u64 {
    type Bytes = [u8; 8];

    #[inline(always)]
    fn to_bytes(self) -> Self::Bytes {
        self.to_ne_bytes()
    }

    #[inline(always)]
    fn from_bytes(bytes: Self::Bytes) -> Self {
        Self::from_ne_bytes(bytes)
    }

    #[inline(always)]
    unsafe fn load(source: *const Self) -> Self {
        let (first, second): (u32, u32);
        // SAFETY: By the contract `source` can be loaded from. The instruction touches nothing else. It takes an even
        // register and the next one.
        unsafe {
            core::arch::asm!(
                "ldrd r2, r3, [{source}]",
                source = in(reg) source,
                out("r2") first,
                out("r3") second,
                options(nostack, preserves_flags, readonly),
            );
        }
        let halves = [first.to_ne_bytes(), second.to_ne_bytes()];
        Self::from_ne_bytes(core::array::from_fn(|byte| halves[byte / 4][byte % 4]))
    }

    #[inline(always)]
    unsafe fn store(target: *mut Self, value: Self) {
        let bytes = value.to_ne_bytes();
        let half = |first: usize| u32::from_ne_bytes(core::array::from_fn(|byte| bytes[first + byte]));
        // SAFETY: By the contract `target` can be stored to. The instruction touches nothing else.
        unsafe {
            core::arch::asm!(
                "strd r2, r3, [{target}]",
                target = in(reg) target,
                in("r2") half(0),
                in("r3") half(4),
                options(nostack, preserves_flags),
            );
        }
    }
}

/// A place of one value, which was checked.
///
/// # Invariants
///
/// `pointer` is aligned and lies in a mapping that lives for `'m`, and the processor has an access of this width. The
/// mapping is writable if anything calls `store`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'m, T> {
    pointer: *mut T,
    mapping: PhantomData<&'m ()>,
}

// SAFETY: It can do no more than the shared mapping that it was made from, which threads can share.
unsafe impl<T: Value> Send for Place<'_, T> {}

// SAFETY: As for `Send`: its methods are those of a shared mapping.
unsafe impl<T: Value> Sync for Place<'_, T> {}

impl<T: Value> Place<'_, T> {
    /// The place at `pointer`.
    ///
    /// # Safety
    ///
    /// The invariants of the type hold for the lifetime that the caller chooses.
    #[inline]
    pub(crate) const unsafe fn new(pointer: *mut T) -> Self {
        // INVARIANT: By the contract.
        Self { pointer, mapping: PhantomData }
    }

    /// The same place for any lifetime.
    ///
    /// # Safety
    ///
    /// The invariants of the type hold for that lifetime.
    #[cfg(feature = "std")]
    pub(crate) const unsafe fn extended<'other>(self) -> Place<'other, T> {
        // SAFETY: By the contract.
        unsafe { Place::new(self.pointer) }
    }

    /// Loads the value.
    #[inline]
    pub(crate) fn load(self) -> T {
        // SAFETY: By the invariants of the type.
        unsafe { T::load(self.pointer) }
    }

    /// Stores a value.
    #[inline]
    pub(crate) fn store(self, value: T) {
        // SAFETY: By the invariants of the type.
        unsafe { T::store(self.pointer, value) }
    }
}

/// Places of one value each, in a row.
///
/// # Invariants
///
/// Those of [`Place`] hold for each of the `count` places from `first` on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places<'m, T> {
    first: Place<'m, T>,
    count: usize,
}

impl<'m, T: Value> Places<'m, T> {
    /// The `count` places from `first` on.
    ///
    /// # Safety
    ///
    /// The invariants of the type hold for the lifetime that the caller chooses.
    #[cfg(feature = "std")]
    pub(crate) const unsafe fn new(first: *mut T, count: usize) -> Self {
        // SAFETY: By the contract; if there are none, nothing accesses it.
        Self { first: unsafe { Place::new(first) }, count }
    }

    /// How many there are.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// The one with this index; `None` if there are not so many.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<Place<'m, T>> {
        let pointer = self.first.pointer.wrapping_add(index);
        // SAFETY: By the invariants of the type.
        (index < self.count).then(|| unsafe { Place::new(pointer) })
    }

    /// Takes the first one off; `None` if there is none.
    #[inline]
    pub(crate) fn take_first(&mut self) -> Option<Place<'m, T>> {
        let first = self.get(0)?;
        // INVARIANT: The others are left.
        self.first.pointer = self.first.pointer.wrapping_add(1);
        self.count -= 1;
        Some(first)
    }
}
