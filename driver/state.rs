// SPDX-License-Identifier: GPL-2.0

//! The state of the loaded driver: windows, their devices, mappings, counters, and the limit of the
//! log.
//!
//! Lock order: `mmap_lock`, then [`State::windows`], then the contents of a node; the locks of
//! memory hotplug, then [`State::windows`]. So user memory must not be accessed while `windows` is
//! held. The other locks are leaf locks: a device is created and removed without any of them,
//! because the kernel then waits for readers of its attributes, and for devtmpfs.

use kernel::{
    new_mutex,
    prelude::*,
    rbtree::RBTree,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        global_lock,
        Arc,
        Mutex, //
    }, //
};

use crate::{
    abstractions::{
        chrdev::{
            Device,
            Devices, //
        },
        space::AddressSpace, //
    },
    interrupts::Interrupts,
    map_core::{
        LogLimit,
        Refusal,
        Window, //
    },
    node::Node,
    windows::{
        AddError,
        Windows, //
    }, //
};

/// State shared by all open files, mappings, devices of the device tree and debug files.
#[pin_data]
pub(crate) struct State {
    /// The windows and the mappings.
    #[pin]
    pub(crate) windows: Mutex<Windows>,
    /// The devices of the windows, by their minor numbers.
    #[pin]
    nodes: Mutex<RBTree<u32, Device<Node>>>,
    devices: Arc<Devices<Node>>,
    /// The address space of all files.
    pub(crate) space: AddressSpace,
    pub(crate) counts: Counts,
    /// The rate limit for refusals in the log.
    #[pin]
    pub(crate) log: Mutex<LogLimit>,
}

impl State {
    /// Creates the state without windows.
    pub(crate) fn new(devices: Arc<Devices<Node>>) -> Result<Arc<Self>> {
        let space = AddressSpace::new()?;
        Arc::pin_init(
            pin_init!(Self {
                windows <- new_mutex!(Windows::new()),
                nodes <- new_mutex!(RBTree::new()),
                devices,
                space,
                counts: Counts::new(),
                log <- new_mutex!(LogLimit::new()),
            }),
            GFP_KERNEL,
        )
    }

    /// Adds the windows `new` with their devices, each with the element of `interrupts` at its
    /// place, if any.
    ///
    /// # Errors
    ///
    /// [`AddError`] if a window cannot be added. In that case nothing changes.
    pub(crate) fn add(
        &self,
        new: &[Window],
        interrupts: &[Option<Arc<Interrupts>>],
    ) -> Result<(), AddError> {
        self.windows.lock().add(new, interrupts)?;
        let created = new.iter().try_for_each(|window| self.create_device(window));
        created.inspect_err(|_| self.remove(new))?;
        Ok(())
    }

    fn create_device(&self, window: &Window) -> Result {
        let node = self.windows.lock().node_of(window).ok_or(ENODEV)?;
        let device = Device::new(&self.devices, node.minor, node.clone())?;
        self.nodes
            .lock()
            .try_create_and_insert(node.minor, device, GFP_KERNEL)?;
        Ok(())
    }

    /// Removes the windows `gone`, and takes their memory and their interrupts from every process.
    /// When this returns, no process and no file can access it, it is claimed by nobody, and the
    /// lines of the interrupts are free.
    ///
    /// A mapping that is being made is noted before its VMA can be found (`next_process()`), and
    /// its process holds mmap_lock until then. So whoever takes that lock finds the VMA.
    ///
    /// fork(2) may copy a huge page that it has seen before it was unmapped, see
    /// [`AddressSpace::unmap_each()`]. Whoever begins to fork after `begin_removal()` copies
    /// nothing of the window (`Mapping::is_gone()`). So the first round finds all who began before,
    /// and when it has waited for them, the second one finds every copy. A mapping of raw mode has
    /// pages that remain, which are copied, so there are two more rounds if there was such a copy.
    pub(crate) fn remove(&self, gone: &[Window]) {
        for window in gone {
            let Some(node) = self.windows.lock().begin_removal(window) else {
                continue;
            };
            // The rest without a lock.
            if let Some(interrupts) = &node.interrupts {
                interrupts.remove();
            }
            let device = self.nodes.lock().remove(&node.minor);
            drop(device);
        }
        for window in gone {
            let range = &window.range;
            let mut next = 0;
            loop {
                let process = self.windows.lock().next_process(range, &mut next);
                let Some(process) = process else { break };
                drop(process.mmap_read_lock());
            }
            self.space.unmap(range.start(), range.length());
            loop {
                let copies = self.counts.copies.load(Relaxed);
                self.space.unmap_each(range.start(), range.length());
                self.space.unmap_each(range.start(), range.length());
                if self.counts.copies.load(Relaxed) == copies {
                    break;
                }
            }
        }
        let mut windows = self.windows.lock();
        for window in gone {
            windows.end_removal(window);
        }
    }
}

global_lock! {
    // SAFETY: `Published::new()` initializes it before anything uses it.
    unsafe(uninit) static STATE: Mutex<Option<Arc<State>>> = None;
}

/// Returns the state, for callbacks that have no data of their own; `None` while the module is
/// being loaded or unloaded.
pub(crate) fn current() -> Option<Arc<State>> {
    STATE.lock().clone()
}

/// A guard: while it exists, [`current()`] returns the state.
pub(crate) struct Published(());

impl Published {
    /// # Safety
    ///
    /// This may be called only once.
    pub(crate) unsafe fn new(state: Arc<State>) -> Self {
        // SAFETY: By this function's contract the lock is not initialized yet.
        unsafe { STATE.init() };
        *STATE.lock() = Some(state);
        Self(())
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        let state = STATE.lock().take();
        // This may be the last reference, so drop it without the lock.
        drop(state);
    }
}

/// The counters.
pub(crate) struct Counts {
    /// The number of VMAs that are mapped now. fork(2) and a partial munmap(2) add VMAs.
    vmas: Atomic<isize>,
    /// The number of VMAs of raw mode that were ever copied or split.
    copies: Atomic<usize>,
    refusals: [Atomic<u64>; Refusal::ALL.len()],
}

impl Counts {
    fn new() -> Self {
        Self {
            vmas: Atomic::new(0),
            copies: Atomic::new(0),
            refusals: [const { Atomic::new(0) }; Refusal::ALL.len()],
        }
    }

    /// Counts a new VMA.
    pub(crate) fn vma_opened(&self) {
        self.vmas.add(1, Relaxed);
    }

    /// Counts a VMA of raw mode that is copied or split. In fork(2) its pages are copied after
    /// that.
    pub(crate) fn vma_copied(&self) {
        self.copies.add(1, Relaxed);
    }

    /// Counts a VMA that is removed.
    pub(crate) fn vma_closed(&self) {
        self.vmas.add(-1, Relaxed);
    }

    /// Returns the number of VMAs that are mapped now.
    pub(crate) fn vmas(&self) -> isize {
        self.vmas.load(Relaxed)
    }

    /// Counts a refused call.
    pub(crate) fn refused(&self, reason: Refusal) {
        for (counted, count) in Refusal::ALL.into_iter().zip(&self.refusals) {
            if counted == reason {
                count.add(1, Relaxed);
            }
        }
    }

    /// Returns every reason with the number of calls refused for it.
    pub(crate) fn refusals(&self) -> impl Iterator<Item = (Refusal, u64)> + '_ {
        let counts = self.refusals.iter().map(|count| count.load(Relaxed));
        Refusal::ALL.into_iter().zip(counts)
    }
}
