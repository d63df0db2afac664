// SPDX-License-Identifier: MIT OR Apache-2.0

//! The rules of mmap(2) and its relatives, on the driver's node and on a file of the same length side by side.
//!
//! Each test is a table that people see, and every row is asserted. The two differ where the driver is stricter than a
//! file, or where something exists for files only.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io,
    os::{
        fd::{AsRawFd, RawFd},
        unix::fs::{FileExt, OpenOptionsExt, PermissionsExt},
    },
};

use anyhow::{bail, ensure, Context, Result};
use devmap::{page, Error, FileMapping, PhysRange};
use nix::{
    errno::Errno,
    libc,
    sys::{
        mman::{MapFlags, ProtFlags},
        resource::{setrlimit, Resource},
        stat::Mode,
        uio::{process_vm_readv, RemoteIoVec},
        wait::WaitStatus,
    },
    unistd::{mkfifo, Pid},
};

use crate::{
    child::{in_child, succeeds_as_user},
    errno,
    host::{Host, LENGTH, START},
    kernel::{self, Loaded},
    program::{devmap, devmap_as_user, shell, Ran, Scratch, WHOLE},
    vma::{lock_at, protect_at, resident_at, sync_at, unmap_at, Vma, READ_WRITE},
};

crate::tests! {
    a_descriptor_gives_no_more_than_it_was_opened_for,
    arguments_that_make_no_sense_are_refused,
    there_may_be_no_room,
    map_fixed_replaces_what_was_there,
    a_hint_is_taken_where_nothing_is,
    munmap_takes_whole_pages_away,
    a_length_is_rounded_up_to_pages,
    beyond_the_end_a_file_is_sigbus_and_the_device_refuses,
    a_file_that_changes_its_length_changes_its_mapping,
    pages_can_be_asked_for_at_once,
    msync_succeeds,
    mincore_tells_which_pages_are_there,
    mprotect_goes_down_and_up_as_far_as_the_descriptor_does,
    the_kernel_copies_for_files_alone,
    a_file_that_cannot_be_mapped_is_an_error,
    the_lab_agrees_with_this_machine,
    the_lab_leaves_no_core_and_changes_no_memory,
    the_lab_needs_memory_that_it_may_read,
    explain_answers_for_this_machine,
}

const READ: ProtFlags = ProtFlags::PROT_READ;
const SHARED: MapFlags = MapFlags::MAP_SHARED;
const PRIVATE: MapFlags = MapFlags::MAP_PRIVATE;

fn page() -> usize {
    page::system().bytes() as usize
}

/// The object that is mapped: the driver's only window, or a file of the same length.
struct Subject {
    path: String,
    /// The offset of its first byte.
    base: u64,
}

impl Subject {
    fn open(&self, options: &mut OpenOptions) -> Result<File> {
        options.open(&self.path).with_context(|| format!("cannot open {}", self.path))
    }

    /// Open for reading and writing.
    fn file(&self) -> Result<File> {
        self.open(File::options().read(true).write(true))
    }

    /// A shared mapping of its first pages to read and write, with a gap behind. The first byte of each is its number +
    /// 1.
    fn pages(&self, count: usize) -> Result<Vma> {
        let vma = Vma::shared_with_gap(&self.file()?, self.base, count * page())?;
        for number in 0..count {
            vma.store(number * page(), number as u8 + 1);
        }
        Ok(vma)
    }

    /// The result of mapping it, without an access.
    fn try_map(&self, file: RawFd, offset: u64, length: usize, protection: ProtFlags, flags: MapFlags) -> String {
        errno::name(Vma::map_at(0, file, self.base.wrapping_add(offset), length, protection, flags))
    }
}

/// The outcome of a child that does this.
fn outcome<T>(act: impl FnOnce() -> T) -> Result<String> {
    let status = in_child(|| {
        act();
        0
    })?;
    match status {
        WaitStatus::Exited(_, 0) => Ok("ok".into()),
        WaitStatus::Signaled(_, signal, _) => Ok(signal.as_str().into()),
        other => bail!("the child ended with {other:?}"),
    }
}

/// The outcome of a load in a child.
fn load(vma: &Vma, offset: usize) -> Result<String> {
    outcome(|| vma.load(offset))
}

/// The outcome of a store in a child, which does not change the byte.
fn store(vma: &Vma, offset: usize) -> Result<String> {
    outcome(|| vma.store(offset, vma.load(offset)))
}

/// Several outcomes in one cell.
fn all(answers: impl IntoIterator<Item = Result<String>>) -> Result<String> {
    Ok(answers.into_iter().collect::<Result<Vec<_>>>()?.join(" "))
}

/// The cell of a subject that a row does not test.
const NONE: &str = "-";

/// The rows of a test; all are done before any failure is reported.
struct Table {
    device: Subject,
    file: Subject,
    lines: Vec<[String; 3]>,
    wrong: Vec<String>,
    _scratch: Scratch,
    _loaded: Loaded,
}

