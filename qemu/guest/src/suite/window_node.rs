// SPDX-License-Identifier: MIT OR Apache-2.0

//! The nodes of windows: their names and permissions, what they show, and what ordinary programs do with them.

use std::{
    fs::{self, File, Permissions},
    io::{IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write},
    os::{
        fd::AsRawFd,
        unix::fs::{FileExt, FileTypeExt, MetadataExt, PermissionsExt},
    },
    path::Path,
};

use anyhow::{ensure, Context, Result};
use map_core::{abi, Refusal};
use map_protocol::pattern;
use nix::{
    errno::Errno,
    libc,
    sys::{
        mman::MapFlags,
        stat::{major, minor},
    },
    unistd::chown,
};

use crate::{
    child::{become_user, succeeds_in_child},
    errno,
    host::{Host, LENGTH, PAGE, START},
    kernel::{self, Loaded},
    user::{self, open_window as node},
    vma::{sync_at, Vma, READ_WRITE},
    windows::{ask, MIB},
};

crate::tests! {
    every_window_has_a_node_with_its_attributes,
    a_node_shows_its_window_alone,
    a_user_may_have_one_window_and_not_another,
    a_node_is_read_and_written_like_a_file,
    every_cache_type_is_read_and_written,
    the_end_of_a_window_is_the_end_of_its_file,
    a_read_only_window_is_read_and_never_written_by_calls,
    registers_are_for_mapping_only,
    a_pointer_that_leads_nowhere_is_efault,
    ordinary_programs_take_a_node_for_a_file,
    the_kernel_copies_between_a_node_and_other_files,
    the_kernel_pins_no_page_of_a_window,
    a_sync_succeeds,
    mappings_of_a_window_are_counted,
    an_open_node_keeps_the_driver,
}

/// Three windows that fill the free memory, not in the order of their addresses; the last one has no name.
const THREE: &str = "windows=two@0xc0100000+1M:wc,one@0xc0000000+1M,0xc0200000+1M:ro:wb";

/// The window called `two`.
const TWO: u64 = MIB;

const UNPRIVILEGED: u32 = 65534;

fn attribute(number: u32, name: &str) -> Result<String> {
    let path = format!("/sys/class/map/map{number}/{name}");
    let text = fs::read_to_string(&path).with_context(|| path)?;
    text.strip_suffix('\n').map(str::to_owned).with_context(|| format!("{name} of map{number} is {text:?}"))
}

/// The host's pattern from this offset in the free memory on.
fn expected(seed: u64, offset: u64, length: usize) -> Vec<u8> {
    pattern::bytes(seed, START + offset, length)
}

fn every_window_has_a_node_with_its_attributes(_: &mut Host) -> Result<()> {
    const NAMES: [&str; 7] = ["name", "start", "size", "access", "cache", "origin", "mappings"];
    {
        let _loaded = Loaded::with(&[THREE])?;
        let expected = [
            ["two", "0xc0100000", "0x100000", "rw", "wc", "parameter", "0"],
            ["one", "0xc0000000", "0x100000", "rw", "uncached", "parameter", "0"],
            ["", "0xc0200000", "0x100000", "ro", "cached", "parameter", "0"],
        ];
        for (number, values) in (1..).zip(expected) {
            let path = format!("/dev/map{number}");
            let made = fs::metadata(&path).with_context(|| path.clone())?;
            ensure!(made.file_type().is_char_device() && made.mode() & 0o7777 == 0o600, "{path}: {made:?}");
            ensure!((major(made.rdev()), minor(made.rdev())) == (126, number.into()), "{path}: {:#x}", made.rdev());
            for (name, value) in NAMES.into_iter().zip(values) {
                let found = attribute(number, name)?;
                ensure!(found == value, "{name} of {path} is {found:?}, not {value:?}");
                let mode = fs::metadata(format!("/sys/class/map/map{number}/{name}"))?.mode() & 0o777;
                ensure!(mode == if name == "start" { 0o400 } else { 0o444 }, "{name} has mode {mode:o}");
            }
            // What udev makes the link from.
            let uevent = attribute(number, "uevent")?;
            let name = values[0];
            ensure!(uevent.contains(&format!("MAP_NAME={name}")) != name.is_empty(), "{path}: {uevent}");
            ensure!(!name.is_empty() || !uevent.contains("MAP_NAME"), "{path}: {uevent}");
        }
        ensure!(!Path::new("/dev/map4").exists(), "there is a node without a window");
        // The node of all memory tells the same, in the order of addresses.
        let all = user::open()?;
        for (index, minor) in (0..).zip([2, 1, 3]) {
            let mut window = abi::MapWindow { index, ..Default::default() };
            ask(&all, abi::IOC_WINDOW, &mut window)?;
            ensure!(window.minor == minor, "window {index} has node {}", window.minor);
        }
    }
    let left: Vec<_> = (1..=3).filter(|number| Path::new(&format!("/dev/map{number}")).exists()).collect();
    ensure!(left.is_empty() && !Path::new("/sys/class/map").exists(), "after rmmod there are nodes {left:?}");
    Ok(())
}

