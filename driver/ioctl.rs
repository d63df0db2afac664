// SPDX-License-Identifier: GPL-2.0

//! The ioctls: queries about the driver, its windows, and the outcome of an mmap(2) call; and the
//! interrupts of a window.

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
    abstractions::fs::FileMode,
    error::error_of,
    file::NodeFile,
    interrupts::{
        Interrupts,
        Taken, //
    },
    map_core::{
        abi::{
            self,
            MapCheck,
            MapInfo,
            MapIrq,
            MapIrqEventfd,
            MapIrqMask,
            MapIrqWait,
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
// SAFETY: As above.
unsafe impl AsBytes for MapIrq {}
// SAFETY: As above.
unsafe impl FromBytes for MapIrq {}
// SAFETY: As above.
unsafe impl AsBytes for MapIrqWait {}
// SAFETY: As above.
unsafe impl FromBytes for MapIrqWait {}
// SAFETY: As above.
unsafe impl FromBytes for MapIrqMask {}
// SAFETY: As above.
unsafe impl FromBytes for MapIrqEventfd {}

/// Handles `command`, whose structure is at the user address `argument`.
///
/// # Errors
///
/// ENOTTY if the node has no such command, EFAULT if the structure is not accessible, ENODEV if the
/// window of the node was removed, and others as documented for the commands.
pub(crate) fn ioctl(node: &NodeFile, file: &File, command: u32, argument: usize) -> Result {
    match command {
        abi::IOC_INFO => {
            let info = info(node)?;
            let slice = UserSlice::new(UserPtr::from_addr(argument), size_of::<MapInfo>());
            slice.writer().write(&info)
        }
        abi::IOC_WINDOW => exchange(argument, |question| window(node, question)),
        abi::IOC_CHECK => exchange(argument, |question| check(node, file, question)),
        abi::IOC_IRQ => exchange(argument, |question: MapIrq| {
            let index = question.index;
            interrupts(node)?.map_or(Err(EINVAL), |(interrupts, _)| interrupts.describe(index))
        }),
        abi::IOC_IRQ_WAIT => {
            // They are taken before the structure is written, and must not be lost with it.
            let mut answer = None;
            let done = exchange(argument, |question| {
                let (interrupts, taken) = interrupts(node)?.ok_or(EINVAL)?;
                let came = interrupts.wait(taken, question)?;
                answer = Some((interrupts, taken, came));
                Ok(came)
            });
            if let (Err(_), Some((interrupts, taken, came))) = (&done, answer) {
                interrupts.give_back(taken, &came);
            }
            done
        }
        abi::IOC_IRQ_MASK => {
            let mask: MapIrqMask = argument_of(argument)?;
            let (interrupts, _) = interrupts(node)?.ok_or(EINVAL)?;
            interrupts.set_masked(&mask, FileMode::of(file).is_writable())
        }
        abi::IOC_IRQ_EVENTFD => {
            let request: MapIrqEventfd = argument_of(argument)?;
            let (interrupts, _) = interrupts(node)?.ok_or(EINVAL)?;
            let writable = FileMode::of(file).is_writable();
            interrupts.set_eventfd(&request, node.number(), writable)
        }
        _ => Err(ENOTTY),
    }
}

/// Returns the interrupts of the window of the node; `None` if it has none.
///
/// # Errors
///
/// ENOTTY if the node is that of all memory, ENODEV if its window was removed.
fn interrupts(node: &NodeFile) -> Result<Option<(&Interrupts, &Taken)>> {
    let window = node.node.as_ref().ok_or(ENOTTY)?;
    let found = node.interrupts();
    // The interrupts know it by themselves.
    if found.is_none() && window.is_gone() {
        return Err(error(Refusal::Gone));
    }
    Ok(found)
}

/// Describes the driver, or the window of the node.
fn info(NodeFile { state, node, .. }: &NodeFile) -> Result<MapInfo> {
    let windows = state.windows.lock();
    let Some(node) = node else {
        return Ok(MapInfo::new(windows.mode(), windows.changes(), &limits()));
    };
    let alone = windows.alone(node).map_err(error)?;
    Ok(MapInfo::new(&alone, 0, &limits()).on_its_node())
}

/// Describes the window with the index in `question`.
fn window(NodeFile { state, node, .. }: &NodeFile, question: MapWindow) -> Result<MapWindow> {
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

/// Reads a structure from user memory.
fn argument_of<T: FromBytes>(argument: usize) -> Result<T> {
    let slice = UserSlice::new(UserPtr::from_addr(argument), size_of::<T>());
    slice.reader().read()
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
