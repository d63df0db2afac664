// SPDX-License-Identifier: MIT OR Apache-2.0

//! The rules for address spaces: mmap(2) and its relatives, loads and stores.
//!
//! What the kernel checks, and in which order, is that of `do_mmap()`, `do_mprotect_pkey()`, `do_mremap()`,
//! `do_madvise()` and so on in Linux 7.3. A VMA of physical memory is never merged with another one.

use map_core::{decide, has_huge_page, Access as WindowAccess, Grant, Mode, PhysRange, Refusal, Request, Table};
use nix::{
    errno::Errno,
    libc::{self, c_int},
};

use super::{
    actor::ARENA,
    operation::{Access, ARENA_PAGES},
    world::{hash, Expect, Mapping, Value, Vma, World, DONTFORK, HUGE, NO_HUGE, RANDOM, SEQUENTIAL, USER},
};
use crate::host::PAGE;

/// The size of a huge page in bytes.
pub const HUGE_PAGE: u64 = 2 << 20;

const MAP_TYPE: c_int = 0xf;
const MAP_FIXED_NOREPLACE: c_int = libc::MAP_FIXED_NOREPLACE;
/// The flags that MAP_SHARED_VALIDATE knows.
const LEGACY_MAP_MASK: c_int = libc::MAP_SHARED
    | libc::MAP_PRIVATE
    | libc::MAP_FIXED
    | libc::MAP_ANONYMOUS
    | libc::MAP_DENYWRITE
    | libc::MAP_EXECUTABLE
    | libc::MAP_GROWSDOWN
    | libc::MAP_LOCKED
    | libc::MAP_NORESERVE
    | libc::MAP_POPULATE
    | libc::MAP_NONBLOCK
    | libc::MAP_STACK
    | libc::MAP_HUGETLB;

/// The arguments of mmap(2).
pub struct Map {
    /// The file.
    pub slot: usize,
    /// The page of the arena for MAP_FIXED.
    pub page: Option<u32>,
    /// The offset.
    pub offset: u64,
    /// The length.
    pub length: u64,
    /// The protection.
    pub protection: c_int,
    /// The flags, without MAP_FIXED.
    pub flags: c_int,
}

/// What happens at an address.
enum Reach {
    /// The access reaches this physical address.
    Memory(u64),
    /// It is not permitted: SIGSEGV.
    Denied,
    /// The memory was taken away: SIGBUS.
    Lost,
}

impl World {
    /// The driver's decision on a request that is made through `file`.
    pub fn decide(&self, file: usize, request: &Request, rawio: bool) -> Result<Grant, map_core::Refused> {
        let limits = &self.machine.limits;
        self.asking(rawio, |query| match self.files[file].node {
            None => decide(request, &self.mode, limits, query),
            Some(node) if self.nodes[node].gone => Err(Refusal::Gone.into()),
            Some(node) => {
                let listed = self.mode.windows().iter().find(|listed| listed.node == node);
                let listed = listed.ok_or(Refusal::Gone)?;
                decide(request, &Mode::Windows(Table::of(listed)), limits, query)
            }
        })
    }

    /// The physical address of offset 0 of a file.
    pub fn base(&self, file: usize) -> u64 {
        self.files[file].node.map_or(0, |node| self.nodes[node].window.range.start())
    }

