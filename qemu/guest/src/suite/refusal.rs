// SPDX-License-Identifier: MIT OR Apache-2.0

//! The mappings that the driver refuses, with their errors; a refusal changes nothing.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt,
};

use anyhow::{bail, ensure, Context, Result};
use caps::{CapSet, Capability};
use nix::{
    errno::Errno,
    sys::mman::{MapFlags, ProtFlags},
};

use crate::{
    arch,
    child::{succeeds_as_user, succeeds_in_child},
    host::{Host, LENGTH, PAGE, START},
    kernel::{self, Loaded},
    user,
    vma::{Vma, LAST_PAGE, READ_WRITE},
};

crate::tests! {
    an_offset_within_a_page_is_einval,
    an_empty_length_is_einval,
    a_private_mapping_is_einval,
    an_executable_mapping_is_eperm,
    an_address_that_the_processor_does_not_have_is_einval,
    a_range_that_wraps_is_refused,
    system_ram_is_eperm,
    a_range_that_reaches_into_system_ram_is_eperm,
    an_open_without_cap_sys_rawio_is_eperm,
    a_refusal_is_logged_with_its_reason,
}

const SIZE: usize = LENGTH as usize;
/// Fails unless the mapping is refused with this error, and the process is unchanged.
fn fails(file: &File, offset: u64, length: usize, flags: MapFlags, protection: ProtFlags, errno: Errno) -> Result<()> {
    let before = fs::read_to_string("/proc/self/maps")?;
    match Vma::map(file, offset, length, protection, flags) {
        Ok(_) => bail!("{length:#x} bytes at {offset:#x} were mapped"),
        Err(error) => ensure!(error == errno, "{length:#x} bytes at {offset:#x}: {error}, not {errno}"),
    }
    let after = fs::read_to_string("/proc/self/maps")?;
    let ours = |maps: &str| maps.lines().filter(|line| line.contains("/dev/map")).count();
    ensure!(ours(&before) == ours(&after), "the refused mapping exists: {after}");
    Ok(())
}

pub fn shared_fails(file: &File, offset: u64, length: usize, errno: Errno) -> Result<()> {
    fails(file, offset, length, MapFlags::MAP_SHARED, READ_WRITE, errno)
}

fn an_offset_within_a_page_is_einval(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let node = user::open()?;
    for offset in [1, 100, PAGE - 1, PAGE + 1] {
        shared_fails(&node, START + offset, SIZE, Errno::EINVAL)?;
    }
    Ok(())
}

fn an_empty_length_is_einval(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let node = user::open()?;
    shared_fails(&node, START, 0, Errno::EINVAL)
}

fn a_private_mapping_is_einval(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let node = user::open()?;
    let private = MapFlags::MAP_PRIVATE;
    fails(&node, START, SIZE, private, READ_WRITE, Errno::EINVAL)?;
    fails(&node, START, SIZE, private, ProtFlags::PROT_READ, Errno::EINVAL)?;
    let read_only = File::open("/dev/map")?;
    fails(&read_only, START, SIZE, private, READ_WRITE, Errno::EINVAL)
}

fn an_executable_mapping_is_eperm(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let node = user::open()?;
    let execute = ProtFlags::PROT_EXEC;
    for protection in [execute, execute | ProtFlags::PROT_READ, execute | READ_WRITE] {
        fails(&node, START, SIZE, MapFlags::MAP_SHARED, protection, Errno::EPERM)?;
    }
    // mprotect(2) does not allow it either.
    let vma = Vma::shared(&node, START, SIZE)?;
    let result = vma.protect(execute | READ_WRITE);
    ensure!(result == Err(Errno::EACCES), "mprotect(2) to executable: {result:?}");
    vma.protect(ProtFlags::PROT_READ)?;
    Ok(vma.protect(READ_WRITE)?)
}

