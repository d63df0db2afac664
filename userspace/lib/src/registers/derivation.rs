// SPDX-License-Identifier: MIT OR Apache-2.0

//! From the elements of a peripheral to what they mean: with everything inherited and derived, but arrays as arrays.

use std::cell::Cell;
use std::sync::atomic::Ordering;

use svd_parser::svd::{self, Access, DimElement, MaybeArray, ModifiedWriteValues, Name as _, RegisterProperties};

use super::definition::{Block, Entry, Field, Kind, Register, Value};
use super::document::{one_line, Description, Listed, Parsed, Place, MOST};
use super::error::Fault;
use super::name::{array_is_called, Name};
use crate::Width;

/// How many elements are looked at or made for one peripheral, where making one counts for [`MADE`].
const STEPS: u64 = MADE * MOST as u64;

/// The same for all peripherals of a file.
pub(super) const STEPS_IN_ALL: u64 = 4 * STEPS;
const MADE: u64 = 64;

/// What comparing an index of an array counts for, and what copying one does.
pub(super) const COMPARED: u64 = 8;
const COPIED: u64 = 16;

/// How many lookups may need each other.
const DEEPEST: u32 = 32;

/// How many clusters may be within each other, with everything derived.
const MOST_LEVELS: usize = 64;

/// What a peripheral consists of.
pub(super) fn block(description: &Description, listed: &Listed) -> Result<Block, Fault> {
    let most = description.steps().load(Ordering::Relaxed).min(STEPS);
    let derivation = Derivation { description, steps: Cell::new(most), depth: Cell::new(0) };
    let block = derivation.block(listed);
    // Threads that resolve others at the same time may take some more.
    let used = most - derivation.steps.get();
    let left = description.steps().load(Ordering::Relaxed).saturating_sub(used);
    description.steps().store(left, Ordering::Relaxed);
    block
}

/// Checks that all registers of a peripheral are described rightly, and that no two overlap, unless one of them is an
/// alternate, or one is only read and the other only written.
pub(super) fn check_registers(description: &Description, listed: &Listed) -> Result<(), Fault> {
    let mut registers = Vec::new();
    flatten(&description.resolved(listed)?.entries, 0, &mut registers)?;
    registers.retain(|(_, _, register)| register.alternate.is_none());
    registers.sort_by_key(|(offset, ..)| *offset);
    for (later, (offset, entry, register)) in registers.iter().enumerate() {
        // The longest has 8 bytes.
        let before = registers[..later].iter().rev().take_while(|(other, ..)| offset - other < 8);
        for (other_offset, other_entry, other) in before {
            let apart = other_offset + other.width.bytes() as u64 <= *offset;
            let disjoint = !register.access.can_read() && !other.access.can_write()
                || !register.access.can_write() && !other.access.can_read();
            if !(apart || disjoint) {
                let [name, other] = [entry, other_entry].map(|entry| entry.name.element(0));
                let what = format!("the register {name} at {offset:#x} overlaps {other}");
                return Err(Fault::new(
                    register.at,
                    what,
                    "name the other in <alternateRegister>, or correct the offset",
                ));
            }
        }
    }
    Ok(())
}

/// All registers, with their offsets.
fn flatten<'d>(
    entries: &'d [Entry],
    start: u64,
    registers: &mut Vec<(u64, &'d Entry, &'d Register)>,
) -> Result<(), Fault> {
    for entry in entries {
        for element in 0..entry.name.count() {
            let offset = start + entry.offset + entry.name.distance(element);
            match &entry.kind {
                Kind::Register(register) => {
                    registers.push((offset, entry, register.as_ref().map_err(Fault::clone)?));
                }
                Kind::Cluster(entries) => flatten(entries, offset, registers)?,
            }
        }
    }
    Ok(())
}

struct Derivation<'d> {
    description: &'d Description,
    steps: Cell<u64>,
    depth: Cell<u32>,
}

