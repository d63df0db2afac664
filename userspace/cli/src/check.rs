// SPDX-License-Identifier: MIT OR Apache-2.0

//! `check`: whether the driver would map a range, and if not, why not.

use std::fmt;

use devmap::driver::{Protection, Sharing, Verdict};
use devmap::page;
use serde::{Serialize, Serializer};

use crate::context::{Access, Context};
use crate::failure::Failure;
use crate::location::{Area, Location};
use crate::place::{pages_of, Place};
use crate::windows::Row;

/// A range, the requested kind of mapping, and the driver's verdict.
struct Checked {
    area: Area,
    /// The pages around the range, which are what is mapped and what the driver checks.
    pages: Area,
    protection: Protection,
    sharing: Sharing,
    verdict: Verdict,
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "range    {}", self.area)?;
        if self.pages != self.area {
            write!(f, ", on the pages {}", self.pages)?;
        }
        let Protection { read, write, execute } = self.protection;
        let words = [
            (self.sharing == Sharing::Shared, "shared"),
            (self.sharing == Sharing::Private, "private"),
            (read, "read"),
            (write, "write"),
            (execute, "execute"),
        ];
        let words: Vec<_> = words.into_iter().filter(|(is, _)| *is).map(|(_, word)| word).collect();
        write!(f, "\nmapping  {}", words.join(", "))?;
        match self.verdict {
            Verdict::Granted { cache, window, .. } => {
                write!(f, "\nverdict  granted\ncache    {cache}")?;
                window.map_or(Ok(()), |window| write!(f, "\nwindow   {window}"))
            }
            Verdict::Refused(refused) => {
                write!(f, "\nverdict  refused, {}\nreason   {}", refused.errno_name(), refused.why())?;
                refused.nearest.map_or(Ok(()), |window| write!(f, "\nnearest  {window}"))?;
                write!(f, "\nremedy   {}", refused.remedy())
            }
        }
    }
}

/// The answer for programs.
#[derive(Serialize)]
struct Json {
    start: Location,
    last: Location,
    first_page: Location,
    mapped_bytes: u64,
    read: bool,
    write: bool,
    execute: bool,
    shared: bool,
    granted: bool,
    #[serde(flatten)]
    verdict: JsonVerdict,
}

/// What depends on the verdict.
#[derive(Serialize)]
#[serde(untagged)]
enum JsonVerdict {
    Granted { cache: &'static str, window: Option<Row> },
    Refused { errno: String, code: u32, reason: String, nearest: Option<Row>, remedy: &'static str },
}

impl Serialize for Checked {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Protection { read, write, execute } = self.protection;
        Json {
            start: self.area.start(),
            last: self.area.last(),
            first_page: self.pages.start(),
            mapped_bytes: self.pages.range.length(),
            read,
            write,
            execute,
            shared: self.sharing == Sharing::Shared,
            granted: matches!(self.verdict, Verdict::Granted { .. }),
            verdict: match self.verdict {
                Verdict::Granted { cache, window, .. } => {
                    JsonVerdict::Granted { cache: cache.as_str(), window: window.map(Row::from) }
                }
                Verdict::Refused(refused) => JsonVerdict::Refused {
                    errno: refused.errno_name(),
                    code: refused.reason.code(),
                    reason: refused.why(),
                    nearest: refused.nearest.map(Row::from),
                    remedy: refused.remedy(),
                },
            },
        }
        .serialize(serializer)
    }
}

/// Prints the driver's verdict on a mapping of `place`. A refusal is also the exit status.
pub fn check(ctx: &mut Context, place: Place, protection: Protection, sharing: Sharing) -> Result<(), Failure> {
    let area = ctx.locate_area(place.area(ctx.value_width()).map_err(Failure::Usage)?)?;
    let pages = pages_of(area.range, page::system())?;
    // As the other commands do, since the driver checks how the device was opened.
    let device = ctx.open(area.base, if protection.write { Access::Write } else { Access::Read })?;
    let verdict = device.check(pages.start(), pages.length(), protection, sharing)?;
    let [area, pages] = [area.range, pages].map(|range| Area::on(&device, range));
    ctx.out.emit(&Checked { area, pages, protection, sharing, verdict })?;
    ctx.out.finish()?;
    outcome(verdict)
}

/// The outcome of the command.
fn outcome(verdict: Verdict) -> Result<(), Failure> {
    match verdict {
        Verdict::Granted { .. } => Ok(()),
        Verdict::Refused(_) => Err(Failure::Refused),
    }
}

#[cfg(test)]
mod tests {
    use devmap::driver::{CacheMode, Refusal, Refused};
    use devmap::PhysRange;

