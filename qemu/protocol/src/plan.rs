// SPDX-License-Identifier: MIT OR Apache-2.0

//! The names of the tests, which the host finds in the bytes of the guest's program: the program may be for another
//! architecture.

use serde_json::Value;

use crate::Suite;

/// The bytes before the names. A line `SUITE NAME` for each test follows, and a zero byte.
pub const MARK: &[u8] = b"\0The tests of map-suite:\n";

/// The tests that the bytes of a program name.
pub fn find(program: &[u8]) -> Option<Vec<(Suite, String)>> {
    let starts = program.windows(MARK.len()).enumerate().filter(|(_, bytes)| *bytes == MARK);
    starts.map(|(start, _)| &program[start + MARK.len()..]).find_map(parse)
}

fn parse(bytes: &[u8]) -> Option<Vec<(Suite, String)>> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    let test = |line: &str| {
        let (suite, name) = line.split_once(' ')?;
        Some((serde_json::from_value(Value::String(suite.into())).ok()?, name.to_owned()))
    };
    text.lines().map(test).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_found_among_other_bytes() {
        let names = [MARK, b"Driver one\nMmap two\n\0"].concat();
        let found = Some(vec![(Suite::Driver, "one".into()), (Suite::Mmap, "two".into())]);
        assert_eq!(find(&[b"\x7fELF", &names[..], b"rest"].concat()), found);
        // The mark may also occur alone.
        assert_eq!(find(&[MARK, b"what\0", &names].concat()), found);
        assert_eq!(find(b"\x7fELF"), None);
        assert_eq!(find(&names[..names.len() - 1]), None);
    }
}
