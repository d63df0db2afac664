// SPDX-License-Identifier: MIT OR Apache-2.0

//! The same program under the names of others.

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
fn an_empty_name_of_the_device_is_none() {
    let fake = FakeDevice::new(&[0; 8]);
    // The driver's node may exist.
    for program in ["devmem", "devmem2", "rwmem"] {
        let ran = run_in(&[("DEVMAP_DEVICE", "")], program, &fake, &["0xfffffffffffff000"]);
        assert!(ran.status == Some(1) && ran.err.contains(" /dev/map: "), "{ran:?}");
    }
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
fn all_print_their_usage_on_request() {
    let fake = FakeDevice::new(&[7; 8]);
    let usage = |name, arguments: &[&str], of: &str| {
        let ran = run_as(name, &fake, arguments);
        assert_eq!((ran.status, ran.err.as_str()), (Some(0), ""), "{ran:?}");
        assert!(ran.out.starts_with(&format!("Usage: {of} ")) && ran.out.ends_with('\n'), "{ran:?}");
    };
    for name in ["devmem", "devmem2", "md", "mw", "memtool", "rwmem"] {
        usage(name, &["--help"], name);
        usage(name, &["-h"], name);
    }
    for name in ["devmem", "devmem2", "md", "mw", "rwmem"] {
        usage(name, &["0", "b", "--help"], name);
    }
    usage("memtool", &["md", "-h"], "md");
    usage("memtool", &["mw", "0", "1", "--help"], "mw");
    assert_eq!(fake.contents(), [7; 8]);
}

/// Each of these programs fails with its arguments, for this reason, and changes nothing.
fn all_fail(fake: &FakeDevice, table: &[(&str, &str, &str)]) {
    let before = fake.contents();
    for (name, arguments, says) in table {
        let ran = run_as(name, fake, &arguments.split_whitespace().collect::<Vec<_>>());
        assert_eq!((ran.status, ran.out.as_str()), (Some(1), ""), "{ran:?}");
        assert!(ran.err.starts_with(&format!("{name}: ")) && ran.err.contains(says), "{ran:?}");
        // Two of them print their usage after it.
        assert!(ran.err.lines().count() == 1 || ran.err.contains("\nUsage: devmem"), "{ran:?}");
    }
    assert_eq!(fake.contents(), before);
}

#[test]
fn md_prints_lines_of_16_bytes() {
    let fake = FakeDevice::new(&(0x30..0x30 + 80).collect::<Vec<u8>>());
    let lines = "\
00000002: 32 33 34 35 36 37 38 39 3a 3b 3c 3d 3e 3f 40 41    23456789:;<=>?@A
00000012: 42 43 44                                           BCD
";
    run_as("md", &fake, &["-b", "2+19"]).printed(lines);
    run_as("memtool", &fake, &["md", "2-0x14", "-b"]).printed(lines);
    let value = |bytes: [u8; 4]| u32::from_ne_bytes(bytes);
    let [first, second] = [value(*b"PQRS"), value(*b"TUVW")];
    let end = format!("{:50}PQRSTUVW\n", "").replacen(&" ".repeat(16), "", 1);
    run_as("md", &fake, &["0x20+8"]).printed(&format!("00000020: {first:08x} {second:08x}{end}"));
    let [first, second] = [first, second].map(u32::swap_bytes);
    run_as("md", &fake, &["-x", "0x20+8"]).printed(&format!("00000020: {first:08x} {second:08x}{end}"));
}

#[test]
fn md_takes_a_file_of_its_own_and_a_default_region() {
    let [fake, other] = [FakeDevice::new(&[0; 0x100]), FakeDevice::new(&[b'x'; 0x200])];
    assert_eq!(run_as("md", &fake, &[]).out.lines().count(), 16);
    for path in [other.path().display().to_string(), format!("mmap:{}", other.path().display())] {
        let ran = run_as("md", &fake, &["-s", &path, "0x100"]);
        assert!(ran.out.starts_with("00000100: 78787878 ") && ran.out.lines().count() == 16, "{ran:?}");
    }
    run_as("mw", &fake, &["-d", other.path().to_str().unwrap(), "0", "1"]).printed("");
    assert_eq!((fake.contents()[0], &other.contents()[..4]), (0, &1u32.to_ne_bytes()[..]));
}

#[test]
fn md_leaves_out_what_is_no_whole_value() {
    let fake = FakeDevice::new(&[0; 8]);
    let ran = run_as("md", &fake, &["0-4"]);
    assert_eq!((ran.status, ran.out.as_str()), (Some(0), &*format!("00000000: 00000000{:43}....\n", "")));
    assert_eq!(ran.err, "md: `0-4` ends within a value of 32 bits, which is left out\n");
}

#[test]
fn mw_writes_one_value_after_the_other() {
    let fake = FakeDevice::new(&[7; 8]);
    run_as("mw", &fake, &["-b", "1", "0x10", "010", "10"]).printed("");
    assert_eq!(fake.contents(), [7, 0x10, 8, 10, 7, 7, 7, 7]);
    run_as("memtool", &fake, &["mw", "-w", "0", "0xffff", "1"]).printed("");
    assert_eq!(fake.contents()[2..], [&1u16.to_ne_bytes()[..], &[7; 4]].concat());
}

#[test]
fn memtool_fails_with_status_1_and_changes_nothing() {
    all_fail(
        &FakeDevice::new(&[7; 8]),
        &[
            ("memtool", "", "the command is missing: give md or mw"),
            ("memtool", "me", "there is no command `me`"),
            ("memtool", "mw 0 1 x", "`x` is not a number"),
            ("md", "x", "`x` is not a number"),
            ("md", "-z 0", "invalid option '-z'"),
            ("md", "-s", "missing argument for option '-s'"),
            ("md", "-s mdio:eth0. 0+4", "the registers of a PHY are not memory"),
            ("md", "0+4 4+4", "`4+4` is one argument too many"),
            ("md", "4+0", "`4+0` is empty"),
            ("md", "2+4", "cannot read 4 bytes at 0x00000002 in one access"),
            ("md", "0+12", "the file ends after 0x8 bytes"),
            ("md", "0xfffffffffffffffc+8", "goes beyond the last address"),
            ("mw", "", "the offset is missing"),
            ("mw", "0", "the data is missing"),
            ("mw", "0 1 -1", "invalid option '-1'"),
            ("mw", "-b 0 1 0x100", "0x100 does not fit into one access of 8 bits"),
            ("mw", "2 1", "cannot write 4 bytes at 0x00000002 in one access"),
            ("mw", "4 1 2", "the file ends after 0x8 bytes"),
            ("mw", "-x 0 1", "invalid option '-x'"),
        ],
    );
}

#[test]
fn rwmem_prints_a_line_for_each_value_and_field() {
    let fake = FakeDevice::new(&[0x39, 0x0c, 0x8c, 0x7d, 0x72, 0x47, 0x34, 0x2c]);
    run_as("rwmem", &fake, &["0"]).printed("0x00 = 0x7d8c0c39\n");
    run_as("rwmem", &fake, &["-s", "16", "4+4", "0:7:4"]).printed(concat!(
        "0x04 (+0x0) = 0x4772\n",
        "0x06 (+0x2) = 0x2c34\n",
        "0x00 = 0x0c39\n",
        "   7:4  = 0x0003 \n",
    ));
    run_as("rwmem", &fake, &["-s", "32be", "0"]).printed("0x00 = 0x390c8c7d\n");
    run_as("rwmem", &fake, &["-s", "32bes", "0-8:15"]).printed(concat!(
        "0x00 = 0x8c7d390c\n",
        "     15 = 0x00000000 \n",
        "0x04 = 0x342c7247\n",
        "     15 = 0x00000000 \n",
    ));
    run_as("rwmem", &fake, &["-f", "d", "0", "4:7:4"]).printed(concat!(
        "0x00 =  2106330169\n",
        "0x04 (+0x0) =   741623666\n",
        "   7:4  = 7           \n",
    ));
    run_as("rwmem", &fake, &["-b", "-s8", "-p", "r", "4:7:4"]).printed("0x04 (+0x0) = 0b01110010\n");
    run_as("rwmem", &fake, &["-pq", "0"]).printed("");
}

#[test]
fn rwmem_writes_in_three_modes() {
    let fake = FakeDevice::new(&[0xff; 8]);
    run_as("rwmem", &fake, &["4:7:4=5"]).printed(concat!(
        "0x04 (+0x0) = 0xffffffff := 0xffffff5f -> 0xffffff5f\n",
        "   7:4  = 0x0000000f := 0x00000005 -> 0x00000005 \n",
    ));
    run_as("rwmem", &fake, &["-w", "rw", "-s", "8", "4=1"]).printed("0x04 (+0x0) = 0x5f := 0x01\n");
    // All other bits become 0.
    run_as("rwmem", &fake, &["-w", "w", "-s", "8", "7:3=1"])
        .printed(concat!("0x07 (+0x0)  := 0x08\n", "     3  = := 0x01 \n",));
    assert_eq!(fake.contents(), [0xff, 0xff, 0xff, 0xff, 1, 0xff, 0xff, 8]);
    run_as("rwmem", &fake, &["-pq", "-s", "16be", "0+4=0x1234", "6=5"]).printed("");
    assert_eq!(fake.contents(), [0x12, 0x34, 0x12, 0x34, 1, 0xff, 0, 5]);
    run_as("rwmem", &fake, &["-pq", "-s", "32les", "0=0x12345678"]).printed("");
    assert_eq!(fake.contents()[..4], [0x34, 0x12, 0x78, 0x56]);
}

#[test]
fn rwmem_takes_a_file_of_its_own_and_copies_bytes() {
    let [fake, other] = [FakeDevice::new(&[0; 8]), FakeDevice::new(b"in order")];
    let path = other.path().to_str().unwrap();
    // Values get the order of the processor.
    let size = if cfg!(target_endian = "big") { "16le" } else { "16be" };
    run_as("rwmem", &fake, &["mmap", path, "-R", "-s", size, "0+8"]).printed("nio drre");
    run_as("rwmem", &fake, &["--mmap", path, "-R", "-s8", "3+3", "0"]).printed("ordi");
}

#[test]
fn rwmem_fails_with_status_1_and_changes_nothing() {
    all_fail(
        &FakeDevice::new(&[7; 8]),
        &[
            ("rwmem", "", "an address is missing"),
            ("rwmem", "0=1 4=x", "`x` is not a number"),
            ("rwmem", "0=1 4:3=2", "`4:3=2`: 0x2 does not fit"),
            ("rwmem", "0=1 8=1", "the file ends after 0x8 bytes"),
            ("rwmem", "0=1 2", "cannot read 4 bytes at 0x00000002 in one access"),
            ("rwmem", "0=1 4+3=1", "cannot write 0x3 bytes in accesses of 32 bits"),
            ("rwmem", "0=1 DISPC.SYSCONFIG", "register databases are not read"),
            ("rwmem", "-s 24 0=1", "`24` is not the size of an access"),
            ("rwmem", "i2c 1:0x50 0=1", "devices on an I2C bus are not memory"),
            ("rwmem", "mmap no/such/file 0=1", "cannot open no/such/file"),
        ],
    );
}

#[test]
fn devmem2_and_devmem_fail_with_status_1_and_change_nothing() {
    all_fail(
        &FakeDevice::new(&[7; 8]),
        &[
            ("devmem", "", "an address is missing"),
            ("devmem", "x", "`x` is not a number"),
            ("devmem", "0 24", "`24` is not a width"),
            ("devmem", "0 8 1 2", "`2` is one argument too many"),
            ("devmem", "0 8 0x100", "0x100 does not fit into one access of 8 bits"),
            ("devmem2", "0 b -1", "`-1` is not a number"),
            ("devmem2", "0 x", "`x` is not a width"),
            ("devmem2", "8 w 1", "the file ends"),
            // The original would read past its page.
            ("devmem2", "0xffe w", "cannot map"),
            ("devmem2", "2 w 1", "cannot write 4 bytes at 0x00000002 in one access"),
        ],
    );
}
