// SPDX-License-Identifier: MIT OR Apache-2.0

//! Values at fixed places of a mapping, whose bounds and alignment are checked once: the registers of a device.
//!
//! | | lives | made by |
//! |---|---|---|
//! | [`Register`] | as long as its mapping is borrowed | [`Mapping::register`](crate::Mapping::register) |
//! | [`Registers`], several in a row | the same | [`Mapping::registers`](crate::Mapping::registers) |
//! | [`OwnedRegister`] | as long as it likes: it keeps the memory mapped | [`Mapping::owned_register`](crate::Mapping::owned_register) |
//!
//! Each has the parameter `A`, which says what the register is for: [`ReadWrite`], [`ReadOnly`] or [`WriteOnly`]. A
//! method that does not fit it does not exist.

#![allow(unsafe_code, reason = "one function makes a register of a pointer; the rest is safe")]

use core::fmt;
use core::iter::FusedIterator;
use core::marker::PhantomData;

use crate::access::{Place, Places};
use crate::{Endian, Value};

mod sealed {
    pub trait Sealed {}
}

/// What a register is for.
pub trait Access: sealed::Sealed + Copy + fmt::Debug + Send + Sync + 'static {
    /// Whether it is loaded.
    const READS: bool;
    /// Whether it is stored to.
    const WRITES: bool;
}

/// A register that can be loaded.
pub trait Readable: Access {}

/// A register that can be stored to.
pub trait Writable: Access {}

/// For registers that are loaded and stored to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadWrite {}

/// For registers that are only loaded, also of a mapping that cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadOnly {}

/// For registers that are only stored to. What loading one returns, or does, is up to the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOnly {}

macro_rules! access {
    ($type:ty, reads: $reads:literal, writes: $writes:literal, $($for:ident),+) => {
        impl sealed::Sealed for $type {}
        impl Access for $type {
            const READS: bool = $reads;
            const WRITES: bool = $writes;
        }
        $(impl $for for $type {})+
    };
}

access!(ReadWrite, reads: true, writes: true, Readable, Writable);
access!(ReadOnly, reads: true, writes: false, Readable);
access!(WriteOnly, reads: false, writes: true, Writable);

/// One value at a fixed place in a [`Mapping`](crate::Mapping), such as a register of a device.
///
/// [`Mapping::register`](crate::Mapping::register) has checked bounds, alignment and permission, so its accesses cannot
/// fail. Each is exactly one load or store of the type's width.
///
/// ```no_run
/// use devmap::register::{ReadOnly, WriteOnly};
/// use devmap::Device;
///
/// let block = Device::window("timer")?.map_all()?;
/// let status = block.register_as::<u32, ReadOnly>(0x10)?;
/// let start = block.register_as::<u32, WriteOnly>(0x14)?;
/// start.write(1);
/// while status.read() & 1 == 0 {}
/// # Ok::<(), devmap::Error>(())
/// ```
///
/// What a register is not for does not compile:
///
/// ```compile_fail,E0599
/// # use devmap::register::ReadOnly;
/// # let block: devmap::Mapping = panic!();
/// let status = block.register_as::<u32, ReadOnly>(0x10).unwrap();
/// status.write(1);
/// ```
///
/// A register cannot outlive its mapping ([`OwnedRegister`] keeps it):
///
/// ```compile_fail,E0597
/// use devmap::{Device, PhysRange, Register};
///
/// let register: Register<'_, u32>;
/// {
///     let mapping = Device::open("/dev/map").unwrap().map(PhysRange::new(0xc000_0000, 4).unwrap()).unwrap();
///     register = mapping.register(0).unwrap();
/// }
/// register.read();
/// ```
///
/// Nor can the mapping be dropped, which unmaps the memory, while one of its registers is in use:
///
/// ```compile_fail,E0505
/// use devmap::{Device, PhysRange};
///
/// let mapping = Device::open("/dev/map").unwrap().map(PhysRange::new(0xc000_0000, 4).unwrap()).unwrap();
/// let register = mapping.register::<u32>(0).unwrap();
/// drop(mapping);
/// register.write(1);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Register<'m, T, A = ReadWrite> {
    place: Place<'m, T>,
    endian: Endian,
    access: PhantomData<A>,
}

