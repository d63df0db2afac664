// SPDX-License-Identifier: MIT OR Apache-2.0

//! Accesses of a whole vector register, to memory that is cached or write-combining.
//!
//! Uncached memory never gets here: on arm64 an access that is unaligned there is a SIGBUS, a hypervisor may not be
//! able to emulate a vector access to a device, and a device may not take it.
//!
//! # Why the unsafe code here is sound
//!
//! * The loops are assembly, so the compiler assumes nothing about what they load, and other processors and devices may
//!   store there meanwhile. A vector may then be torn, as bytes of [`Bulk`](crate::Bulk) always may.
//! * They access `length` bytes from each of their pointers on and nothing else, each byte once, and they change no
//!   registers but those that they name.
//! * What a processor may not have is asked for before it is used.

#![allow(unsafe_code)]

use crate::driver::CacheMode;

/// How many bytes one round of a loop moves. Lengths are multiples of it.
pub(crate) const CHUNK: usize = 128;

/// The alignment at which a line begins that write-combining memory is loaded and stored by. Some of the instructions
/// need half of it.
pub(crate) const LINE: usize = 64;

/// The cache type of memory that vector registers may access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    /// That of ordinary memory.
    Cached,
    /// Gathered stores, and loads that no cache keeps.
    WriteCombine,
}

impl Memory {
    /// What memory of this type is here; `None` if only single values may be moved.
    pub(crate) fn of(cache: Option<CacheMode>) -> Option<Self> {
        if !cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
            return None;
        }
        match cache? {
            CacheMode::Cached => Some(Self::Cached),
            CacheMode::WriteCombine => Some(Self::WriteCombine),
            // A type of a later driver, too, may be one of devices.
            _ => None,
        }
    }
}

pub(crate) use arch::{compare, copy, fill};

/// Loops of SSE2, SSE4.1 and AVX2.
///
/// Ordinary loads from write-combining memory go to it one by one. MOVNTDQA fetches a whole line, from which the
/// following ones are served. Non-temporal stores fill whole lines of the write-combining buffers.
#[cfg(all(not(miri), target_arch = "x86_64"))]
mod arch {
    use std::arch::asm;

    use super::{Memory, CHUNK};

