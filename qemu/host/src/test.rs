// SPDX-License-Identifier: MIT OR Apache-2.0

//! Runs all tests: `map-qemu test`.
//!
//! The suites run each in a guest of its own, and as many at a time as there are processors. As soon as the first can
//! begin, another thread runs lints and the unit tests of the host, while kernels, and the programs for further
//! architectures, are built. Every test is a line; the last line counts them.

use std::{
    fs, mem,
    path::Path,
    process::{Command, ExitCode},
    sync::{mpsc, Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{bail, Context, Result};
use map_protocol::{plan, Job, Outcome, Suite, Task};

use crate::{
    advisories,
    arch::{self, Arch},
    dt,
    flavour::{self, Flavour},
    fuzz::{FuzzOptions, Part},
    join::join_all,
    kernels::{self, KernelId, Origin, Supply},
    memory::Memory,
    module::{self, Compiler, Modules},
    process, processors,
    programs::{self, Programs},
    session::{Artifacts, Files, Guest},
    setup::{self, Kernel, Tools},
    suite_run::{SuiteRun, TestResult},
    suites::{self, SuiteSpec},
    tally::Tally,
    ui::Ui,
    verdict::ExpectedEnd,
};

/// How long a suite's guest may run on the plain kernel. Most take seconds.
const TIMEOUT: Duration = Duration::from_secs(600);

/// Options of `test`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The architectures of the guests; all of them by default.
    #[arg(long, value_parser = crate::find_arch)]
    arch: Vec<&'static Arch>,
    /// Their kernels: 7.3, 7.2, debian; by default those that together run every suite.
    #[arg(long, value_parser = crate::find_origin)]
    kernel: Vec<&'static Origin>,
    /// The flavours of these kernels; all of them by default.
    #[arg(long, value_parser = crate::find_flavour)]
    flavour: Vec<&'static Flavour>,
    /// Runs all kernels, and the tests of packages and recipes.
    #[arg(long)]
    all: bool,
    /// Runs only tests in guests whose names contain this text.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Runs only these suites in guests: races, "run time", …
    #[arg(long, value_name = "NAME", value_parser = crate::find_suite)]
    suite: Vec<&'static SuiteSpec>,
    /// The random operations.
    #[command(flatten)]
    fuzz: FuzzOptions,
}

impl Options {
    /// Whether everything is to run that is not excluded by its kernel.
    fn whole(&self) -> bool {
        self.only.is_none() && self.suite.is_empty()
    }

    /// Whether the tests of this suite are to run with this kernel, if their names fit.
    fn has(&self, spec: &SuiteSpec, kernel: KernelId) -> bool {
        let named = self.suite.iter().any(|suite| suite.name == spec.name);
        named || self.suite.is_empty() && (!spec.is_rare(kernel) || self.all || self.only.is_some())
    }
}

/// Runs everything, and fails if any test failed.
pub fn test(options: &Options, ui: &Ui) -> Result<ExitCode> {
    let kernels = kernels(options)?;
    let tally = Tally::new(ui);
    let filter = options.only.as_deref().unwrap_or("");
    let (queue, planned) = mpsc::channel();
    let planned = Mutex::new(planned);
    let worker = || run_all(&planned, filter, &tally, ui);
    let (begun, may_begin) = mpsc::channel();
    thread::scope(|scope| {
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        let host = scope.spawn(|| {
            // Cargo does one thing at a time, and guests need their programs first. After an error, the channel is
            // closed.
            match { may_begin }.recv() {
                Ok(()) => host(options, &tally, ui),
                Err(_) => Ok(()),
            }
        });
        let prepared = prepare(&kernels, options, &tally, (queue, begun), ui);
        let ran = join_all(workers.into_iter().chain([host]));
        prepared.and(ran)
    })?;
    let counts = tally.counts();
    if counts.total() == 0 {
        bail!("these guests run no such suite, or no test with such a name");
    }
    if options.whole() {
        print!("{}", tally.table());
    }
    println!("{counts}");
    Ok(if counts.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Builds what the suites need, and puts them into the queue, one architecture after the other. The second sender tells
/// that suites of a kernel are in it.
fn prepare(
    kernels: &[KernelId],
    options: &Options,
    tally: &Tally<'_>,
    queues: (mpsc::Sender<PlannedSuite>, mpsc::Sender<()>),
    ui: &Ui,
) -> Result<()> {
    for arch in arch::ALL {
        let kernels: Vec<_> = kernels.iter().copied().filter(|kernel| kernel.arch.name == arch.name).collect();
        if !kernels.is_empty() {
            guests(arch, &kernels, options, tally, &queues, ui)?;
        }
    }
    // No kernel may be there.
    let _ = queues.1.send(());
    let by_default = options.arch.is_empty() && options.flavour.is_empty() && options.kernel.is_empty();
    if options.whole() && by_default && !options.all {
        for kernel in kernels::meant() {
            build_only(kernel, tally, ui)?;
        }
    }
    Ok(())
}

/// Builds the driver for a kernel that no test runs here, if that kernel is in the cache; and has the guest's programs
/// checked for its architecture.
fn build_only(kernel: KernelId, tally: &Tally<'_>, ui: &Ui) -> Result<()> {
    let KernelId { arch, flavour, .. } = kernel;
    let Some(cached) = setup::kernel_in_cache(kernel, ui)? else {
        let reason = format!("this kernel is not in the cache; `make test {}` builds it", kernel.variables());
        tally.count(building(kernel), &Outcome::Skipped(reason), Duration::ZERO);
        return Ok(());
    };
    modules(&cached, tally, ui)?;
    if flavour.is_plain() {
        let name = format!("{arch}: clippy of the guest's programs");
        tally.check(&name, || programs::lint(&setup::prepare(arch, ui)?))?;
    }
    Ok(())
}

/// Runs the checks that need no guest.
fn host(options: &Options, tally: &Tally<'_>, ui: &Ui) -> Result<()> {
    if !options.whole() {
        return Ok(());
    }
    lint(tally, ui)?;
    host_tests(tally, ui)?;
    if options.all {
        processors::test("", tally, ui)?;
        deliveries(tally, ui)?;
    }
    Ok(())
}

/// The kernels that the options select.
fn kernels(options: &Options) -> Result<Vec<KernelId>> {
    let mut origins: Vec<_> = match &options.kernel[..] {
        [] => kernels::ALL.iter().collect(),
        named => named.to_vec(),
    };
    // Guests with a kernel that need not be built run while others are built.
    origins.sort_by_key(|origin| origin.supply != Supply::Stock);
    let mut every = Vec::new();
    for arch in arch::ALL {
        for origin in &origins {
            every.extend(flavour::ALL.iter().map(|flavour| KernelId { arch, origin, flavour }));
        }
    }
    every.retain(|KernelId { arch, flavour, .. }| {
        let of_arch = options.arch.is_empty() || options.arch.iter().any(|named| named.name == arch.name);
        let of_flavour = options.flavour.is_empty() || options.flavour.iter().any(|named| named.name == flavour.name);
        of_arch && of_flavour
    });
    let (mut there, absent): (Vec<_>, Vec<_>) = every.into_iter().partition(|kernel| kernel.check().is_ok());
    if let (Some(kernel), true) = (absent.first(), there.is_empty()) {
        kernel.check()?;
    }
    there.retain(|kernel| {
        let asked = if kernel.flavour.is_plain() { !options.arch.is_empty() } else { !options.flavour.is_empty() };
        let named = !options.kernel.is_empty() || asked && kernel.is_meant();
        options.all || named || kernel.is_in_every_test()
    });
    Ok(there)
}

/// A check on the host: cargo with these arguments must succeed.
struct Check {
    name: &'static str,
    arguments: &'static [&'static str],
}

const CHECKS: &[Check] = &[
    Check { name: "host: cargo fmt", arguments: &["fmt", "--all", "--check"] },
    Check {
        name: "host: clippy",
        arguments: &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--all-features",
            "--locked",
            "--quiet",
            "--",
            "-D",
            "warnings",
        ],
    },
    Check {
        name: "host: the crate without the standard library",
        arguments: &["check", "--package", "devmap", "--no-default-features", "--locked", "--quiet"],
    },
    Check {
        name: "host: what Miri interprets",
        arguments: &[
            "rustc",
            "--package=devmap",
            "--lib",
            "--profile=check",
            "--all-features",
            "--locked",
            "--quiet",
            "--",
            "--cfg=miri",
            "-Dwarnings",
        ],
    },
    Check {
        name: "host: rustdoc",
        // The crate and the command line are both called devmap: at the same time one would remove what the other
        // writes.
        arguments: &[
            "doc",
            "--workspace",
            "--all-features",
            "--no-deps",
            "--document-private-items",
            "--locked",
            "--quiet",
            "--jobs=1",
        ],
    },
];

fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = process::cargo();
    cargo.current_dir(crate::root()).args(arguments);
    cargo
}