    /// mmap(2).
    pub fn map(&mut self, actor: usize, map: &Map) -> Option<Expect> {
        let process = self.actors[actor].as_ref()?;
        let Map { page, offset, protection, flags, .. } = *map;
        if offset % PAGE != 0 {
            return Some(Errno::EINVAL.into());
        }
        let Some(file) = process.slots[map.slot] else { return Some(Errno::EBADF.into()) };
        if flags & libc::MAP_HUGETLB != 0 || map.length == 0 {
            return Some(Errno::EINVAL.into());
        }
        let execute =
            protection & libc::PROT_EXEC != 0 || protection & libc::PROT_READ != 0 && process.read_implies_execute;
        let length = map.length.checked_next_multiple_of(PAGE).unwrap_or(0);
        if length == 0 || length > self.machine.limits.task_size {
            return Some(Errno::ENOMEM.into());
        }
        if let Some(page) = page {
            if u64::from(page) * PAGE + length > u64::from(ARENA_PAGES) * PAGE {
                return None;
            }
            if flags & MAP_FIXED_NOREPLACE != 0 {
                return Some(Errno::EEXIST.into());
            }
        }
        if offset / PAGE > (u64::MAX - length) / PAGE {
            return Some(Errno::EOVERFLOW.into());
        }
        let it = &self.files[file];
        let write = protection & libc::PROT_WRITE != 0;
        let mut given = flags | if page.is_some() { libc::MAP_FIXED } else { 0 };
        match flags & MAP_TYPE {
            kind @ (libc::MAP_SHARED | libc::MAP_SHARED_VALIDATE) => {
                if kind == libc::MAP_SHARED {
                    given &= LEGACY_MAP_MASK;
                }
                if given & !(LEGACY_MAP_MASK | MAP_TYPE) != 0 {
                    return Some(Errno::EOPNOTSUPP.into());
                }
                if write && !it.writable || !it.readable {
                    return Some(Errno::EACCES.into());
                }
            }
            libc::MAP_PRIVATE if !it.readable => return Some(Errno::EACCES.into()),
            libc::MAP_PRIVATE => (),
            _ => return Some(Errno::EINVAL.into()),
        }
        if flags & libc::MAP_GROWSDOWN != 0 {
            return Some(Errno::EINVAL.into());
        }
        // The kernel accounts for a private copy, and may not have so much memory.
        if flags & MAP_TYPE == libc::MAP_PRIVATE && write && length > 1 << 28 {
            return None;
        }
        // From here on it is the driver's, and what was mapped there is gone.
        let request = Request {
            base: self.base(file),
            start: offset,
            length,
            read: protection & libc::PROT_READ != 0,
            write,
            execute,
            read_implies_execute: process.read_implies_execute,
            shared: flags & MAP_TYPE != libc::MAP_PRIVATE,
            file_readable: it.readable,
            file_writable: it.writable,
        };
        let (writable, rawio) = (it.writable, process.rawio);
        let user = (!process.resource).then_some(process.user);
        let pages = (length / PAGE) as u32;
        // The kernel would tell of several types in its log.
        let wanted = self.decide(file, &request, rawio).map(|grant| grant.range);
        if wanted.is_ok_and(|range| self.is_mixed(&range)) {
            return None;
        }
        let mut gaps = Vec::new();
        if let Some(first) = page {
            self.cut(actor, first, pages);
            gaps.push((first, pages));
        }
        let refused = |errno: Errno| Expect { gaps: gaps.clone(), ..errno.into() };
        let grant = match self.decide(file, &request, rawio) {
            Ok(grant) => grant,
            Err(error) => return Some(refused(self.refuse(error.reason))),
        };
        if user.is_some_and(|user| !self.may_map(user)) {
            return Some(refused(self.refuse(Refusal::TooMany)));
        }
        if !self.other_types(&grant.range, grant.cache).is_empty() {
            self.conflicts += 1;
            return Some(refused(self.refuse(Refusal::CacheConflict)));
        }
        let Some(first) = page else {
            // The driver aligns it with the memory.
            let aligned = has_huge_page(&grant.range, HUGE_PAGE).then_some(grant.range.start() % HUGE_PAGE);
            return Some(Expect { value: Value::Positive, data: aligned, ..Expect::exactly(0) });
        };
        let listed = grant.window.and_then(|found| self.mode.windows().get(found.index));
        let node = self.files[file].node.or(listed.map(|listed| listed.node));
        let mapping = self.mappings.len();
        self.mappings.push(Mapping { range: grant.range, cache: grant.cache, node, file, user, vmas: 1, lost: None });
        self.hold(file);
        let vma = Vma {
            first,
            pages,
            mapping,
            physical: grant.range.start(),
            read: request.read,
            write,
            may_write: writable && grant.access == WindowAccess::ReadWrite,
            shared: writable,
            // What is a stack gets no huge pages.
            advice: if flags & libc::MAP_STACK != 0 { NO_HUGE } else { 0 },
            copied_late: false,
        };
        self.place(actor, vma);
        Some(Expect::exactly((ARENA + first as usize * PAGE as usize) as i64))
    }

