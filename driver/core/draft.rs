// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A window that is described value by value, as in the files of a directory.
//!
//! The values have the syntax of [`parse()`](super::parse()), and a value that was stored is
//! displayed as there.

use core::{
    fmt,
    str, //
};

use super::{
    parse::{
        self,
        quote,
        LONGEST_QUOTE, //
    },
    Access,
    CacheMode,
    Huge,
    Name,
    PageSize,
    ParseErrorKind,
    PhysRange,
    Window, //
};

/// A property of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Property {
    /// The physical address of the first byte: a number.
    Start,
    /// The size in bytes: a number, which may end in `K`, `M` or `G`.
    Size,
    /// `rw` or `ro`.
    Access,
    /// `uncached`, `writecombine` or `cached`, or a shorter form of these.
    Cache,
    /// `1` if other drivers may use the region, too; otherwise `0`.
    Shared,
    /// `1` if the administrator declares that all of it is memory; otherwise `0`.
    Memory,
    /// `auto` or `never`.
    Huge,
}

impl Property {
    /// All properties.
    pub const ALL: [Self; 7] = [
        Self::Start,
        Self::Size,
        Self::Access,
        Self::Cache,
        Self::Shared,
        Self::Memory,
        Self::Huge,
    ];

    /// Returns the name of its file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Size => "size",
            Self::Access => "access",
            Self::Cache => "cache",
            Self::Shared => "shared",
            Self::Memory => "memory",
            Self::Huge => "huge",
        }
    }
}

/// The properties of a window that were stored so far; the others have their default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    start: Option<u64>,
    size: Option<u64>,
    access: Access,
    cache: CacheMode,
    shared: bool,
    memory: bool,
    huge: Huge,
}

impl Draft {
    /// Stores the value of `property` from `text`, whose last byte may be a newline. `page_size` is
    /// in bytes and a power of two.
    ///
    /// # Errors
    ///
    /// [`ValueError`] if it is wrong by itself. In that case nothing changes.
    pub fn set<'a>(
        &mut self,
        property: Property,
        text: &'a [u8],
        page_size: u64,
    ) -> Result<(), ValueError<'a>> {
        let text = value_of(text);
        let error = |kind| ValueError {
            text,
            kind,
            page_size,
        };
        if text.len() > LONGEST_QUOTE {
            return Err(error(ValueErrorKind::TooLong));
        }
        let pages = PageSize::of_kernel(page_size);
        let number = |kind| error(ValueErrorKind::Number(kind));
        match property {
            Property::Start => self.start = Some(parse::start(text, pages).map_err(number)?),
            Property::Size => self.size = Some(parse::size(text, pages).map_err(number)?),
            Property::Access => {
                self.access = parse::access(text).ok_or(error(ValueErrorKind::Access))?;
            }
            Property::Cache => {
                self.cache = parse::cache(text).ok_or(error(ValueErrorKind::Cache))?;
            }
            Property::Shared => self.shared = flag(text).ok_or(error(ValueErrorKind::Flag))?,
            Property::Memory => self.memory = flag(text).ok_or(error(ValueErrorKind::Flag))?,
            Property::Huge => {
                self.huge = Huge::from_word(text).ok_or(error(ValueErrorKind::Huge))?;
            }
        }
        Ok(())
    }

    /// Returns the value of `property`, to be displayed; nothing if it has none.
    pub fn get(&self, property: Property) -> Value {
        match property {
            Property::Start => self.start.map_or(Value::Absent, Value::Number),
            Property::Size => self.size.map_or(Value::Absent, Value::Number),
            Property::Access => Value::Word(self.access.as_str()),
            Property::Cache => Value::Word(self.cache.as_str()),
            Property::Shared => Value::flag(self.shared),
            Property::Memory => Value::flag(self.memory),
            Property::Huge => Value::Word(self.huge.as_str()),
        }
    }

    /// Returns the window called `name` with these properties.
    ///
    /// # Errors
    ///
    /// [`DraftError`] if they are not yet those of a window.
    pub fn window(&self, name: Name) -> Result<Window, DraftError> {
        let start = self.start.ok_or(DraftError::StartMissing)?;
        let size = self.size.ok_or(DraftError::SizeMissing)?;
        let range = PhysRange::new(start, size).ok_or(DraftError::RangeTooLong)?;
        Ok(Window {
            name,
            access: self.access,
            cache: self.cache,
            claim: !self.shared,
            memory: self.memory,
            huge: self.huge,
            ..Window::new(range)
        })
    }
}

