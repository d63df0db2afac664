// SPDX-License-Identifier: MIT OR Apache-2.0

//! Child processes of a test.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    process,
};

use anyhow::{bail, Context, Result};
use nix::{
    errno::Errno,
    sched::{clone, CloneFlags},
    sys::{
        ptrace,
        signal::{kill, raise, signal, SigHandler, Signal},
        wait::{waitpid, WaitPidFlag, WaitStatus},
    },
    unistd::{fork, setgid, setuid, ForkResult, Gid, Pid, Uid},
};

/// A forked process; killed when dropped.
pub struct Child {
    pid: Pid,
    reaped: bool,
}

/// Reports to the parent that a child is ready.
pub struct Ready(UnixStream);

impl Ready {
    /// Lets the parent go on.
    pub fn signal(&mut self) -> io::Result<()> {
        self.0.write_all(b".")
    }
}

impl Child {
    /// Forks a process that does `act` and exits with its result.
    pub fn spawn(act: impl FnOnce() -> i32) -> Result<Self> {
        // SAFETY: this process has one thread, so the child may call any function.
        match unsafe { fork() }? {
            ForkResult::Child => process::exit(act()),
            ForkResult::Parent { child } => Ok(Self { pid: child, reaped: false }),
        }
    }

    /// As [`Child::spawn`], but waits until the child is ready.
    pub fn spawn_ready(act: impl FnOnce(&mut Ready) -> i32) -> Result<Self> {
        let (mut parent, child) = UnixStream::pair()?;
        let spawned = Self::spawn(move || act(&mut Ready(child)))?;
        parent.read_exact(&mut [0]).context("the child ended before it was ready")?;
        Ok(spawned)
    }

    /// Forks a process that has stopped and is traced by this one.
    pub fn spawn_traced() -> Result<Self> {
        let child = Self::spawn(|| {
            let _ = ptrace::traceme().and_then(|()| raise(Signal::SIGSTOP));
            1
        })?;
        waitpid(child.pid, None)?;
        Ok(child)
    }

    /// A process that this one has got as its child, for example by clone(2) with CLONE_PARENT.
    #[cfg(target_arch = "x86_64")]
    pub fn adopt(pid: Pid) -> Self {
        Self { pid, reaped: false }
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Whether it still runs. Fails if it ended with another status than 0.
    pub fn is_running(&mut self) -> Result<bool> {
        match waitpid(self.pid, Some(WaitPidFlag::WNOHANG))? {
            WaitStatus::StillAlive => Ok(true),
            status => {
                self.reaped = true;
                check(status).map(|()| false)
            }
        }
    }

    /// Waits until it has ended, and gives its status.
    pub fn wait(mut self) -> Result<WaitStatus> {
        let status = waitpid(self.pid, None)?;
        self.reaped = true;
        Ok(status)
    }

    /// Kills it, and gives its status.
    pub fn kill(self) -> Result<WaitStatus> {
        kill(self.pid, Signal::SIGKILL)?;
        self.wait()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.reaped {
            let _ = kill(self.pid, Signal::SIGKILL);
            let _ = waitpid(self.pid, None);
        }
    }
}

/// Fails unless this is the status of a process that exited with 0.
pub fn check(status: WaitStatus) -> Result<()> {
    match status {
        WaitStatus::Exited(_, 0) => Ok(()),
        other => bail!("the child ended with {other:?}"),
    }
}

/// How a child ends that does `act`.
pub fn in_child(act: impl FnOnce() -> i32) -> Result<WaitStatus> {
    Child::spawn(act)?.wait()
}

/// Lets the first access that cannot be made end this process, and those that it makes.
///
/// Rust's runtime takes these signals, to tell of a stack that overflows. Of any other address it lets the access be made
/// once more, so that nobody would notice a fault that fails only once.
pub fn die_of_faults() -> Result<(), Errno> {
    for fault in [Signal::SIGBUS, Signal::SIGSEGV] {
        // SAFETY: that is no handler.
        unsafe { signal(fault, SigHandler::SigDfl) }?;
    }
    Ok(())
}

/// Fails unless a process that does `act` in this memory is killed by `signal`.
///
/// A forked child would not do: when a window has gone, a fork copies nothing of it, whatever this process still has.
pub fn killed_by<T>(signal: Signal, act: impl FnOnce() -> T) -> Result<()> {
    const STACK: usize = 256 << 10;
    let mut act = Some(act);
    let run = Box::new(|| {
        act.take().map(|act| act());
        0
    });
    // What dies is the new process alone; this one stands still until then.
    let flags = CloneFlags::CLONE_VM | CloneFlags::CLONE_VFORK;
    // SAFETY: the two share their memory, and never run at the same time. What the new one leaves behind on its own stack,
    // nobody uses.
    let pid = unsafe { clone(run, &mut vec![0; STACK], flags, Some(Signal::SIGCHLD as i32)) }?;
    match waitpid(pid, None)? {
        WaitStatus::Signaled(_, by, _) if by == signal => Ok(()),
        other => bail!("not killed by {signal}: {other:?}"),
    }
}

/// Fails unless `act` gives 0 in a child.
pub fn succeeds_in_child(act: impl FnOnce() -> i32) -> Result<()> {
    check(in_child(act)?)
}

/// Fails unless `act` gives 0 in a child of this user.
pub fn succeeds_as_user(user: u32, act: impl FnOnce() -> i32) -> Result<()> {
    succeeds_in_child(|| become_user(user).map_or(99, |()| act())).with_context(|| format!("user {user}"))
}

/// Makes this process one of the user, and of the group of the same number.
pub fn become_user(user: u32) -> Result<(), Errno> {
    setgid(Gid::from_raw(user)).and_then(|()| setuid(Uid::from_raw(user)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_other_than_0_is_an_error() {
        assert!(check(WaitStatus::Exited(Pid::this(), 0)).is_ok());
        assert!(check(WaitStatus::Exited(Pid::this(), 1)).is_err());
        assert!(check(WaitStatus::Signaled(Pid::this(), Signal::SIGKILL, false)).is_err());
    }
}