    /// Whether a user may have one more mapping.
    pub fn may_map(&self, user: u32) -> bool {
        let (own, all) = self.counted(user);
        map_core::may_map(own, all)
    }

    /// The number of mappings that count for a user, and for all.
    pub fn counted(&self, user: u32) -> (u32, u32) {
        let users = self.mappings.iter().filter(|mapping| mapping.vmas > 0).filter_map(|mapping| mapping.user);
        users.fold((0, 0), |(own, all), other| (own + u32::from(other == user), all + 1))
    }

    /// Adds a VMA where nothing is.
    fn place(&mut self, actor: usize, vma: Vma) {
        let Some(process) = &mut self.actors[actor] else { return };
        let index = process.vmas.partition_point(|other| other.first < vma.first);
        process.vmas.insert(index, vma);
    }

    /// Splits the VMA at a page, so that one begins there.
    fn split(&mut self, actor: usize, page: u32) {
        let Some(process) = &mut self.actors[actor] else { return };
        let Some(index) = process.vmas.iter().position(|vma| vma.first < page && page < vma.end()) else { return };
        let vma = &mut process.vmas[index];
        let rest = Vma { first: page, pages: vma.end() - page, physical: vma.physical_of(page), ..vma.clone() };
        vma.pages = page - vma.first;
        self.mappings[rest.mapping].vmas += 1;
        process.vmas.insert(index + 1, rest);
    }

    /// Unmaps pages.
    fn cut(&mut self, actor: usize, first: u32, pages: u32) {
        let end = first + pages;
        // The last part of a mapping that goes in between must not be its last VMA.
        self.split(actor, first);
        self.split(actor, end);
        let Some(process) = &mut self.actors[actor] else { return };
        let (gone, kept) = process.vmas.drain(..).partition(|vma| first <= vma.first && vma.first < end);
        process.vmas = kept;
        let gone: Vec<Vma> = gone;
        for vma in gone {
            self.drop_vma(vma.mapping);
        }
    }

    /// Whether all of these pages are mapped.
    fn is_mapped(&self, actor: usize, first: u32, pages: u32) -> bool {
        let Some(process) = &self.actors[actor] else { return false };
        let mut page = first;
        while page < first + pages {
            match process.vma_at(page) {
                Some(vma) => page = vma.end(),
                None => return false,
            }
        }
        pages > 0
    }

    /// Changes the VMAs of these pages, all of which are mapped, one after the other up to the first error. What
    /// changes is split off.
    fn modify(
        &mut self,
        actor: usize,
        first: u32,
        pages: u32,
        change: impl Fn(&Self, &mut Vma) -> Result<(), Errno>,
    ) -> Option<Expect> {
        if !self.is_mapped(actor, first, pages) {
            return None;
        }
        let mut page = first;
        while page < first + pages {
            let old = self.actors[actor].as_ref()?.vma_at(page)?.clone();
            let mut new = old.clone();
            if let Err(errno) = change(self, &mut new) {
                return Some(errno.into());
            }
            let end = old.end().min(first + pages);
            if new != old {
                self.split(actor, page);
                self.split(actor, end);
                let place = self.actors[actor].as_mut()?.vmas.iter_mut().find(|vma| vma.first == page)?;
                *place = Vma { first: place.first, pages: place.pages, physical: place.physical, ..new };
            }
            page = end;
        }
        Some(Expect::exactly(0))
    }

    /// munmap(2).
    pub fn unmap(&mut self, actor: usize, page: u32, pages: u32) -> Option<Expect> {
        self.actors[actor].as_ref()?;
        if pages == 0 {
            return Some(Errno::EINVAL.into());
        }
        if page + pages > ARENA_PAGES {
            return None;
        }
        self.cut(actor, page, pages);
        Some(Expect { gaps: vec![(page, pages)], ..Expect::exactly(0) })
    }

