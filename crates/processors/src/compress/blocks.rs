//! Deflate in blocks that are compressed apart from one another and joined to one stream (RFC 1951).
//!
//! Each block knows the 32 KiB before it as its dictionary and ends on a byte border, so the stream is nearly as small as
//! one made in one go, and the same whatever thread made which block. The container around it, and its checksum, are
//! others' affairs.

use super::fill;
use flate2::{Compress, Compression, FlushCompress, Status};
use libdeflater::{CompressionLvl, Compressor};
use std::io::Read;

/// Of input. Larger ones gain less than 1 % and cost memory on every thread.
pub const BLOCK_BYTES: usize = 512 * 1024;
/// As far as deflate can look back.
const DICTIONARY_BYTES: usize = 32 * 1024;

/// The level of libdeflate for each of zlib's: its files are smaller at the same number, so one less does (at 6, files of
/// 10 KB of text are 4 % smaller than Info-ZIP's).
const SMALL_LEVELS: [i32; 10] = [1, 1, 1, 2, 3, 4, 5, 6, 7, 9];

/// A piece of a stream's input.
pub struct Block {
    /// The dictionary, then the block.
    bytes: Vec<u8>,
    dictionary: usize,
    /// Nothing comes behind it: the input ended short of a full block.
    pub is_last: bool,
}

impl Block {
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.dictionary..]
    }
}

/// Cuts an input into blocks.
#[derive(Default)]
pub struct Cutter {
    tail: Vec<u8>,
    spare: Vec<Vec<u8>>,
}

impl Cutter {
    /// The first block of a stream, which has no dictionary.
    pub fn begin(&mut self, input: &mut (impl Read + ?Sized)) -> std::io::Result<Block> {
        self.tail.clear();
        self.next(input)
    }

    /// The last block of every stream is shorter than the others, and may be empty.
    pub fn next(&mut self, input: &mut (impl Read + ?Sized)) -> std::io::Result<Block> {
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.clear();
        bytes.extend_from_slice(&self.tail);
        let dictionary = bytes.len();
        self.read_block(input, &mut bytes)?;
        let is_last = bytes.len() - dictionary < BLOCK_BYTES;
        self.tail.clear();
        self.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(DICTIONARY_BYTES)..]);
        Ok(Block { bytes, dictionary, is_last })
    }

    /// A small input takes a small buffer: the first read asks for little.
    fn read_block(&self, input: &mut (impl Read + ?Sized), bytes: &mut Vec<u8>) -> std::io::Result<()> {
        let start = bytes.len();
        for upto in [BLOCK_BYTES / 32, BLOCK_BYTES] {
            let from = bytes.len();
            bytes.resize(start + upto, 0);
            let read = fill(input, &mut bytes[from..])?;
            bytes.truncate(from + read);
            if bytes.len() < start + upto {
                break;
            }
        }
        Ok(())
    }

    /// A block that is done with gives its memory to the next one.
    pub fn give_back(&mut self, block: Block) {
        self.spare.push(block.bytes);
    }
}

/// A compressor for many streams and blocks. What it gives depends on nothing that it was given before: the state of zlib-rs
/// is made anew for each block, because after a reset it remembers its past (the bytes are right, but others each time).
pub struct Deflater {
    level: u32,
    small: Compressor,
}

impl Deflater {
    /// `level` is 1 to 9.
    pub fn new(level: u32) -> Self {
        let small = SMALL_LEVELS[level.min(9) as usize];
        let small = CompressionLvl::new(small).expect("libdeflate has these levels");
        Deflater { level, small: Compressor::new(small) }
    }

    /// A stream in one go, of what fits into memory.
    pub fn whole(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![0; self.small.deflate_compress_bound(bytes.len())];
        let length = self.small.deflate_compress(bytes, &mut out).expect("the bound is long enough");
        out.truncate(length);
        out
    }

    /// A block's part of its stream.
    pub fn block(&mut self, block: &Block) -> Vec<u8> {
        let mut compress = Compress::new(Compression::new(self.level), false);
        if block.dictionary > 0 {
            compress.set_dictionary(&block.bytes[..block.dictionary]).expect("a raw stream that has not begun");
        }
        let (bytes, flush) = (block.bytes(), if block.is_last { FlushCompress::Finish } else { FlushCompress::Sync });
        let mut out = Vec::with_capacity(longest(bytes.len()));
        let status = compress.compress_vec(bytes, &mut out, flush).expect("a stream in order");
        let is_done = match flush {
            FlushCompress::Finish => status == Status::StreamEnd,
            // only with room left is nothing held back
            _ => compress.total_in() == bytes.len() as u64 && out.len() < out.capacity(),
        };
        assert!(is_done, "deflate of {} bytes does not fit its bound", bytes.len());
        out
    }
}

