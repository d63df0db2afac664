// SPDX-License-Identifier: MIT OR Apache-2.0

//! Numbers in arguments.

use devmap::page::PageSize;

/// Reads a number: decimal, or with `0x`, `0o` or `0b`; `_` anywhere between digits; K, M or G for powers of 1024.
pub fn number(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.char_indices().next_back() {
        Some((at, 'K' | 'k')) => (&text[..at], 1 << 10),
        Some((at, 'M' | 'm')) => (&text[..at], 1 << 20),
        Some((at, 'G' | 'g')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    let (digits, radix) = match digits.get(..2) {
        Some("0x" | "0X") => (&digits[2..], 16),
        Some("0o" | "0O") => (&digits[2..], 8),
        Some("0b" | "0B") => (&digits[2..], 2),
        // C reads this as octal, people read it as decimal.
        Some(start) if start.starts_with('0') && digits.chars().all(|c| c.is_ascii_digit()) => {
            return Err(format!("`{text}` starts with a zero: write 0o… for octal, 0x… for hexadecimal"))
        }
        _ => (digits, 10),
    };
    let plain: String = digits.chars().filter(|c| *c != '_').collect();
    if plain.is_empty() || !plain.chars().all(|c| c.is_digit(radix)) {
        return Err(if radix == 10 && plain.chars().all(|c| c.is_ascii_hexdigit()) && !plain.is_empty() {
            format!("`{text}` is not a decimal number: write 0x{text} for hexadecimal")
        } else if plain.starts_with('-') {
            format!("`{text}` is not a number, because it has a sign: write the bits that are meant, as in 0xffffffff")
        } else {
            format!("`{text}` is not a number: write decimal, or 0x…, 0o…, 0b…, optionally followed by K, M or G")
        });
    }
    u64::from_str_radix(&plain, radix)
        .ok()
        .and_then(|value| value.checked_mul(unit))
        .ok_or_else(|| format!("`{text}` has more than 64 bits"))
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
    for (shift, unit) in [(30, "G"), (20, "M"), (10, "K")] {
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
    fn numbers_in_every_base_with_units_and_underscores() {
        let table = [
            ("0", 0),
            ("100", 100),
            ("0xc000_0000", 0xc000_0000),
            ("0XFF", 0xff),
            ("0o17", 15),
            ("0b1010_0101", 0xa5),
            ("4K", 4096),
            ("3m", 3 << 20),
            ("0x10G", 16 << 30),
            ("18446744073709551615", u64::MAX),
        ];
        for (text, value) in table {
            assert_eq!(number(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_number_is_refused_with_a_remedy() {
        for (text, says) in [
            ("", "not a number"),
            ("_", "not a number"),
            ("0x", "not a number"),
            ("-1", "write the bits that are meant"),
            ("K", "not a number"),
            ("0b12", "not a number"),
            ("1é", "not a number"),
            ("é", "not a number"),
            ("c0000000", "write 0xc0000000"),
            ("0755", "0o"),
            ("0:7", "not a number"),
            ("18446744073709551616", "64 bits"),
            ("0x40_0000_0000_0000K", "64 bits"),
        ] {
            let error = number(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
        assert_eq!(count("3"), Ok(3));
        assert!(count("0x0").unwrap_err().contains("at least 1"));
    }

    #[test]
    fn a_page_size_is_a_power_of_two() {
        assert_eq!(page_size("16K"), Ok(PageSize::new(0x4000).unwrap()));
        for wrong in ["0", "5000", "0x1800", "4K1", "-1"] {
            assert!(page_size(wrong).is_err(), "{wrong}");
        }
    }
}
