// SPDX-License-Identifier: MIT OR Apache-2.0

//! Counts of faults, and of the words that have them.

use std::fmt;

use crate::output::counted;

/// How many loads were wrong, and which words they were of.
pub struct Tally {
    /// How many words there are.
    length: usize,
    faults: u64,
    /// A bit for each word, set if it has a fault. Empty as long as there is none.
    words: Vec<u64>,
}

impl Tally {
    /// No fault yet, of so many words.
    pub fn new(length: usize) -> Self {
        Self { length, faults: 0, words: Vec::new() }
    }

    /// Counts a load of the word at `index`.
    pub fn add(&mut self, index: usize) {
        if self.words.is_empty() {
            self.words = vec![0; self.length.div_ceil(64)];
        }
        self.words[index / 64] |= 1 << (index % 64);
        self.faults += 1;
    }

    /// Counts what `other` has counted of the same words.
    pub fn add_all(&mut self, other: &Self) {
        if self.words.is_empty() {
            self.words.clone_from(&other.words);
        }
        self.words.iter_mut().zip(&other.words).for_each(|(bits, more)| *bits |= more);
        self.faults += other.faults;
    }

    /// How many loads were wrong.
    pub fn faults(&self) -> u64 {
        self.faults
    }

    /// How many words they were of.
    pub fn words(&self) -> u64 {
        self.words.iter().map(|bits| u64::from(bits.count_ones())).sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.words();
        let was = if words == 1 { "was" } else { "were" };
        write!(f, "{} {was} not what was stored, in {}", counted(words, "word"), counted(self.faults, "load"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(faults: &[usize]) -> Tally {
        let mut tally = Tally::new(100);
        faults.iter().for_each(|index| tally.add(*index));
        tally
    }

    #[test]
    fn a_word_counts_once_and_its_loads_all() {
        assert_eq!(tally(&[99; 18]).to_string(), "1 word was not what was stored, in 18 loads");
        assert_eq!(tally(&[0, 63]).to_string(), "2 words were not what was stored, in 2 loads");
        assert_eq!(tally(&[64]).to_string(), "1 word was not what was stored, in 1 load");
        assert_eq!((tally(&[]).words(), tally(&[]).faults()), (0, 0));
    }

    #[test]
    fn the_same_word_in_two_tests_is_one_word() {
        let mut total = tally(&[]);
        for faults in [&[][..], &[3, 3, 70], &[], &[3, 99]] {
            total.add_all(&tally(faults));
        }
        assert_eq!((total.words(), total.faults()), (3, 5));
    }
}
