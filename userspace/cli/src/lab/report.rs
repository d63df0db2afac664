// SPDX-License-Identifier: MIT OR Apache-2.0

//! The report of an experiment: drawings of zones, and a table with a line for each rule.

use std::fmt;
use std::iter;

use devmap::page::PageSize;
use serde::Serialize;

use super::plan::{Plan, MARKS};
use crate::drawing::Drawing;
use crate::table;

/// What the rules predict for something, and what the machine does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    pub experiment: &'static str,
    /// Which bytes, or which call.
    pub place: String,
    /// What they are.
    pub what: String,
    pub expected: String,
    pub happened: String,
    /// The first and the last loaded value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<String>,
    /// Whether the machine follows the rules.
    pub agrees: bool,
}

/// A part of a report.
pub enum Part {
    /// A line of text.
    Line(String),
    /// The zones of a mapping.
    Zones(Plan),
    /// The findings.
    Rows(Vec<Row>),
}

/// An experiment.
pub struct Report {
    pub page_size: PageSize,
    pub title: String,
    pub parts: Vec<Part>,
}

impl Report {
    /// All findings.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.parts.iter().filter_map(|part| if let Part::Rows(rows) = part { Some(rows) } else { None }).flatten()
    }
}

const HEADINGS: [&str; 5] = ["touched", "what it is", "expected", "happened", "first, last value"];

impl Row {
    fn cells(&self) -> [&str; HEADINGS.len()] {
        // No column is empty, so that scripts can split the line.
        let values = self.values.as_deref().unwrap_or("-");
        [&self.place, &self.what, &self.expected, &self.happened, values]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        for part in &self.parts {
            writeln!(f)?;
            match part {
                Part::Line(line) => writeln!(f, "{line}")?,
                Part::Zones(plan) => zones(f, plan, self.page_size)?,
                Part::Rows(rows) => table(f, rows)?,
            }
        }
        Ok(())
    }
}

/// Draws the zones of `plan`, with the meaning of the marks in it.
fn zones(f: &mut fmt::Formatter<'_>, plan: &Plan, page_size: PageSize) -> fmt::Result {
    let marks: Vec<_> =
        plan.runs.iter().map(|run| (run.bytes.start as u128..run.bytes.end as u128, run.mark)).collect();
    let drawing = Drawing {
        page_size,
        start: 0,
        pages: plan.end() as u64 / page_size.bytes(),
        indent: 0,
        hexadecimal: false,
        marks: &marks,
    };
    writeln!(f, "{drawing}")?;
    let legend: Vec<_> = MARKS
        .iter()
        .filter(|(mark, _)| plan.runs.iter().any(|run| run.mark == *mark))
        .map(|(mark, meaning)| format!("{mark} {meaning}"))
        .collect();
    writeln!(f, "{}", legend.join("   "))
}

/// Writes a line for each row, below a line of headings. What differs is marked at its end.
fn table(f: &mut fmt::Formatter<'_>, rows: &[Row]) -> fmt::Result {
    let cells: Vec<_> = iter::once(HEADINGS).chain(rows.iter().map(Row::cells)).collect();
    let agree = iter::once(true).chain(rows.iter().map(|row| row.agrees));
    for (line, agrees) in table::lines(&cells).iter().zip(agree) {
        writeln!(f, "{line}{}", if agrees { "" } else { "  <- DIFFERS" })?;
    }
    Ok(())
}
