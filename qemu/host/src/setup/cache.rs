// SPDX-License-Identifier: MIT OR Apache-2.0

//! The directory that keeps what takes long to build.
//!
//! It has a directory for each kind of entry (a *bucket*), and in it a directory for each entry. An entry is made in a
//! sibling called `….part` and renamed when it is complete, so that its name guarantees its contents. A lock on the
//! bucket lets one run make entries while others wait; looking up entries needs no lock.

use std::{
    env, fmt,
    fs::{self, File},
    io,
    os::fd::{AsFd, BorrowedFd},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{anyhow, bail, Context, Result};
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
    sys::statvfs::statvfs,
};

use crate::{interrupt, place, ui::Ui};

const PART: &str = ".part";
const LOCK: &str = ".lock";
/// With less space than this after a failure, the disk counts as full.
const FULL: u64 = 16 << 20;

/// The cache.
#[derive(Debug)]
pub struct BuildCache {
    root: PathBuf,
}

/// Waits until no other run holds the lock of the existing directory `place`, and holds it until it is dropped.
///
/// `what` describes the work: the others report that this run "is busy with" it.
pub fn lock(place: &Path, what: &str, ui: &Ui) -> Result<Lock> {
    let mut file = File::options().write(true).create(true).truncate(false).open(place.join(LOCK))?;
    let mut reported = false;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(Lock(lock)),
            Err((back, Errno::EWOULDBLOCK)) => file = back,
            Err((_, error)) => bail!("cannot lock {}: {error}", place.join(LOCK).display()),
        }
        if !reported {
            ui.step(format_args!("Waiting for another run, which is busy with {what}"));
            reported = true;
        }
        interrupt::check()?;
        thread::sleep(Duration::from_millis(200));
    }
}

/// The lock of a bucket, whose owner makes entries.
#[derive(Debug)]
pub struct Lock(Flock<File>);

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl BuildCache {
    /// Determines the directory's name; creates nothing.
    pub fn find() -> Result<BuildCache> {
        let root = locate(|name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from))
            .context("no place for the cache: neither HOME nor MAP_CACHE is set; set MAP_CACHE to a directory")?;
        let root = std::path::absolute(&root).with_context(|| format!("MAP_CACHE={} is no path", root.display()))?;
        if place::is_split(&root) {
            // The kernel's Makefile refuses such a path as well, but only after the downloads.
            bail!(
                "the kernel cannot be built in {}: there must be no space and no colon in the path. \
                 Set MAP_CACHE to another directory",
                root.display()
            );
        }
        Ok(BuildCache { root })
    }

    /// Its directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path in the cache.
    pub fn path(&self, place: impl AsRef<Path>) -> PathBuf {
        self.root.join(place)
    }

    /// The names of the entries in a bucket.
    pub fn entries(&self, bucket: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(bucket)).into_iter().flatten().flatten();
        entries
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| !name.ends_with(PART) && !name.starts_with('.'))
            .collect()
    }

    /// Waits for the lock of a bucket; `what` describes the work to other runs.
    pub fn lock(&self, bucket: &str, what: &str, ui: &Ui) -> Result<Lock> {
        let place = self.path(bucket);
        fs::create_dir_all(&place).map_err(|error| self.explain(anyhow!(error), &place))?;
        lock(&place, what, ui).map_err(|error| self.explain(error, &place))
    }

    /// Makes an entry of the bucket, whose contents `fill` writes. The caller holds the bucket's lock.
    ///
    /// Nothing is left of it after a failure.
    pub fn make(&self, bucket: &str, name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let place = self.path(bucket).join(name);
        let part = self.path(bucket).join(format!("{name}{PART}"));
        let make = || -> Result<()> {
            // Left by a run that was killed, under any name.
            for entry in fs::read_dir(self.path(bucket))? {
                let entry = entry?;
                if entry.file_name().to_string_lossy().ends_with(PART) {
                    remove(&entry.path())?;
                }
            }
            fs::create_dir(&part)?;
            fill(&part)?;
            // The name must guarantee the contents even after a power cut.
            flush(&part)?;
            Ok(fs::rename(&part, &place)?)
        };
        make().map_err(|error| {
            let error = self.explain(error, &part);
            // A second error would only hide the first.
            let _ = remove(&part);
            error
        })?;
        Ok(place)
    }

    /// Fails if the disk has less free space than `bytes`.
    pub fn require_space(&self, bytes: u64) -> Result<()> {
        let Some(free) = self.free() else { return Ok(()) };
        if free >= bytes {
            return Ok(());
        }
        Err(anyhow!(
            "{} has {} free, and {} are needed: make room there, or set MAP_CACHE to a directory on a larger disk",
            self.root.display(),
            Gigabytes(free),
            Gigabytes(bytes)
        ))
    }

    /// Adds the remedy to an error that the disk or the directory caused.
    pub fn explain(&self, error: anyhow::Error, place: &Path) -> anyhow::Error {
        let errno = error.chain().find_map(|cause| match cause.downcast_ref::<Errno>() {
            Some(errno) => Some(*errno),
            None => cause.downcast_ref::<io::Error>()?.raw_os_error().map(Errno::from_raw),
        });
        match errno {
            _ if interrupt::is_interruption(&error) => error,
            Some(Errno::EACCES | Errno::EPERM | Errno::EROFS | Errno::ENOTDIR | Errno::EEXIST) => {
                error.context(format!(
                    "cannot write to the cache, at {}: make it writable, or set MAP_CACHE to a directory of your own",
                    place.display()
                ))
            }
            Some(Errno::EDQUOT) => self.full("your quota is used up", &error),
            Some(Errno::ENOSPC) => self.full("the disk is full", &error),
            // A program may have met it, and reported it in its own words.
            _ if self.free().is_some_and(|free| free < FULL) => self.full("the disk is full", &error),
            _ => error,
        }
    }

    fn full(&self, what: &str, error: &anyhow::Error) -> anyhow::Error {
        anyhow!(
            "{error}: {what}, at {}; make room there, or set MAP_CACHE to a directory on a larger disk",
            self.root.display()
        )
    }

    /// The free space of the disk, if known.
    fn free(&self) -> Option<u64> {
        let existing = self.root.ancestors().find(|place| place.exists())?;
        let disk = statvfs(existing).ok()?;
        Some(disk.blocks_available() as u64 * disk.fragment_size() as u64)
    }
}

