// SPDX-License-Identifier: MIT OR Apache-2.0

//! Measures the driver beside its peers: `map-qemu bench`.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

use anyhow::{bail, ensure, Context, Result};
use map_protocol::{Dev, Figure, Figures, Job, Stream, Task, ToHost};

use crate::{
    arch::{self, Arch},
    dt, flavour,
    kernels::{self, KernelId},
    memory::Memory,
    module, programs,
    session::Guest,
    ui::Ui,
    verdict::ExpectedEnd,
};

/// Options of `bench`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The clock of the guest counts instructions, a nanosecond each, on one processor. So the figures hardly depend on this \
machine, and they do not show what caches and misses of the TLB cost: the emulator has neither.")]
pub struct Options {
    /// The architectures of the guests; all of them by default.
    #[arg(long, value_parser = crate::find_arch)]
    arch: Vec<&'static Arch>,
    /// Writes the figures of each architecture as JSON to ARCH.json in this directory.
    #[arg(long, value_name = "DIRECTORY")]
    write: Option<PathBuf>,
    /// Fails if a figure is more than 5 % above the one in this directory.
    #[arg(long, value_name = "DIRECTORY")]
    check: Option<PathBuf>,
}

/// The memory that is mapped: a GiB that the kernel leaves alone.
const START: u64 = 0x8000_0000;

/// How much of it has a pattern, so that a dump has no line twice.
const FILLED: u64 = 3 << 20;

/// How the guest's kernel leaves it alone, where that is not in the device tree.
const X86_APPEND: &str = "memmap=1G$0x80000000";

/// Every program is at the same addresses at every boot: a mapping costs more if it needs one more page table.
const APPEND: &str = "norandmaps";

/// The same in the device tree.
const OVERLAY: &str = include_str!("../../kernel/tree-bench.dtso");

/// The board's clock as a window with its interrupt.
const CLOCK: &str = include_str!("../../kernel/overlay/clock.dtso");

/// The contender that the others are compared with.
const REFERENCE: &str = "/dev/mem";

