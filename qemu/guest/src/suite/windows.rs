// SPDX-License-Identifier: MIT OR Apache-2.0

//! Windows: the parameter, what can be mapped through them, by whom and how, and what the driver reports.

use std::{
    collections::BTreeMap,
    fs::{self, File, Permissions},
    os::{
        fd::AsRawFd,
        unix::fs::{FileExt, MetadataExt, PermissionsExt},
    },
    thread,
};

use anyhow::{bail, ensure, Context, Result};
use caps::{CapSet, Capability};
use map_core::{abi, Refusal};
use map_protocol::{pattern, CacheMode, Page};
use nix::{
    errno::Errno,
    fcntl::{open, OFlag},
    libc,
    mount::{mount, umount, MsFlags},
    sys::{
        mman::{MapFlags, ProtFlags},
        personality::{self, Persona},
        ptrace,
        signal::Signal,
        stat::{mknod, Mode, SFlag},
        wait::WaitStatus,
    },
    unistd::{chown, setgroups, Gid},
};

use crate::{
    arch::{ADDRESS_SPACE, CLAIMED, DEBUGGERS, RESERVED},
    child::{self, become_user, in_child, killed_by, succeeds_in_child, Child},
    host::{Host, LENGTH, PAGE, START},
    kernel::{self, Loaded},
    memory::while_spinning,
    user,
    vma::{Vma, LAST_PAGE, READ_WRITE},
};

crate::tests! {
    every_malformed_list_is_einval_with_its_place_in_the_log,
    sixty_four_windows_can_be_mapped,
    sixty_five_windows_are_einval,
    windows_that_do_not_fit_together_are_einval,
    a_window_in_system_ram_is_eperm,
    windows_are_claimed_and_given_back,
    a_claimed_region_is_ebusy_and_nothing_stays,
    only_what_lies_in_one_window_can_be_mapped,
    a_read_only_window_is_never_written,
    every_cache_type_is_what_the_page_table_says,
    a_user_with_the_permission_needs_no_capability,
    a_debugger_reads_and_writes_a_mapping,
    two_processes_see_each_others_stores,
    mremap_moves_and_shrinks_but_does_not_grow,
    a_mapping_in_pieces_is_counted,
    madvise_takes_nothing_away,
    check_tells_what_mmap_does,
    the_ioctls_tell_the_windows,
    a_wrong_ioctl_changes_nothing,
    fdinfo_and_debugfs_tell_the_windows,
}

pub const MIB: u64 = 1 << 20;

/// Three windows of 1 MiB, each of another kind, that fill the free memory.
pub const THREE: &str = "windows=one@0xc0000000+1M,two@0xc0100000+1M:ro:wc,three@0xc0200000-0xc02fffff:wb";

/// Fails unless the load fails with `errno`; gives the log since then.
fn refused(parameter: &str, errno: Errno) -> Result<String> {
    fs::write("/dev/kmsg", "<6>map-suite: loading\n")?;
    let result = kernel::insmod(&[parameter])?;
    ensure!(result == Err(errno), "insmod map.ko {parameter}: {result:?}, not {errno}");
    kernel::log_since("map-suite: loading")
}

/// Fails unless the load with `parameter` fails with `errno`, and logs these words.
fn refused_with(parameter: &str, errno: Errno, words: &str) -> Result<()> {
    let log = refused(parameter, errno)?;
    ensure!(log.contains(words), "insmod map.ko {parameter}: the log does not say {words:?}: {log}");
    Ok(())
}

/// The lists that `map-core`'s own tests refuse, from the same file.
const MALFORMED: &str = include_str!("../../../../driver/core/tests/malformed.txt");

