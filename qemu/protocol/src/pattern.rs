// SPDX-License-Identifier: MIT OR Apache-2.0

//! A fill pattern for memory, in which every byte depends on its own address.
//!
//! It detects a store to a wrong address, and a load from one: neighbouring bytes differ, and so do bytes that are a
//! page, a megabyte or a gigabyte apart.

/// The byte at physical address `address` in the pattern of this seed.
pub fn byte(seed: u64, address: u64) -> u8 {
    // The finalizer of MurmurHash3 over 64 bits, which changes half of the output for any bit of the input.
    let mut mix = address ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mix = (mix ^ (mix >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mix = (mix ^ (mix >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    ((mix ^ (mix >> 33)) & 0xff) as u8
}

/// The `length` bytes from `start` on.
pub fn bytes(seed: u64, start: u64, length: usize) -> Vec<u8> {
    (start..).take(length).map(|address| byte(seed, address)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_far_apart_and_seeds_differ() {
        let here = bytes(1, 0xc000_0000, 4096);
        for distance in [1, 4096, 1 << 20, 1 << 30] {
            let there = bytes(1, 0xc000_0000 + distance, 4096);
            let equal = here.iter().zip(&there).filter(|(a, b)| a == b).count();
            assert!(equal < 64, "{equal} of 4096 bytes are equal at distance {distance}");
        }
        assert_ne!(here, bytes(2, 0xc000_0000, 4096));
    }
}
