// SPDX-License-Identifier: MIT OR Apache-2.0

//! The parsing of plain arguments, in a fraction of the time that the whole definition takes.
//!
//! To parse one command, clap builds the definitions of all of them. Here it builds only that of the command that the
//! first argument names, with the options of every command. This accepts nothing that the whole definition does not
//! accept, with the same result. Whatever it does not accept, the caller parses with the whole definition: every help,
//! every suggestion and every error comes from there.

use std::ffi::OsString;

/// The fuzzer parses millions of times, and so frees.
#[cfg(fuzzing)]
use std::boxed::Box as Kept;
#[cfg(not(fuzzing))]
use std::mem::ManuallyDrop as Kept;

use clap::{ArgMatches, Args as _, FromArgMatches};

use crate::args::{Args, Command, Options};

/// Parses the arguments of this process, the name of the program first. `None` unless they are a command and arguments
/// that are valid for it.
pub fn parse(arguments: &[OsString]) -> Option<Args> {
    let [_program, command, rest @ ..] = arguments else { return None };
    match command.to_str()? {
        "read" => parse_as(rest, Command::Read),
        "write" => parse_as(rest, Command::Write),
        "modify" => parse_as(rest, Command::Modify),
        "wait" => parse_as(rest, Command::Wait),
        "wait-irq" => parse_as(rest, Command::WaitIrq),
        "run" => parse_as(rest, Command::Run),
        "registers" => parse_as(rest, Command::Registers),
        "snapshot" => parse_as(rest, Command::Snapshot),
        "diff" => parse_as(rest, Command::Diff),
        "dump" => parse_as(rest, Command::Dump),
        "fill" => parse_as(rest, Command::Fill),
        "load" => parse_as(rest, Command::Load),
        "save" => parse_as(rest, Command::Save),
        "copy" => parse_as(rest, Command::Copy),
        "compare" => parse_as(rest, Command::Compare),
        "verify" => parse_as(rest, Command::Verify),
        "search" => parse_as(rest, Command::Search),
        "test" => parse_as(rest, Command::Test),
        "watch" => parse_as(rest, Command::Watch),
        "info" => parse_as(rest, Command::Info),
        "windows" => parse_as(rest, Command::Windows),
        "check" => parse_as(rest, Command::Check),
        "explain" => parse_as(rest, Command::Explain),
        "lab" => parse_as(rest, Command::Lab),
        "lab-touch" => parse_as(rest, Command::LabTouch),
        "completions" => parse_as(rest, Command::Completions),
        "man" => parse_as(rest, Command::Man),
        _ => None,
    }
}

/// Parses the arguments of one command.
fn parse_as<C: clap::Args>(arguments: &[OsString], command: fn(C) -> Command) -> Option<Args> {
    // Without an option for help, a request for it is an error, and so left to the whole definition.
    let definition = clap::Command::new("devmap").no_binary_name(true).disable_help_flag(true);
    let mut matches = matches(Options::augment_args(C::augment_args(definition)), arguments)?;
    let command = command(C::from_arg_matches_mut(&mut matches).ok()?);
    Some(Args { options: Options::from_arg_matches_mut(&mut matches).ok()?, command: Some(command) })
}

