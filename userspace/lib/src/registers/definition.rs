// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the file says of a peripheral, with everything inherited and derived, but arrays as arrays.

use svd_parser::svd::{Access, ModifiedWriteValues, Protection, ReadAction, Usage};

use super::error::Fault;
use super::name::Name;
use crate::Width;

/// What a peripheral, or each element of an array of them, consists of.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) entries: Vec<Entry>,
    /// How many bytes it has from its base address on; 0 if the file says nothing of it.
    pub(super) length: u64,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: Name,
    /// From the start of the cluster around it, or the peripheral's.
    pub(super) offset: u64,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Cluster(Vec<Entry>),
    /// A register whose description is wrong is no obstacle to the others.
    Register(Result<Register, Fault>),
}

#[derive(Debug)]
pub(super) struct Register {
    /// Its element in the text.
    pub(super) at: usize,
    pub(super) width: Width,
    pub(super) access: Access,
    pub(super) protection: Option<Protection>,
    pub(super) read_action: Option<ReadAction>,
    pub(super) modified_write_values: Option<ModifiedWriteValues>,
    pub(super) reset: Option<u64>,
    pub(super) reset_mask: u64,
    pub(super) description: Option<String>,
    /// What it is an alternate of.
    pub(super) alternate: Option<String>,
    pub(super) fields: Vec<Field>,
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: Name,
    /// The lowest bit of the first element.
    pub(super) low: u32,
    pub(super) bits: u32,
    pub(super) access: Access,
    pub(super) read_action: Option<ReadAction>,
    pub(super) modified_write_values: Option<ModifiedWriteValues>,
    pub(super) description: Option<String>,
    pub(super) values: Vec<Value>,
}

#[derive(Debug)]
pub(super) struct Value {
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) number: Option<u64>,
    /// The bits of the number that may be anything.
    pub(super) any: u64,
    pub(super) is_default: bool,
    pub(super) usage: Usage,
}
