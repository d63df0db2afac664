// SPDX-License-Identifier: MIT OR Apache-2.0

//! The processor's caches: what a program may do about them for a device that does not look into them.
//!
//! # Why the unsafe code here is sound
//!
//! * The instructions move lines between the caches and the memory. They change neither a value that a program can see
//!   nor a register. An address must be mapped, or they fault as a load does.
//! * They are used only where the processor has them, and the kernel lets programs use them.

#![allow(unsafe_code)]

#[cfg(all(
    not(miri),
    any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")
))]
use std::arch::asm;

use crate::driver::CacheMode;
#[cfg(any(test, all(not(miri), target_arch = "riscv64")))]
use crate::page::PageSize;
use crate::{Error, Mapping, Operation, Result};

impl Mapping {
    /// Writes `length` bytes from `offset` on back to memory, as far as caches have newer ones, and waits until they
    /// are there.
    ///
    /// For a cached window that is shared with a device that does not snoop the caches: after storing what the device
    /// is to read, and before telling it so. It works on whole cache lines, and costs an instruction for each, and the
    /// time that the memory takes for those that were changed.
    ///
    /// What it cannot promise: a line also holds its neighbours. A device that stores into a line that the program
    /// writes back loses its store. So what the program writes and what the device writes must not share a line, which
    /// has 64 bytes on most processors and up to 2 KiB by the architecture. And a cache that the architecture's
    /// instructions do not reach, as some system caches beside an interconnect, is left alone.
    ///
    /// | architecture | `clean` | `invalidate`, `clean_invalidate` | and then |
    /// |---|---|---|---|
    /// | x86, x86_64 | `clwb`, else `clflushopt`, else `clflush` | `clflushopt`, else `clflush` | `sfence`; `mfence` |
    /// | arm64 | `dc cvac` | `dc civac` | `dsb sy` |
    /// | riscv64 with Zicbom | `cbo.clean` | `cbo.flush` | `fence iorw, iorw` |
    /// | others | not possible | not possible | |
    ///
    /// On riscv64 the instructions need a page that is mapped already, or a mapping for writing. So where the mapping
    /// is for reading alone, a byte of the range in each page is loaded first.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfBounds`]; [`Error::NotCached`] for a mapping that is known not to be cached, whose stores no cache
    /// keeps; [`Error::NoCacheMaintenance`] on a processor that does not let programs do it; and
    /// [`Error::UnknownCacheType`] on riscv64 for a mapping for reading alone whose [cache type](Self::cache) is not
    /// known: it may be of registers, which nothing loads unasked. Nothing was done then.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use devmap::Device;
    ///
    /// let buffer = Device::window("buffer")?.map_all()?;
    /// buffer.bulk().fill(0, 0x1000, 0xffu8)?;
    /// buffer.clean(0, 0x1000)?;
    /// // Now the device may read it.
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn clean(&self, offset: usize, length: usize) -> Result<()> {
        self.maintain(Operation::Clean, offset, length)
    }

    /// Removes `length` bytes from `offset` on from the caches, so that the next loads fetch them from memory.
    ///
    /// For a cached window that is shared with a device that does not snoop the caches: after the device has written,
    /// and before the program loads. Lines that the program has changed are written back, since no processor lets a
    /// program drop them: over what the device has written. So call it also *before* the device writes, and store
    /// nothing until it has. The processor may fetch lines again whenever it likes, which the call after the device has
    /// written takes care of.
    ///
    /// Its cost, its instructions and what it cannot promise are those of [`clean`](Self::clean).
    ///
    /// # Errors
    ///
    /// As for [`clean`](Self::clean).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use devmap::Device;
    ///
    /// let buffer = Device::window("buffer")?.map_all()?;
    /// buffer.invalidate(0, 0x1000)?;
    /// // Now the device may write it. When it is done:
    /// buffer.invalidate(0, 0x1000)?;
    /// let mut bytes = [0; 0x1000];
    /// buffer.bulk().read_into(0, &mut bytes)?;
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn invalidate(&self, offset: usize, length: usize) -> Result<()> {
        self.maintain(Operation::Invalidate, offset, length)
    }

    /// Writes `length` bytes from `offset` on back to memory, and removes them from the caches.
    ///
    /// For a buffer that the device reads and then writes: one call before the device begins does the work of
    /// [`clean`](Self::clean) and of the first [`invalidate`](Self::invalidate). On today's processors it is the same
    /// as `invalidate`.
    ///
    /// # Errors
    ///
    /// As for [`clean`](Self::clean).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use devmap::Device;
    ///
    /// let buffer = Device::window("buffer")?.map_all()?;
    /// buffer.write::<u32>(0, 0x1234)?;
    /// buffer.clean_invalidate(0, 4)?;
    /// // Now the device may replace it by its answer.
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn clean_invalidate(&self, offset: usize, length: usize) -> Result<()> {
        self.maintain(Operation::CleanInvalidate, offset, length)
    }

