// SPDX-License-Identifier: MIT OR Apache-2.0

//! `devmap read`, `write`, `modify`, and what all commands share.

mod common;

use common::{program, FakeDevice, Ran};

#[test]
fn what_is_written_is_read_and_lies_where_it_should() {
    let fake = FakeDevice::new(&[0; 0x3000]);
    fake.devmap(&["write", "0x1064", "3", "-w", "8"]).printed("");
    fake.devmap(&["read", "0x1060+8", "--endian", "little"])
        .printed("0x00001060: 0x00000000\n0x00001064: 0x00000003\n");
    let mut expected = vec![0; 0x3000];
    expected[0x1064] = 3;
    assert!(fake.contents() == expected);
}

#[test]
fn every_width_and_order() {
    let fake = FakeDevice::new(&[0; 16]);
    fake.devmap(&["write", "--endian", "big", "-w", "16", "2", "0x1234", "0x5678"]).printed("");
    fake.devmap(&["read", "-w", "16", "2", "--endian", "be"]).printed("0x00000002: 0x1234\n");
    fake.devmap(&["read", "-w", "16", "2", "--endian", "le"]).printed("0x00000002: 0x3412\n");
    fake.devmap(&["write", "--endian", "little", "-w", "32", "8", "0xa1b2c3d4", "--verify"]).printed("");
    assert_eq!(fake.contents(), [0, 0, 0x12, 0x34, 0x56, 0x78, 0, 0, 0xd4, 0xc3, 0xb2, 0xa1, 0, 0, 0, 0]);
    fake.devmap(&["read", "-w", "8", "3"]).printed("0x00000003: 0x34\n");
    fake.devmap(&["read", "-w", "16", "2-5", "--endian=big"]).printed("0x00000002: 0x1234\n0x00000004: 0x5678\n");
    #[cfg(target_pointer_width = "64")]
    fake.devmap(&["read", "-w", "64", "8", "--endian=big"]).printed("0x00000008: 0xd4c3b2a100000000\n");
}

#[test]
fn bit_fields() {
    let fake = FakeDevice::new(&[0x5a; 4]);
    fake.devmap(&["read", "0:7:4", "0:1"]).printed("0x00000000:7:4: 0x5\n0x00000000:1:1: 0x1\n");
    fake.devmap(&["write", "0:7:4", "0xc", "-w", "8", "--verify"]).printed("0x00000000: 0x5a -> 0xca\n");
    assert_eq!(fake.contents(), [0xca, 0x5a, 0x5a, 0x5a]);
    fake.devmap(&["write", "0:7:4", "16"])
        .failed(2, "0x10 does not fit into 0x00000000:7:4, whose greatest value is 0xf");
    fake.devmap(&["write", "0:7:4", "1", "2"]).failed(2, "one value, not 2");
    fake.devmap(&["read", "0:32:1"]).failed(2, "no bit 32");
    fake.devmap(&["read", "0:1:2"]).misused("the high bit comes first");
    assert_eq!(fake.contents(), [0xca, 0x5a, 0x5a, 0x5a]);
}

#[test]
fn modify() {
    let fake = FakeDevice::new(&[0x0f, 0]);
    fake.devmap(&["modify", "0", "-w", "8", "--set", "0x80", "--clear", "3"]).printed("0x00000000: 0x0f -> 0x8c\n");
    fake.devmap(&["modify", "0", "-w", "8", "--mask", "0xf0", "0x30"]).printed("0x00000000: 0x8c -> 0x3c\n");
    fake.devmap(&["modify", "0", "-w", "8", "--set", "1", "--clear", "1"]).failed(2, "0x1 are named twice");
    fake.devmap(&["modify", "0", "-w", "8", "--set", "0x100"])
        .failed(2, "0x100 does not fit into one access of 8 bits");
    fake.devmap(&["modify", "0"]).misused("<--set <BITS>|--clear <BITS>|--mask <BITS>>");
    fake.devmap(&["modify", "0", "5"]).misused("--mask");
    fake.devmap(&["modify", "0:3", "--set", "1"]).misused("`0:3` is a bit field: give its address alone, 0x0");
    assert_eq!(fake.contents(), [0x3c, 0]);
}

