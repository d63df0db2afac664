// SPDX-License-Identifier: MIT OR Apache-2.0

//! The tests that run in the guest, each in a process of its own.
//!
//! `map-suite SUITE FILTER` runs the tests of a suite, and `map-suite one SUITE NAME` runs one test and exits with its
//! outcome. Standard input is the connection to the host. `map-suite bench START` measures the cost of a mapping, and
//! `map-suite list` lists the tests.

// The changes in memory are a list of ranges, often of one.
#![allow(clippy::single_range_in_vec_init)]

mod above_4_gib;
#[cfg_attr(target_arch = "x86_64", path = "x86_64.rs")]
#[cfg_attr(target_arch = "aarch64", path = "arm64.rs")]
#[cfg_attr(target_arch = "riscv64", path = "riscv64.rs")]
#[cfg_attr(target_arch = "arm", path = "arm.rs")]
mod arch;
mod attack;
mod bench;
mod big;
mod binding;
#[cfg(not(target_arch = "x86_64"))]
mod board;
mod bulk;
mod child;
mod compat;
mod crowd;
mod devmap;
mod dt;
mod dt_wrong;
mod ecam;
#[cfg(not(target_arch = "x86_64"))]
mod elsewhere;
mod errno;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod faults;
mod hole;
mod host;
mod hotplug;
mod huge;
mod interrupts;
mod kcsan;
mod kernel;
mod kmemleak;
mod kobject;
mod large_pages;
mod lifetime;
mod lockdown;
mod lockdown_dt;
mod lockdown_late;
mod lockdown_overlay;
mod memory;
mod mmap;
#[cfg(target_arch = "x86_64")]
mod model;
mod no_cache_type;
mod node;
mod overlay;
mod overlay_windows;
mod pci;
mod plain;
mod plan;
mod program;
mod random;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "the model uses all of it"))]
mod raw;
mod refusal;
mod revocation;
#[cfg(not(target_arch = "arm"))]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "the model uses all of it"))]
mod ring;
mod runtime;
#[cfg(target_arch = "x86_64")]
mod soak;
mod status;
mod strict;
mod uio;
mod user;
mod userspace;
#[cfg(any(target_arch = "aarch64", target_arch = "arm"))]
mod virt;
mod vma;
mod window_irq;
mod window_node;
mod windows;

use std::{
    fmt,
    fs::{self, File},
    io::{Read, Write},
    os::fd::AsFd,
    process::{Child, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::{bail, Context, Result};
use map_protocol::{Channel, Outcome, Suite, ToHost};

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
use crate::elsewhere::faults;
#[cfg(not(target_arch = "x86_64"))]
use crate::elsewhere::{model, soak};
use crate::host::Host;

/// How long one test may take: ten times what the slowest takes on the slowest kernel, apart from those whose work is
/// to take long.
const fn test_timeout(suite: Suite) -> Duration {
    match suite {
        Suite::Revocation => Duration::from_secs(5 * 3600),
        Suite::Model | Suite::Faults | Suite::LoadFaults | Suite::DeviceFaults => Duration::from_secs(5400),
        Suite::SoakShort | Suite::Soak | Suite::SoakLoads | Suite::SoakPressure => Duration::from_secs(3600),
        _ => Duration::from_secs(300),
    }
}

/// The exit status of a process whose test could not run.
const SKIPPED: u8 = 77;

/// One test.
pub struct Test {
    /// Its name, which states what it shows.
    pub name: &'static str,
    /// The test; an error or a panic is a failure.
    pub run: fn(&mut Host) -> Result<()>,
}

/// The tests of one file, as a table.
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub const TESTS: &[$crate::Test] = &[$($crate::Test { name: stringify!($name), run: $name }),*];
    };
}
pub(crate) use tests;

/// The tests of every suite, as a table and by the suite.
macro_rules! suites {
    ($($suite:ident: [$($tests:expr),* $(,)?]),* $(,)?) => {
        /// The name of every suite with the tables of its tests.
        pub const SUITES: &[(&str, &[&[Test]])] = &[$((stringify!($suite), &[$($tests),*])),*];

        fn tests_of(suite: Suite) -> Vec<&'static Test> {
            let tables: &[&'static [Test]] = match suite { $(Suite::$suite => &[$($tests),*]),* };
            tables.iter().copied().flatten().collect()
        }
    };
}

suites! {
    Driver: [node::TESTS, memory::TESTS, arch::RAW, refusal::TESTS, strict::RAW, lifetime::TESTS],
    PlainDev: [plain::TESTS],
    Windows: [windows::TESTS, window_node::TESTS, attack::TESTS, arch::WINDOWS],
    RunTime: [runtime::TESTS],
    Races: [revocation::SHORT, runtime::RACES, crowd::RACES, huge::RACES, arch::PARALLEL],
    Revocation: [revocation::LONG],
    Dt: [dt::TESTS, binding::TESTS],
    DtWrong: [dt_wrong::TESTS],
    Lockdown: [lockdown::TESTS],
    LockdownLate: [lockdown_late::TESTS],
    LockdownDt: [lockdown_dt::TESTS],
    Overlay: [overlay::TESTS],
    OverlayWindows: [overlay_windows::TESTS],
    LockdownOverlay: [lockdown_overlay::TESTS],
    Interrupts: [interrupts::TESTS, window_irq::TESTS],
    Uio: [uio::TESTS],
    Devmap: [devmap::TESTS, bulk::TESTS, status::TESTS, compat::TESTS, arch::DEVMAP],
    Mmap: [mmap::TESTS, huge::TESTS],
    Hotplug: [hotplug::TESTS],
    Pci: [pci::TESTS],
    Ecam: [ecam::TESTS],
    Strict: [strict::TESTS],
    Kobject: [kobject::TESTS],
    Hole: [hole::TESTS],
    Big: [big::TESTS],
    NoCacheType: [no_cache_type::TESTS],
    Above4Gib: [above_4_gib::TESTS],
    LargePages: [large_pages::TESTS, memory::TESTS, mmap::TESTS],
    Model: [model::TESTS],
    Faults: [faults::TESTS],
    LoadFaults: [faults::LOADS],
    DeviceFaults: [faults::DEVICES],
    SoakShort: [soak::SHORT],
    Soak: [soak::LONG],
    SoakLoads: [soak::LOADS],
    SoakPressure: [soak::PRESSURE],
}

