// SPDX-License-Identifier: MIT OR Apache-2.0

//! Registers by the names of a description, on a file that plays the serial port of arm64's board. In the guests they
//! are on what QEMU has.

mod common;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process::Command;

use common::{program, start, Ran};
use tempfile::TempDir;

const SVD: &str = "../lib/examples/svd/pl011.svd";

/// Where the description has the port, and some of its registers.
const PORT: u64 = 0x0900_0000;
const FLAGS: u64 = PORT + 0x18;
const LINES: u64 = PORT + 0x2c;
const CONTROL: u64 = PORT + 0x30;

/// A file in which the port's registers are.
struct Board {
    directory: TempDir,
    memory: File,
}

impl Board {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let memory =
            File::options().read(true).write(true).create_new(true).open(directory.path().join("memory")).unwrap();
        memory.set_len(PORT + 0x2000).unwrap();
        Self { directory, memory }
    }

    fn command(&self) -> Command {
        let mut command = program();
        command.arg("--device").arg(self.directory.path().join("memory"));
        command.env("DEVMAP_SVD", SVD).env("XDG_CONFIG_HOME", self.directory.path());
        command
    }

    fn devmap(&self, line: &str) -> Ran {
        Ran::new(self.command().args(line.split_whitespace()))
    }

    fn set(&self, address: u64, value: u32) {
        self.memory.write_all_at(&value.to_le_bytes(), address).unwrap();
    }

    fn get(&self, address: u64) -> u32 {
        let mut bytes = [0; 4];
        self.memory.read_exact_at(&mut bytes, address).unwrap();
        u32::from_le_bytes(bytes)
    }

    /// A file beside the memory.
    fn file(&self, name: &str, contents: &str) -> String {
        let path = self.directory.path().join(name);
        fs::write(&path, contents).unwrap();
        path.display().to_string()
    }
}

#[test]
fn a_register_is_decoded() {
    let board = Board::new();
    board.set(LINES, 0x61);
    board.devmap("read UART0.LCRH").printed(
        "UART0.LCRH: 0x00000061\n\
         \u{20} BRK   0    0x1            Sends a break\n\
         \u{20} PEN   1    0x0  Disabled  No parity bit\n\
         \u{20} EPS   2    0x0  Odd       An odd number of ones\n\
         \u{20} STP2  3    0x0  One       One stop bit\n\
         \u{20} FEN   4    0x0  Disabled  One character at a time\n\
         \u{20} WLEN  6:5  0x3  Bits8     8 bits\n\
         \u{20} SPS   7    0x0            Stick parity: the parity bit is the inverse of EPS\n",
    );
    // In every spelling.
    for path in ["UART0.LCRH.WLEN", "UART0.LCRH:WLEN", "uart0.lcrh.wlen"] {
        board.devmap(&format!("read {path}")).printed("UART0.LCRH.WLEN: 0x3 Bits8\n");
    }
    board
        .devmap("read -q UART0.LCRH UART0.LCRH.WLEN UART0.LCRH:0 0x0900002c")
        .printed("0x00000061\n0x3\n0x1\n0x00000061\n");
    board.devmap("read UART0.LCRH.WLEN --format decimal --json").printed(
        "{\"register\":\"UART0.LCRH.WLEN\",\"address\":\"0x0900002c\",\"width\":32,\"field\":\"6:5\",\"value\":\"0x3\",\
         \"number\":3,\"enumerated\":\"Bits8\"}\n",
    );
    let json = board.devmap("read UART0.LCRH --json").out;
    assert!(
        json.contains(
            r#"{"name":"WLEN","bits":"6:5","value":"0x3","number":3,"enumerated":"Bits8","description":"8 bits"}"#
        ),
        "{json}"
    );
}

