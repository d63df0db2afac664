// SPDX-License-Identifier: MIT OR Apache-2.0

//! Plants bugs one after the other, and looks whether a test notices: `map-qemu mutants`.
//!
//! The bugs are lists in `qemu/mutants/`. Each is planted in a copy of this clone, where what should notice it is built
//! and run; there are as many copies as processors. A bug counts as noticed only if that builds, and then a test fails,
//! by its name.

use std::{
    collections::BTreeSet,
    fs,
    path::{Component, Path, PathBuf},
    process::{Command, ExitCode},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{bail, ensure, Context, Result};
use serde::Deserialize;

use crate::{interrupt, join::join_all, process, suites::SuiteSpec, ui::Ui};

/// The last line of the rules by which the driver is built.
const ALLOW_UNUSED: &str = "rustflags-y += -Aunused\n";

/// How long what should notice a bug may take: a bug can make it wait for ever.
const TIMEOUT: Duration = Duration::from_secs(900);

/// Options of `mutants`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Plants only the bugs whose names or files contain one of these texts.
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Lists them, and plants none.
    #[arg(long)]
    list: bool,
}

/// The lists, by the names of their files in `qemu/mutants/`.
const LISTS: &[(&str, &str)] = &[
    ("core.toml", include_str!("../../mutants/core.toml")),
    ("crate.toml", include_str!("../../mutants/crate.toml")),
    ("driver.toml", include_str!("../../mutants/driver.toml")),
];

/// A list as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    /// What the mutants have that do not say otherwise.
    #[serde(default)]
    default: Defaults,
    mutant: Vec<Entry>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Defaults {
    file: Option<PathBuf>,
    host: Option<String>,
    guest: Option<GuestKernel>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    file: Option<PathBuf>,
    old: String,
    new: String,
    why: String,
    host: Option<String>,
    guest: Option<GuestKernel>,
    suite: Option<String>,
    only: Option<String>,
}

/// The kernel of the guest, as the options of `test` name it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct GuestKernel {
    arch: String,
    kernel: String,
    flavour: String,
}

/// A planted bug.
#[derive(Debug)]
struct Mutant {
    name: String,
    /// Below the root of the project.
    file: PathBuf,
    old: String,
    new: String,
    /// Why the program is not the same with it.
    why: String,
    check: Check,
}

/// What should notice a bug.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Check {
    /// The tests of this package.
    Host(String),
    /// Tests in a guest with this kernel: those of a suite, or whose names contain a text.
    Guest { kernel: GuestKernel, suite: Option<String>, only: Option<String> },
}

/// What became of a bug.
#[derive(Debug)]
enum Fate {
    /// These tests failed.
    Noticed(BTreeSet<String>),
    /// All tests passed.
    Survived,
    /// The tests could not be run: this says nothing about the bug.
    Broken(String),
}

