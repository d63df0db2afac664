// SPDX-License-Identifier: MIT OR Apache-2.0

//! What can be wrong with a description, or with a name that is looked up in it.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

use crate::error::errno_text;
use crate::Width;

/// Why a file does not describe registers. Its text is one line: where, what is wrong, and the remedy.
///
/// ```
/// use devmap::registers::Description;
///
/// let error = Description::parse("board.svd", "<device>\n  <name>board</nome>").unwrap_err();
/// assert!(error.to_string().starts_with("board.svd:2:14: it is no XML: "), "{error}");
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DescriptionError {
    /// The file could not be read.
    #[error("cannot read {}: {}; give the path of a CMSIS-SVD file", shown(&path.to_string_lossy()), errno_text(cause))]
    #[non_exhaustive]
    Read {
        /// Its path.
        path: PathBuf,
        /// The error of open(2) or read(2).
        #[source]
        cause: io::Error,
    },
    /// Something in the file is wrong.
    #[error("{}:{line}:{column}: {}; {remedy}", shown(file), shown(what))]
    #[non_exhaustive]
    Content {
        /// The name of the file.
        file: String,
        /// The line, from 1.
        line: u32,
        /// The column, from 1, in characters.
        column: u32,
        /// What is wrong.
        what: String,
        /// What to do about it.
        remedy: Cow<'static, str>,
    },
}

/// The text in one line, which a terminal takes for text alone.
fn shown(text: &str) -> String {
    let is_odd = |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_odd(c) {
            shown.extend(c.escape_debug());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// What is wrong at a byte of the file.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) what: String,
    pub(super) remedy: Cow<'static, str>,
}

impl Fault {
    pub(super) fn new(at: usize, what: impl Into<String>, remedy: impl Into<Cow<'static, str>>) -> Self {
        Self { at, what: what.into(), remedy: remedy.into() }
    }

    /// The same as [`error`](Self::error), for one that is the only one of the file.
    pub(super) fn only_error(self, file: &str, text: &[u8]) -> DescriptionError {
        let before = &text[..self.at.min(text.len())];
        self.error(file, before, &Lines::new(before))
    }

    /// The error for this byte of the text of the file.
    pub(super) fn error(self, file: &str, text: &[u8], lines: &Lines) -> DescriptionError {
        let (line, column) = lines.position(text, self.at);
        DescriptionError::Content { file: file.into(), line, column, what: self.what, remedy: self.remedy }
    }
}

/// Where lines and columns are in a text, so that not each error counts them from the start.
#[derive(Debug)]
pub(super) struct Lines(Vec<Counted>);

/// How far apart the places are at which the position is known.
const APART: usize = 4096;

/// How many lines are before a byte, and how many characters in its line.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    lines: u32,
    characters: u32,
}

impl Counted {
    fn after(self, bytes: &[u8]) -> Self {
        let line_start = bytes.iter().rposition(|&byte| byte == b'\n').map(|newline| newline + 1);
        let lines = bytes.iter().filter(|&&byte| byte == b'\n').count();
        // All bytes of a character but the first begin with 10.
        let characters = bytes[line_start.unwrap_or(0)..].iter().filter(|&&byte| byte & 0xc0 != 0x80).count();
        let [lines, characters] = [lines, characters].map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        let before = if line_start.is_some() { 0 } else { self.characters };
        Self { lines: self.lines.saturating_add(lines), characters: before.saturating_add(characters) }
    }
}

impl Lines {
    pub(super) fn new(text: &[u8]) -> Self {
        let mut counted = Counted::default();
        let places = text.chunks(APART).map(|chunk| {
            let before = counted;
            counted = before.after(chunk);
            before
        });
        Self(places.collect())
    }

    /// The line and the column of a byte, from 1.
    fn position(&self, text: &[u8], at: usize) -> (u32, u32) {
        let at = at.min(text.len());
        let place = (at / APART).min(self.0.len().saturating_sub(1));
        let counted = self.0.get(place).copied().unwrap_or_default().after(&text[place * APART..at]);
        (counted.lines.saturating_add(1), counted.characters.saturating_add(1))
    }
}