#[test]
fn many_are_read_without_a_change_of_the_device() {
    let board = Board::new();
    let ran = board.devmap("read -q UART0");
    let left_out = "devmap: left out: reading UART0.DR changes the device: give --force, or its name alone\n\
                    devmap: left out: UART0.ICR is write-only: it cannot be read\n";
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), left_out));
    let all = board.devmap("read -q UART0 --force");
    assert_eq!(all.out.lines().count(), ran.out.lines().count() + 1);
    board.devmap("read -q UART0.DR").printed("0x00000000\n");
    board.devmap("read -q UART0.?BRD").printed("0x00000000\n0x00000000\n");
    board.devmap("read UART0.ICR").failed(2, "UART0.ICR is write-only: it cannot be read");
}

#[test]
fn the_order_that_a_description_states_is_not_overridden() {
    let board = Board::new();
    let says = "UART0.CR is little-endian: omit --endian";
    let script = board.file("script", "write UART0.LCRH=1\nread UART0.CR --endian big\n");
    for line in ["read UART0.CR --endian big", "write UART0.CR=1 --endian be", &format!("run {script}")] {
        board.devmap(line).failed(2, says);
    }
    assert_eq!((board.get(CONTROL), board.get(LINES)), (0, 0));
    board.devmap("write UART0.CR=0x301 --endian little").printed("");
    assert_eq!(board.get(CONTROL), 0x301);
    // One that states none.
    let text = fs::read_to_string(SVD).unwrap();
    let silent = board.file("silent.svd", &text.replace("<endian>little</endian>", "<endian>selectable</endian>"));
    board.devmap(&format!("read -q UART0.CR --endian big --svd {silent}")).printed("0x01030000\n");
}

#[test]
fn what_reads_nothing_fails() {
    let board = Board::new();
    let script = board.file("script", "read UART0.DR*\n");
    for (line, place) in [
        ("read UART0.IC*", ""),
        ("read -q UART0.DR*", ""),
        ("read UART0.DR* UART0.ICR*", ""),
        ("snapshot UART0.ICR*", ""),
        ("watch UART0.ICR* --count 1", ""),
        (&format!("run {script}"), &format!("{script}:1: ")),
    ] {
        let ran = board.devmap(line);
        let says = format!("devmap: {place}there is nothing to read: all was left out, for the reasons above");
        let last = ran.err.lines().last().unwrap();
        assert_eq!((ran.status, ran.out.as_str(), last), (Some(2), "", says.as_str()), "{line}: {ran:?}");
        assert!(ran.err.lines().count() > 1 && ran.err.starts_with("devmap: left out: "), "{ran:?}");
    }
    // One is enough.
    let ran = board.devmap("read -q UART0.IC* UART0.CR");
    assert_eq!((ran.status, ran.out.as_str()), (Some(0), "0x00000000\n"), "{ran:?}");
}

