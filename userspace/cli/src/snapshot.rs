// SPDX-License-Identifier: MIT OR Apache-2.0

//! `snapshot` and `diff`: the registers of a peripheral at one time, and what is different at another.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::access::Reading;
use crate::context::Context;
use crate::decode::{parts, Part};
use crate::failure::Failure;
use crate::json;
use crate::number::number;
use crate::output::{counted, Format, Formatted, Hex};
use crate::place::{place, Field, Place};
use crate::table;
use crate::target::{Known, Purpose};

/// A register and its value.
#[derive(Serialize)]
struct Line {
    register: String,
    #[serde(flatten, serialize_with = "json::value")]
    value: Hex,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.register, self.value)
    }
}

/// Prints a line for each register that `places` stand for.
pub fn snapshot(ctx: &mut Context, places: &[Place], force: bool) -> Result<(), Failure> {
    let readings = Reading::of(ctx, places, force)?;
    if readings.iter().any(|reading| reading.known().is_none()) {
        return Err(Failure::Usage("a snapshot is of registers with names: give those, and --svd".into()));
    }
    for reading in readings {
        let register = reading.known().map(Known::argument).unwrap_or_default();
        ctx.out.emit(&Line { register, value: reading.load(0)? })?;
    }
    Ok(())
}

/// A register whose value is different.
#[derive(Serialize)]
struct Change {
    register: String,
    #[serde(flatten, serialize_with = "json::before")]
    before: Hex,
    #[serde(flatten, serialize_with = "json::after")]
    after: Hex,
    fields: Vec<FieldChange>,
    #[serde(skip)]
    format: Format,
}

/// A field whose value is different.
#[derive(Serialize)]
pub struct FieldChange {
    name: String,
    #[serde(flatten, serialize_with = "json::before")]
    before: Hex,
    #[serde(skip_serializing_if = "Option::is_none")]
    before_enumerated: Option<String>,
    #[serde(flatten, serialize_with = "json::after")]
    after: Hex,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_enumerated: Option<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [before, after] = [self.before, self.after].map(|value| Formatted(value, self.format));
        write!(f, "{}: {before} -> {after}", self.register)?;
        lines(&self.fields, self.format).iter().try_for_each(|line| write!(f, "\n{line}"))
    }
}

/// A line for each field.
pub fn lines(fields: &[FieldChange], format: Format) -> Vec<String> {
    let shown = |value, name: &Option<String>| match name {
        Some(name) => format!("{} {name}", Formatted(value, format)),
        None => Formatted(value, format).to_string(),
    };
    let cells: Vec<_> = fields
        .iter()
        .map(|field| {
            let before = shown(field.before, &field.before_enumerated);
            [format!("  {}", field.name), format!("{before} -> {}", shown(field.after, &field.after_enumerated))]
        })
        .collect();
    let rows: Vec<_> = cells.iter().map(|row| row.each_ref().map(String::as_str)).collect();
    table::lines(&rows)
}

/// The fields that are different in two values of `known`: none if it is a part of a register itself.
pub fn changes(known: &Known, before: u64, after: u64) -> Vec<FieldChange> {
    match known.is_whole() {
        true => register_changes(known, before, after),
        false => Vec::new(),
    }
}

/// The fields that are different in two values of the whole register of `known`.
pub fn register_changes(known: &Known, before: u64, after: u64) -> Vec<FieldChange> {
    let pairs = parts(known, before).into_iter().zip(parts(known, after));
    let different = pairs.filter(|(before, after)| before.value != after.value);
    let change = |(before, after): (Part, Part)| FieldChange {
        name: before.name,
        before: before.value,
        before_enumerated: before.enumerated,
        after: after.value,
        after_enumerated: after.enumerated,
    };
    different.map(change).collect()
}

/// A snapshot, by the names of registers; the values are in its order.
struct Snapshot(Vec<(Place, String, u64)>);

