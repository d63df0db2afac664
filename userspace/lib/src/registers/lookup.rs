// SPDX-License-Identifier: MIT OR Apache-2.0

//! From a path or a pattern to what it names.

use super::definition::{Entry, Kind};
use super::document::Description;
use super::error::{DescriptionError, FindError};
use super::item::{Item, Peripheral, Register, Registers};
use super::name::{is_pattern, Name, Spelling};

/// How many bytes a path or a pattern may have.
const LONGEST: usize = 4096;

/// How much a pattern may stand for.
const MOST_FOUND: usize = 100_000;

/// How many names are compared with a pattern.
const MOST_COMPARED: usize = 1_000_000;

/// How many names a path is compared with for the nearest, and how many of these are shown.
const MOST_NEAR: usize = 10_000;
const SHOWN: usize = 3;

/// How many bytes names may have for that.
const LONGEST_NEAR: usize = 100;

/// A path, in its parts.
struct Parts<'p> {
    names: Vec<&'p str>,
    /// Whether the last is that of a field for sure.
    field: bool,
}

impl<'p> Parts<'p> {
    fn new(path: &'p str) -> Result<Self, FindError> {
        let (before, field) = match path.rsplit_once(':') {
            Some((before, field)) => (before, Some(field)),
            None => (path, None),
        };
        let names: Vec<_> = before.split('.').chain(field).collect();
        let what = if path.len() > LONGEST {
            "it is too long"
        } else if names.iter().any(|name| name.is_empty()) {
            "a name is empty"
        } else if before.contains(':') || field.is_some_and(|field| field.contains('.')) {
            "something follows the field"
        } else if field.is_some() && names.len() < 3 {
            "a field needs a peripheral and a register before it"
        } else {
            return Ok(Self { names, field: field.is_some() });
        };
        Err(FindError::Syntax { path: path.into(), what })
    }
}

