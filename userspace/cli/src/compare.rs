// SPDX-License-Identifier: MIT OR Apache-2.0

//! `compare`, `verify` and the option --verify.

use std::path::Path;

use devmap::{Difference, Mapping, Operation, Width};
use serde::Serialize;

use crate::blocks::Blocks;
use crate::context::Context;
use crate::failure::Failure;
use crate::input::Input;
use crate::location::Location;
use crate::output::Hex;
use crate::place::{Extent, Place};

/// The outcome, for programs.
#[derive(Serialize)]
struct Compared {
    start: Location,
    bytes: usize,
    equal: bool,
    /// Where the first difference is.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<Location>,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<Hex>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<Hex>,
}

fn byte(value: u8) -> Hex {
    Hex::of(value.into(), Width::Bits8)
}

fn print_result(ctx: &mut Context, mapping: &Mapping, difference: Option<Difference>) -> Result<(), Failure> {
    ctx.out.emit_json(&Compared {
        start: Location::of(mapping, 0),
        bytes: mapping.len(),
        equal: difference.is_none(),
        address: difference.map(|difference| Location::of(mapping, difference.offset)),
        found: difference.map(|difference| byte(difference.found)),
        expected: difference.map(|difference| byte(difference.expected)),
    })?;
    Ok(ctx.out.finish()?)
}

/// Compares `extent` with the memory at `other`.
pub fn compare(ctx: &mut Context, extent: Extent, other: Location) -> Result<(), Failure> {
    let one = ctx.map_for_reading(extent)?;
    let other = ctx.map_for_reading(other.area(one.len()).map_err(Failure::Usage)?)?;
    let difference = first_difference(ctx, &one, &other)?;
    print_result(ctx, &one, difference)?;
    match difference {
        None => Ok(()),
        Some(difference) => Err(mismatch(&one, difference, &address_of(&other, difference))),
    }
}

/// Compares the contents of the file at `path` with the memory at `place`.
pub fn verify(ctx: &mut Context, path: &Path, place: Place) -> Result<(), Failure> {
    let mut input = Input::open(path)?;
    let mapping = ctx.map_for_reading(input.area(place)?)?;
    let difference = compare_with(ctx, "verified", &mapping, |_, expected| input.read(expected))?;
    print_result(ctx, &mapping, difference)?;
    match difference {
        None => Ok(()),
        Some(difference) => Err(mismatch(&mapping, difference, &path.display().to_string())),
    }
}

/// Fails unless every value in `mapping` is `value`.
pub fn filled(ctx: &Context, mapping: &Mapping, width: Width, value: u64) -> Result<(), Failure> {
    let pattern = crate::search::bytes_of(ctx.endian, width, value);
    let difference = compare_with(ctx, "verified", mapping, |_, expected| {
        // A block is a multiple of every width, so each begins with a whole value.
        for chunk in expected.chunks_mut(pattern.len()) {
            chunk.copy_from_slice(&pattern[..chunk.len()]);
        }
        Ok(())
    })?;
    match difference {
        None => Ok(()),
        Some(difference) => Err(mismatch(mapping, difference, "what was stored")),
    }
}

/// Fails unless both have the same contents.
pub fn equal(ctx: &Context, one: &Mapping, other: &Mapping) -> Result<(), Failure> {
    match first_difference(ctx, other, one)? {
        None => Ok(()),
        Some(difference) => Err(mismatch(other, difference, &address_of(one, difference))),
    }
}

fn first_difference(ctx: &Context, one: &Mapping, other: &Mapping) -> Result<Option<Difference>, Failure> {
    let bulk = ctx.bulk(other);
    bulk.check(Operation::Compare, 0, other.len())?;
    compare_with(ctx, "compared", one, |offset, expected| Ok(bulk.read_into(offset, expected)?))
}

/// Compares `mapping` with the bytes that `fill` puts into a buffer for each offset, and returns the first difference.
fn compare_with(
    ctx: &Context,
    done: &'static str,
    mapping: &Mapping,
    mut fill: impl FnMut(usize, &mut [u8]) -> Result<(), Failure>,
) -> Result<Option<Difference>, Failure> {
    let bulk = ctx.bulk(mapping);
    bulk.check(Operation::Compare, 0, mapping.len())?;
    let mut expected = Vec::new();
    let mut difference = None;
    Blocks::new(done, mapping.len()).run(|offset, length| {
        expected.resize(length, 0);
        fill(offset, &mut expected)?;
        difference = bulk.compare(offset, &expected)?;
        Ok(difference.is_none())
    })?;
    Ok(difference)
}

/// The address of a difference in `mapping`.
fn address_of(mapping: &Mapping, difference: Difference) -> String {
    Location::of(mapping, difference.offset).to_string()
}

/// The failure of a comparison with `other`.
pub fn mismatch(mapping: &Mapping, difference: Difference, other: &str) -> Failure {
    let (found, expected) = (byte(difference.found), byte(difference.expected));
    Failure::Differs(format!("{} has {found}, and {other} has {expected}", address_of(mapping, difference)))
}
