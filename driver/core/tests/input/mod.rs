// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Takes values from the bytes of a fuzzer, which may be any.

#![allow(
    dead_code,
    reason = "each target of the fuzzer is a crate of its own, and uses what it needs"
)]

/// The bytes that are left. When there are none, every number is 0 and every text empty.
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.text(1).first().copied().unwrap_or(0)
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.byte() & 1 != 0
    }

    /// A number: any, or one near a power of two, where the mistakes are.
    pub(crate) fn number(&mut self) -> u64 {
        let kind = self.byte();
        let value = (0..8).fold(0, |value, _| value << 8 | u64::from(self.byte()));
        if kind & 0x80 == 0 {
            return value >> (kind & 0x38);
        }
        let power = 1_u64 << (kind & 0x3f);
        power
            .wrapping_add(value & 0x3)
            .wrapping_sub(value >> 2 & 0x3)
    }

    /// The next bytes, at most `length`.
    pub(crate) fn text(&mut self, length: usize) -> &'a [u8] {
        let (text, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        text
    }

    /// A text of up to 255 bytes, or none.
    pub(crate) fn maybe(&mut self) -> Option<&'a [u8]> {
        let length = self.byte();
        (length != 0).then(|| self.text(usize::from(length - 1)))
    }
}

/// Checks that a message is one line that can be printed.
pub(crate) fn check_message(message: &str) {
    let printable = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    assert!(message.bytes().all(printable), "{message:?}");
    assert!(!message.is_empty() && message.len() < 500, "{message}");
}
