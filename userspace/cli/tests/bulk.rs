// SPDX-License-Identifier: MIT OR Apache-2.0

//! `devmap fill`, `load`, `save`, `copy`, `compare`, `verify` and `search`.

mod common;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{symlink, FileExt};
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use common::{program_in_shell, start, FakeDevice, Ran};
use tempfile::TempDir;

/// More than one block of the commands.
const LENGTH: usize = 0x2_1000;

fn noise(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i as u32).wrapping_mul(0x9e37_79b1).to_le_bytes()[3]).collect()
}

/// A directory with a file of these bytes.
fn directory_with(name: &str, contents: &[u8]) -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    fs::write(&path, contents).unwrap();
    (directory, path.to_str().unwrap().into())
}

fn names_in(directory: &Path) -> Vec<String> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn fill() {
    let fake = FakeDevice::new(&vec![7; LENGTH]);
    fake.devmap(&["fill", "0x10+0x20004", "0x11223344", "--endian", "big", "--verify"]).printed("");
    let mut expected = vec![7; LENGTH];
    for chunk in expected[0x10..0x2_0014].chunks_exact_mut(4) {
        chunk.copy_from_slice(&[0x11, 0x22, 0x33, 0x44]);
    }
    assert!(fake.contents() == expected);
    fake.devmap(&["fill", "0x11+3", "0xff", "-w", "8"]).printed("");
    expected[0x11..0x14].fill(0xff);
    assert!(fake.contents() == expected);
    fake.devmap(&["fill", "0+6", "1"]).failed(2, "cannot fill 0x6 bytes in accesses of 32 bits");
    fake.devmap(&["fill", "2+8", "1", "-w", "32"]).failed(2, "0x00000002");
    fake.devmap(&["fill", "0+8", "0x100", "-w", "8"]).failed(2, "0x100");
    fake.devmap(&["fill", "0x20000+1M", "1"]).failed(3, "the file ends after 0x21000 bytes");
    assert!(fake.contents() == expected);
}

#[test]
fn programs_get_what_verify_finds() {
    let fake = FakeDevice::new(&vec![7; 16 << 20]);
    let device = File::options().write(true).open(fake.path()).unwrap();
    // After the byte is filled, and before it is verified, it is stored again; on a busy machine not at the first try.
    let ran = loop {
        let mut fill = start(fake.command().args(["fill", "0+16M", "0", "--verify", "--json"]));
        while fill.try_wait().unwrap().is_none() {
            device.write_all_at(&[5], 0x123).unwrap();
        }
        let ran = Ran::wait(fill);
        if ran.status != Some(0) {
            break ran;
        }
    };
    let difference = "{\"address\":\"0x00000123\",\"found\":\"0x05\",\"found_number\":5,\
                      \"expected\":\"0x00\",\"expected_number\":0,\"verified\":false}\n";
    let error = "{\"error\":\"0x00000123 has 0x05, and what was stored has 0x00\",\"status\":1}\n";
    assert_eq!((ran.status, ran.out.as_str(), ran.err.as_str()), (Some(1), difference, error));
}

#[test]
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn caches_are_synchronized_on_request() {
    let fake = FakeDevice::new(&vec![7; LENGTH]);
    fake.devmap(&["--sync-cache", "fill", "0x10+0x20000", "0x55", "-w", "8", "--verify"]).printed("");
    fake.devmap(&["copy", "0x10+0x100", "0x801", "--verify", "--sync-cache"]).printed("");
    fake.devmap(&["write", "0", "1", "--verify", "--sync-cache"]).printed("");
    fake.devmap(&["read", "0", "--sync-cache"]).printed("0x00000000: 0x00000001\n");
    let ran = fake.devmap(&["test", "0x20800+0x800", "--sync-cache"]);
    assert_eq!((ran.status, ran.out.matches(": ok\n").count()), (Some(0), 5), "{ran:?}");
    let mut expected = vec![7; LENGTH];
    expected[0x10..0x2_0010].fill(0x55);
    expected[..4].copy_from_slice(&1u32.to_ne_bytes());
    assert!(fake.contents()[..0x2_0800] == expected[..0x2_0800]);
}