fn lint(tally: &Tally<'_>, ui: &Ui) -> Result<()> {
    for check in CHECKS {
        ui.step(check.name);
        let mut command = cargo(check.arguments);
        command.env("RUSTDOCFLAGS", "-D warnings");
        if check.arguments.contains(&"clippy") {
            command.arg(process::of_this_clone());
        }
        tally.check(check.name, || process::Job::new(command).lines(|_| ()))?;
    }
    Ok(())
}

fn host_tests(tally: &Tally<'_>, ui: &Ui) -> Result<()> {
    ui.step("host: unit tests");
    let mut found = Vec::new();
    let ran = tally.check("host: cargo test", || {
        process::Job::new(cargo(&["test", "--workspace", "--all-features", "--locked"]))
            .lines(|line| found.extend(libtest(line)))
    })?;
    // A failure was counted with its output; after a success every test counts.
    if ran.is_some() {
        for (name, outcome) in found {
            tally.count(format!("host: {name}"), &outcome, Duration::ZERO);
        }
    }
    Ok(())
}

/// The checks of what is delivered, as targets of make.
const DELIVERIES: &[Check] = &[
    Check { name: "host: the unit tests under AddressSanitizer and valgrind", arguments: &["test-memory"] },
    Check { name: "packages: Debian's install, build the driver and leave nothing", arguments: &["test-packages"] },
    Check { name: "crates: they can be published", arguments: &["test-publish"] },
    Check { name: "images: the recipes of Yocto and Buildroot", arguments: &["test-images"] },
];

