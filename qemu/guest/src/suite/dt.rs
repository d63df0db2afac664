// SPDX-License-Identifier: MIT OR Apache-2.0

//! Windows from the device tree, which `qemu/kernel/tree-windows.dtso` describes.

use std::{
    fs::{self, File},
    io::{Read, Write},
    os::{
        fd::AsRawFd,
        unix::{fs::FileExt, net::UnixStream},
    },
    path::Path,
    thread,
    time::Duration,
};

use anyhow::{bail, ensure, Context, Result};
use map_core::{abi, dt::COMPATIBLE, Origin, Refusal, Window};
use map_protocol::{pattern, CacheMode, Page, MODULE};
use nix::{
    errno::Errno,
    sys::{
        mman::{MapFlags, ProtFlags},
        signal::Signal,
        wait::WaitStatus,
    },
};

use crate::{
    arch::{self, RTC, UART},
    child::{self, in_child, killed_by, Child},
    errno,
    host::{Host, LENGTH, PAGE, START},
    kernel::{self, Loaded},
    memory::while_spinning,
    program::{self, devmap},
    user,
    vma::{Vma, READ_WRITE},
    windows::ask,
    Skip,
};

crate::tests! {
    the_module_says_which_devices_it_is_for,
    the_tree_gives_windows,
    windows_of_the_tree_are_mapped_as_it_says,
    a_window_shows_registers_behind_a_bus,
    a_program_drives_a_clock_through_its_window,
    windows_of_the_tree_are_claimed_and_given_back,
    the_parameter_adds_windows_to_those_of_the_tree,
    memory_is_reserved_as_a_whole_and_by_nobody_in_the_kernel,
    what_the_parameter_has_the_tree_cannot_have,
    a_device_that_goes_takes_its_windows_along,
    a_window_that_goes_leaves_every_process,
    no_store_arrives_after_a_window_has_gone,
    windows_are_listed_and_mapped_while_devices_come_and_go,
    without_any_device_there_is_still_no_raw_mode,
    a_device_of_another_kind_is_not_bound,
    the_driver_comes_and_goes_without_a_trace,
}

pub const FIFO: u64 = 0xc040_0000;
pub const TABLE: u64 = 0xc050_0000;

/// The windows of the tree's registers and of its memory, in the syntax of the parameter.
fn registers() -> [(u64, String); 2] {
    [(UART, format!("uart@{UART:#x}+0x1000:shared")), (RTC, format!("rtc@{RTC:#x}+0x1000"))]
}

const OF_MEMORY: [(u64, &str); 3] = [
    (START, "sdram@0xc0000000+0x300000"),
    (FIFO, "fifo@0xc0400000+0x10000:wc:huge=never"),
    (TABLE, "table@0xc0500000+0x10000:ro:cached"),
];

/// These windows with those of the registers, in the order of their addresses.
fn with_registers(others: &[(u64, &str)]) -> Vec<String> {
    let mut all: Vec<_> = others.iter().map(|(start, window)| (*start, (*window).to_owned())).collect();
    all.extend(registers());
    all.sort();
    all.into_iter().map(|(_, window)| window).collect()
}

/// All windows of the tree.
fn of_the_tree() -> Vec<String> {
    with_registers(&OF_MEMORY)
}

/// The device whose windows are reserved memory, as sysfs calls it.
pub const MEMORY: &str = "windows";

/// The device whose windows are registers.
pub const REGISTERS: &str = "bridge:windows";

/// The directory of the driver in sysfs.
pub const DRIVER: &str = "/sys/bus/platform/drivers/map";

/// The driver's mode and windows, as a program sees them.
pub struct Snapshot {
    pub mode: u32,
    pub windows: Vec<Window>,
}

impl Snapshot {
    /// Queries the driver.
    pub fn now() -> Result<Self> {
        let node = user::open()?;
        let mut info = abi::MapInfo::default();
        ask(&node, abi::IOC_INFO, &mut info)?;
        let windows = (0..info.windows).map(|index| {
            let mut window = abi::MapWindow { index, ..Default::default() };
            ask(&node, abi::IOC_WINDOW, &mut window)?;
            window.window().with_context(|| format!("no window: {window:x?}"))
        });
        Ok(Self { mode: info.mode, windows: windows.collect::<Result<_>>()? })
    }

