// SPDX-License-Identifier: MIT OR Apache-2.0

//! Numbers that processes share. They outlive a process that is killed.

use anyhow::Result;
use nix::sys::mman::MapFlags;

use crate::{
    host::PAGE,
    raw,
    vma::{Vma, READ_WRITE},
};

/// Numbers by their places. At any time each has one process that changes it.
pub struct Counts {
    memory: Vma,
    places: usize,
}

impl Counts {
    /// So many numbers, all 0, for this process and those that it forks.
    pub fn new(places: usize) -> Result<Self> {
        let length = (places * 8).next_multiple_of(PAGE as usize);
        let flags = MapFlags::MAP_SHARED | MapFlags::MAP_ANONYMOUS;
        Ok(Self { memory: Vma::map_at(0, -1, 0, length, READ_WRITE, flags)?, places })
    }

    fn address(&self, place: usize) -> usize {
        assert!(place < self.places, "there is no place {place}");
        self.memory.address() + place * 8
    }

    /// The number at a place.
    pub fn get(&self, place: usize) -> u64 {
        raw::load(self.address(place), 8)
    }

    /// Changes the number at a place.
    pub fn set(&self, place: usize, number: u64) {
        raw::store(self.address(place), 8, number);
    }

    /// Adds one to the number at a place.
    pub fn add(&self, place: usize) {
        self.set(place, self.get(place) + 1);
    }
}
