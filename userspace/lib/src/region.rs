// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whole pages of a file or device in the address space of this process.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::page::Pages;

#[cfg(miri)]
pub(crate) use interpreted::{map, Region};
#[cfg(not(miri))]
pub(crate) use memmap2::MmapRaw as Region;

/// Maps `pages` of `file` shared, for reading, and for writing too if it is `writable`.
#[cfg(not(miri))]
pub(crate) fn map(file: &File, _: &Path, pages: &Pages, writable: bool) -> io::Result<Region> {
    let mut options = memmap2::MmapOptions::new();
    options.offset(pages.start).len(pages.length);
    if writable {
        options.map_raw(file)
    } else {
        options.map_raw_read_only(file)
    }
}

/// The same for Miri, which maps no files: memory of the program, which all mappings of a file share while there is
/// one. The file is read before the first of them, and written after the last.
#[cfg(miri)]
mod interpreted {
    use std::fs;
    use std::os::unix::fs::FileExt;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU8, Ordering};
    use std::sync::{Arc, Mutex, PoisonError, Weak};

    use nix::errno::Errno;

    use super::*;

    /// The size of the smallest page, which is the alignment that an access can ask for.
    const PAGE: usize = 0x1000;

    /// Atomic bytes may change behind a shared reference.
    #[repr(C, align(0x1000))]
    struct Page([AtomicU8; PAGE]);

    /// A file from its first byte on, and what may follow its end.
    struct Contents {
        path: PathBuf,
        pages: Vec<Page>,
        /// There as soon as a mapping may store.
        file: Mutex<Option<File>>,
    }

    /// What is mapped now.
    static MAPPED: Mutex<Vec<Weak<Contents>>> = Mutex::new(Vec::new());

    /// Pages that are mapped until they are dropped.
    #[derive(Clone)]
    pub(crate) struct Region {
        contents: Arc<Contents>,
        start: usize,
        length: usize,
    }

    pub(crate) fn map(file: &File, path: &Path, pages: &Pages, writable: bool) -> io::Result<Region> {
        if !file.metadata()?.is_file() {
            return Err(Errno::ENODEV.into());
        }
        let start = usize::try_from(pages.start).map_err(|_| Errno::EOVERFLOW)?;
        let end = start.checked_add(pages.length).ok_or(Errno::EOVERFLOW)?;
        let contents = Contents::of(path, end)?;
        let mut writer = contents.file.lock().unwrap_or_else(PoisonError::into_inner);
        if writable && writer.is_none() {
            *writer = Some(file.try_clone()?);
        }
        drop(writer);
        Ok(Region { contents, start, length: pages.length })
    }

    impl Contents {
        /// Those of the file, up to `end` at least.
        fn of(path: &Path, end: usize) -> io::Result<Arc<Self>> {
            let mut mapped = MAPPED.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(contents) = mapped.iter().filter_map(Weak::upgrade).find(|contents| contents.path == path) {
                assert!(end <= contents.pages.len() * PAGE, "a further mapping of {} would be longer", path.display());
                return Ok(contents);
            }
            let bytes = fs::read(path)?;
            let length = end.max(bytes.len());
            // More than a test needs: mmap(2) has its limit, too.
            if length > 1 << 30 {
                return Err(Errno::ENOMEM.into());
            }
            let new = || Page([const { AtomicU8::new(0) }; PAGE]);
            let pages: Vec<Page> = std::iter::repeat_with(new).take(length.div_ceil(PAGE)).collect();
            for (byte, value) in pages.iter().flat_map(|page| &page.0).zip(bytes) {
                byte.store(value, Ordering::Relaxed);
            }
            let contents = Arc::new(Self { path: path.into(), pages, file: Mutex::new(None) });
            mapped.retain(|contents| contents.strong_count() > 0);
            mapped.push(Arc::downgrade(&contents));
            Ok(contents)
        }
    }

    impl Drop for Contents {
        fn drop(&mut self) {
            let Some(file) = self.file.get_mut().unwrap_or_else(PoisonError::into_inner) else { return };
            let length = file.metadata().map_or(0, |metadata| metadata.len() as usize);
            let bytes: Vec<u8> =
                self.pages.iter_mut().flat_map(|page| &mut page.0).map(|byte| *byte.get_mut()).collect();
            file.write_all_at(&bytes[..length.min(bytes.len())], 0).expect("the file was opened for writing");
        }
    }

    impl Region {
        /// The address of the first byte, and the right to all of them.
        pub(crate) fn as_mut_ptr(&self) -> *mut u8 {
            self.contents.pages.as_ptr().cast::<u8>().cast_mut().wrapping_add(self.start)
        }

        pub(crate) fn len(&self) -> usize {
            self.length
        }
    }

    impl std::fmt::Debug for Region {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_struct("Region").field("path", &self.contents.path).finish_non_exhaustive()
        }
    }
}