/// Why a path or a pattern names nothing. Its text is one line, with the names that come nearest.
///
/// ```
/// # let text = include_str!("../../examples/svd/pl011.svd");
/// use devmap::registers::Description;
///
/// let board = Description::parse("pl011.svd", text)?;
/// let error = board.find("UART0.LCHR").unwrap_err();
/// assert_eq!(error.to_string(), "UART0 has no LCHR; did you mean LCRH?");
/// # Ok::<(), devmap::registers::DescriptionError>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// There is no such name.
    #[error("{} has no {}; {}", shown(within), shown(name), hint(near))]
    #[non_exhaustive]
    Unknown {
        /// What it was looked for in.
        within: String,
        /// The name.
        name: String,
        /// The names there that come nearest, the nearest first.
        near: Vec<String>,
    },
    /// Nothing has the pattern.
    #[error(
        "nothing in {} has the pattern {}; look at its names with a pattern such as *",
        shown(within),
        shown(pattern)
    )]
    #[non_exhaustive]
    Nothing {
        /// The file.
        within: String,
        /// The pattern.
        pattern: String,
    },
    /// The name is that of several.
    #[error("{} could be {}", shown(name), choice(candidates))]
    #[non_exhaustive]
    Ambiguous {
        /// The name.
        name: String,
        /// What it could be.
        candidates: Vec<String>,
    },
    /// It is an array or a cluster, of which something is to be named.
    #[error("{} is {what}; name what is in it, such as {}", shown(path), shown(example))]
    #[non_exhaustive]
    Several {
        /// Its path.
        path: String,
        /// What it is.
        what: String,
        /// A longer path.
        example: String,
    },
    /// The path does not end where it should.
    #[error(
        "{} is no path: {what}; write PERIPHERAL.REGISTER.FIELD, with the names of clusters before the register's",
        shown(path)
    )]
    #[non_exhaustive]
    Syntax {
        /// The path.
        path: String,
        /// Why not.
        what: &'static str,
    },
    /// The pattern is too wide.
    #[error("{} stands for too much: more than {limit} {what}; give more of the names", shown(pattern))]
    #[non_exhaustive]
    TooMany {
        /// The pattern.
        pattern: String,
        /// How many there may be.
        limit: usize,
        /// Of what.
        what: &'static str,
    },
    /// What the file says there is wrong.
    #[error(transparent)]
    Description(#[from] DescriptionError),
}

/// What something could be, and the remedy.
fn choice(candidates: &[String]) -> String {
    match candidates {
        [first, rest @ ..] if rest.iter().all(|other| other == first) => {
            format!("any of {} with the same name; give its address", candidates.len())
        }
        several => format!("{}; give one of these", shown(&several.join(" or "))),
    }
}

/// The remedy for an unknown name.
fn hint(near: &[String]) -> String {
    match near {
        [] => "look at its names with a pattern such as *".into(),
        near => format!("did you mean {}?", shown(&near.join(" or "))),
    }
}

/// Why a field cannot have a value.
///
/// ```
/// # let text = include_str!("../../examples/svd/pl011.svd");
/// use devmap::registers::{Description, Item};
///
/// let board = Description::parse("pl011.svd", text)?;
/// let Item::Field(length) = board.find("UART0.LCRH.WLEN")? else { unreachable!() };
/// let error = length.encode("Bits9").unwrap_err().to_string();
/// assert!(error.starts_with("UART0.LCRH.WLEN has no value Bits9; give one of Bits5, "), "{error}");
/// let error = length.encode(4).unwrap_err();
/// assert_eq!(error.to_string(), "UART0.LCRH.WLEN cannot hold 0x4; give a number up to 0x3");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The number has more bits than the field.
    #[error("{} cannot hold {number:#x}; give a number up to {max:#x}", shown(field))]
    #[non_exhaustive]
    TooLarge {
        /// The path of the field.
        field: String,
        /// The number.
        number: u64,
        /// The greatest that fits.
        max: u64,
    },
    /// No value has this name.
    #[error("{} has no value {}; {}", shown(field), shown(name), listed(names, *max))]
    #[non_exhaustive]
    Unknown {
        /// The path of the field.
        field: String,
        /// The name.
        name: String,
        /// The names there are.
        names: Vec<String>,
        /// The greatest number that fits.
        max: u64,
    },
    /// The name stands for all numbers without a name.
    #[error(
        "{} has no number for {}, which stands for all others; give a number up to {max:#x}",
        shown(field),
        shown(name)
    )]
    #[non_exhaustive]
    NoNumber {
        /// The path of the field.
        field: String,
        /// The name.
        name: String,
        /// The greatest number that fits.
        max: u64,
    },
}

/// The remedy for an unknown name of a value.
fn listed(names: &[String], max: u64) -> String {
    match names {
        [] => format!("it has no names: give a number up to {max:#x}"),
        names => format!("give one of {}, or a number up to {max:#x}", shown(&names.join(", "))),
    }
}

/// Why a register of a description cannot be had from a mapping.
///
/// ```no_run
/// # let (mapping, register): (devmap::Mapping, devmap::registers::Register<'_>) = panic!();
/// use devmap::register::ReadOnly;
///
/// match register.accessor::<u32, ReadOnly>(&mapping) {
///     Ok(status) => println!("{:#x}", status.read()),
///     Err(error) => eprintln!("{error}"),
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessorError {
    /// It has another width.
    #[error("{} has {width}, not {asked}; give the type of this width", shown(register))]
    #[non_exhaustive]
    Width {
        /// The path of the register.
        register: String,
        /// Its width.
        width: Width,
        /// The width that was asked for.
        asked: Width,
    },
    /// It cannot be accessed so.
    #[error("{} is {access}, so it cannot be {asked}; choose ReadOnly or WriteOnly as it is", shown(register))]
    #[non_exhaustive]
    Access {
        /// The path of the register.
        register: String,
        /// How it can be accessed, in the words of the schema.
        access: &'static str,
        /// What was asked for.
        asked: &'static str,
    },
    /// The mapping does not have it.
    #[error(transparent)]
    Mapping(#[from] crate::Error),
}
