// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Ranges of physical addresses.

use core::fmt;

/// A non-empty range of physical addresses that does not wrap.
///
/// ```
/// use map_core::PhysRange;
///
/// let sdram = PhysRange::new(0xc000_0000, 0x30_0000).unwrap();
/// assert_eq!(sdram.last(), 0xc02f_ffff);
/// assert_eq!(sdram.to_string(), "0xc0000000-0xc02fffff");
/// assert!(PhysRange::new(0xc000_0000, 0).is_none());
/// ```
///
/// # Invariants
///
/// `length` is at least 1, and `start + (length - 1)` does not overflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PhysRange {
    start: u64,
    length: u64,
}

impl PhysRange {
    /// The byte at address 0, for use as a placeholder.
    pub const FIRST_BYTE: Self = Self {
        start: 0,
        length: 1,
    };

    /// Returns the `length` bytes at physical address `start`; `None` if `length` is 0 or the range
    /// wraps past 2^64.
    pub const fn new(start: u64, length: u64) -> Option<Self> {
        let Some(beyond_first) = length.checked_sub(1) else {
            return None;
        };
        match start.checked_add(beyond_first) {
            // INVARIANT: Both conditions were just checked.
            Some(_) => Some(Self { start, length }),
            None => None,
        }
    }

    /// Returns the address of the first byte.
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// Returns the number of bytes, at least 1.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Returns the address of the last byte. It always exists; the address after it may not.
    pub const fn last(&self) -> u64 {
        // By the invariant neither step wraps. The wrapping forms keep panics out of the object
        // file.
        self.start.wrapping_add(self.length.wrapping_sub(1))
    }

    /// Returns whether every byte of `other` lies in this range.
    pub const fn contains(&self, other: &Self) -> bool {
        self.start <= other.start && other.last() <= self.last()
    }

    /// Returns the bytes that lie in both ranges; `None` if there are none.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        Self::from_to(self.start.max(other.start), self.last().min(other.last()))
    }

    /// Returns the smallest range that contains both; `None` if it would be all 2^64 addresses.
    pub fn hull(&self, other: &Self) -> Option<Self> {
        Self::from_to(self.start.min(other.start), self.last().max(other.last()))
    }

    fn from_to(first: u64, last: u64) -> Option<Self> {
        Self::new(first, last.checked_sub(first)?.checked_add(1)?)
    }

    /// Returns whether at least one byte lies in both ranges.
    pub const fn overlaps(&self, other: &Self) -> bool {
        self.start <= other.last() && other.start <= self.last()
    }
}

/// The format of /proc/iomem: first and last address, in hexadecimal.
impl fmt::Display for PhysRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}-{:#010x}", self.start, self.last())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;

    use super::*;

    #[test]
    fn an_empty_range_does_not_exist() {
        assert_eq!(PhysRange::new(0, 0), None);
        assert_eq!(PhysRange::new(u64::MAX, 0), None);
    }

    #[test]
    fn a_range_may_end_at_the_last_address_but_not_beyond() {
        let top = PhysRange::new(u64::MAX - 0xfff, 0x1000).unwrap();
        assert_eq!(top.last(), u64::MAX);
        assert_eq!(PhysRange::new(u64::MAX - 0xfff, 0x1001), None);
        assert_eq!(PhysRange::new(1, u64::MAX).unwrap().last(), u64::MAX);
        assert_eq!(PhysRange::new(2, u64::MAX), None);
    }

    #[test]
    fn a_range_looks_like_a_line_of_proc_iomem() {
        let sdram = PhysRange::new(0xc000_0000, 0x30_0000).unwrap();
        assert_eq!(sdram.to_string(), "0xc0000000-0xc02fffff");
        assert_eq!(
            PhysRange::new(0, 1).unwrap().to_string(),
            "0x00000000-0x00000000"
        );
    }

    #[test]
    fn containing_and_overlapping() {
        let sdram = PhysRange::new(0xc000_0000, 0x30_0000).unwrap();
        let last = PhysRange::new(0xc02f_ffff, 1).unwrap();
        let next = PhysRange::new(0xc030_0000, 1).unwrap();
        let across = PhysRange::new(0xc02f_ffff, 2).unwrap();
        assert!(sdram.contains(&sdram) && sdram.contains(&last));
        assert!(!sdram.contains(&next) && !sdram.contains(&across));
        assert!(sdram.overlaps(&last) && sdram.overlaps(&across) && !sdram.overlaps(&next));
    }
    #[test]
    fn a_hull_has_all_of_both_and_an_intersection_what_they_share() {
        let range = |start, length| PhysRange::new(start, length).unwrap();
        let (low, high) = (range(0x1000, 0x2000), range(0x2000, 0x4000));
        let (apart, top) = (range(0x9000, 0x1000), range(u64::MAX, 1));
        for (one, other) in [(low, high), (high, low)] {
            assert_eq!(one.hull(&other), Some(range(0x1000, 0x5000)));
            assert_eq!(one.intersection(&other), Some(range(0x2000, 0x1000)));
        }
        assert_eq!(low.hull(&apart), Some(range(0x1000, 0x9000)));
        assert_eq!(apart.hull(&low), low.hull(&apart));
        assert_eq!(low.intersection(&apart), None);
        assert_eq!(low.hull(&range(0x1800, 1)), Some(low));
        // All addresses are one byte too many for a length.
        assert_eq!(range(0, 1).hull(&top), None);
        assert_eq!(range(1, 1).hull(&top), Some(range(1, u64::MAX)));
    }
}
