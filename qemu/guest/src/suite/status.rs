// SPDX-License-Identifier: MIT OR Apache-2.0

//! The exit statuses of `devmap` on /dev/map, and the lines that explain them.

use std::{
    fs::{self, Permissions},
    io::Read,
    os::unix::fs::{symlink, PermissionsExt},
};

use anyhow::{ensure, Context, Result};
use map_protocol::pattern;
use nix::sys::signal::Signal;
use serde_json::{json, Value};

use crate::{
    arch::{RESERVED, VACANT, VACANT_BYTE},
    host::{Host, LENGTH, START},
    kernel::{self, Loaded},
    program::{devmap, devmap_as_user, shell, Ran, Running, Scratch, WHOLE},
    windows::THREE,
};

crate::tests! {
    status_1_tells_of_memory_that_keeps_nothing,
    status_2_is_for_arguments_and_changes_nothing,
    status_3_tells_the_reason_the_window_and_the_remedy,
    status_3_in_raw_mode,
    status_3_without_the_driver,
    status_3_for_a_user_without_the_permission,
    status_4_leaves_no_file_behind,
    status_4_is_for_the_output_too,
    status_130_says_how_far_it_came,
    a_read_only_window_is_read_and_never_written,
    check_tells_what_the_windows_allow,
    info_shows_the_driver_and_its_windows,
}

/// Every command that reads 64 bytes at `at`, with its status if it is allowed to. `free` can be read too, and the file
/// `image` holds 64 bytes; both differ from the bytes at `at`.
fn readers(at: u64, free: u64, image: &str) -> Vec<(String, i32)> {
    vec![
        (format!("read {at:#x}"), 0),
        (format!("read {at:#x}:7:4"), 0),
        (format!("dump {at:#x}+64"), 0),
        (format!("save {at:#x}+64 {image}.saved"), 0),
        (format!("search {at:#x}+64 --bytes 00 -n 1"), 0),
        (format!("search {at:#x}+64 --text nowhere"), 1),
        (format!("watch {at:#x}+64 --count 1"), 0),
        (format!("compare {at:#x}+64 {free:#x}"), 1),
        (format!("compare {free:#x}+64 {at:#x}"), 1),
        (format!("verify {image} {at:#x}"), 1),
    ]
}

/// Every command that writes up to 64 bytes at `at`; some read `free`.
fn writers(at: u64, free: u64, image: &str) -> Vec<String> {
    vec![
        format!("write {at:#x} 1"),
        format!("write {at:#x}:7:4 1"),
        format!("modify {at:#x} --set 1"),
        format!("fill {at:#x}+64 0"),
        format!("load {image} {at:#x}"),
        format!("copy {free:#x}+64 {at:#x}"),
        format!("test {at:#x}+64"),
    ]
}

