// SPDX-License-Identifier: GPL-2.0

//! The module parameters.
//!
//! `shim.c` defines them, because `module!` supports only integers, and not
//! KERNEL_PARAM_FL_HWPARAM.

pub(crate) use super::shim::{
    map_major as major,
    windows, //
};
