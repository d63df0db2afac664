// SPDX-License-Identifier: MIT OR Apache-2.0

//! Where programs may store, and what is left of them when they have ended.

use std::{
    fs,
    os::{fd::AsRawFd, unix::fs::FileExt},
    path::Path,
};

use anyhow::{ensure, Context, Result};
use map_protocol::pattern;
use nix::{
    errno::Errno,
    sys::{
        prctl,
        signal::{killpg, Signal},
        wait::{waitid, waitpid, Id, WaitPidFlag, WaitStatus},
    },
    unistd::Pid,
};

use crate::{
    host::{Host, LENGTH, START},
    kernel,
    runtime::WINDOWS,
    user,
};

/// The windows: both are memory, so that all calls work on them.
pub const PARAMETER: &str = "windows=kept@0xc0000000+1M:wc:memory,other@0xc0100000+512K:memory";
/// The number of these windows.
pub const FIXED: u32 = 2;

/// How many programs there are at a time.
pub const PLACES: usize = 4;

/// The offset in the free memory, and the length, of the part of the window `kept` in which the program at a place
/// stores.
pub const fn own(place: usize) -> (u64, u64) {
    (place as u64 * (256 << 10), 64 << 10)
}

/// The same for the window that it adds.
pub const fn added(place: usize) -> (u64, u64) {
    ((2 << 20) + place as u64 * (128 << 10), 4 << 10)
}

/// What the program at a place stores.
pub const fn value(place: usize) -> u8 {
    0xa0 + place as u8
}

/// Fails unless every byte in which nobody stores is that of the pattern, as the host sees it; and every other byte
/// that, or what its program stores.
pub fn memory_is_whole(host: &mut Host, seed: u64) -> Result<()> {
    let mut parts: Vec<_> = (0..PLACES).flat_map(|place| [(own(place), place), (added(place), place)]).collect();
    parts.sort_unstable();
    let mut from = 0;
    for ((offset, length), _) in &parts {
        host.changed_range(seed, (START + from, offset - from), &[], |_| 0).context("where nobody stores")?;
        from = offset + length;
    }
    host.changed_range(seed, (START + from, LENGTH - from), &[], |_| 0).context("where nobody stores")?;
    let kept = user::open_window(1)?;
    let mut bytes = vec![0; own(0).1 as usize];
    for place in 0..PLACES {
        let (offset, _) = own(place);
        kept.read_exact_at(&mut bytes, offset)?;
        let (mut address, mut stored) = (START + offset, 0);
        for byte in &bytes {
            let is_old = *byte == pattern::byte(seed, address);
            ensure!(is_old || *byte == value(place), "{byte:#x} at {address:#x}, of the program {place}");
            stored += u64::from(!is_old);
            address += 1;
        }
        ensure!(stored > 0, "the program {place} has stored nothing");
    }
    Ok(())
}

/// Fails unless there is nothing that a program has opened, mapped, counted or claimed. Removes the directories that
/// programs have left in configfs, of which each must be whole, and gives their number.
pub fn nothing_is_left() -> Result<usize> {
    let mut directories = 0;
    for entry in fs::read_dir(WINDOWS)? {
        let path = entry?.path();
        let get = |file: &str| fs::read_to_string(path.join(file)).map(|text| text.trim_end().to_owned());
        let (enabled, minor) = (get("enable")? == "1", get("minor")?);
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let listed = windows()?.lines().any(|line| line.starts_with(&format!("{name}@")));
        let has_node = minor != "0" && Path::new(&format!("/dev/map{minor}")).exists();
        ensure!(
            (listed, has_node) == (enabled, enabled),
            "{name}: enabled {enabled}, but listed {listed}, minor {minor}, node {has_node}"
        );
        fs::remove_dir(&path).with_context(|| format!("rmdir {name}"))?;
        directories += 1;
    }
    mappings_are(0)?;
    for number in 1..=FIXED {
        let shown = fs::read_to_string(format!("/sys/class/map/map{number}/mappings"))?;
        ensure!(shown == "0\n", "the window {number} has {shown:?} mappings");
    }
    ensure!(windows()?.lines().count() == FIXED as usize, "windows are left: {}", windows()?);
    let claims: Vec<_> = kernel::iomem()?.into_iter().filter(|region| region.name.starts_with("map: ")).collect();
    let ends: Vec<_> = claims.iter().map(|claim| (claim.first, claim.last)).collect();
    let expected = [(START, START + (1 << 20) - 1), (START + (1 << 20), START + (1 << 20) + (512 << 10) - 1)];
    ensure!(ends == expected, "claims are left: {ends:x?}");
    // The other module is the only user.
    ensure!(kernel::users()? == Some(1), "the module has {:?} users", kernel::users()?);
    nobody_has_a_node()?;
    Ok(directories)
}

/// The driver's windows, a line for each.
pub fn windows() -> Result<String> {
    fs::read_to_string("/sys/kernel/debug/map/windows").context("cannot read the windows")
}

