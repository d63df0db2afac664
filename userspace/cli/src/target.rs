// SPDX-License-Identifier: MIT OR Apache-2.0

//! Places in memory, with everything that is known of them.

use std::collections::BTreeMap;

use devmap::registers::{DescriptionError, Field, Item, Peripheral, Register};
use devmap::{Endian, PhysRange, Width};

use crate::base::Base;
use crate::context::{Access, Context};
use crate::failure::Failure;
use crate::location::{Area, Location};
use crate::place::{self, Extent, Place};
use crate::symbol::Symbol;

/// A place whose names are resolved.
pub struct Target {
    /// It is no name.
    pub place: Place,
    pub width: Width,
    pub endian: Endian,
    /// What a description says of it.
    pub known: Option<Known>,
}

/// A range whose names are resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Located {
    Area(Area),
    /// Registers, whose accesses have this width.
    Registers(Area, Width),
    /// All of it.
    Whole(Base),
}

/// A register of a description, and perhaps a field or some bits of it.
#[derive(Clone, Debug)]
pub struct Known {
    pub register: Register<'static>,
    pub field: Option<Field<'static>>,
    bits: Option<place::Field>,
    /// Where its peripheral is, if not where the description says.
    at: Option<Location>,
}

/// What a command does with registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Read,
    /// Also those that reading changes, if many are named at once.
    ReadAll,
    Write,
    /// Reads first.
    Change,
}

impl Purpose {
    fn writes(self) -> bool {
        matches!(self, Self::Write | Self::Change)
    }
}

impl Context {
    /// Resolves the names of `places`. A peripheral or pattern stands for all its registers that can be read: at least
    /// one.
    pub fn targets(&self, places: &[Place], purpose: Purpose) -> Result<Vec<Target>, Failure> {
        let mut targets = Vec::with_capacity(places.len());
        for &place in places {
            match place {
                Place::Register(symbol) => self.resolve(symbol, purpose, &mut targets)?,
                _ => {
                    let (place, width) = (self.locate_place(place)?, self.value_width());
                    targets.push(Target { place, width, endian: self.endian(), known: None });
                }
            }
        }
        if targets.is_empty() && !places.is_empty() {
            return Err(Failure::Usage("there is nothing to read: all was left out, for the reasons above".into()));
        }
        Ok(targets)
    }

    /// The target of one place; an error for what stands for several registers.
    pub fn target(&self, place: Place, purpose: Purpose) -> Result<Target, Failure> {
        if let Place::Register(symbol) = place {
            if symbol.is_pattern() || matches!(self.catalog().find(symbol.path)?, Item::Peripheral(_)) {
                return Err(Failure::Usage(format!("{symbol} stands for several registers: give the name of one")));
            }
        }
        Ok(self.targets(&[place], purpose)?.remove(0))
    }

    /// `place` without names of registers.
    pub fn plain(&self, place: Place) -> Result<Place, Failure> {
        match place {
            Place::Register(symbol) => Ok(Place::Range(self.area_of(symbol)?)),
            place => Ok(place),
        }
    }

    /// All bytes of the register or peripheral that has this name, also those that must not be read.
    pub fn area_of(&self, symbol: Symbol) -> Result<Area, Failure> {
        self.area_of_item(symbol, &self.catalog().find(symbol.path)?)
    }

    fn area_of_item(&self, symbol: Symbol, item: &Item<'static>) -> Result<Area, Failure> {
        match (item, symbol.bits) {
            (Item::Peripheral(peripheral), None) => self.block(symbol, peripheral),
            (Item::Register(register), None) => {
                self.address(symbol, register)?.area(register.width().bytes()).map_err(Failure::Usage)
            }
            _ => Err(Failure::Usage(format!("{symbol} is a part of a register: read it, or name the register"))),
        }
    }

