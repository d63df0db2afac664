// SPDX-License-Identifier: MIT OR Apache-2.0

//! A program of 32 bits on a kernel of 64: `devmap` with narrower addresses, offsets and ioctls.

use std::process::Command;

use anyhow::{ensure, Result};
use map_protocol::pattern;

use crate::{
    arch::{NARROW_WIDEST, VACANT},
    host::{Host, LENGTH, START},
    kernel::Loaded,
    program::{devmap, Ran},
    Skip,
};

crate::tests! {
    a_program_of_32_bits_reads_and_writes_above_2_gib,
    a_program_of_32_bits_is_refused_as_any_other,
    a_program_of_32_bits_hears_the_same_of_the_windows,
}

/// The widest access of such a program in bits. Skips the test where there are no such programs.
fn widest() -> Result<u32> {
    NARROW_WIDEST.ok_or_else(|| Skip("this architecture has no programs of 32 bits here".into()).into())
}

fn devmap32(arguments: &str) -> Result<Ran> {
    Ran::new(Command::new("devmap32").args(arguments.split_whitespace()))
}

fn a_program_of_32_bits_reads_and_writes_above_2_gib(host: &mut Host) -> Result<()> {
    let seed = 130;
    widest()?;
    host.fill(seed)?;
    let _loaded = Loaded::with(&["windows=0xc0000000+3M"])?;
    for offset in [0, 0x1004, LENGTH - 4] {
        let address = START + offset;
        let word = |seed| pattern::bytes(seed, address, 4).try_into().map(u32::from_ne_bytes).unwrap_or_default();
        devmap32(&format!("read {address:#x}"))?.printed(&format!("{address:#x}: {:#010x}\n", word(seed)))?;
        devmap32(&format!("write {address:#x} {:#x}", !word(seed)))?.printed("")?;
    }
    let stored = [0..4, 0x1004..0x1008, LENGTH - 4..LENGTH];
    host.changed(seed, &stored, |offset| !pattern::byte(seed, START + offset))
}

fn a_program_of_32_bits_is_refused_as_any_other(host: &mut Host) -> Result<()> {
    let seed = 131;
    let widest = widest()?;
    host.fill(seed)?;
    let _loaded = Loaded::with(&["windows=0xc0000000+1M:ro,0xc0200000+4K"])?;
    // Outside, above 4 GiB, across an edge, and read-only: both programs report the same.
    for arguments in [
        "read 0xbf000000",
        "read 0x100000000",
        "dump 0xc0200000+8K",
        "write 0xc0000000 1",
        "check 0xc0000000+2M --write",
        "check 0x100000000",
    ] {
        let (wide, narrow) = (devmap(arguments)?, devmap32(arguments)?);
        ensure!(wide.status == Some(3), "{wide:?}");
        ensure!(
            (wide.status, &wide.out, &wide.err) == (narrow.status, &narrow.out, &narrow.err),
            "{wide:?}, but {narrow:?}"
        );
    }
    // 64 bits need more than one access, unless the processor has one for such programs.
    let narrow = devmap32("read 0xc0000000 -w 64")?;
    if widest == 64 {
        narrow.printed(&devmap("read 0xc0000000 -w 64")?.out)?;
    } else {
        narrow.failed(2, &["cannot read 8 bytes in one access: this processor has none of that width"])?;
    }
    host.changed(seed, &[], |_| 0)
}

fn a_program_of_32_bits_hears_the_same_of_the_windows(_: &mut Host) -> Result<()> {
    let widest = widest()?;
    let _loaded = Loaded::with(&[&format!("windows=one@0xc0000000+1M:ro:wc,two@{VACANT:#x}+4K:shared")])?;
    for arguments in ["info", "info --json"] {
        let (wide, narrow) = (devmap(arguments)?, devmap32(arguments)?);
        let expected = wide.out.replace("64 bits", &format!("{widest} bits"));
        let expected = expected.replace("\"widest_access\":64", &format!("\"widest_access\":{widest}"));
        ensure!((expected == wide.out) == (widest == 64), "it does not report the widest access: {wide:?}");
        narrow.printed(&expected)?;
    }
    Ok(())
}
