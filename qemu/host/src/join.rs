// SPDX-License-Identifier: MIT OR Apache-2.0

//! Waiting for threads.

use std::thread::ScopedJoinHandle;

use anyhow::{bail, Result};

/// Waits for a thread, and gives its result; a panic is an error, too.
pub fn join<T>(thread: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|_| bail!("a thread panicked"))
}

/// Waits for all threads, even if the first one failed, and gives the first error.
pub fn join_all<'scope>(threads: impl IntoIterator<Item = ScopedJoinHandle<'scope, Result<()>>>) -> Result<()> {
    let ends: Vec<_> = threads.into_iter().map(join).collect();
    ends.into_iter().collect()
}
