// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a description has: peripherals, registers, fields and their values.

use std::borrow::Cow;
use std::fmt;

use super::definition::{self, Entry, Kind};
use super::document::{Description, Listed};
use super::error::{AccessorError, DescriptionError, EncodeError};
use super::{Access, ModifiedWriteValues, Protection, ReadAction, Usage};
use crate::{register, Endian, Mapping, PhysRange, Value, Width};

/// What a path names.
///
/// ```
/// # let text = include_str!("../../examples/svd/pl031.svd");
/// use devmap::registers::{Description, Item};
///
/// let board = Description::parse("pl031.svd", text)?;
/// assert!(matches!(board.find("RTC")?, Item::Peripheral(_)));
/// assert!(matches!(board.find("RTC.RTCCR")?, Item::Register(_)));
/// assert!(matches!(board.find("RTC.RTCCR.START")?, Item::Field(_)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub enum Item<'d> {
    /// A block of registers.
    Peripheral(Peripheral<'d>),
    /// A register.
    Register(Register<'d>),
    /// Bits of a register.
    Field(Field<'d>),
}

impl Item<'_> {
    /// The path that names it.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl031.svd");
    /// # let board = devmap::registers::Description::parse("pl031.svd", text)?;
    /// assert_eq!(board.find("rtc.rtccr:start")?.path(), "RTC.RTCCR.START");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn path(&self) -> &str {
        match self {
            Self::Peripheral(peripheral) => peripheral.name(),
            Self::Register(register) => register.path(),
            Self::Field(field) => field.path(),
        }
    }

    /// What the file says of it, in one line.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl031.svd");
    /// # let board = devmap::registers::Description::parse("pl031.svd", text)?;
    /// assert_eq!(board.find("RTC.RTCDR")?.description().unwrap(), "The seconds since the epoch");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn description(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Peripheral(peripheral) => peripheral.description(),
            Self::Register(register) => register.description(),
            Self::Field(field) => field.description(),
        }
    }
}

/// A block of registers at an address.
///
/// ```
/// # let text = include_str!("../../examples/svd/pl031.svd");
/// # let board = devmap::registers::Description::parse("pl031.svd", text)?;
/// for peripheral in board.peripherals() {
///     println!("{} at {:#x}", peripheral.name(), peripheral.base());
/// }
/// # Ok::<(), devmap::registers::DescriptionError>(())
/// ```
#[derive(Clone)]
pub struct Peripheral<'d> {
    document: &'d Description,
    listed: &'d Listed,
    element: u32,
    name: String,
}

impl<'d> Peripheral<'d> {
    pub(super) fn new(document: &'d Description, listed: &'d Listed, element: u32) -> Self {
        Self { document, listed, element, name: listed.name.element(element) }
    }

