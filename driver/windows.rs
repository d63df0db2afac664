// SPDX-License-Identifier: GPL-2.0

//! The windows, from the parameter's text to claimed regions.

use kernel::prelude::*;

use crate::{
    claim::Claim,
    list::List,
    map_core::{
        admit,
        parse,
        Mode,
        PhysRange,
        Table,
        Window,
        MAX_WINDOWS, //
    },
    platform::{
        is_reserved,
        platform,
        Kernel, //
    },
    shim,
    state::Shown, //
};

/// The windows that the parameter `windows` lists, or raw mode if it was not given.
///
/// Fails with EINVAL if the text is no list of windows that fit together, and with EPERM if one of them is not to be
/// had: System RAM, or on a locked-down kernel anything that is not reserved. One line of the log says what is wrong.
pub(crate) fn from_parameter() -> Result<Mode<List<Window>>> {
    match shim::windows() {
        None => Ok(Mode::Raw),
        Some(text) => table(text).map(Mode::Windows),
    }
}

fn table(text: &[u8]) -> Result<Table<List<Window>>> {
    let platform = platform();
    // Any window does to fill the free places with.
    let page = PhysRange::new(0, platform.page_size).ok_or(EINVAL)?;
    let mut windows = List::new(|| Window::new(page))?;
    for window in parse(text, platform.page_size) {
        let window = window.map_err(|error| {
            pr_err!("windows: {}\n", Shown(error));
            EINVAL
        })?;
        windows.push(window).map_err(|window| {
            pr_err!(
                "windows: {}: this is one window too many; there can be {MAX_WINDOWS}\n",
                Shown(window)
            );
            EINVAL
        })?;
    }
    for window in windows.iter_mut() {
        window.reserved = is_reserved(&window.range);
    }
    let table = Table::new(windows, &platform).map_err(|error| {
        pr_err!("windows: {}\n", Shown(error));
        EINVAL
    })?;
    for window in table.windows() {
        admit(window, &Kernel).map_err(|reason| {
            pr_err!("windows: {}: {}\n", Shown(window), Shown(reason));
            EPERM
        })?;
    }
    Ok(table)
}

/// Claims the regions of `windows`, but for those that are to be shared with other drivers.
///
/// Fails with EBUSY if somebody else has one, and then has claimed none.
pub(crate) fn claim(windows: &[Window]) -> Result<List<Option<Claim>>> {
    let mut claims = List::new(|| None)?;
    for window in windows.iter().filter(|window| window.claim) {
        let claim = Claim::new(window).inspect_err(|error| {
            if *error == EBUSY {
                pr_err!(
                    "windows: {}: a part of it is claimed already, see /proc/iomem; the option shared makes no claim\n",
                    Shown(window)
                );
            }
        })?;
        claims.push(Some(claim)).map_err(|_| EINVAL)?;
    }
    Ok(claims)
}