    use super::*;
    use crate::windows::tests::{nameless, sdram};

    fn checked(verdict: Verdict) -> Checked {
        let range = PhysRange::new(0xc000_0000, 0x1000).unwrap();
        Checked {
            area: range.into(),
            pages: range.into(),
            protection: Protection::READ,
            sharing: Sharing::Shared,
            verdict,
        }
    }

    fn refused(reason: Refusal) -> Checked {
        let nearest = Some(nameless()).filter(|_| reason == Refusal::Outside);
        checked(Verdict::Refused(Refused::new(reason, nearest)))
    }

    #[test]
    fn what_is_granted_has_a_cache_type_and_a_window_if_there_are_any() {
        let granted = Checked {
            area: PhysRange::new(0xc000_0064, 4).unwrap().into(),
            protection: Protection::READ_WRITE,
            ..checked(Verdict::granted(CacheMode::Uncached, Some(sdram())))
        };
        assert_eq!(
            granted.to_string(),
            "range    0xc0000064-0xc0000067, on the pages 0xc0000000-0xc0000fff\n\
             mapping  shared, read, write\n\
             verdict  granted\n\
             cache    uncached\n\
             window   sdram@0xc0000000+0x100000"
        );
        let raw = checked(Verdict::granted(CacheMode::Uncached, None));
        assert_eq!(
            raw.to_string(),
            "range    0xc0000000-0xc0000fff\nmapping  shared, read\nverdict  granted\ncache    uncached"
        );
    }

    #[test]
    fn what_is_refused_has_a_reason_a_window_if_there_is_one_and_a_remedy() {
        assert_eq!(
            refused(Refusal::Outside).to_string(),
            "range    0xc0000000-0xc0000fff\n\
             mapping  shared, read\n\
             verdict  refused, EPERM\n\
             reason   the range is outside of every window\n\
             nearest  0x1234567000+0x1000:ro:wc:shared:memory\n\
             remedy   stay inside a window, or load the driver with one that holds the range"
        );
        let all = Protection { execute: true, ..Protection::READ_WRITE };
        let private = Checked { protection: all, sharing: Sharing::Private, ..refused(Refusal::Private) };
        assert_eq!(
            private.to_string(),
            "range    0xc0000000-0xc0000fff\n\
             mapping  private, read, write, execute\n\
             verdict  refused, EINVAL\n\
             reason   what is stored into a private mapping never reaches the memory\n\
             remedy   map it shared"
        );
    }

    #[test]
    fn a_refusal_is_reported_by_the_exit_status_alone() {
        assert!(outcome(checked(Verdict::granted(CacheMode::Cached, None)).verdict).is_ok());
        let failure = outcome(refused(Refusal::Outside).verdict).unwrap_err();
        assert!(failure.is_printed() && failure.status() == 3, "{failure:?}");
    }

    #[test]
    fn programs_get_all_of_it() {
        let json = |checked| serde_json::to_string(&checked).unwrap();
        let asked = r#"{"start":"0xc0000000","last":"0xc0000fff","first_page":"0xc0000000","mapped_bytes":4096,"#;
        let how = r#""read":true,"write":false,"execute":false,"shared":true,"#;
        let raw = checked(Verdict::granted(CacheMode::WriteCombine, None));
        assert_eq!(json(raw), format!(r#"{asked}{how}"granted":true,"cache":"wc","window":null}}"#));
        let row = serde_json::to_string(&Row::from(nameless())).unwrap();
        let reason = "the range is outside of every window";
        let remedy = "stay inside a window, or load the driver with one that holds the range";
        assert_eq!(
            json(refused(Refusal::Outside)),
            format!(
                r#"{asked}{how}"granted":false,"errno":"EPERM","code":11,"reason":"{reason}","nearest":{row},"remedy":"{remedy}"}}"#
            )
        );
        assert!(json(refused(Refusal::Private)).ends_with(r#""nearest":null,"remedy":"map it shared"}"#));
    }
}