    /// The name, which is its path, too.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// # let devmap::registers::Item::Peripheral(serial) = board.find("UART0")? else { unreachable!() };
    /// assert_eq!(serial.name(), "UART0");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the file says of it, in one line.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// # let devmap::registers::Item::Peripheral(serial) = board.find("UART0")? else { unreachable!() };
    /// assert_eq!(serial.description().unwrap(), "Serial port");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn description(&self) -> Option<Cow<'_, str>> {
        described(self.document.description_of(self.listed), &self.listed.name, self.element)
    }

    /// The physical address that the offsets of its registers count from. For a device on a bus that gives it its
    /// address, such as PCI, 0.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// # let devmap::registers::Item::Peripheral(serial) = board.find("UART0")? else { unreachable!() };
    /// assert_eq!(serial.base(), 0x0900_0000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn base(&self) -> u64 {
        // It was checked for the last element.
        self.listed.base + self.listed.name.distance(self.element)
    }

    /// What to map for it: from the [base](Self::base) to the end of its address blocks and registers.
    ///
    /// # Errors
    ///
    /// [`DescriptionError`] if the peripheral is described wrongly, or neither blocks nor registers are described.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl031.svd");
    /// # let board = devmap::registers::Description::parse("pl031.svd", text)?;
    /// let range = board.peripherals().next().unwrap().range()?;
    /// assert_eq!(range, devmap::PhysRange::new(0x0901_0000, 0x1000).unwrap());
    /// # Ok::<(), devmap::registers::DescriptionError>(())
    /// ```
    pub fn range(&self) -> Result<PhysRange, DescriptionError> {
        let block = self.document.block(self.listed)?;
        PhysRange::new(self.base(), block.length).ok_or_else(|| self.document.empty(self.listed))
    }

    /// Its registers, with those of its clusters, in the order of the file.
    ///
    /// An error stands in the place of a register that is described wrongly, or of all if it is the peripheral.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl031.svd");
    /// # let board = devmap::registers::Description::parse("pl031.svd", text)?;
    /// let first = board.peripherals().next().unwrap().registers().next().unwrap()?;
    /// assert_eq!((first.name(), first.offset()), ("RTCDR", 0));
    /// # Ok::<(), devmap::registers::DescriptionError>(())
    /// ```
    pub fn registers(&self) -> Registers<'d> {
        match self.document.block(self.listed) {
            Ok(block) => Registers::new(self, &block.entries, self.name.clone(), 0),
            Err(error) => Registers { peripheral: self.clone(), error: Some(error), clusters: Vec::new() },
        }
    }

    pub(super) fn entries(&self) -> Result<&'d [Entry], DescriptionError> {
        Ok(&self.document.block(self.listed)?.entries)
    }

    /// The register that an element of the entry is, whose offset from the base is `offset`.
    pub(super) fn register(
        &self,
        definition: &'d Result<definition::Register, super::error::Fault>,
        entry: &'d Entry,
        element: u32,
        cluster: &str,
        offset: u64,
    ) -> Result<Register<'d>, DescriptionError> {
        let definition = definition.as_ref().map_err(|fault| self.document.error(fault.clone()))?;
        let name = entry.name.element(element);
        let path = format!("{cluster}.{name}");
        let names = Names { path, name, pattern: &entry.name, element };
        Ok(Register { peripheral: self.clone(), definition, names, offset })
    }
}

impl fmt::Debug for Peripheral<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = format_args!("{:#x}", self.base());
        f.debug_struct("Peripheral").field("name", &self.name).field("base", &base).finish_non_exhaustive()
    }
}

/// The registers of a peripheral, which [`Peripheral::registers`] returns.
///
/// ```
/// # let text = include_str!("../../examples/svd/pl031.svd");
/// # let board = devmap::registers::Description::parse("pl031.svd", text)?;
/// let registers = board.peripherals().next().unwrap().registers().collect::<Result<Vec<_>, _>>()?;
/// assert_eq!(registers[3].path(), "RTC.RTCCR");
/// # Ok::<(), devmap::registers::DescriptionError>(())
/// ```
#[derive(Debug)]
pub struct Registers<'d> {
    peripheral: Peripheral<'d>,
    error: Option<DescriptionError>,
    /// The clusters around the next register.
    clusters: Vec<Level<'d>>,
}

#[derive(Debug)]
struct Level<'d> {
    entries: &'d [Entry],
    /// The next element of the first of them.
    element: u32,
    path: String,
    offset: u64,
}

impl<'d> Registers<'d> {
    /// Those of a cluster, or of the peripheral, with this path and offset.
    pub(super) fn new(peripheral: &Peripheral<'d>, entries: &'d [Entry], path: String, offset: u64) -> Self {
        let level = Level { entries, element: 0, path, offset };
        Self { peripheral: peripheral.clone(), error: None, clusters: vec![level] }
    }
}

impl<'d> Iterator for Registers<'d> {
    type Item = Result<Register<'d>, DescriptionError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.error.take() {
            return Some(Err(error));
        }
        loop {
            let level = self.clusters.last_mut()?;
            let Some((entry, rest)) = level.entries.split_first() else {
                self.clusters.pop();
                continue;
            };
            if level.element == entry.name.count() {
                (level.entries, level.element) = (rest, 0);
                continue;
            }
            let element = level.element;
            level.element += 1;
            let offset = level.offset + entry.offset + entry.name.distance(element);
            match &entry.kind {
                Kind::Register(register) => {
                    return Some(self.peripheral.register(register, entry, element, &level.path, offset));
                }
                Kind::Cluster(entries) => {
                    let path = format!("{}.{}", level.path, entry.name.element(element));
                    self.clusters.push(Level { entries, element: 0, path, offset });
                }
            }
        }
    }
}

