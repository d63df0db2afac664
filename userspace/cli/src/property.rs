// SPDX-License-Identifier: MIT OR Apache-2.0

//! Properties that hold for any arguments, for the fuzzer and its corpus.

use std::ffi::OsString;
use std::fmt::Display;
use std::os::unix::ffi::OsStringExt;

use clap::Parser;

use crate::access::Change;
use crate::args::{Args, Command};
use crate::assignment::{assignments, first, item};
use crate::base::{self, Base};
use crate::location::{Area, Location};
use crate::place::{self, Extent, Place};
use crate::symbol::Symbol;
use crate::{compat, explain, irq, number, quick, script, search};

/// The arguments are lines. What is parsed quickly is what the whole definition makes of them.
pub fn arguments(bytes: &[u8]) {
    let words = bytes.split(|byte| *byte == b'\n').map(|word| OsString::from_vec(word.into()));
    let arguments: Vec<OsString> = ["devmap".into()].into_iter().chain(words).collect();
    let printable = arguments.iter().all(|word| is_printable(&word.to_string_lossy()));
    let parsed = quick::parse(&arguments);
    // It takes many times as long, and most of what the fuzzer tries is wrong.
    if parsed.is_none() && bytes.len() % 8 != 0 {
        return;
    }
    let whole = Args::try_parse_from(&arguments);
    if let Err(error) = &whole {
        assert!([0, 2].contains(&error.exit_code()) && !error.to_string().is_empty(), "{error}");
    }
    let Some(parsed) = parsed else { return };
    assert_eq!(Some(&parsed), whole.as_ref().ok());
    // What a command makes of them before it opens anything.
    let error = match parsed.command {
        Some(Command::Write(args)) => assignments(args.first, args.others).err(),
        Some(Command::Modify(args)) => Change::new(args.mask.zip(args.value), args.set, args.clear).err(),
        _ => None,
    };
    if let Some(error) = error {
        check(printable, error);
    }
}

/// An argument that is a place, a value or the like. What is shown of it is read back.
pub fn text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let wrong = |error: String| check(is_printable(text), error);
    if let Some(place) = place::place(text).map_err(wrong).ok().filter(|place| is_shown(place.base())) {
        let shown = match place {
            Place::Address(location) => location.to_string(),
            Place::Field(location, field) => format!("{location}{field}"),
            Place::Range(area) => area.to_string(),
            Place::Register(symbol) => symbol.to_string(),
        };
        if !matches!(place, Place::Register(Symbol { at: Some(at), .. }) if !is_shown(at.base)) {
            assert_eq!(place::place(&shown), Ok(place), "{shown}");
        }
    }
    if let Ok(Extent::Area(area @ Area { base, .. })) = place::range(text).map_err(wrong) {
        assert!(!is_shown(base) || place::place(&area.to_string()) == Ok(Place::Range(area)), "{area}");
    }
    if let Ok(location @ Location { base, .. }) = place::address(text).map_err(wrong) {
        assert!(!is_shown(base) || place::address(&location.to_string()) == Ok(location), "{location}");
    }
    let _ =
        (place::value(text).map_err(wrong), explain::asked(text).map_err(wrong), Symbol::parse(text).map_err(wrong));
    let _ = (first(text).map_err(wrong), item(text).map_err(wrong));
    numbers(text, &wrong);
    if let Ok(name) = base::window(text).map_err(wrong) {
        assert_eq!(name.as_str(), text);
    }
    if let Ok(bar) = base::pci(text).map_err(wrong) {
        assert_eq!(Base::split(&bar.to_string()), Ok((bar, "")));
    }
    if let Ok(irqs) = irq::line(text).map_err(wrong) {
        assert_eq!(irq::line(&irqs.to_string()), Ok(irqs));
    }
    if let Ok(bytes) = search::hexadecimal(text).map_err(wrong) {
        assert_eq!(2 * bytes.len(), text.chars().filter(char::is_ascii_hexdigit).count());
    }
}

/// Whether what counts from it is shown as it is written.
fn is_shown(base: Option<Base>) -> bool {
    !matches!(base, Some(Base::Absolute { .. }))
}

fn numbers(text: &str, wrong: &impl Fn(String)) {
    let number = number::number(text).map_err(wrong).ok();
    if let Some(number) = number {
        assert_eq!(number::number(&number::short(number)), Ok(number));
    }
    // Decimal numbers are those of Rust.
    if text.bytes().all(|byte| byte.is_ascii_digit()) && (!text.starts_with('0') || text == "0") {
        assert_eq!(number, text.parse().ok());
    }
    assert_eq!(number::count(text).map_err(wrong).ok(), number.filter(|number| *number != 0));
    let page_size = number::page_size(text).map_err(wrong).ok();
    assert_eq!(page_size.map(|size| size.bytes()), number.filter(|number| number.is_power_of_two()));
    if let Ok(time) = number::duration(text).map_err(wrong) {
        assert_eq!(number::duration(&format!("{}us", time.as_micros())), Ok(time));
    }
}

/// The lines of a script.
pub fn script(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for line in text.lines() {
        if let Err(error) = script::parse(line) {
            check(is_printable(line), error);
        }
    }
}

/// The arguments of another program, as lines, the first of which names it.
pub fn program(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut words = text.split('\n').map(String::from);
    let name = words.next().unwrap_or_default();
    let arguments: Vec<String> = words.collect();
    match compat::accesses(&name, &arguments) {
        Ok(accesses) => {
            assert!(!accesses.is_empty());
            for access in accesses {
                let room = access.range.length() / access.width.bytes() as u64;
                assert!(access.values.len() <= 1 || access.values.len() as u64 == room);
            }
        }
        Err(error) => {
            let error = error.to_string();
            // The usage may follow.
            let first = error.split_once("\nUsage: ").map_or(error.as_str(), |(first, _)| first);
            check(arguments.iter().all(|word| is_printable(word)), first);
        }
    }
}

/// Checks that a message is a line, if what it is about is `printable`.
#[track_caller]
fn check(printable: bool, error: impl Display) {
    let error = error.to_string();
    assert!(!error.is_empty() && (is_printable(&error) || !printable), "{error:?}");
}

fn is_printable(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Checks every file of a corpus, of which there are at least `least`.
    fn replay(name: &str, least: usize, check: fn(&[u8])) {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
        let files: Vec<_> = fs::read_dir(&directory).unwrap().collect();
        assert!(files.len() >= least, "{} holds {} files only", directory.display(), files.len());
        for file in files {
            check(&fs::read(file.unwrap().path()).unwrap());
        }
    }

    #[test]
    fn the_fuzzers_arguments_are_still_fine() {
        replay("arguments", 100, arguments);
    }

    #[test]
    fn the_fuzzers_texts_are_still_fine() {
        replay("text", 100, text);
    }

    #[test]
    fn the_fuzzers_scripts_are_still_fine() {
        replay("script", 100, script);
    }

    #[test]
    fn the_fuzzers_arguments_of_other_programs_are_still_fine() {
        replay("program", 100, program);
    }
}