impl Table {
    /// Loads the driver, and makes a sparse file.
    fn new() -> Result<Self> {
        let loaded = Loaded::with(&[WHOLE])?;
        let scratch = Scratch::new()?;
        let path = scratch.file("file", &[])?;
        File::options().write(true).open(&path)?.set_len(LENGTH)?;
        Ok(Self {
            device: Subject { path: "/dev/map".into(), base: START },
            file: Subject { path, base: 0 },
            lines: vec![["what is done".into(), "/dev/map".into(), "a file".into()]],
            wrong: Vec::new(),
            _scratch: scratch,
            _loaded: loaded,
        })
    }

    /// Does `act` on both, and compares the outcomes with those expected: first the device, then the file.
    fn row(&mut self, what: &str, expected: [&str; 2], act: impl Fn(&Subject) -> Result<String>) -> Result<()> {
        let mut line = [what.to_owned(), NONE.to_owned(), NONE.to_owned()];
        for (index, subject) in [&self.device, &self.file].into_iter().enumerate() {
            if expected[index] == NONE {
                continue;
            }
            let found = act(subject).with_context(|| format!("{what}: {}", subject.path))?;
            if found != expected[index] {
                self.wrong.push(format!("{what}: {} gives {found:?}, not {:?}", subject.path, expected[index]));
            }
            line[index + 1] = found;
        }
        self.lines.push(line);
        Ok(())
    }

    /// Shows the table, and fails if a row differs from what was expected.
    fn finish(self, host: &mut Host) -> Result<()> {
        let width = |column: usize| self.lines.iter().map(|line| line[column].len()).max().unwrap_or_default();
        let (what, device) = (width(0), width(1));
        let lines = self.lines.iter().map(|[a, b, c]| format!("{a:what$}  {b:device$}  {c}\n"));
        host.note(lines.collect())?;
        ensure!(self.wrong.is_empty(), "{}", self.wrong.join("\n"));
        Ok(())
    }
}

fn a_descriptor_gives_no_more_than_it_was_opened_for(host: &mut Host) -> Result<()> {
    let mut table = Table::new()?;
    let length = page();
    let read_only = |it: &Subject| it.open(File::options().read(true));
    let write_only = |it: &Subject| it.open(File::options().write(true));
    table.row("PROT_READ, descriptor open for writing only", ["EACCES", "EACCES"], |it| {
        Ok(it.try_map(write_only(it)?.as_raw_fd(), 0, length, READ, SHARED))
    })?;
    table.row("PROT_WRITE, descriptor open for writing only", ["EACCES", "EACCES"], |it| {
        Ok(it.try_map(write_only(it)?.as_raw_fd(), 0, length, ProtFlags::PROT_WRITE, SHARED))
    })?;
    table.row("PROT_WRITE, MAP_SHARED, descriptor for reading", ["EACCES", "EACCES"], |it| {
        Ok(it.try_map(read_only(it)?.as_raw_fd(), 0, length, READ_WRITE, SHARED))
    })?;
    table.row("PROT_WRITE, MAP_PRIVATE, descriptor for reading", ["EINVAL", "ok"], |it| {
        Ok(it.try_map(read_only(it)?.as_raw_fd(), 0, length, READ_WRITE, PRIVATE))
    })?;
    table.row("PROT_READ, MAP_SHARED, descriptor for reading", ["ok", "ok"], |it| {
        Ok(it.try_map(read_only(it)?.as_raw_fd(), 0, length, READ, SHARED))
    })?;
    table.row("PROT_EXEC", ["EPERM", "ok"], |it| {
        Ok(it.try_map(it.file()?.as_raw_fd(), 0, length, READ | ProtFlags::PROT_EXEC, SHARED))
    })?;
    table.row("a descriptor of O_PATH", ["EBADF", "EBADF"], |it| {
        let path = it.open(File::options().read(true).custom_flags(libc::O_PATH))?;
        Ok(it.try_map(path.as_raw_fd(), 0, length, READ, SHARED))
    })?;
    table.row("a descriptor that was closed", ["EBADF", "EBADF"], |it| {
        let file = it.file()?;
        let closed = file.as_raw_fd();
        drop(file);
        Ok(it.try_map(closed, 0, length, READ, SHARED))
    })?;
    table.row("descriptor -1", ["EBADF", "EBADF"], |it| Ok(it.try_map(-1, 0, length, READ, SHARED)))?;
    table.row("load through the mapping, descriptor closed", ["ok", "ok"], |it| {
        // `pages` closes it.
        load(&it.pages(1)?, 0)
    })?;
    table.finish(host)
}