/// How something is called.
#[derive(Clone, Debug)]
struct Names<'d> {
    path: String,
    name: String,
    /// The name of the array that it is an element of.
    pattern: &'d super::name::Name,
    element: u32,
}

/// A register of a peripheral.
///
/// ```
/// # let text = include_str!("../../examples/svd/pl011.svd");
/// use devmap::registers::{Description, Item};
/// use devmap::Width;
///
/// let board = Description::parse("pl011.svd", text)?;
/// let Item::Register(flags) = board.find("UART0.FR")? else { unreachable!() };
/// assert_eq!((flags.address(), flags.width()), (0x0900_0018, Width::Bits32));
/// assert!(!flags.access().can_write());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Register<'d> {
    peripheral: Peripheral<'d>,
    definition: &'d definition::Register,
    names: Names<'d>,
    offset: u64,
}

impl<'d> Register<'d> {
    /// Its path, from the peripheral on.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// # let devmap::registers::Item::Register(control) = board.find("UART0.CR")? else { unreachable!() };
    /// assert_eq!(control.path(), "UART0.CR");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn path(&self) -> &str {
        &self.names.path
    }

    /// Its name, the last of the path.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// # let devmap::registers::Item::Register(control) = board.find("UART0.CR")? else { unreachable!() };
    /// assert_eq!(control.name(), "CR");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn name(&self) -> &str {
        &self.names.name
    }

    /// What the file says of it, in one line.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// # let devmap::registers::Item::Register(control) = board.find("UART0.CR")? else { unreachable!() };
    /// assert_eq!(control.description().unwrap(), "What is enabled");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn description(&self) -> Option<Cow<'_, str>> {
        described(self.definition.description.as_deref(), self.names.pattern, self.names.element)
    }

    /// The peripheral that has it.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// # let devmap::registers::Item::Register(control) = board.find("UART0.CR")? else { unreachable!() };
    /// let range = control.peripheral().range()?;
    /// assert!(range.start() <= control.address());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn peripheral(&self) -> &Peripheral<'d> {
        &self.peripheral
    }

    /// How many bytes it is from the [base](Peripheral::base) of its peripheral.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// # let devmap::registers::Item::Register(control) = board.find("UART0.CR")? else { unreachable!() };
    /// assert_eq!(control.offset(), 0x30);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Its physical address: the peripheral's base and the offset.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// # let devmap::registers::Item::Register(control) = board.find("UART0.CR")? else { unreachable!() };
    /// assert_eq!(control.address(), 0x0900_0030);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn address(&self) -> u64 {
        // It was checked for the end of the peripheral's last element.
        self.peripheral.base() + self.offset
    }

    /// How wide an access of it is.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/edu.svd");
    /// # let board = devmap::registers::Description::parse("edu.svd", text)?;
    /// # let devmap::registers::Item::Register(source) = board.find("EDU.DMASRC")? else { unreachable!() };
    /// assert_eq!(source.width(), devmap::Width::Bits64);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn width(&self) -> Width {
        self.definition.width
    }

    /// The order of its bytes: that of the device's processor. [`Endian::Native`] if the file does not say it, or says
    /// that it can be switched.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// # let devmap::registers::Item::Register(control) = board.find("UART0.CR")? else { unreachable!() };
    /// assert_eq!(control.endian(), devmap::Endian::Little);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn endian(&self) -> Endian {
        self.peripheral.document.endian()
    }

    /// What may be done to it.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// # let devmap::registers::Item::Register(flags) = board.find("UART0.FR")? else { unreachable!() };
    /// assert!(flags.access().can_read() && !flags.access().can_write());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn access(&self) -> Access {
        self.definition.access
    }

    /// What reading it does, beyond that.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// # let devmap::registers::Item::Register(data) = board.find("UART0.DR")? else { unreachable!() };
    /// // It takes a character from the FIFO.
    /// assert_eq!(data.read_action(), Some(devmap::registers::ReadAction::ModifyExternal));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read_action(&self) -> Option<ReadAction> {
        self.definition.read_action
    }

    /// What writing does, if the register does not become what is written. Its fields can differ.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/edu.svd");
    /// # let board = devmap::registers::Description::parse("edu.svd", text)?;
    /// # let devmap::registers::Item::Register(status) = board.find("EDU.STATUS")? else { unreachable!() };
    /// assert_eq!(status.modified_write_values(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn modified_write_values(&self) -> Option<ModifiedWriteValues> {
        self.definition.modified_write_values
    }

    /// Who may access it, if not everybody.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// # let devmap::registers::Item::Register(control) = board.find("UART0.CR")? else { unreachable!() };
    /// assert_eq!(control.protection(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn protection(&self) -> Option<Protection> {
        self.definition.protection
    }

    /// Its value after a reset, as far as the [mask](Self::reset_mask) has ones.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// # let devmap::registers::Item::Register(control) = board.find("UART0.CR")? else { unreachable!() };
    /// assert_eq!(control.reset_value(), Some(0x300));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reset_value(&self) -> Option<u64> {
        self.definition.reset
    }

    /// The bits whose value after a reset is known.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// # let devmap::registers::Item::Register(flags) = board.find("UART0.FR")? else { unreachable!() };
    /// // The lines of a modem are in any state.
    /// assert_eq!(flags.reset_mask(), 0xf8);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reset_mask(&self) -> u64 {
        self.definition.reset_mask
    }

    /// What else is at its address: the name of another register, or of a group of alternates, or the cluster or
    /// peripheral that its own is an alternate of.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// # let devmap::registers::Item::Register(control) = board.find("UART0.CR")? else { unreachable!() };
    /// assert_eq!(control.alternate(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn alternate(&self) -> Option<&'d str> {
        self.definition.alternate.as_deref()
    }

    /// Its fields, in the order of the file.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// # let devmap::registers::Item::Register(lines) = board.find("UART0.LCRH")? else { unreachable!() };
    /// let names: Vec<_> = lines.fields().map(|field| field.name().to_owned()).collect();
    /// assert_eq!(names, ["BRK", "PEN", "EPS", "STP2", "FEN", "WLEN", "SPS"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fields(&self) -> impl Iterator<Item = Field<'d>> + use<'d> {
        let register = self.clone();
        self.definition.fields.iter().flat_map(move |definition| {
            let register = register.clone();
            (0..definition.name.count()).map(move |element| register.field(definition, element))
        })
    }

    pub(super) fn definitions(&self) -> &'d [definition::Field] {
        &self.definition.fields
    }

    pub(super) fn field(&self, definition: &'d definition::Field, element: u32) -> Field<'d> {
        let name = definition.name.element(element);
        let path = format!("{}.{name}", self.names.path);
        let names = Names { path, name, pattern: &definition.name, element };
        // It was checked that the last element lies within the register.
        let low = definition.low + definition.name.distance(element) as u32;
        Field { register: self.clone(), definition, names, low }
    }

    /// What each field is if the register is `value`, but for fields that cannot be read.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// # let devmap::registers::Item::Register(lines) = board.find("UART0.LCRH")? else { unreachable!() };
    /// let length = lines.decode(0x70).find(|part| part.field.name() == "WLEN").unwrap();
    /// assert_eq!((length.number, length.value.unwrap().name()), (3, "Bits8"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn decode(&self, value: u64) -> impl Iterator<Item = Decoded<'d>> + use<'d> {
        let readable = self.fields().filter(|field| field.access().can_read());
        readable.map(move |field| {
            let number = field.get(value);
            let value = field.value_of(number);
            Decoded { field, number, value }
        })
    }

    /// What reading the register, changing the bits of `mask` and writing it back does to the fields that have others.
    /// If the description names no field, it is what becomes of the other bits; otherwise those of no field are
    /// reserved.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/edu.svd");
    /// use devmap::registers::{Description, Item};
    ///
    /// let card = Description::parse("edu.svd", text)?;
    /// let Item::Field(interrupt) = card.find("EDU.STATUS.IRQ")? else { unreachable!() };
    /// assert!(interrupt.register().hazards(interrupt.mask()).is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn hazards(&self, mask: u64) -> Vec<Hazard<'d>> {
        let hazard = |field, mask, reason| Hazard { register: self.clone(), field, mask, reason };
        let others = !mask & self.width().max();
        if self.definition.fields.is_empty() {
            let reasons = reasons(self.access(), self.modified_write_values(), self.read_action());
            return reasons.filter(|_| others != 0).map(|reason| hazard(None, others, reason)).collect();
        }
        let fields = self.fields().filter(|field| field.mask() & others != 0);
        let hazards = fields.flat_map(|field| {
            let reasons = reasons(field.access(), field.modified_write_values(), field.read_action());
            reasons.map(move |reason| hazard(Some(field.clone()), field.mask() & others, reason))
        });
        hazards.collect()
    }

    /// The register in a mapping of its peripheral, from the base on.
    ///
    /// Its bytes have the [order](Self::endian) that the file states, or else that of the mapping.
    ///
    /// # Errors
    ///
    /// [`AccessorError`] if `T` has another width, if the register is not for the accesses of `A`, or if it is beyond
    /// the mapping.
    ///
    /// ```no_run
    /// # let text = include_str!("../../examples/svd/pl031.svd");
    /// use devmap::register::ReadOnly;
    /// use devmap::registers::{Description, Item};
    ///
    /// let board = Description::parse("pl031.svd", text)?;
    /// let Item::Register(seconds) = board.find("RTC.RTCDR")? else { unreachable!() };
    /// let mapping = devmap::Device::open("/dev/map")?.map(seconds.peripheral().range()?)?;
    /// println!("{}", seconds.accessor::<u32, ReadOnly>(&mapping)?.read());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn accessor<'m, T: Value, A: register::Access>(
        &self,
        mapping: &'m Mapping,
    ) -> Result<register::Register<'m, T, A>, AccessorError> {
        let path = || self.path().to_owned();
        if T::WIDTH != self.width() {
            return Err(AccessorError::Width { register: path(), width: self.width(), asked: T::WIDTH });
        }
        let access = self.access();
        let cannot = |asked| AccessorError::Access { register: path(), access: access.as_str(), asked };
        if A::READS && !access.can_read() {
            return Err(cannot("read"));
        }
        if A::WRITES && !access.can_write() {
            return Err(cannot("written"));
        }
        let endian = match self.endian() {
            Endian::Native => mapping.endian(),
            stated => stated,
        };
        // An offset beyond the address space is beyond the mapping, too.
        let offset = usize::try_from(self.offset).unwrap_or(usize::MAX);
        Ok(mapping.register_as::<T, A>(offset)?.with_endian(endian))
    }
}