    /// The bytes, and the registers in them that are described rightly.
    fn area_and_registers(&self, symbol: Symbol) -> Result<(Area, Vec<Register<'static>>), Failure> {
        let item = self.catalog().find(symbol.path)?;
        let area = self.area_of_item(symbol, &item)?;
        let (mut registers, mut faults) = (Vec::new(), Vec::new());
        match item {
            Item::Peripheral(peripheral) => {
                for register in peripheral.registers() {
                    match register {
                        Ok(register) => registers.push(register),
                        Err(fault) => faults.push(fault),
                    }
                }
            }
            Item::Register(register) => registers.push(register),
            Item::Field(_) => (),
        }
        self.note_faults("loaded without its description", &faults);
        Ok((area, registers))
    }

    /// Says of what is described wrongly what becomes of it.
    pub fn note_faults(&self, what: &str, faults: &[DescriptionError]) {
        // The elements of an array have one description.
        let mut texts: Vec<_> = faults.iter().map(DescriptionError::to_string).collect();
        texts.dedup();
        texts.iter().for_each(|text| self.note(&format!("{what}: {text}")));
    }

    fn resolve(&self, symbol: Symbol, purpose: Purpose, targets: &mut Vec<Target>) -> Result<(), Failure> {
        let (items, mut faults) = if symbol.is_pattern() {
            self.catalog().search(symbol.path)?
        } else {
            (vec![self.catalog().find(symbol.path)?], Vec::new())
        };
        let several = symbol.is_pattern() || matches!(items[..], [Item::Peripheral(_)]);
        if symbol.bits.is_some() && !matches!(items[..], [Item::Register(_)]) {
            return Err(Failure::Usage(format!(
                "{symbol}: only one register has bits by number: give the name of one"
            )));
        }
        let known = |register, field| Known { register, field, bits: symbol.bits, at: symbol.at };
        let mut found = Vec::new();
        for item in items {
            match item {
                Item::Peripheral(peripheral) => {
                    for register in peripheral.registers() {
                        match register {
                            Ok(register) => found.push(known(register, None)),
                            Err(fault) => faults.push(fault),
                        }
                    }
                }
                Item::Register(register) => found.push(known(register, None)),
                Item::Field(field) => found.push(known(field.register().clone(), Some(field))),
            }
        }
        if found.is_empty() {
            // The fault hides nothing.
            let none = || Failure::Usage(format!("{symbol} has no registers in the description: give addresses"));
            return Err(faults.into_iter().next().map_or_else(none, Failure::from));
        }
        self.note_faults("left out", &faults);
        // One that is read together with another one that is there, too, changes with it.
        let mut changed: BTreeMap<&str, Vec<Register<'static>>> = BTreeMap::new();
        if several && purpose == Purpose::Read {
            for known in &found {
                let peripheral = known.register.peripheral();
                changed.entry(peripheral.name()).or_insert_with(|| changed_by_reading(peripheral));
            }
        }
        for known in &found {
            let others = changed.get(known.register.peripheral().name());
            let is_changed = others.is_some_and(|others| others.iter().any(|other| overlap(other, &known.register)));
            self.push(symbol, known, purpose, (several, is_changed), targets)?;
        }
        Ok(())
    }

