// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Huge pages: which parts of a mapping one entry of a higher page table level can map. Their
//! `size` is in bytes and a power of two.

use core::fmt;

use super::PhysRange;

/// Whether mappings of a window may have huge pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Huge {
    /// Where a mapping has room for a huge page, its pages are mapped at the first access to each
    /// of them, as large as possible. A smaller mapping is mapped whole by mmap(2).
    #[default]
    Auto,
    /// Every mapping is mapped whole by mmap(2), in pages of the smallest size, so no access takes
    /// a page fault.
    Never,
}

impl Huge {
    /// Returns it as a word, which the syntax of windows has after `huge=`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Never => "never",
        }
    }

    /// Returns what `word` means; `None` if it is neither `auto` nor `never`.
    pub fn from_word(word: &[u8]) -> Option<Self> {
        [Self::Auto, Self::Never]
            .into_iter()
            .find(|huge| huge.as_str().as_bytes() == word)
    }
}

impl fmt::Display for Huge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Returns whether a huge page of `size` bytes lies in `memory`. A mapping of it should begin at an
/// address that is congruent to that of the memory, modulo the size.
pub fn has_huge_page(memory: &PhysRange, size: u64) -> bool {
    // At its own address every page is aligned.
    let mapped = Mapped {
        address: memory.start(),
        memory: *memory,
    };
    mapped.has_huge_page(size)
}

/// Returns the smallest address from `free` on that is congruent to `memory` modulo `alignment`, a
/// power of two. It is at most `alignment - 1` bytes above `free`.
pub const fn aligned_address(free: u64, memory: u64, alignment: u64) -> u64 {
    free.wrapping_add(memory.wrapping_sub(free) & alignment.wrapping_sub(1))
}

/// Divides `memory` into what lies before its first whole page of `size` bytes, all those pages,
/// and what lies behind them. Without such a page all of it lies before. `size` is a power of two.
pub fn divide(memory: &PhysRange, size: u64) -> [Option<PhysRange>; 3] {
    let mask = size.wrapping_sub(1);
    let last = memory.last();
    let first_page = memory.start().checked_add(mask).map(|start| start & !mask);
    // The last byte of the last page. Without one below the end of the memory, this is far above.
    let last_page = (last.wrapping_add(1) & !mask).wrapping_sub(1);
    match first_page {
        Some(first_page) if first_page < last_page && last_page <= last => [
            PhysRange::new(memory.start(), first_page.wrapping_sub(memory.start())),
            PhysRange::new(
                first_page,
                last_page.wrapping_sub(first_page).wrapping_add(1),
            ),
            PhysRange::new(last_page.wrapping_add(1), last.wrapping_sub(last_page)),
        ],
        _ => [Some(*memory), None, None],
    }
}

/// A VMA and the memory that it maps, in whole pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// The address of the first byte.
    pub address: u64,
    /// The memory, as long as the VMA.
    pub memory: PhysRange,
}

impl Mapped {
    /// Returns the huge page of `size` bytes, a power of two, that holds `address`; `None` if there
    /// is none: it would reach beyond the VMA, or is not aligned in physical memory.
    pub fn huge_page(&self, address: u64, size: u64) -> Option<Self> {
        let around = self.around(address, size)?;
        let aligned = around.memory.start() & size.wrapping_sub(1) == 0;
        (aligned && around.memory.length() == size).then_some(around)
    }

    /// Returns the part of the VMA that lies in the same `size` bytes of the address space as
    /// `address`; `None` if `address` is not in the VMA. `size` is a power of two.
    pub fn around(&self, address: u64, size: u64) -> Option<Self> {
        let mask = size.wrapping_sub(1);
        let last = self.last()?;
        if !(self.address..=last).contains(&address) {
            return None;
        }
        let first = self.address.max(address & !mask);
        let last = last.min(address | mask);
        let skip = first.checked_sub(self.address)?;
        let length = last.checked_sub(first)?.checked_add(1)?;
        Some(Self {
            address: first,
            memory: PhysRange::new(self.memory.start().checked_add(skip)?, length)?,
        })
    }

    /// Returns the part in one piece that holds `address` and no byte of `lost`; `None` if that
    /// byte is lost itself, or not in the VMA.
    pub fn without(&self, lost: &PhysRange, address: u64) -> Option<Self> {
        let skip = address.checked_sub(self.address)?;
        let wanted = self.memory.start().checked_add(skip)?;
        if wanted > self.memory.last() || (lost.start()..=lost.last()).contains(&wanted) {
            return None;
        }
        let (mut first, mut last) = (self.memory.start(), self.memory.last());
        if lost.last() < wanted {
            first = first.max(lost.last().checked_add(1)?);
        } else {
            last = last.min(lost.start().checked_sub(1)?);
        }
        let before = first.checked_sub(self.memory.start())?;
        Some(Self {
            address: self.address.checked_add(before)?,
            memory: PhysRange::new(first, last.checked_sub(first)?.checked_add(1)?)?,
        })
    }

