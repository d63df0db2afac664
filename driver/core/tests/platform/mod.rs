// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The machine of the tests of whole lists.

use map_core::Limits;

/// An arm64 processor with pages of 4 KiB, whose loads abort where nothing answers.
pub const PLATFORM: Limits = Limits {
    page_size: 0x1000,
    last_address: (1 << 52) - 1,
    last_offset: u64::MAX,
    task_size: 0x7fff_ffff_f000,
    aborts: true,
};
