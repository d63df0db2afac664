// SPDX-License-Identifier: MIT OR Apache-2.0

//! `lab`: experiments at the edges of a mapping on this machine, compared with the rules.
//!
//! The sizes are those that tutorials use on pages of 4 KiB, scaled to the page size, so that the same zones exist on
//! every machine.

mod plan;
mod report;
mod touch;

use std::env;
use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use clap::ValueEnum;
use devmap::driver::{Protection, Sharing, Verdict, Window};
use devmap::page::{self, PageSize};
use devmap::{Device, Error, Kind, PhysRange};
use nix::errno::Errno;

use crate::context::{Access, Context};
use crate::failure::Failure;
use crate::location::Location;
use crate::number::short;
use crate::output::Address;
use crate::probe::{Probe, Request};
use plan::{data, expectation, outcome, values, Plan};
use report::{Part, Report, Row};
pub use touch::{child, TouchArgs};
use touch::{touch, Touch};

/// The experiments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Experiment {
    /// A part of a file is mapped, whose length is not a multiple of the page size
    Partial,
    /// More is mapped than the file has
    BeyondEof,
    /// The same, and then the file grows
    Grow,
    /// Lengths and offsets within a page
    Rounding,
    /// The same edges on the device, with two of its pages loaded byte by byte
    Device,
    /// All of them
    All,
}

impl Experiment {
    fn name(self) -> &'static str {
        match self {
            Self::Partial => "partial",
            Self::BeyondEof => "beyond-eof",
            Self::Grow => "grow",
            Self::Rounding => "rounding",
            Self::Device => "device",
            Self::All => "all",
        }
    }
}

/// The byte to store and to search for: no byte of a file has this value before.
const MARK: u8 = b'*';

/// Does the experiments, and fails if the machine deviates from the rules.
pub fn lab(ctx: &mut Context, experiment: Experiment, start: Option<Location>) -> Result<(), Failure> {
    use Experiment::{All, BeyondEof, Grow, Partial, Rounding};
    if start.is_some() && !matches!(experiment, All | Experiment::Device) {
        return Err(Failure::Usage("only the experiment `device` has an address".into()));
    }
    let page_size = page::system();
    let chosen = match experiment {
        All => vec![Partial, BeyondEof, Grow, Rounding, Experiment::Device],
        one => vec![one],
    };
    let may_leave_out = experiment == All && start.is_none();
    let (mut rows, mut wrong) = (0, 0);
    for (index, experiment) in chosen.into_iter().enumerate() {
        let report = match experiment {
            Partial => partial(page_size),
            BeyondEof => beyond_eof(page_size),
            Grow => grow(page_size),
            Rounding => rounding(page_size),
            Experiment::Device | All => device(ctx, start, page_size),
        };
        let report = match report {
            // Nobody has asked for the device alone, or for a place in it.
            Err(reason @ (Failure::Device(_) | Failure::Usage(_))) if may_leave_out => {
                ctx.note(&format!("`device` was left out: {reason}"));
                continue;
            }
            report => report?,
        };
        rows += report.rows().count();
        wrong += report.rows().filter(|row| !row.agrees).count();
        if ctx.out.is_json() {
            report.rows().try_for_each(|row| ctx.out.emit_json(row))?;
        } else {
            ctx.print(if index > 0 { "\n" } else { "" })?;
            ctx.print(&report.to_string())?;
        }
        // These results are visible even if a later experiment fails.
        ctx.out.finish()?;
    }
    verdict(wrong, rows)
}

/// The outcome of the command, if the machine deviates in `wrong` of all rows.
fn verdict(wrong: usize, rows: usize) -> Result<(), Failure> {
    match wrong {
        0 => Ok(()),
        _ => Err(Failure::Differs(format!("this machine does not do what the rules say in {wrong} of {rows} cases"))),
    }
}

/// A tutorial's number of bytes, scaled to pages of this size.
fn scaled(bytes: usize, page_size: PageSize) -> usize {
    bytes * page_size.bytes() as usize / 4096
}

