// SPDX-License-Identifier: MIT OR Apache-2.0

//! A kernel whose pages are larger than 4 KiB: a window of such pages alone is refused, with the size that would do.

use anyhow::{ensure, Context, Result};
use devmap::page;
use map_protocol::CacheMode;
use nix::errno::Errno;

use crate::{
    host::{Host, START},
    kernel::{load_fails, Loaded},
    memory::while_spinning,
    program::devmap,
    refusal::shared_fails,
    runtime::{Config, Directory},
    user,
    vma::Vma,
};

crate::tests! {
    windows_of_smaller_pages_are_refused_with_the_page_size,
    windows_at_run_time_are_refused_with_the_page_size,
    a_page_of_the_kernel_is_one_page_of_the_page_table,
    offsets_are_multiples_of_the_page_size,
    the_command_line_knows_the_page_size,
}

/// The size of a page of the kernel, which is larger than 4 KiB.
fn page_size() -> Result<u64> {
    let size = page::system().bytes();
    ensure!(size > 4096, "the pages of this kernel have {size:#x} bytes");
    Ok(size)
}

fn windows_of_smaller_pages_are_refused_with_the_page_size(_: &mut Host) -> Result<()> {
    let page = page_size()?;
    for (window, words) in [
        ("0xc0000000+4K".to_owned(), format!("the size is not a multiple of the page size, {page:#x}")),
        (format!("0xc0001000+{page}"), format!("the start is not a multiple of the page size, {page:#x}")),
        ("0xc0000000-0xc0000fff".to_owned(), format!("the end is not the last byte of a page of {page:#x} bytes")),
    ] {
        load_fails(&format!("windows={window}"), Errno::EINVAL, &[&words])?;
    }
    // Multiples of the size do.
    let _loaded = Loaded::with(&[&format!("windows={:#x}+{page}", START + page)])?;
    Ok(())
}

fn windows_at_run_time_are_refused_with_the_page_size(_: &mut Host) -> Result<()> {
    let size = format!("page size, {:#x}", page_size()?);
    let _config = Config::new()?;
    let directory = Directory::make("small")?;
    directory.refuses("start", "0xc0001000", Errno::EINVAL, &format!("the start is not a multiple of the {size}"))?;
    directory.refuses("size", "4K", Errno::EINVAL, &format!("the size is not a multiple of the {size}"))?;
    directory.remove().context("rmdir")
}

fn a_page_of_the_kernel_is_one_page_of_the_page_table(host: &mut Host) -> Result<()> {
    let page = page_size()?;
    for (option, cache) in [("uc", CacheMode::Uncached), ("wc", CacheMode::WriteCombine), ("cached", CacheMode::Cached)]
    {
        let _loaded = Loaded::with(&[&format!("windows=0xc0000000+3M:{option}")])?;
        let vma = Vma::shared(&user::open()?, START + page, page as usize)?;
        let seen = while_spinning(|| (), || host.page(vma.address()))?;
        ensure!((seen.physical, seen.size, &seen.cache) == (START + page, page, &cache), "{option}: {seen:x?}");
    }
    Ok(())
}

fn offsets_are_multiples_of_the_page_size(_: &mut Host) -> Result<()> {
    let page = page_size()?;
    let _loaded = Loaded::with(&["windows=0xc0000000+3M"])?;
    let node = user::open()?;
    for offset in [4096, page / 2, page + 4096] {
        shared_fails(&node, START + offset, page as usize, Errno::EINVAL)?;
    }
    Vma::shared(&node, START + page, 1)?;
    Ok(())
}

fn the_command_line_knows_the_page_size(_: &mut Host) -> Result<()> {
    let page = page_size()?;
    let _loaded = Loaded::with(&["windows=0xc0000000+3M"])?;
    let ran = devmap("explain 0xc0001ffe 4")?;
    let mapped = format!("mapped     0xc0000000-{:#x}, 1 page, {page} bytes", START + page - 1);
    ensure!(ran.out.lines().any(|line| line.starts_with(&mapped)), "it does not say {mapped:?}: {ran:?}");
    Ok(())
}