    /// mprotect(2).
    pub fn protect(&mut self, actor: usize, page: u32, pages: u32, protection: c_int) -> Option<Expect> {
        if protection & !(libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC) != 0 {
            return Some(Errno::EINVAL.into());
        }
        let has = |bit| protection & bit != 0;
        // None may become executable, so READ_IMPLIES_EXEC adds nothing.
        self.modify(actor, page, pages, |_, vma| {
            if has(libc::PROT_EXEC) || has(libc::PROT_WRITE) && !vma.may_write {
                return Err(Errno::EACCES);
            }
            (vma.read, vma.write) = (has(libc::PROT_READ), has(libc::PROT_WRITE));
            Ok(())
        })
    }

    /// mremap(2) of pages that one or more VMAs map.
    pub fn remap(
        &mut self,
        actor: usize,
        (page, old, new): (u32, u32, u32),
        flags: c_int,
        to: Option<u32>,
    ) -> Option<Expect> {
        let process = self.actors[actor].as_ref()?;
        if to.is_some_and(|to| to + new > ARENA_PAGES) || page + old.max(new) > ARENA_PAGES {
            return None;
        }
        let keeps = flags & libc::MREMAP_DONTUNMAP != 0;
        let known = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED | libc::MREMAP_DONTUNMAP;
        if flags & !known != 0 || new == 0 {
            return Some(Errno::EINVAL.into());
        }
        let fixed = flags & libc::MREMAP_FIXED != 0;
        let to = to.unwrap_or(0);
        if fixed || keeps {
            let overlaps = page < to + new && to < page + old;
            if flags & libc::MREMAP_MAYMOVE == 0 || keeps && old != new || overlaps {
                return Some(Errno::EINVAL.into());
            }
        }
        let vma = process.vma_at(page)?.clone();
        let left = vma.end() - page;
        if fixed && old == new && left < old {
            return Some(Errno::EFAULT.into());
        }
        if keeps {
            return Some(Errno::EINVAL.into());
        }
        // A shrink may reach beyond the VMA with what it unmaps.
        if new > old || fixed && new > left {
            return Some(Errno::EFAULT.into());
        }
        let mut gaps = Vec::new();
        if !fixed {
            if new < old {
                self.cut(actor, page + new, old - new);
                gaps.push((page + new, old - new));
            }
            let address = ARENA + page as usize * PAGE as usize;
            return Some(Expect { gaps, ..Expect::exactly(address as i64) });
        }
        self.cut(actor, to, new);
        if new < old {
            self.cut(actor, page + new, old - new);
            gaps.push((page + new, old - new));
        }
        let moved = Vma { first: to, pages: new, physical: vma.physical_of(page), ..vma };
        self.mappings[moved.mapping].vmas += 1;
        self.cut(actor, page, new);
        gaps.push((page, new));
        self.place(actor, moved);
        // What is taken by what moved is no gap, even if it was unmapped before.
        let address = ARENA + to as usize * PAGE as usize;
        Some(Expect { gaps, ..Expect::exactly(address as i64) })
    }

    /// madvise(2).
    pub fn advise(&mut self, actor: usize, page: u32, pages: u32, advice: c_int) -> Option<Expect> {
        self.modify(actor, page, pages, |_, vma| {
            let set = |advice: &mut u32, on: u32, off: u32| *advice = *advice & !off | on;
            match advice {
                libc::MADV_NORMAL => set(&mut vma.advice, 0, RANDOM | SEQUENTIAL),
                libc::MADV_RANDOM => set(&mut vma.advice, RANDOM, SEQUENTIAL),
                libc::MADV_SEQUENTIAL => set(&mut vma.advice, SEQUENTIAL, RANDOM),
                libc::MADV_HUGEPAGE => set(&mut vma.advice, HUGE, NO_HUGE),
                libc::MADV_NOHUGEPAGE => set(&mut vma.advice, NO_HUGE, HUGE),
                libc::MADV_DONTFORK => set(&mut vma.advice, DONTFORK, 0),
                libc::MADV_WILLNEED | libc::MADV_DONTDUMP | libc::MADV_KEEPONFORK => (),
                libc::MADV_REMOVE if vma.shared && vma.may_write => return Err(Errno::ENODEV),
                libc::MADV_REMOVE => return Err(Errno::EACCES),
                // There are no pages that they could be about.
                libc::MADV_DONTNEED | libc::MADV_COLD | libc::MADV_PAGEOUT if vma.copied_late => (),
                _ => return Err(Errno::EINVAL),
            }
            Ok(())
        })
    }

