// SPDX-License-Identifier: MIT OR Apache-2.0

//! Standard output: text for people, or JSON for programs.

use std::fmt;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use anstream::{AutoStream, ColorChoice};
use serde::{Serialize, Serializer};

/// The output of results. Only [`finish`](Self::finish) flushes it, so that no error is lost.
pub struct Output {
    stream: BufWriter<AutoStream<StdoutLock<'static>>>,
    json: bool,
    coloured: bool,
}

impl Output {
    /// Standard output; it keeps colours only if a terminal shows them.
    pub fn new(json: bool) -> Self {
        let choice = AutoStream::choice(&io::stdout());
        let stream = AutoStream::new(io::stdout().lock(), choice);
        let coloured = stream.current_choice() != ColorChoice::Never;
        Self { stream: BufWriter::new(stream), json, coloured }
    }

    /// Prints one result.
    pub fn emit(&mut self, result: &(impl Serialize + fmt::Display)) -> io::Result<()> {
        if self.json {
            serde_json::to_writer(&mut self.stream, result)?;
            writeln!(self.stream)
        } else {
            writeln!(self.stream, "{result}")
        }
    }

    /// Prints a result that is of interest only to programs.
    pub fn emit_json(&mut self, result: &impl Serialize) -> io::Result<()> {
        if self.json {
            serde_json::to_writer(&mut self.stream, result)?;
            writeln!(self.stream)?;
        }
        Ok(())
    }

    /// Whether the output is JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether it keeps colours.
    pub fn is_coloured(&self) -> bool {
        self.coloured
    }

    /// Whether the output is text on a terminal.
    pub fn is_terminal(&self) -> bool {
        !self.json && io::stdout().is_terminal()
    }

    /// Flushes the output.
    pub fn finish(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// A number with its noun.
pub fn counted(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// An address, with at least eight hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(pub u64);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

/// How a value is printed as text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Hex,
    Decimal,
    Binary,
}

impl Format {
    pub const ALL: [Self; 3] = [Self::Hex, Self::Decimal, Self::Binary];

    /// Its name as it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hex => "hex",
            Self::Decimal => "decimal",
            Self::Binary => "binary",
        }
    }
}

/// A value in a format that is not that of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Formatted(pub Hex, pub Format);

impl fmt::Display for Formatted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(hex, format) = self;
        match format {
            Format::Hex => hex.fmt(f),
            Format::Decimal => hex.value.fmt(f),
            Format::Binary => write!(f, "{:#0width$b}", hex.value, width = 2 + hex.bits as usize),
        }
    }
}

/// A value, with all hexadecimal digits of its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hex {
    pub value: u64,
    pub bits: u32,
}

impl Hex {
    /// A value of `width`.
    pub fn of(value: u64, width: devmap::Width) -> Self {
        Self { value, bits: width.bits() }
    }

    /// As all values of its width have it in a column: with the same number of digits, and no prefix.
    pub fn in_column(self, format: Format) -> String {
        let Self { value, bits } = self;
        match format {
            Format::Hex => format!("{value:0digits$x}", digits = self.digits()),
            Format::Decimal => {
                let most = u64::MAX >> (64 - bits);
                format!("{value:digits$}", digits = most.to_string().len())
            }
            Format::Binary => format!("{value:0digits$b}", digits = bits as usize),
        }
    }

    /// How many hexadecimal digits it has.
    pub fn digits(self) -> usize {
        self.bits.div_ceil(4) as usize
    }
}

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#0width$x}", self.value, width = 2 + self.digits())
    }
}

/// A string: as a number it may be rounded, as `json` explains.
impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_in_every_format() {
        let value = Hex { value: 0x5a, bits: 12 };
        let [hex, decimal, binary] = Format::ALL.map(|format| Formatted(value, format).to_string());
        assert_eq!((hex.as_str(), decimal.as_str(), binary.as_str()), ("0x05a", "90", "0b000001011010"));
        let [hex, decimal, binary] = Format::ALL.map(|format| value.in_column(format));
        assert_eq!((hex.as_str(), decimal.as_str(), binary.as_str()), ("05a", "  90", "000001011010"));
        assert_eq!(Formatted(Hex { value: u64::MAX, bits: 64 }, Format::Decimal).to_string(), u64::MAX.to_string());
    }
}
