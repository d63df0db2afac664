// SPDX-License-Identifier: MIT OR Apache-2.0

//! `read`, `write` and `modify`: single accesses.
//!
//! Each is checked and mapped before the first access of all, which may have an effect.

use std::fmt;

use clap::ValueEnum;
use devmap::{Endian, Operation, Width};
use serde::Serialize;

use crate::assignment::Assignment;
use crate::compare::Differing;
use crate::context::{Access, Context};
use crate::decode::Decoded;
use crate::failure::Failure;
use crate::json;
use crate::location::{Area, Location};
use crate::output::{Format, Formatted, Hex, Output};
use crate::place::{check_values, Field, Place};
use crate::snapshot::{lines, register_changes, FieldChange};
use crate::target::{Known, Purpose, Target};
use crate::view::View;

/// A value that was read.
#[derive(Serialize)]
pub struct Found {
    pub address: Location,
    width: u32,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "field_as_text")]
    field: Option<Field>,
    #[serde(flatten, serialize_with = "json::value")]
    pub value: Hex,
    #[serde(skip)]
    pub format: Format,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    register: Option<String>,
    address: Location,
    width: u32,
    #[serde(flatten, serialize_with = "json::before")]
    before: Hex,
    #[serde(flatten, serialize_with = "json::after")]
    after: Hex,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<FieldChange>,
    verified: bool,
    #[serde(skip)]
    format: Format,
}

impl fmt::Display for Modified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.register {
            Some(register) => write!(f, "{register}: ")?,
            None => write!(f, "{}: ", self.address)?,
        }
        let [before, after] = [self.before, self.after].map(|value| Formatted(value, self.format));
        write!(f, "{before} -> {after}")?;
        lines(&self.fields, self.format).iter().try_for_each(|line| write!(f, "\n{line}"))
    }
}

/// The bits that `modify` replaces, and their new values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// All bits that are replaced.
    mask: u64,
    value: u64,
    /// Those that the user named. The others may read as anything.
    named: u64,
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
        Ok(Self::of(mask | set | clear, value | set))
    }

    /// These bits, and nothing beside them.
    fn of(mask: u64, value: u64) -> Self {
        Self { mask, value, named: mask }
    }

    /// The bits that must read as they were written, and how.
    fn verified(self) -> (u64, u64) {
        (self.named, self.value & self.named)
    }

    /// The change of bits of `known`, with what becomes of the fields that it would disturb.
    fn beside(self, known: &Known, neighbours: Option<Neighbours>) -> Result<Self, Failure> {
        let hazards = known.register.hazards(self.mask);
        if neighbours.is_none() && known.is_changed_by_reading() {
            return Err(Failure::Usage(format!(
                "writing {} alone reads the register first, which changes the device: write all of {}, or say \
                 --neighbours keep",
                known.path(),
                known.register.path()
            )));
        }
        let Some(first) = hazards.first() else { return Ok(self) };
        match neighbours {
            None => Err(Failure::Usage(format!(
                "writing {} alone would write {first} too: {}; say what becomes of it, by --neighbours keep, zero or \
                 one, or write all of {}",
                known.path(),
                first.reason,
                known.register.path()
            ))),
            Some(neighbours) => Ok(self.with(neighbours, hazards.iter().fold(0, |mask, hazard| mask | hazard.mask))),
        }
    }

    /// The change with what is written to the bits of `others`.
    fn with(self, neighbours: Neighbours, others: u64) -> Self {
        match neighbours {
            Neighbours::Keep => self,
            Neighbours::Zero => Self { mask: self.mask | others, ..self },
            Neighbours::One => Self { mask: self.mask | others, value: self.value | others, ..self },
        }
    }
}

/// What is written to fields that a write of another one of their register would disturb.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Neighbours {
    /// What was read
    Keep,
    /// Zeros
    Zero,
    /// Ones
    One,
}

/// Values to read, one after the other.
pub struct Reading {
    view: View,
    place: Place,
    width: Width,
    known: Option<Known>,
}

impl Reading {
    /// Maps `places`; of many that a name stands for, those that reading changes only if `force` is set.
    pub fn of(ctx: &Context, places: &[Place], force: bool) -> Result<Vec<Self>, Failure> {
        let targets = ctx.targets(places, if force { Purpose::ReadAll } else { Purpose::Read })?;
        let areas: Vec<_> = targets.iter().map(Target::area).collect::<Result<_, _>>()?;
        let views = ctx.map_each(&areas, Access::Read)?.into_iter().zip(targets);
        let readings = views.map(|(view, Target { place, width, endian, known })| {
            view.bulk().with_width(width).check(Operation::Read, 0, view.len())?;
            Ok(Self { view: view.with_endian(endian), place, width, known })
        });
        readings.collect()
    }