fn status_1_tells_of_memory_that_keeps_nothing(host: &mut Host) -> Result<()> {
    let seed = 110;
    host.fill(seed)?;
    // No device answers at this address: stores are lost, and loads always give the same bits.
    let (at, has) = (VACANT, VACANT_BYTE);
    let value = u32::from_ne_bytes([has; 4]);
    let _loaded = Loaded::new()?;
    let scratch = Scratch::new()?;
    let image = scratch.file("image", &[has, has, 7, has])?;
    let byte = pattern::bytes(seed, START, 4096).iter().position(|byte| *byte != has).context("no byte")? as u64;
    let there = pattern::byte(seed, START + byte);
    for (arguments, says) in [
        (
            format!("write {at:#x} {value} 3 --verify"),
            format!("{:#x}: wrote 0x00000003, read back {value:#010x}", at + 4),
        ),
        (
            format!("write {at:#x}:7:4 5 --verify"),
            format!("{at:#x}: wrote {:#010x}, read back {:#010x}", 0x50, value & 0xf0),
        ),
        (
            format!("modify {at:#x} --mask 4 {:#x} -w 8 --verify", !has & 4),
            format!("{at:#x}: wrote {:#04x}, read back {:#04x}", !has & 4, has & 4),
        ),
        (
            format!("fill {at:#x}+1M 0x{has:02x}{has:02x}05{has:02x} --verify --endian little"),
            format!("{:#x} has {has:#04x}, and what was stored has 0x05", at + 1),
        ),
        (format!("load {image} {at:#x} --verify"), format!("{:#x} has {has:#04x}, and {image} has 0x07", at + 2)),
        (format!("verify {image} {at:#x}"), format!("{:#x} has {has:#04x}, and {image} has 0x07", at + 2)),
        (
            format!("copy 0xc0000000+4K {at:#x} --verify"),
            format!("{:#x} has {has:#04x}, and {:#x} has {there:#04x}", at + byte, START + byte),
        ),
        (format!("search {at:#x}+4K 1"), format!("no match in {at:#x}-{:#x}", at + 0xfff)),
        (format!("test {at:#x}+4K"), format!("{at:#x}-{:#x} is faulty: ", at + 0xfff)),
    ] {
        devmap(&arguments)?.failed(1, &[&says])?;
    }
    // The address and the bits of up to ten faults, and their number.
    let ran = devmap(&format!("test {at:#x}+4K -w 32 --only index"))?;
    let lines: Vec<_> = ran.out.lines().collect();
    ensure!(lines.len() == 11 && lines[10] == "pass 1: index: 2047 faults in 1024 words", "{ran:?}");
    // The test stores its index in each word. If loads give zero, the first word seems right.
    let index = if has == 0 { 3u32 } else { 2 };
    let expected = format!(
        "{:#x}: index: stored {index:#010x}, found {value:#010x}, wrong bits {:#010x}",
        at + 4 * u64::from(index),
        value ^ index
    );
    ensure!(lines[2] == expected, "not {expected:?}: {ran:?}");
    // Without --verify nothing fails.
    devmap(&format!("write {at:#x} 0 3"))?.printed("")?;
    devmap(&format!("fill {at:#x}+1M 5"))?.printed("")?;
    host.changed(seed, &[], |_| 0)
}

fn status_2_is_for_arguments_and_changes_nothing(host: &mut Host) -> Result<()> {
    let seed = 111;
    host.fill(seed)?;
    let _loaded = Loaded::with(&[WHOLE])?;
    let scratch = Scratch::new()?;
    let image = scratch.file("image", b"0123456789")?;
    let saved = scratch.path("saved");
    for (arguments, says) in [
        // Not possible in single accesses.
        ("read 0xc0000001", "cannot read 4 bytes at 0xc0000001 in one access: use a multiple of 0x4"),
        ("read 0xc0000004 -w 64", "use a multiple of 0x8 or a smaller width"),
        ("read 0xc0000000+6", "cannot read 0x6 bytes in accesses of 32 bits"),
        ("write 0xc0000002 1", "cannot write 4 bytes at 0xc0000002"),
        ("modify 0xc0000002 --set 1", "cannot modify 4 bytes at 0xc0000002"),
        ("dump 0xc0000001+4 -w 16", "at 0xc0000001"),
        ("fill 0xc0000002+8 1 -w 32", "at 0xc0000002"),
        ("fill 0xc0000000+6 1", "cannot fill 0x6 bytes in accesses of 32 bits"),
        (&format!("load {image} 0xc0000000 -w 32"), "0xa bytes in accesses of 32 bits"),
        (&format!("save 0xc0000002+4 {saved} -w 32"), "at 0xc0000002"),
        ("copy 0xc0000000+8 0xc0001002 -w 32", "at 0xc0001002"),
        ("compare 0xc0000000+8 0xc0001002 -w 32", "at 0xc0001002"),
        ("search 0xc0000002+8 1 -w 32", "at 0xc0000002"),
        ("test 0xc0000001+16", "at 0xc0000001"),
        ("watch 0xc0000002", "at 0xc0000002"),
        // Values that do not fit, even if another does.
        ("write 0xc0000000 1 0x100000000", "0x100000000 does not fit into one access of 32 bits"),
        ("write 0xc0000000:7:4 16", "0x10 does not fit into 0xc0000000:7:4, whose greatest value is 0xf"),
        ("write 0xc0000000:7:4 1 2", "a bit field takes one value, not 2"),
        ("modify 0xc0000000 --set 0x100 -w 8", "0x100 does not fit into one access of 8 bits"),
        ("modify 0xc0000000 --set 1 --clear 1", "0x1 are named twice"),
        ("fill 0xc0000000+8 0x100 -w 8", "0x100"),
        ("search 0xc0000000+8 0x100 -w 8", "0x100"),
        ("read 0xc0000000:32:1", "no bit 32"),
        // Invalid ranges.
        ("write 0xc0000000+8 1", "use fill"),
        (&format!("load {image} 0xc0000000+11"), "has 0xa bytes, and 0xc0000000-0xc000000a has 0xb"),
        (&format!("verify {image} 0xc0000000+11"), "give a range that is no longer than the file"),
        ("load /dev/null 0xc0000000", "/dev/null is empty"),
        ("copy 0xc0000000+16 0xc0000008 --verify", "overlap"),
        ("write 0xfffffffffffffffc 1 2", "beyond the last address"),
    ] {
        let ran = devmap(arguments)?;
        ran.failed(2, &[says])?;
        ensure!(ran.out.is_empty(), "it printed something: {ran:?}");
    }
    // Arguments that cannot be parsed are reported with the usage.
    for (arguments, says) in [
        ("read c0000000", "if it is an address, write 0xc0000000"),
        ("read", "<PLACE>"),
        ("read 0xc0000000 -w 24", "[possible values: 8, 16, 32, 64]"),
        ("dump 0xc0000000", "START+LENGTH or START-LAST"),
        ("fill 0xc0000008-0xc0000000 1", "ends before it starts"),
        ("modify 0xc0000000", "--set"),
        ("frobnicate", "unrecognized subcommand"),
    ] {
        let ran = devmap(arguments)?;
        ensure!(ran.status == Some(2) && ran.out.is_empty() && ran.err.contains(says), "not {says:?}: {ran:?}");
    }
    let names = scratch.names()?;
    ensure!(names == ["image"], "it left {names:?}");
    host.changed(seed, &[], |_| 0)
}

