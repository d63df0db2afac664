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
//! [`driver`] shows what the driver allows, and why it refuses the rest. [`Device::interrupts`] waits for the
//! interrupts of a window or a UIO device.
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
//! | arm (ARMv6) | strongly ordered: in order | Normal non-cacheable: gathered and reordered | the same barrier by CP15: `mcr p15, 0, r, c7, c10, 4` |
//! | riscv64 | I/O: in order | non-cacheable memory: reordered | `fence ow, ow`: none is seen later than a store behind it |
//! | others | | | the full barrier between threads, which may not order accesses to devices |
//!
//! Those are the types of windows. The uncached BAR of a PCI device is Device-nGnRE on arm64, as registers are for
//! drivers of the kernel: in order, none gathered, but a store may be acknowledged before the device has it, also when
//! `flush` is over. A load from the device comes behind its stores.
//!
//! # The order of loads
//!
//! A load of write-combining or cached memory may be done before an earlier one of an uncached register. A program that
//! polls a device until it is done, and then reads a buffer that the device has filled, calls [`Mapping::acquire`] in
//! between, or it may read what was there before.
//!
//! | architecture | `acquire` is |
//! |---|---|
//! | x86, x86_64 | `mfence`: what MOVNTDQA has fetched before is dropped, and no later load is done before it |
//! | arm64 | `dmb oshld`: no later load is done before the earlier ones, of devices too |
//! | arm (ARMv7) | `dmb osh` |
//! | arm (ARMv6) | the same barrier by CP15: `mcr p15, 0, r, c7, c10, 5` |
//! | riscv64 | `fence ir, ir` |
//! | others | the full barrier between threads, which may not order accesses to devices |
//!
//! # Caches
//!
//! None of these writes back a processor's cache, or drops what is in it. A device that does not snoop the caches, as
//! is usual on arm and riscv64, needs a window that is not cached, or [`Mapping::clean`] and [`Mapping::invalidate`].

//!
//! # Features
//!
//! | feature | without it |
//! |---|---|
//! | `std`, the default | what maps is left out; [values](Value), their [byte orders](Endian) and [registers](register) at addresses that a program already has need no standard library |
//! | `safe-mmio` | no [`Block`], an unsafe bridge to the structures of registers of the crate of this name |
//! | `svd` | no [`registers`] by the names that a CMSIS-SVD file gives them |

#![cfg_attr(not(feature = "std"), no_std)]
#![deny(unsafe_code)]

mod access;
pub mod barrier;
#[cfg(all(feature = "std", feature = "safe-mmio"))]
mod block;
#[cfg(feature = "std")]
mod bulk;
#[cfg(feature = "std")]
mod cache;
#[cfg(feature = "std")]
mod cursor;
#[cfg(feature = "std")]
mod device;
#[cfg(feature = "std")]
pub mod driver;
#[cfg(feature = "std")]
mod dynamic;
#[cfg(feature = "std")]
mod error;
#[cfg(feature = "std")]
mod event;
#[cfg(feature = "std")]
mod file;
#[cfg(feature = "std")]
pub mod interrupt;
#[cfg(feature = "std")]
mod ioctl;
#[cfg(feature = "std")]
mod mapping;
#[cfg(feature = "std")]
mod no_fault;
#[cfg(feature = "std")]
mod node;
#[cfg(feature = "std")]
mod options;
#[cfg(feature = "std")]
pub mod page;
#[cfg(feature = "std")]
mod pci;
#[cfg(feature = "std")]
mod permissions;
#[cfg(feature = "std")]
mod raw;
#[cfg(feature = "std")]
mod region;
pub mod register;
#[cfg(feature = "svd")]
pub mod registers;
#[cfg(feature = "std")]
mod uio;
mod value;
#[cfg(feature = "std")]
mod vector;

#[cfg(all(feature = "std", feature = "safe-mmio"))]
pub use block::Block;
#[cfg(feature = "std")]
pub use bulk::{Bulk, Difference};
#[cfg(feature = "std")]
pub use cursor::Cursor;
#[cfg(feature = "std")]
pub use device::{Device, Kind, DEFAULT_DEVICE};
#[cfg(feature = "std")]
pub use error::{errno_text, Error, Operation, Result};
#[cfg(feature = "std")]
pub use file::{FileMapping, Layout, NoFault, Zone};
#[cfg(feature = "std")]
pub use interrupt::{Interrupt, Interrupts};
pub use map_core::{number, NumberError, PhysRange, RangeError};
#[cfg(feature = "std")]
pub use mapping::Mapping;
#[cfg(feature = "std")]
pub use options::OpenOptions;
#[cfg(feature = "std")]
pub use pci::PciBar;
#[cfg(feature = "std")]
pub use permissions::Permissions;
pub use register::Register;
#[cfg(feature = "std")]
pub use uio::UioMap;
pub use value::{Endian, Value, Width};

/// The examples of the file that a registry shows.
#[cfg(all(doctest, feature = "std"))]
#[doc = include_str!("../README.md")]
mod readme {}
