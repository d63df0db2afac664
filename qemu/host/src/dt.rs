// SPDX-License-Identifier: MIT OR Apache-2.0

//! The device tree that a guest boots with, QEMU's own with overlays on it, and overlays that come while the guest runs.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    process::Command,
};

use anyhow::{Context, Result};
use nix::sys::memfd::{memfd_create, MFdFlags};
use tempfile::TempDir;

use crate::process::Job;

/// Asks QEMU, by a command that describes the machine, for its tree, and puts `overlays` (their source) on it.
pub fn make(mut qemu: Command, machine: &str, overlays: &[&str]) -> Result<File> {
    let place = TempDir::new().context("cannot make a directory for the device tree")?;
    let base = place.path().join("qemu.dtb");
    qemu.args(["-machine", &format!("{machine},dumpdtb={}", base.display())]);
    Job::new(qemu).output().context("QEMU does not tell its device tree")?;

    let tree = place.path().join("guest.dtb");
    let mut apply = Command::new("fdtoverlay");
    apply.arg("-i").arg(&base).arg("-o").arg(&tree);
    for (number, source) in overlays.iter().enumerate() {
        let overlay = place.path().join(format!("{number}.dtbo"));
        // With its labels as symbols, so that overlays for later know them.
        compile(source, &overlay, &["-@"])?;
        apply.arg(overlay);
    }
    Job::new(apply).output().context("cannot put the overlays on the device tree")?;
    // As with the guest's other files, nothing of it is left when this process and its children are gone.
    let mut file = File::from(memfd_create("map-guest-tree", MFdFlags::empty())?);
    file.write_all(&fs::read(&tree).context("there is no device tree")?)?;
    Ok(file)
}

/// Compiles an overlay that the guest puts on its tree itself. It keeps its labels for itself: the kernel cannot give back
/// a symbol's memory.
pub fn compile_runtime(source: &str) -> Result<Vec<u8>> {
    let place = TempDir::new().context("cannot make a directory for an overlay")?;
    let overlay = place.path().join("late.dtbo");
    compile(source, &overlay, &[])?;
    fs::read(&overlay).context("there is no overlay")
}

fn compile(source: &str, overlay: &Path, arguments: &[&str]) -> Result<()> {
    let text = overlay.with_extension("dtso");
    fs::write(&text, source)?;
    let mut dtc = Command::new("dtc");
    // The overlay alone does not show what its numbers mean, and that they are right.
    dtc.args(["-I", "dts", "-O", "dtb", "-W", "no-avoid_default_addr_size", "-W", "no-reg_format"]);
    dtc.args(arguments).arg("-o").arg(overlay).arg(&text);
    Job::new(dtc).output().context("cannot compile an overlay of the device tree")?;
    Ok(())
}
