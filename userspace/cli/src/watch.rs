// SPDX-License-Identifier: MIT OR Apache-2.0

//! `watch`: samples of a range, with the changes marked.

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anstyle::{Effects, Style};
use devmap::Width;
use nix::errno::Errno;
use nix::poll::{ppoll, PollFd, PollFlags};
use serde::ser::Error;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::access::Reading;
use crate::context::Context;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::json;
use crate::location::Location;
use crate::output::{Format, Formatted, Hex, Output};
use crate::place::Place;
use crate::screen::Screen;
use crate::snapshot::{changes, lines, FieldChange};
use crate::target::Known;

/// How often signals are checked for.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How many bytes a line on the terminal shows.
const LINE: usize = 16;

/// To the first line, and to clear the rest of a line or screen.
const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";

/// A value that is new or has changed.
#[derive(Serialize)]
struct Change {
    sample: u64,
    time: Seconds,
    #[serde(skip_serializing_if = "Option::is_none")]
    register: Option<String>,
    address: Location,
    #[serde(flatten, skip_serializing_if = "Option::is_none", serialize_with = "json::before")]
    before: Option<Hex>,
    #[serde(flatten, serialize_with = "json::value")]
    value: Hex,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<FieldChange>,
    #[serde(skip)]
    format: Format,
}

/// The time since the first sample.
#[derive(Clone, Copy)]
struct Seconds(Duration);

/// A number with six decimals.
impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = format!("{}.{:06}", self.0.as_secs(), self.0.subsec_micros());
        RawValue::from_string(text).map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.register {
            Some(register) => write!(f, "{register}: ")?,
            None => write!(f, "{}: ", self.address)?,
        }
        self.before.map_or(Ok(()), |before| write!(f, "{} -> ", Formatted(before, self.format)))?;
        Formatted(self.value, self.format).fmt(f)?;
        lines(&self.fields, self.format).iter().try_for_each(|line| write!(f, "\n{line}"))
    }
}

/// What is watched: the values of a range, or registers with names.
struct Subject {
    readings: Vec<Reading>,
    /// What it is called.
    title: String,
}

impl Subject {
    fn of(ctx: &Context, place: Place) -> Result<Self, Failure> {
        let readings = Reading::of(ctx, &[place], false)?;
        let title = match (place, &readings[..]) {
            (Place::Register(symbol), _) => symbol.to_string(),
            (_, [reading]) => {
                let area = reading.view().area();
                match area.base {
                    Some(_) => area.to_string(),
                    None => format!("{area} of {}", ctx.device.display()),
                }
            }
            _ => String::new(),
        };
        Ok(Self { readings, title })
    }

    /// Every value of every reading.
    fn sample(&self, ctx: &Context) -> Result<Vec<u64>, Failure> {
        let mut values = Vec::new();
        for reading in &self.readings {
            ctx.before_loads(reading.view())?;
            for offset in reading.offsets() {
                values.push(reading.load(offset)?.value);
            }
        }
        Ok(values)
    }

    /// Each value's reading, and its offset there.
    fn places(&self) -> impl Iterator<Item = (&Reading, usize)> {
        self.readings.iter().flat_map(|reading| reading.offsets().map(move |offset| (reading, offset)))
    }

    /// Prints every value of the first sample, and then those that have changed.
    fn list(
        &self,
        ctx: &mut Context,
        (sample, time): (u64, Seconds),
        before: Option<&[u64]>,
        now: &[u64],
    ) -> io::Result<()> {
        let format = ctx.format;
        for (index, (reading, offset)) in self.places().enumerate() {
            let (before, value) = (before.map(|before| before[index]), now[index]);
            if before == Some(value) {
                continue;
            }
            let (known, bits) = (reading.known(), reading.bits());
            let fields = match (known, before) {
                (Some(known), Some(before)) => changes(known, before, value),
                _ => Vec::new(),
            };
            ctx.out.emit(&Change {
                sample,
                time,
                register: known.map(Known::argument),
                address: reading.view().at(offset),
                before: before.map(|value| Hex { value, bits }),
                value: Hex { value, bits },
                fields,
                format,
            })?;
        }
        Ok(())
    }

