// SPDX-License-Identifier: MIT OR Apache-2.0

//! The files that a program of the host needs to run in the guest.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{bail, ensure, Context, Result};
use lddtree::DependencyAnalyzer;

use crate::initramfs::Initramfs;

/// Copies `host` into the guest as `guest`, and for a dynamically linked program its interpreter and libraries.
pub fn add(archive: &mut Initramfs, host: &Path, guest: &Path) -> Result<()> {
    ensure!(guest.is_absolute(), "the path in the guest must begin with /");
    ensure!(host.exists(), "there is no {}", host.display());
    archive.copy(host, guest)?;
    if !is_elf(host)? {
        return Ok(());
    }
    for library in needed(host)? {
        archive.copy_once(&library, &library)?;
    }
    Ok(())
}

/// The interpreter and the libraries of a program, under the names by which it asks for them.
fn needed(program: &Path) -> Result<Vec<PathBuf>> {
    let tree = DependencyAnalyzer::default()
        .analyze(program)
        .with_context(|| format!("cannot read {} as an ELF file", program.display()))?;
    let Some(interpreter) = tree.interpreter else {
        return Ok(Vec::new());
    };
    let mut files = vec![PathBuf::from(interpreter)];
    for library in tree.libraries.into_values() {
        if !library.found() {
            bail!("it needs {}, which is not on this machine", library.name);
        }
        files.push(library.path);
    }
    files.sort();
    files.dedup();
    Ok(files)
}

fn is_elf(path: &Path) -> Result<bool> {
    if !path.is_file() {
        return Ok(false);
    }
    let mut magic = [0; 4];
    let mut file = File::open(path)?;
    Ok(file.read_exact(&mut magic).is_ok() && &magic == b"\x7fELF")
}
