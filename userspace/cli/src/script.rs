// SPDX-License-Identifier: MIT OR Apache-2.0

//! `run`: accesses from a script, in one process.

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use clap::Parser;

use crate::access::{Change, Reading, Writing};
use crate::args::{ModifyArgs, ReadArgs, ValueOptions, WaitArgs, WriteArgs};
use crate::assignment::assignments;
use crate::context::Context;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::number::duration;
use crate::wait::{delay, Waiting};

/// A line.
#[derive(Debug, Parser)]
#[command(no_binary_name = true, disable_help_flag = true, disable_help_subcommand = true)]
pub enum Line {
    Read {
        #[command(flatten)]
        args: ReadArgs,
        #[command(flatten)]
        values: ValueOptions,
    },
    Write {
        #[command(flatten)]
        args: WriteArgs,
        #[command(flatten)]
        values: ValueOptions,
    },
    Modify {
        #[command(flatten)]
        args: ModifyArgs,
        #[command(flatten)]
        values: ValueOptions,
    },
    Wait {
        #[command(flatten)]
        args: WaitArgs,
        #[command(flatten)]
        values: ValueOptions,
    },
    Delay {
        #[arg(value_name = "TIME", value_parser = duration)]
        time: Duration,
    },
}

/// A line that is checked, and whose memory is mapped.
enum Step {
    Read { readings: Vec<Reading>, quiet: bool },
    Write { writings: Vec<Writing>, verify: bool },
    Wait { waiting: Box<Waiting>, quiet: bool },
    Delay(Duration),
}

/// Does what the lines of the script at `path` say.
pub fn run(ctx: &mut Context, path: &Path) -> Result<(), Failure> {
    let script = read(path)?;
    let at = |index: usize| format!("{}:{}", path.display(), index + 1);
    let mut steps = Vec::new();
    // All lines are parsed before the first is mapped: a script with a mistake opens nothing.
    let lines = script
        .lines()
        .enumerate()
        .map(|(index, text)| Ok((index, parse(text).map_err(|error| Failure::Usage(error).at(at(index)))?)));
    for (index, line) in lines.collect::<Result<Vec<_>, Failure>>()? {
        if let Some(line) = line {
            steps.push((index, prepare(ctx, line).map_err(|failure| failure.at(at(index)))?));
        }
    }
    let interrupt = Interrupt::on_signals();
    for (index, step) in steps {
        if interrupt.requested() {
            return Err(Failure::Interrupted("before this line".into()).at(at(index)));
        }
        act(ctx, &step).map_err(|failure| failure.at(at(index)))?;
        // A bus error would take it along.
        ctx.out.finish()?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, Failure> {
    let mut script = String::new();
    let result = match path == Path::new("-") {
        true => io::stdin().read_to_string(&mut script).map(drop),
        false => fs::read_to_string(path).map(|text| script = text),
    };
    result.map_err(Failure::file("read", path))?;
    Ok(script)
}

/// Reads a line; `None` if there is nothing on it.
pub fn parse(text: &str) -> Result<Option<Line>, String> {
    let words = shlex::split(text).ok_or_else(|| format!("`{text}` has a quotation mark that nothing closes"))?;
    if words.is_empty() {
        return Ok(None);
    }
    Line::try_parse_from(words).map(Some).map_err(|error| {
        // Up to the usage, which is that of a command line.
        let error = error.to_string();
        let lines = error.lines().take_while(|line| !line.is_empty()).map(str::trim);
        lines.collect::<Vec<_>>().join(" ").trim_start_matches("error: ").into()
    })
}

/// Checks a line, and maps its memory.
fn prepare(ctx: &mut Context, line: Line) -> Result<Step, Failure> {
    let with = |ctx: &mut Context, values: &ValueOptions, step: &mut dyn FnMut(&Context) -> Result<Step, Failure>| {
        let width = values.width.or(ctx.fixed_width());
        let (width, endian) = ctx.set_values(width, values.endian.or(ctx.fixed_endian()));
        let step = step(ctx);
        ctx.set_values(width, endian);
        step
    };
    match line {
        Line::Read { args, values } => with(ctx, &values, &mut |ctx| {
            Ok(Step::Read { readings: Reading::of(ctx, &args.places, args.force)?, quiet: args.quiet })
        }),
        Line::Write { args, values } => {
            let all = assignments(args.first, args.others)?;
            with(ctx, &values, &mut |ctx| {
                let writings = Writing::of(ctx, &all, args.neighbours)?;
                Writing::can_verify(&writings, args.verify)?;
                Ok(Step::Write { writings, verify: args.verify })
            })
        }
        Line::Modify { args, values } => {
            let change = Change::new(args.mask.zip(args.value), args.set, args.clear)?;
            with(ctx, &values, &mut |ctx| {
                Ok(Step::Write {
                    writings: vec![Writing::change(ctx, args.place, change, args.neighbours)?],
                    verify: args.verify,
                })
            })
        }
        Line::Wait { args, values } => with(ctx, &values, &mut |ctx| {
            let WaitArgs { place, value, mask, timeout, interval, quiet } = args;
            Ok(Step::Wait { waiting: Waiting::of(ctx, place, mask, value, timeout, interval)?.into(), quiet })
        }),
        Line::Delay { time } => Ok(Step::Delay(time)),
    }
}

fn act(ctx: &mut Context, step: &Step) -> Result<(), Failure> {
    match step {
        Step::Read { readings, quiet } => readings.iter().try_for_each(|reading| {
            ctx.before_loads(reading.view())?;
            reading.run(ctx, *quiet)
        }),
        Step::Write { writings, verify } => writings.iter().try_for_each(|writing| writing.run(ctx, *verify)),
        Step::Wait { waiting, quiet } => waiting.run(ctx, *quiet),
        Step::Delay(time) => {
            ctx.out.finish()?;
            delay(*time)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_command_a_comment_or_nothing() {
        for (text, is) in [
            ("read 0x10 -q", true),
            ("  write 0x10=1 0x20=2   # go", true),
            ("modify 0 --set 1 -w 8", true),
            ("wait 0:3 --value 1 --timeout 10ms", true),
            ("read 'iomem/no such'\\''name'", false),
            ("delay 5", true),
            ("", false),
            ("   ", false),
            ("# read 0", false),
        ] {
            assert_eq!(parse(text).is_ok_and(|line| line.is_some()), is, "{text}");
        }
        for (text, says) in [
            ("fill 0+4 1", "unrecognized subcommand 'fill'"),
            ("read", "<PLACE>"),
            ("read 0 --device x", "unexpected argument '--device'"),
            ("delay 5h", "`5h` is not a time"),
            ("wait 0", "--value <VALUE>"),
            ("read 'x", "a quotation mark that nothing closes"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(says) && !error.contains('\n'), "{text}: {error}");
        }
    }
}