fn every_malformed_list_is_einval_with_its_place_in_the_log(_: &mut Host) -> Result<()> {
    let before = kernel::traces()?;
    let mut count = 0;
    // On a slow kernel every eighth suffices.
    let (step, least) = if kernel::is_slow() { (8, 8) } else { (1, 60) };
    let lines = MALFORMED.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    for line in lines.step_by(step) {
        let text = line.split('\t').next().unwrap_or_default();
        // Only the tests of the parser can use what cannot be an argument of insmod.
        if text.contains(|character: char| !character.is_ascii_graphic()) || text.contains(['"', '\\']) {
            continue;
        }
        let found = map_core::parse(text.as_bytes(), 4096).find_map(Result::err);
        // Another test checks the words for errors of the whole list.
        let words = found.map_or_else(String::new, |error| error.to_string());
        refused_with(&format!("windows={text}"), Errno::EINVAL, &format!("map: windows: {words}"))
            .with_context(|| format!("line {line:?}"))?;
        count += 1;
    }
    ensure!(count >= least, "only {count} malformed lists");
    // Two lists are refused, even if both are valid.
    let result = kernel::insmod(&["windows=0xc0000000+4K", "windows=0xc0001000+4K"])?;
    ensure!(result == Err(Errno::EINVAL), "two lists: {result:?}");
    let after = kernel::traces()?;
    kernel::unchanged(&before, &after)
}

/// A list of `count` windows with names, a page each and a page apart.
fn many(count: u64) -> String {
    let list: Vec<_> = (0..count)
        .map(|index| format!("a-window-with-a-long-name-{index:05}@{:#x}+4K", START + 2 * PAGE * index))
        .collect();
    format!("windows={}", list.join(","))
}

fn sixty_four_windows_can_be_mapped(host: &mut Host) -> Result<()> {
    let seed = 60;
    host.fill(seed)?;
    let _loaded = Loaded::with(&[&many(64)])?;
    let node = user::open()?;
    for index in 0..64 {
        let offset = 2 * PAGE * index;
        let vma = Vma::shared(&node, START + offset, PAGE as usize)?;
        ensure!(vma.load(7) == pattern::byte(seed, START + offset + 7), "window {index} shows something else");
        let between = Vma::shared(&node, START + offset + PAGE, PAGE as usize);
        ensure!(between.err() == Some(Errno::EPERM), "the page after window {index} can be mapped");
    }
    Ok(())
}

fn sixty_five_windows_are_einval(_: &mut Host) -> Result<()> {
    refused_with(&many(65), Errno::EINVAL, "one window too many")
}

fn windows_that_do_not_fit_together_are_einval(_: &mut Host) -> Result<()> {
    for (list, words) in [
        ("0xc0000000+8K,0xc0001000+8K", "overlap"),
        ("0xc0001000+4K,0xc0000000+3M", "overlap"),
        ("0xc0000000+4K,0xc0000000+4K", "overlap"),
        ("a@0xc0000000+4K,a@0xc0001000+4K", "same name"),
        ("0xfffffffffffff000+4K", "highest physical address"),
        ("0xc0000000+4K,0x8000000000000000+4K", "highest physical address"),
    ] {
        refused_with(&format!("windows={list}"), Errno::EINVAL, words)?;
    }
    Ok(())
}

fn a_window_in_system_ram_is_eperm(_: &mut Host) -> Result<()> {
    for list in ["0xbf000000+4K", "0xbffff000+8K", "0xc0000000+4M", "ok@0xc0000000+4K,ram@0xbf000000+4K"] {
        refused_with(&format!("windows={list}"), Errno::EPERM, "System RAM")?;
    }
    Ok(())
}

fn windows_are_claimed_and_given_back(_: &mut Host) -> Result<()> {
    let before = fs::read_to_string("/proc/iomem")?;
    {
        let _loaded = Loaded::with(&["windows=one@0xc0000000+1M,0xc0100000+1M,three@0xc0200000+1M:shared"])?;
        let now = fs::read_to_string("/proc/iomem")?;
        for line in ["c0000000-c00fffff : map: one", "c0100000-c01fffff : map"] {
            ensure!(now.lines().any(|found| found.trim() == line), "/proc/iomem does not say {line:?}:\n{now}");
        }
        ensure!(!now.contains("three"), "a shared window is claimed:\n{now}");
    }
    let after = fs::read_to_string("/proc/iomem")?;
    kernel::unchanged(&before, &after)
}

