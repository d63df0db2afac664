// SPDX-License-Identifier: MIT OR Apache-2.0

//! The guest's page tables, looked at from outside: what the processor is told, not what the kernel says of it.

use anyhow::{bail, ensure, Context, Result};
use map_qemu::protocol::{Cache, Page};

use crate::{arch::PageTables, gdb::Gdb, machine::Machine, memory::Memory};

/// The page that some processor of the machine has at the virtual `address` just now, if one has.
pub fn look(tables: PageTables, address: u64, memory: &Memory, machine: &mut Machine) -> Result<Option<Page>> {
    match tables {
        PageTables::X86Monitor => {
            let table = machine.monitor().human("info tlb")?;
            let start = format!("{address:016x}:");
            table.lines().find(|line| line.starts_with(&start)).map(x86_page).transpose()
        }
        PageTables::Arm64Walk => machine.stopped(|gdb, processors| {
            for processor in 0..processors {
                let registers = Arm64Registers::read(gdb, processor)?;
                if let Some(page) = registers.walk(address, |address| memory.word(address))? {
                    return Ok(Some(page));
                }
            }
            Ok(None)
        }),
    }
}

/// A line of the monitor's `info tlb`: `virtual: physical flags`, with a dash for every flag that is not set.
fn x86_page(line: &str) -> Result<Page> {
    let words: Vec<_> = line.split_whitespace().collect();
    let [_, physical, flags] = words[..] else { bail!("the monitor said {line:?}") };
    let physical = u64::from_str_radix(physical, 16).with_context(|| format!("the monitor said {line:?}"))?;
    let set = |flag| flags.contains(flag);
    // The table of types that Linux sets up: "P" is the bit PAT of a small page, "C" is PCD, "T" is PWT.
    let cache = match (set('P'), set('C'), set('T')) {
        (false, false, false) => Cache::Cached,
        (false, false, true) => Cache::WriteCombine,
        (false, true, false) => Cache::Uncached,
        _ => Cache::Other(flags.to_owned()),
    };
    Ok(Page { physical, cache, user: set('U'), writable: set('W'), executable: !set('X') })
}

/// The registers of an arm64 processor that say how a virtual address of a program becomes a physical one.
#[derive(Debug)]
struct Arm64Registers {
    /// Where the tables begin.
    ttbr0: u64,
    /// How they are laid out.
    tcr: u64,
    /// The kinds of memory that their entries choose from, a byte each.
    mair: u64,
}

impl Arm64Registers {
    fn read(gdb: &mut Gdb, processor: usize) -> Result<Self> {
        let mut register = |name| gdb.register(processor, name);
        Ok(Self { ttbr0: register("TTBR0_EL1")?, tcr: register("TCR_EL1")?, mair: register("MAIR_EL1")? })
    }

    /// Walks the tables in memory, which `word` reads, as the processor does.
    fn walk(&self, address: u64, word: impl Fn(u64) -> Result<u64>) -> Result<Option<Page>> {
        const OUTPUT: u64 = 0x0000_ffff_ffff_f000;
        let granule = match self.tcr >> 14 & 3 {
            0 => 12,
            1 => 16,
            2 => 14,
            _ => bail!("TCR_EL1 is {:#x}, which names no size of pages", self.tcr),
        };
        let stride = granule - 3;
        let bits = 64 - (self.tcr & 0x3f);
        ensure!(bits > granule && bits <= 48, "TCR_EL1 is {:#x}: {bits} bits of address", self.tcr);
        if address >> bits != 0 {
            return Ok(None);
        }
        let mut table = self.ttbr0 & OUTPUT;
        let levels = (bits - granule).div_ceil(stride);
        for level in (0..levels).rev() {
            let shift = granule + stride * level;
            let index = address >> shift & ((1 << stride) - 1);
            let entry = word(table + 8 * index)?;
            match (entry & 3, level) {
                // A table of the next level.
                (3, 1..) => table = entry & OUTPUT,
                // A page, or a block of many.
                (3, 0) | (1, 1..) => {
                    let below = address & ((1 << shift) - 1);
                    return Ok(Some(self.page(entry, (entry & OUTPUT & !((1 << shift) - 1)) + below)));
                }
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    fn page(&self, entry: u64, physical: u64) -> Page {
        let kind = (self.mair >> (8 * (entry >> 2 & 7))) as u8;
        let cache = match kind {
            // Device-nGnRnE: nothing gathered, nothing reordered, no early acknowledgement.
            0x00 => Cache::Uncached,
            // Normal memory, inner and outer non-cacheable.
            0x44 => Cache::WriteCombine,
            // Normal memory, write-back, allocated on reads and writes.
            0xff => Cache::Cached,
            other => Cache::Other(format!("MAIR {other:#04x}")),
        };
        let bit = |number: u32| entry >> number & 1 == 1;
        Page { physical, cache, user: bit(6), writable: !bit(7), executable: !bit(54) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monitors_flags_are_a_cache_type() {
        let page = |line| x86_page(line).unwrap();
        let line = "00007f0000000000: 00000000c0000000 X--DAC-UW";
        let expected =
            Page { physical: 0xc000_0000, cache: Cache::Uncached, user: true, writable: true, executable: false };
        assert_eq!(page(line), expected);
        assert_eq!(page("0: 1000 ---DA-TUW").cache, Cache::WriteCombine);
        assert_eq!(page("0: 1000 ---DA--UW").cache, Cache::Cached);
        assert!(matches!(page("0: 1000 --PDAC-UW").cache, Cache::Other(_)));
        assert!(x86_page("what").is_err());
    }

    #[test]
    fn the_tables_are_walked_as_the_processor_does() {
        // 39 bits of address in pages of 4 KiB: three levels, each with one entry that counts.
        let registers = Arm64Registers { ttbr0: 0x0007_0000_4000_0001, tcr: 25, mair: 0x44_ff_00 };
        let tables = [
            (0x4000_0008, 0x4000_1003),
            (0x4000_1000 + 8 * 3, 0x4000_2003),
            (0x4000_2000 + 8 * 5, 0x0060_0000_c000_0743),
        ];
        let word = |wanted| Ok(tables.iter().find(|(address, _)| *address == wanted).map_or(0, |(_, entry)| *entry));
        let address = (1 << 30) + (3 << 21) + (5 << 12);
        let expected =
            Page { physical: 0xc000_0000, cache: Cache::Uncached, user: true, writable: true, executable: false };
        assert_eq!(registers.walk(address, word).unwrap(), Some(expected));
        assert_eq!(registers.walk(address + 0x1000, word).unwrap(), None);
        assert_eq!(registers.walk(1 << 40, word).unwrap(), None);
    }
}