fn a_node_shows_its_window_alone(host: &mut Host) -> Result<()> {
    let seed = 140;
    host.fill(seed)?;
    let _loaded = Loaded::with(&[THREE])?;
    let two = node(1)?;
    let vma = Vma::shared(&two, 0, MIB as usize)?;
    vma.store(5, !pattern::byte(seed, START + TWO + 5));
    let last = Vma::shared(&two, MIB - PAGE, PAGE as usize)?;
    last.store(PAGE as usize - 1, !pattern::byte(seed, START + 2 * MIB - 1));
    // On a kernel of 32 bits, an offset in a window has 32 bits.
    let negative = if cfg!(target_pointer_width = "64") { Refusal::Address } else { Refusal::Wraps };
    let beyond = [
        (MIB, PAGE, Refusal::Outside, Errno::EPERM),
        (MIB - PAGE, 2 * PAGE, Refusal::Partial, Errno::EPERM),
        (0x2000_0000, PAGE, Refusal::Outside, Errno::EPERM),
        // The window before this one, if offsets could be negative.
        (0u64.wrapping_sub(MIB), PAGE, negative, Errno::EINVAL),
    ];
    for (start, length, reason, errno) in beyond {
        let result = Vma::shared(&two, start, length as usize).map(drop);
        let overflow = start > u64::MAX / 2 && result == Err(Errno::EOVERFLOW);
        ensure!(result == Err(errno) || overflow, "{length:#x} bytes at {start:#x}: {result:?}, not {errno}");
        let prot = READ_WRITE.bits() as u32;
        let flags = MapFlags::MAP_SHARED.bits() as u32;
        let mut check = abi::MapCheck { start, length, prot, flags, ..Default::default() };
        ask(&two, abi::IOC_CHECK, &mut check)?;
        ensure!(check.verdict == reason.code(), "{length:#x} bytes at {start:#x}: {check:x?}, not {reason:?}");
    }
    let mut info = abi::MapInfo::default();
    ask(&two, abi::IOC_INFO, &mut info)?;
    ensure!((info.mode, info.windows) == (abi::MODE_WINDOW, 1), "{info:x?}");
    let mut window = abi::MapWindow::default();
    ask(&two, abi::IOC_WINDOW, &mut window)?;
    ensure!(window.start == START + TWO && window.minor == 1 && window.name.starts_with(b"two\0"), "{window:x?}");
    let other = ask(&two, abi::IOC_WINDOW, &mut abi::MapWindow { index: 1, ..Default::default() });
    ensure!(other == Err(Errno::EINVAL), "another window: {other:?}");
    // A second mapping, by the absolute address, shows the same memory.
    let all = Vma::shared(&user::open()?, START + TWO, PAGE as usize)?;
    ensure!(all.load(5) == vma.load(5), "{:#x} and {:#x}", all.load(5), vma.load(5));
    let changed = [TWO + 5..TWO + 6, 2 * MIB - 1..2 * MIB];
    host.changed(seed, &changed, |offset| !pattern::byte(seed, START + offset))
}

fn a_user_may_have_one_window_and_not_another(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&[THREE])?;
    chown("/dev/map2", Some(UNPRIVILEGED.into()), None)?;
    fs::set_permissions("/dev/map2", Permissions::from_mode(0o600))?;
    succeeds_in_child(|| {
        let tried = || -> Result<()> {
            become_user(UNPRIVILEGED)?;
            let own = node(2)?;
            Vma::shared(&own, 0, MIB as usize)?.store(0, 1);
            own.write_all_at(b"x", 1)?;
            for other in ["/dev/map", "/dev/map1", "/dev/map3"] {
                let result = errno::result(File::open(other).map(drop));
                ensure!(result == Err(Errno::EACCES), "{other}: {result:?}");
            }
            let start = errno::result(fs::read("/sys/class/map/map2/start").map(drop));
            ensure!(start == Err(Errno::EACCES), "the address in sysfs: {start:?}");
            ensure!(attribute(2, "name")? == "one", "the name in sysfs");
            Ok(())
        };
        tried().inspect_err(|error| eprintln!("{error:#}")).is_err().into()
    })
}

