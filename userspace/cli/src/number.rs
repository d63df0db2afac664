// SPDX-License-Identifier: MIT OR Apache-2.0

//! Numbers in arguments.

use std::time::Duration;

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

/// Reads a time: a number with us, ms, s or min, or of milliseconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(at);
    let wrong = || format!("`{text}` is not a time: write a number of milliseconds, or one with us, ms, s or min");
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let micros = match unit {
        "us" => 1,
        "" | "ms" => 1_000,
        "s" => 1_000_000,
        "min" => 60_000_000,
        _ => return Err(wrong()),
    };
    // Half of what a clock can hold: it is added to the time.
    number.checked_mul(micros).filter(|micros| *micros < 1 << 62).map(Duration::from_micros).ok_or_else(wrong)
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
    fn a_time_has_a_unit_or_is_in_milliseconds() {
        let micros = |text| duration(text).map(|time| time.as_micros());
        let table = [("0", 0), ("10", 10_000), ("10us", 10), ("10ms", 10_000), ("2s", 2_000_000), ("1min", 60_000_000)];
        for (text, expected) in table {
            assert_eq!(micros(text), Ok(expected), "{text}");
        }
        for wrong in ["", "s", "-1", "1.5s", "1h", "1 s", "0x10", "18446744073709551615", "4611686018427387904us"] {
            assert!(micros(wrong).unwrap_err().contains("is not a time"), "{wrong}");
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
