// SPDX-License-Identifier: GPL-2.0 OR MIT

//! `driver/uapi/map.h` and the crate agree: a C compiler evaluates every constant and layout of the
//! header.

use std::{
    collections::BTreeMap,
    env,
    fs,
    mem::{
        offset_of,
        size_of, //
    },
    path::Path,
    process::Command, //
};

use map_core::{
    abi::{
        self,
        MapCheck,
        MapInfo,
        MapIrq,
        MapIrqEventfd,
        MapIrqMask,
        MapIrqWait,
        MapWindow, //
    },
    CacheMode,
    Refusal,
    LARGEST_MAPPING, //
};

const HEADER: &str = include_str!("../../uapi/map.h");

/// Returns every constant, structure size and field offset of the header, with its value in Rust.
fn rust_side() -> BTreeMap<String, u64> {
    let mut table: BTreeMap<String, u64> = [
        ("MAP_ABI_VERSION", abi::VERSION),
        ("MAP_MAJOR", abi::MAJOR),
        ("MAP_NONE", abi::NONE),
        ("MAP_MODE_RAW", abi::MODE_RAW),
        ("MAP_MODE_WINDOWS", abi::MODE_WINDOWS),
        ("MAP_MODE_WINDOW", abi::MODE_WINDOW),
        ("MAP_CACHE_UNCACHED", CacheMode::Uncached.code()),
        ("MAP_CACHE_WRITE_COMBINE", CacheMode::WriteCombine.code()),
        ("MAP_CACHE_CACHED", CacheMode::Cached.code()),
        ("MAP_WINDOW_READ_ONLY", abi::WINDOW_READ_ONLY),
        ("MAP_WINDOW_CLAIMED", abi::WINDOW_CLAIMED),
        ("MAP_WINDOW_RESERVED", abi::WINDOW_RESERVED),
        ("MAP_WINDOW_DT", abi::WINDOW_DT),
        ("MAP_WINDOW_MEMORY", abi::WINDOW_MEMORY),
        ("MAP_WINDOW_BOOT", abi::WINDOW_BOOT),
        ("MAP_WINDOW_RUN_TIME", abi::WINDOW_RUN_TIME),
        ("MAP_WINDOW_NOT_HUGE", abi::WINDOW_NOT_HUGE),
        ("MAP_IRQ_LEVEL", abi::IRQ_LEVEL),
        ("MAP_IRQ_MASKED", abi::IRQ_MASKED),
        ("MAP_IRQ_EVENTFD", abi::IRQ_EVENTFD),
        ("MAP_GRANTED", abi::GRANTED),
        ("MAP_IOC_TYPE", abi::IOC_TYPE),
        ("MAP_IOC_INFO", abi::IOC_INFO),
        ("MAP_IOC_WINDOW", abi::IOC_WINDOW),
        ("MAP_IOC_CHECK", abi::IOC_CHECK),
        ("MAP_IOC_IRQ", abi::IOC_IRQ),
        ("MAP_IOC_IRQ_WAIT", abi::IOC_IRQ_WAIT),
        ("MAP_IOC_IRQ_MASK", abi::IOC_IRQ_MASK),
        ("MAP_IOC_IRQ_EVENTFD", abi::IOC_IRQ_EVENTFD),
        // Constants of the C library for mmap(2).
        ("PROT_READ", abi::PROT_READ),
        ("PROT_WRITE", abi::PROT_WRITE),
        ("PROT_EXEC", abi::PROT_EXEC),
        ("MAP_SHARED", abi::MAP_SHARED),
        ("MAP_PRIVATE", abi::MAP_PRIVATE),
        ("MAP_SHARED_VALIDATE", abi::MAP_SHARED_VALIDATE),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), u64::from(value)))
    .collect();
    table.insert("MAP_LARGEST".to_owned(), LARGEST_MAPPING);
    table.insert("MAP_IRQS".to_owned(), abi::IRQS as u64);
    for refusal in Refusal::ALL {
        table.insert(refusal_in_c(refusal), u64::from(refusal.code()));
    }
    macro_rules! layout {
        ($($c:literal, $rust:ty { $($field:ident),* })*) => {$(
            table.insert(format!("sizeof(struct {})", $c), size_of::<$rust>() as u64);
            $(table.insert(
                format!("offsetof(struct {}, {})", $c, stringify!($field)),
                offset_of!($rust, $field) as u64,
            );)*
        )*};
    }
    layout! {
        "map_info", MapInfo { abi_version, mode, windows, page_size, last_address, changes }
        "map_window", MapWindow { index, flags, cache, minor, start, length, name }
        "map_check", MapCheck {
            start, length, prot, flags, verdict, error, window, cache, near_start, near_length
        }
        "map_irq", MapIrq { index, flags, count, name }
        "map_irq_wait", MapIrqWait { interrupts, flags, timeout, counts }
        "map_irq_mask", MapIrqMask { interrupts, masked }
        "map_irq_eventfd", MapIrqEventfd { index, fd }
    }
    table
}

