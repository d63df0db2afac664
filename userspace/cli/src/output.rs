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

/// A value, with all hexadecimal digits of its width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hex {
    pub value: u64,
    pub digits: usize,
}

impl Hex {
    /// A value of `width`.
    pub fn of(value: u64, width: devmap::Width) -> Self {
        Self { value, digits: 2 * width.bytes() }
    }
}

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#0width$x}", self.value, width = 2 + self.digits)
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