#[test]
fn a_field_is_written_by_number_or_name_and_the_others_stay() {
    let board = Board::new();
    board.set(LINES, 0x93);
    board
        .devmap("write UART0.LCRH.WLEN=bits8")
        .printed("UART0.LCRH: 0x00000093 -> 0x000000f3\n  WLEN  0x0 Bits5 -> 0x3 Bits8\n");
    board
        .devmap("write UART0.LCRH.WLEN 1")
        .printed("UART0.LCRH: 0x000000f3 -> 0x000000b3\n  WLEN  0x3 Bits8 -> 0x1 Bits6\n");
    board.devmap("write UART0.CR=0x301 UART0.LCRH=0x70").printed("");
    assert_eq!((board.get(CONTROL), board.get(LINES)), (0x301, 0x70));
    board.devmap("modify UART0.CR --set 0x80").printed("UART0.CR: 0x00000301 -> 0x00000381\n  LBE  0x0 -> 0x1\n");
    for (line, says) in [
        ("write UART0.CR=1 UART0.FR=1", "UART0.FR is read-only: it cannot be written"),
        (
            "write UART0.CR=1 UART0.LCRH.WLEN=Bits9",
            "has no value Bits9; give one of Bits5, Bits6, Bits7, Bits8, or a number",
        ),
        ("write UART0.CR=1 UART0.LCRH.WLEN=4", "UART0.LCRH.WLEN cannot hold 0x4"),
        ("write UART0.CR=1 UART0.ICR.RXIC=1", "is in a register that cannot be read, so its other bits are not known"),
        ("write UART0.CR=1 UART0.ICR:3:0=1", "UART0.ICR:3:0 is in a register that cannot be read"),
        ("modify UART0.ICR --set 1", "UART0.ICR is in a register that cannot be read"),
        (
            "write UART0.CR=1 UART0.ICR=1 --verify",
            "UART0.ICR is write-only: it cannot be read, so --verify is not possible",
        ),
        ("write UART0.CR=1 UART0.RSR:0=1", "any write clears it"),
        ("modify UART0.RSR --set 1", "any write clears it"),
        ("write UART0.CR=Fast", "`Fast` is not a number"),
        ("write UART0.CR=1 UART0.CRX=1", "UART0 has no CRX; did you mean CR?"),
        ("write UART0.CR 1 2", "a register takes one value, not 2"),
        ("write UART0.CR 1 -w 8", "UART0.CR has 32 bits: omit --width"),
        ("write UART0=1", "stands for several registers: give the name of one"),
        ("write UART0.*=1", "several registers"),
        ("read UART0.LCRH.WLEN:1", "only one register has bits by number"),
    ] {
        board.devmap(line).failed(2, says);
    }
    assert_eq!((board.get(CONTROL), board.get(LINES)), (0x381, 0x70));
}

#[test]
fn what_a_write_would_do_to_other_fields_is_asked() {
    let board = Board::new();
    let svd = board.file(
        "timer.svd",
        r#"<device schemaVersion="1.3"><name>T</name><version>1</version><description>d</description>
        <addressUnitBits>8</addressUnitBits><width>32</width>
        <peripherals><peripheral><name>TIMER</name><baseAddress>0x100</baseAddress><registers>
        <register><name>STATUS</name><addressOffset>0x0</addressOffset><size>32</size><fields>
        <field><name>RUN</name><bitRange>[0:0]</bitRange></field>
        <field><name>DONE</name><bitRange>[1:1]</bitRange><modifiedWriteValues>oneToClear</modifiedWriteValues></field>
        </fields></register></registers></peripheral></peripherals></device>"#,
    );
    let devmap = |line: &str| board.devmap(&format!("{line} --svd {svd}"));
    board.set(0x100, 2);
    devmap("write TIMER.STATUS.RUN=1").failed(
        2,
        "writing TIMER.STATUS.RUN alone would write TIMER.STATUS.DONE too: writing a one back clears the bit; say what \
         becomes of it, by --neighbours keep, zero or one, or write all of TIMER.STATUS",
    );
    assert_eq!(board.get(0x100), 2);
    for (how, stored) in [("keep", 3), ("zero", 1), ("one", 3)] {
        board.set(0x100, 2);
        assert_eq!(devmap(&format!("write TIMER.STATUS.RUN=1 --neighbours {how}")).status, Some(0));
        assert_eq!(board.get(0x100), stored, "{how}");
    }
}

#[test]
fn what_a_write_would_do_to_bits_of_no_field_is_asked() {
    let board = Board::new();
    let svd = board.file(
        "pending.svd",
        r#"<device schemaVersion="1.3"><name>T</name><version>1</version><description>d</description>
        <addressUnitBits>8</addressUnitBits><width>32</width>
        <peripherals><peripheral><name>P</name><baseAddress>0x100</baseAddress><registers>
        <register><name>PENDING</name><addressOffset>0x0</addressOffset><size>32</size>
        <modifiedWriteValues>oneToClear</modifiedWriteValues></register>
        </registers></peripheral></peripherals></device>"#,
    );
    let devmap = |line: &str| board.devmap(&format!("{line} --svd {svd}"));
    for (line, path) in [("write P.PENDING:0=1", "P.PENDING:0:0"), ("modify P.PENDING --set 1", "P.PENDING")] {
        board.set(0x100, 6);
        devmap(line).failed(
            2,
            &format!(
                "writing {path} alone would write the bits 0xfffffffe of P.PENDING too: writing a one back clears the bit"
            ),
        );
        assert_eq!(board.get(0x100), 6);
        assert_eq!(devmap(&format!("{line} --neighbours zero")).status, Some(0));
        assert_eq!(board.get(0x100), 1, "{line}");
    }
    assert_eq!(devmap("write P.PENDING=5").status, Some(0));
}