    fn maintain(&self, operation: Operation, offset: usize, length: usize) -> Result<()> {
        self.bulk().check(operation, offset, length)?;
        match self.cache() {
            Some(CacheMode::Cached) | None => {}
            Some(cache) => return Err(Error::NotCached { operation, range: self.range(), cache }),
        }
        let lines = Lines::of_processor().ok_or(Error::NoCacheMaintenance { operation, range: self.range() })?;
        let fetches = cfg!(all(not(miri), target_arch = "riscv64")) && !self.is_writable();
        if fetches && self.cache().is_none() {
            return Err(Error::UnknownCacheType { operation, range: self.range() });
        }
        let start = self.as_ptr().addr() + offset;
        for line in lines.addresses(start, length) {
            #[cfg(all(not(miri), target_arch = "riscv64"))]
            if let Some(byte) = first_of_page(line, start, crate::page::system()).filter(|_| fetches) {
                // SAFETY: The byte is one of the range that was checked, and so of the mapping, which is cached.
                unsafe { lines.fetch_page(byte) };
            }
            // SAFETY: Each line has a byte of the mapping, which lives as long as `self`, and no line leaves its page.
            unsafe { lines.maintain(operation, line) };
        }
        lines.wait(operation);
        Ok(())
    }
}

/// The first byte of its page at or behind `start`, if it is in `line`, one of those from `start` on.
#[cfg(any(test, all(not(miri), target_arch = "riscv64")))]
fn first_of_page(line: usize, start: usize, page: PageSize) -> Option<usize> {
    (line <= start || line as u64 == page.round_down(line as u64)).then_some(line.max(start))
}

impl Lines {
    /// The addresses of all lines that have one of `length` bytes from `start` on.
    fn addresses(self, start: usize, length: usize) -> impl Iterator<Item = usize> {
        // A line's size is a power of two.
        let first = start & !(self.size - 1);
        let count = if length == 0 { 0 } else { (start - first + length).div_ceil(self.size) };
        (0..count).map(move |index| first + index * self.size)
    }
}

/// The processor's cache lines, and what it has for them.
#[cfg(all(not(miri), any(target_arch = "x86", target_arch = "x86_64")))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lines {
    /// In bytes.
    size: usize,
    /// CLWB.
    write_back: bool,
    /// CLFLUSHOPT, which does not wait for other lines as CLFLUSH does.
    flush: bool,
}

#[cfg(all(not(miri), any(target_arch = "x86", target_arch = "x86_64")))]
impl Lines {
    /// Asks the processor, once: on a virtual machine CPUID takes long.
    fn of_processor() -> Option<Self> {
        static LINES: std::sync::OnceLock<Option<Lines>> = std::sync::OnceLock::new();
        *LINES.get_or_init(Self::ask)
    }

    #[allow(unused_unsafe, reason = "CPUID is safe to call since Rust 1.94")]
    fn ask() -> Option<Self> {
        #[cfg(target_arch = "x86")]
        use std::arch::x86::{__cpuid, __cpuid_count};
        #[cfg(target_arch = "x86_64")]
        use std::arch::x86_64::{__cpuid, __cpuid_count};

        // SAFETY: Every processor with SSE2, which Rust needs on both, has CPUID.
        let highest = unsafe { __cpuid(0) }.eax;
        // SAFETY: As above.
        let features = unsafe { __cpuid(1) };
        // SAFETY: As above; the leaf is asked for only where it exists.
        let extended = if highest >= 7 { unsafe { __cpuid_count(7, 0) }.ebx } else { 0 };
        let has = |register: u32, bit: u32| register >> bit & 1 != 0;
        // In units of 8 bytes.
        let size = 8 * (features.ebx >> 8 & 0xff) as usize;
        // CLFLUSH has a bit of its own.
        (has(features.edx, 19) && size.is_power_of_two()).then_some(Self {
            size,
            write_back: has(extended, 24),
            flush: has(extended, 23),
        })
    }

    /// Applies the instruction for `operation` to the line at `address`.
    ///
    /// # Safety
    ///
    /// The address must be mapped.
    unsafe fn maintain(self, operation: Operation, address: usize) {
        if self.write_back && operation == Operation::Clean {
            // SAFETY: By the contract, and the processor has the instruction.
            unsafe { asm!("clwb [{0}]", in(reg) address, options(nostack, preserves_flags)) };
        } else if self.flush {
            // SAFETY: As above.
            unsafe { asm!("clflushopt [{0}]", in(reg) address, options(nostack, preserves_flags)) };
        } else {
            // SAFETY: As above.
            unsafe { asm!("clflush [{0}]", in(reg) address, options(nostack, preserves_flags)) };
        }
    }

