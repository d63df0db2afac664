// SPDX-License-Identifier: MIT OR Apache-2.0

//! Interrupts: `wait-irq`, and what `info` and `windows` list.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use devmap::driver::Name;
use devmap::{Device, Interrupts, DEFAULT_DEVICE};
use serde::Serialize;

use crate::base::{is_uio, window, Base};
use crate::context::{Access, Context};
use crate::failure::Failure;
use crate::interrupt::{Interrupt, NAP};
use crate::output::counted;

/// The interrupts of a device, as an argument names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    device: Named,
    /// The name of one, or its index; `None` for all of the device.
    which: Option<String>,
}

/// A device with interrupts, as an argument names it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Named {
    Window(Name),
    /// A node of UIO in /dev.
    Uio(String),
    /// The path of a node; if there is nothing, its last part is the name of an interrupt.
    Path(PathBuf),
}

/// Reads NAME, NAME/IRQ, or the path of a node with or without /IRQ.
pub fn line(text: &str) -> Result<Line, String> {
    if text.starts_with(['/', '.']) {
        return Ok(Line { device: Named::Path(text.into()), which: None });
    }
    let (name, which) = match text.split_once('/') {
        Some((_, "")) => {
            return Err(format!("`{text}` ends in /: give the name or the index of an interrupt behind it"))
        }
        Some((name, which)) => (name, Some(which.to_owned())),
        None => (text, None),
    };
    let device = if is_uio(name) { Named::Uio(name.into()) } else { Named::Window(window(name)?) };
    Ok(Line { device, which })
}

impl Line {
    /// With the interrupt's name split off a path that does not exist, if it does without.
    fn resolved(self) -> Self {
        let Named::Path(path) = &self.device else { return self };
        match (path.exists(), path.parent(), path.file_name().and_then(|name| name.to_str())) {
            (false, Some(node), Some(which)) if node.exists() && !node.is_dir() => {
                Self { device: Named::Path(node.into()), which: Some(which.into()) }
            }
            _ => self,
        }
    }

    fn open(&self, ctx: &Context) -> Result<Device, Failure> {
        match &self.device {
            Named::Window(name) => ctx.open(Some(Base::Window(*name)), Access::Write),
            Named::Uio(node) if ctx.device == Path::new(DEFAULT_DEVICE) => Ok(Device::open(format!("/dev/{node}"))?),
            Named::Uio(node) => {
                let device = ctx.device.display();
                Err(Failure::Usage(format!("{node} is a device of its own, but the device is {device}")))
            }
            Named::Path(path) => Ok(Device::open(path)?),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.device {
            Named::Window(name) => name.fmt(f),
            Named::Uio(node) => node.fmt(f),
            Named::Path(path) => path.display().fmt(f),
        }?;
        self.which.as_ref().map_or(Ok(()), |which| write!(f, "/{which}"))
    }
}

/// What has come of an interrupt.
#[derive(Serialize)]
struct Came {
    interrupt: String,
    index: usize,
    name: String,
    count: u64,
    #[serde(skip)]
    quiet: bool,
}

impl fmt::Display for Came {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.quiet {
            true => self.count.fmt(f),
            false => write!(f, "{}: {}", self.interrupt, counted(self.count, "interrupt")),
        }
    }
}

/// `wait-irq`: prints what comes, until `wanted` have come.
pub fn wait(ctx: &mut Context, line: Line, wanted: u64, timeout: Option<Duration>, quiet: bool) -> Result<(), Failure> {
    let line = line.resolved();
    let device = line.open(ctx)?;
    let interrupts = device.interrupts()?;
    let one = line.which.as_deref().map(|which| interrupts.find(which)).transpose()?;
    let name = Line { which: None, ..line.clone() }.to_string();
    // What was printed before is visible meanwhile.
    ctx.out.finish()?;
    let ours = interrupts.iter().filter(|it| one.is_none_or(|one| one.index() == it.index()));
    let (signal, start) = (Interrupt::on_signals(), Instant::now());
    ours.clone().try_for_each(|it| it.arm())?;
    let mut came = 0;
    loop {
        // Before the wait: a process that was kept from running does not call that a timeout.
        let left = timeout.map_or(Duration::MAX, |timeout| timeout.saturating_sub(start.elapsed()));
        let counts = waited(&interrupts, one, left.min(NAP))?;
        let before = came;
        for (it, count) in interrupts.iter().zip(counts).filter(|(_, count)| *count != 0) {
            came += count;
            let interrupt = format!("{name}/{it}");
            ctx.out.emit(&Came { interrupt, index: it.index(), name: it.name().into(), count, quiet })?;
        }
        ctx.out.finish()?;
        if came >= wanted {
            return Ok(());
        }
        let so_far = || format!("{line}: {came} of {}", counted(wanted, "interrupt"));
        if signal.requested() {
            return Err(Failure::Interrupted(so_far()));
        }
        if left.is_zero() {
            return Err(Failure::TimedOut(so_far()));
        }
        if came != before {
            ours.clone().try_for_each(|it| it.arm())?;
        }
    }
}

/// How often each has come within `time`, or only this one.
fn waited(interrupts: &Interrupts, one: Option<&devmap::Interrupt>, time: Duration) -> Result<Vec<u64>, Failure> {
    let Some(one) = one else { return Ok(interrupts.wait(Some(time))?) };
    let mut counts = vec![0; interrupts.iter().len()];
    counts[one.index()] = one.wait(Some(time))?;
    Ok(counts)
}