#[test]
fn bits_by_number_are_no_whole_register() {
    let board = Board::new();
    board.set(CONTROL, 0xf0f1);
    board.devmap("read UART0.CR:15:12").printed("UART0.CR:15:12: 0xf\n");
    let before = board.file("before", &board.devmap("snapshot UART0.CR:7:4 UART0.CR.TXE").out);
    board.devmap(&format!("diff {before}")).printed("");
    board.set(CONTROL, 0xf1f1);
    let ran = board.devmap(&format!("diff {before}"));
    assert_eq!((ran.status, ran.out.as_str()), (Some(1), "UART0.CR.TXE: 0x0 -> 0x1\n"));
    board.devmap("read UART0:7:4").failed(2, "only one register has bits by number");
    board.devmap("wait UART0.CR.TXE --value 0 --timeout 0").failed(5, "timed out: UART0.CR.TXE is 0x1, not 0x0");
    board.devmap("wait UART0.ICR* --value 0 --timeout 0").failed(2, "stands for several registers");
}

#[test]
fn many_bytes_are_read_in_accesses_of_the_registers_and_never_written() {
    let board = Board::new();
    board.set(CONTROL, 0x301);
    board
        .devmap("dump UART0.CR")
        .printed("0x09000030  01 03 00 00                                       |....|  UART0.CR\n");
    board.devmap("dump UART0").failed(2, "reading UART0.DR changes the device: read it by its name, or give addresses");
    board.devmap("save UART0.CR.TXE /dev/null").failed(2, "UART0.CR.TXE is a part of a register");
    let image = board.file("image", "abcd");
    for line in ["fill UART0.CR 1", "fill UART0.CR.TXE 1", "test UART0.CR", &format!("load {image} UART0.CR")] {
        board.devmap(line).failed(2, "is the name of a register");
    }
    assert_eq!(board.get(CONTROL), 0x301);
    board.devmap(&format!("verify {image} UART0.CR")).failed(1, "0x09000030 has 0x01, and ");
}

#[test]
fn many_bytes_have_no_register_that_is_write_only() {
    let board = Board::new();
    let svd = board.file(
        "timer.svd",
        r#"<device schemaVersion="1.3"><name>T</name><version>1</version><description>d</description>
        <addressUnitBits>8</addressUnitBits><width>32</width><peripherals><peripheral><name>TIMER</name>
        <baseAddress>0x100</baseAddress><registers>
        <register><name>COUNT</name><addressOffset>0</addressOffset><size>32</size></register>
        <register><name>CLEAR</name><addressOffset>4</addressOffset><size>32</size><access>write-only</access></register>
        </registers></peripheral></peripherals></device>"#,
    );
    let says = "TIMER.CLEAR is write-only: read the others by their names, or give addresses without it";
    let image = board.file("image", "abcdefgh");
    for command in ["dump PLACE", "save PLACE /dev/null", "search PLACE 1", "compare PLACE 0", "verify IMAGE PLACE"] {
        let devmap = |place: &str| {
            let line = command.replace("IMAGE", &image).replace("PLACE", place);
            board.devmap(&format!("{line} --svd {svd}"))
        };
        devmap("TIMER.CLEAR").failed(2, "TIMER.CLEAR is write-only: it cannot be read");
        devmap("TIMER").failed(2, says);
        let ran = devmap("TIMER.COUNT");
        assert!(matches!(ran.status, Some(0 | 1)), "{ran:?}");
    }
}