fn a_node_is_read_and_written_like_a_file(host: &mut Host) -> Result<()> {
    let seed = 141;
    host.fill(seed)?;
    let _loaded = Loaded::with(&[THREE])?;
    let mut two = node(1)?;
    // All of it, at places and lengths that are aligned to nothing.
    let mut all = Vec::new();
    ensure!(two.read_to_end(&mut all)? as u64 == MIB, "{} bytes were read", all.len());
    ensure!(all == expected(seed, TWO, MIB as usize), "what was read is not what the host wrote");
    for (offset, length) in [(0, 1), (1, 1), (3, 4097), (4095, 2), (8191, 8195), (MIB - 7, 7)] {
        let mut bytes = vec![0; length];
        two.read_exact_at(&mut bytes, offset)?;
        ensure!(bytes == expected(seed, TWO + offset, length), "{length} bytes at {offset}");
        bytes.iter_mut().for_each(|byte| *byte = !*byte);
        two.write_all_at(&bytes, offset)?;
        two.read_exact_at(&mut bytes, offset)?;
        bytes.iter_mut().for_each(|byte| *byte = !*byte);
        ensure!(bytes == expected(seed, TWO + offset, length), "{length} bytes at {offset} after a write");
        // Back, so that the next ones are as the host wrote them.
        two.write_all_at(&bytes, offset)?;
    }
    host.changed(seed, &[], |_| 0)?;
    // The position.
    let position = |file: &mut File, to| errno::result(file.seek(to));
    ensure!(position(&mut two, SeekFrom::End(0)) == Ok(MIB), "SEEK_END");
    ensure!(position(&mut two, SeekFrom::End(-5)) == Ok(MIB - 5), "SEEK_END - 5");
    ensure!(position(&mut two, SeekFrom::Current(-(2 * MIB as i64))) == Err(Errno::EINVAL), "before the start");
    ensure!(position(&mut two, SeekFrom::Start(MIB + 1)) == Err(Errno::EINVAL), "beyond the end");
    ensure!(position(&mut two, SeekFrom::Start(100)) == Ok(100), "SEEK_SET");
    let changed = [TWO + 100..TWO + 106];
    ensure!(two.write_vectored(&[IoSlice::new(b"abc"), IoSlice::new(b"def")])? == 6, "writev");
    ensure!(position(&mut two, SeekFrom::Current(0)) == Ok(106), "the position after writev");
    let (mut one, mut other) = ([0; 2], [0; 4]);
    two.seek(SeekFrom::Start(100))?;
    ensure!(two.read_vectored(&mut [IoSliceMut::new(&mut one), IoSliceMut::new(&mut other)])? == 6, "readv");
    ensure!((&one, &other) == (b"ab", b"cdef"), "{one:?} {other:?}");
    host.changed(seed, &changed, |offset| b"abcdef"[(offset - TWO - 100) as usize])
}

fn every_cache_type_is_read_and_written(host: &mut Host) -> Result<()> {
    for (seed, cache) in [(142, "uncached"), (143, "wc"), (144, "wb")] {
        host.fill(seed)?;
        let _loaded = Loaded::with(&[&format!("windows=0xc0000000+3M:{cache}")])?;
        let window = node(1)?;
        let mut bytes = vec![0; LENGTH as usize];
        window.read_exact_at(&mut bytes, 0)?;
        ensure!(bytes == expected(seed, 0, LENGTH as usize), "{cache}: what was read is not what the host wrote");
        window.write_all_at(b"0123456789", 4090)?;
        // A mapping of the same type exists beside that of the kernel.
        let vma = Vma::shared(&window, 0, LENGTH as usize).with_context(|| cache)?;
        ensure!(vma.load(4099) == b'9', "{cache}: the mapping does not show what was written");
        vma.store(4089, b'x');
        window.read_exact_at(&mut bytes[..12], 4089)?;
        ensure!(bytes.starts_with(b"x0123456789"), "{cache}: {:?}", &bytes[..12]);
        host.changed(seed, &[4089..4100], |offset| b"x0123456789"[offset as usize - 4089])?;
    }
    Ok(())
}

