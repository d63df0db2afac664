// SPDX-License-Identifier: MIT OR Apache-2.0

//! `read`, `write` and `modify`: single accesses.

use std::fmt;

use devmap::{Mapping, Operation, Width};
use serde::Serialize;

use crate::compare::Differing;
use crate::context::Context;
use crate::failure::Failure;
use crate::json;
use crate::location::Location;
use crate::output::{Hex, Output};
use crate::place::{check_values, Field, Place};

/// A value that was read.
#[derive(Serialize)]
struct Found {
    address: Location,
    width: u32,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "field_as_text")]
    field: Option<Field>,
    #[serde(flatten, serialize_with = "json::value")]
    value: Hex,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field {
            Some(field) => write!(f, "{}{field}: {}", self.address, self.value),
            None => write!(f, "{}: {}", self.address, self.value),
        }
    }
}

fn field_as_text<S: serde::Serializer>(field: &Option<Field>, serializer: S) -> Result<S::Ok, S::Error> {
    match field {
        Some(field) => serializer.collect_str(field.to_string().trim_start_matches(':')),
        None => serializer.serialize_none(),
    }
}

/// Values that were written.
#[derive(Serialize)]
struct Written {
    address: Location,
    width: u32,
    #[serde(flatten, serialize_with = "json::values")]
    values: Vec<Hex>,
    verified: bool,
}

/// A value that was changed.
#[derive(Serialize)]
struct Modified {
    address: Location,
    width: u32,
    #[serde(flatten, serialize_with = "json::before")]
    before: Hex,
    #[serde(flatten, serialize_with = "json::after")]
    after: Hex,
    verified: bool,
}

impl fmt::Display for Modified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} -> {}", self.address, self.before, self.after)
    }
}

/// Prints every value of `places`.
pub fn read(ctx: &mut Context, places: &[Place]) -> Result<(), Failure> {
    let width = ctx.value_width();
    // Every place is checked before the first load, which may have an effect.
    let mut mappings = Vec::with_capacity(places.len());
    for place in places {
        let area = place.area(width).map_err(Failure::Usage)?;
        let mapping = ctx.map_for_reading(area)?;
        mapping.bulk().with_width(width).check(Operation::Read, 0, mapping.len())?;
        mappings.push((mapping, place.field()));
    }
    for (mapping, field) in mappings {
        for offset in (0..mapping.len()).step_by(width.bytes()) {
            let whole = mapping.read_value(width, offset)?;
            ctx.out.emit(&Found {
                address: Location::of(&mapping, offset),
                width: width.bits(),
                field,
                value: match field {
                    Some(field) => Hex { value: field.get(whole), digits: field.digits() },
                    None => Hex::of(whole, width),
                },
            })?;
        }
    }
    Ok(())
}

/// Stores `values` at `place`, one after the other.
pub fn write(ctx: &mut Context, place: Place, values: &[u64], verify: bool) -> Result<(), Failure> {
    match place {
        Place::Address(location) => write_values(ctx, location, values, verify),
        Place::Field(location, field) => write_field(ctx, location, field, place, values, verify),
        Place::Range(area) => Err(Failure::Usage(format!(
            "write stores values one after the other from an address on; to repeat one over {area} use fill"
        ))),
    }
}

fn write_values(ctx: &mut Context, location: Location, values: &[u64], verify: bool) -> Result<(), Failure> {
    let width = ctx.value_width();
    check_values(values, width)?;
    let area = location.area(values.len() * width.bytes()).map_err(Failure::Usage)?;
    let mapping = ctx.map_for_writing(area)?;
    for (index, value) in values.iter().enumerate() {
        mapping.write_value(width, index * width.bytes(), *value)?;
    }
    ctx.after_stores(&mapping, 0, mapping.len())?;
    if verify {
        for (index, value) in values.iter().enumerate() {
            read_back(&mut ctx.out, &mapping, width, index * width.bytes(), width.max(), *value)?;
        }
    }
    let values = values.iter().map(|value| Hex::of(*value, width)).collect();
    ctx.out.emit_json(&Written {
        address: Location::of(&mapping, 0),
        width: width.bits(),
        values,
        verified: verify,
    })?;
    Ok(())
}

