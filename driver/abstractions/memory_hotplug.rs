// SPDX-License-Identifier: GPL-2.0

//! Notifications of memory that is about to go online.
//!
//! C header: [`include/linux/memory.h`](srctree/include/linux/memory.h)

use core::marker::PhantomData;

use kernel::{
    error::to_result,
    prelude::*, //
};

use super::shim;

/// The decision whether memory may go online.
pub(crate) trait OnlineVeto: 'static {
    /// Returns whether the `length` bytes at `start`, whole memory blocks, must stay offline. They
    /// are already System RAM in `/proc/iomem`.
    fn vetoes(start: u64, length: u64) -> bool;
}

/// The registration of a notifier. There can be only one.
pub(crate) struct Notifier<T>(PhantomData<T>);

impl<T: OnlineVeto> Notifier<T> {
    /// Registers the notifier.
    pub(crate) fn register() -> Result<Self> {
        to_result(shim::map_watch_memory(Self::vetoes))?;
        Ok(Self(PhantomData))
    }

    extern "C" fn vetoes(start: u64, length: u64) -> bool {
        T::vetoes(start, length)
    }
}

impl<T> Drop for Notifier<T> {
    fn drop(&mut self) {
        shim::map_unwatch_memory();
    }
}
