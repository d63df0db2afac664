// SPDX-License-Identifier: MIT OR Apache-2.0

//! The library and its tools for processors of boards: the unit tests, and the static programs, run by QEMU's emulator
//! of programs, which needs no kernel.

use std::{
    io::Write,
    path::Path,
    process::{Command, ExitCode},
    time::Duration,
};

use anyhow::{ensure, Context, Result};
use map_protocol::Outcome;

use crate::{
    arch::{Needed, Target},
    process::{self, Job},
    setup::{self, Use},
    tally::Tally,
    ui::Ui,
};

/// A processor, and how programs for it are made and run.
#[derive(Debug)]
struct Processor {
    /// Its name in messages.
    name: &'static str,
    target: Target,
    /// The emulator with its arguments.
    run: &'static [&'static str],
    /// The Debian packages that it takes.
    packages: &'static [Needed],
    /// The widest access in bits.
    widest: u32,
}

/// The emulator of programs.
const EMULATOR: Needed = ("qemu-user", "runs programs of other processors");

const ARMV7: Target = Target { rust: "armv7-unknown-linux-gnueabihf", linker: "arm-linux-gnueabihf-gcc" };
const ARMV7_PACKAGES: &[Needed] = &[
    EMULATOR,
    ("gcc-arm-linux-gnueabihf", "links programs for ARMv7"),
    ("libc6-dev-armhf-cross", "is the C library that they are linked with"),
];

/// All of them. What the first two have in common they run twice: LDRD and STRD are one access only with LPAE, and the
/// library asks for that when it runs.
const ALL: &[Processor] = &[
    Processor {
        name: "ARMv7 with LPAE",
        target: ARMV7,
        run: &["qemu-arm", "-cpu", "cortex-a15"],
        packages: ARMV7_PACKAGES,
        widest: 64,
    },
    Processor {
        name: "ARMv7 without LPAE",
        target: ARMV7,
        run: &["qemu-arm", "-cpu", "cortex-a9"],
        packages: ARMV7_PACKAGES,
        widest: 32,
    },
    Processor {
        name: "ARMv6",
        // Debian's library with floating point in registers is for ARMv7 alone.
        target: Target { rust: "arm-unknown-linux-gnueabi", linker: "arm-linux-gnueabi-gcc" },
        run: &["qemu-arm", "-cpu", "arm1176"],
        packages: &[
            EMULATOR,
            ("gcc-arm-linux-gnueabi", "links programs for ARMv6"),
            ("libc6-dev-armel-cross", "is the C library that they are linked with"),
        ],
        widest: 32,
    },
    Processor {
        name: "ARMv8",
        target: Target { rust: "aarch64-unknown-linux-gnu", linker: "aarch64-linux-gnu-gcc" },
        run: &["qemu-aarch64"],
        packages: &[
            EMULATOR,
            ("gcc-aarch64-linux-gnu", "links programs for ARMv8"),
            ("libc6-dev-arm64-cross", "is the C library that they are linked with"),
        ],
        widest: 64,
    },
    Processor {
        name: "RV64",
        target: Target { rust: "riscv64gc-unknown-linux-gnu", linker: "riscv64-linux-gnu-gcc" },
        run: &["qemu-riscv64"],
        packages: &[
            EMULATOR,
            ("gcc-riscv64-linux-gnu", "links programs for RV64"),
            ("libc6-dev-riscv64-cross", "is the C library that they are linked with"),
        ],
        widest: 64,
    },
];

/// A processor of arm64 whose most significant byte is the first, for which there is neither a C library nor Rust's
/// standard one.
const BIG_ENDIAN: &str = "aarch64_be-unknown-none-softfloat";

/// The unit tests that ask the kernel for what the emulator does not pass on, each with the reason.
const OF_THE_KERNEL: &[(&str, &str)] = &[
    ("a_file_of_hugetlbfs_is_mapped_by_its_own_pages", "the emulator maps no huge pages"),
    ("a_page_that_goes_away_under_a_no_fault_access_is_an_error", "the emulator does not pass on process_vm_readv(2)"),
    ("what_has_no_interrupts_says_why", "the emulator does not pass on ioctls that it does not know"),
    ("a_file_has_no_such_ioctl", "the emulator does not pass on ioctls that it does not know"),
];

/// Options of `processors`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Those whose names contain this text; all of them by default.
    #[arg(default_value = "")]
    name: String,
}

