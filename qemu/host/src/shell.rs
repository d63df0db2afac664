// SPDX-License-Identifier: MIT OR Apache-2.0

//! A guest with the driver loaded and a shell on this terminal: `map-qemu shell`.

use std::{
    io::{self, IsTerminal},
    process::ExitCode,
    time::Duration,
};

use anyhow::{ensure, Result};
use map_protocol::{Dev, Job, Task};
use terminal_size::{terminal_size, Height, Width};

use crate::{memory::Memory, session::Guest, ui::Ui, Target};

/// Boots the guest and waits until its shell ends.
pub fn shell(target: Target, ui: &Ui) -> Result<ExitCode> {
    ensure!(
        io::stdin().is_terminal() && io::stdout().is_terminal(),
        "a shell needs a terminal; `map-qemu exec` runs a command without one"
    );
    let artifacts = crate::artifacts(target.kernel()?, ui)?;
    let (rows, columns) = size();
    let job = Job {
        channel: target.arch.channel.into(),
        dev: Dev::Devtmpfs,
        module: Some(Vec::new()),
        task: Task::Shell { rows, columns },
    };
    ui.step("Booting; `exit` ends the guest");
    // A person at a terminal has no deadline.
    Guest::new(&artifacts, "shell", job, Duration::MAX)?.attach(&Memory::new(target.arch)?)?;
    Ok(ExitCode::SUCCESS)
}

/// Lines and columns of this terminal, zeros if unknown.
fn size() -> (u16, u16) {
    terminal_size().map_or((0, 0), |(Width(columns), Height(rows))| (rows, columns))
}