fn a_claimed_region_is_ebusy_and_nothing_stays(_: &mut Host) -> Result<()> {
    let before = kernel::traces()?;
    // The claim of the first window must be released.
    let list = format!("windows=free@0xc0000000+1M,taken@{CLAIMED:#x}+4K");
    refused_with(&list, Errno::EBUSY, &format!("taken@{CLAIMED:#x}+0x1000: a part of it is claimed already"))?;
    let after = kernel::traces()?;
    kernel::unchanged(&before, &after)
}

fn only_what_lies_in_one_window_can_be_mapped(host: &mut Host) -> Result<()> {
    let seed = 61;
    host.fill(seed)?;
    let _loaded = Loaded::with(&["windows=one@0xc0001000+8K,two@0xc0003000+4K,far@0xc0200000+4K"])?;
    let node = user::open()?;
    let map = |start: u64, pages: u64| Vma::shared(&node, START + start, (pages * PAGE) as usize).map(drop);
    for (start, pages) in [(0x1000, 1), (0x1000, 2), (0x2000, 1), (0x3000, 1), (0x20_0000, 1)] {
        map(start, pages).with_context(|| format!("{pages} pages at {start:#x}"))?;
    }
    // Before, after, across an edge, across two adjacent windows, around them, and one page too many.
    for (start, pages) in [(0, 1), (0x4000, 1), (0, 2), (0x3000, 2), (0x2000, 2), (0x1000, 3), (0, 8), (0x1f_f000, 3)] {
        let result = map(start, pages);
        ensure!(result == Err(Errno::EPERM), "{pages} pages at {start:#x}: {result:?}");
    }
    let result = Vma::shared(&node, START + 0x3000, PAGE as usize + 1).map(drop);
    ensure!(result == Err(Errno::EPERM), "a byte beyond the window: {result:?}");
    let result = Vma::shared(&node, 0xbf00_0000, PAGE as usize).map(drop);
    ensure!(result == Err(Errno::EPERM), "System RAM: {result:?}");
    host.changed(seed, &[], |_| 0)
}

fn a_read_only_window_is_never_written(host: &mut Host) -> Result<()> {
    let seed = 62;
    host.fill(seed)?;
    let _loaded = Loaded::with(&["windows=0xc0000000+1M:ro"])?;
    let node = user::open()?;
    for protection in [READ_WRITE, ProtFlags::PROT_WRITE] {
        let result = Vma::map(&node, START, MIB as usize, protection, MapFlags::MAP_SHARED).map(drop);
        ensure!(result == Err(Errno::EACCES), "{protection:?}: {result:?}");
    }
    for protection in [ProtFlags::PROT_READ, ProtFlags::PROT_NONE] {
        let vma = Vma::map(&node, START, MIB as usize, protection, MapFlags::MAP_SHARED)?;
        for more in [READ_WRITE, ProtFlags::PROT_WRITE, ProtFlags::PROT_EXEC] {
            let result = vma.protect(more);
            ensure!(result == Err(Errno::EACCES), "mprotect(2) to {more:?}: {result:?}");
        }
        vma.protect(ProtFlags::PROT_READ)?;
        ensure!(vma.load(9) == pattern::byte(seed, START + 9), "it shows something else");
        killed_by(Signal::SIGSEGV, || vma.store(9, 0))?;
        // A debugger cannot write either.
        let memory = File::options().write(true).open("/proc/self/mem")?;
        let forced = memory.write_at(&[0], vma.address() as u64 + 9);
        ensure!(forced.is_err(), "/proc/self/mem wrote through it");
    }
    host.changed(seed, &[], |_| 0)
}

