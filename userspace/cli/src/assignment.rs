// SPDX-License-Identifier: MIT OR Apache-2.0

//! What `write` writes where.

use devmap::registers::{EncodeError, Field};

use crate::failure::Failure;
use crate::number::number;
use crate::place::{place, Place};
use crate::target::Known;

/// A place, and the values to store from it on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    pub place: Place,
    values: Vec<Value>,
}

/// A number, or the name of a value of a field, which lives as long as the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    Number(u64),
    Name(&'static str),
}

/// The first argument: where values go that follow, or PLACE=VALUE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum First {
    Place(Place),
    Assignment(Assignment),
}

/// A further argument: a value for the place, or PLACE=VALUE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    Value(Value),
    Assignment(Assignment),
}

/// Reads a place, or PLACE=VALUE.
pub fn first(text: &str) -> Result<First, String> {
    match assignment(text)? {
        Some(assignment) => Ok(First::Assignment(assignment)),
        None => place(text).map(First::Place),
    }
}

/// Reads a value, or PLACE=VALUE.
pub fn item(text: &str) -> Result<Item, String> {
    match assignment(text)? {
        Some(assignment) => Ok(Item::Assignment(assignment)),
        None => value(text).map(Item::Value),
    }
}

/// Reads PLACE=VALUE; `None` if there is no = in the text.
fn assignment(text: &str) -> Result<Option<Assignment>, String> {
    // The name of a line in /proc/iomem may have one, a value never.
    let Some((place_text, value_text)) = text.rsplit_once('=') else { return Ok(None) };
    Ok(Some(Assignment { place: place(place_text)?, values: vec![value(value_text)?] }))
}

/// Reads a value. What begins with a letter may be the name of one.
fn value(text: &str) -> Result<Value, String> {
    match number(text) {
        Err(_) if text.starts_with(|c: char| c.is_alphabetic() || c == '_') => Ok(Value::Name(text.to_owned().leak())),
        number => number.map(Value::Number),
    }
}

impl Assignment {
    /// The numbers that its values are in what is known of the place.
    pub fn values(&self, known: Option<&Known>) -> Result<Vec<u64>, Failure> {
        let field = known.and_then(|known| known.field.as_ref());
        let encoded = |bits: Result<u64, EncodeError>, field: &Field<'_>| match bits {
            Ok(bits) => Ok(field.get(bits)),
            Err(error) => Err(Failure::Usage(error.to_string())),
        };
        let number = |value: &Value| match (*value, field) {
            (Value::Number(number), None) => Ok(number),
            (Value::Number(number), Some(field)) => encoded(field.encode(number), field),
            (Value::Name(name), Some(field)) => encoded(field.encode(name), field),
            (Value::Name(name), None) => number(name).map_err(Failure::Usage),
        };
        self.values.iter().map(number).collect()
    }
}

/// All of them: either every argument is PLACE=VALUE, or the first is a place and the others are its values.
pub fn assignments(first: First, others: Vec<Item>) -> Result<Vec<Assignment>, Failure> {
    let mixed = || Failure::Usage("write either PLACE VALUE..., or only PLACE=VALUE...".into());
    match first {
        First::Place(place) => {
            let values = others.into_iter().map(|item| match item {
                Item::Value(value) => Ok(value),
                Item::Assignment(_) => Err(mixed()),
            });
            let values: Vec<_> = values.collect::<Result<_, _>>()?;
            if values.is_empty() {
                return Err(Failure::Usage("there is no value: write PLACE VALUE..., or PLACE=VALUE...".into()));
            }
            Ok(vec![Assignment { place, values }])
        }
        First::Assignment(first) => {
            let others = others.into_iter().map(|item| match item {
                Item::Value(_) => Err(mixed()),
                Item::Assignment(assignment) => Ok(assignment),
            });
            std::iter::once(Ok(first)).chain(others).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<Assignment>, String> {
        let mut words = text.split(' ');
        let first = first(words.next().unwrap())?;
        let others = words.map(item).collect::<Result<_, _>>()?;
        assignments(first, others).map_err(|failure| failure.to_string())
    }

    #[test]
    fn values_follow_one_place_or_each_has_its_own() {
        let of = |text: &str, values: &[u64]| Assignment {
            place: place(text).unwrap(),
            values: values.iter().copied().map(Value::Number).collect(),
        };
        assert_eq!(parse("0x10 1 2 3"), Ok(vec![of("0x10", &[1, 2, 3])]));
        assert_eq!(
            parse("0x10=1 sdram+4:7:4=0x5 4=4K"),
            Ok(vec![of("0x10", &[1]), of("sdram+4:7:4", &[5]), of("4", &[4096])])
        );
        for (text, says) in [
            ("0x10", "there is no value"),
            ("0x10 1 4=2", "either PLACE VALUE..., or only"),
            ("0x10=1 2", "either PLACE VALUE..., or only"),
            ("0x10=", "`` is not a number"),
            ("=1", "`` is not a number"),
            ("1=2=3", "`1=2` is not a number"),
            ("0 1z", "`1z` is not a number"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
