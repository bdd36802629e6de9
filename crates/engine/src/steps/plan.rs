//! Cuts the input without reading it. A small file is done right here, in the same lease.

use super::failure::task_error_of_blob;
use super::{Done, Made, Step};
use filemill_core::chunks::{ChunkLimits, ChunkPlan};
use filemill_core::lifecycle::Happening;
use filemill_core::limits;
use filemill_core::ports::{BeginMultipart, PublicationSource, Transform};
use filemill_core::task::TaskError;
use std::sync::Arc;

impl Step<'_> {
    pub(super) async fn plan(&self) -> Result<Done, TaskError> {
        let transform = self.prepare()?;
        let size = self.job.input.size;
        let chunks_max = self.ports.blobs.traits().max_parts.min(self.chunk_limits.chunks_max);
        let cut = transform.cut(self.facts(None));
        let plan = ChunkPlan::of(size, cut, ChunkLimits { chunks_max, ..self.chunk_limits });
        let one_lease = plan.count == 1 && size <= limits::ONE_LEASE_BYTES_MAX;
        if one_lease { self.whole(transform, plan).await } else { self.begin(transform, plan).await }
    }

    /// Plan, process and finish.
    async fn whole(&self, transform: Arc<dyn Transform>, plan: ChunkPlan) -> Result<Done, TaskError> {
        let (staged, report, content_type) = self.transform(transform.clone(), plan.range(0)).await?;
        let content_type = transform.content_type(self.facts(content_type.as_deref()));
        let made = Made { size: staged.size, etag: staged.etag.clone(), source: PublicationSource::Staged(staged) };
        Ok(self.finished(plan, made, content_type, report.rejects))
    }

    /// The outputs of the chunks gather as parts of a multipart upload of the result.
    async fn begin(&self, transform: Arc<dyn Transform>, plan: ChunkPlan) -> Result<Done, TaskError> {
        let input = &self.job.input;
        let info = self.ports.blobs.head(&input.bucket, &input.key).await.map_err(task_error_of_blob)?;
        if info.etag != input.etag {
            return Err(TaskError::permanent("input_changed", "the file was replaced before it was processed"));
        }
        let content_type = transform.content_type(self.facts(info.attributes.content_type.as_deref()));
        let attributes = self.result_attributes(content_type);
        let target = self.job.target.clone();
        let begin = BeginMultipart { bucket: target.bucket, key: target.key, attributes };
        let multipart = self.ports.blobs.begin_multipart(begin).await.map_err(task_error_of_blob)?;
        Ok(Done { happening: Happening::Planned { plan, multipart }, publication: None })
    }
}
