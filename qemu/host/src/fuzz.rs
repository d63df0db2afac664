// SPDX-License-Identifier: MIT OR Apache-2.0

//! The options for random operations, and the guests that do them.

use std::time::{Duration, Instant};

use map_protocol::Fuzz;

/// How many operations a guest does at most: lockdep has room for what it sees of a module, and gives none back.
const PER_GUEST: u64 = 50_000;

/// How many operations a seed gives at least, as a mean of many seeds.
const PER_SEED: u64 = 200;

/// What random operations are done.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Random operations (the suite \"model\")")]
pub struct FuzzOptions {
    /// The seed of the first sequence, as a failure names it.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// The least number of operations.
    #[arg(long, value_name = "NUMBER")]
    operations: Option<u64>,
    /// No sequence begins after this time, however few were done.
    #[arg(long, value_name = "NUMBER")]
    seconds: Option<u64>,
    /// Of the sequence of the seed only the operations with these numbers, as a failure names them: 3,17,20.
    #[arg(long, value_name = "LIST", value_delimiter = ',', requires = "seed")]
    keep: Option<Vec<usize>>,
}

impl FuzzOptions {
    /// The operations, by default those of every run of all tests, in parts for a guest each. Their time begins now.
    pub fn parts(&self) -> Vec<Part> {
        let Fuzz { seed, operations, .. } = Fuzz::default();
        let first = self.seed.unwrap_or(seed);
        let total = match self.keep {
            // One sequence.
            Some(_) => 1,
            None => self.operations.unwrap_or(operations),
        };
        let deadline = self.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        let part = |index| {
            let seed = first.wrapping_add(index * (PER_GUEST / PER_SEED));
            let operations = PER_GUEST.min(total - index * PER_GUEST);
            Part { fuzz: Fuzz { seed, operations, seconds: None, keep: self.keep.clone() }, deadline }
        };
        (0..total.div_ceil(PER_GUEST)).map(part).collect()
    }
}

/// What one guest does of the operations.
#[derive(Debug, Clone, Default)]
pub struct Part {
    fuzz: Fuzz,
    deadline: Option<Instant>,
}

impl Part {
    /// The seed of the first sequence.
    pub fn seed(&self) -> u64 {
        self.fuzz.seed
    }

    /// The operations for a guest that is booted now; `None` if their time is over.
    pub fn begin(&self) -> Option<Fuzz> {
        let Some(deadline) = self.deadline else { return Some(self.fuzz.clone()) };
        let left = deadline.checked_duration_since(Instant::now())?;
        Some(Fuzz { seconds: Some(left.as_secs() + 1), ..self.fuzz.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seeds and operations of the parts.
    fn shape(options: &FuzzOptions) -> Vec<(u64, u64)> {
        options.parts().iter().map(|part| (part.fuzz.seed, part.fuzz.operations)).collect()
    }

    #[test]
    fn many_operations_are_done_by_many_guests_and_none_twice() {
        let options = |seed, operations| FuzzOptions { seed, operations, ..FuzzOptions::default() };
        assert_eq!(shape(&options(None, None)), [(1, 50_000)]);
        assert_eq!(shape(&options(Some(7), Some(3))), [(7, 3)]);
        assert_eq!(shape(&options(Some(7), Some(100_001))), [(7, 50_000), (257, 50_000), (507, 1)]);
        let million = shape(&options(Some(u64::MAX), Some(1_000_000)));
        assert_eq!((million.len(), million.iter().map(|(_, operations)| operations).sum()), (20, 1_000_000));
        assert_eq!(million[1].0, 249);
    }

    #[test]
    fn some_operations_of_a_seed_are_one_part() {
        let options = FuzzOptions { seed: Some(9), operations: Some(1_000_000), seconds: None, keep: Some(vec![3, 5]) };
        let [part] = &options.parts()[..] else { panic!("not one part") };
        assert_eq!(part.begin(), Some(Fuzz { seed: 9, operations: 1, seconds: None, keep: Some(vec![3, 5]) }));
    }

    #[test]
    fn a_part_has_the_time_that_is_left() {
        let part = |seconds| FuzzOptions { seconds: Some(seconds), ..FuzzOptions::default() }.parts().remove(0);
        let seconds = part(1000).begin().and_then(|fuzz| fuzz.seconds);
        assert!(seconds.is_some_and(|seconds| (900..=1000).contains(&seconds)), "{seconds:?}");
        assert_eq!(part(0).begin(), None);
    }
}
