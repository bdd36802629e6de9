//! One chunk: its range of the input becomes one part of the result, and its rejects one part of the reject file.

use super::failure::{Stopped, stopped_by_blobs, stopped_by_state};
use super::transform::{Place, Transformed};
use super::{Done, Step};
use filemill_core::checksum::Checksums;
use filemill_core::chunks::{ChunkPlan, Survey};
use filemill_core::lifecycle::Happening;
use filemill_core::ports::{MultipartRef, PartRef, Staged};
use filemill_core::task::{ChunkRecord, TaskError};

impl Step<'_> {
    pub(super) async fn chunk(&self) -> Result<Done, Stopped> {
        let Some((plan, upload)) = self.gathering() else { return Ok(unwanted()) };
        let index = self.task.id.index;
        let known = self.ports.state.chunk(&self.job.id, self.job.run, index).await;
        if known.map_err(stopped_by_state)?.is_some() {
            return Ok(unwanted());
        }
        let survey = if plan.surveyed { Some(self.stored_survey().await?) } else { None };
        let place = Place::of(plan, survey, index);
        let bytes_in = place.range.end - place.range.start;
        let made = self.transform(self.prepare()?, place).await?;
        let Transformed { output, rejects: set_aside, reject_count: rejects, report, .. } = made;
        let (bytes_out, reject_bytes) = (output.size, set_aside.as_ref().map_or(0, |r| r.size));
        let part = if bytes_out == 0 { None } else { Some(self.put_part(&upload, index + 1, output).await?) };
        let reject_part = match (set_aside, self.gathering_rejects()) {
            (None, _) => None,
            (Some(bytes), Some(upload)) => Some(self.put_part(&upload, index + 1, bytes).await?),
            (Some(_), None) => {
                let message = "the processor set records aside although it said that it would not; this is a bug in it";
                return Err(TaskError::permanent("rejects_unannounced", message).into());
            }
        };
        let (job, run) = (self.job.id.clone(), self.job.run);
        let record =
            ChunkRecord { job, run, index, part, bytes_in, bytes_out, rejects, reject_part, reject_bytes, report };
        Ok(Done { happening: Happening::ChunkDone(record), publications: Vec::new() })
    }

    async fn stored_survey(&self) -> Result<Survey, Stopped> {
        let survey = self.ports.state.survey(&self.job.id, self.job.run).await.map_err(stopped_by_state)?;
        let unreadable = || TaskError::transient("state_unavailable", "the job's survey cannot be read");
        Ok(survey.ok_or_else(unreadable)?)
    }

    async fn put_part(&self, upload: &MultipartRef, number: u32, staged: Staged) -> Result<PartRef, Stopped> {
        let put = self.ports.blobs.put_part(upload, number, staged, None, Checksums::default()).await;
        let part = put.map_err(stopped_by_blobs)?;
        // by its tag, not by the store's own handle: a worker that lost its lease may still put the same bytes again
        Ok(PartRef { number, handle: None, etag: Some(part.etag) })
    }

    /// The plan and the multipart upload of a job that has begun.
    pub(super) fn gathering(&self) -> Option<(ChunkPlan, MultipartRef)> {
        Some((self.job.plan?, self.job.gathering()?))
    }

    /// The multipart upload of the reject file, where there may be rejects.
    pub(super) fn gathering_rejects(&self) -> Option<MultipartRef> {
        self.job.gathering_rejects()
    }
}

pub(super) fn unwanted() -> Done {
    Done { happening: Happening::TaskUnwanted, publications: Vec::new() }
}
