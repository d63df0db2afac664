// SPDX-License-Identifier: GPL-2.0

//! The file operations of the nodes. They make no decisions.

use kernel::{
    fs::File,
    mm::virt::VmaNew,
    prelude::*,
    seq_file::SeqFile,
    sync::Arc, //
};

use crate::{
    abstractions::{
        fs::{
            Destination,
            FileOperations,
            Readiness,
            Source, //
        },
        io,
        irq::WaitQueue,
        machine,
        space::AddressSpace, //
    },
    error::{
        error_of,
        Denial, //
    },
    interrupts::{
        Interrupts,
        Taken, //
    },
    ioctl,
    map_core::{
        abi,
        has_huge_page,
        may_open,
        PhysRange,
        Refusal, //
    },
    mapping::Permit,
    node::Node,
    report,
    state::{
        self,
        State, //
    },
    system::Kernel,
    vma, //
};

/// An open file of a node.
pub(crate) struct NodeFile {
    pub(crate) state: Arc<State>,
    /// The node of a window; `None` for the node of all memory.
    pub(crate) node: Option<Arc<Node>>,
    /// What the file has taken of the interrupts of the node; `None` if there are none.
    taken: Option<Taken>,
}

impl NodeFile {
    /// Returns the physical address of offset 0.
    pub(crate) fn base(&self) -> u64 {
        self.node
            .as_ref()
            .map_or(0, |node| node.window.range.start())
    }

    /// Returns the interrupts of the node, and what the file has taken of them.
    pub(crate) fn interrupts(&self) -> Option<(&Interrupts, &Taken)> {
        let interrupts = self.node.as_ref()?.interrupts.as_deref()?;
        Some((interrupts, self.taken.as_ref()?))
    }

    /// Returns a number that no other open file has.
    pub(crate) fn number(&self) -> usize {
        core::ptr::from_ref(self).addr()
    }

    /// Calls `transfer` with the node of a window, if it may be read, or written with `write`, and
    /// reports a refusal.
    fn transfer(
        &self,
        call: &'static str,
        write: bool,
        transfer: impl FnOnce(&Node) -> Result<usize, Denial>,
    ) -> Result<usize> {
        // The node of all memory has no such operations.
        let node = self.node.as_ref().ok_or(EINVAL)?;
        let throttled = self.state.windows.lock().has_conflicts(&node.window);
        // What does not depend on time comes first.
        let done = node.check(write).and_then(|()| {
            if throttled {
                Err(Refusal::CacheConflict.into())
            } else {
                transfer(node)
            }
        });
        done.map_err(|denial| {
            if !throttled && denial.is(Refusal::CacheConflict) {
                self.state.windows.lock().conflicts(&node.window);
            }
            report::refused_transfer(&self.state, node, call, &denial);
            denial.error()
        })
    }
}

impl Drop for NodeFile {
    fn drop(&mut self) {
        if let Some((interrupts, _)) = self.interrupts() {
            interrupts.file_closed(self.number());
        }
        if let Some(node) = &self.node {
            node.file_closed();
        }
    }
}

impl FileOperations for NodeFile {
    type Data = KBox<Self>;

    fn open(minor: u32) -> Result<KBox<Self>> {
        // The device number is visible before the state is published, and after it is withdrawn.
        let state = state::current().ok_or(ENXIO)?;
        let node = if minor == abi::MINOR {
            let allowed = may_open(state.windows.lock().mode(), &Kernel);
            allowed.map_err(|reason| {
                report::refused_open(&state, reason);
                error_of(reason.errno())
            })?;
            None
        } else {
            let node = state.windows.lock().node(minor).ok_or(ENXIO)?;
            node.file_opened();
            Some(node)
        };
        let interrupts = node.as_ref().and_then(|node| node.interrupts.as_deref());
        let taken = interrupts.map(Interrupts::taken_now);
        // A failed allocation drops the file.
        Ok(KBox::new(Self { state, node, taken }, GFP_KERNEL)?)
    }

    fn space(&self) -> &AddressSpace {
        &self.state.space
    }

    fn size(&self) -> Option<u64> {
        self.node.as_ref().map(|node| node.window.range.length())
    }

    fn events(&self) -> Option<&WaitQueue> {
        self.interrupts().map(|(interrupts, _)| interrupts.queue())
    }

    fn readiness(&self) -> Readiness {
        match self.interrupts() {
            Some((interrupts, _)) if !interrupts.is_present() => Readiness::Gone,
            Some((interrupts, taken)) if interrupts.has_come(taken) => Readiness::Readable,
            _ => Readiness::Idle,
        }
    }

    fn read(&self, position: u64, to: &mut Destination<'_>) -> Result<usize> {
        self.transfer("read", false, |node| node.read(position, to))
    }

    fn write(&self, position: u64, from: &mut Source<'_>) -> Result<usize> {
        self.transfer("write", true, |node| node.write(position, from))
    }

    fn sync(&self) -> Result {
        if self.node.as_ref().is_some_and(|node| node.is_gone()) {
            return Err(error_of(Refusal::Gone.errno()));
        }
        io::barrier();
        Ok(())
    }

    fn mmap(&self, file: &File, vma: &VmaNew) -> Result {
        let state = &self.state;
        let request = vma::request(vma, file, self.base());
        // The lock is not held while the VMA is filled, which takes long. A window may be removed
        // meanwhile: the mapping is already registered, so the removal waits for this process.
        let made = Permit::new(state, &request, self.node.as_ref(), vma).and_then(|permit| {
            let window = permit.grant.window.map(|found| found.window);
            vma::fill(vma, permit).inspect_err(|denial| {
                if let Some(window) = window.filter(|_| denial.is(Refusal::CacheConflict)) {
                    state.windows.lock().conflicts(&window);
                }
            })
        });
        made.map_err(|denial| {
            report::refused_mmap(state, &request, &denial);
            denial.error()
        })
    }

    fn alignment(&self, offset: u64, length: u64) -> Option<(u64, u64)> {
        let size = machine::huge_page_size().filter(|size| length >= *size)?;
        let start = self.base().checked_add(offset)?;
        has_huge_page(&PhysRange::new(start, length)?, size).then_some((start, size))
    }

    fn ioctl(&self, file: &File, command: u32, argument: usize) -> Result {
        ioctl::ioctl(self, file, command, argument)
    }

    fn show_fdinfo(&self, out: &SeqFile) {
        report::fdinfo(self, out);
    }
}
