// SPDX-License-Identifier: MIT OR Apache-2.0

//! The interrupt of a UIO device.
//!
//! UIO counts with 32 bits, from the registration of the device on. read(2) gives this count once it is another than at
//! the last read(2) of the open file, or than at its open(2). What is wanted is the difference, so the count at the
//! last take is kept here.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{ppoll, PollFd, PollFlags};

/// When a wait ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// After `timeout`; never for `None`, or what no clock can hold.
    pub(crate) fn after(timeout: Option<Duration>) -> Self {
        Self(timeout.and_then(|timeout| Instant::now().checked_add(timeout)))
    }

    /// The time that is left; `None` without an end.
    pub(crate) fn left(&self) -> Option<Duration> {
        self.0.map(|end| end.saturating_duration_since(Instant::now()))
    }
}

/// The interrupt of a UIO device, as one open file counts it.
#[derive(Debug)]
pub(crate) struct Events {
    /// The attribute in sysfs that has the count.
    attribute: PathBuf,
    /// The count when it was last taken, or at the start; `None` if that could not be read.
    taken: Mutex<Option<u32>>,
}

impl Events {
    /// Those of a device that sysfs shows at `device`, from now on.
    pub(crate) fn new(device: &Path) -> Self {
        let events = Self { attribute: device.join("event"), taken: Mutex::default() };
        let now = events.total().ok();
        Self { taken: Mutex::new(now), ..events }
    }

    /// How often it has come since the device was registered, modulo 2^32.
    pub(crate) fn total(&self) -> io::Result<u32> {
        fs::read_to_string(&self.attribute)?.trim_end().parse().map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{} is not a number", self.attribute.display()))
        })
    }

    /// Whether the device behind `file` has an interrupt. One that is gone has none, too.
    pub(crate) fn exist(file: &File) -> Result<bool, Errno> {
        match is_ready(file, Some(Duration::ZERO)) {
            Err(Errno::ENODEV) => Ok(false),
            ready => ready.map(|_| true),
        }
    }

    /// Waits until it comes, and gives how often since it was last taken; 0 at the deadline. ENODEV if the device is
    /// gone.
    pub(crate) fn wait(&self, file: &File, deadline: Deadline) -> Result<u64, Errno> {
        loop {
            let left = deadline.left();
            match is_ready(file, left) {
                Ok(true) => {
                    if let Some(count) = self.take(file)? {
                        return Ok(count);
                    }
                }
                Ok(false) if left.is_some_and(|left| left.is_zero()) => return Ok(0),
                Ok(false) | Err(Errno::EINTR) => (),
                Err(errno) => return Err(errno),
            }
        }
    }

    /// How often it has come since it was last taken; `None` if another thread took it.
    fn take(&self, file: &File) -> Result<Option<u64>, Errno> {
        // Without this lock, another thread could take it between poll(2) and read(2), which would then wait.
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_ready(file, Some(Duration::ZERO))? {
            return Ok(None);
        }
        let mut count = [0; 4];
        let mut file = file;
        match file.read(&mut count) {
            Ok(4) => {
                let now = u32::from_ne_bytes(count);
                let came = since(taken.replace(now), now);
                Ok(Some(came))
            }
            // A driver that is not UIO.
            Ok(_) => Err(Errno::EIO),
            Err(error) => match Errno::from_raw(error.raw_os_error().unwrap_or_default()) {
                // Another process took it.
                Errno::EAGAIN | Errno::EINTR => Ok(None),
                Errno::EIO => Err(Errno::ENODEV),
                errno => Err(errno),
            },
        }
    }

    /// Unmasks it, or masks it. ENOSYS if the driver of the device cannot; ENODEV if the device is gone.
    pub(crate) fn control(file: &File, unmasked: bool) -> Result<(), Errno> {
        let mut file = file;
        loop {
            let errno = match file.write(&u32::from(unmasked).to_ne_bytes()) {
                Ok(_) => return Ok(()),
                Err(error) => Errno::from_raw(error.raw_os_error().unwrap_or_default()),
            };
            return Err(match errno {
                Errno::EINTR => continue,
                // UIO itself knows a number of this length, but the driver of the device may refuse one.
                Errno::EIO | Errno::EINVAL if !Self::exist(file)? => Errno::ENODEV,
                errno => errno,
            });
        }
    }
}

/// How often it came since the count was `before`, if it is `now`, and it came.
fn since(before: Option<u32>, now: u32) -> u64 {
    // If they are equal, it came between open(2) and the first reading of the count.
    before.map_or(1, |before| now.wrapping_sub(before).max(1)).into()
}

/// The longest time that ppoll(2) takes everywhere: the C library may count seconds with 32 bits.
const LONGEST: Duration = Duration::from_secs(i32::MAX as u64);