/// What `bytes` can become: nine bits for eight at the quickest level, and the ends of blocks.
fn longest(bytes: usize) -> usize {
    bytes + bytes / 8 + 256
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Read;

    fn deflated(input: &[u8], level: u32) -> Vec<u8> {
        let (mut cutter, mut deflater, mut rest, mut out) =
            (Cutter::default(), Deflater::new(level), input, Vec::new());
        loop {
            let block = cutter.next(&mut rest).expect("memory");
            out.extend(deflater.block(&block));
            if block.is_last {
                return out;
            }
            cutter.give_back(block);
        }
    }

    /// A log as machines write it, of this many bytes and a few more.
    fn log(bytes: usize) -> Vec<u8> {
        let mut log = String::with_capacity(bytes + 200);
        for n in 1u64.. {
            let id = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let id = (id ^ (id >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let level = ["INFO ", "DEBUG", "WARN "][(id % 3) as usize];
            let path = ["/", "/v1/jobs", "/v1/uploads", "/static/app.css"][(id >> 8) as usize % 4];
            let status = if id.is_multiple_of(50) { 500 } else { 200 };
            let (minute, second, milli, host) = ((id >> 40) / 60 % 60, (id >> 40) % 60, id % 1000, id % 12);
            log.push_str(&format!(
                "2026-05-12T08:{minute:02}:{second:02}.{milli:03}Z {level} mill-{host:02} request={id:016x} path={path} \
                 status={status} bytes={} took={}ms\n",
                id % 90_000,
                id % 700
            ));
            if log.len() >= bytes {
                break;
            }
        }
        log.into_bytes()
    }

    /// The same bytes whatever the compressor did before, so that an archive is the same however its work was spread. The
    /// two blocks are some for which a compressor of zlib-rs 0.6 that is only reset gives others.
    #[test]
    fn what_was_compressed_before_changes_nothing() {
        let log = log(39 * BLOCK_BYTES);
        let block = |index: usize| {
            let (from, to) = (index * BLOCK_BYTES - DICTIONARY_BYTES, (index + 1) * BLOCK_BYTES);
            Block { bytes: log[from..to].to_vec(), dictionary: DICTIONARY_BYTES, is_last: false }
        };
        let mut used = Deflater::new(6);
        for index in [37, 38, 28, 38] {
            assert!(used.block(&block(index)) == Deflater::new(6).block(&block(index)), "block {index}");
            assert!(
                used.whole(&log[..50_000 + index]) == Deflater::new(6).whole(&log[..50_000 + index]),
                "a small file"
            );
        }
    }

    fn inflated(stream: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        flate2::read::DeflateDecoder::new(stream).read_to_end(&mut out).expect("a stream in order");
        out
    }

    fn noise(bytes: usize, seed: u64) -> Vec<u8> {
        let mut state = seed | 1;
        let next = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as u8
        };
        std::iter::repeat_with(next).take(bytes).collect()
    }

    #[test]
    fn any_length_around_a_border_comes_back() {
        let text = b"a line of a log, number 17\n".repeat(60_000);
        for input in [vec![0; 1_200_000], noise(1_200_000, 1), text] {
            for blocks in 0..=2 {
                for more in [-1, 0, 1, 2, 300] {
                    let Some(length) = (blocks * BLOCK_BYTES).checked_add_signed(more) else { continue };
                    for level in [1, 6, 9] {
                        let found = inflated(&deflated(&input[..length], level));
                        assert!(found == input[..length], "{length} bytes, level {level}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_block_looks_back_over_its_border() {
        let once = noise(20_000, 7);
        let mut input = noise(BLOCK_BYTES - once.len(), 8);
        input.extend_from_slice(&once);
        input.extend_from_slice(&once);
        // the second copy is behind the border and costs next to nothing
        assert!(deflated(&input, 6).len() < input.len() - 19_000);
    }

    #[test]
    fn nothing_is_a_stream_too() {
        assert_eq!(deflated(b"", 6), [3, 0]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn any_content_comes_back(
            pieces in proptest::collection::vec((any::<u64>(), 0usize..400_000, 0u8..3), 0..5),
            level in 1u32..10,
        ) {
            let mut input = Vec::new();
            for (seed, length, kind) in pieces {
                match kind {
                    0 => input.extend(noise(length, seed)),
                    1 => input.extend(std::iter::repeat_n(seed as u8, length)),
                    _ => input.extend(seed.to_string().bytes().cycle().take(length)),
                }
            }
            let stream = deflated(&input, level);
            prop_assert!(inflated(&stream) == input);
            prop_assert!(stream.len() <= input.len() + input.len() / 8 + 256);
        }
    }
}
