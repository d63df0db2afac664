// SPDX-License-Identifier: MIT OR Apache-2.0

//! The file systems of the guest, as tables.

use std::{fs, os::unix::fs::symlink, path::Path};

use anyhow::{Context, Result};
use map_protocol::Dev;
use nix::{
    mount::{mount, MsFlags},
    sys::stat::{makedev, mknod, Mode, SFlag},
};

struct Mount {
    kind: &'static str,
    at: &'static str,
    options: &'static str,
    /// The kernel may be built without it.
    optional: bool,
}

const fn needed(kind: &'static str, at: &'static str, options: &'static str) -> Mount {
    Mount { kind, at, options, optional: false }
}

const fn optional(kind: &'static str, at: &'static str, options: &'static str) -> Mount {
    Mount { kind, at, options, optional: true }
}

const SYSTEM: &[Mount] = &[
    needed("proc", "/proc", ""),
    needed("sysfs", "/sys", ""),
    optional("debugfs", "/sys/kernel/debug", ""),
    optional("securityfs", "/sys/kernel/security", ""),
    needed("tmpfs", "/tmp", "mode=1777"),
    needed("tmpfs", "/run", "mode=0755"),
    optional("devpts", "/dev/pts", "mode=0620,ptmxmode=0666"),
    needed("tmpfs", "/dev/shm", "mode=1777"),
    optional("mqueue", "/dev/mqueue", ""),
    optional("hugetlbfs", "/dev/hugepages", ""),
];

struct Node {
    name: &'static str,
    mode: u32,
    major: u64,
    minor: u64,
}

const fn node(name: &'static str, mode: u32, major: u64, minor: u64) -> Node {
    Node { name, mode, major, minor }
}

/// The nodes of a /dev without devtmpfs.
const NODES: &[Node] = &[
    node("mem", 0o600, 1, 1),
    node("null", 0o666, 1, 3),
    node("zero", 0o666, 1, 5),
    node("full", 0o666, 1, 7),
    node("random", 0o666, 1, 8),
    node("urandom", 0o666, 1, 9),
    node("kmsg", 0o644, 1, 11),
    node("ttyS0", 0o600, 4, 64),
    node("ttyS1", 0o600, 4, 65),
    node("ttyAMA0", 0o600, 204, 64),
    node("ttyAMA1", 0o600, 204, 65),
    node("hvc0", 0o600, 229, 0),
    node("tty", 0o666, 5, 0),
    node("console", 0o600, 5, 1),
    node("ptmx", 0o666, 5, 2),
];

/// Sets up /dev as `dev` says, and mounts everything else.
pub fn system(dev: Dev) -> Result<()> {
    match dev {
        Dev::Devtmpfs => attach(&needed("devtmpfs", "/dev", "mode=0755"))?,
        Dev::Plain => {
            attach(&needed("tmpfs", "/dev", "mode=0755"))?;
            for node in NODES {
                let path = Path::new("/dev").join(node.name);
                let mode = Mode::from_bits_truncate(node.mode);
                mknod(&path, SFlag::S_IFCHR, mode, makedev(node.major, node.minor))
                    .with_context(|| format!("cannot make {}", path.display()))?;
            }
        }
    }
    for mount in SYSTEM {
        match attach(mount) {
            Err(_) if mount.optional => (),
            result => result?,
        }
    }
    for (name, target) in [("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")] {
        symlink(Path::new("/proc/self").join(target), Path::new("/dev").join(name))?;
    }
    Ok(())
}

fn attach(entry: &Mount) -> Result<()> {
    fs::create_dir_all(entry.at)?;
    let flags = MsFlags::MS_NOSUID;
    mount(Some(entry.kind), entry.at, Some(entry.kind), flags, Some(entry.options))
        .with_context(|| format!("cannot mount {} at {}", entry.kind, entry.at))
}
