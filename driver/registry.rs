// SPDX-License-Identifier: GPL-2.0

//! The registry of mappings: their memory, and the number of each user.

use kernel::{
    alloc::flags::GFP_KERNEL,
    prelude::*,
    rbtree::{
        Entry,
        RBTree,
        RBTreeNodeReservation, //
    }, //
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

/// Memory for one registration, allocated before the lock is taken.
pub(crate) struct Room {
    range: RBTreeNodeReservation<u64, PhysRange>,
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
            range: RBTreeNodeReservation::new(GFP_KERNEL)?,
            user: RBTreeNodeReservation::new(GFP_KERNEL)?,
        })
    }
}

/// The registered mappings.
pub(crate) struct Mappings {
    ranges: RBTree<u64, PhysRange>,
    /// The number of mappings of each user that has any.
    users: RBTree<u32, u32>,
    /// The sum of `users`.
    count: u32,
    next: u64,
}

impl Mappings {
    pub(crate) fn new() -> Self {
        Self {
            ranges: RBTree::new(),
            users: RBTree::new(),
            count: 0,
            next: 0,
        }
    }

    /// Registers a mapping of `range` for `user`; `None` if no limit applies.
    ///
    /// # Errors
    ///
    /// [`Refusal::TooMany`] if a limit is reached.
    pub(crate) fn add(
        &mut self,
        range: PhysRange,
        user: Option<u32>,
        room: Room,
    ) -> Result<Key, Refusal> {
        if let Some(user) = user {
            self.count_one(user, room.user)?;
        }
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.ranges.insert(room.range.into_node(number, range));
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
        self.ranges.remove(&key.number);
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

    /// Returns whether a mapping overlaps `range`.
    pub(crate) fn overlap(&self, range: &PhysRange) -> bool {
        self.ranges.values().any(|mapped| mapped.overlaps(range))
    }
}
