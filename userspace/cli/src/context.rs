// SPDX-License-Identifier: MIT OR Apache-2.0

//! What every command needs: the options, the device, and the output.

use std::cell::RefCell;
use std::io::Write;
use std::path::{Path, PathBuf};

use devmap::driver::Name;
use devmap::{page, Bulk, Device, Endian, Error, Kind, Mapping, OpenOptions, PhysRange, Width, DEFAULT_DEVICE};

use crate::args::{Options, ValueOptions};
use crate::base::{uio_map, Base};
use crate::catalog::Catalog;
use crate::failure::{self, Failure};
use crate::location::{Area, Location};
use crate::output::{Format, Output};
use crate::place::Extent;
use crate::sigbus::{self, Memory};
use crate::target::Located;
use crate::view::View;

/// The longest part of what has a name that places in it share one mapping of, in bytes.
const LONGEST_SHARED: u64 = 16 << 20;

/// Why an access to a device fails, and what to do.
const UNANSWERED: &str = "nothing answers at the address, or not to this width";
const MANUAL: &str = "see the device's manual";

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
    pub out: Output,
    /// How values are printed as text.
    pub format: Format,
    /// Where numbers without a name count from.
    start: Option<Location>,
    /// The peripheral that is there, whatever its description says, with its address in that.
    moved: RefCell<Option<(String, u64)>>,
    catalog: Catalog,
    width: Option<Width>,
    endian: Option<Endian>,
    sync_cache: bool,
    o_sync: bool,
    /// What is mapped for single values, so that many share a mapping.
    mapped: RefCell<Vec<(Area, Access, View)>>,
    /// What stays open, with what it was opened for.
    kept: RefCell<Vec<(Option<Base>, Access, &'static Device)>>,
}

impl Context {
    pub fn new(options: Options) -> Self {
        let Options { device, base, window, pci, values, format, svd, sync_cache, o_sync, json } = options;
        let ValueOptions { width, endian } = values;
        let first_of = |base| Location { base: Some(base), address: 0 };
        let start = base.or(window.map(Base::Window).map(first_of)).or(pci.map(first_of));
        let (out, kept, catalog) = (Output::new(json), RefCell::default(), Catalog::new(svd));
        Self {
            device,
            out,
            format,
            start,
            moved: RefCell::default(),
            catalog,
            width,
            endian,
            sync_cache,
            o_sync,
            mapped: RefCell::default(),
            kept,
        }
    }

    /// The width of a value.
    pub fn value_width(&self) -> Width {
        self.width.unwrap_or(Width::Bits32)
    }

    /// The width that --width gives for all accesses, if it is present.
    pub fn fixed_width(&self) -> Option<Width> {
        self.width
    }

    /// The byte order of a value.
    pub fn endian(&self) -> Endian {
        self.endian.unwrap_or_default()
    }

    /// The byte order that --endian gives, if it is present.
    pub fn fixed_endian(&self) -> Option<Endian> {
        self.endian
    }

    /// Sets the width and the byte order that options give, and returns those that were set before.
    pub fn set_values(&mut self, width: Option<Width>, endian: Option<Endian>) -> (Option<Width>, Option<Endian>) {
        (std::mem::replace(&mut self.width, width), std::mem::replace(&mut self.endian, endian))
    }

    /// The descriptions of registers.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Where --base says that the peripheral of this name and address begins, if it says it. There is only one.
    pub fn moved(&self, name: &str, address: u64) -> Result<Option<Location>, Failure> {
        let Some(start) = self.start else { return Ok(None) };
        let mut moved = self.moved.borrow_mut();
        match &*moved {
            Some((other, of_other)) if (other.as_str(), *of_other) != (name, address) => Err(Failure::Usage(format!(
                "--base, --window and --pci say where one peripheral begins, and {other} and {name} are two: name one of \
                 them, or say where each is, as in {name}@PLACE"
            ))),
            Some(_) => Ok(Some(start)),
            None => {
                *moved = Some((name.into(), address));
                Ok(Some(start))
            }
        }
    }

    /// `location`, from where --base says if it has no name.
    pub fn locate(&self, location: Location) -> Result<Location, Failure> {
        let Some(start) = self.start.filter(|_| location.base.is_none()) else { return Ok(location) };
        match start.address.checked_add(location.address) {
            Some(address) => Ok(Location { address, ..start }),
            None => Err(Failure::Usage(format!("{location} from {start} on goes beyond the last address"))),
        }
    }

    /// `area` in the same way.
    pub fn locate_area(&self, area: Area) -> Result<Area, Failure> {
        let Location { base, address } = self.locate(area.start())?;
        match PhysRange::new(address, area.range.length()) {
            Some(range) => Ok(Area { base, range }),
            None => Err(Failure::Usage(format!("{area} from --base on goes beyond the last address"))),
        }
    }

