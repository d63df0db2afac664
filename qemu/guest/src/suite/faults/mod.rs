// SPDX-License-Identifier: MIT OR Apache-2.0

//! Every allocation, and every copy from or to a program, of every operation fails once: the first one, the second one,
//! and so on until none is left (/proc/thread-self/fail-nth). The operation gives an error that says so, or succeeds
//! all the same; it leaves nothing, and the next attempt succeeds.

use std::{
    collections::BTreeMap,
    ffi::CString,
    fs::{self, File},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::fs::FileExt,
    },
    path::Path,
    thread::sleep,
    time::Duration,
};

use anyhow::{bail, ensure, Context, Result};
use map_core::LogLimit;
use nix::{errno::Errno, libc};

use crate::{host::Host, raw::system, Skip};

#[cfg(target_arch = "x86_64")]
mod calls;
#[cfg(target_arch = "x86_64")]
pub use calls::{LOADS, TESTS};
#[cfg(target_arch = "aarch64")]
mod devices;
#[cfg(target_arch = "aarch64")]
pub use devices::TESTS as DEVICES;

// No device of x86_64 has windows; everything else is the same on both.
#[cfg(target_arch = "x86_64")]
pub const DEVICES: &[crate::Test] = &[];
#[cfg(target_arch = "aarch64")]
pub const TESTS: &[crate::Test] = &[];
#[cfg(target_arch = "aarch64")]
pub const LOADS: &[crate::Test] = &[];

/// The settings of the kernel for what may fail, in debugfs.
const SETTINGS: [(&str, &str); 7] = [
    // Nothing is logged for a failure, which is no finding.
    ("failslab/verbose", "0"),
    ("fail_page_alloc/verbose", "0"),
    ("fail_usercopy/verbose", "0"),
    // Also what may wait for memory …
    ("failslab/ignore-gfp-wait", "N"),
    ("fail_page_alloc/ignore-gfp-wait", "N"),
    // … what is for programs …
    ("fail_page_alloc/ignore-gfp-highmem", "N"),
    // … and single pages.
    ("fail_page_alloc/min-order", "0"),
];

/// More points than any operation has.
const MOST_POINTS: u32 = 10_000;

/// An allocation fails, or a copy.
const COPIES: &[Errno] = &[Errno::ENOMEM, Errno::EFAULT];

/// An operation: its name, the errors that a failure may give, and the least number of points at which it can fail.
type Operation<'a> = (&'a str, &'a [Errno], u32);

/// Lets something fail in this thread.
struct Injector {
    nth: File,
    /// The points of each operation, with what the failures gave.
    lines: Vec<String>,
    /// The operations with fewer points than expected.
    few: Vec<String>,
    /// After so many failures there is another attempt.
    every: u32,
}

impl Injector {
    fn new() -> Result<Self> {
        for (file, value) in SETTINGS {
            let path = Path::new("/sys/kernel/debug").join(file);
            if !path.exists() {
                return Err(Skip(format!("this kernel has no {}", path.display())).into());
            }
            fs::write(&path, value).with_context(|| path.display().to_string())?;
        }
        let nth = File::options().read(true).write(true).open("/proc/thread-self/fail-nth")?;
        Ok(Self { nth, lines: Vec::new(), few: Vec::new(), every: 1 })
    }

    /// Lets the `point`th of what may fail do so.
    fn arm(&self, point: u32) -> Result<()> {
        Ok(self.nth.write_all_at(point.to_string().as_bytes(), 0)?)
    }

    /// Lets nothing fail any more. Tells whether something did.
    fn disarm(&self) -> Result<bool> {
        let mut bytes = [0; 16];
        // The copy of the number may be what fails next.
        let failed = match self.nth.read_at(&mut bytes, 0) {
            Ok(length) => bytes[..length].starts_with(b"0"),
            Err(_) => false,
        };
        // As above; then there is nothing left that fails.
        self.arm(0).or_else(|_| self.arm(0))?;
        Ok(failed)
    }

    /// Attempts an operation with each of its points failing in turn, each time on something new. Whatever both give is
    /// dropped, what was attempted first. After a failure, another attempt must succeed.
    fn each<S, T>(
        &mut self,
        operation: Operation<'_>,
        prepare: impl Fn() -> Result<S>,
        attempt: impl Fn(&S) -> Result<T, Errno>,
    ) -> Result<()> {
        self.each_checked(operation, prepare, attempt, |_, _| Ok(()))
    }

