// SPDX-License-Identifier: MIT OR Apache-2.0

//! A sequence with its predictions.

use map_core::abi::MapCheck;

use super::{
    address::Map,
    operation::{Kind, Operation, ROOT},
    world::{Expect, World},
};

/// An operation and what it is to give.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its number in the sequence that the seed gives.
    pub number: usize,
    /// The operation.
    pub operation: Operation,
    /// The prediction; `None` if it is not done, because what it needs is not there.
    pub expect: Option<Expect>,
}

impl World {
    /// Predicts an operation, and does it in the model.
    pub fn predict(&mut self, actor: usize, kind: &Kind) -> Option<Expect> {
        match *kind {
            Kind::Open { slot, minor, access, .. } => self.open(actor, slot, minor, access),
            Kind::Close { slot } => self.close(actor, slot),
            Kind::Duplicate { from, to } => self.duplicate(actor, from, to),
            Kind::Send { slot } => self.send(actor, slot),
            Kind::Receive { slot } => self.receive(actor, slot),
            Kind::Seek { slot, offset, whence } => self.seek(actor, slot, offset, whence),
            Kind::Map { slot, page, offset, length, protection, flags } => {
                self.map(actor, &Map { slot, page, offset, length, protection, flags })
            }
            Kind::Unmap { page, pages } => self.unmap(actor, page, pages),
            Kind::Protect { page, pages, protection } => self.protect(actor, page, pages, protection),
            Kind::Remap { page, old, new, flags, to } => self.remap(actor, (page, old, new), flags, to),
            Kind::Advise { page, pages, advice } => self.advise(actor, page, pages, advice),
            Kind::Sync { page, pages, flags } => self.sync(actor, page, pages, flags),
            Kind::Lock { page, pages, .. } | Kind::Resident { page, pages } => self.touch_nothing(actor, page, pages),
            Kind::Load { page, offset, width, access } => self.load(actor, page, offset, width, access),
            Kind::Store { page, offset, width, value, access } => {
                self.store(actor, page, offset, (width, value), access)
            }
            Kind::Signal { page, store } => self.signal(actor, page, store),
            Kind::Read { slot, way, position, length, buffer } => {
                self.read((actor, slot), way, position, length, buffer)
            }
            Kind::Write { slot, way, position, length, buffer, value } => {
                self.write((actor, slot), way, position, length, (buffer, value))
            }
            Kind::ReadToMapping { slot, position, length, page } => {
                self.read_to_mapping((actor, slot), position, length, page)
            }
            Kind::SpliceFrom { slot, position, length, send } => {
                self.splice_from((actor, slot), position, length, send)
            }
            Kind::SpliceTo { slot, position, length, value } => self.splice_to((actor, slot), position, length, value),
            Kind::SyncFile { slot, .. } => self.sync_file(actor, slot),
            Kind::Info { slot, pointer } => self.info(actor, slot, pointer),
            Kind::Describe { slot, index, pointer } => self.describe(actor, slot, index, pointer),
            Kind::Check { slot, start, length, protection, flags, pointer } => {
                let check = MapCheck { start, length, prot: protection, flags, ..Default::default() };
                self.check(actor, slot, check, pointer)
            }
            Kind::Interrupt { slot, pointer, .. } => self.interrupt(actor, slot, pointer),
            Kind::Unknown { slot, .. } => self.unknown(actor, slot),
            Kind::Fdinfo { slot } => self.fdinfo(actor, slot),
            Kind::Flood { slot, pages } => self.flood(actor, slot, pages),
            Kind::Fork { child } => self.fork(actor, child),
            Kind::Exit { .. } => {
                self.actors[actor].as_ref()?;
                self.end(actor);
                Some(Expect::exactly(0))
            }
            Kind::Mode { minor, mode } => self.change_mode(minor, mode),
            Kind::Make { directory } => self.make(directory),
            Kind::Set { directory, property, ref text } => self.set(directory, property, text),
            Kind::Enable { directory, text } => self.enable(directory, text),
            Kind::Remove { directory } => self.remove(directory),
            Kind::Look => Some(Expect { text: self.look(), ..Expect::exactly(0) }),
        }
    }

    /// Predicts these operations, each with its number.
    pub fn predict_all(&mut self, operations: &[(usize, Operation)]) -> Vec<Step> {
        let step = |(number, operation): &(usize, Operation)| {
            let expect = self.predict(operation.actor, &operation.kind);
            Step { number: *number, operation: operation.clone(), expect }
        };
        operations.iter().map(step).collect()
    }
}

/// The rounds of a sequence: what is done by one, or by several at the same time.
pub fn rounds(steps: &[Step]) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
    let mut start = 0;
    std::iter::from_fn(move || {
        let first = steps.get(start)?;
        let round = first.operation.round;
        let length = steps[start..].iter().take_while(|step| step.operation.round == round).count();
        let range = start..start + length;
        start = range.end;
        Some(range)
    })
}

/// Whether the process that runs the sequence does this.
pub fn is_of_root(step: &Step) -> bool {
    step.operation.actor == ROOT
}
