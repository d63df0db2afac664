// SPDX-License-Identifier: MIT OR Apache-2.0

//! What one access moves: a value of 8, 16, 32 or 64 bits, and the order of its bytes.

use core::fmt;
use core::ops::{BitAnd, BitOr, Not};

use crate::access::Access;

/// The number of bits that one access moves.
///
/// ```
/// use devmap::{Value, Width};
///
/// assert_eq!(<u16 as Value>::WIDTH, Width::Bits16);
/// assert!(Width::Bits16 < Width::Bits32);
/// assert_eq!(Width::Bits32.to_string(), "32 bits");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Width {
    /// One byte.
    Bits8,
    /// Two bytes.
    Bits16,
    /// Four bytes.
    Bits32,
    /// Eight bytes. Most processors of 32 bits would need two accesses, so there it [is not native](Self::is_native).
    Bits64,
}

impl Width {
    /// All of them, the narrowest first.
    ///
    /// ```
    /// use devmap::Width;
    ///
    /// assert_eq!(Width::ALL.map(Width::bits), [8, 16, 32, 64]);
    /// ```
    pub const ALL: [Self; 4] = [Self::Bits8, Self::Bits16, Self::Bits32, Self::Bits64];

    /// The widest access that every processor of this architecture has: that of its registers.
    ///
    /// ```
    /// assert!(devmap::Width::WIDEST.is_native());
    /// ```
    pub const WIDEST: Self = if cfg!(target_pointer_width = "64") { Self::Bits64 } else { Self::Bits32 };

    /// Whether this processor has an access of this width. Every function that would make one fails if it has not:
    /// two accesses are never taken for one.
    ///
    /// Programs of 32 bits have none of 64, except on ARM processors with large physical addresses (LPAE), as all of
    /// ARMv8 and the Cortex-A7 and A15: there LDRD and STRD are one access of memory. A bus that is narrower than 64
    /// bits, as many for registers, splits it, as it does on processors of 64 bits. The kernel says whether the
    /// processor is one of these, and only the standard library can ask it.
    ///
    /// ```
    /// use devmap::Width;
    ///
    /// assert!(Width::Bits32.is_native());
    /// assert!(Width::Bits64.is_native() || cfg!(target_pointer_width = "32"));
    /// ```
    #[inline]
    pub fn is_native(self) -> bool {
        self.bytes() <= Self::WIDEST.bytes() || crate::access::has_double()
    }

    /// The width in bytes.
    ///
    /// ```
    /// assert_eq!(devmap::Width::Bits32.bytes(), 4);
    /// ```
    pub const fn bytes(self) -> usize {
        match self {
            Self::Bits8 => 1,
            Self::Bits16 => 2,
            Self::Bits32 => 4,
            Self::Bits64 => 8,
        }
    }

    /// The width in bits.
    ///
    /// ```
    /// assert_eq!(devmap::Width::Bits32.bits(), 32);
    /// ```
    pub const fn bits(self) -> u32 {
        8 * self.bytes() as u32
    }

    /// The greatest value of this width: every bit set.
    ///
    /// ```
    /// assert_eq!(devmap::Width::Bits16.max(), 0xffff);
    /// ```
    pub const fn max(self) -> u64 {
        u64::MAX >> (64 - self.bits())
    }
}

impl fmt::Display for Width {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bits", self.bits())
    }
}

/// The order of a value's bytes in memory.
///
/// ```no_run
/// use devmap::{Device, Endian, PhysRange, DEFAULT_DEVICE};
///
/// let range = PhysRange::new(0xc000_0000, 4).unwrap();
/// let big = Device::open(DEFAULT_DEVICE)?.map(range)?.with_endian(Endian::Big);
/// big.write::<u16>(0, 0x1234)?; // the byte 0x12 first
/// # Ok::<(), devmap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Endian {
    /// That of this processor.
    #[default]
    Native,
    /// The least significant byte first.
    Little,
    /// The most significant byte first.
    Big,
}

