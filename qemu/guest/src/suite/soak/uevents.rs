// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the kernel tells udev, for a process that does udev's work.

use std::{
    collections::BTreeMap,
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

use anyhow::{Context, Result};
use nix::{
    errno::Errno,
    poll::{poll, PollFd, PollFlags, PollTimeout},
    sys::socket::{bind, recv, socket, AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType},
};

/// The group of the kernel's own events.
const KERNEL: u32 = 1;

/// Listens to events.
pub struct Uevents(OwnedFd);

/// An event of a device.
pub struct Uevent(BTreeMap<String, String>);

impl Uevents {
    /// Listens from now on.
    pub fn new() -> Result<Self> {
        let protocol = SockProtocol::NetlinkKObjectUEvent;
        let socket = socket(AddressFamily::Netlink, SockType::Datagram, SockFlag::SOCK_CLOEXEC, protocol)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, KERNEL)).context("cannot listen to uevents")?;
        Ok(Self(socket))
    }

    /// The next event, if one comes soon.
    pub fn next(&self) -> Result<Option<Uevent>> {
        let mut watched = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        if poll(&mut watched, PollTimeout::from(20_u8))? == 0 {
            return Ok(None);
        }
        let mut bytes = [0; 4096];
        match recv(self.0.as_raw_fd(), &mut bytes, MsgFlags::MSG_DONTWAIT) {
            Ok(length) => Ok(Some(Uevent::parse(&bytes[..length]))),
            // Some came that there was no room for.
            Err(Errno::ENOBUFS | Errno::EAGAIN) => Ok(None),
            Err(errno) => Err(errno).context("cannot read uevents"),
        }
    }
}

impl Uevent {
    /// The words behind the first one, each with its value.
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let words = text.split('\0').filter_map(|word| word.split_once('='));
        Self(words.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    }

    /// The value of a word; empty if it has none.
    pub fn get(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_its_words() {
        let event = Uevent::parse(b"add@/devices/virtual/map/map1\0ACTION=add\0MINOR=1\0MAP_NAME=a=b\0");
        assert_eq!((event.get("ACTION"), event.get("MINOR"), event.get("MAP_NAME")), ("add", "1", "a=b"));
        assert_eq!(event.get("MAJOR"), "");
    }
}
