// SPDX-License-Identifier: MIT OR Apache-2.0

//! The end of a process whose access to mapped memory is a bus error.
//!
//! A program cannot recover from a SIGBUS: the instruction that failed has no result. So the process still ends, but
//! first it prints why, removes the file that it has not finished, and sets an exit status. That is a decision of a
//! program, which is why the library has no such handler.

#![allow(unsafe_code)]

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use nix::libc;
use nix::sys::signal::{sigaction, SaFlags, SigAction, SigHandler, SigSet, Signal};

/// What the handler prints, and the exit status.
struct Message {
    line: String,
    status: i32,
}

/// Points to nothing, or to a message that is never freed.
static MESSAGE: AtomicPtr<Message> = AtomicPtr::new(ptr::null_mut());

/// Points to nothing, or to a path that is never freed.
static UNFINISHED: AtomicPtr<CString> = AtomicPtr::new(ptr::null_mut());

/// From now on a bus error ends the process with `line` on standard error and with `status`.
pub fn end_with(line: &str, status: u8) {
    let message = Message { line: format!("{line}\n"), status: status.into() };
    MESSAGE.store(Box::into_raw(Box::new(message)), Ordering::Release);
    let action = SigAction::new(SigHandler::Handler(end), SaFlags::empty(), SigSet::empty());
    // SAFETY: The handler makes system calls only, and touches nothing that is ever freed or written again.
    unsafe { sigaction(Signal::SIGBUS, &action) }.expect("every process may handle this signal");
}

/// From now on a bus error also removes the file at `path`, since nobody else would.
pub fn remove_unfinished(path: &Path) {
    // A path with a zero byte has no file.
    if let Ok(path) = CString::new(path.as_os_str().as_bytes()) {
        UNFINISHED.store(Box::into_raw(Box::new(path)), Ordering::Release);
    }
}

extern "C" fn end(_: libc::c_int) {
    // SAFETY: The pointer is null, or what it points to is never freed.
    if let Some(path) = unsafe { UNFINISHED.load(Ordering::Acquire).as_ref() } {
        // SAFETY: The path ends with a zero byte.
        unsafe { libc::unlink(path.as_ptr()) };
    }
    // SAFETY: As above.
    let Some(Message { line, status }) = (unsafe { MESSAGE.load(Ordering::Acquire).as_ref() }) else {
        // The message is there before the handler is.
        return;
    };
    // SAFETY: The pointer is valid for that many bytes.
    unsafe { libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len()) };
    // SAFETY: The call ends the process without running any more of its code.
    unsafe { libc::_exit(*status) }
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::process::Command;

    use super::*;
    use crate::probe::{Probe, Request};

    /// Names the file to leave unfinished to the child, which is this test again.
    const CHILD: &str = "DEVMAP_TEST_SIGBUS_CHILD";

    #[test]
    fn a_bus_error_has_a_line_a_status_and_leaves_no_file() {
        if let Some(path) = env::var_os(CHILD) {
            end_with("the message", 3);
            remove_unfinished(path.as_ref());
            // An empty file, mapped.
            let request = Request { offset: 0, length: 1, writable: false, private: false };
            Probe::new(&tempfile::tempfile().unwrap(), request, 0).unwrap().load(0);
        }
        let unfinished = tempfile::NamedTempFile::new().unwrap();
        let name = "sigbus::tests::a_bus_error_has_a_line_a_status_and_leaves_no_file";
        let mut child = Command::new(env::current_exe().unwrap());
        let ended = child.args(["--exact", name, "--nocapture"]).env(CHILD, unfinished.path()).output().unwrap();
        assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(3), b"the message\n".as_slice()));
        assert!(!unfinished.path().exists());
    }
}
