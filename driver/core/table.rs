// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The table of windows, and the lookup of ranges in it.

use core::{
    fmt,
    mem,
    ops::{
        Deref,
        DerefMut, //
    }, //
};

use super::{
    Limits,
    PhysRange,
    Window, //
};

/// The maximum number of windows.
pub const MAX_WINDOWS: usize = 64;

/// The memory that may be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode<S> {
    /// There are no windows: everything but System RAM may be mapped, with CAP_SYS_RAWIO, unless
    /// the kernel is locked down.
    Raw,
    /// Only ranges wholly inside one window may be mapped, by every process that may open the node.
    Windows(Table<S>),
}

impl<S, E> Mode<S>
where
    S: Deref<Target = [E]>,
    E: Entry,
{
    /// Returns the windows in the order of their addresses; none in raw mode.
    pub fn windows(&self) -> &[E] {
        match self {
            Self::Raw => &[],
            Self::Windows(table) => table.windows(),
        }
    }
}

/// A window, possibly with associated data.
pub trait Entry {
    /// Returns the window.
    fn window(&self) -> &Window;

    /// Returns the minor number of its node; 0 if it has none.
    fn minor(&self) -> u32 {
        0
    }
}

impl Entry for Window {
    fn window(&self) -> &Window {
        self
    }
}

/// A table of windows that fit together. `S` is the storage of their [entries](Entry): a vector of
/// the kernel or of the standard library.
///
/// # Invariants
///
/// There are at most [`MAX_WINDOWS`]. They are sorted by address, do not overlap, and lie inside
/// the physical address space. No two have the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table<S>(S);

impl<S, E> Table<S>
where
    S: DerefMut<Target = [E]>,
    E: Entry,
{
    /// Sorts `windows` into a table.
    ///
    /// # Errors
    ///
    /// [`TableError`] if the windows do not fit together or exceed `limits`: the first variant that
    /// applies.
    pub fn new(mut windows: S, limits: &Limits) -> Result<Self, TableError> {
        if windows.len() > MAX_WINDOWS {
            return Err(TableError::TooMany(windows.len()));
        }
        sort(&mut windows);

        let last_address = limits.last_address;
        if let Some(&window) = windows
            .iter()
            .map(Entry::window)
            .find(|window| window.range.last() > last_address)
        {
            return Err(TableError::Address {
                window,
                last_address,
            });
        }
        // In sorted windows, if any two overlap, two neighbours do.
        let upper = windows.iter().map(Entry::window).skip(1);
        for (&first, &second) in windows.iter().map(Entry::window).zip(upper) {
            if first.range.overlaps(&second.range) {
                return Err(TableError::Overlap { first, second });
            }
        }
        let mut rest = &*windows;
        while let Some((first, others)) = rest.split_first() {
            let first = *first.window();
            let namesake = |other: &&Window| !first.name.is_empty() && other.name == first.name;
            if let Some(&second) = others.iter().map(Entry::window).find(namesake) {
                return Err(TableError::SameName { first, second });
            }
            rest = others;
        }
        // INVARIANT: All conditions were just checked.
        Ok(Self(windows))
    }

    /// Returns the storage, with the entries in the order of their addresses.
    pub fn into_entries(self) -> S {
        self.0
    }
}

impl<'a, E> Table<&'a [E]> {
    /// Returns the table of a single window of another table: what the node of the window shows.
    pub const fn of(entry: &'a E) -> Self {
        // INVARIANT: Every window of a table alone is a table.
        Self(core::slice::from_ref(entry))
    }
}

/// Storage of a table that can be truncated.
pub trait Truncate {
    /// Drops all but the first `length` entries.
    fn truncate(&mut self, length: usize);
}

impl Truncate for &mut [Window] {
    fn truncate(&mut self, length: usize) {
        if let Some(kept) = mem::take(self).get_mut(..length) {
            *self = kept;
        }
    }
}

impl<S, E> Table<S>
where
    S: DerefMut<Target = [E]> + Truncate,
    E: Entry,
{
    /// Removes the windows for which `is_gone` returns true.
    pub fn remove(&mut self, is_gone: impl Fn(&Window) -> bool) {
        let mut kept = 0usize;
        for index in 0..self.0.len() {
            let Some((before, from)) = self.0.split_at_mut_checked(index) else {
                break;
            };
            let Some(entry) = from.first_mut() else {
                break;
            };
            if is_gone(entry.window()) {
                continue;
            }
            // This is `None` as long as all windows have been kept.
            if let Some(place) = before.get_mut(kept) {
                mem::swap(place, entry);
            }
            kept = kept.wrapping_add(1);
        }
        // INVARIANT: Any subset of windows that fit together fits together, in the same order.
        self.0.truncate(kept);
    }
}

