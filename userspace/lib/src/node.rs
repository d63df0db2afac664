// SPDX-License-Identifier: MIT OR Apache-2.0

//! The nodes of single windows.

use std::path::PathBuf;

use map_core::abi;

/// The node of a window: a character device in which offset 0 is the window's first byte.
///
/// It lives as long as the window. A later window may get the same number.
///
/// ```
/// use devmap::driver::Node;
///
/// let node = Node { major: 126, minor: 1 };
/// assert_eq!(node.path().to_str(), Some("/dev/map1"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// The driver's major number.
    pub major: u64,
    /// The window's minor number, from 1.
    pub minor: u64,
}

impl Node {
    /// The path at which devtmpfs and udev create the node.
    pub fn path(&self) -> PathBuf {
        format!("{}{}", abi::NODE, self.minor).into()
    }
}
