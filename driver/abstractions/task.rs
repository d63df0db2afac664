// SPDX-License-Identifier: GPL-2.0

//! The current process, its name, user and capabilities, and the time.
//!
//! This does not use `kernel::task::Task`: bindgen loses the alignment of an empty structure, and
//! without CONFIG_SCHEDSTATS `task_struct` has one, so the fields behind it have wrong offsets.

pub(crate) use super::shim::{
    map_capable_rawio as has_cap_sys_rawio,
    map_capable_resource as has_cap_sys_resource,
    map_current_pid as pid,
    map_current_user as user,
    map_locked_down as is_locked_down,
    map_may_go_on as may_go_on,
    map_seconds as seconds_since_boot,
    map_task_size as task_size,
    Comm, //
};

/// Calls `work`, and has KCSAN watch the accesses.
///
/// While mmap_lock is held for writing it takes all accesses for atomic, because that is a writer's
/// section of a sequence counter. This is for callbacks that the kernel makes there, of which two
/// may run at once in two processes.
#[inline(always)]
pub(crate) fn watched<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(CONFIG_KCSAN)]
    let before = super::shim::map_kcsan_nest(0);
    let result = work();
    #[cfg(CONFIG_KCSAN)]
    super::shim::map_kcsan_nest(before);
    result
}
