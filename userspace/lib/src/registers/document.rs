// SPDX-License-Identifier: MIT OR Apache-2.0

//! The file: its XML, where in it each peripheral is, and the elements of a peripheral once they are needed.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::OnceLock;

use roxmltree::{Document, Node, ParsingOptions};
use svd_parser::svd::{self, DimElement, RegisterProperties, ValidateLevel};
use svd_parser::{Config, Parse, Target};

use super::definition::Block;
use super::derivation::{self, COMPARED};
use super::error::{DescriptionError, Fault, Lines};
use super::item::Peripheral;
use super::name::Name;
use crate::Endian;

/// How many elements an array may have, and a peripheral in all.
pub(super) const MOST: u32 = 1 << 20;

/// How deep elements may be in others; a field's value without clusters is at 11.
const DEEPEST: usize = 64;

/// How long a file may be. The longest of vendors have about a fifth of that.
const LONGEST: u64 = 64 << 20;

/// How many elements, and texts between them, a file may have. They need 72 bytes each. One of the greatest length has
/// fewer, with 12 bytes for each as those of vendors have.
const MOST_NODES: u32 = 6 << 20;

/// How many attributes an element may have, each of which is compared with each. The schema knows five for one.
const MOST_ATTRIBUTES: usize = 64;

/// How many namespaces a file may declare, which are looked through for each element.
const MOST_NAMESPACES: usize = 64;

/// How many bytes may be copied because each section of CDATA copies the text of its element before it.
const MOST_COPIED: usize = 64 << 20;

/// How many names of arrays, and indices, may be compared for what peripherals are derived from.
const MOST_COMPARED: u64 = 1 << 24;

/// How many bytes a name may have.
const LONGEST_NAME: usize = 1024;

/// What registers inherit.
const PROPERTIES: [&str; 5] = ["size", "access", "protection", "resetValue", "resetMask"];

const SCHEMA: &str = "write it as the CMSIS-SVD schema says";

/// A CMSIS-SVD file: what a device has, by name.
///
/// ```no_run
/// use devmap::registers::Description;
///
/// let board = Description::open("board.svd")?;
/// for item in board.search("UART*.C?")? {
///     println!("{}: {}", item.path(), item.description().unwrap_or_default());
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Description {
    file: String,
    text: String,
    lines: OnceLock<Lines>,
    name: String,
    endian: Endian,
    properties: RegisterProperties,
    peripherals: Vec<Listed>,
    /// Where in the list each name is.
    places: HashMap<String, usize>,
    /// Where the arrays are.
    arrays: Vec<usize>,
    level: ValidateLevel,
    /// What is left for what is derived.
    steps: AtomicU64,
}

/// What is known of a peripheral, or of an array of them, before anything of it is needed.
pub(super) struct Listed {
    pub(super) name: Name,
    pub(super) base: u64,
    description: Option<String>,
    pub(super) derived_from: Option<String>,
    /// Where in the list that is.
    source: Option<usize>,
    /// Its element in the text.
    range: Range<usize>,
    parsed: OnceLock<Result<Parsed, Fault>>,
    block: OnceLock<Result<Block, Fault>>,
}

/// The element of a peripheral.
pub(super) struct Parsed {
    pub(super) peripheral: svd::Peripheral,
    pub(super) place: Place,
}

/// Where an element is in the text, and those within: registers, clusters, fields and values, in the order in which
/// `svd-parser` has them.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) at: usize,
    /// Of a value: the bits that may be anything, of which `svd-parser` says nothing.
    pub(super) any: u64,
    pub(super) within: Vec<Place>,
}

impl Description {
    /// The description in this file.
    ///
    /// # Errors
    ///
    /// [`DescriptionError`] if the file cannot be read, or is no CMSIS-SVD file. What is wrong within a peripheral is
    /// an error when it is used.
    ///
    /// ```no_run
    /// let board = devmap::registers::Description::open("board.svd")?;
    /// # Ok::<(), devmap::registers::DescriptionError>(())
    /// ```
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DescriptionError> {
        Self::read(path.as_ref(), ValidateLevel::Disabled)
    }

