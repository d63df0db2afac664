// SPDX-License-Identifier: MIT OR Apache-2.0

//! The options for random operations.

use map_protocol::Fuzz;

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
    /// The operations, by default those of every run of all tests.
    pub fn fuzz(&self) -> Fuzz {
        let Fuzz { seed, operations, .. } = Fuzz::default();
        Fuzz {
            seed: self.seed.unwrap_or(seed),
            operations: self.operations.unwrap_or(operations),
            seconds: self.seconds,
            keep: self.keep.clone(),
        }
    }
}