    /// The registers that the processor has.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum Registers {
        /// 16 bytes: SSE2, which every x86_64 has.
        Xmm,
        /// The same, and MOVNTDQA: SSE4.1.
        XmmStreaming,
        /// 32 bytes: AVX2.
        Ymm,
    }

    impl Registers {
        /// The widest. The standard library asks the processor once.
        fn widest() -> Self {
            if std::arch::is_x86_feature_detected!("avx2") {
                Self::Ymm
            } else if std::arch::is_x86_feature_detected!("sse4.1") {
                Self::XmmStreaming
            } else {
                Self::Xmm
            }
        }

        /// Whether a load at `address` can be a streaming one, and is worth it.
        fn streams_from(self, memory: Memory, address: usize) -> bool {
            self != Self::Xmm && self.streams_to(memory, address)
        }

        /// The same for a store.
        fn streams_to(self, memory: Memory, address: usize) -> bool {
            let width = if self == Self::Ymm { 32 } else { 16 };
            memory == Memory::WriteCombine && address % width == 0
        }
    }

    /// Copies `length` bytes between memory of these types, in ascending order.
    ///
    /// # Safety
    ///
    /// `length` is a multiple of [`CHUNK`] and not 0. So many bytes can be loaded from `source` and stored to `target`.
    /// If they overlap, `target` is below `source`.
    pub(crate) unsafe fn copy(source: *const u8, from: Memory, target: *mut u8, to: Memory, length: usize) {
        // SAFETY: The contract is the same, and the processor has these registers.
        unsafe { copy_by(Registers::widest(), source, from, target, to, length) }
    }

    /// [`copy`], by these registers, which the processor must have.
    ///
    /// # Safety
    ///
    /// As for [`copy`].
    pub(super) unsafe fn copy_by(
        registers: Registers,
        source: *const u8,
        from: Memory,
        target: *mut u8,
        to: Memory,
        length: usize,
    ) {
        let (load, store) = (registers.streams_from(from, source.addr()), registers.streams_to(to, target.addr()));
        let copy = match (registers == Registers::Ymm, load, store) {
            (true, false, false) => copy_ymm,
            (true, false, true) => copy_ymm_to_stream,
            (true, true, false) => copy_ymm_from_stream,
            (true, true, true) => copy_ymm_streams,
            (false, false, false) => copy_xmm,
            (false, false, true) => copy_xmm_to_stream,
            (false, true, false) => copy_xmm_from_stream,
            (false, true, true) => copy_xmm_streams,
        };
        if load {
            drop_streamed_lines();
        }
        // SAFETY: By the contract; the addresses are aligned where the instructions need it.
        unsafe { copy(source, target, length) }
    }

    /// Stores the first 32 bytes of `pattern`, which repeats itself, over and over, in ascending order.
    ///
    /// # Safety
    ///
    /// `length` is a multiple of [`CHUNK`] and not 0, and so many bytes can be stored to `target`.
    pub(crate) unsafe fn fill(target: *mut u8, to: Memory, pattern: &[u8; CHUNK], length: usize) {
        // SAFETY: The contract is the same, and the processor has these registers.
        unsafe { fill_by(Registers::widest(), target, to, pattern, length) }
    }

    /// [`fill`], by these registers, which the processor must have.
    ///
    /// # Safety
    ///
    /// As for [`fill`].
    pub(super) unsafe fn fill_by(
        registers: Registers,
        target: *mut u8,
        to: Memory,
        pattern: &[u8; CHUNK],
        length: usize,
    ) {
        let fill = match (registers == Registers::Ymm, registers.streams_to(to, target.addr())) {
            (true, false) => fill_ymm,
            (true, true) => fill_ymm_to_stream,
            (false, false) => fill_xmm,
            (false, true) => fill_xmm_to_stream,
        };
        // SAFETY: By the contract; the address is aligned where the instruction needs it.
        unsafe { fill(target, pattern.as_ptr(), length) }
    }

    /// Compares `length` bytes, and returns how many of them, in whole chunks, are equal. If that is not all, the next
    /// chunk is in `found` as it was loaded from `source`.
    ///
    /// # Safety
    ///
    /// `length` is a multiple of [`CHUNK`] and not 0, and so many bytes can be loaded from both.
    pub(crate) unsafe fn compare(
        source: *const u8,
        from: Memory,
        bytes: *const u8,
        length: usize,
        found: &mut [u8; CHUNK],
    ) -> usize {
        // SAFETY: The contract is the same, and the processor has these registers.
        unsafe { compare_by(Registers::widest(), source, from, bytes, length, found) }
    }

    /// [`compare`], by these registers, which the processor must have.
    ///
    /// # Safety
    ///
    /// As for [`compare`].
    pub(super) unsafe fn compare_by(
        registers: Registers,
        source: *const u8,
        from: Memory,
        bytes: *const u8,
        length: usize,
        found: &mut [u8; CHUNK],
    ) -> usize {
        let load = registers.streams_from(from, source.addr());
        let compare = match (registers == Registers::Ymm, load) {
            (true, false) => compare_ymm,
            (true, true) => compare_ymm_from_stream,
            (false, false) => compare_xmm,
            (false, true) => compare_xmm_from_stream,
        };
        if load {
            drop_streamed_lines();
        }
        // SAFETY: By the contract; the address is aligned where the instruction needs it.
        let left = unsafe { compare(source, bytes, length, found.as_mut_ptr()) };
        length - left
    }

    /// Lines that MOVNTDQA has fetched are not kept up to date. What was fetched before this is fetched again.
    fn drop_streamed_lines() {
        // SAFETY: The instruction waits for loads and stores before it, and changes nothing else.
        unsafe { asm!("mfence", options(nostack, preserves_flags)) }
    }

    /// A loop that loads registers with `$load` and stores them with `$store`. Its index runs from minus `length` to 0,
    /// relative to the ends. `vzeroupper` changes the upper halves of all registers, so they count as changed.
    macro_rules! copy {
        ($name:ident, $load:literal, $store:literal, $register:literal, $end:literal, $($number:literal + $at:literal),*) => {
            unsafe fn $name(source: *const u8, target: *mut u8, length: usize) {
                // SAFETY: By the contract of `copy_by`, which has also asked for the registers.
                unsafe {
                    asm!(
                        "2:",
                        $(concat!($load, " ", $register, $number, ", [rsi + rcx + ", $at, "]"),)*
                        $(concat!($store, " [rdi + rcx + ", $at, "], ", $register, $number),)*
                        "add rcx, 128",
                        "jnz 2b",
                        $end,
                        in("rsi") source.wrapping_add(length),
                        in("rdi") target.wrapping_add(length),
                        inout("rcx") length.wrapping_neg() => _,
                        clobber_abi("sysv64"),
                        options(nostack),
                    );
                }
            }
        };
    }

    macro_rules! copy_ymm {
        ($name:ident, $load:literal, $store:literal) => {
            copy!($name, $load, $store, "ymm", "vzeroupper", "0" + "0", "1" + "32", "2" + "64", "3" + "96");
        };
    }

    macro_rules! copy_xmm {
        ($name:ident, $load:literal, $store:literal) => {
            copy!(
                $name,
                $load,
                $store,
                "xmm",
                "",
                "0" + "0",
                "1" + "16",
                "2" + "32",
                "3" + "48",
                "4" + "64",
                "5" + "80",
                "6" + "96",
                "7" + "112"
            );
        };
    }

    copy_ymm!(copy_ymm, "vmovdqu", "vmovdqu");
    copy_ymm!(copy_ymm_to_stream, "vmovdqu", "vmovntdq");
    copy_ymm!(copy_ymm_from_stream, "vmovntdqa", "vmovdqu");
    copy_ymm!(copy_ymm_streams, "vmovntdqa", "vmovntdq");
    copy_xmm!(copy_xmm, "movdqu", "movdqu");
    copy_xmm!(copy_xmm_to_stream, "movdqu", "movntdq");
    copy_xmm!(copy_xmm_from_stream, "movntdqa", "movdqu");
    copy_xmm!(copy_xmm_streams, "movntdqa", "movntdq");

    /// A loop that stores one register with `$store`.
    macro_rules! fill {
        ($name:ident, $load:literal, $store:literal, $register:literal, $end:literal, $($at:literal),*) => {
            unsafe fn $name(target: *mut u8, pattern: *const u8, length: usize) {
                // SAFETY: By the contract of `fill_by`, which has also asked for the registers.
                unsafe {
                    asm!(
                        concat!($load, " ", $register, ", [rdx]"),
                        "2:",
                        $(concat!($store, " [rdi + rcx + ", $at, "], ", $register),)*
                        "add rcx, 128",
                        "jnz 2b",
                        $end,
                        in("rdx") pattern,
                        in("rdi") target.wrapping_add(length),
                        inout("rcx") length.wrapping_neg() => _,
                        clobber_abi("sysv64"),
                        options(nostack),
                    );
                }
            }
        };
    }

    fill!(fill_ymm, "vmovdqu", "vmovdqu", "ymm0", "vzeroupper", "0", "32", "64", "96");
    fill!(fill_ymm_to_stream, "vmovdqu", "vmovntdq", "ymm0", "vzeroupper", "0", "32", "64", "96");
    fill!(fill_xmm, "movdqu", "movdqu", "xmm0", "", "0", "16", "32", "48", "64", "80", "96", "112");
    fill!(fill_xmm_to_stream, "movdqu", "movntdq", "xmm0", "", "0", "16", "32", "48", "64", "80", "96", "112");

    /// A loop that loads registers with `$load`, and ends when they differ from `bytes`. Returns how many bytes are
    /// left, from the first chunk that differs on, which is in `found`.
    macro_rules! compare_ymm {
        ($name:ident, $load:literal) => {
            unsafe fn $name(source: *const u8, bytes: *const u8, length: usize, found: *mut u8) -> usize {
                let mut index = length.wrapping_neg();
                // SAFETY: By the contract of `compare_by`, which has also asked for the registers.
                unsafe {
                    asm!(
                        "2:",
                        concat!($load, " ymm0, [rsi + rcx]"),
                        concat!($load, " ymm1, [rsi + rcx + 32]"),
                        concat!($load, " ymm2, [rsi + rcx + 64]"),
                        concat!($load, " ymm3, [rsi + rcx + 96]"),
                        "vpxor ymm4, ymm0, [rdx + rcx]",
                        "vpxor ymm5, ymm1, [rdx + rcx + 32]",
                        "vpxor ymm6, ymm2, [rdx + rcx + 64]",
                        "vpxor ymm7, ymm3, [rdx + rcx + 96]",
                        "vpor ymm4, ymm4, ymm5",
                        "vpor ymm6, ymm6, ymm7",
                        "vpor ymm4, ymm4, ymm6",
                        "vptest ymm4, ymm4",
                        "jnz 3f",
                        "add rcx, 128",
                        "jnz 2b",
                        "jmp 4f",
                        "3:",
                        "vmovdqu [r8], ymm0",
                        "vmovdqu [r8 + 32], ymm1",
                        "vmovdqu [r8 + 64], ymm2",
                        "vmovdqu [r8 + 96], ymm3",
                        "4:",
                        "vzeroupper",
                        in("rsi") source.wrapping_add(length),
                        in("rdx") bytes.wrapping_add(length),
                        in("r8") found,
                        inout("rcx") index,
                        clobber_abi("sysv64"),
                        options(nostack),
                    );
                }
                index.wrapping_neg()
            }
        };
    }

    compare_ymm!(compare_ymm, "vmovdqu");
    compare_ymm!(compare_ymm_from_stream, "vmovntdqa");

    /// The same, with registers of half the size: a memory operand of SSE would have to be aligned.
    macro_rules! compare_xmm {
        ($name:ident, $load:literal, $($number:literal, $other:literal + $at:literal),*) => {
            unsafe fn $name(source: *const u8, bytes: *const u8, length: usize, found: *mut u8) -> usize {
                let mut index = length.wrapping_neg();
                // SAFETY: By the contract of `compare_by`, which has also asked for the registers.
                unsafe {
                    asm!(
                        "2:",
                        $(concat!($load, " xmm", $number, ", [rsi + rcx + ", $at, "]"),)*
                        $(concat!("movdqu xmm", $other, ", [rdx + rcx + ", $at, "]"),)*
                        $(concat!("pcmpeqb xmm", $other, ", xmm", $number),)*
                        "pand xmm8, xmm9",
                        "pand xmm10, xmm11",
                        "pand xmm12, xmm13",
                        "pand xmm14, xmm15",
                        "pand xmm8, xmm10",
                        "pand xmm12, xmm14",
                        "pand xmm8, xmm12",
                        "pmovmskb eax, xmm8",
                        "cmp eax, 0xffff",
                        "jne 3f",
                        "add rcx, 128",
                        "jnz 2b",
                        "jmp 4f",
                        "3:",
                        $(concat!("movdqu [r8 + ", $at, "], xmm", $number),)*
                        "4:",
                        in("rsi") source.wrapping_add(length),
                        in("rdx") bytes.wrapping_add(length),
                        in("r8") found,
                        inout("rcx") index,
                        clobber_abi("sysv64"),
                        options(nostack),
                    );
                }
                index.wrapping_neg()
            }
        };
        ($name:ident, $load:literal) => {
            compare_xmm!(
                $name, $load, "0", "8" + "0", "1", "9" + "16", "2", "10" + "32", "3", "11" + "48",
                "4", "12" + "64", "5", "13" + "80", "6", "14" + "96", "7", "15" + "112"
            );
        };
    }

    compare_xmm!(compare_xmm, "movdqu");
    compare_xmm!(compare_xmm_from_stream, "movntdqa");

    #[cfg(test)]
    impl Registers {
        /// All that this processor has.
        pub(super) fn all() -> impl Iterator<Item = Self> {
            let sse41 = std::arch::is_x86_feature_detected!("sse4.1");
            let avx2 = std::arch::is_x86_feature_detected!("avx2");
            let of = [(Self::Xmm, true), (Self::XmmStreaming, sse41), (Self::Ymm, avx2)];
            of.into_iter().filter(|(_, has)| *has).map(|(registers, _)| registers)
        }
    }
}

