//! An upload as clients see it: once with its links, when it is made, and ever after without.

use filemill_core::access::TenantName;
use filemill_core::ids::{KeyId, UploadId};
use filemill_core::object::{BucketName, ObjectKey};
use filemill_core::ports::PresignedRequest;
use filemill_core::rule::RuleId;
use filemill_core::time::Timestamp;
use filemill_core::upload::{Upload, UploadMode, UploadStatus};
use filemill_engine::{Engine, UploadTicket};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A promise to upload, with the links to keep it. Signed links work until `expires_at`; keep them secret.
#[derive(Serialize, ToSchema)]
#[schema(as = UploadLinks, example = json!({
    "id": "upl_01kagnz8sv1g2k3h4j5m6n7p8q", "status": "pending", "bucket": "uploads",
    "key": "upl_01kagnz8sv1g2k3h4j5m6n7p8q/app.log", "method": "PUT",
    "url": "http://127.0.0.1:9000/uploads/upl_01kagnz8sv1g2k3h4j5m6n7p8q/app.log?X-Amz-Signature=...",
    "headers": {"content-type": "text/plain"}, "expires_at": "2026-11-20T12:15:00.000Z",
}))]
pub struct UploadLinksView {
    #[schema(value_type = String, example = "upl_01h455vb4pex5vsknk084sn02q")]
    pub id: UploadId,
    #[schema(value_type = UploadStatusView)]
    pub status: UploadStatus,
    #[schema(value_type = String, example = "uploads")]
    pub bucket: BucketName,
    #[schema(value_type = String)]
    pub key: ObjectKey,
    /// How to send to `url`. In mode `multipart`: how to complete, after every part was sent by PUT.
    #[schema(example = "PUT")]
    pub method: &'static str,
    pub url: String,
    /// Send these headers with the PUT; they are signed.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Send these form fields before the field `file` (mode `post`).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// One PUT link per part, in order (mode `multipart`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part_urls: Option<Vec<String>>,
    /// Bytes of each part but the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part_size: Option<u64>,
    /// POST the CompleteMultipartUpload document here, with the ETags that the parts answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complete_url: Option<String>,
    /// DELETE this to give the upload up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abort_url: Option<String>,
    /// S3's id of the multipart upload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload_id: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

impl From<UploadTicket> for UploadLinksView {
    fn from(ticket: UploadTicket) -> Self {
        let UploadTicket { upload, request, multipart } = ticket;
        let mut view = UploadLinksView {
            id: upload.id,
            status: upload.status,
            bucket: upload.bucket,
            key: upload.key,
            method: request.method,
            url: request.url,
            headers: request.headers,
            fields: request.fields,
            part_urls: None,
            part_size: None,
            complete_url: None,
            abort_url: None,
            upload_id: None,
            expires_at: upload.expires_at,
        };
        if let Some(multipart) = multipart {
            let url = |request: PresignedRequest| request.url;
            view.part_urls = Some(multipart.parts.into_iter().map(url).collect());
            view.part_size = Some(multipart.part_bytes);
            view.complete_url = Some(view.url.clone());
            view.abort_url = Some(multipart.abort.url);
            view.upload_id = Some(multipart.upload_id);
        }
        view
    }
}

/// A promise to upload, without links: those are made once and never stored.
#[derive(Serialize, ToSchema)]
#[schema(as = Upload)]
pub struct UploadView {
    #[schema(value_type = String, example = "upl_01h455vb4pex5vsknk084sn02q")]
    pub id: UploadId,
    #[schema(value_type = UploadStatusView)]
    pub status: UploadStatus,
    /// Whose it is: its bucket says.
    #[schema(value_type = String, example = "default")]
    pub tenant: TenantName,
    /// The key that made it; null: the service's own credentials.
    #[schema(value_type = Option<String>)]
    pub by: Option<KeyId>,
    #[schema(value_type = String, example = "uploads")]
    pub bucket: BucketName,
    #[schema(value_type = String)]
    pub key: ObjectKey,
    #[schema(value_type = UploadModeView)]
    pub mode: UploadMode,
    #[schema(value_type = Option<String>)]
    pub rule: Option<RuleId>,
    #[schema(value_type = Object)]
    pub options: Map<String, Value>,
    #[schema(value_type = Object)]
    pub metadata: Map<String, Value>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
}

impl UploadView {
    pub fn of(u: Upload, engine: &Engine) -> Self {
        UploadView {
            tenant: engine.tenant_of(&u.bucket),
            by: u.by,
            id: u.id,
            status: u.status,
            bucket: u.bucket,
            key: u.key,
            mode: u.mode,
            rule: u.rule,
            options: u.options,
            metadata: u.metadata,
            created_at: u.created_at,
            expires_at: u.expires_at,
        }
    }
}

/// `pending` until the object arrives; `expired` if it did not.
#[derive(ToSchema)]
#[schema(as = UploadStatus, rename_all = "snake_case")]
#[allow(dead_code, reason = "names the values in the OpenAPI document")]
pub enum UploadStatusView {
    Pending,
    Received,
    Expired,
}

#[derive(ToSchema)]
#[schema(as = UploadMode, rename_all = "snake_case")]
#[allow(dead_code, reason = "names the values in the OpenAPI document")]
pub enum UploadModeView {
    Put,
    Post,
    Multipart,
}
