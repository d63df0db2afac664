// SPDX-License-Identifier: MIT OR Apache-2.0

//! Counts instructions with valgrind's callgrind: per byte of each bulk operation, and per start.
//!
//! `cargo bench -p devmap-cli --bench instructions [-- PROGRAM…]` prints the tables of docs/benchmarks.md. Each
//! operation runs on two lengths, and the difference is the cost of the bytes: start and end cancel out. The figures do
//! not depend on how busy the machine is. The start of each PROGRAM, a devmap that was built elsewhere, is counted too.

use std::env;
use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, ExitCode};

use devmap::{Device, Mapping, PhysRange, Width};
use tempfile::TempDir;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const OPERATIONS: [&str; 5] = ["fill", "load", "save", "compare", "copy"];

/// Several blocks of the operations that work in blocks; the longer run has twice as much.
const LENGTH: usize = 128 << 10;

const DEVMAP: &str = env!("CARGO_BIN_EXE_devmap");

/// Without this, glibc uses one `rep movsb`, which valgrind counts as an instruction per byte.
const NO_REP: &str = "glibc.cpu.x86_rep_movsb_threshold=0x40000000:glibc.cpu.x86_rep_stosb_threshold=0x40000000";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["work", accesses, operation, length, device] => work(accesses, operation, length, device),
        // `cargo bench` appends its option to the arguments of the command line.
        [ref programs @ .., "--bench"] => report(programs),
        _ => Err("run me with `cargo bench -p devmap-cli --bench instructions`".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The counted work of the library: one operation on `length` bytes.
fn work(accesses: &str, operation: &str, length: &str, device: &str) -> Result<()> {
    let length = length.parse()?;
    let mapping = Device::open(device)?.map(PhysRange::new(0, 2 * length as u64).ok_or("no range")?)?;
    // A file is cached. In uncached memory it would be the same accesses that this width makes.
    let bulk = match accesses {
        "vectors" => mapping.bulk(),
        "values" => mapping.bulk().with_width(Width::WIDEST),
        other => return Err(format!("`{other}` are not accesses").into()),
    };
    // Of constant size, since the way it is allocated depends on the size.
    let mut bytes = vec![0; 2 * LENGTH];
    match operation {
        "fill" => bulk.fill(0, length, 0x5a5a_5a5au32)?,
        "load" => bulk.write_from(0, &bytes[..length])?,
        "save" => bulk.read_into(0, &mut bytes[..length])?,
        "compare" => assert_eq!(bulk.compare(0, &bytes[..length])?, None),
        "copy" => bulk.copy(0, &mapping, length, length)?,
        // No operation of `Bulk`: single values.
        "read" => {
            black_box(sum(&mapping, length)?);
        }
        other => return Err(format!("`{other}` is not an operation").into()),
    }
    Ok(())
}

/// The sum of the values of 64 bits in the first `length` bytes, each read for itself.
fn sum(mapping: &Mapping, length: usize) -> devmap::Result<u64> {
    let mut sum = 0u64;
    for offset in (0..length.min(mapping.len())).step_by(size_of::<u64>()) {
        sum = sum.wrapping_add(mapping.read(offset)?);
    }
    Ok(sum)
}

/// Counts everything, and prints it.
fn report(programs: &[&str]) -> Result<()> {
    let bench = Bench::new()?;
    println!("{:<19} | uncached | volatile loop | cached | memset, memcpy, memcmp | command", "instructions a byte");
    for operation in OPERATIONS {
        let [values, volatile, vectors, libc, command] = bench.operation(operation)?;
        println!("{operation:<19} | {values:8.3} | {volatile:13.3} | {vectors:6.3} | {libc:22.3} | {command:.3}");
    }
    let [library, plain] = bench.single_values()?;
    println!("\n{:<19} | Mapping::read | volatile loop", "instructions a value");
    println!("{:<19} | {library:13.3} | {plain:.3}", "read of 64 bits");
    println!("\n{:<50} | instructions | bytes on disk", "a start, and the reading of 32 bits");
    for (name, program) in
        [("devmap as cargo builds it", DEVMAP)].into_iter().chain(programs.iter().map(|program| (*program, *program)))
    {
        bench.start(name, program, &["read", "0"])?;
        let link = bench.path("devmem2");
        symlink(Path::new(program).canonicalize()?, &link)?;
        bench.start("  the same by the name devmem2", &link, &["0"])?;
        fs::remove_file(&link)?;
    }
    bench.start("a C program of devmem2's shape", &bench.plain(""), &["devmem2", &bench.device(), "0"])?;
    bench.start("  linked statically", &bench.plain("-static"), &["devmem2", &bench.device(), "0"])?;
    // It supports only /dev/mem, and ends early if that cannot be opened.
    match which("busybox") {
        Some(busybox) => bench.start("busybox devmem, up to its open(2)", &busybox, &["devmem", "0"])?,
        None => println!("busybox is not installed"),
    }
    Ok(())
}

/// Where in PATH a program is.
fn which(program: &str) -> Option<String> {
    let directories = env::var_os("PATH")?;
    let found = env::split_paths(&directories).map(|directory| directory.join(program)).find(|path| path.exists());
    Some(found?.display().to_string())
}

/// The files for the runs, which are removed when this is dropped.
struct Bench {
    directory: TempDir,
    valgrind: String,
}

impl Bench {
    /// Compiles the C program.
    fn new() -> Result<Self> {
        let valgrind = which("valgrind").ok_or("valgrind is not installed")?;
        let bench = Self { directory: tempfile::tempdir()?, valgrind };
        for flag in ["", "-static"] {
            let mut cc = Command::new("cc");
            cc.args(["-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-o", &bench.plain(flag)]);
            cc.args([flag].iter().filter(|flag| !flag.is_empty()));
            cc.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/plain.c"));
            let (succeeded, stderr) = run(&mut cc)?;
            if !succeeded {
                return Err(format!("{cc:?} failed: {stderr}").into());
            }
        }
        fs::write(bench.device(), vec![0; 4 * LENGTH])?;
        Ok(bench)
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    fn device(&self) -> String {
        self.path("device")
    }

    /// The C program, linked with this flag.
    fn plain(&self, flag: &str) -> String {
        self.path(&format!("plain{flag}"))
    }

    /// The instructions a byte of the library on uncached memory, of the volatile loop, of the library on cached
    /// memory, of the C library, and of the command.
    fn operation(&self, operation: &str) -> Result<[f64; 5]> {
        let me = env::current_exe()?.display().to_string();
        let (plain, image, saved) = (self.plain(""), self.path("image"), self.path("saved"));
        let count = |length: usize| -> Result<[i64; 5]> {
            fs::write(&image, vec![0; length])?;
            let length = length.to_string();
            let range = format!("0+{length}");
            let command = match operation {
                "fill" => [&range, "0"],
                "load" => [&image, "0"],
                "save" => [&range, saved.as_str()],
                _ => [&range, length.as_str()],
            };
            Ok([
                self.instructions(&me, &["work", "values", operation, &length, &self.device()])?,
                self.instructions(&plain, &["volatile", operation, &length])?,
                self.instructions(&me, &["work", "vectors", operation, &length, &self.device()])?,
                self.instructions(&plain, &["libc", operation, &length])?,
                self.instructions(DEVMAP, &[operation, command[0], command[1]])?,
            ])
        };
        let (short, long) = (count(LENGTH)?, count(2 * LENGTH)?);
        Ok(std::array::from_fn(|index| (long[index] - short[index]) as f64 / LENGTH as f64))
    }

    /// The instructions for each value that a loop reads and adds, of the library and of the volatile loop.
    fn single_values(&self) -> Result<[f64; 2]> {
        let me = env::current_exe()?.display().to_string();
        let count = |length: usize| -> Result<[i64; 2]> {
            let length = length.to_string();
            Ok([
                self.instructions(&me, &["work", "values", "read", &length, &self.device()])?,
                self.instructions(&self.plain(""), &["volatile", "read", &length])?,
            ])
        };
        let (short, long) = (count(LENGTH)?, count(2 * LENGTH)?);
        Ok(std::array::from_fn(|index| (long[index] - short[index]) as f64 / (LENGTH / size_of::<u64>()) as f64))
    }

    /// Prints the total of `program`.
    fn start(&self, name: &str, program: &str, arguments: &[&str]) -> Result<()> {
        let (count, bytes) = (self.instructions(program, arguments)?, fs::metadata(program)?.len());
        println!("{name:<50} | {count:>12} | {bytes:>13}");
        Ok(())
    }

    /// The number of instructions of a program, from the first in its process to the last.
    fn instructions(&self, program: &str, arguments: &[&str]) -> Result<i64> {
        let mut valgrind = Command::new(&self.valgrind);
        valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", program]).args(arguments);
        // Libraries scan the environment when they start, so it is always the same.
        valgrind.env_clear().env("DEVMAP_DEVICE", self.device());
        if arguments[0] == "libc" {
            valgrind.env("GLIBC_TUNABLES", NO_REP);
        }
        let (_, stderr) = run(&mut valgrind)?;
        let count = stderr.lines().find_map(|line| line.split_once("Collected : "));
        let (_, count) = count.ok_or_else(|| format!("{valgrind:?} did not count: {stderr}"))?;
        Ok(count.trim().parse()?)
    }
}

/// Runs `command`, and returns whether it succeeded, and its standard error.
fn run(command: &mut Command) -> Result<(bool, String)> {
    let program = command.get_program().to_owned();
    let output = command.output().map_err(|error| format!("cannot run {program:?}: {error}; install it"))?;
    Ok((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
}
