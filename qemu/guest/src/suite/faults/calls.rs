// SPDX-License-Identifier: MIT OR Apache-2.0

//! Loads of the modules, calls on nodes and on mappings, and windows in configfs.

use std::{
    ffi::CString,
    fs::{self, File},
    os::{fd::AsRawFd, unix::fs::FileExt},
};

use anyhow::{ensure, Context, Result};
use map_core::abi::{self, MapCheck, MapInfo, MapIrq, MapWindow};
use map_protocol::{CONFIGFS, MAP_CONFIG, MODULE};
use nix::{errno::Errno, libc, sys::wait::waitpid, unistd::Pid};

use super::{nothing, open, path, read, write, Injector, COPIES};
use crate::{
    host::{Host, PAGE, START},
    kernel::{self, Loaded},
    raw::{self, call, system},
    runtime::{Config, Directory, WINDOWS},
    user::{self, open_window as node},
    Test,
};

crate::tests! {
    calls_on_nodes_fail_at_every_point,
    calls_on_mappings_fail_at_every_point,
    windows_in_configfs_fail_at_every_point,
}

/// For a guest of its own: lockdep has room for what it sees of a module, and gives none back.
pub const LOADS: &[Test] = &[Test { name: "loading_fails_at_every_point", run: loading_fails_at_every_point }];

/// An allocation fails.
const MEMORY: &[Errno] = &[Errno::ENOMEM];
/// A kernel mapping of memory fails in the same way for want of memory and for another cache type.
const MAPPED: &[Errno] = &[Errno::ENOMEM, Errno::EFAULT, Errno::EAGAIN];
/// A signature that cannot be checked is not valid, and the driver core says EINVAL if it cannot link a driver to its
/// module.
const LOADING: &[Errno] = &[Errno::ENOMEM, Errno::EFAULT, Errno::EKEYREJECTED, Errno::EINVAL];

/// An address that is far from everything else.
const ALONE: usize = 0x3000_0000_0000;

/// A mapping by raw system calls.
struct Mapped {
    address: usize,
    length: usize,
}

impl Mapped {
    fn new(file: &File, offset: u64, length: u64) -> Result<Self, Errno> {
        Self::at(0, file, offset, length)
    }

    /// Maps the beginning of `file` where there is no page table yet.
    fn alone(file: &File, length: u64) -> Result<Self, Errno> {
        Self::at(ALONE, file, 0, length)
    }

    fn at(place: usize, file: &File, offset: u64, length: u64) -> Result<Self, Errno> {
        let protection = (libc::PROT_READ | libc::PROT_WRITE) as usize;
        let (length, file) = (length as usize, file.as_raw_fd() as usize);
        let arguments = [place, length, protection, libc::MAP_SHARED as usize, file, offset as usize];
        let address = system(libc::SYS_mmap, arguments)?;
        Ok(Self { address, length })
    }

    /// A system call on its second page.
    fn on_second(&self, number: libc::c_long, third: i32) -> Result<usize, Errno> {
        system(number, [self.address + PAGE as usize, PAGE as usize, third as usize, 0, 0, 0])
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        let _ = system(libc::SYS_munmap, [self.address, self.length, 0, 0, 0, 0]);
    }
}

