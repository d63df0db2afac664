// SPDX-License-Identifier: MIT OR Apache-2.0

//! The architectures of guests: each one is an entry in a table of data.

use std::fmt;

use anyhow::{Context, Result};

/// A Debian package, and the reason why it is needed: the user reads both before it is installed.
pub type Needed = (&'static str, &'static str);

/// Everything that the harness knows about an architecture.
#[derive(Debug)]
pub struct Arch {
    /// Its name in `uname -m` and on the command line.
    pub name: &'static str,
    /// The kernel's name for it, `ARCH=` of its Makefile.
    pub kernel: &'static str,
    /// The target of the programs in the guest.
    pub programs: Target,
    /// The target of its programs of 32 bits, if it has such programs beside others.
    pub programs_32: Option<Target>,
    /// Debian's name for it.
    pub debian: &'static str,
    /// The Debian packages that only this architecture needs, except the emulator.
    pub packages: &'static [Needed],
    /// Those that only its tests need.
    pub test_packages: &'static [Needed],
    /// The Debian package of the emulator …
    pub emulator: &'static str,
    /// … and the oldest version of it that works.
    pub emulator_min: &'static str,
    /// The make target that builds the bootable image.
    pub image_target: &'static str,
    /// How many lines make prints while it builds it; an estimate, for the progress bar.
    pub kernel_lines: u64,
    /// The path of that image below the build directory.
    pub image: &'static str,
    /// The configuration that only this architecture needs.
    pub config: &'static str,
    /// The emulator.
    pub qemu: &'static str,
    /// Its machine, without the memory backend.
    pub machine: &'static str,
    /// Its processor.
    pub cpu: &'static str,
    /// How many of them a guest has that needs no certain number. With two, the emulator takes twice the time for the
    /// same work.
    pub processors: usize,
    /// The guest's memory in MiB: the window must lie inside it.
    pub memory_mib: u64,
    /// The physical address of the first byte of that memory.
    pub memory_start: u64,
    /// The guest's name for the serial port that carries the kernel's log.
    pub console: &'static str,
    /// The guest's name for the serial port that carries the messages to and from the host …
    pub channel: &'static str,
    /// … and the words of the emulator's command line that connect it with the character device `port`.
    pub port: &'static [&'static str],
    /// If the machine has a device tree, the source of an overlay that reserves the window.
    pub dt_overlay: Option<&'static str>,
    /// What its devices' addresses are in the overlays, which are written for arm64: each with what replaces it.
    pub devices: &'static [(&'static str, &'static str)],
    /// The layout of its page tables.
    pub page_tables: PageTables,
    /// Words for the kernel's command line on this architecture, with the reservation of the window.
    pub append: &'static str,
}

/// A target of the compiler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Its name in rustc.
    pub rust: &'static str,
    /// The program that links for it.
    pub linker: &'static str,
}

/// The layout of a processor's page tables. QEMU's gdb stub gives their address; they are read from the guest's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageTables {
    /// The four levels of x86_64.
    X86,
    /// The levels of arm64, as many as TCR_EL1 configures.
    Arm64,
    /// The levels of riscv64, as many as satp says.
    Riscv64,
    /// Those of arm, with long descriptors (LPAE) or short ones, as TTBCR says.
    Arm,
}

/// All architectures.
pub const ALL: &[Arch] = &[X86_64, ARM64, RISCV64, ARM];

/// The second serial port of machines that have one.
const SECOND_SERIAL: &[&str] = &["-serial", "chardev:port"];

const X86_64: Arch = Arch {
    name: "x86_64",
    kernel: "x86_64",
    programs: Target { rust: "x86_64-unknown-linux-gnu", linker: "x86_64-linux-gnu-gcc" },
    programs_32: Some(Target { rust: "i686-unknown-linux-gnu", linker: "i686-linux-gnu-gcc" }),
    debian: "amd64",
    packages: &[],
    test_packages: &[
        ("gcc-i686-linux-gnu", "links the tests' programs of 32 bits"),
        ("libc6-dev-i386-cross", "is the C library that they are linked with"),
    ],
    emulator: "qemu-system-x86",
    emulator_min: "1:7.2",
    image_target: "bzImage",
    kernel_lines: 1611,
    image: "arch/x86/boot/bzImage",
    config: include_str!("../../kernel/x86_64.config"),
    qemu: "qemu-system-x86_64",
    // The i440FX has its memory below 3.5 GiB in one piece, so 0xc0000000 can be memory. Interpreting ACPI's tables
    // takes seconds, and few kernels here read them.
    machine: "pc,acpi=off",
    // Everything that TCG can emulate, except five levels of page tables, which only cost time.
    cpu: "max,la57=off",
    processors: 1,
    memory_mib: 3100,
    memory_start: 0,
    console: "ttyS0",
    channel: "ttyS1",
    port: SECOND_SERIAL,
    dt_overlay: None,
    devices: &[],
    page_tables: PageTables::X86,
    // On a busy machine the emulator may give no timer interrupt in the time that a kernel of several processors waits
    // for one at its boot.
    append: "memmap=3M$0xc0000000 reboot=t no_timer_check",
};

