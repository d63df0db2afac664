// SPDX-License-Identifier: MIT OR Apache-2.0

//! `devmap dump`, `watch`, `test`, `info`, `check`, the generated files, and how a command ends early.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read};

use common::{program, start, FakeDevice, Ran};
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;

#[test]
fn dump() {
    let mut contents = vec![0; 0x60];
    contents[..5].copy_from_slice(b"Hello");
    let fake = FakeDevice::new(&contents);
    fake.devmap(&["dump", "0+0x54"]).printed(
        "0x00000000  48 65 6c 6c 6f 00 00 00  00 00 00 00 00 00 00 00  |Hello...........|\n\
         0x00000010  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n\
         *\n\
         0x00000050  00 00 00 00                                       |....|\n",
    );
    // The last line is printed even if it repeats the one before, to show the end.
    let ran = fake.devmap(&["dump", "0x10+0x50"]);
    assert!(ran.out.contains("|\n*\n0x00000050  00") && ran.out.lines().count() == 3, "{ran:?}");
    assert_eq!(fake.devmap(&["dump", "0+0x54", "--all"]).out.lines().count(), 6);
    fake.devmap(&["dump", "0+4", "-w", "16", "--endian", "big"])
        .printed(&format!("0x00000000  4865 6c6c{:33}|Hell|\n", ""));
    fake.devmap(&["dump", "1+4", "-w", "16"]).failed(2, "0x00000001");
    fake.devmap(&["dump", "0x50+0x20"]).failed(3, "the file ends");
    fake.devmap(&["--json", "dump", "0+2"]).printed("{\"address\":\"0x00000000\",\"bytes\":\"4865\"}\n");
    fake.devmap(&["--json", "dump", "0+4", "-w", "16", "--endian=big"])
        .printed("{\"address\":\"0x00000000\",\"values\":[\"0x4865\",\"0x6c6c\"],\"numbers\":[18533,27756]}\n");
}

#[test]
fn colours_are_for_terminals() {
    let fake = FakeDevice::new(b"text");
    let forced = Ran::new(fake.command().args(["dump", "0+4"]).env("CLICOLOR_FORCE", "1"));
    assert!(forced.out.contains("\x1b[36m74"), "{forced:?}");
    assert!(!fake.devmap(&["dump", "0+4"]).out.contains('\x1b'));
}

#[test]
fn memory_tests_pass_on_sound_memory() {
    let fake = FakeDevice::new(&[7; 0x1008]);
    let ran = fake.devmap(&["test", "8+0x1000", "--passes", "2", "--only", "data,random"]);
    ran.printed("pass 1: data: ok\npass 1: random: ok\npass 2: data: ok\npass 2: random: ok\n");
    assert_eq!(fake.contents()[..8], [7; 8]);
    assert_eq!(fake.devmap(&["test", "0+0x1000", "-w", "16"]).out.lines().count(), 5);
    fake.devmap(&["test", "1+0x1000"]).failed(2, "0x00000001");
    fake.devmap(&["test", "0+0x1001"]).failed(2, "0x1001 bytes");
    fake.devmap(&["test", "0+8", "--passes", "0"]).misused("give at least 1");
    fake.devmap(&["test", "0+8", "--only", "luck"]).misused("[possible values: data, address");
}

#[test]
fn watch_prints_each_change_and_ends_by_a_signal() {
    let fake = FakeDevice::new(&[0; 8]);
    let mut watch = start(fake.command().args(["watch", "0+8", "--interval", "1", "--endian", "little"]));
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), "0x00000000: 0x00000000");
    assert_eq!(lines.next().unwrap(), "0x00000004: 0x00000000");
    fake.devmap(&["write", "4", "3", "--endian", "little"]).printed("");
    assert_eq!(lines.next().unwrap(), "0x00000004: 0x00000000 -> 0x00000003");
    kill(Pid::from_raw(watch.id() as i32), Signal::SIGINT).unwrap();
    assert_eq!(lines.next(), None);
    let ran = Ran::wait(watch);
    assert_eq!(ran.status, Some(130), "{ran:?}");
    let (start, end) = ("devmap: interrupted: watched 0x00000000-0x00000007, samples: ", ", changes: 1\n");
    assert!(ran.err.starts_with(start) && ran.err.ends_with(end), "{ran:?}");
}