/// A loaded module; unloaded when dropped.
struct Module(&'static str);

impl Drop for Module {
    fn drop(&mut self) {
        // What stays loaded, the next attempt finds.
        let _ = kernel::unload(self.0);
    }
}

/// A child that ends at once; waited for when dropped.
struct Forked(Pid);

impl Drop for Forked {
    fn drop(&mut self) {
        let _ = waitpid(self.0, None);
    }
}

fn fork() -> Result<Forked, Errno> {
    match system(libc::SYS_clone, [libc::SIGCHLD as usize, 0, 0, 0, 0, 0])? {
        0 => {
            call(libc::SYS_exit_group, [0; 6]);
            Err(Errno::ECHILD)
        }
        pid => Ok(Forked(Pid::from_raw(pid as i32))),
    }
}

/// Fails unless the driver counts no VMA.
fn nothing_is_mapped() -> Result<()> {
    let mappings = fs::read_to_string("/sys/kernel/debug/map/mappings")?;
    ensure!(mappings.trim() == "0", "{} VMAs are left", mappings.trim());
    Ok(())
}

/// The same, and fails if anything uses the driver.
fn nothing_is_used() -> Result<()> {
    nothing_is_mapped()?;
    let users = kernel::users()?;
    ensure!(users == Some(0), "the module has {users:?} users");
    Ok(())
}

fn loading_fails_at_every_point(host: &mut Host) -> Result<()> {
    // A load takes long.
    let mut injector = Injector { every: 25, ..Injector::new()? };
    let before = kernel::traces()?;
    let load = |file: &File, parameters: &CString, name| {
        let arguments = [file.as_raw_fd() as usize, parameters.as_ptr() as usize, 0, 0, 0, 0];
        system(libc::SYS_finit_module, arguments).map(|_| Module(name))
    };
    let (module, parameters) = (File::open(MODULE)?, path("windows=a@0xc0000000+1M:wc")?);
    injector.each(("finit_module of map", LOADING, 200), nothing, |()| load(&module, &parameters, "map"))?;
    kernel::unchanged(&before, &kernel::traces()?)?;
    {
        let _loaded = Loaded::new()?;
        kernel::load(CONFIGFS, &[])?.context("configfs")?;
        let configfs = Module("configfs");
        let (module, none) = (File::open(MAP_CONFIG)?, path("")?);
        injector.each(("finit_module of map_config", LOADING, 50), nothing, |()| load(&module, &none, "map_config"))?;
        drop(configfs);
    }
    kernel::unchanged(&before, &kernel::traces()?)?;
    injector.finish(host)
}

fn calls_on_nodes_fail_at_every_point(host: &mut Host) -> Result<()> {
    let mut injector = Injector::new()?;
    let loaded = Loaded::with(&["windows=a@0xc0000000+1M:memory,b@0xc0100000+1M:wc:memory"])?;
    for (what, name) in [("open of all memory", "/dev/map"), ("open of a window", "/dev/map1")] {
        let name = path(name)?;
        injector.each((what, COPIES, 4), nothing, |()| open(&name, libc::O_RDWR))?;
    }
    // Each file is new, so the kernel maps the window, too.
    let mut bytes = [0; 6000];
    let (buffer, length) = (bytes.as_mut_ptr() as usize, bytes.len());
    for (what, number) in [("pread of a window", libc::SYS_pread64), ("pwrite to a window", libc::SYS_pwrite64)] {
        let transfer = |file: &File| match system(number, [file.as_raw_fd() as usize, buffer, length, 100, 0, 0]) {
            Ok(0) => Err(Errno::ENODATA),
            result => result,
        };
        injector.each((what, MAPPED, 4), || node(1), transfer)?;
    }
    let (all, window) = (user::open()?, node(2)?);
    let ask = |file: &File, command: u32, address: usize| {
        system(libc::SYS_ioctl, [file.as_raw_fd() as usize, command as usize, address, 0, 0, 0])
    };
    for (of, file, offset) in [("all memory", &all, START), ("a window", &window, 0)] {
        let name = |call: &str| format!("{call} on the node of {of}");
        // What succeeds has its answer.
        let answered = |arrived: bool| if arrived { Ok(()) } else { Err(Errno::ENOMSG) };
        injector.each((&name("MAP_IOC_INFO"), COPIES, 1), nothing, |()| {
            let mut info = MapInfo::default();
            ask(file, abi::IOC_INFO, std::ptr::from_mut(&mut info) as usize)?;
            answered(info.abi_version == abi::VERSION)
        })?;
        injector.each((&name("MAP_IOC_WINDOW"), COPIES, 2), nothing, |()| {
            let mut described = MapWindow::default();
            ask(file, abi::IOC_WINDOW, std::ptr::from_mut(&mut described) as usize)?;
            answered(described.length == 1 << 20)
        })?;
        injector.each((&name("MAP_IOC_CHECK"), COPIES, 2), nothing, |()| {
            let mut check = MapCheck { start: offset, length: PAGE, prot: 3, flags: 1, ..Default::default() };
            ask(file, abi::IOC_CHECK, std::ptr::from_mut(&mut check) as usize)?;
            answered(check.near_length == 1 << 20)
        })?;
    }
    // No window here has an interrupt, so what succeeds is that this is said.
    injector.each(("MAP_IOC_IRQ on the node of a window", COPIES, 1), nothing, |()| {
        let mut interrupt = MapIrq::default();
        match ask(&window, abi::IOC_IRQ, std::ptr::from_mut(&mut interrupt) as usize) {
            Err(Errno::EINVAL) => Ok(()),
            Err(errno) => Err(errno),
            Ok(_) => Err(Errno::ENOMSG),
        }
    })?;
    for (what, name) in [
        ("read of fdinfo", format!("/proc/self/fdinfo/{}", window.as_raw_fd())),
        ("read of an attribute", "/sys/class/map/map1/mappings".into()),
        ("read of the windows in debugfs", "/sys/kernel/debug/map/windows".into()),
    ] {
        let name = path(&name)?;
        injector.each((what, COPIES, 3), nothing, |()| read(&name))?;
    }
    drop((all, window));
    nothing_is_used()?;
    drop(loaded);
    injector.finish(host)
}

fn calls_on_mappings_fail_at_every_point(host: &mut Host) -> Result<()> {
    let mut injector = Injector::new()?;
    let loaded = Loaded::with(&["windows=large@0xc0000000+2560K:memory,small@0xc0280000+512K:wc:memory"])?;
    let (all, large) = (user::open()?, node(1)?);
    let (four, huge) = (4 * PAGE, 2 << 20);
    injector.each(("mmap of a page", MAPPED, 5), nothing, |()| Mapped::new(&all, START, PAGE))?;
    injector.each(("mmap of 512K", MAPPED, 5), || node(2), |small| Mapped::new(small, 0, 512 << 10))?;
    // The node keeps what it has reserved, so each time it is another one.
    let load = || Loaded::with(&["windows=large@0xc0000000+2560K"]);
    drop((all, large, loaded));
    let fresh = || {
        let loaded = load()?;
        Ok((node(1)?, loaded))
    };
    injector.each(("mmap with huge pages", MAPPED, 5), fresh, |(large, _)| Mapped::new(large, 0, huge))?;
    let loaded = load()?;
    let large = node(1)?;
    // The kernel tries a page fault again, so the program does not notice.
    let touch = |mapped: &Mapped| {
        raw::load(mapped.address, 1);
        Ok(())
    };
    injector.each(("fault of a huge page", &[], 1), || Ok(Mapped::alone(&large, huge)?), touch)?;
    let ragged = || Ok(Mapped::alone(&large, huge + 4 * PAGE)?);
    injector.each(("fault of small pages", &[], 1), ragged, |mapped| {
        raw::load(mapped.address + huge as usize, 1);
        Ok(())
    })?;
    let mapped = || Ok(Mapped::new(&large, 0, four)?);
    let read_only = libc::PROT_READ;
    injector.each(("mprotect of a part", MEMORY, 1), mapped, |it| it.on_second(libc::SYS_mprotect, read_only))?;
    injector.each(("munmap of a part", MEMORY, 1), mapped, |it| it.on_second(libc::SYS_munmap, 0))?;
    injector.each(("madvise of a part", &[Errno::EAGAIN, Errno::ENOMEM], 1), mapped, |it| {
        it.on_second(libc::SYS_madvise, libc::MADV_RANDOM)
    })?;
    injector.each(("mremap of a part", MEMORY, 1), mapped, |it| {
        let page = PAGE as usize;
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        system(libc::SYS_mremap, [it.address, page, page, flags as usize, it.address + 2 * page, 0])
    })?;
    injector.each(("fork with a mapping", &[Errno::ENOMEM, Errno::EAGAIN], 20), mapped, |_| fork())?;
    injector.each(("msync", COPIES, 0), mapped, |it| it.on_second(libc::SYS_msync, libc::MS_SYNC))?;
    let memory = File::options().read(true).write(true).open("/proc/self/mem")?;
    let mut bytes = [0; 64];
    let (memory, buffer) = (memory.as_raw_fd() as usize, bytes.as_mut_ptr() as usize);
    for (what, number) in
        [("read of /proc/self/mem", libc::SYS_pread64), ("write to /proc/self/mem", libc::SYS_pwrite64)]
    {
        // Without a kernel mapping of it there is nothing that a debugger could see.
        let errors = [Errno::ENOMEM, Errno::EFAULT, Errno::EIO];
        injector.each((what, &errors, 3), mapped, |it| system(number, [memory, buffer, 64, it.address + 10, 0, 0]))?;
    }
    drop(large);
    nothing_is_used()?;
    drop(loaded);
    injector.finish(host)
}

fn windows_in_configfs_fail_at_every_point(host: &mut Host) -> Result<()> {
    let mut injector = Injector::new()?;
    let config = Config::new()?;
    let directory = path(&format!("{WINDOWS}/window"))?;
    let file = |name: &str| path(&format!("{WINDOWS}/window/{name}"));
    struct Made<'a>(&'a CString);
    impl Drop for Made<'_> {
        fn drop(&mut self) {
            let _ = system(libc::SYS_rmdir, [self.0.as_ptr() as usize, 0, 0, 0, 0, 0]);
        }
    }
    let make = |()| system(libc::SYS_mkdir, [directory.as_ptr() as usize, 0o755, 0, 0, 0, 0]).map(|_| Made(&directory));
    injector.each(("mkdir in configfs", COPIES, 10), nothing, |()| make(()))?;
    let made = || Ok(Directory::make("window")?);
    for (what, name, text) in
        [("write to start in configfs", "start", "0xc0000000\n"), ("write to cache in configfs", "cache", "wc\n")]
    {
        let name = file(name)?;
        injector.each((what, COPIES, 3), made, |_| write(&name, text))?;
    }
    let reason = file("reason")?;
    injector.each(("read of reason in configfs", COPIES, 3), made, |_| read(&reason))?;
    let enable = file("enable")?;
    let values = [("start", "0xc0000000"), ("size", "64K"), ("cache", "wc"), ("memory", "1")];
    let complete = || Directory::with("window", &values);
    injector.each(("enabling a window", COPIES, 20), complete, |_| write(&enable, "1\n"))?;
    // A window that is open, mapped and read goes.
    let used = || {
        let directory = Directory::with("window", &values)?;
        let file = node(directory.enable()?)?;
        file.read_exact_at(&mut [0; 16], 0)?;
        let mapped = Mapped::new(&file, 0, 16 * PAGE)?;
        raw::load(mapped.address, 1);
        Ok((mapped, file, directory))
    };
    injector.each(("disabling a window that is used", COPIES, 1), used, |_| write(&enable, "0\n"))?;
    injector.each(("rmdir of a window that is used", COPIES, 1), used, |_| {
        system(libc::SYS_rmdir, [directory.as_ptr() as usize, 0, 0, 0, 0, 0])
    })?;
    nothing_is_mapped()?;
    let left = kernel::listing(WINDOWS)?;
    ensure!(left == format!("{WINDOWS}: \n"), "{left}");
    let windows = fs::read_to_string("/sys/kernel/debug/map/windows")?;
    ensure!(windows.is_empty(), "{windows}");
    drop(config);
    injector.finish(host)
}
