// SPDX-License-Identifier: MIT OR Apache-2.0

//! `completions` and `man`, from the definition of the arguments.

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Args;
use crate::context::Context;
use crate::failure::Failure;

/// Prints the completion script for `shell`.
pub fn completions(ctx: &mut Context, shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "devmap", &mut script);
    ctx.print(&String::from_utf8_lossy(&script))
}

/// Writes one page for the program and one for each command into `directory`.
pub fn man(directory: &Path) -> Result<(), Failure> {
    clap_mangen::generate_to(Args::command(), directory).map_err(Failure::file("write man pages to", directory))
}
