// SPDX-License-Identifier: GPL-2.0

//! The windows: their sources, the current table, and the claims on their memory.

use kernel::{
    alloc::AllocError,
    fmt,
    mm::{
        Mm,
        MmWithUser, //
    },
    page::PAGE_SHIFT,
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    }, //
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
    interrupts::Interrupts,
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
    node::{
        Node,
        MINORS, //
    },
    registry::{
        Key,
        Mappings,
        Room, //
    },
    state::State,
    system::{
        limits,
        limits_of_all,
        with_reservation,
        Kernel, //
    }, //
};

/// The current windows and mappings.
pub(crate) struct Windows {
    mode: Mode<ArrayVec<WindowEntry>>,
    /// How often windows were added or removed.
    changes: u64,
    mappings: Mappings,
    /// The rate limit for cache type conflicts, by the first page of the window.
    conflicts: LogLimit,
}

/// A window with what belongs to it. Its parts are shared with the copy of the entry in the next
/// table.
#[derive(Clone)]
pub(crate) struct WindowEntry {
    window: Window,
    /// `None` if the memory is shared with other drivers.
    claim: Option<Claim>,
    /// `None` only in an unused slot. If the node is gone, the window is being removed, and no
    /// other window can have its memory yet.
    node: Option<Arc<Node>>,
}

impl WindowEntry {
    fn new(window: Window) -> Self {
        Self {
            window,
            claim: None,
            node: None,
        }
    }

    /// Returns the interrupts, if there are any.
    pub(crate) fn interrupts(&self) -> Option<&Interrupts> {
        self.node.as_ref()?.interrupts.as_deref()
    }

    /// Returns the node, unless the window is being removed.
    fn present(&self) -> Option<&Arc<Node>> {
        self.node.as_ref().filter(|node| !node.is_gone())
    }
}

impl Entry for WindowEntry {
    fn window(&self) -> &Window {
        &self.window
    }

    fn minor(&self) -> u32 {
        self.node.as_ref().map_or(0, |node| node.minor)
    }
}

impl Filler for WindowEntry {
    fn filler() -> Self {
        Self::new(Window::filler())
    }
}

impl Filler for Window {
    fn filler() -> Self {
        Self::new(PhysRange::FIRST_BYTE)
    }
}

impl Windows {
    /// Creates raw mode: no windows.
    pub(crate) fn new() -> Self {
        Self {
            mode: Mode::Raw,
            changes: 0,
            mappings: Mappings::new(),
            conflicts: LogLimit::new(),
        }
    }

    /// Returns the mode, with the windows in the order of their addresses.
    pub(crate) fn mode(&self) -> &Mode<ArrayVec<WindowEntry>> {
        &self.mode
    }

    /// Returns how often windows were added or removed.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// Returns the node with this minor number, unless its window is being removed.
    pub(crate) fn node(&self, minor: u32) -> Option<Arc<Node>> {
        self.find(|entry| entry.minor() == minor)?
            .present()
            .cloned()
    }

    /// Returns the node of `window`, unless it is being removed.
    pub(crate) fn node_of(&self, window: &Window) -> Option<Arc<Node>> {
        self.find(|entry| entry.window.range == window.range)?
            .present()
            .cloned()
    }

    fn find(&self, is_it: impl Fn(&WindowEntry) -> bool) -> Option<&WindowEntry> {
        self.mode.windows().iter().find(|entry| is_it(entry))
    }

    /// Returns what `node` shows: its window alone.
    ///
    /// # Errors
    ///
    /// [`Refusal::Gone`] if the window was removed.
    pub(crate) fn alone(&self, node: &Node) -> Result<Mode<&[WindowEntry]>, Refusal> {
        // Another window may have the number of one that is gone.
        if node.is_gone() {
            return Err(Refusal::Gone);
        }
        let entry = self.find(|entry| entry.minor() == node.minor);
        Ok(Mode::Windows(Table::of(entry.ok_or(Refusal::Gone)?)))
    }

    /// Decides on `request`, made on `node`, or on the node of all memory. Also returns the node of
    /// the window.
    ///
    /// # Errors
    ///
    /// The reason of [`decide()`], or [`Refusal::Gone`].
    pub(crate) fn decide(
        &self,
        request: &Request,
        node: Option<&Arc<Node>>,
    ) -> Result<(Grant, Option<Arc<Node>>), Refused> {
        if let Some(node) = node {
            let grant = decide(request, &self.alone(node)?, &limits(), &Kernel)?;
            return Ok((grant, Some(node.clone())));
        }
        let grant = decide(request, &self.mode, &limits_of_all(), &Kernel)?;
        let Some(found) = grant.window else {
            return Ok((grant, None));
        };
        let entry = self.mode.windows().get(found.index);
        match entry.and_then(WindowEntry::present) {
            Some(node) => Ok((grant, Some(node.clone()))),
            // Soon there is no such window.
            None => Err(Refusal::Outside.into()),
        }
    }

    /// Decides on `request`, made on `node` or on the node of all memory by the process with `mm`,
    /// and registers the mapping in `room` if it is granted. Also returns the node of the window.
    ///
    /// # Errors
    ///
    /// [`Denial::Refused`] with the reason of [`decide()`], with [`Refusal::CacheConflict`] if the
    /// user had too many conflicts in the window recently, or with [`Refusal::TooMany`].
    pub(crate) fn grant(
        &mut self,
        request: &Request,
        node: Option<&Arc<Node>>,
        mm: &Mm,
        room: Room,
    ) -> Result<(Grant, Key, Option<Arc<Node>>), Denial> {
        let (grant, node) = self.decide(request, node)?;
        if let Some(found) = grant.window {
            if self.has_conflicts(&found.window) {
                let refused = Refused {
                    reason: Refusal::CacheConflict,
                    nearest: grant.window,
                };
                return Err(refused.into());
            }
        }
        let key = self.mappings.add(grant.range, mm, room)?;
        Ok((grant, key, node))
    }