/// What `definition` makes of `arguments`. Neither it nor the result is freed: the process needs them once, and their
/// many small parts take long to free.
fn matches(definition: clap::Command, arguments: &[OsString]) -> Option<Kept<ArgMatches>> {
    let mut definition = Kept::new(definition);
    definition.try_get_matches_from_mut(arguments).ok().map(Kept::new)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use clap::{CommandFactory, Parser};
    use proptest::prelude::*;

    use super::*;

    /// Arguments that a command takes, and that are parsed here.
    const VALID: &[&str] = &[
        "read 0xc0000064",
        "read 0x10:7:4 0+16 sdram sdram+0x64",
        "read 0 -w 8 --endian big --json --device /dev/zero --window sdram --sync-cache",
        "read -w8 0 --endian=little 1",
        "read --width=16 -- 0",
        "read --device=a 0",
        "read help",
        "read 0 -w 8 -w 16 --width=32",
        "read 0 --json --json --sync-cache --sync-cache",
        "read 0 --endian be --endian le --device a --device b --window a --window b",
        "write 0 1 2 3",
        "write 0:7:4 5 --verify -w 64",
        "write 0 1 --",
        "write 0=1 sdram+4=2 4:7:4=5",
        "write 0",
        "read 0 -q --format binary --base 0x1000",
        "read --pci 0000:01:00.0/0 4 uio0/regs+8 pci/01:00.0/5",
        "read 0 --o-sync --format decimal",
        "wait 0 --value 1 --mask 1 --timeout 2s --interval 0 -q",
        "wait 0:3 --value 1",
        "wait-irq rtc",
        "wait-irq /dev/uio0/0 -q --count 3 --timeout 2s --json",
        "run -",
        "read UART0.CR UART0.* --force --svd a.svd --svd b.svd:c.svd adc@fpga.STATUS",
        "write UART0.CR.MODE=Fast --neighbours zero",
        "write UART0.CR.MODE Fast",
        "registers",
        "registers UART*",
        "snapshot UART0 --force",
        "diff before",
        "diff before after",
        "run script",
        "modify 0 --set 0x80 --clear 3",
        "modify 0 --mask 0xff00 0x1200 --verify",
        "dump 0+256 -aw8",
        "dump sdram --all",
        "fill 0+3M 0xa5 -w 8 --verify",
        "load - 0",
        "load --verify -- -file 0+64K",
        "save sdram --json a",
        "copy 0+1M 0x100000 --verify",
        "compare 0+1M sdram",
        "verify image 0",
        "search 0+16 1 2",
        "search 0+16 --text U-Boot -n 3",
        "search 0+16 --text=--help",
        "search 0+16 --bytes d00d --max-count=1",
        "test 0+16",
        "test 0+16 --only data,random --only address --passes 10 --seed 0",
        "watch 0 --interval 10",
        "watch 0+64 --count 3",
        "info",
        "windows --json",
        "info --json",
        "check 0 --read --write --exec --private",
        "explain 0xffe 8 --page-size 64K",
        "explain 0xffe+8",
        "explain sdram",
        "explain 0",
        "lab all",
        "lab device 0xc0000000",
        "lab-touch 0 1 2 3 --grow 4 --store 5",
        "completions bash",
        "man directory",
    ];

    /// Arguments for which the whole definition has a message, or that begin with something else than a command.
    const OTHER: &[&str] = &[
        "",
        "help",
        "help read",
        "-h",
        "--version",
        "--json",
        "--json read 0",
        "-w 8 read 0",
        "-- read 0",
        "raed 0",
        "rea 0",
        "READ 0",
        "read",
        "read -h",
        "read --help",
        "read 0 -h",
        "read 0 -wh",
        "read 0 --version",
        "read 0 -V",
        "read 0 --jsn",
        "read 0 --js",
        "read 0 -x",
        "read 0 -- --json",
        "read 0 --json=yes",
        "read 0 -w 7",
        "read 0 -w",
        "read 0 --endian bog",
        "read 0 --endian b",
        "modify 0 --set 1 --set 2",
        "read 0 --endian",
        "read 0 --device",
        "read 0 --window SDRAM",
        "read 0 --device=",
        "read 0 -1",
        "read -1",
        "read 0 --verify",
        "write 0 -1",
        "write 0 4=",
        "read 0 --base 0+4",
        "read 0 --base 0 --window sdram",
        "read 0 --pci 0000:01:00.0",
        "read 0 --format octal",
        "wait 0",
        "wait 0 --value 1 --timeout 2h",
        "wait-irq",
        "wait-irq RTC",
        "wait-irq rtc --count 0",
        "run",
        "registers a b",
        "snapshot",
        "diff",
        "write 0 1 --neighbours two",
        "write 0 1 -h",
        "modify 0",
        "modify 0 1",
        "modify 0 --mask 1",
        "dump 0",
        "dump 0+1 0+1",
        "fill 0+1",
        "load image",
        "load -file 0",
        "search 0+1",
        "search 0+1 1 --text a",
        "search 0+1 --text a --bytes 00",
        "search 0+1 --text --help",
        "search 0+1 --text -h",
        "test 0+1 --passes 0",
        "test 0+1 --only luck",
        "info 0",
        "explain",
        "explain 0:1",
        "explain 0 8 8",
        "lab",
        "lab nothing",
        "completions tcsh",
        "man",
        "man a b",
    ];

    fn split(line: &str) -> Vec<OsString> {
        ["devmap"].into_iter().chain(line.split_whitespace()).map(OsString::from).collect()
    }

    /// What the whole definition makes of `arguments`.
    fn whole(arguments: &[OsString]) -> Option<Args> {
        Args::try_parse_from(arguments).ok()
    }

    #[test]
    fn valid_arguments_are_parsed_here_with_the_same_result() {
        for line in VALID {
            let arguments = split(line);
            let parsed = parse(&arguments);
            assert!(parsed.is_some(), "{line}");
            assert_eq!(parsed, whole(&arguments), "{line}");
        }
    }

    #[test]
    fn other_arguments_are_left_to_the_whole_definition() {
        for line in OTHER {
            assert_eq!(parse(&split(line)), None, "{line}");
        }
        assert_eq!(parse(&[]), None);
        // No command can be abbreviated.
        for line in VALID {
            let (command, rest) = line.split_at(line.find(' ').unwrap_or(line.len()));
            for length in 1..command.len() {
                let arguments = split(&format!("{}{rest}", &command[..length]));
                assert_eq!((parse(&arguments), whole(&arguments)), (None, None), "{arguments:?}");
            }
        }
    }

    #[test]
    fn no_command_is_forgotten() {
        for command in Args::command().get_subcommands() {
            let valid = VALID.iter().any(|line| line.split(' ').next() == Some(command.get_name()));
            assert!(valid, "{}", command.get_name());
        }
    }

    #[test]
    fn a_file_may_have_any_name() {
        let mut arguments = split("save 0+4");
        arguments.push(OsString::from_vec(b"\xff".to_vec()));
        assert!(parse(&arguments).is_some() && parse(&arguments) == whole(&arguments));
        arguments[2] = OsString::from_vec(b"0+4\xff".to_vec());
        assert_eq!(parse(&arguments), None);
        arguments[1] = OsString::from_vec(b"save\xff".to_vec());
        assert_eq!(parse(&arguments), None);
    }

    /// The words of all lines above, and some that are close to them.
    fn words() -> Vec<&'static str> {
        let mut words: Vec<_> = VALID.iter().chain(OTHER).flat_map(|line| line.split_whitespace()).collect();
        words.extend(["", "-", "---", "--=", "-w=8", "-jw8", "--width=", "--json=", "=", "-aa", "-ha", "--no-json"]);
        words.sort_unstable();
        words.dedup();
        words
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn what_is_parsed_here_the_whole_definition_parses_alike(
            line in prop::sample::select(VALID),
            inserted in prop::collection::vec((0..9_usize, prop::sample::select(words())), 0..4),
            removed in prop::option::of(0..9_usize),
        ) {
            let mut arguments = split(line);
            if let Some(at) = removed.filter(|at| *at < arguments.len()) {
                arguments.remove(at);
            }
            for (at, word) in inserted {
                arguments.insert(at.min(arguments.len()), word.into());
            }
            if let Some(parsed) = parse(&arguments) {
                prop_assert_eq!(Some(parsed), whole(&arguments));
            }
        }
    }
}