fn every_cache_type_is_what_the_page_table_says(host: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&[THREE])?;
    let node = user::open()?;
    let map =
        |index: u64, protection| Vma::map(&node, START + index * MIB, MIB as usize, protection, MapFlags::MAP_SHARED);
    let vmas = [map(0, READ_WRITE)?, map(1, ProtFlags::PROT_READ)?, map(2, READ_WRITE)?];
    let touch = || {
        vmas[1].load(0);
        [&vmas[0], &vmas[2]].into_iter().for_each(|vma| vma.store(0, vma.load(0)));
    };
    let pages = while_spinning(touch, || vmas.iter().map(|vma| host.page(vma.address())).collect::<Result<Vec<_>>>())?;
    let expected = [(CacheMode::Uncached, true), (CacheMode::WriteCombine, false), (CacheMode::Cached, true)]
        .into_iter()
        .zip(0..)
        .map(|((cache, writable), index)| Page {
            physical: START + index * MIB,
            size: PAGE,
            cache,
            user: true,
            writable,
            executable: false,
        });
    ensure!(pages == expected.collect::<Vec<_>>(), "{pages:x?}");
    Ok(())
}

/// Whether an ordinary user, in these groups, can open the node and map the first window.
fn user_can(groups: &[u32]) -> Result<bool> {
    let groups: Vec<_> = groups.iter().map(|&group| Gid::from_raw(group)).collect();
    let status = in_child(|| {
        let dropped = setgroups(&groups).and_then(|()| become_user(1000));
        match (dropped, user::open()) {
            (Ok(()), Ok(node)) => i32::from(Vma::shared(&node, START, MIB as usize).is_err()) * 2,
            (Ok(()), Err(_)) => 1,
            (Err(_), _) => 3,
        }
    })?;
    match status {
        WaitStatus::Exited(_, 0) => Ok(true),
        WaitStatus::Exited(_, 1) => Ok(false),
        other => bail!("the user's process ended with {other:?}"),
    }
}

fn a_user_with_the_permission_needs_no_capability(_: &mut Host) -> Result<()> {
    const GROUP: u32 = 126;
    let _loaded = Loaded::with(&["windows=0xc0000000+1M"])?;
    ensure!(!user_can(&[GROUP])?, "a user can open the node with its mode 0600");
    chown("/dev/map", None, Some(Gid::from_raw(GROUP)))?;
    fs::set_permissions("/dev/map", Permissions::from_mode(0o660))?;
    ensure!(user_can(&[GROUP])?, "a user of the node's group cannot map");
    ensure!(!user_can(&[])?, "a user outside of the node's group can open it");
    fs::set_permissions("/dev/map", Permissions::from_mode(0o600))?;
    succeeds_in_child(|| match caps::drop(None, CapSet::Effective, Capability::CAP_SYS_RAWIO) {
        Ok(()) => i32::from(user::open().and_then(|node| Ok(Vma::shared(&node, START, 4096)?)).is_err()),
        Err(_) => 2,
    })
    .context("root without CAP_SYS_RAWIO")
}

fn a_debugger_reads_and_writes_a_mapping(host: &mut Host) -> Result<()> {
    let seed = 63;
    host.fill(seed)?;
    let _loaded = Loaded::with(&["windows=0xc0000000+1M"])?;
    let vma = Vma::shared(&user::open()?, START, MIB as usize)?;
    let child = Child::spawn_traced()?;
    let place = (vma.address() + 16) as ptrace::AddressType;
    let peeked = ptrace::read(child.pid(), place);
    if !DEBUGGERS {
        let poked = ptrace::write(child.pid(), place, 0);
        child.kill()?;
        ensure!(peeked == Err(Errno::EIO) && poked == Err(Errno::EIO), "{peeked:?}, {poked:?}");
        return host.changed(seed, &[], |_| 0);
    }
    let peeked = peeked?;
    let expected = pattern::bytes(seed, START + 16, 8);
    let poked = ptrace::write(child.pid(), place, !peeked);
    child.kill()?;
    ensure!(peeked.to_ne_bytes() == expected[..], "ptrace read {peeked:x}, not {expected:02x?}");
    poked?;
    host.changed(seed, &[16..24], |offset| !pattern::byte(seed, START + offset))
}

