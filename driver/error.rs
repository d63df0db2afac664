// SPDX-License-Identifier: GPL-2.0

//! The errors returned to the caller.

use kernel::{
    alloc::AllocError,
    bindings,
    ffi::c_int,
    fmt,
    prelude::*, //
};

use crate::map_core::{
    Errno,
    Refusal,
    Refused, //
};

/// Converts an error number of the core to an error of the kernel.
pub(crate) fn error_of(errno: Errno) -> Error {
    match errno {
        Errno::NotPermitted => EPERM,
        Errno::Again => EAGAIN,
        Errno::NoMemory => ENOMEM,
        Errno::Access => EACCES,
        Errno::Invalid => EINVAL,
        Errno::Overflow => EOVERFLOW,
        Errno::NoDevice => ENODEV,
        Errno::NoAddress => ENXIO,
        Errno::Busy => EBUSY,
        // The crate `kernel` of Linux 7.2 lacks it.
        Errno::Already => Error::from_errno(-(bindings::EALREADY as c_int)),
    }
}

/// The reason for which a mapping is not made.
pub(crate) enum Denial {
    /// The driver refuses it.
    Refused(Refused),
    /// The kernel failed.
    Failed(Error),
}

impl Denial {
    /// Returns the error of mmap(2).
    pub(crate) fn error(&self) -> Error {
        match self {
            Self::Refused(refused) => error_of(refused.reason.errno()),
            Self::Failed(error) => *error,
        }
    }

    /// Returns whether the mapping is refused for `reason`.
    pub(crate) fn is(&self, reason: Refusal) -> bool {
        matches!(self, Self::Refused(refused) if refused.reason == reason)
    }
}

impl From<Refusal> for Denial {
    fn from(reason: Refusal) -> Self {
        Self::Refused(reason.into())
    }
}

impl From<Refused> for Denial {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
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
            Self::Refused(Refused { reason, nearest }) => {
                write!(f, "refused: {}", reason)?;
                match nearest {
                    Some(found) => write!(f, " (the nearest window is {})", found.window),
                    None => Ok(()),
                }
            }
            Self::Failed(error) => write!(f, "failed: error {}", error.to_errno()),
        }
    }
}
