// SPDX-License-Identifier: MIT OR Apache-2.0

//! Configures, checks and builds the guest's kernel.
//!
//! A kernel cannot be built in one directory and moved to another, because its files contain paths. A file beside the
//! build directory therefore has its state. A build is resumed only if make ended by itself: make then deletes the
//! files that it was about to write.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    thread,
};

use anyhow::{bail, ensure, Context, Result};
use sha2::{Digest, Sha256};

use crate::{
    arch::Arch,
    interrupt::Interrupted,
    kernels::{self, KernelId},
    process::{Failure, Job},
    setup::{
        cache::{self, BuildCache, Lock},
        chroot::Chroot,
        source::Source,
        stock,
        toolchain::Toolchain,
    },
    ui::Ui,
};

/// The configuration that every architecture needs.
const COMMON: &str = include_str!("../../../kernel/common.config");
const BUCKET: &str = "kernel";

/// A kernel that can be booted, and that modules can be built against.
#[derive(Debug)]
pub struct Kernel {
    /// Which one it is.
    pub id: KernelId,
    /// The `KDIR` of modules. No two different kernels have the same.
    pub build: PathBuf,
    /// The bootable image.
    pub image: PathBuf,
    /// The output of `uname -r`.
    pub release: String,
    /// What builds modules for it.
    pub builder: Builder,
}

/// What builds modules.
#[derive(Debug)]
pub enum Builder {
    /// The compilers of this machine, which have built the kernel.
    Toolchain(Arc<Toolchain>),
    /// The compilers of an unpacked Debian system.
    Chroot {
        /// The system.
        chroot: Chroot,
        /// The arguments of make, which name the tree.
        arguments: Vec<String>,
        /// The directories of this machine that a build needs.
        places: Vec<PathBuf>,
    },
}

impl Kernel {
    /// The kernel in the cache that was built from exactly these inputs, or a new one.
    pub fn find(
        id: KernelId,
        source: &Source,
        toolchain: Arc<Toolchain>,
        cache: &BuildCache,
        ui: &Ui,
    ) -> Result<Kernel> {
        let Inputs { fragment, key, bucket } = Inputs::of(id, source, &toolchain);
        let place = cache.path(&bucket);
        let finished = || Kernel::at(id, &place, &toolchain);
        // The user may have edited the tree; make knows what to rebuild, and is quick if there is nothing.
        let usable = || (!source.external && State::read(&place) == State::Complete).then(finished)?.ok();
        if let Some(kernel) = usable() {
            return Ok(kernel);
        }
        let lock = cache.lock(&bucket, "building the kernel", ui)?;
        if let Some(kernel) = usable() {
            return Ok(kernel);
        }
        let fragment = &fragment;
        let build = Build { id, source, toolchain: &toolchain, cache, ui, fragment, place: &place, lock: &lock };
        build.run(&key).map_err(|error| cache.explain(error, &place))?;
        finished()
    }

    /// The kernel in the cache that was built from exactly these inputs.
    pub fn cached(id: KernelId, source: &Source, toolchain: &Arc<Toolchain>, cache: &BuildCache) -> Option<Kernel> {
        let place = cache.path(&Inputs::of(id, source, toolchain).bucket);
        (State::read(&place) == State::Complete).then(|| Kernel::at(id, &place, toolchain).ok())?
    }

    /// Its name in messages.
    pub fn title(&self) -> String {
        self.id.title()
    }

    /// `make` for modules, with the tree and the compilers as arguments.
    pub fn make(&self) -> Command {
        match &self.builder {
            Builder::Toolchain(toolchain) => {
                let mut make = toolchain.make();
                make.arg("-C").arg(&self.build);
                make
            }
            Builder::Chroot { chroot, arguments, places } => stock::make(chroot, arguments, places),
        }
    }

    fn at(id: KernelId, place: &Path, toolchain: &Arc<Toolchain>) -> Result<Kernel> {
        let build = place.join("build");
        let image = build.join(id.arch.image);
        ensure!(image.is_file(), "make has made no {}", image.display());
        let release = build.join("include/config/kernel.release");
        let release = fs::read_to_string(&release).with_context(|| format!("cannot read {}", release.display()))?;
        let builder = Builder::Toolchain(Arc::clone(toolchain));
        Ok(Kernel { id, build, image, release: release.trim().into(), builder })
    }
}

/// What a kernel is built from, and where it is in the cache.
struct Inputs {
    fragment: String,
    key: String,
    bucket: String,
}