fn two_processes_see_each_others_stores(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&["windows=0xc0000000+1M"])?;
    let node = user::open()?;
    let vma = Vma::shared(&node, START, MIB as usize)?;
    vma.store(0, 0);
    vma.store(1, 0);
    // The other process opens and maps the node itself.
    let other = Child::spawn(|| {
        let Ok(other) = user::open().and_then(|node| Ok(Vma::shared(&node, START, 4096)?)) else { return 1 };
        for round in 1..=100 {
            while other.load(0) != round {
                thread::yield_now();
            }
            other.store(1, round);
        }
        0
    })?;
    for round in 1..=100 {
        vma.store(0, round);
        while vma.load(1) != round {
            thread::yield_now();
        }
    }
    child::check(other.wait()?).context("the other process")
}

fn mremap_moves_and_shrinks_but_does_not_grow(host: &mut Host) -> Result<()> {
    let seed = 64;
    host.fill(seed)?;
    let _loaded = Loaded::with(&["windows=0xc0000000+1M"])?;
    let mut vma = Vma::shared(&user::open()?, START, 4 * PAGE as usize)?;
    let grown = vma.resize(8 * PAGE as usize);
    ensure!(grown == Err(Errno::EFAULT), "growing: {grown:?}");
    vma.resize(2 * PAGE as usize)?;
    killed_by(Signal::SIGSEGV, || vma.load(2 * PAGE as usize))?;
    let place = Vma::reserve(2 * PAGE as usize)?;
    let moved = vma.move_to(place)?;
    ensure!(moved.load(PAGE as usize) == pattern::byte(seed, START + PAGE), "the moved mapping shows something else");
    moved.store(5, !pattern::byte(seed, START + 5));
    host.changed(seed, &[5..6], |offset| !pattern::byte(seed, START + offset))
}

/// The number of VMAs in the driver's debugfs file.
fn vmas() -> Result<i64> {
    Ok(fs::read_to_string("/sys/kernel/debug/map/mappings")?.trim().parse()?)
}

fn a_mapping_in_pieces_is_counted(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&["windows=0xc0000000+1M"])?;
    let node = user::open()?;
    ensure!(vmas()? == 0, "{} VMAs before", vmas()?);
    let vma = Vma::shared(&node, START, 8 * PAGE as usize)?;
    ensure!(vmas()? == 1, "{} VMAs with one mapping", vmas()?);
    vma.unmap(2 * PAGE as usize..4 * PAGE as usize)?;
    ensure!(vmas()? == 2, "{} VMAs with a hole", vmas()?);
    succeeds_in_child(|| i32::from(vmas().ok() != Some(4)))?;
    ensure!(vmas()? == 2, "{} VMAs after the child's end", vmas()?);
    // The hole can be mapped again.
    drop(Vma::shared(&node, START + 2 * PAGE, 2 * PAGE as usize)?);
    drop(vma);
    ensure!(vmas()? == 0, "{} VMAs after", vmas()?);
    let refused = Vma::shared(&node, START, 2 * MIB as usize);
    ensure!(refused.is_err() && vmas()? == 0, "a refused mapping is counted");
    Ok(())
}

fn madvise_takes_nothing_away(host: &mut Host) -> Result<()> {
    let seed = 65;
    host.fill(seed)?;
    let _loaded = Loaded::with(&["windows=0xc0000000+1M"])?;
    let vma = Vma::shared(&user::open()?, START, MIB as usize)?;
    for (advice, name) in [
        (libc::MADV_DONTNEED, "DONTNEED"),
        (libc::MADV_REMOVE, "REMOVE"),
        (libc::MADV_FREE, "FREE"),
        (libc::MADV_WILLNEED, "WILLNEED"),
        (libc::MADV_HUGEPAGE, "HUGEPAGE"),
        (libc::MADV_PAGEOUT, "PAGEOUT"),
        (libc::MADV_DODUMP, "DODUMP"),
    ] {
        // The kernel may refuse or ignore it; the memory and this process must survive.
        let _ = vma.advise(advice);
        let found = vma.load(100);
        ensure!(found == pattern::byte(seed, START + 100), "after MADV_{name} it shows {found:#x}");
    }
    host.changed(seed, &[], |_| 0)
}