/// Parses `0` or `1`, with or without a newline.
///
/// # Errors
///
/// [`ValueError`] if it is anything else.
pub fn switch(text: &[u8]) -> Result<bool, ValueError<'_>> {
    let text = value_of(text);
    flag(text).ok_or(ValueError {
        text,
        kind: ValueErrorKind::Flag,
        page_size: 0,
    })
}

/// Returns `text` without its newline.
fn value_of(text: &[u8]) -> &[u8] {
    text.strip_suffix(b"\n").unwrap_or(text)
}

fn flag(text: &[u8]) -> Option<bool> {
    match text {
        b"0" => Some(false),
        b"1" => Some(true),
        _ => None,
    }
}

/// The value of a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// It was not stored yet, and has no default.
    Absent,
    /// A number.
    Number(u64),
    /// A word.
    Word(&'static str),
}

impl Value {
    const fn flag(value: bool) -> Self {
        Self::Word(if value { "1" } else { "0" })
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => Ok(()),
            Self::Number(number) => write!(f, "{number:#x}"),
            Self::Word(word) => f.write_str(word),
        }
    }
}

/// An error in a single value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueError<'a> {
    /// The value.
    pub text: &'a [u8],
    /// The kind of the error.
    pub kind: ValueErrorKind,
    /// The required alignment of the start and the size of a window, in bytes.
    pub page_size: u64,
}

/// The kind of a [`ValueError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueErrorKind {
    /// It is too long for any value.
    TooLong,
    /// It is not a number, or not one that is possible here.
    Number(ParseErrorKind),
    /// There is no such access.
    Access,
    /// There is no such cache type.
    Cache,
    /// It is neither 0 nor 1.
    Flag,
    /// It is neither auto nor never.
    Huge,
}

impl fmt::Display for ValueError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        quote(self.text, f)?;
        f.write_str(": ")?;
        f.write_str(match self.kind {
            ValueErrorKind::TooLong => "this is longer than any value",
            ValueErrorKind::Number(kind) => return kind.explain(self.page_size, f),
            ValueErrorKind::Access => "there is no such access; write rw or ro",
            ValueErrorKind::Cache => {
                "there is no such cache type; write uncached, writecombine or cached"
            }
            ValueErrorKind::Flag => "write 0 or 1",
            ValueErrorKind::Huge => "write auto or never",
        })
    }
}

/// The reason for which a [`Draft`] is no window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DraftError {
    /// There is no start yet.
    StartMissing,
    /// There is no size yet.
    SizeMissing,
    /// The range extends beyond the last 64-bit address.
    RangeTooLong,
}

impl fmt::Display for DraftError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StartMissing => f.write_str("there is no start yet"),
            Self::SizeMissing => f.write_str("there is no size yet"),
            Self::RangeTooLong => ParseErrorKind::RangeTooLong.explain(0, f),
        }
    }
}

/// A line of text in a fixed room. What does not fit is left out.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    bytes: [u8; Self::ROOM],
    used: usize,
}

impl Line {
    /// The length of the longest line, in bytes.
    pub const ROOM: usize = 512;

    /// The empty line.
    pub const EMPTY: Self = Self {
        bytes: [0; Self::ROOM],
        used: 0,
    };

    /// Returns the line with this text.
    pub fn of(text: impl fmt::Display) -> Self {
        let mut line = Self::EMPTY;
        // An error means that it is full.
        let _ = fmt::Write::write_fmt(&mut line, format_args!("{text}"));
        line
    }