fn deliveries(tally: &Tally<'_>, ui: &Ui) -> Result<()> {
    for check in DELIVERIES {
        ui.step(check.name);
        let mut make = Command::new("make");
        make.arg("-C").arg(crate::root()).args(check.arguments);
        tally.check(check.name, || process::Job::new(make).lines(|_| ()))?;
    }
    advisories::check(tally, ui)
}

/// The test in a line of libtest's output.
pub fn libtest(line: &str) -> Option<(String, Outcome)> {
    let (name, outcome) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    let outcome = match outcome {
        "ok" => Outcome::Passed,
        "FAILED" => Outcome::Failed(String::new()),
        ignored => Outcome::Skipped(ignored.strip_prefix("ignored, ")?.to_owned()),
    };
    Some((name.to_owned(), outcome))
}

/// The names of the tests in the guests of an architecture, by their suite.
type Plan = Vec<(Suite, String)>;

/// A suite that is to run, and what its guest is made from.
struct PlannedSuite {
    artifacts: Arc<Artifacts>,
    spec: &'static SuiteSpec,
    plan: Arc<Plan>,
    files: Files,
    /// The random operations, if it does any.
    fuzz: Part,
}

/// Runs planned suites until there will be no more.
fn run_all(planned: &Mutex<mpsc::Receiver<PlannedSuite>>, filter: &str, tally: &Tally<'_>, ui: &Ui) -> Result<()> {
    loop {
        let next = planned.lock().unwrap_or_else(PoisonError::into_inner).recv();
        // The queue is closed.
        let Ok(suite) = next else { return Ok(()) };
        run_suite(&suite, filter, tally, ui)?;
    }
}

