// SPDX-License-Identifier: MIT OR Apache-2.0

//! Windows that root adds and removes at run time, through configfs.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{bail, ensure, Context, Result};
use devmap::{
    driver::{Protection, Sharing, Verdict},
    Device, PhysRange,
};
use map_core::{abi, Draft, Origin, Property};
use map_protocol::{pattern, CONFIGFS, MAP_CONFIG};
use nix::{
    errno::Errno,
    mount::{mount, umount, MsFlags},
    sys::{
        mman::{MapFlags, ProtFlags},
        signal::Signal,
    },
};

use crate::{
    arch::CLAIMED,
    child::{self, killed_by, succeeds_as_user, Child},
    errno,
    host::{Host, LENGTH, PAGE, START},
    kernel::{self, is_slow, Loaded},
    user::{self, open_window as node},
    vma::Vma,
    windows::{ask, MIB},
    Test,
};

crate::tests! {
    a_directory_is_a_window_while_it_is_enabled,
    every_order_of_writing_gives_the_same_window,
    a_wrong_value_is_refused_with_its_reason_and_changes_nothing,
    a_wrong_name_makes_no_directory,
    what_does_not_fit_is_refused_and_leaves_nothing,
    an_enabled_window_does_not_change,
    windows_that_come_and_go_are_counted,
    sixty_five_windows_are_one_too_many,
    windows_of_others_are_not_changed,
    describing_a_window_at_run_time_ends_raw_mode,
    an_older_mapping_loses_the_memory_of_a_window_that_goes,
    a_window_that_is_disabled_leaves_every_process,
    a_directory_that_is_removed_takes_its_window_along,
    modules_stay_while_they_are_used,
    an_ordinary_user_changes_nothing,
    a_thousand_windows_leave_nothing,
}

/// For a guest with two processors.
pub const RACES: &[Test] = &[
    Test { name: "directories_in_many_hands_stay_whole", run: directories_in_many_hands_stay_whole },
    Test { name: "a_window_is_found_while_others_come_and_go", run: a_window_is_found_while_others_come_and_go },
];

/// Where configfs is mounted.
const CONFIG: &str = "/sys/kernel/config";
/// The directory of the driver in it.
pub const WINDOWS: &str = "/sys/kernel/config/map";

/// The driver with `map_config`; all of it is unloaded when dropped.
pub struct Config {
    _driver: Loaded,
}

impl Config {
    /// Loads the driver with these parameters, and what it takes to add windows.
    pub fn with(parameters: &[&str]) -> Result<Self> {
        // From here on, dropping it undoes what was done.
        let config = Self { _driver: Loaded::with(parameters)? };
        kernel::load(CONFIGFS, &[])?.context("configfs")?;
        kernel::load(MAP_CONFIG, &[])?.context("map_config")?;
        mount(None::<&str>, CONFIG, Some("configfs"), MsFlags::empty(), None::<&str>)
            .context("cannot mount configfs")?;
        Ok(config)
    }

    /// The same without parameters.
    pub fn new() -> Result<Self> {
        Self::with(&[])
    }
}

impl Drop for Config {
    fn drop(&mut self) {
        // What a failed test leaves, `clean_up` reports.
        for entry in fs::read_dir(WINDOWS).into_iter().flatten().flatten() {
            let _ = fs::remove_dir(entry.path());
        }
        let _ = umount(CONFIG);
        let _ = kernel::unload("map_config");
        let _ = kernel::unload("configfs");
    }
}

/// A directory of a window; removed when dropped.
pub struct Directory(PathBuf);

impl Directory {
    /// Makes it.
    pub fn make(name: &str) -> Result<Self, Errno> {
        let path = Path::new(WINDOWS).join(name);
        errno::result(fs::create_dir(&path)).map(|()| Self(path))
    }

    /// Makes it and stores these values.
    pub fn with(name: &str, values: &[(&str, &str)]) -> Result<Self> {
        let directory = Self::make(name).with_context(|| format!("mkdir {name}"))?;
        for (file, value) in values {
            directory.set(file, value).with_context(|| format!("{value:?} in {file}"))?;
        }
        Ok(directory)
    }

    /// A window of this range with default options.
    pub fn of(name: &str, start: u64, size: u64) -> Result<Self> {
        Self::with(name, &[("start", &format!("{start:#x}")), ("size", &size.to_string())])
    }

    /// Writes a value as `echo` does.
    pub fn set(&self, file: &str, value: &str) -> Result<(), Errno> {
        self.write(file, format!("{value}\n").as_bytes())
    }

    /// Writes these bytes, at once.
    fn write(&self, file: &str, bytes: &[u8]) -> Result<(), Errno> {
        let opened = errno::result(File::options().write(true).open(self.0.join(file)));
        opened.and_then(|mut file| errno::result(file.write(bytes)).map(drop))
    }

    /// The value in a file.
    pub fn get(&self, file: &str) -> Result<String> {
        let text = fs::read_to_string(self.0.join(file)).with_context(|| format!("cannot read {file}"))?;
        text.strip_suffix('\n').map(str::to_owned).with_context(|| format!("{file} is {text:?}"))
    }

