//! Puts the parts together, by name: no byte is copied where the store allows it.

use super::chunk::unwanted;
use super::failure::{Stopped, stopped_by_blobs, stopped_by_state};
use super::{Done, Made, Step};
use bytes::Bytes;
use filemill_core::etag::Etag;
use filemill_core::ports::{ChunkReport, MultipartRef, PartRef, PublicationSource, Staged};
use filemill_core::task::{ChunkRecord, TaskError};

impl Step<'_> {
    pub(super) async fn assemble(&self) -> Result<Done, Stopped> {
        let Some((plan, upload)) = self.gathering() else { return Ok(unwanted()) };
        let mut records = self.ports.state.chunks(&self.job.id, self.job.run).await.map_err(stopped_by_state)?;
        check_complete(&records, plan.count)?;
        let mut report = ChunkReport::default();
        records.iter_mut().for_each(|r| report.add(std::mem::take(&mut r.report)));
        let reject_count = records.iter().map(|r| r.rejects).sum();
        let rejects = match self.gathering_rejects().filter(|_| reject_count > 0) {
            Some(upload) => {
                let size = records.iter().map(|r| r.reject_bytes).sum();
                let parts = records.iter_mut().filter_map(|r| r.reject_part.take()).collect();
                Some(gathered(upload, size, parts)?)
            }
            None => None,
        };
        let content_type = match self.ports.blobs.multipart(&upload).await {
            Ok(begun) => begun.attributes.content_type,
            Err(e) if self.ports.state.publishes() => return Err(stopped_by_blobs(e)),
            Err(_) => None,
        };
        let size = records.iter().map(|r| r.bytes_out).sum();
        let parts = records.into_iter().filter_map(|r| r.part).collect();
        let made = gathered(upload, size, parts)?;
        Ok(self.finished(plan, made, content_type, (reject_count, rejects), report))
    }
}

fn gathered(upload: MultipartRef, size: u64, parts: Vec<PartRef>) -> Result<Made, TaskError> {
    let (etag, source) = if parts.is_empty() {
        let nothing = Staged::inline(Bytes::new());
        (nothing.etag.clone(), PublicationSource::Staged(nothing))
    } else {
        (tag_of(&parts)?, PublicationSource::Multipart { id: upload.id, parts })
    };
    Ok(Made { size, etag, source })
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
