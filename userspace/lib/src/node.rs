// SPDX-License-Identifier: MIT OR Apache-2.0

//! The nodes of single windows, and how they are found by name.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use map_core::abi;

use crate::driver::Name;
use crate::{Device, Error, Kind, OpenOptions, Result, DEFAULT_DEVICE};

/// Where sysfs lists the nodes of the driver.
const CLASS: &str = "/sys/class/map";

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

/// A window by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Named {
    name: Name,
    /// `None` if it has none.
    node: Option<Node>,
}

/// The names of the windows that the driver has now.
///
/// They come from [`DEFAULT_DEVICE`], or from sysfs for a process that may not open it.
///
/// # Errors
///
/// As for [`Device::windows`], and [`Error::Open`] if sysfs does not know the driver either.
///
/// # Examples
///
/// ```no_run
/// for name in devmap::driver::names()? {
///     println!("{name}");
/// }
/// # Ok::<(), devmap::Error>(())
/// ```
pub fn names() -> Result<Vec<Name>> {
    Ok(named()?.into_iter().map(|window| window.name).collect())
}

impl Device {
    /// Opens the window called `name` for reading and writing, by its own node, `/dev/mapN`.
    ///
    /// The process needs permission for this node alone: where it may not open [`DEFAULT_DEVICE`], sysfs tells which
    /// node it is. Offsets count from the start of the window.
    ///
    /// # Errors
    ///
    /// [`Error::NoWindow`] with the names there are, [`Error::OpenWindow`] with the error of open(2) and what the node
    /// lacks, [`Error::NoNode`] if the window has no node, [`Error::WindowGone`] if it was removed meanwhile, and those
    /// of [`driver::names`](crate::driver::names).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use devmap::{Device, PhysRange};
    ///
    /// let sdram = Device::window("sdram")?;
    /// let samples = sdram.map(PhysRange::new(0x64, 0x1000).unwrap())?;
    /// let first = samples.read::<u32>(0)?;
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn window(name: &str) -> Result<Self> {
        Self::options().window(name)
    }

    /// Opens the window called `name` for reading; its mappings cannot be written.
    ///
    /// # Errors
    ///
    /// As for [`window`](Self::window).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use devmap::Device;
    /// let status = Device::window_read_only("status")?.map_all()?;
    /// println!("{:#x}", status.read::<u32>(0x10)?);
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn window_read_only(name: &str) -> Result<Self> {
        Self::options().write(false).window(name)
    }
}

impl OpenOptions {
    /// Opens the window called `name` by its own node.
    ///
    /// # Errors
    ///
    /// As for [`Device::window`].
    pub fn window(&self, name: &str) -> Result<Device> {
        let (name, node) = find(name, &named()?)?;
        let path = node.path();
        let device = match self.open(&path) {
            Err(Error::Open { cause, permissions, .. }) => {
                return Err(Error::OpenWindow { name, node, permissions, cause })
            }
            opened => opened?,
        };
        match device.kind() {
            Kind::Window { window, .. } if window.name == name => Ok(device),
            // The number already belongs to the next window.
            Kind::Window { .. } => Err(Error::WindowGone { path, name }),
            _ => Err(Error::OpenWindow {
                name,
                node,
                permissions: None,
                cause: io::Error::new(io::ErrorKind::InvalidData, "it is not the node of a window"),
            }),
        }
    }
}

/// The windows that have names.
fn named() -> Result<Vec<Named>> {
    let device = match Device::open_read_only(DEFAULT_DEVICE) {
        Ok(device) => device,
        Err(error @ Error::Open { .. }) => return in_sysfs(Path::new(CLASS)).map_err(|_| error),
        Err(error) => return Err(error),
    };
    let windows = device.windows_with_nodes()?.into_iter();
    let named = windows.map(|(window, node)| Named { name: window.name, node });
    Ok(named.filter(|window| !window.name.is_empty()).collect())
}

