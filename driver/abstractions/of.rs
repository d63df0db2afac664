// SPDX-License-Identifier: GPL-2.0

//! Properties of device tree nodes, reserved memory, and notifications of changes.
//!
//! This does not use `kernel::device::property`: it reads properties into vectors, whose arithmetic
//! can panic, and has no support for reserved memory.
//!
//! C headers: [`include/linux/of.h`](srctree/include/linux/of.h),
//! [`include/linux/of_reserved_mem.h`](srctree/include/linux/of_reserved_mem.h)

use core::marker::PhantomData;

use kernel::{
    device::property::FwNode,
    error::to_result,
    prelude::*, //
};

use super::shim;

pub(crate) use shim::{
    map_of_has_windows as has_windows,
    memory_region,
    property,
    reg,
    reserved_region,
    Regions, //
};

/// Returns whether `node` has the property `name`.
pub(crate) fn has(node: &FwNode, name: &CStr) -> bool {
    property(node, name).is_some()
}

/// The callback for changes of the device tree.
pub(crate) trait Reconfig: 'static {
    /// Called when the tree has an enabled node whose children are windows, which may be new.
    fn has_windows();
}

/// The registration of a notifier. There can be only one.
pub(crate) struct Notifier<T>(PhantomData<T>);

impl<T: Reconfig> Notifier<T> {
    /// Registers the notifier.
    pub(crate) fn register() -> Result<Self> {
        to_result(shim::map_watch_of(Self::has_windows))?;
        Ok(Self(PhantomData))
    }

    extern "C" fn has_windows() {
        T::has_windows();
    }
}

impl<T> Drop for Notifier<T> {
    fn drop(&mut self) {
        shim::map_unwatch_of();
    }
}