fn status_3_tells_the_reason_the_window_and_the_remedy(host: &mut Host) -> Result<()> {
    let seed = 112;
    host.fill(seed)?;
    let _loaded = Loaded::with(&[THREE])?;
    let scratch = Scratch::new()?;
    let image = scratch.file("image", &[0; 64])?;
    let refused = |arguments: &str, words: &[&str]| {
        let ran = devmap(arguments)?;
        ran.failed(3, words)?;
        ensure!(ran.out.is_empty(), "it printed something: {ran:?}");
        Ok(())
    };
    // Behind the last window, with good memory at the other end of those that take two places.
    let (at, free) = (START + LENGTH, START + 0x1000);
    for command in readers(at, free, &image).into_iter().map(|(command, _)| command).chain(writers(at, free, &image)) {
        refused(
            &command,
            &[
                "cannot map 0xc0300000-0xc03000",
                " of /dev/map: Operation not permitted (EPERM): the range is outside of every window; \
             the nearest is three@0xc0200000+0x100000:cached; stay inside a window",
            ],
        )?;
    }
    // A copy from there as well; and over the edge of a window.
    refused(&format!("copy {at:#x}+64 {free:#x}"), &["(EPERM): the range is outside of every window"])?;
    for command in [
        "read 0xc00ffff8+16".into(),
        "dump 0xc00ffff0+32".into(),
        "fill 0xc00ffff0+32 0".into(),
        "test 0xc0000000+2M".into(),
        "write 0xc00ffffc 1 2".into(),
        format!("load {image} 0xc00ffff0"),
        format!("save 0xc0000000+3M {image}.saved"),
    ] {
        let words = "(EPERM): the range is not wholly inside one window; it touches one@0xc0000000+0x100000; \
                     stay inside one window at a time";
        refused(&command, &[words])?;
    }
    let names = scratch.names()?;
    ensure!(names == ["image"], "it left {names:?}");
    host.changed(seed, &[], |_| 0)
}

/// An offset that no machine has as an address, but that programs can name.
const FAR: &str = if cfg!(target_pointer_width = "64") { "0x7ffffffffffff000" } else { "0x7fffffff000" };

fn status_3_in_raw_mode(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    for (arguments, words) in [
        ("read 0xbf000000", "(EPERM): the range holds System RAM, which belongs to the kernel; choose memory"),
        ("dump 0xbffffff0+32", "0xbffffff0-0xc000000f of /dev/map: Operation not permitted (EPERM): the range holds"),
        ("write 0xbf000000 1", "(EPERM): the range holds System RAM"),
        (
            &format!("read {FAR}"),
            "Invalid argument (EINVAL): the range leaves the physical address space; \
             `devmap info` shows the highest address",
        ),
    ] {
        devmap(arguments)?.failed(3, &[words])?;
    }
    Ok(())
}

