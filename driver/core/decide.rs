// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The decision: who may open the node, and which range may be mapped how.

use core::fmt;

use super::PhysRange;

/// A call of mmap(2) on the node, as the kernel hands it to the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The offset in pages (`vm_pgoff`): the page frame number of the first page.
    pub page_offset: u64,
    /// The length in bytes, which the kernel has rounded up to whole pages.
    pub length: u64,
    /// Whether MAP_SHARED was asked for.
    ///
    /// This is VM_MAYSHARE, not VM_SHARED: the kernel clears the latter on a descriptor that is open for reading only,
    /// and such a mapping is still a shared one.
    pub shared: bool,
    /// Whether PROT_EXEC was asked for.
    pub execute: bool,
}

/// What the machine under the driver is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Platform {
    /// The base 2 logarithm of the page size in bytes.
    pub page_shift: u32,
    /// The highest physical address that the processor can put into a page table entry.
    pub last_address: u64,
}

/// How the processor may cache a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// Every load and store goes to the memory, in program order: x86 UC-, arm64 Device-nGnRnE.
    Uncached,
}

/// A mapping that the driver will make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The physical memory to map: whole pages.
    pub range: PhysRange,
    /// With which cache type.
    pub cache: Cache,
}

/// Why the driver says no.
///
/// When several reasons hold, the one that stands first here is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The process that opens the node lacks CAP_SYS_RAWIO.
    NotCapable,
    /// The mapping is private: what is stored into it would never reach the memory.
    Private,
    /// The mapping is to be executable.
    Executable,
    /// The range is empty, wraps, or ends beyond the highest physical address.
    Address,
    /// The range holds memory that the kernel uses as its own.
    SystemRam,
}

/// The error numbers that the driver gives. Their values are the same on every architecture of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Errno {
    /// EPERM: not permitted, whatever the arguments' form.
    NotPermitted = 1,
    /// EINVAL: the arguments can never be right.
    Invalid = 22,
}

impl Refusal {
    /// The error number that the system call fails with.
    pub const fn errno(self) -> Errno {
        match self {
            Self::Private | Self::Address => Errno::Invalid,
            // mmap(2) gives EPERM for PROT_EXEC on a file system mounted noexec, as /dev often is.
            Self::NotCapable | Self::Executable | Self::SystemRam => Errno::NotPermitted,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotCapable => "opening it takes CAP_SYS_RAWIO",
            Self::Private => "a private mapping would never reach the memory; use MAP_SHARED",
            Self::Executable => "physical memory is never mapped executable",
            Self::Address => "the range leaves the physical address space",
            Self::SystemRam => "the range holds System RAM, which belongs to the kernel",
        })
    }
}

/// Whether a process may open the node; `rawio` says if it has CAP_SYS_RAWIO.
pub const fn may_open(rawio: bool) -> Result<(), Refusal> {
    if rawio {
        Ok(())
    } else {
        Err(Refusal::NotCapable)
    }
}

/// Whether `request` is granted on `platform`, and as what.
///
/// `is_system_ram` is asked at most once, with the range of a request that is right in every other respect.
pub fn decide(
    request: &Request,
    platform: &Platform,
    is_system_ram: impl FnOnce(&PhysRange) -> bool,
) -> Result<Grant, Refusal> {
    if !request.shared {
        return Err(Refusal::Private);
    }
    if request.execute {
        return Err(Refusal::Executable);
    }
    let range = range_of(request, platform).ok_or(Refusal::Address)?;
    if is_system_ram(&range) {
        return Err(Refusal::SystemRam);
    }
    Ok(Grant {
        range,
        cache: Cache::Uncached,
    })
}

