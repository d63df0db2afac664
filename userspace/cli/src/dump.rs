// SPDX-License-Identifier: MIT OR Apache-2.0

//! `dump`: a range in hexadecimal and as text.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use anstyle::{AnsiColor, Style};
use devmap::{Endian, Operation, Width};
use serde::{Serialize, Serializer};

use crate::blocks::Blocks;
use crate::context::Context;
use crate::failure::Failure;
use crate::json;
use crate::location::Location;
use crate::output::Hex;
use crate::place::Extent;

/// How many bytes a line shows.
const LINE: usize = 16;

/// A line.
struct Line<'a> {
    address: Location,
    bytes: &'a [u8],
    /// Show values of this width and order; otherwise bytes.
    values: Option<(Width, Endian)>,
    /// The names of registers that lie in it.
    names: &'a [String],
    /// Whether the output shows colours. They take most of the time, also where they are removed again.
    coloured: bool,
}

impl Line<'_> {
    /// The numbers that the hexadecimal part shows.
    fn groups(&self) -> impl Iterator<Item = Hex> + '_ {
        let (width, endian) = self.values.unwrap_or((Width::Bits8, Endian::Native));
        self.bytes.chunks(width.bytes()).map(move |chunk| {
            let add = |value, byte: &u8| value << 8 | u64::from(*byte);
            let value = if endian.is_big() { chunk.iter().fold(0, add) } else { chunk.iter().rev().fold(0, add) };
            Hex::of(value, width)
        })
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Written at once: a dump has many lines, and the formatter takes long for a few characters.
        let mut text = String::with_capacity(8 * LINE);
        write!(text, "{} ", self.address)?;
        let width = self.values.map_or(1, |(width, _)| width.bytes());
        let mut column = 0;
        for (index, group) in self.groups().enumerate() {
            let style = match self.values {
                None => style_of(self.bytes[index]),
                Some(_) if group.value == 0 => style_of(0),
                Some(_) => Style::new(),
            };
            let gap = if index * width == LINE / 2 { "  " } else { " " };
            text.push_str(gap);
            self.paint(&mut text, style, |text| push_hex(text, group.value, group.digits()))?;
            column += gap.len() + group.digits();
        }
        // As wide as a whole line, which has one more space in its middle if a value ends there.
        let whole = LINE / width * (2 * width + 1) + 1;
        write!(text, "{:blanks$}  |", "", blanks = whole - column)?;
        for byte in self.bytes {
            let shown = if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' };
            self.paint(&mut text, style_of(*byte), |text| text.push(shown))?;
        }
        text.push('|');
        for name in self.names {
            text.push_str("  ");
            text.push_str(name);
        }
        f.write_str(&text)
    }
}

impl Line<'_> {
    /// Appends what `push` does, in this style if there are colours.
    fn paint(&self, text: &mut String, style: Style, push: impl FnOnce(&mut String)) -> fmt::Result {
        if !self.coloured {
            push(text);
            return Ok(());
        }
        write!(text, "{style}")?;
        push(text);
        write!(text, "{style:#}")
    }
}

/// Appends the last `digits` hexadecimal digits of `value`.
fn push_hex(text: &mut String, value: u64, digits: usize) {
    for digit in (0..digits).rev() {
        text.push(char::from(b"0123456789abcdef"[(value >> (4 * digit) & 0xf) as usize]));
    }
}

/// A line for programs.
#[derive(Serialize)]
struct Json<'a> {
    address: Location,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    registers: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none", serialize_with = "json::values")]
    values: Option<Vec<Hex>>,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let digits = || {
            let mut text = String::with_capacity(2 * self.bytes.len());
            self.bytes.iter().for_each(|byte| push_hex(&mut text, (*byte).into(), 2));
            text
        };
        Json {
            address: self.address,
            registers: self.names,
            bytes: self.values.is_none().then(digits),
            values: self.values.map(|_| self.groups().collect()),
        }
        .serialize(serializer)
    }
}

/// The colour of a byte: zeros are dim, text is bright.
fn style_of(byte: u8) -> Style {
    match byte {
        0 => AnsiColor::BrightBlack.on_default(),
        b' '..=b'~' => AnsiColor::Cyan.on_default(),
        b'\t' | b'\n' | b'\r' => AnsiColor::Green.on_default(),
        0xff => AnsiColor::Magenta.on_default(),
        _ => AnsiColor::Yellow.on_default(),
    }
}