/// Loops over pairs of registers of 128 bits. Loads and stores of either type of memory are the same instructions.
#[cfg(all(not(miri), target_arch = "aarch64"))]
mod arch {
    use std::arch::asm;

    use super::{Memory, CHUNK};

    /// Copies `length` bytes, in ascending order.
    ///
    /// # Safety
    ///
    /// `length` is a multiple of [`CHUNK`] and not 0. So many bytes can be loaded from `source` and stored to `target`.
    /// If they overlap, `target` is below `source`.
    pub(crate) unsafe fn copy(source: *const u8, _: Memory, target: *mut u8, _: Memory, length: usize) {
        // SAFETY: By the contract.
        unsafe {
            asm!(
                "2:",
                "ldp q0, q1, [{source}]",
                "ldp q2, q3, [{source}, #32]",
                "ldp q4, q5, [{source}, #64]",
                "ldp q6, q7, [{source}, #96]",
                "add {source}, {source}, #128",
                "stp q0, q1, [{target}]",
                "stp q2, q3, [{target}, #32]",
                "stp q4, q5, [{target}, #64]",
                "stp q6, q7, [{target}, #96]",
                "add {target}, {target}, #128",
                "subs {left}, {left}, #128",
                "b.ne 2b",
                source = inout(reg) source => _,
                target = inout(reg) target => _,
                left = inout(reg) length => _,
                out("v0") _, out("v1") _, out("v2") _, out("v3") _,
                out("v4") _, out("v5") _, out("v6") _, out("v7") _,
                options(nostack),
            );
        }
    }