/// A node in place of the driver's own; removed when dropped.
struct Node;

impl Drop for Node {
    fn drop(&mut self) {
        let _ = fs::remove_file("/dev/map");
    }
}

fn status_3_without_the_driver(_: &mut Host) -> Result<()> {
    let scratch = Scratch::new()?;
    let image = scratch.file("image", &[0; 64])?;
    let all = || {
        let writers = writers(START, START, &image).into_iter();
        let readers = readers(START, START, &image).into_iter().map(|(command, _)| command);
        readers.chain(writers).chain(["info".into(), "check 0xc0000000".into()])
    };
    for command in all() {
        devmap(&command)?.failed(
            3,
            &[
                "cannot open /dev/map: No such file or directory (ENOENT); load the driver with `insmod map.ko`",
                "`mknod /dev/map c 126 0`",
            ],
        )?;
    }
    kernel::run("mknod", &["/dev/map", "c", "126", "0"])?;
    let _node = Node;
    for command in all() {
        devmap(&command)?.failed(3, &["(ENXIO); no driver is behind the node: load it with `insmod map.ko`"])?;
    }
    // Devices and files that are not memory.
    devmap("read 0 --device /dev")?.failed(3, &["cannot map /dev: it is a directory"])?;
    devmap("read 0 --device /dev/null")?.failed(3, &["of /dev/null: No such device (ENODEV)"])?;
    devmap("check 0 --device /dev/zero")?.failed(3, &["only the map driver answers, whose node is /dev/map"])?;
    let short = format!("read 62 --device {image} -w 32");
    devmap(&short)?.failed(3, &["the file ends after 0x40 bytes; give a range within it"])?;
    let names = scratch.names()?;
    ensure!(names == ["image"], "it left {names:?}");
    Ok(())
}

fn status_3_for_a_user_without_the_permission(host: &mut Host) -> Result<()> {
    let seed = 114;
    host.fill(seed)?;
    let commands = ["read 0xc0000000", "write 0xc0000000 1", "info", "check 0xc0000000"];
    for parameters in [&[][..], &[WHOLE]] {
        let _loaded = Loaded::with(parameters)?;
        for command in commands {
            let words =
                "cannot open /dev/map: Permission denied (EACCES); its permissions forbid it (mode 0600, owner \
                         root, group ";
            let remedy = "run as root, or change its group or mode";
            devmap_as_user(command)?.failed(3, &[words, remedy])?;
        }
        fs::set_permissions("/dev/map", Permissions::from_mode(0o666))?;
        if parameters.is_empty() {
            for command in commands {
                let words = "cannot open /dev/map: Operation not permitted (EPERM); without windows it takes \
                             CAP_SYS_RAWIO";
                devmap_as_user(command)?.failed(3, &[words, "run as root, or load the driver with windows"])?;
            }
            host.changed(seed, &[], |_| 0)?;
        } else {
            devmap_as_user("write 0xc0000000 1 -w 8 --verify")?.printed("")?;
            devmap_as_user("read 0xc0000000 -w 8")?.printed("0xc0000000: 0x01\n")?;
            // A user who may only read the node cannot write.
            fs::set_permissions("/dev/map", Permissions::from_mode(0o644))?;
            devmap_as_user("read 0xc0000000 -w 8")?.printed("0xc0000000: 0x01\n")?;
            devmap_as_user("write 0xc0000000 2 -w 8")?
                .failed(3, &["(EACCES); its permissions forbid it (mode 0644"])?;
        }
    }
    host.changed(seed, &[0..1], |_| 1)
}

/// A file system of 64 KiB, which is less than any test needs; unmounted when dropped.
struct Small(String);

impl Small {
    fn new(at: String) -> Result<Self> {
        fs::create_dir(&at)?;
        kernel::run("mount", &["-t", "tmpfs", "-o", "size=64k", "tmpfs", &at])?;
        Ok(Self(at))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = kernel::run("umount", &[&self.0]);
    }
}

