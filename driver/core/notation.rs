// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Numbers and ranges as people write them, for programs.
//!
//! The driver does not contain this file: what it reads has a [syntax](crate::parse()) of its own.

use core::{
    convert::TryFrom,
    fmt,
    ops::Range,
    str::FromStr, //
};

use crate::PhysRange;

/// Why a text is not a number.
///
/// It is displayed as what follows the text in a sentence; [`of()`](Self::of) displays the whole
/// sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NumberError {
    /// There are no digits, or something that is no digit.
    Malformed,
    /// It has hexadecimal digits, but does not begin with `0x`.
    Hexadecimal,
    /// It begins with a zero, which C would read as octal and people read as decimal.
    LeadingZero,
    /// It has a sign.
    Sign,
    /// It is 2^64 or more.
    TooLarge,
}

impl NumberError {
    /// Displays the sentence about `text`, which is not a number for this reason.
    ///
    /// ```
    /// let error = map_core::number("c000").unwrap_err();
    /// assert_eq!(
    ///     error.of("c000").to_string(),
    ///     "`c000` is not a decimal number: write 0xc000 for hexadecimal"
    /// );
    /// ```
    pub fn of(self, text: &str) -> impl fmt::Display + '_ {
        Sentence { text, error: self }
    }
}

impl fmt::Display for NumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => {
                "is not a number: write decimal, or 0x…, 0o…, 0b…, optionally followed by K, M, G or T"
            }
            Self::Hexadecimal => "is not a decimal number: write 0x… for hexadecimal",
            Self::LeadingZero => {
                "starts with a zero: write 0o… for octal, 0x… for hexadecimal"
            }
            Self::Sign => {
                "is not a number, because it has a sign: write the bits that are meant, as in \
                 0xffffffff"
            }
            Self::TooLarge => "has more than 64 bits",
        })
    }
}

impl core::error::Error for NumberError {}

/// A text that is not a number, and why.
struct Sentence<'a> {
    text: &'a str,
    error: NumberError,
}

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, error } = self;
        match error {
            NumberError::Hexadecimal => write!(
                f,
                "`{text}` is not a decimal number: write 0x{text} for hexadecimal"
            ),
            error => write!(f, "`{text}` {error}"),
        }
    }
}

/// Reads a number: decimal, or hexadecimal, octal or binary after `0x`, `0o` or `0b`. `_` may stand
/// anywhere between digits, and K, M, G or T at the end multiplies by 2^10, 2^20, 2^30 or 2^40.
///
/// # Errors
///
/// What is wrong with the text.
///
/// # Examples
///
/// ```
/// use map_core::{
///     number,
///     NumberError, //
/// };
///
/// assert_eq!(number("0xc000_0000"), Ok(3 << 30));
/// assert_eq!(number("3M"), Ok(3 << 20));
/// assert_eq!(number("0755"), Err(NumberError::LeadingZero));
/// ```
pub fn number(text: &str) -> Result<u64, NumberError> {
    let (digits, shift) = match text.char_indices().next_back() {
        Some((at, 'K' | 'k')) => (&text[..at], 10),
        Some((at, 'M' | 'm')) => (&text[..at], 20),
        Some((at, 'G' | 'g')) => (&text[..at], 30),
        Some((at, 'T' | 't')) => (&text[..at], 40),
        _ => (text, 0),
    };
    let (digits, radix) = match digits.get(..2) {
        Some("0x" | "0X") => (&digits[2..], 16),
        Some("0o" | "0O") => (&digits[2..], 8),
        Some("0b" | "0B") => (&digits[2..], 2),
        _ => (digits, 10),
    };
    if digits.is_empty() || digits.starts_with('_') || digits.ends_with('_') {
        return Err(NumberError::Malformed);
    }
    let plain = || digits.chars().filter(|c| *c != '_');
    let is_decimal = radix == 10 && plain().all(|c| c.is_ascii_digit());
    if is_decimal && digits.starts_with('0') && plain().nth(1).is_some() {
        return Err(NumberError::LeadingZero);
    }
    let mut value = Some(0_u64);
    for character in plain() {
        let Some(digit) = character.to_digit(radix) else {
            return Err(if radix == 10 && plain().all(|c| c.is_ascii_hexdigit()) {
                NumberError::Hexadecimal
            } else if digits.starts_with(['-', '+']) {
                NumberError::Sign
            } else {
                NumberError::Malformed
            });
        };
        value = value
            .and_then(|value| value.checked_mul(radix.into()))
            .and_then(|value| value.checked_add(digit.into()));
    }
    value
        .and_then(|value| value.checked_mul(1 << shift))
        .ok_or(NumberError::TooLarge)
}

