// SPDX-License-Identifier: MIT OR Apache-2.0

//! Windows that are larger than the machine's memory.

use std::{
    fs::{self, Permissions},
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{ensure, Context, Result};
use map_core::LARGEST_MAPPING;
use nix::{
    errno::Errno,
    sys::{
        signal::{kill, Signal},
        wait::{waitpid, WaitStatus},
    },
    unistd::{fork, setgid, setuid, ForkResult, Gid, Pid, Uid},
};

use crate::{
    host::Host,
    kernel::{self, Loaded},
    refusal::shared_fails,
    user,
    vma::Vma,
};

crate::tests! {
    a_window_of_64_gib_is_loaded_and_unloaded,
    nobody_maps_960_gib_in_one_piece,
    processes_that_map_all_they_can_are_killed_and_leave_nothing,
}

fn a_window_of_64_gib_is_loaded_and_unloaded(_: &mut Host) -> Result<()> {
    let before = kernel::traces()?;
    drop(Loaded::with(&["windows=big@0x200000000+64G:shared"])?);
    let after = kernel::traces()?;
    ensure!(before == after, "something is left of it:\n{before}\nnow:\n{after}");
    Ok(())
}

/// A window of 960 GiB, of which a program of each user may map what it can.
fn load() -> Result<Loaded> {
    let loaded = Loaded::with(&["windows=big@0x200000000+960G"])?;
    fs::set_permissions("/dev/map", Permissions::from_mode(0o666))?;
    Ok(loaded)
}

const BIG: u64 = 0x2_0000_0000;

fn nobody_maps_960_gib_in_one_piece(_: &mut Host) -> Result<()> {
    let _loaded = load()?;
    let node = user::open()?;
    // The page tables of this would take 1.9 GB, and none of it could be interrupted.
    for length in [960 << 30, LARGEST_MAPPING + 4096] {
        shared_fails(&node, BIG, length as usize, Errno::EINVAL)?;
    }
    // The whole of it is to be had all the same.
    for part in [0, 1, 239] {
        Vma::shared(&node, BIG + part * LARGEST_MAPPING, LARGEST_MAPPING as usize)?;
    }
    Ok(())
}

/// The kilobytes that /proc/meminfo gives for page tables.
fn page_tables() -> Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("PageTables:")).context("no line")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// A process of uid 65534 that maps the largest pieces over and over, until it is killed.
fn attacker(begun: &mut UnixStream) -> Result<Pid> {
    // SAFETY: this process has one thread.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let nobody = setgid(Gid::from_raw(65534)).and_then(|()| setuid(Uid::from_raw(65534)));
            let mut kept = Vec::new();
            if let (Ok(()), Ok(node)) = (nobody, user::open()) {
                for part in 0.. {
                    // A hundred of them are 800 MB of page tables; then it starts anew.
                    if part % 100 == 0 {
                        kept.clear();
                    }
                    let Ok(vma) = Vma::shared(&node, BIG + part % 240 * LARGEST_MAPPING, LARGEST_MAPPING as usize)
                    else {
                        break;
                    };
                    kept.push(vma);
                    if part == 20 && begun.write_all(b".").is_err() {
                        break;
                    }
                }
            }
            std::process::exit(1);
        }
    }
}

fn processes_that_map_all_they_can_are_killed_and_leave_nothing(_: &mut Host) -> Result<()> {
    let _loaded = load()?;
    let before = page_tables()?;
    let (mut ready, mut begun) = UnixStream::pair()?;
    let attackers = [attacker(&mut begun)?, attacker(&mut begun)?];
    drop(begun);
    ready.read_exact(&mut [0; 2]).context("the two do not map")?;
    for attacker in attackers {
        // Root can look at what they are …
        let name = fs::read(format!("/proc/{attacker}/cmdline"))?;
        ensure!(!name.is_empty(), "it is gone already");
        // … and end them.
        kill(attacker, Signal::SIGKILL)?;
    }
    for attacker in attackers {
        let status = waitpid(attacker, None)?;
        ensure!(matches!(status, WaitStatus::Signaled(_, Signal::SIGKILL, _)), "{status:?}");
    }
    // The kernel gives page tables back when all processors have forgotten them.
    let deadline = Instant::now() + Duration::from_secs(20);
    while page_tables()? > before + 4096 {
        ensure!(Instant::now() < deadline, "{before} kB of page tables before, {} after", page_tables()?);
        sleep(Duration::from_millis(50));
    }
    let mappings = fs::read_to_string("/sys/kernel/debug/map/mappings")?;
    ensure!(mappings.trim() == "0", "{mappings} mappings are left");
    Ok(())
}