    /// The whole screen: a title, and as many lines of values as fit.
    fn frame(&self, title: &str, format: Format, before: Option<&[u64]>, now: &[u64], height: usize) -> String {
        match &self.readings[..] {
            [reading] if reading.known().is_none() => {
                frame(title, reading.view().at(0), (reading.width(), format), before, now, height)
            }
            _ => {
                let lines = self.places().zip(now).enumerate().map(|(index, ((reading, _), value))| {
                    let name = reading.known().map(Known::argument).unwrap_or_default();
                    let value = Hex { value: *value, bits: reading.bits() }.in_column(format);
                    (name, value, before.is_some_and(|before| before[index] != now[index]))
                });
                frame_of_names(title, &lines.collect::<Vec<_>>(), height)
            }
        }
    }
}

/// Samples `place` every `interval`, `count` times or until a signal.
pub fn watch(ctx: &mut Context, place: Place, interval: Duration, count: Option<u64>) -> Result<(), Failure> {
    if let Place::Field(location, field) = place {
        return Err(Failure::Usage(format!("{location}{field} is a bit field: watch the whole value, {location}")));
    }
    let subject = Subject::of(ctx, place)?;
    let interrupt = Interrupt::on_signals();
    let mut screen = if ctx.out.is_terminal() { Some(Screen::enter(&mut ctx.out, &interrupt)?) } else { None };
    let mut before: Option<Vec<u64>> = None;
    let (mut samples, mut changes) = (0, 0u64);
    let mut due = Instant::now();
    let mut first = None;
    loop {
        samples += 1;
        let taken = Instant::now();
        let time = Seconds(taken - *first.get_or_insert(taken));
        let now = subject.sample(ctx)?;
        changes += before.iter().flatten().zip(&now).filter(|(before, now)| before != now).count() as u64;
        if let Some(screen) = &mut screen {
            let title = format!("{}, samples: {samples}, changes: {changes}, Ctrl-C ends", subject.title);
            // Queried each time, since the size may have changed.
            let height = terminal_size::terminal_size().map_or(24, |(_, height)| usize::from(height.0));
            let frame = subject.frame(&title, ctx.format, before.as_deref(), &now, height);
            screen.show(&mut ctx.out, frame)?;
        } else {
            subject.list(ctx, (samples, time), before.as_deref(), &now)?;
            ctx.out.finish()?;
        }
        before = Some(now);
        if count == Some(samples) {
            break;
        }
        due = next(due, Instant::now(), interval);
        wait_until(due, &mut ctx.out, screen.as_mut(), &interrupt)?;
        if interrupt.requested() {
            break;
        }
    }
    drop(screen);
    let what = match place {
        Place::Register(symbol) => symbol.to_string(),
        _ => subject.readings.first().map(|reading| reading.view().area().to_string()).unwrap_or_default(),
    };
    let summary = format!("watched {what}, samples: {samples}, changes: {changes}");
    if count != Some(samples) {
        return Err(Failure::Interrupted(summary));
    }
    ctx.note(&summary);
    Ok(())
}

/// When the next sample is due, `now` that the one which was `due` is taken. Those that were missed are not made up.
fn next(due: Instant, now: Instant, interval: Duration) -> Instant {
    let late = now.saturating_duration_since(due).as_nanos();
    // Less than the time that has passed.
    let late = late.checked_rem(interval.as_nanos()).unwrap_or_default() as u64;
    now + interval - Duration::from_nanos(late)
}