/// Runs the tests alone, and fails if any test failed.
pub fn run(options: &Options, ui: &Ui) -> Result<ExitCode> {
    let tally = Tally::new(ui);
    test(&options.name, &tally, ui)?;
    let counts = tally.counts();
    ensure!(counts.total() > 0, "there is no processor whose name contains {:?}", options.name);
    println!("{counts}");
    Ok(if counts.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The name of the processor with the other byte order.
const BIG: &str = "big-endian ARMv8";

/// Runs the tests, and the tools, on every processor whose name contains `text`.
pub fn test(text: &str, tally: &Tally<'_>, ui: &Ui) -> Result<()> {
    if BIG.contains(text) {
        tally.check(&format!("{BIG}: every byte order of the library"), || big_endian(ui))?;
    }
    for processor in ALL.iter().filter(|processor| processor.name.contains(text)) {
        let name = processor.name;
        ui.step(format!("{name}: unit tests of the library"));
        let library = |purpose| setup::prepare_target(processor.target.rust, purpose, processor.packages, ui);
        let prepare = || Ok((library(Use::Tests)?, library(Use::Programs)?));
        let ready = tally.check(&format!("{name}: the compiler is there"), prepare)?;
        let Some((for_tests, for_programs)) = ready else { continue };
        let mut found = Vec::new();
        let run = || processor.unit_tests(for_tests.as_deref(), &mut found);
        if tally.check(&format!("{name}: cargo test"), run)?.is_some() {
            ensure!(!found.is_empty(), "{name}: there are no unit tests");
            for (test, outcome) in found {
                tally.count(format!("{name}: {test}"), &outcome, Duration::ZERO);
            }
            for (test, reason) in OF_THE_KERNEL {
                tally.count(format!("{name}: {test}"), &Outcome::Skipped((*reason).into()), Duration::ZERO);
            }
        }
        let tools = || processor.tools(for_programs.as_deref());
        tally.check(&format!("{name}: the static tools are built, and run"), tools)?;
    }
    Ok(())
}

/// Builds the program that shows the byte orders, with Rust's core library, and runs it.
fn big_endian(ui: &Ui) -> Result<()> {
    ui.step("Big-endian ARMv8: byte orders of the library");
    let source = setup::prepare_core(&[EMULATOR], ui)?;
    let mut cargo = process::cargo();
    cargo
        .current_dir(crate::root())
        .args(["build", "--locked", "--release", "--package=map-orders", "-Zbuild-std=core", "--target", BIG_ENDIAN])
        .env("RUSTC_BOOTSTRAP", "1")
        .env("__CARGO_TESTS_ONLY_SRC_ROOT", source);
    Job::new(cargo).lines(|_| ())?;
    let mut orders = Command::new("qemu-aarch64_be");
    orders.arg(crate::target().join(BIG_ENDIAN).join("release/map-orders"));
    Job::new(orders).output().map(drop)
}

impl Processor {
    /// A variable of Cargo for the target.
    fn variable(&self, of: &str) -> String {
        format!("CARGO_TARGET_{}_{of}", self.target.rust.replace('-', "_").to_uppercase())
    }

    /// Runs the unit tests of the library and of what it shares with the driver, and lists them in `found`.
    fn unit_tests(&self, sysroot: Option<&Path>, found: &mut Vec<(String, Outcome)>) -> Result<()> {
        let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned(), format!("-Clinker={}", self.target.linker)];
        flags.extend(sysroot.map(|sysroot| format!("--sysroot={}", sysroot.display())));
        let mut cargo = process::cargo();
        cargo
            .current_dir(crate::root())
            .args(["test", "--locked", "--package=map-core", "--package=devmap", "--lib"])
            .args(["--target", self.target.rust, "--"])
            .args(OF_THE_KERNEL.iter().map(|(test, _)| format!("--skip={test}")))
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
            .env(self.variable("RUNNER"), self.run.join(" "));
        Job::new(cargo).lines(|line| found.extend(crate::test::libtest(line)))
    }

    /// Builds the tools as for a board, and runs one.
    fn tools(&self, sysroot: Option<&Path>) -> Result<()> {
        let target = self.target.rust;
        let mut make = Command::new("make");
        make.arg("-C").arg(crate::root()).args(["tools", &format!("TARGET={target}")]);
        make.arg(format!("REMAP={}", sysroot.map(|path| format!("--sysroot={}", path.display())).unwrap_or_default()));
        make.env(self.variable("LINKER"), self.target.linker);
        Job::new(make).lines(|_| ())?;
        let mut devmap = self.devmap();
        devmap.args(["explain", "0xc0000ffe", "4", "--page-size", "4K"]);
        let out = Job::new(devmap).output()?;
        ensure!(out.contains("mapped     0xc0000000-0xc0001fff, 2 pages, 8192 bytes"), "it says {out}");
        self.wide_accesses()
    }

    /// The command line that the target has.
    fn devmap(&self) -> Command {
        let mut command = Command::new(self.run[0]);
        command.args(&self.run[1..]).arg(crate::target().join(self.target.rust).join("small/devmap"));
        command
    }

    /// Fails unless 64 bits are loaded in one access where the processor has one, and in none where it has not.
    fn wide_accesses(&self) -> Result<()> {
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(&[1, 2, 3, 4, 5, 6, 7, 8])?;
        let mut devmap = self.devmap();
        devmap.args(["read", "0", "-q", "-w", "64", "--device"]).arg(file.path());
        let read = Job::new(devmap).output();
        if self.widest == 64 {
            ensure!(read?.trim() == "0x0807060504030201", "64 bits are something else");
            return Ok(());
        }
        let error = read.err().context("64 bits were loaded, which takes two accesses")?;
        ensure!(format!("{error:#}").contains("this processor has none of that width"), "{error:#}");
        Ok(())
    }
}
