//! Promises to upload: the client sends its bytes straight to the object store by the links that this gives.

use super::ApiState;
use super::auth::Caller;
use super::extract::{IdInPath, NoParams, StrictJson, StrictQuery};
use super::problem::Problem;
use super::views::{ProblemView, UploadLinksView, UploadModeView, UploadView};
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use filemill_core::ids::UploadId;
use filemill_core::named;
use filemill_core::notice::NoticeKind;
use filemill_core::object::{BucketName, ObjectKey};
use filemill_core::rule::RuleId;
use filemill_core::upload::UploadMode;
use filemill_engine::{NewReceiver, NewUpload};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A wish to upload.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewUpload, example = json!({"filename": "app.log", "size": 1048576, "rule": "hello-lines", "metadata": {"order": 17}}))]
pub struct NewUploadBody {
    /// The file's name; part of the key unless `key` is given.
    #[serde(default)]
    filename: String,
    content_type: Option<String>,
    /// Agreed: the upload must have exactly this many bytes. Needed for mode `multipart`.
    size: Option<u64>,
    /// The service's default bucket if not given.
    #[schema(value_type = Option<String>)]
    bucket: Option<BucketName>,
    /// An unguessable folder and the file's name if not given.
    #[schema(value_type = Option<String>)]
    key: Option<ObjectKey>,
    /// Start this rule and no other.
    #[schema(value_type = Option<String>)]
    rule: Option<RuleId>,
    /// Laid over the rule's own options, and checked at once: the schema `Options.KIND` of the rule's processor has them.
    #[serde(default)]
    #[schema(value_type = Object)]
    options: Map<String, Value>,
    /// Given back with the job.
    #[serde(default)]
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
    #[serde(default)]
    #[schema(value_type = UploadModeView)]
    mode: UploadMode,
    /// Whom to tell of its jobs, besides those that the service's config names; up to 4.
    #[serde(default, deserialize_with = "named::each")]
    notify: Vec<UploadReceiverBody>,
}

/// A webhook at a host that the service's operator lets uploads name (`server.upload_webhooks`).
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UploadReceiver)]
pub struct UploadReceiverBody {
    #[schema(value_type = String, example = "webhook")]
    kind: UploadReceiverKind,
    url: String,
    /// `job.completed`, `job.failed`, `job.rejects`, `archive.ready`; all of them if not given.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    on: Vec<NoticeKind>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum UploadReceiverKind {
    Webhook,
}

impl From<NewUploadBody> for NewUpload {
    fn from(body: NewUploadBody) -> Self {
        NewUpload {
            filename: body.filename,
            content_type: body.content_type,
            size: body.size,
            bucket: body.bucket,
            key: body.key,
            rule: body.rule,
            options: body.options,
            metadata: body.metadata,
            mode: body.mode,
            notify: body.notify.into_iter().map(NewReceiver::from).collect(),
        }
    }
}

impl From<UploadReceiverBody> for NewReceiver {
    fn from(body: UploadReceiverBody) -> Self {
        let UploadReceiverKind::Webhook = body.kind;
        NewReceiver { url: body.url, on: body.on }
    }
}

/// Get links to upload a file
///
/// The file goes straight to the object store; its arrival starts the job. With an `Idempotency-Key` the same request
/// sent again within 24 hours gets the same answer (kept in memory: the newest 10,000 keys of this process, forgotten
/// at a restart).
#[utoipa::path(
    post, path = "/v1/uploads", tag = "uploads", security(("token" = ["upload"])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request harmless")),
    request_body = NewUploadBody,
    responses(
        (status = 201, description = "The links", body = UploadLinksView,
            headers(("location" = String, description = "Where the upload's state can be read"))),
        (status = 400, description = "Malformed JSON", body = ProblemView),
        (status = 409, description = "The first request with this Idempotency-Key still runs", body = ProblemView),
        (status = 413, description = "The body is too large", body = ProblemView),
        (status = 415, description = "The body is not JSON", body = ProblemView),
        (status = 422, description = "A field is wrong, or the Idempotency-Key was used with another request", body = ProblemView),
        (status = 507, description = "There is no room for it now; see Retry-After", body = ProblemView),
    ),
)]
pub async fn create_upload(
    State(state): State<ApiState>,
    Caller(who): Caller,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
    StrictJson(body): StrictJson<NewUploadBody>,
) -> Result<impl IntoResponse, Problem> {
    if let Some(content_type) = &body.content_type {
        check_content_type(content_type)?;
    }
    let ticket = state.engine.create_upload(&who, body.into()).await.map_err(Problem::in_body)?;
    let location = format!("/v1/uploads/{}", ticket.upload.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(UploadLinksView::from(ticket))))
}

/// It becomes a signed header: it must be able to be one.
fn check_content_type(content_type: &str) -> Result<(), Problem> {
    let fits = (1..=255).contains(&content_type.len()) && content_type.bytes().all(|b| (b' '..=b'~').contains(&b));
    if fits && content_type.contains('/') {
        return Ok(());
    }
    let message = "give a media type such as \"text/plain\", in ASCII, at most 255 characters";
    Err(Problem::invalid_field("content_type", message))
}

/// See whether an upload arrived
#[utoipa::path(
    get, path = "/v1/uploads/{id}", tag = "uploads", security(("token" = ["read"])),
    params(("id" = String, Path, description = "The upload's id")),
    responses(
        (status = 200, description = "The upload", body = UploadView),
        (status = 404, description = "No such upload", body = ProblemView),
    ),
)]
pub async fn get_upload(
    State(state): State<ApiState>,
    Caller(who): Caller,
    IdInPath(id): IdInPath<UploadId>,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
) -> Result<Json<UploadView>, Problem> {
    Ok(Json(UploadView::of(state.engine.upload(&who, &id).await?, &state.engine)))
}
