// SPDX-License-Identifier: MIT OR Apache-2.0

//! `info`: what the device is, and what this processor can do.

use std::fmt;
use std::fs;

use devmap::page;
use devmap::{Device, Error, Kind, Width};
use serde::Serialize;

use crate::context::{Access, Context};
use crate::failure::Failure;
use crate::iomem::{self, Line};
use crate::irq::{self, Listed};
use crate::output::Address;
use crate::windows::{rows, Row, Windows};

/// The answer.
#[derive(Serialize)]
struct Info {
    device: String,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    maps: Vec<Map>,
    /// That of a UIO device; those of windows are with them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    interrupts: Vec<Listed>,
    /// The map driver's own data.
    #[serde(skip_serializing_if = "Option::is_none")]
    driver: Option<Driver>,
    page_size: u64,
    widest_access: u32,
    endian: &'static str,
    version: &'static str,
}

/// The map driver.
#[derive(Serialize)]
struct Driver {
    abi_version: u32,
    mode: String,
    page_size: u64,
    last_address: Address,
    windows: Vec<Row>,
    #[serde(skip)]
    lines: Vec<Line>,
}

/// A map of a UIO device.
#[derive(Serialize)]
struct Map {
    index: u64,
    name: String,
    start: Address,
    last: Address,
}

impl fmt::Display for Info {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "device         {}, {}", self.device, self.kind)?;
        if let Some(number) = &self.number {
            write!(f, " {number}")?;
        }
        if let Some(bytes) = self.bytes {
            write!(f, " of {bytes:#x} bytes")?;
        }
        for Map { index, name, start, last } in &self.maps {
            write!(f, "\nmap {index:<10} {start}-{last} {name}")?;
        }
        for interrupt in &self.interrupts {
            write!(f, "\ninterrupt {:<4} {} so far", interrupt.index(), interrupt.count())?;
        }
        if let Some(Driver { abi_version, mode, last_address, .. }) = &self.driver {
            write!(f, "\ndriver         map, ABI version {abi_version}")?;
            write!(f, "\nmode           {mode}")?;
            write!(f, "\nlast address   {last_address}")?;
        }
        write!(f, "\npage size      {:#x} bytes", self.page_size)?;
        write!(f, "\nwidest access  {} bits", self.widest_access)?;
        write!(f, "\nbyte order     {}", self.endian)?;
        write!(f, "\ndevmap         {}", self.version)?;
        match &self.driver {
            Some(Driver { windows, lines, last_address, .. }) => {
                write!(f, "\n\n{}", Windows { rows: windows, lines, last: last_address.0 })
            }
            None => Ok(()),
        }
    }
}

/// Prints what is known of the device and the machine.
pub fn info(ctx: &mut Context) -> Result<(), Failure> {
    let device = ctx.open(None, Access::Read)?;
    let (mut number, mut bytes, mut maps, mut interrupts) = (None, None, Vec::new(), Vec::new());
    let kind = match device.kind() {
        Kind::Character { major, minor, .. } => {
            number = Some(format!("{major}:{minor}"));
            "character device"
        }
        Kind::Uio(found) => {
            maps = found
                .iter()
                .map(|map| Map {
                    index: map.index,
                    name: map.name.clone(),
                    start: Address(map.range.start()),
                    last: Address(map.range.last()),
                })
                .collect();
            interrupts = irq::list(&device);
            "UIO device"
        }
        Kind::File => {
            let metadata = fs::metadata(device.path()).map_err(Failure::file("read", device.path()))?;
            bytes = Some(metadata.len());
            "regular file"
        }
        Kind::PciBar(bar) => {
            bytes = Some(bar.range.length());
            "PCI BAR"
        }
        Kind::Window { major, minor, window, .. } => {
            number = Some(format!("{major}:{minor}"));
            bytes = Some(window.range.length());
            "window"
        }
        _ => "device",
    };
    ctx.out.emit(&Info {
        device: device.path().display().to_string(),
        kind,
        number,
        bytes,
        maps,
        interrupts,
        driver: driver(&device)?,
        page_size: page::system().bytes(),
        widest_access: Width::ALL.into_iter().filter(|width| width.is_native()).map(Width::bits).max().unwrap_or(0),
        endian: if cfg!(target_endian = "big") { "big" } else { "little" },
        version: env!("CARGO_PKG_VERSION"),
    })?;
    Ok(())
}