#[test]
fn explain_opens_no_device_for_a_register() {
    let board = Board::new();
    for place in ["UART0.CR", "UART0", "UART0@0x1000.CR"] {
        let ran = board.devmap(&format!("explain {place} --device /dev/no-such-device"));
        assert_eq!((ran.status, ran.err.as_str()), (Some(0), ""), "{place}");
    }
    board.devmap("read UART0.CR --device /dev/no-such-device").failed(3, "cannot open /dev/no-such-device");
}

#[test]
fn what_is_not_read_may_be_any_register() {
    let board = Board::new();
    for (place, bytes) in [("UART0", 4096), ("UART0.DR", 4), ("UART0.ICR", 4)] {
        let explained = board.devmap(&format!("explain {place} --page-size 4K"));
        assert_eq!((explained.status, explained.err.as_str()), (Some(0), ""), "{place}");
        assert!(explained.out.lines().next().unwrap().ends_with(&format!(", {bytes} bytes")), "{explained:?}");
        board.devmap(&format!("check {place}")).failed(3, "it is a regular file; only the map driver answers");
    }
}

#[test]
fn the_base_counts_once() {
    let board = Board::new();
    board.set(0x1030, 0x55);
    for place in ["UART0.CR --base 0x1000", "UART0@0x1000.CR --base 0x2000"] {
        board
            .devmap(&format!("dump {place}"))
            .printed("0x00001030  55 00 00 00                                       |U...|\n");
        let explained = board.devmap(&format!("explain {place}")).out;
        assert!(explained.starts_with("asked for  0x00001030-0x00001033, 4 bytes\n"), "{explained}");
    }
}

#[test]
fn the_base_moves_one_peripheral() {
    let board = Board::new();
    let devmap = |line: &str| board.devmap(&format!("{line} --svd {SVD} --svd ../lib/examples/svd/pl031.svd"));
    let script = board.file("script", "write UART0.CR=1\nwrite RTC.RTCCR=1\n");
    let says =
        "--base, --window and --pci say where one peripheral begins, and UART0 and RTC are two: name one of them, or \
                say where each is, as in RTC@PLACE";
    for line in [
        "read UART0.CR RTC.RTCCR --base 0x1000",
        "write UART0.CR=1 RTC.RTCCR=1 --base 0x1000",
        "snapshot UART0.CR RTC --base 0x1000",
        "registers --base 0x1000",
        "registers *.*CR --base 0x1000",
        "read UART0.CR RTC.RTCCR --window fpga",
        "read UART0.CR RTC.RTCCR --pci 01:00.0/0",
        &format!("run {script} --base 0x1000"),
    ] {
        let ran = devmap(line);
        ran.failed(2, says);
        assert_eq!(ran.out, "", "{line}");
    }
    assert_eq!((board.get(0x1030), board.get(0x100c)), (0, 0));
    board.set(0x1030, 5);
    board.set(0x200c, 7);
    devmap("read -q UART0.CR UART0.CR:0 --base 0x1000").printed("0x00000005\n0x1\n");
    devmap("read -q UART0.CR RTC@0x2000.RTCCR 0x30 --base 0x1000").printed("0x00000005\n0x00000007\n0x00000005\n");
}

#[test]
fn all_descriptions_are_searched_and_an_ambiguous_name_says_where() {
    let board = Board::new();
    let devmap = |line: &str| {
        let mut command = board.command();
        command.env("DEVMAP_SVD", format!("{SVD}:../lib/examples/svd/pl031.svd:")).args(line.split_whitespace());
        Ran::new(&mut command)
    };
    let names = devmap("registers *.*CR").out;
    assert!(names.contains("UART0.CR ") && names.contains("RTC.RTCCR "), "{names}");
    let copy = board.file("copy.svd", &fs::read_to_string(SVD).unwrap());
    let twice = board.devmap(&format!("read UART0.CR --svd {SVD} --svd {copy}"));
    twice.failed(2, "copy.svd: give one of them by --svd");
    // Empty is none.
    let mut command = board.command();
    Ran::new(command.env("DEVMAP_SVD", "").args(["read", "-q", "0"])).printed("0x00000000\n");
    // A dump does without.
    let ran = board.devmap("dump 0+4 --svd /no/such.svd");
    assert_eq!((ran.status, ran.err.starts_with("devmap: cannot read /no/such.svd")), (Some(0), true), "{ran:?}");
}

