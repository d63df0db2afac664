// SPDX-License-Identifier: MIT OR Apache-2.0

//! Debian's own kernel, ready to boot, and a tree in which modules in Rust are built for it.
//!
//! Its headers lack the metadata of Rust's crates. `driver/prepare.sh` makes it, as it does for people; here it runs in
//! an unpacked Debian system, which has the compilers that built the kernel.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use anyhow::{bail, Context, Result};

use crate::{
    arch,
    join::join,
    kernels::KernelId,
    process::Job,
    setup::{
        archive::{file_name, rename_into, Archive},
        cache::{self, BuildCache},
        chroot::Chroot,
        kernel::{Builder, Kernel},
        source::Source,
    },
    ui::Ui,
};

const BUCKET: &str = "stock";
/// The versions that are looked for, the best first.
const SERIES: &[&str] = &["7.3.", "7.2."];

/// The packages of a stock kernel, unpacked.
#[derive(Debug)]
struct Stock {
    /// The version of the packages.
    version: String,
    /// The directory of the headers.
    headers: PathBuf,
    /// The bootable image.
    image: PathBuf,
}

impl Stock {
    /// The newest kernel in the cache, else the newest in the archive.
    fn find(kernel: KernelId, cache: &BuildCache, archive: &Archive<'_>, ui: &Ui) -> Result<Stock> {
        let debian = kernel.arch.debian;
        let bucket = format!("{BUCKET}/{debian}");
        // The archive changes; a kernel in the cache stays until somebody removes it.
        let found = || {
            let place = cache.path(&bucket).join(cache.entries(&bucket).into_iter().max()?);
            let version = fs::read_to_string(place.join("version")).ok()?;
            Some(Stock { version, headers: place.join("headers"), image: place.join("vmlinuz") })
        };
        if let Some(found) = found() {
            return Ok(found);
        }
        let _lock = cache.lock(&bucket, "downloading Debian's kernel", ui)?;
        if let Some(found) = found() {
            return Ok(found);
        }
        let meta = format!("linux-headers-{debian}");
        let mut newest = None;
        for series in SERIES {
            newest = newest.or(archive.newest(&meta, |version| version.starts_with(series))?);
        }
        let newest = newest.ok_or_else(|| {
            let series: Vec<_> = SERIES.iter().map(|series| series.trim_end_matches('.')).collect();
            archive.lacks(&format!("{meta} of Linux {}", series.join(" or ")))
        })?;
        let release = newest
            .depends
            .split(", ")
            .filter_map(|word| word.split(' ').next()?.strip_prefix("linux-headers-"))
            .find(|release| release.starts_with(|first: char| first.is_ascii_digit()))
            .with_context(|| format!("{meta} {} depends on no headers of a kernel", newest.version))?
            .to_owned();
        cache.make(&bucket, &file_name(&newest.version), |part| {
            for (package, file, name) in [
                (format!("linux-headers-{release}"), format!("usr/src/linux-headers-{release}"), "headers"),
                (format!("linux-binary-{release}"), format!("usr/lib/modules/{release}/vmlinuz"), "vmlinuz"),
            ] {
                let of_kernel = archive.newest(&package, |version| version == newest.version)?;
                let of_kernel = of_kernel.ok_or_else(|| archive.lacks(&format!("{package} {}", newest.version)))?;
                archive.unpack(&of_kernel, part)?;
                rename_into(&part.join(file), &part.join(name))?;
            }
            cache::remove(&part.join("usr"))?;
            Ok(fs::write(part.join("version"), &newest.version)?)
        })?;
        found().context("Debian's kernel was unpacked, but it is not there")
    }

    /// The value of a symbol of its configuration.
    fn config(&self, symbol: &str) -> Result<String> {
        let file = self.headers.join(".config");
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let value = text.lines().find_map(|line| line.strip_prefix(symbol)?.strip_prefix('='));
        let value = value.with_context(|| format!("Debian's kernel {} has no {symbol}", self.version))?;
        Ok(value.trim_matches('"').to_owned())
    }

    /// The packages of the compilers that built it.
    fn compilers(&self, archive: &Archive<'_>) -> Result<Vec<String>> {
        // "rustc 1.85.1 (…)", and "x86_64-linux-gnu-gcc-14 (…)".
        let word = |symbol, number| {
            let text = self.config(symbol)?;
            let word = text.split(' ').nth(number).map(str::to_owned);
            word.with_context(|| format!("{symbol} of Debian's kernel {} is {text:?}", self.version))
        };
        let rust = word("CONFIG_RUSTC_VERSION_TEXT", 1)?;
        let gcc = word("CONFIG_CC_VERSION_TEXT", 0)?;
        let gcc = gcc_package(&gcc, arch::of_this_machine()?.programs.linker);
        let same = |version: &str| version.split(['+', '-']).next() == Some(rust.as_str());
        let rustc = archive.newest("rustc", same)?.ok_or_else(|| archive.lacks(&format!("rustc {rust}")))?;
        let version = rustc.version;
        Ok(["rustc", "rust-src", "libstd-rust-dev"]
            .map(|package| format!("{package}={version}"))
            .into_iter()
            .chain([gcc])
            .collect())
    }
}

