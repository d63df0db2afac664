// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Nothing in the crate can panic: compiled with the options of the kernel, its object file refers
//! to no panicking code.
//!
//! A panic in the driver is a BUG() of the kernel. With CONFIG_RUST_OVERFLOW_CHECKS even an
//! addition can panic.

use std::{
    env,
    fs,
    path::Path,
    process::Command, //
};

/// Calls every public function of the crate with arguments that are opaque to the compiler.
const CALLER: &str = r#"
#![no_std]
#![allow(missing_docs)]

#[path = "CORE/mod.rs"]
pub mod map_core;

use core::fmt::{Display, Write};
use map_core::{abi::*, dt::*, *};

pub type Windows = &'static mut [Window];

pub struct Asked(pub [bool; 7]);

impl KernelQuery for Asked {
    fn has_rawio(&self) -> bool { self.0[0] }
    fn is_locked_down(&self) -> bool { self.0[1] }
    fn is_system_ram(&self, _: &PhysRange) -> bool { self.0[2] }
    fn is_exclusive(&self, _: &PhysRange) -> bool { self.0[3] }
    fn is_in_pci_bar(&self, _: &PhysRange) -> bool { self.0[4] }
    fn is_reserved(&self, _: &PhysRange) -> bool { self.0[5] }
    fn gives(&self, _: &PhysRange, _: CacheMode) -> bool { self.0[6] }
}

pub fn ranges(a: u64, b: u64, other: &PhysRange) -> Option<(u64, u64, u64, bool, bool)> {
    let range = PhysRange::new(a, b)?;
    Some((range.start(), range.length(), range.last(), range.contains(other), range.overlaps(other)))
}

pub fn pages(bytes: u64, address: u64, range: PhysRange) -> Option<(u64, bool, u64, Pages)> {
    let page_size = PageSize::new(bytes)?;
    let (page, offset) = page_size.split(address);
    let sum = page.wrapping_add(offset).wrapping_add(page_size.round_down(address)).wrapping_add(page_size.mask());
    let (rounded, pages) = (page_size.round_up(address)?, page_size.enclose(range)?);
    Some((sum.wrapping_add(page_size.bytes()), page_size.is_aligned(address), rounded, pages))
}

