// SPDX-License-Identifier: MIT OR Apache-2.0

//! `devmap explain` and `devmap lab`.

mod common;

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::Stdio;

use common::{program, program_in_shell, start, FakeDevice, Ran};
use devmap::page;

fn devmap(arguments: &[&str]) -> Ran {
    Ran::new(program().args(arguments))
}

#[test]
fn explain_takes_numbers_as_every_command_does() {
    let ran = devmap(&["explain", "0xc000_0000", "3M", "--page-size", "16K"]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), ""));
    assert!(ran.out.contains("mapped     0xc0000000-0xc02fffff, 192 pages, 3145728 bytes\n"), "{ran:?}");
    let ran = devmap(&["--json", "explain", "0xc0000ffe", "8", "--page-size", "4096"]);
    assert!(ran.out.starts_with("{\"start\":\"0xc0000ffe\"") && ran.out.lines().count() == 1, "{ran:?}");
    let separate = devmap(&["explain", "0xc0000ffe", "8"]).out;
    devmap(&["explain", "0xc0000ffe+8"]).printed(&separate);
    devmap(&["explain", "0xc0000ffe-0xc0001005"]).printed(&separate);
    // Without a page size it is the machine's.
    let page_size = page::system().bytes();
    let ran = devmap(&["explain", "1", "1"]);
    assert!(ran.out.contains(&format!("1 page, {page_size} bytes\n")), "{ran:?}");
}

#[test]
fn the_documentation_shows_what_explain_prints() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/mmap.md")).unwrap();
    let ran = devmap(&["explain", "0xc0000ffe", "8", "--page-size", "4K"]);
    let shown = format!("$ devmap explain 0xc0000ffe 8\n{}```\n", ran.out);
    assert!(text.contains(&shown), "docs/mmap.md does not have: {shown}");
}

#[test]
fn explain_refuses_what_has_no_pages() {
    devmap(&["explain", "0xc0000000", "0"]).failed(2, "0 bytes have no page");
    devmap(&["explain", "0xffffffffffffffff", "2"]).failed(2, "go beyond the last address");
    devmap(&["explain", "0", "0xffffffffffffffff"]).failed(2, "more than one process can address");
    devmap(&["explain", "0", "4", "--page-size", "5000"]).misused("`5000` is not a power of two");
    devmap(&["explain", "0", "4", "--page-size", "0"]).misused("`0` is not a power of two");
    devmap(&["explain", "c0000000", "4"]).failed(2, "if it is an address, write 0xc0000000");
    devmap(&["explain", "0xc0000000"]).failed(2, "one address: write 0xc0000000+LENGTH, or LENGTH after it");
    devmap(&["explain", "0xc0000000+8", "8"]).failed(2, "0xc0000000-0xc0000007 has a length already");
    devmap(&["explain", "0xc0000000+0"]).misused("is empty");
    devmap(&["explain", "0xc0000000:3", "4"]).misused("is a bit field: give its address alone");
    devmap(&["explain"]).misused("<PLACE>");
}

const EXPERIMENTS: [&str; 4] = ["partial", "beyond-eof", "grow", "rounding"];

#[test]
fn the_lab_finds_that_this_machine_does_what_the_rules_say() {
    let directory = tempfile::tempdir().unwrap();
    let page = page::system().bytes();
    for experiment in EXPERIMENTS {
        // A child that dies leaves nothing, even where core files are enabled.
        let mut command = program_in_shell("ulimit -c unlimited; exec \"$@\"");
        let ran = Ran::new(command.args(["lab", experiment]).current_dir(&directory).env("TMPDIR", directory.path()));
        assert_eq!((ran.status, ran.err.as_str()), (Some(0), ""), "{ran:?}");
        assert!(ran.out.starts_with(&format!("{experiment}: a file of ")) && !ran.out.contains("DIFFERS"), "{ran:?}");
        assert!(ran.out.contains(&format!("; pages of {page} (")), "{ran:?}");
        assert_eq!(directory.path().read_dir().unwrap().count(), 0);
    }
}

