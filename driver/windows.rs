// SPDX-License-Identifier: GPL-2.0

//! The windows: their sources, the current table, and the claims on their memory.

use kernel::{
    alloc::AllocError,
    fmt,
    page::PAGE_SHIFT,
    prelude::*, //
};

use crate::{
    abstractions::{
        of,
        param,
        task, //
    },
    array_vec::{
        ArrayVec,
        Filler, //
    },
    claim::{
        claim,
        Claim, //
    },
    display::CoreDisplay,
    error::{
        error_of,
        Denial, //
    },
    map_core::{
        check_window,
        decide,
        parse,
        Entry,
        Grant,
        LogLimit,
        Mode,
        Origin,
        PhysRange,
        Refusal,
        Refused,
        Request,
        Table,
        TableError,
        Window,
        WindowError,
        MAX_WINDOWS, //
    },
    registry::{
        Key,
        Mappings,
        Room, //
    },
    system::{
        limits,
        with_reservation,
        Kernel, //
    }, //
};

/// The current windows and mappings.
pub(crate) struct Windows {
    mode: Mode<ArrayVec<WindowEntry>>,
    mappings: Mappings,
    /// The rate limit for cache type conflicts, by the first page of the window.
    conflicts: LogLimit,
}

/// A window with the claim on its memory.
pub(crate) struct WindowEntry {
    window: Window,
    /// `None` if the memory is shared with other drivers.
    claim: Option<Claim>,
}

impl Entry for WindowEntry {
    fn window(&self) -> &Window {
        &self.window
    }
}

impl Filler for WindowEntry {
    fn filler() -> Self {
        Self {
            window: Window::filler(),
            claim: None,
        }
    }
}

impl Filler for Window {
    fn filler() -> Self {
        Self::new(PhysRange::FIRST_BYTE)
    }
}

impl Windows {
    /// Creates the windows of the parameter `windows`. Without the parameter there are none yet,
    /// and unless the device tree describes windows, the driver is in raw mode.
    ///
    /// # Errors
    ///
    /// EINVAL if the text is not a list of windows that fit together, EPERM if a window is not
    /// permitted, EBUSY if part of a window is already claimed. A line in the log has the reason.
    pub(crate) fn at_load() -> Result<Self> {
        let mut windows = Self {
            mode: Mode::Raw,
            mappings: Mappings::new(),
            conflicts: LogLimit::new(),
        };
        if let Some(text) = param::windows() {
            windows.add(&listed(text)?).map_err(|error| {
                pr_err!("windows: {error}\n");
                error.error()
            })?;
        } else if of::has_windows() {
            windows.leave_raw()?;
        }
        Ok(windows)
    }

    /// Returns the mode, with the windows in the order of their addresses.
    pub(crate) fn mode(&self) -> &Mode<ArrayVec<WindowEntry>> {
        &self.mode
    }

    /// Decides on `request`, and registers the mapping in `room` if it is granted. Also returns the
    /// claim on its memory.
    ///
    /// # Errors
    ///
    /// [`Denial::Refused`] with the reason of [`decide()`], with [`Refusal::CacheConflict`] if the
    /// window had too many conflicts recently, or with [`Refusal::TooMany`].
    pub(crate) fn grant(
        &mut self,
        request: &Request,
        room: Room,
    ) -> Result<(Grant, Key, Option<Claim>), Denial> {
        let grant = decide(request, &self.mode, &limits(), &Kernel)?;
        if let Some(found) = grant.window {
            let key = conflict_key(&found.window);
            if self.conflicts.is_used_up(key, task::seconds_since_boot()) {
                let refused = Refused {
                    reason: Refusal::CacheConflict,
                    nearest: grant.window,
                };
                return Err(refused.into());
            }
        }
        let entry = grant
            .window
            .and_then(|found| self.mode.windows().get(found.index));
        let claim = entry.and_then(|entry| entry.claim.clone());
        let user = (!task::has_cap_sys_resource()).then(|| task::user());
        let key = self.mappings.add(grant.range, user, room)?;
        Ok((grant, key, claim))
    }

    /// Records that the memory of `grant` is mapped with a conflicting cache type. The kernel logs
    /// each such attempt without a rate limit, so after several conflicts [`grant()`](Self::grant)
    /// refuses further attempts for a while.
    pub(crate) fn conflicts(&mut self, grant: &Grant) {
        let Some(found) = grant.window else {
            return;
        };
        let now = task::seconds_since_boot();
        let key = conflict_key(&found.window);
        // The driver's own log reports or counts the refusals, so these counts are discarded.
        while self.conflicts.take_left_out(Some(now)).is_some() {}
        self.conflicts.passes(key, now);
    }

    /// Removes a mapping that no longer exists.
    pub(crate) fn forget(&mut self, key: &Key) {
        self.mappings.remove(key);
    }

    /// Returns whether a window or a mapping overlaps `range`.
    pub(crate) fn is_in_use(&self, range: &PhysRange) -> bool {
        let mut windows = self.mode.windows().iter();
        windows.any(|entry| entry.window.range.overlaps(range)) || self.mappings.overlap(range)
    }

