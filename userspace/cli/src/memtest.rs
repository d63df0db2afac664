// SPDX-License-Identifier: MIT OR Apache-2.0

//! The memory tests, as algorithms on any memory of words.

use std::ops::Range;

use clap::ValueEnum;

use crate::failure::Failure;

/// The memory under test: words of equal width at consecutive addresses.
pub trait Memory {
    /// How many words there are, at least 1.
    fn words(&self) -> usize;
    /// The bits of a word, all set.
    fn ones(&self) -> u64;
    /// Loads a word.
    fn load(&mut self, index: usize) -> Result<u64, Failure>;
    /// Stores a word.
    fn store(&mut self, index: usize, value: u64) -> Result<(), Failure>;
    /// Brings these words from caches into the memory, so that the next loads are of what the memory has.
    fn settle(&mut self, words: Range<usize>) -> Result<(), Failure>;
    /// Takes note of a word that differs from what was stored.
    fn mismatch(&mut self, index: usize, expected: u64, found: u64) -> Result<(), Failure>;
}

/// A memory test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Algorithm {
    /// Walking ones and zeros in the first and the last word: data lines that stick or touch each other
    Data,
    /// A mark at every power of two: address lines that stick or touch each other
    Address,
    /// Every word its own index, then the complement: words that are not distinct
    Index,
    /// Moving inversions, upwards and downwards: bits that stick, or change with their neighbours
    Inversions,
    /// Random values, then their complement: everything that patterns miss
    Random,
}

impl Algorithm {
    /// All of them, with the quick ones that find gross faults first.
    pub const ALL: [Self; 5] = [Self::Data, Self::Address, Self::Index, Self::Inversions, Self::Random];

    /// Its name as it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Address => "address",
            Self::Index => "index",
            Self::Inversions => "inversions",
            Self::Random => "random",
        }
    }

    /// The approximate number of accesses for this many words.
    pub fn accesses(self, words: usize) -> u64 {
        let words = words as u64;
        match self {
            // Their number depends on bits or address lines, not on the size.
            Self::Data | Self::Address => 0,
            Self::Index | Self::Random => 4 * words,
            Self::Inversions => 24 * words,
        }
    }

    /// Runs it, with `seed` for the random values.
    pub fn run(self, memory: &mut impl Memory, seed: u64) -> Result<(), Failure> {
        match self {
            Self::Data => data(memory),
            Self::Address => address(memory),
            Self::Index => patterns(memory, |index| index as u64),
            Self::Inversions => inversions(memory),
            Self::Random => patterns(memory, |index| random(seed, index as u64)),
        }
    }
}

/// Loads a word, and reports it if it is wrong.
fn expect(memory: &mut impl Memory, index: usize, expected: u64) -> Result<(), Failure> {
    let found = memory.load(index)?;
    if found == expected {
        Ok(())
    } else {
        memory.mismatch(index, expected, found)
    }
}

fn data(memory: &mut impl Memory) -> Result<(), Failure> {
    let ones = memory.ones();
    for index in [0, memory.words() - 1] {
        for bit in 0..ones.count_ones() {
            for value in [1 << bit, ones & !(1 << bit)] {
                memory.store(index, value)?;
                memory.settle(index..index + 1)?;
                expect(memory, index, value)?;
            }
        }
    }
    Ok(())
}

fn address(memory: &mut impl Memory) -> Result<(), Failure> {
    let words = memory.words();
    let (mark, other) = (memory.ones() / 3, memory.ones() / 3 * 2);
    let places =
        || std::iter::once(0).chain((0..usize::BITS).map(|bit| 1usize << bit).take_while(move |at| *at < words));
    for index in places() {
        memory.store(index, mark)?;
    }
    // A store that also arrives at another place changes the mark there.
    for stored in places() {
        memory.store(stored, other)?;
        for index in places() {
            memory.settle(index..index + 1)?;
        }
        for index in places() {
            expect(memory, index, if index == stored { other } else { mark })?;
        }
        memory.store(stored, mark)?;
    }
    Ok(())
}

/// Stores the value of `pattern` in each word, checks all, and repeats this with the complement.
fn patterns(memory: &mut impl Memory, pattern: impl Fn(usize) -> u64) -> Result<(), Failure> {
    let ones = memory.ones();
    for flip in [0, ones] {
        for index in 0..memory.words() {
            memory.store(index, (pattern(index) & ones) ^ flip)?;
        }
        memory.settle(0..memory.words())?;
        for index in 0..memory.words() {
            expect(memory, index, (pattern(index) & ones) ^ flip)?;
        }
    }
    Ok(())
}

fn inversions(memory: &mut impl Memory) -> Result<(), Failure> {
    let ones = memory.ones();
    for pattern in [0, ones / 3, ones / 15 * 3, ones / 255 * 15] {
        let inverse = ones ^ pattern;
        for index in 0..memory.words() {
            memory.store(index, pattern)?;
        }
        memory.settle(0..memory.words())?;
        for index in 0..memory.words() {
            expect(memory, index, pattern)?;
            memory.store(index, inverse)?;
        }
        memory.settle(0..memory.words())?;
        for index in (0..memory.words()).rev() {
            expect(memory, index, inverse)?;
            memory.store(index, pattern)?;
        }
        memory.settle(0..memory.words())?;
        for index in 0..memory.words() {
            expect(memory, index, pattern)?;
        }
    }
    Ok(())
}