fn arguments_that_make_no_sense_are_refused(host: &mut Host) -> Result<()> {
    let mut table = Table::new()?;
    let length = page();
    let map = |it: &Subject, offset: u64, length: usize, flags: MapFlags| -> Result<String> {
        Ok(it.try_map(it.file()?.as_raw_fd(), offset, length, READ_WRITE, flags))
    };
    table.row("length 0", ["EINVAL", "EINVAL"], |it| map(it, 0, 0, SHARED))?;
    table.row("offset 1", ["EINVAL", "EINVAL"], |it| map(it, 1, length, SHARED))?;
    table.row("offset of a page less 1", ["EINVAL", "EINVAL"], |it| map(it, length as u64 - 1, length, SHARED))?;
    table
        .row("neither MAP_SHARED nor MAP_PRIVATE", ["EINVAL", "EINVAL"], |it| map(it, 0, length, MapFlags::empty()))?;
    table.row("MAP_PRIVATE", ["EINVAL", "ok"], |it| map(it, 0, length, PRIVATE))?;
    table.row("MAP_SHARED_VALIDATE", ["ok", "ok"], |it| map(it, 0, length, MapFlags::MAP_SHARED_VALIDATE))?;
    // The flag is for persistent memory; MAP_SHARED ignores flags that it does not know.
    table.row("MAP_SHARED_VALIDATE and MAP_SYNC", ["EOPNOTSUPP", "EOPNOTSUPP"], |it| {
        map(it, 0, length, MapFlags::MAP_SHARED_VALIDATE | MapFlags::MAP_SYNC)
    })?;
    table.row("MAP_SHARED and MAP_SYNC", ["ok", "ok"], |it| map(it, 0, length, SHARED | MapFlags::MAP_SYNC))?;
    table.row("MAP_PRIVATE, a store: the mapping, the file", [NONE, "9 1"], |it| {
        let private = Vma::map(&it.file()?, it.base, length, READ_WRITE, PRIVATE)?;
        let shared = it.pages(1)?;
        private.store(0, 9);
        Ok(format!("{} {}", private.load(0), shared.load(0)))
    })?;
    table.row("MAP_FIXED within a page", ["EINVAL", "EINVAL"], |it| {
        let place = Vma::reserve(2 * length)?;
        let flags = SHARED | MapFlags::MAP_FIXED;
        let file = it.file()?;
        Ok(errno::name(Vma::map_at(place.address() + 1, file.as_raw_fd(), it.base, length, READ_WRITE, flags)))
    })?;
    // Of 2^64, or of what programs of 32 bits can name.
    let end = if cfg!(target_pointer_width = "64") { 0 } else { 1u64 << 44 };
    table.row("offset and length that pass the last page", ["EOVERFLOW", "EOVERFLOW"], |it| {
        map(it, end.wrapping_sub(length as u64).wrapping_sub(it.base), 2 * length, SHARED)
    })?;
    table.finish(host)
}

fn there_may_be_no_room(host: &mut Host) -> Result<()> {
    let mut table = Table::new()?;
    let length = page();
    let shared = |it: &Subject, length: usize| -> Result<String> {
        Ok(it.try_map(it.file()?.as_raw_fd(), 0, length, READ_WRITE, SHARED))
    };
    let place = |it: &Subject, address: usize, flag: MapFlags| -> Result<String> {
        let file = it.file()?;
        Ok(errno::name(Vma::map_at(address, file.as_raw_fd(), it.base, length, READ_WRITE, SHARED | flag)))
    };
    table.row("the greatest length", ["ENOMEM", "ENOMEM"], |it| shared(it, usize::MAX))?;
    table.row("three quarters of all addresses", ["ENOMEM", "ENOMEM"], |it| shared(it, usize::MAX / 4 * 3 + 1))?;
    table.row("MAP_FIXED behind the last address", ["ENOMEM", "ENOMEM"], |it| {
        place(it, length.wrapping_neg(), MapFlags::MAP_FIXED)
    })?;
    table.row("MAP_FIXED_NOREPLACE where something is", ["EEXIST", "EEXIST"], |it| {
        place(it, it.pages(1)?.address(), MapFlags::MAP_FIXED_NOREPLACE)
    })?;
    table.row("more than RLIMIT_AS", ["ENOMEM", "ENOMEM"], |it| {
        let status = in_child(|| {
            let limited = setrlimit(Resource::RLIMIT_AS, 1 << 20, 1 << 20);
            match limited.and_then(|()| Vma::shared(&it.file().map_err(|_| Errno::EBADF)?, it.base, LENGTH as usize)) {
                Ok(_) => 0,
                Err(errno) => errno as i32,
            }
        })?;
        match status {
            WaitStatus::Exited(_, 0) => Ok("ok".into()),
            WaitStatus::Exited(_, number) => Ok(errno::name::<()>(Err(Errno::from_raw(number)))),
            other => bail!("the child ended with {other:?}"),
        }
    })?;
    table.finish(host)
}