fn status_4_leaves_no_file_behind(host: &mut Host) -> Result<()> {
    let seed = 115;
    host.fill(seed)?;
    let _loaded = Loaded::with(&[WHOLE])?;
    let scratch = Scratch::new()?;
    let full = Small::new(scratch.path("full"))?;
    let names = || -> Result<Vec<_>> {
        let names = fs::read_dir(&full.0)?.map(|entry| Ok(entry?.file_name().into_string().unwrap_or_default()));
        names.collect()
    };
    let saved = format!("{}/saved", full.0);
    let words = format!("cannot write {saved}: No space left on device");
    devmap(&format!("save 0xc0000000+3M {saved}"))?.failed(4, &[&words])?;
    ensure!(names()?.is_empty(), "it left {:?}", names()?);
    // An existing file is kept, and a file that fits replaces it.
    fs::write(&saved, "old")?;
    devmap(&format!("save 0xc0000000+3M {saved}"))?.failed(4, &[&words])?;
    ensure!(fs::read(&saved)? == b"old" && names()? == ["saved"], "it changed {saved}, or left {:?}", names()?);
    devmap(&format!("save 0xc0000000+32K {saved}"))?.printed("")?;
    ensure!(fs::read(&saved)? == pattern::bytes(seed, START, 32 << 10), "{saved} holds something else");

    let absent = scratch.path("absent");
    for arguments in [format!("load {absent} 0xc0000000"), format!("verify {absent} 0xc0000000")] {
        devmap(&arguments)?.failed(4, &[&format!("cannot read {absent}: No such file or directory")])?;
    }
    devmap("load /tmp 0xc0000000")?.failed(4, &["cannot read /tmp: Is a directory"])?;
    devmap(&format!("save 0xc0000000+4K {absent}/saved"))?.failed(4, &["cannot write", "No such file or directory"])?;
    host.changed(seed, &[], |_| 0)
}

fn status_4_is_for_the_output_too(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&[WHOLE])?;
    for command in ["read 0xc0000000", "dump 0xc0000000+64K", "info", "check 0xc0000000", "save 0xc0000000+64K -"] {
        let words = "cannot write the output: No space left on device";
        shell(&format!("devmap {command} > /dev/full"))?.failed(4, &[words])?;
    }
    devmap("save 0xc0000000+64K /dev/full")?.failed(4, &["cannot write /dev/full: No space left on device"])?;
    // A reader that closes the pipe early is not an error.
    let ran = shell("{ devmap dump --all 0xc0000000+1M; echo $? >&2; } | head -n 1")?;
    ensure!(ran.out.lines().count() == 1 && ran.err == "0\n", "{ran:?}");
    Ok(())
}

fn status_130_says_how_far_it_came(host: &mut Host) -> Result<()> {
    let seed = 116;
    host.fill(seed)?;
    let _loaded = Loaded::with(&[WHOLE])?;
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut save = Running::new("save 0xc0000000+3M -")?;
        let (out, err) = (save.0.stdout.take(), save.0.stderr.take());
        let (mut out, mut err) = (out.context("no stdout")?, err.context("no stderr")?);
        // It is running and cannot end: the pipe has no room for the rest.
        let mut bytes = vec![0; 1];
        out.read_exact(&mut bytes)?;
        save.signal(signal)?;
        out.read_to_end(&mut bytes)?;
        let mut errors = String::new();
        err.read_to_string(&mut errors)?;
        let status = save.0.wait()?;
        ensure!(status.code() == Some(130), "{signal}: {status}: {errors:?}");
        let count = bytes.len();
        let line = format!("devmap: interrupted: saved {count:#x} of 0x300000 bytes, from the start\n");
        ensure!(errors == line && count < LENGTH as usize, "{signal}: {errors:?}, not {line:?}");
        ensure!(bytes == pattern::bytes(seed, START, count), "{signal}: it saved something else");
    }
    host.changed(seed, &[], |_| 0)
}

