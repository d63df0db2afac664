// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Windows from the device tree: the children of a node that is compatible with [`COMPATIBLE`].
//!
//! The binding is `docs/bindings/map,windows.yaml`. The driver reads the properties; this module
//! validates them.

use core::{
    ffi::CStr,
    fmt, //
};

use super::{
    abi::IRQS,
    Access,
    CacheMode,
    Huge,
    Name,
    Origin,
    PageSize,
    PhysRange,
    Window, //
};

/// The compatible string of a node whose children are windows.
pub const COMPATIBLE: &CStr = c"map,windows";

/// The property with the name of the window. The default is the name of the node.
pub const LABEL: &CStr = c"label";

/// The property that refers to the window's node in `/reserved-memory`.
pub const MEMORY_REGION: &CStr = c"memory-region";

/// The property with the addresses of the window, if it shows device registers rather than reserved
/// memory.
pub const REG: &CStr = c"reg";

/// The property of a read-only window.
pub const READ_ONLY: &CStr = c"read-only";

/// The property with the cache type.
pub const CACHE: &CStr = c"map,cache";

/// The property of a window that the driver does not claim.
pub const SHARED: &CStr = c"map,shared";

/// The property with the use of huge pages.
pub const HUGE: &CStr = c"map,huge";

/// The property with the interrupts of the window, for the interrupt controller of the node.
pub const INTERRUPTS: &CStr = c"interrupts";

/// The property with the interrupts of the window, each with its controller. If a node has both,
/// this one counts.
pub const INTERRUPTS_EXTENDED: &CStr = c"interrupts-extended";

/// The property with the names of the interrupts.
pub const INTERRUPT_NAMES: &CStr = c"interrupt-names";

/// A child node as read by the driver, with the bytes of each property that it has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Node<'a> {
    /// The name of the node, with its unit address.
    pub name: &'a [u8],
    /// [`LABEL`].
    pub label: Option<&'a [u8]>,
    /// [`READ_ONLY`].
    pub read_only: Option<&'a [u8]>,
    /// [`CACHE`].
    pub cache: Option<&'a [u8]>,
    /// [`SHARED`].
    pub shared: Option<&'a [u8]>,
    /// [`HUGE`].
    pub huge: Option<&'a [u8]>,
    /// [`MEMORY_REGION`].
    pub memory_region: Place,
    /// [`REG`].
    pub reg: Place,
    /// [`INTERRUPTS`] or [`INTERRUPTS_EXTENDED`].
    pub lines: Lines,
    /// [`INTERRUPT_NAMES`].
    pub interrupt_names: Option<&'a [u8]>,
    /// Whether the node, its parent and the memory node that it refers to are unchanged since boot.
    pub of_boot: bool,
}

/// The result of resolving a property that locates the memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// The node does not have the property.
    #[default]
    Absent,
    /// The property does not resolve to memory.
    Nowhere,
    /// The property names one region.
    Region {
        /// The physical address of the first byte.
        start: u64,
        /// The length in bytes, which may be 0.
        length: u64,
    },
    /// The property names more than one region.
    Several,
}

/// The property with the interrupts of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lines {
    /// The node has neither property.
    #[default]
    Absent,
    /// [`INTERRUPTS`].
    Interrupts {
        /// The length of its value in bytes.
        length: usize,
        /// `#interrupt-cells` of the controller; `None` if the node has no controller.
        cells: Option<u32>,
    },
    /// [`INTERRUPTS_EXTENDED`], with the number of its interrupts; `None` if an entry refers to no
    /// controller, or is not complete.
    Extended(Option<usize>),
}

/// The interrupts of a window, as the device tree describes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupts {
    /// How many there are, at most [`IRQS`].
    pub number: usize,
    /// Their names; empty without [`INTERRUPT_NAMES`].
    pub names: [Name; IRQS],
}

impl Interrupts {
    /// No interrupts.
    pub const NONE: Self = Self {
        number: 0,
        names: [Name::NONE; IRQS],
    };
}

/// The reason for which a node is not a valid window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeError {
    /// The property that is wrong or missing.
    pub property: &'static CStr,
    /// What is wrong with it.
    pub kind: NodeErrorKind,
    /// The required alignment of the start and the size of a window, in bytes.
    pub page_size: u64,
}

