// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The ABI and the decisions of the map driver.
//!
//! Everything here is a pure function of its arguments: no allocation, no dependency, no panic. The
//! kernel module collects the state of the kernel, calls [`decide()`], and acts on the result.
//! Userspace and the tests use the same code.

pub mod abi;
mod decide;
mod decimal;
mod draft;
pub mod dt;
mod huge;
mod irq;
mod limit;
mod page;
mod parse;
mod range;
mod refusal;
mod table;
mod window;

pub use decide::{
    accessible,
    check_window,
    decide,
    is_known_memory,
    may_open,
    may_transfer,
    transferred,
    Caller,
    Grant,
    KernelQuery,
    Limits,
    Refused,
    Request,
    WindowError,
    LARGEST_MAPPING, //
};
pub use decimal::Decimal;
pub use draft::{
    switch,
    Draft,
    DraftError,
    Line,
    Property,
    Value,
    ValueError,
    ValueErrorKind, //
};
pub use huge::{
    aligned_address,
    divide,
    has_huge_page,
    Huge,
    Mapped, //
};
pub use irq::{
    bit,
    come_since,
    Arrival,
    IrqRefusal,
    Irqs,
    Trigger, //
};
pub use limit::{
    may_map,
    LeftOut,
    LogLimit,
    MAPPINGS_IN_ALL,
    MAPPINGS_PER_USER, //
};
pub use page::{
    PageSize,
    Pages, //
};
pub use parse::{
    parse,
    ParseError,
    ParseErrorKind, //
};
pub use range::PhysRange;
pub use refusal::{
    Errno,
    Refusal, //
};
pub use table::{
    Entry,
    IndexedWindow,
    Lookup,
    Mode,
    Table,
    TableError,
    Truncate,
    MAX_WINDOWS, //
};
pub use window::{
    Access,
    CacheMode,
    Name,
    Origin,
    Window, //
};
