// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Properties that hold for any text parsed as a list of windows, for the fuzzer and its corpus.

use map_core::{
    parse,
    Limits,
    Lookup,
    ParseError,
    PhysRange,
    Table,
    Window, //
};

/// Panics if the result of parsing `text` violates a property.
pub(crate) fn check(text: &[u8]) {
    for page_size in [0x1000, 0x1_0000] {
        let windows: Vec<Window> = parse(text, page_size)
            .filter_map(|window| window.map_err(|error| check_error(&error, text)).ok())
            .collect();
        for window in &windows {
            check_window(window, page_size);
        }
        // The number of elements is the number of commas plus one.
        let elements = text.split(|&byte| byte == b',').count();
        assert_eq!(parse(text, page_size).count(), elements);
        if windows.len() == elements {
            check_table(&windows, page_size);
        }
    }
}

/// Checks that the offending part is at the reported position, and that the message is printable.
fn check_error(error: &ParseError<'_>, text: &[u8]) {
    let end = error.position.checked_add(error.part.len()).unwrap();
    assert_eq!(text.get(error.position..end), Some(error.part));
    let message = error.to_string();
    assert!(
        message
            .bytes()
            .all(|byte| byte == b' ' || byte.is_ascii_graphic()),
        "{message:?}"
    );
    assert!(message.len() < 500, "{message}");
}

/// Checks that a window consists of whole pages, and that its text parses to the same window.
fn check_window(window: &Window, page_size: u64) {
    assert_eq!(window.range.start() % page_size, 0);
    assert_eq!(window.range.length() % page_size, 0);
    let text = window.to_string();
    let parsed: Vec<_> = parse(text.as_bytes(), page_size).collect();
    assert_eq!(parsed, [Ok(*window)], "{text}");
    assert_eq!(window.name.as_str().len(), window.name.to_string().len());
}

/// Checks that a table is sorted and without overlaps, and that every window of it is found.
fn check_table(windows: &[Window], page_size: u64) {
    let limits = Limits {
        page_size,
        last_address: (1 << 52) - 1,
        last_offset: u64::MAX,
        task_size: u64::MAX,
        aborts: true,
    };
    let table = match Table::new(windows.to_vec(), &limits) {
        Ok(table) => table,
        Err(error) => {
            assert!(error.to_string().is_ascii());
            return;
        }
    };
    let sorted = table.windows();
    assert!(windows.iter().all(|window| sorted.contains(window)));
    assert_eq!(sorted.len(), windows.len());
    for pair in sorted.windows(2) {
        assert!(pair[0].range.last() < pair[1].range.start());
    }
    for (index, window) in sorted.iter().enumerate() {
        assert!(window.range.last() <= limits.last_address);
        assert_eq!(table.find(&window.range), Lookup::Inside(index));
        let more = PhysRange::new(window.range.start(), window.range.length() + 1).unwrap();
        assert_eq!(table.find(&more), Lookup::Partial(index));
    }
    // The displayed text parses to the same table. A list cannot be empty.
    if sorted.is_empty() {
        return;
    }
    let text: Vec<String> = sorted.iter().map(Window::to_string).collect();
    let parsed: Vec<Window> = parse(text.join(",").as_bytes(), page_size)
        .map(|window| window.unwrap())
        .collect();
    assert_eq!(Table::new(parsed, &limits).unwrap().windows(), sorted);
}
