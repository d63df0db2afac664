// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Page arithmetic: which whole pages hold a range of bytes.

use super::PhysRange;

/// The size of a page of memory in bytes: a power of two.
///
/// It depends on the running kernel, not on the processor alone: arm64 kernels have 4, 16 or 64
/// KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PageSize(u64);

/// The whole pages that hold a range of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pages {
    /// The address of the first page's first byte, which is the offset that mmap(2) takes.
    pub start: u64,
    /// How many bytes all the pages have together.
    pub length: usize,
    /// How many bytes of the first page lie before the range.
    pub skip: usize,
}

impl PageSize {
    /// A page size of `bytes`; `None` unless that is a power of two.
    pub const fn new(bytes: u64) -> Option<Self> {
        if bytes.is_power_of_two() {
            Some(Self(bytes))
        } else {
            None
        }
    }

    /// The page size of a kernel, which is a power of two. With any other number the results mean
    /// nothing, but nothing wraps or panics.
    pub(super) const fn of_kernel(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The size in bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The bits of an address that lie within a page: the size less 1.
    ///
    /// `address & mask` is the offset in the page, and `address & !mask` the page.
    ///
    /// ```
    /// assert_eq!(map_core::PageSize::new(0x1000).unwrap().mask(), 0xfff);
    /// ```
    pub const fn mask(self) -> u64 {
        // The wrapping form leaves no panic in the kernel's object file.
        self.0.wrapping_sub(1)
    }

    /// The start of the page that `address` lies in.
    ///
    /// ```
    /// let page_size = map_core::PageSize::new(0x1000).unwrap();
    /// assert_eq!(page_size.round_down(0xc000_0ffe), 0xc000_0000);
    /// ```
    pub const fn round_down(self, address: u64) -> u64 {
        address & !self.mask()
    }

    /// The smallest multiple of the page size that is not below `bytes`; `None` if it has more than
    /// 64 bits.
    ///
    /// mmap(2) rounds a length in this way.
    ///
    /// ```
    /// let page_size = map_core::PageSize::new(0x1000).unwrap();
    /// assert_eq!(page_size.round_up(5000), Some(8192));
    /// assert_eq!(page_size.round_up(8192), Some(8192));
    /// assert_eq!(page_size.round_up(u64::MAX), None);
    /// ```
    pub const fn round_up(self, bytes: u64) -> Option<u64> {
        match bytes.checked_add(self.mask()) {
            Some(bytes) => Some(self.round_down(bytes)),
            None => None,
        }
    }

    /// Whether `address` is a multiple of the page size.
    ///
    /// ```
    /// let page_size = map_core::PageSize::new(0x1000).unwrap();
    /// assert!(page_size.is_aligned(0xc000_0000) && !page_size.is_aligned(0xc000_0ffe));
    /// ```
    pub const fn is_aligned(self, address: u64) -> bool {
        address & self.mask() == 0
    }

    /// The page that `address` lies in, and how far into it.
    ///
    /// ```
    /// let page_size = map_core::PageSize::new(0x1000).unwrap();
    /// assert_eq!(page_size.split(0xc000_0ffe), (0xc000_0000, 0xffe));
    /// ```
    pub const fn split(self, address: u64) -> (u64, u64) {
        (self.round_down(address), address & self.mask())
    }

    /// The pages that hold every byte of `range`.
    ///
    /// `None` if this process cannot address so many bytes, as with 4 GiB on a 32-bit processor.
    ///
    /// ```
    /// use map_core::{
    ///     PageSize,
    ///     PhysRange, //
    /// };
    ///
    /// let page_size = PageSize::new(0x1000).unwrap();
    /// let pages = page_size.enclose(PhysRange::new(0xc000_0ffe, 4).unwrap()).unwrap();
    /// assert_eq!((pages.start, pages.length, pages.skip), (0xc000_0000, 0x2000, 0xffe));
    /// ```
    pub fn enclose(self, range: PhysRange) -> Option<Pages> {
        let (start, skip) = self.split(range.start());
        let last = range.last() | self.mask();
        let length = usize::try_from(last.wrapping_sub(start))
            .ok()?
            .checked_add(1)?;
        // A longer allocation does not exist in Rust's memory model, and offsets within it are
        // `isize`.
        isize::try_from(length).ok()?;
        Some(Pages {
            start,
            length,
            skip: usize::try_from(skip).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use proptest::prelude::*;

    use super::*;

    const PAGE: PageSize = PageSize(0x1000);

    fn pages_of(start: u64, length: u64) -> Option<(u64, usize, usize)> {
        let pages = PAGE.enclose(PhysRange::new(start, length).unwrap())?;
        Some((pages.start, pages.length, pages.skip))
    }

    proptest! {
        #[test]
        fn the_pages_are_whole_hold_the_range_and_are_no_more_than_needed(
            shift in 0u32..20,
            start: u64,
            length in prop_oneof![1u64..0x10_0000, any::<u64>()],
        ) {
            let page_size = PageSize::new(1 << shift).unwrap();
            let Some(range) = PhysRange::new(start, length) else { return Ok(()) };
            let Some(pages) = page_size.enclose(range) else {
                prop_assert!(range.length() > isize::MAX as u64 - 2 * page_size.bytes());
                return Ok(());
            };
            let (length, skip) = (pages.length as u64, pages.skip as u64);
            prop_assert_eq!(pages.start % page_size.bytes(), 0);
            prop_assert_eq!(length % page_size.bytes(), 0);
            prop_assert_eq!(pages.start + skip, range.start());
            prop_assert!(skip < page_size.bytes());
            let behind = length - skip - range.length();
            prop_assert!(behind < page_size.bytes());
        }
    }

    proptest! {
        #[test]
        fn rounding_gives_the_nearest_multiples(
            shift in 0u32..64,
            address in prop_oneof![0u64..0x10_0000, any::<u64>()],
        ) {
            let page_size = PageSize::new(1 << shift).unwrap();
            let (page, offset) = page_size.split(address);
            prop_assert_eq!(page_size.round_down(address), page);
            prop_assert_eq!((page % page_size.bytes(), page + offset), (0, address));
            prop_assert!(offset <= page_size.mask());
            // In numbers that are wide enough for every result.
            let up = u128::from(address).div_ceil(1 << shift) << shift;
            let expected = Some(up).filter(|up| *up < 1 << 64);
            prop_assert_eq!(page_size.round_up(address).map(u128::from), expected);
        }
    }

    #[test]
    fn only_powers_of_two_are_page_sizes() {
        assert_eq!(PageSize::new(0), None);
        assert_eq!(PageSize::new(0x1800), None);
        assert_eq!(PageSize::new(0x1000), Some(PAGE));
    }

    #[test]
    fn whole_pages_stay_as_they_are() {
        assert_eq!(
            pages_of(0xc000_0000, 0x30_0000),
            Some((0xc000_0000, 0x30_0000, 0))
        );
    }

    #[test]
    fn one_byte_takes_its_page_and_two_may_take_two() {
        assert_eq!(pages_of(0x1fff, 1), Some((0x1000, 0x1000, 0xfff)));
        assert_eq!(pages_of(0x1fff, 2), Some((0x1000, 0x2000, 0xfff)));
    }

    #[test]
    fn the_last_page_of_all_has_pages_and_all_memory_has_none() {
        assert_eq!(
            pages_of(u64::MAX, 1),
            Some((u64::MAX - 0xfff, 0x1000, 0xfff))
        );
        assert_eq!(pages_of(0, u64::MAX), None);
        assert_eq!(pages_of(0, 1 << 63), None);
    }
}