fn a_read_only_window_is_read_and_never_written(host: &mut Host) -> Result<()> {
    let seed = 117;
    host.fill(seed)?;
    let _loaded = Loaded::with(&[THREE])?;
    let scratch = Scratch::new()?;
    let image = scratch.file("image", &[0; 64])?;
    // The search needs a block of 64 bytes with a zero byte.
    let window = pattern::bytes(seed, START + 0x10_0000, 0x1000);
    let block = window.chunks(64).position(|bytes| bytes[1..].contains(&0) && bytes[0] != 0).context("no zero")?;
    let (at, free) = (START + 0x10_0000 + 64 * block as u64, START + 0x1000);
    for command in writers(at, free, &image) {
        devmap(&command)?.failed(
            3,
            &["Permission denied (EACCES): the window is read-only; it is two@0xc0100000+0x100000:ro:wc; \
                 only read it, or load the driver with this window not `ro`"],
        )?;
    }
    for (command, status) in readers(at, free, &image) {
        let ran = devmap(&command)?;
        ensure!(ran.status == Some(status), "not status {status}: {ran:?}");
    }
    let line = format!("{at:#x}: {:#04x}\n", window[64 * block]);
    devmap(&format!("read {at:#x} -w 8"))?.printed(&line)?;
    let saved = fs::read(format!("{image}.saved"))?;
    ensure!(saved == window[64 * block..][..64], "it saved {saved:02x?}");
    host.changed(seed, &[], |_| 0)
}

/// The JSON object that `devmap --json` prints.
fn object(ran: &Ran) -> Result<Value> {
    serde_json::from_str(&ran.out).with_context(|| format!("no JSON: {ran:?}"))
}

/// A window as `devmap --json` prints it.
fn row(name: &str, start: u64, access: &str, cache: &str) -> Value {
    json!({
        "name": name, "start": format!("{start:#x}"), "last": format!("{:#x}", start + 0xf_ffff), "bytes": 1 << 20,
        "access": access, "cache": cache, "claimed": true, "reserved": RESERVED, "declared": false,
        "survives_lockdown": false, "from": "parameter",
    })
}

/// The window with its node.
fn row_with_node(mut row: Value, minor: u32) -> Value {
    row["minor"] = minor.into();
    row["node"] = format!("/dev/map{minor}").into();
    row
}

fn check_tells_what_the_windows_allow(host: &mut Host) -> Result<()> {
    let seed = 118;
    host.fill(seed)?;
    let _loaded = Loaded::with(&[THREE])?;
    for (place, cache, window) in [
        ("0xc0000064 --write", "uncached", "one@0xc0000000+0x100000"),
        ("0xc0100000+1M", "wc", "two@0xc0100000+0x100000:ro:wc"),
        ("0xc0200000-0xc02fffff --write", "cached", "three@0xc0200000+0x100000:cached"),
    ] {
        let ran = devmap(&format!("check {place}"))?;
        ensure!(ran.status == Some(0) && ran.err.is_empty(), "{ran:?}");
        for line in ["verdict  granted", &format!("cache    {cache}"), &format!("window   {window}")] {
            ensure!(ran.out.lines().any(|found| found == line), "it does not say {line:?}: {ran:?}");
        }
    }
    for (place, errno, reason, nearest) in [
        ("0xc0300000", "EPERM", "the range is outside of every window", "three@0xc0200000+0x100000:cached"),
        ("0xbf000000+4K", "EPERM", "the range is outside of every window", "one@0xc0000000+0x100000"),
        ("0xc0000000+3M", "EPERM", "the range is not wholly inside one window", "one@0xc0000000+0x100000"),
        ("0xc0100000 --write", "EACCES", "the window is read-only", "two@0xc0100000+0x100000:ro:wc"),
        ("0xc0000000 --exec", "EPERM", "physical memory is never mapped executable", ""),
        ("0xc0000000 --private", "EINVAL", "what is stored into a private mapping never reaches the memory", ""),
        (FAR, "EINVAL", "the range leaves the physical address space", ""),
    ] {
        let ran = devmap(&format!("check {place}"))?;
        ensure!(ran.status == Some(3) && ran.err.is_empty(), "{ran:?}");
        let verdict = format!("verdict  refused, {errno}\nreason   {reason}\n");
        ensure!(ran.out.contains(&verdict), "it does not say {verdict:?}: {ran:?}");
        let found = ran.out.lines().find_map(|line| line.strip_prefix("nearest  ")).unwrap_or_default();
        ensure!(found == nearest, "the nearest is {found:?}, not {nearest:?}: {ran:?}");
    }
    let ran = devmap("check 0xc0100064 --json")?;
    let expected = json!({
        "start": "0xc0100064", "last": "0xc0100067", "first_page": "0xc0100000", "mapped_bytes": 4096,
        "read": true, "write": false, "execute": false, "shared": true,
        "granted": true, "cache": "wc", "window": row("two", 0xc010_0000, "ro", "wc"),
    });
    ensure!(ran.status == Some(0) && object(&ran)? == expected, "not {expected}: {ran:?}");
    let ran = devmap("check 0xc0100064 --json --write")?;
    let found = object(&ran)?;
    ensure!(ran.status == Some(3) && ran.err.is_empty(), "{ran:?}");
    ensure!(found["granted"] == false && found["errno"] == "EACCES" && found["code"] == 13, "{ran:?}");
    ensure!(found["nearest"] == row("two", 0xc010_0000, "ro", "wc"), "{ran:?}");
    host.changed(seed, &[], |_| 0)
}