fn write_field(
    ctx: &mut Context,
    location: Location,
    field: Field,
    place: Place,
    values: &[u64],
    verify: bool,
) -> Result<(), Failure> {
    let [value] = *values else {
        return Err(Failure::Usage(format!("a bit field takes one value, not {}", values.len())));
    };
    let value = field.put(value).ok_or_else(|| {
        Failure::Usage(format!(
            "{value:#x} does not fit into {location}{field}, whose greatest value is {:#x}",
            field.max()
        ))
    })?;
    place.area(ctx.value_width()).map_err(Failure::Usage)?;
    change(ctx, location, field.mask(), value, verify)
}

/// The bits that `modify` replaces, and their new values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    mask: u64,
    value: u64,
}

impl Change {
    /// From the bits to set, the bits to clear, and a mask with the value for it.
    pub fn new(replace: Option<(u64, u64)>, set: Option<u64>, clear: Option<u64>) -> Result<Self, Failure> {
        let (mask, value) = replace.unwrap_or_default();
        let (set, clear) = (set.unwrap_or_default(), clear.unwrap_or_default());
        if value & !mask != 0 {
            return Err(Failure::Usage(format!("the value {value:#x} has bits outside of the mask {mask:#x}")));
        }
        let twice = (set & clear) | (mask & (set | clear));
        if twice != 0 {
            return Err(Failure::Usage(format!("the bits {twice:#x} are named twice: by --set, --clear or --mask")));
        }
        Ok(Self { mask: mask | set | clear, value: value | set })
    }
}

/// Changes bits of the value at `location`.
pub fn modify(ctx: &mut Context, location: Location, change: Change, verify: bool) -> Result<(), Failure> {
    self::change(ctx, location, change.mask, change.value, verify)
}

fn change(ctx: &mut Context, location: Location, mask: u64, value: u64, verify: bool) -> Result<(), Failure> {
    let width = ctx.value_width();
    let mapping = ctx.map_for_writing(location.area(width.bytes()).map_err(Failure::Usage)?)?;
    let before = mapping.modify_value(width, 0, mask, value)?;
    ctx.after_stores(&mapping, 0, mapping.len())?;
    if verify {
        read_back(&mut ctx.out, &mapping, width, 0, mask, value)?;
    }
    ctx.out.emit(&Modified {
        address: Location::of(&mapping, 0),
        width: width.bits(),
        before: Hex::of(before, width),
        after: Hex::of((before & !mask) | value, width),
        verified: verify,
    })?;
    Ok(())
}

/// Fails unless the bits of `mask` at `offset` are those of `expected`. Programs get the difference.
fn read_back(
    out: &mut Output,
    mapping: &Mapping,
    width: Width,
    offset: usize,
    mask: u64,
    expected: u64,
) -> Result<(), Failure> {
    let found = mapping.read_value(width, offset)? & mask;
    if found == expected {
        return Ok(());
    }
    let address = Location::of(mapping, offset);
    let (found, expected) = (Hex::of(found, width), Hex::of(expected, width));
    Differing { address, found, expected }.emit_unverified(out)?;
    Err(Failure::Differs(format!("{address}: wrote {expected}, read back {found}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_names_every_bit_once() {
        assert_eq!(Change::new(None, Some(0x80), Some(3)).unwrap(), Change { mask: 0x83, value: 0x80 });
        assert_eq!(Change::new(Some((0xf0, 0x50)), Some(1), None).unwrap(), Change { mask: 0xf1, value: 0x51 });
        assert!(Change::new(None, Some(3), Some(1)).is_err());
        assert!(Change::new(Some((0xf0, 0x50)), Some(0x10), None).is_err());
        assert!(Change::new(Some((0xf0, 0x51)), None, None).is_err());
    }

    #[test]
    fn what_does_not_read_back_fails_with_address_and_values() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [0xff, 0x5a]).unwrap();
        let mapping = devmap::Device::open(file.path()).unwrap().map(devmap::PhysRange::new(0, 2).unwrap()).unwrap();
        let read_back = |mask, expected| read_back(&mut Output::new(false), &mapping, Width::Bits8, 1, mask, expected);
        assert!(read_back(0xff, 0x5a).is_ok());
        assert!(read_back(0x0f, 0x0a).is_ok());
        let failure = read_back(0xff, 0x5b).unwrap_err();
        assert_eq!(failure.to_string(), "0x00000001: wrote 0x5b, read back 0x5a");
        assert_eq!(failure.status(), 1);
    }
}
