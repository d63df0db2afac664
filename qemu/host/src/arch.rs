// SPDX-License-Identifier: MIT OR Apache-2.0

//! The architectures a guest can have: each one is an entry in a table of data.

use std::fmt;

/// All that the harness knows of one architecture.
#[derive(Debug)]
pub struct Arch {
    /// As `uname -m` and the command line say it.
    pub name: &'static str,
    /// The kernel's name for it, `ARCH=` of its Makefile.
    pub kernel: &'static str,
    /// The programs in the guest.
    pub programs: Target,
    /// Its programs of 32 bits.
    pub programs_32: Target,
    /// Debian's name for it.
    pub debian: &'static str,
    /// The Debian packages that only this architecture needs, but for the emulator.
    pub packages: &'static [&'static str],
    /// Those that only its tests need.
    pub test_packages: &'static [&'static str],
    /// The Debian package that holds the emulator …
    pub emulator: &'static str,
    /// … and the oldest version of it that will do.
    pub emulator_min: &'static str,
    /// The make target that builds the bootable image.
    pub image_target: &'static str,
    /// How many lines make prints on the way to it, for the bar, so a guess that is near is good enough.
    pub kernel_lines: u64,
    /// Where that image is, below the build directory.
    pub image: &'static str,
    /// The configuration that only this architecture needs.
    pub config: &'static str,
    /// The emulator.
    pub qemu: &'static str,
    /// Its machine, without the memory backend.
    pub machine: &'static str,
    /// Its processor.
    pub cpu: &'static str,
    /// The guest's memory in MiB: the window must lie inside it.
    pub memory_mib: u64,
    /// The physical address of the first byte of that memory.
    pub memory_start: u64,
    /// The guest's name of the serial port that carries the kernel's log.
    pub console: &'static str,
    /// The guest's name of the serial port that carries the conversation with the host.
    pub channel: &'static str,
    /// Where the machine has a device tree, the source of an overlay that reserves the window.
    pub dt_overlay: Option<&'static str>,
    /// How to look into its page tables.
    pub page_tables: PageTables,
    /// What the kernel's command line must say on this architecture, the reservation of the window included.
    pub append: &'static str,
}

/// A kind of programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// What rustc calls it.
    pub rust: &'static str,
    /// The program that links for it.
    pub linker: &'static str,
}

/// The layout of a processor's page tables. gdb's stub tells where they are, and they are read from the guest's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageTables {
    /// The four levels of x86_64.
    X86,
    /// The levels of arm64, as many as the processor is told.
    Arm64,
}

/// The architectures there are.
pub const ALL: &[Arch] = &[X86_64, ARM64];

const X86_64: Arch = Arch {
    name: "x86_64",
    kernel: "x86_64",
    programs: Target { rust: "x86_64-unknown-linux-gnu", linker: "x86_64-linux-gnu-gcc" },
    programs_32: Target { rust: "i686-unknown-linux-gnu", linker: "i686-linux-gnu-gcc" },
    debian: "amd64",
    packages: &[],
    test_packages: &["gcc-i686-linux-gnu", "libc6-dev-i386-cross"],
    emulator: "qemu-system-x86",
    emulator_min: "1:7.2",
    image_target: "bzImage",
    kernel_lines: 1611,
    image: "arch/x86/boot/bzImage",
    config: include_str!("../../kernel/x86_64.config"),
    qemu: "qemu-system-x86_64",
    // The i440FX has its memory below 3.5 GiB in one piece, so 0xc0000000 can be memory. ACPI's tables are read by few
    // kernels here, and to interpret them takes seconds.
    machine: "pc,acpi=off",
    // Everything that TCG can emulate, but for five levels of page tables, which only cost time.
    cpu: "max,la57=off",
    memory_mib: 3100,
    memory_start: 0,
    console: "ttyS0",
    channel: "ttyS1",
    dt_overlay: None,
    page_tables: PageTables::X86,
    append: "memmap=3M$0xc0000000 reboot=t",
};

const ARM64: Arch = Arch {
    name: "arm64",
    kernel: "arm64",
    programs: Target { rust: "aarch64-unknown-linux-gnu", linker: "aarch64-linux-gnu-gcc" },
    programs_32: Target { rust: "armv7-unknown-linux-gnueabihf", linker: "arm-linux-gnueabihf-gcc" },
    debian: "arm64",
    packages: &["device-tree-compiler", "gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"],
    // The last is for dt-schema, which checks the binding.
    test_packages: &["gcc-arm-linux-gnueabihf", "libc6-dev-armhf-cross", "python3-venv"],
    emulator: "qemu-system-arm",
    // Since 9.0 an unaligned access to Device memory faults, and since 9.1 there is a second serial port.
    emulator_min: "1:9.1",
    image_target: "Image",
    kernel_lines: 1478,
    image: "arch/arm64/boot/Image",
    config: include_str!("../../kernel/arm64.config"),
    qemu: "qemu-system-aarch64",
    // Its memory begins at 1 GiB, and nothing lies in it up to 4 GiB, so 0xc0000000 can be memory.
    machine: "virt,highmem=off",
    // What many boards have.
    cpu: "cortex-a72",
    // Up to the same address as on x86_64.
    memory_mib: 2076,
    memory_start: 0x4000_0000,
    console: "ttyAMA0",
    channel: "ttyAMA1",
    dt_overlay: Some(include_str!("../../kernel/arm64.dtso")),
    page_tables: PageTables::Arm64,
    append: "uio_pdrv_genirq.of_id=generic-uio",
};

impl Arch {
    /// The entry called `name`.
    pub fn find(name: &str) -> Option<&'static Arch> {
        ALL.iter().find(|arch| arch.name == name)
    }

    /// Whether programs of the guest are of the architecture of this machine.
    pub fn is_of_this_machine(&self) -> bool {
        self.programs.rust.split('-').next() == Some(std::env::consts::ARCH)
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