const ARM64: Arch = Arch {
    name: "arm64",
    kernel: "arm64",
    programs: Target { rust: "aarch64-unknown-linux-gnu", linker: "aarch64-linux-gnu-gcc" },
    programs_32: Some(Target { rust: "armv7-unknown-linux-gnueabihf", linker: "arm-linux-gnueabihf-gcc" }),
    debian: "arm64",
    packages: &[
        ("device-tree-compiler", "compiles the guest's device tree"),
        ("gcc-aarch64-linux-gnu", "links the guest's programs"),
        ("libc6-dev-arm64-cross", "is the C library that they are linked with"),
    ],
    test_packages: &[
        ("gcc-arm-linux-gnueabihf", "links the tests' programs of 32 bits"),
        ("libc6-dev-armhf-cross", "is the C library that they are linked with"),
        ("python3-venv", "runs dt-schema, which checks the device tree binding"),
    ],
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
    // Common on boards.
    cpu: "cortex-a72",
    processors: 1,
    // It ends at the same address as on x86_64.
    memory_mib: 2076,
    memory_start: 0x4000_0000,
    console: "ttyAMA0",
    channel: "ttyAMA1",
    port: SECOND_SERIAL,
    dt_overlay: Some(include_str!("../../kernel/tree.dtso")),
    devices: &[],
    page_tables: PageTables::Arm64,
    append: "uio_pdrv_genirq.of_id=generic-uio",
};

const RISCV64: Arch = Arch {
    name: "riscv64",
    kernel: "riscv",
    programs: Target { rust: "riscv64gc-unknown-linux-gnu", linker: "riscv64-linux-gnu-gcc" },
    // The processors that boards have run programs of 64 bits alone, and Debian has no others.
    programs_32: None,
    debian: "riscv64",
    packages: &[
        ("device-tree-compiler", "compiles the guest's device tree"),
        ("gcc-riscv64-linux-gnu", "links the guest's programs"),
        ("libc6-dev-riscv64-cross", "is the C library that they are linked with"),
    ],
    test_packages: &[("python3-venv", "runs dt-schema, which checks the device tree binding")],
    emulator: "qemu-system-riscv",
    // The first one with this name; in Debian 12 it is part of qemu-system-misc, which is too old for Svpbmt.
    emulator_min: "1:9.1",
    image_target: "Image",
    kernel_lines: 1450,
    image: "arch/riscv/boot/Image",
    config: include_str!("../../kernel/riscv64.config"),
    qemu: "qemu-system-riscv64",
    machine: "virt",
    // With cache types of pages (Svpbmt). Cache maintenance (Zicbom) is on. Five levels of page tables only cost time.
    cpu: "rv64,svpbmt=on,sv57=off",
    processors: 1,
    // It ends at the same address as on x86_64.
    memory_mib: 1052,
    memory_start: 0x8000_0000,
    console: "ttyS0",
    channel: "hvc0",
    // The machine has only one serial port.
    port: &["-device", "virtio-serial-device", "-device", "virtconsole,chardev=port"],
    dt_overlay: Some(include_str!("../../kernel/tree.dtso")),
    // The serial port, and the clock.
    devices: &[("0x9000000", "0x10000000"), ("0x9010000", "0x101000")],
    page_tables: PageTables::Riscv64,
    append: "uio_pdrv_genirq.of_id=generic-uio",
};

const ARM: Arch = Arch {
    name: "arm",
    kernel: "arm",
    programs: Target { rust: "armv7-unknown-linux-gnueabihf", linker: "arm-linux-gnueabihf-gcc" },
    // All of its programs are of 32 bits.
    programs_32: None,
    debian: "armhf",
    packages: &[
        ("device-tree-compiler", "compiles the guest's device tree"),
        ("gcc-arm-linux-gnueabihf", "links the guest's programs"),
        ("libc6-dev-armhf-cross", "is the C library that they are linked with"),
    ],
    test_packages: &[("python3-venv", "runs dt-schema, which checks the device tree binding")],
    // It unpacks itself, because QEMU would put an unpacked one where it cannot run.
    image_target: "zImage",
    kernel_lines: 1500,
    image: "arch/arm/boot/zImage",
    config: include_str!("../../kernel/arm.config"),
    qemu: "qemu-system-arm",
    // It has LPAE, which the kernel may use or not.
    cpu: "cortex-a15",
    page_tables: PageTables::Arm,
    // The kernel flushes every page between a module, which is below its memory, and its other mappings, which are
    // above, one by one. The less of its memory is between, the sooner a module goes: the rest is high memory.
    append: "uio_pdrv_genirq.of_id=generic-uio vmalloc=768M",
    // It is the same board: the same devices at the same addresses, by the same emulator.
    ..ARM64
};

/// The architecture of this machine.
pub fn of_this_machine() -> Result<&'static Arch> {
    ALL.iter().find(|arch| arch.is_of_this_machine()).with_context(|| {
        let names: Vec<_> = ALL.iter().map(|arch| arch.name).collect();
        format!("this machine is {}, and only {} are known", std::env::consts::ARCH, names.join(" and "))
    })
}

impl Arch {
    /// The entry called `name`.
    pub fn find(name: &str) -> Option<&'static Arch> {
        ALL.iter().find(|arch| arch.name == name)
    }

    /// Whether programs of the guest are of the architecture of this machine.
    pub fn is_of_this_machine(&self) -> bool {
        self.programs.rust.starts_with(std::env::consts::ARCH)
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