    /// Returns whether the user had too many conflicts of cache types in `window` recently.
    pub(crate) fn has_conflicts(&mut self, window: &Window) -> bool {
        self.conflicts
            .is_used_up(conflict_key(window), task::seconds_since_boot())
    }

    /// Records that the memory of `window` is mapped with a conflicting cache type. The kernel logs
    /// each such attempt without a rate limit, so after several conflicts further attempts of the
    /// user are refused for a while.
    pub(crate) fn conflicts(&mut self, window: &Window) {
        let now = task::seconds_since_boot();
        let key = conflict_key(window);
        // The driver's own log reports or counts the refusals, so these counts are discarded.
        while self.conflicts.take_left_out(Some(now)).is_some() {}
        self.conflicts.passes(key, now);
    }

    /// Removes a mapping that no longer exists.
    pub(crate) fn forget(&mut self, key: &Key) {
        self.mappings.remove(key);
    }

    /// Returns the part of its memory that was taken away from a mapping.
    pub(crate) fn lost(&self, key: &Key) -> Option<PhysRange> {
        self.mappings.lost(key)
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

    /// Adds the windows `new`, each with the element of `interrupts` at its place, if any; claims
    /// the memory of those without `shared`, and leaves raw mode. They have no devices yet.
    ///
    /// # Errors
    ///
    /// [`AddError`] if a window cannot be added. In that case nothing changes.
    pub(crate) fn add(
        &mut self,
        new: &[Window],
        interrupts: &[Option<Arc<Interrupts>>],
    ) -> Result<(), AddError> {
        let old = self.mode.windows();
        let all = old.len().saturating_add(new.len());
        let mut entries = ArrayVec::new()?;
        let new_entries = new.iter().map(|window| WindowEntry::new(*window));
        for entry in Iterator::chain(old.iter().cloned(), new_entries) {
            entries.push(entry).map_err(|_| TableError::TooMany(all))?;
        }
        // In the order of `new`: the first one gets the lowest number.
        let mut interrupts = interrupts.iter().cloned();
        while let Some(minor) = free_minor(&entries) {
            let Some(entry) = entries.iter_mut().find(|entry| entry.node.is_none()) else {
                break;
            };
            let interrupts = interrupts.next().flatten();
            entry.node = Some(Node::new(entry.window, minor, interrupts)?);
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
        self.changes = self.changes.wrapping_add(1);
        Ok(())
    }

    /// Begins to remove `window`: from now on it cannot be opened, mapped, read or written, and no
    /// page of it appears in a mapping. Returns its node.
    pub(crate) fn begin_removal(&mut self, window: &Window) -> Option<Arc<Node>> {
        let node = self.node_of(window)?;
        node.remove();
        self.mappings.revoke(&window.range);
        Some(node)
    }

    /// Returns the address space of a process that may be mapping memory in `range`, as
    /// [`Mappings::next_process()`].
    pub(crate) fn next_process(
        &self,
        range: &PhysRange,
        next: &mut u64,
    ) -> Option<ARef<MmWithUser>> {
        self.mappings.next_process(range, next)
    }

    /// Ends the removal of `window`, whose pages no process has any more, and releases the claim on
    /// its memory.
    pub(crate) fn end_removal(&mut self, window: &Window) {
        if let Mode::Windows(table) = &mut self.mode {
            table.remove(|other| other.range == window.range);
            self.changes = self.changes.wrapping_add(1);
        }
    }
}

/// Returns the lowest minor number that no entry has.
fn free_minor(entries: &[WindowEntry]) -> Option<u32> {
    (1..MINORS).find(|minor| entries.iter().all(|entry| entry.minor() != *minor))
}

/// Adds the windows of the parameter `windows`. Without the parameter there are none yet, and
/// unless the device tree describes windows, the driver is in raw mode.
///
/// # Errors
///
/// EINVAL if the text is not a list of windows that fit together, EPERM if a window is not
/// permitted, EBUSY if part of a window is already claimed. A line in the log has the reason.
pub(crate) fn add_at_load(state: &State) -> Result {
    if let Some(text) = param::windows() {
        state.add(&listed(text)?, &[]).map_err(|error| {
            pr_err!("windows: {error}\n");
            error.error()
        })
    } else if of::has_windows() {
        state.windows.lock().leave_raw()
    } else {
        Ok(())
    }
}

/// Returns the key of a window and of the user in the limit of conflicts. Two pairs of them can
/// have the same key: then they have one budget.
fn conflict_key(window: &Window) -> u32 {
    // An odd factor gives every user another number, and most of these are far apart.
    let user = task::user().wrapping_mul(0x9e37_79b1);
    (window.range.start() >> PAGE_SHIFT) as u32 ^ user
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
                    WindowError::SystemRam
                        if matches!(window.origin, Origin::Dt | Origin::BootDt) =>
                    {
                        f.write_str(
                            "; if it is the memory of a node in /reserved-memory, give that node no-map",
                        )
                    }
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
                    Origin::RunTime => "attribute shared",
                }
            ),
            Self::Failed(error) if *error == ENOMEM => f.write_str("the kernel has no memory left"),
            Self::Failed(error) => write!(f, "error {}", error.to_errno()),
        }
    }
}
