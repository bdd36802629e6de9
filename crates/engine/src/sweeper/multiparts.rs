//! Parts that nobody will gather: of ended jobs, of plans that lost their race, of uploads that nobody finished in a day.

use crate::Engine;
use crate::error::CommandError;
use filemill_core::job::Job;
use filemill_core::limits;
use filemill_core::object::BucketName;
use filemill_core::ports::{BlobError, ListMultiparts, MultipartInfo, MultipartRef, StateError};

pub(super) async fn abort_forgotten_multiparts(engine: &Engine) -> Result<(), CommandError> {
    for bucket in engine.inner.ports.blobs.buckets().await? {
        abort_forgotten_in(engine, bucket.name).await?;
    }
    Ok(())
}

async fn abort_forgotten_in(engine: &Engine, bucket: BucketName) -> Result<(), CommandError> {
    // a plan that is being committed right now is younger than a few leases
    let begun_before = engine.now().minus(engine.inner.config.lease * limits::LEASE_RENEWALS);
    let limit = limits::SWEEP_BATCH;
    let mut query = ListMultiparts { bucket: Some(bucket), limit, ..ListMultiparts::default() };
    query.begun_before = Some(begun_before);
    loop {
        let page = engine.inner.ports.blobs.multiparts(&query).await?;
        for begun in &page {
            if is_forgotten(engine, begun).await? {
                abort(engine, &begun.upload).await?;
            }
        }
        match page.last() {
            Some(last) if page.len() == limit as usize => {
                query.after = Some((last.upload.key.to_string(), Some(last.upload.id.clone())));
            }
            _ => return Ok(()),
        }
    }
}

async fn is_forgotten(engine: &Engine, begun: &MultipartInfo) -> Result<bool, StateError> {
    let Some(origin) = &begun.attributes.origin else {
        return Ok(begun.begun_at < engine.now().minus(limits::MULTIPART_TTL));
    };
    let job = engine.inner.ports.state.job(&origin.job).await?;
    let id = Some(&begun.upload.id);
    let is_its = |j: &Job| [&j.multipart, &j.reject_multipart].iter().any(|known| known.as_ref() == id);
    Ok(job.is_none_or(|j| j.is_over() || !is_its(&j)))
}

pub(super) async fn abort(engine: &Engine, upload: &MultipartRef) -> Result<(), CommandError> {
    match engine.inner.ports.blobs.abort_multipart(upload).await {
        Ok(()) | Err(BlobError::NotFound(_)) => Ok(()),
        Err(e) => Err(e.into()),
    }
}