#[test]
fn load_and_verify() {
    let image = noise(LENGTH - 0x100);
    let (_directory, path) = directory_with("image", &image);
    let fake = FakeDevice::new(&vec![7; LENGTH]);
    fake.devmap(&["load", &path, "0x81", "--verify"]).printed("");
    let mut expected = vec![7; LENGTH];
    expected[0x81..][..image.len()].copy_from_slice(&image);
    assert!(fake.contents() == expected);
    fake.devmap(&["verify", &path, "0x81"]).printed("");
    fake.devmap(&["verify", &path, "0x81+16"]).printed("");
    fake.devmap(&["write", "-w", "8", "0x20081", "0xee"]).printed("");
    let ran = fake.devmap(&["verify", &path, "0x81"]);
    ran.failed(1, &format!("0x00020081 has 0xee, and {path} has {:#04x}", image[0x2_0000]));
}

#[test]
fn load_a_part_of_a_file_or_what_comes_through_a_pipe() {
    let (_directory, path) = directory_with("image", b"0123456789");
    let fake = FakeDevice::new(b"................");
    fake.devmap(&["load", &path, "2+4"]).printed("");
    assert_eq!(fake.contents(), b"..0123..........");
    let mut child = fake.command().args(["load", "-", "8"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"abcd").unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(fake.contents(), b"..0123..abcd....");
}

#[test]
fn a_range_takes_no_more_of_a_pipe_than_it_has() {
    let fake = FakeDevice::new(b"................");
    for command in ["load", "verify"] {
        let mut child = start(fake.command().args([command, "-", "2+4"]).stdin(Stdio::piped()));
        // The pipe has more, and no end.
        let mut pipe = child.stdin.take().unwrap();
        pipe.write_all(b"abcdef").unwrap();
        let end = Instant::now() + Duration::from_secs(20);
        while child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < end || child.kill().is_err(), "{command} reads on");
            thread::sleep(Duration::from_millis(5));
        }
        Ran::wait(child).printed("");
    }
    assert_eq!(fake.contents(), b"..abcd..........");
    // These are no places for files, whatever the file has.
    fake.devmap(&["load", "/dev/zero", "0:1"]).failed(2, "is a bit field: give an address or a range");
    fake.devmap(&["load", "/dev/zero", "UART0"]).failed(2, "is the name of a register: give an address or a range");
}

#[test]
fn load_what_the_kernel_writes() {
    // Its metadata says that it is empty.
    let version = fs::read("/proc/version").unwrap();
    let fake = FakeDevice::new(&vec![7; version.len()]);
    fake.devmap(&["load", "/proc/version", "0", "--verify"]).printed("");
    assert_eq!(fake.contents(), version);
    fake.devmap(&["verify", "/proc/version", "0"]).printed("");
    fake.devmap(&["load", "/proc/version", "0+4K"]).failed(2, "give a range that is no longer than the file");
}

#[test]
fn a_load_that_cannot_be_whole_changes_nothing() {
    let (directory, path) = directory_with("image", b"0123456789");
    let fake = FakeDevice::new(b"................");
    fake.devmap(&["load", &path, "0+11"]).failed(2, "has 0xa bytes, and 0x00000000-0x0000000a has 0xb");
    fake.devmap(&["load", &path, "8"]).failed(3, "the file ends after 0x10 bytes");
    fake.devmap(&["load", &path, "0", "-w", "32"]).failed(2, "0xa bytes in accesses of 32 bits");
    fake.devmap(&["load", &path, "0:1"]).failed(2, "bit field");
    let absent = directory.path().join("absent");
    fake.devmap(&["load", absent.to_str().unwrap(), "0"]).failed(4, "cannot read");
    fs::write(&absent, b"").unwrap();
    fake.devmap(&["load", absent.to_str().unwrap(), "0"]).failed(2, "is empty");
    assert_eq!(fake.contents(), b"................");
}

