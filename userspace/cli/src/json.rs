// SPDX-License-Identifier: MIT OR Apache-2.0

//! Values in JSON: a string, and beside it a number.
//!
//! Many readers of JSON take numbers for floating point, which rounds those of more than 53 bits. So every value is a
//! string, and is a number as well only if nothing is lost.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::output::Hex;

/// A value, or several.
pub trait Value: Serialize {
    type Number: Serialize;

    /// The number, if 53 bits hold it; of several, if they hold each.
    fn number(&self) -> Option<Self::Number>;
}

impl Value for Hex {
    type Number = u64;

    fn number(&self) -> Option<u64> {
        Some(self.value).filter(|value| *value < 1 << 53)
    }
}

impl<T: Value> Value for Vec<T> {
    type Number = Vec<T::Number>;

    fn number(&self) -> Option<Self::Number> {
        self.iter().map(T::number).collect()
    }
}

impl<T: Value> Value for Option<T> {
    type Number = T::Number;

    fn number(&self) -> Option<Self::Number> {
        self.as_ref()?.number()
    }
}

/// Defines functions for `#[serde(flatten, serialize_with = …)]` of the field of the same name.
macro_rules! fields {
    ($($name:ident beside $number:literal,)*) => {$(
        pub fn $name<S: Serializer>(value: &impl Value, serializer: S) -> Result<S::Ok, S::Error> {
            pair(value, stringify!($name), $number, serializer)
        }
    )*};
}

fields! {
    value beside "number",
    values beside "numbers",
    before beside "before_number",
    after beside "after_number",
    found beside "found_number",
    expected beside "expected_number",
    bits beside "bits_number",
}

fn pair<S: Serializer>(
    value: &impl Value,
    name: &'static str,
    number_name: &'static str,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry(name, value)?;
    if let Some(number) = value.number() {
        map.serialize_entry(number_name, &number)?;
    }
    map.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Example {
        #[serde(flatten, skip_serializing_if = "Option::is_none", serialize_with = "before")]
        before: Option<Hex>,
        #[serde(flatten, serialize_with = "values")]
        values: Vec<Hex>,
    }

    #[test]
    fn a_number_is_present_if_nothing_is_lost() {
        let hex = |value| Hex { value, bits: 64 };
        let json = |before: Option<u64>, values: &[u64]| {
            let values = values.iter().copied().map(hex).collect();
            serde_json::to_string(&Example { before: before.map(hex), values }).unwrap()
        };
        let (most, more) = ((1 << 53) - 1, 1 << 53);
        assert_eq!(
            json(Some(most), &[0, most]),
            "{\"before\":\"0x001fffffffffffff\",\"before_number\":9007199254740991,\
             \"values\":[\"0x0000000000000000\",\"0x001fffffffffffff\"],\"numbers\":[0,9007199254740991]}"
        );
        assert_eq!(json(Some(more), &[more]), r#"{"before":"0x0020000000000000","values":["0x0020000000000000"]}"#);
        assert_eq!(json(None, &[]), r#"{"values":[],"numbers":[]}"#);
        assert!(!json(None, &[0, more]).contains("numbers"));
    }
}
