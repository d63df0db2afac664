// SPDX-License-Identifier: GPL-2.0

//! The questions that a program can ask about the driver, its windows, and a mapping before it is
//! made.

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

// SAFETY: The structures of the ABI are made of integers only, and `abi` asserts that they have no
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

/// Answers `command`, whose structure is at `argument` in the process.
///
/// Fails with ENOTTY if there is no such command, with EFAULT if the structure is not the
/// process's, and with EINVAL as the commands say.
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

/// Reads a structure from the process and writes the answer in its place. Only `answer` may take
/// locks: the memory of the process may have to be brought in first.
fn exchange<T: FromBytes + AsBytes>(
    argument: usize,
    answer: impl FnOnce(T) -> Result<T>,
) -> Result {
    let slice = UserSlice::new(UserPtr::from_addr(argument), size_of::<T>());
    let (mut reader, mut writer) = slice.reader_writer();
    writer.write(&answer(reader.read()?)?)
}

/// What mmap(2) would say.
fn check(state: &State, file: &File, mut check: MapCheck) -> Result<MapCheck> {
    let request = Request::from_check(&check, &caller(file)).ok_or(EINVAL)?;
    let windows = state.windows.lock();
    let verdict = decide(&request, windows.mode(), &limits(), &Kernel);
    check.answer(&verdict);
    Ok(check)
}
