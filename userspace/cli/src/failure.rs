// SPDX-License-Identifier: MIT OR Apache-2.0

//! How a command fails, and with which exit status.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use devmap::registers::FindError;
use devmap::{errno_text, Error};
use serde::Serialize;

/// Why a command failed. Its text is one line.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Memory is not what it should be.
    #[error("{0}")]
    Differs(String),
    /// The arguments are invalid.
    #[error("{0}")]
    Usage(String),
    /// The device is absent, or refuses.
    #[error("{0}")]
    Device(#[from] Error),
    /// The driver would refuse a mapping, and `check` has printed why.
    #[error("the driver would refuse")]
    Refused,
    /// Another file could not be read or written.
    #[error("cannot {doing} {}: {}", path.display(), errno_text(error))]
    File { doing: &'static str, path: PathBuf, error: io::Error },
    /// A description of registers is wrong.
    #[error("{0}")]
    Description(#[from] devmap::registers::DescriptionError),
    /// Standard output could not be written.
    #[error("cannot write the output: {}", errno_text(.0))]
    Output(#[from] io::Error),
    /// What was waited for did not come.
    #[error("timed out: {0}")]
    TimedOut(String),
    /// A line of a script failed.
    #[error("{place}: {failure}")]
    At { place: String, failure: Box<Failure> },
    /// A signal ended it early.
    #[error("interrupted: {0}")]
    Interrupted(String),
}

impl Failure {
    /// The exit status for a device that is absent, or refuses.
    pub const ABSENT: u8 = 3;

    /// The exit status after a signal.
    pub const INTERRUPTED: u8 = 130;

    /// Turns an error of the file at `path` into a failure.
    pub fn file<'a>(doing: &'static str, path: &'a Path) -> impl Fn(io::Error) -> Self + 'a {
        move |error| Self::File { doing, path: path.into(), error }
    }

    /// The failure of the line of a script at `place`. What nobody reads any more is no failure of a line.
    pub fn at(self, place: String) -> Self {
        match self {
            Self::Output(_) => self,
            failure => Self::At { place, failure: Box::new(failure) },
        }
    }

    /// Whether the command has already printed the reason.
    pub fn is_printed(&self) -> bool {
        matches!(self, Self::Refused)
    }

    /// The exit status, as the long help lists them.
    pub fn status(&self) -> u8 {
        match self {
            Self::Differs(_) => 1,
            Self::Usage(_) => 2,
            Self::Device(error) => match error {
                Error::Misaligned { .. }
                | Error::NoSuchWidth { .. }
                | Error::OutOfBounds { .. }
                | Error::TooLong { .. }
                | Error::TooWide { .. }
                | Error::Uneven { .. } => 2,
                _ => Self::ABSENT,
            },
            Self::Refused => Self::ABSENT,
            Self::File { .. } | Self::Description(_) | Self::Output(_) => 4,
            Self::TimedOut(_) => 5,
            Self::At { failure, .. } => failure.status(),
            Self::Interrupted(_) => Self::INTERRUPTED,
        }
    }
}

/// The error for programs.
#[derive(Serialize)]
struct Json<'a> {
    error: &'a str,
    status: u8,
}

/// The line that reports `error`, for people or as JSON.
pub fn line(json: bool, name: &str, error: &str, status: u8) -> String {
    if json {
        serde_json::to_string(&Json { error, status }).expect("text and a number are always JSON")
    } else {
        [name, ": ", error].concat()
    }
}

/// Prints a line that is no failure.
pub fn note(json: bool, name: &str, text: &str) {
    #[derive(Serialize)]
    struct Note<'a> {
        note: &'a str,
    }
    say(match json {
        true => serde_json::to_string(&Note { note: text }).expect("text is always JSON"),
        false => [name, ": ", text].concat(),
    });
}

/// Prints why the command failed. The error is the exit status. A reader of the output that has seen enough is no
/// failure of a command that `only_prints`.
pub fn report(json: bool, name: &str, only_prints: bool, result: Result<(), Failure>) -> Result<(), u8> {
    match result {
        Ok(()) => Ok(()),
        Err(Failure::Output(error)) if only_prints && error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(failure) => {
            if !failure.is_printed() {
                say(line(json, name, &failure.to_string(), failure.status()));
            }
            Err(failure.status())
        }
    }
}

/// Prints a line on standard error, if that can still be written: a terminal may be gone.
pub fn say(line: String) {
    let _ = io::stderr().write_all((line + "\n").as_bytes());
}

/// A name that is not found is an argument's fault; a description that is wrong is not.
impl From<FindError> for Failure {
    fn from(error: FindError) -> Self {
        match error {
            FindError::Description(error) => error.into(),
            error => Self::Usage(error.to_string()),
        }
    }
}
