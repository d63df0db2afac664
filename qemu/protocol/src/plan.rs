// SPDX-License-Identifier: MIT OR Apache-2.0

//! The names of the tests in a guest's program, which the host finds in the program's bytes: it may be for another
//! processor than the host's.

use serde_json::Value;

use crate::Suite;

/// What stands before the names. After it comes a line `SUITE NAME` for each test, and a zero byte.
pub const MARK: &[u8] = b"\0The tests of map-suite:\n";

/// The tests whose names the bytes of a program hold.
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
        // The mark alone may stand there too.
        assert_eq!(find(&[MARK, b"what\0", &names].concat()), found);
        assert_eq!(find(b"\x7fELF"), None);
        assert_eq!(find(&names[..names.len() - 1]), None);
    }
}