/// Runs the checks of one architecture, and puts the suites to run in guests with these kernels into the queue.
fn guests(
    arch: &'static Arch,
    kernels: &[KernelId],
    options: &Options,
    tally: &Tally<'_>,
    (queue, begun): &(mpsc::Sender<PlannedSuite>, mpsc::Sender<()>),
    ui: &Ui,
) -> Result<()> {
    let tools = Arc::new(setup::prepare(arch, ui)?);
    let programs = Arc::new(programs::build_for_tests(&tools, ui)?);
    let plan = Arc::new(plan(programs.suite().context("the tests were not built")?)?);
    let filter = options.only.as_deref().unwrap_or("");
    let runs = |spec: &SuiteSpec| plan.iter().any(|(suite, name)| *suite == spec.suite && name.contains(filter));
    if options.whole() {
        // Clippy on the workspace covers this machine's architecture.
        if !arch.is_of_this_machine() {
            let name = format!("{arch}: clippy of the guest's programs");
            tally.check(&name, || programs::lint(&tools))?;
        }
        if arch.dt_overlay.is_some() {
            let name = format!("{arch}: the device tree binding, its example and the guests' trees follow the schemas");
            tally.check(&name, || setup::check_binding(ui))?;
        }
    }
    // What clippy finds does not depend on the kernel, but clippy is there only with this machine's tool chain.
    let mut lint = options.whole();
    for kernel in kernels {
        let fits = |spec: &&'static SuiteSpec| spec.fits(*kernel) && runs(spec) && options.has(spec, *kernel);
        let specs: Vec<_> = suites::ALL.iter().filter(fits).collect();
        if specs.is_empty() {
            continue;
        }
        let lint = !kernel.is_stock() && mem::take(&mut lint);
        let Some(artifacts) = artifacts(&tools, &programs, *kernel, lint, tally, ui)? else { continue };
        let artifacts = Arc::new(artifacts);
        for spec in specs {
            let Some(files) = runtime_overlays(&artifacts, spec, tally, ui)? else { continue };
            let parts = if spec.suite == Suite::Model { options.fuzz.parts() } else { vec![Part::default()] };
            for fuzz in parts {
                let (artifacts, plan, files) = (Arc::clone(&artifacts), Arc::clone(&plan), files.clone());
                queue.send(PlannedSuite { artifacts, spec, plan, files, fuzz }).context("no worker is left")?;
            }
        }
        // If it failed, nobody waits any more.
        let _ = begun.send(());
    }
    Ok(())
}

/// The tests in this program.
fn plan(program: &Path) -> Result<Plan> {
    let bytes = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    plan::find(&bytes).with_context(|| format!("{} names no tests", program.display()))
}

/// The files for guests with this kernel; `None` if it cannot be had, or if the driver does not build for it. Runs
/// clippy on the driver if it is to `lint`.
fn artifacts(
    tools: &Arc<Tools>,
    programs: &Arc<Programs>,
    kernel: KernelId,
    lint: bool,
    tally: &Tally<'_>,
    ui: &Ui,
) -> Result<Option<Artifacts>> {
    let title = kernel.title();
    // The archive may have moved on from one kernel; the others are tested all the same.
    let find = || {
        let found = tools.kernel(kernel, ui);
        if kernel.is_stock() {
            return found.context("Debian's own kernel cannot be used; with KERNEL=7.3 one is built in its place");
        }
        found
    };
    let Some(kernel) = tally.check(&format!("{title}: the kernel is there"), find)? else { return Ok(None) };
    if lint {
        let name = format!("{title}: the driver builds under clippy without a warning");
        tally.check(&name, || module::build(&kernel, &module::DRIVER, Compiler::Clippy, ui))?;
    }
    let Some(modules) = modules(&kernel, tally, ui)? else { return Ok(None) };
    Ok(Some(Artifacts { tools: Arc::clone(tools), kernel, modules, programs: Arc::clone(programs) }))
}

