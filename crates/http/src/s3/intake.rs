//! A body becomes staged bytes: read, taken out of its framing, hashed, written; verified before it can be put.
//!
//! Small bodies stay in memory and cost no thread. Large ones run in batches: while one batch is hashed on one blocking
//! thread and written on another, the next is read. A client that sends slowly holds no thread. Dropped half-way, the
//! staged bytes are gone (B9).

use super::Door;
use super::checksums::{Hasher, Verified};
use super::chunked::{Piece, Trailers, Unchunker};
use super::errors;
use super::incoming::IncomingBody;
use super::upload::{Framing, Upload};
use crate::signature::ChunkChain;
use bytes::Bytes;
use filemill_core::checksum::Checksums;
use filemill_core::etag::Etag;
use filemill_core::limits;
use filemill_core::object::BucketName;
use filemill_core::ports::{StageWriter, Staged, StagedBytes};
use futures::StreamExt as _;
use s3s::{S3Error, S3Result, s3_error};
use sha2::{Digest as _, Sha256};
use std::io::Write as _;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Bytes that one batch of a large body gathers before it goes to the crew.
const BATCH_BYTES: usize = 512 * 1024;

/// Content that was what its head promised.
pub struct Taken {
    pub staged: Staged,
    pub etag: Etag,
    pub checksums: Checksums,
}

/// Refuses a length that the bucket does not take, or the store has no room for, before the client is asked for its first byte.
pub async fn take(door: &Arc<Door>, bucket: &BucketName, upload: Upload) -> S3Result<Taken> {
    let Upload { body, framing, length, expectations } = upload;
    let max = door.object_bytes_max(bucket).min(limits::SINGLE_PUT_BYTES_MAX);
    if length > max {
        return Err(errors::entity_too_large(max));
    }
    errors::check_room(door.store.room(), length)?;
    let (unchunker, chain) = match framing {
        Framing::Plain => (None, None),
        Framing::UnsignedChunks => (Some(Unchunker::new(false)), None),
        Framing::SignedChunks(chain) => (Some(Unchunker::new(true)), Some(chain)),
    };
    let hasher =
        PieceHasher { hasher: Hasher::new(expectations, length), signed: chain.map(|chain| (chain, Sha256::new())) };
    let source = Source { body, unchunker, length, left: length };
    if length <= limits::INLINE_BYTES_MAX {
        take_small(source, hasher).await
    } else {
        take_large(door, source, hasher).await
    }
}

async fn take_small(mut source: Source, mut hasher: PieceHasher) -> S3Result<Taken> {
    let mut pieces: Vec<Bytes> = Vec::new();
    while let Some(piece) = source.next().await? {
        hasher.update(&piece)?;
        if let Piece::Data(data) = piece {
            pieces.push(data);
        }
    }
    let verified = hasher.finish(source.finish()?)?;
    // copied: a slice of the connection's read buffer would keep that whole buffer alive
    let content: Bytes = pieces.concat().into();
    let etag = verified.etag.unwrap_or_else(|| Etag::md5_of(&content));
    let staged = Staged { size: content.len() as u64, etag: etag.clone(), bytes: StagedBytes::Inline(content) };
    Ok(Taken { staged, etag, checksums: verified.checksums })
}

async fn take_large(door: &Arc<Door>, mut source: Source, hasher: PieceHasher) -> S3Result<Taken> {
    let mut crew = Crew::hire(door, source.length, hasher);
    loop {
        let batch = source.batch().await?;
        if batch.is_empty() {
            break;
        }
        crew = crew.work(door, batch).await?;
    }
    crew.finish(source.finish()?).await
}

/// Two workers between two batches.
struct Crew {
    writer: JoinHandle<S3Result<Box<dyn StageWriter>>>,
    hasher: JoinHandle<S3Result<PieceHasher>>,
}

impl Crew {
    fn hire(door: &Arc<Door>, length: u64, hasher: PieceHasher) -> Self {
        let store = door.store.clone();
        Crew {
            writer: tokio::task::spawn_blocking(move || store.stage(Some(length)).map_err(errors::of_store)),
            hasher: tokio::spawn(async { Ok(hasher) }),
        }
    }

    async fn rest(self) -> S3Result<(Box<dyn StageWriter>, PieceHasher)> {
        let writer = self.writer.await.map_err(errors::of_join)??;
        let hasher = self.hasher.await.map_err(errors::of_join)??;
        Ok((writer, hasher))
    }

