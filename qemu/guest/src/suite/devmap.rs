// SPDX-License-Identifier: MIT OR Apache-2.0

//! The command line `devmap` on /dev/map: what each command prints and stores.

use std::{
    fs::{self, Permissions},
    io::{BufRead, BufReader, Read},
    os::unix::fs::{symlink, PermissionsExt},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{ensure, Context, Result};
use devmap::Width;
use map_protocol::pattern;
use nix::sys::signal::Signal;

use crate::{
    host::{Host, LENGTH, START},
    kernel::{self, Loaded},
    program::{devmap, devmap_as_user, shell, Ran, Running, Scratch, WHOLE},
    user,
};

crate::tests! {
    every_width_and_order_stores_exactly_its_bytes,
    values_follow_each_other,
    modify_and_bit_fields_change_their_bits_alone,
    fill_stores_one_value_all_over_the_range,
    load_stores_a_file_at_any_address,
    load_replaces_all_of_the_memory,
    save_writes_what_the_memory_holds,
    copy_may_overlap_in_both_directions,
    compare_and_verify_name_the_first_difference,
    search_and_dump_show_what_the_host_wrote,
    the_memory_test_stays_in_its_range,
    watch_shows_what_another_process_stores,
    busybox_devmem_and_devmap_agree,
    devmem_by_name_prints_what_busybox_prints,
    devmem2_by_name_takes_what_devmem2_took,
    memtool_and_rwmem_by_name_do_what_those_do,
    names_are_offsets_in_their_windows,
    a_name_opens_the_windows_own_node,
    a_window_that_does_not_open_says_why,
    windows_complete_by_name,
    the_examples_of_the_help_do_what_they_say,
    a_script_waits_for_what_another_process_stores,
    the_chart_shows_ram_windows_and_what_is_free,
}

/// The expected contents of the free memory.
pub struct Expected {
    seed: u64,
    pub bytes: Vec<u8>,
}

impl Expected {
    /// The pattern of this seed, which the host now stores.
    pub fn new(host: &mut Host, seed: u64) -> Result<Self> {
        host.fill(seed)?;
        Ok(Self { seed, bytes: pattern::bytes(seed, START, LENGTH as usize) })
    }

    /// Expects `bytes` at `offset` from now on.
    pub fn put(&mut self, offset: usize, bytes: &[u8]) {
        self.bytes[offset..][..bytes.len()].copy_from_slice(bytes);
    }

    /// Fails unless the memory has exactly these contents. The host lists the first changes and counts them all; the
    /// rest is read here.
    pub fn holds(&self, host: &mut Host) -> Result<()> {
        let before = pattern::bytes(self.seed, START, self.bytes.len());
        let changed = self.bytes.iter().zip(&before).filter(|(now, before)| now != before).count();
        let (first, count) = host.differences(self.seed)?;
        ensure!(count == changed as u64, "the host sees {count} bytes changed, not {changed}: {first:02x?}");
        for difference in first {
            let expected = self.bytes[(difference.address - START) as usize];
            ensure!(difference.found == expected, "the host sees {difference:02x?}, not {expected:#04x}");
        }
        let memory = user::map()?;
        for (offset, expected) in (0..).step_by(8).zip(self.bytes.chunks(8)) {
            let found = memory.read::<u64>(offset)?.to_ne_bytes();
            ensure!(found == *expected, "at {offset:#x}: {found:02x?}, not {expected:02x?}");
        }
        Ok(())
    }
}

fn every_width_and_order_stores_exactly_its_bytes(host: &mut Host) -> Result<()> {
    let bytes = [0x81, 0x92, 0xa3, 0xb4, 0xc5, 0xd6, 0xe7, 0xf8];
    // Uncached, as in raw mode, and through a window of each other cache type.
    for parameters in [&[][..], &["windows=0xc0000000+3M:wc"], &["windows=0xc0000000+3M:wb"]] {
        let mut expected = Expected::new(host, 90)?;
        let _loaded = Loaded::with(parameters)?;
        for (width, at) in [(1, 0x1001), (2, 0x2002), (4, 0x3004), (8, 0x4008)] {
            let value = bytes[..width].iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
            let reversed: Vec<_> = bytes[..width].iter().rev().copied().collect();
            for (order, offset, stored) in [("big", at, &bytes[..width]), ("little", at + 16, &reversed)] {
                let (address, bits, digits) = (START + offset as u64, 8 * width, 2 + 2 * width);
                let options = format!("-w {bits} --endian {order}");
                devmap(&format!("write {address:#x} {value:#x} {options} --verify"))?.printed("")?;
                let line = format!("{address:#x}: {value:#0digits$x}\n");
                devmap(&format!("read {address:#x} {options}"))?.printed(&line)?;
                expected.put(offset, stored);
            }
        }
        expected.holds(host).with_context(|| format!("map.ko {parameters:?}"))?;
    }
    Ok(())
}

fn values_follow_each_other(host: &mut Host) -> Result<()> {
    let mut expected = Expected::new(host, 91)?;
    let _loaded = Loaded::with(&[WHOLE])?;
    // Across a page boundary, and up to the last byte.
    devmap("write 0xc0000ffe 0x1122 0x3344 0x5566 -w 16 --endian big --verify")?.printed("")?;
    expected.put(0xffe, &[0x11, 0x22, 0x33, 0x44, 0x55, 0x66]);
    devmap("write 0xc02ffffe 1 2 -w 8")?.printed("")?;
    expected.put(0x2f_fffe, &[1, 2]);
    let lines = "0xc0000ffe: 0x11\n0xc0000fff: 0x22\n0xc0001000: 0x33\n0xc02fffff: 0x02\n";
    devmap("read 0xc0000ffe+3 0xc02fffff -w 8")?.printed(lines)?;
    devmap("--json write 0xc0000000 7 -w 8")?.printed(
        "{\"address\":\"0xc0000000\",\"width\":8,\"values\":[\"0x07\"],\"numbers\":[7],\"verified\":false}\n",
    )?;
    expected.put(0, &[7]);
    devmap("--json read 0xc0000000 -w 8")?
        .printed("{\"address\":\"0xc0000000\",\"width\":8,\"value\":\"0x07\",\"number\":7}\n")?;
    expected.holds(host)
}

fn modify_and_bit_fields_change_their_bits_alone(host: &mut Host) -> Result<()> {
    let mut expected = Expected::new(host, 92)?;
    let _loaded = Loaded::with(&[WHOLE])?;
    // From a value and from its complement, so that each bit is kept, set and cleared.
    for (offset, start) in [(0x10, 0x0f0f_1234_u32), (0x20, !0x0f0f_1234)] {
        let address = START + offset as u64;
        devmap(&format!("write {address:#x} {start:#x} --endian little"))?.printed("")?;
        let mut before = start;
        for (command, place, arguments, mask, value) in [
            ("modify", "", "--set 0x80 --clear 0x4", 0x84, 0x80),
            ("modify", "", "--mask 0xff0000 0x5a0000 --verify", 0xff_0000, 0x5a_0000),
            ("write", ":31:28", "0xc --verify", 0xf000_0000, 0xc000_0000),
            ("write", ":0", "1", 1, 1),
        ] {
            let after = before & !mask | value;
            devmap(&format!("{command} {address:#x}{place} {arguments} --endian little"))?
                .printed(&format!("{address:#x}: {before:#010x} -> {after:#010x}\n"))?;
            before = after;
        }
        expected.put(offset, &before.to_le_bytes());
        let (high, middle) = (before >> 28, before >> 4 & 0xff);
        devmap(&format!("read {address:#x}:31:28 {address:#x}:11:4 {address:#x}:0 --endian little"))?.printed(
            &format!("{address:#x}:31:28: {high:#x}\n{address:#x}:11:4: {middle:#04x}\n{address:#x}:0:0: 0x1\n"),
        )?;
    }
    expected.holds(host)
}

fn fill_stores_one_value_all_over_the_range(host: &mut Host) -> Result<()> {
    let mut expected = Expected::new(host, 93)?;
    let _loaded = Loaded::with(&[WHOLE])?;
    // Unaligned ranges, and one of more than a block.
    for (offset, length, value, stored, options) in [
        (0x11, 3, "0xff", &[0xff][..], "-w 8"),
        (0xfff, 0x1003, "0x5a", &[0x5a], "-w 8 --verify"),
        (0x4002, 6, "0x1234", &[0x12, 0x34], "-w 16 --endian big"),
        (0x8004, 0x2_0004, "0x11223344", &[0x11, 0x22, 0x33, 0x44], "--endian big --verify"),
        (0x10_0000, 0x10_0000, "0x0102030405060708", &[8, 7, 6, 5, 4, 3, 2, 1], "-w 64 --endian little --verify"),
    ] {
        let address = START + offset as u64;
        devmap(&format!("fill {address:#x}+{length} {value} {options}"))?.printed("")?;
        expected.put(offset, &stored.repeat(length / stored.len()));
    }
    expected.holds(host)?;
    devmap("--json fill 0xc0000000-0xc02fffff 0 --verify")?
        .printed("{\"start\":\"0xc0000000\",\"bytes\":3145728,\"verified\":true}\n")?;
    expected.bytes.fill(0);
    expected.holds(host)
}

fn load_stores_a_file_at_any_address(host: &mut Host) -> Result<()> {
    let mut expected = Expected::new(host, 94)?;
    let _loaded = Loaded::with(&[WHOLE])?;
    let scratch = Scratch::new()?;
    let image = pattern::bytes(1094, 0, 0x2_1003);
    let path = scratch.file("image", &image)?;
    devmap(&format!("load {path} 0xc0000081 --verify"))?.printed("")?;
    expected.put(0x81, &image);
    devmap(&format!("load {path} 0xc0100003+5"))?.printed("")?;
    expected.put(0x10_0003, &image[..5]);
    devmap(&format!("load {path} 0xc0110000-0xc011ffff -w 16"))?.printed("")?;
    expected.put(0x11_0000, &image[..0x1_0000]);
    shell(&format!("cat {path} | devmap load - 0xc0200001"))?.printed("")?;
    expected.put(0x20_0001, &image);
    expected.holds(host)
}

fn load_replaces_all_of_the_memory(host: &mut Host) -> Result<()> {
    host.fill(95)?;
    let _loaded = Loaded::with(&[WHOLE])?;
    let scratch = Scratch::new()?;
    let path = scratch.file("image", &pattern::bytes(1095, START, LENGTH as usize))?;
    devmap(&format!("load {path} 0xc0000000"))?.printed("")?;
    // Here the host can compare every byte.
    host.changed(1095, &[], |_| 0)
}

fn save_writes_what_the_memory_holds(host: &mut Host) -> Result<()> {
    let seed = 96;
    host.fill(seed)?;
    let _loaded = Loaded::with(&[WHOLE])?;
    let scratch = Scratch::new()?;
    let path = scratch.path("saved");
    for (offset, length, options) in [(0, LENGTH, ""), (0x81, 0x2_0003, ""), (0x1002, 6, "-w 16"), (0x10, 1, "")] {
        let place = format!("{:#x}+{length}", START + offset);
        devmap(&format!("save {place} {path} {options}"))?.printed("")?;
        let expected = pattern::bytes(seed, START + offset, length as usize);
        ensure!(fs::read(&path)? == expected, "save {place} {options}: the file holds something else");
        // Its output may be a file or a pipe.
        for line in [format!("devmap save {place} - > {path}"), format!("devmap save {place} - | cat > {path}")] {
            shell(&line)?.printed("")?;
            ensure!(fs::read(&path)? == expected, "{line}: the file holds something else");
        }
    }
    let names = scratch.names()?;
    ensure!(names == ["saved"], "it left {names:?}");
    host.changed(seed, &[], |_| 0)
}

fn copy_may_overlap_in_both_directions(host: &mut Host) -> Result<()> {
    let mut expected = Expected::new(host, 97)?;
    let _loaded = Loaded::with(&[WHOLE])?;
    for (from, to, length, options) in [
        (0, 0x18_0000, 0x18_0000, "--verify"),
        (0x10, 0x1033, 0x2_f000, ""),
        (0x1033, 0x10, 0x2_f000, ""),
        (0x10_0800, 0x10_0801, 0x1_2345, "-w 8"),
        (0x2f_fffd, 1, 3, "--verify"),
    ] {
        let (source, target) = (START + from as u64, START + to as u64);
        devmap(&format!("copy {source:#x}+{length} {target:#x} {options}"))?.printed("")?;
        expected.bytes.copy_within(from..from + length, to);
    }
    expected.holds(host)
}

fn compare_and_verify_name_the_first_difference(host: &mut Host) -> Result<()> {
    let seed = 98;
    host.fill(seed)?;
    let _loaded = Loaded::with(&[WHOLE])?;
    let scratch = Scratch::new()?;
    let mut image = pattern::bytes(seed, START, LENGTH as usize);
    let path = scratch.file("image", &image)?;
    devmap(&format!("verify {path} 0xc0000000"))?.printed("")?;
    devmap(&format!("verify {path} 0xc0000000+5"))?.printed("")?;
    devmap("compare 0xc0001003+1M 0xc0001003")?.printed("")?;
    devmap("--json compare 0xc0000000+4 0xc0000000")?
        .printed("{\"start\":\"0xc0000000\",\"bytes\":4,\"equal\":true}\n")?;
    // Two bytes differ; the first is named.
    let there = image[0x12_3457];
    for offset in [0x12_3457, 0x2f_ffff] {
        image[offset] ^= 0xff;
    }
    let path = scratch.file("image", &image)?;
    let says = format!("0xc0123457 has {there:#04x}, and {path} has {:#04x}", !there);
    devmap(&format!("verify {path} 0xc0000000"))?.failed(1, &[&says])?;
    devmap(&format!("verify {path} 0xc0000000+0x123457"))?.printed("")?;
    let (one, other) = (pattern::byte(seed, START), pattern::byte(seed, START + 0x1000));
    ensure!(one != other, "the pattern is the same in both places");
    let says = format!("0xc0000000 has {one:#04x}, and 0xc0001000 has {other:#04x}");
    devmap("compare 0xc0000000+1M 0xc0001000")?.failed(1, &[&says])?;
    host.changed(seed, &[], |_| 0)
}

fn search_and_dump_show_what_the_host_wrote(host: &mut Host) -> Result<()> {
    let seed = 99;
    host.fill(seed)?;
    let _loaded = Loaded::with(&[WHOLE])?;
    // Sixteen bytes across two blocks, which occur nowhere else.
    let bytes = pattern::bytes(seed, START + 0xfff9, 16);
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    devmap(&format!("search 0xc0000000+3M --bytes {digits}"))?.printed("0xc000fff9\n")?;
    devmap(&format!("search 0xc0000000+0x10000 --bytes {digits}"))?.failed(1, &["no match"])?;
    let spaced: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let text: String = bytes
        .iter()
        .map(|&byte| if byte.is_ascii_graphic() || byte == b' ' { char::from(byte) } else { '.' })
        .collect();
    let line = format!("0xc000fff9  {}  {}  |{text}|\n", spaced[..8].join(" "), spaced[8..].join(" "));
    devmap("dump 0xc000fff9+16")?.printed(&line)?;
    devmap("--json dump 0xc000fff9+16")?
        .printed(&format!("{{\"address\":\"0xc000fff9\",\"bytes\":\"{digits}\"}}\n"))?;
    host.changed(seed, &[], |_| 0)?;

    devmap("write 0xc02ffff8 0xdeadbeef 0x12345678")?.printed("")?;
    devmap("search 0xc0000000+3M 0xdeadbeef 0x12345678")?.printed("0xc02ffff8\n")?;
    devmap("fill 0xc0000000+1M 0")?.printed("")?;
    let zeros = "00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n";
    devmap("dump 0xc0000000+1M")?.printed(&format!("0xc0000000  {zeros}*\n0xc00ffff0  {zeros}"))
}

fn the_memory_test_stays_in_its_range(host: &mut Host) -> Result<()> {
    const AT: usize = 0x1008;
    const LONG: usize = 0x1_0000;
    let mut expected = Expected::new(host, 100)?;
    let _loaded = Loaded::with(&[WHOLE])?;
    // The last values of a test stay: the complement of each word's index, and the last pattern of the inversions.
    let index: Vec<_> = match Width::WIDEST {
        Width::Bits64 => (0..LONG as u64 / 8).flat_map(|index| (!index).to_ne_bytes()).collect(),
        _ => (0..LONG as u32 / 4).flat_map(|index| (!index).to_ne_bytes()).collect(),
    };
    let index_of_16 = (0..LONG / 2).flat_map(|index| (!(index as u16)).to_ne_bytes()).collect();
    for (only, left, options) in [
        ("index", index, ""),
        ("inversions", vec![0x0f; LONG], ""),
        ("index", index_of_16, "-w 16"),
        ("inversions", vec![0x0f; LONG], "-w 8"),
    ] {
        let ran = devmap(&format!("test {:#x}+{LONG} --only {only} {options}", START + AT as u64))?;
        ran.printed(&format!("pass 1: {only}: ok\n"))?;
        expected.put(AT, &left);
        expected.holds(host).with_context(|| format!("after the test {only} {options}"))?;
    }
    // All of them, twice; the guest reads what they leave.
    let names = ["data", "address", "index", "inversions", "random"];
    let lines = [1, 2].map(|pass| names.map(|name| format!("pass {pass}: {name}: ok\n")).concat()).concat();
    devmap("test 0xc0020000+256K --passes 2")?.printed(&lines)?;
    let memory = user::map()?;
    let changed = (0x2_0000..0x6_0000).step_by(8).map(|offset| Ok((offset, memory.read::<u64>(offset)?)));
    for word in changed.collect::<Result<Vec<_>>>()? {
        expected.put(word.0, &word.1.to_ne_bytes());
    }
    expected.holds(host)
}

fn watch_shows_what_another_process_stores(host: &mut Host) -> Result<()> {
    host.fill(101)?;
    let _loaded = Loaded::with(&[WHOLE])?;
    devmap("fill 0xc0000100+8 0")?.printed("")?;
    let mut watch = Running::new("watch 0xc0000100+8 --interval 1")?;
    let mut lines = BufReader::new(watch.0.stdout.take().context("no stdout")?).lines();
    let mut next = |expected: &str| -> Result<()> {
        let line = lines.next().context("it ended")??;
        ensure!(line == expected, "it printed {line:?}, not {expected:?}");
        Ok(())
    };
    next("0xc0000100: 0x00000000")?;
    next("0xc0000104: 0x00000000")?;
    devmap("write 0xc0000104 3")?.printed("")?;
    next("0xc0000104: 0x00000000 -> 0x00000003")?;
    watch.signal(Signal::SIGINT)?;
    let mut errors = String::new();
    watch.0.stderr.take().context("no stderr")?.read_to_string(&mut errors)?;
    let status = watch.0.wait()?;
    ensure!(status.code() == Some(130) && errors.ends_with(", changes: 1\n"), "{status}: {errors:?}");
    Ok(())
}

/// Values to read: each width at a place of its own, and at the end of a page.
const PLACES: [(u64, usize); 8] = [
    (0x1001, 1),
    (0x2002, 2),
    (0x3004, 4),
    (0x4008, 8),
    (0x10_0fff, 1),
    (0x10_1ffe, 2),
    (0x10_2ffc, 4),
    (0x10_3ff8, 8),
];

/// The value of the pattern at `offset`.
fn value(seed: u64, offset: u64, width: usize) -> u64 {
    pattern::bytes(seed, START + offset, width).iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn busybox_devmem_and_devmap_agree(host: &mut Host) -> Result<()> {
    let seed = 102;
    host.fill(seed)?;
    // Without windows, whose region would be claimed, and might have another cache type than busybox uses.
    let _loaded = Loaded::new()?;
    let mut stored = Vec::new();
    for (offset, width) in PLACES {
        let (address, bits, digits) = (START + offset, 8 * width, 2 * width);
        let (there, other) = (value(seed, offset, width), value(seed, offset, width) ^ (u64::MAX >> (64 - bits)));
        let theirs = kernel::run("busybox", &["devmem", &format!("{address:#x}"), &bits.to_string()])?;
        ensure!(theirs == format!("0x{there:0digits$X}\n"), "busybox reads {theirs:?} at {address:#x}");
        let line = |value| format!("{address:#x}: 0x{value:0digits$x}\n");
        let read = format!("read {address:#x} -w {bits}");
        devmap(&read)?.printed(&line(there))?;
        devmap(&format!("{read} --device /dev/mem"))?.printed(&line(there))?;
        // Each reads what the other wrote: busybox writes at the first places, devmap at the last.
        if offset < 0x10_0000 {
            kernel::run("busybox", &["devmem", &format!("{address:#x}"), &bits.to_string(), &format!("{other:#x}")])?;
            devmap(&read)?.printed(&line(other))?;
            stored.push(offset..offset + width as u64);
        } else {
            devmap(&format!("write {address:#x} {other:#x} -w {bits}"))?.printed("")?;
            let theirs = kernel::run("busybox", &["devmem", &format!("{address:#x}"), &bits.to_string()])?;
            ensure!(theirs == format!("0x{other:0digits$X}\n"), "busybox reads {theirs:?} at {address:#x}");
            devmap(&format!("write {address:#x} {there:#x} -w {bits} --device /dev/mem"))?.printed("")?;
        }
    }
    host.changed(seed, &stored, |offset| !pattern::byte(seed, START + offset))
}

/// A link to `devmap` by another name.
fn by_name(scratch: &Scratch, name: &str) -> Result<String> {
    let path = scratch.path(name);
    symlink("/usr/bin/devmap", &path).with_context(|| format!("cannot link {path}"))?;
    Ok(path)
}

fn devmem_by_name_prints_what_busybox_prints(host: &mut Host) -> Result<()> {
    let seed = 103;
    host.fill(seed)?;
    let _loaded = Loaded::new()?;
    let scratch = Scratch::new()?;
    let ours = by_name(&scratch, "devmem")?;
    for (offset, width) in PLACES {
        let (address, bits) = (format!("{:#x}", START + offset), (8 * width).to_string());
        let theirs = kernel::run("busybox", &["devmem", &address, &bits])?;
        Ran::new(Command::new(&ours).args([&address, &bits]))?.printed(&theirs)?;
    }
    // The default width, widths by their letters, and an address in decimal and in octal.
    for arguments in [
        &["0xc0000008"][..],
        &["0xc0000008", "b"],
        &["0xc0000008", "H"],
        &["0xc0000008", "w"],
        &["0xc0000008", "L"],
        &["3221225480", "16"],
        &["030000000010", "16"],
    ] {
        let theirs = kernel::run("busybox", &[&["devmem"], arguments].concat())?;
        Ran::new(Command::new(&ours).args(arguments))?.printed(&theirs)?;
    }
    // Neither prints anything for a write, and both store the same.
    let mut stored = Vec::new();
    for (index, (offset, width)) in PLACES.into_iter().enumerate() {
        for (offset, program) in [(offset, &["busybox", "devmem"][..]), (offset + 16, &[&ours])] {
            let (address, bits) = (format!("{:#x}", START + offset), (8 * width).to_string());
            let other = !value(seed, offset, width) & (u64::MAX >> (64 - 8 * width));
            let other = &[format!("{other:#x}"), other.to_string(), format!("0{other:o}")][index % 3];
            let arguments = [&address, &bits, other];
            Ran::new(Command::new(program[0]).args(&program[1..]).args(arguments))?.printed("")?;
            stored.push(offset..offset + width as u64);
        }
    }
    host.changed(seed, &stored, |offset| !pattern::byte(seed, START + offset))
}

fn devmem2_by_name_takes_what_devmem2_took(host: &mut Host) -> Result<()> {
    let seed = 104;
    host.fill(seed)?;
    let _loaded = Loaded::new()?;
    let scratch = Scratch::new()?;
    let ours = by_name(&scratch, "devmem2")?;
    let run = |arguments: &str| Ran::new(Command::new(&ours).args(arguments.split_whitespace()));
    // The last value of each width in a page.
    for (kind, width) in [("b", 1), ("h", 2), ("w", 4), ("l", 8)] {
        let offset = 0x1000 - width as u64;
        let ran = run(&format!("{:#x} {kind}", START + offset))?;
        let lines: Vec<_> = ran.out.lines().collect();
        let [opened, mapped, read] = lines[..] else { anyhow::bail!("not three lines: {ran:?}") };
        ensure!(opened == "/dev/map opened." && mapped.starts_with("Memory mapped at address 0x"), "{ran:?}");
        let start = format!("Value at address 0x{:X} (0x", START + offset);
        let end = format!("): 0x{:X}", value(seed, offset, width));
        ensure!(read.starts_with(&start) && read.ends_with(&end), "not {start}…{end}: {ran:?}");
        ensure!(ran.status == Some(0) && ran.err.is_empty(), "{ran:?}");
    }
    let other = !value(seed, 0x20, 4) as u32;
    let ran = run(&format!("0xc0000020 w {other:#x}"))?;
    ensure!(ran.status == Some(0) && ran.out.ends_with(&format!("\nWritten 0x{other:X}\n")), "{ran:?}");
    let other = !value(seed, 0x33, 1) as u8;
    let ran = run(&format!("--readback 0xc0000033 b {other}"))?;
    let end = format!("\nWritten 0x{other:X}; readback 0x{other:X}\n");
    ensure!(ran.status == Some(0) && ran.out.ends_with(&end), "{ran:?}");
    // Across the page's end, where the original would crash.
    for arguments in ["0xc0000ffe w", "0xc0000ffe w 1", "0xc0000fff h 1", "0xbf000000", "0xc0000000 x", ""] {
        let ran = run(arguments)?;
        ensure!(ran.status == Some(1) && ran.err.starts_with("devmem2: "), "{ran:?}");
    }
    host.changed(seed, &[0x20..0x24, 0x33..0x34], |offset| !pattern::byte(seed, START + offset))
}

fn memtool_and_rwmem_by_name_do_what_those_do(host: &mut Host) -> Result<()> {
    let seed = 105;
    host.fill(seed)?;
    let _loaded = Loaded::new()?;
    let scratch = Scratch::new()?;
    for name in ["md", "mw", "rwmem"] {
        by_name(&scratch, name)?;
    }
    let run =
        |name: &str, arguments: &str| Ran::new(Command::new(scratch.path(name)).args(arguments.split_whitespace()));
    let word = |offset| value(seed, offset, 4);
    let line = run("md", "0xc0000100+8")?;
    ensure!(line.out.starts_with(&format!("c0000100: {:08x} {:08x}", word(0x100), word(0x104))), "{line:?}");
    run("mw", &format!("0xc0000100 {:#x}", !word(0x100) as u32))?.printed("")?;
    let read = run("rwmem", "-s 32 0xc0000200")?;
    ensure!(read.out.ends_with(&format!("{:#010x}\n", word(0x200))), "{read:?}");
    let write = run("rwmem", &format!("-w w -s 32 0xc0000200={:#x}", !word(0x200) as u32))?;
    ensure!(write.status == Some(0), "{write:?}");
    // The last place is the kernel's own memory: nothing is written.
    let refused = run("rwmem", "-s 32 0xc0000300=0 0xbf000000=0")?;
    ensure!(refused.status == Some(1) && refused.err.starts_with("rwmem: "), "{refused:?}");
    host.changed(seed, &[0x100..0x104, 0x200..0x204], |offset| !pattern::byte(seed, START + offset))
}

/// Two windows that fill the free memory, and in whose names a hyphen and digits are no numbers.
const TWO: &str = "windows=dsp-0@0xc0000000+1M,f00d@0xc0100000+2M";

fn names_are_offsets_in_their_windows(host: &mut Host) -> Result<()> {
    let mut expected = Expected::new(host, 104)?;
    let loaded = Loaded::with(&[TWO])?;
    devmap("write dsp-0+0x64 0x11 -w 8")?.printed("")?;
    devmap("write f00d+2M 0 -w 8")?
        .failed(3, &["cannot map 0x00200000-0x00200000 of /dev/map2: the window f00d ends after 0x200000 bytes"])?;
    // Three ways to say the same.
    for arguments in ["read dsp-0+0x64 -w 8", "read 0x64 -w 8 --window dsp-0", "read 0x64 -w 8 --device /dev/map1"] {
        devmap(arguments)?.printed("dsp-0+0x00000064: 0x11\n")?;
    }
    devmap("read 0xc0000064 -w 8")?.printed("0xc0000064: 0x11\n")?;
    let explained = devmap("explain f00d")?;
    let asked = "asked for  f00d+0x00000000-0x001fffff, 2097152 bytes\n";
    ensure!(explained.status == Some(0) && explained.out.starts_with(asked), "{explained:?}");
    devmap("write f00d 0x22 0x33 -w 8 --verify")?.printed("")?;
    devmap("read f00d+0-1 -w 8")?.printed("f00d+0x00000000: 0x22\nf00d+0x00000001: 0x33\n")?;
    devmap("modify f00d+1 -w 8 --set 0x40")?.printed("f00d+0x00000001: 0x33 -> 0x73\n")?;
    devmap("--json read f00d+1:7:4 -w 8")?
        .printed("{\"address\":\"f00d+0x00000001\",\"width\":8,\"field\":\"7:4\",\"value\":\"0x7\",\"number\":7}\n")?;
    expected.put(0x64, &[0x11]);
    expected.put(0x10_0000, &[0x22, 0x73]);
    // A whole window, and the same memory by its name and by its address.
    devmap("fill dsp-0 0x5a5a5a5a --verify")?.printed("")?;
    devmap("copy dsp-0+0+64K f00d+1M --verify")?.printed("")?;
    devmap("compare dsp-0 0xc0000000")?.printed("")?;
    devmap("copy dsp-0+0+8 0xc0000004 --verify")?
        .failed(2, &["dsp-0+0x00000000-0x00000007 and 0xc0000004", "overlap"])?;
    expected.put(0, &[0x5a; 0x10_0000]);
    expected.put(0x20_0000, &[0x5a; 0x1_0000]);
    // In raw mode one mapping shows both windows.
    drop(loaded);
    let _raw = Loaded::new()?;
    expected.holds(host)
}

fn a_name_opens_the_windows_own_node(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&[TWO])?;
    fs::set_permissions("/dev/map2", Permissions::from_mode(0o666))?;
    // The user may not ask /dev/map, so sysfs tells which node it is.
    devmap_as_user("read 0xc0100000")?.failed(3, &["cannot open /dev/map: Permission denied (EACCES)"])?;
    devmap_as_user("write f00d+8 7")?.printed("")?;
    devmap_as_user("read f00d+8")?.printed("f00d+0x00000008: 0x00000007\n")?;
    devmap_as_user("read dsp-0")?.failed(
        3,
        &[
            "cannot open the window dsp-0: its node /dev/map1: Permission denied (EACCES); its permissions forbid it",
            "mode 0600, owner root, group ",
        ],
    )
}

fn a_window_that_does_not_open_says_why(_: &mut Host) -> Result<()> {
    {
        let _loaded = Loaded::with(&[TWO])?;
        devmap("read dsp")?.failed(3, &["there is no window dsp; the windows are dsp-0, f00d"])?;
        devmap("read c0000000")?.failed(2, &["the windows are dsp-0, f00d; if it is an address, write 0xc0000000"])?;
        devmap("read 0 --window=f00")?.failed(3, &["there is no window f00"])?;
        devmap("read 0 --device /dev/map3")?.failed(3, &["no window has this node"])?;
        fs::remove_file("/dev/map1")?;
        devmap("read dsp-0")?.failed(
            3,
            &["its node /dev/map1: No such file or directory (ENOENT)", "create it with `mknod /dev/map1 c 126 1`"],
        )?;
        fs::write("/dev/map1", [7; 16])?;
        let other = devmap("read dsp-0");
        fs::remove_file("/dev/map1")?;
        other?.failed(3, &["it is not the node of a window; replace it by the device c 126 1"])?;
    }
    let _loaded = Loaded::new()?;
    devmap("read dsp-0")?.failed(3, &["there is no window dsp-0; no window has a name"])
}

fn windows_complete_by_name(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&["windows=dsp-0@0xc0000000+1M,3d@0xc0100000+1M"])?;
    let proposed = |index: u32, words: &str| {
        shell(&format!("DEVMAP_COMPLETE=fish _CLAP_COMPLETE_INDEX={index} devmap -- devmap {words}"))
    };
    ensure!(proposed(2, "read d")?.out.starts_with("dsp-0"), "{:?}", proposed(2, "read d")?);
    // It would be a number there.
    let numbers = proposed(2, "read 3")?;
    ensure!(!numbers.out.contains("3d"), "{numbers:?}");
    let all = proposed(2, "--window ''")?;
    ensure!(all.out.contains("3d") && all.out.contains("dsp-0"), "{all:?}");
    Ok(())
}

