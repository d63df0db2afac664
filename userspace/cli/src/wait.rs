// SPDX-License-Identifier: MIT OR Apache-2.0

//! `wait`: until bits of a value are what they should be.

use std::time::{Duration, Instant};

use crate::access::Reading;
use crate::context::Context;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::output::{Formatted, Hex};
use crate::place::{check_values, Place};
use crate::target::Purpose;

/// What is waited for.
pub struct Waiting {
    reading: Reading,
    /// Every bit counts that is set here.
    mask: u64,
    /// All bits that there are.
    all: u64,
    value: u64,
    timeout: Option<Duration>,
    interval: Duration,
}

impl Waiting {
    /// Maps `place`, whose bits in `mask`, or all, shall have the value `value`.
    pub fn of(
        ctx: &Context,
        place: Place,
        mask: Option<u64>,
        value: u64,
        timeout: Option<Duration>,
        interval: Duration,
    ) -> Result<Self, Failure> {
        if let Place::Range(area) = place {
            return Err(Failure::Usage(format!("{area} is a range: wait for one value or bit field of it")));
        }
        // Before a pattern says what it leaves out.
        ctx.target(place, Purpose::ReadAll)?;
        let reading = Reading::of(ctx, &[place], true)?.remove(0);
        let width = reading.width();
        let place = reading.place();
        let all = match place {
            Place::Address(_) | Place::Range(_) | Place::Register(_) => width.max(),
            Place::Field(location, field) if value > field.max() || mask.is_some_and(|mask| mask > field.max()) => {
                return Err(Failure::Usage(format!(
                    "{location}{field} is never that: its greatest value is {:#x}",
                    field.max()
                )))
            }
            Place::Field(_, field) => field.max(),
        };
        check_values(&[value, mask.unwrap_or_default()], width)?;
        let mask = mask.unwrap_or(all);
        if value & !mask != 0 {
            return Err(Failure::Usage(format!("the value {value:#x} has bits outside of the mask {mask:#x}")));
        }
        Ok(Self { reading, mask, all, value, timeout, interval })
    }

    /// Waits, and prints the value that ended it.
    pub fn run(&self, ctx: &mut Context, quiet: bool) -> Result<(), Failure> {
        // What was printed before is visible meanwhile.
        ctx.out.finish()?;
        let interrupt = Interrupt::on_signals();
        let start = Instant::now();
        loop {
            ctx.before_loads(self.reading.view())?;
            // Before the load: a process that was kept from running does not call that a timeout.
            let is_late = self.timeout.is_some_and(|timeout| start.elapsed() >= timeout);
            let found = self.reading.load(0)?;
            if found.value & self.mask == self.value {
                return self.reading.show(ctx, 0, found, quiet);
            }
            if interrupt.requested() {
                return Err(Failure::Interrupted(self.still(ctx, found)));
            }
            if is_late {
                return Err(Failure::TimedOut(self.still(ctx, found)));
            }
            let left = self.timeout.map_or(Duration::MAX, |timeout| timeout.saturating_sub(start.elapsed()));
            interrupt.sleep_until(Instant::now() + self.interval.min(left));
        }
    }

    /// What was waited for, and what there is.
    fn still(&self, ctx: &Context, found: Hex) -> String {
        let shown = |value| Formatted(Hex { value, ..found }, ctx.format);
        let (name, found, value) = (self.reading.name(0), shown(found.value), shown(self.value));
        match self.mask == self.all {
            true => format!("{name} is {found}, not {value}"),
            false => format!("{name} is {found}, and the bits {} are not {value}", shown(self.mask)),
        }
    }
}

/// Sleeps for `time`, or until a signal.
pub fn delay(time: Duration) -> Result<(), Failure> {
    if Interrupt::on_signals().sleep_until(Instant::now() + time) {
        return Ok(());
    }
    Err(Failure::Interrupted(format!("in a delay of {time:?}")))
}
