// SPDX-License-Identifier: MIT OR Apache-2.0

//! QEMU's monitor, which depends on neither the guest's kernel nor the driver.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    time::Duration,
};

use anyhow::{bail, Context, Result};
use serde_json::{json, Value};

/// How long QEMU may take to answer.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// A connection to the monitor of a running QEMU.
#[derive(Debug)]
pub struct Qmp {
    writer: UnixStream,
    reader: BufReader<UnixStream>,
}

impl Qmp {
    /// Connects to the monitor at the other end of `stream`.
    pub fn connect(stream: UnixStream) -> Result<Self> {
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        let mut monitor = Self { writer: stream.try_clone()?, reader: BufReader::new(stream) };
        let greeting = monitor.recv()?;
        if greeting.get("QMP").is_none() {
            bail!("QEMU's monitor greeted with {greeting}");
        }
        monitor.execute("qmp_capabilities", json!({}))?;
        Ok(monitor)
    }

    /// Runs a command of the human monitor, and gives its output.
    pub fn human(&mut self, line: &str) -> Result<String> {
        let answer = self.execute("human-monitor-command", json!({ "command-line": line }))?;
        let text = answer.as_str().context("QEMU's monitor answered with no text")?;
        Ok(text.replace('\r', ""))
    }

    /// Stops the machine.
    pub fn stop(&mut self) -> Result<()> {
        self.execute("stop", json!({})).map(drop)
    }

    /// Resumes the machine.
    pub fn cont(&mut self) -> Result<()> {
        self.execute("cont", json!({})).map(drop)
    }

    /// Plugs in memory module `number`, of `size` bytes.
    pub fn plug_memory(&mut self, number: usize, size: u64) -> Result<()> {
        let (memory, device) = (format!("memory{number}"), format!("dimm{number}"));
        self.execute("object-add", json!({ "qom-type": "memory-backend-ram", "id": memory, "size": size }))?;
        self.execute("device_add", json!({ "driver": "pc-dimm", "id": device, "memdev": memory }))?;
        Ok(())
    }

    /// Presses the machine's power button for a moment.
    pub fn press_power_button(&mut self) -> Result<()> {
        self.execute("system_powerdown", json!({})).map(drop)
    }

    fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let message = json!({ "execute": command, "arguments": arguments });
        writeln!(self.writer, "{message}").context("QEMU's monitor is gone")?;
        loop {
            let mut answer = self.recv()?;
            if let Some(error) = answer.get("error") {
                bail!("QEMU's monitor refuses {command}: {error}");
            }
            // Events arrive in between.
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
        }
    }

    fn recv(&mut self) -> Result<Value> {
        let mut line = String::new();
        let count = self.reader.read_line(&mut line).context("QEMU's monitor does not answer")?;
        if count == 0 {
            bail!("QEMU's monitor is gone");
        }
        serde_json::from_str(&line).with_context(|| format!("QEMU's monitor sent {line:?}"))
    }
}