impl fmt::Debug for Register<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = format_args!("{:#x}", self.address());
        f.debug_struct("Register").field("path", &self.path()).field("address", &address).finish_non_exhaustive()
    }
}

/// What a field of a register is, as [`Register::decode`] finds it.
///
/// ```
/// # let text = include_str!("../../examples/svd/pl011.svd");
/// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
/// # let devmap::registers::Item::Register(flags) = board.find("UART0.FR")? else { unreachable!() };
/// for part in flags.decode(0x90) {
///     println!("{}: {} {}", part.field.name(), part.number, part.value.map_or("", |value| value.name()));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Decoded<'d> {
    /// The field.
    pub field: Field<'d>,
    /// The number in its bits.
    pub number: u64,
    /// The value that has this number, if the file names it.
    pub value: Option<EnumeratedValue<'d>>,
}

/// Bits that change when others of their register are read, changed and written back. It displays as what they are
/// called.
///
/// ```
/// # let hazard: devmap::registers::Hazard<'_> = return;
/// eprintln!("this disturbs {hazard}: {}", hazard.reason);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Hazard<'d> {
    /// Their register.
    pub register: Register<'d>,
    /// Their field; `None` if the register has no fields.
    pub field: Option<Field<'d>>,
    /// The bits.
    pub mask: u64,
    /// What happens to them, as a clause.
    pub reason: &'static str,
}

