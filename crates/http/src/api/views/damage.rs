//! Damaged bytes as clients see them: what the store found, and whose they are.

use filemill_core::object::{BucketName, ObjectKey};
use filemill_core::ports::{Damage, Holder};
use filemill_core::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// Stored bytes that fail their checksum or cannot be read. Reads of them fail; no wrong byte is handed out.
#[derive(Serialize, ToSchema)]
#[schema(as = Damage, example = json!({
    "blob": "0000010000000007", "size": 1048576, "found_at": "2026-11-20T12:00:00.012Z",
    "what": "blob 0000010000000007 is corrupt: bytes 262144 to 524288 are not what was stored",
    "held_by": [{"bucket": "uploads", "key": "2026/report.csv", "upload_id": null, "part": null}],
}))]
pub struct DamageView {
    /// The store's name for these bytes: a file `blobs/XX/BLOB`, or a row of the state file.
    pub blob: String,
    pub size: u64,
    #[schema(value_type = String, format = DateTime)]
    pub found_at: Timestamp,
    pub what: String,
    /// At most 100 of those that share these bytes.
    pub held_by: Vec<HolderView>,
}

/// An object; or with `upload_id` and `part` a part of a multipart upload that is still open.
#[derive(Serialize, ToSchema)]
#[schema(as = DamageHolder)]
pub struct HolderView {
    #[schema(value_type = String)]
    pub bucket: BucketName,
    #[schema(value_type = String)]
    pub key: ObjectKey,
    pub upload_id: Option<String>,
    pub part: Option<u32>,
}

impl From<Damage> for DamageView {
    fn from(damage: Damage) -> Self {
        let Damage { blob, size, found_at, what, held_by } = damage;
        DamageView { blob, size, found_at, what, held_by: held_by.into_iter().map(HolderView::from).collect() }
    }
}

impl From<Holder> for HolderView {
    fn from(holder: Holder) -> Self {
        match holder {
            Holder::Object { bucket, key } => HolderView { bucket, key, upload_id: None, part: None },
            Holder::Part { upload, number } => {
                let (bucket, key) = (upload.bucket, upload.key);
                HolderView { bucket, key, upload_id: Some(upload.id), part: Some(number) }
            }
        }
    }
}