impl Inputs {
    fn of(id: KernelId, source: &Source, toolchain: &Toolchain) -> Inputs {
        let KernelId { arch, flavour, .. } = id;
        let variant = flavour.variant(arch).map_or("", |variant| variant.config);
        let fragment = merge_fragments(&[COMMON, arch.config, flavour.config, variant]);
        let key = key(arch, source, &toolchain.identity(), &fragment);
        // Not the name of the series: the version has it.
        let stem = KernelId { origin: &kernels::ALL[0], ..id }.stem();
        let bucket = format!("{BUCKET}/{stem}-{}-{}", source.version, short_hash(&key));
        Inputs { fragment, key, bucket }
    }
}

/// The state of a kernel in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// There is nothing.
    Absent,
    /// A run is building it, or was killed while it did.
    Building,
    /// make ended by itself before it was done.
    Stopped,
    /// It can be used.
    Complete,
}

impl State {
    const NAMES: [(State, &'static str); 3] =
        [(State::Building, "building"), (State::Stopped, "stopped"), (State::Complete, "complete")];

    fn read(place: &Path) -> State {
        let Ok(text) = fs::read_to_string(place.join("state")) else { return State::Absent };
        let known = State::NAMES.iter().find(|(_, name)| *name == text.trim());
        // An unknown state is not resumed.
        known.map_or(State::Building, |(state, _)| *state)
    }

    fn write(self, place: &Path) -> Result<()> {
        let name = State::NAMES.iter().find(|(state, _)| *state == self).map_or("", |(_, name)| name);
        let part = place.join("state.new");
        fs::write(&part, format!("{name}\n"))?;
        Ok(fs::rename(part, place.join("state"))?)
    }
}

/// The making of one kernel.
struct Build<'a> {
    id: KernelId,
    source: &'a Source,
    toolchain: &'a Toolchain,
    cache: &'a BuildCache,
    ui: &'a Ui,
    fragment: &'a str,
    place: &'a Path,
    lock: &'a Lock,
}

impl Build<'_> {
    fn run(&self, key: &str) -> Result<()> {
        let build = self.place.join("build");
        let state = State::read(self.place);
        let fresh = matches!(state, State::Absent | State::Building);
        if fresh {
            self.cache.require_space(self.id.flavour.space)?;
            cache::remove(&build)?;
        } else if state == State::Stopped {
            self.ui.note("an earlier run was stopped while it built this kernel; the build is resumed");
        }
        State::Building.write(self.place)?;
        fs::write(self.log(), "")?;
        fs::create_dir_all(&build)?;
        // For people who look at this directory.
        fs::write(self.place.join("key"), key)?;
        if fresh {
            self.configure(&build)?;
        }
        self.verify_config(&build)?;
        let result = self.compile(&build);
        match &result {
            Ok(()) => {
                cache::flush(&build)?;
                State::Complete.write(self.place)?;
            }
            Err(error) if ended_by_itself(error) => State::Stopped.write(self.place)?,
            Err(_) => {}
        }
        result
    }

    fn title(&self) -> String {
        self.id.title()
    }

    fn log(&self) -> PathBuf {
        self.place.join("make.log")
    }

    fn make(&self, build: &Path, targets: &[&str]) -> Result<Job> {
        let mut make = self.toolchain.make();
        make.arg("-C").arg(&self.source.place).arg(format!("O={}", build.display())).args(targets);
        // make's descendants keep the lock: if this program is killed, no other run starts before they have ended.
        Job::new(make).log(&self.log()).hold(self.lock)
    }

    /// Makes a configuration from tinyconfig and our fragment.
    fn configure(&self, build: &Path) -> Result<()> {
        self.ui.step(format_args!("Configuring Linux {} for {}", self.source.version, self.title()));
        self.make(build, &["rustavailable"])?.lines(|_| {}).with_context(|| {
            format!("Linux {} in {} finds no Rust that it can use", self.source.version, self.source.place.display())
        })?;
        self.make(build, &["tinyconfig"])?.lines(|_| {}).context("cannot configure the kernel")?;
        let fragment = self.place.join("fragment.config");
        fs::write(&fragment, self.fragment)?;
        let config = build.join(".config");
        let mut merge = Command::new(self.source.place.join("scripts/kconfig/merge_config.sh"));
        merge.arg("-m").arg("-O").arg(build).arg(&config).arg(&fragment).current_dir(&self.source.place);
        merge.env_remove("KCONFIG_CONFIG").env_remove("CONFIG_");
        Job::new(merge).log(&self.log()).lines(|_| {}).context("cannot configure the kernel")?;
        Ok(())
    }

