// SPDX-License-Identifier: MIT OR Apache-2.0

//! Drawings of pages side by side, with a mark for the meaning of each part.

use std::fmt;
use std::ops::Range;

use devmap::page::PageSize;

/// How many characters a page takes.
const COLUMNS: u64 = 24;

/// How many pages fit side by side on a terminal. Of more, only the first and the last are drawn.
const MAX_PAGES: u64 = 3;

/// Whole pages side by side, with the address of each above it.
pub struct Drawing<'a> {
    pub page_size: PageSize,
    /// The start of the first page.
    pub start: u64,
    /// How many pages there are.
    pub pages: u64,
    /// How many spaces precede each line.
    pub indent: usize,
    /// Whether addresses are hexadecimal. Offsets are decimal.
    pub hexadecimal: bool,
    /// Bytes and their marks. If a character covers bytes with several marks, the first is shown, so that a single byte
    /// is visible.
    pub marks: &'a [(Range<u128>, char)],
}

impl Drawing<'_> {
    /// The pages that are drawn, by number; `None` stands for those left out.
    fn cells(&self) -> Vec<Option<u64>> {
        if self.pages <= MAX_PAGES {
            (0..self.pages).map(Some).collect()
        } else {
            vec![Some(0), None, Some(self.pages - 1)]
        }
    }

    fn page_start(&self, page: u64) -> u128 {
        u128::from(self.start) + u128::from(page) * u128::from(self.page_size.bytes())
    }

    /// The mark of one character of a page.
    fn mark(&self, page: u64, column: u64) -> char {
        let at = |column: u64| u128::from(column) * u128::from(self.page_size.bytes()) / u128::from(COLUMNS);
        // A character covers at least one byte, even if the page has fewer bytes than characters.
        let (from, to) = (at(column), at(column + 1).max(at(column) + 1));
        let start = self.page_start(page);
        let overlaps = |bytes: &Range<u128>| bytes.start < start + to && start + from < bytes.end;
        self.marks.iter().find(|(bytes, _)| overlaps(bytes)).map_or('.', |(_, mark)| *mark)
    }
}

impl fmt::Display for Drawing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (indent, width) = (self.indent, COLUMNS as usize);
        let mut labels = String::new();
        let mut pages = String::from("|");
        for cell in self.cells() {
            let label = match cell {
                Some(page) if self.hexadecimal => format!("{:#010x}", self.page_start(page)),
                Some(page) => self.page_start(page).to_string(),
                None => String::new(),
            };
            labels += &format!("{label:<0$}", width + 1);
            pages += &match cell {
                Some(page) => (0..COLUMNS).map(|column| self.mark(page, column)).collect(),
                None => format!("{:^width$}", format!("{} more pages", self.pages - 2)),
            };
            pages.push('|');
        }
        write!(f, "{:indent$}{}\n{:indent$}{pages}", "", labels.trim_end(), "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(page_size: u64, start: u64, pages: u64, marks: &[(Range<u128>, char)]) -> String {
        let page_size = PageSize::new(page_size).unwrap();
        Drawing { page_size, start, pages, indent: 0, hexadecimal: true, marks }.to_string()
    }

    #[test]
    fn a_single_byte_is_seen() {
        assert_eq!(draw(4096, 0x1000, 1, &[(0x1800..0x1801, '#')]), "0x00001000\n|............#...........|");
        assert_eq!(draw(1 << 16, 0, 1, &[(0xffff..0x1_0000, '#')]), "0x00000000\n|.......................#|");
    }

    #[test]
    fn marks_meet_where_the_bytes_do() {
        assert_eq!(draw(4096, 0, 1, &[(0..1024, 'a'), (1024..4096, 'b')]), "0x00000000\n|aaaaaabbbbbbbbbbbbbbbbbb|");
        // The first wins the character that both have.
        assert_eq!(draw(4096, 0, 1, &[(0..200, 'a'), (200..4096, 'b')]), "0x00000000\n|aabbbbbbbbbbbbbbbbbbbbbb|");
    }

    #[test]
    fn pages_of_any_size_at_any_address_are_drawn() {
        assert_eq!(draw(1, 7, 1, &[(7..8, '#')]), format!("0x00000007\n|{}|", "#".repeat(24)));
        let last = draw(1 << 63, 1 << 63, 1, &[(u128::from(u64::MAX)..1 << 64, '#')]);
        assert_eq!(last, "0x8000000000000000\n|.......................#|");
    }

    #[test]
    fn of_many_pages_the_first_and_the_last_are_drawn() {
        assert_eq!(
            draw(0x1000, 0xc000_0000, 768, &[(0xc000_0800..0xc02f_f800, '#')]),
            "0xc0000000                                        0xc02ff000\n\
             |............############|     766 more pages     |############............|"
        );
        assert_eq!(draw(0x1000, 0, 3, &[]).lines().next().unwrap().matches("0x").count(), 3);
    }
}
