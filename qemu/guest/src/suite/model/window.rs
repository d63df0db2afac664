// SPDX-License-Identifier: MIT OR Apache-2.0

//! The rules for windows that come and go in configfs.

use map_core::{check_window, switch, Mode, Name, Origin, Property, Table, TableError, WindowError, MAX_WINDOWS};
use nix::errno::Errno;

use super::world::{Directory, Expect, Listed, Node, World};
use crate::host::PAGE;

impl World {
    /// mkdir(2).
    pub fn make(&mut self, directory: usize) -> Option<Expect> {
        if self.directories[directory].is_some() {
            return Some(Errno::EEXIST.into());
        }
        self.directories[directory] = Some(Directory::default());
        Some(Expect::exactly(0))
    }

    /// Writes a property.
    pub fn set(&mut self, directory: usize, property: Property, text: &str) -> Option<Expect> {
        let Some(it) = &mut self.directories[directory] else { return Some(Errno::ENOENT.into()) };
        if it.node.is_some() {
            return Some(Errno::EBUSY.into());
        }
        Some(match it.draft.set(property, text.as_bytes(), PAGE) {
            Ok(()) => Expect::exactly(0),
            Err(_) => Errno::EINVAL.into(),
        })
    }

    /// Writes to `enable`.
    pub fn enable(&mut self, directory: usize, text: &str) -> Option<Expect> {
        let Some(it) = &self.directories[directory] else { return Some(Errno::ENOENT.into()) };
        match (switch(text.as_bytes()), it.node) {
            (Err(_), _) => Some(Errno::EINVAL.into()),
            (Ok(true), Some(_)) => Some(Errno::EBUSY.into()),
            (Ok(true), None) => self.add(directory),
            (Ok(false), _) => {
                self.disable(directory);
                Some(Expect::exactly(0))
            }
        }
    }

    fn add(&mut self, directory: usize) -> Option<Expect> {
        let name = Name::new(self.layout.names[directory].as_bytes())?;
        let Ok(mut window) = self.directories[directory].as_ref()?.draft.window(name) else {
            return Some(Errno::EINVAL.into());
        };
        window.origin = Origin::RunTime;
        // The kernel would tell of several types in its log.
        if self.is_mixed(&window.range) {
            return None;
        }
        // Whether it is refused or not, there is no raw mode any more.
        let mut entries = match &self.mode {
            Mode::Raw => Vec::new(),
            Mode::Windows(table) => table.windows().to_vec(),
        };
        let old = entries.clone();
        let limits = self.machine.limits;
        self.mode = Mode::Windows(Table::new(old, &limits).ok()?);
        let minor = (1..=MAX_WINDOWS as u32).find(|minor| entries.iter().all(|listed| listed.minor != *minor))?;
        let node = self.nodes.len();
        entries.push(Listed { window, node, minor });
        let table = match Table::new(entries, &limits) {
            Ok(table) => table,
            Err(
                TableError::TooMany(_)
                | TableError::Address { .. }
                | TableError::Overlap { .. }
                | TableError::SameName { .. },
            ) => return Some(Errno::EINVAL.into()),
        };
        if let Err(error) = self.asking(false, |query| check_window(&window, query)) {
            return Some(match error {
                WindowError::LockedDown | WindowError::SystemRam | WindowError::PciBar => Errno::EPERM.into(),
                WindowError::CacheType => Errno::EINVAL.into(),
            });
        }
        if window.claim && self.machine.is_claimed(&window.range) {
            return Some(Errno::EBUSY.into());
        }
        self.mode = Mode::Windows(table);
        self.nodes.push(Node { window, minor, mode: 0o600, gone: false, files: 0, view: false });
        self.directories[directory].as_mut()?.node = Some(node);
        Some(Expect::exactly(0))
    }

    fn disable(&mut self, directory: usize) {
        let Some(node) = self.directories[directory].as_mut().and_then(|it| it.node.take()) else { return };
        let it = &mut self.nodes[node];
        (it.gone, it.view) = (true, false);
        let range = it.window.range;
        self.revoke(&range);
        let left = self.mode.windows().iter().filter(|listed| listed.node != node).cloned().collect();
        // Any part of a table is one.
        if let Ok(table) = Table::new(left, &self.machine.limits) {
            self.mode = Mode::Windows(table);
        }
    }

    /// rmdir(2).
    pub fn remove(&mut self, directory: usize) -> Option<Expect> {
        if self.directories[directory].is_none() {
            return Some(Errno::ENOENT.into());
        }
        self.disable(directory);
        self.directories[directory] = None;
        Some(Expect::exactly(0))
    }

    /// Whether a write to `enable` would remove a window.
    pub fn is_enabled(&self, directory: usize) -> bool {
        self.directories[directory].as_ref().is_some_and(|it| it.node.is_some())
    }
}
