// SPDX-License-Identifier: MIT OR Apache-2.0

//! `completions` and `man`, from the definition of the arguments.
//!
//! The completion script of a shell only calls the program, which then proposes the words: the commands and options
//! that are in the definition, and the names that there are at that moment.

use std::path::{Path, PathBuf};
use std::{env, fs, iter};

use clap::{Command, CommandFactory};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Shells};
use clap_complete::Shell;
use devmap::driver::{self, Name};
use devmap::{Device, Error};

use crate::args::Args;
use crate::base::Base;
use crate::context::Context;
use crate::failure::Failure;
use crate::iomem;
use crate::place::place;

/// The environment variable that names the shell for which a completion script calls the program.
const REQUEST: &str = "DEVMAP_COMPLETE";

/// Where sysfs lists UIO devices, and PCI devices.
const UIO: &str = "/sys/class/uio";
const PCI: &str = "/sys/bus/pci/devices";

/// Proposes words and ends the process, if a completion script has called it.
pub fn complete() {
    // clap_complete looks for the variable only after the arguments and the current directory.
    if env::var_os(REQUEST).is_some() {
        CompleteEnv::with_factory(shown).var(REQUEST).complete();
    }
}

/// The definition without hidden commands, which clap_complete proposes where no other begins with the same letters.
fn shown() -> Command {
    let whole = Args::command();
    let commands = whole.get_subcommands().filter(|command| !command.is_hide_set());
    Command::new("devmap").version(env!("CARGO_PKG_VERSION")).args(whole.get_arguments()).subcommands(commands)
}

/// Proposes the names that a place can begin with.
pub fn places() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        // Others begin with what numbers or options begin with.
        let is_place = |name: &Name| place(name.as_str()).is_ok_and(|place| place.base() == Some(Base::Window(*name)));
        let windows = names().into_iter().filter(is_place).map(|name| name.to_string());
        let all = windows.chain(uio_maps(Path::new(UIO))).chain(bars(Path::new(PCI))).chain(iomem_names());
        all.map(CompletionCandidate::new).collect()
    })
}

/// Proposes all windows.
pub fn windows() -> ArgValueCandidates {
    ArgValueCandidates::new(|| names().iter().map(|name| CompletionCandidate::new(name.as_str())).collect())
}

/// Proposes what may have interrupts.
pub fn interrupts() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let windows = names().into_iter().flat_map(|name| interrupts_of(&name));
        windows.chain(uio_devices(Path::new(UIO))).map(CompletionCandidate::new).collect()
    })
}

/// The window, if it has interrupts, and each of several.
fn interrupts_of(window: &Name) -> Vec<String> {
    let device = Device::window_read_only(window.as_str()).and_then(|device| device.interrupts());
    let interrupts = match &device {
        Ok(interrupts) if interrupts.iter().len() > 1 => interrupts.iter().as_slice(),
        // It cannot be told for whoever may not open it.
        Ok(_) | Err(Error::OpenWindow { .. }) => &[],
        Err(_) => return Vec::new(),
    };
    let each = interrupts.iter().map(|interrupt| format!("{window}/{interrupt}")).filter(|name| is_word(name));
    iter::once(window.to_string()).chain(each).collect()
}

/// All UIO devices.
fn uio_devices(class: &Path) -> Vec<String> {
    let names = entries(class).into_iter().filter_map(|device| Some(device.file_name()?.to_str()?.to_owned()));
    names.collect()
}

/// The names of the windows; none if the driver cannot be asked, since nobody would read an error here.
fn names() -> Vec<Name> {
    driver::names().unwrap_or_default()
}

/// The maps of all UIO devices, by their names or else numbers.
fn uio_maps(class: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for device in entries(class) {
        let Some(name) = device.file_name().and_then(|name| name.to_str()) else { continue };
        for map in entries(&device.join("maps")) {
            let called = fs::read_to_string(map.join("name")).unwrap_or_default();
            let number = map.file_name().and_then(|map| map.to_str()?.strip_prefix("map")).unwrap_or_default();
            found.push(format!("{name}/{}", if is_word(called.trim()) { called.trim() } else { number }));
        }
    }
    found
}

/// The BARs of all PCI devices that can be mapped.
fn bars(devices: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for device in entries(devices) {
        let Some(address) = device.file_name().and_then(|name| name.to_str()) else { continue };
        let is_there = |bar: &usize| device.join(format!("resource{bar}")).exists();
        found.extend((0..6).filter(is_there).map(|bar| format!("pci/{address}/{bar}")));
    }
    found
}

/// The names in /proc/iomem that are words, and those of one range.
fn iomem_names() -> Vec<String> {
    let lines = iomem::read().unwrap_or_default();
    let is_usable = |name: &&str| is_word(name) && iomem::find_in(&lines, name).is_ok();
    let names = lines.iter().map(|line| line.name.as_str()).filter(is_usable);
    names.map(|name| format!("iomem/{name}")).collect()
}

/// Whether a shell takes it for one word.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@/".contains(&byte))
}

/// What is in a directory; nothing if there is none.
fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Prints the completion script for `shell`.
pub fn completions(ctx: &mut Context, shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    let shells = Shells::builtins();
    let completer = shells.completer(&shell.to_string()).expect("every shell that clap lists has a completer");
    completer.write_registration(REQUEST, "devmap", "devmap", "devmap", &mut script)?;
    ctx.print(&String::from_utf8_lossy(&script))
}

/// Writes one page for the program and one for each command into `directory`.
pub fn man(directory: &Path) -> Result<(), Failure> {
    clap_mangen::generate_to(Args::command(), directory).map_err(Failure::file("write man pages to", directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sysfs_lists_is_proposed() {
        let sysfs = tempfile::tempdir().unwrap();
        for (map, name) in [("uio0/maps/map0", "regs"), ("uio0/maps/map1", "two words"), ("uio1/maps/map0", "")] {
            let directory = sysfs.path().join(map);
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("name"), format!("{name}\n")).unwrap();
        }
        assert_eq!(uio_maps(sysfs.path()), ["uio0/regs", "uio0/1", "uio1/0"]);
        assert_eq!(uio_devices(sysfs.path()), ["uio0", "uio1"]);
        let devices = tempfile::tempdir().unwrap();
        let device = devices.path().join("0000:00:04.0");
        fs::create_dir(&device).unwrap();
        for file in ["resource", "resource0", "resource0_wc", "resource2"] {
            fs::write(device.join(file), "").unwrap();
        }
        assert_eq!(bars(devices.path()), ["pci/0000:00:04.0/0", "pci/0000:00:04.0/2"]);
        assert_eq!(uio_maps(Path::new("/no/such/directory")), [""; 0]);
    }
}