#[test]
fn what_shares_its_address_with_a_register_that_reading_changes_is_left_out() {
    let board = Board::new();
    let svd = board.file(
        "serial.svd",
        r#"<device schemaVersion="1.3"><name>S</name><version>1</version><description>d</description>
        <addressUnitBits>8</addressUnitBits><width>8</width><peripherals><peripheral><name>COM</name>
        <baseAddress>0x100</baseAddress><registers>
        <register><name>RBR</name><addressOffset>0</addressOffset><size>8</size><access>read-only</access><readAction>modify</readAction></register>
        <register><name>DLL</name><alternateRegister>RBR</alternateRegister><addressOffset>0</addressOffset><size>8</size></register>
        <register><name>LSR</name><addressOffset>5</addressOffset><size>8</size></register>
        </registers></peripheral></peripherals></device>"#,
    );
    let ran = board.devmap(&format!("read -q COM --svd {svd} --json"));
    assert_eq!(ran.out.lines().count(), 1, "{ran:?}");
    let notes: Vec<_> = ran.err.lines().collect();
    assert!(
        notes.len() == 2 && notes.iter().all(|note| note.starts_with("{\"note\":\"left out: reading COM.")),
        "{ran:?}"
    );
}

#[test]
fn a_peripheral_may_be_elsewhere() {
    let board = Board::new();
    board.set(0x1030, 0x301);
    for place in ["UART0@0x1000.CR", "uart0@4K.CR", "UART0.CR --base 0x1000"] {
        board.devmap(&format!("read -q {place}")).printed("0x00000301\n");
    }
    let listed = board.devmap("registers UART0@0x1000.CR --json").out;
    assert!(
        listed.starts_with("{\"path\":\"UART0.CR\",\"address\":\"0x00001030\",\"bits\":\"32\",\"access\":\"rw\""),
        "{listed}"
    );
    board.devmap("read UART0@fpga.CR").failed(2, "fpga is the name of a window of /dev/map");
    board
        .devmap("write UART0@0x1000.CR.UARTEN=0")
        .printed("UART0@0x00001000.CR: 0x00000301 -> 0x00000300\n  UARTEN  0x1 Enabled -> 0x0 Disabled\n");
    board.devmap("write UART0.CR@0x1000=7").misused("@ and a place stand behind the peripheral, as in UART0@0x1000.CR");
    board.devmap("dump UART0@0x1000+0x30.CR").misused("behind @ is where the peripheral begins");
}

