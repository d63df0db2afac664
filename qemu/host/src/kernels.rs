// SPDX-License-Identifier: MIT OR Apache-2.0

//! The kernels of guests: where each comes from is an entry in a table of data.

use std::fmt;

use anyhow::{ensure, Result};

use crate::{arch::Arch, flavour::Flavour};

/// Where kernels come from.
#[derive(Debug)]
pub struct Origin {
    /// Its name on the command line.
    pub name: &'static str,
    /// What Debian's archive has of it.
    pub supply: Supply,
    /// The architectures and flavours of which `map-qemu test` runs it without being asked to.
    pub in_every_test: &'static [(&'static str, &'static str)],
    /// Those of which it runs it if it is asked for their architecture, and for their flavour unless that is plain.
    pub when_named: &'static [(&'static str, &'static str)],
    /// Words for the kernel's command line.
    pub append: &'static str,
    /// The flavours that it can have.
    pub flavours: &'static [&'static str],
    /// The architectures that it can have.
    pub arches: &'static [&'static str],
}

/// What Debian's archive has of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supply {
    /// The source, in this package: the kernel is built here.
    Source(&'static str),
    /// The kernel itself.
    Stock,
}

/// All origins. The first is the default.
pub const ALL: &[Origin] = &[LINUX_7_3, LINUX_7_2, DEBIAN];

const LINUX_7_3: Origin = Origin {
    name: "7.3",
    supply: Supply::Source("linux-source-7.3"),
    // What the plain flavour would show on x86_64, Debian's kernel shows, which need not be built.
    in_every_test: &[("x86_64", "debug"), ("x86_64", "kobject"), ("arm64", "plain")],
    when_named: &[
        ("x86_64", "kcsan"),
        ("riscv64", "plain"),
        ("arm", "plain"),
        ("arm", "short"),
        ("arm64", "64k"),
        ("arm64", "16k"),
    ],
    append: "",
    flavours: &["plain", "debug", "kobject", "kcsan", "short", "64k", "16k"],
    arches: &["x86_64", "arm64", "riscv64", "arm"],
};

const LINUX_7_2: Origin = Origin {
    name: "7.2",
    supply: Supply::Source("linux-source-7.2"),
    in_every_test: &[],
    when_named: &[],
    flavours: &["plain", "debug", "kobject"],
    arches: &["x86_64", "arm64", "riscv64"],
    ..LINUX_7_3
};

const DEBIAN: Origin = Origin {
    name: "debian",
    supply: Supply::Stock,
    in_every_test: &[("x86_64", "plain")],
    when_named: &[],
    // The tests compare the driver with /dev/mem on the same memory. A suite can override this word.
    append: "iomem=relaxed",
    flavours: &["plain"],
    arches: &["x86_64", "arm64"],
};