pub fn show(out: &mut dyn Write, things: (&Window, &PhysRange, Refusal, &TableError, &ParseError<'_>)) {
    let all: [&dyn Display; 8] = [
        things.0, &things.0.name, &things.0.access, &things.0.cache, things.1, &things.2, things.3, things.4,
    ];
    for thing in all {
        let _ = write!(out, "{thing}");
    }
    let _ = write!(out, "{:?} {:?} {:?} {:?}", things.0, things.2, things.3, things.4);
}

pub fn decimal(out: &mut dyn Write, number: u64) {
    let _ = write!(out, "{:>10} {}", Decimal(number), Decimal(number));
}

pub fn name(text: &[u8]) -> Option<(&'static str, [u8; 32], bool)> {
    let name = Name::new(text)?;
    let _ = (name.as_str().len(), name.as_c_str().count_bytes());
    Some((CacheMode::from_code(text.len() as u32)?.as_str(), name.to_bytes(), name.is_empty()))
}

pub fn fill(text: &'static [u8], page_size: u64, room: &mut dyn FnMut(Window)) -> Result<(), ParseError<'static>> {
    for window in parse(text, page_size) {
        room(window?);
    }
    Ok(())
}

pub fn table(windows: Windows, limits: &Limits) -> Result<Mode<Windows>, TableError> {
    Ok(Mode::Windows(Table::new(windows, limits)?))
}

pub fn remove(table: &mut Table<Windows>, range: &PhysRange) {
    table.remove(|window| window.range.overlaps(range));
}

pub fn find(table: &Table<Windows>, range: &PhysRange) -> Lookup { table.find(range) }

pub fn node(node: &Node<'_>, page_size: u64, out: &mut dyn Write) -> Option<Window> {
    match node.window(page_size) {
        Ok(window) => Some(window),
        Err(error) => {
            let _ = write!(out, "{error} {error:?}");
            None
        }
    }
}

pub fn open(mode: &Mode<Windows>, kernel: &Asked) -> Result<(), Refusal> { may_open(mode, kernel) }

pub fn load(window: &Window, kernel: &Asked, out: &mut dyn Write) -> Result<(), Errno> {
    check_window(window, kernel).map_err(|error| {
        let _ = write!(out, "{error} {error:?}");
        error.errno()
    })
}

pub fn debug(numbers: [u64; 4], range: &PhysRange, window: &Window, limits: &Limits, kernel: &Asked) -> u64 {
    let [address, length, end, page_size] = numbers;
    u64::from(is_known_memory(range, Some(window), limits, kernel))
        .wrapping_add(accessible(address, length, end, page_size))
}

pub fn log(limit: &mut LogLimit, user: u32, now: u64) -> (Option<LeftOut>, bool) {
    (limit.take_left_out(Some(now)), limit.passes(user, now) && limit.is_used_up(user, now) && may_map(user, user))
}

pub fn map(
    request: &Request, mode: &Mode<Windows>, limits: &Limits, kernel: &Asked,
) -> Result<Grant, Refused> {
    decide(request, mode, limits, kernel)
}

pub fn transfer(
    window: &Window, write: bool, numbers: [u64; 2], limits: &Limits, kernel: &Asked,
) -> Result<Option<PhysRange>, Refusal> {
    may_transfer(window, write, limits, kernel)?;
    let [position, length] = numbers;
    Ok(transferred(window, position, length))
}

pub fn check(
    check: &mut MapCheck, base: u64, mode: &Mode<Windows>, limits: &Limits, kernel: &Asked,
) -> Option<()> {
    let caller = Caller { file_readable: true, file_writable: false, read_implies_execute: false };
    let request = Request::from_check(check, base, &caller)?;
    check.answer(&decide(&request, mode, limits, kernel));
    Refusal::from_code(check.verdict).map(|refusal| check.error = refusal.errno().number())
}

pub fn info(mode: &Mode<Windows>, changes: u64, limits: &Limits) -> MapInfo { MapInfo::new(mode, changes, limits) }

pub fn info_of_one(window: &Window, limits: &Limits) -> MapInfo {
    MapInfo::new(&Mode::Windows(Table::of(window)), 0, limits).on_its_node()
}

pub fn draft(draft: &mut Draft, property: Property, text: &[u8], name: Name, page_size: u64) -> Option<(Window, Line)> {
    let line = match draft.set(property, text, page_size) {
        Ok(()) => Line::of(draft.get(property)),
        Err(error) => Line::of(error),
    };
    let on = switch(line.as_bytes()).ok()?;
    match draft.window(name) {
        Ok(window) if on => Some((window, line)),
        Ok(_) => None,
        Err(error) => Some((draft.window(Name::NONE).ok()?, Line::of(Line::of(error).as_str()))),
    }
}

pub fn fill_line(line: &mut Line, write: fn(&mut [u8; Line::ROOM]) -> u32) -> (u32, usize) {
    (line.fill(write), line.as_str().len())
}

pub fn list(mode: &Mode<Windows>, index: u32) -> Option<Window> { MapWindow::new(mode, index)?.window() }
"#;

/// Returns whether the object file of `source` refers to panicking code.
fn can_panic(name: &str, source: &str, options: &[&str]) -> bool {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let root = directory.join(format!("{name}.rs"));
    let object = directory.join(format!("{name}.o"));
    // The compiler emits no code here for functions that it would inline into the crates that call
    // them.
    let source = source
        .replace("CORE", env!("CARGO_MANIFEST_DIR"))
        .replace("pub fn", "#[inline(never)]\npub fn");
    fs::write(&root, source).unwrap();

    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args([
            "--crate-name",
            name,
            "--crate-type",
            "rlib",
            "--edition",
            "2021",
        ])
        .args([
            "-Cpanic=abort",
            "-Ccodegen-units=1",
            "-Csymbol-mangling-version=v0",
        ])
        .args(["-Coverflow-checks=yes", "-Cdebug-assertions=no"])
        .args(options)
        .arg(format!("--emit=obj={}", object.display()))
        .arg(&root)
        .output()
        .expect("rustc runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );

    // All panicking functions of core have one of these words in their names, such as
    // core::panicking::panic_fmt, unwrap_failed and slice_index_fail. Without debug information,
    // nothing else does.
    let object = fs::read(&object).unwrap();
    ["panic", "_fail"].iter().any(|word| {
        object
            .windows(word.len())
            .any(|bytes| bytes == word.as_bytes())
    })
}

#[test]
#[cfg_attr(miri, ignore = "Miri starts no programs")]
fn no_function_can_panic() {
    assert!(!can_panic("for_speed", CALLER, &["-Copt-level=2"]));
    assert!(!can_panic("for_size", CALLER, &["-Copt-level=s"]));
}

#[test]
#[cfg_attr(miri, ignore = "Miri starts no programs")]
fn a_function_that_can_panic_would_be_found() {
    for (name, function) in [
        ("adds", "pub fn adds(a: u64, b: u64) -> u64 { a + b }"),
        (
            "indexes",
            "pub fn indexes(a: &[u64], b: usize) -> u64 { a[b] }",
        ),
        (
            "unwraps",
            "pub fn unwraps(a: Option<u64>) -> u64 { a.unwrap() }",
        ),
    ] {
        assert!(
            can_panic(name, &format!("{CALLER}\n{function}"), &["-Copt-level=2"]),
            "{name}"
        );
    }
}
