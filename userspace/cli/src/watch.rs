// SPDX-License-Identifier: MIT OR Apache-2.0

//! `watch`: samples of a range, with the changes marked.

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anstyle::{Effects, Style};
use devmap::{Operation, Width};
use nix::errno::Errno;
use nix::poll::{ppoll, PollFd, PollFlags};
use serde::ser::Error;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::context::Context;
use crate::failure::{self, Failure};
use crate::interrupt::Interrupt;
use crate::json;
use crate::location::Location;
use crate::output::{Format, Formatted, Hex, Output};
use crate::place::Place;
use crate::screen::Screen;
use crate::view::View;

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
    address: Location,
    #[serde(flatten, skip_serializing_if = "Option::is_none", serialize_with = "json::before")]
    before: Option<Hex>,
    #[serde(flatten, serialize_with = "json::value")]
    value: Hex,
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
        let value = Formatted(self.value, self.format);
        match self.before {
            Some(before) => write!(f, "{}: {} -> {value}", self.address, Formatted(before, self.format)),
            None => write!(f, "{}: {value}", self.address),
        }
    }
}

/// Samples `place` every `interval`, `count` times or until a signal.
pub fn watch(ctx: &mut Context, place: Place, interval: Duration, count: Option<u64>) -> Result<(), Failure> {
    if let Place::Field(location, field) = place {
        return Err(Failure::Usage(format!("{location}{field} is a bit field: watch the whole value, {location}")));
    }
    let width = ctx.value_width();
    let mapping = ctx.map_for_reading(place.area(width).map_err(Failure::Usage)?)?;
    mapping.bulk().with_width(width).check(Operation::Read, 0, mapping.len())?;
    let area = mapping.area();
    let interrupt = Interrupt::on_signals();
    let mut screen = if ctx.out.is_terminal() { Some(Screen::enter(&mut ctx.out, &interrupt)?) } else { None };
    let mut before: Option<Vec<u64>> = None;
    let (mut samples, mut changes) = (0, 0u64);
    let mut due = Instant::now();
    let mut first = None;
    loop {
        samples += 1;
        ctx.before_loads(&mapping)?;
        let taken = Instant::now();
        let time = Seconds(taken - *first.get_or_insert(taken));
        let now = values(&mapping, width)?;
        changes += before.iter().flatten().zip(&now).filter(|(before, now)| before != now).count() as u64;
        if let Some(screen) = &mut screen {
            let title = match area.base {
                Some(_) => area.to_string(),
                None => format!("{area} of {}", ctx.device.display()),
            };
            let title = format!("{title}, samples: {samples}, changes: {changes}, Ctrl-C ends");
            // Queried each time, since the size may have changed.
            let height = terminal_size::terminal_size().map_or(24, |(_, height)| usize::from(height.0));
            let frame = frame(&title, area.start(), (width, ctx.format), before.as_deref(), &now, height);
            screen.show(&mut ctx.out, frame)?;
        } else {
            list(ctx, samples, time, &mapping, before.as_deref(), &now)?;
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
    let summary = format!("watched {area}, samples: {samples}, changes: {changes}");
    if count != Some(samples) {
        return Err(Failure::Interrupted(summary));
    }
    failure::say(format!("devmap: {summary}"));
    Ok(())
}

/// When the next sample is due, `now` that the one which was `due` is taken. Those that were missed are not made up.
fn next(due: Instant, now: Instant, interval: Duration) -> Instant {
    let late = now.saturating_duration_since(due).as_nanos();
    // Less than the time that has passed.
    let late = late.checked_rem(interval.as_nanos()).unwrap_or_default() as u64;
    now + interval - Duration::from_nanos(late)
}

fn values(mapping: &View, width: Width) -> Result<Vec<u64>, Failure> {
    let offsets = (0..mapping.len()).step_by(width.bytes());
    Ok(offsets.map(|offset| mapping.read_value(width, offset)).collect::<devmap::Result<_>>()?)
}

/// Prints every value of the first sample, and then those that have changed.
fn list(
    ctx: &mut Context,
    sample: u64,
    time: Seconds,
    mapping: &View,
    before: Option<&[u64]>,
    now: &[u64],
) -> io::Result<()> {
    let (width, format) = (ctx.value_width(), ctx.format);
    for (index, value) in now.iter().enumerate() {
        let before = before.map(|before| before[index]);
        if before != Some(*value) {
            ctx.out.emit(&Change {
                sample,
                time,
                address: mapping.at(index * width.bytes()),
                before: before.map(|before| Hex::of(before, width)),
                value: Hex::of(*value, width),
                format,
            })?;
        }
    }
    Ok(())
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
    let left = now.len().div_ceil(per_line).saturating_sub(room);
    if left > 0 {
        frame += &format!("lines that do not fit: {left}{CLEAR_LINE}");
    }
    frame + CLEAR_BELOW
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
