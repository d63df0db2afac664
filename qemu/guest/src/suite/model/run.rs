// SPDX-License-Identifier: MIT OR Apache-2.0

//! Runs a sequence: tells the processes what to do, compares what it gave with the model, and looks at what is left.

use std::{
    fs::{self, Permissions},
    io::{ErrorKind, Read, Write},
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::Path,
    rc::Rc,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{bail, ensure, Context, Result};
use map_core::{Mode, Refusal};
use map_protocol::pattern;
use nix::unistd::Pid;

use super::{
    actor::{self, order, Outcome, Shared},
    generate,
    layout::Layout,
    machine::Machine,
    operation::{Kind, Operation, ACTORS, FIRST_ACTORS},
    plan::{is_of_root, rounds, Step},
    world::{Expect, Memory, Value, World},
};
use crate::{
    child::Child,
    errno,
    host::{Host, LENGTH, PAGE, START},
    kernel,
    runtime::{self, Config},
};

/// How long a round may take. Most take milliseconds.
const ROUND_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the kernel may take to free what a process had.
const FREE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a waiting process looks whether another one has died.
const POLL: Duration = Duration::from_millis(200);

/// What differs from the model.
#[derive(Debug)]
pub struct Failure {
    /// The step, if it is one.
    pub step: Option<usize>,
    /// What differs.
    pub text: String,
}

impl Failure {
    fn of(text: String) -> Self {
        Self { step: None, text }
    }
}

/// What a sequence did.
#[derive(Debug)]
pub struct Ran {
    /// The steps with their predictions, which hold.
    pub steps: Vec<Step>,
    /// How often the driver decided to refuse, for each reason.
    pub verdicts: [u64; Refusal::ALL.len()],
}

/// Runs sequences, one after the other.
pub struct Runner<'a> {
    host: &'a mut Host,
    machine: Rc<Machine>,
    loaded: Option<Loaded>,
    /// The contents of the free memory; `None` if they are not known.
    memory: Option<Memory>,
}

/// The loaded driver.
struct Loaded {
    layout: &'static Layout,
    /// Unloads it when dropped.
    _config: Config,
    /// The number of its users that /proc/modules gives when nothing is open.
    users: Option<u32>,
}

/// Where the sequence comes from.
pub enum Source<'a> {
    /// A seed.
    Seed(u64),
    /// Some of the operations of a seed.
    Some(u64, &'a [(usize, Operation)]),
}

impl<'a> Runner<'a> {
    /// Runs sequences on this machine.
    pub fn new(host: &'a mut Host) -> Result<Self> {
        actor::reserve_arena()?;
        Ok(Self { host, machine: Rc::new(Machine::this()?), loaded: None, memory: None })
    }

    /// Shows text to people.
    pub fn note(&mut self, text: String) -> Result<()> {
        self.host.note(text)
    }

    /// Forgets everything, so that the next sequence begins with a driver that was just loaded.
    pub fn reset(&mut self) {
        (self.loaded, self.memory) = (None, None);
    }

    /// The world at the beginning of a seed's sequence, with any contents of the memory.
    pub fn world(&self, seed: u64) -> World {
        let memory = Memory::new(vec![0; LENGTH as usize]);
        World::new(self.machine.clone(), generate::layout_of(seed), memory)
    }

    /// Runs a sequence. The outer error is one of the harness.
    pub fn run(&mut self, source: &Source<'_>) -> Result<Result<Ran, Failure>> {
        let seed = match source {
            Source::Seed(seed) | Source::Some(seed, _) => *seed,
        };
        let layout = generate::layout_of(seed);
        let users = self.load(layout)?;
        let memory = match self.memory.take() {
            Some(memory) => memory,
            None => {
                self.host.fill(seed)?;
                Memory::new(pattern::bytes(seed, START, LENGTH as usize))
            }
        };
        let mut world = World::new(self.machine.clone(), layout, memory);
        for minor in 0..=world.nodes.len() as u32 {
            chmod(minor, 0o600)?;
        }
        let refusals = refusals()?;
        let steps = match source {
            Source::Seed(seed) => generate::sequence(*seed, &mut world),
            Source::Some(_, operations) => world.predict_all(operations),
        };
        let mut shared = Shared::new(steps)?;
        let mut family = Family::start(&shared)?;
        let result = self.rounds(&shared, &mut family, &world);
        // Some end by themselves, and some are killed.
        let ended = family.end(&shared, seed % 2 == 0);
        let steps = std::mem::take(&mut shared.steps);
        drop(shared);
        let verdicts = world.verdicts;
        let result = result.and_then(|result| {
            ended?;
            match result {
                Ok(()) => self.check_end(&world, refusals, users),
                Err(failure) => Ok(Err(failure)),
            }
        });
        let left = self.remove_directories(layout);
        let is_raw = layout.parameter.is_empty();
        if is_raw && !matches!(world.mode, Mode::Raw) {
            self.loaded = None;
        }
        match result? {
            Ok(()) => {
                left?;
                self.memory = Some(world.memory);
                Ok(Ok(Ran { steps, verdicts }))
            }
            Err(failure) => {
                self.reset();
                Ok(Err(failure))
            }
        }
    }

