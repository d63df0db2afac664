// SPDX-License-Identifier: MIT OR Apache-2.0

//! `completions` and `man`, from the definition of the arguments.
//!
//! The completion script of a shell only calls the program, which then proposes the words: the commands and options
//! that are in the definition, and the names of the windows that there are at that moment.

use std::env;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Shells};
use clap_complete::Shell;
use devmap::driver::{self, Name};

use crate::args::Args;
use crate::base::Base;
use crate::context::Context;
use crate::failure::Failure;
use crate::place::place;

/// The environment variable that names the shell for which a completion script calls the program.
const REQUEST: &str = "DEVMAP_COMPLETE";

/// Proposes words and ends the process, if a completion script has called it.
pub fn complete() {
    // clap_complete looks for the variable only after the arguments and the current directory.
    if env::var_os(REQUEST).is_some() {
        CompleteEnv::with_factory(shown).var(REQUEST).complete();
    }
}

/// The definition without hidden commands, which clap_complete proposes where no other begins with the same letters.
fn shown() -> Command {
    let whole = Args::command();
    let commands = whole.get_subcommands().filter(|command| !command.is_hide_set());
    Command::new("devmap").version(env!("CARGO_PKG_VERSION")).args(whole.get_arguments()).subcommands(commands)
}

/// Proposes the windows that a place can begin with.
pub fn places() -> ArgValueCandidates {
    // Others begin with what numbers or options begin with.
    ArgValueCandidates::new(|| {
        candidates(|name| place(name.as_str()).is_ok_and(|place| place.base() == Some(Base::Window(*name))))
    })
}

/// Proposes all windows.
pub fn windows() -> ArgValueCandidates {
    ArgValueCandidates::new(|| candidates(|_| true))
}

/// The names for which `fits` holds; none if the driver cannot be asked, since nobody would read an error here.
fn candidates(fits: impl Fn(&Name) -> bool) -> Vec<CompletionCandidate> {
    let names = driver::names().unwrap_or_default();
    names.iter().filter(|name| fits(name)).map(|name| CompletionCandidate::new(name.as_str())).collect()
}

/// Prints the completion script for `shell`.
pub fn completions(ctx: &mut Context, shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    let shells = Shells::builtins();
    let completer = shells.completer(&shell.to_string()).expect("every shell that clap lists has a completer");
    completer.write_registration(REQUEST, "devmap", "devmap", "devmap", &mut script)?;
    ctx.print(&String::from_utf8_lossy(&script))
}

/// Writes one page for the program and one for each command into `directory`.
pub fn man(directory: &Path) -> Result<(), Failure> {
    clap_mangen::generate_to(Args::command(), directory).map_err(Failure::file("write man pages to", directory))
}
