// SPDX-License-Identifier: GPL-2.0

//! A mapping: the permission to make it, and the data that its VMAs share.

use kernel::{
    mm::virt::{
        flags,
        VmaNew,
        VmaRef, //
    },
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::{
        atomic::Relaxed,
        Arc,
        UniqueArc, //
    }, //
};

use crate::{
    abstractions::{
        io::IoMap,
        machine,
        mm::{
            Bytes,
            Fault,
            Outcome,
            PageProtection,
            VmaExt,
            VmaOperations, //
        },
        param,
        task, //
    },
    error::Denial,
    map_core::{
        accessible,
        CacheMode,
        Grant,
        Huge,
        KernelQuery,
        Mapped,
        PhysRange,
        Request, //
    },
    node::Node,
    registry::{
        Key,
        Room, //
    },
    reservation::Reservation,
    state::State,
    system::Kernel, //
};

/// The data shared by all VMAs of one mmap(2) call, including parts and copies. It is dropped with
/// the last of them, after their pages are unmapped.
pub(crate) struct Mapping {
    state: Arc<State>,
    key: Key,
    /// The cache type of its pages.
    cache: CacheMode,
    /// Whether the kernel itself may access the memory.
    is_memory: bool,
    /// The node of its window; `None` in raw mode.
    node: Option<Arc<Node>>,
    /// Whether its pages are mapped at the first access to them, rather than all at once.
    on_demand: bool,
    /// What keeps the cache type of pages that are mapped on demand.
    reservation: Option<Arc<Reservation>>,
}

impl Mapping {
    /// Makes sure that pages that are mapped later get the cache type of `wanted`. Returns whether
    /// that is so: its pages are mapped at the first access to them, as huge pages where possible.
    ///
    /// # Errors
    ///
    /// [`Refusal::CacheConflict`] if the memory is already mapped with another cache type, or if
    /// there is no address space for the reservation. [`Refusal::Gone`] if the window was removed.
    pub(crate) fn reserve(
        &mut self,
        grant: &Grant,
        wanted: PageProtection,
    ) -> Result<bool, Denial> {
        // Other architectures map with the requested type.
        if self.on_demand && cfg!(CONFIG_X86) {
            self.reservation = match &self.node {
                Some(node) => node.reserve(&grant.range, wanted)?,
                None => Reservation::new(grant.range, grant.cache, wanted)?,
            };
            self.on_demand = self.reservation.is_some();
        }
        Ok(self.on_demand)
    }

    /// Calls `act` with the part of the memory that was taken away, unless that is all of it.
    /// Whoever takes memory away waits for that.
    fn while_kept<T>(&self, act: impl FnOnce(Option<PhysRange>) -> T) -> Option<T> {
        match &self.node {
            Some(node) => node.while_present(|| act(None)),
            // A mapping without a window may be older than the windows.
            None => {
                let windows = self.state.windows.lock();
                Some(act(windows.lost(&self.key)))
            }
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        self.state.windows.lock().forget(&self.key);
    }
}

impl VmaOperations for Mapping {
    fn opened(&self) {
        self.state.counts.vma_opened();
        match &self.node {
            Some(node) => node.vmas.add(1, Relaxed),
            None => self.state.counts.vma_copied(),
        }
    }

    fn closed(&self) {
        self.state.counts.vma_closed();
        if let Some(node) = &self.node {
            node.vmas.add(-1, Relaxed);
        }
    }

    fn is_gone(&self) -> bool {
        self.node.as_ref().is_some_and(|node| node.is_gone())
    }

