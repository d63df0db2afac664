// SPDX-License-Identifier: MIT OR Apache-2.0

//! The kernel from a user's view: loading, unloading, the log, /proc and /sys.

use std::{
    ffi::CString,
    fs::{self, File},
    io::{ErrorKind, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    process::{Command, Output, Stdio},
    sync::{Mutex, PoisonError},
};

use anyhow::{bail, ensure, Context, Result};
use map_protocol::MODULE;
use nix::{
    errno::Errno,
    kmod::{delete_module, finit_module, DeleteModuleFlags, ModuleInitFlags},
};

use crate::{kcsan, kmemleak};

/// Whether the kernel is a distribution's, which was not configured for these tests.
pub fn is_stock() -> bool {
    Path::new("/sys/kernel/btf/vmlinux").exists()
}

/// Whether the kernel checks itself.
pub fn is_debug() -> bool {
    kmemleak::is_available() || kcsan::is_available()
}

/// Whether loading a module takes long: the kernel checks its memory, or has all that a distribution's has.
pub fn is_slow() -> bool {
    is_stock() || kmemleak::is_available()
}

/// The first two numbers of the kernel's version.
pub fn version() -> Result<(u32, u32)> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut numbers = release.trim().split(|letter: char| !letter.is_ascii_digit()).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
        _ => bail!("no version: {release:?}"),
    }
}

/// The name of the driver's module.
const DRIVER: &str = "map";

