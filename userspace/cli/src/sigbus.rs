// SPDX-License-Identifier: MIT OR Apache-2.0

//! The end of a process whose access to mapped memory is a bus error.
//!
//! A program cannot recover from a SIGBUS: the instruction that failed has no result. So the process still ends, but
//! first it prints why, removes the file that it has not finished, and sets an exit status. That is a decision of a
//! program, which is why the library has no such handler. Two other signals, which end or stop a process wherever it
//! is, are here for the same reason.

#![allow(unsafe_code)]

use std::ffi::{c_int, CString};
use std::io;
use std::iter;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::Arc;

use devmap::{Device, PhysRange};
use nix::libc;
use nix::sys::signal::{raise, sigaction, SaFlags, SigAction, SigHandler, SigSet, Signal};
use signal_hook::low_level;

use crate::failure::Failure;

/// Memory that may cause a bus error, and what is printed then.
pub struct Memory {
    pub device: &'static Device,
    pub range: PhysRange,
    /// The line if nothing answers.
    pub unanswered: String,
    /// The line if the window was removed.
    pub gone: String,
}

/// A list of memory.
struct List {
    memory: Memory,
    next: Option<&'static List>,
}

/// Points to nothing, or to a list that is never freed.
static WATCHED: AtomicPtr<List> = AtomicPtr::new(ptr::null_mut());

/// Points to nothing, or to a path that is never freed.
static UNFINISHED: AtomicPtr<CString> = AtomicPtr::new(ptr::null_mut());

/// Points to nothing, or to text that is never freed.
static RESTORING: AtomicPtr<&'static str> = AtomicPtr::new(ptr::null_mut());

/// From now on a bus error ends the process with a line of `memory`, or of what was watched before, on standard error.
pub fn watch(memory: Memory) {
    let next = watched();
    WATCHED.store(Box::into_raw(Box::new(List { memory, next })), Ordering::Release);
    let action = SigAction::new(SigHandler::Handler(end), SaFlags::empty(), SigSet::empty());
    // SAFETY: The handler makes system calls only, and touches nothing that is ever freed or written again.
    unsafe { sigaction(Signal::SIGBUS, &action) }.expect("every process may handle this signal");
}

/// From now on `signal` ends the process at once if `requested` is set, as an interrupted one. It leaves no more behind
/// than a bus error does.
pub fn end_if(requested: Arc<AtomicBool>, signal: c_int) -> io::Result<()> {
    let end = move || {
        if requested.load(Ordering::Relaxed) {
            clean_up();
            low_level::exit(Failure::INTERRUPTED.into());
        }
    };
    // SAFETY: The handler makes system calls only; the flag is its own.
    unsafe { low_level::register(signal, end) }.map(drop)
}

/// Stops the process as Ctrl-Z does where nothing handles its signal: not at all if nobody could continue it.
pub fn stop() {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: What the signal does by default runs no code of the process.
    let handled = unsafe { sigaction(Signal::SIGTSTP, &default) }.expect("every process may handle this signal");
    // It cannot fail: the signal is valid.
    let _ = raise(Signal::SIGTSTP);
    // SAFETY: It was in place before.
    unsafe { sigaction(Signal::SIGTSTP, &handled) }.expect("the same as before");
}

/// From now on a bus error also removes the file at `path`, since nobody else would.
pub fn remove_unfinished(path: &Path) {
    // A path with a zero byte has no file.
    if let Ok(path) = CString::new(path.as_os_str().as_bytes()) {
        UNFINISHED.store(Box::into_raw(Box::new(path)), Ordering::Release);
    }
}

/// From now on a bus error also writes `text`, which restores the terminal, to standard output.
pub fn restore_terminal(text: &'static str) {
    RESTORING.store(Box::into_raw(Box::new(text)), Ordering::Release);
}