/// Calls an ioctl of the node.
pub fn ask<T>(node: &File, command: u32, structure: &mut T) -> Result<(), Errno> {
    // SAFETY: the command's number has the length of the structure, and the caller passes the right one.
    let result = unsafe { libc::ioctl(node.as_raw_fd(), command as libc::Ioctl, std::ptr::from_mut(structure)) };
    Errno::result(result).map(drop)
}

/// Calls an ioctl of the node with any address: the structure must not be one of Rust's.
pub fn ask_at(node: &File, command: u32, address: usize) -> Result<(), Errno> {
    // SAFETY: by the contract Rust does not use the memory at the address.
    let result = unsafe { libc::ioctl(node.as_raw_fd(), command as libc::Ioctl, address) };
    Errno::result(result).map(drop)
}

/// Asks the driver whether it would allow a mapping.
pub fn check(node: &File, start: u64, length: u64, protection: ProtFlags, flags: MapFlags) -> Result<abi::MapCheck> {
    let mut check = abi::MapCheck {
        start,
        length,
        prot: protection.bits() as u32,
        flags: flags.bits() as u32,
        ..Default::default()
    };
    ask(node, abi::IOC_CHECK, &mut check)?;
    Ok(check)
}

/// A generator of random numbers, the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // xorshift64*, by Vigna.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.next() as usize % from.len()]
    }
}

/// The node, opened in every access mode and under two names: in /dev, and on a file system that is mounted noexec.
struct Nodes(Vec<File>);

impl Nodes {
    /// The mount point of the other file system.
    const PLACE: &'static str = "/mnt";
    /// The second name.
    const OTHER: &'static str = "/mnt/map";

    fn open() -> Result<Self> {
        let number = fs::metadata("/dev/map")?.rdev();
        mount(None::<&str>, Self::PLACE, Some("tmpfs"), MsFlags::MS_NOEXEC, None::<&str>)?;
        mknod(Self::OTHER, SFlag::S_IFCHR, Mode::S_IRUSR | Mode::S_IWUSR, number)?;
        let mut nodes = Vec::new();
        for path in ["/dev/map", Self::OTHER] {
            // The last is access mode 3, which requires both permissions and grants neither access.
            for mode in [libc::O_RDWR, libc::O_RDONLY, libc::O_WRONLY, 3] {
                let flags = OFlag::from_bits_retain(mode);
                nodes.push(File::from(open(path, flags | OFlag::O_CLOEXEC, Mode::empty())?));
            }
        }
        Ok(Self(nodes))
    }

    /// One of them, usually one that can be mapped.
    fn pick(&self, random: &mut Random) -> &File {
        let index = random.pick(&[0, 0, 0, 1, 2, 3]) + random.pick(&[0, 4]);
        &self.0[index]
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        self.0.clear();
        let _ = umount(Self::PLACE);
    }
}

fn check_tells_what_mmap_does(_: &mut Host) -> Result<()> {
    // The two must also agree in raw mode, which has no windows.
    for parameters in [&[][..], &[THREE][..], &["windows=a@0xc0001000+8K:ro,b@0xc0003000+4K"][..]] {
        let _loaded = Loaded::with(parameters)?;
        compare_check_with_mmap(parameters).with_context(|| format!("{parameters:?}"))?;
    }
    Ok(())
}