    /// The same, if all of the file keeps the rules of the schema.
    ///
    /// # Errors
    ///
    /// [`DescriptionError`] for the first breach. Registers that overlap, and are no alternates of each other, are one.
    ///
    /// ```no_run
    /// let board = devmap::registers::Description::open_strict("board.svd")?;
    /// # Ok::<(), devmap::registers::DescriptionError>(())
    /// ```
    pub fn open_strict(path: impl AsRef<Path>) -> Result<Self, DescriptionError> {
        Self::read(path.as_ref(), ValidateLevel::Strict)
    }

    /// The description with this content; `file` is what errors call it.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl031.svd");
    /// let board = devmap::registers::Description::parse("pl031.svd", text)?;
    /// assert_eq!(board.name(), "PL031");
    /// # Ok::<(), devmap::registers::DescriptionError>(())
    /// ```
    pub fn parse(file: &str, xml: impl Into<Vec<u8>>) -> Result<Self, DescriptionError> {
        Self::new(file, xml.into(), ValidateLevel::Disabled)
    }

    /// The same, if all of it keeps the rules of the schema.
    ///
    /// # Errors
    ///
    /// As for [`open_strict`](Self::open_strict).
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/pl031.svd");
    /// let board = devmap::registers::Description::parse_strict("pl031.svd", text)?;
    /// # Ok::<(), devmap::registers::DescriptionError>(())
    /// ```
    pub fn parse_strict(file: &str, xml: impl Into<Vec<u8>>) -> Result<Self, DescriptionError> {
        Self::new(file, xml.into(), ValidateLevel::Strict)
    }