    /// As [`each`](Self::each), and `check` looks at what an attempt has done, whether it succeeded or not.
    fn each_checked<S, T>(
        &mut self,
        (what, allowed, least): Operation<'_>,
        prepare: impl Fn() -> Result<S>,
        attempt: impl Fn(&S) -> Result<T, Errno>,
        check: impl Fn(&S, Result<&T, Errno>) -> Result<()>,
    ) -> Result<()> {
        let mut results: BTreeMap<String, u32> = BTreeMap::new();
        // What is allocated only once is there afterwards.
        self.without(&prepare, &attempt, &check).with_context(|| what.to_owned())?;
        for point in 1..MOST_POINTS {
            let on = prepare().with_context(|| format!("before {what}"))?;
            self.arm(point)?;
            let result = attempt(&on);
            let failed = self.disarm()?;
            let errno = result.as_ref().err().copied();
            check(&on, result.as_ref().map_err(|errno| *errno))
                .with_context(|| format!("{what}, point {point}, {errno:?}"))?;
            drop((result, on));
            if !failed {
                ensure!(errno.is_none(), "{what}: {errno:?}, although nothing fails");
                let counts: Vec<_> = results.iter().map(|(name, count)| format!("{name} {count}")).collect();
                self.lines.push(format!("{what}: {} points: {}\n", point - 1, counts.join(", ")));
                if point - 1 < least {
                    self.few.push(format!("{what} can fail at {} points, not at {least}", point - 1));
                }
                return Ok(());
            }
            let name = errno.map_or_else(|| "success".into(), |errno| format!("{errno:?}"));
            *results.entry(name).or_default() += 1;
            if let Some(errno) = errno {
                ensure!(allowed.contains(&errno), "{what}, point {point}: {errno}");
            }
            if errno.is_some() && point % self.every == 0 {
                self.without(&prepare, &attempt, &check).with_context(|| format!("{what} after point {point}"))?;
            }
        }
        bail!("{what} can fail at more than {MOST_POINTS} points")
    }

    /// An attempt in which nothing fails.
    fn without<S, T>(
        &self,
        prepare: impl Fn() -> Result<S>,
        attempt: impl Fn(&S) -> Result<T, Errno>,
        check: impl Fn(&S, Result<&T, Errno>) -> Result<()>,
    ) -> Result<()> {
        let once = || {
            let on = prepare()?;
            let result = attempt(&on)?;
            check(&on, Ok(&result))
        };
        match once() {
            // After several failures to map memory, the driver does not try it for some seconds.
            Err(error) if error.downcast_ref() == Some(&Errno::EAGAIN) => {
                sleep(Duration::from_secs(LogLimit::INTERVAL + 1));
                once()
            }
            result => result,
        }
    }

    /// Shows the counts, and fails if there were too few.
    fn finish(self, host: &mut Host) -> Result<()> {
        host.note(self.lines.concat())?;
        ensure!(self.few.is_empty(), "{}", self.few.join("; "));
        Ok(())
    }
}

/// Opens a path. Nothing here needs memory of this program, which could fail, too.
fn open(path: &CString, flags: i32) -> Result<OwnedFd, Errno> {
    let arguments = [libc::AT_FDCWD as usize, path.as_ptr() as usize, (flags | libc::O_CLOEXEC) as usize, 0, 0, 0];
    let file = system(libc::SYS_openat, arguments)?;
    // SAFETY: the kernel has just opened it.
    Ok(unsafe { OwnedFd::from_raw_fd(file as RawFd) })
}

/// Reads from the beginning of a path.
fn read(path: &CString) -> Result<usize, Errno> {
    let file = open(path, libc::O_RDONLY)?;
    let mut bytes = [0; 512];
    system(libc::SYS_read, [file.as_raw_fd() as usize, bytes.as_mut_ptr() as usize, bytes.len(), 0, 0, 0])
}

/// Writes to a path, at once.
fn write(path: &CString, text: &str) -> Result<usize, Errno> {
    let file = open(path, libc::O_WRONLY)?;
    system(libc::SYS_write, [file.as_raw_fd() as usize, text.as_ptr() as usize, text.len(), 0, 0, 0])
}

fn path(text: &str) -> Result<CString> {
    Ok(CString::new(text)?)
}

fn nothing() -> Result<()> {
    Ok(())
}