/// Why a text is not a range.
///
/// It is displayed as what follows the text in a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RangeError {
    /// It has neither `+` nor `-` between two numbers.
    NotARange,
    /// The first number is none.
    Start(NumberError),
    /// The second number, the length or the last address, is none.
    End(NumberError),
    /// The length is 0.
    Empty,
    /// It goes beyond the address 2^64 - 1.
    BeyondLast,
    /// The last address is below the first.
    EndBeforeStart,
    /// It has all 2^64 addresses, one more than a length can say.
    Everything,
}

impl RangeError {
    /// Displays the sentence about `text`, which is not a range for this reason.
    ///
    /// ```
    /// let error = "0x1000+8Z".parse::<map_core::PhysRange>().unwrap_err();
    /// assert!(error.of("0x1000+8Z").to_string().starts_with("`8Z` is not a number: write"));
    /// ```
    pub fn of(self, text: &str) -> impl fmt::Display + '_ {
        RangeSentence { text, error: self }
    }
}

impl fmt::Display for RangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotARange => f.write_str("is not a range: write START+LENGTH or START-LAST"),
            Self::Start(error) => write!(f, "has a start that {error}"),
            Self::End(error) => write!(f, "has an end that {error}"),
            Self::Empty => f.write_str("is empty: give a length of at least 1"),
            Self::BeyondLast => {
                f.write_str("goes beyond the last address: start lower, or use less")
            }
            Self::EndBeforeStart => f.write_str(
                "ends before it starts: the last address comes second, a length after +",
            ),
            Self::Everything => f.write_str("holds every address: use less"),
        }
    }
}

impl core::error::Error for RangeError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Start(error) | Self::End(error) => Some(error),
            _ => None,
        }
    }
}

/// A text that is not a range, and why.
struct RangeSentence<'a> {
    text: &'a str,
    error: RangeError,
}

impl fmt::Display for RangeSentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, end) = match split(self.text) {
            Some((start, _, end)) => (start, end),
            None => (self.text, ""),
        };
        match self.error {
            RangeError::Start(error) => error.of(start).fmt(f),
            RangeError::End(error) => error.of(end).fmt(f),
            error => write!(f, "`{}` {error}", self.text),
        }
    }
}

/// The two numbers of a range, and what stands between them.
fn split(text: &str) -> Option<(&str, char, &str)> {
    let at = text.find('+').or_else(|| text.find('-'))?;
    let (start, rest) = text.split_at(at);
    let between = rest.chars().next()?;
    Some((start, between, &rest[between.len_utf8()..]))
}

/// Reads START+LENGTH, or START-LAST as in /proc/iomem, each a [`number()`].
///
/// ```
/// use map_core::PhysRange;
///
/// let sdram = PhysRange::new(0xc000_0000, 0x30_0000).unwrap();
/// assert_eq!("0xc0000000+3M".parse(), Ok(sdram));
/// assert_eq!("0xc0000000-0xc02fffff".parse(), Ok(sdram));
/// ```
impl FromStr for PhysRange {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let (start, between, end) = split(text).ok_or(RangeError::NotARange)?;
        let start = number(start).map_err(RangeError::Start)?;
        let end = number(end).map_err(RangeError::End)?;
        if between == '+' {
            return match end {
                0 => Err(RangeError::Empty),
                length => Self::new(start, length).ok_or(RangeError::BeyondLast),
            };
        }
        let beyond_first = end.checked_sub(start).ok_or(RangeError::EndBeforeStart)?;
        beyond_first
            .checked_add(1)
            .and_then(|length| Self::new(start, length))
            .ok_or(RangeError::Everything)
    }
}