    /// The name of the device.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/edu.svd");
    /// # let card = devmap::registers::Description::parse("edu.svd", text)?;
    /// assert_eq!(card.name(), "edu");
    /// # Ok::<(), devmap::registers::DescriptionError>(())
    /// ```
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its peripherals, in the order of the file.
    ///
    /// ```
    /// # let text = include_str!("../../examples/svd/edu.svd");
    /// # let card = devmap::registers::Description::parse("edu.svd", text)?;
    /// assert!(card.peripherals().map(|peripheral| peripheral.name().to_owned()).eq(["EDU"]));
    /// # Ok::<(), devmap::registers::DescriptionError>(())
    /// ```
    pub fn peripherals(&self) -> Peripherals<'_> {
        Peripherals { description: self, listed: 0, element: 0 }
    }

    fn read(path: &Path, level: ValidateLevel) -> Result<Self, DescriptionError> {
        let mut content = Vec::new();
        File::open(path)
            .and_then(|file| file.take(LONGEST + 1).read_to_end(&mut content))
            .map_err(|cause| DescriptionError::Read { path: path.into(), cause })?;
        Self::new(&path.display().to_string(), content, level)
    }

    fn new(file: &str, content: Vec<u8>, level: ValidateLevel) -> Result<Self, DescriptionError> {
        let text = match String::from_utf8(content) {
            Ok(text) => text,
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let fault = Fault::new(at, "it is no text in UTF-8", "give a CMSIS-SVD file, or convert it to UTF-8");
                return Err(fault.only_error(file, error.as_bytes()));
            }
        };
        let mut description =
            Self::index(file, &text, level).map_err(|fault| fault.only_error(file, text.as_bytes()))?;
        description.text = text;
        if level.is_strict() {
            description.check().map_err(|fault| description.error(fault))?;
        }
        Ok(description)
    }

    /// The description, but for its text.
    fn index(file: &str, text: &str, level: ValidateLevel) -> Result<Self, Fault> {
        if text.len() as u64 > LONGEST {
            return Err(Fault::new(0, "it is too long for a description of registers", "give a CMSIS-SVD file"));
        }
        let document = document(text, 0)?;
        let device = document.root_element();
        let tag = device.tag_name().name();
        if tag != "device" {
            let what = format!("its root is <{tag}>, not <device>");
            return Err(Fault::new(device.range().start, what, "give a CMSIS-SVD file"));
        }
        let element = |name| required(device, name);
        if level.is_strict() {
            let units = element("addressUnitBits")?;
            if parse::<u32>(units, &())? != 8 {
                let what = "its addresses do not count bytes";
                return Err(Fault::new(units.range().start, what, "describe it with <addressUnitBits> of 8"));
            }
        }
        let endian = match child(device, "cpu").and_then(|cpu| child(cpu, "endian")) {
            Some(endian) => match parse::<svd::Endian>(endian, &config(level))? {
                svd::Endian::Little => Endian::Little,
                svd::Endian::Big => Endian::Big,
                svd::Endian::Selectable | svd::Endian::Other => Endian::Native,
            },
            None => Endian::Native,
        };
        let nodes: Vec<_> = element("peripherals")?.children().filter(Node::is_element).collect();
        let mut places = HashMap::new();
        let mut left = MOST.into();
        for (place, node) in nodes.iter().enumerate() {
            check_dimensions(*node, 0, &mut left)?;
            check_name(required(*node, "name")?, 0)?;
            places.entry(content(required(*node, "name")?)?.to_owned()).or_insert(place);
        }
        let places = Places::new(&nodes, places, level, &mut left)?;
        let Places { names, arrays, sources, places } = places;
        let listed = |(&node, (name, source)): (&Node<'_, '_>, (Name, Option<usize>))| {
            let text = content(required(node, "name")?)?;
            let base: u64 = parse(required(node, "baseAddress")?, &())?;
            if base.checked_add(name.distance(name.count().saturating_sub(1))).is_none() {
                let what = format!("the last peripheral of {} is beyond the address 2^64", one_line(text));
                return Err(Fault::new(node.range().start, what, "correct <baseAddress> or <dimIncrement>"));
            }
            Ok(Listed {
                name,
                base,
                description: child(node, "description").and_then(|node| node.text()).map(one_line),
                derived_from: node.attribute("derivedFrom").map(str::to_owned),
                source,
                range: node.range(),
                parsed: OnceLock::new(),
                block: OnceLock::new(),
            })
        };
        let peripherals = nodes.iter().zip(names.into_iter().zip(sources)).map(listed).collect::<Result<_, _>>()?;
        if level.is_strict() {
            check(device, 0, &mut MOST.into())?;
            svd::Device::parse(&device, &config(level)).map_err(|error| refused(device, level, 0, &error))?;
        }
        let properties = RegisterProperties::parse(&device, &config(level)).map_err(|error| {
            let mut properties = device.children().filter(|child| PROPERTIES.contains(&child.tag_name().name()));
            wrong(properties.find(|child| accept(*child, level).is_err()).unwrap_or(device), 0, &error)
        })?;
        Ok(Self {
            file: file.into(),
            text: String::new(),
            lines: OnceLock::new(),
            name: one_line(content(element("name")?)?),
            endian,
            properties,
            peripherals,
            places,
            arrays,
            level,
            steps: AtomicU64::new(derivation::STEPS_IN_ALL),
        })
    }

    /// What the strict form checks beyond the schema.
    fn check(&self) -> Result<(), Fault> {
        self.peripherals.iter().try_for_each(|listed| derivation::check_registers(self, listed))
    }

    pub(super) fn file(&self) -> &str {
        &self.file
    }

    pub(super) fn steps(&self) -> &AtomicU64 {
        &self.steps
    }

    pub(super) fn endian(&self) -> Endian {
        self.endian
    }

    pub(super) fn properties(&self) -> RegisterProperties {
        self.properties
    }

    pub(super) fn listed(&self) -> &[Listed] {
        &self.peripherals
    }

    /// The peripheral that something in another is derived from. Counts what it compares.
    pub(super) fn named(&self, name: &str, mut spend: impl FnMut(u64) -> bool) -> Option<&Listed> {
        let array = || {
            let mut arrays = self.arrays.iter().copied();
            arrays.find(|&place| {
                spend(1) && self.peripherals[place].name.is_called(name, |labels| spend(COMPARED * labels))
            })
        };
        self.peripherals.get(self.places.get(name).copied().or_else(array)?)
    }

    /// The peripheral that another is derived from.
    pub(super) fn source(&self, listed: &Listed) -> Option<&Listed> {
        self.peripherals.get(listed.source?)
    }

    /// The description of a peripheral, or of what it is derived from.
    pub(super) fn description_of<'d>(&'d self, listed: &'d Listed) -> Option<&'d str> {
        let mut listed = listed;
        // One that is derived from itself has none.
        for _ in 0..DEEPEST {
            if let Some(description) = &listed.description {
                return Some(description);
            }
            listed = self.source(listed)?;
        }
        None
    }

    /// The element of a peripheral.
    pub(super) fn parsed<'d>(&'d self, listed: &'d Listed) -> Result<&'d Parsed, Fault> {
        let parsed = listed.parsed.get_or_init(|| {
            let start = listed.range.start;
            let document = document(&self.text[listed.range.clone()], start)?;
            let node = document.root_element();
            check(node, start, &mut MOST.into())?;
            let peripheral = parse_in(node, &config(self.level), start)?;
            Ok(Parsed { peripheral, place: Place::new(node, start) })
        });
        parsed.as_ref().map_err(Fault::clone)
    }

    pub(super) fn resolved<'d>(&'d self, listed: &'d Listed) -> Result<&'d Block, Fault> {
        listed.block.get_or_init(|| derivation::block(self, listed)).as_ref().map_err(Fault::clone)
    }

    /// What a peripheral consists of.
    pub(super) fn block<'d>(&'d self, listed: &'d Listed) -> Result<&'d Block, DescriptionError> {
        self.resolved(listed).map_err(|fault| self.error(fault))
    }

    pub(super) fn error(&self, fault: Fault) -> DescriptionError {
        let text = self.text.as_bytes();
        fault.error(&self.file, text, self.lines.get_or_init(|| Lines::new(text)))
    }

    /// The error for a peripheral of which nothing is known but its base.
    pub(super) fn empty(&self, listed: &Listed) -> DescriptionError {
        let what = "the peripheral has neither address blocks nor registers";
        self.error(Fault::new(listed.range.start, what, "describe either"))
    }
}