fn an_address_that_the_processor_does_not_have_is_einval(_: &mut Host) -> Result<()> {
    let end = 1u64 << arch::address_bits()?;
    let _loaded = Loaded::new()?;
    let node = user::open()?;
    // The last page can be mapped; the test does not load from it, because no device answers.
    drop(Vma::shared(&node, end - PAGE, PAGE as usize)?);
    for (offset, pages) in [(end - PAGE, 2), (end, 1), (end * 2, 1), (1 << 62, 1), (u64::MAX - 4 * PAGE + 1, 1)] {
        shared_fails(&node, offset, pages * PAGE as usize, Errno::EINVAL)?;
    }
    Ok(())
}

fn a_range_that_wraps_is_refused(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let node = user::open()?;
    // The kernel itself refuses this, before it calls the driver.
    shared_fails(&node, LAST_PAGE, 2 * PAGE as usize, Errno::EOVERFLOW)?;
    shared_fails(&node, LAST_PAGE, SIZE, Errno::EOVERFLOW)
}

/// The ranges of System RAM, with their last addresses.
fn system_ram() -> Result<Vec<(u64, u64)>> {
    let regions = kernel::iomem()?.into_iter().filter(|region| region.name == "System RAM");
    let ranges: Vec<_> = regions.map(|region| (region.first, region.last)).collect();
    ensure!(ranges.len() >= 2, "/proc/iomem lists {ranges:x?}");
    Ok(ranges)
}

fn system_ram_is_eperm(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let node = user::open()?;
    for (first, last) in system_ram()? {
        let first = first.next_multiple_of(PAGE);
        let last_page = (last + 1) / PAGE * PAGE - PAGE;
        for offset in [first, (first + last_page) / 2 / PAGE * PAGE, last_page] {
            shared_fails(&node, offset, PAGE as usize, Errno::EPERM)?;
            fails(&node, offset, PAGE as usize, MapFlags::MAP_SHARED, ProtFlags::PROT_READ, Errno::EPERM)?;
        }
    }
    Ok(())
}

fn a_range_that_reaches_into_system_ram_is_eperm(host: &mut Host) -> Result<()> {
    let seed = 20;
    host.fill(seed)?;
    let _loaded = Loaded::new()?;
    let node = user::open()?;
    shared_fails(&node, START - PAGE, SIZE, Errno::EPERM)?;
    shared_fails(&node, START - PAGE, SIZE + 2 * PAGE as usize, Errno::EPERM)?;
    shared_fails(&node, START + PAGE, SIZE, Errno::EPERM)?;
    // A length that is rounded up to one page too many.
    shared_fails(&node, START, SIZE + 1, Errno::EPERM)?;
    host.changed(seed, &[], |_| 0)
}

fn an_open_without_cap_sys_rawio_is_eperm(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    // The permissions of the file must not decide this.
    fs::set_permissions("/dev/map", Permissions::from_mode(0o666))?;
    let refused = || i32::from(user::open_error() != Some(Errno::EPERM));
    succeeds_in_child(|| match caps::drop(None, CapSet::Effective, Capability::CAP_SYS_RAWIO) {
        Ok(()) => refused(),
        Err(_) => 2,
    })
    .context("root without CAP_SYS_RAWIO")?;
    succeeds_as_user(1000, refused).context("a user without any capability")?;
    succeeds_in_child(|| {
        let mut all = caps::all();
        all.retain(|capability| *capability != Capability::CAP_SYS_RAWIO);
        let others_gone = all.into_iter().try_for_each(|capability| caps::drop(None, CapSet::Effective, capability));
        i32::from(others_gone.is_err() || user::open().is_err())
    })
    .context("root with CAP_SYS_RAWIO alone")
}

fn a_refusal_is_logged_with_its_reason(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let node = user::open()?;
    fails(&node, START, SIZE, MapFlags::MAP_PRIVATE, READ_WRITE, Errno::EINVAL)?;
    kernel::logged(format!(
        "map: map-suite[{}]: mmap of {SIZE:#x} bytes at {START:#x} refused: a private mapping would never reach the memory",
        std::process::id()
    ))
}
