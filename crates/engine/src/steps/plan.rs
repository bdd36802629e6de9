//! Cuts the input: from its size alone, or after a survey where records do not show their borders. A small file is done
//! right here, in the same lease.

use super::failure::{Stopped, place_is_taken, stopped_by_blobs};
use super::transform::{Place, Transformed};
use super::{Done, Made, Step};
use filemill_core::chunks::{ChunkLimits, ChunkPlan, Cut, Survey};
use filemill_core::job::Target;
use filemill_core::lifecycle::{Happening, Planned};
use filemill_core::limits;
use filemill_core::object::ObjectKey;
use filemill_core::ports::{BeginMultipart, BlobError, PublicationSource, Transform, may_replace};
use filemill_core::task::TaskError;
use std::sync::Arc;

impl Step<'_> {
    pub(super) async fn plan(&self) -> Result<Done, Stopped> {
        let transform = self.prepare()?;
        let size = self.job.input.size;
        let chunks_max = self.ports.blobs.traits().max_parts.min(self.chunk_limits.chunks_max);
        let cut = transform.cut(self.facts(None));
        let plan = ChunkPlan::of(size, cut, ChunkLimits { chunks_max, ..self.chunk_limits });
        let needs_survey = transform.always_surveys() || (cut == Cut::Surveyed && plan.count > 1);
        let survey = if needs_survey { Some(self.survey(transform.clone(), plan).await?) } else { None };
        let plan = match &survey {
            Some(survey) => {
                let count = u32::try_from(survey.starts.len()).expect("a survey has no more starts than the plan");
                ChunkPlan { count, surveyed: true, ..plan }
            }
            None => plan,
        };
        let one_lease = plan.count == 1 && size <= limits::ONE_LEASE_BYTES_MAX && !transform.works_beyond_its_input();
        if one_lease { self.whole(transform, plan, survey).await } else { self.begin(transform, plan, survey).await }
    }

    /// Plan, process and finish.
    async fn whole(
        &self,
        transform: Arc<dyn Transform>,
        plan: ChunkPlan,
        survey: Option<Survey>,
    ) -> Result<Done, Stopped> {
        let made = self.transform(transform.clone(), Place::of(plan, survey, 0)).await?;
        let Transformed { output, rejects, reject_count, report, content_type } = made;
        let content_type = transform.content_type(self.facts(content_type.as_deref()));
        let made = Made { size: output.size, etag: output.etag.clone(), source: PublicationSource::Staged(output) };
        let rejects = rejects.map(|staged| Made {
            size: staged.size,
            etag: staged.etag.clone(),
            source: PublicationSource::Staged(staged),
        });
        Ok(self.finished(plan, made, content_type, (reject_count, rejects), report))
    }

    /// The outputs of the chunks gather as parts of a multipart upload of the result, their rejects as parts of another.
    async fn begin(
        &self,
        transform: Arc<dyn Transform>,
        plan: ChunkPlan,
        survey: Option<Survey>,
    ) -> Result<Done, Stopped> {
        self.check_place().await?;
        let input = &self.job.input;
        let info = self.ports.blobs.head(&input.bucket, &input.key).await.map_err(stopped_by_blobs)?;
        if info.etag != input.etag {
            return Err(TaskError::permanent("input_changed", "the file was replaced before it was processed").into());
        }
        let content_type = transform.content_type(self.facts(info.attributes.content_type.as_deref()));
        let multipart = self.begin_multipart(self.job.target.key.clone(), content_type).await?;
        let reject_multipart = match transform.may_reject() {
            true => Some(self.begin_multipart(self.job.target.reject_key(), Some(super::REJECTS_TYPE.into())).await?),
            false => None,
        };
        let planned = Planned { plan, survey, multipart, reject_multipart };
        Ok(Done { happening: Happening::Planned(planned), publications: Vec::new() })
    }

    /// Early, before much work is done for nothing. The last commit decides.
    async fn check_place(&self) -> Result<(), Stopped> {
        let replaces_only = self.job.replaces_only();
        if replaces_only.is_none() {
            return Ok(());
        }
        let Target { bucket, key } = &self.job.target;
        match self.ports.blobs.head(bucket, key).await {
            Ok(there) if !may_replace(replaces_only.as_ref(), there.attributes.owner.as_ref()) => {
                Err(place_is_taken().into())
            }
            Ok(_) | Err(BlobError::NotFound(_)) => Ok(()),
            Err(e) => Err(stopped_by_blobs(e)),
        }
    }

    async fn begin_multipart(&self, key: ObjectKey, content_type: Option<String>) -> Result<String, Stopped> {
        let (bucket, attributes) = (self.job.target.bucket.clone(), self.result_attributes(content_type));
        let begin = BeginMultipart { bucket, key, attributes };
        self.ports.blobs.begin_multipart(begin).await.map_err(stopped_by_blobs)
    }
}