impl<T: Value, A: Access> Register<'_, T, A> {
    /// A register at `pointer`, whose value has the byte order `endian`: for programs that map the memory themselves,
    /// or need no mapping, as without the standard library.
    ///
    /// # Safety
    ///
    /// For as long as the register or a copy of it is used,
    ///
    /// * `pointer` is a multiple of the width, which is [native](crate::Width::is_native);
    /// * the memory is mapped, and for [`Writable`] registers mapped for writing;
    /// * it is outside of everything that Rust allocates, and nothing makes a reference to it;
    /// * a load or store of this width there does nothing that the program's own memory must not suffer.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use devmap::register::ReadOnly;
    /// use devmap::{Endian, Register};
    ///
    /// let address = 0x3f20_0000_usize as *mut u32;
    /// // SAFETY: The firmware maps this register of the processor there, and it is only loaded.
    /// let level = unsafe { Register::<u32, ReadOnly>::from_ptr(address, Endian::Little) };
    /// let pins = level.read();
    /// ```
    pub const unsafe fn from_ptr(pointer: *mut T, endian: Endian) -> Self {
        // SAFETY: By the contract, for the lifetime that the caller chooses.
        Self::new(unsafe { Place::new(pointer) }, endian)
    }

    /// The same register, whose value has the byte order `endian`.
    #[cfg(feature = "svd")]
    pub(crate) fn with_endian(self, endian: Endian) -> Self {
        Self { endian, ..self }
    }

    /// The register at a place that was checked for these accesses.
    pub(crate) const fn new(place: Place<'_, T>, endian: Endian) -> Register<'_, T, A> {
        Register { place, endian, access: PhantomData }
    }
}

impl<T: Value, A: Readable> Register<'_, T, A> {
    /// Loads it, once.
    ///
    /// Loads of other memory may overtake it. A program that waits for a device, and then reads what the device has
    /// written into a buffer, calls [`Mapping::acquire`](crate::Mapping::acquire) in between.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # let (registers, buffer): (devmap::Mapping, devmap::Mapping) = panic!();
    /// let status = registers.register::<u32>(0x10)?;
    /// while status.read() & 1 == 0 {}
    /// registers.acquire();
    /// let first = buffer.read::<u32>(0)?;
    /// # Ok::<(), devmap::Error>(())
    /// ```
    #[inline]
    pub fn read(self) -> T {
        self.endian.convert(self.place.load())
    }
}

impl<T: Value, A: Writable> Register<'_, T, A> {
    /// Stores `value`, once, and loads nothing.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # let registers: devmap::Mapping = panic!();
    /// registers.register::<u32>(0x14)?.write(0x8000_0001);
    /// # Ok::<(), devmap::Error>(())
    /// ```
    #[inline]
    pub fn write(self, value: T) {
        self.place.store(self.endian.convert(value));
    }
}

impl<T: Value, A: Readable + Writable> Register<'_, T, A> {
    /// Replaces the bits of `mask` by those of `value`: one load, then one store. Returns the loaded value.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # let registers: devmap::Mapping = panic!();
    /// let before = registers.register::<u32>(0x14)?.modify(0xf0, 0x50);
    /// # Ok::<(), devmap::Error>(())
    /// ```
    #[inline]
    pub fn modify(self, mask: T, value: T) -> T {
        let before = self.read();
        self.write((before & !mask) | (value & mask));
        before
    }
}

/// Registers of one width in a row.
///
/// ```no_run
/// # use devmap::Device;
/// let block = Device::window("gpio")?.map_all()?;
/// let pins = block.registers::<u32>(0x100, 32)?;
/// for pin in pins {
///     pin.write(0);
/// }
/// println!("{:#x}", pins.get(7).unwrap().read());
/// # Ok::<(), devmap::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Registers<'m, T, A = ReadWrite> {
    places: Places<'m, T>,
    endian: Endian,
    access: PhantomData<A>,
}

impl<'m, T: Value, A: Access> Registers<'m, T, A> {
    /// Those at `places`, which were checked for these accesses.
    #[cfg(feature = "std")]
    pub(crate) const fn new(places: Places<'m, T>, endian: Endian) -> Self {
        Self { places, endian, access: PhantomData }
    }

    /// How many there are.
    ///
    /// ```no_run
    /// # let block: devmap::Mapping = panic!();
    /// assert_eq!(block.registers::<u32>(0x100, 32)?.len(), 32);
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub const fn len(&self) -> usize {
        self.places.count()
    }

    /// Whether there are none.
    ///
    /// ```no_run
    /// # let block: devmap::Mapping = panic!();
    /// assert!(block.registers::<u32>(0x100, 0)?.is_empty());
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The one with this index; `None` if there are not so many.
    ///
    /// ```no_run
    /// # let block: devmap::Mapping = panic!();
    /// let pins = block.registers::<u32>(0x100, 32)?;
    /// assert!(pins.get(31).is_some() && pins.get(32).is_none());
    /// # Ok::<(), devmap::Error>(())
    /// ```
    #[inline]
    pub fn get(&self, index: usize) -> Option<Register<'m, T, A>> {
        Some(Register::<T, A>::new(self.places.get(index)?, self.endian))
    }

    /// One after the other.
    ///
    /// ```no_run
    /// # let block: devmap::Mapping = panic!();
    /// let set = block.registers::<u32>(0x100, 32)?.iter().filter(|pin| pin.read() != 0).count();
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn iter(&self) -> Iter<'m, T, A> {
        Iter { registers: *self }
    }
}