/// The name of the check that builds the driver for a kernel.
fn building(kernel: KernelId) -> String {
    format!("{}: the driver builds without a warning", kernel.title())
}

/// Builds the driver for a kernel, and checks what the compiler made of it; `None` if it does not build.
fn modules(kernel: &Kernel, tally: &Tally<'_>, ui: &Ui) -> Result<Option<Modules>> {
    let title = kernel.title();
    let build = || module::build(kernel, &module::DRIVER, Compiler::Rustc, ui);
    let Some(modules) = tally.check(&building(kernel.id), build)? else { return Ok(None) };
    tally.check(&format!("{title}: the driver cannot panic"), || module::has_no_panic(kernel))?;
    if !kernel.id.flavour.checks.is_empty() {
        tally.check(&format!("{title}: the driver's accesses are checked"), || module::is_checked(kernel))?;
    }
    Ok(Some(modules))
}

/// The overlays that a suite applies at run time, and the module for that, as files of the guest; `None` if they do not
/// build.
fn runtime_overlays(artifacts: &Artifacts, spec: &SuiteSpec, tally: &Tally<'_>, ui: &Ui) -> Result<Option<Files>> {
    if spec.runtime_overlays.is_empty() {
        return Ok(Some(Files::new()));
    }
    let name = format!("{}: {}: the overlays, and the module for them, build", artifacts.kernel.title(), spec.name);
    tally.check(&name, || {
        let mut files = Files::new();
        for (module, guest) in module::build(&artifacts.kernel, &module::OVERLAY, Compiler::Rustc, ui)? {
            files.push((guest.to_owned(), fs::read(module)?));
        }
        for overlay in spec.runtime_overlays {
            let bytes =
                dt::compile_runtime(overlay.source).with_context(|| format!("the overlay {:?}", overlay.name))?;
            files.push((map_protocol::overlay(overlay.name), bytes));
        }
        Ok(files)
    })
}