#[test]
fn the_lab_touches_every_byte_up_to_the_signals() {
    let page = page::system().bytes();
    let file = 2200 * page / 4096;
    let ran = devmap(&["lab", "beyond-eof", "--json"]);
    assert_eq!((ran.status, ran.err.as_str()), (Some(0), ""));
    let lines = [
        (0, file - 1, "data of the file", "the file's bytes"),
        (file, page - 1, "rest of the file's last page", "zeros"),
        (page, 2 * page - 1, "page beyond the file's end", "SIGBUS"),
        (2 * page, 3 * page - 1, "outside of the mapping", "SIGSEGV"),
    ];
    for ((first, last, what, happened), line) in lines.into_iter().zip(ran.out.lines()) {
        let start = format!(
            r#"{{"experiment":"beyond-eof","place":"load {first}-{last}","what":"{what}","expected":"{happened}","happened":"{happened}","#
        );
        assert!(line.starts_with(&start) && line.ends_with(r#""agrees":true}"#), "not {start}: {line}");
    }
    let last = ran.out.lines().last().unwrap();
    assert!(ran.out.lines().count() == 5 && last.contains(r#""happened":"not in the file""#), "{ran:?}");
}

#[test]
fn the_lab_says_what_it_cannot_try_out() {
    let fake = FakeDevice::new(&[7; 0x1234]);
    fake.devmap(&["lab", "device"]).failed(3, "it is a regular file; only the map driver answers");
    fake.devmap(&["lab", "device", "0x1000"]).failed(3, "it is a regular file; only the map driver answers");
    devmap(&["lab", "device", "--device", "/dev/no-such-device"]).failed(3, "cannot open /dev/no-such-device");
    fake.devmap(&["lab", "all", "0x1000"]).failed(3, "it is a regular file; only the map driver answers");
    // The other experiments are done nevertheless.
    let ran = fake.devmap(&["lab", "all"]);
    ran.failed(0, "`device` was left out: cannot ask");
    let titles = ran.out.lines().filter_map(|line| line.split_once(": a file of ")).map(|(name, _)| name);
    assert_eq!(titles.collect::<Vec<_>>(), EXPERIMENTS);
    let ran = fake.devmap(&["lab", "all", "--json"]);
    let start = "{\"note\":\"`device` was left out: cannot ask";
    assert!(ran.status == Some(0) && ran.err.starts_with(start) && ran.err.lines().count() == 1, "{ran:?}");
    devmap(&["lab", "partial", "0x1000"]).failed(2, "only the experiment `device` has an address");
    devmap(&["lab", "everything"]).misused("[possible values: partial, beyond-eof, grow, rounding, device, all]");
    devmap(&["lab"]).misused("<EXPERIMENT>");
    let ran = Ran::new(program().args(["lab", "grow"]).env("TMPDIR", "/no/such"));
    ran.failed(4, "cannot create a file in /no/such: No such file or directory");
}

#[test]
fn the_labs_children_do_nothing_for_strangers() {
    let mut command = program();
    let ran = Ran::new(command.args(["lab-touch", "0", "1", "0", "1"]).stdin(Stdio::null()));
    ran.failed(4, "cannot map standard input: No such device");
    assert!(!devmap(&["--help"]).out.contains("lab-touch"));
}

#[test]
fn a_file_that_is_made_shorter_ends_a_command_with_a_line() {
    let page = page::system().bytes() as usize;
    let fake = FakeDevice::new(&vec![7; 64 * page]);
    let address = (63 * page).to_string();
    let path = fake.path().display();
    let error = format!(
        "cannot access {path}: a bus error (SIGBUS): the file was truncated while mapped; keep others from truncating it"
    );
    let (text, json) = (format!("devmap: {error}\n"), format!("{{\"error\":\"{error}\",\"status\":3}}\n"));
    for (arguments, line) in [
        (&["watch", &address, "--interval", "1"][..], &text),
        (&["watch", &address, "--interval", "1", "--json"], &json),
        (&["save", &format!("0+{}", 64 * page), "-"], &text),
    ] {
        File::options().write(true).open(fake.path()).unwrap().set_len(64 * page as u64).unwrap();
        let mut child = start(fake.command().args(arguments));
        // The command is at work. `save` cannot end: the pipe is too small for its output.
        let mut out = child.stdout.take().unwrap();
        out.read_exact(&mut [0]).unwrap();
        File::options().write(true).open(fake.path()).unwrap().set_len(0).unwrap();
        out.read_to_end(&mut Vec::new()).unwrap();
        let ran = Ran::wait(child);
        assert_eq!((ran.status, &ran.err), (Some(3), line), "{arguments:?}");
    }
}
