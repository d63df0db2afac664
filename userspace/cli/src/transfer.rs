// SPDX-License-Identifier: MIT OR Apache-2.0

//! `fill`, `load`, `save` and `copy`: many bytes at once.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use devmap::{Bulk, Error, Operation};
use nix::errno::Errno;
use serde::Serialize;

use crate::blocks::{Blocks, Order};
use crate::compare;
use crate::context::Context;
use crate::failure::Failure;
use crate::input::Input;
use crate::location::Location;
use crate::place::{check_values, Extent, Place};
use crate::sigbus;
use crate::view::View;

/// How many links the kernel follows in a path.
const MOST_LINKS: usize = 40;

/// The outcome, for programs.
#[derive(Serialize)]
struct Transferred {
    start: Location,
    bytes: usize,
    verified: bool,
}

fn print_result(ctx: &mut Context, mapping: &View, verified: bool) -> Result<(), Failure> {
    let start = mapping.at(0);
    Ok(ctx.out.emit_json(&Transferred { start, bytes: mapping.len(), verified })?)
}

/// Fills `extent` with `value`.
pub fn fill(ctx: &mut Context, extent: Extent, value: u64, verify: bool) -> Result<(), Failure> {
    let width = ctx.value_width();
    let mapping = ctx.map_for_writing(extent)?;
    let bulk = ctx.bulk(&mapping);
    // The whole range is checked before the first block is stored.
    bulk.check(Operation::Fill, 0, mapping.len())?;
    if mapping.len() % width.bytes() != 0 {
        return Err(Error::Uneven { operation: Operation::Fill, length: mapping.len(), width }.into());
    }
    check_values(&[value], width)?;
    Blocks::new("filled", mapping.len()).run(|offset, length| {
        bulk.fill_value(width, offset, length, value)?;
        Ok(true)
    })?;
    ctx.after_stores(&mapping, 0, mapping.len())?;
    if verify {
        compare::filled(ctx, &mapping, width, value)?;
    }
    print_result(ctx, &mapping, verify)
}

/// Stores the contents of the file at `path` at `place`.
pub fn load(ctx: &mut Context, path: &Path, place: Place, verify: bool) -> Result<(), Failure> {
    let (mut input, area) = Input::open(path, place)?;
    let mapping = ctx.map_for_writing(area)?;
    let bulk = ctx.bulk(&mapping);
    bulk.check(Operation::Write, 0, mapping.len())?;
    let mut differs = None;
    let mut buffer = Vec::new();
    Blocks::new("loaded", mapping.len()).run(|offset, length| {
        buffer.resize(length, 0);
        input.read(&mut buffer)?;
        bulk.write_from(offset, &buffer)?;
        ctx.after_stores(&mapping, offset, length)?;
        if verify {
            differs = bulk.compare(offset, &buffer)?;
        }
        Ok(differs.is_none())
    })?;
    if let Some(difference) = differs {
        return compare::unverified(ctx, &mapping, difference, &path.display().to_string());
    }
    print_result(ctx, &mapping, verify)
}

/// Copies `extent` to `target`.
pub fn copy(ctx: &mut Context, extent: Extent, target: Location, verify: bool) -> Result<(), Failure> {
    let source = ctx.map_for_reading(extent)?;
    let length = source.len();
    let target = ctx.map_for_writing(target.area(length).map_err(Failure::Usage)?)?;
    // The same memory may have been mapped from two nodes.
    let (from, to) = (source.physical(), target.physical());
    if verify && to.overlaps(&from) {
        return Err(Failure::Usage(format!(
            "{} and {} overlap, so the copy replaces what it would be compared with: omit --verify",
            source.area(),
            target.area()
        )));
    }
    let bulk = ctx.bulk(&source);
    bulk.check(Operation::Read, 0, length)?;
    ctx.bulk(&target).check(Operation::Copy, 0, length)?;
    let order = if to.start() > from.start() { Order::Descending } else { Order::Ascending };
    Blocks::new("copied", length).in_order(order).run(|offset, length| {
        bulk.copy(offset, &target, offset, length)?;
        Ok(true)
    })?;
    ctx.after_stores(&target, 0, length)?;
    if verify {
        compare::equal(ctx, &source, &target)?;
    }
    print_result(ctx, &target, verify)
}

/// Writes the contents of `extent` into the file at `path`.
pub fn save(ctx: &mut Context, extent: Extent, path: &Path) -> Result<(), Failure> {
    let mapping = ctx.map_for_reading(extent)?;
    ctx.bulk(&mapping).check(Operation::Read, 0, mapping.len())?;
    if path == Path::new("-") {
        // Not through `ctx.out`, which is for text.
        let mut stdout = io::stdout().lock();
        save_to(&mapping, ctx.bulk(&mapping), |bytes| Ok(stdout.write_all(bytes)?))?;
        return Ok(stdout.flush()?);
    }
    let failed = Failure::file("write", path);
    let existing = match fs::metadata(path) {
        Ok(existing) => Some(existing),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        // Such as a link that must not be followed.
        Err(error) => return Err(failed(error)),
    };
    if existing.as_ref().is_some_and(|existing| !existing.is_file()) {
        // A pipe or a device cannot be replaced, so it gets the bytes directly.
        let mut file = File::options().write(true).open(path).map_err(&failed)?;
        save_to(&mapping, ctx.bulk(&mapping), |bytes| file.write_all(bytes).map_err(&failed))?;
        return print_result(ctx, &mapping, false);
    }
    // Written next to its final place, and moved there when it is complete: a failure leaves nothing behind.
    let target = if existing.is_some() { fs::canonicalize(path) } else { behind_links(path) }.map_err(&failed)?;
    let directory = match target.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    // The umask applies to the mode of a new file; an old file keeps its mode. It is opened here, and written as a
    // plain file, because the errors of its wrapper have the temporary name.
    let new = |path: &Path| File::options().write(true).create_new(true).mode(0o666).open(path);
    let mut file = tempfile::Builder::new().prefix(".devmap-").make_in(directory, new).map_err(&failed)?;
    if let Some(existing) = existing {
        file.as_file().set_permissions(existing.permissions()).map_err(&failed)?;
    }
    sigbus::remove_unfinished(file.path());
    save_to(&mapping, ctx.bulk(&mapping), |bytes| file.as_file_mut().write_all(bytes).map_err(&failed))?;
    file.as_file().sync_all().map_err(&failed)?;
    file.persist(&target).map_err(|error| failed(error.error))?;
    print_result(ctx, &mapping, false)
}

/// The path that a new file gets at `path`: where links lead, if it is one to no file.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            Ok(link) => path = path.parent().unwrap_or(Path::new("")).join(link),
            Err(_) => return Ok(path),
        }
    }
    Err(Errno::ELOOP.into())
}

fn save_to(mapping: &View, bulk: Bulk<'_>, mut write: impl FnMut(&[u8]) -> Result<(), Failure>) -> Result<(), Failure> {
    let mut buffer = Vec::new();
    Blocks::new("saved", mapping.len()).run(|offset, length| {
        buffer.resize(length, 0);
        bulk.read_into(offset, &mut buffer)?;
        write(&buffer)?;
        Ok(true)
    })
}