/// Waits until it has come, for `timeout` or the longest time at most. ENODEV if the device has no interrupt, or is
/// gone.
fn is_ready(file: &File, timeout: Option<Duration>) -> Result<bool, Errno> {
    let mut polled = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
    if ppoll(&mut polled, timeout.map(|timeout| timeout.min(LONGEST).into()), None)? == 0 {
        return Ok(false);
    }
    let found = polled[0].revents().unwrap_or(PollFlags::empty());
    if found.intersects(PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL) {
        return Err(Errno::ENODEV);
    }
    Ok(found.contains(PollFlags::POLLIN))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::{os::fd::OwnedFd, thread};

    use super::*;

    /// A socket that plays the node of a UIO device: what its other end sends is what read(2) gives, and the other way
    /// round. A datagram is read as a whole, as a count is.
    pub(crate) fn node() -> (File, UnixDatagram) {
        let (node, kernel) = UnixDatagram::pair().unwrap();
        (File::from(OwnedFd::from(node)), kernel)
    }

    /// A directory in sysfs with this count.
    pub(crate) fn sysfs(count: &str) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("event"), count).unwrap();
        directory
    }

    pub(crate) fn come(kernel: &UnixDatagram, count: u32) {
        kernel.send(&count.to_ne_bytes()).unwrap();
    }

    const NOW: Option<Duration> = Some(Duration::ZERO);

    #[test]
    fn counts_are_differences_that_wrap() {
        assert_eq!(since(Some(7), 8), 1);
        assert_eq!(since(Some(0), 100_000), 100_000);
        assert_eq!(since(Some(u32::MAX), 0), 1);
        assert_eq!(since(Some(u32::MAX - 1), 3), 5);
        assert_eq!(since(Some(1), 0), u32::MAX.into());
        // It came, but how often is not known.
        assert_eq!((since(Some(7), 7), since(None, 7)), (1, 1));
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no sockets that can be polled")]
    fn each_take_gives_what_came_since_the_last() {
        let (node, kernel) = node();
        let events = Events::new(sysfs("4294967290\n").path());
        let wait = || events.wait(&node, Deadline::after(NOW));
        assert_eq!(wait(), Ok(0));
        come(&kernel, 4_294_967_293);
        assert_eq!((wait(), wait()), (Ok(3), Ok(0)));
        come(&kernel, 4);
        assert_eq!((wait(), wait()), (Ok(7), Ok(0)));
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no sockets that can be polled")]
    fn a_wait_ends_with_the_interrupt_or_the_time() {
        let (node, kernel) = node();
        let events = Events::new(sysfs("0\n").path());
        let start = Instant::now();
        assert_eq!(events.wait(&node, Deadline::after(Some(Duration::from_millis(30)))), Ok(0));
        assert!(start.elapsed() >= Duration::from_millis(30));
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(20));
                come(&kernel, 1);
            });
            assert_eq!(events.wait(&node, Deadline::after(None)), Ok(1));
            // As for ever as any clock can tell.
            come(&kernel, 3);
            assert_eq!(events.wait(&node, Deadline::after(Some(Duration::MAX))), Ok(2));
        });
    }

    /// More seconds than a C library of 32 bits can count, which are few or negative if they are cut off.
    #[test]
    #[cfg_attr(miri, ignore = "Miri has no sockets that can be polled")]
    fn a_long_time_is_long_everywhere() {
        let (node, kernel) = node();
        let node = &node;
        for seconds in [i32::MAX as u64, 1 << 31, u32::MAX.into(), 1 << 32, (1 << 32) + 1, u64::MAX] {
            thread::scope(|scope| {
                let waiter = scope.spawn(move || is_ready(node, Some(Duration::from_secs(seconds))));
                thread::sleep(Duration::from_millis(20));
                assert!(!waiter.is_finished(), "{seconds} s: {:?}", waiter.join());
                come(&kernel, 1);
                assert_eq!(waiter.join().unwrap(), Ok(true), "{seconds} s");
            });
            (&*node).read_exact(&mut [0; 4]).unwrap();
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no sockets that can be polled")]
    fn two_threads_share_what_comes_and_none_waits_for_more() {
        let (node, kernel) = node();
        let events = Events::new(sysfs("0\n").path());
        let taken: u64 = thread::scope(|scope| {
            let wait = || {
                let mut sum = 0;
                // A read(2) that waited would keep this one from its end.
                while let came @ 1.. = events.wait(&node, Deadline::after(Some(Duration::from_millis(200)))).unwrap() {
                    sum += came;
                }
                sum
            };
            let waiters = [scope.spawn(wait), scope.spawn(wait)];
            for count in 1..=1000 {
                come(&kernel, count);
            }
            waiters.into_iter().map(|waiter| waiter.join().unwrap()).sum()
        });
        assert_eq!(taken, 1000);
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no sockets that can be polled")]
    fn masking_writes_a_number() {
        let (node, kernel) = node();
        let mut number = [0; 5];
        for unmasked in [true, false] {
            Events::control(&node, unmasked).unwrap();
            assert_eq!(kernel.recv(&mut number).unwrap(), 4);
            assert_eq!(number[..4], u32::from(unmasked).to_ne_bytes());
        }
        // Of a file that cannot be written.
        let read_only = File::open("/dev/null").unwrap();
        assert_eq!(Events::control(&read_only, true), Err(Errno::EBADF));
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no sockets that can be polled")]
    fn a_device_that_is_gone_is_enodev() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        drop(theirs);
        let gone = File::from(OwnedFd::from(ours));
        assert!(!Events::exist(&gone).unwrap());
        let events = Events::new(sysfs("0\n").path());
        assert_eq!(events.wait(&gone, Deadline::after(None)), Err(Errno::ENODEV));
        assert!(Events::exist(&node().0).unwrap());
    }

    #[test]
    fn sysfs_has_the_count() {
        let directory = sysfs("4294967295\n");
        let events = Events::new(directory.path());
        assert_eq!(events.total().unwrap(), u32::MAX);
        fs::write(directory.path().join("event"), "4294967296\n").unwrap();
        assert!(events.total().unwrap_err().to_string().ends_with("/event is not a number"));
    }
}