impl fmt::Display for Hazard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) => f.write_str(field.path()),
            None => write!(f, "the bits {:#x} of {}", self.mask, self.register.path()),
        }
    }
}

/// Bits of a register.
///
/// ```
/// # let text = include_str!("../../examples/svd/pl011.svd");
/// use devmap::registers::{Description, Item};
///
/// let board = Description::parse("pl011.svd", text)?;
/// let Item::Field(length) = board.find("UART0.LCRH.WLEN")? else { unreachable!() };
/// assert_eq!((length.high(), length.low(), length.mask()), (6, 5, 0x60));
/// let before = 0x1;
/// assert_eq!(before & !length.mask() | length.encode("Bits8")?, 0x61);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Field<'d> {
    register: Register<'d>,
    definition: &'d definition::Field,
    names: Names<'d>,
    low: u32,
}

impl<'d> Field<'d> {
    /// Its path, from the peripheral on.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// # let devmap::registers::Item::Field(length) = board.find("UART0.LCRH.WLEN")? else { unreachable!() };
    /// assert_eq!(length.path(), "UART0.LCRH.WLEN");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn path(&self) -> &str {
        &self.names.path
    }

    /// Its name, the last of the path.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// # let devmap::registers::Item::Field(length) = board.find("UART0.LCRH.WLEN")? else { unreachable!() };
    /// assert_eq!(length.name(), "WLEN");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn name(&self) -> &str {
        &self.names.name
    }

    /// What the file says of it, in one line.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// # let devmap::registers::Item::Field(length) = board.find("UART0.LCRH.WLEN")? else { unreachable!() };
    /// assert_eq!(length.description().unwrap(), "The length of a character");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn description(&self) -> Option<Cow<'_, str>> {
        described(self.definition.description.as_deref(), self.names.pattern, self.names.element)
    }

    /// The register that has it.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// # let devmap::registers::Item::Field(length) = board.find("UART0.LCRH.WLEN")? else { unreachable!() };
    /// assert_eq!(length.register().path(), "UART0.LCRH");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn register(&self) -> &Register<'d> {
        &self.register
    }

    /// Its least significant bit, counted from 0.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// # let devmap::registers::Item::Field(length) = board.find("UART0.LCRH.WLEN")? else { unreachable!() };
    /// assert_eq!(length.low(), 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn low(&self) -> u32 {
        self.low
    }

    /// Its most significant bit.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// # let devmap::registers::Item::Field(length) = board.find("UART0.LCRH.WLEN")? else { unreachable!() };
    /// assert_eq!(length.high(), 6);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn high(&self) -> u32 {
        self.low + self.definition.bits - 1
    }

    /// Its bits in the register.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// # let devmap::registers::Item::Field(length) = board.find("UART0.LCRH.WLEN")? else { unreachable!() };
    /// assert_eq!(length.mask(), 0x60);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn mask(&self) -> u64 {
        self.max() << self.low
    }

    /// The greatest number that fits.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// # let devmap::registers::Item::Field(length) = board.find("UART0.LCRH.WLEN")? else { unreachable!() };
    /// assert_eq!(length.max(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max(&self) -> u64 {
        u64::MAX >> (64 - self.definition.bits)
    }

    /// What may be done to it.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/edu.svd");
    /// # let board = devmap::registers::Description::parse("edu.svd", text)?;
    /// # let devmap::registers::Item::Field(busy) = board.find("EDU.STATUS.COMPUTING")? else { unreachable!() };
    /// assert!(!busy.access().can_write());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn access(&self) -> Access {
        self.definition.access
    }

    /// What reading it does, beyond that.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// # let devmap::registers::Item::Field(length) = board.find("UART0.LCRH.WLEN")? else { unreachable!() };
    /// assert_eq!(length.read_action(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read_action(&self) -> Option<ReadAction> {
        self.definition.read_action
    }

    /// What writing does, if the field does not become what is written.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/edu.svd");
    /// # let board = devmap::registers::Description::parse("edu.svd", text)?;
    /// # let devmap::registers::Item::Field(done) = board.find("EDU.IRQACK.DMA")? else { unreachable!() };
    /// assert_eq!(done.modified_write_values(), Some(devmap::registers::ModifiedWriteValues::OneToClear));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn modified_write_values(&self) -> Option<ModifiedWriteValues> {
        self.definition.modified_write_values
    }

    /// The values that have a name, in the order of the file.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// # let devmap::registers::Item::Field(length) = board.find("UART0.LCRH.WLEN")? else { unreachable!() };
    /// let values: Vec<_> = length.values().map(|value| (value.name(), value.number())).collect();
    /// assert_eq!(values[0], ("Bits5", Some(0)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn values(&self) -> impl Iterator<Item = EnumeratedValue<'d>> + use<'d> {
        self.definition.values.iter().map(EnumeratedValue)
    }

    /// The number in its bits if the register is `whole`.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// # let devmap::registers::Item::Field(length) = board.find("UART0.LCRH.WLEN")? else { unreachable!() };
    /// assert_eq!(length.get(0x71), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get(&self, whole: u64) -> u64 {
        whole >> self.low & self.max()
    }

    /// The value that the number has when it is read.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// # let devmap::registers::Item::Field(length) = board.find("UART0.LCRH.WLEN")? else { unreachable!() };
    /// assert_eq!(length.value_of(3).unwrap().name(), "Bits8");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn value_of(&self, number: u64) -> Option<EnumeratedValue<'d>> {
        let read = || self.values().filter(|value| value.usage() != Usage::Write);
        read().find(|value| value.has(number)).or_else(|| read().find(EnumeratedValue::is_default))
    }

    /// The bits to be written to the register for a number, or for the name of a value: at their places, and all others
    /// 0.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] if the number is too large, or no value that is written has the name.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// # let devmap::registers::Item::Field(length) = board.find("UART0.LCRH.WLEN")? else { unreachable!() };
    /// assert_eq!(length.encode("Bits8")?, 0x60);
    /// assert!(length.encode(4).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn encode<'s>(&self, setting: impl Into<Setting<'s>>) -> Result<u64, EncodeError> {
        let number = match setting.into() {
            Setting::Number(number) => number,
            Setting::Name(name) => self.number(name)?,
        };
        let (field, max) = (self.path(), self.max());
        if number > max {
            return Err(EncodeError::TooLarge { field: field.into(), number, max });
        }
        Ok(number << self.low)
    }

    /// The number for the name of a value.
    fn number(&self, name: &str) -> Result<u64, EncodeError> {
        let (field, max) = (self.path(), self.max());
        let written = || self.values().filter(|value| value.usage() != Usage::Read);
        let mut caseless = written().filter(|value| value.name().eq_ignore_ascii_case(name));
        let value = written().find(|value| value.name() == name).or_else(|| {
            let first = caseless.next();
            first.filter(|_| caseless.next().is_none())
        });
        match value {
            Some(value) => {
                let none = || EncodeError::NoNumber { field: field.into(), name: name.into(), max };
                value.number().ok_or_else(none)
            }
            None => crate::number(name).map_err(|_| EncodeError::Unknown {
                field: field.into(),
                name: name.into(),
                names: written().map(|value| value.name().into()).collect(),
                max,
            }),
        }
    }
}

