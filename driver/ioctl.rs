// SPDX-License-Identifier: GPL-2.0

//! The ioctls: queries about the driver, its windows, and the outcome of an mmap(2) call.

use kernel::{
    fs::File,
    prelude::*,
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
    error::error_of,
    file::NodeFile,
    map_core::{
        abi::{
            self,
            MapCheck,
            MapInfo,
            MapWindow, //
        },
        Refusal,
        Request, //
    },
    system::{
        caller,
        limits, //
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
/// ENOTTY if there is no such command, EFAULT if the structure is not accessible, ENODEV if the
/// window of the node was removed, EINVAL as documented for the commands.
pub(crate) fn ioctl(node: &NodeFile, file: &File, command: u32, argument: usize) -> Result {
    match command {
        abi::IOC_INFO => {
            let info = info(node)?;
            let slice = UserSlice::new(UserPtr::from_addr(argument), size_of::<MapInfo>());
            slice.writer().write(&info)
        }
        abi::IOC_WINDOW => exchange(argument, |question| window(node, question)),
        abi::IOC_CHECK => exchange(argument, |question| check(node, file, question)),
        _ => Err(ENOTTY),
    }
}

/// Describes the driver, or the window of the node.
fn info(NodeFile { state, node }: &NodeFile) -> Result<MapInfo> {
    let windows = state.windows.lock();
    let Some(node) = node else {
        return Ok(MapInfo::new(windows.mode(), &limits()));
    };
    let alone = windows.alone(node).map_err(error)?;
    Ok(MapInfo::new(&alone, &limits()).on_its_node())
}

/// Describes the window with the index in `question`.
fn window(NodeFile { state, node }: &NodeFile, question: MapWindow) -> Result<MapWindow> {
    let windows = state.windows.lock();
    let found = match node {
        None => MapWindow::new(windows.mode(), question.index),
        Some(node) => MapWindow::new(&windows.alone(node).map_err(error)?, question.index),
    };
    found.ok_or(EINVAL)
}

fn error(reason: Refusal) -> Error {
    error_of(reason.errno())
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
fn check(node: &NodeFile, file: &File, mut check: MapCheck) -> Result<MapCheck> {
    let request = Request::from_check(&check, node.base(), &caller(file)).ok_or(EINVAL)?;
    let windows = node.state.windows.lock();
    let verdict = windows.decide(&request, node.node.as_ref());
    if matches!(&verdict, Err(refused) if refused.reason == Refusal::Gone) {
        return Err(error(Refusal::Gone));
    }
    check.answer(&verdict.map(|(grant, _)| grant));
    Ok(check)
}
