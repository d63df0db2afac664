// SPDX-License-Identifier: MIT OR Apache-2.0

//! The guest's page tables, read from outside: what the processor uses, not what the kernel reports.

use anyhow::{bail, ensure, Result};
use map_protocol::{CacheMode, Page};

use crate::{arch::PageTables, gdb::Gdb, machine::Machine, memory::Memory};

/// The page that some processor of the machine currently has at the virtual `address`, if any.
pub fn find_page(tables: PageTables, address: u64, memory: &Memory, machine: &mut Machine) -> Result<Option<Page>> {
    let word = |address| memory.word(address);
    machine.stopped(|gdb, processors| {
        for processor in 0..processors {
            let page = match tables {
                PageTables::X86 => X86Registers::read(gdb, processor)?.walk(address, word)?,
                PageTables::Arm64 => Arm64Tables::read(gdb, processor)?.walk(address, word)?,
                PageTables::Riscv64 => Riscv64Registers::read(gdb, processor)?.walk(address, word)?,
                PageTables::Arm => arm_page(gdb, processor, address, word)?,
            };
            if page.is_some() {
                return Ok(page);
            }
        }
        Ok(None)
    })
}

/// The registers of an x86_64 processor that determine the translation of a program's addresses.
#[derive(Debug)]
struct X86Registers {
    /// The address of the tables.
    cr3: u64,
    /// The code segment, whose two lowest bits are the privilege: 3 in a program.
    cs: u64,
}

impl X86Registers {
    fn read(gdb: &mut Gdb, processor: usize) -> Result<Self> {
        Ok(Self { cr3: gdb.register(processor, "cr3")?, cs: gdb.register(processor, "cs")? })
    }

    /// Walks the four levels of tables in memory, which `word` reads, as the processor does.
    fn walk(&self, address: u64, word: impl Fn(u64) -> Result<u64>) -> Result<Option<Page>> {
        const OUTPUT: u64 = 0x000f_ffff_ffff_f000;
        const PRESENT: u32 = 0;
        const WRITABLE: u32 = 1;
        const USER: u32 = 2;
        // In an entry above the last level: the entry is a page.
        const LARGE: u32 = 7;
        const NOT_EXECUTABLE: u32 = 63;
        // The kernel may have tables of its own, in which a program's pages are not executable.
        if self.cs & 3 != 3 || address >> 47 != 0 {
            return Ok(None);
        }
        let mut table = self.cr3 & OUTPUT;
        let (mut user, mut writable, mut executable) = (true, true, true);
        for level in (0..4).rev() {
            let shift = 12 + 9 * level;
            let entry = word(table + 8 * (address >> shift & 0x1ff))?;
            let bit = |number: u32| entry >> number & 1 == 1;
            if !bit(PRESENT) {
                return Ok(None);
            }
            // Every level has to permit an access.
            user &= bit(USER);
            writable &= bit(WRITABLE);
            executable &= !bit(NOT_EXECUTABLE);
            if level == 0 || (level < 3 && bit(LARGE)) {
                let below = (1 << shift) - 1;
                let physical = (entry & OUTPUT & !below) + (address & below);
                let cache = x86_cache(entry, level > 0);
                return Ok(Some(Page { physical, size: below + 1, cache, user, writable, executable }));
            }
            table = entry & OUTPUT;
        }
        Ok(None)
    }
}

/// The cache type of a page-table entry, by the PAT that Linux sets up.
fn x86_cache(entry: u64, large: bool) -> CacheMode {
    let bit = |number: u32| entry >> number & 1 == 1;
    let pat = bit(if large { 12 } else { 7 });
    let (disable, through) = (bit(4), bit(3));
    match (pat, disable, through) {
        (_, false, false) => CacheMode::Cached,
        (false, false, true) => CacheMode::WriteCombine,
        (_, true, false) => CacheMode::Uncached,
        (false, true, true) => CacheMode::Other("UC".into()),
        (true, false, true) => CacheMode::Other("WP".into()),
        (true, true, true) => CacheMode::Other("WT".into()),
    }
}

/// The tables of arm64.
#[derive(Debug)]
struct Arm64Tables {
    /// The address of the first table.
    table: u64,
    /// The binary logarithm of the size of a page.
    granule: u64,
    /// The number of bits of a program's addresses.
    bits: u64,
    /// The types of memory that entries select, a byte each.
    mair: u64,
}