/// What happens to bits of these properties when their register is read, and they are written back.
fn reasons(
    access: Access,
    modified: Option<ModifiedWriteValues>,
    read: Option<ReadAction>,
) -> impl Iterator<Item = &'static str> {
    let unread = match access {
        Access::WriteOnly | Access::WriteOnce => {
            Some("it cannot be read, so what is written back to it is not what it holds")
        }
        Access::ReadWriteOnce => Some("it takes the first write alone, and this would be it"),
        Access::ReadOnly | Access::ReadWrite => None,
    };
    let written = modified.and_then(|values| match values {
        ModifiedWriteValues::OneToClear => Some("writing a one back clears the bit"),
        ModifiedWriteValues::OneToSet => Some("writing a one back sets the bit"),
        ModifiedWriteValues::OneToToggle => Some("writing a one back inverts the bit"),
        ModifiedWriteValues::ZeroToClear => Some("writing a zero back clears the bit"),
        ModifiedWriteValues::ZeroToSet => Some("writing a zero back sets the bit"),
        ModifiedWriteValues::ZeroToToggle => Some("writing a zero back inverts the bit"),
        ModifiedWriteValues::Clear => Some("any write clears it"),
        ModifiedWriteValues::Set => Some("any write sets it"),
        ModifiedWriteValues::Modify => None,
    });
    let read = read.map(|action| match action {
        ReadAction::Clear => "reading clears it",
        ReadAction::Set => "reading sets it",
        ReadAction::Modify => "reading changes it",
        ReadAction::ModifyExternal => "reading changes something else of the device",
    });
    [unread, written, read].into_iter().flatten()
}

