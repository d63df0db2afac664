// SPDX-License-Identifier: MIT OR Apache-2.0

//! A sum over memory that tells whether two copies are the same.
//!
//! It adds up a number for each 8 bytes, which depends on their address, too. So whoever changes a few bytes of a copy
//! changes its sum by what these bytes contribute, and need not read the others.

/// What the 8 bytes at `address`, a multiple of 8, contribute.
pub fn word(address: u64, bytes: [u8; 8]) -> u64 {
    // The finalizer of MurmurHash3 over 64 bits, as in the pattern.
    let mut mix = u64::from_le_bytes(bytes) ^ address.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mix = (mix ^ (mix >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mix = (mix ^ (mix >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mix ^ (mix >> 33)
}

/// The sum of `bytes`, the first of which is at `start`. Both are multiples of 8.
pub fn of(start: u64, bytes: &[u8]) -> u64 {
    let words = bytes.chunks_exact(8).map(|chunk| chunk.try_into().unwrap_or_default());
    (start..).step_by(8).zip(words).fold(0, |sum, (address, bytes)| sum.wrapping_add(word(address, bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_changes_the_sum_by_its_own_words() {
        let mut bytes: Vec<u8> = (0..=255).collect();
        let before = of(0xc000_0000, &bytes);
        let contribution = |bytes: &[u8]| of(0xc000_0010, &bytes[16..24]);
        let old = contribution(&bytes);
        bytes[19] ^= 1;
        let after = of(0xc000_0000, &bytes);
        assert_ne!(before, after);
        assert_eq!(after, before.wrapping_sub(old).wrapping_add(contribution(&bytes)));
    }

    #[test]
    fn words_that_change_places_change_the_sum() {
        let (one, two) = ([1; 8], [2; 8]);
        assert_ne!(of(0, &[one, two].concat()), of(0, &[two, one].concat()));
        assert_ne!(of(0, &one), of(8, &one));
    }
}