fn map_fixed_replaces_what_was_there(host: &mut Host) -> Result<()> {
    let mut table = Table::new()?;
    let page = page();
    let first_onto_second = |it: &Subject| -> Result<Vma> {
        let vma = it.pages(3)?;
        let flags = SHARED | MapFlags::MAP_FIXED;
        let second = Vma::map_at(vma.address() + page, it.file()?.as_raw_fd(), it.base, page, READ_WRITE, flags)?;
        ensure!(second.address() == vma.address() + page, "MAP_FIXED gives {:#x}", second.address());
        // It is a part of `vma` from now on, which unmaps it.
        std::mem::forget(second);
        Ok(vma)
    };
    table.row("the first page over the second of three", ["1 1 3", "1 1 3"], |it| {
        let vma = first_onto_second(it)?;
        Ok(format!("{} {} {}", vma.load(0), vma.load(page), vma.load(2 * page)))
    })?;
    table.row("a store there", ["9 9 3", "9 9 3"], |it| {
        let vma = first_onto_second(it)?;
        vma.store(page, 9);
        Ok(format!("{} {} {}", vma.load(0), vma.load(page), vma.load(2 * page)))
    })?;
    table.row("over addresses without access", ["1", "1"], |it| {
        let place = Vma::reserve(page)?;
        drop(it.pages(1)?);
        let flags = SHARED | MapFlags::MAP_FIXED;
        let vma = Vma::map_at(place.address(), it.file()?.as_raw_fd(), it.base, page, READ_WRITE, flags)?;
        std::mem::forget(place);
        Ok(vma.load(0).to_string())
    })?;
    table.finish(host)
}

fn a_hint_is_taken_where_nothing_is(host: &mut Host) -> Result<()> {
    let mut table = Table::new()?;
    let page = page();
    // Whether a mapping is placed on a free page, for a hint `within` bytes into it.
    let hinted = |it: &Subject, within: usize| -> Result<String> {
        let file = it.file()?;
        let place = Vma::reserve(4 * page)?;
        let hint = place.address() + page;
        drop(place);
        let vma = Vma::map_at(hint + within, file.as_raw_fd(), it.base, page, READ_WRITE, SHARED)?;
        Ok(if vma.address() == hint { "there" } else { "elsewhere" }.into())
    };
    table.row("a page where nothing is", ["there", "there"], |it| hinted(it, 0))?;
    table.row("within such a page", ["there", "there"], |it| hinted(it, 1))?;
    table.row("in the last byte of such a page", ["there", "there"], |it| hinted(it, page - 1))?;
    table.row("where something is", ["elsewhere", "elsewhere"], |it| {
        let place = it.pages(1)?;
        let vma = Vma::map_at(place.address(), it.file()?.as_raw_fd(), it.base, page, READ_WRITE, SHARED)?;
        ensure!(place.load(0) == 1, "it replaced the mapping there");
        Ok(if vma.address() == place.address() { "there" } else { "elsewhere" }.into())
    })?;
    table.row("no hint: the address is a page's", ["ok", "ok"], |it| {
        let vma = it.pages(1)?;
        Ok(if vma.address() != 0 && vma.address() % page == 0 { "ok" } else { "within a page" }.into())
    })?;
    table.finish(host)
}

fn munmap_takes_whole_pages_away(host: &mut Host) -> Result<()> {
    let mut table = Table::new()?;
    let page = page();
    let ends = |vma: &Vma| all([0, page, 2 * page].map(|offset| load(vma, offset)));
    table.row("of the first page of three: loads", ["SIGSEGV ok ok", "SIGSEGV ok ok"], |it| {
        let vma = it.pages(3)?;
        unmap_at(vma.address(), page)?;
        ends(&vma)
    })?;
    table.row("of the page in the middle: loads", ["ok SIGSEGV ok", "ok SIGSEGV ok"], |it| {
        let vma = it.pages(3)?;
        unmap_at(vma.address() + page, page)?;
        ends(&vma)
    })?;
    table.row("of 1 byte takes its page: load of the last", ["SIGSEGV", "SIGSEGV"], |it| {
        let vma = it.pages(3)?;
        unmap_at(vma.address(), 1)?;
        load(&vma, page - 1)
    })?;
    table.row("of all: load, store", ["SIGSEGV SIGSEGV", "SIGSEGV SIGSEGV"], |it| {
        let vma = it.pages(1)?;
        unmap_at(vma.address(), page)?;
        all([outcome(|| vma.load(0)), outcome(|| vma.store(0, 0))])
    })?;
    table.row("of what is not mapped", ["ok", "ok"], |it| {
        let vma = it.pages(1)?;
        unmap_at(vma.address(), page)?;
        Ok(errno::name(unmap_at(vma.address(), page)))
    })?;
    table.row("length 0", ["EINVAL", "EINVAL"], |it| Ok(errno::name(unmap_at(it.pages(1)?.address(), 0))))?;
    table.row("an address within a page", ["EINVAL", "EINVAL"], |it| {
        let vma = it.pages(1)?;
        let answer = errno::name(unmap_at(vma.address() + 1, page));
        ensure!(vma.load(0) == 1, "it unmapped something");
        Ok(answer)
    })?;
    table.finish(host)
}

fn a_length_is_rounded_up_to_pages(host: &mut Host) -> Result<()> {
    let mut table = Table::new()?;
    let page = page();
    for (what, length, rounded) in [
        ("1 byte", 1, page),
        ("a page less 1", page - 1, page),
        ("a page", page, page),
        ("a page and 1", page + 1, 2 * page),
    ] {
        let what = format!("{what}: the last byte of its pages, the next");
        table.row(&what, ["ok SIGSEGV", "ok SIGSEGV"], |it| {
            let vma = Vma::shared_with_gap(&it.file()?, it.base, length)?;
            all([store(&vma, rounded - 1), load(&vma, rounded)])
        })?;
    }
    table.row("a page and 1: the second page is the second", ["2", "2"], |it| {
        drop(it.pages(2)?);
        Ok(Vma::shared_with_gap(&it.file()?, it.base, page + 1)?.load(page).to_string())
    })?;
    table.finish(host)
}

