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
    /// Whether its pages were taken away.
    revoked: bool,
}

/// Memory for one registration, allocated before the lock is taken.
pub(crate) struct Room {
    mapping: RBTreeNodeReservation<u64, Registered>,
    user: RBTreeNodeReservation<u32, u32>,
}

impl Room {
    /// Allocates the memory.
    ///
    /// # Errors
    ///
    /// ENOMEM if the allocation fails.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            mapping: RBTreeNodeReservation::new(GFP_KERNEL)?,
            user: RBTreeNodeReservation::new(GFP_KERNEL)?,
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

    /// Registers a mapping of `range` by the process with `mm` for `user`; `None` if no limit
    /// applies.
    ///
    /// # Errors
    ///
    /// [`Refusal::TooMany`] if a limit is reached.
    pub(crate) fn add(
        &mut self,
        range: PhysRange,
        mm: &Mm,
        user: Option<u32>,
        room: Room,
    ) -> Result<Key, Refusal> {
        if let Some(user) = user {
            self.count_one(user, room.user)?;
        }
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        let registered = Registered {
            range,
            mm: mm.into(),
            revoked: false,
        };
        self.mappings
            .insert(room.mapping.into_node(number, registered));
        Ok(Key { number, user })
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

    /// Returns whether a mapping that has pages overlaps `range`.
    pub(crate) fn overlap(&self, range: &PhysRange) -> bool {
        let mut mappings = self.mappings.values();
        mappings.any(|mapping| !mapping.revoked && mapping.range.overlaps(range))
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

    /// Records that the pages in `range` were taken away from all mappings.
    pub(crate) fn revoke(&mut self, range: &PhysRange) {
        for mapping in self.mappings.values_mut() {
            if range.contains(&mapping.range) {
                mapping.revoked = true;
            }
        }
    }
}
