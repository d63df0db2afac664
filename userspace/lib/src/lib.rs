// SPDX-License-Identifier: MIT OR Apache-2.0

//! A window onto physical memory: reserved SDRAM, the buffers of an FPGA, the registers of a device.
//!
//! [`Device`] opens `/dev/map`, [`Device::map`] maps a [`PhysRange`] of it, and [`Mapping`] reads and writes the range
//! with accesses of exactly the requested width:
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
//! A window has a node of its own, too, with offsets from its start. [`Device::window`] opens it by the window's name,
//! for whoever may open this node:
//!
//! ```no_run
//! use devmap::Device;
//!
//! let sdram = Device::window("sdram")?.map_all()?;
//! assert_eq!(sdram.read::<u8>(100)?, 3);
//! # Ok::<(), devmap::Error>(())
//! ```
//!
//! [`driver`] shows what the driver allows, and why it refuses the rest.
//!
//! A regular file works in place of the device, so programs can be tried and tested on any machine:
//!
//! ```
//! use devmap::{Device, PhysRange};
//!
//! let file = tempfile::NamedTempFile::new()?;
//! file.as_file().set_len(0x1000)?;
//! let registers = Device::open(file.path())?.map(PhysRange::new(0x100, 0x20).unwrap())?;
//! let control = registers.register::<u32>(0x10)?;
//! control.modify(0xf0, 0x50);
//! assert_eq!(control.read(), 0x50);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`FileMapping`] is for programs that want the file itself: it knows where the file ends, and what that means for
//! each byte.
//!
//! # The order of stores
//!
//! Through an uncached mapping, stores leave the processor one by one, in program order. Write-combining memory is
//! faster because the processor gathers its stores, which leave later and in another order. Call [`Mapping::flush`]
//! between storing data and notifying a device of it.
//!
//! | architecture | uncached | write-combining | `flush` is |
//! |---|---|---|---|
//! | x86, x86_64 | UC-: in order | WC: gathered in buffers, emptied in any order | `sfence`: the buffers are emptied before any later store |
//! | arm64 | Device-nGnRnE: in order, none gathered, none acknowledged early | Normal non-cacheable: gathered and reordered | `dsb st`: waits until all have completed |
//! | arm (ARMv7) | strongly ordered: in order | Normal non-cacheable: gathered and reordered | `dsb st`: waits until all have completed |
//! | riscv64 | I/O: in order | non-cacheable memory: reordered | `fence ow, ow`: none is seen later than a store behind it |
//! | others | | | the full barrier between threads, which may not order accesses to devices |
//!
//! None of these writes back a processor's cache. A device that does not snoop the caches, as is usual on arm and
//! riscv64, needs a window that is not cached, or [`Mapping::clean`] and [`Mapping::invalidate`].

#![deny(unsafe_code)]

mod bulk;
mod cache;
mod device;
pub mod driver;
mod dynamic;
mod error;
mod file;
mod ioctl;
mod mapping;
mod no_fault;
mod node;
pub mod page;
mod permissions;
mod raw;
mod register;
mod uio;
mod value;
mod vector;

pub use bulk::{Bulk, Difference};
pub use device::{Device, Kind, DEFAULT_DEVICE};
pub use error::{errno_text, Error, Operation, Result};
pub use file::{FileMapping, Layout, NoFault, Zone};
pub use map_core::PhysRange;
pub use mapping::Mapping;
pub use permissions::Permissions;
pub use register::Register;
pub use uio::UioMap;
pub use value::{Endian, Value, Width};