/// The whole screen: a title, and a line for each register that fits.
fn frame_of_names(title: &str, lines: &[(String, String, bool)], height: usize) -> String {
    let room = height.saturating_sub(2);
    let mut frame = format!("{HOME}{title}{CLEAR_LINE}\n");
    let width = lines.iter().map(|(name, ..)| name.len()).max().unwrap_or_default();
    for (name, value, changed) in lines.iter().take(room) {
        let style = if *changed { Style::new().effects(Effects::INVERT) } else { Style::new() };
        frame += &format!("{name:width$}  {style}{value}{style:#}{CLEAR_LINE}\n");
    }
    frame + &left_out(lines.len().saturating_sub(room)) + CLEAR_BELOW
}

/// The line about lines that do not fit.
fn left_out(lines: usize) -> String {
    match lines {
        0 => String::new(),
        lines => format!("lines that do not fit: {lines}{CLEAR_LINE}"),
    }
}

/// The whole screen: a title, and as many lines of values as fit.
fn frame(
    title: &str,
    start: Location,
    (width, format): (Width, Format),
    before: Option<&[u64]>,
    now: &[u64],
    height: usize,
) -> String {
    // One line for the title, and one for the number of omitted lines.
    let room = height.saturating_sub(2);
    let mut frame = format!("{HOME}{title}{CLEAR_LINE}\n");
    let per_line = match format {
        Format::Hex | Format::Decimal => LINE / width.bytes(),
        // Of four times as many digits.
        Format::Binary => (LINE / 4 / width.bytes()).max(1),
    };
    let marked = Style::new().effects(Effects::INVERT);
    for (line, values) in now.chunks(per_line).enumerate().take(room) {
        let first = line * per_line;
        frame += &start.plus(first * width.bytes()).to_string();
        for (index, value) in values.iter().enumerate() {
            let changed = before.is_some_and(|before| before[first + index] != *value);
            let style = if changed { marked } else { Style::new() };
            frame += &format!("  {style}{}{style:#}", Hex::of(*value, width).in_column(format));
        }
        frame += &format!("{CLEAR_LINE}\n");
    }
    frame + &left_out(now.len().div_ceil(per_line).saturating_sub(room)) + CLEAR_BELOW
}

/// Waits until `due`, or for a signal to end; fails once nobody reads the output any more.
fn wait_until(
    due: Instant,
    out: &mut Output,
    mut screen: Option<&mut Screen>,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    while !interrupt.requested() {
        if let Some(screen) = &mut screen {
            screen.obey(out)?;
        }
        let left = due.saturating_duration_since(Instant::now());
        if !has_reader(left.min(POLL_INTERVAL))? {
            return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
        }
        if left.is_zero() {
            break;
        }
    }
    Ok(())
}

/// Whether somebody may still read standard output after this time. It is shorter if nobody does, or after a signal.
fn has_reader(time: Duration) -> io::Result<bool> {
    let stdout = io::stdout();
    let mut files = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    match ppoll(&mut files, Some(time.into()), None) {
        Ok(_) => Ok(files[0].any() != Some(true)),
        Err(Errno::EINTR) => Ok(true),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_marks_what_has_changed_and_counts_what_it_omits() {
        let (before, now) = ([1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 0xff, 4, 5, 6, 7, 8, 9]);
        let frame = frame("title", 0x1000.into(), (Width::Bits32, Format::Hex), Some(&before), &now, 4);
        let plain = frame.replace("\x1b[H", "").replace("\x1b[K", "").replace("\x1b[J", "");
        assert_eq!(
            plain,
            "title\n\
             0x00001000  00000001  00000002  \x1b[7m000000ff\x1b[0m  00000004\n\
             0x00001010  00000005  00000006  00000007  00000008\n\
             lines that do not fit: 1"
        );
    }

    #[test]
    fn missed_samples_are_left_out_and_the_others_stay_on_time() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let interval = Duration::from_millis(10);
        for (due, now, expected) in
            [(0, 0, 10), (0, 3, 10), (0, 10, 20), (20, 29, 30), (20, 34, 40), (0, 60_005, 60_010)]
        {
            assert_eq!(next(at(due), at(now), interval), at(expected), "{due}, {now}");
        }
        assert_eq!(next(at(0), at(5), Duration::ZERO), at(5));
    }
}