    /// Opens what `base` is in, or else the device.
    pub fn open(&self, base: Option<Base>, access: Access) -> Result<Device, Failure> {
        let mut options = Device::options().write(access == Access::Write);
        if self.o_sync {
            options = options.sync(true);
        }
        let base = match base {
            None | Some(Base::Absolute { .. }) => return Ok(options.open(&self.device)?),
            Some(base) => base,
        };
        // An address without its 0x may look like a name, but not where only a name can be.
        let is_option = self.start.is_some_and(|start| start.base == Some(base));
        let hint = if is_option { String::new() } else { hint(base) };
        if self.device != Path::new(DEFAULT_DEVICE) {
            let it_is = match base.path() {
                None => format!("the name of a window of {DEFAULT_DEVICE}"),
                Some(path) => format!("memory of {}", path.display()),
            };
            let device = self.device.display();
            return Err(Failure::Usage(format!("{base} is {it_is}, but the device is {device}{hint}")));
        }
        match base {
            Base::Window(name) => Self::open_window(&options, name, &hint),
            _ => Ok(options.open(base.path().unwrap_or_default())?),
        }
    }

    fn open_window(options: &OpenOptions, name: Name, hint: &str) -> Result<Device, Failure> {
        options.window(name.as_str()).map_err(|error| match error {
            // The window is unknown, and with `Open` the driver as well.
            Error::NoWindow { .. } | Error::Open { .. } if !hint.is_empty() => Failure::Usage(format!("{error}{hint}")),
            error => error.into(),
        })
    }

    /// Maps `extent` for reading.
    pub fn map_for_reading(&self, extent: impl Into<Extent>) -> Result<View, Failure> {
        self.map(self.locate_extent(extent.into(), Access::Read)?, Access::Read)
    }

    /// Maps `extent` for reading and writing.
    pub fn map_for_writing(&self, extent: impl Into<Extent>) -> Result<View, Failure> {
        self.map(self.locate_extent(extent.into(), Access::Write)?, Access::Write)
    }

    /// Maps all of `areas`, which were located. Those that lie on one page, or near each other in what has a name,
    /// share a mapping.
    pub fn map_each(&self, areas: &[Area], access: Access) -> Result<Vec<View>, Failure> {
        let mut hulls: Vec<Area> = Vec::new();
        for area in areas {
            match hulls.iter_mut().find_map(|hull| Some((joined(*hull, *area)?, hull))) {
                Some((all, hull)) => *hull = all,
                None => hulls.push(*area),
            }
        }
        let mut mapped = self.mapped.borrow_mut();
        let holds = |(of, how, _): &&(Area, Access, View), area: &Area| {
            (of.base, *how) == (area.base, access) && of.range.contains(&area.range)
        };
        for hull in hulls {
            if !mapped.iter().any(|one| holds(&one, &hull)) {
                mapped.push((hull, access, self.map(Located::Area(hull), access)?));
            }
        }
        let parts = areas.iter().map(|area| {
            let one = mapped.iter().find(|one| holds(one, area));
            let (hull, _, view) = one.expect("it lies in one of the hulls, and each is mapped");
            // What is mapped has offsets that fit.
            let start = (area.range.start() - hull.range.start()) as usize;
            Ok(view.slice(start..start + area.range.length() as usize)?)
        });
        parts.collect()
    }

    fn map(&self, located: Located, access: Access) -> Result<View, Failure> {
        let base = match located {
            Located::Area(area) | Located::Registers(area, _) => area.base,
            Located::Whole(base) => Some(base),
        };
        let width = match located {
            Located::Registers(_, width) => Some(width),
            _ => None,
        };
        // It says nothing about the device.
        let base = base.filter(|base| !matches!(base, Base::Absolute { .. }));
        let device = self.keep_open(base, access)?;
        // Ranges of a UIO device are physical.
        let uio = match (base, device.kind()) {
            (Some(Base::Uio { device, map }), Kind::Uio(maps)) => {
                Some(uio_map(device, maps, map).map_err(Failure::Usage)?)
            }
            _ => None,
        };
        let memory = uio.map(|map| map.range);
        // Another map may hold the same addresses.
        let map = |range| uio.map_or_else(|| device.map(range), |map| device.map_in(map, range));
        let origin = memory.map_or(0, |memory| memory.start());
        let mapping = match located {
            Located::Area(area @ Area { range, .. }) | Located::Registers(area @ Area { range, .. }, _) => {
                let moved = origin.checked_add(range.start()).and_then(|start| PhysRange::new(start, range.length()));
                let moved = moved.ok_or(Error::TooLong { range })?;
                let within = match area.base {
                    Some(Base::Absolute { within }) => within,
                    // The device may have another map behind it.
                    _ => memory,
                };
                if let Some(within) = within.filter(|within| !within.contains(&moved)) {
                    return Err(Failure::Usage(format!(
                        "{area} goes beyond the end of what has the name: it has {:#x} bytes",
                        within.length()
                    )));
                }
                map(moved)
            }
            Located::Whole(_) => memory.map_or_else(|| device.map_all(), map),
        }?;
        let (what, remedy) = match device.kind() {
            Kind::File => ("the file was truncated while mapped", "keep others from truncating it"),
            _ => (UNANSWERED, MANUAL),
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
        let fault =
            || line(["cannot access ", &path, ": an access fault (SIGSEGV): ", UNANSWERED, "; ", MANUAL].concat());
        let start = mapping.as_ptr().addr();
        sigbus::watch(Memory {
            device,
            range: mapping.range(),
            addresses: start..start + mapping.len(),
            fault: if sigbus::IS_SIGSEGV { fault() } else { String::new() },
            unanswered: line([error.as_str(), what, "; ", remedy].concat()),
            gone: line([error.as_str(), &window, " was removed; run the command again when it is back"].concat()),
        });
        self.before_loads(&mapping)?;
        Ok(View::new(device, mapping.with_endian(self.endian()), base, origin).with_width(width))
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

    /// Whether --sync-cache is given.
    pub fn syncs_cache(&self) -> bool {
        self.sync_cache
    }

    /// Opens what [`open`](Self::open) does, and never closes it: after a bus error it is asked for the reason. A
    /// command may name many places, so each window is opened only once.
    fn keep_open(&self, base: Option<Base>, access: Access) -> Result<&'static Device, Failure> {
        let mut kept = self.kept.borrow_mut();
        if let Some((_, _, device)) = kept.iter().find(|(of, how, _)| (*of, *how) == (base, access)) {
            return Ok(device);
        }
        let device = Box::leak(Box::new(self.open(base, access)?));
        kept.push((base, access, device));
        Ok(device)
    }

    /// Bulk operations on `view`, with accesses of the width that --width gives, or else that its registers have.
    pub fn bulk<'m>(&self, view: &'m View) -> Bulk<'m> {
        match self.width.or(view.width()) {
            Some(width) => view.bulk().with_width(width),
            None => view.bulk(),
        }
    }

    /// Prints a line on standard error that is no failure; with --json as an object.
    pub fn note(&self, text: &str) {
        failure::note(self.out.is_json(), "devmap", text);
    }

    /// Prints plain text.
    pub fn print(&mut self, text: &str) -> Result<(), Failure> {
        Ok(self.out.write_all(text.as_bytes())?)
    }
}