/// ```
/// use map_core::PhysRange;
///
/// let registers = PhysRange::try_from(0xff20_0000..0xff20_1000)?;
/// assert_eq!((registers.start(), registers.length()), (0xff20_0000, 0x1000));
/// # Ok::<(), map_core::RangeError>(())
/// ```
impl TryFrom<Range<u64>> for PhysRange {
    type Error = RangeError;

    fn try_from(range: Range<u64>) -> Result<Self, RangeError> {
        let length = range
            .end
            .checked_sub(range.start)
            .ok_or(RangeError::EndBeforeStart)?;
        Self::new(range.start, length).ok_or(RangeError::Empty)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::{
        String,
        ToString, //
    };

    use super::*;

    #[test]
    fn numbers_in_every_base_with_units_and_underscores() {
        let table = [
            ("0", 0),
            ("100", 100),
            ("0xc000_0000", 0xc000_0000),
            ("0XFF", 0xff),
            ("0o17", 15),
            ("0b1010_0101", 0xa5),
            ("1__0", 10),
            ("0x0_7", 7),
            ("4K", 4096),
            ("3m", 3 << 20),
            ("0x10G", 16 << 30),
            ("1T", 1 << 40),
            ("18446744073709551615", u64::MAX),
        ];
        for (text, value) in table {
            assert_eq!(number(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_number_is_an_error_with_a_remedy() {
        let table = [
            ("", NumberError::Malformed),
            ("_", NumberError::Malformed),
            ("0x", NumberError::Malformed),
            ("K", NumberError::Malformed),
            ("0b12", NumberError::Malformed),
            ("1é", NumberError::Malformed),
            ("é", NumberError::Malformed),
            ("0:7", NumberError::Malformed),
            ("1 ", NumberError::Malformed),
            ("-1", NumberError::Sign),
            ("+1", NumberError::Sign),
            ("c0000000", NumberError::Hexadecimal),
            ("0755", NumberError::LeadingZero),
            ("0_755", NumberError::LeadingZero),
            ("0_0", NumberError::LeadingZero),
            ("00K", NumberError::LeadingZero),
            ("_1", NumberError::Malformed),
            ("1_", NumberError::Malformed),
            ("1_K", NumberError::Malformed),
            ("0x_1", NumberError::Malformed),
            ("0b1_", NumberError::Malformed),
            ("__", NumberError::Malformed),
            ("18446744073709551616", NumberError::TooLarge),
            ("0x40_0000_0000_0000K", NumberError::TooLarge),
            ("16777216T", NumberError::TooLarge),
        ];
        for (text, error) in table {
            assert_eq!(number(text), Err(error), "{text}");
            assert!(error
                .of(text)
                .to_string()
                .starts_with(&std::format!("`{text}` ")));
        }
    }

    #[test]
    fn what_is_not_a_range_is_an_error_with_its_part() {
        let sentence = |text: &str| match text.parse::<PhysRange>() {
            Ok(range) => range.to_string(),
            Err(error) => error.of(text).to_string(),
        };
        let starts = |text: &str, start: &str| {
            let sentence: String = sentence(text);
            assert!(sentence.starts_with(start), "{text}: {sentence}");
        };
        starts("8", "`8` is not a range: write START+LENGTH");
        starts("+4", "`` is not a number");
        starts("4+", "`` is not a number");
        starts("c0+4", "`c0` is not a decimal number: write 0xc0 for");
        starts("1+2+3", "`2+3` is not a number");
        starts("1-2-3", "`2-3` is not a number");
        starts("8+0", "`8+0` is empty");
        starts("8-7", "`8-7` ends before it starts");
        starts("2+0xffffffffffffffff", "`2+0xffffffffffffffff` goes beyond");
        starts("0-0xffffffffffffffff", "`0-0xffffffffffffffff` holds every");
        assert_eq!(sentence("8-8"), "0x00000008-0x00000008");
    }

    #[test]
    fn a_range_of_rust_excludes_its_end() {
        let of = |start, end| PhysRange::try_from(Range { start, end });
        assert_eq!(of(8, 9), Ok(PhysRange::new(8, 1).unwrap()));
        assert_eq!(of(8, 8), Err(RangeError::Empty));
        assert_eq!(of(8, 7), Err(RangeError::EndBeforeStart));
        assert_eq!(of(0, u64::MAX).unwrap().last(), u64::MAX - 1);
    }
}
