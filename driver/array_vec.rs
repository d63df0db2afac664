// SPDX-License-Identifier: GPL-2.0

//! A list on the heap with room for all windows that there can be.
//!
//! The kernel's own vector grows, and its arithmetic of growing can panic.

use core::ops::{
    Deref,
    DerefMut, //
};

use kernel::{
    alloc::flags::GFP_KERNEL,
    init::InPlaceInit,
    prelude::*, //
};
use pin_init::init_array_from_fn;

use crate::map_core::{
    Truncate,
    Window,
    MAX_WINDOWS, //
};

/// At most [`MAX_WINDOWS`] values.
pub(crate) struct ArrayVec<T> {
    places: KBox<[T; MAX_WINDOWS]>,
    used: usize,
}

impl<T> ArrayVec<T> {
    /// An empty list, whose free places hold what `filler` makes.
    ///
    /// Fails with ENOMEM if there is no memory.
    pub(crate) fn new(filler: impl Fn() -> T) -> Result<Self> {
        let places = KBox::init(init_array_from_fn(|_| filler()), GFP_KERNEL)?;
        Ok(Self { places, used: 0 })
    }

    /// Adds `value` at the end, or gives it back if the list is full.
    pub(crate) fn push(&mut self, value: T) -> Result<(), T> {
        match self.places.get_mut(self.used) {
            Some(place) => {
                *place = value;
                // There was a place, so this does not wrap.
                self.used = self.used.wrapping_add(1);
                Ok(())
            }
            None => Err(value),
        }
    }
}

impl<T> Deref for ArrayVec<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.places.get(..self.used).unwrap_or_default()
    }
}

impl<T> DerefMut for ArrayVec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        self.places.get_mut(..self.used).unwrap_or_default()
    }
}

impl Truncate for ArrayVec<Window> {
    fn truncate(&mut self, length: usize) {
        self.used = self.used.min(length);
    }
}