    /// Loads the driver, unless it is. Gives the number of its users.
    fn load(&mut self, layout: &'static Layout) -> Result<Option<u32>> {
        if let Some(loaded) = self.loaded.as_ref().filter(|loaded| std::ptr::eq(loaded.layout, layout)) {
            return Ok(loaded.users);
        }
        // First the old one goes.
        self.loaded = None;
        let parameters = [layout.parameter];
        let parameters = if layout.parameter.is_empty() { &[][..] } else { &parameters[..] };
        let config = Config::with(parameters)?;
        let users = kernel::users()?;
        self.loaded = Some(Loaded { layout, _config: config, users });
        Ok(users)
    }

    fn remove_directories(&self, layout: &Layout) -> Result<()> {
        for name in layout.names {
            match errno::result(fs::remove_dir(Path::new(runtime::WINDOWS).join(name))) {
                Ok(()) | Err(nix::errno::Errno::ENOENT) => (),
                Err(errno) => bail!("the directory {name} cannot be removed: {errno}"),
            }
        }
        Ok(())
    }

    /// Does all rounds.
    fn rounds(&mut self, shared: &Shared, family: &mut Family, world: &World) -> Result<Result<(), Failure>> {
        for range in rounds(&shared.steps) {
            let steps = &shared.steps[range.clone()];
            let (mut asked, mut outcomes) = (Vec::new(), vec![None; steps.len()]);
            for actor in 0..ACTORS {
                let own = |step: &&Step| step.operation.actor == actor && step.expect.is_some();
                let exits = steps.iter().filter(own).any(|step| matches!(step.operation.kind, Kind::Exit { .. }));
                if !exits && steps.iter().any(|step| own(&step)) {
                    (&shared.channels[actor].0).write_all(&order(Some(range.clone())))?;
                    asked.push(actor);
                }
            }
            for (step, outcome) in steps.iter().zip(&mut outcomes) {
                if let (Some(expect), true) = (&step.expect, is_of_root(step)) {
                    match root(&step.operation.kind, expect, &world.layout.names)? {
                        Ok(found) => *outcome = Some(found),
                        Err(found) => {
                            let text = format!("the driver tells\n{found}\nand the model\n{}", expect.text);
                            return Ok(Err(Failure { step: Some(step.number), text }));
                        }
                    }
                }
                if let (Kind::Exit { kill }, Some(_)) = (&step.operation.kind, &step.expect) {
                    family.one_ends(shared, step.operation.actor, *kill)?;
                    *outcome = Some(0.into());
                }
            }
            for actor in asked {
                for (step, outcome) in steps.iter().zip(&mut outcomes) {
                    if step.operation.actor != actor || step.expect.is_none() {
                        continue;
                    }
                    match family.outcome(shared, actor)? {
                        Ok(found) => *outcome = Some(found),
                        Err(text) => {
                            return Ok(Err(Failure { step: Some(step.number), text: format!("{step:?}: {text}") }));
                        }
                    }
                    if let (Kind::Fork { child }, Some(found)) = (&step.operation.kind, *outcome) {
                        if found.value > 0 {
                            family.adopt(*child, found.value as i32);
                        }
                    }
                }
            }
            for (step, outcome) in steps.iter().zip(outcomes) {
                if let Some(text) = outcome.and_then(|outcome| difference(step, outcome)) {
                    let text = format!("process {}, {:?}: {text}", step.operation.actor, step.operation.kind);
                    return Ok(Err(Failure { step: Some(step.number), text }));
                }
            }
        }
        Ok(Ok(()))
    }