    /// Enables it, and gives the number of its node.
    pub fn enable(&self) -> Result<u32> {
        if let Err(errno) = self.set("enable", "1") {
            anyhow::bail!("{} cannot be enabled: {errno}: {}", self.0.display(), self.get("reason")?);
        }
        Ok(self.get("minor")?.parse()?)
    }

    /// Removes it.
    pub fn remove(self) -> Result<(), Errno> {
        let removed = errno::result(fs::remove_dir(&self.0));
        if removed.is_ok() {
            std::mem::forget(self);
        }
        removed
    }

    /// Fails unless a write fails with `errno` for the reason with these words, which the log has, too.
    pub fn refuses(&self, file: &str, value: &str, errno: Errno, words: &str) -> Result<()> {
        fs::write("/dev/kmsg", "<6>map-suite: writing\n")?;
        let result = self.set(file, value);
        let reason = self.get("reason")?;
        ensure!(result == Err(errno), "{value:?} in {file}: {result:?}, not {errno}; {reason}");
        ensure!(reason.contains(words), "{value:?} in {file}: the reason is {reason:?}, not {words:?}");
        let log = kernel::log_since("map-suite: writing")?;
        let lines = log.lines().filter(|line| line.starts_with("map")).collect::<Vec<_>>();
        let [_, line] = lines[..] else { anyhow::bail!("{value:?} in {file} is not one line: {log}") };
        ensure!(
            line.ends_with(&as_logged(&reason)),
            "{value:?} in {file}: the reason is {reason:?}, and in the log {line:?}"
        );
        Ok(())
    }

