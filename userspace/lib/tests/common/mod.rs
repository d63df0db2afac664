// SPDX-License-Identifier: MIT OR Apache-2.0

//! A regular file that plays the device.

#![allow(dead_code, reason = "each test file is a crate of its own, and uses what it needs")]

use std::fs;
use std::path::Path;

use devmap::{Device, Mapping, PhysRange, Result};
use tempfile::NamedTempFile;

/// The file, which is removed when this is dropped.
pub struct FakeDevice {
    file: NamedTempFile,
}

impl FakeDevice {
    /// A device with these bytes at address 0.
    pub fn new(contents: &[u8]) -> Self {
        let file = NamedTempFile::new().unwrap();
        fs::write(file.path(), contents).unwrap();
        Self { file }
    }

    /// The path to open.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Maps it for writing.
    pub fn map(&self, start: u64, length: u64) -> Result<Mapping> {
        Device::open(self.path())?.map(PhysRange::new(start, length).unwrap())
    }

    /// Maps it for reading only.
    pub fn map_read_only(&self, start: u64, length: u64) -> Result<Mapping> {
        Device::open_read_only(self.path())?.map(PhysRange::new(start, length).unwrap())
    }

    /// Its current contents, read without a mapping; except in Miri, where a file gets them when its last mapping goes.
    pub fn contents(&self) -> Vec<u8> {
        if cfg!(miri) {
            let mapping = Device::open_read_only(self.path()).unwrap().map_all().unwrap();
            let mut bytes = vec![0; mapping.len()];
            mapping.bulk().read_into(0, &mut bytes).unwrap();
            return bytes;
        }
        fs::read(self.path()).unwrap()
    }
}
