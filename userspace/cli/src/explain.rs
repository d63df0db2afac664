// SPDX-License-Identifier: MIT OR Apache-2.0

//! `explain`: which pages hold some bytes, and so which arguments mmap(2) needs.

use std::fmt;

use devmap::page::{self, PageSize};
use devmap::{Kind, PhysRange};
use serde::{Serialize, Serializer};

use crate::base::Base;
use crate::context::{Access, Context};
use crate::drawing::Drawing;
use crate::failure::Failure;
use crate::location::{Area, Location};
use crate::number::short;
use crate::output::{counted, Address};
use crate::place::{address, pages_of, range, Extent};

/// The bytes to explain, as the arguments name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The first, whose number is another argument.
    Address(Location),
    /// All, unless there is a number of them in a window.
    Range(Extent),
}

/// Reads a range or an address.
pub fn asked(text: &str) -> Result<Asked, String> {
    range(text).map(Asked::Range).or_else(|_| address(text).map(Asked::Address))
}

/// Bytes and their pages.
struct Explained {
    area: Area,
    page_size: PageSize,
    /// Where in a page what has the name begins: a BAR that is shorter than a page need not begin at one.
    within: u64,
    /// The pages around the range, as offsets for mmap(2).
    pages: PhysRange,
}

impl Explained {
    fn new(start: Location, within: u64, length: u64, page_size: PageSize) -> Result<Self, Failure> {
        if length == 0 {
            return Err(Failure::Usage("0 bytes have no page: mmap(2) maps one byte at least".into()));
        }
        let beyond = || Failure::Usage(format!("{length:#x} bytes at {start} go beyond the last address"));
        let range = PhysRange::new(start.address, length).ok_or_else(beyond)?;
        let moved = start.address.checked_add(within).and_then(|start| PhysRange::new(start, length));
        let area = Area { base: start.base, range };
        Ok(Self { area, page_size, within, pages: pages_of(moved.ok_or_else(beyond)?, page_size)? })
    }

    /// The bytes, counted from the page in which what has the name begins.
    fn first_and_last(&self) -> (u64, u64) {
        // It was checked.
        (self.area.range.start() + self.within, self.area.range.last() + self.within)
    }

    fn count(&self) -> u64 {
        self.pages.length() / self.page_size.bytes()
    }

    /// How many bytes are mapped in addition to the range: before it, and after it.
    fn wasted(&self) -> (u64, u64) {
        let (first, last) = self.first_and_last();
        (first - self.pages.start(), self.pages.last() - last)
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &Self { area, page_size, within, pages } = self;
        let range = area.range;
        let (first, last) = self.first_and_last();
        let (address, mask) = (Address(first), page_size.mask());
        let (page, offset) = page_size.split(first);
        let (before, behind) = self.wasted();
        writeln!(f, "asked for  {area}, {}", counted(range.length(), "byte"))?;
        writeln!(f, "page size  {:#x} ({})", page_size.bytes(), short(page_size.bytes()))?;
        writeln!(f, "mask       {mask:#x}: the bits of an address that count within a page")?;
        if within != 0 {
            let sum = format!("{} + {within:#x} = {address}", Address(range.start()));
            writeln!(f, "begins     {within:#x} behind the start of a page, which counts as well: {sum}")?;
        }
        writeln!(f, "page       {} = {address} & ~{mask:#x}: the offset to give to mmap(2)", Address(page))?;
        writeln!(f, "in page    {offset:#x} = {address} & {mask:#x}: what to add to the pointer that it returns")?;
        writeln!(f, "mapped     {pages}, {}, {}", counted(self.count(), "page"), counted(pages.length(), "byte"))?;
        writeln!(f, "wasted     {}: {before} before and {behind} behind", counted(before + behind, "byte"))?;
        let asked = u128::from(first)..u128::from(last) + 1;
        let marks = [(asked, '#')];
        let drawing = Drawing {
            page_size,
            start: pages.start(),
            pages: self.count(),
            indent: 0,
            hexadecimal: true,
            marks: &marks,
        };
        write!(f, "\n{drawing}\n# asked for  . mapped with it")
    }
}

