// SPDX-License-Identifier: MIT OR Apache-2.0

//! What scripts need: many accesses in one process, `wait`, `run`, and values alone.

mod common;

use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use common::{program, start, FakeDevice, Ran};

#[test]
fn many_places_get_their_values_or_none_does() {
    let fake = FakeDevice::new(&[7; 0x2010]);
    fake.devmap(&["write", "0=0x01020304", "0x2000=5", "4:7:4=0xa", "--endian", "little"])
        .printed("0x00000004: 0x07070707 -> 0x070707a7\n");
    let mut expected = vec![7; 0x2010];
    expected[..8].copy_from_slice(&[4, 3, 2, 1, 0xa7, 7, 7, 7]);
    expected[0x2000..0x2004].copy_from_slice(&[5, 0, 0, 0]);
    assert!(fake.contents() == expected);
    for (arguments, status, says) in [
        (&["write", "0=1", "0x2010=2"][..], 3, "the file ends after 0x2010 bytes"),
        (&["write", "0=1", "2=2"], 2, "4 bytes at 0x00000002 in one access"),
        (&["write", "0=1", "4=0x1_0000_0000"], 2, "does not fit"),
        (&["write", "0=1", "4:3:0=16"], 2, "whose greatest value is 0xf"),
        (&["write", "0=1", "2"], 2, "write either PLACE VALUE..., or only PLACE=VALUE..."),
        (&["write", "0", "1", "4=2"], 2, "write either PLACE VALUE..., or only PLACE=VALUE..."),
        (&["write", "0"], 2, "there is no value"),
        (&["write", "0+8=1"], 2, "use fill"),
    ] {
        fake.devmap(arguments).failed(status, says);
    }
    assert!(fake.contents() == expected);
}

#[test]
fn values_alone_and_in_other_formats() {
    let fake = FakeDevice::new(&[0x5a, 0, 0xff, 1]);
    fake.devmap(&["read", "-q", "-w", "8", "0", "2:7:4"]).printed("0x5a\n0xf\n");
    fake.devmap(&["read", "-q", "-w", "8", "0-3", "--format", "decimal"]).printed("90\n0\n255\n1\n");
    fake.devmap(&["read", "-w", "8", "0", "0:6:3", "--format", "binary"])
        .printed("0x00000000: 0b01011010\n0x00000000:6:3: 0b1011\n");
    fake.devmap(&["modify", "-w", "8", "3", "--set", "6", "--format", "decimal"]).printed("0x00000003: 1 -> 7\n");
    // JSON has both.
    fake.devmap(&["read", "-q", "-w", "8", "0", "--format", "binary", "--json"])
        .printed("{\"address\":\"0x00000000\",\"width\":8,\"value\":\"0x5a\",\"number\":90}\n");
    fake.devmap(&["watch", "-w", "8", "0", "--count", "1", "--format", "binary"]);
}

#[test]
fn numbers_count_from_the_base() {
    let fake = FakeDevice::new(&(0..64).collect::<Vec<u8>>());
    fake.devmap(&["read", "--base", "0x10", "4", "8+2", "-w", "8"])
        .printed("0x00000014: 0x14\n0x00000018: 0x18\n0x00000019: 0x19\n");
    fake.devmap(&["write", "--base", "0x20", "0=0xff", "-w", "8"]).printed("");
    assert_eq!(fake.contents()[0x20], 0xff);
    fake.devmap(&["dump", "--base", "0x30", "0+1"]);
    fake.devmap(&["read", "--base", "0xffffffffffffffff", "4"]).failed(2, "goes beyond the last address");
    fake.devmap(&["read", "--base", "0+4", "4"]).misused("`0+4` is a range");
    fake.devmap(&["read", "--base", "0", "--window", "sdram", "4"]).misused("cannot be used with");
}

#[test]
fn memory_with_a_name_has_a_device_of_its_own() {
    let fake = FakeDevice::new(&[7; 16]);
    let device = fake.path().display().to_string();
    fake.devmap(&["read", "uio0/regs+4"])
        .failed(2, &format!("uio0/regs is memory of /dev/uio0, but the device is {device}"));
    fake.devmap(&["read", "--pci", "0000:ff:1f.7/5", "4"]).failed(2, "resource5, but the device is");
    let devmap = |arguments: &[&str]| Ran::new(program().args(arguments));
    devmap(&["read", "pci/0000:ff:1f.7/5+4"])
        .failed(3, "cannot open /sys/bus/pci/devices/0000:ff:1f.7/resource5: No such file or directory (ENOENT)");
    devmap(&["read", "--pci", "ff:1f.7/5", "4"]).failed(3, "0000:ff:1f.7/resource5: No such file");
    devmap(&["dump", "uio9999/regs"]).failed(3, "cannot open /dev/uio9999: No such file or directory (ENOENT)");
    devmap(&["read", "--pci", "0000:00:04.0", "4"]).misused("as in pci/0000:01:00.0/0");
    devmap(&["read", "iomem/no such line+4"]).misused("/proc/iomem");
    devmap(&["read", "a/b+4"]).misused("a name with / is that of a UIO map");
    devmap(&["explain", "uio0/regs+4", "4"]).failed(2, "uio0/regs is not mapped by its addresses");
}

#[test]
fn a_wait_ends_when_the_bits_are_there() {
    let fake = FakeDevice::new(&[0; 8]);
    fake.devmap(&["wait", "0", "--value", "0"]).printed("0x00000000: 0x00000000\n");
    fake.devmap(&["wait", "4:0", "--value", "0", "-q"]).printed("0x0\n");
    let child =
        start(fake.command().args(["wait", "4", "-w", "8", "--mask", "0x81", "--value", "0x80", "--timeout", "1min"]));
    thread::sleep(Duration::from_millis(100));
    let mapping = fake.map(0, 8).unwrap();
    mapping.write::<u8>(4, 0x81).unwrap();
    thread::sleep(Duration::from_millis(100));
    mapping.write::<u8>(4, 0xc2).unwrap();
    Ran::wait(child).printed("0x00000004: 0xc2\n");
}

