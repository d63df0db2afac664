// SPDX-License-Identifier: MIT OR Apache-2.0

//! The end of a process whose access to mapped memory is a bus error.
//!
//! A program cannot recover from a SIGBUS: the instruction that failed has no result. So the process still ends, but
//! first it prints why, removes the file that it has not finished, and sets an exit status. That is a decision of a
//! program, which is why the library has no such handler. Two other signals, which end or stop a process wherever it
//! is, are here for the same reason.
//!
//! On riscv64 an access that nothing answers is an access fault, for which Linux sends SIGSEGV. There this signal is
//! handled too, if it comes from memory that is watched.

#![allow(unsafe_code)]

use std::ffi::{c_int, c_void, CString};
use std::io;
use std::iter;
use std::ops::Range;
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
    /// Where it is mapped in this process.
    pub addresses: Range<usize>,
    /// The line if nothing answers.
    pub unanswered: String,
    /// The line if nothing answers, and the signal is SIGSEGV; empty if that [cannot be](IS_SIGSEGV).
    #[cfg_attr(not(target_arch = "riscv64"), expect(dead_code, reason = "it is read where it can be"))]
    pub fault: String,
    /// The line if the window was removed.
    pub gone: String,
}

/// Whether Linux sends SIGSEGV if nothing answers.
pub const IS_SIGSEGV: bool = cfg!(target_arch = "riscv64");

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
    let action = SigAction::new(SigHandler::SigAction(bus_error), SaFlags::empty(), SigSet::empty());
    // SAFETY: The handler makes system calls only, and touches nothing that is ever freed or written again.
    unsafe { sigaction(Signal::SIGBUS, &action) }.expect("every process may handle this signal");
    #[cfg(target_arch = "riscv64")]
    access_fault::handle();
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