/// The names of peripherals, and what each is derived from.
struct Places {
    names: Vec<Name>,
    /// Where names of arrays are.
    arrays: Vec<usize>,
    /// What each is derived from.
    sources: Vec<Option<usize>>,
    /// Where each name of the file is.
    places: HashMap<String, usize>,
}

impl Places {
    fn new(
        nodes: &[Node<'_, '_>],
        places: HashMap<String, usize>,
        level: ValidateLevel,
        indices: &mut u64,
    ) -> Result<Self, Fault> {
        let is_array = |node: &Node<'_, '_>| child(*node, "dimIncrement").is_some();
        let text = |place: usize| content(required(nodes[place], "name")?);
        let named = |place: usize, of: usize| Ok(Name::new(text(place)?, dimensions(nodes[of], level)?.as_ref()));
        let mut compared = MOST_COMPARED;
        let mut find = |names: &[Option<Name>], arrays: &[usize], name: &str, at: usize| {
            let mut spend = |count| {
                compared = compared.saturating_sub(count);
                compared > 0
            };
            let array = || {
                let called = |&&place: &&usize| {
                    spend(1)
                        && names[place]
                            .as_ref()
                            .is_some_and(|array| array.is_called(name, |labels| spend(COMPARED * labels)))
                };
                arrays.iter().find(called).copied()
            };
            let found = places.get(name).copied().or_else(array);
            if compared == 0 {
                let what = "too many peripherals are derived from elements of arrays";
                return Err(Fault::new(nodes[at].range().start, what, "derive them from the arrays"));
            }
            Ok(found)
        };

        let mut names: Vec<Option<Name>> = Vec::new();
        for (place, node) in nodes.iter().enumerate() {
            names.push(if is_array(node) { Some(named(place, place)?) } else { None });
        }
        let mut arrays: Vec<_> = (0..nodes.len()).filter(|&place| names[place].is_some()).collect();
        for place in 0..nodes.len() {
            if names[place].is_some() {
                continue;
            }
            // What is called like an array is one if what it is derived from is.
            let mut of = Some(place).filter(|_| text(place).is_ok_and(|text| text.contains("%s")));
            for _ in 0..DEEPEST {
                let Some(name) = of.and_then(|of| nodes[of].attribute("derivedFrom")) else {
                    of = None;
                    break;
                };
                of = find(&names, &arrays, name, place)?;
                if of.is_some_and(|of| is_array(&nodes[of])) {
                    break;
                }
            }
            names[place] = Some(match of.filter(|&of| is_array(&nodes[of])) {
                Some(of) => {
                    check_dimensions(nodes[of], 0, indices)?;
                    arrays.push(place);
                    named(place, of)?
                }
                None => Name::new(text(place)?, None),
            });
        }
        arrays.sort_unstable();

        let mut known = HashMap::new();
        let mut sources = Vec::new();
        for (place, node) in nodes.iter().enumerate() {
            sources.push(match node.attribute("derivedFrom") {
                None => None,
                Some(name) => match known.get(name) {
                    Some(&source) => source,
                    None => {
                        let source = find(&names, &arrays, name, place)?;
                        known.insert(name, source);
                        source
                    }
                },
            });
        }
        Ok(Self { names: names.into_iter().flatten().collect(), arrays, sources, places })
    }
}