impl fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = format_args!("{}:{}", self.high(), self.low());
        f.debug_struct("Field").field("path", &self.path()).field("bits", &bits).finish_non_exhaustive()
    }
}

/// What a field is set to: a number, or the name of a value. What is neither a name of the field's is taken for a
/// number as [`number`](crate::number) reads it.
///
/// ```
/// # let text = include_str!("../../examples/svd/pl011.svd");
/// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
/// # let devmap::registers::Item::Field(length) = board.find("UART0.LCRH.WLEN")? else { unreachable!() };
/// assert_eq!(length.encode("Bits8")?, length.encode(3)?);
/// assert_eq!(length.encode("bits8")?, length.encode("0b11")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Setting<'s> {
    /// A number.
    Number(u64),
    /// A name, or the text of a number.
    Name(&'s str),
}

impl From<u64> for Setting<'_> {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl<'s> From<&'s str> for Setting<'s> {
    fn from(name: &'s str) -> Self {
        Self::Name(name)
    }
}

/// A value of a field that has a name.
///
/// ```
/// # let text = include_str!("../../examples/svd/pl011.svd");
/// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
/// # let devmap::registers::Item::Field(length) = board.find("UART0.LCRH.WLEN")? else { unreachable!() };
/// let value = length.value_of(3).unwrap();
/// assert_eq!((value.name(), value.number(), value.is_default()), ("Bits8", Some(3), false));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct EnumeratedValue<'d>(&'d definition::Value);

