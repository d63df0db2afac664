// SPDX-License-Identifier: GPL-2.0

//! Errors that a process gets.

use kernel::{
    alloc::AllocError,
    fmt,
    prelude::*, //
};

use crate::map_core::{
    Errno,
    Refusal,
    Window, //
};

/// The kernel's error for one of the core's.
pub(crate) fn error_of(errno: Errno) -> Error {
    match errno {
        Errno::NotPermitted => EPERM,
        Errno::Again => EAGAIN,
        Errno::NoMemory => ENOMEM,
        Errno::Access => EACCES,
        Errno::Invalid => EINVAL,
        Errno::Overflow => EOVERFLOW,
    }
}

/// A mapping that the driver does not make.
pub(crate) enum Denial {
    /// For this reason, which concerns this window.
    Refused(Refusal, Option<Window>),
    /// The kernel failed.
    Failed(Error),
}

impl Denial {
    /// What mmap(2) fails with.
    pub(crate) fn error(&self) -> Error {
        match self {
            Self::Refused(reason, _) => error_of(reason.errno()),
            Self::Failed(error) => *error,
        }
    }
}

impl From<Refusal> for Denial {
    fn from(reason: Refusal) -> Self {
        Self::Refused(reason, None)
    }
}

impl From<Error> for Denial {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<AllocError> for Denial {
    fn from(_: AllocError) -> Self {
        Refusal::NoMemory.into()
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reason, None) => write!(f, "refused: {}", reason),
            Self::Refused(reason, Some(window)) => {
                write!(f, "refused: {} (the nearest window is {})", reason, window)
            }
            Self::Failed(error) => write!(f, "failed: error {}", error.to_errno()),
        }
    }
}