/// What is wrong with a property.
///
/// The first error in the order of this list is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeErrorKind {
    /// The node has neither [`MEMORY_REGION`] nor [`REG`].
    PlaceMissing,
    /// The node has both.
    PlaceTwice,
    /// It names more than one region.
    Several,
    /// [`MEMORY_REGION`] does not refer to reserved memory.
    NotReserved,
    /// [`REG`] does not translate to a CPU address.
    NoAddress,
    /// The region is empty.
    Empty,
    /// The start is not a multiple of the page size.
    StartUnaligned,
    /// The size is not a multiple of the page size.
    SizeUnaligned,
    /// The range extends beyond the last 64-bit address.
    RangeTooLong,
    /// The value is not a single string that is a valid name.
    Name,
    /// The node has no label, and its own name is not valid for a window.
    NameMissing,
    /// The value is not a single string that is a cache type.
    CacheMode,
    /// The value is not a single string that tells whether to use huge pages.
    Huge,
    /// A boolean property has a value.
    Value,
    /// The node has no interrupt controller.
    NoController,
    /// [`INTERRUPTS`] is empty, or its length is not a multiple of an interrupt's.
    InterruptsLength,
    /// [`INTERRUPTS_EXTENDED`] is empty, or has an entry that refers to no controller or is not
    /// complete.
    InterruptsExtended,
    /// There are more than [`IRQS`] interrupts.
    TooManyInterrupts,
    /// [`INTERRUPT_NAMES`] has not as many names as there are interrupts.
    InterruptNamesNumber,
    /// One of [`INTERRUPT_NAMES`] is not a valid name.
    InterruptName,
    /// Two of [`INTERRUPT_NAMES`] are equal.
    InterruptNameTwice,
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let property = self.property.to_str().unwrap_or_default();
        let page_size = self.page_size;
        write!(f, "{property}: ")?;
        f.write_str(match self.kind {
            NodeErrorKind::PlaceMissing => {
                "neither this nor reg is present; a window needs one of them"
            }
            NodeErrorKind::PlaceTwice => {
                "a window has either this or memory-region; remove one of them"
            }
            NodeErrorKind::Several => {
                "there is more than one region; describe each in a separate window"
            }
            NodeErrorKind::NotReserved => {
                "the kernel has reserved no memory for it; \
                 it must be an enabled node of /reserved-memory in the boot device tree"
            }
            NodeErrorKind::NoAddress => {
                "this does not translate to a CPU address; \
                 see #address-cells, #size-cells and ranges of the parent nodes"
            }
            NodeErrorKind::Empty => {
                return write!(f, "the region is empty; the smallest is a page, {page_size:#x}");
            }
            NodeErrorKind::StartUnaligned => {
                return write!(
                    f,
                    "the region does not start at a multiple of the page size, {page_size:#x}"
                );
            }
            NodeErrorKind::SizeUnaligned => {
                return write!(
                    f,
                    "the size of the region is not a multiple of the page size, {page_size:#x}"
                );
            }
            NodeErrorKind::RangeTooLong => {
                "the region extends beyond the last 64-bit address; make it smaller"
            }
            NodeErrorKind::Name => {
                "this is not a name; a name is one string of 1 to 31 of the characters a-z, 0-9, _ and -"
            }
            NodeErrorKind::NameMissing => {
                "it is missing, and the name of the node is not valid for a window; \
                 add a label of 1 to 31 of the characters a-z, 0-9, _ and -"
            }
            NodeErrorKind::CacheMode => {
                "there is no such cache type; the types are uncached, write-combine and cached"
            }
            NodeErrorKind::Huge => "this is neither auto nor never",
            NodeErrorKind::Value => {
                "this property takes no value; remove the value, or the property to turn it off"
            }
            NodeErrorKind::NoController => {
                "the node has no interrupt controller; \
                 see interrupt-parent of the node and its parents, and #interrupt-cells"
            }
            NodeErrorKind::InterruptsLength => {
                "the length is not that of one or more interrupts; \
                 each has as many cells as #interrupt-cells of the interrupt controller says"
            }
            NodeErrorKind::InterruptsExtended => {
                "there is no interrupt, or one refers to no interrupt controller or lacks cells; \
                 each is a controller and as many cells as its #interrupt-cells says"
            }
            NodeErrorKind::TooManyInterrupts => {
                return write!(f, "there are too many interrupts; the maximum is {IRQS}");
            }
            NodeErrorKind::InterruptNamesNumber => {
                "there must be as many names as interrupts"
            }
            NodeErrorKind::InterruptName => {
                "one of these is not a name; a name has 1 to 31 of the characters a-z, 0-9, _ and -"
            }
            NodeErrorKind::InterruptNameTwice => {
                "two interrupts have the same name; give each a name of its own"
            }
        })
    }
}

