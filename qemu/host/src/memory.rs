// SPDX-License-Identifier: MIT OR Apache-2.0

//! The guest's physical memory, seen from outside.
//!
//! QEMU maps an anonymous file of this process as the guest's RAM. Reads here therefore involve no driver and no page
//! table of the guest, and nothing is left of the file when the two processes have ended.

use std::{fs::File, os::unix::fs::FileExt};

use anyhow::{ensure, Context, Result};
use map_protocol::{pattern, sum, Difference, MOST_DIFFERENCES};
use nix::sys::memfd::{memfd_create, MFdFlags};

use crate::arch::Arch;

/// How much is compared or filled at a time, in bytes.
const BLOCK: u64 = 64 * 1024;

/// The RAM of one guest.
#[derive(Debug)]
pub struct Memory {
    file: File,
    start: u64,
    size: u64,
}

impl Memory {
    /// RAM for a guest of `arch`, all zero; pages take memory only once they are written.
    pub fn new(arch: &Arch) -> Result<Self> {
        Self::sized(arch, arch.memory_mib)
    }

    /// RAM of this size, at the address where a machine of `arch` has it in one piece.
    pub fn sized(arch: &Arch, mib: u64) -> Result<Self> {
        let size = mib << 20;
        // QEMU inherits the descriptor, so it is not closed on exec.
        let file = File::from(memfd_create("map-guest-ram", MFdFlags::empty())?);
        file.set_len(size).with_context(|| format!("cannot make {mib} MiB of guest memory"))?;
        Ok(Self { file, start: arch.memory_start, size })
    }

    /// The file that is the RAM.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Fills `length` bytes from `start` on with a pattern.
    pub fn fill(&self, seed: u64, start: u64, length: u64) -> Result<()> {
        let offset = self.offset(start, length)?;
        for done in (0..length).step_by(BLOCK as usize) {
            let count = BLOCK.min(length - done) as usize;
            let block = pattern::bytes(seed, start + done, count);
            self.file.write_all_at(&block, offset + done)?;
        }
        Ok(())
    }

    /// The first bytes that differ from the pattern, and the number of all that do.
    pub fn differences(&self, seed: u64, start: u64, length: u64) -> Result<(Vec<Difference>, u64)> {
        let offset = self.offset(start, length)?;
        let (mut first, mut count) = (Vec::new(), 0);
        let mut block = vec![0; BLOCK as usize];
        for done in (0..length).step_by(BLOCK as usize) {
            let block = &mut block[..BLOCK.min(length - done) as usize];
            self.file.read_exact_at(block, offset + done)?;
            for (address, &found) in (start + done..).zip(block.iter()) {
                let expected = pattern::byte(seed, address);
                if found != expected {
                    count += 1;
                    if first.len() < MOST_DIFFERENCES {
                        first.push(Difference { address, expected, found });
                    }
                }
            }
        }
        Ok((first, count))
    }

    /// The sum of `length` bytes from `start` on, both multiples of 8.
    pub fn sum(&self, start: u64, length: u64) -> Result<u64> {
        ensure!(start % 8 == 0 && length % 8 == 0, "{length} bytes at {start:#x} are not whole words");
        let offset = self.offset(start, length)?;
        let mut block = vec![0; BLOCK as usize];
        let mut sum = 0u64;
        for done in (0..length).step_by(BLOCK as usize) {
            let block = &mut block[..BLOCK.min(length - done) as usize];
            self.file.read_exact_at(block, offset + done)?;
            sum = sum.wrapping_add(sum::of(start + done, block));
        }
        Ok(sum)
    }

    /// The eight bytes at `address` as a little-endian number.
    pub fn word(&self, address: u64) -> Result<u64> {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, self.offset(address, 8)?)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// The offset in the file of `length` bytes from `address` on.
    fn offset(&self, address: u64, length: u64) -> Result<u64> {
        let end = self.start + self.size;
        let inside = address >= self.start && address.checked_add(length).is_some_and(|last| last <= end);
        ensure!(
            inside,
            "{length} bytes at {address:#x} are not all in the guest's RAM, {:#x}-{:#x}",
            self.start,
            end - 1
        );
        Ok(address - self.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch;

    #[test]
    fn what_differs_from_the_pattern_is_found_with_its_address() {
        let memory = Memory::new(&arch::ALL[0]).unwrap();
        let (start, length) = (0xc000_0000, 3 << 20);
        memory.fill(7, start, length).unwrap();
        assert_eq!(memory.differences(7, start, length).unwrap(), (vec![], 0));

        let address = start + 2 * BLOCK - 1;
        let expected = pattern::byte(7, address);
        memory.file.write_all_at(&[!expected], address).unwrap();
        let found = Difference { address, expected, found: !expected };
        assert_eq!(memory.differences(7, start, length).unwrap(), (vec![found], 1));
        assert!(memory.differences(8, start, length).unwrap().1 > length / 2);
    }

    #[test]
    fn the_sum_is_that_of_all_blocks() {
        let memory = Memory::new(&arch::ALL[0]).unwrap();
        let (start, length) = (0xc000_0000, 2 * BLOCK + 64);
        memory.fill(5, start, length).unwrap();
        let expected = sum::of(start, &pattern::bytes(5, start, length as usize));
        assert_eq!(memory.sum(start, length).unwrap(), expected);
        assert!(memory.sum(start + 4, 8).is_err());
    }

    #[test]
    fn memory_that_does_not_exist_is_an_error() {
        let memory = Memory::new(&arch::ALL[0]).unwrap();
        let end = memory.start + memory.size();
        assert!(memory.fill(0, end - 1, 1).is_ok());
        assert!(memory.fill(0, end - 1, 2).is_err());
        assert!(memory.fill(0, u64::MAX, 2).is_err());
    }
}
