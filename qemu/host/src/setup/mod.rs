// SPDX-License-Identifier: MIT OR Apache-2.0

//! Sets up a bare Debian machine for guests: packages, compilers, the kernel, busybox.
//!
//! What takes long is done once and kept in a cache. When the cache is complete, [`prepare`] only checks it.

mod archive;
mod cache;
mod chroot;
mod kernel;
mod packages;
mod source;
mod stock;
mod sysroot;
mod toolchain;

use std::{fs, path::PathBuf, process::Command, sync::Arc};

use anyhow::{Context, Result};

use self::{
    archive::Archive,
    source::Source,
    stock::Archives,
    toolchain::{Rustc, Toolchain},
};
pub use self::{
    cache::{lock, BuildCache},
    kernel::Kernel,
    sysroot::Use,
};
use crate::{
    arch::{self, Arch, Needed},
    kernels::{KernelId, Supply},
    process::Job,
    ui::Ui,
};

/// The tools and files for guests of an architecture, except the kernels, the driver and our own programs.
#[derive(Debug)]
pub struct Tools {
    /// The guest's architecture.
    pub arch: &'static Arch,
    /// Rust's library for the guest's programs, if the tool chain itself has none.
    pub sysroot: Option<PathBuf>,
    /// A static busybox for the guest's architecture.
    pub busybox: PathBuf,
    rustc: Rustc,
}

impl Tools {
    /// One of the kernels; downloaded or built if it is missing.
    pub fn kernel(&self, kernel: KernelId, ui: &Ui) -> Result<Kernel> {
        let cache = BuildCache::find()?;
        let archive = Archive::new(&cache, ui, self.arch.debian);
        match kernel.origin.supply {
            Supply::Source(package) => {
                // First the check that changes nothing.
                let given = Source::given(self.arch)?;
                packages::ensure(self.arch, packages::KERNEL_PACKAGES, &cache, ui)?;
                let source = match given {
                    Some(source) => source,
                    None => Source::debian(package, &cache, &archive, ui)?,
                };
                let clang = packages::version(toolchain::CLANG)?;
                let toolchain = Toolchain::complete(self.arch, &self.rustc, clang, &cache, &archive, ui)?;
                Kernel::find(kernel, &source, Arc::new(toolchain), &cache, ui)
            }
            Supply::Stock => {
                let host = Archive::new(&cache, ui, arch::of_this_machine()?.debian);
                stock::find(kernel, Archives { guest: &archive, host: &host }, &cache, ui)
            }
        }
    }
}

/// A kernel that is built here, if it is in the cache already. Installs and builds nothing.
pub fn kernel_in_cache(kernel: KernelId, ui: &Ui) -> Result<Option<Kernel>> {
    let cache = BuildCache::find()?;
    let archive = Archive::new(&cache, ui, kernel.arch.debian);
    let Supply::Source(package) = kernel.origin.supply else { return Ok(None) };
    let source = match Source::given(kernel.arch)? {
        Some(source) => source,
        None => Source::debian(package, &cache, &archive, ui)?,
    };
    let clang = packages::version(toolchain::CLANG)?;
    let toolchain = Toolchain::complete(kernel.arch, &Rustc::find()?, clang, &cache, &archive, ui)?;
    Ok(Kernel::cached(kernel, &source, &Arc::new(toolchain), &cache))
}

/// Installs and builds everything except a kernel.
pub fn prepare(arch: &'static Arch, ui: &Ui) -> Result<Tools> {
    let cache = BuildCache::find()?;
    // First the checks that change nothing.
    Source::given(arch)?;
    let rustc = Rustc::find()?;
    packages::ensure(arch, &[], &cache, ui)?;
    let archive = Archive::new(&cache, ui, arch.debian);
    let busybox = busybox(arch, &cache, &archive, ui)?;
    let sysroot = sysroot::find(arch.programs.rust, Use::Programs, &rustc, &cache, &archive, ui)?;
    Ok(Tools { arch, sysroot, busybox, rustc })
}

