// SPDX-License-Identifier: MIT OR Apache-2.0

//! The examples of the help. Those with the names of windows, and those that ask the driver, run in the guests.

mod common;

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use common::{program, Ran};

/// Where the examples' memory begins.
const START: u64 = 0xc000_0000;

/// The commands that `devmap help` lists.
fn commands() -> Vec<String> {
    let help = Ran::new(program().arg("help")).out;
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // Continued descriptions are indented further.
    let names = list.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(Into::into).collect()
}

/// The examples of a command, without what is said about them.
fn examples(command: &str) -> Vec<String> {
    let help = Ran::new(program().args(["help", command])).out;
    let list = help.lines().skip_while(|line| !line.starts_with("Example")).skip(1);
    let lines = list.map_while(|line| line.strip_prefix("  "));
    lines.map(|line| line.split("  ").next().unwrap_or_default().to_owned()).collect()
}

/// A directory with what the examples read, and memory in which they find what they look for.
fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("image.bin"), vec![0; 0x2_0000]).unwrap();
    fs::write(path("setup.script"), "write 0xc0000020=1\n").unwrap();
    assert!(Command::new("gzip").args(["-k", "-S", ".gz"]).arg(path("image.bin")).status().unwrap().success());
    fs::rename(path("image.bin.gz"), path("image.gz")).unwrap();
    fs::copy("../lib/examples/svd/pl011.svd", path("board.svd")).unwrap();
    fs::create_dir_all(path(".local/share/bash-completion/completions")).unwrap();
    // It has a hole of 3 GiB.
    File::create(path("device")).unwrap().set_len(START + (3 << 20)).unwrap();
    directory
}

/// Runs a line in the directory.
fn run(directory: &Path, line: &str) -> Ran {
    let programs = Path::new(env!("CARGO_BIN_EXE_devmap")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("set -e; {line}")]).current_dir(directory);
    Ran::new(shell.env("PATH", path).env("HOME", directory).env("DEVMAP_DEVICE", directory.join("device")))
}

/// Why an example does not run here; `None` if it does.
fn needs(line: &str) -> Option<&'static str> {
    match line {
        _ if line.contains("sdram ") || line.contains("sdram+") || line.ends_with("sdram") => Some("a window"),
        _ if ["devmap check", "devmap windows", "devmap lab device"].iter().any(|it| line.starts_with(it)) => {
            Some("the driver")
        }
        _ if line.starts_with("devmap wait-irq") => Some("an interrupt"),
        _ if line.contains("| jq") => Some("jq"),
        "devmap watch 0xc0000000+64" => Some("Ctrl-C"),
        _ => None,
    }
}

#[test]
fn the_examples_of_every_command_do_what_they_say() {
    let commands = commands();
    assert!(commands.len() > 15 && commands.iter().any(|name| name == "read"), "{commands:?}");
    for command in &commands {
        let examples = examples(command);
        assert!(!examples.is_empty(), "{command} has no example");
        let directory = directory();
        run(
            directory.path(),
            "printf '%s\\n' 'write 0xc0000064=3' 'write 0xc0200000=0xdeadbeef' \
             'write 0xc0200100 0x55 0x2d 0x42 0x6f 0x6f 0x74 0xd0 0x0d 0xfe 0xed -w 8' | devmap run -",
        )
        .printed("");
        if command == "verify" {
            // What is there differs from the image, which has zeros.
            run(directory.path(), "devmap load image.bin 0xc0000000").printed("");
        }
        if command == "diff" {
            let both = "devmap snapshot --svd board.svd UART0 | tee before > after";
            assert_eq!(run(directory.path(), both).status, Some(0));
        }
        if command == "compare" {
            run(directory.path(), "devmap copy 0xc0000000+1M 0xc0100000").printed("");
        }
        for example in examples.iter().filter(|line| needs(line).is_none()) {
            // The whole of it takes long, and proves no more.
            let line =
                example.replace("0xc0000000+3M", if command == "test" { "0xc0000000+16K" } else { "0xc0000000+3M" });
            let ran = run(directory.path(), &line.replace("--count 1000", "--count 3"));
            assert_eq!(ran.status, Some(0), "{line}: {ran:?}");
        }
    }
}

#[test]
fn only_what_needs_more_than_a_file_runs_in_the_guests_alone() {
    let in_guests: Vec<_> =
        commands().into_iter().filter(|name| examples(name).iter().all(|line| needs(line).is_some())).collect();
    assert_eq!(in_guests, ["wait-irq", "windows", "check"]);
}
