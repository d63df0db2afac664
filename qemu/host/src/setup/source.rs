// SPDX-License-Identifier: MIT OR Apache-2.0

//! The kernel's source: the newest in Debian's archive, or a tree that the user names.

use std::{
    env,
    fs::{self, File},
    io::Seek,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{anyhow, bail, Context, Result};

use crate::{
    arch::Arch,
    process::Job,
    setup::{
        archive::{file_name, rename_into, Archive},
        cache::BuildCache,
        toolchain::Version,
    },
    ui::Ui,
};

/// The oldest Linux whose Rust support suffices for the driver.
const LINUX_MIN: Version = Version([7, 2, 0]);
/// The disk space for the source and everything that is built from it.
const SPACE: u64 = 3_000_000_000;
/// The variable that names a tree.
pub const VARIABLE: &str = "KERNEL_SRC";

/// A kernel's source.
#[derive(Debug)]
pub struct Source {
    /// The tree.
    pub place: PathBuf,
    /// The version in its Makefile, for example `7.3.4`.
    pub version: String,
    /// Whether it is the user's, who may edit it.
    pub external: bool,
}

impl Source {
    /// The tree that the user names, if there is one.
    pub fn given(arch: &Arch) -> Result<Option<Source>> {
        let Some(place) = env::var_os(VARIABLE).filter(|value| !value.is_empty()) else { return Ok(None) };
        let place = Path::new(&place);
        let source = Source::external(place, arch).map_err(|error| {
            anyhow!(
                "{VARIABLE}={} cannot be used: {error:#}. Or leave {VARIABLE} unset: then the source comes from Debian",
                place.display()
            )
        })?;
        Ok(Some(source))
    }

    fn external(place: &Path, arch: &Arch) -> Result<Source> {
        let place = place.canonicalize().context("it cannot be opened")?;
        if place.to_string_lossy().contains(|c: char| c.is_whitespace() || c == ':') {
            bail!("the kernel's Makefile accepts no space and no colon in the path {}", place.display());
        }
        let version = version_of(&place)?;
        if Version::parse(&version).is_none_or(|version| version < LINUX_MIN) {
            bail!("it is Linux {version}, and the driver needs {LINUX_MIN} or later");
        }
        if !place.join("rust/kernel/lib.rs").is_file() {
            bail!("it is Linux {version} without Rust: there is no rust/kernel/lib.rs. Give a whole source tree");
        }
        // The kernel's Makefile refuses to build such a tree into another directory, with less explanation.
        let source_arch = arch.image.split('/').nth(1).unwrap_or(arch.kernel);
        let generated = format!("arch/{source_arch}/include/generated");
        for used in [".config", "include/config", &generated] {
            if place.join(used).exists() {
                bail!(
                    "it has been configured or built in place (there is {used}), so it cannot be built into another \
                     directory: `make mrproper` there cleans it (and deletes its .config), or give a fresh copy"
                );
            }
        }
        Ok(Source { place, version, external: true })
    }

    /// The tree in the cache of this package of Debian's, as `linux-source-7.3`, else the newest in the archive.
    pub fn debian(package: &str, cache: &BuildCache, archive: &Archive<'_>, ui: &Ui) -> Result<Source> {
        let series = package.trim_start_matches("linux-source-");
        let of_series = |version: &str| version.strip_prefix(series).is_some_and(|rest| rest.starts_with('.'));
        Source::unpacked(package, &of_series, cache, archive, ui)
    }

    /// The tree of the package with this version of Debian's, as `7.3.4-1~bpo13+1`.
    pub fn exactly(version: &str, cache: &BuildCache, archive: &Archive<'_>, ui: &Ui) -> Result<Source> {
        let series: Vec<_> = version.splitn(3, '.').take(2).collect();
        Source::unpacked(
            &format!("linux-source-{}", series.join(".")),
            &|other| file_name(other) == file_name(version),
            cache,
            archive,
            ui,
        )
    }

    /// The newest tree of a package whose version `fits`.
    fn unpacked(
        name: &str,
        fits: &dyn Fn(&str) -> bool,
        cache: &BuildCache,
        archive: &Archive<'_>,
        ui: &Ui,
    ) -> Result<Source> {
        const BUCKET: &str = "source";
        // The archive changes; a tree in the cache stays until somebody removes it.
        let found = || -> Option<Source> {
            let sources = cache.entries(BUCKET).into_iter().filter_map(|entry| {
                let place = cache.path(BUCKET).join(&entry);
                let version = version_of(&place).ok()?;
                fits(entry.strip_prefix("linux-")?).then_some(Source { place, version, external: false })
            });
            sources.max_by_key(|source| (Version::parse(&source.version), source.place.clone()))
        };
        if let Some(source) = found() {
            return Ok(source);
        }
        let _lock = cache.lock(BUCKET, "the kernel's source", ui)?;
        if let Some(source) = found() {
            return Ok(source);
        }
        cache.require_space(SPACE)?;
        let package = archive.newest(name, fits)?.ok_or_else(|| {
            archive.lacks(name).context(format!(
                "there is no source of Linux to build; {VARIABLE}=/path/to/a/tree names one, {LINUX_MIN} or later"
            ))
        })?;
        cache.make(BUCKET, &file_name(&format!("linux-{}", package.version)), |part| {
            archive.unpack(&package, part)?;
            // The tree also has a `usr`, which must not collide with the package's.
            let tarball = rename_into(&part.join(format!("usr/src/{name}.tar.xz")), &part.join(".tar.xz"))?;
            fs::remove_dir_all(part.join("usr"))?;
            untar(&tarball, part, ui)?;
            Ok(fs::remove_file(tarball)?)
        })?;
        found().context("Debian's package holds no source of Linux")
    }
}

/// Unpacks the one directory in a tarball into `place`.
fn untar(tarball: &Path, place: &Path, ui: &Ui) -> Result<()> {
    let file = File::open(tarball).with_context(|| format!("the package has no {}", tarball.display()))?;
    let size = file.metadata()?.len();
    // tar shares this open file, and with it the position.
    let mut position = file.try_clone()?;
    let mut command = Command::new("tar");
    command.args(["-x", "-J", "--strip-components=1", "-C"]).arg(place);
    let bar = ui.bar("Unpacking the kernel's source", size);
    Job::new(command)
        .stdin(file)
        .watched(|| bar.set(position.stream_position().unwrap_or(0)))
        .context("cannot unpack the kernel's source")?;
    bar.finish();
    Ok(())
}

/// The version that a tree's Makefile states.
fn version_of(place: &Path) -> Result<String> {
    let makefile = place.join("Makefile");
    let text = fs::read_to_string(&makefile).with_context(|| format!("there is no {}", makefile.display()))?;
    parse_version(&text).with_context(|| format!("{} is not the Makefile of a Linux source tree", makefile.display()))
}

fn parse_version(makefile: &str) -> Option<String> {
    let value = |name: &str| {
        let line = makefile.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix('='));
        line.map(str::trim)
    };
    let number = |name: &str| value(name).filter(|text| text.parse::<u32>().is_ok());
    let (version, patchlevel, sublevel) = (number("VERSION")?, number("PATCHLEVEL")?, number("SUBLEVEL")?);
    Some(format!("{version}.{patchlevel}.{sublevel}{}", value("EXTRAVERSION").unwrap_or("")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAKEFILE: &str =
        "# SPDX-License-Identifier: GPL-2.0\nVERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 4\nEXTRAVERSION =\n";

    #[test]
    fn the_makefile_states_the_version() {
        assert_eq!(parse_version(MAKEFILE).unwrap(), "7.3.4");
        assert_eq!(parse_version(&MAKEFILE.replace("EXTRAVERSION =", "EXTRAVERSION = -rc2")).unwrap(), "7.3.4-rc2");
        assert_eq!(parse_version("all:\n\techo VERSION = 7\n"), None);
    }

    fn tree(makefile: &str, files: &[&str]) -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        fs::write(tree.path().join("Makefile"), makefile).unwrap();
        for file in files {
            let file = tree.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        tree
    }

    fn refusal(tree: &tempfile::TempDir) -> String {
        Source::external(tree.path(), &crate::arch::ALL[0]).unwrap_err().to_string()
    }

    #[test]
    fn a_usable_tree_is_taken() {
        let tree = tree(MAKEFILE, &["rust/kernel/lib.rs"]);
        let source = Source::external(tree.path(), &crate::arch::ALL[0]).unwrap();
        assert_eq!((source.version.as_str(), source.external), ("7.3.4", true));
    }

    #[test]
    fn every_other_tree_is_refused_with_the_reason() {
        let old = MAKEFILE.replace("= 3", "= 1");
        assert!(refusal(&tree(&old, &["rust/kernel/lib.rs"])).contains("Linux 7.1.4, and the driver needs 7.2.0"));
        assert!(refusal(&tree(MAKEFILE, &[])).contains("without Rust"));
        assert!(refusal(&tree("all:\n", &[])).contains("not the Makefile of a Linux source tree"));
        for used in [".config", "include/config/x", "arch/x86/include/generated/x"] {
            assert!(refusal(&tree(MAKEFILE, &["rust/kernel/lib.rs", used])).contains("mrproper"), "{used}");
        }
    }
}