impl fmt::Debug for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Description").field("file", &self.file).field("name", &self.name).finish_non_exhaustive()
    }
}

/// The peripherals of a description, which [`Description::peripherals`] returns.
///
/// ```
/// # let text = include_str!("../../examples/svd/edu.svd");
/// # let card = devmap::registers::Description::parse("edu.svd", text)?;
/// assert_eq!(card.peripherals().count(), 1);
/// # Ok::<(), devmap::registers::DescriptionError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Peripherals<'d> {
    description: &'d Description,
    /// Where the next is in the list, and in its array.
    listed: usize,
    element: u32,
}

impl<'d> Iterator for Peripherals<'d> {
    type Item = Peripheral<'d>;

    fn next(&mut self) -> Option<Peripheral<'d>> {
        loop {
            let listed = self.description.peripherals.get(self.listed)?;
            if self.element < listed.name.count() {
                self.element += 1;
                return Some(Peripheral::new(self.description, listed, self.element - 1));
            }
            (self.listed, self.element) = (self.listed + 1, 0);
        }
    }
}

impl Place {
    /// That of the element, in a text which starts at `start` of the file.
    fn new(node: Node<'_, '_>, start: usize) -> Self {
        let container = match node.tag_name().name() {
            "peripheral" => child(node, "registers"),
            "register" => child(node, "fields"),
            _ => Some(node),
        };
        let is_within = |within: &Node<'_, '_>| match node.tag_name().name() {
            "register" => within.has_tag_name("field"),
            "field" => within.has_tag_name("enumeratedValues"),
            "enumeratedValues" => within.has_tag_name("enumeratedValue"),
            _ => within.has_tag_name("register") || within.has_tag_name("cluster"),
        };
        let within = container.into_iter().flat_map(|node| node.children()).filter(is_within);
        let any = child(node, "value").and_then(|value| value.text()).map_or(0, any_bits);
        Self { at: start + node.range().start, any, within: within.map(|node| Self::new(node, start)).collect() }
    }
}

/// The bits of a binary number that may be anything.
fn any_bits(number: &str) -> u64 {
    let number = number.trim();
    let digits = number.strip_prefix('#').or_else(|| number.strip_prefix("0b"));
    digits.unwrap_or_default().chars().fold(0, |bits, digit| bits << 1 | u64::from(matches!(digit, 'x' | 'X')))
}

/// How `svd-parser` reads the elements.
fn config(level: ValidateLevel) -> Config {
    let mut config = Config::default().validate_level(level);
    // Cortex-M would need elements of `cpu` that no register depends on.
    config.target = Target::None;
    config
}

