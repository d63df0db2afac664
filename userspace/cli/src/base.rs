// SPDX-License-Identifier: MIT OR Apache-2.0

//! What addresses count from: a window, or the memory of a UIO or PCI device.

use std::fmt;
use std::path::PathBuf;

use devmap::driver::Name;
use devmap::{PhysRange, UioMap};

/// Memory that has a name. The texts are those of arguments, and live as long as the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// A window of the map driver.
    Window(Name),
    /// A map of a UIO device.
    Uio {
        /// Its node in /dev, `uio0` and so on.
        device: &'static str,
        /// The name of the map, or its number.
        map: &'static str,
    },
    /// A base address register of a PCI device.
    Pci {
        /// Domain, bus, device and function.
        address: &'static str,
        /// 0 to 5.
        bar: u8,
    },
    /// No name: the addresses of the device, whatever --base says; within a line of /proc/iomem, or a peripheral.
    Absolute { within: Option<PhysRange> },
}

/// How names of UIO maps are written.
const UIO: &str = "uioN/MAP";

/// How names of BARs are written.
const PCI: &str = "pci/DOMAIN:BUS:DEVICE.FUNCTION/BAR";

impl Base {
    /// Splits what `text` begins with off, up to a + or to the : of a bit field.
    pub fn split(text: &str) -> Result<(Self, &str), String> {
        if let Some(rest) = text.strip_prefix("pci/") {
            return Self::pci(text, rest);
        }
        let (name, rest) = text.split_at(text.find(['+', ':']).unwrap_or(text.len()));
        match name.split_once('/') {
            Some((device, map)) if is_uio(device) && !map.is_empty() => {
                Ok((Self::Uio { device: keep(device), map: keep(map) }, rest))
            }
            Some(_) => Err(format!(
                "`{text}`: a name with / is that of a UIO map, {UIO}, of a BAR, {PCI}, or of a line in /proc/iomem, \
                 iomem/NAME"
            )),
            None => Ok((Self::Window(window(name)?), rest)),
        }
    }

    /// Whether `text` begins with a name that may have points and capitals.
    pub fn has_path(text: &str) -> bool {
        text.split(['+', '@']).next().is_some_and(|name| name.contains('/'))
    }

    /// A BAR, of the part of `text` behind its first /.
    fn pci<'a>(text: &str, rest: &'a str) -> Result<(Self, &'a str), String> {
        let wrong = || format!("`{text}` does not begin with a BAR: write {PCI}, as in pci/0000:01:00.0/0");
        let (address, rest) = rest.split_once('/').ok_or_else(wrong)?;
        let bar = rest.bytes().next().filter(|digit| (b'0'..=b'5').contains(digit)).ok_or_else(wrong)? - b'0';
        let rest = &rest[1..];
        if !(rest.is_empty() || rest.starts_with(['+', ':'])) {
            return Err(wrong());
        }
        // lspci leaves out the domain 0.
        let address = match address.len() {
            7 => format!("0000:{address}"),
            _ => address.into(),
        };
        let mut shape = address.bytes().zip(*b"xxxx:xx:xx.x");
        let is_address = address.len() == 12
            && shape.all(|(byte, shape)| if shape == b'x' { byte.is_ascii_hexdigit() } else { byte == shape });
        if !is_address {
            return Err(wrong());
        }
        Ok((Self::Pci { address: keep(&address.to_ascii_lowercase()), bar }, rest))
    }

    /// The path that is opened for it; `None` for a window, which the driver finds.
    pub fn path(self) -> Option<PathBuf> {
        match self {
            Self::Window(_) | Self::Absolute { .. } => None,
            Self::Uio { device, .. } => Some(format!("/dev/{device}").into()),
            Self::Pci { address, bar } => Some(format!("/sys/bus/pci/devices/{address}/resource{bar}").into()),
        }
    }
}

