// SPDX-License-Identifier: MIT OR Apache-2.0

//! The guest's first and only file system: a cpio archive that the kernel unpacks into memory.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, BufWriter, Read},
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, MetadataExt},
    },
    path::{Component, Path, PathBuf},
};

use anyhow::{bail, ensure, Context, Result};
use cpio::newc::{self, ModeFileType};
use nix::sys::memfd::{memfd_create, MFdFlags};

/// An archive that is being written.
///
/// It is an anonymous file: nothing is left of it when this process and its children have ended.
#[derive(Debug)]
pub struct Initramfs {
    out: BufWriter<File>,
    present: BTreeSet<PathBuf>,
    inode: u32,
}

impl Initramfs {
    /// An empty archive.
    pub fn new() -> Result<Self> {
        // QEMU inherits the descriptor, so it is not closed on exec.
        let file = memfd_create("map-guest-initramfs", MFdFlags::empty())?;
        Ok(Self { out: BufWriter::new(file.into()), present: BTreeSet::new(), inode: 0 })
    }

    /// Completes the archive.
    pub fn finish(self) -> Result<File> {
        Ok(newc::trailer(self.out)?.into_inner().map_err(io::IntoInnerError::into_error)?)
    }

    /// Adds a directory and its parents.
    pub fn directory(&mut self, guest: &Path) -> Result<()> {
        self.directory_mode(guest, 0o755)
    }

    fn directory_mode(&mut self, guest: &Path, mode: u32) -> Result<()> {
        let guest = inside(guest)?;
        if guest.as_os_str().is_empty() || self.present.contains(&guest) {
            return Ok(());
        }
        if let Some(parent) = guest.parent() {
            self.directory(parent)?;
        }
        self.entry(&guest, ModeFileType::Directory, mode, &mut io::empty(), 0)
    }

    /// Adds a file with this text.
    pub fn text(&mut self, guest: &Path, mode: u32, text: &[u8]) -> Result<()> {
        self.parents(guest)?;
        let mut bytes = text;
        self.entry(&inside(guest)?, ModeFileType::Regular, mode, &mut bytes, text.len() as u64)
    }

    /// Adds a symbolic link.
    pub fn link(&mut self, guest: &Path, target: &Path) -> Result<()> {
        self.parents(guest)?;
        let mut bytes = target.as_os_str().as_bytes();
        let length = bytes.len() as u64;
        self.entry(&inside(guest)?, ModeFileType::Symlink, 0o777, &mut bytes, length)
    }

    /// Adds a copy of `host`: for a directory with its contents, for a symbolic link its target.
    pub fn copy(&mut self, host: &Path, guest: &Path) -> Result<()> {
        let kind = fs::metadata(host).with_context(|| format!("cannot read {}", host.display()))?;
        self.copy_as(host, guest, &kind)
    }

    /// As [`Self::copy`], unless the archive already has the file.
    pub fn copy_once(&mut self, host: &Path, guest: &Path) -> Result<()> {
        if self.present.contains(&inside(guest)?) {
            return Ok(());
        }
        self.copy(host, guest)
    }

    fn copy_as(&mut self, host: &Path, guest: &Path, what: &fs::Metadata) -> Result<()> {
        let mode = what.mode() & 0o7777;
        if what.is_dir() {
            self.directory_mode(guest, mode)?;
            let mut names = fs::read_dir(host)
                .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>())
                .with_context(|| format!("cannot read the directory {}", host.display()))?;
            names.sort();
            for name in names {
                let path = host.join(&name);
                let what = fs::symlink_metadata(&path).with_context(|| format!("cannot read {}", path.display()))?;
                if what.is_symlink() {
                    self.link(&guest.join(&name), &fs::read_link(&path)?)?;
                } else {
                    self.copy_as(&path, &guest.join(&name), &what)?;
                }
            }
            return Ok(());
        }
        if what.file_type().is_socket() || what.file_type().is_fifo() {
            bail!("{} is neither a file nor a directory", host.display());
        }
        ensure!(what.is_file(), "{} is a device; the guest makes its own", host.display());
        self.parents(guest)?;
        let mut file = File::open(host).with_context(|| format!("cannot open {}", host.display()))?;
        self.entry(&inside(guest)?, ModeFileType::Regular, mode, &mut file, what.len())
            .with_context(|| format!("cannot copy {}", host.display()))
    }

    fn parents(&mut self, guest: &Path) -> Result<()> {
        guest.parent().map_or(Ok(()), |parent| self.directory(parent))
    }

    fn entry(&mut self, name: &Path, kind: ModeFileType, mode: u32, content: &mut dyn Read, length: u64) -> Result<()> {
        let size = u32::try_from(length)
            .with_context(|| format!("{} is larger than 4 GiB, and an initramfs cannot hold it", name.display()))?;
        let text = name.to_str().with_context(|| format!("the name {} is not UTF-8", name.display()))?;
        // Of two entries of the same name the kernel keeps the later one; it would follow a link.
        ensure!(self.present.insert(name.to_owned()), "two files would be /{text} in the guest");
        self.inode += 1;
        let mut entry = newc::Builder::new(text)
            .ino(self.inode)
            .nlink(1)
            .mode(mode)
            .set_mode_file_type(kind)
            .write(&mut self.out, size);
        let copied = io::copy(&mut content.take(length), &mut entry)?;
        ensure!(copied == length, "/{text} became shorter while it was copied");
        entry.finish()?;
        Ok(())
    }
}

/// The name in the archive of an absolute path in the guest: relative to the root.
fn inside(guest: &Path) -> Result<PathBuf> {
    let mut name = PathBuf::new();
    for part in guest.components() {
        match part {
            Component::RootDir | Component::CurDir => (),
            Component::Normal(part) => name.push(part),
            _ => bail!("{} is no absolute path of the guest", guest.display()),
        }
    }
    Ok(name)
}