#[test]
fn a_command_that_fails_has_changed_nothing() {
    let fake = FakeDevice::new(&[7; 16]);
    // The first value would fit.
    fake.devmap(&["write", "0", "1", "0x1_0000_0000"]).failed(2, "0x100000000 does not fit into one access of 32 bits");
    fake.devmap(&["write", "2", "1"]).failed(2, "4 bytes at 0x00000002 in one access: use a multiple of 0x4");
    fake.devmap(&["write", "12", "1", "2"]).failed(3, "0x0000000c-0x00000013");
    fake.devmap(&["write", "16", "1"]).failed(3, "the file ends after 0x10 bytes");
    fake.devmap(&["write", "0xfffffffffffffffc", "1", "2"]).failed(2, "beyond the last address");
    fake.devmap(&["write", "0+8", "1"]).failed(2, "use fill");
    fake.devmap(&["read", "0+6"]).failed(2, "cannot read 0x6 bytes in accesses of 32 bits");
    // The places that are valid are not printed either.
    let ran = fake.devmap(&["read", "0", "16"]);
    ran.failed(3, "the file ends");
    assert_eq!(ran.out, "");
    assert_eq!(fake.contents(), [7; 16]);
}

#[test]
fn wrong_arguments() {
    let fake = FakeDevice::new(&[7; 16]);
    fake.devmap(&["read", "c0000000"]).failed(2, "; if it is an address, write 0xc0000000");
    fake.devmap(&["read", "8z"]).misused("`8z` is not a number");
    fake.devmap(&["write", "0", "-1"]).misused("write the bits that are meant, as in 0xffffffff");
    fake.devmap(&["read"]).misused("<PLACE>");
    fake.devmap(&["read", "0", "-w", "24"]).misused("[possible values: 8, 16, 32");
    fake.devmap(&["read", "0", "--endian", "middle"]).misused("[possible values: native, little, big]");
    fake.devmap(&["dump", "0"]).misused("START+LENGTH");
    fake.devmap(&["frobnicate"]).misused("unrecognized subcommand");
}

#[test]
fn a_name_is_not_taken_for_another_device() {
    let fake = FakeDevice::new(&[7; 16]);
    let device = fake.path().display().to_string();
    let line = format!("devmap: sdram is the name of a window of /dev/map, but the device is {device}\n");
    for arguments in [
        &["read", "sdram"][..],
        &["read", "0", "sdram+0x64"],
        &["write", "sdram+4:7:4", "1"],
        &["modify", "sdram", "--set", "1"],
        &["dump", "sdram"],
        &["fill", "sdram+0+4", "0"],
        &["save", "sdram", "/dev/null"],
        &["load", "Cargo.toml", "sdram"],
        &["copy", "0+4", "sdram"],
        &["compare", "sdram+0-3", "0"],
        &["search", "sdram", "1"],
        &["test", "sdram"],
        &["watch", "sdram+4"],
        &["check", "sdram"],
        &["explain", "sdram+4", "4"],
        &["explain", "sdram"],
        &["lab", "device", "sdram"],
        &["read", "0", "--window", "sdram"],
        &["fill", "--window=sdram", "0+4", "0"],
    ] {
        let ran = fake.devmap(arguments);
        assert_eq!((ran.status, ran.out.as_str(), ran.err.as_str()), (Some(2), "", line.as_str()), "{arguments:?}");
    }
    fake.devmap(&["read", "--window=-regs", "0"]).failed(2, "-regs is the name of a window");
    fake.devmap(&["read", "--window", "Regs", "0"]).misused("`Regs` is not the name of a window");
    fake.devmap(&["dump", "sdram+4"]).misused("write sdram+4+LENGTH or sdram+4-LAST");
    fake.devmap(&["modify", "sdram+4:3", "--set", "1"]).misused("give its address alone, sdram+0x00000004");
    assert_eq!(fake.contents(), [7; 16]);
}