/// The answer for programs.
#[derive(Serialize)]
struct Json {
    start: Location,
    last: Location,
    bytes: u64,
    page_size: u64,
    mask: Address,
    first_page: Address,
    offset_in_page: u64,
    pages: u64,
    mapped_bytes: u64,
    wasted_before: u64,
    wasted_behind: u64,
}

impl Serialize for Explained {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (before, behind) = self.wasted();
        Json {
            start: self.area.start(),
            last: self.area.last(),
            bytes: self.area.range.length(),
            page_size: self.page_size.bytes(),
            mask: Address(self.page_size.mask()),
            first_page: Address(self.pages.start()),
            offset_in_page: before,
            pages: self.count(),
            mapped_bytes: self.pages.length(),
            wasted_before: before,
            wasted_behind: behind,
        }
        .serialize(serializer)
    }
}

/// Prints which pages hold the bytes, `length` of them after an address, by default on this machine.
pub fn explain(
    ctx: &mut Context,
    asked: Asked,
    length: Option<u64>,
    page_size: Option<PageSize>,
) -> Result<(), Failure> {
    let page_size = page_size.unwrap_or_else(page::system);
    let (start, length) = match (asked, length) {
        (Asked::Address(start), None) => {
            return Err(Failure::Usage(format!("{start} is one address: write {start}+LENGTH, or LENGTH after it")))
        }
        (Asked::Range(Extent::Area(area)), Some(_)) => {
            return Err(Failure::Usage(format!("{area} has a length already: omit the other one")))
        }
        (Asked::Address(start), length) => (start, length),
        (Asked::Range(Extent::Area(area)), None) => (area.start(), Some(area.range.length())),
        (Asked::Range(Extent::Register(symbol)), None) => {
            let area = ctx.area_of(symbol)?;
            (area.start(), Some(area.range.length()))
        }
        (Asked::Range(Extent::Register(symbol)), Some(_)) => {
            return Err(Failure::Usage(format!("{symbol} has a length already: omit the other one")))
        }
        (Asked::Range(Extent::Whole(base)), length) => (Location { base: Some(base), address: 0 }, length),
    };
    let start = ctx.locate(start)?;
    let (within, length) = match (length, start.base) {
        (Some(length), None | Some(Base::Absolute { .. })) => (0, length),
        (_, Some(base @ Base::Uio { .. })) => {
            return Err(Failure::Usage(format!(
                "{base} is not mapped by its addresses: the offset for mmap(2) is the number of the map, in pages"
            )))
        }
        // Only what exists has offsets, and a length; any other name is a mistake.
        (length, base) => {
            let device = ctx.open(base, Access::Read)?;
            let within = match device.kind() {
                Kind::PciBar(bar) => page_size.split(bar.range.start()).1,
                _ => 0,
            };
            (within, length.map_or_else(|| device.len(), Ok)?)
        }
    };
    Ok(ctx.out.emit(&Explained::new(start, within, length, page_size)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(address: u64, length: u64, page_size: u64) -> String {
        Explained::new(address.into(), 0, length, PageSize::new(page_size).unwrap()).unwrap().to_string()
    }

    #[test]
    fn a_few_bytes_at_the_edge_of_two_pages() {
        assert_eq!(
            text(0xc000_0ffe, 8, 0x1000),
            "asked for  0xc0000ffe-0xc0001005, 8 bytes\n\
             page size  0x1000 (4K)\n\
             mask       0xfff: the bits of an address that count within a page\n\
             page       0xc0000000 = 0xc0000ffe & ~0xfff: the offset to give to mmap(2)\n\
             in page    0xffe = 0xc0000ffe & 0xfff: what to add to the pointer that it returns\n\
             mapped     0xc0000000-0xc0001fff, 2 pages, 8192 bytes\n\
             wasted     8184 bytes: 4094 before and 4090 behind\n\
             \n\
             0xc0000000               0xc0001000\n\
             |.......................#|#.......................|\n\
             # asked for  . mapped with it"
        );
    }

    #[test]
    fn an_offset_in_a_window_is_that_in_its_node() {
        let start = Location { base: Some(Base::split("sdram").unwrap().0), address: 0x1ffe };
        let text = Explained::new(start, 0, 4, PageSize::new(0x1000).unwrap()).unwrap().to_string();
        assert!(text.starts_with("asked for  sdram+0x00001ffe-0x00002001, 4 bytes\n"), "{text}");
        assert!(text.contains("\npage       0x00001000 = 0x00001ffe & ~0xfff: "), "{text}");
    }

    #[test]
    fn a_bar_that_begins_within_a_page_has_the_rest_of_it_before_it() {
        let base = Some(Base::split("pci/00:04.0/0").unwrap().0);
        let explained = |address, length| {
            Explained::new(Location { base, address }, 0x100, length, PageSize::new(0x1000).unwrap()).unwrap()
        };
        assert_eq!(
            explained(0x10, 4).to_string(),
            "asked for  pci/0000:00:04.0/0+0x00000010-0x00000013, 4 bytes\n\
             page size  0x1000 (4K)\n\
             mask       0xfff: the bits of an address that count within a page\n\
             begins     0x100 behind the start of a page, which counts as well: 0x00000010 + 0x100 = 0x00000110\n\
             page       0x00000000 = 0x00000110 & ~0xfff: the offset to give to mmap(2)\n\
             in page    0x110 = 0x00000110 & 0xfff: what to add to the pointer that it returns\n\
             mapped     0x00000000-0x00000fff, 1 page, 4096 bytes\n\
             wasted     4092 bytes: 272 before and 3820 behind\n\
             \n\
             0x00000000\n\
             |.#......................|\n\
             # asked for  . mapped with it"
        );
        // As many pages as the library maps.
        let json = serde_json::to_string(&explained(0xf00, 4)).unwrap();
        assert!(json.contains(r#""first_page":"0x00001000","offset_in_page":0,"pages":1,"#), "{json}");
        let last = Location { base, address: u64::MAX };
        assert!(Explained::new(last, 0x100, 1, PageSize::new(0x1000).unwrap()).is_err());
    }

    #[test]
    fn larger_pages_give_another_answer() {
        let text = text(0xc000_0ffe, 8, 0x1_0000);
        for line in [
            "page size  0x10000 (64K)",
            "in page    0xffe = 0xc0000ffe & 0xffff: what to add to the pointer that it returns",
            "mapped     0xc0000000-0xc000ffff, 1 page, 65536 bytes",
            "wasted     65528 bytes: 4094 before and 61434 behind",
            "|.#......................|",
        ] {
            assert!(text.lines().any(|found| found == line || found.starts_with(line)), "not {line:?}: {text}");
        }
    }

    #[test]
    fn whole_pages_waste_nothing_and_the_last_page_of_all_is_one() {
        let whole = text(0xc000_0000, 0x30_0000, 0x1000);
        assert!(whole.contains("768 pages, 3145728 bytes\nwasted     0 bytes: 0 before and 0 behind\n"), "{whole}");
        let last = text(u64::MAX, 1, 0x1000);
        assert!(last.contains("mapped     0xfffffffffffff000-0xffffffffffffffff, 1 page, 4096 bytes\n"), "{last}");
        assert!(last.contains("wasted     4095 bytes: 4095 before and 0 behind\n"), "{last}");
    }

    #[test]
    fn what_has_no_pages_is_an_error() {
        for (address, length, says) in [
            (0xc000_0000, 0, "0 bytes have no page"),
            (u64::MAX, 2, "0x2 bytes at 0xffffffffffffffff go beyond the last address"),
            (0, u64::MAX, "more than one process can address"),
        ] {
            let failure = Explained::new(address.into(), 0, length, PageSize::new(0x1000).unwrap()).err().unwrap();
            assert!(failure.status() == 2 && failure.to_string().contains(says), "{failure}");
        }
    }

    #[test]
    fn programs_get_numbers() {
        let explained = Explained::new(0xc000_0ffe.into(), 0, 8, PageSize::new(0x1000).unwrap()).unwrap();
        assert_eq!(
            serde_json::to_string(&explained).unwrap(),
            r#"{"start":"0xc0000ffe","last":"0xc0001005","bytes":8,"page_size":4096,"mask":"0x00000fff","first_page":"0xc0000000","offset_in_page":4094,"pages":2,"mapped_bytes":8192,"wasted_before":4094,"wasted_behind":4090}"#
        );
    }
}
