// SPDX-License-Identifier: MIT OR Apache-2.0

//! Options as getopt_long(3) takes them: before, between and after the operands, up to `--`.

use std::fmt;
use std::mem;
use std::slice;

/// What stands in the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument<'a> {
    /// An option of one letter.
    Short(char),
    /// An option with a name.
    Long(&'a str),
    /// Not an option, and not the value of one.
    Operand(&'a str),
}

/// As in the arguments.
impl fmt::Display for Argument<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short(letter) => write!(f, "-{letter}"),
            Self::Long(name) => write!(f, "--{name}"),
            Self::Operand(text) => f.write_str(text),
        }
    }
}

/// The arguments, one after the other.
pub struct Arguments<'a> {
    rest: slice::Iter<'a, String>,
    /// What follows the last option in the same argument: more letters, or the value.
    letters: &'a str,
    /// The value of the last option, as in --name=value, with the whole argument.
    attached: Option<(&'a str, &'a str)>,
    operands_only: bool,
}

impl<'a> Arguments<'a> {
    pub fn new(arguments: &'a [String]) -> Self {
        Self { rest: arguments.iter(), letters: "", attached: None, operands_only: false }
    }

    /// The next argument that is not the value of an option; `None` at the end.
    pub fn next(&mut self) -> Result<Option<Argument<'a>>, String> {
        if let Some((argument, _)) = self.attached {
            return Err(format!("`{argument}`: this option takes no value: give it without one"));
        }
        if self.letters.is_empty() {
            let Some(argument) = self.rest.next() else { return Ok(None) };
            match argument.strip_prefix('-') {
                Some("-") if !self.operands_only => {
                    self.operands_only = true;
                    return self.next();
                }
                Some(option) if !option.is_empty() && !self.operands_only => match option.strip_prefix('-') {
                    None => self.letters = option,
                    Some(name) => {
                        let (name, value) =
                            name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value)));
                        self.attached = value.map(|value| (argument.as_str(), value));
                        return Ok(Some(Argument::Long(name)));
                    }
                },
                _ => return Ok(Some(Argument::Operand(argument))),
            }
        }
        let mut letters = self.letters.chars();
        let letter = letters.next().map(Argument::Short);
        self.letters = letters.as_str();
        Ok(letter)
    }

    /// The value of `option`, which [`next`](Self::next) has just returned.
    pub fn value(&mut self, option: Argument) -> Result<&'a str, String> {
        let rest_of_argument = match self.attached.take() {
            Some((_, value)) => Some(value),
            None => Some(mem::take(&mut self.letters)).filter(|value| !value.is_empty()),
        };
        rest_of_argument
            .or_else(|| self.rest.next().map(String::as_str))
            .ok_or_else(|| format!("{option} takes a value: give it after the option"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands in `line`; -s and --size have values.
    fn split(line: &str) -> Result<Vec<String>, String> {
        let arguments: Vec<String> = line.split_whitespace().map(String::from).collect();
        let mut arguments = Arguments::new(&arguments);
        let mut found = Vec::new();
        while let Some(argument) = arguments.next()? {
            found.push(match argument {
                Argument::Short('s') | Argument::Long("size") => format!("{argument} {}", arguments.value(argument)?),
                Argument::Operand(text) => format!("`{text}`"),
                _ => argument.to_string(),
            });
        }
        Ok(found)
    }

    #[test]
    fn options_stand_anywhere_and_have_their_values_in_four_places() {
        for line in ["-s 8 0x10", "-s8 0x10", "0x10 -s 8"] {
            let mut found = split(line).unwrap();
            found.sort();
            assert_eq!(found, ["-s 8", "`0x10`"], "{line}");
        }
        assert_eq!(split("--size=8 --size 16 --size= --raw").unwrap(), ["--size 8", "--size 16", "--size ", "--raw"]);
        assert_eq!(split("-bxs8 -é").unwrap(), ["-b", "-x", "-s 8", "-é"]);
        // A value may look like an option.
        assert_eq!(split("-s -b").unwrap(), ["-s -b"]);
    }

    #[test]
    fn two_hyphens_end_the_options() {
        assert_eq!(split("-b -- -x --").unwrap(), ["-b", "`-x`", "`--`"]);
        assert_eq!(split("- --").unwrap(), ["`-`"]);
        assert!(split("").unwrap().is_empty());
    }

    #[test]
    fn a_value_is_neither_missing_nor_left_over() {
        assert!(split("-b -s").unwrap_err().starts_with("-s takes a value"));
        assert!(split("--size").unwrap_err().starts_with("--size takes a value"));
        assert!(split("--raw=1").unwrap_err().starts_with("`--raw=1`: this option takes no value"));
    }
}