#[test]
fn watch_ends_after_its_count() {
    let fake = FakeDevice::new(&[5; 2]);
    let ran = fake.devmap(&["watch", "0", "-w", "16", "--count", "3", "--interval", "0", "--json"]);
    assert_eq!(
        ran.out,
        "{\"sample\":1,\"time\":0.000000,\"address\":\"0x00000000\",\"value\":\"0x0505\",\"number\":1285}\n"
    );
    assert_eq!(ran.err, "{\"note\":\"watched 0x00000000-0x00000001, samples: 3, changes: 0\"}\n");
    let ran = fake.devmap(&["watch", "0", "-w", "16", "--count", "3", "--interval", "0"]);
    assert_eq!(ran.err, "devmap: watched 0x00000000-0x00000001, samples: 3, changes: 0\n");
    fake.devmap(&["watch", "0:1"]).failed(2, "0x00000000:1:1 is a bit field: watch the whole value, 0x00000000");
    fake.devmap(&["watch", "0", "--count", "0"]).misused("`0` would do nothing: give at least 1");
}

#[test]
fn an_interrupted_command_says_how_far_it_came() {
    let fake = FakeDevice::new(&vec![7; 4 << 20]);
    let mut save = start(fake.command().args(["save", "0+4M", "-"]));
    let mut out = save.stdout.take().unwrap();
    // The command is at work, and cannot end: the pipe is too small for the rest, which nobody reads yet.
    out.read_exact(&mut [0; 1]).unwrap();
    kill(Pid::from_raw(save.id() as i32), Signal::SIGINT).unwrap();
    let mut rest = Vec::new();
    out.read_to_end(&mut rest).unwrap();
    let ran = Ran::wait(save);
    assert_eq!(ran.status, Some(130), "{ran:?}");
    assert_eq!(
        ran.err,
        format!("devmap: interrupted: saved {:#x} of 0x400000 bytes, from the start\n", rest.len() + 1)
    );
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let fake = FakeDevice::new(&vec![7; 1 << 20]);
    let mut dump = start(fake.command().args(["dump", "--all", "0+1M"]));
    drop(dump.stdout.take());
    Ran::wait(dump).printed("");
    // Nothing changes, so nothing would be written.
    for interval in ["0", "60000"] {
        let mut watch = start(fake.command().args(["watch", "0", "--interval", interval]));
        BufReader::new(watch.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        Ran::wait(watch).printed("");
    }
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    Ran::new(fake.command().args(["read", "0"]).stdout(full)).failed(4, "cannot write the output: No space left");
}

#[test]
fn info() {
    let fake = FakeDevice::new(&[7; 0x1234]);
    let ran = fake.devmap(&["info"]);
    assert!(ran.out.contains("regular file of 0x1234 bytes\npage size      0x"), "{ran:?}");
    let ran = fake.devmap(&["info", "--json"]);
    assert!(ran.out.contains("\"kind\":\"regular file\",\"bytes\":4660,\"page_size\":"), "{ran:?}");
    // `info` works on another device, too.
    let ran = Ran::new(program().args(["--device", "/dev/zero", "info"]));
    assert!(ran.status == Some(0) && ran.err.is_empty(), "{ran:?}");
    assert!(ran.out.starts_with("device         /dev/zero, character device 1:5\npage size      0x"), "{ran:?}");
}

#[test]
fn check_asks_the_map_driver_alone() {
    let fake = FakeDevice::new(&[7; 0x1234]);
    for arguments in [
        &["check", "0x1000+16"][..],
        &["check", "0x1000", "--write"],
        &["check", "0x1000:7:4", "--read"],
        &["check", "0-0xfff", "--exec", "--private"],
        // No range is too high for the question.
        &["check", "0x1234567000+4K"],
    ] {
        let ran = fake.devmap(arguments);
        ran.failed(3, "it is a regular file; only the map driver answers, whose node is /dev/map");
        assert_eq!(ran.out, "");
    }
    let devmap = |device: &str| Ran::new(program().args(["--device", device, "check", "0x1000"]));
    devmap("/dev/zero").failed(3, "cannot ask /dev/zero: it is a device of another driver");
    devmap("/dev/no-such-device").failed(3, "cannot open /dev/no-such-device: No such file or directory (ENOENT)");
    fake.devmap(&["check", "0+0xffffffffffffffff"]).failed(2, "more than one process can address");
    fake.devmap(&["check", "0x1000:32"]).failed(2, "no bit 32");
    fake.devmap(&["check", "0x1000+0"]).misused("is empty");
    fake.devmap(&["check"]).misused("<PLACE>");
    assert_eq!(fake.contents(), [7; 0x1234]);
}

#[test]
fn without_arguments_it_teaches() {
    let ran = Ran::new(&mut program());
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), ""));
    assert!(ran.out.contains("devmap read 0xc0000064"), "{ran:?}");
}

