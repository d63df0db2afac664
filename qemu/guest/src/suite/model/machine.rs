// SPDX-License-Identifier: MIT OR Apache-2.0

//! The machine, as far as the driver's decisions depend on it.

use std::fs;

use anyhow::{Context, Result};
use map_core::{CacheMode, KernelQuery, Limits, PhysRange};

use crate::{arch, host::PAGE, kernel};

/// The machine.
#[derive(Debug)]
pub struct Machine {
    /// What is known without a query.
    pub limits: Limits,
    /// System RAM.
    ram: Vec<PhysRange>,
    /// Memory of PCI devices.
    bars: Vec<PhysRange>,
    /// What drivers of the kernel have claimed, as far as the operations reach it.
    claimed: PhysRange,
}

impl Machine {
    /// This machine.
    pub fn this() -> Result<Self> {
        let limits = Limits {
            page_size: PAGE,
            last_address: (1 << arch::address_bits()?) - 1,
            last_offset: u64::MAX,
            // TASK_SIZE of x86_64 with four levels of page tables.
            task_size: (1 << 47) - PAGE,
            aborts: false,
        };
        let regions = kernel::iomem()?.into_iter().filter(|region| region.name == "System RAM");
        let ram = regions.filter_map(|region| PhysRange::new(region.first, region.last - region.first + 1)).collect();
        let claimed = PhysRange::new(arch::CLAIMED, PAGE).context("no range")?;
        Ok(Self { limits, ram, bars: bars()?, claimed })
    }

    /// A machine for the tests of this module's relatives.
    #[cfg(test)]
    pub fn example() -> Self {
        let range = |start, length| PhysRange::new(start, length).unwrap();
        Self {
            limits: Limits {
                page_size: PAGE,
                last_address: (1 << 40) - 1,
                last_offset: u64::MAX,
                task_size: (1 << 47) - PAGE,
                aborts: false,
            },
            ram: vec![range(0x1000, 0x9e000), range(0x10_0000, 0xbff0_0000), range(0xc030_0000, 0x10_0000)],
            bars: vec![],
            claimed: range(0xfec0_0000, PAGE),
        }
    }

    /// A page in the middle of System RAM.
    pub fn some_ram(&self) -> u64 {
        let largest = self.ram.iter().max_by_key(|range| range.length());
        largest.map_or(0, |range| (range.start() + range.length() / 2) / PAGE * PAGE)
    }

    /// The page that a driver has claimed.
    pub fn claimed(&self) -> PhysRange {
        self.claimed
    }

    /// Whether part of `range` is claimed.
    pub fn is_claimed(&self, range: &PhysRange) -> bool {
        self.claimed.overlaps(range)
    }
}

/// The memory of all PCI devices.
fn bars() -> Result<Vec<PhysRange>> {
    const MEMORY: u64 = 0x200;
    let mut bars = Vec::new();
    for device in fs::read_dir("/sys/bus/pci/devices").into_iter().flatten() {
        for line in fs::read_to_string(device?.path().join("resource"))?.lines() {
            let number = |word: &str| u64::from_str_radix(word.trim_start_matches("0x"), 16);
            let numbers = line.split_whitespace().map(number).collect::<Result<Vec<_>, _>>()?;
            if let [first, last, flags] = numbers[..] {
                if flags & MEMORY != 0 && first != 0 && last >= first {
                    bars.extend(PhysRange::new(first, last - first + 1));
                }
            }
        }
    }
    Ok(bars)
}

/// What the kernel would answer to a decision.
pub struct Query<'a> {
    /// The machine.
    pub machine: &'a Machine,
    /// Whether the process has CAP_SYS_RAWIO.
    pub rawio: bool,
    /// The memory that has a cache type already, and the type.
    pub held: &'a [(PhysRange, CacheMode)],
}

impl KernelQuery for Query<'_> {
    fn has_rawio(&self) -> bool {
        self.rawio
    }

    fn is_locked_down(&self) -> bool {
        false
    }

    fn is_system_ram(&self, range: &PhysRange) -> bool {
        self.machine.ram.iter().any(|ram| ram.overlaps(range))
    }

    fn is_exclusive(&self, range: &PhysRange) -> bool {
        self.machine.is_claimed(range)
    }

    fn is_in_pci_bar(&self, range: &PhysRange) -> bool {
        self.machine.bars.iter().any(|bar| bar.overlaps(range))
    }

    fn is_reserved(&self, _: &PhysRange) -> bool {
        // There is no device tree.
        false
    }

    fn gives(&self, range: &PhysRange, cache: CacheMode) -> bool {
        let isa =
            (0xa_0000..0x10_0000).contains(&range.start()) || (range.start() < 0xa_0000 && range.last() >= 0xa_0000);
        match cache {
            // Nothing caches the registers that a driver has claimed.
            CacheMode::Cached => {
                let fits = |(held, kind): &(PhysRange, CacheMode)| *kind == cache || !held.overlaps(range);
                self.held.iter().all(fits) && !self.machine.is_claimed(range)
            }
            _ => !isa,
        }
    }
}
