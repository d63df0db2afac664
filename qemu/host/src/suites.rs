// SPDX-License-Identifier: MIT OR Apache-2.0

//! The suites of tests and the guests that they need: each one is an entry in a table of data.

use map_protocol::{Dev, Suite};

use crate::{kernels::KernelId, machine::Hardware};

/// A suite and the guest that it needs.
#[derive(Debug)]
pub struct SuiteSpec {
    /// Its name in messages.
    pub name: &'static str,
    /// The tests.
    pub suite: Suite,
    /// Who makes the nodes in /dev.
    pub dev: Dev,
    /// Words for the kernel's command line.
    pub append: &'static str,
    /// The source of an overlay for the boot's device tree, beside the reserved memory. A machine without a device tree
    /// does not run this suite.
    pub overlay: Option<&'static str>,
    /// The overlays that the tests apply to the device tree at run time.
    pub runtime_overlays: &'static [RuntimeOverlay],
    /// How its machine differs from others.
    pub hardware: Hardware,
    /// The architectures on which it runs.
    pub arches: &'static [&'static str],
    /// The origins of the kernel with which it runs.
    pub origins: &'static [&'static str],
    /// The flavours of the kernel with which it runs.
    pub flavours: &'static [&'static str],
    /// The flavours with which it takes so long that it runs only with `--all`, or if it or its test is named.
    pub rare_with: &'static [&'static str],
    /// The factor by which it may take longer than others.
    pub timeout_factor: u32,
    /// The architectures on which the last test of the suite ends in a kernel panic, each with the first fault in the
    /// kernel's log.
    pub expected_panic: &'static [(&'static str, &'static str)],
    /// Reports of the kernel, by a text in their first lines, whose call traces are no fault.
    pub reports: &'static [&'static str],
}

/// An overlay that a test applies to the device tree of the running guest.
#[derive(Debug)]
pub struct RuntimeOverlay {
    /// Its name in the tests.
    pub name: &'static str,
    /// Its source.
    pub source: &'static str,
}

/// The defaults.
const ORDINARY: SuiteSpec = SuiteSpec {
    name: "",
    suite: Suite::Driver,
    dev: Dev::Devtmpfs,
    append: "",
    overlay: None,
    runtime_overlays: &[],
    hardware: ORDINARY_HARDWARE,
    arches: &["x86_64", "arm64", "riscv64", "arm"],
    origins: &["7.3", "7.2", "debian"],
    flavours: &["plain", "debug", "short"],
    rare_with: &[],
    timeout_factor: 1,
    expected_panic: &[],
    reports: &[],
};

/// Allocations fail, one after the other.
const FAULTS: SuiteSpec = SuiteSpec {
    name: "faults",
    suite: Suite::Faults,
    // What the kernel says of an allocation that fails, here on purpose.
    reports: &["vmalloc error: size", ": page allocation failure: order:"],
    arches: &["x86_64"],
    // The debug kernel is the one that can let its allocations fail.
    origins: &["7.3"],
    flavours: &["debug"],
    rare_with: &["debug"],
    ..ORDINARY
};

/// The flavours that suites run with by default, and the one that looks for data races. That one runs the suites that
/// have the driver do different things at the same time.
const RACING: &[&str] = &["plain", "debug", "short", "kcsan"];

/// The driver for long, and in bad company.
const SOAK: SuiteSpec = SuiteSpec {
    name: "soak",
    suite: Suite::Soak,
    // Programs race with each other.
    hardware: Hardware { processors: Some(2), ..ORDINARY_HARDWARE },
    arches: &["x86_64"],
    origins: &["7.3"],
    flavours: &["debug"],
    rare_with: &["debug"],
    ..ORDINARY
};

/// The kernels that are built here. They load our modules when they are locked down, because these are signed with
/// their key; and they have no drivers for the devices that the tests take.
const BUILT: &[&str] = &["7.3", "7.2"];

const ORDINARY_HARDWARE: Hardware =
    Hardware { board: None, cpu: None, processors: None, memory_mib: None, memory: None, devices: &[] };

/// Windows of every kind, for the device tree.
const WINDOWS: &str = include_str!("../../kernel/tree-windows.dtso");

