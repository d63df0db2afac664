// SPDX-License-Identifier: GPL-2.0

//! The current process: its name and its rights, and the time.
//!
//! bindgen loses the alignment of an empty structure, and without CONFIG_SCHEDSTATS `task_struct`
//! has one: with `kernel::task::Task` the fields behind it are at wrong offsets.

pub(crate) use super::shim::{
    map_capable_rawio as has_cap_sys_rawio,
    map_capable_resource as has_cap_sys_resource,
    map_current_pid as pid,
    map_current_user as user,
    map_locked_down as is_locked_down,
    map_seconds as seconds_since_boot,
    map_task_size as task_size,
    Comm, //
};