    /// The values of all properties.
    fn values(&self) -> Result<Vec<String>> {
        Property::ALL.iter().map(|property| self.get(property.as_str())).collect()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// A text as /dev/kmsg shows it, which escapes the character that escapes.
fn as_logged(text: &str) -> String {
    text.replace('\\', "\\x5c")
}

/// The lines of the driver in debugfs, one for each window.
fn windows() -> Result<String> {
    fs::read_to_string("/sys/kernel/debug/map/windows").context("cannot read the windows")
}

const SDRAM: &[(&str, &str)] = &[("start", "0xc0000000"), ("size", "3M")];

fn a_directory_is_a_window_while_it_is_enabled(host: &mut Host) -> Result<()> {
    const FILES: &str = "access cache enable huge memory minor reason shared size start";
    let seed = 180;
    host.fill(seed)?;
    let _config = Config::new()?;
    let sdram = Directory::make("sdram")?;
    let listed = kernel::listing(WINDOWS)? + &kernel::listing(&format!("{WINDOWS}/sdram"))?;
    ensure!(listed.contains("/map: sdram\n") && listed.contains(&format!("/sdram: {FILES}\n")), "{listed}");
    for (file, value, mode) in [
        ("start", "", 0o600),
        ("size", "", 0o644),
        ("access", "rw", 0o644),
        ("cache", "uncached", 0o644),
        ("shared", "0", 0o644),
        ("memory", "0", 0o644),
        ("huge", "auto", 0o644),
        ("enable", "0", 0o644),
        ("reason", "", 0o400),
        ("minor", "0", 0o444),
    ] {
        let (found, permissions) = (sdram.get(file)?, fs::metadata(sdram.0.join(file))?.mode() & 0o7777);
        ensure!(found == value && permissions == mode, "{file} is {found:?} with mode {permissions:o}");
    }
    for (file, value) in [("start", "0xc0000000"), ("size", "3M"), ("cache", "writecombine"), ("memory", "1")] {
        sdram.set(file, value)?;
    }
    ensure!(sdram.values()? == ["0xc0000000", "0x300000", "rw", "wc", "0", "1", "auto"], "{:?}", sdram.values()?);
    ensure!(windows()?.is_empty() && !Path::new("/dev/map1").exists(), "there is a window before it is enabled");

    let minor = sdram.enable()?;
    ensure!((minor, sdram.get("enable")?.as_str()) == (1, "1"), "node {minor}, enable {}", sdram.get("enable")?);
    ensure!(windows()? == "sdram@0xc0000000+0x300000:wc:memory\n", "{}", windows()?);
    ensure!(fs::read_to_string("/proc/iomem")?.contains("c0000000-c02fffff : map: sdram"), "there is no claim");
    let origin = fs::read_to_string("/sys/class/map/map1/origin")?;
    ensure!(origin == "run-time\n", "its origin is {origin}");
    let mut window = abi::MapWindow::default();
    ask(&user::open()?, abi::IOC_WINDOW, &mut window)?;
    ensure!(window.flags & abi::WINDOW_RUN_TIME != 0 && window.minor == minor, "{window:x?}");
    ensure!(window.window().context("no window")?.origin == Origin::RunTime, "{window:x?}");

    let own = node(minor)?;
    let vma = Vma::shared(&own, 0, LENGTH as usize)?;
    vma.store(7, !pattern::byte(seed, START + 7));
    own.write_all_at(&[!pattern::byte(seed, START + 8)], 8)?;
    let mut bytes = [0; 2];
    own.read_exact_at(&mut bytes, 7)?;
    ensure!(bytes == [!pattern::byte(seed, START + 7), !pattern::byte(seed, START + 8)], "{bytes:02x?}");
    let by_address = Vma::shared(&user::open()?, START + MIB, PAGE as usize)?;
    ensure!(by_address.load(0) == pattern::byte(seed, START + MIB), "the node of all memory shows something else");

    sdram.set("enable", "0")?;
    ensure!((sdram.get("enable")?, sdram.get("minor")?) == ("0".into(), "0".into()), "it is still enabled");
    ensure!(windows()?.is_empty() && !Path::new("/dev/map1").exists(), "there is a window after it is disabled");
    // What was written stays, and it can be disabled again.
    ensure!(sdram.values()? == ["0xc0000000", "0x300000", "rw", "wc", "0", "1", "auto"], "{:?}", sdram.values()?);
    sdram.set("enable", "0")?;
    sdram.set("cache", "wb")?;
    // On x86 a mapping keeps the cache type of its range, also without pages.
    drop((vma, by_address));
    ensure!(sdram.enable()? == 1 && windows()? == "sdram@0xc0000000+0x300000:cached:memory\n", "{}", windows()?);
    host.changed(seed, &[7..9], |offset| !pattern::byte(seed, START + offset))
}

/// All orders of these values.
fn orders<T: Copy>(values: &[T]) -> Vec<Vec<T>> {
    let [first, rest @ ..] = values else { return vec![vec![]] };
    let mut all = Vec::new();
    for order in orders(rest) {
        for place in 0..=order.len() {
            let mut order = order.clone();
            order.insert(place, *first);
            all.push(order);
        }
    }
    all
}

fn every_order_of_writing_gives_the_same_window(_: &mut Host) -> Result<()> {
    let values = [
        ("start", "0xc0100000"),
        ("size", "8K"),
        ("access", "ro"),
        ("cache", "wc"),
        ("shared", "1"),
        ("memory", "1"),
        ("huge", "never"),
    ];
    let _config = Config::new()?;
    let orders = orders(&values);
    ensure!(orders.len() == 5040, "{} orders", orders.len());
    for order in orders.iter().step_by(if is_slow() { 259 } else { 7 }) {
        let window = Directory::make("window")?;
        let mut missing = vec!["start", "size"];
        for (file, value) in order {
            if let [first, ..] = missing[..] {
                window.refuses("enable", "1", Errno::EINVAL, &format!("enable: there is no {first} yet"))?;
            }
            window.set(file, value).with_context(|| format!("{order:?}: {file}"))?;
            missing.retain(|other| other != file);
            ensure!(window.get("reason")?.is_empty(), "a reason after {file}: {}", window.get("reason")?);
        }
        window.enable().with_context(|| format!("{order:?}"))?;
        let found = windows()?;
        ensure!(found == "window@0xc0100000+0x2000:ro:wc:shared:memory:huge=never\n", "{order:?}: {found}");
    }
    Ok(())
}

fn a_wrong_value_is_refused_with_its_reason_and_changes_nothing(_: &mut Host) -> Result<()> {
    let _config = Config::new()?;
    let window = Directory::with("window", SDRAM)?;
    let before = window.values()?;
    let longest = "0".repeat(4000);
    let mut count = 0;
    let long = format!("0x{longest}1000");
    let numbers =
        ["", " ", "x", "0x", "0xg", "-1", "+4K", "1e3", "07", "0x1000 ", "18446744073709551616", "\u{e4}", &long];
    let words = ["", "RO", "r", "rw ", "wo", "cached", "0", "\t"];
    let caches = ["", "WC", "write-combine", "uncached,wc", "none", "1", "rw"];
    let flags = ["", "2", "-1", "00", "01", "y", "on", "true", "1 1"];
    for (file, wrong) in [
        ("start", &numbers[..]),
        ("start", &["0x800", "1", "4K", "0xc0000000+4K", "window@0xc0000000"]),
        ("size", &numbers),
        ("size", &["0", "0M", "1", "4095", "4097", "3T", "K", "16777216T", "17179869184G", "0xc0000000-0xc0000fff"]),
        ("access", &words),
        ("cache", &caches),
        ("shared", &flags),
        ("memory", &flags),
        ("huge", &words),
        ("enable", &flags),
    ] {
        for value in wrong {
            // The core says why.
            let text = format!("{value}\n");
            let property = Property::ALL.into_iter().find(|property| property.as_str() == file);
            let error = match property {
                Some(property) => Draft::default().set(property, text.as_bytes(), PAGE),
                None => map_core::switch(text.as_bytes()).map(drop),
            };
            let reason = error.err().with_context(|| format!("{value:?} is right for {file}"))?.to_string();
            window.refuses(file, value, Errno::EINVAL, &format!("{file}: {reason}"))?;
            count += 1;
        }
    }
    ensure!(count > 70, "only {count} values");
    // Bytes that are no text, more than a page of them, and two lines.
    for (file, bytes) in [
        ("start", &[0xff, 0, 0x1b, b'['][..]),
        ("start", b"0xc0000000\n0xc0001000\n"),
        ("size", &[0; 4096]),
        ("cache", &[b'w'; 10000]),
        ("enable", b"1\0"),
        ("enable", b"1\n\n"),
    ] {
        let result = window.write(file, bytes);
        ensure!(result == Err(Errno::EINVAL), "{} bytes in {file}: {result:?}", bytes.len());
        let reason = window.get("reason")?;
        ensure!(
            reason.starts_with(file) && reason.chars().all(|letter| letter.is_ascii_graphic() || letter == ' '),
            "{reason:?}"
        );
    }
    ensure!(window.values()? == before, "{:?} became {:?}", before, window.values()?);
    ensure!(windows()?.is_empty(), "there is a window: {}", windows()?);
    for file in ["reason", "minor"] {
        let result = window.set(file, "1");
        ensure!(matches!(result, Err(Errno::EACCES | Errno::EINVAL)), "writing {file}: {result:?}");
    }
    // A value without a newline is a value.
    window.write("start", b"0xc0001000")?;
    window.write("size", b"4k")?;
    window.write("enable", b"1")?;
    ensure!(windows()? == "window@0xc0001000+0x1000\n", "{}", windows()?);
    Ok(())
}

fn a_wrong_name_makes_no_directory(_: &mut Host) -> Result<()> {
    let _config = Config::new()?;
    let long = "n".repeat(32);
    for name in ["Sdram", "a b", "a.b", "a@b", "a+", "\u{e4}", "a\nb", &long] {
        let made = Directory::make(name).map(drop);
        ensure!(made == Err(Errno::EINVAL), "mkdir {name:?}: {made:?}");
        let name = as_logged(&name.as_bytes().escape_ascii().to_string());
        kernel::logged(format!("map_config: \"{name}\": the name of a window has"))?;
    }
    ensure!(kernel::listing(WINDOWS)? == format!("{WINDOWS}: \n"), "{}", kernel::listing(WINDOWS)?);
    let first = Directory::of("twice", START, PAGE)?;
    let second = Directory::make("twice").map(drop);
    ensure!(second == Err(Errno::EEXIST), "a name twice: {second:?}");
    first.enable()?;
    // The longest name, which configfs allocates.
    let name = &long[1..];
    let longest = Directory::of(name, START + PAGE, PAGE)?;
    longest.enable()?;
    ensure!(windows()?.contains(&format!("{name}@0xc0001000+0x1000")), "{}", windows()?);
    // A directory has no directories and no links.
    let inside = errno::result(fs::create_dir(first.0.join("more")));
    ensure!(inside == Err(Errno::EPERM), "a directory in a directory: {inside:?}");
    let link = errno::result(std::os::unix::fs::symlink(&longest.0, first.0.join("link")));
    ensure!(link == Err(Errno::EPERM), "a link: {link:?}");
    Ok(())
}

fn what_does_not_fit_is_refused_and_leaves_nothing(_: &mut Host) -> Result<()> {
    let _config = Config::with(&["windows=given@0xc0200000+1M"])?;
    let other = Directory::of("other", START, 2 * PAGE)?;
    other.enable()?;
    let own = Directory::make("own")?;
    let before = kernel::traces()?;
    let claimed = format!("{CLAIMED:#x}");
    for (start, size, errno, words) in [
        ("0xc0000000", "4K", Errno::EINVAL, "overlap"),
        ("0xc0000000", "3M", Errno::EINVAL, "overlap"),
        ("0xc0001000", "8K", Errno::EINVAL, "overlap"),
        ("0xc02ff000", "4K", Errno::EINVAL, "overlap"),
        ("0xbf000000", "4K", Errno::EPERM, "System RAM"),
        ("0xbffff000", "4K", Errno::EPERM, "System RAM"),
        (claimed.as_str(), "4K", Errno::EBUSY, "a part of it is claimed already"),
        ("0x8000000000000000", "4K", Errno::EINVAL, "highest physical address"),
        ("0xfffffffffffff000", "4K", Errno::EINVAL, "highest physical address"),
        ("0xfffffffffffff000", "8K", Errno::EINVAL, "extends beyond the last 64-bit address"),
        ("0", "0xfffffffffffff000", Errno::EINVAL, "highest physical address"),
    ] {
        own.set("start", start)?;
        own.set("size", size)?;
        own.refuses("enable", "1", errno, words)?;
        let found = (own.get("enable")?, own.get("minor")?);
        ensure!(found == ("0".into(), "0".into()), "{start}+{size}: {found:?}");
        kernel::unchanged(&before, &kernel::traces()?).with_context(|| format!("{start}+{size}"))?;
    }
    // The name of a window of the parameter; a directory can have it, but the window is another.
    let namesake = Directory::of("given", START + MIB, PAGE)?;
    namesake.refuses("enable", "1", Errno::EINVAL, "same name")?;
    drop(namesake);
    kernel::unchanged(&before, &kernel::traces()?)?;
    // None of this is in the way of what fits.
    own.set("start", "0xc0002000")?;
    own.set("size", "4K")?;
    own.enable()?;
    ensure!(windows()?.lines().count() == 3, "{}", windows()?);
    Ok(())
}

fn an_enabled_window_does_not_change(_: &mut Host) -> Result<()> {
    let _config = Config::new()?;
    let sdram = Directory::with("sdram", SDRAM)?;
    let minor = sdram.enable()?;
    let (before, listed) = (sdram.values()?, windows()?);
    for (file, value) in [
        ("start", "0xc0001000"),
        ("size", "4K"),
        ("access", "ro"),
        ("cache", "wc"),
        ("shared", "1"),
        ("memory", "1"),
        ("huge", "never"),
    ] {
        let words = format!("{file}: the window is enabled; disable it before a change");
        // Right and wrong values, and the one that it has.
        for value in [value, "?", &sdram.get(file)?] {
            sdram.refuses(file, value, Errno::EBUSY, &words)?;
        }
    }
    sdram.refuses("enable", "1", Errno::EBUSY, "enable: the window is enabled already")?;
    sdram.refuses("enable", "2", Errno::EINVAL, "enable: \"2\": write 0 or 1")?;
    ensure!(sdram.values()? == before && windows()? == listed, "{:?} {}", sdram.values()?, windows()?);
    Vma::shared(&node(minor)?, 0, LENGTH as usize)?;
    Ok(())
}

fn sixty_five_windows_are_one_too_many(host: &mut Host) -> Result<()> {
    let seed = 181;
    host.fill(seed)?;
    let _config = Config::with(&["windows=first@0xc02ff000+4K"])?;
    let place = |index: u64| START + 2 * PAGE * index;
    let mut made = Vec::new();
    for index in 0..64 {
        made.push(Directory::of(&format!("window-{index}"), place(index), PAGE)?);
    }
    for window in &made[..63] {
        let minor = window.enable()?;
        ensure!((2..=64).contains(&minor), "node {minor}");
    }
    let before = kernel::traces()?;
    made[63].refuses("enable", "1", Errno::EINVAL, "windows")?;
    kernel::unchanged(&before, &kernel::traces()?)?;
    for (index, window) in (0..).zip(&made[..63]) {
        let vma = Vma::shared(&node(window.get("minor")?.parse()?)?, 0, PAGE as usize)?;
        ensure!(vma.load(9) == pattern::byte(seed, place(index) + 9), "window {index} shows something else");
    }
    // Room for one more; it gets the number that is free.
    let free = made[30].get("minor")?;
    made[30].set("enable", "0")?;
    ensure!(made[63].enable()?.to_string() == free, "another number than {free}");
    made[30].refuses("enable", "1", Errno::EINVAL, "windows")
}

fn windows_of_others_are_not_changed(_: &mut Host) -> Result<()> {
    let _config = Config::with(&["windows=given@0xc0000000+1M"])?;
    ensure!(kernel::listing(WINDOWS)? == format!("{WINDOWS}: \n"), "{}", kernel::listing(WINDOWS)?);
    let origin = fs::read_to_string("/sys/class/map/map1/origin")?;
    ensure!(origin == "parameter\n", "its origin is {origin}");
    for file in ["start", "size", "access", "cache", "origin"] {
        let path = format!("/sys/class/map/map1/{file}");
        ensure!(errno::result(fs::write(&path, "0")).is_err(), "{path} can be written");
    }
    let given = Directory::of("given", START + MIB, PAGE)?;
    given.set("enable", "0")?;
    drop(given);
    ensure!(windows()? == "given@0xc0000000+0x100000\n", "{}", windows()?);
    Ok(())
}

/// A mapping of raw mode knows no window, and its pages may not be mapped yet when a window on its memory goes.
fn an_older_mapping_loses_the_memory_of_a_window_that_goes(host: &mut Host) -> Result<()> {
    let seed = 130;
    host.fill(seed)?;
    let _config = Config::new()?;
    let all = user::open()?;
    let (length, mib) = (LENGTH as usize, MIB as usize);
    // With small pages, all of them mapped; with huge ones, mapped before and not.
    let small = Vma::shared_with_gap(&all, START + MIB, mib)?;
    // With small ones, half of them on each side of the window's start, and of its end.
    let half = 4 * PAGE as usize;
    let over = |edge: u64| Vma::shared(&all, edge - half as u64, 2 * half);
    let (over_start, over_end) = (over(START + MIB)?, over(START + 2 * MIB)?);
    let touched = Vma::shared(&all, START, length)?;
    let fresh = Vma::shared(&all, START, length)?;
    for offset in [0, 2 * mib] {
        touched.load(offset);
    }
    let window = Directory::of("window", START + MIB, MIB)?;
    window.enable()?;
    window.set("enable", "0")?;
    // Another one that goes does not give back what went with the first.
    let later = Directory::of("later", START + MIB + 16 * PAGE, PAGE)?;
    later.enable()?;
    later.set("enable", "0")?;
    for (vma, first) in [(&small, 0), (&touched, mib), (&fresh, mib)] {
        let memory = File::open("/proc/self/mem")?;
        for offset in [first, first + mib - 1] {
            killed_by(Signal::SIGBUS, || vma.load(offset))?;
            let read = memory.read_exact_at(&mut [0], (vma.address() + offset) as u64);
            ensure!(read.is_err(), "a debugger reads it at {offset:#x}");
        }
    }
    for (vma, lost, kept, place) in
        [(&over_start, half, half - 1, START + MIB - 1), (&over_end, half - 1, half, START + 2 * MIB)]
    {
        killed_by(Signal::SIGBUS, || vma.load(lost))?;
        let (found, expected) = (vma.load(kept), pattern::byte(seed, place));
        ensure!(found == expected, "at {place:#x}: {found:#x}, not {expected:#x}");
    }
    // What belonged to no window stays.
    for vma in [&touched, &fresh] {
        for offset in [0, mib - 1, 2 * mib, length - 1] {
            let (found, expected) = (vma.load(offset), pattern::byte(seed, START + offset as u64));
            ensure!(found == expected, "at {offset:#x}: {found:#x}, not {expected:#x}");
        }
    }
    Ok(())
}

fn describing_a_window_at_run_time_ends_raw_mode(_: &mut Host) -> Result<()> {
    let far = 0xd000_0000;
    {
        let _config = Config::new()?;
        let all = user::open()?;
        let window = Directory::of("window", START, PAGE)?;
        // Nobody has described one yet.
        drop(Vma::shared(&all, far, PAGE as usize)?);
        window.enable()?;
        let mapped = Vma::shared(&all, far, PAGE as usize).map(drop);
        ensure!(mapped == Err(Errno::EPERM), "beside the window: {mapped:?}");
        window.remove()?;
        let mapped = Vma::shared(&all, far, PAGE as usize).map(drop);
        ensure!(mapped == Err(Errno::EPERM), "after the window: {mapped:?}");
    }
    let _config = Config::new()?;
    let all = user::open()?;
    let window = Directory::of("window", 0xbf00_0000, PAGE)?;
    window.refuses("enable", "1", Errno::EPERM, "System RAM")?;
    let mapped = Vma::shared(&all, far, PAGE as usize).map(drop);
    ensure!(mapped == Err(Errno::EPERM), "after a window that was refused: {mapped:?}");
    Ok(())
}

fn a_window_that_is_disabled_leaves_every_process(host: &mut Host) -> Result<()> {
    let seed = 182;
    host.fill(seed)?;
    let _config = Config::new()?;
    let sdram = Directory::with("sdram", SDRAM)?;
    let own = node(sdram.enable()?)?;
    let by_node = Vma::shared(&own, 0, LENGTH as usize)?;
    let by_address = Vma::shared(&user::open()?, START, PAGE as usize)?;
    // Pages that a small mapping has from the beginning, at both ends of the window.
    let [first, last] = [0, LENGTH - PAGE].map(|offset| Vma::shared(&own, offset, PAGE as usize));
    sdram.set("enable", "0")?;
    ensure!(!fs::read_to_string("/proc/iomem")?.contains("map: sdram"), "the claim is left");
    for vma in [&by_node, &by_address, &first?, &last?] {
        killed_by(Signal::SIGBUS, || vma.load(5))?;
        killed_by(Signal::SIGBUS, || vma.store(5, 0))?;
    }
    killed_by(Signal::SIGBUS, || by_node.store(LENGTH as usize - 1, 0))?;
    let mut bytes = [0; 4];
    ensure!(errno::result(own.read_at(&mut bytes, 0)) == Err(Errno::ENODEV), "read(2)");
    ensure!(errno::result(own.write_at(&bytes, 0)) == Err(Errno::ENODEV), "write(2)");
    ensure!(Vma::shared(&own, 0, PAGE as usize).map(drop) == Err(Errno::ENODEV), "mmap(2)");
    // The same region for another window at once.
    let other = Directory::with("other", &[("start", "0xc0001000"), ("size", "4K"), ("access", "ro")])?;
    let minor = other.enable()?;
    sdram.refuses("enable", "1", Errno::EINVAL, "overlap")?;
    let again = Vma::map(&node(minor)?, 0, PAGE as usize, ProtFlags::PROT_READ, MapFlags::MAP_SHARED)?;
    ensure!(again.load(5) == pattern::byte(seed, START + PAGE + 5), "it shows something else");
    // The old file has nothing of the window that has its number now.
    ensure!(errno::result(own.read_at(&mut bytes, 0)) == Err(Errno::ENODEV), "read(2) of the old file");
    ensure!(Vma::shared(&own, 0, PAGE as usize).map(drop) == Err(Errno::ENODEV), "mmap(2) of the old file");
    killed_by(Signal::SIGBUS, || by_node.load(PAGE as usize + 5))?;
    host.changed(seed, &[], |_| 0)
}

fn a_directory_that_is_removed_takes_its_window_along(host: &mut Host) -> Result<()> {
    let seed = 183;
    host.fill(seed)?;
    let _config = Config::new()?;
    let before = kernel::traces()?;
    let sdram = Directory::with("sdram", SDRAM)?;
    let vma = Vma::shared(&node(sdram.enable()?)?, 0, LENGTH as usize)?;
    let path = sdram.0.clone();
    let open = File::options().read(true).write(true).open(path.join("enable"))?;
    sdram.remove()?;
    killed_by(Signal::SIGBUS, || vma.store(0, 1))?;
    ensure!(windows()?.is_empty(), "{}", windows()?);
    // A file of the directory that is still open does nothing any more.
    let (written, read) = (errno::result(open.write_at(b"1\n", 0)), errno::result(open.read_at(&mut [0; 2], 0)));
    ensure!((written, read) == (Err(Errno::ENOENT), Err(Errno::ENOENT)), "{written:?}, {read:?}");
    drop((open, vma));
    let after = kernel::traces()?;
    // The class stays, with the node of all memory.
    kernel::unchanged(&before, &after)?;
    host.changed(seed, &[], |_| 0)
}

fn modules_stay_while_they_are_used(_: &mut Host) -> Result<()> {
    let _config = Config::new()?;
    let refused = |what: &str| {
        for (module, errno) in [("map", Errno::EAGAIN), ("map_config", Errno::EAGAIN), ("configfs", Errno::EAGAIN)] {
            let result = kernel::unload(module)?;
            ensure!(result == Err(errno), "unloading {module} with {what}: {result:?}");
        }
        Ok(())
    };
    let driver = kernel::unload("map")?;
    ensure!(driver == Err(Errno::EAGAIN), "unloading the driver: {driver:?}");
    let window = Directory::of("window", START, PAGE)?;
    refused("a directory")?;
    window.enable()?;
    refused("a window")?;
    let open = File::open(window.0.join("size"))?;
    window.remove()?;
    refused("an open file")?;
    drop(open);
    umount(CONFIG)?;
    kernel::unload("map_config")?.context("with nothing")?;
    kernel::unload("map")?.context("the driver alone")?;
    // Without the driver there is nothing to use.
    let loaded = kernel::load(MAP_CONFIG, &[])?;
    ensure!(loaded == Err(Errno::ENOENT), "loading map_config alone: {loaded:?}");
    Ok(())
}

fn an_ordinary_user_changes_nothing(_: &mut Host) -> Result<()> {
    let _config = Config::new()?;
    let sdram = Directory::with("sdram", SDRAM)?;
    sdram.enable()?;
    succeeds_as_user(1000, || {
        let tried = || -> Result<()> {
            for file in ["start", "size", "access", "cache", "shared", "memory", "enable"] {
                let result = sdram.set(file, "0");
                ensure!(result == Err(Errno::EACCES), "writing {file}: {result:?}");
            }
            let made = Directory::make("other").map(drop);
            ensure!(made == Err(Errno::EACCES), "mkdir: {made:?}");
            let removed = errno::result(fs::remove_dir(&sdram.0));
            ensure!(removed == Err(Errno::EACCES), "rmdir: {removed:?}");
            // Physical addresses are for root, as in /proc/iomem.
            for file in ["start", "reason"] {
                let read = errno::result(fs::read(sdram.0.join(file)).map(drop));
                ensure!(read == Err(Errno::EACCES), "reading {file}: {read:?}");
            }
            ensure!(sdram.get("size")? == "0x300000", "the size");
            Ok(())
        };
        tried().inspect_err(|error| eprintln!("{error:#}")).is_err().into()
    })
}

/// Processes write, enable, disable, make and remove the same directories.
fn directories_in_many_hands_stay_whole(_: &mut Host) -> Result<()> {
    let rounds = if is_slow() { 50 } else { 1000 };
    let _config = Config::new()?;
    let before = kernel::traces()?;
    let paths = ["one", "two"].map(|name| Path::new(WINDOWS).join(name));
    let work = |way: usize| -> Result<i32> {
        let mut done = 0;
        for round in 0..rounds {
            let path = &paths[round % 2];
            let write = |file: &str, value: &str| errno::result(fs::write(path.join(file), value));
            let result = match (way + round) % 8 {
                0 => errno::result(fs::create_dir(path)),
                1 => write("start", "0xc0000000"),
                2 => write("size", "0x2000"),
                3 | 4 => write("enable", "1"),
                5 => write("enable", "0"),
                6 => write("cache", ["wc", "wb", "uc"][round % 3]),
                _ if round % 5 == 0 => errno::result(fs::remove_dir(path)),
                _ => errno::result(fs::read_to_string(path.join("reason")).map(drop)),
            };
            match result {
                Ok(()) => done += 1,
                // Not there, there already, not complete or of the other one, enabled, or being made or removed.
                Err(Errno::ENOENT | Errno::EEXIST | Errno::EINVAL | Errno::EBUSY) => (),
                Err(errno) => anyhow::bail!("way {way}, round {round}: {errno}"),
            }
            // Both have the same range, so at most one is a window, and its claim is whole.
            let listed = windows()?;
            ensure!(listed.lines().count() <= 1, "two windows: {listed}");
        }
        Ok(i32::from(done == 0))
    };
    let children = (0..4).map(|way| {
        Child::spawn(|| {
            work(way).unwrap_or_else(|error| {
                eprintln!("{error:#}");
                2
            })
        })
    });
    let children = children.collect::<Result<Vec<_>>>()?;
    for child in children {
        child::check(child.wait()?)?;
    }
    for path in &paths {
        if path.exists() {
            fs::remove_dir(path)?;
        }
    }
    ensure!(windows()?.is_empty(), "{}", windows()?);
    kernel::unchanged(&before, &kernel::traces()?)
}

/// Whoever reads a list asks before and after it whether anything has changed.
fn windows_that_come_and_go_are_counted(_: &mut Host) -> Result<()> {
    let _config = Config::new()?;
    let all = user::open()?;
    let info = |node: &File| -> Result<(u32, u64)> {
        let mut info = abi::MapInfo::default();
        ask(node, abi::IOC_INFO, &mut info)?;
        Ok((info.windows, info.changes))
    };
    ensure!(info(&all)? == (0, 0), "a driver without windows: {:?}", info(&all)?);
    let window = Directory::of("one", START, PAGE)?;
    let other = Directory::of("other", START, 2 * PAGE)?;
    for round in 0..3 {
        let minor = window.enable()?;
        ensure!(info(&all)? == (1, 2 * round + 1), "it was added: {:?}", info(&all)?);
        // Neither a refusal nor an open file is a change, and the node of a window has its own alone.
        other.refuses("enable", "1", Errno::EINVAL, "overlap")?;
        ensure!(info(&node(minor)?)? == (1, 0), "its own node: {:?}", info(&node(minor)?)?);
        ensure!(info(&all)? == (1, 2 * round + 1), "nothing was added: {:?}", info(&all)?);
        window.set("enable", "0")?;
        ensure!(info(&all)? == (0, 2 * round + 2), "it was removed: {:?}", info(&all)?);
    }
    Ok(())
}

/// A window has another index once one before it is gone.
fn a_window_is_found_while_others_come_and_go(_: &mut Host) -> Result<()> {
    let rounds = if is_slow() { 200 } else { 2000 };
    let _config = Config::new()?;
    let first = Directory::of("first", START, PAGE)?;
    let others = [("second", 1), ("third", 2), ("fourth", 3)].map(|(name, page)| {
        let directory = Directory::of(name, START + page * PAGE, PAGE)?;
        directory.set("enable", "1").with_context(|| format!("enable {name}"))?;
        Ok(directory)
    });
    let _others = others.into_iter().collect::<Result<Vec<_>>>()?;
    let child = Child::spawn(|| loop {
        if let Err(errno) = first.set("enable", "1").and_then(|()| first.set("enable", "0")) {
            eprintln!("first: {errno}");
            return 1;
        }
    })?;
    let range = PhysRange::new(START + 3 * PAGE, PAGE).context("no range")?;
    let device = Device::open_read_only("/dev/map")?;
    for round in 0..rounds {
        let found = Device::window_read_only("third");
        ensure!(found.is_ok(), "round {round}: {:?}", found.map(drop));
        let verdict = device.check(range.start(), range.length(), Protection::READ, Sharing::Shared)?;
        let Verdict::Granted { window: Some(window), .. } = verdict else { bail!("round {round}: {verdict:?}") };
        ensure!(window.name.as_str() == "fourth", "round {round}: the check names {window}");
    }
    child.kill()?;
    Ok(())
}

/// The kernel's memory that it cannot take back, in kB.
fn unreclaimable() -> Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("SUnreclaim:")).context("no SUnreclaim")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

fn a_thousand_windows_leave_nothing(host: &mut Host) -> Result<()> {
    let rounds = if is_slow() { 1 } else { 16 };
    let _config = Config::new()?;
    let before = kernel::traces()?;
    let all_of_them = || -> Result<()> {
        let mut made = Vec::new();
        for index in 0..64 {
            let window = Directory::of(&format!("window-{index}"), START + 2 * PAGE * index, PAGE)?;
            let vma = Vma::shared(&node(window.enable()?)?, 0, PAGE as usize)?;
            vma.store(0, vma.load(1));
            made.push((window, vma));
        }
        // Some are disabled first, some removed while they are enabled and mapped.
        for (index, (window, vma)) in made.into_iter().enumerate() {
            if index % 2 == 0 {
                window.set("enable", "0")?;
            }
            window.remove()?;
            drop(vma);
        }
        Ok(())
    };
    // The kernel's caches fill.
    all_of_them()?;
    thread::sleep(Duration::from_millis(200));
    let least = unreclaimable()?;
    (0..rounds).try_for_each(|_| all_of_them())?;
    thread::sleep(Duration::from_millis(200));
    let most = unreclaimable()?;
    host.note(format!("{} windows; the kernel's own memory: {least} kB before, {most} kB after", 64 * rounds))?;
    // A page for each directory and window would be 4 MB. A kernel that checks itself keeps what was freed.
    ensure!(is_slow() || most < least + 512, "{least} kB became {most} kB");
    kernel::unchanged(&before, &kernel::traces()?)
}

/// Fails unless a locked-down kernel refuses every window, with the reason in the file.
pub fn nothing_is_added_when_locked_down() -> Result<()> {
    let _config = Config::new()?;
    let before = kernel::traces()?;
    for (start, size, memory) in [("0xc0000000", "3M", "0"), ("0xc0000000", "4K", "1"), ("0xd0000000", "4K", "0")] {
        let values = [("start", start), ("size", size), ("memory", memory)];
        let window = Directory::with("window", &values)?;
        let result = window.set("enable", "1");
        ensure!(result == Err(Errno::EPERM), "{values:?}: {result:?}");
        let reason = window.get("reason")?;
        ensure!(reason.contains("the kernel is locked down"), "{values:?}: {reason}");
        kernel::logged(&reason)?;
        ensure!(window.get("minor")? == "0", "{values:?} has a node");
    }
    kernel::unchanged(&before, &kernel::traces()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_comes_once() {
        let mut all = orders(&[1, 2, 3, 4]);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 24);
    }
}
