// SPDX-License-Identifier: MIT OR Apache-2.0

//! The names of registers, as the arguments have them.

use std::fmt;

use crate::location::Location;
use crate::place::{bits, place, Field, Place};

/// A path in a description: of a register, a field, or a peripheral, or a pattern of several. Its texts live as long as
/// the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// The path, without the place of the peripheral.
    pub path: &'static str,
    /// Where the peripheral is, if not where the description says.
    pub at: Option<Location>,
    /// Bits of the register, by their numbers.
    pub bits: Option<Field>,
}

impl Symbol {
    /// Whether `text` can be nothing else: the names of windows have none of these characters.
    pub fn is(text: &str) -> bool {
        let name = text.split('+').next().unwrap_or_default();
        // Numbers may have capitals, too.
        let name = numbers(name).map_or(name, |colon| &name[..colon]);
        name.contains(|c: char| c.is_uppercase() || ".[*?@".contains(c))
    }

    /// Reads PERIPHERAL.REGISTER.FIELD, with @PLACE after the peripheral or :HIGH:LOW at the end.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (peripheral, at, rest) = match text.split_once('@') {
            Some((before, _)) if before.contains(['.', ':']) => {
                return Err(format!("`{text}`: @ and a place stand behind the peripheral, as in UART0@0x1000.CR"))
            }
            Some((peripheral, behind)) => {
                let (at, rest) = behind.split_at(end_of_place(behind));
                (peripheral, Some(location(text, at)?), rest)
            }
            None => (text, None, ""),
        };
        let whole = format!("{peripheral}{rest}");
        let (path, bits) = match numbers(&whole) {
            Some(colon) => (&whole[..colon], Some(bits(text, &whole[colon + 1..])?)),
            None => (whole.as_str(), None),
        };
        Ok(Self { path: path.to_owned().leak(), at, bits })
    }

    /// Whether it may name several things.
    pub fn is_pattern(self) -> bool {
        self.path.contains(['*', '?'])
    }
}

/// Where the colon is behind which `text` has the numbers of bits: a name cannot begin with a digit.
fn numbers(text: &str) -> Option<usize> {
    text.find(':').filter(|at| text[at + 1..].starts_with(|c: char| c.is_ascii_digit()))
}

/// Where the place ends that `text` begins with: before the register. A BAR has a point in its name.
fn end_of_place(text: &str) -> usize {
    let start = match text.strip_prefix("pci/") {
        Some(rest) => rest.find('/').map_or(0, |slash| "pci/".len() + slash),
        None => 0,
    };
    text[start..].find(['.', ':']).map_or(text.len(), |end| start + end)
}

/// Reads the place of a peripheral.
fn location(text: &str, at: &str) -> Result<Location, String> {
    match place(at)? {
        Place::Address(location) => Ok(location),
        _ => Err(format!("`{text}`: behind @ is where the peripheral begins: an address, or a name with one")),
    }
}

/// As in the arguments.
impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (peripheral, rest) = self.path.split_at(self.path.find(['.', ':']).unwrap_or(self.path.len()));
        f.write_str(peripheral)?;
        self.at.map_or(Ok(()), |at| write!(f, "@{at}"))?;
        f.write_str(rest)?;
        self.bits.map_or(Ok(()), |bits| bits.fmt(f))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capitals_points_and_brackets_are_in_no_other_name() {
        for text in ["UART0", "uart0.cr", "GPIO[3]", "uart*", "adc@fpga.STATUS", "Uart0+4"] {
            assert!(Symbol::is(text), "{text}");
        }
        for text in ["sdram", "dsp-0+0x10", "c000", "sdram+0X10", "sdram:7:4", "sdram:0X7"] {
            assert!(!Symbol::is(text), "{text}");
        }
    }

    #[test]
    fn a_symbol_has_a_path_a_place_and_bits() {
        let parts = |text: &str| {
            let symbol = Symbol::parse(text)?;
            Ok::<_, String>((symbol.path, symbol.at.map(|at| at.to_string()), symbol.to_string()))
        };
        for (text, path, at, shown) in [
            ("UART0.CR", "UART0.CR", None, "UART0.CR"),
            ("UART0.CR.TXE", "UART0.CR.TXE", None, "UART0.CR.TXE"),
            ("UART0.CR:TXE", "UART0.CR:TXE", None, "UART0.CR:TXE"),
            ("UART0.CR:7:4", "UART0.CR", None, "UART0.CR:7:4"),
            ("UART0.CR:3", "UART0.CR", None, "UART0.CR:3:3"),
            ("adc@fpga.STATUS:BUSY", "adc.STATUS:BUSY", Some("fpga+0x00000000"), "adc@fpga+0x00000000.STATUS:BUSY"),
            ("ADC@fpga+0x100.STATUS", "ADC.STATUS", Some("fpga+0x00000100"), "ADC@fpga+0x00000100.STATUS"),
            ("ADC@0x43c00000.STATUS", "ADC.STATUS", Some("0x43c00000"), "ADC@0x43c00000.STATUS"),
            (
                "EDU@pci/0000:00:04.0/0.ID:3",
                "EDU.ID",
                Some("pci/0000:00:04.0/0+0x00000000"),
                "EDU@pci/0000:00:04.0/0+0x00000000.ID:3:3",
            ),
            ("EDU@pci/00:04.0/0", "EDU", Some("pci/0000:00:04.0/0+0x00000000"), "EDU@pci/0000:00:04.0/0+0x00000000"),
            ("T@uio0/regs.*", "T.*", Some("uio0/regs+0x00000000"), "T@uio0/regs+0x00000000.*"),
            ("UART0@0:TXE", "UART0:TXE", Some("0x00000000"), "UART0@0x00000000:TXE"),
        ] {
            assert_eq!(parts(text), Ok((path, at.map(Into::into), shown.into())), "{text}");
        }
        for (text, says) in [
            ("A@.B", "`` is not a number"),
            ("A@0+4.B", "behind @ is where the peripheral begins"),
            ("A@1z.B", "`1z` is not a number"),
            ("A.B:4:7", "the high bit comes first"),
            ("A.B:64", "there is no bit 64"),
        ] {
            let error = parts(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