/// UIO devices with interrupts, for the device tree.
const UIO: &str = include_str!("../../kernel/arm64-uio.dtso");

/// Windows with every kind of mistake, for the device tree.
const WRONG: &str = include_str!("../../kernel/tree-wrong.dtso");

/// Windows that a locked-down kernel allows, and others, in the device tree.
const LOCKDOWN: &str = include_str!("../../kernel/tree-lockdown.dtso");

/// Memory for windows, but no windows, in the device tree.
const OVERLAY: &str = include_str!("../../kernel/tree-overlay.dtso");

/// Windows that can be changed, in the device tree.
const OVERLAY_WINDOWS: &str = include_str!("../../kernel/tree-overlay-windows.dtso");

/// Memory across 4 GiB, in the device tree.
const ABOVE: &str = include_str!("../../kernel/tree-above.dtso");

/// Windows with interrupts, in the device tree.
const INTERRUPTS: &str = include_str!("../../kernel/arm64-interrupts.dtso");

/// The overlays of `qemu/kernel/overlay` with these names.
macro_rules! runtime_overlays {
    ($($name:literal),* $(,)?) => {
        &[$(RuntimeOverlay { name: $name, source: include_str!(concat!("../../kernel/overlay/", $name, ".dtso")) }),*]
    };
}

