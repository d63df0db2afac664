// SPDX-License-Identifier: MIT OR Apache-2.0

//! Child processes that never outlive this program: each one leads a process group of its own, dies with this program,
//! and is terminated with all its descendants when the user interrupts this program.

use std::{
    collections::VecDeque,
    env, fmt,
    fs::File,
    io::Write,
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{bail, Context, Result};
use nix::{
    errno::Errno,
    fcntl::{fcntl, FcntlArg, FdFlag, OFlag},
    poll::{poll, PollFd, PollFlags, PollTimeout},
    sys::{
        prctl::set_pdeathsig,
        signal::{kill, Signal},
        wait::{waitid, Id, WaitPidFlag, WaitStatus},
    },
    unistd::{access, getppid, pipe2, AccessFlags, Pid},
};

use crate::interrupt::{self, Interrupted};

/// How long a child that was asked to end may take before it is killed.
const GRACE_PERIOD: Duration = Duration::from_secs(10);
/// How many of a failed child's last lines are shown.
const TAIL: usize = 20;

/// A command and how to run it.
#[derive(Debug)]
pub struct Job {
    command: Command,
    input: Option<File>,
    log: Option<PathBuf>,
    hold: Option<OwnedFd>,
    timeout: Option<Duration>,
    unstoppable: bool,
    accept: i32,
}

/// Cargo: the one that started this program, if any.
pub fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// An option for clippy that changes nothing, but is another one in each clone. For clippy, which is a wrapper of rustc
/// itself, it does what `qemu/rustc.sh` does for Cargo's other commands: clones that share a build directory do not
/// take each other's results.
pub fn of_this_clone() -> String {
    let root = crate::root().display();
    format!("--remap-path-prefix={root}={root}")
}

impl Job {
    /// Runs `command` as it is.
    pub fn new(command: Command) -> Job {
        Job { command, input: None, log: None, hold: None, timeout: None, unstoppable: false, accept: 0 }
    }

    /// Gives the command this file as its stdin. Otherwise it has none.
    pub fn stdin(mut self, input: File) -> Job {
        self.input = Some(input);
        self
    }

    /// Appends all output to this file, which errors name.
    pub fn log(mut self, path: &Path) -> Job {
        self.log = Some(path.to_owned());
        self
    }

    /// Leaves this file open in the child and its descendants, so that a lock on it is held until the last of them has
    /// ended, even if this program is killed. The child then gets SIGTERM, so that it can end its own children.
    pub fn hold(mut self, file: &impl AsFd) -> Result<Job> {
        self.hold = Some(file.as_fd().try_clone_to_owned().context("cannot share a lock with a child process")?);
        Ok(self)
    }

    /// Terminates the child, and fails the job, when it takes longer than this.
    pub fn timeout(mut self, limit: Duration) -> Job {
        self.timeout = Some(limit);
        self
    }

    /// Lets the child finish: it survives an interruption, and the end of this program.
    pub fn unstoppable(mut self) -> Job {
        self.unstoppable = true;
        self
    }

    /// Accepts this exit code as a success as well.
    pub fn accept(mut self, code: i32) -> Job {
        self.accept = code;
        self
    }

    /// Runs the command and passes every line that it writes, to stdout or stderr, to `each`.
    pub fn lines(self, each: impl FnMut(&str)) -> Result<()> {
        self.run(each, || {})
    }

    /// Runs the command and calls `tick` several times a second.
    pub fn watched(self, tick: impl FnMut()) -> Result<()> {
        self.run(|_| {}, tick)
    }

    fn run(mut self, mut each: impl FnMut(&str), tick: impl FnMut()) -> Result<()> {
        let (read, write) = pipe()?;
        let mut log = self.open_log()?;
        let input = self.input();
        self.command.stdin(input).stdout(write.try_clone()?).stderr(write);
        let mut failure = Failure::of(&self);
        let mut lines = Lines::default();
        let (mut running, timeout) = self.start()?;
        let take = |_, bytes: &[u8]| {
            if let Some((path, file)) = &mut log {
                file.write_all(bytes).with_context(|| format!("cannot write {}", path.display()))?;
            }
            lines.feed(bytes, |line| {
                failure.push(line);
                each(line);
            });
            Ok(())
        };
        let status = running.pump(&mut [Some(read)], timeout, take, tick)?;
        lines.end(|line| {
            failure.push(line);
            each(line);
        });
        failure.check(status)
    }

    /// Runs the command and returns what it writes to stdout.
    pub fn output(mut self) -> Result<String> {
        let (out_read, out_write) = pipe()?;
        let (err_read, err_write) = pipe()?;
        let input = self.input();
        self.command.stdin(input).stdout(out_write).stderr(err_write);
        let mut failure = Failure::of(&self);
        let mut output = Vec::new();
        let mut errors = Lines::default();
        let (mut running, timeout) = self.start()?;
        let take = |source, bytes: &[u8]| {
            match source {
                0 => output.extend_from_slice(bytes),
                _ => errors.feed(bytes, |line| failure.push(line)),
            }
            Ok(())
        };
        let status = running.pump(&mut [Some(out_read), Some(err_read)], timeout, take, || {})?;
        errors.end(|line| failure.push(line));
        failure.check(status)?;
        Ok(String::from_utf8_lossy(&output).into_owned())
    }

    /// Runs the command on this terminal and in this process group, so that it can ask for a password.
    pub fn interactive(mut self) -> Result<()> {
        let failure = Failure::of(&self);
        guard(&mut self.command, None);
        let child = self.command.spawn().with_context(|| cannot_start(&self.command))?;
        let mut running = Running { child, group: false, unstoppable: false, ended: false };
        let status = running.pump(&mut [], None, |_, _| Ok(()), || {})?;
        failure.check(status)
    }

    /// Starts the command with its stdio unchanged.
    pub fn spawn(self) -> Result<Running> {
        Ok(self.start()?.0)
    }

    /// Consumes the command, which closes our copies of the child's ends of the pipes.
    fn start(mut self) -> Result<(Running, Option<Duration>)> {
        interrupt::check()?;
        self.command.process_group(0);
        if !self.unstoppable {
            guard(&mut self.command, self.hold.take());
        }
        let child = self.command.spawn().with_context(|| cannot_start(&self.command))?;
        Ok((Running { child, group: true, unstoppable: self.unstoppable, ended: false }, self.timeout))
    }

    fn input(&mut self) -> Stdio {
        self.input.take().map_or_else(Stdio::null, Stdio::from)
    }

    fn open_log(&self) -> Result<Option<(PathBuf, File)>> {
        let Some(path) = &self.log else { return Ok(None) };
        let context = || format!("cannot write {}", path.display());
        let mut file = File::options().append(true).create(true).open(path).with_context(context)?;
        writeln!(file, "$ {}", Shown(&self.command)).with_context(context)?;
        Ok(Some((path.clone(), file)))
    }
}

/// Makes the child end with the thread that starts it (and waits for it), and keep `held` open.
fn guard(command: &mut Command, held: Option<OwnedFd>) {
    let parent = Pid::this();
    let signal = if held.is_some() { Signal::SIGTERM } else { Signal::SIGKILL };
    let prepare = move || {
        set_pdeathsig(signal)?;
        // We may have died before the line above.
        if getppid() != parent {
            return Err(Errno::ESRCH.into());
        }
        if let Some(held) = &held {
            fcntl(held, FcntlArg::F_SETFD(FdFlag::empty()))?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure only makes three system calls; it takes no lock and allocates nothing.
    unsafe { command.pre_exec(prepare) };
}

fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    pipe2(OFlag::O_CLOEXEC).context("cannot make a pipe")
}

fn cannot_start(command: &Command) -> String {
    format!("cannot start {}", command.get_program().to_string_lossy())
}

/// A child that runs; killed with its descendants when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    group: bool,
    unstoppable: bool,
    ended: bool,
}

impl Running {
    /// The exit status, once there is one. Descendants that are left are killed first.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        if !self.ended {
            // The child stays a zombie for a moment, so that its process group id cannot be reused.
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG;
            match waitid(Id::Pid(self.pid()), flags) {
                Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => return Ok(None),
                Ok(_) => self.ended = true,
                Err(error) => return Err(error).context("cannot wait for a child process"),
            }
            if self.group && !self.unstoppable {
                self.signal(Signal::SIGKILL);
            }
        }
        let status = self.child.wait().context("cannot wait for a child process")?;
        self.wait_for_group();
        Ok(Some(status))
    }

    /// Kills the child and its descendants, and waits for them.
    pub fn kill(&mut self) {
        if !self.ended {
            self.signal(Signal::SIGKILL);
        }
        while let Ok(None) = self.try_wait() {
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("process ids are small"))
    }

    fn signal(&self, signal: Signal) {
        let pid = self.pid();
        let target = if self.group { Pid::from_raw(-pid.as_raw()) } else { pid };
        // It may have ended, or (sudo) belong to root: neither can be helped.
        let _ = kill(target, signal);
    }

    /// The descendants were killed; the process that adopted them takes a moment to reap them.
    fn wait_for_group(&self) {
        let group = Pid::from_raw(-self.pid().as_raw());
        for _ in 0..200 {
            if !self.group || self.unstoppable || kill(group, None) == Err(Errno::ESRCH) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Reads the `sources` (each is a pipe that the child writes to) until the child has ended.
    fn pump(
        &mut self,
        sources: &mut [Option<OwnedFd>],
        timeout: Option<Duration>,
        mut sink: impl FnMut(usize, &[u8]) -> Result<()>,
        mut tick: impl FnMut(),
    ) -> Result<ExitStatus> {
        let started = Instant::now();
        let mut ending: Option<(Stop, Instant)> = None;
        let mut killed = false;
        let mut pause = Duration::from_millis(1);
        let mut buffer = vec![0; 1 << 16];
        let status = loop {
            // Sends SIGTERM, and SIGKILL after a while. The pipes are read meanwhile, or the child could not end.
            let stop = match timeout {
                _ if self.unstoppable => None,
                _ if interrupt::asked() => Some(Stop::Interrupted),
                Some(limit) if started.elapsed() > limit => Some(Stop::TimedOut(limit)),
                _ => None,
            };
            match (&ending, stop) {
                (None, Some(stop)) => {
                    self.signal(Signal::SIGTERM);
                    ending = Some((stop, Instant::now()));
                }
                (Some((_, since)), _) if !killed && since.elapsed() > GRACE_PERIOD => {
                    self.signal(Signal::SIGKILL);
                    killed = true;
                }
                _ => {}
            }

            tick();
            let ready = wait_readable(sources, &mut pause)?;
            for &index in &ready {
                let Some(source) = &sources[index] else { continue };
                match nix::unistd::read(source, &mut buffer) {
                    Ok(0) => sources[index] = None,
                    Ok(length) => sink(index, &buffer[..length])?,
                    Err(Errno::EINTR | Errno::EAGAIN) => {}
                    Err(error) => return Err(error).context("cannot read from a child process"),
                }
            }
            // Only when nothing is left to read, so that no line is lost.
            if ready.is_empty() {
                if let Some(status) = self.try_wait()? {
                    break status;
                }
                // A child of root (sudo) cannot be killed by this process, only abandoned.
                if killed && !self.group {
                    break ExitStatus::default();
                }
            }
        };
        match ending {
            None => Ok(status),
            Some((Stop::Interrupted, _)) => Err(Interrupted { orderly: !killed }.into()),
            Some((Stop::TimedOut(limit), _)) => bail!("did not end within {} s", limit.as_secs()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended && !self.unstoppable && self.group {
            self.kill();
        }
    }
}

/// Why a child is terminated.
#[derive(Debug)]
enum Stop {
    Interrupted,
    TimedOut(Duration),
}

/// Waits briefly until some of the sources have something to read, or have ended.
fn wait_readable(sources: &[Option<OwnedFd>], pause: &mut Duration) -> Result<Vec<usize>> {
    let open: Vec<usize> = (0..sources.len()).filter(|&index| sources[index].is_some()).collect();
    if open.is_empty() {
        // A child that has closed its pipes usually ends at once.
        thread::sleep(*pause);
        *pause = (*pause * 2).min(Duration::from_millis(50));
        return Ok(Vec::new());
    }
    let mut fds: Vec<PollFd<'_>> =
        sources.iter().flatten().map(|source| PollFd::new(source.as_fd(), PollFlags::POLLIN)).collect();
    match poll(&mut fds, PollTimeout::from(100u8)) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(error) => return Err(error).context("cannot wait for a child process"),
    }
    Ok(open.into_iter().zip(&fds).filter(|(_, fd)| fd.any() == Some(true)).map(|(index, _)| index).collect())
}

/// Splits a stream of bytes into lines.
#[derive(Debug, Default)]
struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(&str)) {
        self.rest.extend_from_slice(bytes);
        let mut start = 0;
        while let Some(length) = self.rest[start..].iter().position(|&byte| byte == b'\n') {
            each(&String::from_utf8_lossy(&self.rest[start..start + length]));
            start += length + 1;
        }
        self.rest.drain(..start);
    }

    /// The last line, if it has no end.
    fn end(self, mut each: impl FnMut(&str)) {
        if !self.rest.is_empty() {
            each(&String::from_utf8_lossy(&self.rest));
        }
    }
}