fn compare_check_with_mmap(parameters: &[&str]) -> Result<()> {
    let nodes = Nodes::open()?;
    let mut random = Random(0x6d61_705f_7465_7374);
    let mut verdicts = BTreeMap::new();
    for _ in 0..if kernel::is_debug() { 1000 } else { 4000 } {
        const LAST_END: u64 = LAST_PAGE + (PAGE - 1);
        let near =
            [START, START + MIB, START + 2 * MIB, START + LENGTH, 0, 0xbf00_0000, 1 << 40, 1 << 52, 1 << 63, LAST_END];
        let pages = random.next() % 8;
        let start =
            random.pick(&near).wrapping_add(pages * PAGE).wrapping_sub(random.pick(&[0, 0, PAGE, 4 * PAGE, 1, 100]));
        let length = random.pick(&[
            0,
            1,
            PAGE,
            PAGE + 1,
            2 * PAGE,
            3 * PAGE,
            MIB,
            MIB + 1,
            LENGTH,
            ADDRESS_SPACE,
            1 << 62,
            u64::MAX - PAGE,
        ]);
        let protection = random.pick(&[
            ProtFlags::PROT_NONE,
            ProtFlags::PROT_READ,
            ProtFlags::PROT_WRITE,
            READ_WRITE,
            READ_WRITE,
            READ_WRITE | ProtFlags::PROT_EXEC,
            ProtFlags::PROT_EXEC,
        ]);
        let flags = random.pick(&[
            MapFlags::MAP_SHARED,
            MapFlags::MAP_SHARED,
            MapFlags::MAP_SHARED_VALIDATE,
            MapFlags::MAP_PRIVATE,
        ]);
        // The personality of old programs, in which PROT_READ implies PROT_EXEC.
        personality::set(random.pick(&[Persona::empty(), Persona::READ_IMPLIES_EXEC]))?;
        let node = nodes.pick(&mut random);
        let verdict = check(node, start, length, protection, flags)?;
        // A program of 32 bits cannot ask for everything; and if both the end and the length are too large, its kernel
        // looks at the end first.
        let Ok(size) = usize::try_from(length) else { continue };
        let nameable = 0..=LAST_END;
        let end = start.saturating_add(length);
        if !nameable.contains(&start) || length == ADDRESS_SPACE && !nameable.contains(&end) {
            continue;
        }
        let made = Vma::map(node, start, size, protection, flags).map(drop);
        let expected = match verdict.verdict {
            abi::GRANTED => Ok(()),
            _ => Err(Errno::from_raw(verdict.error as i32)),
        };
        ensure!(
            made == expected,
            "mmap: {made:?}; CHECK of {start:#x}+{length:#x} {protection:?} {flags:?}: {verdict:x?}"
        );
        ensure!(verdict.error == 0 || Refusal::from_code(verdict.verdict).is_some(), "no such reason: {verdict:x?}");
        *verdicts.entry(verdict.verdict).or_insert(0) += 1;
    }
    personality::set(Persona::empty())?;
    // The requests must have covered the verdicts.
    let kinds = if parameters.is_empty() { 9 } else { 11 };
    ensure!(verdicts.len() >= kinds, "only these verdicts came up: {verdicts:?}");
    Ok(())
}

fn the_ioctls_tell_the_windows(_: &mut Host) -> Result<()> {
    {
        let _loaded = Loaded::new()?;
        let node = user::open()?;
        let mut info = abi::MapInfo::default();
        ask(&node, abi::IOC_INFO, &mut info)?;
        ensure!((info.abi_version, info.mode, info.windows) == (abi::VERSION, abi::MODE_RAW, 0), "raw: {info:x?}");
        let mut window = abi::MapWindow::default();
        ensure!(ask(&node, abi::IOC_WINDOW, &mut window) == Err(Errno::EINVAL), "a window in raw mode: {window:x?}");
    }
    let _loaded = Loaded::with(&[THREE])?;
    let node = user::open()?;
    let mut info = abi::MapInfo::default();
    ask(&node, abi::IOC_INFO, &mut info)?;
    ensure!((info.mode, info.windows, info.page_size) == (abi::MODE_WINDOWS, 3, 4096), "{info:x?}");
    for (index, expected) in
        (0..).zip(["one@0xc0000000+0x100000", "two@0xc0100000+0x100000:ro:wc", "three@0xc0200000+0x100000:wb"])
    {
        let mut window = abi::MapWindow { index, ..Default::default() };
        ask(&node, abi::IOC_WINDOW, &mut window)?;
        let found = window.window().with_context(|| format!("no window: {window:x?}"))?;
        let parsed = map_core::parse(expected.as_bytes(), 4096).next().context("no window")?;
        let mut expected = parsed.map_err(|error| anyhow::anyhow!("{error}"))?;
        expected.reserved = RESERVED;
        ensure!(found == expected, "window {index}: {found:?}, not {expected:?}");
    }
    let mut window = abi::MapWindow { index: 3, ..Default::default() };
    ensure!(ask(&node, abi::IOC_WINDOW, &mut window) == Err(Errno::EINVAL), "window 3: {window:x?}");

    let granted = check(&node, START + MIB, MIB, ProtFlags::PROT_READ, MapFlags::MAP_SHARED)?;
    ensure!((granted.verdict, granted.error, granted.window, granted.cache) == (0, 0, 1, 1), "{granted:x?}");
    let refused = check(&node, START + MIB, MIB, READ_WRITE, MapFlags::MAP_SHARED)?;
    ensure!(refused.verdict == Refusal::ReadOnly.code() && refused.error == libc::EACCES as u32, "{refused:x?}");
    ensure!((refused.near_start, refused.near_length) == (START + MIB, MIB), "{refused:x?}");
    let far = check(&node, 0xd000_0000, PAGE, READ_WRITE, MapFlags::MAP_SHARED)?;
    ensure!(far.verdict == Refusal::Outside.code() && far.window == 2, "{far:x?}");
    Ok(())
}