    /// Adds a target, unless it is one of several that cannot be read, or that reading changes.
    fn push(
        &self,
        symbol: Symbol,
        known: &Known,
        purpose: Purpose,
        (several, is_changed): (bool, bool),
        targets: &mut Vec<Target>,
    ) -> Result<(), Failure> {
        let refusal = match purpose {
            Purpose::Write | Purpose::Change => known.refuses_writing(purpose == Purpose::Change),
            Purpose::Read | Purpose::ReadAll => known.refuses_reading().or_else(|| {
                is_changed
                    .then(|| format!("reading {} changes the device: give --force, or its name alone", known.path()))
            }),
        };
        match refusal {
            Some(why) if several && !purpose.writes() => {
                self.note(&format!("left out: {why}"));
                return Ok(());
            }
            Some(why) => return Err(Failure::Usage(why)),
            None => (),
        }
        let register = &known.register;
        let location = self.address(symbol, register)?;
        let place = match (&known.field, known.bits) {
            (Some(field), _) => Place::Field(location, place::Field { high: field.high(), low: field.low() }),
            (None, Some(bits)) => Place::Field(location, bits),
            (None, None) => Place::Address(location),
        };
        let width = register.width();
        if self.fixed_width().is_some_and(|fixed| fixed != width) {
            return Err(Failure::Usage(format!("{} has {width}: omit --width", register.path())));
        }
        let endian = match (register.endian(), self.fixed_endian()) {
            (Endian::Native, _) => self.endian(),
            (endian, Some(fixed)) if fixed.is_big() != endian.is_big() => {
                let order = if endian.is_big() { "big" } else { "little" };
                return Err(Failure::Usage(format!("{} is {order}-endian: omit --endian", register.path())));
            }
            (endian, _) => endian,
        };
        targets.push(Target { place, width, endian, known: Some(known.clone()) });
        Ok(())
    }

    /// Where the peripheral begins: where the name, or else --base, or else the description says.
    fn start_of(&self, symbol: Symbol, peripheral: &Peripheral<'static>) -> Result<Location, Failure> {
        let said = match symbol.at {
            Some(at) => Some(at),
            None => self.moved(peripheral.name(), peripheral.base())?,
        };
        Ok(said.map_or(Location::absolute(peripheral.base()), settled))
    }

    /// Where the register is, from where its peripheral begins.
    pub fn address(&self, symbol: Symbol, register: &Register<'static>) -> Result<Location, Failure> {
        let start = self.start_of(symbol, register.peripheral())?;
        match start.address.checked_add(register.offset()) {
            Some(address) => Ok(Location { address, ..start }),
            None => Err(Failure::Usage(format!("{} from {start} on goes beyond the last address", register.path()))),
        }
    }

    /// The bytes of a peripheral.
    pub fn block(&self, symbol: Symbol, peripheral: &Peripheral<'static>) -> Result<Area, Failure> {
        let range = peripheral.range()?;
        let start = self.start_of(symbol, peripheral)?;
        match PhysRange::new(start.address, range.length()) {
            Some(range) => Ok(Area { base: start.base, range }),
            None => Err(Failure::Usage(format!("{} from {start} on goes beyond the last address", peripheral.name()))),
        }
    }

    /// `place`, from where --base says if it has no name.
    fn locate_place(&self, place: Place) -> Result<Place, Failure> {
        Ok(match place {
            Place::Address(location) => Place::Address(self.locate(location)?),
            Place::Field(location, field) => Place::Field(self.locate(location)?, field),
            Place::Range(area) => Place::Range(self.locate_area(area)?),
            Place::Register(_) => place,
        })
    }

    /// `extent` in the same way. What has the name of a register is for reading.
    pub fn locate_extent(&self, extent: Extent, access: Access) -> Result<Located, Failure> {
        match extent {
            Extent::Area(area) => self.locate_area(area).map(Located::Area),
            Extent::Register(symbol) if access == Access::Write => {
                Err(Failure::Usage(format!("{symbol} is the name of a register: write it, or give addresses")))
            }
            Extent::Register(symbol) => {
                let (area, registers) = self.area_and_registers(symbol)?;
                if let Some(why) = registers.iter().find_map(|register| refuses_bulk(register, registers.len() > 1)) {
                    return Err(Failure::Usage(why));
                }
                Ok(Located::Registers(area, self.common_width(symbol, &registers)?))
            }
            Extent::Whole(base) => Ok(Located::Whole(base)),
        }
    }