    /// Fails unless the driver has exactly these windows.
    pub fn are(&self, expected: &[&str]) -> Result<()> {
        let found: Vec<_> = self.windows.iter().map(Window::to_string).collect();
        ensure!(self.mode == abi::MODE_WINDOWS && found == expected, "mode {}, {found:?}, not {expected:?}", self.mode);
        Ok(())
    }

    /// The same, for windows that were put together.
    fn are_all(&self, expected: &[String]) -> Result<()> {
        self.are(&expected.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

/// Binds a device to the driver, or unbinds it, through sysfs.
pub fn sysfs(what: &str, device: &str) -> Result<(), Errno> {
    errno::result(fs::write(format!("{DRIVER}/{what}"), device))
}

/// Unbinds a device from the driver.
pub fn unbind(device: &str) -> Result<()> {
    sysfs("unbind", device).with_context(|| format!("unbinding {device}"))
}

/// Binds a device to the driver.
pub fn bind(device: &str) -> Result<()> {
    sysfs("bind", device).with_context(|| format!("binding {device}"))
}

/// The result of mapping a page at `start` to read and write.
fn map_page(start: u64) -> Result<Result<(), Errno>> {
    Ok(Vma::shared(&user::open()?, start, PAGE as usize).map(drop))
}

fn the_module_says_which_devices_it_is_for(_: &mut Host) -> Result<()> {
    let module = fs::read(MODULE)?;
    let alias = format!("alias=of:N*T*C{}\0", COMPATIBLE.to_str()?);
    let found = module.windows(alias.len()).any(|bytes| bytes == alias.as_bytes());
    ensure!(found, "the module has no {alias:?}");
    Ok(())
}

fn the_tree_gives_windows(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let seen = Snapshot::now()?;
    seen.are_all(&of_the_tree())?;
    for window in &seen.windows {
        let memory = window.range.start() >= START;
        // Registers are also in the boot's tree, but nothing reserves them.
        let origin = if memory { Origin::BootDt } else { Origin::Dt };
        ensure!(window.origin == origin, "{window} is of {:?}", window.origin);
        ensure!(window.reserved == memory, "{window} is reserved: {}", window.reserved);
    }
    let node = user::open()?;
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", node.as_raw_fd()))?;
    let windows = fs::read_to_string("/sys/kernel/debug/map/windows")?;
    for window in of_the_tree() {
        ensure!(info.contains(&format!("map-window:\t{window}\n")), "fdinfo does not say {window}:\n{info}");
        ensure!(windows.lines().any(|line| line == window), "debugfs does not say {window}:\n{windows}");
    }
    Ok(())
}

fn windows_of_the_tree_are_mapped_as_it_says(host: &mut Host) -> Result<()> {
    let seed = 90;
    host.fill(seed)?;
    let _loaded = Loaded::new()?;
    let node = user::open()?;
    let sdram = Vma::shared(&node, START, LENGTH as usize)?;
    sdram.store(100, 3);
    let fifo = Vma::shared(&node, FIFO, 0x1_0000)?;
    let refused = Vma::shared(&node, TABLE, 0x1_0000).map(drop);
    ensure!(refused == Err(Errno::EACCES), "writing to a read-only window: {refused:?}");
    let table = Vma::map(&node, TABLE, 0x1_0000, ProtFlags::PROT_READ, MapFlags::MAP_SHARED)?;
    for (vma, physical, size, cache, writable) in [
        (&sdram, START, if arch::HUGE_PAGES { 2 << 20 } else { PAGE }, CacheMode::Uncached, true),
        (&fifo, FIFO, PAGE, CacheMode::WriteCombine, true),
        (&table, TABLE, PAGE, CacheMode::Cached, false),
    ] {
        let touch = || {
            let byte = vma.load(0);
            if writable {
                vma.store(0, byte);
            }
        };
        let page = while_spinning(touch, || host.page(vma.address()))?;
        let expected = Page { physical, size, cache, user: true, writable, executable: false };
        ensure!(page == expected, "{page:x?}, not {expected:x?}");
    }
    host.changed(seed, &[100..101], |_| 3)?;
    // The kernel's own memory, and addresses in no window.
    for start in [0xbf00_0000, START + LENGTH, FIFO + 0x1_0000, 0xd000_0000] {
        let result = map_page(start)?;
        ensure!(result == Err(Errno::EPERM), "{start:#x}: {result:?}");
    }
    Ok(())
}

fn a_window_shows_registers_behind_a_bus(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let node = user::open()?;
    let map = |start| Vma::map(&node, start, PAGE as usize, ProtFlags::PROT_READ, MapFlags::MAP_SHARED);
    let (uart, rtc) = (map(UART)?, map(RTC)?);
    arch::devices_answer(&uart, &rtc)
}

fn a_program_drives_a_clock_through_its_window(_: &mut Host) -> Result<()> {
    if !arch::HAS_PL031 {
        return Err(Skip("the machine has no PL031, the clock that the example drives".into()).into());
    }
    let _loaded = Loaded::new()?;
    // What the example printed: `part 0x031, 1700000000 s, alarm at 1700000060 s`.
    let seconds = || -> Result<[u64; 2]> {
        let ran = program::shell("clock rtc")?;
        let line = ran.out.trim_end();
        let numbers = line
            .strip_prefix("part 0x031, ")
            .and_then(|line| line.strip_suffix(" s"))
            .with_context(|| format!("{line:?}, and {:?}", ran.err))?;
        let (now, alarm) = numbers.split_once(" s, alarm at ").context(line.to_owned())?;
        Ok([now.parse()?, alarm.parse()?])
    };
    // The same registers by the names that a description gives them.
    let named = |arguments: &str| devmap(&format!("{arguments} --svd /usr/share/pl031.svd"));
    let time = || -> Result<u64> { Ok(named("read -q RTC.RTCDR --format decimal")?.out.trim_end().parse()?) };
    let first = time()?;
    named(&format!("write RTC.RTCMR={}", first + 3600))?.printed("")?;
    named("read -q RTC.RTCMR --format decimal")?.printed(&format!("{}\n", first + 3600))?;
    named("write RTC.RTCDR=0")?.failed(2, &["RTC.RTCDR is read-only: it cannot be written"])?;
    // By the window's own node, too.
    let by_window = named("read -q rtc@rtc.RTCDR --format decimal")?;
    let by_window: u64 = by_window.out.trim_end().parse().with_context(|| format!("{by_window:?}"))?;
    ensure!((first..first + 60).contains(&by_window), "{by_window} is long after {first}");
    thread::sleep(Duration::from_millis(1100));
    let second = time()?;
    ensure!(first < second && second < first + 60, "the time was {first} and is {second}");
    let [before, alarm] = seconds()?;
    ensure!(alarm == before + 60, "the alarm is at {alarm}, and the time was {before}");
    thread::sleep(Duration::from_millis(1100));
    let [after, _] = seconds()?;
    ensure!(before < after && after < before + 60, "the time was {before} and is {after}");
    Ok(())
}

fn windows_of_the_tree_are_claimed_and_given_back(_: &mut Host) -> Result<()> {
    let before = fs::read_to_string("/proc/iomem")?;
    {
        let _loaded = Loaded::new()?;
        let now = fs::read_to_string("/proc/iomem")?;
        for line in [
            "c0000000-c02fffff : map: sdram",
            "c0400000-c040ffff : map: fifo",
            "c0500000-c050ffff : map: table",
            &format!("{RTC:08x}-{:08x} : map: rtc", RTC + 0xfff),
        ] {
            ensure!(now.lines().any(|found| found.trim() == line), "/proc/iomem does not say {line:?}:\n{now}");
        }
        ensure!(!now.contains("map: uart"), "a shared window is claimed:\n{now}");
    }
    let after = fs::read_to_string("/proc/iomem")?;
    kernel::unchanged(&before, &after)
}

fn the_parameter_adds_windows_to_those_of_the_tree(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&["windows=hole@0xc2000000+4K:ro"])?;
    let seen = Snapshot::now()?;
    let mut expected = of_the_tree();
    expected.push("hole@0xc2000000+0x1000:ro".into());
    seen.are_all(&expected)?;
    let of_the_tree: Vec<_> = seen.windows.iter().map(|window| window.origin != Origin::Parameter).collect();
    ensure!(of_the_tree == [true, true, true, true, true, false], "{of_the_tree:?}");
    let info = devmap("info")?;
    let origin = |name: &str| info.out.lines().find(|line| line.starts_with(name))?.split_whitespace().last();
    ensure!((origin("sdram"), origin("hole")) == (Some("tree"), Some("parameter")), "{info:?}");
    let page = Vma::map(&user::open()?, 0xc200_0000, PAGE as usize, ProtFlags::PROT_READ, MapFlags::MAP_SHARED);
    ensure!(page.is_ok(), "the window of the parameter: {:?}", page.err());
    Ok(())
}

/// The result of a debugger's read at the beginning of `vma`.
pub fn debugged(vma: &Vma) -> Result<Result<usize, Errno>> {
    let memory = File::open("/proc/self/mem")?;
    Ok(errno::result(memory.read_at(&mut [0; 8], vma.address() as u64)))
}

fn memory_is_reserved_as_a_whole_and_by_nobody_in_the_kernel(_: &mut Host) -> Result<()> {
    for (list, reserved, expected) in [
        ("edge@0xc1bf0000+64K", true, Ok(8)),
        // Half of it is reserved, and no device answers in the other half.
        ("edge@0xc1bf0000+128K:shared", false, Err(Errno::EIO)),
        ("edge@0xc1c00000+64K", false, Err(Errno::EIO)),
        // Reserved for another purpose.
        ("edge@0xb0000000+1M", false, Err(Errno::EIO)),
        // The administrator declares it memory.
        ("edge@0xb0000000+1M:memory", false, Ok(8)),
    ] {
        let _loaded = Loaded::with(&[&format!("windows={list}")])?;
        let seen = Snapshot::now()?;
        let window = seen.windows.iter().find(|window| window.name.as_str() == "edge").context("no window")?;
        ensure!(window.reserved == reserved, "{list} is reserved: {}", window.reserved);
        let vma = Vma::shared(&user::open()?, window.range.start(), PAGE as usize)?;
        let found = debugged(&vma)?;
        let expected = if arch::DEBUGGERS { expected } else { Err(Errno::EIO) };
        ensure!(found == expected, "a debugger in {list}: {found:?}");
    }
    // Only the processor's own loads may access registers.
    let _loaded = Loaded::new()?;
    let rtc = Vma::map(&user::open()?, RTC, PAGE as usize, ProtFlags::PROT_READ, MapFlags::MAP_SHARED)?;
    rtc.load_word(0);
    let found = debugged(&rtc)?;
    ensure!(found == Err(Errno::EIO), "a debugger at registers: {found:?}");
    Ok(())
}

fn what_the_parameter_has_the_tree_cannot_have(_: &mut Host) -> Result<()> {
    for (list, window, words) in [
        (
            "windows=first@0xc0000000+1M",
            "first@0xc0000000+0x100000",
            "map windows: the windows first@0xc0000000+0x100000 and sdram@0xc0000000+0x300000 overlap",
        ),
        (
            "windows=fifo@0xc2000000+4K",
            "fifo@0xc2000000+0x1000",
            "map windows: the windows fifo@0xc0400000+0x10000:wc:huge=never and fifo@0xc2000000+0x1000 have the same name",
        ),
    ] {
        let _loaded = Loaded::with(&[list])?;
        // None of the device's windows is there, and all of the other's.
        Snapshot::now()?.are_all(&with_registers(&[(START, window)]))?;
        kernel::logged(words)?;
        ensure!(!Path::new(DRIVER).join(MEMORY).exists(), "{MEMORY} is bound");
        let iomem = fs::read_to_string("/proc/iomem")?;
        ensure!(!iomem.contains("map: table"), "the claims of {MEMORY} are left:\n{iomem}");
    }
    Ok(())
}

fn a_device_that_goes_takes_its_windows_along(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&["windows=hole@0xc2000000+4K"])?;
    let node = user::open()?;
    for round in 0..3 {
        unbind(MEMORY)?;
        Snapshot::now()?.are_all(&with_registers(&[(0xc200_0000, "hole@0xc2000000+0x1000")]))?;
        let result = Vma::shared(&node, START, PAGE as usize).map(drop);
        ensure!(result == Err(Errno::EPERM), "round {round}, a window that is gone: {result:?}");
        let iomem = fs::read_to_string("/proc/iomem")?;
        ensure!(!iomem.contains("map: sdram"), "round {round}, it is still claimed:\n{iomem}");
        bind(MEMORY)?;
        Vma::shared(&node, START, PAGE as usize).with_context(|| format!("round {round}, it is back"))?;
    }
    kernel::logged("the range is outside of every window (the nearest window is hole@")?;
    Ok(())
}

/// The node of the window called `name`.
pub fn node_of(name: &str) -> Result<File> {
    for number in 1..=64 {
        let found = fs::read_to_string(format!("/sys/class/map/map{number}/name"));
        if found.is_ok_and(|found| found.trim() == name) {
            return user::open_window(number);
        }
    }
    bail!("no window is called {name}")
}

fn a_window_that_goes_leaves_every_process(host: &mut Host) -> Result<()> {
    let seed = 91;
    host.fill(seed)?;
    let _loaded = Loaded::new()?;
    let claimed = || Ok::<_, anyhow::Error>(fs::read_to_string("/proc/iomem")?.contains("map: sdram"));
    let (all, own) = (user::open()?, node_of("sdram")?);
    let by_address = Vma::shared(&all, START, 3 * PAGE as usize)?;
    let by_node = Vma::shared(&own, 0, LENGTH as usize)?;
    // Parts, one that was moved, and one without access.
    by_address.unmap(PAGE as usize..2 * PAGE as usize)?;
    let moved = Vma::shared(&own, PAGE, PAGE as usize)?.move_to(Vma::reserve(PAGE as usize)?)?;
    let hidden = Vma::shared(&own, 0, PAGE as usize)?;
    hidden.protect(ProtFlags::PROT_NONE)?;
    let other = Vma::shared(&all, RTC, PAGE as usize)?;
    by_node.store(7, !host_byte(seed, 7));

    // A child has copies of them all, and looks at them when it is told.
    let (mut tell, mut told) = UnixStream::pair()?;
    let child = Child::spawn(|| {
        let mut byte = [0];
        if told.read_exact(&mut byte).is_err() || Vma::shared(&own, 0, PAGE as usize).is_ok() {
            return 1;
        }
        by_address.load(0).into()
    })?;
    unbind(MEMORY)?;
    ensure!(!claimed()?, "the claim is left");
    let host_sees = host.changed(seed, &[7..8], |_| !host_byte(seed, 7));
    host_sees.context("before anything else")?;
    for (what, vma, offset) in [
        ("by the address", &by_address, 0),
        ("by the address, after the hole", &by_address, 2 * PAGE as usize),
        ("by the node", &by_node, 7),
        ("by the node, at the end", &by_node, LENGTH as usize - 1),
        ("one that was moved", &moved, 0),
    ] {
        killed_by(Signal::SIGBUS, || vma.load(offset)).with_context(|| format!("a load {what}"))?;
        killed_by(Signal::SIGBUS, || vma.store(offset, 1)).with_context(|| format!("a store {what}"))?;
    }
    hidden.protect(READ_WRITE)?;
    killed_by(Signal::SIGBUS, || hidden.store(0, 1)).context("a store after mprotect(2)")?;
    tell.write_all(b"x")?;
    let status = child.wait()?;
    ensure!(matches!(status, WaitStatus::Signaled(_, Signal::SIGBUS, _)), "the child: {status:?}");
    // Other windows stay.
    other.load_word(0);

    // The open file of the node is of no use any more, that of all memory is.
    let mut bytes = [0; 4];
    ensure!(errno::result(own.read_at(&mut bytes, 0)) == Err(Errno::ENODEV), "read(2)");
    ensure!(errno::result(own.write_at(&bytes, 0)) == Err(Errno::ENODEV), "write(2)");
    ensure!(errno::result(own.sync_all()) == Err(Errno::ENODEV), "fsync(2)");
    ensure!(Vma::shared(&own, 0, PAGE as usize).map(drop) == Err(Errno::ENODEV), "mmap(2)");
    kernel::logged("refused: the window of this node was removed")?;
    ensure!(ask(&own, abi::IOC_INFO, &mut abi::MapInfo::default()) == Err(Errno::ENODEV), "MAP_IOC_INFO");
    ensure!(ask(&own, abi::IOC_WINDOW, &mut abi::MapWindow::default()) == Err(Errno::ENODEV), "MAP_IOC_WINDOW");
    let flags = MapFlags::MAP_SHARED.bits() as u32;
    let mut check = abi::MapCheck { length: PAGE, flags, ..Default::default() };
    ensure!(ask(&own, abi::IOC_CHECK, &mut check) == Err(Errno::ENODEV), "MAP_IOC_CHECK");
    ensure!(node_of("sdram").is_err(), "there is still a node");
    let debugger = File::open("/proc/self/mem")?;
    let seen = errno::result(debugger.read_at(&mut bytes, by_node.address() as u64));
    ensure!(seen == Err(Errno::EIO), "a debugger: {seen:?}");

    // At once the memory can have an owner again; what was mapped before stays without pages.
    bind(MEMORY)?;
    Snapshot::now()?.are_all(&of_the_tree())?;
    ensure!(claimed()?, "there is no claim");
    let again = Vma::shared(&node_of("sdram")?, 0, PAGE as usize)?;
    ensure!(again.load(7) == !host_byte(seed, 7), "what was stored is not there");
    killed_by(Signal::SIGBUS, || by_node.load(7)).context("the old mapping")?;
    ensure!(errno::result(own.read_at(&mut bytes, 0)) == Err(Errno::ENODEV), "the old file");
    host.changed(seed, &[7..8], |_| !host_byte(seed, 7))
}

/// Processes store, write, fork, move and protect while the device is unbound; the host sees what arrives.
fn no_store_arrives_after_a_window_has_gone(host: &mut Host) -> Result<()> {
    const ROUNDS: u64 = 60;
    let _loaded = Loaded::new()?;
    let all = user::open()?;
    let storing = |way: u32| {
        let Ok(vma) = Vma::shared(&all, START, 4 * PAGE as usize) else { return 2 };
        let own = node_of("sdram");
        let mut vma = Some(vma);
        for value in (0..=u8::MAX).cycle() {
            match way {
                0 => (0..PAGE as usize).for_each(|offset| vma.iter().for_each(|vma| vma.store(offset, value))),
                1 => {
                    let Ok(own) = &own else { return 2 };
                    if own.write_all_at(&[value; 5000], 5).is_err() {
                        return 3;
                    }
                }
                2 => {
                    let status = in_child(|| {
                        vma.iter().for_each(|vma| vma.store(PAGE as usize, value));
                        0
                    });
                    if !matches!(status, Ok(WaitStatus::Exited(_, 0))) {
                        return 3;
                    }
                }
                _ => {
                    let Ok(place) = Vma::reserve(4 * PAGE as usize) else { return 4 };
                    vma = vma.take().and_then(|vma| vma.move_to(place).ok());
                    let Some(vma) = &vma else { return 4 };
                    if vma.protect(ProtFlags::PROT_READ).is_err() || vma.protect(READ_WRITE).is_err() {
                        return 4;
                    }
                    vma.store(2 * PAGE as usize, value);
                }
            }
        }
        0
    };
    let stop = "/tmp/stop";
    let children = (0..4).map(|way| {
        Child::spawn(|| {
            let mut revoked = 0;
            while !Path::new(stop).exists() {
                match in_child(|| storing(way)) {
                    // Without a window there is nothing to map, or it went while the process worked.
                    Ok(WaitStatus::Exited(_, 2)) => (),
                    Ok(WaitStatus::Exited(_, 3) | WaitStatus::Signaled(_, Signal::SIGBUS, _)) => revoked += 1,
                    other => {
                        eprintln!("way {way}: {other:?}");
                        return 1;
                    }
                }
            }
            i32::from(revoked == 0)
        })
    });
    let children = children.collect::<Result<Vec<_>>>()?;
    let rounds = (0..ROUNDS).try_for_each(|round| {
        // Different points of their work.
        thread::sleep(Duration::from_micros(500 * (round % 17)));
        unbind(MEMORY)?;
        host.fill(round)?;
        thread::sleep(Duration::from_millis(1));
        host.changed(round, &[], |_| 0).with_context(|| format!("round {round}"))?;
        bind(MEMORY)
    });
    fs::write(stop, "")?;
    // Whoever stores now, ends when the window goes.
    for _ in 0..100 {
        unbind(MEMORY)?;
        thread::sleep(Duration::from_millis(5));
        bind(MEMORY)?;
    }
    let ends = children.into_iter().map(Child::wait).collect::<Result<Vec<_>>>();
    fs::remove_file(stop)?;
    rounds?;
    ends?.into_iter().try_for_each(child::check)
}

/// The host's pattern at this offset.
fn host_byte(seed: u64, offset: u64) -> u8 {
    pattern::byte(seed, START + offset)
}

fn windows_are_listed_and_mapped_while_devices_come_and_go(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let device = devmap::Device::open("/dev/map")?;
    let node = user::open()?;
    let mut child = Child::spawn(|| {
        let toggled = (0..200).try_for_each(|_| {
            unbind(MEMORY)?;
            // Also while the other process has a mapping.
            bind(MEMORY)
        });
        i32::from(toggled.is_err())
    })?;
    while child.is_running().context("the process that binds and unbinds")? {
        let windows = device.windows()?;
        ensure!((2..=5).contains(&windows.len()), "{windows:?}");
        let result = Vma::shared(&node, START, LENGTH as usize).map(drop);
        ensure!(matches!(result, Ok(()) | Err(Errno::EPERM)), "mmap: {result:?}");
    }
    Snapshot::now()?.are_all(&of_the_tree())
}

fn without_any_device_there_is_still_no_raw_mode(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    unbind(MEMORY)?;
    unbind(REGISTERS)?;
    Snapshot::now()?.are(&[])?;
    for start in [START, RTC, 0xd000_0000] {
        let result = map_page(start)?;
        ensure!(result == Err(Errno::EPERM), "{start:#x}: {result:?}");
    }
    let node = user::open()?;
    let mut window = abi::MapWindow::default();
    ensure!(ask(&node, abi::IOC_WINDOW, &mut window) == Err(Errno::EINVAL), "a window: {window:x?}");
    let mut check = abi::MapCheck {
        start: START,
        length: PAGE,
        prot: READ_WRITE.bits() as u32,
        flags: MapFlags::MAP_SHARED.bits() as u32,
        ..Default::default()
    };
    ask(&node, abi::IOC_CHECK, &mut check)?;
    let found = (check.verdict, check.window, check.near_length);
    ensure!(found == (Refusal::Outside.code(), abi::NONE, 0), "{check:x?}");
    // The command line handles that.
    let info = devmap("info")?;
    ensure!(info.status == Some(0) && info.out.contains("mode           windows"), "{info:?}");
    let check = devmap("check 0xc0000000")?;
    ensure!(check.status == Some(3) && check.out.contains("outside of every window\n"), "{check:?}");
    Ok(())
}

fn a_device_of_another_kind_is_not_bound(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    // Any device without a driver.
    let device = fs::read_dir("/sys/bus/platform/devices")?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.join("of_node").exists() && !path.join("driver").exists())
        .context("every device has a driver")?;
    let name = device.file_name().and_then(|name| name.to_str()).context("it has no name")?;
    fs::write(device.join("driver_override"), "map")?;
    let bound = sysfs("bind", name);
    fs::write(device.join("driver_override"), "\n")?;
    ensure!(bound == Err(Errno::ENODEV), "binding {name}: {bound:?}");
    Snapshot::now()?.are_all(&of_the_tree())
}

fn the_driver_comes_and_goes_without_a_trace(_: &mut Host) -> Result<()> {
    let before = kernel::traces()?;
    for _ in 0..10 {
        let _loaded = Loaded::new()?;
        Snapshot::now()?.are_all(&of_the_tree())?;
    }
    let after = kernel::traces()?;
    ensure!(before == after && !Path::new(DRIVER).exists(), "before:\n{before}\nafter:\n{after}");
    Ok(())
}
