// SPDX-License-Identifier: MIT OR Apache-2.0

//! Accesses whose width is known only at run time, as in tools.

use crate::{Error, Mapping, Result, Value, Width};

/// Calls a generic method of a mapping with the type of `$width`.
macro_rules! by_width {
    ($width:expr, $type:ident => $call:expr) => {
        match $width {
            Width::Bits8 => {
                type $type = u8;
                $call
            }
            Width::Bits16 => {
                type $type = u16;
                $call
            }
            Width::Bits32 => {
                type $type = u32;
                $call
            }
            Width::Bits64 => {
                type $type = u64;
                $call
            }
        }
    };
}

pub(crate) use by_width;

impl Mapping {
    /// Loads the value at `offset` as [`read`](Self::read) does, with a width that is known only at run time.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use devmap::{Device, PhysRange, Width, DEFAULT_DEVICE};
    /// let sdram = Device::open(DEFAULT_DEVICE)?.map(PhysRange::new(0xc000_0000, 0x30_0000).unwrap())?;
    /// let value: u64 = sdram.read_value(Width::Bits16, 0x10)?;
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn read_value(&self, width: Width, offset: usize) -> Result<u64> {
        by_width!(width, T => self.read::<T>(offset).map(widen))
    }

    /// Stores `value` at `offset` as [`write`](Self::write) does, with a width that is known only at run time.
    ///
    /// # Errors
    ///
    /// As for [`write`](Self::write), and [`Error::TooWide`] for a value that has more bits.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use devmap::{Device, PhysRange, Width, DEFAULT_DEVICE};
    /// let sdram = Device::open(DEFAULT_DEVICE)?.map(PhysRange::new(0xc000_0000, 0x30_0000).unwrap())?;
    /// sdram.write_value(Width::Bits16, 0x10, 0xffff)?;
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn write_value(&self, width: Width, offset: usize, value: u64) -> Result<()> {
        by_width!(width, T => self.write::<T>(offset, narrow(value)?))
    }

    /// Changes bits at `offset` as [`modify`](Self::modify) does, with a width that is known only at run time.
    ///
    /// # Errors
    ///
    /// As for [`modify`](Self::modify), and [`Error::TooWide`] for a mask or value that has more bits.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use devmap::{Device, PhysRange, Width, DEFAULT_DEVICE};
    /// let sdram = Device::open(DEFAULT_DEVICE)?.map(PhysRange::new(0xc000_0000, 0x30_0000).unwrap())?;
    /// let before: u64 = sdram.modify_value(Width::Bits16, 0x10, 0x00f0, 0x0050)?;
    /// # Ok::<(), devmap::Error>(())
    /// ```
    pub fn modify_value(&self, width: Width, offset: usize, mask: u64, value: u64) -> Result<u64> {
        by_width!(width, T => self.modify::<T>(offset, narrow(mask)?, narrow(value)?).map(widen))
    }
}

fn widen<T: Value>(value: T) -> u64 {
    value.into()
}

/// `value` as a `T`, if it fits.
pub(crate) fn narrow<T: Value>(value: u64) -> Result<T> {
    T::try_from(value).map_err(|_| Error::TooWide { value, width: T::WIDTH })
}
