// SPDX-License-Identifier: MIT OR Apache-2.0

//! A window onto physical memory: reserved SDRAM, the buffers of an FPGA, the registers of a device.
//!
//! [`Device`] opens `/dev/map`, [`Device::map`] maps a [`PhysRange`] of it, and [`Mapping`] reads and writes that with
//! accesses of exactly the width that was asked for:
//!
//! ```no_run
//! use devmap::{Device, PhysRange, DEFAULT_DEVICE};
//!
//! let device = Device::open(DEFAULT_DEVICE)?;
//! let sdram = device.map(PhysRange::new(0xc000_0000, 0x30_0000).unwrap())?;
//! sdram.write::<u8>(100, 3)?;
//! assert_eq!(sdram.read::<u8>(100)?, 3);
//! # Ok::<(), devmap::Error>(())
//! ```
//!
//! What the driver allows, and why it does not, is told by [`driver`].
//!
//! A regular file does in the place of the device, so programs can be tried and tested on any machine. [`FileMapping`]
//! is for programs that want the file itself: it knows where the file ends, and what that means for each byte.

#![deny(unsafe_code)]

mod bulk;
#[cfg(feature = "cli")]
pub mod bus;
mod device;
pub mod driver;
mod dynamic;
mod error;
mod file;
mod guard;
mod ioctl;
mod mapping;
pub mod page;
#[cfg(feature = "cli")]
pub mod probe;
mod raw;
mod register;
mod uio;
mod value;

pub use bulk::{Bulk, Difference};
pub use device::{Device, Kind, DEFAULT_DEVICE};
pub use error::{Error, Operation, Result};
pub use file::{FileMapping, Guarded, Layout, Zone};
pub use map_core::PhysRange;
pub use mapping::Mapping;
pub use register::Register;
pub use uio::UioMap;
pub use value::{Endian, Value, Width};