/// Measures, prints, and writes or compares.
pub fn bench(options: &Options, ui: &Ui) -> Result<ExitCode> {
    let arches: Vec<_> = if options.arch.is_empty() { arch::ALL.iter().collect() } else { options.arch.clone() };
    let mut worse = Vec::new();
    for arch in arches {
        let measured = measure(arch, ui)?;
        print!("{}", table(arch.name, &measured));
        if let Some(directory) = &options.check {
            let path = path(directory, arch);
            let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let before: Figures = serde_json::from_slice(&text)?;
            worse.extend(
                regressions(&before.figures, &measured.figures).into_iter().map(|line| format!("{arch}: {line}")),
            );
        }
        if let Some(directory) = &options.write {
            fs::create_dir_all(directory)?;
            let path = path(directory, arch);
            let text = serde_json::to_string_pretty(&measured)? + "\n";
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    worse.iter().for_each(|line| println!("{line}"));
    Ok(if worse.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn path(directory: &Path, arch: &Arch) -> PathBuf {
    directory.join(format!("{arch}.json"))
}

/// Boots a guest and collects what it prints.
fn measure(arch: &'static Arch, ui: &Ui) -> Result<Figures> {
    let kernel = KernelId { arch, origin: &kernels::ALL[0], flavour: &flavour::ALL[0] };
    let mut artifacts = crate::artifacts(kernel, ui)?;
    let overlays = arch.dt_overlay.map(|_| &module::OVERLAY);
    for source in overlays.into_iter().chain([&module::BENCH]) {
        artifacts.modules.extend(module::build(&artifacts.kernel, source, module::Compiler::Rustc, ui)?);
    }
    let plain = programs::build_plain(&artifacts.tools, ui)?;
    let command = ["map-suite", "bench", &format!("{START:#x}")].map(str::to_owned).to_vec();
    let job = Job { channel: arch.channel.into(), dev: Dev::Devtmpfs, module: None, task: Task::Command(command) };
    let memory = Memory::new(arch)?;
    memory.fill(1, START, FILLED)?;
    let guest = Guest::new(&artifacts, "bench", job, Duration::from_secs(1800))?.icount(true);
    let guest = guest.add(&[plain]).append(&[APPEND.into()]);
    let guest = match arch.dt_overlay {
        Some(_) => {
            guest.overlay(Some(OVERLAY)).files(vec![(map_protocol::overlay("clock"), dt::compile_runtime(CLOCK)?)])
        }
        None => guest.append(&[X86_APPEND.into()]),
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let status = guest.run(&memory, ExpectedEnd::Clean, |message, _| {
        match message {
            ToHost::Output(Stream::Out, bytes) => out.extend_from_slice(bytes),
            ToHost::Output(Stream::Err, bytes) => err.extend_from_slice(bytes),
            _ => (),
        }
        Ok(())
    })?;
    ensure!(status == 0, "the benchmark failed ({status}): {}", String::from_utf8_lossy(&err));
    let lines = String::from_utf8(out)?;
    let figures: Vec<Figure> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    if figures.iter().any(|figure| figure.costs.is_empty()) {
        bail!("a figure without a measurement");
    }
    Ok(Figures {
        command: format!("map-qemu bench --arch {arch}"),
        date: first_line("date", &["-u", "+%F"])?,
        kernel: artifacts.kernel.release.clone(),
        emulator: first_line(arch.qemu, &["--version"])?,
        figures,
    })
}

/// The first line that a program prints.
fn first_line(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output().with_context(|| format!("cannot run {program}"))?;
    ensure!(output.status.success(), "{program} failed");
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// The figure of a contender for the same work on as much memory.
fn same<'a>(figures: &'a [Figure], contender: &str, of: &Figure) -> Option<&'a Figure> {
    figures.iter().find(|figure| figure.contender == contender && figure.work == of.work && figure.bytes == of.bytes)
}

/// A table for people: a block for each kind of work on each size, the contenders below each other.
fn table(arch: &str, measured: &Figures) -> String {
    let Figures { kernel, emulator, date, .. } = measured;
    let mut text =
        format!("{arch}, Linux {kernel}, {emulator}, {date}: instructions, spread, ratio to {REFERENCE}, for a page\n");
    let mut shown: Vec<(&str, u64)> = Vec::new();
    for first in &measured.figures {
        let kind = (first.work.as_str(), first.bytes);
        if shown.contains(&kind) {
            continue;
        }
        shown.push(kind);
        let _ = writeln!(text, "\n{}{}", first.work, size(first.bytes));
        for figure in measured.figures.iter().filter(|figure| (figure.work.as_str(), figure.bytes) == kind) {
            let cost = figure.cost();
            let ratio = same(&measured.figures, REFERENCE, figure)
                .map_or(String::new(), |other| format!("{:10.2}", other.cost() as f64 / cost as f64));
            let pages = figure.bytes.div_ceil(4096);
            let page = if pages > 1 { format!("{:12.1}", cost as f64 / pages as f64) } else { String::new() };
            let computed =
                figure.parts.map_or(String::new(), |parts| format!("  computed: {parts} times {}", cost / parts));
            let _ = writeln!(
                text,
                "  {:<24}{cost:>12} ±{:4.1} %{ratio:>10}{page:>12}{computed}",
                figure.contender,
                100.0 * figure.spread()
            );
        }
    }
    text.push('\n');
    text
}

fn size(bytes: u64) -> String {
    match bytes {
        0 => String::new(),
        bytes if bytes >= 1 << 30 => format!(", {} GiB", bytes >> 30),
        bytes if bytes >= 1 << 20 => format!(", {} MiB", bytes >> 20),
        bytes if bytes >= 1 << 10 => format!(", {} KiB", bytes >> 10),
        bytes => format!(", {bytes} bytes"),
    }
}

/// What costs more than 5 % more than before, or is not measured any more.
fn regressions(before: &[Figure], now: &[Figure]) -> Vec<String> {
    let mut lines = Vec::new();
    for old in before {
        let what = format!("{}: {}{}", old.contender, old.work, size(old.bytes));
        match same(now, &old.contender, old) {
            None => lines.push(format!("{what}: not measured any more")),
            Some(new) if new.cost() as f64 > 1.05 * old.cost() as f64 => {
                lines.push(format!("{what}: {} instructions, {} before", new.cost(), old.cost()));
            }
            Some(_) => (),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(contender: &str, work: &str, bytes: u64, costs: &[u64]) -> Figure {
        Figure { contender: contender.into(), work: work.into(), bytes, parts: None, costs: costs.to_vec() }
    }

    #[test]
    fn a_figure_that_is_more_than_5_percent_above_is_a_regression() {
        let before = [figure("a", "map", 4096, &[100]), figure("b", "map", 4096, &[100])];
        let worse = |costs: &[u64]| regressions(&before, &[figure("a", "map", 4096, costs), before[1].clone()]);
        assert!(worse(&[105]).is_empty() && worse(&[50, 105, 999]).is_empty());
        assert_eq!(worse(&[106]), ["a: map, 4 KiB: 106 instructions, 100 before"]);
        assert_eq!(regressions(&before, &before[1..]), ["a: map, 4 KiB: not measured any more"]);
    }

    #[test]
    fn the_table_has_ratios_to_dev_mem_and_the_cost_of_a_page() {
        let figures = vec![
            figure("/dev/mem", "map", 8192, &[300, 290, 310]),
            figure("window", "map", 8192, &[100]),
            figure("window", "open", 0, &[7]),
            Figure { parts: Some(3), ..figure("calls", "dump", 12288, &[50]) },
        ];
        let measured = Figures {
            command: "bench".into(),
            date: "2026-11-26".into(),
            kernel: "7.3".into(),
            emulator: "QEMU 10".into(),
            figures,
        };
        let text = table("x86_64", &measured);
        let line = |start: &str| text.lines().find(|line| line.trim().starts_with(start)).unwrap().to_owned();
        let words = |start: &str| line(start).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words("/dev/mem"), ["/dev/mem", "300", "±", "3.3", "%", "1.00", "150.0"]);
        assert_eq!(words("window"), ["window", "100", "±", "0.0", "%", "3.00", "50.0"]);
        assert_eq!(words("calls"), ["calls", "150", "±", "0.0", "%", "50.0", "computed:", "3", "times", "50"]);
        assert!(text.contains("\nmap, 8 KiB\n") && text.contains("\nopen\n"), "{text}");
    }
}
