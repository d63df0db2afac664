// SPDX-License-Identifier: MIT OR Apache-2.0

//! The drivers of `alarm` and `button` in one thread of tokio, which sleeps until any of their interrupts comes.
//!
//! `alarm_async rtc 2 gpio 3` ends when the alarm rings, two seconds from now, and tells of the button meanwhile.

use std::env;
use std::error::Error;
use std::process::ExitCode;

use devmap::{Device, Interrupt};
use tokio::io::unix::AsyncFd;
use tokio::io::Interest;
use tokio::runtime::Builder;

#[path = "alarm.rs"]
#[allow(dead_code, reason = "its main function is for its own program")]
mod alarm;
#[path = "button.rs"]
#[allow(dead_code, reason = "its main function is for its own program")]
mod button;

/// An interrupt as an event loop sees it.
pub struct Events(AsyncFd<Interrupt>);

/// What ends a wait: an interrupt, or that the device is gone.
const EITHER: Interest = Interest::READABLE.add(Interest::ERROR);

impl Events {
    /// Those of `interrupt`, in the runtime that calls it.
    pub fn of(interrupt: &Interrupt) -> std::io::Result<Self> {
        // SAFETY: An interrupt keeps its device open, with the same descriptor, as long as it exists.
        Ok(Self(unsafe { AsyncFd::register_with_interest(interrupt.clone(), EITHER) }?))
    }

    /// How often it has come since the last call, once it has.
    pub async fn next(&self) -> std::io::Result<u64> {
        loop {
            let mut ready = self.0.ready(EITHER).await?;
            let count = self.0.get_ref().take()?;
            // What comes from here on makes it ready again.
            ready.clear_ready();
            if count != 0 {
                return Ok(count);
            }
        }
    }
}

/// Tells of the button as long as it runs.
async fn watch(button: button::Button) -> std::io::Result<()> {
    let events = Events::of(button.interrupt())?;
    loop {
        events.next().await?;
        if button.acknowledge() {
            println!("the button was pressed");
        }
        button.interrupt().arm()?;
    }
}

/// Waits for the alarm of this clock, and meanwhile for the button at this pin.
async fn run(rtc: Device, seconds: u32, gpio: Device, pin: u32) -> Result<(), Box<dyn Error>> {
    let alarm = alarm::Alarm::new(&rtc)?;
    let events = Events::of(alarm.interrupt())?;
    let watching = tokio::spawn(watch(button::Button::new(&gpio, pin)?));
    println!("the alarm is set to {} s", alarm.set(seconds)?);
    events.next().await?;
    alarm.acknowledge();
    println!("it rang");
    if watching.is_finished() {
        watching.await??;
    }
    Ok(())
}

fn main() -> ExitCode {
    let words: Vec<_> = env::args().skip(1).collect();
    let numbers = |words: &[String]| Some((words[1].parse().ok()?, words[3].parse().ok()?));
    let Some((seconds, pin)) = Some(&words[..]).filter(|words| words.len() == 4).and_then(numbers) else {
        eprintln!("alarm_async: give a clock, a number of seconds, a GPIO, and the number of a pin");
        return ExitCode::from(2);
    };
    let runtime = Builder::new_current_thread().enable_io().build();
    let ran = runtime
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(run(alarm::open(&words[0])?, seconds, alarm::open(&words[2])?, pin)));
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("alarm_async: {error}");
            ExitCode::FAILURE
        }
    }
}