impl<S, E> Table<S>
where
    S: Deref<Target = [E]>,
    E: Entry,
{
    /// Returns the windows in the order of their addresses. The indices are those of the ABI.
    pub fn windows(&self) -> &[E] {
        &self.0
    }

    /// Returns the window with this index.
    pub fn get(&self, index: usize) -> Option<IndexedWindow> {
        let window = *self.windows().get(index)?.window();
        Some(IndexedWindow { index, window })
    }

    /// Looks up `range` in the windows.
    pub fn find(&self, range: &PhysRange) -> Lookup {
        let windows = self.windows();
        // `above` is the lowest window that does not end before the range; `below` is its
        // predecessor, which does.
        let above = windows.partition_point(|entry| entry.window().range.last() < range.start());
        let below = above.wrapping_sub(1);
        let at = |index| windows.get(index).map(Entry::window);
        match (at(below), at(above)) {
            (_, Some(window)) if window.range.contains(range) => Lookup::Inside(above),
            (_, Some(window)) if window.range.overlaps(range) => Lookup::Partial(above),
            (Some(lower), Some(upper)) => {
                // Neither subtraction wraps, because both windows are disjoint from the range.
                let down = range.start().wrapping_sub(lower.range.last());
                let up = upper.range.start().wrapping_sub(range.last());
                Lookup::Outside(Some(if up < down { above } else { below }))
            }
            (Some(_), None) => Lookup::Outside(Some(below)),
            (None, Some(_)) => Lookup::Outside(Some(above)),
            (None, None) => Lookup::Outside(None),
        }
    }
}

/// A window with its index in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexedWindow {
    /// The index in [`Table::windows()`].
    pub index: usize,
    /// The window.
    pub window: Window,
}

/// The result of looking up a range in a table, with the index of a window in [`Table::windows()`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The range is wholly inside this window.
    Inside(usize),
    /// The range is not wholly inside a window. This is the lowest window that it overlaps.
    Partial(usize),
    /// The range is outside of every window. This is the nearest window by the bytes in between, or
    /// the lower of two equally near ones; `None` if there are no windows.
    Outside(Option<usize>),
}

/// The reason for which windows do not form a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableError {
    /// There are this many windows, more than [`MAX_WINDOWS`].
    TooMany(usize),
    /// A window ends beyond the highest physical address.
    Address {
        /// The lowest such window.
        window: Window,
        /// The highest physical address.
        last_address: u64,
    },
    /// Two windows overlap.
    Overlap {
        /// The window that starts first.
        first: Window,
        /// The second window.
        second: Window,
    },
    /// Two windows have the same name.
    SameName {
        /// The window with the lower address.
        first: Window,
        /// The second window.
        second: Window,
    },
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany(count) => {
                write!(
                    f,
                    "there are {count} windows; there can be at most {MAX_WINDOWS}"
                )
            }
            Self::Address {
                window,
                last_address,
            } => {
                write!(
                    f,
                    "the window {window} ends beyond {last_address:#x}, \
                     the highest physical address of this machine"
                )
            }
            Self::Overlap { first, second } => {
                write!(
                    f,
                    "the windows {first} and {second} overlap; make one of them smaller"
                )
            }
            Self::SameName { first, second } => {
                write!(
                    f,
                    "the windows {first} and {second} have the same name; rename one"
                )
            }
        }
    }
}