impl<'m, T: Value, A: Access> IntoIterator for Registers<'m, T, A> {
    type Item = Register<'m, T, A>;
    type IntoIter = Iter<'m, T, A>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The registers of [`Registers`], one after the other.
#[derive(Clone, Debug)]
pub struct Iter<'m, T, A = ReadWrite> {
    /// Those that are left.
    registers: Registers<'m, T, A>,
}

impl<'m, T: Value, A: Access> Iterator for Iter<'m, T, A> {
    type Item = Register<'m, T, A>;

    fn next(&mut self) -> Option<Self::Item> {
        let place = self.registers.places.take_first()?;
        Some(Register::<T, A>::new(place, self.registers.endian))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.registers.len(), Some(self.registers.len()))
    }
}

impl<T: Value, A: Access> ExactSizeIterator for Iter<'_, T, A> {}

impl<T: Value, A: Access> FusedIterator for Iter<'_, T, A> {}

#[cfg(feature = "std")]
pub use owned::OwnedRegister;

#[cfg(feature = "std")]
mod owned {
    use std::marker::PhantomData;

    use super::{Access, ReadWrite, Readable, Register, Writable};
    use crate::raw::OwnedPlace;
    use crate::{Endian, Value};

    /// A [`Register`] that keeps its memory mapped, so that it can live in a structure beside its mapping, or without
    /// it.
    ///
    /// ```no_run
    /// use devmap::register::{OwnedRegister, ReadOnly};
    /// use devmap::{Device, Mapping};
    ///
    /// struct Timer {
    ///     control: OwnedRegister<u32>,
    ///     count: OwnedRegister<u32, ReadOnly>,
    /// }
    ///
    /// impl Timer {
    ///     fn new(block: &Mapping) -> devmap::Result<Self> {
    ///         Ok(Self { control: block.owned_register(0x0)?, count: block.owned_register(0x4)? })
    ///     }
    ///
    ///     fn start(&self) -> u32 {
    ///         self.control.modify(1, 1);
    ///         self.count.read()
    ///     }
    /// }
    ///
    /// let timer = Timer::new(&Device::window("timer")?.map_all()?)?;
    /// timer.start();
    /// # Ok::<(), devmap::Error>(())
    /// ```
    #[derive(Clone, Debug)]
    pub struct OwnedRegister<T, A = ReadWrite> {
        place: OwnedPlace<T>,
        endian: Endian,
        access: PhantomData<A>,
    }

    impl<T: Value, A: Access> OwnedRegister<T, A> {
        /// The one at `place`, which was checked for these accesses.
        pub(crate) fn new(place: OwnedPlace<T>, endian: Endian) -> Self {
            Self { place, endian, access: PhantomData }
        }

        /// The register, for as long as this one is borrowed.
        ///
        /// ```no_run
        /// # let block: devmap::Mapping = panic!();
        /// let control = block.owned_register::<u32, devmap::register::ReadWrite>(0)?;
        /// let borrowed: devmap::Register<'_, u32> = control.as_register();
        /// # Ok::<(), devmap::Error>(())
        /// ```
        #[inline]
        pub fn as_register(&self) -> Register<'_, T, A> {
            Register::<T, A>::new(self.place.get(), self.endian)
        }
    }

    impl<T: Value, A: Readable> OwnedRegister<T, A> {
        /// Loads it, once, as [`Register::read`] does.
        ///
        /// ```no_run
        /// # use devmap::register::{OwnedRegister, ReadOnly};
        /// # let block: devmap::Mapping = panic!();
        /// let count: OwnedRegister<u32, ReadOnly> = block.owned_register(4)?;
        /// println!("{}", count.read());
        /// # Ok::<(), devmap::Error>(())
        /// ```
        #[inline]
        pub fn read(&self) -> T {
            self.as_register().read()
        }
    }

    impl<T: Value, A: Writable> OwnedRegister<T, A> {
        /// Stores `value`, once, as [`Register::write`] does.
        ///
        /// ```no_run
        /// # use devmap::register::{OwnedRegister, WriteOnly};
        /// # let block: devmap::Mapping = panic!();
        /// let reset: OwnedRegister<u32, WriteOnly> = block.owned_register(8)?;
        /// reset.write(1);
        /// # Ok::<(), devmap::Error>(())
        /// ```
        #[inline]
        pub fn write(&self, value: T) {
            self.as_register().write(value);
        }
    }

    impl<T: Value, A: Readable + Writable> OwnedRegister<T, A> {
        /// Replaces the bits of `mask` by those of `value`, as [`Register::modify`] does.
        ///
        /// ```no_run
        /// # use devmap::register::OwnedRegister;
        /// # let block: devmap::Mapping = panic!();
        /// let control: OwnedRegister<u32> = block.owned_register(0)?;
        /// let before = control.modify(0xf0, 0x50);
        /// # Ok::<(), devmap::Error>(())
        /// ```
        #[inline]
        pub fn modify(&self, mask: T, value: T) -> T {
            self.as_register().modify(mask, value)
        }
    }
}