impl Description {
    /// What the path names.
    ///
    /// # Errors
    ///
    /// [`FindError`] if it names nothing, or several, or if what it names is described wrongly.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl061.svd");
    /// # let board = devmap::registers::Description::parse("pl061.svd", text)?;
    /// assert_eq!(board.find("GPIO.GPIODIR")?.path(), "GPIO.GPIODIR");
    /// assert_eq!(board.find("gpio.gpiodata[255]")?.path(), "GPIO.GPIODATA[255]");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn find(&self, path: &str) -> Result<Item<'_>, FindError> {
        let parts = Parts::new(path)?;
        let listed = self.listed();
        let mut names = parts.names.into_iter();
        let name = names.next().unwrap_or_default();
        let (place, element) = pick(self.file(), "", listed.iter().map(|listed| &listed.name), name)?;
        let peripheral = Peripheral::new(self, &listed[place], element);
        let mut around = (peripheral.name().to_owned(), 0);
        let mut entries: Option<&[Entry]> = None;
        let mut register: Option<Register<'_>> = None;
        while let Some(name) = names.next() {
            if let Some(register) = &register {
                let fields = register.definitions();
                let names_of = fields.iter().map(|field| &field.name);
                let (place, element) = pick(register.path(), register.path(), names_of, name)?;
                if let Some(name) = names.next() {
                    let within = format!("{}.{}", register.path(), fields[place].name.element(element));
                    return Err(FindError::Unknown { within, name: name.into(), near: Vec::new() });
                }
                return Ok(Item::Field(register.field(&fields[place], element)));
            }
            let within = match entries {
                Some(entries) => entries,
                None => peripheral.entries()?,
            };
            let (place, element) = pick(&around.0, &around.0, within.iter().map(|entry| &entry.name), name)?;
            let entry = &within[place];
            let offset = around.1 + entry.offset + entry.name.distance(element);
            match &entry.kind {
                Kind::Register(definition) => {
                    register = Some(peripheral.register(definition, entry, element, &around.0, offset)?);
                }
                Kind::Cluster(within) => {
                    around = (format!("{}.{}", around.0, entry.name.element(element)), offset);
                    entries = Some(within);
                }
            }
        }
        match (register, entries) {
            (Some(_), _) if parts.field => Err(FindError::Syntax {
                path: path.into(),
                what: "its last name is that of a register, not of a field",
            }),
            (Some(register), _) => Ok(Item::Register(register)),
            (None, Some(entries)) => {
                let first = entries.iter().find(|entry| entry.name.count() > 0);
                let example = first.map_or_else(|| "*".into(), |entry| entry.name.element(0));
                let example = format!("{}.{example}", around.0);
                Err(FindError::Several { path: around.0, what: "a cluster".into(), example })
            }
            (None, None) => Ok(Item::Peripheral(peripheral)),
        }
    }

    /// Everything that has the pattern, in the order of the file. A cluster stands for its registers.
    ///
    /// # Errors
    ///
    /// [`FindError`] if nothing has it, if more than 100,000 have it, or if something that has it is described wrongly;
    /// [`search_lossy`](Self::search_lossy) goes on there.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl011.svd");
    /// # let board = devmap::registers::Description::parse("pl011.svd", text)?;
    /// let paths = |pattern| Ok::<_, Box<dyn std::error::Error>>(
    ///     board.search(pattern)?.iter().map(|item| item.path().to_owned()).collect::<Vec<_>>(),
    /// );
    /// assert_eq!(paths("UART0.?BRD")?, ["UART0.IBRD", "UART0.FBRD"]);
    /// assert_eq!(paths("*.*.TXE")?, ["UART0.CR.TXE"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn search(&self, pattern: &str) -> Result<Vec<Item<'_>>, FindError> {
        let Found { items, faults } = self.search_lossy(pattern)?;
        match faults.into_iter().next() {
            Some(fault) => Err(fault.into()),
            None => Ok(items),
        }
    }

    /// As [`search`](Self::search), but what is described wrongly hides nothing else: it is told beside what was found,
    /// which may be nothing.
    ///
    /// # Errors
    ///
    /// [`FindError`] if nothing has the pattern, not even what is described wrongly, or if more than 100,000 have it.
    ///
    /// ```
    /// # let register = |name: &str, size: u32| format!(
    /// #     "<register><name>{name}</name><addressOffset>0</addressOffset><size>{size}</size></register>"
    /// # );
    /// # let registers = register("GOOD", 32) + &register("BAD", 33);
    /// # let text = format!("<device><name>board</name><version>1</version><description>d</description>
    /// #     <addressUnitBits>8</addressUnitBits><width>32</width><peripherals><peripheral><name>P</name>
    /// #     <baseAddress>0</baseAddress><registers>{registers}</registers></peripheral></peripherals></device>");
    /// # let board = devmap::registers::Description::parse("board.svd", text)?;
    /// // P.BAD has 33 bits.
    /// let found = board.search_lossy("P.*")?;
    /// assert_eq!((found.items.len(), found.faults.len()), (1, 1));
    /// assert!(board.search("P.*").is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn search_lossy(&self, pattern: &str) -> Result<Found<'_>, FindError> {
        if !is_pattern(pattern) {
            match self.find(pattern) {
                // A cluster has registers; an array without an index has not this name.
                Err(several @ FindError::Several { .. }) => return self.matches(pattern).map_err(|_| several),
                Ok(item) => return Ok(Found { items: vec![item], faults: Vec::new() }),
                Err(FindError::Description(fault)) => return Ok(Found { items: Vec::new(), faults: vec![fault] }),
                Err(error) => return Err(error),
            }
        }
        self.matches(pattern)
    }

    fn matches(&self, pattern: &str) -> Result<Found<'_>, FindError> {
        let parts = Parts::new(pattern)?;
        let mut found = Found::default();
        for spelling in [Spelling::Brackets, Spelling::Caseless] {
            let mut search = Search { pattern, field: parts.field, spelling, found: Found::default(), compared: 0 };
            search.peripherals(self, &parts.names)?;
            found = search.found;
            if !found.items.is_empty() {
                break;
            }
        }
        if found.count() > 0 {
            return Ok(found);
        }
        Err(FindError::Nothing { within: self.file().into(), pattern: pattern.into() })
    }
}

/// What has a pattern: the result of [`Description::search_lossy`].
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Found<'d> {
    /// What is described rightly, in the order of the file.
    pub items: Vec<Item<'d>>,
    /// What is wrong with each of the others.
    pub faults: Vec<DescriptionError>,
}

impl Found<'_> {
    fn count(&self) -> usize {
        self.items.len() + self.faults.len()
    }
}

/// What has a pattern so far.
struct Search<'d, 'p> {
    pattern: &'p str,
    field: bool,
    spelling: Spelling,
    found: Found<'d>,
    compared: usize,
}

