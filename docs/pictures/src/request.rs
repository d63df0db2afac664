// SPDX-License-Identifier: MIT OR Apache-2.0

//! The way of a request, from mmap(2) to the page table.

use crate::svg::{Anchor, Rect, Svg};

/// The steps in the kernel: name, file, what happens.
const STEPS: &[(&str, &str, &str)] = &[
    ("file operation", "driver/file.rs", "open, mmap, ioctl: no decisions here"),
    ("request", "driver/vma.rs", "address, length, access, shared or not"),
    ("decision", "driver/core/decide.rs", "a pure function: a grant or a reason"),
    ("page protection", "driver/vma.rs", "uncached, write-combining or cached"),
    ("remap_pfn_range()", "driver/abstractions/mm.rs", "all pages at once, compared with the grant"),
];

/// Draws it.
pub fn draw() -> String {
    let mut svg = Svg::new(
        960,
        800,
        "The way of a request",
        "A program calls mmap(2) on /dev/map, itself or through the crate or the command line devmap. The offset is \
         the physical address. In the kernel the file operation makes a request of the call. The decision is a pure \
         function of the request, the windows, and what the kernel knows of the machine. A refusal goes back to the \
         program as an errno, and its reason to the log. A grant sets the page protection, remap_pfn_range() fills \
         the page table, and the address goes back. From then on the program's loads and stores reach the memory \
         without the driver.",
    );

    let user = Rect { x: 16, y: 16, width: 928, height: 122 };
    svg.rect(user, "user");
    svg.label((32, 38), Anchor::Start, "area", 200, "USERSPACE");
    let program = Rect { x: 32, y: 50, width: 896, height: 72 };
    svg.rect(program, "box");
    let callers = [
        (150, "a program", "mmap(2), in any language", "driver/uapi/map.h"),
        (480, "the crate devmap", "Device and Mapping, in Rust", "userspace/lib/"),
        (790, "the command devmap", "read, write, dump, test, …", "userspace/cli/"),
    ];
    for (x, name, what, place) in callers {
        svg.label((x, 71), Anchor::Middle, "head", 260, name);
        svg.label((x, 91), Anchor::Middle, "", 260, what);
        svg.label((x, 111), Anchor::Middle, "note code", 260, place);
    }
    for x in [315, 640] {
        svg.path(&format!("M{x},62 V110"), "empty");
    }

    let kernel = Rect { x: 16, y: 192, width: 928, height: 520 };
    svg.rect(kernel, "kernel");
    svg.label((32, 214), Anchor::Start, "area", 200, "KERNEL: map.ko");

    let step = |index: i32| Rect { x: 310, y: 212 + index * 99, width: 340, height: 74 };
    svg.arrow(&[(480, program.bottom()), (480, step(0).y)], "line");
    svg.label((468, 160), Anchor::End, "", 380, "the ABI: mmap(2) on /dev/map,");
    svg.label((468, 178), Anchor::End, "", 380, "the offset is the physical address");

    for (index, (name, file, what)) in (0..).zip(STEPS) {
        let place = step(index);
        svg.rect(place, if *name == "decision" { "key" } else { "box" });
        svg.label((place.center(), place.y + 22), Anchor::Middle, "head", place.width - 20, name);
        svg.label((place.center(), place.y + 43), Anchor::Middle, "", place.width - 20, what);
        svg.label((place.center(), place.y + 63), Anchor::Middle, "note code", place.width - 20, file);
        if index > 0 {
            svg.arrow(&[(place.center(), step(index - 1).bottom()), (place.center(), place.y)], "line");
        }
    }
    svg.label((492, step(3).y - 8), Anchor::Start, "yes-text", 140, "granted");

    // What the decision depends on.
    let facts = [
        ("the windows", "raw mode, or what parameter", "and device tree list", "driver/windows.rs, of.rs", 311),
        ("the machine", "page size, address widths,", "System RAM, lockdown", "driver/system.rs", 437),
    ];
    for (name, what, more, file, y) in facts {
        let place = Rect { x: 36, y, width: 220, height: 96 };
        svg.rect(place, "box");
        svg.label((place.center(), y + 22), Anchor::Middle, "head", 200, name);
        svg.label((place.center(), y + 43), Anchor::Middle, "", 210, what);
        svg.label((place.center(), y + 61), Anchor::Middle, "", 210, more);
        svg.label((place.center(), y + 83), Anchor::Middle, "note code", 200, file);
    }
    let decision = step(2);
    svg.arrow(&[(256, 359), (283, 359), (283, decision.middle() - 12), (decision.x, decision.middle() - 12)], "line");
    svg.arrow(&[(256, 485), (283, 485), (283, decision.middle() + 12), (decision.x, decision.middle() + 12)], "line");

    // Where a refusal goes.
    let refused = Rect { x: 684, y: decision.y - 18, width: 204, height: 110 };
    svg.rect(refused, "box");
    svg.label((refused.center(), refused.y + 22), Anchor::Middle, "head no-text", 180, "refused");
    for (y, text) in [(43, "an errno for the program,"), (61, "the reason for the log,"), (79, "a count in debugfs")] {
        svg.label((refused.center(), refused.y + y), Anchor::Middle, "", 196, text);
    }
    svg.label((refused.center(), refused.y + 100), Anchor::Middle, "note code", 190, "driver/report.rs");
    svg.arrow(&[(decision.right(), decision.middle()), (refused.x, decision.middle())], "no");
    svg.arrow(&[(refused.center(), refused.y), (refused.center(), program.bottom())], "no");
    svg.label((refused.center() - 12, 160), Anchor::End, "no-text", 180, "EPERM, EACCES,");
    svg.label((refused.center() - 12, 178), Anchor::End, "no-text", 180, "EINVAL, …");

    // Where a success goes.
    let last = step(4);
    svg.arrow(&[(last.right(), last.middle()), (916, last.middle()), (916, program.bottom())], "yes");
    svg.label((656, last.middle() - 10), Anchor::Start, "yes-text", 250, "the address of the mapping");

    let hardware = Rect { x: 16, y: 732, width: 928, height: 52 };
    svg.rect(hardware, "user");
    svg.label((32, 763), Anchor::Start, "area", 200, "HARDWARE");
    svg.arrow(&[(480, last.bottom()), (480, hardware.y)], "yes");
    svg.label(
        (480, 763),
        Anchor::Middle,
        "",
        640,
        "the page table: from now on loads and stores reach the memory without the driver",
    );
    svg.finish()
}
