// SPDX-License-Identifier: MIT OR Apache-2.0

//! `compare`, `verify` and the option --verify.

use std::io;
use std::path::Path;

use devmap::{Difference, Operation, Width};
use serde::Serialize;

use crate::blocks::Blocks;
use crate::context::Context;
use crate::failure::Failure;
use crate::input::Input;
use crate::json;
use crate::location::Location;
use crate::output::{Hex, Output};
use crate::place::{Extent, Place};
use crate::view::View;

/// The outcome, for programs.
#[derive(Serialize)]
struct Compared {
    start: Location,
    bytes: usize,
    equal: bool,
    /// The first difference.
    #[serde(flatten)]
    first: Option<Differing>,
}

/// A place that has not the value that it should have, for programs.
#[derive(Serialize)]
pub struct Differing {
    pub address: Location,
    #[serde(flatten, serialize_with = "json::found")]
    pub found: Hex,
    #[serde(flatten, serialize_with = "json::expected")]
    pub expected: Hex,
}

/// What --verify found, for programs.
#[derive(Serialize)]
struct Unverified {
    #[serde(flatten)]
    first: Differing,
    verified: bool,
}

impl Differing {
    /// The byte of `mapping` at `difference`.
    fn at(mapping: &View, difference: Difference) -> Self {
        let byte = |value: u8| Hex::of(value.into(), Width::Bits8);
        Self {
            address: mapping.at(difference.offset),
            found: byte(difference.found),
            expected: byte(difference.expected),
        }
    }

    /// Prints it for programs, as what --verify found.
    pub fn emit_unverified(self, out: &mut Output) -> io::Result<()> {
        out.emit_json(&Unverified { first: self, verified: false })?;
        out.finish()
    }
}

fn print_result(ctx: &mut Context, mapping: &View, difference: Option<Difference>) -> Result<(), Failure> {
    ctx.out.emit_json(&Compared {
        start: mapping.at(0),
        bytes: mapping.len(),
        equal: difference.is_none(),
        first: difference.map(|difference| Differing::at(mapping, difference)),
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
    let (mut input, area) = Input::open(path, ctx.plain(place)?)?;
    let extent = match place {
        Place::Register(symbol) => Extent::Register(symbol),
        _ => area.into(),
    };
    let mapping = ctx.map_for_reading(extent)?;
    let difference = compare_with(ctx, "verified", &mapping, |_, expected| input.read(expected))?;
    print_result(ctx, &mapping, difference)?;
    match difference {
        None => Ok(()),
        Some(difference) => Err(mismatch(&mapping, difference, &path.display().to_string())),
    }
}

/// Fails unless every value in `mapping` is `value`.
pub fn filled(ctx: &mut Context, mapping: &View, width: Width, value: u64) -> Result<(), Failure> {
    let pattern = crate::search::bytes_of(ctx.endian(), width, value);
    let difference = compare_with(ctx, "verified", mapping, |_, expected| {
        // A block is a multiple of every width, so each begins with a whole value.
        for chunk in expected.chunks_mut(pattern.len()) {
            chunk.copy_from_slice(&pattern[..chunk.len()]);
        }
        Ok(())
    })?;
    match difference {
        None => Ok(()),
        Some(difference) => unverified(ctx, mapping, difference, "what was stored"),
    }
}

/// Fails unless both have the same contents.
pub fn equal(ctx: &mut Context, one: &View, other: &View) -> Result<(), Failure> {
    match first_difference(ctx, other, one)? {
        None => Ok(()),
        Some(difference) => unverified(ctx, other, difference, &address_of(one, difference)),
    }
}

fn first_difference(ctx: &Context, one: &View, other: &View) -> Result<Option<Difference>, Failure> {
    let bulk = ctx.bulk(other);
    bulk.check(Operation::Compare, 0, other.len())?;
    compare_with(ctx, "compared", one, |offset, expected| Ok(bulk.read_into(offset, expected)?))
}

/// Compares `mapping` with the bytes that `fill` puts into a buffer for each offset, and returns the first difference.
fn compare_with(
    ctx: &Context,
    done: &'static str,
    mapping: &View,
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
fn address_of(mapping: &View, difference: Difference) -> String {
    mapping.at(difference.offset).to_string()
}

/// Fails because --verify has found this difference to `other`. Programs get it.
pub fn unverified(ctx: &mut Context, mapping: &View, difference: Difference, other: &str) -> Result<(), Failure> {
    Differing::at(mapping, difference).emit_unverified(&mut ctx.out)?;
    Err(mismatch(mapping, difference, other))
}

/// The failure of a comparison with `other`.
fn mismatch(mapping: &View, difference: Difference, other: &str) -> Failure {
    let Differing { address, found, expected } = Differing::at(mapping, difference);
    Failure::Differs(format!("{address} has {found}, and {other} has {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_get_what_verify_found() {
        let hex = |value| Hex::of(value, Width::Bits16);
        let first = Differing { address: 7.into(), found: hex(5), expected: hex(0x100) };
        assert_eq!(
            serde_json::to_string(&Unverified { first, verified: false }).unwrap(),
            r#"{"address":"0x00000007","found":"0x0005","found_number":5,"expected":"0x0100","expected_number":256,"verified":false}"#
        );
    }
}