    /// Completes the configuration and checks that it has every line of the fragment.
    fn verify_config(&self, build: &Path) -> Result<()> {
        self.make(build, &["olddefconfig"])?.lines(|_| {}).context("cannot configure the kernel")?;
        let config = build.join(".config");
        let config = fs::read_to_string(&config).with_context(|| format!("cannot read {}", config.display()))?;
        let mut refused = Vec::new();
        for line in rejected_lines(self.fragment, &config) {
            // 7.2 and 7.3 differ in a few names; the fragment has both.
            if self.declares(line.symbol)? {
                refused.push(format!("{}={}", line.symbol, line.value));
            }
        }
        if !refused.is_empty() {
            bail!(
                "Linux {} does not accept these lines of the configuration (qemu/kernel/*.config), probably because of \
                 another line that they depend on: {}",
                self.source.version,
                refused.join(" ")
            );
        }
        Ok(())
    }

    /// Whether this tree knows the symbol at all.
    fn declares(&self, symbol: &str) -> Result<bool> {
        let name = symbol.trim_start_matches("CONFIG_");
        let mut grep = Command::new("grep");
        grep.args(["-r", "-l", "-E", "--include=Kconfig*"]).arg(format!(r"^\s*(menu)?config\s+{name}\s*$"));
        grep.arg(&self.source.place);
        Ok(!Job::new(grep).accept(1).output()?.is_empty())
    }

    fn compile(&self, build: &Path) -> Result<()> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let what = format!("Building Linux {} for {} on {cores} cores", self.source.version, self.title());
        let bar = self.ui.bar(what, self.id.arch.kernel_lines + self.id.flavour.kernel_lines);
        let mut warnings = 0;
        self.make(build, &[&format!("-j{cores}"), self.id.arch.image_target, "modules"])?
            .lines(|line| {
                bar.advance(u64::from(names_a_file(line)));
                warnings += u64::from(line.contains("warning:"));
            })
            .context("the kernel could not be built")?;
        bar.finish();
        if warnings > 0 {
            self.ui.note(format_args!("with {warnings} warnings, which are in {}", self.log().display()));
        }
        Ok(())
    }
}

/// Whether this line of make reports a file, as in `  CC      init/main.o`.
fn names_a_file(line: &str) -> bool {
    line.strip_prefix("  ").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
}

/// Whether make ended by itself, after it deleted the files that it had not finished.
fn ended_by_itself(error: &anyhow::Error) -> bool {
    for cause in error.chain() {
        if let Some(interrupted) = cause.downcast_ref::<Interrupted>() {
            return interrupted.orderly;
        }
        if let Some(failure) = cause.downcast_ref::<Failure>() {
            return failure.status.code().is_some();
        }
    }
    false
}

/// Merges fragments into one; a later line overrides an earlier one for the same symbol.
///
/// Comments are dropped, so that rewording them does not cause a new kernel.
fn merge_fragments(fragments: &[&str]) -> String {
    let mut lines: Vec<Line<'_>> = Vec::new();
    for line in fragments.iter().flat_map(|text| text.lines()).filter_map(Line::parse) {
        lines.retain(|earlier| earlier.symbol != line.symbol);
        lines.push(line);
    }
    lines.iter().map(|Line { symbol, value }| format!("{symbol}={value}\n")).collect()
}

/// Describes all inputs of a kernel's build.
fn key(arch: &Arch, source: &Source, toolchain: &str, fragment: &str) -> String {
    let mut key = format!(
        "Linux {} from {}, {} {}\n{toolchain}\n",
        source.version,
        source.place.display(),
        arch.kernel,
        arch.image_target
    );
    key += fragment;
    key
}

/// A short name for this text: no two texts have the same.
pub fn short_hash(text: &str) -> String {
    Sha256::digest(text).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// One line of a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Line<'a> {
    symbol: &'a str,
    value: &'a str,
}