/// The XML of a text that starts at `start` of the file.
fn document(text: &str, start: usize) -> Result<Document<'_>, Fault> {
    check_text(text).map_err(|fault| Fault { at: start + fault.at, ..fault })?;
    let options = ParsingOptions { nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    Document::parse_with_options(text, options).map_err(|error| {
        if let roxmltree::Error::NodesLimitReached = error {
            return too_much(start);
        }
        let position = error.pos();
        let line: usize = text.split_inclusive('\n').take(position.row as usize - 1).map(str::len).sum();
        let column = text[line..].char_indices().nth(position.col as usize - 1).map_or(text.len() - line, |(at, _)| at);
        let what = error.to_string();
        let what = what.strip_suffix(&format!(" at {position}")).unwrap_or(&what);
        Fault::new(start + line + column, format!("it is no XML: {what}"), "give a CMSIS-SVD file")
    })
}

/// The fault of a text that starts at `start`, with more elements than there is memory for.
fn too_much(start: usize) -> Fault {
    Fault::new(start, "it has too many elements for a description of registers", "give a CMSIS-SVD file")
}

/// Checks what `roxmltree` would take too long for, or not survive: it calls itself for each level of elements, and the
/// stack has an end; and it compares each attribute of an element with each.
fn check_text(text: &str) -> Result<(), Fault> {
    // It takes memory for that many elements and attributes.
    for byte in [b'<', b'='] {
        if text.bytes().filter(|&other| other == byte).count() > MOST_NODES as usize {
            return Err(too_much(0));
        }
    }
    let (mut namespaces, mut copied) = (0, 0);
    // Where the last text began.
    let mut text_start = 0;
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(start) = text[at..].find('<') {
        let tag = at + start;
        let rest = &text[tag..];
        let fault = |at, what| Err(Fault::new(at, what, "give a CMSIS-SVD file"));
        // What ends them does not overlap what begins them: `<!-->` does not end the comment.
        let after = |begin: &str, end| rest[begin.len()..].find(end).map(|at| begin.len() + at);
        let end = if rest.starts_with("<!--") {
            after("<!--", "-->")
        } else if rest.starts_with("<![CDATA[") {
            copied += tag - text_start;
            if copied > MOST_COPIED {
                return fault(tag, "it has too many sections of CDATA in a text".into());
            }
            after("<![CDATA[", "]]>")
        } else if rest.starts_with("<?") {
            after("<?", "?>")
        } else if rest.starts_with("<!") {
            rest.find('>')
        } else if rest.starts_with("</") {
            depth = depth.saturating_sub(1);
            rest.find('>')
        } else {
            let mut quote = None;
            let mut attributes = 0;
            let end = rest.bytes().position(|byte| match (byte, quote) {
                (b'"' | b'\'', None) => {
                    quote = Some(byte);
                    attributes += 1;
                    false
                }
                (byte, Some(open)) => {
                    quote = quote.filter(|_| byte != open);
                    false
                }
                (byte, None) => byte == b'>',
            });
            let end_or_all = end.unwrap_or(rest.len());
            if attributes > 0 {
                namespaces += rest[..end_or_all].matches("xmlns").count();
            }
            let most = [(attributes, MOST_ATTRIBUTES, "attributes"), (namespaces, MOST_NAMESPACES, "namespaces")];
            if let Some((_, most, what)) = most.into_iter().find(|(count, most, _)| count > most) {
                return fault(tag, format!("it has more than {most} {what}"));
            }
            if !rest[..end_or_all].ends_with('/') {
                depth += 1;
            }
            end
        };
        if depth > DEEPEST {
            return fault(tag, format!("more than {DEEPEST} elements are within each other"));
        }
        let Some(end) = end else { break };
        at = tag + end;
        if !rest.starts_with("<![CDATA[") {
            text_start = at;
        }
    }
    Ok(())
}

/// The first element of this name within the node.
fn child<'a, 'input>(node: Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    node.children().find(|child| child.has_tag_name(name))
}

fn required<'a, 'input>(node: Node<'a, 'input>, name: &str) -> Result<Node<'a, 'input>, Fault> {
    let missing = || {
        let what = format!("<{}> has no <{name}>", node.tag_name().name());
        Fault::new(node.range().start, what, SCHEMA)
    };
    child(node, name).ok_or_else(missing)
}

