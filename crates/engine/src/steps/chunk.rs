//! One chunk: its range of the input becomes one part of the result.

use super::failure::{task_error_of_blob, task_error_of_state};
use super::{Done, Step};
use filemill_core::checksum::Checksums;
use filemill_core::chunks::ChunkPlan;
use filemill_core::lifecycle::Happening;
use filemill_core::ports::{MultipartRef, PartRef, Staged};
use filemill_core::task::{ChunkRecord, TaskError};

impl Step<'_> {
    pub(super) async fn chunk(&self) -> Result<Done, TaskError> {
        let Some((plan, upload)) = self.gathering() else { return Ok(unwanted()) };
        let index = self.task.id.index;
        let known = self.ports.state.chunk(&self.job.id, self.job.run, index).await;
        if known.map_err(task_error_of_state)?.is_some() {
            return Ok(unwanted());
        }
        let range = plan.range(index);
        let bytes_in = range.end - range.start;
        let (staged, report, _) = self.transform(self.prepare()?, range).await?;
        let bytes_out = staged.size;
        let part = if bytes_out == 0 { None } else { Some(self.put_part(&upload, index + 1, staged).await?) };
        let record = ChunkRecord {
            job: self.job.id.clone(),
            run: self.job.run,
            index,
            part,
            bytes_in,
            bytes_out,
            rejects: report.rejects,
            note: report.note,
        };
        Ok(Done { happening: Happening::ChunkDone(record), publication: None })
    }

    async fn put_part(&self, upload: &MultipartRef, number: u32, staged: Staged) -> Result<PartRef, TaskError> {
        let put = self.ports.blobs.put_part(upload, number, staged, None, Checksums::default()).await;
        let part = put.map_err(task_error_of_blob)?;
        // by its tag, not by the store's own handle: a worker that lost its lease may still put the same bytes again
        Ok(PartRef { number, handle: None, etag: Some(part.etag) })
    }

    /// The plan and the multipart upload of a job that has begun.
    pub(super) fn gathering(&self) -> Option<(ChunkPlan, MultipartRef)> {
        let target = self.job.target.clone();
        let id = self.job.multipart.clone()?;
        Some((self.job.plan?, MultipartRef { bucket: target.bucket, key: target.key, id }))
    }
}

pub(super) fn unwanted() -> Done {
    Done { happening: Happening::TaskUnwanted, publication: None }
}