impl<'a> Line<'a> {
    /// Reads `CONFIG_X=value` and `# CONFIG_X is not set`, which is the same as `CONFIG_X=n`.
    fn parse(line: &'a str) -> Option<Line<'a>> {
        let unset = line.strip_prefix("# ").and_then(|rest| rest.strip_suffix(" is not set"));
        let (symbol, value) = unset.map(|symbol| (symbol, "n")).or_else(|| line.split_once('='))?;
        symbol.starts_with("CONFIG_").then_some(Line { symbol, value })
    }
}

/// The lines of the fragment that the configuration contradicts. A symbol that is absent is `n`.
fn rejected_lines<'a>(fragment: &'a str, config: &str) -> Vec<Line<'a>> {
    let set: BTreeMap<&str, &str> =
        config.lines().filter_map(Line::parse).map(|line| (line.symbol, line.value)).collect();
    let is_so = |line: &Line<'_>| set.get(line.symbol).copied().unwrap_or("n") == line.value;
    fragment.lines().filter_map(Line::parse).filter(|line| !is_so(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_line_is_found() {
        let fragment = "# The reason.\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=n\nCONFIG_D=4\nCONFIG_E=y\n";
        let symbols = |config: &str| {
            rejected_lines(fragment, config).iter().map(|line| line.symbol).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(symbols("CONFIG_A=y\n# CONFIG_C is not set\nCONFIG_D=4\nCONFIG_E=y\n"), "");
        assert_eq!(
            symbols("CONFIG_A=m\nCONFIG_B=y\nCONFIG_D=5\n# CONFIG_E is not set\n"),
            "CONFIG_A CONFIG_B CONFIG_D CONFIG_E"
        );
        assert_eq!(symbols(""), "CONFIG_A CONFIG_D CONFIG_E");
    }

    #[test]
    fn every_line_of_our_fragments_is_understood_and_has_its_reason() {
        let flavours = crate::flavour::ALL
            .iter()
            .flat_map(|flavour| flavour.variants.iter().map(|variant| variant.config).chain([flavour.config]));
        let arches = crate::arch::ALL.iter().map(|arch| arch.config);
        for text in arches.chain([COMMON]).chain(flavours.filter(|config| !config.is_empty())) {
            let mut symbols = Vec::new();
            let mut reason = false;
            for line in text.lines() {
                match Line::parse(line) {
                    Some(line) => {
                        assert!(reason, "{} has no reason", line.symbol);
                        assert!(!symbols.contains(&line.symbol), "{} is there twice", line.symbol);
                        symbols.push(line.symbol);
                        reason = false;
                    }
                    None => {
                        assert!(line.is_empty() || line == "#" || line.starts_with("# "), "{line:?}");
                        reason = line.starts_with("# ");
                    }
                }
            }
            assert!(!symbols.is_empty());
        }
    }

    #[test]
    fn only_lines_about_files_move_the_bar() {
        assert!(names_a_file("  CC      init/main.o"));
        assert!(names_a_file("  RUSTC L rust/core.o"));
        assert!(!names_a_file("make[1]: Entering directory '/x'"));
        assert!(!names_a_file("  note: something"));
        assert!(!names_a_file(""));
    }

    #[test]
    fn of_two_lines_the_later_one_holds() {
        let folded =
            merge_fragments(&["# A reason.\nCONFIG_A=y\nCONFIG_B=y\n", "CONFIG_C=4\n", "# CONFIG_A is not set\n"]);
        assert_eq!(folded, "CONFIG_B=y\nCONFIG_C=4\nCONFIG_A=n\n");
    }

    #[test]
    fn everything_that_matters_changes_the_key() {
        let arch = &crate::arch::ALL[0];
        let source =
            |version: &str, place: &str| Source { place: place.into(), version: version.into(), external: false };
        let base = short_hash(&key(arch, &source("7.3.4", "/a"), "rustc 1", &merge_fragments(&["CONFIG_A=y"])));
        let reasoned = merge_fragments(&["# A reason.\n\nCONFIG_A=y\n"]);
        assert_eq!(base, short_hash(&key(arch, &source("7.3.4", "/a"), "rustc 1", &reasoned)));
        assert_eq!(base.len(), 12);
        let others = [
            key(arch, &source("7.3.5", "/a"), "rustc 1", "CONFIG_A=y\n"),
            key(arch, &source("7.3.4", "/b"), "rustc 1", "CONFIG_A=y\n"),
            key(arch, &source("7.3.4", "/a"), "rustc 2", "CONFIG_A=y\n"),
            key(arch, &source("7.3.4", "/a"), "rustc 1", "CONFIG_A=n\n"),
        ];
        assert!(others.iter().all(|other| short_hash(other) != base));
    }

    #[test]
    fn a_state_is_read_as_it_was_written() {
        let place = tempfile::tempdir().unwrap();
        assert_eq!(State::read(place.path()), State::Absent);
        for (state, _) in State::NAMES {
            state.write(place.path()).unwrap();
            assert_eq!(State::read(place.path()), state);
        }
        fs::write(place.path().join("state"), "comple").unwrap();
        assert_eq!(State::read(place.path()), State::Building);
    }

    #[test]
    fn only_an_orderly_end_can_be_built_upon() {
        let ended = |error: anyhow::Error| ended_by_itself(&error.context("building"));
        assert!(ended(Interrupted { orderly: true }.into()));
        assert!(!ended(Interrupted { orderly: false }.into()));
        assert!(!ended(anyhow::anyhow!("something else")));
        let run = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            Job::new(command).output().unwrap_err()
        };
        assert!(ended(run("exit 2")));
        assert!(!ended(run("kill -9 $$")));
    }
}