/// A file without a name, which disappears with its last descriptor.
fn file(length: usize) -> Result<File, Failure> {
    let directory = env::temp_dir();
    let failed = Failure::file("create a file in", &directory);
    let mut file = tempfile::tempfile().map_err(&failed)?;
    let contents: Vec<_> = (0..length).map(data).collect();
    file.write_all(&contents).map_err(&failed)?;
    Ok(file)
}

fn row(experiment: Experiment, place: String, what: &str, expected: &str, happened: String) -> Row {
    let agrees = happened == expected;
    let (what, expected) = (what.into(), expected.into());
    Row { experiment: experiment.name(), place, what, expected, happened, values: None, agrees }
}

/// A row for each run of `plan`, with the outcome of touching its bytes.
fn compare(experiment: Experiment, plan: &Plan, found: &[Touch]) -> Vec<Row> {
    let rows = plan.runs.iter().map(|run| {
        let found = &found[run.bytes.clone()];
        let place = format!("load {}", bytes(&run.bytes));
        let happened = outcome(run, found);
        Row { values: values(found), ..row(experiment, place, run.what, expectation(run.expected), happened) }
    });
    rows.collect()
}

/// Bytes by their first and last.
fn bytes(range: &Range<usize>) -> String {
    match range.len() {
        1 => range.start.to_string(),
        _ => format!("{}-{}", range.start, range.end - 1),
    }
}

/// Stores into bytes of the mapping, and checks whether the file has them afterwards.
fn store(
    experiment: Experiment,
    file: &File,
    length: usize,
    range: Range<usize>,
    what: &str,
    expected: &str,
) -> Result<Row, Failure> {
    let args = TouchArgs { first: range.start, store: Some(MARK), ..TouchArgs::load(0, length, range.end) };
    let before = file_length(file)?;
    let found = touch(file, args)?;
    let mut contents = vec![0; file_length(file)?];
    file.read_exact_at(&mut contents, 0)?;
    let is_mark = |byte: &u8| *byte == MARK;
    let happened = if found.iter().any(|touch| matches!(touch, Touch::Killed(_))) {
        "killed".into()
    } else if contents.len() != before {
        format!("the file has {} bytes", contents.len())
    } else if contents.get(range.clone()).is_some_and(|bytes| bytes.iter().all(is_mark)) {
        "in the file".into()
    } else if contents.iter().any(is_mark) {
        "elsewhere in the file".into()
    } else {
        "not in the file".into()
    };
    let place = format!("store {}", bytes(&range));
    Ok(Row { values: values(&found), ..row(experiment, place, what, expected, happened) })
}

fn file_length(file: &File) -> Result<usize, Failure> {
    Ok(file.metadata()?.len() as usize)
}

fn partial(page_size: PageSize) -> Result<Report, Failure> {
    let (size, length) = (scaled(9500, page_size), scaled(6000, page_size));
    let file = file(size)?;
    let plan = Plan::of_file(size, size, length, page_size)?;
    let mut rows = compare(Experiment::Partial, &plan, &touch(&file, TouchArgs::load(0, length, plan.end()))?);
    let last = plan.reach() - 1..plan.reach();
    rows.push(store(Experiment::Partial, &file, length, last, "last byte that is mapped", "in the file")?);
    let title = format!("partial: a file of {size} bytes, {length} of them mapped; {}", pages(page_size));
    Ok(Report { page_size, title, parts: vec![Part::Zones(plan), Part::Rows(rows)] })
}

fn beyond_eof(page_size: PageSize) -> Result<Report, Failure> {
    let (size, length) = (scaled(2200, page_size), scaled(8192, page_size));
    let file = file(size)?;
    let plan = Plan::of_file(size, size, length, page_size)?;
    let mut rows = compare(Experiment::BeyondEof, &plan, &touch(&file, TouchArgs::load(0, length, plan.end()))?);
    let tail = size..plan.reach();
    rows.push(store(Experiment::BeyondEof, &file, length, tail, "rest of the file's last page", "not in the file")?);
    let title = format!("beyond-eof: a file of {size} bytes, {length} mapped; {}", pages(page_size));
    Ok(Report { page_size, title, parts: vec![Part::Zones(plan), Part::Rows(rows)] })
}