impl<'d> EnumeratedValue<'d> {
    /// Its name.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// # let devmap::registers::Item::Field(level) = board.find("UART0.IFLS.TXIFLSEL")? else { unreachable!() };
    /// assert_eq!(level.value_of(2).unwrap().name(), "Half");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn name(&self) -> &'d str {
        &self.0.name
    }

    /// What the file says of it, in one line.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// # let devmap::registers::Item::Field(level) = board.find("UART0.IFLS.TXIFLSEL")? else { unreachable!() };
    /// assert_eq!(level.value_of(2).unwrap().description(), Some("One half"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn description(&self) -> Option<&'d str> {
        self.0.description.as_deref()
    }

    /// Its number, with 0 for the bits that may be anything; `None` for a default without a number.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// # let devmap::registers::Item::Field(level) = board.find("UART0.IFLS.TXIFLSEL")? else { unreachable!() };
    /// let numbers: Vec<_> = level.values().map(|value| value.number()).collect();
    /// assert_eq!(numbers, [Some(0), Some(1), Some(2), Some(3), Some(4), None]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn number(&self) -> Option<u64> {
        self.0.number
    }

    /// The bits that may be anything: those with an `x` in the file.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// # let devmap::registers::Item::Field(level) = board.find("UART0.IFLS.TXIFLSEL")? else { unreachable!() };
    /// assert_eq!(level.value_of(2).unwrap().any(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn any(&self) -> u64 {
        self.0.any
    }

    /// Whether it stands for all numbers without a name of their own.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// # let devmap::registers::Item::Field(level) = board.find("UART0.IFLS.TXIFLSEL")? else { unreachable!() };
    /// assert!(level.value_of(7).unwrap().is_default());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_default(&self) -> bool {
        self.0.is_default
    }

    /// Whether it is what the number means when it is read, when it is written, or both.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// # let devmap::registers::Item::Field(level) = board.find("UART0.IFLS.TXIFLSEL")? else { unreachable!() };
    /// assert_eq!(level.value_of(2).unwrap().usage(), devmap::registers::Usage::ReadWrite);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn usage(&self) -> Usage {
        self.0.usage
    }

    fn has(&self, number: u64) -> bool {
        self.number().is_some_and(|own| own == number & !self.any())
    }
}

/// The description of an element, with its index in place of `%s`.
fn described<'a>(text: Option<&'a str>, name: &super::name::Name, element: u32) -> Option<Cow<'a, str>> {
    text.map(|text| match name.label(element) {
        Some(label) if text.contains("%s") => text.replace("%s", &label).into(),
        _ => text.into(),
    })
}
