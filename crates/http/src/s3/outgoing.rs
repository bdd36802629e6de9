//! Stored bytes on their way out: read in blocks off the async threads, one block ahead of the client.
//!
//! The length is exact. A read that fails ends the stream with an error, which breaks the connection: a client never
//! takes a damaged or short body for a whole one. A client that reads slowly holds one block and no thread.

use super::errors;
use bytes::Bytes;
use filemill_core::limits;
use filemill_core::ports::{BlobBody, BlobError, BoxError};
use futures::Stream;
use s3s::S3Result;
use s3s::dto::StreamingBlob;
use s3s::stream::{ByteStream, RemainingLength};
use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::task::JoinHandle;

/// The body of `length` bytes, whose first block has been read and verified.
pub async fn blob(body: BlobBody, length: u64) -> S3Result<StreamingBlob> {
    let reader = match body {
        BlobBody::Inline(bytes) => return Ok(StreamingBlob::from(s3s::Body::from(bytes))),
        BlobBody::Reader(reader) => reader,
    };
    let mut outgoing = Outgoing { reading: Some(read_block(reader, length)), first: None, left: length };
    outgoing.first = Some(outgoing.take_block().await?);
    Ok(StreamingBlob::new(outgoing))
}

struct Outgoing {
    reading: Option<JoinHandle<io::Result<Block>>>,
    first: Option<Bytes>,
    /// Bytes that have not been handed on.
    left: u64,
}

struct Block {
    bytes: Bytes,
    /// `None` behind the last block.
    reader: Option<Box<dyn Read + Send>>,
}

impl Outgoing {
    /// The first block, so that damage there is a clean 500.
    async fn take_block(&mut self) -> S3Result<Bytes> {
        let Some(reading) = self.reading.take() else { return Ok(Bytes::new()) };
        let block = reading.await.map_err(errors::of_join)?;
        let block = block.map_err(|e| errors::of_store(of_read(e)))?;
        let after = self.left - block.bytes.len() as u64;
        self.reading = block.reader.map(|reader| read_block(reader, after));
        Ok(block.bytes)
    }

    fn hand_on(&mut self, bytes: Bytes) -> Poll<Option<Result<Bytes, BoxError>>> {
        self.left -= bytes.len() as u64;
        Poll::Ready(if bytes.is_empty() { None } else { Some(Ok(bytes)) })
    }
}

impl Stream for Outgoing {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(bytes) = self.first.take() {
            return self.hand_on(bytes);
        }
        let Some(reading) = &mut self.reading else { return Poll::Ready(None) };
        let block = ready!(Pin::new(reading).poll(cx)).map_err(io::Error::other).and_then(|block| block);
        self.reading = None;
        match block {
            Ok(block) => {
                let after = self.left - block.bytes.len() as u64;
                self.reading = block.reader.map(|reader| read_block(reader, after));
                self.hand_on(block.bytes)
            }
            Err(e) => {
                tracing::error!(error = %e, "a download broke: its stored bytes could not be read");
                Poll::Ready(Some(Err(e.into())))
            }
        }
    }
}

impl ByteStream for Outgoing {
    fn remaining_length(&self) -> RemainingLength {
        usize::try_from(self.left).map_or_else(|_| RemainingLength::unknown(), RemainingLength::new_exact)
    }
}

fn read_block(mut reader: Box<dyn Read + Send>, left: u64) -> JoinHandle<io::Result<Block>> {
    tokio::task::spawn_blocking(move || {
        let want = left.min(limits::IO_BLOCK_BYTES as u64);
        let mut bytes = Vec::with_capacity(limits::IO_BLOCK_BYTES.min(usize::try_from(want).unwrap_or(usize::MAX)));
        reader.by_ref().take(want).read_to_end(&mut bytes)?;
        if (bytes.len() as u64) < want {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "stored bytes end early"));
        }
        if want < left {
            return Ok(Block { bytes: bytes.into(), reader: Some(reader) });
        }
        // a reader that checks at its end does so now, before the last block leaves
        if reader.read(&mut [0])? > 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "stored bytes do not end"));
        }
        Ok(Block { bytes: bytes.into(), reader: None })
    })
}

pub fn of_read(e: io::Error) -> BlobError {
    match e.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => BlobError::Corrupt(e.to_string()),
        _ => BlobError::unavailable(e),
    }
}