    /// Compares what is left with the model: nothing but the memory's contents, and the counts of refusals.
    fn check_end(
        &mut self,
        world: &World,
        before: [u64; Refusal::ALL.len()],
        users: Option<u32>,
    ) -> Result<Result<(), Failure>> {
        let deadline = Instant::now() + FREE_TIMEOUT;
        loop {
            // A directory holds the other module.
            let (vmas, found) = (mappings()?, kernel::users()?);
            if vmas == 0 && found == users {
                break;
            }
            if Instant::now() > deadline {
                let left = format!("{vmas} VMAs, and {found:?} users of the module, not {users:?}");
                return Ok(Err(Failure::of(format!("after all processes have ended: {left}"))));
            }
            sleep(Duration::from_millis(5));
        }
        for (index, (reason, after)) in Refusal::ALL.into_iter().zip(refusals()?).enumerate() {
            let (found, expected) = (after - before[index], world.refusals[index]);
            if found != expected {
                let text = format!("{reason:?} was counted {found} times in debugfs, not {expected} times");
                return Ok(Err(Failure::of(text)));
            }
        }
        let found = self.host.sum(START, LENGTH)?;
        if found == world.memory.sum() {
            return Ok(Ok(()));
        }
        // Which page?
        for page in 0..LENGTH / PAGE {
            let start = START + page * PAGE;
            if self.host.sum(start, PAGE)? != world.memory.sum_of(start, PAGE) {
                let text = format!("the host finds other bytes than the model in the page at {start:#x}");
                return Ok(Err(Failure::of(text)));
            }
        }
        bail!("the sums differ, but those of all pages are the same")
    }
}

/// How an outcome differs from what was predicted.
fn difference(step: &Step, outcome: Outcome) -> Option<String> {
    let expect = step.expect.as_ref()?;
    let right = match expect.value {
        Value::Exactly(value) => outcome.value == value,
        Value::Positive => outcome.value > 0,
    };
    let name = |value: i64| match i32::try_from(-value) {
        Ok(number @ 1..=4095) => format!("{:?}", nix::errno::Errno::from_raw(number)),
        _ => format!("{value:#x}"),
    };
    if !right {
        let expected = match expect.value {
            Value::Exactly(value) => name(value),
            Value::Positive => "a number above 0".into(),
        };
        return Some(format!("it gives {} ({:#x}), and the model {expected}", name(outcome.value), outcome.data));
    }
    match expect.data {
        Some(data) if data != outcome.data => {
            Some(format!("it gives {}, but brings {:#x}, and the model {data:#x}", name(outcome.value), outcome.data))
        }
        _ => None,
    }
}

/// The processes of a sequence.
struct Family([Option<Child>; ACTORS]);

impl Family {
    fn start(shared: &Shared) -> Result<Self> {
        let mut family = Self([const { None }; ACTORS]);
        for actor in 0..FIRST_ACTORS {
            family.0[actor] = Some(Child::spawn(|| actor::run(actor, shared))?);
        }
        for (end, _) in &shared.channels {
            end.set_read_timeout(Some(POLL))?;
        }
        Ok(family)
    }

    fn adopt(&mut self, actor: usize, pid: i32) {
        self.0[actor] = Some(Child::adopt(Pid::from_raw(pid)));
    }