/// Installs what only the tests need: the compilers of programs of 32 bits, and the packages of dt-schema.
///
/// Gives Rust's library for programs of 32 bits, if the tool chain itself has none.
pub fn prepare_tests(tools: &Tools, ui: &Ui) -> Result<Option<PathBuf>> {
    let cache = BuildCache::find()?;
    packages::ensure(tools.arch, tools.arch.test_packages, &cache, ui)?;
    let archive = Archive::new(&cache, ui, tools.arch.debian);
    match tools.arch.programs_32 {
        Some(target) => sysroot::find(target.rust, Use::Programs, &tools.rustc, &cache, &archive, ui),
        None => Ok(None),
    }
}

/// Installs what programs for `target` need, and gives Rust's library for this use, if the tool chain itself has none.
pub fn prepare_target(target: &str, purpose: Use, needed: &[Needed], ui: &Ui) -> Result<Option<PathBuf>> {
    let cache = BuildCache::find()?;
    let host = arch::of_this_machine()?;
    packages::ensure(host, needed, &cache, ui)?;
    let archive = Archive::new(&cache, ui, host.debian);
    sysroot::find(target, purpose, &Rustc::find()?, &cache, &archive, ui)
}

/// Installs these packages, and gives the source of Rust's library, from which Cargo builds its core.
pub fn prepare_core(needed: &[Needed], ui: &Ui) -> Result<PathBuf> {
    let cache = BuildCache::find()?;
    let host = arch::of_this_machine()?;
    packages::ensure(host, needed, &cache, ui)?;
    toolchain::rust_src(&Rustc::find()?, &cache, &Archive::new(&cache, ui, host.debian), ui)
}

/// Checks the device tree binding, and trees that use it, with dt-schema, which the cache keeps.
pub fn check_binding(ui: &Ui) -> Result<()> {
    const BUCKET: &str = "dtschema";
    let cache = BuildCache::find()?;
    let lock = cache.lock(BUCKET, "dt-schema", ui)?;
    if cache.entries(BUCKET).is_empty() {
        ui.step("Installing dt-schema with pip, in the cache: it checks the device tree binding");
    }
    let mut script = Command::new(crate::root().join("qemu/bindings.sh"));
    script.arg(cache.path(BUCKET));
    Job::new(script).hold(&lock)?.lines(|_| ()).context("the binding is wrong, or dt-schema could not be installed")
}

/// Debian's static busybox for the guest's architecture.
fn busybox(arch: &Arch, cache: &BuildCache, archive: &Archive<'_>, ui: &Ui) -> Result<PathBuf> {
    const PACKAGE: &str = "busybox-static";
    let bucket = format!("busybox/{}", arch.debian);
    // Any version works: the one in the cache stays until somebody removes it.
    let found = || {
        let place = cache.entries(&bucket).into_iter().max()?;
        Some(cache.path(&bucket).join(place).join("busybox"))
    };
    if let Some(busybox) = found() {
        return Ok(busybox);
    }
    let _lock = cache.lock(&bucket, "busybox", ui)?;
    if let Some(busybox) = found() {
        return Ok(busybox);
    }
    let package = archive.newest(PACKAGE, |_| true)?.ok_or_else(|| archive.lacks(PACKAGE))?;
    cache.make(&bucket, &archive::file_name(&package.version), |part| {
        archive.unpack(&package, part)?;
        // Debian moved it from one to the other.
        let place = ["usr/bin/busybox", "bin/busybox"].into_iter().find(|place| part.join(place).is_file());
        let place = place.with_context(|| format!("there is no busybox in {PACKAGE} {}", package.version))?;
        fs::rename(part.join(place), part.join("busybox"))?;
        for rest in ["usr", "bin"] {
            cache::remove(&part.join(rest))?;
        }
        Ok(())
    })?;
    found().context("busybox was unpacked, but it is not there")
}