fn the_end_of_a_window_is_the_end_of_its_file(host: &mut Host) -> Result<()> {
    let seed = 145;
    host.fill(seed)?;
    let _loaded = Loaded::with(&[THREE])?;
    let one = node(2)?;
    let mut bytes = [0; 16];
    ensure!(one.read_at(&mut bytes, MIB - 5)? == 5, "a read over the end");
    ensure!(bytes[..5] == expected(seed, MIB - 5, 5), "{bytes:?}");
    for position in [MIB, MIB + 1, i64::MAX as u64 - 16] {
        ensure!(one.read_at(&mut bytes, position)? == 0, "a read at {position:#x}");
        let written = errno::result(one.write_at(&bytes, position));
        ensure!(written == Err(Errno::ENOSPC), "a write at {position:#x}: {written:?}");
        ensure!(errno::result(one.write_at(&[], position)) == Ok(0), "a write of nothing at {position:#x}");
    }
    ensure!(one.write_at(b"0123456789", MIB - 5)? == 5, "a write over the end");
    // The next window begins there.
    host.changed(seed, &[MIB - 5..MIB], |offset| b"01234"[(offset + 5 - MIB) as usize])
}

fn a_read_only_window_is_read_and_never_written_by_calls(host: &mut Host) -> Result<()> {
    let seed = 146;
    host.fill(seed)?;
    let _loaded = Loaded::with(&[THREE])?;
    let three = node(3)?;
    let mut bytes = [0; 16];
    three.read_exact_at(&mut bytes, 7)?;
    ensure!(bytes[..] == expected(seed, 2 * MIB + 7, 16), "{bytes:?}");
    let written = errno::result(three.write_at(&bytes, 0));
    ensure!(written == Err(Errno::EACCES), "a write: {written:?}");
    kernel::logged("write of the window 0xc0200000+0x100000:ro:cached refused: the window is read-only")?;
    // A descriptor says which calls it is for.
    let reader = File::open("/dev/map2")?;
    ensure!(errno::result(reader.write_at(&bytes, 0)) == Err(Errno::EBADF), "a write with a reader's descriptor");
    let writer = File::options().write(true).open("/dev/map2")?;
    ensure!(errno::result(writer.read_at(&mut bytes, 0)) == Err(Errno::EBADF), "a read with a writer's descriptor");
    host.changed(seed, &[], |_| 0)
}

/// Where a load may abort, the kernel itself does not access what may be registers.
fn registers_are_for_mapping_only(_: &mut Host) -> Result<()> {
    // No memory that anybody set aside is there.
    let _loaded = Loaded::with(&["windows=registers@0xd0000000+4K:shared,memory@0xd0001000+4K:shared:memory"])?;
    let mut bytes = [0; 4];
    let read = errno::result(node(1)?.read_at(&mut bytes, 0));
    let written = errno::result(node(1)?.write_at(&bytes, 0));
    if cfg!(target_arch = "x86_64") {
        ensure!((read, written) == (Ok(4), Ok(4)), "{read:?}, {written:?}");
        return Ok(());
    }
    ensure!((read, written) == (Err(Errno::ENXIO), Err(Errno::ENXIO)), "{read:?}, {written:?}");
    kernel::logged("read of the window registers@0xd0000000+0x1000:shared refused: the window may have registers")?;
    Vma::shared(&node(1)?, 0, PAGE as usize)?;
    // The end of the file needs no access.
    ensure!(node(2)?.read_at(&mut bytes, PAGE)? == 0, "the end of what is declared to be memory");
    Ok(())
}

