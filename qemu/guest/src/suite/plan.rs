// SPDX-License-Identifier: MIT OR Apache-2.0

//! The names of all tests, for the host to find in this program.

use map_protocol::plan::MARK;

use crate::SUITES;

/// The names, in the form that [`map_protocol::plan`] describes.
pub static NAMES: [u8; join::<0>().1] = join().0;

/// Joins the names, as far as they fit; also gives the length of all of them.
const fn join<const ROOM: usize>() -> ([u8; ROOM], usize) {
    let mut text = ([0; ROOM], 0);
    text = add(text, MARK);
    let mut suite = 0;
    while suite < SUITES.len() {
        let (name, tables) = SUITES[suite];
        let mut table = 0;
        while table < tables.len() {
            let mut test = 0;
            while test < tables[table].len() {
                text = add(text, name.as_bytes());
                text = add(text, b" ");
                text = add(text, tables[table][test].name.as_bytes());
                text = add(text, b"\n");
                test += 1;
            }
            table += 1;
        }
        suite += 1;
    }
    add(text, b"\0")
}

const fn add<const ROOM: usize>((mut text, mut length): ([u8; ROOM], usize), bytes: &[u8]) -> ([u8; ROOM], usize) {
    let mut index = 0;
    while index < bytes.len() {
        if length < ROOM {
            text[length] = bytes[index];
        }
        length += 1;
        index += 1;
    }
    (text, length)
}
