//! A file as clients see it, and the signed links that files and results are fetched by.

use filemill_core::access::TenantName;
use filemill_core::file::File;
use filemill_core::ids::{FileId, JobId, KeyId, UploadId};
use filemill_core::object::{BucketName, ObjectKey};
use filemill_core::time::Timestamp;
use filemill_engine::{Engine, Link};
use serde::Serialize;
use utoipa::ToSchema;

/// The record of an object that exists.
#[derive(Serialize, ToSchema)]
#[schema(as = File, example = json!({
    "id": "fil_7h9gq2v4m8k1t3c5x6n0d2w4bz", "tenant": "default", "bucket": "results", "key": "hello/a.txt", "size": 22,
    "etag": "27b6f11c1c8b6f0a4f2bd0bfc0a3a7c1", "content_type": "text/plain", "upload": null,
    "owner": null, "job": "job_01kagnzcyzxbyq8m2n7s5r0f4d", "generation": 1,
    "created_at": "2026-11-20T12:00:00.012Z", "repaired": false,
}))]
pub struct FileView {
    #[schema(value_type = String, example = "fil_7zzzzzzzzzzzzzzzzzzzzzzzzz")]
    pub id: FileId,
    /// Whose it is: its bucket says.
    #[schema(value_type = String, example = "default")]
    pub tenant: TenantName,
    #[schema(value_type = String, example = "uploads")]
    pub bucket: BucketName,
    #[schema(value_type = String, example = "hello/a.txt")]
    pub key: ObjectKey,
    pub size: u64,
    pub etag: String,
    pub content_type: Option<String>,
    #[schema(value_type = Option<String>)]
    pub upload: Option<UploadId>,
    /// The key that sent it, null if by the service's own credentials; of a result the key that it is kept to, if to any.
    #[schema(value_type = Option<String>)]
    pub owner: Option<KeyId>,
    /// The job that wrote it, for a result.
    #[schema(value_type = Option<String>)]
    pub job: Option<JobId>,
    /// 0 for what was uploaded; a result is one deeper than what it was made of.
    pub generation: u32,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// No announcement of it came; it was found in the bucket's listing.
    pub repaired: bool,
}

impl FileView {
    pub fn of(f: File, engine: &Engine) -> Self {
        FileView {
            tenant: engine.tenant_of(&f.bucket),
            id: f.id,
            bucket: f.bucket,
            key: f.key,
            size: f.size,
            etag: f.etag.as_str().to_owned(),
            content_type: f.content_type,
            upload: f.upload,
            owner: f.owner,
            generation: f.origin.as_ref().map_or(0, |origin| origin.generation),
            job: f.origin.map(|o| o.job),
            created_at: f.created_at,
            repaired: f.repaired,
        }
    }
}

/// A signed link that was made for this answer.
#[derive(Serialize, ToSchema)]
#[schema(as = Link)]
pub struct LinkView {
    pub url: String,
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

impl From<Link> for LinkView {
    fn from(link: Link) -> Self {
        LinkView { url: link.url, expires_at: link.expires_at }
    }
}
