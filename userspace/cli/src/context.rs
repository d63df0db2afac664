// SPDX-License-Identifier: MIT OR Apache-2.0

//! What every command needs: the options, the device, and the output.

use std::cell::RefCell;
use std::io::Write;
use std::path::{Path, PathBuf};

use devmap::driver::Name;
use devmap::{Bulk, Device, Endian, Error, Kind, Mapping, Width, DEFAULT_DEVICE};

use crate::args::Options;
use crate::failure::{self, Failure};
use crate::location::Location;
use crate::output::Output;
use crate::place::Extent;
use crate::sigbus::{self, Memory};

/// What a device is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    /// Reading as well.
    Write,
}

/// The options, validated, and standard output.
pub struct Context {
    pub device: PathBuf,
    pub endian: Endian,
    pub out: Output,
    /// The window that numbers without a name are offsets in.
    window: Option<Name>,
    width: Option<Width>,
    sync_cache: bool,
    /// What stays open, with what it was opened for.
    kept: RefCell<Vec<(Option<Name>, Access, &'static Device)>>,
}

impl Context {
    pub fn new(options: Options) -> Self {
        let Options { device, window, width, endian, sync_cache, json } = options;
        Self { device, endian, out: Output::new(json), window, width, sync_cache, kept: RefCell::default() }
    }

    /// The width of a value.
    pub fn value_width(&self) -> Width {
        self.width.unwrap_or(Width::Bits32)
    }

    /// The width that --width gives for all accesses, if it is present.
    pub fn fixed_width(&self) -> Option<Width> {
        self.width
    }

    /// `location`, in the window that --window names if it names none.
    pub fn locate(&self, location: Location) -> Location {
        Location { window: location.window.or(self.window), ..location }
    }

    /// Opens the window called `window`, or the one that --window names, or else the device.
    pub fn open(&self, window: Option<Name>, access: Access) -> Result<Device, Failure> {
        // An address without its 0x may look like a name.
        let hint = window.map(hint).unwrap_or_default();
        let Some(name) = window.or(self.window) else {
            return Ok(match access {
                Access::Read => Device::open_read_only(&self.device),
                Access::Write => Device::open(&self.device),
            }?);
        };
        if self.device != Path::new(DEFAULT_DEVICE) {
            return Err(Failure::Usage(format!(
                "{name} is the name of a window of {DEFAULT_DEVICE}, but the device is {}{}",
                self.device.display(),
                hint
            )));
        }
        let opened = match access {
            Access::Read => Device::window_read_only(name.as_str()),
            Access::Write => Device::window(name.as_str()),
        };
        opened.map_err(|error| match error {
            // The window is unknown, and with `Open` the driver as well.
            Error::NoWindow { .. } | Error::Open { .. } if !hint.is_empty() => Failure::Usage(format!("{error}{hint}")),
            error => error.into(),
        })
    }

    /// Maps `extent` for reading.
    pub fn map_for_reading(&self, extent: impl Into<Extent>) -> Result<Mapping, Failure> {
        self.map(extent.into(), Access::Read)
    }

    /// Maps `extent` for reading and writing.
    pub fn map_for_writing(&self, extent: impl Into<Extent>) -> Result<Mapping, Failure> {
        self.map(extent.into(), Access::Write)
    }

    fn map(&self, extent: Extent, access: Access) -> Result<Mapping, Failure> {
        let device = match extent {
            Extent::Area(area) => self.keep_open(area.window, access),
            Extent::Window(name) => self.keep_open(Some(name), access),
        }?;
        let mapping = match extent {
            Extent::Area(area) => device.map(area.range),
            Extent::Window(_) => device.map_all(),
        }?;
        let (what, remedy) = match device.kind() {
            Kind::File => ("the file was truncated while mapped", "keep others from truncating it"),
            _ => ("nothing answers at the address, or not to this width", "see the device's manual"),
        };
        let window = match (mapping.window(), device.kind()) {
            (Some(window), _) if !window.name.is_empty() => format!("the window {}", window.name),
            // It is not in a window.
            (_, Kind::File) => String::new(),
            _ => format!("the window of {}", mapping.range()),
        };
        // Joined, not formatted: that would take a third of what a small command does beyond its start.
        let path = device.path().to_string_lossy();
        let error = ["cannot access ", path.as_ref(), ": a bus error (SIGBUS): "].concat();
        let line = |error: String| failure::line(self.out.is_json(), "devmap", &error, Failure::ABSENT);
        sigbus::watch(Memory {
            device,
            range: mapping.range(),
            unanswered: line([error.as_str(), what, "; ", remedy].concat()),
            gone: line([error.as_str(), &window, " was removed; run the command again when it is back"].concat()),
        });
        self.before_loads(&mapping)?;
        Ok(mapping.with_endian(self.endian))
    }

    /// With --sync-cache, makes the next loads fetch what is in the memory. A new mapping needs no call.
    pub fn before_loads(&self, mapping: &Mapping) -> Result<(), Failure> {
        if self.sync_cache {
            mapping.invalidate(0, mapping.len())?;
        }
        Ok(())
    }

    /// With --sync-cache, brings `length` bytes that were stored from `offset` on into the memory, from where --verify
    /// then loads them.
    pub fn after_stores(&self, mapping: &Mapping, offset: usize, length: usize) -> Result<(), Failure> {
        if self.sync_cache {
            mapping.clean_invalidate(offset, length)?;
        }
        Ok(())
    }

    /// Opens what [`open`](Self::open) does, and never closes it: after a bus error it is asked for the reason. A
    /// command may name many places, so each window is opened only once.
    fn keep_open(&self, window: Option<Name>, access: Access) -> Result<&'static Device, Failure> {
        let mut kept = self.kept.borrow_mut();
        if let Some((_, _, device)) = kept.iter().find(|(of, how, _)| (*of, *how) == (window, access)) {
            return Ok(device);
        }
        let device = Box::leak(Box::new(self.open(window, access)?));
        kept.push((window, access, device));
        Ok(device)
    }

    /// Bulk operations on `mapping`, with accesses of the width that --width gives.
    pub fn bulk<'m>(&self, mapping: &'m Mapping) -> Bulk<'m> {
        match self.width {
            Some(width) => mapping.bulk().with_width(width),
            None => mapping.bulk(),
        }
    }

    /// Prints plain text.
    pub fn print(&mut self, text: &str) -> Result<(), Failure> {
        Ok(self.out.write_all(text.as_bytes())?)
    }
}

/// What to do if `name` was meant to be an address, as the end of a line; nothing if it cannot have been one.
fn hint(name: Name) -> String {
    let name = name.as_str();
    if name.chars().all(|c| c.is_ascii_hexdigit()) {
        format!("; if it is an address, write 0x{name}")
    } else {
        String::new()
    }
}