fn watched() -> Option<&'static List> {
    // SAFETY: The pointer is null, or what it points to is never freed, nor written again.
    unsafe { WATCHED.load(Ordering::Acquire).as_ref() }
}

/// The line that explains the bus error: one of a window that was removed, or else of the newest memory.
fn line(list: Option<&'static List>, is_gone: impl Fn(&Memory) -> bool) -> &'static str {
    let mut memory = iter::successors(list, |list| list.next).map(|list| &list.memory);
    let newest = list.map_or("", |list| &list.memory.unanswered);
    memory.find(|memory| is_gone(memory)).map_or(newest, |memory| &memory.gone)
}

fn write(file: c_int, text: &str) {
    // SAFETY: The pointer is valid for that many bytes.
    unsafe { libc::write(file, text.as_ptr().cast(), text.len()) };
}

/// Restores the terminal, and removes the file that is not finished. It makes system calls only.
fn clean_up() {
    // SAFETY: The pointer is null, or what it points to is never freed.
    if let Some(text) = unsafe { RESTORING.load(Ordering::Acquire).as_ref() } {
        write(libc::STDOUT_FILENO, text);
    }
    // SAFETY: As above.
    if let Some(path) = unsafe { UNFINISHED.load(Ordering::Acquire).as_ref() } {
        // SAFETY: The path ends with a zero byte.
        unsafe { libc::unlink(path.as_ptr()) };
    }
}

extern "C" fn end(_: c_int) {
    clean_up();
    // One system call for each memory, and no allocation.
    write(libc::STDERR_FILENO, line(watched(), |memory| memory.device.is_gone(memory.range)));
    write(libc::STDERR_FILENO, "\n");
    // SAFETY: The call ends the process without running any more of its code.
    unsafe { libc::_exit(Failure::ABSENT.into()) }
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::process::Command;

    use super::*;
    use crate::probe::{Probe, Request};

    /// Names the file to leave unfinished to the child, which is this test again.
    const CHILD: &str = "DEVMAP_TEST_SIGBUS_CHILD";

    fn memory(start: u64, unanswered: &str, gone: &str) -> Memory {
        let device = Box::leak(Box::new(Device::open("/dev/null").unwrap()));
        let range = PhysRange::new(start, 1).unwrap();
        Memory { device, range, unanswered: unanswered.into(), gone: gone.into() }
    }

    #[test]
    fn a_window_that_was_removed_explains_more_than_the_newest_memory() {
        let old: &List = Box::leak(Box::new(List { memory: memory(1, "old", "old gone"), next: None }));
        let list: &List = Box::leak(Box::new(List { memory: memory(2, "new", "new gone"), next: Some(old) }));
        let line_if = |gone: Option<u64>| line(Some(list), |memory| Some(memory.range.start()) == gone);
        assert_eq!((line_if(None), line_if(Some(1)), line_if(Some(2))), ("new", "old gone", "new gone"));
        assert_eq!(line(None, |_| true), "");
    }

    #[test]
    fn a_bus_error_has_a_line_a_status_and_leaves_no_file() {
        if let Some(path) = env::var_os(CHILD) {
            watch(memory(0, "the message", "another message"));
            remove_unfinished(path.as_ref());
            restore_terminal("the terminal\n");
            // An empty file, mapped.
            let request = Request { offset: 0, length: 1, writable: false, private: false };
            Probe::new(&tempfile::tempfile().unwrap(), request, 0).unwrap().load(0);
        }
        let unfinished = tempfile::NamedTempFile::new().unwrap();
        let name = "sigbus::tests::a_bus_error_has_a_line_a_status_and_leaves_no_file";
        let mut child = Command::new(env::current_exe().unwrap());
        let ended = child.args(["--exact", name, "--nocapture"]).env(CHILD, unfinished.path()).output().unwrap();
        assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(3), b"the message\n".as_slice()));
        assert!(ended.stdout.ends_with(b"the terminal\n"));
        assert!(!unfinished.path().exists());
    }
}