fn a_wrong_ioctl_changes_nothing(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&[THREE])?;
    let node = user::open()?;
    let mut check = abi::MapCheck { start: START, length: PAGE, prot: 1 << 3, flags: 1, ..Default::default() };
    ensure!(ask(&node, abi::IOC_CHECK, &mut check) == Err(Errno::EINVAL), "an unknown protection: {check:x?}");
    for flags in [0, 4, 0x11, u32::MAX] {
        let mut check = abi::MapCheck { start: START, length: PAGE, prot: 1, flags, ..Default::default() };
        ensure!(ask(&node, abi::IOC_CHECK, &mut check) == Err(Errno::EINVAL), "unknown flags: {check:x?}");
    }
    ensure!(ask(&node, abi::IOC_CHECK + 1, &mut check) == Err(Errno::ENOTTY), "an unknown command");
    ensure!(ask(&node, 0x5401, &mut check) == Err(Errno::ENOTTY), "a terminal's command");
    for command in [abi::IOC_INFO, abi::IOC_WINDOW, abi::IOC_CHECK] {
        for address in [0usize, 1, usize::MAX - 8, 1 << (usize::BITS - 1)] {
            // SAFETY: the kernel must refuse the address.
            let result = unsafe { libc::ioctl(node.as_raw_fd(), command as libc::Ioctl, address) };
            ensure!(
                Errno::result(result) == Err(Errno::EFAULT),
                "command {command:#x} at address {address:#x}: {result}"
            );
        }
    }
    Ok(())
}

fn fdinfo_and_debugfs_tell_the_windows(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&[THREE])?;
    let node = user::open()?;
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", node.as_raw_fd()))?;
    let lines =
        ["map-mode:\twindows", "map-window:\tone@0xc0000000+0x100000", "map-window:\ttwo@0xc0100000+0x100000:ro:wc"];
    for line in lines {
        ensure!(info.lines().any(|found| found == line), "fdinfo does not say {line:?}:\n{info}");
    }
    let windows = fs::read_to_string("/sys/kernel/debug/map/windows")?;
    ensure!(windows.lines().count() == 3 && windows.starts_with("one@"), "debugfs: {windows}");
    let given = fs::read_to_string("/sys/module/map/parameters/windows")?;
    ensure!(format!("windows={}", given.trim_end()) == THREE, "the parameter reads {given:?}");
    for _ in 0..3 {
        ensure!(Vma::shared(&node, START, LENGTH as usize).is_err(), "three windows at once");
    }
    let refusals = fs::read_to_string("/sys/kernel/debug/map/refusals")?;
    let counted = |reason: Refusal| {
        let words = reason.to_string();
        let line = refusals.lines().find_map(|line| line.strip_suffix(&words));
        line.and_then(|count| count.trim().parse().ok())
    };
    ensure!(counted(Refusal::Partial) == Some(3) && counted(Refusal::Outside) == Some(0), "{refusals}");
    Ok(())
}
