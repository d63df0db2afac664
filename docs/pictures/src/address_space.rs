// SPDX-License-Identifier: MIT OR Apache-2.0

//! The address spaces of two processes, and the windows on physical memory that they have mapped.

use crate::svg::{Anchor, Rect, Svg};

/// The physical memory from the highest address to the lowest: class, height, text, a line below it, first address.
const MEMORY: &[(&str, i32, &str, &str, &str)] = &[
    ("never", 58, "System RAM", "the kernel's", "0x100000000"),
    ("empty", 46, "registers of other devices", "", "0xff201000"),
    ("uncached", 46, "window fpga", "registers, uncached", "0xff200000"),
    ("empty", 40, "nothing answers here", "", "0xc0300000"),
    ("empty", 46, "reserved, but no window", "", "0xc0211000"),
    ("read-only", 46, "window status", "read-only, uncached", "0xc0210000"),
    ("combine", 46, "window fifo", "write-combining", "0xc0200000"),
    ("uncached", 92, "window sdram", "reserved memory, uncached", "0xc0000000"),
    ("never", 92, "System RAM", "never mapped by /dev/map", "0x0"),
];

/// The VMAs of a process from the highest address to the lowest: class, text.
type Vmas = &'static [(&'static str, &'static str)];

const ACQUIRE: Vmas = &[
    ("box", "stack"),
    ("uncached", "fpga"),
    ("read-only", "status, read-only"),
    ("uncached", "sdram, 2 MiB"),
    ("box", "heap"),
    ("box", "program"),
];
const SHOW: Vmas =
    &[("box", "stack"), ("combine", "fifo"), ("uncached", "sdram, 4 KiB of it"), ("box", "heap"), ("box", "program")];

/// The height of a VMA.
const VMA: i32 = 31;
/// The edges of the gate, which is the driver.
const GATE: (i32, i32) = (424, 460);

/// Draws it.
pub fn draw() -> String {
    let mut svg = Svg::new(
        960,
        640,
        "Address spaces with windows",
        "On the left are the address spaces of two processes, on the right the physical memory. The module was \
         loaded with windows of memory (sdram), of memory with write-combining (fifo), of read-only memory (status) \
         and of device registers (fpga). Both processes have mapped parts of the windows through /dev/map; the \
         window sdram is shared. A request for memory that is reserved but in no window ends at /dev/map with EPERM, \
         and one to write into the read-only window with EACCES. System RAM is never mapped.",
    );
    svg.label((134, 34), Anchor::Middle, "area", 240, "TWO PROCESSES");
    svg.label(((GATE.0 + GATE.1) / 2, 34), Anchor::Middle, "area", 200, "/dev/map");
    svg.label((695, 34), Anchor::Middle, "area", 260, "PHYSICAL MEMORY");

    let memory = memory();
    let (acquire, acquire_vmas) = process(64, ACQUIRE);
    let (show, show_vmas) = process(334, SHOW);
    let part = |of: Rect, from: i32, height: i32| Rect { y: of.y + from, height, ..of };
    let shared = part(memory[7], 72, 14);
    // The ribbons lie below everything else.
    let ribbons = [
        (acquire_vmas[1], memory[2]),
        (acquire_vmas[2], memory[5]),
        (acquire_vmas[3], memory[7]),
        (show_vmas[1], memory[6]),
        (show_vmas[2], shared),
    ];
    let classes = ["uncached", "read-only", "uncached", "combine", "uncached"];
    for ((from, to), class) in ribbons.into_iter().zip(classes) {
        ribbon(&mut svg, from, to, class);
    }
    let gate = Rect { x: GATE.0, y: 48, width: GATE.1 - GATE.0, height: 576 };
    svg.rect(gate, "key");

    draw_process(&mut svg, "process acquire", acquire, ACQUIRE, &acquire_vmas);
    draw_process(&mut svg, "process show", show, SHOW, &show_vmas);

    for (place, (class, _, text, more, start)) in memory.iter().zip(MEMORY) {
        if *class != "empty" || !text.is_empty() {
            svg.rect(*place, class);
        }
        let base = place.middle() + if more.is_empty() { 5 } else { -3 };
        svg.label((place.center(), base), Anchor::Middle, "", place.width - 12, text);
        svg.label((place.center(), base + 17), Anchor::Middle, "note", place.width - 8, more);
        svg.label((place.right() + 12, place.bottom() - 4), Anchor::Start, "note code", 110, start);
    }

    // Both processes see what one of them stores here.
    svg.rect(shared, "uncached");
    svg.label((560, 604), Anchor::Start, "note code", 390, "windows=sdram@0xc0000000+2M,fifo@0xc0200000+64K:wc,");
    svg.label((560, 622), Anchor::Start, "note code", 390, "status@0xc0210000+4K:ro,fpga@0xff200000+4K");

    // What is refused ends at the gate.
    let stop = gate.x;
    for (y, request, reason) in [
        (show.bottom() + 24, "0xc0250000", "EPERM: outside of every window"),
        (show.bottom() + 62, "status to write", "EACCES: the window is read-only"),
    ] {
        svg.label((28, y + 4), Anchor::Start, "code", 130, request);
        svg.path(&format!("M150,{y} H{}", stop - 12), "no");
        svg.path(&format!("M{},{} l12,12 m0,-12 l-12,12", stop - 14, y - 6), "no");
        svg.label((156, y + 17), Anchor::Start, "no-text", 260, reason);
    }
    svg.finish()
}

/// The places of the parts of the physical memory.
fn memory() -> Vec<Rect> {
    let mut y = 48;
    let mut places = Vec::new();
    for (_, height, ..) in MEMORY {
        places.push(Rect { x: 560, y, width: 270, height: *height });
        y += height + 2;
    }
    places
}

/// The place of a process whose box begins at `y`, and the places of its VMAs.
fn process(y: i32, vmas: Vmas) -> (Rect, Vec<Rect>) {
    let places: Vec<_> = (0..vmas.len() as i32)
        .map(|index| Rect { x: 44, y: y + 32 + index * (VMA + 2), width: 180, height: VMA })
        .collect();
    let bottom = places.last().map_or(y, |last| last.bottom());
    (Rect { x: 28, y, width: 212, height: bottom + 12 - y }, places)
}

fn draw_process(svg: &mut Svg, name: &str, place: Rect, vmas: Vmas, places: &[Rect]) {
    svg.label((place.center(), place.y + 21), Anchor::Middle, "head", place.width, name);
    for (place, (class, text)) in places.iter().zip(vmas) {
        svg.rect(*place, class);
        let look = if *class == "box" { "note" } else { "" };
        svg.label((place.center(), place.middle() + 5), Anchor::Middle, look, place.width - 8, text);
    }
}

/// A band from a VMA to the memory that it maps.
fn ribbon(svg: &mut Svg, from: Rect, to: Rect, class: &str) {
    let (left, right) = (from.right(), to.x);
    let turn = (left + right) / 2;
    svg.path(
        &format!(
            "M{left},{} C{turn},{} {turn},{} {right},{} V{} C{turn},{} {turn},{} {left},{} Z",
            from.y,
            from.y,
            to.y,
            to.y,
            to.bottom(),
            to.bottom(),
            from.bottom(),
            from.bottom()
        ),
        &format!("{class} ribbon"),
    );
}