    /// Stores the first 16 bytes of `pattern` over and over, in ascending order.
    ///
    /// # Safety
    ///
    /// `length` is a multiple of [`CHUNK`] and not 0, and so many bytes can be stored to `target`.
    pub(crate) unsafe fn fill(target: *mut u8, _: Memory, pattern: &[u8; CHUNK], length: usize) {
        // SAFETY: By the contract.
        unsafe {
            asm!(
                "ldr q0, [{pattern}]",
                "2:",
                "stp q0, q0, [{target}]",
                "stp q0, q0, [{target}, #32]",
                "stp q0, q0, [{target}, #64]",
                "stp q0, q0, [{target}, #96]",
                "add {target}, {target}, #128",
                "subs {left}, {left}, #128",
                "b.ne 2b",
                pattern = in(reg) pattern.as_ptr(),
                target = inout(reg) target => _,
                left = inout(reg) length => _,
                out("v0") _,
                options(nostack),
            );
        }
    }

    /// Compares `length` bytes, and returns how many of them, in whole chunks, are equal. If that is not all, the next
    /// chunk is in `found` as it was loaded from `source`.
    ///
    /// # Safety
    ///
    /// `length` is a multiple of [`CHUNK`] and not 0, and so many bytes can be loaded from both.
    pub(crate) unsafe fn compare(
        source: *const u8,
        _: Memory,
        bytes: *const u8,
        length: usize,
        found: &mut [u8; CHUNK],
    ) -> usize {
        let mut left = length;
        // SAFETY: By the contract.
        unsafe {
            asm!(
                "2:",
                "ldp q0, q1, [{source}]",
                "ldp q2, q3, [{source}, #32]",
                "ldp q4, q5, [{source}, #64]",
                "ldp q6, q7, [{source}, #96]",
                "add {source}, {source}, #128",
                "ldp q16, q17, [{bytes}]",
                "ldp q18, q19, [{bytes}, #32]",
                "ldp q20, q21, [{bytes}, #64]",
                "ldp q22, q23, [{bytes}, #96]",
                "add {bytes}, {bytes}, #128",
                "cmeq v16.16b, v16.16b, v0.16b",
                "cmeq v17.16b, v17.16b, v1.16b",
                "cmeq v18.16b, v18.16b, v2.16b",
                "cmeq v19.16b, v19.16b, v3.16b",
                "cmeq v20.16b, v20.16b, v4.16b",
                "cmeq v21.16b, v21.16b, v5.16b",
                "cmeq v22.16b, v22.16b, v6.16b",
                "cmeq v23.16b, v23.16b, v7.16b",
                "and v16.16b, v16.16b, v17.16b",
                "and v18.16b, v18.16b, v19.16b",
                "and v20.16b, v20.16b, v21.16b",
                "and v22.16b, v22.16b, v23.16b",
                "and v16.16b, v16.16b, v18.16b",
                "and v20.16b, v20.16b, v22.16b",
                "and v16.16b, v16.16b, v20.16b",
                "uminv b16, v16.16b",
                "umov {equal:w}, v16.b[0]",
                "cbz {equal:w}, 3f",
                "subs {left}, {left}, #128",
                "b.ne 2b",
                "b 4f",
                "3:",
                "stp q0, q1, [{found}]",
                "stp q2, q3, [{found}, #32]",
                "stp q4, q5, [{found}, #64]",
                "stp q6, q7, [{found}, #96]",
                "4:",
                source = inout(reg) source => _,
                bytes = inout(reg) bytes => _,
                left = inout(reg) left,
                found = in(reg) found.as_mut_ptr(),
                equal = out(reg) _,
                out("v0") _, out("v1") _, out("v2") _, out("v3") _,
                out("v4") _, out("v5") _, out("v6") _, out("v7") _,
                out("v16") _, out("v17") _, out("v18") _, out("v19") _,
                out("v20") _, out("v21") _, out("v22") _, out("v23") _,
                options(nostack),
            );
        }
        length - left
    }
}

