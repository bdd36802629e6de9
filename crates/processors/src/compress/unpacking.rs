//! What `gunzip` and `unzstd` have in common: bytes go to the format's decoder until they end.

use super::bombs::BombLimits;
use super::{fill, go_on};
use filemill_core::chunks::Cut;
use filemill_core::limits::IO_BLOCK_BYTES;
use filemill_core::ports::{Chunk, ChunkReport, InputFacts, ProcessError, Transform, Work};
use serde_json::{Map, Value};
use std::io;
use std::marker::PhantomData;

/// A format's decoder. It writes content as it comes and holds `limits` on the way.
pub(super) trait Unpacker: Sized + 'static {
    fn new(limits: BombLimits) -> io::Result<Self>;

    fn feed(&mut self, bytes: &[u8], work: &mut Work<'_>) -> Result<(), ProcessError>;

    /// There are no more bytes: is the file whole?
    fn end(&self) -> Result<(), ProcessError>;
}

struct Unpacking<U> {
    limits: BombLimits,
    unpacker: PhantomData<fn() -> U>,
}

pub(super) fn prepare<U: Unpacker>(options: &Map<String, Value>) -> Result<Box<dyn Transform>, String> {
    Ok(Box::new(Unpacking::<U> { limits: BombLimits::read(options)?, unpacker: PhantomData }))
}

impl<U: Unpacker> Transform for Unpacking<U> {
    fn cut(&self, _input: InputFacts<'_>) -> Cut {
        Cut::Whole
    }

    fn process(&self, _chunk: &Chunk<'_>, work: &mut Work<'_>) -> Result<ChunkReport, ProcessError> {
        let mut unpacker = U::new(self.limits)?;
        let mut block = vec![0; IO_BLOCK_BYTES / 4];
        loop {
            go_on(work.pulse)?;
            let read = fill(work.input, &mut block)?;
            unpacker.feed(&block[..read], work)?;
            if read < block.len() {
                unpacker.end()?;
                return Ok(ChunkReport::default());
            }
        }
    }

    fn content_type(&self, _input: InputFacts<'_>) -> Option<String> {
        Some("application/octet-stream".into())
    }
}