    /// Loads the value at `offset`, and returns it as it is shown.
    pub fn load(&self, offset: usize) -> Result<Hex, Failure> {
        let whole = self.view.read_value(self.width, offset)?;
        Ok(match self.place.field() {
            Some(field) => Hex { value: field.get(whole), bits: field.bits() },
            None => Hex::of(whole, self.width),
        })
    }

    /// Prints `value`, which was loaded at `offset`.
    pub fn show(&self, ctx: &mut Context, offset: usize, value: Hex, quiet: bool) -> Result<(), Failure> {
        let (address, width, field, format) = (self.view.at(offset), self.width.bits(), self.place.field(), ctx.format);
        let found = Found { address, width, field, value, format, quiet };
        match &self.known {
            Some(known) if !quiet => Ok(ctx.out.emit(&Decoded { known, found })?),
            _ => Ok(ctx.out.emit(&found)?),
        }
    }

    /// Prints every value.
    pub fn run(&self, ctx: &mut Context, quiet: bool) -> Result<(), Failure> {
        for offset in self.offsets() {
            self.show(ctx, offset, self.load(offset)?, quiet)?;
        }
        Ok(())
    }

    /// The offsets of its values.
    pub fn offsets(&self) -> impl Iterator<Item = usize> {
        (0..self.view.len()).step_by(self.width.bytes())
    }

    /// How many bits each of its values has.
    pub fn bits(&self) -> u32 {
        self.place.field().map_or(self.width.bits(), Field::bits)
    }

    /// The memory that is read.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// What is known of it.
    pub fn known(&self) -> Option<&Known> {
        self.known.as_ref()
    }

    /// What the value at `offset` is called.
    pub fn name(&self, offset: usize) -> String {
        match (&self.known, self.place.field()) {
            (Some(known), _) => known.argument(),
            (None, Some(field)) => format!("{}{field}", self.view.at(offset)),
            (None, None) => self.view.at(offset).to_string(),
        }
    }

    /// The place, which is no name.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The width of its values.
    pub fn width(&self) -> Width {
        self.width
    }
}

/// Prints every value of `places`.
pub fn read(ctx: &mut Context, places: &[Place], quiet: bool, force: bool) -> Result<(), Failure> {
    Reading::of(ctx, places, force)?.iter().try_for_each(|reading| {
        reading.run(ctx, quiet)?;
        // A bus error at the next one would take it along.
        Ok(ctx.out.finish()?)
    })
}

/// Values to write.
pub struct Writing {
    view: View,
    width: Width,
    what: What,
    known: Option<Known>,
}

/// What is written.
enum What {
    /// One after the other.
    Values(Vec<u64>),
    /// Bits of one value.
    Bits(Change),
}

impl Writing {
    /// Maps the places of `assignments`. What a bit field of a register would do to others is refused, unless
    /// `neighbours` says what becomes of them.
    pub fn of(ctx: &Context, assignments: &[Assignment], neighbours: Option<Neighbours>) -> Result<Vec<Self>, Failure> {
        let parts = assignments.iter().map(|assignment| {
            let target = ctx.target(assignment.place, Purpose::Write)?;
            part(&target, assignment, neighbours)
        });
        let parts: Vec<_> = parts.collect::<Result<_, _>>()?;
        Self::map(ctx, Operation::Write, parts)
    }

    /// Maps the value at `place`, to change it.
    pub fn change(
        ctx: &Context,
        place: Place,
        change: Change,
        neighbours: Option<Neighbours>,
    ) -> Result<Self, Failure> {
        let target = ctx.target(place, Purpose::Change)?;
        let change = match &target.known {
            Some(known) => change.beside(known, neighbours)?,
            None => change,
        };
        let (width, endian) = (target.width, target.endian);
        if let Place::Field(location, field) = target.place {
            return Err(Failure::Usage(format!(
                "{location}{field} is a bit field: modify the whole value, or write it"
            )));
        }
        check_values(&[change.mask, change.value], width)?;
        let part = Part { area: target.area()?, width, endian, what: What::Bits(change), known: target.known };
        let mut one = Self::map(ctx, Operation::Modify, vec![part])?;
        Ok(one.remove(0))
    }

    fn map(ctx: &Context, operation: Operation, parts: Vec<Part>) -> Result<Vec<Self>, Failure> {
        let areas: Vec<_> = parts.iter().map(|part| part.area).collect();
        let views = ctx.map_each(&areas, Access::Write)?.into_iter().zip(parts);
        let writings = views.map(|(view, Part { width, endian, what, known, .. })| {
            view.bulk().with_width(width).check(operation, 0, view.len())?;
            Ok(Self { view: view.with_endian(endian), width, what, known })
        });
        writings.collect()
    }

