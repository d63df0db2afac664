// SPDX-License-Identifier: GPL-2.0

//! The ioctls: queries about the driver, its windows, and the outcome of an mmap(2) call.

use kernel::{
    fs::File,
    prelude::*,
    sync::ArcBorrow,
    transmute::{
        AsBytes,
        FromBytes, //
    },
    uaccess::{
        UserPtr,
        UserSlice, //
    }, //
};

use crate::{
    map_core::{
        abi::{
            self,
            MapCheck,
            MapInfo,
            MapWindow, //
        },
        decide,
        Request, //
    },
    state::State,
    system::{
        caller,
        limits,
        Kernel, //
    }, //
};

// SAFETY: The structures of the ABI consist of integers, and `abi` asserts that they have no
// padding.
unsafe impl AsBytes for MapInfo {}
// SAFETY: As above.
unsafe impl AsBytes for MapWindow {}
// SAFETY: As above.
unsafe impl FromBytes for MapWindow {}
// SAFETY: As above.
unsafe impl AsBytes for MapCheck {}
// SAFETY: As above.
unsafe impl FromBytes for MapCheck {}

/// Handles `command`, whose structure is at the user address `argument`.
///
/// # Errors
///
/// ENOTTY if there is no such command, EFAULT if the structure is not accessible, EINVAL as
/// documented for the commands.
pub(crate) fn ioctl(
    state: ArcBorrow<'_, State>,
    file: &File,
    command: u32,
    argument: usize,
) -> Result {
    match command {
        abi::IOC_INFO => {
            let info = MapInfo::new(state.windows.lock().mode(), &limits());
            let slice = UserSlice::new(UserPtr::from_addr(argument), size_of::<MapInfo>());
            slice.writer().write(&info)
        }
        abi::IOC_WINDOW => exchange(argument, |question: MapWindow| {
            MapWindow::new(state.windows.lock().mode(), question.index).ok_or(EINVAL)
        }),
        abi::IOC_CHECK => exchange(argument, |question| check(&state, file, question)),
        _ => Err(ENOTTY),
    }
}

/// Reads a structure from user memory and overwrites it with the answer. Only `answer` may take
/// locks, because the access to user memory may fault and take `mmap_lock`.
fn exchange<T: FromBytes + AsBytes>(
    argument: usize,
    answer: impl FnOnce(T) -> Result<T>,
) -> Result {
    let slice = UserSlice::new(UserPtr::from_addr(argument), size_of::<T>());
    let (mut reader, mut writer) = slice.reader_writer();
    writer.write(&answer(reader.read()?)?)
}

/// Computes the result that mmap(2) would have.
fn check(state: &State, file: &File, mut check: MapCheck) -> Result<MapCheck> {
    let request = Request::from_check(&check, 0, &caller(file)).ok_or(EINVAL)?;
    let windows = state.windows.lock();
    let verdict = decide(&request, windows.mode(), &limits(), &Kernel);
    check.answer(&verdict);
    Ok(check)
}
