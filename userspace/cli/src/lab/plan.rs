// SPDX-License-Identifier: MIT OR Apache-2.0

//! The expected outcome of touching every byte of a mapping: the rules, as pure functions of the page size.

use std::ops::Range;

use devmap::page::PageSize;
use devmap::{Error, Layout, PhysRange, Zone};
use nix::sys::signal::Signal;

use super::touch::Touch;
use crate::failure::Failure;

/// The expected outcome for some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Each has the value that the file has there.
    Data,
    /// Each is 0.
    Zeros,
    /// Each has some value.
    Anything,
    /// Each is fatal.
    Killed(Signal),
}

/// Bytes with the same expected outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub bytes: Range<usize>,
    pub what: &'static str,
    pub expected: Expected,
    /// How it is drawn.
    pub mark: char,
}

/// The meaning of each mark of a drawing.
pub const MARKS: [(char, &str); 6] = [
    ('=', "file's data"),
    ('#', "device memory"),
    ('-', "mapped besides"),
    (':', "rest of the file's last page"),
    ('!', "SIGBUS"),
    ('x', "SIGSEGV"),
];

/// A mapping, and the expected outcome for each byte from its first to a page after its last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How many bytes to request of mmap(2).
    pub length: usize,
    pub runs: Vec<Run>,
}

impl Plan {
    /// For `length` mapped bytes of a file of `file_length` bytes, which has known values in the first `data` bytes and
    /// 0 in the others.
    pub fn of_file(data: usize, file_length: usize, length: usize, page_size: PageSize) -> Result<Self, Failure> {
        let range = asked(length)?;
        let layout = Layout::new(range, file_length as u64, page_size).ok_or(Error::TooLong { range })?;
        let mut runs = Vec::new();
        for (bytes, zone) in layout.zones() {
            let (what, expected, mark) = match zone {
                Zone::Data => ("data of the file", Expected::Data, '='),
                Zone::Tail => ("rest of the file's last page", Expected::Zeros, ':'),
                Zone::BeyondEnd => ("page beyond the file's end", Expected::Killed(Signal::SIGBUS), '!'),
                Zone::Outside => continue,
            };
            runs.push(Run { bytes, what, expected, mark });
        }
        // Bytes that are mapped beyond the request, and bytes that the file has gained since it was written.
        split(&mut runs, length, beyond_request);
        split(&mut runs, data, |run| match run.expected {
            Expected::Data => Run { what: "data of the file, new", expected: Expected::Zeros, ..run },
            _ => run,
        });
        Ok(Self { length, runs }.with_outside(page_size))
    }

    /// For `length` mapped bytes of a device.
    pub fn of_device(length: usize, page_size: PageSize) -> Result<Self, Failure> {
        let range = asked(length)?;
        let pages = page_size.enclose(range).ok_or(Error::TooLong { range })?;
        let device = Run { bytes: 0..pages.length, what: "device memory", expected: Expected::Anything, mark: '#' };
        let mut runs = vec![device];
        split(&mut runs, length, beyond_request);
        Ok(Self { length, runs }.with_outside(page_size))
    }

    /// The same, followed by a page that is not mapped.
    fn with_outside(mut self, page_size: PageSize) -> Self {
        let start = self.end();
        self.runs.push(Run {
            bytes: start..start + page_size.bytes() as usize,
            what: "outside of the mapping",
            expected: Expected::Killed(Signal::SIGSEGV),
            mark: 'x',
        });
        self
    }

    /// Where touching ends.
    pub fn end(&self) -> usize {
        self.runs.last().map_or(0, |run| run.bytes.end)
    }

    /// How many bytes can be touched before the first signal.
    pub fn reach(&self) -> usize {
        let fatal = self.runs.iter().find(|run| matches!(run.expected, Expected::Killed(_)));
        fatal.map_or(self.end(), |run| run.bytes.start)
    }
}

/// The requested bytes, from the start of a file or device.
fn asked(length: usize) -> Result<PhysRange, Failure> {
    PhysRange::new(0, length as u64).ok_or_else(|| Failure::Usage("a mapping has at least one byte".into()))
}

/// The run, mapped beyond the request.
fn beyond_request(run: Run) -> Run {
    Run { what: "the same, up to the page's end", mark: '-', ..run }
}

/// Splits a run that extends on both sides of `at`, and applies `later` to all runs from `at` on.
fn split(runs: &mut Vec<Run>, at: usize, later: impl Fn(Run) -> Run) {
    let mut parts = Vec::new();
    for run in runs.drain(..) {
        let Range { start, end } = run.bytes;
        let middle = at.clamp(start, end);
        let halves = [(start..middle, false), (middle..end, true)];
        for (bytes, is_later) in halves.into_iter().filter(|(bytes, _)| !bytes.is_empty()) {
            let part = Run { bytes, ..run.clone() };
            parts.push(if is_later { later(part) } else { part });
        }
    }
    *runs = parts;
}

/// The value of a file of an experiment at `offset`: never 0, and different from its neighbours.
pub fn data(offset: usize) -> u8 {
    b'A' + (offset % 26) as u8
}

/// The text of an expected outcome.
pub fn expectation(expected: Expected) -> &'static str {
    match expected {
        Expected::Data => "the file's bytes",
        Expected::Zeros => "zeros",
        Expected::Anything => "can be read",
        Expected::Killed(signal) => signal.as_str(),
    }
}