/// The directory of the cache, by the environment variables.
fn locate(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    if let Some(place) = variable("MAP_CACHE") {
        return Some(place);
    }
    // The XDG specification wants relative paths ignored.
    let base = variable("XDG_CACHE_HOME").filter(|place| place.is_absolute());
    let base = base.or_else(|| variable("HOME").map(|home| home.join(".cache")))?;
    Some(base.join("map"))
}

/// Removes a directory with its contents, if it exists.
pub fn remove(place: &Path) -> io::Result<()> {
    match fs::remove_dir_all(place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Flushes the file system of `place` to the disk.
pub fn flush(place: &Path) -> Result<()> {
    nix::unistd::syncfs(File::open(place)?).with_context(|| format!("cannot write {} to the disk", place.display()))
}

struct Gigabytes(u64);

impl fmt::Display for Gigabytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} GB", self.0 as f64 / 1e9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch() -> (tempfile::TempDir, BuildCache) {
        let directory = tempfile::tempdir().unwrap();
        let cache = BuildCache { root: directory.path().join("cache") };
        (directory, cache)
    }

    #[test]
    fn the_place_follows_the_environment() {
        let with = |set: &[(&str, &str)]| {
            locate(|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| PathBuf::from(value)))
        };
        assert_eq!(with(&[("HOME", "/h")]), Some("/h/.cache/map".into()));
        assert_eq!(with(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")]), Some("/x/map".into()));
        assert_eq!(with(&[("HOME", "/h"), ("XDG_CACHE_HOME", "x")]), Some("/h/.cache/map".into()));
        assert_eq!(with(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x"), ("MAP_CACHE", "/m")]), Some("/m".into()));
        assert_eq!(with(&[]), None);
    }

    #[test]
    fn a_thing_appears_whole() {
        let (_directory, cache) = scratch();
        let _lock = cache.lock("bucket", "a test", &Ui::new()).unwrap();
        let place = cache
            .make("bucket", "entry", |part| {
                assert!(cache.entries("bucket").is_empty());
                Ok(fs::write(part.join("file"), "whole")?)
            })
            .unwrap();
        assert_eq!(fs::read_to_string(place.join("file")).unwrap(), "whole");
        assert_eq!(cache.entries("bucket"), ["entry"]);
    }

    #[test]
    fn a_thing_that_fails_leaves_nothing() {
        let (_directory, cache) = scratch();
        let _lock = cache.lock("bucket", "a test", &Ui::new()).unwrap();
        // Left by a run that was killed.
        fs::create_dir_all(cache.path("bucket/older.part/deep")).unwrap();
        let failed = cache.make("bucket", "entry", |part| {
            fs::write(part.join("file"), "half")?;
            bail!("half way")
        });
        assert_eq!(failed.unwrap_err().to_string(), "half way");
        let left: Vec<_> = fs::read_dir(cache.path("bucket")).unwrap().flatten().map(|e| e.file_name()).collect();
        assert_eq!(left, [LOCK]);
    }

    #[test]
    fn a_second_run_must_wait() {
        let (_directory, cache) = scratch();
        let lock = cache.lock("bucket", "a test", &Ui::new()).unwrap();
        let try_lock = || {
            let file = File::open(cache.path("bucket").join(LOCK)).unwrap();
            Flock::lock(file, FlockArg::LockExclusiveNonblock).map(drop).map_err(|(_, errno)| errno)
        };
        assert_eq!(try_lock(), Err(Errno::EWOULDBLOCK));
        drop(lock);
        assert_eq!(try_lock(), Ok(()));
    }

    #[test]
    fn an_error_of_the_disk_comes_with_its_remedy() {
        let (_directory, cache) = scratch();
        let of = |errno: Errno| cache.explain(io::Error::from(errno).into(), Path::new("/c/entry")).to_string();
        assert!(of(Errno::ENOSPC).contains(": the disk is full, at "));
        assert!(of(Errno::EACCES).starts_with("cannot write to the cache, at /c/entry: "));
        assert_eq!(cache.explain(anyhow!("something else"), Path::new("/c")).to_string(), "something else");
    }
}