    /// msync(2).
    pub fn sync(&mut self, actor: usize, page: u32, pages: u32, flags: c_int) -> Option<Expect> {
        let known = libc::MS_ASYNC | libc::MS_INVALIDATE | libc::MS_SYNC;
        if flags & !known != 0 || flags & libc::MS_ASYNC != 0 && flags & libc::MS_SYNC != 0 {
            return Some(Errno::EINVAL.into());
        }
        self.modify(actor, page, pages, |world, vma| {
            let node = world.files[world.mappings[vma.mapping].file].node;
            let gone = node.is_some_and(|node| world.nodes[node].gone);
            if flags & libc::MS_SYNC != 0 && vma.shared && gone {
                return Err(errno_gone());
            }
            Ok(())
        })
    }

    /// mlock(2), munlock(2) and mincore(2), which have nothing to do.
    pub fn touch_nothing(&mut self, actor: usize, page: u32, pages: u32) -> Option<Expect> {
        self.is_mapped(actor, page, pages).then(|| Expect::exactly(0))
    }

    /// What an access to a page of the arena reaches; `None` if nothing is mapped there.
    fn reach(&self, actor: usize, page: u32, offset: u32, store: bool) -> Option<Reach> {
        let vma = self.actors[actor].as_ref()?.vma_at(page)?;
        // A page that can be written can be read.
        let permitted = if store { vma.write } else { vma.read || vma.write };
        let physical = vma.physical_of(page) + u64::from(offset);
        Some(match permitted {
            false => Reach::Denied,
            true if self.is_lost(vma.mapping, physical) => Reach::Lost,
            true => Reach::Memory(physical),
        })
    }

    /// The physical address that an access reaches, if it does.
    pub fn reached(&self, actor: usize, page: u32, offset: u32, store: bool) -> Option<u64> {
        match self.reach(actor, page, offset, store)? {
            Reach::Memory(physical) => Some(physical),
            Reach::Denied | Reach::Lost => None,
        }
    }

    /// The physical address that an access reaches, or the error that it gives; `None` if the model does not know.
    fn accessed(
        &self,
        actor: usize,
        page: u32,
        offset: u32,
        store: bool,
        access: Access,
    ) -> Option<Result<u64, Errno>> {
        let vma = self.actors[actor].as_ref()?.vma_at(page);
        let failure = match access {
            Access::Direct | Access::Call => Errno::EFAULT,
            // No page of physical memory can be pinned.
            Access::Process => return Some(Err(Errno::EFAULT)),
            // Without a VMA of ours, this would be a page of ordinary memory.
            Access::Memory | Access::Trace if vma.is_none() => return None,
            Access::Trace if vma.is_some_and(|vma| vma.advice & DONTFORK != 0) => return Some(Err(Errno::EIO)),
            Access::Memory | Access::Trace => Errno::EIO,
        };
        Some(self.reached(actor, page, offset, store).ok_or(failure))
    }

    /// A load of `width` bytes.
    pub fn load(&mut self, actor: usize, page: u32, offset: u32, width: u32, access: Access) -> Option<Expect> {
        let physical = match self.accessed(actor, page, offset, false, access)? {
            Ok(physical) => physical,
            Err(failure) => return Some(failure.into()),
        };
        let bytes = self.memory.read(physical, u64::from(width))?;
        let done = if access == Access::Direct || access == Access::Trace { 0 } else { i64::from(width) };
        Some(Expect { permitted: true, ..Expect::with_data(done, hash(bytes)) })
    }

