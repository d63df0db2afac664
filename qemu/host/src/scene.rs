// SPDX-License-Identifier: MIT OR Apache-2.0

//! The guests that the tests need: each one is an entry in a table of data.

use map_protocol::{Dev, Suite};

use crate::{arch::Arch, flavour::Flavour, machine::Hardware};

/// A suite and the guest that it needs.
#[derive(Debug)]
pub struct Scene {
    /// As people read it.
    pub name: &'static str,
    /// The tests.
    pub suite: Suite,
    /// Who makes the nodes in /dev.
    pub dev: Dev,
    /// Words for the kernel's command line.
    pub append: &'static str,
    /// What the device tree has beside the reserved memory; on a machine without one this scene makes no sense.
    pub overlay: Option<&'static str>,
    /// What the tests put on the device tree while the guest runs.
    pub late: &'static [Late],
    /// What the machine has that others have not.
    pub hardware: Hardware,
    /// The architectures on which it makes sense.
    pub arches: &'static [&'static str],
    /// The flavours of the kernel with which it makes sense.
    pub flavours: &'static [&'static str],
    /// Those of them with which it takes so long that it is played only if all is asked for, or the flavour.
    pub slow: &'static [&'static str],
    /// The last test of the suite is the guest's end, with this as the first fault in its kernel's log.
    pub death: Option<&'static str>,
}

/// An overlay on the device tree of a guest that runs.
#[derive(Debug)]
pub struct Late {
    /// What the tests call it.
    pub name: &'static str,
    /// Its source.
    pub source: &'static str,
}

/// A guest like any other.
const ORDINARY: Scene = Scene {
    name: "",
    suite: Suite::Driver,
    dev: Dev::Devtmpfs,
    append: "",
    overlay: None,
    late: &[],
    hardware: ORDINARY_HARDWARE,
    arches: &["x86_64", "arm64"],
    flavours: &["plain", "debug"],
    slow: &[],
    death: None,
};

const ORDINARY_HARDWARE: Hardware =
    Hardware { board: None, processors: None, memory_mib: None, memory: None, devices: &[] };

/// Windows of every kind, for the device tree.
const TREE: &str = include_str!("../../kernel/arm64-windows.dtso");

/// Windows with every mistake, for the device tree.
const WRONG: &str = include_str!("../../kernel/arm64-wrong.dtso");

/// What a locked-down kernel may show, and what it may not, in the device tree.
const LOCKDOWN: &str = include_str!("../../kernel/arm64-lockdown.dtso");

/// Memory for windows, but no windows, in the device tree.
const OVERLAY: &str = include_str!("../../kernel/arm64-overlay.dtso");

/// Windows that can be changed, in the device tree.
const OVERLAY_WINDOWS: &str = include_str!("../../kernel/arm64-overlay-windows.dtso");

/// The overlays of `qemu/kernel/overlay` with these names.
macro_rules! late {
    ($($name:literal),* $(,)?) => {
        &[$(Late { name: $name, source: include_str!(concat!("../../kernel/overlay/", $name, ".dtso")) }),*]
    };
}

