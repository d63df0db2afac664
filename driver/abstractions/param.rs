// SPDX-License-Identifier: GPL-2.0

//! The parameters of the module.
//!
//! `module!` takes integers only, and no KERNEL_PARAM_FL_HWPARAM.

pub(crate) use super::shim::{
    map_major as major,
    windows, //
};
