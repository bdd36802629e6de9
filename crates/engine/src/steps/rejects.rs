//! Rejects of one chunk on their way into the reject file: staged like the output, from the first one on.

use filemill_core::ports::{BlobError, BlobStore, RejectSink, StageWriter, Staged};
use filemill_core::reject::Reject;
use std::io;
use std::sync::Arc;

pub(super) struct StagedRejects {
    blobs: Arc<dyn BlobStore>,
    stage: Option<Box<dyn StageWriter>>,
    count: u64,
}

impl StagedRejects {
    pub fn new(blobs: Arc<dyn BlobStore>) -> Self {
        StagedRejects { blobs, stage: None, count: 0 }
    }

    /// Their bytes, if there are any, and how many they are.
    pub fn finish(self) -> Result<(Option<Staged>, u64), BlobError> {
        let staged = self.stage.map(|stage| stage.finish()).transpose()?;
        Ok((staged, self.count))
    }
}

impl RejectSink for StagedRejects {
    fn reject(&mut self, reject: &Reject<'_>) -> io::Result<()> {
        let stage = match &mut self.stage {
            Some(stage) => stage,
            none => none.insert(self.blobs.stage(None).map_err(io::Error::other)?),
        };
        self.count += 1;
        reject.write_to(stage)
    }
}
