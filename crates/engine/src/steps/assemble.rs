//! Puts the parts together, by name: no byte is copied where the store allows it.

use super::chunk::unwanted;
use super::failure::{task_error_of_blob, task_error_of_state};
use super::{Done, Made, Step};
use bytes::Bytes;
use filemill_core::etag::Etag;
use filemill_core::ports::{PartRef, PublicationSource, Staged};
use filemill_core::task::{ChunkRecord, TaskError};

impl Step<'_> {
    pub(super) async fn assemble(&self) -> Result<Done, TaskError> {
        let Some((plan, upload)) = self.gathering() else { return Ok(unwanted()) };
        let records = self.ports.state.chunks(&self.job.id, self.job.run).await.map_err(task_error_of_state)?;
        check_complete(&records, plan.count)?;
        let size = records.iter().map(|r| r.bytes_out).sum();
        let rejects = records.iter().map(|r| r.rejects).sum();
        let parts: Vec<PartRef> = records.into_iter().filter_map(|r| r.part).collect();
        let content_type = match self.ports.blobs.multipart(&upload).await {
            Ok(begun) => begun.attributes.content_type,
            Err(e) if self.ports.state.publishes() => return Err(task_error_of_blob(e)),
            Err(_) => None,
        };
        let (etag, source) = if parts.is_empty() {
            let nothing = Staged::inline(Bytes::new());
            (nothing.etag.clone(), PublicationSource::Staged(nothing))
        } else {
            (tag_of(&parts)?, PublicationSource::Multipart { id: upload.id, parts })
        };
        Ok(self.finished(plan, Made { size, etag, source }, content_type, rejects))
    }
}

fn check_complete(records: &[ChunkRecord], count: u32) -> Result<(), TaskError> {
    let in_order = records.iter().zip(0..count).all(|(record, index)| record.index == index);
    if in_order && records.len() == count as usize {
        return Ok(());
    }
    let message = format!("{} of {count} chunks are recorded", records.len());
    Err(TaskError::transient("chunks_missing", message))
}

fn tag_of(parts: &[PartRef]) -> Result<Etag, TaskError> {
    let tags: Option<Vec<&Etag>> = parts.iter().map(|p| p.etag.as_ref()).collect();
    let tags = tags.ok_or_else(|| TaskError::permanent("part_without_tag", "a part was recorded without its tag"))?;
    Ok(Etag::of_parts(tags.into_iter()))
}