impl Arm64Tables {
    /// Those that the registers of an arm64 processor name.
    fn new(ttbr0: u64, tcr: u64, mair: u64) -> Result<Self> {
        let granule = match tcr >> 14 & 3 {
            0 => 12,
            1 => 16,
            2 => 14,
            _ => bail!("TCR_EL1 is {tcr:#x}, which names no size of pages"),
        };
        let bits = 64 - (tcr & 0x3f);
        ensure!(bits > granule && bits <= 48, "TCR_EL1 is {tcr:#x}: {bits} bits of address");
        // Above the address is the number of the address space.
        Ok(Self { table: ttbr0 & 0x0000_ffff_ffff_fffe, granule, bits, mair })
    }

    fn read(gdb: &mut Gdb, processor: usize) -> Result<Self> {
        let mut register = |name| gdb.register(processor, name);
        Self::new(register("TTBR0_EL1")?, register("TCR_EL1")?, register("MAIR_EL1")?)
    }

    /// Walks the tables in memory, which `word` reads, as the processor does.
    fn walk(&self, address: u64, word: impl Fn(u64) -> Result<u64>) -> Result<Option<Page>> {
        const OUTPUT: u64 = 0x0000_ffff_ffff_f000;
        let stride = self.granule - 3;
        if address >> self.bits != 0 {
            return Ok(None);
        }
        let mut table = self.table;
        let levels = (self.bits - self.granule).div_ceil(stride);
        for level in (0..levels).rev() {
            let shift = self.granule + stride * level;
            let index = address >> shift & ((1 << stride) - 1);
            let entry = word(table + 8 * index)?;
            match (entry & 3, level) {
                // A table of the next level.
                (3, 1..) => table = entry & OUTPUT,
                // A page, or a block of many.
                (3, 0) | (1, 1..) => {
                    let below = (1 << shift) - 1;
                    return Ok(Some(self.page(entry, (entry & OUTPUT & !below) + (address & below), below + 1)));
                }
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    fn page(&self, entry: u64, physical: u64, size: u64) -> Page {
        let kind = (self.mair >> (8 * (entry >> 2 & 7))) as u8;
        let cache = match kind {
            // Device-nGnRnE: nothing gathered, nothing reordered, no early acknowledgement.
            0x00 => CacheMode::Uncached,
            // Normal memory, inner and outer non-cacheable.
            0x44 => CacheMode::WriteCombine,
            // Normal memory, write-back, allocated on reads and writes; or on reads alone.
            0xff | 0xee => CacheMode::Cached,
            other => CacheMode::Other(format!("MAIR {other:#04x}")),
        };
        let bit = |number: u32| entry >> number & 1 == 1;
        Page { physical, size, cache, user: bit(6), writable: !bit(7), executable: !bit(54) }
    }
}

/// The page of a program of arm: its kernel has tables with long descriptors, which are those of arm64, or short ones.
fn arm_page(gdb: &mut Gdb, processor: usize, address: u64, word: impl Fn(u64) -> Result<u64>) -> Result<Option<Page>> {
    let mut register = |name| gdb.register(processor, name);
    let ttbcr = register("TTBCR")?;
    // QEMU calls these by the names that they have on arm64, if they are the same.
    if ttbcr >> 31 & 1 == 1 {
        // The kernel has switched the program's tables off (EPD0) for itself: the processor is in no program.
        if ttbcr >> 7 & 1 == 1 {
            return Ok(None);
        }
        // MAIR0 and MAIR1 are the halves of one number.
        let mair = register("MAIR1")? << 32 | register("MAIR0")?;
        return Arm64Tables::of_arm(register("TTBR0")?, ttbcr, mair)?.walk(address, word);
    }
    // PRRR and NMRR, by the names that they have with the other descriptors.
    let types = ShortTypes::new(register("SCTLR")?, register("MAIR0")?, register("MAIR1")?)?;
    ShortTables::new(register("TTBR0_EL1")?, ttbcr, types)?.walk(address, word)
}

impl Arm64Tables {
    /// The tables of a program that the registers of an arm processor name, with long descriptors.
    fn of_arm(ttbr0: u64, ttbcr: u64, mair: u64) -> Result<Self> {
        let bits = 32 - (ttbcr & 7);
        ensure!(bits > 30, "TTBCR is {ttbcr:#x}: {bits} bits of a program's address");
        Ok(Self { table: ttbr0 & 0x0000_00ff_ffff_ffe0, granule: 12, bits, mair })
    }
}

/// The tables of arm with short descriptors.
#[derive(Debug)]
struct ShortTables {
    /// The address of the first table.
    table: u64,
    types: ShortTypes,
}

/// The types of memory that short descriptors select by three bits: TEX\[0\], C and B.
#[derive(Debug, Clone, Copy)]
struct ShortTypes {
    /// Two bits for each: strongly ordered, device, normal.
    prrr: u64,
    /// Two bits for each: what the inner caches do, and above them what the outer ones do.
    nmrr: u64,
}

impl ShortTypes {
    fn new(sctlr: u64, prrr: u64, nmrr: u64) -> Result<Self> {
        let bit = |number: u32| sctlr >> number & 1 == 1;
        ensure!(bit(28), "SCTLR is {sctlr:#x}: the types of memory are not remapped (TRE)");
        ensure!(!bit(29), "SCTLR is {sctlr:#x}: permissions have the simplified form (AFE)");
        Ok(Self { prrr, nmrr })
    }

    fn cache(self, index: u64) -> CacheMode {
        let two = |word: u64, first: u64| word >> first & 3;
        match (two(self.prrr, 2 * index), two(self.nmrr, 2 * index), two(self.nmrr, 16 + 2 * index)) {
            (0, _, _) => CacheMode::Uncached,
            (1, _, _) => CacheMode::Other("Device".into()),
            (2, 0, 0) => CacheMode::WriteCombine,
            // Write-back, allocated on reads and writes; or on reads alone.
            (2, 1, 1) | (2, 3, 3) => CacheMode::Cached,
            (kind, inner, outer) => CacheMode::Other(format!("type {kind}, inner {inner}, outer {outer}")),
        }
    }
}

impl ShortTables {
    /// The tables of a program that the registers of an arm processor name.
    fn new(ttbr0: u64, ttbcr: u64, types: ShortTypes) -> Result<Self> {
        ensure!(ttbcr & 7 == 0, "TTBCR is {ttbcr:#x}: the tables of a program are not for all addresses");
        Ok(Self { table: ttbr0 & 0xffff_c000, types })
    }

    /// Walks the two levels in memory, of which `word` reads 64 bits, as the processor does.
    fn walk(&self, address: u64, word: impl Fn(u64) -> Result<u64>) -> Result<Option<Page>> {
        if address >> 32 != 0 {
            return Ok(None);
        }
        let entry_at = |place: u64| Ok::<_, anyhow::Error>(word(place & !7)? >> (8 * (place & 4)) & 0xffff_ffff);
        let first = entry_at(self.table + 4 * (address >> 20))?;
        match first & 3 {
            0 => return Ok(None),
            1 => (),
            _ => {
                ensure!(first >> 18 & 1 == 0, "the entry {first:#x} is one of 16 for a supersection");
                // Its bits for permissions and types are those of a small page, elsewhere.
                return Ok(Some(self.page(first, first >> 10, first >> 12, first >> 4, 20, address)));
            }
        }
        let second = entry_at((first & 0xffff_fc00) + 4 * (address >> 12 & 0xff))?;
        Ok(match second & 3 {
            0 => None,
            // A large page, of 64 KiB.
            1 => Some(self.page(second, second >> 4, second >> 12, second >> 15, 16, address)),
            _ => Some(self.page(second, second >> 4, second >> 6, second, 12, address)),
        })
    }

    /// The page of an `entry` whose bits AP\[1:0\] (and AP\[2\] five above them), TEX and XN are the lowest ones of
    /// the next three, and which maps 2 to the power of `shift` bytes.
    fn page(&self, entry: u64, ap: u64, tex: u64, xn: u64, shift: u64, address: u64) -> Page {
        let below = (1 << shift) - 1;
        let cache = self.types.cache((tex & 1) << 2 | entry >> 2 & 3);
        // A program may load where AP[1] is 1, and store where the others say so, too.
        let (user, permissions) = (ap >> 1 & 1 == 1, ap >> 3 & 0b100 | ap & 0b011);
        // What the kernel alone may access, it may write where AP[2] is 0.
        let writable = permissions == 0b011 || permissions == 0b001;
        let physical = (entry & 0xffff_ffff & !below) + (address & below);
        Page { physical, size: below + 1, cache, user, writable, executable: xn & 1 == 0 }
    }
}

/// The register of a riscv64 processor that determines the translation of a program's addresses.
#[derive(Debug)]
struct Riscv64Registers {
    /// The layout of the tables, and their address.
    satp: u64,
}

impl Riscv64Registers {
    fn read(gdb: &mut Gdb, processor: usize) -> Result<Self> {
        Ok(Self { satp: gdb.register(processor, "satp")? })
    }

    /// Walks the tables in memory, which `word` reads, as the processor does.
    fn walk(&self, address: u64, word: impl Fn(u64) -> Result<u64>) -> Result<Option<Page>> {
        const VALID: u32 = 0;
        const READABLE: u32 = 1;
        const WRITABLE: u32 = 2;
        const EXECUTABLE: u32 = 3;
        const USER: u32 = 4;
        // The physical page number of satp and of an entry, as an address.
        let output = |word: u64, first: u32| (word >> first & ((1 << 44) - 1)) << 12;
        let levels = match self.satp >> 60 {
            // Sv39, Sv48, Sv57.
            mode @ 8..=10 => mode - 5,
            0 => return Ok(None),
            mode => bail!("satp is {:#x}, whose mode {mode} is unknown", self.satp),
        };
        // The highest bit is the kernel's half.
        if address >> (12 + 9 * levels - 1) != 0 {
            return Ok(None);
        }
        let mut table = output(self.satp, 0);
        for level in (0..levels).rev() {
            let shift = 12 + 9 * level;
            let entry = word(table + 8 * (address >> shift & 0x1ff))?;
            let bit = |number: u32| entry >> number & 1 == 1;
            if !bit(VALID) {
                return Ok(None);
            }
            if bit(READABLE) || bit(EXECUTABLE) {
                ensure!(entry >> 63 == 0, "the entry {entry:#x} is one of many for a larger page (Svnapot)");
                let below = (1 << shift) - 1;
                let physical = (output(entry, 10) & !below) + (address & below);
                let (writable, executable) = (bit(WRITABLE), bit(EXECUTABLE));
                let cache = riscv64_cache(entry);
                return Ok(Some(Page { physical, size: below + 1, cache, user: bit(USER), writable, executable }));
            }
            table = output(entry, 10);
        }
        Ok(None)
    }
}

/// The cache type of a page-table entry, by Svpbmt; without that extension the bits are reserved, and 0.
fn riscv64_cache(entry: u64) -> CacheMode {
    match entry >> 61 & 3 {
        // As the platform has the address: memory is cached.
        0 => CacheMode::Cached,
        // NC: not cached, idempotent, weakly ordered.
        1 => CacheMode::WriteCombine,
        // IO: not cached, not idempotent, strongly ordered.
        2 => CacheMode::Uncached,
        reserved => CacheMode::Other(format!("Svpbmt {reserved}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A memory of zeros, except these words.
    fn words(words: &'static [(u64, u64)]) -> impl Fn(u64) -> Result<u64> + Copy {
        move |wanted| Ok(words.iter().find(|(address, _)| *address == wanted).map_or(0, |(_, word)| *word))
    }

    #[test]
    fn the_four_levels_of_x86_are_walked() {
        let registers = X86Registers { cr3: 0x1000, cs: 0x33 };
        let word = words(&[
            (0x1000 + 8, 0x2067),
            (0x2000 + 8 * 2, 0x3067),
            (0x3000 + 8 * 3, 0x4067),
            // Present, writable, of the user, PCD, not executable.
            (0x4000 + 8 * 4, 1 << 63 | 0xc000_0000 | 0x77),
            // The same, but its table is not writable.
            (0x3000 + 8 * 5, 0x4065),
            // A page of 2 MiB: write-combining, executable.
            (0x3000 + 8 * 6, 0xc020_0000 | 0xef),
            // A page of 1 GiB, with the bit PAT of a large entry.
            (0x2000 + 8 * 7, 0x1_0000_0000 | 1 << 12 | 0xe7),
        ]);
        let walk = |address: u64| registers.walk(address, word).unwrap();
        let base = 1 << 39;
        let small = Page {
            physical: 0xc000_0123,
            size: 1 << 12,
            cache: CacheMode::Uncached,
            user: true,
            writable: true,
            executable: false,
        };
        assert_eq!(walk(base + (2 << 30) + (3 << 21) + (4 << 12) + 0x123), Some(small.clone()));
        let read_only = Page { writable: false, ..small };
        assert_eq!(walk(base + (2 << 30) + (5 << 21) + (4 << 12) + 0x123), Some(read_only));
        let large = Page {
            physical: 0xc020_1000,
            size: 1 << 21,
            cache: CacheMode::WriteCombine,
            user: true,
            writable: true,
            executable: true,
        };
        assert_eq!(walk(base + (2 << 30) + (6 << 21) + 0x1000), Some(large.clone()));
        let huge = Page { physical: 0x1_0000_2000, size: 1 << 30, cache: CacheMode::Cached, ..large };
        assert_eq!(walk(base + (7 << 30) + 0x2000), Some(huge));
        assert_eq!(walk(base + (2 << 30) + (3 << 21) + (5 << 12)), None);
        assert_eq!(walk(0), None);
        assert_eq!(walk(1 << 47), None);
    }

    #[test]
    fn a_processor_in_the_kernel_is_not_asked() {
        let anywhere = |_| Ok(0x1067);
        let walk = |cs| X86Registers { cr3: 0x1000, cs }.walk(0x1000, anywhere).unwrap();
        assert!(walk(0x10).is_none() && walk(0x23).is_some() && walk(0x33).is_some());
    }

    #[test]
    fn the_cache_type_is_that_of_linuxs_table() {
        // The entries 0 to 7 of the table, for small pages and for large ones.
        let types =
            |pat: u64, large| (0..8).map(|n| x86_cache((n & 3) << 3 | (n >> 2) << pat, large)).collect::<Vec<_>>();
        let other = |text: &str| CacheMode::Other(text.into());
        let (cached, uncached) = (CacheMode::Cached, CacheMode::Uncached);
        let first = [cached.clone(), CacheMode::WriteCombine, uncached.clone(), other("UC")];
        let second = [cached, other("WP"), uncached, other("WT")];
        let expected = [first, second].concat();
        assert_eq!(types(7, false), expected);
        assert_eq!(types(12, true), expected);
    }

    #[test]
    fn the_levels_of_arm64_are_walked() {
        // 39 bits of address in pages of 4 KiB: three levels, each with one entry that counts.
        let registers = Arm64Tables::new(0x0007_0000_4000_0001, 25, 0x44_ff_00).unwrap();
        let word = words(&[
            (0x4000_0008, 0x4000_1003),
            (0x4000_1000 + 8 * 3, 0x4000_2003),
            (0x4000_2000 + 8 * 5, 0x0060_0000_c000_0743),
            // A block of 2 MiB.
            (0x4000_1000 + 8 * 4, 0x0060_0000_c020_0741),
        ]);
        let address = (1 << 30) + (3 << 21) + (5 << 12);
        let expected = Page {
            physical: 0xc000_0000,
            size: 1 << 12,
            cache: CacheMode::Uncached,
            user: true,
            writable: true,
            executable: false,
        };
        assert_eq!(registers.walk(address, word).unwrap(), Some(expected.clone()));
        let block = (1 << 30) + (3 << 21) + (1 << 21);
        let expected = Page { physical: 0xc020_3000, size: 1 << 21, ..expected };
        assert_eq!(registers.walk(block + 0x3000, word).unwrap(), Some(expected));
        assert_eq!(registers.walk(address + 0x1000, word).unwrap(), None);
        assert_eq!(registers.walk(1 << 40, word).unwrap(), None);
    }

    #[test]
    fn the_long_descriptors_of_arm_are_walked() {
        // Three levels, the first of four entries; the number of the address space is in the highest bits of TTBR0.
        let mair = 0xff00_0004_eeaa_4400;
        let tables = Arm64Tables::of_arm(0x0007_0000_4000_3000, 0xb502_3500, mair).unwrap();
        let words = words(&[
            (0x4000_3000 + 8 * 2, 0x4000_1003),
            (0x4000_1000 + 8 * 3, 0x4000_2003),
            // Above 4 GiB. Of the user, not global, not executable; writable, or not.
            (0x4000_2000 + 8 * 5, 0x0040_0001_0000_0f43),
            (0x4000_2000 + 8 * 6, 0x0040_0000_c000_0fc7),
            (0x4000_2000 + 8 * 7, 0x0040_0000_c000_0f4f),
            (0x4000_2000 + 8 * 8, 0x0040_0000_c000_0f5f),
            (0x4000_2000 + 8 * 9, 0x0040_0000_c000_0f53),
            // A block of 2 MiB.
            (0x4000_1000 + 8 * 4, 0x0040_0000_c020_0f41),
        ]);
        let walk = |address: u64| tables.walk(address, words).unwrap();
        let address = (2 << 30) + (3 << 21) + (5 << 12);
        let expected = Page {
            physical: 0x1_0000_0123,
            size: 1 << 12,
            cache: CacheMode::Uncached,
            user: true,
            writable: true,
            executable: false,
        };
        assert_eq!(walk(address + 0x123), Some(expected.clone()));
        let cache = CacheMode::WriteCombine;
        let combined = Page { physical: 0xc000_0000, cache, writable: false, ..expected.clone() };
        assert_eq!(walk(address + 0x1000), Some(combined));
        for (page, cache) in [(2, CacheMode::Cached), (3, CacheMode::Cached)] {
            assert_eq!(walk(address + 0x1000 * page).unwrap().cache, cache);
        }
        // A device, which is not as strict.
        assert_eq!(walk(address + 0x4000).unwrap().cache, CacheMode::Other("MAIR 0x04".into()));
        let block = Page { physical: 0xc020_3000, size: 1 << 21, ..expected };
        assert_eq!(walk((2 << 30) + (4 << 21) + 0x3000), Some(block));
        assert_eq!(walk(address + 0x5000), None);
        assert_eq!(walk(1 << 32), None);
        assert!(Arm64Tables::of_arm(0, 0x8000_0002, 0).is_err());
    }

    #[test]
    fn the_short_descriptors_of_arm_are_walked() {
        // As Linux sets up the registers; the flags of the walk itself are in the lowest bits of TTBR0.
        let types = ShortTypes::new(0x10c5_3c7d, 0xff0a_81a8, 0x40e0_40e0).unwrap();
        let tables = ShortTables::new(0x4000_406a, 0, types).unwrap();
        let words = words(&[
            // Two entries in each word: one for 0x00100000 and one for 0x00000000, which maps nothing.
            (0x4000_4000, 0x4000_a401 << 32),
            // 0x00200000 is a section; 0x00300000 is a table again.
            (0x4000_4008, 0x4000_a801 << 32 | 0xc021_0c12),
            // nG, S, AP 011; XN: uncached, write-combining.
            (0x4000_a400 + 8, 0xc000_1c37 << 32 | 0xc000_0c33),
            // AP 111: read-only; TEX 1, C and B: write-back, allocated on writes. The kernel's own, executable.
            (0x4000_a400 + 16, 0xc000_341e << 32 | 0xc000_2e7f),
            // A device (TEX 1), and write-back not allocated on writes.
            (0x4000_a400 + 24, 0xc000_5c3f << 32 | 0xc000_4c73),
            // A large page, with TEX 1 and XN elsewhere.
            (0x4000_a800 + 8, 0xc003_9c3d),
        ]);
        let walk = |address: u64| tables.walk(address, words).unwrap();
        let expected = Page {
            physical: 0xc000_0123,
            size: 1 << 12,
            cache: CacheMode::Uncached,
            user: true,
            writable: true,
            executable: false,
        };
        assert_eq!(walk(0x0010_2123), Some(expected.clone()));
        let combined = Page { physical: 0xc000_1000, cache: CacheMode::WriteCombine, ..expected.clone() };
        assert_eq!(walk(0x0010_3000), Some(combined));
        let cached = Page { cache: CacheMode::Cached, physical: 0xc000_2004, writable: false, ..expected.clone() };
        assert_eq!(walk(0x0010_4004), Some(cached));
        let kernels = walk(0x0010_5000).unwrap();
        assert_eq!((kernels.user, kernels.writable, kernels.executable), (false, true, true));
        assert_eq!(walk(0x0010_6000).unwrap().cache, CacheMode::Other("Device".into()));
        assert_eq!(walk(0x0010_7000).unwrap().cache, CacheMode::Cached);
        let section = walk(0x0021_2345).unwrap();
        assert_eq!((section.physical, section.size, section.user), (0xc021_2345, 1 << 20, true));
        assert!(!section.executable && section.cache == CacheMode::Uncached && section.writable);
        let large = walk(0x0030_2345).unwrap();
        assert_eq!((large.physical, large.size, large.executable), (0xc003_2345, 1 << 16, false));
        assert_eq!(large.cache, CacheMode::Cached);
        // Neither level maps these, and none is above 4 GiB.
        assert!([0, 0x0010_0000, 0x0040_0000, 1 << 32].into_iter().all(|address| walk(address).is_none()));
        // What is not understood is an error.
        assert!(ShortTypes::new(0x00c5_3c7d, 0, 0).is_err() && ShortTypes::new(0x30c5_3c7d, 0, 0).is_err());
        assert!(ShortTables::new(0, 1, types).is_err());
    }

    #[test]
    fn the_levels_of_riscv64_are_walked() {
        // Sv39: three levels. An entry has the page number from its bit 10 on.
        let page = |address: u64, flags: u64| address >> 2 | flags;
        let words: &[(u64, u64)] = &[
            (0x8000_0008, page(0x8000_1000, 0x01)),
            (0x8000_1000 + 8 * 3, page(0x8000_2000, 0x01)),
            // Valid, readable, writable, of the user, accessed, dirty; IO.
            (0x8000_2000 + 8 * 5, page(0xc000_0000, 2 << 61 | 0xd7)),
            // Not writable; as the platform has it.
            (0x8000_2000 + 8 * 6, page(0xc000_1000, 0x53)),
            // A page of 2 MiB: NC, executable.
            (0x8000_1000 + 8 * 4, page(0xc020_0000, 1 << 61 | 0xdf)),
        ];
        let words: &'static [(u64, u64)] = words.to_vec().leak();
        let walk = |mode: u64, address: u64| {
            Riscv64Registers { satp: mode << 60 | 0xffff << 44 | 0x8_0000 }.walk(address, self::words(words)).unwrap()
        };
        let address = (1 << 30) + (3 << 21) + (5 << 12);
        let expected = Page {
            physical: 0xc000_0123,
            size: 1 << 12,
            cache: CacheMode::Uncached,
            user: true,
            writable: true,
            executable: false,
        };
        assert_eq!(walk(8, address + 0x123), Some(expected.clone()));
        let read_only = Page { physical: 0xc000_1000, cache: CacheMode::Cached, writable: false, ..expected.clone() };
        assert_eq!(walk(8, address + 0x1000), Some(read_only));
        let cache = CacheMode::WriteCombine;
        let large = Page { physical: 0xc020_1000, size: 1 << 21, cache, executable: true, ..expected };
        assert_eq!(walk(8, (1 << 30) + (4 << 21) + 0x1000), Some(large));
        assert_eq!(walk(8, address + 0x2000), None);
        // Of the kernel's half.
        assert_eq!(walk(8, address + (1 << 38)), None);
        // One more level begins with other bits of the address; and without translation there is no page.
        assert_eq!(walk(9, address), None);
        assert_eq!(walk(0, address), None);
    }

    #[test]
    fn larger_pages_of_arm64_are_walked() {
        let words = words(&[
            // 64 KiB, 48 bits of address: three levels, of 64 entries and 8192.
            (0x4000_0000 + 8 * 2, 0x4001_0003),
            (0x4001_0000 + 8 * 3, 0x4002_0003),
            (0x4002_0000 + 8 * 8191, 0x0060_0000_c001_0743),
            // 16 KiB, 47 bits: three levels of 2048.
            (0x5000_0000 + 8 * 2, 0x5000_4003),
            (0x5000_4000 + 8 * 3, 0x5000_8003),
            (0x5000_8000 + 8 * 2047, 0x0060_0000_c000_4743),
        ]);
        let walk = |table: u64, tcr: u64, address: u64| {
            let page = Arm64Tables::new(table, tcr, 0x44_ff_00).unwrap().walk(address, words).unwrap();
            page.map(|page| (page.physical, page.size))
        };
        let large = (2 << 42) + (3 << 29) + (8191 << 16) + 0x1_234;
        assert_eq!(walk(0x4000_0000, 1 << 14 | 16, large), Some((0xc001_1234, 1 << 16)));
        let middle = (2 << 36) + (3 << 25) + (2047 << 14) + 0x1234;
        assert_eq!(walk(0x5000_0000, 2 << 14 | 17, middle), Some((0xc000_5234, 1 << 14)));
        assert!(Arm64Tables::new(0, 3 << 14 | 16, 0).is_err());
    }
}