/// Converts the name of a variant: `NotCapable` becomes MAP_REFUSED_NOT_CAPABLE.
fn refusal_in_c(refusal: Refusal) -> String {
    let mut name = String::from("MAP_REFUSED");
    for letter in format!("{refusal:?}").chars() {
        if letter.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

/// Evaluates the numeric `expressions` with the C compiler.
fn c_side<'a>(expressions: impl Iterator<Item = &'a String>) -> BTreeMap<String, u64> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let source = directory.join("header.c");
    let program = directory.join("header");
    // MAP_SHARED_VALIDATE requires _GNU_SOURCE. errno.h is included because it defines macros that
    // the names of fields must not collide with.
    let mut text = String::from(
        "#define _GNU_SOURCE\n#include <errno.h>\n#include <stddef.h>\n#include <stdio.h>\n\
         #include <sys/mman.h>\n#include \"map.h\"\nint main(void)\n{\n",
    );
    for expression in expressions {
        text +=
            &format!("\tprintf(\"{expression}\\t%llu\\n\", (unsigned long long)({expression}));\n");
    }
    text += "\treturn 0;\n}\n";
    fs::write(&source, text).unwrap();

    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    let output = Command::new(&compiler)
        .args([
            "-std=c99",
            "-Wall",
            "-Wextra",
            "-Wpedantic",
            "-Werror",
            "-I",
        ])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../uapi"))
        .arg("-o")
        .args([&program, &source])
        .output()
        .unwrap_or_else(|error| panic!("the C compiler {compiler:?}, which CC names: {error}"));
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );

    let output = Command::new(&program).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| line.split_once('\t').unwrap())
        .map(|(expression, value)| (expression.to_owned(), value.parse().unwrap()))
        .collect()
}

#[test]
#[cfg_attr(miri, ignore = "Miri starts no programs")]
fn c_and_rust_agree_on_every_number() {
    let rust = rust_side();
    assert_eq!(c_side(rust.keys()), rust);
}

/// Otherwise an addition to the header alone would not be compared.
#[test]
fn nothing_in_the_header_is_left_out() {
    let rust = rust_side();
    let mut structure = "";
    for line in HEADER.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["#define", "MAP_H"] => {}
            ["#define", name, ..] => assert!(rust.contains_key(name), "{name}"),
            ["struct", name, "{"] => structure = name,
            [kind, field] if !structure.is_empty() && !kind.starts_with('*') => {
                let field = field.trim_end_matches(';').split('[').next().unwrap();
                let key = format!("offsetof(struct {structure}, {field})");
                assert!(rust.contains_key(&key), "{key}");
            }
            ["};"] => structure = "",
            [name, "=", ..] => assert!(rust.contains_key(name), "{name}"),
            _ => {}
        }
    }
    let is_field = |line: &&str| {
        ["\t__u", "\t__s", "\tchar"]
            .iter()
            .any(|kind| line.starts_with(kind))
    };
    assert_eq!(
        HEADER.lines().filter(is_field).count(),
        rust.keys()
            .filter(|key| key.starts_with("offsetof"))
            .count()
    );
}