    fn access(&self, vma: &VmaRef, address: usize, bytes: Bytes<'_>) -> Option<usize> {
        let page = page_at(vma, address)?;
        // Some kernels warn about page table entries of inaccessible pages, and about hotplugged
        // memory that was mapped before and therefore stays offline.
        let permission = match bytes {
            Bytes::Read(_) => flags::READ | flags::WRITE,
            Bytes::Write(_) => flags::WRITE,
        };
        if !self.is_memory || vma.flags() & permission == 0 || Kernel.is_system_ram(&page) {
            return None;
        }
        let (address, end) = (address as u64, vma.end() as u64);
        let length = accessible(address, bytes.len() as u64, end, PAGE_SIZE as u64) as usize;
        let offset = address as usize % PAGE_SIZE;
        self.while_kept(|lost| {
            if lost.is_some_and(|lost| lost.overlaps(&page)) {
                return None;
            }
            let map = IoMap::new(page.start(), PAGE_SIZE, self.cache.code()).ok()?;
            match bytes {
                Bytes::Read(to) => map.read(offset, to.get_mut(..length)?),
                Bytes::Write(from) => map.write(offset, from.get(..length)?),
            }
            Some(length)
        })?
    }

    fn fault(&self, fault: &Fault) -> Outcome {
        // Pages that were mapped at once are absent only because the window was removed.
        if !self.on_demand {
            return Outcome::SIGBUS;
        }
        self.while_kept(|lost| insert(fault, lost))
            .flatten()
            .unwrap_or(Outcome::SIGBUS)
    }
}

/// Maps the page that is missing: the huge page of the size that the kernel asks for, or all small
/// ones for which there is no huge one. `None` if the VMA maps nothing there.
///
/// Of a mapping that has `lost` a part of its memory, no huge page with a byte of that is mapped.
fn insert(fault: &Fault, lost: Option<PhysRange>) -> Option<Outcome> {
    let vma = fault.vma();
    let length = u64::try_from(vma.length()).ok()?;
    let mapped = Mapped {
        address: vma.start() as u64,
        memory: PhysRange::new(page_at(vma, vma.start())?.start(), length)?,
    };
    let address = fault.address() as u64;
    let kept = match lost {
        Some(lost) => mapped.without(&lost, address)?,
        None => mapped,
    };
    let part = if fault.is_huge() {
        match kept.huge_page(address, fault.size() as u64) {
            Some(page) => page,
            None => return Some(Outcome::FALLBACK),
        }
    } else {
        kept.around(address, machine::huge_page_size()?)?
    };
    // The memory was granted, but more may have been plugged in since, which then stays offline. On
    // x86 the kernel would ask struct pages, which may not exist yet, for its cache type.
    if Kernel.is_system_ram(&part.memory) {
        return None;
    }
    let frame = usize::try_from(part.memory.start() >> PAGE_SHIFT).ok()?;
    if fault.is_huge() {
        // SAFETY: The page lies in the VMA, and has no System RAM. The caller holds the lock under
        // which all pages of the mapping are mapped.
        return Some(unsafe { fault.insert_huge(frame) });
    }
    let first = usize::try_from(part.address).ok()?;
    let length = usize::try_from(part.memory.length()).ok()?;
    // SAFETY: As above.
    Some(unsafe { fault.insert(first, frame, length) })
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
    pub(crate) mapping: UniqueArc<Mapping>,
}

impl Permit {
    /// Decides on `request`, made on `node` or on the node of all memory for `vma`, and registers
    /// the mapping.
    ///
    /// # Errors
    ///
    /// [`Denial`] if the request is refused or memory runs out.
    pub(crate) fn new(
        state: &Arc<State>,
        request: &Request,
        node: Option<&Arc<Node>>,
        vma: &VmaNew,
    ) -> Result<Self, Denial> {
        let user = (!task::has_cap_sys_resource()).then(|| task::user());
        let room = Room::new(user)?;
        let (grant, key, node) = state.windows.lock().grant(request, node, vma.mm(), room)?;
        let huge = grant
            .window
            .map_or_else(param::huge, |found| found.window.huge);
        let mapped = Mapped {
            address: vma.start() as u64,
            memory: grant.range,
        };
        let mapping = Mapping {
            state: state.clone(),
            key,
            cache: grant.cache,
            is_memory: grant.memory,
            node,
            on_demand: huge == Huge::Auto
                && machine::huge_page_size().is_some_and(|size| mapped.has_huge_page(size)),
            reservation: None,
        };
        Ok(Self {
            grant,
            // A failed allocation drops the mapping, and with it the registration.
            mapping: UniqueArc::new(mapping, GFP_KERNEL)?,
        })
    }
}