/// The text of an element.
fn content<'a>(node: Node<'a, '_>) -> Result<&'a str, Fault> {
    let empty = || Fault::new(node.range().start, format!("<{}> is empty", node.tag_name().name()), SCHEMA);
    node.text().map(str::trim).filter(|text| !text.is_empty()).ok_or_else(empty)
}

/// Text in one line.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The content of an element of the whole text.
fn parse<T: Parse<Object = T>>(node: Node<'_, '_>, config: &T::Config) -> Result<T, Fault>
where
    T::Error: fmt::Display,
{
    T::parse(&node, config).map_err(|error| wrong(node, 0, &error))
}

/// The element in a text that starts at `start` of the file.
fn parse_in<T: Parse<Object = T, Config = Config>>(
    node: Node<'_, '_>,
    config: &Config,
    start: usize,
) -> Result<T, Fault>
where
    T::Error: fmt::Display,
{
    T::parse(&node, config).map_err(|error| refused(node, config.validate_level, start, &error))
}

/// What an array says of its elements.
fn dimensions(node: Node<'_, '_>, level: ValidateLevel) -> Result<Option<DimElement>, Fault> {
    child(node, "dimIncrement").map(|_| parse_in(node, &config(level), 0)).transpose()
}

/// The fault of an element that svd-parser refuses, with nothing smaller in it that it refuses.
fn wrong(node: Node<'_, '_>, start: usize, error: &impl fmt::Display) -> Fault {
    let tag = node.tag_name().name();
    let called = match child(node, "name").unwrap_or(node).text().map(one_line) {
        Some(text) if !text.is_empty() => format!("<{tag}> {text}"),
        _ => format!("<{tag}>"),
    };
    let error = one_line(&error.to_string());
    Fault::new(start + node.range().start, format!("{called} is wrong: {}", error.trim_start_matches('`')), SCHEMA)
}

/// The fault of an element that svd-parser refuses, at the innermost element that it would refuse alone. (Its errors
/// know their element, but do not tell.)
fn refused(node: Node<'_, '_>, level: ValidateLevel, start: usize, error: &dyn fmt::Display) -> Fault {
    for child in node.children().filter(Node::is_element) {
        if let Err(error) = accept(child, level) {
            return refused(child, level, start, &error);
        }
    }
    wrong(node, start, &error)
}

/// Whether svd-parser accepts the element.
fn accept(node: Node<'_, '_>, level: ValidateLevel) -> Result<(), String> {
    let config = &config(level);
    fn parsed<T: Parse>(node: Node<'_, '_>, config: &T::Config) -> Result<(), String>
    where
        T::Error: fmt::Display,
    {
        T::parse(&node, config).map(drop).map_err(|error| error.to_string())
    }
    let around = node.parent_element().map_or("", |parent| parent.tag_name().name());
    match node.tag_name().name() {
        _ if around == "peripherals" => parsed::<svd::Peripheral>(node, config),
        _ if around == "registers" => parsed::<svd::RegisterCluster>(node, config),
        _ if around == "fields" => parsed::<svd::Field>(node, config),
        "peripherals" | "registers" | "fields" => {
            node.children().filter(Node::is_element).try_for_each(|child| accept(child, level))
        }
        // In a cluster.
        "register" | "cluster" => parsed::<svd::RegisterCluster>(node, config),
        "enumeratedValues" => parsed::<svd::EnumeratedValues>(node, config),
        "enumeratedValue" => parsed::<svd::EnumeratedValue>(node, config),
        "addressBlock" => parsed::<svd::AddressBlock>(node, config),
        "interrupt" => parsed::<svd::Interrupt>(node, config),
        "cpu" => parsed::<svd::Cpu>(node, config),
        "access" => parsed::<svd::Access>(node, config),
        "protection" => parsed::<svd::Protection>(node, config),
        "readAction" => parsed::<svd::ReadAction>(node, config),
        "modifiedWriteValues" => parsed::<svd::ModifiedWriteValues>(node, config),
        "usage" if around == "addressBlock" => parsed::<svd::AddressBlockUsage>(node, config),
        "usage" => parsed::<svd::Usage>(node, config),
        "size" | "addressOffset" | "dim" | "dimIncrement" | "bitOffset" | "bitWidth" | "lsb" | "msb" | "offset" => {
            parsed::<u32>(node, &())
        }
        "baseAddress" | "resetValue" | "resetMask" | "value" => parsed::<u64>(node, &()),
        _ => Ok(()),
    }
}

