// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The syntax of the module parameter `windows`.
//!
//! ```text
//! windows = window {"," window}
//! window  = [name "@"] start ("+" size | "-" end) {":" option}
//! option  = "ro" | "rw" | "uncached" | "uc" | "writecombine" | "wc" | "cached" | "wb" | "shared" | "memory"
//!         | "huge=auto" | "huge=never"
//! ```
//!
//! `start`, `size` and `end` are decimal, or hexadecimal after `0x`; `size` may be followed by `K`,
//! `M` or `G`, and `end` is the address of the last byte. Blanks are not allowed. A window has at
//! most one option of each kind (access, cache type, `shared`, `memory`, `huge`).

use core::{
    fmt,
    iter, //
};

use super::{
    Access,
    CacheMode,
    Huge,
    Name,
    PageSize,
    PhysRange,
    Window, //
};

/// An error in a list of windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseError<'a> {
    /// The byte offset of the offending part in the text.
    pub position: usize,
    /// The offending part; empty if something is missing at `position`.
    pub part: &'a [u8],
    /// The kind of the error.
    pub kind: ParseErrorKind,
    /// The required alignment of the start and the size of a window, in bytes.
    pub page_size: u64,
}

/// The kind of a [`ParseError`].
///
/// The first error of a window is reported. The order of the checks is: characters, name, start,
/// size or end, the whole range, options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ParseErrorKind {
    /// A window is missing: the text is empty, or there is a superfluous comma.
    WindowMissing,
    /// The byte is not valid in a window, for example a blank.
    Character,
    /// The name before the `@` is missing.
    NameMissing,
    /// The byte is not valid in a name.
    NameCharacter,
    /// The name is longer than [`Name::MAX_LENGTH`].
    NameTooLong,
    /// Neither `+` nor `-` follows the start.
    SizeMissing,
    /// A number is missing.
    NumberMissing,
    /// The text is not a number.
    Number,
    /// A decimal number begins with a zero. It is ambiguous, because C would read it as octal.
    LeadingZero,
    /// The number is 2^64 or more.
    NumberTooLarge,
    /// The start is not a multiple of the page size.
    StartUnaligned,
    /// The size is 0.
    SizeZero,
    /// The size is not a multiple of the page size.
    SizeUnaligned,
    /// The end is before the start.
    EndBeforeStart,
    /// The end is not the last byte of a page.
    EndUnaligned,
    /// The range extends beyond the last 64-bit address, or covers all of them.
    RangeTooLong,
    /// An option is missing.
    OptionMissing,
    /// There is no such option.
    OptionUnknown,
    /// An option of this kind, the same or another, was given before.
    OptionTwice,
}

/// The length of the longest part that is displayed in full, in bytes. The kernel log limits lines.
pub(super) const LONGEST_QUOTE: usize = 64;

impl fmt::Display for ParseError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at position {}", self.position)?;
        if !self.part.is_empty() {
            f.write_str(", ")?;
            quote(self.part, f)?;
        }
        f.write_str(": ")?;
        self.kind.explain(self.page_size, f)
    }
}

/// Writes `part` in quotation marks, and only the beginning of a long one.
pub(super) fn quote(part: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match part.split_at_checked(LONGEST_QUOTE) {
        Some((head, [_, ..])) => write!(f, "\"{}\"...", head.escape_ascii()),
        _ => write!(f, "\"{}\"", part.escape_ascii()),
    }
}