    /// Leaves raw mode until reload: from now on only windows can be mapped.
    ///
    /// # Errors
    ///
    /// ENOMEM if the table cannot be allocated.
    pub(crate) fn leave_raw(&mut self) -> Result {
        if matches!(self.mode, Mode::Raw) {
            let table = Table::new(ArrayVec::new()?, &limits()).map_err(|_| EINVAL)?;
            self.mode = Mode::Windows(table);
        }
        Ok(())
    }

    /// Adds the windows `new`, claims the memory of those without `shared`, and leaves raw mode.
    ///
    /// # Errors
    ///
    /// [`AddError`] if a window cannot be added. In that case nothing changes.
    pub(crate) fn add(&mut self, new: &[Window]) -> Result<(), AddError> {
        let old = self.mode.windows();
        let all = old.len().saturating_add(new.len());
        let mut entries = ArrayVec::new()?;
        let mut push = |window: &Window, claim: Option<Claim>| {
            let entry = WindowEntry {
                window: *window,
                claim,
            };
            entries.push(entry).map_err(|_| TableError::TooMany(all))
        };
        for entry in old {
            push(&entry.window, entry.claim.clone())?;
        }
        for window in new {
            push(window, None)?;
        }
        let table = Table::new(entries, &limits())?;
        for window in new {
            check_window(window, &Kernel).map_err(|reason| AddError::Refused(*window, reason))?;
        }
        let mut entries = table.into_entries();
        for entry in entries.iter_mut() {
            if entry.window.claim && entry.claim.is_none() {
                entry.claim = Some(AddError::check_claim(&entry.window, claim(&entry.window))?);
            }
        }
        self.mode = Mode::Windows(Table::new(entries, &limits())?);
        Ok(())
    }

    /// Removes the windows `gone`, so that they cannot be mapped any more. Existing mappings
    /// remain, and their memory stays claimed.
    pub(crate) fn remove(&mut self, gone: &[Window]) {
        if let Mode::Windows(table) = &mut self.mode {
            table.remove(|window| gone.iter().any(|gone| gone.range == window.range));
        }
    }
}

/// Returns the key of a window in the limit of conflicts: its first page, which no other window
/// has. The truncated bits distinguish only windows that are 16 TiB apart.
fn conflict_key(window: &Window) -> u32 {
    (window.range.start() >> PAGE_SHIFT) as u32
}

/// Parses the text of the parameter.
fn listed(text: &[u8]) -> Result<ArrayVec<Window>> {
    let mut windows = ArrayVec::new()?;
    for window in parse(text, limits().page_size) {
        let window = window.map_err(|error| {
            pr_err!("windows: {}\n", CoreDisplay(error));
            EINVAL
        })?;
        windows.push(with_reservation(window)).map_err(|window| {
            pr_err!(
                "windows: {}: one window too many; the maximum is {MAX_WINDOWS}\n",
                CoreDisplay(window)
            );
            EINVAL
        })?;
    }
    Ok(windows)
}

/// The reason for which windows cannot be added.
pub(crate) enum AddError {
    /// The windows do not fit together, or not with the existing ones.
    Table(TableError),
    /// This window is rejected.
    Refused(Window, WindowError),
    /// Part of this window is already claimed.
    Claimed(Window),
    /// The kernel returned an error.
    Failed(Error),
}

impl AddError {
    fn check_claim(window: &Window, claimed: Result<Claim>) -> Result<Claim, Self> {
        claimed.map_err(|error| {
            if error == EBUSY {
                Self::Claimed(*window)
            } else {
                Self::Failed(error)
            }
        })
    }

    /// Returns the error of the module load or of the device probe.
    pub(crate) fn error(&self) -> Error {
        match self {
            Self::Table(_) => EINVAL,
            Self::Refused(_, reason) => error_of(reason.errno()),
            Self::Claimed(_) => EBUSY,
            Self::Failed(error) => *error,
        }
    }
}

impl From<TableError> for AddError {
    fn from(error: TableError) -> Self {
        Self::Table(error)
    }
}

impl From<Error> for AddError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<AllocError> for AddError {
    fn from(error: AllocError) -> Self {
        Self::Failed(error.into())
    }
}

impl fmt::Display for AddError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(error) => write!(f, "{}", error),
            Self::Refused(window, reason) => {
                write!(f, "{}: {}", window, reason)?;
                match reason {
                    WindowError::SystemRam if window.origin != Origin::Parameter => f.write_str(
                        "; if it is the memory of a node in /reserved-memory, give that node no-map",
                    ),
                    _ => Ok(()),
                }
            }
            Self::Claimed(window) => write!(
                f,
                "{}: a part of it is claimed already, see /proc/iomem; the {} avoids the claim",
                window,
                match window.origin {
                    Origin::Parameter => "option shared",
                    Origin::Dt | Origin::BootDt => "property map,shared",
                }
            ),
            Self::Failed(error) => write!(f, "error {}", error.to_errno()),
        }
    }
}