/// The examples in the help of a command, without what is said about them.
fn examples(command: &str) -> Result<Vec<String>> {
    let help = devmap(&format!("help {command}"))?.out;
    let list = help.lines().skip_while(|line| !line.starts_with("Example")).skip(1);
    let lines = list.map_while(|line| line.strip_prefix("  "));
    Ok(lines.map(|line| line.split("  ").next().unwrap_or_default().to_owned()).collect())
}

/// Those that take no file and no description: tests on the host run the others.
fn the_examples_of_the_help_do_what_they_say(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&["windows=sdram@0xc0000000+3M"])?;
    let mut ran = 0;
    for command in ["read", "write", "modify", "wait", "dump", "info", "windows", "check", "explain", "lab"] {
        for example in examples(command)?.iter().filter(|line| !line.contains("| jq") && !line.contains("--svd")) {
            if command == "wait" {
                devmap("write 0xc0000064 3")?.printed("")?;
            }
            let result = shell(example)?;
            ensure!((result.status, result.err.as_str()) == (Some(0), ""), "{example}: {result:?}");
            ran += 1;
        }
    }
    ensure!(ran >= 25, "only {ran} examples ran");
    Ok(())
}

fn a_script_waits_for_what_another_process_stores(host: &mut Host) -> Result<()> {
    let mut expected = Expected::new(host, 106)?;
    let _loaded = Loaded::with(&["windows=sdram@0xc0000000+3M"])?;
    let scratch = Scratch::new()?;
    let script = "write sdram+0x10=1 sdram+0x20=0\n\
                  wait sdram+0x20:0 --value 1 --timeout 1min   # the other process\n\
                  modify sdram+0x10 --set 0x100\n\
                  write sdram+0x2ffffc=5 -w 8\n\
                  wait sdram+0x10 --value 0 --timeout 10ms\n\
                  write sdram+0x30=0\n";
    let path = scratch.file("script", script.as_bytes())?;
    let mut child = Command::new("devmap")
        .args(["run", &path])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let memory = user::map()?;
    let start = Instant::now();
    while memory.read::<u32>(0x10)? != 1 {
        ensure!(start.elapsed() < Duration::from_secs(60) && child.try_wait()?.is_none(), "it has not begun");
        thread::sleep(Duration::from_millis(10));
    }
    memory.write::<u32>(0x20, 3)?;
    let output = child.wait_with_output()?;
    let (out, err) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    let lines = "sdram+0x00000020:0:0: 0x1\nsdram+0x00000010: 0x00000001 -> 0x00000101\n";
    ensure!((output.status.code(), out.as_str()) == (Some(5), lines), "{:?}: {out:?}, {err:?}", output.status);
    let says = "script:5: timed out: sdram+0x00000010 is 0x00000101, not 0x00000000\n";
    ensure!(err.starts_with("devmap: /") && err.ends_with(says), "{err:?}");
    expected.put(0x10, &[1, 1, 0, 0]);
    expected.put(0x20, &[3, 0, 0, 0]);
    expected.put(0x2f_fffc, &[5]);
    expected.holds(host)
}

fn the_chart_shows_ram_windows_and_what_is_free(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&["windows=sdram@0xc0000000+2M,0xc0200000+64K"])?;
    let ran = devmap("windows")?;
    let lines: Vec<_> = ran.out.lines().map(str::trim).collect();
    let has = |start: &str, end: &str| lines.iter().any(|line| line.starts_with(start) && line.ends_with(end));
    ensure!(has("| sdram", "2M     /dev/map1") && has("# System RAM", "") && has(":", ""), "{ran:?}");
    // What is known of /proc/iomem, by its name.
    let named = shell("devmap explain 'iomem/map: sdram+0x10' 4")?;
    ensure!(named.out.starts_with("asked for  0xc0000010-0xc0000013, 4 bytes\n"), "{named:?}");
    let hidden = devmap_as_user("explain iomem/sdram+4")?;
    let says = "the kernel hides the addresses in /proc/iomem from this process: run as root";
    ensure!(hidden.status == Some(2) && hidden.err.contains(says), "{hidden:?}");
    Ok(())
}
