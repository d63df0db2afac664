// SPDX-License-Identifier: GPL-2.0

//! The reservation of memory for one cache type.
//!
//! On x86 the kernel records the cache type of all memory without struct pages that is mapped, and
//! gives another mapping the same type. `remap_pfn_range()` makes a record for a whole VMA. A page
//! that is mapped at a fault takes the type of the record that it finds, and cached if there is
//! none.

use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    }, //
};

use crate::{
    abstractions::{
        io::IoMap,
        machine,
        mm::PageProtection, //
    },
    error::Denial,
    map_core::{
        divide,
        CacheMode,
        PhysRange,
        Refusal, //
    },
};

/// The length in bytes of the longest reservation, if there is a limit. KASAN takes an eighth of
/// the length of a kernel mapping to watch it.
const LONGEST: Option<u64> = if cfg!(CONFIG_KASAN_VMALLOC) {
    Some(64 << 20)
} else {
    None
};

/// The length in bytes of the longest reservation without huge pages. These take kernel memory for
/// an entry of each small page, 8 bytes, which is not accounted to any process.
const LONGEST_SMALL: u64 = 16 << 20;

/// The length in bytes of all reservations together, and what it may be at most: a part of the
/// kernel's address space, which has 32 TiB for such mappings.
static RESERVED: Atomic<u64> = Atomic::new(0);
const LONGEST_IN_ALL: u64 = 1 << 40;

/// A share of [`LONGEST_IN_ALL`], in bytes. Dropping this gives it back.
struct Share(u64);

impl Share {
    /// Takes a share, if so much is left.
    fn take(length: u64) -> Option<Self> {
        // Dropped, and so given back, if it is too much.
        let share = Self(length);
        let before = RESERVED.fetch_add(length, Relaxed);
        (before.saturating_add(length) <= LONGEST_IN_ALL).then_some(share)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        RESERVED.add(self.0.wrapping_neg(), Relaxed);
    }
}

/// A record of the cache type of some memory. It is that of kernel mappings, which nothing uses:
/// modules can make no other.
pub(crate) struct Reservation {
    range: PhysRange,
    _parts: [Option<IoMap>; 3],
    _share: Share,
}

impl Reservation {
    /// Reserves `range` for mappings with the type `cache`, which is that of `wanted`. `None` if
    /// that takes more of the kernel's memory or address space than it is worth.
    ///
    /// # Errors
    ///
    /// [`Refusal::CacheConflict`] if the memory is already mapped with another type. The kernel
    /// returns the same error if it has no address space left.
    pub(crate) fn new(
        range: PhysRange,
        cache: CacheMode,
        wanted: PageProtection,
    ) -> Result<Option<Arc<Self>>, Denial> {
        let Some(size) = machine::huge_page_size() else {
            return Ok(None);
        };
        if LONGEST.is_some_and(|longest| range.length() > longest) {
            return Ok(None);
        }
        let Some(share) = Share::take(range.length()) else {
            return Ok(None);
        };
        let [head, pages, tail] = divide(&range, size);
        let reserve = |part: Option<PhysRange>| {
            let Some(part) = part else { return Ok(None) };
            let length = usize::try_from(part.length()).map_err(|_| Refusal::NoMemory)?;
            let map = IoMap::new(part.start(), length, cache.code()).ok();
            let map = map.filter(|map| map.has_cache_type_of(wanted));
            map.map(Some).ok_or(Refusal::CacheConflict)
        };
        let mut middle = reserve(pages)?;
        let is_huge = |map: &Option<IoMap>| map.as_ref().is_some_and(IoMap::is_huge);
        if !is_huge(&middle) {
            // The kernel may have been busy with its page table, so this is at another address.
            middle = reserve(pages)?;
        }
        if !is_huge(&middle) && range.length() > LONGEST_SMALL {
            return Ok(None);
        }
        let parts = [reserve(head)?, middle, reserve(tail)?];
        let made = Self {
            range,
            _parts: parts,
            _share: share,
        };
        Ok(Some(Arc::new(made, GFP_KERNEL)?))
    }

    /// Returns whether it covers `range`.
    pub(crate) fn covers(&self, range: &PhysRange) -> bool {
        self.range.contains(range)
    }
}