/// An element, and where names in it are looked up.
struct Source<'d, T> {
    element: &'d T,
    place: &'d Place,
    scope: Scope<'d>,
}

/// The elements around an element: those of the peripheral, of a cluster in it, and so on.
#[derive(Clone)]
struct Scope<'d> {
    levels: Vec<Elements<'d, svd::RegisterCluster>>,
    /// Those of the same register.
    fields: Elements<'d, svd::Field>,
}

/// Elements and their places.
type Elements<'d, T> = (&'d [T], &'d [Place]);

/// What a register gives to its fields.
struct Around {
    width: Width,
    access: Access,
    read_action: Option<svd::ReadAction>,
    modified_write_values: Option<ModifiedWriteValues>,
}

impl<'d> Derivation<'d> {
    fn block(&self, listed: &'d Listed) -> Result<Block, Fault> {
        let parsed = self.peripherals(listed)?;
        let own = parsed[0];
        let properties = parsed.iter().map(|parsed| parsed.peripheral.default_register_properties);
        let properties = inherited(properties.chain([self.description.properties()]));
        let alternate = own.peripheral.alternate_peripheral.as_deref();
        let entries = match parsed.iter().find_map(|parsed| root(parsed)) {
            Some(scope) => self.entries(&scope, properties, alternate, &mut Vec::new())?,
            None => Vec::new(),
        };
        let at = own.place.at;
        if count(&entries) > MOST.into() {
            let what = format!("the peripheral has more than {MOST} registers and clusters");
            return Err(Fault::new(at, what, "describe memory as an address block"));
        }
        let blocks = parsed.iter().find_map(|parsed| parsed.peripheral.address_block.as_ref()).into_iter().flatten();
        let blocks = blocks.filter(|block| block.usage != svd::AddressBlockUsage::Reserved);
        let blocks = blocks.map(|block| u64::from(block.offset) + u64::from(block.size)).max();
        let length = end(&entries).max(blocks.unwrap_or(0));
        let base = listed.base + listed.name.distance(listed.name.count().saturating_sub(1));
        if base.checked_add(length.saturating_sub(1)).is_none() {
            return Err(Fault::new(
                at,
                "the peripheral ends beyond the address 2^64",
                "correct its address and offsets",
            ));
        }
        Ok(Block { entries, length })
    }