fn beyond_the_end_a_file_is_sigbus_and_the_device_refuses(host: &mut Host) -> Result<()> {
    let mut table = Table::new()?;
    let page = page();
    let last = LENGTH - page as u64;
    table.row("the last page and the one behind it", ["EPERM", "ok"], |it| {
        Ok(it.try_map(it.file()?.as_raw_fd(), last, 2 * page, READ_WRITE, SHARED))
    })?;
    table.row("1 byte more than there is", ["EPERM", "ok"], |it| {
        Ok(it.try_map(it.file()?.as_raw_fd(), last, page + 1, READ_WRITE, SHARED))
    })?;
    table.row("a page behind the end", ["EPERM", "ok"], |it| {
        Ok(it.try_map(it.file()?.as_raw_fd(), LENGTH, page, READ_WRITE, SHARED))
    })?;
    let map = |it: &Subject| -> Result<Vma> { Ok(Vma::shared_with_gap(&it.file()?, it.base + last, 2 * page)?) };
    table.row("loads: last page, one behind, outside", [NONE, "ok SIGBUS SIGSEGV"], |it| {
        let vma = map(it)?;
        all([load(&vma, page - 1), load(&vma, page), load(&vma, 2 * page)])
    })?;
    table.row("stores: last page, one behind", [NONE, "ok SIGBUS"], |it| {
        let vma = map(it)?;
        all([outcome(|| vma.store(page - 1, 0)), outcome(|| vma.store(page, 0))])
    })?;
    // A file that ends within a page.
    let short = |it: &Subject| -> Result<(File, Vma)> {
        let file = it.file()?;
        file.set_len(0)?;
        file.write_all_at(&vec![7; page / 2], 0)?;
        let vma = Vma::shared_with_gap(&file, 0, 2 * page)?;
        Ok((file, vma))
    };
    table.row("a file that ends within a page: last byte, rest", [NONE, "7 0 0"], |it| {
        let (_, vma) = short(it)?;
        Ok(format!("{} {} {}", vma.load(page / 2 - 1), vma.load(page / 2), vma.load(page - 1)))
    })?;
    table.row("the next page", [NONE, "SIGBUS"], |it| load(&short(it)?.1, page))?;
    table.row("a store into the rest: the mapping, the file", [NONE, "9, as before"], |it| {
        let (file, vma) = short(it)?;
        vma.store(page / 2, 9);
        let mut contents = vec![0; page];
        let count = file.read_at(&mut contents, 0)?;
        let same = count == page / 2 && contents[..count].iter().all(|byte| *byte == 7);
        Ok(format!("{}, {}", vma.load(page / 2), if same { "as before" } else { "changed" }))
    })?;
    table.finish(host)
}

fn a_file_that_changes_its_length_changes_its_mapping(host: &mut Host) -> Result<()> {
    let mut table = Table::new()?;
    let page = page();
    // A mapping of two pages of a file, which then gets another length.
    let changed = |it: &Subject, before: usize, after: usize| -> Result<(File, Vma)> {
        let file = it.file()?;
        file.set_len(0)?;
        file.write_all_at(&vec![7; before], 0)?;
        let vma = Vma::shared_with_gap(&file, 0, 2 * page)?;
        file.set_len(after as u64)?;
        Ok((file, vma))
    };
    table.row("ftruncate(2) to two pages: what was SIGBUS", [NONE, "0"], |it| {
        let (_, vma) = changed(it, page / 2, 2 * page)?;
        Ok(vma.load(page).to_string())
    })?;
    table.row("a store there, as the file has it", [NONE, "8"], |it| {
        let (file, vma) = changed(it, page / 2, 2 * page)?;
        vma.store(page, 8);
        let mut byte = [0];
        file.read_exact_at(&mut byte, page as u64)?;
        Ok(byte[0].to_string())
    })?;
    table.row("write(2) behind the end brings the page too", [NONE, "SIGBUS 5"], |it| {
        let (file, vma) = changed(it, page, page)?;
        let before = load(&vma, page)?;
        file.write_all_at(&[5], page as u64)?;
        Ok(format!("{before} {}", vma.load(page)))
    })?;
    table.row("ftruncate(2) to a page: first, second", [NONE, "ok SIGBUS"], |it| {
        let (_, vma) = changed(it, 2 * page, page)?;
        all([load(&vma, page - 1), load(&vma, page)])
    })?;
    table.row("ftruncate(2) to nothing", [NONE, "SIGBUS SIGBUS"], |it| {
        let (_, vma) = changed(it, 2 * page, 0)?;
        all([load(&vma, 0), outcome(|| vma.store(0, 1))])
    })?;
    table.row("ftruncate(2) itself", ["EINVAL", "ok"], |it| {
        Ok(errno::name(errno::result(it.file()?.set_len(LENGTH))))
    })?;
    table.finish(host)
}