/// Loops over bytes, for Miri, which interprets no assembly. Elsewhere [`Memory::of`] finds none, so nothing is called.
#[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod arch {
    use super::{Memory, CHUNK};

    /// Copies `length` bytes, in ascending order.
    ///
    /// # Safety
    ///
    /// So many bytes can be loaded from `source` and stored to `target`. If they overlap, `target` is below `source`.
    pub(crate) unsafe fn copy(source: *const u8, _: Memory, target: *mut u8, _: Memory, length: usize) {
        for index in 0..length {
            // SAFETY: By the contract.
            let byte = unsafe { source.wrapping_add(index).read_volatile() };
            // SAFETY: By the contract.
            unsafe { target.wrapping_add(index).write_volatile(byte) };
        }
    }

    /// Stores `pattern` over and over, in ascending order.
    ///
    /// # Safety
    ///
    /// `length` bytes can be stored to `target`.
    pub(crate) unsafe fn fill(target: *mut u8, _: Memory, pattern: &[u8; CHUNK], length: usize) {
        for (index, byte) in pattern.iter().cycle().take(length).enumerate() {
            // SAFETY: By the contract.
            unsafe { target.wrapping_add(index).write_volatile(*byte) };
        }
    }

    /// Compares `length` bytes, and returns how many of them, in whole chunks, are equal. If that is not all, the next
    /// chunk is in `found` as it was loaded from `source`.
    ///
    /// # Safety
    ///
    /// `length` is a multiple of [`CHUNK`], and so many bytes can be loaded from both.
    pub(crate) unsafe fn compare(
        source: *const u8,
        _: Memory,
        bytes: *const u8,
        length: usize,
        found: &mut [u8; CHUNK],
    ) -> usize {
        for start in (0..length).step_by(CHUNK) {
            let mut expected = [0; CHUNK];
            let mut loaded = [0; CHUNK];
            // SAFETY: By the contract; the array lies elsewhere.
            unsafe { copy(source.wrapping_add(start), Memory::Cached, loaded.as_mut_ptr(), Memory::Cached, CHUNK) };
            // SAFETY: As above.
            unsafe { copy(bytes.wrapping_add(start), Memory::Cached, expected.as_mut_ptr(), Memory::Cached, CHUNK) };
            if loaded != expected {
                *found = loaded;
                return start;
            }
        }
        length
    }
}