/// The windows that have names, as the class in sysfs lists their nodes.
fn in_sysfs(class: &Path) -> io::Result<Vec<Named>> {
    let mut windows = Vec::new();
    for entry in fs::read_dir(class)? {
        let directory = entry?.path();
        // The node of all windows has no name. That of a window may be removed meanwhile.
        let (Ok(name), Ok(number)) = (attribute(&directory, "name"), attribute(&directory, "dev")) else { continue };
        let node = number
            .split_once(':')
            .and_then(|(major, minor)| Some(Node { major: major.parse().ok()?, minor: minor.parse().ok()? }));
        if let (Some(name), Some(node)) = (Name::new(name.as_bytes()).filter(|name| !name.is_empty()), node) {
            windows.push(Named { name, node: Some(node) });
        }
    }
    windows.sort_by_key(|window| window.node.map(|node| node.minor));
    Ok(windows)
}

/// The value of an attribute in sysfs.
fn attribute(directory: &Path, name: &str) -> io::Result<String> {
    Ok(fs::read_to_string(directory.join(name))?.trim_end().into())
}

/// The window called `name`, and its node.
fn find(name: &str, windows: &[Named]) -> Result<(Name, Node)> {
    match windows.iter().find(|window| window.name.as_str() == name) {
        Some(&Named { name, node: Some(node) }) => Ok((name, node)),
        Some(&Named { name, node: None }) => Err(Error::NoNode { name }),
        None => Err(Error::NoWindow { name: name.into(), names: windows.iter().map(|window| window.name).collect() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text.as_bytes()).unwrap()
    }

    fn named(text: &str, minor: u64) -> Named {
        Named { name: name(text), node: Some(Node { major: 126, minor }) }
    }

    /// A class in sysfs whose nodes have these attributes.
    fn class(nodes: &[(&str, &[(&str, &str)])]) -> tempfile::TempDir {
        let class = tempfile::tempdir().unwrap();
        for (node, attributes) in nodes {
            let directory = class.path().join(node);
            fs::create_dir(&directory).unwrap();
            for (attribute, value) in *attributes {
                fs::write(directory.join(attribute), format!("{value}\n")).unwrap();
            }
        }
        class
    }

    #[test]
    fn sysfs_lists_the_nodes_by_number() {
        let class = class(&[
            ("map", &[("dev", "126:0")]),
            ("map10", &[("dev", "126:10"), ("name", "sdram")]),
            ("map2", &[("dev", "126:2"), ("name", "dsp-regs")]),
            ("map3", &[("dev", "126:3"), ("name", "")]),
            // Removed between two reads.
            ("map4", &[("name", "late")]),
        ]);
        assert_eq!(in_sysfs(class.path()).unwrap(), [named("dsp-regs", 2), named("sdram", 10)]);
    }

    #[test]
    fn what_no_driver_writes_is_passed_over() {
        let class = class(&[
            ("map1", &[("dev", "126"), ("name", "one")]),
            ("map2", &[("dev", "126:x"), ("name", "two")]),
            ("map3", &[("dev", "126:3"), ("name", "Three")]),
        ]);
        assert_eq!(in_sysfs(class.path()).unwrap(), []);
        assert!(in_sysfs(&class.path().join("absent")).is_err());
    }

    #[test]
    fn a_window_is_found_by_its_whole_name() {
        let windows = [named("sdram", 1), named("sdram-2", 2), Named { name: name("old"), node: None }];
        assert_eq!(find("sdram-2", &windows).unwrap(), (name("sdram-2"), Node { major: 126, minor: 2 }));
        let error = find("old", &windows).unwrap_err();
        assert_eq!(error.to_string(), "the window old has no node of its own; map its addresses from /dev/map");
        let error = find("sdra", &windows).unwrap_err();
        assert_eq!(error.to_string(), "there is no window sdra; the windows are sdram, sdram-2, old");
        assert_eq!(find("", &[]).unwrap_err().to_string(), "there is no window ``; no window has a name");
    }
}