impl Origin {
    /// The entry called `name`.
    pub fn find(name: &str) -> Option<&'static Origin> {
        ALL.iter().find(|origin| origin.name == name)
    }

    /// Whether it is the default.
    pub fn is_default(&self) -> bool {
        self.name == LINUX_7_3.name
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The kernels that no test of everything runs, but those of their architecture or flavour.
pub fn meant() -> impl Iterator<Item = KernelId> {
    let named = ALL.iter().flat_map(|origin| origin.when_named.iter().map(move |names| (origin, names)));
    named.filter_map(|(origin, (arch, flavour))| {
        Some(KernelId { arch: Arch::find(arch)?, origin, flavour: Flavour::find(flavour)? })
    })
}

/// One kernel.
#[derive(Debug, Clone, Copy)]
pub struct KernelId {
    /// Its architecture.
    pub arch: &'static Arch,
    /// Where it comes from.
    pub origin: &'static Origin,
    /// How it is configured.
    pub flavour: &'static Flavour,
}

impl KernelId {
    /// Fails if there is no such kernel.
    pub fn check(&self) -> Result<()> {
        let Self { arch, origin, flavour } = self;
        let having = flavour.arches().join(", ");
        ensure!(flavour.variant(arch).is_some(), "there is no {flavour} kernel of {arch}, only of {having}");
        let having = origin.flavours.join(", ");
        ensure!(origin.flavours.contains(&flavour.name), "there is no {flavour} kernel from {origin}, only {having}");
        let having = origin.arches.join(", ");
        ensure!(origin.arches.contains(&arch.name), "there is no {arch} kernel from {origin}, only of {having}");
        Ok(())
    }

    /// Whether `map-qemu test` runs it without being asked to.
    pub fn is_in_every_test(&self) -> bool {
        self.origin.in_every_test.contains(&(self.arch.name, self.flavour.name))
    }

    /// Whether `map-qemu test` runs it if it is asked for its architecture, and for its flavour unless that is plain.
    pub fn is_meant(&self) -> bool {
        self.origin.when_named.contains(&(self.arch.name, self.flavour.name))
    }

    /// The arguments of make that ask for it.
    pub fn variables(&self) -> String {
        let flavour = if self.flavour.is_plain() { String::new() } else { format!(" FLAVOUR={}", self.flavour) };
        format!("ARCH={}{flavour}", self.arch)
    }

    /// Whether Debian has built it. The others are built here, by the tool chain of this machine.
    pub fn is_stock(&self) -> bool {
        self.origin.supply == Supply::Stock
    }

    /// Its name in messages: `x86_64`, `x86_64 debug`, or `x86_64 7.2 debug`.
    pub fn title(&self) -> String {
        self.named(' ')
    }

    /// The stem of its file names: `x86_64`, `x86_64-debug`, or `x86_64-7.2-debug`.
    pub fn stem(&self) -> String {
        self.named('-')
    }

    fn named(&self, joint: char) -> String {
        let mut name = self.arch.name.to_owned();
        let origin = (!self.origin.is_default()).then_some(self.origin.name);
        let flavour = (!self.flavour.is_plain()).then_some(self.flavour.name);
        for part in origin.into_iter().chain(flavour) {
            name.push(joint);
            name += part;
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{arch, flavour};

    fn kernel(arch: &str, origin: &str, flavour: &str) -> KernelId {
        KernelId {
            arch: Arch::find(arch).unwrap(),
            origin: Origin::find(origin).unwrap(),
            flavour: Flavour::find(flavour).unwrap(),
        }
    }

    #[test]
    fn every_name_in_the_table_exists_and_the_default_has_everything() {
        for origin in ALL {
            assert!(origin.arches.iter().all(|name| Arch::find(name).is_some()), "{origin}");
            assert!(origin.flavours.iter().all(|name| Flavour::find(name).is_some()), "{origin}");
            for (arch, flavour) in origin.in_every_test.iter().chain(origin.when_named) {
                assert!(kernel(arch, origin.name, flavour).check().is_ok(), "{arch} {origin} {flavour}");
            }
        }
        assert!(ALL[0].is_default());
        assert!(arch::ALL.iter().all(|arch| ALL[0].arches.contains(&arch.name)));
        assert!(flavour::ALL.iter().all(|flavour| ALL[0].flavours.contains(&flavour.name)));
    }

    #[test]
    fn the_default_kernel_is_called_like_its_architecture() {
        assert_eq!(kernel("x86_64", "7.3", "plain").title(), "x86_64");
        assert_eq!(kernel("x86_64", "7.3", "debug").title(), "x86_64 debug");
        assert_eq!(kernel("arm64", "7.2", "plain").stem(), "arm64-7.2");
        assert_eq!(kernel("x86_64", "7.2", "debug").stem(), "x86_64-7.2-debug");
    }

    #[test]
    fn what_asks_for_a_kernel_names_its_flavour() {
        assert_eq!(kernel("arm", "7.3", "plain").variables(), "ARCH=arm");
        assert_eq!(kernel("arm64", "7.3", "64k").variables(), "ARCH=arm64 FLAVOUR=64k");
    }

    #[test]
    fn a_kernel_that_does_not_exist_is_an_error() {
        let error = |arch, origin, flavour| kernel(arch, origin, flavour).check().unwrap_err().to_string();
        assert!(kernel("x86_64", "debian", "plain").check().is_ok());
        assert!(kernel("arm64", "7.3", "debug").check().is_ok());
        assert_eq!(error("arm64", "7.3", "kobject"), "there is no kobject kernel of arm64, only of x86_64");
        assert_eq!(error("x86_64", "debian", "debug"), "there is no debug kernel from debian, only plain");
    }
}