    /// Replaces the text by what `write` writes to the room, which is all NUL, up to the first NUL.
    pub fn fill<T>(&mut self, write: impl FnOnce(&mut [u8; Self::ROOM]) -> T) -> T {
        self.bytes = [0; Self::ROOM];
        let result = write(&mut self.bytes);
        let end = self.bytes.iter().position(|byte| *byte == 0);
        self.used = end.unwrap_or(Self::ROOM);
        result
    }

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or_default()
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let free = self.bytes.get_mut(self.used..).unwrap_or_default();
        let mut length = text.len();
        if length > free.len() {
            length = free.len();
            while !text.is_char_boundary(length) {
                length = length.wrapping_sub(1);
            }
        }
        let part = text.as_bytes().get(..length).unwrap_or_default();
        for (to, from) in free.iter_mut().zip(part) {
            *to = *from;
        }
        self.used = self.used.wrapping_add(length);
        if length == text.len() {
            Ok(())
        } else {
            Err(fmt::Error)
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::{
        format,
        string::ToString,
        vec::Vec, //
    };

    use super::*;

    const PAGE: u64 = 0x1000;

    /// Returns the draft with these values, stored in this order.
    fn draft(values: &[(Property, &str)]) -> Draft {
        let mut draft = Draft::default();
        for (property, text) in values {
            draft.set(*property, text.as_bytes(), PAGE).unwrap();
        }
        draft
    }

    const SDRAM: [(Property, &str); 7] = [
        (Property::Start, "0xc0000000\n"),
        (Property::Size, "3M\n"),
        (Property::Access, "ro"),
        (Property::Cache, "writecombine"),
        (Property::Shared, "1\n"),
        (Property::Memory, "1"),
        (Property::Huge, "never\n"),
    ];

    #[test]
    fn a_draft_is_the_window_that_the_list_would_have() {
        let name = Name::new(b"sdram").unwrap();
        let window = draft(&SDRAM).window(name).unwrap();
        let text = "sdram@0xc0000000+3M:ro:wc:shared:memory:huge=never";
        let parsed = parse::parse(text.as_bytes(), PAGE).next().unwrap().unwrap();
        assert_eq!(window, parsed);
        // The order does not matter.
        let mut reversed = SDRAM;
        reversed.reverse();
        assert_eq!(draft(&reversed), draft(&SDRAM));
        // Without options it has the defaults of the list.
        let window = draft(&SDRAM[..2]).window(name).unwrap();
        let parsed = parse::parse(b"sdram@0xc0000000+3M", PAGE).next().unwrap();
        assert_eq!(parsed, Ok(window));
    }

    #[test]
    fn a_value_can_be_read_and_written_back() {
        let shown = |draft: &Draft| Property::ALL.map(|property| draft.get(property).to_string());
        let sdram = draft(&SDRAM);
        assert_eq!(
            shown(&sdram),
            ["0xc0000000", "0x300000", "ro", "wc", "1", "1", "never"]
        );
        assert_eq!(
            shown(&Draft::default()),
            ["", "", "rw", "uncached", "0", "0", "auto"]
        );
        let mut again = Draft::default();
        for (property, text) in Property::ALL.into_iter().zip(shown(&sdram)) {
            again.set(property, text.as_bytes(), PAGE).unwrap();
        }
        assert_eq!(again, sdram);
    }

    #[test]
    fn a_wrong_value_changes_nothing_and_is_explained() {
        let long = "0x".to_string() + &"0".repeat(62) + "1";
        let wrong = [
            (Property::Start, "", "\"\": a number is missing"),
            (Property::Start, "\n", "\"\": a number is missing"),
            (
                Property::Start,
                "0x1000\n\n",
                "\"0x1000\\n\": this is not a number",
            ),
            (
                Property::Start,
                " 0x1000",
                "\" 0x1000\": this is not a number",
            ),
            (Property::Start, "4K", "\"4K\": this is not a number"),
            (Property::Start, "0x1000+4K", "this is not a number"),
            (Property::Start, "-4096", "this is not a number"),
            (Property::Start, "010000", "begins with a zero"),
            (
                Property::Start,
                "0x800",
                "the start is not a multiple of the page size, 0x1000",
            ),
            (
                Property::Start,
                "0x10000000000000000",
                "does not fit into 64 bits",
            ),
            (Property::Start, &long, "this is longer than any value"),
            (Property::Size, "0", "the size is 0"),
            (Property::Size, "0K", "the size is 0"),
            (Property::Size, "M", "\"M\": a number is missing"),
            (
                Property::Size,
                "4095",
                "the size is not a multiple of the page size, 0x1000",
            ),
            (Property::Size, "17179869184G", "does not fit into 64 bits"),
            (
                Property::Access,
                "",
                "\"\": there is no such access; write rw or ro",
            ),
            (Property::Access, "RO", "there is no such access"),
            (Property::Access, "wo", "there is no such access"),
            (
                Property::Cache,
                "write-combine",
                "there is no such cache type",
            ),
            (Property::Cache, "ro", "there is no such cache type"),
            (Property::Shared, "2", "\"2\": write 0 or 1"),
            (Property::Shared, "shared", "write 0 or 1"),
            (Property::Memory, "y", "write 0 or 1"),
            (Property::Memory, "01", "write 0 or 1"),
            (Property::Memory, "1\0", "\"1\\x00\": write 0 or 1"),
            (Property::Huge, "1", "\"1\": write auto or never"),
            (Property::Huge, "huge=never", "write auto or never"),
        ];
        for (property, text, words) in wrong {
            let mut changed = draft(&SDRAM);
            let error = changed.set(property, text.as_bytes(), PAGE).unwrap_err();
            assert!(error.to_string().contains(words), "{text:?}: {error}");
            assert_eq!(changed, draft(&SDRAM), "{text:?}");
        }
        let mut changed = Draft::default();
        let garbage = [b'x'; 4095];
        let error = changed.set(Property::Start, &garbage, PAGE).unwrap_err();
        assert!(error.to_string().len() < Line::ROOM, "{error}");
    }

    #[test]
    fn a_draft_without_start_or_size_is_no_window() {
        let window = |values: &[(Property, &str)]| draft(values).window(Name::NONE);
        assert_eq!(window(&[]), Err(DraftError::StartMissing));
        assert_eq!(window(&SDRAM[1..]), Err(DraftError::StartMissing));
        assert_eq!(window(&SDRAM[..1]), Err(DraftError::SizeMissing));
        let end = [
            (Property::Start, "0xfffffffffffff000"),
            (Property::Size, "8K"),
        ];
        assert_eq!(window(&end), Err(DraftError::RangeTooLong));
        for error in [
            DraftError::StartMissing,
            DraftError::SizeMissing,
            DraftError::RangeTooLong,
        ] {
            assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn a_switch_is_0_or_1() {
        assert_eq!(switch(b"0"), Ok(false));
        assert_eq!(switch(b"1\n"), Ok(true));
        for wrong in [&b""[..], b"\n", b"2", b"11", b"on", b" 1", b"1 "] {
            let error = switch(wrong).unwrap_err();
            assert!(error.to_string().ends_with(": write 0 or 1"), "{error}");
        }
    }

    #[test]
    fn a_line_keeps_what_fits() {
        assert_eq!(Line::of("").as_bytes(), b"");
        assert_eq!(Line::of(format_args!("{}{}", "a", 1)).as_str(), "a1");
        let long = Line::of("abc".repeat(200));
        assert_eq!(long.as_bytes().len(), Line::ROOM);
        let mut line = long;
        let written = line.fill(|room| {
            for (to, from) in room.iter_mut().zip(b"no\0x") {
                *to = *from;
            }
            7
        });
        assert_eq!((line.as_str(), written), ("no", 7));
        line.fill(|room| room.fill(b'z'));
        assert_eq!(line.as_bytes(), [b'z'; Line::ROOM]);
        // A character is kept as a whole.
        let umlauts = Line::of(format!("a{}", "\u{e4}".repeat(300)));
        assert_eq!(umlauts.as_bytes().len(), Line::ROOM - 1);
        assert_eq!(umlauts.as_str().chars().count(), Line::ROOM / 2);
    }

    #[test]
    fn every_property_has_a_name_of_its_own() {
        let mut names: Vec<_> = Property::ALL.map(Property::as_str).into();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Property::ALL.len());
    }
}