fn info_shows_the_driver_and_its_windows(_: &mut Host) -> Result<()> {
    {
        let _loaded = Loaded::new()?;
        let ran = devmap("info")?;
        ensure!(ran.status == Some(0) && ran.err.is_empty(), "{ran:?}");
        ensure!(
            ran.out.starts_with("device         /dev/map, character device 126:0\ndriver         map, "),
            "{ran:?}"
        );
        let end = "\n\nno windows: all but RAM can be mapped, with CAP_SYS_RAWIO\n";
        ensure!(ran.out.contains("\nmode           raw\n") && ran.out.ends_with(end), "{ran:?}");
        let driver = object(&devmap("info --json")?)?["driver"].take();
        ensure!(driver["mode"] == "raw" && driver["windows"] == json!([]), "{driver}");
    }
    let _loaded = Loaded::with(&[THREE])?;
    let ran = devmap("info")?;
    let (memory, width) = if RESERVED { ("reserved", 8) } else { ("-", 6) };
    let table = format!(
        "\n\
        window  node       range                  size  access  cache     region   {:width$}  from\n\
        one     /dev/map1  0xc0000000-0xc00fffff  1M    rw      uncached  claimed  {memory:width$}  parameter\n\
        two     /dev/map2  0xc0100000-0xc01fffff  1M    ro      wc        claimed  {memory:width$}  parameter\n\
        three   /dev/map3  0xc0200000-0xc02fffff  1M    rw      cached    claimed  {memory:width$}  parameter\n",
        "memory"
    );
    ensure!(ran.status == Some(0) && ran.out.ends_with(&table), "not {table}: {ran:?}");
    ensure!(ran.out.contains("\nmode           windows\n"), "{ran:?}");
    for (name, node) in [("one", "/dev/map1"), ("two", "/dev/map2"), ("three", "/dev/map3")] {
        let (start, end) = (format!("| {name} "), format!(" |  1M     {node}"));
        let is_drawn = |line: &&str| line.trim_start().starts_with(&start) && line.ends_with(&end);
        ensure!(ran.out.lines().filter(is_drawn).count() == 1, "not one of {name}: {ran:?}");
    }
    let info = object(&devmap("info --json")?)?;
    let windows = json!([
        row_with_node(row("one", 0xc000_0000, "rw", "uncached"), 1),
        row_with_node(row("two", 0xc010_0000, "ro", "wc"), 2),
        row_with_node(row("three", 0xc020_0000, "rw", "cached"), 3),
    ]);
    ensure!(info["device"] == "/dev/map" && info["number"] == "126:0", "{info}");
    ensure!(info["driver"]["mode"] == "windows" && info["driver"]["windows"] == windows, "not {windows}: {info}");
    // Another name shows the same device.
    let scratch = Scratch::new()?;
    let link = scratch.path("link");
    symlink("/dev/map", &link)?;
    let linked = object(&devmap(&format!("info --json --device {link}"))?)?;
    ensure!(linked["driver"] == info["driver"], "{linked}");
    // The node of a window shows it alone.
    let own = object(&devmap("info --json --device /dev/map2")?)?;
    ensure!(own["kind"] == "window" && own["number"] == "126:2" && own["bytes"] == 1 << 20, "{own}");
    ensure!(own["driver"]["mode"] == "window" && own["driver"]["windows"] == json!([windows[1]]), "{own}");
    Ok(())
}