/// Boots a guest and counts the tests that run in it.
fn run_suite(planned: &PlannedSuite, filter: &str, tally: &Tally<'_>, ui: &Ui) -> Result<()> {
    let PlannedSuite { artifacts, spec, plan, files, fuzz } = planned;
    let SuiteSpec { name, suite, dev, append, overlay, hardware, timeout_factor, reports, .. } = **spec;
    let (arch, title) = (artifacts.tools.arch, artifacts.kernel.title());
    let count = |result: TestResult| {
        let test = format!("{title}: {name}: {}", result.name);
        tally.count_with(test, &result.outcome, result.took, &result.note);
    };
    let Some(fuzz) = fuzz.begin() else {
        let reason = format!("the time was over before the operations from seed {} on", fuzz.seed());
        tally.count(format!("{title}: {name}"), &Outcome::Skipped(reason), Duration::ZERO);
        return Ok(());
    };
    ui.step(format!("Booting {title} for the suite \"{name}\""));
    let memory = Memory::sized(arch, hardware.memory_mib.unwrap_or(arch.memory_mib))?;
    let mut stem: String = name.chars().filter(|letter| letter.is_alphanumeric()).collect();
    if suite == Suite::Model {
        // Another part may run at the same time.
        stem += &fuzz.seed.to_string();
    }
    let task = Task::Suite { suite, filter: filter.to_owned(), fuzz };
    let job = Job { channel: arch.channel.into(), dev, module: None, task };
    let timeout = TIMEOUT * artifacts.kernel.id.flavour.timeout_factor * timeout_factor;
    let guest = Guest::new(artifacts, &stem, job, timeout)?
        .append(&[append.to_owned()])
        .overlay(overlay)
        .files(files.clone())
        .hardware(hardware)
        .reports(reports);
    let last = plan.iter().rfind(|(of, _)| *of == suite).map(|(_, test)| test);
    // A run without the last test does not panic.
    let fault = spec.expected_panic.iter().find(|(name, _)| *name == arch.name).map(|(_, fault)| *fault);
    let panic = fault.zip(last.filter(|last| last.contains(filter)));
    let expected = panic.map_or(ExpectedEnd::Clean, |(fault, _)| ExpectedEnd::Panic(fault));
    let mut run = SuiteRun::new(panic.map(|(_, last)| last.as_str()));
    let end = guest.run(&memory, expected, |message, _| {
        run.recv(message).into_iter().for_each(count);
        Ok(())
    });
    run.finish(end)?.into_iter().for_each(count);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_that_are_tested_are_those_that_the_options_name() {
        let titles_of = |origins: &[&str], arches: &[&str], flavours: &[&str], all: bool| {
            let options = Options {
                arch: arches.iter().filter_map(|name| Arch::find(name)).collect(),
                kernel: origins.iter().filter_map(|name| Origin::find(name)).collect(),
                flavour: flavours.iter().filter_map(|name| Flavour::find(name)).collect(),
                all,
                only: None,
                suite: Vec::new(),
                fuzz: FuzzOptions::default(),
            };
            let kernels = kernels(&options)?;
            Ok::<_, anyhow::Error>(kernels.iter().map(KernelId::title).collect())
        };
        let titles = |arches: &[&str], flavours: &[&str]| titles_of(&[], arches, flavours, false);
        let all: Vec<String> = titles(&[], &[]).unwrap();
        assert_eq!(all, ["x86_64 debian", "x86_64 debug", "x86_64 kobject", "arm64"]);
        assert_eq!(titles(&["arm64"], &[]).unwrap(), ["arm64"]);
        assert_eq!(titles(&[], &["debug"]).unwrap(), ["x86_64 debug"]);
        assert_eq!(titles(&[], &["plain"]).unwrap(), ["x86_64 debian", "arm64"]);
        let built = titles_of(&["7.3"], &["x86_64"], &[], false).unwrap();
        assert_eq!(built, ["x86_64", "x86_64 debug", "x86_64 kobject", "x86_64 kcsan"]);
        assert_eq!(titles_of(&["debian"], &[], &[], false).unwrap(), ["x86_64 debian", "arm64 debian"]);
        let all = titles_of(&[], &[], &["plain"], true).unwrap();
        let common = ["x86_64 debian", "x86_64", "x86_64 7.2", "arm64 debian", "arm64", "arm64 7.2"];
        assert_eq!(all, [&common[..], &["riscv64", "riscv64 7.2", "arm"]].concat());
        // Architectures that are not in every test are tested when they are named, by one kernel.
        assert_eq!(titles(&["riscv64"], &[]).unwrap(), ["riscv64"]);
        assert_eq!(titles(&["arm64", "riscv64"], &[]).unwrap(), ["arm64", "riscv64"]);
        assert_eq!(titles(&["arm"], &[]).unwrap(), ["arm"]);
        // And so are further flavours.
        assert_eq!(titles(&["arm"], &["short"]).unwrap(), ["arm short"]);
        assert_eq!(titles(&[], &["64k", "16k"]).unwrap(), ["arm64 64k", "arm64 16k"]);
        assert_eq!(titles(&["arm64"], &["plain"]).unwrap(), ["arm64"]);
        assert_eq!(titles(&[], &["kcsan"]).unwrap(), ["x86_64 kcsan"]);
        let error = titles(&["arm64"], &["kobject"]).unwrap_err().to_string();
        assert_eq!(error, "there is no kobject kernel of arm64, only of x86_64");
    }

    #[test]
    fn libtests_lines_are_understood() {
        let passed = ("a::b".to_owned(), Outcome::Passed);
        assert_eq!(libtest("test a::b ... ok"), Some(passed));
        let ignored = ("c - d (line 3)".to_owned(), Outcome::Skipped("needs /dev/mem".into()));
        assert_eq!(libtest("test c - d (line 3) ... ignored, needs /dev/mem"), Some(ignored));
        assert_eq!(libtest("test result: ok. 3 passed; 0 failed"), None);
        assert_eq!(libtest("running 3 tests"), None);
    }
}
