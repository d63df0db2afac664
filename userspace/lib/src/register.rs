// SPDX-License-Identifier: MIT OR Apache-2.0

//! One value in a mapping, whose bounds and alignment are checked once.

use crate::raw::VolatileRef;
use crate::{Endian, Value};

/// One value at a fixed place in a [`Mapping`](crate::Mapping), such as a register of a device.
///
/// [`Mapping::register`](crate::Mapping::register) has checked bounds, alignment and permission, so its accesses cannot
/// fail. Each is exactly one load or store of the type's width. A register cannot outlive its mapping:
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
pub struct Register<'m, T> {
    value: VolatileRef<'m, T>,
    endian: Endian,
}

impl<'m, T: Value> Register<'m, T> {
    pub(crate) fn new(value: VolatileRef<'m, T>, endian: Endian) -> Self {
        Self { value, endian }
    }

    /// Loads it, once.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # let registers: devmap::Mapping = panic!();
    /// let status = registers.register::<u32>(0x10)?;
    /// while status.read() & 1 == 0 {}
    /// # Ok::<(), devmap::Error>(())
    /// ```
    #[inline]
    pub fn read(self) -> T {
        self.endian.convert(self.value.load())
    }

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
        self.value.store(self.endian.convert(value));
    }

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