fn grow(page_size: PageSize) -> Result<Report, Failure> {
    let (size, length) = (scaled(2200, page_size), scaled(8192, page_size));
    let file = file(size)?;
    let before = Plan::of_file(size, size, length, page_size)?;
    let fatal = before.reach();
    let found = touch(&file, TouchArgs::load(0, length, before.end()))?;
    let rows_before = compare(Experiment::Grow, &before, &found);

    // The process that touches the mapping makes it, before the file grows.
    let after = Plan::of_file(size, length, length, page_size)?;
    let args = TouchArgs { grow: Some(length as u64), ..TouchArgs::load(0, length, after.end()) };
    let mut rows_after = compare(Experiment::Grow, &after, &touch(&file, args)?);
    let once_fatal = fatal..fatal + 1;
    rows_after.push(store(Experiment::Grow, &file, length, once_fatal, "where SIGBUS was", "in the file")?);

    let title = format!("grow: a file of {size} bytes, {length} mapped; {}", pages(page_size));
    let parts = vec![
        Part::Zones(before),
        Part::Rows(rows_before),
        Part::Line(format!("With the mapping in place, ftruncate(2) makes the file {length} bytes long:")),
        Part::Zones(after),
        Part::Rows(rows_after),
    ];
    Ok(Report { page_size, title, parts })
}

fn rounding(page_size: PageSize) -> Result<Report, Failure> {
    const THIS: Experiment = Experiment::Rounding;
    let page = page_size.bytes() as usize;
    let size = 3 * page;
    let file = file(size)?;
    let mut rows = Vec::new();
    for length in [1, page - 1, page, page + 1, scaled(5000, page_size), 2 * page] {
        let plan = Plan::of_file(size, size, length, page_size)?;
        let found = touch(&file, TouchArgs::load(0, length, plan.end()))?;
        let reach = found.iter().take_while(|touch| matches!(touch, Touch::Value(_))).count();
        let end = match found.get(reach) {
            Some(Touch::Killed(signal)) => signal.as_str(),
            _ => "nothing",
        };
        let expected = format!("{} bytes, then SIGSEGV", plan.reach());
        let happened = format!("{reach} bytes, then {end}");
        rows.push(row(THIS, format!("length {length}"), "bytes that can be touched", &expected, happened));
    }
    let map = |offset, length| Request { offset, length, writable: false, private: false };
    for (place, what, request, expected) in [
        ("length 0", "no byte at all", map(0, 0), Err(Errno::EINVAL)),
        ("offset 1", "no multiple of the page size", map(1, page), Err(Errno::EINVAL)),
        (
            &format!("offset {}", page - 96),
            "no multiple of the page size",
            map(page as u64 - 96, page),
            Err(Errno::EINVAL),
        ),
        (&format!("offset {page}"), "a multiple of the page size", map(page as u64, page), Ok(())),
    ] {
        rows.push(row(THIS, place.into(), what, &mapped(expected), mapped(try_to_map(&file, request)?)));
    }
    let plan = Plan::of_file(size, size, scaled(5000, page_size), page_size)?;
    let title = format!("rounding: a file of {size} bytes; {}", pages(page_size));
    let line = format!("{} bytes mapped:", plan.length);
    Ok(Report { page_size, title, parts: vec![Part::Line(line), Part::Zones(plan), Part::Rows(rows)] })
}

/// The result of making a mapping, without touching it.
fn try_to_map(file: &File, request: Request) -> Result<Result<(), Errno>, Failure> {
    match Probe::new(file, request, 0) {
        Ok(_) => Ok(Ok(())),
        Err(error) => Ok(Err(error.raw_os_error().map_or(Errno::ENOMEM, Errno::from_raw))),
    }
}

/// The text of a result of mmap(2).
fn mapped(result: Result<(), Errno>) -> String {
    result.map_or_else(|errno| format!("{errno:?}"), |()| "mapped".into())
}

/// The memory for the experiment `device`.
struct DeviceRange {
    start: u64,
    /// The last byte that can be mapped together with the first, as far as is known.
    last: u64,
}