#[test]
fn a_wait_that_is_in_vain_has_a_status_of_its_own() {
    let fake = FakeDevice::new(&[5, 0, 0, 0]);
    let start = Instant::now();
    let ran = fake.devmap(&["wait", "0", "--mask", "0xf", "--value", "4", "--timeout", "50"]);
    ran.failed(5, "timed out: 0x00000000 is 0x00000005, and the bits 0x0000000f are not 0x00000004");
    assert!(start.elapsed() >= Duration::from_millis(50));
    fake.devmap(&["wait", "0:3:2", "--value", "2", "--timeout", "0"]).failed(5, "0x00000000:3:2 is 0x1, not 0x2");
    fake.devmap(&["wait", "0", "--value", "4", "--timeout", "1us", "--json"]);
    for (arguments, says) in [
        (&["wait", "0", "--value", "0x10", "--mask", "0xf"][..], "bits outside of the mask"),
        (&["wait", "0", "--value", "0x100", "-w", "8"], "does not fit"),
        (&["wait", "0:3:2", "--value", "4"], "its greatest value is 0x3"),
        (&["wait", "0+8", "--value", "4"], "is a range"),
    ] {
        fake.devmap(arguments).failed(2, says);
    }
    fake.devmap(&["wait", "0"]).misused("--value <VALUE>");
}

/// Runs `script` through standard input.
fn run(fake: &FakeDevice, script: &str) -> Ran {
    let mut child = start(fake.command().args(["run", "-"]).stdin(Stdio::piped()));
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    Ran::wait(child)
}

#[test]
fn a_script_does_its_lines_one_after_the_other() {
    let fake = FakeDevice::new(&[0; 16]);
    run(
        &fake,
        "# set up\n\
         write 0=1 4=2   # both\n\
         \n\
         modify 0 --set 0x80 --verify\n\
         write 8 0x1234 -w 16 --endian big\n\
         delay 1ms\n\
         wait 0:7 --value 1 --timeout 1s -q\n\
         read 4 '8' -w\n",
    )
    .failed(2, "-:8: a value is required for '--width");
    assert_eq!(fake.contents(), [0; 16]);
    run(&fake, "write 0=1 4=2\nmodify 0 --set 0x80\nwrite 8 0x1234 -w 16 --endian big\nread 8+2 -w 8\ndelay 1\n")
        .printed("0x00000000: 0x00000001 -> 0x00000081\n0x00000008: 0x12\n0x00000009: 0x34\n");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("script");
    fs::write(&path, "read 4 -q").unwrap();
    fake.devmap(&["run", path.to_str().unwrap()]).printed("0x00000002\n");
    fake.devmap(&["run", "/no/such/script"]).failed(4, "cannot read /no/such/script: No such file");
}

#[test]
fn a_script_with_a_mistake_does_nothing_and_one_that_fails_stops_there() {
    let fake = FakeDevice::new(&[7; 16]);
    for (script, status, says) in [
        ("write 0=1\nfrobnicate 3\n", 2, "-:2: unrecognized subcommand 'frobnicate'"),
        ("write 0=1\nwrite 4=0x1_0000_0000\n", 2, "-:2: 0x100000000 does not fit"),
        ("write 0=1\n\nread 16\n", 3, "-:3: cannot map 0x00000010-0x00000013"),
        ("write 0=1\nread 'x\n", 2, "-:2: `read 'x` has a quotation mark that nothing closes"),
        ("write 0=1\nmodify 0 --set 1 --clear 1\n", 2, "-:2: the bits 0x1 are named twice"),
        ("write 0=1\nread 4 --device x\n", 2, "-:2: unexpected argument '--device'"),
    ] {
        run(&fake, script).failed(status, says);
        assert_eq!(fake.contents(), [7; 16], "{script}");
    }
    let ran = run(&fake, "write 0=1\nwait 4:0 --value 0 --timeout 1ms\nwrite 0=2\n");
    ran.failed(5, "-:2: timed out: 0x00000004:0:0 is 0x1, not 0x0");
    assert_eq!(fake.contents()[0], 1);
}

#[test]
fn a_script_has_the_byte_order_of_the_command_and_few_mappings() {
    let fake = FakeDevice::new(&[0; 0x1000]);
    let mut child = start(fake.command().args(["--endian", "big", "run", "-"]).stdin(Stdio::piped()));
    let many: String = (0..70_000).map(|line| format!("write {:#x}={line:#x}\n", 4 * (line % 256))).collect();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(format!("write 0x800=1\nwrite 0x804=1 --endian little\n{many}").as_bytes())
        .unwrap();
    Ran::wait(child).printed("");
    assert_eq!(fake.contents()[0x800..0x808], [0, 0, 0, 1, 1, 0, 0, 0]);
    assert_eq!(fake.contents()[0x10..0x14], (69_892_u32 - 69_892 % 256 + 4).to_be_bytes());
}

#[test]
fn a_script_whose_output_nobody_reads_fails() {
    let fake = FakeDevice::new(&[0; 16]);
    let script = "read 0\ndelay 100ms\nread 4\ndelay 1ms\nwrite 8=1\n";
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("script");
    fs::write(&path, script).unwrap();
    let mut child = fake.command().arg("run").arg(&path).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    Ran::wait(child).failed(4, "cannot write the output: Broken pipe");
    assert_eq!(fake.contents(), [0; 16]);
}
