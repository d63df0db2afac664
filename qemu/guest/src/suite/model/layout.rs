// SPDX-License-Identifier: MIT OR Apache-2.0

//! How the driver is loaded for a sequence, as a table.

use map_core::{parse, CacheMode, Window};

use super::operation::DIRECTORIES;
use crate::host::PAGE;

/// How the driver is loaded.
#[derive(Debug)]
pub struct Layout {
    /// Its parameter; empty for raw mode.
    pub parameter: &'static str,
    /// The names of the directories in configfs.
    pub names: [&'static str; DIRECTORIES],
    /// The memory for windows at run time: the first page of each directory, from the beginning of the free memory, and
    /// how many.
    pub zones: [(u64, u64); DIRECTORIES],
    /// The cache type of each, if it is always the same: a mapping keeps the type of its memory after its window has
    /// gone, and the driver refuses another one.
    pub caches: [Option<CacheMode>; DIRECTORIES],
    /// Whether operations of several processes are done at the same time.
    pub parallel: bool,
    /// How many windows may go. In raw mode a mapping loses all memory between two of them.
    pub removals: u32,
}

const UC: Option<CacheMode> = Some(CacheMode::Uncached);
const WC: Option<CacheMode> = Some(CacheMode::WriteCombine);
const WB: Option<CacheMode> = Some(CacheMode::Cached);

/// All layouts.
pub static ALL: &[Layout] = &[
    // No windows.
    Layout {
        parameter: "",
        names: ["alpha", "beta", "gamma"],
        zones: [(0x200, 0x40), (0x200, 0x40), (0x200, 0x40)],
        caches: [UC, UC, UC],
        parallel: true,
        removals: 0,
    },
    // The same, which a window at run time ends.
    Layout {
        parameter: "",
        names: ["alpha", "beta", "gamma"],
        zones: [(0x40, 0x80), (0x40, 0x80), (0x40, 0x80)],
        caches: [UC, UC, UC],
        parallel: false,
        removals: 1,
    },
    // A window of each cache type, one of them read-only, next to each other, and room for others.
    Layout {
        parameter: "windows=a@0xc0000000+768K:memory,b@0xc00c0000+768K:wc,0xc0180000+512K:ro:wb",
        names: ["alpha", "b", "gamma"],
        zones: [(0x200, 0x40), (0x240, 0x60), (0x2a0, 0x60)],
        caches: [UC, WC, WB],
        parallel: true,
        removals: u32::MAX,
    },
    // A window with room for huge pages.
    Layout {
        parameter: "windows=large@0xc0000000+2304K:wc:memory",
        names: ["alpha", "beta", "large"],
        zones: [(0x240, 0x40), (0x280, 0x40), (0x2c0, 0x40)],
        caches: [WB, UC, WC],
        parallel: true,
        removals: u32::MAX,
    },
    // Many small windows with gaps, and a large one where no memory is.
    Layout {
        parameter: "windows=w0@0xc0000000+64K,w1@0xc0010000+64K:wc:shared,w2@0xc0020000+128K:ro,\
                    w3@0xc0050000+4K:memory,w4@0xc0100000+1M:huge=never,far@0x1000000000+8G:shared",
        names: ["alpha", "beta", "w3"],
        zones: [(0x60, 0x20), (0x80, 0x40), (0x200, 0x100)],
        caches: [UC, WC, WC],
        parallel: true,
        removals: u32::MAX,
    },
    // Windows of changing cache types at the same place, so that they conflict with older mappings.
    Layout {
        parameter: "windows=a@0xc0000000+256K",
        names: ["alpha", "beta", "gamma"],
        zones: [(0x100, 0x20), (0x100, 0x20), (0x100, 0x20)],
        caches: [None, None, None],
        parallel: false,
        removals: u32::MAX,
    },
];

impl Layout {
    /// The windows of the parameter.
    pub fn windows(&self) -> Vec<Window> {
        let text = self.parameter.strip_prefix("windows=").unwrap_or_default();
        parse(text.as_bytes(), PAGE).filter_map(Result::ok).collect()
    }

    /// Whether windows of changing cache types are made.
    pub fn conflicts(&self) -> bool {
        self.caches.contains(&None)
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use map_core::{Limits, Table};

    use super::*;
    use crate::model::machine::Machine;

    #[test]
    fn every_layout_is_a_table_of_windows() {
        let Limits { page_size, .. } = Rc::new(Machine::example()).limits;
        assert_eq!(page_size, PAGE);
        for layout in ALL {
            let windows = layout.windows();
            let commas = layout.parameter.split(',').filter(|text| !text.is_empty()).count();
            assert_eq!(windows.len(), commas, "{}", layout.parameter);
            assert!(Table::new(windows, &Machine::example().limits).is_ok(), "{}", layout.parameter);
        }
    }
}