/// A pseudorandom number that depends only on `seed` and `index` (splitmix64).
fn random(seed: u64, index: u64) -> u64 {
    let mut z = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Memory with a fault.
    #[derive(Default)]
    struct Faulty {
        words: Vec<u64>,
        ones: u64,
        /// This bit of this word is always 0.
        stuck: Option<(usize, u64)>,
        /// These bits of the index are always 0.
        lost_lines: usize,
        /// A store to the word before this one flips its bit 0 if it changes the word.
        coupled: Option<usize>,
        /// Data lines that are shorted: both are 1 if one of them is.
        shorted: u64,
        /// What a cache before it has.
        cache: Option<BTreeMap<usize, u64>>,
        mismatches: Vec<(usize, u64, u64)>,
    }

    impl Faulty {
        fn new(words: usize, ones: u64) -> Self {
            Self { words: vec![0; words], ones, ..Self::default() }
        }

        fn faults(mut self, algorithm: Algorithm) -> Vec<(usize, u64, u64)> {
            algorithm.run(&mut self, 1).unwrap();
            self.mismatches
        }

        /// Stores into the memory itself.
        fn put(&mut self, index: usize, mut value: u64) {
            let index = index & !self.lost_lines;
            if value & self.shorted != 0 {
                value |= self.shorted;
            }
            if let Some((at, bit)) = self.stuck {
                if at == index {
                    value &= !bit;
                }
            }
            if self.coupled == Some(index + 1) && self.words[index] != value {
                self.words[index + 1] ^= 1;
            }
            self.words[index] = value;
        }
    }

    impl Memory for Faulty {
        fn words(&self) -> usize {
            self.words.len()
        }

        fn ones(&self) -> u64 {
            self.ones
        }

        fn load(&mut self, index: usize) -> Result<u64, Failure> {
            let value = self.words[index & !self.lost_lines];
            Ok(self.cache.as_mut().map_or(value, |cache| *cache.entry(index).or_insert(value)))
        }

        fn store(&mut self, index: usize, value: u64) -> Result<(), Failure> {
            assert_eq!(value & !self.ones, 0, "wider than the word");
            match &mut self.cache {
                Some(cache) => drop(cache.insert(index, value)),
                None => self.put(index, value),
            }
            Ok(())
        }

        fn settle(&mut self, words: Range<usize>) -> Result<(), Failure> {
            for index in words {
                if let Some(value) = self.cache.as_mut().and_then(|cache| cache.remove(&index)) {
                    self.put(index, value);
                }
            }
            Ok(())
        }

        fn mismatch(&mut self, index: usize, expected: u64, found: u64) -> Result<(), Failure> {
            self.mismatches.push((index, expected, found));
            Ok(())
        }
    }

    #[test]
    fn sound_memory_passes_with_every_width_and_size() {
        for algorithm in Algorithm::ALL {
            for ones in [0xff, 0xffff, 0xffff_ffff, u64::MAX] {
                for words in [1, 2, 3, 100, 1024] {
                    assert_eq!(Faulty::new(words, ones).faults(algorithm), [], "{algorithm:?} {ones:#x} {words}");
                }
            }
        }
    }

    #[test]
    fn a_stuck_bit_is_found_with_its_place() {
        for algorithm in [Algorithm::Inversions, Algorithm::Random, Algorithm::Index] {
            let faults = Faulty { stuck: Some((77, 0x80)), ..Faulty::new(100, 0xff) }.faults(algorithm);
            assert!(!faults.is_empty(), "{algorithm:?}");
            assert!(faults.iter().all(|(index, expected, found)| *index == 77 && expected ^ found == 0x80));
        }
    }

    #[test]
    fn data_lines_that_touch_are_found() {
        let faults = Faulty { shorted: 0b11, ..Faulty::new(16, 0xffff_ffff) }.faults(Algorithm::Data);
        assert!(faults.contains(&(0, 0b01, 0b11)) && faults.contains(&(15, 0b10, 0b11)), "{faults:x?}");
    }

    #[test]
    fn address_lines_that_do_not_arrive_are_found() {
        for lost_lines in [1, 0x10, 0x200] {
            for algorithm in [Algorithm::Address, Algorithm::Index, Algorithm::Random] {
                let memory = Faulty { lost_lines, ..Faulty::new(1024, 0xffff_ffff) };
                assert!(!memory.faults(algorithm).is_empty(), "{algorithm:?} {lost_lines:#x}");
            }
        }
    }

    #[test]
    fn a_fault_behind_a_cache_is_found() {
        let cached = || Faulty { cache: Some(BTreeMap::new()), ..Faulty::new(64, 0xffff) };
        for algorithm in Algorithm::ALL {
            assert_eq!(cached().faults(algorithm), [], "{algorithm:?}");
            let memory = match algorithm {
                Algorithm::Data => Faulty { shorted: 0b11, ..cached() },
                Algorithm::Address => Faulty { lost_lines: 0x10, ..cached() },
                Algorithm::Index | Algorithm::Inversions | Algorithm::Random => {
                    Faulty { stuck: Some((7, 0x80)), ..cached() }
                }
            };
            assert!(!memory.faults(algorithm).is_empty(), "{algorithm:?}");
        }
    }

    #[test]
    fn a_bit_that_changes_with_its_neighbour_is_found() {
        let faults = Faulty { coupled: Some(50), ..Faulty::new(100, 0xffff) }.faults(Algorithm::Inversions);
        assert!(
            !faults.is_empty() && faults.iter().all(|(index, expected, found)| *index == 50 && expected ^ found == 1)
        );
    }
}