    /// Orders it before what follows: the stores after a write-back, and otherwise also the loads.
    fn wait(self, operation: Operation) {
        match operation {
            // SAFETY: The instruction only waits.
            Operation::Clean => unsafe { asm!("sfence", options(nostack, preserves_flags)) },
            // SAFETY: As above.
            _ => unsafe { asm!("mfence", options(nostack, preserves_flags)) },
        }
    }
}

/// The processor's cache lines.
#[cfg(all(not(miri), target_arch = "aarch64"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lines {
    /// In bytes, the smallest of all caches.
    size: usize,
}

#[cfg(all(not(miri), target_arch = "aarch64"))]
impl Lines {
    /// Reads it from a register that Linux lets programs read, or emulates.
    fn of_processor() -> Option<Self> {
        let ctr: u64;
        // SAFETY: Reading the register changes nothing.
        unsafe { asm!("mrs {0}, ctr_el0", out(reg) ctr, options(nomem, nostack, preserves_flags)) };
        // DminLine: the binary logarithm of the number of words.
        Some(Self { size: 4 << (ctr >> 16 & 0xf) })
    }

    /// Applies the instruction for `operation` to the line at `address`. Linux lets programs use both, or does it for
    /// them where a processor needs it.
    ///
    /// # Safety
    ///
    /// The address must be mapped.
    unsafe fn maintain(self, operation: Operation, address: usize) {
        match operation {
            // SAFETY: By the contract.
            Operation::Clean => unsafe {
                asm!("dc cvac, {0}", in(reg) address, options(nostack, preserves_flags));
            },
            // SAFETY: As above.
            _ => unsafe { asm!("dc civac, {0}", in(reg) address, options(nostack, preserves_flags)) },
        }
    }

    /// Waits until it is done, as devices see it too.
    fn wait(self, _: Operation) {
        // SAFETY: The instruction only waits.
        unsafe { asm!("dsb sy", options(nostack, preserves_flags)) };
    }
}

/// The blocks that the processor's instructions for caches work on.
#[cfg(all(not(miri), target_arch = "riscv64"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lines {
    /// In bytes.
    size: usize,
}

#[cfg(all(not(miri), target_arch = "riscv64"))]
impl Lines {
    /// Asks the kernel, once: whether the processor has Zicbom, and whether programs may use it.
    fn of_processor() -> Option<Self> {
        static LINES: std::sync::OnceLock<Option<Lines>> = std::sync::OnceLock::new();
        *LINES.get_or_init(Self::ask)
    }

    /// By riscv_hwprobe(2). A kernel that does not know a key, or the call, does not permit the instructions either.
    fn ask() -> Option<Self> {
        /// `struct riscv_hwprobe`.
        #[repr(C)]
        struct Pair {
            key: i64,
            value: u64,
        }
        /// The number of the system call.
        const HWPROBE: nix::libc::c_long = 258;
        const EXTENSIONS: i64 = 4;
        const ZICBOM: u64 = 1 << 55;
        const BLOCK_SIZE: i64 = 12;

        let mut pairs = [Pair { key: EXTENSIONS, value: 0 }, Pair { key: BLOCK_SIZE, value: 0 }];
        // SAFETY: The call writes the pairs alone. No set of processors is given, which means all of them.
        let result = unsafe {
            nix::libc::syscall(
                HWPROBE,
                pairs.as_mut_ptr(),
                pairs.len(),
                0_usize,
                std::ptr::null_mut::<nix::libc::c_ulong>(),
                0_u32,
            )
        };
        let [extensions, block] = pairs;
        // An unknown key becomes -1.
        let known = result == 0 && extensions.key == EXTENSIONS && block.key == BLOCK_SIZE;
        let size = usize::try_from(block.value).ok().filter(|size| size.is_power_of_two())?;
        (known && extensions.value & ZICBOM != 0).then_some(Self { size })
    }

    /// Loads a byte, which brings the page into the page table if the kernel has not done so yet. The instructions for
    /// caches would fault as stores do, which a mapping for reading does not permit.
    ///
    /// # Safety
    ///
    /// The address must be mapped, from memory that is cached: there a load changes nothing that anyone sees.
    unsafe fn fetch_page(self, address: usize) {
        // SAFETY: By the contract.
        unsafe { asm!("lb {0}, 0({1})", out(reg) _, in(reg) address, options(nostack, preserves_flags, readonly)) };
    }