/// All suites, each with a guest of its own. Those that take long come first, so that no guest runs alone for long at
/// the end.
pub const ALL: &[SuiteSpec] = &[
    SuiteSpec {
        name: "interrupts",
        suite: Suite::Interrupts,
        overlay: Some(INTERRUPTS),
        runtime_overlays: runtime_overlays!["interrupt", "controller"],
        // Handlers race with programs.
        hardware: Hardware { processors: Some(2), ..ORDINARY_HARDWARE },
        // The tree names lines of this board.
        arches: &["arm64", "arm"],
        origins: BUILT,
        ..ORDINARY
    },
    SuiteSpec {
        name: "races",
        suite: Suite::Races,
        hardware: Hardware { processors: Some(2), ..ORDINARY_HARDWARE },
        flavours: RACING,
        ..ORDINARY
    },
    SuiteSpec { name: "windows", suite: Suite::Windows, flavours: RACING, ..ORDINARY },
    SuiteSpec {
        name: "revocation",
        suite: Suite::Revocation,
        hardware: Hardware { processors: Some(2), ..ORDINARY_HARDWARE },
        origins: &["7.3"],
        arches: &["x86_64"],
        flavours: &["debug"],
        rare_with: &["debug"],
        timeout_factor: 6,
        ..ORDINARY
    },
    SuiteSpec {
        name: "model",
        suite: Suite::Model,
        // Programs race with each other.
        hardware: Hardware { processors: Some(2), ..ORDINARY_HARDWARE },
        // The model knows this machine, and how this kernel maps.
        arches: &["x86_64"],
        origins: &["7.3"],
        flavours: &["debug"],
        // `make fuzz` does more in each guest.
        timeout_factor: 2,
        ..ORDINARY
    },
    FAULTS,
    SuiteSpec { name: "faults of a load", suite: Suite::LoadFaults, ..FAULTS },
    SuiteSpec {
        name: "faults of devices",
        suite: Suite::DeviceFaults,
        overlay: Some(INTERRUPTS),
        // What raises interrupts comes along.
        runtime_overlays: runtime_overlays!["interrupt"],
        arches: &["arm64"],
        ..FAULTS
    },
    SOAK,
    // The loads that are promised need a kernel without lockdep.
    SuiteSpec {
        name: "soak of loads",
        suite: Suite::SoakLoads,
        flavours: &["plain", "debug"],
        rare_with: &["plain", "debug"],
        timeout_factor: 5,
        ..SOAK
    },
    SuiteSpec {
        name: "soak without memory",
        suite: Suite::SoakPressure,
        // Without memory both would give up, which is a fault elsewhere.
        append: "kmemleak=off no_debug_objects",
        // What the kernel says when there is no memory left.
        reports: &["invoked oom-killer: ", "vmalloc error: size", ": page allocation failure: order:"],
        ..SOAK
    },
    SuiteSpec { name: "soak in short", suite: Suite::SoakShort, rare_with: &[], ..SOAK },
    SuiteSpec { name: "run time", suite: Suite::RunTime, flavours: RACING, ..ORDINARY },
    // These two are about the command line and the rules of mmap(2). What they ask of the driver, the others ask, too.
    SuiteSpec { name: "devmap", suite: Suite::Devmap, rare_with: &["debug"], ..ORDINARY },
    SuiteSpec { name: "driver", suite: Suite::Driver, ..ORDINARY },
    SuiteSpec { name: "mmap", suite: Suite::Mmap, rare_with: &["debug"], ..ORDINARY },
    SuiteSpec {
        name: "large windows",
        suite: Suite::Big,
        // Otherwise Debian's kernel clears each page table and accounts for it, and this suite fills many. And memory
        // for a window that the kernel does not map in one piece.
        append: "init_on_alloc=0 cgroup_disable=memory memmap=13M$0xc0300000",
        arches: &["x86_64"],
        flavours: &["plain"],
        ..ORDINARY
    },
    SuiteSpec {
        name: "memory hotplug",
        suite: Suite::Hotplug,
        append: "memory_hotplug.memmap_on_memory=1",
        // ACPI notifies the kernel of new memory.
        hardware: Hardware { board: Some("pc"), memory: Some("slots=6,maxmem=10G"), ..ORDINARY_HARDWARE },
        arches: &["x86_64"],
        flavours: &["debug"],
        ..ORDINARY
    },
    SuiteSpec { name: "late release", suite: Suite::Kobject, flavours: &["kobject"], ..ORDINARY },
    SuiteSpec { name: "plain /dev", suite: Suite::PlainDev, dev: Dev::Plain, ..ORDINARY },
    SuiteSpec { name: "device tree", suite: Suite::Dt, overlay: Some(WINDOWS), origins: BUILT, ..ORDINARY },
    SuiteSpec {
        name: "UIO interrupts",
        suite: Suite::Uio,
        overlay: Some(UIO),
        arches: &["arm64", "arm"],
        origins: BUILT,
        ..ORDINARY
    },
    SuiteSpec { name: "wrong device tree", suite: Suite::DtWrong, overlay: Some(WRONG), ..ORDINARY },
    SuiteSpec { name: "lockdown", suite: Suite::Lockdown, append: "lockdown=integrity", origins: BUILT, ..ORDINARY },
    SuiteSpec { name: "late lockdown", suite: Suite::LockdownLate, flavours: &["plain"], ..ORDINARY },
    SuiteSpec {
        name: "locked-down device tree",
        suite: Suite::LockdownDt,
        append: "lockdown=integrity",
        overlay: Some(LOCKDOWN),
        origins: BUILT,
        ..ORDINARY
    },
    SuiteSpec {
        name: "overlays at run time",
        suite: Suite::Overlay,
        overlay: Some(OVERLAY),
        runtime_overlays: runtime_overlays!["late", "no-bus", "no-bus-disabled", "enable", "own"],
        flavours: &["plain"],
        origins: BUILT,
        ..ORDINARY
    },
    SuiteSpec {
        name: "overlays on windows",
        suite: Suite::OverlayWindows,
        overlay: Some(OVERLAY_WINDOWS),
        runtime_overlays: runtime_overlays!["add", "disable", "move", "touch", "memory"],
        flavours: &["plain"],
        origins: BUILT,
        ..ORDINARY
    },
    SuiteSpec {
        name: "locked-down overlays",
        suite: Suite::LockdownOverlay,
        append: "lockdown=integrity",
        overlay: Some(OVERLAY_WINDOWS),
        runtime_overlays: runtime_overlays!["late", "add", "disable", "move", "touch", "memory"],
        flavours: &["plain"],
        origins: BUILT,
        ..ORDINARY
    },
    SuiteSpec {
        name: "PCI device",
        suite: Suite::Pci,
        hardware: Hardware { devices: &["-device", "edu"], ..ORDINARY_HARDWARE },
        arches: &["x86_64"],
        ..ORDINARY
    },
    SuiteSpec {
        name: "PCI configuration",
        suite: Suite::Ecam,
        append: "lockdown=integrity",
        origins: BUILT,
        // This board keeps its PCI configuration at 0xb0000000, and has memory below 2 GiB in one piece.
        hardware: Hardware { board: Some("q35"), memory_mib: Some(2048), ..ORDINARY_HARDWARE },
        arches: &["x86_64"],
        ..ORDINARY
    },
    SuiteSpec {
        name: "strict /dev/mem",
        suite: Suite::Strict,
        // The first word overrides the flavour's: the last one counts. The second makes persistent memory.
        append: "iomem=strict memmap=2M!0xc1000000",
        arches: &["x86_64"],
        flavours: &["debug"],
        ..ORDINARY
    },
    SuiteSpec {
        name: "no cache types",
        suite: Suite::NoCacheType,
        hardware: Hardware { cpu: Some("rv64,svpbmt=off,sv57=off"), ..ORDINARY_HARDWARE },
        arches: &["riscv64"],
        ..ORDINARY
    },
    SuiteSpec {
        name: "above 4 GiB",
        suite: Suite::Above4Gib,
        overlay: Some(ABOVE),
        // With memory on both sides of the border.
        hardware: Hardware { board: Some("virt"), memory_mib: Some(3088), ..ORDINARY_HARDWARE },
        arches: &["arm"],
        flavours: &["plain"],
        ..ORDINARY
    },
    SuiteSpec {
        name: "large pages",
        suite: Suite::LargePages,
        arches: &["arm64"],
        flavours: &["64k", "16k"],
        ..ORDINARY
    },
    SuiteSpec {
        name: "nobody answers",
        suite: Suite::Hole,
        // On x86 every load succeeds.
        arches: &["arm64", "riscv64", "arm"],
        // That of arm names no reason. On riscv64 there is none: the system call fails.
        expected_panic: &[("arm64", "Internal error: synchronous external abort"), ("arm", "Internal error: : ")],
        ..ORDINARY
    },
];