fn each(list: Option<&'static List>) -> impl Iterator<Item = &'static Memory> {
    iter::successors(list, |list| list.next).map(|list| &list.memory)
}

/// The line that explains the bus error at `address`. If none is mapped there, since not every processor tells it: one
/// of a window that was removed, or else of the newest memory.
fn line(list: Option<&'static List>, address: usize, is_gone: impl Fn(&Memory) -> bool) -> &'static str {
    let there = each(list).find(|memory| memory.addresses.contains(&address));
    let guilty = there.or_else(|| each(list).find(|memory| is_gone(memory)));
    match guilty.or(each(list).next()) {
        Some(memory) if is_gone(memory) => &memory.gone,
        Some(memory) => &memory.unanswered,
        None => "",
    }
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

fn end(line: &str) -> ! {
    clean_up();
    write(libc::STDERR_FILENO, line);
    write(libc::STDERR_FILENO, "\n");
    // SAFETY: The call ends the process without running any more of its code.
    unsafe { libc::_exit(Failure::ABSENT.into()) }
}

extern "C" fn bus_error(_: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: The kernel passes what describes the signal.
    let info = unsafe { &*info };
    // SAFETY: It is a signal of an address; if a process sent it, the number is none, and not used as one.
    let address = unsafe { info.si_addr() }.addr();
    // One system call for each memory at most, and no allocation.
    end(line(watched(), address, |memory| memory.device.is_gone(memory.range)))
}

/// The number of the register with the address of the instruction whose first half is `low`, if it is a load or store;
/// `high` gives its second half. The address is up to 2 KiB away from what the register has.
#[cfg(any(test, target_arch = "riscv64"))]
fn base_register(low: u16, high: impl FnOnce() -> u16) -> Option<usize> {
    /// Loads and stores, also of floating-point numbers, and atomic ones.
    const OPCODES: [u16; 5] = [0x03, 0x07, 0x23, 0x27, 0x2f];
    let register = match low & 3 {
        3 if OPCODES.contains(&(low & 0x7f)) => low >> 15 | (high() & 0xf) << 1,
        // Of 16 bits. Others of this length access the stack.
        0 if low >> 13 != 0 => 8 + (low >> 7 & 7),
        _ => return None,
    };
    Some(register.into())
}

/// The memory of a load or store whose register has the address `base`.
#[cfg(any(test, target_arch = "riscv64"))]
fn accessed(list: Option<&'static List>, base: usize) -> Option<&'static Memory> {
    const REACH: usize = 1 << 11;
    let within = |addresses: &Range<usize>, reach: usize| {
        (addresses.start.saturating_sub(reach)..addresses.end.saturating_add(reach)).contains(&base)
    };
    [0, REACH].into_iter().find_map(|reach| each(list).find(|memory| within(&memory.addresses, reach)))
}

/// SIGSEGV on riscv64.
#[cfg(target_arch = "riscv64")]
mod access_fault {
    use super::*;

    /// Points to nothing, or to the action that was there before, which is never freed.
    static BEFORE: AtomicPtr<SigAction> = AtomicPtr::new(ptr::null_mut());

    /// The signal comes from an access, as the kernel tells it.
    const SEGV_ACCERR: c_int = 2;

    /// Handles the signal from now on.
    pub fn handle() {
        if !BEFORE.load(Ordering::Acquire).is_null() {
            return;
        }
        // A stack that has overflown, which the standard library handles, has no place for a handler.
        let action = SigAction::new(SigHandler::SigAction(access_fault), SaFlags::SA_ONSTACK, SigSet::empty());
        // SAFETY: The handler makes system calls only, and touches nothing that is ever freed or written again.
        let before = unsafe { sigaction(Signal::SIGSEGV, &action) }.expect("every process may handle this signal");
        BEFORE.store(Box::into_raw(Box::new(before)), Ordering::Release);
    }

    /// For an access fault `do_trap_error()` of Linux gives the address of the instruction in place of that of the
    /// access. For a page fault, which is a fault of the program, it is that of the access.
    extern "C" fn access_fault(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
        // SAFETY: The kernel passes what describes the signal.
        let info = unsafe { &*info };
        // SAFETY: And where the thread was.
        let context = unsafe { &*context.cast::<libc::ucontext_t>() };
        // The first register is that of the instruction.
        let registers = &context.uc_mcontext.__gregs;
        // SAFETY: The signal is one of an address.
        let instruction = unsafe { info.si_addr() };
        if info.si_code == SEGV_ACCERR && instruction.addr() as u64 == registers[0] {
            // SAFETY: The processor has fetched as many bytes. If it could not, the program is about to end by this
            // signal, and does so here.
            let half = |index| unsafe { instruction.cast::<u16>().wrapping_add(index).read() };
            let base = base_register(half(0), || half(1)).map(|register| registers[register] as usize);
            if let Some(memory) = base.and_then(|base| accessed(watched(), base)) {
                end(&memory.fault);
            }
        }
        let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
        // SAFETY: The pointer is null, or what it points to is never freed.
        let before = unsafe { BEFORE.load(Ordering::Acquire).as_ref() }.unwrap_or(&default);
        // SAFETY: It was in place before. The instruction is executed again, and fails again.
        let _ = unsafe { sigaction(Signal::SIGSEGV, before) };
        if info.si_code <= 0 {
            // It is from a process, and would not come again.
            // SAFETY: The call sends a signal to this thread.
            unsafe { libc::raise(signal) };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::*;
    use crate::probe::{Probe, Request};

    /// Names the file to leave unfinished to the child, which is this test again.
    const CHILD: &str = "DEVMAP_TEST_SIGBUS_CHILD";

    /// Mapped at a hundred addresses from `start * 1000` on.
    fn memory(start: u64, unanswered: &str, gone: &str) -> Memory {
        let device = Box::leak(Box::new(Device::open("/dev/null").unwrap()));
        let range = PhysRange::new(start, 1).unwrap();
        let addresses = start as usize * 1000..start as usize * 1000 + 100;
        Memory { device, range, addresses, unanswered: unanswered.into(), fault: String::new(), gone: gone.into() }
    }

    fn list(memory: Memory, next: Option<&'static List>) -> Option<&'static List> {
        Some(Box::leak(Box::new(List { memory, next })))
    }

    #[test]
    fn a_window_that_was_removed_explains_more_than_the_newest_memory() {
        let list = list(memory(2, "new", "new gone"), list(memory(1, "old", "old gone"), None));
        let line_if = |gone: Option<u64>| line(list, 0, |memory| Some(memory.range.start()) == gone);
        assert_eq!((line_if(None), line_if(Some(1)), line_if(Some(2))), ("new", "old gone", "new gone"));
        assert_eq!(line(None, 0, |_| true), "");
    }

    #[test]
    fn the_address_decides_if_it_is_known() {
        let list = list(memory(2, "new", "new gone"), list(memory(1, "old", "old gone"), None));
        let line_at = |address, gone: u64| line(list, address, |memory| memory.range.start() == gone);
        assert_eq!((line_at(1000, 0), line_at(1099, 2), line_at(1099, 1)), ("old", "old", "old gone"));
        assert_eq!((line_at(2000, 1), line_at(1100, 1), line_at(999, 0)), ("new", "old gone", "new"));
    }

    #[test]
    fn the_register_of_an_access_has_its_number_in_the_instruction() {
        let register = |code: u32| base_register(code as u16, || (code >> 16) as u16);
        for (code, expected, text) in [
            (0x0007_8503, Some(15), "lb a0, 0(a5)"),
            (0xff85_b783, Some(11), "ld a5, -8(a1)"),
            (0x00ff_8023, Some(31), "sb a5, 0(t6)"),
            (0x00a5_3c23, Some(10), "sd a0, 24(a0)"),
            (0x0005_3507, Some(10), "fld fa0, 0(a0)"),
            (0x1005_252f, Some(10), "lr.w a0, (a0)"),
            (0x439c, Some(15), "c.lw a5, 0(a5)"),
            (0xe11c, Some(10), "c.sd a5, 0(a0)"),
            (0x8520, Some(10), "c.lbu s0, 0(a0)"),
            (0x0000_8067, None, "ret"),
            (0x4502, None, "c.lwsp a0, 0(sp)"),
            (0x0000, None, "no instruction"),
        ] {
            assert_eq!(register(code), expected, "{text}");
        }
    }

    #[test]
    fn an_access_is_that_of_the_memory_that_its_register_names() {
        let far = memory(10, "", "");
        let list = list(memory(2, "", ""), list(memory(1, "", ""), list(far, None)));
        let at = |base| accessed(list, base).map(|memory| memory.range.start());
        assert_eq!((at(1000), at(1099), at(2000), at(10_050)), (Some(1), Some(1), Some(2), Some(10)));
        // With what the instruction adds.
        assert_eq!((at(10_000 - 2048), at(10_100 + 2047)), (Some(10), Some(10)));
        assert_eq!((at(10_000 - 2049), at(10_100 + 2048), at(usize::MAX)), (None, None, None));
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

    #[test]
    fn a_segmentation_fault_elsewhere_ends_it_as_ever() {
        if env::var_os(CHILD).is_some() {
            let file = tempfile::tempfile().unwrap();
            let request = Request { offset: 0, length: 1, writable: false, private: false };
            let probe = Probe::new(&file, request, 0x1_0000).unwrap();
            watch(memory(0, "the message", "another message"));
            // Reserved addresses, which permit no access.
            probe.load(0x1_0000);
        }
        let name = "sigbus::tests::a_segmentation_fault_elsewhere_ends_it_as_ever";
        let mut child = Command::new(env::current_exe().unwrap());
        let ended = child.args(["--exact", name, "--nocapture"]).env(CHILD, "").output().unwrap();
        assert_eq!((ended.status.signal(), ended.stderr.as_slice()), (Some(libc::SIGSEGV), b"".as_slice()));
    }
}