/// Checks what svd-parser would take too long for, or not survive. There are so many indices `left` that it may make.
fn check(node: Node<'_, '_>, start: usize, left: &mut u64) -> Result<(), Fault> {
    node.descendants().filter(Node::is_element).try_for_each(|node| {
        check_dimensions(node, start, left)?;
        match node.tag_name().name() {
            "field" => check_bits(node, start),
            "name" => check_name(node, start),
            _ => Ok(()),
        }
    })
}

/// Checks the number of elements of an array.
fn check_dimensions(node: Node<'_, '_>, start: usize, left: &mut u64) -> Result<(), Fault> {
    let Some(dim) = child(node, "dim") else { return Ok(()) };
    let fault =
        |node: Node<'_, '_>, what, remedy: &'static str| Err(Fault::new(start + node.range().start, what, remedy));
    if child(node, "dimIncrement").is_none() {
        return fault(dim, "the array has no <dimIncrement>".into(), "say how far its elements are from each other");
    }
    let most = if node.has_tag_name("field") { 64 } else { MOST };
    let count = u32::parse(&dim, &()).map_err(|error| wrong(dim, start, &error))?;
    if count > most {
        return fault(
            dim,
            format!("an array of {count} elements is too large"),
            "describe it as memory, not as registers",
        );
    }
    let Some(index) = child(node, "dimIndex") else { return Ok(()) };
    let text = index.text().unwrap_or_default().trim();
    let indices = match text.split_once('-') {
        None => text.split(',').count() as u64,
        Some((first, last)) => match (first.parse::<u32>(), last.parse::<u32>()) {
            (Ok(first), Ok(last)) => (u64::from(last) + 1).saturating_sub(first.into()),
            // A range of letters is short.
            _ => return Ok(()),
        },
    };
    if indices != u64::from(count) {
        let what = format!("the array has {count} elements, but {indices} indices");
        return fault(index, what, "correct <dim> or <dimIndex>");
    }
    match left.checked_sub(indices) {
        Some(rest) => {
            *left = rest;
            Ok(())
        }
        None => fault(index, format!("the arrays have more than {MOST} indices"), "leave out <dimIndex>"),
    }
}

/// Checks the length of a name, which is compared with others.
fn check_name(node: Node<'_, '_>, start: usize) -> Result<(), Fault> {
    if node.text().is_some_and(|name| name.len() > LONGEST_NAME) {
        return Err(Fault::new(start + node.range().start, "the name is too long", "give a short one"));
    }
    Ok(())
}

/// Checks the bits of a field.
fn check_bits(node: Node<'_, '_>, start: usize) -> Result<(), Fault> {
    let number = |name| child(node, name).and_then(|node| u32::parse(&node, &()).ok());
    let range = child(node, "bitRange").and_then(|range| {
        let (high, low) = range.text()?.trim().strip_prefix('[')?.strip_suffix(']')?.split_once(':')?;
        Some((range, high.trim().parse().ok()?, low.trim().parse().ok()?))
    });
    let bounds = range.or_else(|| Some((child(node, "msb")?, number("msb")?, number("lsb")?)));
    let Some((place, high, low)) = bounds else { return Ok(()) };
    let fault = |what, remedy: &'static str| Err(Fault::new(start + place.range().start, what, remedy));
    if high < low {
        return fault(format!("the field's high bit, {high}, is below its low one, {low}"), "exchange them");
    }
    if high > 63 {
        return fault(format!("the field's high bit is {high}"), "give one up to 63");
    }
    Ok(())
}
