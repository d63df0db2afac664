// SPDX-License-Identifier: GPL-2.0

//! The registry of mappings: their memory, and the number of each user.

use kernel::{
    alloc::flags::GFP_KERNEL,
    mm::{
        Mm,
        MmWithUser, //
    },
    prelude::*,
    rbtree::{
        Entry,
        RBTree,
        RBTreeNodeReservation, //
    },
    sync::aref::ARef, //
};

use crate::map_core::{
    may_map,
    PhysRange,
    Refusal, //
};

/// The key of a registered mapping.
pub(crate) struct Key {
    number: u64,
    /// The user that it counts for; `None` if it was made with CAP_SYS_RESOURCE.
    user: Option<u32>,
}

/// A registered mapping.
struct Registered {
    range: PhysRange,
    /// The address space of the process that made it.
    mm: ARef<Mm>,
    /// The part that was taken away with windows. Between two of them it has memory of neither,
    /// which no longer appears either if it was not mapped yet.
    lost: Option<PhysRange>,
}

/// Memory for one registration, allocated before the lock is taken.
pub(crate) struct Room {
    mapping: RBTreeNodeReservation<u64, Registered>,
    /// The user that it counts for, with the memory for the first one.
    user: Option<(u32, RBTreeNodeReservation<u32, u32>)>,
}

impl Room {
    /// Allocates the memory, for a mapping that counts for `user`; `None` if no limit applies.
    ///
    /// # Errors
    ///
    /// ENOMEM if the allocation fails.
    pub(crate) fn new(user: Option<u32>) -> Result<Self> {
        let user = match user {
            Some(user) => Some((user, RBTreeNodeReservation::new(GFP_KERNEL)?)),
            None => None,
        };
        Ok(Self {
            mapping: RBTreeNodeReservation::new(GFP_KERNEL)?,
            user,
        })
    }
}

/// The registered mappings.
pub(crate) struct Mappings {
    mappings: RBTree<u64, Registered>,
    /// The number of mappings of each user that has any.
    users: RBTree<u32, u32>,
    /// The sum of `users`.
    count: u32,
    next: u64,
}

impl Mappings {
    pub(crate) fn new() -> Self {
        Self {
            mappings: RBTree::new(),
            users: RBTree::new(),
            count: 0,
            next: 0,
        }
    }

    /// Registers a mapping of `range` by the process with `mm`.
    ///
    /// # Errors
    ///
    /// [`Refusal::TooMany`] if a limit is reached.
    pub(crate) fn add(&mut self, range: PhysRange, mm: &Mm, room: Room) -> Result<Key, Refusal> {
        let mut counted = None;
        if let Some((user, room)) = room.user {
            self.count_one(user, room)?;
            counted = Some(user);
        }
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        let registered = Registered {
            range,
            mm: mm.into(),
            lost: None,
        };
        self.mappings
            .insert(room.mapping.into_node(number, registered));
        Ok(Key {
            number,
            user: counted,
        })
    }

    fn count_one(
        &mut self,
        user: u32,
        room: RBTreeNodeReservation<u32, u32>,
    ) -> Result<(), Refusal> {
        match self.users.entry(user) {
            Entry::Vacant(entry) => {
                if !may_map(0, self.count) {
                    return Err(Refusal::TooMany);
                }
                entry.insert(1, room);
            }
            Entry::Occupied(mut entry) => {
                let own = entry.get_mut();
                if !may_map(*own, self.count) {
                    return Err(Refusal::TooMany);
                }
                *own = own.saturating_add(1);
            }
        }
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    /// Removes a registration made by [`add()`](Self::add).
    pub(crate) fn remove(&mut self, key: &Key) {
        self.mappings.remove(&key.number);
        let Some(user) = key.user else {
            return;
        };
        self.count = self.count.saturating_sub(1);
        if let Entry::Occupied(mut entry) = self.users.entry(user) {
            let own = entry.get_mut();
            *own = own.saturating_sub(1);
            if *own == 0 {
                entry.remove();
            }
        }
    }

    /// Returns whether a mapping that may have pages overlaps `range`.
    pub(crate) fn overlap(&self, range: &PhysRange) -> bool {
        let mut mappings = self.mappings.values();
        mappings.any(|mapping| {
            let has_pages = mapping.lost.is_none_or(|lost| lost != mapping.range);
            has_pages && mapping.range.overlaps(range)
        })
    }

    /// Returns the part of its memory that was taken away from a mapping.
    pub(crate) fn lost(&self, key: &Key) -> Option<PhysRange> {
        self.mappings.get(&key.number)?.lost
    }

    /// Returns the address space of the process that made the first mapping that overlaps `range`,
    /// of those from `next` on whose process exists; and advances `next` beyond it.
    pub(crate) fn next_process(
        &self,
        range: &PhysRange,
        next: &mut u64,
    ) -> Option<ARef<MmWithUser>> {
        while let Some(found) = self.mappings.cursor_lower_bound(next) {
            let (number, mapping) = found.current();
            *next = number.wrapping_add(1);
            if mapping.range.overlaps(range) {
                if let Some(mm) = mapping.mm.mmget_not_zero() {
                    return Some(mm);
                }
            }
        }
        None
    }

    /// Records that the memory in `range` is taken away from all mappings.
    pub(crate) fn revoke(&mut self, range: &PhysRange) {
        for mapping in self.mappings.values_mut() {
            let Some(part) = mapping.range.intersection(range) else {
                continue;
            };
            // Both lie in the mapping, so there is a hull.
            let lost = mapping.lost.and_then(|lost| lost.hull(&part));
            mapping.lost = Some(lost.unwrap_or(part));
        }
    }
}