/// The text of the outcome `found` for `run`.
pub fn outcome(run: &Run, found: &[Touch]) -> String {
    let is = |expected: Expected| {
        found.iter().zip(run.bytes.clone()).all(|(touch, offset)| match (expected, touch) {
            (Expected::Data, Touch::Value(value)) => *value == data(offset),
            (Expected::Zeros, Touch::Value(value)) => *value == 0,
            (Expected::Anything, Touch::Value(_)) => true,
            (Expected::Killed(signal), Touch::Killed(by)) => signal == *by,
            _ => false,
        })
    };
    let known = [run.expected, Expected::Data, Expected::Zeros];
    if let Some(expected) = known.into_iter().find(|expected| is(*expected)) {
        return expectation(expected).into();
    }
    match found {
        [Touch::Killed(signal), ..] if is(Expected::Killed(*signal)) => signal.to_string(),
        _ if is(Expected::Anything) => "other values".into(),
        _ => "mixed".into(),
    }
}

/// The first and the last value, if there are values.
pub fn values(found: &[Touch]) -> Option<String> {
    match found {
        [Touch::Value(one)] => Some(format!("{one:#04x}")),
        [Touch::Value(first), .., Touch::Value(last)] => Some(format!("{first:#04x}, {last:#04x}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [usize; 3] = [0x1000, 0x4000, 0x1_0000];

    fn summary(plan: &Plan) -> Vec<(Range<usize>, Expected)> {
        plan.runs.iter().map(|run| (run.bytes.clone(), run.expected)).collect()
    }

    fn page_size(bytes: usize) -> PageSize {
        PageSize::new(bytes as u64).unwrap()
    }

    #[test]
    fn a_part_of_a_file_reaches_to_the_end_of_its_last_page() {
        for page in SIZES {
            let (file, length) = (9500 * page / 4096, 6000 * page / 4096);
            let plan = Plan::of_file(file, file, length, page_size(page)).unwrap();
            assert_eq!(
                summary(&plan),
                [
                    (0..length, Expected::Data),
                    (length..2 * page, Expected::Data),
                    (2 * page..3 * page, Expected::Killed(Signal::SIGSEGV)),
                ]
            );
            assert_eq!((plan.end(), plan.reach()), (3 * page, 2 * page));
        }
    }

    #[test]
    fn beyond_the_end_there_is_a_tail_and_then_a_signal() {
        for page in SIZES {
            let file = 2200 * page / 4096;
            let plan = Plan::of_file(file, file, 2 * page, page_size(page)).unwrap();
            assert_eq!(
                summary(&plan),
                [
                    (0..file, Expected::Data),
                    (file..page, Expected::Zeros),
                    (page..2 * page, Expected::Killed(Signal::SIGBUS)),
                    (2 * page..3 * page, Expected::Killed(Signal::SIGSEGV)),
                ]
            );
            assert_eq!(plan.reach(), page);
            // After it has grown.
            let plan = Plan::of_file(file, 2 * page, 2 * page, page_size(page)).unwrap();
            assert_eq!(
                summary(&plan),
                [
                    (0..file, Expected::Data),
                    (file..2 * page, Expected::Zeros),
                    (2 * page..3 * page, Expected::Killed(Signal::SIGSEGV)),
                ]
            );
        }
    }

    #[test]
    fn the_tutorials_file_on_larger_pages() {
        // 2200 bytes of which 8192 are mapped are one page of 16 KiB, and no SIGBUS.
        let plan = Plan::of_file(2200, 2200, 8192, page_size(0x4000)).unwrap();
        assert_eq!(
            summary(&plan),
            [
                (0..2200, Expected::Data),
                (2200..8192, Expected::Zeros),
                (8192..0x4000, Expected::Zeros),
                (0x4000..0x8000, Expected::Killed(Signal::SIGSEGV)),
            ]
        );
    }

    #[test]
    fn a_device_has_no_end_of_file() {
        for page in SIZES {
            let plan = Plan::of_device(page + 1, page_size(page)).unwrap();
            assert_eq!(
                summary(&plan),
                [
                    (0..page + 1, Expected::Anything),
                    (page + 1..2 * page, Expected::Anything),
                    (2 * page..3 * page, Expected::Killed(Signal::SIGSEGV)),
                ]
            );
        }
        assert!(Plan::of_device(0, page_size(0x1000)).is_err());
        assert!(Plan::of_device(usize::MAX, page_size(0x1000)).is_err());
    }

    #[test]
    fn an_outcome_is_named_whatever_was_expected() {
        let run = |expected| Run { bytes: 1..3, what: "", expected, mark: '=' };
        let (data, zeros) = ([Touch::Value(b'B'), Touch::Value(b'C')], [Touch::Value(0); 2]);
        let (bus, segv) = ([Touch::Killed(Signal::SIGBUS); 2], [Touch::Killed(Signal::SIGSEGV); 2]);
        let mixed = [Touch::Value(b'B'), Touch::Killed(Signal::SIGBUS)];
        for (found, text) in [
            (data, "the file's bytes"),
            (zeros, "zeros"),
            (bus, "SIGBUS"),
            (segv, "SIGSEGV"),
            (mixed, "mixed"),
            ([Touch::Value(b'B'), Touch::Value(b'B')], "other values"),
        ] {
            for expected in [Expected::Data, Expected::Zeros, Expected::Killed(Signal::SIGBUS)] {
                assert_eq!(outcome(&run(expected), &found), text);
            }
        }
        assert_eq!(outcome(&run(Expected::Anything), &zeros), "can be read");
        assert_eq!((values(&data), values(&bus)), (Some("0x42, 0x43".into()), None));
    }
}
