// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The interrupts of a window: their state, and the decisions on them.

use super::{
    abi::{
        MapIrqMask,
        MapIrqWait,
        IRQS, //
    },
    Errno,
};

/// How a device signals an interrupt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// By a level, which stays until a program has handled the device. The interrupt is masked when
    /// it comes, or it would come again at once.
    #[default]
    Level,
    /// By an edge. The interrupt is counted, and not masked, however often it comes.
    Edge,
}

impl Trigger {
    /// The bits of a level in the kernel's trigger type, IRQ_TYPE_LEVEL_MASK.
    const LEVEL: u32 = 0xc;

    /// The bits of an edge, IRQ_TYPE_EDGE_BOTH.
    const EDGE: u32 = 0x3;

    /// Returns the trigger for a trigger type of the kernel. An unknown one is taken for a level:
    /// an edge that is masked until the program unmasks it is late, but a level that is not masked
    /// takes the processor for ever.
    pub const fn of(kind: u32) -> Self {
        if kind & Self::LEVEL == 0 && kind & Self::EDGE != 0 {
            Self::Edge
        } else {
            Self::Level
        }
    }

    /// Returns the trigger as a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Level => "level",
            Self::Edge => "edge",
        }
    }
}

/// The reason for which a call about interrupts is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IrqRefusal {
    /// The window was removed.
    Gone,
    /// No interrupt is named, or one that does not exist.
    NoSuch,
    /// A field has a value without a meaning.
    Unknown,
    /// The descriptor is not open for writing.
    NotWritable,
    /// An interrupt is masked, or unmasked, already.
    Already,
    /// Another open file has set the eventfd of this interrupt.
    Busy,
}

impl IrqRefusal {
    /// Returns the error of the call.
    pub const fn errno(self) -> Errno {
        match self {
            Self::Gone => Errno::NoDevice,
            Self::NoSuch | Self::Unknown => Errno::Invalid,
            Self::NotWritable => Errno::Access,
            Self::Already => Errno::Already,
            Self::Busy => Errno::Busy,
        }
    }
}

/// What the handler of an interrupt has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Nothing: the window was removed.
    Ignored,
    /// To wake those who wait.
    Counted,
    /// To mask the interrupt, and then to wake those who wait.
    Masked,
}

/// The state of the interrupts of a window.
#[derive(Clone, Copy, Debug)]
pub struct Irqs {
    /// The bits of those that exist.
    all: u32,
    /// The bits of those that are edge-triggered.
    edge: u32,
    /// The bits of those that are masked.
    masked: u32,
    /// How often each has come.
    counts: [u64; IRQS],
    gone: bool,
}

impl Irqs {
    /// Creates `number` interrupts, at most [`IRQS`], all masked and, until
    /// [`set_trigger()`](Self::set_trigger), level-triggered.
    pub const fn new(number: usize) -> Self {
        let mut all = 0;
        let mut index = 0;
        while index < number && index < IRQS {
            all |= bit(index);
            // It is smaller than `IRQS`.
            index = index.wrapping_add(1);
        }
        Self {
            all,
            edge: 0,
            masked: all,
            counts: [0; IRQS],
            gone: false,
        }
    }

    /// Returns the bits of the interrupts that exist.
    pub const fn all(&self) -> u32 {
        self.all
    }

    /// Returns how often each interrupt has come.
    pub const fn counts(&self) -> &[u64; IRQS] {
        &self.counts
    }

    /// Returns whether the window was removed.
    pub const fn is_gone(&self) -> bool {
        self.gone
    }

    /// Sets how the interrupt with `index` is signalled.
    pub const fn set_trigger(&mut self, index: usize, trigger: Trigger) {
        match trigger {
            Trigger::Level => self.edge &= !bit(index),
            Trigger::Edge => self.edge |= bit(index) & self.all,
        }
    }

    /// Returns the trigger of an interrupt, whether it is masked, and how often it has come; `None`
    /// if there is no interrupt with this index.
    pub fn get(&self, index: usize) -> Option<(Trigger, bool, u64)> {
        if self.all & bit(index) == 0 {
            return None;
        }
        let trigger = if self.edge & bit(index) != 0 {
            Trigger::Edge
        } else {
            Trigger::Level
        };
        let count = self.counts.get(index)?;
        Some((trigger, self.masked & bit(index) != 0, *count))
    }

