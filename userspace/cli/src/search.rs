// SPDX-License-Identifier: MIT OR Apache-2.0

//! `search`: the addresses of values, text or bytes.

use std::fmt;

use devmap::{Endian, Operation, Width};
use serde::Serialize;

use crate::blocks::Blocks;
use crate::context::Context;
use crate::failure::Failure;
use crate::location::Location;
use crate::place::{check_values, Extent};

/// The bytes to search for.
#[derive(Debug, PartialEq, Eq)]
pub struct Pattern {
    bytes: Vec<u8>,
    /// It starts at multiples of this number.
    step: usize,
}

/// A place where it was found.
#[derive(Serialize)]
struct Match {
    address: Location,
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

impl Pattern {
    /// From values, text, or bytes as hexadecimal digits; one of them is present.
    pub fn new(ctx: &Context, values: &[u64], text: Option<String>, digits: Option<&str>) -> Result<Self, Failure> {
        let (bytes, step) = if let Some(text) = text {
            (text.into_bytes(), 1)
        } else if let Some(digits) = digits {
            (hexadecimal(digits).map_err(Failure::Usage)?, 1)
        } else {
            let width = ctx.value_width();
            check_values(values, width)?;
            (values.iter().flat_map(|value| bytes_of(ctx.endian(), width, *value)).collect(), width.bytes())
        };
        if bytes.is_empty() {
            return Err(Failure::Usage("there is nothing to search for: the text or bytes are empty".into()));
        }
        Ok(Self { bytes, step })
    }

    /// The offsets where it starts in `bytes`, whose first byte lies at `address`.
    fn find<'a>(&'a self, bytes: &'a [u8], address: u64) -> impl Iterator<Item = usize> + 'a {
        let step = self.step as u64;
        let first = ((step - address % step) % step) as usize;
        let last = (bytes.len() + 1).saturating_sub(self.bytes.len());
        (first..last).step_by(self.step).filter(|at| bytes[*at..].starts_with(&self.bytes))
    }
}

/// Prints where `pattern` is in `extent`, at most `max_count` times.
pub fn search(ctx: &mut Context, extent: Extent, pattern: &Pattern, max_count: Option<u64>) -> Result<(), Failure> {
    let mapping = ctx.map_for_reading(extent)?;
    let bulk = ctx.bulk(&mapping);
    bulk.check(Operation::Read, 0, mapping.len())?;
    let mut left = max_count.unwrap_or(u64::MAX);
    let mut count = 0u64;
    // The block, after the end of the previous one, where a match may start that ends in this one.
    let mut bytes: Vec<u8> = Vec::new();
    Blocks::new("searched", mapping.len()).quiet_if(ctx.out.is_terminal()).run(|offset, length| {
        let kept = bytes.len().min(pattern.bytes.len() - 1);
        bytes.drain(..bytes.len() - kept);
        bytes.resize(kept + length, 0);
        bulk.read_into(offset, &mut bytes[kept..])?;
        let start = mapping.at(offset - kept);
        for at in pattern.find(&bytes, start.address) {
            if left == 0 {
                return Ok(false);
            }
            ctx.out.emit(&Match { address: start.plus(at) })?;
            (left, count) = (left - 1, count + 1);
        }
        Ok(left > 0)
    })?;
    if count == 0 {
        return Err(Failure::Differs(format!("no match in {}", mapping.area())));
    }
    Ok(())
}

/// The bytes of a value in memory.
pub fn bytes_of(endian: Endian, width: Width, value: u64) -> Vec<u8> {
    let little = &value.to_le_bytes()[..width.bytes()];
    if endian.is_big() {
        little.iter().rev().copied().collect()
    } else {
        little.to_vec()
    }
}

/// The bytes that hexadecimal digits denote; spaces and colons may separate them.
pub fn hexadecimal(text: &str) -> Result<Vec<u8>, String> {
    let wrong = || format!("`{text}` is not a list of bytes: write two hexadecimal digits for each, as in d00dfeed");
    let digits: Vec<u32> = text
        .chars()
        .filter(|c| !matches!(c, ' ' | ':'))
        .map(|c| c.to_digit(16))
        .collect::<Option<_>>()
        .ok_or_else(wrong)?;
    if digits.len() % 2 != 0 {
        return Err(wrong());
    }
    Ok(digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(bytes: &[u8], step: usize, haystack: &[u8], address: u64) -> Vec<usize> {
        Pattern { bytes: bytes.to_vec(), step }.find(haystack, address).collect()
    }

    #[test]
    fn matches_may_overlap_and_keep_to_the_step() {
        assert_eq!(found(b"aa", 1, b"aaaba", 0), [0, 1]);
        assert_eq!(found(b"aa", 2, b"aaaaa", 0), [0, 2]);
        assert_eq!(found(b"aa", 2, b"aaaaa", 1), [1, 3]);
        assert_eq!(found(b"aaaa", 1, b"aaa", 0), [0; 0]);
    }

    #[test]
    fn bytes_as_digits() {
        assert_eq!(hexadecimal("d0:0d fE"), Ok(vec![0xd0, 0x0d, 0xfe]));
        assert!(hexadecimal("d00").is_err() && hexadecimal("0x00").is_err() && hexadecimal("é0").is_err());
    }

    #[test]
    fn a_value_has_the_bytes_of_its_width_and_order() {
        assert_eq!(bytes_of(Endian::Big, Width::Bits16, 0x1234), [0x12, 0x34]);
        assert_eq!(bytes_of(Endian::Little, Width::Bits32, 0x1234), [0x34, 0x12, 0, 0]);
        assert_eq!(bytes_of(Endian::Native, Width::Bits16, 0x1234), 0x1234u16.to_ne_bytes());
    }
}