impl ParseErrorKind {
    /// Writes what is wrong. `page_size` is in bytes.
    pub(super) fn explain(self, page_size: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ParseErrorKind::WindowMissing => {
                "a window is missing; it is written [NAME@]START+SIZE[:OPTION]..."
            }
            ParseErrorKind::Character => {
                "this character is not allowed in a list of windows; neither are blanks"
            }
            ParseErrorKind::NameMissing => "the name is missing; leave out the \"@\" as well",
            ParseErrorKind::NameCharacter => "a name has only the characters a-z, 0-9, _ and -",
            ParseErrorKind::NameTooLong => "a name has at most 31 characters",
            ParseErrorKind::SizeMissing => "the size is missing; write START+SIZE or START-END",
            ParseErrorKind::NumberMissing => "a number is missing",
            ParseErrorKind::Number => {
                "this is not a number; write decimal digits, or hexadecimal ones after 0x; \
                 only a size may end in K, M or G"
            }
            ParseErrorKind::LeadingZero => {
                "a decimal number begins with a zero; leave it out, or write hexadecimal after 0x"
            }
            ParseErrorKind::NumberTooLarge => "the number does not fit into 64 bits",
            ParseErrorKind::StartUnaligned => {
                return write!(f, "the start is not a multiple of the page size, {page_size:#x}");
            }
            ParseErrorKind::SizeZero => {
                return write!(f, "the size is 0; the smallest is a page, {page_size:#x}");
            }
            ParseErrorKind::SizeUnaligned => {
                return write!(f, "the size is not a multiple of the page size, {page_size:#x}");
            }
            ParseErrorKind::EndBeforeStart => "the end is before the start",
            ParseErrorKind::EndUnaligned => {
                return write!(
                    f,
                    "the end is not the last byte of a page of {page_size:#x} bytes; \
                     the end is inclusive"
                );
            }
            ParseErrorKind::RangeTooLong => {
                "the window extends beyond the last 64-bit address, or covers all of them; make it smaller"
            }
            ParseErrorKind::OptionMissing => "an option is missing after the \":\"",
            ParseErrorKind::OptionUnknown => {
                "there is no such option; the options are ro, rw, uncached, writecombine, cached, shared, memory, huge=auto and huge=never"
            }
            ParseErrorKind::OptionTwice => {
                "an option of this kind was given before; remove one of them"
            }
        })
    }
}

/// Parses the windows in `text` one by one. [`Table`](super::Table) checks whether they fit
/// together. None of them is `reserved`, which only the driver knows.
///
/// `page_size` is in bytes and a power of two.
///
/// # Errors
///
/// [`ParseError`] for each invalid element and for an empty text. Parsing continues after it.
pub fn parse<'a>(
    text: &'a [u8],
    page_size: u64,
) -> impl Iterator<Item = Result<Window, ParseError<'a>>> + 'a {
    let mut rest = Some(Part {
        position: 0,
        bytes: text,
    });
    iter::from_fn(move || {
        let list = rest.take()?;
        let element = match list.cut(|byte| byte == b',') {
            Some((element, _, others)) => {
                rest = Some(others);
                element
            }
            None => list,
        };
        Some(
            window(element, page_size).map_err(|Fault(part, kind)| ParseError {
                position: part.position,
                part: part.bytes,
                kind,
                page_size,
            }),
        )
    })
}

/// A part of the text with its position.
#[derive(Clone, Copy)]
struct Part<'a> {
    position: usize,
    bytes: &'a [u8],
}

impl<'a> Part<'a> {
    /// Splits at the first byte that `is_stop` accepts: returns the part before it, the byte, and
    /// the part after it.
    fn cut(self, is_stop: impl Fn(u8) -> bool) -> Option<(Self, Self, Self)> {
        let before = self.bytes.split(|&byte| is_stop(byte)).next()?;
        let (before, rest) = self.bytes.split_at_checked(before.len())?;
        let (stop, after) = rest.split_at_checked(1)?;
        // A position is at most the length of the text, so this does not wrap.
        let middle = self.position.wrapping_add(before.len());
        let part = |position, bytes| Self { position, bytes };
        Some((
            part(self.position, before),
            part(middle, stop),
            part(middle.wrapping_add(1), after),
        ))
    }
}

/// A part of the text and the error in it.
struct Fault<'a>(Part<'a>, ParseErrorKind);

/// Parses one element of the list.
fn window(element: Part<'_>, page_size: u64) -> Result<Window, Fault<'_>> {
    if element.bytes.is_empty() {
        return Err(Fault(element, ParseErrorKind::WindowMissing));
    }
    if let Some((_, stranger, _)) = element.cut(|byte| !belongs(byte)) {
        return Err(Fault(stranger, ParseErrorKind::Character));
    }
    let (place, options) = match element.cut(|byte| byte == b':') {
        Some((place, _, options)) => (place, Some(options)),
        None => (element, None),
    };
    let (name, place) = match place.cut(|byte| byte == b'@') {
        Some((text, _, place)) => (name(text)?, place),
        None => (Name::NONE, place),
    };
    let mut window = Window {
        name,
        ..Window::new(range(place, page_size)?)
    };
    if let Some(options) = options {
        set_options(&mut window, options)?;
    }
    Ok(window)
}

/// Returns whether `byte` is valid anywhere in a window.
const fn belongs(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'@' | b'+' | b':' | b'=')
}