#[test]
fn a_snapshot_is_compared_by_fields() {
    let board = Board::new();
    board.set(CONTROL, 0x301);
    board.set(FLAGS, 0x90);
    let before = board.file("before", &board.devmap("snapshot UART0").out);
    board.devmap(&format!("diff {before}")).printed("");
    board.set(CONTROL, 0x201);
    let after = board.file("after", &board.devmap("snapshot UART0").out);
    for line in [format!("diff {before}"), format!("diff {before} {after}")] {
        let ran = board.devmap(&line);
        ran.failed(1, "1 register different");
        assert_eq!(ran.out, "UART0.CR: 0x00000301 -> 0x00000201\n  TXE  0x1 Enabled -> 0x0 Disabled\n");
    }
    // In JSON, too, and with a register that only one of both has.
    let json = board.file("json", &board.devmap("snapshot UART0.CR --json").out);
    board.devmap(&format!("diff {json}")).printed("");
    board.devmap(&format!("diff {json} {after}")).failed(1, "json has no UART0.");
    board.devmap(&format!("diff {after} {json}")).failed(1, "json has no UART0.");
    let ran = board.devmap(&format!("diff {before} --json --format binary"));
    assert!(
        ran.out.contains(r#""fields":[{"name":"TXE","before":"0x1","before_number":1,"before_enumerated":"Enabled","#),
        "{ran:?}"
    );
    let wrong = board.file("wrong", "UART0.CR 0x1\nnonsense\n");
    board.devmap(&format!("diff {wrong}")).failed(2, "wrong:2: `nonsense` is no line of a snapshot");
    board.devmap("diff /no/such/file").failed(4, "cannot read /no/such/file");
    board.devmap("snapshot 0x100").failed(2, "a snapshot is of registers with names");
}

#[test]
fn watch_shows_the_fields_that_change() {
    let board = Board::new();
    let mut command = board.command();
    let child = start(command.args(["watch", "UART0.CR", "--interval", "1", "--count", "300"]));
    std::thread::sleep(std::time::Duration::from_millis(100));
    board.set(CONTROL, 0x100);
    let ran = Ran::wait(child);
    assert_eq!(
        ran.out,
        "UART0.CR: 0x00000000\nUART0.CR: 0x00000000 -> 0x00000100\n  TXE  0x0 Disabled -> 0x1 Enabled\n"
    );
    assert_eq!(ran.err, "devmap: watched UART0.CR, samples: 300, changes: 1\n");
}

#[test]
fn a_dump_names_the_registers_that_it_passes() {
    let board = Board::new();
    let ran = board.devmap("dump 0x09000000+0x80");
    let named: Vec<_> = ran.out.lines().filter_map(|line| Some(line.split_once("|  ")?.1)).collect();
    assert_eq!(named[..3], ["UART0.DR  UART0.RSR", "UART0.FR", "UART0.ILPR  UART0.IBRD  UART0.FBRD  UART0.LCRH"]);
    assert!(!board.devmap("dump 0x100+0x20").out.contains("UART0"));
}

#[test]
fn what_is_described_wrongly_hides_nothing_else() {
    let board = Board::new();
    board.set(0x100, 5);
    board.set(0x204, 7);
    let svd = board.file(
        "wrong.svd",
        r#"<device schemaVersion="1.3"><name>W</name><version>1</version><description>d</description>
        <addressUnitBits>8</addressUnitBits><width>32</width><peripherals>
        <peripheral><name>EMPTY</name><baseAddress>0x80</baseAddress></peripheral>
        <peripheral><name>BAD</name><baseAddress>0x90</baseAddress><addressBlock><offset>0</offset><size>16</size>
        <usage>registers</usage></addressBlock><registers>
        <register><name>ODD</name><addressOffset>0</addressOffset><size>24</size></register>
        </registers></peripheral>
        <peripheral><name>ONE</name><baseAddress>0x100</baseAddress><registers>
        <register><name>CR</name><addressOffset>0</addressOffset><size>32</size><fields>
        <field><name>EN</name><bitRange>[0:0]</bitRange></field></fields></register>
        <register><name>CODD</name><addressOffset>4</addressOffset><size>24</size></register>
        <cluster><name>CL</name><addressOffset>8</addressOffset>
        <register><name>IN</name><addressOffset>0</addressOffset><size>32</size></register></cluster>
        <register><name>SR</name><addressOffset>12</addressOffset><size>32</size></register>
        </registers></peripheral>
        <peripheral><name>TWO</name><baseAddress>0x200</baseAddress><registers>
        <register><name>CR</name><addressOffset>4</addressOffset><size>32</size></register>
        </registers></peripheral></peripherals></device>"#,
    );
    let devmap = |line: &str| board.devmap(&format!("{line} --svd {svd}"));
    for (line, names, notes) in [
        ("registers", &["BAD", "ONE", "TWO"][..], &[3][..]),
        ("registers *", &["BAD", "ONE", "TWO"], &[3]),
        ("registers ONE", &["ONE.CR", "ONE.CL.IN", "ONE.SR"], &[11]),
        ("registers ONE.C*", &["ONE.CR", "ONE.CL.IN"], &[11]),
        ("registers *.?r", &["ONE.CR", "ONE.SR", "TWO.CR"], &[]),
        ("registers *.C*.E*", &["ONE.CR.EN"], &[11]),
        ("registers *.*.in", &["ONE.CL.IN"], &[6, 11]),
        ("registers *.*:E?", &["ONE.CR.EN"], &[6, 11]),
        ("snapshot ONE", &["ONE.CR", "ONE.CL.IN", "ONE.SR"], &[11]),
        ("snapshot T*.CR ONE.C*", &["TWO.CR", "ONE.CR", "ONE.CL.IN"], &[11]),
        ("snapshot T* O*", &["TWO.CR", "ONE.CR", "ONE.CL.IN", "ONE.SR"], &[11]),
        ("read ONE -q", &["0x00000005", "0x00000000", "0x00000000"], &[11]),
        ("dump ONE", &["0x00000100"], &[11]),
    ] {
        let ran = devmap(line);
        let found: Vec<_> = ran.out.lines().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!((ran.status, &found[..]), (Some(0), names), "{line}: {ran:?}");
        let said = ran.err.lines().map(|note| {
            let what = if line.starts_with("dump") { "loaded without its description" } else { "left out" };
            let note = note.strip_prefix(&format!("devmap: {what}: {svd}:"));
            note.and_then(|note| note.split(':').next()?.parse().ok()).unwrap_or(0)
        });
        assert_eq!(said.collect::<Vec<i32>>(), notes, "{line}: {ran:?}");
    }
    // Its bytes are not looked at.
    let explained = devmap("explain ONE");
    assert_eq!((explained.status, explained.err.as_str()), (Some(0), ""));
    // Nor another description.
    let copy = fs::read_to_string(&svd).unwrap().replace("<size>24", "<size>32").replace("ONE", "OTHER");
    let ran = devmap(&format!("registers *.CODD --svd {}", board.file("copy.svd", &copy)));
    assert_eq!((ran.status, ran.out.as_str()), (Some(0), "OTHER.CODD  0x00000104  32  rw\n"), "{ran:?}");
    // What is named itself, or alone has the pattern, is an error.
    for (line, at) in [
        ("read ONE.CODD", 11),
        ("read ONE.CO*", 11),
        ("dump ONE.CODD", 11),
        ("registers ONE.CODD", 11),
        ("registers BAD", 6),
        ("read BAD", 6),
        ("snapshot B*.ODD", 6),
        ("dump EMPTY", 3),
    ] {
        devmap(line).failed(4, &format!("wrong.svd:{at}:"));
    }
    devmap("read EMPTY").failed(2, "EMPTY has no registers in the description: give addresses");
    let ran = devmap("dump BAD");
    assert!(ran.err.ends_with("BAD has no registers of known width: give --width\n"), "{ran:?}");
}

#[test]
fn a_description_that_is_none_says_where() {
    let board = Board::new();
    let wrong = board.file("wrong.svd", "<device>\n  <name>x</nam>\n</device>\n");
    board.devmap(&format!("read UART0.CR --svd {wrong}")).failed(4, "wrong.svd:2:");
    board.devmap("read UART0.CR --svd /no/such.svd").failed(4, "cannot read /no/such.svd: No such file");
    // None is given, and there is none in the directories.
    let mut command = board.command();
    command.env_remove("DEVMAP_SVD").args(["read", "UART0.CR"]);
    if !std::path::Path::new("/etc/devmap").exists() {
        Ran::new(&mut command).failed(2, "no description of registers is known: give one by --svd FILE");
    }
    // The user's own.
    fs::create_dir(board.directory.path().join("devmap")).unwrap();
    fs::copy(SVD, board.directory.path().join("devmap/board.svd")).unwrap();
    Ran::new(command.arg("-q")).printed("0x00000000\n");
}
