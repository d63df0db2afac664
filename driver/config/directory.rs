// SPDX-License-Identifier: GPL-2.0

//! The directory of a window.

use kernel::{
    new_mutex,
    page::PAGE_SIZE,
    prelude::*,
    sync::Mutex, //
};

use crate::{
    configfs::{
        Directory,
        File, //
    },
    driver,
    map_core::{
        switch,
        Draft,
        Line,
        Name,
        Property, //
    }, //
};

/// The number of the file `enable`; those before it are the properties.
const ENABLE: usize = Property::ALL.len();
/// The number of the file `reason`.
const REASON: usize = ENABLE + 1;

/// The directory of a window, which is added if it is enabled.
#[pin_data]
pub(crate) struct WindowDirectory {
    name: Name,
    #[pin]
    contents: Mutex<Contents>,
}

/// The contents of the files.
struct Contents {
    draft: Draft,
    /// The minor number of the window's node; 0 if it is not enabled.
    minor: u32,
    /// Why the last write was refused; empty if it was not.
    reason: Line,
}

impl Contents {
    /// Notes and logs the reason of a refusal. `error` is what the write fails with.
    fn refuse(&mut self, name: Name, reason: Line, error: Error) -> Error {
        pr_err!("{}: {}\n", name.as_str(), reason.as_str());
        self.reason = reason;
        error
    }

    /// Stores the value of a property.
    fn set(&mut self, name: Name, property: Property, text: &[u8]) -> Result {
        let file = property.as_str();
        if self.minor != 0 {
            let reason = Line::of(format_args!(
                "{file}: the window is enabled; disable it before a change"
            ));
            return Err(self.refuse(name, reason, EBUSY));
        }
        let stored = self.draft.set(property, text, PAGE_SIZE as u64);
        stored.map_err(|error| self.refuse(name, Line::of(format_args!("{file}: {error}")), EINVAL))
    }

    /// Adds the window.
    fn enable(&mut self, name: Name) -> Result {
        if self.minor != 0 {
            let reason = Line::of("enable: the window is enabled already");
            return Err(self.refuse(name, reason, EBUSY));
        }
        let window = self.draft.window(name).map_err(|error| {
            self.refuse(name, Line::of(format_args!("enable: {error}")), EINVAL)
        })?;
        // Here the driver logs the reason.
        self.minor = driver::add(Line::of(window).as_bytes(), &mut self.reason)?;
        Ok(())
    }

    /// Removes the window, if it was added.
    fn disable(&mut self) {
        if self.minor != 0 {
            driver::map_window_remove(self.minor);
            self.minor = 0;
        }
    }
}

impl Directory for WindowDirectory {
    // Only root may read physical addresses, as in /proc/iomem.
    const FILES: &'static [File] = &[
        File::writable(c"start", 0o600),
        File::writable(c"size", 0o644),
        File::writable(c"access", 0o644),
        File::writable(c"cache", 0o644),
        File::writable(c"shared", 0o644),
        File::writable(c"memory", 0o644),
        File::writable(c"huge", 0o644),
        File::writable(c"enable", 0o644),
        File::readable(c"reason", 0o400),
        File::readable(c"minor", 0o444),
    ];

    fn new(text: &[u8]) -> Result<impl PinInit<Self, Error>> {
        let name = Name::new(text).ok_or_else(|| {
            // There is no file yet that could have the reason.
            let quoted = Line::of(text.escape_ascii());
            pr_err!(
                "\"{}\": the name of a window has at most 31 of the characters a-z, 0-9, _ and -\n",
                quoted.as_str()
            );
            EINVAL
        })?;
        let contents = Contents {
            draft: Draft::default(),
            minor: 0,
            reason: Line::EMPTY,
        };
        Ok(try_pin_init!(Self {
            name,
            contents <- new_mutex!(contents),
        }))
    }

    fn show(&self, file: usize) -> Line {
        let contents = self.contents.lock();
        match Property::ALL.get(file) {
            Some(property) => Line::of(contents.draft.get(*property)),
            None if file == ENABLE => Line::of(u32::from(contents.minor != 0)),
            None if file == REASON => contents.reason,
            None => Line::of(contents.minor),
        }
    }

    fn store(&self, file: usize, text: &[u8]) -> Result {
        let mut contents = self.contents.lock();
        contents.reason = Line::EMPTY;
        if let Some(property) = Property::ALL.get(file) {
            return contents.set(self.name, *property, text);
        }
        let on = switch(text).map_err(|error| {
            let reason = Line::of(format_args!("enable: {error}"));
            contents.refuse(self.name, reason, EINVAL)
        })?;
        if on {
            contents.enable(self.name)
        } else {
            contents.disable();
            Ok(())
        }
    }

    fn removed(&self) {
        self.contents.lock().disable();
    }
}