fn pages_can_be_asked_for_at_once(host: &mut Host) -> Result<()> {
    let mut table = Table::new()?;
    let page = page();
    let map = |it: &Subject, offset: u64, flag: MapFlags| {
        Ok(Vma::map(&it.file()?, it.base + offset, 2 * page, READ_WRITE, SHARED | flag)?)
    };
    let loads = |vma: Result<Vma>| -> Result<String> {
        let vma = vma?;
        all([load(&vma, 0), load(&vma, 2 * page - 1)])
    };
    table.row("MAP_POPULATE: loads", ["ok ok", "ok ok"], |it| loads(map(it, 0, MapFlags::MAP_POPULATE)))?;
    table.row("MAP_LOCKED: loads", ["ok ok", "ok ok"], |it| loads(map(it, 0, MapFlags::MAP_LOCKED)))?;
    table.row("MAP_POPULATE up to a page behind the end", [NONE, "ok SIGBUS"], |it| {
        loads(map(it, LENGTH - page as u64, MapFlags::MAP_POPULATE))
    })?;
    table.row("MAP_LOCKED up to a page behind the end", [NONE, "ok SIGBUS"], |it| {
        loads(map(it, LENGTH - page as u64, MapFlags::MAP_LOCKED))
    })?;
    table.row("mlock(2)", ["ok", "ok"], |it| Ok(errno::name(lock_at(it.pages(2)?.address(), 2 * page))))?;
    table.row("mlock(2) of what is not mapped", ["ENOMEM", "ENOMEM"], |it| {
        let vma = it.pages(1)?;
        unmap_at(vma.address(), page)?;
        Ok(errno::name(lock_at(vma.address(), page)))
    })?;
    table.finish(host)
}

fn msync_succeeds(host: &mut Host) -> Result<()> {
    let mut table = Table::new()?;
    let page = page();
    let sync =
        |it: &Subject, flags: i32| -> Result<String> { Ok(errno::name(sync_at(it.pages(1)?.address(), page, flags))) };
    table.row("MS_ASYNC", ["ok", "ok"], |it| sync(it, libc::MS_ASYNC))?;
    table.row("MS_SYNC", ["ok", "ok"], |it| sync(it, libc::MS_SYNC))?;
    table.row("MS_SYNC and MS_ASYNC", ["EINVAL", "EINVAL"], |it| sync(it, libc::MS_SYNC | libc::MS_ASYNC))?;
    table.row("an address within a page", ["EINVAL", "EINVAL"], |it| {
        Ok(errno::name(sync_at(it.pages(1)?.address() + 1, page, libc::MS_ASYNC)))
    })?;
    table.row("what is not mapped", ["ENOMEM", "ENOMEM"], |it| {
        let vma = it.pages(1)?;
        unmap_at(vma.address(), page)?;
        Ok(errno::name(sync_at(vma.address(), page, libc::MS_ASYNC)))
    })?;
    table.finish(host)
}

fn mincore_tells_which_pages_are_there(host: &mut Host) -> Result<()> {
    let mut table = Table::new()?;
    let page = page();
    let resident = |vma: &Vma| -> Result<String> {
        let pages = resident_at(vma.address(), 3 * page)?;
        Ok(pages[..3].iter().map(|there| if *there { '1' } else { '0' }).collect())
    };
    // Linux 7.2 does not look into the page table of a device's memory.
    let device = if kernel::version()? < (7, 3) { "000" } else { "111" };
    // Nothing has touched the sparse file yet.
    table.row("three pages, before the first access", [device, "000"], |it| {
        resident(&Vma::shared(&it.file()?, it.base, 3 * page)?)
    })?;
    table.row("after a store into the second", [device, "010"], |it| {
        let vma = Vma::shared(&it.file()?, it.base, 3 * page)?;
        vma.store(page, 1);
        resident(&vma)
    })?;
    table.row("with MAP_POPULATE", [device, "111"], |it| {
        resident(&Vma::map(&it.file()?, it.base, 3 * page, READ_WRITE, SHARED | MapFlags::MAP_POPULATE)?)
    })?;
    table.row("an address within a page", ["EINVAL", "EINVAL"], |it| {
        Ok(errno::name(resident_at(it.pages(1)?.address() + 1, page)))
    })?;
    table.row("what is not mapped", ["ENOMEM", "ENOMEM"], |it| {
        let vma = it.pages(1)?;
        unmap_at(vma.address(), page)?;
        Ok(errno::name(resident_at(vma.address(), page)))
    })?;
    table.finish(host)
}