    /// Applies the instruction for `operation` to the block at `address`. The one that would drop a block, `cbo.inval`,
    /// Linux keeps for itself.
    ///
    /// # Safety
    ///
    /// The address must be mapped.
    unsafe fn maintain(self, operation: Operation, address: usize) {
        match operation {
            // SAFETY: By the contract, and the processor has the instruction.
            Operation::Clean => unsafe {
                asm!(
                    ".option push",
                    ".option arch, +zicbom",
                    "cbo.clean 0({0})",
                    ".option pop",
                    in(reg) address,
                    options(nostack, preserves_flags),
                );
            },
            // SAFETY: As above.
            _ => unsafe {
                asm!(
                    ".option push",
                    ".option arch, +zicbom",
                    "cbo.flush 0({0})",
                    ".option pop",
                    in(reg) address,
                    options(nostack, preserves_flags),
                );
            },
        }
    }

    /// Orders it before what follows, accesses of devices too.
    fn wait(self, _: Operation) {
        // SAFETY: The instruction only waits.
        unsafe { asm!("fence iorw, iorw", options(nostack, preserves_flags)) };
    }
}

/// There is no instruction that programs may use everywhere, and none that Miri can interpret: for what is checked
/// before, Miri gets lines.
#[cfg(any(
    miri,
    not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))
))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lines {
    size: usize,
}

#[cfg(any(
    miri,
    not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))
))]
impl Lines {
    fn of_processor() -> Option<Self> {
        cfg!(miri).then_some(Self { size: 64 })
    }

    /// # Safety
    ///
    /// None is needed.
    unsafe fn maintain(self, _: Operation, _: usize) {}

    fn wait(self, _: Operation) {}
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Device, PhysRange};

    fn mapping(length: u64) -> Mapping {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(0x3000).unwrap();
        Device::open(file.path()).unwrap().map(PhysRange::new(0x101, length).unwrap()).unwrap()
    }

    proptest! {
        #[test]
        fn the_lines_are_those_that_have_a_byte_of_the_range(start in 0x1000usize..0x1200, length in 0usize..0x400) {
            let Some(lines) = Lines::of_processor() else { return Ok(()) };
            let found: Vec<_> = lines.addresses(start, length).collect();
            let with_a_byte: Vec<_> = (0..0x2000)
                .step_by(lines.size)
                .filter(|line| (start..start + length).any(|byte| (*line..line + lines.size).contains(&byte)))
                .collect();
            prop_assert_eq!(found, with_a_byte);
        }
    }

    proptest! {
        #[test]
        fn each_page_is_fetched_once_by_a_byte_of_the_range(start in 0x1000usize..0x2000, length in 0usize..0x4000) {
            let Some(lines) = Lines::of_processor() else { return Ok(()) };
            let page = PageSize::new(0x1000).unwrap();
            let fetched: Vec<_> =
                lines.addresses(start, length).filter_map(|line| first_of_page(line, start, page)).collect();
            let of_the_range: Vec<_> =
                (start..start + length).filter(|byte| *byte == start || byte % 0x1000 == 0).collect();
            prop_assert_eq!(fetched, of_the_range);
        }
    }

    #[test]
    fn the_bytes_stay_what_they_are() {
        let mapping = mapping(0x1234);
        if Lines::of_processor().is_none() {
            for result in [mapping.clean(0, 1), mapping.invalidate(0, 1), mapping.clean_invalidate(0, 1)] {
                assert!(matches!(result, Err(Error::NoCacheMaintenance { .. })), "{result:?}");
            }
            return;
        }
        let bytes: Vec<_> = (0..mapping.len()).map(|i| (i % 251) as u8).collect();
        for (offset, length) in [(0, mapping.len()), (0, 0), (mapping.len(), 0), (0x1233, 1), (63, 2)] {
            mapping.bulk().write_from(0, &bytes).unwrap();
            mapping.clean(offset, length).unwrap();
            mapping.invalidate(offset, length).unwrap();
            mapping.clean_invalidate(offset, length).unwrap();
            assert_eq!(mapping.bulk().compare(0, &bytes).unwrap(), None);
        }
    }

    #[test]
    fn what_lies_outside_or_is_not_cached_is_an_error() {
        let mapping = mapping(0x1000);
        assert!(matches!(mapping.clean(0xfff, 2), Err(Error::OutOfBounds { offset: 0xfff, length: 2, .. })));
        assert!(matches!(mapping.invalidate(usize::MAX, 2), Err(Error::OutOfBounds { .. })));
        let range = mapping.range();
        let combined = mapping.with_cache(Some(CacheMode::WriteCombine));
        let error = combined.clean_invalidate(0, 4).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "cannot clean and invalidate the caches for {range}: its cache type is wc, so no cache keeps it; this \
                 is for cached windows"
            )
        );
        assert!(matches!(combined.with_cache(Some(CacheMode::Uncached)).clean(0, 4), Err(Error::NotCached { .. })));
    }
}