/// The stock kernel, and the tree for its modules; downloaded and prepared if it is missing.
pub fn find(kernel: KernelId, archives: Archives<'_>, cache: &BuildCache, ui: &Ui) -> Result<Kernel> {
    let stock = Stock::find(kernel, cache, archives.guest, ui)?;
    let (chroot, source) = thread::scope(|scope| {
        // One is downloaded while the other is unpacked.
        let source = scope.spawn(|| Source::exactly(&stock.version, cache, archives.host, ui));
        let chroot = chroot(&stock, &archives, cache, ui).and_then(|chroot| chroot.check().map(|()| chroot));
        (chroot, join(source))
    });
    let (chroot, source) = (chroot?, source?);
    let places = places(cache);
    let mut kdir = chroot.command("sh", crate::root(), &places);
    kdir.arg("driver/kdir.sh").arg(&stock.headers);
    kdir.env("MAP_CACHE", cache.root()).env("KERNEL_SRC", &source.place);
    let mut arguments = None;
    Job::new(kdir)
        .lines(|line| match line.strip_prefix("==> ") {
            Some(step) => ui.step(step),
            None => arguments = Some(line.split(' ').map(str::to_owned).collect::<Vec<_>>()),
        })
        .with_context(|| format!("Debian's kernel {} could not be prepared for modules in Rust", stock.version))?;
    let arguments = arguments.context("driver/kdir.sh has named no tree")?;
    let build = match &arguments[..] {
        [option, build, ..] if option == "-C" => PathBuf::from(build),
        _ => bail!("driver/kdir.sh has named no tree, but: {}", arguments.join(" ")),
    };
    let release = fs::read_to_string(build.join("include/config/kernel.release"))
        .with_context(|| format!("{} is not prepared", build.display()))?;
    Ok(Kernel {
        id: kernel,
        image: stock.image,
        release: release.trim().into(),
        builder: Builder::Chroot { chroot, arguments, places },
        build,
    })
}

/// Where packages come from.
#[derive(Debug, Clone, Copy)]
pub struct Archives<'a> {
    /// Those of the guest's architecture.
    pub guest: &'a Archive<'a>,
    /// Those of this machine's architecture.
    pub host: &'a Archive<'a>,
}

/// The system with the compilers of this kernel. The cache remembers which packages these are.
fn chroot(stock: &Stock, archives: &Archives<'_>, cache: &BuildCache, ui: &Ui) -> Result<Chroot> {
    let list = stock.headers.with_file_name("compilers");
    if let Ok(text) = fs::read_to_string(&list) {
        let compilers: Vec<_> = text.lines().map(str::to_owned).collect();
        return Chroot::find(&compilers, cache, archives.host, ui);
    }
    let compilers = stock.compilers(archives.host)?;
    let chroot = Chroot::find(&compilers, cache, archives.host, ui)?;
    let part = list.with_extension("part");
    fs::write(&part, compilers.join("\n"))?;
    fs::rename(part, list)?;
    Ok(chroot)
}

/// The directories that a build sees.
fn places(cache: &BuildCache) -> Vec<PathBuf> {
    let mut places = vec![cache.root().to_owned(), crate::root().to_owned()];
    let target = crate::target();
    if !target.starts_with(crate::root()) {
        places.push(target);
    }
    places
}

/// The package of a compiler that is called `x86_64-linux-gnu-gcc-14`, say, on a machine whose own is `native`.
fn gcc_package(gcc: &str, native: &str) -> String {
    match gcc.rsplit_once("-gcc") {
        Some((target, version)) if format!("{target}-gcc") != native => format!("gcc{version}-{target}"),
        Some((_, version)) => format!("gcc{version}"),
        None => gcc.to_owned(),
    }
}

/// `make` in the system, for modules.
pub fn make(chroot: &Chroot, arguments: &[String], places: &[PathBuf]) -> Command {
    let mut make = chroot.command("make", Path::new("/"), places);
    make.args(arguments);
    make
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cross_compiler_has_its_target_in_its_package() {
        let package = |gcc| gcc_package(gcc, "x86_64-linux-gnu-gcc");
        assert_eq!(package("x86_64-linux-gnu-gcc-14"), "gcc-14");
        assert_eq!(package("aarch64-linux-gnu-gcc-14"), "gcc-14-aarch64-linux-gnu");
        assert_eq!(package("gcc-14"), "gcc-14");
    }
}
