// SPDX-License-Identifier: MIT OR Apache-2.0

//! The device tree that a guest boots with, which is QEMU's own with overlays, and overlays for run time.

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

/// Dumps the tree of the machine that the command `qemu` describes, and applies `overlays`, which are sources, in which
/// the machine's addresses of `devices` replace others.
pub fn make(mut qemu: Command, machine: &str, overlays: &[&str], devices: &[(&str, &str)]) -> Result<File> {
    let place = TempDir::new().context("cannot make a directory for the device tree")?;
    let base = place.path().join("qemu.dtb");
    qemu.args(["-machine", &format!("{machine},dumpdtb={}", base.display())]);
    Job::new(qemu).output().context("QEMU does not dump its device tree")?;

    let tree = place.path().join("guest.dtb");
    let mut apply = Command::new("fdtoverlay");
    apply.arg("-i").arg(&base).arg("-o").arg(&tree);
    for (number, source) in overlays.iter().enumerate() {
        let overlay = place.path().join(format!("{number}.dtbo"));
        // With its labels as symbols, so that overlays at run time can refer to them.
        let source = devices.iter().fold((*source).to_owned(), |text, (from, to)| text.replace(from, to));
        compile(&source, &overlay, &["-@"])?;
        apply.arg(overlay);
    }
    Job::new(apply).output().context("cannot apply the overlays to the device tree")?;
    // As with the guest's other files, nothing is left of it when this process and its children have ended.
    let mut file = File::from(memfd_create("map-guest-tree", MFdFlags::empty())?);
    file.write_all(&fs::read(&tree).context("there is no device tree")?)?;
    Ok(file)
}

/// Compiles an overlay that the guest applies itself. It exports no labels: the kernel cannot free a symbol's memory.
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
    // These warnings need the base tree, which dtc does not see here.
    dtc.args(["-I", "dts", "-O", "dtb", "-W", "no-avoid_default_addr_size", "-W", "no-reg_format"]);
    dtc.args(arguments).arg("-o").arg(overlay).arg(&text);
    Job::new(dtc).output().context("cannot compile an overlay of the device tree")?;
    Ok(())
}
