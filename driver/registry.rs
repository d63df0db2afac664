// SPDX-License-Identifier: GPL-2.0

//! The mappings that there are: which memory they have, and how many each user may make.

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

/// What a mapping is registered under.
pub(crate) struct Key {
    number: u64,
    /// The user for whom it counts, unless there is no limit for them.
    user: Option<u32>,
}

/// Room for one registration, from before the lock is taken.
pub(crate) struct Room {
    range: RBTreeNodeReservation<u64, PhysRange>,
    user: RBTreeNodeReservation<u32, u32>,
}

impl Room {
    /// Fails with ENOMEM.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            range: RBTreeNodeReservation::new(GFP_KERNEL)?,
            user: RBTreeNodeReservation::new(GFP_KERNEL)?,
        })
    }
}

/// The mappings that there are.
pub(crate) struct Mappings {
    ranges: RBTree<u64, PhysRange>,
    /// How many of them each user has, if any.
    users: RBTree<u32, u32>,
    /// How many all of these have.
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

    /// Registers one of `range` by `user`, or by a process without a limit.
    ///
    /// # Errors
    ///
    /// [`Refusal::TooMany`].
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

    /// Undoes [`add()`](Self::add).
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

    /// Whether one of them has a part of `range`.
    pub(crate) fn overlap(&self, range: &PhysRange) -> bool {
        self.ranges.values().any(|mapped| mapped.overlaps(range))
    }
}
