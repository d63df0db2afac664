// SPDX-License-Identifier: GPL-2.0

//! The windows: where they come from, which there are now, and the claims on their regions.

use kernel::{
    alloc::AllocError,
    fmt,
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    }, //
};

use crate::{
    array_vec::ArrayVec,
    claim::Claim,
    map_core::{
        check_window,
        decide,
        parse,
        Errno,
        Grant,
        KernelQuery,
        LogLimit,
        Mode,
        Origin,
        PhysRange,
        Refusal,
        Request,
        Table,
        TableError,
        Window,
        WindowError,
        MAX_WINDOWS, //
    },
    mapping::{
        Key,
        Mapping,
        Mappings,
        Room, //
    },
    shim,
    state::{
        CoreDisplay,
        State, //
    }, //
    system::{
        limits,
        Kernel, //
    },
};

/// The windows that there are now, and the mappings.
pub(crate) struct Windows {
    mode: Mode<ArrayVec<Window>>,
    // The claims on those that make one, in no order. The place of one that is gone is empty.
    claims: ArrayVec<Option<Arc<Claim>>>,
    mappings: Mappings,
    /// How often it was found, by the index of the window, that its memory is mapped with another cache type.
    conflicts: LogLimit,
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
            claims: ArrayVec::new(|| None)?,
            mappings: Mappings::new(),
            conflicts: LogLimit::new(),
        };
        if let Some(text) = shim::windows() {
            windows.add(&mut listed(text)?).map_err(|error| {
                pr_err!("windows: {error}\n");
                error.error()
            })?;
        } else if shim::map_of_has_windows() {
            windows.leave_raw()?;
        }
        Ok(windows)
    }

    /// The mode, with the windows in the order of their addresses.
    pub(crate) fn mode(&self) -> &Mode<ArrayVec<Window>> {
        &self.mode
    }

    /// Decides on `request`, and registers the mapping in `room` if it is granted. Gives the claim on its memory, too.
    fn grant(
        &mut self,
        request: &Request,
        room: Room,
    ) -> Result<(Grant, Key, Option<Arc<Claim>>), Denial> {
        let verdict = decide(request, &self.mode, &limits(), &Kernel);
        let grant = verdict.map_err(|refused| {
            let nearest = refused.nearest;
            let nearest = nearest.and_then(|index| self.mode.windows().get(index));
            Denial::Refused(refused.reason, nearest.copied())
        })?;
        if let Some(window) = self.conflicting(&grant) {
            return Err(Denial::Refused(Refusal::CacheConflict, Some(window)));
        }
        let user = (!shim::map_capable_resource()).then(|| shim::map_current_user());
        let key = self.mappings.add(grant.range, user, room)?;
        // At most one window holds the range, and it has at most one claim.
        let mut claims = self.claims.iter().flatten();
        let claim = claims.find(|claim| claim.range().contains(&grant.range));
        Ok((grant, key, claim.cloned()))
    }

    /// The window of `grant`, if it was just found often enough that its memory is mapped with another cache type: the
    /// kernel leaves a line in the log each time that it finds out, and has no limit for them.
    fn conflicting(&self, grant: &Grant) -> Option<Window> {
        let index = grant.window?;
        let number = u32::try_from(index).ok()?;
        let used_up = self.conflicts.is_used_up(number, shim::map_seconds());
        let window = self.mode.windows().get(index)?;
        used_up.then_some(*window)
    }

    /// The memory of `grant` was found to be mapped with another cache type.
    pub(crate) fn conflicts(&mut self, grant: &Grant) {
        let Some(number) = grant.window.and_then(|index| u32::try_from(index).ok()) else {
            return;
        };
        let now = shim::map_seconds();
        // Nobody is told how many were left out: each is in the driver's own log, or counted there.
        while self.conflicts.take_left_out(Some(now)).is_some() {}
        self.conflicts.passes(number, now);
    }

    /// A mapping is gone.
    pub(crate) fn forget(&mut self, key: &Key) {
        self.mappings.remove(key);
    }

    /// Whether a window or a mapping has a part of `range`.
    pub(crate) fn is_in_use(&self, range: &PhysRange) -> bool {
        let mut windows = self.mode.windows().iter();
        windows.any(|window| window.range.overlaps(range)) || self.mappings.overlap(range)
    }

    /// Leaves raw mode, for good: from now on only windows can be mapped.
    pub(crate) fn leave_raw(&mut self) -> Result {
        if matches!(self.mode, Mode::Raw) {
            let table = Table::new(list()?, &limits()).map_err(|_| EINVAL)?;
            self.mode = Mode::Windows(table);
        }
        Ok(())
    }

    /// Adds `new`, of which the driver now knows whether they are reserved, and claims their regions, but for those that
    /// are to be shared with other drivers. There is no raw mode any more.
    ///
    /// If it fails, everything is as before.
    pub(crate) fn add(&mut self, new: &mut [Window]) -> Result<(), AddError> {
        let old = self.mode.windows();
        let mut windows = list()?;
        for window in new.iter_mut() {
            window.reserved = Kernel.is_reserved(&window.range);
        }
        let all = old.len().saturating_add(new.len());
        for window in Iterator::chain(old.iter(), &*new) {
            windows
                .push(*window)
                .map_err(|_| TableError::TooMany(all))?;
        }
        let table = Table::new(windows, &limits())?;
        for window in &*new {
            check_window(window, &Kernel).map_err(|reason| AddError::Refused(*window, reason))?;
        }
        let mut claims = ArrayVec::new(|| None)?;
        for claim in self.claims.iter().flatten() {
            claims.push(Some(claim.clone())).map_err(|_| EINVAL)?;
        }
        for window in new.iter().filter(|window| window.claim) {
            let claim = Claim::new(window)?;
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
    /// What its VMAs have to keep while they live.
    pub(crate) mapping: Arc<Mapping>,
}

impl Permit {
    /// Decides on `request`.
    pub(crate) fn new(state: ArcBorrow<'_, State>, request: &Request) -> Result<Self, Denial> {
        let room = Room::new()?;
        let (grant, key, claim) = state.windows.lock().grant(request, room)?;
        // Should this fail, the mapping is not registered any more.
        let mapping = Mapping::new(state.into(), key, grant.memory, claim);
        Ok(Self {
            grant,
            mapping: Arc::new(mapping, GFP_KERNEL)?,
        })
    }
}

/// A mapping that the driver does not make.
pub(crate) enum Denial {
    /// For this reason, which has to do with this window.
    Refused(Refusal, Option<Window>),
    /// The kernel failed.
    Failed(Error),
}

impl Denial {
    /// What mmap(2) fails with.
    pub(crate) fn error(&self) -> Error {
        match self {
            Self::Refused(reason, _) => error_of(reason.errno()),
            Self::Failed(error) => *error,
        }
    }
}

impl From<Refusal> for Denial {
    fn from(reason: Refusal) -> Self {
        Self::Refused(reason, None)
    }
}

impl From<Error> for Denial {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<AllocError> for Denial {
    fn from(_: AllocError) -> Self {
        Refusal::NoMemory.into()
    }
}

/// What a process gets to see.
pub(crate) fn error_of(errno: Errno) -> Error {
    match errno {
        Errno::NotPermitted => EPERM,
        Errno::Again => EAGAIN,
        Errno::NoMemory => ENOMEM,
        Errno::Access => EACCES,
        Errno::Invalid => EINVAL,
        Errno::Overflow => EOVERFLOW,
    }
}

/// An empty list for windows.
pub(crate) fn list() -> Result<ArrayVec<Window>> {
    // Any window does to fill the free places with.
    let page = PhysRange::new(0, limits().page_size).ok_or(EINVAL)?;
    ArrayVec::new(|| Window::new(page))
}

/// The windows in the text of the parameter.
fn listed(text: &[u8]) -> Result<ArrayVec<Window>> {
    let mut windows = list()?;
    for window in parse(text, limits().page_size) {
        let window = window.map_err(|error| {
            pr_err!("windows: {}\n", CoreDisplay(error));
            EINVAL
        })?;
        windows.push(window).map_err(|window| {
            pr_err!(
                "windows: {}: this is one window too many; there can be {MAX_WINDOWS}\n",
                CoreDisplay(window)
            );
            EINVAL
        })?;
    }
    Ok(windows)
}

/// Why windows cannot be added.
pub(crate) enum AddError {
    /// They do not fit together, or not with those that there are.
    Table(TableError),
    /// This one is not to be had.
    Refused(Window, WindowError),
    /// Somebody else has claimed a part of this one.
    Claimed(Window),
    /// Something else failed.
    Failed(Error),
}

impl AddError {
    /// What the load or the probe fails with.
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
                "{}: a part of it is claimed already, see /proc/iomem; the {} makes no claim",
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
