// SPDX-License-Identifier: MIT OR Apache-2.0

//! Error numbers of the kernel.

use std::io;

use nix::errno::Errno;

/// The error number of an error of the standard library.
pub fn of(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or_default())
}

/// A result of the standard library, with the error number.
pub fn result<T>(result: io::Result<T>) -> Result<T, Errno> {
    result.map_err(|error| of(&error))
}

/// The name of the error number, or "ok".
pub fn name<T>(result: Result<T, Errno>) -> String {
    result.map_or_else(|errno| format!("{errno:?}"), |_| "ok".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_number_has_its_name() {
        assert_eq!(of(&io::Error::from(Errno::EPERM)), Errno::EPERM);
        assert_eq!(name::<()>(Err(Errno::EAGAIN)), "EAGAIN");
        assert_eq!(name(Ok(1)), "ok");
    }
}