/// An interrupt and its state, for lists.
#[derive(Clone, Debug, Serialize)]
pub struct Listed {
    index: usize,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    trigger: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    masked: Option<bool>,
    count: u64,
}

/// The interrupts of `device`; none if it has none, or goes.
pub fn list(device: &Device) -> Vec<Listed> {
    let Ok(interrupts) = device.interrupts() else { return Vec::new() };
    let each = interrupts.iter().map_while(|interrupt| {
        let state = interrupt.state().ok()?;
        let trigger = state.trigger.map(|trigger| trigger.to_string());
        let (index, name) = (interrupt.index(), interrupt.name().into());
        Some(Listed { index, name, trigger, masked: state.masked, count: state.count })
    });
    each.collect()
}

/// The columns of an interrupt in a table.
pub const HEADINGS: [&str; 5] = ["interrupt", "name", "trigger", "masked", "count"];

impl Listed {
    /// Its cells. None is empty, so that scripts can split the line.
    pub fn cells(&self) -> [String; HEADINGS.len()] {
        let name = Some(self.name.as_str()).filter(|name| !name.is_empty()).unwrap_or("-");
        let masked = self.masked.map_or("-", |masked| if masked { "yes" } else { "no" });
        let trigger = self.trigger.as_deref().unwrap_or("-");
        [self.index.to_string(), name.into(), trigger.into(), masked.into(), self.count.to_string()]
    }

    /// How often it has come.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Its index.
    pub fn index(&self) -> usize {
        self.index
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn alarm() -> Listed {
        let trigger = Some("level".into());
        Listed { index: 0, name: "alarm".into(), trigger, masked: Some(true), count: 3 }
    }

    pub fn of_uio() -> Listed {
        Listed { index: 0, name: String::new(), trigger: None, masked: None, count: u32::MAX.into() }
    }

    fn named(device: Named, which: Option<&str>) -> Result<Line, String> {
        Ok(Line { device, which: which.map(Into::into) })
    }

    #[test]
    fn a_window_a_uio_device_and_a_path_have_names() {
        let rtc = Named::Window(window("rtc").unwrap());
        assert_eq!(line("rtc"), named(rtc.clone(), None));
        assert_eq!(line("rtc/alarm"), named(rtc.clone(), Some("alarm")));
        assert_eq!(line("rtc/0"), named(rtc.clone(), Some("0")));
        // All behind the first / is the interrupt.
        assert_eq!(line("rtc/tx,0/b"), named(rtc, Some("tx,0/b")));
        assert_eq!(line("uio12"), named(Named::Uio("uio12".into()), None));
        assert_eq!(line("uio0/0"), named(Named::Uio("uio0".into()), Some("0")));
        assert_eq!(line("/dev/map1"), named(Named::Path("/dev/map1".into()), None));
        // No number can stand here, so this is a window.
        assert_eq!(line("3d"), named(Named::Window(window("3d").unwrap()), None));
        for (text, says) in
            [("rtc/", "ends in /"), ("RTC", "not the name of a window"), ("", "not the name"), ("a+4", "name")]
        {
            assert!(line(text).unwrap_err().contains(says), "{text}");
        }
        for text in ["rtc", "rtc/alarm", "uio0/0", "/dev/map1"] {
            assert_eq!(line(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn the_end_of_a_path_is_an_interrupt_if_nothing_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let node = directory.path().join("map1");
        std::fs::write(&node, "").unwrap();
        let resolved = |path: &Path| line(path.to_str().unwrap()).unwrap().resolved();
        assert_eq!(Ok(resolved(&node)), named(Named::Path(node.clone()), None));
        assert_eq!(Ok(resolved(&node.join("alarm"))), named(Named::Path(node.clone()), Some("alarm")));
        // The error is that of the whole path.
        let absent = directory.path().join("map2");
        assert_eq!(Ok(resolved(&absent)), named(Named::Path(absent.clone()), None));
        assert_eq!(Ok(resolved(&absent.join("alarm"))), named(Named::Path(absent.join("alarm")), None));
    }

    #[test]
    fn what_has_come_is_a_line_or_an_object() {
        let came = |count, quiet| Came { interrupt: "rtc/alarm".into(), index: 0, name: "alarm".into(), count, quiet };
        assert_eq!(came(1, false).to_string(), "rtc/alarm: 1 interrupt");
        assert_eq!(came(3, false).to_string(), "rtc/alarm: 3 interrupts");
        assert_eq!(came(3, true).to_string(), "3");
        let json = serde_json::to_string(&came(3, true)).unwrap();
        assert_eq!(json, r#"{"interrupt":"rtc/alarm","index":0,"name":"alarm","count":3}"#);
    }

    #[test]
    fn what_is_not_known_is_left_out_or_a_dash() {
        assert_eq!(alarm().cells(), ["0", "alarm", "level", "yes", "3"]);
        assert_eq!(of_uio().cells(), ["0", "-", "-", "-", "4294967295"]);
        assert_eq!(serde_json::to_string(&of_uio()).unwrap(), r#"{"index":0,"name":"","count":4294967295}"#);
        assert_eq!(
            serde_json::to_string(&alarm()).unwrap(),
            r#"{"index":0,"name":"alarm","trigger":"level","masked":true,"count":3}"#
        );
    }
}