/// The map of a UIO device that is called `name`, or has this number.
pub fn uio_map<'a>(device: &str, maps: &'a [UioMap], name: &str) -> Result<&'a UioMap, String> {
    if let Some(map) = name.parse().ok().and_then(|index: u64| maps.iter().find(|map| map.index == index)) {
        return Ok(map);
    }
    let mut called = maps.iter().filter(|map| map.name == name);
    match (called.next(), called.count()) {
        (Some(map), 0) => Ok(map),
        // The kernel calls all maps of a device of the device tree as this one.
        (Some(_), others) => Err(format!("{device} has {} maps {name}: give the number of one, from 0 on", others + 1)),
        (None, _) if maps.is_empty() => Err(format!("{device} has no map {name}: it has no memory")),
        (None, _) => {
            let names: Vec<_> = maps.iter().map(|map| format!("{} ({})", map.index, map.name)).collect();
            Err(format!("{device} has no map {name}: its maps are {}", names.join(", ")))
        }
    }
}

/// Reads a BAR without the pci/ before it.
pub fn pci(text: &str) -> Result<Base, String> {
    match Base::pci(text, text)? {
        (bar, "") => Ok(bar),
        (_, rest) => Err(format!("`{text}` is a place in a BAR: give the BAR alone, without {rest}")),
    }
}

/// Reads the name of a window.
pub fn window(text: &str) -> Result<Name, String> {
    Name::new(text.as_bytes())
        .filter(|name| !name.is_empty())
        .ok_or_else(|| format!("`{text}` is not the name of a window: names have up to 31 of a to z, 0 to 9, _ and -"))
}

/// Whether this may be a node of UIO.
pub fn is_uio(name: &str) -> bool {
    name.strip_prefix("uio")
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Keeps a text that an argument has, of which there are few.
fn keep(text: &str) -> &'static str {
    text.to_owned().leak()
}

/// As the arguments are written.
impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Window(name) => name.fmt(f),
            Self::Uio { device, map } => write!(f, "{device}/{map}"),
            Self::Pci { address, bar } => write!(f, "pci/{address}/{bar}"),
            Self::Absolute { .. } => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_ends_at_an_offset_or_a_bit_field() {
        let split = |text| Base::split(text).map(|(base, rest)| (base.to_string(), rest));
        for (text, base, rest) in [
            ("sdram", "sdram", ""),
            ("sdram+4", "sdram", "+4"),
            ("dsp-0:7", "dsp-0", ":7"),
            ("uio0/regs+0x10:7:4", "uio0/regs", "+0x10:7:4"),
            ("uio12/0", "uio12/0", ""),
            ("pci/0000:01:00.0/0+0x10", "pci/0000:01:00.0/0", "+0x10"),
            ("pci/01:0A.1/5:3", "pci/0000:01:0a.1/5", ":3"),
        ] {
            assert_eq!(split(text), Ok((base.into(), rest)), "{text}");
        }
        for (text, says) in [
            ("uio/regs", "uioN/MAP"),
            ("uiox/regs", "uioN/MAP"),
            ("uio0/", "uioN/MAP"),
            ("sdram/0", "a name with / is that of a UIO map"),
            ("pci/0000:01:00.0", "as in pci/0000:01:00.0/0"),
            ("pci/0000:01:00.0/6", "as in pci/"),
            ("pci/0000:01:00.0/00", "as in pci/"),
            ("pci/0000:01:00:0/0", "as in pci/"),
            ("pci/1:0.0/0", "as in pci/"),
            ("pci/é000:01:00.0/0", "as in pci/"),
            ("Sdram", "is not the name of a window"),
        ] {
            let error = split(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn each_has_its_own_device() {
        let path = |text| Base::split(text).unwrap().0.path();
        assert_eq!(path("sdram"), None);
        assert_eq!(path("uio0/regs"), Some("/dev/uio0".into()));
        assert_eq!(path("pci/00:04.0/2"), Some("/sys/bus/pci/devices/0000:00:04.0/resource2".into()));
    }
}