impl<'d> Search<'d, '_> {
    fn peripherals(&mut self, description: &'d Description, names: &[&str]) -> Result<(), FindError> {
        let Some((name, names)) = names.split_first() else { return Ok(()) };
        for listed in description.listed() {
            for element in self.elements(&listed.name, name)? {
                let peripheral = Peripheral::new(description, listed, element);
                if names.is_empty() {
                    self.add(Item::Peripheral(peripheral))?;
                    continue;
                }
                match peripheral.entries() {
                    Ok(entries) => self.entries(&peripheral, entries, names, peripheral.name(), 0)?,
                    Err(fault) => {
                        self.add_fault(fault)?;
                        // The elements of an array have one description.
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    fn entries(
        &mut self,
        peripheral: &Peripheral<'d>,
        entries: &'d [Entry],
        names: &[&str],
        path: &str,
        offset: u64,
    ) -> Result<(), FindError> {
        let Some((name, names)) = names.split_first() else { return Ok(()) };
        for entry in entries {
            for element in self.elements(&entry.name, name)? {
                let offset = offset + entry.offset + entry.name.distance(element);
                match &entry.kind {
                    Kind::Register(definition) => {
                        if names.len() > 1 || self.field && names.is_empty() {
                            continue;
                        }
                        match (peripheral.register(definition, entry, element, path, offset), names.first()) {
                            (Ok(register), None) => self.add(Item::Register(register))?,
                            (Ok(register), Some(name)) => self.fields(&register, name)?,
                            (Err(fault), _) => {
                                self.add_fault(fault)?;
                                break;
                            }
                        }
                    }
                    Kind::Cluster(within) => {
                        let path = format!("{path}.{}", entry.name.element(element));
                        if !names.is_empty() {
                            self.entries(peripheral, within, names, &path, offset)?;
                        } else if !self.field {
                            for register in Registers::new(peripheral, within, path, offset) {
                                match register {
                                    Ok(register) => self.add(Item::Register(register))?,
                                    Err(fault) => self.add_fault(fault)?,
                                }
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn fields(&mut self, register: &Register<'d>, name: &str) -> Result<(), FindError> {
        for field in register.definitions() {
            for element in self.elements(&field.name, name)? {
                self.add(Item::Field(register.field(field, element)))?;
            }
        }
        Ok(())
    }

    /// The elements of the array that are called so, or have the pattern.
    fn elements(&mut self, name: &Name, pattern: &str) -> Result<Vec<u32>, FindError> {
        let compared = if is_pattern(pattern) { name.count() as usize } else { 1 };
        self.compared += compared;
        if self.compared > MOST_COMPARED {
            return Err(self.too_many(MOST_COMPARED, "names to compare"));
        }
        if is_pattern(pattern) {
            Ok((0..name.count()).filter(|&element| name.has_pattern(element, pattern, self.spelling)).collect())
        } else {
            let exact = name.find(pattern, Spelling::Exact);
            Ok(exact.or_else(|| name.find(pattern, self.spelling)).into_iter().collect())
        }
    }

    fn add(&mut self, item: Item<'d>) -> Result<(), FindError> {
        self.check_room()?;
        self.found.items.push(item);
        Ok(())
    }

    fn add_fault(&mut self, fault: DescriptionError) -> Result<(), FindError> {
        self.check_room()?;
        self.found.faults.push(fault);
        Ok(())
    }

    fn check_room(&self) -> Result<(), FindError> {
        match self.found.count() {
            MOST_FOUND.. => Err(self.too_many(MOST_FOUND, "results")),
            _ => Ok(()),
        }
    }

    fn too_many(&self, limit: usize, what: &'static str) -> FindError {
        FindError::TooMany { pattern: self.pattern.into(), limit, what }
    }
}

/// Which of the names is meant, and which element of its array.
fn pick<'n>(
    within: &str,
    path: &str,
    names: impl Iterator<Item = &'n Name> + Clone,
    text: &str,
) -> Result<(usize, u32), FindError> {
    let full = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    for spelling in Spelling::ALL {
        let found =
            names.clone().enumerate().filter_map(|(place, name)| Some((place, name, name.find(text, spelling)?)));
        let found: Vec<_> = found.collect();
        match found[..] {
            [] => {}
            [(place, _, element)] => return Ok((place, element)),
            _ => {
                let candidates = found.iter().map(|(_, name, element)| full(&name.element(*element))).collect();
                return Err(FindError::Ambiguous { name: full(text), candidates });
            }
        }
    }
    if let Some(array) = names.clone().find(|name| name.stem().is_some_and(|stem| stem.eq_ignore_ascii_case(text))) {
        let (path, what) = (full(text), format!("an array of {}", array.count()));
        return Err(FindError::Several { path, what, example: full(&array.element(0)) });
    }
    let lower = text.to_ascii_lowercase();
    let all = names.flat_map(|name| (0..name.count()).map(|element| name.element(element))).take(MOST_NEAR);
    let all = all.filter(|name| text.len().max(name.len()) <= LONGEST_NEAR);
    let mut near: Vec<_> = all
        .map(|name| (strsim::osa_distance(&lower, &name.to_ascii_lowercase()), name))
        // As many as half of the letters, but not all of a short name.
        .filter(|(distance, name)| 2 * distance <= name.len().max(2))
        .collect();
    near.sort_by_key(|(distance, _)| *distance);
    let least = near.first().map_or(0, |(distance, _)| *distance);
    let near = near.into_iter().filter(|(distance, _)| *distance == least).map(|(_, name)| name).take(SHOWN).collect();
    Err(FindError::Unknown { within: within.into(), name: text.into(), near })
}
