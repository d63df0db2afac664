// SPDX-License-Identifier: MIT OR Apache-2.0

//! What one access moves: a value of 8, 16, 32 or 64 bits.

use std::fmt;
use std::ops::{BitAnd, BitOr, Not};

use crate::raw::Access;

/// The number of bits that one access moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Width {
    /// One byte.
    Bits8,
    /// Two bytes.
    Bits16,
    /// Four bytes.
    Bits32,
    /// Eight bytes. A 32-bit processor would need two accesses, so there this width does not exist.
    #[cfg(target_pointer_width = "64")]
    Bits64,
}

impl Width {
    /// The width in bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Bits8 => 1,
            Self::Bits16 => 2,
            Self::Bits32 => 4,
            #[cfg(target_pointer_width = "64")]
            Self::Bits64 => 8,
        }
    }

    /// The width in bits.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Bits8 => 8,
            Self::Bits16 => 16,
            Self::Bits32 => 32,
            #[cfg(target_pointer_width = "64")]
            Self::Bits64 => 64,
        }
    }
}

impl fmt::Display for Width {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bits", self.bits())
    }
}

/// An unsigned integer that one load or store moves whole.
///
/// Sealed: it stands for the instructions that the processor has, and those are known here.
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
}

impl Value for u8 {
    const WIDTH: Width = Width::Bits8;
}

impl Value for u16 {
    const WIDTH: Width = Width::Bits16;
}

impl Value for u32 {
    const WIDTH: Width = Width::Bits32;
}

#[cfg(target_pointer_width = "64")]
impl Value for u64 {
    const WIDTH: Width = Width::Bits64;
}
