// SPDX-License-Identifier: MIT OR Apache-2.0

//! Registers by name, from CMSIS-SVD files.