fn mprotect_goes_down_and_up_as_far_as_the_descriptor_does(host: &mut Host) -> Result<()> {
    let mut table = Table::new()?;
    let page = page();
    table.row("down to PROT_READ: load, store", ["ok SIGSEGV", "ok SIGSEGV"], |it| {
        let vma = it.pages(1)?;
        vma.protect(READ)?;
        all([load(&vma, 0), store(&vma, 0)])
    })?;
    table.row("down to PROT_NONE: load, store", ["SIGSEGV SIGSEGV", "SIGSEGV SIGSEGV"], |it| {
        let vma = it.pages(1)?;
        vma.protect(ProtFlags::PROT_NONE)?;
        all([load(&vma, 0), outcome(|| vma.store(0, 0))])
    })?;
    table.row("and up again: load, store", ["ok ok", "ok ok"], |it| {
        let vma = it.pages(1)?;
        vma.protect(ProtFlags::PROT_NONE)?;
        vma.protect(READ_WRITE)?;
        all([load(&vma, 0), store(&vma, 0)])
    })?;
    table.row("of the second page of three: stores", ["ok SIGSEGV ok", "ok SIGSEGV ok"], |it| {
        let vma = it.pages(3)?;
        protect_at(vma.address() + page, page, READ)?;
        all([store(&vma, 0), store(&vma, page), store(&vma, 2 * page)])
    })?;
    table.row("up to PROT_WRITE, descriptor for reading", ["EACCES", "EACCES"], |it| {
        let file = it.open(File::options().read(true))?;
        Ok(errno::name(Vma::map(&file, it.base, page, READ, SHARED)?.protect(READ_WRITE)))
    })?;
    table.row("up to PROT_EXEC", ["EACCES", "ok"], |it| {
        Ok(errno::name(it.pages(1)?.protect(READ | ProtFlags::PROT_EXEC)))
    })?;
    table.row("an address within a page", ["EINVAL", "EINVAL"], |it| {
        Ok(errno::name(protect_at(it.pages(1)?.address() + 1, page, READ)))
    })?;
    table.row("what is not mapped", ["ENOMEM", "ENOMEM"], |it| {
        let vma = it.pages(1)?;
        unmap_at(vma.address(), page)?;
        Ok(errno::name(protect_at(vma.address(), page, READ)))
    })?;
    table.finish(host)
}

fn the_kernel_copies_for_files_alone(host: &mut Host) -> Result<()> {
    let mut table = Table::new()?;
    let page = page();
    let copy = |vma: &Vma, offset: usize| {
        let mut byte = [0];
        let there = RemoteIoVec { base: vma.address() + offset, len: 1 };
        process_vm_readv(Pid::this(), &mut [io::IoSliceMut::new(&mut byte)], &[there]).map(|_| byte[0])
    };
    let show =
        |copied: Result<u8, Errno>| copied.map_or_else(|error| errno::name::<()>(Err(error)), |byte| byte.to_string());
    table.row("process_vm_readv(2) of a mapping", ["EFAULT", "1"], |it| Ok(show(copy(&it.pages(1)?, 0))))?;
    table.row("of a page behind the end", [NONE, "EFAULT"], |it| {
        let vma = Vma::shared_with_gap(&it.file()?, LENGTH, page)?;
        Ok(show(copy(&vma, 0)))
    })?;
    table.row("of a page that ftruncate(2) took away", [NONE, "EFAULT"], |it| {
        let vma = it.pages(1)?;
        it.file()?.set_len(0)?;
        Ok(show(copy(&vma, 0)))
    })?;
    table.row("the library's no-fault load and store of such", [NONE, "refused refused"], |it| {
        it.file()?.set_len(LENGTH)?;
        let mapping = FileMapping::open(&it.path, PhysRange::new(0, LENGTH).context("no range")?)?;
        mapping.no_fault().write_from(0, &[1])?;
        it.file()?.set_len(0)?;
        let answers = [mapping.no_fault().read_into(0, &mut [0]), mapping.no_fault().write_from(0, &[1])];
        all(answers.map(|answer| match answer {
            Ok(()) => Ok("ok".into()),
            Err(Error::BeyondEnd { .. }) => Ok("refused".into()),
            Err(error) => Err(error.into()),
        }))
    })?;
    table.finish(host)
}

fn a_file_that_cannot_be_mapped_is_an_error(_: &mut Host) -> Result<()> {
    let scratch = Scratch::new()?;
    let (path, fifo) = (scratch.file("file", &[])?, scratch.path("fifo"));
    mkfifo(fifo.as_str(), Mode::S_IRUSR)?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    let range = PhysRange::new(0, 4).context("no range")?;
    for other in [&fifo, "/tmp", "/dev/zero"] {
        let refused = FileMapping::open(other, range);
        ensure!(matches!(refused, Err(Error::NotAFile { .. })), "{other}: {refused:?}");
    }
    let empty = FileMapping::open(&path, range)?.read::<u8>(0);
    ensure!(matches!(empty, Err(Error::BeyondEnd { file_length: 0, .. })), "{empty:?}");
    // Only its owner may read it.
    succeeds_as_user(1000, || {
        i32::from(!matches!(FileMapping::open_read_only(&path, range), Err(Error::Open { .. })))
    })?;
    // The command line reports the same, and no signal ends it.
    devmap(&format!("read 0 --device {path}"))?.failed(3, &["the file ends after 0x0 bytes"])?;
    devmap(&format!("read 0 --device {fifo}"))?.failed(3, &["it is a pipe or socket"])?;
    devmap("read 0 --device /tmp")?.failed(3, &["it is a directory"])?;
    devmap_as_user(&format!("read 0 --device {path}"))?.failed(3, &["(EACCES); its permissions forbid it"])
}

