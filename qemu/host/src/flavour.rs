// SPDX-License-Identifier: MIT OR Apache-2.0

//! The flavours that a guest's kernel can have: each one is an entry in a table of data.

use std::fmt;

use crate::arch::Arch;

/// One way to configure a kernel. Together with an architecture it is a kernel.
#[derive(Debug)]
pub struct Flavour {
    /// As the command line says it.
    pub name: &'static str,
    /// Lines of configuration; each holds against a line of the architecture for the same symbol.
    pub config: &'static str,
    /// What the kernel's command line must say.
    pub append: &'static str,
    /// How many more lines make prints on the way to it than for the plain kernel, for the bar.
    pub kernel_lines: u64,
    /// The room that a kernel takes, in bytes.
    pub space: u64,
    /// How many processors its guests have.
    pub processors: usize,
    /// The architectures that have it.
    pub arches: &'static [&'static str],
    /// How many times longer than on the plain kernel a suite may take.
    pub timeout_factor: u32,
}

/// The flavours there are. The first is what a guest has if nobody asks for another.
pub const ALL: &[Flavour] = &[PLAIN, DEBUG, KOBJECT];

const PLAIN: Flavour = Flavour {
    name: "plain",
    config: "",
    append: "",
    kernel_lines: 0,
    space: 600_000_000,
    processors: 2,
    arches: &["x86_64", "arm64"],
    timeout_factor: 1,
};

/// Leaves all but 0.8 GiB of the memory out, which a kernel that checks itself would have to watch. The windows, and what
/// the tests need beside them, are in the rest.
macro_rules! less_memory {
    () => {
        "memmap=1G$0x10000000,1280M$0x60000000"
    };
}

const DEBUG: Flavour = Flavour {
    name: "debug",
    config: include_str!("../../kernel/debug.config"),
    append: concat!(
        // The tests compare the driver with /dev/mem on the same memory. A scene can take this word back.
        "iomem=relaxed ",
        less_memory!(),
    ),
    kernel_lines: 350,
    space: 1_500_000_000,
    // The emulator's threads are as many as this machine's processors when two guests run side by side.
    processors: 1,
    arches: &["x86_64"],
    timeout_factor: 5,
};

const KOBJECT: Flavour = Flavour {
    name: "kobject",
    config: include_str!("../../kernel/kobject.config"),
    // To make 256 pairs of terminals that nobody uses any more takes seconds.
    append: concat!(less_memory!(), " pty.legacy_count=0"),
    kernel_lines: 0,
    space: 1_000_000_000,
    processors: 1,
    arches: &["x86_64"],
    timeout_factor: 5,
};

impl Flavour {
    /// The entry called `name`.
    pub fn find(name: &str) -> Option<&'static Flavour> {
        ALL.iter().find(|flavour| flavour.name == name)
    }

    /// Whether it is the flavour that needs no word.
    pub fn is_plain(&self) -> bool {
        self.name == PLAIN.name
    }

    /// Whether there is a kernel of this flavour for `arch`.
    pub fn fits(&self, arch: &Arch) -> bool {
        self.arches.contains(&arch.name)
    }
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// What people call a kernel: `x86_64`, or `x86_64 debug`.
pub fn title(arch: &Arch, flavour: &Flavour) -> String {
    named(arch, flavour, ' ')
}

/// What files of a kernel are called: `x86_64`, or `x86_64-debug`.
pub fn stem(arch: &Arch, flavour: &Flavour) -> String {
    named(arch, flavour, '-')
}

fn named(arch: &Arch, flavour: &Flavour, joint: char) -> String {
    if flavour.is_plain() {
        arch.name.into()
    } else {
        format!("{arch}{joint}{flavour}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch;

    #[test]
    fn every_architecture_of_the_table_is_one_and_has_the_plain_kernel() {
        for flavour in ALL {
            assert!(flavour.arches.iter().all(|name| Arch::find(name).is_some()), "{flavour}");
        }
        assert!(ALL[0].is_plain() && arch::ALL.iter().all(|arch| ALL[0].fits(arch)));
    }

    #[test]
    fn the_plain_kernel_is_called_like_its_architecture() {
        let (arch, debug) = (&arch::ALL[0], Flavour::find("debug").unwrap());
        assert_eq!(title(arch, &ALL[0]), "x86_64");
        assert_eq!((title(arch, debug).as_str(), stem(arch, debug).as_str()), ("x86_64 debug", "x86_64-debug"));
    }
}
