// SPDX-License-Identifier: MIT OR Apache-2.0

//! Places in memory, with everything that is known of them.

use devmap::registers::{Field, Item, Peripheral, Register};
use devmap::{Endian, PhysRange, Width};

use crate::base::Base;
use crate::context::Context;
use crate::failure::{self, Failure};
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
    /// All of it.
    Whole(Base),
}

/// A register of a description, and perhaps a field of it.
#[derive(Clone, Debug)]
pub struct Known {
    pub register: Register<'static>,
    pub field: Option<Field<'static>>,
    /// Where its peripheral is, if not where the description says.
    pub at: Option<Location>,
}

/// What a command does with registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Read,
    /// Also those that reading changes, if many are named at once.
    ReadAll,
    Write,
}

impl Context {
    /// Resolves the names of `places`. A peripheral or pattern stands for all its registers that can be read.
    pub fn targets(&self, places: &[Place], purpose: Purpose) -> Result<Vec<Target>, Failure> {
        let mut targets = Vec::with_capacity(places.len());
        for &place in places {
            match place {
                Place::Register(symbol) => self.resolve(symbol, purpose, &mut targets)?,
                _ => {
                    let (place, width) = (self.locate_place(place)?, self.value_width());
                    targets.push(Target { place, width, endian: self.endian, known: None });
                }
            }
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

    /// `place` without names: the bytes of a register, or of a peripheral.
    pub fn plain(&self, place: Place) -> Result<Place, Failure> {
        match place {
            Place::Register(symbol) => match self.catalog().find(symbol.path)? {
                Item::Peripheral(peripheral) => Ok(Place::Range(self.block(symbol, &peripheral)?)),
                Item::Register(register) => Ok(Place::Address(self.address(symbol, &register)?)),
                Item::Field(field) => Ok(Place::Address(self.address(symbol, field.register())?)),
            },
            place => Ok(place),
        }
    }

    /// All bytes of what has this name in a description.
    pub fn area_of(&self, symbol: Symbol) -> Result<Area, Failure> {
        match self.catalog().find(symbol.path)? {
            Item::Peripheral(peripheral) => self.block(symbol, &peripheral),
            Item::Register(register) => self.bytes(symbol, &register),
            Item::Field(field) => self.bytes(symbol, field.register()),
        }
    }

    fn bytes(&self, symbol: Symbol, register: &Register<'static>) -> Result<Area, Failure> {
        self.address(symbol, register)?.area(register.width().bytes()).map_err(Failure::Usage)
    }

    fn resolve(&self, symbol: Symbol, purpose: Purpose, targets: &mut Vec<Target>) -> Result<(), Failure> {
        let items = if symbol.is_pattern() {
            self.catalog().search(symbol.path)?
        } else {
            vec![self.catalog().find(symbol.path)?]
        };
        let several = symbol.is_pattern() || matches!(items[..], [Item::Peripheral(_)]);
        for item in items {
            match item {
                Item::Peripheral(peripheral) => {
                    for register in peripheral.registers() {
                        self.push(
                            symbol,
                            Known { register: register?, field: None, at: symbol.at },
                            purpose,
                            several,
                            targets,
                        )?;
                    }
                }
                Item::Register(register) => {
                    self.push(symbol, Known { register, field: None, at: symbol.at }, purpose, several, targets)?;
                }
                Item::Field(field) => {
                    let known = Known { register: field.register().clone(), field: Some(field), at: symbol.at };
                    self.push(symbol, known, purpose, several, targets)?;
                }
            }
        }
        Ok(())
    }

    /// Adds a target, unless it is one of several that cannot be read, or that reading changes.
    fn push(
        &self,
        symbol: Symbol,
        known: Known,
        purpose: Purpose,
        several: bool,
        targets: &mut Vec<Target>,
    ) -> Result<(), Failure> {
        let refusal = match purpose {
            Purpose::Write => known.refuses_writing(),
            Purpose::Read | Purpose::ReadAll => known.refuses_reading().or_else(|| {
                let asks = several && purpose == Purpose::Read && known.changes_when_read();
                asks.then(|| format!("reading {} changes the device: give --force, or its name alone", known.path()))
            }),
        };
        match refusal {
            Some(why) if several && purpose != Purpose::Write => {
                failure::say(format!("devmap: left out: {why}"));
                return Ok(());
            }
            Some(why) => return Err(Failure::Usage(why)),
            None => (),
        }
        let register = &known.register;
        let location = self.address(symbol, register)?;
        let place = match (&known.field, symbol.bits) {
            (Some(_), Some(bits)) => {
                return Err(Failure::Usage(format!(
                    "{}{bits}: a field has no bits of its own: name one of both",
                    known.path()
                )))
            }
            (Some(field), None) => Place::Field(location, place::Field { high: field.high(), low: field.low() }),
            (None, Some(bits)) => Place::Field(location, bits),
            (None, None) => Place::Address(location),
        };
        let width = register.width();
        if self.fixed_width().is_some_and(|fixed| fixed != width) {
            return Err(Failure::Usage(format!("{} has {width}: omit --width", register.path())));
        }
        let endian = match register.endian() {
            Endian::Native => self.endian,
            endian => endian,
        };
        targets.push(Target { place, width, endian, known: Some(known) });
        Ok(())
    }

    /// Where the register is: from where its peripheral is said to be, by the name or by --base, or by the description.
    pub fn address(&self, symbol: Symbol, register: &Register<'static>) -> Result<Location, Failure> {
        let (start, offset) = match symbol.at.or(self.start()) {
            Some(start) => (start, register.offset()),
            None => (Location::from(register.peripheral().base()), register.offset()),
        };
        match start.address.checked_add(offset) {
            Some(address) => Ok(Location { address, ..start }),
            None => Err(Failure::Usage(format!("{} from {start} on goes beyond the last address", register.path()))),
        }
    }

    /// The bytes of a peripheral.
    pub fn block(&self, symbol: Symbol, peripheral: &Peripheral<'static>) -> Result<Area, Failure> {
        let range = peripheral.range()?;
        let Some(start) = symbol.at.or(self.start()) else { return Ok(range.into()) };
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

    /// `extent` in the same way.
    pub fn locate_extent(&self, extent: Extent) -> Result<Located, Failure> {
        match extent {
            Extent::Area(area) => self.locate_area(area).map(Located::Area),
            Extent::Register(symbol) => self.area_of(symbol).map(Located::Area),
            Extent::Whole(base) => Ok(Located::Whole(base)),
        }
    }
}

impl Target {
    /// Its bytes.
    pub fn area(&self) -> Result<Area, Failure> {
        self.place.area(self.width).map_err(Failure::Usage)
    }
}

impl Known {
    /// Its path in the description.
    pub fn path(&self) -> &str {
        match &self.field {
            Some(field) => field.path(),
            None => self.register.path(),
        }
    }

    /// Its path as the arguments have it, with where its peripheral is.
    pub fn argument(&self) -> String {
        match self.at {
            None => self.path().into(),
            Some(at) => {
                let (peripheral, rest) = self.path().split_at(self.path().find('.').unwrap_or_default());
                format!("{peripheral}@{at}{rest}")
            }
        }
    }

    fn refuses_reading(&self) -> Option<String> {
        let access = self.field.as_ref().map_or(self.register.access(), |field| field.access());
        (!access.can_read() || !self.register.access().can_read())
            .then(|| format!("{} is write-only: it cannot be read", self.path()))
    }

    fn refuses_writing(&self) -> Option<String> {
        let access = self.field.as_ref().map_or(self.register.access(), |field| field.access());
        if !access.can_write() || !self.register.access().can_write() {
            return Some(format!("{} is read-only: it cannot be written", self.path()));
        }
        (self.field.is_some() && !self.register.access().can_read()).then(|| {
            format!(
                "{} is a field of a register that cannot be read: write all of {}",
                self.path(),
                self.register.path()
            )
        })
    }

    fn changes_when_read(&self) -> bool {
        self.register.read_action().is_some() || self.register.fields().any(|field| field.read_action().is_some())
    }
}
