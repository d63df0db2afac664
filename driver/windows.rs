// SPDX-License-Identifier: GPL-2.0

//! The windows: where they come from, which there are now, and the claims on their regions.

use kernel::{
    alloc::AllocError,
    fmt,
    prelude::*,
    sync::Arc, //
};

use crate::{
    claim::Claim,
    list::List,
    map_core::{
        admit,
        decide,
        parse,
        Grant,
        Mode,
        PhysRange,
        Refusal,
        Request,
        Table,
        TableError,
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

/// The windows that there are now.
pub(crate) struct Windows {
    mode: Mode<List<Window>>,
    // The claims on those that make one, in no order. The place of one that is gone is empty.
    claims: List<Option<Arc<Claim>>>,
}

impl Windows {
    /// The windows that the parameter `windows` lists. Without it there are none yet; and if the device tree has nothing
    /// about windows either, the driver is in raw mode.
    ///
    /// Fails, after a line in the log that says what is wrong, with EINVAL if the text is no list of windows that fit
    /// together, with EPERM if one of them is not to be had, and with EBUSY if somebody else has claimed a part of one.
    pub(crate) fn at_load() -> Result<Self> {
        let mut windows = Self {
            mode: Mode::Raw,
            claims: List::new(|| None)?,
        };
        if let Some(text) = shim::windows() {
            windows.add(&mut listed(text)?).map_err(|unfit| {
                pr_err!("windows: {unfit}\n");
                unfit.error()
            })?;
        } else if shim::map_tree_has_windows() {
            windows.leave_raw()?;
        }
        Ok(windows)
    }

    /// The mode, with the windows in the order of their addresses.
    pub(crate) fn mode(&self) -> &Mode<List<Window>> {
        &self.mode
    }

    /// Decides on `request`.
    pub(crate) fn decide(&self, request: &Request) -> Result<Permit, Denial> {
        match decide(request, &self.mode, &platform(), &Kernel) {
            Ok(grant) => {
                // At most one window holds the range, and it has at most one claim.
                let mut claims = self.claims.iter().flatten();
                let claim = claims.find(|claim| claim.range().contains(&grant.range));
                Ok(Permit {
                    grant,
                    claim: claim.cloned(),
                })
            }
            Err(refused) => {
                let nearest = refused.nearest;
                let nearest = nearest.and_then(|index| self.mode.windows().get(index));
                Err(Denial {
                    reason: refused.reason,
                    nearest: nearest.copied(),
                })
            }
        }
    }

    /// Leaves raw mode, for good: from now on only windows can be mapped.
    pub(crate) fn leave_raw(&mut self) -> Result {
        if matches!(self.mode, Mode::Raw) {
            let table = Table::new(list()?, &platform()).map_err(|_| EINVAL)?;
            self.mode = Mode::Windows(table);
        }
        Ok(())
    }

    /// Adds `new`, of which the driver now knows whether they are reserved, and claims their regions, but for those that
    /// are to be shared with other drivers. There is no raw mode any more.
    ///
    /// If it fails, everything is as before.
    pub(crate) fn add(&mut self, new: &mut [Window]) -> Result<(), Unfit> {
        let old = self.mode.windows();
        let mut windows = list()?;
        for window in new.iter_mut() {
            window.reserved = is_reserved(&window.range);
        }
        let all = old.len().saturating_add(new.len());
        for window in Iterator::chain(old.iter(), &*new) {
            windows
                .push(*window)
                .map_err(|_| TableError::TooMany(all))?;
        }
        let table = Table::new(windows, &platform())?;
        for window in &*new {
            admit(window, &Kernel).map_err(|reason| Unfit::Refused(*window, reason))?;
        }
        let mut claims = List::new(|| None)?;
        for claim in self.claims.iter().flatten() {
            claims.push(Some(claim.clone())).map_err(|_| EINVAL)?;
        }
        for window in new.iter().filter(|window| window.claim) {
            let claim = Claim::new(window).map_err(|error| {
                if error == EBUSY {
                    Unfit::Claimed(*window)
                } else {
                    Unfit::Failed(error)
                }
            })?;
            let claim = Arc::new(claim, GFP_KERNEL)?;
            claims.push(Some(claim)).map_err(|_| EINVAL)?;
        }
        self.mode = Mode::Windows(table);
        self.claims = claims;
        Ok(())
    }

    /// Takes `gone` away: they cannot be mapped any more. What is mapped stays so, and stays claimed.
    pub(crate) fn remove(&mut self, gone: &[Window]) {
        let is_gone = |range: &PhysRange| gone.iter().any(|window| window.range == *range);
        if let Mode::Windows(table) = &mut self.mode {
            table.remove(|window| is_gone(&window.range));
        }
        for place in self.claims.iter_mut() {
            if place.as_ref().is_some_and(|claim| is_gone(claim.range())) {
                *place = None;
            }
        }
    }
}

/// A mapping that the driver will make.
pub(crate) struct Permit {
    pub(crate) grant: Grant,
    /// The claim on its memory, which the mapping has to keep while it lives; `None` if the driver makes none.
    pub(crate) claim: Option<Arc<Claim>>,
}

/// A mapping that the driver will not make.
pub(crate) struct Denial {
    pub(crate) reason: Refusal,
    /// The window that the reason has to do with.
    pub(crate) nearest: Option<Window>,
}

impl From<Refusal> for Denial {
    fn from(reason: Refusal) -> Self {
        Self {
            reason,
            nearest: None,
        }
    }
}

/// An empty list for windows.
pub(crate) fn list() -> Result<List<Window>> {
    // Any window does to fill the free places with.
    let page = PhysRange::new(0, platform().page_size).ok_or(EINVAL)?;
    List::new(|| Window::new(page))
}

/// The windows in the text of the parameter.
fn listed(text: &[u8]) -> Result<List<Window>> {
    let mut windows = list()?;
    for window in parse(text, platform().page_size) {
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
    Ok(windows)
}

/// Why windows cannot be added.
pub(crate) enum Unfit {
    /// They do not fit together, or not with those that there are.
    Table(TableError),
    /// This one is not to be had.
    Refused(Window, Refusal),
    /// Somebody else has claimed a part of this one.
    Claimed(Window),
    /// Something else failed.
    Failed(Error),
}

impl Unfit {
    /// What the load or the probe fails with.
    pub(crate) fn error(&self) -> Error {
        match self {
            Self::Table(_) => EINVAL,
            Self::Refused(..) => EPERM,
            Self::Claimed(_) => EBUSY,
            Self::Failed(error) => *error,
        }
    }
}

impl From<TableError> for Unfit {
    fn from(error: TableError) -> Self {
        Self::Table(error)
    }
}

impl From<Error> for Unfit {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<AllocError> for Unfit {
    fn from(error: AllocError) -> Self {
        Self::Failed(error.into())
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(error) => write!(f, "{}", error),
            Self::Refused(window, reason) => {
                write!(f, "{}: {}", window, reason)?;
                match reason {
                    Refusal::SystemRam if window.tree => f.write_str(
                        "; if it is the memory of a node in /reserved-memory, give that node no-map",
                    ),
                    _ => Ok(()),
                }
            }
            Self::Claimed(window) => write!(
                f,
                "{}: a part of it is claimed already, see /proc/iomem; the {} makes no claim",
                window,
                if window.tree {
                    "property map,shared"
                } else {
                    "option shared"
                }
            ),
            Self::Failed(error) => write!(f, "error {}", error.to_errno()),
        }
    }
}