#[cfg(all(test, not(miri), target_arch = "x86_64"))]
mod tests {
    use super::arch::{compare_by, copy_by, fill_by, Registers};
    use super::*;

    const MEMORIES: [Memory; 2] = [Memory::Cached, Memory::WriteCombine];

    /// Where runs begin: on a line, where some streaming instructions are possible, and anywhere.
    const STARTS: [usize; 6] = [0, 16, 32, 48, 1, 61];

    const LENGTHS: [usize; 3] = [CHUNK, 2 * CHUNK, 5 * CHUNK];

    /// Room for the longest run wherever it begins, and as much around it.
    #[repr(align(64))]
    #[derive(Clone)]
    struct Room([u8; 16 * CHUNK]);

    fn noise(seed: u8) -> Room {
        Room(std::array::from_fn(|i| (i as u32).wrapping_mul(0x9e37_79b1).to_le_bytes()[3] ^ seed))
    }

    /// The ends of a run in a room.
    fn run(start: usize, length: usize) -> std::ops::Range<usize> {
        5 * CHUNK + start..5 * CHUNK + start + length
    }

    #[test]
    fn a_copy_copies_its_bytes_and_no_more() {
        for registers in Registers::all() {
            for (from, to) in MEMORIES.into_iter().flat_map(|from| MEMORIES.map(|to| (from, to))) {
                for (start, onto) in STARTS.into_iter().flat_map(|start| STARTS.map(|onto| (start, onto))) {
                    for length in LENGTHS {
                        let (source, mut target) = (noise(0), noise(0x55));
                        let mut expected = target.clone();
                        expected.0[run(onto, length)].copy_from_slice(&source.0[run(start, length)]);
                        let (bytes, room) = (&source.0[run(start, length)], &mut target.0[run(onto, length)]);
                        // SAFETY: Both have this length, and do not overlap.
                        unsafe { copy_by(registers, bytes.as_ptr(), from, room.as_mut_ptr(), to, length) };
                        assert!(target.0 == expected.0, "{registers:?} {from:?}+{start} {to:?}+{onto} {length}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_copy_downwards_may_overlap() {
        for registers in Registers::all() {
            for (from, to) in MEMORIES.into_iter().flat_map(|from| MEMORIES.map(|to| (from, to))) {
                for distance in [1, 8, 16, 32, 64, CHUNK - 1, CHUNK, CHUNK + 32] {
                    let (mut room, length) = (noise(0), 5 * CHUNK);
                    let mut expected = room.clone();
                    let source = run(0, length);
                    expected.0.copy_within(source.clone(), source.start - distance);
                    let target = room.0.as_mut_ptr().wrapping_add(source.start - distance);
                    let source = target.wrapping_add(distance);
                    // SAFETY: Both runs lie in the room, and the target is below.
                    unsafe { copy_by(registers, source, from, target, to, length) };
                    assert!(room.0 == expected.0, "{registers:?} {from:?} {to:?} {distance}");
                }
            }
        }
    }

    #[test]
    fn a_fill_repeats_its_pattern_and_no_more() {
        let pattern = std::array::from_fn(|i| (i % 8) as u8);
        for registers in Registers::all() {
            for (to, start, length) in cases() {
                let mut target = noise(0x55);
                let mut expected = target.clone();
                expected.0[run(start, length)].iter_mut().enumerate().for_each(|(i, byte)| *byte = (i % 8) as u8);
                let room = &mut target.0[run(start, length)];
                // SAFETY: It has this length.
                unsafe { fill_by(registers, room.as_mut_ptr(), to, &pattern, length) };
                assert!(target.0 == expected.0, "{registers:?} {to:?}+{start} {length}");
            }
        }
    }

    #[test]
    fn a_comparison_ends_at_the_first_chunk_that_differs() {
        for registers in Registers::all() {
            for (from, start, length) in cases() {
                let source = noise(0);
                let loaded = &source.0[run(start, length)];
                // The expected bytes begin elsewhere.
                let mut expected = vec![0; 3];
                expected.extend_from_slice(loaded);
                let compare = |expected: &[u8]| {
                    let mut found = [0; CHUNK];
                    // SAFETY: Both have this length.
                    let equal =
                        unsafe { compare_by(registers, loaded.as_ptr(), from, expected.as_ptr(), length, &mut found) };
                    (equal, found)
                };
                assert_eq!(compare(&expected[3..]), (length, [0; CHUNK]), "{registers:?} {from:?}+{start}");
                for at in 0..length {
                    expected[3 + at] ^= 1 << (at % 8);
                    let (equal, found) = compare(&expected[3..]);
                    assert_eq!(equal, at / CHUNK * CHUNK, "{registers:?} {from:?}+{start} {length}: byte {at}");
                    assert_eq!(found, loaded[equal..][..CHUNK]);
                    expected[3 + at] ^= 1 << (at % 8);
                }
            }
        }
    }

    fn cases() -> impl Iterator<Item = (Memory, usize, usize)> {
        MEMORIES.into_iter().flat_map(|memory| {
            STARTS.into_iter().flat_map(move |start| LENGTHS.map(move |length| (memory, start, length)))
        })
    }
}