    /// Returns whether a huge page of `size` bytes lies in the VMA.
    pub fn has_huge_page(&self, size: u64) -> bool {
        // The first one that may lie in it, and so each other.
        let mask = size.wrapping_sub(1);
        let Some(first) = self.address.checked_add(mask) else {
            return false;
        };
        self.huge_page(first & !mask, size).is_some()
    }

    /// Returns the address of the last byte.
    fn last(&self) -> Option<u64> {
        self.address
            .checked_add(self.memory.length().wrapping_sub(1))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use proptest::prelude::*;

    use super::*;

    const PAGE: u64 = 0x1000;
    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    fn mapped(address: u64, start: u64, length: u64) -> Mapped {
        Mapped {
            address,
            memory: PhysRange::new(start, length).unwrap(),
        }
    }

    #[test]
    fn words_mean_what_they_show() {
        for huge in [Huge::Auto, Huge::Never] {
            assert_eq!(Huge::from_word(huge.as_str().as_bytes()), Some(huge));
        }
        for word in [&b""[..], b"Auto", b"auto ", b"always", b"neve", b"0"] {
            assert_eq!(Huge::from_word(word), None);
        }
    }

    #[test]
    fn memory_may_have_room_for_a_huge_page() {
        let has = |start, length| has_huge_page(&PhysRange::new(start, length).unwrap(), 2 * MIB);
        assert!(has(0xc000_0000, 3 * MIB));
        assert!(!has(0xc000_0000, 2 * MIB - PAGE));
        assert!(!has(0xc010_0000, 2 * MIB));
        assert!(has(0xc010_0000, 3 * MIB));
        assert!(has(0xc000_1000, GIB));
        assert!(has(u64::MAX - (2 * MIB - 1), 2 * MIB));
        assert!(!has(u64::MAX - (PAGE - 1), PAGE));
    }

    #[test]
    fn huge_pages_need_the_same_alignment_on_both_sides() {
        let start = 0x7f00_0000_0000;
        let has = |address, start, length| mapped(address, start, length).has_huge_page(2 * MIB);
        assert!(has(start, 0xc000_0000, 3 * MIB));
        assert!(!has(start + PAGE, 0xc000_0000, 8 * MIB));
        assert!(has(start + PAGE, 0xc000_1000, 8 * MIB));
        assert!(!has(start, 0xc000_0000, 2 * MIB - PAGE));
    }

    #[test]
    fn a_huge_page_stays_in_the_vma() {
        let start = 0x7f00_0000_0000;
        let vma = mapped(start, 0xc000_0000, 3 * MIB);
        let page = mapped(start, 0xc000_0000, 2 * MIB);
        assert_eq!(vma.huge_page(start, 2 * MIB), Some(page));
        assert_eq!(vma.huge_page(start + 2 * MIB - 1, 2 * MIB), Some(page));
        assert_eq!(vma.huge_page(start + 2 * MIB, 2 * MIB), None);
        assert_eq!(vma.huge_page(start, GIB), None);
        let tail = mapped(start + 2 * MIB, 0xc020_0000, MIB);
        assert_eq!(vma.around(start + 3 * MIB - 1, 2 * MIB), Some(tail));
        assert_eq!(vma.around(start + 3 * MIB, 2 * MIB), None);
        assert_eq!(vma.around(start - 1, 2 * MIB), None);
    }

    #[test]
    fn memory_is_divided_at_its_huge_pages() {
        let range = |start, length| PhysRange::new(start, length);
        let parts = |start, length| divide(&range(start, length).unwrap(), 2 * MIB);
        let (page, start) = (range(0xc000_0000, 2 * MIB), 0xc000_0000);
        assert_eq!(parts(start, 2 * MIB), [None, page, None]);
        let tail = range(0xc020_0000, MIB);
        assert_eq!(parts(start, 3 * MIB), [None, page, tail]);
        let head = range(start - PAGE, PAGE);
        assert_eq!(parts(start - PAGE, 3 * MIB + PAGE), [head, page, tail]);
        assert_eq!(
            parts(start + PAGE, 2 * MIB),
            [range(start + PAGE, 2 * MIB), None, None]
        );
        assert_eq!(parts(start, MIB), [range(start, MIB), None, None]);
        let top = u64::MAX - (2 * MIB - 1);
        assert_eq!(parts(top, 2 * MIB), [None, range(top, 2 * MIB), None]);
        assert_eq!(
            parts(top + PAGE, PAGE),
            [range(top + PAGE, PAGE), None, None]
        );
        assert_eq!(parts(0, MIB), [range(0, MIB), None, None]);
    }

    #[test]
    fn what_was_lost_divides_the_rest() {
        let start = 0x7f00_0000_0000;
        let vma = mapped(start, 0xc000_0000, 3 * MIB);
        let lost = PhysRange::new(0xc010_0000, MIB).unwrap();
        let before = mapped(start, 0xc000_0000, MIB);
        let behind = mapped(start + 2 * MIB, 0xc020_0000, MIB);
        assert_eq!(vma.without(&lost, start), Some(before));
        assert_eq!(vma.without(&lost, start + MIB - 1), Some(before));
        assert_eq!(vma.without(&lost, start + MIB), None);
        assert_eq!(vma.without(&lost, start + 2 * MIB - 1), None);
        assert_eq!(vma.without(&lost, start + 2 * MIB), Some(behind));
        assert_eq!(vma.without(&lost, start + 3 * MIB - 1), Some(behind));
        assert_eq!(vma.without(&lost, start + 3 * MIB), None);
        assert_eq!(vma.without(&lost, start - 1), None);
        let elsewhere = PhysRange::new(0xd000_0000, MIB).unwrap();
        assert_eq!(vma.without(&elsewhere, start + 5), Some(vma));
        let below = PhysRange::new(0, MIB).unwrap();
        assert_eq!(vma.without(&below, start + 5), Some(vma));
    }

    prop_compose! {
        /// A VMA of a few huge pages.
        fn vmas()(
            shift in 13u32..22,
            address in 0u64..1 << 35,
            start in 0u64..1 << 36,
            skew in prop_oneof![Just(0u64), any::<u64>()],
            pages in 1u64..4096,
        ) -> (Mapped, u64) {
            let size = 1 << shift;
            // Half of them have the same alignment on both sides.
            let start = if skew == 0 { start / size * size + address % (size / PAGE) } else { start };
            (mapped(address * PAGE, start * PAGE, pages * PAGE), size)
        }
    }

    proptest! {
        #[test]
        fn a_huge_page_is_aligned_and_holds_the_address(
            (vma, size) in vmas(),
            offset: u64,
        ) {
            let address = vma.address + offset % vma.memory.length();
            let around = vma.around(address, size).unwrap();
            // Every page has the memory that the VMA maps there.
            prop_assert_eq!(
                around.address - vma.address,
                around.memory.start() - vma.memory.start()
            );
            prop_assert!(vma.memory.contains(&around.memory));
            prop_assert!((around.address..=around.last().unwrap()).contains(&address));
            prop_assert_eq!(around.address / size, around.last().unwrap() / size);
            // It is the largest such part.
            let before = around.address.wrapping_sub(1);
            prop_assert!(before < vma.address || before / size != address / size || around.address == 0);
            let behind = around.last().unwrap() + 1;
            prop_assert!(behind > vma.last().unwrap() || behind / size != address / size);
            if let Some(page) = vma.huge_page(address, size) {
                prop_assert_eq!(page, around);
                prop_assert_eq!((page.address % size, page.memory.start() % size), (0, 0));
                prop_assert_eq!(page.memory.length(), size);
            } else {
                prop_assert!(
                    around.memory.length() < size || !around.memory.start().is_multiple_of(size)
                );
            }
        }
    }

    proptest! {
        #[test]
        fn the_parts_of_memory_are_all_of_it((vma, size) in vmas()) {
            let parts = divide(&vma.memory, size);
            let mut next = vma.memory.start();
            for part in parts.into_iter().flatten() {
                prop_assert_eq!(part.start(), next);
                next += part.length();
            }
            prop_assert_eq!(next, vma.memory.last() + 1);
            let [head, pages, tail] = parts;
            if let Some(pages) = pages {
                prop_assert_eq!((pages.start() % size, pages.length() % size), (0, 0));
                prop_assert!([head, tail].into_iter().flatten().all(|part| part.length() < size));
            }
            prop_assert_eq!(pages.is_some(), has_huge_page(&vma.memory, size));
        }
    }

    proptest! {
        #[test]
        fn room_for_a_huge_page_is_found_exactly((vma, size) in vmas()) {
            let pages = vma.memory.length() / PAGE;
            let found = (0..pages).any(|page| vma.huge_page(vma.address + page * PAGE, size).is_some());
            prop_assert_eq!(vma.has_huge_page(size), found);
            let at_home = mapped(vma.memory.start(), vma.memory.start(), vma.memory.length());
            let found = (0..pages).any(|page| at_home.huge_page(at_home.address + page * PAGE, size).is_some());
            prop_assert_eq!(has_huge_page(&vma.memory, size), found);
        }
    }

    proptest! {
        #[test]
        fn an_aligned_address_is_the_next_congruent_one(
            free in 0u64..1 << 47,
            memory: u64,
            shift in 12u32..40,
        ) {
            let alignment = 1 << shift;
            let address = aligned_address(free, memory, alignment);
            prop_assert_eq!(address % alignment, memory % alignment);
            prop_assert!(free <= address && address - free < alignment);
        }
    }
}
