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
    /// The target of rustc for programs in the guest.
    pub rust_target: &'static str,
    /// Debian's name for it.
    pub debian: &'static str,
    /// The Debian packages that hold the emulator.
    pub packages: &'static [&'static str],
    /// The make target that builds the bootable image.
    pub image_target: &'static str,
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
    /// What the kernel's command line must say on this architecture, the reservation of the window included.
    pub append: &'static str,
}

/// The architectures there are.
pub const ALL: &[Arch] = &[Arch {
    name: "x86_64",
    kernel: "x86_64",
    rust_target: "x86_64-unknown-linux-gnu",
    debian: "amd64",
    packages: &["qemu-system-x86"],
    image_target: "bzImage",
    image: "arch/x86/boot/bzImage",
    config: include_str!("../kernel/x86_64.config"),
    qemu: "qemu-system-x86_64",
    // The i440FX has its memory below 3.5 GiB in one piece, so 0xc0000000 can be memory.
    machine: "pc",
    // Everything that TCG can emulate, but for five levels of page tables, which only cost time.
    cpu: "max,la57=off",
    memory_mib: 3100,
    memory_start: 0,
    console: "ttyS0",
    channel: "ttyS1",
    append: "memmap=3M$0xc0000000 reboot=t",
}];

impl Arch {
    /// The entry called `name`.
    pub fn find(name: &str) -> Option<&'static Arch> {
        ALL.iter().find(|arch| arch.name == name)
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