    /// A store of the lowest `width` bytes of `value`.
    pub fn store(
        &mut self,
        actor: usize,
        page: u32,
        offset: u32,
        (width, value): (u32, u64),
        access: Access,
    ) -> Option<Expect> {
        let physical = match self.accessed(actor, page, offset, true, access)? {
            Ok(physical) => physical,
            Err(failure) => return Some(failure.into()),
        };
        self.memory.read(physical, u64::from(width))?;
        // read(2) of /dev/zero stores zeros.
        let value = if access == Access::Call { 0 } else { value };
        self.memory.write(physical, &value.to_le_bytes()[..width as usize]);
        let done = if access == Access::Direct || access == Access::Trace { 0 } else { i64::from(width) };
        Some(Expect { permitted: true, ..Expect::exactly(done) })
    }

    /// An access of a forked child, and the signal that ends it, or 0.
    pub fn signal(&mut self, actor: usize, page: u32, store: bool) -> Option<Expect> {
        let forked = |vma: &Vma| vma.advice & DONTFORK == 0;
        let vma = self.actors[actor].as_ref()?.vma_at(page).filter(|vma| forked(vma));
        let signal = match vma.and_then(|_| self.reach(actor, page, 0, store)) {
            None | Some(Reach::Denied) => libc::SIGSEGV,
            Some(Reach::Lost) => libc::SIGBUS,
            // A store would change memory.
            Some(Reach::Memory(_)) if store => return None,
            Some(Reach::Memory(physical)) => {
                self.memory.read(physical, 1)?;
                0
            }
        };
        Some(Expect::exactly(signal.into()))
    }

    /// A fork: the child has all but what it was advised not to copy.
    pub fn fork(&mut self, actor: usize, child: usize) -> Option<Expect> {
        let mut copy = self.actors[actor].clone()?;
        if self.actors[child].is_some() {
            return None;
        }
        let mut gaps = Vec::new();
        copy.vmas.retain(|vma| {
            let kept = vma.advice & DONTFORK == 0;
            if !kept {
                gaps.push((vma.first, vma.pages));
            }
            kept
        });
        for vma in &mut copy.vmas {
            let mapping = &mut self.mappings[vma.mapping];
            mapping.vmas += 1;
            vma.copied_late |= mapping.node.is_some_and(|node| self.nodes[node].gone);
        }
        for file in copy.slots.into_iter().flatten() {
            self.hold(file);
        }
        self.actors[child] = Some(copy);
        Some(Expect { value: Value::Positive, gaps, ..Expect::exactly(0) })
    }

    /// One mapping after the other of a window's first pages, until the user has too many; then all of them go.
    pub fn flood(&mut self, actor: usize, slot: usize, pages: u32) -> Option<Expect> {
        let process = self.actors[actor].as_ref()?;
        let (user, rawio, rie) = (process.user, process.rawio, process.read_implies_execute);
        if process.resource || user != USER {
            return None;
        }
        let file = process.slots[slot]?;
        let it = &self.files[file];
        let request = Request {
            base: self.base(file),
            start: 0,
            length: u64::from(pages) * PAGE,
            read: true,
            write: false,
            execute: rie,
            read_implies_execute: rie,
            shared: true,
            file_readable: it.readable,
            file_writable: it.writable,
        };
        // Only through the node of a window, where offset 0 is memory.
        it.node?;
        if !it.readable {
            return None;
        }
        let grant = self.decide(file, &request, rawio).ok()?;
        if self.is_mixed(&grant.range) || !self.other_types(&grant.range, grant.cache).is_empty() {
            return None;
        }
        let (own, all) = self.counted(user);
        let most = (0..).take_while(|more| map_core::may_map(own + more, all + more)).count();
        let errno = self.refuse(Refusal::TooMany);
        Some(Expect::with_data(most as i64, errno as u64))
    }

    /// The part of memory that a window's removal takes from raw mode's mappings.
    pub fn revoke(&mut self, range: &PhysRange) {
        for mapping in self.mappings.iter_mut().filter(|mapping| mapping.vmas > 0) {
            if let Some(part) = mapping.range.intersection(range) {
                mapping.lost = Some(mapping.lost.and_then(|lost| lost.hull(&part)).unwrap_or(part));
            }
        }
    }
}

/// The error of what has gone.
fn errno_gone() -> Errno {
    super::world::errno_of(Refusal::Gone)
}
