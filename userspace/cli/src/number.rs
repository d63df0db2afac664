// SPDX-License-Identifier: MIT OR Apache-2.0

//! Numbers in arguments.

use devmap::page::PageSize;

/// Reads a number as [`devmap::number`] does.
pub fn number(text: &str) -> Result<u64, String> {
    devmap::number(text).map_err(|error| error.of(text).to_string())
}

/// Reads a count: a number other than 0.
pub fn count(text: &str) -> Result<u64, String> {
    match number(text)? {
        0 => Err(format!("`{text}` would do nothing: give at least 1")),
        count => Ok(count),
    }
}

/// Reads a page size.
pub fn page_size(text: &str) -> Result<PageSize, String> {
    let bytes = number(text)?;
    PageSize::new(bytes).ok_or_else(|| format!("`{text}` is not a power of two: pages usually have 4K, 16K or 64K"))
}

/// Writes a number of bytes with the largest unit that leaves no fraction, so that [`number`] reads it.
pub fn short(bytes: u64) -> String {
    for (shift, unit) in [(40, "T"), (30, "G"), (20, "M"), (10, "K")] {
        if bytes != 0 && bytes % (1 << shift) == 0 {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn units_leave_no_fraction() {
        let table = [(0, "0"), (1023, "1023"), (4096, "4K"), (0x30_0000, "3M"), (0x30_1000, "3076K"), (1 << 34, "16G")];
        for (bytes, text) in table {
            assert_eq!(short(bytes), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_short_is_read_back(value: u64, shift in 0u32..64) {
            prop_assert_eq!(number(&short(value << shift)), Ok(value << shift));
        }
    }

    #[test]
    fn a_count_is_not_zero() {
        assert_eq!(count("3"), Ok(3));
        assert!(count("0x0").unwrap_err().contains("at least 1"));
        assert!(count("c0").unwrap_err().ends_with("write 0xc0 for hexadecimal"));
    }

    #[test]
    fn a_page_size_is_a_power_of_two() {
        assert_eq!(page_size("16K"), Ok(PageSize::new(0x4000).unwrap()));
        for wrong in ["0", "5000", "0x1800", "4K1", "-1"] {
            assert!(page_size(wrong).is_err(), "{wrong}");
        }
    }
}
