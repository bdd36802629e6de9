//! What becomes of a completed job's input.

use crate::Engine;
use filemill_core::ids::FileId;
use filemill_core::job::Job;
use filemill_core::ports::Precondition;

/// `delete_source = true`: the input goes once the result was read back whole (every read checks its checksum).
pub(super) async fn retire_source(engine: &Engine, job: &Job) {
    let Some(output) = job.output.as_ref().filter(|_| job.delete_source) else { return };
    let id = FileId::of(&job.input.bucket, &job.input.key);
    match engine.inner.ports.state.file(&id).await {
        Ok(Some(file)) if file.sequencer == job.sequencer => {}
        Ok(_) => return tracing::info!(job = %job.id, "source is kept: a newer one took its place"),
        Err(e) => return tracing::warn!(job = %job.id, error = %e, "source is kept: its file cannot be looked up"),
    }
    let blobs = engine.inner.ports.blobs.clone();
    let open = match blobs.open(&output.bucket, &output.key, Some(&output.etag), None).await {
        Ok(open) => open,
        Err(e) => return tracing::warn!(job = %job.id, error = %e, "source is kept: the result cannot be opened"),
    };
    let read_back = move || std::io::copy(&mut open.body.into_reader(), &mut std::io::sink());
    match engine.inner.ports.compute.run(read_back).await {
        Ok(Ok(size)) if size == output.size => {
            let condition = Precondition::IfMatch(job.input.etag.clone());
            if let Err(e) = blobs.delete(&job.input.bucket, &job.input.key, condition).await {
                tracing::warn!(job = %job.id, error = %e, "source was not deleted");
            }
        }
        _ => tracing::warn!(job = %job.id, "source is kept: the result does not read back whole"),
    }
}
