//! The keys of the objects that are open, to see that none comes twice. Compared as they read, not as they are written:
//! `"a"` and `"\u0061"` are the same key.
//!
//! No hash table, so nobody can choose keys that make it slow: few keys are compared one with another, many are sorted.

use super::token::{self, Text};

/// Objects of up to this many keys are compared as keys come.
const FEW: usize = 32;
const AS_WRITTEN: u32 = u32::MAX;

/// A record is at most 16 MiB, so its places fit.
#[derive(Clone, Copy)]
struct Key {
    hash: u32,
    /// In the record.
    at: u32,
    /// Among the decoded, or [`AS_WRITTEN`].
    decoded: u32,
    /// As it reads.
    len: u32,
}

/// An open object.
#[derive(Clone, Copy, Default)]
struct Frame {
    /// Its first among the keys.
    first: usize,
    /// A bit for some of the hashes that it has: where it is not set, the key is new.
    seen: u64,
}

#[derive(Default)]
pub struct Keys {
    keys: Vec<Key>,
    /// The objects around the innermost one.
    outer: Vec<Frame>,
    frame: Frame,
    /// Keys that were written with escapes.
    decoded: Vec<u8>,
}

impl Keys {
    pub fn clear(&mut self) {
        self.keys.clear();
        self.outer.clear();
        self.decoded.clear();
    }

    #[inline]
    pub fn open(&mut self) {
        self.outer.push(self.frame);
        self.frame = Frame { first: self.keys.len(), seen: 0 };
    }

    /// Has the innermost object this key already? Beyond a few keys, [`Keys::close`] tells.
    #[inline]
    pub fn comes_twice(&mut self, record: &[u8], text: Text) -> bool {
        let key = match text.is_escaped {
            false => {
                let (at, len) = (text.start as u32, (text.end - text.start) as u32);
                Key { hash: hash(record, text.start, text.end), at, decoded: AS_WRITTEN, len }
            }
            true => self.decode(&record[text.start..text.end], text.start as u32),
        };
        self.keys.push(key);
        let bit = 1 << (key.hash & 63);
        let is_new = self.frame.seen & bit == 0;
        self.frame.seen |= bit;
        !is_new && self.is_among_few(record, key)
    }

    fn is_among_few(&self, record: &[u8], key: Key) -> bool {
        let others = &self.keys[self.frame.first..self.keys.len() - 1];
        others.len() < FEW
            && others.iter().any(|k| k.hash == key.hash && self.bytes(record, *k) == self.bytes(record, key))
    }

    /// The innermost object ends. The start of a key that came twice, if it had many.
    #[inline]
    pub fn close(&mut self, record: &[u8]) -> Option<usize> {
        let first = self.frame.first;
        self.frame = self.outer.pop().unwrap_or_default();
        let twice = if self.keys.len() - first > FEW { self.twin(record, first) } else { None };
        self.keys.truncate(first);
        twice
    }

    #[cold]
    fn twin(&mut self, record: &[u8], first: usize) -> Option<usize> {
        let mut keys = std::mem::take(&mut self.keys);
        let many = &mut keys[first..];
        many.sort_unstable_by(|a, b| {
            let by_hash = a.hash.cmp(&b.hash);
            by_hash.then_with(|| self.bytes(record, *a).cmp(self.bytes(record, *b))).then(a.at.cmp(&b.at))
        });
        let twins = many
            .windows(2)
            .filter(|pair| pair[0].hash == pair[1].hash && self.bytes(record, pair[0]) == self.bytes(record, pair[1]));
        // the first in the record: hashes do not decide which one is named
        let twin = twins.map(|pair| pair[1].at as usize).min();
        self.keys = keys;
        twin
    }

    #[cold]
    fn decode(&mut self, raw: &[u8], at: u32) -> Key {
        let start = self.decoded.len();
        token::unescape(raw, &mut self.decoded);
        let key = &self.decoded[start..];
        Key { hash: hash(key, 0, key.len()), at, decoded: start as u32, len: key.len() as u32 }
    }

    #[inline]
    fn bytes<'a>(&'a self, record: &'a [u8], key: Key) -> &'a [u8] {
        let (within, start) = match key.decoded {
            AS_WRITTEN => (record, key.at as usize),
            start => (&self.decoded[..], start as usize),
        };
        &within[start..start + key.len as usize]
    }
}

/// Tells most keys apart at a glance; equal ones always have equal hashes.
#[inline(always)]
fn hash(bytes: &[u8], start: usize, end: usize) -> u32 {
    let len = end - start;
    let tail = if len > 8 { token::head(bytes, end - 8, end) } else { 0 };
    let mixed =
        (token::head(bytes, start, end) ^ tail.rotate_left(23) ^ len as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as u32
}