    /// Records that an interrupt has come.
    ///
    /// One that was on its way while it was masked is counted as well: the device has signalled it.
    /// Nothing but the device limits how often an edge comes.
    pub fn came(&mut self, index: usize) -> Arrival {
        let bit = bit(index) & self.all;
        let Some(count) = self
            .counts
            .get_mut(index)
            .filter(|_| bit != 0 && !self.gone)
        else {
            return Arrival::Ignored;
        };
        *count = count.wrapping_add(1);
        if (self.edge | self.masked) & bit != 0 {
            return Arrival::Counted;
        }
        self.masked |= bit;
        Arrival::Masked
    }

    /// Checks the bits of interrupts that a program has named.
    ///
    /// # Errors
    ///
    /// [`IrqRefusal::Gone`] or [`IrqRefusal::NoSuch`].
    pub const fn check(&self, bits: u32) -> Result<(), IrqRefusal> {
        if self.gone {
            return Err(IrqRefusal::Gone);
        }
        if bits == 0 || bits & !self.all != 0 {
            return Err(IrqRefusal::NoSuch);
        }
        Ok(())
    }

    /// Checks what a program waits for.
    ///
    /// # Errors
    ///
    /// [`IrqRefusal::Gone`], [`IrqRefusal::NoSuch`] or [`IrqRefusal::Unknown`].
    pub fn check_wait(&self, wait: &MapIrqWait) -> Result<(), IrqRefusal> {
        self.check(wait.interrupts)?;
        if wait.flags != 0 {
            return Err(IrqRefusal::Unknown);
        }
        Ok(())
    }

    /// Masks or unmasks interrupts: the caller must do so with each of the bits. Otherwise nothing
    /// changes.
    ///
    /// # Errors
    ///
    /// [`IrqRefusal`], of which the first in the order of its list is reported.
    pub fn set_masked(&mut self, mask: &MapIrqMask, writable: bool) -> Result<(), IrqRefusal> {
        let bits = mask.interrupts;
        self.check(bits)?;
        let change = match mask.masked {
            0 => self.masked & bits,
            1 => !self.masked & bits,
            _ => return Err(IrqRefusal::Unknown),
        };
        if !writable {
            return Err(IrqRefusal::NotWritable);
        }
        if change != bits {
            return Err(IrqRefusal::Already);
        }
        self.masked ^= bits;
        Ok(())
    }

    /// Decides whether the open file `file` may set the eventfd of an interrupt, or take it away,
    /// which the file `owner` has set, if any.
    ///
    /// # Errors
    ///
    /// [`IrqRefusal`], of which the first in the order of its list is reported.
    pub fn check_eventfd(
        &self,
        index: usize,
        writable: bool,
        owner: Option<usize>,
        file: usize,
    ) -> Result<(), IrqRefusal> {
        // An index that no interrupt has is no bit.
        self.check(bit(index))?;
        if !writable {
            return Err(IrqRefusal::NotWritable);
        }
        match owner {
            Some(owner) if owner != file => Err(IrqRefusal::Busy),
            _ => Ok(()),
        }
    }

    /// Masks all interrupts, because nobody has the node open any more. Returns the bits of those
    /// that the caller must mask.
    pub const fn close(&mut self) -> u32 {
        let masked = self.all & !self.masked;
        self.masked = self.all;
        // Those of a window that was removed are given back.
        if self.gone {
            0
        } else {
            masked
        }
    }

    /// Records that the window is removed: nothing comes any more. Returns the bits of the
    /// interrupts that the caller must mask.
    pub const fn remove(&mut self) -> u32 {
        let masked = self.close();
        self.gone = true;
        masked
    }
}

/// Returns the bit of an interrupt; 0 if there can be none with this index.
pub const fn bit(index: usize) -> u32 {
    if index < IRQS {
        1 << index
    } else {
        0
    }
}