/// Plants the bugs, and fails if one is not noticed.
pub fn mutants(options: &Options, ui: &Ui) -> Result<ExitCode> {
    let mutants: Vec<_> = all()?.into_iter().filter(|mutant| mutant.has(&options.only)).collect();
    ensure!(!mutants.is_empty(), "there is no such bug; `map-qemu mutants --list` lists them");
    if options.list {
        mutants.iter().for_each(|mutant| println!("{}: {}", mutant.file.display(), mutant.name));
        return Ok(ExitCode::SUCCESS);
    }
    let workers = thread::available_parallelism().map_or(1, usize::from).min(mutants.len());
    let copies = (0..workers).map(Copy::new).collect::<Result<Vec<_>>>()?;
    for package in packages(&mutants) {
        ui.step(format!("The tests of {package}, without a bug"));
        match copies[0].host(package)? {
            Fate::Survived => (),
            fate => bail!("the tests of {package} fail without a bug: {fate:?}"),
        }
    }
    let counts = Mutex::new([0; 3]);
    let left = Mutex::new((1..).zip(&mutants));
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
    let worker = |copy: &Copy| {
        while let Some((number, mutant)) = next() {
            ui.step(format!("{number} of {}: {}", mutants.len(), mutant.name));
            let began = Instant::now();
            let fate = copy.plant(mutant)?;
            let (place, line) = match &fate {
                Fate::Noticed(tests) => (0, format!("noticed   {}: {}", mutant.name, shown(tests))),
                Fate::Survived => (1, format!("SURVIVED  {} ({}): {}", mutant.name, mutant.file.display(), mutant.why)),
                Fate::Broken(reason) => (2, format!("BROKEN    {}: {reason}", mutant.name)),
            };
            counts.lock().unwrap_or_else(PoisonError::into_inner)[place] += 1;
            ui.result(format!("{line} ({:.0} s)", began.elapsed().as_secs_f64()));
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = copies.iter().map(|copy| scope.spawn(|| worker(copy))).collect();
        join_all(workers)
    })?;
    let [noticed, survived, broken] = counts.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("{} bugs: {noticed} noticed, {survived} survived, {broken} say nothing", mutants.len());
    Ok(if noticed == mutants.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The first of these tests, and the number of the others.
fn shown(tests: &BTreeSet<String>) -> String {
    let first = tests.first().map_or("", String::as_str);
    match tests.len().saturating_sub(1) {
        0 => first.to_owned(),
        more => format!("{first} and {more} more"),
    }
}

/// All bugs, in the order of the lists.
fn all() -> Result<Vec<Mutant>> {
    let mut mutants = Vec::new();
    for (name, text) in LISTS {
        let list: List = toml::from_str(text).with_context(|| format!("qemu/mutants/{name}"))?;
        for entry in list.mutant {
            let context = || format!("qemu/mutants/{name}: {}", entry.name);
            mutants.push(Mutant::new(&entry, &list.default).with_context(context)?);
        }
    }
    Ok(mutants)
}

/// The packages whose tests should notice one of the bugs.
fn packages(mutants: &[Mutant]) -> BTreeSet<&str> {
    mutants
        .iter()
        .filter_map(|mutant| match &mutant.check {
            Check::Host(package) => Some(package.as_str()),
            Check::Guest { .. } => None,
        })
        .collect()
}

impl Mutant {
    fn new(entry: &Entry, default: &Defaults) -> Result<Self> {
        let file = entry.file.as_ref().or(default.file.as_ref()).context("there is no file")?;
        let plain = file.components().all(|part| matches!(part, Component::Normal(_)));
        ensure!(plain, "{} is not a path below the project", file.display());
        ensure!(entry.old != entry.new, "it changes nothing");
        ensure!(!entry.why.is_empty(), "it has no reason");
        let host = entry.host.as_ref().or(default.host.as_ref().filter(|_| entry.guest.is_none()));
        let guest = entry.guest.as_ref().or(default.guest.as_ref().filter(|_| entry.host.is_none()));
        let check = match (host, guest) {
            (Some(package), None) => Check::Host(package.clone()),
            (None, Some(kernel)) => {
                let (suite, only) = (entry.suite.clone(), entry.only.clone());
                ensure!(suite.is_some() || only.is_some(), "it names no suite and no test");
                ensure!(suite.as_deref().is_none_or(|name| SuiteSpec::find(name).is_some()), "there is no such suite");
                Check::Guest { kernel: kernel.clone(), suite, only }
            }
            _ => bail!("it is noticed on the host, or in a guest"),
        };
        let Entry { name, old, new, why, .. } = entry;
        Ok(Self { name: name.clone(), file: file.clone(), old: old.clone(), new: new.clone(), why: why.clone(), check })
    }

    /// Whether its name or its file contains one of these texts, or there are none.
    fn has(&self, texts: &[String]) -> bool {
        let file = self.file.to_string_lossy();
        texts.is_empty() || texts.iter().any(|text| self.name.contains(text) || file.contains(text))
    }

    /// The file with the bug in it.
    fn planted(&self, text: &str) -> Result<String> {
        let found = text.matches(&self.old).count();
        ensure!(found == 1, "{:?} is {found} times in {}, and must be there once", self.old, self.file.display());
        Ok(text.replacen(&self.old, &self.new, 1))
    }
}

/// A copy of this clone, in which the bugs are planted.
#[derive(Debug)]
struct Copy {
    root: PathBuf,
    build: PathBuf,
}

impl Copy {
    /// Makes the copy with this number, or brings the one of an earlier run up to date.
    fn new(number: usize) -> Result<Self> {
        let directory = crate::target().join(format!("mutants/{number}"));
        let copy = Self { root: directory.join("tree"), build: directory.join("build") };
        let mut git = Command::new("git");
        git.current_dir(crate::root()).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        let listed = process::Job::new(git).output().context("the list of the project's files is needed")?;
        let mut kept = BTreeSet::new();
        for name in listed.split('\0').filter(|name| !name.is_empty()) {
            let (from, to) = (crate::root().join(name), copy.root.join(name));
            // git lists what was just removed, too.
            if !from.exists() {
                continue;
            }
            kept.insert(to.clone());
            if !same(&from, &to) {
                fs::create_dir_all(to.parent().context("a file has a directory")?)?;
                fs::copy(&from, &to).with_context(|| format!("cannot copy {name}"))?;
            }
        }
        copy.forget(&copy.root, &kept)?;
        copy.allow_unused()?;
        Ok(copy)
    }

    /// Builds the driver without warnings of what nothing calls: a call that is missing is a bug like others.
    fn allow_unused(&self) -> Result<()> {
        let path = self.root.join("driver/Kbuild");
        let rules = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        fs::write(&path, rules + ALLOW_UNUSED).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Removes what the project no longer has, but not what was built.
    fn forget(&self, directory: &Path, kept: &BTreeSet<PathBuf>) -> Result<()> {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path == self.root.join("target") {
                continue;
            }
            if path.is_dir() {
                self.forget(&path, kept)?;
            } else if !kept.contains(&path) {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    /// Plants a bug, runs what should notice it, and removes it again.
    fn plant(&self, mutant: &Mutant) -> Result<Fate> {
        let path = self.root.join(&mutant.file);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        fs::write(&path, mutant.planted(&text)?)?;
        let fate = match &mutant.check {
            Check::Host(package) => self.host(package),
            Check::Guest { kernel, suite, only } => self.guest(kernel, suite.as_deref(), only.as_deref()),
        };
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        fate
    }

    /// Runs the tests of a package.
    fn host(&self, package: &str) -> Result<Fate> {
        let test = ["test", "--quiet", "--package", package, "--all-features", "--locked"];
        if let Some(reason) = Self::fails(self.cargo(&[&test[..], &["--no-run"]].concat()), |_| ())? {
            return Ok(Fate::Broken(reason));
        }
        let mut failed = BTreeSet::new();
        let mut names = false;
        // Without --quiet there is a line for each test.
        let test: Vec<_> = test.into_iter().filter(|word| *word != "--quiet").chain(["--no-fail-fast"]).collect();
        let end = Self::fails(self.cargo(&test), |line| {
            names |= line.starts_with("test ");
            failed.extend(
                line.strip_prefix("test ").and_then(|line| line.strip_suffix(" ... FAILED")).map(str::to_owned),
            );
        })?;
        Ok(fate(end, failed, names))
    }

    /// Runs tests in a guest.
    fn guest(&self, kernel: &GuestKernel, suite: Option<&str>, only: Option<&str>) -> Result<Fate> {
        let GuestKernel { arch, kernel, flavour } = kernel;
        let mut arguments = vec!["run", "--quiet", "--profile", "harness", "--locked", "--package", "map-qemu", "--"];
        arguments.extend(["test", "--arch", arch, "--kernel", kernel, "--flavour", flavour]);
        arguments.extend(suite.into_iter().flat_map(|suite| ["--suite", suite]));
        arguments.extend(only.into_iter().flat_map(|only| ["--only", only]));
        let mut failed = BTreeSet::new();
        let mut built = false;
        let end = Self::fails(self.cargo(&arguments), |line| {
            let line = line.trim();
            built |= line.starts_with("ok ") && line.contains("the driver builds without a warning");
            failed.extend(test_of(line));
        })?;
        Ok(fate(end, failed, built))
    }

    /// Cargo in the copy, with a build directory of its own.
    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut cargo = process::cargo();
        cargo.current_dir(&self.root).args(arguments).env("CARGO_BUILD_BUILD_DIR", &self.build);
        // These name this clone.
        for name in ["RUSTC_WORKSPACE_WRAPPER", "CARGO_TARGET_DIR"] {
            cargo.env_remove(name);
        }
        cargo
    }

    /// Runs a command, and gives the reason if it fails.
    fn fails(command: Command, each: impl FnMut(&str)) -> Result<Option<String>> {
        match process::Job::new(command).timeout(TIMEOUT).lines(each) {
            Ok(()) => Ok(None),
            Err(error) if interrupt::is_interruption(&error) => Err(error),
            Err(error) => Ok(Some(format!("{error:#}"))),
        }
    }
}

/// Whether two files have the same contents.
fn same(one: &Path, other: &Path) -> bool {
    matches!((fs::read(one), fs::read(other)), (Ok(one), Ok(other)) if one == other)
}

/// What a run says of a bug, which ended with the error `end`, if any, after tests had `begun`.
fn fate(end: Option<String>, failed: BTreeSet<String>, begun: bool) -> Fate {
    match end {
        None => Fate::Survived,
        Some(_) if begun && !failed.is_empty() => Fate::Noticed(failed),
        Some(reason) => Fate::Broken(reason),
    }
}

/// The test in a guest that failed, by a line of `test`: not a step on the way to the guest.
fn test_of(line: &str) -> Option<String> {
    let mut parts = line.strip_prefix("FAIL  ")?.splitn(3, ": ");
    let (_kernel, suite, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let test = rest.rsplit_once(" (").map_or(rest, |(test, _)| test);
    Some(format!("{suite}: {test}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_can_be_planted_and_there_are_enough() {
        let mutants = all().unwrap();
        assert!(mutants.len() >= 60, "{}", mutants.len());
        let mut names = BTreeSet::new();
        for mutant in &mutants {
            let text = fs::read_to_string(crate::root().join(&mutant.file)).unwrap();
            let planted = mutant.planted(&text).unwrap_or_else(|error| panic!("{}: {error}", mutant.name));
            assert_ne!(planted, text, "{}", mutant.name);
            assert!(names.insert(&mutant.name), "{} is there twice", mutant.name);
        }
    }

    #[test]
    fn a_bug_is_noticed_by_a_test_that_fails_and_by_nothing_else() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        assert!(matches!(fate(None, names(&[]), true), Fate::Survived));
        assert!(matches!(fate(Some("1".into()), names(&["a"]), true), Fate::Noticed(_)));
        // It did not build, the guest had no such test, or the harness failed.
        assert!(matches!(fate(Some("1".into()), names(&[]), true), Fate::Broken(_)));
        assert!(matches!(fate(Some("1".into()), names(&["a"]), false), Fate::Broken(_)));
    }

    #[test]
    fn only_tests_in_the_guest_notice_a_bug_of_the_driver() {
        let test = test_of("FAIL  arm64: windows: a_window_in_system_ram_is_eperm (0.51 s)");
        assert_eq!(test.as_deref(), Some("windows: a_window_in_system_ram_is_eperm"));
        assert_eq!(test_of("FAIL  arm64: the driver builds without a warning (3.00 s)"), None);
        assert_eq!(test_of("ok    arm64: windows: a_window_in_system_ram_is_eperm (0.51 s)"), None);
    }

    #[test]
    fn a_list_that_says_too_little_is_an_error() {
        let of = |text: &str| {
            let list: List = toml::from_str(text).map_err(|error| error.to_string())?;
            let first = Mutant::new(&list.mutant[0], &list.default);
            first.map(|mutant| mutant.check).map_err(|error| error.to_string())
        };
        let entry = "[[mutant]]\nname = 'a'\nold = 'b'\nnew = 'c'\nwhy = 'd'\n";
        assert_eq!(of(&format!("{entry}file = 'e'\nhost = 'f'")), Ok(Check::Host("f".into())));
        assert_eq!(of(&format!("{entry}host = 'f'")).unwrap_err(), "there is no file");
        assert_eq!(
            of(&format!("{entry}file = '../e'\nhost = 'f'")).unwrap_err(),
            "../e is not a path below the project"
        );
        assert_eq!(of(&format!("{entry}file = 'e'")).unwrap_err(), "it is noticed on the host, or in a guest");
        let guest = "guest = { arch = 'arm64', kernel = '7.3', flavour = 'plain' }";
        assert_eq!(of(&format!("{entry}file = 'e'\n{guest}")).unwrap_err(), "it names no suite and no test");
        let suite = format!("{entry}file = 'e'\n{guest}\nsuite = 'no'");
        assert_eq!(of(&suite).unwrap_err(), "there is no such suite");
    }
}