#[test]
fn a_device_that_is_absent_or_has_no_memory() {
    let devmap = |device: &str| Ran::new(program().args(["--device", device, "read", "0x1000"]));
    devmap("/dev/no-such-device").failed(3, "cannot open /dev/no-such-device: No such file or directory (ENOENT)");
    devmap("/dev/null").failed(3, "cannot map 0x00001000-0x00001003 of /dev/null: No such device (ENODEV)");
    devmap("/dev").failed(3, "it is a directory");
}

#[test]
fn the_environment_names_the_device_and_the_option_goes_before() {
    let (one, two) = (FakeDevice::new(&[1; 4]), FakeDevice::new(&[2; 4]));
    let mut command = program();
    command.env("DEVMAP_DEVICE", one.path()).args(["read", "0", "-w", "8"]);
    assert_eq!(command.output().unwrap().stdout, b"0x00000000: 0x01\n");
    command.arg("--device").arg(two.path());
    assert_eq!(command.output().unwrap().stdout, b"0x00000000: 0x02\n");
    // Of a repeated option the last counts, also after the command.
    command.arg("--device").arg(one.path());
    assert_eq!(command.output().unwrap().stdout, b"0x00000000: 0x01\n");
    two.devmap(&["-w", "32", "--json", "read", "0", "-w", "8", "--json"])
        .printed("{\"address\":\"0x00000000\",\"width\":8,\"value\":\"0x02\",\"number\":2}\n");
    // Empty is none.
    let devmap = |arguments: &[&str]| Ran::new(program().env("DEVMAP_DEVICE", "").args(arguments));
    devmap(&["explain", "0x1000+8"]).printed(&Ran::new(program().args(["explain", "0x1000+8"])).out);
    let ran = devmap(&["info"]);
    assert!(ran.out.contains("/dev/map,") || ran.err.contains("cannot open /dev/map:"), "{ran:?}");
    // The option before the command.
    Ran::new(two.command().env("DEVMAP_DEVICE", one.path()).args(["read", "0", "-w", "8"]))
        .printed("0x00000000: 0x02\n");
}

#[test]
fn json() {
    let fake = FakeDevice::new(&[0; 8]);
    fake.devmap(&["--json", "write", "0", "1", "2", "-w", "8"])
        .printed("{\"address\":\"0x00000000\",\"width\":8,\"values\":[\"0x01\",\"0x02\"],\"numbers\":[1,2],\"verified\":false}\n");
    fake.devmap(&["--json", "read", "0+2", "1:1", "-w", "8"]).printed(
        "{\"address\":\"0x00000000\",\"width\":8,\"value\":\"0x01\",\"number\":1}\n\
         {\"address\":\"0x00000001\",\"width\":8,\"value\":\"0x02\",\"number\":2}\n\
         {\"address\":\"0x00000001\",\"width\":8,\"field\":\"1:1\",\"value\":\"0x1\",\"number\":1}\n",
    );
    fake.devmap(&["--json", "modify", "0", "--set", "4", "-w", "8", "--verify"]).printed(
        "{\"address\":\"0x00000000\",\"width\":8,\"before\":\"0x01\",\"before_number\":1,\
         \"after\":\"0x05\",\"after_number\":5,\"verified\":true}\n",
    );
}

#[test]
fn a_failure_is_json_too() {
    let fake = FakeDevice::new(&[0; 8]);
    let path = fake.path().display();
    for (arguments, status, error) in [
        (
            &["read", "2"][..],
            2,
            "cannot read 4 bytes at 0x00000002 in one access: use a multiple of 0x4 or a smaller width".to_owned(),
        ),
        (&["search", "0+8", "5"], 1, "no match in 0x00000000-0x00000007".into()),
        (
            &["check", "0"],
            3,
            format!("cannot ask {path}: it is a regular file; only the map driver answers, whose node is /dev/map"),
        ),
        (&["verify", "/no/such", "0"], 4, "cannot read /no/such: No such file or directory (ENOENT)".into()),
    ] {
        let ran = fake.devmap(&[arguments, &["--json"]].concat());
        assert_eq!(ran.status, Some(status), "{ran:?}");
        assert_eq!(ran.err, format!("{{\"error\":\"{error}\",\"status\":{status}}}\n"));
    }
    // What cannot be parsed may not be --json.
    fake.devmap(&["read", "--json"]).misused("<PLACE>");
}
