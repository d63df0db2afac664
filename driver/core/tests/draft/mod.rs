// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Properties that hold for anything that is written to the files of a window's directory, for the
//! fuzzer and its corpus.

use map_core::{
    parse,
    switch,
    Draft,
    Line,
    Name,
    Property, //
};

use crate::input::{
    check_message,
    Input, //
};

/// Panics if one of the writes that `bytes` describe violates a property.
pub(crate) fn check(bytes: &[u8]) {
    const PAGE: u64 = 0x1000;
    let mut input = Input(bytes);
    let mut draft = Draft::default();
    let name = Name::new(b"a").unwrap();
    while !input.is_empty() {
        let kind = usize::from(input.byte());
        let text = input.maybe().unwrap_or_default();
        let Some(property) = Property::ALL.get(kind % (Property::ALL.len() + 1)).copied() else {
            if let Err(error) = switch(text) {
                check_message(&error.to_string());
            }
            continue;
        };
        let shown = |draft: &Draft| Property::ALL.map(|property| draft.get(property).to_string());
        let before = shown(&draft);
        match draft.set(property, text, PAGE) {
            Ok(()) => {
                // What a file shows can be written to it, and changes nothing.
                let after = shown(&draft);
                let value = draft.get(property).to_string();
                draft.set(property, value.as_bytes(), PAGE).unwrap();
                assert_eq!(shown(&draft), after);
                for (other, (old, new)) in Property::ALL.iter().zip(before.iter().zip(&after)) {
                    assert!(
                        *other == property || old == new,
                        "{} changed",
                        other.as_str()
                    );
                }
            }
            Err(error) => {
                check_message(&error.to_string());
                assert_eq!(shown(&draft), before);
                let line = Line::of(error);
                assert!(line.as_bytes().len() <= Line::ROOM, "{}", line.as_str());
            }
        }
        match draft.window(name) {
            Ok(window) => {
                let text = Line::of(window);
                let parsed: Vec<_> = parse(text.as_bytes(), PAGE).collect();
                assert_eq!(parsed.len(), 1);
                assert_eq!(parsed[0].unwrap().range, window.range);
            }
            Err(error) => check_message(&error.to_string()),
        }
    }
}
