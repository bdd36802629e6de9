//! Where in 64 bytes the characters stand that CSV is made of, as bits: the lowest is the first byte.
//!
//! Compares as many bytes at a time as the machine does at its baseline. Also finds what JSON must escape. Knows nothing of
//! records or quoting.

use wide::{u8x16, u8x64};

pub const BLOCK: usize = 64;

/// The characters of a dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syntax {
    pub delimiter: u8,
    /// `None`: quotes mean nothing.
    pub quote: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    pub delimiter: u64,
    pub quote: u64,
    /// CR and LF.
    pub newline: u64,
}

impl Marks {
    #[inline]
    pub fn of(block: &[u8; BLOCK], syntax: Syntax) -> Self {
        let lanes = u8x64::from(*block);
        let is = |byte: u8| lanes.simd_eq(u8x64::splat(byte));
        Marks {
            delimiter: is(syntax.delimiter).to_bitmask(),
            quote: syntax.quote.map_or(0, |quote| is(quote).to_bitmask()),
            newline: (is(b'\r') | is(b'\n')).to_bitmask(),
        }
    }

    /// Only of the first `count` bytes, at most 64.
    pub fn first(self, count: usize) -> Self {
        let kept = bits_below(count);
        Marks { delimiter: self.delimiter & kept, quote: self.quote & kept, newline: self.newline & kept }
    }
}

/// The lowest `count` bits, of 64 at most.
#[inline]
pub fn bits_below(count: usize) -> u64 {
    if count < 64 { (1 << count) - 1 } else { u64::MAX }
}

/// Which of 16 bytes JSON must escape in a string: `"`, `\` and what is below a space.
#[inline(always)]
pub fn escapes(block: &[u8; 16]) -> u32 {
    let lanes = u8x16::from(*block);
    let is = |byte: u8| lanes.simd_eq(u8x16::splat(byte));
    let is_control = lanes.min(u8x16::splat(0x1f)).simd_eq(lanes);
    (is_control | is(b'"') | is(b'\\')).to_bitmask()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bits_are_bytes_in_order(bytes in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), any::<u8>()], BLOCK)) {
            let block: [u8; BLOCK] = bytes.as_slice().try_into().expect("64 bytes");
            let one_by_one = |is: &dyn Fn(u8) -> bool| (0..64).fold(0, |all, i| all | u64::from(is(block[i])) << i);
            let marks = Marks::of(&block, Syntax { delimiter: block[5], quote: Some(block[9]) });
            prop_assert_eq!(marks.delimiter, one_by_one(&|b| b == block[5]));
            prop_assert_eq!(marks.quote, one_by_one(&|b| b == block[9]));
            prop_assert_eq!(marks.newline, one_by_one(&|b| b == b'\r' || b == b'\n'));
        }
    }

    #[test]
    fn json_escapes_control_characters_quotes_and_backslashes() {
        for byte in 0..=255u8 {
            let block =
                [b' ', byte, 0x7f, 0x80, 0xff, b'a', byte, b'!', b'#', b'[', b']', b' ', b'/', b'0', b'x', byte];
            let expected = if byte < 0x20 || byte == b'"' || byte == b'\\' { 1 << 1 | 1 << 6 | 1 << 15 } else { 0 };
            assert_eq!(escapes(&block), expected, "{byte}");
        }
    }

    #[test]
    fn a_dialect_without_quotes_finds_none() {
        let block = [0; BLOCK];
        let marks = Marks::of(&block, Syntax { delimiter: 0, quote: None });
        assert_eq!(marks, Marks { delimiter: u64::MAX, quote: 0, newline: 0 });
        assert_eq!(marks.first(3).delimiter, 7);
    }
}