impl Node<'_> {
    /// Returns the window that the node describes. [`check_window()`](super::check_window())
    /// decides whether it may exist, and [`Table`](super::Table) whether it fits the other windows.
    ///
    /// `page_size` is in bytes and a power of two.
    ///
    /// # Errors
    ///
    /// [`NodeError`] if the node violates the binding.
    pub fn window(&self, page_size: u64) -> Result<Window, NodeError> {
        let wrong = |(property, kind)| NodeError {
            property,
            kind,
            page_size,
        };
        let range = self.range(page_size).map_err(wrong)?;
        let name = self.window_name().map_err(wrong)?;
        let cache = self.cache().map_err(wrong)?;
        let read_only = flag(READ_ONLY, self.read_only).map_err(wrong)?;
        let shared = flag(SHARED, self.shared).map_err(wrong)?;
        let huge = self.huge().map_err(wrong)?;
        Ok(Window {
            name,
            access: if read_only {
                Access::ReadOnly
            } else {
                Access::ReadWrite
            },
            cache,
            claim: !shared,
            huge,
            origin: if self.of_boot && self.memory_region != Place::Absent {
                Origin::BootDt
            } else {
                Origin::Dt
            },
            ..Window::new(range)
        })
    }

    /// Returns the interrupts of the window. The interrupt controller decides whether they exist.
    ///
    /// `page_size` is for the error alone.
    ///
    /// # Errors
    ///
    /// [`NodeError`] if the node violates the binding.
    pub fn interrupts(&self, page_size: u64) -> Result<Interrupts, NodeError> {
        let wrong = |(property, kind)| NodeError {
            property,
            kind,
            page_size,
        };
        let number = self.number_of_interrupts().map_err(wrong)?;
        let names = self.names_of_interrupts(number);
        let names = names.map_err(|kind| wrong((INTERRUPT_NAMES, kind)))?;
        Ok(Interrupts { number, names })
    }

    fn number_of_interrupts(&self) -> Result<usize, Fault> {
        let (property, number, kind) = match self.lines {
            Lines::Absent => return Ok(0),
            Lines::Interrupts { cells: None, .. } => {
                return Err((INTERRUPTS, NodeErrorKind::NoController));
            }
            Lines::Interrupts {
                length,
                cells: Some(cells),
            } => (
                INTERRUPTS,
                number_of_parts(length, cells),
                NodeErrorKind::InterruptsLength,
            ),
            Lines::Extended(number) => (
                INTERRUPTS_EXTENDED,
                number,
                NodeErrorKind::InterruptsExtended,
            ),
        };
        match number {
            None | Some(0) => Err((property, kind)),
            Some(number) if number > IRQS => Err((property, NodeErrorKind::TooManyInterrupts)),
            Some(number) => Ok(number),
        }
    }

    fn names_of_interrupts(&self, number: usize) -> Result<[Name; IRQS], NodeErrorKind> {
        let mut names = [Name::NONE; IRQS];
        let Some(value) = self.interrupt_names else {
            return Ok(names);
        };
        // Each name ends with a NUL.
        let Some((0, list)) = value.split_last() else {
            return Err(NodeErrorKind::InterruptName);
        };
        let mut found = list.split(|&byte| byte == 0);
        let mut places = names.get_mut(..number).unwrap_or_default();
        while let Some((place, rest)) = places.split_first_mut() {
            let name = found.next().ok_or(NodeErrorKind::InterruptNamesNumber)?;
            let name = Name::new(name).filter(|name| !name.is_empty());
            *place = name.ok_or(NodeErrorKind::InterruptName)?;
            places = rest;
        }
        if found.next().is_some() {
            return Err(NodeErrorKind::InterruptNamesNumber);
        }
        let mut named = names.get(..number).unwrap_or_default();
        while let Some((name, rest)) = named.split_first() {
            if rest.contains(name) {
                return Err(NodeErrorKind::InterruptNameTwice);
            }
            named = rest;
        }
        Ok(names)
    }

    fn range(&self, page_size: u64) -> Result<PhysRange, Fault> {
        let (property, place, nowhere) = match (self.memory_region, self.reg) {
            (Place::Absent, Place::Absent) => {
                return Err((MEMORY_REGION, NodeErrorKind::PlaceMissing));
            }
            (place, Place::Absent) => (MEMORY_REGION, place, NodeErrorKind::NotReserved),
            (Place::Absent, place) => (REG, place, NodeErrorKind::NoAddress),
            _ => return Err((REG, NodeErrorKind::PlaceTwice)),
        };
        let (start, length) = match place {
            Place::Region { start, length } => (start, length),
            Place::Several => return Err((property, NodeErrorKind::Several)),
            Place::Absent | Place::Nowhere => return Err((property, nowhere)),
        };
        let page_size = PageSize::of_kernel(page_size);
        if length == 0 {
            return Err((property, NodeErrorKind::Empty));
        }
        if !page_size.is_aligned(start) {
            return Err((property, NodeErrorKind::StartUnaligned));
        }
        if !page_size.is_aligned(length) {
            return Err((property, NodeErrorKind::SizeUnaligned));
        }
        PhysRange::new(start, length).ok_or((property, NodeErrorKind::RangeTooLong))
    }

    fn window_name(&self) -> Result<Name, Fault> {
        let (text, kind) = match self.label {
            Some(label) => (string(label), NodeErrorKind::Name),
            None => (
                self.name.split(|&byte| byte == b'@').next(),
                NodeErrorKind::NameMissing,
            ),
        };
        text.and_then(Name::new)
            .filter(|name| !name.is_empty())
            .ok_or((LABEL, kind))
    }

    fn cache(&self) -> Result<CacheMode, Fault> {
        match self.cache.map(string) {
            None => Ok(CacheMode::default()),
            Some(Some(b"uncached")) => Ok(CacheMode::Uncached),
            Some(Some(b"write-combine")) => Ok(CacheMode::WriteCombine),
            Some(Some(b"cached")) => Ok(CacheMode::Cached),
            Some(_) => Err((CACHE, NodeErrorKind::CacheMode)),
        }
    }

    fn huge(&self) -> Result<Huge, Fault> {
        let Some(value) = self.huge else {
            return Ok(Huge::default());
        };
        string(value)
            .and_then(Huge::from_word)
            .ok_or((HUGE, NodeErrorKind::Huge))
    }
}

