// SPDX-License-Identifier: MIT OR Apache-2.0

//! A driver that is tested without its hardware: a regular file plays the device. `cargo test --example tested`.

use devmap::register::{OwnedRegister, ReadOnly, WriteOnly};
use devmap::{Device, Mapping};

/// A light that dims, behind four registers of an FPGA.
struct Light {
    version: OwnedRegister<u16, ReadOnly>,
    brightness: OwnedRegister<u16>,
    commit: OwnedRegister<u8, WriteOnly>,
}

impl Light {
    /// The light whose registers `block` are.
    fn new(block: &Mapping) -> devmap::Result<Self> {
        Ok(Self {
            version: block.owned_register(0)?,
            brightness: block.owned_register(2)?,
            commit: block.owned_register(4)?,
        })
    }

    /// Makes it half as bright, down to the least that this version can do.
    fn dim(&self) -> u16 {
        let least = if self.version.read() < 2 { 16 } else { 1 };
        let brightness = (self.brightness.read() / 2).max(least);
        self.brightness.write(brightness);
        self.commit.write(1);
        brightness
    }
}

fn main() -> devmap::Result<()> {
    let light = Light::new(&Device::window("light")?.map_all()?)?;
    println!("{}", light.dim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A light with these registers, and the file that plays it.
    fn light(version: u16, brightness: u16) -> (Light, tempfile::NamedTempFile) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let [[v, w], [b, c]] = [version.to_ne_bytes(), brightness.to_ne_bytes()];
        fs::write(file.path(), [v, w, b, c, 0, 0xee]).unwrap();
        let block = Device::open(file.path()).unwrap().map_all().unwrap();
        (Light::new(&block).unwrap(), file)
    }

    #[test]
    fn it_dims_by_half_and_commits() {
        let (light, file) = light(2, 0x0400);
        assert_eq!(light.dim(), 0x0200);
        let [version, brightness] = [2_u16.to_ne_bytes(), 0x0200_u16.to_ne_bytes()];
        assert_eq!(fs::read(file.path()).unwrap(), [&version[..], &brightness, &[1, 0xee]].concat());
    }

    #[test]
    fn old_versions_do_not_go_below_sixteen() {
        assert_eq!(light(1, 20).0.dim(), 16);
        assert_eq!(light(2, 1).0.dim(), 1);
    }
}
