// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The windows of a loaded driver, and which of them a range lies in.

use core::{
    fmt,
    mem,
    ops::{
        Deref,
        DerefMut, //
    }, //
};

use super::{
    PhysRange,
    Platform,
    Window, //
};

/// The largest number of windows.
pub const MAX_WINDOWS: usize = 64;

/// What may be mapped at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode<S> {
    /// There are no windows: any memory but the kernel's own, for CAP_SYS_RAWIO, unless the kernel is locked down.
    Raw,
    /// Only what lies wholly inside one window, for whoever may open the node.
    Windows(Table<S>),
}

impl<S: Deref<Target = [Window]>> Mode<S> {
    /// The windows in the order of their addresses; none in raw mode.
    pub fn windows(&self) -> &[Window] {
        match self {
            Self::Raw => &[],
            Self::Windows(table) => table.windows(),
        }
    }
}

/// Windows that fit together. `S` is the memory that holds them: a vector of the kernel's, or of the standard library's.
///
/// # Invariants
///
/// There is at least one window and no more than [`MAX_WINDOWS`]; they are in the order of their addresses, do not
/// overlap, and lie inside the physical address space; no two have the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table<S>(S);

impl<S: DerefMut<Target = [Window]>> Table<S> {
    /// Puts `windows` in order.
    ///
    /// # Errors
    ///
    /// If they do not fit together or not into `platform`. When several reasons hold, the one that stands first in
    /// [`TableError`] is given.
    pub fn new(mut windows: S, platform: &Platform) -> Result<Self, TableError> {
        match windows.len() {
            0 => return Err(TableError::Empty),
            1..=MAX_WINDOWS => {}
            count => return Err(TableError::TooMany(count)),
        }
        sort(&mut windows);

        let last_address = platform.last_address;
        if let Some(&window) = windows
            .iter()
            .find(|window| window.range.last() > last_address)
        {
            return Err(TableError::Address {
                window,
                last_address,
            });
        }
        // In this order, windows that overlap at all have neighbours that do.
        for (&first, &second) in windows.iter().zip(windows.iter().skip(1)) {
            if first.range.overlaps(&second.range) {
                return Err(TableError::Overlap { first, second });
            }
        }
        let mut rest = &*windows;
        while let Some((&first, others)) = rest.split_first() {
            let namesake = |other: &&Window| !first.name.is_empty() && other.name == first.name;
            if let Some(&second) = others.iter().find(namesake) {
                return Err(TableError::SameName { first, second });
            }
            rest = others;
        }
        // INVARIANT: All of it was just checked.
        Ok(Self(windows))
    }
}

impl<S: Deref<Target = [Window]>> Table<S> {
    /// The windows in the order of their addresses. Their indices are those of the ABI.
    pub fn windows(&self) -> &[Window] {
        &self.0
    }

    /// How `range` lies to the windows.
    pub fn find(&self, range: &PhysRange) -> Lookup {
        let windows = self.windows();
        // The lowest window that does not end before the range, and the one below it, which does.
        let above = windows.partition_point(|window| window.range.last() < range.start());
        let below = above.wrapping_sub(1);
        match (windows.get(below), windows.get(above)) {
            (_, Some(window)) if window.range.contains(range) => Lookup::Inside(above),
            (_, Some(window)) if window.range.overlaps(range) => Lookup::Partial(above),
            (Some(lower), Some(upper)) => {
                // Neither wraps, as both windows lie apart from the range.
                let down = range.start().wrapping_sub(lower.range.last());
                let up = upper.range.start().wrapping_sub(range.last());
                Lookup::Outside(if up < down { above } else { below })
            }
            (Some(_), None) => Lookup::Outside(below),
            (None, _) => Lookup::Outside(above),
        }
    }
}

/// How a range lies to the windows of a table, with the index of a window in [`Table::windows()`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Wholly inside this window.
    Inside(usize),
    /// Not wholly inside a window, but at least one byte of it is in this one, and in none with a lower address.
    Partial(usize),
    /// Outside of every window; this one is the nearest, counted in bytes between the two, or the lower of two such.
    Outside(usize),
}

/// Why windows do not make up a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableError {
    /// There are none.
    Empty,
    /// There are more than [`MAX_WINDOWS`]: this many.
    TooMany(usize),
    /// A window ends beyond the highest physical address.
    Address {
        /// The lowest such window.
        window: Window,
        /// The highest physical address.
        last_address: u64,
    },
    /// Two windows have memory in common.
    Overlap {
        /// The window that starts first.
        first: Window,
        /// The other one.
        second: Window,
    },
    /// Two windows have the same name.
    SameName {
        /// The window with the lower address.
        first: Window,
        /// The other one.
        second: Window,
    },
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("there is no window; give one, or leave out the list"),
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

/// Sorts by start, by insertion: there are few windows, and the standard library's sorting can panic.
fn sort(windows: &mut [Window]) {
    for unsorted in 1..windows.len() {
        for upper in (1..=unsorted).rev() {
            let Some([below, above]) = windows.get_mut(upper.wrapping_sub(1)..=upper) else {
                return;
            };
            if below.range.start() <= above.range.start() {
                break;
            }
            mem::swap(below, above);
        }
    }
}