/// The map driver's own data; `None` for another device.
fn driver(device: &Device) -> Result<Option<Driver>, Failure> {
    let info = match device.info() {
        Err(Error::NotMapDriver { .. }) => return Ok(None),
        info => info?,
    };
    Ok(Some(Driver {
        abi_version: info.abi_version,
        mode: info.mode.to_string(),
        page_size: info.page_size,
        last_address: Address(info.last_address),
        windows: rows(device)?,
        lines: iomem::read().unwrap_or_default(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::windows::tests::sdram;

    fn info(driver: Option<Driver>) -> Info {
        Info {
            device: "/dev/map".into(),
            kind: "character device",
            number: Some("126:0".into()),
            bytes: None,
            maps: Vec::new(),
            interrupts: Vec::new(),
            driver,
            page_size: 0x1000,
            widest_access: 64,
            endian: "little",
            version: "0.1.0",
        }
    }

    fn driver(mode: &str, windows: Vec<Row>) -> Option<Driver> {
        let last_address = Address((1 << 40) - 1);
        Some(Driver { abi_version: 1, mode: mode.into(), page_size: 0x1000, last_address, windows, lines: vec![] })
    }

    const DEVICE: &str = "device         /dev/map, character device 126:0\n";
    const MACHINE: &str = "page size      0x1000 bytes\n\
        widest access  64 bits\n\
        byte order     little\n\
        devmap         0.1.0";

    #[test]
    fn the_driver_and_its_windows_are_shown() {
        let row = Row::from(sdram());
        let windows = Windows { rows: &[row], lines: &[], last: (1 << 40) - 1 }.to_string();
        assert!(windows.contains("| sdram |  1M") && windows.contains("\n\nwindow  node"), "{windows}");
        assert_eq!(
            info(driver("windows", vec![sdram().into()])).to_string(),
            format!(
                "{DEVICE}driver         map, ABI version 1\n\
                 mode           windows\n\
                 last address   0xffffffffff\n\
                 {MACHINE}\n\n{windows}"
            )
        );
        let raw = info(driver("raw", vec![])).to_string();
        let end = format!("{MACHINE}\n\nno windows: all but RAM can be mapped, with CAP_SYS_RAWIO");
        assert!(raw.contains("mode           raw\n") && raw.ends_with(&end), "{raw}");
    }

    #[test]
    fn another_device_has_no_driver_to_show() {
        assert_eq!(info(None).to_string(), format!("{DEVICE}{MACHINE}"));
        assert!(!serde_json::to_string(&info(None)).unwrap().contains("driver"));
    }

    #[test]
    fn the_interrupt_of_a_uio_device_is_shown() {
        let uio = || Info { interrupts: vec![irq::tests::of_uio()], ..info(None) };
        assert_eq!(uio().to_string(), format!("{DEVICE}interrupt 0    4294967295 so far\n{MACHINE}"));
        let json = serde_json::to_string(&uio()).unwrap();
        assert!(json.contains(r#""interrupts":[{"index":0,"name":"","count":4294967295}]"#), "{json}");
        assert!(!serde_json::to_string(&info(None)).unwrap().contains("interrupts"));
    }

    #[test]
    fn programs_get_the_driver_as_an_object() {
        let json = serde_json::to_string(&info(driver("windows", vec![sdram().into()]))).unwrap();
        let row = serde_json::to_string(&Row::from(sdram())).unwrap();
        let expected = format!(
            r#""driver":{{"abi_version":1,"mode":"windows","page_size":4096,"last_address":"0xffffffffff","windows":[{row}]}},"#
        );
        assert!(json.contains(&expected), "{json}");
    }
}
