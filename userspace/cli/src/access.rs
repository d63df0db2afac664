// SPDX-License-Identifier: MIT OR Apache-2.0

//! `read`, `write` and `modify`: single accesses.
//!
//! Each is checked and mapped before the first access of all, which may have an effect.

use std::fmt;

use devmap::{Operation, Width};
use serde::Serialize;

use crate::assignment::Assignment;
use crate::compare::Differing;
use crate::context::{Access, Context};
use crate::failure::Failure;
use crate::json;
use crate::location::{Area, Location};
use crate::output::{Format, Formatted, Hex, Output};
use crate::place::{check_values, Field, Place};
use crate::view::View;

/// A value that was read.
#[derive(Serialize)]
struct Found {
    address: Location,
    width: u32,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "field_as_text")]
    field: Option<Field>,
    #[serde(flatten, serialize_with = "json::value")]
    value: Hex,
    #[serde(skip)]
    format: Format,
    /// Print the value alone.
    #[serde(skip)]
    quiet: bool,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = Formatted(self.value, self.format);
        match self.field {
            _ if self.quiet => value.fmt(f),
            Some(field) => write!(f, "{}{field}: {value}", self.address),
            None => write!(f, "{}: {value}", self.address),
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
    #[serde(skip)]
    format: Format,
}

impl fmt::Display for Modified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [before, after] = [self.before, self.after].map(|value| Formatted(value, self.format));
        write!(f, "{}: {before} -> {after}", self.address)
    }
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

/// Values to read, one after the other.
pub struct Reading {
    view: View,
    width: Width,
    field: Option<Field>,
}

impl Reading {
    /// Maps `places`.
    pub fn of(ctx: &Context, places: &[Place]) -> Result<Vec<Self>, Failure> {
        let width = ctx.value_width();
        let areas: Vec<_> =
            places.iter().map(|place| place.area(width)).collect::<Result<_, _>>().map_err(Failure::Usage)?;
        let views = ctx.map_each(&areas, Access::Read)?;
        for view in &views {
            view.bulk().with_width(width).check(Operation::Read, 0, view.len())?;
        }
        let fields = places.iter().map(|place| place.field());
        Ok(views.into_iter().zip(fields).map(|(view, field)| Self { view, width, field }).collect())
    }

    /// Loads the value at `offset`, and returns it as it is shown.
    pub fn load(&self, offset: usize) -> Result<Hex, Failure> {
        let whole = self.view.read_value(self.width, offset)?;
        Ok(match self.field {
            Some(field) => Hex { value: field.get(whole), bits: field.bits() },
            None => Hex::of(whole, self.width),
        })
    }

    /// Prints `value`, which was loaded at `offset`.
    pub fn show(&self, ctx: &mut Context, offset: usize, value: Hex, quiet: bool) -> Result<(), Failure> {
        let (width, field, format) = (self.width.bits(), self.field, ctx.format);
        Ok(ctx.out.emit(&Found { address: self.view.at(offset), width, field, value, format, quiet })?)
    }

    /// Prints every value.
    pub fn run(&self, ctx: &mut Context, quiet: bool) -> Result<(), Failure> {
        for offset in (0..self.view.len()).step_by(self.width.bytes()) {
            self.show(ctx, offset, self.load(offset)?, quiet)?;
        }
        Ok(())
    }

    /// The memory that is read.
    pub fn view(&self) -> &View {
        &self.view
    }
}

/// Prints every value of `places`.
pub fn read(ctx: &mut Context, places: &[Place], quiet: bool) -> Result<(), Failure> {
    Reading::of(ctx, places)?.iter().try_for_each(|reading| reading.run(ctx, quiet))
}

/// Values to write.
pub struct Writing {
    view: View,
    width: Width,
    what: What,
}

/// What is written.
enum What {
    /// One after the other.
    Values(Vec<u64>),
    /// Bits of one value.
    Bits(Change),
}

impl Writing {
    /// Maps the places of `assignments`.
    pub fn of(ctx: &Context, assignments: &[Assignment]) -> Result<Vec<Self>, Failure> {
        let width = ctx.value_width();
        let parts: Vec<_> = assignments.iter().map(|it| part(it, width)).collect::<Result<_, _>>()?;
        Self::map(ctx, width, Operation::Write, parts)
    }

    /// Maps the value at `location`, to change it.
    pub fn change(ctx: &Context, location: Location, change: Change) -> Result<Self, Failure> {
        let width = ctx.value_width();
        check_values(&[change.mask, change.value], width)?;
        let area = location.area(width.bytes()).map_err(Failure::Usage)?;
        let mut one = Self::map(ctx, width, Operation::Modify, vec![(area, What::Bits(change))])?;
        Ok(one.remove(0))
    }

