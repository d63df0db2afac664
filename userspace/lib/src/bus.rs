// SPDX-License-Identifier: MIT OR Apache-2.0

//! A last word for a process whose access to mapped memory is a bus error. For command lines.
//!
//! A SIGBUS cannot be answered: the instruction that failed has no result. So the process ends here too, but says why,
//! with an exit status, and takes the file away that it has not finished. A library does not decide that for a program,
//! so nothing in this crate calls it; [`FileMapping::guarded`](crate::FileMapping::guarded) is what programs want.

#![allow(unsafe_code)]

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use nix::libc;
use nix::sys::signal::{sigaction, SaFlags, SigAction, SigHandler, SigSet, Signal};

/// What is said and done at the end.
struct LastWord {
    line: String,
    status: i32,
}

/// Points to nothing, or to a last word that is never freed.
static LAST_WORD: AtomicPtr<LastWord> = AtomicPtr::new(ptr::null_mut());

/// Points to nothing, or to a path that is never freed.
static UNFINISHED: AtomicPtr<CString> = AtomicPtr::new(ptr::null_mut());

/// From now on a bus error ends the process with `line` on standard error and with `status`.
///
/// # Examples
///
/// ```
/// devmap::bus::end_with("tool: cannot access /dev/map: nothing answers", 3);
/// ```
pub fn end_with(line: &str, status: u8) {
    let word = LastWord { line: format!("{line}\n"), status: status.into() };
    LAST_WORD.store(Box::into_raw(Box::new(word)), Ordering::Release);
    let action = SigAction::new(SigHandler::Handler(end), SaFlags::empty(), SigSet::empty());
    // SAFETY: The handler makes system calls only, and touches nothing that is ever freed or written again.
    unsafe { sigaction(Signal::SIGBUS, &action) }.expect("every process may handle this signal");
}

/// From now on a bus error removes the file at `path` too, since nobody else would.
///
/// # Examples
///
/// ```
/// devmap::bus::remove_unfinished("image.bin.part".as_ref());
/// ```
pub fn remove_unfinished(path: &Path) {
    // A path with a zero byte has no file.
    if let Ok(path) = CString::new(path.as_os_str().as_bytes()) {
        UNFINISHED.store(Box::into_raw(Box::new(path)), Ordering::Release);
    }
}

extern "C" fn end(_: libc::c_int) {
    // SAFETY: It is null, or what it points to stays.
    if let Some(path) = unsafe { UNFINISHED.load(Ordering::Acquire).as_ref() } {
        // SAFETY: The path ends with a zero byte.
        unsafe { libc::unlink(path.as_ptr()) };
    }
    // SAFETY: As above.
    let Some(LastWord { line, status }) = (unsafe { LAST_WORD.load(Ordering::Acquire).as_ref() }) else {
        // The word is there before the handler is.
        return;
    };
    // SAFETY: The pointer is good for as many bytes.
    unsafe { libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len()) };
    // SAFETY: It ends the process without running anything of it.
    unsafe { libc::_exit(*status) }
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::process::Command;

    use super::*;
    use crate::probe::{Probe, Request};

    /// Tells this test, started by itself, which file to leave unfinished.
    const CHILD: &str = "DEVMAP_TEST_BUS_CHILD";

    #[test]
    fn a_bus_error_has_a_line_a_status_and_leaves_no_file() {
        if let Some(path) = env::var_os(CHILD) {
            end_with("the last word", 3);
            remove_unfinished(path.as_ref());
            // A file without a byte, mapped.
            let request = Request { offset: 0, length: 1, writable: false, private: false };
            Probe::new(&tempfile::tempfile().unwrap(), request, 0).unwrap().load(0);
        }
        let unfinished = tempfile::NamedTempFile::new().unwrap();
        let name = "bus::tests::a_bus_error_has_a_line_a_status_and_leaves_no_file";
        let mut child = Command::new(env::current_exe().unwrap());
        let ended = child.args(["--exact", name, "--nocapture"]).env(CHILD, unfinished.path()).output().unwrap();
        assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(3), b"the last word\n".as_slice()));
        assert!(!unfinished.path().exists());
    }
}