/// Prints `extent`. Lines that repeat the previous one are omitted unless `all` is set.
pub fn dump(ctx: &mut Context, extent: Extent, all: bool) -> Result<(), Failure> {
    let mapping = ctx.map_for_reading(extent)?;
    let bulk = ctx.bulk(&mapping);
    bulk.check(Operation::Read, 0, mapping.len())?;
    let values = ctx.fixed_width().map(|width| (width, ctx.endian()));
    let (every_line, coloured) = (all || ctx.out.is_json(), ctx.out.is_coloured());
    let registers = match ctx.catalog().registers_in(mapping.physical()) {
        Ok(registers) => registers,
        // A dump needs no names.
        Err(failure) => {
            ctx.note(&failure.to_string());
            BTreeMap::new()
        }
    };
    let mut buffer = Vec::new();
    let mut before = [0; LINE];
    let mut omitting = false;
    Blocks::new("dumped", mapping.len()).quiet_if(ctx.out.is_terminal()).run(|offset, length| {
        buffer.resize(length, 0);
        bulk.read_into(offset, &mut buffer)?;
        for (index, bytes) in buffer.chunks(LINE).enumerate() {
            let at = offset + index * LINE;
            // The first and the last line are always printed, so that the end is visible.
            let inner = at > 0 && at + LINE < mapping.len();
            let start = mapping.physical().start() + at as u64;
            let named = registers.range(start..).take_while(|(address, _)| **address - start < LINE as u64);
            let names: Vec<_> = named.map(|(_, register)| register.path().to_owned()).collect();
            if !every_line && inner && names.is_empty() && bytes == before {
                if !omitting {
                    ctx.print("*\n")?;
                }
                omitting = true;
                continue;
            }
            omitting = false;
            if let Ok(whole) = bytes.try_into() {
                before = whole;
            }
            ctx.out.emit(&Line { address: mapping.at(at), bytes, values, names: &names, coloured })?;
        }
        Ok(true)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(bytes: &[u8], values: Option<(Width, Endian)>, coloured: bool) -> String {
        Line { address: 0xc000_0000.into(), bytes, values, names: &[], coloured }.to_string()
    }

    /// Without colours, which change nothing else.
    fn plain(bytes: &[u8], values: Option<(Width, Endian)>) -> String {
        let plain = line(bytes, values, false);
        assert_eq!(anstream::adapter::strip_str(&line(bytes, values, true)).to_string(), plain);
        plain
    }

    #[test]
    fn zeros_text_and_others_have_colours_of_their_own() {
        let [dim, cyan, yellow] = [style_of(0), style_of(b'a'), style_of(0x80)];
        let expected = format!(
            "0xc0000000  {dim}00{dim:#} {cyan}61{cyan:#} {yellow}80{yellow:#}{:42}|{dim}.{dim:#}{cyan}a{cyan:#}{yellow}.{yellow:#}|",
            ""
        );
        assert_eq!(line(b"\0a\x80", None, true), expected);
        assert!(expected.contains("\x1b[36m61\x1b[0m"), "{expected:?}");
    }

    #[test]
    fn bytes_and_their_text() {
        assert_eq!(
            plain(b"Hello,\0world \x7f\xff\n", None),
            "0xc0000000  48 65 6c 6c 6f 2c 00 77  6f 72 6c 64 20 7f ff 0a  |Hello,.world ...|"
        );
        assert_eq!(plain(b"abc", None), format!("0xc0000000  61 62 63{:42}|abc|", ""));
    }

    #[test]
    fn values_in_their_order() {
        let bytes: Vec<u8> = (0..16).collect();
        assert_eq!(
            plain(&bytes, Some((Width::Bits32, Endian::Big))),
            "0xc0000000  00010203 04050607  08090a0b 0c0d0e0f  |................|"
        );
        assert_eq!(
            plain(&bytes[..8], Some((Width::Bits16, Endian::Little))),
            format!("0xc0000000  0100 0302 0504 0706{:23}|........|", "")
        );
    }
}