    fn map(ctx: &Context, width: Width, operation: Operation, parts: Vec<(Area, What)>) -> Result<Vec<Self>, Failure> {
        let areas: Vec<_> = parts.iter().map(|(area, _)| *area).collect();
        let views = ctx.map_each(&areas, Access::Write)?;
        for view in &views {
            view.bulk().with_width(width).check(operation, 0, view.len())?;
        }
        Ok(views.into_iter().zip(parts).map(|(view, (_, what))| Self { view, width, what }).collect())
    }

    /// Writes them, and prints what bits replaced.
    pub fn run(&self, ctx: &mut Context, verify: bool) -> Result<(), Failure> {
        match &self.what {
            What::Values(values) => self.store(ctx, values, verify),
            What::Bits(change) => self.modify(ctx, *change, verify),
        }
    }

    fn store(&self, ctx: &mut Context, values: &[u64], verify: bool) -> Result<(), Failure> {
        let &Self { ref view, width, .. } = self;
        for (index, value) in values.iter().enumerate() {
            view.write_value(width, index * width.bytes(), *value)?;
        }
        ctx.after_stores(view, 0, view.len())?;
        if verify {
            for (index, value) in values.iter().enumerate() {
                read_back(&mut ctx.out, view, width, index * width.bytes(), width.max(), *value)?;
            }
        }
        ctx.out.emit_json(&Written {
            address: view.at(0),
            width: width.bits(),
            values: values.iter().map(|value| Hex::of(*value, width)).collect(),
            verified: verify,
        })?;
        Ok(())
    }

    fn modify(&self, ctx: &mut Context, change: Change, verify: bool) -> Result<(), Failure> {
        let (&Self { ref view, width, .. }, Change { mask, value }) = (self, change);
        let before = view.modify_value(width, 0, mask, value)?;
        ctx.after_stores(view, 0, view.len())?;
        if verify {
            read_back(&mut ctx.out, view, width, 0, mask, value)?;
        }
        ctx.out.emit(&Modified {
            address: view.at(0),
            width: width.bits(),
            before: Hex::of(before, width),
            after: Hex::of((before & !mask) | value, width),
            verified: verify,
            format: ctx.format,
        })?;
        Ok(())
    }
}

/// The memory of an assignment, and what is written there.
fn part(assignment: &Assignment, width: Width) -> Result<(Area, What), Failure> {
    let Assignment { place, values } = assignment;
    match *place {
        Place::Address(location) => {
            check_values(values, width)?;
            let area = location.area(values.len() * width.bytes()).map_err(Failure::Usage)?;
            Ok((area, What::Values(values.clone())))
        }
        Place::Field(location, field) => {
            let [value] = values[..] else {
                return Err(Failure::Usage(format!("a bit field takes one value, not {}", values.len())));
            };
            let value = field.put(value).ok_or_else(|| {
                Failure::Usage(format!(
                    "{value:#x} does not fit into {location}{field}, whose greatest value is {:#x}",
                    field.max()
                ))
            })?;
            let area = place.area(width).map_err(Failure::Usage)?;
            Ok((area, What::Bits(Change { mask: field.mask(), value })))
        }
        Place::Range(area) => Err(Failure::Usage(format!(
            "write stores values one after the other from an address on; to repeat one over {area} use fill"
        ))),
    }
}

/// Does all of `assignments`, in their order.
pub fn write(ctx: &mut Context, assignments: &[Assignment], verify: bool) -> Result<(), Failure> {
    Writing::of(ctx, assignments)?.iter().try_for_each(|writing| writing.run(ctx, verify))
}

/// Changes bits of the value at `location`.
pub fn modify(ctx: &mut Context, location: Location, change: Change, verify: bool) -> Result<(), Failure> {
    Writing::change(ctx, location, change)?.run(ctx, verify)
}

/// Fails unless the bits of `mask` at `offset` are those of `expected`. Programs get the difference.
fn read_back(
    out: &mut Output,
    view: &View,
    width: Width,
    offset: usize,
    mask: u64,
    expected: u64,
) -> Result<(), Failure> {
    let found = view.read_value(width, offset)? & mask;
    if found == expected {
        return Ok(());
    }
    let address = view.at(offset);
    let (found, expected) = (Hex::of(found, width), Hex::of(expected, width));
    Differing { address, found, expected }.emit_unverified(out)?;
    Err(Failure::Differs(format!("{address}: wrote {expected}, read back {found}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::tests::view;

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
        let view = view(&[0xff, 0x5a], 0);
        let read_back = |mask, expected| read_back(&mut Output::new(false), &view, Width::Bits8, 1, mask, expected);
        assert!(read_back(0xff, 0x5a).is_ok());
        assert!(read_back(0x0f, 0x0a).is_ok());
        let failure = read_back(0xff, 0x5b).unwrap_err();
        assert_eq!(failure.to_string(), "0x00000001: wrote 0x5b, read back 0x5a");
        assert_eq!(failure.status(), 1);
    }
}
