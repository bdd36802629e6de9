//! Cuts the input without reading it. A small file is done right here, in the same lease.

use super::failure::task_error_of_blob;
use super::{Done, Step};
use filemill_core::chunks::{ChunkLimits, ChunkPlan, Cut};
use filemill_core::lifecycle::{Finished, Happening};
use filemill_core::limits;
use filemill_core::object::ObjectRef;
use filemill_core::ports::{BeginMultipart, Publication, PublicationSource, Transform};
use filemill_core::task::TaskError;
use std::sync::Arc;

impl Step<'_> {
    pub(super) async fn plan(&self) -> Result<Done, TaskError> {
        let transform = self.prepare()?;
        let size = self.job.input.size;
        let chunks_max = self.ports.blobs.traits().max_parts.min(self.chunk_limits.chunks_max);
        let cut = transform.cut(self.facts(None));
        let plan = ChunkPlan::of(size, cut, ChunkLimits { chunks_max, ..self.chunk_limits });
        let one_lease = plan.count == 1 && (size <= limits::ONE_LEASE_BYTES_MAX || cut == Cut::Whole && size == 0);
        if one_lease { self.whole(transform, plan).await } else { self.begin(transform, plan).await }
    }

    /// Plan, process and finish.
    async fn whole(&self, transform: Arc<dyn Transform>, plan: ChunkPlan) -> Result<Done, TaskError> {
        let (staged, report, content_type) = self.transform(transform.clone(), plan.range(0)).await?;
        let target = self.job.target.clone();
        let (size, etag) = (staged.size, staged.etag.clone());
        let output = ObjectRef { bucket: target.bucket.clone(), key: target.key.clone(), size, etag: etag.clone() };
        let attributes = self.result_attributes(&*transform, content_type.as_deref());
        let source = PublicationSource::Staged(staged);
        let publication = Publication { bucket: target.bucket, key: target.key, attributes, etag, size, source };
        let happening = Happening::Finished(Finished { output, plan, rejects: report.rejects });
        Ok(Done { happening, publication: Some(publication) })
    }

    /// The outputs of the chunks gather as parts of a multipart upload of the result.
    async fn begin(&self, transform: Arc<dyn Transform>, plan: ChunkPlan) -> Result<Done, TaskError> {
        let input = &self.job.input;
        let info = self.ports.blobs.head(&input.bucket, &input.key).await.map_err(task_error_of_blob)?;
        if info.etag != input.etag {
            return Err(TaskError::permanent("input_changed", "the file was replaced before it was processed"));
        }
        let attributes = self.result_attributes(&*transform, info.attributes.content_type.as_deref());
        let target = self.job.target.clone();
        let begin = BeginMultipart { bucket: target.bucket, key: target.key, attributes };
        let multipart = self.ports.blobs.begin_multipart(begin).await.map_err(task_error_of_blob)?;
        Ok(Done { happening: Happening::Planned { plan, multipart }, publication: None })
    }
}