#[test]
fn save() {
    let contents = noise(LENGTH);
    let fake = FakeDevice::new(&contents);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("saved");
    let name = path.to_str().unwrap();
    fake.devmap(&["save", "0x81+0x20003", name]).printed("");
    assert!(fs::read(&path).unwrap() == contents[0x81..][..0x2_0003]);
    // Replaced as a whole.
    fake.devmap(&["save", "0+4", name]).printed("");
    assert_eq!(fs::read(&path).unwrap(), contents[..4]);
    assert_eq!(names_in(directory.path()), ["saved"]);
    let mut raw = Vec::new();
    let mut child = fake.command().args(["save", "0+0x21000", "-"]).stdout(Stdio::piped()).spawn().unwrap();
    child.stdout.take().unwrap().read_to_end(&mut raw).unwrap();
    assert!(child.wait().unwrap().success() && raw == contents);
}

#[test]
fn a_link_stays_and_what_it_leads_to_is_saved() {
    let fake = FakeDevice::new(&noise(16));
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir(path("within")).unwrap();
    for (link, to) in [("first", "within/second"), ("within/second", "file"), ("lost", "absent/file"), ("loop", "loop")]
    {
        symlink(to, path(link)).unwrap();
    }
    // At first there is no file, and then an old one.
    for length in [4, 8] {
        fake.devmap(&["save", &format!("0+{length}"), &path("first")]).printed("");
        assert_eq!(fs::read(path("within/file")).unwrap(), noise(length));
        assert!(fs::symlink_metadata(path("first")).unwrap().is_symlink());
        assert!(fs::symlink_metadata(path("within/second")).unwrap().is_symlink());
    }
    fake.devmap(&["save", "0+4", &path("lost")]).failed(4, "lost: No such file or directory (ENOENT)");
    fake.devmap(&["save", "0+4", &path("loop")]).failed(4, "loop: Too many");
    assert!(fs::symlink_metadata(path("loop")).unwrap().is_symlink());
    assert_eq!(names_in(&directory.path().join("within")).len(), 2);
}

#[test]
fn a_save_that_fails_leaves_nothing_behind() {
    let fake = FakeDevice::new(&noise(LENGTH));
    let (directory, path) = directory_with("saved", b"old");
    fake.devmap(&["save", "0x21000+4", &path]).failed(3, "the file ends");
    // The whole lines are compared: none names the temporary file.
    fake.devmap(&["save", "0+4", "/dev/full"]).failed(4, "cannot write /dev/full: No space left on device");
    // A file may have 8 blocks of 512 bytes; without the trap a signal would end the process.
    let mut limited = program_in_shell("ulimit -f 8; trap '' XFSZ; exec \"$@\"");
    limited.arg("--device").arg(fake.path()).args(["save", "0+0x21000", &path]);
    Ran::new(&mut limited).failed(4, &format!("cannot write {path}: File too large (EFBIG)\n"));
    assert_eq!(names_in(directory.path()), ["saved"]);
    assert_eq!(fs::read(&path).unwrap(), b"old");
    let nowhere = directory.path().join("absent/saved");
    let nowhere = nowhere.to_str().unwrap();
    let line = format!("cannot write {nowhere}: No such file or directory (ENOENT)\n");
    fake.devmap(&["save", "0+4", nowhere]).failed(4, &line);
}

