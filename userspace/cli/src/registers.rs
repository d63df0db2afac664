// SPDX-License-Identifier: MIT OR Apache-2.0

//! `registers`: what descriptions have.

use std::fmt;

use devmap::registers::{Access, Description, Field, Item, Peripheral, Register};
use serde::Serialize;

use crate::context::Context;
use crate::failure::Failure;
use crate::location::Location;
use crate::number::short;
use crate::symbol::Symbol;
use crate::table;

/// A line of the list.
#[derive(Serialize)]
struct Row {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<Location>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bits: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    values: Vec<Value>,
}

/// A value of a field that has a name.
#[derive(Serialize)]
struct Value {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

/// All lines, as a table.
struct List(Vec<Row>);

impl Row {
    fn peripheral(ctx: &Context, symbol: Symbol, peripheral: &Peripheral<'static>) -> Result<Self, Failure> {
        let area = ctx.block(symbol, peripheral)?;
        Ok(Self {
            path: peripheral.name().into(),
            address: Some(area.start()),
            bits: None,
            bytes: Some(area.range.length()),
            access: None,
            description: peripheral.description().map(Into::into),
            values: Vec::new(),
        })
    }

    fn register(ctx: &Context, symbol: Symbol, register: &Register<'static>) -> Result<Self, Failure> {
        Ok(Self {
            path: register.path().into(),
            address: Some(ctx.address(symbol, register)?),
            bits: Some(register.width().bits().to_string()),
            bytes: None,
            access: Some(access(register.access())),
            description: register.description().map(Into::into),
            values: Vec::new(),
        })
    }

    fn field(field: &Field<'static>) -> Self {
        let values = field.values().map(|value| Value {
            name: value.name().into(),
            number: value.number(),
            description: value.description().map(Into::into),
        });
        Self {
            path: field.path().into(),
            address: None,
            bits: Some(match field.high() == field.low() {
                true => field.low().to_string(),
                false => format!("{}:{}", field.high(), field.low()),
            }),
            bytes: None,
            access: Some(access(field.access())),
            description: field.description().map(Into::into),
            values: values.collect(),
        }
    }

    fn cells(&self) -> [String; 5] {
        let Self { path, address, bits, bytes, access, description, .. } = self;
        [
            path.clone(),
            address.map(|address| address.to_string()).unwrap_or_default(),
            bits.clone().or(bytes.map(short)).unwrap_or_default(),
            access.unwrap_or_default().into(),
            description.clone().unwrap_or_default(),
        ]
    }
}

impl Value {
    fn cells(&self) -> [String; 5] {
        let Self { name, number, description } = self;
        let number = number.map_or("others".into(), |number| number.to_string());
        [format!("  {name}"), number, String::new(), String::new(), description.clone().unwrap_or_default()]
    }
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cells = Vec::new();
        for row in &self.0 {
            cells.push(row.cells());
            cells.extend(row.values.iter().map(Value::cells));
        }
        let rows: Vec<_> = cells.iter().map(|row| row.each_ref().map(String::as_str)).collect();
        f.write_str(&table::lines(&rows).join("\n"))
    }
}

fn access(access: Access) -> &'static str {
    match access {
        Access::ReadOnly => "ro",
        Access::WriteOnly => "wo",
        Access::ReadWrite => "rw",
        Access::WriteOnce => "wo once",
        Access::ReadWriteOnce => "rw once",
    }
}

/// Lists what has the pattern: of a peripheral its registers, of a register its fields; without a pattern, the
/// peripherals.
pub fn registers(ctx: &mut Context, symbol: Option<Symbol>) -> Result<(), Failure> {
    let rows = match symbol {
        None => peripherals(ctx)?,
        Some(symbol) if symbol.is_pattern() => {
            let (items, faults) = ctx.catalog().search(symbol.path)?;
            let faults = faults.into_iter().map(|fault| Err(fault.into()));
            right(ctx, items.iter().map(|item| one(ctx, symbol, item)).chain(faults))?
        }
        Some(symbol) => match ctx.catalog().find(symbol.path)? {
            Item::Peripheral(peripheral) => {
                right(ctx, peripheral.registers().map(|register| Row::register(ctx, symbol, &register?)))?
            }
            Item::Register(register) => {
                let fields = register.fields().map(|field| Row::field(&field));
                std::iter::once(Row::register(ctx, symbol, &register)?).chain(fields).collect()
            }
            item => vec![one(ctx, symbol, &item)?],
        },
    };
    if ctx.out.is_json() {
        return Ok(rows.iter().try_for_each(|row| ctx.out.emit_json(row))?);
    }
    ctx.print(&format!("{}\n", List(rows)))
}

/// The lines of what is described rightly; an error if nothing is, but something wrongly.
fn right(ctx: &Context, lines: impl Iterator<Item = Result<Row, Failure>>) -> Result<Vec<Row>, Failure> {
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    for line in lines {
        match line {
            Ok(row) => rows.push(row),
            Err(Failure::Description(fault)) => faults.push(fault),
            Err(failure) => return Err(failure),
        }
    }
    if rows.is_empty() && !faults.is_empty() {
        return Err(faults.remove(0).into());
    }
    ctx.note_faults("left out", &faults);
    Ok(rows)
}

fn one(ctx: &Context, symbol: Symbol, item: &Item<'static>) -> Result<Row, Failure> {
    match item {
        Item::Peripheral(peripheral) => Row::peripheral(ctx, symbol, peripheral),
        Item::Register(register) => Row::register(ctx, symbol, register),
        Item::Field(field) => Ok(Row::field(field)),
    }
}

fn peripherals(ctx: &Context) -> Result<Vec<Row>, Failure> {
    let all = ctx.catalog().descriptions()?.flat_map(Description::peripherals);
    let symbol = Symbol { path: "*", at: None, bits: None };
    let rows = right(ctx, all.map(|peripheral| Row::peripheral(ctx, symbol, &peripheral)))?;
    match rows.is_empty() {
        true => Err(ctx.catalog().is_empty()),
        false => Ok(rows),
    }
}
