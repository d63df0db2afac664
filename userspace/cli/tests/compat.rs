// SPDX-License-Identifier: MIT OR Apache-2.0

//! `devmem2` and `devmem`, the same program under other names.

mod common;

use std::os::unix::fs::symlink;
use std::process::Command;

use common::{FakeDevice, Ran};

/// Runs the program under another name on `fake`.
fn run_as(name: &str, fake: &FakeDevice, arguments: &[&str]) -> Ran {
    run_in(&[], name, fake, arguments)
}

/// The same with these variables in its environment.
fn run_in(environment: &[(&str, &str)], name: &str, fake: &FakeDevice, arguments: &[&str]) -> Ran {
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join(name);
    symlink(env!("CARGO_BIN_EXE_devmap"), &link).unwrap();
    let mut command = Command::new(link);
    command.args(arguments).env_remove("DEVMEM2_READBACK").env("DEVMAP_DEVICE", fake.path());
    Ran::new(command.envs(environment.iter().copied()))
}

#[test]
fn devmem_prints_all_digits_of_the_width_in_capitals() {
    let fake = FakeDevice::new(&[0xab, 0, 0, 0, 0xcd, 0, 0, 0]);
    run_as("devmem", &fake, &["0", "8"]).printed("0xAB\n");
    run_as("devmem", &fake, &["4", "16", "010"]).printed("");
    assert_eq!(fake.contents()[4..6], 8u16.to_ne_bytes());
    let value = u32::from_ne_bytes([0xab, 0, 0, 0]);
    run_as("devmem", &fake, &["0x0"]).printed(&format!("0x{value:08X}\n"));
}

#[test]
fn devmem2_prints_what_scripts_look_for() {
    let fake = FakeDevice::new(&[0; 8]);
    let ran = run_as("devmem2", &fake, &["0x4", "w", "0xAbC"]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    assert!(ran.out.ends_with(".\nWritten 0xABC\n"), "{ran:?}");
    assert_eq!(fake.contents()[4..], 0xabcu32.to_ne_bytes());
    let lines = run_as("devmem2", &fake, &["4"]).out;
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines[0], format!("{} opened.", fake.path().display()));
    assert!(lines[1].starts_with("Memory mapped at address 0x") && lines[1].ends_with("000."), "{lines:?}");
    assert!(lines[2].starts_with("Value at address 0x4 (0x") && lines[2].ends_with("004): 0xABC"), "{lines:?}");
}

#[test]
fn devmem2_reads_beside_a_write_only_if_it_is_asked_to() {
    let fake = FakeDevice::new(&[5; 8]);
    let asked = [("DEVMEM2_READBACK", "1")];
    for (environment, arguments) in
        [(&[][..], &["--readback", "4", "b", "7"][..]), (&[], &["-r", "4", "b", "7"]), (&asked, &["4", "b", "7"])]
    {
        std::fs::write(fake.path(), [5; 8]).unwrap();
        let ran = run_in(environment, "devmem2", &fake, arguments);
        let lines: Vec<&str> = ran.out.lines().collect();
        assert!(lines[2].starts_with("Value at address 0x4 (0x") && lines[2].ends_with("): 0x5"), "{ran:?}");
        assert_eq!((ran.status, &lines[3..]), (Some(0), &["Written 0x7; readback 0x7"][..]), "{ran:?}");
        assert_eq!(fake.contents(), [5, 5, 5, 5, 7, 5, 5, 5]);
    }
    // An empty variable does not ask for it.
    let ran = run_in(&[("DEVMEM2_READBACK", "")], "devmem2", &fake, &["4", "b", "8"]);
    assert!(!ran.out.contains("Value") && ran.out.ends_with("\nWritten 0x8\n"), "{ran:?}");
}

#[test]
fn both_print_their_usage_on_request() {
    let fake = FakeDevice::new(&[7; 8]);
    for name in ["devmem", "devmem2"] {
        for arguments in [&["--help"][..], &["-h"], &["0", "b", "--help"]] {
            let ran = run_as(name, &fake, arguments);
            assert_eq!((ran.status, ran.err.as_str()), (Some(0), ""), "{ran:?}");
            assert!(ran.out.starts_with(&format!("Usage: {name} ")) && ran.out.ends_with('\n'), "{ran:?}");
        }
    }
    assert_eq!(fake.contents(), [7; 8]);
}

#[test]
fn both_fail_with_status_1_and_change_nothing() {
    let fake = FakeDevice::new(&[7; 8]);
    for (name, arguments, says) in [
        ("devmem", &[][..], "an address is missing"),
        ("devmem", &["x"], "`x` is not a number"),
        ("devmem", &["0", "24"], "`24` is not a width"),
        ("devmem", &["0", "8", "1", "2"], "`2` is one argument too many"),
        ("devmem", &["0", "8", "0x100"], "0x100 does not fit into one access of 8 bits"),
        ("devmem2", &["0", "b", "-1"], "`-1` is not a number"),
        ("devmem2", &["0", "x"], "`x` is not a width"),
        ("devmem2", &["8", "w", "1"], "the file ends"),
        // The original would read past its page.
        ("devmem2", &["0xffe", "w"], "cannot map"),
        ("devmem2", &["2", "w", "1"], "cannot write 4 bytes at 0x00000002 in one access"),
    ] {
        let ran = run_as(name, &fake, arguments);
        assert_eq!(ran.status, Some(1), "{ran:?}");
        assert!(ran.err.starts_with(&format!("{name}: ")) && ran.err.contains(says), "{ran:?}");
    }
    assert_eq!(fake.contents(), [7; 8]);
}