fn a_pointer_that_leads_nowhere_is_efault(host: &mut Host) -> Result<()> {
    let seed = 147;
    host.fill(seed)?;
    let _loaded = Loaded::with(&[THREE])?;
    let one = node(2)?;
    let call = |write: bool, address: usize, length: usize| {
        let file = one.as_raw_fd();
        Errno::result(if write {
            // SAFETY: the kernel checks the address, which belongs to this test or to nobody.
            unsafe { libc::pwrite(file, address as *const libc::c_void, length, 0) }
        } else {
            // SAFETY: as above.
            unsafe { libc::pread(file, address as *mut libc::c_void, length, 0) }
        })
    };
    let nothing = Vma::reserve(4 * PAGE as usize)?;
    ensure!(call(false, nothing.address(), 16) == Err(Errno::EFAULT), "a read");
    ensure!(call(true, nothing.address(), 16) == Err(Errno::EFAULT), "a write");
    // One page can be accessed, the next cannot: what could be copied counts.
    let memory = Vma::reserve(4 * PAGE as usize)?;
    crate::vma::protect_at(memory.address(), PAGE as usize, READ_WRITE)?;
    for write in [false, true] {
        let copied = call(write, memory.address(), 2 * PAGE as usize);
        ensure!(copied == Ok(PAGE as isize), "half of it, write {write}: {copied:?}");
    }
    // The window itself is memory of the process, too.
    let vma = Vma::shared(&one, PAGE, PAGE as usize)?;
    ensure!(call(false, vma.address(), 16) == Ok(16), "a read into the window itself");
    host.changed(seed, &[PAGE..PAGE + 16], |offset| pattern::byte(seed, START + offset - PAGE))
}

fn ordinary_programs_take_a_node_for_a_file(host: &mut Host) -> Result<()> {
    let seed = 148;
    host.fill(seed)?;
    let _loaded = Loaded::with(&[THREE])?;
    let copy = "/tmp/window";
    kernel::run("dd", &["if=/dev/map1", &format!("of={copy}"), "bs=64k"])?;
    ensure!(fs::read(copy)? == expected(seed, TWO, MIB as usize), "dd copied something else");
    kernel::run("cmp", &[copy, "/dev/map1"])?;
    let seen = kernel::run("od", &["-An", "-tx1", "-j4095", "-N3", "/dev/map1"])?;
    let bytes: Vec<_> = expected(seed, TWO + 4095, 3).iter().map(|byte| format!("{byte:02x}")).collect();
    ensure!(seen.split_whitespace().eq(bytes.iter().map(String::as_str)), "od: {seen}");
    let sums = kernel::run("sha256sum", &[copy, "/dev/map1"])?;
    let mut sums = sums.lines().filter_map(|line| line.split_whitespace().next());
    ensure!(sums.next() == sums.next(), "sha256sum");
    // Forth: a part in the middle, and all of it.
    kernel::run("dd", &["if=/dev/zero", "of=/dev/map1", "bs=1k", "seek=1", "count=2", "conv=notrunc,fsync"])?;
    host.changed(seed, &[], |_| 0).err().context("dd wrote nothing")?;
    let zero = [TWO + 1024..TWO + 3072];
    let (_, count) = host.differences(seed)?;
    let unlike = zero[0].clone().filter(|offset| pattern::byte(seed, START + offset) != 0).count();
    ensure!(count == unlike as u64, "{count} bytes differ, not {unlike}");
    kernel::run("cp", &[copy, "/dev/map1"])?;
    host.changed(seed, &[], |_| 0)?;
    kernel::run("sh", &["-c", "printf 1234 | dd of=/dev/map2 bs=1 seek=7 conv=notrunc"])?;
    host.changed(seed, &[7..11], |offset| b"1234"[offset as usize - 7])
}

/// What works: sendfile(2) and splice(2) in both directions. copy_file_range(2) takes only regular files.
fn the_kernel_copies_between_a_node_and_other_files(host: &mut Host) -> Result<()> {
    let seed = 149;
    host.fill(seed)?;
    let _loaded = Loaded::with(&[THREE])?;
    let (one, two) = (node(2)?, node(1)?);
    let path = "/tmp/copied";
    let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
    let send = |to: &File, from: &File, mut start: i64, count: usize| {
        // SAFETY: the kernel changes only the position.
        Errno::result(unsafe { libc::sendfile64(to.as_raw_fd(), from.as_raw_fd(), &mut start, count) })
    };
    let sent = usize::try_from(send(&file, &one, 10, 10_000)?)?;
    ensure!(sent > 0 && fs::read(path)? == expected(seed, 10, sent), "sendfile(2) from the node: {sent} bytes");
    // From a file into the node.
    let back = send(&two, &file, 0, 100)?;
    ensure!(back == 100, "sendfile(2) to the node: {back} bytes");
    host.changed(seed, &[], |_| 0).err().context("sendfile(2) wrote nothing")?;
    let mut bytes = [0; 100];
    two.read_exact_at(&mut bytes, 0)?;
    ensure!(bytes[..] == expected(seed, 10, 100), "sendfile(2) wrote something else");
    // SAFETY: the pointers are null, which means the position of the file.
    let ranged = unsafe {
        let (from, to) = (one.as_raw_fd(), file.as_raw_fd());
        libc::copy_file_range(from, std::ptr::null_mut(), to, std::ptr::null_mut(), 100, 0)
    };
    ensure!(Errno::result(ranged) == Err(Errno::EINVAL), "copy_file_range(2): {ranged}");
    Ok(fs::remove_file(path)?)
}