    /// Fails if what is to be verified cannot be read.
    pub fn can_verify(writings: &[Self], verify: bool) -> Result<(), Failure> {
        let mut known = writings.iter().filter_map(|writing| writing.known.as_ref());
        match known.find_map(Known::refuses_reading).filter(|_| verify) {
            Some(why) => Err(Failure::Usage(format!("{why}, so --verify is not possible"))),
            None => Ok(()),
        }
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
        let (&Self { ref view, width, ref known, .. }, Change { mask, value, .. }) = (self, change);
        ctx.before_loads(view)?;
        let before = view.modify_value(width, 0, mask, value)?;
        ctx.after_stores(view, 0, view.len())?;
        if verify {
            let (mask, expected) = change.verified();
            read_back(&mut ctx.out, view, width, 0, mask, expected)?;
        }
        let after = (before & !mask) | value;
        ctx.out.emit(&Modified {
            register: known.as_ref().map(Known::register_argument),
            address: view.at(0),
            width: width.bits(),
            before: Hex::of(before, width),
            after: Hex::of(after, width),
            fields: known.as_ref().map(|known| register_changes(known, before, after)).unwrap_or_default(),
            verified: verify,
            format: ctx.format,
        })?;
        Ok(())
    }
}

/// A part of memory, and what is written there.
struct Part {
    area: Area,
    width: Width,
    endian: Endian,
    what: What,
    known: Option<Known>,
}

/// The memory of an assignment, and what is written there.
fn part(target: &Target, assignment: &Assignment, neighbours: Option<Neighbours>) -> Result<Part, Failure> {
    let &Target { place, width, endian, ref known } = target;
    let values = assignment.values(known.as_ref())?;
    let (area, what) = match place {
        Place::Address(location) => {
            check_values(&values, width)?;
            if known.is_some() && values.len() != 1 {
                return Err(Failure::Usage(format!("a register takes one value, not {}", values.len())));
            }
            let area = location.area(values.len() * width.bytes()).map_err(Failure::Usage)?;
            (area, What::Values(values))
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
            let change = Change::of(field.mask(), value);
            let change = match known {
                Some(known) => change.beside(known, neighbours)?,
                None => change,
            };
            (place.area(width).map_err(Failure::Usage)?, What::Bits(change))
        }
        Place::Range(area) => {
            return Err(Failure::Usage(format!(
                "write stores values one after the other from an address on; to repeat one over {area} use fill"
            )))
        }
        Place::Register(symbol) => return Err(Failure::Usage(format!("{symbol} is not resolved"))),
    };
    Ok(Part { area, width, endian, what, known: known.clone() })
}

/// Does all of `assignments`, in their order.
pub fn write(
    ctx: &mut Context,
    assignments: &[Assignment],
    neighbours: Option<Neighbours>,
    verify: bool,
) -> Result<(), Failure> {
    let writings = Writing::of(ctx, assignments, neighbours)?;
    Writing::can_verify(&writings, verify)?;
    writings.iter().try_for_each(|writing| writing.run(ctx, verify))
}

/// Changes bits of the value at `place`.
pub fn modify(
    ctx: &mut Context,
    place: Place,
    change: Change,
    neighbours: Option<Neighbours>,
    verify: bool,
) -> Result<(), Failure> {
    Writing::change(ctx, place, change, neighbours)?.run(ctx, verify)
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
        assert_eq!(Change::new(None, Some(0x80), Some(3)).unwrap(), Change::of(0x83, 0x80));
        assert_eq!(Change::new(Some((0xf0, 0x50)), Some(1), None).unwrap(), Change::of(0xf1, 0x51));
        assert!(Change::new(None, Some(3), Some(1)).is_err());
        assert!(Change::new(Some((0xf0, 0x50)), Some(0x10), None).is_err());
        assert!(Change::new(Some((0xf0, 0x51)), None, None).is_err());
    }

    /// A neighbour that clears when a one is written, or that cannot be read, does not read as it was written.
    #[test]
    fn what_becomes_of_the_neighbours_is_not_verified() {
        let change = Change::of(0x1, 0x1);
        for (neighbours, mask, value) in
            [(Neighbours::Keep, 0x1, 0x1), (Neighbours::Zero, 0x3, 0x1), (Neighbours::One, 0x3, 0x3)]
        {
            let changed = change.with(neighbours, 0x2);
            assert_eq!((changed.mask, changed.value, changed.verified()), (mask, value, (0x1, 0x1)));
        }
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