/// A loaded module, the driver or another; unloaded when dropped.
pub struct Loaded(&'static str);

impl Loaded {
    /// Loads the driver with these parameters.
    pub fn with(parameters: &[&str]) -> Result<Self> {
        insmod(parameters)??;
        Ok(Self(DRIVER))
    }

    /// Loads the driver without parameters.
    pub fn new() -> Result<Self> {
        Self::with(&[])
    }

    /// Loads the module called `name` from `file`, with these parameters.
    pub fn module(name: &'static str, file: &str, parameters: &[&str]) -> Result<Self> {
        load(file, parameters)?.with_context(|| format!("cannot load {file}"))?;
        Ok(Self(name))
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        // A test that fails may leave the driver in use; `clean_up` reports that.
        let _ = unload(self.0);
    }
}

/// Loads the driver. The inner error is the kernel's.
pub fn insmod(parameters: &[&str]) -> Result<Result<(), Errno>> {
    load(MODULE, parameters)
}

/// Unloads the driver. The inner error is the kernel's.
pub fn rmmod() -> Result<Result<(), Errno>> {
    unload(DRIVER)
}

/// Loads the module in `file`, as insmod does, without the time that starting a program takes. The inner error is the
/// kernel's.
pub fn load(file: &str, parameters: &[&str]) -> Result<Result<(), Errno>> {
    let module = File::open(file).with_context(|| format!("cannot open {file}"))?;
    let parameters = CString::new(parameters.join(" "))?;
    Ok(finit_module(&module, &parameters, ModuleInitFlags::empty()))
}

/// Unloads the module called `name`, as rmmod does. The inner error is the kernel's.
pub fn unload(name: &str) -> Result<Result<(), Errno>> {
    Ok(delete_module(&CString::new(name)?, DeleteModuleFlags::O_NONBLOCK))
}

/// Runs a program, and gives its output. Fails if the program does.
pub fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let output = output(Command::new(program).args(arguments))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {arguments:?} failed ({}): {errors}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

fn output(command: &mut Command) -> Result<Output> {
    // Standard input is the connection to the host.
    command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {command:?}"))
}

/// The number of users that /proc/modules gives for the driver, if it is loaded.
pub fn users() -> Result<Option<u32>> {
    let modules = fs::read_to_string("/proc/modules")?;
    let Some(line) = modules.lines().find(|line| line.starts_with("map ")) else {
        return Ok(None);
    };
    Ok(Some(line.split_whitespace().nth(2).context("no count")?.parse()?))
}

/// The major number that /proc/devices gives for the driver.
pub fn major() -> Result<Option<u32>> {
    let devices = fs::read_to_string("/proc/devices")?;
    let characters = devices.split("Block devices:").next().unwrap_or_default();
    for line in characters.lines() {
        if let Some((number, "map")) = line.trim().split_once(' ') {
            return Ok(Some(number.parse()?));
        }
    }
    Ok(None)
}

/// The kernel's log since the last line that begins with `marker`.
pub fn log_since(marker: &str) -> Result<String> {
    let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    let log = match &mut *log {
        Some(log) => log,
        none => none.insert(Log::open()?),
    };
    log.read()?;
    // The kernel's own lines may contain the name of this process, which markers begin with.
    let begins_a_line = |start: usize| start == 0 || log.text.as_bytes()[start - 1] == b'\n';
    let start = log.text.rmatch_indices(marker).map(|(start, _)| start).find(|start| begins_a_line(*start));
    let start = start.with_context(|| format!("the log has no line {marker:?}"))?;
    Ok(log.text[start..].to_owned())
}

/// The log as far as this process has read it.
static LOG: Mutex<Option<Log>> = Mutex::new(None);

struct Log {
    file: File,
    text: String,
}

impl Log {
    fn open() -> Result<Self> {
        let file = File::options().read(true).custom_flags(nix::libc::O_NONBLOCK).open("/dev/kmsg")?;
        Ok(Self { file, text: String::new() })
    }

    /// Adds what the kernel has logged since the last call.
    fn read(&mut self) -> Result<()> {
        let mut record = [0; 8192];
        loop {
            match self.file.read(&mut record) {
                Ok(length) => self.add(&String::from_utf8_lossy(&record[..length])),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // The kernel has overwritten records; the next read gives the oldest that is left.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => (),
                Err(error) => return Err(error).context("cannot read /dev/kmsg"),
            }
        }
    }

    /// Adds the text of a record, as in `6,339,5140900,-;text`. Lines of properties follow it.
    fn add(&mut self, record: &str) {
        let text = record.split_once(';').map_or(record, |(_, text)| text);
        self.text += text.lines().next().unwrap_or_default();
        self.text.push('\n');
    }
}

/// Fails unless the kernel has logged these words since the test began.
pub fn logged(words: impl AsRef<str>) -> Result<()> {
    let (words, log) = (words.as_ref(), log_since("map-suite:")?);
    ensure!(log.contains(words), "the log does not say {words:?}:\n{log}");
    Ok(())
}

/// The load must fail with `errno`, log these words, and leave nothing behind.
pub fn load_fails(parameter: &str, errno: Errno, words: &[&str]) -> Result<()> {
    let before = traces()?;
    let result = insmod(&[parameter])?;
    ensure!(result == Err(errno), "insmod map.ko {parameter}: {result:?}, not {errno:?}");
    words.iter().try_for_each(logged)?;
    unchanged(&before, &traces()?)
}

/// Fails unless the two texts are the same.
pub fn unchanged(before: &str, after: &str) -> Result<()> {
    ensure!(before == after, "before:\n{before}\nafter:\n{after}");
    Ok(())
}

/// A line of /proc/iomem.
pub struct Region {
    /// Its first address.
    pub first: u64,
    /// Its last address.
    pub last: u64,
    /// Its name.
    pub name: String,
}

/// The regions that /proc/iomem lists.
pub fn iomem() -> Result<Vec<Region>> {
    let text = fs::read_to_string("/proc/iomem")?;
    text.lines().map(|line| region(line).with_context(|| format!("no region: {line:?}"))).collect()
}

fn region(line: &str) -> Option<Region> {
    let (range, name) = line.split_once(" : ")?;
    let (first, last) = range.trim_start().split_once('-')?;
    let number = |digits| u64::from_str_radix(digits, 16).ok();
    Some(Region { first: number(first)?, last: number(last)?, name: name.into() })
}

/// All traces that the driver could leave: devices, resources, classes, nodes.
pub fn traces() -> Result<String> {
    let mut traces = String::new();
    for file in ["/proc/devices", "/proc/iomem", "/proc/modules", "/proc/misc"] {
        traces += &fs::read_to_string(file).unwrap_or_default();
    }
    for directory in ["/sys/class", "/sys/module", "/sys/dev/char", "/sys/devices/virtual", "/sys/kernel/debug", "/dev"]
    {
        traces += &listing(directory)?;
    }
    Ok(traces)
}

/// A line with the sorted names in a directory.
pub fn listing(directory: &str) -> Result<String> {
    let mut names = fs::read_dir(directory)?
        .map(|entry| Ok(entry?.file_name().into_string().unwrap_or_default()))
        .collect::<Result<Vec<_>>>()?;
    names.sort();
    Ok(format!("{directory}: {}\n", names.join(" ")))
}

/// Unloads modules that a test has left loaded, which is a failure of the test.
pub fn clean_up() -> Result<()> {
    let mut left = Vec::new();
    let modules = [
        ("raise", "the module that raises"),
        ("overlay", "an overlay"),
        ("map_config", "a directory"),
        ("configfs", "configfs"),
        ("map", "the driver"),
    ];
    for (name, what) in modules {
        if Path::new("/sys/module").join(name).exists() {
            unload(name)?.with_context(|| format!("the test left {what} in use, and it cannot be unloaded"))?;
            left.push(what);
        }
    }
    ensure!(left.is_empty(), "the test left {} loaded", left.join(" and "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_read_with_its_name() {
        let found = region("  c0000000-c02fffff : map: sdram").unwrap();
        assert_eq!((found.first, found.last, found.name.as_str()), (0xc000_0000, 0xc02f_ffff, "map: sdram"));
        assert!(region("nothing").is_none());
    }
}
