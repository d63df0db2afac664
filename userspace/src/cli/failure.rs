// SPDX-License-Identifier: MIT OR Apache-2.0

//! How a command fails, and the exit status that says so.

use std::io;
use std::process::ExitCode;

use devmap::Error;

/// Why a command did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The arguments cannot be right.
    #[error("{0}")]
    Usage(String),
    /// The device is absent, or refuses.
    #[error("{0}")]
    Device(#[from] Error),
    /// Standard output could not be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    /// The exit status, as the long help lists them.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Usage(_)
            | Self::Device(Error::Misaligned { .. } | Error::OutOfBounds { .. } | Error::TooWide { .. }) => 2,
            Self::Device(_) => 3,
            Self::Output(_) => 4,
        })
    }
}