/// The reason why a test could not run, as its error.
#[derive(Debug)]
pub struct Skip(pub String);

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Skip {}

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["one", suite, name] => return one(suite, name),
        ["bench", start] => bench::run(start),
        ["bench", "bulk", start] => bench::bulk::measure_all(start),
        ["list"] => std::io::stdout().write_all(&plan::NAMES).context("cannot write the list"),
        [suite, filter] => run(suite, filter),
        _ => Err(anyhow::anyhow!("usage: map-suite SUITE FILTER")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("map-suite: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn parse(suite: &str) -> Result<Suite> {
    serde_json::from_str(suite).with_context(|| format!("there is no suite {suite}"))
}

/// The connection to the host, on standard input.
fn channel() -> Result<Channel<File>> {
    let port = std::io::stdin().as_fd().try_clone_to_owned()?;
    Ok(Channel::new(File::from(port)))
}

/// Runs one test in this process.
fn one(suite: &str, name: &str) -> ExitCode {
    let result = parse(suite).and_then(|suite| {
        let mut tests = tests_of(suite).into_iter().chain([&kmemleak::TEST, &kcsan::TEST]);
        let test = tests.find(|test| test.name == name).context("there is no such test")?;
        child::die_of_faults()?;
        (test.run)(&mut Host::new(channel()?))
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            if error.is::<Skip>() {
                ExitCode::from(SKIPPED)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

/// Runs the tests of a suite whose names contain `filter`.
fn run(suite: &str, filter: &str) -> Result<()> {
    let mut channel = channel()?;
    let mut tests: Vec<_> = tests_of(parse(suite)?).into_iter().filter(|test| test.name.contains(filter)).collect();
    // These check all tests before them, also if the kernel dies of the last one.
    let checks = [(&kmemleak::TEST, kmemleak::is_available()), (&kcsan::TEST, kcsan::is_available())];
    let checks = checks.into_iter().filter_map(|(test, is_available)| is_available.then_some(test));
    if let Some(last) = tests.last() {
        let end = tests.len() - usize::from(hole::is_fatal(last));
        tests.splice(end..end, checks);
    }
    channel.send(&ToHost::Plan(tests.iter().map(|test| test.name.to_owned()).collect()))?;
    for test in tests {
        // Attributes the kernel's later lines to this test.
        fs::write("/dev/kmsg", format!("<6>map-suite: {}\n", test.name))?;
        channel.send(&ToHost::Begin(test.name.to_owned()))?;
        let outcome = run_in_process(suite, test.name).unwrap_or_else(|error| Outcome::Failed(format!("{error:#}")));
        let outcome = match (kernel::clean_up(), outcome) {
            (Ok(()), outcome) => outcome,
            // A test that was killed has left what it had, and that is not the reason.
            (Err(error), Outcome::Failed(reason)) => Outcome::Failed(format!("{reason}; {error:#}")),
            (Err(error), _) => Outcome::Failed(format!("{error:#}")),
        };
        channel.send(&ToHost::End(test.name.to_owned(), outcome))?;
    }
    Ok(())
}

/// Runs one test in a process of its own, and gives its outcome.
fn run_in_process(suite: &str, name: &str) -> Result<Outcome> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["one", suite, name])
        .stdout(Stdio::inherit())
        .stderr(Stdio::piped())
        .spawn()?;
    let errors = read_errors(&mut child, test_timeout(parse(suite)?))?;
    let status = child.wait()?;
    let errors = errors.trim().to_owned();
    Ok(match status.code() {
        Some(0) => Outcome::Passed,
        Some(code) if code == i32::from(SKIPPED) => Outcome::Skipped(errors),
        _ => Outcome::Failed(format!("{errors} ({status})")),
    })
}

/// Collects the standard error of a child until it ends, or until the timeout.
fn read_errors(child: &mut Child, timeout: Duration) -> Result<String> {
    let mut stderr = child.stderr.take().context("no stderr")?;
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let result = stderr.read_to_end(&mut bytes);
        result.map(|_| String::from_utf8_lossy(&bytes).into_owned())
    });
    let deadline = Instant::now() + timeout;
    while !reader.is_finished() {
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            bail!("it did not end within {} s", timeout.as_secs());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    match reader.join() {
        Ok(errors) => Ok(errors?),
        Err(_) => bail!("the thread that read the test's output panicked"),
    }
}