impl Endian {
    /// Turns a value between this order and the processor's; the same both ways.
    ///
    /// ```
    /// use devmap::Endian;
    ///
    /// assert_eq!(Endian::Big.convert(0x1234u16), 0x1234u16.to_be());
    /// assert_eq!(Endian::Native.convert(0x1234u16), 0x1234);
    /// ```
    #[inline]
    pub fn convert<T: Value>(self, value: T) -> T {
        if self.is_big() == Self::Native.is_big() {
            value
        } else {
            value.swap_bytes()
        }
    }

    /// Whether the most significant byte is the first.
    ///
    /// ```
    /// use devmap::Endian;
    ///
    /// assert!(Endian::Big.is_big());
    /// assert_eq!(Endian::Native.is_big(), cfg!(target_endian = "big"));
    /// ```
    #[inline]
    pub const fn is_big(self) -> bool {
        match self {
            Self::Native => cfg!(target_endian = "big"),
            Self::Little => false,
            Self::Big => true,
        }
    }
}

/// An unsigned integer that one load or store moves: `u8`, `u16`, `u32` or `u64`.
///
/// On a processor of 32 bits, accesses of a `u64` fail with `Error::NoSuchWidth`.
///
/// ```
/// use devmap::Value;
///
/// fn is_set<T: Value>(register: T, bit: T) -> bool {
///     register & bit == bit
/// }
///
/// assert!(is_set(0x80u8, 0x80));
/// ```
///
/// It is sealed: there is one implementation for each access that a processor may have. None moves a `u128` in one
/// access:
///
/// ```compile_fail,E0277
/// # let mapping: devmap::Mapping = panic!();
/// mapping.read::<u128>(0);
/// ```
///
/// Nor does a device hold anything but plain numbers:
///
/// ```compile_fail,E0277
/// # let mapping: devmap::Mapping = panic!();
/// mapping.read::<bool>(0);
/// ```
pub trait Value:
    Access
    + Copy
    + Eq
    + Into<u64>
    + TryFrom<u64>
    + BitAnd<Output = Self>
    + BitOr<Output = Self>
    + Not<Output = Self>
    + fmt::Debug
    + fmt::LowerHex
    + Send
    + Sync
    + 'static
{
    /// How many bits it has.
    const WIDTH: Width;

    /// The value with its bytes in the opposite order.
    fn swap_bytes(self) -> Self;
}

macro_rules! value {
    ($type:ty, $width:expr) => {
        impl Value for $type {
            const WIDTH: Width = $width;

            #[inline]
            fn swap_bytes(self) -> Self {
                Self::swap_bytes(self)
            }
        }
    };
}

value!(u8, Width::Bits8);
value!(u16, Width::Bits16);
value!(u32, Width::Bits32);
value!(u64, Width::Bits64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_width_is_its_types() {
        assert_eq!(<u8 as Value>::WIDTH.bytes(), size_of::<u8>());
        assert_eq!(<u16 as Value>::WIDTH.bytes(), size_of::<u16>());
        assert_eq!(<u32 as Value>::WIDTH.max(), u64::from(u32::MAX));
        assert_eq!(<u64 as Value>::WIDTH.max(), u64::MAX);
        assert_eq!(Width::WIDEST.bytes(), size_of::<usize>());
        let native = Width::ALL.into_iter().filter(|width| width.is_native()).max();
        // A processor of 32 bits may have an access of 64.
        assert!(native == Some(Width::WIDEST) || cfg!(target_arch = "arm") && native == Some(Width::Bits64));
    }

    #[test]
    fn the_order_of_bytes() {
        assert_eq!(Endian::Big.convert(0x0102_0304u32).to_ne_bytes(), [1, 2, 3, 4]);
        assert_eq!(Endian::Little.convert(0x0102_0304u32).to_ne_bytes(), [4, 3, 2, 1]);
        assert_eq!(Endian::Native.convert(0x0102_0304u32), 0x0102_0304);
        assert_eq!(Endian::Big.convert(7u8), 7);
    }
}
