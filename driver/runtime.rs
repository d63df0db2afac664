// SPDX-License-Identifier: GPL-2.0

//! Windows that are added and removed while the module is loaded, by `map_config.ko`.

use kernel::{
    fmt::{
        self,
        Write, //
    },
    prelude::*,
    str::Formatter, //
};

use crate::{
    abstractions::export::{
        Export,
        Windows, //
    },
    display::CoreDisplay,
    map_core::{
        parse,
        Origin,
        Window, //
    },
    state,
    system::{
        limits,
        with_reservation, //
    },
    windows::AddError, //
};

/// Lets other modules add and remove windows. The state must be published when this module is live.
pub(crate) fn offer() {
    Export::<RunTime>::offer();
}

/// Implements what is exported.
struct RunTime;

impl Windows for RunTime {
    fn add(text: &[u8], reason: &mut [u8]) -> Result<u32> {
        let mut windows = parse(text, limits().page_size);
        let window = match (windows.next(), windows.next()) {
            (Some(Ok(window)), None) => window,
            (Some(Err(error)), _) => {
                refuse(reason, fmt!("{}", CoreDisplay(error)));
                return Err(EINVAL);
            }
            _ => {
                refuse(reason, fmt!("this is more than one window"));
                return Err(EINVAL);
            }
        };
        let window = Window {
            origin: Origin::RunTime,
            ..with_reservation(window)
        };
        add(window).map_err(|error| {
            refuse(reason, fmt!("{error}"));
            error.error()
        })
    }

    fn remove(minor: u32) {
        let Some(state) = state::current() else {
            return;
        };
        let node = state.windows.lock().node(minor);
        if let Some(node) = node.filter(|node| node.window.origin == Origin::RunTime) {
            state.remove(&[node.window]);
        }
    }
}

/// Adds `window`, and returns the minor number of its node.
fn add(window: Window) -> Result<u32, AddError> {
    let state = state::current().ok_or(ENODEV)?;
    // Describing windows, even invalidly, disables raw mode until reload.
    state.windows.lock().leave_raw()?;
    state.add(&[window], &[])?;
    // It is still there: only the caller removes it.
    let node = state.windows.lock().node_of(&window);
    Ok(node.ok_or(ENODEV)?.minor)
}

/// Logs the reason of a refusal, and writes it to `reason`.
fn refuse(reason: &mut [u8], line: fmt::Arguments<'_>) {
    pr_err!("run time: {line}\n");
    if let Some((_, room)) = reason.split_last_mut() {
        // What does not fit is cut.
        let _ = Formatter::new(room).write_fmt(line);
    }
}