const EXPERIMENTS: [&str; 5] = ["partial", "beyond-eof", "grow", "rounding", "device"];

/// The rules in words, with the output of the lab.
const DOCUMENTATION: &str = include_str!("../../../../docs/mmap.md");

/// A window of all the memory, which the lab takes without an address.
const MEMORY: &str = "windows=sdram@0xc0000000+3M:memory";

/// Fails unless the lab agreed, and did these experiments.
fn agreed(ran: &Ran, experiments: &[&str]) -> Result<()> {
    ensure!(ran.status == Some(0) && ran.err.is_empty() && !ran.out.contains("DIFFERS"), "{ran:?}");
    let titles =
        ran.out.lines().filter_map(|line| line.split_once(": ")).filter(|(_, rest)| rest.contains("; pages of "));
    let done: Vec<_> = titles.map(|(name, _)| name).collect();
    ensure!(done == experiments, "{done:?}, not {experiments:?}: {ran:?}");
    Ok(())
}

fn the_lab_agrees_with_this_machine(host: &mut Host) -> Result<()> {
    // The lab shows bytes of the pattern.
    host.fill(120)?;
    let _loaded = Loaded::with(&[MEMORY])?;
    let ran = devmap("lab all")?;
    host.note(ran.out.clone())?;
    agreed(&ran, &EXPERIMENTS)?;
    let rows = devmap("lab all --json")?;
    ensure!(rows.status == Some(0) && rows.out.lines().all(|line| line.ends_with(r#""agrees":true}"#)), "{rows:?}");
    // With pages of 4 KiB the documentation has the same output.
    if page() == 4096 {
        for experiment in EXPERIMENTS {
            let shown = format!("$ devmap lab {experiment}\n{}```\n", devmap(&format!("lab {experiment}"))?.out);
            ensure!(DOCUMENTATION.contains(&shown), "docs/mmap.md does not have: {shown}");
        }
    }
    Ok(())
}

fn the_lab_leaves_no_core_and_changes_no_memory(host: &mut Host) -> Result<()> {
    let seed = 121;
    host.fill(seed)?;
    let _loaded = Loaded::with(&[MEMORY])?;
    let scratch = Scratch::new()?;
    let directory = scratch.path("");
    // The kernel would write a file `core` into the working directory of a process that crashes.
    agreed(
        &shell(&format!("cd {directory} && ulimit -c unlimited && TMPDIR={directory} exec devmap lab all"))?,
        &EXPERIMENTS,
    )?;
    ensure!(scratch.names()?.is_empty(), "it left {:?}", scratch.names()?);
    host.changed(seed, &[], |_| 0)
}

fn the_lab_needs_memory_that_it_may_read(_: &mut Host) -> Result<()> {
    let page = page();
    {
        let _loaded = Loaded::new()?;
        devmap("lab device")?.failed(2, &["the driver has no windows: give the address of memory that may be read"])?;
        devmap("lab device 0xc0000001")?.failed(2, &["0xc0000001 lies within a page: start at 0xc0000000"])?;
        agreed(&devmap("lab device 0xc0000000")?, &["device"])?;
    }
    // The last page alone; the next one is refused.
    let last = START + LENGTH - page as u64;
    let ran = {
        let _loaded = Loaded::with(&[&format!("windows=last@{last:#x}+{page}:ro:memory")])?;
        devmap("lab device 0xc0000000")?
            .failed(3, &["the range is outside of every window", "the nearest is last@"])?;
        devmap("lab device")?
    };
    agreed(&ran, &["device"])?;
    ensure!(ran.out.contains(&format!("device: /dev/map at {last:#x}, ")), "{ran:?}");
    devmap("lab device")?.failed(3, &["cannot open /dev/map: No such file or directory (ENOENT)"])?;
    let all = devmap("lab all")?;
    ensure!(all.status == Some(0) && all.out.contains("rounding: ") && all.err.contains("(ENOENT)"), "{all:?}");
    Ok(())
}

fn explain_answers_for_this_machine(_: &mut Host) -> Result<()> {
    let page = page();
    let ran = devmap(&format!("explain {:#x} 8", START + page as u64 - 2))?;
    ensure!(ran.status == Some(0) && ran.err.is_empty(), "{ran:?}");
    for line in [
        format!("in page    {:#x} = {:#x} & {:#x}: ", page - 2, START + page as u64 - 2, page - 1),
        format!("mapped     0xc0000000-{:#x}, 2 pages, {} bytes", START + 2 * page as u64 - 1, 2 * page),
        "|.......................#|#.......................|".into(),
    ] {
        ensure!(ran.out.lines().any(|found| found.starts_with(&line)), "it does not say {line:?}: {ran:?}");
    }
    let ran = devmap("explain 0xc0000000 4 --page-size 5000")?;
    ensure!(ran.status == Some(2) && ran.out.is_empty() && ran.err.contains("`5000` is not a power of two"), "{ran:?}");
    Ok(())
}