/// A child that ended with a status other than 0.
#[derive(Debug)]
pub struct Failure {
    command: String,
    /// How it ended.
    pub status: ExitStatus,
    tail: VecDeque<String>,
    log: Option<PathBuf>,
    accept: i32,
}

impl Failure {
    fn of(job: &Job) -> Failure {
        Failure {
            command: Shown(&job.command).to_string(),
            status: ExitStatus::default(),
            tail: VecDeque::new(),
            log: job.log.clone(),
            accept: job.accept,
        }
    }

    fn push(&mut self, line: &str) {
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(line.to_owned());
    }

    fn check(mut self, status: ExitStatus) -> Result<()> {
        if status.success() || status.code() == Some(self.accept) {
            return Ok(());
        }
        self.status = status;
        Err(self.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` failed ({})", self.command, self.status)?;
        if !self.tail.is_empty() {
            write!(f, ", saying:")?;
        }
        for line in &self.tail {
            write!(f, "\n    {line}")?;
        }
        if let Some(log) = &self.log {
            write!(f, "\nAll of its output is in {}.", log.display())?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// A command as typed into a shell.
struct Shown<'a>(&'a Command);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = Path::new(self.0.get_program());
        write!(f, "{}", program.file_name().unwrap_or(program.as_os_str()).to_string_lossy())?;
        for argument in self.0.get_args().map(|argument| argument.to_string_lossy()) {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=+:,~@%".contains(c);
            if !argument.is_empty() && argument.chars().all(plain) {
                write!(f, " {argument}")?;
            } else {
                write!(f, " '{}'", argument.replace('\'', r"'\''"))?;
            }
        }
        Ok(())
    }
}

/// The path of a program, if it is in PATH.
pub fn in_path(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .map(|directory| directory.join(program))
        .find(|file| file.is_file() && access(file, AccessFlags::X_OK).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Job {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Job::new(command)
    }

    #[test]
    fn lines_come_whole_and_the_last_needs_no_end() {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for bytes in [&b"one\ntw"[..], b"o\n", b"thr", b"ee"] {
            lines.feed(bytes, |line| seen.push(line.to_owned()));
        }
        assert_eq!(seen, ["one", "two"]);
        lines.end(|line| seen.push(line.to_owned()));
        assert_eq!(seen, ["one", "two", "three"]);
    }

    #[test]
    fn both_streams_arrive_in_order() {
        let mut seen = Vec::new();
        sh("echo a; echo b >&2; printf c").lines(|line| seen.push(line.to_owned())).unwrap();
        assert_eq!(seen, ["a", "b", "c"]);
    }

    #[test]
    fn output_is_stdout_alone() {
        assert_eq!(sh("echo a; echo b >&2").output().unwrap(), "a\n");
    }

    #[test]
    fn a_failure_says_what_failed_and_how() {
        let error = sh("echo 'first words'; exit 3").lines(|_| {}).unwrap_err();
        let failure = error.downcast_ref::<Failure>().unwrap();
        assert_eq!(failure.status.code(), Some(3));
        let text = failure.to_string();
        assert!(text.starts_with("`sh -c 'echo '\\''first words'\\''; exit 3'` failed (exit status: 3)"), "{text}");
        assert!(text.ends_with("\n    first words"), "{text}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = Job::new(Command::new("no-such-program-anywhere")).output().unwrap_err();
        assert_eq!(error.to_string(), "cannot start no-such-program-anywhere");
    }

    #[test]
    fn an_exit_code_can_be_declared_fine() {
        assert_eq!(sh("echo a; exit 1").accept(1).output().unwrap(), "a\n");
        assert!(sh("exit 2").accept(1).output().is_err());
    }

    #[test]
    fn a_program_is_found_in_path() {
        assert!(in_path("sh").is_some());
        assert!(in_path("no-such-program-anywhere").is_none());
    }

    #[test]
    fn descendants_are_taken_down_with_a_child_that_takes_too_long() {
        let mut grandchild = None;
        let error = sh("sleep 1000 & echo $!; wait")
            .timeout(Duration::from_millis(200))
            .lines(|line| grandchild = line.parse().ok())
            .unwrap_err();
        assert!(error.to_string().starts_with("did not end within"), "{error}");
        let grandchild = Pid::from_raw(grandchild.expect("sh prints the process id"));
        assert_eq!(kill(grandchild, None), Err(Errno::ESRCH));
    }

    #[test]
    fn descendants_that_outlive_their_parent_are_killed() {
        let mut grandchild = None;
        sh("sleep 1000 >/dev/null 2>&1 & echo $!").lines(|line| grandchild = line.parse().ok()).unwrap();
        let grandchild = Pid::from_raw(grandchild.expect("sh prints the process id"));
        // It may be a zombie until the process that adopted it has reaped it.
        let state = std::fs::read_to_string(format!("/proc/{grandchild}/stat"));
        assert!(state.is_err() || state.unwrap().contains(") Z "));
    }

    #[test]
    fn a_running_child_dies_when_it_is_dropped() {
        let mut command = Command::new("sleep");
        command.arg("1000");
        let mut running = Job::new(command).spawn().unwrap();
        let pid = running.pid();
        assert_eq!(running.try_wait().unwrap(), None);
        drop(running);
        assert_eq!(kill(pid, None), Err(Errno::ESRCH));
    }
}