    async fn work(self, door: &Arc<Door>, batch: Vec<Piece>) -> S3Result<Self> {
        let (mut writer, mut hasher) = self.rest().await?;
        let turn = door.crews.clone().acquire_owned().await.map_err(|_| closing())?;
        let (written, turn) = (Arc::new(batch), Arc::new(turn));
        let (hashed, other_turn) = (written.clone(), turn.clone());
        let writer = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            for piece in written.iter() {
                if let Piece::Data(data) = piece {
                    writer.write_all(data).map_err(errors::of_stage)?;
                }
            }
            Ok(writer)
        });
        let hasher = tokio::task::spawn_blocking(move || {
            let _turn = other_turn;
            hashed.iter().try_for_each(|piece| hasher.update(piece))?;
            Ok(hasher)
        });
        Ok(Crew { writer, hasher })
    }

    /// The verdict first: a refused body is not worth a sync.
    async fn finish(self, trailers: Trailers) -> S3Result<Taken> {
        let (writer, hasher) = self.rest().await?;
        let verified = hasher.finish(trailers)?;
        let staged = tokio::task::spawn_blocking(move || writer.finish()).await.map_err(errors::of_join)?;
        let staged = staged.map_err(errors::of_store)?;
        let etag = verified.etag.unwrap_or_else(|| staged.etag.clone());
        Ok(Taken { staged, etag, checksums: verified.checksums })
    }
}

fn closing() -> S3Error {
    s3_error!(ServiceUnavailable, "The service is shutting down.")
}

/// The content of a body, piece by piece, never more than was declared.
struct Source {
    body: IncomingBody,
    unchunker: Option<Unchunker>,
    length: u64,
    left: u64,
}

impl Source {
    async fn next(&mut self) -> S3Result<Option<Piece>> {
        loop {
            if let Some(piece) = self.unchunker.as_mut().and_then(Unchunker::next) {
                return self.count(piece).map(Some);
            }
            let Some(bytes) = self.body.next().await else { return Ok(None) };
            let bytes = bytes.map_err(|e| errors::of_body(&e))?;
            match &mut self.unchunker {
                Some(unchunker) => unchunker.feed(bytes)?,
                None => return self.count(Piece::Data(bytes)).map(Some),
            }
        }
    }

    fn count(&mut self, piece: Piece) -> S3Result<Piece> {
        if let Piece::Data(data) = &piece {
            self.left = self.left.checked_sub(data.len() as u64).ok_or_else(errors::incomplete_body)?;
        }
        Ok(piece)
    }

    /// About [`BATCH_BYTES`] of content; nothing at the end.
    async fn batch(&mut self) -> S3Result<Vec<Piece>> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while bytes < BATCH_BYTES {
            let Some(piece) = self.next().await? else { break };
            if let Piece::Data(data) = &piece {
                bytes += data.len();
            }
            batch.push(piece);
        }
        Ok(batch)
    }

    fn finish(self) -> S3Result<Trailers> {
        let trailers = self.unchunker.map(Unchunker::finish).transpose()?;
        if self.left > 0 {
            return Err(errors::incomplete_body());
        }
        Ok(trailers.unwrap_or_default())
    }
}

/// Hashes content and verifies the chain of signed chunks.
struct PieceHasher {
    hasher: Hasher,
    signed: Option<(ChunkChain, Sha256)>,
}

impl PieceHasher {
    fn update(&mut self, piece: &Piece) -> S3Result<()> {
        match (piece, &mut self.signed) {
            (Piece::Data(data), signed) => {
                self.hasher.update(data);
                if let Some((_, sha256)) = signed {
                    sha256.update(data);
                }
            }
            (Piece::ChunkEnd(signature), Some((chain, sha256))) => {
                let digest = std::mem::take(sha256).finalize().into();
                if !chain.verify_chunk(digest, signature) {
                    return Err(signature_mismatch());
                }
            }
            (Piece::ChunkEnd(_), None) => {}
        }
        Ok(())
    }

    fn finish(self, trailers: Trailers) -> S3Result<Verified> {
        if let Some((mut chain, _)) = self.signed
            && !trailers.fields.is_empty()
        {
            let signature = trailers.signature.as_deref().unwrap_or_default();
            if !chain.verify_trailers(&trailers.canonical(), signature) {
                return Err(signature_mismatch());
            }
        }
        self.hasher.finish(&trailers.fields)
    }
}

fn signature_mismatch() -> S3Error {
    s3_error!(SignatureDoesNotMatch, "The signature of a chunk of the body does not match.")
}