/// The words that `bash` would show for the last of `words`.
fn proposed(words: &[&str]) -> Vec<String> {
    let mut command = program();
    command.env("DEVMAP_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", words.len().to_string()).arg("--");
    let ran = Ran::new(command.arg("devmap").args(words));
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    ran.out.lines().map(str::to_owned).collect()
}

#[test]
fn the_program_completes_its_arguments() {
    assert_eq!(proposed(&["che"]), ["check"]);
    assert_eq!(proposed(&["check", "--priv"]), ["--private"]);
    assert_eq!(proposed(&["--ver"]), ["--version"]);
    // Hidden commands.
    for word in ["man", "lab-", "lab-touch"] {
        assert_eq!(proposed(&[word]), [""; 0], "{word}");
    }
    assert_eq!(proposed(&["read", "0", "--endian", "b"]), ["big"]);
    // Whatever windows there are: a file is never a place, and the driver may be absent.
    let directory = env!("CARGO_MANIFEST_DIR");
    assert!(!proposed(&["dump", directory]).iter().any(|word| word.contains('/')));
    assert_eq!(proposed(&["load", &format!("{directory}/Carg")]), [format!("{directory}/Cargo.toml")]);
}

#[test]
fn completions_and_man_pages_come_from_the_arguments() {
    let devmap = |arguments: &[&str]| Ran::new(program().args(arguments));
    for shell in ["bash", "zsh", "fish"] {
        let ran = devmap(&["completions", shell]);
        assert!(ran.status == Some(0) && ran.out.contains("DEVMAP_COMPLETE"), "{shell}");
    }
    let directory = tempfile::tempdir().unwrap();
    devmap(&["man", directory.path().to_str().unwrap()]).printed("");
    for page in ["devmap.1", "devmap-read.1", "devmap-watch.1", "devmap-info.1", "devmap-check.1"] {
        let text = fs::read_to_string(directory.path().join(page)).unwrap();
        assert!(text.contains(".SH SYNOPSIS"), "{page}");
    }
    let text = fs::read_to_string(directory.path().join("devmap.1")).unwrap();
    assert!(text.contains("interrupted by Ctrl"), "{text}");
    let text = fs::read_to_string(directory.path().join("devmap-check.1")).unwrap();
    assert!(text.contains("\\-\\-private") && text.contains("devmap check 0xc0000064 \\-\\-write"), "{text}");
    let absent = directory.path().join("absent");
    devmap(&["man", absent.to_str().unwrap()]).failed(4, "cannot write man pages");
}
