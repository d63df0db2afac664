// SPDX-License-Identifier: MIT OR Apache-2.0

//! Registers by name, from the CMSIS-SVD file that a vendor has written of a device.
//!
//! A [`Description`] is such a file. It finds peripherals, registers and fields by their paths, and knows of each what
//! a program needs to access it: address, [width](Register::width), [byte order](Register::endian), what may be done to
//! it, and what its bits mean.
//!
//! ```
//! # let text = include_str!("../examples/svd/pl011.svd");
//! use devmap::registers::{Description, Item};
//!
//! let board = Description::parse("pl011.svd", text)?;
//! let Item::Register(control) = board.find("UART0.CR")? else { unreachable!() };
//! assert_eq!(control.address(), 0x0900_0030);
//! let enabled: Vec<_> = control.decode(0x301).filter(|bit| bit.number == 1).map(|bit| bit.field.name().to_owned()).collect();
//! assert_eq!(enabled, ["UARTEN", "TXE", "RXE"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Paths
//!
//! | path | names |
//! |---|---|
//! | `UART0` | a peripheral |
//! | `UART0.CR` | a register |
//! | `UART0.CR.TXE`, `UART0.CR:TXE` | a field |
//! | `DMA.CH[2].CTRL` | a register of a cluster, which is an array here |
//! | `GPIO[3].DATA[7]` | a register of an array, in a peripheral of an array |
//!
//! An element of an array has its index in brackets or without, however the file has it: `CH[2]` is `CH2`, too. The
//! index is one of the file's `dimIndex`, if there are such. Upper and lower case distinguish names if there is one of
//! exactly this spelling, else they do not.
//!
//! In a [pattern](Description::search), `*` stands for any text within a name and `?` for any character.
//!
//! # What of the file is used, and how
//!
//! Opening a file checks its XML, and what it says of the device and of the places of the peripherals. The registers of
//! a peripheral are read and checked when it is first asked for one. [`Description::open_strict`] checks all of it at
//! once, and by the rules of the schema, which the files of many vendors do not keep; for this reason also, only the
//! strict form takes it for an error if two registers overlap that are no alternates of each other.
//!
//! * What a register does not say itself, it has from what it is derived from, then from its clusters, the peripheral
//!   and the device. Without anything there, a register has 32 bits and can be read and written.
//! * Something derived that has registers, fields or values itself has these alone, as for the generators of the
//!   embedded working group of Rust.
//! * Addresses count bytes. Several vendors write something else in `addressUnitBits`, but mean bytes; only the strict
//!   form takes it for an error.
//! * `prependToName`, `appendToName`, `headerStructName` and the like are for generated source code: names are what
//!   stands in `name`.
//! * An array has at most 2<sup>20</sup> elements, and so has a peripheral with everything in it; a
//!   file has at most four times as many with everything derived. At most 64 clusters are within each other.
//! * A file has at most 64 MiB, and about six million elements and texts between them; an element has at most 64
//!   attributes. A file declares at most 64 namespaces.

mod definition;
mod derivation;
mod document;
mod error;
mod item;
mod lookup;
mod name;

pub use svd_parser::svd::{Access, ModifiedWriteValues, Protection, ReadAction, Usage};

pub use document::{Description, Peripherals};
pub use error::{AccessorError, DescriptionError, EncodeError, FindError};
pub use item::{Decoded, EnumeratedValue, Field, Hazard, Item, Peripheral, Register, Registers, Setting};
pub use lookup::Found;
