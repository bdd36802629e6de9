//! CRC-64/NVME over blocks and over the whole content.
//!
//! 64 bits, because the tag of a large object is made from it and reads are pinned to tags.

use crate::blobs::BLOCK_BYTES;
use crc_fast::{CrcAlgorithm, Digest};
use filemill_core::etag::Etag;

const ALGORITHM: CrcAlgorithm = CrcAlgorithm::Crc64Nvme;

pub(crate) fn crc_of(bytes: &[u8]) -> u64 {
    crc_fast::checksum(ALGORITHM, bytes)
}

/// Not the look of an MD5, which clients would compare with their own.
pub(crate) fn own_tag(crc: u64, size: u64) -> Etag {
    Etag::new(&format!("{crc:016x}-{size}"))
}

/// Takes content in any pieces; gives the blocks' checksums and that of all.
pub(crate) struct BlockChecksums {
    block: Digest,
    block_filled: u64,
    /// Of full blocks, as they stand in the file.
    done: Vec<u8>,
    /// Of everything: a second pass over bytes in the cache costs less than combining the blocks' checksums.
    whole: Digest,
    size: u64,
}

impl BlockChecksums {
    pub(crate) fn new() -> Self {
        BlockChecksums {
            block: Digest::new(ALGORITHM),
            block_filled: 0,
            done: Vec::new(),
            whole: Digest::new(ALGORITHM),
            size: 0,
        }
    }

    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = BLOCK_BYTES - self.block_filled;
            let take = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
            let (now, later) = bytes.split_at(take);
            self.block.update(now);
            self.whole.update(now);
            self.block_filled += take as u64;
            if self.block_filled == BLOCK_BYTES {
                self.end_block();
            }
            bytes = later;
        }
    }

    /// The checksums of all blocks, of the whole, and the size.
    pub(crate) fn finish(mut self) -> (Vec<u8>, u64, u64) {
        if self.block_filled > 0 {
            self.end_block();
        }
        (self.done, self.whole.finalize(), self.size)
    }

    fn end_block(&mut self) {
        let crc = self.block.finalize();
        self.done.extend_from_slice(&crc.to_le_bytes());
        self.size += self.block_filled;
        self.block_filled = 0;
        self.block.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_any_size_give_the_checksum_of_the_whole() {
        let content: Vec<u8> = (0..3 * BLOCK_BYTES + 1234).map(|i| (i * 31 % 251) as u8).collect();
        for piece in [1000, 65_536, 262_144, 300_000, content.len()] {
            let mut checksums = BlockChecksums::new();
            content.chunks(piece).for_each(|bytes| checksums.update(bytes));
            let (blocks, whole, size) = checksums.finish();
            assert_eq!((whole, size), (crc_of(&content), content.len() as u64));
            let expected: Vec<u8> =
                content.chunks(BLOCK_BYTES as usize).flat_map(|block| crc_of(block).to_le_bytes()).collect();
            assert_eq!(blocks, expected);
        }
    }

    #[test]
    fn the_checksum_is_the_one_that_s3_calls_crc64nvme() {
        assert_eq!(crc_of(b"123456789"), 0xae8b_1486_0a79_9888);
    }
}