impl DeviceRange {
    /// At `address`, or else the first window of memory.
    fn find(device: &Device, address: Option<u64>, page_size: PageSize) -> Result<Self, Failure> {
        // A device of another driver fails here, with or without an address.
        let windows = device.windows()?;
        let Some(start) = address else {
            let first = offsets(device, first_of_memory(&windows)?);
            return Ok(Self { start: first.start(), last: first.last() });
        };
        if page_size.round_down(start) != start {
            let (page, start) = (Address(page_size.round_down(start)), Address(start));
            return Err(Failure::Usage(format!("{start} lies within a page: start at {page}")));
        }
        let one = PhysRange::new(start, page_size.bytes())
            .ok_or_else(|| Failure::Usage(format!("{} is not the address of a page", Address(start))))?;
        let granted = |pages: u64| device.check(start, pages * page_size.bytes(), Protection::READ, Sharing::Shared);
        let window = match granted(1)? {
            Verdict::Granted { window, .. } => window,
            Verdict::Refused(refused) => {
                return Err(Error::Refused { path: device.path().into(), range: one, refused }.into())
            }
        };
        let last = match (window, granted(2)?) {
            (Some(window), _) => offsets(device, &window).last(),
            (None, Verdict::Granted { .. }) => start + 2 * page_size.bytes() - 1,
            (None, Verdict::Refused(_)) => one.last(),
        };
        Ok(Self { start, last })
    }
}

/// The first window that is known to be memory: a load may change registers.
fn first_of_memory(windows: &[Window]) -> Result<&Window, Failure> {
    windows.iter().find(|window| window.reserved || window.memory).ok_or_else(|| {
        let lacks = match windows {
            [] => "the driver has no windows",
            _ => "no window is known to be memory, by a reserved node or the option `memory`",
        };
        Failure::Usage(format!("{lacks}: give the address of memory that may be read"))
    })
}

/// The offsets of `window` in `device`, which lists it.
fn offsets(device: &Device, window: &Window) -> PhysRange {
    match device.kind() {
        // The length is at least 1.
        Kind::Window { .. } => PhysRange::new(0, window.range.length()).unwrap_or(window.range),
        _ => window.range,
    }
}

fn device(ctx: &Context, start: Option<Location>, page_size: PageSize) -> Result<Report, Failure> {
    const THIS: Experiment = Experiment::Device;
    let start = start.map(|start| ctx.locate(start)).transpose()?;
    let device = ctx.open(start.and_then(|start| start.base), Access::Read)?;
    let DeviceRange { start, last } = DeviceRange::find(&device, start.map(|start| start.address), page_size)?;
    let file = File::open(device.path()).map_err(Failure::file("open", device.path()))?;
    let page = page_size.bytes();
    // Up to the tutorial's second page, if there is one.
    let asked = scaled(if last - start < 2 * page - 1 { 1904 } else { 6000 }, page_size);
    let plan = Plan::of_device(asked, page_size)?;
    let mut rows = compare(THIS, &plan, &touch(&file, TouchArgs::load(start, asked, plan.end()))?);

    // The driver is asked about the same arguments that mmap(2) then gets.
    let last_page = page_size.round_down(last);
    for (place, what, offset, length, private) in [
        ("length 0".into(), "no byte at all", start, 0, false),
        (format!("offset {:#x}", start + 1), "no multiple of the page size", start + 1, page, false),
        (format!("offset {last_page:#x}"), "last page and the one behind it", last_page, 2 * page, false),
        (format!("offset {start:#x}"), "private", start, page, true),
    ] {
        let sharing = if private { Sharing::Private } else { Sharing::Shared };
        let expected = match device.check(offset, length, Protection::READ, sharing)? {
            Verdict::Granted { .. } => "mapped".into(),
            Verdict::Refused(refused) => refused.errno_name(),
        };
        let request = Request { offset, length: length as usize, writable: false, private };
        rows.push(row(THIS, place, what, &expected, mapped(try_to_map(&file, request)?)));
    }
    let title = format!(
        "device: {} at {}, {asked} bytes mapped; {}",
        device.path().display(),
        Address(start),
        pages(page_size)
    );
    Ok(Report { page_size, title, parts: vec![Part::Zones(plan), Part::Rows(rows)] })
}