fn name(text: Part<'_>) -> Result<Name, Fault<'_>> {
    if text.bytes.is_empty() {
        return Err(Fault(text, ParseErrorKind::NameMissing));
    }
    if let Some((_, stranger, _)) = text.cut(|byte| !Name::allows(byte)) {
        return Err(Fault(stranger, ParseErrorKind::NameCharacter));
    }
    Name::new(text.bytes).ok_or(Fault(text, ParseErrorKind::NameTooLong))
}

/// Parses `START+SIZE` or `START-END`.
fn range(place: Part<'_>, page_size: u64) -> Result<PhysRange, Fault<'_>> {
    let page_size = PageSize::of_kernel(page_size);
    let Some((start_text, sign, rest)) = place.cut(|byte| matches!(byte, b'+' | b'-')) else {
        return Err(Fault(place, ParseErrorKind::SizeMissing));
    };
    let start = start(start_text.bytes, page_size).map_err(|kind| Fault(start_text, kind))?;
    let length = if sign.bytes == b"+" {
        Some(size(rest.bytes, page_size).map_err(|kind| Fault(rest, kind))?)
    } else {
        let end = value(rest.bytes).map_err(|kind| Fault(rest, kind))?;
        if end < start {
            return Err(Fault(rest, ParseErrorKind::EndBeforeStart));
        }
        let (_, offset) = page_size.split(end);
        if offset != page_size.mask() {
            return Err(Fault(rest, ParseErrorKind::EndUnaligned));
        }
        end.wrapping_sub(start).checked_add(1)
    };
    length
        .and_then(|length| PhysRange::new(start, length))
        .ok_or(Fault(place, ParseErrorKind::RangeTooLong))
}

/// Parses the address of the first byte of a window.
pub(super) fn start(text: &[u8], page_size: PageSize) -> Result<u64, ParseErrorKind> {
    let start = value(text)?;
    if page_size.is_aligned(start) {
        Ok(start)
    } else {
        Err(ParseErrorKind::StartUnaligned)
    }
}

/// Parses the size of a window: a number with an optional suffix.
pub(super) fn size(text: &[u8], page_size: PageSize) -> Result<u64, ParseErrorKind> {
    let (digits, unit) = match text {
        [digits @ .., b'K' | b'k'] => (digits, 1 << 10),
        [digits @ .., b'M' | b'm'] => (digits, 1 << 20),
        [digits @ .., b'G' | b'g'] => (digits, 1 << 30),
        digits => (digits, 1),
    };
    match value(digits)?.checked_mul(unit) {
        None => Err(ParseErrorKind::NumberTooLarge),
        Some(0) => Err(ParseErrorKind::SizeZero),
        Some(size) if !page_size.is_aligned(size) => Err(ParseErrorKind::SizeUnaligned),
        Some(size) => Ok(size),
    }
}

/// Parses an option for the access.
pub(super) fn access(text: &[u8]) -> Option<Access> {
    match text {
        b"ro" => Some(Access::ReadOnly),
        b"rw" => Some(Access::ReadWrite),
        _ => None,
    }
}

/// Parses an option for the cache type.
pub(super) fn cache(text: &[u8]) -> Option<CacheMode> {
    match text {
        b"uncached" | b"uc" => Some(CacheMode::Uncached),
        b"writecombine" | b"wc" => Some(CacheMode::WriteCombine),
        b"cached" | b"wb" => Some(CacheMode::Cached),
        _ => None,
    }
}

/// Parses the option for huge pages.
fn huge(text: &[u8]) -> Option<Huge> {
    Huge::from_word(text.strip_prefix(b"huge=")?)
}

fn value(text: &[u8]) -> Result<u64, ParseErrorKind> {
    let (digits, base) = match text {
        [] => return Err(ParseErrorKind::NumberMissing),
        [b'0', b'x' | b'X', digits @ ..] => (digits, 16),
        digits => (digits, 10),
    };
    if digits.is_empty() {
        return Err(ParseErrorKind::Number);
    }
    let mut value = 0u64;
    for &byte in digits {
        let digit = digit(byte)
            .filter(|digit| *digit < base)
            .ok_or(ParseErrorKind::Number)?;
        value = value
            .checked_mul(base)
            .and_then(|value| value.checked_add(digit))
            .ok_or(ParseErrorKind::NumberTooLarge)?;
    }
    match text {
        [b'0', _, ..] if base == 10 => Err(ParseErrorKind::LeadingZero),
        _ => Ok(value),
    }
}

fn digit(byte: u8) -> Option<u64> {
    let digit = match byte {
        b'0'..=b'9' => byte.wrapping_sub(b'0'),
        b'a'..=b'f' => byte.wrapping_sub(b'a').wrapping_add(10),
        b'A'..=b'F' => byte.wrapping_sub(b'A').wrapping_add(10),
        _ => return None,
    };
    Some(u64::from(digit))
}

/// Sets the options of `window` from `list`, which is separated by colons.
fn set_options<'a>(window: &mut Window, list: Part<'a>) -> Result<(), Fault<'a>> {
    let mut own_access = None;
    let mut own_cache = None;
    let mut claim = None;
    let mut memory = None;
    let mut own_huge = None;
    let mut rest = Some(list);
    while let Some(list) = rest {
        let (option, others) = match list.cut(|byte| byte == b':') {
            Some((option, _, others)) => (option, Some(others)),
            None => (list, None),
        };
        let given_before = match option.bytes {
            b"shared" => claim.replace(false).is_some(),
            b"memory" => memory.replace(true).is_some(),
            b"" => return Err(Fault(option, ParseErrorKind::OptionMissing)),
            text => match (access(text), cache(text), huge(text)) {
                (Some(access), _, _) => own_access.replace(access).is_some(),
                (_, Some(cache), _) => own_cache.replace(cache).is_some(),
                (_, _, Some(huge)) => own_huge.replace(huge).is_some(),
                (None, None, None) => return Err(Fault(option, ParseErrorKind::OptionUnknown)),
            },
        };
        if given_before {
            return Err(Fault(option, ParseErrorKind::OptionTwice));
        }
        rest = others;
    }
    window.access = own_access.unwrap_or(window.access);
    window.cache = own_cache.unwrap_or(window.cache);
    window.claim = claim.unwrap_or(window.claim);
    window.memory = memory.unwrap_or(window.memory);
    window.huge = own_huge.unwrap_or(window.huge);
    Ok(())
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::{
        string::{
            String,
            ToString, //
        },
        vec,
        vec::Vec, //
    };

    use super::*;

    const PAGE: u64 = 0x1000;

    fn windows(text: &str) -> Vec<Window> {
        parse(text.as_bytes(), PAGE)
            .map(|window| window.unwrap())
            .collect()
    }

    fn bare(start: u64, length: u64) -> Window {
        Window::new(PhysRange::new(start, length).unwrap())
    }

    /// Returns the message of the first error in `text`.
    fn complaint(text: &str) -> String {
        parse(text.as_bytes(), PAGE)
            .find_map(Result::err)
            .unwrap()
            .to_string()
    }

    #[test]
    fn three_megabytes_of_sdram_can_be_written_in_many_ways() {
        let sdram = bare(0xc000_0000, 0x30_0000);
        for text in [
            "0xc0000000+3M",
            "0xC0000000+3m",
            "0Xc0000000+0x300000",
            "3221225472+3145728",
            "0xc0000000+3072K",
            "0xc0000000-0xc02fffff",
            "0x00c0000000+0xC00k:rw:uc",
            "0xc0000000+3M:uncached:rw",
        ] {
            assert_eq!(windows(text), [sdram], "{text}");
        }
    }

    #[test]
    fn a_size_may_end_in_a_unit_and_an_address_may_be_0() {
        assert_eq!(windows("0+4K"), [bare(0, 4096)]);
        assert_eq!(windows("0x0-4095"), [bare(0, 4096)]);
        assert_eq!(windows("0+5G"), [bare(0, 5 << 30)]);
        assert_eq!(windows("0+0x10g"), [bare(0, 16 << 30)]);
    }

    #[test]
    fn the_highest_page_can_be_named_in_both_forms() {
        let top = bare(0xffff_ffff_ffff_f000, PAGE);
        assert_eq!(windows("0xfffffffffffff000+4K"), [top]);
        assert_eq!(windows("18446744073709547520-18446744073709551615"), [top]);
    }

    #[test]
    fn every_option_is_understood_in_any_order() {
        let plain = bare(0x1000, PAGE);
        let expected = Window {
            access: Access::ReadOnly,
            cache: CacheMode::WriteCombine,
            claim: false,
            ..plain
        };
        for text in ["ro:wc:shared", "shared:writecombine:ro", "wc:ro:shared"] {
            assert_eq!(
                windows(&std::format!("0x1000+4K:{text}")),
                [expected],
                "{text}"
            );
        }
        let cached = Window {
            cache: CacheMode::Cached,
            ..plain
        };
        assert_eq!(windows("4096+4096:cached"), [cached]);
        assert_eq!(windows("4096+4096:wb:rw"), [cached]);
        let small = Window {
            huge: Huge::Never,
            ..plain
        };
        assert_eq!(windows("4096+4096:huge=never"), [small]);
        assert_eq!(windows("4096+4096:huge=auto"), [plain]);
        for wrong in ["huge", "huge=", "huge=1", "huge=never=", "=never"] {
            let error = complaint(&std::format!("0+4K:{wrong}"));
            assert!(
                error.contains("there is no such option"),
                "{wrong}: {error}"
            );
        }
        let error = complaint("0+4K:huge=auto:huge=never");
        assert!(error.contains("was given before"), "{error}");
    }

    #[test]
    fn a_list_comes_in_the_order_in_which_it_is_written() {
        let named = |name: &[u8], window| Window {
            name: Name::new(name).unwrap(),
            ..window
        };
        assert_eq!(
            windows("fpga-regs_0@0xff200000+2M,0x1000-0x1fff,-@0+4K"),
            [
                named(b"fpga-regs_0", bare(0xff20_0000, 2 << 20)),
                bare(0x1000, PAGE),
                named(b"-", bare(0, PAGE)),
            ]
        );
    }

    #[test]
    fn the_page_size_is_the_machines() {
        let big = |text: &'static str| parse(text.as_bytes(), 0x1_0000).next().unwrap();
        assert_eq!(big("0x10000+64K"), Ok(bare(0x1_0000, 0x1_0000)));
        assert_eq!(
            big("0x1000+64K").unwrap_err().kind,
            ParseErrorKind::StartUnaligned
        );
        assert_eq!(
            big("0x10000+4K").unwrap_err().kind,
            ParseErrorKind::SizeUnaligned
        );
        assert_eq!(
            big("0x10000-0x10fff").unwrap_err().kind,
            ParseErrorKind::EndUnaligned
        );
    }

    #[test]
    fn the_windows_after_a_fault_follow() {
        let found: Vec<_> = parse(b"0x1000+4K,?,0x2000+4K", PAGE).collect();
        let error = ParseError {
            position: 10,
            part: b"?",
            kind: ParseErrorKind::Character,
            page_size: PAGE,
        };
        assert_eq!(
            found,
            vec![Ok(bare(0x1000, PAGE)), Err(error), Ok(bare(0x2000, PAGE))]
        );
    }

    #[test]
    fn an_error_says_where_what_and_what_to_do() {
        assert_eq!(
            complaint("sdram@0xc0000001+3M"),
            "at position 6, \"0xc0000001\": the start is not a multiple of the page size, 0x1000"
        );
        assert_eq!(
            complaint("0x1000"),
            "at position 0, \"0x1000\": the size is missing; write START+SIZE or START-END"
        );
        // There is no quotation where something is missing.
        assert_eq!(complaint("0x1000+"), "at position 7: a number is missing");
    }

    #[test]
    fn a_quotation_is_printable_and_short() {
        let strange: Vec<u8> = [b"0x1000+4K:".as_slice(), b"\x1b[31m"].concat();
        let error = parse(&strange, PAGE).next().unwrap().unwrap_err();
        assert!(
            error.to_string().starts_with("at position 10, \"\\x1b\": "),
            "{error}"
        );

        let long = "a".repeat(65) + "@0+4K";
        let quoted = std::format!("at position 0, \"{}\"...: a name has", "a".repeat(64));
        assert!(
            complaint(&long).starts_with(&quoted),
            "{}",
            complaint(&long)
        );
        let fits = "a".repeat(64) + "@0+4K";
        let quoted = std::format!("at position 0, \"{}\": a name has", "a".repeat(64));
        assert!(
            complaint(&fits).starts_with(&quoted),
            "{}",
            complaint(&fits)
        );
    }
}
