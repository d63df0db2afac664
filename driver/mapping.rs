// SPDX-License-Identifier: GPL-2.0

//! A mapping: the permission to make it, and the data that its VMAs share.

use kernel::{
    mm::{
        virt::{
            flags,
            VmaRef, //
        },
        Mm, //
    },
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::{
        atomic::Relaxed,
        Arc, //
    }, //
};

use crate::{
    abstractions::mm::{
        VmaExt,
        VmaOperations, //
    },
    error::Denial,
    map_core::{
        accessible,
        Grant,
        KernelQuery,
        PhysRange,
        Request, //
    },
    node::Node,
    registry::{
        Key,
        Room, //
    },
    state::State,
    system::Kernel, //
};

/// The data shared by all VMAs of one mmap(2) call, including parts and copies. It is dropped with
/// the last of them, after their pages are unmapped.
pub(crate) struct Mapping {
    state: Arc<State>,
    key: Key,
    /// Whether the kernel itself may access the memory.
    is_memory: bool,
    /// The node of its window; `None` in raw mode.
    node: Option<Arc<Node>>,
}

impl Drop for Mapping {
    fn drop(&mut self) {
        self.state.windows.lock().forget(&self.key);
    }
}

impl VmaOperations for Mapping {
    fn opened(&self) {
        self.state.counts.vma_opened();
        if let Some(node) = &self.node {
            node.vmas.add(1, Relaxed);
        }
    }

    fn closed(&self) {
        self.state.counts.vma_closed();
        if let Some(node) = &self.node {
            node.vmas.add(-1, Relaxed);
        }
    }

    fn accessible(&self, vma: &VmaRef, address: usize, wanted: u64) -> Option<u64> {
        // Some kernels warn about page table entries of inaccessible pages, and about hotplugged
        // memory that was mapped before and therefore stays offline.
        let hidden = vma.flags() & (flags::READ | flags::WRITE) == 0;
        if !self.is_memory || hidden || Kernel.is_system_ram(&page_at(vma, address)?) {
            return None;
        }
        let end = vma.end() as u64;
        Some(accessible(address as u64, wanted, end, PAGE_SIZE as u64))
    }
}

/// Returns the physical page at `address` in `vma`.
fn page_at(vma: &VmaRef, address: usize) -> Option<PhysRange> {
    let page = address
        .checked_sub(vma.start())?
        .checked_shr(PAGE_SHIFT as u32)?;
    let frame = u64::try_from(vma.page_offset().checked_add(page)?).ok()?;
    PhysRange::new(frame.checked_mul(PAGE_SIZE as u64)?, PAGE_SIZE as u64)
}

/// A granted mapping that is not made yet.
pub(crate) struct Permit {
    pub(crate) grant: Grant,
    /// The data that its VMAs share.
    pub(crate) mapping: Arc<Mapping>,
}

impl Permit {
    /// Decides on `request`, made on `node` or on the node of all memory by the process with `mm`,
    /// and registers the mapping.
    ///
    /// # Errors
    ///
    /// [`Denial`] if the request is refused or memory runs out.
    pub(crate) fn new(
        state: &Arc<State>,
        request: &Request,
        node: Option<&Arc<Node>>,
        mm: &Mm,
    ) -> Result<Self, Denial> {
        let room = Room::new()?;
        let (grant, key, node) = state.windows.lock().grant(request, node, mm, room)?;
        let mapping = Mapping {
            state: state.clone(),
            key,
            is_memory: grant.memory,
            node,
        };
        Ok(Self {
            grant,
            // A failed allocation drops the mapping, and with it the registration.
            mapping: Arc::new(mapping, GFP_KERNEL)?,
        })
    }
}