/// The physical range that `request` names, if the machine has such addresses.
fn range_of(request: &Request, platform: &Platform) -> Option<PhysRange> {
    let page_size = 1u64.checked_shl(platform.page_shift)?;
    let start = request.page_offset.checked_mul(page_size)?;
    PhysRange::new(start, request.length).filter(|range| range.last() <= platform.last_address)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PC: Platform = Platform {
        page_shift: 12,
        last_address: (1 << 40) - 1,
    };

    const SDRAM: Request = Request {
        page_offset: 0xc_0000,
        length: 0x30_0000,
        shared: true,
        execute: false,
    };

    fn verdict(request: Request) -> Result<Grant, Refusal> {
        decide(&request, &PC, |_| false)
    }

    #[test]
    fn three_megabytes_of_sdram_are_granted_uncached() {
        let grant = verdict(SDRAM).unwrap();
        assert_eq!(grant.range, PhysRange::new(0xc000_0000, 0x30_0000).unwrap());
        assert_eq!(grant.cache, Cache::Uncached);
    }

    #[test]
    fn the_last_page_of_the_address_space_is_granted_and_the_next_is_not() {
        let page = |page_offset| Request {
            page_offset,
            length: 0x1000,
            ..SDRAM
        };
        assert!(verdict(page((1 << 28) - 1)).is_ok());
        assert_eq!(verdict(page(1 << 28)), Err(Refusal::Address));
        let two_pages = Request {
            length: 0x2000,
            ..page((1 << 28) - 1)
        };
        assert_eq!(verdict(two_pages), Err(Refusal::Address));
    }

    #[test]
    fn a_range_that_wraps_or_is_empty_is_refused() {
        let wraps = Request {
            page_offset: u64::MAX >> 12,
            length: 0x2000,
            ..SDRAM
        };
        assert_eq!(verdict(wraps), Err(Refusal::Address));
        // The offset in bytes alone does not fit.
        let wide = Request {
            page_offset: u64::MAX,
            length: 0x1000,
            ..SDRAM
        };
        assert_eq!(verdict(wide), Err(Refusal::Address));
        assert_eq!(
            verdict(Request { length: 0, ..SDRAM }),
            Err(Refusal::Address)
        );
    }

    #[test]
    fn a_page_shift_that_no_machine_has_is_refused_rather_than_wrapped() {
        let odd = Platform {
            page_shift: 64,
            ..PC
        };
        assert_eq!(decide(&SDRAM, &odd, |_| false), Err(Refusal::Address));
    }

    #[test]
    fn system_ram_is_refused_and_asked_about_only_for_a_sound_request() {
        let ram = |range: &PhysRange| {
            assert_eq!(range.start(), 0xc000_0000);
            true
        };
        assert_eq!(decide(&SDRAM, &PC, ram), Err(Refusal::SystemRam));
        let private = Request {
            shared: false,
            ..SDRAM
        };
        let never = |_: &PhysRange| -> bool { panic!("asked about a private mapping") };
        assert_eq!(decide(&private, &PC, never), Err(Refusal::Private));
    }

    #[test]
    fn the_first_reason_in_order_is_the_one_given() {
        let everything_wrong = Request {
            page_offset: u64::MAX,
            length: 0,
            shared: false,
            execute: true,
        };
        assert_eq!(verdict(everything_wrong), Err(Refusal::Private));
        let shared = Request {
            shared: true,
            ..everything_wrong
        };
        assert_eq!(verdict(shared), Err(Refusal::Executable));
        assert_eq!(
            verdict(Request {
                execute: false,
                ..shared
            }),
            Err(Refusal::Address)
        );
    }

    #[test]
    fn only_rawio_opens() {
        assert_eq!(may_open(true), Ok(()));
        assert_eq!(may_open(false), Err(Refusal::NotCapable));
    }

    #[test]
    fn every_refusal_has_the_documented_errno() {
        let table = [
            (Refusal::NotCapable, 1),
            (Refusal::Private, 22),
            (Refusal::Executable, 1),
            (Refusal::Address, 22),
            (Refusal::SystemRam, 1),
        ];
        for (refusal, errno) in table {
            assert_eq!(refusal.errno() as i32, errno, "{refusal}");
        }
    }
}
