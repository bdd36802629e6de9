//! Promises to upload that nobody kept end as `expired`, visible, with their parts removed.

use super::Swept;
use super::multiparts::abort;
use crate::Engine;
use crate::error::CommandError;
use filemill_core::event::{EventKind, NewEvent};
use filemill_core::limits;
use filemill_core::ports::{Change, ChangeSet, Durability, MultipartRef, StateError};
use filemill_core::upload::{Upload, UploadStatus};
use serde_json::json;

pub(super) async fn expire_uploads(engine: &Engine) -> Result<Swept, CommandError> {
    let ports = &engine.inner.ports;
    let now = engine.now();
    let mut expired = 0;
    for upload in ports.state.overdue_uploads(now.minus(limits::UPLOAD_GRACE), limits::SWEEP_BATCH).await? {
        if let Some(id) = upload.multipart.clone() {
            abort(engine, &MultipartRef { bucket: upload.bucket.clone(), key: upload.key.clone(), id }).await?;
        }
        let data = json!({ "bucket": upload.bucket, "key": upload.key });
        let id = Some(upload.id.clone());
        let (kind, owner) = (EventKind::UploadExpired, upload.by.clone());
        let event = NewEvent { kind, at: now, job: None, file: None, upload: id, owner, data };
        let was = upload.status;
        let upload = Upload { status: UploadStatus::Expired, ..upload };
        let changes = ChangeSet::new().with(Change::UpdateUpload { upload, was }).with(Change::Emit(event));
        match engine.commit(changes, Durability::Lazy).await {
            Ok(_) => expired += 1,
            // it was kept after all
            Err(StateError::Conflict(_)) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(Swept::after(expired, limits::SWEEP_BATCH))
}