    /// The width of all these registers, which `symbol` stands for.
    fn common_width(&self, symbol: Symbol, registers: &[Register<'static>]) -> Result<Width, Failure> {
        let mut widths: Vec<_> = registers.iter().map(Register::width).collect();
        widths.dedup();
        match (self.fixed_width(), &widths[..]) {
            (Some(width), _) | (None, &[width]) => Ok(width),
            (None, []) => Err(Failure::Usage(format!("{symbol} has no registers of known width: give --width"))),
            _ => Err(Failure::Usage(format!("{symbol} has registers of several widths: give --width"))),
        }
    }
}

/// `start`, which --base does not move any more.
fn settled(start: Location) -> Location {
    match start.base {
        None => Location::absolute(start.address),
        Some(_) => start,
    }
}

/// The registers of a peripheral that reading changes.
fn changed_by_reading(peripheral: &Peripheral<'static>) -> Vec<Register<'static>> {
    peripheral.registers().flatten().filter(is_changed_by_reading).collect()
}

fn is_changed_by_reading(register: &Register<'static>) -> bool {
    register.read_action().is_some() || register.fields().any(|field| field.read_action().is_some())
}

/// Why the bytes of the register cannot be read, alone or among `others`, if they cannot.
fn refuses_bulk(register: &Register<'static>, others: bool) -> Option<String> {
    let path = register.path();
    if is_changed_by_reading(register) {
        return Some(format!("reading {path} changes the device: read it by its name, or give addresses without it"));
    }
    (!register.access().can_read()).then(|| match others {
        true => format!("{path} is write-only: read the others by their names, or give addresses without it"),
        false => format!("{path} is write-only: it cannot be read"),
    })
}

/// Whether they have bytes in common.
fn overlap(one: &Register<'static>, other: &Register<'static>) -> bool {
    let end = |register: &Register<'static>| register.offset() + register.width().bytes() as u64;
    one.offset() < end(other) && other.offset() < end(one)
}

impl Target {
    /// Its bytes.
    pub fn area(&self) -> Result<Area, Failure> {
        self.place.area(self.width).map_err(Failure::Usage)
    }
}

impl Known {
    /// Its path in the description, with its bits.
    pub fn path(&self) -> String {
        match (&self.field, self.bits) {
            (Some(field), _) => field.path().into(),
            (None, Some(bits)) => format!("{}{bits}", self.register.path()),
            (None, None) => self.register.path().into(),
        }
    }

    /// Its path as the arguments have it: with where its peripheral is, and with its bits.
    pub fn argument(&self) -> String {
        self.at_its_place(self.path())
    }

    /// The same of the whole register.
    pub fn register_argument(&self) -> String {
        self.at_its_place(self.register.path().into())
    }

    fn at_its_place(&self, path: String) -> String {
        match self.at {
            None => path,
            Some(at) => {
                let (peripheral, rest) = path.split_at(path.find('.').unwrap_or_default());
                format!("{peripheral}@{at}{rest}")
            }
        }
    }

    /// Whether it is a whole register.
    pub fn is_whole(&self) -> bool {
        self.field.is_none() && self.bits.is_none()
    }

    /// Why it cannot be read, if it cannot.
    pub fn refuses_reading(&self) -> Option<String> {
        let access = self.field.as_ref().map_or(self.register.access(), |field| field.access());
        (!access.can_read() || !self.register.access().can_read())
            .then(|| format!("{} is write-only: it cannot be read", self.path()))
    }

    /// Why it cannot be written, if it cannot; if it is a part of a register, or `reads` is set, it is read first.
    fn refuses_writing(&self, reads: bool) -> Option<String> {
        let access = self.field.as_ref().map_or(self.register.access(), |field| field.access());
        if !access.can_write() || !self.register.access().can_write() {
            return Some(format!("{} is read-only: it cannot be written", self.path()));
        }
        let (path, register) = (self.path(), self.register.path());
        ((reads || !self.is_whole()) && !self.register.access().can_read()).then(|| {
            format!(
                "{path} is in a register that cannot be read, so its other bits are not known: write all of {register}"
            )
        })
    }

    /// Whether reading the register does something.
    pub fn is_changed_by_reading(&self) -> bool {
        is_changed_by_reading(&self.register)
    }
}
