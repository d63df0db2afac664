// SPDX-License-Identifier: MIT OR Apache-2.0

//! Invalid windows of the device tree, which `qemu/kernel/tree-wrong.dtso` describes.

use std::{fs, path::Path};

use anyhow::{ensure, Result};
use map_core::{
    dt::{self, NodeError, NodeErrorKind},
    Refusal,
};
use nix::errno::Errno;

use crate::{
    arch,
    dt::{Snapshot, DRIVER},
    host::{Host, START},
    kernel::{self, Loaded},
    user,
    vma::Vma,
};

crate::tests! {
    every_mistake_is_named_and_gives_no_window,
    a_tree_with_nothing_but_mistakes_is_no_raw_mode,
    the_parameter_works_beside_a_wrong_tree,
    mistakes_leave_no_trace,
}

/// Each device, the node below it, and its mistake.
fn mistakes() -> Vec<(&'static str, &'static str, NodeError)> {
    let error = |property, kind| NodeError { property, kind, page_size: 4096 };
    let memory = |kind| error(dt::MEMORY_REGION, kind);
    let reg = |kind| error(dt::REG, kind);
    let names = |kind| error(dt::INTERRUPT_NAMES, kind);
    vec![
        ("windows-no-place", "window", memory(NodeErrorKind::PlaceMissing)),
        ("windows-two-places", "window@d0000000", reg(NodeErrorKind::PlaceTwice)),
        ("windows-two-regions", "window", memory(NodeErrorKind::Several)),
        ("windows-two-addresses", "window@d0000000", reg(NodeErrorKind::Several)),
        ("windows-not-reserved", "window", memory(NodeErrorKind::NotReserved)),
        ("windows-reserved-but-off", "window", memory(NodeErrorKind::NotReserved)),
        ("windows-no-ranges", "window@d0000000", reg(NodeErrorKind::NoAddress)),
        ("windows-empty", "window@d0000000", reg(NodeErrorKind::Empty)),
        ("windows-odd-start", "window@d0000010", reg(NodeErrorKind::StartUnaligned)),
        ("windows-odd-size", "window@d0000000", reg(NodeErrorKind::SizeUnaligned)),
        ("windows-bad-label", "window", error(dt::LABEL, NodeErrorKind::Name)),
        ("windows-bad-name", "Window", error(dt::LABEL, NodeErrorKind::NameMissing)),
        ("windows-bad-cache", "window", error(dt::CACHE, NodeErrorKind::CacheMode)),
        ("windows-two-caches", "window", error(dt::CACHE, NodeErrorKind::CacheMode)),
        ("windows-always-huge", "window", error(dt::HUGE, NodeErrorKind::Huge)),
        ("windows-not-read-only", "window", error(dt::READ_ONLY, NodeErrorKind::Value)),
        ("windows-not-shared", "window", error(dt::SHARED, NodeErrorKind::Value)),
        ("windows-half-interrupt", "window", error(dt::INTERRUPTS, NodeErrorKind::InterruptsLength)),
        ("windows-no-controller", "window", error(dt::INTERRUPTS_EXTENDED, NodeErrorKind::InterruptsExtended)),
        ("windows-many-interrupts", "window", error(dt::INTERRUPTS, NodeErrorKind::TooManyInterrupts)),
        ("windows-bad-interrupt-name", "window", names(NodeErrorKind::InterruptName)),
        ("windows-twin-interrupts", "window", names(NodeErrorKind::InterruptNameTwice)),
        ("windows-few-interrupt-names", "window", names(NodeErrorKind::InterruptNamesNumber)),
        ("windows-nameless-interrupts", "window", names(NodeErrorKind::InterruptNamesNumber)),
        ("windows-one-of-two", "bad", error(dt::CACHE, NodeErrorKind::CacheMode)),
    ]
}

/// Each device, the line in the log about its windows as a whole, and the error of its probe.
fn misfits() -> Result<Vec<(&'static str, String, Errno)>> {
    let ram = Refusal::SystemRam;
    let last = (1u64 << arch::address_bits()?) - 1;
    Ok(vec![
        (
            "windows-beyond",
            format!("the window window@0x100000000000000+0x1000 ends beyond {last:#x}"),
            Errno::EINVAL,
        ),
        ("windows-overlap", "the windows one@0xd0000000+0x2000 and two@0xd0001000+0x1000 overlap".into(), Errno::EINVAL),
        ("windows-namesakes", "window@0xd0001000+0x1000 have the same name".into(), Errno::EINVAL),
        (
            "windows-ram",
            format!("window@0xc0500000+0x10000: {ram}; if it is the memory of a node in /reserved-memory, give that node no-map"),
            Errno::EPERM,
        ),
        (
            "windows-claimed",
            format!(
                "uart@{:#x}+0x1000: a part of it is claimed already, see /proc/iomem; the property map,shared",
                arch::UART
            ),
            Errno::EBUSY,
        ),
    ])
}

fn every_mistake_is_named_and_gives_no_window(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    let log = kernel::log_since("map-suite:")?;
    let says = |words: &str| {
        ensure!(log.contains(words), "the log does not say {words:?}:\n{log}");
        Ok(())
    };
    let mistakes = mistakes();
    for (device, node, error) in &mistakes {
        says(&format!("map {device}: /{device}/{node}: {error}\n"))?;
        says(&format!("map {device}: probe with driver map failed with error -22\n"))?;
    }
    let misfits = misfits()?;
    for (device, words, errno) in &misfits {
        let line = log.lines().find(|line| line.contains(&format!("map {device}: ")));
        ensure!(line.is_some_and(|line| line.contains(words)), "of {device} the log says {line:?}, not {words:?}");
        says(&format!("map {device}: probe with driver map failed with error -{}\n", *errno as i32))?;
    }
    let devices = mistakes.iter().map(|mistake| mistake.0).chain(misfits.iter().map(|misfit| misfit.0));
    for device in devices {
        ensure!(Path::new("/sys/bus/platform/devices").join(device).exists(), "there is no device {device}");
        ensure!(!Path::new(DRIVER).join(device).exists(), "{device} is bound");
    }
    // No other device failed.
    let failed = log.matches("probe with driver map failed").count();
    ensure!(failed == mistakes.len() + misfits.len(), "{failed} devices failed:\n{log}");
    Snapshot::now()?.are(&[])
}

fn a_tree_with_nothing_but_mistakes_is_no_raw_mode(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::new()?;
    kernel::logged("map: there are no windows yet")?;
    let node = user::open()?;
    for start in [START, 0xc040_0000, 0xd000_0000] {
        let result = Vma::shared(&node, start, 4096).map(drop);
        ensure!(result == Err(Errno::EPERM), "{start:#x}: {result:?}");
    }
    Ok(())
}

fn the_parameter_works_beside_a_wrong_tree(_: &mut Host) -> Result<()> {
    let _loaded = Loaded::with(&["windows=sdram@0xc0000000+3M:wc"])?;
    Snapshot::now()?.are(&["sdram@0xc0000000+0x300000:wc"])?;
    Vma::shared(&user::open()?, START, 4096)?;
    Ok(())
}

fn mistakes_leave_no_trace(_: &mut Host) -> Result<()> {
    let before = kernel::traces()?;
    let iomem = fs::read_to_string("/proc/iomem")?;
    {
        let _loaded = Loaded::new()?;
        let now = fs::read_to_string("/proc/iomem")?;
        ensure!(now == iomem, "before:\n{iomem}\nloaded:\n{now}");
    }
    let after = kernel::traces()?;
    kernel::unchanged(&before, &after)
}
