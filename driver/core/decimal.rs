// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Decimal numbers of 64 bits, for machines of 32.

use core::fmt;

/// A number that is formatted in decimal.
///
/// `u64` itself divides 64 bits by 64 when it is formatted. On a machine of 32 bits that is a
/// function call, and in the kernel this function panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal(pub u64);

impl Decimal {
    /// The number of digits of the largest number.
    const DIGITS: usize = 20;
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [b'0'; Self::DIGITS];
        // Long division by 10, of 16 bits at a time, so that each step divides 32 bits.
        let number = self.0;
        let parts = [number >> 48, number >> 32, number >> 16, number];
        let mut rest = parts.map(|part| part as u32 & 0xffff);
        let mut first = Self::DIGITS;
        for digit in digits.iter_mut().rev() {
            let mut remainder = 0;
            for part in &mut rest {
                let dividend = remainder << 16 | *part;
                *part = dividend / 10;
                remainder = dividend % 10;
            }
            *digit = b'0'.wrapping_add(remainder as u8);
            // There are as many digits as iterations, so this does not wrap.
            first = first.wrapping_sub(1);
            if rest == [0; 4] {
                break;
            }
        }
        let digits = digits.get(first..).unwrap_or_default();
        f.pad_integral(true, "", core::str::from_utf8(digits).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::{
        format,
        string::ToString, //
    };

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn zero_and_the_largest_have_all_their_digits() {
        for number in [
            0,
            9,
            10,
            99,
            100,
            65535,
            65536,
            u64::from(u32::MAX),
            1 << 32,
            u64::MAX,
        ] {
            assert_eq!(Decimal(number).to_string(), number.to_string());
        }
        assert_eq!(
            format!(
                "{:>6}|{:<6}|{:06}|",
                Decimal(907),
                Decimal(907),
                Decimal(907)
            ),
            "   907|907   |000907|"
        );
    }

    proptest! {
        #[test]
        fn it_is_formatted_as_any_number(number: u64, shift in 0..64) {
            let number = number >> shift;
            prop_assert_eq!(Decimal(number).to_string(), number.to_string());
        }
    }
}
