// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Windows: physical memory that may be mapped, with access and cache type.

use core::{
    ffi::CStr,
    fmt, //
};

use super::{
    Huge,
    PhysRange, //
};

/// Physical memory that the administrator lets programs map.
///
/// It is displayed in the syntax of [`parse()`](super::parse()), with start and size in hexadecimal
/// and all non-default options: `sdram@0xc0000000+0x300000:ro:wc`. Only `reserved` and `origin`
/// have no syntax.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Window {
    /// The memory, in whole pages.
    pub range: PhysRange,
    /// The name of the window.
    pub name: Name,
    /// The access that mappings may have.
    pub access: Access,
    /// The cache type of mappings.
    pub cache: CacheMode,
    /// Whether the driver claims the region, so no other driver can. The option `shared` clears it.
    pub claim: bool,
    /// Whether the administrator declares that all of it is memory, so every load completes: the
    /// option `memory`.
    pub memory: bool,
    /// Whether mappings may have huge pages.
    pub huge: Huge,
    /// Whether all of it lies in one `no-map` node of `/reserved-memory` that nothing in the kernel
    /// uses. Only the driver knows.
    pub reserved: bool,
    /// The source of its description.
    pub origin: Origin,
}

impl Window {
    /// Creates a window without a name, with default options.
    pub const fn new(range: PhysRange) -> Self {
        Self {
            range,
            name: Name::NONE,
            access: Access::ReadWrite,
            cache: CacheMode::Uncached,
            claim: true,
            memory: false,
            huge: Huge::Auto,
            reserved: false,
            origin: Origin::Parameter,
        }
    }

    /// Returns whether a locked-down kernel maps it: the boot device tree describes it and reserves
    /// its memory, so root can neither create nor move such a window.
    pub const fn survives_lockdown(&self) -> bool {
        self.reserved && matches!(self.origin, Origin::BootDt)
    }
}

/// The source of a window's description.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// The module parameter.
    #[default]
    Parameter,
    /// The device tree. The window is removed with its device.
    Dt,
    /// The boot device tree, in which the window refers to its memory by `memory-region`.
    BootDt,
    /// A directory in configfs. The window is removed with it, or earlier.
    RunTime,
}

impl Origin {
    /// Returns the origin as a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parameter => "parameter",
            Self::Dt | Self::BootDt => "tree",
            Self::RunTime => "run-time",
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.name.is_empty() {
            write!(f, "{}@", self.name)?;
        }
        write!(f, "{:#x}+{:#x}", self.range.start(), self.range.length())?;
        if self.access != Access::default() {
            write!(f, ":{}", self.access)?;
        }
        if self.cache != CacheMode::default() {
            write!(f, ":{}", self.cache)?;
        }
        if !self.claim {
            f.write_str(":shared")?;
        }
        if self.memory {
            f.write_str(":memory")?;
        }
        if self.huge != Huge::default() {
            write!(f, ":huge={}", self.huge)?;
        }
        Ok(())
    }
}

/// The name of a window: at most 31 characters of `a` to `z`, `0` to `9`, `_` and `-`; empty if it
/// has none.
///
/// # Invariants
///
/// At least one NUL byte follows the characters, up to the end of the array.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Name([u8; Name::MAX_LENGTH + 1]);

impl Name {
    /// The maximum length of a name, in bytes.
    pub const MAX_LENGTH: usize = 31;

    /// The empty name.
    pub const NONE: Self = Self([0; Self::MAX_LENGTH + 1]);

    /// Creates a name from `text`; `None` if it is too long or has an invalid character.
    pub fn new(text: &[u8]) -> Option<Self> {
        if text.len() > Self::MAX_LENGTH || !text.iter().all(|&byte| Self::allows(byte)) {
            return None;
        }
        let mut bytes = [0; Self::MAX_LENGTH + 1];
        for (to, from) in bytes.iter_mut().zip(text) {
            *to = *from;
        }
        // INVARIANT: The text was just checked, and the array is longer than any valid text.
        Some(Self(bytes))
    }

    /// Returns whether `byte` is valid in a name.
    pub const fn allows(byte: u8) -> bool {
        matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-')
    }

    /// Returns whether there is no name.
    pub fn is_empty(&self) -> bool {
        *self == Self::NONE
    }

    /// Returns the name as a C string.
    pub fn as_c_str(&self) -> &CStr {
        // By the invariant it contains a NUL.
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        // By the invariant it is ASCII.
        self.as_c_str().to_str().unwrap_or_default()
    }