/// Direct I/O, RDMA and vmsplice(2) pin pages, and a window has none. read(2) into a mapping works.
fn the_kernel_pins_no_page_of_a_window(host: &mut Host) -> Result<()> {
    let seed = 150;
    host.fill(seed)?;
    let _loaded = Loaded::with(&[THREE])?;
    let vma = Vma::shared(&node(2)?, 0, PAGE as usize)?;
    let (reader, writer) = nix::unistd::pipe()?;
    let vector = libc::iovec { iov_base: vma.address() as *mut libc::c_void, iov_len: 16 };
    // SAFETY: the vector describes memory of this process.
    let spliced = Errno::result(unsafe { libc::vmsplice(writer.as_raw_fd(), &vector, 1, 0) });
    ensure!(spliced == Err(Errno::EFAULT), "vmsplice(2): {spliced:?}");
    nix::unistd::write(&writer, b"0123456789abcdef")?;
    // SAFETY: the mapping is memory of this process, and Rust does not use it.
    let read = Errno::result(unsafe { libc::read(reader.as_raw_fd(), vector.iov_base, 16) });
    ensure!(read == Ok(16), "read(2) into the mapping: {read:?}");
    host.changed(seed, &[0..16], |offset| b"0123456789abcdef"[offset as usize])
}

fn a_sync_succeeds(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&[THREE])?;
    for (file, start) in [(user::open()?, START), (node(2)?, 0)] {
        file.sync_all()?;
        file.sync_data()?;
        let vma = Vma::shared(&file, start, MIB as usize)?;
        vma.store(0, 1);
        for flags in [libc::MS_SYNC, libc::MS_ASYNC, libc::MS_SYNC | libc::MS_INVALIDATE] {
            sync_at(vma.address(), MIB as usize, flags).with_context(|| format!("msync(2) with flags {flags:#x}"))?;
        }
        sync_at(vma.address() + PAGE as usize, 1, libc::MS_SYNC)?;
    }
    Ok(())
}

fn mappings_of_a_window_are_counted(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&[THREE])?;
    let is = |two: &str, one: &str| {
        let found = (attribute(1, "mappings")?, attribute(2, "mappings")?);
        ensure!((found.0.as_str(), found.1.as_str()) == (two, one), "{found:?}, not {two} and {one}");
        Ok(())
    };
    is("0", "0")?;
    let own = Vma::shared(&node(1)?, 0, 3 * PAGE as usize)?;
    is("1", "0")?;
    // By its address it is the same window.
    let all = Vma::shared(&user::open()?, START + TWO, PAGE as usize)?;
    is("2", "0")?;
    let other = Vma::shared(&user::open()?, START, PAGE as usize)?;
    is("2", "1")?;
    // Two parts, and their copies in a child.
    own.unmap(PAGE as usize..2 * PAGE as usize)?;
    is("3", "1")?;
    succeeds_in_child(|| i32::from(is("6", "2").is_err()))?;
    is("3", "1")?;
    drop((own, all, other));
    is("0", "0")
}

fn an_open_node_keeps_the_driver(_: &mut Host) -> Result<()> {
    let loaded = Loaded::with(&[THREE])?;
    let file = node(1)?;
    let removed = kernel::rmmod()?;
    ensure!(removed == Err(Errno::EAGAIN) || removed == Err(Errno::EBUSY), "rmmod with an open node: {removed:?}");
    let vma = Vma::shared(&file, 0, PAGE as usize)?;
    drop(file);
    let removed = kernel::rmmod()?;
    ensure!(removed.is_err(), "rmmod with a mapping");
    vma.store(0, 1);
    drop(vma);
    drop(loaded);
    ensure!(kernel::users()?.is_none(), "the driver is still there");
    Ok(())
}