/// Sorts by start with insertion sort: there are few windows, and `sort` of the standard library
/// can panic.
fn sort<E: Entry>(windows: &mut [E]) {
    for unsorted in 1..windows.len() {
        for upper in (1..=unsorted).rev() {
            let Some([below, above]) = windows.get_mut(upper.wrapping_sub(1)..=upper) else {
                return;
            };
            if below.window().range.start() <= above.window().range.start() {
                break;
            }
            mem::swap(below, above);
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::{
        string::ToString,
        vec,
        vec::Vec, //
    };

    use super::{
        super::Name,
        *, //
    };

    const PC: Limits = Limits {
        page_size: 0x1000,
        last_address: (1 << 40) - 1,
        last_offset: u64::MAX,
        task_size: 0x7fff_ffff_f000,
        aborts: false,
    };

    fn window(name: &str, start: u64, length: u64) -> Window {
        Window {
            name: Name::new(name.as_bytes()).unwrap(),
            ..Window::new(range(start, length))
        }
    }

    fn range(start: u64, length: u64) -> PhysRange {
        PhysRange::new(start, length).unwrap()
    }

    fn table(windows: Vec<Window>) -> Result<Table<Vec<Window>>, TableError> {
        Table::new(windows, &PC)
    }

    #[test]
    fn windows_come_out_in_the_order_of_their_addresses() {
        let [a, b, c] = [
            window("a", 0x1000, 0x1000),
            window("", 0x2000, 0x1000),
            window("", 0x8000, 0x1000),
        ];
        for order in [
            [a, b, c],
            [a, c, b],
            [b, a, c],
            [b, c, a],
            [c, a, b],
            [c, b, a],
        ] {
            assert_eq!(table(order.to_vec()).unwrap().windows(), [a, b, c]);
        }
    }

    #[test]
    fn there_are_at_most_64_windows() {
        let many = |count| {
            (0..count)
                .map(|i| window("", i << 13, 0x1000))
                .rev()
                .collect()
        };
        assert!(table(vec![]).unwrap().windows().is_empty());
        assert_eq!(table(many(64)).unwrap().windows().len(), 64);
        assert_eq!(table(many(65)), Err(TableError::TooMany(65)));
    }

    #[test]
    fn windows_that_overlap_are_both_named() {
        let first = window("first", 0x1000, 0x2000);
        let second = window("second", 0x2000, 0x2000);
        let apart = window("apart", 0x4000, 0x1000);
        let error = table(vec![apart, second, first]).unwrap_err();
        assert_eq!(error, TableError::Overlap { first, second });
        assert_eq!(
            error.to_string(),
            "the windows first@0x1000+0x2000 and second@0x2000+0x2000 overlap; make one of them smaller"
        );
        // One window inside another, and the same memory twice.
        assert!(table(vec![window("", 0, 0x9000), apart]).is_err());
        assert!(table(vec![window("", 0x4000, 0x1000), apart]).is_err());
        // Adjacent windows are fine.
        assert!(table(vec![second, apart]).is_ok());
    }

    #[test]
    fn a_name_is_given_once_and_no_name_any_number_of_times() {
        let first = window("a", 0x1000, 0x1000);
        let second = window("a", 0x8000, 0x1000);
        let other = window("b", 0x3000, 0x1000);
        assert_eq!(
            table(vec![second, other, first]),
            Err(TableError::SameName { first, second })
        );
        assert!(table(vec![window("", 0, 0x1000), window("", 0x1000, 0x1000)]).is_ok());
    }

    #[test]
    fn a_window_ends_at_the_last_address_at_the_latest() {
        assert!(table(vec![window("", (1 << 40) - 0x1000, 0x1000)]).is_ok());
        let window = window("", (1 << 40) - 0x1000, 0x2000);
        let last_address = PC.last_address;
        let error = table(vec![window]).unwrap_err();
        assert_eq!(
            error,
            TableError::Address {
                window,
                last_address
            }
        );
        assert_eq!(
            error.to_string(),
            "the window 0xfffffff000+0x2000 ends beyond 0xffffffffff, the highest physical address of this machine"
        );
    }

    #[test]
    fn a_range_is_found_inside_across_and_outside() {
        let table = table(vec![
            window("", 0x1_0000, 0x1000),
            window("", 0x1_1000, 0x1000),
            window("", 0x2_0000, 0x1000),
        ])
        .unwrap();
        let find = |start, length| table.find(&range(start, length));
        assert_eq!(find(0x1_0000, 0x1000), Lookup::Inside(0));
        assert_eq!(find(0x1_1fff, 1), Lookup::Inside(1));
        assert_eq!(find(0x2_0000, 0x1000), Lookup::Inside(2));
        // Two adjacent windows are still two.
        assert_eq!(find(0x1_0000, 0x2000), Lookup::Partial(0));
        assert_eq!(find(0x1_1fff, 2), Lookup::Partial(1));
        assert_eq!(find(0x1_ffff, 2), Lookup::Partial(2));
        assert_eq!(find(0, u64::MAX), Lookup::Partial(0));
        assert_eq!(find(0, 1), Lookup::Outside(Some(0)));
        assert_eq!(find(u64::MAX, 1), Lookup::Outside(Some(2)));
        assert_eq!(find(0x1_2000, 1), Lookup::Outside(Some(1)));
        assert_eq!(find(0x1_ffff, 1), Lookup::Outside(Some(2)));
    }

    #[test]
    fn of_two_windows_as_near_as_each_other_it_is_the_lower() {
        let table = table(vec![window("", 0x1000, 0x1000), window("", 0x5000, 0x1000)]).unwrap();
        assert_eq!(table.find(&range(0x3000, 0x1000)), Lookup::Outside(Some(0)));
        assert_eq!(table.find(&range(0x3000, 0x1001)), Lookup::Outside(Some(1)));
        assert_eq!(table.find(&range(0x3001, 0x1000)), Lookup::Outside(Some(1)));
        assert_eq!(table.find(&range(0x2fff, 0x1000)), Lookup::Outside(Some(0)));
    }

    #[test]
    fn without_windows_none_is_the_nearest() {
        let table = table(vec![]).unwrap();
        assert_eq!(table.find(&range(0, 1)), Lookup::Outside(None));
        assert_eq!(table.find(&range(u64::MAX, 1)), Lookup::Outside(None));
    }

    #[test]
    fn windows_that_are_gone_leave_the_others_in_order() {
        let all = [
            window("a", 0x1000, 0x1000),
            window("", 0x2000, 0x1000),
            window("c", 0x8000, 0x1000),
        ];
        for gone in 0..8u64 {
            let is_gone = |window: &Window| {
                let place = all.iter().position(|other| other == window).unwrap();
                gone & 1 << place != 0
            };
            let mut memory = all;
            let mut table = Table::new(&mut memory[..], &PC).unwrap();
            table.remove(is_gone);
            let left: Vec<_> = all.into_iter().filter(|window| !is_gone(window)).collect();
            assert_eq!(table.windows(), left, "{gone:#b}");
        }
    }

    #[test]
    fn raw_mode_has_no_windows() {
        assert!(Mode::<Vec<Window>>::Raw.windows().is_empty());
    }
}