    /// Returns the name, padded with NUL bytes.
    pub const fn to_bytes(self) -> [u8; Self::MAX_LENGTH + 1] {
        self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// The access that mappings of a window may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Access {
    /// A mapping is never writable, not even after mprotect(2).
    ReadOnly,
    /// A mapping may be writable.
    #[default]
    ReadWrite,
}

impl Access {
    /// Returns the option for it in the syntax of windows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "ro",
            Self::ReadWrite => "rw",
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The cache type of a mapping. The values are those of the ABI.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum CacheMode {
    /// Every access reaches the memory, in program order: x86 UC-, arm64 Device-nGnRnE.
    #[default]
    Uncached = 0,
    /// Stores may be combined and reordered, and loads may be speculative: x86 WC, arm64 Normal
    /// Non-cacheable.
    WriteCombine = 1,
    /// As for ordinary memory: x86 WB, arm64 Normal Write-Back. Devices may not see stores.
    Cached = 2,
}

impl CacheMode {
    /// All cache types in the order of their codes.
    pub const ALL: [Self; 3] = [Self::Uncached, Self::WriteCombine, Self::Cached];

    /// Returns the code in the ABI.
    pub const fn code(self) -> u32 {
        self as u32
    }

    /// Returns the cache type with this code in the ABI.
    pub fn from_code(code: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|cache| cache.code() == code)
    }

    /// Returns the option for it in the syntax of windows, in the spelling that is displayed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Uncached => "uncached",
            Self::WriteCombine => "wc",
            Self::Cached => "cached",
        }
    }
}

impl fmt::Display for CacheMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;

    use super::*;

    fn sdram() -> Window {
        Window {
            name: Name::new(b"sdram").unwrap(),
            ..Window::new(PhysRange::new(0xc000_0000, 0x30_0000).unwrap())
        }
    }

    #[test]
    fn a_window_shows_only_what_is_not_the_default() {
        assert_eq!(sdram().to_string(), "sdram@0xc0000000+0x300000");
        let bare = Window::new(PhysRange::new(0, 0x1000).unwrap());
        assert_eq!(bare.to_string(), "0x0+0x1000");
        let all = Window {
            access: Access::ReadOnly,
            cache: CacheMode::WriteCombine,
            claim: false,
            memory: true,
            huge: Huge::Never,
            reserved: true,
            origin: Origin::Dt,
            ..sdram()
        };
        assert_eq!(
            all.to_string(),
            "sdram@0xc0000000+0x300000:ro:wc:shared:memory:huge=never"
        );
    }

    #[test]
    fn an_origin_is_a_word() {
        let origins = [
            (Origin::Parameter, "parameter"),
            (Origin::Dt, "tree"),
            (Origin::BootDt, "tree"),
            (Origin::RunTime, "run-time"),
        ];
        for (origin, word) in origins {
            assert_eq!(origin.as_str(), word);
        }
    }

    #[test]
    fn only_reserved_memory_of_the_boots_tree_survives_lockdown() {
        for origin in [
            Origin::Parameter,
            Origin::Dt,
            Origin::BootDt,
            Origin::RunTime,
        ] {
            for reserved in [false, true] {
                let window = Window {
                    origin,
                    reserved,
                    memory: true,
                    ..sdram()
                };
                let expected = reserved && origin == Origin::BootDt;
                assert_eq!(window.survives_lockdown(), expected, "{window:?}");
            }
        }
    }

    #[test]
    fn a_name_has_at_most_31_characters_of_its_set() {
        let longest = [b'z'; 31];
        let name = Name::new(&longest).unwrap();
        assert_eq!(name.as_str().as_bytes(), longest);
        assert_eq!(name.as_c_str().to_bytes(), longest);
        assert_eq!(name.to_bytes()[31], 0);
        assert_eq!(Name::new(&[b'z'; 32]), None);
        assert_eq!(Name::new(b"-09_az").unwrap().to_string(), "-09_az");
        assert_eq!(std::format!("{:?}", sdram().name), "\"sdram\"");
        for bad in [&b"A"[..], b" ", b"a.b", b"a@", b"\0", b"\xc3\xa9", b"a\0"] {
            assert_eq!(Name::new(bad), None, "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn no_name_is_empty() {
        assert_eq!(Name::new(b""), Some(Name::NONE));
        assert_eq!(Name::default(), Name::NONE);
        assert!(Name::NONE.is_empty() && !sdram().name.is_empty());
        assert_eq!(Name::NONE.as_str(), "");
    }

    #[test]
    fn cache_types_keep_their_codes() {
        for (code, cache) in (0..).zip(CacheMode::ALL) {
            assert_eq!(cache.code(), code);
            assert_eq!(CacheMode::from_code(code), Some(cache));
        }
        assert_eq!(CacheMode::from_code(3), None);
        assert_eq!(CacheMode::from_code(u32::MAX), None);
    }
}
