// SPDX-License-Identifier: MIT OR Apache-2.0

//! The flavours of guest kernels: each one is an entry in a table of data.

use std::fmt;

use crate::arch::Arch;

/// One way to configure a kernel. An architecture and a flavour make a kernel.
#[derive(Debug)]
pub struct Flavour {
    /// Its name on the command line.
    pub name: &'static str,
    /// Lines of configuration; each overrides the architecture's line for the same symbol.
    pub config: &'static str,
    /// Words for the kernel's command line, on every architecture.
    pub append: &'static str,
    /// How many more lines make prints than for the plain kernel, for the progress bar.
    pub kernel_lines: u64,
    /// The disk space that a kernel takes, in bytes.
    pub space: u64,
    /// The architectures that have it.
    pub variants: &'static [Variant],
    /// The factor by which a suite's timeout is longer than on the plain kernel.
    pub timeout_factor: u32,
    /// The functions of the kernel that the compiler has the driver call, to have its accesses checked.
    pub checks: &'static [&'static str],
}

/// What a flavour has on one architecture alone.
#[derive(Debug)]
pub struct Variant {
    /// The architecture's name.
    pub arch: &'static str,
    /// Lines of configuration; each overrides the flavour's line for the same symbol.
    pub config: &'static str,
    /// Words for the kernel's command line.
    pub append: &'static str,
    /// Another processor than the architecture's.
    pub cpu: Option<&'static str>,
    /// Another number of processors than the architecture's.
    pub processors: Option<usize>,
}

impl Variant {
    const fn new(arch: &'static str) -> Self {
        Self { arch, config: "", append: "", cpu: None, processors: None }
    }
}

/// All flavours. The first is the default.
pub const ALL: &[Flavour] = &[PLAIN, DEBUG, KOBJECT, KCSAN, SHORT, PAGES_64K, PAGES_16K];

const PLAIN: Flavour = Flavour {
    name: "plain",
    config: "",
    append: "",
    kernel_lines: 0,
    space: 600_000_000,
    variants: &[Variant::new("x86_64"), Variant::new("arm64"), Variant::new("riscv64"), Variant::new("arm")],
    timeout_factor: 1,
    checks: &[],
};

/// A PC without all but 0.8 GiB of its memory, all of which a kernel that checks itself would have to track. The
/// windows, and the memory that the tests need beside them, remain.
const SMALL_PC: Variant = Variant { append: "memmap=1G$0x10000000,1280M$0x60000000", ..Variant::new("x86_64") };

const DEBUG: Flavour = Flavour {
    name: "debug",
    config: include_str!("../../kernel/debug.config"),
    // The tests compare the driver with /dev/mem on the same memory. A suite can override this word.
    append: "iomem=relaxed",
    kernel_lines: 350,
    space: 1_500_000_000,
    variants: &[
        Variant { config: include_str!("../../kernel/x86_64-debug.config"), ..SMALL_PC },
        Variant { config: include_str!("../../kernel/arm64-debug.config"), ..Variant::new("arm64") },
    ],
    timeout_factor: 5,
    ..PLAIN
};

const KOBJECT: Flavour = Flavour {
    name: "kobject",
    config: include_str!("../../kernel/kobject.config"),
    // Making 256 pairs of legacy terminals takes seconds.
    append: "pty.legacy_count=0",
    kernel_lines: 0,
    space: 1_000_000_000,
    variants: &[SMALL_PC],
    timeout_factor: 5,
    ..PLAIN
};

const KCSAN: Flavour = Flavour {
    name: "kcsan",
    config: include_str!("../../kernel/kcsan.config"),
    // One processor races with nobody.
    variants: &[Variant { processors: Some(2), ..Variant::new("x86_64") }],
    timeout_factor: 5,
    // Loads, stores, and what ends the time in which an access may be moved.
    checks: &["__tsan_read8", "__tsan_write8", "__tsan_func_exit"],
    ..PLAIN
};

/// Page tables of arm with short descriptors.
const SHORT: Flavour = Flavour {
    name: "short",
    variants: &[Variant { config: include_str!("../../kernel/arm-short.config"), ..Variant::new("arm") }],
    ..PLAIN
};

const PAGES_64K: Flavour = Flavour {
    name: "64k",
    variants: &[Variant { config: include_str!("../../kernel/arm64-64k.config"), ..Variant::new("arm64") }],
    ..PLAIN
};

const PAGES_16K: Flavour = Flavour {
    name: "16k",
    variants: &[Variant {
        config: include_str!("../../kernel/arm64-16k.config"),
        // The architecture's, a Cortex-A72, has no such pages.
        cpu: Some("cortex-a76"),
        ..Variant::new("arm64")
    }],
    ..PLAIN
};

impl Flavour {
    /// The entry called `name`.
    pub fn find(name: &str) -> Option<&'static Flavour> {
        ALL.iter().find(|flavour| flavour.name == name)
    }

    /// Whether it is the default flavour.
    pub fn is_plain(&self) -> bool {
        self.name == PLAIN.name
    }

    /// What it has on `arch` alone; `None` if there is no kernel of this flavour for it.
    pub fn variant(&self, arch: &Arch) -> Option<&'static Variant> {
        self.variants.iter().find(|variant| variant.arch == arch.name)
    }

    /// The names of the architectures that have it.
    pub fn arches(&self) -> Vec<&'static str> {
        self.variants.iter().map(|variant| variant.arch).collect()
    }
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch;

    #[test]
    fn every_architecture_of_the_table_is_one_and_has_the_plain_kernel() {
        for flavour in ALL {
            assert!(flavour.arches().iter().all(|name| Arch::find(name).is_some()), "{flavour}");
        }
        assert!(ALL[0].is_plain() && arch::ALL.iter().all(|arch| ALL[0].variant(arch).is_some()));
    }
}