fn pages(page_size: PageSize) -> String {
    format!("pages of {} ({})", page_size.bytes(), short(page_size.bytes()))
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::Signal;

    use super::*;

    const PAGE: PageSize = PageSize::new(4096).unwrap();

    fn found(plan: &Plan) -> Vec<Touch> {
        let touches = plan.runs.iter().flat_map(|run| {
            run.bytes.clone().map(|offset| match run.expected {
                plan::Expected::Data => Touch::Value(data(offset)),
                plan::Expected::Zeros => Touch::Value(0),
                plan::Expected::Anything => Touch::Value(7),
                plan::Expected::Killed(signal) => Touch::Killed(signal),
            })
        });
        touches.collect()
    }

    #[test]
    fn a_machine_that_disagrees_is_reported() {
        let plan = Plan::of_file(2200, 2200, 8192, PAGE).unwrap();
        let mut touches = found(&plan);
        assert!(compare(Experiment::BeyondEof, &plan, &touches).iter().all(|row| row.agrees));
        touches[2200] = Touch::Value(1);
        touches[4096..8192].fill(Touch::Killed(Signal::SIGSEGV));
        let rows = compare(Experiment::BeyondEof, &plan, &touches);
        let agree: Vec<_> = rows.iter().map(|row| row.agrees).collect();
        assert_eq!(agree, [true, false, false, true]);
        assert_eq!((rows[1].happened.as_str(), rows[2].happened.as_str()), ("other values", "SIGSEGV"));
        let report = Report { page_size: PAGE, title: "title".into(), parts: vec![Part::Rows(rows)] };
        let text = report.to_string();
        assert_eq!(text.matches("<- DIFFERS").count(), 2, "{text}");
        assert!(text.contains("\nload 4096-8191   page beyond the file's end    SIGBUS            SIGSEGV"), "{text}");
    }

    #[test]
    fn a_machine_that_disagrees_is_status_1() {
        assert!(verdict(0, 40).is_ok());
        let failure = verdict(2, 40).unwrap_err();
        assert_eq!(failure.to_string(), "this machine does not do what the rules say in 2 of 40 cases");
        assert_eq!(failure.status(), 1);
    }

    #[test]
    fn without_an_address_only_memory_is_loaded() {
        let window = |start| Window::new(PhysRange::new(start, 0x1000).unwrap());
        let registers = window(0xfe00_0000);
        let (mut reserved, mut declared) = (window(0xc000_0000), window(0xd000_0000));
        (reserved.reserved, declared.memory) = (true, true);
        for memory in [reserved, declared] {
            assert_eq!(first_of_memory(&[registers, memory]).unwrap(), &memory);
        }
        for (windows, says) in [
            (&[][..], "the driver has no windows: give the address of memory that may be read"),
            (
                &[registers],
                "no window is known to be memory, by a reserved node or the option `memory`: give the address of memory \
                 that may be read",
            ),
        ] {
            let failure = first_of_memory(windows).unwrap_err();
            assert_eq!((failure.to_string().as_str(), failure.status()), (says, 2));
        }
    }

    #[test]
    fn a_report_is_a_drawing_and_a_table() {
        let plan = Plan::of_file(2200, 2200, 8192, PAGE).unwrap();
        let rows = compare(Experiment::BeyondEof, &plan, &found(&plan));
        let report =
            Report { page_size: PAGE, title: "title".into(), parts: vec![Part::Zones(plan), Part::Rows(rows)] };
        assert_eq!(
            report.to_string(),
            "title\n\
             \n\
             0                        4096                     8192\n\
             |=============:::::::::::|!!!!!!!!!!!!!!!!!!!!!!!!|xxxxxxxxxxxxxxxxxxxxxxxx|\n\
             = file's data   : rest of the file's last page   ! SIGBUS   x SIGSEGV\n\
             \n\
             touched          what it is                    expected          happened          first, last value\n\
             load 0-2199      data of the file              the file's bytes  the file's bytes  0x41, 0x50\n\
             load 2200-4095   rest of the file's last page  zeros             zeros             0x00, 0x00\n\
             load 4096-8191   page beyond the file's end    SIGBUS            SIGBUS            -\n\
             load 8192-12287  outside of the mapping        SIGSEGV           SIGSEGV           -\n"
        );
    }
}