/// The range that holds both, if they may share a mapping.
fn joined(one: Area, other: Area) -> Option<Area> {
    let all = Area { base: one.base, range: one.range.hull(&other.range)? };
    let page_size = page::system();
    let near = match one.base {
        // Between two pages of the device there may be what it does not map.
        None | Some(Base::Absolute { .. }) => {
            page_size.round_down(all.range.start()) == page_size.round_down(all.range.last())
        }
        // All of it can be mapped, and only what is far apart takes page tables of its own.
        Some(_) => all.range.length() <= LONGEST_SHARED,
    };
    (one.base == other.base && near).then_some(all)
}

/// What to do if the name of `base` was meant to be an address, as the end of a line; nothing if it cannot have been
/// one.
fn hint(base: Base) -> String {
    match base {
        Base::Window(name) if name.as_str().chars().all(|c| c.is_ascii_hexdigit()) => {
            format!("; if it is an address, write 0x{name}")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::Args;
    use crate::place::{place, Place};

    fn area(text: &str) -> Area {
        match place(text).unwrap() {
            Place::Range(area) => area,
            other => panic!("{other:?} is no range"),
        }
    }

    #[test]
    fn what_lies_near_shares_a_mapping() {
        let page = page::system().bytes();
        let joined = |one: &str, other: &str| joined(area(one), area(other)).map(|area| area.to_string());
        assert_eq!(joined("0x10+4", "0x4+4"), Some("0x00000004-0x00000013".into()));
        // Between two pages of the device there may be an end of a window, or memory that is not to be mapped.
        assert_eq!(joined("0x10+4", &format!("{page}+4")), None);
        assert_eq!(joined("sdram+0x10+4", "sdram+1M+4"), Some("sdram+0x00000010-0x00100003".into()));
        assert_eq!(joined("sdram+0x10+4", "sdram+17M+4"), None);
        assert_eq!(joined("sdram+0x10+4", "regs+0x10+4"), None);
        assert_eq!(joined("sdram+0x10+4", "0x10+4"), None);
    }

    #[test]
    fn registers_where_a_description_has_them_share_one_page_only() {
        let page = page::system().bytes();
        let described = |text: &str| Area { base: Location::absolute(0).base, ..area(text) };
        let joined = |one: &str, other: &str| joined(described(one), described(other)).map(|area| area.range);
        assert_eq!(joined("0x10+4", "0x4+4"), PhysRange::new(4, 0x10));
        assert_eq!(joined("0x10+4", &format!("{page}+4")), None);
    }

    #[test]
    fn one_mapping_holds_the_places_on_a_page() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(0x2_0000).unwrap();
        let path = file.path().to_str().unwrap();
        let ctx = Context::new(Args::parse_from(["devmap", "--device", path]).options);
        let areas = ["0x10+4", "0x10000+4", "0x4+4", "0x10800+2"].map(area);
        let views = ctx.map_each(&areas, Access::Write).unwrap();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        assert_eq!(maps.lines().filter(|line| line.ends_with(path)).count(), 2, "{maps}");
        let found: Vec<_> = views.iter().map(|view| (view.at(0).address, view.len())).collect();
        assert_eq!(found, [(0x10, 4), (0x1_0000, 4), (4, 4), (0x1_0800, 2)]);
    }
}
