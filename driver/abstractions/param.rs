// SPDX-License-Identifier: GPL-2.0

//! The module parameters.
//!
//! `shim.c` defines them, because `module!` supports only integers, and not
//! KERNEL_PARAM_FL_HWPARAM.

use crate::map_core::Huge;

pub(crate) use super::shim::{
    map_major as major,
    windows, //
};

/// Returns whether mappings in raw mode may have huge pages.
pub(crate) fn huge() -> Huge {
    if super::shim::map_huge() {
        Huge::Auto
    } else {
        Huge::Never
    }
}
