// SPDX-License-Identifier: MIT OR Apache-2.0

//! Registers and what their bits mean.

use std::fmt;

use devmap::registers;
use serde::{Serialize, Serializer};

use crate::access::Found;
use crate::json;
use crate::output::{Format, Formatted, Hex};
use crate::table;
use crate::target::Known;

/// The value of a register, or of a field, with what a description says of it.
pub struct Decoded<'a> {
    pub known: &'a Known,
    pub found: Found,
}

/// A field with its value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Part {
    pub name: String,
    bits: String,
    #[serde(flatten, serialize_with = "json::value")]
    pub value: Hex,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enumerated: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

impl Part {
    fn new(part: registers::Decoded<'_>) -> Self {
        let registers::Decoded { field, number, value, .. } = part;
        let bits = field.high() - field.low() + 1;
        Self {
            name: field.name().into(),
            bits: match bits {
                1 => field.low().to_string(),
                _ => format!("{}:{}", field.high(), field.low()),
            },
            value: Hex { value: number, bits },
            enumerated: value.map(|value| value.name().into()),
            description: match value {
                Some(value) => value.description().map(Into::into),
                None => field.description().map(|text| text.into_owned()),
            },
        }
    }

    fn cells(&self, format: Format) -> [String; 5] {
        let (name, bits) = (format!("  {}", self.name), self.bits.clone());
        let enumerated = self.enumerated.clone().unwrap_or_default();
        let description = self.description.clone().unwrap_or_default();
        [name, bits, Formatted(self.value, format).to_string(), enumerated, description]
    }
}

/// The fields of a register that can be read, if it is `value`.
pub fn parts(known: &Known, value: u64) -> Vec<Part> {
    known.register.decode(value).map(Part::new).collect()
}

impl Decoded<'_> {
    /// The fields of a whole register; of a field, its value alone.
    fn parts(&self) -> Vec<Part> {
        match self.known.is_whole() {
            true => parts(self.known, self.found.value.value),
            false => Vec::new(),
        }
    }

    /// What the value of a field is called.
    fn enumerated(&self) -> Option<&'static str> {
        Some(self.known.field.as_ref()?.value_of(self.found.value.value)?.name())
    }
}

/// The register, and below it a line for each field.
impl fmt::Display for Decoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = self.found.format;
        write!(f, "{}: {}", self.known.argument(), Formatted(self.found.value, format))?;
        self.enumerated().map_or(Ok(()), |name| write!(f, " {name}"))?;
        let cells: Vec<_> = self.parts().iter().map(|part| part.cells(format)).collect();
        let rows: Vec<_> = cells.iter().map(|row| row.each_ref().map(String::as_str)).collect();
        table::lines(&rows).iter().try_for_each(|line| write!(f, "\n{}", line.trim_end()))
    }
}

/// For programs.
#[derive(Serialize)]
struct Json<'a> {
    register: String,
    #[serde(flatten)]
    found: &'a Found,
    #[serde(skip_serializing_if = "Option::is_none")]
    enumerated: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<Part>,
}

impl Serialize for Decoded<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (register, enumerated) = (self.known.argument(), self.enumerated());
        Json { register, found: &self.found, enumerated, fields: self.parts() }.serialize(serializer)
    }
}