/// A guest of its own for each of them.
pub const ALL: &[Scene] = &[
    Scene { name: "driver", suite: Suite::Driver, ..ORDINARY },
    Scene { name: "plain /dev", suite: Suite::PlainDev, dev: Dev::Plain, ..ORDINARY },
    Scene {
        name: "windows",
        suite: Suite::Windows,
        // Some of its tests race with each other.
        hardware: Hardware { processors: Some(2), ..ORDINARY_HARDWARE },
        ..ORDINARY
    },
    Scene { name: "device tree", suite: Suite::Tree, overlay: Some(TREE), ..ORDINARY },
    Scene { name: "wrong device tree", suite: Suite::WrongTree, overlay: Some(WRONG), ..ORDINARY },
    Scene { name: "lockdown", suite: Suite::Lockdown, append: "lockdown=integrity", ..ORDINARY },
    Scene { name: "late lockdown", suite: Suite::LockdownLate, flavours: &["plain"], ..ORDINARY },
    Scene {
        name: "locked-down device tree",
        suite: Suite::LockdownTree,
        append: "lockdown=integrity",
        overlay: Some(LOCKDOWN),
        ..ORDINARY
    },
    Scene {
        name: "overlays at run time",
        suite: Suite::Overlay,
        overlay: Some(OVERLAY),
        late: late!["late", "shelf", "shelf-off", "enable", "own"],
        flavours: &["plain"],
        ..ORDINARY
    },
    Scene {
        name: "overlays on windows",
        suite: Suite::OverlayWindows,
        overlay: Some(OVERLAY_WINDOWS),
        late: late!["add", "disable", "move", "touch", "memory"],
        flavours: &["plain"],
        ..ORDINARY
    },
    Scene {
        name: "locked-down overlays",
        suite: Suite::LockdownOverlay,
        append: "lockdown=integrity",
        overlay: Some(OVERLAY_WINDOWS),
        late: late!["late", "add", "disable", "move", "touch", "memory"],
        flavours: &["plain"],
        ..ORDINARY
    },
    Scene { name: "devmap", suite: Suite::Devmap, ..ORDINARY },
    Scene { name: "mmap", suite: Suite::Mmap, ..ORDINARY },
    Scene {
        name: "memory hotplug",
        suite: Suite::Hotplug,
        append: "memory_hotplug.memmap_on_memory=1",
        // ACPI tells the kernel of the memory that comes.
        hardware: Hardware { board: Some("pc"), memory: Some("slots=6,maxmem=10G"), ..ORDINARY_HARDWARE },
        arches: &["x86_64"],
        flavours: &["debug"],
        ..ORDINARY
    },
    Scene {
        name: "PCI device",
        suite: Suite::Pci,
        hardware: Hardware { devices: &["-device", "edu"], ..ORDINARY_HARDWARE },
        arches: &["x86_64"],
        ..ORDINARY
    },
    Scene {
        name: "PCI configuration",
        suite: Suite::Ecam,
        append: "lockdown=integrity",
        // This board keeps its PCI configuration at 0xb0000000, and has memory below 2 GiB in one piece.
        hardware: Hardware { board: Some("q35"), memory_mib: Some(2048), ..ORDINARY_HARDWARE },
        arches: &["x86_64"],
        flavours: &["plain"],
        ..ORDINARY
    },
    Scene {
        name: "strict /dev/mem",
        suite: Suite::Strict,
        // The first takes back what the flavour says; of several words the last one holds. The second makes pmem.
        append: "iomem=strict memmap=2M!0xc1000000",
        arches: &["x86_64"],
        flavours: &["debug"],
        ..ORDINARY
    },
    Scene { name: "late release", suite: Suite::Kobject, flavours: &["kobject"], ..ORDINARY },
    Scene {
        name: "nobody answers",
        suite: Suite::Hole,
        arches: &["arm64"],
        death: Some("Internal error: synchronous external abort"),
        ..ORDINARY
    },
    Scene { name: "large windows", suite: Suite::Big, arches: &["x86_64"], flavours: &["plain"], ..ORDINARY },
];

impl Scene {
    /// Whether it makes sense on a guest of `arch` with a kernel of this flavour.
    pub fn fits(&self, arch: &Arch, flavour: &Flavour) -> bool {
        self.arches.contains(&arch.name)
            && self.flavours.contains(&flavour.name)
            && (self.overlay.is_none() || arch.tree.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{arch, flavour};

    #[test]
    fn every_scene_can_be_played_somewhere_and_has_a_name_of_its_own() {
        for (number, scene) in ALL.iter().enumerate() {
            let fits = |arch: &Arch| flavour::ALL.iter().any(|flavour| flavour.fits(arch) && scene.fits(arch, flavour));
            assert!(arch::ALL.iter().any(fits), "{scene:?}");
            assert!(scene.arches.iter().all(|name| Arch::find(name).is_some()), "{scene:?}");
            assert!(scene.flavours.iter().all(|name| Flavour::find(name).is_some()), "{scene:?}");
            assert!(ALL[..number].iter().all(|other| other.name != scene.name && other.suite != scene.suite));
        }
    }
}