/// A property and the error in it.
type Fault = (&'static CStr, NodeErrorKind);

/// Returns the text of a property that is a single string, without the NUL at its end; `None` if
/// there is another NUL or none.
fn string(value: &[u8]) -> Option<&[u8]> {
    match value.split_last() {
        Some((0, text)) if !text.contains(&0) => Some(text),
        _ => None,
    }
}

/// Returns how many parts of `cells` cells the value of a property with `length` bytes has; `None`
/// if the last one is not complete.
fn number_of_parts(length: usize, cells: u32) -> Option<usize> {
    let part = usize::try_from(cells).ok()?.checked_mul(4)?;
    let rest = length.checked_rem(part)?;
    length.checked_div(part).filter(|_| rest == 0)
}

/// Returns whether a boolean property is present.
fn flag(property: &'static CStr, value: Option<&[u8]>) -> Result<bool, Fault> {
    match value {
        None => Ok(false),
        Some([]) => Ok(true),
        // `read-only = <0>` is ambiguous: the author probably wants the opposite of its effect.
        Some(_) => Err((property, NodeErrorKind::Value)),
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::{
        collections::BTreeSet,
        string::{
            String,
            ToString, //
        },
    };

    use super::*;

    const PAGE: u64 = 0x1000;

    const SDRAM: Place = Place::Region {
        start: 0xc000_0000,
        length: 0x30_0000,
    };

    const NODE: Node<'_> = Node {
        name: b"sdram",
        label: None,
        read_only: None,
        cache: None,
        shared: None,
        huge: None,
        memory_region: SDRAM,
        reg: Place::Absent,
        lines: Lines::Absent,
        interrupt_names: None,
        of_boot: false,
    };

    fn region(start: u64, length: u64) -> Node<'static> {
        Node {
            memory_region: Place::Region { start, length },
            ..NODE
        }
    }

    /// Returns the property and the kind of the error.
    fn fault(node: &Node<'_>) -> Fault {
        let error = node.window(PAGE).unwrap_err();
        assert_eq!(error.page_size, PAGE);
        (error.property, error.kind)
    }

    #[test]
    fn a_node_with_memory_alone_has_every_option_at_its_default() {
        let expected = Window {
            name: Name::new(b"sdram").unwrap(),
            origin: Origin::Dt,
            ..Window::new(PhysRange::new(0xc000_0000, 0x30_0000).unwrap())
        };
        assert_eq!(NODE.window(PAGE), Ok(expected));
        let device = Node {
            name: b"sdram@c0000000",
            memory_region: Place::Absent,
            reg: SDRAM,
            ..NODE
        };
        assert_eq!(device.window(PAGE), Ok(expected));
    }

    #[test]
    fn every_property_is_heeded() {
        let node = Node {
            label: Some(b"buffer\0"),
            read_only: Some(b""),
            cache: Some(b"write-combine\0"),
            shared: Some(b""),
            huge: Some(b"never\0"),
            ..NODE
        };
        let window = node.window(PAGE).unwrap();
        assert_eq!(
            window.to_string(),
            "buffer@0xc0000000+0x300000:ro:wc:shared:huge=never"
        );
        assert!(window.origin == Origin::Dt && !window.reserved);
        for (value, cache) in [
            (&b"uncached\0"[..], CacheMode::Uncached),
            (b"write-combine\0", CacheMode::WriteCombine),
            (b"cached\0", CacheMode::Cached),
        ] {
            let node = Node {
                cache: Some(value),
                ..NODE
            };
            assert_eq!(node.window(PAGE).unwrap().cache, cache);
        }
    }

    #[test]
    fn only_memory_that_the_boots_tree_names_is_of_the_boot() {
        let boot = Node {
            of_boot: true,
            ..NODE
        };
        assert_eq!(boot.window(PAGE).unwrap().origin, Origin::BootDt);
        let registers = Node {
            memory_region: Place::Absent,
            reg: SDRAM,
            ..boot
        };
        assert_eq!(registers.window(PAGE).unwrap().origin, Origin::Dt);
    }

    #[test]
    fn there_is_one_property_for_the_place() {
        let none = Node {
            memory_region: Place::Absent,
            ..NODE
        };
        assert_eq!(fault(&none), (MEMORY_REGION, NodeErrorKind::PlaceMissing));
        for reg in [SDRAM, Place::Nowhere, Place::Several] {
            let both = Node { reg, ..NODE };
            assert_eq!(fault(&both), (REG, NodeErrorKind::PlaceTwice));
        }
        for (place, memory_region, reg) in [
            (
                Place::Several,
                NodeErrorKind::Several,
                NodeErrorKind::Several,
            ),
            (
                Place::Nowhere,
                NodeErrorKind::NotReserved,
                NodeErrorKind::NoAddress,
            ),
        ] {
            let memory = Node {
                memory_region: place,
                ..none
            };
            assert_eq!(fault(&memory), (MEMORY_REGION, memory_region));
            let device = Node { reg: place, ..none };
            assert_eq!(fault(&device), (REG, reg));
        }
    }

    #[test]
    fn a_region_is_whole_pages_below_2_to_the_64() {
        for (start, length, kind) in [
            (0xc000_0000, 0, NodeErrorKind::Empty),
            (1, 0, NodeErrorKind::Empty),
            (0xc000_0800, 0x1000, NodeErrorKind::StartUnaligned),
            (0xc000_0000, 0x1001, NodeErrorKind::SizeUnaligned),
            (u64::MAX - 0xfff, 0x2000, NodeErrorKind::RangeTooLong),
        ] {
            let node = region(start, length);
            assert_eq!(
                fault(&node),
                (MEMORY_REGION, kind),
                "{start:#x}+{length:#x}"
            );
        }
        // This range ends at the last address.
        assert!(region(1 << 63, 1 << 63).window(PAGE).is_ok());
        assert!(region(0xc000_1000, 0x1000).window(0x1_0000).is_err());
        assert!(region(0xc001_0000, 0x1_0000).window(0x1_0000).is_ok());
    }

    #[test]
    fn a_name_comes_from_the_label_or_from_the_node() {
        let longest = [b'z'; 31];
        let named = |name| Node { name, ..NODE }.window(PAGE);
        for (name, expected) in [
            (&b"a"[..], "a"),
            (b"fifo@c0200000", "fifo"),
            (b"two_words-3@1,0", "two_words-3"),
        ] {
            assert_eq!(named(name).unwrap().name.as_str(), expected);
        }
        assert_eq!(named(&longest).unwrap().name.as_str().len(), 31);
        for name in [&b""[..], b"@c0000000", b"Fifo", b"a.b", &[b'z'; 32]] {
            let node = Node { name, ..NODE };
            assert_eq!(fault(&node), (LABEL, NodeErrorKind::NameMissing));
            // A label replaces it.
            let labelled = Node {
                label: Some(b"fifo\0"),
                ..node
            };
            assert_eq!(labelled.window(PAGE).unwrap().name.as_str(), "fifo");
        }
        for label in [
            &b""[..],
            b"\0",
            b"fifo",
            b"a\0b\0",
            b"a\0\0",
            b"Fifo\0",
            b"a b\0",
            b"\xc3\xa9\0",
            b"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz\0",
        ] {
            let node = Node {
                label: Some(label),
                ..NODE
            };
            assert_eq!(
                fault(&node),
                (LABEL, NodeErrorKind::Name),
                "{}",
                label.escape_ascii()
            );
        }
    }

    #[test]
    fn a_cache_type_is_one_of_three_words() {
        for value in [
            &b""[..],
            b"\0",
            b"cached",
            b"wc\0",
            b"Cached\0",
            b"cached\0uncached\0",
            b"\0\0\0\x01",
        ] {
            let node = Node {
                cache: Some(value),
                ..NODE
            };
            assert_eq!(
                fault(&node),
                (CACHE, NodeErrorKind::CacheMode),
                "{}",
                value.escape_ascii()
            );
        }
    }

    #[test]
    fn huge_pages_are_automatic_or_never_used() {
        let with = |huge| Node { huge, ..NODE };
        assert_eq!(with(Some(b"auto\0")).window(PAGE).unwrap().huge, Huge::Auto);
        for value in [
            &b""[..],
            b"\0",
            b"never",
            b"always\0",
            b"auto\0never\0",
            b"\0\0\0\x01",
        ] {
            assert_eq!(fault(&with(Some(value))), (HUGE, NodeErrorKind::Huge));
        }
    }

    #[test]
    fn a_flag_with_a_value_is_not_guessed_at() {
        for value in [&b"\0\0\0\0"[..], b"\0\0\0\x01", b"true\0"] {
            let node = Node {
                read_only: Some(value),
                ..NODE
            };
            assert_eq!(fault(&node), (READ_ONLY, NodeErrorKind::Value));
            let node = Node {
                shared: Some(value),
                ..NODE
            };
            assert_eq!(fault(&node), (SHARED, NodeErrorKind::Value));
        }
    }

    /// Returns a node with `number` interrupts of three cells, and names.
    fn with_interrupts(number: usize, interrupt_names: Option<&[u8]>) -> Node<'_> {
        Node {
            lines: Lines::Interrupts {
                length: 12 * number,
                cells: Some(3),
            },
            interrupt_names,
            ..NODE
        }
    }

    /// Returns the property and the kind of the error in the interrupts.
    fn interrupt_fault(node: &Node<'_>) -> Fault {
        let error = node.interrupts(PAGE).unwrap_err();
        (error.property, error.kind)
    }

    #[test]
    fn interrupts_are_counted_by_the_cells_of_their_controller() {
        assert_eq!(NODE.interrupts(PAGE), Ok(Interrupts::NONE));
        for (number, node) in [
            (1, with_interrupts(1, None)),
            (16, with_interrupts(16, None)),
            (
                2,
                Node {
                    lines: Lines::Extended(Some(2)),
                    ..NODE
                },
            ),
        ] {
            let expected = Interrupts {
                number,
                ..Interrupts::NONE
            };
            assert_eq!(node.interrupts(PAGE), Ok(expected));
        }
        let of = |length, cells| Node {
            lines: Lines::Interrupts { length, cells },
            ..NODE
        };
        for (length, cells) in [
            (0, Some(3)),
            (4, Some(3)),
            (13, Some(3)),
            (12, Some(0)),
            (0, Some(0)),
            (12, Some(u32::MAX)),
        ] {
            let expected = (INTERRUPTS, NodeErrorKind::InterruptsLength);
            assert_eq!(
                interrupt_fault(&of(length, cells)),
                expected,
                "{length} {cells:?}"
            );
        }
        let lost = (INTERRUPTS, NodeErrorKind::NoController);
        assert_eq!(interrupt_fault(&of(12, None)), lost);
        let many = (INTERRUPTS, NodeErrorKind::TooManyInterrupts);
        assert_eq!(interrupt_fault(&with_interrupts(17, None)), many);
        for (number, kind) in [
            (None, NodeErrorKind::InterruptsExtended),
            (Some(0), NodeErrorKind::InterruptsExtended),
            (Some(17), NodeErrorKind::TooManyInterrupts),
        ] {
            let node = Node {
                lines: Lines::Extended(number),
                ..NODE
            };
            assert_eq!(interrupt_fault(&node), (INTERRUPTS_EXTENDED, kind));
        }
    }

    #[test]
    fn interrupts_have_all_a_name_of_their_own_or_none() {
        let named = with_interrupts(2, Some(b"alarm\0tx-done\0"))
            .interrupts(PAGE)
            .unwrap();
        assert_eq!(named.number, 2);
        let names: std::vec::Vec<&str> = named.names.iter().map(Name::as_str).collect();
        assert_eq!(names[..3], ["alarm", "tx-done", ""]);
        for (number, names, kind) in [
            (1, &b""[..], NodeErrorKind::InterruptName),
            (1, b"\0", NodeErrorKind::InterruptName),
            (1, b"alarm", NodeErrorKind::InterruptName),
            (1, b"Alarm\0", NodeErrorKind::InterruptName),
            (2, b"a\0\0", NodeErrorKind::InterruptName),
            (
                1,
                b"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz\0",
                NodeErrorKind::InterruptName,
            ),
            (2, b"a\0", NodeErrorKind::InterruptNamesNumber),
            (2, b"a\0b\0c\0", NodeErrorKind::InterruptNamesNumber),
            (1, b"a\0\0", NodeErrorKind::InterruptNamesNumber),
            (2, b"a\0a\0", NodeErrorKind::InterruptNameTwice),
            (3, b"a\0b\0a\0", NodeErrorKind::InterruptNameTwice),
        ] {
            let node = with_interrupts(number, Some(names));
            assert_eq!(
                interrupt_fault(&node),
                (INTERRUPT_NAMES, kind),
                "{}",
                names.escape_ascii()
            );
        }
        // Names of nothing.
        let alone = Node {
            interrupt_names: Some(b"a\0"),
            ..NODE
        };
        let number = (INTERRUPT_NAMES, NodeErrorKind::InterruptNamesNumber);
        assert_eq!(interrupt_fault(&alone), number);
    }

    #[test]
    fn every_fault_has_words_of_its_own_after_the_property() {
        let words: BTreeSet<String> = [
            NodeErrorKind::PlaceMissing,
            NodeErrorKind::PlaceTwice,
            NodeErrorKind::Several,
            NodeErrorKind::NotReserved,
            NodeErrorKind::NoAddress,
            NodeErrorKind::Empty,
            NodeErrorKind::StartUnaligned,
            NodeErrorKind::SizeUnaligned,
            NodeErrorKind::RangeTooLong,
            NodeErrorKind::Name,
            NodeErrorKind::NameMissing,
            NodeErrorKind::CacheMode,
            NodeErrorKind::Huge,
            NodeErrorKind::Value,
            NodeErrorKind::NoController,
            NodeErrorKind::InterruptsLength,
            NodeErrorKind::InterruptsExtended,
            NodeErrorKind::TooManyInterrupts,
            NodeErrorKind::InterruptNamesNumber,
            NodeErrorKind::InterruptName,
            NodeErrorKind::InterruptNameTwice,
        ]
        .into_iter()
        .map(|kind| {
            let error = NodeError {
                property: CACHE,
                kind,
                page_size: PAGE,
            };
            error.to_string()
        })
        .collect();
        assert_eq!(words.len(), 21);
        assert!(words.iter().all(|words| words.starts_with("map,cache: ")));
    }
}