/// Returns how many interrupts have come, by the `count` now and what was `taken` before: counts
/// only grow, and may wrap.
pub const fn come_since(count: u64, taken: u64) -> u64 {
    count.wrapping_sub(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn irqs() -> Irqs {
        let mut irqs = Irqs::new(3);
        irqs.set_trigger(1, Trigger::Edge);
        irqs
    }

    fn mask(interrupts: u32, masked: u32) -> MapIrqMask {
        MapIrqMask { interrupts, masked }
    }

    #[test]
    fn an_unknown_trigger_is_a_level() {
        for (kind, trigger) in [
            (0, Trigger::Level),
            (1, Trigger::Edge),
            (2, Trigger::Edge),
            (3, Trigger::Edge),
            (4, Trigger::Level),
            (8, Trigger::Level),
            // IRQ_TYPE_SENSE_MASK, and IRQ_TYPE_PROBE.
            (0xf, Trigger::Level),
            (0x10, Trigger::Level),
        ] {
            assert_eq!(Trigger::of(kind), trigger, "{kind:#x}");
        }
    }

    #[test]
    fn a_trigger_is_a_word_and_an_interrupt_a_bit() {
        assert_eq!(Trigger::Level.as_str(), "level");
        assert_eq!(Trigger::Edge.as_str(), "edge");
        assert_eq!([bit(0), bit(15), bit(16), bit(31)], [1, 1 << 15, 0, 0]);
    }

    #[test]
    fn there_are_as_many_interrupts_as_asked_for_and_at_most_16() {
        for (number, all) in [
            (0, 0),
            (1, 1),
            (3, 7),
            (16, 0xffff),
            (17, 0xffff),
            (99, 0xffff),
        ] {
            assert_eq!(Irqs::new(number).all(), all);
        }
        assert_eq!(irqs().get(2), Some((Trigger::Level, true, 0)));
        assert_eq!(irqs().get(1), Some((Trigger::Edge, true, 0)));
        for index in [3, 16, 32, usize::MAX] {
            assert_eq!(irqs().get(index), None);
            assert_eq!(irqs().came(index), Arrival::Ignored);
        }
        // Nothing that does not exist gets a trigger.
        let mut irqs = irqs();
        irqs.set_trigger(7, Trigger::Edge);
        irqs.set_trigger(64, Trigger::Edge);
        assert_eq!((irqs.edge, irqs.all), (2, 7));
    }

    #[test]
    fn a_level_is_masked_once_when_it_comes_and_an_edge_never() {
        let mut irqs = irqs();
        assert_eq!(irqs.set_masked(&mask(7, 0), true), Ok(()));
        assert_eq!(irqs.came(0), Arrival::Masked);
        assert_eq!(irqs.get(0), Some((Trigger::Level, true, 1)));
        // It was on its way.
        assert_eq!(irqs.came(0), Arrival::Counted);
        for count in 1..4 {
            assert_eq!(irqs.came(1), Arrival::Counted);
            assert_eq!(irqs.get(1), Some((Trigger::Edge, false, count)));
        }
        assert_eq!(irqs.get(2), Some((Trigger::Level, false, 0)));
        assert_eq!(&irqs.counts()[..4], [2, 3, 0, 0]);
        assert_eq!(irqs.set_masked(&mask(1, 0), true), Ok(()));
        assert_eq!(irqs.came(0), Arrival::Masked);
    }

    #[test]
    fn all_named_interrupts_are_masked_or_none() {
        let mut irqs = irqs();
        assert_eq!(irqs.set_masked(&mask(2, 0), true), Ok(()));
        for (wrong, reason) in [
            (mask(7, 0), IrqRefusal::Already),
            (mask(7, 1), IrqRefusal::Already),
            (mask(2, 0), IrqRefusal::Already),
            (mask(1, 1), IrqRefusal::Already),
            (mask(0, 1), IrqRefusal::NoSuch),
            (mask(0xf, 1), IrqRefusal::NoSuch),
            (mask(1 << 31, 0), IrqRefusal::NoSuch),
            (mask(2, 2), IrqRefusal::Unknown),
            (mask(2, u32::MAX), IrqRefusal::Unknown),
        ] {
            assert_eq!(irqs.set_masked(&wrong, true), Err(reason), "{wrong:?}");
            assert_eq!(irqs.masked, 5);
        }
        assert_eq!(
            irqs.set_masked(&mask(2, 1), false),
            Err(IrqRefusal::NotWritable)
        );
        assert_eq!(irqs.set_masked(&mask(5, 0), true), Ok(()));
        assert_eq!(irqs.masked, 0);
        assert_eq!(irqs.set_masked(&mask(7, 1), true), Ok(()));
        assert_eq!(irqs.masked, 7);
    }

    #[test]
    fn a_wait_names_interrupts_that_exist() {
        let wait = MapIrqWait {
            interrupts: 7,
            ..MapIrqWait::default()
        };
        assert_eq!(irqs().check_wait(&wait), Ok(()));
        let flags = MapIrqWait { flags: 1, ..wait };
        assert_eq!(irqs().check_wait(&flags), Err(IrqRefusal::Unknown));
        for interrupts in [0, 8, 15, u32::MAX] {
            let wait = MapIrqWait { interrupts, ..wait };
            assert_eq!(irqs().check_wait(&wait), Err(IrqRefusal::NoSuch));
        }
    }

    #[test]
    fn the_eventfd_of_another_file_stays() {
        let irqs = irqs();
        for owner in [None, Some(7)] {
            assert_eq!(irqs.check_eventfd(2, true, owner, 7), Ok(()));
        }
        let busy = irqs.check_eventfd(2, true, Some(8), 7);
        assert_eq!(busy, Err(IrqRefusal::Busy));
        let reader = irqs.check_eventfd(2, false, Some(8), 7);
        assert_eq!(reader, Err(IrqRefusal::NotWritable));
        for index in [3, 16, 32, 64, usize::MAX] {
            let none = irqs.check_eventfd(index, true, None, 7);
            assert_eq!(none, Err(IrqRefusal::NoSuch), "{index}");
        }
    }

    #[test]
    fn the_last_close_masks_what_is_not_masked() {
        let mut irqs = irqs();
        assert_eq!(irqs.close(), 0);
        assert_eq!(irqs.set_masked(&mask(6, 0), true), Ok(()));
        assert_eq!(irqs.came(2), Arrival::Masked);
        assert_eq!(irqs.close(), 2);
        assert_eq!(irqs.masked, 7);
        assert_eq!(irqs.close(), 0);
    }

    #[test]
    fn nothing_happens_to_a_window_that_is_gone() {
        let mut irqs = irqs();
        assert_eq!(irqs.set_masked(&mask(7, 0), true), Ok(()));
        assert_eq!(irqs.came(0), Arrival::Masked);
        assert_eq!(irqs.remove(), 6);
        assert!(irqs.is_gone());
        assert_eq!(irqs.came(1), Arrival::Ignored);
        assert_eq!(irqs.get(1), Some((Trigger::Edge, true, 0)));
        assert_eq!(irqs.set_masked(&mask(7, 0), true), Err(IrqRefusal::Gone));
        assert_eq!(irqs.check(1), Err(IrqRefusal::Gone));
        assert_eq!((irqs.close(), irqs.remove()), (0, 0));
    }

    #[test]
    fn counts_may_wrap() {
        let mut irqs = irqs();
        irqs.counts[1] = u64::MAX;
        irqs.came(1);
        assert_eq!(irqs.counts[1], 0);
        assert_eq!(come_since(0, u64::MAX), 1);
        assert_eq!(come_since(5, 5), 0);
    }

    #[test]
    fn every_refusal_has_its_error() {
        let errors = [
            (IrqRefusal::Gone, 19),
            (IrqRefusal::NoSuch, 22),
            (IrqRefusal::Unknown, 22),
            (IrqRefusal::NotWritable, 13),
            (IrqRefusal::Already, 114),
            (IrqRefusal::Busy, 16),
        ];
        for (refusal, number) in errors {
            assert_eq!(refusal.errno().number(), number, "{refusal:?}");
        }
    }
}