#[test]
fn a_saved_file_has_the_mode_of_a_new_or_of_the_old_file() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &str| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let fake = FakeDevice::new(&[7; 4]);
    let (directory, old) = directory_with("old", b"");
    fs::set_permissions(&old, fs::Permissions::from_mode(0o640)).unwrap();
    fake.devmap(&["save", "0+4", &old]).printed("");
    assert_eq!(mode(&old), 0o640);
    let new = directory.path().join("new").to_str().unwrap().to_owned();
    let mut masked = program_in_shell("umask 027; exec \"$@\"");
    masked.arg("--device").arg(fake.path()).args(["save", "0+4", &new]);
    Ran::new(&mut masked).printed("");
    assert_eq!(mode(&new), 0o640);
}

#[test]
fn copies_up_and_down_over_themselves() {
    let mut contents = noise(LENGTH);
    let fake = FakeDevice::new(&contents);
    for (from, to) in [(0x10usize, 0x1033usize), (0x1033, 0x10), (0x800, 0x801)] {
        let range = format!("{from}+0x1f000");
        fake.devmap(&["copy", &range, &to.to_string()]).printed("");
        contents.copy_within(from..from + 0x1f000, to);
        assert!(fake.contents() == contents, "{from:#x} to {to:#x}");
    }
    fake.devmap(&["copy", "0+16", "8", "--verify"]).failed(2, "overlap");
    fake.devmap(&["copy", "0+16", "0x100", "--verify"]).printed("");
    fake.devmap(&["copy", "0+0x1000", "0x20800"]).failed(3, "the file ends");
}

#[test]
fn compare() {
    let mut contents = noise(LENGTH);
    contents.copy_within(0..0x1_0800, 0x1_0800);
    contents[0x1_0800 + 0x1_0003] ^= 0xff;
    let fake = FakeDevice::new(&contents);
    fake.devmap(&["compare", "0+0x10000", "0x10800"]).printed("");
    fake.devmap(&["compare", "0+0x10004", "0x10800"]).failed(1, "0x00010003 has 0x");
    let ran = fake.devmap(&["--json", "compare", "0+0x10004", "0x10800"]);
    assert!(ran.out.contains("\"equal\":false,\"address\":\"0x00010003\",\"found\":\"0x"), "{ran:?}");
    fake.devmap(&["--json", "compare", "0+4", "0x10800"])
        .printed("{\"start\":\"0x00000000\",\"bytes\":4,\"equal\":true}\n");
}

#[test]
fn search() {
    let mut contents = vec![0; LENGTH];
    // The second spans two blocks.
    for at in [0x102, 0xfffd, 0x2_0000] {
        contents[at..at + 6].copy_from_slice(b"U-Boot");
    }
    contents[0x200..0x204].copy_from_slice(&0xdead_beef_u32.to_ne_bytes());
    contents[0x301..0x305].copy_from_slice(&0xdead_beef_u32.to_ne_bytes());
    let fake = FakeDevice::new(&contents);
    fake.devmap(&["search", "1+0x20fff", "--text", "U-Boot"]).printed("0x00000102\n0x0000fffd\n0x00020000\n");
    fake.devmap(&["search", "0+0x21000", "--bytes", "552d 42:6F", "-n", "1"]).printed("0x00000102\n");
    // Values are aligned.
    fake.devmap(&["search", "0+0x21000", "0xdeadbeef"]).printed("0x00000200\n");
    fake.devmap(&["search", "0+0x21000", "0xdeadbeef", "0"]).printed("0x00000200\n");
    fake.devmap(&["search", "0+0x21000", "0xdeadbeef", "1"]).failed(1, "no match in 0x00000000-0x00020fff");
    fake.devmap(&["search", "0+16", "--bytes", "5"]).failed(2, "two hexadecimal digits");
    fake.devmap(&["search", "0+16", "--text", ""]).failed(2, "nothing to search for");
    fake.devmap(&["search", "0+16", "0x100", "-w", "8"]).failed(2, "0x100");
    fake.devmap(&["search", "0+16"]).misused("--text");
    fake.devmap(&["search", "0+16", "1", "--text", "1"]).misused("cannot be used with");
}