/// Fails unless the driver counts so many VMAs.
pub fn mappings_are(expected: usize) -> Result<()> {
    let shown = fs::read_to_string("/sys/kernel/debug/map/mappings")?;
    ensure!(shown.trim() == expected.to_string(), "{} VMAs are counted, not {expected}", shown.trim());
    Ok(())
}

/// Whether this is the path of a node of the driver's, wherever somebody has made it.
fn is_node(path: &str) -> bool {
    path.starts_with("/dev/map") || path.starts_with(super::loads::NODES)
}

/// Fails if a process has a node open or mapped.
pub fn nobody_has_a_node() -> Result<()> {
    for process in fs::read_dir("/proc")?.flatten() {
        let path = process.path();
        // What ends meanwhile has nothing.
        let maps = fs::read_to_string(path.join("maps")).unwrap_or_default();
        let mapped = maps.lines().find(|line| line.split_whitespace().nth(5).is_some_and(is_node));
        ensure!(mapped.is_none(), "{}: {}", path.display(), mapped.unwrap_or_default());
        for file in fs::read_dir(path.join("fd")).into_iter().flatten().flatten() {
            let open = fs::read_link(file.path()).unwrap_or_default();
            ensure!(!open.to_str().is_some_and(is_node), "{} is {}", file.path().display(), open.display());
        }
    }
    Ok(())
}

/// Looks whether a process has ended, and leaves that to be waited for.
const ENDED: WaitPidFlag = WaitPidFlag::WEXITED.union(WaitPidFlag::WNOHANG).union(WaitPidFlag::WNOWAIT);

/// A number of programs, each with what it forks; killed when dropped.
pub struct Programs(Vec<Pid>);

impl Programs {
    /// So many programs, each of which becomes a process group and does `act` with its place.
    pub fn start(act: impl Fn(usize) -> i32) -> Result<Self> {
        // What they have forked becomes a child of this process when they have ended.
        prctl::set_child_subreaper(true)?;
        let mut programs = Self(Vec::new());
        for place in 0..PLACES {
            let child = crate::child::Child::spawn_ready(|ready| {
                if nix::unistd::setpgid(Pid::this(), Pid::this()).is_err() || ready.signal().is_err() {
                    return 9;
                }
                act(place)
            })?;
            programs.0.push(child.pid());
            // From here on it is killed with its group.
            std::mem::forget(child);
        }
        Ok(programs)
    }

    /// Whether none has ended.
    pub fn are_running(&self) -> Result<bool> {
        let ended = |group: &Pid| waitid(Id::Pid(*group), ENDED);
        let ends = self.0.iter().map(ended).collect::<Result<Vec<_>, _>>()?;
        Ok(ends.iter().all(|end| *end == WaitStatus::StillAlive))
    }

    /// Kills all of them, at once as far as the processors allow. Fails if one had ended by itself.
    pub fn kill(mut self) -> Result<()> {
        for group in &self.0 {
            killpg(*group, Signal::SIGKILL)?;
        }
        let leaders = std::mem::take(&mut self.0);
        let mut wrong = Vec::new();
        for status in ends()? {
            match status {
                WaitStatus::Signaled(_, Signal::SIGKILL, _) => (),
                WaitStatus::Exited(pid, 0) if !leaders.contains(&pid) => (),
                other => wrong.push(other),
            }
        }
        ensure!(wrong.is_empty(), "ended by themselves: {wrong:?}");
        Ok(())
    }

    /// Waits for all of them, and kills what they have left; gives how each has ended.
    pub fn wait(mut self) -> Result<Vec<WaitStatus>> {
        let leaders = std::mem::take(&mut self.0);
        let statuses = leaders.iter().map(|leader| waitpid(*leader, None)).collect::<Result<Vec<_>, _>>()?;
        for group in &leaders {
            let _ = killpg(*group, Signal::SIGKILL);
        }
        ends()?;
        Ok(statuses)
    }
}

/// Waits for all children, and those that have become children, and gives how they have ended.
fn ends() -> Result<Vec<WaitStatus>> {
    let mut statuses = Vec::new();
    loop {
        match waitpid(None, None) {
            Ok(status) => statuses.push(status),
            Err(Errno::ECHILD) => return Ok(statuses),
            Err(errno) => return Err(errno.into()),
        }
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        for group in &self.0 {
            let _ = killpg(*group, Signal::SIGKILL);
        }
        if !self.0.is_empty() {
            let _ = ends();
        }
    }
}

/// The file in procfs that describes an open file.
pub fn fdinfo(file: &impl AsRawFd) -> String {
    format!("/proc/self/fdinfo/{}", file.as_raw_fd())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::PAGE;

    #[test]
    fn no_two_programs_store_in_the_same_place() {
        let mut parts: Vec<_> = (0..PLACES).flat_map(|place| [own(place), added(place)]).collect();
        parts.sort_unstable();
        assert!(parts.windows(2).all(|pair| pair[0].0 + pair[0].1 < pair[1].0));
        assert!(parts.iter().all(|(offset, length)| offset + length <= LENGTH && offset % PAGE == 0));
    }
}