    /// What the process gives next; otherwise how it has died.
    fn outcome(&mut self, shared: &Shared, actor: usize) -> Result<Result<Outcome, String>> {
        let deadline = Instant::now() + ROUND_TIMEOUT;
        let mut bytes = [0; Outcome::BYTES];
        let mut filled = 0;
        while filled < bytes.len() {
            match (&shared.channels[actor].0).read(&mut bytes[filled..]) {
                Ok(0) => return Ok(Err("its process has closed the connection".into())),
                Ok(count) => filled += count,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    let child = self.0[actor].as_mut().context("there is no such process")?;
                    match child.is_running() {
                        Ok(true) if Instant::now() < deadline => (),
                        Ok(true) => return Ok(Err("it does not end".into())),
                        Ok(false) => return Ok(Err("its process has ended".into())),
                        Err(error) => return Ok(Err(format!("{error:#}"))),
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Ok(Outcome::from_bytes(bytes)))
    }

    fn one_ends(&mut self, shared: &Shared, actor: usize, kill: bool) -> Result<()> {
        let Some(child) = self.0[actor].take() else { return Ok(()) };
        if kill {
            child.kill()?;
            return Ok(());
        }
        (&shared.channels[actor].0).write_all(&order(None))?;
        crate::child::check(child.wait()?)
    }

    /// Ends all, and waits for them.
    fn end(mut self, shared: &Shared, kill: bool) -> Result<()> {
        (0..ACTORS).try_for_each(|actor| self.one_ends(shared, actor, kill))
    }
}

/// Does an operation of root. The inner error is what is found instead of the expected text.
fn root(kind: &Kind, expect: &Expect, names: &[&str]) -> Result<Result<Outcome, String>> {
    let path = |directory: usize| Path::new(runtime::WINDOWS).join(names[directory]);
    let write = |directory: usize, file: &str, text: &str| {
        let path = path(directory).join(file);
        let opened = fs::File::options().write(true).open(path);
        // At once, as echo does.
        opened.and_then(|mut file| file.write_all(format!("{text}\n").as_bytes()))
    };
    let result = match kind {
        Kind::Mode { minor, mode } => {
            let path = actor::path_of(*minor);
            fs::set_permissions(Path::new(std::ffi::OsStr::from_bytes(path.to_bytes())), Permissions::from_mode(*mode))
        }
        Kind::Make { directory } => fs::create_dir(path(*directory)),
        Kind::Set { directory, property, text } => write(*directory, property.as_str(), text),
        Kind::Enable { directory, text } => write(*directory, "enable", text),
        Kind::Remove { directory } => fs::remove_dir(path(*directory)),
        Kind::Look => {
            let found = look(names, &expect.text)?;
            return Ok(if found == expect.text { Ok(0.into()) } else { Err(found) });
        }
        other => bail!("{other:?} is not root's"),
    };
    Ok(Ok(match errno::result(result) {
        Ok(()) => 0.into(),
        Err(errno) => errno.into(),
    }))
}

/// What the model's `look()` tells, from debugfs, sysfs and configfs. The minor numbers are those that are expected,
/// each of which must be that of the window in the same line.
fn look(names: &[&str], expected: &str) -> Result<String> {
    let windows = fs::read_to_string("/sys/kernel/debug/map/windows")?;
    let mut text = String::new();
    for (window, line) in windows.lines().zip(expected.lines()) {
        let minor = line.split(' ').nth(1).unwrap_or_default();
        let attribute = |name: &str| -> Result<String> {
            let path = format!("/sys/class/map/map{minor}/{name}");
            Ok(fs::read_to_string(&path).with_context(|| path)?.trim().to_owned())
        };
        let (start, mappings) = (attribute("start")?, attribute("mappings")?);
        let minor = if window.contains(&format!("{start}+")) { minor } else { "?" };
        text += &format!("{window} {minor} {mappings}\n");
    }
    text += &format!("{}\n", mappings()?);
    for name in names {
        let minor = fs::read_to_string(Path::new(runtime::WINDOWS).join(name).join("minor"));
        text += &format!("{} ", minor.as_deref().map_or("-", str::trim));
    }
    Ok(text)
}

fn mappings() -> Result<u64> {
    Ok(fs::read_to_string("/sys/kernel/debug/map/mappings")?.trim().parse()?)
}

/// How often the driver has refused a call, for each reason.
fn refusals() -> Result<[u64; Refusal::ALL.len()]> {
    let text = fs::read_to_string("/sys/kernel/debug/map/refusals")?;
    let mut counts = [0; Refusal::ALL.len()];
    ensure!(text.lines().count() == counts.len(), "the refusals are {text}");
    for (count, line) in counts.iter_mut().zip(text.lines()) {
        *count = line.split_whitespace().next().context("no count")?.parse()?;
    }
    Ok(counts)
}

fn chmod(minor: u32, mode: u32) -> Result<()> {
    let path = actor::path_of(minor);
    let path = Path::new(std::ffi::OsStr::from_bytes(path.to_bytes()));
    fs::set_permissions(path, Permissions::from_mode(mode)).with_context(|| format!("{}", path.display()))
}