impl Snapshot {
    fn read(path: &Path) -> Result<Self, Failure> {
        let text = fs::read_to_string(path).map_err(Failure::file("read", path))?;
        let line = |(index, line): (usize, &str)| {
            parse(line).map_err(|error| Failure::Usage(format!("{}:{}: {error}", path.display(), index + 1)))
        };
        text.lines().enumerate().map(line).collect::<Result<_, _>>().map(Self)
    }
}

/// A line of a snapshot: NAME VALUE, or what --json makes of it.
fn parse(line: &str) -> Result<(Place, String, u64), String> {
    #[derive(Deserialize)]
    struct Json {
        register: String,
        value: String,
    }

    let wrong = || format!("`{line}` is no line of a snapshot: NAME VALUE, as `devmap snapshot` writes it");
    let (name, value) = match line.starts_with('{') {
        true => {
            let Json { register, value } = serde_json::from_str(line).map_err(|_| wrong())?;
            (register, value)
        }
        false => line.split_once(' ').map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or_else(wrong)?,
    };
    match place(&name)? {
        place @ Place::Register(_) => Ok((place, name, number(&value)?)),
        _ => Err(wrong()),
    }
}

/// Prints what is different between the snapshot in `before`, and the one in `after` or the registers now.
pub fn diff(ctx: &mut Context, before: &Path, after: Option<&Path>) -> Result<(), Failure> {
    let Snapshot(first) = Snapshot::read(before)?;
    let second = match after {
        Some(path) => Snapshot::read(path)?.0,
        None => {
            let places: Vec<_> = first.iter().map(|(place, ..)| *place).collect();
            let readings = Reading::of(ctx, &places, true)?;
            let now = first
                .iter()
                .zip(readings)
                .map(|((place, name, _), reading)| Ok((*place, name.clone(), reading.load(0)?.value)));
            now.collect::<Result<_, Failure>>()?
        }
    };
    let by_name = |lines: &[(Place, String, u64)]| {
        lines.iter().map(|(_, name, value)| (name.clone(), *value)).collect::<BTreeMap<_, _>>()
    };
    let (before_values, after_values) = (by_name(&first), by_name(&second));
    let mut different = 0;
    for (place, name, before) in first {
        let Some(&after) = after_values.get(&name).filter(|after| **after != before) else { continue };
        different += 1;
        let target = ctx.target(place, Purpose::ReadAll)?;
        let bits = target.place.field().map_or(target.width.bits(), Field::bits);
        let fields = target.known.map(|known| changes(&known, before, after)).unwrap_or_default();
        let [before, after] = [before, after].map(|value| Hex { value, bits });
        ctx.out.emit(&Change { register: name, before, after, fields, format: ctx.format })?;
    }
    ctx.out.finish()?;
    if let Some(after) = after {
        for (has, its, lacks, path) in
            [(&before_values, before, &after_values, after), (&after_values, after, &before_values, before)]
        {
            if let Some(name) = has.keys().find(|name| !lacks.contains_key(*name)) {
                return Err(Failure::Differs(format!("{} has no {name}, which {} has", path.display(), its.display())));
            }
        }
    }
    match different {
        0 => Ok(()),
        _ => Err(Failure::Differs(format!("{} different", counted(different, "register")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_name_and_a_value() {
        assert_eq!(parse("UART0.CR 0x00000301").map(|(_, name, value)| (name, value)), Ok(("UART0.CR".into(), 0x301)));
        assert!(parse("ADC@fpga+0x00000000.STATUS 5").is_ok());
        for (wrong, says) in [
            ("", "is no line of a snapshot"),
            ("UART0.CR", "is no line of a snapshot"),
            ("0x1000 5", "is no line of a snapshot"),
            ("UART0.CR five", "`five` is not a number"),
        ] {
            assert!(parse(wrong).unwrap_err().contains(says), "{wrong}");
        }
    }
}
