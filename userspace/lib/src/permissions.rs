// SPDX-License-Identifier: MIT OR Apache-2.0

//! Who may open a file.

use std::fmt;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;

/// The permissions of a file that may not be opened, and what to do about them.
///
/// ```no_run
/// use devmap::{Device, Error};
///
/// if let Err(Error::OpenWindow { permissions: Some(permissions), .. }) = Device::window("sdram") {
///     println!("{permissions}"); // mode 0660, owner root, group map
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permissions {
    mode: u32,
    owner: u32,
    group: u32,
    /// The bits of a class that opening it takes: 4 to read, 6 to write as well.
    needed: u32,
}

impl Permissions {
    /// Those in `metadata`, for opening the file for reading, and writing as well if `writable` is set.
    pub(crate) fn new(metadata: &Metadata, writable: bool) -> Self {
        Self {
            mode: metadata.mode() & 0o7777,
            owner: metadata.uid(),
            group: metadata.gid(),
            needed: if writable { 6 } else { 4 },
        }
    }

    /// What lets a user open it.
    pub(crate) fn remedy(&self) -> String {
        let class = self.mode >> 3 & 7;
        if class & self.needed == self.needed && self.group != 0 {
            format!("run as root, or join the group {}", name("/etc/group", self.group))
        } else {
            "run as root, or change its group or mode".into()
        }
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (owner, group) = (name("/etc/passwd", self.owner), name("/etc/group", self.group));
        write!(f, "mode {:04o}, owner {owner}, group {group}", self.mode)
    }
}

/// The name of the user or group `id` in the file at `path`, or the number.
///
/// The C library would look further, but a static program cannot rely on its plug-ins.
fn name(path: &str, id: u32) -> String {
    let file = fs::read_to_string(path).unwrap_or_default();
    name_in(&file, id).map_or_else(|| id.to_string(), str::to_owned)
}

/// The name of the user or group `id` in the text of /etc/passwd or /etc/group.
fn name_in(file: &str, id: u32) -> Option<&str> {
    file.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _password, number) = (fields.next()?, fields.next()?, fields.next()?);
        (number.parse() == Ok(id)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number that no system gives to a user or group.
    const NOBODYS: u32 = 0x7fff_fff0;

    fn permissions(mode: u32, group: u32, needed: u32) -> Permissions {
        Permissions { mode, owner: NOBODYS, group, needed }
    }

    #[test]
    fn the_group_helps_if_its_members_may_open_it() {
        let join = format!("run as root, or join the group {NOBODYS}");
        let change = "run as root, or change its group or mode";
        assert_eq!(permissions(0o660, NOBODYS, 6).remedy(), join);
        assert_eq!(permissions(0o640, NOBODYS, 4).remedy(), join);
        assert_eq!(permissions(0o640, NOBODYS, 6).remedy(), change);
        assert_eq!(permissions(0o600, NOBODYS, 4).remedy(), change);
        assert_eq!(permissions(0o660, 0, 6).remedy(), change);
    }

    #[test]
    fn names_are_found_by_number() {
        let group = "root:x:0:\n# a comment\nshort:x\n\nmap:x:101:alice,bob\n";
        assert_eq!(name_in(group, 101), Some("map"));
        assert_eq!(name_in(group, 0), Some("root"));
        assert_eq!(name_in(group, 10), None);
    }

    #[test]
    fn whoever_has_no_name_is_a_number() {
        let text = permissions(0o60, NOBODYS, 4).to_string();
        assert_eq!(text, format!("mode 0060, owner {NOBODYS}, group {NOBODYS}"));
    }
}