    /// The peripheral, what it is derived from, and so on.
    fn peripherals(&self, listed: &'d Listed) -> Result<Vec<&'d Parsed>, Fault> {
        let mut chain = vec![self.description.parsed(listed)?];
        let mut listed = listed;
        loop {
            let last = chain[chain.len() - 1];
            let Some(name) = &listed.derived_from else { return Ok(chain) };
            self.spend(chain.len() as u64, last.place.at)?;
            listed = self.description.source(listed).ok_or_else(|| unknown(last.place.at, "peripheral", name))?;
            let next = self.description.parsed(listed)?;
            if chain.iter().any(|parsed| parsed.place.at == next.place.at) {
                return Err(looped(last.place.at, name));
            }
            chain.push(next);
        }
    }

    fn entries(
        &self,
        scope: &Scope<'d>,
        properties: RegisterProperties,
        alternate: Option<&str>,
        around: &mut Vec<usize>,
    ) -> Result<Vec<Entry>, Fault> {
        let (elements, places) = scope.levels.last().copied().unwrap_or_default();
        let entries = elements.iter().zip(places).map(|(element, place)| {
            self.spend(MADE, place.at)?;
            let scope = scope.clone();
            match element {
                svd::RegisterCluster::Register(element) => {
                    self.register(Source { element, place, scope }, properties, alternate)
                }
                svd::RegisterCluster::Cluster(element) => {
                    self.cluster(Source { element, place, scope }, properties, alternate, around)
                }
            }
        });
        entries.collect()
    }

    fn cluster(
        &self,
        own: Source<'d, svd::Cluster>,
        properties: RegisterProperties,
        alternate: Option<&str>,
        around: &mut Vec<usize>,
    ) -> Result<Entry, Fault> {
        let chain = self.clusters(own)?;
        let own = chain[0].element;
        let properties =
            inherited(chain.iter().map(|source| source.element.default_register_properties).chain([properties]));
        let mut entries = Vec::new();
        if let Some(source) = chain.iter().find(|source| !source.element.children.is_empty()) {
            // A cluster within what it is derived from would be within itself without end.
            if around.contains(&source.place.at) {
                return Err(looped(chain[0].place.at, &own.name));
            }
            // What is derived adds levels to those of the elements, and each is one of the stack.
            if around.len() == MOST_LEVELS {
                let what = format!("more than {MOST_LEVELS} clusters are within each other");
                return Err(Fault::new(chain[0].place.at, what, "derive less from what is derived itself"));
            }
            around.push(source.place.at);
            let alternate = own.alternate_cluster.as_deref().or(alternate);
            entries = self.entries(&inner(source), properties, alternate, around)?;
            around.pop();
        }
        let name = self.name(&chain)?;
        Ok(Entry { name, offset: own.address_offset.into(), kind: Kind::Cluster(entries) })
    }

    fn register(
        &self,
        own: Source<'d, svd::Register>,
        properties: RegisterProperties,
        alternate: Option<&str>,
    ) -> Result<Entry, Fault> {
        let (element, at) = (own.element, own.place.at);
        let chain = self.registers(own);
        let name = match &chain {
            Ok(chain) => self.name(chain)?,
            Err(_) => Name::new(&element.name, None),
        };
        let register = chain.and_then(|chain| self.merged(&chain, properties, alternate, at));
        Ok(Entry { name, offset: element.address_offset.into(), kind: Kind::Register(register) })
    }

    /// The register at the start of the chain.
    fn merged(
        &self,
        chain: &[Source<'d, svd::Register>],
        properties: RegisterProperties,
        alternate: Option<&str>,
        at: usize,
    ) -> Result<Register, Fault> {
        let own = chain[0].element;
        let elements = || chain.iter().map(|source| source.element);
        let properties = inherited(elements().map(|register| register.properties).chain([properties]));
        let bits = properties.size.unwrap_or(32);
        let width = Width::ALL.into_iter().find(|width| width.bits() == bits).ok_or_else(|| {
            let what = format!("the register {} has {bits} bits", one_line(&own.name));
            Fault::new(at, what, "no access is so wide: give it a <size> of 8, 16, 32 or 64")
        })?;
        let around = Around {
            width,
            access: properties.access.unwrap_or_default(),
            read_action: elements().find_map(|register| register.read_action),
            modified_write_values: elements().find_map(|register| register.modified_write_values),
        };
        let mut fields = Vec::new();
        if let Some((elements, scope)) = chain.iter().find_map(fields_of) {
            for (element, place) in elements.0.iter().zip(elements.1) {
                fields.push(self.field(Source { element, place, scope: scope.clone() }, &around)?);
            }
        }
        let alternate = own.alternate_register.as_deref().or(own.alternate_group.as_deref()).or(alternate);
        Ok(Register {
            at,
            width,
            access: around.access,
            protection: properties.protection,
            read_action: around.read_action,
            modified_write_values: stated(around.modified_write_values.filter(|_| around.access.can_write())),
            reset: properties.reset_value.map(|value| value & width.max()),
            reset_mask: properties.reset_mask.unwrap_or(u64::MAX) & width.max(),
            description: elements().find_map(|register| register.description.as_deref()).map(one_line),
            alternate: alternate.map(one_line),
            fields,
        })
    }

    fn field(&self, own: Source<'d, svd::Field>, around: &Around) -> Result<Field, Fault> {
        let at = own.place.at;
        self.spend(MADE, at)?;
        let chain = self.fields(own)?;
        let elements = || chain.iter().map(|source| source.element);
        let own = chain[0].element;
        let name = self.name(&chain)?;
        let (low, bits) = (own.bit_range.offset, own.bit_range.width);
        let end = u64::from(low) + u64::from(bits) + name.distance(name.count().saturating_sub(1));
        if bits == 0 {
            return Err(Fault::new(
                at,
                format!("the field {} has no bits", one_line(&own.name)),
                "give it a width of at least 1",
            ));
        }
        if end > around.width.bits().into() {
            let what = format!(
                "the field {} ends at bit {}, but its register has {}",
                one_line(&own.name),
                end - 1,
                around.width
            );
            return Err(Fault::new(at, what, "correct its bits, or the register's <size>"));
        }
        let access = elements().find_map(|field| field.access).unwrap_or(around.access);
        let inherited = around.modified_write_values.filter(|_| access.can_write());
        let modified = elements().find_map(|field| field.modified_write_values).or(inherited);
        Ok(Field {
            low,
            bits,
            access,
            read_action: elements().find_map(|field| field.read_action).or(around.read_action),
            modified_write_values: stated(modified),
            description: elements().find_map(|field| field.description.as_deref()).map(one_line),
            values: self.values(&chain, bits)?,
            name,
        })
    }

    /// The values of the field at the start of the chain, which has this many bits.
    fn values(&self, chain: &[Source<'d, svd::Field>], bits: u32) -> Result<Vec<Value>, Fault> {
        let mut values = Vec::new();
        let Some(field) = chain.iter().find(|field| !field.element.enumerated_values.is_empty()) else {
            return Ok(values);
        };
        for (element, place) in field.element.enumerated_values.iter().zip(&field.place.within) {
            let sets = self.sets(Source { element, place, scope: field.scope.clone() })?;
            let usage = sets.iter().find_map(|set| set.element.usage).unwrap_or_default();
            let Some(set) = sets.iter().find(|set| !set.element.values.is_empty()) else { continue };
            for (value, place) in set.element.values.iter().zip(&set.place.within) {
                self.spend(MADE, place.at)?;
                let number = value.value.unwrap_or(0);
                if (number | place.any) > u64::MAX >> (64 - bits) {
                    let what =
                        format!("the value {} does not fit in the {bits} bits of its field", one_line(&value.name));
                    return Err(Fault::new(place.at, what, "correct it, or the bits of the field"));
                }
                values.push(Value {
                    name: one_line(&value.name),
                    description: value.description.as_deref().map(one_line),
                    number: value.value,
                    any: place.any,
                    is_default: value.is_default.unwrap_or(false),
                    usage,
                });
            }
        }
        Ok(values)
    }

    fn registers(&self, own: Source<'d, svd::Register>) -> Result<Vec<Source<'d, svd::Register>>, Fault> {
        self.chain(
            "register",
            own,
            |register| register.derived_from.as_deref(),
            |scope, path| match self.entry(scope, path)? {
                Source { element: svd::RegisterCluster::Register(element), place, scope } => {
                    Some(Source { element, place, scope })
                }
                _ => None,
            },
        )
    }

    fn clusters(&self, own: Source<'d, svd::Cluster>) -> Result<Vec<Source<'d, svd::Cluster>>, Fault> {
        self.chain(
            "cluster",
            own,
            |cluster| cluster.derived_from.as_deref(),
            |scope, path| match self.entry(scope, path)? {
                Source { element: svd::RegisterCluster::Cluster(element), place, scope } => {
                    Some(Source { element, place, scope })
                }
                _ => None,
            },
        )
    }

    fn fields(&self, own: Source<'d, svd::Field>) -> Result<Vec<Source<'d, svd::Field>>, Fault> {
        self.chain("field", own, |field| field.derived_from.as_deref(), |scope, path| self.field_at(scope, path))
    }

    fn sets(&self, own: Source<'d, svd::EnumeratedValues>) -> Result<Vec<Source<'d, svd::EnumeratedValues>>, Fault> {
        let find = |scope: &Scope<'d>, path: &str| self.set_at(scope, path);
        self.chain("enumeratedValues", own, |set| set.derived_from.as_deref(), find)
    }

    /// An element, what it is derived from, and so on.
    fn chain<T>(
        &self,
        kind: &str,
        own: Source<'d, T>,
        derived_from: impl Fn(&T) -> Option<&str>,
        find: impl Fn(&Scope<'d>, &str) -> Option<Source<'d, T>>,
    ) -> Result<Vec<Source<'d, T>>, Fault> {
        let mut chain = vec![own];
        loop {
            let last = &chain[chain.len() - 1];
            let Some(path) = derived_from(last.element) else { return Ok(chain) };
            let at = last.place.at;
            self.spend(chain.len() as u64, at)?;
            let next = find(&last.scope, path);
            self.spend(0, at)?;
            let next = next.ok_or_else(|| unknown(at, kind, path))?;
            if chain.iter().any(|source| source.place.at == next.place.at) {
                return Err(looped(at, path));
            }
            chain.push(next);
        }
    }

    /// The register or cluster with this path: from the innermost elements around on, and from the device.
    fn entry(&self, scope: &Scope<'d>, path: &str) -> Option<Source<'d, svd::RegisterCluster>> {
        // A path can lead through a cluster that is derived, and so on. More names than levels lead nowhere.
        if self.depth.get() == DEEPEST || path.split('.').nth(MOST_LEVELS + 2).is_some() {
            return None;
        }
        self.spend(path.len() as u64, 0).ok()?;
        self.depth.set(self.depth.get() + 1);
        let names: Vec<_> = path.split('.').collect();
        let within = (1..=scope.levels.len()).rev().find_map(|depth| {
            let levels = scope.levels[..depth].to_vec();
            self.descend(Scope { levels, fields: Default::default() }, &names)
        });
        let found = within.or_else(|| {
            let (peripheral, names) = names.split_first()?;
            let chain =
                self.peripherals(self.description.named(peripheral, |names| self.spend(names, 0).is_ok())?).ok()?;
            self.descend(chain.iter().find_map(|parsed| root(parsed))?, names)
        });
        self.depth.set(self.depth.get() - 1);
        found
    }

    /// What the names lead to, from the innermost elements of the scope.
    fn descend(&self, mut scope: Scope<'d>, names: &[&str]) -> Option<Source<'d, svd::RegisterCluster>> {
        let (last, clusters) = names.split_last()?;
        for name in clusters {
            let (element, place) = self.child(&scope, name)?;
            let svd::RegisterCluster::Cluster(element) = element else { return None };
            if element.children.is_empty() {
                let chain = self.clusters(Source { element, place, scope }).ok()?;
                scope = inner(chain.iter().find(|source| !source.element.children.is_empty())?);
            } else {
                scope.levels.push((&element.children, &place.within));
            }
        }
        let (element, place) = self.child(&scope, last)?;
        Some(Source { element, place, scope })
    }

    /// What has the name among the innermost elements of the scope.
    fn child(&self, scope: &Scope<'d>, name: &str) -> Option<(&'d svd::RegisterCluster, &'d Place)> {
        let &(elements, places) = scope.levels.last()?;
        self.spend(elements.len() as u64, 0).ok()?;
        elements.iter().zip(places).find(|(element, _)| match element {
            svd::RegisterCluster::Register(register) => self.is_called(register, name),
            svd::RegisterCluster::Cluster(cluster) => self.is_called(cluster, name),
        })
    }

    /// The field with this path: of the same register, or with the register's path before its name.
    fn field_at(&self, scope: &Scope<'d>, path: &str) -> Option<Source<'d, svd::Field>> {
        let (fields, scope, name) = match path.rsplit_once('.') {
            None => (scope.fields, scope.clone(), path),
            Some((register, name)) => match self.entry(scope, register)? {
                Source { element: svd::RegisterCluster::Register(element), place, scope } => {
                    let chain = self.registers(Source { element, place, scope }).ok()?;
                    let (fields, scope) = chain.iter().find_map(fields_of)?;
                    (fields, scope, name)
                }
                _ => return None,
            },
        };
        self.spend(fields.0.len() as u64, 0).ok()?;
        let (element, place) = fields.0.iter().zip(fields.1).find(|(field, _)| self.is_called(field, name))?;
        Some(Source { element, place, scope })
    }

    /// The values with this path: of the same register, else of the peripheral, or with the path of their field before
    /// their name.
    fn set_at(&self, scope: &Scope<'d>, path: &str) -> Option<Source<'d, svd::EnumeratedValues>> {
        if let Some((field, name)) = path.rsplit_once('.') {
            let named = self.field_at(scope, field).and_then(|field| set_of(&field, Some(name)));
            return named.or_else(|| set_of(&self.field_at(scope, path)?, None));
        }
        self.set_among(scope, path).or_else(|| {
            let outermost = scope.levels.first().copied()?;
            self.set_within(&Scope { levels: vec![outermost], fields: Default::default() }, path)
        })
    }

    /// The values with this name of the fields of a register.
    fn set_among(&self, scope: &Scope<'d>, name: &str) -> Option<Source<'d, svd::EnumeratedValues>> {
        let (fields, places) = scope.fields;
        self.spend(fields.len() as u64, 0).ok()?;
        let mut fields = fields.iter().zip(places);
        fields.find_map(|(element, place)| set_of(&Source { element, place, scope: scope.clone() }, Some(name)))
    }

    /// The values with this name of the registers within.
    fn set_within(&self, scope: &Scope<'d>, name: &str) -> Option<Source<'d, svd::EnumeratedValues>> {
        let &(elements, places) = scope.levels.last()?;
        self.spend(elements.len() as u64, 0).ok()?;
        elements.iter().zip(places).find_map(|(element, place)| {
            let scope = scope.clone();
            match element {
                svd::RegisterCluster::Register(element) => {
                    self.set_among(&fields_of(&Source { element, place, scope })?.1, name)
                }
                svd::RegisterCluster::Cluster(element) => {
                    self.set_within(&inner(&Source { element, place, scope }), name)
                }
            }
        })
    }

    /// Whether something derived from the element would call it so.
    fn is_called<T: svd::Name>(&self, element: &MaybeArray<T>, name: &str) -> bool {
        match element {
            MaybeArray::Single(info) => info.name() == name,
            MaybeArray::Array(info, dim) => {
                array_is_called(info.name(), dim, name, |labels| self.spend(COMPARED * labels, 0).is_ok())
            }
        }
    }

    /// The name of the element at the start of the chain.
    fn name<T: svd::Name>(&self, chain: &[Source<'d, MaybeArray<T>>]) -> Result<Name, Fault> {
        let own = &chain[0];
        let dim = dimensions(chain);
        let labels = dim.as_ref().and_then(|dim| dim.dim_index.as_ref()).map_or(0, Vec::len);
        self.spend(COPIED * labels as u64, own.place.at)?;
        Ok(Name::new(own.element.name(), dim.as_ref()))
    }

    /// Counts the steps, of which there are not without end.
    fn spend(&self, steps: u64, at: usize) -> Result<(), Fault> {
        let left = self.steps.get().saturating_sub(steps);
        self.steps.set(left);
        if left == 0 {
            let what = "too many elements are derived from others";
            return Err(Fault::new(at, what, "look for something derived from what is around it"));
        }
        Ok(())
    }
}

/// The registers of a peripheral that has some itself.
fn root(parsed: &Parsed) -> Option<Scope<'_>> {
    let registers = parsed.peripheral.registers.as_ref()?;
    Some(Scope { levels: vec![(registers, &parsed.place.within)], fields: Default::default() })
}

/// What is around the elements of a cluster.
fn inner<'d>(cluster: &Source<'d, svd::Cluster>) -> Scope<'d> {
    let mut levels = cluster.scope.levels.clone();
    levels.push((&cluster.element.children, &cluster.place.within));
    Scope { levels, fields: Default::default() }
}

/// The fields of a register that has some itself, and what is around them.
fn fields_of<'d>(register: &Source<'d, svd::Register>) -> Option<(Elements<'d, svd::Field>, Scope<'d>)> {
    let fields = (register.element.fields.as_deref()?, register.place.within.as_slice());
    Some((fields, Scope { levels: register.scope.levels.clone(), fields }))
}

/// The first values of a field, or those with this name.
fn set_of<'d>(field: &Source<'d, svd::Field>, name: Option<&str>) -> Option<Source<'d, svd::EnumeratedValues>> {
    let mut sets = field.element.enumerated_values.iter().zip(&field.place.within);
    let (element, place) = sets.find(|(set, _)| name.is_none() || set.name.as_deref() == name)?;
    Some(Source { element, place, scope: field.scope.clone() })
}

/// What the array at the start of the chain says of its elements, or has from what it is derived from.
fn dimensions<T: svd::Name>(chain: &[Source<'_, MaybeArray<T>>]) -> Option<DimElement> {
    let (own, sources) = chain.split_first()?;
    let mut derived = sources.iter().filter_map(|source| match source.element {
        MaybeArray::Array(_, dim) => Some(dim),
        MaybeArray::Single(_) => None,
    });
    match own.element {
        MaybeArray::Single(info) => derived.next().filter(|_| info.name().contains("%s")).cloned(),
        MaybeArray::Array(_, dim) => {
            let mut dim = dim.clone();
            if dim.dim_index.is_none() {
                dim.dim_index = derived.find(|other| other.dim == dim.dim).and_then(|other| other.dim_index.clone());
            }
            Some(dim)
        }
    }
}

/// The first of each property.
fn inherited(properties: impl Iterator<Item = RegisterProperties>) -> RegisterProperties {
    properties.fold(RegisterProperties::default(), |mut first, next| {
        first.size = first.size.or(next.size);
        first.access = first.access.or(next.access);
        first.protection = first.protection.or(next.protection);
        first.reset_value = first.reset_value.or(next.reset_value);
        first.reset_mask = first.reset_mask.or(next.reset_mask);
        first
    })
}

/// What writing does, unless it is as if nothing were said.
fn stated(values: Option<ModifiedWriteValues>) -> Option<ModifiedWriteValues> {
    values.filter(|values| *values != ModifiedWriteValues::Modify)
}

/// How many registers and clusters there are.
fn count(entries: &[Entry]) -> u64 {
    let counts = entries.iter().map(|entry| {
        let within = match &entry.kind {
            Kind::Register(_) => 0,
            Kind::Cluster(entries) => count(entries),
        };
        within.saturating_add(1).saturating_mul(entry.name.count().into())
    });
    counts.fold(0, u64::saturating_add)
}

/// Where the last of them ends.
fn end(entries: &[Entry]) -> u64 {
    let ends = entries.iter().filter_map(|entry| {
        let last = entry.name.count().checked_sub(1)?;
        let length = match &entry.kind {
            Kind::Register(register) => register.as_ref().map_or(0, |register| register.width.bytes() as u64),
            Kind::Cluster(entries) => end(entries),
        };
        Some(entry.offset + entry.name.distance(last) + length)
    });
    ends.max().unwrap_or(0)
}

fn unknown(at: usize, kind: &str, path: &str) -> Fault {
    Fault::new(at, format!("there is no {kind} {path} to derive it from"), "correct derivedFrom")
}

fn looped(at: usize, path: &str) -> Fault {
    Fault::new(at, format!("it is derived from itself, by way of {path}"), "end the loop of derivedFrom")
}
