// SPDX-License-Identifier: MIT OR Apache-2.0

//! A Debian system that is unpacked in the cache, for compilers that this machine lacks.
//!
//! Nothing of it is installed or configured. Its programs run by chroot(8) in a mount namespace of their own, which
//! shows them a few directories of this machine under their own names. Root may do that, and any user who may make user
//! namespaces.

use std::{
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    arch::Needed,
    process::Job,
    setup::{archive::Archive, cache::BuildCache, kernel::short_hash, packages},
    ui::Ui,
};

const BUCKET: &str = "chroot";
/// The disk space of the system, with the downloaded packages.
const SPACE: u64 = 2_000_000_000;

/// The system's packages, beside the compilers of the kernel, with what each is for.
const PACKAGES: &[Needed] = &[
    ("base-files", "the directories and links of a Debian system"),
    ("bash", "scripts of the kernel's build"),
    ("bc", "the kernel's time constants"),
    ("bindgen", "C interfaces for Rust"),
    ("bison", "the parser of Kconfig"),
    ("coreutils", "scripts of the kernel's build"),
    ("dash", "scripts of the kernel's build"),
    ("diffutils", "scripts of the kernel's build"),
    ("findutils", "scripts of the kernel's build"),
    ("flex", "the scanner of Kconfig"),
    ("gcc", "programs that run during the build"),
    ("grep", "scripts of the kernel's build"),
    ("libelf-dev", "objtool"),
    ("libssl-dev", "the signing of modules"),
    ("make", "the build"),
    ("mawk", "scripts of the kernel's build"),
    ("openssl", "a check of the kernel's configuration"),
    ("pahole", "the module's type information"),
    ("perl-base", "scripts of the kernel's build"),
    ("python3-minimal", "the interface of BPF"),
    ("sed", "scripts of the kernel's build"),
    ("util-linux", "the lock of driver/prepare.sh"),
    ("xz-utils", "a compressed source"),
];

/// A system, unpacked.
#[derive(Debug, Clone)]
pub struct Chroot {
    root: PathBuf,
}

impl Chroot {
    /// The system with these further packages in the cache, or a new one.
    ///
    /// A package may have a version, as in `rustc=1.85.1+dfsg1-1`.
    pub fn find(compilers: &[String], cache: &BuildCache, archive: &Archive<'_>, ui: &Ui) -> Result<Chroot> {
        let compilers = compilers.iter().map(|name| (name.as_str(), "a compiler that the kernel was built with"));
        let wanted: Vec<_> = PACKAGES.iter().copied().chain(compilers).collect();
        let names = packages::names(&wanted);
        let name = short_hash(&names.join(" "));
        let found = || {
            let root = cache.path(BUCKET).join(&name);
            root.is_dir().then_some(Chroot { root })
        };
        if let Some(found) = found() {
            return Ok(found);
        }
        let _lock = cache.lock(BUCKET, "unpacking compilers", ui)?;
        if let Some(found) = found() {
            return Ok(found);
        }
        cache.require_space(SPACE)?;
        packages::show("These Debian packages are unpacked in the cache, and not installed:", &wanted, ui);
        cache.make(BUCKET, &name, |part| {
            archive.unpack_system(&names, part)?;
            // Packages that are not configured lack their alternatives.
            symlink("mawk", part.join("usr/bin/awk")).context("the system has an awk already")?;
            Ok(())
        })?;
        found().context("the packages were unpacked, but they are not there")
    }

    /// A command that runs `program` in the system, in this directory. The system sees these `places` of the machine.
    pub fn command(&self, program: &str, directory: &Path, places: &[PathBuf]) -> Command {
        let places: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
        let mut command = Command::new(crate::root().join("qemu/chroot.sh"));
        command.arg(&self.root).arg(places.join(":")).arg(program).current_dir(directory);
        // The machine's search path, and a user's settings for compilers, mean nothing there.
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C").env("HOME", "/root");
        command
    }

    /// Fails if this user may not run the system's programs.
    pub fn check(&self) -> Result<()> {
        let command = self.command("true", Path::new("/"), &[]);
        Job::new(command).output().map(drop).context(
            "programs of an unpacked Debian system cannot run here: that takes root, or user namespaces \
             (`sysctl kernel.unprivileged_userns_clone=1` allows them)",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_has_a_reason_and_is_there_once() {
        for (index, (name, reason)) in PACKAGES.iter().enumerate() {
            assert!(!reason.is_empty(), "{name}");
            assert!(PACKAGES[..index].iter().all(|(other, _)| other != name), "{name}");
        }
    }
}
