// SPDX-License-Identifier: GPL-2.0

//! A heap vector with a fixed capacity of [`MAX_WINDOWS`].
//!
//! `kernel::alloc::KVec` grows on push, and the arithmetic of its growth can panic.

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
    MAX_WINDOWS, //
};

/// At most [`MAX_WINDOWS`] values.
pub(crate) struct ArrayVec<T> {
    places: KBox<[T; MAX_WINDOWS]>,
    used: usize,
}

/// A type with a value for unused slots.
pub(crate) trait Filler {
    /// Returns a value that owns nothing.
    fn filler() -> Self;
}

impl<T: Filler> ArrayVec<T> {
    /// Creates an empty vector.
    ///
    /// # Errors
    ///
    /// ENOMEM if the allocation fails.
    pub(crate) fn new() -> Result<Self> {
        let places = KBox::init(init_array_from_fn(|_| T::filler()), GFP_KERNEL)?;
        Ok(Self { places, used: 0 })
    }

    /// Appends `value`, or returns it as the error if the vector is full.
    pub(crate) fn push(&mut self, value: T) -> Result<(), T> {
        match self.places.get_mut(self.used) {
            Some(place) => {
                *place = value;
                // A slot was free, so this does not wrap.
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

impl<T: Filler> Truncate for ArrayVec<T> {
    fn truncate(&mut self, length: usize) {
        for place in self.iter_mut().skip(length) {
            *place = T::filler();
        }
        self.used = self.used.min(length);
    }
}
