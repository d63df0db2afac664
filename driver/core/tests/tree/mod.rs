// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Properties that hold for any node of a device tree, for the fuzzer and its corpus.

use map_core::{
    abi::IRQS,
    dt::{
        Lines,
        Node,
        NodeError,
        Place, //
    },
    parse,
    Origin, //
};

use crate::input::{
    check_message,
    Input, //
};

/// Panics if what is read from the node that `bytes` describe violates a property.
pub(crate) fn check(bytes: &[u8]) {
    let mut input = Input(bytes);
    let node = Node {
        label: input.maybe(),
        read_only: input.maybe(),
        cache: input.maybe(),
        shared: input.maybe(),
        huge: input.maybe(),
        interrupt_names: input.maybe(),
        memory_region: place(&mut input),
        reg: place(&mut input),
        lines: lines(&mut input),
        of_boot: input.flag(),
        name: input.text(64),
    };
    for page_size in [0x1000, 0x4000, 0x1_0000] {
        check_window(&node, page_size);
        check_interrupts(&node, page_size);
    }
}

fn place(input: &mut Input<'_>) -> Place {
    match input.byte() % 4 {
        0 => Place::Absent,
        1 => Place::Nowhere,
        2 => Place::Several,
        _ => Place::Region {
            start: input.number(),
            length: input.number(),
        },
    }
}

fn lines(input: &mut Input<'_>) -> Lines {
    match input.byte() % 3 {
        0 => Lines::Absent,
        1 => Lines::Interrupts {
            length: usize::from(input.byte()),
            cells: input.flag().then(|| u32::from(input.byte())),
        },
        _ => Lines::Extended(input.flag().then(|| usize::from(input.byte()))),
    }
}

fn check_error(error: &NodeError) {
    check_message(&error.to_string());
    let property = error.property.to_str().unwrap();
    assert!(error.to_string().starts_with(&format!("{property}: ")));
}

fn check_window(node: &Node<'_>, page_size: u64) {
    let window = match node.window(page_size) {
        Ok(window) => window,
        Err(error) => return check_error(&error),
    };
    let region = match (node.memory_region, node.reg) {
        (region @ Place::Region { .. }, Place::Absent) => region,
        (Place::Absent, region @ Place::Region { .. }) => region,
        places => panic!("a window at {places:?}"),
    };
    let Place::Region { start, length } = region else {
        unreachable!()
    };
    assert_eq!(
        (window.range.start(), window.range.length()),
        (start, length)
    );
    assert!(start % page_size == 0 && length % page_size == 0 && length > 0);
    assert!(!window.name.is_empty() && !window.memory);
    let of_boot = node.of_boot && node.memory_region != Place::Absent;
    assert_eq!(window.origin == Origin::BootDt, of_boot);
    // What is shown of it is what a list of windows takes.
    let text = window.to_string();
    let parsed = parse(text.as_bytes(), page_size).next().unwrap().unwrap();
    assert_eq!(
        (parsed.range, parsed.name, parsed.access),
        (window.range, window.name, window.access)
    );
    assert_eq!(
        (parsed.cache, parsed.claim, parsed.huge),
        (window.cache, window.claim, window.huge)
    );
}

fn check_interrupts(node: &Node<'_>, page_size: u64) {
    let interrupts = match node.interrupts(page_size) {
        Ok(interrupts) => interrupts,
        Err(error) => return check_error(&error),
    };
    assert!(interrupts.number <= IRQS);
    let (names, rest) = interrupts.names.split_at(interrupts.number);
    assert!(rest.iter().all(|name| name.is_empty()));
    let named = names.iter().filter(|name| !name.is_empty()).count();
    assert!(named == 0 || named == names.len(), "{names:?}");
    for (index, name) in names
        .iter()
        .enumerate()
        .filter(|(_, name)| !name.is_empty())
    {
        assert!(!names[..index].contains(name), "{name} is there twice");
    }
    match node.lines {
        Lines::Absent => assert_eq!(interrupts.number, 0),
        Lines::Interrupts { length, cells } => {
            assert_eq!(interrupts.number * 4 * cells.unwrap() as usize, length);
        }
        Lines::Extended(number) => assert_eq!(Some(interrupts.number), number),
    }
}