impl SuiteSpec {
    /// The entry called `name`.
    pub fn find(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|spec| spec.name == name)
    }

    /// Whether it runs with this kernel only if that is asked for.
    pub fn is_rare(&self, kernel: KernelId) -> bool {
        self.rare_with.contains(&kernel.flavour.name)
    }

    /// Whether it runs in a guest with this kernel.
    pub fn fits(&self, kernel: KernelId) -> bool {
        self.arches.contains(&kernel.arch.name)
            && self.origins.contains(&kernel.origin.name)
            && self.flavours.contains(&kernel.flavour.name)
            && (self.overlay.is_none() || kernel.arch.dt_overlay.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        arch::{self, Arch},
        flavour::{self, Flavour},
        kernels::{self, Origin},
    };

    #[test]
    fn every_suite_has_a_name_of_its_own_and_runs_on_each_architecture_that_can_run_it() {
        for (number, spec) in ALL.iter().enumerate() {
            let mut runs = false;
            for arch in arch::ALL {
                let of = |origin| flavour::ALL.iter().map(move |flavour| KernelId { arch, origin, flavour });
                let kernels = kernels::ALL.iter().flat_map(of);
                let fitting: Vec<_> = kernels.filter(|kernel| kernel.check().is_ok() && spec.fits(*kernel)).collect();
                // What is rare everywhere runs with `--all`, which has every kernel.
                let is_run = |kernel: &KernelId| {
                    spec.rare_with.len() == spec.flavours.len()
                        || !spec.is_rare(*kernel) && (kernel.is_in_every_test() || kernel.is_meant())
                };
                assert!(fitting.is_empty() || fitting.iter().any(is_run), "{arch}: {spec:?}");
                runs |= !fitting.is_empty();
            }
            assert!(runs, "{spec:?}");
            assert!(spec.expected_panic.iter().all(|(arch, _)| spec.arches.contains(arch)), "{spec:?}");
            assert!(spec.arches.iter().all(|name| Arch::find(name).is_some()), "{spec:?}");
            assert!(spec.origins.iter().all(|name| Origin::find(name).is_some()), "{spec:?}");
            assert!(spec.flavours.iter().all(|name| Flavour::find(name).is_some()), "{spec:?}");
            assert!(spec.rare_with.iter().all(|name| spec.flavours.contains(name)), "{spec:?}");
            assert!(ALL[..number].iter().all(|other| other.name != spec.name && other.suite != spec.suite));
        }
    }
}
